"""Claims asked about without a run: what each would send is predicted from a snapshot, judged and explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.claims import EndpointFacts, Results, verdict_of
from pytest_s3vpce.claims.findings import Kind
from pytest_s3vpce.matrix import ClaimResult, Evidence, Expected, Matrix, Status, Verdict
from pytest_s3vpce.model import Layer, Outcome, OutcomeKind
from pytest_s3vpce.network.topology import Topology
from pytest_s3vpce.predict import Predictor
from pytest_s3vpce.run.asking import taken
from pytest_s3vpce.run.planes import world_of
from pytest_s3vpce.run.predicting import with_predictions
from pytest_s3vpce.run.readings import is_reading
from pytest_s3vpce.run.results import judged, result_of
from pytest_s3vpce.run.world import Described
from pytest_s3vpce.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_s3vpce.claimbase import ClaimSpec
    from pytest_s3vpce.claims.findings import Finding
    from pytest_s3vpce.expectations import Plan
    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.predict import Prediction
    from pytest_s3vpce.run.environment import Environment
    from pytest_s3vpce.snapshot import Snapshot

_OPEN: Final = '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}'
"""The policy of an endpoint that was given none.
https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html"""
_OWN: Final = (Kind.POSITIVE, Kind.NEGATIVE)


def why(
    spec: ClaimSpec, plan: Plan, inventory: Inventory, environment: Environment, *, snapshot: Snapshot | None
) -> str:
    """What the claim's own requests would give, and why those that should not, in lines. Without a snapshot of now.

    Never that it is proven: that takes what S3 itself answers.
    """
    world = world_of(inventory, environment, run_id="snapshot")
    claim = world.claim(spec)
    if snapshot is None:
        bare = world.setting(Described(), principals=())
        snapshot = taken(inventory, environment, cells=[probe.cell for probe in claim.probes(bare)])
    setting = world.setting(_described(snapshot), principals=())
    predictor = Predictor(snapshot, calibration=world.calibration)
    probes = tuple(dict.fromkeys(claim.probes(setting)))
    outcomes = {probe: _outcome(predictor.predict(probe.cell, policy=probe.session_policy)) for probe in probes}
    there = dict.fromkeys(setting.buckets, (True, ""))
    findings = claim.judge(setting, Results(outcomes=outcomes, canaries=there, calibration=world.calibration))
    sent = {probe.cell: judged(outcome) for probe, outcome in outcomes.items() if not is_reading(probe, setting)}
    matrix = Matrix(
        mode=snapshot.mode,
        run_id="",
        version="",
        started=snapshot.taken_at,
        seconds=0.0,
        claims=(_result(spec, findings),),
        controls=tuple(result_of(cell, measured=found, counted=found) for cell, found in sent.items()),
    )
    told = with_predictions(
        matrix,
        plan.cells,
        snapshot,
        session_name=None,
        calibration=world.calibration,
        sent={cell.id: cell for cell in sent},
    )
    return "\n".join(_lines(told.claims[0], findings))


def _described(snapshot: Snapshot) -> Described:
    """The endpoints of the snapshot's networks, and those in the VPC of each vantage point."""
    networks = [row.topology for row in snapshot.networks if isinstance(row.topology, Topology)]
    vpcs = {subnet.id: subnet.vpc_id for network in networks for subnet in network.subnets}
    rows = [row for network in networks for row in network.endpoints if row.serves("s3", region=network.region)]
    endpoints = {
        row.id: EndpointFacts(
            id=row.id, vpc=row.vpc_id, account_id=row.account, type=row.kind.value, policy=row.policy or _OPEN
        )
        for row in rows
    }
    at = {vantage.name: {vpcs.get(subnet) for subnet in vantage.subnets} for vantage in snapshot.vantages}
    return Described(
        endpoints=endpoints,
        vantage_endpoints={
            name: tuple(sorted(row.id for row in rows if row.vpc_id in there)) for name, there in at.items() if there
        },
    )


def _outcome(found: Prediction) -> Outcome:
    """What S3 would answer, as if it had; a layer that it would not name to others is known here."""
    kind = found.expected.outcome or OutcomeKind.INCONCLUSIVE
    named = found.layer if kind is OutcomeKind.DENIED else None
    return Outcome(
        kind=kind,
        layer=Layer(named) if named in list(Layer) else None,
        explicit=found.expected is Expected.EXPLICIT_DENY,
        reason=found.why or f"predicted {found.expected.value}",
    )


def _result(spec: ClaimSpec, findings: Sequence[Finding]) -> ClaimResult:
    verdict, sentence, cells = verdict_of(findings)
    return ClaimResult(
        id=spec.id,
        kind=spec.kind,
        bucket=spec.bucket,
        verdict=verdict if verdict is Verdict.REFUTED else Verdict.INCONCLUSIVE,
        sentence=sentence,
        cells=cells,
        evidence=tuple(
            Evidence(
                kind=row.kind.value, name=row.name, status=row.status, sentence=row.sentence, cell=row.cell, fix=row.fix
            )
            for row in findings
        ),
        place=spec.place,
    )


def _lines(found: ClaimResult, findings: Sequence[Finding]) -> Iterator[str]:
    own = [row for row in findings if row.kind in _OWN]
    good = sum(row.status is Status.GOOD for row in own)
    if found.verdict is Verdict.REFUTED:
        yield f"{found.id}: predicted to be refuted: {found.sentence}"
    else:
        yield f"{found.id}: {good} of {counted(len(own), 'request')} predicted as they must be; a run measures them"
    for one in found.explanations:
        yield f"why {one.of}:"
        yield from (f"  {line}" for line in one.predicted.explanation)
    told = {name for one in found.explanations for name in one.cells}
    missing = (row.sentence for row in own if row.status is Status.MISSING and row.cell not in told)
    yield from (f"missing: {sentence}" for sentence in dict.fromkeys(missing))
