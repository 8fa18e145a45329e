"""What a network path depends on in one account and Region: VPCs, subnets, routes, endpoints and gateways."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

AVAILABLE = "available"


class EndpointKind(StrEnum):
    """How a VPC endpoint is reached: by a route, or by an address in a subnet."""

    GATEWAY = "gateway"
    INTERFACE = "interface"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vpc:
    """A virtual private cloud."""

    id: str
    cidr: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A subnet of a VPC."""

    id: str
    vpc_id: str
    cidr: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One line of a route table: `destination` is a CIDR block or a prefix list, `target` what it leads to."""

    destination: str
    target: str
    """`local`, or the id of a gateway, endpoint, network interface or connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable:
    """A route table and the subnets that are associated with it explicitly."""

    id: str
    vpc_id: str
    is_main: bool = False
    subnet_ids: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()


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
    state: str = AVAILABLE

    def serves(self, service: str, *, region: str) -> bool:
        return self.service == f"com.amazonaws.{region}.{service}" and self.state.lower() == AVAILABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRule:
    """What a security group lets out; no ports means all ports."""

    protocol: str = "-1"
    """`-1` is all protocols."""
    from_port: int | None = None
    to_port: int | None = None
    cidrs: tuple[str, ...] = ()
    prefix_list_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroup:
    """A security group's outward half."""

    id: str
    vpc_id: str
    egress: tuple[EgressRule, ...] = ()


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
    s3_prefix_list: str | None = None
    """The id of the managed prefix list `com.amazonaws.REGION.s3`."""

    def subnet(self, subnet_id: str) -> Subnet | None:
        return next((subnet for subnet in self.subnets if subnet.id == subnet_id), None)

    def security_group(self, group_id: str) -> SecurityGroup | None:
        return next((group for group in self.security_groups if group.id == group_id), None)

    def network_acl(self, subnet: Subnet) -> NetworkAcl | None:
        return next((acl for acl in self.network_acls if subnet.id in acl.subnet_ids), None)

    def nat_gateway(self, gateway_id: str) -> NatGateway | None:
        return next((gateway for gateway in self.nat_gateways if gateway.id == gateway_id), None)

    def internet_gateway(self, gateway_id: str) -> InternetGateway | None:
        return next((gateway for gateway in self.internet_gateways if gateway.id == gateway_id), None)

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
