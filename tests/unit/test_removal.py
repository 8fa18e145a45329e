from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from pytest_s3vpce.connection import Connection
from pytest_s3vpce.errors import CredentialError
from pytest_s3vpce.vantage.control import ControlPlane
from pytest_s3vpce.vantage.ledger import Entry, Kind, Ledger
from pytest_s3vpce.vantage.removal import strike, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "s3vpce-1a2b-inside"
ENI_FILTER = {"Filters": [{"Name": "description", "Values": [f"AWS Lambda VPC ENI-{NAME}-*"]}]}


@pytest.fixture(scope="module")
def control() -> ControlPlane:
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s", region_name="eu-west-1")
    return ControlPlane("main", session=session, region="eu-west-1")


@pytest.fixture
def aws(control: ControlPlane) -> Iterator[dict[str, Stubber]]:
    stubs = {
        service: Stubber(control.client(service))
        for service in ("lambda", "iam", "ec2", "s3", "s3control", "organizations")
    }
    for stub in stubs.values():
        stub.activate()
    yield stubs
    for stub in stubs.values():
        stub.deactivate()
    for stub in stubs.values():
        stub.assert_no_pending_responses()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


def entry(ledger: Ledger, kind: Kind, identifier: str = NAME) -> Entry:
    return ledger.creating(kind, account="main", region="eu-west-1", identifier=identifier)


def interfaces(aws: dict[str, Stubber], *ids: str) -> None:
    found = [{"NetworkInterfaceId": name} for name in ids]
    aws["ec2"].add_response("describe_network_interfaces", {"NetworkInterfaces": found}, ENI_FILTER)


def role_goes(aws: dict[str, Stubber]) -> None:
    interfaces(aws)
    aws["iam"].add_response("delete_role_policy", {}, {"RoleName": NAME, "PolicyName": "network-interfaces"})
    aws["iam"].add_response("delete_role", {}, {"RoleName": NAME})


# --- instances


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def seen(aws: dict[str, Stubber], *ids: str) -> None:
    wanted = [
        {"Name": "tag:s3vpce:name", "Values": [NAME]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    found = [{"Instances": [{"InstanceId": name}]} for name in ids]
    aws["ec2"].add_response("describe_instances", {"Reservations": found}, {"Filters": wanted})


@pytest.mark.parametrize("ids", [["i-1"], ["i-1", "i-2"]])
def test_an_instance_whose_id_was_not_told_is_terminated_by_the_name_in_its_tag(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, ids: list[str]
) -> None:
    seen(aws, *ids)
    aws["ec2"].add_response("terminate_instances", {}, {"InstanceIds": ids})
    assert strike(ledger, entry(ledger, Kind.EC2_INSTANCE), control) is None
    assert ledger.open_entries() == []


def test_an_instance_started_a_moment_ago_is_looked_for_until_it_is_seen(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, pauses: list[float]
) -> None:
    seen(aws)
    seen(aws)
    seen(aws, "i-1")
    aws["ec2"].add_response("terminate_instances", {}, {"InstanceIds": ["i-1"]})
    assert strike(ledger, entry(ledger, Kind.EC2_INSTANCE), control) is None
    assert pauses == [2.0, 2.0]


def test_an_instance_that_can_not_be_known_yet_by_its_id_is_terminated_a_little_later(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, pauses: list[float]
) -> None:
    known = ledger.given(entry(ledger, Kind.EC2_INSTANCE), "i-2")
    seen(aws)
    aws["ec2"].add_client_error("terminate_instances", "InvalidInstanceID.NotFound", http_status_code=400)
    seen(aws, "i-1", "i-2")
    aws["ec2"].add_response("terminate_instances", {}, {"InstanceIds": ["i-1", "i-2"]})
    assert strike(ledger, known, control) is None
    assert pauses == [2.0]


def test_an_instance_that_stays_unseen_is_gone(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, pauses: list[float]
) -> None:
    for _ in range(10):
        seen(aws)
    assert strike(ledger, entry(ledger, Kind.EC2_INSTANCE), control) is None
    assert sum(pauses) == 18
    old = replace(ledger.given(entry(ledger, Kind.EC2_INSTANCE), "i-1"), made=0.0)
    seen(aws)
    aws["ec2"].add_client_error("terminate_instances", "InvalidInstanceID.NotFound", http_status_code=400)
    assert strike(ledger, old, control) is None
    assert sum(pauses) == 18
    assert ledger.open_entries() == []


def test_an_instance_that_may_not_be_terminated_stays(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, pauses: list[float]
) -> None:
    known = ledger.given(entry(ledger, Kind.EC2_INSTANCE), "i-1")
    seen(aws)
    aws["ec2"].add_client_error("terminate_instances", "UnauthorizedOperation", http_status_code=403)
    assert str(strike(ledger, known, control)).startswith("UnauthorizedOperation")
    assert pauses == []


# --- functions


def test_a_function_is_deleted(aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger) -> None:
    aws["lambda"].add_response("delete_function", {}, {"FunctionName": NAME})
    assert strike(ledger, entry(ledger, Kind.LAMBDA_FUNCTION), control) is None
    assert ledger.open_entries() == []


def test_a_function_still_being_created_is_deleted_when_it_is_done(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    aws["lambda"].add_client_error("delete_function", "ResourceConflictException", http_status_code=409)
    aws["lambda"].add_response("delete_function", {})
    assert strike(ledger, entry(ledger, Kind.LAMBDA_FUNCTION), control) is None
    assert pauses == [2.0]


def test_a_function_busy_for_long_is_kept(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    for _ in range(15):
        aws["lambda"].add_client_error("delete_function", "ResourceConflictException", http_status_code=409)
    assert "still being created" in str(strike(ledger, entry(ledger, Kind.LAMBDA_FUNCTION), control))
    assert len(ledger.open_entries()) == 1


# --- roles


def test_a_role_goes_with_its_policy(aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger) -> None:
    role_goes(aws)
    assert strike(ledger, entry(ledger, Kind.IAM_ROLE), control) is None


def test_a_role_whose_policy_is_gone_goes_too(aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger) -> None:
    interfaces(aws)
    aws["iam"].add_client_error("delete_role_policy", "NoSuchEntity", http_status_code=404)
    aws["iam"].add_response("delete_role", {}, {"RoleName": NAME})
    assert strike(ledger, entry(ledger, Kind.IAM_ROLE), control) is None


def test_a_role_whose_policy_may_not_be_deleted_is_kept(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger
) -> None:
    interfaces(aws)
    aws["iam"].add_client_error("delete_role_policy", "AccessDenied", "no  rights\nhere", http_status_code=403)
    assert strike(ledger, entry(ledger, Kind.IAM_ROLE), control) == "AccessDenied: no rights here"


def test_a_role_is_kept_while_lambda_needs_it(aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger) -> None:
    interfaces(aws, "eni-1", "eni-2")
    reason = strike(ledger, entry(ledger, Kind.IAM_ROLE), control)
    assert reason is not None
    assert "eni-1, eni-2" in reason
    assert "20 minutes" in reason
    (kept,) = ledger.open_entries()
    assert kept.kept == reason


# --- objects


def test_an_object_is_deleted_by_its_version(aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger) -> None:
    known = ledger.given(entry(ledger, Kind.S3_OBJECT, "bucket/a/b"), "v1")
    aws["s3"].add_response("delete_object", {}, {"Bucket": "bucket", "Key": "a/b", "VersionId": "v1"})
    assert strike(ledger, known, control) is None


def test_without_a_version_every_version_of_the_key_goes(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger
) -> None:
    aws["s3"].add_response(
        "list_object_versions",
        {
            "Versions": [{"Key": "a", "VersionId": "null"}, {"Key": "ab", "VersionId": "v9"}],
            "DeleteMarkers": [{"Key": "a", "VersionId": "v2"}],
        },
        {"Bucket": "bucket", "Prefix": "a"},
    )
    for version in ("null", "v2"):
        aws["s3"].add_response("delete_object", {}, {"Bucket": "bucket", "Key": "a", "VersionId": version})
    assert strike(ledger, entry(ledger, Kind.S3_OBJECT, "bucket/a"), control) is None


def test_uploads_to_the_runs_own_key_are_aborted(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger
) -> None:
    uploads = [{"Key": "a", "UploadId": "u1"}, {"Key": "ab", "UploadId": "u2"}]
    aws["s3"].add_response("list_multipart_uploads", {"Uploads": uploads}, {"Bucket": "bucket", "Prefix": "a"})
    aws["s3"].add_response("abort_multipart_upload", {}, {"Bucket": "bucket", "Key": "a", "UploadId": "u1"})
    assert strike(ledger, entry(ledger, Kind.S3_UPLOAD, "bucket/a"), control) is None


def test_a_calibrations_bucket_goes_with_all_that_is_in_it(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger
) -> None:
    bucket = {"Bucket": "s3vpce-calibration-1a2b-111122223333"}
    upload = {"Key": "k", "UploadId": "u1"}
    account, point = {"AccountId": "111122223333"}, {"Name": "s3vpce-1a2b"}
    found: Any = {"AccessPointList": [{**point, "NetworkOrigin": "Internet", "Bucket": bucket["Bucket"]}]}
    aws["s3control"].add_response("list_access_points", found, {**account, **bucket})
    aws["s3control"].add_response("delete_access_point", {}, {**account, **point})
    aws["s3"].add_response("list_multipart_uploads", {"Uploads": [upload]}, bucket)
    aws["s3"].add_response("abort_multipart_upload", {}, {**bucket, **upload})
    listed: Any = {"Versions": [{"Key": "k", "VersionId": "v1"}], "DeleteMarkers": [{"Key": "k", "VersionId": "v2"}]}
    aws["s3"].add_response("list_object_versions", listed, bucket)
    for version in ("v1", "v2"):
        aws["s3"].add_response("delete_object", {}, {**bucket, "Key": "k", "VersionId": version})
    aws["s3"].add_response("delete_bucket", {}, bucket)
    assert strike(ledger, entry(ledger, Kind.S3_BUCKET, bucket["Bucket"]), control) is None


def test_no_other_bucket_is_ever_emptied(aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger) -> None:
    assert aws
    reason = strike(ledger, entry(ledger, Kind.S3_BUCKET, "reports"), control)
    assert reason == "its name does not begin with s3vpce-calibration-, so it is none that was made here"


def test_an_object_that_was_never_made_is_gone(aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger) -> None:
    aws["s3"].add_response("list_object_versions", {})
    assert strike(ledger, entry(ledger, Kind.S3_OBJECT, "bucket/a"), control) is None


# --- all kinds


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (Kind.LAMBDA_FUNCTION, ("lambda", "delete_function", "ResourceNotFoundException")),
        (Kind.S3_OBJECT, ("s3", "list_object_versions", "NoSuchBucket")),
    ],
)
def test_gone_already_counts_as_removed(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, kind: Kind, call: tuple[str, str, str]
) -> None:
    service, method, code = call
    aws[service].add_client_error(method, code, http_status_code=404)
    assert strike(ledger, entry(ledger, kind), control) is None
    assert ledger.open_entries() == []


def test_a_role_gone_already_counts_as_removed(aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger) -> None:
    interfaces(aws)
    aws["iam"].add_client_error("delete_role_policy", "NoSuchEntity", http_status_code=404)
    aws["iam"].add_client_error("delete_role", "NoSuchEntity", http_status_code=404)
    assert strike(ledger, entry(ledger, Kind.IAM_ROLE), control) is None


def test_no_network_is_a_reason(control: ControlPlane, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://lambda.eu-west-1.amazonaws.com")

    monkeypatch.setattr(control.client("lambda"), "delete_function", unreachable)
    assert str(strike(ledger, entry(ledger, Kind.LAMBDA_FUNCTION), control)).startswith("EndpointConnectionError: ")


# --- sweep


def test_a_sweep_removes_users_before_what_they_use(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger
) -> None:
    for kind in (Kind.IAM_ROLE, Kind.LAMBDA_FUNCTION):
        entry(ledger, kind)
    entry(ledger, Kind.S3_OBJECT, "bucket/a")
    aws["s3"].add_response("list_object_versions", {})
    aws["lambda"].add_response("delete_function", {})
    role_goes(aws)
    lines: list[str] = []
    assert sweep(ledger, lambda account: control, notify=lines.append) == []
    assert [line.split()[1] for line in lines] == ["s3_object", "lambda_function", "iam_role"]
    assert sweep(ledger, lambda account: control) == []


def test_a_sweep_says_what_remains_and_goes_on(aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger) -> None:
    lost = ledger.creating(Kind.LAMBDA_FUNCTION, account="lost", region="eu-west-1", identifier=NAME)
    kept = entry(ledger, Kind.IAM_ROLE)
    entry(ledger, Kind.LAMBDA_FUNCTION)
    aws["lambda"].add_response("delete_function", {})
    interfaces(aws, "eni-1")

    def session_for(account: str) -> ControlPlane:
        if account == "lost":
            raise CredentialError("no credentials", remedy="log in")
        return control

    found = sweep(ledger, session_for)
    assert [remaining.entry for remaining in found] == [lost, kept]
    assert str(found[0]) == f"lambda_function {NAME} in account lost, eu-west-1: no credentials; log in"
    assert "eni-1" in found[1].reason
    role_goes(aws)
    assert [remaining.entry for remaining in sweep(ledger, session_for)] == [lost]


# --- the control plane


def test_clients_are_made_once_per_region(control: ControlPlane) -> None:
    assert control.client("iam") is control.client("iam")
    assert control.client("iam") is not control.client("iam", region="eu-central-1")
    other = control.at("eu-central-1")
    assert (other.account, other.region, control.region) == ("main", "eu-central-1", "eu-west-1")
    assert other.client("iam") is control.client("iam", region="eu-central-1")


def test_clients_reach_a_lab_where_one_is_given() -> None:
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s")
    control = ControlPlane(
        "main", session=session, region="eu-west-1", connection=Connection(endpoint_url="http://127.0.0.1:9")
    )
    client = control.client("lambda")
    assert (client.meta.endpoint_url, client.meta.region_name) == ("http://127.0.0.1:9", "eu-west-1")
    assert client.meta.config.retries == {"mode": "standard", "total_max_attempts": 5}


# --- policies

POLICY = '{"Statement": []}'


def policy_entry(ledger: Ledger) -> Entry:
    return ledger.creating(Kind.BUCKET_POLICY, account="main", region="eu-west-1", identifier="b", content=POLICY)


def test_a_policy_that_is_gone_is_put_back_and_read(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    aws["s3"].add_client_error("get_bucket_policy", "NoSuchBucketPolicy", http_status_code=404)
    aws["s3"].add_response("put_bucket_policy", {}, {"Bucket": "b", "Policy": POLICY})
    aws["s3"].add_client_error("get_bucket_policy", "NoSuchBucketPolicy", http_status_code=404)
    aws["s3"].add_response("get_bucket_policy", {"Policy": POLICY}, {"Bucket": "b"})
    policy_entry(ledger)
    said: list[str] = []
    assert sweep(ledger, lambda _: control, notify=said.append) == []
    assert said == ["putting back bucket_policy b in account main, eu-west-1"]
    assert len(pauses) == 1
    assert ledger.open_entries() == []


def test_a_policy_that_somebody_put_since_is_left(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger
) -> None:
    aws["s3"].add_response("get_bucket_policy", {"Policy": "{}"}, {"Bucket": "b"})
    assert strike(ledger, policy_entry(ledger), control) == "it has another policy by now, which is left as it is"
    assert len(ledger.open_entries()) == 1


def test_a_policy_whose_bucket_is_gone_is_nobodys_any_more(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger
) -> None:
    aws["s3"].add_client_error("get_bucket_policy", "NoSuchBucket", http_status_code=404)
    assert strike(ledger, policy_entry(ledger), control) is None
    assert ledger.open_entries() == []


# --- what a calibration makes in a network or an organization --------------------------------------------------------

TAGGED = {"Filters": [{"Name": "tag:s3vpce:name", "Values": [NAME]}]}


def endpoint(state: str) -> Any:
    return {"VpcEndpoints": [{"VpcEndpointId": "vpce-1", "State": state}]}


def test_an_endpoint_is_deleted_and_waited_for(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, pauses: list[float]
) -> None:
    gone = [{"ResourceId": "vpce-1", "Error": {"Code": "InvalidVpcEndpoint.NotFound", "Message": "gone"}}]
    aws["ec2"].add_response("describe_vpc_endpoints", endpoint("Available"), TAGGED)
    aws["ec2"].add_response("delete_vpc_endpoints", {"Unsuccessful": gone}, {"VpcEndpointIds": ["vpce-1"]})
    aws["ec2"].add_response("describe_vpc_endpoints", endpoint("Deleting"), TAGGED)
    aws["ec2"].add_response("describe_vpc_endpoints", endpoint("Deleted"), TAGGED)
    assert strike(ledger, entry(ledger, Kind.VPC_ENDPOINT), control) is None
    assert pauses == [2.0, 5.0]


def test_an_endpoint_made_a_moment_ago_is_looked_for_until_it_is_seen(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, pauses: list[float]
) -> None:
    known = ledger.given(entry(ledger, Kind.VPC_ENDPOINT), "vpce-1")
    by_id = {"VpcEndpointIds": ["vpce-1"]}
    aws["ec2"].add_response("describe_vpc_endpoints", {"VpcEndpoints": []}, TAGGED)
    aws["ec2"].add_client_error("describe_vpc_endpoints", "InvalidVpcEndpointId.NotFound", expected_params=by_id)
    aws["ec2"].add_response("describe_vpc_endpoints", {"VpcEndpoints": []}, TAGGED)
    aws["ec2"].add_response("describe_vpc_endpoints", endpoint("Pending"), by_id)
    aws["ec2"].add_response("delete_vpc_endpoints", {}, {"VpcEndpointIds": ["vpce-1"]})
    aws["ec2"].add_response("describe_vpc_endpoints", {"VpcEndpoints": []}, TAGGED)
    aws["ec2"].add_client_error("describe_vpc_endpoints", "InvalidVpcEndpointId.NotFound", expected_params=by_id)
    assert strike(ledger, known, control) is None
    assert pauses == [2.0, 2.0]


def test_an_endpoint_that_may_not_be_looked_at_stays(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger
) -> None:
    known = ledger.given(entry(ledger, Kind.VPC_ENDPOINT), "vpce-1")
    aws["ec2"].add_response("describe_vpc_endpoints", {"VpcEndpoints": []}, TAGGED)
    aws["ec2"].add_client_error("describe_vpc_endpoints", "UnauthorizedOperation", http_status_code=403)
    assert str(strike(ledger, known, control)).startswith("UnauthorizedOperation")


def test_an_endpoint_that_was_never_made_is_gone(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, pauses: list[float]
) -> None:
    aws["ec2"].add_response("describe_vpc_endpoints", {"VpcEndpoints": []}, TAGGED)
    assert strike(ledger, replace(entry(ledger, Kind.VPC_ENDPOINT), made=0.0), control) is None
    assert pauses == []


def test_an_endpoint_that_takes_long_is_told(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, pauses: list[float]
) -> None:
    for _ in range(60):
        aws["ec2"].add_response("describe_vpc_endpoints", endpoint("Deleting"), TAGGED)
    reason = strike(ledger, entry(ledger, Kind.VPC_ENDPOINT), control)
    assert reason == "the endpoint is still being deleted; sweep again in a few minutes"
    assert sum(pauses) == 295


def test_an_endpoint_that_may_not_be_deleted_stays_and_is_told(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, pauses: list[float]
) -> None:
    """EC2 says so in an answer that is no error."""
    refused = [{"ResourceId": "vpce-1", "Error": {"Code": "OperationNotPermitted", "Message": "managed"}}]
    aws["ec2"].add_response("describe_vpc_endpoints", endpoint("Available"), TAGGED)
    aws["ec2"].add_response("delete_vpc_endpoints", {"Unsuccessful": refused})
    assert strike(ledger, entry(ledger, Kind.VPC_ENDPOINT), control) == "OperationNotPermitted: managed"
    assert pauses == []


GROUP: Any = {"SecurityGroups": [{"GroupId": "sg-1"}]}


def test_a_group_is_deleted_once_nothing_uses_it(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, pauses: list[float]
) -> None:
    aws["ec2"].add_response("describe_security_groups", GROUP, TAGGED)
    aws["ec2"].add_client_error("delete_security_group", "DependencyViolation", "in use")
    aws["ec2"].add_response("delete_security_group", {}, {"GroupId": "sg-1"})
    assert strike(ledger, entry(ledger, Kind.SECURITY_GROUP), control) is None
    assert pauses == [2.0]


def test_a_group_that_stays_in_use_is_kept(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, pauses: list[float]
) -> None:
    aws["ec2"].add_response("describe_security_groups", GROUP, TAGGED)
    for _ in range(15):
        aws["ec2"].add_client_error("delete_security_group", "DependencyViolation", "in use")
    assert strike(ledger, entry(ledger, Kind.SECURITY_GROUP), control) == "DependencyViolation: in use"


def test_a_group_made_a_moment_ago_is_looked_for_until_it_is_seen(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, pauses: list[float]
) -> None:
    aws["ec2"].add_response("describe_security_groups", {"SecurityGroups": []}, TAGGED)
    aws["ec2"].add_response("describe_security_groups", GROUP, TAGGED)
    aws["ec2"].add_response("delete_security_group", {}, {"GroupId": "sg-1"})
    assert strike(ledger, entry(ledger, Kind.SECURITY_GROUP), control) is None
    known = ledger.given(entry(ledger, Kind.SECURITY_GROUP), "sg-2")
    aws["ec2"].add_response("describe_security_groups", {"SecurityGroups": []}, TAGGED)
    aws["ec2"].add_response("delete_security_group", {}, {"GroupId": "sg-2"})
    assert strike(ledger, known, control) is None
    old = replace(entry(ledger, Kind.SECURITY_GROUP), made=0.0)
    aws["ec2"].add_response("describe_security_groups", {"SecurityGroups": []}, TAGGED)
    assert strike(ledger, old, control) is None
    assert pauses == [2.0]


def test_a_group_that_can_not_be_known_yet_by_its_id_is_deleted_a_little_later(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, pauses: list[float]
) -> None:
    known = ledger.given(entry(ledger, Kind.SECURITY_GROUP), "sg-1")
    aws["ec2"].add_response("describe_security_groups", {"SecurityGroups": []}, TAGGED)
    aws["ec2"].add_client_error("delete_security_group", "InvalidGroup.NotFound", http_status_code=400)
    aws["ec2"].add_response("describe_security_groups", GROUP, TAGGED)
    aws["ec2"].add_response("delete_security_group", {}, {"GroupId": "sg-1"})
    assert strike(ledger, known, control) is None
    assert pauses == [2.0]


@pytest.mark.parametrize("told", ["p-examplepolicy1", ""])
def test_an_organizations_policy_is_detached_and_deleted(
    aws: dict[str, Stubber], control: ControlPlane, ledger: Ledger, told: str
) -> None:
    name = "p-examplepolicy1"
    made = entry(ledger, Kind.ORGANIZATION_POLICY)
    if told:
        made = ledger.given(made, told)
    else:
        rows: Any = [{"Policies": [{"Id": "p-other", "Name": "other"}]}, {"Policies": [{"Id": name, "Name": NAME}]}]
        for kind, row in zip(("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"), rows, strict=True):
            aws["organizations"].add_response("list_policies", row, {"Filter": kind})
    none: Any = {"Targets": [], "NextToken": "more"}  # as Organizations says it may be
    targets: Any = {"Targets": [{"TargetId": "111122223333"}]}
    aws["organizations"].add_response("list_targets_for_policy", none, {"PolicyId": name})
    aws["organizations"].add_response("list_targets_for_policy", targets, {"PolicyId": name, "NextToken": "more"})
    aws["organizations"].add_response("detach_policy", {}, {"PolicyId": name, "TargetId": "111122223333"})
    aws["organizations"].add_response("delete_policy", {}, {"PolicyId": name})
    assert strike(ledger, made, control) is None
