"""What a client in a subnet meets at the addresses of `s3vpce lab path`, while its network is changed by EC2's API.

Which way a request took is told by what it may read: each object's condition is one way's.
https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html,
https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html,
https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-sourcevpce
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
)

from pytest_s3vpce.lab.client import running_lab
from tests.conformance.conftest import REGION, allow, document

if TYPE_CHECKING:
    from tests.conformance.conftest import Keys, World

S3 = f"com.amazonaws.{REGION}.s3"
CIDR = "10.77"
UNREACHABLE = frozenset({"unreachable"})
NOTHING: frozenset[str] = frozenset()
WITHIN_SECONDS = 3.0


@dataclass
class Net:
    """A VPC with two subnets, a peer of it, and a user whose rights are the ways' alone."""

    world: World
    ec2: Any
    vpc: str
    subnet: str
    outer: str
    table: str
    outer_table: str
    group: str
    bucket: str
    user: Keys

    def path(self, subnet: str = "", group: str = "") -> dict[str, str]:
        lab = running_lab(self.world.ready_file)
        found: dict[str, str] = lab.path(subnet or self.subnet, security_group_ids=[group or self.group])
        return found

    def client(self, url: str | None, **config: Any) -> Any:
        """Of the user's; under S3's own name, where no address is given."""
        at = url or f"https://s3.{REGION}.amazonaws.com"
        return self.world.fresh("s3", self.user, url=at, connect_timeout=0.25, read_timeout=5, **config)

    def open(self, **ways: dict[str, Any]) -> None:
        """The objects named so are for requests that meet the condition."""
        rows = [allow("s3:GetObject", f"{self.bucket}/{way}", Condition=condition) for way, condition in ways.items()]
        principal = {"AWS": self.world.client("sts", self.user).get_caller_identity()["Arn"]}
        self.world.policy(self.bucket, *({**row, "Principal": principal} for row in rows))
        for way in ways:
            self.world.client("s3").put_object(Bucket=self.bucket, Key=way, Body=b"x")


def ways(client: Any, net: Net, *names: str) -> frozenset[str]:
    """Which of these objects it may read."""
    found = set()
    for name in names:
        try:
            client.get_object(Bucket=net.bucket, Key=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise
        except (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError, HTTPClientError):
            return UNREACHABLE
        else:
            found.add(name)
    return frozenset(found)


def assert_ways(client: Any, net: Net, expected: set[str] | frozenset[str], *names: str) -> None:
    """These let the client in, and no others, before long."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while (found := ways(client, net, *names)) != expected:
        assert time.monotonic() < deadline, f"{found} instead of {expected}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def net(world: World) -> Net:
    ec2 = world.client("ec2")
    vpc = ec2.create_vpc(CidrBlock=f"{CIDR}.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnets, tables = [], []
    for number in (1, 2):
        made = ec2.create_subnet(VpcId=vpc, CidrBlock=f"{CIDR}.{number}.0/24", AvailabilityZone=f"{REGION}a")
        subnets.append(made["Subnet"]["SubnetId"])
        tables.append(ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"])
        ec2.associate_route_table(RouteTableId=tables[-1], SubnetId=subnets[-1])
    group = ec2.create_security_group(GroupName="client", Description="-", VpcId=vpc)["GroupId"]
    (subnet, outer), (table, outer_table) = subnets, tables
    return Net(world, ec2, vpc, subnet, outer, table, outer_table, group, world.bucket(), world.user())


def test_a_subnet_without_a_route_reaches_nothing(net: Net) -> None:
    found = net.path()
    for name in ("endpoint_url", "https_endpoint_url"):
        assert ways(net.client(found[name]), net, "any") == UNREACHABLE
    by_proxy = net.client(None, proxies={"https": found["proxy_url"]})
    assert ways(by_proxy, net, "any") == UNREACHABLE


def test_a_gateway_endpoint_is_the_way_of_its_route_tables(net: Net) -> None:
    made = net.ec2.create_vpc_endpoint(VpcId=net.vpc, ServiceName=S3, RouteTableIds=[net.table])["VpcEndpoint"]
    endpoint = made["VpcEndpointId"]
    net.open(
        endpoint={"StringEquals": {"aws:SourceVpce": endpoint}},
        vpc={"StringEquals": {"aws:SourceVpc": net.vpc}},
        private={"IpAddress": {"aws:VpcSourceIp": f"{CIDR}.1.0/24"}},
        public={"Null": {"aws:SourceIp": "false"}},
    )
    names = ("endpoint", "vpc", "private", "public")
    through = {"endpoint", "vpc", "private"}
    found = net.path()
    inside, outside = net.client(found["https_endpoint_url"]), net.client(net.world.url)
    assert_ways(inside, net, through, *names)
    assert_ways(net.client(found["endpoint_url"]), net, through, *names)
    assert_ways(net.client(None, proxies={"https": found["proxy_url"]}), net, through, *names)
    assert ways(outside, net, *names) == {"public"}
    assert ways(net.client(net.path(net.outer)["https_endpoint_url"]), net, *names) == UNREACHABLE

    def policy(*statements: dict[str, Any]) -> None:
        net.ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, PolicyDocument=document(*statements))

    policy(allow("s3:GetObject", f"{net.bucket}/vpc"))
    assert_ways(inside, net, {"vpc"}, *names)
    policy(allow("s3:PutObject", f"{net.bucket}/*"))
    assert_ways(inside, net, NOTHING, *names)
    policy({**allow("*"), "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceAccount": "111122223333"}}})
    assert_ways(inside, net, through, *names)
    net.ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, ResetPolicy=True)
    assert_ways(inside, net, through, *names)
    net.ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, RemoveRouteTableIds=[net.table])
    assert_ways(inside, net, UNREACHABLE, *names)
    net.ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=[net.table])
    assert_ways(inside, net, through, *names)
    _groups_and_lists(net, names, through)
    net.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    assert_ways(inside, net, UNREACHABLE, *names)


def _groups_and_lists(net: Net, names: tuple[str, ...], through: set[str]) -> None:
    """https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html#gateway-endpoint-security"""
    ec2 = net.ec2
    group = ec2.create_security_group(GroupName="narrow", Description="-", VpcId=net.vpc)["GroupId"]
    everything = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    found = net.path(group=group)
    plain, secure = net.client(found["endpoint_url"]), net.client(found["https_endpoint_url"])
    assert ways(secure, net, *names) == UNREACHABLE
    filters = [{"Name": "prefix-list-name", "Values": [S3]}]
    list_id = ec2.describe_managed_prefix_lists(Filters=filters)["PrefixLists"][0]["PrefixListId"]
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": [{"PrefixListId": list_id}]}
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[rule])
    assert_ways(secure, net, through, *names)
    assert ways(plain, net, *names) == UNREACHABLE
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[rule])
    assert_ways(secure, net, UNREACHABLE, *names)
    # https://docs.aws.amazon.com/vpc/latest/userguide/vpc-network-acls.html: they know no state
    wide = net.client(net.path()["https_endpoint_url"])
    lists = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [net.vpc]}])
    acl = lists["NetworkAcls"][0]["NetworkAclId"]
    for egress, low, high in ((True, 443, 443), (False, 1024, 65535)):
        entry = {"NetworkAclId": acl, "RuleNumber": 50, "Egress": egress}
        ports = {"From": low, "To": high}
        ec2.create_network_acl_entry(**entry, Protocol="6", RuleAction="deny", CidrBlock="0.0.0.0/0", PortRange=ports)
        assert_ways(wide, net, UNREACHABLE, *names)
        ec2.delete_network_acl_entry(**entry)
        assert_ways(wide, net, through, *names)


def test_nat_and_internet_gateways_show_their_own_addresses(net: Net) -> None:
    """https://docs.aws.amazon.com/vpc/latest/userguide/vpc-nat-gateway.html"""
    ec2 = net.ec2
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=net.vpc)
    ec2.create_route(RouteTableId=net.outer_table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    address = ec2.allocate_address(Domain="vpc")
    nat = ec2.create_nat_gateway(SubnetId=net.outer, AllocationId=address["AllocationId"])["NatGateway"]["NatGatewayId"]
    net.open(
        nat={"IpAddress": {"aws:SourceIp": address["PublicIp"]}},
        public={"Null": {"aws:SourceIp": "false", "aws:SourceVpce": "true", "aws:SourceVpc": "true"}},
    )
    inside = net.client(net.path()["https_endpoint_url"])
    assert ways(inside, net, "nat", "public") == UNREACHABLE
    ec2.create_route(RouteTableId=net.table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    assert_ways(inside, net, {"nat", "public"}, "nat", "public")
    ec2.delete_route(RouteTableId=net.table, DestinationCidrBlock="0.0.0.0/0")
    assert_ways(inside, net, UNREACHABLE, "nat", "public")
    ec2.modify_subnet_attribute(SubnetId=net.outer, MapPublicIpOnLaunch={"Value": True})
    outer = net.client(net.path(net.outer)["https_endpoint_url"])
    assert_ways(outer, net, {"public"}, "nat", "public")
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=net.vpc)
    assert_ways(outer, net, UNREACHABLE, "nat", "public")


def test_interface_endpoints_by_private_names_and_their_own(net: Net) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html"""
    ec2 = net.ec2
    doors = ec2.create_security_group(GroupName="doors", Description="-", VpcId=net.vpc)["GroupId"]
    made = ec2.create_vpc_endpoint(
        VpcId=net.vpc,
        ServiceName=S3,
        VpcEndpointType="Interface",
        SubnetIds=[net.outer],
        SecurityGroupIds=[doors],
        PrivateDnsEnabled=True,
        DnsOptions={"PrivateDnsOnlyForInboundResolverEndpoint": False},
    )["VpcEndpoint"]
    endpoint, host = made["VpcEndpointId"], made["DnsEntries"][0]["DnsName"].removeprefix("*.")
    net.open(interface={"StringEquals": {"aws:SourceVpce": endpoint, "aws:SourceVpc": net.vpc}})
    found = net.path()
    regional = net.client(found["https_endpoint_url"])
    proxies = {"https": found["proxy_url"]}
    named = net.client(f"https://bucket.{host}", proxies=proxies)
    for client in (regional, named):
        assert ways(client, net, "interface") == UNREACHABLE
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": f"{CIDR}.1.0/24"}]}
    ec2.authorize_security_group_ingress(GroupId=doors, IpPermissions=[rule])
    for client in (regional, named):
        assert_ways(client, net, {"interface"}, "interface")
    assert ways(net.client(found["endpoint_url"]), net, "interface") == UNREACHABLE
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, PolicyDocument=document(allow("s3:PutObject", "*")))
    assert_ways(named, net, NOTHING, "interface")
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, ResetPolicy=True)
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, PrivateDnsEnabled=False)
    assert_ways(regional, net, UNREACHABLE, "interface")
    assert_ways(named, net, {"interface"}, "interface")
    _over_peering(net, host, doors)
    outside = net.client(f"https://bucket.{host}", proxies={"https": net.world.ready["proxy_url"]})
    assert ways(outside, net, "interface") == UNREACHABLE
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    assert_ways(named, net, UNREACHABLE, "interface")


def _over_peering(net: Net, host: str, doors: str) -> None:
    """https://docs.aws.amazon.com/vpc/latest/peering/what-is-vpc-peering.html"""
    ec2 = net.ec2
    vpc = ec2.create_vpc(CidrBlock="10.78.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.78.1.0/24")["Subnet"]["SubnetId"]
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    group = ec2.create_security_group(GroupName="peer", Description="-", VpcId=vpc)["GroupId"]
    there = net.path(subnet, group)
    client = net.client(f"https://bucket.{host}", proxies={"https": there["proxy_url"]})
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.78.0.0/16"}]}
    ec2.authorize_security_group_ingress(GroupId=doors, IpPermissions=[rule])
    assert ways(client, net, "interface") == UNREACHABLE
    peering = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=net.vpc)["VpcPeeringConnection"]
    way = peering["VpcPeeringConnectionId"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=way)
    ec2.create_route(
        RouteTableId=tables[0]["RouteTableId"], DestinationCidrBlock=f"{CIDR}.0.0/16", VpcPeeringConnectionId=way
    )
    assert ways(client, net, "interface") == UNREACHABLE  # nothing leads back yet
    ec2.create_route(RouteTableId=net.outer_table, DestinationCidrBlock="10.78.0.0/16", VpcPeeringConnectionId=way)
    assert_ways(client, net, {"interface"}, "interface")
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=way)
    assert_ways(client, net, UNREACHABLE, "interface")


def test_dualstack_names_sidestep_a_gateway_endpoint_for_ipv4(world: World, net: Net) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/dual-stack-endpoints.html"""
    ec2 = world.client("ec2")
    made = ec2.create_vpc(CidrBlock="10.79.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    vpc, block = made["VpcId"], made["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    six = block.replace("/56", "/64")
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.79.1.0/24", Ipv6CidrBlock=six)["Subnet"]["SubnetId"]
    ec2.modify_subnet_attribute(SubnetId=subnet, AssignIpv6AddressOnCreation={"Value": True})
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    table = tables[0]["RouteTableId"]
    endpoint = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=S3, RouteTableIds=[table])["VpcEndpoint"]["VpcEndpointId"]
    only = ec2.create_egress_only_internet_gateway(VpcId=vpc)["EgressOnlyInternetGateway"]
    ec2.create_route(
        RouteTableId=table,
        DestinationIpv6CidrBlock="::/0",
        EgressOnlyInternetGatewayId=only["EgressOnlyInternetGatewayId"],
    )
    group = ec2.create_security_group(GroupName="six", Description="-", VpcId=vpc)["GroupId"]
    net.open(
        endpoint={"StringEquals": {"aws:SourceVpce": endpoint}},
        six={"IpAddress": {"aws:SourceIp": block}},
    )
    proxies = {"https": net.path(subnet, group)["proxy_url"]}
    plain = net.client(f"https://s3.{REGION}.amazonaws.com", proxies=proxies)
    assert_ways(plain, net, {"endpoint"}, "endpoint", "six")
    dual = net.client(f"https://s3.dualstack.{REGION}.amazonaws.com", proxies=proxies)
    assert_ways(dual, net, {"six"}, "endpoint", "six")
