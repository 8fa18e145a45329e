"""The sentence that a decision gives, with the actual and the wanted values that made it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from pytest_s3vpce.policy.acl import Acl
from pytest_s3vpce.policy.layers import ENFORCED, Unknown, grants_alone, ignored_by, union
from pytest_s3vpce.policy.principals import Grant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_s3vpce.policy.asked import Asked
    from pytest_s3vpce.policy.conditions import Condition
    from pytest_s3vpce.policy.decision import Case, Decision
    from pytest_s3vpce.policy.documents import Document, Statement
    from pytest_s3vpce.policy.layers import Policies

    _Near = tuple[Document, Statement]

_Row = TypeVar("_Row")

WORDS: Final = {
    "scp": "service control policy",
    "rcp": "resource control policy",
    "vpc_endpoint": "VPC endpoint policy",
    "resource": "resource-based policy",
    "identity": "identity-based policy",
    "permissions_boundary": "permissions boundary",
    "session": "session policy",
    "block_public_access": "public access block",
    "acl": "access control list",
    "kms": "KMS key policy",
}
"""The layers in AWS's words."""


def reason_of(decision: Decision) -> str:
    """Why a decision is what it is, in one sentence."""
    case, name = decision.case, decision.layer
    if name == "kms" and case.kms is not None:
        return f"{case.kms.case.asked.written} is asked of KMS: {case.kms.reason}"
    if name is not None and case.deny is not None:
        return _why_denied(name, case.deny[1], case.asked)
    if name is not None:
        return _why_not_allowed(name, case)
    unread = [layer for layer, effect in decision.layers.items() if effect.value == "unknown"]
    if unread:
        return f"the {' and '.join(WORDS[layer] for layer in unread)} could not be read"
    return f"{case.asked.written} on {case.asked.resource} is allowed by every layer that takes part"


def failed_conditions(statement: Statement, asked: Asked) -> list[Condition]:
    """The conditions that do not hold, where action and resource match; none where these do not."""
    if not statement.conditions or not asked.met_by(replace(statement, conditions=())):
        return []
    return [condition for condition in statement.conditions if not condition.holds(asked.values)]


def clauses(conditions: Sequence[Condition], asked: Asked) -> str:
    return " and ".join(condition.why(asked.values) for condition in conditions)


def _why_denied(layer: str, statement: Statement, asked: Asked) -> str:
    if layer == "block_public_access":
        return f"RestrictPublicBuckets is on, and `{statement.name}` makes the bucket policy public"
    met = clauses(statement.conditions, asked)
    return met or f"`{statement.name}` denies {asked.written} on {asked.resource} unconditionally"


def _why_not_allowed(layer: str, case: Case) -> str:
    """Why a layer allows nothing, with the conditions that kept the first near candidate from it."""
    asked, policies = case.asked, case.policies
    plain = f"no {WORDS[layer]} allows {asked.written} on {asked.resource}"
    if layer == "resource" and _foreign(policies, asked):
        return f"{plain}: the object is another account's, and its access control list does not name the caller"
    for document, statement in _candidates(layer, policies, asked):
        failed = failed_conditions(statement, asked)
        if failed:
            near = f"`{statement.name}` of `{document.name or layer}`"
            return f"{plain}: {near} would, but {clauses(failed, asked)}"
    return plain


def _foreign(policies: Policies, asked: Asked) -> bool:
    return isinstance(policies.acl, Acl) and policies.acl.foreign(asked) and policies.object_ownership != ENFORCED


def _candidates(name: str, policies: Policies, asked: Asked) -> Iterator[_Near]:
    """The statements that would allow the request in a layer, or in its stead, if they matched."""
    plain = {
        "scp": (row for level in _known(policies.scps) if not union(level, asked).allows for row in level),
        "identity": _known(policies.identity),
        "permissions_boundary": _known(policies.permissions_boundary),
        "session": _known(policies.session),
    }
    for document in plain.get(name, ()):
        for statement in document.allows:
            yield document, statement
    if name == "vpc_endpoint":
        yield from _naming(policies.vpc_endpoint, asked, ignored=ignored_by(policies.endpoint_type, asked))
    elif name == "resource" or (name == "identity" and asked.same):
        for own in (policies.resource, policies.access_point):
            for document, statement in _naming(own, asked, ignored=Grant.NONE):
                if name == "resource" or grants_alone(statement.grant(asked.caller), asked):
                    yield document, statement


def _naming(document: Document | Unknown | None, asked: Asked, *, ignored: Grant) -> Iterator[_Near]:
    """The allows of a document that name the caller."""
    if document is None or isinstance(document, Unknown):
        return
    for statement in document.allows:
        if statement.grant(asked.caller) not in (Grant.NONE, ignored):
            yield document, statement


def _known(rows: tuple[_Row, ...] | Unknown | None) -> tuple[_Row, ...]:
    return rows if isinstance(rows, tuple) else ()
