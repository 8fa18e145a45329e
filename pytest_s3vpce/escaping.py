"""Text of others, shown to people."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_PLAIN = frozenset({type(None), bool, int, float})


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
    """Only what differs is made anew: a large matrix holds hundreds of thousands of texts, and most are harmless."""
    kind: Any = type(value)
    if kind is str or (isinstance(value, str) and not isinstance(value, Enum)):
        return escape(value)
    if kind in _PLAIN or isinstance(value, Enum):
        return value
    if isinstance(value, (tuple, list)):
        parts = [_walked(part, escape) for part in value]
        same = all(new is old for new, old in zip(parts, value, strict=True))
        return value if same else type(value)(parts)
    if isinstance(value, dict):
        return {escape(str(key)): _walked(part, escape) for key, part in value.items()}
    before = {name: getattr(value, name) for name in field_names(kind)}
    after = {name: new for name, old in before.items() if (new := _walked(old, escape)) is not old}
    return replace(value, **after) if after else value


@cache
def field_names(kind: type) -> tuple[str, ...]:
    """The fields of a dataclass; none of anything else."""
    return tuple(row.name for row in fields(kind)) if is_dataclass(kind) else ()
