"""Text of others, shown to people."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


def escaped(text: str) -> str:
    """The text with control characters escaped: what comes from the network, or a file, must not steer a terminal."""
    if text.isprintable():  # most are, and a large matrix has a hundred thousand
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def in_xml(text: str) -> str:
    """The text as it stands in XML, as `xml.sax.saxutils.escape` writes it, which loads half of `urllib` first."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def harmless(value: _T, *, escape: Callable[[str], str] = escaped) -> _T:
    """The value with every text in it escaped."""
    return cast("_T", _walked(value, escape))


def _walked(value: Any, escape: Callable[[str], str]) -> Any:
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, (tuple, list)):
        return type(value)(_walked(part, escape) for part in value)
    if isinstance(value, dict):
        return {escape(str(key)): _walked(part, escape) for key, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{row.name: _walked(getattr(value, row.name), escape) for row in fields(value)})
    return value
