"""The sentence that a decision gives, with the actual and the wanted values that made it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_s3vpce.policy.asked import Asked
    from pytest_s3vpce.policy.conditions import Condition
    from pytest_s3vpce.policy.documents import Document, Statement

_WORDS: Final = {
    "scp": "service control policy",
    "rcp": "resource control policy",
    "vpc_endpoint": "VPC endpoint policy",
    "resource": "resource-based policy",
    "identity": "identity-based policy",
    "permissions_boundary": "permissions boundary",
    "session": "session policy",
    "block_public_access": "public access block",
}


def why_allowed(asked: Asked) -> str:
    return f"{asked.written} on {asked.resource} is allowed by every layer that takes part"


def why_denied(layer: str, statement: Statement, asked: Asked) -> str:
    """Why a statement denies: the conditions that it met."""
    if layer == "block_public_access":
        return f"RestrictPublicBuckets is on, and `{statement.name}` makes the bucket policy public"
    met = statement.why(asked.values)
    return met or f"`{statement.name}` denies {asked.written} on {asked.resource} unconditionally"


def why_not_allowed(layer: str, candidates: Iterable[tuple[Document, Statement]], asked: Asked) -> str:
    """Why a layer allows nothing, with the conditions that kept the first near candidate from it."""
    plain = f"no {_WORDS[layer]} allows {asked.written} on {asked.resource}"
    for document, statement in candidates:
        failed = _failed(statement, asked)
        if failed:
            clauses = " and ".join(condition.why(asked.values) for condition in failed)
            return f"{plain}: `{statement.name}` of `{document.name or layer}` would, but {clauses}"
    return plain


def why_unknown(layers: Sequence[str]) -> str:
    return f"the {' and '.join(_WORDS[layer] for layer in layers)} could not be read"


def _failed(statement: Statement, asked: Asked) -> list[Condition]:
    """The conditions that do not hold, where all else of the statement matches."""
    if not statement.conditions or not asked.met_by(replace(statement, conditions=())):
        return []
    return [condition for condition in statement.conditions if not condition.holds(asked.values)]
