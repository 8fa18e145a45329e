"""Messages are read strictly and written in full."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.lab.origin import Internet
from pytest_s3vpce.lab.wire import BadMessage, Closed, HttpRequest, HttpResponse, Limits, Reader, encode, parse_head

if TYPE_CHECKING:
    from collections.abc import Iterator

DATE = "Wed, 25 Nov 2026 17:00:00 GMT"
SMALL = Limits(header_bytes=200, body_bytes=20, idle_seconds=0.1, request_seconds=0.2)


def head(*lines: str) -> bytes:
    return "\r\n".join(lines).encode("latin-1")


def text_of(response: HttpResponse, *, method: str = "GET", close: bool = False) -> tuple[list[str], bytes]:
    before, _, body = encode(response, method=method, date=DATE, close=close).partition(b"\r\n\r\n")
    return before.decode("latin-1").split("\r\n"), body


def test_a_request_is_read() -> None:
    result = parse_head(head("GET /a%2Fb?x=y HTTP/1.1", "Host: h:80", "X-Meta:  grüße\t", "Connection: Close"))
    assert (result.method, result.target, result.authority) == ("GET", "/a%2Fb?x=y", "h:80")
    assert result.headers == (("Host", "h:80"), ("X-Meta", "grüße"), ("Connection", "Close"))
    assert (result.keep_alive, result.length, result.expects_continue) == (False, 0, False)


@pytest.mark.parametrize(
    ("target", "path", "authority"),
    [
        ("http://b.s3.amazonaws.com/k?x", "/k?x", "b.s3.amazonaws.com"),
        ("HTTP://h:80", "/", "h:80"),
        ("http://h?acl", "/?acl", "h"),
        ("http://h/a#b", "/a#b", "h"),
        ("http://[::1]:80/", "/", "[::1]:80"),
    ],
)
def test_a_proxys_absolute_form_gives_host_and_path(target: str, path: str, authority: str) -> None:
    result = parse_head(head(f"GET {target} HTTP/1.1", "Host: other"))
    assert (result.target, result.authority, result.headers) == (path, authority, (("Host", authority),))


def test_connect_names_its_authority() -> None:
    result = parse_head(head("CONNECT h:443 HTTP/1.1", "Host: h:443"))
    assert (result.method, result.authority) == ("CONNECT", "h:443")


def test_version_1_0_closes_and_needs_no_host() -> None:
    assert not parse_head(head("GET / HTTP/1.0")).keep_alive
    assert parse_head(head("GET / HTTP/1.0", "Connection: Keep-Alive")).keep_alive


def test_expectations_and_chunks_are_seen() -> None:
    result = parse_head(head("PUT / HTTP/1.1", "Host: h", "Expect: 100-Continue", "Transfer-Encoding: Chunked"))
    assert (result.length, result.expects_continue) == (None, True)
    assert not parse_head(head("PUT / HTTP/1.1", "Host: h", "Expect: a miracle")).expects_continue


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("GET /",), 400),
        (("GET  / HTTP/1.1",), 400),
        (("G(T / HTTP/1.1",), 400),
        (("GET /\xff HTTP/1.1", "Host: h"), 400),
        (("GET key HTTP/1.1", "Host: h"), 400),
        (("GET https://h/ HTTP/1.1", "Host: h"), 400),
        (("GET http:///k HTTP/1.1", "Host: h"), 400),
        (("GET http://u@h/k HTTP/1.1", "Host: h"), 400),
        (("GET * HTTP/1.1", "Host: h"), 400),
        (("CONNECT /x HTTP/1.1", "Host: h"), 400),
        (("GET / HTTP/1.1",), 400),
        (("GET / HTTP/1.1", "Host: a", "Host: a"), 400),
        (("GET / HTTP/1.1", "Host: a/b"), 400),
        (("GET / HTTP/1.1", "Host: h", "X: a", " folded"), 400),
        (("GET / HTTP/1.1", "Host: h", "X : a"), 400),
        (("GET / HTTP/1.1", "Host: h", "X"), 400),
        (("GET / HTTP/1.1", "Host: h", "X: a\nb"), 400),
        (("PUT / HTTP/1.1", "Host: h", "Content-Length: 1", "Content-Length: 2"), 400),
        (("PUT / HTTP/1.1", "Host: h", "Content-Length: -1"), 400),
        (("PUT / HTTP/1.1", "Host: h", "Content-Length: 1", "Transfer-Encoding: chunked"), 400),
        (("PUT / HTTP/1.1", "Host: h", "Transfer-Encoding: gzip, chunked"), 501),
        (("GET / HTTP/2.0", "Host: h"), 505),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(lines: tuple[str, ...], status: int) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_head(head(*lines))
    assert caught.value.status == status


@pytest.fixture(name="pair")
def _pair() -> Iterator[tuple[socket.socket, Reader]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, Reader(far, limits=SMALL)


@pytest.mark.parametrize(
    "raw", [b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"5 \r\nabcde\r\n000\r\nx-amz-checksum-crc32: AAA=\r\n\r\n"]
)
def test_chunks_are_joined(pair: tuple[socket.socket, Reader], raw: bytes) -> None:
    client, reader = pair
    client.sendall(raw)
    reader.wait()
    assert (reader.body(None), reader.pending) == (b"abcde", 0)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"x\r\n", 400),
        (b"3\r\nabcd\r\n", 400),
        (b"15\r\n", 413),
        (b"1" * 300, 400),
        (b"0\r\n" + b"a: 1234567890\r\n" * 20 + b"\r\n", 400),
        (b"3\r\nab", 400),
    ],
    ids=["no-size", "too-long", "too-big", "endless-line", "endless-trailer", "slow"],
)
def test_bad_chunks_are_refused(pair: tuple[socket.socket, Reader], raw: bytes, status: int) -> None:
    client, reader = pair
    client.sendall(raw)
    reader.wait()
    with pytest.raises(BadMessage) as caught:
        reader.body(None)
    assert caught.value.status == status


def test_a_head_may_come_in_pieces(pair: tuple[socket.socket, Reader]) -> None:
    client, reader = pair
    client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r")
    reader.wait()
    client.sendall(b"\nbody")
    assert (reader.head(), reader.body(4)) == (b"GET / HTTP/1.1\r\nHost: h", b"body")


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_a_head_has_a_limit(pair: tuple[socket.socket, Reader], end: bytes) -> None:
    client, reader = pair
    client.sendall(b"x" * 201 + end)
    reader.wait()
    with pytest.raises(BadMessage) as caught:
        reader.head()
    assert caught.value.status == 431


def test_a_body_has_a_limit(pair: tuple[socket.socket, Reader]) -> None:
    with pytest.raises(BadMessage) as caught:
        pair[1].body(21)
    assert (caught.value.status, caught.value.code) == (413, "EntityTooLarge")


def test_a_slow_client_is_told_so(pair: tuple[socket.socket, Reader]) -> None:
    client, reader = pair
    client.sendall(b"GET /")
    reader.wait()
    with pytest.raises(BadMessage, match="not read from or written to within the timeout period") as caught:
        reader.head()
    assert (caught.value.status, caught.value.code) == (400, "RequestTimeout")


def test_the_deadline_is_for_the_whole_request() -> None:
    near, far = socket.socketpair()
    with near, far:
        reader = Reader(far, limits=Limits(request_seconds=0))
        near.sendall(b"GET /")
        reader.wait()
        with pytest.raises(BadMessage, match="timeout period"):
            reader.head()


def test_a_silent_client_ends(pair: tuple[socket.socket, Reader]) -> None:
    with pytest.raises(Closed):
        pair[1].wait()


def test_a_client_that_went_away_ends(pair: tuple[socket.socket, Reader]) -> None:
    pair[0].close()
    with pytest.raises(Closed):
        pair[1].wait()


def test_a_response_states_its_length() -> None:
    lines, body = text_of(HttpResponse(status=200, headers=(("X", "y"), ("Content-Length", "9")), body=b"abc"))
    assert lines == ["HTTP/1.1 200 OK", "X: y", f"Date: {DATE}", "Content-Length: 3"]
    assert body == b"abc"


def test_an_answer_to_head_has_no_body_but_may_state_the_objects_length() -> None:
    assert text_of(HttpResponse(status=200, headers=(("Content-Length", "9"),), body=b"abc"), method="HEAD") == (
        ["HTTP/1.1 200 OK", "Content-Length: 9", f"Date: {DATE}"],
        b"",
    )
    lines, body = text_of(HttpResponse(status=403, body=b"<Error/>"), method="HEAD")
    assert ("Content-Length: 8" in lines, body) == (True, b"")


@pytest.mark.parametrize("status", [204, 304])
def test_these_have_no_body_and_no_length(status: int) -> None:
    lines, body = text_of(HttpResponse(status=status, body=b"abc"))
    assert (len(lines), body) == (2, b"")


def test_framing_is_the_servers() -> None:
    response = HttpResponse(status=299, headers=(("Transfer-Encoding", "chunked"), ("Connection", "keep-alive")))
    assert text_of(response, close=True)[0] == [
        "HTTP/1.1 299 Unknown",
        f"Date: {DATE}",
        "Content-Length: 0",
        "Connection: close",
    ]


def test_a_line_break_in_a_header_is_no_response() -> None:
    with pytest.raises(ValueError, match="a line break in the header `X`"):
        text_of(HttpResponse(status=200, headers=(("X", "a\r\nSet-Cookie: b"),)))


def test_a_header_beyond_latin_1_goes_out_as_utf8() -> None:
    assert "€".encode() in encode(HttpResponse(status=200, headers=(("X", "€"),)), method="GET", date=DATE, close=False)


def test_a_request_shows_no_secrets() -> None:
    request = HttpRequest(
        method="GET",
        target="/key?X-Amz-Signature=secret",
        headers=(("Authorization", "secret"), ("X", "1"), ("x", "2")),
        body=b"secret",
        host="h",
        scheme="http",
        tls=None,
        origin=Internet(),
        peer="127.0.0.1:1",
    )
    assert repr(request) == "HttpRequest(GET http://h/key, 6 bytes)"
    assert (request.header("X"), request.header("missing")) == ("1,2", None)
