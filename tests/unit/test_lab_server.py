"""One port serves plain HTTP, TLS and proxy requests, keeps connections, and stays up whatever comes in."""

from __future__ import annotations

import contextlib
import http.client
import logging
import re
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import urllib3
from botocore.config import Config

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab.certificates import Certificates
from pytest_s3vpce.lab.origin import Internet, Placement, Proxied
from pytest_s3vpce.lab.server import HttpRequest, HttpResponse, Limits, Server, latency_of
from pytest_s3vpce.lab.wire import Unanswered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.lab.listener import Listener

HOST = "b.s3.eu-west-1.amazonaws.com"


class Backend:
    """Answers with what it was asked, and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.text: bytes | None = b"hello"
        """None: the request's own body."""
        self.entered = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        path = request.target.partition("?")[0]
        if path == "/fail":
            raise RuntimeError("a fault of the backend")
        if path == "/break":
            return HttpResponse(status=200, headers=(("X", "a\nb"),))
        if path == "/wait":
            self.entered.set()
            self.go_on.wait(5)
        return HttpResponse(
            status=200, headers=(("ETag", '"e"'),), body=self.text if self.text is not None else request.body
        )

    @property
    def last(self) -> HttpRequest:
        return self.requests[-1]


@pytest.fixture(scope="module", name="certificates")
def _certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("lab"))


@pytest.fixture(name="backend")
def _backend() -> Backend:
    return Backend()


@contextmanager
def serving(backend: Backend, certificates: Certificates, limits: Limits | None = None) -> Iterator[Listener]:
    server = Server(backend, certificates=certificates, limits=limits, latency=0)
    try:
        yield server.listen(Internet())
    finally:
        backend.go_on.set()
        server.close()


@pytest.fixture(name="listener")
def _listener(backend: Backend, certificates: Certificates) -> Iterator[Listener]:
    with serving(backend, certificates) as listener:
        yield listener


def trusting(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates.ca_pem))


def exchange(listener: Listener, raw: bytes, *, end: bool = False) -> bytes:
    """Send these bytes and read until the server closes."""
    with socket.create_connection((listener.host, listener.port), timeout=5) as client:
        client.sendall(raw)
        if end:
            client.shutdown(socket.SHUT_WR)
        received = bytearray()
        while chunk := client.recv(65536):
            received += chunk
        return bytes(received)


def request_bytes(line: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join((line, "Host: h", "Connection: close", *headers, "", "")).encode() + body


def test_plain_requests_keep_the_connection(listener: Listener, backend: Backend) -> None:
    client = http.client.HTTPConnection(listener.host, listener.port)
    for number in range(3):
        client.request("GET", f"/a%2Fb?n={number}", headers={"Host": HOST, "X-Meta": "v"})
        response = client.getresponse()
        assert (response.status, response.read(), response.getheader("ETag")) == (200, b"hello", '"e"')
        assert response.getheader("Content-Length") == "5"
    client.close()
    assert len({request.peer for request in backend.requests}) == 1
    assert (backend.last.method, backend.last.target, backend.last.host) == ("GET", "/a%2Fb?n=2", HOST)
    assert (backend.last.scheme, backend.last.tls, backend.last.origin) == ("http", None, Internet())
    assert backend.last.header("x-meta") == "v"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_is_detected_on_the_same_port(
    listener: Listener, backend: Backend, certificates: Certificates, version: ssl.TLSVersion
) -> None:
    context = trusting(certificates)
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection((listener.host, listener.port), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname=HOST) as client,
    ):
        for _ in range(2):
            client.sendall(b"GET /k HTTP/1.1\r\nHost: b.s3.eu-west-1.amazonaws.com\r\n\r\n")
            assert client.recv(65536).endswith(b"\r\n\r\nhello")
        assert backend.last.tls == client.version()
    assert (backend.last.scheme, len(backend.requests)) == ("https", 2)


def test_old_tls_is_refused(listener: Listener, certificates: Certificates) -> None:
    context = trusting(certificates)
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection((listener.host, listener.port), timeout=5) as raw,
        pytest.raises(OSError, match="SSL"),
    ):
        context.wrap_socket(raw, server_hostname=HOST)


def test_it_is_a_proxy_for_http_and_https(listener: Listener, backend: Backend, certificates: Certificates) -> None:
    with urllib3.ProxyManager(f"http://{listener.host}:{listener.port}", ca_certs=str(certificates.ca_pem)) as proxy:
        assert proxy.request("GET", f"http://{HOST}/plain?x").data == b"hello"
        assert (backend.last.target, backend.last.host, backend.last.scheme) == ("/plain?x", HOST, "http")
        assert proxy.request("GET", f"https://{HOST}/secure").data == b"hello"
        assert (backend.last.target, backend.last.host, backend.last.scheme) == ("/secure", HOST, "https")


def test_a_tunnel_may_carry_plain_http(listener: Listener, backend: Backend) -> None:
    with socket.create_connection((listener.host, listener.port), timeout=5) as client:
        client.sendall(b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        client.sendall(request_bytes("GET /inside HTTP/1.1"))
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert (backend.last.target, backend.last.scheme) == ("/inside", "http")


@pytest.mark.parametrize(
    "raw", [b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\nearly", b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n\x16\x03"]
)
def test_a_tunnel_must_wait_for_its_answer(listener: Listener, raw: bytes) -> None:
    assert exchange(listener, raw).startswith(b"HTTP/1.1 400 ")


def test_a_tunnel_in_a_tunnel_is_refused(listener: Listener) -> None:
    with socket.create_connection((listener.host, listener.port), timeout=5) as client:
        for expected in (b"HTTP/1.1 200 ", b"HTTP/1.1 400 "):
            client.sendall(b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n")
            assert client.recv(1000).startswith(expected)


def test_a_gate_says_where_proxied_requests_stand(backend: Backend, certificates: Certificates) -> None:
    inside = Placement(account="1", region="r", subnet_id="s", security_group_ids=(), private_ip="10.0.0.4")
    asked: list[tuple[Any, str, int]] = []

    def gate(stated: Any, host: str, port: int) -> Any:
        asked.append((stated, host, port))
        if host == "lost":
            raise Unanswered("no way there")
        return inside.at(port, destination="x") if isinstance(stated, Proxied) else stated

    server = Server(backend, certificates=certificates, latency=0, gate=gate)
    try:
        proxied = Proxied(placement=inside)
        proxy, public = server.listen(proxied), server.listen(Internet())
        exchange(proxy, b"GET http://h:81/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        exchange(proxy, request_bytes("GET / HTTP/1.1"))
        assert asked == [(proxied, "h", 81), (proxied, "h", 80)]
        assert [request.origin for request in backend.requests] == [
            inside.at(port, destination="x") for port in (81, 80)
        ]
        exchange(public, request_bytes("GET / HTTP/1.1"))  # asks nobody
        assert len(asked) == 2
        for listener in (proxy, public):
            refused = exchange(listener, b"CONNECT lost HTTP/1.1\r\nHost: lost\r\n\r\n")
            assert refused.startswith(b"HTTP/1.1 504 ")
            assert refused.endswith(b"no way there\n")
        assert asked[2:] == [(proxied, "lost", 443), (Internet(), "lost", 443)]
        with pytest.raises(ConnectionResetError):
            exchange(proxy, b"GET http://lost/ HTTP/1.1\r\nHost: lost\r\n\r\n")
    finally:
        server.close()


def test_a_proxy_without_a_gate_leads_nowhere(backend: Backend, certificates: Certificates) -> None:
    inside = Placement(account="1", region="r", subnet_id="s", security_group_ids=(), private_ip="10.0.0.4")
    server = Server(backend, certificates=certificates, latency=0)
    try:
        listener = server.listen(Proxied(placement=inside))
        assert b"this proxy leads nowhere" in exchange(listener, b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n")
    finally:
        server.close()


def test_what_the_backend_leaves_unanswered_is_reset(certificates: Certificates) -> None:
    def silent(_request: HttpRequest) -> HttpResponse:
        raise Unanswered("dropped")

    server = Server(silent, certificates=certificates, latency=0)
    try:
        listener = server.listen(Internet())
        with pytest.raises(ConnectionResetError):
            exchange(listener, request_bytes("GET / HTTP/1.1"))
        client = http.client.HTTPSConnection(listener.host, listener.port, context=trusting(certificates))
        client.request("GET", "/")
        with pytest.raises(OSError, match=r"reset|EOF|closed"):
            client.getresponse()
        client.close()
    finally:
        server.close()


def test_requests_may_come_at_once(listener: Listener, backend: Backend) -> None:
    first = b"PUT /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
    answer = exchange(listener, first + request_bytes("PUT /2 HTTP/1.1", "Content-Length: 2", body=b"de"))
    assert [(request.target, request.body) for request in backend.requests] == [("/1", b"abc"), ("/2", b"de")]
    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_chunked_bodies_are_decoded(listener: Listener, backend: Backend) -> None:
    chunks = b"4\r\nabcd\r\n3\r\nefg\r\n0\r\nx-trailer: 1\r\n\r\n"
    exchange(listener, request_bytes("PUT /k HTTP/1.1", "Transfer-Encoding: chunked", body=chunks))
    assert backend.last.body == b"abcdefg"


def test_a_client_that_expects_to_continue_is_told_to(listener: Listener, backend: Backend) -> None:
    backend.text = None
    with socket.create_connection((listener.host, listener.port), timeout=5) as client:
        client.sendall(request_bytes("PUT /k HTTP/1.1", "Expect: 100-continue", "Content-Length: 3"))
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert client.recv(1000).endswith(b"\r\n\r\nabc")


def test_boto3_uploads_arrive_whole(listener: Listener, backend: Backend, certificates: Certificates) -> None:
    backend.text = b""  # botocore takes a body that is no XML for a failure
    client = boto3.client(
        "s3",
        region_name="eu-west-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        verify=str(certificates.ca_pem),
        config=Config(proxies={"https": f"http://{listener.host}:{listener.port}"}),
    )
    client.put_object(Bucket="reports", Key="a b/ü", Body=b"content")
    client.close()
    assert (backend.last.method, backend.last.target, backend.last.tls) == ("PUT", "/a%20b/%C3%BC", "TLSv1.3")
    assert backend.last.header("x-amz-content-sha256") == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert backend.last.body.startswith(b"7\r\ncontent\r\n0\r\nx-amz-checksum-crc32:")


def test_head_has_no_body(listener: Listener) -> None:
    answer = exchange(listener, request_bytes("HEAD /k HTTP/1.1"))
    assert b"Content-Length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_version_1_0_is_answered_and_closed(listener: Listener) -> None:
    answer = exchange(listener, b"GET / HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close\r\n" in answer


@pytest.mark.parametrize("raw", [b"nonsense\r\n\r\n", b"\x00" * 100 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_malformed_request_is_answered_with_400(listener: Listener, backend: Backend, raw: bytes) -> None:
    answer = exchange(listener, raw)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"<Code>BadRequest</Code>" in answer
    assert backend.requests == []


def test_a_header_section_has_a_limit(listener: Listener) -> None:
    assert exchange(listener, request_bytes("GET / HTTP/1.1", f"X: {'x' * 70_000}")).startswith(b"HTTP/1.1 431 ")


def test_the_refusal_of_a_big_body_arrives(listener: Listener, backend: Backend) -> None:
    body = b"x" * 1_000_000
    answer = exchange(listener, request_bytes("PUT / HTTP/1.1", "Content-Length: 99999999999", body=body), end=True)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"<Code>EntityTooLarge</Code>" in answer
    assert backend.requests == []


def test_the_refusal_arrives_over_tls_too(listener: Listener, certificates: Certificates) -> None:
    with (
        socket.create_connection((listener.host, listener.port), timeout=5) as raw,
        trusting(certificates).wrap_socket(raw, server_hostname=HOST) as client,
    ):
        client.sendall(request_bytes("PUT / HTTP/1.1", "Content-Length: 99999999999", body=b"x" * 10_000))
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_fault_of_the_backend_is_an_internal_error(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = exchange(listener, request_bytes("GET /fail?X-Amz-Signature=secret HTTP/1.1", "Authorization: secret"))
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"<Code>InternalError</Code>" in answer
    assert b"Traceback" not in answer
    assert b"a fault of the backend" not in answer
    assert "a fault of the backend" in caplog.text
    assert "secret" not in caplog.text


def test_a_response_that_cannot_be_sent_is_an_internal_error(listener: Listener) -> None:
    assert exchange(listener, request_bytes("GET /break HTTP/1.1")).startswith(b"HTTP/1.1 500 ")


def test_slow_and_silent_clients_are_let_go(backend: Backend, certificates: Certificates) -> None:
    limits = Limits(idle_seconds=0.1, request_seconds=0.2)
    with serving(backend, certificates, limits) as listener:
        assert exchange(listener, b"") == b""
        assert b"<Code>RequestTimeout</Code>" in exchange(listener, b"GET / HT")
        assert b"200 OK" in exchange(listener, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")


def test_connections_are_limited(backend: Backend, certificates: Certificates) -> None:
    with (
        serving(backend, certificates, Limits(connections=1)) as listener,
        socket.create_connection((listener.host, listener.port), timeout=5) as first,
        socket.create_connection((listener.host, listener.port), timeout=5) as second,
    ):
        assert second.recv(1) == b""
        first.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert first.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_system_without_threads_costs_one_connection(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with socket.create_connection((listener.host, listener.port), timeout=5) as client:
            assert client.recv(1) == b""
    assert "can't start new thread" in caplog.text
    assert exchange(listener, request_bytes("GET / HTTP/1.1")).startswith(b"HTTP/1.1 200 ")


def test_each_listener_has_its_origin(backend: Backend, certificates: Certificates) -> None:
    origin = Placement(
        account="1" * 12, region="eu-west-1", subnet_id="subnet-1", security_group_ids=("sg-1",), private_ip="10.0.0.4"
    )
    server = Server(backend, certificates=certificates, latency=0)
    listeners = [server.listen(origin.at(port, destination="other")) for port in (80, 443)]
    for listener in listeners:
        exchange(listener, request_bytes("GET / HTTP/1.1"))
    server.close()
    assert [request.origin for request in backend.requests] == [listener.origin for listener in listeners]
    assert repr(listeners[0]).startswith(f"Listener(127.0.0.1:{listeners[0].port}, closed, Placement(")


def test_a_port_that_is_taken_is_named(listener: Listener, backend: Backend, certificates: Certificates) -> None:
    server = Server(backend, certificates=certificates)
    with pytest.raises(LabError, match=f"can't listen on port {listener.port}: Address already in use"):
        server.listen(Internet(), port=listener.port)
    server.close()


def test_stopping_cuts_connections_and_waits_for_nothing(backend: Backend, certificates: Certificates) -> None:
    server = Server(backend, certificates=certificates, latency=0)
    listener = server.listen(Internet())
    idle = socket.create_connection((listener.host, listener.port), timeout=5)
    began = time.monotonic()
    server.close()
    server.close()
    with idle, contextlib.suppress(ConnectionResetError):  # as it ends that nobody had accepted yet
        assert idle.recv(1) == b""
    assert time.monotonic() - began < 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((listener.host, listener.port), timeout=5)
    with pytest.raises(LabError, match="the lab has stopped"):
        server.listen(Internet())


def test_many_clients_are_served_at_once(listener: Listener, backend: Backend) -> None:
    waiting = socket.create_connection((listener.host, listener.port), timeout=5)
    with waiting:
        waiting.sendall(request_bytes("GET /wait HTTP/1.1"))
        assert backend.entered.wait(5)
        assert exchange(listener, request_bytes("GET / HTTP/1.1")).startswith(b"HTTP/1.1 200 ")
        backend.go_on.set()
        assert waiting.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_latency_is_added_to_every_request(backend: Backend, certificates: Certificates) -> None:
    server = Server(backend, certificates=certificates, latency=0.05)
    began = time.monotonic()
    exchange(server.listen(Internet()), request_bytes("GET / HTTP/1.1"))
    server.close()
    assert time.monotonic() - began >= 0.05


def test_latency_comes_from_the_environment(
    certificates: Certificates, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert latency_of({}) == 0
    assert latency_of({"S3VPCE_LAB_LATENCY_MS": "20"}) == 0.02
    monkeypatch.setenv("S3VPCE_LAB_LATENCY_MS", "30")
    server = Server(backend, certificates=certificates)
    assert server._latency == 0.03
    server.close()


@pytest.mark.parametrize("text", ["fast", "-1", "60001", "nan"])
def test_a_latency_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(LabError, match=re.escape(f"S3VPCE_LAB_LATENCY_MS is `{text}`; give milliseconds")):
        latency_of({"S3VPCE_LAB_LATENCY_MS": text})


def test_a_trivial_request_is_quick(listener: Listener) -> None:
    client = http.client.HTTPConnection(listener.host, listener.port)
    began = time.monotonic()
    for _ in range(500):
        client.request("GET", "/")
        client.getresponse().read()
    client.close()
    assert 500 / (time.monotonic() - began) > 500  # 7000 on a quiet machine; a lost TCP_NODELAY gives 25
