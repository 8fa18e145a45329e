"""Why a decision is what it is: per layer the statements that matched, what kept the others, and near misses."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.escaping import escaped
from pytest_s3vpce.policy.layers import DOCUMENTS, Unknown, ignored_by
from pytest_s3vpce.policy.principals import Grant
from pytest_s3vpce.policy.reasons import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_s3vpce.model import Place
    from pytest_s3vpce.policy.asked import Asked
    from pytest_s3vpce.policy.decision import Case, Decision
    from pytest_s3vpce.policy.documents import Document, Statement
    from pytest_s3vpce.policy.layers import Policies

_SHOWN: Final = 3
"""So many statements of a kind does the text show; the JSON form has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What kept a statement from matching: its first element, or first condition, that did not fit the request."""

    element: str
    """`Principal`, `Action`, `Resource`, their negations, or `Condition`."""
    wanted: str
    actual: str
    says: str
    """The same in a clause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementTrace:
    """One statement beside the request. `failure` is None where it matched; `met` are the conditions that held."""

    layer: str
    policy: str
    statement: str
    place: Place | None
    denies: bool
    failure: Failure | None
    met: str

    @property
    def name(self) -> str:
        """The statement, its policy and where it stands, for people."""
        where = f" ({self.place})" if self.place else ""
        return f"`{self.statement}` of `{self.policy}`{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss:
    """A statement that would have turned the decision but for one condition. `becomes` is what it would have been."""

    trace: StatementTrace
    says: str
    becomes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A decision, and all that led to it. `str()` gives the few lines for people, `mapping()` the rest as JSON."""

    decision: Decision
    traces: tuple[StatementTrace, ...]
    near_misses: tuple[NearMiss, ...]
    kms: Explanation | None = None

    def __str__(self) -> str:
        return "\n".join(map(escaped, _lines(self)))

    def mapping(self) -> dict[str, Any]:
        """In JSON's terms: the decision, then `statements` in the order of layers, and `near_misses`."""
        decision, asked = self.decision, self.decision.case.asked
        return {
            "decision": decision.effect.value,
            "action": asked.written,
            "resource": asked.resource,
            "principal": asked.caller.text,
            "layer": decision.layer,
            "policy": decision.policy,
            "statement": decision.statement,
            "place": next((_placed(row.place) for row in self.traces if _decided(row, decision)), None),
            "reason": decision.reason,
            "layers": {name: effect.value for name, effect in decision.layers.items()},
            "statements": [_trace_mapping(row) for row in self.traces],
            "near_misses": [
                {**_trace_mapping(row.trace), "says": row.says, "becomes": row.becomes} for row in self.near_misses
            ],
            "kms": None if self.kms is None else self.kms.mapping(),
        }


def explain(decision: Decision) -> Explanation:
    """All that led to a decision. Costs a decision for each statement that nearly turned it."""
    case = decision.case
    rows = list(_statements(case))
    return Explanation(
        decision=decision,
        traces=tuple(row.trace for row in rows),
        near_misses=tuple(_near_misses(decision, rows)),
        kms=None if case.kms is None else explain(case.kms),
    )


# --- each statement beside the request -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """A statement with the document it stands in, the request as its layer sees it, and the two together."""

    document: Document
    statement: Statement
    asked: Asked
    trace: StatementTrace


def _statements(case: Case) -> Iterator[_Row]:
    for layer, document, asked, ignored in _documents(case.policies, case.asked):
        for statement in document.statements:
            failure = _failure(statement, asked, ignored=ignored)
            trace = StatementTrace(
                layer=layer,
                policy=document.name or layer,
                statement=statement.name,
                place=statement.place,
                denies=statement.deny,
                failure=failure,
                met="" if failure else statement.why(asked.values),
            )
            yield _Row(document, statement, asked, trace)


def _documents(policies: Policies, asked: Asked) -> Iterator[tuple[str, Document, Asked, Grant | None]]:
    """Every policy that was read, with its layer, how that sees the request, and the Principal form it ignores.

    None where the layer's policies have no principals.
    """
    listed = {
        "scp": [row for level in _rows(policies.scps) for row in level],
        "rcp": [row for level in _rows(policies.rcps) for row in level],
        "identity": _rows(policies.identity),
        "permissions_boundary": _rows(policies.permissions_boundary),
        "session": _rows(policies.session),
    }
    ignored = ignored_by(policies.endpoint_type, asked)
    by_point = asked.by_access_point()
    names = [asked] if by_point is asked else [asked, by_point]
    owned: dict[str, list[tuple[Any, Asked, Grant]]] = {
        "vpc_endpoint": [(policies.vpc_endpoint, name, ignored) for name in names],
        "resource": [
            (policies.resource, asked, Grant.NONE),
            (policies.access_point, by_point, Grant.NONE),
        ],
    }
    for layer in WORDS:
        for document in listed.get(layer, ()):
            yield layer, document, asked, None
        for own, seen, form in owned.get(layer, ()):
            if own is not None and not isinstance(own, Unknown):
                yield layer, own, seen, form


def _rows(given: tuple[Any, ...] | Unknown | None) -> tuple[Any, ...]:
    return given if isinstance(given, tuple) else ()


def _failure(statement: Statement, asked: Asked, *, ignored: Grant | None) -> Failure | None:
    """The first of Principal, Action, Resource and the conditions that does not fit."""
    if ignored is not None and not _names(statement, asked, ignored=ignored):
        element = "NotPrincipal" if "NotPrincipal" in statement.row else "Principal"
        return _unfit(statement, element, asked.caller.text)
    if not statement.covers_action(asked.action):
        return _unfit(statement, "NotAction" if statement.not_action else "Action", asked.written)
    if not statement.covers_resource(asked.resource, asked.values):
        return _unfit(statement, "NotResource" if statement.not_resource else "Resource", asked.resource)
    for condition in statement.conditions:
        if not condition.holds(asked.values):
            return Failure(
                element="Condition",
                wanted=f"{condition.written} {condition.shown} {_text(condition.wanted)}",
                actual=_text(asked.values[condition.key]) if condition.key in asked.values else "absent",
                says=condition.why(asked.values),
            )
    return None


def _names(statement: Statement, asked: Asked, *, ignored: Grant) -> bool:
    if statement.deny:
        return statement.denies(asked.caller, bounded=asked.bounded, ignored=ignored)
    return statement.grant(asked.caller) not in (Grant.NONE, ignored)


def _unfit(statement: Statement, element: str, actual: str) -> Failure:
    wanted = _text(statement.row.get(element, "missing"))
    verb = "takes in" if element.startswith("Not") else "does not name" if element == "Principal" else "does not match"
    return Failure(element=element, wanted=wanted, actual=actual, says=f"{element} {wanted} {verb} {actual}")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


# --- near misses -----------------------------------------------------------------------------------------------------


def _near_misses(decision: Decision, rows: list[_Row]) -> Iterator[NearMiss]:
    """The statements with one condition that, met or not, would have turned the decision."""
    for row in rows:
        for conditions, says in _turned(decision, row):
            changed = None if conditions is None else replace(row.statement, conditions=conditions)
            policies = _changed(decision.case.policies, row, changed)
            found = decision.case.again(policies)
            if found.effect is not decision.effect and (found.allowed or decision.allowed or decision.layer is None):
                yield NearMiss(trace=row.trace, says=says, becomes=found.effect.value)


def _turned(decision: Decision, row: _Row) -> Iterator[tuple[tuple[Any, ...] | None, str]]:
    """What to change of a statement: its conditions without the one that failed, or no statement; and the clause."""
    statement, asked = row.statement, row.asked
    failure = row.trace.failure
    wants_deny = decision.allowed
    if failure is None:
        if statement.deny and not wants_deny and len(statement.conditions) == 1:
            yield None, statement.why(asked.values)
    elif failure.element == "Condition" and statement.deny is wants_deny:
        failed = [condition for condition in statement.conditions if not condition.holds(asked.values)]
        if len(failed) == 1:
            kept = tuple(condition for condition in statement.conditions if condition is not failed[0])
            yield kept, failed[0].why(asked.values)


def _changed(policies: Policies, row: _Row, statement: Statement | None) -> Policies:
    """The policies with one statement changed, or left out."""
    statements = tuple(
        new for old in row.document.statements if (new := statement if old is row.statement else old) is not None
    )
    document = replace(
        row.document,
        statements=statements,
        denies=tuple(new for new in statements if new.deny),
        allows=tuple(new for new in statements if not new.deny),
    )

    def swapped(value: Any) -> Any:
        if value is row.document:
            return document
        return tuple(map(swapped, value)) if isinstance(value, tuple) else value

    fields: Mapping[str, Any] = {name: swapped(getattr(policies, name)) for name in DOCUMENTS}
    return replace(policies, **fields)


# --- for people ------------------------------------------------------------------------------------------------------


def _lines(explanation: Explanation) -> Iterator[str]:
    decision = explanation.decision
    asked = decision.case.asked
    by = f" by the {WORDS[decision.layer]}" if decision.layer else ""
    yield f"{decision.effect.value}{by}: {asked.written} on {asked.resource} for {asked.caller.text}"
    if decision.allowed:
        for row in _first_of_each(explanation, lambda row: not row.denies and row.failure is None):
            met = f", because {row.met}" if row.met else ""
            yield f"  allowed in {row.layer} by {row.name}{met}"
    elif decision.case.deny is not None:
        for row in _first_of_each(explanation, lambda row: _decided(row, decision)):
            yield f"  denied by {row.name}"
    if not decision.allowed:
        yield f"  because {decision.reason}"
        if decision.layer is not None and decision.case.deny is None:
            yield from _closest(explanation)
    for near in explanation.near_misses[:_SHOWN]:
        if near.trace.failure is None:
            yield f"  but for that condition of {near.trace.name}: {near.becomes}"
        elif near.says not in decision.reason:
            would = "denies" if near.trace.denies else "allows"
            yield f"  near miss: {near.trace.name} in {near.trace.layer} {would} it where it matches, but {near.says}"
    yield f"  layers: {', '.join(f'{name} {effect.value}' for name, effect in decision.layers.items())}"
    if explanation.kms is not None and decision.layer == "kms":
        yield from (f"  {line}" for line in _lines(explanation.kms))


def _first_of_each(explanation: Explanation, wanted: Callable[[StatementTrace], bool]) -> Iterator[StatementTrace]:
    """The first trace of its kind in each layer."""
    seen: set[str] = set()
    for row in explanation.traces:
        if row.layer not in seen and wanted(row):
            seen.add(row.layer)
            yield row


def _closest(explanation: Explanation) -> Iterator[str]:
    """The allows of the layer that decided, those first that failed last."""
    near = {row.trace for row in explanation.near_misses}
    rows = [
        row
        for row in explanation.traces
        if row.layer == explanation.decision.layer
        and not row.denies
        and row.failure
        and row not in near
        and row.failure.says not in explanation.decision.reason
    ]
    order = ("Condition", "Resource", "NotResource", "Action", "NotAction", "Principal", "NotPrincipal")
    rows.sort(key=lambda row: order.index(row.failure.element) if row.failure else 0)
    for row in rows[:_SHOWN]:
        assert row.failure is not None
        yield f"  {row.name} does not allow it: {row.failure.says}"


def _decided(row: StatementTrace, decision: Decision) -> bool:
    """Whether a trace is that of the statement that decided: Block Public Access names one of the bucket policy's."""
    layer = "resource" if decision.layer == "block_public_access" else decision.layer
    return (row.layer, row.policy, row.statement) == (layer, decision.policy, decision.statement)


def _placed(place: Place | None) -> str | None:
    return None if place is None else str(place)


def _trace_mapping(row: StatementTrace) -> dict[str, Any]:
    failure = row.failure
    return {
        "layer": row.layer,
        "policy": row.policy,
        "statement": row.statement,
        "place": _placed(row.place),
        "effect": "Deny" if row.denies else "Allow",
        "matched": failure is None,
        "met": row.met or None,
        "failed": None
        if failure is None
        else {"element": failure.element, "wanted": failure.wanted, "actual": failure.actual, "says": failure.says},
    }
