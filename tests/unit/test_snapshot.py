from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from pytest_s3vpce.snapshot import function_network, instance_network

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


def test_the_network_of_a_function_by_ids_and_by_tags(ec2: Any) -> None:
    subnets = {"Subnets": [{"SubnetId": "subnet-1", "VpcId": "vpc-1"}, {"SubnetId": "subnet-2", "VpcId": "vpc-1"}]}
    groups = {"SecurityGroups": [{"GroupId": "sg-1", "VpcId": "vpc-1"}]}
    tags = [{"Name": "tag:tier", "Values": ["app"]}]
    with Stubber(ec2) as stub:
        stub.add_response("describe_subnets", subnets, {"SubnetIds": ["subnet-1"]})
        assert function_network(ec2, ("subnet-1",), ("sg-9",)) == (("subnet-1",), ("sg-9",), "vpc-1")
        stub.add_response("describe_subnets", subnets, {"Filters": tags})
        stub.add_response("describe_subnets", subnets, {"SubnetIds": ["subnet-1", "subnet-2"]})
        within = [*tags, {"Name": "vpc-id", "Values": ["vpc-1"]}]
        stub.add_response("describe_security_groups", groups, {"Filters": within})
        found = function_network(ec2, {"tier": "app"}, {"tier": "app"})
        assert found == (("subnet-1", "subnet-2"), ("sg-1",), "vpc-1")
        stub.add_response("describe_subnets", {"Subnets": []})
        stub.add_response("describe_security_groups", {"SecurityGroups": []}, {"Filters": tags})
        assert function_network(ec2, {"tier": "app"}, {"tier": "app"}) == ((), (), None)
        stub.add_client_error("describe_subnets", "UnauthorizedOperation")
        assert function_network(ec2, {"tier": "app"}, ("sg-1",)) == ((), (), None)
