"""Every text of a value is changed, wherever it stands, and nothing else is made anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.rewriting import rewritten

if TYPE_CHECKING:
    from collections.abc import Callable


class Sign(StrEnum):
    A = "a"


class Own(str):
    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Row:
    name: str = "b"
    other: object = None


def changed(value: object) -> object:
    return rewritten(value, lambda _: lambda text: text.replace("a", "A"))


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ("a", "A"),
        (Own("a"), "A"),
        (("a", "b"), ("A", "b")),
        ([("b", "a"), ("b", "a")], [("b", "A"), ("b", "A")]),
        (("a",), ("A",)),
        ((("a", 1), ("a", "b", "a")), (("A", 1), ("A", "b", "A"))),
        ({"a": ["a", 1]}, {"A": ["A", 1]}),
        (Row("a"), Row("A")),
        (Row(other=(Row("a"), Row())), Row(other=(Row("A"), Row()))),
        (Row(other={"b": Row(other=[None, "a"])}), Row(other={"b": Row(other=[None, "A"])})),
        (Row("a", Sign.A), Row("A", Sign.A)),
    ],
)
def test_texts_are_changed_wherever_they_stand(value: object, after: object) -> None:
    assert changed(value) == after
    assert type(changed(value)) is type(after)


@pytest.mark.parametrize(
    "value",
    [
        *("b", Own("b"), 1, None, True, 1.5, b"a", Sign.A, (), [], Row(), Row(other=Sign.A)),
        (("b", "b"), ["b"], Row(other=(Row(), ("b", 1)))),
        [("b", "cc"), ("b", "c" * len("cc"))],
    ],
)
def test_what_does_not_change_is_the_same_object(value: object) -> None:
    assert changed(value) is value


def test_rows_that_stay_are_shared_with_what_changed() -> None:
    stays = Row(other=("b", "b"))
    after = rewritten((Row("a"), stays), lambda _: lambda text: text.replace("a", "A"))
    assert after[1] is stays


def test_a_field_has_what_is_done_to_it() -> None:
    def change(field: str) -> Callable[[str], str]:
        return str.upper if field == "Row.name" else str.lower

    value = (Row("a", "B"), Row("b", ("X", "Y")), "Q")
    assert rewritten(value, change) == (Row("A", "b"), Row("B", ("x", "y")), "q")
    assert value[0] == replace(Row(), name="a", other="B")
