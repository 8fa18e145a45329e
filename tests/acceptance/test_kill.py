"""After a kill, the ledger in the run folder is enough to remove what was made."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.run.sweeping import sweep_folder
from tests.acceptance.conftest import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Stage


def made(stage: Stage) -> set[str]:
    """Functions and roles of runs, in both accounts."""
    found = set()
    for account in ("main", "partner"):
        functions = stage.client("lambda", account).list_functions()["Functions"]
        roles = stage.client("iam", account).list_roles()["Roles"]
        names = [*(row["FunctionName"] for row in functions), *(row["RoleName"] for row in roles)]
        found |= {f"{account}/{name}" for name in names if name.startswith("s3vpce-") and name != "s3vpce-runner"}
    return found


def test_what_a_killed_run_left_is_swept(stage: Stage, tmp_path: Path) -> None:
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLES / "endpoint_only", folder, ignore=shutil.ignore_patterns(".s3vpce"))
    ready = stage.root / "ready.json"
    ready.write_text(json.dumps(dict(stage.ready)), encoding="utf-8")
    assert made(stage) == set()
    running = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--s3vpce-lab-ready={ready}"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
    )
    deadline = time.monotonic() + 30
    while len(made(stage)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert made(stage)
    (run,) = (folder / ".s3vpce").glob("run-*")
    inventory = load_inventory(folder / "s3vpce.yaml")
    said: list[str] = []
    assert sweep_folder(run, inventory, notify=said.append, environment=stage.environment) == []
    assert made(stage) == set()
    assert any("removing lambda_function" in line for line in said)
    assert not run.exists()
