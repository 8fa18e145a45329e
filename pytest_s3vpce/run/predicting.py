"""Predictions beside a run's measurements: each cell as the snapshot says, surprises, and why failures failed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_s3vpce.calibration import NONE
from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.predict import Predictor, tell
from pytest_s3vpce.probe import ProbeBuilder
from pytest_s3vpce.redaction import scrubbed
from pytest_s3vpce.run.explaining import with_explanations
from pytest_s3vpce.run.foreseen import answered, blame_of, is_surprise, predicted_of, surprising, to_be_allowed
from pytest_s3vpce.run.snapshotting import take

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_s3vpce.calibration import Calibration
    from pytest_s3vpce.expectations import ExpectedCell
    from pytest_s3vpce.matrix import CellResult, Matrix, Predicted
    from pytest_s3vpce.model import Cell
    from pytest_s3vpce.predict import Prediction
    from pytest_s3vpce.run.operator import Operator
    from pytest_s3vpce.snapshot import Snapshot


def predicted(matrix: Matrix, cells: Sequence[ExpectedCell], operator: Operator) -> Matrix:
    """The matrix with the prediction of each cell. Reads the accounts as they are now.

    What was measured is kept where that can't be.
    """
    world = operator.world
    try:
        operator.accounts.guard(world.inventory.accounts)
        snapshot = take(
            world, operator.environment, kms_keys=kms_keys([*(row.cell for row in cells), *operator.sent.values()])
        )
    except S3VpceError as error:
        return replace(matrix, notes=(*matrix.notes, scrubbed(f"nothing was predicted: {error}")))
    return with_predictions(
        matrix,
        cells,
        snapshot,
        session_name=f"s3vpce-{world.run_id}",
        builder=ProbeBuilder(user_agent=operator.user_agent, loader=operator.accounts.loader),
        calibration=world.calibration,
        sent=operator.sent,
    )


def with_predictions(
    matrix: Matrix,
    cells: Sequence[ExpectedCell],
    snapshot: Snapshot,
    *,
    session_name: str | None,
    builder: ProbeBuilder | None = None,
    calibration: Calibration = NONE,
    sent: Mapping[str, Cell] | None = None,
) -> Matrix:
    """The same from a snapshot that is there. `sent` is all that was sent, by id: what claims sent is explained."""
    predictor = Predictor(
        snapshot, session_name=session_name, builder=builder, now=matrix.started, calibration=calibration
    )
    known = {row.id: row for row in cells}
    allowed = to_be_allowed(cells)
    rows = [
        replace(row, predicted=_of_cell(row, known[row.id], allowed, predictor)) if row.id in known else row
        for row in matrix.cells
    ]
    return with_explanations(replace(matrix, cells=tuple(rows)), sent or {}, predictor, allowed=allowed)


def _of_cell(
    row: CellResult, wanted: ExpectedCell, allowed: Mapping[str, Sequence[Cell]], predictor: Predictor
) -> Predicted:
    found = predictor.predict(wanted.cell)
    surprise = is_surprise(found.expected, row.measured.outcome)
    blame = blame_of(wanted.cell, wanted.expect, allowed)
    telling = tell(found, predictor.snapshot, answered=answered(row), blame=blame)
    lines: tuple[str, ...] = ()
    if surprise:
        lines = (*telling.lines, surprising(found, row))
    elif row.passed is False:
        lines = (*telling.lines, *_other_layer(row, found))
    return predicted_of(found, telling, surprise=surprise, lines=lines)


def _other_layer(row: CellResult, found: Prediction) -> Iterator[str]:
    """Where both are denials, by different layers: S3 names the first that it met, or one is not what was read."""
    named = row.measured.layer
    if found.expected.denied and named is not None and found.layer not in (None, named.value):
        yield f"S3 names another layer: {named.value}, not {found.layer}"


def kms_keys(cells: Iterable[Cell]) -> list[str]:
    """The keys that cells name themselves."""
    named = (cell.parameters.get("SSEKMSKeyId") for cell in cells)
    return list(dict.fromkeys(str(name) for name in named if name))
