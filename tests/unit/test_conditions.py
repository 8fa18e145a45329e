"""Condition operators: their table, the names they go by, values that can't be read, the clause that explains."""

from __future__ import annotations

import pytest

from pytest_s3vpce.policy.conditions import OPERATORS, compile_condition, parse_operator


def _holds(written: str, wanted: list[str], *actual: str) -> bool:
    condition = compile_condition(written, "k:K", tuple(wanted), variables=True)
    return condition.holds({"k:k": actual} if actual else {})


def test_the_table_is_the_documented_one() -> None:
    comparisons = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
    assert set(OPERATORS) == {
        "StringEquals",
        "StringNotEquals",
        "StringEqualsIgnoreCase",
        "StringNotEqualsIgnoreCase",
        "StringLike",
        "StringNotLike",
        *(f"Numeric{name}" for name in comparisons),
        *(f"Date{name}" for name in comparisons),
        "Bool",
        "BinaryEquals",
        "IpAddress",
        "NotIpAddress",
        "ArnEquals",
        "ArnNotEquals",
        "ArnLike",
        "ArnNotLike",
    }


@pytest.mark.parametrize(
    ("written", "parsed"),
    [
        ("StringEquals", ("", "StringEquals", False)),
        ("stringEQUALSifEXISTS", ("", "StringEquals", True)),
        ("ForAllValues:StringLike", ("forallvalues", "StringLike", False)),
        ("ForAnyValue:ArnNotLikeIfExists", ("foranyvalue", "ArnNotLike", True)),
        ("Null", ("", "Null", False)),
        ("NullIfExists", None),
        ("StringEqual", None),
        ("ForSomeValues:StringEquals", None),
        ("ForAllValues:ForAnyValue:StringEquals", None),
        ("ForAllValues:", None),
        ("IfExists", None),
        ("", None),
    ],
)
def test_operator_names(written: str, parsed: tuple[str, str, bool] | None) -> None:
    assert parse_operator(written) == parsed


@pytest.mark.parametrize("name", ["NumericEquals", "NumericNotEquals", "DateLessThan", "DateNotEquals"])
def test_what_cannot_be_read_never_holds(name: str) -> None:
    good = "5" if name.startswith("Numeric") else "2026-01-01"
    assert not _holds(name, [good], "?")
    assert not _holds(name, ["?"], good)
    assert not _holds(name, ["NaN"], good)
    assert not _holds(f"ForAllValues:{name}", [good], good, "?")


@pytest.mark.parametrize("text", ["9999-99-99", "0000", "2026-01-01T00:00:00+99:00", "9" * 400, "-", "٢٠٢٦", "2026-13"])
def test_odd_dates_raise_nothing(text: str) -> None:
    assert not _holds("DateEquals", [text], "2026-01-01")
    assert not _holds("DateEquals", ["2026-01-01"], text)


def test_several_values_without_a_set_operator() -> None:
    assert _holds("StringEquals", ["a"], "a", "b")
    assert not _holds("StringNotEquals", ["a"], "a", "b")
    assert _holds("StringNotEquals", ["a"], "c", "b")


def test_a_star_in_a_value_is_text_without_case_too() -> None:
    condition = compile_condition("StringEqualsIgnoreCase", "k:k", ("A${v:v}",), variables=True)
    assert condition.holds({"k:k": ("a*",), "v:v": ("*",)})
    assert not condition.holds({"k:k": ("ab",), "v:v": ("*",)})


def test_bytes_are_strict_base64() -> None:
    assert _holds("BinaryEquals", ["aGk="], "aGk=")
    assert not _holds("BinaryEquals", ["aGk="], "a!Gk=")
    assert not _holds("BinaryEquals", ["a!Gk="], "aGk=")


def test_no_wanted_values() -> None:
    assert not _holds("StringEquals", [], "a")
    assert _holds("StringNotEquals", [], "a")
    assert not _holds("Null", [], "a")


def test_a_lone_star_is_every_arn_but_no_other_text() -> None:
    assert _holds("ArnLike", ["*"], "arn:aws:iam::1:role/x")
    assert not _holds("ArnLike", ["*"], "x")
    assert not _holds("ArnLike", ["arn:aws:*"], "arn:aws:iam::1:role/x")


@pytest.mark.parametrize(
    ("wanted", "tag", "holds"),
    [
        ("${v:v}", "arn:aws:iam::1:role/x", True),
        ("${v:v}", "arn:aws:iam::1:role/y", False),
        ("${v:v}", "arn:aws:iam::*:role/*", True),
        ("${v:v}", "*", True),
        ("${v:v}", "x", False),
        ("${v:v}:role/x", "arn:aws:iam::1", True),
        ("arn:aws:iam::${v:v}:role/x", "1", True),
        ("arn:aws:iam::${v:v}:role/x", "1:role/x:", False),
    ],
)
def test_a_variable_holds_a_part_of_an_arn_or_several(wanted: str, tag: str, holds: bool) -> None:
    for written, expected in (("ArnLike", holds), ("ArnEquals", holds), ("ArnNotLike", not holds)):
        condition = compile_condition(written, "k:k", (wanted,), variables=True)
        assert condition.holds({"k:k": ("arn:aws:iam::1:role/x",), "v:v": (tag,)}) is expected
    absent = compile_condition("ArnNotEquals", "k:k", (wanted,), variables=True)
    assert absent.holds({"k:k": ("arn:aws:iam::1:role/x",)})


@pytest.mark.parametrize("text", ["10", "10.0", "+10", "010", "1e1", "1.E+1", " 10 "])
def test_numbers(text: str) -> None:
    assert _holds("NumericEquals", [text], "10")
    assert _holds("NumericLessThan", ["10.5"], text)


@pytest.mark.parametrize("text", ["1_0", "٢٥", "", ".", "0x0a", "1e9999999999999999999", "Infinity", "10 0", "sNaN"])
def test_odd_numbers_are_none(text: str) -> None:
    assert not _holds("NumericEquals", [text], text)
    assert not _holds("NumericNotEquals", [text], "10")
    assert not _holds("NumericNotEquals", ["10"], text)


def test_keys_read() -> None:
    condition = compile_condition("StringLike", "S3:Prefix", ("${aws:UserName}/*", "${*}"), variables=True)
    assert condition.keys == {"s3:prefix", "aws:username"}
    assert compile_condition("StringLike", "A:b", ("${c:d}",), variables=False).keys == {"a:b"}


@pytest.mark.parametrize(
    ("written", "actual", "clause"),
    [
        ("StringNotEquals", (), "aws:SourceVpce is absent, so StringNotEquals [v1, v2] matches"),
        ("StringNotEquals", ("v3",), "aws:SourceVpce is [v3], so StringNotEquals [v1, v2] matches"),
        ("StringEquals", ("a", "b"), "aws:SourceVpce is [a, b], so StringEquals [v1, v2] does not match"),
    ],
)
def test_why(written: str, actual: tuple[str, ...], clause: str) -> None:
    condition = compile_condition(written, "aws:SourceVpce", ("v1", "v2"), variables=True)
    assert condition.why({"aws:sourcevpce": actual} if actual else {}) == clause


def _meets(written: str, wanted: str, *actual: str, **more: str) -> bool:
    values = {"k:k": actual, **{f"k:{name}": (value,) for name, value in more.items()}}
    return compile_condition(written, "k:k", (wanted,), variables=True).holds(values)


@pytest.mark.parametrize("written", ["StringEquals", "StringEqualsIgnoreCase"])
def test_a_star_beside_a_variable_is_a_star_to_those_who_know_no_wildcards(written: str) -> None:
    assert _meets(written, "${k:v}*", "ann*", v="ann")
    assert not _meets(written, "${k:v}*", "anna", v="ann")
    assert _meets(written, "a*", "a*")
    assert not _meets(written, "a*", "a")
    assert not _meets(written, "a*", "ab")


def test_a_number_of_five_digits_is_a_time_and_one_of_four_a_year() -> None:
    assert _meets("DateEquals", "10000", "1970-01-01T02:46:40Z")
    assert _meets("DateEquals", "1999", "1999-01-01T00:00:00Z")


def test_a_variable_fills_one_part_of_an_arn() -> None:
    wanted = "arn:aws:s3:${k:v}:1:x"
    assert _meets("ArnEquals", wanted, "arn:aws:s3:a:1:x", v="a")
    assert not _meets("ArnEquals", wanted, "arn:aws:s3:a:b:1:x", v="a:b")


@pytest.mark.parametrize("written", ["NumericEquals", "NumericNotEquals", "ForAnyValue:NumericNotEquals"])
def test_one_value_of_several_that_is_no_number_fails_the_condition(written: str) -> None:
    assert not _meets(written, "2", "1", "x")
    assert not _meets(written, "x", "1", "2")
    assert _meets("NumericNotEquals", "3", "1", "2")
