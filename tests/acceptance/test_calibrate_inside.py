"""`s3vpce calibrate` from inside of a VPC in the lab: http by endpoints, endpoint policies, another Region's S3."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from pytest_s3vpce.calibratecommand import calibrate
from pytest_s3vpce.calibration import Calibration, Finding, read
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.lab.process import start_lab
from pytest_s3vpce.run.calibrating import inside, measuring
from pytest_s3vpce.run.calibrating.experiments import EXPERIMENTS
from pytest_s3vpce.run.calibrating.scratch import Scratch
from pytest_s3vpce.sweepcommand import sweep
from pytest_s3vpce.undocumented import RULES
from tests.acceptance.calibrationrights import RUNNER, client, restrict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from click.testing import Result

ACCOUNT = "111122223333"
INVENTORY = f"""\
accounts:
  scratch: {{id: "{ACCOUNT}", region: eu-west-1}}
principals:
  nobody: {{anonymous: true}}
vantage_points:
  app: {{lambda: {{subnets: ["${{out:Closed}}"], security_groups: ["${{out:Group}}"]}}}}
  narrow: {{lambda: {{subnets: ["${{out:Closed}}"], security_groups: ["${{out:Narrow}}"]}}}}
  out: {{lambda: {{subnets: ["${{out:Open}}"], security_groups: ["${{out:Group}}"]}}}}
  here: local
buckets:
  reports: {{name: "reports-{ACCOUNT}", canary: {{key: canary}}}}
"""
PROVISION = """\
def provision(accounts):
    ec2 = accounts["scratch"].client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    closed, open_ = (
        ec2.create_subnet(VpcId=vpc, CidrBlock=block)["Subnet"]["SubnetId"] for block in ("10.1.1.0/24", "10.1.2.0/24")
    )
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=closed)
    ec2.create_vpc_endpoint(VpcId=vpc, ServiceName="com.amazonaws.eu-west-1.s3", RouteTableIds=[table])
    group = ec2.create_security_group(GroupName="probe", Description="probe", VpcId=vpc)["GroupId"]
    narrow = ec2.create_security_group(GroupName="narrow", Description="https alone", VpcId=vpc)["GroupId"]
    every = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.revoke_security_group_egress(GroupId=narrow, IpPermissions=[every])
    https = {**every, "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    ec2.authorize_security_group_egress(GroupId=narrow, IpPermissions=[https])
    return {"Closed": closed, "Open": open_, "Group": group, "Narrow": narrow}
"""
FAR = "eu-central-1"
EVERYTHING = ("--inside", "app", "--with-endpoint", "--other-region", FAR)
HERE = {name for name, row in EXPERIMENTS.items() if "inside" in row.takes and "partner" not in row.takes}
"""What takes a partner takes an organization: it is tried out where there is one."""
RULES_INSIDE = {name: rule for name, rule in RULES.items() if rule.experiment in HERE}


LABS = [None, *([0, 1, 2] if os.environ.get("S3VPCE_SOAK") else [])]


@pytest.fixture(scope="module", params=LABS, ids=["assumed", "flipped", "flipped again", "flipped twice"][: len(LABS)])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    """A lab, and which of the other values it has."""
    folder = tmp_path_factory.mktemp("inside")
    (folder / "s3vpce.yaml").write_text(INVENTORY, encoding="utf-8")
    (folder / "provision.py").write_text(PROVISION, encoding="utf-8")
    (folder / "flips.json").write_text(flipped(request.param).to_json(), encoding="utf-8")
    running = start_lab(
        folder / "lab",
        accounts={"scratch": (ACCOUNT, "eu-west-1")},
        provision=folder / "provision.py",
        calibration=folder / "flips.json",
        enforce=Enforcement.ALL,
    )
    try:
        restrict(client(running.ready_file, "iam"))
        yield folder, request.param
    finally:
        running.stop()


def values(number: int | None) -> dict[str, str]:
    """What a lab does otherwise; one without http has none whose transport could be read."""
    if number is None:
        return {}
    rows = {name: rule.others[number] for name, rule in RULES_INSIDE.items() if number < len(rule.others)}
    if number == 0:
        rows["propagation/endpoint-policy"] = "0.5"
    else:
        rows["http/gateway-transport"] = RULES["http/gateway-transport"].others[number - 1]
    return rows


def flipped(number: int | None) -> Calibration:
    rows = {name: Finding(rule=name, value=value) for name, value in values(number).items()}
    return Calibration(made="2026-01-01T00:00:00Z", mode="lab", findings=rows)


def run(folder: Path, *arguments: str, only: Collection[str] = HERE) -> Result:
    ready = str(folder / "lab" / "ready.json")
    words = [word for name in sorted(only) for word in ("--only", name)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(inside, "_MARKERS", dict(list(inside._MARKERS.items())[:1]))
        patch.setattr(measuring, "_PAUSE", 0.05)
        return CliRunner().invoke(
            calibrate, ["--account", "scratch", "--lab-ready", ready, "--output", "found.json", *words, *arguments]
        )


def test_what_is_seen_from_inside_is_found_and_nothing_is_left(lab: tuple[Path, int | None]) -> None:
    folder, number = lab
    done = run(folder, *EVERYTHING)
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    found = read(folder / "found.json").findings
    wanted = {name: rule.assumed for name, rule in RULES_INSIDE.items() if rule.assumed} | values(number)
    measure = "propagation/endpoint-policy"
    seconds = float(wanted.pop(measure, "0"))
    if number == 0:
        wanted["http/gateway-transport"] = "not allowed: connect_timeout"
    assert {name: (found[name].value, found[name].detail) for name in wanted if found[name].value != wanted[name]} == {}
    assert seconds <= float(found[measure].value) <= seconds + 2
    assert left(folder) == []
    assert list((folder / ".s3vpce").glob("run-*")) == []


def left(folder: Path) -> list[str]:
    """What a calibration made and did not take away."""
    ready = folder / "lab" / "ready.json"
    ec2 = client(ready, "ec2")
    found = [row["VpcEndpointId"] for row in ec2.describe_vpc_endpoints()["VpcEndpoints"] if row.get("Tags")]
    found += [row["GroupName"] for row in ec2.describe_security_groups()["SecurityGroups"]]
    found += [row["Name"] for row in client(ready, "s3").list_buckets()["Buckets"]]
    found += [row["RoleName"] for row in client(ready, "iam").list_roles()["Roles"]]
    found += [row["FunctionName"] for row in client(ready, "lambda").list_functions()["Functions"]]
    return [name for name in found if name not in ("default", "probe", "narrow", RUNNER)]


def test_what_a_killed_one_left_is_swept(lab: tuple[Path, int | None], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, number = lab
    if number is not None:
        return
    monkeypatch.setattr(Scratch, "remove", lambda _self, _planes: [])
    assert run(folder, "--inside", "app", "--with-endpoint", only=["endpoints"]).exit_code == 0
    assert len(left(folder)) == 9  # an endpoint, its group, a bucket, five roles, a function
    (run_folder,) = (folder / ".s3vpce").glob("run-*")
    swept = CliRunner().invoke(sweep, [str(run_folder), "--lab-ready", str(folder / "lab" / "ready.json")])
    assert swept.exit_code == 0, swept.output
    assert left(folder) == []


def test_where_no_gateway_endpoint_leads_it_is_told(lab: tuple[Path, int | None]) -> None:
    folder, number = lab
    if number is not None:
        return
    done = run(folder, "--inside", "out", only=["gateways"])
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    found = read(folder / "found.json").findings
    assert found["http/gateway"].value.endswith("is a gateway endpoint; this one leads there by none")
    assert str(run(folder, "--inside", "here", only=["gateways"]).exception) == (
        f"{folder}/s3vpce.yaml:9:9: there is no vantage point `here` of account `scratch` that is a function made in "
        "subnets; name one of the kind `lambda: {subnets: ..., security_groups: ...}`"
    )


def test_a_network_that_lets_no_http_through_settles_nothing(lab: tuple[Path, int | None]) -> None:
    folder, number = lab
    if number is not None:
        return
    done = run(folder, "--inside", "narrow", only=["gateways"])
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    found = read(folder / "found.json").findings["http/gateway"]
    assert (found.decided, found.detail) == (False, "by http: connect_timeout")
    assert found.value.startswith("not let through: no egress rule of security groups `sg-")


def test_every_rule_of_these_is_flipped_in_every_way() -> None:
    every = {(name, value) for name, rule in RULES_INSIDE.items() for value in rule.others}
    assert every - {row for number in (0, 1, 2) for row in values(number).items()} == set()
    hidden = {values(number)["http/gateway-transport"] for number in (1, 2)}
    assert hidden == {*RULES["http/gateway-transport"].others}
