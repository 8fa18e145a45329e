"""Functions that take a while: Pending, then Active; a change is in progress, then through."""

from __future__ import annotations

import io
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from pytest_s3vpce.cli import main as cli
from pytest_s3vpce.lab import __main__ as lab_command
from pytest_s3vpce.lab import serving
from pytest_s3vpce.lab.delays import Delays
from pytest_s3vpce.lab.gateway import Gateway
from tests.unit.labstage import Stage, make_role, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_s3vpce.lab.serving import Settings

MAIN = "360000000042"
DELAY = 0.6
BUSY = "The operation cannot be performed at this time. "


@pytest.fixture(scope="module")
def slow() -> Any:
    stage = Stage(MAIN)
    functions: Any = lambda: stage.functions  # noqa: E731 - it stands for what is made when it is used
    delays = Delays(functions=DELAY)
    stage.gateway = Gateway(stage.state, keys=stage.keys, functions=functions, delays=delays)
    role = make_role(stage.root(MAIN), "fn", trust={"Service": "lambda.amazonaws.com"})
    client = stage.admin(MAIN).client("lambda")
    return client, role


def created(client: Any, role: str, name: str) -> Any:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): pass")
    code = {"ZipFile": data.getvalue()}
    return client.create_function(
        FunctionName=name, Runtime="python3.13", Role=role, Handler="index.handler", Code=code
    )


def test_a_new_function_is_pending_until_it_is_active(slow: Any) -> None:
    client, role = slow
    made = created(client, role, "new")
    assert (made["State"], made["StateReasonCode"]) == ("Pending", "Creating")
    assert client.get_function(FunctionName="new")["Configuration"]["State"] == "Pending"
    assert client.list_functions()["Functions"][0]["State"] == "Pending"
    pending = f"{BUSY}The function is currently in the following state: Pending"
    assert refusal(client.invoke, FunctionName="new") == (409, "ResourceConflictException", pending)
    arn = made["FunctionArn"]
    for name in ("new", arn, f"{MAIN}:function:new"):
        changed = refusal(client.update_function_configuration, FunctionName=name, Timeout=9)
        assert changed == (409, "ResourceConflictException", pending)
    time.sleep(DELAY)
    client.get_waiter("function_active_v2").wait(FunctionName="new")
    assert client.invoke(FunctionName="new")["StatusCode"] == 200

    changed = client.update_function_configuration(FunctionName="new", Timeout=9)
    assert (changed["State"], changed["LastUpdateStatus"]) == ("Active", "InProgress")
    assert client.invoke(FunctionName="new")["StatusCode"] == 200
    code, message = refusal(client.update_function_configuration, FunctionName="new", Timeout=8)[1:]
    assert (code, message) == ("ResourceConflictException", f"{BUSY}An update is in progress for resource: {arn}")
    time.sleep(DELAY)
    found = client.get_function_configuration(FunctionName="new")
    assert (found["LastUpdateStatus"], found["Timeout"]) == ("Successful", 9)


def test_a_deleted_function_leaves_nothing_behind(slow: Any) -> None:
    client, role = slow
    created(client, role, "gone")
    client.delete_function(FunctionName="gone")
    assert refusal(client.get_function, FunctionName="gone")[0] == 404
    assert created(client, role, "gone")["State"] == "Pending"
    client.tag_resource(Resource=f"arn:aws:lambda:us-east-1:{MAIN}:function:gone", Tags={"a": "b"})


def test_the_commands_options_reach_the_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Settings] = []
    monkeypatch.setattr(serving, "serve", lambda settings, **_: seen.append(settings))
    given = ["--ready-file", str(tmp_path / "ready.json"), "--account", f"main={MAIN}"]
    for more in ([], ["--function-delay", "2", "--trail-delay", "3.5"]):
        assert CliRunner().invoke(cli, ["lab", *given, *more]).exit_code == 0
        assert lab_command._settings(lab_command.parser().parse_args([*given, *more])).delays == seen[-1].delays
    assert [row.delays for row in seen] == [Delays(), Delays(functions=2, records=3.5)]
