"""Writes a report's text, or another file that is as dear: whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_s3vpce.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path


def check_place(path: Path, *, what: str) -> None:
    """Told before anything is asked for: RunError where no file can be written there."""
    if path.is_dir():
        raise RunError(f"the {what} `{path}` can't be written: it is a folder", remedy="name a file")
    if not path.parent.is_dir():
        raise RunError(f"the folder of the {what} `{path}` is not there", remedy="make it")


def write_text(text: str, path: Path, *, what: str = "report") -> None:
    """RunError where the file can't be written."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8", newline="")
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        remedy = "name a file" if path.is_dir() else "make its folder"
        raise RunError(f"the {what} `{path}` can't be written: {error.strerror}", remedy=remedy) from error
