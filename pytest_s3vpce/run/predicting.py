"""Predictions beside a run's measurements: each cell as the snapshot says, surprises, and why failures failed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_s3vpce.calibration import NONE
from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.matrix import Predicted
from pytest_s3vpce.model import Expect, OutcomeKind
from pytest_s3vpce.predict import Blame, Predictor, tell
from pytest_s3vpce.probe import ProbeBuilder
from pytest_s3vpce.run.snapshotting import take

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_s3vpce.calibration import Calibration
    from pytest_s3vpce.expectations import ExpectedCell
    from pytest_s3vpce.matrix import CellResult, Expected, Matrix
    from pytest_s3vpce.model import Cell
    from pytest_s3vpce.predict import Prediction, Telling
    from pytest_s3vpce.run.operator import Operator
    from pytest_s3vpce.snapshot import Snapshot


def predicted(matrix: Matrix, cells: Sequence[ExpectedCell], operator: Operator) -> Matrix:
    """The matrix with the prediction of each cell. Reads the accounts as they are now.

    What was measured is kept where that can't be.
    """
    world = operator.world
    try:
        operator.accounts.guard(world.inventory.accounts)
        snapshot = take(world, operator.environment, kms_keys=kms_keys(row.cell for row in cells))
    except S3VpceError as error:
        return replace(matrix, notes=(*matrix.notes, f"nothing was predicted: {error}"))
    return with_predictions(
        matrix,
        cells,
        snapshot,
        session_name=f"s3vpce-{world.run_id}",
        builder=ProbeBuilder(user_agent=operator.user_agent, loader=operator.accounts.loader),
        calibration=world.calibration,
    )


def with_predictions(
    matrix: Matrix,
    cells: Sequence[ExpectedCell],
    snapshot: Snapshot,
    *,
    session_name: str | None,
    builder: ProbeBuilder | None = None,
    calibration: Calibration = NONE,
) -> Matrix:
    """The same from a snapshot that is there."""
    predictor = Predictor(
        snapshot, session_name=session_name, builder=builder, now=matrix.started, calibration=calibration
    )
    known = {row.id: row for row in cells}
    rows = [
        replace(row, predicted=_of_cell(row, known[row.id], cells, predictor)) if row.id in known else row
        for row in matrix.cells
    ]
    return replace(matrix, cells=tuple(rows))


def _of_cell(row: CellResult, wanted: ExpectedCell, cells: Sequence[ExpectedCell], predictor: Predictor) -> Predicted:
    found = predictor.predict(wanted.cell)
    surprise = is_surprise(found.expected, row.measured.outcome)
    telling = tell(
        found, predictor.snapshot, answered=_answered(row), blame=blame_of(wanted.cell, wanted.expect, cells)
    )
    lines: tuple[str, ...] = ()
    if surprise:
        lines = (*telling.lines, f"surprise: predicted {found.expected.value}, measured {row.measured.outcome.value}")
    elif row.passed is False:
        lines = (*telling.lines, *_other_layer(row, found))
    return _predicted(found, telling, surprise=surprise, lines=lines)


def _other_layer(row: CellResult, found: Prediction) -> Iterator[str]:
    """Where both are denials, by different layers: S3 names the first that it met, or one is not what was read."""
    named = row.measured.layer
    if found.expected.denied and named is not None and found.layer not in (None, named.value):
        yield f"S3 names another layer: {named.value}, not {found.layer}"


def _predicted(found: Prediction, telling: Telling, *, surprise: bool, lines: tuple[str, ...]) -> Predicted:
    return Predicted(
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


def is_surprise(expected: Expected, measured: OutcomeKind) -> bool:
    """What nobody can say is no surprise, and what was not measured is none either."""
    return expected.outcome is not None and measured not in (expected.outcome, OutcomeKind.INCONCLUSIVE)


def _answered(row: CellResult) -> str:
    """What S3 said, in words."""
    judged = row.measured
    code = f" ({judged.code})" if judged.code else ""
    return f"{judged.outcome.value}{code}: {judged.reason}"


def blame_of(cell: Cell, expect: Expect | None, cells: Iterable[ExpectedCell]) -> Blame:
    """What is wrong if the cell is allowed: the same request may be allowed from elsewhere, or others from there."""
    if expect is Expect.ALLOW:
        return Blame.NOTHING
    if expect is Expect.UNREACHABLE:
        return Blame.WAY
    allowed = [row.cell for row in cells if row.expect is Expect.ALLOW and row.cell.target.bucket == cell.target.bucket]
    same = [row for row in allowed if (row.action, row.principal) == (cell.action, cell.principal)]
    if same or cell.transport.value != "https":
        return Blame.PLACE
    return Blame.GRANT if any(row.vantage == cell.vantage for row in allowed) else Blame.PLACE


def kms_keys(cells: Iterable[Cell]) -> list[str]:
    """The keys that cells name themselves."""
    named = (cell.parameters.get("SSEKMSKeyId") for cell in cells)
    return list(dict.fromkeys(str(name) for name in named if name))
