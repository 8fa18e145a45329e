"""Whether somebody else can be excluded as the cause of a denial that names no layer: endpoint, caller, owner."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.claims.claim import CALLERS
from pytest_s3vpce.claims.findings import head_probes, path_read
from pytest_s3vpce.claims.setting import allowances
from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.model import Layer, Transport
from pytest_s3vpce.network.keys import NETWORK_KEYS, TRANSPORT_KEYS
from pytest_s3vpce.operations import OPERATIONS, context, operation
from pytest_s3vpce.policy import UNKNOWN, Effect, Policies, Request, decide, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_s3vpce.claims.setting import EndpointFacts, Results, Setting
    from pytest_s3vpce.policy import Decision, Document
    from pytest_s3vpce.probe import Probe

_DERIVED: Final = frozenset(
    {
        "aws:principalarn",
        "aws:principalaccount",
        "aws:principaltype",
        "aws:resourceaccount",
        "s3:resourceaccount",
    }
)
"""Keys that follow from caller and bucket."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Each method gives the sentence that excludes a cause, or None where nothing does."""

    setting: Setting
    results: Results
    _paths: dict[tuple[str, str], str | None] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By vantage point and bucket: a path is read once."""

    def way(self, probe: Probe) -> str | None:
        """That requests of its method come to S3 as they were signed, where S3's answer would not tell."""
        heads = head_probes(self.setting, probe)
        told = not OPERATIONS[probe.cell.operation].api_name.startswith("Head")
        return "its method gets through" if told or any(map(self.results.allowed, heads)) else None

    def endpoint(self, probe: Probe) -> str | None:
        """By the path that was read, or by the policy of the endpoint on it."""
        read = self.path(probe)
        if read is None:
            return None
        if not read:
            return f"{probe.cell.vantage} reaches S3 through no endpoint"
        facts = self.setting.endpoints.get(read)
        if facts is None or facts.policy is None or not policy_allows(self.setting, facts, probe):
            return None
        return f"the policy of {read} allows it"

    def path(self, probe: Probe) -> str | None:
        """The endpoint that requests from there go through, `` for none, None where it was not read."""
        at = (probe.cell.vantage, probe.cell.target.bucket)
        if at not in self._paths:
            candidates = self.setting.vantage_endpoints.get(at[0], ())
            self._paths[at] = path_read(self.setting.toward(at[1]), self.results, at[0], candidates=candidates)
        return self._paths[at]

    def caller(self, probe: Probe) -> str | None:
        """By the same request being allowed elsewhere, or by the caller's own policies as they were read."""
        facts = self.setting.principals[probe.cell.principal]
        if facts.anonymous:
            return "nobody's policies apply to anonymous requests"
        other = self.results.allowed_elsewhere(probe, at=probe.cell.vantage if facts.ambient else "")
        if other is not None and not reads_ways(self.setting, probe.cell.principal):
            return f"{other.cell.who} was allowed the same over {other.cell.transport.value}"
        if own_side_allows(self.setting, probe):
            return f"{probe.cell.principal}'s own policies, as they were read, allow it"
        return None

    def owner(self, probe: Probe) -> str | None:
        """By what the bucket is, or by the endpoint's policy: where that denies, nobody else need to."""
        if probe.cell.target.bucket.startswith("control:"):
            return f"{probe.cell.label} is a control bucket, without restrictions"
        read = self.path(probe)
        facts = self.setting.endpoints.get(read or "")
        if facts is None or facts.policy is None or not policy_denies(self.setting, facts, probe):
            return None
        return f"the policy of {read}, as it was read, denies it"


def policy_allows(setting: Setting, endpoint: EndpointFacts, probe: Probe) -> bool:
    """Whether the endpoint's policy, as read, allows everything that the probe asks for.

    False as well where the policy reads a condition key whose value here is not known: absent and unknown differ.
    """
    said = _endpoint_says(setting, endpoint, probe)
    return bool(said) and said == {Effect.ALLOW}


def policy_denies(setting: Setting, endpoint: EndpointFacts, probe: Probe) -> bool:
    """Whether the endpoint's policy, as read, denies something that the probe asks for; the same caution."""
    return bool(_endpoint_says(setting, endpoint, probe) & {Effect.EXPLICIT_DENY, Effect.IMPLICIT_DENY})


def keys_in_doubt(setting: Setting, endpoint: EndpointFacts | None, probes: Iterable[Probe]) -> tuple[str, ...] | None:
    """Where an endpoint's policy may allow what probes ask for, the keys that it reads and nobody knows.

    None: it could not be read.
    """
    if endpoint is None or endpoint.policy is None:
        return None
    try:
        document = parse(endpoint.policy, name=endpoint.id)
    except PolicyError:
        return None
    found: set[str] = set()
    for probe in probes:
        arns = [arn for _, arn in allowances(probe, setting.buckets[probe.cell.target.bucket])]
        if any(row.covers_resource(arn, {}) for row in document.allows for arn in arns):
            found |= document.keys - _with_derived(known_of(probe, endpoint=endpoint))
    return tuple(sorted(found))


def _endpoint_says(setting: Setting, endpoint: EndpointFacts, probe: Probe) -> set[Effect]:
    """What the endpoint's layer gives for each check of the probe; nothing where that is not certain."""
    try:
        document = parse(endpoint.policy or "", name=endpoint.id)
        known = known_of(probe, endpoint=endpoint)
        if not document.keys <= _with_derived(known):
            return set()
        policies = Policies(
            identity=UNKNOWN, resource=UNKNOWN, vpc_endpoint=document, endpoint_type=endpoint.type.lower()
        )
        found = list(_decisions(setting, probe, policies, known=known))
    except PolicyError:
        return set()
    return {row.layers.get(Layer.VPC_ENDPOINT, Effect.UNKNOWN) for row in found}


def own_side_allows(setting: Setting, probe: Probe) -> bool:
    """Whether identity policies, boundary and SCPs of the caller, as read, allow everything that the probe asks for."""
    own = setting.own_policies.get(probe.cell.principal)
    if own is None or setting.principals[probe.cell.principal].limited:
        return False
    known = known_of(probe)
    if not all(document.keys <= _with_derived(known) for document in documents(own)):
        return False
    try:
        found = list(_decisions(setting, probe, replace(own, resource=UNKNOWN), known=known))
    except PolicyError:
        return False
    return bool(found) and all(_allowed_by_side(row) for row in found)


def knows_scps(setting: Setting, principal: str, *, bucket: str) -> bool:
    """Whether it is known which SCPs stand over a caller, where S3 would not name them: of another account.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    """
    facts = setting.principals[principal]
    if facts.anonymous or facts.account == setting.buckets[bucket].account:
        return True
    own = setting.own_policies.get(principal)
    return own is not None and isinstance(own.scps, tuple)


def reads_ways(setting: Setting, principal: str) -> bool:
    """Whether the caller's own policies, as far as they were read, tell ways apart: then elsewhere says nothing."""
    own = setting.own_policies.get(principal)
    read = [] if own is None else [document.keys for document in documents(own)]
    return any(keys & (NETWORK_KEYS | TRANSPORT_KEYS) for keys in (setting.principals[principal].session_keys, *read))


def _allowed_by_side(decision: Decision) -> bool:
    effects = {layer: decision.layers[layer] for layer in CALLERS if layer in decision.layers}
    return Layer.IDENTITY in effects and all(effect == "allow" for effect in effects.values())


def documents(policies: Policies) -> Iterator[Document]:
    """Those of a caller's own side, as far as they are known."""
    for rows in (policies.identity, policies.permissions_boundary, *_levels(policies)):
        if isinstance(rows, tuple):
            yield from rows


def _levels(policies: Policies) -> tuple[tuple[Document, ...], ...]:
    return policies.scps if isinstance(policies.scps, tuple) else ()


def known_of(probe: Probe, *, endpoint: EndpointFacts | None = None) -> dict[str, Any]:
    """The condition keys of a probe's request whose values are certain."""
    cell = probe.cell
    known: dict[str, Any] = {
        **context(operation(cell.operation), cell.parameters),
        "aws:SecureTransport": "false" if cell.transport is Transport.HTTP else "true",
    }
    if endpoint is not None:
        known |= {
            "aws:SourceVpce": endpoint.id,
            "aws:SourceVpc": endpoint.vpc,
            "aws:VpceAccount": endpoint.account_id,
        }
    return known


def _decisions(setting: Setting, probe: Probe, policies: Policies, *, known: Mapping[str, Any]) -> Iterator[Decision]:
    """The engine's answer to each check that S3 makes for the probe; none where nobody knows who asks."""
    cell = probe.cell
    bucket = setting.buckets[cell.target.bucket]
    facts = setting.principals[cell.principal]
    who = "anonymous" if facts.anonymous else facts.arn
    if who is None:
        return
    for action, arn in allowances(probe, bucket):
        yield decide(
            Request(
                action=action,
                resource=arn,
                resource_account=bucket.account_id,
                principal=who,
                context=known,
            ),
            policies,
        )


def _with_derived(known: Mapping[str, Any]) -> set[str]:
    return {key.lower() for key in known} | _DERIVED
