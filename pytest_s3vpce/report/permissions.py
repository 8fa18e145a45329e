"""Permissions as files: JSON, Terraform, a CloudFormation template; each fits all accounts of an inventory."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.run.permissions import Permissions

_TERRAFORM_HEAD: Final = """\
# The policies of whoever runs pytest-s3vpce: attach each to the account's runner. Trust policies go into
# `assume_role_policy` of the roles by whose ARNs they stand.
data "aws_caller_identity" "s3vpce" {}
"""


def as_json(found: Permissions) -> str:
    """By account, by role."""
    whole = {
        "accounts": {
            row.name: {
                "id": row.id,
                "runner": row.runner,
                **({} if row.signs_in is None else {"signs_in": row.signs_in}),
            }
            for row in found.accounts
        },
        **_besides(found),
    }
    return json.dumps(whole, indent=2) + "\n"


def as_terraform(found: Permissions) -> str:
    """A module for every account: each policy is made in its own one only."""
    parts = [_TERRAFORM_HEAD]
    for name, account, document in _policies(found):
        parts.append(
            f'resource "aws_iam_policy" "{name.replace("-", "_")}" {{\n'
            f'  count  = data.aws_caller_identity.s3vpce.account_id == "{account}" ? 1 : 0\n'
            f'  name   = "{name}"\n'
            f"  policy = jsonencode({_literal(document, depth=1)})\n}}\n"
        )
    parts.append(
        "locals {\n"
        + "".join(f"  s3vpce_{name} = {_literal(rows, depth=1)}\n" for name, rows in _besides(found).items())
        + "}\n"
    )
    return "\n".join(parts)


def as_cloudformation(found: Permissions) -> str:
    """A template for every account: each policy is made in its own one only; the other documents are its metadata.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-managedpolicy.html
    """
    accounts = {row.id: f"In{row.id}" for row in found.accounts}
    whole = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "The policies of whoever runs pytest-s3vpce",
        "Metadata": {f"s3vpce:{name}": rows for name, rows in _besides(found).items()},
        "Conditions": {
            name: {"Fn::Equals": [{"Ref": "AWS::AccountId"}, account]} for account, name in accounts.items()
        },
        "Resources": {
            re.sub(r"[^A-Za-z0-9]", "", name.title()): {
                "Type": "AWS::IAM::ManagedPolicy",
                "Condition": accounts[account],
                "Properties": {"ManagedPolicyName": name, "PolicyDocument": document},
            }
            for name, account, document in _policies(found)
        },
    }
    return json.dumps(whole, indent=2) + "\n"


FORMS: Final[Mapping[str, Callable[[Permissions], str]]] = {
    "json": as_json,
    "terraform": as_terraform,
    "cloudformation": as_cloudformation,
}


def _policies(found: Permissions) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Name, account and document of what is to be attached."""
    rows = [(f"s3vpce-runner-{row.name}", row.id, row.runner) for row in found.accounts]
    rows += [(f"s3vpce-sign-in-{row.name}", row.id, row.signs_in) for row in found.accounts if row.signs_in]
    return [(_plain(name), account, document) for name, account, document in rows if document["Statement"]]


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", name)


def _besides(found: Permissions) -> dict[str, Any]:
    """The documents that belong to roles of somebody else's: whoever makes those puts them in."""
    rows: dict[str, Any] = {"trust": found.trust}
    if found.chains:
        rows["chains"] = found.chains
    if found.function is not None:
        rows["function_role"] = {"trust": found.function_trust, "policy": found.function}
    return rows


def _literal(value: Any, *, depth: int) -> str:
    """JSON is an expression of Terraform's, but for its templates: https://developer.hashicorp.com/terraform/language/expressions/strings"""
    text = json.dumps(value, indent=2).replace("${", "$${").replace("%{", "%%{")
    return text.replace("\n", "\n" + "  " * depth)
