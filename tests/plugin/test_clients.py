"""boto3 and requests through vantage points: the same results as directly, and on the run's record."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from pytest_s3vpce.lab.process import start_lab

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs" / "clients.md"
EXAMPLE = HERE.parent.parent / "examples" / "endpoint_only" / "provision.py"
INVENTORY = """
accounts:
  main: {id: "111122223333", profile: staging, region: eu-west-1}
principals:
  app:       {role: "${out:AppRole}"}
  own:       {ambient: true}
  anonymous: {anonymous: true}
  link:      {presigned: {by: app}}
vantage_points:
  app-subnet: {lambda: {subnets: ["${out:Subnet}"], security_groups: ["${out:Group}"], role: "${out:ProbeRole}"}}
  shell:    {command: [python3, "-I", "-S", "-"]}
  internet: local
buckets:
  reports: {name: "${out:Box}", canary: .s3vpce/canary}
controls:
  main: {name: "${out:Control}", canary: .s3vpce/canary}
allow_hosts: [127.0.0.1]
lab:
  provision: provision.py
"""
PROVISION = """
WHOLE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
ANYONE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
NETWORK = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface"]


def provision(accounts):
    main = accounts["main"]
    box, control = (f"{name}-{account_id(main)}" for name in ("reports", "control"))
    main.client("s3").create_bucket(Bucket=box, CreateBucketConfiguration={"LocationConstraint": main.region_name})
    bucket(main, control)
    network = main_network(main)
    ec2 = main.client("ec2")
    tables = ec2.describe_route_tables(Filters=[{"Name": "association.subnet-id", "Values": [network["nat_subnet"]]}])
    endpoint = gateway_endpoint(main, network["vpc"], [tables["RouteTables"][0]["RouteTableId"]], ANYONE)
    iam = main.client("iam")
    probe = iam.create_role(RoleName="probe", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    rights = {"Effect": "Allow", "Action": [*NETWORK, "s3:*"], "Resource": "*"}
    iam.put_role_policy(
        RoleName="probe", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [rights]})
    )
    return {
        "AppRole": role(main, "app", WHOLE),
        "ProbeRole": probe,
        "Subnet": network["nat_subnet"],
        "Group": network["group"],
        "Box": box,
        "Control": control,
        "Vpc": network["vpc"],
        "Endpoint": endpoint,
        "Address": ec2.describe_nat_gateways()["NatGateways"][0]["NatGatewayAddresses"][0]["PublicIp"],
    }
"""

ONLY_THROUGH_ENDPOINTS = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": ["arn:aws:s3:::reports-111122223333", "arn:aws:s3:::reports-111122223333/*"],
            "Condition": {
                "Null": {"aws:SourceVpce": "true"},
                "ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/app"},
            },
        }
    ],
}


def ready(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def administrator(file: Path) -> Any:
    row = ready(file)["accounts"]["main"]
    keys = {name: row[name.removeprefix("aws_")] for name in ("aws_access_key_id", "aws_secret_access_key")}
    return boto3.Session(**keys, region_name="eu-west-1")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A folder with an inventory, and a running lab with what it names."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "s3vpce.yaml").write_text(INVENTORY, encoding="utf-8")
    text = EXAMPLE.read_text(encoding="utf-8") + PROVISION
    (folder / "provision.py").write_text(text, encoding="utf-8")
    shutil.copy(HERE / "boto_calls.py", folder)
    lab = start_lab(folder / "lab", accounts={"main": ("111122223333", "eu-west-1")}, provision=folder / "provision.py")
    try:
        yield folder, lab.ready_file
    finally:
        lab.stop()


def run(world: tuple[Path, Path], pytester: pytest.Pytester, code: str, *options: str) -> pytest.RunResult:
    folder, ready_file = world
    shutil.copytree(folder, pytester.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("lab"))
    pytester.makepyfile(test_code=code)
    return pytester.runpytest_subprocess(f"--s3vpce-lab-ready={ready_file}", *options, timeout=120)


SAME = """
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from boto_calls import calls
from pytest_s3vpce.accounts import SessionKind


def direct(s3vpce, service):
    operator = s3vpce._session.operator
    session = operator.accounts.signed_session(SessionKind("app"), region="eu-west-1")
    return operator.environment.connection.client(session, service)


@pytest.fixture(scope="module")
def wanted(s3vpce, tmp_path_factory):
    clients = [direct(s3vpce, name) for name in ("s3", "sts")]
    return calls(*clients, bucket=s3vpce.bucket("reports").name, folder=tmp_path_factory.mktemp("direct"))


@pytest.mark.parametrize("vantage", ["internet", "app-subnet", "shell"])
def test_same(s3vpce, wanted, vantage, tmp_path):
    clients = [s3vpce.client(name, principal="app", vantage=vantage) for name in ("s3", "sts")]
    found = calls(*clients, bucket=s3vpce.bucket("reports").name, folder=tmp_path)
    assert len(found) > 45
    for mine, other in zip(found, wanted, strict=True):
        assert mine == other
"""


def test_boto3_gives_the_same_from_everywhere(world: tuple[Path, Path], pytester: pytest.Pytester) -> None:
    result = run(world, pytester, SAME, "--s3vpce-report=report.json")
    result.assert_outcomes(passed=3)
    calls = json.loads((pytester.path / "report.json").read_text(encoding="utf-8"))["calls"]
    assert {(call["client"], call["principal"], call["vantage"]) for call in calls} == {
        ("boto3", "app", vantage) for vantage in ("internet", "app-subnet", "shell")
    }
    assert all(call["status"] for call in calls)
    assert {call["host"] for call in calls if call["vantage"] == "app-subnet"} == {
        "reports-111122223333.s3.eu-west-1.amazonaws.com",
        "no-such-bucket-of-ours.s3.eu-west-1.amazonaws.com",
        "s3.eu-west-1.amazonaws.com",
        "sts.eu-west-1.amazonaws.com",
    }
    text = json.dumps(calls)
    for secret in ("Signature", "AWS4-HMAC", "ASIA", "?"):
        assert secret not in text
    result.stdout.fnmatch_lines(["*calls of tests' own code*", "*app:app-subnet*boto3*"])


OTHERS = """
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from pytest_s3vpce.errors import ExpectationError, VantageError


def test_keys_inside(s3vpce, outputs):
    keys = s3vpce.read_keys(principal="app", vantage="app-subnet")
    assert keys.source_vpce.value == outputs["Endpoint"]
    assert keys.source_vpc.value == outputs["Vpc"]
    assert keys.source_ip.absent
    assert (keys.secure_transport.value, keys.tls_version.value) == ("true", "1.3")


def test_keys_outside(s3vpce):
    keys = s3vpce.read_keys(principal="app", vantage="internet", bucket="reports")
    assert keys.source_vpce.unknown and "canary, which must be there" in keys.source_vpce.why
    keys = s3vpce.read_keys(principal="app", vantage="internet")
    assert keys.source_vpce.absent and keys.source_vpc.absent
    assert keys.source_ip.value.count(".") == 3


@pytest.mark.parametrize("principal", ["anonymous", "own"])
def test_keys_need_a_role(s3vpce, principal):
    with pytest.raises(ExpectationError, match="is no role.*accepted are app"):
        s3vpce.read_keys(principal=principal, vantage="app-subnet")


def test_anonymous(s3vpce):
    with pytest.raises(ClientError, match="AccessDenied"):
        s3 = s3vpce.client("s3", principal="anonymous", vantage="app-subnet")
        s3.list_objects_v2(Bucket=s3vpce.bucket("reports").name)


def test_ambient(s3vpce):
    s3 = s3vpce.client("s3", principal="own", vantage="app-subnet")
    s3.put_object(Bucket=s3vpce.bucket("reports").name, Key="own", Body=b"x")
    s3.delete_object(Bucket=s3vpce.bucket("reports").name, Key="own")
    with pytest.raises(ExpectationError, match="`own:internet` can't exist"):
        s3vpce.client("s3", principal="own", vantage="internet")


def test_presigned(s3vpce):
    with pytest.raises(ExpectationError, match="`link` is a presigned URL, which a client can't sign with"):
        s3vpce.client("s3", principal="link", vantage="app-subnet")


def test_clients_outlive_a_session(s3vpce):
    s3 = s3vpce.client("s3", principal="app", vantage="internet")
    assert type(s3._get_credentials()).__name__ == "RefreshableCredentials"


def test_limits(s3vpce):
    s3 = s3vpce.client("s3", principal="app", vantage="app-subnet")
    place = {"Bucket": s3vpce.bucket("reports").name, "Key": "large"}
    four = bytes(4 * 1024 * 1024)
    s3.put_object(**place, Body=four)
    assert s3.get_object(**place)["Body"].read() == four
    with pytest.raises(VantageError, match="larger than 4 MiB, all that kind `lambda` carries"):
        s3.put_object(**place, Body=four * 2)
    here = s3vpce.client("s3", principal="app", vantage="internet")
    here.put_object(**place, Body=four * 2)
    with pytest.raises(VantageError, match="the answer to GET .*larger than 4 MiB"):
        s3.get_object(**place)
    import io

    into = io.BytesIO()
    s3.download_fileobj(place["Bucket"], place["Key"], into)
    assert into.getvalue() == four * 2
    s3.delete_object(**place)


def test_http(s3vpce):
    name = s3vpce.bucket("reports").name
    s3 = s3vpce.client("s3", principal="app", vantage="app-subnet")
    s3.put_object(Bucket=name, Key="page", Body=b"hello")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": name, "Key": "page"})
    for vantage in ("app-subnet", "internet"):
        with s3vpce.http(vantage=vantage) as http:
            assert http.get(url).text == "hello"
            assert http.get(url.partition("?")[0]).status_code == 403
            with pytest.raises(VantageError, match="`verify` can't cross"):
                http.get(url, verify=False)
            with pytest.raises(VantageError, match="GET https://example.org/ is not sent: .*`allow_hosts`"):
                http.get("https://example.org/")
    s3.delete_object(Bucket=name, Key="page")


def test_resolve_and_connect(s3vpce):
    host = "s3.eu-west-1.amazonaws.com"
    for vantage in ("app-subnet", "internet", "shell"):
        assert s3vpce.resolve(host, vantage=vantage).addresses
        found = s3vpce.connect(host, 443, vantage=vantage)
        assert found.ok and found.peer
        assert not s3vpce.connect(host, 22, vantage=vantage).ok
    inside = "bucket.vpce-0123456789abcdef0-01234567.s3.eu-west-1.vpce.amazonaws.com"
    assert s3vpce.connect(inside, 443, vantage="internet").failure == "refused"
    with s3vpce.http(vantage="shell") as http, pytest.raises(requests.ConnectionError, match="refused"):
        http.get(f"https://{inside}/")
    assert s3vpce.connect("127.0.0.1", 1, vantage="shell").failure == "refused"
    with pytest.raises(VantageError, match="`allow_hosts`"):
        s3vpce.resolve("example.org", vantage="app-subnet")


def test_names(s3vpce):
    with pytest.raises(ExpectationError, match="test_code.py:.*unknown principal `ap`; accepted are app"):
        s3vpce.client("s3", principal="ap", vantage="app-subnet")
    for ask in (
        lambda: s3vpce.client("s3", principal="app", vantage="moon"),
        lambda: s3vpce.http(vantage="moon"),
        lambda: s3vpce.resolve("a", vantage="moon"),
        lambda: s3vpce.connect("a", 1, vantage="moon"),
        lambda: s3vpce.read_keys(principal="app", vantage="moon"),
    ):
        with pytest.raises(ExpectationError, match="unknown vantage point `moon`"):
            ask()
    with pytest.raises(ExpectationError, match="unknown bucket `moon`"):
        s3vpce.read_keys(principal="app", vantage="app-subnet", bucket="moon")


@pytest.fixture
def outputs(s3vpce):
    return s3vpce._session.environment.outputs
"""


def test_the_other_ways_through_a_vantage_point(world: tuple[Path, Path], pytester: pytest.Pytester) -> None:
    result = run(world, pytester, OTHERS, "--s3vpce-report=report.json", "-n2")
    result.assert_outcomes(passed=12)
    calls = json.loads((pytester.path / "report.json").read_text(encoding="utf-8"))["calls"]
    assert {call["client"] for call in calls} == {"boto3", "requests", "resolve", "connect", "reading"}
    assert {call["failure"] for call in calls} == {None, "forbidden_host", "refused", "connect_timeout"}
    assert "?" not in json.dumps(calls)


def test_an_account_that_is_another_signs_nothing(world: tuple[Path, Path], pytester: pytest.Pytester) -> None:
    folder, _ = world
    code = """
    import pytest
    from pytest_s3vpce.errors import CredentialError

    @pytest.mark.parametrize("vantage", ["internet", "app-subnet"])
    def test_refused(s3vpce, vantage):
        with pytest.raises(CredentialError, match="`main` is `999988887777` in the inventory, but its credentials"):
            s3vpce.client("s3", principal="app", vantage=vantage)
    """
    pytester.makefile(".yaml", s3vpce=(folder / "s3vpce.yaml").read_text().replace("111122223333", "999988887777"))
    shutil.copy(folder / "provision.py", pytester.path)
    pytester.makepyfile(test_code=code)
    result = pytester.runpytest_subprocess(f"--s3vpce-lab-ready={world[1]}", timeout=60)
    result.assert_outcomes(passed=2)


def test_the_pages_examples_run_as_they_are_printed(world: tuple[Path, Path], pytester: pytest.Pytester) -> None:
    text = DOCS.read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    client = administrator(world[1]).client("s3", endpoint_url=ready(world[1])["endpoint_url"])
    client.put_bucket_policy(Bucket="reports-111122223333", Policy=json.dumps(ONLY_THROUGH_ENDPOINTS))
    try:
        result = run(world, pytester, "\n".join(examples))
    finally:
        client.delete_bucket_policy(Bucket="reports-111122223333")
    result.assert_outcomes(passed=5)
