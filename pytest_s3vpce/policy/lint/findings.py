"""What lint says: findings, and the rules that make them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_s3vpce.policy.lint.subject import Row, Subject

    Check = Callable[[Subject], Iterator["Hit"]]


class Severity(StrEnum):
    """An error does something else than it says, a warning often does; a note is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Kind(StrEnum):
    """Where a policy is attached to."""

    BUCKET = "bucket"
    """A bucket or an access point."""
    ENDPOINT = "endpoint"
    """A VPC endpoint."""
    IDENTITY = "identity"
    SESSION = "session"
    BOUNDARY = "boundary"
    SCP = "scp"
    RCP = "rcp"
    TRUST = "trust"
    """Who may assume a role."""
    KEY = "key"
    """A KMS key."""


ALL = frozenset(Kind)
GRANTED = frozenset({Kind.IDENTITY, Kind.SESSION, Kind.BOUNDARY})
"""Attached to principals: the element Principal has no place in them."""
ON_S3 = ALL - {Kind.TRUST, Kind.KEY}
"""Those that are about requests to S3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """What a rule's check yields: the place as a path into the document, and the texts of a finding."""

    path: tuple[str | int, ...]
    row: Row | None = None
    what: str
    consequence: str
    fix: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table of rules. `title` says the mistake in one line, `doc` is the AWS page on it."""

    code: str
    slug: str
    severity: Severity
    kinds: frozenset[Kind]
    title: str
    doc: str
    check: Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A mistake in a policy. `statement` is a Sid, else the statement's index in words, empty for the document.

    `line` and `column` count from 1; 0 where the policy was not given as text. `consequence` reads on from `what`.
    """

    code: str
    slug: str
    severity: Severity
    statement: str
    line: int
    column: int
    what: str
    consequence: str
    fix: str
    doc: str

    @property
    def message(self) -> str:
        """All it says, in one line."""
        return f"{self.what}; {self.consequence}. {self.fix}"
