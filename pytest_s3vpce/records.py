"""What logs say of a run's requests, and what its key readings ask of S3."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RecordKind(StrEnum):
    """Which log a record is from, and which of its kinds."""

    DATA = "data"
    MANAGEMENT = "management"
    NETWORK_ACTIVITY = "network_activity"
    ACCESS_LOG = "access_log"
    FLOW_LOG = "flow_log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a log says of one request. `source` is the log's name, `at` as the log writes time."""

    kind: RecordKind
    source: str
    at: str
    id: str | None = None
    """Of the event: CloudTrail's `eventID`."""
    name: str | None = None
    """What the request was, as the log calls it."""
    principal: str | None = None
    address: str | None = None
    vpc_endpoint: str | None = None
    vpc_endpoint_account: str | None = None
    tls: str | None = None
    cipher: str | None = None
    error_code: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What logs say of a cell's request; that they say nothing is no proof of anything."""

    sentence: str
    sources: tuple[str, ...] = ()
    """Where it was looked for."""
    records: tuple[Record, ...] = ()


class Asks(StrEnum):
    """How a key reading asks for a condition key: it is allowed only if S3 saw just that."""

    IS = "is"
    NONE_OF = "none_of"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One condition key that a reading asks for."""

    key: str
    how: Asks
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """How far AWS's own records bear out what a claim rests on; that there is no record proves nothing."""

    requests: int
    """Those that S3 answered with a request id."""
    recorded: int
    paths: int
    """Of the recorded: those whose record names the path that was measured."""
    contradictions: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        absent = self.requests - self.recorded
        parts = [f"AWS's own records hold {self.recorded} of its {self.requests} requests"]
        parts += [f"{self.paths} by the path that was measured"] if self.recorded else []
        parts += [f"of {absent} there is no record, which proves nothing"] if absent else []
        parts += [f"{len(self.contradictions)} say otherwise than was measured"] if self.contradictions else []
        return ", ".join(parts)
