"""YAML in which every scalar is text and every key and value knows its line and column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from pytest_s3vpce.faults import shown
from pytest_s3vpce.model import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_s3vpce.errors import FileError

# BaseLoader resolves nothing: `no` stays `no`, 012345678901 keeps its zero.
# https://pyyaml.org/wiki/PyYAMLDocumentation
_LOADER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_MAX_NODES: Final = 100_000
"""More than any file a person writes; aliases of aliases would grow without bound."""
_MAX_DEPTH: Final = 50
_MERGE: Final = "<<"
_PLAIN_TAGS: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_REFERENCE: Final = re.compile(r"\$\{[^}\s]*\}?")
_UNQUOTED: Final = {
    "\t": ("a tab stands where YAML wants spaces", "indent with spaces"),
    "@": ("a plain value can't begin with `@`", 'quote it: "@..."'),
    "`": ("a plain value can't begin with a backtick", 'quote it: "..."'),
    "%": ("a plain value can't begin with `%`", 'quote it: "%..."'),
}


@dataclass(frozen=True, slots=True)
class Located:
    """A node: text, a list or a mapping of nodes, and where it begins; `keys` says where a mapping's keys stand."""

    value: str | tuple[Located, ...] | Mapping[str, Located]
    place: Place
    keys: Mapping[str, Place] = field(default_factory=dict)

    @property
    def data(self) -> Any:
        """The plain value: text, lists and dicts."""
        if isinstance(self.value, str):
            return self.value
        if isinstance(self.value, tuple):
            return [node.data for node in self.value]
        return {key: node.data for key, node in self.value.items()}

    def child(self, step: str | int) -> Located | None:
        """The node under a key or index, None where there is none."""
        if isinstance(self.value, str):
            return None
        if isinstance(self.value, tuple):
            return self.value[step] if isinstance(step, int) and step < len(self.value) else None
        return self.value.get(str(step))

    def texts(self) -> Iterator[Located]:
        """Every scalar, in file order."""
        if isinstance(self.value, str):
            yield self
            return
        for node in self.value if isinstance(self.value, tuple) else self.value.values():
            yield from node.texts()


@dataclass(frozen=True, slots=True)
class Document:
    """A whole file, read."""

    path: Path
    root: Located

    @property
    def data(self) -> Any:
        return self.root.data

    def place(self, *steps: str | int) -> Place:
        """Where an item stands: a scalar itself, else its key; the nearest item above where it is not written."""
        node, found = self.root, Place(str(self.path))
        for step in steps:
            child = node.child(step)
            if child is None:
                break
            found = child.place if isinstance(child.value, str) else node.keys.get(str(step), child.place)
            node = child
        return found

    def key_place(self, *steps: str | int) -> Place:
        """Where the key of an item stands."""
        node = self.root
        for step in steps[:-1]:
            child = node.child(step)
            if child is None:
                return self.place(*steps)
            node = child
        return node.keys.get(str(steps[-1])) or self.place(*steps)


def within(value: Any, place: Place) -> Located:
    """Plain data that a program gives where a file could: numbers and booleans as text, everything at one place."""
    if isinstance(value, Mapping):
        return Located({str(key): within(row, place) for key, row in value.items() if row is not None}, place)
    if isinstance(value, (list, tuple, set, frozenset)):
        return Located(tuple(within(row, place) for row in value), place)
    if isinstance(value, bool):
        return Located("true" if value else "false", place)
    return Located(str(value), place)


def read(path: Path, *, error: type[FileError]) -> Document:
    """Reads a file whose top is a mapping; `error` is raised with the place and what would be right."""
    text = _text(path, error)
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as problem:
        raise _syntax(path, text, problem, error) from problem
    except yaml.YAMLError as problem:
        raise _unreadable(path, text, problem, error) from problem
    except RecursionError as problem:
        raise error("lists or mappings are nested too deeply", place=Place(str(path))) from problem
    if node is None:
        raise error("the file is empty", place=Place(str(path)), remedy="write its sections")
    root = _Tree(path, error).grow(node)
    if not isinstance(root.value, dict):
        raise error("the file is no mapping", place=root.place, remedy="begin with a section: `name:`")
    return Document(path, root)


def _text(path: Path, error: type[FileError]) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = problem.object[: problem.start].count(b"\n") + 1
        raise error("the file is not UTF-8", place=Place(str(path), line), remedy="save it as UTF-8") from problem
    except OSError as problem:
        raise error(f"the file can't be read: {problem.strerror}", place=Place(str(path))) from problem


def _syntax(path: Path, text: str, problem: yaml.MarkedYAMLError, error: type[FileError]) -> FileError:
    mark = problem.problem_mark
    assert mark is not None
    place = Place(str(path), mark.line + 1, mark.column + 1)
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    before, here = line[: mark.column], line[mark.column : mark.column + 1]
    if here == "{" and before.endswith("$"):
        found = _REFERENCE.match(line, mark.column - 1)
        value = found[0] if found else "${"
        place = Place(str(path), mark.line + 1, mark.column)
        return error(f"`{value}` is not quoted", place=place, remedy=f'quote it: "{value}"')
    if here in _UNQUOTED and "start any token" in (problem.problem or ""):
        what, remedy = _UNQUOTED[here]
        return error(what, place=place, remedy=remedy)
    begun = problem.context_mark
    since = f", begun on line {begun.line + 1}" if begun and begun.line != mark.line else ""
    parts = (problem.context, problem.problem)
    return error(f"not valid YAML: {': '.join(part for part in parts if part)}{since}", place=place)


def _unreadable(path: Path, text: str, problem: yaml.YAMLError, error: type[FileError]) -> FileError:
    position = getattr(problem, "position", 0)
    before = text[:position]
    place = Place(str(path), before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1)
    return error("a control character stands here", place=place, remedy="remove it")


class _Tree:
    """Turns composed nodes into located ones; aliases are followed, `<<` merges."""

    def __init__(self, path: Path, error: type[FileError]) -> None:
        self._path = str(path)
        self._error = error
        self._count = 0
        self._above: list[yaml.Node] = []

    def grow(self, node: yaml.Node) -> Located:
        place = self._place(node)
        self._count += 1
        if self._count > _MAX_NODES:
            raise self._error(f"the file has more than {_MAX_NODES} values", place=place, remedy="use fewer aliases")
        if len(self._above) > _MAX_DEPTH:
            raise self._error("lists or mappings are nested too deeply", place=place)
        if node in self._above:
            raise self._error("an alias stands inside of what it names", place=place, remedy="write the value out")
        if node.tag not in _PLAIN_TAGS:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            raise self._error(
                f"tag `{tag}` has no meaning here", place=place, remedy="leave it out: every value is text"
            )
        if isinstance(node, yaml.ScalarNode):
            return Located(str(node.value), place)
        self._above.append(node)
        grown = self._list(node, place) if isinstance(node, yaml.SequenceNode) else self._mapping(node, place)
        self._above.pop()
        return grown

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._path, node.start_mark.line + 1, node.start_mark.column + 1)

    def _list(self, node: yaml.SequenceNode, place: Place) -> Located:
        return Located(tuple(self.grow(item) for item in node.value), place)

    def _mapping(self, node: yaml.Node, place: Place) -> Located:
        values: dict[str, Located] = {}
        keys: dict[str, Place] = {}
        merged: list[Located] = []
        for key, value in node.value:
            at = self._place(key)
            if not isinstance(key, yaml.ScalarNode):
                raise self._error("a list or mapping can't be a key", place=at, remedy="use text")
            if key.value == _MERGE:
                merged += self._merged(value, at)
                continue
            if key.value in keys:
                first = keys[key.value].line
                raise self._error(
                    f"{shown(key.value)} is given twice, first on line {first}", place=at, remedy="keep one"
                )
            keys[key.value] = at
            values[key.value] = self.grow(value)
        for other in merged:
            assert isinstance(other.value, dict)
            for name in other.value:
                if name not in values:
                    values[name], keys[name] = other.value[name], other.keys[name]
        return Located(values, place, keys)

    def _merged(self, node: yaml.Node, at: Place) -> tuple[Located, ...]:
        grown = self.grow(node)
        rows = grown.value if isinstance(grown.value, tuple) else (grown,)
        if not all(isinstance(row.value, dict) for row in rows):
            raise self._error("`<<` merges mappings only", place=at, remedy="give the alias of a mapping")
        return rows
