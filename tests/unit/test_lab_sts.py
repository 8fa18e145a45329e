"""STS: who may assume which role, what the session may do, and who one is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.labstage import REGION, Person, Stage, allow, deny, make_role, policy, refusal

MAIN, PARTNER = "310000000001", "310000000002"
USER = f"arn:aws:iam::{MAIN}:user/s3vpce-runner"
BUCKET = "lab-sts"
ALL = allow("*")


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN, PARTNER)
    s3 = made.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    return made


def assume(person: Person, role: str, **parameters: Any) -> tuple[int, str, str]:
    return refusal(person.client("sts").assume_role, RoleArn=role, RoleSessionName="test", **parameters)


@pytest.mark.parametrize(
    ("name", "trust"),
    [
        ("by-account", {"AWS": f"arn:aws:iam::{MAIN}:root"}),
        ("by-user", {"AWS": USER}),
        ("by-anyone", {"AWS": "*"}),
    ],
)
def test_who_is_trusted_and_may_assume_is_the_role(stage: Stage, name: str, trust: dict[str, str]) -> None:
    role = make_role(stage.admin(MAIN), name, ALL, trust=trust)
    session = stage.user(MAIN).assume(role, session_name="who")
    found = session.client("sts").get_caller_identity()
    assert (found["Account"], found["Arn"]) == (MAIN, f"arn:aws:sts::{MAIN}:assumed-role/{name}/who")
    assert found["UserId"].startswith("AROA")
    assert found["UserId"].endswith(":who")


@pytest.mark.parametrize(
    ("name", "trust"),
    [
        ("other-account", {"AWS": f"arn:aws:iam::{PARTNER}:root"}),
        ("a-service", {"Service": "lambda.amazonaws.com"}),
        (
            "by-external-id",
            {
                "Effect": "Allow",
                "Principal": {"AWS": USER},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "right"}},
            },
        ),
    ],
)
def test_who_is_not_trusted_is_refused_in_the_words_of_sts(stage: Stage, name: str, trust: Any) -> None:
    role = make_role(stage.admin(MAIN), name, ALL, trust=trust)
    assert assume(stage.user(MAIN), role) == (
        403,
        "AccessDenied",
        f"User: {USER} is not authorized to perform: sts:AssumeRole on resource: {role}",
    )
    if name == "by-external-id":
        assert assume(stage.user(MAIN), role, ExternalId="wrong")[0] == 403
        assert stage.user(MAIN).assume(role, ExternalId="right").token


def test_another_accounts_role_needs_both_sides(stage: Stage) -> None:
    role = make_role(stage.admin(PARTNER), "shared", ALL, trust={"AWS": f"arn:aws:iam::{MAIN}:root"})
    assert stage.user(MAIN).assume(role).client("sts").get_caller_identity()["Account"] == PARTNER
    iam = stage.admin(MAIN).client("iam")
    iam.create_user(UserName="powerless")
    made = iam.create_access_key(UserName="powerless")["AccessKey"]
    powerless = Person(stage, made["AccessKeyId"], made["SecretAccessKey"])
    assert assume(powerless, role)[:2] == (403, "AccessDenied")
    assert powerless.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{MAIN}:user/powerless"
    iam.update_access_key(UserName="powerless", AccessKeyId=made["AccessKeyId"], Status="Inactive")
    assert refusal(powerless.client("sts").get_caller_identity)[:2] == (403, "InvalidClientTokenId")


def test_root_assumes_nothing_and_a_role_that_is_not_there_is_not_told(stage: Stage) -> None:
    role = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
    assert assume(stage.root(MAIN), role) == (403, "AccessDenied", "Roles may not be assumed by root accounts.")
    assert assume(stage.user(MAIN), f"{role}s")[:2] == (403, "AccessDenied")


def test_a_roles_path_is_in_the_principal_and_not_in_the_session(stage: Stage) -> None:
    role = make_role(stage.admin(MAIN), "pathed", ALL, trust={"AWS": USER}, Path="/team/")
    assert role.endswith(":role/team/pathed")
    unlike = {"ArnNotEquals": {"aws:PrincipalArn": role}}
    session = stage.user(MAIN).assume(role, Policy=policy(ALL, deny("*", Condition=unlike)))
    assert session.client("sts").get_caller_identity()["Arn"].endswith(":assumed-role/pathed/test")
    assert session.client("s3").get_object(Bucket=BUCKET, Key="k")


def test_a_session_policy_limits_and_is_named(stage: Stage) -> None:
    role = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
    s3 = stage.user(MAIN).assume(role, Policy=policy(allow("s3:GetObject"))).client("s3")
    assert s3.get_object(Bucket=BUCKET, Key="k")
    status, code, message = refusal(s3.put_object, Bucket=BUCKET, Key="k", Body=b"")
    assert (status, code) == (403, "AccessDenied")
    assert message.endswith("because no session policy allows the s3:PutObject action")


def test_managed_session_policies_limit_too(stage: Stage) -> None:
    role = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
    read = [{"arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}]
    s3 = stage.user(MAIN).assume(role, PolicyArns=read).client("s3")
    assert s3.get_object(Bucket=BUCKET, Key="k")
    assert refusal(s3.put_object, Bucket=BUCKET, Key="k", Body=b"")[0] == 403
    both = stage.user(MAIN).assume(role, PolicyArns=read, Policy=policy(allow("s3:PutObject"))).client("s3")
    assert both.get_object(Bucket=BUCKET, Key="k")
    assert both.put_object(Bucket=BUCKET, Key="k", Body=b"x")


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        (f"arn:aws:iam::{MAIN}:policy/not-there", "MalformedPolicyDocument"),
        (f"arn:aws:iam::{PARTNER}:policy/of-another-account", "MalformedPolicyDocument"),
        ("arn:nonsense:of:another:kind", "MalformedPolicyDocument"),
        ("arn:elsewhere:iam::aws:policy/AdministratorAccess", "MalformedPolicyDocument"),
    ],
)
def test_session_policies_that_do_not_exist_are_refused(stage: Stage, arn: str, code: str) -> None:
    role = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
    assert assume(stage.user(MAIN), role, PolicyArns=[{"arn": arn}])[:2] == (400, code)


def test_ten_managed_session_policies_are_the_most(stage: Stage) -> None:
    many = [{"arn": "arn:aws:iam::aws:policy/AdministratorAccess"}] * 11
    role = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
    assert assume(stage.user(MAIN), role, PolicyArns=many)[:2] == (400, "ValidationError")


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"Policy": "{"}, 400, "MalformedPolicyDocument"),
        ({"Policy": json.dumps({"Statement": [allow("*", "x" * 2048)]})}, 400, "ValidationError"),
        ({"DurationSeconds": 3601}, 400, "ValidationError"),
        ({"Policy": policy({**ALL, "Principal": "*"})}, 400, "MalformedPolicyDocument"),
        ({"Policy": json.dumps({"Statement": {"Effect": "Allow", "Action": "*"}})}, 400, "MalformedPolicyDocument"),
        ({"Policy": json.dumps({"Statement": {"Effect": "Maybe"}})}, 400, "MalformedPolicyDocument"),
        ({"DurationSeconds": 43201}, 400, "ValidationError"),
        ({"SourceIdentity": "some body"}, 400, "ValidationError"),
        ({"SerialNumber": "arn:aws:iam::310000000001:mfa/me"}, 403, "AccessDenied"),
        ({"ProvidedContexts": [{"ProviderArn": USER, "ContextAssertion": "abcd"}]}, 501, "NotImplemented"),
    ],
)
def test_parameters_that_are_wrong_or_not_served_are_refused(
    stage: Stage, parameters: dict[str, Any], status: int, code: str
) -> None:
    role = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
    if "DurationSeconds" in parameters:
        role = make_role(stage.admin(MAIN), f"lasts-{parameters['DurationSeconds']}", ALL, trust={"AWS": USER})
    assert assume(stage.user(MAIN), role, **parameters)[:2] == (status, code)


def test_a_short_session_and_a_strange_name_are_refused(stage: Stage) -> None:
    role = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
    sts = stage.user(MAIN).client("sts", parameter_validation=False)
    short = refusal(sts.assume_role, RoleArn=role, RoleSessionName="test", DurationSeconds=899)
    assert short[1:] == (
        "ValidationError",
        (
            "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must "
            "have value greater than or equal to 900"
        ),
    )
    assert refusal(sts.assume_role, RoleArn=role, RoleSessionName="no spaces")[1] == "ValidationError"


def test_a_chained_session_lasts_an_hour_at_most(stage: Stage) -> None:
    role = make_role(stage.admin(MAIN), "chained", ALL, trust={"AWS": MAIN}, MaxSessionDuration=7200)
    assert stage.user(MAIN).assume(role, DurationSeconds=7200).token
    assert assume(stage.admin(MAIN), role, DurationSeconds=7200)[:2] == (400, "ValidationError")
    assert stage.admin(MAIN).assume(role, DurationSeconds=3600).token


@pytest.mark.parametrize("operation", ["decode_authorization_message", "get_access_key_info"])
def test_what_is_not_served_is_a_typed_501(stage: Stage, operation: str) -> None:
    given = {"AccessKeyId": "A" * 20} if operation == "get_access_key_info" else {"EncodedMessage": "x"}
    parameters: dict[str, Any] = given
    assert refusal(getattr(stage.user(MAIN).client("sts"), operation), **parameters)[:2] == (501, "NotImplemented")


@pytest.mark.parametrize("service", ["s3", "sts"])
def test_an_expired_session_is_over(stage: Stage, service: str) -> None:
    role = stage.state.role(f"arn:aws:iam::{MAIN}:role/s3vpce-runner")
    assert role is not None
    past = datetime.now(UTC) - timedelta(seconds=901)
    minted = stage.keys.mint(role, session_name="old", now=past, seconds=900)
    old = Person(stage, minted.access_key_id, minted.secret_access_key, minted.session_token)
    call = old.client("s3").list_buckets if service == "s3" else old.client("sts").get_caller_identity
    assert refusal(call)[1] == "ExpiredToken"
    assert minted.secret_access_key not in repr(minted)
    # Sessions that ended long ago are forgotten when the next one begins.
    stage.keys.mint(role, session_name="new", now=past + timedelta(days=1), seconds=900)
    assert stage.keys.lookup(minted.access_key_id) is None
    assert refusal(call)[1] in {"InvalidAccessKeyId", "InvalidClientTokenId"}


def test_who_has_no_keys_is_refused(stage: Stage) -> None:
    from botocore import UNSIGNED

    sts = stage.user(MAIN).client("sts", signature_version=UNSIGNED)
    assert refusal(sts.get_caller_identity)[:2] == (403, "MissingAuthenticationToken")


def test_a_reading_sees_the_keys_that_a_request_has(stage: Stage) -> None:
    role = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"

    def reading(condition: dict[str, Any]) -> bool:
        text = policy(ALL, deny("*", Condition=condition))
        s3 = stage.user(MAIN).assume(role, Policy=text).client("s3")
        try:
            s3.get_object(Bucket=BUCKET, Key="k")
        except s3.exceptions.ClientError:
            return False
        return True

    equal = {
        "aws:RequestedRegion": REGION,
        "aws:PrincipalType": "AssumedRole",
        "aws:PrincipalAccount": MAIN,
        "aws:ResourceAccount": MAIN,
        "s3:ResourceAccount": MAIN,
        "s3:authType": "REST-HEADER",
        "s3:signatureversion": "AWS4-HMAC-SHA256",
        "aws:SourceIp": "198.51.100.10",
        "aws:ViaAWSService": "false",
        "aws:PrincipalIsAWSService": "false",
        "aws:SecureTransport": "true",
        "s3:TlsVersion": "1.3",
    }
    for key, value in equal.items():
        assert reading({"StringNotEquals": {key: value}}), key
        assert not reading({"StringEquals": {key: value}}), key
    for key in ("aws:SourceVpce", "aws:SourceVpc", "aws:VpcSourceIp", "aws:VpceAccount", "aws:SourceVpcArn"):
        assert reading({"Null": {key: "false"}}), key
    for key in ("aws:userid", "aws:UserAgent", "aws:CurrentTime", "aws:EpochTime", "s3:x-amz-content-sha256"):
        assert reading({"Null": {key: "true"}}), key
    assert not reading({"NumericGreaterThan": {"aws:EpochTime": "1600000000"}})
    assert not reading({"NumericLessThan": {"s3:signatureAge": "600000"}})
