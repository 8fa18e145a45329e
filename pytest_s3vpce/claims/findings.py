"""What a claim finds, cell by cell: positives, negatives and controls; good, bad (a counterexample) or missing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from pytest_s3vpce.claims.claim import CALLERS, OWNERS
from pytest_s3vpce.claims.encryptions import words
from pytest_s3vpce.claims.readings import BASELINE, ENDPOINT, IMPOSSIBLE, NO_ENDPOINT, Hypothesis
from pytest_s3vpce.claims.setting import make_probe
from pytest_s3vpce.matrix import Status
from pytest_s3vpce.model import Cell, Layer, Outcome, Transport
from pytest_s3vpce.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.probe import Probe


class Kind(StrEnum):
    """What a finding is about: the claim's own cells (positive, negative) or a control of theirs."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    REACH = "reach"
    LAYER = "layer"
    PATH = "path"
    CALIBRATION = "calibration"
    CANARY = "canary"
    CONFIGURATION = "configuration"
    TAG = "tag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that must hold, and whether it did. `cell` is the id of the cell concerned, if it is one."""

    kind: Kind
    name: str
    status: Status
    sentence: str
    cell: str = ""
    fix: str = ""
    """Of a setting that is not as it must be: what mends it."""


def readings_of(
    setting: Setting,
    bucket: str,
    *,
    principals: Iterable[str],
    vantage: str,
    hypotheses: Iterable[Hypothesis],
    transport: Transport = Transport.HTTPS,
    key: tuple[str, str] | None = None,
) -> Iterator[Probe]:
    """The probes of key readings on a bucket's canary (each principal's own control bucket where `bucket` is empty).

    With `key`, its name and itself, on that object.
    """
    for principal in principals:
        label = bucket or _control_label(setting, principal)
        for hypothesis in (BASELINE, IMPOSSIBLE, *hypotheses):
            yield make_probe(
                "GetObject",
                label,
                principal=principal,
                vantage=vantage,
                transport=transport,
                session_policy=hypothesis.policy,
                key=key,
            )


def shown(
    setting: Setting,
    results: Results,
    hypothesis: Hypothesis,
    *,
    bucket: str,
    principals: Iterable[str],
    vantage: str,
    transport: Transport = Transport.HTTPS,
    key: tuple[str, str] | None = None,
) -> bool:
    """Whether any principal's reading showed that the hypothesis is true."""
    for principal in principals:
        rows = readings_of(
            setting,
            bucket,
            principals=[principal],
            vantage=vantage,
            hypotheses=[hypothesis],
            transport=transport,
            key=key,
        )
        baseline, impossible, reading = (results.outcome(probe) for probe in rows)
        if baseline.allowed and impossible.denied and reading.allowed:
            return True
    return False


def outside_readers(setting: Setting) -> tuple[str, ...]:
    """Who reads the paths of outside vantage points: every declared role with a control bucket to read."""
    return setting.readers()


def outside_hypotheses(setting: Setting, vantage: str, endpoints: Sequence[str]) -> tuple[Hypothesis, ...]:
    """None of the named, none at all, and each candidate: the named ones and those described in its VPC."""
    candidates = dict.fromkeys((*endpoints, *setting.vantage_endpoints.get(vantage, ())))
    named = (ENDPOINT.none_of(endpoints),) if endpoints else ()
    return (*named, NO_ENDPOINT, *(ENDPOINT.exactly(endpoint) for endpoint in candidates))


def path_read(setting: Setting, results: Results, vantage: str, *, candidates: Iterable[str]) -> str | None:
    """What the control bucket showed of a vantage point's path: an endpoint's id, `` for none, None for unknown.

    Unknown as well where two readings contradict each other: then requests from there go now one way and now another.
    """
    found = ways_read(setting, results, vantage, candidates=candidates)
    return found[0] if len(found) == 1 else None


def ways_read(setting: Setting, results: Results, vantage: str, *, candidates: Iterable[str]) -> tuple[str, ...]:
    """Each way that the control bucket showed: endpoints' ids, `` for none."""
    readers = outside_readers(setting)
    ways = {"": NO_ENDPOINT, **{endpoint: ENDPOINT.exactly(endpoint) for endpoint in candidates}}
    return tuple(
        name
        for name, way in ways.items()
        if shown(setting, results, way, bucket="", principals=readers, vantage=vantage)
    )


def reach_probe(
    setting: Setting, *, principal: str, vantage: str, transport: Transport, session_policy: str = ""
) -> Probe | None:
    """The read of the control bucket that shows reach and credentials; None where no control bucket is declared."""
    control = setting.control(principal)
    if control is None:
        return None
    return make_probe(
        "GetObject",
        control.label,
        principal=principal,
        vantage=vantage,
        transport=transport,
        session_policy=session_policy,
    )


def reach_probes(setting: Setting, *, principal: str, vantage: str, transport: Transport) -> tuple[Probe, ...]:
    """Reach of a principal; for `anonymous` any role's allowed read there shows it."""
    who = setting.roles_with_control() if setting.principals[principal].anonymous else (principal,)
    found = (reach_probe(setting, principal=name, vantage=vantage, transport=transport) for name in who)
    return tuple(probe for probe in found if probe is not None)


def head_probes(setting: Setting, probe: Probe) -> tuple[Probe, ...]:
    """HEAD requests to the control bucket, where the probe is one: its refusal has no body that tells why.

    What is on the way may answer them itself, or send a GET, whose signature is another.
    """
    cell = probe.cell
    if not OPERATIONS[cell.operation].api_name.startswith("Head"):
        return ()
    found = reach_probes(setting, principal=cell.principal, vantage=cell.vantage, transport=cell.transport)
    return tuple(
        make_probe(
            "HeadObject",
            row.cell.target.bucket,
            principal=row.cell.principal,
            vantage=row.cell.vantage,
            transport=row.cell.transport,
        )
        for row in found
    )


def reach(setting: Setting, results: Results, probes: Sequence[Probe], *, principal: str, vantage: str) -> Finding:
    """Good if one of the control reads was allowed."""
    name = f"reach {principal}:{vantage}"
    if not probes:
        account = setting.principals[principal].account
        return Finding(
            kind=Kind.REACH,
            name=name,
            status=Status.MISSING,
            sentence=f"no control bucket is declared for account {account}, so a denial at {vantage} proves nothing",
        )
    for probe in probes:
        if results.allowed(probe):
            return Finding(
                kind=Kind.REACH,
                name=name,
                status=Status.GOOD,
                sentence=f"{probe.cell.who} reads the control bucket over {probe.cell.transport.value}",
                cell=probe.cell.id,
            )
    outcome = results.outcome(probes[0])
    return Finding(
        kind=Kind.REACH,
        name=name,
        status=Status.MISSING,
        sentence=f"{probes[0].cell.who} could not be shown to reach S3 over {probes[0].cell.transport.value} with good "
        f"credentials: its control bucket gave {describe(outcome)}",
        cell=probes[0].cell.id,
    )


def describe(outcome: Outcome) -> str:
    """An outcome in a few words: `denied by vpc_endpoint (AccessDenied)`."""
    layer = f" by {outcome.layer.value}" if outcome.layer else ""
    detail = outcome.code or outcome.reason
    return f"{outcome.kind.value}{layer}" + (f" ({detail})" if detail else "")


def positive(results: Results, probe: Probe, *, controls: Finding, cause: str = "", doubt: str = "") -> Finding:
    """A cell that must be allowed. A denial refutes only if reach and credentials were shown from the same place.

    `doubt`: why its answer is none to the request that it stands for.
    """
    outcome = results.outcome(probe)
    cell = probe.cell
    name = f"allowed {what_of(cell)}"
    if doubt and (outcome.allowed or outcome.denied):
        status, sentence = Status.MISSING, f"{what_of(cell)} was {describe(outcome)}, but {doubt}"
    elif outcome.allowed and results.calibrated(cell):
        status, sentence = Status.GOOD, f"{what_of(cell)} was allowed"
    elif outcome.allowed:
        status = Status.MISSING
        sentence = f"{what_of(cell)} looks allowed, but its probe form is inferred and was not calibrated"
    elif outcome.denied and controls.status is Status.GOOD and not _canary_known(results, cell):
        status = Status.MISSING
        sentence = f"{what_of(cell)} was {describe(outcome)}, but its canary was not shown to be there"
    elif outcome.denied and controls.status is Status.GOOD:
        because = f"; {cause}" if cause else ""
        status, sentence = (
            Status.BAD,
            f"{what_of(cell)} must be allowed but was {describe(outcome)}{because}",
        )
    elif outcome.denied:
        status, sentence = (
            Status.MISSING,
            f"{what_of(cell)} was {describe(outcome)}; {controls.sentence}",
        )
    else:
        status, sentence = Status.MISSING, f"{what_of(cell)} was {describe(outcome)}: {outcome.reason}"
    return Finding(kind=Kind.POSITIVE, name=name, status=status, sentence=sentence, cell=cell.id)


def _canary_known(results: Results, cell: Cell) -> bool:
    """Of a key where nothing is, S3 answers a caller who may not list with a 403 as well."""
    return not OPERATIONS[cell.operation].on_object or results.is_there(cell.label)


def negative(results: Results, probe: Probe, *, strayed: str = "", cause: str = "", doubt: str = "") -> Finding:
    """A cell that must be denied. `strayed` says that it came another way than is meant: then it refutes nothing.

    `doubt`: why its denial is none of the request that it stands for; that it was let in refutes all the same.
    """
    outcome = results.outcome(probe)
    cell = probe.cell
    name = f"denied {what_of(cell)}"
    what = f"{what_of(cell)} over {cell.transport.value}"
    if outcome.denied and doubt:
        status, sentence = Status.MISSING, f"{what} was {describe(outcome)}, but {doubt}"
    elif outcome.denied:
        status, sentence = Status.GOOD, f"{what} was {describe(outcome)}"
    elif outcome.allowed and strayed:
        status, sentence = Status.MISSING, f"{what} was allowed, but {strayed}"
    elif outcome.allowed and not results.calibrated(cell):
        status = Status.MISSING
        sentence = f"{what} looks allowed, but its probe form is inferred and was not calibrated"
    elif outcome.allowed:
        status, sentence = Status.BAD, f"{what} must be denied but was allowed"
    else:
        because = f"{cause}: " if cause and outcome.unreachable else ""
        status, sentence = Status.MISSING, f"{because}{what} was {describe(outcome)}, which proves nothing"
    return Finding(kind=Kind.NEGATIVE, name=name, status=status, sentence=sentence, cell=cell.id)


class Excluding(Protocol):
    """Excludes causes of a denial that names no layer: each gives its sentence, or None where nothing does."""

    def way(self, probe: Probe) -> str | None: ...

    def endpoint(self, probe: Probe) -> str | None: ...

    def caller(self, probe: Probe) -> str | None: ...

    def owner(self, probe: Probe) -> str | None: ...


def attribution(results: Results, probe: Probe, *, by: Collection[Layer], excluded: Excluding) -> Finding | None:
    """Whether a denial is one of the claim's layers; None where the cell was not denied.

    An unnamed denial counts only if every layer outside `by` is excluded: the endpoint (its path or its policy), the
    caller's side (the same request allowed elsewhere in this run, or its policies as read), the bucket's owner.
    """
    outcome = results.outcome(probe)
    if not outcome.denied:
        return None
    cell = probe.cell
    wanted = ", ".join(sorted(layer.value for layer in by))
    status, sentence = Status.MISSING, ""
    if outcome.layer is not None:
        if outcome.layer in by:
            status, sentence = Status.GOOD, f"S3 named the layer: {outcome.layer.value}"
        else:
            sentence = f"{what_of(cell)} was denied by {outcome.layer.value}, not by {wanted}"
    else:
        status, sentence = _unnamed(results, probe, by=by, excluded=excluded)
    return Finding(kind=Kind.LAYER, name=f"layer {what_of(cell)}", status=status, sentence=sentence, cell=cell.id)


def _unnamed(results: Results, probe: Probe, *, by: Collection[Layer], excluded: Excluding) -> tuple[Status, str]:
    cell = probe.cell
    what = f"the denial of {what_of(cell)} names no layer"
    if not results.calibrated(cell):
        return Status.MISSING, f"{what}, and its probe form is inferred: nobody was allowed the same in this run"
    if excluded.way(probe) is None:
        return Status.MISSING, f"{what}, and no HEAD request to the control bucket was allowed from {cell.vantage}"
    causes = (
        ({Layer.VPC_ENDPOINT}, excluded.endpoint, "the endpoint's policy could not be excluded as its cause"),
        (
            CALLERS,
            excluded.caller,
            f"the same request was allowed nowhere, so {cell.principal}'s own policies may be its cause",
        ),
        (OWNERS, excluded.owner, f"the policy of {cell.label} may be its cause"),
    )
    found = []
    for layers, exclude, why in causes:
        if set(layers) <= set(by):
            continue
        sentence = exclude(probe)
        if sentence is None:
            return Status.MISSING, f"{what}, and {why}"
        found.append(sentence)
    return Status.GOOD, f"{what}; others are excluded: {'; '.join(found) or 'nothing else applies'}"


def what_of(cell: Cell) -> str:
    """A cell in words: `GetObject by app:app-subnet`, with the key's name, the prefix and the encryption it has."""
    on = f" on {cell.label}" if cell.target.name else ""
    if "Prefix" in cell.parameters:
        on = f" of prefix `{cell.parameters['Prefix']}`"
    how = words(cell)
    return f"{cell.operation} by {cell.who}{on}{how and f' {how}'}"


def foreign(setting: Setting, bucket: str, principals: Iterable[str]) -> Iterator[Finding]:
    """A finding for each principal that shows nothing about other accounts: it belongs to the bucket's own, or may."""
    owner = setting.buckets[bucket]
    for principal in dict.fromkeys(principals):
        facts = setting.principals[principal]
        if facts.anonymous:
            continue
        if facts.ambient:
            why = "is of whichever account the vantage point's own credentials are"
        elif facts.account == owner.account or facts.account_id == owner.account_id:
            why = f"belongs to {owner.account}, the bucket's own account"
        else:
            continue
        sentence = f"principal {principal} {why}: it shows nothing about other accounts"
        yield Finding(kind=Kind.POSITIVE, name=f"foreign {principal}", status=Status.MISSING, sentence=sentence)


def canary(results: Results, bucket: str, operations: Iterable[str]) -> Finding | None:
    """The canary's readings before and after, where an operation writes objects; None where none does."""
    if not any(OPERATIONS[name].writes and OPERATIONS[name].on_object for name in operations):
        return None
    same, sentence = results.canaries.get(bucket, (False, f"the canary of {bucket} was not read"))
    return Finding(
        kind=Kind.CANARY,
        name=f"canary {bucket}",
        status=Status.GOOD if same else Status.MISSING,
        sentence=sentence,
    )


def objects(results: Results, denied: Iterable[Probe]) -> Iterator[Finding]:
    """Of a key where nothing is, S3 answers a caller who may not list with a 403 as well."""
    on_keys = [probe.cell for probe in denied if OPERATIONS[probe.cell.operation].on_object]
    for label in dict.fromkeys(cell.label for cell in on_keys):
        if not results.is_there(label):
            sentence = f"no object was shown to be there on {label} all along, so a denial there proves nothing"
            yield Finding(kind=Kind.CANARY, name=f"object {label}", status=Status.MISSING, sentence=sentence)


def _control_label(setting: Setting, principal: str) -> str:
    control = setting.control(principal)
    return control.label if control else f"control:{setting.principals[principal].account}"
