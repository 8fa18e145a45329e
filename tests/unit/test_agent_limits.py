"""Attacks on the deployed agent: each limit that docs/security.md names, by hostile batches and hostile servers."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.vantage import agent
from tests.unit.test_agent import HOST, OK, OPEN, Server, batch, body, replying, request, serve

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["serve"]
ROUTED = {"hosts": ["*.amazonaws.com"], "connect_to": True}
"""Deployed with the right to route, as nothing outside a lab is, and not to loopback."""


def asked(given: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    (found,) = agent.handle(given, config)["answers"]
    answer: dict[str, Any] = found
    return answer


# --- hosts outside the list


@pytest.mark.parametrize(
    "host",
    [
        "amazonaws.com",
        "xamazonaws.com",
        "s3.amazonaws.com.evil.example",
        "evil.example",
        "52.218.1.1",
        "2130706433",
        "0x7f000001",
        "[::ffff:127.0.0.1]",
        "instance-data.ec2.internal",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https", "tcp", "dns"])
def test_no_other_hosts(host: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[Any] = []

    def getaddrinfo(*given: Any) -> list[Any]:
        looked_up.append(given)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    found = asked({"version": 1, "requests": [request(url=f"{scheme}://{host}/")]}, {})
    assert (found["failure"], found["dns"], looked_up) == ("forbidden_host", [], [])


def test_no_host_by_its_user_part() -> None:
    """`http://s3.amazonaws.com@evil.example/` is a request to evil.example."""
    found = asked({"version": 1, "requests": [request(url="http://s3.amazonaws.com@evil.example/")]}, {})
    assert found["failure"] == "not_sent"


@pytest.mark.parametrize("name", ["config", "hosts", "loopback", "proxy", "ca_bundle", "S3VPCE_AGENT"])
def test_a_batch_does_not_widen_what_was_deployed(name: str) -> None:
    widened = {"hosts": ["*"], "loopback": True, "connect_to": True}
    given = {"version": 1, "requests": [request(url="http://evil.example/")], name: widened}
    assert asked(given, {})["failure"] == "forbidden_host"
    given["requests"] = [request(url="http://evil.example/", **{name: widened})]
    assert asked(given, {})["failure"] == "forbidden_host"


def test_an_event_does_not_widen_what_was_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3VPCE_AGENT", json.dumps({"hosts": ["*.amazonaws.com"]}))
    event = {"version": 1, "requests": [request(url="http://evil.example/")], "config": {"hosts": ["*"]}}
    (found,) = agent.handler(event, None)["answers"]
    assert found["failure"] == "forbidden_host"


# --- link-local and loopback


@pytest.mark.parametrize(
    "route",
    [
        "*:80:127.0.0.1:{port}",
        "*:80:127.1:{port}",
        "*:80:2130706433:{port}",
        "*:80:localhost:{port}",
        "*:80:[::1]:{port}",
        "*:80:[::ffff:127.0.0.1]:{port}",
        "*:80:0.0.0.0:{port}",
        "*:80:169.254.169.254:80",
        "*:80:169.254.170.2:80",
        "*:80:[fe80::1]:80",
        "*:80:[fd00:ec2::254]:80",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "tcp"])
def test_no_route_inwards(serve: Callable[..., Server], route: str, scheme: str) -> None:
    server = serve(replying(OK))
    given = batch(server.port, request(url=f"{scheme}://{HOST}:80/"))
    given["connect_to"] = [route.format(port=server.port)]
    found = asked(given, ROUTED)
    assert found["failure"] in ("forbidden_host", "dns")
    assert (server.connections, found["peer"]) == (0, None)


@pytest.mark.parametrize("right", [None, False, "true", 1, ["*"]])
@pytest.mark.parametrize("route", ["*:80:127.0.0.1:{port}", ":80:127.0.0.1:{port}", "*::127.0.0.1:{port}"])
@pytest.mark.parametrize("scheme", ["http", "tcp", "dns"])
def test_no_batch_routes_by_itself(serve: Callable[..., Server], route: str, right: object, scheme: str) -> None:
    server = serve(replying(OK))
    given = batch(server.port, request(url=f"{scheme}://{HOST}:80/"))
    given["connect_to"] = [route.format(port=server.port)]
    found = asked(given, {**ROUTED, "connect_to": right, "loopback": True})
    assert (found["failure"], found["dns"], server.connections) == ("forbidden_host", [], 0)


def test_a_name_that_changes_its_addresses_is_looked_up_once(
    serve: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was looked at is what is connected to, for the whole batch."""
    server = serve(replying(OK))
    inward = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))
    public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))
    answers = iter([[public], [inward], [inward]])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: next(answers))
    given = {"version": 1, "requests": [request(), request(id="1")], "connect_timeout": 0.2, "concurrency": 1}
    found = agent.handle(given, {})["answers"]
    assert [answer["dns"] for answer in found] == [["192.0.2.1"], ["192.0.2.1"]]
    assert server.connections == 0


# --- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_answers(serve: Callable[..., Server], status: int) -> None:
    elsewhere = serve(replying(OK))
    head = f"HTTP/1.1 {status} Moved\r\nLocation: http://127.0.0.1:{elsewhere.port}/\r\nContent-Length: 0\r\n\r\n"
    server = serve(replying(head.encode()))
    found = asked(batch(server.port, request(headers=[["Authorization", "secret"]])), OPEN)
    assert (found["status"], server.connections, elsewhere.connections) == (status, 1, 0)


# --- oversized answers


def endless(head: bytes, piece: bytes) -> Callable[[Server, socket.socket], None]:
    def script(server: Server, sock: socket.socket) -> None:
        server.whole(sock)
        sock.sendall(head)
        while True:
            sock.sendall(piece)

    return script


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n", b"z" * 65536),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"z" * 65536),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"z" * 65536 + b"\r\n"),
    ],
    ids=["length", "to its end", "chunks"],
)
def test_an_endless_answer_is_cut(serve: Callable[..., Server], head: bytes, piece: bytes) -> None:
    server = serve(endless(head, piece))
    found = asked(batch(server.port, request(max_body=100_000)), OPEN)
    assert (len(body(found)), found["truncated"], found["failure"]) == (100_000, True, None)


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 100 Continue\r\nX: ", b""])
def test_an_endless_head_is_no_answer(serve: Callable[..., Server], start: bytes) -> None:
    found = asked(batch(serve(endless(start, b"z" * 65536)).port), OPEN)
    assert found["failure"] == "protocol"


# --- injected headers


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0", "\r\n "])
@pytest.mark.parametrize(
    "given",
    [
        lambda bad: {"headers": [["X-A", f"a{bad}X-B: b"]]},
        lambda bad: {"headers": [[f"X-A{bad}X-B", "b"]]},
        lambda bad: {"headers": [["Host", f"{HOST}{bad}X-B: b"]]},
        lambda bad: {"method": f"GET{bad}X"},
        lambda bad: {"url": f"http://{HOST}/a{bad}X-B: b"},
        lambda bad: {"url": f"http://{HOST}/?a{bad}X-B: b"},
        lambda bad: {"url": f"http://{HOST}{bad}.evil.example/"},
    ],
    ids=["value", "name", "host", "method", "path", "query", "authority"],
)
def test_nothing_is_injected(
    serve: Callable[..., Server],
    given: Callable[[str], dict[str, Any]],
    end: str,
) -> None:
    server = serve(replying(OK))
    found = asked(batch(server.port, request(**given(end))), OPEN)
    assert (found["failure"], server.heads) == ("not_sent", [])


def test_a_request_is_one_request(serve: Callable[..., Server]) -> None:
    """A body that looks like a second request is counted, and is read as a body."""
    server = serve(replying(OK))
    found = asked(batch(server.port, request(method="PUT", body="R0VUIC8gSFRUUC8xLjENCg0K")), OPEN)
    assert found["status"] == 200
    assert b"content-length: 18" in server.heads[0].lower()
