"""Change sets: what `aws cloudformation deploy` asks for, and what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.unit.labstage import Stage, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIN = "360000000041"
TEMPLATE = """
Parameters:
  Name: {Type: String, Default: set-bucket}
Resources:
  Bucket: {Type: AWS::S3::Bucket, Properties: {BucketName: !Ref Name}}
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.41.0.0/16}}
Outputs:
  Bucket: {Value: !Ref Bucket}
"""
LARGER = TEMPLATE.replace("10.41.0.0/16}}", "10.41.0.0/16, EnableDnsHostnames: true}}").replace(
    "Outputs:", "  Gateway: {Type: AWS::EC2::InternetGateway}\nOutputs:"
)


@pytest.fixture(scope="module")
def api() -> Any:
    return Stage(MAIN).admin(MAIN).client("cloudformation")


@pytest.fixture(autouse=True)
def _none_left(api: Any) -> Iterator[None]:
    yield
    for row in api.describe_stacks()["Stacks"]:
        api.delete_stack(StackName=row["StackName"])


def deploy(api: Any, template: str, *, name: str = "one", kind: str = "CREATE", **more: Any) -> Any:
    """As AWS CLI does it: a set, waited for, carried out, waited for."""
    made = api.create_change_set(
        StackName="set", ChangeSetName=name, ChangeSetType=kind, TemplateBody=template, Tags=[], **more
    )
    api.get_waiter("change_set_create_complete").wait(ChangeSetName=made["Id"], StackName="set")
    api.execute_change_set(ChangeSetName=made["Id"], StackName="set", DisableRollback=False)
    api.get_waiter(f"stack_{kind.lower()}_complete").wait(StackName="set")
    return api.describe_change_set(ChangeSetName=made["Id"])


def test_a_stack_is_created_reviewed_and_changed_by_sets(api: Any) -> None:
    made = api.create_change_set(
        StackName="set", ChangeSetName="first", ChangeSetType="CREATE", TemplateBody=TEMPLATE, Description="begun"
    )
    (stack,) = api.describe_stacks(StackName="set")["Stacks"]
    assert stack["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert stack["StackId"] == made["StackId"]
    assert api.list_stack_resources(StackName="set")["StackResourceSummaries"] == []
    found = api.describe_change_set(ChangeSetName="first", StackName="set")
    assert (found["Status"], found["ExecutionStatus"], found["Description"]) == (
        "CREATE_COMPLETE",
        "AVAILABLE",
        "begun",
    )
    assert found["Parameters"] == [{"ParameterKey": "Name", "ParameterValue": "set-bucket"}]
    rows = [row["ResourceChange"] for row in found["Changes"]]
    assert [(row["Action"], row["LogicalResourceId"], row["ResourceType"]) for row in rows] == [
        ("Add", "Bucket", "AWS::S3::Bucket"),
        ("Add", "Vpc", "AWS::EC2::VPC"),
    ]
    other = [{"ParameterKey": "Name", "ParameterValue": "set-another"}]
    found = deploy(api, TEMPLATE, name="second", Parameters=other)
    assert found["ExecutionStatus"] == "EXECUTE_COMPLETE"
    (stack,) = api.describe_stacks(StackName="set")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert stack["Outputs"][0]["OutputValue"] == "set-another"
    # what was looked at before the stack changed is gone
    assert [row["ChangeSetName"] for row in api.list_change_sets(StackName="set")["Summaries"]] == ["second"]

    kept = [{"ParameterKey": "Name", "UsePreviousValue": True}]
    found = deploy(api, LARGER, kind="UPDATE", name="third", Parameters=kept)
    rows = [row["ResourceChange"] for row in found["Changes"]]
    assert [(row["Action"], row["LogicalResourceId"], row.get("Replacement")) for row in rows] == [
        ("Modify", "Vpc", "False"),
        ("Add", "Gateway", None),
    ]
    assert rows[0]["Details"][0]["Target"] == {
        "Attribute": "Properties",
        "Name": "EnableDnsHostnames",
        "RequiresRecreation": "Never",
    }
    found = deploy(api, TEMPLATE, kind="UPDATE", name="fourth")
    rows = [row["ResourceChange"] for row in found["Changes"]]
    assert [(row["Action"], row["LogicalResourceId"], row.get("Replacement")) for row in rows] == [
        ("Modify", "Bucket", "True"),
        ("Modify", "Vpc", "False"),
        ("Remove", "Gateway", None),
    ]
    assert api.describe_stacks(StackName="set")["Stacks"][0]["Outputs"][0]["OutputValue"] == "set-bucket"


def test_a_set_without_changes_fails_in_the_words_that_clients_look_for(api: Any) -> None:
    deploy(api, TEMPLATE)
    with pytest.raises(WaiterError) as caught:
        deploy(api, TEMPLATE, kind="UPDATE", name="again")
    assert caught.value.last_response["Status"] == "FAILED"
    assert "The submitted information didn't contain changes." in caught.value.last_response["StatusReason"]
    status, code, _ = refusal(api.execute_change_set, ChangeSetName="again", StackName="set")
    assert (status, code) == (400, "InvalidChangeSetStatus")
    deploy(api, LARGER, kind="UPDATE", name="again")


def test_what_fails_is_taken_back_and_a_set_may_be_thrown_away(api: Any) -> None:
    broken = TEMPLATE.replace("10.41.0.0/16", "10.41.0.0/8")
    made = api.create_change_set(StackName="set", ChangeSetName="a", ChangeSetType="CREATE", TemplateBody=broken)
    api.execute_change_set(ChangeSetName=made["Id"])
    assert api.describe_stacks(StackName="set")["Stacks"][0]["StackStatus"] == "ROLLBACK_COMPLETE"
    assert api.describe_change_set(ChangeSetName=made["Id"])["ExecutionStatus"] == "EXECUTE_FAILED"
    status, code, message = refusal(api.create_change_set, StackName="set", ChangeSetName="b", TemplateBody=TEMPLATE)
    assert (status, code) == (400, "ValidationError")
    assert "is in ROLLBACK_COMPLETE state and can not be updated" in message
    api.delete_stack(StackName="set")
    api.create_change_set(StackName="set", ChangeSetName="c", ChangeSetType="CREATE", TemplateBody=TEMPLATE)
    api.delete_change_set(ChangeSetName="c", StackName="set")
    assert refusal(api.describe_change_set, ChangeSetName="c", StackName="set")[1] == "ChangeSetNotFound"
    api.create_change_set(StackName="set", ChangeSetName="c", ChangeSetType="CREATE", TemplateBody=broken)
    api.execute_change_set(ChangeSetName="c", StackName="set", DisableRollback=True)
    assert api.describe_stacks(StackName="set")["Stacks"][0]["StackStatus"] == "CREATE_FAILED"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ChangeSetType": "IMPORT"}, "the lab does not serve change sets of type IMPORT"),
        ({"ChangeSetName": "1"}, "Value '1' at 'changeSetName' failed to satisfy constraint"),
        ({"IncludeNestedStacks": True}, "the lab does not serve the parameter IncludeNestedStacks"),
        ({"ChangeSetType": "UPDATE"}, "Stack with id set does not exist"),
        ({"TemplateBody": "Resources: {Q: {Type: AWS::SQS::Queue}}"}, "the lab makes no AWS::SQS::Queue"),
        ({"RoleARN": f"arn:aws:iam::{MAIN}:role/some"}, "the lab does not serve the parameter RoleARN"),
    ],
)
def test_what_is_refused(api: Any, given: dict[str, Any], said: str) -> None:
    asked = {"StackName": "set", "ChangeSetName": "set", "ChangeSetType": "CREATE", "TemplateBody": TEMPLATE, **given}
    with pytest.raises(ClientError, match=said):
        api.create_change_set(**asked)


def test_names_are_taken_once(api: Any) -> None:
    asked = {"StackName": "set", "ChangeSetType": "CREATE", "TemplateBody": TEMPLATE}
    api.create_change_set(ChangeSetName="a", **asked)
    assert refusal(api.create_change_set, ChangeSetName="a", **asked)[1] == "AlreadyExistsException"
    api.execute_change_set(ChangeSetName="a", StackName="set")
    said = refusal(api.create_change_set, ChangeSetName="b", **asked)[2]
    assert said == "Stack [set] already exists and cannot be created again with the changeSet"
    # a property that can only be seen to be wrong when it is carried out
    late = TEMPLATE.replace("10.41.0.0/16", "!GetAtt Bucket.Arn")
    api.create_change_set(StackName="set", ChangeSetName="late", TemplateBody=late)
    (row,) = api.describe_change_set(StackName="set", ChangeSetName="late")["Changes"]
    assert row["ResourceChange"]["LogicalResourceId"] == "Vpc"
