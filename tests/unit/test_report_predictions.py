"""What policies and network promised, beside what was measured, in every format; and the example as it was measured."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from pytest_s3vpce.matrix import Expected, Predicted
from pytest_s3vpce.model import Layer, OutcomeKind
from pytest_s3vpce.report import csv as csv_report
from pytest_s3vpce.report import html, markdown, reading
from pytest_s3vpce.report.json import read
from pytest_s3vpce.report.junit import RECORDS, suite_properties, tell
from pytest_s3vpce.report.picture import NARROW, WIDE, draw
from pytest_s3vpce.report.terminal import Colour, render
from tests.unit.matrices import MATRIX, cell

EXAMPLE: Final = read(Path(__file__).parent.parent / "data" / "report-2.json")
FORESEEN: Final = Predicted(
    expected=Expected.EXPLICIT_DENY, layer="resource", policy="bucket policy of reports", statement="OnlyInside"
)
SURPRISE: Final = replace(FORESEEN, surprise=True, explanation=("the deny of OnlyInside matches",), fix="read it again")


def predicted(outcome: OutcomeKind, found: Predicted, *, passed: bool = True, layer: Layer | None = None) -> str:
    matrix = replace(MATRIX, cells=(replace(cell("inside", outcome, passed=passed, layer=layer), predicted=found),))
    texts = (
        html.render(matrix),
        markdown.render(matrix),
        csv_report.render(matrix),
        render(matrix, colour=Colour.PLAIN, width=160),
    )
    return "\n".join(texts)


def test_a_surprise_is_marked_and_explained() -> None:
    text = predicted(OutcomeKind.ALLOWED, SURPRISE)
    assert "1 of 1 cells as expected, 1 of 3 claims proven, 1 refuted, 1 other than predicted" in text
    assert "predicted explicit deny</small>" in text
    assert "As expected, but other than predicted" in text
    assert "the deny of OnlyInside matches" in text
    assert "<b>to fix</b> read it again" in text
    assert "- ! `GetObject/reports/app:inside/https`: predicted **explicit deny**, got **allowed**" in text
    assert "surprise: GetObject/reports/app:inside/https: predicted explicit_deny, measured allowed" in text


def test_a_failure_carries_its_explanation() -> None:
    text = predicted(OutcomeKind.ALLOWED, SURPRISE, passed=False)
    assert "As expected, but other than predicted" not in text
    assert "<br>the deny of OnlyInside matches" in text
    told = replace(SURPRISE, surprise=False, explanation=("the deny matches", "fix: read it again"))
    page = html.render(
        replace(MATRIX, cells=(replace(cell("inside", OutcomeKind.ALLOWED, passed=False), predicted=told),))
    )
    assert page.partition("<script")[0].count("read it again") == 1
    assert "  \n  the deny of OnlyInside matches" in text


def test_what_was_foreseen_names_its_statement() -> None:
    text = predicted(OutcomeKind.DENIED, FORESEEN, layer=Layer.RESOURCE)
    assert "app: denied by bucket policy (OnlyInside)" in text
    assert "surprises only" in text
    rows = list(csv.DictReader(io.StringIO(csv_report.render(replace(MATRIX, cells=EXAMPLE.cells)))))
    assert {row["surprise"] for row in rows} == {"no"}
    assert "OwnPrincipalsOnlyThroughTheEndpoint" in {row["statement"] for row in rows}


def test_a_policy_that_s3_does_not_name_is_the_predicted_one() -> None:
    row = replace(cell("inside", OutcomeKind.DENIED), predicted=FORESEEN)
    assert reading.decided_by(row) == "OnlyInside of the bucket policy of reports, as predicted"
    implicit = replace(FORESEEN, expected=Expected.IMPLICIT_DENY)
    assert (
        reading.decided_by(replace(row, predicted=implicit)) == "no allow in the bucket policy of reports, as predicted"
    )
    named = replace(cell("inside", OutcomeKind.DENIED, layer=Layer.IDENTITY), predicted=implicit)
    assert reading.decided_by(named) == "identity policy"
    assert reading.decided_by(replace(row, predicted=None)) == "a policy not named"
    assert reading.decided_by(replace(row, predicted=replace(FORESEEN, surprise=True))) == "a policy not named"


def test_the_examples_picture_says_which_path_is_closed_by_what() -> None:
    for geometry in (WIDE, NARROW):
        picture = draw(EXAMPLE, geometry)
        told = " ".join(picture.sentences)
        assert "From app-subnet through gateway endpoint vpce-" in told
        assert "From nat-subnet through no endpoint a NAT gateway and the internet" in told
        assert "app: denied by bucket policy (OwnPrincipalsOnlyThroughTheEndpoint)" in told
        assert picture.left_out == 0
        assert {box.lines[0] for box in picture.boxes if box.kind == "bucket"} == {"reports"}
        assert len(picture.frames) == 2
        for lane in picture.lanes:
            assert 0 < lane.sign_y < picture.height
            assert 0 < lane.sign_x < geometry.width
        assert all(box.y > 0 and box.y + box.height < picture.height for box in picture.boxes)


def test_many_vantage_points_and_lanes_are_drawn_in_little() -> None:
    names = [f"place-{number}" for number in range(35)]
    many = replace(
        MATRIX,
        cells=tuple(
            replace(cell(name, outcome), bucket=bucket)
            for name in names
            for bucket in ("one", "two")
            for outcome in (OutcomeKind.ALLOWED, OutcomeKind.DENIED)
        ),
    )
    picture = draw(many, WIDE)
    assert picture.left_out == 5
    assert [box.lines for box in picture.boxes if box.kind == "bucket"] == [("2 buckets",)]
    assert "5 vantage points are not drawn" in html.render(many)


def test_of_many_lanes_those_not_as_expected_stay_apart() -> None:
    cells = [
        replace(
            cell("inside", OutcomeKind.DENIED, principal=f"p{number}", passed=number != 3), bucket=f"bucket-{number}"
        )
        for number in range(50)
    ]
    picture = draw(replace(MATRIX, cells=tuple(cells)), WIDE)
    assert [lane.label for lane in picture.lanes] == [
        "! bucket-3, p3: denied by a policy not named",
        "50 buckets, denied by a policy not named",
    ]


def test_junit_says_of_the_suite() -> None:
    assert suite_properties(None) == []
    found = dict(suite_properties(EXAMPLE))
    assert (found["s3vpce.cells"], found["s3vpce.as_expected"], found["s3vpce.proven"]) == ("36", "36", "3")


class Writer:
    """As pytest's plugin for JUnit files takes properties."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}

    def add_global_property(self, name: str, value: str) -> None:
        self.told[name] = value


@pytest.mark.parametrize("more", [[], [RECORDS]])
def test_a_junit_file_says_that_records_are_not_in_it(more: list[tuple[str, str]]) -> None:
    writer, nothing = Writer(), Writer()
    tell([object(), writer], lambda: EXAMPLE, more=more)
    assert writer.told == dict([*suite_properties(EXAMPLE), *more])
    tell([nothing], lambda: None, more=more)
    assert nothing.told == {}
