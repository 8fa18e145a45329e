"""Who signed the request, and what the request carries because of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.naive.patterns import lookup

if TYPE_CHECKING:
    from tests.naive.patterns import Json


@dataclass(frozen=True)
class Caller:
    """Who signed the request, as the Principal element sees it."""

    kind: str  # anonymous, service, root, user, role, session, federated
    name: str  # what the request said, without "service:"
    account: str | None
    role: str | None = None  # the ARN of the role behind a session
    linked: bool = False  # a service-linked role


KINDS = (
    (r"arn:[^:]+:iam::(\d+):root", "root", "Account"),
    (r"arn:[^:]+:iam::(\d+):user/.+", "user", "User"),
    (r"arn:[^:]+:iam::(\d+):role/.+", "role", "AssumedRole"),
    (r"arn:[^:]+:sts::(\d+):assumed-role/[^/]+/.+", "session", "AssumedRole"),
    (r"arn:[^:]+:sts::(\d+):federated-user/.+", "federated", "FederatedUser"),
)


def caller_of(request: Json) -> Caller:
    name = request["principal"]
    if name == "anonymous":
        return Caller("anonymous", name, None)
    if name.startswith("service:"):
        return Caller("service", name.removeprefix("service:"), None)
    for pattern, kind, _ in KINDS:
        if found := re.fullmatch(pattern, name):
            role = role_of(name, kind, lookup(request.get("context", {}), "aws:PrincipalArn"))
            linked = role is not None and bool(re.search(r"role/(aws-service-role/|AWSServiceRoleFor)", role))
            return Caller(kind, name, found[1], role, linked)
    raise AssertionError(name)


def role_of(name: str, kind: str, stated: list[str] | None) -> str | None:
    """A session's ARN has no path; the whole ARN of its role is known only where the request states it."""
    if kind == "role":
        return name
    if kind != "session":
        return None
    _, partition, _, _, account, resource = name.split(":", 5)
    role = resource.split("/")[1]
    if stated and ":role/" in stated[0] and stated[0].endswith("/" + role):
        return stated[0]
    return f"arn:{partition}:iam::{account}:role/{role}"


def full_context(request: Json, caller: Caller) -> Json:
    """What the request carries, with the keys that follow from the principal and from the bucket's account."""
    derived: Json = dict.fromkeys(("aws:ResourceAccount", "s3:ResourceAccount"), request["resource_account"])
    if caller.kind == "anonymous":
        derived |= {"aws:PrincipalAccount": "anonymous", "aws:PrincipalType": "Anonymous"}
    elif caller.account:
        derived["aws:PrincipalAccount"] = caller.account
        derived["aws:PrincipalArn"] = caller.role or caller.name
        derived["aws:PrincipalType"] = next(kind for _, name, kind in KINDS if name == caller.kind)
    given: Json = request.get("context", {})
    names = {key.lower() for key in given}
    return {key: value for key, value in derived.items() if key.lower() not in names} | given
