"""A worker serves calls as Lambda's runtime does."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.lab.runtime import BOOTSTRAP
from pytest_s3vpce.lab.worker import bootstrap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = """
import json
def echo(event, context):
    return event
def fail(event, context):
    raise KeyError("näh")
def unserialisable(event, context):
    return {1, 2}
def about(event, context):
    return [context.function_name, context.function_version, context.memory_limit_in_mb, context.aws_request_id,
            context.invoked_function_arn, context.log_group_name, context.log_stream_name,
            0 < context.get_remaining_time_in_millis() <= 3000]
def say(event, context):
    print("said")
    return "ü"
"""
CALL = {"request_id": "r-1", "arn": "arn:fn", "timeout": 3}


@pytest.fixture(autouse=True)
def _function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "lab_handler.py").write_text(CODE)
    (tmp_path / "lab_broken.py").write_text("def handler(:\n")
    (tmp_path / "lab_raising.py").write_text("1 / 0\n")
    (tmp_path / "lab_needing.py").write_text("import not_there_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, value in {"NAME": "fn", "VERSION": "$LATEST", "MEMORY_SIZE": "128"}.items():
        monkeypatch.setenv(f"AWS_LAMBDA_FUNCTION_{name}", value)
    monkeypatch.setenv("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/fn")
    monkeypatch.setenv("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
    yield
    for name in [name for name in sys.modules if name.startswith("lab_")]:
        del sys.modules[name]


def frames(raw: bytes) -> list[tuple[str, bytes]]:
    found = []
    while raw:
        line, _, raw = raw.partition(b"\n")
        header = json.loads(line)
        found.append((header["kind"], raw[: header["size"]]))
        raw = raw[header["size"] :]
    return found


def served(monkeypatch: pytest.MonkeyPatch, handler: str, *payloads: bytes) -> list[tuple[str, bytes]]:
    monkeypatch.setenv("_HANDLER", handler)
    requests = b"".join(json.dumps({**CALL, "size": len(body)}).encode() + b"\n" + body for body in payloads)
    answers = io.BytesIO()
    bootstrap.serve(io.BytesIO(requests), answers)
    return frames(answers.getvalue())


def result(monkeypatch: pytest.MonkeyPatch, handler: str) -> Any:
    ready, (kind, body) = served(monkeypatch, handler, b"{}")
    assert ready == ("ready", b"")
    return kind, json.loads(body)


def test_calls_are_answered_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    payloads = [b'{"a": "\n"}'.replace(b"\n", b"\\n"), '"grüße"'.encode(), b"null"]
    answers = served(monkeypatch, "lab_handler.echo", *payloads)
    assert [kind for kind, _ in answers] == ["ready", "result", "result", "result"]
    assert [json.loads(body) for _, body in answers[1:]] == [{"a": "\n"}, "grüße", None]


def test_the_context_is_lambdas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert result(monkeypatch, "lab_handler.about") == (
        "result",
        ["fn", "$LATEST", "128", "r-1", "arn:fn", "/aws/lambda/fn", "stream", True],
    )


def test_an_exception_is_described_as_lambda_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, problem = result(monkeypatch, "lab_handler.fail")
    assert kind == "error"
    assert (problem["errorType"], problem["errorMessage"]) == ("KeyError", "'näh'")
    assert problem["requestId"] == "r-1"
    assert len(problem["stackTrace"]) == 1
    assert 'in fail\n    raise KeyError("näh")' in problem["stackTrace"][0]
    assert "[ERROR] KeyError: 'näh'" in capsys.readouterr().out


def test_a_result_that_is_no_json_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    kind, problem = result(monkeypatch, "lab_handler.unserialisable")
    assert (kind, problem["errorType"]) == ("error", "Runtime.MarshalError")
    assert problem["errorMessage"] == "Unable to marshal response: Object of type set is not JSON serializable"


@pytest.mark.parametrize(
    ("handler", "error_type", "words"),
    [
        ("handler", "Runtime.MalformedHandlerName", "Bad handler 'handler'"),
        ("lab_absent.handler", "Runtime.ImportModuleError", "Unable to import module 'lab_absent': No module named"),
        ("lab_needing.handler", "Runtime.ImportModuleError", "No module named 'not_there_at_all'"),
        ("lab_handler.absent", "Runtime.HandlerNotFound", "Handler 'absent' missing on module 'lab_handler'"),
        ("lab_broken.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'lab_broken'"),
        ("lab_raising.handler", "ZeroDivisionError", "division by zero"),
    ],
)
def test_a_handler_that_does_not_load_is_named(
    monkeypatch: pytest.MonkeyPatch, handler: str, error_type: str, words: str
) -> None:
    [(kind, body)] = served(monkeypatch, handler, b"{}")
    problem = json.loads(body)
    assert (kind, problem["errorType"]) == ("failed", error_type)
    assert words in problem["errorMessage"]


def test_the_watch_ends_the_group_when_the_lab_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "killpg", lambda group, number: killed.append((group, number)))
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe:
        watch = threading.Thread(target=bootstrap.die_with, args=(pipe,))
        watch.start()
        os.write(writing, b"a call")
        watch.join(0.05)
        assert watch.is_alive()
        os.close(writing)
        watch.join(5)
    assert killed == [(os.getpid(), signal.SIGKILL)]


def started(tmp_path: Path, handler: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-s", "-P", str(BOOTSTRAP)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "_HANDLER": handler, "LAMBDA_TASK_ROOT": str(tmp_path)},
        start_new_session=True,
    )


def test_what_a_handler_prints_is_not_on_the_pipe(tmp_path: Path) -> None:
    with started(tmp_path, "lab_handler.say") as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        assert worker.stderr is not None
        worker.stdin.write(json.dumps({**CALL, "size": 2}).encode() + b"\n{}")
        worker.stdin.flush()
        lines = [worker.stdout.readline() for _ in range(2)]
        assert [json.loads(line)["kind"] for line in lines] == ["ready", "result"]
        assert worker.stdout.read(4) == '"ü"'.encode()
        worker.stdin.close()
        assert worker.stderr.read() == b"said\n"
        assert worker.wait(5) == -signal.SIGKILL


def test_a_worker_without_a_handler_says_so_and_waits_for_its_end(tmp_path: Path) -> None:
    with started(tmp_path, "lab_absent.handler") as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        assert json.loads(worker.stdout.readline())["kind"] == "failed"
        assert worker.poll() is None
        worker.stdin.close()
        assert worker.wait(5) == -signal.SIGKILL


def test_the_pipes_are_kept_from_the_handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests, lab_requests = os.pipe()
    lab_answers, answers = os.pipe()
    moved: list[int] = []
    killed: list[tuple[int, int]] = []
    with monkeypatch.context() as patched:
        patched.setattr(os, "dup", {0: requests, 1: answers}.__getitem__)
        patched.setattr(os, "dup2", lambda _, new: moved.append(new))
        patched.setattr(os, "killpg", lambda *call: killed.append(call))
        patched.setenv("_HANDLER", "lab_handler.echo")
        patched.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
        os.write(lab_requests, json.dumps({**CALL, "size": 2}).encode() + b"\n{}")
        os.close(lab_requests)
        bootstrap.main()
        for thread in threading.enumerate():
            if thread.name == "lab-watch":
                thread.join(5)  # its kill must be the patched one
    assert killed == [(os.getpid(), signal.SIGKILL)] * 2
    assert frames(os.read(lab_answers, 1000)) == [("ready", b""), ("result", b"{}")]
    os.close(lab_answers)
    assert moved == [0, 1]
