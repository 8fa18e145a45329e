"""The report as Markdown: for a comment on a pull request or a job's summary, so short and with failures first."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.escaping import harmless
from pytest_s3vpce.report import reading
from pytest_s3vpce.report.picture import SYMBOLS
from pytest_s3vpce.report.text import write_text
from pytest_s3vpce.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_s3vpce.matrix import CellResult, ClaimResult, Matrix

MOST: Final = 60_000
"""Bytes: GitHub takes comments of 65,536 characters, and cuts nothing but refuses."""
_LONGEST: Final = 300
_LONGEST_WHY: Final = 1_200
"""Of a line that names a statement, with the files, ARNs and values that go with it."""
_SPECIAL: Final = re.compile(r"[\\`*_\[\]<>#|~@$&]|:(?=\S)|(?<=www)\.")
"""What is markup within a line: https://github.github.com/gfm/"""


def write(matrix: Matrix, path: Path) -> None:
    """Writes the file whole or not at all. RunError where it can't be written."""
    write_text(render(matrix), path)


def to_summary(matrix: Matrix) -> None:
    """Adds the report to the summary of a GitHub Actions job. RunError outside of one.

    https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions#adding-a-job-summary
    """
    name = summary_file()
    try:
        with open(name, "a", encoding="utf-8") as stream:  # noqa: PTH123 - the runner's own file, added to
            stream.write(render(matrix))
    except OSError as error:
        raise RunError(f"the job summary `{name}` can't be written: {error.strerror}") from error


def summary_file() -> str:
    """Where the job's summary is written. RunError outside of a job."""
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        raise RunError("GITHUB_STEP_SUMMARY is not set", remedy="ask for `github` in a job of GitHub Actions only")
    return name


def render(matrix: Matrix) -> str:
    """The text, shorter than MOST bytes: what has no room is counted."""
    shown = harmless(matrix)
    text = "".join(f"{line}\n" for line in _head(shown))
    for part in (_failures(shown), _claims(shown), _table(shown), _notes(shown)):
        text += fitted(part, room=MOST - 400 - len(text.encode()))
    return text


def fitted(lines: Iterator[tuple[str, str]], *, room: int) -> str:
    """As many lines as there is room for, and how many are left out; each comes with what would have to follow it."""
    text, end, left_out = "", "", 0
    for line, closing in lines:
        if left_out or len((text + line + closing).encode()) + 80 > room:
            left_out += 1
        else:
            text, end = f"{text}{line}\n", closing
    if left_out:
        end = f"{end}\n… {left_out} lines more: see the HTML or JSON report.\n"
    return f"{text}{end}"


def code(text: str) -> str:
    """The text between backticks, one line, shortened: nothing in it is Markdown, HTML or a mention."""
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    short = short.replace("|", "¦")
    longest = max((len(run) for run in re.findall("`+", short)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{short or ' '}{pad}{fence}"


def words(text: str, *, longest: int = _LONGEST) -> str:
    """The text as plain words: what Markdown, HTML and GitHub read something into is escaped."""
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", short)


def _head(matrix: Matrix) -> Iterator[str]:
    found = reading.counts(matrix)
    yield f"## {'✅' if found.holds else '❌'} S3 access: {reading.headline(found)}"
    yield ""
    yield (
        f"{words(reading.where(matrix))}  \nrun {code(matrix.run_id)}, {words(reading.moment(matrix.started))}, "
        f"{matrix.seconds:.1f} s, pytest-s3vpce {words(matrix.version)}"
    )
    yield ""


def _failures(matrix: Matrix) -> Iterator[tuple[str, str]]:
    cells = [cell for cell in matrix.cells if cell.passed is False]
    claims = [claim for claim in matrix.claims if not claim.passed]
    if cells or claims or any(map(reading.is_surprise, matrix.cells)):
        yield "### Not as expected\n", "\n"
    for claim in claims:
        _, sign = reading.VERDICTS[claim.ended]
        yield f"- {sign} **{claim.ended}** {code(claim.id)}: {words(claim.sentence)}", "\n"
        if claim.records is not None:
            yield f"  - {words(claim.records.sentence)}", "\n"
        for one in claim.explanations:
            more = f" and {len(one.cells) - 1} more" if len(one.cells) > 1 else ""
            told = "".join(f"  \n    {words(line, longest=_LONGEST_WHY)}" for line in one.predicted.explanation)
            yield f"  - why {code(one.cells[0])}{more}:{told}", "\n"
        if claim.look_at:
            yield f"  - look at: {words(claim.look_at)}", "\n"
        for fix in claim.fixes:
            yield f"  - fix: {words(fix)}", "\n"
        for status, sentence in reading.against(claim):
            yield f"  - {status.value}: {words(sentence)}", "\n"
    for cell in cells:
        yield f"- {_missed(cell)}", "\n"
    for cell in matrix.cells:
        if cell.passed and cell.predicted is not None and cell.predicted.surprise:
            expected = cell.predicted.expected.value.replace("_", " ")
            yield f"- ! {code(cell.id)}: predicted **{expected}**, got **{cell.measured.outcome.value}**", "\n"


def _missed(cell: CellResult) -> str:
    wanted = cell.expect.value if cell.expect else "nothing"
    counted = cell.counted
    by = f" by the {words(reading.decided_by(cell))}" if counted.layer else ""
    look = f"  \n  look at: {words(cell.hint)}" if cell.hint else ""
    look += "".join(
        f"  \n  {words(line, longest=_LONGEST_WHY)}" for line in (cell.predicted.explanation if cell.predicted else ())
    )
    return (
        f"{SYMBOLS[counted.outcome]} {code(cell.id)}: expected **{wanted}**, got **{counted.outcome.value}**{by}: "
        f"{words(counted.reason)}{look}"
    )


def _claims(matrix: Matrix) -> Iterator[tuple[str, str]]:
    proven = [claim for claim in matrix.claims if claim.passed]
    if proven:
        yield "### Proven\n", "\n"
    for claim in proven:
        yield f"- ✔ {code(claim.id)}: {words(claim.sentence)}{_gaps(claim)}", "\n"


def _gaps(claim: ClaimResult) -> str:
    recorded = "" if claim.records is None else f"  \n  {words(claim.records.sentence)}"
    return recorded + "".join(
        f"  \n  {what}: {words(gap)}"
        for what, gaps in (("not covered", claim.coverage.gaps), ("not covered, accepted", claim.coverage.accepted))
        for gap in gaps
    )


def _table(matrix: Matrix) -> Iterator[tuple[str, str]]:
    """The matrix, folded: rows that hold a failure first."""
    if not matrix.cells:
        return
    table = reading.table(matrix)
    names, rows = table.vantages, table.rows
    known = {row.name: row for row in matrix.vantages}
    heads = " | ".join(f"{code(name)} {words(reading.through(known.get(name)))}" for name in names)
    end = "\n</details>\n\n"
    yield (
        (
            f"<details><summary>Access matrix: {counted(len(matrix.cells), 'cell')}</summary>\n\n"
            f"| operation | bucket | principal | {heads} |\n|{'---|' * (3 + len(names))}"
        ),
        end,
    )
    for key, cells in sorted(rows.items(), key=lambda row: all(cell.passed is not False for cell in row[1].values())):
        what = " | ".join(code(part) for part in key)
        yield f"| {what} | {' | '.join(_mark(cells.get(name)) for name in names)} |", end


def _mark(cell: CellResult | None) -> str:
    if cell is None:
        return " "
    text = f"{SYMBOLS[cell.counted.outcome]} {cell.counted.outcome.value}"
    if reading.is_uncontrolled(cell):
        text += " (uncontrolled)"
    return f"**{text}, want {cell.expect.value}**" if cell.passed is False and cell.expect else text


def _notes(matrix: Matrix) -> Iterator[tuple[str, str]]:
    notes = reading.notes(matrix)
    if notes:
        yield "### Notes\n", "\n"
    for note in notes:
        yield f"- {words(note)}", "\n"
