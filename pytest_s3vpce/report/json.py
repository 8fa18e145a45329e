"""The report as JSON: the whole matrix, versioned, to be read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_s3vpce.matrix import stored
from pytest_s3vpce.report.text import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_s3vpce.matrix import Matrix


def write(matrix: Matrix, path: Path) -> None:
    """Writes the file whole or not at all. RunError where it can't be written."""
    write_text(matrix.to_json() + "\n", path)


def read(path: Path) -> Matrix:
    """A report that `write` wrote, of this or an older version. RunError where it is none."""
    return stored().load(path)
