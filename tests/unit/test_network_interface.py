"""Paths to interface endpoints: by private DNS, by the endpoint's names, over peering, and what guards them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_s3vpce.network.names import Form
from pytest_s3vpce.network.path import Destination, Dropped, Loss, Path, PathKind, Source, resolve
from pytest_s3vpce.network.topology import (
    AclRule,
    Direction,
    Effect,
    Endpoint,
    EndpointKind,
    Interface,
    InternetGateway,
    NetworkAcl,
    Peering,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityRule,
    Subnet,
    Topology,
    Vpc,
)

HOME, AWAY = "111111111111", "222222222222"
GATEWAY = Endpoint(
    id="vpce-g",
    vpc_id="vpc-1",
    account=HOME,
    region="us-east-1",
    service="com.amazonaws.us-east-1.s3",
    route_table_ids=("rtb-1",),
)
INTERFACE = replace(
    GATEWAY,
    id="vpce-i",
    kind=EndpointKind.INTERFACE,
    route_table_ids=(),
    private_dns=True,
    security_group_ids=("sg-ep",),
    interfaces=(
        Interface(subnet_id="subnet-a", address="10.0.1.10"),
        Interface(subnet_id="subnet-b", address="10.0.2.10"),
    ),
    dns_names=(
        "vpce-i-9.s3.us-east-1.vpce.amazonaws.com",
        "vpce-i-9-us-east-1a.s3.us-east-1.vpce.amazonaws.com",
        "vpce-i-9-us-east-1b.s3.us-east-1.vpce.amazonaws.com",
    ),
)
HTTPS = SecurityRule(protocol="tcp", from_port=443, to_port=443, cidrs=("10.0.0.0/16",))
CLIENT = SecurityGroup(id="sg-client", vpc_id="vpc-1", egress=(SecurityRule(cidrs=("0.0.0.0/0", "::/0")),))
GUARD = SecurityGroup(id="sg-ep", vpc_id="vpc-1", ingress=(HTTPS,))
TABLE = RouteTable(id="rtb-1", vpc_id="vpc-1", is_main=True, routes=(Route(destination="10.0.0.0/16", target="local"),))
NETWORK = Topology(
    account=HOME,
    region="us-east-1",
    vpcs=(Vpc(id="vpc-1", cidr="10.0.0.0/16"),),
    subnets=(
        Subnet(id="subnet-a", vpc_id="vpc-1", cidr="10.0.1.0/24", zone="us-east-1a"),
        Subnet(id="subnet-b", vpc_id="vpc-1", cidr="10.0.2.0/24", zone="us-east-1b"),
        Subnet(id="subnet-c", vpc_id="vpc-1", cidr="10.0.3.0/24", zone="us-east-1c"),
    ),
    route_tables=(TABLE,),
    endpoints=(GATEWAY, INTERFACE),
    security_groups=(CLIENT, GUARD),
)
S3 = Destination(service="s3", region="us-east-1")
NAMED = replace(S3, form=Form.ENDPOINT, label="vpce-i-9")


def source(subnet: str = "subnet-c", *, address: str = "10.0.3.7") -> Source:
    return Source(subnet_id=subnet, security_group_ids=("sg-client",), private_ip=address)


def way(topology: Topology = NETWORK, *, subnet: str = "subnet-c", to: Destination = S3) -> Path | Dropped:
    return resolve(topology, source=source(subnet), destination=to)


def kind(found: Path | Dropped) -> PathKind:
    assert isinstance(found, Path), found
    return found.kind


def reason(found: Path | Dropped, how: Loss = Loss.TIMEOUT) -> str:
    assert isinstance(found, Dropped), found
    assert found.how is how
    return found.reason


def with_interface(**changes: object) -> Topology:
    return replace(NETWORK, endpoints=(GATEWAY, replace(INTERFACE, **changes)))  # type: ignore[arg-type]


# Private DNS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html#private-dns


def test_private_dns_leads_every_subnet_of_the_vpc_to_the_interface_endpoint() -> None:
    for subnet in ("subnet-a", "subnet-b", "subnet-c"):
        found = way(subnet=subnet)
        assert found == Path(kind=PathKind.INTERFACE_ENDPOINT, endpoint=INTERFACE, private_ip="10.0.3.7")


@pytest.mark.parametrize(
    "change",
    [{"private_dns": False}, {"only_inbound": True}, {"state": "pending"}, {"vpc_id": "vpc-2"}],
    ids=str,
)
def test_without_private_names_for_the_vpc_the_gateway_endpoint_stays_the_way(change: dict[str, object]) -> None:
    assert kind(way(with_interface(**change))) is PathKind.GATEWAY_ENDPOINT


def test_private_dns_takes_both_attributes_of_the_vpc() -> None:
    """https://docs.aws.amazon.com/vpc/latest/privatelink/manage-dns-names.html."""
    no_hostnames = replace(NETWORK, vpcs=(Vpc(id="vpc-1", dns_hostnames=False),))
    assert kind(way(no_hostnames)) is PathKind.GATEWAY_ENDPOINT
    no_support = replace(NETWORK, vpcs=(Vpc(id="vpc-1", dns_support=False),))
    for to in (S3, NAMED):
        assert "DNS support of `vpc-1` is off" in reason(way(no_support, to=to), Loss.NO_NAME)


@pytest.mark.parametrize("form", [Form.PUBLIC, Form.DUALSTACK])
def test_private_dns_covers_the_regional_names_only(form: Form) -> None:
    assert kind(way(to=replace(S3, form=form))) is PathKind.GATEWAY_ENDPOINT


def test_other_services_have_private_names_too() -> None:
    sts = replace(INTERFACE, id="vpce-sts", service="com.amazonaws.us-east-1.sts")
    ecr = replace(INTERFACE, id="vpce-ecr", service="com.amazonaws.us-east-1.ecr.api")
    topology = replace(NETWORK, endpoints=(sts, ecr))
    for service, endpoint in (("sts", sts), ("api.ecr", ecr)):
        found = way(topology, to=replace(S3, service=service))
        assert isinstance(found, Path)
        assert found.endpoint == endpoint


# The endpoint's own names


def test_the_endpoints_own_name_needs_no_private_dns() -> None:
    hidden = with_interface(private_dns=False)
    assert kind(way(hidden)) is PathKind.GATEWAY_ENDPOINT
    assert kind(way(hidden, to=NAMED)) is PathKind.INTERFACE_ENDPOINT


@pytest.mark.parametrize("state", ["deleting", "deleted", "pending"])
def test_the_name_of_an_endpoint_that_is_not_available_does_not_resolve(state: str) -> None:
    found = reason(way(with_interface(state=state), to=NAMED), Loss.NO_NAME)
    assert found == "there is no endpoint with the name `vpce-i-9`"


def test_a_zones_name_leads_to_the_interface_in_that_zone() -> None:
    closed_b = NetworkAcl(id="acl-b", vpc_id="vpc-1", subnet_ids=("subnet-b",))
    topology = replace(NETWORK, network_acls=(closed_b,))
    assert kind(way(topology, to=replace(NAMED, label="vpce-i-9-us-east-1a"))) is PathKind.INTERFACE_ENDPOINT
    assert "`acl-b`" in reason(way(topology, to=replace(NAMED, label="vpce-i-9-us-east-1b")))


def test_of_all_interfaces_that_of_the_clients_zone_is_taken() -> None:
    only_b = replace(HTTPS, cidrs=("10.0.2.10/32",))
    client = replace(CLIENT, egress=(only_b,))
    topology = replace(NETWORK, security_groups=(client, GUARD))
    assert kind(way(topology, subnet="subnet-b")) is PathKind.INTERFACE_ENDPOINT
    assert "no egress rule" in reason(way(topology, subnet="subnet-a"))


def test_an_endpoint_without_interfaces_has_no_address() -> None:
    assert "has no address" in reason(way(with_interface(interfaces=())), Loss.NO_NAME)
    gone = (Interface(subnet_id="subnet-gone", address="10.0.9.9"),)
    assert "has no address" in reason(way(with_interface(interfaces=gone), to=NAMED), Loss.NO_NAME)


# Security groups: https://docs.aws.amazon.com/vpc/latest/privatelink/interface-endpoints.html


@pytest.mark.parametrize(
    ("rules", "port", "open_"),
    [
        ((HTTPS,), 443, True),
        ((HTTPS,), 80, False),
        ((), 443, False),
        ((replace(HTTPS, cidrs=("10.0.1.0/24",)),), 443, False),
        ((replace(HTTPS, cidrs=("10.0.3.7/32",)),), 443, True),
        ((replace(HTTPS, cidrs=(), group_ids=("sg-client",)),), 443, True),
        ((replace(HTTPS, cidrs=(), group_ids=("sg-other",)),), 443, False),
        ((SecurityRule(cidrs=("10.0.0.0/16",)),), 80, True),
    ],
)
def test_the_endpoints_groups_must_let_the_client_in(
    rules: tuple[SecurityRule, ...], port: int, *, open_: bool
) -> None:
    topology = replace(NETWORK, security_groups=(CLIENT, replace(GUARD, ingress=rules)))
    found = way(topology, to=replace(S3, port=port))
    if open_:
        assert kind(found) is PathKind.INTERFACE_ENDPOINT
    else:
        assert reason(found) == f"no ingress rule of `vpce-i`'s security groups `sg-ep` lets port {port} in"


@pytest.mark.parametrize(
    ("rule", "open_"),
    [
        (replace(HTTPS, cidrs=("10.0.0.0/16",)), True),
        (replace(HTTPS, cidrs=(), group_ids=("sg-ep",)), True),
        (replace(HTTPS, cidrs=("52.216.0.0/15",)), False),
        (replace(HTTPS, cidrs=(), group_ids=("sg-client",)), False),
    ],
)
def test_the_clients_groups_must_let_out_to_the_interface(rule: SecurityRule, *, open_: bool) -> None:
    topology = replace(NETWORK, security_groups=(replace(CLIENT, egress=(rule,)), GUARD))
    assert isinstance(way(topology), Path) is open_


def test_an_endpoint_without_a_known_group_lets_nobody_in() -> None:
    assert "security groups (none)" in reason(way(with_interface(security_group_ids=())))


# Network ACLs: https://docs.aws.amazon.com/vpc/latest/userguide/nacl-basics.html

ALL = (
    AclRule(number=100, direction=Direction.OUT, effect=Effect.ALLOW),
    AclRule(number=100, direction=Direction.IN, effect=Effect.ALLOW),
)


@pytest.mark.parametrize(
    ("subnet", "direction", "why"),
    [
        ("subnet-c", Direction.OUT, "lets port 443 not out"),
        ("subnet-c", Direction.IN, "lets port 40000 not in"),
        ("subnet-a", Direction.IN, "lets port 443 not in"),
        ("subnet-a", Direction.OUT, "lets port 40000 not out"),
    ],
)
def test_the_acls_of_both_subnets_must_let_request_and_answer_pass(subnet: str, direction: Direction, why: str) -> None:
    deny = AclRule(number=50, direction=direction, effect=Effect.DENY, cidr="10.0.0.0/16")
    acl = NetworkAcl(id="acl-1", vpc_id="vpc-1", subnet_ids=(subnet,), rules=(deny, *ALL))
    assert why in reason(way(replace(NETWORK, network_acls=(acl,))))


def test_inside_one_subnet_no_acl_counts() -> None:
    closed = NetworkAcl(id="acl-1", vpc_id="vpc-1", subnet_ids=("subnet-a",))
    assert kind(way(replace(NETWORK, network_acls=(closed,)), subnet="subnet-a")) is PathKind.INTERFACE_ENDPOINT


# Peering: https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-basics.html

PEERED = Peering(id="pcx-1", vpc_ids=("vpc-9", "vpc-1"))
CLIENT_9 = SecurityGroup(id="sg-client", vpc_id="vpc-9", egress=(SecurityRule(cidrs=("0.0.0.0/0",)),))
TO_PEER = Route(destination="10.0.0.0/16", target="pcx-1")
BACK = Route(destination="10.9.0.0/16", target="pcx-1")
CALLER = Topology(
    account=AWAY,
    region="us-east-1",
    vpcs=(Vpc(id="vpc-9", cidr="10.9.0.0/16"),),
    subnets=(Subnet(id="subnet-9", vpc_id="vpc-9", cidr="10.9.1.0/24", zone="us-east-1a"),),
    route_tables=(RouteTable(id="rtb-9", vpc_id="vpc-9", is_main=True, routes=(TO_PEER,)),),
    security_groups=(CLIENT_9,),
    peerings=(PEERED,),
)
HOST = replace(
    NETWORK,
    peerings=(PEERED,),
    route_tables=(replace(TABLE, routes=(*TABLE.routes, BACK)),),
    security_groups=(replace(GUARD, ingress=(SecurityRule(cidrs=("10.9.0.0/16",)),)),),
)


def over(caller: Topology = CALLER, host: Topology = HOST, *, to: Destination = NAMED) -> Path | Dropped:
    return resolve(caller, source=source("subnet-9", address="10.9.1.5"), destination=to, others=(host,))


def test_over_peering_the_keys_are_the_endpoints_and_the_address_the_clients() -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-sourcevpc."""
    found = over()
    assert isinstance(found, Path)
    assert found.context() == {
        "aws:SourceVpce": "vpce-i",
        "aws:SourceVpc": "vpc-1",
        "aws:SourceVpcArn": f"arn:aws:ec2:us-east-1:{HOME}:vpc/vpc-1",
        "aws:VpceAccount": HOME,
        "aws:VpcSourceIp": "10.9.1.5",
    }


def test_neither_private_names_nor_the_gateway_endpoint_reach_over_peering() -> None:
    """https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html."""
    assert reason(over(to=S3)) == "route table `rtb-9` of subnet `subnet-9` has no route to it"


@pytest.mark.parametrize("state", ["pending-acceptance", "deleted", "rejected", "expired"])
def test_peering_must_be_active(state: str) -> None:
    pending = replace(CALLER, peerings=(replace(PEERED, state=state),))
    assert reason(over(pending)) == "peering connection `pcx-1` is not active between the two VPCs"


@pytest.mark.parametrize(
    ("routes", "why"),
    [
        ((), "leads to `nothing`"),
        ((replace(TO_PEER, target="tgw-1"),), "leads to `tgw-1`"),
        ((replace(TO_PEER, target="nat-1"),), "leads to `nat-1`"),
        ((replace(TO_PEER, state="blackhole"),), "leads to `nothing`"),
        ((TO_PEER, Route(destination="10.0.1.0/24", target="tgw-1")), "leads to `tgw-1`"),
    ],
)
def test_the_clients_routes_must_lead_over_the_peering(routes: tuple[Route, ...], why: str) -> None:
    table = replace(CALLER.route_tables[0], routes=routes)
    assert why in reason(over(replace(CALLER, route_tables=(table,))))


def test_peering_is_not_transitive() -> None:
    """https://docs.aws.amazon.com/vpc/latest/peering/invalid-peering-configurations.html."""
    to_third = replace(CALLER, peerings=(replace(PEERED, vpc_ids=("vpc-9", "vpc-5")),))
    assert "not active between the two VPCs" in reason(over(to_third))


def test_the_endpoints_subnet_needs_a_route_back() -> None:
    assert reason(over(host=replace(HOST, route_tables=(TABLE,)))) == "subnet `subnet-a` has no route back by `pcx-1`"


def test_groups_are_known_over_peering_in_one_region_only() -> None:
    """https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-security-groups.html."""
    by_group = replace(GUARD, ingress=(replace(HTTPS, cidrs=(), group_ids=("sg-client",)),))
    host = replace(HOST, security_groups=(by_group,))
    assert kind(over(host=host)) is PathKind.INTERFACE_ENDPOINT
    assert "no ingress rule" in reason(over(replace(CALLER, region="eu-west-1"), host))


# IPv6: https://docs.aws.amazon.com/AmazonS3/latest/userguide/dual-stack-endpoints.html

DUALSTACK = replace(S3, form=Form.DUALSTACK)
SIX = "2600:1f18::7"
BY_SIX = replace(source(), ipv6=SIX)


def six(*routes: Route, **changes: object) -> Topology:
    table = replace(TABLE, routes=(*TABLE.routes, *routes))
    return replace(
        NETWORK,
        route_tables=(table,),
        internet_gateways=(InternetGateway(id="igw-1", vpc_id="vpc-1"),),
        egress_only_gateways=(InternetGateway(id="eigw-1", vpc_id="vpc-1"),),
        **changes,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("target", ["igw-1", "eigw-1"])
def test_ipv6_sidesteps_a_gateway_endpoint_for_ipv4(target: str) -> None:
    found = resolve(six(Route(destination="::/0", target=target)), source=BY_SIX, destination=DUALSTACK)
    assert found == Path(kind=PathKind.INTERNET, public_ip=SIX)
    assert found.context() == {"aws:SourceIp": SIX}


def test_a_gateway_endpoint_for_both_families_is_not_sidestepped() -> None:
    both = (replace(GATEWAY, address_type="dualstack"),)
    topology = six(Route(destination="::/0", target="igw-1"), endpoints=both)
    assert kind(resolve(topology, source=BY_SIX, destination=DUALSTACK)) is PathKind.GATEWAY_ENDPOINT


def test_ipv6_is_for_dualstack_names_and_interfaces_with_an_address() -> None:
    topology = replace(six(Route(destination="::/0", target="igw-1")), endpoints=(GATEWAY,))
    assert kind(resolve(topology, source=BY_SIX, destination=S3)) is PathKind.GATEWAY_ENDPOINT
    assert kind(resolve(topology, source=source(), destination=DUALSTACK)) is PathKind.GATEWAY_ENDPOINT


def test_where_ipv6_leads_nowhere_clients_come_to_ipv4() -> None:
    """They try the addresses of a name in turn."""
    assert kind(resolve(six(), source=BY_SIX, destination=DUALSTACK)) is PathKind.GATEWAY_ENDPOINT
    closed = replace(CLIENT, egress=(SecurityRule(cidrs=("0.0.0.0/0",)),))
    topology = six(Route(destination="::/0", target="igw-1"), security_groups=(closed, GUARD))
    assert kind(resolve(topology, source=BY_SIX, destination=DUALSTACK)) is PathKind.GATEWAY_ENDPOINT


def test_other_regions_dualstack_hosts_go_by_ipv6_too() -> None:
    topology = six(Route(destination="::/0", target="eigw-1"))
    found = resolve(topology, source=BY_SIX, destination=replace(DUALSTACK, service="other"))
    assert found == Path(kind=PathKind.INTERNET, public_ip=SIX)
