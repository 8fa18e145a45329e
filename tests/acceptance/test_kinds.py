"""Every kind of vantage point gives the example the same matrix: instances by SSM, any command, a package's own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce import kinds
from pytest_s3vpce.errors import S3VpceError, VantageError
from pytest_s3vpce.expectations import find_expectations, load_expectations, plan_cells
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.model import SignedRequest
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.operator import Operator
from pytest_s3vpce.run.preview import preview
from pytest_s3vpce.vantage import boto
from pytest_s3vpce.vantage.relay import Relay
from tests.plugin import boto_calls
from tests.sshd import sshd

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.matrix import Matrix
    from pytest_s3vpce.vantage import Vantage
    from tests.acceptance.conftest import Stage

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "endpoint_only"
INTERNET = '{command: ["%s", "-"]}' % sys.executable  # noqa: UP031 - braces


class Example:
    """The example with other vantage points, against the stage's lab."""

    def __init__(self, stage: Stage, folder: Path, points: Mapping[str, str], **outputs: str) -> None:
        self.folder = folder
        for path in EXAMPLE.glob("*.yaml"):
            shutil.copy(path, folder)
        text = (folder / "s3vpce.yaml").read_text(encoding="utf-8")
        for name, point in points.items():
            (line,) = re.findall(rf"(?m)^  {name}: .*$", text)
            text = text.replace(line, f"  {name}: {point}")
        (folder / "s3vpce.yaml").write_text(text, encoding="utf-8")
        self.inventory = load_inventory(folder / "s3vpce.yaml")
        self.said: list[str] = []
        self.plan = plan_cells(
            [load_expectations(path, self.inventory) for path in find_expectations(folder)], self.inventory
        )
        environment = replace(stage.environment, outputs={**stage.outputs, **outputs})
        self.operator = Operator(
            self.inventory, environment, RunFolder.create(folder), notify=self.said.append, strict=False
        )

    def run(self) -> Matrix:
        names = [*(row.id for row in self.plan.cells), *(row.id for row in self.plan.claims)]
        return self.operator.run(self.plan, set(names))


def told(matrix: Matrix) -> dict[str, Any]:
    """What a matrix says, without what differs from run to run."""
    cells = {
        row.id: (row.expect, row.measured.outcome, row.measured.layer, row.measured.code, row.passed, row.controlled)
        for row in matrix.cells
    }
    claims = {row.id: (row.verdict, len(row.evidence)) for row in matrix.claims}
    return {"cells": cells, "claims": claims, "paths": {row.name: row.path for row in matrix.vantages}}


@pytest.fixture(scope="module")
def wanted(stage: Stage) -> dict[str, Any]:
    """What Lambda functions and this machine say."""
    found = told(stage.run())
    assert {verdict for verdict, _ in found["claims"].values()} == {"proven"}
    assert {row[4] for row in found["cells"].values()} == {True}
    return found


@pytest.fixture(scope="module")
def profiles(stage: Stage) -> dict[str, str]:
    """An instance profile in each account, as SSM wants it."""
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    for account in ("main", "partner"):
        iam = stage.client("iam", account)
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName="probe", AssumeRolePolicyDocument=document)
        iam.attach_role_policy(RoleName="probe", PolicyArn="arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore")
        iam.create_instance_profile(InstanceProfileName="probe")
        iam.add_role_to_instance_profile(InstanceProfileName="probe", RoleName="probe")
    return dict.fromkeys(("main", "partner"), "probe")


@pytest.fixture(scope="module")
def instances(stage: Stage, profiles: dict[str, str]) -> dict[str, str]:
    """An instance in each of the example's subnets, beside its functions."""
    made = {}
    for name, account, group in (
        ("AppSubnet", "main", "ProbeGroup"),
        ("NatSubnet", "main", "ProbeGroup"),
        ("PartnerSubnet", "partner", "PartnerProbeGroup"),
    ):
        answer = stage.client("ec2", account).run_instances(
            ImageId="ami-12345678",
            InstanceType="t4g.nano",
            MinCount=1,
            MaxCount=1,
            SubnetId=stage.outputs[name],
            SecurityGroupIds=[stage.outputs[group]],
            IamInstanceProfile={"Name": profiles[account]},
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": f"probe in {name}"}]}],
        )
        made[name.replace("Subnet", "Instance")] = answer["Instances"][0]["InstanceId"]
    return made


def test_instances_and_a_command_give_the_same_matrix_as_functions_and_this_machine(
    stage: Stage, wanted: dict[str, Any], instances: dict[str, str], tmp_path: Path
) -> None:
    points = {
        "app-subnet": '{ec2: {instance: "${out:AppInstance}"}}',
        "nat-subnet": "{ec2: {tags: {Name: probe in NatSubnet}}}",
        "partner-vpc": '{ec2: {account: partner, instance: "${out:PartnerInstance}"}}',
        "internet": INTERNET,
    }
    example = Example(stage, tmp_path, points, **instances)
    matrix = example.run()
    assert told(matrix) == wanted
    assert {row.name: row.kind for row in matrix.vantages} == {
        "app-subnet": "ec2",
        "nat-subnet": "ec2",
        "partner-vpc": "ec2",
        "internet": "command",
    }
    assert f"vantage point nat-subnet is instance {instances['NatInstance']}" in example.said
    assert not any((example.operator._folder.path).glob("ledger*"))
    # another process of the same run finds the same instances
    again = Operator(
        example.inventory,
        example.operator.environment,
        example.operator._folder,
        notify=lambda _: None,
        strict=False,
    )
    assert again.vantages.get("nat-subnet").instance == instances["NatInstance"]  # type: ignore[attr-defined]


def test_an_instance_started_for_the_run_gives_the_same_and_is_terminated(
    stage: Stage, wanted: dict[str, Any], profiles: dict[str, str], tmp_path: Path
) -> None:
    made = 'subnet: "${out:AppSubnet}", security_groups: ["${out:ProbeGroup}"], profile: %s' % profiles["main"]  # noqa: UP031
    example = Example(stage, tmp_path, {"app-subnet": f"{{ec2: {{{made}, tags: {{cost: probes}}}}}}"})
    text = preview(example.plan, example.inventory, {row.id for row in example.plan.cells})
    assert "vantage point app-subnet: an EC2 instance in account main, ${out:AppSubnet}" in text
    assert "and about $0.0050 for each hour or part of it that the instances run" in text
    try:
        assert told(example.run()) == wanted
        started = running(stage)
        assert len(started) == 1
        assert {"Key": "cost", "Value": "probes"} in started[0]["Tags"]
    finally:
        assert example.operator.sweep() == []
    assert running(stage) == []


def running(stage: Stage) -> list[dict[str, Any]]:
    answer = stage.client("ec2").describe_instances(
        Filters=[
            {"Name": "tag-key", "Values": ["s3vpce:run"]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
    )
    return [row for group in answer["Reservations"] for row in group["Instances"]]


def test_a_command_with_noise_on_the_way_gives_the_same(stage: Stage, wanted: dict[str, Any], tmp_path: Path) -> None:
    script = f"echo Welcome to the bastion; echo warning >&2; {shlex.quote(sys.executable)} -; echo logout"
    example = Example(stage, tmp_path, {"internet": f"{{command: [sh, -c, {json.dumps(script)}]}}"})
    try:
        assert told(example.run()) == wanted
    finally:
        assert example.operator.sweep() == []


def test_a_command_over_a_real_ssh_gives_the_same(stage: Stage, wanted: dict[str, Any], tmp_path: Path) -> None:
    with sshd(tmp_path) as ssh:
        folder = tmp_path / "example"
        folder.mkdir()
        example = Example(stage, folder, {"internet": json.dumps({"command": [*ssh, sys.executable, "-"]})})
        try:
            assert told(example.run()) == wanted
        finally:
            assert example.operator.sweep() == []


@pytest.fixture
def by_ssm(stage: Stage, instances: dict[str, str], tmp_path: Path) -> Vantage:
    """An instance from which the internet is reached."""
    example = Example(stage, tmp_path, {"nat-subnet": '{ec2: {instance: "${out:NatInstance}"}}'}, **instances)
    return example.operator.vantages.get("nat-subnet")


def test_boto3_gives_the_same_over_ssm_as_directly(stage: Stage, by_ssm: Vantage) -> None:
    stage.client("s3").create_bucket(Bucket="calls", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    made = boto.client(
        "s3",
        relay=Relay(by_ssm, client="boto3", principal="root", record=lambda _: None),
        signing=boto.Signing(session=stage.session("main")),
        region="eu-west-1",
    )
    found = []
    for s3 in (made, stage.client("s3")):
        record = boto_calls.Record()
        boto_calls._objects(record, s3, "calls")
        boto_calls._multipart(record, s3, "calls")
        boto_calls._errors(record, s3, "calls")
        if os.environ.get("S3VPCE_SOAK"):
            boto_calls._bucket(record, s3, "calls")
        record("large", s3.put_object, Bucket="calls", Key="large", Body=bytes(range(256)) * 256)
        record("large", s3.get_object, Bucket="calls", Key="large")
        found.append(record.rows)
        for row in stage.client("s3").list_objects_v2(Bucket="calls").get("Contents", []):
            stage.client("s3").delete_object(Bucket="calls", Key=row["Key"])
    assert len(found[0]) >= 30
    for mine, other in zip(*found, strict=True):
        assert mine == other
    with pytest.raises(VantageError, match="larger than 96 KiB, all that kind `ec2` carries at a time"):
        made.put_object(Bucket="calls", Key="larger", Body=bytes(100_000))


def test_an_instances_own_credentials_sign_there(by_ssm: Vantage, instances: dict[str, str]) -> None:
    url = "https://s3.eu-west-1.amazonaws.com/calls-of-nobody/k"
    (answer,) = by_ssm.send([SignedRequest(id="a", method="GET", url=url, headers=(), ambient="eu-west-1")])
    assert answer.status == 404
    url = "https://reports-111122223333.s3.eu-west-1.amazonaws.com/k"
    (answer,) = by_ssm.send([SignedRequest(id="a", method="GET", url=url, headers=(), ambient="eu-west-1")])
    assert answer.status == 403
    assert f"assumed-role/probe/{instances['NatInstance']} is not authorized".encode() in answer.body


# --- a kind of another package ----------------------------------------------------------------------------------------


@pytest.fixture
def documented(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The package that docs/vantage.md shows, installed as its entry point says."""
    text = (ROOT / "docs" / "vantage.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(from pytest_s3vpce.vantage import ProgramVantage\n.*?)```", text, re.DOTALL)
    group, name, value = re.findall(r'\[project.entry-points."(.*?)"\]\n(\w+) = "(.*?)"', text)[0]
    assert group == kinds.GROUP
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / f"{value.partition(':')[0]}.py").write_text(code, encoding="utf-8")
    kubectl = folder / "kubectl"
    kubectl.write_text(f'#!/bin/sh\necho "$@" >> {folder}/called\nexec {sys.executable} -\n', encoding="utf-8")
    kubectl.chmod(0o755)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    found = [EntryPoint(name=name, value=value, group=group), EntryPoint(name="odd", value="json:dumps", group=group)]
    found.append(EntryPoint(name="gone", value="s3vpce_no_such_module:Kind", group=group))
    found.append(EntryPoint(name="stub", value="unittest.mock:Mock", group=group))
    monkeypatch.setattr(kinds, "entry_points", lambda **_: found)
    yield
    for module in [name for name in sys.modules if name == value.partition(":")[0]]:
        del sys.modules[module]


@pytest.mark.usefixtures("documented")
def test_the_kind_that_the_docs_show_gives_the_same(stage: Stage, wanted: dict[str, Any], tmp_path: Path) -> None:
    text = (ROOT / "docs" / "vantage.md").read_text(encoding="utf-8")
    (point,) = re.findall(r"(?m)^  cluster: +(\{pod: .*\})$", text)
    folder = tmp_path / "example"
    folder.mkdir()
    example = Example(stage, folder, {"internet": point})
    try:
        assert told(example.run()) == wanted
    finally:
        assert example.operator.sweep() == []
    assert "exec -i -n web deploy/app -- python3 -" in (tmp_path / "package" / "called").read_text(encoding="utf-8")


@pytest.mark.usefixtures("documented")
@pytest.mark.parametrize(
    ("point", "wanted_text"),
    [
        ("{odd: {}}", "kind `odd` failed: TypeError: "),
        (
            "{gone: }",
            "kind `gone` failed: ModuleNotFoundError: No module named 's3vpce_no_such_module'; see the package",
        ),
        ("{stub: {a: [b]}}", "what kind `stub` makes is no vantage point; let its entry point name a subclass of"),
        ("{pod: {namespace: '${out:Nowhere}'}}", "`${out:Nowhere}`"),
        ("{local: {ca_bundle: none.pem}}", "vantage point `internet`: there is no CA bundle `"),
    ],
)
def test_a_kind_that_fails_is_one_error_with_its_line(
    stage: Stage, point: str, wanted_text: str, tmp_path: Path
) -> None:
    folder = tmp_path / "example"
    folder.mkdir()
    example = Example(stage, folder, {"internet": point})
    with pytest.raises(S3VpceError) as caught:
        example.operator.vantages.get("internet")
    text = str(caught.value)
    assert wanted_text in text
    assert text.startswith(f"{folder / 's3vpce.yaml'}:18:")
    assert "\n" not in text


def test_what_the_inventory_names_and_is_not_there_is_told(stage: Stage, tmp_path: Path) -> None:
    example = Example(
        stage,
        tmp_path,
        {
            "app-subnet": "{ec2: {instance: i-0123456789abcdef0}}",
            "nat-subnet": "{ec2: {tags: {Name: nowhere}}}",
            "partner-vpc": "{ec2: {account: partner, region: us-east-1, tags: {Name: nowhere}}}",
            "internet": "{command: [s3vpce-no-such-command]}",
        },
    )
    for name, text in (
        ("app-subnet", "instance `i-0123456789abcdef0` is not connected to SSM"),
        ("nat-subnet", "no running instance of account `main` in eu-west-1 has Name=nowhere"),
        ("partner-vpc", "no running instance of account `partner` in us-east-1 has Name=nowhere"),
        ("internet", "command `s3vpce-no-such-command` can't be started"),
    ):
        with pytest.raises(VantageError, match=text):
            example.operator.vantages.get(name)
