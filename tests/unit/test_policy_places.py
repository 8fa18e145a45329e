"""JSON with places: every value has a line, every fault its place, nothing takes long."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.model import Place
from pytest_s3vpce.policy.places import MAXIMUM_DEPTH, load

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = """{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "One", "Action": ["s3:GetObject",
                              "s3:Put\\u004fbject"]},
    {
      "Sid": "Two, with a { and a \\" in it",
      "n": [1, -2.5e3, true, null, [], {}]
    }
  ]
}
"""


def test_every_value_knows_its_line() -> None:
    found = load(TEXT, source="b.json")
    assert found.data == json.loads(TEXT)
    assert found.line() == 1
    assert found.line("Version") == 2
    assert found.line("Statement") == 3
    assert found.line("Statement", 0) == 4
    assert found.line("Statement", 0, "Action", 1) == 5
    assert found.line("Statement", 1) == 6
    assert found.line("Statement", 1, "Sid") == 7
    assert [found.place("Statement", 1, "n", index).column for index in range(6)] == [13, 16, 24, 30, 36, 40]
    assert found.place("Statement", 0, "Action", 0) == Place("b.json", 4, 31)


def test_what_is_not_there_stands_where_the_nearest_above_does() -> None:
    found = load(TEXT, source="b.json")
    assert found.line("Statement", 0, "Effect") == 4
    assert found.line("Statement", 0, "Action", 7, "x") == 4
    assert found.line("Statement", "0") == 3
    assert found.line("Id") == 1
    assert load("\n\n 7", source="b.json").line("any", 3) == 3


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "1:1", "a policy must be JSON: expecting value"),
        ('{\n  "a": x\n}', "2:8", "a policy must be JSON: expecting value"),
        ('{"a": "x\ny"}', "1:9", "a policy must be JSON: invalid control character at"),
        ("{} {}", "1:4", "a policy must be JSON: extra data"),
        ('{"a":\n [1, NaN, 2', "2:6", "a policy must be JSON: `NaN` is none"),
        ("[-Infinity]", "1:2", "a policy must be JSON: `-Infinity` is none"),
        ("[\n" + "7" * 5000 + "]", "2:1", "a number has more than 1000 digits"),
        ("[1." + "7" * 5000 + "]", "1:2", "a number has more than 1000 digits"),
        ("[" * 20_000, "1:101", "lists or objects are nested more than 100 deep"),
        ('{"a":' * 4_000, "1:501", "lists or objects are nested more than 100 deep"),
        ('{"a": 1,\n "b": {\n "c": 1, "c": 2', "3:16", "a policy must be JSON: expecting"),
    ],
)
def test_faults_have_a_place(text: str, where: str, what: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(text, source="b.json")
    assert str(caught.value).startswith(f"b.json:{where}: {what}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"Statement": [\n {"Condition": {"StringEquals": {}},\n  "Condition": {"Bool": {}}}]}',
            "b.json:3:3: key `Condition` is given twice, first on line 2; keep one: JSON parsers drop the first",
        ),
        ('{"b": 1,\n"a": [2], "\\u0061": [2]} trailing', "b.json:2:11: key `a` is given twice, first on line 2"),
        ('{"\\n": 1,\n"\\n": 2}', "b.json:2:1: key `\\n` is given twice, first on line 1"),
    ],
)
def test_a_key_that_is_given_twice_is_an_error_that_names_both_lines(text: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(text, source="b.json")
    assert str(caught.value).startswith(message)


def test_the_same_key_in_two_objects_is_none() -> None:
    assert load('[{"a": 1}, {"a": {"a": 2}}]', source="").data == [{"a": 1}, {"a": {"a": 2}}]


def test_nesting_up_to_the_limit_is_read() -> None:
    text = "[" * MAXIMUM_DEPTH + "]" * MAXIMUM_DEPTH
    assert load(text + " ", source="").line(*[0] * 99) == 1
    many = json.dumps([[{"a": "[[[{{{"}] for _ in range(MAXIMUM_DEPTH)])
    assert load(many, source="").data == json.loads(many)


def test_a_byte_order_mark_is_no_fault() -> None:
    found = load('\ufeff{"a":\n 1}', source="b.json")
    assert found.data == {"a": 1}
    assert found.place("a") == Place("b.json", 2, 2)


@pytest.mark.parametrize(
    "text",
    [
        "[" + "1," * 10_000 + "1]",
        '["' + "\\\\" * 10_000 + '"]',
        '["' + "a" * 20_000,
        '["' + '\\"' * 10_000,
        "[" + "{}," * 6_600 + "{}]",
        "\n" * 20_000,
        "[" * 20_000,
        "9" * 20_000,
    ],
)
def test_no_text_of_20_kb_takes_long(text: str) -> None:
    def once() -> float:
        begin = time.process_time()
        with contextlib.suppress(PolicyError):
            load(text, source="").line("a")
        return time.process_time() - begin

    assert min(once() for _ in range(3)) < 0.15  # a few ms, but for coverage's tracing and other work


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=15,
)


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    yield path, value
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, row in rows:
        yield from paths_of(row, (*path, step))


@settings(max_examples=100, deadline=None)
@given(value=JSON, indent=st.sampled_from([None, 0, 3]), plain=st.booleans())
def test_where_a_value_is_said_to_stand_it_stands(value: Any, indent: int | None, plain: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=plain)
    lines = text.split("\n")
    found = load(text, source="x")
    assert found.data == value
    for path, row in paths_of(value):
        place = found.place(*path)
        written = json.dumps(row, indent=indent, ensure_ascii=plain).split("\n", maxsplit=1)[0]
        assert lines[place.line - 1][place.column - 1 :].startswith(written)
