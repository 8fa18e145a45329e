"""What claims are judged in: the declared and described world, and the outcomes of a run's probes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.calibration import NONE, Calibration
from pytest_s3vpce.model import Cell, Outcome, OutcomeKind, Target, Transport
from pytest_s3vpce.operations import OPERATIONS, Check, Resource, checks, default_operation, operation
from pytest_s3vpce.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from pytest_s3vpce.claims.admitted import Admitted, Granted
    from pytest_s3vpce.claims.gaps import Gap
    from pytest_s3vpce.model import Layer
    from pytest_s3vpce.operations import Operation
    from pytest_s3vpce.policy import Policies

_READINGS: Final = frozenset({"GetObject", "HeadObject", "GetObjectTagging", "GetObjectAcl", "GetObjectAttributes"})
"""Operations that succeed only where an object is."""
NOT_SENT = Outcome(kind=OutcomeKind.INCONCLUSIVE, reason="it was not sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalFacts:
    """A declared principal. `role`: its session can carry a policy; `clear`: it may sign plain http without one.

    `limited`: its session carries a policy of the inventory's already. `presigned`: its requests are another's URLs.
    `ambient`: at each vantage point it is whoever that one's own credentials belong to.
    """

    name: str
    account: str
    arn: str | None = None
    role: bool = False
    anonymous: bool = False
    clear: bool = False
    limited: bool = False
    session_keys: frozenset[str] = frozenset()
    """The condition keys that this policy reads, in lower case."""
    presigned: bool = False
    ambient: bool = False

    @property
    def account_id(self) -> str:
        """The id of its account, as its role's ARN says it, whatever that is called; empty where there is no role."""
        return "" if self.arn is None else self.arn.split(":")[4]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicFacts:
    """What S3 says of a bucket's openness; None where it could not be read.

    `blocks` are the settings of Block Public Access in force: the bucket's own and its account's.
    """

    policy_is_public: bool | None = None
    blocks: frozenset[str] | None = None
    requesters_pay: bool | None = None
    acls: bool | None = None
    """Whether access control lists count: Object Ownership does not switch them off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketFacts:
    """A bucket of the inventory, or a control bucket (`control:ACCOUNT`), resolved."""

    label: str
    name: str
    account: str
    account_id: str
    key: str
    partition: str = "aws"
    region: str = ""
    offers_to_pay: bool = False
    """Whether requests to it say that their senders pay."""

    def arn(self, check: Check, *, key: str | None = None) -> str:
        """https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-arn-format.html"""
        if check.resource is Resource.NONE:
            return "*"
        bucket = f"arn:{self.partition}:s3:::{self.name}"
        return bucket if check.resource is Resource.BUCKET else f"{bucket}/{key or self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFacts:
    """A VPC endpoint for S3 as its owner's account describes it; `policy` is None where it could not be read."""

    id: str
    vpc: str
    account_id: str
    type: str
    policy: str | None = None
    name: str = ""
    """Its tag `Name`."""
    route_tables: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    private_dns: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the accounts' control planes said, as far as they may be asked."""

    endpoints: Mapping[str, EndpointFacts] = field(default_factory=dict)
    vantage_endpoints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The described S3 endpoints in the VPC of a vantage point: candidates for its path."""
    astride: Mapping[str, str | None] = field(default_factory=dict)
    """Vantage points in several subnets: how their ways to S3 differ, empty: not at all; None: nobody could compare."""
    closed_ports: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """(vantage point, port) to a sentence that says what lets no such traffic out."""
    exemptions: Mapping[str, tuple[Gap, ...] | None] = field(default_factory=dict)
    """Bucket to what its policy's denies spare; None: the policy could not be read."""
    controls: Mapping[str, tuple[Gap, ...] | None] = field(default_factory=dict)
    """Bucket to what the organization's resource control policies over it spare; None: they could not be read."""
    admitted: Mapping[str, tuple[Admitted, ...]] = field(default_factory=dict)
    """Bucket to the networks that its policy lets in."""
    grants: Mapping[str, tuple[Granted, ...]] = field(default_factory=dict)
    """Bucket to whom its policy lets in."""
    denied_by: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Bucket to the condition keys that the denies of its policy read, in lower case, where it could be read."""
    own_policies: Mapping[str, Policies] = field(default_factory=dict)
    """Principal to the policies of its own side, where they could be read."""
    policy_keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Bucket to the condition keys that its policy reads, in lower case, where it could be read."""
    public: Mapping[str, PublicFacts] = field(default_factory=dict)
    """Bucket to its public access settings, where a claim asks for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Told):
    """Everything a claim may know besides the outcomes. Buckets include the control buckets, by `control:ACCOUNT`."""

    principals: Mapping[str, PrincipalFacts]
    buckets: Mapping[str, BucketFacts]
    vantages: tuple[str, ...]
    ways: Mapping[str, str | None] = field(default_factory=dict)
    """Once all was sent: vantage point to the endpoint that its requests were read to go through, empty: none."""
    changed: frozenset[str] = frozenset()
    """Once all was sent: buckets whose policies were others before."""
    denying: frozenset[Layer | None] = frozenset()
    """Once all was sent: the layers that denials of the claim at hand named; None: one named none."""
    region: str = ""
    """The Region to which ways are asked for; empty: any."""

    def toward(self, bucket: str) -> Setting:
        """The same with the ways to a bucket's Region alone.

        A gateway endpoint serves its own Region, so the way to another one's control bucket says nothing:
        https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-s3.html
        """
        return replace(self, region=self.buckets[bucket].region)

    def control(self, principal: str) -> BucketFacts | None:
        """The control bucket of a principal's account, if one is declared."""
        return self.buckets.get(f"control:{self.principals[principal].account}")

    def roles(self, among: Sequence[str] = ()) -> tuple[str, ...]:
        """The principals whose sessions can carry a reading: of those named, else all declared."""
        named = tuple(name for name in among if self.principals[name].role)
        return named or tuple(name for name, facts in self.principals.items() if facts.role)

    def roles_with_control(self) -> tuple[str, ...]:
        """The declared role principals whose account has a control bucket."""
        return tuple(name for name in self.roles() if self.control(name) is not None)

    def readers(self) -> tuple[str, ...]:
        """Those of them whose control bucket lies where ways are asked for."""
        controls = {name: self.control(name) for name in self.roles_with_control()}
        return tuple(name for name, row in controls.items() if row and self.region in ("", row.region))


@dataclass(frozen=True, kw_only=True)
class Results:
    """The outcomes of a run: every probe's, counted for the action under test, and the canaries' readings."""

    outcomes: Mapping[Probe, Outcome]
    canaries: Mapping[str, tuple[bool, str]] = field(default_factory=dict)
    """Bucket to (same bytes before and after the writes, sentence)."""
    policies: Mapping[str, tuple[bool, str]] = field(default_factory=dict)
    """Of buckets whose policies were really deleted: (put back byte for byte, sentence)."""
    calibration: Calibration = NONE
    gone: frozenset[str] = frozenset()
    """The labels of objects that were read, and could not be read again once all was sent."""

    def outcome(self, probe: Probe) -> Outcome:
        """Its own: where another request goes by the same id, and was sent in its place, that one's says nothing."""
        sent = self._sent.get(probe)
        if sent is None or sent.cell is probe.cell or _asks(sent.cell) == _asks(probe.cell):
            return self.outcomes.get(probe, NOT_SENT)
        return Outcome(
            kind=OutcomeKind.INCONCLUSIVE,
            reason="another request is called the same and was sent in its place: give that one another `name`",
        )

    def allowed(self, probe: Probe) -> bool:
        return self.outcome(probe).allowed

    def allowed_elsewhere(self, probe: Probe, *, at: str = "") -> Probe | None:
        """A probe of the same operation, key, parameters and principal that was allowed in this run, from anywhere.

        With `at` from there, by whatever transport.
        """
        rows = self._let_in.get(_but_for_place(probe.cell), ())
        return next((row for row in rows if at in ("", row.cell.vantage)), None)

    def is_there(self, label: str) -> bool:
        """Whether an object was shown to be there all along: the canary was read, or somebody read it."""
        if label in self.gone:
            return False
        if self.canaries.get(label, (False, ""))[0]:
            return True
        return label in self._read

    def calibrated(self, cell: Cell) -> bool:
        """Whether the cell's form gave an allowed and a denied caller different answers, in a calibration or here.

        Without a calibration a documented form counts as it is.
        """
        form = OPERATIONS[cell.operation].safe
        settled = self.calibration.settles(cell.operation)
        if cell.mutating or form is None:
            return True
        if settled is not None or form.documented:
            return settled is not False
        return {OutcomeKind.ALLOWED, OutcomeKind.DENIED} <= self._kinds.get((cell.operation, cell.variant), set())

    @cached_property
    def _sent(self) -> Mapping[Probe, Probe]:
        """By what is equal to it, the probe that was really sent."""
        return {probe: probe for probe in self.outcomes}

    @cached_property
    def _let_in(self) -> Mapping[tuple[object, ...], Sequence[Probe]]:
        """What was allowed, by all but its place."""
        found: dict[tuple[object, ...], list[Probe]] = {}
        for probe, outcome in self.outcomes.items():
            if outcome.allowed and not probe.canary_range:
                found.setdefault(_but_for_place(probe.cell), []).append(probe)
        return found

    @cached_property
    def _read(self) -> AbstractSet[str]:
        """The labels of objects that somebody read."""
        rows = self.outcomes.items()
        return {probe.cell.label for probe, told in rows if told.allowed and reads(probe)}

    @cached_property
    def _kinds(self) -> Mapping[tuple[str, str], set[OutcomeKind]]:
        """What safe forms gave, by operation and variant."""
        found: dict[tuple[str, str], set[OutcomeKind]] = {}
        for probe, outcome in self.outcomes.items():
            if not probe.cell.mutating:
                found.setdefault((probe.cell.operation, probe.cell.variant), set()).add(outcome.kind)
        return found


def reads(probe: Probe) -> bool:
    """Whether it succeeds only where an object is now: an older version stays where it was deleted."""
    return probe.cell.operation in _READINGS and "VersionId" not in probe.cell.parameters


def _asks(cell: Cell) -> tuple[object, ...]:
    """What of a request its id need not tell; keys and hosts go by their names."""
    return cell.action.lower(), cell.mutating, dict(cell.parameters)


def _but_for_place(cell: Cell) -> tuple[object, ...]:
    parameters = tuple(sorted((name, repr(value)) for name, value in cell.parameters.items()))
    return cell.operation, cell.variant, cell.label, cell.principal, cell.mutating, parameters


def row_of(text: str) -> Operation:
    """The operation that an action (`s3:GetObject`) or an operation's name stands for."""
    return operation(text) if text in OPERATIONS else default_operation(text)


def beyond(operations: Iterable[str], actions: Iterable[str]) -> tuple[str, ...]:
    """Those operations that ask for more than what these actions (or operations) need."""
    granted = {action for text in actions for action in row_of(text).actions}
    return tuple(text for text in operations if not set(row_of(text).actions) <= granted)


def make_probe(
    action: str,
    bucket: str,
    *,
    principal: str,
    vantage: str,
    transport: Transport = Transport.HTTPS,
    session_policy: str = "",
    key: tuple[str, str] | None = None,
) -> Probe:
    """The probe of an action's (or operation's) default form on a bucket's canary, or on a key (its name, itself)."""
    name, text = key or ("", None)
    row = row_of(action)
    under_test = row.default_of or row.actions[0]
    cell = Cell(
        operation=row.name,
        action=under_test,
        target=Target(bucket=bucket, name=name, key=text),
        principal=principal,
        vantage=vantage,
        transport=transport,
    )
    return Probe(cell=cell, session_policy=session_policy)


def needs(cell: Cell) -> Iterator[tuple[Check, str]]:
    """The checks of a cell's request, those of its form's helpers among them, and what may follow the key in each."""
    row = operation(cell.operation)
    form = row.mutating if cell.mutating else row.safe
    beside = ".*" if form is not None and "Key" in form.parameters else ""
    for check in checks(row, cell.parameters, form=form):
        yield check, beside if check.resource is Resource.OBJECT else ""


def allowances(probe: Probe, bucket: BucketFacts, *, key: str | None = None) -> tuple[tuple[str, str], ...]:
    """The (action, ARN) pairs that a probe needs: its operation's own and its form's helpers.

    `key` is the declared key where that was written with references.
    """
    key = key or probe.cell.target.key
    return tuple((check.action, bucket.arn(check, key=key) + beside) for check, beside in needs(probe.cell))


def helper_probes(cell: Cell) -> Iterator[Probe]:
    """For each helper action of a cell's form, a probe of its own that shows whether it is allowed."""
    row = operation(cell.operation)
    if row.safe is None or cell.mutating:
        return
    for helper in row.safe.helpers:
        yield make_probe(
            helper.action,
            cell.target.bucket,
            principal=cell.principal,
            vantage=cell.vantage,
            transport=cell.transport,
            key=_key_of(cell) if helper.resource is Resource.OBJECT else None,
        )


def _key_of(cell: Cell) -> tuple[str, str] | None:
    return (cell.target.name, cell.target.key) if cell.target.key is not None else None
