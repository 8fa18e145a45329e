"""The setting of the benchmark: two buckets, four roles, three subnets; and the same checks in two forms."""

from __future__ import annotations

import io
import json
import os
import zipfile
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNT = "111122223333"
REGION = "eu-west-1"
CANARY = ".s3vpce/canary"
ACTIONS = {
    "s3:GetObject": "get_object",
    "s3:PutObject": "put_object",
    "s3:ListBucket": "list_objects_v2",
    "s3:GetBucketLocation": "get_bucket_location",
    "s3:GetObjectTagging": "get_object_tagging",
    "s3:GetObjectAcl": "get_object_acl",
    "s3:GetBucketAcl": "get_bucket_acl",
    "s3:GetBucketPolicy": "get_bucket_policy",
}
RIGHTS = {
    "all": list(ACTIONS),
    "reader": ["s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"],
    "writer": ["s3:PutObject", "s3:GetObjectTagging", "s3:GetObjectAcl"],
    "nobody": [],
}
PAIRS = int(os.environ.get("S3VPCE_BENCH_PAIRS", "1"))
"""Of buckets; the lab's process and the checks by hand go by the same number."""
LABELS = [label + (f"-{pair}" if pair else "") for pair in range(PAIRS) for label in ("closed", "open")]
BUCKETS = {label: f"{label}-{ACCOUNT}" for label in LABELS}
SUBNETS = ("one", "two", "other")
VANTAGES = (*SUBNETS, "internet")


def allowed(bucket: str, action: str, principal: str, vantage: str) -> bool:
    """As it was made: `closed` only through the endpoint of `one` and `two`, and all as the roles' rights say."""
    return action in RIGHTS[principal] and (bucket.startswith("open") or vantage in ("one", "two"))


def provision(accounts: Any) -> dict[str, str]:
    session = accounts["main"]
    ec2, iam, s3 = (session.client(service) for service in ("ec2", "iam", "s3"))
    outputs: dict[str, str] = {}
    endpoints = []
    for number, names in enumerate((("one", "two"), ("other",))):
        vpc = ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"]
        routes = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        group = ec2.create_security_group(GroupName="probe", Description="probe", VpcId=vpc)["GroupId"]
        for place, name in enumerate(names):
            subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.{number}.{place}.0/24")["Subnet"]["SubnetId"]
            ec2.associate_route_table(RouteTableId=routes, SubnetId=subnet)
            outputs |= {f"Subnet-{name}": subnet, f"Group-{name}": group}
        made = ec2.create_vpc_endpoint(
            VpcEndpointType="Gateway",
            VpcId=vpc,
            ServiceName=f"com.amazonaws.{REGION}.s3",
            RouteTableIds=[routes],
        )
        endpoints.append(made["VpcEndpoint"]["VpcEndpointId"])
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    for name, actions in RIGHTS.items():
        outputs[f"Role-{name}"] = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
        if actions:
            statement = {"Effect": "Allow", "Action": actions, "Resource": "arn:aws:s3:::*"}
            iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=_policy(statement))
    service = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    made = iam.create_role(RoleName="function", AssumeRolePolicyDocument=_policy(service))
    outputs["FunctionRole"] = made["Role"]["Arn"]
    for label, bucket in BUCKETS.items():
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=bucket, Key=CANARY, Body=b"a canary")
        outputs[f"Bucket-{label}"] = bucket
        here = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        everybody = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": here}
        wanted = endpoints[0] if label.startswith("closed") else "*"
        s3.put_bucket_policy(
            Bucket=bucket,
            Policy=_policy(
                {
                    **everybody,
                    "Condition": {"StringNotLike": {"aws:SourceVpce": wanted}}
                    if label.startswith("closed")
                    else {"StringEquals": {"aws:SourceVpce": "vpce-none"}},
                }
            ),
        )
    return outputs


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


# --- declared --------------------------------------------------------------------------------------------------------


def write_declared(folder: Path) -> None:
    """The inventory and one access file with 256 cells."""
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n", encoding="utf-8")
    inventory: dict[str, Any] = {
        "accounts": {"main": {"id": ACCOUNT, "region": REGION}},
        "principals": {name: {"role": f"${{out:Role-{name}}}"} for name in RIGHTS},
        "vantage_points": {
            **{
                name: {
                    "lambda": {"subnets": [f"${{out:Subnet-{name}}}"], "security_groups": [f"${{out:Group-{name}}}"]}
                }
                for name in SUBNETS
            },
            "internet": "local",
        },
        "buckets": {
            label: {"name": f"${{out:Bucket-{label}}}", "canary": {"key": CANARY, "reader": "all:one"}}
            for label in BUCKETS
        },
    }
    (folder / "s3vpce.yaml").write_text(json.dumps(inventory), encoding="utf-8")
    expect = [
        {
            "bucket": bucket,
            "actions": [action],
            "allow": [f"{who}:{where}" for who in RIGHTS for where in VANTAGES if allowed(bucket, action, who, where)],
            "deny": "everyone-else",
        }
        for bucket in BUCKETS
        for action in ACTIONS
    ]
    (folder / "test_matrix.access.yaml").write_text(json.dumps({"expect": expect}), encoding="utf-8")


# --- by hand ---------------------------------------------------------------------------------------------------------

BY_HAND = '''
"""The same checks as a careful team writes them: parametrised, with session-scoped clients."""

import json
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

SETTING = json.loads((Path(__file__).parent / "setting.json").read_text())


@pytest.fixture(scope="session")
def clients():
    runner = boto3.Session(**SETTING["runner"])
    sts = runner.client("sts", endpoint_url=SETTING["internet"], verify=SETTING["ca"])
    admin = keys(sts.assume_role(RoleArn=SETTING["runner_role"], RoleSessionName="hand"))
    sts = boto3.Session(**admin, region_name=SETTING["region"]).client(
        "sts", endpoint_url=SETTING["internet"], verify=SETTING["ca"]
    )
    found = {}
    for principal, role in SETTING["roles"].items():
        session = boto3.Session(
            **keys(sts.assume_role(RoleArn=role, RoleSessionName="hand")), region_name=SETTING["region"]
        )
        for vantage, url in SETTING["vantages"].items():
            found[principal, vantage] = session.client("s3", endpoint_url=url, verify=SETTING["ca"])
    return found


def keys(answer):
    given = answer["Credentials"]
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


@pytest.mark.parametrize("bucket,method,principal,vantage,allowed", SETTING["checks"])
def test_access(clients, bucket, method, principal, vantage, allowed):
    arguments = {"Bucket": bucket}
    if "object" in method and "list" not in method:
        arguments["Key"] = SETTING["canary"]
    if method == "put_object":
        arguments |= {"Body": b"a canary", "IfNoneMatch": "*"}
    try:
        getattr(clients[principal, vantage], method)(**arguments)
        got = True
    except ClientError as error:
        got = error.response["Error"]["Code"] != "AccessDenied"
    assert got is allowed
'''


def write_by_hand(folder: Path, ready: dict[str, Any], paths: dict[str, str]) -> None:
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n", encoding="utf-8")
    (folder / "test_by_hand.py").write_text(BY_HAND, encoding="utf-8")
    runner = ready["accounts"]["main"]["runner"]
    setting = {
        "runner": {
            "aws_access_key_id": runner["access_key_id"],
            "aws_secret_access_key": runner["secret_access_key"],
            "region_name": REGION,
        },
        "runner_role": runner["role"],
        "roles": {name: ready["outputs"][f"Role-{name}"] for name in RIGHTS},
        "region": REGION,
        "internet": ready["https_endpoint_url"],
        "ca": ready["ca_bundle"],
        "vantages": {**paths, "internet": ready["https_endpoint_url"]},
        "canary": CANARY,
        "checks": [
            [BUCKETS[bucket], ACTIONS[action], principal, vantage, allowed(bucket, action, principal, vantage)]
            for bucket in BUCKETS
            for action in ACTIONS
            for principal in RIGHTS
            for vantage in VANTAGES
        ],
    }
    (folder / "setting.json").write_text(json.dumps(setting), encoding="utf-8")


def inside_paths(ready: dict[str, Any], folder: Path) -> dict[str, str]:
    """Where each subnet's way to S3 begins: a function is placed there once, and its redirect table is read."""
    row = ready["accounts"]["main"]
    session = boto3.Session(
        aws_access_key_id=row["access_key_id"], aws_secret_access_key=row["secret_access_key"], region_name=REGION
    )
    client = session.client("lambda", endpoint_url=ready["endpoint_url"])
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("main.py", "def handler(event, context):\n    return 1\n")
    found = {}
    for name in SUBNETS:
        before = set(folder.rglob("redirect-*.json"))
        client.create_function(
            FunctionName=f"bench-{name}",
            Runtime="python3.12",
            Role=ready["outputs"]["FunctionRole"],
            Handler="main.handler",
            Code={"ZipFile": code.getvalue()},
            VpcConfig={
                "SubnetIds": [ready["outputs"][f"Subnet-{name}"]],
                "SecurityGroupIds": [ready["outputs"][f"Group-{name}"]],
            },
        )
        client.invoke(FunctionName=f"bench-{name}", Payload=b"{}")
        (table,) = set(folder.rglob("redirect-*.json")) - before
        routes = json.loads(table.read_text(encoding="utf-8"))["routes"]
        route = next(row for row in routes if row["port"] == 443 and "s3" in row["host"])
        found[name] = "https://{}:{}".format(*route["to"])
    return found
