"""Texts of others made fit to be shown: a report that is read back may come from anywhere."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pytest_s3vpce.escaping import escaped

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


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
