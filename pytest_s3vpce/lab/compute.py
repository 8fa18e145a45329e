"""Lambda functions: the uploaded zip really runs, in warm worker processes placed in the function's subnet.

Limits and error forms: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html and
https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import math
import signal
import threading
import time
import uuid
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_s3vpce.lab.origin import OUTSIDE_OF_VPCS
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.runtime import Frame, Worker, WorkerExited, WorkerOverMemory, WorkerTimedOut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_s3vpce.lab.origin import Internet, Placement
    from pytest_s3vpce.lab.placement import Placements

    Credentials = Callable[["FunctionSpec"], Mapping[str, str]]

MAX_PAYLOAD = 6 * 1024 * 1024
MAX_UNPACKED = 250 * 1024 * 1024
_INIT_SECONDS = 10.0
_KEPT = frozenset({"result", "error"})
_ENDED = frozenset({"exited", "timed_out", "over_memory"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec:
    """A function's code and configuration; two with the same configuration and code hash are one."""

    account: str
    region: str
    name: str
    arn: str
    zip: bytes = field(repr=False, compare=False)
    sha256: str
    handler: str
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeout: float = 3
    memory: int = 128
    role_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeResult:
    """Lambda's answer to Invoke: `function_error` is set when the function failed, the status stays 200."""

    status: int
    payload: bytes
    function_error: str | None
    log_tail: bytes


@dataclass(frozen=True, slots=True)
class _Key:
    """What a warm worker was made for."""

    function: FunctionSpec
    placement: Placement | None


class Functions:
    """The workers of all functions: one call per worker at a time, as many workers as calls run at once.

    `credentials(function)` gives the environment variables of the function's role session; it is asked once per worker.
    """

    def __init__(
        self,
        *,
        folder: Path,
        placements: Placements,
        ca_pem: Path,
        credentials: Credentials,
        without_vpc: Internet | None = None,
        concurrency: int = 64,
    ) -> None:
        self._folder = folder
        self._placements = placements
        self._ca_pem = ca_pem
        self._credentials = credentials
        self._without_vpc = without_vpc or OUTSIDE_OF_VPCS
        self._concurrency = concurrency
        self._lock = threading.Lock()
        self._unpacking = threading.Lock()
        self._numbers = itertools.count(1)
        self._current: dict[str, FunctionSpec] = {}
        self._calls: Counter[str] = Counter()
        self._stand: dict[str, set[Placement]] = {}
        """By a function's ARN, where workers of it were placed."""
        self._idle: dict[_Key, list[Worker]] = {}
        self._workers: set[Worker] = set()
        self._running = 0
        self._closed = False

    def invoke(self, function: FunctionSpec, *, payload: bytes, placement: Placement | None) -> InvokeResult:
        """Run the function once; raises `Refused` with Lambda's code where Invoke itself fails.

        `placement` is the function's network interface; None for a function outside of any VPC.
        """
        _check(payload)
        key = _Key(function, placement)
        idle = self._enter(key)
        try:
            request_id = str(uuid.uuid4())
            worker = idle or self._start(key)
            before = 0 if idle is None else worker.log_size()
            worker.note(f"START RequestId: {request_id} Version: $LATEST")
            began = time.monotonic()
            if idle is None and (failed := _load(worker, request_id=request_id)):
                frame = failed
            else:
                frame = _call(worker, function=function, payload=payload, request_id=request_id)
            duration = (time.monotonic() - began) * 1000
            worker.note(_report(frame, worker, function=function, request_id=request_id, duration=duration))
            tail = worker.log_tail(before)
            self._leave(key, worker=worker, frame=frame)
        finally:
            with self._lock:
                self._running -= 1
                self._calls[function.arn] -= 1
                self._vacate(function.arn)
        error = None if frame.kind == "result" else "Unhandled"
        return InvokeResult(status=200, payload=frame.body, function_error=error, log_tail=tail)

    def forget(self, arn: str) -> None:
        """End a deleted function's workers; those that serve a call end after it."""
        with self._lock:
            self._current.pop(arn, None)
            retired = self._retire(arn)
        for worker in retired:
            worker.kill()
        with self._lock:
            self._vacate(arn)

    def _vacate(self, arn: str) -> None:
        """End the placements of a function that is gone, once no call of it goes on, unless another stands there."""
        if arn in self._current or self._calls[arn]:
            return
        del self._calls[arn]
        left = self._stand.pop(arn, set())
        for placement in left.difference(*self._stand.values()):
            self._placements.forget(placement)

    def close(self) -> None:
        with self._lock:
            workers = list(self._workers)
            self._current.clear()
            self._idle.clear()
            self._workers.clear()
            self._closed = True
        for worker in workers:
            worker.kill()

    def _enter(self, key: _Key) -> Worker | None:
        """Take part in the concurrency limit, and take an idle worker if there is one."""
        function = key.function
        with self._lock:
            if self._running >= self._concurrency:
                raise Refused("TooManyRequestsException", status=429, message="Rate Exceeded.")
            self._running += 1
            self._calls[function.arn] += 1
            retired = [] if self._current.get(function.arn) == function else self._retire(function.arn)
            self._current[function.arn] = function
            idle = self._idle.get(key, [])
            worker = None
            while idle and worker is None:
                candidate = idle.pop()
                if candidate.alive:
                    worker = candidate
                else:
                    retired.append(candidate)
        for old in retired:
            old.kill()
        return worker

    def _retire(self, arn: str) -> list[Worker]:
        keys = [key for key in self._idle if key.function.arn == arn]
        retired = [worker for key in keys for worker in self._idle.pop(key)]
        self._workers.difference_update(retired)
        return retired

    def _start(self, key: _Key) -> Worker:
        code = self._unpack(key.function)
        number = next(self._numbers)
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        scratch = self._folder / "tmp" / str(number)
        scratch.mkdir(parents=True)
        function = key.function
        if key.placement is not None:
            with self._lock:
                self._stand.setdefault(function.arn, set()).add(key.placement)
        environment = {
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            **dict(function.environment),
            **_lambda_environment(function),
            **self._credentials(function),
            "LAMBDA_TASK_ROOT": str(code),
            "TMPDIR": str(scratch),
            "HOME": str(scratch),
            "SSL_CERT_FILE": str(self._ca_pem),
            "AWS_CA_BUNDLE": str(self._ca_pem),
            "REQUESTS_CA_BUNDLE": str(self._ca_pem),
            "AWS_EC2_METADATA_DISABLED": "true",
            "S3VPCE_LAB_REDIRECT": str(self._placements.table(key.placement or self._without_vpc)),
        }
        log = logs / f"{function.account}-{function.region}-{function.name}-{number}.log"
        worker = Worker(environment=environment, folder=code, log=log, memory=function.memory)
        with self._lock:
            if not self._closed:
                self._workers.add(worker)
                return worker
        worker.kill()
        raise Refused("ServiceException", status=500, message="The lab is stopping.")

    def _leave(self, key: _Key, *, worker: Worker, frame: Frame) -> None:
        """Keep the worker warm, unless it failed or its function has changed meanwhile."""
        with self._lock:
            if frame.kind in _KEPT and worker in self._workers and self._current.get(key.function.arn) == key.function:
                self._idle.setdefault(key, []).append(worker)
                return
            self._workers.discard(worker)
        worker.kill()

    def _unpack(self, function: FunctionSpec) -> Path:
        code = self._folder / "code" / hashlib.sha256(function.zip).hexdigest()
        with self._unpacking:
            if not code.exists():
                fresh = code.with_suffix(f".{uuid.uuid4().hex}")
                _extract(function.zip, folder=fresh)
                fresh.rename(code)
        return code


def _check(payload: bytes) -> None:
    if len(payload) > MAX_PAYLOAD:
        message = f"Request must be smaller than {MAX_PAYLOAD} bytes for the InvokeFunction operation"
        raise Refused("RequestEntityTooLargeException", status=413, message=message)
    try:
        json.loads(payload or b"{}")
    except (ValueError, RecursionError) as error:
        message = f"Could not parse request body into json: {error}"
        raise Refused("InvalidRequestContentException", status=400, message=message) from error


def _extract(data: bytes, *, folder: Path) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED:
                message = f"Unzipped size must be smaller than {MAX_UNPACKED} bytes"
                raise Refused("InvalidParameterValueException", status=400, message=message)
            folder.mkdir(parents=True)
            archive.extractall(folder)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        message = "Could not unzip uploaded file. Please check your file, then try to upload again."
        raise Refused("InvalidParameterValueException", status=400, message=message) from error


def _lambda_environment(function: FunctionSpec) -> dict[str, str]:
    stream = f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
    return {
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "_HANDLER": function.handler,
    }


def _load(worker: Worker, *, request_id: str) -> Frame | None:
    """Wait for the handler to load; the failure, if it does not."""
    try:
        frame = worker.receive(seconds=_INIT_SECONDS)
    except WorkerExited as exited:
        return _exited(exited, request_id=request_id)
    except WorkerOverMemory:
        return _over_memory(request_id=request_id)
    except WorkerTimedOut:
        return _timed_out(_INIT_SECONDS, request_id=request_id)
    return frame if frame.kind == "failed" else None


def _call(worker: Worker, *, function: FunctionSpec, payload: bytes, request_id: str) -> Frame:
    header = {"request_id": request_id, "arn": function.arn, "timeout": function.timeout}
    try:
        frame = worker.call(header=header, payload=payload or b"{}", seconds=function.timeout)
    except WorkerExited as exited:
        return _exited(exited, request_id=request_id)
    except WorkerOverMemory:
        return _over_memory(request_id=request_id)
    except WorkerTimedOut:
        return _timed_out(function.timeout, request_id=request_id)
    if len(frame.body) > MAX_PAYLOAD:
        message = f"Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD} bytes)."
        return _failure("error", error_type="Function.ResponseSizeTooLarge", message=message)
    return frame


def _exited(exited: WorkerExited, *, request_id: str) -> Frame:
    how = (
        f"signal: {(signal.strsignal(-exited.status) or str(-exited.status)).lower()}"
        if exited.status < 0
        else f"exit status {exited.status}"
    )
    message = f"RequestId: {request_id} Error: Runtime exited with error: {how}"
    return _failure("exited", error_type="Runtime.ExitError", message=message)


def _over_memory(*, request_id: str) -> Frame:
    message = f"RequestId: {request_id} Error: Runtime exited with error: signal: killed"
    return _failure("over_memory", error_type="Runtime.OutOfMemory", message=message)


def _timed_out(seconds: float, *, request_id: str) -> Frame:
    message = f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"
    return _failure("timed_out", error_type="Sandbox.Timedout", message=message)


def _failure(kind: str, *, error_type: str, message: str) -> Frame:
    return Frame(kind=kind, body=json.dumps({"errorType": error_type, "errorMessage": message}).encode())


def _report(frame: Frame, worker: Worker, *, function: FunctionSpec, request_id: str, duration: float) -> str:
    """The last lines of a call's log. https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html"""
    lines = []
    if frame.kind in _ENDED:
        problem = json.loads(frame.body)
        what = str(problem["errorMessage"]).partition(" Error: ")[2]
        if frame.kind == "timed_out":
            lines.append(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z} {request_id} {what}\n")
        else:
            lines.append(f"RequestId: {request_id} Error: {what}\n{problem['errorType']}")
    used = function.memory if frame.kind == "over_memory" else min(worker.peak, function.memory)
    figures = {
        "Duration": f"{duration:.2f} ms",
        "Billed Duration": f"{math.ceil(duration)} ms",
        "Memory Size": f"{function.memory} MB",
        "Max Memory Used": f"{used} MB",
    }
    told = "\t".join(f"{name}: {value}" for name, value in figures.items())
    return "\n".join([*lines, f"END RequestId: {request_id}", f"REPORT RequestId: {request_id}\t{told}"])
