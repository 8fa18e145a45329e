"""Sessions: tags that stay and tags that do not, source identities, users' own and federated ones.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.labstage import Person, Stage, allow, deny, make_role, policy, refusal

MAIN = "310000000011"
USER = f"arn:aws:iam::{MAIN}:user/s3vpce-runner"
RUNNER = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
BUCKET = "lab-sessions"
ALL = allow("*")
RED = [{"Key": "Team", "Value": "red"}]


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN)
    s3 = made.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    return made


def trusting(*actions: str, who: str = MAIN, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": who}, "Action": ["sts:AssumeRole", *actions], **more}


def refused(person: Person, role: str, **parameters: Any) -> tuple[int, str, str]:
    return refusal(person.client("sts").assume_role, RoleArn=role, RoleSessionName="test", **parameters)


def new_user(stage: Stage, name: str, *statements: dict[str, Any], **more: Any) -> Person:
    iam = stage.admin(MAIN).client("iam")
    iam.create_user(UserName=name, **more)
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy(*statements))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Person(stage, key["AccessKeyId"], key["SecretAccessKey"])


def reads(person: Person) -> bool:
    s3 = person.client("s3")
    try:
        s3.get_object(Bucket=BUCKET, Key="k")
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        return False
    return True


# --- tags ------------------------------------------------------------------------------------------------------------


def test_tags_need_their_own_permission_of_the_trust_policy(stage: Stage) -> None:
    sender = new_user(stage, "sender", ALL)
    silent = make_role(stage.admin(MAIN), "silent", ALL, trust=trusting())
    assert sender.assume(silent).token
    # A trust policy that does not allow is not named.
    assert refused(sender, silent, Tags=RED) == (
        403,
        "AccessDenied",
        f"User: arn:aws:iam::{MAIN}:user/sender is not authorized to perform: sts:TagSession on resource: {silent}",
    )
    open_role = make_role(stage.admin(MAIN), "taking-tags", ALL, trust=trusting("sts:TagSession"))
    assert sender.assume(open_role, Tags=RED).token
    # The runner's user may assume roles, and no more.
    assert refused(stage.user(MAIN), open_role, Tags=RED)[2].endswith(
        f"sts:TagSession on resource: {open_role} because no identity-based policy allows the sts:TagSession action"
    )


def test_a_sessions_tags_are_over_those_of_its_role(stage: Stage) -> None:
    ours = {"StringEquals": {"aws:PrincipalTag/team": "red"}}
    kept = {"StringEquals": {"aws:PrincipalTag/site": "north"}}
    role = make_role(
        stage.admin(MAIN),
        "tagged",
        allow("s3:GetObject", Condition={"StringEquals": ours["StringEquals"] | kept["StringEquals"]}),
        trust=trusting("sts:TagSession"),
        Tags=[{"Key": "team", "Value": "blue"}, {"Key": "site", "Value": "north"}],
    )
    sender = new_user(stage, "tag-sender", ALL)
    assert not reads(sender.assume(role))
    assert reads(sender.assume(role, Tags=RED))


def test_the_trust_policy_sees_which_tags_are_passed(stage: Stage) -> None:
    condition = {
        "StringEquals": {"aws:RequestTag/team": "red", "aws:ResourceTag/kind": "app", "iam:ResourceTag/kind": "app"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["Team"], "sts:TransitiveTagKeys": ["Team"]},
        "NumericLessThanEquals": {"sts:DurationSeconds": "1800"},
    }
    role = make_role(
        stage.admin(MAIN),
        "choosy",
        ALL,
        trust=trusting("sts:TagSession", Condition=condition),
        Tags=[{"Key": "kind", "Value": "app"}],
    )
    sender = new_user(stage, "choosy-sender", ALL)
    assert sender.assume(role, Tags=RED, DurationSeconds=1800, TransitiveTagKeys=["team"]).token
    assert refused(sender, role, Tags=RED)[1] == "AccessDenied"
    assert refused(sender, role, Tags=[{"Key": "Team", "Value": "blue"}], DurationSeconds=900)[1] == "AccessDenied"
    more = [*RED, {"Key": "other", "Value": ""}]
    assert refused(sender, role, Tags=more, DurationSeconds=900)[1] == "AccessDenied"


def test_transitive_tags_stay_through_a_chain_of_roles(stage: Stage) -> None:
    red = {"StringEquals": {"aws:PrincipalTag/Team": "red"}}
    first, second, third = (
        make_role(stage.admin(MAIN), name, *rights, trust=trusting("sts:TagSession"))
        for name, rights in (
            ("chain-1", (allow("sts:*"),)),
            ("chain-2", (allow("sts:*"), allow("s3:GetObject", Condition=red))),
            ("chain-3", (allow("s3:GetObject", Condition=red),)),
        )
    )
    last = make_role(stage.admin(MAIN), "chain-silent", ALL, trust=trusting())
    sender = new_user(stage, "chain-sender", ALL)
    staying = sender.assume(first, Tags=RED, TransitiveTagKeys=["Team"])
    passing = sender.assume(first, Tags=RED)
    assert reads(staying.assume(second))
    assert reads(staying.assume(second).assume(third))
    assert not reads(passing.assume(second))
    assert refused(staying, second, Tags=[{"Key": "team", "Value": "blue"}]) == (
        400,
        "InvalidParameterValue",
        (
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from "
            "the calling session."
        ),
    )
    # What is inherited is passed too: each role of the chain must take it.
    assert refused(staying, last)[2].endswith(f"sts:TagSession on resource: {last}")
    assert passing.assume(last).token


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        (
            {"Tags": [*RED, {"Key": "team", "Value": "blue"}]},
            "InvalidParameterValue",
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        ),
        (
            {"Tags": RED, "TransitiveTagKeys": ["site"]},
            "InvalidParameterValue",
            "The specified transitive tag key must be included in the requested tags.",
        ),
        ({"Tags": [{"Key": "aws:x", "Value": ""}]}, "InvalidParameterValue", "prefix 'aws:'"),
        ({"Tags": [{"Key": "", "Value": ""}]}, "ValidationError", "greater than or equal to 1"),
        ({"Tags": [{"Key": "k" * 129, "Value": ""}]}, "ValidationError", "'tags.1.member.key'"),
        ({"Tags": [{"Key": "k", "Value": "v" * 257}]}, "ValidationError", "'tags.1.member.value'"),
        ({"Tags": [{"Key": "k", "Value": "<"}]}, "ValidationError", "regular expression pattern"),
        ({"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}, "ValidationError", "equal to 50"),
    ],
)
def test_tags_that_are_none_are_refused(stage: Stage, parameters: dict[str, Any], code: str, message: str) -> None:
    sts = stage.user(MAIN).client("sts", parameter_validation=False)
    found = refusal(sts.assume_role, RoleArn=RUNNER, RoleSessionName="test", **parameters)
    assert found[:2] == (400, code)
    assert message in found[2]


def test_what_does_not_go_into_the_token_is_too_large(stage: Stage) -> None:
    tags = [{"Key": f"key{number}", "Value": secrets.token_hex(128)} for number in range(20)]
    found = refused(stage.user(MAIN), RUNNER, Tags=tags)
    assert found[:2] == (400, "PackedPolicyTooLarge")
    assert "% of allotted space" in found[2]
    sts = stage.user(MAIN).client("sts")
    made = sts.assume_role(RoleArn=RUNNER, RoleSessionName="test", Policy=policy(ALL))
    assert 0 < made["PackedPolicySize"] < 100
    assert "PackedPolicySize" not in sts.assume_role(RoleArn=RUNNER, RoleSessionName="test")


# --- source identity -------------------------------------------------------------------------------------------------


def test_a_source_identity_is_set_once_and_stays(stage: Stage) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html"""
    ann = {"StringEquals": {"aws:SourceIdentity": "ann"}}
    trust = trusting("sts:SetSourceIdentity", Condition={"StringLike": {"sts:SourceIdentity": "a*"}})
    first = make_role(stage.admin(MAIN), "source-1", allow("sts:*"), trust=trust)
    second = make_role(stage.admin(MAIN), "source-2", allow("s3:GetObject", Condition=ann), trust=trust)
    closed = make_role(stage.admin(MAIN), "source-3", ALL, trust=trusting())
    sender = new_user(stage, "source-sender", ALL)
    made = sender.client("sts").assume_role(RoleArn=first, RoleSessionName="test", SourceIdentity="ann")
    assert made["SourceIdentity"] == "ann"
    session = sender.assume(first, SourceIdentity="ann")
    assert reads(session.assume(second))
    assert reads(session.assume(second, SourceIdentity="ann"))
    assert refused(session, second, SourceIdentity="abe")[1] == "AccessDenied"
    assert refused(sender, first, SourceIdentity="bob")[1] == "AccessDenied"
    assert "sts:SetSourceIdentity" in refused(session, closed)[2]
    assert sender.assume(closed).token


# --- users' own sessions ---------------------------------------------------------------------------------------------


def lasts(credentials: dict[str, Any]) -> int:
    seconds: float = (credentials["Expiration"] - datetime.now(UTC)).total_seconds()
    return round(seconds / 60)


def person_of(stage: Stage, credentials: dict[str, Any]) -> Person:
    return Person(stage, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])


def test_a_session_token_is_the_users_own(stage: Stage) -> None:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html"""
    temporary = {"Bool": {"aws:MultiFactorAuthPresent": "false"}, "Null": {"aws:TokenIssueTime": "false"}}
    user = new_user(stage, "holder", allow("s3:GetObject", Condition=temporary), allow(["iam:*", "sts:AssumeRole"]))
    assert not reads(user)
    made = user.client("sts").get_session_token()["Credentials"]
    assert lasts(made) == 12 * 60
    session = person_of(stage, made)
    assert reads(session)
    assert session.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{MAIN}:user/holder"
    for call in ("get_session_token", "get_federation_token"):
        named = {"Name": "name"} if "federation" in call else {}
        name = "".join(part.title() for part in call.split("_"))
        assert refusal(getattr(session.client("sts"), call), **named) == (
            403,
            "AccessDenied",
            f"Cannot call {name} with session credentials",
        )
    assert refusal(session.client("iam").list_users)[:2] == (403, "InvalidClientTokenId")
    assert user.client("iam").list_users()
    assert session.assume(make_role(stage.admin(MAIN), "for-holder", trust=trusting())).token


def test_roots_session_lasts_an_hour_at_most(stage: Stage) -> None:
    sts = stage.root(MAIN).client("sts")
    made = sts.get_session_token(DurationSeconds=36000)["Credentials"]
    assert lasts(made) == 60
    root = person_of(stage, made)
    assert root.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{MAIN}:root"
    assert reads(root)
    too_long = refusal(sts.get_session_token, DurationSeconds=129601)
    assert too_long[:2] == (400, "ValidationError")
    assert too_long[2].endswith("Member must have value less than or equal to 129600")


# --- federated users -------------------------------------------------------------------------------------------------


def federated(person: Person, name: str = "guest", **parameters: Any) -> Person:
    made = person.client("sts").get_federation_token(Name=name, **parameters)
    return person_of(person.stage, made["Credentials"])


def test_a_federated_session_has_what_user_and_session_policy_share(stage: Stage) -> None:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html"""
    user = new_user(stage, "broker", allow(["s3:GetObject", "sts:*"]))
    sts = user.client("sts")
    made = sts.get_federation_token(Name="guest", Policy=policy(allow("s3:*")))
    arn = f"arn:aws:sts::{MAIN}:federated-user/guest"
    assert made["FederatedUser"] == {"FederatedUserId": f"{MAIN}:guest", "Arn": arn}
    assert lasts(made["Credentials"]) == 12 * 60
    guest = person_of(stage, made["Credentials"])
    found = guest.client("sts").get_caller_identity()
    assert (found["Arn"], found["UserId"], found["Account"]) == (arn, f"{MAIN}:guest", MAIN)
    assert reads(guest)
    s3 = guest.client("s3")
    assert refusal(s3.put_object, Bucket=BUCKET, Key="k", Body=b"")[2] == (
        f"User: {arn} is not authorized to perform: s3:PutObject on resource: "
        f'"arn:aws:s3:::{BUCKET}/k" because no identity-based policy allows the s3:PutObject action'
    )
    assert not reads(federated(user))
    assert not reads(federated(user, Policy=policy(ALL, deny("s3:GetObject"))))
    assert reads(federated(user, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}]))
    assert refusal(guest.client("iam").list_users)[:2] == (403, "InvalidClientTokenId")
    assert refused(guest, RUNNER)[:2] == (403, "AccessDenied")


def test_without_a_session_policy_only_a_resources_grant_is_left(stage: Stage) -> None:
    admin = stage.admin(MAIN).client("s3")
    user = new_user(stage, "lender", allow("sts:*"))
    arn = f"arn:aws:sts::{MAIN}:federated-user/visitor"
    grant = allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*", Principal={"AWS": arn})
    admin.put_bucket_policy(Bucket=BUCKET, Policy=policy(grant))
    try:
        assert reads(federated(user, "visitor"))
        assert not reads(federated(user, "another"))
    finally:
        admin.delete_bucket_policy(Bucket=BUCKET)


def test_a_grant_to_the_user_reaches_its_sessions_as_far_as_their_policies_go(stage: Stage) -> None:
    admin = stage.admin(MAIN).client("s3")
    user = new_user(stage, "granted", allow("sts:*"))
    arn = f"arn:aws:iam::{MAIN}:user/granted"
    grant = allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*", Principal={"AWS": arn})
    admin.put_bucket_policy(Bucket=BUCKET, Policy=policy(grant))
    try:
        assert reads(user)
        assert reads(federated(user, Policy=policy(allow("s3:GetObject"))))
        assert not reads(federated(user, Policy=policy(allow("s3:PutObject"))))
        assert not reads(federated(user))
    finally:
        admin.delete_bucket_policy(Bucket=BUCKET)


def test_federation_needs_its_permission(stage: Stage) -> None:
    user = new_user(stage, "modest", allow("sts:GetFederationToken", f"arn:aws:sts::{MAIN}:federated-user/a*"))
    sts = user.client("sts")
    assert sts.get_federation_token(Name="ann")
    assert refusal(sts.get_federation_token, Name="bob") == (
        403,
        "AccessDenied",
        (
            f"User: arn:aws:iam::{MAIN}:user/modest is not authorized to perform: sts:GetFederationToken on "
            f"resource: arn:aws:sts::{MAIN}:federated-user/bob because no identity-based policy allows the "
            "sts:GetFederationToken action"
        ),
    )
    assert "sts:TagSession" in refusal(sts.get_federation_token, Name="ann", Tags=RED)[2]
    assert refusal(sts.get_federation_token, Name="a" * 33)[1] == "ValidationError"


def test_a_federated_session_has_its_users_tags_and_its_own(stage: Stage) -> None:
    both = {"StringEquals": {"aws:PrincipalTag/team": "red", "aws:PrincipalTag/site": "north"}}
    tags = [{"Key": "team", "Value": "blue"}, {"Key": "site", "Value": "north"}]
    user = new_user(stage, "tagger", allow("sts:*"), allow("s3:GetObject", Condition=both), Tags=tags)
    assert not reads(federated(user, Policy=policy(ALL)))
    assert reads(federated(user, Policy=policy(ALL), Tags=RED))


def test_roots_federated_session_has_what_its_policy_allows(stage: Stage) -> None:
    assert reads(federated(stage.root(MAIN), Policy=policy(allow("s3:GetObject"))))
    assert not reads(federated(stage.root(MAIN), Policy=policy(allow("s3:PutObject"))))


def test_a_role_arn_must_be_one(stage: Stage) -> None:
    user = stage.user(MAIN)
    assert refused(user, "arn:aws:iam::3100:role/short") == (
        400,
        "ValidationError",
        "arn:aws:iam::3100:role/short is invalid",
    )
    sts = user.client("sts", parameter_validation=False)
    short = refusal(sts.assume_role, RoleArn="arn", RoleSessionName="test")
    assert short[1:] == (
        "ValidationError",
        (
            "1 validation error detected: Value 'arn' at 'roleArn' failed to satisfy constraint: Member must "
            "have length greater than or equal to 20"
        ),
    )


def test_what_credentials_bring_along_is_seen_wherever_they_are_used(stage: Stage) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
    function = f"arn:aws:lambda:us-east-1:{MAIN}:function:fn"
    only = {"ArnEquals": {"lambda:SourceFunctionArn": function}}
    arn = make_role(stage.admin(MAIN), "runs-a-function", allow("s3:GetObject", Condition=only), trust=trusting())
    role = stage.state.role(arn)
    assert role is not None
    assert not reads(stage.user(MAIN).assume(arn))
    brought = (("lambda:SourceFunctionArn", function),)
    minted = stage.keys.mint(role, session_name="fn", now=datetime.now(UTC), seconds=900, brought=brought)
    assert reads(Person(stage, minted.access_key_id, minted.secret_access_key, minted.session_token))
