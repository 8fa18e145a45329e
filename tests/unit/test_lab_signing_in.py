"""STS's other doors: MFA devices, whose codes are the time's, and the tokens of identity providers."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from botocore import UNSIGNED

from pytest_s3vpce.lab.mfa import code_at
from tests.unit.labstage import Person, Stage, allow, make_role, refusal

MAIN, OTHER = "391000000011", "391000000012"
USER = f"arn:aws:iam::{MAIN}:user/s3vpce-runner"
ALL = allow("*")
ISSUER = "token.example.com/team"
PROVIDER = f"arn:aws:iam::{MAIN}:oidc-provider/{ISSUER}"


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN, OTHER)
    made.admin(MAIN).client("iam").create_open_id_connect_provider(
        Url=f"https://{ISSUER}", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["a" * 40]
    )
    return made


# --- MFA --------------------------------------------------------------------------------------------------------------


class Device:
    """A virtual MFA device of the runner's user, as its owner holds it."""

    def __init__(self, stage: Stage, name: str) -> None:
        iam = stage.admin(MAIN).client("iam")
        made = iam.create_virtual_mfa_device(VirtualMFADeviceName=name)["VirtualMFADevice"]
        self.serial = str(made["SerialNumber"])
        self._seed = bytes(made["Base32StringSeed"]).decode()
        codes = {f"AuthenticationCode{number}": self.code(number) for number in (1, 2)}
        iam.enable_mfa_device(UserName="s3vpce-runner", SerialNumber=self.serial, **codes)

    def code(self, steps: int = 0) -> str:
        return code_at(self._seed, time.time() + 30 * steps)

    def form(self, steps: int = 0) -> dict[str, str]:
        return {"SerialNumber": self.serial, "TokenCode": self.code(steps)}


def guarded(stage: Stage, name: str, **condition: Any) -> str:
    trust = {"Effect": "Allow", "Principal": {"AWS": USER}, "Action": "sts:AssumeRole"}
    wanted = condition or {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    return make_role(stage.admin(MAIN), name, ALL, trust={**trust, "Condition": wanted})


def test_the_codes_are_those_of_the_standard() -> None:
    """https://www.rfc-editor.org/rfc/rfc6238#appendix-B, six digits of each."""
    seed = base64.b32encode(b"12345678901234567890").decode()
    assert [code_at(seed, seconds) for seconds in (59, 1111111109, 1234567890)] == ["287082", "081804", "005924"]


def test_a_role_that_asks_for_mfa_is_assumed_with_a_code(stage: Stage) -> None:
    device, role = Device(stage, "at-once"), guarded(stage, "asks-for-mfa")
    sts = stage.user(MAIN).client("sts")
    given = {"RoleArn": role, "RoleSessionName": "test"}
    assert refusal(sts.assume_role, **given)[1] == "AccessDenied"
    form = device.form()
    session = stage.user(MAIN).assume(role, **form)
    assert session.client("sts").get_caller_identity()["Arn"].endswith(":assumed-role/asks-for-mfa/test")
    again = refusal(sts.assume_role, **given, **form)
    assert again[:2] == (403, "AccessDenied")
    assert "invalid MFA one time pass code" in again[2]
    assert stage.user(MAIN).assume(role, **device.form(1)).token


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"TokenCode": "000000"}, "invalid MFA one time pass code"),
        ({"SerialNumber": f"arn:aws:iam::{MAIN}:mfa/of-nobody"}, "unable to validate MFA code"),
        ({"TokenCode": None}, "must provide both"),
        ({"SerialNumber": None}, "must provide both"),
    ],
)
def test_what_is_no_code_of_the_users_own_device_is_refused(stage: Stage, change: dict[str, Any], said: str) -> None:
    device = Device(stage, f"wrong-{len(said)}-{len(str(change))}")
    form = {name: value for name, value in {**device.form(), **change}.items() if value is not None}
    if change.get("TokenCode") == "000000" and "000000" in {device.code(steps) for steps in (-1, 0, 1)}:
        form["TokenCode"] = "000001"
    found = refusal(stage.user(MAIN).client("sts").get_session_token, **form)
    assert found[:2] == (403, "AccessDenied")
    assert said in found[2]


def test_a_users_session_after_mfa_assumes_roles_without_another_code(stage: Stage) -> None:
    device, role = Device(stage, "for-hours"), guarded(stage, "asks-for-a-session")
    young = guarded(stage, "asks-for-a-fresh-one", NumericLessThan={"aws:MultiFactorAuthAge": "60"})
    old = guarded(stage, "asks-for-an-old-one", NumericGreaterThan={"aws:MultiFactorAuthAge": "60"})

    def session(**form: str) -> Person:
        keys = stage.user(MAIN).client("sts").get_session_token(**form)["Credentials"]
        return Person(stage, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])

    passed = session(**device.form())
    assert passed.assume(role).token
    assert passed.assume(young).token
    given = {"RoleArn": old, "RoleSessionName": "test"}
    assert refusal(passed.client("sts").assume_role, **given)[1] == "AccessDenied"
    given = {"RoleArn": role, "RoleSessionName": "test"}
    assert refusal(session().client("sts").assume_role, **given)[1] == "AccessDenied"
    another = refusal(passed.client("sts").assume_role, **given, **device.form(1))
    assert "unable to validate MFA code" in another[2]


# --- web identities ---------------------------------------------------------------------------------------------------


def token(**changes: Any) -> str:
    claims = {
        "iss": f"https://{ISSUER}",
        "sub": "repo:x",
        "aud": "sts.amazonaws.com",
        "exp": time.time() + 600,
        **changes,
    }
    parts = [{"alg": "RS256"}, {name: value for name, value in claims.items() if value is not None}]
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*texts, "c2lnbmVk"))


def federated(stage: Stage, name: str, *, provider: str = PROVIDER, account: str = MAIN, **condition: Any) -> str:
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition or {"StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com"}},
    }
    return make_role(stage.admin(account), name, ALL, trust=trust)


def unsigned(stage: Stage) -> Any:
    return stage.user(MAIN).client("sts", signature_version=UNSIGNED).assume_role_with_web_identity


def asked(stage: Stage, role: str, text: str, **given: Any) -> tuple[int, str, str]:
    return refusal(unsigned(stage), RoleArn=role, RoleSessionName="ci", WebIdentityToken=text, **given)


def test_a_role_is_assumed_by_whom_its_trust_policy_lets_in(stage: Stage) -> None:
    subject: dict[str, Any] = {
        "StringLike": {f"{ISSUER}:sub": "repo:*"},
        "ForAnyValue:StringEquals": {f"{ISSUER}:amr": "hardware"},
    }
    role = federated(stage, "for-the-repo", **subject)
    found = unsigned(stage)(RoleArn=role, RoleSessionName="ci", WebIdentityToken=token(amr=["hardware", "x"]))
    assert found["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{MAIN}:assumed-role/for-the-repo/ci"
    assert (found["Provider"], found["Audience"]) == (PROVIDER, "sts.amazonaws.com")
    assert found["SubjectFromWebIdentityToken"] == "repo:x"
    keys = found["Credentials"]
    session = Person(stage, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    assert session.client("sts").get_caller_identity()["Account"] == MAIN
    assert asked(stage, role, token(sub="other")) == (
        403,
        "AccessDenied",
        "Not authorized to perform sts:AssumeRoleWithWebIdentity",
    )
    assert asked(stage, role, token())[1] == "AccessDenied"


def test_the_session_goes_on_to_carry_who_it_is(stage: Stage) -> None:
    role = federated(stage, "carries")
    reader = {"Effect": "Allow", "Principal": {"AWS": role}, "Action": "sts:AssumeRole"}
    wanted = {"StringEquals": {f"{ISSUER}:sub": "repo:x", "aws:FederatedProvider": PROVIDER}}
    next_role = make_role(stage.admin(MAIN), "after-carries", ALL, trust={**reader, "Condition": wanted})
    for subject in ("repo:x", "repo:y"):
        found = unsigned(stage)(RoleArn=role, RoleSessionName="ci", WebIdentityToken=token(sub=subject))["Credentials"]
        person = Person(stage, found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
        if subject == "repo:x":
            assert person.assume(next_role).token
        else:
            given = {"RoleArn": next_role, "RoleSessionName": "test"}
            assert refusal(person.client("sts").assume_role, **given)[1] == "AccessDenied"


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("no token", "InvalidIdentityToken", "not a valid JWT"),
        ("a.%%%.c", "InvalidIdentityToken", "not a valid JWT"),
        (token(aud="another"), "InvalidIdentityToken", "Incorrect token audience"),
        (token(sub=None), "InvalidIdentityToken", "Missing a required claim: sub"),
        (token(exp="soon"), "InvalidIdentityToken", "Missing a required claim: exp"),
        (token(exp=1), "ExpiredTokenException", "must be before the expiration date/time 1970-01-01T00:00:01Z"),
        (token(iss="https://elsewhere.example.com"), "InvalidIdentityToken", "No OpenIDConnect provider found"),
        (token(**{"https://aws.amazon.com/tags": {}}), "NotImplemented", "takes no session tags"),
    ],
)
def test_tokens_that_are_wrong_are_refused_in_the_words_of_sts(stage: Stage, text: str, code: str, said: str) -> None:
    role = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
    found = asked(stage, role, text)
    assert found[1] == code
    assert said in found[2]


def test_other_providers_accounts_and_roles_that_are_not_there_are_no_way_in(stage: Stage) -> None:
    elsewhere = federated(stage, "elsewhere", provider=f"arn:aws:iam::{MAIN}:oidc-provider/other.example.com")
    assert asked(stage, elsewhere, token())[1] == "AccessDenied"
    assert asked(stage, f"arn:aws:iam::{MAIN}:role/nowhere", token())[1] == "AccessDenied"
    assert asked(stage, f"arn:aws:iam::{MAIN}:role/s3vpce-runner", token())[1] == "AccessDenied"
    assert asked(stage, f"arn:aws:iam::{OTHER}:role/s3vpce-runner", token())[1] == "InvalidIdentityToken"
    assert asked(stage, "arn:aws:iam::310000000099:role/s3vpce-runner", token())[1] == "InvalidIdentityToken"
    assert asked(stage, federated(stage, "for-an-hour"), token(), DurationSeconds=7200)[1] == "ValidationError"
    several = token(aud=["x", "sts.amazonaws.com"], azp="sts.amazonaws.com")
    assert unsigned(stage)(RoleArn=federated(stage, "azp"), RoleSessionName="ci", WebIdentityToken=several)["Audience"]
