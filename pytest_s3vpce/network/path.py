"""The path that a connection takes from a subnet to AWS, and what the request then tells policies about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Literal

from pytest_s3vpce.network.topology import AVAILABLE, Direction, Effect, EndpointKind

if TYPE_CHECKING:
    from pytest_s3vpce.network.topology import AclRule, EgressRule, Endpoint, RouteTable, Subnet, Topology

_S3 = "s3"
_TCP = frozenset({"-1", "tcp", "6"})
# One address stands for all of a service: S3's is in the managed prefix list, the other one is not.
_ADDRESSES = {_S3: ip_address("52.216.0.1"), "other": ip_address("54.240.0.1")}
# Answers come back to a port that the client's system chose: Linux takes 32768 to 60999.
_EPHEMERAL = 40_000
_PARTITIONS = {"cn": "aws-cn", "us-gov": "aws-us-gov", "eusc": "aws-eusc"}


class PathKind(StrEnum):
    """What a request came through."""

    INTERNET = "internet"
    NAT = "nat"
    GATEWAY_ENDPOINT = "gateway_endpoint"
    INTERFACE_ENDPOINT = "interface_endpoint"


class Loss(StrEnum):
    """How a connection that is not let through looks to the client."""

    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A network interface in a subnet; an instance's may have a public address."""

    subnet_id: str
    security_group_ids: tuple[str, ...]
    private_ip: str
    public_ip: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A service's address in a Region, and a port of it."""

    service: Literal["s3", "other"]
    region: str
    port: int = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """The network lets no connection through."""

    reason: str
    how: Loss = Loss.TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """The way a request came: by an endpoint with a private address, or by a public address."""

    kind: PathKind
    public_ip: str | None = None
    private_ip: str | None = None
    endpoint: Endpoint | None = None

    def context(self) -> dict[str, str]:
        """The network condition keys; those that are missing are absent from the request.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-network-properties
        """
        if self.endpoint is None:
            return {"aws:SourceIp": self.public_ip} if self.public_ip else {}
        endpoint = self.endpoint
        vpc_arn = f"arn:{_partition(endpoint.region)}:ec2:{endpoint.region}:{endpoint.account}:vpc/{endpoint.vpc_id}"
        keys = {
            "aws:SourceVpce": endpoint.id,
            "aws:SourceVpc": endpoint.vpc_id,
            "aws:SourceVpcArn": vpc_arn,
            "aws:VpceAccount": endpoint.account,
        }
        return keys | ({"aws:VpcSourceIp": self.private_ip} if self.private_ip else {})


def internet(address: str) -> Path:
    """The path of a host on the public internet."""
    return Path(kind=PathKind.INTERNET, public_ip=address)


def resolve(topology: Topology, *, source: Source, destination: Destination) -> Path | Dropped:
    """The path from an interface to a service, or why there is none."""
    subnet = topology.subnet(source.subnet_id)
    if subnet is None:
        return Dropped(reason=f"subnet `{source.subnet_id}` does not exist")
    if (refusal := _egress(topology, source=source, destination=destination)) is not None:
        return refusal
    if (refusal := _acl(topology, subnet=subnet, destination=destination)) is not None:
        return refusal
    table = topology.route_table(subnet)
    if table is None:
        return Dropped(reason=f"subnet `{subnet.id}` has no route table")
    endpoint = _endpoint(topology, subnet=subnet, table=table, destination=destination)
    if endpoint is not None:
        kind = PathKind.GATEWAY_ENDPOINT if endpoint.kind is EndpointKind.GATEWAY else PathKind.INTERFACE_ENDPOINT
        return Path(kind=kind, endpoint=endpoint, private_ip=source.private_ip)
    return _by_route(topology, subnet=subnet, table=table, source=source, destination=destination)


def _egress(topology: Topology, *, source: Source, destination: Destination) -> Dropped | None:
    """What no rule of any of the interface's groups lets out is dropped without an answer.

    https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
    """
    groups = [topology.security_group(group_id) for group_id in source.security_group_ids]
    rules = [rule for group in groups if group is not None for rule in group.egress]
    if any(_lets_out(rule, topology=topology, destination=destination) for rule in rules):
        return None
    names = ", ".join(f"`{group_id}`" for group_id in source.security_group_ids) or "(none)"
    return Dropped(reason=f"no egress rule of security groups {names} lets port {destination.port} out to it")


def _lets_out(rule: EgressRule, *, topology: Topology, destination: Destination) -> bool:
    if rule.protocol not in _TCP:
        return False
    if rule.protocol != "-1" and rule.from_port is not None and rule.to_port is not None:
        all_ports = rule.from_port == -1
        if not all_ports and not rule.from_port <= destination.port <= rule.to_port:
            return False
    in_list = _in_prefix_list(topology, destination=destination) and topology.s3_prefix_list in rule.prefix_list_ids
    return in_list or any(_covers(cidr, destination) for cidr in rule.cidrs)


def _acl(topology: Topology, *, subnet: Subnet, destination: Destination) -> Dropped | None:
    """A subnet's network ACL keeps no state: it must let the request out and the answer in.

    https://docs.aws.amazon.com/vpc/latest/userguide/nacl-basics.html
    """
    acl = topology.network_acl(subnet)
    if acl is None:
        return None
    for direction, port in ((Direction.OUT, destination.port), (Direction.IN, _EPHEMERAL)):
        rules = sorted((rule for rule in acl.rules if rule.direction is direction), key=lambda rule: rule.number)
        first = next((rule for rule in rules if _applies(rule, destination=destination, port=port)), None)
        if first is None or first.effect is Effect.DENY:
            return Dropped(reason=f"network ACL `{acl.id}` of subnet `{subnet.id}` lets port {port} not {direction}")
    return None


def _applies(rule: AclRule, *, destination: Destination, port: int) -> bool:
    if rule.protocol not in _TCP or not _covers(rule.cidr, destination):
        return False
    if rule.protocol == "-1" or rule.from_port is None or rule.to_port is None:
        return True
    return rule.from_port <= port <= rule.to_port


def _endpoint(topology: Topology, *, subnet: Subnet, table: RouteTable, destination: Destination) -> Endpoint | None:
    """The endpoint of the VPC that S3's address leads to: only that of its own Region.

    With private DNS the host name itself names the interface endpoint, before any route counts
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html). A gateway endpoint
    is a route to the prefix list of the Region's S3 addresses, more specific than 0.0.0.0/0
    (https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html).
    """
    if destination.service != _S3:
        return None
    for endpoint in topology.endpoints_in(subnet.vpc_id, kind=EndpointKind.INTERFACE):
        if endpoint.private_dns and endpoint.serves(_S3, region=destination.region):
            return endpoint
    for endpoint in topology.endpoints_in(subnet.vpc_id, kind=EndpointKind.GATEWAY):
        if table.id in endpoint.route_table_ids and endpoint.serves(_S3, region=destination.region):
            return endpoint
    return None


def _by_route(
    topology: Topology, *, subnet: Subnet, table: RouteTable, source: Source, destination: Destination
) -> Path | Dropped:
    """Follow the most specific route.

    https://docs.aws.amazon.com/vpc/latest/userguide/RouteTables.html#route-tables-priority
    """
    target = _target(table, destination=destination)
    if target is None:
        return Dropped(reason=f"route table `{table.id}` of subnet `{subnet.id}` has no route to it")
    if target.startswith("igw-") and source.public_ip:
        return internet(source.public_ip)
    if target.startswith("igw-"):
        # The interface of a function never has a public address, in a public subnet either.
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc-internet.html
        return Dropped(reason=f"subnet `{subnet.id}` leads to `{target}`, and the interface has no public address")
    if target.startswith("nat-"):
        return _through_nat(topology, gateway_id=target, destination=destination)
    return Dropped(reason=f"route table `{table.id}` of subnet `{subnet.id}` leads to `{target}`, not to AWS")


def _target(table: RouteTable, *, destination: Destination) -> str | None:
    blocks = [route for route in table.routes if "/" in route.destination and _covers(route.destination, destination)]
    best = max(blocks, key=lambda route: ip_network(route.destination, strict=False).prefixlen, default=None)
    return best.target if best else None


def _through_nat(topology: Topology, *, gateway_id: str, destination: Destination) -> Path | Dropped:
    """A public NAT gateway sends from its own address, through its own subnet's route to an internet gateway.

    https://docs.aws.amazon.com/vpc/latest/userguide/vpc-nat-gateway.html
    """
    gateway = topology.nat_gateway(gateway_id)
    if gateway is None or gateway.state.lower() != AVAILABLE:
        return Dropped(reason=f"NAT gateway `{gateway_id}` is not available")
    if not gateway.public_ips:
        return Dropped(reason=f"NAT gateway `{gateway_id}` has no public address")
    subnet = topology.subnet(gateway.subnet_id)
    if subnet and (refusal := _acl(topology, subnet=subnet, destination=destination)) is not None:
        return refusal
    table = topology.route_table(subnet) if subnet else None
    target = _target(table, destination=destination) if table else None
    attached = topology.internet_gateway(target) if target else None
    if subnet is None or attached is None or attached.vpc_id != subnet.vpc_id:
        return Dropped(reason=f"NAT gateway `{gateway_id}` stands in a subnet without a route to an internet gateway")
    return Path(kind=PathKind.NAT, public_ip=gateway.public_ips[0])


def _in_prefix_list(topology: Topology, *, destination: Destination) -> bool:
    return topology.s3_prefix_list is not None and destination.service == _S3 and destination.region == topology.region


def _covers(cidr: str, destination: Destination) -> bool:
    return _ADDRESSES[destination.service] in ip_network(cidr, strict=False)


def _partition(region: str) -> str:
    return next((name for start, name in _PARTITIONS.items() if region.startswith(f"{start}-")), "aws")
