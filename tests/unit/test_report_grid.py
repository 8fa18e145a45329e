"""The matrix takes the widest form that there is room for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_s3vpce.report.grid import BLOCKS, FOLDED, WHOLE, WIDE, Grid, mark
from tests.unit.manycells import large

SMALL = large(operations=2, buckets=2, principals=2, vantages=3)


def grid(width: int) -> Grid:
    return Grid(SMALL, width=width, tablefmt="rounded_outline", paint=lambda cell: f"✔ {mark(cell)}")


@pytest.mark.parametrize(
    ("width", "form"), [(120, WHOLE), (94, WHOLE), (93, BLOCKS), (83, BLOCKS), (82, FOLDED), (60, FOLDED)]
)
def test_the_form_follows_the_width(width: int, form: object) -> None:
    found = grid(width)
    assert found.form() is form
    for text in found.tables():
        assert max(map(len, text.splitlines())) <= width, text


def test_wide_is_one_table_with_buckets_and_paths() -> None:
    (text,) = grid(160).tables()
    lines = text.splitlines()
    assert lines[1].split("│")[1:4] == [" operation ", " bucket   ", " principal "]
    assert "no endpoint" in lines[2]
    assert lines[3].startswith("├")
    assert sum("bucket-1" in line for line in lines) == 2


def test_an_endpoints_id_is_not_broken_where_there_is_room() -> None:
    endpoint = "vpce-0123456789abcdef0"
    vantages = tuple(replace(row, path=endpoint) if row.path == "vpce-0" else row for row in SMALL.vantages)
    made = {
        width: Grid(replace(SMALL, vantages=vantages), width=width, tablefmt="outline", paint=mark)
        for width in (120, 102, 101, 94)
    }
    assert [found.form() for found in made.values()] == [WHOLE, WHOLE, WIDE, WIDE]
    for width, found in made.items():
        (text,) = found.tables()
        assert max(map(len, text.splitlines())) <= width
        assert (endpoint in text) is (width > 101)


def test_narrower_is_a_table_for_each_bucket() -> None:
    first, second = grid(90).tables()
    assert first.startswith("bucket bucket-0\n╭")
    assert second.startswith("bucket bucket-1\n╭")
    assert "no endpoint" in first


def test_folded_tells_the_paths_below() -> None:
    *tables, paths = grid(60).tables()
    assert " ".join(paths.split()) == "paths subnet-0: no endpoint; subnet-1: vpce-0; subnet-2: no endpoint"
    assert len(tables) == 2
    assert "vpce-0" not in tables[0]
    # Columns that do not fit side by side stand in tables below each other.
    assert tables[0].count("operation") == 2


def test_every_cell_stands_in_every_form() -> None:
    for width in (60, 80, 90, 160):
        text = "\n".join(grid(width).tables())
        assert text.count("✔") == len(SMALL.cells)


def test_a_bucket_without_cells_in_a_group_has_no_table_there() -> None:
    few = replace(SMALL, cells=tuple(c for c in SMALL.cells if c.bucket == "bucket-0" or c.vantage == "subnet-0"))
    made = Grid(few, width=60, tablefmt="outline", paint=mark)
    *tables, _ = made.tables()
    assert [text.count("operation") for text in tables] == [2, 1]
