"""What a network path depends on in one account and Region: VPCs, subnets, routes, endpoints and gateways."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

AVAILABLE = "available"
ACTIVE = "active"
IPV4 = "ipv4"


class EndpointKind(StrEnum):
    """How a VPC endpoint is reached: by a route, or by an address in a subnet."""

    GATEWAY = "gateway"
    INTERFACE = "interface"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vpc:
    """A virtual private cloud, and whether AWS's resolver answers in it and knows the private names of endpoints."""

    id: str
    cidr: str = ""
    dns_support: bool = True
    dns_hostnames: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A subnet of a VPC; `zone` is its Availability Zone's name."""

    id: str
    vpc_id: str
    cidr: str = ""
    ipv6_cidr: str | None = None
    zone: str = ""
    maps_public_ip: bool = False
    """Whether interfaces that are made in it get a public address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One line of a route table: `destination` is a CIDR block or a prefix list, `target` what it leads to."""

    destination: str
    target: str
    """`local`, or the id of a gateway, endpoint, network interface or connection."""
    state: str = ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable:
    """A route table and the subnets that are associated with it explicitly."""

    id: str
    vpc_id: str
    is_main: bool = False
    subnet_ids: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """The network interface of an endpoint in one of its subnets."""

    subnet_id: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A VPC endpoint; `policy` is its document's text, None is AWS's default, full access."""

    id: str
    vpc_id: str
    account: str
    region: str
    service: str
    """The full name: `com.amazonaws.us-east-1.s3`."""
    kind: EndpointKind = EndpointKind.GATEWAY
    route_table_ids: tuple[str, ...] = ()
    policy: str | None = None
    private_dns: bool = False
    only_inbound: bool = False
    """Whether private DNS is for those who ask from outside of the VPC, through an inbound resolver."""
    state: str = AVAILABLE
    security_group_ids: tuple[str, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    dns_names: tuple[str, ...] = ()
    """Names of its own, without the leading `*.`: `vpce-0abc-1234.s3.us-east-1.vpce.amazonaws.com`."""
    address_type: str = IPV4

    def serves(self, service: str, *, region: str) -> bool:
        return self.service.removeprefix("cn.") == f"com.amazonaws.{region}.{service}" and self.is_available

    @property
    def is_available(self) -> bool:
        return self.state.lower() == AVAILABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityRule:
    """What a security group lets out or in: by blocks of either family, prefix lists or groups. No ports: all ports."""

    protocol: str = "-1"
    """`-1` is all protocols."""
    from_port: int | None = None
    to_port: int | None = None
    cidrs: tuple[str, ...] = ()
    prefix_list_ids: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroup:
    """A security group."""

    id: str
    vpc_id: str
    egress: tuple[SecurityRule, ...] = ()
    ingress: tuple[SecurityRule, ...] = ()


class Direction(StrEnum):
    """Of traffic, as the subnet sees it."""

    OUT = "out"
    IN = "in"


class Effect(StrEnum):
    """What a network ACL's rule does with the traffic it names."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class AclRule:
    """A rule of a network ACL; the lowest number that applies decides. No ports means all ports."""

    number: int
    direction: Direction
    effect: Effect
    protocol: str = "-1"
    cidr: str = "0.0.0.0/0"
    from_port: int | None = None
    to_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAcl:
    """A network ACL and the subnets it guards."""

    id: str
    vpc_id: str
    subnet_ids: tuple[str, ...] = ()
    rules: tuple[AclRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NatGateway:
    """A NAT gateway and the public addresses its traffic leaves from."""

    id: str
    subnet_id: str
    public_ips: tuple[str, ...] = ()
    state: str = AVAILABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class InternetGateway:
    """An internet gateway; without a VPC it is detached."""

    id: str
    vpc_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peering:
    """A peering connection and the two VPCs that it joins."""

    id: str
    vpc_ids: tuple[str, str]
    state: str = ACTIVE

    def joins(self, one: str, other: str) -> bool:
        return self.state == ACTIVE and {one, other} == set(self.vpc_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixList:
    """A named list of blocks; AWS's own are named after a service, `com.amazonaws.REGION.s3`."""

    id: str
    name: str = ""
    cidrs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """The network of one account and Region."""

    account: str
    region: str
    vpcs: tuple[Vpc, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    route_tables: tuple[RouteTable, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()
    network_acls: tuple[NetworkAcl, ...] = ()
    nat_gateways: tuple[NatGateway, ...] = ()
    internet_gateways: tuple[InternetGateway, ...] = ()
    egress_only_gateways: tuple[InternetGateway, ...] = ()
    peerings: tuple[Peering, ...] = ()
    prefix_lists: tuple[PrefixList, ...] = ()

    def vpc(self, vpc_id: str) -> Vpc | None:
        return next((vpc for vpc in self.vpcs if vpc.id == vpc_id), None)

    def subnet(self, subnet_id: str) -> Subnet | None:
        return next((subnet for subnet in self.subnets if subnet.id == subnet_id), None)

    def security_group(self, group_id: str) -> SecurityGroup | None:
        return next((group for group in self.security_groups if group.id == group_id), None)

    def network_acl(self, subnet: Subnet) -> NetworkAcl | None:
        return next((acl for acl in self.network_acls if subnet.id in acl.subnet_ids), None)

    def nat_gateway(self, gateway_id: str) -> NatGateway | None:
        return next((gateway for gateway in self.nat_gateways if gateway.id == gateway_id), None)

    def internet_gateway(self, gateway_id: str) -> InternetGateway | None:
        """An internet gateway, egress-only ones included."""
        both = (*self.internet_gateways, *self.egress_only_gateways)
        return next((gateway for gateway in both if gateway.id == gateway_id), None)

    def peering(self, peering_id: str) -> Peering | None:
        return next((peering for peering in self.peerings if peering.id == peering_id), None)

    def prefix_list(self, list_id: str) -> PrefixList | None:
        return next((entry for entry in self.prefix_lists if entry.id == list_id), None)

    def prefix_list_of(self, service: str) -> PrefixList | None:
        """AWS's list of a service's addresses in this Region."""
        name = f"com.amazonaws.{self.region}.{service}"
        return next((entry for entry in self.prefix_lists if entry.name.removeprefix("cn.") == name), None)

    def endpoint(self, endpoint_id: str) -> Endpoint | None:
        return next((endpoint for endpoint in self.endpoints if endpoint.id == endpoint_id), None)

    def route_table(self, subnet: Subnet) -> RouteTable | None:
        """The table associated with the subnet, else the main one of its VPC.

        https://docs.aws.amazon.com/vpc/latest/userguide/subnet-route-tables.html
        """
        of_vpc = [table for table in self.route_tables if table.vpc_id == subnet.vpc_id]
        explicit = (table for table in of_vpc if subnet.id in table.subnet_ids)
        return next(explicit, None) or next((table for table in of_vpc if table.is_main), None)

    def endpoints_in(self, vpc_id: str, *, kind: EndpointKind) -> Iterator[Endpoint]:
        return (endpoint for endpoint in self.endpoints if endpoint.vpc_id == vpc_id and endpoint.kind is kind)
