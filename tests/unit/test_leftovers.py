from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from pytest_s3vpce.vantage import ControlPlane, Kind, leftovers, marks

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
AGE = leftovers.Age(now=NOW, living=frozenset({"cccccccc"}))
OVER = marks.of_run("aaaaaaaa", owner="ana", now=NOW - dt.timedelta(hours=4))
FRESH = marks.of_run("bbbbbbbb", owner="ana", now=NOW - dt.timedelta(hours=2))
LIVING = marks.of_run("cccccccc", owner="ana", now=NOW - dt.timedelta(hours=4))


@pytest.fixture(scope="module")
def control() -> ControlPlane:
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s", region_name="eu-west-1")
    return ControlPlane("main", session=session, region="eu-west-1")


@pytest.fixture
def aws(control: ControlPlane) -> Iterator[dict[str, Stubber]]:
    stubs = {
        service: Stubber(control.client(service)) for service in ("lambda", "iam", "ec2", "s3", "sts", "organizations")
    }
    for stub in stubs.values():
        stub.activate()
    yield stubs
    for stub in stubs.values():
        stub.deactivate()
    for stub in stubs.values():
        stub.assert_no_pending_responses()


def rows(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def arn(name: str) -> str:
    return f"arn:aws:lambda:eu-west-1:111122223333:function:{name}"


def test_functions_by_name_then_by_their_tags(aws: dict[str, Stubber], control: ControlPlane) -> None:
    found = {
        "s3vpce-a-x": OVER,
        "s3vpce-b-x": FRESH,
        "s3vpce-c-x": LIVING,
        "s3vpce-kept-x": {**OVER, "s3vpce:kept": "x"},
    }
    names = ["theirs", *found, "s3vpce-gone"]
    listed = {"Functions": [{"FunctionName": name, "FunctionArn": arn(name)} for name in names]}
    aws["lambda"].add_response("list_functions", listed, {})
    for name, tags in found.items():
        aws["lambda"].add_response("list_tags", {"Tags": tags}, {"Resource": arn(name)})
    aws["lambda"].add_client_error("list_tags", "ResourceNotFoundException", http_status_code=404)
    (entry,) = leftovers.functions(control, AGE)
    assert (entry.kind, entry.account, entry.region, entry.identifier) == (
        Kind.LAMBDA_FUNCTION,
        "main",
        "eu-west-1",
        "s3vpce-a-x",
    )


def test_tags_that_can_not_be_read_are_an_error(aws: dict[str, Stubber], control: ControlPlane) -> None:
    listed = {"Functions": [{"FunctionName": "s3vpce-a-x", "FunctionArn": arn("s3vpce-a-x")}]}
    aws["lambda"].add_response("list_functions", listed, {})
    aws["lambda"].add_client_error("list_tags", "AccessDeniedException", http_status_code=403)
    with pytest.raises(ClientError):
        list(leftovers.functions(control, AGE))


def test_instances_by_the_name_in_their_tags(aws: dict[str, Stubber], control: ControlPlane) -> None:
    named = {**OVER, "s3vpce:name": "s3vpce-a-x"}
    instances = [{"Tags": rows(named)}, {"Tags": rows({**FRESH, "s3vpce:name": "y"})}, {"Tags": rows(OVER)}]
    wanted = [
        {"Name": "tag-key", "Values": ["s3vpce:run"]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    aws["ec2"].add_response("describe_instances", {"Reservations": [{"Instances": instances}]}, {"Filters": wanted})
    assert [(row.kind, row.identifier) for row in leftovers.instances(control, AGE)] == [
        (Kind.EC2_INSTANCE, "s3vpce-a-x")
    ]


def test_roles_with_the_region_of_their_function(aws: dict[str, Stubber], control: ControlPlane) -> None:
    def role(name: str) -> dict[str, Any]:
        return {"RoleName": name, "Path": "/", "RoleId": "AROAEXAMPLEEXAMPLE", "Arn": "a" * 20, "CreateDate": NOW}

    tags = {"s3vpce-1": {**OVER, marks.REGION: "eu-north-1"}, "s3vpce-2": OVER, "s3vpce-3": FRESH}
    aws["iam"].add_response("list_roles", {"Roles": [role(name) for name in ("admin", *tags)]}, {})
    for name, given in tags.items():
        aws["iam"].add_response("list_role_tags", {"Tags": rows(given)}, {"RoleName": name})
    assert [(row.identifier, row.region) for row in leftovers.roles(control, AGE)] == [
        ("s3vpce-1", "eu-north-1"),
        ("s3vpce-2", "eu-west-1"),
    ]


def test_canaries_by_their_keys_and_when_they_were_made(aws: dict[str, Stubber], control: ControlPlane) -> None:
    old, new = NOW - dt.timedelta(hours=4), NOW - dt.timedelta(hours=2)
    versions = [
        {"Key": ".s3vpce/canary-aaaaaaaa", "LastModified": old},
        {"Key": ".s3vpce/canary-bbbbbbbb", "LastModified": new},
        {"Key": ".s3vpce/canary-cccccccc", "LastModified": old},
        {"Key": ".s3vpce/canary-of-ours", "LastModified": old},
        {"Key": ".s3vpce/canary-aaaaaaaa.made-aaaaaaaa", "LastModified": old},
        {"Key": ".s3vpce/canary-aaaaaaaa.made-bbbbbbbb", "LastModified": old},
        {"Key": ".s3vpce/canary-dddddddd", "LastModified": old},
    ]
    markers = [{"Key": ".s3vpce/canary-dddddddd", "LastModified": new}]
    answer = {"Versions": versions, "DeleteMarkers": markers}
    asked = {"Bucket": "b", "Prefix": ".s3vpce/canary-"}
    aws["s3"].add_response("list_object_versions", answer, asked)
    entry, made = leftovers.canaries(control, AGE, bucket="b")
    assert (entry.kind, entry.identifier) == (Kind.S3_OBJECT, "b/.s3vpce/canary-aaaaaaaa")
    assert made.identifier == "b/.s3vpce/canary-aaaaaaaa.made-aaaaaaaa"
    aws["s3"].add_response("list_object_versions", answer, asked)
    older = leftovers.Age(now=NOW, older_than=dt.timedelta(hours=1))
    assert {row.identifier.rpartition("-")[2] for row in leftovers.canaries(control, older, bucket="b")} == {
        "aaaaaaaa",
        "bbbbbbbb",
        "cccccccc",
        "dddddddd",
    }


ACCOUNT = "111122223333"


def of_account(aws: dict[str, Stubber], control: ControlPlane) -> None:
    """Whose account it is, which is asked for once."""
    control._owner = None
    caller = {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/ana", "UserId": "AIDAEXAMPLEEXAMPLE"}
    aws["sts"].add_response("get_caller_identity", caller, {})


def test_buckets_by_their_tags_and_before_they_have_any_by_name_and_age(
    aws: dict[str, Stubber], control: ControlPlane
) -> None:
    of_account(aws, control)
    old, new = NOW - dt.timedelta(hours=4), NOW - dt.timedelta(hours=2)
    made: dict[str, tuple[dt.datetime, Any]] = {
        f"s3vpce-calibration-aaaaaaaa-{ACCOUNT}": (new, OVER),
        f"s3vpce-calibration-aaaaaaaa-far-{ACCOUNT}": (old, FRESH),
        f"s3vpce-calibration-bbbbbbbb-{ACCOUNT}": (old, {"team": "other"}),
        f"s3vpce-calibration-bbbbbbbb-with-{ACCOUNT}": (old, "NoSuchTagSet"),
        f"s3vpce-calibration-cccccccc-{ACCOUNT}": (old, "NoSuchTagSet"),
        f"s3vpce-calibration-dddddddd-{ACCOUNT}": (new, "NoSuchTagSet"),
        f"s3vpce-calibration-eeeeeeee-{ACCOUNT}": (old, "NoSuchBucket"),
    }
    others = ["s3vpce-calibration-aaaaaaaa-444455556666", f"s3vpce-calibration-ours-{ACCOUNT}"]
    rows_ = [{"Name": name, "CreationDate": when, "BucketRegion": "eu-west-1"} for name, (when, _) in made.items()]
    rows_ += [{"Name": name, "CreationDate": old, "BucketRegion": "eu-west-1"} for name in others]
    aws["s3"].add_response("list_buckets", {"Buckets": rows_}, {"Prefix": "s3vpce-calibration-"})
    for name, (_, found) in made.items():
        if isinstance(found, str):
            aws["s3"].add_client_error("get_bucket_tagging", found, http_status_code=404)
        else:
            aws["s3"].add_response("get_bucket_tagging", {"TagSet": rows(found)}, {"Bucket": name})
    assert [row.identifier for row in leftovers.buckets(control, AGE)] == [
        f"s3vpce-calibration-aaaaaaaa-{ACCOUNT}",
        f"s3vpce-calibration-bbbbbbbb-with-{ACCOUNT}",
    ]


def test_a_bucket_whose_tags_can_not_be_read_is_an_error(aws: dict[str, Stubber], control: ControlPlane) -> None:
    of_account(aws, control)
    row = {"Name": f"s3vpce-calibration-aaaaaaaa-{ACCOUNT}", "CreationDate": NOW, "BucketRegion": "eu-west-1"}
    aws["s3"].add_response("list_buckets", {"Buckets": [row]}, {"Prefix": "s3vpce-calibration-"})
    aws["s3"].add_client_error("get_bucket_tagging", "AccessDenied", http_status_code=403)
    with pytest.raises(ClientError, match="AccessDenied"):
        list(leftovers.buckets(control, AGE))


def test_endpoints_that_are_gone_are_not_shown(aws: dict[str, Stubber], control: ControlPlane) -> None:
    named = {**OVER, "s3vpce:name": "s3vpce-a-x"}
    states = {"deleted": named, "deleting": {**named, "s3vpce:name": "s3vpce-a-y"}, "available": FRESH}
    found = [{"VpcEndpointId": state, "State": state, "Tags": rows(tags)} for state, tags in states.items()]
    wanted = [{"Name": "tag-key", "Values": ["s3vpce:run"]}]
    aws["ec2"].add_response("describe_vpc_endpoints", {"VpcEndpoints": found}, {"Filters": wanted})
    assert [(row.kind, row.identifier) for row in leftovers.endpoints(control, AGE)] == [
        (Kind.VPC_ENDPOINT, "s3vpce-a-y")
    ]


@pytest.mark.parametrize("manager", ["444455556666", None])
def test_policies_are_the_managing_accounts(
    aws: dict[str, Stubber], control: ControlPlane, manager: str | None
) -> None:
    if manager is None:
        code = "AWSOrganizationsNotInUseException"
        aws["organizations"].add_client_error("describe_organization", code, http_status_code=400)
    else:
        of_account(aws, control)
        organization = {"Organization": {"Id": "o-1", "MasterAccountId": manager}}
        aws["organizations"].add_response("describe_organization", organization, {})
    assert list(leftovers.organization_policies(control, AGE)) == []


def test_an_organization_that_can_not_be_told_is_an_error(aws: dict[str, Stubber], control: ControlPlane) -> None:
    aws["organizations"].add_client_error("describe_organization", "AccessDeniedException", http_status_code=400)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        list(leftovers.organization_policies(control, AGE))
