"""The matrix: written and read back, versioned, merged."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.matrix import FORMAT, Matrix
from tests.unit.matrices import MATRIX


def test_what_is_written_is_read_back() -> None:
    assert Matrix.from_json(MATRIX.to_json()) == MATRIX
    assert json.loads(MATRIX.to_json())["format"] == FORMAT


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("nonsense", "the report is not JSON"),
        ("[" * 100_000, "the report is not JSON"),
        ("[]", "the report's format is `None`; this version reads s3vpce-report/1"),
        (
            '{"format": "s3vpce-report/2"}',
            "the report's format is `s3vpce-report/2`; this version reads s3vpce-report/1",
        ),
        ('{"format": "s3vpce-report/1"}', "the report does not hold what s3vpce-report/1 holds: mode: "),
    ],
)
def test_what_is_no_report_is_one_clear_error(text: str, what: str) -> None:
    with pytest.raises(RunError) as caught:
        Matrix.from_json(text)
    assert str(caught.value).startswith(what)


def test_merging_keeps_the_first_of_each_and_the_paths_that_were_read() -> None:
    unread = replace(
        MATRIX,
        cells=MATRIX.cells[:1],
        claims=(),
        vantages=tuple(replace(row, path=None) for row in MATRIX.vantages),
        started=0.5,
        notes=(*MATRIX.notes, "more"),
    )
    merged = unread.merged(MATRIX)
    assert [row.id for row in merged.cells] == [row.id for row in MATRIX.cells]
    assert merged.claims == MATRIX.claims
    assert merged.vantages == MATRIX.vantages
    assert merged.started == 0.5
    assert merged.notes == (*MATRIX.notes, "more")
    assert MATRIX.merged(unread).vantages == MATRIX.vantages


def test_calls_of_all_processes_are_kept() -> None:
    again = MATRIX.merged(MATRIX)
    assert MATRIX.calls
    assert again.calls == (*MATRIX.calls, *MATRIX.calls)
