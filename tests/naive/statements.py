"""Which statements apply to a request, and what a policy says by them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.naive.conditions import conditions_hold
from tests.naive.patterns import ANY_RUN, arn_fits, expand_resource, glob, listed, wild

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.naive.caller import Caller
    from tests.naive.patterns import Json

ALLOW, DENY, SILENT = "allow", "explicit_deny", "implicit_deny"


def statements(policy: Json) -> Iterator[tuple[Json, str]]:
    for statement in listed(policy["Statement"]):
        yield statement, policy.get("Version", "2008-10-17")


def action_fits(statement: Json, action: str) -> bool:
    def among(patterns: Any) -> bool:
        return any(glob(wild(pattern.lower()), action.lower()) for pattern in listed(patterns))

    if "NotAction" in statement:
        return not among(statement["NotAction"])
    return among(statement["Action"])


def resource_fits(statement: Json, version: str, resource: str, context: Json) -> bool:
    def among(patterns: Any) -> bool:
        for pattern in listed(patterns):
            expanded = expand_resource(pattern, version, context)
            if expanded is not None and (expanded == ANY_RUN or arn_fits(expanded, resource)):
                return True
        return False

    if "NotResource" in statement:
        return not among(statement["NotResource"])
    # A role's trust policy names no resource: it speaks of its own role.
    return among(statement["Resource"]) if "Resource" in statement else True


def applies(statement: Json, version: str, action: str, resource: str, context: Json) -> bool:
    """Everything but the principal."""
    return (
        action_fits(statement, action)
        and resource_fits(statement, version, resource, context)
        and conditions_hold(statement.get("Condition", {}), version, context)
    )


def entries(element: Any) -> list[tuple[str, str]]:
    """The element's (type, value) pairs; `"*"` is `{"AWS": "*"}`."""
    if element == "*":
        return [("AWS", "*")]
    return [(kind, value) for kind, values in element.items() for value in listed(values)]


def how_named(kind: str, value: str, caller: Caller) -> str | None:
    """By what an entry names the caller: everyone, account, role, or the caller itself; None if it does not."""
    if kind == "AWS" and value == "*":
        return "everyone"
    if kind == "Service":
        return "itself" if caller.kind == "service" and caller.name == value else None
    if kind != "AWS" or caller.account is None:
        return None
    if value == caller.account or re.fullmatch(rf"arn:[^:]+:iam::{caller.account}:root", value):
        return "account"
    if value == caller.role:
        return "role"
    return "itself" if value == caller.name else None


def names(statement: Json, caller: Caller, *, bounded: bool) -> set[str]:
    """By what a statement reaches the caller; empty: it does not."""
    if "NotPrincipal" not in statement:
        return {how for entry in entries(statement.get("Principal", {})) if (how := how_named(*entry, caller))}
    spared = {how for entry in entries(statement["NotPrincipal"]) if (how := how_named(*entry, caller))}
    if statement["Effect"] == "Allow":
        return set() if spared else {"everyone"}
    # A deny spares only who is listed with all that stands behind it, and nobody who carries a boundary.
    behind = {
        "session": {"itself", "role", "account"},
        "role": {"itself", "role", "account"},  # never "itself": its session's name is not known
        "user": {"itself", "account"},
        "federated": {"itself", "account"},
        "root": {"account"},
        "service": {"itself"},
        "anonymous": {"everyone"},
    }[caller.kind]
    is_spared = "everyone" in spared or behind <= spared
    return set() if is_spared and not bounded else {"everyone"}


def effect(policies: list[Json], action: str, resource: str, context: Json) -> str:
    """What policies without principals say, taken together."""
    effects = {
        statement["Effect"]
        for policy in policies
        for statement, version in statements(policy)
        if applies(statement, version, action, resource, context)
    }
    return DENY if "Deny" in effects else ALLOW if "Allow" in effects else SILENT


def named_effect(
    policy: Json, action: str, resource: str, context: Json, reaches: Callable[[Json], set[str]]
) -> tuple[str, set[str]]:
    """What a policy with principals says, and by what names it allows."""
    allowed_by: set[str] = set()
    for statement, version in statements(policy):
        how = reaches(statement)
        if how and applies(statement, version, action, resource, context):
            if statement["Effect"] == "Deny":
                return DENY, set()
            allowed_by |= how
    return (ALLOW if allowed_by else SILENT), allowed_by
