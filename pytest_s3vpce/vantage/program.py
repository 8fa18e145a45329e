"""One Python program that carries the agent, its configuration and a batch to any Python 3, and the answer back."""

from __future__ import annotations

import base64
import re
import secrets
import string
import zlib
from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.vantage import agent, errand
from pytest_s3vpce.vantage.base import AgentVantage, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_s3vpce.model import Place
    from pytest_s3vpce.vantage.base import AgentConfig, Limits

MARGIN: Final = 30
"""Seconds that a program may take beyond the batch's deadline: to connect, to start, to come back."""
_WIDTH: Final = 120
_LONG_WORD: Final = 100
# What comes before the answer (banners, a message of the day, an echo of the program) must not look like it: the mark
# is put together only where the program runs. The first lines are understood by Python 2 as well, so that it can say
# that it is too old.
_SOURCE: Final = string.Template('''\
import sys
if sys.version_info < (3, 8):
    sys.exit("the agent needs Python 3.8 or newer, and this is %d.%d" % tuple(sys.version_info[:2]))
import base64, json, zlib
CARRIED = """
$carried
"""
carried = json.loads(zlib.decompress(base64.b64decode(CARRIED)).decode())
errand = {"__name__": "errand"}
exec(compile(carried["errand"], "errand.py", "exec"), errand)
errand["main"](carried, "-".join(("s3vpce", "answer", "$nonce")))
''')
_HEAD: Final = r":(\d{1,12}):([\w./-]*)\r?\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program's text, and the mark by which its answer is known."""

    text: str = field(repr=False)
    mark: str

    @property
    def head(self) -> re.Pattern[str]:
        """The line before the answer: its length, and where the rest of it was kept."""
        return re.compile(re.escape(self.mark) + _HEAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What was found in a program's output: the answer's text as far as it came, its length, where the rest is."""

    text: str = field(repr=False)
    length: int
    kept: str

    @property
    def whole(self) -> bool:
        return len(self.text) >= self.length


class Sealing:
    """A key agreed on for one batch with the place that it goes to; what comes back is sealed with it as well."""

    def __init__(self, agreed: Mapping[str, Any]) -> None:
        secret, self.public = errand.pair()
        self.folder = str(agreed["folder"])
        self._known = errand.shared(secret, int(agreed["public"]))

    def carry(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        data = errand.sealed(errand.encoded(batch), self._known, errand.THERE)
        text = base64.b64encode(data).decode()
        return {"sealed": text, "parts": 0, "public": self.public, "folder": self.folder}

    def open(self, reply: Mapping[str, Any]) -> Any:
        """ValueError if it was changed on its way."""
        data = base64.b64decode(str(reply.get("sealed", "")), validate=True)
        return unpacked(base64.b64encode(errand.unsealed(data, self._known, errand.BACK)).decode())


def packed(batch: Mapping[str, Any], config: AgentConfig, *, room: int = 0) -> Program:
    """The program for a batch. An answer longer than `room` characters is kept over there in a file; 0 is no bound."""
    return carrying({"batch": batch}, config, room=room)


def carrying(content: Mapping[str, Any], config: AgentConfig, *, room: int) -> Program:
    """The program for a batch as it is, or as it was sealed."""
    source = Path(agent.__file__).read_text(encoding="utf-8")
    return _program({"source": source, "agent": agent.AGENT, "config": config.as_json(), "room": room, **content})


def agreement() -> Program:
    """The program that agrees on a key."""
    return _program({"agree": True, "room": 0})


def _program(carried: Mapping[str, Any]) -> Program:
    source = Path(errand.__file__).read_text(encoding="utf-8")
    text = base64.b64encode(errand.encoded({"errand": source, **carried})).decode()
    lines = "\n".join(text[start : start + _WIDTH] for start in range(0, len(text), _WIDTH))
    nonce = secrets.token_hex(8)
    return Program(text=_SOURCE.substitute(nonce=nonce, carried=lines), mark=f"s3vpce-answer-{nonce}")


def found(program: Program, output: str) -> Output | None:
    """The answer in a program's output, whatever stands around it; None where there is none."""
    head = program.head.search(output)
    if head is None:
        return None
    length = int(head[1])
    text = "".join(output[head.end() :].split())
    return Output(text=text[:length], length=length, kept=head[2])


def unpacked(text: str) -> dict[str, Any]:
    """The answer's JSON. ValueError if it did not come over unharmed."""
    try:
        reply = errand.decoded(base64.b64decode(text, validate=True))
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not isinstance(reply, dict):
        raise ValueError("an answer is an object")  # noqa: TRY004 - what was sent is wrong, not a type here
    return reply


class ProgramVantage(AgentVantage):
    """A place where a Python 3 reads a program: a kind of it implements `run`, and has its `settings` to go by."""

    def __init__(
        self,
        name: str,
        *,
        settings: Mapping[str, Any] | None = None,
        config: AgentConfig | None = None,
        limits: Limits | None = None,
        connect_to: Sequence[str] = (),
        place: Place | None = None,
    ) -> None:
        super().__init__(name, config=config, limits=limits, connect_to=connect_to, place=place)
        self.settings = settings or {}

    @property
    def seconds(self) -> float:
        """How long a program may take: the batch's own deadline, and the way there and back."""
        return self.limits.deadline + MARGIN

    @abstractmethod
    def run(self, program: str) -> str:
        """What a Python 3 over there prints when it is given this program. VantageError if it can't be run.

        The program holds signed requests: hand it over on stdin, never in an argument or an environment variable.
        """

    def prepare(self, *, notify: Callable[[str], None] = silent) -> None:
        notify(f"asking vantage point {self.name} whether Python runs there")
        reply = self._exchange({"ping": True})
        if reply.get("version") != agent.VERSION or reply.get("agent") != agent.AGENT:
            raise self.error("what answered is not the agent that was sent")

    def _exchange(self, payload: dict[str, Any]) -> dict[str, Any]:
        program = packed(payload, self.config)
        try:
            output = str(self.run(program.text))
        except S3VpceError:
            raise
        except Exception as error:
            raise self.error(f"the program can't be run: {type(error).__name__}: {one_line(str(error))}") from error
        return self._answer(found(program, output))

    def _answer(self, output: Output | None) -> dict[str, Any]:
        if output is None:
            raise self.error(
                "what ran there printed no answer of the agent",
                remedy="it has to end in a Python 3 that reads its program from stdin, such as `python3 -`",
            )
        if not output.whole:
            raise self.error(
                f"the answer was cut off after {len(output.text)} of {output.length} characters", remedy="run it again"
            )
        try:
            reply = unpacked(output.text)
        except ValueError as error:
            raise self.error(
                "the agent's answer was damaged on its way", remedy="keep other output out of it, then run it again"
            ) from error
        if "error" in reply:
            raise self.error(f"the agent failed there: {one_line(str(reply['error']))}")
        return reply


def one_line(text: str, *, length: int = 400) -> str:
    """The end of what somebody else's program said: on one line, without control characters and what may be secret.

    A shell or another interpreter that is handed the program may quote it; what was carried is one long word.
    """
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    words = [word if len(word) < _LONG_WORD else "..." for word in plain.split()]
    line = " ".join(words)
    return line if len(line) <= length else "..." + line[-length:]
