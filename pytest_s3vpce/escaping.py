"""Text of others, shown to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pytest_s3vpce.rewriting import rewritten

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


def escaped(text: str) -> str:
    """The text with control characters escaped: what comes from the network, or a file, must not steer a terminal."""
    if text.isprintable():  # most are, and a large matrix has a hundred thousand
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def harmless(value: _T, *, escape: Callable[[str], str] = escaped) -> _T:
    """The value with every text in it escaped."""
    return rewritten(value, lambda _: escape)
