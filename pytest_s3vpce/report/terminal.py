"""The report for a terminal: the access matrix, the claims, and why what failed failed; readable without colour."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from tabulate import tabulate

from pytest_s3vpce.escaping import escaped, harmless
from pytest_s3vpce.matrix import Expected, Status, Verdict
from pytest_s3vpce.model import OutcomeKind, Transport

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_s3vpce.matrix import CellResult, ClaimResult, Matrix, VantageResult

_T = TypeVar("_T")

LAB: Final = "embedded lab: measured against this project's AWS look-alike, not against AWS"
LIVE: Final = "live: measured against AWS"


class Colour(StrEnum):
    """Whether the text carries terminal colours."""

    PLAIN = "plain"
    ANSI = "ansi"


@dataclass(frozen=True, slots=True)
class _Signs:
    good: str
    bad: str
    open: str
    grid: str


_HEADS: Final = ("operation", "bucket", "principal")
_UNICODE: Final = _Signs("✔", "✘", "?", "rounded_outline")
_ASCII: Final = _Signs("+", "x", "?", "outline")
_RED, _GREEN, _YELLOW, _BOLD, _RESET = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[1m", "\x1b[0m"
_PATH_WIDTH: Final = 14
"""A path under a vantage point's name is wrapped at this width, so that more columns fit."""
_VERDICTS: Final[Mapping[Verdict, str]] = {
    Verdict.PROVEN: _GREEN,
    Verdict.REFUTED: _RED,
    Verdict.INCONCLUSIVE: _YELLOW,
}


def render(matrix: Matrix, *, colour: Colour, width: int, encoding: str = "utf-8") -> str:
    """The whole report as text no wider than `width` where that can be, in characters that the encoding has."""
    signs = _signs(encoding)
    return _Page(_harmless(matrix, signs), colour=colour, width=max(width, 60), signs=signs).text()


def _harmless(matrix: Matrix, signs: _Signs) -> Matrix:
    """Escaped, and in ASCII where the terminal has no more."""
    return harmless(matrix, escape=_in_ascii if signs is _ASCII else escaped)


def _in_ascii(text: str) -> str:
    return escaped(text).encode("ascii", "backslashreplace").decode()


def _signs(encoding: str) -> _Signs:
    try:
        "✔✘╭─│".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return _ASCII
    return _UNICODE


class _Page:
    """One report in the making."""

    def __init__(self, matrix: Matrix, *, colour: Colour, width: int, signs: _Signs) -> None:
        self._matrix = matrix
        self._colour = colour
        self._width = width
        self._signs = signs

    def text(self) -> str:
        parts = [
            self._head(),
            *self._tables(),
            *self._claims(),
            *self._failures(),
            *self._predictions(),
            *self._calls(),
            *self._notes(),
        ]
        return "\n\n".join(part for part in parts if part)

    def _paint(self, text: str, colour: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colour is Colour.ANSI else text

    def _predictions(self) -> Iterator[str]:
        """How far predictions hold, and what nobody expected."""
        rows = [(cell, cell.predicted) for cell in self._matrix.cells if cell.predicted is not None]
        if not rows:
            return
        surprises = [(cell, found) for cell, found in rows if found.surprise]
        unknown = [(cell, found) for cell, found in rows if found.expected is Expected.UNKNOWN]
        head = f"predicted: {len(rows) - len(unknown)} of {len(rows)} cells, {len(surprises)} surprises"
        lines = [self._paint(head, _RED if surprises else _BOLD)]
        for cell, found in surprises:
            lines.append(
                f"surprise: {cell.id}: predicted {found.expected.value}, measured {cell.measured.outcome.value}"
            )
            lines += [f"  {line}" for line in found.explanation]
        lines += [f"unknown: {cell.id}: {found.reason}" for cell, found in unknown]
        yield "\n".join(lines)

    def _head(self) -> str:
        matrix = self._matrix
        where = LAB if matrix.mode == "lab" else LIVE
        counts = (
            f"run {matrix.run_id}: {len(matrix.cells)} cells, {len(matrix.claims)} claims in {matrix.seconds:.1f} s"
        )
        return f"{where}\n{counts}"

    # --- the matrix --------------------------------------------------------------------------------------------------

    def _tables(self) -> Iterator[str]:
        """Rows are operation, bucket and principal; columns the vantage points, in groups that fit the width."""
        if not self._matrix.cells:
            return
        names = _in_order(cell.vantage for cell in self._matrix.cells)
        rows = _in_order((_what(cell), cell.bucket, cell.principal) for cell in self._matrix.cells)
        known = {(_what(cell), cell.bucket, cell.principal, cell.vantage): cell for cell in self._matrix.cells}
        left = 1 + sum(3 + max(len(row[place]) for row in (*rows, _HEADS)) for place in range(3))
        for group in self._groups(names, self._width - left):
            yield self._table(rows, group, known)
        if any(cell.controlled is False and cell.counted.outcome is OutcomeKind.DENIED for cell in self._matrix.cells):
            yield "* uncontrolled: nothing in this run shows that the principal reaches S3 from there"

    def _groups(self, names: Sequence[str], room: int) -> Iterator[list[str]]:
        """The vantage points in groups whose columns fit the room; one alone where not even that does."""
        group: list[str] = []
        used = 0
        for name in names:
            marks = (_plain_mark(cell) for cell in self._matrix.cells if cell.vantage == name)
            size = 3 + max(_PATH_WIDTH, len(name), *(len(mark) for mark in marks))
            if group and used + size > room:
                yield group
                group, used = [], 0
            group.append(name)
            used += size
        yield group

    def _table(
        self,
        rows: Sequence[tuple[str, str, str]],
        names: Sequence[str],
        known: Mapping[tuple[str, str, str, str], CellResult],
    ) -> str:
        vantages = {row.name: row for row in self._matrix.vantages}
        heads = [*_HEADS, *(f"{name}\n{_path(vantages.get(name))}" for name in names)]
        body = []
        before = ("", "", "")
        for row in rows:
            cells = [known.get((*row, name)) for name in names]
            if any(cells):
                shown = [text if row[: place + 1] != before[: place + 1] else "" for place, text in enumerate(row)]
                shown[2] = row[2]
                body.append([*shown, *(self._mark(cell) for cell in cells)])
                before = row
        return tabulate(body, headers=heads, tablefmt=self._signs.grid, disable_numparse=True)

    def _mark(self, cell: CellResult | None) -> str:
        """Symbol, what was measured, and what was wanted where that differs."""
        if cell is None:
            return ""
        text = _plain_mark(cell)
        if cell.passed:
            return self._paint(f"{self._signs.good} {text}", _GREEN)
        if cell.counted.outcome is OutcomeKind.INCONCLUSIVE:
            return self._paint(f"{self._signs.open} {text}", _YELLOW)
        return self._paint(f"{self._signs.bad} {text}", _RED)

    # --- the claims --------------------------------------------------------------------------------------------------

    def _claims(self) -> Iterator[str]:
        if self._matrix.claims:
            yield "\n".join(line for claim in self._matrix.claims for line in self._claim(claim))

    def _claim(self, claim: ClaimResult) -> Iterator[str]:
        sign = {Verdict.PROVEN: self._signs.good, Verdict.REFUTED: self._signs.bad}.get(claim.verdict, self._signs.open)
        yield self._paint(f"{sign} {claim.verdict.value}", _VERDICTS[claim.verdict]) + f"  {claim.id}"
        yield from self._wrapped(claim.sentence)
        tried = claim.coverage
        yield from self._wrapped(
            f"tried: {', '.join(tried.operations)} by {', '.join(tried.principals)} from {', '.join(tried.vantages)}, "
            f"key {', '.join(tried.keys)}"
        )
        for gap in tried.gaps:
            yield from self._wrapped(f"not covered: {gap}")

    def _wrapped(self, text: str, indent: str = "    ") -> list[str]:
        return textwrap.wrap(
            text,
            self._width,
            initial_indent=indent,
            subsequent_indent=indent + "  ",
            break_long_words=False,
            break_on_hyphens=False,
        )

    # --- what failed -------------------------------------------------------------------------------------------------

    def _failures(self) -> Iterator[str]:
        for cell in self._matrix.cells:
            if cell.passed is False:
                yield "\n".join(self._failed_cell(cell))
        for claim in self._matrix.claims:
            if not claim.passed:
                yield "\n".join(self._failed_claim(claim))

    def _failed_cell(self, cell: CellResult) -> Iterator[str]:
        wanted = cell.expect.value if cell.expect else "nothing"
        yield self._paint(f"{self._signs.bad} {cell.id}", _RED)
        yield from self._wrapped(
            f"expected {wanted} ({cell.place}), got {cell.counted.outcome.value}: {cell.counted.reason}"
        )
        if cell.sent:
            yield from self._wrapped(f"sent: {cell.sent.method} {cell.sent.url}, by {_who(cell)}")
        if cell.received:
            yield from self._wrapped(f"came back: {_came(cell)}")
        if cell.counted.layer:
            yield from self._wrapped(f"layer: {cell.counted.layer.value}")
        if cell.hint:
            yield from self._wrapped(f"look at: {cell.hint}")

    def _failed_claim(self, claim: ClaimResult) -> Iterator[str]:
        yield self._paint(f"{self._signs.bad} {claim.id}", _RED) + f"  {claim.verdict.value} ({claim.place})"
        shown: dict[str, None] = {}
        for finding in claim.evidence:
            if finding.status is not Status.GOOD:
                shown[f"{finding.status.value}: {finding.sentence}"] = None
        for line in shown:
            yield from self._wrapped(line)
        for cell in claim.cells:
            yield from self._wrapped(f"cell: {cell}")

    def _calls(self) -> Iterator[str]:
        """What tests sent with clients of their own, counted by who and how; how many got no answer."""
        groups: dict[tuple[str, str], list[str | None]] = {}
        for call in self._matrix.calls:
            who = f"{call.principal}:{call.vantage}" if call.principal else call.vantage
            groups.setdefault((who, call.client), []).append(call.failure)
        if groups:
            lines = [self._called(who, client, failures) for (who, client), failures in groups.items()]
            yield "calls of tests' own code\n" + "\n".join(lines)

    def _called(self, who: str, client: str, failures: list[str | None]) -> str:
        broken = [failure for failure in failures if failure]
        kinds = ", ".join(f"{broken.count(kind)} {kind}" for kind in dict.fromkeys(broken))
        return f"  {who}  {client}: {len(failures)}" + (f" ({kinds})" if kinds else "")

    def _notes(self) -> Iterator[str]:
        broken = [f"{row.name}: {row.error}" for row in self._matrix.vantages if row.error]
        lines = [line for note in (*broken, *self._matrix.notes) for line in self._wrapped(note, "  ")]
        if lines:
            yield "notes\n" + "\n".join(lines)


def _what(cell: CellResult) -> str:
    name = f"{cell.operation}+{cell.variant}" if cell.variant else cell.operation
    return name if cell.transport is Transport.HTTPS else f"{name} ({cell.transport.value})"


def _plain_mark(cell: CellResult) -> str:
    """What was measured, and what was wanted where that differs."""
    outcome = cell.counted.outcome
    star = "*" if cell.controlled is False and outcome is OutcomeKind.DENIED else ""
    wanted = "" if cell.passed or cell.expect is None else f", want {cell.expect.value}"
    return f"{outcome.value}{star}{wanted}"


def _path(row: VantageResult | None) -> str:
    if row is None or row.path is None:
        return "path unknown"
    return (
        "no endpoint" if row.path == "none" else "\n".join(textwrap.wrap(row.path, _PATH_WIDTH, break_on_hyphens=False))
    )


def _who(cell: CellResult) -> str:
    return f"{cell.principal} from {cell.vantage}"


def _came(cell: CellResult) -> str:
    answer = cell.received
    assert answer is not None
    first = f"status {answer.status}" if answer.status is not None else f"{answer.failure}: {answer.detail}"
    parts = [
        first,
        cell.measured.code,
        cell.measured.message,
        answer.request_id and f"request {answer.request_id}",
        answer.peer and f"peer {answer.peer}",
        answer.tls,
    ]
    return ", ".join(part for part in parts if part)


def _in_order(values: Iterator[_T]) -> list[_T]:
    return list(dict.fromkeys(values))
