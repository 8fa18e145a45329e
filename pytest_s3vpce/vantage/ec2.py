"""Vantage points that are EC2 instances, reached by SSM: one that is there, or one made for the run."""

from __future__ import annotations

import contextlib
import shlex
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.model import FailureKind
from pytest_s3vpce.vantage import reasons
from pytest_s3vpce.vantage.base import silent
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of
from pytest_s3vpce.vantage.program import Output, Program, ProgramVantage, Sealing, agreement, found, packed
from pytest_s3vpce.vantage.ssm import NO_PYTHON, OUTPUT_LIMIT, SCRIPT_LIMIT, RunCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_s3vpce.model import Place
    from pytest_s3vpce.vantage.base import AgentConfig, Limits
    from pytest_s3vpce.vantage.control import ControlPlane

_ROOM: Final = 22_000
"""Characters of an answer that are fetched at a time: below SSM's limit, with room for what stands around it."""
_MEASURE: Final = Sealing({"public": 2, "folder": "/tmp/s3vpce-12345678"})  # noqa: S108 - its length counts
"""Seals as any other: how long a program becomes does not depend on the key."""
_END: Final = "S3VPCE_END_OF_PROGRAM"
_SCRIPT: Final = f"""\
python=$(command -v python3 || command -v /usr/libexec/platform-python) || {{
  echo "there is no python3" >&2; exit {NO_PYTHON}; }}
"$python" - <<'{_END}'
%s{_END}
"""


class Ec2Vantage(ProgramVantage):
    """An instance with the SSM agent and Python. Batches are cut to what SSM carries, answers fetched in pieces."""

    kind = "ec2"
    carries = 24 * 1024

    def __init__(
        self,
        name: str,
        *,
        control: ControlPlane,
        instance: str,
        config: AgentConfig | None = None,
        limits: Limits | None = None,
        connect_to: Sequence[str] = (),
        place: Place | None = None,
    ) -> None:
        super().__init__(name, config=config, limits=limits, connect_to=connect_to, place=place)
        self.instance = instance
        self._control = control
        self._commands = RunCommand(control, instance, seconds=self.seconds, error=self.error)

    def prepare(self, *, notify: Callable[[str], None] = silent) -> None:
        notify(f"asking SSM for instance {self.instance}")
        self._commands.check()
        super().prepare(notify=notify)

    def run(self, program: str) -> str:
        return self._commands.run(_SCRIPT % program)

    def _exchange(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The batch as it is where it fits, else in halves; a ping holds nothing that had to be sealed."""
        if payload.get("ping"):
            return self._carried(packed(payload, self.config, room=_ROOM))
        requests = payload["requests"]
        if len(packed(payload, self.config, room=_ROOM, sealing=_MEASURE).text) + len(_SCRIPT) > SCRIPT_LIMIT:
            if len(requests) == 1:
                return _unsent(requests[0], f"the request is larger than SSM carries to vantage point `{self.name}`")
            half = len(requests) // 2
            parts = [self._exchange({**payload, "requests": part}) for part in (requests[:half], requests[half:])]
            return {**parts[0], "answers": [answer for part in parts for answer in part["answers"]]}
        try:
            sealing = Sealing(self._carried(agreement()))
            opened: dict[str, Any] = sealing.open(
                self._carried(packed(payload, self.config, room=_ROOM, sealing=sealing))
            )
        except (ValueError, KeyError) as error:
            raise self.error("what came back was not sealed with the agreed key", remedy="run it again") from error
        return opened

    def _carried(self, program: Program) -> dict[str, Any]:
        return self._answer(self._whole(found(program, self.run(program.text))))

    def _whole(self, output: Output | None) -> Output | None:
        """The answer with its other pieces, which wait over there in a file; it is removed with the last one."""
        if output is None or output.whole or not output.kept:
            return output
        path = shlex.quote(output.kept)
        starts = range(len(output.text), output.length, _ROOM)
        removal = f"rm -rf {shlex.quote(output.kept.rpartition('/')[0])}"
        try:
            sent = [self._commands.send(_piece(path, start)) for start in starts[:-1]]
            pieces = [self._commands.collect(command) for command in sent]
            pieces.append(self._commands.run(f"{_piece(path, starts[-1])}\n{removal}"))
        except VantageError:
            with contextlib.suppress(VantageError):
                self._commands.send(removal)
            raise
        text = output.text + "".join("".join(piece.split()) for piece in pieces)
        return Output(text=text, length=output.length, kept="")


def _piece(path: str, start: int) -> str:
    return f"tail -c +{start + 1} {path} | head -c {_ROOM}; echo"


def _unsent(request: Mapping[str, Any], detail: str) -> dict[str, Any]:
    answer = {"id": request["id"], "status": None, "failure": FailureKind.NOT_SENT.value, "detail": detail}
    return {"version": 1, "answers": [answer]}


def instance_with(
    control: ControlPlane, tags: Mapping[str, str], *, error: Callable[..., VantageError]
) -> dict[str, Any]:
    """The running instance that has all these tags, as EC2 describes it; the first by id where there are several."""
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
    filters.append({"Name": "instance-state-name", "Values": ["running"]})
    wanted = " and ".join(f"{key}={value}" for key, value in tags.items())
    try:
        pages = list(control.client("ec2").get_paginator("describe_instances").paginate(Filters=filters))
    except FAULTS as failure:
        raise error(
            f"instances with {wanted} can't be looked for: {words_of(failure)}",
            remedy=reasons.remedy(code_of(failure), otherwise="give the account's credentials ec2:DescribeInstances"),
        ) from failure
    rows = [row for page in pages for group in page["Reservations"] for row in group["Instances"]]
    if not rows:
        raise error(
            f"no running instance of account `{control.account}` in {control.region} has {wanted}",
            remedy="start one, or correct the tags",
        )
    return dict(min(rows, key=lambda row: str(row["InstanceId"])))


assert _ROOM < OUTPUT_LIMIT
