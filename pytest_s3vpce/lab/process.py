"""The lab as a child process: started, waited for, and ended with its parent."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab import reports
from pytest_s3vpce.lab.enforcement import Enforcement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_s3vpce.lab.stackfile import StackRow

_MODULE = "pytest_s3vpce.lab"
_SECONDS = 930.0
_POLL_SECONDS = 0.01
_END_SECONDS = 5.0
_LOG_TAIL = 2000
_NEEDED = ("moto", "flask", "trustme")


class LabProcess:
    """A running lab. It ends with `stop`, or when this process ends."""

    def __init__(self, process: subprocess.Popen[bytes], *, ready_file: Path) -> None:
        self._process = process
        self.ready_file = ready_file

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """End it with all that it started; harmless when it has ended."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.ready_file.unlink(missing_ok=True)


def start_lab(
    folder: Path,
    *,
    accounts: Mapping[str, tuple[str, str]],
    organization: Path | None = None,
    terraform: Path | None = None,
    stacks: Sequence[StackRow] = (),
    provision: Path | None = None,
    enforce: Enforcement = Enforcement.DEFAULT,
    log: Path | None = None,
    calibration: Path | None = None,
    seconds: float = _SECONDS,
    stop: threading.Event | None = None,
) -> LabProcess:
    """A lab that is ready and provisioned; LabError with its own words where it did not come up.

    `accounts` gives id and Region by name. Its files stand in `folder`, which is made if it is missing. Once `stop` is
    set, nobody waits for it any longer and it is ended.
    """
    check_packages()
    ready, output = _empty(folder), folder / "lab.log"
    files = {"--organization": organization, "--terraform": terraform, "--provision": provision, "--log-requests": log}
    files |= {"--calibration": calibration, "--stacks": _stacks_file(folder, stacks)}
    command = [sys.executable, "-m", _MODULE, "--with-parent", "--folder", str(folder), "--ready-file", str(ready)]
    for name, (account, region) in accounts.items():
        command += ["--account", f"{name}={account}@{region}"]
    for option, path in files.items():
        command += [] if path is None else [option, str(path)]
    command += [] if enforce is Enforcement.DEFAULT else ["--enforce", enforce.value]
    lab = LabProcess(_started(command, output=output), ready_file=ready)
    try:
        _wait(lab, output=output, seconds=seconds, stop=stop or threading.Event())
    except BaseException:
        lab.stop()
        raise
    return lab


def _empty(folder: Path) -> Path:
    """Make the folder, without what an earlier lab left there; the ready file to come."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as failure:
        raise LabError(f"the lab's folder `{folder}` can't be made: {failure.strerror}") from failure
    ready = folder / "ready.json"
    for stale in (ready, error_file(ready)):
        stale.unlink(missing_ok=True)
    return ready


def _stacks_file(folder: Path, stacks: Sequence[StackRow]) -> Path | None:
    if not stacks:
        return None
    from pytest_s3vpce.lab import stackfile

    path = folder / "stacks.json"
    stackfile.write(stacks, path)
    return path


def _started(command: Sequence[str], *, output: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the run, which still has to clean up in the lab
        )


def check_packages() -> None:
    """LabError where the extra `lab` is not installed."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise LabError(f"the lab needs {', '.join(missing)}", remedy="pip install 'pytest-s3vpce[lab]'")


def error_file(ready_file: Path) -> Path:
    """Where a lab that can't start says why."""
    return ready_file.with_name(f"{ready_file.name}.error")


def _wait(lab: LabProcess, *, output: Path, seconds: float, stop: threading.Event) -> None:
    deadline = time.monotonic() + seconds
    while not lab.ready_file.exists():
        if not lab.alive:
            raise _failure(lab.ready_file, output=output)
        if time.monotonic() > deadline:
            raise LabError(f"the lab was not ready after {seconds:.0f} s", remedy=f"see `{output}`")
        if stop.wait(_POLL_SECONDS):
            raise LabError("the lab was ended before it was ready")


def _failure(ready_file: Path, *, output: Path) -> LabError:
    try:
        return reports.load(error_file(ready_file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        tail = output.read_bytes()[-_LOG_TAIL:].decode("utf-8", "replace").strip().rpartition("\n")[2]
        return LabError(f"the lab ended before it was ready: {tail or 'no output'}", remedy=f"see `{output}`")
