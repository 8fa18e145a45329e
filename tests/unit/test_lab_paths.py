"""The network of the lab end to end: EC2 calls make it, signed requests take its paths, policies see the keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.lab.origin import Placement
from pytest_s3vpce.lab.routing import ANY
from pytest_s3vpce.lab.wire import Unanswered
from tests.unit.labstage import REGION, Person, Stage, deny, policy, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIN, PARTNER = "340000000001", "340000000002"
BUCKET = "lab-paths"
S3 = f"com.amazonaws.{REGION}.s3"


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


@dataclass(frozen=True)
class Net:
    """A VPC with two subnets in two zones, one route table and a security group."""

    ec2: Any
    account: str
    vpc: str
    a: str
    b: str
    table: str
    group: str
    cidr: str

    def at(self, subnet: str, *, address: str = "", port: int = 443, **more: Any) -> Placement:
        found = address or f"{self.cidr}.{1 if subnet == self.a else 2}.77"
        placement = Placement(
            account=self.account,
            region=REGION,
            subnet_id=subnet,
            security_group_ids=(self.group,),
            private_ip=found,
            **more,
        )
        return placement.at(port, destination=ANY)

    def interface(self, **more: Any) -> Any:
        found = {"SubnetIds": [self.a, self.b], "SecurityGroupIds": [self.group]} | more
        return self.ec2.create_vpc_endpoint(VpcId=self.vpc, ServiceName=S3, VpcEndpointType="Interface", **found)[
            "VpcEndpoint"
        ]

    def gateway(self, **more: Any) -> Any:
        return self.ec2.create_vpc_endpoint(VpcId=self.vpc, ServiceName=S3, RouteTableIds=[self.table], **more)[
            "VpcEndpoint"
        ]

    def let_in(self, cidr: str, port: int = 443) -> None:
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr}]}
        self.ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=[rule])


def make(person: Person, account: str, cidr: str, **more: Any) -> Net:
    ec2 = person.client("ec2")
    vpc = ec2.create_vpc(CidrBlock=f"{cidr}.0.0/16", **more)["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    a, b = (
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"{cidr}.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in ((1, "a"), (2, "b"))
    )
    table = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"][0]["RouteTableId"]
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    return Net(ec2, account, vpc, a, b, table, group, cidr)


@pytest.fixture
def net(admin: Person) -> Net:
    return make(admin, MAIN, "10.1")


def get(person: Person, origin: Placement, *, url: str | None = None, **config: Any) -> bytes:
    # botocore's own host for us-east-1 has no Region in its name, and private DNS does not know it.
    url = url or (None if config else f"https://s3.{REGION}.amazonaws.com")
    client = person.client("s3", origin=origin, url=url, **config)
    body: bytes = client.get_object(Bucket=BUCKET, Key="k")["Body"].read()
    return body


def path_of(stage: Stage) -> tuple[str, str | None]:
    note = stage.notes[-1]
    return note["path"], note["endpoint"]


def base(endpoint: Any, kind: str = "bucket", *, entry: int = 0) -> str:
    name: str = endpoint["DnsEntries"][entry]["DnsName"]
    return "https://" + name.replace("*", kind)


# Names of interface endpoints


def test_the_endpoints_names_lead_through_it_in_all_forms(stage: Stage, admin: Person, net: Net) -> None:
    endpoint = net.interface(PrivateDnsEnabled=False)
    net.let_in("10.1.0.0/16")
    where = net.at(net.a)
    with pytest.raises(Unanswered, match="has no route to it"):
        get(admin, where)
    for style in ("path", "virtual"):
        assert get(admin, where, url=base(endpoint), s3={"addressing_style": style}) == b"x"
        assert path_of(stage) == ("interface_endpoint", endpoint["VpcEndpointId"])
    for entry in range(1, 3):
        assert get(admin, where, url=base(endpoint, entry=entry)) == b"x"
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
    assert get(admin, net.at(net.a), url=base(endpoint)) == b"x"
    assert net.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])["Unsuccessful"] == []
    with pytest.raises(Unanswered, match="does not resolve"):
        get(admin, net.at(net.a), url=base(endpoint))


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
    get(admin, net.at(net.a))
    assert path_of(stage) == ("gateway_endpoint", gateway)
    option = "PrivateDnsOnlyForInboundResolverEndpoint"
    shown = net.ec2.describe_vpc_endpoints(VpcEndpointIds=[interface])["VpcEndpoints"][0]
    assert (shown["PrivateDnsEnabled"], shown["DnsOptions"][option]) == (True, True)
    net.ec2.modify_vpc_endpoint(VpcEndpointId=interface, DnsOptions={option: False})
    get(admin, net.at(net.a))
    assert path_of(stage) == ("interface_endpoint", interface)
    net.ec2.modify_vpc_endpoint(VpcEndpointId=interface, PrivateDnsEnabled=False)
    get(admin, net.at(net.a))
    assert path_of(stage) == ("gateway_endpoint", gateway)


def test_the_vpcs_dns_attributes_count(stage: Stage, admin: Person, net: Net) -> None:
    endpoint = net.interface(PrivateDnsEnabled=True)["VpcEndpointId"]
    net.let_in("10.1.0.0/16")
    get(admin, net.at(net.a))
    assert path_of(stage) == ("interface_endpoint", endpoint)
    net.ec2.modify_vpc_attribute(VpcId=net.vpc, EnableDnsHostnames={"Value": False})
    with pytest.raises(Unanswered, match="no route"):
        get(admin, net.at(net.a))
    net.ec2.modify_vpc_attribute(VpcId=net.vpc, EnableDnsSupport={"Value": False})
    with pytest.raises(Unanswered, match="no name resolves"):
        get(admin, net.at(net.a))


def test_the_endpoints_groups_and_their_ports_count(admin: Person, net: Net) -> None:
    net.interface(PrivateDnsEnabled=True)
    with pytest.raises(Unanswered, match="no ingress rule"):
        get(admin, net.at(net.a))
    net.let_in("10.1.2.0/24")
    with pytest.raises(Unanswered, match="no ingress rule"):
        get(admin, net.at(net.a))
    assert get(admin, net.at(net.b)) == b"x"
    with pytest.raises(Unanswered, match="lets port 80 in"):
        get(admin, net.at(net.b, port=80))


def test_an_endpoint_without_groups_has_the_default_one_which_lets_its_members_in(admin: Person, net: Net) -> None:
    """https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html."""
    net.interface(PrivateDnsEnabled=True, SecurityGroupIds=[])
    with pytest.raises(Unanswered, match="no ingress rule"):
        get(admin, net.at(net.a))
    found = net.ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [net.vpc]}])["SecurityGroups"]
    default = next(group["GroupId"] for group in found if group["GroupName"] == "default")
    placement = net.at(net.a)
    member = Placement(
        account=MAIN, region=REGION, subnet_id=net.a, security_group_ids=(default,), private_ip=placement.private_ip
    )
    assert get(admin, member) == b"x"


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
    sts.get_caller_identity()
    assert path_of(stage) == ("interface_endpoint", endpoint)


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
        get(admin, where, url=url)
    net.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=pcx)
    with pytest.raises(Unanswered, match="no route back"):
        get(admin, where, url=url)
    net.ec2.create_route(RouteTableId=net.table, DestinationCidrBlock="10.2.0.0/16", VpcPeeringConnectionId=pcx)
    assert get(admin, where, url=url) == b"x"
    keys = {
        "aws:SourceVpce": endpoint["VpcEndpointId"],
        "aws:SourceVpc": net.vpc,
        "aws:SourceVpcArn": f"arn:aws:ec2:{REGION}:{MAIN}:vpc/{net.vpc}",
        "aws:VpceAccount": MAIN,
        "aws:VpcSourceIp": where.private_ip,
    }
    for key, value in keys.items():
        assert seen(admin, where, key, value, url=url), key
    assert seen(admin, where, "aws:SourceIp", None, url=url)
    with pytest.raises(Unanswered, match="no route to it"):
        get(admin, where)


def seen(person: Person, origin: Placement, key: str, value: str | None, *, url: str | None = None) -> bool:
    """Whether S3 saw exactly this value (None: no value), told by a deny on everything else."""
    other = {"Null": {key: "false"}} if value is None else {"StringNotEquals": {key: value}}
    text = policy(deny("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*", Principal="*", Condition=other))
    s3 = person.client("s3")
    s3.put_bucket_policy(Bucket=BUCKET, Policy=text)
    try:
        client = person.client("s3", origin=origin, url=url)
        return bool(client.get_object(Bucket=BUCKET, Key="k")["Body"].read())
    except client.exceptions.ClientError:
        return False
    finally:
        s3.delete_bucket_policy(Bucket=BUCKET)


# The internet


def test_a_public_subnet_shows_the_instances_own_address(admin: Person, net: Net) -> None:
    where = net.at(net.a, public_ip="203.0.113.40")
    with pytest.raises(Unanswered, match="no route"):
        get(admin, where)
    gateway = net.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    net.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=net.vpc)
    net.ec2.create_route(RouteTableId=net.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    assert seen(admin, where, "aws:SourceIp", "203.0.113.40")
    assert seen(admin, where, "aws:SourceVpce", None)
    with pytest.raises(Unanswered, match="no public address"):
        get(admin, net.at(net.a))
    net.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=net.vpc)
    with pytest.raises(Unanswered, match="not attached"):
        get(admin, where)


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
    assert seen(admin, net.at(net.a), "aws:SourceIp", address["PublicIp"])
    private = net.ec2.create_nat_gateway(SubnetId=net.b, ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    net.ec2.replace_route(RouteTableId=net.table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=private)
    with pytest.raises(Unanswered, match="has no public address"):
        get(admin, net.at(net.a))
    net.ec2.replace_route(RouteTableId=net.table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat["NatGatewayId"])
    net.ec2.delete_nat_gateway(NatGatewayId=nat["NatGatewayId"])
    with pytest.raises(Unanswered, match="is not available"):
        get(admin, net.at(net.a))


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
    get(admin, where, use_dualstack_endpoint=True)
    assert path_of(stage) == ("gateway_endpoint", endpoint)
    net.ec2.create_route(RouteTableId=net.table, DestinationIpv6CidrBlock="::/0", **target)
    get(admin, where)
    assert path_of(stage) == ("gateway_endpoint", endpoint)
    get(admin, where, use_dualstack_endpoint=True)
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
    name = "lab-paths-far"
    admin.client("s3", region=far).create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": far})
    client = admin.client("s3", origin=net.at(net.a), region=far)
    with pytest.raises(Unanswered, match="no route to it"):
        client.list_objects_v2(Bucket=name)


def test_nobody_comes_to_an_endpoints_name_from_the_internet(admin: Person, net: Net) -> None:
    endpoint = net.interface(PrivateDnsEnabled=False)
    client = admin.client("s3", url=base(endpoint))
    with pytest.raises(Unanswered, match="private addresses only"):
        client.get_object(Bucket=BUCKET, Key="k")
