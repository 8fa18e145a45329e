"""How each kind of principal gets its keys: assumed roles in all their ways, profiles, and keys of the environment."""

from __future__ import annotations

import json
import os
import re
import select
import termios
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.credentials import CredentialProvider, RefreshableCredentials
from botocore.exceptions import ClientError

from pytest_s3vpce.errors import CredentialError, PolicyError
from pytest_s3vpce.policy import parse
from pytest_s3vpce.probe import Credentials

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_s3vpce.model import Place
    from pytest_s3vpce.signers import Principal

    Resolve = Callable[[str], str]

MFA_SECONDS: Final = 43_200
TERMINAL: Final = Path("/dev/tty")
_ECHO_AT: Final = 3
"""Where a terminal's attributes have the flag: https://docs.python.org/3/library/termios.html#termios.tcgetattr"""
_LOOK_SECONDS: Final = 0.2
_LONGEST_LINE: Final = 1024


class Renewed(CredentialProvider):
    """Gives botocore keys that it renews by itself before they end, for clients that outlive one session."""

    METHOD = "assume-role"

    def __init__(self, first: Credentials, again: Callable[[], Credentials]) -> None:
        super().__init__()
        self._first = first
        self._again = again

    def load(self) -> RefreshableCredentials:
        return RefreshableCredentials.create_from_metadata(
            metadata=_metadata(self._first), refresh_using=lambda: _metadata(self._again()), method=self.METHOD
        )


def _metadata(keys: Credentials) -> dict[str, Any]:
    assert keys.expires_at is not None
    return {
        "access_key": keys.access_key_id,
        "secret_key": keys.secret_access_key,
        "token": keys.session_token,
        "expiry_time": datetime.fromtimestamp(keys.expires_at, UTC).isoformat(),
    }


def tried(call: Callable[[], Any], *, pauses: Sequence[float], wait: Callable[[float], bool]) -> Any:
    """What the call answers; a role that may not be assumed is tried again after each pause: it may be a new one.

    `wait` says whether there is nothing to wait for any more.
    """
    for pause in pauses:
        try:
            return call()
        except ClientError as error:
            if error.response["Error"].get("Code") != "AccessDenied" or wait(pause):
                raise
    return call()


def check_account(client: Any, whose: str, *, wanted: str, place: Place) -> None:
    """CredentialError where an STS client's credentials belong to another account than is said.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    found = client.get_caller_identity()["Account"]
    if found != wanted:
        raise CredentialError(
            f"{whose} is `{wanted}` in the inventory, but its credentials belong to `{found}`",
            place=place,
            remedy="correct the id, or the profile, role or keys; nothing is sent or created with them",
        )


def role_arguments(row: Principal, *, resolve: Resolve) -> dict[str, Any]:
    """What AssumeRole takes for a principal besides role, session name, duration and policy.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
    """
    found: dict[str, Any] = {}
    if row.external_id is not None:
        found["ExternalId"] = resolve(row.external_id)
    if row.source_identity is not None:
        found["SourceIdentity"] = resolve(row.source_identity)
    if row.session_tags:
        found["Tags"] = [{"Key": key, "Value": resolve(value)} for key, value in row.session_tags.items()]
    if row.transitive_tags:
        found["TransitiveTagKeys"] = list(row.transitive_tags)
    return found


def session_policy(own: Mapping[str, Any] | None, given: str) -> str:
    """The inline policy of a session: the principal's own, narrowed by what a probe is to be signed under.

    A session has one inline policy, so the two become one: what is denied by either is denied, and what the given one
    does not allow is denied too.
    """
    if own is None:
        return given
    statements = _statements(own)
    if given:
        narrowing = _statements(json.loads(given))
        statements += [row for row in narrowing if row["Effect"] == "Deny"]
        statements += list(_nothing_but([row for row in narrowing if row["Effect"] == "Allow"]))
    return json.dumps({"Version": own.get("Version", "2012-10-17"), "Statement": statements}, separators=(",", ":"))


def _statements(policy: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = policy["Statement"]
    return list(rows) if isinstance(rows, list) else [rows]


def _nothing_but(allows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Denies of all that none of the statements names."""
    for element, everything in (("Action", "Resource"), ("Resource", "Action")):
        named = sorted({text for row in allows for text in _texts(row[element])})
        if "*" not in named:
            yield {"Effect": "Deny", f"Not{element}": named, everything: "*"}


def _texts(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def read_policy(path: Path, *, place: Place) -> dict[str, Any]:
    """A session policy in a file. CredentialError says what is wrong with it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"session policy `{path}` can't be read: {error.strerror}"
        raise CredentialError(what, place=place, remedy="name a file beside the inventory") from error
    except ValueError as error:
        what = f"session policy `{path}` is not JSON: {error}"
        raise CredentialError(what, place=place, remedy="write a policy document") from error
    return checked_policy(found, place=place)


def checked_policy(given: Any, *, place: Place) -> dict[str, Any]:
    """A session policy, if it is a policy document. CredentialError says what is wrong with it."""
    try:
        parse(given, name="session_policy")
    except PolicyError as error:
        raise CredentialError(error.what, place=place, remedy=error.remedy) from error
    found: dict[str, Any] = given
    return found


def environment_keys(row: Principal, *, place: Place, environment: Mapping[str, str] = os.environ) -> Credentials:
    """Static keys of the environment. CredentialError names the variable that is not set."""
    names = row.keys
    assert names is not None
    values: dict[str, Any] = {}
    for field in ("access_key_id", "secret_access_key", "session_token"):
        name = getattr(names, field)
        if name is None:
            continue
        if not environment.get(name):
            what = f"environment variable `{name}` is not set, which is to hold the {field.replace('_', ' ')}"
            raise CredentialError(what, place=place, remedy="set it, or name another under `keys`")
        values[field] = environment[name]
    return Credentials(**values)


def token_in(path: Path, *, place: Place) -> str:
    """The token of a web identity. CredentialError where there is none."""
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        what = f"the web identity token `{path}` can't be read"
        raise CredentialError(what, place=place, remedy="name the file that the identity provider writes") from error
    if not token:
        raise CredentialError(f"the web identity token `{path}` is empty", place=place, remedy="have it written anew")
    return token


def mfa_of_profile(core: Any) -> str | None:
    """The device that the profile of a botocore session asks a code of, itself or one that it is made from.

    https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-role.html#cli-configure-role-mfa
    """
    profiles, name, seen = core.full_config.get("profiles", {}), core.profile or "default", set()
    while name in profiles and name not in seen:
        row = profiles[name]
        if "role_arn" in row and row.get("mfa_serial"):
            return str(row["mfa_serial"])
        seen.add(name)
        name = row.get("source_profile", "")
    return None


def share_roles(core: Any, serial: str, *, kept: dict[str, Any], ended: threading.Event, place: Place) -> None:
    """Roles that profiles stand for are assumed once for all sessions, so a code is asked for once, until `ended`."""
    if not kept:
        check_terminal(serial, place=place)
    provider = core.get_component("credential_provider").get_provider("assume-role")
    provider.cache = kept
    provider._prompter = partial(typed, ended=ended)  # noqa: SLF001 - botocore takes it where it makes the provider only


def typed(prompt: str, *, ended: threading.Event) -> str:
    """A line typed at the terminal, unseen as with getpass; CredentialError as soon as the run ends.

    Who reads a terminal in another thread than the main one is woken by no signal.
    """
    descriptor = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY)
    try:
        before = termios.tcgetattr(descriptor)
        unseen = [flags & ~termios.ECHO if at == _ECHO_AT else flags for at, flags in enumerate(before)]
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, unseen)
        try:
            os.write(descriptor, prompt.encode())
            while not ended.is_set():
                if select.select([descriptor], [], [], _LOOK_SECONDS)[0]:
                    return os.read(descriptor, _LONGEST_LINE).decode("utf-8", "replace").rstrip("\n")
            raise CredentialError("no code is waited for any longer: the run was told to end")
        finally:
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
            os.write(descriptor, b"\n")
    finally:
        os.close(descriptor)


def ask_for_code(
    serial: str, *, place: Place, ended: threading.Event, environment: Mapping[str, str] = os.environ
) -> str:
    """The code that an MFA device shows, asked for at the terminal; never under CI, where nobody would answer."""
    check_terminal(serial, place=place, environment=environment)
    code = typed(f"MFA code of {serial}: ", ended=ended).strip()
    if not re.fullmatch(r"\d{6}", code, re.ASCII):
        what = f"what was typed for MFA device `{serial}` is no code"
        raise CredentialError(what, place=place, remedy="run it again, and type the six digits that the device shows")
    return code


def check_terminal(serial: str, *, place: Place, environment: Mapping[str, str] = os.environ) -> None:
    """Raises CredentialError where nobody would be asked for a code, or nobody could be."""
    remedy = "run it at a terminal, or use a principal whose role asks for no MFA"
    if environment.get("CI"):
        raise CredentialError(
            f"MFA device `{serial}` wants a code, and nobody is asked under CI", place=place, remedy=remedy
        )
    try:
        with TERMINAL.open("rb"):
            pass
    except OSError as error:
        what = f"MFA device `{serial}` wants a code, and there is no terminal to ask at"
        raise CredentialError(what, place=place, remedy=remedy) from error
