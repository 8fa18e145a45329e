"""What a resource's properties look like: what fits is given back as the API wants it, what does not is named.

CloudFormation takes `"true"` for true and 443 for `"443"`:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resources-section-structure.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Unknown:
    """Stands for what is known only once a resource is there."""

    def __repr__(self) -> str:
        return "<known later>"


UNKNOWN: Final = Unknown()


class Misfit(ValueError):  # noqa: N818 - as in "a misfit"
    """`path` is below the property that was looked at."""

    def __init__(self, what: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.path = path


class Shape(Protocol):
    """One kind of value."""

    def fit(self, value: Any) -> Any:
        """The value as it is passed on; Misfit where it is of another kind."""


def _word(value: Any) -> str:
    return {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(value)) or f"`{value}`"


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    def fit(self, value: Any) -> Any:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (str, int, float)):
            return str(value)
        raise Misfit(f"expected type: String, found: {_word(value)}")


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number."""

    def fit(self, value: Any) -> Any:
        try:
            return int(str(value))
        except ValueError:
            raise Misfit(f"expected type: Integer, found: {_word(value)}") from None


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def fit(self, value: Any) -> Any:
        found = {"true": True, "false": False}.get(str(value).lower())
        if found is None:
            raise Misfit(f"expected type: Boolean, found: {_word(value)}")
        return found


@dataclass(frozen=True, slots=True)
class Document:
    """A policy, as a mapping or as the text of one."""

    def fit(self, value: Any) -> Any:
        if isinstance(value, dict):
            return value
        try:
            found = json.loads(value)
        except (ValueError, TypeError):
            found = None
        if not isinstance(found, dict):
            raise Misfit(f"expected type: JSON object, found: {_word(value)}")
        return found


@dataclass(frozen=True, slots=True)
class Listed:
    """A list; one value stands for a list of one."""

    of: Shape

    def fit(self, value: Any) -> Any:
        rows = value if isinstance(value, list) else [value]
        found = []
        for number, row in enumerate(rows):
            found.append(fitted(self.of, row, str(number)))
        return found


@dataclass(frozen=True, slots=True)
class Named:
    """A mapping of any names to values of one shape."""

    of: Shape

    def fit(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise Misfit(f"expected type: JSON object, found: {_word(value)}")
        return {name: fitted(self.of, row, name) for name, row in value.items()}


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping of these names."""

    of: Mapping[str, Shape]
    required: tuple[str, ...] = field(default=())

    def fit(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise Misfit(f"expected type: JSON object, found: {_word(value)}")
        for name in value:
            if name not in self.of:
                raise Misfit("the lab does not serve this property", (str(name),))
        for name in self.required:
            if name not in value:
                raise Misfit(f"required key [{name}] not found")
        return {name: fitted(self.of[name], row, name) for name, row in value.items()}


def fitted(shape: Shape, value: Any, step: str) -> Any:
    """What fits below a step; what is not known yet fits everywhere."""
    if isinstance(value, Unknown):
        return value
    try:
        return shape.fit(value)
    except Misfit as misfit:
        raise Misfit(misfit.what, (step, *misfit.path)) from None


TEXT: Final = Text()
NUMBER: Final = Number()
FLAG: Final = Flag()
DOCUMENT: Final = Document()
TEXTS: Final = Listed(TEXT)
TAGS: Final = Listed(Fields({"Key": TEXT, "Value": TEXT}, ("Key", "Value")))


def texts(names: Iterable[str]) -> dict[str, Shape]:
    """Several properties that are all text."""
    return dict.fromkeys(names, TEXT)
