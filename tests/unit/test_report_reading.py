"""What all reports say in the same words: where it was measured, notes, what speaks against a claim, the table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.escaping import harmless
from pytest_s3vpce.matrix import Evidence, Status, Verdict
from pytest_s3vpce.model import OutcomeKind
from pytest_s3vpce.report import html, markdown, reading
from pytest_s3vpce.report.terminal import Colour, render
from tests.unit.matrices import MATRIX, cell

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.matrix import Matrix

WRITERS: list[Callable[[Matrix], str]] = [
    html.render,
    markdown.render,
    lambda matrix: render(matrix, colour=Colour.PLAIN, width=500),
]


@pytest.mark.parametrize("write", WRITERS)
def test_each_report_says_where_and_every_note(write: Callable[[Matrix], str]) -> None:
    broken = replace(MATRIX.vantages[0], name="gone", error="no such subnet")
    matrix = harmless(replace(MATRIX, vantages=(*MATRIX.vantages, broken), notes=("what there is to say",)))
    assert "gone: no such subnet" in reading.notes(matrix)
    for mode in ("lab", "live"):
        shown = write(replace(matrix, mode=mode)).replace("&#58;", ":").replace("&#39;", "'")
        assert reading.where(replace(matrix, mode=mode)) in shown
        for note in ("gone: no such subnet", "what there is to say"):
            assert note in shown


@pytest.mark.parametrize("write", WRITERS)
def test_each_report_tells_a_finding_once(write: Callable[[Matrix], str]) -> None:
    finding = Evidence(kind="negative", name="a", status=Status.BAD, sentence="it was let in all the same")
    again = replace(finding, name="b", cell="GetObject/reports/app:internet/https")
    claim = replace(MATRIX.claims[0], verdict=Verdict.REFUTED, passed=False, sentence="x", evidence=(finding, again))
    assert reading.against(claim) == ((Status.BAD, finding.sentence),)
    bare = replace(MATRIX, cells=(), controls=(), claims=(claim,), notes=())
    told = write(bare)
    assert told.count(finding.sentence) == 1


def test_the_table_has_a_row_for_each_question_and_a_column_for_each_place() -> None:
    cells = (cell("inside", OutcomeKind.ALLOWED), cell("internet", OutcomeKind.DENIED))
    found = reading.table(replace(MATRIX, cells=cells))
    assert found.vantages == ("inside", "internet")
    ((key, row),) = found.rows.items()
    assert key == (reading.what(cells[0]), cells[0].bucket, cells[0].principal)
    assert dict(row) == {"inside": cells[0], "internet": cells[1]}
