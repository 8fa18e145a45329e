"""What is told once a run has ended: its report files, what is other than in a baseline, and what went wrong last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_s3vpce import report
from pytest_s3vpce.errors import RunError, S3VpceError
from pytest_s3vpce.report import compare, json, terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    def compare(self, baseline: str | None) -> None:
        """A run in which anything opened since the baseline, or that can't tell, has failed."""
        if baseline is None:
            return
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

    def show(self, reporter: Any, *, verbosity: int) -> None:
        """In sections of pytest's terminal."""
        if self._matrix is not None:
            reporter.section("access matrix")
            colour = terminal.Colour.ANSI if reporter.hasmarkup else terminal.Colour.PLAIN
            reporter.write(terminal.render_here(self._matrix, colour=colour, verbosity=verbosity) + "\n")
        if self._changes:
            reporter.section("other than in the baseline")
            reporter.write(compare.as_text(self._changes))
        left = [] if self._session is None else self._session.left
        for title, lines in (("failed at the end", self.failed), ("not written", self._untold), ("left behind", left)):
            if lines:
                reporter.section(title, red=True)
                reporter.write("\n".join(lines) + "\n")
