"""The report as JSON: the whole matrix, versioned, to be read back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.matrix import Matrix

if TYPE_CHECKING:
    from pathlib import Path


def write(matrix: Matrix, path: Path) -> None:
    """Writes the file whole or not at all. RunError where it can't be written."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        draft.write_text(matrix.to_json() + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise RunError(f"the report `{path}` can't be written: {error.strerror}", remedy="make its folder") from error


def read(path: Path) -> Matrix:
    """A report that `write` wrote. RunError where it is none, or of another version."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise RunError(f"the report `{path}` can't be read: {reason}") from error
    return Matrix.from_json(text)
