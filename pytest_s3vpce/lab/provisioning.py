"""Runs the user's provisioning script in a process of its own: sessions of the lab's accounts in, outputs back."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab import leashed, reports
from pytest_s3vpce.model import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

_FUNCTION = "provision"
_MODULE = "pytest_s3vpce.lab.provisioning"
_SECONDS = 300.0
_LOG_TAIL = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSession:
    """An account's administrator: root keys, which only the provisioning gets."""

    account_id: str
    region: str
    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return f"AccountSession({self.account_id!r}, {self.region!r})"


def run(
    script: Path,
    *,
    endpoint_url: str,
    accounts: Mapping[str, AccountSession],
    folder: Path,
    stop: threading.Event | None = None,
    seconds: float = _SECONDS,
) -> dict[str, Any]:
    """What the script's `provision(accounts)` returned; LabError, placed in the script, where it failed.

    Once `stop` is set the script is ended.
    """
    check_script(script)
    request = {
        "script": str(script.resolve()),
        "endpoint_url": endpoint_url,
        "accounts": {
            name: [entry.access_key_id, entry.secret_access_key, entry.region] for name, entry in accounts.items()
        },
    }
    answer, log = folder / "provisioned.json", folder / "provisioning.log"
    answer.unlink(missing_ok=True)
    stop = stop or threading.Event()
    try:
        with log.open("wb") as output:
            status = leashed.run(
                [sys.executable, "-m", _MODULE, str(answer)],
                environment=environment(os.environ, endpoint_url=endpoint_url),
                output=output,
                said=json.dumps(request).encode(),
                stop=stop,
                seconds=seconds,
            )
    except TimeoutError as late:
        what = f"provisioning was not done after {seconds:.0f} s"
        raise LabError(what, place=Place(str(script)), remedy=f"see `{log}`") from late
    return {} if stop.is_set() else _outcome(answer, script=script, log=log, status=status)


def _outcome(answer: Path, *, script: Path, log: Path, status: int) -> dict[str, Any]:
    try:
        found = json.loads(answer.read_text(encoding="utf-8"))
        if "outputs" in found:
            outputs: dict[str, Any] = found["outputs"]
            return outputs
        error = reports.load(found["error"])
    except (OSError, ValueError) as lost:
        tail = log.read_bytes()[-_LOG_TAIL:].decode("utf-8", "replace").strip().rpartition("\n")[2]
        what = f"provisioning ended with exit status {status}: {tail or 'no output'}"
        raise LabError(what, place=Place(str(script))) from lost
    raise error


def check_script(script: Path) -> None:
    if not script.is_file():
        raise LabError(f"there is no provisioning script `{script}`", remedy="write it, or correct the path")


def environment(inherited: Mapping[str, str], *, endpoint_url: str) -> dict[str, str]:
    """The script's environment: nothing in it leads to the user's own AWS accounts, nor round the lab."""
    kept = {
        name: value
        for name, value in inherited.items()
        if not name.startswith("AWS_") and name.upper() not in {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
    }
    return kept | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": endpoint_url,
        "NO_PROXY": "*",
    }


# --- in the child ----------------------------------------------------------------------------------------------------


def main(answer: Path, request: Mapping[str, Any]) -> None:
    """Run the script and write its outputs, or its error."""
    script = Path(request["script"])
    try:
        text = json.dumps({"outputs": _provisioned(script, request)})
    except LabError as error:
        text = json.dumps({"error": reports.dump(error)})
    answer.write_text(text, encoding="utf-8")


def _provisioned(script: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    sessions = {
        name: _session(keys, endpoint_url=request["endpoint_url"]) for name, keys in request["accounts"].items()
    }
    sys.path.insert(0, str(script.parent))
    try:
        provision = getattr(_module(script), _FUNCTION, None)
        outputs = provision(_Accounts(sessions)) if callable(provision) else None
    except (Exception, SystemExit) as error:
        raise _failed(error, script=script) from error
    if not callable(provision):
        raise LabError(
            f"the script defines no `{_FUNCTION}`",
            place=Place(str(script)),
            remedy=f"define `def {_FUNCTION}(accounts):` that takes boto3 sessions by account name",
        )
    return _checked(outputs, script=script)


class _Accounts(dict[str, Any]):
    """Sessions by account name; an unknown name says which there are."""

    def __missing__(self, name: str) -> Any:
        raise LookupError(f"no account `{name}` in the inventory, which has {', '.join(self)}")


def _module(script: Path) -> Any:
    spec = importlib.util.spec_from_file_location("_s3vpce_provision", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _session(keys: list[str], *, endpoint_url: str) -> Any:
    """A boto3 session whose clients and resources speak to the lab unless they are told otherwise."""
    import boto3

    from pytest_s3vpce.onename import UNPREFIXED, keep_to_one_name

    class LabSession(boto3.Session):
        def client(self, *args: Any, **named: Any) -> Any:
            if "endpoint_url" in named:
                return super().client(*args, **named)
            config = UNPREFIXED.merge(named["config"]) if named.get("config") else UNPREFIXED
            made = super().client(*args, **{**named, "endpoint_url": endpoint_url, "config": config})
            keep_to_one_name(made.meta.events)
            return made

        def resource(self, *args: Any, **named: Any) -> Any:
            return super().resource(*args, **{"endpoint_url": endpoint_url, **named})

    access_key_id, secret_access_key, region = keys
    return LabSession(aws_access_key_id=access_key_id, aws_secret_access_key=secret_access_key, region_name=region)


def _failed(error: BaseException, *, script: Path) -> LabError:
    """One line about the failure, at the innermost line of the user's own files."""
    traceback.print_exception(error)  # for the log
    if isinstance(error, SyntaxError) and error.filename:
        place = Place(error.filename, error.lineno or 0, error.offset or 0)
        return LabError(f"the script is not Python: {error.msg}", place=place)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(script.parent)]
    own = [frame for frame in own if "site-packages" not in frame.filename] or frames[-1:]
    place = Place(own[-1].filename, own[-1].lineno or 0) if own else Place(str(script))
    text = " ".join(str(error).split())
    return LabError(f"provisioning failed: {type(error).__name__}: {text}", place=place)


def _checked(outputs: object, *, script: Path) -> dict[str, Any]:
    place, remedy = Place(str(script)), "return a dict of names to strings"
    if outputs is None:
        return {}
    if not isinstance(outputs, dict):
        raise LabError(f"`{_FUNCTION}` returned `{outputs!r:.80}`, not a dict", place=place, remedy=remedy)
    for name, value in outputs.items():
        if not isinstance(name, str) or not isinstance(value, (str, int, float, bool, list)):
            raise LabError(f"`{_FUNCTION}` returned `{name!r}: {value!r:.80}`", place=place, remedy=remedy)
    try:
        json.dumps(outputs)
    except (TypeError, ValueError) as error:
        raise LabError(f"`{_FUNCTION}` returned what is not JSON: {error}", place=place, remedy=remedy) from error
    return dict(outputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.load(sys.stdin))
