from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions
import botocore.session
import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.model import Cell, Place, SignedRequest, Target
from pytest_s3vpce.operations import OPERATIONS
from pytest_s3vpce.probe import Credentials, Destination, Probe, ProbeBuilder
from pytest_s3vpce.vantage import agent, base, reasons, waking
from pytest_s3vpce.vantage.base import AgentConfig, Limits
from pytest_s3vpce.vantage.bundle import agent_zip
from pytest_s3vpce.vantage.control import ControlPlane
from pytest_s3vpce.vantage.deployment import Deployment, RunRole, resource_name
from pytest_s3vpce.vantage.lambda_ import DeployedLambdaVantage, LambdaVantage
from pytest_s3vpce.vantage.ledger import Kind, Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.config import Config

NAME = "s3vpce-1a2b-inside"
ROLE = "arn:aws:iam::111122223333:role/probe"
MADE = f"arn:aws:iam::111122223333:role/{NAME}"
PONG = {"version": 1, "agent": agent.AGENT, "python": "3.13.0"}
REQUEST = SignedRequest(id="cell", method="GET", url="https://b.s3.eu-west-1.amazonaws.com/k", headers=(("a", "b"),))
DEPLOYMENT = Deployment(subnets=("subnet-1",), security_groups=("sg-1",), role=ROLE)


@pytest.fixture(autouse=True)
def unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go by their positions alone, so that queued answers can name them."""
    monkeypatch.setattr(base, "_mark", str)


class Stubbed(ControlPlane):
    """Real clients whose answers are queued; keeps the configurations that were asked for."""

    def __init__(self) -> None:
        session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s")
        super().__init__("main", session=session, region="eu-west-1")
        self.configs: list[Config | None] = []

    @property
    def owner(self) -> str:
        return "arn:aws:iam::111122223333:user/ana"

    def client(self, service: str, *, region: str | None = None, config: Config | None = None) -> Any:
        self.configs.append(config)
        return super().client(service, region=region)


@pytest.fixture(scope="module")
def control() -> Stubbed:
    return Stubbed()


@pytest.fixture
def aws(control: Stubbed) -> Iterator[dict[str, Stubber]]:
    stubs = {service: Stubber(control.client(service)) for service in ("lambda", "iam", "ec2")}
    control.configs.clear()
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


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    pause = ControlPlane.pause

    def paused(control: ControlPlane, seconds: float) -> None:
        found.append(seconds)
        pause(control, 0)

    monkeypatch.setattr(ControlPlane, "pause", paused)
    return found


@pytest.fixture
def make(control: Stubbed, ledger: Ledger) -> Callable[..., DeployedLambdaVantage]:
    def made(deployment: Deployment = DEPLOYMENT, **given: Any) -> DeployedLambdaVantage:
        return DeployedLambdaVantage(
            "inside",
            control=control,
            deployment=deployment,
            run_id="1a2b",
            ledger=ledger,
            place=Place("s3vpce.yaml", 12, 3),
            **given,
        )

    return made


def answering(aws: dict[str, Stubber], content: Any, **given: Any) -> None:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    body = StreamingBody(io.BytesIO(raw), len(raw))
    aws["lambda"].add_response("invoke", {"StatusCode": 200, "Payload": body, **given})


def network(aws: dict[str, Stubber], *, vpc: str = "vpc-1") -> None:
    subnets = {"Subnets": [{"SubnetId": "subnet-1", "VpcId": "vpc-1"}]}
    groups = {"SecurityGroups": [{"GroupId": "sg-1", "VpcId": vpc}]}
    aws["ec2"].add_response("describe_subnets", subnets, {"SubnetIds": ["subnet-1"]})
    aws["ec2"].add_response("describe_security_groups", groups, {"GroupIds": ["sg-1"]})


def state(aws: dict[str, Stubber], name: str = "Active", **given: str) -> None:
    aws["lambda"].add_response("get_function_configuration", {"State": name, **given})


def role_made(aws: dict[str, Stubber]) -> None:
    role = {
        "Role": {"Arn": MADE, "Path": "/", "RoleName": NAME, "RoleId": "AROAEXAMPLEEXAMPLE", "CreateDate": "2026-01-01"}
    }
    aws["iam"].add_response("create_role", role)


# --- an existing function


def existing(control: Stubbed, function: str = "probe", **given: Any) -> LambdaVantage:
    return LambdaVantage("inside", control=control, function=function, place=Place("s3vpce.yaml", 12, 3), **given)


def test_a_batch_is_one_invoke(aws: dict[str, Stubber], control: Stubbed) -> None:
    answers = [{"id": "0", "status": 200, "failure": None}, {"id": "1", "status": 403, "failure": None}]
    answering(aws, {**PONG, "answers": answers})
    vantage = existing(control)
    assert [answer.status for answer in vantage.send([REQUEST, REQUEST])] == [200, 403]


def test_a_batch_is_never_invoked_twice(aws: dict[str, Stubber], control: Stubbed) -> None:
    answering(aws, {**PONG, "answers": [{"id": "0", "status": 200}]})
    existing(control, limits=Limits(deadline=20)).send([REQUEST])
    (config,) = control.configs
    # These are attributes that botocore sets by name.
    given = vars(config)
    assert given["retries"]["total_max_attempts"] == 1
    assert given["read_timeout"] > 20 + 30


def test_the_client_of_an_invoke_is_kept(aws: dict[str, Stubber], control: Stubbed) -> None:
    vantage = existing(control)
    for _ in range(2):
        answering(aws, {**PONG, "answers": [{"id": "0", "status": 200}]})
        vantage.send([REQUEST])
    assert len(control.configs) == 1


def test_what_is_invoked(aws: dict[str, Stubber], control: Stubbed) -> None:
    content = json.dumps(PONG).encode()
    aws["lambda"].add_response(
        "invoke",
        {"Payload": StreamingBody(io.BytesIO(content), len(content))},
        {
            "FunctionName": "arn:aws:lambda:eu-west-1:111122223333:function:probe",
            "InvocationType": "RequestResponse",
            "Payload": b'{"ping": true}',
        },
    )
    existing(control, "arn:aws:lambda:eu-west-1:111122223333:function:probe").prepare()
    aws["lambda"].assert_no_pending_responses()


def test_an_existing_function_is_asked_who_it_is(aws: dict[str, Stubber], control: Stubbed) -> None:
    answering(aws, PONG)
    lines: list[str] = []
    existing(control).prepare(notify=lines.append)
    assert lines == ["asking function probe who it is"]


def test_another_build_of_the_agent_is_said(aws: dict[str, Stubber], control: Stubbed) -> None:
    answering(aws, {**PONG, "agent": "0123456789ab"})
    lines: list[str] = []
    existing(control).prepare(notify=lines.append)
    assert lines[-1] == f"function probe runs agent 0123456789ab, not {agent.AGENT} of this version"


@pytest.mark.parametrize(
    "reply", ["hello", None, {}, {"version": 2, "agent": "x"}, {"version": 1}, {"statusCode": 200}]
)
def test_a_function_that_is_not_the_agent_is_an_error(aws: dict[str, Stubber], control: Stubbed, reply: Any) -> None:
    answering(aws, reply)
    with pytest.raises(VantageError, match="`inside`: function `probe` does not run the agent") as caught:
        existing(control).prepare()
    assert str(caught.value).startswith("s3vpce.yaml:12:3: ")


def test_a_sleeping_function_is_woken(aws: dict[str, Stubber], control: Stubbed, pauses: list[float]) -> None:
    aws["lambda"].add_client_error("invoke", "ResourceNotReadyException", http_status_code=502)
    state(aws, "Pending", StateReasonCode="Restoring")
    state(aws)
    answering(aws, PONG)
    lines: list[str] = []
    existing(control).prepare(notify=lines.append)
    assert lines[-1] == "waiting for function probe to become active"
    assert len(pauses) == 2


def test_a_function_that_falls_asleep_again_is_woken_again(
    aws: dict[str, Stubber], control: Stubbed, pauses: list[float]
) -> None:
    for _ in range(3):
        aws["lambda"].add_client_error("invoke", "ResourceNotReadyException", http_status_code=502)
        state(aws, "Inactive", StateReasonCode="Idle")
    answering(aws, PONG)
    lines: list[str] = []
    existing(control).prepare(notify=lines.append)
    assert lines.count("waiting for function probe to become active") == 1
    assert len(pauses) == 3


def test_who_may_only_invoke_wakes_it_too(aws: dict[str, Stubber], control: Stubbed, pauses: list[float]) -> None:
    for _ in range(2):
        aws["lambda"].add_client_error("invoke", "ResourceConflictException", http_status_code=409)
        aws["lambda"].add_client_error("get_function_configuration", "AccessDeniedException", http_status_code=403)
    answering(aws, PONG)
    existing(control).prepare()
    assert len(pauses) == 2


def test_a_function_that_does_not_wake_is_given_up(
    aws: dict[str, Stubber], control: Stubbed, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_s3vpce.vantage.waking.TRIES", 1)
    aws["lambda"].add_client_error("invoke", "ResourceNotReadyException", "not ready", http_status_code=502)
    with pytest.raises(VantageError, match=r"is waking up \(ResourceNotReadyException: not ready\)"):
        existing(control).prepare()
    assert pauses == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"State": "Failed", "StateReasonCode": "EniLimitExceeded"}, "EniLimitExceeded: the VPC has reached its limit"),
        ({"State": "Deleting"}, "Deleting: "),
        (
            {"LastUpdateStatus": "Failed", "LastUpdateStatusReasonCode": "SubnetOutOfIPAddresses"},
            "SubnetOutOfIPAddresses: a subnet has no free IP address left",
        ),
        (
            {
                "LastUpdateStatus": "Failed",
                "LastUpdateStatusReasonCode": "KMSKeyNotFound",
                "LastUpdateStatusReason": "No such key.",
            },
            r"KMSKeyNotFound: No such key. \(Lambda can't use the KMS key",
        ),
    ],
)
def test_a_function_that_fails_to_wake_says_why(
    aws: dict[str, Stubber], control: Stubbed, given: dict[str, str], said: str
) -> None:
    aws["lambda"].add_client_error("invoke", "ResourceConflictException", http_status_code=409)
    aws["lambda"].add_response("get_function_configuration", given)
    with pytest.raises(VantageError, match=f"function `probe` did not become active: {said}"):
        existing(control).prepare()


@pytest.mark.parametrize(
    ("given", "said"),
    [({"State": "Pending", "StateReasonCode": "Creating"}, "Creating"), ({"LastUpdateStatus": "InProgress"}, "InProg")],
)
def test_a_function_is_not_waited_for_forever(
    aws: dict[str, Stubber],
    control: Stubbed,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, str],
    said: str,
) -> None:
    monkeypatch.setattr("pytest_s3vpce.vantage.waking.TRIES", 1)
    aws["lambda"].add_response("get_function_configuration", given)
    with pytest.raises(VantageError, match=f"did not become active: {said}") as caught:
        waking.settled(control, "probe", error=existing(control).error)
    assert "again in a few minutes" in str(caught.value.remedy)


def test_a_function_that_was_just_made_does_not_sleep(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage]
) -> None:
    network(aws)
    aws["lambda"].add_response("create_function", {})
    state(aws, "Inactive", StateReasonCode="Idle")
    with pytest.raises(VantageError, match="did not become active: Idle"):
        make().prepare()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ResourceNotFoundException", "there is no such function"),
        ("AccessDeniedException", "may not do this"),
        ("ENILimitReachedException", "limit of network interfaces"),
        ("SubnetIPAddressLimitReachedException", "no free IP address"),
        ("EC2AccessDeniedException", "may not make network interfaces"),
    ],
)
def test_an_invoke_refused_says_why(aws: dict[str, Stubber], control: Stubbed, code: str, words: str) -> None:
    for _ in range(2):
        aws["lambda"].add_client_error("invoke", code, "as AWS says it", http_status_code=400)
    for call in (existing(control).prepare, lambda: existing(control).send([REQUEST])):
        with pytest.raises(VantageError, match="function `probe` can't be invoked") as caught:
            call()
        assert words in caught.value.what
        assert "as AWS says it" in caught.value.what
        assert caught.value.remedy


def test_an_invoke_that_meets_no_free_concurrency_waits_a_little(
    aws: dict[str, Stubber], control: Stubbed, pauses: list[float]
) -> None:
    for _ in range(2):
        aws["lambda"].add_client_error("invoke", "TooManyRequestsException", http_status_code=429)
    answering(aws, {**PONG, "answers": [{"id": "0", "status": 200}]})
    assert [answer.status for answer in existing(control).send([REQUEST])] == [200]
    assert pauses == [0.1, 0.3]


def test_an_invoke_that_meets_none_for_long_says_so(
    aws: dict[str, Stubber], control: Stubbed, pauses: list[float]
) -> None:
    for _ in range(5):
        aws["lambda"].add_client_error("invoke", "TooManyRequestsException", "as AWS says it", http_status_code=429)
    with pytest.raises(VantageError, match="no free concurrency"):
        existing(control).send([REQUEST])
    assert len(pauses) == 4


def test_no_answer_from_lambda_is_an_error(control: Stubbed, monkeypatch: pytest.MonkeyPatch) -> None:
    def silence(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="https://lambda.eu-west-1.amazonaws.com")

    monkeypatch.setattr(control.client("lambda"), "invoke", silence)
    with pytest.raises(VantageError, match="ReadTimeoutError"):
        existing(control).send([REQUEST])


def test_a_function_that_fails_is_an_error(aws: dict[str, Stubber], control: Stubbed) -> None:
    error = {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out\nafter 3.00 seconds"}
    answering(aws, error, FunctionError="Unhandled")
    with pytest.raises(
        VantageError, match=r"failed \(Unhandled\): Sandbox.Timedout Task timed out after 3.00"
    ) as caught:
        existing(control).send([REQUEST])
    assert "at least 90 s" in str(caught.value.remedy)


def test_a_function_that_fails_without_words(aws: dict[str, Stubber], control: Stubbed) -> None:
    answering(aws, None, FunctionError="Handled")
    with pytest.raises(VantageError, match=r"failed \(Handled\)"):
        existing(control).send([REQUEST])


def test_an_answer_that_is_not_json_is_an_error(aws: dict[str, Stubber], control: Stubbed) -> None:
    answering(aws, b"<html>")
    with pytest.raises(VantageError, match="not JSON"):
        existing(control).send([REQUEST])


def test_a_batch_is_cut_at_what_lambda_carries(aws: dict[str, Stubber], control: Stubbed) -> None:
    for ids in ("012", "3"):
        answering(aws, {**PONG, "answers": [{"id": one, "status": 200} for one in ids]})
    large = SignedRequest(id="a", method="PUT", url=REQUEST.url, headers=(), body=bytes(1_200_000), max_body=9)
    assert len(existing(control).send([large] * 4)) == 4


# --- a function made for the run


def test_everything_is_made_in_order(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage], ledger: Ledger
) -> None:
    network(aws)
    aws["iam"].add_response(
        "create_role",
        {
            "Role": {
                "Arn": MADE,
                "Path": "/ci/",
                "RoleName": NAME,
                "RoleId": "AROAEXAMPLEEXAMPLE",
                "CreateDate": "2026-01-01",
            }
        },
        {
            "RoleName": NAME,
            "Path": "/ci/",
            "PermissionsBoundary": "arn:aws:iam::111122223333:policy/ceiling",
            "AssumeRolePolicyDocument": ANY,
            "Description": ANY,
            "Tags": [
                {"Key": "team", "Value": "red"},
                {"Key": "s3vpce:run", "Value": "1a2b"},
                {"Key": "s3vpce:created", "Value": ANY},
                {"Key": "s3vpce:expires", "Value": ANY},
                {"Key": "s3vpce:owner", "Value": "arn:aws:iam::111122223333:user/ana"},
                {"Key": "s3vpce:region", "Value": "eu-west-1"},
            ],
        },
    )
    aws["iam"].add_response(
        "put_role_policy", {}, {"RoleName": NAME, "PolicyName": "network-interfaces", "PolicyDocument": ANY}
    )
    aws["lambda"].add_response(
        "create_function",
        {},
        {
            "FunctionName": NAME,
            "Runtime": "python3.13",
            "Architectures": ["x86_64"],
            "Role": MADE,
            "Handler": "agent.handler",
            "Code": {"ZipFile": agent_zip()},
            "Description": ANY,
            "Timeout": 60,
            "MemorySize": 512,
            "Environment": {"Variables": {"S3VPCE_AGENT": json.dumps(AgentConfig(loopback=True).as_json())}},
            "Tags": {
                "cost": "7",
                "s3vpce:run": "1a2b",
                "s3vpce:created": ANY,
                "s3vpce:expires": ANY,
                "s3vpce:owner": "arn:aws:iam::111122223333:user/ana",
            },
            "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
        },
    )
    state(aws)
    deployment = Deployment(
        subnets=("subnet-1",),
        security_groups=("sg-1",),
        role=RunRole(
            path="/ci/", permissions_boundary="arn:aws:iam::111122223333:policy/ceiling", tags={"team": "red"}
        ),
        tags={"cost": "7"},
    )
    lines: list[str] = []
    vantage = make(deployment, config=AgentConfig(loopback=True), limits=Limits(deadline=30))
    vantage.prepare(notify=lines.append)
    assert vantage.function == NAME
    assert lines == [
        f"creating role {NAME}",
        f"creating function {NAME}",
        f"waiting for function {NAME} to become active",
    ]
    assert [(entry.kind, entry.identifier, entry.account, entry.region) for entry in ledger.open_entries()] == [
        (Kind.IAM_ROLE, NAME, "main", "eu-west-1"),
        (Kind.LAMBDA_FUNCTION, NAME, "main", "eu-west-1"),
    ]


def test_the_role_is_lambdas_and_may_do_no_more_than_it_must(
    aws: dict[str, Stubber],
    make: Callable[..., DeployedLambdaVantage],
    control: Stubbed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, Any] = {}
    iam = control.client("iam")
    monkeypatch.setattr(iam, "create_role", lambda **given: {"Role": {"Arn": MADE}, "seen": seen.update(given)})
    monkeypatch.setattr(iam, "put_role_policy", lambda **given: seen.update(given))
    network(aws)
    aws["lambda"].add_response("create_function", {})
    state(aws)
    make(Deployment(subnets=("subnet-1",), security_groups=("sg-1",))).prepare()
    assert "PermissionsBoundary" not in seen
    (trust,) = json.loads(seen["AssumeRolePolicyDocument"])["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}
    (statement,) = json.loads(seen["PolicyDocument"])["Statement"]
    assert set(statement["Action"]) == {
        f"ec2:{action}"
        for action in (
            "CreateNetworkInterface",
            "DescribeNetworkInterfaces",
            "DescribeSubnets",
            "DeleteNetworkInterface",
            "AssignPrivateIpAddresses",
            "UnassignPrivateIpAddresses",
        )
    }


def test_a_given_role_is_used_and_stays(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage], ledger: Ledger
) -> None:
    network(aws)
    aws["lambda"].add_response("create_function", {})
    state(aws)
    vantage = make()
    vantage.prepare()
    aws["lambda"].add_response("delete_function", {}, {"FunctionName": NAME})
    lines: list[str] = []
    vantage.remove(notify=lines.append)
    assert lines == [f"removing lambda_function {NAME} in account main, eu-west-1"]
    assert ledger.open_entries() == []
    vantage.remove()


def test_outside_any_vpc_nothing_of_one_is_needed(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage], ledger: Ledger
) -> None:
    role_made(aws)
    aws["lambda"].add_response("create_function", {})
    state(aws)
    make(Deployment(subnets=(), security_groups=())).prepare()
    assert {entry.kind for entry in ledger.open_entries()} == {Kind.IAM_ROLE, Kind.LAMBDA_FUNCTION}


def test_the_record_comes_before_the_creation(
    aws: dict[str, Stubber],
    make: Callable[..., DeployedLambdaVantage],
    control: Stubbed,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(**_: Any) -> None:
        assert [entry.kind for entry in ledger.open_entries()] == [Kind.LAMBDA_FUNCTION]
        raise KeyboardInterrupt

    monkeypatch.setattr(control.client("lambda"), "create_function", killed)
    network(aws)
    vantage = make()
    with pytest.raises(KeyboardInterrupt):
        vantage.prepare()
    aws["lambda"].add_client_error("delete_function", "ResourceNotFoundException", http_status_code=404)
    vantage.remove()
    assert ledger.open_entries() == []


@pytest.mark.parametrize(
    "message",
    [
        "The role defined for the function cannot be assumed by Lambda.",
        "The provided execution role does not have permissions to call CreateNetworkInterface on EC2",
    ],
)
def test_a_fresh_role_is_waited_for(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage], pauses: list[float], message: str
) -> None:
    network(aws)
    role_made(aws)
    aws["iam"].add_response("put_role_policy", {})
    for _ in range(3):
        aws["lambda"].add_client_error("create_function", "InvalidParameterValueException", message)
    aws["lambda"].add_response("create_function", {})
    state(aws)
    lines: list[str] = []
    make(Deployment(subnets=("subnet-1",), security_groups=("sg-1",))).prepare(notify=lines.append)
    assert lines.count(f"waiting for role {NAME} to become usable") == 3
    assert len(pauses) == 3


def test_a_role_is_not_waited_for_for_ever(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage], pauses: list[float]
) -> None:
    network(aws)
    role_made(aws)
    aws["iam"].add_response("put_role_policy", {})
    for _ in range(30):
        aws["lambda"].add_client_error(
            "create_function", "InvalidParameterValueException", "The role cannot be assumed by Lambda."
        )
    with pytest.raises(VantageError, match="cannot be assumed by Lambda"):
        make(Deployment(subnets=("subnet-1",), security_groups=("sg-1",))).prepare()
    assert len(pauses) == 29


@pytest.mark.parametrize(
    ("code", "message"),
    [("InvalidParameterValueException", "The role cannot be assumed"), ("CodeStorageExceededException", "full")],
)
def test_a_refused_function_is_one_error_and_no_open_entry(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage], ledger: Ledger, code: str, message: str
) -> None:
    network(aws)
    aws["lambda"].add_client_error("create_function", code, message)
    with pytest.raises(VantageError, match=f"function `{NAME}` can't be created: {code}: {message}") as caught:
        make().prepare()
    assert str(caught.value).startswith("s3vpce.yaml:12:3: vantage point `inside`: ")
    assert ledger.open_entries() == []


def test_a_refused_role_is_one_error_and_no_open_entry(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage], ledger: Ledger
) -> None:
    aws["iam"].add_client_error("create_role", "AccessDenied", "not allowed", http_status_code=403)
    with pytest.raises(VantageError, match=f"role `{NAME}` can't be created: AccessDenied: not allowed"):
        make(Deployment(subnets=(), security_groups=())).prepare()
    assert ledger.open_entries() == []


def test_a_role_without_its_policy_stays_in_the_ledger(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage], ledger: Ledger
) -> None:
    network(aws)
    role_made(aws)
    aws["iam"].add_client_error("put_role_policy", "AccessDenied", "not allowed", http_status_code=403)
    with pytest.raises(VantageError, match="the role's policy can't be put: AccessDenied"):
        make(Deployment(subnets=("subnet-1",), security_groups=("sg-1",))).prepare()
    assert [entry.kind for entry in ledger.open_entries()] == [Kind.IAM_ROLE]


@pytest.mark.parametrize(("code", "status"), [("ServiceException", 500), ("ResourceConflictException", 409)])
def test_what_may_have_been_made_stays_in_the_ledger(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage], ledger: Ledger, code: str, status: int
) -> None:
    network(aws)
    aws["lambda"].add_client_error("create_function", code, http_status_code=status)
    with pytest.raises(VantageError, match=code):
        make().prepare()
    assert [entry.identifier for entry in ledger.open_entries()] == [NAME]


def test_no_answer_may_mean_that_it_was_made(
    aws: dict[str, Stubber],
    make: Callable[..., DeployedLambdaVantage],
    control: Stubbed,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def silence(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="https://lambda.eu-west-1.amazonaws.com")

    monkeypatch.setattr(control.client("lambda"), "create_function", silence)
    network(aws)
    with pytest.raises(VantageError, match="ReadTimeoutError"):
        make().prepare()
    assert len(ledger.open_entries()) == 1


@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("describe_subnets", "subnet `subnet-1`"),
        ("describe_security_groups", "security group `sg-1`"),
    ],
)
def test_a_network_that_is_not_there_is_an_error_before_anything_is_made(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage], ledger: Ledger, call: str, what: str
) -> None:
    if call != "describe_subnets":
        aws["ec2"].add_response("describe_subnets", {"Subnets": [{"VpcId": "vpc-1"}]})
    aws["ec2"].add_client_error(call, "Invalid.NotFound", "it does not exist")
    with pytest.raises(VantageError, match=f"{what}: Invalid.NotFound: it does not exist") as caught:
        make().prepare()
    assert "account `main` in eu-west-1" in str(caught.value.remedy)
    assert ledger.open_entries() == []


def test_a_network_that_may_not_be_looked_at_is_an_error(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage]
) -> None:
    aws["ec2"].add_client_error("describe_subnets", "UnauthorizedOperation", "not allowed", http_status_code=403)
    with pytest.raises(VantageError, match="UnauthorizedOperation: not allowed") as caught:
        make().prepare()
    assert "ec2:DescribeSubnets" in str(caught.value.remedy)


def test_a_network_of_two_vpcs_is_an_error(aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage]) -> None:
    network(aws, vpc="vpc-2")
    with pytest.raises(VantageError, match="different VPCs: vpc-1, vpc-2"):
        make().prepare()


def test_half_a_network_is_an_error(aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage]) -> None:
    aws["ec2"].add_response("describe_subnets", {"Subnets": [{"VpcId": "vpc-1"}]})
    with pytest.raises(VantageError, match="go together"):
        make(Deployment(subnets=("subnet-1",), security_groups=(), role=ROLE)).prepare()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("EniLimitExceeded", "quota"),
        ("SubnetOutOfIPAddresses", "another subnet"),
        ("InvalidSubnet", "subnet"),
        ("InvalidSecurityGroup", "security group"),
        ("InsufficientRolePermissions", "AWSLambdaVPCAccessExecutionRole"),
        ("SomethingNew", "console"),
    ],
)
def test_a_function_that_fails_to_become_active_says_why(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage], code: str, words: str
) -> None:
    network(aws)
    aws["lambda"].add_response("create_function", {})
    state(aws, "Failed", StateReasonCode=code)
    with pytest.raises(VantageError, match=f"function `{NAME}` did not become active: {code}: ") as caught:
        make().prepare()
    assert words in str(caught.value.remedy)


def test_lambdas_own_reason_is_told(aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage]) -> None:
    network(aws)
    aws["lambda"].add_response("create_function", {})
    state(aws, "Failed", StateReasonCode="InvalidSubnet", StateReason="The subnet\nwas deleted")
    with pytest.raises(VantageError, match="InvalidSubnet: The subnet was deleted"):
        make().prepare()


def test_a_function_that_vanishes_is_an_error(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage]
) -> None:
    network(aws)
    aws["lambda"].add_response("create_function", {})
    aws["lambda"].add_client_error("get_function_configuration", "ResourceNotFoundException", http_status_code=404)
    with pytest.raises(VantageError, match="did not become active: ResourceNotFoundException"):
        make().prepare()


def test_no_answer_while_waiting_is_an_error(
    aws: dict[str, Stubber],
    make: Callable[..., DeployedLambdaVantage],
    control: Stubbed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def silence(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="https://lambda.eu-west-1.amazonaws.com")

    monkeypatch.setattr(control.client("lambda"), "get_function_configuration", silence)
    network(aws)
    aws["lambda"].add_response("create_function", {})
    with pytest.raises(VantageError, match="can't be waited for: ReadTimeoutError"):
        make().prepare()


def test_what_can_not_go_yet_is_kept_with_its_reason(
    aws: dict[str, Stubber], make: Callable[..., DeployedLambdaVantage], ledger: Ledger
) -> None:
    network(aws)
    role_made(aws)
    aws["iam"].add_response("put_role_policy", {})
    aws["lambda"].add_response("create_function", {})
    state(aws)
    vantage = make(Deployment(subnets=("subnet-1",), security_groups=("sg-1",)))
    vantage.prepare()
    aws["lambda"].add_response("delete_function", {})
    aws["ec2"].add_response("describe_network_interfaces", {"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1"}]})
    lines: list[str] = []
    vantage.remove(notify=lines.append)
    assert lines[-1].startswith(f"kept iam_role {NAME}")
    assert "eni-1" in lines[-1]
    (left,) = ledger.open_entries()
    assert left.kind is Kind.IAM_ROLE
    aws["ec2"].add_response("describe_network_interfaces", {"NetworkInterfaces": []})
    aws["iam"].add_response("delete_role_policy", {})
    aws["iam"].add_response("delete_role", {})
    vantage.remove()
    assert ledger.open_entries() == []


# --- names, reasons, the zip


def test_names_are_what_functions_and_roles_may_have() -> None:
    assert resource_name("1a2b", "inside") == NAME
    odd, other = resource_name("1a2b", "büro.eu"), resource_name("1a2b", "büro-eu")
    assert odd != other
    long = resource_name("1a2b", "x" * 90)
    for name in (odd, other, long):
        assert name.startswith("s3vpce-1a2b-")
        assert len(name) <= 64
        assert name.replace("-", "").isascii()
        assert name.replace("-", "").isalnum()
    assert long != resource_name("1a2b", "x" * 91)


def test_every_code_of_the_network_has_words_and_a_remedy() -> None:
    model = botocore.session.get_session().get_service_model("lambda")
    states: Any = model.shape_for("StateReasonCode")
    updates: Any = model.shape_for("LastUpdateStatusReasonCode")
    told = {*states.enum, *updates.enum}
    assert told <= set(reasons._REASONS)
    invoke = {shape.name for shape in model.operation_model("Invoke").error_shapes}
    network = {code for code in invoke if re.search("ENI|Eni|Subnet|SecurityGroup|EC2|KMS|Vpc", code)}
    assert network <= set(reasons._REASONS)
    known = told | invoke | {shape.name for shape in model.operation_model("CreateFunction").error_shapes}
    # The states themselves, where Lambda gives no code for them.
    known |= {"Pending", "InProgress"}
    # Errors that are common to all calls of a service, and botocore's own.
    known |= {"AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "LimitExceeded"}
    known |= {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"}
    known |= {"UnrecognizedClientException", "AuthFailure"}
    known |= {"Throttling", "ThrottlingException", "RequestLimitExceeded", "InternalFailure", "ServiceFailure"}
    known |= {"ServiceUnavailable", "Unavailable", "500", "502", "503", "504"}
    assert {code for code in reasons._REASONS if not hasattr(botocore.exceptions, code)} <= known


def test_the_zip_is_the_agent_and_always_the_same(tmp_path: Path) -> None:
    packed = agent_zip()
    assert packed == agent_zip()
    assert Path(agent.__file__).read_bytes() in packed  # zlibs differ in what they make of it
    assert len(packed) < 64 * 1024
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == ["agent.py"]
        archive.extractall(tmp_path)
    code = "import agent; print(agent.handler({'ping': True}, None)['agent'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == agent.AGENT


def test_two_thousand_cells_take_four_invokes_at_most(control: Stubbed, monkeypatch: pytest.MonkeyPatch) -> None:
    invokes: list[int] = []

    def invoked(_self: LambdaVantage, payload: dict[str, Any]) -> dict[str, Any]:
        invokes.append(len(payload["requests"]))
        return {**PONG, "answers": [{"id": row["id"], "status": 200} for row in payload["requests"]]}

    monkeypatch.setattr(LambdaVantage, "_invoke", invoked)
    for cells in (_cells("GetObject"), _cells("PutObject"), _cells(*SAFE)):
        invokes.clear()
        found = LambdaVantage("inside", control=control, function=NAME).send(cells)
        assert len(found) == sum(invokes) == 2000
        assert len(invokes) <= 4


SAFE = [name for name, row in OPERATIONS.items() if row.safe is not None and row.safe.documented]


def _cells(*names: str) -> list[SignedRequest]:
    """Two thousand cells' requests in these operations' turn: the largest canary, and a token longer than AWS's are."""
    keys = Credentials(access_key_id="ASIA" + "A" * 16, secret_access_key="s" * 40, session_token="t" * 2000)
    to = Destination(
        bucket="b" * 63,
        owner="111122223333",
        region="ap-southeast-3",
        key="k" * 200,
        canary_body=b"c" * 1024,
        canary_version="v" * 32,
        absent_key="a" * 200,
        run_key="r" * 200,
    )
    builder = ProbeBuilder(user_agent="s3vpce/0.1.0 run/0a1b2c3d")

    def request(name: str) -> SignedRequest:
        target = Target(bucket="reports")
        cell = Cell(operation=name, action=f"s3:{name}", target=target, principal="app", vantage="inside")
        return builder.build(Probe(cell=cell), request_id="r", destination=to, credentials=keys)

    made = [request(name) for name in names]
    return [made[number % len(made)] for number in range(2000)]
