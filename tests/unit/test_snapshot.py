from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from pytest_s3vpce.snapshot import instance_network

RUNNING = {"Name": "instance-state-name", "Values": ["running"]}


@pytest.fixture(scope="module")
def ec2() -> Any:
    return boto3.client("ec2", aws_access_key_id="a", aws_secret_access_key="s", region_name="eu-west-1")


def row(name: str, vpc: str) -> dict[str, Any]:
    return {"InstanceId": name, "VpcId": vpc, "SecurityGroups": [{"GroupId": f"sg-{vpc}"}]}


def test_the_network_of_an_instance_by_id_and_by_tags(ec2: Any) -> None:
    with Stubber(ec2) as stub:
        found = {"Reservations": [{"Instances": [row("i-2", "b")]}, {"Instances": [row("i-1", "a")]}]}
        stub.add_response(
            "describe_instances", found, {"Filters": [{"Name": "tag:Name", "Values": ["probe"]}, RUNNING]}
        )
        assert instance_network(ec2, None, {"Name": "probe"}) == (("sg-a",), "a")
        one = {"Reservations": [{"Instances": [row("i-2", "b")]}]}
        stub.add_response("describe_instances", one, {"Filters": [{"Name": "instance-id", "Values": ["i-2"]}, RUNNING]})
        assert instance_network(ec2, "i-2", {}) == (("sg-b",), "b")


def test_what_may_not_be_described_or_is_not_there_is_unknown(ec2: Any) -> None:
    with Stubber(ec2) as stub:
        stub.add_response("describe_instances", {"Reservations": []})
        assert instance_network(ec2, "i-2", {}) == ((), None)
        stub.add_client_error("describe_instances", "UnauthorizedOperation")
        assert instance_network(ec2, "i-2", {}) == ((), None)
