"""Paths through endpoints, end to end: EC2 calls make the network, requests take its ways, policies see the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.lab.origin import Placement
from pytest_s3vpce.lab.wire import Unanswered
from tests.unit.labnetwork import Net, base, get, make, path_of, seen
from tests.unit.labstage import REGION, Person, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIN, PARTNER = "340000000001", "340000000002"
BUCKET = "lab-paths"


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN, PARTNER)
    s3 = made.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    return made


@pytest.fixture
def admin(stage: Stage) -> Person:
    return stage.admin(MAIN)


@pytest.fixture
def net(admin: Person) -> Net:
    return make(admin, MAIN, "10.1")


# Names of interface endpoints


def test_the_endpoints_names_lead_through_it_in_all_forms(stage: Stage, admin: Person, net: Net) -> None:
    endpoint = net.interface(PrivateDnsEnabled=False)
    net.let_in("10.1.0.0/16")
    where = net.at(net.a)
    with pytest.raises(Unanswered, match="has no route to it"):
        get(admin, BUCKET, where)
    for style in ("path", "virtual"):
        assert get(admin, BUCKET, where, url=base(endpoint), s3={"addressing_style": style}) == b"x"
        assert path_of(stage) == ("interface_endpoint", endpoint["VpcEndpointId"])
    for entry in range(1, 3):
        assert get(admin, BUCKET, where, url=base(endpoint, entry=entry)) == b"x"
    control = admin.client("s3control", origin=where, url=base(endpoint, "control"))
    assert control.list_access_points(AccountId=MAIN)["AccessPointList"] == []
    assert path_of(stage)[0] == "interface_endpoint"


def test_an_access_point_is_reached_by_the_endpoints_name(stage: Stage, admin: Person, net: Net) -> None:
    endpoint = net.interface(PrivateDnsEnabled=False)
    net.let_in("10.1.0.0/16")
    admin.client("s3control").create_access_point(AccountId=MAIN, Name="by-endpoint", Bucket=BUCKET)
    client = admin.client("s3", origin=net.at(net.a), url=base(endpoint, "accesspoint"))
    arn = f"arn:aws:s3:{REGION}:{MAIN}:accesspoint/by-endpoint"
    assert client.get_object(Bucket=arn, Key="k")["Body"].read() == b"x"
    assert path_of(stage) == ("interface_endpoint", endpoint["VpcEndpointId"])


def test_a_deleted_endpoints_name_is_no_way(admin: Person, net: Net) -> None:
    endpoint = net.interface(PrivateDnsEnabled=False)
    net.let_in("10.1.0.0/16")
    assert get(admin, BUCKET, net.at(net.a), url=base(endpoint)) == b"x"
    assert net.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])["Unsuccessful"] == []
    with pytest.raises(Unanswered, match="does not resolve"):
        get(admin, BUCKET, net.at(net.a), url=base(endpoint))


# Private DNS


@pytest.fixture
def both(net: Net) -> Iterator[tuple[Net, Any, Any]]:
    gateway, interface = net.gateway(), net.interface(PrivateDnsEnabled=True)
    net.let_in("10.1.0.0/16")
    yield net, gateway["VpcEndpointId"], interface["VpcEndpointId"]
    net.ec2.delete_vpc_endpoints(VpcEndpointIds=[interface["VpcEndpointId"], gateway["VpcEndpointId"]])


def test_beside_a_gateway_private_dns_is_for_inbound_resolvers_until_that_is_changed(
    stage: Stage, admin: Person, both: tuple[Net, Any, Any]
) -> None:
    net, gateway, interface = both
    get(admin, BUCKET, net.at(net.a))
    assert path_of(stage) == ("gateway_endpoint", gateway)
    option = "PrivateDnsOnlyForInboundResolverEndpoint"
    shown = net.ec2.describe_vpc_endpoints(VpcEndpointIds=[interface])["VpcEndpoints"][0]
    assert (shown["PrivateDnsEnabled"], shown["DnsOptions"][option]) == (True, True)
    net.ec2.modify_vpc_endpoint(VpcEndpointId=interface, DnsOptions={option: False})
    get(admin, BUCKET, net.at(net.a))
    assert path_of(stage) == ("interface_endpoint", interface)
    net.ec2.modify_vpc_endpoint(VpcEndpointId=interface, PrivateDnsEnabled=False)
    get(admin, BUCKET, net.at(net.a))
    assert path_of(stage) == ("gateway_endpoint", gateway)


def test_the_vpcs_dns_attributes_count(stage: Stage, admin: Person, net: Net) -> None:
    endpoint = net.interface(PrivateDnsEnabled=True)["VpcEndpointId"]
    net.let_in("10.1.0.0/16")
    get(admin, BUCKET, net.at(net.a))
    assert path_of(stage) == ("interface_endpoint", endpoint)
    net.ec2.modify_vpc_attribute(VpcId=net.vpc, EnableDnsHostnames={"Value": False})
    with pytest.raises(Unanswered, match="no route"):
        get(admin, BUCKET, net.at(net.a))
    net.ec2.modify_vpc_attribute(VpcId=net.vpc, EnableDnsSupport={"Value": False})
    with pytest.raises(Unanswered, match="no name resolves"):
        get(admin, BUCKET, net.at(net.a))


def test_the_endpoints_groups_and_their_ports_count(admin: Person, net: Net) -> None:
    net.interface(PrivateDnsEnabled=True)
    with pytest.raises(Unanswered, match="no ingress rule"):
        get(admin, BUCKET, net.at(net.a))
    net.let_in("10.1.2.0/24")
    with pytest.raises(Unanswered, match="no ingress rule"):
        get(admin, BUCKET, net.at(net.a))
    assert get(admin, BUCKET, net.at(net.b)) == b"x"
    with pytest.raises(Unanswered, match="lets port 80 in"):
        get(admin, BUCKET, net.at(net.b, port=80))


def test_an_endpoint_without_groups_has_the_default_one_which_lets_its_members_in(admin: Person, net: Net) -> None:
    """https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html."""
    net.interface(PrivateDnsEnabled=True, SecurityGroupIds=[])
    with pytest.raises(Unanswered, match="no ingress rule"):
        get(admin, BUCKET, net.at(net.a))
    found = net.ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [net.vpc]}])["SecurityGroups"]
    default = next(group["GroupId"] for group in found if group["GroupName"] == "default")
    placement = net.at(net.a)
    member = Placement(
        account=MAIN, region=REGION, subnet_id=net.a, security_group_ids=(default,), private_ip=placement.private_ip
    )
    assert get(admin, BUCKET, member) == b"x"


def test_other_services_are_reached_by_their_endpoints_private_names(stage: Stage, admin: Person, net: Net) -> None:
    sts = admin.client("sts", origin=net.at(net.a))
    with pytest.raises(Unanswered):
        sts.get_caller_identity()
    endpoint = net.ec2.create_vpc_endpoint(
        VpcId=net.vpc,
        ServiceName=f"com.amazonaws.{REGION}.sts",
        VpcEndpointType="Interface",
        SubnetIds=[net.a],
        SecurityGroupIds=[net.group],
    )["VpcEndpoint"]["VpcEndpointId"]
    net.let_in("10.1.0.0/16")
    at_address = admin.client("sts", origin=net.at(net.a), url="https://127.0.0.1:1")  # of the subnet: names no host
    for client in (sts, at_address):
        client.get_caller_identity()
        assert path_of(stage) == ("interface_endpoint", endpoint)
    with pytest.raises(Unanswered):
        admin.client("iam", origin=net.at(net.a), url="https://127.0.0.1:1").list_roles()


# Peering


@pytest.fixture
def peered(stage: Stage, net: Net) -> tuple[Net, Net, str]:
    """The VPC of the partner that may come to the endpoint of the main account's VPC."""
    client = make(stage.admin(PARTNER), PARTNER, "10.2")
    pcx = client.ec2.create_vpc_peering_connection(VpcId=client.vpc, PeerVpcId=net.vpc, PeerOwnerId=MAIN)[
        "VpcPeeringConnection"
    ]["VpcPeeringConnectionId"]
    client.ec2.create_route(RouteTableId=client.table, DestinationCidrBlock="10.1.0.0/16", VpcPeeringConnectionId=pcx)
    return client, net, pcx


def test_over_peering_the_keys_are_those_of_the_endpoint(
    stage: Stage, admin: Person, peered: tuple[Net, Net, str]
) -> None:
    client, net, pcx = peered
    net.gateway()
    endpoint = net.interface(PrivateDnsEnabled=False)
    net.let_in("10.2.0.0/16")
    url, where = base(endpoint), client.at(client.a)
    with pytest.raises(Unanswered, match="is not active"):
        get(admin, BUCKET, where, url=url)
    net.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=pcx)
    with pytest.raises(Unanswered, match="no route back"):
        get(admin, BUCKET, where, url=url)
    net.ec2.create_route(RouteTableId=net.table, DestinationCidrBlock="10.2.0.0/16", VpcPeeringConnectionId=pcx)
    assert get(admin, BUCKET, where, url=url) == b"x"
    keys = {
        "aws:SourceVpce": endpoint["VpcEndpointId"],
        "aws:SourceVpc": net.vpc,
        "aws:SourceVpcArn": f"arn:aws:ec2:{REGION}:{MAIN}:vpc/{net.vpc}",
        "aws:VpceAccount": MAIN,
        "aws:VpcSourceIp": where.private_ip,
    }
    for key, value in keys.items():
        assert seen(admin, BUCKET, where, key, value, url=url), key
    assert seen(admin, BUCKET, where, "aws:SourceIp", None, url=url)
    with pytest.raises(Unanswered, match="no route to it"):
        get(admin, BUCKET, where)


def test_nobody_comes_to_an_endpoints_name_from_the_internet(admin: Person, net: Net) -> None:
    endpoint = net.interface(PrivateDnsEnabled=False)
    client = admin.client("s3", url=base(endpoint))
    with pytest.raises(Unanswered, match="private addresses only"):
        client.get_object(Bucket=BUCKET, Key="k")


def test_an_endpoint_of_an_organizations_account_shows_the_organization(stage: Stage, admin: Person, net: Net) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-vpceorgid."""
    net.gateway()
    where = net.at(net.a)
    assert seen(admin, BUCKET, where, "aws:VpceOrgID", None)
    organizations = stage.root(MAIN).client("organizations")
    made = organizations.create_organization(FeatureSet="ALL")["Organization"]["Id"]
    root = organizations.list_roots()["Roots"][0]["Id"]
    assert seen(admin, BUCKET, where, "aws:VpceOrgID", made)
    assert seen(admin, BUCKET, where, "aws:VpceOrgPaths", f"{made}/{root}/")
    organizations.delete_organization()
