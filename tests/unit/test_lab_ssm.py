from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from pytest_s3vpce.connection import Connection
from pytest_s3vpce.lab.assembly import Lab
from pytest_s3vpce.lab.fleet import instances
from pytest_s3vpce.lab.origin import Placement
from pytest_s3vpce.lab.signatures import Verified
from pytest_s3vpce.lab.ssm import Ssm
from pytest_s3vpce.vantage import ControlPlane, Ec2Vantage
from tests.unit.labstage import policy, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ACCOUNT, OTHER = "720000000001", "720000000002"
REGION = "us-east-1"
SUBNETS = {"inside": "10.9.1.0/24", "public": "10.9.2.0/24"}


class Stage:
    """A lab with a network of two subnets, one with an endpoint and one that leads to the internet."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self._clients: dict[Any, Any] = {}
        self.lab = Lab(folder=folder, accounts={"main": (ACCOUNT, REGION), "other": (OTHER, REGION)}, log=self.log)
        iam, ec2 = self.client("iam"), self.client("ec2")
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        iam.create_role(RoleName="probe-role", AssumeRolePolicyDocument=policy(trust))
        for name in ("probe", "empty"):
            iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName="probe", RoleName="probe-role")
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        self.subnets = {
            name: ec2.create_subnet(VpcId=vpc, CidrBlock=block)["Subnet"]["SubnetId"] for name, block in SUBNETS.items()
        }
        self.group = ec2.create_security_group(GroupName="probe", Description="probe", VpcId=vpc)["GroupId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        tables = {name: ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for name in SUBNETS}
        for name, table in tables.items():
            ec2.associate_route_table(RouteTableId=table, SubnetId=self.subnets[name])
        ec2.create_route(RouteTableId=tables["public"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        made = ec2.create_vpc_endpoint(
            VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.s3", RouteTableIds=[tables["inside"]]
        )
        self.endpoint = made["VpcEndpoint"]["VpcEndpointId"]

    def client(self, service: str, account: str = "main", **keys: str) -> Any:
        known = (service, account, keys.get("key"))
        if known not in self._clients:
            self._clients[known] = self._made(service, account, keys)
        return self._clients[known]

    def _made(self, service: str, account: str, keys: dict[str, str]) -> Any:
        row = self.lab.sessions()[account]
        session: Any = boto3.Session(
            aws_access_key_id=keys.get("key", row.access_key_id),
            aws_secret_access_key=keys.get("secret", row.secret_access_key),
            aws_session_token=keys.get("token"),
            region_name=REGION,
        )
        return session.client(
            service, endpoint_url=self.lab.endpoint_url, config=Config(retries={"total_max_attempts": 1})
        )

    def instance(self, *, subnet: str = "inside", profile: str | None = "probe", **given: Any) -> str:
        if profile:
            given["IamInstanceProfile"] = {"Name": profile}
        answer = self.client("ec2").run_instances(
            ImageId="ami-12345678",
            InstanceType="t4g.nano",
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=[
                {
                    "DeviceIndex": 0,
                    "SubnetId": self.subnets[subnet],
                    "Groups": [self.group],
                    "AssociatePublicIpAddress": subnet == "public",
                }
            ],
            **given,
        )
        return str(answer["Instances"][0]["InstanceId"])

    def send(self, instance: str, *lines: str, **given: Any) -> str:
        parameters: dict[str, Any] = {"commands": list(lines), **given.pop("parameters", {})}
        answer = self.client("ssm").send_command(
            InstanceIds=[instance], DocumentName="AWS-RunShellScript", Parameters=parameters, **given
        )
        return str(answer["Command"]["CommandId"])

    def ended(self, instance: str, command: str) -> dict[str, Any]:
        ssm = self.client("ssm")

        def found() -> dict[str, Any] | None:
            row: dict[str, Any] = ssm.get_command_invocation(CommandId=command, InstanceId=instance)
            return None if row["Status"] in ("Pending", "InProgress") else row

        return dict(until(found))

    def run(self, instance: str, *lines: str, **given: Any) -> dict[str, Any]:
        return self.ended(instance, self.send(instance, *lines, **given))

    def last_note(self) -> dict[str, Any]:
        return dict(json.loads(self.log.read_text(encoding="utf-8").splitlines()[-1]))


def until(found: Callable[[], Any]) -> Any:
    for _ in range(500):
        if (row := found()) is not None:
            return row
        time.sleep(0.02)
    pytest.fail("it does not end")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("lab"))
    yield made
    made.lab.close()


@pytest.fixture(scope="module")
def inside(stage: Stage) -> str:
    return stage.instance()


def test_a_script_really_runs(stage: Stage, inside: str) -> None:
    found = stage.run(inside, "echo out; echo err >&2", "x=3", "exit $x", Comment="what for")
    assert (found["Status"], found["StatusDetails"], found["ResponseCode"]) == ("Failed", "Failed", 3)
    assert (found["StandardOutputContent"], found["StandardErrorContent"]) == ("out\n", "err\n")
    assert (found["Comment"], found["PluginName"]) == ("what for", "aws:runShellScript")
    assert stage.run(inside, "cat")["Status"] == "Success"


def signed_by(key: str) -> Verified:
    return Verified(
        access_key_id=key,
        service="s3",
        region=REGION,
        auth_type="REST-HEADER",
        signature_age_ms=0,
        payload_hash="",
    )


def test_a_script_has_the_role_of_the_instances_profile(stage: Stage, inside: str) -> None:
    told = stage.run(inside, "echo $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $AWS_SESSION_TOKEN")
    key, secret, token = told["StandardOutputContent"].split()
    arn = stage.client("sts", key=key, secret=secret, token=token).get_caller_identity()["Arn"]
    assert arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/probe-role/{inside}"
    shown = stage.client("ec2").describe_instances(InstanceIds=[inside])["Reservations"][0]["Instances"][0]
    assert dict(stage.lab.keys.caller(signed_by(key)).brought) == {
        "aws:Ec2InstanceSourceVpc": shown["VpcId"],
        "aws:Ec2InstanceSourcePrivateIPv4": shown["PrivateIpAddress"],
        "ec2:SourceInstanceARN": f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{inside}",
        "ec2:RoleDelivery": "2.0",
    }


ASK = "python3 -c \"import urllib.request as u; u.urlopen('https://s3.us-east-1.amazonaws.com/b/k', timeout=5)\""


def test_a_script_stands_in_its_instances_subnet(stage: Stage, inside: str) -> None:
    assert "HTTPError: HTTP Error 4" in stage.run(inside, ASK)["StandardErrorContent"]
    note = next(
        row for row in map(json.loads, reversed(stage.log.read_text().splitlines())) if row.get("path") != "internet"
    )
    assert (note["path"], note["endpoint"]) == ("gateway_endpoint", stage.endpoint)


def test_other_programs_than_python_stand_there_too(stage: Stage, inside: str) -> None:
    """With `-E` this machine's Python is any program that knows proxies, as curl and the AWS CLI do."""
    found = stage.run(inside, ASK.replace("python3", f"{sys.executable} -E"), "echo $https_proxy")
    assert "HTTPError: HTTP Error 4" in found["StandardErrorContent"]
    notes = [json.loads(row) for row in stage.log.read_text().splitlines()]
    note = next(row for row in reversed(notes) if row["service"] == "s3")
    assert (note["path"], note["endpoint"]) == ("gateway_endpoint", stage.endpoint)
    assert found["StandardOutputContent"].startswith("http://127.")
    assert stage.run(inside, "python3 -c \"import os; print(os.environ.get('https_proxy'))\"")[
        "StandardOutputContent"
    ] == ("None\n")
    own = "export https_proxy=http://127.0.0.1:9; python3 -c \"import os; print(os.environ['https_proxy'])\""
    assert stage.run(inside, own)["StandardOutputContent"] == "http://127.0.0.1:9\n"


def test_an_instance_with_a_public_address_reaches_the_internet_and_one_without_does_not(stage: Stage) -> None:
    public = stage.instance(subnet="public")
    address = next(row.public_ip for row in instances(stage.lab.state, ACCOUNT, REGION) if row.id == public)
    assert address
    assert "HTTPError: HTTP Error 4" in stage.run(public, ASK)["StandardErrorContent"]
    sources = [json.loads(row) for row in stage.log.read_text().splitlines()]
    assert any(row.get("path") == "internet" and stage.subnets["public"] in row["source"] for row in sources)


def test_output_is_cut_as_ssm_cuts_it(stage: Stage, inside: str) -> None:
    command = stage.send(inside, "yes | head -c 30000; yes | head -c 9000 >&2")
    found = stage.ended(inside, command)
    assert (len(found["StandardOutputContent"]), len(found["StandardErrorContent"])) == (24_000, 8_000)
    (listed,) = stage.client("ssm").list_command_invocations(CommandId=command, Details=True)["CommandInvocations"]
    assert listed["Status"] == "Success"
    assert len(listed["CommandPlugins"][0]["Output"]) == 2_500


def test_invocations_are_listed_without_details(stage: Stage, inside: str) -> None:
    command = stage.send(inside, "true")
    stage.ended(inside, command)
    rows = stage.client("ssm").list_command_invocations(InstanceId=inside)["CommandInvocations"]
    assert rows[0]["CommandId"] == command
    assert rows[0]["CommandPlugins"] == []
    assert stage.client("ssm").list_command_invocations(InstanceId="i-00000000")["CommandInvocations"] == []


def test_commands_are_listed_as_a_whole(stage: Stage, inside: str) -> None:
    ssm, other = stage.client("ssm"), stage.instance()
    script = f"case $HOME in *{other}) exit 3;; esac; pwd"
    parameters = {"commands": [script], "workingDirectory": ["/usr"]}
    targets = [{"Key": "InstanceIds", "Values": [inside, other]}]
    sent = ssm.send_command(
        Targets=targets, TimeoutSeconds=60, DocumentName="AWS-RunShellScript", Parameters=parameters
    )
    command = sent["Command"]["CommandId"]
    assert stage.ended(inside, command)["StandardOutputContent"] == "/usr\n"
    stage.ended(other, command)
    (row,) = ssm.list_commands(CommandId=command)["Commands"]
    assert (row["Status"], row["TargetCount"], row["CompletedCount"], row["ErrorCount"]) == ("Failed", 2, 2, 1)
    assert (row["InstanceIds"], row["TimeoutSeconds"]) == ([inside, other], 60)
    assert ssm.list_commands(InstanceId=other)["Commands"][0]["CommandId"] == command
    assert ssm.list_commands(InstanceId="i-00000000")["Commands"] == []
    assert stage.client("ssm", "other").list_commands()["Commands"] == []
    running = stage.send(inside, "sleep 20")
    assert ssm.list_commands(CommandId=running)["Commands"][0]["Status"] in {"Pending", "InProgress"}
    ssm.cancel_command(CommandId=running)


def test_a_script_over_its_time_is_ended(stage: Stage, inside: str) -> None:
    found = stage.run(inside, "sleep 30", parameters={"executionTimeout": ["1"]})
    assert (found["Status"], found["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")


def test_a_cancelled_script_is_ended(stage: Stage, inside: str) -> None:
    command = stage.send(inside, "sleep 30")
    stage.client("ssm").cancel_command(CommandId=command)
    assert stage.ended(inside, command)["StatusDetails"] == "Cancelled"
    stage.client("ssm").cancel_command(CommandId=command, InstanceIds=[inside])
    assert refusal(stage.client("ssm").cancel_command, CommandId=f"{command[:-4]}0000")[1] == "InvalidCommandId"


def test_an_instance_is_connected_while_it_runs_and_has_a_role(stage: Stage, inside: str) -> None:
    bare, empty, stopped = stage.instance(profile=None), stage.instance(profile="empty"), stage.instance()
    stage.client("ec2").stop_instances(InstanceIds=[stopped])
    rows = stage.client("ssm").describe_instance_information()["InstanceInformationList"]
    known = {row["InstanceId"]: row for row in rows}
    assert inside in known
    assert not known.keys() & {bare, empty, stopped}
    assert (known[inside]["PingStatus"], known[inside]["PlatformType"]) == ("Online", "Linux")
    assert known[inside]["IPAddress"].startswith("10.9.1.")
    for name in (bare, empty, stopped, "i-00000000"):
        status, code, message = refusal(lambda name=name, **_: stage.send(name, "true"))
        assert (status, code) == (400, "InvalidInstanceId")
        assert message == f"Instances [[{name}]] not in a valid state for account {ACCOUNT}"
    stage.client("ec2").associate_iam_instance_profile(InstanceId=bare, IamInstanceProfile={"Name": "probe"})
    assert stage.run(bare, "true")["Status"] == "Success"


def test_instances_are_filtered(stage: Stage, inside: str) -> None:
    ask = stage.client("ssm").describe_instance_information
    by_id = ask(Filters=[{"Key": "InstanceIds", "Values": [inside]}])["InstanceInformationList"]
    assert [row["InstanceId"] for row in by_id] == [inside]
    old = [{"key": "PlatformTypes", "valueSet": ["Windows"]}]
    assert ask(InstanceInformationFilterList=old)["InstanceInformationList"] == []
    assert refusal(ask, Filters=[{"Key": "AgentVersion", "Values": ["1"]}])[:2] == (501, "NotImplemented")


def test_windows_is_refused(stage: Stage) -> None:
    name = stage.instance()
    backend = stage.lab.state.backends("ec2")[ACCOUNT][REGION]
    backend.get_instance(name).platform = "windows"
    assert refusal(lambda **_: stage.send(name, "true"))[1] == "UnsupportedPlatformType"


def test_other_accounts_see_nothing_of_it(stage: Stage, inside: str) -> None:
    command = stage.send(inside, "true")
    stage.ended(inside, command)
    other = stage.client("ssm", "other")
    assert refusal(other.get_command_invocation, CommandId=command, InstanceId=inside)[1] == "InvocationDoesNotExist"
    assert other.describe_instance_information()["InstanceInformationList"] == []
    assert other.list_command_invocations()["CommandInvocations"] == []


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"DocumentName": "AWS-RunPowerShellScript"}, "NotImplemented"),
        ({"OutputS3BucketName": "bucket"}, "NotImplemented"),
        ({"Parameters": {"commands": ["true"], "shell": ["/"]}}, "InvalidParameters"),
        ({"Targets": [{"Key": "tag:Name", "Values": ["a"]}]}, "NotImplemented"),
        ({"Parameters": {"commands": ["true"], "executionTimeout": ["0"]}}, "InvalidParameters"),
        ({"Parameters": {"commands": []}}, "InvalidParameters"),
        ({"Parameters": {"commands": ["#" * 66_000, "true"]}}, "MaxDocumentSizeExceeded"),
        ({"InstanceIds": []}, "InvalidInstanceId"),
    ],
)
def test_what_the_lab_does_not_do_is_refused(stage: Stage, inside: str, given: dict[str, Any], code: str) -> None:
    whole: dict[str, Any] = {
        "InstanceIds": [inside],
        "DocumentName": "AWS-RunShellScript",
        "Parameters": {"commands": ["true"]},
        **given,
    }
    assert refusal(stage.client("ssm").send_command, **whole)[1] == code


def test_other_operations_on_instances_are_refused_and_parameters_are_kept(stage: Stage, inside: str) -> None:
    ssm = stage.client("ssm")
    status, code, message = refusal(ssm.start_session, Target=inside)
    assert (status, code) == (501, "NotImplemented")
    assert message == "The lab has no such operation of ssm: StartSession."
    ssm.put_parameter(Name="/a", Value="b", Type="String")
    assert ssm.get_parameter(Name="/a")["Parameter"]["Value"] == "b"


def test_a_request_that_cannot_be_read_is_refused(stage: Stage) -> None:
    ssm = stage._made("ssm", "main", {})
    ssm.meta.events.register("before-sign", lambda request, **_: setattr(request, "data", b'{"CommandId": []}'))
    assert refusal(ssm.list_command_invocations)[:2] == (400, "ValidationException")


def test_a_profile_whose_role_is_gone_runs_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    name = stage.instance()
    monkeypatch.setattr(stage.lab.state, "role", lambda _: None)
    found = stage.run(name, "true")
    assert found["Status"] == "Failed"
    assert "the lab can't run it" in found["StandardErrorContent"]


def test_old_commands_are_forgotten(stage: Stage, inside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_s3vpce.lab.ssm._KEPT_COMMANDS", 1)
    first, second = stage.send(inside, "true"), stage.send(inside, "true")
    assert stage.ended(inside, second)["Status"] == "Success"
    ask = stage.client("ssm").get_command_invocation
    assert refusal(ask, CommandId=first, InstanceId=inside)[1] == "InvocationDoesNotExist"


def test_a_vantage_point_by_ssm(stage: Stage, inside: str) -> None:
    row = stage.lab.sessions()["main"]
    session = boto3.Session(
        aws_access_key_id=row.access_key_id, aws_secret_access_key=row.secret_access_key, region_name=REGION
    )
    control = ControlPlane(
        "main", session=session, region=REGION, connection=Connection(endpoint_url=stage.lab.endpoint_url)
    )
    vantage = Ec2Vantage("inside", control=control, instance=inside)
    vantage.prepare()
    assert vantage.run("print(6 * 7)\n").strip() == "42"


def test_an_unknown_region_has_no_instances(stage: Stage) -> None:
    assert instances(stage.lab.state, ACCOUNT, "xx-nowhere-1") == ()


def test_what_runs_when_the_lab_ends_is_ended(stage: Stage, inside: str) -> None:
    command = stage.send(inside, "sleep 30")
    found: Any = stage.lab._ssm()
    assert isinstance(found, Ssm)
    found.close()
    assert stage.ended(inside, command)["StatusDetails"] == "Cancelled"


def test_where_an_instance_stood_ends_with_it(stage: Stage) -> None:
    """A lab that starts many, one after the other, does not run out of ports."""
    lab = stage.lab
    first = stage.instance()
    assert stage.run(first, "echo here")["Status"] == "Success"
    placements, doors = lab._placements._listeners, lab._doors._doors
    addresses = {row.private_ip for row in placements if isinstance(row, Placement)}
    stage.client("ec2").terminate_instances(InstanceIds=[first])
    second = stage.instance(subnet="public")
    assert stage.run(second, "echo there")["StandardOutputContent"] == "there\n"
    now = {row.private_ip for row in placements if isinstance(row, Placement)}
    (gone,) = addresses - now
    assert gone not in {row.private_ip for row in doors}
    assert len(now - addresses) == 1
