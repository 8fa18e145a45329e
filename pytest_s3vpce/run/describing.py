"""Asks the control planes what claims want to know: endpoints and where they are, closed ports, exemptions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.run.world import Described
from pytest_s3vpce.snapshot import bucket_exemptions, closed_port, s3_endpoints, vpc_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_s3vpce.claims import EndpointFacts
    from pytest_s3vpce.run.world import World


def describe(world: World, vantages: Iterable[str], buckets: Iterable[str]) -> Described:
    """What can be read with the rights at hand; what can't stays out, and claims say what they miss."""
    functions = [name for name in vantages if world.inventory.vantage_points[name].lambda_ is not None]
    accounts = dict.fromkeys(_account(world, name) for name in functions)
    labels = list(dict.fromkeys(buckets))
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda account: _endpoints(world, account), accounts)
        places = pool.map(lambda name: _vpc(world, name), functions)
        ports = pool.map(lambda name: _closed(world, name), functions)
        spared = pool.map(lambda label: _exemptions(world, label), labels)
        endpoints = {facts.id: facts for rows in found for facts in rows}
        vpcs = dict(zip(functions, places, strict=True))
        closed = {(name, 80): sentence for name, sentence in zip(functions, ports, strict=True) if sentence is not None}
        exemptions = dict(zip(labels, spared, strict=True))
    return Described(
        endpoints=endpoints,
        vantage_endpoints={
            name: tuple(sorted(facts.id for facts in endpoints.values() if facts.vpc == vpc))
            for name, vpc in vpcs.items()
            if vpc is not None
        },
        closed_ports=closed,
        exemptions=exemptions,
    )


def _account(world: World, vantage: str) -> str:
    row = world.inventory.vantage_points[vantage]
    return row.account or world.inventory.default_account


def _ec2(world: World, account: str) -> Any:
    return world.accounts.client("ec2", account=account)


def _endpoints(world: World, account: str) -> tuple[EndpointFacts, ...]:
    try:
        region = world.accounts.region(account)
        return s3_endpoints(_ec2(world, account), region=region, account_id=world.account_id(account))
    except S3VpceError:
        return ()


def _vpc(world: World, vantage: str) -> str | None:
    row = world.inventory.vantage_points[vantage].lambda_
    if row is None or not row.subnets:
        return None
    try:
        subnets = world.resolve_list(row.subnets, "vantage_points", vantage, "lambda", "subnets")
        return vpc_of(_ec2(world, _account(world, vantage)), subnets)
    except S3VpceError:
        return None


def _closed(world: World, vantage: str) -> str | None:
    row = world.inventory.vantage_points[vantage].lambda_
    if row is None or not row.security_groups:
        return None
    try:
        groups = world.resolve_list(row.security_groups, "vantage_points", vantage, "lambda", "security_groups")
        return closed_port(_ec2(world, _account(world, vantage)), groups, port=80)
    except S3VpceError:
        return None


def _exemptions(world: World, label: str) -> tuple[str, ...] | None:
    try:
        facts = world.bucket(label)
        s3 = world.accounts.client("s3", account=facts.account, region=world.region(label))
        return bucket_exemptions(s3, facts.name)
    except S3VpceError:
        return None
