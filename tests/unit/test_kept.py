from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.model import SignedRequest
from pytest_s3vpce.vantage import (
    AgentConfig,
    ControlPlane,
    Deployment,
    KeptLambdaVantage,
    Kind,
    Recipe,
    RunRole,
    agent,
    waking,
)
from pytest_s3vpce.vantage.kept import Done, Keeper

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "s3vpce-kept-inside"
ARN = f"arn:aws:lambda:eu-west-1:111122223333:function:{NAME}"
OWN_ROLE = f"arn:aws:iam::111122223333:role/{NAME}"
GIVEN_ROLE = "arn:aws:iam::111122223333:role/probe"
NETWORK = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
PONG = {"version": 1, "agent": agent.AGENT, "python": "3.13.0"}


class Owned(ControlPlane):
    """One client for each service, whatever its configuration: its answers are queued."""

    def client(self, service: str, **_: Any) -> Any:
        return super().client(service)

    @property
    def owner(self) -> str:
        return "arn:aws:iam::111122223333:user/ana"


@pytest.fixture(scope="module")
def control() -> ControlPlane:
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s")
    return Owned("main", session=session, region="eu-west-1")


@pytest.fixture
def aws(control: ControlPlane) -> Iterator[dict[str, Stubber]]:
    stubs = {service: Stubber(control.client(service)) for service in ("lambda", "iam", "ec2")}
    for stub in stubs.values():
        stub.activate()
    yield stubs
    for stub in stubs.values():
        stub.deactivate()
    for stub in stubs.values():
        stub.assert_no_pending_responses()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControlPlane, "pause", lambda _control, _seconds: None)


def recipe(**given: Any) -> Recipe:
    settings = {"subnets": ("subnet-1",), "security_groups": ("sg-1",), "role": GIVEN_ROLE, **given}
    return Recipe(deployment=Deployment(**settings), config=AgentConfig(), timeout=90)


def keeper(control: ControlPlane, **given: Any) -> Keeper:
    return Keeper("inside", control=control, recipe=recipe(**given))


def found(aws: dict[str, Stubber], *, times: int = 1, **given: Any) -> None:
    state = {
        "FunctionName": NAME,
        "FunctionArn": ARN,
        "Description": recipe().description,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "Role": GIVEN_ROLE,
        "VpcConfig": NETWORK,
    }
    for _ in range(times):
        aws["lambda"].add_response("get_function_configuration", {**state, **given}, {"FunctionName": NAME})


def tagged(aws: dict[str, Stubber], **tags: str) -> None:
    given = {"s3vpce:kept": "inside", "s3vpce:content": recipe().content, **tags}
    aws["lambda"].add_response("list_tags", {"Tags": given}, {"Resource": ARN})


def missing(aws: dict[str, Stubber]) -> None:
    aws["lambda"].add_client_error("get_function_configuration", "ResourceNotFoundException", http_status_code=404)


def looked_up(aws: dict[str, Stubber]) -> None:
    aws["ec2"].add_response("describe_subnets", {"Subnets": [{"SubnetId": "subnet-1", "VpcId": "vpc-1"}]})
    aws["ec2"].add_response("describe_security_groups", {"SecurityGroups": [{"GroupId": "sg-1", "VpcId": "vpc-1"}]})


def updated(aws: dict[str, Stubber]) -> None:
    aws["lambda"].add_response("update_function_code", {})
    found(aws)
    aws["lambda"].add_response("update_function_configuration", {})
    found(aws)
    aws["lambda"].add_response("tag_resource", {})
    found(aws)
    answering(aws)


def answering(aws: dict[str, Stubber]) -> None:
    content = json.dumps(PONG).encode()
    aws["lambda"].add_response("invoke", {"Payload": StreamingBody(io.BytesIO(content), len(content))})


# --- what a run does with it: it is looked at, and asked for an answer where it sleeps; no other calls are stubbed


def point(control: ControlPlane) -> KeptLambdaVantage:
    return KeptLambdaVantage("inside", control=control, recipe=recipe(), config=AgentConfig())


@pytest.mark.parametrize("state", ["Active", "Inactive"])
def test_a_run_looks_at_it_and_wakes_it(aws: dict[str, Stubber], control: ControlPlane, state: str) -> None:
    found(aws, State=state)
    if state == "Inactive":
        answering(aws)
    point(control).prepare()
    aws["lambda"].assert_no_pending_responses()


def test_a_run_waits_for_an_update_that_goes_on(aws: dict[str, Stubber], control: ControlPlane) -> None:
    found(aws, times=2, LastUpdateStatus="InProgress")
    found(aws)
    point(control).prepare()
    aws["lambda"].assert_no_pending_responses()


def test_one_that_fell_asleep_is_woken_for_its_requests(
    aws: dict[str, Stubber], control: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waking, "PAUSE", 0.0)
    for _ in range(2):
        aws["lambda"].add_client_error("invoke", "ResourceNotReadyException", http_status_code=502)
    found(aws)
    answering(aws)
    answering(aws)
    assert point(control)._exchange({"requests": []}) == PONG
    aws["lambda"].assert_no_pending_responses()


@pytest.mark.parametrize(
    ("named", "runs"), [({"agent": "0123456789ab"}, "agent 0123456789ab"), ({}, "something else")], ids=["old", "none"]
)
def test_answers_of_another_agent_are_not_believed(
    aws: dict[str, Stubber], control: ControlPlane, named: dict[str, str], runs: str
) -> None:
    content = json.dumps({"version": 1, "answers": [], **named}).encode()
    aws["lambda"].add_response("invoke", {"Payload": StreamingBody(io.BytesIO(content), len(content))})
    with pytest.raises(VantageError, match=f"`{NAME}` runs {runs}, not agent {agent.AGENT}.*`s3vpce deploy`"):
        point(control).send(
            [SignedRequest(id="r", method="GET", url="https://b.s3.eu-west-1.amazonaws.com/", headers=())]
        )


def test_a_run_says_what_to_do_where_it_is_missing(aws: dict[str, Stubber], control: ControlPlane) -> None:
    missing(aws)
    with pytest.raises(VantageError, match=f"`{NAME}` is not deployed in account `main`, eu-west-1") as caught:
        point(control).prepare()
    assert str(caught.value.remedy).startswith("run `s3vpce deploy`")


def test_a_run_says_what_to_do_where_it_is_stale(aws: dict[str, Stubber], control: ControlPlane) -> None:
    found(aws, Description=recipe(memory=1024).description)
    with pytest.raises(VantageError, match="is not what the inventory and this version say") as caught:
        point(control).prepare()
    assert str(caught.value.remedy).startswith("run `s3vpce deploy`")


CHANGED = pytest.mark.parametrize(
    "given",
    [
        {"VpcConfig": {}},
        {"VpcConfig": {**NETWORK, "SubnetIds": ["subnet-9"]}},
        {"VpcConfig": {**NETWORK, "SecurityGroupIds": ["sg-1", "sg-9"]}},
        {"Environment": {"Variables": {"S3VPCE_AGENT": '{"proxy": "http://10.0.0.1:3128"}'}}},
    ],
    ids=["out of its VPC", "another subnet", "another group", "another configuration"],
)


@CHANGED
def test_one_that_somebody_moved_is_none_to_send_from(
    aws: dict[str, Stubber], control: ControlPlane, given: dict[str, Any]
) -> None:
    """Its description stays as it was."""
    found(aws, **given)
    with pytest.raises(VantageError, match="is not what the inventory and this version say"):
        point(control).prepare()


@CHANGED
def test_one_that_somebody_moved_is_updated(
    aws: dict[str, Stubber], control: ControlPlane, given: dict[str, Any]
) -> None:
    looked_up(aws)
    found(aws, **given)
    tagged(aws)
    updated(aws)
    assert keeper(control).deploy() is Done.UPDATED


def test_what_does_not_show_is_not_held_against_it(aws: dict[str, Stubber], control: ControlPlane) -> None:
    """Whose key one may not use is shown no variables, and tags are not looked up in a run."""
    chosen = recipe(subnets={"tier": "app"}, security_groups={"tier": "app"})
    found(aws, Description=chosen.description, Environment={"Error": {"ErrorCode": "AccessDeniedException"}})
    there = KeptLambdaVantage("inside", control=control, recipe=chosen, config=AgentConfig())
    assert there.check() == "Active"


def test_a_run_that_may_not_look_says_so(aws: dict[str, Stubber], control: ControlPlane) -> None:
    aws["lambda"].add_client_error("get_function_configuration", "NewException", "no", http_status_code=400)
    with pytest.raises(VantageError, match="can't be looked at: NewException: no") as caught:
        point(control).prepare()
    assert "lambda:GetFunctionConfiguration" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"State": "Failed", "StateReasonCode": "InvalidSubnet"}, "InvalidSubnet"),
        ({"LastUpdateStatus": "Failed", "LastUpdateStatusReasonCode": "EniLimitExceeded"}, "EniLimitExceeded"),
        ({"LastUpdateStatus": "Failed"}, "Failed"),
    ],
)
def test_a_run_says_why_it_failed(
    aws: dict[str, Stubber], control: ControlPlane, given: dict[str, Any], code: str
) -> None:
    found(aws, **given)
    with pytest.raises(VantageError, match=rf"has failed, .*\({code}\)"):
        point(control).prepare()


def test_the_hash_is_of_all_that_makes_it() -> None:
    other = [
        recipe(memory=1024),
        recipe(architecture="arm64"),
        recipe(runtime="python3.12"),
        recipe(subnets=("subnet-2",)),
        recipe(subnets={"tier": "app"}),
        recipe(security_groups={"tier": "app"}),
        recipe(dual_stack=True),
        recipe(kms_key="arn:aws:kms:eu-west-1:111122223333:key/1"),
        recipe(role=RunRole()),
        recipe(tags={"a": "b"}),
        Recipe(deployment=recipe().deployment, config=AgentConfig(loopback=True), timeout=90),
        Recipe(deployment=recipe().deployment, config=AgentConfig(), timeout=91),
    ]
    assert len({row.content for row in (recipe(), *other)}) == len(other) + 1
    assert recipe(subnets=("subnet-1", "subnet-2")).content == recipe(subnets=("subnet-2", "subnet-1")).content
    assert len(recipe().description) < 256


# --- deploy


def test_it_is_made(aws: dict[str, Stubber], control: ControlPlane) -> None:
    looked_up(aws)
    missing(aws)
    aws["lambda"].add_response(
        "create_function",
        {},
        {
            "FunctionName": NAME,
            "Description": recipe().description,
            "Role": GIVEN_ROLE,
            "Code": {"ZipFile": ANY},
            "Tags": {
                "s3vpce:kept": "inside",
                "s3vpce:created": ANY,
                "s3vpce:content": recipe().content,
                "s3vpce:owner": "arn:aws:iam::111122223333:user/ana",
            },
            "Runtime": "python3.13",
            "Architectures": ["x86_64"],
            "Handler": "agent.handler",
            "Timeout": 90,
            "MemorySize": 512,
            "Environment": {"Variables": recipe().environment},
            "VpcConfig": NETWORK,
        },
    )
    found(aws, times=2)
    answering(aws)
    lines: list[str] = []
    assert keeper(control).deploy(notify=lines.append) is Done.CREATED
    assert lines[0] == f"creating function {NAME}"


def test_one_that_never_became_active_is_made_anew(aws: dict[str, Stubber], control: ControlPlane) -> None:
    looked_up(aws)
    found(aws, State="Pending")
    tagged(aws)
    found(aws, State="Failed", StateReasonCode="InvalidSubnet")
    found(aws, State="Failed", StateReasonCode="InvalidSubnet")
    tagged(aws)
    aws["lambda"].add_response("delete_function", {}, {"FunctionName": NAME})
    aws["lambda"].add_response("create_function", {})
    found(aws, times=2)
    answering(aws)
    assert keeper(control).deploy() is Done.CREATED


def test_one_whose_update_was_cut_short_is_updated(aws: dict[str, Stubber], control: ControlPlane) -> None:
    """Its description is new and its tag is not."""
    looked_up(aws)
    found(aws)
    tagged(aws, **{"s3vpce:content": "before"})
    aws["lambda"].add_response(
        "update_function_code", {}, {"FunctionName": NAME, "ZipFile": ANY, "Architectures": ["x86_64"]}
    )
    found(aws, LastUpdateStatus="InProgress")
    found(aws)
    aws["lambda"].add_response(
        "update_function_configuration",
        {},
        {
            "FunctionName": NAME,
            "Description": recipe().description,
            "Role": GIVEN_ROLE,
            "Runtime": "python3.13",
            "Handler": "agent.handler",
            "Timeout": 90,
            "MemorySize": 512,
            "Environment": {"Variables": recipe().environment},
            "VpcConfig": {**NETWORK, "Ipv6AllowedForDualStack": False},
            "KMSKeyArn": "",
        },
    )
    found(aws)
    aws["lambda"].add_response("tag_resource", {}, {"Resource": ARN, "Tags": ANY})
    found(aws)
    answering(aws)
    assert keeper(control).deploy() is Done.UPDATED


def test_one_whose_code_somebody_changed_is_updated(aws: dict[str, Stubber], control: ControlPlane) -> None:
    looked_up(aws)
    found(aws, CodeSha256="b3RoZXI=")
    tagged(aws)
    updated(aws)
    assert keeper(control).deploy() is Done.UPDATED


def test_an_update_that_fails_says_why(aws: dict[str, Stubber], control: ControlPlane) -> None:
    looked_up(aws)
    found(aws, LastUpdateStatus="Failed")
    tagged(aws)
    aws["lambda"].add_response("update_function_code", {})
    found(aws)
    aws["lambda"].add_response("update_function_configuration", {})
    found(aws, LastUpdateStatus="Failed", LastUpdateStatusReasonCode="SubnetOutOfIPAddresses")
    with pytest.raises(VantageError, match="SubnetOutOfIPAddresses: a subnet has no free IP address left"):
        keeper(control).deploy()


def test_a_refusal_is_told(aws: dict[str, Stubber], control: ControlPlane) -> None:
    looked_up(aws)
    missing(aws)
    aws["lambda"].add_client_error("create_function", "AccessDeniedException", "no", http_status_code=403)
    with pytest.raises(VantageError, match=f"function `{NAME}` can't be deployed: AccessDeniedException: no"):
        keeper(control).deploy()


def role_there(aws: dict[str, Stubber], *, tags: bool = True) -> None:
    row = {"Arn": OWN_ROLE, "Path": "/", "RoleName": NAME, "RoleId": "AROAEXAMPLEEXAMPLE", "CreateDate": "2026-01-01"}
    given: dict[str, Any] = {"Tags": [{"Key": "s3vpce:kept", "Value": "inside"}]} if tags else {}
    aws["iam"].add_response("get_role", {"Role": {**row, **given}}, {"RoleName": NAME})


def test_a_role_that_is_ours_is_used_again(aws: dict[str, Stubber], control: ControlPlane) -> None:
    looked_up(aws)
    missing(aws)
    aws["iam"].add_client_error("create_role", "EntityAlreadyExists", http_status_code=409)
    role_there(aws)
    aws["iam"].add_response("put_role_policy", {})
    aws["lambda"].add_response("create_function", {})
    given = {"Description": recipe(role=RunRole()).description}
    found(aws, times=2, **given)
    answering(aws)
    assert keeper(control, role=RunRole()).deploy() is Done.CREATED


@pytest.mark.parametrize("content", ["", "another"])
def test_a_function_whose_creation_was_not_told_is_there(
    aws: dict[str, Stubber], control: ControlPlane, content: str
) -> None:
    """But one that somebody else has made meanwhile, otherwise, is not what was wanted."""
    looked_up(aws)
    missing(aws)
    aws["lambda"].add_client_error("create_function", "ResourceConflictException", "exists", http_status_code=409)
    found(aws)
    if content:
        tagged(aws, **{"s3vpce:content": content})
        with pytest.raises(VantageError, match="can't be deployed: ResourceConflictException: exists"):
            keeper(control).deploy()
        return
    tagged(aws)
    found(aws, times=2)
    answering(aws)
    assert keeper(control).deploy() is Done.CREATED


@pytest.mark.parametrize("code", ["EntityAlreadyExists", "LimitExceeded"])
def test_a_role_that_is_not_ours_or_can_not_be_made(aws: dict[str, Stubber], control: ControlPlane, code: str) -> None:
    looked_up(aws)
    missing(aws)
    aws["iam"].add_client_error("create_role", code, "no", http_status_code=409)
    said = "can't be deployed: LimitExceeded: no"
    if code == "EntityAlreadyExists":
        role_there(aws, tags=False)
        said = f"role `{NAME}` is there, and `s3vpce deploy` did not make it"
    with pytest.raises(VantageError, match=said):
        keeper(control, role=RunRole()).deploy()


# --- undeploy


def test_the_function_goes_then_the_role(aws: dict[str, Stubber], control: ControlPlane) -> None:
    found(aws)
    tagged(aws)
    aws["lambda"].add_response("delete_function", {}, {"FunctionName": NAME})
    role_there(aws)
    aws["ec2"].add_response("describe_network_interfaces", {"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1"}]})
    (left,) = keeper(control, role=RunRole()).undeploy()
    assert (left.entry.kind, left.entry.identifier) == (Kind.IAM_ROLE, NAME)
    assert "eni-1" in left.reason
    missing(aws)
    aws["iam"].add_client_error("get_role", "NoSuchEntity", http_status_code=404)
    assert keeper(control, role=RunRole()).undeploy() == []


def test_a_role_of_the_users_stays(aws: dict[str, Stubber], control: ControlPlane) -> None:
    found(aws)
    tagged(aws)
    aws["lambda"].add_response("delete_function", {})
    assert keeper(control).undeploy() == []


def test_what_can_not_be_looked_at_is_not_taken_for_gone(aws: dict[str, Stubber], control: ControlPlane) -> None:
    aws["lambda"].add_client_error("get_function_configuration", "AccessDeniedException", http_status_code=403)
    with pytest.raises(VantageError, match="can't be removed: AccessDeniedException"):
        keeper(control).undeploy()
    missing(aws)
    aws["iam"].add_client_error("get_role", "AccessDenied", http_status_code=403)
    with pytest.raises(VantageError, match="can't be removed: AccessDenied"):
        keeper(control, role=RunRole()).undeploy()
