"""The network on sockets: what an address, a proxy and a function in a subnet come to while EC2 calls change it."""

from __future__ import annotations

import io
import json
import socket
import ssl
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, HTTPClientError, ProxyConnectionError

from pytest_s3vpce.lab.assembly import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIN, REGION, BUCKET = "370000000001", "us-east-1", "lab-ways"
LOST = (ConnectTimeoutError, EndpointConnectionError, HTTPClientError, ProxyConnectionError)
CODE = """
import socket, urllib.error, urllib.request
def handler(event, context):
    try:
        return urllib.request.urlopen(event["url"], timeout=1).status
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError as error:
        return type(error.reason).__name__
    except OSError as error:
        return type(error).__name__
"""


@pytest.fixture(scope="module", name="lab")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(folder=tmp_path_factory.mktemp("lab"), accounts={"main": (MAIN, REGION)})
    yield lab
    lab.close()


def client(lab: Lab, service: str, *, url: str | None = None, **config: Any) -> Any:
    keys = lab.sessions()["main"]
    settings = {"retries": {"total_max_attempts": 1}, "connect_timeout": 0.5, "read_timeout": 3, **config}
    session: Any = boto3
    return session.client(
        service,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        region_name=REGION,
        endpoint_url=url,
        verify=lab.ready({})["ca_bundle"],
        config=Config(**settings),
    )


@pytest.fixture(scope="module", name="network")
def _network(lab: Lab) -> dict[str, Any]:
    """A VPC with one subnet, and a bucket with an object."""
    s3 = client(lab, "s3", url=lab.endpoint_url)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    ec2 = client(lab, "ec2", url=lab.endpoint_url)
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.8.0.0/16"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    table = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"][0]["RouteTableId"]
    return {"ec2": ec2, "vpc": vpc, "subnet": subnet, "group": group, "table": table}


@pytest.fixture(name="endpoint")
def _endpoint(network: dict[str, Any]) -> Iterator[Any]:
    ec2 = network["ec2"]
    made = ec2.create_vpc_endpoint(
        VpcId=network["vpc"],
        ServiceName=f"com.amazonaws.{REGION}.s3",
        VpcEndpointType="Interface",
        SubnetIds=[network["subnet"]],
        SecurityGroupIds=[network["group"]],
        PrivateDnsEnabled=False,
    )["VpcEndpoint"]
    yield made
    ec2.delete_vpc_endpoints(VpcEndpointIds=[made["VpcEndpointId"]])


def host(endpoint: Any) -> str:
    name: str = endpoint["DnsEntries"][0]["DnsName"]
    return name.replace("*", "bucket")


def got(s3: Any) -> bytes:
    body: bytes = s3.get_object(Bucket=BUCKET, Key="k")["Body"].read()
    return body


def last(lab: Lab) -> tuple[str, str | None]:
    note = lab._gateway.notes[-1]
    return note["path"], note["endpoint"]


def test_the_proxy_of_a_subnet_takes_the_endpoints_names(lab: Lab, network: dict[str, Any], endpoint: Any) -> None:
    urls = lab._doors.open(network["subnet"], security_group_ids=[network["group"]]).urls()
    proxies = {"http": urls["proxy_url"], "https": urls["proxy_url"]}
    named = client(lab, "s3", url=f"https://{host(endpoint)}", proxies=proxies)
    assert got(named) == b"x"
    assert last(lab) == ("interface_endpoint", endpoint["VpcEndpointId"])
    regional = client(lab, "s3", url=f"https://s3.{REGION}.amazonaws.com", proxies=proxies)
    with pytest.raises(LOST):
        got(regional)
    network["ec2"].modify_vpc_endpoint(VpcEndpointId=endpoint["VpcEndpointId"], PrivateDnsEnabled=True)
    assert got(regional) == b"x"
    assert last(lab) == ("interface_endpoint", endpoint["VpcEndpointId"])
    network["ec2"].delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])
    for gone in (named, regional):
        with pytest.raises(LOST):
            got(gone)


def test_the_addresses_of_a_subnet_open_and_drop_by_port(lab: Lab, network: dict[str, Any], endpoint: Any) -> None:
    urls = lab._doors.open(network["subnet"], security_group_ids=[network["group"]]).urls()
    plain, secure = (client(lab, "s3", url=urls[name]) for name in ("endpoint_url", "https_endpoint_url"))
    with pytest.raises(LOST):
        got(secure)
    network["ec2"].modify_vpc_endpoint(VpcEndpointId=endpoint["VpcEndpointId"], PrivateDnsEnabled=True)
    assert got(secure) == b"x"
    with pytest.raises(LOST):
        got(plain)  # the endpoint's group lets port 443 in only


@pytest.mark.parametrize("private", [False, True])
def test_an_interface_endpoint_knows_no_tls_1_3(
    lab: Lab, network: dict[str, Any], endpoint: Any, *, private: bool
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html#privatelink-limitations."""
    if private:
        network["ec2"].modify_vpc_endpoint(VpcEndpointId=endpoint["VpcEndpointId"], PrivateDnsEnabled=True)
    urls = lab._doors.open(network["subnet"], security_group_ids=[network["group"]]).urls()
    proxy, trusted = urlsplit(urls["proxy_url"]), lab.ready({})["ca_bundle"]
    name = f"s3.{REGION}.amazonaws.com" if private else host(endpoint)

    def version(newest: ssl.TLSVersion, oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> str | None:
        context = ssl.create_default_context(cafile=trusted)
        context.minimum_version, context.maximum_version = oldest, newest
        with socket.create_connection((proxy.hostname or "", proxy.port or 0), timeout=3) as raw:
            raw.sendall(f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n".encode())
            assert b" 200 " in raw.recv(4096)
            with context.wrap_socket(raw, server_hostname=name) as secured:
                return secured.version()

    assert version(ssl.TLSVersion.TLSv1_3) == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        version(ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)


def zipped(code: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", code)
    return buffer.getvalue()


def test_a_function_meets_timeouts_and_names_that_do_not_resolve(
    lab: Lab, network: dict[str, Any], endpoint: Any
) -> None:
    """One worker throughout: it follows the network while it runs."""
    ec2 = network["ec2"]
    functions = client(lab, "lambda", url=lab.endpoint_url)
    functions.create_function(
        FunctionName="ways",
        Role=_role(lab),
        Runtime="python3.12",
        Handler="index.handler",
        Code={"ZipFile": zipped(CODE)},
        VpcConfig={"SubnetIds": [network["subnet"]], "SecurityGroupIds": [network["group"]]},
    )

    def called(name: str) -> Any:
        payload = json.dumps({"url": f"https://{name}/{BUCKET}/k"})
        return json.loads(functions.invoke(FunctionName="ways", Payload=payload)["Payload"].read())

    regional, named = f"s3.{REGION}.amazonaws.com", host(endpoint)
    assert (called(regional), called(named), called(named.replace("vpce-", "vpce-0", 1))) == (
        "TimeoutError",
        403,
        "gaierror",
    )
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint["VpcEndpointId"], PrivateDnsEnabled=True)
    assert called(regional) == 403
    assert lab._gateway.notes[-2]["path"] == "interface_endpoint"  # the last is that of the invocation
    ec2.modify_vpc_attribute(VpcId=network["vpc"], EnableDnsSupport={"Value": False})
    assert (called(regional), called(named)) == ("gaierror", "gaierror")
    ec2.modify_vpc_attribute(VpcId=network["vpc"], EnableDnsSupport={"Value": True})
    assert called(named) == 403
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])
    assert (called(regional), called(named)) == ("TimeoutError", "gaierror")


def _role(lab: Lab) -> str:
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    }
    iam = client(lab, "iam", url=lab.endpoint_url)
    arn: str = iam.create_role(RoleName="ways", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    return arn
