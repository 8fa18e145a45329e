"""What `s3vpce permissions` prints is what runs need: with exactly that they work, and without any one action not.

The lab enforces all: https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.errors import S3VpceError, VantageError
from pytest_s3vpce.expectations import find_expectations, load_expectations, plan_cells
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.run.doctor import examine
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.keeping import Keepers
from pytest_s3vpce.run.operator import Operator
from pytest_s3vpce.run.permissions import Mode, permissions
from pytest_s3vpce.run.planes import Planes, world_of
from pytest_s3vpce.run.sweeping import Sweeper, sweep_folder
from pytest_s3vpce.snapshot import closed_port
from pytest_s3vpce.vantage import ControlPlane, DeployedLambdaVantage, Deployment, Kind, Ledger, agent_zip
from pytest_s3vpce.vantage.removal import remove
from pytest_s3vpce.vantage.ssm import RunCommand
from tests.acceptance.conftest import EXAMPLES, Stage, staged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pytest_s3vpce.matrix import Matrix

EXAMPLE = EXAMPLES / "endpoint_only"
RUNNER = "s3vpce-runner"
BUCKET = "scratch-of-the-rights"
APP = '{role: "${out:AppRoleArn}", session_tags: {team: probes}, source_identity: tester}'
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
SOAK = bool(os.environ.get("S3VPCE_SOAK"))


class Guarded:
    """An inventory in a lab that enforces all, whose runners have what is printed and nothing else."""

    def __init__(self, stage: Stage, inventory: Path) -> None:
        self.stage = stage
        self.inventory = load_inventory(inventory)
        self.root = inventory.parent
        self.plan = plan_cells(
            [load_expectations(path, self.inventory) for path in find_expectations(self.root)], self.inventory
        )
        for name in self.inventory.accounts:  # what references stand for is looked up with rights of some kind
            self.may(name, EVERYTHING)
        printed = permissions(self.inventory, stage.environment)
        self.policies = {row.name: row.runner for row in printed.accounts}
        for row in printed.accounts:
            self.may(row.name, row.runner)
        for role, trust in printed.trust.items():
            iam = stage.client("iam", self.account_of(role))
            iam.update_assume_role_policy(RoleName=role.rpartition("/")[2], PolicyDocument=json.dumps(trust))

    def account_of(self, arn: str) -> str:
        return next(name for name, row in self.inventory.accounts.items() if row.id == arn.split(":")[4])

    def may(self, account: str, document: Mapping[str, Any]) -> None:
        iam = self.stage.client("iam", account)
        with suppress(iam.exceptions.NoSuchEntityException):
            iam.detach_role_policy(RoleName=RUNNER, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
        iam.put_role_policy(RoleName=RUNNER, PolicyName="printed", PolicyDocument=json.dumps(document))

    def run(self) -> Matrix:
        """All that is declared, and what is made removed; AssertionError where something is left."""
        environment = self.stage.environment
        folder = RunFolder.create(self.root)
        operator = Operator(self.inventory, environment, folder, notify=lambda _: None, strict=False)
        names = [*(row.id for row in self.plan.cells), *(row.id for row in self.plan.claims)]
        try:
            return operator.run(self.plan, set(names))
        finally:
            left = operator.sweep()
            folder.tidy(keep=False)
            assert left == []

    def ways(self) -> Iterator[tuple[str, Any]]:
        """All that can be told, quick things first: what a sweep can't see, the doctor's words, the matrix."""
        sweeper = Sweeper(self.inventory, self.stage.environment, roots=[self.root], notify=lambda _: None)
        yield "sweep", [str(row) for row in sweeper.sweep()]
        yield "doctor", [(check.subject, check.state) for check in examine(self.inventory, self.stage.environment)]
        yield "matrix", told(self.run())

    def breaks(self, wanted: Mapping[str, Any]) -> bool:
        """Whether anything is not as it was."""
        try:
            return any(found != wanted[name] for name, found in self.ways())
        except (S3VpceError, AssertionError):
            return True


def told(matrix: Matrix) -> dict[str, Any]:
    """What a matrix says, without what differs from run to run."""
    cells = {
        row.id: (row.measured.outcome, row.measured.layer, row.measured.code, row.passed, row.controlled, row.hint)
        for row in matrix.cells
    }
    claims = {
        row.id: (row.verdict, row.sentence, [item.status for item in row.evidence], asdict(row.coverage))
        for row in matrix.claims
    }
    return {"cells": cells, "claims": claims, "paths": {row.name: row.path for row in matrix.vantages}}


def without(document: Mapping[str, Any], action: str) -> dict[str, Any]:
    found = copy.deepcopy(dict(document))
    for row in found["Statement"]:
        row["Action"] = [name for name in row["Action"] if name != action]
    found["Statement"] = [row for row in found["Statement"] if row["Action"]]
    return found


def actions(document: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for row in document["Statement"] for name in row["Action"]))


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A lab that enforces all, with the example in it."""
    with staged("endpoint_only", tmp_path_factory.mktemp("strict"), enforce=Enforcement.ALL) as made:
        for account in made.inventory.accounts:
            deploy(made, account)
        manage(made)
        yield made


def manage(stage: Stage) -> None:
    """The partner has its rights by a managed policy as well."""
    iam = stage.client("iam", "partner")
    document = iam.get_role_policy(RoleName="partner", PolicyName="buckets")["PolicyDocument"]
    policy = iam.create_policy(PolicyName="buckets", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="partner", PolicyArn=policy)


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


@pytest.fixture
def example(strict: Stage, tmp_path: Path) -> Guarded:
    """The example as it is: functions and roles that runs make."""
    for path in EXAMPLE.glob("*.yaml"):
        shutil.copy(path, tmp_path)
    return Guarded(strict, tmp_path / "s3vpce.yaml")


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
    refer(strict)
    s3 = strict.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
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
    strict.client("cloudformation").create_stack(StackName="rights", TemplateBody=json.dumps(template))
    key = strict.client("kms").create_key()["KeyMetadata"]["Arn"]
    strict.client("ssm").put_parameter(Name="/s3vpce/key", Value=key, Type="SecureString")


def closed_group(ec2: Any, subnet: str) -> str:
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    group = str(ec2.create_security_group(GroupName="closed", Description="lets nothing out", VpcId=vpc)["GroupId"])
    out = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=out)
    return group


class Wide(Guarded):
    """Instances and functions that are there, an instance and a canary that runs make, and what killed runs leave."""

    def ways(self) -> Iterator[tuple[str, Any]]:
        yield "leftover", self.leftover()
        for account in self.policies:
            yield f"closed {account}", self.closed(account) is not None
            yield f"cancelled {account}", self.cancelled(account)
        yield "again", self.again()
        yield from super().ways()

    def leftover(self) -> list[str]:
        """A canary of a run that died before S3 told its version, taken by a sweep."""
        folder = self.root / ".s3vpce" / "run-0123abcd"
        folder.mkdir(parents=True, exist_ok=True)
        key = ".s3vpce/canary-0123abcd"
        self.stage.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"left")
        ledger = Ledger(folder / "ledger.jsonl")
        ledger.creating(Kind.S3_OBJECT, account="main", region="eu-west-1", identifier=f"{BUCKET}/{key}")
        os.utime(ledger.path, (0, 0))
        return [
            str(row)
            for row in sweep_folder(folder, self.inventory, notify=lambda _: None, environment=self.stage.environment)
        ]

    def again(self) -> list[str]:
        """What was made, but whose answers were lost, is found to be there and the run's own."""
        outputs = self.stage.outputs
        given = Deployment(subnets=(outputs["NatSubnet"],), security_groups=(outputs["ProbeGroup"],))
        path = self.root / "again.jsonl"
        path.unlink(missing_ok=True)
        ledger = Ledger(path)
        control = self.control("main")
        root = ControlPlane(
            "main",
            session=self.stage.session("main"),
            region=control.region,
            endpoint_url=self.stage.ready["endpoint_url"],
        )
        made = [
            DeployedLambdaVantage("again", control=control, deployment=given, run_id="0123abcd", ledger=ledger)
            for _ in range(2)
        ]
        try:
            for vantage in made:
                vantage.prepare()
        finally:
            for vantage in made:
                vantage.remove()
            left = ledger.open_entries()
            for entry in reversed(left):  # by who may do all
                remove(entry, root)
        return [str(row) for row in left]

    def control(self, account: str) -> ControlPlane:
        world = world_of(self.inventory, self.stage.environment, run_id="looks")
        return Planes(world, self.stage.environment).of(account)

    def closed(self, account: str) -> str | None:
        """That a group lets no http out explains why a probe got no answer."""
        group = self.stage.outputs[f"ClosedGroup-{account}"]
        return closed_port(self.control(account).client("ec2"), [group], port=80)

    def cancelled(self, account: str) -> str:
        """A command that is not waited for any longer ends there too."""
        instance = self.stage.outputs[f"Instance-{account}"]
        commands = RunCommand(self.control(account), instance, seconds=30, error=VantageError)
        command = commands.send("sleep 20")
        commands._cancel(command)
        ssm = self.stage.client("ssm", account)
        for _ in range(50):
            status = str(ssm.get_command_invocation(CommandId=command, InstanceId=instance)["Status"])
            if status == "Cancelled":
                return status
            time.sleep(0.1)
        ssm.cancel_command(CommandId=command)
        return status


@pytest.fixture
def wide(furnished: Stage, tmp_path: Path) -> Wide:
    text = (EXAMPLE / "s3vpce.yaml").read_text(encoding="utf-8")
    before, _, rest = text.partition("vantage_points:\n")
    _, _, after = rest.partition("buckets:\n")
    before = before.replace('{role: "${out:AppRoleArn}"}', APP)
    (tmp_path / "s3vpce.yaml").write_text(before + POINTS + after, encoding="utf-8")
    expectations = (EXAMPLE / "test_reports.access.yaml").read_text(encoding="utf-8")
    head, claims, rest = expectations.partition("\nclaims:")
    (tmp_path / "test_reports.access.yaml").write_text(head + SCRATCH + claims + rest, encoding="utf-8")
    return Wide(furnished, tmp_path / "s3vpce.yaml")


def works(guarded: Guarded) -> dict[str, Any]:
    """What can be told with all rights, where that is what it should be."""
    found = dict(guarded.ways())
    assert {row[0] for row in found["matrix"]["claims"].values()} == {"proven"}
    assert {row[3] for row in found["matrix"]["cells"].values()} == {True}
    assert {state for _, state in found["doctor"]} <= {"ok", "unknown"}
    assert found["sweep"] == []
    return found


def surplus(guarded: Guarded, *, chosen: Callable[[str], bool] = lambda _: True) -> list[str]:
    """The actions that may go without anything breaking."""
    wanted = works(guarded)
    found = []
    for account, document in guarded.policies.items():
        for action in filter(chosen, actions(document)):
            guarded.may(account, without(document, action))
            if not guarded.breaks(wanted):
                found.append(f"{account}: {action}")
        guarded.may(account, document)
    assert works(guarded) == wanted
    return found


def test_the_example_runs_with_exactly_what_is_printed_and_breaks_without_some(example: Guarded) -> None:
    assert surplus(example, chosen=lambda action: action in ("lambda:ListFunctions", "iam:PassRole")) == []


def test_everything_else_runs_with_exactly_what_is_printed(wide: Wide) -> None:
    found = works(wide)
    assert found["leftover"] == []
    assert {found[f"cancelled {account}"] for account in wide.policies} == {"Cancelled"}
    assert {found[f"closed {account}"] for account in wide.policies} == {True}


class Deploying(Guarded):
    """`s3vpce deploy` and `undeploy` of one kept function."""

    def ways(self) -> Iterator[tuple[str, Any]]:
        for step, memory in (("created", 128), ("up to date", 128), ("updated", 256)):
            yield step, self._keepers(memory).deploy(notify=lambda _: None)
        yield "removed", self._keepers(256).undeploy(notify=lambda _: None)

    def _keepers(self, memory: int) -> Keepers:
        text = (EXAMPLE / "s3vpce.yaml").read_text(encoding="utf-8")
        kept = f"app-subnet:  {{lambda: {{keep: true, memory: {memory}, "
        path = self.root / "s3vpce.yaml"
        path.write_text(text.replace("app-subnet:  {lambda: {", kept), encoding="utf-8")
        return Keepers(load_inventory(path), self.stage.environment)


@pytest.fixture
def deploying(strict: Stage, tmp_path: Path) -> Deploying:
    for path in EXAMPLE.glob("*.yaml"):
        shutil.copy(path, tmp_path)
    made = Deploying(strict, tmp_path / "s3vpce.yaml")
    made._keepers(128)
    inventory = load_inventory(tmp_path / "s3vpce.yaml")
    rows = permissions(inventory, strict.environment, mode=Mode.DEPLOY).accounts
    made.policies = {row.name: row.runner for row in rows if row.name == "main"}
    made.may("main", made.policies["main"])
    return made


DEPLOYED = {
    "created": {"app-subnet": "created"},
    "up to date": {"app-subnet": "up to date"},
    "updated": {"app-subnet": "updated"},
    "removed": {"app-subnet": []},
}


def test_a_deployer_has_exactly_what_is_printed(deploying: Deploying) -> None:
    assert dict(deploying.ways()) == DEPLOYED


@pytest.mark.skipif(not SOAK, reason="each action takes a whole deployment: `make soak`")
def test_a_deployer_can_do_without_no_action(deploying: Deploying) -> None:
    document = deploying.policies["main"]
    found = []
    for action in actions(document):
        deploying.may("main", without(document, action))
        if not deploying.breaks(DEPLOYED):
            found.append(action)
        deploying.may("main", document)
        assert deploying._keepers(256).undeploy(notify=lambda _: None) == {"app-subnet": []}
    assert found == []


@pytest.mark.skipif(not SOAK, reason="each action takes a whole run: `make soak`")
def test_the_example_breaks_without_any_one_action(example: Guarded) -> None:
    """But for what finds again what was made and whose answer was lost: that is among everything else."""
    found_again = {"lambda:GetFunction", "iam:GetRole"}
    assert surplus(example, chosen=lambda action: action not in found_again) == []


@pytest.mark.skipif(not SOAK, reason="each action takes a whole run: `make soak`")
def test_everything_else_breaks_without_any_one_action(wide: Wide) -> None:
    assert surplus(wide) == []
