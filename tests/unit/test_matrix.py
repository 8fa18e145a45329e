"""The matrix: written and read back, versioned, merged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.joining import joined, ordered
from pytest_s3vpce.matrix import FORMAT, AccountResult, BucketResult, Matrix, schema
from tests.unit.matrices import MATRIX

ROOT = Path(__file__).parent.parent.parent


def test_what_is_written_is_read_back() -> None:
    assert Matrix.from_json(MATRIX.to_json()) == MATRIX
    assert json.loads(MATRIX.to_json())["format"] == FORMAT


def test_a_report_of_the_version_before_is_read() -> None:
    """Its fields, as that version wrote them; what it did not know has defaults."""
    before = json.loads((Path(__file__).parent.parent / "data" / "report-1.json").read_text(encoding="utf-8"))
    found = Matrix.from_json(json.dumps(before))
    assert before["format"] == "s3vpce-report/1"
    assert [row.id for row in found.cells] == [row["id"] for row in before["cells"]]
    assert found.cells[0].received is not None
    assert found.cells[0].received.headers == ()
    assert json.loads(found.to_json())["format"] == FORMAT


def test_a_report_is_what_its_schema_says() -> None:
    made = schema()
    assert json.loads((ROOT / "docs" / "schema" / "report.schema.json").read_text(encoding="utf-8")) == made
    check = jsonschema.Draft202012Validator(made)
    check.validate(json.loads(MATRIX.to_json()))
    for broken in ({}, {**json.loads(MATRIX.to_json()), "mode": 1}, {**json.loads(MATRIX.to_json()), "format": "x"}):
        assert not check.is_valid(broken)


def test_a_matrix_as_plain_values_is_what_is_written() -> None:
    assert json.loads(MATRIX.to_json()) == {"format": FORMAT, **MATRIX.plain()}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("nonsense", "the report is not JSON"),
        ("[" * 100_000, "the report is not JSON"),
        ("[]", "the report names no format; name what `--s3vpce-report=FILE.json` wrote"),
        (
            '{"format": "s3vpce-report/9"}',
            "the report has the format `s3vpce-report/9`; this version reads s3vpce-report/1, s3vpce-report/2",
        ),
        ('{"format": "s3vpce-report/1"}', "the report does not hold what s3vpce-report/1 holds: mode: "),
    ],
)
def test_what_is_no_report_is_one_clear_error(text: str, what: str) -> None:
    with pytest.raises(RunError) as caught:
        Matrix.from_json(text)
    assert str(caught.value).startswith(what)


def test_joining_keeps_one_of_each_and_the_paths_that_were_read() -> None:
    unread = replace(
        MATRIX,
        cells=MATRIX.cells[:1],
        claims=(),
        vantages=tuple(replace(row, path=None) for row in MATRIX.vantages),
        started=0.5,
        notes=(*MATRIX.notes, "more"),
    )
    merged = joined([unread, MATRIX])
    assert [row.id for row in merged.cells] == [row.id for row in MATRIX.cells]
    assert merged.claims == MATRIX.claims
    assert merged.vantages == MATRIX.vantages
    assert merged.started == 0.5
    assert merged.notes == (*MATRIX.notes, "more")
    assert joined([MATRIX, unread]).vantages == MATRIX.vantages


def test_a_cell_of_one_part_is_no_control_of_another() -> None:
    both = joined([replace(MATRIX, controls=MATRIX.cells[:2]), replace(MATRIX, cells=MATRIX.cells[1:])])
    assert both.controls == ()
    few = replace(MATRIX, cells=(), claims=(), controls=MATRIX.cells[5:6])
    assert joined([few, few]).controls == MATRIX.cells[5:6]
    assert ordered(few).controls == few.controls


def test_calls_of_all_processes_are_kept() -> None:
    again = joined([MATRIX, MATRIX])
    assert MATRIX.calls
    assert again.calls == (*MATRIX.calls, *MATRIX.calls)


def test_what_two_parts_hold_counts_as_the_worse() -> None:
    cell, claim = MATRIX.cells[0], MATRIX.claims[0]
    good = replace(MATRIX, cells=(replace(cell, passed=True),), claims=(replace(claim, passed=True),))
    bad = replace(good, run_id="other", cells=(replace(cell, passed=False),), claims=(replace(claim, passed=False),))
    control = replace(good, cells=(replace(cell, passed=None, expect=None),), claims=())
    for parts in ((good, bad, control), (control, bad, good), (bad, good)):
        found = joined(parts)
        assert [found.cells[0].passed, found.claims[0].passed] == [False, False]
    assert [row.passed for row in joined([control, good]).cells] == [True]
    assert joined([good, bad]).run_id == f"{MATRIX.run_id}+other"


def test_a_vantage_point_that_failed_for_one_part_is_told() -> None:
    (first, *_) = MATRIX.vantages
    broken = replace(MATRIX, vantages=(replace(first, error="it is gone", path=None),))
    for parts in ([MATRIX, broken], [broken, MATRIX]):
        assert next(row.error for row in joined(parts).vantages if row.name == first.name) == "it is gone"


@pytest.mark.parametrize("change", [{"mode": "live"}, {"version": "0.0.1"}])
def test_reports_of_different_kinds_are_not_parts_of_one(change: dict[str, str]) -> None:
    with pytest.raises(RunError, match="are not parts of one"):
        joined([MATRIX, replace(MATRIX, **change)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"whole": "b"}, "the reports are parts of different wholes"),
        (
            {"accounts": (AccountResult(name="main", id="444455556666", region="eu-west-1"),)},
            "account `main` is another",
        ),
        (
            {"buckets": (BucketResult(label="reports", name="production", account="main"),)},
            "bucket `reports` is another",
        ),
    ],
    ids=["other tests or files", "another account", "another bucket"],
)
def test_what_was_parted_otherwise_is_not_joined(change: dict[str, Any], said: str) -> None:
    """A test may be in none of the parts then, or what one measured is not what the other did."""
    part = replace(
        MATRIX,
        mode="live",
        whole="a",
        accounts=(AccountResult(name="main", id="111122223333", region="eu-west-1"),),
        buckets=(BucketResult(label="reports", name="staging", account="main"),),
    )
    assert joined([part, part]).whole == joined([replace(part, whole=""), part]).whole == "a"
    with pytest.raises(RunError, match=said):
        joined([part, replace(part, **change)])


def test_each_lab_has_buckets_of_its_own() -> None:
    """By a module that calls them otherwise each time, as Terraform does with `bucket_prefix`."""
    parts = [replace(MATRIX, buckets=(BucketResult(label="reports", name=f"r-{at}", account="main"),)) for at in "ab"]
    assert [row.name for row in joined(parts).buckets] == ["r-a", "r-b"]
