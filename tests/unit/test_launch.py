from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.model import Place
from pytest_s3vpce.vantage import ControlPlane, Kind, Launch, LaunchedEc2Vantage, Ledger, program

if TYPE_CHECKING:
    from pathlib import Path

NAME = "s3vpce-1a2b-inside"
INSTANCE = "i-0123456789abcdef0"
LAUNCH = Launch(subnet="subnet-1", security_groups=("sg-1",), profile="probe", tags={"cost": "7"})


FRESH = {
    "name": "Value (probe) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
    "arn": "Value (arn:aws:iam::1:p) for parameter iamInstanceProfile.arn is invalid. Invalid IAM Instance Profile ARN",
    "role": 'IAM Instance Profile "arn:aws:iam::1:instance-profile/probe" has no associated IAM Roles',
}


def refused(code: str, status: int = 400, message: str = "no") -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Operation")


class Cloud(ControlPlane):
    """EC2 and SSM: the instance connects after some questions, or never; what is sent to it is answered rightly."""

    def __init__(self) -> None:
        super().__init__("main", session=boto3.Session(region_name="eu-west-1"), region="eu-west-1")
        self.asked = 0
        self.connects_after = 2
        self.row: dict[str, Any] = {"InstanceId": INSTANCE, "State": {"Name": "running"}}
        self.refusal: Exception | None = None
        self.refuses = 1_000
        self.unseen = False
        self.started: list[dict[str, Any]] = []
        self.terminated: list[str] = []
        self.unterminable: Exception | None = None

    @property
    def owner(self) -> str:
        return "arn:aws:iam::111122223333:user/ana"

    def client(self, service: str, **_: Any) -> Any:
        assert service in ("ec2", "ssm")
        return self

    def run_instances(self, **given: Any) -> dict[str, Any]:
        if self.refusal and self.refuses:
            self.refuses -= 1
            raise self.refusal
        self.started.append(given)
        return {"Instances": [self.row]}

    def describe_instances(self, **_: Any) -> dict[str, Any]:
        if self.unseen:
            raise refused("InvalidInstanceID.NotFound")
        return {"Reservations": [{"Instances": [self.row]}]}

    def get_paginator(self, _: str) -> Cloud:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [self.describe_instances()]

    def terminate_instances(self, *, InstanceIds: list[str]) -> None:  # noqa: N803 - boto3's name
        if self.unterminable:
            raise self.unterminable
        self.terminated += InstanceIds

    def describe_instance_information(self, **_: Any) -> dict[str, Any]:
        self.asked += 1
        online = self.asked > self.connects_after
        return {"InstanceInformationList": [{"PingStatus": "Online"}] if online else []}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    pause = ControlPlane.pause

    def paused(control: ControlPlane, seconds: float) -> None:
        found.append(seconds)
        pause(control, 0)

    monkeypatch.setattr(ControlPlane, "pause", paused)
    monkeypatch.setattr("pytest_s3vpce.vantage.launch.time.monotonic", lambda: sum(found))
    return found


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setattr(program.ProgramVantage, "prepare", lambda *_, **__: None)
    return Cloud()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


def make(cloud: Cloud, ledger: Ledger, launch: Launch = LAUNCH) -> LaunchedEc2Vantage:
    return LaunchedEc2Vantage(
        "inside", control=cloud, launch=launch, run_id="1a2b", ledger=ledger, place=Place("s3vpce.yaml", 12, 3)
    )


def test_an_instance_is_started_awaited_and_terminated(cloud: Cloud, ledger: Ledger, pauses: list[float]) -> None:
    vantage = make(cloud, ledger)
    said: list[str] = []
    vantage.prepare(notify=said.append)
    assert vantage.instance == INSTANCE
    assert said[:2] == [f"starting instance {NAME}", f"waiting for instance {INSTANCE} to connect to SSM"]
    assert pauses == [3.0, 3.0]
    (given,) = cloud.started
    assert given["ClientToken"] == NAME
    assert given["ImageId"].endswith("al2023-ami-kernel-default-arm64")
    assert (given["InstanceType"], given["IamInstanceProfile"]) == ("t4g.nano", {"Name": "probe"})
    assert (given["SubnetId"], given["SecurityGroupIds"]) == ("subnet-1", ["sg-1"])
    assert given["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert "shutdown -h +180" in given["UserData"]
    tags = {tag["Key"]: tag["Value"] for tag in given["TagSpecifications"][0]["Tags"]}
    assert tags.pop("s3vpce:created") < tags.pop("s3vpce:expires")
    assert tags.pop("s3vpce:owner") == "arn:aws:iam::111122223333:user/ana"
    assert tags == {"cost": "7", "Name": NAME, "s3vpce:name": NAME, "s3vpce:run": "1a2b"}
    (entry,) = ledger.open_entries()
    assert (entry.kind, entry.identifier) == (Kind.EC2_INSTANCE, NAME)
    vantage.remove(notify=said.append)
    assert cloud.terminated == [INSTANCE]
    assert ledger.open_entries() == []
    vantage.remove()
    assert cloud.terminated == [INSTANCE]


def test_image_type_and_profile_are_as_given(cloud: Cloud, ledger: Ledger, pauses: list[float]) -> None:
    arn = "arn:aws:iam::111122223333:instance-profile/p"
    given = {"subnet": "subnet-1", "security_groups": ("sg-1",), "profile": arn}
    make(cloud, ledger, Launch(**given, type="t3.micro")).prepare()  # type: ignore[arg-type]
    make(cloud, ledger, Launch(**given, image="ami-1", type="m7gd.large")).prepare()  # type: ignore[arg-type]
    make(cloud, ledger, Launch(**given, type="c7gn.medium")).prepare()  # type: ignore[arg-type]
    first, second, third = cloud.started
    assert first["ImageId"].endswith("x86_64")
    assert first["IamInstanceProfile"] == {"Arn": arn}
    assert second["ImageId"] == "ami-1"
    assert third["ImageId"].endswith("arm64")


@pytest.mark.parametrize(
    ("refusal", "wanted", "kept"),
    [
        (refused("UnauthorizedOperation", 403), "give the account's credentials ec2:RunInstances", 0),
        (refused("InvalidSubnetID.NotFound"), "name a subnet of the account and the Region", 0),
        (refused("Odd"), "Odd: no; check what the inventory says of it", 0),
        (refused("ExpiredToken"), "renew them", 0),
        (refused("InsufficientInstanceCapacity", 500), "name another `type`, or a subnet in another zone", 1),
        (EndpointConnectionError(endpoint_url="https://ec2"), "check the network, the proxy and the Region", 1),
    ],
)
def test_an_instance_that_cannot_be_started_is_one_error_and_in_the_ledger_if_it_may_be_there(
    cloud: Cloud, ledger: Ledger, refusal: Exception, wanted: str, kept: int
) -> None:
    cloud.refusal = refusal
    with pytest.raises(VantageError) as caught:
        make(cloud, ledger).prepare()
    assert str(caught.value).startswith(f"s3vpce.yaml:12:3: vantage point `inside`: instance `{NAME}` can't be started")
    assert wanted in str(caught.value)
    assert len(ledger.open_entries()) == kept


@pytest.mark.parametrize("said", FRESH.values(), ids=FRESH)
def test_a_profile_made_a_moment_ago_is_waited_for(
    cloud: Cloud, ledger: Ledger, pauses: list[float], said: str
) -> None:
    cloud.refusal, cloud.refuses, cloud.connects_after = refused("InvalidParameterValue", message=said), 3, 0
    vantage = make(cloud, ledger)
    told: list[str] = []
    vantage.prepare(notify=told.append)
    assert told.count("waiting for instance profile probe to become usable") == 3
    assert pauses == [2.0, 2.0, 2.0]
    assert len(cloud.started) == 1


def test_a_profile_that_stays_unknown_is_one_error_and_nothing_is_left(
    cloud: Cloud, ledger: Ledger, pauses: list[float]
) -> None:
    cloud.refusal = refused("InvalidParameterValue", message=FRESH["name"])
    with pytest.raises(VantageError, match="EC2 did not know instance profile `probe`, or a role in it, for 58 s"):
        make(cloud, ledger).prepare()
    assert sum(pauses) == 58
    assert ledger.open_entries() == []


def test_a_run_told_to_end_waits_for_no_profile_and_has_nothing_to_look_for(
    cloud: Cloud, ledger: Ledger, pauses: list[float]
) -> None:
    cloud.refusal = refused("InvalidParameterValue", message="Invalid IAM Instance Profile name")
    cloud.end()
    with pytest.raises(VantageError, match="told to end"):
        make(cloud, ledger).prepare()
    assert len(pauses) == 1
    assert ledger.open_entries() == []


def test_a_run_told_to_end_does_not_wait_until_an_instance_connects(
    cloud: Cloud, ledger: Ledger, pauses: list[float]
) -> None:
    cloud.end()
    with pytest.raises(VantageError, match="told to end"):
        make(cloud, ledger).prepare()
    assert len(pauses) == 1
    assert [row.given_id for row in ledger.open_entries()] == [INSTANCE]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("InvalidParameterValue", "Value (x) for parameter groupId is invalid. The value cannot be empty"),
        ("InvalidParameterCombination", FRESH["name"]),
    ],
)
def test_what_is_plainly_wrong_is_not_tried_again(
    cloud: Cloud, ledger: Ledger, pauses: list[float], code: str, said: str
) -> None:
    cloud.refusal = refused(code, message=said)
    with pytest.raises(VantageError, match="can't be started"):
        make(cloud, ledger).prepare()
    assert pauses == []


def test_an_instance_that_ends_at_once_is_told_with_ec2s_reason(
    cloud: Cloud, ledger: Ledger, pauses: list[float]
) -> None:
    cloud.row.update(State={"Name": "terminated"}, StateReason={"Message": "Client.VolumeLimitExceeded"})
    with pytest.raises(VantageError, match=r"ended before it could be used: Client\.VolumeLimitExceeded; see"):
        make(cloud, ledger).prepare()
    cloud.row.update(State={"Name": "stopped"}, StateReason={})
    with pytest.raises(VantageError, match="ended before it could be used: stopped"):
        make(cloud, ledger).prepare()


def test_an_instance_that_never_connects_is_told_what_it_lacks(
    cloud: Cloud, ledger: Ledger, pauses: list[float]
) -> None:
    cloud.connects_after, cloud.unseen = 1_000, True
    with pytest.raises(VantageError, match="did not connect to SSM within 300 s; its agent needs a way to ssm, ssmmes"):
        make(cloud, ledger).prepare()
    assert len(ledger.open_entries()) == 1


def test_what_cannot_be_terminated_stays_in_the_ledger(cloud: Cloud, ledger: Ledger, pauses: list[float]) -> None:
    vantage = make(cloud, ledger)
    vantage.prepare()
    cloud.unterminable = refused("OperationNotPermitted")
    said: list[str] = []
    vantage.remove(notify=said.append)
    assert "OperationNotPermitted: no" in said[-1]
    assert ledger.open_entries()[0].kept
