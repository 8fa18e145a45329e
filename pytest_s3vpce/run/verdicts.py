"""How each item of a run ended, in a text for people and a short form for JUnit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.escaping import escaped
from pytest_s3vpce.matrix import CellResult, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.matrix import ClaimResult, Matrix

_LONGEST: Final = 1900
"""Bytes of an item's property; JUnit files stay readable."""
_LONGEST_PART: Final = 500


@dataclass(frozen=True, slots=True)
class ItemVerdict:
    """One cell's or claim's end: `text` says why in a few lines, `data` is the short form.

    Neither can steer a terminal, whatever was answered.
    """

    row: CellResult | ClaimResult
    data: dict[str, Any]

    @property
    def passed(self) -> bool:
        return bool(self.row.passed)

    @property
    def text(self) -> str:
        """Made where it is told: of most cells nobody asks."""
        lines = _lines(self.row) if isinstance(self.row, CellResult) else _claim_lines(self.row)
        return "\n".join(map(escaped, lines))

    def properties(self) -> list[tuple[str, str]]:
        """For JUnit and the like: the short form, and its parts by name, where they say something."""
        parts = [(f"s3vpce.{name}", _property(value)) for name, value in self.data.items() if value is not None]
        return [("s3vpce", self.short()), *parts]

    def short(self) -> str:
        text = json.dumps(self.data, separators=(",", ":"))
        if len(text) <= _LONGEST:
            return text
        return json.dumps({"id": self.data["id"][:500], "passed": self.passed}, separators=(",", ":"))


def _property(value: object) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:_LONGEST_PART]


def verdicts_of(matrix: Matrix) -> dict[str, ItemVerdict]:
    """By id, every cell and claim of the matrix."""
    cells = {row.id: _verdict(row, _of_cell(row)) for row in matrix.cells}
    return cells | {row.id: _verdict(row, _of_claim(row)) for row in matrix.claims}


def _verdict(row: CellResult | ClaimResult, data: dict[str, Any]) -> ItemVerdict:
    return ItemVerdict(row, {name: escaped(value) if isinstance(value, str) else value for name, value in data.items()})


def _of_cell(row: CellResult) -> dict[str, Any]:
    data = {
        "id": row.id,
        "expect": row.expect.value if row.expect else None,
        "outcome": row.counted.outcome.value,
        "layer": row.counted.layer.value if row.counted.layer else None,
        "code": row.counted.code,
        "request_id": row.received.request_id if row.received else None,
        "controlled": row.controlled,
        "passed": row.passed,
    }
    if row.predicted is not None:
        data |= {"predicted": row.predicted.expected.value, "surprise": row.predicted.surprise}
    return data


def _lines(row: CellResult) -> Iterator[str]:
    expected = row.expect.value if row.expect else "nothing"
    got = f"{row.counted.outcome.value}: {row.counted.reason}"
    yield f"expected {expected}, got {got}"
    yield f"cell: {row.id}"
    yield f"declared: {row.place}"
    if row.passed is False and row.controlled is False:
        yield "the denial is uncontrolled: nothing shows that this principal reaches S3 from there"
    if row.sent:
        yield f"sent: {row.sent.method} {row.sent.url} by {row.principal} from {row.vantage}"
    if row.received:
        answer = row.received
        came = f"status {answer.status}" if answer.status is not None else f"{answer.failure} {answer.detail}"
        parts = [came, row.measured.code, row.measured.message, answer.request_id and f"request {answer.request_id}"]
        parts += [answer.peer and f"from {answer.peer}", answer.tls]
        yield "came back: " + ", ".join(part for part in parts if part)
    if row.counted.layer:
        yield f"layer: {row.counted.layer.value}"
    if row.hint and row.hint != row.counted.reason:
        yield f"look at: {row.hint}"
    if row.predicted is not None:
        yield f"predicted: {row.predicted.expected.value}"
        yield from row.predicted.explanation


def _of_claim(row: ClaimResult) -> dict[str, Any]:
    data = {"id": row.id, "verdict": row.verdict.value, "sentence": row.sentence[:800], "passed": row.passed}
    if row.explanations:
        first = row.explanations[0].predicted
        names = ("layer", "policy", "statement", "place", "missed", "fix")
        data |= {name: value for name in names if (value := getattr(first, name))}
    elif row.fixes:
        data["fix"] = row.fixes[0]
    return data


def _claim_lines(row: ClaimResult) -> Iterator[str]:
    """What is wrong and why first: somebody has ten seconds."""
    yield f"{row.ended}: {row.sentence}"
    for one in row.explanations:
        yield f"why {one.of}:"
        yield from (f"  {line}" for line in one.predicted.explanation)
    if row.look_at:
        yield f"look at: {row.look_at}"
    yield from (f"fix: {fix}" for fix in row.fixes)
    yield f"claim: {row.id}"
    yield f"declared: {row.place}"
    yield from (f"cell: {cell}" for cell in row.cells)
    for finding in row.evidence:
        if finding.status is not Status.GOOD:
            yield f"{finding.status.value}: {finding.name}: {finding.sentence}"
    if row.records is not None:
        yield row.records.sentence
    yield from (f"not covered: {gap}" for gap in row.coverage.gaps)
    yield from (f"not covered, accepted: {gap}" for gap in row.coverage.accepted)
