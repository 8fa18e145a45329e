"""Terraform against the lab: an unmodified root module is applied through the lab's proxy, and its outputs are read.

Its state and plugins stand in the lab's folder, so that neither those of the module's folder nor its AWS are touched.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab import leashed, surroundings, terraformfolder
from pytest_s3vpce.model import Place

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_s3vpce.lab.provisioning import AccountSession

_SECONDS: Final = 600.0
_LOCK: Final = ".terraform.lock.hcl"
_ERROR: Final = re.compile(r"Error: (?P<what>[^\n]+)\n(?P<rest>.*?)(?=\n\n?Error: |\Z)", re.DOTALL)
_PLACE: Final = re.compile(r"\bon (?P<file>\S+\.tf(?:\.json)?) line (?P<line>\d+)")
_QUIET: Final = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How Terraform gets to the lab, and as whom: the first account's root, the others by profiles of their names."""

    proxy_url: str
    ca_bundle: str
    accounts: Mapping[str, AccountSession]


def check_module(module: Path) -> None:
    """LabError where it is no folder of Terraform's, or there is no Terraform."""
    if not any(module.glob("*.tf")) and not any(module.glob("*.tf.json")):
        raise LabError(f"there is no Terraform module in `{module}`", remedy="name a folder with .tf files")
    if shutil.which("terraform") is None:
        raise LabError("there is no `terraform` on the PATH", remedy="install Terraform")


def run(module: Path, *, way: Way, folder: Path, stop: threading.Event, seconds: float = _SECONDS) -> dict[str, Any]:
    """The outputs of the applied module, by name; LabError with Terraform's own words where it failed.

    Once `stop` is set it is ended.
    """
    check_module(module)
    runner = _Runner(module, way=way, folder=folder / "terraform", stop=stop, until=time.monotonic() + seconds)
    locked = (module / _LOCK).exists()
    try:
        # Without the proxy: plugins come from where the user's settings say, which is not in the lab.
        runner.run("init", environment=runner.plain)
        runner.run("apply", "-auto-approve", "-lock=false", *runner.state)
        found = runner.run("output", "-json", *runner.state)
    finally:
        if not locked:
            (module / _LOCK).unlink(missing_ok=True)
    return {} if stop.is_set() else {name: row["value"] for name, row in json.loads(found or "{}").items()}


class _Runner:
    """Runs Terraform's commands on one module."""

    def __init__(self, module: Path, *, way: Way, folder: Path, stop: threading.Event, until: float) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._module = module
        self._here = terraformfolder.local(module, folder=folder)
        self._folder = folder
        self._stop = stop
        self._until = until
        own = {**_QUIET, "TF_DATA_DIR": str(folder / "data")}
        self.plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | own
        self._through = _environment(way, folder=folder) | own
        self.state = (f"-state={folder / 'terraform.tfstate'}",)

    def run(self, command: str, *options: str, environment: Mapping[str, str] | None = None) -> str:
        """What the command printed; LabError where it failed, nothing once it is to stop."""
        if self._stop.is_set():
            return ""
        log, errors = self._folder / f"{command}.log", self._folder / f"{command}.errors.log"
        words = ["terraform", f"-chdir={self._here.resolve()}", command, *options, "-no-color"]
        words += ["-input=false"] if command != "output" else []
        try:
            with log.open("wb") as output, errors.open("wb") as told:
                status = leashed.run(
                    words,
                    environment=self._through if environment is None else environment,
                    output=output,
                    errors=told,
                    stop=self._stop,
                    seconds=self._until - time.monotonic(),
                )
        except TimeoutError as late:
            raise LabError(f"terraform {command} was not done in time", remedy=f"see `{log}`") from late
        if status and not self._stop.is_set():
            raise self._failure(command, status=status, text=errors.read_text(encoding="utf-8", errors="replace"))
        return log.read_text(encoding="utf-8", errors="replace")

    def _failure(self, command: str, *, status: int, text: str) -> LabError:
        """The first error that Terraform tells of a place in the module, else the first one."""
        errors = list(_ERROR.finditer(text))
        found = next((error for error in errors if _PLACE.search(error["rest"])), next(iter(errors), None))
        if found is None:
            tail = text.strip().rpartition("\n")[2] or f"exit status {status}"
            return LabError(f"terraform {command} failed: {tail}", place=Place(str(self._module)))
        at = _PLACE.search(found["rest"])
        place = Place(str(self._module / at["file"]), int(at["line"])) if at else Place(str(self._module))
        parts = found["rest"].strip().split("\n\n")
        detail = " ".join(
            parts[-1 if at else 0].split()
        )  # below the lines that it shows, before what else there is to say
        told = ": ".join(filter(None, (found["what"].strip(), detail)))
        return LabError(f"terraform {command} failed: {told}", place=place)


def _environment(way: Way, *, folder: Path) -> dict[str, str]:
    first = next(iter(way.accounts.values()))
    profiles = folder / "profiles"
    lines = []
    for name, keys in way.accounts.items():
        lines += [f"[{name}]", f"aws_access_key_id = {keys.access_key_id}"]
        lines += [f"aws_secret_access_key = {keys.secret_access_key}", f"region = {keys.region}"]
    profiles.touch(mode=0o600)
    profiles.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = surroundings.of_command(os.environ, urls={"proxy_url": way.proxy_url}, ca_bundle=way.ca_bundle, keys=first)
    return {**found, "AWS_SHARED_CREDENTIALS_FILE": str(profiles)}
