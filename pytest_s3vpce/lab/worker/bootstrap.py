"""A worker process: loads a function's handler and serves one invocation after the other, as Lambda's runtime does.

Frames on both pipes: a line of JSON with `size`, then that many bytes. Run as a program, never imported by the lab; it
imports little, because its start is what a cold start costs.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

    Handle = Callable[[Any, "Context"], Any]


class Context:
    """What Lambda hands to a handler as its second argument."""

    def __init__(self, call: dict[str, Any]) -> None:
        self.aws_request_id: str = call["request_id"]
        self.invoked_function_arn: str = call["arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = None
        self._deadline = time.monotonic() + call["timeout"]

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def die_with(pipe: BinaryIO) -> None:
    """End this process and what it started when the lab's end of the pipe is gone, even in the midst of a call."""
    poll = select.poll()
    poll.register(pipe, 0)
    poll.poll()
    os.killpg(os.getpid(), signal.SIGKILL)  # the lab starts each worker as the leader of a group of its own


def load(name: str) -> Handle:
    module_name, _, function_name = name.rpartition(".")
    if not module_name:
        raise LoadError("Runtime.MalformedHandlerName", f"Bad handler '{name}': not enough values to unpack")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        raise LoadError("Runtime.ImportModuleError", message) from error
    except SyntaxError as error:
        message = f"Syntax error in module '{module_name}': {error}"
        raise LoadError("Runtime.UserCodeSyntaxError", message) from error
    handle: Handle | None = getattr(module, function_name, None)
    if handle is None:
        raise LoadError("Runtime.HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'")
    return handle


class LoadError(Exception):
    """The handler can't be loaded; `kind` is Lambda's error type."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def describe(error: BaseException, *, kind: str | None = None, request_id: str = "") -> dict[str, Any]:
    """An error as Lambda reports it; frames of this file are not the user's."""
    root = os.environ.get("LAMBDA_TASK_ROOT", "")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    trace = [text.replace(f'"{root}/', '"/var/task/') for text in traceback.format_list(frames)]
    return {
        "errorMessage": str(error),
        "errorType": kind or type(error).__name__,
        "requestId": request_id,
        "stackTrace": trace,
    }


def invoke(handle: Handle, *, call: dict[str, Any], payload: bytes) -> tuple[bool, bytes]:
    """Whether the handler returned, and its result or error as JSON."""
    request_id = call["request_id"]
    try:
        result = handle(json.loads(payload), Context(call))
    except Exception as error:  # noqa: BLE001 - whatever user code raises is its result
        problem = describe(error, request_id=request_id)
    else:
        try:
            return True, json.dumps(result, ensure_ascii=False).encode()
        except (TypeError, ValueError) as error:
            marshal = RuntimeError(f"Unable to marshal response: {error}")
            problem = describe(marshal, kind="Runtime.MarshalError", request_id=request_id)
    print(f"[ERROR] {problem['errorType']}: {problem['errorMessage']}\n{''.join(problem['stackTrace'])}")  # noqa: T201 - the log
    return False, json.dumps(problem).encode()


def send(pipe: BinaryIO, *, kind: str, body: bytes) -> None:
    pipe.write(json.dumps({"kind": kind, "size": len(body)}).encode() + b"\n" + body)
    pipe.flush()


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Load the handler, say so, and answer calls until the lab ends."""
    try:
        handle = load(os.environ["_HANDLER"])
    except LoadError as error:
        send(answers, kind="failed", body=json.dumps(describe(error, kind=error.kind)).encode())
        return
    except Exception as error:  # noqa: BLE001 - module code of the user raised it
        traceback.print_exc()
        send(answers, kind="failed", body=json.dumps(describe(error)).encode())
        return
    send(answers, kind="ready", body=b"")
    while line := requests.readline():
        call = json.loads(line)
        returned, body = invoke(handle, call=call, payload=requests.read(call["size"]))
        sys.stdout.flush()
        sys.stderr.flush()
        send(answers, kind="result" if returned else "error", body=body)


def main() -> None:
    """Keep the two pipes for ourselves; the handler gets the log for its output and nothing to read."""
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb") as answers:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # the log keeps the order of both streams
        threading.Thread(target=die_with, args=(requests,), name="lab-watch", daemon=True).start()
        sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
        serve(requests, answers)
        die_with(requests)  # the watch may not have come to it, and the process group may hold more than us


if __name__ == "__main__":
    main()
