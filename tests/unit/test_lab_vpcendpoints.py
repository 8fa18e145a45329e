"""Endpoints are made, shown, changed and deleted by EC2 calls as on AWS.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpcEndpoint.html and its neighbours.
"""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from pytest_s3vpce.snapshot import network
from tests.unit.labstage import REGION, Stage, refusal

MAIN = "360000000001"
S3 = f"com.amazonaws.{REGION}.s3"
ONLY_INBOUND = "PrivateDnsOnlyForInboundResolverEndpoint"


@pytest.fixture(scope="module")
def ec2() -> Any:
    return Stage(MAIN).admin(MAIN).client("ec2")


@pytest.fixture
def vpc(ec2: Any) -> str:
    found: str = ec2.create_vpc(CidrBlock="10.5.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=found, EnableDnsHostnames={"Value": True})
    return found


@pytest.fixture
def subnets(ec2: Any, vpc: str) -> list[str]:
    return [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.5.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in ((1, "a"), (2, "b"))
    ]


def table_of(ec2: Any, vpc: str) -> Any:
    return ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"][0]


def interface(ec2: Any, vpc: str, **more: Any) -> Any:
    found = {"VpcEndpointType": "Interface", "ServiceName": S3} | more
    return ec2.create_vpc_endpoint(VpcId=vpc, **found)["VpcEndpoint"]


def shown(ec2: Any, endpoint_id: str) -> Any:
    return ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint_id])["VpcEndpoints"][0]


def interfaces(ec2: Any, endpoint: Any) -> dict[str, Any]:
    ids = endpoint["NetworkInterfaceIds"]
    rows = ec2.describe_network_interfaces(NetworkInterfaceIds=ids)["NetworkInterfaces"] if ids else ()
    return {row["SubnetId"]: row for row in rows}


def test_a_gateway_endpoint_is_shown_as_one(ec2: Any, vpc: str) -> None:
    table = table_of(ec2, vpc)["RouteTableId"]
    made = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=S3, RouteTableIds=[table])["VpcEndpoint"]
    for found in (made, shown(ec2, made["VpcEndpointId"])):
        assert (found["VpcEndpointType"], found["PrivateDnsEnabled"], found["State"]) == ("Gateway", False, "available")
        assert (found["OwnerId"], found["IpAddressType"]) == (MAIN, "ipv4")
        assert (found["RouteTableIds"], found.get("NetworkInterfaceIds", []), found.get("DnsEntries", [])) == (
            [table],
            [],
            [],
        )


def test_route_tables_are_added_and_removed_with_their_routes(ec2: Any, vpc: str) -> None:
    table = table_of(ec2, vpc)["RouteTableId"]
    other = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    made = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=S3, RouteTableIds=[table])["VpcEndpoint"]["VpcEndpointId"]
    ec2.modify_vpc_endpoint(VpcEndpointId=made, AddRouteTableIds=[other], RemoveRouteTableIds=[table])
    rows = ec2.describe_route_tables(RouteTableIds=[table, other])["RouteTables"]
    leading = {row["RouteTableId"] for row in rows for route in row["Routes"] if route.get("GatewayId") == made}
    assert (shown(ec2, made)["RouteTableIds"], leading) == ([other], {other})
    assert ec2.delete_vpc_endpoints(VpcEndpointIds=[made])["Unsuccessful"] == []
    rows = ec2.describe_route_tables(RouteTableIds=[table, other])["RouteTables"]
    assert not [route for row in rows for route in row["Routes"] if route.get("GatewayId") == made]


def test_a_deleted_endpoint_is_gone_and_an_unknown_one_is_told(ec2: Any, vpc: str, subnets: list[str]) -> None:
    made = interface(ec2, vpc, SubnetIds=subnets)
    (row,) = ec2.delete_vpc_endpoints(VpcEndpointIds=[made["VpcEndpointId"], "vpce-0gone"])["Unsuccessful"]
    assert (row["ResourceId"], row["Error"]["Code"]) == ("vpce-0gone", "InvalidVpcEndpoint.NotFound")
    found = refusal(ec2.describe_vpc_endpoints, VpcEndpointIds=[made["VpcEndpointId"]])
    assert found[:2] == (400, "InvalidVpcEndpointId.NotFound")
    left = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert not {row["NetworkInterfaceId"] for row in left} & set(made["NetworkInterfaceIds"])


def test_interfaces_stand_in_their_subnets_with_the_given_groups(ec2: Any, vpc: str, subnets: list[str]) -> None:
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    made = interface(ec2, vpc, SubnetIds=subnets, SecurityGroupIds=[group])
    found = interfaces(ec2, made)
    assert list(found) == subnets
    for subnet, block in zip(subnets, ("10.5.1.0/24", "10.5.2.0/24"), strict=True):
        assert ip_address(found[subnet]["PrivateIpAddress"]) in ip_network(block)
        assert [entry["GroupId"] for entry in found[subnet]["Groups"]] == [group]
        assert found[subnet]["InterfaceType"] == "vpc_endpoint"
    assert [entry["GroupId"] for entry in made["Groups"]] == [group]


def test_interfaces_follow_changes_of_subnets_and_groups(ec2: Any, vpc: str, subnets: list[str]) -> None:
    groups = [
        ec2.create_security_group(GroupName=name, Description="g", VpcId=vpc)["GroupId"] for name in ("one", "two")
    ]
    made = interface(ec2, vpc, SubnetIds=subnets[:1], SecurityGroupIds=groups[:1])["VpcEndpointId"]
    ec2.modify_vpc_endpoint(VpcEndpointId=made, AddSubnetIds=subnets, AddSecurityGroupIds=groups[1:])
    ec2.modify_vpc_endpoint(VpcEndpointId=made, RemoveSubnetIds=subnets[:1], RemoveSecurityGroupIds=groups[:1])
    now = shown(ec2, made)
    assert (now["SubnetIds"], [entry["GroupId"] for entry in now["Groups"]]) == (subnets[1:], groups[1:])
    found = interfaces(ec2, now)
    assert list(found) == subnets[1:]
    assert [entry["GroupId"] for entry in found[subnets[1]]["Groups"]] == groups[1:]
    zones = {entry["DnsName"].split(".")[1][-10:] for entry in now["DnsEntries"][1:] if ".vpce." in entry["DnsName"]}
    assert zones == {f"{REGION}b"}


def test_names_have_the_form_of_awss(ec2: Any, vpc: str, subnets: list[str]) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html."""
    made = interface(ec2, vpc, SubnetIds=subnets, PrivateDnsEnabled=False)
    first, *zonal = [entry["DnsName"] for entry in made["DnsEntries"]]
    label = first.split(".")[1]
    assert label.startswith(f"{made['VpcEndpointId']}-")
    assert first == f"*.{label}.s3.{REGION}.vpce.amazonaws.com"
    assert zonal == [f"*.{label}-{REGION}{zone}.s3.{REGION}.vpce.amazonaws.com" for zone in "ab"]
    sts = interface(ec2, vpc, SubnetIds=subnets, ServiceName=f"com.amazonaws.{REGION}.sts")
    assert sts["DnsEntries"][0]["DnsName"].startswith(f"{sts['VpcEndpointId']}-")
    assert sts["DnsEntries"][0]["DnsName"].endswith(f".sts.{REGION}.vpce.amazonaws.com")


def test_dns_options_and_address_type_are_kept(ec2: Any, vpc: str) -> None:
    table = table_of(ec2, vpc)["RouteTableId"]
    gateway = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=S3, RouteTableIds=[table], IpAddressType="dualstack")
    assert shown(ec2, gateway["VpcEndpoint"]["VpcEndpointId"])["IpAddressType"] == "dualstack"
    made = interface(ec2, vpc, DnsOptions={"DnsRecordIpType": "ipv4", ONLY_INBOUND: False}, PrivateDnsEnabled=True)
    name = made["VpcEndpointId"]
    assert shown(ec2, name)["DnsOptions"] == {"DnsRecordIpType": "ipv4", ONLY_INBOUND: False}
    ec2.modify_vpc_endpoint(VpcEndpointId=name, DnsOptions={"DnsRecordIpType": "dualstack"}, IpAddressType="dualstack")
    now = shown(ec2, name)
    assert (now["DnsOptions"], now["IpAddressType"]) == (
        {"DnsRecordIpType": "dualstack", ONLY_INBOUND: False},
        "dualstack",
    )


def test_private_dns_is_switched_off_and_on(ec2: Any, vpc: str) -> None:
    made = interface(ec2, vpc)
    assert made["PrivateDnsEnabled"] is True
    for wanted in (False, True):
        ec2.modify_vpc_endpoint(VpcEndpointId=made["VpcEndpointId"], PrivateDnsEnabled=wanted)
        now = shown(ec2, made["VpcEndpointId"])
        assert now["PrivateDnsEnabled"] is wanted
        private = {entry["DnsName"] for entry in now["DnsEntries"] if ".vpce." not in entry["DnsName"]}
        hosts = {f"{name}.{REGION}.amazonaws.com" for name in ("s3", "s3-accesspoint", "s3-control")}
        assert private == (hosts | {f"*.{host}" for host in hosts} if wanted else set())


def test_a_policy_is_reset_to_the_default(ec2: Any, vpc: str) -> None:
    made = interface(ec2, vpc, PolicyDocument='{"Statement": []}')["VpcEndpointId"]
    ec2.modify_vpc_endpoint(VpcEndpointId=made, ResetPolicy=True)
    (statement,) = json.loads(shown(ec2, made)["PolicyDocument"])["Statement"]
    assert statement == {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}


@pytest.mark.parametrize(
    "text", ["hello", "[]", "{", '{"Statement": "' + "x" * 20_480 + '"}'], ids=lambda text: text[:9]
)
def test_a_policy_that_is_no_json_object_or_too_long_is_refused(ec2: Any, vpc: str, text: str) -> None:
    found = refusal(ec2.create_vpc_endpoint, VpcId=vpc, ServiceName=S3, PolicyDocument=text)
    assert found[:2] == (400, "InvalidPolicyDocument")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"PrivateDnsEnabled": True}, "endpoint type is Gateway"),
        ({"SubnetIds": ["subnet-1"]}, "type Gateway"),
        ({"SecurityGroupIds": ["sg-1"]}, "type Gateway"),
        ({"VpcEndpointType": "Interface", "RouteTableIds": ["rtb-1"]}, "Route table IDs"),
        (
            {"VpcEndpointType": "Interface", "PrivateDnsEnabled": True, "DnsOptions": {ONLY_INBOUND: True}},
            "must have a Gateway endpoint",
        ),
    ],
)
def test_what_does_not_fit_the_type_is_refused(ec2: Any, vpc: str, given: dict[str, Any], why: str) -> None:
    status, code, message = refusal(ec2.create_vpc_endpoint, VpcId=vpc, ServiceName=S3, **given)
    assert (status, code) == (400, "InvalidParameter")
    assert why in message


def test_private_dns_takes_both_attributes_of_the_vpc(ec2: Any, vpc: str) -> None:
    """https://docs.aws.amazon.com/vpc/latest/privatelink/manage-dns-names.html."""
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": False})
    given = {"VpcId": vpc, "ServiceName": S3, "VpcEndpointType": "Interface"}
    found = refusal(ec2.create_vpc_endpoint, **given, PrivateDnsEnabled=True)
    assert found[:2] == (400, "InvalidParameter")
    assert "requires both enableDnsSupport and enableDnsHostnames" in found[2]
    made = interface(ec2, vpc, PrivateDnsEnabled=False)["VpcEndpointId"]
    assert refusal(ec2.modify_vpc_endpoint, VpcEndpointId=made, PrivateDnsEnabled=True)[1] == "InvalidParameter"


def test_one_vpc_has_one_endpoint_with_the_private_name(ec2: Any, vpc: str) -> None:
    interface(ec2, vpc, PrivateDnsEnabled=True)
    given = {"VpcId": vpc, "ServiceName": S3, "VpcEndpointType": "Interface"}
    _, code, message = refusal(ec2.create_vpc_endpoint, **given, PrivateDnsEnabled=True)
    assert code == "InvalidParameter"
    assert f"conflicting DNS domain for s3.{REGION}.amazonaws.com" in message
    second = interface(ec2, vpc, PrivateDnsEnabled=False)["VpcEndpointId"]
    assert refusal(ec2.modify_vpc_endpoint, VpcEndpointId=second, PrivateDnsEnabled=True)[1] == "InvalidParameter"


def test_inbound_resolvers_only_takes_a_gateway_endpoint_in_the_vpc(ec2: Any, vpc: str) -> None:
    made = interface(ec2, vpc)
    assert made["DnsOptions"][ONLY_INBOUND] is False
    name = made["VpcEndpointId"]
    option = {ONLY_INBOUND: True}
    assert refusal(ec2.modify_vpc_endpoint, VpcEndpointId=name, DnsOptions=option)[1] == "InvalidParameter"
    ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=S3, RouteTableIds=[table_of(ec2, vpc)["RouteTableId"]])
    ec2.modify_vpc_endpoint(VpcEndpointId=name, DnsOptions=option)
    assert shown(ec2, name)["DnsOptions"][ONLY_INBOUND] is True


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"VpcEndpointType": "Bogus"}, "InvalidParameter"),
        ({"ServiceName": "bogus"}, "InvalidServiceName"),
        ({"ServiceName": "com.amazonaws.eu-west-1.s3"}, "InvalidServiceName"),
        ({"VpcId": "vpc-0gone"}, "InvalidVpcID.NotFound"),
        ({"RouteTableIds": ["rtb-0gone"]}, "InvalidRouteTableID.NotFound"),
        ({"VpcEndpointType": "Interface", "SubnetIds": ["subnet-0gone"]}, "InvalidSubnetID.NotFound"),
        ({"VpcEndpointType": "Interface", "SecurityGroupIds": ["sg-0gone"]}, "InvalidGroup.NotFound"),
    ],
)
def test_what_names_nothing_is_refused_and_makes_nothing(ec2: Any, vpc: str, given: dict[str, Any], code: str) -> None:
    before = ec2.describe_vpc_endpoints()["VpcEndpoints"]
    assert refusal(ec2.create_vpc_endpoint, **{"VpcId": vpc, "ServiceName": S3, **given})[:2] == (400, code)
    assert ec2.describe_vpc_endpoints()["VpcEndpoints"] == before


def test_a_change_that_names_nothing_is_refused(ec2: Any, vpc: str) -> None:
    made = interface(ec2, vpc)["VpcEndpointId"]
    change = {"VpcEndpointId": made, "AddSubnetIds": ["subnet-0gone"]}
    assert refusal(ec2.modify_vpc_endpoint, **change)[:2] == (400, "InvalidSubnetID.NotFound")
    gone = {"VpcEndpointId": "vpce-0gone", "PolicyDocument": "{}"}
    assert refusal(ec2.modify_vpc_endpoint, **gone)[:2] == (400, "InvalidVpcEndpointId.NotFound")


def test_endpoints_of_other_types_are_kept_and_lead_nowhere(ec2: Any, vpc: str) -> None:
    service = f"com.amazonaws.vpce.{REGION}.vpce-svc-0abc"
    made = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=service, VpcEndpointType="GatewayLoadBalancer")
    name = made["VpcEndpoint"]["VpcEndpointId"]
    assert shown(ec2, name)["VpcEndpointType"] == "GatewayLoadBalancer"
    described = network(ec2, region=REGION, account_id=MAIN)
    assert described is not None
    assert described.endpoint(name) is None
    ec2.delete_vpc_endpoints(VpcEndpointIds=[name])


def test_odd_rules_of_a_network_acl_do_no_harm(ec2: Any, vpc: str) -> None:
    (acl,) = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]
    rule = {"NetworkAclId": acl["NetworkAclId"], "Protocol": "6", "Egress": True, "PortRange": {"From": 1, "To": 2}}
    ec2.create_network_acl_entry(**rule, RuleNumber=5, RuleAction="Allow", CidrBlock="0.0.0.0/0")
    ec2.create_network_acl_entry(**rule, RuleNumber=6, RuleAction="allow", CidrBlock="bogus")
    assert interface(ec2, vpc)["State"] == "available"
