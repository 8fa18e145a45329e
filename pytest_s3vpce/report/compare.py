"""What changed between two reports: what opened, closed, went out of reach, is new, gone, or decided elsewhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.escaping import harmless
from pytest_s3vpce.matrix import Status, Verdict
from pytest_s3vpce.model import Expect, OutcomeKind
from pytest_s3vpce.report.markdown import MOST, code, fitted
from pytest_s3vpce.report.reading import LAYERS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from pytest_s3vpce.matrix import CellResult, ClaimResult, Matrix


class Kind(StrEnum):
    """Of a change; in the order in which they are told."""

    OPENED = "opened"
    CLOSED = "closed"
    DENIED = "now denied"
    UNREACHABLE = "unreachable"
    UNCLEAR = "inconclusive"
    LAYER = "decided by another policy"
    NEW = "new"
    GONE = "gone"
    CLAIM = "claims"


@dataclass(frozen=True, slots=True)
class Change:
    """One cell or claim that is not as it was; `before` or `after` is empty where there was none."""

    kind: Kind
    id: str
    before: str
    after: str


def changes(old: Matrix, new: Matrix) -> tuple[Change, ...]:
    """All that differs, by kind, then as the newer report has it."""
    cells = tuple(_cells(old, new))
    told = {cell.id for cell in old.cells} & {cell.id for cell in new.cells}
    told |= {change.id for change in cells if change.kind is Kind.OPENED}
    found = [*cells, *_claims(old, new, told=told)]
    order = list(Kind)
    return tuple(sorted(found, key=lambda change: order.index(change.kind)))


def but_for(declared: Collection[str], found: Iterable[Change]) -> tuple[Change, ...]:
    """Without what is only gone because this run did not choose it."""
    return tuple(change for change in found if change.after or change.id not in declared)


def has_opened(found: Iterable[Change]) -> bool:
    """Whether anything is let in that was not, or a claim is refuted that was not."""
    return any(change.kind is Kind.OPENED for change in found)


def as_text(found: tuple[Change, ...]) -> str:
    """For a terminal; empty where nothing changed."""
    lines = []
    for kind, rows in _by_kind(harmless(found)).items():
        lines.append(f"{kind.value} ({len(rows)})")
        lines += [f"  {row.id}  {_words(row)}" for row in rows]
    return "".join(f"{line}\n" for line in lines)


def as_markdown(found: tuple[Change, ...]) -> str:
    """For a comment; empty where nothing changed."""
    return fitted(_listed(harmless(found)), room=MOST)


def as_json(found: tuple[Change, ...]) -> str:
    """As data; empty where nothing changed."""
    if not found:
        return ""
    rows = [
        {"kind": row.kind.name.lower(), "id": row.id, "before": row.before or None, "after": row.after or None}
        for row in found
    ]
    return json.dumps({"format": "s3vpce-diff/1", "opened": has_opened(found), "changes": rows}, indent=1) + "\n"


FORMATS: Final[Mapping[str, Callable[[tuple[Change, ...]], str]]] = {
    "text": as_text,
    "markdown": as_markdown,
    "json": as_json,
}


def _cells(old: Matrix, new: Matrix) -> Iterator[Change]:
    before = {cell.id: cell for cell in old.cells}
    after = {cell.id: cell for cell in new.cells}
    for name, cell in after.items():
        was = before.get(name)
        kind = _of_new(cell) if was is None else _kind(was, cell)
        if kind is not None:
            yield Change(kind, name, "" if was is None else ended(was), ended(cell))
    for name, was in before.items():
        if name not in after:
            yield Change(Kind.GONE, name, ended(was), "")


def _of_new(cell: CellResult) -> Kind:
    """Nobody measured it before: that it is let in where it must not be is news all the same."""
    must_not = cell.expect not in (None, Expect.ALLOW)
    return Kind.OPENED if must_not and cell.counted.outcome is OutcomeKind.ALLOWED else Kind.NEW


def _kind(was: CellResult, now: CellResult) -> Kind | None:
    before, after = was.counted.outcome, now.counted.outcome
    if before is after:
        moved = after is OutcomeKind.DENIED and was.counted.layer is not now.counted.layer
        return Kind.LAYER if moved else None
    if after is OutcomeKind.DENIED:
        return Kind.CLOSED if before is OutcomeKind.ALLOWED else Kind.DENIED
    return {
        OutcomeKind.ALLOWED: Kind.OPENED,
        OutcomeKind.UNREACHABLE: Kind.UNREACHABLE,
        OutcomeKind.INCONCLUSIVE: Kind.UNCLEAR,
    }[after]


def _claims(old: Matrix, new: Matrix, *, told: Collection[str]) -> Iterator[Change]:
    """Claims whose verdict is another; one newly refuted, and what one found open now and not before, has opened."""
    before = {claim.id: claim for claim in old.claims}
    for claim in new.claims:
        was = before.pop(claim.id, None)
        if was is None or was.ended != claim.ended:
            kind = Kind.OPENED if claim.verdict is Verdict.REFUTED else Kind.CLAIM
            yield Change(kind, claim.id, "" if was is None else was.ended, claim.ended)
        if was is not None:
            for name in sorted((_open(claim) - _open(was)).difference(told)):
                yield Change(Kind.OPENED, f"{name} ({claim.id})", "not open", "allowed")
    for name, gone in before.items():
        yield Change(Kind.CLAIM, name, gone.ended, "")


def _open(claim: ClaimResult) -> set[str]:
    """The cells of a claim that must not be let in and were."""
    return {row.cell or row.name for row in claim.evidence if row.kind == "negative" and row.status is Status.BAD}


def ended(cell: CellResult) -> str:
    """An outcome with the layer that decided."""
    counted = cell.counted
    if counted.outcome is OutcomeKind.DENIED:
        return f"denied by {LAYERS[counted.layer]}"
    return counted.outcome.value


def _by_kind(found: Iterable[Change]) -> dict[Kind, list[Change]]:
    groups: dict[Kind, list[Change]] = {}
    for change in found:
        groups.setdefault(change.kind, []).append(change)
    return groups


def _words(row: Change) -> str:
    if row.before and row.after:
        return f"{row.before} -> {row.after}"
    return row.after or f"was {row.before}"


def _listed(found: Iterable[Change]) -> Iterator[tuple[str, str]]:
    for kind, rows in _by_kind(found).items():
        yield f"### {kind.value.capitalize()} ({len(rows)})\n", "\n"
        for row in rows:
            yield f"- {code(row.id)}: {_words(row)}", "\n"
