"""What is told once a run has ended: its report files, what is other than in a baseline, and what went wrong last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_s3vpce import report
from pytest_s3vpce.errors import RunError, S3VpceError
from pytest_s3vpce.report import compare, json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_s3vpce.matrix import Matrix
    from pytest_s3vpce.report.compare import Change
    from pytest_s3vpce.run.session import RunSession


def check_promised(reports: Sequence[str], baseline: str | None) -> None:
    """RunError where a suffix has no writer, or the baseline can't be read: told before anything is sent."""
    option = "--s3vpce-report"
    try:
        for path in reports:
            report.check(path)
        option = "--s3vpce-baseline"
        if baseline is not None:
            json.read(Path(baseline))
    except S3VpceError as error:
        raise RunError(f"{option}: {error}") from error


class Ending:
    """Of a run that measured `matrix`, or nothing. What is in `failed` fails it, whatever its items' verdicts."""

    def __init__(self, session: RunSession | None, matrix: Matrix | None) -> None:
        self._session = session
        self._matrix = matrix
        self._changes: tuple[Change, ...] = ()
        self._untold: list[str] = []
        self.failed: list[str] = [] if session is None else [*session.failed]

    def write(self, reports: Sequence[str]) -> None:
        for path in reports:
            if self._matrix is None:
                self._untold.append(f"{path} was not written: nothing was measured")
                continue
            try:
                report.writer_of(path)(self._matrix, Path(path))
            except S3VpceError as error:
                self.failed.append(str(error))

    def compare(self, baseline: str) -> None:
        """A run in which anything opened, or that can't tell, has failed."""
        try:
            if self._session is None or self._matrix is None:
                raise RunError("nothing was measured")
            old = self._session.shown(json.read(Path(baseline)))
            self._changes = compare.changes(old, self._matrix)
            if compare.has_opened(self._changes):
                self.failed.append(f"what is closed in the baseline `{baseline}` has opened")
            self._changes = compare.but_for(self._session.declared, self._changes)
        except S3VpceError as error:
            self.failed.append(f"not all was compared with the baseline: {error}")

    @property
    def changes(self) -> str:
        """What is other than in the baseline, in lines."""
        return compare.as_text(self._changes)

    def wrong(self) -> Iterator[tuple[str, str]]:
        """Sections of what did not go as it should, title and lines."""
        left = [] if self._session is None else self._session.left
        for title, lines in (("failed at the end", self.failed), ("not written", self._untold), ("left behind", left)):
            if lines:
                yield title, "\n".join(lines) + "\n"
