"""Several workers: one lab, one deployment and one run of probes for both, and nothing left afterwards."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.report.json import read

if TYPE_CHECKING:
    from tests.plugin.conftest import Example, SharedLab

SOAK = bool(os.environ.get("S3VPCE_SOAK"))
PROVE = """
import pytest

@pytest.mark.parametrize("place", ["internet", "nat-subnet"])
def test_app_is_denied(s3vpce, place):
    assert s3vpce.probe("s3:GetObject", bucket="reports", principal="app", vantage=place).denied
"""


def calls(lab: SharedLab, *, since: int) -> Counter[tuple[str, int]]:
    """How often each service gave each status. CreateFunction is what Lambda answers with 201.

    https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
    """
    with lab.log.open(encoding="utf-8") as log:
        log.seek(since)
        rows = [json.loads(line) for line in log]
    return Counter((row["service"], row["status"]) for row in rows)


CONFTEST = """
from pathlib import Path
from pytest_s3vpce import report

check = report.check

def counted(path):
    with Path(__file__).with_name("checks").open("a") as file:
        file.write("x")
    check(path)

report.check = counted
"""


@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.skipif(not SOAK, reason="`make soak`"))])
def test_workers_deploy_and_probe_once(example: Example, shared_lab: SharedLab, in_lab: str, workers: int) -> None:
    """And what the command line says of reports is checked once, before there are any."""
    example.pytester.makepyfile(test_more=PROVE)
    example.pytester.makeconftest(CONFTEST)
    before = shared_lab.log.stat().st_size
    result = example.run(in_lab, "-n", str(workers), "--s3vpce-report=report.json")
    made = calls(shared_lab, since=before)
    result.assert_outcomes(passed=44)
    assert (example.path / "checks").read_text(encoding="utf-8") == "x"
    inventory = load_inventory(example.path / "s3vpce.yaml")
    functions = [name for name, row in inventory.vantage_points.items() if row.lambda_ is not None]
    assert made["lambda", 201] == len(functions) == 3
    assert len(read(example.path / "report.json").cells) == 36
    assert shared_lab.functions() == shared_lab.roles() == set()
    assert not example.run_folders


@pytest.mark.skipif(not SOAK, reason="`make soak`")
def test_four_workers_start_one_instance(example: Example, shared_lab: SharedLab, in_lab: str) -> None:
    iam = shared_lab.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName="xdist", AssumeRolePolicyDocument=document)
    iam.attach_role_policy(RoleName="xdist", PolicyArn="arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore")
    iam.create_instance_profile(InstanceProfileName="xdist")
    iam.add_role_to_instance_profile(InstanceProfileName="xdist", RoleName="xdist")
    example.replace("s3vpce.yaml", "  app-subnet:  {lambda: {", "  app-subnet:  {ec2: {profile: xdist, ")
    example.replace("s3vpce.yaml", 'subnets: ["${out:AppSubnet}"]', 'subnet: "${out:AppSubnet}"')
    before = started(shared_lab)
    example.run(in_lab, "-n", "4").assert_outcomes(passed=42)
    assert [state for name, state in started(shared_lab).items() if name not in before] == ["terminated"]


def started(lab: SharedLab) -> dict[str, str]:
    """All instances that there were, and what has become of them."""
    answer = lab.client("ec2").describe_instances()
    rows = (row for group in answer["Reservations"] for row in group["Instances"])
    return {row["InstanceId"]: row["State"]["Name"] for row in rows}


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
