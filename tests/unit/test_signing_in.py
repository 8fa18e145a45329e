"""How principals get their keys: what is asked of STS, what is narrowed, one error for each thing that is missing."""

from __future__ import annotations

import json
import os
import pty
import sys
import termios
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from pytest_s3vpce import __version__, accounts, signing_in
from pytest_s3vpce.accounts import Accounts, SessionKind
from pytest_s3vpce.connection import Connection
from pytest_s3vpce.errors import CredentialError
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.model import Place
from pytest_s3vpce.policy import Policies, Request, decide, parse
from pytest_s3vpce.probe import Credentials
from pytest_s3vpce.references import References
from pytest_s3vpce.signing_in import (
    ask_for_code,
    environment_keys,
    read_policy,
    session_policy,
    share_roles,
    token_in,
    tried,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_GOES_ON = threading.Event()
_HERE = Place("s3vpce.yaml", 5, 3)
_A = "111122223333"
_INVENTORY = """\
accounts:
  main: {id: "111122223333", region: eu-west-1}
principals:
  app: %s
vantage_points: {internet: local}
buckets: {reports: {name: reports-bucket, canary: c}}
"""


class Sts:
    """Stands for STS: keeps what it is asked, gives keys that count up."""

    def __init__(self, name: str, asked: list[tuple[str, str, dict[str, Any]]], *, lives: float = 3600) -> None:
        self.name = name
        self._asked = asked
        self._lives = lives

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": "999988887777" if self.name == "AKIAELSEWHERE" else _A}

    def _keys(self, call: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._asked.append((self.name, call, parameters))
        number = len(self._asked)
        return {
            "Credentials": {
                "AccessKeyId": f"AKIA{number}",
                "SecretAccessKey": "secret",
                "SessionToken": "token",
                "Expiration": datetime.fromtimestamp(time.time() + self._lives, UTC),
            }
        }

    def assume_role(self, **parameters: Any) -> dict[str, Any]:
        return self._keys("assume_role", parameters)

    def assume_role_with_web_identity(self, **parameters: Any) -> dict[str, Any]:
        return self._keys("assume_role_with_web_identity", parameters)

    def get_session_token(self, **parameters: Any) -> dict[str, Any]:
        return self._keys("get_session_token", parameters)


@pytest.fixture
def asked() -> list[tuple[str, str, dict[str, Any]]]:
    return []


def _accounts(
    tmp_path: Path, principal: str, asked: list[Any], monkeypatch: pytest.MonkeyPatch, *, lives: float = 3600
) -> Accounts:
    path = tmp_path / "s3vpce.yaml"
    path.write_text(_INVENTORY % principal, encoding="utf-8")
    inventory = load_inventory(path)
    found = Accounts(inventory, References(None), connection=Connection(), session_name="s3vpce-run")

    def client(*_: Any, **__: Any) -> Any:
        return Sts("account", asked, lives=lives)

    def of(keys: Credentials, **_: Any) -> Any:
        return Sts(keys.access_key_id, asked, lives=lives)

    monkeypatch.setattr(found, "client", client)
    monkeypatch.setattr(found, "_client_of", of)
    return found


def test_a_role_with_all_that_a_session_can_carry(
    tmp_path: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    principal = (
        '{role: "arn:aws:iam::111122223333:role/app", external_id: x, session_name: audit, source_identity: ann, '
        "session_tags: {team: red}, transitive_tags: [team]}"
    )
    found = _accounts(tmp_path, principal, asked, monkeypatch).credentials(SessionKind("app"))
    assert found is not None
    assert found.access_key_id == "AKIA1"
    assert not found.ends_within(3000)
    assert asked == [
        (
            "account",
            "assume_role",
            {
                "RoleArn": f"arn:aws:iam::{_A}:role/app",
                "RoleSessionName": "audit",
                "DurationSeconds": 3600,
                "ExternalId": "x",
                "SourceIdentity": "ann",
                "Tags": [{"Key": "team", "Value": "red"}],
                "TransitiveTagKeys": ["team"],
            },
        )
    ]


def test_roles_on_the_way_are_assumed_one_from_another(
    tmp_path: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = [f"arn:aws:iam::{_A}:role/{name}" for name in ("one", "two", "last")]
    principal = f'{{role: "{roles[2]}", through: ["{roles[0]}", "{roles[1]}"]}}'
    _accounts(tmp_path, principal, asked, monkeypatch).credentials(SessionKind("app"))
    assert [(who, row["RoleArn"]) for who, _, row in asked] == [
        ("account", roles[0]),
        ("AKIA1", roles[1]),
        ("AKIA2", roles[2]),
    ]


def test_an_mfa_code_is_asked_for_once(tmp_path: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[str] = []

    def code(serial: str, **_: Any) -> str:
        codes.append(serial)
        return "123456"

    monkeypatch.setattr(accounts, "ask_for_code", code)
    serial = f"arn:aws:iam::{_A}:mfa/ann"
    principal = f'{{role: "arn:aws:iam::{_A}:role/app", mfa: "{serial}"}}'
    made = _accounts(tmp_path, principal, asked, monkeypatch)
    made.prepare([SessionKind("app"), SessionKind("app", _NARROW)])
    assert codes == [serial]
    assert [(who, call) for who, call, _ in asked] == [
        ("account", "get_session_token"),
        ("AKIA1", "assume_role"),
        ("AKIA1", "assume_role"),
    ]
    assert asked[0][2] == {"SerialNumber": serial, "TokenCode": "123456", "DurationSeconds": 43_200}


def test_who_gives_no_code_is_not_asked_again(
    tmp_path: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[str] = []

    def code(serial: str, *, place: Place, **_: Any) -> str:
        codes.append(serial)
        raise CredentialError("no code", place=place)

    monkeypatch.setattr(accounts, "ask_for_code", code)
    monkeypatch.setenv("TEST_DEVICE", f"arn:aws:iam::{_A}:mfa/ann")
    principal = f'{{role: "arn:aws:iam::{_A}:role/app", mfa: "${{env:TEST_DEVICE}}"}}'
    made = _accounts(tmp_path, principal, asked, monkeypatch)
    for kind in (SessionKind("app"), SessionKind("app", _NARROW)):
        with pytest.raises(CredentialError, match="no code"):
            made.credentials(kind)
    assert codes == [f"arn:aws:iam::{_A}:mfa/ann"]


def test_a_web_identity_needs_no_account_credentials(
    tmp_path: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token.jwt").write_text("the.token\n", encoding="utf-8")
    principal = f'{{role: "arn:aws:iam::{_A}:role/app", web_identity: token.jwt}}'
    found = _accounts(tmp_path, principal, asked, monkeypatch)

    class Session:
        def client(self, *_: Any, config: Any, **__: Any) -> Any:
            assert config.signature_version is not None
            return Sts("nobody", asked)

    monkeypatch.setattr(found, "_boto3", lambda **_: Session())
    found.credentials(SessionKind("app"))
    ((who, call, parameters),) = asked
    assert (who, call) == ("nobody", "assume_role_with_web_identity")
    assert parameters["WebIdentityToken"] == "the.token"
    assert parameters["RoleSessionName"] == "s3vpce-run"


@pytest.mark.parametrize(("lives", "times"), [(3600, 1), (200, 2)])
def test_keys_that_end_soon_are_made_anew(
    tmp_path: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch, lives: float, times: int
) -> None:
    made = _accounts(tmp_path, f'{{role: "arn:aws:iam::{_A}:role/app"}}', asked, monkeypatch, lives=lives)
    first, second = made.credentials(SessionKind("app")), made.credentials(SessionKind("app"))
    assert len(asked) == times
    assert (first == second) is (times == 1)


def test_clients_renew_the_keys_of_assumed_roles_by_themselves() -> None:
    made: list[int] = []

    def again() -> Credentials:
        made.append(1)
        return Credentials(
            access_key_id="AKIA2", secret_access_key="s", session_token="t", expires_at=time.time() + 9999
        )

    first = Credentials(access_key_id="AKIA1", secret_access_key="s", session_token="t", expires_at=time.time() + 60)
    session = botocore.session.Session()
    found: Any = signing_in.Renewed(first, again).load()
    session.set_credentials("x", "y")
    assert found.get_frozen_credentials().access_key == "AKIA2"
    assert made == [1]


# --- session policies ------------------------------------------------------------------------------------------------

_ONE = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/k"}
_NARROW = json.dumps({"Version": "2012-10-17", "Statement": [_ONE]})
_OWN = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/*"}}


def _allowed(policy: str, *, action: str = "s3:GetObject", key: str = "k", context: Any = None) -> bool:
    document = parse(policy)
    everything = parse({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    request = Request(
        action=action,
        resource=f"arn:aws:s3:::b/{key}",
        resource_account=_A,
        principal=f"arn:aws:sts::{_A}:assumed-role/app/s",
        context=context or {},
    )
    return decide(request, Policies(identity=(everything,), session=(document,))).allowed


def test_without_one_of_its_own_a_session_has_the_given_policy() -> None:
    assert session_policy(None, _NARROW) == _NARROW
    assert session_policy(None, "") == ""


def test_a_principals_own_policy_is_narrowed_and_never_widened() -> None:
    assert json.loads(session_policy(_OWN, ""))["Statement"] == [_OWN["Statement"]]
    both = session_policy(_OWN, _NARROW)
    assert _allowed(both)
    assert not _allowed(both, key="other")
    assert not _allowed(both, action="s3:GetObjectTagging")
    assert not _allowed(session_policy(_OWN, _NARROW.replace("GetObject", "PutObject")), action="s3:PutObject")


def test_a_key_reading_holds_under_a_principals_own_policy() -> None:
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Null": {"aws:SourceVpce": "false"}}}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    both = session_policy(_OWN, json.dumps({"Version": "2012-10-17", "Statement": [everything, deny]}))
    assert _allowed(both)
    assert not _allowed(both, context={"aws:SourceVpce": "vpce-1"})
    assert not _allowed(both, action="s3:PutObject")


def test_a_session_policy_in_a_file_or_in_the_inventory(
    tmp_path: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "narrow.json").write_text(_NARROW, encoding="utf-8")
    role = f'role: "arn:aws:iam::{_A}:role/app"'
    inline = json.dumps(_OWN)
    for given in ("narrow.json", inline):
        _accounts(tmp_path, f"{{{role}, session_policy: {given}}}", asked, monkeypatch).credentials(SessionKind("app"))
    assert [json.loads(row["Policy"])["Statement"] for _, _, row in asked] == [[_ONE], [_OWN["Statement"]]]


def test_references_in_a_session_policy_are_resolved_and_variables_of_iam_stay(
    tmp_path: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET", "homes")
    arns = ["arn:aws:s3:::${env:BUCKET}/${aws:username}/*"]
    inline = json.dumps({"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": arns}]})
    principal = f'{{role: "arn:aws:iam::{_A}:role/app", session_policy: {inline}}}'
    _accounts(tmp_path, principal, asked, monkeypatch).credentials(SessionKind("app"))
    (statement,) = json.loads(asked[0][2]["Policy"])["Statement"]
    assert statement["Resource"] == ["arn:aws:s3:::homes/${aws:username}/*"]


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (None, "can't be read: No such file"),
        ("{", "is not JSON"),
        ("{}", "policy `session_policy`: element Statement is missing"),
    ],
)
def test_a_session_policy_that_is_none_is_one_error(tmp_path: Path, content: str | None, fragment: str) -> None:
    path = tmp_path / "p.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(CredentialError) as caught:
        read_policy(path, place=_HERE)
    assert str(caught.value).startswith("s3vpce.yaml:5:3: ")
    assert fragment in str(caught.value)


# --- keys, tokens, codes ---------------------------------------------------------------------------------------------


def test_keys_come_from_the_environment_by_name(
    tmp_path: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    principal = "{keys: {access_key_id: CI_ID, secret_access_key: CI_SECRET, session_token: CI_TOKEN}}"
    made = _accounts(tmp_path, principal, asked, monkeypatch)
    row = load_inventory(tmp_path / "s3vpce.yaml").principals["app"]
    environment = {"CI_ID": "AKIA", "CI_SECRET": "hush", "CI_TOKEN": "t"}
    found = environment_keys(row, place=_HERE, environment=environment)
    assert (found.access_key_id, found.secret_access_key, found.session_token) == ("AKIA", "hush", "t")
    with pytest.raises(CredentialError, match="environment variable `CI_SECRET` is not set"):
        environment_keys(row, place=_HERE, environment={"CI_ID": "AKIA"})
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert made.credentials(SessionKind("app")) == found
    with pytest.raises(CredentialError, match="`app` is no role"):
        made.credentials(SessionKind("app", _NARROW))
    monkeypatch.setenv("CI_ID", "AKIAELSEWHERE")
    elsewhere = _accounts(tmp_path, principal, asked, monkeypatch)
    with pytest.raises(
        CredentialError, match=r"`app`'s account is `111122223333` in the inventory, but .*`999988887777`"
    ):
        elsewhere.credentials(SessionKind("app"))


@pytest.mark.parametrize(("content", "fragment"), [(None, "can't be read"), (" \n", "is empty")])
def test_a_token_that_is_not_there_is_one_error(tmp_path: Path, content: str | None, fragment: str) -> None:
    if content is not None:
        (tmp_path / "t").write_text(content, encoding="utf-8")
    with pytest.raises(CredentialError, match=fragment):
        token_in(tmp_path / "t", place=_HERE)


def test_nobody_is_asked_for_a_code_under_ci_or_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CredentialError, match="nobody is asked under CI"):
        ask_for_code("GAHT12345678", place=_HERE, ended=_GOES_ON, environment={"CI": "true"})

    def no_terminal(*_: Any, **__: Any) -> Any:
        raise OSError

    monkeypatch.setattr(Path, "open", no_terminal)
    with pytest.raises(CredentialError, match="there is no terminal to ask at"):
        ask_for_code("GAHT12345678", place=_HERE, ended=_GOES_ON, environment={})


class Terminal:
    """Somebody's, who types a line when asked."""

    def __init__(self) -> None:
        self._ours, self._theirs = pty.openpty()
        self.path = Path(os.ttyname(self._theirs))
        self.shown = b""

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._theirs)[3] & termios.ECHO)

    def type(self, line: str) -> None:
        while not self.shown.endswith(b": "):
            self.read()
        assert not self.echoes()
        os.write(self._ours, f"{line}\n".encode())

    def read(self) -> None:
        self.shown += os.read(self._ours, 1024)

    def close(self) -> None:
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    made = Terminal()
    monkeypatch.setattr(signing_in, "TERMINAL", made.path)
    yield made
    made.close()


def test_the_code_is_asked_for_at_the_terminal(terminal: Terminal) -> None:
    for serial, line in (("GAHT12345678", " 123456 "), ("other", "12345a")):
        terminal.shown = b""
        typing = threading.Thread(target=terminal.type, args=(line,))
        typing.start()
        if line == " 123456 ":
            assert ask_for_code(serial, place=_HERE, ended=_GOES_ON, environment={}) == "123456"
        else:
            with pytest.raises(CredentialError, match="what was typed for MFA device `other` is no code") as caught:
                ask_for_code(serial, place=_HERE, ended=_GOES_ON, environment={})
            assert line not in str(caught.value)
        typing.join()
        terminal.read()
        assert terminal.shown.startswith(f"MFA code of {serial}: ".encode())
        assert line.encode() not in terminal.shown
        assert terminal.echoes()


def test_a_code_is_not_waited_for_once_the_run_ends(terminal: Terminal) -> None:
    """Ctrl-C wakes the main thread only: who waits at the terminal in another one has to be told."""
    ended = threading.Event()
    threading.Timer(0.1, ended.set).start()
    began = time.monotonic()
    with pytest.raises(CredentialError, match="no code is waited for any longer"):
        ask_for_code("GAHT12345678", place=_HERE, ended=ended, environment={})
    assert time.monotonic() - began < 1
    assert terminal.echoes()


def test_profiles_ask_at_the_terminal_in_the_same_way(terminal: Terminal) -> None:
    kept: dict[str, Any] = {}
    core = botocore.session.Session()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CI", raising=False)
        share_roles(core, "GAHT12345678", kept=kept, ended=_GOES_ON, place=_HERE)
    provider = core.get_component("credential_provider").get_provider("assume-role")
    assert provider.cache is kept
    typing = threading.Thread(target=terminal.type, args=("123456",))
    typing.start()
    assert provider._prompter("Enter MFA code: ") == "123456"
    typing.join()


def test_calls_of_the_control_plane_say_whose_they_are(tmp_path: Path) -> None:
    path = tmp_path / "s3vpce.yaml"
    path.write_text(_INVENTORY % "{anonymous: true}", encoding="utf-8")
    found = Accounts(load_inventory(path), References(None), connection=Connection(), session_name="s3vpce-run")
    client: Any = found.signed_session(SessionKind("app"), region="eu-west-1").client("sts")
    assert f" s3vpce/{__version__} s3vpce-run " in client.meta.config.user_agent


@pytest.fixture
def lapsing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile whose keys end within seconds, each time others: of SSO, of a role, of a process."""
    count = tmp_path / "count"
    program = tmp_path / "keys.py"
    program.write_text(
        "import datetime, json, pathlib\n"
        f"file = pathlib.Path({str(count)!r})\n"
        "number = int(file.read_text()) + 1 if file.exists() else 1\n"
        "file.write_text(str(number))\n"
        "end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=20)\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'KEY{number}', 'SecretAccessKey': 's', 'SessionToken': 't',\n"
        "                  'Expiration': end.isoformat()}))\n",
        encoding="utf-8",
    )
    (tmp_path / "config").write_text(
        f"[profile lapsing]\ncredential_process = {sys.executable} {program}\n", encoding="utf-8"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.mark.usefixtures("lapsing")
def test_keys_of_a_profile_are_renewed_in_a_long_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "check_account", lambda *_, **__: None)
    path = tmp_path / "s3vpce.yaml"
    path.write_text(_INVENTORY % "{profile: lapsing}", encoding="utf-8")
    found = Accounts(load_inventory(path), References(None), connection=Connection(), session_name="s3vpce-run")
    kind = SessionKind("app")
    found.prepare([kind])
    signed = [found.credentials(kind) for _ in range(2)]
    assert signed[0] is not None
    assert signed[1] is not None
    assert signed[0].access_key_id != signed[1].access_key_id
    client: Any = found.signed_session(kind, region="eu-west-1")
    keys = [client.get_credentials().get_frozen_credentials().access_key for _ in range(2)]
    assert keys[0] != keys[1]


@pytest.mark.usefixtures("lapsing")
def test_keys_of_another_account_are_refused_whoever_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Botocore holds them once they were asked for; that says nothing of whose they are."""
    path = tmp_path / "s3vpce.yaml"
    path.write_text(_INVENTORY % "{profile: lapsing}", encoding="utf-8")
    found = Accounts(load_inventory(path), References(None), connection=Connection(), session_name="s3vpce-run")
    monkeypatch.setattr(found, "_client_of", lambda *_, **__: Sts("AKIAELSEWHERE", []))
    for kind in (SessionKind("app"), SessionKind("app", seconds=900)):
        with pytest.raises(CredentialError, match="its credentials belong to `999988887777`"):
            found.credentials(kind)


def _refusing(answers: list[str]) -> Any:
    def call() -> str:
        answer = answers.pop(0)
        if answer != "keys":
            raise ClientError({"Error": {"Code": answer, "Message": "no"}}, "AssumeRole")
        return answer

    return call


def test_a_role_that_was_made_a_moment_ago_is_tried_again() -> None:
    paused: list[float] = []

    def wait(seconds: float) -> bool:
        paused.append(seconds)
        return seconds > 4

    assert tried(_refusing(["AccessDenied", "AccessDenied", "keys"]), pauses=(1, 2, 4), wait=wait) == "keys"
    assert paused == [1, 2]
    with pytest.raises(ClientError):
        tried(_refusing(["AccessDenied"] * 3), pauses=(1, 2), wait=wait)
    with pytest.raises(ClientError):
        tried(_refusing(["ValidationError", "keys"]), pauses=(1, 2), wait=wait)
    with pytest.raises(ClientError):
        tried(_refusing(["AccessDenied", "keys"]), pauses=(), wait=wait)
    with pytest.raises(ClientError):
        tried(_refusing(["AccessDenied", "keys"]), pauses=(8,), wait=wait)
    assert Connection().pauses


class _Interrupted(Sts):
    """Ctrl-C comes while another session's role may not be assumed."""

    refused = threading.Event()

    def assume_role(self, **parameters: Any) -> dict[str, Any]:
        if "Policy" in parameters:
            self.refused.set()
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")
        self.refused.wait(5)
        raise KeyboardInterrupt


def test_no_role_is_waited_for_once_the_run_ends(
    tmp_path: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _accounts(tmp_path, f'{{role: "arn:aws:iam::{_A}:role/app"}}', asked, monkeypatch)
    monkeypatch.setattr(found, "client", lambda *_, **__: _Interrupted("account", asked))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        found.prepare([SessionKind("app"), SessionKind("app", _NARROW)])
    assert time.monotonic() - began < min(Connection().pauses)
