"""Users, groups and roles: what their own policies, the bucket's and a session's let them do together.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session and
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.conftest import ACCOUNTS, DENIED, Keys, allow, deny, document, of_identity, outcome

if TYPE_CHECKING:
    from tests.conformance.conftest import World

EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
BUCKET_ACTIONS = ["s3:ListBucket", "s3:GetBucketLocation"]


def mine(action: str | list[str], *resources: str, **more: Any) -> dict[str, Any]:
    return of_identity(allow(action, *resources, **more))


def forbidden(action: str | list[str], *resources: str) -> dict[str, Any]:
    return of_identity(deny(action, *resources))


@pytest.fixture(scope="module")
def bucket(world: World) -> str:
    return world.bucket("home/alice/a", "home/bob/b", "top")


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([], ""),
        ([EVERYTHING], "list get put delete buckets"),
        ([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}], "list get put delete buckets"),
        ([mine("s3:GetObject", "{bucket}/*")], "get"),
        ([mine("s3:Get*", "{bucket}/home/*")], ""),
        ([mine(["s3:ListBucket", "s3:GetObject"], "{bucket}", "{bucket}/*")], "list get"),
        ([mine("S3:gEToBJECT", "{bucket}/t?p")], "get"),
        ([{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}], "buckets"),
        ([EVERYTHING, forbidden("s3:DeleteObject", "{bucket}/*")], "list get put buckets"),
        ([EVERYTHING, forbidden("s3:*", "{bucket}")], "get put delete buckets"),
        ([EVERYTHING, {"Effect": "Deny", "Action": "s3:ListAllMyBuckets", "Resource": "*"}], "list get put delete"),
        ([{"Effect": "Allow", "NotAction": "s3:GetObject", "Resource": "*"}], "list put delete buckets"),
        ([EVERYTHING, {"Effect": "Deny", "NotAction": "s3:GetObject", "Resource": "*"}], "get"),
        ([{"Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::{bucket}/*"}], "list buckets"),
        ([{"Effect": "Deny", "Action": "*", "Resource": "*"}, EVERYTHING], ""),
        ([{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}], ""),
    ],
    ids=str,
)
def test_a_users_own_policy(world: World, bucket: str, statements: list[Any], allowed: str) -> None:
    text = json.loads(json.dumps(statements).replace("{bucket}", bucket))
    s3 = world.client("s3", world.user(*text))
    calls: dict[str, tuple[Any, dict[str, Any]]] = {
        "list": (s3.list_objects_v2, {"Bucket": bucket}),
        "get": (s3.get_object, {"Bucket": bucket, "Key": "top"}),
        "put": (s3.put_object, {"Bucket": bucket, "Key": "top", "Body": b"top"}),
        "delete": (s3.delete_object, {"Bucket": bucket, "Key": "nothing"}),
        "buckets": (s3.list_buckets, {}),
    }
    found = {name: outcome(call, **parameters) for name, (call, parameters) in calls.items()}
    assert {name for name, (status, _) in found.items() if status < 300} == set(allowed.split())
    assert {code for status, code in found.values() if status >= 300} <= {"AccessDenied"}


def test_policies_come_and_go(world: World, bucket: str) -> None:
    iam, name = world.client("iam"), world.name("user")
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    s3 = world.client("s3", Keys(made["AccessKeyId"], made["SecretAccessKey"]))
    get = {"Bucket": bucket, "Key": "top"}
    assert outcome(s3.get_object, **get) == DENIED
    for policy, statement in (("yes", EVERYTHING), ("no", {**EVERYTHING, "Effect": "Deny"})):
        iam.put_user_policy(UserName=name, PolicyName=policy, PolicyDocument=document(statement))
        assert outcome(s3.get_object, **get) == ((200, "") if policy == "yes" else DENIED)
    assert set(iam.list_user_policies(UserName=name)["PolicyNames"]) == {"yes", "no"}
    assert iam.get_user_policy(UserName=name, PolicyName="yes")["PolicyDocument"]["Statement"] == [EVERYTHING]
    iam.delete_user_policy(UserName=name, PolicyName="no")
    assert outcome(s3.get_object, **get) == (200, "")
    iam.delete_user_policy(UserName=name, PolicyName="yes")
    assert outcome(s3.get_object, **get) == DENIED
    iam.attach_user_policy(UserName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    assert outcome(s3.get_object, **get) == (200, "")
    assert outcome(s3.put_object, **get, Body=b"x") == DENIED
    iam.update_access_key(UserName=name, AccessKeyId=made["AccessKeyId"], Status="Inactive")
    assert outcome(s3.get_object, **get) == (403, "InvalidAccessKeyId")
    assert outcome(iam.get_user_policy, UserName=name, PolicyName="none") == (404, "NoSuchEntity")
    wrong = {"UserName": "nobody-here", "PolicyName": "p", "PolicyDocument": document(EVERYTHING)}
    assert outcome(iam.put_user_policy, **wrong) == (404, "NoSuchEntity")
    assert outcome(iam.delete_user_policy, UserName=name, PolicyName="none") == (404, "NoSuchEntity")


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "no policy",
        document({"Effect": "Allow", "Resource": "*"}),
        document({"Effect": "Allow", "Action": "s3:*"}),
        document({"Effect": "Perhaps", "Action": "s3:*", "Resource": "*"}),
        document({"Effect": "Allow", "Action": "s3", "Resource": "*"}),
        document({"Effect": "Allow", "Action": "s3:*", "Resource": "bucket"}),
        document({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": "*"}),
    ],
)
def test_what_is_no_policy_of_an_identity(world: World, text: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutUserPolicy.html"""
    iam, name = world.client("iam"), world.name("user")
    iam.create_user(UserName=name)
    found = outcome(iam.put_user_policy, UserName=name, PolicyName="p", PolicyDocument=text)
    assert found == (400, "MalformedPolicyDocument")


@pytest.mark.parametrize(
    ("identity", "resource", "expected"),
    [
        (None, None, DENIED),
        ("Allow", None, (200, "")),
        (None, "Allow", (200, "")),
        ("Allow", "Deny", DENIED),
        ("Deny", "Allow", DENIED),
    ],
)
def test_in_one_account_either_side_allows(
    world: World, identity: str | None, resource: str | None, expected: tuple[int, str]
) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-id-rdp.html"""
    bucket, iam, name = world.bucket("key"), world.client("iam"), world.name("user")
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    made = iam.create_access_key(UserName=name)["AccessKey"]
    if identity is not None:
        text = document({**mine("s3:GetObject", f"{bucket}/*"), "Effect": identity})
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=text)
    if resource is not None:
        world.policy(bucket, {**allow("s3:GetObject", f"{bucket}/*", Principal={"AWS": arn}), "Effect": resource})
    s3 = world.client("s3", Keys(made["AccessKeyId"], made["SecretAccessKey"]))
    assert outcome(s3.get_object, Bucket=bucket, Key="key") == expected


@pytest.mark.parametrize(("theirs", "ours"), [(True, True), (True, False), (False, True), (False, False)])
def test_across_accounts_both_sides_allow(world: World, theirs: bool, ours: bool) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html"""
    bucket = world.bucket("key")
    user = world.user(*([mine("s3:*", bucket, f"{bucket}/*")] if theirs else []), account="alt")
    if ours:
        principal = {"AWS": f"arn:aws:iam::{ACCOUNTS['alt']}:root"}
        world.policy(bucket, allow("s3:GetObject", f"{bucket}/*", Principal=principal))
    found = outcome(world.client("s3", user).get_object, Bucket=bucket, Key="key")
    assert found == ((200, "") if theirs and ours else DENIED)


def test_variables_are_the_callers(world: World, bucket: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html"""
    iam = world.client("iam")
    iam.create_user(UserName="alice")
    statements = [
        mine("s3:GetObject", f"{bucket}/home/${{aws:username}}/*"),
        mine("s3:ListBucket", bucket, Condition={"StringLike": {"s3:prefix": "home/${aws:username}/*"}}),
    ]
    iam.put_user_policy(UserName="alice", PolicyName="home", PolicyDocument=document(*statements))
    made = iam.create_access_key(UserName="alice")["AccessKey"]
    s3 = world.client("s3", Keys(made["AccessKeyId"], made["SecretAccessKey"]))
    assert outcome(s3.get_object, Bucket=bucket, Key="home/alice/a") == (200, "")
    assert outcome(s3.get_object, Bucket=bucket, Key="home/bob/b") == DENIED
    assert outcome(s3.list_objects_v2, Bucket=bucket, Prefix="home/alice/") == (200, "")
    assert outcome(s3.list_objects_v2, Bucket=bucket, Prefix="home/bob/") == DENIED


# --- sessions ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def actor(world: World) -> Keys:
    """A user who may assume whatever trusts its account."""
    return world.user({"Effect": "Allow", "Action": "sts:*", "Resource": "*"})


def role(world: World, *statements: dict[str, Any], account: str = "main", **trust: Any) -> str:
    iam, name = world.client("iam", account), world.name("role")
    principal = {"AWS": f"arn:aws:iam::{ACCOUNTS['main']}:root"}
    trusting = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **trust}
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trusting))["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document(*statements))
    return arn


def keys(answer: Any) -> Keys:
    found = answer["Credentials"]
    return Keys(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])


def assume(world: World, actor: Keys, arn: str, **more: Any) -> Keys:
    return keys(world.client("sts", actor).assume_role(RoleArn=arn, RoleSessionName="session", **more))


@pytest.mark.parametrize(("effect", "created"), [("Allow", (200, "")), ("Deny", DENIED)])
def test_a_role_may_what_its_policy_says(world: World, actor: Keys, effect: str, created: tuple[int, str]) -> None:
    session = assume(world, actor, role(world, {"Effect": effect, "Action": "s3:*", "Resource": "*"}))
    s3 = world.client("s3", session)
    assert outcome(s3.create_bucket, Bucket=world.name()) == created
    absent = {"Bucket": world.bucket(), "Key": "absent"}
    assert outcome(s3.head_object, **absent)[0] == (404 if effect == "Allow" else 403)
    assert outcome(world.client("s3", Keys(session.key, session.secret)).list_buckets) == (403, "InvalidAccessKeyId")
    assert outcome(world.client("s3", Keys(session.key, session.secret, "no token")).list_buckets) == (
        400,
        "InvalidToken",
    )


@pytest.mark.parametrize(
    ("policy", "listed", "got"),
    [
        (None, (200, ""), (200, "")),
        ([mine("s3:GetObject", "{bucket}/*")], DENIED, (200, "")),
        ([{**EVERYTHING, "Action": "s3:ListBucket"}], (200, ""), DENIED),
        ([{**EVERYTHING, "Effect": "Deny"}], DENIED, DENIED),
        ([EVERYTHING, forbidden("s3:GetObject", "{bucket}/*")], (200, ""), DENIED),
    ],
    ids=str,
)
def test_a_sessions_policy_takes_away(
    world: World, actor: Keys, bucket: str, *, policy: Any, listed: tuple[int, str], got: tuple[int, str]
) -> None:
    arn = role(world, {"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    more = {} if policy is None else {"Policy": document(*policy).replace("{bucket}", bucket)}
    s3 = world.client("s3", assume(world, actor, arn, **more))
    assert outcome(s3.list_objects, Bucket=bucket) == listed
    assert outcome(s3.get_object, Bucket=bucket, Key="top") == got


def test_a_sessions_policy_gives_nothing(world: World, actor: Keys, bucket: str) -> None:
    session = assume(world, actor, role(world), Policy=document(EVERYTHING))
    assert outcome(world.client("s3", session).get_object, Bucket=bucket, Key="top") == DENIED


def test_the_resource_names_roles_and_sessions(world: World, actor: Keys) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html"""
    arn, target = role(world), world.bucket("key")
    session = assume(world, actor, arn)
    s3 = world.client("s3", session)
    sessions = arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/session"
    for principal in (arn, sessions, f"arn:aws:iam::{ACCOUNTS['main']}:root"):
        world.policy(target, allow("s3:GetObject", f"{target}/*", Principal={"AWS": principal}))
        expected = DENIED if principal.endswith(":root") else (200, "")
        assert outcome(s3.get_object, Bucket=target, Key="key") == expected
    assert world.client("sts", session).get_caller_identity()["Arn"] == sessions


def test_who_is_trusted(world: World, actor: Keys) -> None:
    sts, denied = world.client("sts", actor), DENIED
    other = role(world, EVERYTHING, account="alt")
    assert outcome(sts.assume_role, RoleArn=other, RoleSessionName="session") == (200, "")
    external = role(world, EVERYTHING, Condition={"StringEquals": {"sts:ExternalId": "secret"}})
    assert outcome(sts.assume_role, RoleArn=external, RoleSessionName="session") == denied
    assert outcome(sts.assume_role, RoleArn=external, RoleSessionName="session", ExternalId="wrong") == denied
    assert outcome(sts.assume_role, RoleArn=external, RoleSessionName="session", ExternalId="secret") == (200, "")
    nobody = role(world, EVERYTHING, Principal={"AWS": f"arn:aws:iam::{ACCOUNTS['alt']}:root"})
    assert outcome(sts.assume_role, RoleArn=nobody, RoleSessionName="session") == denied
    assert outcome(sts.assume_role, RoleArn=f"{nobody}-none", RoleSessionName="session") == denied
    plain = world.client("sts", world.user())
    assert outcome(plain.assume_role, RoleArn=other, RoleSessionName="session") == denied
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_root-user.html: root assumes no role
    assert outcome(world.client("sts").assume_role, RoleArn=other, RoleSessionName="session") == denied
    assert outcome(sts.assume_role, RoleArn=other, RoleSessionName="session", DurationSeconds=3601)[0] == 400


def test_session_tokens_are_the_users_own(world: World, bucket: str) -> None:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html"""
    user = world.user(mine("s3:GetObject", f"{bucket}/*"))
    session = keys(world.client("sts", user).get_session_token())
    s3 = world.client("s3", session)
    assert outcome(s3.get_object, Bucket=bucket, Key="top") == (200, "")
    assert outcome(s3.list_objects, Bucket=bucket) == DENIED
    root = keys(world.client("sts").get_session_token())
    assert outcome(world.client("s3", root).get_object, Bucket=bucket, Key="top") == (200, "")


def test_a_federated_users_session(world: World, bucket: str) -> None:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html"""
    user = world.user({"Effect": "Allow", "Action": ["s3:*", "sts:GetFederationToken"], "Resource": "*"})
    sts = world.client("sts", user)
    policy = document(mine("s3:GetObject", f"{bucket}/*"))
    s3 = world.client("s3", keys(sts.get_federation_token(Name="guest", Policy=policy)))
    assert outcome(s3.get_object, Bucket=bucket, Key="top") == (200, "")
    assert outcome(s3.list_objects, Bucket=bucket) == DENIED
    s3 = world.client("s3", keys(sts.get_federation_token(Name="guest")))
    assert outcome(s3.get_object, Bucket=bucket, Key="top") == DENIED


def test_a_boundary_is_the_most(world: World, bucket: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html"""
    iam, name = world.client("iam"), world.name("user")
    text = document(mine("s3:GetObject", f"{bucket}/*"))
    boundary = iam.create_policy(PolicyName=world.name("policy"), PolicyDocument=text)["Policy"]["Arn"]
    iam.create_user(UserName=name, PermissionsBoundary=boundary)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=document(EVERYTHING))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    s3 = world.client("s3", Keys(made["AccessKeyId"], made["SecretAccessKey"]))
    assert outcome(s3.get_object, Bucket=bucket, Key="top") == (200, "")
    assert outcome(s3.list_objects, Bucket=bucket) == DENIED
    iam.delete_user_permissions_boundary(UserName=name)
    assert outcome(s3.list_objects, Bucket=bucket) == (200, "")


@pytest.mark.parametrize("by", ["name", "path"])
def test_denials_say_why_within_the_account(world: World, bucket: str, by: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html"""
    user = world.user(*([forbidden("s3:GetObject", f"{bucket}/*")] if by == "name" else []))
    answer = world.signed("GET", f"/{bucket}/top", who=user)
    assert answer.code == "AccessDenied"
    words = "with an explicit deny in an identity-based policy" if by == "name" else "no identity-based policy allows"
    assert words in answer.body.decode()
    foreign = world.signed("GET", f"/{bucket}/top", who="alt")
    assert b"<Message>Access Denied</Message>" in foreign.body
