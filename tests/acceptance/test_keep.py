"""Functions that are kept: deployed once, used by runs that create nothing, brought up to date, taken away."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.run.doctor import examine
from pytest_s3vpce.run.keeping import Keepers
from pytest_s3vpce.run.sweeping import Sweeper
from pytest_s3vpce.vantage import agent
from tests.acceptance.conftest import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.acceptance.conftest import Stage

FUNCTION = "s3vpce-kept-app-subnet"
POINT = '{lambda: {keep: true, subnets: {tags: {tier: app}}, security_groups: ["${out:ProbeGroup}"]}}'


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def folder(stage: Stage, tmp_path: Path) -> Iterator[Path]:
    """A copy of the example whose first vantage point is kept, in the subnet with the tag."""
    found = tmp_path / "example"
    shutil.copytree(EXAMPLES / "endpoint_only", found, ignore=shutil.ignore_patterns(".s3vpce"))
    (tmp_path / "ready.json").write_text(json.dumps(dict(stage.ready)), encoding="utf-8")
    path = found / "s3vpce.yaml"
    edit(path, '{lambda: {subnets: ["${out:AppSubnet}"], security_groups: ["${out:ProbeGroup}"]}}', POINT)
    stage.client("ec2").create_tags(Resources=[stage.outputs["AppSubnet"]], Tags=[{"Key": "tier", "Value": "app"}])
    yield found
    keepers(stage, found).undeploy(notify=lambda _line: None)
    assert functions(stage) == set()


def keepers(stage: Stage, folder: Path) -> Keepers:
    return Keepers(load_inventory(folder / "s3vpce.yaml"), stage.environment)


def functions(stage: Stage) -> set[str]:
    rows = stage.client("lambda").list_functions()["Functions"]
    return {row["FunctionName"] for row in rows if row["FunctionName"].startswith("s3vpce-")}


def configuration(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.client("lambda").get_function_configuration(FunctionName=FUNCTION)
    return found


def tool(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_s3vpce.cli", *arguments, "--lab-ready", "../ready.json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--s3vpce-lab-ready=../ready.json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_kept_function_from_deploy_to_undeploy(stage: Stage, folder: Path) -> None:
    missing = run(folder)
    assert missing.returncode == 1
    assert f"its function `{FUNCTION}` is not deployed in account `main`, eu-west-1" in missing.stdout
    assert "run `s3vpce deploy`" in missing.stdout

    made = tool(folder, "deploy")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.endswith("app-subnet: created\n")
    assert functions(stage) == {FUNCTION}
    again = tool(folder, "deploy")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "app-subnet: up to date")

    passed = run(folder)
    assert passed.returncode == 0, passed.stdout
    assert functions(stage) == {FUNCTION}
    inventory = load_inventory(folder / "s3vpce.yaml")
    checks = {row.subject: row for row in examine(inventory, stage.environment)}
    assert checks["vantage point app-subnet"].found == f"function {FUNCTION} is deployed, up to date and Active"
    sweeper = Sweeper(inventory, stage.environment, roots=[folder], notify=lambda _line: None)
    assert sweeper.sweep() == []
    assert functions(stage) == {FUNCTION}

    gone = tool(folder, "undeploy")
    assert (gone.returncode, gone.stderr) == (0, "")
    assert gone.stdout.endswith("nothing is left\n")
    assert functions(stage) == set()
    roles = [row["RoleName"] for row in stage.client("iam").list_roles()["Roles"]]
    assert FUNCTION not in roles
    assert tool(folder, "undeploy").returncode == 0


def test_what_is_made_says_whose_it_is(stage: Stage, folder: Path) -> None:
    keepers(stage, folder).deploy(notify=lambda _line: None)
    found = configuration(stage)
    tags = stage.client("lambda").list_tags(Resource=found["FunctionArn"])["Tags"]
    assert tags["s3vpce:kept"] == "app-subnet"
    assert tags["s3vpce:owner"].startswith("arn:aws:sts::111122223333:assumed-role/s3vpce-runner/")
    assert found["Description"].endswith(tags["s3vpce:content"])
    assert "s3vpce:run" not in tags
    rows = stage.client("iam").list_role_tags(RoleName=FUNCTION)["Tags"]
    assert {row["Key"] for row in rows} == {
        f"s3vpce:{key}" for key in ("kept", "created", "content", "owner", "region")
    }


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("memory: 256", {"MemorySize": 256}),
        ("runtime: python3.12", {"Runtime": "python3.12"}),
        (
            "kms_key: 'arn:aws:kms:eu-west-1:111122223333:key/1-a'",
            {"KMSKeyArn": "arn:aws:kms:eu-west-1:111122223333:key/1-a"},
        ),
    ],
)
def test_a_setting_that_changes_is_deployed(stage: Stage, folder: Path, setting: str, shown: dict[str, Any]) -> None:
    keepers(stage, folder).deploy(notify=lambda _line: None)
    before = configuration(stage)
    edit(folder / "s3vpce.yaml", "keep: true,", f"keep: true, {setting},")
    checks = {row.subject: row for row in examine(load_inventory(folder / "s3vpce.yaml"), stage.environment)}
    stale = checks["vantage point app-subnet"]
    assert stale.in_the_way
    assert "is not what the inventory and this version say it is" in stale.words
    assert "run `s3vpce deploy` to bring it up to date" in stale.words
    assert keepers(stage, folder).deploy(notify=lambda _line: None) == {"app-subnet": "updated"}
    after = configuration(stage)
    assert {key: after[key] for key in shown} == shown
    assert after["Description"] != before["Description"]
    edit(folder / "s3vpce.yaml", f"keep: true, {setting},", "keep: true,")
    assert keepers(stage, folder).deploy(notify=lambda _line: None) == {"app-subnet": "updated"}
    restored = configuration(stage)
    assert all((restored.get(key) or None) == (before.get(key) or None) for key in (*shown, "Description"))


def test_subnets_that_get_the_tag_are_deployed_though_nothing_is_written_anew(stage: Stage, folder: Path) -> None:
    keepers(stage, folder).deploy(notify=lambda _line: None)
    assert configuration(stage)["VpcConfig"]["SubnetIds"] == [stage.outputs["AppSubnet"]]
    other = stage.outputs["NatSubnet"]
    ec2 = stage.client("ec2")
    ec2.create_tags(Resources=[other], Tags=[{"Key": "tier", "Value": "app"}])
    try:
        assert keepers(stage, folder).deploy(notify=lambda _line: None) == {"app-subnet": "updated"}
        assert set(configuration(stage)["VpcConfig"]["SubnetIds"]) == {stage.outputs["AppSubnet"], other}
    finally:
        ec2.delete_tags(Resources=[other], Tags=[{"Key": "tier"}])


def test_a_new_agent_is_deployed(stage: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pytest_s3vpce.vantage.kept.agent.AGENT", "0123456789ab")
        patch.setattr("pytest_s3vpce.vantage.lambda_.agent.AGENT", agent.AGENT)
        keepers(stage, folder).deploy(notify=lambda _line: None)
    assert keepers(stage, folder).deploy(notify=lambda _line: None) == {"app-subnet": "updated"}
    assert keepers(stage, folder).deploy(notify=lambda _line: None) == {"app-subnet": "up to date"}


def test_what_is_not_ours_is_left_alone(stage: Stage, folder: Path) -> None:
    keepers(stage, folder).deploy(notify=lambda _line: None)
    client = stage.client("lambda")
    arn = configuration(stage)["FunctionArn"]
    client.untag_resource(Resource=arn, TagKeys=["s3vpce:kept"])
    for found in (
        keepers(stage, folder).deploy(notify=lambda _line: None),
        keepers(stage, folder).undeploy(notify=lambda _line: None),
    ):
        error = found["app-subnet"]
        assert isinstance(error, VantageError)
        assert re.search(f"function `{FUNCTION}` is there, and `s3vpce deploy` did not make it", str(error))
    done = tool(folder, "deploy")
    assert done.returncode == 1
    assert "did not make it" in done.stderr
    client.tag_resource(Resource=arn, Tags={"s3vpce:kept": "app-subnet"})
