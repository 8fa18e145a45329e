"""Commands that the lab runs for its users: none outlives the lab, however either ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

_LEASH = Path(__file__).parent / "worker" / "leash.py"
_POLL_SECONDS = 0.01


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    output: BinaryIO,
    stop: threading.Event,
    seconds: float,
    errors: BinaryIO | None = None,
    said: bytes = b"",
    folder: Path | None = None,
) -> int:
    """The exit status of a command that gets `said` as its standard input; TimeoutError where it does not end.

    Once `stop` is set it is ended. Whatever it started is ended with it.
    """
    stderr = subprocess.STDOUT if errors is None else errors
    process, ours = _started(command, stdout=output, stderr=stderr, env=dict(environment), cwd=folder)
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(said)
        return _wait(process, stop=stop, seconds=seconds)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)


def _started(command: Sequence[str], **given: Any) -> tuple[subprocess.Popen[bytes], int]:
    """The process, and our end of its leash: when that is closed, by us or with us, it ends."""
    held, ours = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [sys.executable, "-S", "-E", str(_LEASH), str(held), *command],
            stdin=subprocess.PIPE,
            pass_fds=(held,),
            start_new_session=True,
            **given,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(held)
    return process, ours


def _wait(process: subprocess.Popen[bytes], *, stop: threading.Event, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while (status := process.poll()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError
        if stop.wait(_POLL_SECONDS):
            return -signal.SIGTERM
    return status
