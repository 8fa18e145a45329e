"""Permissions boundaries of users and roles, and policies of groups, as they limit and allow at S3.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.labstage import Person, Stage, allow, deny, make_role, policy, refusal

MAIN = "310000000031"
BUCKET = "lab-boundaries"
OBJECTS = f"arn:aws:s3:::{BUCKET}/*"
LISTS_ONLY = f"arn:aws:iam::{MAIN}:policy/lists-only"


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN)
    s3 = made.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    document = policy(allow("s3:ListBucket"), deny("s3:DeleteObject"))
    iam = made.admin(MAIN).client("iam")
    iam.create_policy(PolicyName="lists-only", PolicyDocument=document)
    return made


def new_user(stage: Stage, name: str, *statements: dict[str, Any], **more: Any) -> Person:
    iam = stage.admin(MAIN).client("iam")
    iam.create_user(UserName=name, **more)
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy(*statements))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Person(stage, key["AccessKeyId"], key["SecretAccessKey"])


def denial(person: Person, call: str = "get_object") -> str:
    status, code, message = refusal(getattr(person.client("s3"), call), Bucket=BUCKET, Key="k")
    assert (status, code) == (403, "AccessDenied")
    return message


def test_a_users_boundary_limits_it_and_is_named(stage: Stage) -> None:
    user = new_user(stage, "bounded", allow("s3:*"), PermissionsBoundary=LISTS_ONLY)
    assert user.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1
    assert denial(user).endswith("because no permissions boundary allows the s3:GetObject action")
    assert denial(user, "delete_object").endswith(f"with an explicit deny in a permissions boundary: {LISTS_ONLY}")


def test_a_users_boundary_is_put_shown_and_taken_away(stage: Stage) -> None:
    user = new_user(stage, "once-bounded", allow("s3:*"))
    iam = stage.admin(MAIN).client("iam")
    assert user.client("s3").get_object(Bucket=BUCKET, Key="k")
    iam.put_user_permissions_boundary(UserName="once-bounded", PermissionsBoundary=LISTS_ONLY)
    shown = iam.get_user(UserName="once-bounded")["User"]["PermissionsBoundary"]
    assert shown["PermissionsBoundaryArn"] == LISTS_ONLY
    assert "permissions boundary" in denial(user)
    iam.delete_user_permissions_boundary(UserName="once-bounded")
    assert user.client("s3").get_object(Bucket=BUCKET, Key="k")
    assert "PermissionsBoundary" not in iam.get_user(UserName="once-bounded")["User"]


def test_a_roles_boundary_is_put_and_taken_away(stage: Stage) -> None:
    role = make_role(stage.admin(MAIN), "bounded", allow("s3:*"), trust={"AWS": MAIN})
    iam = stage.admin(MAIN).client("iam")
    session = stage.user(MAIN).assume(role)
    assert session.client("s3").get_object(Bucket=BUCKET, Key="k")
    iam.put_role_permissions_boundary(RoleName="bounded", PermissionsBoundary=LISTS_ONLY)
    assert "permissions boundary" in denial(session)
    iam.delete_role_permissions_boundary(RoleName="bounded")
    assert session.client("s3").get_object(Bucket=BUCKET, Key="k")


def test_which_grants_of_the_bucket_a_boundary_limits(stage: Stage) -> None:
    """A grant to the user's ARN or to a session's is outside of the boundary, one to the role's is not."""
    admin = stage.admin(MAIN).client("s3")
    user = new_user(stage, "granted", PermissionsBoundary=LISTS_ONLY)
    role = make_role(stage.admin(MAIN), "granted", trust={"AWS": MAIN}, PermissionsBoundary=LISTS_ONLY)
    session = stage.user(MAIN).assume(role, session_name="it")
    arns = {
        f"arn:aws:iam::{MAIN}:user/granted": (user, True),
        f"arn:aws:sts::{MAIN}:assumed-role/granted/it": (session, True),
        role: (session, False),
    }
    for arn, (person, open_to) in arns.items():
        grant = allow("s3:GetObject", OBJECTS, Principal={"AWS": arn})
        admin.put_bucket_policy(Bucket=BUCKET, Policy=policy(grant))
        if open_to:
            assert person.client("s3").get_object(Bucket=BUCKET, Key="k"), arn
        else:
            assert "no permissions boundary allows" in denial(person)
    admin.delete_bucket_policy(Bucket=BUCKET)


def test_a_groups_policies_are_its_members(stage: Stage) -> None:
    iam = stage.admin(MAIN).client("iam")
    user = new_user(stage, "member")
    assert "no identity-based policy allows" in denial(user)
    iam.create_group(GroupName="readers")
    iam.attach_group_policy(GroupName="readers", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    iam.add_user_to_group(UserName="member", GroupName="readers")
    assert user.client("s3").get_object(Bucket=BUCKET, Key="k")
    iam.put_group_policy(GroupName="readers", PolicyName="not", PolicyDocument=policy(deny("s3:GetObject")))
    assert denial(user).endswith("with an explicit deny in an identity-based policy")
    iam.remove_user_from_group(UserName="member", GroupName="readers")
    assert "no identity-based policy allows" in denial(user)
