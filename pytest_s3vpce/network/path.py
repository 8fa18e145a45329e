"""The path that a connection takes from a subnet to AWS, and what the request then tells policies about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pytest_s3vpce.network import filters, routes
from pytest_s3vpce.network.filters import Far
from pytest_s3vpce.network.names import Form
from pytest_s3vpce.network.topology import AVAILABLE, EndpointKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_s3vpce.network.topology import Endpoint, Interface, RouteTable, Subnet, Topology

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
    NO_NAME = "no name"
    """The host name does not resolve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A network interface in a subnet. A function's has no public address."""

    subnet_id: str
    security_group_ids: tuple[str, ...]
    private_ip: str
    public_ip: str | None = None
    ipv6: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A service's host in a Region, and a port of it."""

    service: str
    """`s3`, `other`, or a service that the VPC has an endpoint for."""
    region: str
    port: int = 443
    form: Form = Form.REGIONAL
    label: str = ""
    """The first label of an endpoint's own name, for hosts of that form."""


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

    @property
    def address(self) -> str | None:
        """What the service sees as the caller's: private where the request came by an endpoint."""
        return self.public_ip if self.endpoint is None else self.private_ip

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


def resolve(
    topology: Topology, *, source: Source, destination: Destination, others: Iterable[Topology] = ()
) -> Path | Dropped:
    """The path from an interface to a service, or why there is none.

    `others` are the networks of other accounts and Regions: peering may lead into them.
    """
    subnet = topology.subnet(source.subnet_id)
    if subnet is None:
        return Dropped(reason=f"subnet `{source.subnet_id}` does not exist")
    vpc = topology.vpc(subnet.vpc_id)
    if vpc is not None and not vpc.dns_support:
        # https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html
        return Dropped(reason=f"DNS support of `{vpc.id}` is off: no name resolves in it", how=Loss.NO_NAME)
    connection = _Connection(topology, subnet=subnet, source=source, destination=destination)
    if destination.form is Form.ENDPOINT:
        return connection.to_named(others)
    private = _private_endpoint(topology, subnet=subnet, destination=destination)
    if private is not None:
        return connection.to_interface(topology, private)
    if destination.form is Form.DUALSTACK and source.ipv6 is not None:
        by_six = connection.to_public(routes.address6(destination.service))
        if isinstance(by_six, Path):
            return by_six
    return connection.to_public(routes.address(topology, destination.service))


@dataclass(frozen=True, slots=True)
class FarEnd:
    """The interface or public address that a host's name leads to; the subnet is an interface's."""

    far: Far
    subnet_id: str | None = None


def far_end(
    topology: Topology, *, source: Source, destination: Destination, others: Iterable[Topology] = ()
) -> FarEnd | None:
    """Where `resolve` tries to get; None where the name does not resolve."""
    subnet = topology.subnet(source.subnet_id)
    vpc = topology.vpc(subnet.vpc_id) if subnet else None
    if subnet is None or (vpc is not None and not vpc.dns_support):
        return None
    return _Connection(topology, subnet=subnet, source=source, destination=destination).far_end(others)


def _private_endpoint(topology: Topology, *, subnet: Subnet, destination: Destination) -> Endpoint | None:
    """The interface endpoint that the VPC's private DNS gives for the service's regional names.

    It takes both DNS attributes of the VPC, and the option that is for inbound resolvers only to be off:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html#private-dns
    """
    vpc = topology.vpc(subnet.vpc_id)
    if destination.form is not Form.REGIONAL or vpc is None or not vpc.dns_hostnames:
        return None
    for endpoint in topology.endpoints_in(subnet.vpc_id, kind=EndpointKind.INTERFACE):
        private = endpoint.private_dns and not endpoint.only_inbound
        if private and endpoint.serves(_reversed(destination.service), region=destination.region):
            return endpoint
    return None


def _reversed(service: str) -> str:
    return ".".join(reversed(service.split(".")))


class _Connection:
    """From one interface to one host."""

    def __init__(self, topology: Topology, *, subnet: Subnet, source: Source, destination: Destination) -> None:
        self._topology = topology
        self._subnet = subnet
        self._source = source
        self._destination = destination

    def to_named(self, others: Iterable[Topology]) -> Path | Dropped:
        """To the endpoint whose name the host has, in this network or another one."""
        found = self._named(others)
        if found is None:
            reason = f"there is no endpoint with the name `{self._destination.label}`"
            return Dropped(reason=reason, how=Loss.NO_NAME)
        return self.to_interface(*found)

    def _named(self, others: Iterable[Topology]) -> tuple[Topology, Endpoint] | None:
        label = self._destination.label
        for place in (self._topology, *others):
            for endpoint in place.endpoints:
                if endpoint.is_available and any(name.partition(".")[0] == label for name in endpoint.dns_names):
                    return place, endpoint
        return None

    def far_end(self, others: Iterable[Topology]) -> FarEnd | None:
        """What the host's name leads to, whether or not packets get there."""
        topology, destination = self._topology, self._destination
        if destination.form is Form.ENDPOINT:
            found = self._named(others)
        else:
            private = _private_endpoint(topology, subnet=self._subnet, destination=destination)
            found = (topology, private) if private else None
        if found is not None:
            interface = self._interface(*found)
            groups = found[1].security_group_ids if found[0].region == topology.region else ()
            if interface is None:
                return None
            return FarEnd(Far(address=interface.address, group_ids=groups), subnet_id=interface.subnet_id)
        if destination.form is Form.ENDPOINT:
            return None
        if destination.form is Form.DUALSTACK and self._source.ipv6 is not None:
            six = routes.address6(destination.service)
            if isinstance(self.to_public(six), Path):
                return FarEnd(Far(address=six))
        return FarEnd(Far(address=routes.address(topology, destination.service)))

    def to_interface(self, place: Topology, endpoint: Endpoint) -> Path | Dropped:
        """Through an interface of the endpoint: https://docs.aws.amazon.com/vpc/latest/privatelink/concepts.html."""
        interface = self._interface(place, endpoint)
        home = place.subnet(interface.subnet_id) if interface else None
        if interface is None or home is None:
            return Dropped(reason=f"endpoint `{endpoint.id}` has no address that its name leads to", how=Loss.NO_NAME)
        # Rules that name groups do not hold across Regions:
        # https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-security-groups.html
        near = place.region == self._topology.region
        far = Far(address=interface.address, group_ids=endpoint.security_group_ids if near else ())
        me = Far(address=self._source.private_ip, group_ids=self._source.security_group_ids if near else ())
        reason = (
            self._egress(far)
            or self._between(place, home, far.address)
            or self._ingress(place, endpoint, me)
            or (filters.server_acl(place, subnet=home, far=me.address, port=self._port) if self._leaves(home) else None)
        )
        if reason is not None:
            return Dropped(reason=reason)
        return Path(kind=PathKind.INTERFACE_ENDPOINT, endpoint=endpoint, private_ip=self._source.private_ip)

    def _interface(self, place: Topology, endpoint: Endpoint) -> Interface | None:
        """The one in the zone that the name has, else one of all, preferably in the zone of the client."""
        zones = {found: zone for found in endpoint.interfaces if (zone := _zone(place, found)) is not None}
        label = self._destination.label
        zonal = [found for found, zone in zones.items() if zone and label.endswith(f"-{zone}")]
        if zonal:
            return zonal[0]
        return next((found for found, zone in zones.items() if zone == self._subnet.zone), None) or next(
            iter(zones), None
        )

    def _between(self, place: Topology, home: Subnet, address: str) -> str | None:
        """Why no packet gets from one subnet to the other and back."""
        reason = self._leads_to(place, home, address)
        if reason is None and self._leaves(home):
            reason = filters.client_acl(self._topology, subnet=self._subnet, far=address, port=self._port)
        return reason

    def _leaves(self, home: Subnet) -> bool:
        """An ACL sees only what enters or leaves its subnet."""
        return home.id != self._subnet.id

    def _leads_to(self, place: Topology, home: Subnet, address: str) -> str | None:
        """Into another VPC only a peering connection leads, by routes on both sides, and no further.

        https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-basics.html#vpc-peering-limitations
        """
        if home.vpc_id == self._subnet.vpc_id:
            return None
        table = self._topology.route_table(self._subnet)
        route = routes.best(self._topology, table=table, address=address) if table else None
        peering = self._topology.peering(route.target) if route else None
        if peering is not None and not peering.joins(self._subnet.vpc_id, home.vpc_id):
            return f"peering connection `{peering.id}` is not active between the two VPCs"
        if route is None or peering is None or route.is_blackhole:
            there = route.target if route and not route.is_blackhole else "nothing"
            return f"subnet `{self._subnet.id}` leads to `{there}` on the way to `{home.vpc_id}`"
        back = routes.target(place, subnet=home, address=self._source.private_ip)
        return None if back == peering.id else f"subnet `{home.id}` has no route back by `{peering.id}`"

    def _egress(self, far: Far) -> str | None:
        """Why no rule of any of the interface's groups lets the request out."""
        ids = self._source.security_group_ids
        if filters.group_lets_out(self._topology, group_ids=ids, far=far, port=self._port):
            return None
        named = ", ".join(f"`{group_id}`" for group_id in ids) or "(none)"
        return f"no egress rule of security groups {named} lets port {self._port} out to it"

    def _ingress(self, place: Topology, endpoint: Endpoint, me: Far) -> str | None:
        groups = [place.security_group(group_id) for group_id in endpoint.security_group_ids]
        rules = [rule for group in groups if group is not None for rule in group.ingress]
        if filters.lets(rules, topology=place, far=me, port=self._port):
            return None
        named = ", ".join(f"`{group_id}`" for group_id in endpoint.security_group_ids) or "(none)"
        return f"no ingress rule of `{endpoint.id}`'s security groups {named} lets port {self._port} in"

    def to_public(self, address: str) -> Path | Dropped:
        """To a public address of the service, by the most specific route."""
        reason = self._egress(Far(address=address)) or filters.client_acl(
            self._topology, subnet=self._subnet, far=address, port=self._port
        )
        if reason is not None:
            return Dropped(reason=reason)
        subnet = self._subnet
        table = self._topology.route_table(subnet)
        if table is None:
            return Dropped(reason=f"subnet `{subnet.id}` has no route table")
        return self._by(table, address)

    def _by(self, table: RouteTable, address: str) -> Path | Dropped:
        of_table = f"route table `{table.id}` of subnet `{self._subnet.id}`"
        route = routes.best(self._topology, table=table, address=address)
        endpoint = self._gateway_endpoint(table, address, than=route.length if route else -1)
        if endpoint is not None:
            return Path(kind=PathKind.GATEWAY_ENDPOINT, endpoint=endpoint, private_ip=self._source.private_ip)
        if route is None:
            return Dropped(reason=f"{of_table} has no route to it")
        if route.is_blackhole:
            return Dropped(reason=f"{of_table} has a black hole for it: `{route.target}` is gone")
        if route.target.startswith(("igw-", "eigw-")):
            return self._by_internet_gateway(route.target, six=":" in address)
        if route.target.startswith("nat-"):
            return self._by_nat(route.target, address)
        return Dropped(reason=f"{of_table} leads to `{route.target}`, not to AWS")

    def _gateway_endpoint(self, table: RouteTable, address: str, *, than: int) -> Endpoint | None:
        """The gateway endpoint that the table is associated with, unless a route of its own is more specific.

        It stands in the table as a route to the Region's addresses of the service, so that other Regions' go another
        way: https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html
        """
        destination = self._destination
        for endpoint in self._topology.endpoints_in(self._subnet.vpc_id, kind=EndpointKind.GATEWAY):
            serves = endpoint.serves(destination.service, region=destination.region)
            if table.id in endpoint.route_table_ids and serves and _carries(endpoint, address):
                length = routes.length_of(self._topology, destination.service, address=address)
                return endpoint if length > than else None
        return None

    def _by_internet_gateway(self, gateway_id: str, *, six: bool) -> Path | Dropped:
        subnet, source = self._subnet, self._source
        attached = self._topology.internet_gateway(gateway_id)
        if attached is None or attached.vpc_id != subnet.vpc_id:
            return Dropped(reason=f"subnet `{subnet.id}` leads to `{gateway_id}`, which is not attached to its VPC")
        address = source.ipv6 if six else source.public_ip
        if address is None:
            # A function's interface never has one, in a public subnet either.
            # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc-internet.html
            return Dropped(
                reason=f"subnet `{subnet.id}` leads to `{gateway_id}`, and the interface has no public address"
            )
        return Path(kind=PathKind.INTERNET, public_ip=address)

    def _by_nat(self, gateway_id: str, address: str) -> Path | Dropped:
        """A public NAT gateway sends from its own address, through its own subnet's route to an internet gateway.

        https://docs.aws.amazon.com/vpc/latest/userguide/vpc-nat-gateway.html
        """
        gateway = self._topology.nat_gateway(gateway_id)
        if gateway is None or gateway.state.lower() != AVAILABLE:
            return Dropped(reason=f"NAT gateway `{gateway_id}` is not available")
        if not gateway.public_ips:
            return Dropped(reason=f"NAT gateway `{gateway_id}` has no public address")
        subnet = self._topology.subnet(gateway.subnet_id)
        target = routes.target(self._topology, subnet=subnet, address=address) if subnet else None
        attached = self._topology.internet_gateway(target) if target else None
        if subnet is None or attached is None or attached.vpc_id != subnet.vpc_id:
            return Dropped(
                reason=f"NAT gateway `{gateway_id}` stands in a subnet without a route to an internet gateway"
            )
        reason = filters.client_acl(self._topology, subnet=subnet, far=address, port=self._port)
        if reason is None and self._leaves(subnet):
            reason = filters.server_acl(self._topology, subnet=subnet, far=self._source.private_ip, port=self._port)
        return Path(kind=PathKind.NAT, public_ip=gateway.public_ips[0]) if reason is None else Dropped(reason=reason)

    @property
    def _port(self) -> int:
        return self._destination.port


def _carries(endpoint: Endpoint, address: str) -> bool:
    """Whether it is one for the address's family."""
    return endpoint.address_type in ({"ipv6", "dualstack"} if ":" in address else {"ipv4", "dualstack"})


def _zone(topology: Topology, interface: Interface) -> str | None:
    subnet = topology.subnet(interface.subnet_id)
    return None if subnet is None else subnet.zone


def _partition(region: str) -> str:
    return next((name for start, name in _PARTITIONS.items() if region.startswith(f"{start}-")), "aws")
