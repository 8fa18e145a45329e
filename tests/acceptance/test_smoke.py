"""The smoke check of production, as its page tells it: 300 cells by kept functions, one invoke each, and no trace.

The bucket has everything that can be set, and the whole of what S3 shows of it is compared byte by byte.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from pytest_s3vpce.lab.client import RunningLab, running_lab
from pytest_s3vpce.lab.process import start_lab
from pytest_s3vpce.matrix import Matrix
from pytest_s3vpce.operations import OPERATIONS, Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parent.parent.parent / "docs" / "live.md").read_text(encoding="utf-8")
ACCOUNT, REGION = "111122223333", "eu-west-1"
REPORTS, LOGS, COPIES = (f"{name}-{ACCOUNT}" for name in ("reports", "logs", "copies"))
CANARY = ".s3vpce/canary"
CELLS = 300
SAFE = tuple(row for row in OPERATIONS.values() if row.safe is not None)
NAMES = tuple(row.default_of or row.name for row in SAFE)
HELPERS = ("s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket")
"""What the second role may do: what the forms of other operations need besides."""
BYPASS = "s3:BypassGovernanceRetention"
KEEPS = ("s3:GetObject", "s3:ListBucket", "s3:PutObjectRetention")
"""What the third may do, who lacks that action alone: its form needs another write as a helper."""
POINTS = ("app", "data")
PROVISION = f"""\
import json
from functools import partial

ACCOUNT, REGION = "{ACCOUNT}", "{REGION}"
REPORTS, LOGS, COPIES = "{REPORTS}", "{LOGS}", "{COPIES}"


def provision(accounts):
    session = accounts["main"]
    network(session.client("ec2"))
    people(session.client("iam"))
    buckets(session.client("s3"), session.client("sns"))
    return {{}}


def network(ec2):
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={{"Value": True}})
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    group = ec2.create_security_group(GroupName="probe", Description="probe", VpcId=vpc)["GroupId"]
    ec2.create_tags(Resources=[group], Tags=[{{"Key": "tier", "Value": "probe"}}])
    for number, tier in enumerate({POINTS}):
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{{number}}.0/24")["Subnet"]["SubnetId"]
        ec2.create_tags(Resources=[subnet], Tags=[{{"Key": "tier", "Value": tier}}])
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    service = f"com.amazonaws.{{REGION}}.s3"
    ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=service, RouteTableIds=[table])


def people(iam):
    trust = {{"Effect": "Allow", "Principal": {{"AWS": ACCOUNT}}, "Action": "sts:AssumeRole"}}
    may = (("writer", "s3:*"), ("reader", {list(HELPERS)}), ("watcher", {list(KEEPS)}), ("replicator", "s3:*"))
    for name, actions in may:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
        allowed = {{"Effect": "Allow", "Action": actions, "Resource": "*"}}
        iam.put_role_policy(RoleName=name, PolicyName="s3", PolicyDocument=document(allowed))


def buckets(s3, sns):
    make = partial(s3.create_bucket, CreateBucketConfiguration={{"LocationConstraint": REGION}})
    make(Bucket=LOGS, ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket=LOGS)
    s3.put_bucket_acl(Bucket=LOGS, ACL="log-delivery-write")
    make(Bucket=COPIES)
    s3.put_bucket_versioning(Bucket=COPIES, VersioningConfiguration={{"Status": "Enabled"}})
    make(Bucket=REPORTS, ObjectLockEnabledForBucket=True, ObjectOwnership="ObjectWriter")
    bucket = {{"Bucket": REPORTS}}
    s3.put_public_access_block(**bucket, PublicAccessBlockConfiguration={{"BlockPublicPolicy": True}})
    s3.put_bucket_tagging(**bucket, Tagging={{"TagSet": [{{"Key": "team", "Value": "blue"}}]}})
    s3.put_bucket_policy(**bucket, Policy=document({{
        "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{{REPORTS}}/secret/*"],
        "Condition": {{"Bool": {{"aws:SecureTransport": "false"}}}},
    }}))
    s3.put_bucket_logging(
        **bucket, BucketLoggingStatus={{"LoggingEnabled": {{"TargetBucket": LOGS, "TargetPrefix": "logs/"}}}}
    )
    rule = {{"ID": "old", "Filter": {{"Prefix": "old/"}}, "Status": "Enabled", "Expiration": {{"Days": 30}}}}
    s3.put_bucket_lifecycle_configuration(**bucket, LifecycleConfiguration={{"Rules": [rule]}})
    copies = {{"ID": "all", "Prefix": "", "Status": "Enabled", "Destination": {{"Bucket": f"arn:aws:s3:::{{COPIES}}"}}}}
    role = f"arn:aws:iam::{{ACCOUNT}}:role/replicator"
    s3.put_bucket_replication(**bucket, ReplicationConfiguration={{"Role": role, "Rules": [copies]}})
    rules = [{{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://example.com"]}}]
    s3.put_bucket_cors(**bucket, CORSConfiguration={{"CORSRules": rules}})
    s3.put_bucket_website(**bucket, WebsiteConfiguration={{"IndexDocument": {{"Suffix": "index.html"}}}})
    topic = sns.create_topic(Name="told")["TopicArn"]
    told = [{{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}}]
    s3.put_bucket_notification_configuration(**bucket, NotificationConfiguration={{"TopicConfigurations": told}})
    s3.put_bucket_accelerate_configuration(**bucket, AccelerateConfiguration={{"Status": "Enabled"}})
    days = {{"Mode": "GOVERNANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        **bucket, ObjectLockConfiguration={{"ObjectLockEnabled": "Enabled", "Rule": {{"DefaultRetention": days}}}}
    )
    s3.put_bucket_metrics_configuration(**bucket, Id="all", MetricsConfiguration={{"Id": "all"}})
    for body in (b"older", b"the canary"):
        s3.put_object(**bucket, Key="{CANARY}", Body=body, Tagging="team=blue")
    s3.put_object_legal_hold(**bucket, Key="{CANARY}", LegalHold={{"Status": "ON"}})
    s3.put_object(**bucket, Key="marked", Body=b"x")
    s3.delete_object(**bucket, Key="marked")
    upload = s3.create_multipart_upload(**bucket, Key="uploading")["UploadId"]
    s3.upload_part(**bucket, Key="uploading", UploadId=upload, PartNumber=1, Body=b"part")


def document(*statements):
    return json.dumps({{"Version": "2012-10-17", "Statement": statements}})
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("smoke")
    (inventory,) = re.findall(r"```yaml\n(# s3vpce\.yaml of a smoke check\n.*?)```", PAGE, re.DOTALL)
    everything = {"bucket": "reports", "actions": list(NAMES), "inferred": True}
    refused = [name for name in NAMES if name not in (*HELPERS, BYPASS)]
    refused = [
        name for name in refused if OPERATIONS.get(name) is None or not set(OPERATIONS[name].actions) <= set(HELPERS)
    ]
    entries = [
        {**everything, "allow": ["writer:app", "writer:data"]},
        {**everything, "actions": refused, "deny": "reader:data"},
        {**everything, "actions": BYPASS, "deny": "watcher:data"},
        {**everything, "actions": refused[: CELLS - 2 * len(NAMES) - len(refused) - 1], "deny": "reader:app"},
    ]
    for name, text in (
        ("s3vpce.yaml", inventory),
        ("provision.py", PROVISION),
        ("test_smoke.access.yaml", json.dumps({"expect": entries})),
    ):
        (made / name).write_text(text, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def lab(folder: Path) -> Iterator[RunningLab]:
    found = start_lab(folder / "lab", accounts={"main": (ACCOUNT, REGION)}, provision=folder / "provision.py")
    try:
        yield running_lab(found.ready_file)
    finally:
        found.stop()


def client(lab: RunningLab, service: str) -> Any:
    (keys,) = lab.accounts.values()
    session: Any = boto3.Session(
        aws_access_key_id=keys.access_key_id, aws_secret_access_key=keys.secret_access_key, region_name=REGION
    )
    config = Config(s3={"addressing_style": "path"}) if service == "s3" else None
    return session.client(service, endpoint_url=lab.urls["endpoint_url"], config=config)


# --- what is there ---------------------------------------------------------------------------------------------------


def told(call: Any, **parameters: Any) -> Any:
    """The answer without what is of the request alone; an error's code."""
    try:
        answer = call(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"]
    answer.pop("ResponseMetadata", None)
    return {name: row.read() if hasattr(row, "read") else row for name, row in answer.items()}


SHOWING = [
    row
    for row in OPERATIONS.values()
    if row.safe is not None
    and not row.writes
    and row.requires[0].resource is Resource.BUCKET
    and not row.name.startswith("ListObject")
]
OF_VERSIONS = ("get_object", "get_object_tagging", "get_object_acl", "get_object_retention", "get_object_legal_hold")


def state_of(s3: Any) -> str:
    """All that S3 shows of every bucket: settings, versions with all that they have, uploads with their parts."""
    found: dict[str, Any] = {}
    for name in (REPORTS, LOGS, COPIES):
        bucket = {"Bucket": name}
        settings = {}
        for row in SHOWING:
            given = {key: value for key, value in row.safe.parameters.items() if key == "Id"} if row.safe else {}
            settings[row.name] = told(getattr(s3, row.method), **bucket, **given)
        listed = s3.list_object_versions(**bucket)
        rows = [row for row in listed.get("Versions", ()) if not row["Key"].startswith("logs/")]
        uploads = s3.list_multipart_uploads(**bucket).get("Uploads", [])
        found[name] = {
            "settings": settings,
            "lock": told(s3.get_object_lock_configuration, **bucket),
            "block": told(s3.get_public_access_block, **bucket),
            "versions": rows,
            "markers": listed.get("DeleteMarkers", []),
            "objects": [
                told(getattr(s3, call), **bucket, Key=row["Key"], VersionId=row["VersionId"])
                for row in rows
                for call in OF_VERSIONS
            ],
            "uploads": uploads,
            "parts": [told(s3.list_parts, **bucket, Key=row["Key"], UploadId=row["UploadId"]) for row in uploads],
        }
    return json.dumps(found, default=repr, sort_keys=True, indent=1)


def made_by(lab: RunningLab) -> dict[str, Any]:
    """Functions with their code and settings, and roles."""
    rows = client(lab, "lambda").list_functions()["Functions"]
    return {
        "functions": {row["FunctionName"]: (row["CodeSha256"], row["LastModified"], row["Version"]) for row in rows},
        "roles": sorted(row["RoleName"] for row in client(lab, "iam").list_roles()["Roles"]),
    }


# --- the check -------------------------------------------------------------------------------------------------------


def started(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)


def smoke(folder: Path, report: str, *options: str) -> tuple[subprocess.CompletedProcess[str], Matrix]:
    done = started(
        folder,
        "pytest",
        "-p",
        "no:cacheprovider",
        "--s3vpce-lab-ready=lab/ready.json",
        f"--s3vpce-report={report}",
        *options,
    )
    return done, Matrix.from_json((folder / report).read_text(encoding="utf-8"))


def since(lab: RunningLab, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        number, rows = lab.log(number)
        if not rows:
            return found
        found += rows


def invokes(rows: list[dict[str, Any]]) -> list[str]:
    """Which function each invoke was of."""
    return [str(row["function"]).rpartition(":")[2] for row in rows if row.get("operation") == "Invoke"]


def test_300_cells_leave_no_trace_and_take_one_invoke_each(lab: RunningLab, folder: Path) -> None:
    deployed = started(folder, "pytest_s3vpce.cli", "deploy", "--lab-ready", "lab/ready.json")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    s3 = client(lab, "s3")
    before, there = state_of(s3), made_by(lab)
    assert "uploading" in before
    assert sorted(there["functions"]) == [f"s3vpce-kept-{name}" for name in POINTS]
    start, _ = lab.log(10**9)
    done, matrix = smoke(folder, "smoke.json")
    noted = since(lab, start)
    assert done.returncode == 0, done.stdout[-3000:]
    assert len(matrix.cells) == CELLS
    assert {row.vantage for row in matrix.cells} == set(POINTS)
    assert {row.operation for row in matrix.cells} == {row.name for row in SAFE}
    assert [*unified_diff(before.splitlines(), state_of(s3).splitlines(), lineterm="")] == []
    assert made_by(lab) == there
    assert sorted(invokes(noted)) == sorted(there["functions"])


def test_a_reader_at_a_function_takes_two_more(lab: RunningLab, folder: Path) -> None:
    """Before anything is signed, since writes carry the canary's bytes, and after the last write of all."""
    path = folder / "s3vpce.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("watcher:runner", "watcher:app"), encoding="utf-8")
    start, _ = lab.log(10**9)
    done, matrix = smoke(folder, "reader.json", "-k", "PutObject/reports/writer")
    path.write_text(text, encoding="utf-8")
    assert done.returncode == 0, done.stdout[-3000:]
    assert len(matrix.cells) == 2
    assert sorted(invokes(since(lab, start))) == [*["s3vpce-kept-app"] * 3, "s3vpce-kept-data"]


def test_undeployed_nothing_is_left(lab: RunningLab, folder: Path) -> None:
    gone = started(folder, "pytest_s3vpce.cli", "undeploy", "--lab-ready", "lab/ready.json")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert made_by(lab)["functions"] == {}
