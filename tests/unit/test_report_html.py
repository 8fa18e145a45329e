"""The HTML report: one file that needs nothing else, says everything, and in which nothing of others acts."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.matrix import Evidence, Status
from pytest_s3vpce.report import writer_of
from pytest_s3vpce.report.html import render
from tests.unit.manycells import large, with_texts
from tests.unit.matrices import MATRIX

if TYPE_CHECKING:
    from pathlib import Path

TRACED = 1 if sys.gettrace() is None and "coverage" not in sys.modules else 8
"""How much slower code is while its coverage is measured."""
ACTING = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'>{{7*7}}</style>--><b>&amp;\x00\u202e"


class Page(HTMLParser):
    """Elements with their attributes, and the text that is shown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.shown = ""
        self._hidden = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.shown += data


PAGE = Page(render(MATRIX))


def test_it_is_written_by_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    writer_of(str(path))(MATRIX, path)
    assert path.read_text(encoding="utf-8") == render(MATRIX)


@pytest.mark.parametrize(
    "text",
    [
        "3 of 7 cells as expected, 1 of 3 claims proven, 1 refuted, 1 uncontrolled",
        "embedded lab: measured against this project's AWS look-alike, not against AWS",
        "abcd1234",
        "✔ proven",
        "✘ refuted",
        "? inconclusive",
        "3 cells allowed",
        "an exemption",
        "negative: http was allowed",
        "path: path not read",
        "vpce-0123456789abcdef0",
        "want deny",
        "uncontrolled",
        "look at the bucket policy",
        "it CHANGED during the run",
        "HeadObject+v (http)",
        "app: denied by bucket policy",
    ],
)
def test_it_shows(text: str) -> None:
    assert text in PAGE.shown


def test_live_is_told_plainly() -> None:
    assert "live: measured against AWS" in Page(render(replace(MATRIX, mode="live"))).shown


def test_every_cell_stands_once_in_the_matrix() -> None:
    numbers = [row["data-n"] for name, row in PAGE.elements if name == "button" and "data-n" in row]
    assert sorted(int(number or "") for number in numbers) == list(range(len(MATRIX.cells)))


def test_findings_lead_to_the_requests_that_show_them() -> None:
    told = Evidence(
        kind="reach", name="r", status=Status.GOOD, sentence="it reaches", cell="GetObject/control:a/app:x/https"
    )
    control = replace(MATRIX.cells[5], id=told.cell, bucket="control:a", vantage="x")
    claim = replace(MATRIX.claims[0], evidence=(told, replace(told, name="s", sentence="other", cell="unknown")))
    page = render(replace(MATRIX, claims=(claim,), controls=(control,)))
    assert '<a href="#cell=GetObject/control%3Aa/app%3Ax/https">reach: it reaches</a>' in page
    assert "<li>reach: other</li>" in page
    assert '"control:a"' in page
    assert page.count("<button data-n=") == len(MATRIX.cells)


def test_where_only_claims_are_declared_what_they_sent_is_drawn() -> None:
    control = replace(MATRIX.cells[5], bucket="control:a")
    page = Page(render(replace(MATRIX, cells=(), controls=(*MATRIX.cells[1:2], control))))
    numbers = [row["data-n"] for name, row in page.elements if name == "button" and "data-n" in row]
    assert numbers == ["0"]
    assert "app: denied by bucket policy" in page.shown
    assert page.shown.count("control:a") == 0


def test_it_needs_and_reaches_nothing_else() -> None:
    text = render(MATRIX)
    for name, row in PAGE.elements:
        assert name not in ("link", "iframe", "object", "embed", "base", "img")
        assert "src" not in row
        assert not any(attribute.startswith("on") or attribute == "style" for attribute in row)
        assert name != "a" or (row["href"] or "").startswith("#")
    (policy,) = [row["content"] for name, row in PAGE.elements if row.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "@import" not in text
    assert "url(" not in text


def test_nothing_of_others_acts() -> None:
    page = Page(render(with_texts(MATRIX, ACTING)))
    assert {name for name, _ in page.elements} == {name for name, _ in PAGE.elements}
    assert page.elements.count(("script", {})) == 1
    assert "<script>alert(1)</script>" in page.shown
    assert not re.search("[\x00\u202e]", render(with_texts(MATRIX, ACTING)))
    assert "49" not in page.shown.replace("{{7*7}}", "")


def test_an_empty_matrix_is_a_page() -> None:
    empty = replace(MATRIX, cells=(), claims=(), vantages=(), notes=(), calls=())
    page = Page(render(empty))
    assert "✘ no cell and no claim was measured" in page.shown
    assert ("header", {"class": "fails"}) in page.elements
    assert "table" not in [name for name, _ in page.elements]


def test_five_thousand_cells_take_little_time_and_room() -> None:
    matrix = large()
    assert len(matrix.cells) == 5000
    render(MATRIX)
    started = time.process_time()
    text = render(matrix)
    assert time.process_time() - started < 2 * TRACED
    assert len(text.encode()) < 2 * 1024 * 1024
    started = time.process_time()
    matrix.to_json()
    assert time.process_time() - started < 0.5 * TRACED


def test_more_failures_than_are_told_are_counted() -> None:
    assert "50 more are marked in the matrix" in Page(render(large())).shown


def test_calls_are_listed_up_to_a_limit() -> None:
    many = replace(MATRIX, calls=MATRIX.calls * 250)
    assert "50 more are in the JSON report" in Page(render(many)).shown
