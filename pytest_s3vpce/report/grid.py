"""The access matrix as tables for a terminal, in the widest form that its width has room for."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tabulate import tabulate

from pytest_s3vpce.model import OutcomeKind
from pytest_s3vpce.report import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_s3vpce.matrix import CellResult, Matrix, VantageResult

    Paint = Callable[[CellResult], str]
    Rows = Sequence[tuple[str, str, str]]

_HEADS: Final = ("operation", "bucket", "principal")
_PATH_WIDTH: Final = 14
"""A path under a vantage point's name is wrapped at this width, so that more columns fit."""
_ENDPOINT_WIDTH: Final = 22
"""An endpoint's id in one line, to be copied from there."""
_RULE: Final = str.maketrans("╭┬╮-", "├┼┤=")
_SIGN: Final = 2
_BORDER: Final = 3


@dataclass(frozen=True, slots=True)
class _Form:
    """How a matrix is laid out: what its rows are named by, and whether paths stand under the vantage points' names."""

    name: str
    by: tuple[int, ...]
    path_width: int


WHOLE: Final = _Form("whole", (0, 1, 2), _ENDPOINT_WIDTH)
WIDE: Final = _Form("wide", (0, 1, 2), _PATH_WIDTH)
BLOCKS: Final = _Form("blocks", (0, 2), _PATH_WIDTH)
"""A table for each bucket."""
FOLDED: Final = _Form("folded", (0, 2), 0)
"""A table for each bucket, and the paths below them."""


class Grid:
    """A matrix in tables; `paint` makes a cell's mark, with its sign and colour."""

    def __init__(self, matrix: Matrix, *, width: int, tablefmt: str, paint: Paint) -> None:
        self._matrix = matrix
        self._width = width
        self._format = tablefmt
        self._paint = paint
        self._vantages: Mapping[str, VantageResult] = {row.name: row for row in matrix.vantages}
        table = reading.table(matrix)
        self._names, self._rows, self._known = table.vantages, list(table.rows), table.rows
        self._marks = {
            name: _SIGN + max(len(mark(cell)) for cell in matrix.cells if cell.vantage == name) for name in self._names
        }

    def form(self) -> _Form:
        """The widest form whose columns fit side by side; the narrowest where none does."""
        for form in (WHOLE, WIDE, BLOCKS):
            if self._left(form) + sum(self._size(name, form) for name in self._names) <= self._width:
                return form
        return FOLDED

    def tables(self) -> Iterator[str]:
        form = self.form()
        groups = list(self._groups(form))
        if form in (WHOLE, WIDE):
            yield from (self._table(self._rows, names, form) for names in groups)
            return
        for bucket in dict.fromkeys(row[1] for row in self._rows):
            rows = [row for row in self._rows if row[1] == bucket]
            tables = [self._table(rows, names, form) for names in groups]
            yield "\n".join((f"bucket {bucket}", *(table for table in tables if table)))
        if form is FOLDED:
            paths = (f"{name}: {reading.through(self._vantages.get(name))}" for name in self._names)
            yield textwrap.fill(
                f"paths  {'; '.join(paths)}", self._width, subsequent_indent="  ", break_on_hyphens=False
            )

    def _groups(self, form: _Form) -> Iterator[list[str]]:
        """The vantage points in groups whose columns fit; one alone where not even that does."""
        group: list[str] = []
        room = self._width - self._left(form)
        used = 0
        for name in self._names:
            size = self._size(name, form)
            if group and used + size > room:
                yield group
                group, used = [], 0
            group.append(name)
            used += size
        yield group

    def _left(self, form: _Form) -> int:
        """The room that the names of rows take."""
        return 1 + sum(_BORDER + max(len(row[place]) for row in (*self._rows, _HEADS)) for place in form.by)

    def _size(self, name: str, form: _Form) -> int:
        path = min(form.path_width, max(_PATH_WIDTH, len(reading.through(self._vantages.get(name)))))
        return _BORDER + max(len(name), self._marks[name], path)

    def _table(self, rows: Rows, names: Sequence[str], form: _Form) -> str:
        body: list[list[str]] = []
        before: tuple[str, ...] = ()
        for row in rows:
            cells = [self._known[row].get(name) for name in names]
            if any(cells):
                called = tuple(row[place] for place in form.by)
                # What is as in the line above is not written again; the principal always is.
                shown = [
                    text if called[: place + 1] != before[: place + 1] else "" for place, text in enumerate(called)
                ]
                body.append([*shown[:-1], called[-1], *("" if cell is None else self._paint(cell) for cell in cells)])
                before = called
        if not body:
            return ""
        heads = [*(_HEADS[place] for place in form.by), *(self._head(name, form) for name in names)]
        return _ruled(tabulate([heads, *body], tablefmt=self._format, disable_numparse=True), heads)

    def _head(self, name: str, form: _Form) -> str:
        if not form.path_width:
            return name
        path = reading.through(self._vantages.get(name))
        return "\n".join((name, *textwrap.wrap(path, form.path_width, break_on_hyphens=False)))


def _ruled(table: str, heads: Sequence[str]) -> str:
    """The table with a line below its heads: tabulate makes columns wider where heads are given as such."""
    lines = table.splitlines()
    lines.insert(1 + max(head.count("\n") + 1 for head in heads), lines[0].translate(_RULE))
    return "\n".join(lines)


def mark(cell: CellResult) -> str:
    """What was measured, and what was wanted where that differs."""
    outcome = cell.counted.outcome
    star = "*" if cell.controlled is False and outcome is OutcomeKind.DENIED else ""
    wanted = "" if cell.passed or cell.expect is None else f", want {cell.expect.value}"
    return f"{outcome.value}{star}{wanted}"
