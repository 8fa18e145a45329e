"""What a JUnit file says of a whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_s3vpce.report import reading

if TYPE_CHECKING:
    from pytest_s3vpce.matrix import Matrix


def suite_properties(matrix: Matrix | None) -> list[tuple[str, str]]:
    """Names and values; none where nothing was measured."""
    if matrix is None:
        return []
    found = reading.counts(matrix)
    return [
        ("s3vpce.mode", matrix.mode),
        ("s3vpce.run_id", matrix.run_id),
        ("s3vpce.version", matrix.version),
        ("s3vpce.cells", str(found.cells)),
        ("s3vpce.as_expected", str(found.met)),
        ("s3vpce.uncontrolled", str(found.uncontrolled)),
        ("s3vpce.claims", str(found.claims)),
        ("s3vpce.proven", str(found.proven)),
        ("s3vpce.refuted", str(found.refuted)),
    ]
