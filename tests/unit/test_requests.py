"""requests over vantage points: redirects, cookies, bodies, failures, and what can't cross."""

from __future__ import annotations

import gzip
import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import requests
from urllib3 import Timeout

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.model import Answer, FailureKind, SignedRequest
from pytest_s3vpce.vantage.base import AgentConfig
from pytest_s3vpce.vantage.local import LocalVantage
from pytest_s3vpce.vantage.relay import Relay
from pytest_s3vpce.vantage.requests_ import session
from pytest_s3vpce.vantage.stub import StubVantage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.matrix import Call
    from pytest_s3vpce.vantage.base import Vantage

HOST = "api.internal.example.com"


class Site(BaseHTTPRequestHandler):
    """A small site."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/old":
            self._answer(302, b"", [("Location", "/new"), ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Path=/")])
        elif self.path == "/loop":
            self._answer(302, b"", [("Location", "/loop")])
        elif self.path == "/away":
            self._answer(302, b"", [("Location", "http://elsewhere.example/")])
        elif self.path == "/packed":
            self._answer(200, gzip.compress(b"unpacked"), [("Content-Encoding", "gzip")])
        elif self.path == "/error":
            self._answer(500, b"broken", [])
        else:
            self._answer(200, f"{self.path} {self.headers['Cookie']}".encode(), [("X-Twice", "a"), ("X-Twice", "b")])

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "9")
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, body + str(self.headers["Transfer-Encoding"]).encode(), [])

    def _answer(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in [("Content-Length", str(len(body))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def site() -> Iterator[LocalVantage]:
    """A vantage point that reaches the site under its name, and no other."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield LocalVantage(
            "inside",
            config=AgentConfig(hosts=("*.internal.example.com",), connect_to=True, loopback=True),
            connect_to=[f"*:80:127.0.0.1:{server.server_address[1]}"],
        )
        server.shutdown()


def made(vantage: Vantage, calls: list[Call] | None = None, *, user_agent: str = "") -> requests.Session:
    kept: list[Call] = [] if calls is None else calls
    relay = Relay(vantage, client="requests", principal=None, record=kept.append)
    return session(relay=relay, user_agent=user_agent)


def stub(seen: list[SignedRequest] | None = None, **answer: Any) -> StubVantage:
    def give(request: SignedRequest) -> Answer:
        if seen is not None:
            seen.append(request)
        return Answer(id=request.id, **(answer or {"status": 200}))

    return StubVantage("inside", give)


# --- through the agent


def test_pages_come_as_from_requests(site: LocalVantage) -> None:
    calls: list[Call] = []
    found = made(site, calls).get(f"http://{HOST}/a?token=s3cr3t#part", params={"x": "y"})
    assert (found.status_code, found.reason, found.ok) == (200, "OK", True)
    assert found.text == "/a?token=s3cr3t&x=y None"
    assert found.headers["x-twice"] == "a, b"
    assert found.url.endswith("/a?token=s3cr3t&x=y#part")
    (call,) = calls
    assert (call.client, call.method, call.host, call.path, call.vantage, call.principal, call.status) == (
        "requests", "GET", HOST, "/a", "inside", None, 200,
    )  # fmt: skip
    assert "s3cr3t" not in repr(calls)


def test_redirects_are_followed_with_their_cookies(site: LocalVantage) -> None:
    calls: list[Call] = []
    client = made(site, calls)
    found = client.get(f"http://{HOST}/old")
    assert found.text == "/new a=1; b=2"
    assert [row.status_code for row in found.history] == [302]
    assert [call.path for call in calls] == ["/old", "/new"]
    assert client.cookies.get_dict() == {"a": "1", "b": "2"}
    assert made(site).get(f"http://{HOST}/old", allow_redirects=False).status_code == 302
    with pytest.raises(requests.TooManyRedirects):
        client.get(f"http://{HOST}/loop")


def test_a_redirect_leads_nowhere_that_is_not_allowed(site: LocalVantage) -> None:
    with pytest.raises(VantageError, match=r"GET http://elsewhere\.example/ is not sent: .*`allow_hosts`"):
        made(site).get(f"http://{HOST}/away")


def test_bodies_go_and_come_in_every_form(site: LocalVantage) -> None:
    client = made(site)
    assert client.post(f"http://{HOST}/", json={"a": 1}).content == b'{"a": 1}None'
    assert client.post(f"http://{HOST}/", data={"a": "b c"}).content == b"a=b+cNone"
    assert client.post(f"http://{HOST}/", data="text").content == b"textNone"
    assert client.post(f"http://{HOST}/", data=io.BytesIO(b"file")).content == b"fileNone"
    assert client.post(f"http://{HOST}/", data=iter([b"one", b"", b"two"])).content == b"onetwoNone"
    assert b"filename" in client.post(f"http://{HOST}/", files={"f": b"x"}).content
    assert client.get(f"http://{HOST}/packed").text == "unpacked"
    with client.get(f"http://{HOST}/packed", stream=True) as found:
        assert b"".join(found.iter_content(3)) == b"unpacked"
    assert client.head(f"http://{HOST}/").headers["content-length"] == "9"
    with pytest.raises(requests.HTTPError, match="500 Server Error"):
        client.get(f"http://{HOST}/error").raise_for_status()


# --- failures


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FailureKind.DNS, requests.ConnectionError),
        (FailureKind.REFUSED, requests.ConnectionError),
        (FailureKind.CONNECT_TIMEOUT, requests.ConnectTimeout),
        (FailureKind.TLS_HANDSHAKE, requests.exceptions.SSLError),
        (FailureKind.TLS_CERTIFICATE, requests.exceptions.SSLError),
        (FailureKind.RESET, requests.ConnectionError),
        (FailureKind.READ_TIMEOUT, requests.ReadTimeout),
        (FailureKind.PROTOCOL, requests.ConnectionError),
    ],
)
def test_failures_of_the_network_are_requests_own(kind: FailureKind, error: type[requests.RequestException]) -> None:
    with pytest.raises(error, match=r"GET https://a\.example/x: why") as caught:
        made(stub(failure=kind, detail="why")).get("https://a.example/x?token=s3cr3t")
    assert type(caught.value) is error
    assert caught.value.request is not None
    assert "s3cr3t" not in str(caught.value)


def test_every_kind_of_failure_ends_in_one_exception() -> None:
    for kind in FailureKind:
        with pytest.raises((requests.RequestException, VantageError)):
            made(stub(failure=kind)).get("https://a.example/")


def test_a_proxy_out_of_reach_is_a_proxys_error() -> None:
    with pytest.raises(requests.exceptions.ProxyError):
        made(stub(failure=FailureKind.NOT_SENT, detail="proxy: refused")).get("https://a.example/")


def test_an_answer_past_the_limit_is_one_error() -> None:
    vantage = stub(status=200, truncated=True)
    vantage.carries = 1_500_000
    with pytest.raises(VantageError, match=r"the answer to GET https://a\.example/ is larger than 1\.43051 MiB, all"):
        made(vantage).get("https://a.example/")
    vantage.carries = 100
    with pytest.raises(VantageError, match="is larger than 100 bytes"):
        made(vantage).post("https://a.example/", data=iter([b"x" * 2000]))


# --- options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cert", "client.pem"),
        ("proxies", {"https": "http://p.example:1"}),
        ("verify", False),
        ("verify", "ca.pem"),
    ],
)
def test_options_that_cannot_cross_are_refused_by_name(name: str, value: Any) -> None:
    seen: list[SignedRequest] = []
    with pytest.raises(VantageError, match=f"vantage point `inside`: `{name}` can't cross: .*; leave `{name}` out"):
        made(stub(seen)).get("https://a.example/", **{name: value})
    client = made(stub(seen))
    setattr(client, name, value)
    with pytest.raises(VantageError, match=f"`{name}` can't cross"):
        client.get("https://a.example/")
    assert not seen


def test_this_machines_environment_is_not_the_vantage_points(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine a.example login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTPS_PROXY", "http://p.example:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/ca.pem")
    seen: list[SignedRequest] = []
    made(stub(seen)).get("https://a.example/")
    assert "authorization" not in {name.lower() for name, _ in seen[0].headers}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, (None, 60.0)),
        (2, (2, 2)),
        ((1, 5), (1, 5)),
        ((1, None), (1, 60.0)),
        (Timeout(connect=1, read=7), (1, 7)),
        (Timeout(connect=None, read=None), (None, 60.0)),
    ],
)
def test_time_limits_cross(given: Any, expected: tuple[float | None, float | None]) -> None:
    seen: list[SignedRequest] = []
    made(stub(seen)).get("https://a.example/", timeout=given)
    assert (seen[0].connect_timeout, seen[0].read_timeout) == expected


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ((1, 2, 3), "a number, or a \\(connect, read\\) pair"),
        ("soon", "Timeout value connect was soon, but it must be an int, float or None"),
        (0, "cannot be set to a value less than or equal to 0"),
        ((3, -1), "Attempted to set read timeout to -1"),
    ],
)
def test_a_time_limit_that_is_none(odd: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made(stub()).get("https://a.example/", timeout=odd)


def test_who_asks_may_stand_in_the_address_as_in_requests() -> None:
    seen: list[SignedRequest] = []
    made(stub(seen)).get("https://ann:secret@a.example:8443/k?a=b#part")
    assert seen[0].url == "https://a.example:8443/k?a=b"
    assert dict(seen[0].headers)["Authorization"] == "Basic YW5uOnNlY3JldA=="


def test_other_schemes_have_no_adapter() -> None:
    with pytest.raises(requests.exceptions.InvalidSchema):
        made(stub()).get("file:///etc/passwd")


def test_requests_say_whose_they_are() -> None:
    seen: list[SignedRequest] = []
    made(stub(seen), user_agent="s3vpce/1 run/abc").get("https://a.example/")
    made(stub(seen)).get("https://a.example/", headers={"X-A": "b", "X-Bytes": b"c"})
    agents = [dict(row.headers)["User-Agent"] for row in seen]
    assert agents[0] == f"{agents[1].replace('/', '/', 1)} s3vpce/1 run/abc"
    assert dict(seen[1].headers)["X-Bytes"] == "c"
