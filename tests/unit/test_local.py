from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.model import FailureKind, SignedRequest
from pytest_s3vpce.vantage.base import AgentConfig
from pytest_s3vpce.vantage.local import LocalVantage

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "b.s3.eu-west-1.amazonaws.com"
REQUEST = SignedRequest(id="cell", method="GET", url=f"http://{HOST}/key?x=y", headers=(("Host", HOST), ("X-A", "b")))


class Echo(BaseHTTPRequestHandler):
    """Answers with the request line and one header."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        content = f"{self.requestline} {self.headers['X-A']}".encode()
        head = f"HTTP/1.1 200 OK\r\nX-Amz-Request-Id: R1\r\nContent-Length: {len(content)}\r\n\r\n"
        self.wfile.write(head.encode() + content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_requests_leave_from_this_process(port: int) -> None:
    config = AgentConfig(connect_to=True, loopback=True)
    vantage = LocalVantage("internet", config=config, connect_to=[f"*:80:127.0.0.1:{port}"])
    first, second = vantage.send([REQUEST, REQUEST])
    assert (first.id, first.status, first.body) == ("cell", 200, b"GET /key?x=y HTTP/1.1 b")
    assert first.request_id == "R1"
    assert second.peer == f"127.0.0.1:{port}"


def test_by_default_this_machine_itself_is_out_of_bounds(port: int) -> None:
    config = AgentConfig(hosts=("127.0.0.1",))
    request = SignedRequest(id="a", method="GET", url=f"http://127.0.0.1:{port}/", headers=())
    (found,) = LocalVantage("internet", config=config).send([request])
    assert found.failure is FailureKind.FORBIDDEN_HOST


def test_proxies_of_the_environment_are_not_used(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    config = AgentConfig(connect_to=True, loopback=True)
    (found,) = LocalVantage("internet", config=config, connect_to=[f"*:80:127.0.0.1:{port}"]).send([REQUEST])
    assert found.status == 200


def test_a_configured_proxy_is_used(port: int) -> None:
    (found,) = LocalVantage("internet", config=AgentConfig(proxy=f"http://127.0.0.1:{port}")).send([REQUEST])
    assert found.body == f"GET http://{HOST}/key?x=y HTTP/1.1 b".encode()
    assert found.proxy == f"127.0.0.1:{port}"


def test_the_bundle_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/none.pem")
    config = AgentConfig(connect_to=True, loopback=True)
    vantage = LocalVantage("internet", config=config, connect_to=[f"*:443:127.0.0.1:{port}"])
    (found,) = vantage.send([SignedRequest(id="a", method="GET", url=f"https://{HOST}/", headers=())])
    assert (found.failure, found.detail) == (FailureKind.NOT_SENT, "the CA bundle `/none.pem` can't be used")


def test_a_wrong_proxy_is_one_clear_error() -> None:
    vantage = LocalVantage("internet", config=AgentConfig(proxy="https://me:hunter2@p.example"))
    with pytest.raises(VantageError, match="vantage point `internet`: the proxy must be an http:// address") as caught:
        vantage.send([REQUEST])
    assert "hunter2" not in str(caught.value)
