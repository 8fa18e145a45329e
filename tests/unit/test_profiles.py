"""Profiles of the AWS configuration that give no keys: one error each, at the inventory's line, and nothing in logs."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce import accounts, signing_in
from pytest_s3vpce.accounts import Accounts, SessionKind
from pytest_s3vpce.connection import Connection
from pytest_s3vpce.errors import CredentialError
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.references import References

if TYPE_CHECKING:
    from pathlib import Path

INVENTORY = """\
accounts:
  main: {id: "111122223333", region: eu-west-1}
principals:
  ann: {profile: PROFILE}
  bob: {profile: PROFILE}
vantage_points:
  internet: local
buckets:
  reports: {name: reports, canary: c}
"""
CONFIG = """\
[profile sso]
sso_session = my
sso_account_id = 111122223333
sso_role_name = Dev
[sso-session my]
sso_start_url = https://my.awsapps.com/start
sso_region = eu-west-1
[profile process]
credential_process = /bin/false
[profile token]
role_arn = arn:aws:iam::111122223333:role/ci
web_identity_token_file = /none/token
[profile astray]
role_arn = arn:aws:iam::111122223333:role/ci
source_profile = nowhere
[profile keys]
aws_access_key_id = AKIAIOSFODNN7EXAMPLE
aws_secret_access_key = wJalrXUtnFEMI
[profile coded]
role_arn = arn:aws:iam::111122223333:role/person
source_profile = keys
mfa_serial = arn:aws:iam::111122223333:mfa/ann
[profile below]
role_arn = arn:aws:iam::111122223333:role/ci
source_profile = coded
[profile loop]
role_arn = arn:aws:iam::111122223333:role/ci
source_profile = pool
[profile pool]
role_arn = arn:aws:iam::111122223333:role/ci
source_profile = loop
"""
ENDS = (datetime.now(UTC) + timedelta(hours=1)).isoformat()


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "config"
    path.write_text(CONFIG, encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return path


def accounts_of(tmp_path: Path, profile: str) -> Accounts:
    path = tmp_path / "s3vpce.yaml"
    path.write_text(INVENTORY.replace("PROFILE", profile), encoding="utf-8")
    connection = Connection(endpoint_url="http://127.0.0.1:1", pauses=())
    return Accounts(load_inventory(path), References(None), connection=connection, session_name="s3vpce-0")


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("none", "profile `none` does not exist; `aws configure list-profiles`"),
        ("sso", "the SSO session in profile `sso` has expired; run `aws sso login --profile sso`"),
        (
            "process",
            "credentials in profile `process` can't be had: Error when retrieving credentials from custom-process",
        ),
        ("token", "credentials in profile `token` can't be had: [Errno 2] No such file or directory: '/none/token'"),
        ("astray", 'the AWS configuration can\'t be used: The source_profile "nowhere" referenced in the profile'),
        ("loop", "the AWS configuration can't be used: Infinite loop in credential configuration detected."),
        ("coded", "MFA device `arn:aws:iam::111122223333:mfa/ann` wants a code, and nobody is asked under CI"),
        ("below", "MFA device `arn:aws:iam::111122223333:mfa/ann` wants a code, and nobody is asked under CI"),
    ],
)
def test_what_gives_no_keys_is_one_error(
    profile: str, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    with caplog.at_level(logging.WARNING), pytest.raises(CredentialError) as caught:
        accounts_of(tmp_path, profile).credentials(SessionKind("ann"))
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 's3vpce.yaml'}:4:3: {words}")
    assert "\n" not in text
    assert caplog.records == []


def test_a_configuration_that_is_none_is_one_error(tmp_path: Path, configuration: Path) -> None:
    configuration.write_text("[broken", encoding="utf-8")
    with pytest.raises(
        CredentialError, match=r"s3vpce\.yaml:1:1: the AWS configuration can't be used: Unable to parse"
    ):
        accounts_of(tmp_path, "sso")


def test_a_profile_of_the_environment_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "ghost")
    with pytest.raises(CredentialError, match="profile `ghost`, which AWS_PROFILE names, does not exist; unset"):
        accounts_of(tmp_path, "sso")


def test_two_users_of_a_profile_are_asked_for_one_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What botocore has got for a code serves whoever uses the profile, and the clients that are made of it."""
    asked: list[object] = []

    def assumed(fetcher: Any) -> dict[str, Any]:
        asked.append(fetcher)
        keys = {"AccessKeyId": "ASIA1", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": ENDS}
        return {"Credentials": keys}

    monkeypatch.setattr("botocore.credentials.AssumeRoleCredentialFetcher._get_credentials", assumed)
    monkeypatch.setattr(signing_in, "check_terminal", lambda *_, **__: None)
    monkeypatch.setattr(accounts, "check_account", lambda *_, **__: None)
    made = accounts_of(tmp_path, "coded")
    made.prepare([SessionKind("ann"), SessionKind("bob")])
    for name in ("ann", "bob"):
        keys = made.credentials(SessionKind(name))
        assert keys is not None
        assert keys.access_key_id == "ASIA1"
        of_client: Any = made.signed_session(SessionKind(name), region="eu-west-1").get_credentials()
        assert of_client.get_frozen_credentials().access_key == "ASIA1"
    assert len(asked) == 1


def test_codes_of_several_accounts_are_asked_for_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At one terminal nobody could answer two prompts at once."""
    asking: list[object] = []
    together: list[int] = []

    def assumed(fetcher: Any) -> dict[str, Any]:
        asking.append(fetcher)
        time.sleep(0.1)
        together.append(len(asking))
        asking.remove(fetcher)
        keys = {"AccessKeyId": "ASIA1", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": ENDS}
        return {"Credentials": keys}

    class Client:
        def __init__(self, session: Any) -> None:
            self._session = session

        def get_caller_identity(self) -> dict[str, str]:
            self._session.get_credentials().get_frozen_credentials()
            return {"Account": "111122223333"}

    monkeypatch.setattr("botocore.credentials.AssumeRoleCredentialFetcher._get_credentials", assumed)
    monkeypatch.setattr(signing_in, "check_terminal", lambda *_, **__: None)
    path = tmp_path / "s3vpce.yaml"
    rows = '{id: "111122223333", region: eu-west-1, profile: coded}'
    more = rows.replace("coded", "below")
    text = INVENTORY.replace("accounts:\n", f"accounts:\n  one: {rows}\n  two: {more}\n")
    path.write_text(text.replace("PROFILE", "coded"), encoding="utf-8")
    made = Accounts(load_inventory(path), References(None), connection=Connection(), session_name="s3vpce-0")
    monkeypatch.setattr(made, "client", lambda _service, *, account: Client(made.session(account)))
    assert made.guard(["one", "two"]) == {}
    assert together == [1, 1]
