"""Stacks, their resources and what happened to them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.cloudformation.making import Home, Made, ResourceType
    from pytest_s3vpce.lab.cloudformation.planning import Plan

STACK_TYPE = "AWS::CloudFormation::Stack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a stack's story."""

    logical: str
    physical: str
    type: str
    status: str
    reason: str | None
    at: datetime
    id: str


@dataclass(slots=True, kw_only=True)
class Resource:
    """A resource of a stack."""

    logical: str
    type: ResourceType
    properties: Mapping[str, Any]
    depends: frozenset[str]
    deletion_policy: str
    replace_policy: str
    nonce: str
    made: Made | None = None
    status: str = ""
    reason: str | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def physical(self) -> str:
        return "" if self.made is None else self.made.physical


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A stack's output."""

    value: str
    description: str
    export: str | None


@dataclass(slots=True, kw_only=True)
class Stack:
    """A stack; it stays known by its id when it is deleted."""

    home: Home
    plan: Plan
    tags: Mapping[str, str]
    capabilities: tuple[str, ...] = ()
    status: str = ""
    reason: str | None = None
    resources: dict[str, Resource] = field(default_factory=dict)
    """In the order of making."""
    outputs: dict[str, Output] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated: datetime | None = None
    deleted: datetime | None = None
    disable_rollback: bool = False
    protected: bool = False

    def tell(self, status: str, reason: str | None = None) -> None:
        """The stack's new status."""
        self.status, self.reason = status, reason
        self._add(self.home.stack, self.home.stack_id, STACK_TYPE, status=status, reason=reason)

    def tell_of(self, resource: Resource, status: str, reason: str | None = None) -> None:
        """A resource's new status."""
        resource.status, resource.reason, resource.at = status, reason, datetime.now(UTC)
        self._add(resource.logical, resource.physical, resource.type.name, status=status, reason=reason)

    def _add(self, logical: str, physical: str, kind: str, *, status: str, reason: str | None) -> None:
        made = Event(
            logical=logical,
            physical=physical,
            type=kind,
            status=status,
            reason=reason,
            at=datetime.now(UTC),
            id=str(uuid.uuid4()),
        )
        self.events.append(made)
