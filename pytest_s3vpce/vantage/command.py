"""The vantage point `command`: any command that ends in a Python 3 reading its program from stdin."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.vantage.base import TOLD_TO_END
from pytest_s3vpce.vantage.program import ProgramVantage, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_s3vpce.model import Place
    from pytest_s3vpce.vantage.base import AgentConfig, Limits

_PIECE: Final = 65_536
_STDERR_KEPT: Final = 8_192
_OUTPUT_LIMIT: Final = 256 * 1024 * 1024
"""Bytes; what prints more than that prints without end."""
_QUIET: Final = 0.1
_GRACE: Final = 1.0
_REMEDY: Final = "it has to end in a Python 3 that reads its program from stdin, such as `python3 -`"
# https://www.gnu.org/software/bash/manual/html_node/Exit-Status.html; 255 is ssh's own: https://man.openbsd.org/ssh
_STATUSES: Final = {
    126: "the command was found over there, but it can't be executed",
    127: "install Python 3.8 or newer there, or name its full path",
    255: "ssh reports failures of its own with 255: check that it connects by itself, without a question",
}


class CommandVantage(ProgramVantage):
    """Runs the command for each batch, without a shell; the program goes in on stdin, never in an argument."""

    kind = "command"

    def __init__(
        self,
        name: str,
        *,
        command: Sequence[str],
        folder: Path | None = None,
        ended: threading.Event | None = None,
        config: AgentConfig | None = None,
        limits: Limits | None = None,
        connect_to: Sequence[str] = (),
        place: Place | None = None,
    ) -> None:
        super().__init__(name, config=config, limits=limits, connect_to=connect_to, place=place)
        self._command = tuple(command)
        self._folder = folder
        self._ended = ended or threading.Event()

    @property
    def _what(self) -> str:
        return f"command `{one_line(self._command[0])}`"

    def run(self, program: str) -> str:
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own command, and no shell
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._folder,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise self.error(
                f"{self._what} can't be started: {one_line(reason)}", remedy="install it, or correct the command"
            ) from error
        with process:
            talk = _Talk(process, program.encode(), seconds=self.seconds, ended=self._ended)
            try:
                talk.go()
            finally:
                _end(process)
        return self._judged(talk, process.returncode)

    def _judged(self, talk: _Talk, status: int) -> str:
        if talk.fault:
            raise self.error(f"{self._what} {talk.fault}{_said(talk.stderr)}", remedy=_REMEDY)
        if status:
            how = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
            raise self.error(f"{self._what} {how}{_said(talk.stderr)}", remedy=_STATUSES.get(status, _REMEDY))
        return talk.stdout.decode("utf-8", "replace")


class _Talk:
    """Hands a program to a process and listens, until it is done, its time is over, or the run ends."""

    def __init__(
        self, process: subprocess.Popen[bytes], program: bytes, *, seconds: float, ended: threading.Event
    ) -> None:
        self._process = process
        self._left = memoryview(program)
        self._seconds = seconds
        self._ended = ended
        self._end = time.monotonic() + seconds
        self._selector = selectors.DefaultSelector()
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.fault = ""

    def go(self) -> None:
        """Ends when the process has closed its output, or is gone: what it left running may hold the pipes for long."""
        process: Any = self._process
        handlers = {process.stdin: self._write, process.stdout: self._read, process.stderr: self._listen}
        with self._selector:
            for pipe in handlers:
                os.set_blocking(pipe.fileno(), False)
                mode = selectors.EVENT_WRITE if pipe is process.stdin else selectors.EVENT_READ
                self._selector.register(pipe, mode)
            while process.stdout in self._selector.get_map() and not self.fault:
                gone = process.poll() is not None
                ready = self._selector.select(_QUIET)
                for key, _ in ready:
                    handlers[key.fileobj]()
                if gone and not ready:
                    break
                self._check()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE if self.fault else max(self._end - time.monotonic(), _GRACE))
        self._drain()
        if process.poll() is None and not self.fault:
            self.fault = f"did not end within {self._seconds:.0f} s"

    def _check(self) -> None:
        if self._ended.is_set():
            raise VantageError(TOLD_TO_END)
        if time.monotonic() > self._end:
            self.fault = f"gave no answer within {self._seconds:.0f} s"
        elif len(self.stdout) > _OUTPUT_LIMIT:
            self.fault = "prints without end"

    def _write(self) -> None:
        pipe: Any = self._process.stdin
        try:
            self._left = self._left[os.write(pipe.fileno(), self._left[:_PIECE]) :]
        except OSError:  # it reads no more: its status and what it said tell why
            self._left = self._left[:0]
        if not self._left:
            self._selector.unregister(pipe)
            with contextlib.suppress(OSError):
                pipe.close()

    def _read(self) -> None:
        self._take(self._process.stdout, self.stdout)

    def _listen(self) -> None:
        self._take(self._process.stderr, self.stderr)
        del self.stderr[:-_STDERR_KEPT]

    def _take(self, pipe: Any, kept: bytearray) -> None:
        data = os.read(pipe.fileno(), _PIECE)
        kept += data
        if not data:
            self._selector.unregister(pipe)

    def _drain(self) -> None:
        """What was said on stderr until now."""
        pipe: Any = self._process.stderr
        with contextlib.suppress(BlockingIOError):
            while data := os.read(pipe.fileno(), _PIECE):
                self.stderr += data
                del self.stderr[:-_STDERR_KEPT]


def _said(stderr: bytearray) -> str:
    text = one_line(stderr.decode("utf-8", "replace"))
    return f": {text}" if text else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command that has not ended by itself, with all that it started here."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
