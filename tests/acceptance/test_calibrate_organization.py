"""`s3vpce calibrate --organization` in the lab: what a denial by a policy of the organization says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from pytest_s3vpce.calibratecommand import calibrate
from pytest_s3vpce.calibration import Calibration, Finding, read
from pytest_s3vpce.lab.process import start_lab
from pytest_s3vpce.run.calibrating import measuring
from pytest_s3vpce.undocumented import RULES, UNNAMED
from tests.acceptance.calibrationrights import client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

ACCOUNTS = {
    "top": ("444455556666", "eu-west-1"),
    "scratch": ("111122223333", "eu-west-1"),
    "other": ("333344445555", "eu-west-1"),
    "lone": ("2" * 12, "eu-west-1"),
}
INVENTORY = f"""\
accounts:
{"".join(f'  {name}: {{id: "{number}", region: {region}}}{chr(10)}' for name, (number, region) in ACCOUNTS.items())}\
principals:
  nobody: {{anonymous: true}}
vantage_points:
  app: {{lambda: {{account: scratch, subnets: ["${{out:Subnet}}"], security_groups: ["${{out:Group}}"]}}}}
  here: local
buckets:
  reports: {{name: "reports", canary: {{key: canary}}}}
"""
ORGANIZATION = "management: top\naccounts: [scratch, other]\n"
FLIPS = {
    "message/scp-explicit": UNNAMED,
    "message/rcp-explicit": "rcp implicit",
    "propagation/organization-policy": "0.4",
    "message/endpoint-across-accounts": "vpc_endpoint explicit",
    "message/resource-implicit": UNNAMED,
}
PROVISION = """\
def provision(accounts):
    ec2 = accounts["scratch"].client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="probe", Description="probe", VpcId=vpc)["GroupId"]
    return {"Subnet": subnet, "Group": group}
"""
BY_ORGANIZATION = ("--only", "organizations", "--organization", "top")
ACROSS = ("--only", "other accounts", "--inside", "app", "--with-endpoint", "--partner")


@pytest.fixture(scope="module", params=[{}, FLIPS], ids=["assumed", "flipped"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    folder = tmp_path_factory.mktemp("organization")
    rows = {name: Finding(rule=name, value=value) for name, value in request.param.items()}
    made = Calibration(made="2026-01-01T00:00:00Z", mode="lab", findings=rows)
    for name, text in (
        ("s3vpce.yaml", INVENTORY),
        ("organization.yaml", ORGANIZATION),
        ("flips.json", made.to_json()),
        ("provision.py", PROVISION),
    ):
        (folder / name).write_text(text, encoding="utf-8")
    running = start_lab(
        folder / "lab",
        accounts=ACCOUNTS,
        organization=folder / "organization.yaml",
        provision=folder / "provision.py",
        calibration=folder / "flips.json",
    )
    try:
        yield folder, request.param
    finally:
        running.stop()


def run(folder: Path, account: str, *more: str) -> Result:
    ready = str(folder / "lab" / "ready.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(measuring, "_PAUSE", 0.05)
        given = ["--lab-ready", ready, "--output", "found.json", *more]
        return CliRunner().invoke(calibrate, ["--account", account, *given])


def policies(folder: Path) -> list[str]:
    """What is in the organization besides the policies that every one has."""
    kinds = ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY")
    rows = [
        row["Name"]
        for kind in kinds
        for row in client(folder / "lab" / "ready.json", "organizations", account="top").list_policies(Filter=kind)[
            "Policies"
        ]
    ]
    return [name for name in rows if "FullAWSAccess" not in name]


def test_denials_by_the_organization_are_read_and_its_policies_go_again(lab: tuple[Path, dict[str, str]]) -> None:
    folder, flips = lab
    done = run(folder, "scratch", *BY_ORGANIZATION)
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    found = read(folder / "found.json").findings
    for name in ("message/scp-explicit", "message/rcp-explicit"):
        assert found[name].value == flips.get(name, RULES[name].assumed), found[name].detail
    assert found["message/scp-implicit"].value.startswith("not run: needs FullAWSAccess")
    seconds = float(flips.get("propagation/organization-policy", 0))
    assert seconds <= float(found["propagation/organization-policy"].value) <= seconds + 2
    assert policies(folder) == []


def test_an_account_of_no_organization_tells_nothing(lab: tuple[Path, dict[str, str]]) -> None:
    folder, flips = lab
    if flips:
        return
    done = run(folder, "lone", *BY_ORGANIZATION)
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    found = read(folder / "found.json").findings
    assert re.match(r"(Account|Target)NotFoundException: ", found["message/scp-explicit"].value)
    assert found["propagation/organization-policy"].value == "no policy was attached"
    assert policies(folder) == []


def test_denials_across_accounts_are_read_and_the_partners_bucket_goes_again(lab: tuple[Path, dict[str, str]]) -> None:
    folder, flips = lab
    done = run(folder, "scratch", *ACROSS, "other")
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    found = read(folder / "found.json").findings
    for name in ("message/endpoint-across-accounts", "message/resource-implicit"):
        assert found[name].value == flips.get(name, RULES[name].assumed), found[name].detail
    for account in ("scratch", "other"):
        assert client(folder / "lab" / "ready.json", "s3", account=account).list_buckets()["Buckets"] == []


def test_a_partner_of_no_organization_tells_nothing(lab: tuple[Path, dict[str, str]]) -> None:
    folder, flips = lab
    if flips:
        return
    done = run(folder, "scratch", *ACROSS, "lone")
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    found = read(folder / "found.json").findings
    assert {found[name].value for name, rule in RULES.items() if rule.experiment == "other accounts"} == {
        "not run: needs --partner an account that is seen to be of the same organization"
    }
