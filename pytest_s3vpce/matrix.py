"""The access matrix: what a finished run says, as frozen values that can be written and read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, Final

from pytest_s3vpce.model import Expect, Layer, OutcomeKind, Place, Transport
from pytest_s3vpce.records import Asked, Recorded, Recording  # noqa: TC001 - pydantic reads annotations
from pytest_s3vpce.storing import Stored

FORMAT: Final = "s3vpce-report/2"
GAPS: Final = "proven with gaps"
"""How a claim ended that is proven, but for what it did not cover: in a strict run that does not pass."""


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
    """The request of a cell as it was sent, without its body, credentials, tokens and signature."""

    method: str
    url: str
    signed_at: float
    headers: tuple[tuple[str, str], ...] = ()
    body_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds of each phase of a request; None where it was not reached."""

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What came back, without its body."""

    status: int | None = None
    request_id: str | None = None
    failure: str | None = None
    detail: str = ""
    peer: str | None = None
    local: str | None = None
    tls: str | None = None
    seconds: float | None = None
    headers: tuple[tuple[str, str], ...] = ()
    dns: tuple[str, ...] = ()
    cipher: str | None = None
    timings: Timings = field(default_factory=Timings)


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
class Reading:
    """A request whose session policy asks what S3 sees: `cell` is the id of the cell that it is otherwise like."""

    cell: str
    bucket: str
    vantage: str
    outcome: OutcomeKind
    asks: tuple[Asked, ...] = ()
    """Nothing where it is the session's own baseline."""
    request_id: str | None = None
    tls: str | None = None
    evidence: Recording | None = None


class Expected(StrEnum):
    """What a prediction says: a denial and its kind, that no answer comes, or that nobody can say."""

    ALLOW = "allow"
    EXPLICIT_DENY = "explicit_deny"
    IMPLICIT_DENY = "implicit_deny"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"

    @property
    def denied(self) -> bool:
        return self in (Expected.EXPLICIT_DENY, Expected.IMPLICIT_DENY)

    @property
    def outcome(self) -> OutcomeKind | None:
        """The outcome that fits it; None where nobody can say."""
        return _FITTING.get(self)


_FITTING: Final = {
    Expected.ALLOW: OutcomeKind.ALLOWED,
    Expected.EXPLICIT_DENY: OutcomeKind.DENIED,
    Expected.IMPLICIT_DENY: OutcomeKind.DENIED,
    Expected.UNREACHABLE: OutcomeKind.UNREACHABLE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What the policies and the network that were read say of a cell, without asking S3; and why."""

    expected: Expected
    layer: str | None = None
    policy: str | None = None
    statement: str | None = None
    """What decided."""
    place: str | None = None
    """Where that statement stands, where the inventory names its file."""
    missed: str | None = None
    """The deny that should have matched and did not, where something is allowed that should not be."""
    action: str = ""
    path: str = ""
    reason: str = ""
    fix: str = ""
    surprise: bool = False
    """Whether what was measured is something else."""
    explanation: tuple[str, ...] = ()
    """In lines, for people."""

    @property
    def stands(self) -> str:
        """Where what decided stands, and what should have."""
        where = f"the {self.policy}" if self.policy else f"the way it takes: {self.path}" if self.path else self.reason
        if self.statement:
            where = f"`{self.statement}` of {where}" + (f" ({self.place})" if self.place else "")
        return f"`{self.missed}`, which should have denied it, and {where}" if self.missed else where


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why cells of a claim gave what they gave: one for all that the same statements decided."""

    wanted: Expect
    """What the claim demands of these cells."""
    cells: tuple[str, ...]
    predicted: Predicted
    """Of the first of them; its explanation begins with what decided."""

    @property
    def of(self) -> str:
        """The cells in a few words."""
        more = len(self.cells) - 1
        return f"{self.cells[0]} and {more} more" if more else self.cells[0]


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
    evidence: Recording | None = None
    """What logs say, where they were asked."""
    predicted: Predicted | None = None
    """What it should have given, where predictions were wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VantageResult:
    """A vantage point and the path that was read there: an endpoint's id, `none`, or None for unknown."""

    name: str
    kind: str
    path: str | None = None
    error: str | None = None
    account: str | None = None
    """The account's name in the inventory; None outside of every account."""
    vpc: str | None = None
    subnets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountResult:
    """An account of the inventory."""

    name: str
    id: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketResult:
    """A bucket of the inventory: the label that cells carry, its real name, and its account's name."""

    label: str
    name: str
    account: str
    region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointResult:
    """A VPC endpoint for S3 that an account of the run described. `type` is `gateway` or `interface`."""

    id: str
    vpc: str
    account: str
    type: str
    name: str = ""
    """Its tag `Name`."""
    route_tables: tuple[str, ...] = ()
    """Those that lead to it, where it is a gateway's."""
    subnets: tuple[str, ...] = ()
    """Those in which it has interfaces."""
    private_dns: bool = False

    @property
    def reached(self) -> str:
        """How what is in its VPC comes to it."""
        if self.subnets or self.private_dns:
            return f"interfaces in {', '.join(self.subnets)}, private DNS {'on' if self.private_dns else 'off'}"
        return f"routes in {', '.join(self.route_tables)}" if self.route_tables else "no route table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One finding of a claim: a cell of its own or a control by name."""

    kind: str
    name: str
    status: Status
    sentence: str
    cell: str = ""
    fix: str = ""
    """Where it is a setting that is not as it must be: what mends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What a claim tried, and what it knows it did not."""

    principals: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    vantages: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    """What it did not try either, and its author said so."""


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
    explanations: tuple[Explanation, ...] = ()
    """Where it is not proven and predictions were wanted: which statements decided, and how to mend it."""
    requests: tuple[str, ...] = ()
    """The request ids of all that it rests on: its cells, their controls, key readings."""
    records: Recorded | None = None
    """What AWS's own records say of these, where they were asked."""

    @property
    def ended(self) -> str:
        """The verdict in words: what is proven and did not pass left something uncovered in a strict run."""
        return GAPS if self.verdict is Verdict.PROVEN and not self.passed else self.verdict.value

    @property
    def look_at(self) -> str:
        """Where what refutes it stands, or what will say so; where gaps failed it: what is to be done."""
        if self.ended == GAPS:
            return (
                "what is not covered: cover it, or accept it in the claim's `accepts` by the names that end its lines"
            )
        if self.verdict is not Verdict.REFUTED:
            return ""
        decided = (one.predicted.stands for one in self.explanations)
        settings = (f"{row.name} of {self.bucket}" for row in self.evidence if row.status is Status.BAD and row.fix)
        unexplained = [self._asked] if self.cells and not self.explanations else []
        return "; ".join(dict.fromkeys((*decided, *settings, *unexplained)))

    @property
    def fixes(self) -> tuple[str, ...]:
        """What mends the settings that refute it; of cells their explanations say that."""
        return tuple(row.fix for row in self.evidence if row.status is Status.BAD and row.fix)

    @property
    def _asked(self) -> str:
        """What explains its cells."""
        plain = next((name for name in self.cells if "+" not in name.partition("/")[0]), None)  # without parameters
        asked = self.id if self.place is not None and self.place.path.endswith(".yaml") else plain
        if asked is None:
            return "a run with --s3vpce-predict names the statement that decided"
        return f"`s3vpce why {asked}` names the statement that decided, and so does a run with --s3vpce-predict"


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
    inventory: str = ""
    """The inventory's file."""
    accounts: tuple[AccountResult, ...] = ()
    buckets: tuple[BucketResult, ...] = ()
    endpoints: tuple[EndpointResult, ...] = ()
    controls: tuple[CellResult, ...] = ()
    """What claims and forms sent besides the cells, without an expectation: the evidence of findings."""
    readings: tuple[Reading, ...] = ()
    """The key readings by which paths were told."""

    shards: tuple[str, ...] = ()
    """The parts of a run that it holds, such as `1/3`; none where it was not parted."""
    whole: str = ""
    """A digest of all that is parted: the tests, and the files that declare them."""
    unmeasured: tuple[str, ...] = ()
    """What was to be measured and is not in here, and why."""

    def to_json(self) -> str:
        """As text of format FORMAT."""
        return stored().text(self)

    def plain(self) -> dict[str, Any]:
        """As values that JSON has."""
        found: dict[str, Any] = stored().plain(self)
        return found

    @classmethod
    def from_json(cls, text: str) -> Matrix:
        """Back from `to_json`; RunError where it is no report, or one of another format."""
        return stored().read(text)


@cache
def stored() -> Stored[Matrix]:
    """The report's file."""
    return Stored(
        Matrix,
        "report",
        FORMAT,
        "A report of pytest-s3vpce",
        writer="`--s3vpce-report=FILE.json`",
        older=("s3vpce-report/1",),
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of a report of format FORMAT."""
    return stored().schema()
