"""An instance behind a stand-in for SSM, which really runs the scripts here and cuts their output as SSM does."""

from __future__ import annotations

import base64
import contextlib
import os
import random
import re
import subprocess
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.model import FailureKind, Place, SignedRequest
from pytest_s3vpce.vantage import ControlPlane, Ec2Vantage, instance_with, program
from pytest_s3vpce.vantage.base import AgentConfig, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INSTANCE = "i-0123456789abcdef0"
BODY = random.Random(7).randbytes(60_000)


def refused(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


class Ssm:
    """Runs what is sent, at once; `states` come before the end, `ending` and `faults` in its place."""

    def __init__(self, folder: Path) -> None:
        self.information: list[dict[str, str]] | ClientError = [
            {"InstanceId": INSTANCE, "PingStatus": "Online", "PlatformType": "Linux"}
        ]
        self.sent: list[str] = []
        self.parameters: list[dict[str, Any]] = []
        self.states: list[Any] = []
        self.ending: dict[str, Any] = {}
        self.refusals: list[Exception] = []
        self.cancelled: list[str] = []
        self.limit = 24_000
        self._environment = {**os.environ, "TMPDIR": str(folder), "PATH": f"{folder}/bin:/usr/bin:/bin"}
        (folder / "bin").mkdir()
        (folder / "bin" / "python3").symlink_to(sys.executable)
        self._found: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()

    def describe_instance_information(self, **_: Any) -> dict[str, Any]:
        if isinstance(self.information, ClientError):
            raise self.information
        return {"InstanceInformationList": self.information}

    def send_command(self, **given: Any) -> dict[str, Any]:
        if self.refusals:
            raise self.refusals.pop(0)
        assert len(str(given["Parameters"])) < 64 * 1024
        (script,) = given["Parameters"]["commands"]
        self.sent.append(script)
        self.parameters.append(given)
        done = subprocess.run(
            ["/bin/sh", "-c", script], capture_output=True, text=True, check=False, env=self._environment
        )
        command = f"command-{len(self.sent)}"
        self._found[command] = {
            "Status": "Failed" if done.returncode else "Success",
            "StatusDetails": "Failed" if done.returncode else "Success",
            "ResponseCode": done.returncode,
            "StandardOutputContent": done.stdout[: self.limit],
            "StandardErrorContent": done.stderr[:8000],
        }
        return {"Command": {"CommandId": command}}

    def get_command_invocation(self, **given: Any) -> dict[str, Any]:
        assert given["InstanceId"] == INSTANCE
        if self.states:
            state = self.states.pop(0)
            if isinstance(state, Exception):
                raise state
            return {"Status": state, "StatusDetails": state, "StandardOutputContent": ""}
        return {**self._found[given["CommandId"]], **self.ending}

    def cancel_command(self, **given: Any) -> None:
        self.cancelled.append(given["CommandId"])
        raise refused("InternalServerError")


class Control(ControlPlane):
    def __init__(self, ssm: Ssm) -> None:
        super().__init__("main", session=boto3.Session(region_name="eu-west-1"), region="eu-west-1")
        self.ssm = ssm

    def client(self, service: str, **_: Any) -> Any:
        assert service == "ssm"
        return self.ssm


@pytest.fixture
def ssm(tmp_path: Path) -> Ssm:
    return Ssm(tmp_path)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time that goes by only where somebody sleeps."""
    found: list[float] = []
    pause = ControlPlane.pause

    def paused(control: ControlPlane, seconds: float) -> None:
        found.append(seconds)
        pause(control, 0)

    monkeypatch.setattr(ControlPlane, "pause", paused)
    monkeypatch.setattr("pytest_s3vpce.vantage.ssm.time.monotonic", lambda: sum(found))
    return found


def make(ssm: Ssm, **given: Any) -> Ec2Vantage:
    return Ec2Vantage("inside", control=Control(ssm), instance=INSTANCE, place=Place("s3vpce.yaml", 12, 3), **given)


def request(number: int, *, size: int = 0, **given: Any) -> SignedRequest:
    url = given.pop("url", "https://elsewhere.example/k")
    token = random.Random(number).randbytes(size).hex()
    return SignedRequest(id=f"cell-{number}", method="GET", url=url, headers=(("X-Amz-T", token),), **given)


def fault(ssm: Ssm) -> str:
    with pytest.raises(VantageError) as caught:
        make(ssm).prepare()
    text = str(caught.value)
    assert text.startswith("s3vpce.yaml:12:3: vantage point `inside`: ")
    assert "\n" not in text
    return text


def test_a_batch_goes_by_ssm_and_its_answers_come_back(ssm: Ssm) -> None:
    vantage = make(ssm, limits=Limits(deadline=20))
    said: list[str] = []
    vantage.prepare(notify=said.append)
    assert said[0] == f"asking SSM for instance {INSTANCE}"
    answers = vantage.send([request(1), request(2)])
    assert [answer.id for answer in answers] == ["cell-1", "cell-2"]
    assert {answer.failure for answer in answers} == {FailureKind.FORBIDDEN_HOST}
    assert len(ssm.sent) == 3  # the ping, the agreement on a key, the batch
    assert ssm.parameters[1]["DocumentName"] == "AWS-RunShellScript"
    assert ssm.parameters[1]["Parameters"]["executionTimeout"] == ["50"]
    assert "{{" not in ssm.sent[1]  # SSM would look such a thing up among its parameters


def test_a_batch_that_ssm_cannot_carry_at_once_goes_ahead_in_parts(ssm: Ssm, tmp_path: Path) -> None:
    answers = make(ssm).send([request(number, size=6_000) for number in range(20)])
    assert [answer.id for answer in answers] == [f"cell-{number}" for number in range(20)]
    assert {answer.failure for answer in answers} == {FailureKind.FORBIDDEN_HOST}
    assert len(ssm.sent) == 6  # the agreement, four parts, the program
    assert max(map(len, ssm.sent)) <= 60_000
    assert not list(tmp_path.glob("s3vpce-*"))


def test_a_part_that_does_not_arrive_is_an_error_and_nothing_is_left(ssm: Ssm, tmp_path: Path) -> None:
    send = ssm.send_command

    def fail_later(**given: Any) -> Any:
        if "/part-0001" in given["Parameters"]["commands"][0]:
            raise refused("InternalServerError")
        return send(**given)

    ssm.send_command = fail_later  # type: ignore[method-assign]
    with pytest.raises(VantageError, match="SSM can't send a command to instance"):
        make(ssm).send([request(number, size=6_000) for number in range(20)])
    assert not list(tmp_path.glob("s3vpce-*"))


def test_requests_with_much_in_common_go_in_few_commands(ssm: Ssm) -> None:
    assert len(make(ssm).send([request(1, size=1_000)] * 500)) == 500
    assert len(ssm.sent) == 2


def test_the_largest_body_that_the_adapters_let_through_fits(ssm: Ssm) -> None:
    body = random.Random(3).randbytes(Ec2Vantage.carries)
    (answer,) = make(ssm).send([request(1, body=body, size=1_000)])
    assert answer.failure is FailureKind.FORBIDDEN_HOST
    assert len(ssm.sent) == 5


def test_a_request_that_is_larger_than_the_kind_carries_is_not_sent(ssm: Ssm) -> None:
    answers = make(ssm).send([request(1), request(2, size=900_000), request(3)])
    assert [answer.failure for answer in answers] == [
        FailureKind.FORBIDDEN_HOST,
        FailureKind.NOT_SENT,
        FailureKind.FORBIDDEN_HOST,
    ]
    assert answers[1].detail == "the request or its answer is larger than vantage point `inside` can carry"


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{served.server_port}/k"
    served.shutdown()
    served.server_close()


LOCAL = AgentConfig(hosts=("127.0.0.1",), loopback=True)


def test_a_long_answer_is_fetched_in_pieces_and_nothing_is_left(ssm: Ssm, server: str, tmp_path: Path) -> None:
    (answer,) = make(ssm, config=LOCAL).send([request(1, url=server)])
    assert answer.body == BODY
    assert len(ssm.sent) == 5
    assert not list(tmp_path.glob("s3vpce-*"))


def test_a_piece_that_does_not_come_is_an_error_and_nothing_is_left(ssm: Ssm, server: str, tmp_path: Path) -> None:
    fetch = ssm.send_command

    def fail_later(**given: Any) -> Any:
        if "head -c" in given["Parameters"]["commands"][0] and len(ssm.sent) == 3:
            raise refused("InternalServerError")
        return fetch(**given)

    ssm.send_command = fail_later  # type: ignore[method-assign]
    with pytest.raises(VantageError, match="SSM can't send a command to instance `i-0123456789abcdef0`: Internal"):
        make(ssm, config=LOCAL).send([request(1, url=server)])
    assert not list(tmp_path.glob("s3vpce-*"))


def carried(text: str) -> str:
    """What a script or an output holds, as somebody may read it who reads SSM's history."""
    found = text
    for piece in re.findall(r"[A-Za-z0-9+/\n]{40,}={0,2}", text):
        with contextlib.suppress(ValueError, zlib.error):
            found += zlib.decompress(base64.b64decode(piece)).decode()
    return found


def test_the_history_that_ssm_keeps_holds_neither_request_nor_answer(ssm: Ssm, server: str, tmp_path: Path) -> None:
    signed = SignedRequest(id="a", method="GET", url=server, headers=(("Authorization", "Signature=5ec2e7"),))
    (answer,) = make(ssm, config=LOCAL, limits=Limits(deadline=20)).send([signed])
    assert answer.body == BODY
    kept = "".join(map(carried, [*ssm.sent, *(row["StandardOutputContent"] for row in ssm._found.values())]))
    assert "def handle" in kept  # the agent can be read
    assert '"sealed": "' in kept
    assert "5ec2e7" not in kept
    assert server not in kept
    assert not list(tmp_path.glob("s3vpce-*"))


def test_a_key_serves_one_batch(ssm: Ssm, tmp_path: Path) -> None:
    vantage = make(ssm)
    vantage.send([request(1)])
    vantage.send([request(1)])
    again = subprocess.run(
        ["/bin/sh", "-c", ssm.sent[-1]], capture_output=True, text=True, check=True, env=ssm._environment
    )
    mark = next(line for line in again.stdout.splitlines() if line.startswith("s3vpce-answer-"))
    text = again.stdout.partition(f"{mark}\n")[2]
    assert program.unpacked(text.strip()) == {"error": "the key that was agreed on is gone"}


def test_an_answer_that_was_not_sealed_with_the_key_is_an_error(ssm: Ssm, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_key(*_: Any, **given: Any) -> dict[str, Any]:
        return {"sealed": base64.b64encode(bytes(64)).decode()}

    vantage = make(ssm)
    monkeypatch.setattr(vantage, "_carried", lambda _: without_key() | {"public": 4, "folder": "/tmp/x"})
    with pytest.raises(VantageError, match="what came back was not sealed with the agreed key; run it again"):
        vantage.send([request(1)])
    monkeypatch.setattr(vantage, "_carried", lambda _: {"public": 1, "folder": "/tmp/x"})
    with pytest.raises(VantageError, match="what came back was not sealed with the agreed key"):
        vantage.send([request(1)])


def test_output_that_ssm_cut_is_no_answer(ssm: Ssm) -> None:
    ssm.limit = 80
    assert "the answer was cut off after" in fault(ssm)
    ssm.limit = 5
    assert "what ran there printed no answer of the agent" in fault(ssm)


def test_a_command_is_waited_for_while_ssm_does_not_know_it_yet(ssm: Ssm, pauses: list[float]) -> None:
    unknown = refused("InvocationDoesNotExist")
    ssm.states = [unknown, unknown, "Pending", "InProgress", "Delayed"]
    make(ssm).prepare()
    assert [round(pause, 4) for pause in pauses] == [0.05, 0.075, 0.1125, 0.1688, 0.2531]


def test_a_command_that_ssm_never_knows_is_an_error(ssm: Ssm, pauses: list[float]) -> None:
    ssm.states = [refused("InvocationDoesNotExist")] * 50
    assert "SSM can't say what became of a command on instance" in fault(ssm)
    assert 30 <= sum(pauses) < 35


def test_a_command_that_does_not_end_is_cancelled(ssm: Ssm, pauses: list[float]) -> None:
    ssm.states = ["InProgress"] * 500
    assert "did not end in time; its agent needs a way to ssm, ssmmessages and" in fault(ssm)
    assert ssm.cancelled == ["command-1"]
    assert sum(pauses) < 200


def test_a_command_of_a_run_that_is_told_to_end_is_cancelled(ssm: Ssm, pauses: list[float]) -> None:
    ssm.states = ["InProgress"] * 500
    point = make(ssm)
    point._control.end()
    with pytest.raises(VantageError, match="told to end"):
        point.send([request(0)])
    assert "command-1" in ssm.cancelled
    assert len(pauses) == 1


@pytest.mark.parametrize(
    ("ending", "wanted"),
    [
        ("Undeliverable", "the command can't be delivered to it, for it is gone or its agent does not answer"),
        ("Delivery Timed Out", "the command was not delivered to it in time (DeliveryTimedOut); its agent needs a way"),
        ("Execution Timed Out", "the agent did not come to its end in time (ExecutionTimedOut)"),
        ("Cancelled", "somebody cancelled the command (Cancelled)"),
        ("Terminated", "SSM ended the command, for too many others had failed"),
        ("AccessDenied", "check the rights for ssm:SendCommand on the instance"),
        ("InvalidPlatform", "it does not run Linux (InvalidPlatform)"),
        ("NoInstancesInTag", "it is not there any more"),
        ("RateExceeded", "run it again in a minute"),
    ],
)
def test_every_way_to_end_badly_is_told_in_plain_words(ssm: Ssm, ending: str, wanted: str) -> None:
    ssm.ending = {"Status": "Failed", "StatusDetails": ending}
    text = fault(ssm)
    assert f"instance `{INSTANCE}`: " in text
    assert wanted in text


@pytest.mark.parametrize(("code", "wanted"), [(-1, "was not delivered"), (137, "did not come to its end in time")])
def test_timed_out_without_details(ssm: Ssm, code: int, wanted: str) -> None:
    ssm.ending = {"Status": "TimedOut", "StatusDetails": "", "ResponseCode": code}
    assert wanted in fault(ssm)


def test_an_instance_without_python_is_told_what_to_do(ssm: Ssm, tmp_path: Path) -> None:
    (tmp_path / "bin" / "python3").unlink()
    ssm._environment["PATH"] = str(tmp_path / "bin")
    text = fault(ssm)
    assert "the agent ended with status 127 there" in text
    assert "install Python 3.8 or newer there, as `python3`; the agent needs nothing besides" in text


def test_an_instance_with_an_old_python_is_told_what_to_do(ssm: Ssm, tmp_path: Path) -> None:
    old = tmp_path / "bin" / "python3"
    old.unlink()
    old.write_text("#!/bin/sh\necho 'the agent needs Python 3.8 or newer, and this is 3.7' >&2; exit 1\n")
    old.chmod(0o755)
    assert "status 1 there: the agent needs Python 3.8 or newer, and this is 3.7 (Failed); install" in fault(ssm)
    old.write_text("#!/bin/sh\nexit 9\n")
    assert "status 9 there (Failed); see what it said" in fault(ssm)


@pytest.mark.parametrize(
    ("information", "wanted"),
    [
        (
            [],
            "is not connected to SSM; its agent needs a way to ssm, ssmmessages and (before version 3.3.40.0) ec2mess",
        ),
        ([{"PlatformType": "Windows"}], "runs Windows, which is not supported; name a Linux instance"),
        ([{"PingStatus": "ConnectionLost"}], "has lost its connection to SSM (ConnectionLost); its agent needs"),
        (refused("ExpiredToken"), "SSM can't be asked about instance `i-0123456789abcdef0`: ExpiredToken: no; renew"),
    ],
)
def test_an_instance_that_ssm_does_not_reach_is_told_before_anything_is_sent(
    ssm: Ssm, information: Any, wanted: str
) -> None:
    ssm.information = information
    assert wanted in fault(ssm)
    assert not ssm.sent


def test_who_may_not_ask_for_instances_sends_at_once(ssm: Ssm) -> None:
    ssm.information = refused("AccessDeniedException")
    make(ssm).prepare()
    assert len(ssm.sent) == 1


@pytest.mark.parametrize(
    ("refusal", "wanted"),
    [
        (refused("InvalidInstanceId"), "InvalidInstanceId: no; its agent needs a way to ssm, ssmmessages"),
        (refused("UnsupportedPlatformType"), "Windows is not supported"),
        (refused("AccessDeniedException"), "ssm:SendCommand on the instance and on document/AWS-RunShellScript"),
        (refused("ExpiredToken"), "renew them, or name another profile or role"),
        (refused("Odd"), "check the instance, the account and the Region"),
        (EndpointConnectionError(endpoint_url="https://ssm"), "check the network, the proxy and the Region"),
    ],
)
def test_what_ssm_refuses_is_told_with_its_remedy(ssm: Ssm, refusal: Exception, wanted: str) -> None:
    ssm.refusals = [refusal]
    text = fault(ssm)
    assert "SSM can't send a command to instance" in text
    assert wanted in text


def test_a_throttled_command_is_sent_again_a_failed_one_is_not(ssm: Ssm, pauses: list[float]) -> None:
    ssm.refusals = [refused("ThrottlingException")] * 2
    make(ssm).prepare()
    assert pauses[:2] == [0.5, 1.0]
    assert len(ssm.sent) == 1
    ssm.refusals = [refused("ThrottlingException")] * 9
    assert "ThrottlingException: no; run it again in a minute" in fault(ssm)
    assert len(ssm.refusals) == 4


# --- by tags ----------------------------------------------------------------------------------------------------------


class Ec2:
    def __init__(self, *names: str, fault: Exception | None = None) -> None:
        self.names = names
        self.fault = fault
        self.filters: Any = None

    def get_paginator(self, _: str) -> Ec2:
        return self

    def paginate(self, *, Filters: Any) -> list[dict[str, Any]]:  # noqa: N803 - boto3's name
        self.filters = Filters
        if self.fault:
            raise self.fault
        return [{"Reservations": [{"Instances": [{"InstanceId": name}]}]} for name in self.names]


def found(ec2: Ec2) -> dict[str, Any]:
    control: Any = type("Control", (), {"client": lambda *_: ec2, "account": "main", "region": "eu-west-1"})()
    return instance_with(control, {"Name": "probe", "Env": "test"}, error=VantageError)


def test_an_instance_is_found_by_its_tags() -> None:
    ec2 = Ec2("i-2", "i-1")
    assert found(ec2) == {"InstanceId": "i-1"}
    assert ec2.filters == [
        {"Name": "tag:Name", "Values": ["probe"]},
        {"Name": "tag:Env", "Values": ["test"]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    with pytest.raises(VantageError, match="no running instance of account `main` in eu-west-1 has Name=probe and Env"):
        found(Ec2())
    with pytest.raises(VantageError, match="can't be looked for: UnauthorizedOperation: no; give"):
        found(Ec2(fault=refused("UnauthorizedOperation")))
