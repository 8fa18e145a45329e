"""The path from a subnet to S3: security groups, route tables, endpoints, NAT, and the keys that a policy sees."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_s3vpce.network.names import Form
from pytest_s3vpce.network.path import Destination, Dropped, Loss, Path, PathKind, Source, internet, resolve
from pytest_s3vpce.network.topology import (
    AclRule,
    Direction,
    Effect,
    Endpoint,
    InternetGateway,
    NatGateway,
    NetworkAcl,
    PrefixList,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityRule,
    Subnet,
    Topology,
    Vpc,
)

ENDPOINT = Endpoint(
    id="vpce-1",
    vpc_id="vpc-1",
    account="111111111111",
    region="us-east-1",
    service="com.amazonaws.us-east-1.s3",
    route_table_ids=("rtb-app",),
)
LOCAL = Route(destination="10.0.0.0/16", target="local")
TO_NAT = Route(destination="0.0.0.0/0", target="nat-1")
TO_INTERNET = Route(destination="0.0.0.0/0", target="igw-1")
APP = RouteTable(id="rtb-app", vpc_id="vpc-1", subnet_ids=("subnet-app",), routes=(LOCAL, TO_NAT))
MAIN = RouteTable(id="rtb-main", vpc_id="vpc-1", is_main=True, routes=(LOCAL, TO_NAT))
PUBLIC = RouteTable(id="rtb-public", vpc_id="vpc-1", subnet_ids=("subnet-public",), routes=(LOCAL, TO_INTERNET))
EVERYTHING = SecurityRule(cidrs=("0.0.0.0/0",))
S3_LIST = PrefixList(id="pl-s3", name="com.amazonaws.us-east-1.s3", cidrs=("52.216.0.0/15",))
NETWORK = Topology(
    account="111111111111",
    region="us-east-1",
    vpcs=(Vpc(id="vpc-1", cidr="10.0.0.0/16"), Vpc(id="vpc-2")),
    subnets=(
        Subnet(id="subnet-app", vpc_id="vpc-1", cidr="10.0.1.0/24"),
        Subnet(id="subnet-other", vpc_id="vpc-1", cidr="10.0.2.0/24"),
        Subnet(id="subnet-public", vpc_id="vpc-1", cidr="10.0.0.0/24"),
        Subnet(id="subnet-lost", vpc_id="vpc-2"),
    ),
    route_tables=(APP, MAIN, PUBLIC),
    endpoints=(ENDPOINT,),
    security_groups=(SecurityGroup(id="sg-open", vpc_id="vpc-1", egress=(EVERYTHING,)),),
    nat_gateways=(NatGateway(id="nat-1", subnet_id="subnet-public", public_ips=("203.0.113.9",)),),
    internet_gateways=(InternetGateway(id="igw-1", vpc_id="vpc-1"),),
    prefix_lists=(S3_LIST,),
)
S3 = Destination(service="s3", region="us-east-1")
S3_ELSEWHERE = Destination(service="other", region="us-east-1", form=Form.DUALSTACK)
OTHER = Destination(service="other", region="us-east-1")


def source(subnet: str = "subnet-app", *, groups: tuple[str, ...] = ("sg-open",)) -> Source:
    return Source(subnet_id=subnet, security_group_ids=groups, private_ip="10.0.1.7")


def way(topology: Topology = NETWORK, *, subnet: str = "subnet-app", to: Destination = S3) -> Path | Dropped:
    return resolve(topology, source=source(subnet), destination=to)


def reason(found: Path | Dropped) -> str:
    assert isinstance(found, Dropped), found
    assert found.how is Loss.TIMEOUT
    return found.reason


def with_app(*routes: Route) -> Topology:
    return replace(NETWORK, endpoints=(), route_tables=(replace(APP, routes=routes), MAIN, PUBLIC))


def test_the_gateway_endpoint_of_the_subnets_table_beats_the_default_route() -> None:
    assert way() == Path(kind=PathKind.GATEWAY_ENDPOINT, endpoint=ENDPOINT, private_ip="10.0.1.7")


def test_a_path_through_an_endpoint_has_no_public_address() -> None:
    found = way()
    assert isinstance(found, Path)
    assert found.context() == {
        "aws:SourceVpce": "vpce-1",
        "aws:SourceVpc": "vpc-1",
        "aws:SourceVpcArn": "arn:aws:ec2:us-east-1:111111111111:vpc/vpc-1",
        "aws:VpcSourceIp": "10.0.1.7",
        "aws:VpceAccount": "111111111111",
    }


@pytest.mark.parametrize(
    ("region", "partition"),
    [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("eusc-de-east-1", "aws-eusc"), ("eu-west-1", "aws")],
)
def test_the_arn_of_the_vpc_names_the_partition(region: str, partition: str) -> None:
    path = Path(kind=PathKind.GATEWAY_ENDPOINT, endpoint=replace(ENDPOINT, region=region))
    keys = path.context()
    assert keys["aws:SourceVpcArn"] == f"arn:{partition}:ec2:{region}:111111111111:vpc/vpc-1"
    assert "aws:VpcSourceIp" not in keys


def test_a_subnet_without_association_uses_the_main_table() -> None:
    assert way(subnet="subnet-other") == Path(kind=PathKind.NAT, public_ip="203.0.113.9")
    in_main = replace(NETWORK, endpoints=(replace(ENDPOINT, route_table_ids=("rtb-main",)),))
    found = way(in_main, subnet="subnet-other")
    assert isinstance(found, Path)
    assert found.kind is PathKind.GATEWAY_ENDPOINT
    assert way(in_main) == Path(kind=PathKind.NAT, public_ip="203.0.113.9")


def test_through_nat_the_address_is_the_gateways_and_no_endpoint_key_is_present() -> None:
    found = way(subnet="subnet-other")
    assert isinstance(found, Path)
    assert found.context() == {"aws:SourceIp": "203.0.113.9"}


@pytest.mark.parametrize("to", [S3_ELSEWHERE, OTHER], ids=["s3-elsewhere", "another-service"])
def test_the_endpoint_serves_s3_of_its_own_region_only(to: Destination) -> None:
    assert way(to=to) == Path(kind=PathKind.NAT, public_ip="203.0.113.9")


@pytest.mark.parametrize(
    "change",
    [
        {"state": "deleted"},
        {"service": "com.amazonaws.us-east-1.dynamodb"},
        {"vpc_id": "vpc-2"},
        {"route_table_ids": ()},
        {"route_table_ids": ("rtb-public",)},
    ],
    ids=str,
)
def test_an_endpoint_that_does_not_apply_is_passed_by(change: dict[str, object]) -> None:
    changed = replace(ENDPOINT, **change)  # type: ignore[arg-type]
    found = way(replace(NETWORK, endpoints=(changed,)))
    assert found == Path(kind=PathKind.NAT, public_ip="203.0.113.9")


@pytest.mark.parametrize(
    ("rule", "open_"),
    [
        (SecurityRule(cidrs=("0.0.0.0/0",)), True),
        (SecurityRule(protocol="tcp", from_port=443, to_port=443, cidrs=("0.0.0.0/0",)), True),
        (SecurityRule(protocol="tcp", from_port=0, to_port=65535, cidrs=("0.0.0.0/0",)), True),
        (SecurityRule(protocol="tcp", from_port=-1, to_port=-1, cidrs=("0.0.0.0/0",)), True),
        (SecurityRule(protocol="tcp", cidrs=("0.0.0.0/0",)), True),
        (SecurityRule(protocol="6", from_port=443, to_port=443, prefix_list_ids=("pl-s3",)), True),
        (SecurityRule(cidrs=("52.216.0.0/15",)), True),
        (SecurityRule(protocol="tcp", from_port=80, to_port=80, cidrs=("0.0.0.0/0",)), False),
        (SecurityRule(protocol="udp", from_port=443, to_port=443, cidrs=("0.0.0.0/0",)), False),
        (SecurityRule(cidrs=("10.0.0.0/8",)), False),
        (SecurityRule(prefix_list_ids=("pl-other",)), False),
        (SecurityRule(), False),
    ],
)
def test_a_security_group_lets_out_what_one_of_its_rules_names(rule: SecurityRule, *, open_: bool) -> None:
    group = SecurityGroup(id="sg-1", vpc_id="vpc-1", egress=(rule,))
    topology = replace(NETWORK, security_groups=(group,))
    found = resolve(topology, source=source(groups=("sg-1",)), destination=S3)
    assert isinstance(found, Path) == open_
    if not open_:
        assert reason(found) == "no egress rule of security groups `sg-1` lets port 443 out to it"


def test_the_prefix_list_lets_out_to_s3_of_its_own_region_only() -> None:
    group = SecurityGroup(id="sg-1", vpc_id="vpc-1", egress=(SecurityRule(prefix_list_ids=("pl-s3",)),))
    topology = replace(NETWORK, security_groups=(group,))
    for to in (S3_ELSEWHERE, OTHER):
        assert "no egress rule" in reason(resolve(topology, source=source(groups=("sg-1",)), destination=to))
    unknown = replace(topology, prefix_lists=())
    assert "no egress rule" in reason(resolve(unknown, source=source(groups=("sg-1",)), destination=S3))


def test_ports_are_let_out_one_by_one() -> None:
    rule = SecurityRule(protocol="tcp", from_port=443, to_port=443, cidrs=("0.0.0.0/0",))
    topology = replace(NETWORK, security_groups=(SecurityGroup(id="sg-1", vpc_id="vpc-1", egress=(rule,)),))
    plain = replace(S3, port=80)
    assert "port 80" in reason(resolve(topology, source=source(groups=("sg-1",)), destination=plain))


def test_the_rules_of_several_groups_add_up() -> None:
    closed = SecurityGroup(id="sg-closed", vpc_id="vpc-1")
    topology = replace(NETWORK, security_groups=(*NETWORK.security_groups, closed))
    assert isinstance(resolve(topology, source=source(groups=("sg-closed", "sg-open")), destination=S3), Path)
    assert "`sg-closed`, `sg-gone`" in reason(
        resolve(topology, source=source(groups=("sg-closed", "sg-gone")), destination=S3)
    )
    assert "(none)" in reason(resolve(topology, source=source(groups=()), destination=S3))


OUT = AclRule(number=100, direction=Direction.OUT, effect=Effect.ALLOW)
IN = AclRule(number=100, direction=Direction.IN, effect=Effect.ALLOW)


@pytest.mark.parametrize(
    ("rules", "missing"),
    [
        ((OUT, IN), None),
        ((replace(OUT, protocol="6", from_port=443, to_port=443), IN), None),
        ((OUT, replace(IN, protocol="6", from_port=1024, to_port=65535)), None),
        ((OUT, replace(OUT, number=200, effect=Effect.DENY), IN), None),
        ((replace(OUT, number=200), replace(OUT, effect=Effect.DENY, cidr="10.0.0.0/8"), IN), None),
        ((replace(OUT, protocol="tcp", from_port=None), IN), None),
        ((IN,), "443 not out"),
        ((OUT,), "40000 not in"),
        ((replace(OUT, number=200), replace(OUT, effect=Effect.DENY), IN), "443 not out"),
        ((replace(OUT, protocol="6", from_port=80, to_port=80), IN), "443 not out"),
        ((replace(OUT, protocol="17"), IN), "443 not out"),
        ((OUT, replace(IN, protocol="6", from_port=443, to_port=443)), "40000 not in"),
    ],
)
def test_a_network_acl_must_let_the_request_out_and_the_answer_in(
    rules: tuple[AclRule, ...], missing: str | None
) -> None:
    acl = NetworkAcl(id="acl-1", vpc_id="vpc-1", subnet_ids=("subnet-app",), rules=rules)
    found = way(replace(NETWORK, network_acls=(acl,)))
    if missing is None:
        assert isinstance(found, Path)
    else:
        assert reason(found) == f"network ACL `acl-1` of subnet `subnet-app` lets port {missing}"


def test_the_network_acl_of_the_nat_gateways_subnet_counts_too() -> None:
    closed = NetworkAcl(id="acl-1", vpc_id="vpc-1", subnet_ids=("subnet-public",))
    topology = replace(NETWORK, network_acls=(closed,))
    assert "`acl-1` of subnet `subnet-public`" in reason(way(topology, subnet="subnet-other"))
    assert isinstance(way(topology), Path)


def test_an_interface_in_a_public_subnet_has_no_public_address() -> None:
    found = reason(way(subnet="subnet-public"))
    assert found == "subnet `subnet-public` leads to `igw-1`, and the interface has no public address"


def test_without_a_route_nothing_comes_through() -> None:
    assert reason(way(with_app(LOCAL))) == "route table `rtb-app` of subnet `subnet-app` has no route to it"
    assert reason(way(subnet="subnet-lost")) == "subnet `subnet-lost` has no route table"
    assert reason(way(subnet="subnet-nowhere")) == "subnet `subnet-nowhere` does not exist"


def test_the_most_specific_route_counts() -> None:
    to_peer = Route(destination="52.216.0.0/15", target="pcx-1")
    for routes in ((TO_NAT, to_peer), (to_peer, TO_NAT)):
        assert "leads to `pcx-1`" in reason(way(with_app(LOCAL, *routes)))
    assert isinstance(way(with_app(LOCAL, TO_NAT, to_peer), to=OTHER), Path)


def test_routes_to_an_endpoint_are_the_endpoints_affair() -> None:
    """They are listed, but what counts is the endpoint's own list of route tables."""
    stale = Route(destination="pl-s3", target="vpce-1")
    assert way(with_app(LOCAL, stale, TO_NAT)) == Path(kind=PathKind.NAT, public_ip="203.0.113.9")


def test_a_route_to_a_prefix_list_holds_for_its_blocks() -> None:
    to_list = Route(destination="pl-s3", target="pcx-1")
    assert "leads to `pcx-1`" in reason(way(with_app(LOCAL, to_list, TO_NAT)))
    assert isinstance(way(with_app(LOCAL, to_list, TO_NAT), to=OTHER), Path)
    unknown = Route(destination="pl-gone", target="pcx-1")
    assert isinstance(way(with_app(LOCAL, unknown, TO_NAT)), Path)


@pytest.mark.parametrize(("block", "wins"), [("52.216.0.0/16", True), ("52.216.0.0/15", True), ("52.0.0.0/8", False)])
def test_a_route_that_is_as_specific_as_the_prefix_list_beats_the_endpoint(block: str, *, wins: bool) -> None:
    """https://docs.aws.amazon.com/vpc/latest/userguide/RouteTables.html#route-tables-priority."""
    table = replace(APP, routes=(LOCAL, Route(destination=block, target="nat-1")))
    found = way(replace(NETWORK, route_tables=(table, MAIN, PUBLIC)))
    assert isinstance(found, Path)
    assert (found.kind is PathKind.NAT) == wins


def test_of_equal_routes_the_block_beats_the_prefix_list() -> None:
    to_list = Route(destination="pl-s3", target="pcx-1")
    to_block = Route(destination="52.216.0.0/15", target="nat-1")
    for routes in ((to_list, to_block), (to_block, to_list)):
        assert isinstance(way(with_app(LOCAL, *routes)), Path)


def test_a_black_hole_drops_and_is_not_passed_by() -> None:
    gone = Route(destination="52.216.0.0/15", target="nat-9", state="blackhole")
    assert reason(way(with_app(LOCAL, gone, TO_NAT))) == (
        "route table `rtb-app` of subnet `subnet-app` has a black hole for it: `nat-9` is gone"
    )


def test_without_dns_support_no_name_resolves() -> None:
    off = replace(NETWORK, vpcs=(Vpc(id="vpc-1", dns_support=False),))
    found = way(off)
    assert found == Dropped(reason="DNS support of `vpc-1` is off: no name resolves in it", how=Loss.NO_NAME)


def test_an_instance_with_a_public_address_leaves_by_the_internet_gateway() -> None:
    me = replace(source("subnet-public"), public_ip="203.0.113.77")
    found = resolve(NETWORK, source=me, destination=S3)
    assert found == Path(kind=PathKind.INTERNET, public_ip="203.0.113.77")
    detached = replace(NETWORK, internet_gateways=(InternetGateway(id="igw-1", vpc_id="vpc-2"),))
    assert "is not attached to its VPC" in reason(resolve(detached, source=me, destination=S3))


def test_the_acl_of_the_nat_gateways_subnet_sees_both_halves() -> None:
    """What comes in from the client's subnet, and what goes on to S3."""
    half = NetworkAcl(
        id="acl-1",
        vpc_id="vpc-1",
        subnet_ids=("subnet-public",),
        rules=(OUT, replace(IN, number=50, effect=Effect.DENY, cidr="10.0.1.0/24"), IN),
    )
    assert "lets port 443 not in" in reason(way(replace(NETWORK, network_acls=(half,)), subnet="subnet-other"))


@pytest.mark.parametrize(
    ("gateways", "why"),
    [
        ((), "`nat-1` is not available"),
        (
            (NatGateway(id="nat-1", subnet_id="subnet-public", public_ips=("203.0.113.9",), state="deleted"),),
            "not avail",
        ),
        ((NatGateway(id="nat-1", subnet_id="subnet-public"),), "has no public address"),
        ((NatGateway(id="nat-1", subnet_id="subnet-other", public_ips=("203.0.113.9",)),), "without a route"),
        ((NatGateway(id="nat-1", subnet_id="subnet-lost", public_ips=("203.0.113.9",)),), "without a route"),
        ((NatGateway(id="nat-1", subnet_id="subnet-gone", public_ips=("203.0.113.9",)),), "without a route"),
    ],
)
def test_a_nat_gateway_that_leads_nowhere_drops(gateways: tuple[NatGateway, ...], why: str) -> None:
    assert why in reason(way(replace(NETWORK, nat_gateways=gateways), subnet="subnet-other"))


@pytest.mark.parametrize("vpc", [None, "vpc-2"])
def test_nat_needs_the_internet_gateway_of_its_own_vpc(vpc: str | None) -> None:
    detached = replace(NETWORK, internet_gateways=(InternetGateway(id="igw-1", vpc_id=vpc),))
    assert "without a route to an internet gateway" in reason(way(detached, subnet="subnet-other"))


def test_the_internet_shows_the_hosts_address() -> None:
    assert internet("198.51.100.10").context() == {"aws:SourceIp": "198.51.100.10"}
    assert Path(kind=PathKind.INTERNET).context() == {}


def test_an_endpoint_is_found_by_its_id() -> None:
    assert NETWORK.endpoint("vpce-1") == ENDPOINT
    assert NETWORK.endpoint("vpce-9") is None


@pytest.mark.parametrize("block", ["", "anywhere", "10.0.0.0/99", "300.0.0.0/8", "::/0/0"])
def test_what_is_no_block_covers_nothing(block: str) -> None:
    group = SecurityGroup(id="sg-1", vpc_id="vpc-1", egress=(SecurityRule(cidrs=(block,)),))
    topology = replace(NETWORK, security_groups=(group,))
    assert "no egress rule" in reason(resolve(topology, source=source(groups=("sg-1",)), destination=S3))
    acl = NetworkAcl(id="acl-1", vpc_id="vpc-1", subnet_ids=("subnet-app",), rules=(replace(OUT, cidr=block), IN))
    assert "443 not out" in reason(way(replace(NETWORK, network_acls=(acl,))))
    assert "no route to it" in reason(way(with_app(LOCAL, Route(destination=f"{block}/", target="nat-1"))))
