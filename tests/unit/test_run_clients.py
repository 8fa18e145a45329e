"""Who may use what from where: names, accounts and the record, with stubs in place of accounts and vantage points."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from pytest_s3vpce.errors import CredentialError, ExpectationError
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.model import Answer, Place, SignedRequest
from pytest_s3vpce.run.clients import Clients
from pytest_s3vpce.vantage.stub import StubVantage

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_s3vpce.accounts import SessionKind
    from pytest_s3vpce.matrix import Call

HERE = Place("test_mine.py", 7)
INVENTORY = """
accounts:
  main: {id: "111122223333", region: eu-west-1}
  partner: {id: "444455556666", region: eu-west-2}
principals:
  app: {role: "arn:aws:iam::111122223333:role/app"}
  partner: {role: "arn:aws:iam::444455556666:role/partner", account: partner}
  person: {profile: staging, send_credentials_in_clear: true}
  anonymous: {anonymous: true}
  own: {ambient: true}
  link: {presigned: {by: app}}
vantage_points:
  inside: {lambda: {function: f}}
  internet: local
buckets:
  reports: {name: reports-bucket, canary: c}
controls:
  main: {name: control-bucket, canary: c}
"""


class Session:
    """A run's session whose vantage points answer 200 to everything, and whose accounts sign with invented keys."""

    def __init__(self, folder: Path) -> None:
        path = folder / "s3vpce.yaml"
        path.write_text(INVENTORY, encoding="utf-8")
        self.inventory = load_inventory(path)
        self.calls: list[Call] = []
        self.seen: list[SignedRequest] = []
        self.guarded: list[tuple[list[str], list[str]]] = []
        self.refused = ""
        self.operator: Any = SimpleNamespace(
            user_agent="s3vpce/1",
            guard=lambda principals, vantages: self.guarded.append((list(principals), list(vantages))),
            accounts=SimpleNamespace(
                session=self._account,
                region=lambda account: self.inventory.accounts[account].region,
                signed_session=self._signed,
            ),
            vantages=SimpleNamespace(get=lambda name: StubVantage(name, self._answer)),
        )

    def record(self, call: Call) -> None:
        self.calls.append(call)

    def _answer(self, request: SignedRequest) -> Answer:
        self.seen.append(request)
        return Answer(id=request.id, status=200)

    def _account(self, name: str) -> None:
        if name == self.refused:
            raise CredentialError(f"account `{name}` is another")

    def _signed(self, kind: SessionKind, *, region: str) -> boto3.Session:
        return boto3.Session(
            aws_access_key_id=f"AKIA{kind.principal}", aws_secret_access_key="secret", region_name=region
        )


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


@pytest.fixture
def clients(session: Session) -> Clients:
    made: Any = Clients
    found: Clients = made(session)
    return found


def test_a_client_signs_as_its_principal_in_its_accounts_region(clients: Clients, session: Session) -> None:
    s3 = clients.client("s3", principal="partner", vantage="internet", place=HERE)
    s3.head_bucket(Bucket="some-bucket")
    assert session.seen[0].host == "some-bucket.s3.eu-west-2.amazonaws.com"
    assert "Credential=AKIApartner/" in dict(session.seen[0].headers)["Authorization"]
    assert (["partner"], ["internet"]) in session.guarded
    assert [(call.client, call.principal, call.vantage) for call in session.calls] == [("boto3", "partner", "internet")]
    other = clients.client("s3", principal="app", vantage="internet", region_name="eu-central-1", place=HERE)
    assert other.meta.region_name == "eu-central-1"


def test_an_account_that_is_another_has_no_client(clients: Clients, session: Session) -> None:
    session.refused = "main"
    for principal in ("app", "person"):
        with pytest.raises(CredentialError, match="`main` is another"):
            clients.client("s3", principal=principal, vantage="internet", place=HERE)
    clients.client("s3", principal="anonymous", vantage="internet", place=HERE).head_bucket(Bucket="some-bucket")
    assert "Authorization" not in dict(session.seen[0].headers)


def test_plain_http_needs_the_inventorys_word(clients: Clients, session: Session) -> None:
    given: dict[str, Any] = {"vantage": "internet", "endpoint_url": "http://s3.eu-west-1.amazonaws.com", "place": HERE}
    clients.client("s3", principal="person", **given).head_bucket(Bucket="some-bucket")
    assert len(session.seen) == 1
    with pytest.raises(CredentialError, match="in clear"):
        clients.client("s3", principal="app", **given).head_bucket(Bucket="some-bucket")


def test_ambient_is_for_places_with_a_role(clients: Clients, session: Session) -> None:
    clients.client("s3", principal="own", vantage="inside", place=HERE).head_bucket(Bucket="some-bucket")
    assert session.seen[0].ambient == "eu-west-1"
    with pytest.raises(ExpectationError, match=r"test_mine\.py:7: `own:internet` can't exist"):
        clients.client("s3", principal="own", vantage="internet", place=HERE)


def test_a_presigned_url_is_no_client(clients: Clients) -> None:
    with pytest.raises(ExpectationError, match="`link` is a presigned URL"):
        clients.client("s3", principal="link", vantage="internet", place=HERE)


def test_keys_are_read_on_a_control_bucket(clients: Clients) -> None:
    with pytest.raises(ExpectationError, match=r"no control bucket is declared for account `partner`.*name a `bucket`"):
        clients.read_keys(principal="partner", vantage="internet", bucket=None, endpoints=(), place=HERE)


def test_lookups_and_sessions_have_no_principal(clients: Clients, session: Session) -> None:
    clients.http(vantage="internet", place=HERE).get("https://s3.eu-west-1.amazonaws.com/")
    assert [(call.client, call.principal) for call in session.calls] == [("requests", None)]
    assert session.guarded == [([], ["internet"])]
