"""One worker process from the lab's side: started, called with a deadline, and surely ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BOOTSTRAP = Path(__file__).parent / "worker" / "bootstrap.py"
REDIRECT = Path(__file__).parent / "worker" / "redirect"
_CHUNK = 262_144
_END_SECONDS = 1.0
_LOG_TAIL = 4096
_LOOK_SECONDS = 0.1
"""Between two looks at its memory."""
# Without these the interpreter itself may not start (shared libraries, Windows and macOS paths).
INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "PYTHONHOME")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a worker sent: `ready`, `failed`, `result` or `error`, and its body."""

    kind: str
    body: bytes


class WorkerExited(Exception):  # noqa: N818 - it says what happened
    """The worker process ended by itself; `status` is its exit status, negative for a signal."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class WorkerTimedOut(Exception):  # noqa: N818 - it says what happened
    """The deadline passed; the worker has been killed."""


class WorkerOverMemory(Exception):  # noqa: N818 - it says what happened
    """The worker took more memory than it has; it has been killed."""


class Worker:
    """A worker process with its pipes and log file; `memory` is in MB."""

    def __init__(self, *, environment: Mapping[str, str], folder: Path, log: Path, memory: int) -> None:
        self._log = log
        self._memory = memory
        self._in_use = threading.RLock()
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        modules = [str(REDIRECT), *filter(None, [environment.get("PYTHONPATH")])]
        with log.open("ab") as stderr:
            # -s: no packages of the machine's user; -P: the bootstrap's folder is not importable. Not -I, not -E: they
            # would hide sitecustomize, which places the worker in its subnet.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                [sys.executable, "-s", "-P", str(BOOTSTRAP)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=folder,
                env={**inherited, **environment, "PYTHONPATH": os.pathsep.join(modules)},
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = self._process.stdin.fileno()
        self._answers = self._process.stdout.fileno()
        os.set_blocking(self._requests, False)
        os.set_blocking(self._answers, False)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def receive(self, *, seconds: float) -> Frame:
        return self._transfer(b"", seconds=seconds)

    def call(self, *, header: Mapping[str, object], payload: bytes, seconds: float) -> Frame:
        line = json.dumps({**header, "size": len(payload)}).encode()
        return self._transfer(line + b"\n" + payload, seconds=seconds)

    def _transfer(self, data: bytes, *, seconds: float) -> Frame:
        with self._in_use:
            return self._exchange(data, seconds=seconds)

    def _exchange(self, data: bytes, *, seconds: float) -> Frame:
        deadline = time.monotonic() + seconds
        view = memoryview(data)
        received = bytearray()
        while True:
            left = deadline - time.monotonic()
            ready = self._ready(min(max(0.0, left), _LOOK_SECONDS), writing=len(view))
            readable, writable = self._answers in ready, self._requests in ready
            if self.peak > self._memory:
                self.kill()
                raise WorkerOverMemory
            if not readable and not writable and left <= 0:
                self.kill()
                raise WorkerTimedOut
            if writable:
                with contextlib.suppress(BrokenPipeError):  # its end shows on the other pipe
                    view = view[os.write(self._requests, view[:65_536]) :]
            if readable:
                chunk = os.read(self._answers, _CHUNK)
                if not chunk:
                    raise WorkerExited(self._ended())
                received += chunk
                if frame := _parse(received):
                    return frame

    def _ready(self, seconds: float, *, writing: int) -> set[int]:
        """The pipes that can be read, and written where wanted. `select` knows the first 1024 descriptors only."""
        waiting = select.poll()
        waiting.register(self._answers, select.POLLIN)
        if writing:
            waiting.register(self._requests, select.POLLOUT)
        return {descriptor for descriptor, _ in waiting.poll(seconds * 1000)}

    @property
    def peak(self) -> int:
        """The most memory that it ever had, in MB; 0 where the system does not tell."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_bytes()
        except OSError:
            return 0
        _, _, rest = status.partition(b"VmHWM:")
        return int(rest.split(None, 1)[0]) // 1024 if rest else 0

    def note(self, text: str) -> None:
        """Add a line to the log, as Lambda does around each call."""
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{text}\n")

    def log_size(self) -> int:
        return self._log.stat().st_size

    def log_tail(self, start: int) -> bytes:
        """The last 4 KB of what was logged from `start` on."""
        with self._log.open("rb") as log:
            log.seek(max(start, self.log_size() - _LOG_TAIL))
            return log.read(_LOG_TAIL)

    def kill(self) -> None:
        """End it with all that it started; harmless when it has ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with self._in_use:  # a thread in the midst of a call sees the end first
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()

    def _ended(self) -> int:
        """The exit status; a worker that closed its pipe and goes on is ended here."""
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode


def _parse(received: bytearray) -> Frame | None:
    end = received.find(b"\n")
    if end < 0:
        return None
    header = json.loads(received[:end])
    if len(received) < end + 1 + header["size"]:
        return None
    return Frame(kind=header["kind"], body=bytes(received[end + 1 : end + 1 + header["size"]]))
