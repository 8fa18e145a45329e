"""What `s3vpce permissions` prints is what runs need: with exactly that they work, and without any one action not.

The lab enforces all: https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.run.needs import NEEDS
from pytest_s3vpce.vantage import agent_zip
from tests.acceptance.conftest import EXAMPLES, Stage, staged
from tests.acceptance.faulty import Clock
from tests.acceptance.guarded import (
    BUCKET,
    RUNNER,
    Assuming,
    Deploying,
    Guarded,
    Keeping,
    Open,
    Pair,
    Recorded,
    Sweeping,
    Wide,
    leave_policy,
    pairs,
    without,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

EXAMPLE = EXAMPLES / "endpoint_only"
APP = '{role: "${out:AppRoleArn}", session_tags: {team: probes}, source_identity: tester}'
BESIDE = "10.20.77.0/24"
SOAK = bool(os.environ.get("S3VPCE_SOAK"))
POINTS = """\
vantage_points:
  app-subnet: {ec2: {instance: "${out:AppInstance}"}}
  nat-subnet: {ec2: {subnet: "${out:NatSubnet}", security_groups: ["${out:ProbeGroup}"], profile: probe}}
  partner-vpc: {ec2: {account: partner, tags: {Name: probe}}}
  named: {lambda: {function: s3vpce-agent}}
  keyed:
    lambda: {subnets: ["${cfn:rights.Subnet}"], security_groups: ["${out:ProbeGroup}"], kms_key: "${ssm:/s3vpce/key}"}
  internet: local

buckets:
  scratch: {name: scratch-of-the-rights, canary: {create: "app:internet"}}
"""
SCRATCH = """
  - bucket: scratch
    actions: [s3:GetObject]
    allow: ["app:internet"]
"""


OUTSIDE = """\
vantage_points:
  internet: local

buckets:
  ours: {name: "${out:ControlBucket}", canary: {key: ".s3vpce/canary", reader: "app:internet"}}
  theirs:
    name: "${out:PartnerControlBucket}"
    account: partner
    canary: {key: ".s3vpce/canary", reader: "partner:internet"}
"""
KEPT = """\
  app-subnet:
    lambda:
      keep: true
      memory: 128
      subnets: ["${cfn:rights.Subnet}"]
      security_groups: ["${out:ProbeGroup}"]
      kms_key: "${ssm:/s3vpce/key}"
"""
GLASS = """\
claims:
  - break-glass:
      bucket: glass
      administrators: "admin:internet"
      others: ["app:internet", "partner:internet", "anonymous:internet"]
      inferred: true
      mutating: true
"""
LEFT = """\
  left: {name: "${cfn:rights.Bucket}", scratch: true, canary: {create: "app:internet"}}
"""
READ = """\
expect:
  - {bucket: ours, actions: [s3:GetObject], allow: ["app:internet"]}
  - {bucket: theirs, actions: [s3:GetObject], allow: ["partner:internet"]}
"""


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What may not be done is asked for again and again, in the belief that it is a right given a moment ago."""
    found = Clock()
    found.shorten(monkeypatch)
    return found


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A lab that enforces all, with the example in it."""
    with staged("endpoint_only", tmp_path_factory.mktemp("strict"), enforce=Enforcement.ALL) as made:
        for account in made.inventory.accounts:
            deploy(made, account)
            organize(made, account)
        manage(made)
        yield made


def organize(stage: Stage, account: str) -> None:
    """It manages an organization, with a policy, and has a bucket, whose names are of ours: a sweep asks for tags."""
    organizations, s3 = stage.client("organizations", account), stage.client("s3", account)
    organizations.create_organization(FeatureSet="ALL")
    number, tags = stage.inventory.accounts[account].id, [{"Key": "team", "Value": "other"}]
    leave_policy(organizations, name="s3vpce-theirs", target=number, tags=tags)
    bucket = f"s3vpce-calibration-0123abcd-{number}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})


def manage(stage: Stage) -> None:
    """The partner has its rights by a managed policy as well; who runs may come by http, as the way to the lab is."""
    iam = stage.client("iam", "partner")
    document = iam.get_role_policy(RoleName="partner", PolicyName="buckets")["PolicyDocument"]
    policy = iam.create_policy(PolicyName="buckets", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="partner", PolicyArn=policy)
    s3, bucket = stage.client("s3"), stage.outputs["ReportsBucket"]
    reports = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    runner = f"arn:aws:iam::{stage.inventory.accounts['main'].id}:role/{RUNNER}"
    for row in reports["Statement"]:
        if "Bool" in row.get("Condition", {}):
            row["Condition"]["ArnNotEquals"] = {"aws:PrincipalArn": runner}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(reports))


def deploy(stage: Stage, account: str) -> None:
    """A function with the agent that no run made: its name is one of ours, so a sweep asks for its tags."""
    services = ["ec2.amazonaws.com", "lambda.amazonaws.com"]
    trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = stage.client("iam", account).create_role(RoleName="probe", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    stage.client("lambda", account).create_function(
        FunctionName="s3vpce-agent",
        Runtime="python3.13",
        Role=role,
        Handler="agent.handler",
        Code={"ZipFile": agent_zip()},
        Timeout=90,
        Environment={"Variables": {"S3VPCE_AGENT": json.dumps({"loopback": True})}},
    )


@pytest.fixture(scope="module")
def furnished(strict: Stage) -> Stage:
    """What is there besides: instances, a function with the agent, a versioned bucket without a canary."""
    made = dict(strict.outputs)
    for account, subnet, group in (
        ("main", "AppSubnet", "ProbeGroup"),
        ("partner", "PartnerSubnet", "PartnerProbeGroup"),
    ):
        iam = strict.client("iam", account)
        iam.create_instance_profile(InstanceProfileName="probe")
        iam.add_role_to_instance_profile(InstanceProfileName="probe", RoleName="probe")
        answer = strict.client("ec2", account).run_instances(
            ImageId="ami-12345678",
            MinCount=1,
            MaxCount=1,
            SubnetId=made[subnet],
            SecurityGroupIds=[made[group]],
            IamInstanceProfile={"Name": "probe"},
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "probe"}]}],
        )
        made[f"Instance-{account}"] = answer["Instances"][0]["InstanceId"]
        made[f"ClosedGroup-{account}"] = closed_group(strict.client("ec2", account), made[subnet])
    made["AppInstance"] = made["Instance-main"]
    made["BesideApp"] = beside(strict)
    refer(strict)
    s3 = strict.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    clear = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObjectAcl", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [clear]}))
    rights = {"Effect": "Allow", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [rights]})
    strict.client("iam").put_role_policy(RoleName="app", PolicyName="scratch", PolicyDocument=document)
    return replace(strict, environment=replace(strict.environment, outputs=made))


def refer(strict: Stage) -> None:
    """What the references of the inventory stand for: a stack's output and a stored parameter."""
    (subnet,) = strict.client("ec2").describe_subnets(SubnetIds=[strict.outputs["NatSubnet"]])["Subnets"]
    group = {"GroupDescription": "of the stack", "VpcId": subnet["VpcId"]}
    template = {
        "Resources": {"Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": group}},
        "Outputs": {"Subnet": {"Value": strict.outputs["NatSubnet"]}},
    }
    template["Outputs"]["Bucket"] = {"Value": BUCKET}
    strict.client("cloudformation").create_stack(StackName="rights", TemplateBody=json.dumps(template))
    key = strict.client("kms").create_key()["KeyMetadata"]["Arn"]
    strict.client("ssm").put_parameter(Name="/s3vpce/key", Value=key, Type="SecureString")
    strict.client("ssm").put_parameter(Name="/s3vpce/region", Value="eu-west-1", Type="String")


def beside(stage: Stage) -> str:
    """A subnet with the routes of the app's."""
    ec2, table = stage.client("ec2"), stage.route_table()
    (subnet,) = ec2.describe_subnets(SubnetIds=[stage.outputs["AppSubnet"]])["Subnets"]
    made = ec2.create_subnet(VpcId=subnet["VpcId"], CidrBlock=BESIDE)["Subnet"]["SubnetId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=made)
    return str(made)


def closed_group(ec2: Any, subnet: str) -> str:
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    group = str(ec2.create_security_group(GroupName="closed", Description="lets nothing out", VpcId=vpc)["GroupId"])
    out = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=out)
    return group


@pytest.fixture(scope="module")
def every_claim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged("every_claim", tmp_path_factory.mktemp("open"), enforce=Enforcement.ALL) as made:
        yield made


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged("evidence", tmp_path_factory.mktemp("recorded"), enforce=Enforcement.ALL) as made:
        yield made


# --- inventories ------------------------------------------------------------------------------------------------------


def as_it_is(folder: Path, example: str = "endpoint_only") -> None:
    for path in (EXAMPLES / example).glob("*.yaml"):
        shutil.copy(path, folder)


def with_all_kept(folder: Path) -> None:
    """The example, whose functions are kept, one of them in two subnets."""
    as_it_is(folder)
    path = folder / "s3vpce.yaml"
    text = path.read_text(encoding="utf-8").replace("{lambda: {", "{lambda: {keep: true, ")
    path.write_text(text.replace('"${out:AppSubnet}"', '"${out:AppSubnet}", "${out:BesideApp}"'), encoding="utf-8")


def with_all_kinds(folder: Path) -> None:
    text = (EXAMPLE / "s3vpce.yaml").read_text(encoding="utf-8")
    before, _, rest = text.partition("vantage_points:\n")
    _, _, after = rest.partition("buckets:\n")
    before = before.replace('{role: "${out:AppRoleArn}"}', APP)
    (folder / "s3vpce.yaml").write_text(before + POINTS + after, encoding="utf-8")
    expectations = (EXAMPLE / "test_reports.access.yaml").read_text(encoding="utf-8")
    head, claims, rest = expectations.partition("\nclaims:")
    (folder / "test_reports.access.yaml").write_text(head + SCRATCH + claims + rest, encoding="utf-8")


def with_one_kept(folder: Path) -> None:
    """A kept function whose subnet and key are looked up."""
    text = (EXAMPLE / "s3vpce.yaml").read_text(encoding="utf-8")
    (line,) = re.findall(r"(?m)^  app-subnet: .*$", text)
    (folder / "s3vpce.yaml").write_text(text.replace(line, KEPT), encoding="utf-8")
    shutil.copy(EXAMPLE / "test_reports.access.yaml", folder)


def with_what_is_left(folder: Path) -> None:
    """A bucket with canaries that runs make, and whose policy a run deletes; references say where things may be."""
    text = (EXAMPLE / "s3vpce.yaml").read_text(encoding="utf-8")
    text = text.replace("nat-subnet:  {lambda: {", 'nat-subnet:  {lambda: {region: "${ssm:/s3vpce/region}", ')
    (folder / "s3vpce.yaml").write_text(text.replace("buckets:\n", f"buckets:\n{LEFT}"), encoding="utf-8")


def with_a_policy_that_goes(folder: Path) -> None:
    """Who may not look may still have to put a policy back."""
    shutil.copy(EXAMPLES / "every_claim" / "s3vpce.yaml", folder)
    (folder / "test_glass.access.yaml").write_text(GLASS, encoding="utf-8")


def with_this_machine_only(folder: Path) -> None:
    text = (EXAMPLE / "s3vpce.yaml").read_text(encoding="utf-8")
    before, _, rest = text.partition("vantage_points:\n")
    (folder / "s3vpce.yaml").write_text(before + OUTSIDE + rest[rest.index("\ncontrols:") :], encoding="utf-8")
    (folder / "test_ours.access.yaml").write_text(READ, encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Case:
    """An inventory in a stage; `own` are the statements that are tried here, where not all are."""

    stage: str
    write: Callable[[Path], None]
    kind: type[Guarded]
    own: Collection[str] = ()
    parts: int = 1
    """Of its actions, for several processes to share them."""


CASES: Final = {
    "example": Case(stage="strict", write=as_it_is, kind=Guarded, parts=2),
    "all kinds": Case(stage="furnished", write=with_all_kinds, kind=Wide, parts=4),
    "deploying": Case(stage="furnished", write=with_one_kept, kind=Deploying),
    "sweeping": Case(stage="furnished", write=with_what_is_left, kind=Sweeping, parts=2),
    "kept": Case(stage="furnished", write=with_all_kept, kind=Keeping),
    "assuming": Case(stage="strict", write=with_this_machine_only, kind=Assuming),
    "open": Case(
        stage="every_claim",
        write=lambda folder: as_it_is(folder, "every_claim"),
        kind=Open,
        own=("ReadOpenness", "ReadOpennessOfAccounts", "PutPoliciesBack"),
    ),
    "put back": Case(stage="every_claim", write=with_a_policy_that_goes, kind=Assuming, own=("PutPoliciesBack",)),
    "recorded": Case(
        stage="evidence",
        write=lambda folder: as_it_is(folder, "evidence"),
        kind=Recorded,
        own=("ReadRecords", "FindRecordFiles", "ReadRecordFiles"),
    ),
}


@pytest.fixture
def guard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Guarded]]:
    made: list[Guarded] = []

    def guarded(name: str) -> Guarded:
        case, folder = CASES[name], tmp_path / name.replace(" ", "-")
        folder.mkdir()
        case.write(folder)
        made.append(case.kind(request.getfixturevalue(case.stage), folder / "s3vpce.yaml"))
        return made[-1]

    yield guarded
    for found in made:
        found.close()


def works(guarded: Guarded) -> dict[str, Any]:
    """What can be told with all rights, where that is what it should be."""
    found = guarded.all_told()
    if matrix := found.get("matrix"):
        assert {name: row for name, row in matrix["claims"].items() if row[0] != "proven"} == {}
        assert {name: row for name, row in matrix["cells"].items() if not row[3]} == {}
        assert matrix["claims"] or matrix["cells"]
    assert {state for _, state in found.get("doctor", ())} <= {"ok", "unknown"}
    assert found.get("sweep", []) == []
    return found


def surplus(guarded: Guarded, tried: Collection[tuple[str, Pair]]) -> list[str]:
    """The actions that may go without anything breaking for want of a right."""
    wanted = works(guarded)
    usual, found = frozenset(guarded.denied), []
    for account, pair in tried:
        guarded.may(account, without(guarded.policies[account], pair))
        if not (guarded.breaks(wanted, action=pair[1]) and guarded.denied - usual):
            found.append(f"{account}: {pair[1]} of {pair[0]}")
        guarded.may(account, guarded.policies[account])
        guarded.restore()
    assert works(guarded) == wanted
    return found


def all_of(guarded: Guarded, *, own: Collection[str] = ()) -> list[tuple[str, Pair]]:
    rows = [(account, pair) for account, document in guarded.policies.items() for pair in pairs(document)]
    return [row for row in rows if not own or row[1][0] in own]


# --- tests ------------------------------------------------------------------------------------------------------------

FEW: Final = {"lambda:ListFunctions", "iam:PassRole", "iam:GetRole", "lambda:GetFunction"}


def test_the_example_runs_with_exactly_what_is_printed_and_breaks_without_some(guard: Callable[[str], Guarded]) -> None:
    """As if each answer to a creation had been lost: that alone takes GetRole and GetFunction."""
    example = guard("example")
    assert surplus(example, [row for row in all_of(example) if row[0] == "main" and row[1][1] in FEW]) == []


def test_all_kinds_run_with_exactly_what_is_printed(guard: Callable[[str], Guarded]) -> None:
    wide = guard("all kinds")
    found = works(wide)
    assert found["leftover"] == []
    assert {found[f"cancelled {account}"] for account in wide.policies} == {"Cancelled"}
    assert {found[f"closed {account}"] for account in wide.policies} == {True}


def test_a_deployer_has_exactly_what_is_printed(guard: Callable[[str], Guarded]) -> None:
    assert works(guard("deploying")) == {
        "created": {"app-subnet": "created"},
        "up to date": {"app-subnet": "up to date"},
        "updated": {"app-subnet": "updated"},
        "removed": {"app-subnet": []},
    }


def test_a_sweep_has_exactly_what_is_printed(guard: Callable[[str], Guarded]) -> None:
    assert works(guard("sweeping")) == {"sweep": []}


PARTS: Final = [(name, part) for name, case in CASES.items() for part in range(case.parts)]


@pytest.mark.skipif(not SOAK, reason="each action takes a whole run: `make soak`")
@pytest.mark.parametrize(("name", "part"), PARTS, ids=[f"{name.replace(' ', '-')}-{part}" for name, part in PARTS])
def test_each_action_is_needed(guard: Callable[[str], Guarded], name: str, part: int) -> None:
    case, guarded = CASES[name], guard(name)
    tried = all_of(guarded, own=case.own)[part :: case.parts]
    assert tried
    assert surplus(guarded, tried) == []


@pytest.mark.skipif(not SOAK, reason="the actions of these are tried in `make soak` only")
def test_each_statement_is_tried(guard: Callable[[str], Guarded]) -> None:
    found = {pair for name, case in CASES.items() for _, pair in all_of(guard(name), own=case.own)}
    assert found == {(need.sid, action) for need in NEEDS for action in need.actions}
