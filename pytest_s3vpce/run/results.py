"""From what a run saw to the matrix: cells against their expectations, claims with verdict, evidence and coverage."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_s3vpce import __version__
from pytest_s3vpce.calibration import LIVE, NONE
from pytest_s3vpce.claims import Results, verdict_of
from pytest_s3vpce.claims.gaps import sorted_out
from pytest_s3vpce.claims.judging import findings_of, gaps_of, with_ways
from pytest_s3vpce.claims.paths import way_of
from pytest_s3vpce.matrix import (
    AccountResult,
    BucketResult,
    CellResult,
    ClaimResult,
    Coverage,
    EndpointResult,
    Evidence,
    Judged,
    Matrix,
    Reading,
    Received,
    Sent,
    Timings,
    VantageResult,
    Verdict,
)
from pytest_s3vpce.model import Expect, Outcome, OutcomeKind
from pytest_s3vpce.operations import operation
from pytest_s3vpce.probe import Probe
from pytest_s3vpce.redaction import header_pairs, scrubbed, without_secrets
from pytest_s3vpce.run.between import between
from pytest_s3vpce.run.controlled import Controlled
from pytest_s3vpce.run.hints import hint_of
from pytest_s3vpce.run.leaning import leant_on
from pytest_s3vpce.run.readings import asked_by, is_reading
from pytest_s3vpce.run.world import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from pytest_s3vpce.claimbase import ClaimSpec
    from pytest_s3vpce.claims import BucketFacts, Claim, EndpointFacts, Setting
    from pytest_s3vpce.expectations import ExpectedCell
    from pytest_s3vpce.model import Answer, Cell, SignedRequest
    from pytest_s3vpce.run.observed import Observed
    from pytest_s3vpce.run.world import Location, World

_SUCCESSES = range(200, 300)


def matrix_of(
    seen: Observed,
    *,
    cells: Sequence[ExpectedCell],
    claims: Sequence[tuple[ClaimSpec, Claim]],
    setting: Setting,
    places: Mapping[str, Location],
    world: World,
    mode: str,
    started: float,
    strict: bool,
) -> Matrix:
    """The matrix of one run. With `strict`, a denial that nothing controls and a gap in coverage fail as well."""
    run = _Run(seen=seen, setting=setting, world=world, places=places, strict=strict)
    matrix = Matrix(
        mode=mode,
        run_id=world.run_id,
        version=__version__,
        started=round(started, 3),
        seconds=round(time.time() - started, 3),
        cells=tuple(map(run.cell, cells)),
        claims=tuple(run.claim(spec, claim) for spec, claim in claims),
        vantages=run.vantages,
        notes=tuple(_notes(seen, mode)),
        inventory=str(world.inventory.path),
        accounts=run.accounts,
        buckets=tuple(map(_bucket, setting.buckets.values())),
        endpoints=tuple(map(run.endpoint, setting.endpoints.values())),
        controls=tuple(run.controls({row.cell for row in cells})),
        readings=tuple(run.readings()),
    )
    return without_secrets(matrix)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What the rows of one run's matrix are made of."""

    seen: Observed
    setting: Setting
    world: World
    places: Mapping[str, Location]
    strict: bool

    @cached_property
    def results(self) -> Results:
        return self.seen.results()

    @cached_property
    def vantages(self) -> tuple[VantageResult, ...]:
        return tuple(map(self._vantage, dict.fromkeys(probe.cell.vantage for probe in self.seen.outcomes)))

    @cached_property
    def accounts(self) -> tuple[AccountResult, ...]:
        """Those that the run had to do with: another one's references need not be known."""
        named = [row.account for row in self.setting.buckets.values()]
        named += [row.account for row in self.vantages if row.account is not None]
        return tuple(map(self._account, dict.fromkeys(named)))

    @cached_property
    def _paths(self) -> Mapping[str, str | None]:
        return {row.name: row.path for row in self.vantages}

    @cached_property
    def _control(self) -> Controlled:
        return Controlled.of(self.setting, self.results)

    def cell(self, row: ExpectedCell) -> CellResult:
        """A declared one."""
        cell, probe = row.cell, Probe(cell=row.cell)
        counted = self.seen.counted[probe]
        if counted.allowed and not self.results.calibrated(cell):
            counted = Outcome(kind=OutcomeKind.INCONCLUSIVE, code=counted.code, reason=self._untold(cell.operation))
        controlled = self._controlled(probe, counted)
        passed = counted.kind in row.expect.met_by and not (self.strict and controlled is False)
        hint = "" if passed else self._hint(row, counted, controlled=controlled)
        return self._result(
            probe, counted, controlled=controlled, expect=row.expect, passed=passed, hint=hint, place=row.place
        )

    def controls(self, declared: AbstractSet[Cell]) -> Iterator[CellResult]:
        """What was sent besides the declared cells, but for readings; nothing is expected of it."""
        for probe in self.seen.outcomes:
            if probe.cell not in declared and not probe.canary_range and not is_reading(probe, self.setting):
                counted = self.seen.counted[probe]
                yield self._result(probe, counted, controlled=self._controlled(probe, counted))

    def readings(self) -> Iterator[Reading]:
        for probe, outcome in self.seen.outcomes.items():
            if not probe.canary_range and is_reading(probe, self.setting):
                answer = self.seen.answers.get(probe)
                yield Reading(
                    cell=probe.cell.id,
                    bucket=probe.cell.label,
                    vantage=probe.cell.vantage,
                    outcome=outcome.kind,
                    asks=asked_by(probe.session_policy),
                    request_id=None if answer is None else answer.request_id,
                    tls=None if answer is None else answer.tls,
                )

    def claim(self, spec: ClaimSpec, claim: Claim) -> ClaimResult:
        findings = findings_of(claim, self.setting, self.results)
        verdict, sentence, cells = verdict_of(findings)
        coverage = coverage_of(spec, claim, with_ways(claim, self.setting, self.results))
        answers = (self.seen.answers.get(probe) for probe in claim.probes(self.setting))
        return ClaimResult(
            id=spec.id,
            kind=spec.kind,
            bucket=spec.bucket,
            verdict=verdict,
            sentence=sentence,
            cells=cells,
            evidence=tuple(
                Evidence(
                    kind=row.kind.value,
                    name=row.name,
                    status=row.status,
                    sentence=row.sentence,
                    cell=row.cell,
                    fix=row.fix,
                )
                for row in findings
            ),
            coverage=coverage,
            passed=verdict is Verdict.PROVEN and not (self.strict and coverage.gaps),
            place=spec.place,
            requests=_in_order(answer.request_id for answer in answers if answer is not None and answer.request_id),
        )

    def endpoint(self, row: EndpointFacts) -> EndpointResult:
        name = next((account.name for account in self.accounts if account.id == row.account_id), row.account_id)
        return EndpointResult(
            id=row.id,
            vpc=row.vpc,
            account=name,
            type=row.type,
            name=row.name,
            route_tables=row.route_tables,
            subnets=row.subnets,
            private_dns=row.private_dns,
        )

    def _account(self, name: str) -> AccountResult:
        return AccountResult(name=name, id=self.world.account_id(name), region=self.world.accounts.region(name))

    def _vantage(self, name: str) -> VantageResult:
        seen, inventory = self.seen, self.world.inventory
        row, place = inventory.vantage_points[name], self.places.get(name, NOWHERE)
        candidates = {*self.setting.vantage_endpoints.get(name, ()), *self.setting.endpoints}
        path = way_of(self.setting, self.results, name, region=place.region, candidates=sorted(candidates))
        mine = [why for probe, why in seen.refusals.items() if probe.cell.vantage == name]
        # Whose credentials fail besides is not the reason.
        mine.sort(key=lambda why: f"vantage point `{name}`" not in why)
        everything = all(probe in seen.refusals for probe in seen.outcomes if probe.cell.vantage == name)
        return VantageResult(
            name=name,
            kind=row.kind,
            path=path if path is None else path or "none",
            error=mine[0] if mine and everything else None,
            account=None if row.settled is None else row.account or inventory.default_account,
            vpc=place.vpc,
            subnets=place.subnets,
        )

    def _result(self, probe: Probe, counted: Outcome, **more: Any) -> CellResult:
        """A probe's request and answer, as a cell."""
        seen = self.seen
        outcome = seen.outcomes[probe]
        measured = judged(outcome)
        return result_of(
            probe.cell,
            measured=measured,
            counted=measured if counted is outcome else judged(counted),
            sent=_sent(seen.requests.get(probe)),
            received=_received(seen.answers.get(probe)),
            **more,
        )

    def _controlled(self, probe: Probe, counted: Outcome) -> bool | None:
        """Of a denial: whether the run shows that it means something."""
        return self._control.holds(probe) if counted.denied else None

    def _untold(self, operation: str) -> str:
        if self.results.calibration.settles(operation) is False:
            made = self.results.calibration.made
            return f"it looks allowed, but the calibration of {made} says that its form does not tell"
        return "it looks allowed, but its form is inferred and no denied caller got another answer in this run"

    def _hint(self, row: ExpectedCell, counted: Outcome, *, controlled: bool | None) -> str:
        return hint_of(
            row,
            counted,
            self.setting,
            inventory=self.world.inventory,
            path=self._paths.get(row.cell.vantage),
            controlled=controlled,
        )


def _notes(seen: Observed, mode: str) -> Iterable[str]:
    yield from (sentence for same, sentence in (*seen.canaries.values(), *seen.policies.values()) if not same)
    yield from _alarms(seen)
    yield from between(seen, certified=mode == LIVE)
    yield from _leaning(seen, mode)


def _bucket(row: BucketFacts) -> BucketResult:
    return BucketResult(label=row.label, name=row.name, account=row.account, region=row.region)


def _alarms(seen: Observed) -> Iterable[str]:
    """Writes that went through, although their form is one that everybody is refused."""
    for probe, answer in seen.answers.items():
        cell, row = probe.cell, operation(probe.cell.operation)
        if not row.writes or row.safe is None or cell.mutating or answer.status not in _SUCCESSES:
            continue
        outcome = seen.outcomes[probe]
        listed = {str(answer.status), f"{answer.status} {outcome.code}"} & {*row.safe.authorised}
        if outcome.allowed and not listed:
            says = "although its form should be refused to everybody: look what it changed, and what answers there"
            yield f"{cell.id} SUCCEEDED with {answer.status}, {says}"


def _leaning(seen: Observed, mode: str) -> Iterable[str]:
    """How far what this run takes for true was checked; in the lab it is true."""
    if mode == LIVE or seen.calibration is not NONE:
        line = seen.calibration.leaning(leant_on(seen.outcomes))
        yield from [line] if line else []


def result_of(
    cell: Cell,
    *,
    measured: Judged,
    counted: Judged,
    expect: Expect | None = None,
    passed: bool | None = None,
    **more: Any,
) -> CellResult:
    """What a cell gave; one of which nothing is expected is a control."""
    return CellResult(
        id=cell.id,
        operation=cell.operation,
        action=cell.action,
        variant=cell.variant,
        bucket=cell.label,
        principal=cell.principal,
        vantage=cell.vantage,
        transport=cell.transport,
        expect=expect,
        measured=measured,
        counted=counted,
        passed=passed,
        **more,
    )


def judged(outcome: Outcome) -> Judged:
    return Judged(
        outcome=outcome.kind,
        layer=outcome.layer,
        explicit=outcome.explicit,
        action=outcome.action,
        code=outcome.code,
        message=outcome.message,
        reason=outcome.reason,
    )


def _sent(request: SignedRequest | None) -> Sent | None:
    if request is None:
        return None
    return Sent(
        method=request.method,
        url=scrubbed(request.url),
        signed_at=round(request.signed_at, 3),
        headers=header_pairs(request.headers),
        body_bytes=len(request.body),
    )


def _received(answer: Answer | None) -> Received | None:
    if answer is None:
        return None
    timings = {name: round(seconds, 6) for name, seconds in answer.timings.items()}
    return Received(
        status=answer.status,
        request_id=answer.request_id,
        failure=answer.failure.value if answer.failure else None,
        detail=answer.detail,
        peer=answer.peer,
        local=answer.local,
        tls=answer.tls,
        seconds=timings.get("total"),
        headers=header_pairs(answer.headers.items()),
        dns=answer.dns,
        cipher=answer.cipher,
        timings=Timings(**{row.name: timings.get(row.name) for row in fields(Timings)}),
    )


def coverage_of(spec: ClaimSpec, claim: Claim, setting: Setting) -> Coverage:
    """What the claim tried on its bucket, and what it knows it did not try."""
    tried = [probe.cell for probe in claim.probes(setting) if probe.cell.target.bucket == spec.bucket]
    bucket = setting.buckets[spec.bucket]
    principals = _in_order(cell.principal for cell in tried)
    gaps, accepted = sorted_out(gaps_of(claim, setting), claim.accepts)
    return Coverage(
        principals=principals,
        operations=_in_order(cell.operation for cell in tried),
        keys=_in_order(cell.target.key or bucket.key for cell in tried if operation(cell.operation).on_object),
        hosts=(bucket.name,),
        vantages=_in_order(cell.vantage for cell in tried),
        gaps=gaps,
        accepted=accepted,
    )


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
