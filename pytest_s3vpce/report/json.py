"""The report as JSON: the whole matrix, versioned, to be read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.matrix import Matrix
from pytest_s3vpce.report.text import write_text

if TYPE_CHECKING:
    from pathlib import Path


def write(matrix: Matrix, path: Path) -> None:
    """Writes the file whole or not at all. RunError where it can't be written."""
    write_text(matrix.to_json() + "\n", path)


def read(path: Path) -> Matrix:
    """A report that `write` wrote, of this or an older version. RunError where it is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise RunError(f"the report `{path}` can't be read: {reason}") from error
    return Matrix.from_json(text)
