"""What a JUnit file says of a whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.report import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_s3vpce.matrix import Matrix


RECORDS: Final = (
    "s3vpce.records",
    "not in this file, which is written before logs are asked: records, and proofs that they take away, are in reports",
)
"""Of a run that looks for evidence."""


def tell(plugins: Iterable[Any], matrix: Callable[[], Matrix | None], *, more: Iterable[tuple[str, str]] = ()) -> None:
    """To those of pytest's plugins that write such a file; they do while the session finishes."""
    writers = [row for row in plugins if hasattr(row, "add_global_property")]
    found = suite_properties(matrix()) if writers else []
    for name, value in (*found, *more) if found else ():
        for writer in writers:
            writer.add_global_property(name, value)


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
