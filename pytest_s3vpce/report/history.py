"""Each claim's verdict over many runs, as a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.escaping import harmless
from pytest_s3vpce.matrix import Verdict
from pytest_s3vpce.report import reading
from pytest_s3vpce.report.html import page
from pytest_s3vpce.report.text import write_text
from pytest_s3vpce.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_s3vpce.matrix import ClaimResult, Matrix


@dataclass(frozen=True, slots=True)
class _Point:
    """A claim in one run."""

    ended: str
    style: str
    sign: str
    sentence: str
    turned: str
    """`turned` where the run before it said something else."""


def find(folder: Path) -> list[Path]:
    """The JSON reports in a folder and below. RunError where there is none."""
    found = sorted(path for path in folder.rglob("*.json") if path.is_file())
    if not found:
        raise RunError(f"no JSON report lies in `{folder}`", remedy="keep each run's `--s3vpce-report FILE.json` there")
    return found


def write(runs: Sequence[Matrix], path: Path) -> None:
    """Writes the page whole or not at all. RunError where it can't be written."""
    write_text(render(runs), path)


def render(runs: Sequence[Matrix]) -> str:
    """The page: a line for each claim, a column for each run, the newest first."""
    once = {(run.started, run.run_id): run for run in runs}  # the newest is often kept under two names
    shown = harmless(tuple(once[key] for key in sorted(once)))
    names = list(dict.fromkeys(claim.id for run in shown for claim in run.claims))
    claims = [{claim.id: claim for claim in run.claims} for run in shown]
    lines = [(name, list(reversed(_line([run.get(name) for run in claims])))) for name in names]
    newest = shown[-1]
    return page(
        "history.html.j2",
        runs=[
            (reading.moment(run.started), run.mode, run.run_id, reading.headline(reading.counts(run)))
            for run in reversed(shown)
        ],
        lines=lines,
        many=f"{counted(len(lines), 'claim')} over {counted(len(shown), 'run')}",
        holds=bool(lines) and all(_latest(points) == Verdict.PROVEN for _, points in lines),
        newest=reading.moment(newest.started),
        headline=reading.headline(reading.counts(newest)),
        data="null",
    )


def _line(claims: Sequence[ClaimResult | None]) -> list[_Point | None]:
    """One claim over the runs; None where a run did not choose it."""
    found: list[_Point | None] = []
    before: str | None = None
    for claim in claims:
        found.append(None if claim is None else _point(claim, before))
        before = before if claim is None else claim.ended
    return found


def _latest(points: Sequence[_Point | None]) -> str:
    """The verdict of the newest run that chose the claim: no other run takes it back."""
    return next(point.ended for point in points if point is not None)


def _point(claim: ClaimResult, before: str | None) -> _Point:
    style, sign = reading.VERDICTS[claim.ended]
    turned = "turned" if before not in (None, claim.ended) else ""
    return _Point(claim.ended, style.value, sign, claim.sentence, turned)
