"""A report that is there already, explained by a snapshot: what failed in it, and which statements decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_s3vpce.expectations import ExpectedCell
from pytest_s3vpce.model import Cell, Place, Target
from pytest_s3vpce.run.predicting import with_predictions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.matrix import CellResult, Matrix
    from pytest_s3vpce.snapshot import Snapshot


def explained_by(matrix: Matrix, snapshot: Snapshot) -> Matrix:
    """The matrix with predictions and explanations as `--s3vpce-predict` would have added them.

    A report does not hold the parameters that cells were sent with, so that those that had any stay without.
    """
    sent = {row.id: cell for row in (*matrix.cells, *matrix.controls) for cell in _cells(row, snapshot)}
    cells = [
        ExpectedCell(cell=sent[row.id], expect=row.expect, place=row.place or Place(""))
        for row in matrix.cells
        if row.id in sent and row.expect is not None
    ]
    return with_predictions(matrix, cells, snapshot, session_name=f"s3vpce-{matrix.run_id}", sent=sent)


def _cells(row: CellResult, snapshot: Snapshot) -> Iterator[Cell]:
    if row.variant:
        return
    label, _, name = row.bucket.partition("+")
    bucket = snapshot.bucket(label)
    yield Cell(
        operation=row.operation,
        action=row.action,
        target=Target(
            bucket=label,
            name=name,
            key=None if bucket is None else bucket.keys.get(name),
            host=None if bucket is None else bucket.hosts.get(name),
        ),
        principal=row.principal,
        vantage=row.vantage,
        transport=row.transport,
    )
