"""Flows of a run's connections: what is looked for in flow logs, and which lines are of it.

A function's own end is not its interface's: its packets leave from the address and a port of an interface that several
share. Such a connection is looked for by its other end and its time.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-enis
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from pytest_s3vpce.evidenceforms import FLOW_FIELDS
from pytest_s3vpce.records import Record, RecordKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_s3vpce.matrix import CellResult

ACCEPT, REJECT = "ACCEPT", "REJECT"
DEFAULT: Final = (
    *("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol"),
    *("packets", "bytes", "start", "end", "action", "log-status"),
)
"""The default format. https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html"""
_LATE: Final = 60.0
"""Seconds that a record's times may be behind its packets, and that a request may wait for its turn."""
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Flow:
    """A line of a flow log: from one end to the other, and when."""

    source: str
    target: str
    start: float
    end: float
    record: Record


def of_line(line: str, *, names: Sequence[str], source: str) -> Flow | None:
    """None for what is no flow: nothing was sent, or lines were left out."""
    found = line.split()
    if len(found) < len(names):
        return None
    row = dict(zip(names, found, strict=False))
    if row.get("log-status", "OK") != "OK" or any(row.get(name, "-") in ("-", name) for name in FLOW_FIELDS):
        return None
    try:
        start, end = float(row["start"]), float(row["end"])
    except ValueError:
        return None
    action = row["action"]
    record = Record(
        kind=RecordKind.FLOW_LOG,
        source=source,
        at=row["start"],
        id=row.get("interface-id"),
        name=action,
        error_code=None if action == ACCEPT else action,
    )
    return Flow(
        source=_end(row["srcaddr"], row["srcport"]),
        target=_end(row["dstaddr"], row["dstport"]),
        start=start,
        end=end,
        record=record,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """A connection of a cell: which flows are of it."""

    cell: str
    near: str
    """The interface's own end; empty where the vantage point does not know it."""
    far: tuple[str, ...]
    """One end where it came up, else each that it may have been tried at."""
    begin: float
    end: float
    action: str
    """Where its own end is not known: what came through was accepted, and what did not may have been rejected."""

    @classmethod
    def of(cls, cell: CellResult, *, begin: float, end: float) -> Self | None:
        """None where nothing was sent, or nothing that a flow log could see."""
        received = cell.received
        if received is None:
            return None
        if cell.sent is not None:
            begin, end = cell.sent.signed_at, cell.sent.signed_at + (received.seconds or 0.0)
        far = (received.peer,) if received.peer else tuple(_tried(cell))
        if not far or any(_is_inward(one) for one in far):
            return None
        near = received.local or ""
        action = REJECT if received.status is None else ACCEPT
        return cls(cell=cell.id, near="" if _is_inward(near) else near, far=far, begin=begin, end=end, action=action)

    @property
    def key(self) -> str:
        """As sources are asked for it; `parse` reads it."""
        return f"{self.near}>{','.join(self.far)}@{self.begin:.3f}-{self.end:.3f}/{self.action}/{self.cell}"

    @classmethod
    def parse(cls, key: str) -> Self:
        ends, _, rest = key.partition("@")
        near, _, far = ends.partition(">")
        times, action, cell = rest.split("/", 2)
        begin, _, end = times.partition("-")
        return cls(cell=cell, near=near, far=tuple(far.split(",")), begin=float(begin), end=float(end), action=action)

    @property
    def addresses(self) -> Iterator[str]:
        """What its lines have in them."""
        return (_address(end) for end in ((self.near,) if self.near else self.far))

    def record_of(self, flow: Flow) -> Record | None:
        """The flow's record if it is of this connection: `address` is that of the interface."""
        if flow.start - _LATE > self.end + _LATE or flow.end + _LATE < self.begin:
            return None
        out, back = flow.target in self.far, flow.source in self.far
        own = flow.source if out else flow.target
        fits = own == self.near if self.near else flow.record.name == self.action
        if not (out or back) or not fits:
            return None
        name = flow.record.name if out else f"{flow.record.name} of the answer"
        return replace(flow.record, name=name, address=_address(own))


def _tried(cell: CellResult) -> Iterator[str]:
    """Where a connection that did not come up may have been tried."""
    parts = urlsplit(cell.sent.url) if cell.sent else None
    for address in cell.received.dns if cell.received and parts else ():
        assert parts is not None  # or there were none
        yield _end(address, str(parts.port or _PORTS.get(parts.scheme, 443)))


def _end(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _address(end: str) -> str:
    return end.rpartition(":")[0].strip("[]")


def _is_inward(end: str) -> bool:
    """Whether it is an address that no packet in a network has: of this host, or of this link."""
    try:
        address = ipaddress.ip_address(_address(end))
    except ValueError:
        return True
    return address.is_loopback or address.is_link_local or address.is_unspecified
