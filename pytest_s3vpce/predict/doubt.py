"""Decisions where some condition keys are not known: decided where their values can't matter, else unknown.

A statement that reads such a key may match or not. Decisions only ever turn to allow where allows match or denies do
not, so the two extremes bound every case in between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.policy import Document, Effect, decide
from pytest_s3vpce.policy.asked import Asked
from pytest_s3vpce.policy.layers import DOCUMENTS
from pytest_s3vpce.policy.public import Owner, public_statements

if TYPE_CHECKING:
    from pytest_s3vpce.policy import Decision, Policies, Request, Statement
    from pytest_s3vpce.policy.conditions import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Condition keys, in lower case, whose values are not known; `prefixes` stand for whole families of keys."""

    keys: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    carried: frozenset[str] | None = None
    """The keys that the request has, where it is known."""

    def about(self, keys: frozenset[str]) -> frozenset[str]:
        """Those of the keys that are in doubt."""
        return frozenset(key for key in keys if key in self.keys or key.startswith(self.prefixes))

    def touches(self, condition: Condition) -> bool:
        """Whether what the condition says may depend on it: of a key that is absent its variables don't matter."""
        alone = self.carried is not None and condition.key not in self.carried
        return bool(self.about(frozenset({condition.key}) if alone else condition.keys))

    def leaves(self, statement: Statement) -> bool:
        """Whether it is known what the statement says."""
        if not self.about(statement.keys):
            return True
        named = statement.resources
        return not (any(map(self.touches, statement.conditions)) or (named is not None and self.about(named.keys)))

    def without(self, prefix: str) -> Doubt:
        """Without the keys that begin so."""
        return replace(self, keys=frozenset(key for key in self.keys if not key.startswith(prefix)))

    def joined(self, other: Doubt) -> Doubt:
        return Doubt(keys=self.keys | other.keys, prefixes=(*self.prefixes, *other.prefixes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubted:
    """A decision, and the keys that it would take to know where it is unknown because of them."""

    decision: Decision
    missing: tuple[str, ...] = ()


def decide_in_doubt(request: Request, policies: Policies, doubt: Doubt) -> Doubted:
    """The decision, whatever the values in doubt are."""
    missing = doubt.about(_keys(policies))
    if not missing:
        return Doubted(decision=decide(request, policies))
    doubt = replace(doubt, carried=frozenset(Asked(request, bounded=False, doubts=policies.doubts).values))
    least, most = (decide(request, _sharpened(policies, doubt, allow=allow)) for allow in (False, True))
    if least.allowed:
        return Doubted(decision=least)
    if most.effect in (Effect.EXPLICIT_DENY, Effect.IMPLICIT_DENY):
        return Doubted(decision=most)
    if least.effect is Effect.UNKNOWN:
        return Doubted(decision=least)
    return Doubted(decision=replace(least, effect=Effect.UNKNOWN), missing=tuple(sorted(missing)))


def _keys(policies: Policies) -> frozenset[str]:
    return frozenset().union(*(_keys_of(getattr(policies, name)) for name in DOCUMENTS))


def _keys_of(value: Any) -> frozenset[str]:
    if isinstance(value, Document):
        return value.keys
    return frozenset().union(*map(_keys_of, value)) if isinstance(value, tuple) else frozenset()


def _sharpened(policies: Policies, doubt: Doubt, *, allow: bool) -> Policies:
    def sharp(value: Any) -> Any:
        if isinstance(value, Document):
            return _document(value, doubt, allow=allow)
        return tuple(map(sharp, value)) if isinstance(value, tuple) else value

    changed: dict[str, Any] = {name: sharp(getattr(policies, name)) for name in DOCUMENTS}
    if not _public(policies):
        # An allow without its condition would make the policy public, which it is not.
        changed["restrict_public_buckets"] = False
    return replace(policies, **changed)


def _public(policies: Policies) -> bool:
    owned = ((policies.resource, Owner.BUCKET), (policies.access_point, Owner.ACCESS_POINT))
    return any(
        not isinstance(document, Document)
        or bool(public_statements(document, owner=owner, fixed=policies.doubts.fixed_keys))
        for document, owner in owned
        if document is not None
    )


def _document(document: Document, doubt: Doubt, *, allow: bool) -> Document:
    if not doubt.about(document.keys):
        return document
    rows = tuple(row for row in (_statement(one, doubt, allow=allow) for one in document.statements) if row is not None)
    return replace(
        document,
        statements=rows,
        denies=tuple(row for row in rows if row.deny),
        allows=tuple(row for row in rows if not row.deny),
    )


def _statement(statement: Statement, doubt: Doubt, *, allow: bool) -> Statement | None:
    """The statement without the conditions in doubt where it is to match as far as it may, None where it is not to."""
    if doubt.leaves(statement):
        return statement
    if statement.deny is allow:
        return None
    kept = tuple(row for row in statement.conditions if not doubt.touches(row))
    named = statement.resources
    return replace(
        statement, conditions=kept, resources=None if named is not None and doubt.about(named.keys) else named
    )
