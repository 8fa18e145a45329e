"""A matrix in, text out; each format is a writer in the table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.report import csv, html, json, markdown
from pytest_s3vpce.report.text import check_place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.matrix import Matrix

    Writer = Callable[[Matrix, Path], None]

WRITERS: Final[Mapping[str, Writer]] = {
    ".json": json.write,
    ".html": html.write,
    ".md": markdown.write,
    ".csv": csv.write,
}
GITHUB: Final = "github"
"""In place of a path: the summary of the GitHub Actions job."""

__all__ = ["GITHUB", "WRITERS", "check", "writer_of"]


def check(path: str) -> None:
    """Told before anything is sent: RunError where no report can be written there."""
    writer_of(path)
    if path == GITHUB:
        markdown.summary_file()
    else:
        check_place(Path(path), what="report")


def writer_of(path: str) -> Writer:
    """The writer that a path's suffix names. RunError says which suffixes there are."""
    if path == GITHUB:
        return lambda matrix, _: markdown.to_summary(matrix)
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise RunError(
            f"no report has the suffix of `{path}`",
            remedy=f"suffixes are {', '.join(WRITERS)}; `{GITHUB}` is the job's summary",
        )
    return WRITERS[suffix]
