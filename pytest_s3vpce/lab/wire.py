"""HTTP/1.1 messages on a socket: requests in, with their limits, and responses out."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from pytest_s3vpce.lab.origin import Origin

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(r"[\x21-\x7e]+")
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?")
_CONTENT_LENGTH = re.compile(r"[0-9]{1,18}")
_REASONS = {int(status): status.phrase for status in HTTPStatus}
_USUAL_BYTES = 200
_BODYLESS = frozenset({204, 304})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection may ask of the server."""

    header_bytes: int = 64 * 1024
    body_bytes: int = 64 * 1024 * 1024
    idle_seconds: float = 60.0
    """Between two requests, before the first byte of the next one."""
    request_seconds: float = 30.0
    """From a request's first byte to its last; also for the TLS handshake and for each answer."""
    connections: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request as it was sent. `target` is raw: path and query in origin form, nothing decoded."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    """As sent, decoded as Latin-1: encode as Latin-1 to have the bytes back."""
    body: bytes
    host: str
    """The authority: of the absolute form where that was sent, else of the Host header."""
    scheme: Literal["http", "https"]
    tls: str | None
    """As Python's ssl names it: `TLSv1.3`; None on plain HTTP."""
    origin: Origin
    peer: str
    via: str | None = None
    """The service of AWS's that makes this request for its caller, with the caller's keys."""
    named: Mapping[str, str] = field(init=False, repr=False, compare=False)
    """The headers by their names in small letters; the values of one that came several times are joined by a comma."""

    def __post_init__(self) -> None:
        named: dict[str, str] = {}
        for name, value in self.headers:
            lowered = name.lower()
            named[lowered] = f"{named[lowered]},{value}" if lowered in named else value
        object.__setattr__(self, "named", named)

    def header(self, name: str) -> str | None:
        """The header's value (several are joined by a comma); the name's case does not matter."""
        return self.named.get(name.lower())

    def __repr__(self) -> str:
        path = self.target.partition("?")[0]
        return f"HttpRequest({self.method} {self.scheme}://{self.host}{path}, {len(self.body)} bytes)"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """One response; the server adds Date, Content-Length and Connection."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A request line with its headers."""

    method: str
    target: str
    authority: str
    headers: tuple[tuple[str, str], ...]
    keep_alive: bool
    length: int | None
    """None: the body comes in chunks."""
    expects_continue: bool


class BadMessage(Exception):  # noqa: N818 - it names what was received
    """The bytes received are no request that can be served; `status` and `code` are the answer."""

    def __init__(self, status: int, *, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Closed(Exception):  # noqa: N818 - an end, not an error
    """The client went away, or stayed silent between two requests."""


class Unanswered(Exception):  # noqa: N818 - it says what the client meets
    """The network lets nothing through: the client gets no answer, and its connection ends."""


class Reader:
    """Buffered bytes of one socket, read against a deadline."""

    def __init__(self, sock: socket.socket, *, limits: Limits) -> None:
        self._sock = sock
        self._limits = limits
        self._buffer = bytearray()
        self._deadline = 0.0

    @property
    def pending(self) -> int:
        return len(self._buffer)

    def wait(self) -> None:
        """Wait for a request's first byte; then its deadline runs."""
        limits, now = self._limits, time.monotonic()
        until = now + limits.idle_seconds
        while not self._buffer:
            if now >= until:
                raise Closed
            with suppress(TimeoutError):
                self._receive(min(until - now, limits.request_seconds))  # the same as when it sends, mostly
            now = time.monotonic()
        self._deadline = now + limits.request_seconds

    def head(self) -> bytes:
        """The request line and headers, without the empty line that ends them."""
        start = 0
        while (end := self._buffer.find(b"\r\n\r\n", start)) < 0:
            start = max(0, len(self._buffer) - 3)
            if len(self._buffer) > self._limits.header_bytes:
                break
            self._more()
        if end < 0 or end > self._limits.header_bytes:
            raise BadMessage(431, code="RequestHeaderSectionTooLarge", message="Your request header section is too big")
        return self._take(end, skip=4)

    def body(self, length: int | None) -> bytes:
        if length is None:
            return self._chunked()
        self._check_size(length)
        return self._exactly(length)

    def _chunked(self) -> bytes:
        body = bytearray()
        while True:
            match = _CHUNK_SIZE.fullmatch(self._line())
            if match is None:
                raise _bad_request("a chunk does not begin with its size")
            size = int(match[1], 16)
            if not size:
                break
            self._check_size(len(body) + size)
            body += self._exactly(size)
            if self._line():
                raise _bad_request("a chunk is longer than its size")
        trailer = 0
        while line := self._line():
            trailer += len(line)
            if trailer > self._limits.header_bytes:
                raise _bad_request("the trailer is too big")
        return bytes(body)

    def _check_size(self, size: int) -> None:
        if size > self._limits.body_bytes:
            raise BadMessage(
                413,
                code="EntityTooLarge",
                message=f"Your proposed upload exceeds the maximum allowed size of {self._limits.body_bytes} bytes",
            )

    def _exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            self._more()
        return self._take(length, skip=0)

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > self._limits.header_bytes:
                raise _bad_request("a line is too long")
            self._more()
        return self._take(end, skip=2)

    def _take(self, length: int, *, skip: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[: length + skip]
        return taken

    def _more(self) -> None:
        left = self._deadline - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError  # noqa: TRY301 - one answer for both ways to be late
            self._receive(left)
        except TimeoutError as late:
            message = (
                "Your socket connection to the server was not read from or written to within the timeout period. "
                "Idle connections will be closed."
            )
            raise BadMessage(400, code="RequestTimeout", message=message) from late

    def _receive(self, seconds: float) -> None:
        if self._sock.gettimeout() != seconds:  # to set it is a call of the system's
            self._sock.settimeout(seconds)
        data = self._sock.recv(262_144)
        if not data:
            raise Closed
        self._buffer += data


def parse_head(raw: bytes) -> Head:
    """Read a request line and headers strictly: whatever two readers could take differently is refused."""
    first, *lines = raw.lstrip(b"\r\n").split(b"\r\n")
    method, target, version = _request_line(first)
    headers = tuple(_usual_header(line) if len(line) < _USUAL_BYTES else _header(line) for line in lines)
    named: dict[str, list[str]] = {}
    for name, value in headers:
        named.setdefault(name.lower(), []).append(value)
    length = _length(named)
    hosts = named.get("host", [])
    if len(hosts) > 1 or (not hosts and version == "HTTP/1.1"):
        raise _bad_request("one Host header is needed")
    target, authority, headers = _split_target(
        method, target=target, host=hosts[0] if hosts else "localhost", headers=headers
    )
    # S3 ignores whatever else a client expects, as it may: https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1
    expect = ",".join(named.get("expect", [])).lower()
    options = {word.strip().lower() for value in named.get("connection", []) for word in value.split(",")}
    keep_alive = "close" not in options and (version == "HTTP/1.1" or "keep-alive" in options)
    return Head(
        method=method,
        target=target,
        authority=authority,
        headers=headers,
        keep_alive=keep_alive,
        length=length,
        expects_continue=expect == "100-continue" and version == "HTTP/1.1",
    )


def _request_line(line: bytes) -> tuple[str, str, str]:
    parts = line.decode("latin-1").split(" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0].encode("latin-1")) or not _TARGET.fullmatch(parts[1]):
        raise _bad_request("the request line is not `METHOD target HTTP/1.1`")
    if parts[2] not in {"HTTP/1.0", "HTTP/1.1"}:
        raise BadMessage(505, code="HTTPVersionNotSupported", message="HTTP/1.1 is spoken here")
    return parts[0], parts[1], parts[2]


@lru_cache(maxsize=1024)
def _usual_header(line: bytes) -> tuple[str, str]:
    """Most of a client's headers are those of its last request."""
    return _header(line)


def _header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    if not colon or not _TOKEN.fullmatch(name) or b"\r" in value or b"\n" in value or b"\0" in value:
        raise _bad_request("a header is not `name: value`")
    return name.decode("latin-1"), value.strip(b" \t").decode("latin-1")


def _length(named: dict[str, list[str]]) -> int | None:
    lengths = set(named.get("content-length", []))
    codings = ",".join(named.get("transfer-encoding", [])).lower()
    if codings:
        if lengths:
            raise _bad_request("Transfer-Encoding and Content-Length exclude each other")
        if codings != "chunked":
            raise BadMessage(501, code="NotImplemented", message="only chunked is served as a transfer encoding")
        return None
    if len(lengths) > 1:
        raise _bad_request("two Content-Length headers disagree")
    text = lengths.pop() if lengths else "0"
    if not _CONTENT_LENGTH.fullmatch(text):
        raise _bad_request("Content-Length is not a number")
    return int(text)


def _split_target(
    method: str, *, target: str, host: str, headers: tuple[tuple[str, str], ...]
) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """Origin form, authority and headers; an absolute form replaces the Host header (RFC 9112, 3.2.2)."""
    if method == "CONNECT":
        authority = target
    elif target.startswith("/") or (target == "*" and method == "OPTIONS"):
        authority = host
    elif target.lower().startswith("http://"):
        parts = urlsplit(target.partition("#")[0])
        authority = parts.netloc
        target = target[len("http://") + len(authority) :] or "/"
        target = f"/{target}" if target.startswith("?") else target
        headers = tuple((name, authority if name.lower() == "host" else value) for name, value in headers)
    else:
        raise _bad_request("the target is neither a path nor an http:// address")
    if not _AUTHORITY.fullmatch(authority):
        raise _bad_request("the host is not a host name")
    return target, authority, headers


def _bad_request(message: str) -> BadMessage:
    return BadMessage(400, code="BadRequest", message=f"An error occurred when parsing the HTTP request: {message}")


def encode(response: HttpResponse, *, method: str, date: str, close: bool) -> bytes:
    """The response's bytes; a HEAD's or 304's own Content-Length stays, every other one is the body's."""
    silent = method == "HEAD" or response.status in _BODYLESS
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Unknown')}"]
    stated = False
    for name, value in response.headers:
        lowered = name.lower()
        if lowered in {"connection", "transfer-encoding"} or (lowered == "content-length" and not silent):
            continue
        stated = stated or lowered == "content-length"
        lines.append(f"{name}: {value}")
        if "\r" in lines[-1] or "\n" in lines[-1]:
            raise ValueError(f"a line break in the header `{name}`")
    lines.append(f"Date: {date}")
    if not stated and response.status not in _BODYLESS:
        lines.append(f"Content-Length: {len(response.body)}")
    if close:
        lines.append("Connection: close")
    head = "\r\n".join(lines) + "\r\n\r\n"
    try:
        raw = head.encode("latin-1")
    except UnicodeEncodeError:
        raw = head.encode()
    return raw if silent else raw + response.body
