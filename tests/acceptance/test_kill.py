"""After a kill at any moment, `s3vpce sweep` removes what was made: by the ledger, and by tags where that is lost."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.run import sweeping
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.sweeping import Sweeper, sweep_folder
from pytest_s3vpce.vantage import DeployedLambdaVantage, Deployment, Ledger
from tests.acceptance.conftest import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Stage

SOAK = bool(os.environ.get("S3VPCE_SOAK"))
KILLS = 20 if SOAK else 2
RUN_SECONDS = 5.0
"""About what a run of the example takes."""


def made(stage: Stage) -> set[str]:
    """Functions and roles of runs, in both accounts."""
    found = set()
    for account in ("main", "partner"):
        functions = stage.client("lambda", account).list_functions()["Functions"]
        roles = stage.client("iam", account).list_roles()["Roles"]
        names = [("function", row["FunctionName"]) for row in functions]
        names += [("role", row["RoleName"]) for row in roles if row["RoleName"] != "s3vpce-runner"]
        found |= {f"{kind} {name} of {account}" for kind, name in names if name.startswith("s3vpce-")}
    return found


def copied(stage: Stage, above: Path) -> Path:
    """A copy of the example; the stage's ready file is `ready.json` above it."""
    found = above / "example"
    shutil.copytree(EXAMPLES / "endpoint_only", found, ignore=shutil.ignore_patterns(".s3vpce"))
    (above / "ready.json").write_text(json.dumps(dict(stage.ready)), encoding="utf-8")
    assert made(stage) == set()
    return found


@pytest.fixture
def folder(stage: Stage, tmp_path: Path) -> Path:
    return copied(stage, tmp_path)


@pytest.fixture(scope="module")
def run_seconds(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> float:
    """What a run takes here and now, where there are many kills: they are to fall anywhere in it."""
    if not SOAK:
        return RUN_SECONDS
    started = time.monotonic()
    assert running(copied(stage, tmp_path_factory.mktemp("whole"))).wait() == 0
    return time.monotonic() - started


def running(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--s3vpce-lab-ready=../ready.json"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
    )


def killed(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def swept(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_s3vpce.cli", "sweep", *arguments, "--lab-ready", "../ready.json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def ledger_of(folder: Path, *, lines: int) -> Path:
    """The ledger of the run that was just started, as soon as it has that many lines."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for path in (folder / ".s3vpce").glob("run-*/ledger.jsonl"):
            if path.read_bytes().count(b"\n") >= lines:
                return path
        time.sleep(0.005)
    raise AssertionError("nothing was made")


def test_what_a_killed_run_left_is_swept_by_its_folder(stage: Stage, folder: Path) -> None:
    process = running(folder)
    run = ledger_of(folder, lines=6).parent
    inventory = load_inventory(folder / "s3vpce.yaml")
    said: list[str] = []
    with pytest.raises(RunError, match="goes on"):
        sweep_folder(run, inventory, notify=said.append, environment=stage.environment)
    killed(process)
    assert made(stage)
    assert sweep_folder(run, inventory, notify=said.append, environment=stage.environment) == []
    assert made(stage) == set()
    assert any("removing lambda_function" in line for line in said)
    assert not run.exists()


@pytest.mark.parametrize("number", range(KILLS))
def test_a_kill_at_any_moment_leaves_nothing_after_a_sweep(
    stage: Stage, folder: Path, run_seconds: float, number: int
) -> None:
    """Each second time the run's folder is lost, and with it the ledger."""
    seconds = random.random() * run_seconds
    process = running(folder)
    time.sleep(seconds)
    killed(process)
    if number % 2:
        shutil.rmtree(folder / ".s3vpce", ignore_errors=True)
        done = swept(folder, "--older-than", "0s")
    else:
        done = swept(folder)
    assert made(stage) == set(), (seconds, done.stdout, done.stderr)
    assert done.returncode == 0, (seconds, done.stdout, done.stderr)
    assert done.stdout.endswith("nothing is left\n")
    assert not list((folder / ".s3vpce").glob("run-*/ledger.jsonl"))


@pytest.fixture
def deployed(stage: Stage, folder: Path) -> RunFolder:
    """A run of this process, which has made a function and its role, and goes on."""
    run = RunFolder.create(folder)
    DeployedLambdaVantage(
        "inside",
        control=stage.operator.vantages.control("main"),
        deployment=Deployment(subnets=(stage.outputs["AppSubnet"],), security_groups=(stage.outputs["ProbeGroup"],)),
        run_id=run.run_id,
        ledger=Ledger(run.ledger),
    ).prepare()
    return run


def sweeper(stage: Stage, folder: Path, *accounts: str) -> Sweeper:
    inventory = load_inventory(folder / "s3vpce.yaml")
    return Sweeper(inventory, stage.environment, roots=[folder], accounts=accounts, notify=lambda _line: None)


def test_a_sweep_spares_what_is_not_over_and_runs_that_go_on(
    stage: Stage, folder: Path, deployed: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_SETTLING", 0.0)
    both = made(stage)
    assert len(both) == 2
    anything, nothing_yet = dt.timedelta(0), dt.timedelta(hours=1)
    # It goes on: not even by age.
    assert sweeper(stage, folder).find(older_than=anything) == ([], [])
    # Its folder is elsewhere: its tags say that it has not expired.
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    inventory = load_inventory(folder / "s3vpce.yaml")
    other = Sweeper(inventory, stage.environment, roots=[elsewhere], notify=lambda _line: None)
    assert other.sweep() == []
    assert other.sweep(older_than=nothing_yet) == []
    assert made(stage) == both
    found, unseen = other.find(older_than=anything)
    assert (len(found), unseen) == (2, [])
    assert made(stage) == both
    # Another account's are not looked for.
    partner = Sweeper(inventory, stage.environment, roots=[elsewhere], accounts=["partner"], notify=lambda _: None)
    assert partner.sweep(older_than=anything) == []
    assert made(stage) == both
    assert other.sweep(older_than=anything) == []
    assert made(stage) == set()
    # The ledger does not know; what is gone counts as removed.
    deployed.tidy(keep=True)
    assert len(sweeper(stage, folder).find()[0]) == 2
    assert sweeper(stage, folder, "partner").sweep() == []
    assert deployed.path.exists()
    assert sweeper(stage, folder).sweep() == []
    assert not deployed.path.exists()


def test_functions_and_roles_of_others_are_never_taken(stage: Stage, folder: Path) -> None:
    iam = stage.client("iam")
    tags = [{"Key": "s3vpce:owner", "Value": "ana"}, {"Key": "s3vpce:created", "Value": "2020-01-01T00:00:00Z"}]
    iam.create_role(RoleName="s3vpce-theirs", AssumeRolePolicyDocument="{}", Tags=tags)
    try:
        assert sweeper(stage, folder).sweep(older_than=dt.timedelta(0)) == []
        assert made(stage) == {"role s3vpce-theirs of main"}
    finally:
        iam.delete_role(RoleName="s3vpce-theirs")


def test_an_account_that_can_not_be_looked_at_is_said(stage: Stage, folder: Path) -> None:
    path = folder / "s3vpce.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("111122223333", "999999999999"), encoding="utf-8")
    done = swept(folder, "--dry-run")
    assert done.returncode == 1
    assert "roles of account main could not be looked at" in done.stderr
    assert "credentials belong to `111122223333`" in done.stderr
    assert made(stage) == set()
