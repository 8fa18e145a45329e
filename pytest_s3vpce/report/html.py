"""The report as one HTML file that needs nothing else: no network, no other file, no script but its own."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.escaping import harmless
from pytest_s3vpce.matrix import Status
from pytest_s3vpce.model import OutcomeKind
from pytest_s3vpce.report import reading
from pytest_s3vpce.report.packing import Packed
from pytest_s3vpce.report.picture import NARROW, SYMBOLS, WIDE, draw
from pytest_s3vpce.report.text import write_text

if TYPE_CHECKING:
    from collections.abc import Collection

    from jinja2 import Environment

    from pytest_s3vpce.matrix import CellResult, ClaimResult, Matrix

_TEMPLATES: Final = Path(__file__).parent / "templates"
_MOST_FAILURES: Final = 50
"""Failed cells that are told in full above the matrix; the matrix marks all."""
_MOST_CALLS: Final = 200
_ORDER: Final = (Status.BAD, Status.MISSING, Status.GOOD)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A cell as the matrix shows it: `number` is its place in the data."""

    number: int
    style: str
    sign: str
    text: str
    note: str


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the matrix."""

    what: str
    bucket: str
    principal: str
    cells: tuple[_Shown | None, ...]


def write(matrix: Matrix, path: Path) -> None:
    """Writes the file whole or not at all. RunError where it can't be written."""
    write_text(render(matrix), path)


def render(matrix: Matrix) -> str:
    """The page as text."""
    shown = harmless(matrix)
    table = replace(shown, cells=reading.drawn(shown))
    groups = reading.networks(table)
    found = reading.counts(shown)
    known = {cell.id for cell in (*shown.cells, *shown.controls)}
    return page(
        "report.html.j2",
        matrix=shown,
        measured=table.cells,
        counts=found,
        headline=reading.headline(found),
        where=reading.where(shown),
        started=reading.moment(shown.started),
        groups=groups,
        rows=_rows(table),
        claims=[(claim, *reading.VERDICTS[claim.ended], _findings(claim, known)) for claim in shown.claims],
        notes=reading.notes(shown),
        failures=[cell for cell in shown.cells if cell.passed is False][:_MOST_FAILURES],
        surprises=[cell for cell in shown.cells if cell.passed and reading.is_surprise(cell)][:_MOST_FAILURES],
        more_failures=max(0, found.cells - found.met - _MOST_FAILURES),
        pictures=[draw(table, geometry) for geometry in (WIDE, NARROW)],
        calls=shown.calls[:_MOST_CALLS],
        more_calls=max(0, len(shown.calls) - _MOST_CALLS),
        what=reading.what,
        through=reading.through,
        decided_by=reading.decided_by,
        data=_data(replace(table, controls=_others(shown, table))),
    )


def page(template: str, **values: Any) -> str:
    """A page of the templates, with their style and script inside, and a policy that lets nothing else in."""
    from markupsafe import Markup

    style, script = _file("report.css"), _file("report.js")
    return (
        _environment()
        .get_template(template)
        .render(
            **{name: Markup(value) if name == "data" else value for name, value in values.items()},  # noqa: S704 - `data` is escaped JSON
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - "
            policy=(
                f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
                "base-uri 'none'; form-action 'none'"
            ),
        )
    )


@cache
def _file(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _digest(text: str) -> str:
    """https://www.w3.org/TR/CSP3/#grammardef-hash-source"""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _rows(matrix: Matrix) -> list[_Row]:
    found = reading.table(matrix)
    numbers = {cell.id: number for number, cell in enumerate(matrix.cells)}
    return [
        _Row(
            *key,
            tuple(_shown(numbers[cell.id], cell) if (cell := cells.get(name)) else None for name in found.vantages),
        )
        for key, cells in found.rows.items()
    ]


def _shown(number: int, cell: CellResult) -> _Shown:
    outcome = cell.counted.outcome
    notes = []
    if cell.passed is False and cell.expect is not None:
        notes.append(f"want {cell.expect.value}")
    if reading.is_uncontrolled(cell):
        notes.append("uncontrolled")
    if cell.predicted is not None and cell.predicted.surprise:
        notes.append(f"predicted {cell.predicted.expected.value.replace('_', ' ')}")
    return _Shown(
        number,
        f"{_ending(cell)} {outcome.value}{' surprise' if reading.is_surprise(cell) else ''}",
        SYMBOLS[outcome],
        outcome.value,
        ", ".join(notes),
    )


def _ending(cell: CellResult) -> str:
    """Whether it was as expected; a control has no expectation."""
    if cell.passed is None:
        return "control"
    if cell.passed:
        return "met"
    return "open" if cell.counted.outcome is OutcomeKind.INCONCLUSIVE else "missed"


def _findings(claim: ClaimResult, known: Collection[str]) -> list[tuple[str, int, list[tuple[str, str]]]]:
    """What a claim rests on, with the cell that shows it: bad and missing findings first, each sentence once."""
    found = []
    for status in _ORDER:
        rows = [row for row in claim.evidence if row.status is status]
        told = ((f"{row.kind}: {row.sentence}", row.cell if row.cell in known else "") for row in rows)
        if rows:
            found.append((status.value, len(rows), list(dict.fromkeys(told))))
    return found


def _data(matrix: Matrix) -> str:
    """Every cell with its evidence, and the findings of claims that concern it."""
    concerned: dict[str, list[str]] = {}
    for claim in matrix.claims:
        for row in claim.evidence:
            if row.cell:
                concerned.setdefault(row.cell, []).append(f"{claim.id}: {row.status.value}: {row.kind}: {row.sentence}")
    plain = matrix.plain()
    rows = [*plain["cells"], *plain["controls"]]
    return Packed([_brief({**_rounded(row), "findings": concerned.get(row["id"], [])}) for row in rows]).as_json()


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty, and without an id that the page's script can make itself."""
    operation = f"{row['operation']}+{row['variant']}" if row["variant"] else row["operation"]
    made = f"{operation}/{row['bucket']}/{row['principal']}:{row['vantage']}/{row['transport']}"
    found: dict[str, Any] = _filled(row)
    if row["id"] == made:
        del found["id"]
    return found


def _filled(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    parts = ((name, _filled(part)) for name, part in value.items())
    return {name: part for name, part in parts if part is not None and part not in ("", [], {})}


def _others(matrix: Matrix, table: Matrix) -> tuple[CellResult, ...]:
    """What the table does not show."""
    there = {cell.id for cell in table.cells}
    return tuple(cell for cell in matrix.controls if cell.id not in there)


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Times to a tenth of a millisecond: more is noise, and room."""
    received = row["received"]
    if received is None:
        return row
    timings = {name: None if value is None else round(value, 4) for name, value in received["timings"].items()}
    seconds = None if received["seconds"] is None else round(received["seconds"], 4)
    return {**row, "received": {**received, "timings": timings, "seconds": seconds}}
