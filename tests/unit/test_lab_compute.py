"""Uploaded code really runs: in its subnet, with its role, within its limits, and it ends with the lab."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.lab import compute, runtime
from pytest_s3vpce.lab.certificates import Certificates
from pytest_s3vpce.lab.compute import Functions, FunctionSpec, InvokeResult
from pytest_s3vpce.lab.origin import Internet, Placement
from pytest_s3vpce.lab.placement import Placements, Verdict
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.server import HttpRequest, HttpResponse, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

ARN = "arn:aws:lambda:eu-west-1:111111111111:function:probe"
SUBNET = Placement(
    account="111111111111",
    region="eu-west-1",
    subnet_id="subnet-1",
    security_group_ids=("sg-1",),
    private_ip="10.0.0.4",
)
CODE = """
import os, subprocess, sys, time, urllib.request
COUNT = 0
def handler(event, context):
    global COUNT
    COUNT += 1
    do = event.get("do")
    if do == "count":
        return [COUNT, os.getpid()]
    if do == "environment":
        return dict(os.environ), os.getcwd()
    if do == "get":
        return urllib.request.urlopen(event["url"], timeout=5).read().decode()
    if do == "get from a child":
        code = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
        return subprocess.run([sys.executable, "-c", code, event["url"]], capture_output=True, text=True).stdout
    if do == "sleep":
        child = subprocess.Popen(["sleep", "60"])
        with open(event["note"], "w") as note:
            note.write(f"{os.getpid()} {child.pid}")
        os.rename(event["note"], event["note"] + ".done")
        time.sleep(60)
    if do == "wait":
        time.sleep(event["seconds"])
        return os.getpid()
    if do == "print":
        for number in range(event["lines"]):
            print("line", number)
        print("to stderr", file=sys.stderr)
    if do == "exit":
        os._exit(3)
    if do == "die":
        os.kill(os.getpid(), 9)
    if do == "hang up":
        os.closerange(3, 100)
        time.sleep(60)
    if do == "big":
        return "x" * event["size"]
    if do == "fail":
        raise ValueError("a fault of the function")
    return event
"""


def zipped(code: str = CODE, *, name: str = "index.py") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), code)  # without the time: the same code is the same zip
    return buffer.getvalue()


def function(code: str = CODE, **changes: Any) -> FunctionSpec:
    data = zipped(code)
    spec = FunctionSpec(
        account="111111111111",
        region="eu-west-1",
        name="probe",
        arn=ARN,
        zip=data,
        sha256=base64.b64encode(hashlib.sha256(data).digest()).decode(),
        handler="index.handler",
        role_arn="arn:aws:iam::111111111111:role/probe",
    )
    return replace(spec, **changes)


def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=200, body=f"{request.origin} {request.tls} {request.host}".encode())


class Lab:
    """What the functions need around them."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.roles: list[str] = []
        self.server = Server(echo, certificates=certificates, latency=0)
        self.placements = Placements(self.server, folder=folder, verdict=lambda *_: Verdict.OPEN)
        self.functions = Functions(
            folder=folder,
            placements=self.placements,
            ca_pem=certificates.ca_pem,
            credentials=self.credentials,
            concurrency=4,
        )

    def credentials(self, spec: FunctionSpec) -> dict[str, str]:
        self.roles.append(spec.role_arn)
        return {"AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}

    def invoke(self, spec: FunctionSpec, *, placement: Placement | None = SUBNET, **event: Any) -> InvokeResult:
        return self.functions.invoke(spec, payload=json.dumps(event).encode(), placement=placement)

    def result(self, spec: FunctionSpec, **event: Any) -> Any:
        answer = self.invoke(spec, **event)
        assert (answer.status, answer.function_error) == (200, None), answer.payload
        return json.loads(answer.payload)

    def problem(self, spec: FunctionSpec, **event: Any) -> dict[str, str]:
        answer = self.invoke(spec, **event)
        assert (answer.status, answer.function_error) == (200, "Unhandled")
        problem: dict[str, str] = json.loads(answer.payload)
        return problem

    def close(self) -> None:
        self.functions.close()
        self.placements.close()
        self.server.close()


@pytest.fixture(scope="module", name="certificates")
def _certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(name="lab")
def _lab(tmp_path: Path, certificates: Certificates) -> Iterator[Lab]:
    lab = Lab(tmp_path, certificates)
    yield lab
    lab.close()


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def ends(*pids: int) -> bool:
    """Whether all these processes end soon."""
    until = time.monotonic() + 3
    while any(is_running(pid) for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def pids_in(note: Path) -> list[int]:
    done = note.with_name(note.name + ".done")
    until = time.monotonic() + 5
    while not done.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    return [int(pid) for pid in done.read_text().split()]


def test_a_worker_stays_warm(lab: Lab) -> None:
    first, second = (lab.result(function(), do="count") for _ in range(2))
    assert (first[0], second[0]) == (1, 2)
    assert first[1] == second[1]
    assert lab.roles == ["arn:aws:iam::111111111111:role/probe"]


def test_an_empty_payload_is_an_empty_event(lab: Lab) -> None:
    assert lab.functions.invoke(function(), payload=b"", placement=SUBNET).payload == b"{}"


def test_requests_leave_from_the_functions_subnet(lab: Lab) -> None:
    url = "https://reports.s3.eu-west-1.amazonaws.com/k"
    text = lab.result(function(), do="get", url=url)
    assert text == f"{SUBNET} TLSv1.3 reports.s3.eu-west-1.amazonaws.com"
    assert str(SUBNET.at(80, destination="other")) in lab.result(
        function(), do="get", url="http://sts.eu-west-1.amazonaws.com"
    )
    assert lab.result(function(), do="get from a child", url=url).strip() == text


def test_without_a_vpc_requests_come_from_the_internet(lab: Lab) -> None:
    answer = lab.invoke(function(), placement=None, do="get", url="http://reports.s3.eu-west-1.amazonaws.com/k")
    assert str(Internet(address="203.0.113.20")) in answer.payload.decode()


def test_nothing_of_our_environment_leaks(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    spec = function(environment=(("MINE", "1"), ("AWS_REGION", "elsewhere"), ("PYTHONPATH", "/opt/python")))
    environment, folder = lab.result(spec, do="environment")
    assert set(environment) == {
        *set(runtime.INHERITED) & os.environ.keys(),
        *("LANG", "TZ", "TMPDIR", "HOME", "PYTHONPATH", "MINE", "S3VPCE_LAB_REDIRECT", "_HANDLER", "LAMBDA_TASK_ROOT"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
        *("AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_EC2_METADATA_DISABLED"),
        *("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME"),
        *("AWS_LAMBDA_LOG_STREAM_NAME", "SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"),
    }
    assert (environment["AWS_REGION"], environment["MINE"]) == ("eu-west-1", "1")
    assert environment["PYTHONPATH"] == f"{runtime.REDIRECT}:/opt/python"
    assert environment["AWS_CA_BUNDLE"] == str(certificates.ca_pem)
    assert folder == environment["LAMBDA_TASK_ROOT"]
    assert "1" not in repr(spec.environment[0][1:]) or "MINE" not in repr(spec)


def test_a_change_of_the_function_ends_its_workers(lab: Lab) -> None:
    _, old = lab.result(function(), do="count")
    count, new = lab.result(function(memory=256), do="count")
    assert (count, new != old) == (1, True)
    assert ends(old)


def test_new_code_runs_at_once(lab: Lab) -> None:
    assert lab.result(function("def handler(e, c): return 1")) == 1
    assert lab.result(function("def handler(e, c): return 2")) == 2


def test_a_deleted_functions_workers_end(lab: Lab) -> None:
    _, pid = lab.result(function(), do="count")
    lab.functions.forget(ARN)
    assert ends(pid)
    lab.functions.forget("arn:aws:lambda:eu-west-1:111111111111:function:unknown")


def test_a_busy_worker_of_a_deleted_function_ends_after_its_call(lab: Lab) -> None:
    lab.result(function())
    with ThreadPoolExecutor() as pool:
        busy = pool.submit(lab.result, function(), do="wait", seconds=0.2)
        time.sleep(0.1)
        lab.functions.forget(ARN)
        assert ends(busy.result())


def test_calls_at_once_have_a_worker_each_up_to_a_limit(lab: Lab) -> None:
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(lab.result, function(), do="wait", seconds=0.5) for _ in range(4)]
        time.sleep(0.2)
        with pytest.raises(Refused) as caught:
            lab.invoke(function())
        assert len({call.result() for call in calls}) == 4
    assert (caught.value.code, caught.value.status) == ("TooManyRequestsException", 429)
    assert lab.result(function(), do="count")[0] == 2


def test_exceptions_are_answers(lab: Lab) -> None:
    problem = lab.problem(function(), do="fail")
    assert (problem["errorType"], problem["errorMessage"]) == ("ValueError", "a fault of the function")
    assert '"/var/task/index.py", line ' in problem["stackTrace"][0]
    assert lab.result(function(), do="count")[0] == 2


@pytest.mark.parametrize(
    ("do", "how"), [("exit", "exit status 3"), ("die", "signal: killed"), ("hang up", "signal: killed")]
)
def test_a_worker_that_ends_is_replaced(lab: Lab, do: str, how: str) -> None:
    problem = lab.problem(function(), do=do)
    assert problem["errorType"] == "Runtime.ExitError"
    assert problem["errorMessage"].endswith(f"Error: Runtime exited with error: {how}")
    assert lab.result(function(), do="count")[0] == 1


def test_a_worker_that_ended_while_idle_is_replaced(lab: Lab) -> None:
    _, pid = lab.result(function(), do="count")
    os.kill(pid, signal.SIGKILL)
    [[worker]] = lab.functions._idle.values()
    until = time.monotonic() + 3
    while worker.alive and time.monotonic() < until:
        time.sleep(0.01)
    assert lab.result(function(), do="count")[0] == 1


@pytest.mark.parametrize("seconds", [0, 5])
def test_a_worker_that_takes_too_much_memory_is_killed(lab: Lab, seconds: int) -> None:
    code = f"import time\ndef handler(e, c):\n x = b'x' * (200 << 20); time.sleep({seconds})"
    began = time.monotonic()
    answer = lab.functions.invoke(function(code, handler="index.handler"), payload=b"{}", placement=None)
    assert time.monotonic() - began < 4
    problem = json.loads(answer.payload)
    assert answer.function_error == "Unhandled"
    assert problem["errorType"] == "Runtime.OutOfMemory"
    assert problem["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    assert b"Error: Runtime exited with error: signal: killed\nRuntime.OutOfMemory\nEND" in answer.log_tail
    assert answer.log_tail.rstrip().endswith(b"\tMemory Size: 128 MB\tMax Memory Used: 128 MB")
    roomy = function(code.replace("200 <<", "20 <<").replace("sleep(5)", "sleep(0)"), handler="index.handler")
    assert lab.functions.invoke(roomy, payload=b"{}", placement=None).payload == b"null"


def test_a_timeout_kills_the_worker_and_what_it_started(lab: Lab, tmp_path: Path) -> None:
    note = tmp_path / "note"
    began = time.monotonic()
    problem = lab.problem(function(timeout=0.5), do="sleep", note=str(note))
    assert 0.5 <= time.monotonic() - began < 3
    assert problem["errorType"] == "Sandbox.Timedout"
    assert problem["errorMessage"].endswith("Error: Task timed out after 0.50 seconds")
    assert ends(*pids_in(note))
    assert lab.result(function(timeout=0.5), do="count")[0] == 1
    tail = lab.invoke(function(timeout=0.1), do="sleep", note=str(note)).log_tail
    assert b" Task timed out after 0.10 seconds\n\nEND RequestId: " in tail


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        ("def other(e, c): pass", "Runtime.HandlerNotFound"),
        ("import os; os._exit(1)", "Runtime.ExitError"),
        ("import time; time.sleep(60)", "Sandbox.Timedout"),
    ],
)
def test_a_handler_that_does_not_load_is_an_answer(
    lab: Lab, code: str, error_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "_INIT_SECONDS", 0.5)
    assert lab.problem(function(code))["errorType"] == error_type


def test_big_payloads_pass_both_ways(lab: Lab) -> None:
    payload = json.dumps({"text": "x" * 5_900_000}).encode()
    answer = lab.functions.invoke(function(), payload=payload, placement=SUBNET)
    assert json.loads(answer.payload) == json.loads(payload)


def test_a_payload_over_the_limit_is_refused(lab: Lab) -> None:
    with pytest.raises(Refused) as caught:
        lab.functions.invoke(function(), payload=b'"' + b"x" * compute.MAX_PAYLOAD + b'"', placement=SUBNET)
    assert (caught.value.code, caught.value.status) == ("RequestEntityTooLargeException", 413)


def test_a_result_over_the_limit_is_an_error(lab: Lab) -> None:
    problem = lab.problem(function(), do="big", size=compute.MAX_PAYLOAD + 1)
    assert problem["errorType"] == "Function.ResponseSizeTooLarge"


@pytest.mark.parametrize("payload", [b"{", b"\xff", b"[" * 100_000])
def test_a_payload_that_is_no_json_is_refused(lab: Lab, payload: bytes) -> None:
    with pytest.raises(Refused) as caught:
        lab.functions.invoke(function(), payload=payload, placement=SUBNET)
    assert (caught.value.code, caught.value.status) == ("InvalidRequestContentException", 400)


def test_the_log_tail_is_this_calls_log(lab: Lab) -> None:
    first = lab.invoke(function(), do="print", lines=2).log_tail.decode().splitlines()
    assert first[0].startswith("START RequestId: ")
    assert first[1:4] == ["line 0", "line 1", "to stderr"]
    assert first[4].startswith("END RequestId: ")
    assert first[5].startswith("REPORT RequestId: ")
    second = lab.invoke(function(), do="print", lines=1000).log_tail
    assert len(second) == 4096
    assert b"line 999\nto stderr\nEND" in second


@pytest.mark.parametrize("data", [b"no zip", b"", zipped()[:-30]])
def test_a_zip_that_is_none_is_refused(lab: Lab, data: bytes) -> None:
    with pytest.raises(Refused) as caught:
        lab.invoke(function(zip=data, sha256="x"))
    assert (caught.value.code, caught.value.status) == ("InvalidParameterValueException", 400)
    assert caught.value.message.startswith("Could not unzip uploaded file")


def test_a_zip_that_is_too_big_is_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "MAX_UNPACKED", 10)
    with pytest.raises(Refused, match="Unzipped size must be smaller than 10 bytes"):
        lab.invoke(function())


def test_a_zip_stays_in_its_folder(lab: Lab, tmp_path: Path) -> None:
    buffer = io.BytesIO(zipped())
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("../../escaped.py", "")
    assert lab.result(function(zip=buffer.getvalue(), sha256="x"), do="count")[0] == 1
    assert not (tmp_path / "escaped.py").exists()


def test_a_refused_start_frees_its_place(lab: Lab) -> None:
    for _ in range(6):
        with pytest.raises(Refused, match="Could not unzip"):
            lab.invoke(function(zip=b"", sha256="x"))
    assert lab.result(function(), do="count")[0] == 1


def test_closing_ends_idle_and_busy_workers(tmp_path: Path, certificates: Certificates) -> None:
    lab = Lab(tmp_path, certificates)
    _, idle = lab.result(function(), do="count")
    note = tmp_path / "note"
    with ThreadPoolExecutor() as pool:
        pool.submit(lab.result, function(memory=512), do="count").result()
        busy = pool.submit(lab.problem, function(timeout=60), do="sleep", note=str(note))
        pids = pids_in(note)
        lab.close()
        assert busy.result(5)["errorType"] == "Runtime.ExitError"
    assert ends(idle, *pids)


def test_a_stopping_lab_starts_no_worker(tmp_path: Path, certificates: Certificates) -> None:
    lab = Lab(tmp_path, certificates)
    lab.placements.table(Internet(address="203.0.113.20"))
    lab.close()
    with pytest.raises(Refused, match="The lab is stopping"):
        lab.functions._start(compute._Key(function(), None))


KILLED_LAB = """
import sys, threading
from pathlib import Path
sys.path[:0] = [{tests!r}]
from test_lab_compute import Lab, function
from pytest_s3vpce.lab.certificates import Certificates
folder = Path({folder!r})
lab = Lab(folder, Certificates(folder))
event = {{"do": "sleep", "note": str(folder / "note")}}
threading.Thread(target=lab.invoke, args=(function(timeout=60),), kwargs=event).start()
print(lab.result(function(timeout=60), do="count")[1], flush=True)
"""


def test_workers_end_when_the_lab_is_killed(tmp_path: Path) -> None:
    code = KILLED_LAB.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as lab:
        assert lab.stdout is not None
        idle = int(lab.stdout.readline())
        pids = pids_in(tmp_path / "note")
        assert all(is_running(pid) for pid in (idle, *pids))
        lab.kill()
    assert ends(idle, *pids)


def test_a_cold_start_is_quick(lab: Lab) -> None:
    spec = function("def handler(e, c): return 1")
    lab.placements.table(SUBNET)
    began = time.monotonic()
    lab.invoke(spec)
    assert time.monotonic() - began < 1  # 30 ms on a quiet machine


def test_threads_may_call_while_workers_change(lab: Lab) -> None:
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(lab.result, function(memory=128 + number % 2), do="count") for number in range(12)]
        assert all(call.result()[0] >= 1 for call in calls)


# --- where functions stand --------------------------------------------------------------------------------------------


def tables(lab: Lab) -> int:
    return len(lab.placements._tables)


def test_a_placement_ends_with_the_last_function_that_stands_there(lab: Lab) -> None:
    other = function(arn=f"{ARN}-other", name="other")
    lab.invoke(function())
    lab.invoke(other)
    lab.invoke(function(), placement=replace(SUBNET, private_ip="10.0.0.9"))
    listeners = len(lab.placements._listeners)
    assert tables(lab) == 2
    lab.functions.forget(ARN)
    assert tables(lab) == 1
    assert len(lab.placements._listeners) == listeners / 2
    assert lab.result(other, do="count")[0] == 2
    lab.functions.forget(other.arn)
    assert tables(lab) == len(lab.placements._listeners) == 0
    assert lab.result(function(), do="count")[0] == 1
    assert tables(lab) == 1


def test_a_placement_stays_until_the_calls_of_a_deleted_function_have_ended(lab: Lab, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(lab.invoke, function(), do="wait", seconds=0.5)
        until = time.monotonic() + 5
        while not tables(lab) and time.monotonic() < until:
            time.sleep(0.01)
        lab.functions.forget(ARN)
        assert tables(lab) == 1
        assert call.result().function_error is None
    assert tables(lab) == 0


def test_a_process_with_more_than_1024_descriptors_runs_functions(lab: Lab) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2_048:
        pytest.skip("this system does not let a process have that many")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_048), hard))
    many: list[int] = []
    try:
        while not many or many[-1] < 1_100:
            many.append(os.dup(0))
        assert lab.result(function(), do="count")[0] == 1
        lab.placements._listener(SUBNET).apply(Verdict.DROP)
    finally:
        for descriptor in many:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
