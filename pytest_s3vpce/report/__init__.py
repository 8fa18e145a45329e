"""A matrix in, text out; each format is a writer in the table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.report import html, json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.matrix import Matrix

    Writer = Callable[[Matrix, Path], None]

WRITERS: Final[Mapping[str, Writer]] = {".json": json.write, ".html": html.write}

__all__ = ["WRITERS", "writer_of"]


def writer_of(path: str) -> Writer:
    """The writer that a path's suffix names. RunError says which suffixes there are."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise RunError(f"no report has the suffix of `{path}`", remedy=f"suffixes are {', '.join(WRITERS)}")
    return WRITERS[suffix]
