"""Many alike values in little room: what is the same is written once, and what a browser opens is unpacked one by one.

A packed value is a literal (a text, a number with a fraction, true, false, null), a reference (a whole number: a place
in `table`), or a row `[shape, value, ...]`: the shape's names go with the values; shape 0 is a list.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_LIST: Final = 0
_WORTH: Final = 4
"""Texts shorter than this are no longer than a reference."""


class Packed:
    """Values packed together; `rows` are theirs, in order."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.shapes: list[list[str]] = [[]]
        self.table: list[Any] = []
        self._shape_of: dict[tuple[str, ...], int] = {(): _LIST}
        self._place_of: dict[str, int] = {}
        self._often = _often(values)
        self.rows = [self._packed(value, whole=True) for value in values]

    def as_json(self) -> str:
        """As JSON that may stand in a page: nothing in it ends a script element or begins a comment."""
        text = json.dumps(
            {"shapes": self.shapes, "table": self.table, "rows": self.rows}, separators=(",", ":"), ensure_ascii=True
        )
        return in_page(text)

    def _packed(self, value: Any, *, whole: bool = False) -> Any:
        if isinstance(value, dict):
            return self._row(tuple(value), value.values(), whole=whole)
        if isinstance(value, list):
            if value and all(isinstance(part, list) and len(part) == 2 for part in value):
                return self._row(tuple(f"{name}:" for name, _ in value), (part for _, part in value), whole=whole)
            return self._row((), value, whole=whole)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._referred(value) if self._often[value] > 1 and len(value) >= _WORTH else value
        return value if isinstance(value, float) and not value.is_integer() else self._referred(value)

    def _row(self, shape: tuple[str, ...], values: Iterable[Any], *, whole: bool) -> Any:
        if shape not in self._shape_of:
            self._shape_of[shape] = len(self.shapes)
            self.shapes.append(list(shape))
        row = [self._shape_of[shape], *(self._packed(value) for value in values)]
        return row if whole else self._referred(row)

    def _referred(self, value: Any) -> int:
        known = json.dumps(value)
        if known not in self._place_of:
            self._place_of[known] = len(self.table)
            self.table.append(value)
        return self._place_of[known]


def in_page(text: str) -> str:
    """JSON that may stand in a page: `<`, `>` and `&` are written as JSON's escapes."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _often(values: Sequence[Any]) -> Counter[str]:
    return Counter(text for value in values for text in _texts(value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)
