"""Frozen values as JSON that names its format, and back: what reports and snapshots are written as."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from pytest_s3vpce.errors import RunError

_T = TypeVar("_T")
_NOT_ASCII: Final = re.compile(r"[^\n -~]")
"""What might steer a terminal that shows the file."""


@dataclass(frozen=True)
class Stored(Generic[_T]):
    """A kind of file: what it holds, how people call it, and its format's name with those of older versions."""

    kind: type[_T]
    word: str
    format: str
    title: str
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

    def read(self, text: str) -> _T:
        """Back from `text`; RunError where it is none, or one of another format."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RunError(f"the {self.word} is not JSON") from error
        found = data.pop("format", None) if isinstance(data, dict) else None
        readable = (*self.older, self.format)
        if found not in readable:
            raise RunError(f"the {self.word}'s format is `{found}`", remedy=f"this version reads {', '.join(readable)}")
        try:
            return self.adapter.validate_python(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            said = f"the {self.word} does not hold what {found} holds: {where}: {first['msg'].lower()}"
            raise RunError(said) from error

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the format."""
        made = self.adapter.json_schema(mode="serialization")
        made["properties"] = {"format": {"const": self.format}, **made["properties"]}
        made["required"] = ["format", *made.get("required", ())]
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": self.title}


def _as_json_escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]
