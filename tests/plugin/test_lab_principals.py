"""Principals whose keys take more than one call, against the lab's own STS: chains, MFA, tokens of providers."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce import accounts
from pytest_s3vpce.lab.mfa import code_at

if TYPE_CHECKING:
    from tests.plugin.conftest import Example, SharedLab

MAIN = "111122223333"
ISSUER = "token.example.com"
_PRINCIPALS = f"""\
principals:
  chained:
    role: "arn:aws:iam::{MAIN}:role/last-of-chain"
    through: ["arn:aws:iam::{MAIN}:role/first-of-chain"]
    external_id: "${{env:TEST_EXTERNAL_ID}}"
    session_tags: {{team: red}}
    transitive_tags: [team]
    source_identity: ann
  workload: {{role: "arn:aws:iam::{MAIN}:role/for-tokens", web_identity: token.jwt}}
  person:   {{role: "arn:aws:iam::{MAIN}:role/for-people", mfa: "arn:aws:iam::{MAIN}:mfa/ann"}}
"""
_CALLS = """
def read(s3vpce, principal):
    return s3vpce.probe("s3:GetObject", bucket="reports", principal=principal, vantage="app-subnet")
"""


def _role(iam: Any, name: str, trust: dict[str, Any], rights: dict[str, Any]) -> None:
    statements = [{"Effect": "Allow", **row} for row in (trust, rights)]
    documents = [json.dumps({"Version": "2012-10-17", "Statement": [row]}) for row in statements]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=documents[0])
    iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=documents[1])


@pytest.fixture(scope="module")
def seed(shared_lab: SharedLab) -> str:
    """The roles and the provider; what the device of the account's user knows."""
    iam = shared_lab.client("iam")
    first, runner = (f"arn:aws:iam::{MAIN}:{name}" for name in ("role/first-of-chain", "role/s3vpce-runner"))
    signing_in = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    read = {"Action": "s3:GetObject", "Resource": "*"}
    _role(
        iam,
        "first-of-chain",
        {"Principal": {"AWS": runner}, "Action": "sts:AssumeRole"},
        {"Action": signing_in, "Resource": "*"},
    )
    wanted = {"sts:ExternalId": "between us", "aws:RequestTag/team": "red", "sts:SourceIdentity": "ann"}
    carried = {"aws:PrincipalTag/team": "red", "aws:SourceIdentity": "ann"}
    statements: list[dict[str, Any]] = [
        {"Action": "sts:AssumeRole", "Condition": {"StringEquals": wanted}},
        {"Action": signing_in[1:]},
    ]
    trust = [{"Effect": "Allow", "Principal": {"AWS": first}, **row} for row in statements]
    iam.create_role(
        RoleName="last-of-chain",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust}),
    )
    rights = {"Effect": "Allow", **read, "Condition": {"StringEquals": carried}}
    iam.put_role_policy(
        RoleName="last-of-chain",
        PolicyName="rights",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [rights]}),
    )
    provider = iam.create_open_id_connect_provider(
        Url=f"https://{ISSUER}", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["a" * 40]
    )["OpenIDConnectProviderArn"]
    subject = {"StringLike": {f"{ISSUER}:sub": "repo:team/*"}}
    federated: dict[str, Any] = {
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": subject,
    }
    _role(iam, "for-tokens", federated, read)
    person: dict[str, Any] = {
        "Principal": {"AWS": f"arn:aws:iam::{MAIN}:user/s3vpce-runner"},
        "Action": "sts:AssumeRole",
    }
    _role(iam, "for-people", {**person, "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}, read)
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="ann")["VirtualMFADevice"]
    codes = {"AuthenticationCode1": "000000", "AuthenticationCode2": "111111"}
    iam.enable_mfa_device(UserName="s3vpce-runner", SerialNumber=device["SerialNumber"], **codes)
    return bytes(device["Base32StringSeed"]).decode()


@pytest.fixture
def several(example: Example, monkeypatch: pytest.MonkeyPatch) -> Example:
    example.replace("s3vpce.yaml", "principals:\n", _PRINCIPALS)
    monkeypatch.setenv("TEST_EXTERNAL_ID", "between us")
    for path in example.path.glob("test_*"):
        path.unlink()
    _token(example, "repo:team/app")
    return example


def _token(example: Example, subject: str) -> None:
    claims = {"iss": f"https://{ISSUER}", "sub": subject, "aud": "sts.amazonaws.com", "exp": time.time() + 600}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims)]
    (example.path / "token.jwt").write_text(".".join((*parts, "c2lnbmVk")), encoding="utf-8")


def test_each_signs_in_as_it_says(several: Example, in_lab: str, seed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def code(serial: str, **_: Any) -> str:
        asked.append(serial)
        return code_at(seed, time.time())

    monkeypatch.setattr(accounts, "ask_for_code", code)
    several.pytester.makepyfile(
        test_several=_CALLS
        + """
def test_a_chain_with_external_id_tags_and_source_identity(s3vpce):
    found = read(s3vpce, "chained")
    assert found.allowed, found.reason

def test_a_token(s3vpce):
    found = read(s3vpce, "workload")
    assert found.allowed, found.reason

def test_a_code_serves_all_sessions(s3vpce):
    found = read(s3vpce, "person")
    assert found.allowed, found.reason
    s3vpce.prove(
        "endpoint-only", bucket="reports", principals=["person"], endpoints=["${out:Endpoint}"],
        inside=["app-subnet"], outside=["internet"], actions=["s3:GetObject"],
    )
"""
    )
    several.run(in_lab).assert_outcomes(passed=3)
    assert asked == [f"arn:aws:iam::{MAIN}:mfa/ann"]


@pytest.mark.usefixtures("seed")
def test_no_code_is_asked_for_where_nobody_who_needs_one_sends(
    several: Example, in_lab: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def code(*_: object, **__: object) -> str:
        raise AssertionError("a code was asked for")

    monkeypatch.setattr(accounts, "ask_for_code", code)
    several.pytester.makepyfile(
        test_several="""
        def test_another(s3vpce):
            s3vpce.prove(
                "endpoint-only", bucket="reports", principals=["app"], endpoints=["${out:Endpoint}"],
                inside=["app-subnet"], outside=["internet"], actions=["s3:GetObject"],
            )
        """
    )
    several.run(in_lab).assert_outcomes(passed=1)


@pytest.mark.usefixtures("seed")
def test_each_is_refused_in_one_line(several: Example, in_lab: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_EXTERNAL_ID", "another's")
    _token(several, "repo:others/app")
    monkeypatch.setattr(accounts, "ask_for_code", lambda *_, **__: "000000")
    several.pytester.makepyfile(
        test_several=_CALLS
        + """
import pytest

@pytest.mark.parametrize(("principal", "said"), [
    ("chained", "last-of-chain` can't be assumed"),
    ("workload", "for-tokens` can't be assumed"),
    ("person", "MFA was not passed: An error occurred (AccessDenied)"),
])
def test_refused(s3vpce, principal, said):
    found = read(s3vpce, principal)
    assert found.inconclusive
    assert said in found.reason, found.reason
    assert "\\n" not in found.reason
"""
    )
    several.run(in_lab).assert_outcomes(passed=3)
