"""The network of an account and Region, and a principal's policies, read from the objects that hold the state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.lab.resources import BucketState, FunctionState, PublicAccessBlock
from pytest_s3vpce.network.topology import (
    AclRule,
    Direction,
    Effect,
    Endpoint,
    EndpointKind,
    Interface,
    InternetGateway,
    NatGateway,
    NetworkAcl,
    Peering,
    PrefixList,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityRule,
    Subnet,
    Topology,
    Vpc,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def topology(backend: Any, *, account: str, region: str) -> Topology:
    """The EC2 state as the path through it needs it."""
    return Topology(
        account=account,
        region=region,
        vpcs=tuple(_vpc(vpc) for vpc in _all(backend.vpcs)),
        subnets=tuple(_subnet(subnet) for zone in _all(backend.subnets) for subnet in _all(zone)),
        route_tables=tuple(_route_table(table) for table in _all(backend.route_tables)),
        endpoints=tuple(_endpoint(endpoint, account=account, region=region) for endpoint in _endpoints(backend)),
        security_groups=tuple(_group(group) for groups in _all(backend.groups) for group in _all(groups)),
        network_acls=tuple(_acl(acl) for acl in _all(backend.network_acls)),
        nat_gateways=tuple(_nat_gateway(gateway) for gateway in _all(backend.nat_gateways)),
        internet_gateways=tuple(
            InternetGateway(id=gateway.id, vpc_id=gateway.vpc.id if gateway.vpc else None)
            for gateway in _all(backend.internet_gateways)
        ),
        egress_only_gateways=tuple(
            InternetGateway(id=gateway.id, vpc_id=gateway.vpc_id)
            for gateway in _all(backend.egress_only_internet_gateways)
        ),
        peerings=tuple(
            Peering(id=found.id, vpc_ids=(found.vpc.id, found.peer_vpc.id), state=found.status["Code"])
            for found in _all(backend.vpc_pcxs)
        ),
        prefix_lists=tuple(map(_prefix_list, _all(backend.managed_prefix_lists))),
    )


def _all(mapping: Any) -> list[Any]:
    """The values at this moment: other threads may add to them."""
    return list(mapping.values())


def _endpoints(backend: Any) -> Iterator[Any]:
    """Those that lead to AWS's services; there are other types, for services of one's own."""
    kinds = {kind.value for kind in EndpointKind}
    found = (endpoint for endpoint in _all(backend.vpc_end_points) if endpoint.state == "available")
    return (endpoint for endpoint in found if (endpoint.vpc_endpoint_type or "gateway").lower() in kinds)


def _vpc(vpc: Any) -> Vpc:
    return Vpc(
        id=vpc.id,
        cidr=vpc.cidr_block,
        dns_support=_on(vpc.enable_dns_support),
        dns_hostnames=_on(vpc.enable_dns_hostnames),
    )


def _on(value: Any) -> bool:
    """A setting that was given as a boolean or as its text."""
    return str(value).lower() == "true"


def _subnet(subnet: Any) -> Subnet:
    return Subnet(
        id=subnet.id,
        vpc_id=subnet.vpc_id,
        cidr=str(subnet.cidr_block or ""),
        ipv6_cidr=next((entry["ipv6CidrBlock"] for entry in subnet.ipv6_cidr_block_association_set), None),
        zone=subnet.availability_zone,
        maps_public_ip=_on(subnet.map_public_ip_on_launch),
    )


def _prefix_list(found: Any) -> PrefixList:
    newest: Any = next(reversed(list(found.entries.values())), None) or []
    return PrefixList(
        id=found.id, name=found.prefix_list_name or "", cidrs=tuple(str(entry["Cidr"]) for entry in newest)
    )


def _endpoint(endpoint: Any, *, account: str, region: str) -> Endpoint:
    kind = EndpointKind((endpoint.vpc_endpoint_type or "Gateway").lower())
    enis = endpoint.ec2_backend.enis
    return Endpoint(
        id=endpoint.id,
        vpc_id=endpoint.vpc_id,
        account=account,
        region=region,
        service=endpoint.service_name,
        kind=kind,
        route_table_ids=tuple(endpoint.route_table_ids or ()),
        policy=_text(endpoint.policy_document),
        private_dns=kind is EndpointKind.INTERFACE and bool(endpoint.private_dns_enabled),
        only_inbound=bool((endpoint.dns_options or {}).get("PrivateDnsOnlyForInboundResolverEndpoint")),
        security_group_ids=tuple(endpoint.security_group_ids or ()),
        interfaces=tuple(
            Interface(subnet_id=enis[eni_id].subnet.id, address=enis[eni_id].private_ip_address)
            for eni_id in endpoint.network_interface_ids
            if eni_id in enis
        ),
        dns_names=tuple(
            entry["DnsName"].removeprefix("*.") for entry in endpoint.dns_entries or () if ".vpce." in entry["DnsName"]
        ),
        address_type=endpoint.ip_address_type or "ipv4",
    )


def _route_table(table: Any) -> RouteTable:
    associations = list(table.associations)
    return RouteTable(
        id=table.id,
        vpc_id=table.vpc_id,
        is_main=any(entry["Main"] for entry in associations),
        subnet_ids=tuple(entry["SubnetId"] for entry in associations if "SubnetId" in entry),
        routes=tuple(route for route in map(_route, list(table.routes)) if route is not None),
    )


def _route(route: Any) -> Route | None:
    prefix_list = route.destination_prefix_list
    blocks = route.destination_cidr_block or route.destination_ipv6_cidr_block
    destination = blocks or (prefix_list.id if prefix_list else None)
    owners = (
        route.nat_gateway,
        route.egress_only_igw,
        route.instance,
        route.interface,
        route.transit_gateway,
        route.vpc_pcx,
        route.carrier_gateway,
    )
    other = next((owner.id for owner in owners if owner), None)
    target = route.gateway_id or other
    return Route(destination=destination, target=target, state=route.state) if destination and target else None


def _group(group: Any) -> SecurityGroup:
    return SecurityGroup(
        id=group.id,
        vpc_id=group.vpc_id or "",
        egress=tuple(map(_rule, list(group.egress_rules))),
        ingress=tuple(map(_rule, list(group.ingress_rules))),
    )


def _rule(rule: Any) -> SecurityRule:
    cidrs = (rule.ip_range or {}).get("CidrIp"), (rule.ip_range or {}).get("CidrIpv6")
    group = (rule.source_group or {}).get("GroupId")
    return SecurityRule(
        protocol=str(rule.ip_protocol),
        from_port=rule.from_port,
        to_port=rule.to_port,
        cidrs=tuple(cidr for cidr in cidrs if cidr),
        prefix_list_ids=(rule.prefix_list_id,) if rule.prefix_list_id else (),
        group_ids=(group,) if group else (),
    )


def _acl(acl: Any) -> NetworkAcl:
    rules = (_acl_rule(entry) for entry in list(acl.network_acl_entries) if entry.cidr_block or entry.ipv6_cidr_block)
    return NetworkAcl(
        id=acl.id,
        vpc_id=acl.vpc_id,
        subnet_ids=tuple(association.subnet_id for association in list(acl.associations) if association.subnet_id),
        rules=tuple(rules),
    )


def _acl_rule(entry: Any) -> AclRule:
    return AclRule(
        number=int(entry.rule_number),
        direction=Direction.OUT if str(entry.egress).lower() == "true" else Direction.IN,
        effect=Effect.ALLOW if str(entry.rule_action).lower() == "allow" else Effect.DENY,
        protocol=str(entry.protocol),
        cidr=entry.cidr_block or entry.ipv6_cidr_block,
        from_port=None if entry.port_range_from is None else int(entry.port_range_from),
        to_port=None if entry.port_range_to is None else int(entry.port_range_to),
    )


def _nat_gateway(gateway: Any) -> NatGateway:
    addresses = [entry.get("publicIp") for entry in gateway.address_set]
    return NatGateway(
        id=gateway.id,
        subnet_id=gateway.subnet_id,
        public_ips=tuple(address for address in addresses if address),
        state=gateway.state,
    )


def bucket(found: Any, *, name: str) -> BucketState:
    ownership = found.ownership_rule
    if isinstance(ownership, dict):
        ownership = ownership.get("ObjectOwnership")
    return BucketState(
        name=name,
        account=found.account_id,
        region=found.region_name,
        policy=found.policy.decode() if isinstance(found.policy, bytes) else found.policy,
        ownership=ownership,
        public_access_block=public_access_block(found.public_access_block),
        versioned=bool(found.is_versioned),
    )


def newest(bucket: Any, key: str, version: str | None) -> Any:
    """The version of a key that is named, else the newest one; None where there is none."""
    versions = [] if bucket is None else bucket.keys.getlist(key, default=[])
    if version is not None:
        versions = [entry for entry in versions if str(entry.version_id) == version]
    return versions[-1] if versions else None


def public_access_block(found: Any) -> PublicAccessBlock | None:
    if found is None:
        return None
    return PublicAccessBlock(
        block_public_acls=bool(found.block_public_acls),
        ignore_public_acls=bool(found.ignore_public_acls),
        block_public_policy=bool(found.block_public_policy),
        restrict_public_buckets=bool(found.restrict_public_buckets),
    )


def policies(principal: Any) -> list[tuple[str, str]]:
    """Inline policies by name, managed ones by ARN, in the version that is in force."""
    inline = [(str(name), str(document)) for name, document in list(principal.policies.items())]
    return inline + [(policy.arn, document(policy)) for policy in _all(principal.managed_policies)]


def document(policy: Any) -> str:
    """A managed policy's default version."""
    return next(str(entry.document) for entry in policy.versions if entry.version_id == policy.default_version_id)


def tags(found: Any) -> tuple[tuple[str, str], ...]:
    """IAM keeps tags as a list of Key and Value, or by key in lower case."""
    entries = found.values() if isinstance(found, dict) else found or ()
    return tuple((entry["Key"], entry["Value"]) for entry in entries)


def function_policy(statements: list[dict[str, Any]]) -> str | None:
    """A principal that is an account's id or an ARN is kept as it was given."""
    rows = [
        {**row, "Principal": {"AWS": row["Principal"]}}
        if isinstance(row["Principal"], str) and row["Principal"] != "*"
        else row
        for row in statements
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": rows}) if rows else None


def function(found: Any, *, account: str, region: str) -> FunctionState:
    from pytest_s3vpce.lab.compute import FunctionSpec

    network = found._vpc_config or {}  # noqa: SLF001 - the public property invents a VPC
    return FunctionState(
        spec=FunctionSpec(
            account=account,
            region=region,
            name=found.function_name,
            arn=found.function_arn,
            zip=found.code_bytes,
            sha256=found.code_sha_256,
            handler=found.handler or "",
            environment=tuple(sorted((found.environment_vars or {}).items())),
            timeout=float(found.timeout),
            memory=int(found.memory_size),
            role_arn=found.role,
        ),
        subnet_ids=tuple(network.get("SubnetIds") or ()),
        security_group_ids=tuple(network.get("SecurityGroupIds") or ()),
        dual_stack=bool(network.get("Ipv6AllowedForDualStack")),
        runtime=found.run_time or "",
        version=str(found.version),
        concurrency=found.reserved_concurrency,
    )


def _text(policy: Any) -> str | None:
    """CloudFormation leaves the document as it was parsed."""
    return policy if policy is None or isinstance(policy, str) else json.dumps(policy)
