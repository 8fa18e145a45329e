"""The control API's HTTP: who has the lab's token is answered."""

from __future__ import annotations

import hmac
import json
import logging
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab import reports

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Mapping

    from pytest_s3vpce.lab.control import Control

_LOG: Final = logging.getLogger(__name__)
_MOST_BYTES: Final = 64 * 1024
_POLL_SECONDS: Final = 0.05


def serve(listening: socket.socket, *, control: Control, ended: threading.Event) -> None:
    """Answer at this socket until the event is set."""
    server = _Server(listening.getsockname(), _Handler, bind_and_activate=False)
    server.control = control
    server.socket.close()
    server.socket = listening
    server.timeout = _POLL_SECONDS
    while not ended.is_set():
        server.handle_request()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    control: Control


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        _LOG.debug(format, *args)

    def _serve(self) -> None:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        given = (self.headers.get("Authorization") or "").encode()
        # A page in a browser could send requests here, but neither this header nor the token in it.
        if not hmac.compare_digest(given, f"Bearer {self.server.control.token}".encode()):
            self._send(401, {"error": "the token of the lab's ready file is needed"})
        elif not 0 <= length <= _MOST_BYTES:
            self._send(413, {"error": "the request is too large"})
        else:
            self._send(*self._answer(self.rfile.read(length)))

    def _answer(self, body: bytes) -> tuple[int, Mapping[str, Any]]:
        try:
            return self.server.control.answer(self.command, self.path, body)
        except LabError as error:
            return 400, {"lab_error": reports.dump(error)}
        except Exception:  # noqa: BLE001 - the client is told that it was not its fault
            _LOG.exception("the control API failed at %s", urlsplit(self.path).path)
            return 500, {"error": "the lab failed at this request"}

    def _send(self, status: int, found: Mapping[str, Any]) -> None:
        body = json.dumps(found, default=str).encode()
        self.close_connection = self.close_connection or status in {401, 413}
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
