"""Shell scripts that really run, each in a process group that ends with it, with its time, or with the lab."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

from pytest_s3vpce.lab.runtime import INHERITED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The lab holds the other end of this shell's stdin: when it is gone, so is the lab.
_LEASH = 'exec 3<&0; { cat <&3 >/dev/null; kill -9 0; } >/dev/null 2>&1 & exec sh "$0" </dev/null 3<&-'
_GRACE = 1.0


class Script:
    """A script that has been started."""

    def __init__(self, path: Path, *, environment: Mapping[str, str], folder: Path) -> None:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._lock = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - what SendCommand brought is run on purpose
            ["/bin/sh", "-c", _LEASH, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**inherited, **environment},
            start_new_session=True,
        )

    def wait(self, seconds: float) -> tuple[int, str, str]:
        """Status, stdout and stderr; TimeoutError if it has not ended by then, and it is ended."""
        process = self._process
        texts: dict[str, bytes] = {}
        readers = [
            threading.Thread(target=lambda name=name, pipe=pipe: texts.update({name: pipe.read()}), daemon=True)
            for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr))
        ]
        for reader in readers:
            reader.start()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            self.kill()  # what it left in the background as well, or the pipes would stay open
            for reader in readers:
                reader.join(_GRACE)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        said = [texts.get(name, b"").decode("utf-8", "replace") for name in ("stdout", "stderr")]
        return process.returncode, said[0], said[1]

    def kill(self) -> None:
        """End it with all that it started; harmless when it has ended."""
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
