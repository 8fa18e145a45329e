"""Frozen values as JSON that names its format, and back: what reports and snapshots are written as."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from pytest_s3vpce.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path

_T = TypeVar("_T")
_NOT_ASCII: Final = re.compile(r"[^\n -~]")
"""What might steer a terminal that shows the file."""


@dataclass(frozen=True)
class Stored(Generic[_T]):
    """A kind of file: what it holds, how people call it, its format's name with those of older versions, its writer."""

    kind: type[_T]
    word: str
    format: str
    title: str
    writer: str
    """What writes such files, as people write it."""
    older: tuple[str, ...] = field(default=())
    """What an older version wrote lacks fields that have defaults."""

    @cached_property
    def adapter(self) -> TypeAdapter[_T]:
        return TypeAdapter(self.kind)

    def text(self, value: _T) -> str:
        """Fields in the order they are declared in, rows in the value's own; ASCII alone."""
        text = self.adapter.dump_json(value, indent=1).decode()
        return _NOT_ASCII.sub(_as_json_escape, f'{{\n "format": "{self.format}",{text.removeprefix("{")}')

    def plain(self, value: Any) -> Any:
        """As values that JSON has."""
        return self.adapter.dump_python(value, mode="json")

    def load(self, path: Path) -> _T:
        """Back from a file; RunError, by the file's name, where it can't be read or is none."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise RunError(f"the {self.word} `{path}` can't be read: {reason}", remedy=self._remedy) from error
        return self.read(text, name=f" `{path}`")

    def read(self, text: str, *, name: str = "") -> _T:
        """Back from `text`; RunError where it is none, or one of another format."""
        called = f"the {self.word}{name}"
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RunError(f"{called} is not JSON", remedy=self._remedy) from error
        found = data.pop("format", None) if isinstance(data, dict) else None
        if found is None:
            raise RunError(f"{called} names no format", remedy=self._remedy)
        readable = (*self.older, self.format)
        if found not in readable:
            raise RunError(f"{called} has the format `{found}`", remedy=f"this version reads {', '.join(readable)}")
        try:
            return self.adapter.validate_python(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            said = f"{called} does not hold what {found} holds: {where}: {first['msg'].lower()}"
            raise RunError(said, remedy=self._remedy) from error

    @property
    def _remedy(self) -> str:
        return f"name what {self.writer} wrote"

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the format."""
        made = self.adapter.json_schema(mode="serialization")
        made["properties"] = {"format": {"const": self.format}, **made["properties"]}
        made["required"] = ["format", *made.get("required", ())]
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": self.title}


def _as_json_escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]
