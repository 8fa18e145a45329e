"""`s3vpce doctor`: what an inventory names is looked at, nothing is probed, and each problem has its remedy."""

from __future__ import annotations

import json
import re
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from pytest_s3vpce.accounts import Accounts
from pytest_s3vpce.cli import main
from pytest_s3vpce.run import doctor

if TYPE_CHECKING:
    from tests.plugin.conftest import Example, SharedLab


_STATES = ("ok", "problem", "unknown")


def _doctor(example: Example, lab: SharedLab) -> tuple[int, str]:
    path = str(example.path / "s3vpce.yaml")
    done = CliRunner().invoke(main, ["doctor", "--inventory", path, "--lab-ready", str(lab.ready_file)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.exit_code, done.output


def test_nothing_is_in_the_way_of_the_example(example: Example, shared_lab: SharedLab) -> None:
    before = shared_lab.log.read_text(encoding="utf-8")
    code, output = _doctor(example, shared_lab)
    assert code == 0, output
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert lines[-1] == "nothing is in the way of a run"
    for start in (
        "ok account main 111122223333, as arn:aws:sts::111122223333:assumed-role/",
        "ok principal app signs with ASIA",
        "ok principal anonymous signs nothing",
        "ok vantage point app-subnet a function can stand in subnet-",
        "unknown vantage point internet local: it is there when it answers",
        "ok control bucket of partner ",
    ):
        assert any(line.startswith(start) for line in lines), start
    assert any(line.startswith("ok bucket reports ") and "and its canary are there" in line for line in lines)
    after = shared_lab.log.read_text(encoding="utf-8")[len(before) :]
    assert after
    assert "PutObject" not in after
    assert "CreateFunction" not in after


_PRINCIPALS = """\
principals:
  none:  {role: "${out:NoRole}"}
  gone:  {role: "arn:aws:iam::111122223333:role/none"}
  own:   {ambient: true}
  coded: {role: "${out:AppRoleArn}", mfa: "arn:aws:iam::111122223333:mfa/ann"}
  link:  {presigned: {by: app}}
  later: {presigned: {by: coded}}
"""
_POINTS = """\
vantage_points:
  nowhere:  {lambda: {subnets: [subnet-0000], security_groups: ["${out:ProbeGroup}"]}}
  both:     {lambda: {subnets: ["${out:AppSubnet}", "${out:NatSubnet}"], security_groups: ["${out:ProbeGroup}"]}}
  groupless: {lambda: {subnets: ["${out:AppSubnet}"], security_groups: [sg-0000]}}
  function: {lambda: {function: gone}}
  instance: {ec2: {instance: i-00000000}}
  tagged:   {ec2: {tags: {role: probe}}}
  made:     {ec2: {subnet: "${out:AppSubnet}", security_groups: ["${out:ProbeGroup}"], profile: p}}
  madeless: {ec2: {subnet: "${out:AppSubnet}", security_groups: [sg-1], profile: p}}
  command:  {command: [python3, "-"]}
"""
_BUCKETS = """\
buckets:
  missing: {name: no-such-bucket-anywhere, canary: c}
  far:     {name: "${out:ControlBucket}", canary: c, region: us-east-1}
  empty:   {name: "${out:ControlBucket}", canary: none}
  made:    {name: "${out:ReportsBucket}", canary: {create: "app:app-subnet"}}
  shut:    {name: s3vpce-shut, canary: c}
"""
_SHUT = ["arn:aws:s3:::s3vpce-shut", "arn:aws:s3:::s3vpce-shut/*"]
_WORDS = {
    "principal none": ("problem", "NoRole"),
    "principal gone": ("problem", "role/none` can't be assumed"),
    "principal own": ("unknown", "the vantage point's own credentials"),
    "principal coded": ("unknown", "asks for an MFA code"),
    "principal link": ("ok", "signs as app's URL"),
    "principal later": ("unknown", "asks for an MFA code"),
    "vantage point nowhere": ("problem", "InvalidSubnetID.NotFound"),
    "vantage point both": ("ok", "a function can stand in subnet-"),
    "vantage point groupless": ("problem", "InvalidGroup.NotFound"),
    "vantage point function": ("problem", "Function not found"),
    "vantage point instance": ("problem", "InvalidInstanceID.NotFound"),
    "vantage point tagged": ("problem", "no such instance is running; start it"),
    "vantage point made": ("ok", "an instance can stand in subnet-"),
    "vantage point madeless": ("problem", "InvalidGroup"),
    "vantage point command": ("unknown", "command: it is there when it answers"),
    "bucket missing": ("problem", "there is no bucket no-such-bucket-anywhere; create it"),
    "bucket far": ("problem", "is in eu-west-1, not in us-east-1; write `region: eu-west-1`"),
    "bucket empty": ("problem", "has no canary none; put a small object there"),
    "bucket shut": ("unknown", "the account's credentials may not see from here"),
    "bucket made": ("ok", "its canary is made by each run"),
}


def test_each_problem_has_its_words(example: Example, shared_lab: SharedLab) -> None:
    s3 = shared_lab.client("s3")
    s3.create_bucket(Bucket="s3vpce-shut", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    deny = {"Effect": "Deny", "Principal": "*", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": _SHUT}
    s3.put_bucket_policy(Bucket="s3vpce-shut", Policy=json.dumps({"Statement": [deny]}))
    for section, rows in (("principals", _PRINCIPALS), ("vantage_points", _POINTS), ("buckets", _BUCKETS)):
        example.replace("s3vpce.yaml", f"{section}:\n", rows)
    code, output = _doctor(example, shared_lab)
    assert code == 1
    lines = [" ".join(line.split()) for line in output.splitlines()]
    for subject, (state, words) in _WORDS.items():
        (line,) = (line for line in lines if line.startswith(tuple(f"{one} {subject} " for one in _STATES)))
        assert line.startswith(f"{state} {subject} "), line
        assert words in line
    bad = sum(state == "problem" for state, _ in _WORDS.values())
    assert lines[-1].startswith(f"{bad} of ")


_STATES_OF_PLACES = """\
vantage_points:
  full:      {lambda: {subnets: [FULL], security_groups: ["${out:ProbeGroup}"]}}
  unmanaged: {ec2: {instance: INSTANCE}}
  offline:   {ec2: {tags: {Name: doctors-offline}}}
  failed:    {lambda: {function: failed}}
  pending:   {lambda: {function: pending}}
  asleep:    {lambda: {function: asleep}}
"""
_FUNCTIONS = {
    "failed": {"State": "Failed", "StateReasonCode": "SubnetOutOfIPAddresses", "StateReason": "no address"},
    "pending": {"State": "Pending", "StateReasonCode": "Creating"},
    "asleep": {"State": "Inactive", "StateReasonCode": "Idle"},
}
_STATE_WORDS = {
    "full": ("problem", "has no address left; free some, or name another subnet"),
    "unmanaged": ("problem", "is not managed; its agent needs a way to ssm and ssmmessages"),
    "offline": ("problem", "is ConnectionLost; its agent needs a way to ssm and ssmmessages"),
    "failed": ("problem", "function failed is Failed: no address; free addresses, or name another subnet"),
    "pending": ("problem", "is Pending: the function is still being created; run it again in a few minutes"),
    "asleep": ("ok", "function asleep is Inactive"),
}


@pytest.fixture
def places(example: Example, shared_lab: SharedLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subnet without addresses, instances that SSM does not reach, and functions in all states."""
    ec2 = shared_lab.client("ec2")
    (subnet,) = ec2.describe_subnets(Filters=[{"Name": "cidr-block", "Values": ["10.20.1.0/24"]}])["Subnets"]
    names: tuple[dict[str, Any], ...] = (
        {},
        {"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "doctors-offline"}]}]},
    )
    made = [
        ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1, SubnetId=subnet["SubnetId"], **named)
        for named in names
    ]
    first = made[0]["Instances"][0]["InstanceId"]
    text = _STATES_OF_PLACES.replace("INSTANCE", first).replace("FULL", subnet["SubnetId"])
    example.replace("s3vpce.yaml", "vantage_points:\n", text)
    whole = Accounts.client

    def client(self: Accounts, service: str, **named: Any) -> Any:
        real = whole(self, service, **named)
        stubs: dict[str, Any] = {
            "lambda": SimpleNamespace(get_function_configuration=lambda FunctionName: _FUNCTIONS[FunctionName]),  # noqa: N803
            "ssm": SimpleNamespace(describe_instance_information=_information(first)),
            "ec2": _Full(real),
        }
        return stubs.get(service, real)

    monkeypatch.setattr(Accounts, "client", client)


def _information(unmanaged: str) -> Any:
    def told(Filters: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        rows = [] if Filters[0]["Values"] == [unmanaged] else [{"PingStatus": "ConnectionLost"}]
        return {"InstanceInformationList": rows}

    return told


class _Full:
    """EC2, whose subnets have no address left."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def describe_subnets(self, **asked: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._real.describe_subnets(**asked)
        return {"Subnets": [{**row, "AvailableIpAddressCount": 0} for row in found["Subnets"]]}


@pytest.mark.usefixtures("places")
def test_each_state_of_a_place_has_its_remedy(example: Example, shared_lab: SharedLab) -> None:
    code, output = _doctor(example, shared_lab)
    assert code == 1
    lines = [" ".join(line.split()) for line in output.splitlines()]
    for name, (state, words) in _STATE_WORDS.items():
        (line,) = (line for line in lines if f" vantage point {name} " in line)
        assert line.startswith(f"{state} "), line
        assert words in line


@pytest.mark.parametrize(("seconds", "said"), [(400, "400 s ahead of AWS's"), (-400, "400 s behind AWS's")])
def test_a_clock_that_is_off_is_told(
    seconds: int, said: str, example: Example, shared_lab: SharedLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "time", SimpleNamespace(time=lambda: time.time() + seconds))
    code, output = _doctor(example, shared_lab)
    assert code == 1
    found = re.findall(r"this machine's clock is (\d+) s (ahead of|behind) AWS's; set the clock", output)
    assert len(found) == 2  # an account each
    assert all(abs(int(number) - 400) < 5 and way in said for number, way in found)


def test_a_wrong_account_stops_what_depends_on_it(example: Example, shared_lab: SharedLab) -> None:
    example.replace("s3vpce.yaml", 'id: "444455556666", profile', 'id: "999999999999", profile')
    code, output = _doctor(example, shared_lab)
    assert code == 1
    assert output.count("its credentials belong to `444455556666`") == 4  # account, principal, vantage point, bucket


def test_subnets_of_two_networks_can_hold_no_function(example: Example, shared_lab: SharedLab) -> None:
    groups = 'security_groups: ["${out:ProbeGroup}"]}}\n  partner-vpc'
    example.replace("s3vpce.yaml", groups, 'security_groups: ["${out:OtherGroup}"]}}\n  partner-vpc')
    ec2 = shared_lab.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="other", Description="other", VpcId=vpc)["GroupId"]
    example.replace("s3vpce.yaml", "${out:OtherGroup}", group)
    code, output = _doctor(example, shared_lab)
    assert code == 1
    assert "its subnets and security groups are in different VPCs" in output


def test_there_must_be_an_inventory(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(example.path)
    (example.path / "s3vpce.yaml").unlink()
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 2
    assert "there is no inventory" in done.output
