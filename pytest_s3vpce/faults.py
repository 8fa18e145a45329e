"""What a schema finds wrong with a user's file, turned into one error with place, bad value and accepted values."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_s3vpce.errors import FileError
    from pytest_s3vpce.model import Place
    from pytest_s3vpce.yamlplaces import Document

_SHOWN: Final = 80
"""Characters of a bad value that an error shows."""
_LISTED: Final = 20
"""Accepted values that an error lists where one of them was probably meant; all of them otherwise."""


class Fault(ValueError):  # noqa: N818 - read as a word where it is raised
    """A rule of a schema is broken by the item at `path`, counted from the item that was being looked at."""

    def __init__(self, what: str, *, path: Sequence[str | int] = (), remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.path = tuple(path)
        self.remedy = remedy


class KeyFault(Fault):
    """The same, where the key itself is wrong rather than its value."""


def accepted(names: Iterable[str], *, instead_of: str) -> str:
    """`accepted are ...`, what looks most like the bad value first."""
    known = list(dict.fromkeys(names))
    lower = {name.lower(): name for name in reversed(known)}
    close = [lower[found] for found in get_close_matches(instead_of.lower(), lower, n=3, cutoff=0.6)]
    ordered = [*close, *(name for name in known if name not in close)]
    if close and len(ordered) > _LISTED:
        return f"accepted are {', '.join(ordered[:_LISTED])} and {len(ordered) - _LISTED} more"
    return f"accepted are {', '.join(ordered)}" if ordered else "there are none"


def shown(value: object) -> str:
    """A bad value as an error shows it."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = " ".join(str(value).split())
    if not text:
        return "nothing"
    return f"`{text}`" if len(text) <= _SHOWN else f"`{text[:_SHOWN]}...`"


def translated(errors: Sequence[Mapping[str, Any]], document: Document, *, error: type[FileError]) -> FileError:
    """The first in the file of what pydantic found, as our error."""
    return min((_one(row, document, error) for row in errors), key=_position)


def _position(found: FileError) -> tuple[int, int]:
    assert found.place is not None
    return found.place.line, found.place.column


# pydantic's types of errors and the word for what it wanted.
# https://docs.pydantic.dev/latest/errors/validation_errors/
_WANTED: Final = {
    "string_type": "text",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
}


def _one(row: Mapping[str, Any], document: Document, error: type[FileError]) -> FileError:
    kind, given = row["type"], row["input"]
    steps: tuple[str | int, ...] = tuple(row["loc"])
    if steps[-1:] == ("[key]",):
        fault = row["ctx"]["error"]
        return error(fault.what, place=document.key_place(*steps[:-1]), remedy=fault.remedy)
    if kind == "value_error":
        return _ours(row["ctx"]["error"], steps, document, error)
    if kind == "missing":
        return error(f"`{steps[-1]}` is missing", place=document.place(*steps[:-1]), remedy="add it")
    if kind in _WANTED:
        return error(f"{_WANTED[kind]} is wanted here, not {shown(given)}", place=document.place(*steps))
    said = str(row["msg"])
    return error(f"{shown(given)}: {said[:1].lower()}{said[1:]}", place=document.place(*steps))


def _ours(fault: Fault, steps: Sequence[str | int], document: Document, error: type[FileError]) -> FileError:
    path = (*steps, *fault.path)
    place: Place = document.key_place(*path) if isinstance(fault, KeyFault) else document.place(*path)
    return error(" ".join(fault.what.split()), place=place, remedy=fault.remedy)
