"""Whatever the network: there is an answer, it is the same each time, and it never shows both sides of an endpoint."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_s3vpce.network.names import Form, names, of_key
from pytest_s3vpce.network.path import Destination, Dropped, Path, Source, resolve
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

VPCS, SUBNETS, GROUPS = ("vpc-1", "vpc-2"), ("subnet-1", "subnet-2", "subnet-gone"), ("sg-1", "sg-2", "sg-gone")
BLOCKS = (
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "52.216.0.0/15",
    "52.216.0.0/16",
    "::/0",
    "pl-s3",
    "pl-gone",
    "odd",
    "1.2.3.4/99",
    "52.216.7.7/32",
)
TARGETS = ("local", "nat-1", "nat-gone", "igw-1", "igw-2", "eigw-1", "pcx-1", "pcx-gone", "tgw-1", "vpce-1")
ADDRESSES = ("10.1.0.5", "10.2.0.5", "192.0.2.7", "")


def of(*values: Any) -> Any:
    return st.sampled_from(values)


def some(made: Any, size: int = 2) -> Any:
    return st.lists(made, max_size=size).map(tuple)


PORTS = st.one_of(st.none(), of(-1, 0, 80, 443, 1024, 65535))
RULES = some(
    st.builds(
        SecurityRule,
        protocol=of("-1", "tcp", "6", "udp"),
        from_port=PORTS,
        to_port=PORTS,
        cidrs=some(of(*BLOCKS)),
        prefix_list_ids=some(of("pl-s3", "pl-gone")),
        group_ids=some(of(*GROUPS)),
    )
)
ENDPOINTS = st.builds(
    Endpoint,
    id=of("vpce-1", "vpce-2"),
    vpc_id=of(*VPCS),
    account=st.just("1" * 12),
    region=st.just("us-east-1"),
    service=of("com.amazonaws.us-east-1.s3", "com.amazonaws.us-east-1.sts", "com.amazonaws.eu-west-1.s3", "odd"),
    kind=st.sampled_from(EndpointKind),
    route_table_ids=some(of("rtb-1", "rtb-2")),
    private_dns=st.booleans(),
    only_inbound=st.booleans(),
    state=of("available", "pending", "Available"),
    security_group_ids=some(of(*GROUPS)),
    interfaces=some(st.builds(Interface, subnet_id=of(*SUBNETS), address=of(*ADDRESSES))),
    dns_names=some(of("vpce-1-a.s3.us-east-1.vpce.amazonaws.com", "vpce-1-a-z1.s3.us-east-1.vpce.amazonaws.com")),
    address_type=of("ipv4", "ipv6", "dualstack"),
)
TOPOLOGIES = st.builds(
    Topology,
    account=of("1" * 12, "2" * 12),
    region=of("us-east-1", "eu-west-1"),
    vpcs=some(st.builds(Vpc, id=of(*VPCS), dns_support=of(True, True, False), dns_hostnames=st.booleans())),
    subnets=some(st.builds(Subnet, id=of(*SUBNETS), vpc_id=of(*VPCS), zone=of("", "z1", "z2")), 3),
    route_tables=some(
        st.builds(
            RouteTable,
            id=of("rtb-1", "rtb-2"),
            vpc_id=of(*VPCS),
            is_main=st.booleans(),
            subnet_ids=some(of(*SUBNETS)),
            routes=some(
                st.builds(Route, destination=of(*BLOCKS), target=of(*TARGETS), state=of("active", "blackhole")), 4
            ),
        )
    ),
    endpoints=some(ENDPOINTS),
    security_groups=some(st.builds(SecurityGroup, id=of(*GROUPS), vpc_id=of(*VPCS), egress=RULES, ingress=RULES)),
    network_acls=some(
        st.builds(
            NetworkAcl,
            id=st.just("acl-1"),
            vpc_id=of(*VPCS),
            subnet_ids=some(of(*SUBNETS)),
            rules=some(
                st.builds(
                    AclRule,
                    number=of(1, 2),
                    direction=st.sampled_from(Direction),
                    effect=st.sampled_from(Effect),
                    protocol=of("-1", "6", "17"),
                    cidr=of(*BLOCKS),
                    from_port=PORTS,
                    to_port=PORTS,
                ),
                4,
            ),
        ),
        1,
    ),
    nat_gateways=some(
        st.builds(NatGateway, id=st.just("nat-1"), subnet_id=of(*SUBNETS), public_ips=some(st.just("203.0.113.9")))
    ),
    internet_gateways=some(st.builds(InternetGateway, id=of("igw-1", "igw-2"), vpc_id=of(None, *VPCS))),
    egress_only_gateways=some(st.builds(InternetGateway, id=st.just("eigw-1"), vpc_id=of(*VPCS))),
    peerings=some(st.builds(Peering, id=st.just("pcx-1"), vpc_ids=st.tuples(of(*VPCS), of(*VPCS)))),
    prefix_lists=some(
        st.builds(
            PrefixList, id=st.just("pl-s3"), name=of("com.amazonaws.us-east-1.s3", "mine"), cidrs=some(of(*BLOCKS))
        )
    ),
)
SOURCES = st.builds(
    Source,
    subnet_id=of(*SUBNETS),
    security_group_ids=some(of(*GROUPS)),
    private_ip=of(*ADDRESSES),
    public_ip=of(None, "203.0.113.40"),
    ipv6=of(None, "2600:1f18::7"),
)
DESTINATIONS = st.builds(
    Destination,
    service=of("s3", "other", "sts"),
    region=of("us-east-1", "eu-west-1"),
    port=of(80, 443),
    form=st.sampled_from(Form),
    label=of("", "vpce-1-a", "vpce-1-a-z1"),
)


@settings(max_examples=150, deadline=None)
@given(topology=TOPOLOGIES, other=TOPOLOGIES, source=SOURCES, destination=DESTINATIONS)
def test_every_network_gives_one_answer(
    topology: Topology, other: Topology, source: Source, destination: Destination
) -> None:
    found = resolve(topology, source=source, destination=destination, others=(other,))
    assert found == resolve(topology, source=source, destination=destination, others=iter((other,)))
    if isinstance(found, Dropped):
        assert found.reason
        return
    assert isinstance(found, Path)
    keys = found.context()
    assert ("aws:SourceIp" in keys) != ("aws:SourceVpce" in keys)
    if found.endpoint is not None:
        assert found.endpoint in (*topology.endpoints, *other.endpoints)
        assert found.endpoint.is_available
        near = found.endpoint.vpc_id == next(one for one in topology.subnets if one.id == source.subnet_id).vpc_id
        assert near or (destination.form is Form.ENDPOINT and topology.peerings)


@settings(max_examples=100, deadline=None)
@given(topology=TOPOLOGIES, other=TOPOLOGIES)
def test_every_class_of_hosts_has_its_key(topology: Topology, other: Topology) -> None:
    for found in names("us-east-1", topology=topology, others=(other,)).classes():
        assert of_key(found.key).key == found.key
