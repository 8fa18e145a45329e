"""Small networks that EC2 calls make in the lab without sockets, and requests from inside of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.lab.origin import Placement
from pytest_s3vpce.lab.routing import ANY
from tests.unit.labstage import REGION, deny, policy

if TYPE_CHECKING:
    from tests.unit.labstage import Person, Stage

S3 = f"com.amazonaws.{REGION}.s3"


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


def get(person: Person, bucket: str, origin: Placement, *, url: str | None = None, **config: Any) -> bytes:
    # botocore's own host for us-east-1 has no Region in its name, and private DNS does not know it.
    url = url or (None if config else f"https://s3.{REGION}.amazonaws.com")
    client = person.client("s3", origin=origin, url=url, **config)
    body: bytes = client.get_object(Bucket=bucket, Key="k")["Body"].read()
    return body


def path_of(stage: Stage) -> tuple[str, str | None]:
    note = stage.notes[-1]
    return note["path"], note["endpoint"]


def base(endpoint: Any, kind: str = "bucket", *, entry: int = 0) -> str:
    name: str = endpoint["DnsEntries"][entry]["DnsName"]
    return "https://" + name.replace("*", kind)


def seen(
    person: Person, bucket: str, origin: Placement, key: str, value: str | None, *, url: str | None = None
) -> bool:
    """Whether S3 saw exactly this value (None: no value), told by a deny on everything else."""
    other = {"Null": {key: "false"}} if value is None else {"StringNotEquals": {key: value}}
    text = policy(deny("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal="*", Condition=other))
    s3 = person.client("s3")
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    try:
        client = person.client("s3", origin=origin, url=url)
        return bool(client.get_object(Bucket=bucket, Key="k")["Body"].read())
    except client.exceptions.ClientError:
        return False
    finally:
        s3.delete_bucket_policy(Bucket=bucket)
