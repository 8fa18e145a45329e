"""The lab's network read from its state and read by Describe calls are the same values."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from pytest_s3vpce import snapshot
from pytest_s3vpce.network import described
from pytest_s3vpce.network.topology import Topology
from tests.unit.labstage import REGION, Stage

if TYPE_CHECKING:
    from pytest_s3vpce.network.topology import SecurityRule

MAIN, PARTNER = "350000000001", "350000000002"


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(MAIN, PARTNER)


@pytest.fixture(scope="module")
def ec2(stage: Stage) -> Any:
    """A network with one of everything."""
    ec2 = stage.admin(MAIN).client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.3.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
    six = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    other = ec2.create_vpc(CidrBlock="10.4.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=other, EnableDnsSupport={"Value": False})
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.3.1.0/24", Ipv6CidrBlock=six.replace("/56", "/64"))["Subnet"]
    subnet_id = subnet["SubnetId"]
    ec2.modify_subnet_attribute(SubnetId=subnet_id, MapPublicIpOnLaunch={"Value": True})
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet_id)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.create_internet_gateway()
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    only = ec2.create_egress_only_internet_gateway(VpcId=vpc)["EgressOnlyInternetGateway"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=subnet_id, AllocationId=address)["NatGateway"]["NatGatewayId"]
    pcx = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=other)["VpcPeeringConnection"]
    listed = ec2.create_managed_prefix_list(
        PrefixListName="mine", MaxEntries=5, AddressFamily="IPv4", Entries=[{"Cidr": "192.0.2.0/24"}]
    )["PrefixList"]["PrefixListId"]
    for route in (
        {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": nat},
        {"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": only["EgressOnlyInternetGatewayId"]},
        {"DestinationCidrBlock": "10.4.0.0/16", "VpcPeeringConnectionId": pcx["VpcPeeringConnectionId"]},
        {"DestinationPrefixListId": listed, "GatewayId": gateway},
    ):
        ec2.create_route(RouteTableId=table, **route)
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    web = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{**web, "UserIdGroupPairs": [{"GroupId": group}]}]
    )
    ec2.authorize_security_group_egress(
        GroupId=group,
        IpPermissions=[{**web, "PrefixListIds": [{"PrefixListId": listed}], "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}],
    )
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    rule = {"NetworkAclId": acl, "RuleNumber": 90, "Protocol": "6", "RuleAction": "allow", "Egress": True}
    ec2.create_network_acl_entry(**rule, CidrBlock="10.0.0.0/8", PortRange={"From": 443, "To": 443})
    service = {"VpcId": vpc, "ServiceName": f"com.amazonaws.{REGION}.s3"}
    ec2.create_vpc_endpoint(**service, RouteTableIds=[table], IpAddressType="dualstack")
    ec2.create_vpc_endpoint(
        **service, VpcEndpointType="Interface", SubnetIds=[subnet_id], SecurityGroupIds=[group], PolicyDocument="{}"
    )
    return ec2


def single(rules: tuple[SecurityRule, ...]) -> set[SecurityRule]:
    """One for each block, list and group: Describe calls put those of the same ports together."""
    found = set()
    for rule in rules:
        bare = replace(rule, cidrs=(), prefix_list_ids=(), group_ids=())
        found |= {replace(bare, cidrs=(value,)) for value in rule.cidrs}
        found |= {replace(bare, prefix_list_ids=(value,)) for value in rule.prefix_list_ids}
        found |= {replace(bare, group_ids=(value,)) for value in rule.group_ids}
    return found


def test_both_readings_give_the_same_network(stage: Stage, ec2: Any) -> None:
    described_now = snapshot.network(ec2, region=REGION, account_id=MAIN)
    state = stage.state.topology(MAIN, REGION)
    assert described_now is not None
    for field in fields(Topology):
        mine, theirs = getattr(described_now, field.name), getattr(state, field.name)
        if field.name == "security_groups":
            mine, theirs = (
                {group.id: (group.vpc_id, single(group.egress), single(group.ingress)) for group in groups}
                for groups in (mine, theirs)
            )
        elif isinstance(mine, tuple):
            mine, theirs = {row.id: row for row in mine}, {row.id: row for row in theirs}
        assert mine == theirs, field.name
    assert all(getattr(state, field.name) for field in fields(Topology))


def test_what_may_not_be_described_is_unknown(ec2: Any) -> None:
    class Refusing:
        def get_paginator(self, call: str) -> Any:
            raise ClientError({"Error": {"Code": "UnauthorizedOperation"}}, call)

    assert snapshot.network(Refusing(), region=REGION, account_id=MAIN) is None


def test_routes_without_a_target_and_their_state_are_read_as_live_ones_are() -> None:
    rows: dict[str, Any] = dict.fromkeys(described.CALLS, ())
    rows["RouteTables"] = [
        {
            "RouteTableId": "rtb-1",
            "VpcId": "vpc-1",
            "Routes": [
                {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "blackhole"},
                {"DestinationCidrBlock": "10.0.0.0/8"},
            ],
        }
    ]
    (table,) = described.topology(rows, account=MAIN, region=REGION).route_tables
    assert [(route.target, route.state) for route in table.routes] == [("nat-1", "blackhole")]
