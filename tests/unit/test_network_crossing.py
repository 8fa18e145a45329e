"""What becomes of a connection's packets at its interface, each way by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_s3vpce.network.crossing import crossing
from pytest_s3vpce.network.names import Form
from pytest_s3vpce.network.path import Destination, PathKind, Source
from pytest_s3vpce.network.topology import (
    AclRule,
    Direction,
    Effect,
    Endpoint,
    EndpointKind,
    Interface,
    InternetGateway,
    NetworkAcl,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityRule,
    Subnet,
    Topology,
    Vpc,
)

ALL = SecurityRule(protocol="-1", cidrs=("0.0.0.0/0", "::/0"))
ENDPOINT = Endpoint(
    id="vpce-1",
    vpc_id="vpc",
    kind=EndpointKind.INTERFACE,
    service="com.amazonaws.eu-west-1.s3",
    account="1",
    region="eu-west-1",
    security_group_ids=("sg",),
    interfaces=(Interface(subnet_id="there", address="10.0.2.9"),),
    dns_names=("vpce-1-ab.s3.eu-west-1.vpce.amazonaws.com",),
)
RULES = tuple(AclRule(number=100, direction=direction, effect=Effect.ALLOW) for direction in Direction)
ROUTES = tuple(Route(destination=block, target="igw-1") for block in ("0.0.0.0/0", "::/0"))
NETWORK = Topology(
    account="1",
    region="eu-west-1",
    vpcs=(Vpc(id="vpc", dns_support=True, dns_hostnames=True),),
    subnets=(Subnet(id="here", vpc_id="vpc", cidr="10.0.1.0/24"), Subnet(id="there", vpc_id="vpc")),
    route_tables=(
        RouteTable(
            id="rtb",
            vpc_id="vpc",
            is_main=True,
            routes=(Route(destination="0.0.0.0/0", target="igw-1"), Route(destination="::/0", target="igw-1")),
        ),
    ),
    endpoints=(ENDPOINT,),
    security_groups=(SecurityGroup(id="sg", vpc_id="vpc", ingress=(ALL,), egress=(ALL,)),),
    network_acls=(NetworkAcl(id="acl", vpc_id="vpc", subnet_ids=("here", "there"), rules=RULES),),
    internet_gateways=(InternetGateway(id="igw-1", vpc_id="vpc"),),
)
SOURCE = Source(subnet_id="here", security_group_ids=("sg",), private_ip="10.0.1.4", public_ip="203.0.113.4")
S3 = Destination(service="s3", region="eu-west-1")
NAMED = replace(S3, form=Form.ENDPOINT, label="vpce-1-ab")
ANSWERS = AclRule(number=1, direction=Direction.IN, effect=Effect.DENY, protocol="6", from_port=1024, to_port=65535)
REQUESTS = AclRule(number=1, direction=Direction.IN, effect=Effect.DENY, protocol="6", from_port=443, to_port=443)
OUT = replace(REQUESTS, direction=Direction.OUT)


def ruled(*rules: AclRule) -> Topology:
    return replace(NETWORK, network_acls=(replace(NETWORK.network_acls[0], rules=(*rules, *RULES)),))


CASES = {
    "through": (NETWORK, S3, Effect.ALLOW, Effect.ALLOW),
    "by name": (NETWORK, NAMED, Effect.ALLOW, Effect.ALLOW),
    "no rule out": (replace(NETWORK, security_groups=()), S3, Effect.DENY, None),
    "acl out": (ruled(OUT), S3, Effect.DENY, None),
    "acl back": (ruled(ANSWERS), S3, Effect.ALLOW, Effect.DENY),
    "acl back, and no route": (replace(ruled(ANSWERS), route_tables=()), S3, Effect.ALLOW, None),
    "no route": (replace(NETWORK, route_tables=()), S3, Effect.ALLOW, None),
    "acl back of an endpoint": (ruled(ANSWERS), NAMED, Effect.ALLOW, Effect.DENY),
    "acl of the endpoint's own subnet": (ruled(ANSWERS, REQUESTS), NAMED, Effect.ALLOW, None),
}


@pytest.mark.parametrize("case", CASES)
def test_each_way_by_itself(case: str) -> None:
    network, aim, out, back = CASES[case]
    found = crossing(network, source=SOURCE, destination=aim)
    assert found is not None
    assert (found.out, found.back) == (out, back)
    assert (found.path is not None) is (back is Effect.ALLOW)
    assert found.near == "10.0.1.4"
    assert (found.far == "10.0.2.9") is (aim is NAMED)


def test_an_acl_does_not_see_what_stays_in_its_subnet() -> None:
    near = replace(ENDPOINT, interfaces=(Interface(subnet_id="here", address="10.0.1.9"),))
    found = crossing(replace(ruled(OUT, ANSWERS), endpoints=(near,)), source=SOURCE, destination=NAMED)
    assert found is not None
    assert (found.out, found.back, found.far) == (Effect.ALLOW, Effect.ALLOW, "10.0.1.9")


def test_by_ipv6_both_ends_are_of_it() -> None:
    source = replace(SOURCE, ipv6="2001:db8::4")
    rules = tuple(AclRule(number=100, direction=way, effect=Effect.ALLOW, cidr="::/0") for way in Direction)
    network = ruled(*rules)
    found = crossing(network, source=source, destination=replace(S3, form=Form.DUALSTACK))
    assert found is not None
    assert (found.near, found.path and found.path.kind) == ("2001:db8::4", PathKind.INTERNET)
    assert ":" in found.far
    found = crossing(NETWORK, source=source, destination=replace(S3, form=Form.DUALSTACK))
    assert found is not None
    assert found.near == "10.0.1.4"


def test_what_does_not_resolve_sends_nothing() -> None:
    deaf = replace(NETWORK, vpcs=(Vpc(id="vpc", dns_support=False),))
    for network, aim in (
        (deaf, S3),
        (replace(NETWORK, subnets=()), S3),
        (NETWORK, replace(NAMED, label="vpce-2")),
        (replace(NETWORK, endpoints=(replace(ENDPOINT, interfaces=()),)), NAMED),
    ):
        assert crossing(network, source=SOURCE, destination=aim) is None
