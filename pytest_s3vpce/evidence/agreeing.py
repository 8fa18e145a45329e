"""What records say beside what was measured: where they agree on the path, and where they say otherwise."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pytest_s3vpce.matrix import Evidence, Status, Verdict
from pytest_s3vpce.model import OutcomeKind
from pytest_s3vpce.records import Asks, Recorded, RecordKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_s3vpce.matrix import CellResult, ClaimResult, Matrix, Reading
    from pytest_s3vpce.records import Asked, Record

NO_ENDPOINT: Final = "none"
"""As a path is called on which no endpoint was."""
API: Final = frozenset({RecordKind.DATA, RecordKind.MANAGEMENT})
"""The kinds that say how a request came and how it ended."""
_OTHER_NAMES: Final = (".vpce.", ".dualstack.", "s3-fips.", ".s3-accesspoint", ".accesspoint.s3-global")
"""Of hosts that may be reached by another way than a bucket's ordinary name."""
WORDS: Final[Mapping[RecordKind, str]] = {
    RecordKind.DATA: "data event",
    RecordKind.MANAGEMENT: "management event",
    RecordKind.NETWORK_ACTIVITY: "network activity event",
    RecordKind.ACCESS_LOG: "access log line",
    RecordKind.FLOW_LOG: "flow",
}
_DENIALS: Final = frozenset({"AccessDenied", "AllAccessDisabled"})
_SHOWN: Final = 5
"""Contradictions of a claim that become findings of their own."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """By request id: where a record names the path that was measured, and what each says otherwise."""

    paths: set[str] = field(default_factory=set)
    odd: dict[str, list[str]] = field(default_factory=dict)

    @property
    def sentences(self) -> list[str]:
        return [sentence for rows in self.odd.values() for sentence in rows]


def agreement(matrix: Matrix, found: Mapping[str, Sequence[Record]]) -> Agreement:
    """What the records of a matrix's cells, controls and readings say beside them."""
    made = Agreement()
    ways = _Ways(matrix)
    for cell in (*matrix.cells, *matrix.controls):
        key = (cell.received.request_id if cell.received else None) or ""
        path = ways.of(cell)
        for record in found.get(key, ()):
            told = [*_of_path(cell.id, path, record), *_of_answer(cell, record)]
            _add(made, key, record, told, agrees=path is not None)
    for reading in matrix.readings:
        key = reading.request_id or ""
        path = ways.shown(reading.vantage, reading.bucket)
        for record in found.get(key, ()):
            told = [*_of_reading(reading, record, matrix)] or [*_of_path(f"a reading of {reading.cell}", path, record)]
            _add(made, key, record, told, agrees=path is not None)
    return made


def _add(made: Agreement, key: str, record: Record, told: list[str], *, agrees: bool) -> None:
    if told:
        made.odd.setdefault(key, []).extend(row for row in told if row not in made.odd.get(key, ()))
    elif agrees and record.kind in API:
        made.paths.add(key)


def judged(claim: ClaimResult, made: Agreement, found: Mapping[str, Sequence[Record]]) -> ClaimResult:
    """The claim with what records say of its requests: one that they contradict is not proven."""
    kinds = (*API, RecordKind.NETWORK_ACTIVITY, RecordKind.ACCESS_LOG)
    held = [key for key in claim.requests if any(row.kind in kinds for row in found.get(key, ()))]
    odd = [sentence for key in claim.requests for sentence in made.odd.get(key, ())]
    records = Recorded(
        requests=len(claim.requests),
        recorded=len(held),
        paths=sum(key in made.paths and key not in made.odd for key in held),
        contradictions=tuple(odd),
    )
    if not odd:
        return replace(claim, records=records)
    rows = [
        Evidence(kind="record", name="AWS's own record", status=Status.MISSING, sentence=row) for row in odd[:_SHOWN]
    ]
    claim = replace(claim, records=records, evidence=(*claim.evidence, *rows))
    if claim.verdict is not Verdict.PROVEN:
        return claim
    more = f" (and {len(odd) - 1} more)" if len(odd) > 1 else ""
    return replace(
        claim,
        verdict=Verdict.INCONCLUSIVE,
        passed=False,
        sentence=f"AWS's own records say otherwise than was measured: {odd[0]}{more}",
    )


class _Ways:
    """The path of each vantage point to each Region, as readings showed it."""

    def __init__(self, matrix: Matrix) -> None:
        self._regions = {row.label: row.region for row in matrix.buckets}
        self._read = {row.name: row.path for row in matrix.vantages}
        self._shown: dict[tuple[str, str], set[str]] = {}
        for reading in matrix.readings:
            if reading.outcome is OutcomeKind.ALLOWED:
                where = (reading.vantage, self._region(reading.bucket))
                self._shown.setdefault(where, set()).update(_endpoints(reading))

    def _region(self, bucket: str) -> str:
        return self._regions.get(bucket.partition("+")[0], "")

    def of(self, cell: CellResult) -> str | None:
        """None where it was not read, or may be another for the host that the cell is sent to."""
        host = urlsplit(cell.sent.url).netloc if cell.sent else ""
        if any(part in host for part in _OTHER_NAMES):
            return None
        return self.shown(cell.vantage, cell.bucket) if self._shown else self._read.get(cell.vantage)

    def shown(self, vantage: str, bucket: str) -> str | None:
        """The one path that readings showed; None where they showed none, or several."""
        found = self._shown.get((vantage, self._region(bucket)), set())
        return next(iter(found)) if len(found) == 1 else None


def _endpoints(reading: Reading) -> Iterator[str]:
    for asked in reading.asks:
        if asked.key == "aws:SourceVpce" and asked.how is not Asks.NONE_OF:
            yield asked.values[0] if asked.values else NO_ENDPOINT


def _of_path(name: str, path: str | None, record: Record) -> Iterator[str]:
    seen = record.vpc_endpoint or NO_ENDPOINT
    if record.kind in API and path is not None and path != seen:
        yield f"{name}: its path was read as {path}, but the {WORDS[record.kind]} says {seen}"


def _of_answer(cell: CellResult, record: Record) -> Iterator[str]:
    """How it ended, and over which TLS."""
    if record.kind in API and cell.measured.outcome is OutcomeKind.ALLOWED and record.error_code in _DENIALS:
        yield f"{cell.id}: it was allowed, but the {WORDS[record.kind]} says {record.error_code}"
    if record.kind in API and cell.measured.outcome is OutcomeKind.DENIED and record.error_code is None:
        yield f"{cell.id}: it was denied, but the {WORDS[record.kind]} says that it went through"
    received = cell.received
    if received and received.tls and record.tls and received.tls != record.tls:
        yield f"{cell.id}: {received.tls} was spoken here, but S3 saw {record.tls}: something in between ended it"


def _of_reading(reading: Reading, record: Record, matrix: Matrix) -> Iterator[str]:
    """An allowed reading says what S3 saw of that very request: its record must say the same."""
    if reading.outcome is not OutcomeKind.ALLOWED or record.kind not in API:
        return
    for asked in reading.asks:
        check = _CHECKS.get(asked.key)
        seen = None if check is None else check(asked, record, matrix)
        if seen is not None:
            yield (
                f"a reading from {reading.vantage} on {reading.bucket} showed {_words(asked)}, but its "
                f"{WORDS[record.kind]} says {seen}"
            )


def _words(asked: Asked) -> str:
    if asked.how is Asks.ABSENT:
        return f"no {asked.key}"
    return f"{asked.key} {'other than ' if asked.how is Asks.NONE_OF else ''}{', '.join(asked.values)}"


def _holds(asked: Asked, *, seen: bool, absent: bool) -> bool:
    """Whether what a reading showed is so; `seen` is whether one of its values is there."""
    return {Asks.IS: seen, Asks.NONE_OF: not seen, Asks.ABSENT: absent}[asked.how]


def _endpoint(asked: Asked, record: Record, _: Matrix) -> str | None:
    seen = record.vpc_endpoint
    held = _holds(asked, seen=seen in asked.values, absent=seen is None)
    return None if held else seen or NO_ENDPOINT


def _vpc(asked: Asked, record: Record, matrix: Matrix) -> str | None:
    seen = record.vpc_endpoint
    if seen is None:
        return None if asked.how is not Asks.IS else "no endpoint"
    vpc = next((row.vpc for row in matrix.endpoints if row.id == seen), None)
    held = vpc is None or _holds(asked, seen=vpc in asked.values, absent=False)
    return None if held else f"{seen}, which stands in {vpc}"


def _address(asked: Asked, record: Record, _: Matrix) -> str | None:
    """What comes by an endpoint has no aws:SourceIp."""
    if record.vpc_endpoint is not None:
        return None if asked.how is not Asks.IS else record.vpc_endpoint
    try:
        address = ipaddress.ip_address(record.address or "")
        networks = [ipaddress.ip_network(value, strict=False) for value in asked.values]
    except ValueError:
        return None
    held = _holds(asked, seen=any(address in network for network in networks), absent=False)
    return None if held else record.address


def _version(asked: Asked, record: Record, _: Matrix) -> str | None:
    held = record.tls is None or _holds(asked, seen=record.tls.removeprefix("TLSv") in asked.values, absent=False)
    return None if held else record.tls


def _transport(asked: Asked, record: Record, _: Matrix) -> str | None:
    held = record.tls is None or _holds(asked, seen="true" in asked.values, absent=False)
    return None if held else record.tls


_CHECKS: Final[Mapping[str, Callable[[Asked, Record, Matrix], str | None]]] = {
    "aws:SourceVpce": _endpoint,
    "aws:SourceVpc": _vpc,
    "aws:SourceIp": _address,
    "s3:TlsVersion": _version,
    "aws:SecureTransport": _transport,
}
"""The condition keys that records tell, and what a record says where it says otherwise."""
