"""A matrix of requests decided at once, at the cost of its distinct situations rather than of its cells."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.policy.alike import Numbers
from pytest_s3vpce.policy.axes import Axes, Cell
from pytest_s3vpce.policy.decision import Effect
from pytest_s3vpce.policy.situations import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from pytest_s3vpce.policy.axes import Bucket, Operation, Principal, Vantage
    from pytest_s3vpce.policy.decision import Decision
    from pytest_s3vpce.policy.situations import Piece, Sheet

    Key = tuple[int, int, int, int]
    """A cell: the indexes of its bucket, principal, vantage point and operation."""

_DENIALS: Final = (Effect.EXPLICIT_DENY, Effect.IMPLICIT_DENY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """A decision without its words, which differ from cell to cell: one object for all the cells that it holds for."""

    effect: Effect
    layer: str | None
    policy: str | None
    statement: str | None
    layers: Mapping[str, Effect] = field(hash=False)

    @property
    def allowed(self) -> bool:
        return self.effect is Effect.ALLOW


@dataclass(frozen=True, slots=True)
class DecidedMatrix:
    """The rulings on all cells. A cell is four indexes: of its bucket, principal, vantage point and operation."""

    axes: Axes
    rulings: tuple[Ruling, ...]
    """Each different one, once."""
    situations: int
    """How many buckets, principals and vantage points were told from one another and decided."""
    _bucket_classes: Sequence[int]
    _sheet_numbers: Sequence[Sequence[int]]
    """For each class of buckets, the sheet of each principal."""
    _operation_classes: Sequence[int]
    _sheets: Sequence[Sheet]
    _cells: Sequence[int]
    """Rows of the numbers of rulings, one for each class of operations."""

    def __len__(self) -> int:
        return math.prod(self._sizes)

    @property
    def _sizes(self) -> tuple[int, ...]:
        axes = self.axes
        return len(axes.buckets), len(axes.principals), len(axes.vantages), len(axes.operations)

    @property
    def _width(self) -> int:
        return max(self._operation_classes, default=0) + 1

    def __getitem__(self, cell: Key) -> Ruling:
        bucket, principal, vantage, operation = cell
        sheet = self._sheets[self._sheet_numbers[self._bucket_classes[bucket]][principal]]
        row = sheet.start + sheet.vantages[vantage] * self._width
        return self.rulings[self._cells[row + self._operation_classes[operation]]]

    def __iter__(self) -> Iterator[Key]:
        return product(*map(range, self._sizes))  # type: ignore[return-value]

    def items(self) -> Iterator[tuple[Key, Ruling]]:
        return ((cell, self[cell]) for cell in self)

    def counts(self) -> dict[Ruling, int]:
        """How many cells each ruling holds for, without a look at every cell."""
        sheets = Counter(sheet for number in self._bucket_classes for sheet in self._sheet_numbers[number])
        operations = Counter(self._operation_classes)
        found: Counter[int] = Counter()
        for number, times in sheets.items():
            sheet = self._sheets[number]
            for vantage, alike in Counter(sheet.vantages).items():
                row = sheet.start + vantage * self._width
                for operation, same in operations.items():
                    found[self._cells[row + operation]] += times * alike * same
        return {self.rulings[number]: times for number, times in found.items()}

    def decision(self, cell: Key) -> Decision:
        """The decision on one cell with its reason, made when asked for."""
        bucket, principal, vantage, operation = cell
        axes = self.axes
        situation = Cell(axes.buckets[bucket], axes.principals[principal], axes.vantages[vantage])
        found = [situation.decided(check) for check in axes.operations[operation].checks]
        return found[_deciding([decision.effect for decision in found])]


def _deciding(effects: Sequence[Effect]) -> int:
    """Which of an operation's checks decides it."""
    for kinds in (_DENIALS, (Effect.UNKNOWN,)):
        for number, effect in enumerate(effects):
            if effect in kinds:
                return number
    return 0


# --- the work --------------------------------------------------------------------------------------------------------


def decide_matrix(
    buckets: Iterable[Bucket],
    *,
    principals: Iterable[Principal],
    vantages: Iterable[Vantage],
    operations: Iterable[Operation],
    executor: Executor | None = None,
) -> DecidedMatrix:
    """Every cell as `decide` has it. Where a key is given on several axes, operations win over vantage points, these
    over buckets, these over principals.

    An executor gets the work in pieces that can be pickled. PolicyError: a principal of no known form.
    """
    axes = Axes(tuple(buckets), tuple(principals), tuple(vantages), tuple(operations))
    plan = Plan(axes)
    rulings = Numbers()
    cells = array("L")
    for found, numbers in (executor.map if executor else map)(_ruled, plan.pieces()):
        translated = [rulings.of(ruling) for ruling in found]
        cells.extend(map(translated.__getitem__, numbers))
    return DecidedMatrix(
        axes=axes,
        rulings=tuple(rulings),  # type: ignore[arg-type]
        situations=len(plan.situations),
        _bucket_classes=plan.bucket_classes,
        _sheet_numbers=plan.sheet_numbers,
        _operation_classes=plan.operation_classes,
        _sheets=plan.sheets,
        _cells=cells,
    )


def _ruled(piece: Piece) -> tuple[list[Ruling], array[int]]:
    """The different rulings, and the number of one for each situation and operation."""
    numbers: dict[tuple[Any, ...], int] = {}
    rulings: list[Ruling] = []
    cells = array("L")
    for bucket, principal, vantage in piece.situations:
        cell = Cell(piece.buckets[bucket], piece.principals[principal], piece.vantages[vantage])
        row = []
        for check in piece.checks:
            made = cell.decided(check)
            key = (made.effect, made.layer, made.policy, made.statement, tuple(made.layers.items()))
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(rulings)
                rulings.append(_ruling(made))
            row.append(number)
        for checks in piece.operations:
            deciding = _deciding([rulings[row[check]].effect for check in checks])
            cells.append(row[checks[deciding]])
    return rulings, cells


def _ruling(made: Decision) -> Ruling:
    return Ruling(
        effect=made.effect, layer=made.layer, policy=made.policy, statement=made.statement, layers=dict(made.layers)
    )
