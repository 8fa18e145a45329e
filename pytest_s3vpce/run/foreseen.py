"""One cell's prediction beside what was measured: surprises, in short, and what is to blame where it is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_s3vpce.matrix import Predicted
from pytest_s3vpce.model import Expect, OutcomeKind
from pytest_s3vpce.predict import Blame
from pytest_s3vpce.redaction import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_s3vpce.expectations import ExpectedCell
    from pytest_s3vpce.matrix import CellResult, Expected
    from pytest_s3vpce.model import Cell
    from pytest_s3vpce.predict import Prediction, Telling


def predicted_of(found: Prediction, telling: Telling, *, surprise: bool, lines: tuple[str, ...]) -> Predicted:
    """Without the secrets that policies may hold."""
    made = Predicted(
        expected=found.expected,
        layer=telling.layer,
        policy=telling.policy,
        statement=telling.statement,
        place=telling.place,
        missed=telling.missed,
        action=found.action,
        path="" if found.way is None else found.way.words,
        reason=found.why,
        fix=telling.fix,
        surprise=surprise,
        explanation=lines,
    )
    return without_secrets(made)


def is_surprise(expected: Expected, measured: OutcomeKind) -> bool:
    """What nobody can say is no surprise, and what was not measured is none either."""
    return expected.outcome is not None and measured not in (expected.outcome, OutcomeKind.INCONCLUSIVE)


def surprising(found: Prediction, row: CellResult) -> str:
    """That policies and network promised something else, in a line."""
    return f"surprise: predicted {found.expected.value}, measured {row.measured.outcome.value}"


def answered(row: CellResult) -> str:
    """What S3 said, in words."""
    judged = row.measured
    code = f" ({judged.code})" if judged.code else ""
    return f"{judged.outcome.value}{code}: {judged.reason}"


def to_be_allowed(cells: Iterable[ExpectedCell]) -> dict[str, list[Cell]]:
    """By bucket, the cells of it that are."""
    found: dict[str, list[Cell]] = {}
    for row in cells:
        if row.expect is Expect.ALLOW:
            found.setdefault(row.cell.target.bucket, []).append(row.cell)
    return found


def blame_of(cell: Cell, expect: Expect | None, allowed: Mapping[str, Sequence[Cell]]) -> Blame:
    """What is wrong if the cell is allowed: the same request may be allowed from elsewhere, or others from there."""
    if expect is Expect.ALLOW:
        return Blame.NOTHING
    if expect is Expect.UNREACHABLE:
        return Blame.WAY
    return blame_beside(cell, allowed.get(cell.target.bucket, ()))


def blame_beside(cell: Cell, allowed: Iterable[Cell]) -> Blame:
    """The same, of a cell that is to be denied beside those that are to be allowed."""
    beside = [row for row in allowed if row.target.bucket == cell.target.bucket]
    how = (cell.vantage, cell.transport, cell.variant)
    same = [row for row in beside if (row.action, row.principal) == (cell.action, cell.principal)]
    if cell.transport.value != "https" or any((row.vantage, row.transport, row.variant) != how for row in same):
        return Blame.PLACE
    return Blame.GRANT if any(row.vantage == cell.vantage for row in beside) else Blame.PLACE
