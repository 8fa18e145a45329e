"""Reads a role's or a user's policies, boundary, tags and id.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_manage_edit.html lists the kinds of policies.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.snapshot.asking import asked, joined, policy
from pytest_s3vpce.snapshot.state import PolicyRow, PrincipalRow, Unread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.snapshot.state import Rows

ACTIONS: Final = (
    "iam:GetRole",
    "iam:GetUser",
    "iam:ListRolePolicies",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListUserPolicies",
    "iam:GetUserPolicy",
    "iam:ListAttachedUserPolicies",
    "iam:ListGroupsForUser",
    "iam:ListGroupPolicies",
    "iam:GetGroupPolicy",
    "iam:ListAttachedGroupPolicies",
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:GetInstanceProfile",
)
"""All that is called here, and by whoever looks for an instance's role."""


def role(iam: Any, row: PrincipalRow) -> PrincipalRow:
    """The row with all that IAM says of its role; what may not be read is unread."""
    name = row.arn.rpartition("/")[2]
    found = asked(lambda: iam.get_role(RoleName=name)["Role"])
    identity = asked(lambda: _policies(iam, kind="role", name=name))
    return _with(iam, row, found, identity, id_name="RoleId")


def user(iam: Any, row: PrincipalRow) -> PrincipalRow:
    """The same for a user, with the policies of its groups."""
    name = row.arn.rpartition("/")[2]
    found = asked(lambda: iam.get_user(UserName=name)["User"])
    return _with(iam, row, found, asked(lambda: _of_user(iam, name)), id_name="UserId")


def _with(iam: Any, row: PrincipalRow, found: Any, identity: Any, *, id_name: str) -> PrincipalRow:
    identity = identity if identity is not None else ()
    if isinstance(found, Unread):
        return replace(row, id=found, tags=found, identity=identity, boundary=found)
    boundary = (found.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
    return replace(
        row,
        arn=found["Arn"],
        id=found[id_name],
        tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", ())},
        identity=identity,
        boundary=None if boundary is None else _boundary(iam, boundary),
    )


def _boundary(iam: Any, arn: str) -> PolicyRow | Unread:
    """One that is no more allows nothing."""
    found = asked(lambda: _managed(iam, arn), absent=("NoSuchEntity",))
    return PolicyRow(name=arn, document={"Version": "2012-10-17", "Statement": []}) if found is None else found


def _of_user(iam: Any, name: str) -> Rows | Unread:
    rows: list[PolicyRow | Unread] = [*_all(iam, kind="user", name=name)]
    for page in iam.get_paginator("list_groups_for_user").paginate(UserName=name):
        for group in page["Groups"]:
            rows += _all(iam, kind="group", name=group["GroupName"])
    return joined(rows)


def _policies(iam: Any, *, kind: str, name: str) -> Rows | Unread:
    return joined(list(_all(iam, kind=kind, name=name)))


def _all(iam: Any, *, kind: str, name: str) -> Iterator[PolicyRow | Unread]:
    """Inline policies by their names, attached ones by their ARNs."""
    whose = {f"{kind.title()}Name": name}
    for page in iam.get_paginator(f"list_{kind}_policies").paginate(**whose):
        for inline in page["PolicyNames"]:
            answer = getattr(iam, f"get_{kind}_policy")(**whose, PolicyName=inline)
            yield policy(answer["PolicyDocument"], name=inline if kind != "group" else f"{name}/{inline}")
    for page in iam.get_paginator(f"list_attached_{kind}_policies").paginate(**whose):
        for attached in page["AttachedPolicies"]:
            yield _managed(iam, attached["PolicyArn"])


def _managed(iam: Any, arn: str) -> PolicyRow | Unread:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return policy(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"], name=arn)


def sourced(rows: Rows | Unread, files: Mapping[str, str]) -> Rows | Unread:
    """Policies with the files that the inventory names for them: by name, ARN or the ARN's last part."""
    if isinstance(rows, Unread):
        return rows
    return tuple(
        replace(row, source=files.get(row.name) or files.get(row.name.rpartition("/")[2]) or row.source) for row in rows
    )
