"""Inventories in labs that enforce all, whose runners have what `s3vpce permissions` prints and nothing else."""

from __future__ import annotations

import copy
import datetime as dt
import json
import os
import re
import secrets
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import S3VpceError, VantageError
from pytest_s3vpce.expectations import find_expectations, load_expectations, plan_cells
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.run.doctor import examine
from pytest_s3vpce.run.evidencing import evidenced
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.keeping import Keepers
from pytest_s3vpce.run.needs import Mode
from pytest_s3vpce.run.operator import Operator
from pytest_s3vpce.run.permissions import permissions
from pytest_s3vpce.run.planes import Planes, world_of
from pytest_s3vpce.run.sweeping import Sweeper, sweep_folder
from pytest_s3vpce.snapshot import closed_port
from pytest_s3vpce.vantage import Kind, Ledger, agent_zip, marks
from pytest_s3vpce.vantage.deployment import TRUST, interfaces_policy
from pytest_s3vpce.vantage.removal import MARK
from pytest_s3vpce.vantage.ssm import RunCommand
from tests.acceptance import faulty
from tests.acceptance.faulty import Call, Fault, Reply, Way

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_s3vpce.matrix import Matrix
    from pytest_s3vpce.vantage import ControlPlane
    from tests.acceptance.conftest import Stage

RUNNER: Final = "s3vpce-runner"
BUCKET: Final = "scratch-of-the-rights"
EVERYTHING: Final = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}

_FIRST: Final = {
    "ssm:CancelCommand": "cancelled",
    "s3:ListBucketVersions": "leftover",
    "ec2:DescribeSecurityGroups": "closed",
    "s3:AbortMultipartUpload": "leftover",
    **dict.fromkeys(
        (
            "iam:ListRoleTags",
            "lambda:ListTags",
            "organizations:DescribeOrganization",
            "organizations:ListPolicies",
            "organizations:ListTagsForResource",
            "s3:GetBucketTagging",
            "s3:ListAllMyBuckets",
            "s3:ListBucketMultipartUploads",
        ),
        "sweep",
    ),
}
"""Where it shows soonest that an action is missing."""

Pair = tuple[str, str]
"""A statement's Sid, and one of its actions."""


class Guarded:
    """An inventory in a lab that enforces all, whose runners have what is printed and nothing else."""

    mode = Mode.CREATE

    def __init__(self, stage: Stage, inventory: Path) -> None:
        """Each first answer to a creation is lost on the way: what was made has to be found again."""
        self.stage = stage
        self._way = Way(stage.ready["endpoint_url"])
        self.denied: set[str] = set()
        """The operations that were, of the runners' own."""
        self._way.faults = (
            Fault(after=self._note),
            Fault(only="(iam|lambda):Create(Role|Function)", after=faulty.first_answers_lost()),
        )
        connection = replace(stage.environment.connection, endpoint_url=self._way.url)
        self.environment = replace(stage.environment, connection=connection)
        self.inventory = load_inventory(inventory)
        self.root = inventory.parent
        self.plan = plan_cells(
            [load_expectations(path, self.inventory) for path in find_expectations(self.root)], self.inventory
        )
        for name in self.inventory.accounts:  # what references stand for is looked up with rights of some kind
            self.may(name, EVERYTHING)
        self.prepare()
        printed = permissions(self.inventory, self.environment, mode=self.mode)
        self.policies = {row.name: row.runner for row in printed.accounts if row.runner["Statement"]}
        for account, document in self.policies.items():
            self.may(account, document)
        for role, trust in printed.trust.items():
            iam = stage.client("iam", self.account_of(role))
            iam.update_assume_role_policy(RoleName=role.rpartition("/")[2], PolicyDocument=json.dumps(trust))

    def prepare(self) -> None:
        """What has to be there before, made with all rights."""

    def account_of(self, arn: str) -> str:
        return next(name for name, row in self.inventory.accounts.items() if row.id == arn.split(":")[4])

    def may(self, account: str, document: Mapping[str, Any]) -> None:
        iam = self.stage.client("iam", account)
        with suppress(iam.exceptions.NoSuchEntityException):
            iam.detach_role_policy(RoleName=RUNNER, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
        if document["Statement"]:
            iam.put_role_policy(RoleName=RUNNER, PolicyName="printed", PolicyDocument=json.dumps(document))
        else:
            iam.delete_role_policy(RoleName=RUNNER, PolicyName="printed")

    def run(self) -> Matrix:
        """All that is declared, and what is made removed; AssertionError where something is left."""
        folder = RunFolder.create(self.root)
        operator = Operator(self.inventory, self.environment, folder, notify=lambda _: None, strict=False)
        names = [*(row.id for row in self.plan.cells), *(row.id for row in self.plan.claims)]
        try:
            return operator.run(self.plan, set(filter(self.takes, names)))
        finally:
            left = operator.sweep()
            folder.tidy(keep=False)
            assert left == []

    def takes(self, name: str) -> bool:
        """Whether a cell or claim is run."""
        return bool(name)

    def ways(self) -> dict[str, Callable[[], Any]]:
        """All that can be told: what a sweep can't see, the matrix, the doctor's words."""
        return {"sweep": self.swept, "matrix": lambda: told(self.run()), "doctor": self.examined}

    def swept(self) -> list[str]:
        sweeper = Sweeper(self.inventory, self.environment, roots=[self.root], notify=lambda _: None)
        return [str(row) for row in sweeper.sweep()]

    def examined(self) -> list[tuple[str, str]]:
        return [(check.subject, check.state.value) for check in examine(self.inventory, self.environment)]

    def control(self, account: str) -> ControlPlane:
        world = world_of(self.inventory, self.environment, run_id="looks")
        return Planes(world, self.environment).of(account)

    def closed(self, account: str) -> bool:
        """That a group lets no http out explains why a probe got no answer."""
        group = self.stage.outputs[f"ClosedGroup-{account}"]
        return closed_port(self.control(account).client("ec2"), [group], port=80) is not None

    def all_told(self) -> dict[str, Any]:
        return {name: way() for name, way in self.ways().items()}

    def breaks(self, wanted: Mapping[str, Any], *, action: str) -> bool:
        """Whether anything is not as it was; what is known to take the action is looked at first."""
        self.denied.clear()
        first = _FIRST.get(action, "")
        ways = sorted(self.ways().items(), key=lambda row: not (first and row[0].startswith(first)))
        try:
            return any(way() != wanted[name] for name, way in ways)
        except (S3VpceError, AssertionError):
            return True

    def _note(self, call: Call, reply: Reply) -> Reply:
        if reply.status >= 400 and re.search(rb"AccessDenied|UnauthorizedOperation", reply.body):
            self.denied.add(f"{call.service}:{call.operation}")
        return reply

    def restore(self) -> None:
        """What could not be removed for want of a right, removed with all that are printed."""

    def close(self) -> None:
        """What `prepare` made, removed."""
        self._way.stop()


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


def pairs(document: Mapping[str, Any]) -> list[Pair]:
    return [(row["Sid"], action) for row in document["Statement"] for action in row["Action"]]


def without(document: Mapping[str, Any], pair: Pair) -> dict[str, Any]:
    sid, action = pair
    found = copy.deepcopy(dict(document))
    for row in found["Statement"]:
        if row["Sid"] == sid:
            row["Action"].remove(action)
    found["Statement"] = [row for row in found["Statement"] if row["Action"]]
    return found


class Wide(Guarded):
    """Instances and functions that are there, an instance and a canary that runs make, and what killed runs leave."""

    def ways(self) -> dict[str, Callable[[], Any]]:
        found = {**super().ways(), "leftover": self.leftover}
        for account in self.policies:
            found[f"closed {account}"] = partial(self.closed, account)
            found[f"cancelled {account}"] = partial(self.cancelled, account)
        return found

    def leftover(self) -> list[str]:
        """A canary of a run that died before S3 told its version, and an upload, taken by a sweep."""
        folder = self.root / ".s3vpce" / "run-0123abcd"
        folder.mkdir(parents=True, exist_ok=True)
        key = ".s3vpce/canary-0123abcd"
        self.stage.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"left")
        ledger = Ledger(folder / "ledger.jsonl")
        self.stage.client("s3").create_multipart_upload(Bucket=BUCKET, Key=key)
        for kind in (Kind.S3_OBJECT, Kind.S3_UPLOAD):
            ledger.creating(kind, account="main", region="eu-west-1", identifier=f"{BUCKET}/{key}")
        os.utime(ledger.path, (0, 0))
        return [
            str(row)
            for row in sweep_folder(folder, self.inventory, notify=lambda _: None, environment=self.environment)
        ]

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
            faulty._sleep(0.1)
        ssm.cancel_command(CommandId=command)
        return status


class Deploying(Guarded):
    """`s3vpce deploy` and `undeploy` of one kept function."""

    mode = Mode.DEPLOY

    def prepare(self) -> None:
        self._text = (self.root / "s3vpce.yaml").read_text(encoding="utf-8")

    def ways(self) -> dict[str, Callable[[], Any]]:
        return {
            "created": lambda: self._keepers(128).deploy(notify=lambda _: None),
            "up to date": lambda: self._keepers(128).deploy(notify=lambda _: None),
            "updated": lambda: self._keepers(256).deploy(notify=lambda _: None),
            "removed": lambda: self._keepers(256).undeploy(notify=lambda _: None),
        }

    def restore(self) -> None:
        assert self._keepers(256).undeploy(notify=lambda _: None) == {"app-subnet": []}

    def _keepers(self, memory: int) -> Keepers:
        path = self.root / "s3vpce.yaml"
        path.write_text(self._text.replace("memory: 128", f"memory: {memory}"), encoding="utf-8")
        return Keepers(load_inventory(path), self.environment)


class Sweeping(Guarded):
    """Whoever cleans up after all runs and calibrations, in each account."""

    mode = Mode.SWEEP

    def ways(self) -> dict[str, Callable[[], Any]]:
        return {"sweep": self.cleaned}

    def cleaned(self) -> list[str]:
        """What a sweep leaves of all that can be left."""
        run = secrets.token_hex(4)
        for account, subnet in (("main", "AppSubnet"), ("partner", "PartnerSubnet")):
            leave(self.stage, account, run=run, subnet=self.stage.outputs[subnet])
        s3, folder = self.stage.client("s3"), self.root / ".s3vpce" / f"run-{run}"
        s3.put_object(Bucket=BUCKET, Key=f".s3vpce/canary-{run}", Body=b"left")
        s3.create_multipart_upload(Bucket=BUCKET, Key=f".s3vpce/canary-{run}")
        folder.mkdir(parents=True)
        ledger = Ledger(folder / "ledger.jsonl")
        policy = s3.get_bucket_policy(Bucket=BUCKET)["Policy"]
        ledger.creating(Kind.BUCKET_POLICY, account="main", region="eu-west-1", identifier=BUCKET, content=policy)
        os.utime(ledger.path, (0, 0))
        return self._swept_all()

    def restore(self) -> None:
        assert self._swept_all() == []

    def _swept_all(self) -> list[str]:
        sweeper = Sweeper(self.inventory, self.environment, roots=[self.root], notify=lambda _: None)
        left = sweeper.sweep(older_than=dt.timedelta(0))
        found, unseen = sweeper.find(older_than=dt.timedelta(0))
        return [str(row) for row in (*left, *found, *unseen)]


def leave(stage: Stage, account: str, *, run: str, subnet: str) -> None:
    """One of each kind that is found without a ledger, as runs and calibrations make them."""
    name, number = f"s3vpce-{run}-left", stage.inventory.accounts[account].id
    tags = {MARK: name, **marks.of_run(run, owner="ana")}
    rows = [{"Key": key, "Value": value} for key, value in tags.items()]
    iam, ec2 = stage.client("iam", account), stage.client("ec2", account)
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), Tags=rows)["Role"]["Arn"]
    iam.put_role_policy(**interfaces_policy(name))
    stage.client("lambda", account).create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Handler="agent.handler",
        Code={"ZipFile": agent_zip()},
        Tags=tags,
    )

    def tagged(kind: str) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": rows}]

    ec2.run_instances(
        ImageId="ami-12345678", MinCount=1, MaxCount=1, SubnetId=subnet, TagSpecifications=tagged("instance")
    )
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    group = ec2.create_security_group(
        GroupName=name, Description="left", VpcId=vpc, TagSpecifications=tagged("security-group")
    )["GroupId"]
    ec2.create_vpc_endpoint(
        VpcEndpointType="Interface",
        VpcId=vpc,
        ServiceName="com.amazonaws.eu-west-1.s3",
        SubnetIds=[subnet],
        SecurityGroupIds=[group],
        PrivateDnsEnabled=False,
        TagSpecifications=tagged("vpc-endpoint"),
    )
    leave_bucket(stage, account, bucket=f"s3vpce-calibration-{run}-{number}", point=f"s3vpce-{run}", tags=rows)
    leave_policy(stage.client("organizations", account), name=name, target=number, tags=rows)


def leave_bucket(stage: Stage, account: str, *, bucket: str, point: str, tags: list[dict[str, str]]) -> None:
    s3, number = stage.client("s3", account), stage.inventory.accounts[account].id
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    s3.put_object(Bucket=bucket, Key="one")
    s3.create_multipart_upload(Bucket=bucket, Key="begun")
    points = stage.environment.connection.client(stage.session(account), "s3control")
    points.create_access_point(AccountId=number, Name=point, Bucket=bucket)


def leave_policy(organizations: Any, *, name: str, target: str, tags: list[dict[str, str]]) -> None:
    denied = {"Effect": "Deny", "Action": "s3:GetObjectAcl", "Resource": "arn:aws:s3:::s3vpce-nothing-is-here/*"}
    made = organizations.create_policy(
        Name=name,
        Description="left",
        Type="SERVICE_CONTROL_POLICY",
        Content=json.dumps({"Version": "2012-10-17", "Statement": [denied]}),
        Tags=tags,
    )
    organizations.attach_policy(PolicyId=made["Policy"]["PolicySummary"]["Id"], TargetId=target)


class Keeping(Guarded):
    """Runs with functions that were deployed before."""

    mode = Mode.KEEP

    def prepare(self) -> None:
        deployed = Keepers(self.inventory, self.environment).deploy(notify=lambda _: None)
        assert set(deployed.values()) == {"created"}

    def ways(self) -> dict[str, Callable[[], Any]]:
        found: dict[str, Callable[[], Any]] = {"matrix": lambda: told(self.run()), "doctor": self.examined}
        return {**found, **{f"closed {account}": partial(self.closed, account) for account in self.policies}}

    def close(self) -> None:
        for account in self.policies:
            self.may(account, EVERYTHING)
        left = Keepers(self.inventory, self.environment).undeploy(notify=lambda _: None)
        assert not any(left.values())
        super().close()


class Assuming(Guarded):
    """Runs from where AWS has no part in."""

    mode = Mode.ASSUME

    def ways(self) -> dict[str, Callable[[], Any]]:
        return {"matrix": lambda: told(self.run())}


class Open(Guarded):
    """Claims that a bucket is not public, and that nobody but administrators can delete a policy."""

    def takes(self, name: str) -> bool:
        return name.startswith(("not-public/", "break-glass/"))


class Recorded(Guarded):
    """Logs that show what was sent."""

    def ways(self) -> dict[str, Callable[[], Any]]:
        return {"unread": self.unread, **super().ways()}

    def unread(self) -> list[str]:
        """The logs that could not be read for a run's requests."""
        matrix = self.run()
        world = world_of(self.inventory, self.environment, run_id=matrix.run_id)
        notes = evidenced(matrix, world, self.environment, notify=lambda _: None).notes
        return [note for note in notes if "could not be read" in note]
