"""The account state: boto3's own requests in, frozen values out, and moto's differences from AWS put right."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab import faultdocuments, mending, selfcheck, vpcendpoints
from pytest_s3vpce.lab.compute import FunctionSpec
from pytest_s3vpce.lab.origin import Internet
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.resources import FunctionState, PublicAccessBlock, address_in
from pytest_s3vpce.lab.state import State
from pytest_s3vpce.lab.wire import HttpRequest
from pytest_s3vpce.lab.wsgi import run
from pytest_s3vpce.network.path import Destination, Dropped, Path, PathKind, Source, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "eu-west-1"
S3 = Destination(service="s3", region=REGION)


class Account:
    """One account of the state, reached by real boto3 clients whose requests never leave the process."""

    numbers = iter(range(100000000001, 100000001000))

    def __init__(self, state: State) -> None:
        self.state = state
        self.id = str(next(self.numbers))
        self._session: Any = boto3.Session(aws_access_key_id="AKIAX", aws_secret_access_key="x", region_name=REGION)

    def client(self, name: str) -> Any:
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        client = self._session.client(name, endpoint_url="http://127.0.0.1:1", config=config)

        def send(request: Any, **_: object) -> Any:
            answer = self.state.call(name, as_request(request), account=self.id, region=REGION)
            headers: Any = {key.lower(): value for key, value in answer.headers}
            made: Any = AWSResponse(request.url, answer.status, headers, io.BytesIO(answer.body))
            made._content = answer.body
            return made

        client.meta.events.register("before-send.*", send)
        return client

    @property
    def topology(self) -> Any:
        return self.state.topology(self.id, REGION)


def as_request(request: Any) -> HttpRequest:
    parts = urlsplit(request.url)
    body = request.body or b""
    body = body.read() if hasattr(body, "read") else body
    headers = {
        name: value.decode() if isinstance(value, bytes) else str(value) for name, value in request.headers.items()
    }
    return wire(
        request.method,
        parts.path + (f"?{parts.query}" if parts.query else ""),
        body.encode() if isinstance(body, str) else bytes(body),
        **headers,
    )


def wire(method: str, target: str, body: bytes = b"", **headers: str) -> HttpRequest:
    return HttpRequest(
        method=method,
        target=target,
        headers=tuple(headers.items()),
        body=body,
        host="127.0.0.1",
        scheme="http",
        tls=None,
        origin=Internet(),
        peer="127.0.0.1:1",
    )


@pytest.fixture(scope="module")
def state() -> State:
    made = State()
    made.load()
    return made


@pytest.fixture
def account(state: State) -> Account:
    return Account(state)


def code_of(call: Any, **parameters: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], caught.value.response["Error"]["Code"]


# --- the network -----------------------------------------------------------------------------------------------------


@pytest.fixture
def network(account: Account) -> dict[str, str]:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    app, public = (
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24")["Subnet"]["SubnetId"] for number in (1, 2)
    )
    tables = {}
    for name, subnet in (("app", app), ("public", public)):
        tables[name] = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=tables[name], SubnetId=subnet)
    group = ec2.create_security_group(GroupName="probe", Description="-", VpcId=vpc)["GroupId"]
    endpoint = ec2.create_vpc_endpoint(
        VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.s3", RouteTableIds=[tables["app"]]
    )["VpcEndpoint"]
    assert endpoint["VpcEndpointType"] == "Gateway"
    names = {"vpc": vpc, "app": app, "public": public, "group": group, "endpoint": endpoint["VpcEndpointId"]}
    return names | {f"{name}_table": table for name, table in tables.items()}


def way(account: Account, network: dict[str, str], to: Destination = S3) -> Path | Dropped:
    source = Source(subnet_id=network["app"], security_group_ids=(network["group"],), private_ip="10.0.1.5")
    return resolve(account.topology, source=source, destination=to)


def test_a_gateway_endpoint_is_the_path_of_the_subnets_that_its_tables_serve(
    account: Account, network: dict[str, str]
) -> None:
    found = way(account, network)
    assert isinstance(found, Path)
    assert found.context() == {
        "aws:SourceVpce": network["endpoint"],
        "aws:SourceVpc": network["vpc"],
        "aws:SourceVpcArn": f"arn:aws:ec2:{REGION}:{account.id}:vpc/{network['vpc']}",
        "aws:VpcSourceIp": "10.0.1.5",
        "aws:VpceAccount": account.id,
    }
    assert found.endpoint is not None
    assert json.loads(found.endpoint.policy or "") == json.loads(vpcendpoints.DEFAULT_POLICY)


def test_modify_vpc_endpoint_takes_tables_away_and_gives_them_back(account: Account, network: dict[str, str]) -> None:
    ec2 = account.client("ec2")
    tables = [network["app_table"]]

    def routes() -> list[str]:
        found = ec2.describe_route_tables(RouteTableIds=tables)["RouteTables"][0]["Routes"]
        return [route["GatewayId"] for route in found]

    assert routes() == ["local", network["endpoint"]]
    ec2.modify_vpc_endpoint(VpcEndpointId=network["endpoint"], RemoveRouteTableIds=tables)
    assert isinstance(way(account, network), Dropped)
    assert routes() == ["local"]
    ec2.modify_vpc_endpoint(VpcEndpointId=network["endpoint"], AddRouteTableIds=tables)
    assert isinstance(way(account, network), Path)
    assert routes() == ["local", network["endpoint"]]
    refused = code_of(
        ec2.modify_vpc_endpoint, VpcEndpointId=network["endpoint"], AddRouteTableIds=["rtb-11111111111111111"]
    )
    assert refused == (400, "InvalidRouteTableID.NotFound")


def test_an_endpoints_policy_is_set_read_and_reset(account: Account, network: dict[str, str]) -> None:
    ec2 = account.client("ec2")
    policy = '{"Statement": []}'
    ec2.modify_vpc_endpoint(VpcEndpointId=network["endpoint"], PolicyDocument=policy)
    assert account.topology.endpoint(network["endpoint"]).policy == policy
    ec2.modify_vpc_endpoint(VpcEndpointId=network["endpoint"], ResetPolicy=True)
    found = ec2.describe_vpc_endpoints(VpcEndpointIds=[network["endpoint"]])["VpcEndpoints"][0]["PolicyDocument"]
    assert json.loads(found)["Statement"][0]["Action"] == "*"


@pytest.mark.parametrize("text", ["hello", "[]", "[" * 100_000])
def test_an_endpoint_policy_that_is_no_json_object_is_refused(
    account: Account, network: dict[str, str], text: str
) -> None:
    call = account.client("ec2").modify_vpc_endpoint
    assert code_of(call, VpcEndpointId=network["endpoint"], PolicyDocument=text) == (400, "InvalidPolicyDocument")


def test_a_deleted_endpoint_is_gone(account: Account, network: dict[str, str]) -> None:
    account.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[network["endpoint"]])
    assert account.topology.endpoint(network["endpoint"]) is None
    assert isinstance(way(account, network), Dropped)


def test_an_interface_endpoint_has_private_dns_as_it_was_made(account: Account, network: dict[str, str]) -> None:
    ec2 = account.client("ec2")
    made = ec2.create_vpc_endpoint(
        VpcId=network["vpc"],
        ServiceName=f"com.amazonaws.{REGION}.s3",
        VpcEndpointType="Interface",
        SubnetIds=[network["app"]],
        PrivateDnsEnabled=False,
    )["VpcEndpoint"]["VpcEndpointId"]
    found = way(account, network)
    assert isinstance(found, Path)
    assert found.kind is PathKind.GATEWAY_ENDPOINT
    assert account.topology.endpoint(made).private_dns is False
    ec2.modify_vpc_endpoint(VpcEndpointId=made, PolicyDocument="{}")
    assert account.topology.endpoint(made).policy == "{}"


def test_nat_gives_its_address_and_other_regions_go_that_way(account: Account, network: dict[str, str]) -> None:
    ec2 = account.client("ec2")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=network["vpc"])
    ec2.create_route(RouteTableId=network["public_table"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    address = ec2.allocate_address(Domain="vpc")
    nat = ec2.create_nat_gateway(SubnetId=network["public"], AllocationId=address["AllocationId"])["NatGateway"]
    ec2.create_route(
        RouteTableId=network["app_table"], DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat["NatGatewayId"]
    )
    elsewhere = Destination(service="s3", region="us-east-1")
    found = way(account, network, elsewhere)
    assert isinstance(found, Path)
    assert found.context() == {"aws:SourceIp": address["PublicIp"]}
    ec2.delete_nat_gateway(NatGatewayId=nat["NatGatewayId"])
    assert isinstance(way(account, network, elsewhere), Dropped)


def test_egress_rules_are_read_with_ports_and_prefix_lists(account: Account, network: dict[str, str]) -> None:
    ec2 = account.client("ec2")
    group = network["group"]
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    assert isinstance(way(account, network), Dropped)
    listed = account.topology.prefix_list_of("s3")
    assert listed is not None
    prefix_list = listed.id
    only = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": [{"PrefixListId": prefix_list}]}
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[only])
    assert isinstance(way(account, network), Path)
    assert isinstance(way(account, network, Destination(service="s3", region=REGION, port=80)), Dropped)


def test_network_acls_are_read_as_they_stand(account: Account, network: dict[str, str]) -> None:
    ec2 = account.client("ec2")
    found = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [network["vpc"]]}])["NetworkAcls"]
    rule = {"NetworkAclId": found[0]["NetworkAclId"], "RuleNumber": 50, "Protocol": "6", "CidrBlock": "0.0.0.0/0"}
    assert isinstance(way(account, network), Path)
    ec2.create_network_acl_entry(**rule, RuleAction="deny", Egress=True, PortRange={"From": 443, "To": 443})
    dropped = way(account, network)
    assert isinstance(dropped, Dropped)
    assert "lets port 443 not out" in dropped.reason
    assert isinstance(way(account, network, Destination(service="s3", region=REGION, port=80)), Path)
    ec2.delete_network_acl_entry(NetworkAclId=rule["NetworkAclId"], RuleNumber=50, Egress=True)
    ec2.create_network_acl_entry(**rule, RuleAction="deny", Egress=False, PortRange={"From": 1024, "To": 65535})
    assert isinstance(way(account, network), Dropped)


def test_changes_of_the_network_are_told_and_mere_looks_are_not(account: Account) -> None:
    told: list[int] = []
    account.state.on_network_change(lambda: told.append(1))
    before = account.topology
    account.client("ec2").describe_vpcs()
    account.client("s3").list_buckets()
    assert (told, account.topology is before) == ([], True)
    account.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")
    assert (told, account.topology is before) == ([1], False)


def test_a_region_that_does_not_exist_is_an_error(state: State) -> None:
    with pytest.raises(LabError, match="`xx-none-1` is no Region"):
        state.topology("111111111111", "xx-none-1")


@pytest.mark.parametrize(
    ("service", "status", "told"),
    [
        ("ec2", 401, b"AWS was not able to validate the provided access credentials"),
        ("lambda", 403, b"Credential should be scoped to a valid region."),
        ("iam", 403, b"Credential should be scoped to a valid region."),
    ],
)
def test_a_request_to_a_region_that_does_not_exist_is_refused(
    state: State, service: str, status: int, told: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    request = wire("POST", "/", b"Action=DescribeSubnets&Version=2016-11-15")
    answer = state.call(service, request, account="111111111111", region="xx-none-1")
    assert answer.status == status
    assert told in answer.body
    assert not caplog.records


# --- S3 --------------------------------------------------------------------------------------------------------------


def test_a_new_bucket_is_as_aws_makes_it(account: Account) -> None:
    s3 = account.client("s3")
    name = f"new-{account.id}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    found = account.state.bucket(name)
    assert found is not None
    assert (found.account, found.region, found.policy, found.versioned) == (account.id, REGION, None, False)
    assert found.ownership == "BucketOwnerEnforced"
    assert found.public_access_block == PublicAccessBlock(
        block_public_acls=True, ignore_public_acls=True, block_public_policy=True, restrict_public_buckets=True
    )
    rule = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert account.state.bucket("nobodys") is None


def test_a_buckets_settings_are_read(account: Account) -> None:
    s3 = account.client("s3")
    name = f"set-{account.id}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.delete_public_access_block(Bucket=name)
    s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_policy(Bucket=name, Policy='{"Statement": []}')
    found = account.state.bucket(name)
    assert found is not None
    assert (found.public_access_block, found.ownership, found.versioned, found.policy) == (
        None,
        "ObjectWriter",
        True,
        '{"Statement": []}',
    )


def test_no_bucket_policy_is_decided_on_behind_the_lab(account: Account) -> None:
    s3 = account.client("s3")
    name = f"deny-{account.id}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{name}/*"}
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"x"


def test_objects_versions_and_uploads_are_found(account: Account) -> None:
    s3, state = account.client("s3"), account.state
    name = f"objects-{account.id}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=name, Key="a/ö +", Body=b"x")
    assert state.object_etag(name, "a/ö +") == first["ETag"]
    s3.delete_object(Bucket=name, Key="a/ö +")
    assert not state.object_exists(name, "a/ö +")
    assert state.object_exists(name, "a/ö +", version=first["VersionId"])
    assert state.object_etag(name, "a/ö +", version="none") is None
    assert not state.object_exists("nobodys", "a")
    upload = s3.create_multipart_upload(Bucket=name, Key="big")["UploadId"]
    assert state.upload_exists(name, "big", upload)
    assert not state.upload_exists(name, "other", upload)
    assert not state.upload_exists(name, "big", "none")
    assert not state.upload_exists("nobodys", "big", upload)


def test_the_accounts_own_block_is_read(account: Account) -> None:
    assert account.state.account_public_access_block(account.id, REGION) is None
    target, body = "/v20180820/configuration/publicAccessBlock", b"<PublicAccessBlockConfiguration><BlockPublicPolicy>"
    body += b"true</BlockPublicPolicy></PublicAccessBlockConfiguration>"
    request = wire("PUT", target, body, **{"x-amz-account-id": account.id})
    assert account.state.call("s3control", request, account=account.id, region=REGION).status < 300
    found = account.state.account_public_access_block(account.id, REGION)
    assert found == PublicAccessBlock(block_public_policy=True)


def test_a_body_sent_as_a_form_is_kept(account: Account) -> None:
    s3 = account.client("s3")
    name = f"form-{account.id}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    request = wire("PUT", f"/{name}/k", b"a=b&c", **headers)
    assert account.state.call("s3", request, account=account.id, region=REGION).status == 200
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"a=b&c"


def test_the_account_is_the_one_decided_on_whatever_the_client_says(account: Account) -> None:
    other = Account(account.state)
    account.client("s3").create_bucket(
        Bucket=f"mine-{account.id}", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    for name in ("X-Moto-Account-Id", "x_moto_account_id"):
        request = wire("GET", "/", b"", **{name: account.id})
        answer = other.state.call("s3", request, account=other.id, region=REGION)
        assert (answer.status, b"mine-" in answer.body) == (200, False)


def test_target_body_and_headers_are_overridden(account: Account) -> None:
    s3 = account.client("s3")
    name = f"over-{account.id}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    request = wire("PUT", "/k?X-Amz-Signature=1&X-Amz-Expires=5", b"sent", **{"x-amz-meta-a": "1", "x-amz-meta-b": "2"})
    answer = account.state.call(
        "s3",
        request,
        account=account.id,
        region=REGION,
        target=f"/{name}/k",
        body=b"instead",
        headers={"X-Amz-Meta-A": None, "x-amz-meta-c": "3"},
    )
    assert answer.status == 200
    found = s3.get_object(Bucket=name, Key="k")
    assert (found["Body"].read(), found["Metadata"]) == (b"instead", {"b": "2", "c": "3"})


# --- IAM -------------------------------------------------------------------------------------------------------------

TRUST = '{"Version": "2012-10-17", "Statement": []}'
READ = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}'
LIST = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}]}'


def test_a_roles_policies_trust_and_boundary_are_read(account: Account) -> None:
    iam, state = account.client("iam"), account.state
    managed = iam.create_policy(PolicyName="own", PolicyDocument=READ)["Policy"]["Arn"]
    made = iam.create_role(
        RoleName="app",
        Path="/team/",
        AssumeRolePolicyDocument=TRUST,
        PermissionsBoundary=managed,
        MaxSessionDuration=7200,
        Tags=[{"Key": "team", "Value": "a"}],
    )["Role"]
    iam.put_role_policy(RoleName="app", PolicyName="inline", PolicyDocument=LIST)
    iam.attach_role_policy(RoleName="app", PolicyArn=managed)
    iam.attach_role_policy(RoleName="app", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.create_policy_version(PolicyArn=managed, PolicyDocument=LIST, SetAsDefault=True)
    found = state.role(made["Arn"])
    assert found is not None
    assert (found.name, found.path, found.id, found.account) == ("app", "/team/", made["RoleId"], account.id)
    assert (found.max_session_seconds, found.tags) == (7200, (("team", "a"),))
    assert state.trust_policy(made["Arn"]) == TRUST
    assert state.boundary(made["Arn"]) == (managed, LIST)
    policies = dict(state.identity_policies(made["Arn"]) or ())
    assert (policies["inline"], policies[managed]) == (LIST, LIST)
    assert "s3:Get*" in policies["arn:aws:iam::aws:policy/ReadOnlyAccess"]


def test_a_boundary_that_does_not_exist_allows_nothing(account: Account) -> None:
    missing = f"arn:aws:iam::{account.id}:policy/missing"
    made = account.client("iam").create_role(
        RoleName="bound", AssumeRolePolicyDocument=TRUST, PermissionsBoundary=missing
    )["Role"]["Arn"]
    found = account.state.boundary(made)
    assert found is not None
    assert (found[0], json.loads(found[1])["Statement"]) == (missing, [])


def test_a_users_policies_come_from_its_groups_too(account: Account) -> None:
    iam, state = account.client("iam"), account.state
    user = iam.create_user(UserName="ann", Tags=[{"Key": "a", "Value": "b"}])["User"]
    iam.put_user_policy(UserName="ann", PolicyName="own", PolicyDocument=READ)
    for group in ("hers", "others"):
        iam.create_group(GroupName=group)
        iam.put_group_policy(GroupName=group, PolicyName=group, PolicyDocument=LIST)
    iam.add_user_to_group(UserName="ann", GroupName="hers")
    assert state.identity_policies(user["Arn"]) == (("own", READ), ("hers", LIST))
    assert state.boundary(user["Arn"]) is None
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    found = state.access_key(key["AccessKeyId"])
    assert found is not None
    assert (found.secret, found.account, found.user_arn) == (key["SecretAccessKey"], account.id, user["Arn"])
    assert found.tags == (("a", "b"),)
    assert key["SecretAccessKey"] not in repr(found)
    iam.update_access_key(UserName="ann", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert state.access_key(key["AccessKeyId"]) is None


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::111111111111:role/none",
        "arn:aws:iam::111111111111:user/none",
        "arn:aws:iam::111111111111:root",
        "arn:aws:sts::111111111111:assumed-role/a/b",
        "arn:nowhere:iam::111111111111:role/a",
        "arn:aws:iam::1:role/a",
        "none",
        "",
    ],
)
def test_who_does_not_exist_is_none(state: State, arn: str) -> None:
    assert state.identity_policies(arn) is None
    assert state.role(arn) is None
    assert state.trust_policy(arn) is None
    assert state.boundary(arn) is None


def test_a_role_is_found_by_its_whole_arn(account: Account) -> None:
    account.client("iam").create_role(RoleName="deep", Path="/x/", AssumeRolePolicyDocument=TRUST)
    assert account.state.role(f"arn:aws:iam::{account.id}:role/x/deep") is not None
    assert account.state.role(f"arn:aws:iam::{account.id}:role/deep") is None


def test_an_account_has_its_runner(account: Account) -> None:
    keys = account.state.make_account(account.id, REGION)
    assert keys.role == f"arn:aws:iam::{account.id}:role/s3vpce-runner"
    role = account.state.role(keys.role)
    assert role is not None
    principal = json.loads(role.trust_policy)["Statement"][0]["Principal"]
    assert principal == {"AWS": f"arn:aws:iam::{account.id}:root"}
    assert dict(account.state.identity_policies(keys.role) or ()).keys() == {
        "arn:aws:iam::aws:policy/AdministratorAccess"
    }
    user = account.state.access_key(keys.access_key_id)
    assert user is not None
    policies = account.state.identity_policies(user.user_arn)
    assert policies is not None
    assert json.loads(policies[0][1])["Statement"][0]["Action"] == ["sts:AssumeRole", "sts:GetCallerIdentity"]
    assert keys.secret_access_key not in repr(keys)


def test_accounts_stand_in_the_partition_of_their_region(state: State) -> None:
    keys = state.make_account("333333333333", "cn-north-1")
    assert keys.role == "arn:aws-cn:iam::333333333333:role/s3vpce-runner"
    assert state.identity_policies(keys.role)


# --- Lambda ----------------------------------------------------------------------------------------------------------


def package() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): return 1")
    return data.getvalue()


@pytest.fixture
def function(account: Account) -> dict[str, Any]:
    role = account.client("iam").create_role(RoleName="fn", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    return {
        "FunctionName": "probe",
        "Runtime": "python3.12",
        "Role": role,
        "Handler": "index.handler",
        "Code": {"ZipFile": package()},
        "Environment": {"Variables": {"B": "2", "A": "1"}},
    }


def test_a_function_is_read_with_its_network(
    account: Account, network: dict[str, str], function: dict[str, Any]
) -> None:
    config = {"SubnetIds": [network["app"]], "SecurityGroupIds": [network["group"]]}
    made = account.client("lambda").create_function(**function, VpcConfig=config)
    assert made["VpcConfig"]["VpcId"] == network["vpc"]
    found = account.state.function(account.id, REGION, "probe")
    assert found is not None
    assert (found.spec.zip, found.spec.arn) == (function["Code"]["ZipFile"], made["FunctionArn"])
    assert found.spec.environment == (("A", "1"), ("B", "2"))
    assert (found.subnet_ids, found.security_group_ids) == ((network["app"],), (network["group"],))
    placement = found.placement(account.topology)
    assert placement is not None
    assert placement.private_ip.startswith("10.0.1.")
    assert placement == found.placement(account.topology)
    for name in (made["FunctionArn"], f"{account.id}:function:probe", f"{made['FunctionArn']}:$LATEST"):
        assert account.state.function(account.id, REGION, name) == found
    assert account.state.function(account.id, REGION, "other") is None
    assert account.state.function(account.id, "xx-none-1", "probe") is None


def test_a_function_outside_of_vpcs_has_no_placement(account: Account, function: dict[str, Any]) -> None:
    made = account.client("lambda").create_function(**function)
    assert "VpcConfig" not in made
    found = account.state.function(account.id, REGION, "probe")
    assert found is not None
    assert found.placement(account.topology) is None


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        (
            {"SubnetIds": ["subnet-gone"]},
            "InvalidSubnetID.NotFound. EC2 Error Message: The subnet ID 'subnet-gone' does not exist",
        ),
        (
            {"SecurityGroupIds": ["sg-gone"]},
            "InvalidGroup.NotFound. EC2 Error Message: The security group 'sg-gone' does not exist",
        ),
    ],
)
def test_a_function_in_a_network_that_is_not_there_is_refused(
    account: Account,
    network: dict[str, str],
    function: dict[str, Any],
    gone: dict[str, list[str]],
    words: str,
) -> None:
    config = {"SubnetIds": [network["app"]], "SecurityGroupIds": [network["group"]], **gone}
    client = account.client("lambda")
    with pytest.raises(client.exceptions.InvalidParameterValueException, match=words):
        client.create_function(**function, VpcConfig=config)
    client.create_function(**function)
    with pytest.raises(client.exceptions.InvalidParameterValueException, match=words):
        client.update_function_configuration(FunctionName="probe", VpcConfig=config)


@pytest.mark.parametrize("body", [b'{"VpcConfig', b'["VpcConfig"]', b'{"VpcConfig": null}', b'{"VpcConfig": 5}'])
def test_a_body_that_names_no_network_is_not_judged(body: bytes) -> None:
    def topology() -> Any:
        raise AssertionError

    mending.check_function_network(body, topology=topology)


def test_an_address_lies_in_the_subnet_and_not_at_its_reserved_ends() -> None:
    taken = {address_in("10.0.0.0/28", seed=str(seed)) for seed in range(500)}
    assert taken == {f"10.0.0.{number}" for number in range(4, 15)}
    assert address_in("10.0.0.1/32", seed="a") == "10.0.0.1"


def test_a_subnet_that_is_gone_still_gives_a_placement(state: State) -> None:
    account = Account(state)
    spec = FunctionSpec(
        account=account.id, region=REGION, name="f", arn="a", zip=b"", sha256="", handler="h", role_arn="r"
    )
    placement = FunctionState(spec=spec, subnet_ids=("subnet-gone",)).placement(account.topology)
    assert placement is not None
    assert placement.subnet_id == "subnet-gone"


# --- what is not served ----------------------------------------------------------------------------------------------


def test_what_is_not_served_is_a_typed_501_at_once(account: Account) -> None:
    ec2 = account.client("ec2")
    call = ec2.create_network_insights_path
    assert code_of(call, Source="eni-1", Destination="eni-2", Protocol="tcp") == (501, "NotImplemented")
    assert code_of(account.client("accessanalyzer").list_analyzers) == (501, "NotImplemented")
    assert code_of(account.client("autoscaling").describe_adjustment_types) == (501, "NotImplemented")
    assert code_of(account.client("cloudtrail").lookup_events) == (501, "NotImplemented")


def test_a_failure_in_the_state_is_an_answer_of_the_services_kind(
    account: Account, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> Iterator[bytes]:
        raise ZeroDivisionError

    account.client("s3").list_buckets()
    monkeypatch.setitem(account.state._services._apps, "s3", fail)
    assert code_of(account.client("s3").list_buckets) == (500, "InternalError")
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("service", "headers", "start"),
    [
        ("s3", {}, "<Error><Code>Teapot</Code><Message>a &amp; b</Message><Detail>&lt;</Detail>"),
        ("s3control", {}, "<ErrorResponse><Error><Type>Sender</Type><Code>Teapot</Code><Message>a &amp; b</Message>"),
        ("ec2", {}, "<Response><Errors><Error><Code>Teapot</Code><Message>a &amp; b</Message></Error></Errors>"),
        ("rds", {"Content-Type": "application/x-www-form-urlencoded"}, "<ErrorResponse><Error><Type>Sender</Type>"),
        ("kms", {"X-Amz-Target": "TrentService.Encrypt"}, '{"__type": "Teapot", "message": "a & b"'),
        ("accessanalyzer", {}, '{"__type": "Teapot", "message": "a & b"'),
    ],
)
def test_a_refusal_is_worded_as_its_service_does(service: str, headers: dict[str, str], start: str) -> None:
    refused = Refused("Teapot", status=418, message="a & b", details=(("Detail", "<"),))
    answer = faultdocuments.document(refused, service=service, request=wire("POST", "/", b"", **headers))
    text = answer.body.decode().removeprefix('<?xml version="1.0" encoding="UTF-8"?>\n')
    assert (answer.status, text[: len(start)]) == (418, start)


def test_a_policy_kept_as_it_was_parsed_is_read_as_text(account: Account, network: dict[str, str]) -> None:
    endpoints = account.state.backends("ec2")[account.id][REGION].vpc_end_points
    endpoints[network["endpoint"]].policy_document = {"Statement": []}
    found = account.state.read_topology(account.id, REGION).endpoint(network["endpoint"])
    assert found is not None
    assert found.policy == '{"Statement": []}'


def test_a_services_body_is_closed_whatever_it_is() -> None:
    def application(_: object, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("A", "b")])(b"")
        return [b"x", b"y"]

    answer = run(application, {})
    assert (answer.status, answer.headers, answer.body) == (200, (("A", "b"),), b"xy")


# --- the self-check --------------------------------------------------------------------------------------------------


def test_this_version_of_moto_is_read_rightly_and_the_check_leaves_nothing(state: State) -> None:
    assert state.self_check() == []
    assert state.bucket("s3vpce-self-check") is None


def test_what_an_upgrade_breaks_is_named(monkeypatch: pytest.MonkeyPatch, state: State) -> None:
    def broken(_: State) -> dict[str, bool]:
        raise AttributeError("no attribute `vpcs`")

    checks = {"network": broken, "buckets": lambda _: {"owner": False, "objects": True}}
    monkeypatch.setattr(selfcheck, "_CHECKS", checks)
    assert state.self_check() == ["network: AttributeError: no attribute `vpcs`", "buckets: owner"]


def test_instances_are_started_once_under_one_client_token(account: Account) -> None:
    """https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html"""
    ec2, iam = account.client("ec2"), account.client("iam")
    iam.create_instance_profile(InstanceProfileName="probe")
    one = {"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1, "IamInstanceProfile": {"Name": "probe"}}
    first, again = (ec2.run_instances(**one, ClientToken="t")["Instances"][0]["InstanceId"] for _ in range(2))
    assert first == again
    others = {ec2.run_instances(**one)["Instances"][0]["InstanceId"] for _ in range(2)}  # each with a token of its own
    others |= {ec2.run_instances(**one, ClientToken="")["Instances"][0]["InstanceId"] for _ in range(2)}
    assert len(others - {first}) == 4
    changed = {**one, "InstanceType": "t3.micro", "ClientToken": "t"}
    assert code_of(ec2.run_instances, **changed) == (400, "IdempotentParameterMismatch")
    ec2.terminate_instances(InstanceIds=[first])
    assert code_of(ec2.run_instances, **one, ClientToken="t") == (400, "IdempotentInstanceTerminated")
    assert code_of(ec2.run_instances, **one, ClientToken="dry", DryRun=True) == (412, "DryRunOperation")
    assert ec2.run_instances(**one, ClientToken="dry")["Instances"][0]["InstanceId"] != first
