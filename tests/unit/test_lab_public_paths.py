"""Paths by public addresses, end to end: internet and NAT gateways, IPv6, other Regions, addresses of instances."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_s3vpce.lab.fleet import instances
from pytest_s3vpce.lab.origin import Placement
from pytest_s3vpce.lab.resources import FunctionState
from pytest_s3vpce.lab.routing import ANY
from pytest_s3vpce.lab.wire import Unanswered
from pytest_s3vpce.network.topology import Subnet, Topology
from tests.unit.labnetwork import Net, get, make, path_of, seen
from tests.unit.labstage import REGION, Person, Stage, deny, policy, refusal

MAIN = "380000000001"
BUCKET = "lab-public-paths"


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN)
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


def test_a_public_subnet_shows_the_instances_own_address(admin: Person, net: Net) -> None:
    where = net.at(net.a, public_ip="203.0.113.40")
    with pytest.raises(Unanswered, match="no route"):
        get(admin, BUCKET, where)
    gateway = net.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    net.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=net.vpc)
    net.ec2.create_route(RouteTableId=net.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    assert seen(admin, BUCKET, where, "aws:SourceIp", "203.0.113.40")
    assert seen(admin, BUCKET, where, "aws:SourceVpce", None)
    with pytest.raises(Unanswered, match="no public address"):
        get(admin, BUCKET, net.at(net.a))
    net.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=net.vpc)
    with pytest.raises(Unanswered, match="has a black hole"):
        get(admin, BUCKET, where)


def test_a_nat_gateway_has_a_public_address_of_its_own_and_a_private_one_none(admin: Person, net: Net) -> None:
    gateway = net.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    net.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=net.vpc)
    public = net.ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    net.ec2.associate_route_table(RouteTableId=public, SubnetId=net.b)
    net.ec2.create_route(RouteTableId=public, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    address = net.ec2.allocate_address(Domain="vpc")
    assert not address["PublicIp"].startswith(("127.", "10."))
    nat = net.ec2.create_nat_gateway(SubnetId=net.b, AllocationId=address["AllocationId"])["NatGateway"]
    assert nat["NatGatewayAddresses"][0]["PrivateIp"].startswith("10.1.2.")
    net.ec2.create_route(RouteTableId=net.table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat["NatGatewayId"])
    assert seen(admin, BUCKET, net.at(net.a), "aws:SourceIp", address["PublicIp"])
    private = net.ec2.create_nat_gateway(SubnetId=net.b, ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    net.ec2.replace_route(RouteTableId=net.table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=private)
    with pytest.raises(Unanswered, match="has no public address"):
        get(admin, BUCKET, net.at(net.a))
    net.ec2.replace_route(RouteTableId=net.table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat["NatGatewayId"])
    net.ec2.delete_nat_gateway(NatGatewayId=nat["NatGatewayId"])
    with pytest.raises(Unanswered, match="has a black hole"):
        get(admin, BUCKET, net.at(net.a))


@pytest.mark.parametrize("kind", ["egress-only", "internet"])
def test_dualstack_hosts_sidestep_the_gateway_endpoint_by_ipv6(stage: Stage, admin: Person, kind: str) -> None:
    net = make(admin, MAIN, "10.6", AmazonProvidedIpv6CidrBlock=True)
    endpoint = net.gateway()["VpcEndpointId"]
    if kind == "internet":
        gateway = net.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        net.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=net.vpc)
        target = {"GatewayId": gateway}
    else:
        made = net.ec2.create_egress_only_internet_gateway(VpcId=net.vpc)["EgressOnlyInternetGateway"]
        target = {"EgressOnlyInternetGatewayId": made["EgressOnlyInternetGatewayId"]}
    where = net.at(net.a, ipv6="2600:1f18::7")
    get(admin, BUCKET, where, use_dualstack_endpoint=True)
    assert path_of(stage) == ("gateway_endpoint", endpoint)
    net.ec2.create_route(RouteTableId=net.table, DestinationIpv6CidrBlock="::/0", **target)
    get(admin, BUCKET, where)
    assert path_of(stage) == ("gateway_endpoint", endpoint)
    get(admin, BUCKET, where, use_dualstack_endpoint=True)
    assert path_of(stage) == ("internet", None)
    text = policy(
        deny(
            "s3:GetObject",
            f"arn:aws:s3:::{BUCKET}/*",
            Principal="*",
            Condition={"IpAddress": {"aws:SourceIp": "2600:1f18::/64"}},
        )
    )
    admin.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=text)
    client = admin.client("s3", origin=where, use_dualstack_endpoint=True)
    assert refusal(client.get_object, Bucket=BUCKET, Key="k")[0] == 403
    admin.client("s3").delete_bucket_policy(Bucket=BUCKET)


def test_another_regions_bucket_does_not_come_through_the_gateway_endpoint(
    stage: Stage, admin: Person, net: Net
) -> None:
    """https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-s3.html."""
    net.gateway()
    far = "eu-west-1"
    name = "lab-public-paths-far"
    admin.client("s3", region=far).create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": far})
    client = admin.client("s3", origin=net.at(net.a), region=far)
    with pytest.raises(Unanswered, match="no route to it"):
        client.list_objects_v2(Bucket=name)


@pytest.mark.parametrize("assign", [True, False])
def test_an_instance_has_the_addresses_that_its_subnet_and_its_launch_give(
    stage: Stage, admin: Person, assign: bool
) -> None:
    net = make(admin, MAIN, "10.7", AmazonProvidedIpv6CidrBlock=True)
    six = net.ec2.describe_vpcs(VpcIds=[net.vpc])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    block = six.replace("/56", "/64")
    net.ec2.associate_subnet_cidr_block(SubnetId=net.a, Ipv6CidrBlock=block)
    net.ec2.modify_subnet_attribute(SubnetId=net.a, AssignIpv6AddressOnCreation={"Value": assign})
    made = net.ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1, SubnetId=net.a)["Instances"][0]["InstanceId"]
    address = net.ec2.allocate_address(Domain="vpc")
    net.ec2.associate_address(AllocationId=address["AllocationId"], InstanceId=made)
    (placement,) = [
        found.placement for found in instances(stage.state, MAIN, REGION) if found.id == made and found.subnet_id
    ]
    assert placement.public_ip == address["PublicIp"]
    assert (placement.ipv6 is not None and ip_address(placement.ipv6) in ip_network(block)) is assign
    (shown,) = net.ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"]
    six_of = [row["Ipv6Address"] for eni in shown["NetworkInterfaces"] for row in eni["Ipv6Addresses"]]
    assert six_of == ([placement.ipv6] if assign else [])


def test_a_subnet_is_found_by_its_ipv6_block_as_terraform_waits_for_it(admin: Person) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSubnets.html."""
    net = make(admin, MAIN, "10.8", AmazonProvidedIpv6CidrBlock=True)
    six = net.ec2.describe_vpcs(VpcIds=[net.vpc])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    block = six.replace("/56", "/64")
    made = net.ec2.associate_subnet_cidr_block(SubnetId=net.a, Ipv6CidrBlock=block)["Ipv6CidrBlockAssociation"]
    filters = {"association-id": made["AssociationId"], "ipv6-cidr-block": block}
    for name, value in filters.items():
        wanted = {"Name": f"ipv6-cidr-block-association.{name}", "Values": [value]}
        (found,) = net.ec2.describe_subnets(Filters=[wanted])["Subnets"]
        (association,) = found["Ipv6CidrBlockAssociationSet"]
        assert (found["SubnetId"], association["Ipv6CidrBlockState"]["State"]) == (net.a, "associated")


def test_a_route_whose_target_is_gone_is_shown_as_a_black_hole(admin: Person, net: Net) -> None:
    """https://docs.aws.amazon.com/vpc/latest/userguide/route-table-options.html."""
    ec2 = net.ec2
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=net.vpc)
    nat = ec2.create_nat_gateway(SubnetId=net.b, ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    only = ec2.create_egress_only_internet_gateway(VpcId=net.vpc)["EgressOnlyInternetGateway"]
    eigw = only["EgressOnlyInternetGatewayId"]
    peer = make(admin, MAIN, "10.9")
    pcx = ec2.create_vpc_peering_connection(VpcId=net.vpc, PeerVpcId=peer.vpc)["VpcPeeringConnection"]
    pcx_id = pcx["VpcPeeringConnectionId"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=pcx_id)
    for route in (
        {"DestinationCidrBlock": "192.0.2.0/24", "GatewayId": gateway},
        {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": nat},
        {"DestinationCidrBlock": "10.9.0.0/16", "VpcPeeringConnectionId": pcx_id},
        {"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": eigw},
    ):
        ec2.create_route(RouteTableId=net.table, **route)

    def states() -> set[str]:
        (table,) = ec2.describe_route_tables(RouteTableIds=[net.table])["RouteTables"]
        return {route["State"] for route in table["Routes"] if route.get("GatewayId") != "local"}

    assert states() == {"active"}
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=net.vpc)
    ec2.delete_nat_gateway(NatGatewayId=nat)
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=pcx_id)
    ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=eigw)
    assert states() == {"blackhole"}
    with pytest.raises(Unanswered, match="has a black hole for it"):
        get(admin, BUCKET, net.at(net.a))


def test_a_vpc_that_gets_ipv6_later_has_it_in_its_default_network_acl(admin: Person, net: Net) -> None:
    """https://docs.aws.amazon.com/vpc/latest/userguide/default-network-acl.html."""
    net.ec2.associate_vpc_cidr_block(VpcId=net.vpc, AmazonProvidedIpv6CidrBlock=True)
    (acl,) = net.ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [net.vpc]}])["NetworkAcls"]
    six = [(row["Egress"], row["RuleAction"]) for row in acl["Entries"] if row.get("Ipv6CidrBlock") == "::/0"]
    assert sorted(six) == [(False, "allow"), (True, "allow")]


def test_a_default_subnet_leads_to_the_internet(stage: Stage, admin: Person) -> None:
    """https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc-components.html."""
    ec2 = admin.client("ec2", region="eu-west-2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    assert subnet["MapPublicIpOnLaunch"] is True
    (group,) = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])["SecurityGroups"]
    placement = Placement(
        account=MAIN,
        region="eu-west-2",
        subnet_id=subnet["SubnetId"],
        security_group_ids=(group["GroupId"],),
        private_ip="172.31.0.9",
        public_ip="203.0.113.41",
    )
    admin.client("sts", origin=placement.at(443, destination=ANY), region="eu-west-2").get_caller_identity()
    assert path_of(stage) == ("internet", None)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_function_uses_ipv6_where_it_is_let(*, allowed: bool) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-ipv6."""
    subnets = (Subnet(id="subnet-1", vpc_id="vpc-1", cidr="10.0.0.0/24", ipv6_cidr="2600:1f18::/64"),)
    topology = Topology(account=MAIN, region=REGION, subnets=subnets)
    spec: Any = SimpleNamespace(account=MAIN, region=REGION, arn="arn:aws:lambda:us-east-1:1:function:f")
    placement = FunctionState(spec=spec, subnet_ids=("subnet-1",), dual_stack=allowed).placement(topology)
    assert placement is not None
    assert (placement.ipv6 is not None and ip_address(placement.ipv6) in ip_network("2600:1f18::/64")) is allowed
    assert placement.public_ip is None
