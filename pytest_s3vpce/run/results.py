"""From what a run saw to the matrix: cells against their expectations, claims with verdict, evidence and coverage."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from pytest_s3vpce import __version__
from pytest_s3vpce.calibration import LIVE, NONE
from pytest_s3vpce.claims import Results, verdict_of
from pytest_s3vpce.claims.gaps import sorted_out
from pytest_s3vpce.claims.judging import findings_of, gaps_of, with_ways
from pytest_s3vpce.claims.paths import way_of
from pytest_s3vpce.claims.readings import limited
from pytest_s3vpce.claims.setting import allowances
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
from pytest_s3vpce.run.hints import hint_of
from pytest_s3vpce.run.leaning import leant_on
from pytest_s3vpce.run.readings import asked_by
from pytest_s3vpce.run.world import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from pytest_s3vpce.calibration import Calibration
    from pytest_s3vpce.claimbase import ClaimSpec
    from pytest_s3vpce.claims import BucketFacts, Claim, EndpointFacts, Setting
    from pytest_s3vpce.expectations import ExpectedCell
    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.model import Answer, Cell, SignedRequest
    from pytest_s3vpce.run.observed import Observed
    from pytest_s3vpce.run.world import Location, World

_SUCCESSES = range(200, 300)
_MEETS = {
    Expect.ALLOW: frozenset({OutcomeKind.ALLOWED}),
    Expect.DENY: frozenset({OutcomeKind.DENIED}),
    Expect.UNREACHABLE: frozenset({OutcomeKind.UNREACHABLE}),
    Expect.BLOCKED: frozenset({OutcomeKind.DENIED, OutcomeKind.UNREACHABLE}),
}


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
    results = seen.results()
    vantages = list(dict.fromkeys(probe.cell.vantage for probe in seen.outcomes))
    rows = [_vantage(name, setting, results, world, seen, place=places.get(name, NOWHERE)) for name in vantages]
    paths = {row.name: row.path for row in rows}
    accounts = [_account(name, world) for name in _accounts(setting, rows)]
    reached = _reached(results)
    matrix = Matrix(
        mode=mode,
        run_id=world.run_id,
        version=__version__,
        started=round(started, 3),
        seconds=round(time.time() - started, 3),
        cells=tuple(
            _cell(row, seen, setting, results, inventory=world.inventory, strict=strict, paths=paths, reached=reached)
            for row in cells
        ),
        claims=tuple(_claim(spec, claim, setting, results, seen, strict=strict) for spec, claim in claims),
        vantages=tuple(rows),
        notes=tuple(_notes(seen, mode)),
        inventory=str(world.inventory.path),
        accounts=tuple(accounts),
        buckets=tuple(map(_bucket, setting.buckets.values())),
        endpoints=tuple(_endpoint(row, accounts) for row in setting.endpoints.values()),
        controls=tuple(_controls(seen, {row.cell for row in cells}, setting, reached)),
        readings=tuple(_readings(seen, setting)),
    )
    return without_secrets(matrix)


def _notes(seen: Observed, mode: str) -> Iterable[str]:
    yield from (sentence for same, sentence in (*seen.canaries.values(), *seen.policies.values()) if not same)
    yield from _alarms(seen)
    yield from between(seen, certified=mode == LIVE)
    yield from _leaning(seen, mode)


def _bucket(row: BucketFacts) -> BucketResult:
    return BucketResult(label=row.label, name=row.name, account=row.account, region=row.region)


def _controls(
    seen: Observed, declared: AbstractSet[Cell], setting: Setting, reached: frozenset[tuple[str, str]]
) -> Iterable[CellResult]:
    """What was sent besides the declared cells, but for readings."""
    for probe in seen.outcomes:
        if probe.cell not in declared and not probe.canary_range and not _is_reading(probe, setting):
            yield _measured(probe, seen, seen.counted[probe], setting, reached)


def _readings(seen: Observed, setting: Setting) -> Iterable[Reading]:
    for probe, outcome in seen.outcomes.items():
        if not probe.canary_range and _is_reading(probe, setting):
            answer = seen.answers.get(probe)
            yield Reading(
                cell=probe.cell.id,
                bucket=probe.cell.label,
                vantage=probe.cell.vantage,
                outcome=outcome.kind,
                asks=asked_by(probe.session_policy),
                request_id=None if answer is None else answer.request_id,
                tls=None if answer is None else answer.tls,
            )


def _is_reading(probe: Probe, setting: Setting) -> bool:
    """Whether its session policy asks something; over plain http one only limits the session."""
    if not probe.session_policy:
        return False
    bucket = setting.buckets[probe.cell.target.bucket]
    return probe.session_policy != limited(allowances(probe, bucket))


def _measured(
    probe: Probe, seen: Observed, counted: Outcome, setting: Setting, reached: frozenset[tuple[str, str]]
) -> CellResult:
    """A probe's request and answer, as a cell that nothing is expected of."""
    cell = probe.cell
    return CellResult(
        id=cell.id,
        operation=cell.operation,
        action=cell.action,
        variant=cell.variant,
        bucket=cell.label,
        principal=cell.principal,
        vantage=cell.vantage,
        transport=cell.transport,
        expect=None,
        measured=judged(seen.outcomes[probe]),
        counted=judged(counted),
        passed=None,
        controlled=is_controlled(cell.principal, cell.vantage, setting, reached) if counted.denied else None,
        sent=_sent(seen.requests.get(probe)),
        received=_received(seen.answers.get(probe)),
    )


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


def _untold(calibration: Calibration, operation: str) -> str:
    if calibration.settles(operation) is False:
        return f"it looks allowed, but the calibration of {calibration.made} says that its form does not tell"
    return "it looks allowed, but its form is inferred and no denied caller got another answer in this run"


def _accounts(setting: Setting, vantages: Sequence[VantageResult]) -> Iterable[str]:
    """Those that the run had to do with: another one's references need not be known."""
    named = [row.account for row in setting.buckets.values()]
    return dict.fromkeys([*named, *(row.account for row in vantages if row.account is not None)])


def _account(name: str, world: World) -> AccountResult:
    return AccountResult(name=name, id=world.account_id(name), region=world.accounts.region(name))


def _endpoint(row: EndpointFacts, accounts: Sequence[AccountResult]) -> EndpointResult:
    name = next((account.name for account in accounts if account.id == row.account_id), row.account_id)
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


def _vantage(
    name: str, setting: Setting, results: Results, world: World, seen: Observed, *, place: Location
) -> VantageResult:
    row = world.inventory.vantage_points[name]
    candidates = {*setting.vantage_endpoints.get(name, ()), *setting.endpoints}
    path = way_of(setting, results, name, region=place.region, candidates=sorted(candidates))
    mine = [why for probe, why in seen.refusals.items() if probe.cell.vantage == name]
    mine.sort(key=lambda why: f"vantage point `{name}`" not in why)  # whose credentials fail besides is not the reason
    everything = all(probe in seen.refusals for probe in seen.outcomes if probe.cell.vantage == name)
    return VantageResult(
        name=name,
        kind=row.kind,
        path=path if path is None else path or "none",
        error=mine[0] if mine and everything else None,
        account=None if row.settled is None else row.account or world.inventory.default_account,
        vpc=place.vpc,
        subnets=place.subnets,
    )


def _cell(
    row: ExpectedCell,
    seen: Observed,
    setting: Setting,
    results: Results,
    *,
    inventory: Inventory,
    strict: bool,
    paths: dict[str, str | None],
    reached: frozenset[tuple[str, str]],
) -> CellResult:
    probe = Probe(cell=row.cell)
    cell, counted = row.cell, seen.counted[probe]
    calibrated = not counted.allowed or results.calibrated(cell)
    if not calibrated:
        counted = Outcome(
            kind=OutcomeKind.INCONCLUSIVE,
            code=counted.code,
            reason=_untold(results.calibration, cell.operation),
        )
    result = _measured(probe, seen, counted, setting, reached)
    met = counted.kind in _MEETS[row.expect]
    passed = met and not (strict and result.controlled is False)
    return replace(
        result,
        expect=row.expect,
        passed=passed,
        hint=""
        if passed
        else hint_of(
            row, counted, setting, inventory=inventory, path=paths.get(cell.vantage), controlled=result.controlled
        ),
        place=row.place,
    )


def _reached(results: Results) -> frozenset[tuple[str, str]]:
    """Who was allowed anything, and from where."""
    return frozenset(
        (probe.cell.principal, probe.cell.vantage) for probe, outcome in results.outcomes.items() if outcome.allowed
    )


def is_controlled(principal: str, vantage: str, setting: Setting, reached: frozenset[tuple[str, str]]) -> bool:
    """Whether the run shows that the principal reaches S3 from there with good credentials; `anonymous`: any role."""
    if (principal, vantage) in reached:
        return True
    roles = setting.roles() if setting.principals[principal].anonymous else ()
    return any((role, vantage) in reached for role in roles)


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


def _claim(
    spec: ClaimSpec, claim: Claim, setting: Setting, results: Results, seen: Observed, *, strict: bool
) -> ClaimResult:
    findings = findings_of(claim, setting, results)
    verdict, sentence, cells = verdict_of(findings)
    coverage = coverage_of(spec, claim, with_ways(claim, setting, results))
    passed = verdict is Verdict.PROVEN and not (strict and coverage.gaps)
    return ClaimResult(
        id=spec.id,
        kind=spec.kind,
        bucket=spec.bucket,
        verdict=verdict,
        sentence=sentence,
        cells=cells,
        evidence=tuple(
            Evidence(kind=row.kind.value, name=row.name, status=row.status, sentence=row.sentence, cell=row.cell)
            for row in findings
        ),
        coverage=coverage,
        passed=passed,
        place=spec.place,
        requests=_in_order(
            answer.request_id
            for probe in claim.probes(setting)
            if (answer := seen.answers.get(probe)) is not None and answer.request_id
        ),
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
