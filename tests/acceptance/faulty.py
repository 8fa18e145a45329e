"""A way to the lab's control plane on which things go wrong: the runner is pointed at it and knows nothing."""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from pytest_s3vpce.vantage import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

_sleep: Final = time.sleep
"""Tests shorten the pauses of the code under test, not ours."""
_SCOPE: Final = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
_LAMBDA: Final = (
    ("POST", r"/functions/[^/]+/invocations", "Invoke"),
    ("POST", r"/functions/?", "CreateFunction"),
    ("GET", r"/functions/[^/]+/?", "GetFunction"),
    ("GET", r"/functions/[^/]+/configuration", "GetFunctionConfiguration"),
    ("DELETE", r"/functions/[^/]+/?", "DeleteFunction"),
)
"""https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html"""
_S3: Final = {("GET", "policy"): "GetBucketPolicy"}
_XML: Final = "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error></ErrorResponse>"
_EC2: Final = "<Response><Errors><Error><Code>{}</Code><Message>{}</Message></Error></Errors></Response>"
_DROPPED: Final = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server"})


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request of the runner's to the control plane."""

    service: str
    operation: str
    path: str
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    missing: int = 0
    """Bytes that are announced, and never come: the connection is closed before."""


class Lost(Exception):  # noqa: N818 - what becomes of an answer
    """No answer: the connection is reset."""


@dataclass(kw_only=True)
class Fault:
    """What happens to the first `times` calls of each operation that fits (all of them: None).

    `before` answers in the lab's place, `after` changes what the lab answered; either may raise Lost.
    """

    only: str = r".*"
    """What fits, of `service:Operation`."""
    times: int | None = None
    before: Callable[[Call], Reply] | None = None
    after: Callable[[Call, Reply], Reply] | None = None
    seen: dict[str, int] = field(default_factory=dict)

    def takes(self, call: Call) -> bool:
        name = f"{call.service}:{call.operation}"
        if not re.fullmatch(self.only, name):
            return False
        self.seen[name] = self.seen.get(name, 0) + 1
        return self.times is None or self.seen[name] <= self.times


def error(code: str, message: str = "said by a test", *, status: int = 400) -> Callable[[Call], Reply]:
    """An error in the form of whatever service was asked."""

    def answered(call: Call) -> Reply:
        if call.service in ("lambda", "ssm"):
            text = json.dumps({"__type": code, "message": message, "Message": message})
            headers = [("x-amzn-ErrorType", code), ("Content-Type", "application/json")]
        else:
            text = (_EC2 if call.service == "ec2" else _XML).format(code, message)
            headers = [("Content-Type", "text/xml")]
        return Reply(status=status, headers=tuple(headers), body=text.encode())

    return answered


_THROTTLES: Final = {"lambda": ("TooManyRequestsException", 429), "ec2": ("RequestLimitExceeded", 503)}


def throttled(call: Call) -> Reply:
    """In each service's own words; https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
    code, status = _THROTTLES.get(call.service, ("ThrottlingException", 400))
    return error(code, "Rate exceeded", status=status)(call)


def lost(_call: Call) -> Reply:
    raise Lost


def answer_lost(_call: Call, _reply: Reply) -> Reply:
    """AWS did what was asked, but nobody hears of it."""
    raise Lost


def silent(seconds: float) -> Callable[[Call], Reply]:
    """Nothing comes back until long after the client has given up."""

    def answered(_call: Call) -> Reply:
        _sleep(seconds)
        raise Lost

    return answered


def broken_off(_call: Call, reply: Reply) -> Reply:
    """The connection ends in the midst of an answer."""
    half = len(reply.body) // 2
    return replace(reply, body=reply.body[:half], missing=len(reply.body) - half)


def first_answers_lost() -> Callable[[Call, Reply], Reply]:
    """AWS did what was asked, but nobody hears of it before it is asked again for the same."""
    lock, done = threading.Lock(), set[bytes]()

    def answered(call: Call, reply: Reply) -> Reply:
        with lock:
            is_first = call.body not in done
            done.add(call.body)
        if is_first and reply.status < 300:
            raise Lost
        return reply

    return answered


def never_told(seconds: float) -> Callable[[Call, Reply], Reply]:
    """AWS did what was asked, and says so long after the client has given up."""

    def answered(_call: Call, _reply: Reply) -> Reply:
        _sleep(seconds)
        raise Lost

    return answered


def text(change: Callable[[bytes], bytes]) -> Callable[[Call, Reply], Reply]:
    """The answer's body changed."""
    return lambda _call, reply: Reply(status=reply.status, headers=reply.headers, body=change(reply.body))


def document(change: Callable[[Any], Any]) -> Callable[[Call, Reply], Reply]:
    """The answer's JSON changed."""
    return text(lambda body: json.dumps(change(json.loads(body))).encode())


def failed(kind: str, message: str) -> Callable[[Call], Reply]:
    """What Invoke answers for a function that did not come to its end.

    https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
    """

    def answered(_call: Call) -> Reply:
        body = json.dumps({"errorType": kind, "errorMessage": message} if kind else {"errorMessage": message})
        return Reply(status=200, headers=(("X-Amz-Function-Error", "Unhandled"),), body=body.encode())

    return answered


class Clock:
    """The pauses of the code under test, shortened and counted."""

    def __init__(self) -> None:
        self._paused: dict[int, float] = {}

    @property
    def paused(self) -> float:
        """Seconds, of the thread that paused longest."""
        return max(self._paused.values(), default=0.0)

    def shorten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """All pauses, also those that end with the run."""
        pause = ControlPlane.pause

        def paused(control: ControlPlane, seconds: float) -> None:
            self.sleep(seconds)
            pause(control, 0)

        monkeypatch.setattr(time, "sleep", self.sleep)
        monkeypatch.setattr(ControlPlane, "pause", paused)

    def sleep(self, seconds: float) -> None:
        thread = threading.get_ident()
        self._paused[thread] = self._paused.get(thread, 0.0) + seconds
        _sleep(min(seconds, 0.01))


class Way:
    """A server in front of another: it passes calls on, except where a fault takes them."""

    def __init__(self, upstream: str) -> None:
        self.faults: Sequence[Fault] = ()
        self.calls: list[Call] = []
        self._upstream = urlsplit(upstream)
        way = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def _any(self) -> None:
                way._serve(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _any  # noqa: N815 - the standard library's names

            def log_message(self, *_: object) -> None:
                """Nothing is logged."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def asked(self, operation: str) -> int:
        """How many calls of an operation came this way."""
        return sum(1 for call in self.calls if call.operation == operation)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        call = _call(handler)
        self.calls.append(call)
        try:
            self._answer(handler, self._replied(handler, call))
        except Lost:
            reset = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            handler.close_connection = True

    def _replied(self, handler: BaseHTTPRequestHandler, call: Call) -> Reply:
        taken = [fault for fault in self.faults if fault.takes(call)]
        for fault in taken:
            if fault.before is not None:
                return fault.before(call)
        reply = self._passed_on(handler, call)
        for fault in taken:
            if fault.after is not None:
                reply = fault.after(call, reply)
        return reply

    def _passed_on(self, handler: BaseHTTPRequestHandler, call: Call) -> Reply:
        upstream = http.client.HTTPConnection(self._upstream.netloc, timeout=60)
        try:
            upstream.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
            for name, value in handler.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(call.body)
            answer = upstream.getresponse()
            headers = tuple((name, value) for name, value in answer.getheaders() if name.lower() not in _DROPPED)
            return Reply(status=answer.status, headers=headers, body=answer.read())
        finally:
            upstream.close()

    @staticmethod
    def _answer(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        handler.send_response(reply.status)
        for name, value in reply.headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.body) + reply.missing))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(reply.body)
        handler.close_connection = handler.close_connection or bool(reply.missing)


def _call(handler: BaseHTTPRequestHandler) -> Call:
    body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    scope = _SCOPE.search(handler.headers.get("Authorization") or "")
    service = scope[1] if scope else "sts"
    path = unquote(urlsplit(handler.path).path)
    if service == "lambda":
        rows = (name for method, form, name in _LAMBDA if method == handler.command and re.search(form + "$", path))
        operation = next(rows, "other")
    elif service == "s3":
        operation = _S3.get((handler.command, urlsplit(handler.path).query), "other")
    elif target := handler.headers.get("X-Amz-Target"):
        operation = target.rpartition(".")[2]
    else:
        operation = parse_qs(body.decode("latin-1")).get("Action", ["other"])[0]
    return Call(service=service, operation=operation, path=path, body=body)
