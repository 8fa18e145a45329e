"""Vantage points that are EC2 instances, reached by SSM: one that is there, or one made for the run."""

from __future__ import annotations

import contextlib
import shlex
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.vantage import reasons
from pytest_s3vpce.vantage.base import silent
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of
from pytest_s3vpce.vantage.program import Output, Program, ProgramVantage, Sealing, agreement, carrying, found, packed
from pytest_s3vpce.vantage.ssm import NO_PYTHON, OUTPUT_LIMIT, SCRIPT_LIMIT, RunCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_s3vpce.model import Place
    from pytest_s3vpce.vantage.base import AgentConfig, Limits
    from pytest_s3vpce.vantage.control import ControlPlane

_ROOM: Final = 22_000
"""Characters of an answer that are fetched at a time: below SSM's limit, with room for what stands around it."""
_PART: Final = 55_000
"""Characters of a batch that are carried at a time, where it does not fit into its program."""
_PART_SCRIPT: Final = "umask 077; printf %%s %s > %s/part-%04d"
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
    carries = 96 * 1024
    max_payload = 1_500_000

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
        """The batch, sealed; a ping holds nothing that had to be."""
        if payload.get("ping"):
            return self._carried(packed(payload, self.config, room=_ROOM))
        try:
            sealing = Sealing(self._carried(agreement()))
            program = self._fitting(sealing.carry(payload))
            opened: dict[str, Any] = sealing.open(self._carried(program))
        except (ValueError, KeyError) as error:
            raise self.error("what came back was not sealed with the agreed key", remedy="run it again") from error
        return opened

    def _fitting(self, content: Mapping[str, Any]) -> Program:
        """A program that SSM carries: what does not fit goes ahead in parts, to where the key waits."""
        program = carrying(content, self.config, room=_ROOM)
        if len(program.text) + len(_SCRIPT) <= SCRIPT_LIMIT:
            return program
        text, folder = str(content["sealed"]), shlex.quote(str(content["folder"]))
        parts = [text[start : start + _PART] for start in range(0, len(text), _PART)]
        try:
            sent = [self._commands.send(_PART_SCRIPT % (part, folder, number)) for number, part in enumerate(parts)]
            for command in sent:
                self._commands.collect(command)
        except VantageError:
            self._drop(folder)
            raise
        return carrying({**content, "sealed": "", "parts": len(parts)}, self.config, room=_ROOM)

    def _drop(self, folder: str) -> None:
        """Remove a folder over there, as far as that can be done."""
        with contextlib.suppress(VantageError):
            self._commands.send(f"rm -rf {folder}")

    def _carried(self, program: Program) -> dict[str, Any]:
        return self._answer(self._whole(found(program, self.run(program.text))))

    def _whole(self, output: Output | None) -> Output | None:
        """The answer with its other pieces, which wait over there in a file; it is removed with the last one."""
        if output is None or output.whole or not output.kept:
            return output
        path, folder = shlex.quote(output.kept), shlex.quote(output.kept.rpartition("/")[0])
        starts = range(len(output.text), output.length, _ROOM)
        try:
            sent = [self._commands.send(_piece(path, start)) for start in starts[:-1]]
            pieces = [self._commands.collect(command) for command in sent]
            pieces.append(self._commands.run(f"{_piece(path, starts[-1])}\nrm -rf {folder}"))
        except VantageError:
            self._drop(folder)
            raise
        text = output.text + "".join("".join(piece.split()) for piece in pieces)
        return Output(text=text, length=output.length, kept="")


def _piece(path: str, start: int) -> str:
    return f"tail -c +{start + 1} {path} | head -c {_ROOM}; echo"


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
