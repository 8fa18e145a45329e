from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.vantage.control import ControlPlane
from pytest_s3vpce.vantage.placing import Network, Wanted, look_up, stands

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def control() -> ControlPlane:
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s", region_name="eu-west-1")
    return ControlPlane("main", session=session, region="eu-west-1")


@pytest.fixture
def ec2(control: ControlPlane) -> Iterator[Stubber]:
    with Stubber(control.client("ec2")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def error(what: str, *, remedy: str | None = None) -> VantageError:
    return VantageError(what, remedy=remedy)


def subnet(name: str, vpc: str = "vpc-1", **given: Any) -> dict[str, Any]:
    return {"SubnetId": name, "VpcId": vpc, **given}


BY_TAGS = Wanted(subnets={"tier": "app", "stage": "test"}, security_groups={"tier": "probe"})
ASKED = [{"Name": "tag:tier", "Values": ["app"]}, {"Name": "tag:stage", "Values": ["test"]}]


def test_all_that_have_the_tags_are_meant_and_groups_are_the_subnets_vpcs(ec2: Stubber, control: ControlPlane) -> None:
    ec2.add_response("describe_subnets", {"Subnets": [subnet("subnet-2"), subnet("subnet-1")]}, {"Filters": ASKED})
    ec2.add_response(
        "describe_security_groups",
        {"SecurityGroups": [{"GroupId": "sg-1", "VpcId": "vpc-1"}]},
        {"Filters": [{"Name": "tag:tier", "Values": ["probe"]}, {"Name": "vpc-id", "Values": ["vpc-1"]}]},
    )
    found = look_up(control, BY_TAGS, error=error)
    assert found == Network(subnets=("subnet-1", "subnet-2"), security_groups=("sg-1",))
    assert found.arguments() == {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}


def test_tags_that_nothing_has_are_an_error(ec2: Stubber, control: ControlPlane) -> None:
    ec2.add_response("describe_subnets", {"Subnets": []})
    with pytest.raises(VantageError, match="there is no subnet with tier=app and stage=test") as caught:
        look_up(control, BY_TAGS, error=error)
    assert "account `main` in eu-west-1" in str(caught.value.remedy)
    ec2.add_response("describe_subnets", {"Subnets": [subnet("subnet-1")]})
    ec2.add_response("describe_security_groups", {"SecurityGroups": []})
    with pytest.raises(VantageError, match="there is no security group with tier=probe of vpc-1"):
        look_up(control, BY_TAGS, error=error)


def test_tags_of_two_vpcs_are_an_error(ec2: Stubber, control: ControlPlane) -> None:
    ec2.add_response("describe_subnets", {"Subnets": [subnet("subnet-1"), subnet("subnet-2", "vpc-2")]})
    ec2.add_response("describe_security_groups", {"SecurityGroups": [{"GroupId": "sg-1", "VpcId": "vpc-1"}]})
    with pytest.raises(VantageError, match="different VPCs: vpc-1, vpc-2"):
        look_up(control, BY_TAGS, error=error)


def test_dual_stack_needs_subnets_with_ipv6(ec2: Stubber, control: ControlPlane) -> None:
    wanted = Wanted(subnets=("subnet-1", "subnet-2"), security_groups=("sg-1",), dual_stack=True)
    groups = {"SecurityGroups": [{"GroupId": "sg-1", "VpcId": "vpc-1"}]}
    with_ipv6: Any = {"Ipv6CidrBlockAssociationSet": [{"Ipv6CidrBlock": "2001:db8::/64"}]}
    ec2.add_response("describe_subnets", {"Subnets": [subnet("subnet-1", **with_ipv6), subnet("subnet-2")]})
    ec2.add_response("describe_security_groups", groups)
    with pytest.raises(VantageError, match="subnet subnet-2 has no IPv6 addresses"):
        look_up(control, wanted, error=error)
    both = [subnet("subnet-1", **with_ipv6), subnet("subnet-2", **with_ipv6)]
    ec2.add_response("describe_subnets", {"Subnets": both})
    ec2.add_response("describe_security_groups", groups)
    found = look_up(control, wanted, error=error)
    assert found.arguments()["Ipv6AllowedForDualStack"] is True


def test_a_network_is_compared_with_a_functions() -> None:
    network = Network(subnets=("subnet-1", "subnet-2"), security_groups=("sg-1",))
    same = {"SubnetIds": ["subnet-2", "subnet-1"], "SecurityGroupIds": ["sg-1"], "Ipv6AllowedForDualStack": False}
    assert stands(same, at=network)
    assert not stands({**same, "SubnetIds": ["subnet-1"]}, at=network)
    assert not stands({**same, "SecurityGroupIds": ["sg-2"]}, at=network)
    assert not stands({**same, "Ipv6AllowedForDualStack": True}, at=network)
    assert not stands({}, at=network)
    assert stands({}, at=Network())
