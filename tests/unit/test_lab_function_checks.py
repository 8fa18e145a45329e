"""What Lambda refuses of functions: settings, versions that are not there, runtimes that the lab has not."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from tests.unit.labnetwork import make
from tests.unit.labstage import Stage, make_role, refusal

MAIN = "360000000043"


def zipped(text: str = "def handler(event, context): pass") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("index.py", text)
    return data.getvalue()


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(MAIN)


@pytest.fixture(scope="module")
def given(stage: Stage) -> dict[str, Any]:
    role = make_role(stage.root(MAIN), "fn", trust={"Service": "lambda.amazonaws.com"})
    return {"Runtime": "python3.13", "Role": role, "Handler": "index.handler", "Code": {"ZipFile": zipped()}}


@pytest.fixture(scope="module")
def client(stage: Stage) -> Any:
    return stage.admin(MAIN).client("lambda", parameter_validation=False)


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"FunctionName": "bad name!"}, "ValidationException", "1 validation error detected: Value 'bad name!' at"),
        (
            {"Timeout": 901},
            "ValidationException",
            "'timeout' failed to satisfy constraint: Member must have value less",
        ),
        (
            {"Timeout": 0, "MemorySize": 64},
            "ValidationException",
            "2 validation errors detected: Value '0' at 'timeout'",
        ),
        (
            {"Environment": {"Variables": {"AWS_REGION": "x", "MINE": "y"}}},
            "InvalidParameterValueException",
            "Reserved keys used in this request: AWS_REGION",
        ),
        ({"Code": {"ZipFile": b"no zip"}}, "InvalidParameterValueException", "Could not unzip uploaded file."),
    ],
)
def test_settings_that_are_refused(
    client: Any, given: dict[str, Any], changed: dict[str, Any], code: str, said: str
) -> None:
    status, found, message = refusal(client.create_function, **{"FunctionName": "refused", **given, **changed})
    assert (status, found) == (400, code)
    assert said in message
    assert refusal(client.get_function, FunctionName="refused")[0] == 404


def test_subnets_and_groups_go_together(stage: Stage, client: Any, given: dict[str, Any]) -> None:
    net = make(stage.root(MAIN), MAIN, "10.43")
    for network in ({"SubnetIds": [net.a]}, {"SecurityGroupIds": [net.group], "SubnetIds": []}):
        _, code, message = refusal(client.create_function, FunctionName="half", VpcConfig=network, **given)
        assert code == "InvalidParameterValueException"
        assert message == "SecurityGroupIds and SubnetIds must coexist or be both empty list."
    whole = {"SubnetIds": [net.a], "SecurityGroupIds": [net.group]}
    client.create_function(FunctionName="whole", VpcConfig=whole, **given)
    client.update_function_configuration(FunctionName="whole", VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})
    assert refusal(client.update_function_configuration, FunctionName="whole", Timeout=1000)[1] == "ValidationException"
    broken = refusal(client.update_function_code, FunctionName="whole", ZipFile=b"no zip")
    assert broken[1] == "InvalidParameterValueException"


def test_a_version_runs_its_own_code_and_one_that_is_not_there_none(
    stage: Stage, client: Any, given: dict[str, Any]
) -> None:
    client.create_function(FunctionName="versions", **given)
    client.publish_version(FunctionName="versions")
    client.create_alias(FunctionName="versions", Name="live", FunctionVersion="1")
    client.update_function_code(FunctionName="versions", ZipFile=zipped("def handler(event, context): return 2"))
    specs = {
        name: stage.state.function(MAIN, "us-east-1", "versions", qualifier=qualifier)
        for name, qualifier in (("newest", None), ("latest", "$LATEST"), ("first", "1"), ("alias", "live"))
    }
    assert specs["first"] == specs["alias"]
    assert specs["newest"] == specs["latest"]
    assert specs["first"] is not None
    assert specs["newest"] is not None
    assert specs["first"].spec.sha256 != specs["newest"].spec.sha256
    assert client.invoke(FunctionName="versions", Qualifier="1")["ExecutedVersion"] == "1"
    assert client.invoke(FunctionName="versions:live")["ExecutedVersion"] == "1"
    assert client.invoke(FunctionName="versions")["ExecutedVersion"] == "$LATEST"
    missing = refusal(client.invoke, FunctionName="versions", Qualifier="77")
    arn = f"arn:aws:lambda:us-east-1:{MAIN}:function:versions:77"
    assert missing == (404, "ResourceNotFoundException", f"Function not found: {arn}")


def test_what_may_not_run_does_not(client: Any, given: dict[str, Any]) -> None:
    client.create_function(FunctionName="throttled", **given)
    client.put_function_concurrency(FunctionName="throttled", ReservedConcurrentExecutions=0)
    assert refusal(client.invoke, FunctionName="throttled")[:2] == (429, "TooManyRequestsException")
    client.create_function(FunctionName="other", **{**given, "Runtime": "nodejs20.x"})
    status, code, message = refusal(client.invoke, FunctionName="other")
    assert (status, code, message) == (501, "NotImplemented", "The lab runs Python only, not `nodejs20.x`.")
