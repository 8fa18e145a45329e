"""The report for a terminal: the access matrix, the claims, and why what failed failed; readable without colour."""

from __future__ import annotations

import shutil
import sys
import textwrap
from dataclasses import dataclass, fields, replace
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.escaping import escaped, harmless
from pytest_s3vpce.matrix import Expected, Verdict
from pytest_s3vpce.model import OutcomeKind
from pytest_s3vpce.report import reading
from pytest_s3vpce.report.grid import Grid, mark
from pytest_s3vpce.report.reading import counts, headline, is_uncontrolled
from pytest_s3vpce.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.matrix import CellResult, ClaimResult, Matrix


class Detail(IntEnum):
    """How much is told: the verdicts, the matrix, what claims rest on, or every cell's evidence."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2
    FULL = 3

    @classmethod
    def of(cls, verbosity: int) -> Detail:
        """From the count of `-v` less `-q`."""
        return cls(min(max(verbosity + 1, cls.QUIET), cls.FULL))


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


_UNICODE: Final = _Signs("✔", "✘", "?", "rounded_outline")
_ASCII: Final = _Signs("+", "x", "?", "outline")
_WIDEST: Final = 240
"""Columns: longer lines are hard to follow."""
_RED, _GREEN, _YELLOW, _BOLD, _RESET = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[1m", "\x1b[0m"
_VERDICTS: Final[Mapping[Verdict, str]] = {
    Verdict.PROVEN: _GREEN,
    Verdict.REFUTED: _RED,
    Verdict.INCONCLUSIVE: _YELLOW,
}


def render(
    matrix: Matrix, *, colour: Colour, width: int, encoding: str = "utf-8", detail: Detail = Detail.NORMAL
) -> str:
    """The whole report as text no wider than `width` where that can be, in characters that the encoding has."""
    signs = _signs(encoding)
    shown = _harmless(_told(matrix, detail), signs)
    return _Page(shown, colour=colour, width=max(width, 60), signs=signs, detail=detail).text()


def render_here(matrix: Matrix, *, colour: Colour, verbosity: int) -> str:
    """The same for this process's own terminal; `verbosity` is the count of `-v` less `-q`."""
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return render(matrix, colour=colour, width=width, encoding=encoding, detail=Detail.of(verbosity))


def _told(matrix: Matrix, detail: Detail) -> Matrix:
    """Without what is told nowhere: it need not be escaped."""
    if detail is Detail.FULL:
        return replace(matrix, controls=(), readings=())
    cells = (cell if cell.passed is False else replace(cell, sent=None, received=None) for cell in matrix.cells)
    return replace(matrix, cells=tuple(cells), controls=(), readings=())


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

    def __init__(self, matrix: Matrix, *, colour: Colour, width: int, signs: _Signs, detail: Detail) -> None:
        self._matrix = matrix
        self._detail = detail
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
            *self._evidence(),
            *self._summary(),
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
        head = f"predicted: {len(rows) - len(unknown)} of {len(rows)} cells, {counted(len(surprises), 'surprise')}"
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
        where = reading.where(matrix)
        cells, claims = counted(len(matrix.cells), "cell"), counted(len(matrix.claims), "claim")
        return f"{where}\nrun {matrix.run_id}: {cells}, {claims} in {matrix.seconds:.1f} s"

    # --- the matrix --------------------------------------------------------------------------------------------------

    def _tables(self) -> Iterator[str]:
        if not self._matrix.cells or self._detail is Detail.QUIET:
            return
        yield from Grid(self._matrix, width=self._width, tablefmt=self._signs.grid, paint=self._mark).tables()
        if any(map(is_uncontrolled, self._matrix.cells)):
            told = "* uncontrolled: nothing in this run shows that the principal reaches S3 from there"
            yield "\n".join(self._wrapped(told, indent=""))

    def _mark(self, cell: CellResult) -> str:
        """Symbol, what was measured, and what was wanted where that differs."""
        text = mark(cell)
        if cell.passed is None:
            return text
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
        style, _ = reading.VERDICTS[claim.ended]
        sign = {Verdict.PROVEN: self._signs.good, Verdict.REFUTED: self._signs.bad}.get(style, self._signs.open)
        yield self._paint(f"{sign} {claim.ended}", _VERDICTS[style]) + f"  {claim.id}"
        yield from self._wrapped(claim.sentence)
        if self._detail is Detail.QUIET:
            return
        if claim.records is not None:
            yield from self._wrapped(claim.records.sentence)
        tried = claim.coverage
        yield from self._wrapped(
            f"tried: {', '.join(tried.operations)} by {', '.join(tried.principals)} from {', '.join(tried.vantages)}, "
            f"key {', '.join(tried.keys)}"
        )
        for gap in tried.gaps:
            yield from self._wrapped(f"not covered: {gap}")
        for gap in tried.accepted:
            yield from self._wrapped(f"not covered, accepted: {gap}")
        if self._detail >= Detail.VERBOSE:
            for sentence in dict.fromkeys(f"{row.status.value}: {row.kind}: {row.sentence}" for row in claim.evidence):
                yield from self._wrapped(sentence)

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
        if self._detail is Detail.QUIET:
            names = [cell.id for cell in self._matrix.cells if cell.passed is False]
            yield "\n".join(self._paint(f"{self._signs.bad} {name}", _RED) for name in names)
            return
        for cell in self._matrix.cells:
            if cell.passed is False:
                yield "\n".join(self._failed_cell(cell))
        for claim in self._matrix.claims:
            if not claim.passed:
                yield "\n".join(self._failed_claim(claim))

    def _failed_cell(self, cell: CellResult) -> Iterator[str]:
        yield self._paint(f"{self._signs.bad} {cell.id}", _RED)
        yield from self._of_cell(cell)
        if self._detail is Detail.FULL:
            yield from self._wire(cell)

    def _of_cell(self, cell: CellResult) -> Iterator[str]:
        wanted = cell.expect.value if cell.expect else "nothing"
        yield from self._wrapped(
            f"expected {wanted} ({cell.place}), got {cell.counted.outcome.value}: {cell.counted.reason}"
        )
        if cell.sent:
            yield from self._wrapped(f"sent: {cell.sent.method} {cell.sent.url}, by {_who(cell)}")
        if cell.received:
            yield from self._wrapped(f"came back: {_came(cell)}")
        if cell.counted.layer:
            yield from self._wrapped(f"layer: {cell.counted.layer.value}")
        if cell.evidence:
            yield from self._wrapped(f"recorded: {cell.evidence.sentence}")
        if cell.hint and cell.hint != cell.counted.reason:
            yield from self._wrapped(f"look at: {cell.hint}")
        if cell.passed is False and cell.predicted is not None and not cell.predicted.surprise:
            for line in cell.predicted.explanation:
                yield from self._wrapped(line)

    def _failed_claim(self, claim: ClaimResult) -> Iterator[str]:
        yield self._paint(f"{self._signs.bad} {claim.id}", _RED) + f"  {claim.ended} ({claim.place})"
        for one in claim.explanations:
            yield from self._wrapped(f"why {one.of}:")
            for line in one.predicted.explanation:
                yield from self._wrapped(line, "      ")
        if claim.look_at:
            yield from self._wrapped(f"look at: {claim.look_at}")
        for fix in claim.fixes:
            yield from self._wrapped(f"fix: {fix}")
        for status, sentence in reading.against(claim):
            yield from self._wrapped(f"{status.value}: {sentence}")
        for cell in claim.cells:
            yield from self._wrapped(f"cell: {cell}")

    # --- every cell --------------------------------------------------------------------------------------------------

    def _evidence(self) -> Iterator[str]:
        """With `-vv` each cell's request and answer."""
        if self._detail is Detail.FULL:
            for cell in self._matrix.cells:
                if cell.passed is not False:
                    yield "\n".join((f"  {cell.id}", *self._of_cell(cell), *self._wire(cell)))

    def _wire(self, cell: CellResult) -> Iterator[str]:
        sent, answer = cell.sent, cell.received
        for name, pairs in (("sent", sent.headers if sent else ()), ("came back", answer.headers if answer else ())):
            for header, value in pairs:
                yield from self._wrapped(f"{name} {header}: {value}", "      ")
        if answer is not None:
            spent = {row.name: getattr(answer.timings, row.name) for row in fields(answer.timings)}
            told = ", ".join(f"{name} {seconds * 1000:.1f}" for name, seconds in spent.items() if seconds is not None)
            yield from self._wrapped(f"DNS {', '.join(answer.dns) or 'none'}, milliseconds: {told or 'none'}", "      ")

    def _summary(self) -> Iterator[str]:
        """The verdict in one line, last: where a terminal stands."""
        found = counts(self._matrix)
        sent = self._matrix.calls or self._matrix.vantages
        if sent and not (found.cells or found.claims or found.unmeasured):
            return  # sent by tests, which judge it themselves
        sign = self._signs.good if found.holds else self._signs.bad
        yield self._paint(f"{sign} {headline(found)}", _GREEN if found.holds else _RED)

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
        lines = [line for note in reading.notes(self._matrix) for line in self._wrapped(note, "  ")]
        if lines:
            yield "notes\n" + "\n".join(lines)


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
