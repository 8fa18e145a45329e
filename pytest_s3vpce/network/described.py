"""A network from what EC2's Describe calls answer, in the same values as the lab's own, for the one resolver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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
    from collections.abc import Mapping, Sequence

    Row = Mapping[str, Any]

CALLS: Final = {
    "Vpcs": "describe_vpcs",
    "Subnets": "describe_subnets",
    "RouteTables": "describe_route_tables",
    "VpcEndpoints": "describe_vpc_endpoints",
    "SecurityGroups": "describe_security_groups",
    "NetworkAcls": "describe_network_acls",
    "NatGateways": "describe_nat_gateways",
    "InternetGateways": "describe_internet_gateways",
    "EgressOnlyInternetGateways": "describe_egress_only_internet_gateways",
    "VpcPeeringConnections": "describe_vpc_peering_connections",
    "PrefixLists": "describe_managed_prefix_lists",
    "NetworkInterfaces": "describe_network_interfaces",
}
"""The calls whose answers are needed, by the member that holds the rows; each has a paginator."""
ATTRIBUTES: Final = {"EnableDnsSupport": "enableDnsSupport", "EnableDnsHostnames": "enableDnsHostnames"}
"""Of a VPC, by the member of DescribeVpcAttribute's answer; to be put into the VPC's row as booleans."""
_KINDS: Final = frozenset(kind.value for kind in EndpointKind)
_TARGETS: Final = (
    "GatewayId",
    "NatGatewayId",
    "EgressOnlyInternetGatewayId",
    "InstanceId",
    "NetworkInterfaceId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "CarrierGatewayId",
    "LocalGatewayId",
    "CoreNetworkArn",
)
_DESTINATIONS: Final = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")


def topology(rows: Mapping[str, Sequence[Row]], *, account: str, region: str) -> Topology:
    """`rows` are those of `CALLS`; the rows of VPCs carry `ATTRIBUTES`, those of prefix lists their `Cidrs`."""
    interfaces = {row["NetworkInterfaceId"]: row for row in rows["NetworkInterfaces"]}
    return Topology(
        account=account,
        region=region,
        vpcs=tuple(map(_vpc, rows["Vpcs"])),
        subnets=tuple(map(_subnet, rows["Subnets"])),
        route_tables=tuple(map(_route_table, rows["RouteTables"])),
        endpoints=tuple(
            _endpoint(row, interfaces, account, region)
            for row in rows["VpcEndpoints"]
            if row.get("VpcEndpointType", "Gateway").lower() in _KINDS
        ),
        security_groups=tuple(map(security_group, rows["SecurityGroups"])),
        network_acls=tuple(map(network_acl, rows["NetworkAcls"])),
        nat_gateways=tuple(map(_nat_gateway, rows["NatGateways"])),
        internet_gateways=tuple(_gateway(row, "InternetGatewayId") for row in rows["InternetGateways"]),
        egress_only_gateways=tuple(
            _gateway(row, "EgressOnlyInternetGatewayId") for row in rows["EgressOnlyInternetGateways"]
        ),
        peerings=tuple(map(_peering, rows["VpcPeeringConnections"])),
        prefix_lists=tuple(
            PrefixList(id=row["PrefixListId"], name=row.get("PrefixListName", ""), cidrs=tuple(row.get("Cidrs", ())))
            for row in rows["PrefixLists"]
        ),
    )


def _vpc(row: Row) -> Vpc:
    return Vpc(
        id=row["VpcId"],
        cidr=row["CidrBlock"],
        dns_support=row.get("EnableDnsSupport", True),
        dns_hostnames=row.get("EnableDnsHostnames", True),
    )


def _subnet(row: Row) -> Subnet:
    six = (entry["Ipv6CidrBlock"] for entry in row.get("Ipv6CidrBlockAssociationSet", ()))
    return Subnet(
        id=row["SubnetId"],
        vpc_id=row["VpcId"],
        cidr=row.get("CidrBlock", ""),
        ipv6_cidr=next(six, None),
        zone=row.get("AvailabilityZone", ""),
        maps_public_ip=row.get("MapPublicIpOnLaunch", False),
    )


def _route_table(row: Row) -> RouteTable:
    associations = row.get("Associations", ())
    return RouteTable(
        id=row["RouteTableId"],
        vpc_id=row["VpcId"],
        is_main=any(entry.get("Main") for entry in associations),
        subnet_ids=tuple(entry["SubnetId"] for entry in associations if "SubnetId" in entry),
        routes=tuple(route for route in map(_route, row.get("Routes", ())) if route is not None),
    )


def _route(row: Row) -> Route | None:
    destination = next((row[name] for name in _DESTINATIONS if row.get(name)), None)
    target = next((row[name] for name in _TARGETS if row.get(name)), None)
    if destination is None or target is None:
        return None
    return Route(destination=destination, target=target, state=row.get("State", "active"))


def _endpoint(row: Row, interfaces: Mapping[str, Row], account: str, region: str) -> Endpoint:
    kind = EndpointKind(row.get("VpcEndpointType", "Gateway").lower())
    found = [interfaces[name] for name in row.get("NetworkInterfaceIds", ()) if name in interfaces]
    options = row.get("DnsOptions") or {}
    return Endpoint(
        id=row["VpcEndpointId"],
        vpc_id=row["VpcId"],
        account=row.get("OwnerId", account),
        region=region,
        service=row["ServiceName"],
        kind=kind,
        route_table_ids=tuple(row.get("RouteTableIds", ())),
        policy=row.get("PolicyDocument"),
        private_dns=kind is EndpointKind.INTERFACE and row.get("PrivateDnsEnabled", False),
        only_inbound=bool(options.get("PrivateDnsOnlyForInboundResolverEndpoint")),
        state=row.get("State", "available").lower(),
        security_group_ids=tuple(entry["GroupId"] for entry in row.get("Groups", ())),
        interfaces=tuple(Interface(subnet_id=eni["SubnetId"], address=eni["PrivateIpAddress"]) for eni in found),
        dns_names=tuple(
            entry["DnsName"].removeprefix("*.")
            for entry in row.get("DnsEntries", ())
            if ".vpce." in entry.get("DnsName", "")
        ),
        address_type=row.get("IpAddressType", "ipv4"),
    )


def security_group(row: Row) -> SecurityGroup:
    return SecurityGroup(
        id=row["GroupId"],
        vpc_id=row.get("VpcId", ""),
        egress=tuple(map(_rule, row.get("IpPermissionsEgress", ()))),
        ingress=tuple(map(_rule, row.get("IpPermissions", ()))),
    )


def _rule(row: Row) -> SecurityRule:
    four = [entry["CidrIp"] for entry in row.get("IpRanges", ())]
    six = [entry["CidrIpv6"] for entry in row.get("Ipv6Ranges", ())]
    return SecurityRule(
        protocol=str(row["IpProtocol"]),
        from_port=row.get("FromPort"),
        to_port=row.get("ToPort"),
        cidrs=(*four, *six),
        prefix_list_ids=tuple(entry["PrefixListId"] for entry in row.get("PrefixListIds", ())),
        group_ids=tuple(entry["GroupId"] for entry in row.get("UserIdGroupPairs", ()) if "GroupId" in entry),
    )


def network_acl(row: Row) -> NetworkAcl:
    return NetworkAcl(
        id=row["NetworkAclId"],
        vpc_id=row["VpcId"],
        subnet_ids=tuple(entry["SubnetId"] for entry in row.get("Associations", ())),
        rules=tuple(map(_acl_rule, row.get("Entries", ()))),
    )


def _acl_rule(row: Row) -> AclRule:
    ports = row.get("PortRange") or {}
    return AclRule(
        number=row["RuleNumber"],
        direction=Direction.OUT if row["Egress"] else Direction.IN,
        effect=Effect(row["RuleAction"]),
        protocol=str(row["Protocol"]),
        cidr=row.get("CidrBlock") or row["Ipv6CidrBlock"],
        from_port=ports.get("From"),
        to_port=ports.get("To"),
    )


def _nat_gateway(row: Row) -> NatGateway:
    addresses = (entry.get("PublicIp") for entry in row.get("NatGatewayAddresses", ()))
    return NatGateway(
        id=row["NatGatewayId"],
        subnet_id=row["SubnetId"],
        public_ips=tuple(address for address in addresses if address),
        state=row["State"],
    )


def _gateway(row: Row, name: str) -> InternetGateway:
    attached = (entry["VpcId"] for entry in row.get("Attachments", ()))
    return InternetGateway(id=row[name], vpc_id=next(attached, None))


def _peering(row: Row) -> Peering:
    ends = (row["RequesterVpcInfo"]["VpcId"], row["AccepterVpcInfo"]["VpcId"])
    return Peering(id=row["VpcPeeringConnectionId"], vpc_ids=ends, state=row["Status"]["Code"])
