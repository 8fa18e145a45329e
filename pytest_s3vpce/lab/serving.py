"""Serving a lab until it is told to end: started, provisioned, announced by its ready file, and cleared away."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import socket
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.calibration import NONE, read
from pytest_s3vpce.errors import LabError, RunError
from pytest_s3vpce.lab import provisioning
from pytest_s3vpce.lab.delays import USUAL, Delays
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.lab.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_s3vpce.calibration import Calibration
    from pytest_s3vpce.lab.assembly import Lab
    from pytest_s3vpce.lab.organizationfile import Organization

_ACCOUNT = re.compile(r"(?P<name>[^=]+)=(?P<id>[0-9]{12})(?:@(?P<region>[a-z0-9-]+))?")
_PATIENCE = 0.0005
"""Seconds that a request waits for its turn while loading goes on."""
_GLANCE = 0.5
"""Seconds until a signal is noticed that another thread than the main one got."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a lab is started with. Accounts are id and Region by name."""

    ready_file: Path
    accounts: Mapping[str, tuple[str, str]]
    port: int = 0
    organization: Path | None = None
    """A file with units, accounts and policies, made before anything else is built."""
    terraform: Path | None = None
    """A folder with a root module, applied before `provision` runs."""
    stacks: Path | None = None
    """A file that `stackfile.write` wrote: stacks that are created after the module and before the script."""
    provision: Path | None = None
    enforce: Enforcement = Enforcement.DEFAULT
    log: Path | None = None
    delays: Delays = USUAL
    calibration: Path | None = None
    """A file of `s3vpce calibrate`: what AWS documents nowhere is as it says."""
    folder: Path | None = None
    """For the lab's files; without it they stand in one that is removed at the end."""

    @property
    def makes(self) -> bool:
        """Whether anything is made before the lab is ready."""
        return any((self.organization, self.terraform, self.stacks, self.provision))


def accounts_of(texts: Sequence[str], *, region: str) -> dict[str, tuple[str, str]]:
    """Id and Region by name."""
    found: dict[str, tuple[str, str]] = {}
    for text in texts:
        match = _ACCOUNT.fullmatch(text)
        if match is None:
            raise LabError(f"`{text}` is no account", remedy="write NAME=ID, the id being twelve digits")
        if match["name"] in found:
            raise LabError(f"account `{match['name']}` is given twice", remedy="leave one out")
        found[match["name"]] = (match["id"], match["region"] or region)
    return found


@contextmanager
def told_to_end() -> Iterator[threading.Event]:
    """An event that SIGTERM, SIGINT and SIGHUP set."""
    stop = threading.Event()
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # by nohup
    numbers = [number for number in _SIGNALS if not (ignored and number == signal.SIGHUP)]
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for(stop: threading.Event) -> None:
    """Until it is set. A signal that the system gives to another thread does not wake the main one by itself.

    https://docs.python.org/3/library/signal.html#execution-of-python-signal-handlers
    """
    while not stop.wait(_GLANCE):
        pass


def serve(
    settings: Settings, *, stop: threading.Event, announce: Callable[[Mapping[str, Any]], None] = lambda _: None
) -> None:
    """A lab from its start to its end; `announce` gets what the ready file says, once it is ready."""
    _check_ready_file(settings.ready_file)
    _check_port(settings.port)
    if settings.log is not None:
        Journal(settings.log).close()
    calibration = NONE if settings.calibration is None else _calibration(settings.calibration)
    organization = None
    if settings.organization is not None:
        from pytest_s3vpce.lab.organizationfile import Organization

        organization = Organization.load(settings.organization, accounts=settings.accounts)
    if settings.terraform is not None:
        from pytest_s3vpce.lab import terraform

        terraform.check_module(settings.terraform)
    if settings.provision is not None:
        provisioning.check_script(settings.provision)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]  # the lab is no client of the user's AWS; a missing profile would stop botocore
    if settings.folder is not None:
        _serve(settings, organization, calibration, folder=settings.folder, stop=stop, announce=announce)
        return
    with tempfile.TemporaryDirectory(prefix="s3vpce-lab-") as folder:
        _serve(settings, organization, calibration, folder=Path(folder), stop=stop, announce=announce)


def _calibration(path: Path) -> Calibration:
    try:
        return read(path)
    except RunError as error:
        raise LabError(error.what, remedy=error.remedy) from error


def _serve(
    settings: Settings,
    organization: Organization | None,
    calibration: Calibration,
    *,
    folder: Path,
    stop: threading.Event,
    announce: Callable[[Mapping[str, Any]], None],
) -> None:
    from pytest_s3vpce.lab.assembly import Lab

    settings.ready_file.unlink(missing_ok=True)  # a killed lab's must not pass for this one's
    gc.disable()  # nothing of what is loaded now ends before the lab does
    lab = Lab(
        folder=folder,
        accounts=settings.accounts,
        port=settings.port,
        enforce=settings.enforce,
        log=settings.log,
        delays=settings.delays,
        calibration=calibration,
    )
    loading = _Loading(lab, stop=stop)
    try:
        if organization is not None:
            organization.make(lab.state, accounts=lab.sessions(), endpoint_url=lab.endpoint_url)
        outputs = _provisioned(lab, settings, folder=folder, stop=stop)
        if settings.makes:
            loading.wait()
        if not stop.is_set():
            ready = lab.ready(outputs)
            write(settings.ready_file, json.dumps(ready, indent=1))
            announce(ready)
            wait_for(stop)
        loading.check()
    finally:
        settings.ready_file.unlink(missing_ok=True)  # first: whoever finds no lab any more shall not find this either
        lab.close()


class _Loading:
    """Loads the lab while it serves. What is found wrong ends it, before it is ready if it first makes something."""

    def __init__(self, lab: Lab, *, stop: threading.Event) -> None:
        self._lab = lab
        self._stop = stop
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._load, name="lab-loading", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        self._thread.join()
        self.check()

    def check(self) -> None:
        """Raises what went wrong so far."""
        if self._failure is not None:
            raise self._failure

    def _load(self) -> None:
        usual = sys.getswitchinterval()
        sys.setswitchinterval(_PATIENCE)
        try:
            self._lab.load()
        except Exception as failure:  # noqa: BLE001 - it is raised where the lab is served
            self._failure = failure
            self._stop.set()
        finally:
            sys.setswitchinterval(usual)
            gc.freeze()  # what is loaded stays: neither requests nor the end need look through it again
            gc.enable()


def _provisioned(lab: Lab, settings: Settings, *, folder: Path, stop: threading.Event) -> dict[str, Any]:
    outputs: dict[str, Any] = {}
    if settings.terraform is not None and not stop.is_set():
        from pytest_s3vpce.lab import terraform

        way = terraform.Way(proxy_url=lab.endpoint_url, ca_bundle=lab.ca_bundle, accounts=lab.sessions())
        outputs |= terraform.run(settings.terraform, way=way, folder=folder, stop=stop)
    if settings.stacks is not None and not stop.is_set():
        from pytest_s3vpce.lab import stackfile

        rows, accounts = stackfile.read(settings.stacks), lab.sessions()
        outputs |= stackfile.create(rows, endpoint_url=lab.endpoint_url, accounts=accounts, outputs=outputs, stop=stop)
    if settings.provision is not None and not stop.is_set():
        outputs |= provisioning.run(
            settings.provision, endpoint_url=lab.endpoint_url, accounts=lab.sessions(), folder=folder, stop=stop
        )
    return outputs


def _check_ready_file(path: Path) -> None:
    """That it can't be written is told at once, not when all else is done; a running lab's is not taken from it."""
    if path.is_file() and _is_running(path):
        raise LabError(f"a lab is running with the ready file `{path}`", remedy="name another, or end that lab")
    if path.is_dir():
        raise LabError(f"`{path}` can't be written: it is a folder", remedy="name a file")
    _beside(path, "").unlink(missing_ok=True)


def _is_running(ready_file: Path) -> bool:
    from pytest_s3vpce.lab.client import running_lab

    try:
        return running_lab(ready_file).answers()
    except LabError:
        return False


def _check_port(port: int) -> None:
    """That it is taken is told at once; should another be quicker, the lab still tells it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as failure:
            said = getattr(failure, "strerror", None) or str(failure)
            raise LabError(f"can't listen on port {port}: {said}", remedy="choose another port") from failure


def write(path: Path, text: str) -> None:
    """Whole or not at all, readable by this user only."""
    fresh = _beside(path, text)
    try:
        fresh.replace(path)
    except OSError as failure:
        fresh.unlink(missing_ok=True)
        raise _unwritable(path, failure) from failure


def _beside(path: Path, text: str) -> Path:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as failure:
        raise _unwritable(path, failure) from failure
    return fresh


def _unwritable(path: Path, failure: OSError) -> LabError:
    return LabError(f"`{path}` can't be written: {failure.strerror}", remedy="make its folder")
