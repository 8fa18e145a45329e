"""The report as JSON: the whole matrix, versioned, to be read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.matrix import Status, Verdict, stored
from pytest_s3vpce.report.text import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_s3vpce.matrix import Matrix


def write(matrix: Matrix, path: Path) -> None:
    """Writes the file whole or not at all. RunError where it can't be written."""
    write_text(matrix.to_json() + "\n", path)


def read(path: Path) -> Matrix:
    """A report that `write` wrote, of this or an older version. RunError where it is none, or contradicts itself."""
    found = stored().load(path)
    for name in _unearned(found):
        raise RunError(
            f"{path}: the report contradicts itself: `{name}` did not come to what it is said to have come to",
            remedy="take the file that the run wrote",
        )
    return found


def _unearned(matrix: Matrix) -> Iterator[str]:
    """Cells and claims whose mark is not what their outcome or findings make of it: somebody changed one of both."""
    for cell in matrix.cells:
        met = cell.expect is not None and cell.counted.outcome in cell.expect.met_by
        if (cell.passed and not met) or (cell.passed is None) is not (cell.expect is None):
            yield cell.id
    for claim in matrix.claims:
        found = {row.status for row in claim.evidence}
        good = claim.verdict is Verdict.PROVEN and found == {Status.GOOD}
        if claim.passed and not good:
            yield claim.id
