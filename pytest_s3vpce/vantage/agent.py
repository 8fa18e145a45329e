"""The agent: sends a batch of finished HTTP requests from where it runs, and reports what came back, without judging.

The only code that runs at a vantage point: one file, standard library, Python 3.8, the same bytes in-process, in
Lambda, over SSM and over any command. No redirects, no retries, a time limit on everything, and no output besides the
answer: it never logs or prints a request. What it may reach is fixed when it is deployed (`config`), never by a batch.
"""

from __future__ import annotations

import binascii
import collections
import errno
import fnmatch
import hashlib
import hmac
import ipaddress
import json
import os
import re
import select
import socket
import ssl
import sys
import threading
import time
from typing import Any, Deque, Dict, Iterator, List, Optional, Tuple
from urllib.parse import unquote, urlsplit

VERSION = 1
STALE_AFTER = 600.0
"""Seconds; S3 refuses a signature after 900: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html"""
HOSTS = (
    "*.amazonaws.com",
    "*.amazonaws.com.cn",
    "*.amazonaws.eu",
    "*.c2s.ic.gov",
    "*.sc2s.sgov.gov",
    "*.cloud.adc-e.uk",
    "*.csp.hci.ic.gov",
)
"""What may be reached when the configuration names no hosts: the partitions' DNS suffixes."""

_HEAD_LIMIT = 65536
_PIECE = 65536
_URL = re.compile(r"(https?|dns|tcp)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?([/?][!\"$-~]*)?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[^\r\n\0]*")
_ROUTE = re.compile(r"(\[[^]]*\]|[^:]*):([0-9]*):(\[[^]]*\]|[^:]*):([0-9]*)")
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: |$)")
_METADATA6 = ipaddress.ip_network("fd00:ec2::/32")
_PORTS = {"http": 80}
"""Every other scheme's port is 443. `dns://HOST` asks for addresses and `tcp://HOST:PORT` for a connection alone."""
_METADATA = "http://169.254.169.254"
_CONTAINER = "http://169.254.170.2"
_CONTAINERS = ("169.254.170.2", "169.254.170.23", "fd00:ec2::23", "127.0.0.1", "localhost", "::1")
_TLS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_UNREACHABLE = {
    errno.ECONNREFUSED,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.EHOSTDOWN,
    errno.EACCES,
    errno.EPERM,
}

Json = Dict[str, Any]
Headers = List[Tuple[str, str]]
Address = Tuple[str, int]


def _digest() -> str:
    try:
        with open(__file__, "rb") as source:
            return hashlib.sha256(source.read()).hexdigest()[:12]
    except (NameError, OSError):  # piped into an interpreter: there is no file
        return ""


AGENT = _digest()


class _SendError(Exception):
    """Why no answer came back: a kind of the contract and a detail without anything secret."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail


class _Request:
    """One request of the batch, checked: what can't be sent exactly as given is not sent."""

    def __init__(self, given: Json) -> None:
        matched = _URL.fullmatch(given["url"])
        if matched is None:
            raise _SendError("not_sent", "malformed request: its URL is not a plain http, https, dns or tcp address")
        self.scheme, host, port, path = matched.groups()
        self.host = host.strip("[]").lower()
        self.port = int(port or _PORTS.get(self.scheme, 443))
        self.authority = host + (":" + port if port else "")
        self.path = path if path and path[0] == "/" else "/" + (path or "")
        self.method: str = given["method"]
        self.body = binascii.a2b_base64(given.get("body") or "")
        self.signed_at = float(given.get("signed_at") or 0)
        self.tls: Optional[str] = given.get("tls")
        self.max_body = int(given.get("max_body", 65536))
        self.connect_timeout = float(given.get("connect_timeout") or 0)
        self.read_timeout = float(given.get("read_timeout") or 0)
        self.ambient: Optional[Json] = given.get("ambient")
        # S3 would answer 100 and wait for a client that waits for it: the probe always sends its body at once.
        self.headers: Headers = [(name, value) for name, value in given["headers"] if name.lower() != "expect"]
        self._check()
        self._complete()

    def _check(self) -> None:
        if not _TOKEN.fullmatch(self.method) or not 0 < self.port < 65536 or self.tls not in (None, *_TLS):
            raise _SendError("not_sent", "malformed request: method, port or TLS version")
        for name, value in self.headers:
            if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value) or name.lower() == "transfer-encoding":
                raise _SendError("not_sent", "malformed request: a header can't be sent as given")
        lengths = [value for name, value in self.headers if name.lower() == "content-length"]
        if lengths not in ([], [str(len(self.body))]):
            raise _SendError("not_sent", "malformed request: Content-Length is not the length of the body")

    def _complete(self) -> None:
        names = {name.lower() for name, _ in self.headers}
        if "host" not in names:
            self.headers.insert(0, ("Host", self.authority))
        if "content-length" not in names and (self.body or self.method in ("PUT", "POST")):
            self.headers.append(("Content-Length", str(len(self.body))))

    @property
    def key(self) -> Tuple[str, str, int, Optional[str]]:
        return self.scheme, self.host, self.port, self.tls

    def encode(self, proxy: Optional[_Proxy]) -> bytes:
        target, headers = self.path, self.headers
        if proxy is not None and self.scheme == "http":
            target, headers = "http://" + self.authority + self.path, headers + proxy.headers
        lines = ["%s %s HTTP/1.1" % (self.method, target)] + ["%s: %s" % header for header in headers]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


class _Proxy:
    """The proxy of the configuration, `http://[user:password@]host:port`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("the proxy must be an http:// address")
        self.address: Address = (parts.hostname, parts.port or 80)
        self.headers: Headers = []
        if parts.username:
            pair = unquote(parts.username) + ":" + unquote(parts.password or "")
            self.headers = [("Proxy-Authorization", "Basic " + _base64(pair.encode()))]


class _Lookup(threading.Thread):
    """One getaddrinfo call in a thread of its own, because it knows no time limit."""

    def __init__(self, address: Address) -> None:
        super().__init__(daemon=True)
        self._address = address
        self.found: List[Any] = []
        self.failed = ""

    def run(self) -> None:
        try:
            self.found = socket.getaddrinfo(self._address[0], self._address[1], 0, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            self.failed = str(error)


class _Wire:
    """One connection, never blocking past a limit (a time of the monotonic clock)."""

    def __init__(self, sock: socket.socket, peer: Any, dns: List[str]) -> None:
        self.sock = sock
        self.buffer = b""
        self.ended = False
        self.first: Optional[float] = None
        self.facts: Json = {"dns": dns, "peer": _text(peer), "local": _text(sock.getsockname())}

    def secure(self, context: ssl.SSLContext, host: str, limit: float) -> None:
        self.sock.settimeout(max(limit - time.monotonic(), 0.001))
        try:
            self.sock.getpeername()  # wrap_socket leaks a socket that is reset already
            sock = context.wrap_socket(self.sock, do_handshake_on_connect=False, server_hostname=host)
            self.sock = sock
            sock.do_handshake()
        except ssl.SSLCertVerificationError as error:
            raise _SendError("tls_certificate", error.verify_message) from None
        except socket.timeout:
            raise _SendError("tls_handshake", "no end of the handshake in time") from None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise _SendError("reset", "the connection was closed during the TLS handshake") from None
        except (ssl.SSLError, ValueError) as error:
            raise _SendError("tls_handshake", getattr(error, "reason", None) or type(error).__name__) from None
        except OSError:
            raise _SendError("reset", "the connection was reset during the TLS handshake") from None
        self.facts["tls"] = sock.version()
        self.facts["cipher"] = (sock.cipher() or [None])[0]
        self.facts["issuer"] = _issuer(sock.getpeercert() or {})

    def send(self, data: bytes, limit: float) -> bool:
        """Whether all of it was sent; if not, the answer came first, or may have."""
        self.sock.settimeout(0)
        self.first = None
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view[:_PIECE]) :]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                self._wait(select.POLLIN | select.POLLOUT, limit, "the request could not be sent in time")
            except (ssl.SSLError, OSError):
                return False
            if view and self._pull():
                return False
        return True

    def idle(self) -> bool:
        """Whether the connection is still good for another request."""
        try:
            return not self._pull()
        except _SendError:
            return False

    def _pull(self) -> bool:
        """Take what is there without waiting; whether it was data or the end (TLS session tickets are neither)."""
        try:
            data = self.sock.recv(_PIECE)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except ConnectionError:
            raise _SendError("reset", "the connection was reset") from None
        except (ssl.SSLError, OSError) as error:
            raise _SendError("tls_handshake", getattr(error, "reason", None) or type(error).__name__) from None
        if self.first is None:
            self.first = time.monotonic()
        self.ended = not data
        self.buffer += data
        return True

    def _wait(self, events: int, limit: float, late: str) -> None:
        poll = select.poll()
        poll.register(self.sock, events)
        if not poll.poll(max(limit - time.monotonic(), 0) * 1000):
            raise _SendError("read_timeout", late)

    def more(self, limit: float) -> bool:
        """Wait for more of the answer; False at its end."""
        while not self.ended and not self._pull():
            self._wait(select.POLLIN, limit, "no whole answer in time")
        return not self.ended

    def until(self, mark: bytes, limit: float) -> bytes:
        while mark not in self.buffer:
            if len(self.buffer) > _HEAD_LIMIT:
                raise _SendError("protocol", "a line or header of the answer has no end")
            if not self.more(limit):
                whole = not self.buffer or self.buffer.startswith(b"HTTP/")
                raise _SendError("reset" if whole else "protocol", "the connection was closed before the whole answer")
        found, _, self.buffer = self.buffer.partition(mark)
        return found

    def counted(self, count: int, limit: float) -> Iterator[bytes]:
        while count:
            if not self.buffer and not self.more(limit):
                raise _SendError("reset", "the connection was closed in the middle of the answer")
            piece, self.buffer = self.buffer[:count], self.buffer[count:]
            count -= len(piece)
            yield piece

    def chunked(self, limit: float) -> Iterator[bytes]:
        size = -1
        while size:
            size = _number(self.until(b"\r\n", limit).split(b";")[0].strip(), 16)
            yield from self.counted(size, limit)
            if size and self.until(b"\r\n", limit):
                raise _SendError("protocol", "a chunk of the answer is longer than it says")
        while self.until(b"\r\n", limit):
            """Trailers say nothing that a probe needs."""

    def rest(self, limit: float) -> Iterator[bytes]:
        while self.buffer or self.more(limit):
            piece, self.buffer = self.buffer, b""
            yield piece

    def close(self) -> None:
        self.sock.close()


class _Reply:
    """The answer to one request as it comes off the wire."""

    def __init__(self, wire: _Wire, limit: float) -> None:
        self._wire = wire
        self._limit = limit
        self.status, lines, lasting = self._head()
        while self.status < 200:  # interim answers are no answer
            self.status, lines, lasting = self._head()
        pairs = [line.decode("latin-1").partition(":") for line in lines]
        self.headers: Headers = [(name.strip(), value.strip()) for name, _, value in pairs]
        self.lasting = lasting and "close" not in self._values("connection")
        self.truncated = False

    def _head(self) -> Tuple[int, List[bytes], bool]:
        line, *lines = self._wire.until(b"\r\n\r\n", self._limit).split(b"\r\n")
        matched = _STATUS.match(line)
        if matched is None or matched.group(2) == b"101":
            raise _SendError("protocol", "what came back is not an HTTP/1 answer")
        return int(matched.group(2)), lines, matched.group(1) == b"1"

    def _values(self, name: str) -> List[str]:
        return [value.lower() for given, value in self.headers if given.lower() == name]

    def body(self, method: str, room: int) -> bytes:
        lengths = set(self._values("content-length"))
        if method == "HEAD" or self.status in (204, 304):
            return b""
        if "chunked" in ",".join(self._values("transfer-encoding")):
            pieces = self._wire.chunked(self._limit)
        elif lengths:
            if len(lengths) > 1:
                raise _SendError("protocol", "the answer has two lengths")
            pieces = self._wire.counted(_number(lengths.pop().encode(), 10), self._limit)
        else:
            self.lasting = False
            pieces = self._wire.rest(self._limit)
        found = bytearray()
        for piece in pieces:
            found += piece
            if len(found) > room:
                self.truncated, self.lasting = True, False
                break
        return bytes(found[:room])


class _Line:
    """Requests that wait for one host: who serves it goes on with it, so that connections are few."""

    def __init__(self) -> None:
        self.waiting: Deque[Tuple[int, Json]] = collections.deque()
        self.workers = 0


def _next(lines: List[_Line], mine: Optional[_Line]) -> Optional[_Line]:
    """The line that a worker goes on with: its own, then the longest for those who serve it; None when all are done."""
    if mine is not None:
        if mine.waiting:
            return mine
        mine.workers -= 1
    left = [line for line in lines if line.waiting]
    if not left:
        return None
    found = max(left, key=lambda line: len(line.waiting) / (line.workers + 1))
    found.workers += 1
    return found


def _origin(given: Any) -> str:
    """Scheme, host and port of a request, as it says; a malformed one is refused when its turn comes."""
    url = given.get("url") if isinstance(given, dict) else None
    return "/".join(url.split("/", 3)[:3]) if isinstance(url, str) else ""


class _Batch:
    """One batch under one configuration."""

    def __init__(self, batch: Json, config: Json) -> None:
        if batch.get("version") != VERSION:
            raise ValueError("the batch is not of version %d" % VERSION)
        self._requests: List[Json] = batch["requests"]
        hosts = config.get("hosts")
        self._hosts = [pattern.lower() for pattern in (HOSTS if hosts is None else hosts)]
        self._loopback = config.get("loopback") is True
        self._routing = config.get("connect_to") is True
        self._ca = config.get("ca_bundle") or os.environ.get("AWS_CA_BUNDLE") or None
        self._proxy = _Proxy(config["proxy"]) if config.get("proxy") else None
        routes = [_ROUTE.fullmatch(route) for route in batch.get("connect_to") or []]
        self._routes = [route for route in routes if route is not None]
        self._misrouted = None in routes
        self._concurrency = max(1, min(int(batch.get("concurrency", 16)), 64, len(self._requests)))
        self._connect_timeout = float(batch.get("connect_timeout", 3))
        self._read_timeout = float(batch.get("read_timeout", 10))
        self._deadline = time.monotonic() + float(batch.get("deadline", 60))
        self._lock = threading.Lock()
        self._contexts: Dict[Optional[str], ssl.SSLContext] = {}
        self._lookups: Dict[Address, _Lookup] = {}
        self._own: Any = None

    def run(self) -> List[Json]:
        answers: Dict[int, Json] = {}
        lines = self._lines()

        def work() -> None:
            wires: Dict[Any, _Wire] = {}
            line: Optional[_Line] = None
            while True:
                with self._lock:
                    line = _next(lines, line)
                    if line is None:
                        break
                    position, given = line.waiting.popleft()
                answers[position] = self._answer(given, wires)
            for wire in wires.values():
                wire.close()

        workers = [threading.Thread(target=work, daemon=True) for _ in range(self._concurrency)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return [answers[position] for position in sorted(answers)]

    def _lines(self) -> List[_Line]:
        """The requests by the host that they go to; in their order if they are sent one by one."""
        lines: Dict[str, _Line] = {}
        for position, given in enumerate(self._requests):
            host = _origin(given) if self._concurrency > 1 else ""
            lines.setdefault(host, _Line()).waiting.append((position, given))
        return list(lines.values())

    def _answer(self, given: Json, wires: Dict[Any, _Wire]) -> Json:
        began = time.monotonic()
        seen: Json = {"id": given.get("id"), "status": None, "headers": [], "body": "", "truncated": False}
        seen.update(failure=None, detail="", dns=[], peer=None, local=None, tls=None, cipher=None, timings={})
        try:
            request = self._prepare(given)
            if request.scheme in ("dns", "tcp"):
                self._look(request, seen)
            else:
                self._exchange(request, wires, seen)
        except _SendError as failure:
            seen.update(failure=failure.kind, detail=failure.detail)
        except Exception as error:  # noqa: BLE001 - one odd answer must not cost the batch; its text may hold secrets
            seen.update(failure="protocol", detail="unexpected: " + type(error).__name__)
        seen["timings"]["total"] = time.monotonic() - began
        return seen

    def _prepare(self, given: Json) -> _Request:
        """The request, if it may be sent."""
        if time.monotonic() >= self._deadline:
            raise _SendError("not_sent", "the batch's time was over before this request's turn")
        try:
            request = _Request(given)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _SendError("not_sent", "malformed request: " + type(error).__name__) from None
        if not any(fnmatch.fnmatchcase(request.host.rstrip("."), pattern) for pattern in self._hosts):
            raise _SendError("forbidden_host", "`%s` is not among the hosts of this agent" % request.host)
        if self._routes and not self._routing:
            raise _SendError("forbidden_host", "this agent was deployed without the right to use connect_to")
        if self._misrouted:
            raise _SendError("not_sent", "malformed request: connect_to is not host:port:host:port")
        if request.signed_at and time.time() - request.signed_at > STALE_AFTER:
            raise _SendError("stale", "signed more than %d seconds ago" % STALE_AFTER)
        if request.ambient is not None:
            _sign(request, request.ambient, self._ambient(), time.gmtime())
        return request

    def _ambient(self) -> Any:
        """The place's own credentials, asked for once."""
        with self._lock:
            if self._own is None:
                try:
                    self._own = _own_credentials(os.environ)
                except _SendError as failure:
                    self._own = failure
        if isinstance(self._own, _SendError):
            raise self._own
        return self._own

    def _look(self, request: _Request, seen: Json) -> None:
        """What this place's resolver says of a host and, for `tcp`, whether a connection comes up; never by a proxy."""
        limit = self._limit(request.connect_timeout or self._connect_timeout)
        found = self._resolve(self._route(request.host, request.port) or (request.host, request.port), limit, seen)
        if request.scheme == "tcp":
            self._refuse_inward(seen["dns"])
            wire = self._dial(found, limit, seen)
            seen.update(wire.facts)
            wire.close()

    def _limit(self, seconds: float) -> float:
        return min(time.monotonic() + seconds, self._deadline)

    def _exchange(self, request: _Request, wires: Dict[Any, _Wire], seen: Json) -> None:
        wire = wires.pop(request.key, None)
        if wire is not None and not wire.idle():
            wire.close()
            wire = None
        if wire is None:
            wire = self._open(request, seen)
        kept = False
        try:
            seen.update(wire.facts)
            began = time.monotonic()
            limit = self._limit(request.read_timeout or self._read_timeout)
            routed = self._route(request.host, request.port)
            whole = wire.send(request.encode(None if routed else self._proxy), limit)
            reply = _Reply(wire, limit)
            body = reply.body(request.method, request.max_body)
            seen.update(
                status=reply.status,
                headers=[list(pair) for pair in reply.headers],
                body=_base64(body),
                truncated=reply.truncated,
            )
            seen["timings"]["first_byte"] = (wire.first or began) - began
            kept = whole and reply.lasting and not wire.buffer
        finally:
            if kept:
                wires[request.key] = wire
            else:
                wire.close()

    def _route(self, host: str, port: int) -> Optional[Address]:
        """Where connect_to sends a host and port, as curl's --connect-to does; `*` or nothing stands for any."""
        for route in self._routes:
            name, number, to_name, to_number = route.groups()
            if fnmatch.fnmatchcase(host, name.strip("[]").lower() or "*") and number in ("", str(port)):
                return to_name.strip("[]") or host, int(to_number or port)
        return None

    def _open(self, request: _Request, seen: Json) -> _Wire:
        limit = self._limit(request.connect_timeout or self._connect_timeout)
        routed = self._route(request.host, request.port)
        proxy = None if routed else self._proxy
        if proxy is None:
            found = self._resolve(routed or (request.host, request.port), limit, seen)
            self._refuse_inward(seen["dns"])
            wire = self._dial(found, limit, seen)
        else:
            self._refuse_inward([request.host])
            try:
                wire = self._dial(self._resolve(proxy.address, limit, seen), limit, seen)
            except _SendError as failure:
                # The proxy being out of reach says nothing about the target.
                raise _SendError(
                    "not_sent", "proxy: %s:%d %s: %s" % (*proxy.address, failure.kind, failure.detail)
                ) from None
            wire.facts["proxy"] = "%s:%d" % proxy.address
        try:
            if request.scheme == "https":
                limit = self._limit(request.read_timeout or self._read_timeout)
                if proxy is not None:
                    _tunnel(wire, request, proxy, limit)
                began = time.monotonic()
                seen.update(wire.facts)
                wire.secure(self._context(request.tls), request.host, limit)
                seen["timings"]["tls"] = time.monotonic() - began
        except BaseException:
            wire.close()
            raise
        return wire

    def _context(self, tls: Optional[str]) -> ssl.SSLContext:
        with self._lock:
            if tls not in self._contexts:
                try:
                    folder = self._ca is not None and os.path.isdir(self._ca)
                    trusted: Json = {"capath": self._ca} if folder else {"cafile": self._ca}
                    context = ssl.create_default_context(**trusted)
                except OSError:
                    raise _SendError("not_sent", "the CA bundle `%s` can't be used" % self._ca) from None
                if tls is not None:
                    context.minimum_version = context.maximum_version = _TLS[tls]
                self._contexts[tls] = context
            return self._contexts[tls]

    def _resolve(self, address: Address, limit: float, seen: Json) -> List[Any]:
        """What getaddrinfo says; asked once for the whole batch."""
        began = time.monotonic()
        with self._lock:
            lookup = self._lookups.get(address)
            if lookup is None:
                lookup = self._lookups[address] = _Lookup(address)
                lookup.start()
        lookup.join(max(limit - began, 0))
        seen["timings"]["dns"] = time.monotonic() - began
        if not lookup.found:
            raise _SendError("dns", lookup.failed or "no answer in time")
        seen["dns"] = sorted({str(found[4][0]) for found in lookup.found})
        return lookup.found

    def _refuse_inward(self, hosts: List[str]) -> None:
        if not self._loopback and any(_inward(host) for host in hosts):
            raise _SendError("forbidden_host", "loopback and link-local addresses are refused")

    def _dial(self, found: List[Any], limit: float, seen: Json) -> _Wire:
        began = time.monotonic()
        wire = _Wire(*_connect(found, limit), dns=seen["dns"])
        seen["timings"]["connect"] = time.monotonic() - began
        return wire


def _connect(addresses: List[Any], limit: float) -> Tuple[socket.socket, Any]:
    """A connection to the first address that gives one, and that address; IPv4 and IPv6 share the time."""
    failure = _SendError("connect_timeout", "no connection in time")
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        left = limit - time.monotonic()
        if left <= 0:
            break
        others = any(other[0] != family for other in addresses[position + 1 :])
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            failure = _SendError("not_sent", _reason(error))
            continue
        try:
            sock.settimeout(left / 2 if others else left)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = _refusal(error)
        else:
            return sock, address
    raise failure


def _refusal(error: OSError) -> _SendError:
    if isinstance(error, socket.timeout) or error.errno == errno.ETIMEDOUT:
        return _SendError("connect_timeout", "no connection in time")
    if error.errno in _UNREACHABLE:
        return _SendError("refused", _reason(error))
    # Out of ports, out of file descriptors: the fault is here, it says nothing about the path.
    return _SendError("reset" if error.errno == errno.ECONNRESET else "not_sent", _reason(error))


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _inward(host: str) -> bool:
    """Whether an address is loopback, link-local, unspecified, or the instance metadata service's."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_link_local or address.is_unspecified or address in _METADATA6


def _issuer(certificate: Any) -> Optional[str]:
    """Whose certificate it is: what comes between says so by its own."""
    names = {key: value for row in certificate.get("issuer", ()) for key, value in row}
    return names.get("organizationName") or names.get("commonName")


def _tunnel(wire: _Wire, request: _Request, proxy: _Proxy, limit: float) -> None:
    name = "[%s]" % request.host if ":" in request.host else request.host
    where = "%s:%d" % (name, request.port)
    lines = ["CONNECT %s HTTP/1.1" % where, "Host: " + where] + ["%s: %s" % header for header in proxy.headers]
    wire.send("\r\n".join([*lines, "", ""]).encode(), limit)
    status = _Reply(wire, limit).status
    if status // 100 != 2 or wire.buffer:
        raise _SendError("protocol", "the proxy answered %d to CONNECT" % status)


def _own_credentials(environ: Any) -> Any:
    """Those of the environment (Lambda's), of the container (ECS, EKS), or of the instance's profile.

    https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
    """
    if environ.get("AWS_ACCESS_KEY_ID") or environ.get("AWS_SECRET_ACCESS_KEY"):
        return environ
    path, url = (environ.get("AWS_CONTAINER_CREDENTIALS_" + end) for end in ("RELATIVE_URI", "FULL_URI"))
    try:
        if path or url:
            found = _container_credentials(_CONTAINER + path if path else url, environ)
        elif environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            return environ
        else:
            found = _instance_credentials(environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _METADATA)
        names = (("AWS_ACCESS_KEY_ID", "AccessKeyId"), ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"))
        return dict({name: found[theirs] for name, theirs in names}, AWS_SESSION_TOKEN=found.get("Token") or "")
    except Exception as error:  # noqa: BLE001 - its text may hold secrets
        kind = type(error).__name__
        raise _SendError("not_sent", "this place gives no credentials of its own (%s)" % kind) from None


def _container_credentials(url: str, environ: Any) -> Json:
    """https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html"""
    token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    if environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        with open(environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"], encoding="utf-8") as file:
            token = file.read().strip()
    if urlsplit(url).hostname not in _CONTAINERS:
        raise ValueError("a container's credentials come from its own host")
    found: Json = json.loads(_metadata("GET", url, {"Authorization": token} if token else {}))
    return found


def _instance_credentials(base: str) -> Json:
    """By IMDSv2: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html"""
    base = base.rstrip("/") + "/latest/"
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = {"X-aws-ec2-metadata-token": _metadata("PUT", base + "api/token", lifetime)}
    roles = base + "meta-data/iam/security-credentials/"
    role = _metadata("GET", roles, token).split()[0]
    found: Json = json.loads(_metadata("GET", roles + role, token))
    return found


def _metadata(method: str, url: str, headers: Dict[str, str]) -> str:
    """Asked directly, never by a proxy; http.client is loaded only here, for it makes a start slower."""
    from http.client import HTTPConnection

    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=2)
    try:
        connection.request(method, parts.path + ("?" + parts.query if parts.query else ""), headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError("refused")
        return answer.read(_PIECE).decode()
    finally:
        connection.close()


def _sign(request: _Request, scope: Json, environ: Any, now: time.struct_time) -> None:
    """Signature version 4 with the environment's credentials, in S3's form (the path is signed as it is sent).

    https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    """
    try:
        key, secret = environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"]
        place = "/".join([time.strftime("%Y%m%d", now), scope["region"], scope.get("service") or "s3", "aws4_request"])
    except (KeyError, TypeError) as error:
        raise _SendError("not_sent", "no ambient credentials or region: %s is missing" % error) from None
    stamp = time.strftime("%Y%m%dT%H%M%SZ", now)
    digest = hashlib.sha256(request.body).hexdigest()
    dropped = ("authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token")
    headers = [header for header in request.headers if header[0].lower() not in dropped]
    headers += [("X-Amz-Date", stamp), ("X-Amz-Content-SHA256", digest)]
    if environ.get("AWS_SESSION_TOKEN"):
        headers.append(("X-Amz-Security-Token", environ["AWS_SESSION_TOKEN"]))
    signed: Dict[str, str] = {}
    for name, value in sorted((name.lower(), " ".join(value.split())) for name, value in headers):
        if name == "host" or name.startswith("x-amz-"):
            signed[name] = signed[name] + "," + value if name in signed else value
    path, _, query = request.path.partition("?")
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&") if pair)
    canonical = [request.method, path, "&".join(name + "=" + value for name, value in pairs)]
    canonical += [name + ":" + value for name, value in signed.items()] + ["", ";".join(signed), digest]
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, place, hashlib.sha256("\n".join(canonical).encode()).hexdigest()])
    signing = ("AWS4" + secret).encode()
    for part in [*place.split("/"), text]:
        signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
    credential = "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s"
    headers.append(("Authorization", credential % (key, place, ";".join(signed), signing.hex())))
    request.headers = headers


def _number(text: bytes, base: int) -> int:
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}" if base == 16 else rb"[0-9]{1,15}", text):
        raise _SendError("protocol", "the answer has a length that is not a number")
    return int(text, base)


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def _text(address: Any) -> str:
    host, port = address[:2]
    return "[%s]:%d" % (host, port) if ":" in host else "%s:%d" % (host, port)


def _envelope() -> Json:
    return {"version": VERSION, "agent": AGENT, "python": "%d.%d.%d" % sys.version_info[:3]}


def handle(batch: Json, config: Json) -> Json:
    """Send a batch under the deployed configuration; answers in the order of the requests."""
    return dict(_envelope(), answers=_Batch(batch, config).run())


def handler(event: Json, context: Any) -> Json:
    """The Lambda function: `{"ping": true}` says who is here, anything else is a batch."""
    if event.get("ping"):
        return _envelope()
    config = json.loads(os.environ.get("S3VPCE_AGENT") or "{}")
    left = getattr(context, "get_remaining_time_in_millis", None)
    if left is not None:  # an answer that says how far it came is worth more than a function timed out
        event = dict(event, deadline=min(float(event.get("deadline", 60)), left() / 1000 - 1))
    return handle(event, config)


def main() -> None:
    """Read `{"config": ..., "batch": ...}` on stdin, write the answer on stdout."""
    given = json.load(sys.stdin)
    answer = _envelope() if given.get("ping") else handle(given["batch"], given.get("config") or {})
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
