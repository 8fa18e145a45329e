"""Reads the caller's side of a decision: a role's identity policies, its boundary, and whether SCPs bind it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy import UNKNOWN, Document, Policies, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALONE: Final = "AWSOrganizationsNotInUseException"


def own_side(iam: Any, organizations: Any, role: str) -> Policies | None:
    """A role's policies as IAM has them; None where one of them could not be read.

    SCPs are known only where there are none: the account is in no organization, or is its management account.
    """
    name = role.rpartition("/")[2]
    try:
        row = iam.get_role(RoleName=name)["Role"]
        boundary = row.get("PermissionsBoundary")
        return Policies(
            identity=tuple(_identity(iam, name)),
            permissions_boundary=(_managed(iam, boundary["PermissionsBoundaryArn"]),) if boundary else None,
            scps=() if _unbound(organizations, role.split(":")[4]) else UNKNOWN,
        )
    except (ClientError, BotoCoreError, PolicyError):
        return None


def _identity(iam: Any, role: str) -> Iterator[Document]:
    for page in iam.get_paginator("list_role_policies").paginate(RoleName=role):
        for name in page["PolicyNames"]:
            yield _parsed(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"], name)
    for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=role):
        for attached in page["AttachedPolicies"]:
            yield _managed(iam, attached["PolicyArn"])


def _managed(iam: Any, arn: str) -> Document:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    return _parsed(found, arn)


def _parsed(document: Any, name: str) -> Document:
    """As botocore hands IAM's documents over: decoded."""
    return parse(document if isinstance(document, str) else json.dumps(document), name=name)


def _unbound(organizations: Any, account: str) -> bool:
    """https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html"""
    try:
        organization = organizations.describe_organization()["Organization"]
    except ClientError as error:
        return error.response.get("Error", {}).get("Code") == _ALONE
    except BotoCoreError:
        return False
    return bool(organization["MasterAccountId"] == account)
