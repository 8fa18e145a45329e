"""Every text in a value, rewritten; what holds none that changes stays the same object."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_TEXTLESS: Final = (type(None), bool, int, float)


def rewritten(value: _T, change: Callable[[str], Callable[[str], str]]) -> _T:
    """The value with the texts changed in all its dataclasses, tuples, lists and dicts.

    `change` gives what is done to the texts of a field, by its name: `Class.field`, and "" outside of any.
    """
    walk = _Walk(change)
    return cast("_T", walk.of(value, walk.texts("")))


class _Texts(dict[Any, Any]):
    """What became of each text, and of each row of texts: a large matrix holds a hundred thousand, and few differ."""

    def __init__(self, change: Callable[[str], str]) -> None:
        self._change = change

    def __missing__(self, text: Any) -> Any:
        self[text] = changed = self._change(text) if type(text) is str else tuple(self[part] for part in text)
        return changed


class _Walk:
    """Through one value. What is to be done is looked up by a part's type."""

    def __init__(self, change: Callable[[str], Callable[[str], str]]) -> None:
        self._change = change
        self._texts: dict[Callable[[str], str], _Texts] = {}
        self._textless: set[type] = set(_TEXTLESS)
        self._fields: dict[type, tuple[tuple[str, _Texts], ...]] = {}

    def texts(self, field: str) -> _Texts:
        change = self._change(field)
        return self._texts.setdefault(change, _Texts(change))

    def of(self, value: Any, texts: _Texts) -> Any:
        kind: Any = type(value)
        if kind in self._textless:
            return value
        if kind in self._fields:
            return self._dataclass(value, self._fields[kind])
        if isinstance(value, str) and not isinstance(value, Enum):
            changed = texts[str(value)]
            return value if changed == value else changed
        if kind is tuple or kind is list:
            return self._listed(value, texts, kind)
        if kind is dict:
            return {self.of(key, texts): self.of(part, texts) for key, part in value.items()}
        if not is_dataclass(value):
            self._textless.add(kind)
            return value
        self._fields[kind] = tuple((row.name, self.texts(f"{kind.__name__}.{row.name}")) for row in fields(value))
        return self._dataclass(value, self._fields[kind])

    def _listed(self, rows: Any, texts: _Texts, kind: Any) -> Any:
        found = []
        same = True
        for old in rows:
            if type(old) is tuple and len(old) == 2 and type(old[0]) is str and type(old[1]) is str:
                new = texts[old]  # a header, of which most come again and again
                if new == old:
                    new = old
            else:
                new = self.of(old, texts)
            same = same and new is old
            found.append(new)
        return rows if same else kind(found)

    def _dataclass(self, row: Any, known: tuple[tuple[str, _Texts], ...]) -> Any:
        changed = {}
        for name, texts in known:
            old = getattr(row, name)
            kind = type(old)
            if kind is str:  # most are: a call less for each
                if (new := texts[old]) != old:
                    changed[name] = new
            elif kind not in self._textless and (new := self.of(old, texts)) is not old:
                changed[name] = new
        return replace(row, **changed) if changed else row
