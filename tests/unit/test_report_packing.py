"""Packed values come back as they were, and stand in a page without acting."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_s3vpce.report.packing import Packed, in_page
from tests.unit.manycells import large


def unpacked(text: str) -> list[Any]:
    """What the page's script does."""
    data = json.loads(text)

    def of(value: Any) -> Any:
        if isinstance(value, list):
            names, values = data["shapes"][value[0]], [of(part) for part in value[1:]]
            if not names:
                return values
            if names[0].endswith(":"):
                return [[name[:-1], part] for name, part in zip(names, values, strict=True)]
            return dict(zip(names, values, strict=True))
        if isinstance(value, int) and not isinstance(value, bool):
            found = data["table"][value]
            return of(found) if isinstance(found, list) else found
        return value

    return [of(row) for row in data["rows"]]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [{"a": 1, "b": 2.5, "c": 2.0, "d": None, "e": True, "f": "often", "g": ["often", "once"], "h": []}],
        [{"pairs": [["k", "v"], ["k", "w"]]}, {"pairs": [["k", "x"]]}, {"deep": {"er": [{"a": [1, [2, [3]]]}]}}],
        [{"text": "</script><!--&\u2028\x00"}],
    ],
)
def test_what_was_packed_comes_back(values: list[Any]) -> None:
    assert unpacked(Packed(values).as_json()) == values


def test_a_large_matrix_comes_back_from_a_quarter_of_the_room() -> None:
    rows = large(buckets=2, vantages=10).plain()["cells"]
    text = Packed(rows).as_json()
    assert unpacked(text) == rows
    assert len(text) < len(json.dumps(rows)) / 4


def test_nothing_packed_ends_the_script_it_stands_in() -> None:
    text = Packed([{"</script>": "</script><!--<script>&amp;"}]).as_json()
    assert not set("<>&") & set(text)
    assert json.loads(in_page('{"a": "<&>"}')) == {"a": "<&>"}
