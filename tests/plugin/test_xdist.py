"""Two workers: one lab, one deployment and one run of probes for both, and nothing left afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.report.json import read

if TYPE_CHECKING:
    from tests.plugin.conftest import Example, SharedLab

PROVE = """
import pytest

@pytest.mark.parametrize("place", ["internet", "nat-subnet"])
def test_app_is_denied(s3vpce, place):
    assert s3vpce.probe("s3:GetObject", bucket="reports", principal="app", vantage=place).denied
"""


def created(log: str) -> int:
    """CreateFunction is what Lambda answers with 201.

    https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
    """
    rows = [json.loads(line) for line in log.splitlines()]
    return sum(row["service"] == "lambda" and row["status"] == 201 for row in rows)


def test_two_workers_deploy_and_probe_once(example: Example, shared_lab: SharedLab, in_lab: str) -> None:
    before = shared_lab.log.stat().st_size
    example.pytester.makepyfile(test_more=PROVE)
    result = example.run(in_lab, "-n", "2", "--s3vpce-report=report.json")
    result.assert_outcomes(passed=44)
    with shared_lab.log.open(encoding="utf-8") as log:
        log.seek(before)
        text = log.read()
    inventory = load_inventory(example.path / "s3vpce.yaml")
    functions = [name for name, row in inventory.vantage_points.items() if row.lambda_ is not None]
    assert created(text) == len(functions) == 3
    assert len(read(example.path / "report.json").cells) == 36
    assert shared_lab.functions() == shared_lab.roles() == set()
    assert not example.run_folders


def test_two_workers_share_an_embedded_lab_of_their_own(example: Example) -> None:
    provision = example.path / "provision.py"
    text = provision.read_text(encoding="utf-8")
    counted = "from pathlib import Path\nwith Path(__file__).with_name('runs').open('a') as file: file.write('x')\n"
    provision.write_text(text + counted, encoding="utf-8")
    example.run("--s3vpce-lab", "-n", "2", "-k", "internet").assert_outcomes(passed=9)
    assert (example.path / "runs").read_text(encoding="utf-8") == "x"
    assert not example.run_folders


def test_an_error_of_the_run_reaches_the_items_of_both_workers(example: Example) -> None:
    result = example.run("--s3vpce-lab-ready=no-such.json", "-n", "2", "-k", "GetObject and app-subnet")
    result.assert_outcomes(errors=3)
    assert sum("ready file `no-such.json` can't be read" in line for line in result.outlines) >= 3
