"""The access matrix: what a finished run says, as frozen values that can be written and read back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.model import Expect, Layer, OutcomeKind, Place, Transport  # noqa: TC001 - pydantic reads annotations

FORMAT: Final = "s3vpce-report/1"


class Verdict(StrEnum):
    """Of a claim; only `proven` passes."""

    PROVEN = "proven"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"


class Status(StrEnum):
    """Of one finding: `bad` is a counterexample, `missing` leaves the claim open."""

    GOOD = "good"
    BAD = "bad"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The request of a cell, without its query, headers or signature."""

    method: str
    url: str
    signed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What came back, without body or headers."""

    status: int | None = None
    request_id: str | None = None
    failure: str | None = None
    detail: str = ""
    peer: str | None = None
    local: str | None = None
    tls: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An outcome: as the answer was classified, or as it counts for the action under test."""

    outcome: OutcomeKind
    layer: Layer | None = None
    explicit: bool | None = None
    action: str | None = None
    code: str | None = None
    message: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """One cell. `expect` is None for controls; `counted` decides whether it passed."""

    id: str
    operation: str
    action: str
    variant: str
    bucket: str
    principal: str
    vantage: str
    transport: Transport
    expect: Expect | None
    measured: Judged
    counted: Judged
    passed: bool | None
    controlled: bool | None = None
    """Of a denial: whether reach and credentials were shown from the same vantage point; else None."""
    sent: Sent | None = None
    received: Received | None = None
    hint: str = ""
    """What to look at, where the cell failed."""
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VantageResult:
    """A vantage point and the path that was read there: an endpoint's id, `none`, or None for unknown."""

    name: str
    kind: str
    path: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One finding of a claim: a cell of its own or a control by name."""

    kind: str
    name: str
    status: Status
    sentence: str
    cell: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What a claim tried, and what it knows it did not."""

    principals: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    vantages: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """A claim with its verdict, one sentence why, and everything it rests on."""

    id: str
    kind: str
    bucket: str
    verdict: Verdict
    sentence: str
    cells: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    coverage: Coverage = field(default_factory=Coverage)
    passed: bool = False
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of a test's own code: no query, header or body, where a signature might stand."""

    client: str
    """`boto3`, `requests`, `resolve`, `connect` or `reading`."""
    method: str
    host: str
    path: str
    vantage: str
    principal: str | None
    at: float
    seconds: float
    status: int | None = None
    failure: str | None = None
    """A FailureKind, or `vantage_point` where that could not be used."""
    peer: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """What one run says. `mode` is `lab` or `live`; times are seconds since the epoch."""

    mode: str
    run_id: str
    version: str
    started: float
    seconds: float
    cells: tuple[CellResult, ...] = ()
    claims: tuple[ClaimResult, ...] = ()
    vantages: tuple[VantageResult, ...] = ()
    notes: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()

    def to_json(self) -> str:
        """As text of format FORMAT."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Matrix:
        """Back from `to_json`; RunError where it is no report, or one of another format."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RunError("the report is not JSON") from error
        found = data.pop("format", None) if isinstance(data, dict) else None
        if found != FORMAT:
            raise RunError(f"the report's format is `{found}`", remedy=f"this version reads {FORMAT}")
        try:
            return _adapter().validate_python(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise RunError(f"the report does not hold what {FORMAT} holds: {where}: {first['msg'].lower()}") from error

    def merged(self, other: Matrix) -> Matrix:
        """This run's cells and claims with those that another process measured besides."""
        return Matrix(
            mode=self.mode,
            run_id=self.run_id,
            version=self.version,
            started=min(self.started, other.started),
            seconds=max(self.seconds, other.seconds),
            cells=_unique(self.cells, other.cells),
            claims=_unique(self.claims, other.claims),
            vantages=_named(self.vantages, other.vantages),
            notes=tuple(dict.fromkeys((*self.notes, *other.notes))),
            calls=(*self.calls, *other.calls),
        )


def _unique(first: tuple[Any, ...], second: tuple[Any, ...]) -> tuple[Any, ...]:
    known = {row.id for row in first}
    return (*first, *(row for row in second if row.id not in known))


def _named(first: tuple[VantageResult, ...], second: tuple[VantageResult, ...]) -> tuple[VantageResult, ...]:
    """By name; a path that one of them read wins over an unknown one."""
    rows = {row.name: row for row in first}
    for row in second:
        if row.name not in rows or rows[row.name].path is None:
            rows[row.name] = row
    return tuple(rows.values())


@cache
def _adapter() -> TypeAdapter[Matrix]:
    return TypeAdapter(Matrix)
