"""What a type of resource is to the engine: its properties, and how one is made, brought up to date and removed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from pytest_s3vpce.lab.cloudformation.shapes import TAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.lab.cloudformation.shapes import Shape

_RANDOM: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where a stack stands."""

    stack: str
    stack_id: str
    account: str
    region: str
    partition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A resource that is there: what `Ref` gives, and what `GetAtt` does."""

    physical: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One resource as the template wants it, and the calls to make it so; `previous` is how it was wanted before."""

    home: Home
    logical: str
    properties: Mapping[str, Any]
    client: Callable[[str], Any]
    """A client of a service, as whoever asked for the stack."""
    stack_tags: Mapping[str, str] = field(default_factory=dict)
    previous: Mapping[str, Any] | None = None
    """None where it has just been made."""
    nonce: str = ""
    """Sets one making of the resource apart from others."""

    def given(self, *names: str) -> dict[str, Any]:
        """Those of these properties that the template gives."""
        return {name: self.properties[name] for name in names if name in self.properties}

    def changed(self, *names: str) -> bool:
        """Whether any of these properties is to be set: it was given before otherwise, or not, or is no longer."""
        before = self.previous or {}
        return any(self.properties.get(name) != before.get(name) for name in names)

    def dropped(self, name: str) -> bool:
        return name in (self.previous or {}) and name not in self.properties

    def name(self, given: str, *, most: int = 64) -> str:
        """The name that the template gives, else one of its own kind.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-name.html
        """
        if given in self.properties:
            return str(self.properties[given])
        digest = hashlib.sha256(f"{self.home.stack_id} {self.logical} {self.nonce}".encode()).hexdigest()
        end = digest[:_RANDOM].upper()
        return f"{f'{self.home.stack}-{self.logical}'[: most - _RANDOM - 1]}-{end}"

    @property
    def tags(self) -> dict[str, str]:
        """The stack's and the resource's own."""
        return {**self.stack_tags, **{row["Key"]: row["Value"] for row in self.properties.get("Tags", ())}}

    @property
    def tag_rows(self) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]

    @property
    def stale_tags(self) -> list[str]:
        """Keys of tags that it no longer has."""
        return [row["Key"] for row in (self.previous or {}).get("Tags", ()) if row["Key"] not in self.tags]

    def document(self, name: str) -> str:
        return json.dumps(self.properties[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    """A row of the catalogue.

    `make` sets what can't be changed later, `apply` all else, at once and at each update; it says where that gave the
    resource another identity.
    """

    name: str
    properties: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    attributes: frozenset[str] = frozenset()
    """What `GetAtt` may ask for."""
    make: Callable[[Work], Made]
    apply: Callable[[Work, Made], Made | None] = lambda _work, _made: None
    remove: Callable[[Work, Made], object]
    mutable: frozenset[str] = frozenset()
    """Changes of other properties replace it."""
    named_by: str | None = None
    """The property that names it: under a name that stays it can't be replaced."""
    capability: Callable[[Mapping[str, Any]], str | None] = lambda _properties: None
    """What the caller must acknowledge.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-template.html"""


def tagged(properties: Mapping[str, Shape]) -> dict[str, Shape]:
    return {**properties, "Tags": TAGS}


def gone(call: Callable[..., Any], *codes: str, **parameters: Any) -> None:
    """Make a call that removes something; that it is not there any more is as good."""
    try:
        call(**parameters)
    except ClientError as error:
        if error.response["Error"]["Code"] not in codes:
            raise
