"""`s3vpce calibrate` in the lab: what it finds, that it leaves nothing, and what its file changes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from click.testing import CliRunner

from pytest_s3vpce.calibratecommand import calibrate
from pytest_s3vpce.calibration import RULES, read
from pytest_s3vpce.errors import RunError
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.lab.process import start_lab
from pytest_s3vpce.run.calibrating.experiments import EXPERIMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

ACCOUNT = "111122223333"
RUNNER = "s3vpce-runner"
PAGE = (Path(__file__).parent.parent.parent / "docs" / "calibration.md").read_text(encoding="utf-8")
INVENTORY = f"""\
accounts:
  scratch: {{id: "{ACCOUNT}", region: eu-west-1}}
principals:
  nobody: {{anonymous: true}}
vantage_points:
  here: local
buckets:
  reports: {{name: "reports-{ACCOUNT}", canary: {{key: canary}}}}
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder, accounts = tmp_path_factory.mktemp("lab"), {"scratch": (ACCOUNT, "eu-west-1")}
    lab = start_lab(folder, accounts=accounts, enforce=Enforcement.ALL)
    try:
        _restrict(client(lab.ready_file, "iam"))
        yield lab.ready_file
    finally:
        lab.stop()


def _restrict(iam: Any) -> None:
    """The account's administrator may do what the page says, and nothing else."""
    iam.detach_role_policy(RoleName=RUNNER, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    actions = sorted(set(re.findall(r"`((?:iam|sts|ec2|s3|lambda):[A-Z*][A-Za-z]*)`", PAGE)))
    assert "s3:ListAllMyBuckets" in actions
    rights = {"Effect": "Allow", "Action": [*actions, "s3:*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rights]})
    iam.put_role_policy(RoleName=RUNNER, PolicyName="page", PolicyDocument=policy)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("calibrate")
    (made / "s3vpce.yaml").write_text(INVENTORY, encoding="utf-8")
    return made


def run(folder: Path, *arguments: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return CliRunner().invoke(calibrate, arguments)


def client(ready: Path, service: str) -> Any:
    row = json.loads(ready.read_text(encoding="utf-8"))
    keys = row["accounts"]["scratch"]
    session: Any = boto3.Session(
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
        region_name="eu-west-1",
    )
    return session.client(service, endpoint_url=row["endpoint_url"])


@pytest.fixture(scope="module")
def done(folder: Path, ready: Path) -> Result:
    return run(
        folder, "--account", "scratch", "--lab-ready", str(ready), "--output", "calibration.json", "--with-function"
    )


def test_every_rule_is_tried_and_the_lab_does_what_is_assumed(folder: Path, done: Result) -> None:
    assert done.exit_code == 0, done.output
    found = read(folder / "calibration.json")
    assert found.findings.keys() == RULES.keys()
    assert {name: (row.value, row.detail) for name, row in found.findings.items() if not row.agrees} == {}
    assert all(row.request_ids for row in found.findings.values())
    assert (found.mode, found.account, found.region) == ("lab", ACCOUNT, "eu-west-1")
    assert f"{len(RULES)} of {len(RULES)} rules are as assumed, 0 are not, in account {ACCOUNT}" in done.stdout


def test_nothing_of_it_is_left(folder: Path, ready: Path, done: Result) -> None:
    assert done.exit_code == 0
    assert client(ready, "s3").list_buckets()["Buckets"] == []
    assert [row["RoleName"] for row in client(ready, "iam").list_roles()["Roles"]] == ["s3vpce-runner"]
    assert list((folder / ".s3vpce").glob("run-*")) == []


def test_a_calibration_that_fails_takes_away_what_it_made(folder: Path, ready: Path) -> None:
    """The bucket's policy can't be put: an SCP would do that to an administrator."""

    def forbid(*_: object, **__: object) -> None:
        raise RunError("no more of this")

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EXPERIMENTS, "order", forbid)
        found = run(folder, "--account", "scratch", "--lab-ready", str(ready))
    assert isinstance(found.exception, RunError)
    assert client(ready, "s3").list_buckets()["Buckets"] == []
    assert [row["RoleName"] for row in client(ready, "iam").list_roles()["Roles"]] == ["s3vpce-runner"]
    assert list((folder / ".s3vpce").glob("run-*")) == []


def test_another_account_or_file_is_told(folder: Path, ready: Path) -> None:
    found = run(folder, "--account", "other", "--lab-ready", str(ready))
    assert str(found.exception) == "there is no account `other`; known are scratch"


def test_the_page_tells_every_experiment() -> None:
    assert re.findall(r"^\| ([a-z ]+) \|", PAGE, re.MULTILINE) == ["experiment", *EXPERIMENTS]
    assert {rule.experiment for rule in RULES.values()} <= EXPERIMENTS.keys()
