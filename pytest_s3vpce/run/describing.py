"""Asks the control planes what claims want to know: endpoints and where they are, closed ports, exemptions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.claims import PublicFacts
from pytest_s3vpce.claims.formkeys import keys_of
from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.openness import public_facts
from pytest_s3vpce.ownside import own_side
from pytest_s3vpce.run.world import NOWHERE, Described, Location
from pytest_s3vpce.snapshot import (
    Clients,
    admitted_of,
    closed_port,
    controls_over,
    denied_by,
    exemptions_of,
    exemptions_under,
    function_network,
    grants_of,
    instance_network,
    policy_text,
    s3_endpoints,
    vpc_of,
    ways_differ,
)
from pytest_s3vpce.snapshot.state import Unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_s3vpce.claims import Claim, EndpointFacts, Setting
    from pytest_s3vpce.claims.gaps import Gap
    from pytest_s3vpce.policy import Policies
    from pytest_s3vpce.run.world import World
    from pytest_s3vpce.snapshot.state import Rows


def describe(world: World, vantages: Iterable[str], claims: Sequence[Claim]) -> Described:
    """What can be read with the rights at hand; what can't stays out, and claims say what they miss."""
    inside = [name for name in vantages if world.inventory.vantage_points[name].settled is not None]
    homes = dict.fromkeys(_homes(world, inside))
    labels = list(dict.fromkeys(claim.bucket for claim in claims))
    explained = dict.fromkeys(name for claim in claims for name in _foreign(world, claim))
    configured = dict.fromkeys(label for claim in claims for label in claim.configured())
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda home: _endpoints(world, *home), homes)
        found_places = pool.map(lambda name: _place(world, name), inside)
        ports = pool.map(lambda name: _closed(world, name), inside)
        policies = pool.map(lambda label: _policy(world, label), labels)
        sides = pool.map(lambda name: _own_policies(world, name), explained)
        public = pool.map(lambda label: _public(world, label), configured)
        controls = pool.submit(_controls, world, labels)
        endpoints = {facts.id: facts for rows in found for facts in rows}
        places = dict(zip(inside, found_places, strict=True))
        several = [name for name in inside if len(places[name].subnets) > 1]
        compared = pool.map(lambda name: _compared(world, name, places[name].subnets), several)
        astride = dict(zip(several, compared, strict=True))
        closed = {(name, 80): sentence for name, sentence in zip(inside, ports, strict=True) if sentence is not None}
        texts = dict(zip(labels, policies, strict=True))
        own = {name: side for name, side in zip(explained, sides, strict=True) if side is not None}
        openness = dict(zip(configured, public, strict=True))
        spared = controls.result()
    return Described(
        endpoints=endpoints,
        vantage_endpoints={
            name: tuple(sorted(facts.id for facts in endpoints.values() if facts.vpc == place.vpc))
            for name, place in places.items()
            if place.vpc is not None
        },
        astride=astride,
        closed_ports=closed,
        **_by_policies(texts),
        own_policies=own,
        public=openness,
        controls=spared,
        places=places,
    )


def _by_policies(texts: Mapping[str, str | None]) -> dict[str, Any]:
    """What the buckets' policies say; None where one could not be read."""
    return {
        "exemptions": {label: None if text is None else exemptions_of(text) for label, text in texts.items()},
        "grants": {label: grants_of(text or "") for label, text in texts.items()},
        "admitted": {label: admitted_of(text or "") for label, text in texts.items()},
        "denied_by": {label: denied_by(text) for label, text in texts.items() if text is not None},
        "policy_keys": {label: keys_of(text or "") for label, text in texts.items()},
        "policy_texts": texts,
    }


def with_changes(world: World, setting: Setting, texts: Mapping[str, str | None]) -> Setting:
    """The setting with the buckets whose policies read otherwise than before anything was sent, `texts`."""
    with ThreadPoolExecutor(16) as pool:
        now = dict(zip(texts, pool.map(lambda label: _policy(world, label), texts), strict=True))
    changed = frozenset(label for label, text in texts.items() if text is not None and now[label] not in (None, text))
    return replace(setting, changed=changed) if changed else setting


def with_exemptions(world: World, setting: Setting, labels: Iterable[str]) -> Setting:
    """The setting with what the policies of these buckets spare and ask for, as far as they may be read."""
    unread = [label for label in dict.fromkeys(labels) if label not in setting.exemptions]
    if not unread:
        return setting
    with ThreadPoolExecutor(16) as pool:
        texts = dict(zip(unread, pool.map(lambda label: _policy(world, label), unread), strict=True))
    found = {label: None if text is None else exemptions_of(text) for label, text in texts.items()}
    return replace(setting, exemptions={**setting.exemptions, **found})


def _homes(world: World, vantages: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in vantages:
        with suppress(S3VpceError):
            yield _home(world, name)


def _home(world: World, vantage: str) -> tuple[str, str]:
    """The account and the Region that a vantage point stands in. S3VpceError where that can't be told."""
    point = world.inventory.vantage_points[vantage]
    account = point.account or world.inventory.default_account
    written = point.settled.region if point.settled else None
    if written is None:
        return account, world.accounts.region(account)
    return account, world.resolve(written, "vantage_points", vantage, point.kind, "region")


def _ec2(world: World, account: str, region: str) -> Any:
    return world.accounts.client("ec2", account=account, region=region)


def _endpoints(world: World, account: str, region: str) -> tuple[EndpointFacts, ...]:
    try:
        return s3_endpoints(_ec2(world, account, region), region=region, account_id=world.account_id(account))
    except S3VpceError:
        return ()


def _place(world: World, vantage: str) -> Location:
    try:
        account, region = _home(world, vantage)
        ec2 = _ec2(world, account, region)
        subnets, _, vpc = _network(world, vantage, ec2)
        vpc = vpc or (vpc_of(ec2, subnets) if subnets else None)
        return Location(vpc=vpc, subnets=tuple(subnets), region=region)
    except S3VpceError:
        return NOWHERE


def _compared(world: World, vantage: str, subnets: tuple[str, ...]) -> str | None:
    """How the subnets' ways to S3 differ; empty where they don't, None where that may not be asked."""
    try:
        ec2 = _ec2(world, *_home(world, vantage))
        return ways_differ(ec2, subnets, groups=_network(world, vantage, ec2)[1])
    except S3VpceError:
        return None


def _closed(world: World, vantage: str) -> str | None:
    try:
        ec2 = _ec2(world, *_home(world, vantage))
        _, groups, _ = _network(world, vantage, ec2)
        return closed_port(ec2, groups, port=80) if groups else None
    except S3VpceError:
        return None


def _network(world: World, vantage: str, ec2: Any) -> tuple[tuple[str, ...], tuple[str, ...], str | None]:
    """Subnets, security groups and VPC of a vantage point, as far as they are written or may be asked for."""
    point = world.inventory.vantage_points[vantage]
    path = ("vantage_points", vantage, point.kind)
    row = point.ec2
    if row is not None and row.subnet is None:
        tags = {key: world.resolve(value, *path, "tags", key) for key, value in row.tags.items()}
        return (), *instance_network(
            ec2, world.resolve(row.instance, *path, "instance") if row.instance else None, tags
        )
    if point.lambda_ is not None:
        chosen = [
            world.chosen(point.lambda_.subnets, *path, "subnets"),
            world.chosen(point.lambda_.security_groups, *path, "security_groups"),
        ]
        return function_network(ec2, *chosen)
    assert row is not None
    subnet = world.resolve_list((row.subnet or "",), *path, "subnet")
    return subnet, world.resolve_list(row.security_groups, *path, "security_groups"), None


def _foreign(world: World, claim: Claim) -> Iterable[str]:
    """Whose own policies a claim asks for: to callers of the bucket's account S3 names the layer."""
    owner = world.bucket(claim.bucket).account
    for name in claim.explained():
        if (world.inventory.principals[world.signer(name)].account or world.inventory.default_account) != owner:
            yield name


def _policy(world: World, label: str) -> str | None:
    try:
        facts = world.bucket(label)
        s3 = world.accounts.client("s3", account=facts.account, region=world.region(label))
        return policy_text(s3, facts.name)
    except S3VpceError:
        return None


def _controls(world: World, labels: Iterable[str]) -> dict[str, tuple[Gap, ...] | None]:
    """What the organization's resource control policies over these buckets spare.

    Read account by account, one after the other: Organizations lets nobody ask often.
    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html
    """
    read: dict[str, tuple[Rows, ...] | Unread] = {}
    found: dict[str, tuple[Gap, ...] | None] = {}
    for label in labels:
        try:
            facts = world.bucket(label)
            if facts.account not in read:
                read[facts.account] = _levels_over(world, facts.account)
            found[label] = exemptions_under(read[facts.account], bucket=facts.name)
        except S3VpceError:
            found[label] = None
    return found


def _levels_over(world: World, account: str) -> tuple[Rows, ...] | Unread:
    """By the management account, where that is known."""

    def organizations(name: str) -> Any:
        return world.accounts.client("organizations", account=name)

    try:
        ids = {world.account_id(name): name for name in world.inventory.accounts}
        return controls_over(
            organizations(account), world.account_id(account), of_management=Clients(ids, organizations)
        )
    except S3VpceError as error:
        return Unread(unread=error.what)


def _own_policies(world: World, name: str) -> Policies | None:
    """A role's own side, read in its account."""
    row = world.inventory.principals[world.signer(name)]
    if row.role is None:
        return None
    account = row.account or world.inventory.default_account
    try:
        role = world.resolve(row.role, "principals", name, "role")
        return own_side(
            world.accounts.client("iam", account=account),
            world.accounts.client("organizations", account=account),
            role,
        )
    except S3VpceError:
        return None


def _public(world: World, label: str) -> PublicFacts:
    try:
        facts = world.bucket(label)
        asked = {"account": facts.account, "region": world.region(label)}
        s3, control = world.accounts.client("s3", **asked), world.accounts.client("s3control", **asked)
        return public_facts(s3, control, bucket=facts.name, account_id=facts.account_id)
    except S3VpceError:
        return PublicFacts()
