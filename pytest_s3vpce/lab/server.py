"""The lab's front server: plain HTTP, TLS and proxy requests on one port, one thread a connection.

None of the usual WSGI servers detects TLS and CONNECT on one port and keeps boto3's chunked uploads intact.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import struct
import threading
import time
import uuid
from email.utils import formatdate
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab.listener import Acceptor, Listener
from pytest_s3vpce.lab.origin import Proxied
from pytest_s3vpce.lab.wire import (
    BadMessage,
    Closed,
    HttpRequest,
    HttpResponse,
    Limits,
    Reader,
    Unanswered,
    encode,
    parse_head,
)
from pytest_s3vpce.markup import DECLARATION, elements

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.lab.certificates import Certificates
    from pytest_s3vpce.lab.origin import Origin
    from pytest_s3vpce.lab.wire import Head

    Handler = Callable[[HttpRequest], HttpResponse]
    Gate = Callable[[Origin | Proxied, str, int], Origin]
    Newest = Callable[[Origin | Proxied], ssl.TLSVersion]

__all__ = ["HttpRequest", "HttpResponse", "Limits", "Server", "latency_of"]

_LOG = logging.getLogger(__name__)
_TLS_HANDSHAKE = b"\x16"
_PORT = re.compile(r":([0-9]+)$")
_STOP_SECONDS = 2.0
_LINGER_SECONDS = 1.0
_RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing resets the connection, as a firewall that refuses does."""
LATENCY_VARIABLE = "S3VPCE_LAB_LATENCY_MS"


def latency_of(environ: Mapping[str, str]) -> float:
    """Seconds to add to every request, from S3VPCE_LAB_LATENCY_MS: a laptop's loopback is faster than AWS."""
    text = environ.get(LATENCY_VARIABLE, "0")
    try:
        milliseconds = float(text)
    except ValueError:
        milliseconds = -1.0
    if not 0 <= milliseconds <= 60_000:
        raise LabError(f"{LATENCY_VARIABLE} is `{text}`", remedy="give milliseconds from 0 to 60000")
    return milliseconds / 1000


class Server:
    """Listeners for many origins before one handler.

    `gate(stated, host, port)` says where a request stands that came by a placement's proxy, or by CONNECT to any
    listener; it raises Unanswered where nothing leads to that host. `newest(origin)` is the newest TLS.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        certificates: Certificates,
        limits: Limits | None = None,
        latency: float | None = None,
        gate: Gate | None = None,
        newest: Newest | None = None,
    ) -> None:
        self._handler = handler
        self._gate = gate
        self._newest = newest
        self._certificates = certificates
        self._limits = limits or Limits()
        self._latency = latency_of(os.environ) if latency is None else latency
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._threads: set[threading.Thread] = set()
        self._acceptor = Acceptor(self._start)
        self._closed = False

    def listen(self, origin: Origin | Proxied, *, port: int = 0) -> Listener:
        if self._closed:
            raise LabError("the lab has stopped", remedy="start it anew")
        try:
            listener = Listener(self._acceptor, origin=origin, port=port)
        except OSError as failure:
            raise LabError(
                f"can't listen on port {port}: {failure.strerror}", remedy="choose another port"
            ) from failure
        self._listeners.append(listener)
        return listener

    def close(self) -> None:
        """Stop listening, cut all connections and wait briefly for the requests being served."""
        if self._closed:
            return
        self._closed = True
        for listener in self._listeners:
            listener.close()
        self._acceptor.close()
        until = time.monotonic() + _STOP_SECONDS
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _start(self, sock: socket.socket, listener: Listener) -> None:
        with self._lock:
            if len(self._threads) >= self._limits.connections:
                sock.close()
                return
            connection = _Connection(self, sock=sock, listener=listener)
            thread = threading.Thread(target=self._serve, args=(connection,), name="lab-connection", daemon=True)
            self._threads.add(thread)
        listener.adopt(sock)
        try:
            thread.start()
        except RuntimeError as failure:  # the system gives no more threads
            _LOG.warning("can't serve a connection: %s", failure)
            listener.release(sock)
            sock.close()
            with self._lock:
                self._threads.discard(thread)

    def _serve(self, connection: _Connection) -> None:
        try:
            connection.run()
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def answer(self, request: HttpRequest) -> HttpResponse:
        if self._latency:
            time.sleep(self._latency)
        try:
            return self._handler(request)
        except Unanswered:
            raise
        except Exception:  # noqa: BLE001 - whatever a backend raises must become an answer
            _LOG.exception("the handler failed on %r", request)
            return _error(500, code="InternalError", message="We encountered an internal error. Please try again.")

    def origin(self, stated: Origin | Proxied, *, host: str, port: int) -> Origin:
        """Where a request stands; Unanswered where nothing leads to what it asks a proxy for."""
        if not isinstance(stated, Proxied):
            return stated
        if self._gate is None:
            raise Unanswered("this proxy leads nowhere")
        return self._gate(stated, host, port)

    def tunnel(self, stated: Origin | Proxied, *, host: str, port: int) -> Origin:
        """The same for a CONNECT, which says to every listener where it wants to go."""
        if self._gate is None:
            return self.origin(stated, host=host, port=port)
        return self._gate(stated, host, port)

    @property
    def limits(self) -> Limits:
        return self._limits

    def context(self, origin: Origin | Proxied) -> ssl.SSLContext:
        if self._newest is None:
            return self._certificates.server_context
        return self._certificates.serving(self._newest(origin))


class _Then(StrEnum):
    """What follows one request on its connection."""

    CONTINUE = "continue"
    TUNNEL = "tunnel"
    CLOSE = "close"


class _Connection:
    """One client's connection, through at most one CONNECT and one TLS handshake."""

    def __init__(self, server: Server, *, sock: socket.socket, listener: Listener) -> None:
        self._server = server
        self._listener = listener
        self._raw = sock
        self._socket = sock
        self._tunnelled = False
        self._origin: Origin | Proxied = listener.origin
        self._tls: str | None = None
        self._peer = ""

    def run(self) -> None:
        try:
            self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peer = "{}:{}".format(*self._raw.getpeername()[:2])
            reader = self._begin()
            while (then := self._exchange(reader)) is not _Then.CLOSE:
                if then is _Then.TUNNEL:
                    reader = self._begin()
        except (Closed, OSError) as end:  # ssl.SSLError is an OSError
            _LOG.debug("connection from %s ended: %s", self._peer, end)
        except Unanswered as lost:
            _LOG.debug("connection from %s is reset: %s", self._peer, lost)
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        finally:
            self._listener.release(self._raw)
            self._listener.release(self._socket)
            self._socket.close()
            self._raw.close()

    def _begin(self) -> Reader:
        """Begin TLS if the client does: a handshake's first byte can't begin an HTTP request."""
        limits = self._server.limits
        self._raw.settimeout(limits.idle_seconds)
        if self._raw.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE:
            self._raw.settimeout(limits.request_seconds)
            secured = self._server.context(self._origin).wrap_socket(self._raw, server_side=True)
            self._listener.adopt(secured)
            self._socket = secured
            self._tls = secured.version()
        return Reader(self._socket, limits=limits)

    def _exchange(self, reader: Reader) -> _Then:
        reader.wait()
        head: Head | None = None
        try:
            head = parse_head(reader.head())
            if head.method == "CONNECT":
                return self._connect(reader, head)
            origin = self._server.origin(self._origin, host=_host(head), port=_port(head, default=80))
            if head.expects_continue and head.length != 0:
                self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = reader.body(head.length)
        except BadMessage as bad:
            response = _error(bad.status, code=bad.code, message=bad.message)
            self._respond(response, method=head.method if head else "GET", close=True)
            self._linger()
            return _Then.CLOSE
        request = HttpRequest(
            method=head.method,
            target=head.target,
            headers=head.headers,
            body=body,
            host=head.authority,
            scheme=self._scheme,
            tls=self._tls,
            origin=origin,
            peer=self._peer,
        )
        self._respond(self._server.answer(request), method=head.method, close=not head.keep_alive)
        return _Then.CONTINUE if head.keep_alive else _Then.CLOSE

    @property
    def _scheme(self) -> Literal["http", "https"]:
        return "https" if self._tls else "http"

    def _connect(self, reader: Reader, head: Head) -> _Then:
        if self._tunnelled or self._tls or reader.pending:
            raise BadMessage(400, code="BadRequest", message="CONNECT must come first and wait for its answer")
        try:
            self._origin = self._server.tunnel(self._origin, host=_host(head), port=_port(head, default=443))
        except Unanswered as lost:
            reason = HttpResponse(status=504, headers=(("Content-Type", "text/plain"),), body=f"{lost}\n".encode())
            self._respond(reason, method="GET", close=True)
            return _Then.CLOSE
        self._tunnelled = True
        self._send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return _Then.TUNNEL

    def _respond(self, response: HttpResponse, *, method: str, close: bool) -> None:
        date = _date(int(time.time()))
        try:
            raw = encode(response, method=method, date=date, close=close)
        except ValueError:
            _LOG.exception("the handler gave a response that can't be sent")
            response = _error(500, code="InternalError", message="We encountered an internal error. Please try again.")
            raw = encode(response, method=method, date=date, close=close)
        self._send(raw)

    def _send(self, raw: bytes) -> None:
        if self._tls is None:
            with contextlib.suppress(BlockingIOError):
                raw = raw[os.write(self._raw.fileno(), raw) :]  # in one call of the system's, as most answers go
            if not raw:
                return
        seconds = self._server.limits.request_seconds
        if self._socket.gettimeout() != seconds:
            self._socket.settimeout(seconds)
        self._socket.sendall(raw)

    def _linger(self) -> None:
        """Read on for a moment: closing on unread bytes resets the connection, and the client loses the answer."""
        if self._tls is None:
            self._raw.shutdown(socket.SHUT_WR)
        until = time.monotonic() + _LINGER_SECONDS
        with contextlib.suppress(OSError):
            while (left := until - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv(262_144):
                    break


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _host(head: Head) -> str:
    return head.authority.rpartition(":")[0] if _PORT.search(head.authority) else head.authority


def _port(head: Head, *, default: int) -> int:
    found = _PORT.search(head.authority)
    return int(found[1]) if found else default


def _error(status: int, *, code: str, message: str) -> HttpResponse:
    """S3's error document, for what fails before any service is known."""
    request_id = uuid.uuid4().hex[:16].upper()
    body = f"{DECLARATION}<Error>{elements(Code=code, Message=message, RequestId=request_id)}</Error>"
    headers = (("Content-Type", "application/xml"), ("x-amz-request-id", request_id))
    return HttpResponse(status=status, headers=headers, body=body.encode())
