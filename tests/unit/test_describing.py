"""What is asked about vantage points is asked where they stand: in the Region that is written for them, if one is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from pytest_s3vpce.claims import Setting
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.run.describing import describe, with_changes
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.planes import world_of
from tests.unit import test_several_subnets as several

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_s3vpce.run.world import World

TEXT = """\
accounts:
  main: {id: "111122223333", region: eu-west-1}
principals:
  app: {role: "arn:aws:iam::111122223333:role/app"}
vantage_points:
  home: {lambda: {subnets: [subnet-00000001], security_groups: [sg-00000001]}}
  away: {lambda: {region: us-east-1, subnets: [subnet-00000002], security_groups: [sg-00000002]}}
  far: {ec2: {region: "${out:Far}", instance: i-0123456789abcdef0}}
  here: local
buckets:
  b: {name: the-bucket, canary: {key: k}}
"""


NUMBERS = {"eu-west-1": "00000001", "us-east-1": "00000002", "ap-south-1": "00000003"}


class Ec2:
    """A Region's own things; what is of another Region is not there."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._number = NUMBERS[region]

    def get_paginator(self, operation: str) -> Ec2:
        self._asked = operation
        return self

    def paginate(self, *, Filters: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: N803 - boto3's name
        if self._asked == "describe_instances":
            row = {"InstanceId": "i-1", "SecurityGroups": [{"GroupId": f"sg-{self._number}"}], "VpcId": self._vpc}
            return [{"Reservations": [{"Instances": [row]}]}]
        assert Filters[0]["Values"] == [f"com.amazonaws.{self._region}.s3"]
        return [{"VpcEndpoints": [{"VpcEndpointId": f"vpce-{self._region}", "VpcId": self._vpc}]}]

    @property
    def _vpc(self) -> str:
        return f"vpc-{self._region}"

    def describe_subnets(self, *, SubnetIds: list[str]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        return {"Subnets": [{"VpcId": self._vpc}] if SubnetIds == [f"subnet-{self._number}"] else []}

    def describe_security_groups(self, *, GroupIds: list[str]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        rows = [{"GroupId": name, "GroupName": "probes"} for name in GroupIds if name == f"sg-{self._number}"]
        return {"SecurityGroups": rows}


@pytest.fixture
def outputs() -> dict[str, str]:
    return {"Far": "ap-south-1"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: dict[str, str]) -> World:
    path = tmp_path / "s3vpce.yaml"
    path.write_text(TEXT, encoding="utf-8")
    found = world_of(load_inventory(path), Environment(outputs=outputs), run_id="1a2b")

    def client(service: str, *, account: str, region: str | None = None) -> Ec2:
        assert (service, account) == ("ec2", "main")
        return Ec2(region or found.accounts.region(account))

    monkeypatch.setattr(found.accounts, "client", client)
    return found


def test_each_point_is_asked_about_in_its_own_region(world: World) -> None:
    found = describe(world, ["home", "away", "far", "here"], [])
    regions = {"home": "eu-west-1", "away": "us-east-1", "far": "ap-south-1"}
    assert {name: place.vpc for name, place in found.places.items()} == {
        name: f"vpc-{region}" for name, region in regions.items()
    }
    assert found.vantage_endpoints == {name: (f"vpce-{region}",) for name, region in regions.items()}
    assert {name: sentence.split()[2] for (name, _), sentence in found.closed_ports.items()} == {
        name: f"sg-{NUMBERS[region]}" for name, region in regions.items()
    }


@pytest.mark.parametrize("outputs", [{}])
def test_a_region_that_can_not_be_told_leaves_its_point_undescribed(world: World) -> None:
    found = describe(world, ["home", "far"], [])
    assert found.vantage_endpoints == {"home": ("vpce-eu-west-1",)}
    assert found.places["far"].vpc is None
    assert set(found.endpoints) == {"vpce-eu-west-1"}


class S3:
    """A bucket whose policy is what it is made with; None where it may not be read."""

    def __init__(self, text: str | None) -> None:
        self._text = text

    def get_bucket_policy(self, **_: str) -> dict[str, str]:
        if self._text is None:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetBucketPolicy")
        return {"Policy": self._text}


@pytest.mark.parametrize(
    ("before", "now", "changed"),
    [("{}", "{}", False), ("{}", '{"a": 1}', True), ("", "{}", True), (None, "{}", False), ("{}", None, False)],
)
def test_a_policy_that_is_read_again_and_is_another_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch, before: str | None, now: str | None, changed: bool
) -> None:
    monkeypatch.setattr(world.accounts, "client", lambda _service, **_: S3(now))
    setting = Setting(principals={}, buckets={}, vantages=())
    assert with_changes(world, setting, {"b": before}).changed == ({"b"} if changed else set())
    assert with_changes(world, setting, {}) is setting


class Tier(several.Ec2):
    """Two subnets with one route table, and a network ACL each."""

    def describe_security_groups(self, *, GroupIds: list[str]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        return {"SecurityGroups": []} if GroupIds else {}

    def paginate(self, *, Filters: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: N803 - boto3's name
        if Filters[0]["Name"] == "service-name":
            return [{"VpcEndpoints": []}]
        return super().paginate(Filters=Filters)


@pytest.mark.parametrize(
    ("rules", "error", "differs"),
    [
        (several.OPEN, None, ""),
        ((several.OUT,), None, "subnet-0000000b denies it, for no rule of acl-2 is about it"),
        ((several.OUT,), ClientError({"Error": {"Code": "UnauthorizedOperation"}}, "DescribeNetworkAcls"), None),
    ],
)
def test_a_function_in_several_subnets_stands_astride_where_their_acls_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: Any, error: ClientError | None, differs: str | None
) -> None:
    path = tmp_path / "s3vpce.yaml"
    path.write_text(TEXT.replace("[subnet-00000001]", "[subnet-0000000a, subnet-0000000b]"), encoding="utf-8")
    acls = (("acl-1", ("subnet-0000000a",), several.OPEN), ("acl-2", ("subnet-0000000b",), rules))
    errors = {"describe_network_acls": error} if error else {}
    ec2 = Tier({"": [several.NAT]}, acls=acls, errors=errors)
    found = world_of(load_inventory(path), Environment(), run_id="1a2b")
    monkeypatch.setattr(found.accounts, "client", lambda _service, **_: ec2)
    told = describe(found, ["home"], []).astride["home"]
    assert told == differs if not differs else str(told).endswith(differs)
