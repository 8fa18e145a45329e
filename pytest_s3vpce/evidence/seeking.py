"""Waiting for records of a run's requests, and what they say beside what was measured."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.evidence.agreeing import API, WORDS, agreement, judged
from pytest_s3vpce.evidence.flows import Sought
from pytest_s3vpce.model import Layer
from pytest_s3vpce.records import Record, Recording, RecordKind
from pytest_s3vpce.vantage.control import FAULTS, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pytest_s3vpce.evidence.sources import Source
    from pytest_s3vpce.matrix import CellResult, Matrix, Reading

_AT_ONCE: Final = 1_000
"""Requests that one look asks a source for: each pattern of it is a call, and services count those."""
_ABSENT: Final = "no record of it came within {span}: that proves nothing"
_ABSENT_AT_ENDPOINT: Final = (
    "no network activity event of it came within {span}; an endpoint policy's refusal is in no data event, "
    "and in network activity only where the trail of the endpoint's owner selects it: that proves nothing"
)
_ABSENT_FLOW: Final = (
    "no answer of S3's came back, and no flow log told within {span} that packets of it were rejected: "
    "that proves nothing"
)
_BY_TIME: Final = "found by address and time: others' connections may be among them"
_KINDS: Final = tuple(RecordKind)
_UNREADABLE: Final = (*FAULTS, S3VpceError, ValueError, OSError, EOFError, zlib.error)


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as it goes; tests bring their own."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    every: float = 15.0
    """Seconds between two looks."""
    longest: float | None = None
    """The most that is waited, whatever a source says."""


class _Search:
    """What is wanted of the sources, and what they gave so far."""

    def __init__(self, matrix: Matrix, sources: Sequence[Source], clock: Clock) -> None:
        self._since = matrix.started
        self._clock = clock
        self._began = clock.now()
        self._open = list(sources)
        self.found: dict[str, list[Record]] = {}
        self.broken: dict[str, str] = {}
        self.interrupted = False
        self.wanted = _wanted(matrix)
        self._welcome = {group: keys | _others(matrix, group) for group, keys in self.wanted.items()}
        self._looks = 0

    def run(self, notify: Callable[[str], None]) -> None:
        """Looks again and again until all is found, every source's time is over, or somebody has had enough."""
        try:
            self._wait(notify)
        except KeyboardInterrupt:
            self.interrupted = True

    def _wait(self, notify: Callable[[str], None]) -> None:
        told = ""
        while self._open:
            for source in list(self._open):
                self._look(source)
            self._looks += 1
            self._open = [source for source in self._open if self._missing(source.group) and self._left(source) > 0]
            if self._open:
                left = max(map(self._left, self._open))
                groups = dict.fromkeys(source.group for source in self._open)
                line = ", ".join(f"{self._count(group)} by {group}" for group in groups)
                if line != told:
                    notify(f"evidence: {line}; waiting for more, up to {_span(left)}")
                    told = line
                self._clock.sleep(min(self._clock.every, left))

    def _look(self, source: Source) -> None:
        try:
            wanted = self._turn(source.group) if source.is_asked else sorted(self._welcome[source.group])
            for key, record in source.look(wanted, since=self._since, now=self._clock.now()):
                if key in self._welcome[source.group]:
                    self._add(key, record)
        except _UNREADABLE as error:
            self.broken[source.label] = words_of(error) if isinstance(error, FAULTS) else str(error)
            self._open.remove(source)

    def _turn(self, group: str) -> list[str]:
        """What is looked for this time: of very many requests some, and others the next time."""
        missing = sorted(self._missing(group, among=self._welcome[group]))
        start = self._looks * _AT_ONCE % max(1, len(missing))
        return [*missing[start:], *missing[:start]][:_AT_ONCE]

    def _add(self, key: str, record: Record) -> None:
        """Once: a trail may write an event to two places, and a log may hold a line twice."""
        rows = self.found.setdefault(key, [])
        told = (record.kind, record.id, record.at, record.name)
        if not any((row.kind, row.id, row.at, row.name) == told for row in rows):
            rows.append(record)

    def _missing(self, group: str, *, among: set[str] | None = None) -> set[str]:
        kinds = _KINDS_OF[group]
        keys = self.wanted[group] if among is None else among
        return {key for key in keys if not any(record.kind in kinds for record in self.found.get(key, ()))}

    def _count(self, group: str) -> str:
        whole = len(self.wanted[group])
        return f"{whole - len(self._missing(group))} of {whole} requests found"

    def _left(self, source: Source) -> float:
        longest = source.wait if self._clock.longest is None else min(source.wait, self._clock.longest)
        return self._began + longest - self._clock.now()

    @property
    def waited(self) -> float:
        return self._clock.now() - self._began

    def summary(self, sources: Sequence[Source]) -> Iterator[str]:
        for group in dict.fromkeys(source.group for source in sources):
            missing = len(self._missing(group))
            absent = f"; of {missing} there is no record, which proves nothing" if missing else ""
            yield f"evidence by {group}: {self._count(group)}{absent}"
        if self.interrupted:
            yield f"evidence: the wait for records was interrupted after {_span(self.waited)}"
        for label, why in self.broken.items():
            yield f"evidence: {label} could not be read: {why}"


_KINDS_OF: Final[Mapping[str, frozenset[RecordKind]]] = {
    "trail": frozenset({*API, RecordKind.NETWORK_ACTIVITY}),
    "access log": frozenset({RecordKind.ACCESS_LOG}),
    "flow log": frozenset({RecordKind.FLOW_LOG}),
}


def _wanted(matrix: Matrix) -> dict[str, set[str]]:
    """What is waited for: the records of declared cells, and of all that claims rest on.

    Access logs are not waited for where an endpoint's policy refused, nor of control buckets, which need none.
    """
    claimed = {key for claim in matrix.claims for key in claim.requests}
    cells = [*matrix.cells, *(row for row in matrix.controls if _request_id(row) in claimed)]
    logged = {_request_id(row) for row in cells if not _refused_by_endpoint(row) and _keeps_a_log(row.bucket)}
    logged |= {row.request_id for row in matrix.readings if row.request_id in claimed and _keeps_a_log(row.bucket)}
    return {
        "trail": {key for cell in matrix.cells if (key := _request_id(cell))} | claimed,
        "access log": {key for key in logged if key},
        "flow log": _flows(cells, matrix) - _outside(matrix),
    }


def _flows(cells: Iterable[CellResult], matrix: Matrix) -> set[str]:
    return {key for cell in cells if (key := _connection(cell, matrix))}


def _outside(matrix: Matrix) -> set[str]:
    """The connections of vantage points that stand in no network of ours: no flow log of ours has them."""
    ours = {row.name for row in matrix.vantages if row.vpc is not None}
    return _flows((cell for cell in (*matrix.cells, *matrix.controls) if cell.vantage not in ours), matrix)


def _keeps_a_log(bucket: str) -> bool:
    return not bucket.startswith("control:")


def _others(matrix: Matrix, group: str) -> set[str]:
    """What is kept where it is found, and not waited for."""
    if group == "flow log":
        return _flows((*matrix.cells, *matrix.controls), matrix)
    ids = [_request_id(cell) for cell in (*matrix.cells, *matrix.controls)]
    return {key for key in (*ids, *(row.request_id for row in matrix.readings)) if key}


def with_evidence(
    matrix: Matrix, sources: Sequence[Source], *, notify: Callable[[str], None], clock: Clock | None = None
) -> Matrix:
    """The matrix with what the sources say of all that was sent.

    Cells keep their verdicts: records are told of them, and never counted. A claim whose requests they contradict is
    not proven.
    """
    search = _Search(matrix, sources, clock or Clock())
    search.run(notify)
    labels = tuple(source.label for source in sources if source.label not in search.broken)
    span = _span(search.waited)
    found = search.found
    has_flows = any(source.group == "flow log" for source in sources if source.label in labels)

    def told(row: CellResult) -> CellResult:
        absent = _ABSENT_FLOW if has_flows and _connection(row, matrix) and not _request_id(row) else None
        return replace(row, evidence=_recording(row, found, labels, span, matrix=matrix, absent=absent))

    made = agreement(matrix, found)
    return replace(
        matrix,
        cells=tuple(map(told, matrix.cells)),
        controls=tuple(map(told, matrix.controls)),
        readings=tuple(_read(row, found, labels, span) for row in matrix.readings),
        claims=tuple(judged(row, made, found) if row.requests else row for row in matrix.claims),
        notes=(*matrix.notes, *search.summary(sources), *dict.fromkeys(made.sentences)),
    )


def _read(row: Reading, found: Mapping[str, Sequence[Record]], labels: tuple[str, ...], span: str) -> Reading:
    records = tuple(found.get(row.request_id or "", ()))
    return replace(row, evidence=_told_or_absent(records, row.request_id, labels, _ABSENT.format(span=span)))


def _recording(
    cell: CellResult,
    found: Mapping[str, Sequence[Record]],
    labels: tuple[str, ...],
    span: str,
    *,
    matrix: Matrix,
    absent: str | None,
) -> Recording:
    key = _connection(cell, matrix) or ""
    records = tuple(found.get(_request_id(cell) or "", ()))
    flows = tuple(_of_caller(found.get(key, ()), records))
    usual = _ABSENT_AT_ENDPOINT if _refused_by_endpoint(cell) else _ABSENT
    wanted = _request_id(cell) or (key if absent else None)
    made = _told_or_absent((*records, *flows), wanted, labels, (absent or usual).format(span=span))
    if flows and not Sought.parse(key).near:
        return replace(made, sentence=f"{made.sentence} ({_BY_TIME})")
    return made


def _of_caller(flows: Iterable[Record], others: Sequence[Record]) -> Iterator[Record]:
    """Flows of the address that another record names as the caller's, where it came by an endpoint."""
    callers = {record.address for record in others if record.vpc_endpoint and record.address}
    return (flow for flow in flows if not callers or flow.address in callers)


def _told_or_absent(
    records: tuple[Record, ...], request_id: str | None, labels: tuple[str, ...], absent: str
) -> Recording:
    if records:
        ordered = tuple(sorted(records, key=lambda row: _KINDS.index(row.kind)))  # logs answer in any order
        return Recording(sentence="; ".join(map(_told, ordered)), sources=labels, records=ordered)
    if not request_id:
        return Recording(sentence="no answer of S3's came back, so there is no request id to find records by")
    if not labels:
        return Recording(sentence="no source of evidence could be read")
    return Recording(sentence=absent, sources=labels)


def _told(record: Record) -> str:
    if record.kind is RecordKind.FLOW_LOG:
        return f"a flow{f' at {record.id}' if record.id else ''}: {record.name}"
    parts = [record.tls or "no TLS", record.error_code or "no error"]
    if record.kind is not RecordKind.ACCESS_LOG:  # which does not know endpoints
        parts.insert(0, f"by {record.vpc_endpoint}" if record.vpc_endpoint else "by no endpoint")
    if record.kind is RecordKind.NETWORK_ACTIVITY:  # which does not know TLS
        parts.remove(record.tls or "no TLS")
    article = "an" if record.kind is RecordKind.ACCESS_LOG else "a"
    return f"{article} {WORDS[record.kind]}: {', '.join(parts)}"


def _request_id(cell: CellResult) -> str | None:
    return cell.received.request_id if cell.received else None


def _refused_by_endpoint(cell: CellResult) -> bool:
    return cell.measured.layer is Layer.VPC_ENDPOINT


def _connection(cell: CellResult, matrix: Matrix) -> str | None:
    """The cell's connection, as a flow log is searched for it."""
    found = Sought.of(cell, begin=matrix.started, end=matrix.started + matrix.seconds)
    return None if found is None else found.key


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{max(seconds, 0):.0f} s"
