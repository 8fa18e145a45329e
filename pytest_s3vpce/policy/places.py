"""JSON text of a policy, read once: its data, and the line on which each value starts."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.escaping import escaped
from pytest_s3vpce.model import Place

if TYPE_CHECKING:
    from collections.abc import Callable

MAXIMUM_DEPTH: Final = 100
"""Deeper than any policy; the JSON parser and whoever walks through the data would recurse as deep."""
_MAXIMUM_DIGITS: Final = 1000
_BYTE_ORDER_MARK: Final = "\ufeff"
_STRING: Final = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_BRACKET: Final = re.compile(rf"{_STRING}|[\[{{]|[\]}}]", re.DOTALL)
_TOKEN: Final = re.compile(
    rf'(?P<text>{_STRING})|(?P<open>[\[{{])|(?P<close>[\]}}])|(?P<plain>[^\s\[\]{{}}:,"]+)', re.DOTALL
)


class _Unfit(Exception):  # noqa: N818 - no error of this project: the parser's hooks know no place
    """What Python's parser takes, but no policy can mean."""


class RepeatedKeyError(PolicyError):
    """An object gives a key twice: parsers drop the first, so the policy is another than is written."""


class Located:
    """A JSON document. `data` is plain; `line` and `place` say where a value starts."""

    def __init__(self, text: str, *, source: str, data: Any) -> None:
        self.data = data
        self.source = source
        self._text = text

    def line(self, *path: str | int) -> int:
        """The line of the value under keys and indexes; of the nearest one above where there is no such value."""
        return self.place(*path).line

    def place(self, *path: str | int) -> Place:
        """As `line`, with source and column."""
        node = self._root
        for step in path:
            child = None if isinstance(node, int) else node.children.get(step)
            if child is None:
                break
            node = child
        return self._lines.place(node if isinstance(node, int) else node.offset)

    @cached_property
    def _lines(self) -> _Lines:
        return _Lines(self._text, source=self.source)

    @cached_property
    def _root(self) -> _Node | int:
        # Only who asks for a line pays for the tree.
        return _grow(self._text, lines=self._lines)


def load(text: str, *, source: str) -> Located:
    """Reads JSON strictly. PolicyError names the place: not JSON, a key that is given twice, nested too deeply.

    `source` is what the places begin with: a file's path, or a name.
    """
    text = text.removeprefix(_BYTE_ORDER_MARK)
    _not_too_deep(text, source)
    try:
        data = _data(text)
    except json.JSONDecodeError as error:
        what = f"a policy must be JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        raise PolicyError(what, place=Place(source, error.lineno, error.colno)) from error
    except _Unfit:
        # Growing the tree meets the same fault, and knows its place.
        data = _grow(text, lines=_Lines(text, source=source))
    return Located(text, source=source, data=data)


def _data(text: str) -> Any:
    return json.loads(
        text,
        parse_constant=_no_constant,
        parse_int=_short(int),
        parse_float=_short(float),
        object_pairs_hook=_unique,
    )


def _no_constant(text: str) -> None:
    raise _Unfit(text)


def _short(number: Callable[[str], Any]) -> Callable[[str], Any]:
    """Python refuses to read very long numbers, and takes long for long ones."""

    def read(text: str) -> Any:
        if len(text) > _MAXIMUM_DIGITS:
            raise _Unfit(text)
        return number(text)

    return read


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Unfit
    return found


def _not_too_deep(text: str, source: str) -> None:
    if text.count("[") + text.count("{") <= MAXIMUM_DEPTH:
        return
    depth = 0
    for match in _BRACKET.finditer(text):
        sign = match[0]
        if sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        if depth > MAXIMUM_DEPTH:
            place = _Lines(text, source=source).place(match.start())
            raise PolicyError(f"lists or objects are nested more than {MAXIMUM_DEPTH} deep", place=place)


# --- where things stand ----------------------------------------------------------------------------------------------


class _Lines:
    """From offsets to places."""

    def __init__(self, text: str, *, source: str) -> None:
        self._source = source
        self._ends = [match.start() for match in re.finditer("\n", text)]

    def place(self, offset: int) -> Place:
        line = bisect_left(self._ends, offset)
        begin = self._ends[line - 1] + 1 if line else 0
        return Place(self._source, line + 1, offset - begin + 1)


class _Node:
    """A list or an object: its offset and its values, of which plain ones are their offsets alone.

    A string in an object is a key while `key` is None.
    """

    __slots__ = ("children", "key", "keys", "offset")

    def __init__(self, offset: int, *, keys: dict[str, int] | None = None) -> None:
        self.offset = offset
        self.children: dict[str | int, _Node | int] = {}
        self.keys = keys
        self.key: str | None = None

    def add(self, value: _Node | int) -> None:
        if self.keys is None:
            self.children[len(self.children)] = value
        else:
            assert self.key is not None
            self.children[self.key] = value
            self.key = None


def _grow(text: str, *, lines: _Lines) -> _Node | int:
    """The tree of a text that `json.loads` has accepted."""
    above = top = _Node(0)
    stack = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "open":
            node = _Node(match.start(), keys={} if match[0] == "{" else None)
            above.add(node)
            stack.append(above)
            above = node
        elif kind == "close":
            above = stack.pop()
        elif kind == "text" and above.keys is not None and above.key is None:
            _name(above, match[0], match.start(), lines=lines)
        else:
            if kind == "plain":
                _no_number(match[0], match.start(), lines=lines)
            above.add(match.start())
    return top.children[0]


def _name(node: _Node, token: str, offset: int, *, lines: _Lines) -> None:
    """Notes the key of the value that follows; one that was there already is an error that names both."""
    assert node.keys is not None
    key = json.loads(token) if "\\" in token else token[1:-1]
    if key in node.keys:
        first = lines.place(node.keys[key])
        raise RepeatedKeyError(
            f"key `{escaped(key)}` is given twice, first on line {first.line}",
            place=lines.place(offset),
            remedy="keep one: JSON parsers drop the first without a word",
        )
    node.keys[key], node.key = offset, key


def _no_number(token: str, offset: int, *, lines: _Lines) -> None:
    if len(token) > _MAXIMUM_DIGITS:
        raise PolicyError(f"a number has more than {_MAXIMUM_DIGITS} digits", place=lines.place(offset))
    if "N" in token or "I" in token:
        raise PolicyError(f"a policy must be JSON: `{token}` is none", place=lines.place(offset))
