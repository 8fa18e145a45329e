"""Wildcards, ARNs and variables, on their own; that no pattern takes long."""

from __future__ import annotations

import re
import time
from fnmatch import translate
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_s3vpce.policy.patterns import (
    Literal,
    Variable,
    Wild,
    any_glob,
    arn_glob,
    arn_parts,
    glob,
    has_variables,
    keys_of,
    split_arn,
    substituted,
    tokens_of,
)

if TYPE_CHECKING:
    from pytest_s3vpce.policy.patterns import Token


def _matches(pattern: str, text: str) -> bool:
    return glob(tokens_of(pattern, variables=False, wildcards=True))(text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("**", "a\nb", True),
        ("?", "\n", True),
        ("a*", "ba", False),
        ("*a", "ab", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*?", "", False),
        ("*?", "x", True),
        ("?*?", "x", False),
        ("a?*b", "ab", False),
        ("a?*", "a", False),
        ("a?*", "ab", True),
        ("*a*", "a", True),
        ("*a*", "", False),
        ("*ab*", "aab", True),
        ("*a?b*", "aaxb", True),
        ("*a?b*", "aab", True),
        ("*a?b*", "ab", False),
        ("*.*.*", "a.b", False),
        ("a.c", "abc", False),
        ("[a]", "a", False),
        ("a*b?", "aXb", False),
        ("a*b*c*d", "abcbd", True),
        ("a*bc*c", "abc", False),
    ],
)
def test_glob(pattern: str, text: str, expected: bool) -> None:
    assert _matches(pattern, text) is expected


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
@settings(max_examples=300, deadline=None)
def test_glob_agrees_with_fnmatch(pattern: str, text: str) -> None:
    assert _matches(pattern, text) is (re.fullmatch(translate(pattern), text) is not None)


@pytest.mark.parametrize("pattern", ["*a" * 5_000 + "b", "a*" * 5_000 + "b", "*?" * 5_000 + "b", "?*a" * 3_000 + "b"])
def test_catastrophic_patterns_stay_fast(pattern: str) -> None:
    match = glob(tokens_of(pattern, variables=False, wildcards=True))
    start = time.process_time()
    assert not match("a" * 10_240)
    assert time.process_time() - start < 0.1


def test_tokens() -> None:
    text = "a${aws:UserName}*${*}${aws:PrincipalTag/cost center, 'no ne'}?"
    assert tokens_of(text, variables=True, wildcards=True) == (
        Literal("a"),
        Variable("aws:username", None),
        Wild("*"),
        Literal("*"),
        Variable("aws:principaltag/cost center", "no ne"),
        Wild("?"),
    )


@pytest.mark.parametrize("text", ["${", "${}", "${a", "${a,b}", "$a", "${ }", "${a,'b}"])
def test_what_is_no_variable_is_text(text: str) -> None:
    assert tokens_of(text, variables=True, wildcards=False) == (Literal(text),)


def test_variables_of_tokens() -> None:
    tokens = tokens_of("${b:B}-${a:a}", variables=True, wildcards=False)
    assert has_variables(tokens)
    assert keys_of(tokens) == {"a:a", "b:b"}
    assert substituted(tokens, {"b:b": ("x*",), "a:a": ("y",)}, wildcards=False) == (
        Literal("x*"),
        Literal("-"),
        Literal("y"),
    )
    assert substituted(tokens, {"b:b": ("x*",), "a:a": ("",)}, wildcards=True) == (
        Literal("x"),
        Wild("*"),
        Literal("-"),
    )
    assert substituted(tokens, {"b:b": ("x",)}, wildcards=False) is None
    assert substituted(tokens, {"b:b": ("x", "y"), "a:a": ("z",)}, wildcards=False) is None


def test_a_default_does_not_stand_for_several_values() -> None:
    tokens = tokens_of("${a:a, 'd'}", variables=True, wildcards=False)
    assert substituted(tokens, {}, wildcards=False) == (Literal("d"),)
    assert substituted(tokens, {"a:a": ("x", "y")}, wildcards=False) is None


def test_arn_parts() -> None:
    assert arn_parts("arn:aws:sns:r:1:a:b") == ["arn", "aws", "sns", "r", "1", "a:b"]
    assert arn_parts("arn:aws:s3::x") is None


def _split(text: str, *, variables: bool = True) -> tuple[tuple[Token, ...], ...] | None:
    return split_arn(tokens_of(text, variables=variables, wildcards=True))


def test_split_arn() -> None:
    assert _split("arn:a*s:s3:::b:c/?") == (
        (Literal("arn"),),
        (Literal("a"), Wild("*"), Literal("s")),
        (Literal("s3"),),
        (),
        (),
        (Literal("b:c/"), Wild("?")),
    )
    assert _split("arn:aws:s3::b") is None


def test_colons_in_variables_are_not_the_arns() -> None:
    assert _split("arn:aws:${a:b:c:d}") is None
    assert _split("arn:aws:${a:b:c:d}", variables=False) is not None


def test_a_nul_is_a_character_like_any_other() -> None:
    parts = _split("arn:aws:s3:::b/\0")
    assert parts is not None
    assert arn_glob(parts)("arn:aws:s3:::b/\0")
    assert not arn_glob(parts)("arn:aws:s3:::b/:")


def test_arn_pattern() -> None:
    parts = _split("arn:aws:iam::${aws:PrincipalTag/a:b}:role/*")
    assert parts is not None
    bound = tuple(substituted(part, {"aws:principaltag/a:b": ("12",)}, wildcards=False) or () for part in parts)
    assert arn_glob(bound)("arn:aws:iam::12:role/x:y/z")
    assert not arn_glob(bound)("arn:aws:iam::13:role/x")
    assert not arn_glob(bound)("no ARN")


@pytest.mark.parametrize("value", ["1:b", "1"])
def test_a_value_with_a_colon_fills_one_part(value: str) -> None:
    parts = _split("arn:aws:iam::${a:a}:c")
    assert parts is not None
    bound = tuple(substituted(part, {"a:a": (value,)}, wildcards=False) or () for part in parts)
    assert not arn_glob(bound)("arn:aws:iam::1:b:c")


def test_wildcards_before_the_last_part_want_an_arn() -> None:
    parts = _split("arn:aws:*:::*")
    assert parts is not None
    assert arn_glob(parts)("arn:aws:s3:::b:c")
    assert not arn_glob(parts)("arn:aws:s3")


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("*ab?c*", "-bbxc-", False),
        ("*ab?c*", "-abxc-", True),
        ("*a?*b*", "-axb-", True),
        ("*a?*b*", "-ab-", False),
        ("*a?*?b*", "-axyb-", True),
        ("*a?*?b*", "-axb-", False),
    ],
)
def test_pieces_with_single_wildcards_between_stars(pattern: str, text: str, *, matches: bool) -> None:
    tokens = tokens_of(pattern, variables=False, wildcards=True)
    assert glob(tokens)(text) is matches
    assert any_glob([(Literal("other"),), tokens])(text) is matches


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("ab?", ("abc",), ("ab", "abcd")),
        ("a?*", ("ab", "abc"), ("a", "b")),
        ("?a*", ("xa", "xab"), ("a", "ax")),
        ("a?b*", ("axb", "axbc"), ("ab", "axxb")),
        ("ab*", ("ab", "abc"), ("a", "xab")),
        ("ab", ("ab",), ("abc", "a")),
        ("*", ("", "x"), ()),
    ],
)
def test_any_of_several_is_one_of_them(pattern: str, yes: tuple[str, ...], no: tuple[str, ...]) -> None:
    tokens = tokens_of(pattern, variables=False, wildcards=True)
    for patterns in (
        [tokens],
        [tokens, (Literal("other"),)],
        [tokens, tokens_of("o*", variables=False, wildcards=True)],
    ):
        match = any_glob(patterns)
        assert [match(text) for text in yes] == [True] * len(yes)
        assert [match(text) for text in no] == [False] * len(no)
    assert not any_glob([])("")
