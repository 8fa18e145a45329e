"""The agent against small real servers on loopback."""

from __future__ import annotations

import ast
import base64
import errno
import io
import json
import os
import runpy
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pytest_s3vpce.model import FailureKind
from pytest_s3vpce.vantage import agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = "b.s3.eu-west-1.amazonaws.com"
OPEN = {"connect_to": True, "loopback": True}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
KEYS = {"id", "status", "headers", "body", "truncated", "failure", "detail", "dns", "peer", "local", "tls", "cipher"}


class Server:
    """Plays a script on each connection, and keeps what it read."""

    def __init__(self, script: Callable[[Server, socket.socket], object], context: ssl.SSLContext | None) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self._script = script
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock = self._listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            threading.Thread(target=self._play, args=(sock,), daemon=True).start()

    def _play(self, sock: socket.socket) -> None:
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            with sock:
                self._script(self, sock)
        except OSError:
            sock.close()

    def head(self, sock: socket.socket) -> tuple[bytes, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                raise ConnectionError
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        self.heads.append(head)
        return head, rest

    def whole(self, sock: socket.socket) -> bytes:
        head, body = self.head(sock)
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += sock.recv(65536)
        self.bodies.append(body)
        return head

    def close(self) -> None:
        self._listener.close()
        for sock in self._open:
            sock.close()


def replying(*replies: bytes) -> Callable[[Server, socket.socket], None]:
    """A server that reads whole requests and gives these answers in turn, the last one for ever."""

    def script(server: Server, sock: socket.socket) -> None:
        position = 0
        while True:
            server.whole(sock)
            sock.sendall(replies[min(position, len(replies) - 1)])
            position += 1

    return script


def once(reply: bytes) -> Callable[[Server, socket.socket], None]:
    """A server that answers one request per connection and closes it."""

    def script(server: Server, sock: socket.socket) -> None:
        server.whole(sock)
        sock.sendall(reply)

    return script


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    sock.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(script: Callable[[Server, socket.socket], object], context: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(script, context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def server_context(authority: trustme.CA, name: str = HOST) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def request(**given: Any) -> dict[str, Any]:
    return {"id": "0", "method": "GET", "url": f"http://{HOST}/key", "headers": [["Host", HOST]], "body": "", **given}


def batch(port: int, *requests: dict[str, Any], **given: Any) -> dict[str, Any]:
    numbered = [{**one, "id": str(position)} for position, one in enumerate(requests or (request(),))]
    routes = [f"*:80:127.0.0.1:{port}", f"*:443:127.0.0.1:{port}"]
    return {"version": 1, "requests": numbered, "connect_to": routes, "read_timeout": 5, **given}


def send(port: int, one: dict[str, Any] | None = None, config: dict[str, Any] | None = None, **given: Any) -> Any:
    answer = agent.handle(batch(port, one or request(), **given), {**OPEN, **(config or {})})
    assert set(answer) == {"version", "agent", "python", "answers"}
    (found,) = answer["answers"]
    assert set(found) - {"issuer", "proxy"} == KEYS | {"timings"}
    if found["failure"] is not None:
        FailureKind(found["failure"])
        assert found["status"] is None
    return found


def body(found: dict[str, Any]) -> bytes:
    return base64.b64decode(found["body"])


# --- what is sent, what is reported


def test_an_answer_says_all_that_was_seen(serve: Callable[..., Server]) -> None:
    server = serve(replying(OK))
    found = send(server.port)
    assert (found["status"], body(found), found["truncated"]) == (200, b"hello", False)
    assert found["headers"] == [["Content-Length", "5"]]
    assert found["dns"] == ["127.0.0.1"]
    assert found["peer"] == f"127.0.0.1:{server.port}"
    assert found["local"].startswith("127.0.0.1:")
    assert (found["tls"], found["cipher"]) == (None, None)
    assert set(found["timings"]) == {"dns", "connect", "first_byte", "total"}
    assert 0 <= found["timings"]["first_byte"] <= found["timings"]["total"]


def test_the_request_goes_out_exactly_as_given(serve: Callable[..., Server]) -> None:
    server = serve(replying(OK))
    headers = [
        ["Host", "signed.example"],
        ["X-Amz-Date", "20260101T000000Z"],
        ["x-b", "ü  "],
        ["Expect", "100-continue"],
    ]
    send(server.port, request(url=f"http://{HOST}/a%20b//../c+d%2f?x=%2B&y&list-type=2", headers=headers))
    assert server.heads[0].split(b"\r\n") == [
        b"GET /a%20b//../c+d%2f?x=%2B&y&list-type=2 HTTP/1.1",
        b"Host: signed.example",
        b"X-Amz-Date: 20260101T000000Z",
        "x-b: ü  ".encode(),
    ]


def test_only_what_http_needs_is_added(serve: Callable[..., Server]) -> None:
    server = serve(replying(OK))
    send(server.port, request(method="PUT", headers=[], body=base64.b64encode(b"abc").decode()))
    send(server.port, request(method="POST", headers=[], url=f"http://{HOST}:80?delete"))
    send(server.port, request(headers=[], url=f"http://{HOST}"))
    assert server.heads[0] == f"PUT /key HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3".encode()
    assert server.bodies[0] == b"abc"
    assert server.heads[1] == f"POST /?delete HTTP/1.1\r\nHost: {HOST}:80\r\nContent-Length: 0".encode()
    assert server.heads[2] == f"GET / HTTP/1.1\r\nHost: {HOST}".encode()


def test_answers_keep_the_order_of_the_requests(serve: Callable[..., Server]) -> None:
    def script(server: Server, sock: socket.socket) -> None:
        path = server.whole(sock).split()[1]
        time.sleep(0.2 if path == b"/0" else 0)
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    server = serve(script)
    requests = [request(url=f"http://{HOST}/{position}") for position in range(8)]
    found = agent.handle(batch(server.port, *requests, concurrency=4), OPEN)["answers"]
    assert [answer["id"] for answer in found] == [str(position) for position in range(8)]
    assert [body(answer) for answer in found] == [b"/%d" % position for position in range(8)]


def test_requests_are_sent_at_the_same_time(serve: Callable[..., Server]) -> None:
    barrier = threading.Barrier(4)

    def script(server: Server, sock: socket.socket) -> None:
        server.whole(sock)
        barrier.wait(5)  # answers only when four requests are there
        sock.sendall(OK)

    found = agent.handle(batch(serve(script).port, *[request()] * 4, concurrency=4), OPEN)["answers"]
    assert [answer["status"] for answer in found] == [200] * 4


# --- lookups


def look(url: str, config: dict[str, Any] | None = None, **given: Any) -> Any:
    answer = agent.handle(
        {"version": 1, "requests": [request(url=url, headers=[], **given)]}, {"loopback": True, **(config or {})}
    )
    (found,) = answer["answers"]
    assert set(found) == KEYS | {"timings"}
    assert (found["status"], found["headers"], found["body"]) == (None, [], "")
    return found


def test_a_name_is_resolved_without_a_connection(serve: Callable[..., Server]) -> None:
    server = serve(replying(OK))
    found = look("dns://localhost", {"hosts": ["localhost"]})
    assert (found["failure"], found["peer"]) == (None, None)
    assert "127.0.0.1" in found["dns"]
    found = send(server.port, request(url=f"dns://{HOST}"))
    assert (found["failure"], found["dns"]) == (None, ["127.0.0.1"])
    assert server.connections == 0


def test_what_a_name_resolves_to_may_be_inward_but_not_be_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(socket.AF_INET, 1, 6, "", ("169.254.169.254", 443))])
    closed = {"loopback": False}
    assert look(f"dns://{HOST}", closed)["dns"] == ["169.254.169.254"]
    assert look(f"tcp://{HOST}:80", closed)["failure"] == "forbidden_host"


def test_a_name_without_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    for url in (f"dns://{HOST}", f"tcp://{HOST}:443"):
        found = look(url)
        assert (found["failure"], found["dns"]) == ("dns", [])


def test_a_connection_is_made_and_closed(serve: Callable[..., Server]) -> None:
    server = serve(lambda server, sock: server.heads.append(sock.recv(1)))
    found = look(f"tcp://127.0.0.1:{server.port}", {"hosts": ["127.0.0.1"]})
    assert (found["failure"], found["peer"], found["dns"]) == (None, f"127.0.0.1:{server.port}", ["127.0.0.1"])
    assert set(found["timings"]) == {"dns", "connect", "total"}
    deadline = time.monotonic() + 5
    while not server.heads and time.monotonic() < deadline:
        time.sleep(0.001)
    assert server.heads == [b""]


def test_a_connection_that_does_not_come_up() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    assert look(f"tcp://127.0.0.1:{port}", {"hosts": ["127.0.0.1"]})["failure"] == "refused"


@pytest.mark.parametrize("url", ["dns://internal.example.com", "tcp://internal.example.com:22"])
def test_lookups_keep_to_the_hosts_of_the_deployment(url: str) -> None:
    assert look(url)["failure"] == "forbidden_host"


def test_lookups_do_not_go_by_the_proxy(serve: Callable[..., Server]) -> None:
    target, proxy = serve(replying(OK)), serve(replying(OK))
    config = {"hosts": ["127.0.0.1"], "proxy": f"http://127.0.0.1:{proxy.port}"}
    assert look(f"tcp://127.0.0.1:{target.port}", config)["failure"] is None
    assert proxy.connections == 0


# --- a request's own limits


def test_a_request_may_bring_its_own_time_limits(serve: Callable[..., Server]) -> None:
    silent = serve(lambda server, sock: (server.head(sock), server.head(sock)))
    began = time.monotonic()
    assert send(silent.port, request(read_timeout=0.1))["failure"] == "read_timeout"
    assert time.monotonic() - began < 2

    def late(server: Server, sock: socket.socket) -> None:
        server.whole(sock)
        time.sleep(0.2)
        sock.sendall(OK)

    assert send(serve(late).port, request(read_timeout=5), read_timeout=0.1)["status"] == 200
    found = send(serve(late).port, request(read_timeout=5), deadline=0.1)
    assert found["failure"] == "read_timeout"


def test_a_request_may_bring_its_own_time_to_connect(serve: Callable[..., Server]) -> None:
    server = serve(replying(OK))
    found = send(server.port, request(connect_timeout=5), connect_timeout=-1)
    assert found["status"] == 200
    assert send(server.port, request(connect_timeout=-1))["failure"] in ("dns", "connect_timeout")


def test_an_empty_batch_has_no_answers() -> None:
    assert agent.handle({"version": 1, "requests": []}, {})["answers"] == []


def test_another_version_of_the_contract_is_refused() -> None:
    with pytest.raises(ValueError, match="not of version 1"):
        agent.handle({"version": 2, "requests": []}, {})


# --- keep-alive


def test_a_worker_reuses_its_connection(serve: Callable[..., Server]) -> None:
    server = serve(replying(OK))
    found = agent.handle(batch(server.port, *[request()] * 5, concurrency=1), OPEN)["answers"]
    assert [answer["status"] for answer in found] == [200] * 5
    assert server.connections == 1
    assert "connect" in found[0]["timings"]
    assert "connect" not in found[1]["timings"]
    assert found[1]["peer"] == found[0]["peer"]
    assert found[1]["dns"] == ["127.0.0.1"]


def test_workers_that_have_enough_hosts_open_one_connection_to_each(serve: Callable[..., Server]) -> None:
    server = serve(replying(OK))
    several = [request(url=f"http://{name}.{HOST}/{number}") for number in range(6) for name in "abcd"]
    found = agent.handle(batch(server.port, *several, concurrency=4), OPEN)["answers"]
    assert [answer["id"] for answer in found] == [given["id"] for given in batch(server.port, *several)["requests"]]
    assert [answer["status"] for answer in found] == [200] * 24
    assert server.connections <= 12  # a worker that is done with its host helps the others


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nextra",
    ],
)
def test_a_connection_that_is_over_is_not_reused(serve: Callable[..., Server], reply: bytes) -> None:
    server = serve(replying(reply))
    found = agent.handle(batch(server.port, request(), request(), concurrency=1), OPEN)["answers"]
    assert [answer["status"] for answer in found] == [200, 200]
    assert server.connections == 2


@pytest.mark.parametrize("goodbye", [socket.socket.close, reset])
def test_a_connection_closed_meanwhile_is_not_reused(
    serve: Callable[..., Server], goodbye: Callable[[socket.socket], None]
) -> None:
    gone = threading.Event()

    def script(server: Server, sock: socket.socket) -> None:
        server.whole(sock)
        sock.sendall(EMPTY)
        goodbye(sock)
        gone.set()

    def slow(server: Server, sock: socket.socket) -> None:
        server.whole(sock)
        assert gone.wait(5)
        time.sleep(0.05)
        sock.sendall(EMPTY)

    first, other = serve(script), serve(slow)
    requests = [request(), request(url=f"http://{HOST}:81/"), request()]
    given = batch(first.port, *requests, concurrency=1)
    given["connect_to"].append(f"{HOST}:81:127.0.0.1:{other.port}")
    assert [answer["status"] for answer in agent.handle(given, OPEN)["answers"]] == [200, 200, 200]
    assert first.connections == 2


# --- answers of every shape


@pytest.mark.parametrize(
    ("reply", "status", "expected"),
    [
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n",
            200,
            b"abcde",
        ),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", 304, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, 200, b"hello"),
        (b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", 307, b""),
        (b"HTTP/1.1 403\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nno", 403, b"no"),
    ],
)
def test_answers_end_where_http_says(serve: Callable[..., Server], reply: bytes, status: int, expected: bytes) -> None:
    server = serve(replying(reply))
    found = agent.handle(batch(server.port, request(), request(), concurrency=1), OPEN)["answers"]
    assert [(answer["status"], body(answer)) for answer in found] == [(status, expected)] * 2
    assert server.connections == 1


def test_an_answer_without_length_ends_with_the_connection(serve: Callable[..., Server]) -> None:
    found = send(serve(once(b"HTTP/1.1 200 OK\r\n\r\nall of it")).port)
    assert (body(found), found["failure"]) == (b"all of it", None)


def test_head_has_no_body(serve: Callable[..., Server]) -> None:
    server = serve(replying(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 243\r\n\r\n"))
    found = agent.handle(batch(server.port, *[request(method="HEAD")] * 2, concurrency=1), OPEN)["answers"]
    assert [answer["status"] for answer in found] == [403, 403]
    assert server.connections == 1


def test_headers_keep_doubles_and_odd_bytes(serve: Callable[..., Server]) -> None:
    found = send(serve(replying(b"HTTP/1.1 200 OK\r\nA:1\r\nA: \xfc \r\nContent-Length: 0\r\n\r\n")).port)
    assert found["headers"][:2] == [["A", "1"], ["A", "ü"]]


@pytest.mark.parametrize(
    "head", [b"Content-Length: 300000", b"Transfer-Encoding: chunked\r\n\r\n493e0", b"Connection: close"]
)
def test_a_body_is_bounded(serve: Callable[..., Server], head: bytes) -> None:
    server = serve(replying(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" * (2 - head.count(b"\r\n\r\n")) + b"z" * 300000))
    found = send(server.port, request(max_body=1000))
    assert (body(found), found["truncated"], found["failure"]) == (b"z" * 1000, True, None)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"", "reset"),
        (b"HTTP/1.1 200 O", "reset"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "reset"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "reset"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "protocol"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "protocol"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "protocol"),
        (b"HTTP/2 200\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200000, "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", "protocol"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab", "protocol"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", "protocol"),
    ],
)
def test_half_and_odd_answers_are_failures(serve: Callable[..., Server], reply: bytes, kind: str) -> None:
    found = send(serve(once(reply)).port)
    assert found["failure"] == kind
    assert found["detail"]
    assert found["body"] == ""


# --- the network failing


def test_a_refused_connection() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    found = send(port)
    assert (found["failure"], found["detail"]) == ("refused", "Connection refused")
    assert found["dns"] == ["127.0.0.1"]


def test_a_blackhole_is_a_connect_timeout() -> None:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fill = [socket.socket() for _ in range(3)]
        for sock in fill:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        began = time.monotonic()
        found = send(listener.getsockname()[1], connect_timeout=0.3)
        for sock in fill:
            sock.close()
    assert found["failure"] == "connect_timeout"
    assert 0.25 < time.monotonic() - began < 2


def test_a_reset_before_the_answer(serve: Callable[..., Server]) -> None:
    def script(server: Server, sock: socket.socket) -> None:
        server.whole(sock)
        reset(sock)

    assert send(serve(script).port)["failure"] == "reset"


def test_a_silent_server_is_a_read_timeout(serve: Callable[..., Server]) -> None:
    server = serve(lambda server, sock: time.sleep(1))
    found = send(server.port, read_timeout=0.2)
    assert found["failure"] == "read_timeout"
    assert found["timings"]["total"] < 1


def test_a_trickling_server_is_a_read_timeout(serve: Callable[..., Server]) -> None:
    def script(server: Server, sock: socket.socket) -> None:
        server.whole(sock)
        for _ in range(40):
            sock.sendall(b"H")
            time.sleep(0.05)

    found = send(serve(script).port, read_timeout=0.3)
    assert found["failure"] == "read_timeout"
    assert found["timings"]["total"] < 1


def test_a_server_that_never_reads_is_a_read_timeout(serve: Callable[..., Server]) -> None:
    server = serve(lambda server, sock: time.sleep(1))
    large = base64.b64encode(bytes(30_000_000)).decode()
    found = send(server.port, request(method="PUT", body=large), read_timeout=0.3)
    assert (found["failure"], found["detail"]) == ("read_timeout", "the request could not be sent in time")


def early(server: Server, sock: socket.socket) -> None:
    server.head(sock)
    sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\ndenied")
    time.sleep(0.5)


def early_and_gone(server: Server, sock: socket.socket) -> None:
    server.head(sock)
    sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\ndenied")
    sock.shutdown(socket.SHUT_WR)
    time.sleep(0.1)
    reset(sock)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("script", [early, early_and_gone])
def test_an_answer_during_the_upload_is_read(
    serve: Callable[..., Server],
    script: Callable[[Server, socket.socket], None],
    scheme: str,
    authority: trustme.CA,
    bundle: str,
) -> None:
    server = serve(script, server_context(authority) if scheme == "https" else None)
    large = base64.b64encode(bytes(30_000_000)).decode()
    given = request(method="PUT", url=f"{scheme}://{HOST}/k", body=large)
    found = send(server.port, given, {"ca_bundle": bundle})
    assert (found["status"], body(found)) == (403, b"denied")


class Flaky:
    """A connected socket whose sending fails as told, and which holds an answer or not."""

    def __init__(self, sending: Exception, *receiving: bytes | Exception) -> None:
        self._sending = sending
        self._receiving = list(receiving)

    def getsockname(self) -> tuple[str, int, int, int]:
        return ("::1", 81, 0, 0)

    def settimeout(self, _: float) -> None: ...

    def send(self, _: object) -> int:
        raise self._sending

    def recv(self, _: int) -> bytes:
        given = self._receiving.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    def close(self) -> None: ...


@pytest.mark.parametrize("error", [BrokenPipeError(), ConnectionResetError(), ssl.SSLEOFError()])
def test_a_broken_pipe_while_sending_still_gives_the_answer(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "_connect", lambda *_: (Flaky(error, OK), ("::1", 80, 0, 0)))
    found = send(1)
    assert (found["status"], found["peer"], found["local"]) == (200, "[::1]:80", "[::1]:81")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionResetError(), "reset"),
        (ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]"), "tls_handshake"),
        (ValueError("secret"), "protocol"),
    ],
)
def test_what_fails_while_reading(error: Exception, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "_connect", lambda *_: (Flaky(BrokenPipeError(), error), ("::1", 80)))
    found = send(1)
    assert found["failure"] == kind
    assert "secret" not in found["detail"]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ECONNREFUSED, "refused"),
        (errno.ENETUNREACH, "refused"),
        (errno.EHOSTUNREACH, "refused"),
        (errno.EACCES, "refused"),
        (errno.ETIMEDOUT, "connect_timeout"),
        (errno.ECONNRESET, "reset"),
        (errno.EADDRNOTAVAIL, "not_sent"),
    ],
)
def test_each_error_of_connect_is_one_kind(number: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Socket(socket.socket):
        def connect(self, _: object) -> None:
            raise OSError(number, "as told")

    monkeypatch.setattr(socket, "socket", Socket)
    assert send(1)["failure"] == kind


def test_no_socket_to_be_had_is_not_the_paths_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(socket, "socket", none)
    found = send(1)
    assert (found["failure"], found["detail"]) == ("not_sent", "too many open files")


def test_the_other_address_family_is_tried(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(replying(OK))
    six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", server.port, 0, 0))
    four = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [six, four])
    found = send(1)
    assert (found["status"], found["dns"]) == (200, ["127.0.0.1", "::1"])


def test_no_time_left_to_connect() -> None:
    with pytest.raises(agent._SendError) as caught:
        agent._connect([(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))], time.monotonic() - 1)
    assert caught.value.kind == "connect_timeout"


def test_a_name_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    (found,) = agent.handle({"version": 1, "requests": [request()]}, {})["answers"]
    assert found["failure"] == "dns"
    assert "Name or service not known" in found["detail"]
    assert found["dns"] == []


def test_a_name_that_cannot_exist() -> None:
    (found,) = agent.handle({"version": 1, "requests": [request(url="http://a..amazonaws.com/")]}, {})["answers"]
    assert found["failure"] == "dns"


def test_a_resolver_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    asked = []

    def hang(*given: object) -> list[object]:
        asked.append(given)
        over.wait(5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    given = {"version": 1, "requests": [request(), request()], "connect_timeout": 0.1}
    found = agent.handle(given, {})["answers"]
    over.set()
    assert [(answer["failure"], answer["detail"]) for answer in found] == [("dns", "no answer in time")] * 2
    assert len(asked) == 1


def test_nothing_is_sent_after_the_deadline(serve: Callable[..., Server]) -> None:
    server = serve(lambda server, sock: time.sleep(1))
    given = batch(server.port, request(), request(), concurrency=1, deadline=0.3)
    first, second = agent.handle(given, OPEN)["answers"]
    assert first["failure"] == "read_timeout"
    assert second["failure"] == "not_sent"
    assert server.connections == 1


# --- TLS


def test_tls_is_reported_and_kept_alive(serve: Callable[..., Server], authority: trustme.CA, bundle: str) -> None:
    server = serve(replying(OK), server_context(authority))
    given = [request(url=f"https://{HOST}/k")] * 3
    apart = agent.handle(batch(server.port, *given, concurrency=3), {**OPEN, "ca_bundle": bundle})["answers"]
    assert [answer["status"] for answer in apart] == [200] * 3
    server.connections = 0
    found = agent.handle(batch(server.port, *given, concurrency=1), {**OPEN, "ca_bundle": bundle})["answers"]
    assert [answer["status"] for answer in found] == [200] * 3
    assert {answer["tls"] for answer in found} == {"TLSv1.3"}
    assert found[0]["cipher"].startswith("TLS_")
    assert {answer["issuer"] for answer in found} == {"trustme v" + trustme.__version__}
    assert "tls" in found[0]["timings"]
    assert server.connections == 1


@pytest.mark.parametrize(("pin", "version"), [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")])
def test_a_tls_version_can_be_pinned(
    serve: Callable[..., Server], authority: trustme.CA, bundle: str, pin: str, version: str
) -> None:
    server = serve(replying(OK), server_context(authority))
    found = send(server.port, request(url=f"https://{HOST}/k", tls=pin), {"ca_bundle": bundle})
    assert (found["status"], found["tls"]) == (200, version)


def test_a_refused_tls_version_fails_the_handshake(
    serve: Callable[..., Server], authority: trustme.CA, bundle: str
) -> None:
    context = server_context(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    found = send(serve(replying(OK), context).port, request(url=f"https://{HOST}/k", tls="1.3"), {"ca_bundle": bundle})
    assert found["failure"] == "tls_handshake"
    assert "VERSION" in found["detail"]
    assert found["peer"].startswith("127.0.0.1:")


def test_the_bundle_may_come_from_the_environment(
    serve: Callable[..., Server], authority: trustme.CA, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(replying(OK), server_context(authority))
    monkeypatch.setenv("AWS_CA_BUNDLE", bundle)
    assert send(server.port, request(url=f"https://{HOST}/k"))["status"] == 200


def test_a_folder_of_certificates_is_a_bundle_too(
    serve: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []
    real = ssl.create_default_context

    def create(**trusted: Any) -> ssl.SSLContext:
        given.append(trusted)
        return real(**trusted)

    monkeypatch.setattr(ssl, "create_default_context", create)
    send(serve(replying(OK)).port, request(url=f"https://{HOST}/k"), {"ca_bundle": str(tmp_path)}, read_timeout=0.3)
    assert given == [{"capath": str(tmp_path)}]


def test_an_unknown_authority_is_a_certificate_failure(serve: Callable[..., Server], authority: trustme.CA) -> None:
    found = send(serve(replying(OK), server_context(authority)).port, request(url=f"https://{HOST}/k"))
    assert found["failure"] == "tls_certificate"
    assert "issuer" in found["detail"]


def test_a_certificate_for_another_name(serve: Callable[..., Server], authority: trustme.CA, bundle: str) -> None:
    server = serve(replying(OK), server_context(authority, "other.example"))
    assert send(server.port, request(url=f"https://{HOST}/k"), {"ca_bundle": bundle})["failure"] == "tls_certificate"


def test_a_bundle_that_is_not_there(serve: Callable[..., Server]) -> None:
    found = send(serve(replying(OK)).port, request(url=f"https://{HOST}/k"), {"ca_bundle": "/none.pem"})
    assert (found["failure"], found["detail"]) == ("not_sent", "the CA bundle `/none.pem` can't be used")


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (lambda server, sock: time.sleep(1), "tls_handshake"),
        (lambda server, sock: sock.recv(9999), "reset"),
        (lambda server, sock: reset(sock), "reset"),
        (once(OK), "tls_handshake"),
        (lambda server, sock: sock.sendall(OK), "tls_handshake"),
    ],
)
def test_handshakes_that_fail(
    serve: Callable[..., Server], script: Callable[[Server, socket.socket], object], kind: str
) -> None:
    assert send(serve(script).port, request(url=f"https://{HOST}/k"), read_timeout=0.3)["failure"] == kind


def test_a_reset_in_the_middle_of_the_handshake(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: ssl.SSLSocket) -> None:
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    server = serve(lambda server, sock: sock.recv(9999))
    monkeypatch.setattr(ssl.SSLSocket, "do_handshake", broken)
    assert send(server.port, request(url=f"https://{HOST}/k"))["failure"] == "reset"


# --- what may be reached


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "http://amazonaws.com.evil.example/", "http://169.254.169.254/latest/", "http://[::1]/"],
)
def test_hosts_outside_the_deployment_are_refused(url: str) -> None:
    (found,) = agent.handle({"version": 1, "requests": [request(url=url)]}, {})["answers"]
    assert found["failure"] == "forbidden_host"


def test_an_empty_list_of_hosts_allows_none() -> None:
    (found,) = agent.handle({"version": 1, "requests": [request()]}, {"hosts": []})["answers"]
    assert found["failure"] == "forbidden_host"


@pytest.mark.parametrize(
    "host", ["s3.eu-west-1.amazonaws.com.", "B.S3.amazonaws.com.cn", "bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com"]
)
def test_the_partitions_hosts_are_reachable_by_default(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
    (found,) = agent.handle({"version": 1, "requests": [request(url=f"http://{host}/")]}, {})["answers"]
    assert found["failure"] == "dns"


def test_a_batch_may_not_route_by_itself() -> None:
    (found,) = agent.handle(batch(1), {"loopback": True})["answers"]
    assert found["failure"] == "forbidden_host"
    assert "connect_to" in found["detail"]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "::1",
        "fe80::1%eth0",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "fd00:ec2::254",
    ],
)
def test_inward_addresses_are_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))
    inward = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, 80))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [public, inward])
    (found,) = agent.handle({"version": 1, "requests": [request()]}, {})["answers"]
    assert (found["failure"], found["peer"]) == ("forbidden_host", None)


@pytest.mark.parametrize("address", ["52.218.1.1", "10.0.0.1", "2600:1fa0::1"])
def test_other_addresses_are_not(address: str) -> None:
    assert not agent._inward(address)


@pytest.mark.parametrize(
    ("route", "host", "port"),
    [
        ("{host}:80:127.0.0.1:{port}", HOST, 80),
        ("*.eu-west-1.amazonaws.com:80:127.0.0.1:{port}", HOST, 80),
        ("::127.0.0.1:{port}", HOST, 8080),
        ("[::1]:80:127.0.0.1:{port}", "[::1]", 80),
    ],
)
def test_connect_to_reads_as_in_curl(serve: Callable[..., Server], route: str, host: str, port: int) -> None:
    server = serve(replying(OK))
    given = batch(0, request(url=f"http://{host}:{port}/"))
    given["connect_to"] = ["no.example:80:127.0.0.1:1", route.format(host=HOST, port=server.port)]
    (found,) = agent.handle(given, {**OPEN, "hosts": ["*"]})["answers"]
    assert found["status"] == 200


def test_connect_to_may_leave_host_or_port_as_they_are(serve: Callable[..., Server]) -> None:
    server = serve(replying(OK))
    given = batch(0, request(url=f"http://127.0.0.1:{server.port}/"), request(url=f"http://localhost:{server.port}/"))
    given["connect_to"] = ["127.0.0.1:::", "localhost::127.0.0.1:"]
    found = agent.handle(given, {**OPEN, "hosts": ["127.0.0.1", "localhost"]})["answers"]
    assert [answer["status"] for answer in found] == [200, 200]


def test_a_connect_to_that_cannot_be_read() -> None:
    given = batch(0)
    given["connect_to"] = ["nonsense"]
    (found,) = agent.handle(given, OPEN)["answers"]
    assert (found["failure"], "connect_to" in found["detail"]) == ("not_sent", True)


def test_a_stale_signature_is_not_sent(serve: Callable[..., Server]) -> None:
    server = serve(replying(OK))
    now = time.time()
    stale, fresh = request(signed_at=now - 601), request(signed_at=now - 590)
    found = agent.handle(batch(server.port, stale, fresh), OPEN)["answers"]
    assert [answer["failure"] for answer in found] == ["stale", None]
    assert server.connections == 1


@pytest.mark.parametrize(
    "given",
    [
        {"url": "ftp://b.amazonaws.com/"},
        {"url": f"http://user:pw@{HOST}/"},
        {"url": f"http://{HOST}/a b"},
        {"url": f"http://{HOST}/a\r\nX: y"},
        {"url": f"http://{HOST}/ü"},
        {"url": f"http://{HOST}/a#b"},
        {"url": f"http://{HOST}:99999/"},
        {"url": 7},
        {"method": "GET /x"},
        {"tls": "1.1"},
        {"headers": [["a b", "c"]]},
        {"headers": [["a", "c\r\nd: e"]]},
        {"headers": [["a", None]]},
        {"headers": [["Transfer-Encoding", "chunked"]]},
        {"headers": [["Content-Length", "7"]]},
        {"headers": None},
        {"body": "A"},
        {"max_body": "x"},
    ],
)
def test_a_malformed_request_is_not_sent(serve: Callable[..., Server], given: dict[str, Any]) -> None:
    server = serve(replying(OK))
    found = send(server.port, request(**given))
    assert found["failure"] == "not_sent"
    assert found["detail"].startswith("malformed request")
    assert server.connections == 0


# --- proxies


def proxy_script(target: int, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> Callable[..., None]:
    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            sink.close()

    def script(server: Server, sock: socket.socket) -> None:
        server.head(sock)
        sock.sendall(answer)
        with socket.create_connection(("127.0.0.1", target)) as onward:
            thread = threading.Thread(target=pump, args=(onward, sock), daemon=True)
            thread.start()
            pump(sock, onward)
            thread.join(5)

    return script


def through(port: int, *requests: dict[str, Any], proxy: str = "http://127.0.0.1:{port}", **config: Any) -> Any:
    given = {"version": 1, "requests": list(requests), "concurrency": 1}
    return agent.handle(given, {"proxy": proxy.format(port=port), **config})["answers"]


def test_https_goes_through_the_proxy_by_connect(
    serve: Callable[..., Server], authority: trustme.CA, bundle: str
) -> None:
    server = serve(replying(OK), server_context(authority))
    proxy = serve(proxy_script(server.port))
    found = through(
        proxy.port,
        *[request(url=f"https://{HOST}/k")] * 2,
        proxy="http://us%40er:pass@127.0.0.1:{port}",
        ca_bundle=bundle,
    )
    assert [answer["status"] for answer in found] == [200, 200]
    credentials = base64.b64encode(b"us@er:pass")
    assert proxy.heads == [
        f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\nProxy-Authorization: Basic ".encode() + credentials
    ]
    assert b"Proxy" not in server.heads[0]
    assert {answer["proxy"] for answer in found} == {f"127.0.0.1:{proxy.port}"}


def test_http_goes_through_the_proxy_in_absolute_form(serve: Callable[..., Server]) -> None:
    proxy = serve(replying(OK))
    found = through(proxy.port, request(url=f"http://{HOST}/a?b"), request(), proxy="http://me@127.0.0.1:{port}")
    assert [answer["status"] for answer in found] == [200, 200]
    assert proxy.heads[0] == (
        f"GET http://{HOST}/a?b HTTP/1.1\r\nHost: {HOST}\r\nProxy-Authorization: Basic bWU6".encode()
    )
    assert proxy.connections == 1


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nearly bytes"]
)
def test_a_proxy_that_does_not_connect(serve: Callable[..., Server], answer: bytes) -> None:
    proxy = serve(once(answer))
    (found,) = through(proxy.port, request(url="https://[2600::1]/k"), hosts=["2600::1"])
    assert found["failure"] == "protocol"
    assert "to CONNECT" in found["detail"]
    assert proxy.heads[0].startswith(b"CONNECT [2600::1]:443 HTTP/1.1")


def test_a_proxy_out_of_reach_is_not_the_targets_fault() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    (found,) = through(port, request())
    assert found["failure"] == "not_sent"
    assert found["detail"].startswith(f"proxy: 127.0.0.1:{port} refused: ")


def test_a_proxy_does_not_open_inward_addresses() -> None:
    (found,) = through(1, request(url="http://169.254.169.254/"), hosts=["*"])
    assert found["failure"] == "forbidden_host"


def test_connect_to_goes_before_the_proxy(serve: Callable[..., Server]) -> None:
    server = serve(replying(OK))
    assert send(server.port, config={"proxy": "http://127.0.0.1:1"})["status"] == 200
    assert server.heads[0].startswith(b"GET /key ")


@pytest.mark.parametrize("proxy", ["https://p.example:3128", "p.example:3128"])
def test_a_proxy_of_another_kind_is_an_error(proxy: str) -> None:
    with pytest.raises(ValueError, match="http://"):
        agent.handle({"version": 1, "requests": []}, {"proxy": proxy})


# --- ambient credentials


@pytest.fixture(params=["", "a-token"])
def token(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", request.param)
    return str(request.param)


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("GET", "/a%20b/c?list-type=2&prefix=a%2Fb&acl", b""),
        ("PUT", "/key", b"the body"),
    ],
)
def test_ambient_requests_are_signed_as_botocore_signs(
    serve: Callable[..., Server], token: str, method: str, path: str, content: bytes
) -> None:
    server = serve(replying(OK))
    headers = [
        ["X-Amz-Meta-A", " a   b "],
        ["X-Amz-Meta-B", "1"],
        ["x-amz-meta-b", "2"],
        ["Authorization", "old"],
        ["User-Agent", "s3vpce"],
    ]
    encoded = base64.b64encode(content).decode()
    given = request(method=method, url=f"http://{HOST}{path}", headers=headers, body=encoded)
    found = send(server.port, {**given, "ambient": {"region": "eu-west-1", "service": "s3"}})
    assert found["status"] == 200
    sent = [line.partition(": ")[::2] for line in server.heads[0].decode().split("\r\n")[1:]]
    values = {name.lower(): value for name, value in sent}
    assert len(values) == len(sent) - 1
    assert values.get("x-amz-security-token", "") == token

    class Clocked(S3SigV4Auth):
        def add_auth(self, request: AWSRequest) -> None:
            request.context["timestamp"] = values["x-amz-date"]
            request.headers["Authorization"] = self.signature(
                self.string_to_sign(request, self.canonical_request(request)), request
            )

    reference = AWSRequest(method=method, url=f"http://{HOST}{path}", data=content)
    for name, value in sent:
        if name.lower() not in ("authorization", "user-agent", "content-length"):
            reference.headers[name] = value
    Clocked(Credentials("AKIDEXAMPLE", "secret", token or None), "s3", "eu-west-1").add_auth(reference)
    assert values["authorization"].endswith("Signature=" + reference.headers["Authorization"])
    day = values["x-amz-date"][:8]
    assert f"Credential=AKIDEXAMPLE/{day}/eu-west-1/s3/aws4_request,SignedHeaders=host;" in values["authorization"]


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "region"])
def test_ambient_without_credentials_is_not_sent(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv(missing, raising=False)
    scope = {"region": "eu-west-1"} if missing != "region" else {}
    found = send(1, request(ambient=scope))
    assert found["failure"] == "not_sent"
    assert missing in found["detail"]


FOUND = json.dumps({"AccessKeyId": "AKIDPLACE", "SecretAccessKey": "s", "Token": "tok"}).encode()


def saying(*bodies: bytes, status: bytes = b"200 OK") -> Callable[[Server, socket.socket], None]:
    """A server that gives these bodies in turn, over all its connections."""
    left = list(bodies)

    def script(server: Server, sock: socket.socket) -> None:
        server.whole(sock)
        body = left.pop(0)
        sock.sendall(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))

    return script


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)


def ambient(port: int, count: int = 1) -> list[dict[str, Any]]:
    rows = [{**request(), "id": str(number), "ambient": {"region": "eu-west-1"}} for number in range(count)]
    batch = {"version": 1, "requests": rows, "connect_to": [f"*:80:127.0.0.1:{port}"]}
    found: list[dict[str, Any]] = agent.handle(batch, {"hosts": ["*"], "connect_to": True, "loopback": True})["answers"]
    return found


@pytest.mark.usefixtures("bare")
def test_an_instances_credentials_come_by_imdsv2_once_for_a_batch(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata, server = serve(saying(b"imds-token", b"the-role\n", FOUND)), serve(replying(OK))
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{metadata.port}/")
    assert {row["status"] for row in ambient(server.port, count=5)} == {200}
    first, second, third = (head.decode() for head in metadata.heads)
    assert first.startswith("PUT /latest/api/token HTTP/1.1")
    assert "X-aws-ec2-metadata-token-ttl-seconds: 60" in first
    assert second.startswith("GET /latest/meta-data/iam/security-credentials/ HTTP/1.1")
    assert third.startswith("GET /latest/meta-data/iam/security-credentials/the-role HTTP/1.1")
    assert "X-aws-ec2-metadata-token: imds-token" in third
    for head in server.heads:
        assert b"Credential=AKIDPLACE/" in head
        assert b"X-Amz-Security-Token: tok" in head


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("token", ["", "from-a-file", "from-the-environment"])
def test_a_containers_credentials(
    token: str, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    credentials, server = serve(saying(FOUND)), serve(replying(OK))
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{credentials.port}/creds?id=1")
    if token == "from-a-file":
        (tmp_path / "token").write_text(f"{token}\n", encoding="utf-8")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    elif token:
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", token)
    assert ambient(server.port)[0]["status"] == 200
    head = credentials.heads[0].decode()
    assert head.startswith("GET /creds?id=1 HTTP/1.1")
    assert ("Authorization: " + token in head) is bool(token)


@pytest.mark.usefixtures("bare")
def test_a_task_of_ecs_asks_its_own_address(monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Server]) -> None:
    asked: list[str] = []

    def metadata(method: str, url: str, headers: dict[str, str]) -> str:
        asked.append(url)
        return FOUND.decode()

    monkeypatch.setattr(agent, "_metadata", metadata)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1")
    assert ambient(serve(replying(OK)).port)[0]["status"] == 200
    assert asked == ["http://169.254.170.2/v2/credentials/1"]


@pytest.mark.usefixtures("bare")
def test_credentials_that_are_not_given_are_told_once_without_their_text(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = serve(saying(b"secret", status=b"403 Forbidden"))
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{metadata.port}")
    for row in ambient(1, count=3):
        assert (row["failure"], row["detail"]) == (
            "not_sent",
            "this place gives no credentials of its own (ValueError)",
        )
    assert metadata.connections == 1
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://elsewhere.example/creds")
    assert ambient(1)[0]["detail"].endswith("(ValueError)")
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert ambient(1)[0]["detail"] == "no ambient credentials or region: 'AWS_ACCESS_KEY_ID' is missing"


# --- entry points


def test_ping_says_who_is_there() -> None:
    found = agent.handler({"ping": True}, None)
    assert found == {"version": 1, "agent": agent.AGENT, "python": sys.version.split()[0]}
    assert len(agent.AGENT) == 12


def test_the_function_takes_its_configuration_from_the_environment(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(replying(OK))
    monkeypatch.delenv("S3VPCE_AGENT", raising=False)
    assert agent.handler(batch(server.port), None)["answers"][0]["failure"] == "forbidden_host"
    monkeypatch.setenv("S3VPCE_AGENT", json.dumps(OPEN))
    assert agent.handler(batch(server.port), None)["answers"][0]["status"] == 200


def test_the_function_answers_before_its_time_is_over(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3VPCE_AGENT", json.dumps(OPEN))
    server = serve(lambda server, sock: time.sleep(1))
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 1200)
    (found,) = agent.handler(batch(server.port), context)["answers"]
    assert found["failure"] == "read_timeout"
    assert found["timings"]["total"] < 0.8


@pytest.mark.parametrize("config", [{**OPEN}, None])
def test_main_reads_stdin_and_writes_stdout(
    serve: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    config: dict[str, Any] | None,
) -> None:
    server = serve(replying(OK))
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({"config": config, "batch": batch(server.port)})))
    agent.main()
    (found,) = json.loads(capsys.readouterr().out)["answers"]
    assert found["failure"] == (None if config else "forbidden_host")


def test_main_answers_ping(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"ping": true}'))
    runpy.run_path(agent.__file__, run_name="__main__")
    assert json.loads(capsys.readouterr().out)["agent"] == agent.AGENT


def test_without_a_file_there_is_no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "__file__", "/none/agent.py")
    assert agent._digest() == ""


def test_nothing_is_printed(serve: Callable[..., Server], capfd: pytest.CaptureFixture[str]) -> None:
    send(serve(replying(OK)).port)
    send(1, request(url="nonsense"))
    assert capfd.readouterr() == ("", "")


# --- the file itself

SOURCE = Path(agent.__file__)


def interpreters() -> list[str]:
    """This Python, and a 3.8, the oldest the agent runs on, where the machine has one."""
    named = [shutil.which("python3.8"), *map(str, Path.home().glob(".pyenv/versions/3.8*/bin/python"))]
    found = [name for name in named if name and not subprocess.call([name, "-c", "import ssl"])]
    return [sys.executable, *found[-1:]]


@pytest.mark.parametrize("python", interpreters(), ids=["this", "oldest"][: len(interpreters())])
def test_it_runs_as_a_program(serve: Callable[..., Server], python: str) -> None:
    server = serve(replying(OK))
    done = subprocess.run(
        [python, "-I", str(SOURCE)],
        input=json.dumps({"config": OPEN, "batch": batch(server.port)}),
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    answer = json.loads(done.stdout)
    assert (answer["answers"][0]["status"], answer["agent"], done.stderr) == (200, agent.AGENT, "")


def test_it_is_python_3_8() -> None:
    assert ast.parse(SOURCE.read_text(), feature_version=(3, 8)).body


def test_it_imports_the_standard_library_only() -> None:
    tree = ast.parse(SOURCE.read_text())
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in found} <= sys.stdlib_module_names


def test_it_is_small() -> None:
    assert len(zlib.compress(SOURCE.read_bytes(), 9)) < 12 * 1024


def test_it_imports_quickly() -> None:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); t = time.process_time(); import agent;"
        "print(time.process_time() - t)"
    )
    took = [
        float(
            subprocess.run(
                [sys.executable, "-I", "-c", code, str(SOURCE.parent)], capture_output=True, check=True
            ).stdout
        )
        for _ in range(5)
    ]
    assert min(took) < 0.06
