"""The table of paths in docs/network.md, row by row.

The rows are those of https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html,
https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path as File

import pytest

from pytest_s3vpce.network.names import Form, names
from pytest_s3vpce.network.path import Destination, Dropped, Loss, Path, Source, internet, resolve
from pytest_s3vpce.network.topology import (
    Endpoint,
    EndpointKind,
    Interface,
    InternetGateway,
    NatGateway,
    Peering,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityRule,
    Subnet,
    Topology,
    Vpc,
)

DOCS = File(__file__).parents[2] / "docs" / "network.md"
OPEN = (SecurityRule(cidrs=("0.0.0.0/0", "::/0")),)
GATEWAY = Endpoint(
    id="vpce-g",
    vpc_id="vpc-1",
    account="1" * 12,
    region="us-east-1",
    service="com.amazonaws.us-east-1.s3",
    route_table_ids=("rtb-app",),
)
INTERFACE = replace(
    GATEWAY,
    id="vpce-i",
    kind=EndpointKind.INTERFACE,
    route_table_ids=(),
    security_group_ids=("sg-1",),
    interfaces=(Interface(subnet_id="subnet-app", address="10.0.1.10"),),
    dns_names=("vpce-i-9.s3.us-east-1.vpce.amazonaws.com",),
)
PRIVATE = replace(INTERFACE, private_dns=True)
PEERING = Peering(id="pcx-1", vpc_ids=("vpc-1", "vpc-9"))
TO_NAT, TO_INTERNET = (Route(destination="0.0.0.0/0", target=target) for target in ("nat-1", "igw-1"))
APP = RouteTable(id="rtb-app", vpc_id="vpc-1", subnet_ids=("subnet-app",), routes=(TO_NAT,))
PUBLIC = RouteTable(id="rtb-public", vpc_id="vpc-1", subnet_ids=("subnet-public",), routes=(TO_INTERNET,))
NAT = NatGateway(id="nat-1", subnet_id="subnet-public", public_ips=("203.0.113.9",))
HOME = Topology(
    account="1" * 12,
    region="us-east-1",
    vpcs=(Vpc(id="vpc-1"),),
    subnets=(Subnet(id="subnet-app", vpc_id="vpc-1"), Subnet(id="subnet-public", vpc_id="vpc-1")),
    route_tables=(APP, PUBLIC),
    security_groups=(SecurityGroup(id="sg-1", vpc_id="vpc-1", egress=OPEN, ingress=OPEN),),
    nat_gateways=(NAT,),
    internet_gateways=(InternetGateway(id="igw-1", vpc_id="vpc-1"),),
    egress_only_gateways=(InternetGateway(id="eigw-1", vpc_id="vpc-1"),),
)
PEER = Topology(
    account="9" * 12,
    region="us-east-1",
    vpcs=(Vpc(id="vpc-9"),),
    subnets=(Subnet(id="subnet-9", vpc_id="vpc-9"),),
    route_tables=(
        RouteTable(
            id="rtb-9", vpc_id="vpc-9", is_main=True, routes=(Route(destination="10.0.0.0/16", target="pcx-1"),)
        ),
    ),
    security_groups=(SecurityGroup(id="sg-1", vpc_id="vpc-9", egress=OPEN),),
    peerings=(PEERING,),
)
BACK = replace(APP, routes=(TO_NAT, Route(destination="10.9.0.0/16", target="pcx-1")))
APP_ME = Source(subnet_id="subnet-app", security_group_ids=("sg-1",), private_ip="10.0.1.7")
PUBLIC_ME = replace(APP_ME, subnet_id="subnet-public")
PEER_ME = replace(APP_ME, subnet_id="subnet-9", private_ip="10.9.0.7")
SIX = "2600:1f18::7"
S3 = Destination(service="s3", region="us-east-1")
NAMED = replace(S3, form=Form.ENDPOINT, label="vpce-i-9")
LEGACY, DUALSTACK = replace(S3, form=Form.PUBLIC), replace(S3, form=Form.DUALSTACK)
ELSEWHERE = replace(S3, service="other")


def way(
    topology: Topology, me: Source = APP_ME, to: Destination = S3, others: tuple[Topology, ...] = ()
) -> Path | Dropped:
    return resolve(topology, source=me, destination=to, others=others)


def with_endpoints(*endpoints: Endpoint) -> Topology:
    return replace(HOME, endpoints=endpoints)


def with_routes(*routes: Route) -> Topology:
    return replace(HOME, route_tables=(replace(APP, routes=routes), PUBLIC))


def host_of(*endpoints: Endpoint) -> Topology:
    return replace(HOME, endpoints=endpoints, peerings=(PEERING,), route_tables=(BACK, PUBLIC))


GATEWAY_TABLE = "a subnet whose route table has the gateway endpoint"
PRIVATE_DNS = "a VPC with private DNS"
INSIDE: dict[tuple[str, str], list[Path | Dropped]] = {
    ("the internet", "S3"): [internet("198.51.100.10")],
    ("a VPC without DNS support", "any name"): [
        way(replace(HOME, vpcs=(Vpc(id="vpc-1", dns_support=False),)), to=to) for to in (S3, NAMED, ELSEWHERE)
    ],
    ("a VPC", "the name of an endpoint that is gone"): [
        way(HOME, to=NAMED),
        way(with_endpoints(replace(INTERFACE, state="deleted")), to=NAMED),
    ],
    ("a VPC", "the name of its interface endpoint"): [way(with_endpoints(GATEWAY, INTERFACE), to=NAMED)],
    ("a peered VPC", "the name of the other side's interface endpoint"): [
        way(PEER, PEER_ME, NAMED, (host_of(INTERFACE),))
    ],
    ("a peered VPC", "S3, a gateway endpoint being on the other side"): [
        way(PEER, PEER_ME, S3, (host_of(GATEWAY),)),
        way(
            replace(PEER, route_tables=(replace(PEER.route_tables[0], routes=(replace(TO_NAT, target="pcx-1"),)),)),
            PEER_ME,
            S3,
            (host_of(GATEWAY),),
        ),
    ],
    ("a VPC that is not peered, or whose peer is", "the name of an interface endpoint elsewhere"): [
        way(replace(PEER, peerings=()), PEER_ME, NAMED, (host_of(INTERFACE),)),
        way(
            replace(PEER, peerings=(replace(PEERING, vpc_ids=("vpc-9", "vpc-5")),)),
            PEER_ME,
            NAMED,
            (host_of(INTERFACE),),
        ),
    ],
    (PRIVATE_DNS, "S3's regional names"): [way(with_endpoints(GATEWAY, PRIVATE))],
    ("a VPC with private DNS for inbound resolvers only", "S3's regional names"): [
        way(with_endpoints(GATEWAY, replace(PRIVATE, only_inbound=True)))
    ],
    (PRIVATE_DNS, "S3's legacy, FIPS and global names"): [way(with_endpoints(GATEWAY, PRIVATE), to=LEGACY)],
    (GATEWAY_TABLE, "S3 of the Region"): [way(with_endpoints(GATEWAY), to=to) for to in (S3, LEGACY, DUALSTACK)],
    (GATEWAY_TABLE, "S3 of another Region"): [way(with_endpoints(GATEWAY), to=ELSEWHERE)],
    ("a subnet with IPv6, its gateway endpoint being for IPv4", "S3's dualstack names"): [
        way(
            replace(with_routes(TO_NAT, Route(destination="::/0", target=target)), endpoints=(GATEWAY,)),
            replace(APP_ME, ipv6=SIX),
            DUALSTACK,
        )
        for target in ("igw-1", "eigw-1")
    ],
    ("a private subnet", "S3"): [way(HOME), way(with_endpoints(replace(GATEWAY, route_table_ids=("rtb-public",))))],
    ("a private subnet with a private NAT gateway", "S3"): [
        way(replace(HOME, nat_gateways=(replace(NAT, public_ips=()),)))
    ],
    ("a public subnet, instance with a public address", "S3"): [
        way(HOME, replace(PUBLIC_ME, public_ip="203.0.113.77"))
    ],
    ("a public subnet, Lambda function", "S3"): [way(HOME, PUBLIC_ME)],
    ("a subnet without a route, or with a black hole", "S3"): [
        way(with_routes()),
        way(with_routes(replace(TO_NAT, state="blackhole"))),
    ],
    ("a subnet with a route to a transit gateway", "S3"): [way(with_routes(replace(TO_NAT, target="tgw-1")))],
}
FROM_OUTSIDE = ("the internet", "an endpoint's own name")


@dataclass(frozen=True)
class Row:
    source: str
    target: str
    path: str
    address: str
    endpoint: str


def rows() -> list[Row]:
    lines = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines[1:]]


PATHS = {
    "internet": "internet",
    "NAT": "nat",
    "gateway endpoint": "gateway_endpoint",
    "interface endpoint": "interface_endpoint",
}
LOSSES = {"timeout": Loss.TIMEOUT, "no such name": Loss.NO_NAME}
ADDRESSES = {
    "the host's": "198.51.100.10",
    "the NAT gateway's": "203.0.113.9",
    "the interface's IPv6": SIX,
    "the instance's": "203.0.113.77",
}


def test_the_table_has_the_rows_that_are_tested() -> None:
    assert {(row.source, row.target) for row in rows()} == {*INSIDE, FROM_OUTSIDE}


@pytest.mark.parametrize("row", [row for row in rows() if (row.source, row.target) != FROM_OUTSIDE], ids=str)
def test_a_row_of_the_table(row: Row) -> None:
    for found in INSIDE[row.source, row.target]:
        if row.path in LOSSES:
            assert isinstance(found, Dropped), found
            assert (found.how, row.address, row.endpoint) == (LOSSES[row.path], "-", "-")
            continue
        assert isinstance(found, Path), found
        assert found.kind == PATHS[row.path]
        keys = found.context()
        assert keys.get("aws:SourceIp") == ADDRESSES.get(row.address)
        assert (keys.get("aws:SourceVpc") == "vpc-1") == (row.endpoint != "-")
        present = {"aws:SourceVpce", "aws:SourceVpc", "aws:SourceVpcArn", "aws:VpceAccount", "aws:VpcSourceIp"}
        assert keys.keys() == (present if row.endpoint != "-" else {"aws:SourceIp"})


def test_an_endpoints_own_name_resolves_to_private_addresses_everywhere() -> None:
    (row,) = [row for row in rows() if (row.source, row.target) == FROM_OUTSIDE]
    assert (row.path, row.address, row.endpoint) == ("timeout", "-", "-")
    found = names("us-east-1", others=(with_endpoints(INTERFACE),)).find(f"bucket.{INTERFACE.dns_names[0]}")
    assert found is not None
