"""The CSV report: every cell a line, and no formula among them."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.report import writer_of
from pytest_s3vpce.report.csv import COLUMNS, render
from tests.unit.matrices import MATRIX

if TYPE_CHECKING:
    from pathlib import Path


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_cell_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    writer_of(str(path))(MATRIX, path)
    found = lines(path.read_bytes().decode())
    assert [row["id"] for row in found] == [cell.id for cell in MATRIX.cells]
    assert tuple(found[0]) == COLUMNS
    second = found[1]
    expected = {
        "operation": "GetObject",
        "vantage": "outside",
        "path": "none",
        "expected": "deny",
        "outcome": "denied",
        "passed": "yes",
        "controlled": "no",
        "layer": "resource",
        "url": "https://reports.example/key",
        "status": "403",
        "request_id": "REQ1",
        "seconds": "0.1",
        "declared": "/x/test_a.access.yaml:3:5",
        "mode": "lab",
    }
    assert {name: second[name] for name in expected} == expected
    assert found[5]["expected"] == found[5]["passed"] == ""


def test_what_was_not_sent_leaves_its_columns_empty() -> None:
    bare = replace(MATRIX, cells=(replace(MATRIX.cells[0], sent=None, received=None, place=None),))
    (row,) = lines(render(bare))
    assert row["url"] == row["status"] == row["declared"] == ""


@pytest.mark.parametrize("begin", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1"])
def test_nothing_begins_like_a_formula(begin: str) -> None:
    (row,) = lines(render(replace(MATRIX, cells=(replace(MATRIX.cells[0], hint=begin, bucket=begin),))))
    for value in row.values():
        assert not value.startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d"))
    assert row["bucket"].endswith(begin[-1])
