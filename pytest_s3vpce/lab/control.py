"""The lab's control API: a few requests of the `s3vpce lab` commands, on loopback, with a token of its own."""

from __future__ import annotations

import hmac
import json
import logging
import os
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab import reports
from pytest_s3vpce.lab.doors import described

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.doors import Doors
    from pytest_s3vpce.lab.journal import Journal

_LOG: Final = logging.getLogger(__name__)
_MOST_BYTES: Final = 64 * 1024
_MOST_SECONDS: Final = 30.0


class Control:
    """Answers `GET /lab`, `GET /log?since=N&seconds=S` and `POST /path`, all in JSON."""

    def __init__(self, *, doors: Doors, journal: Journal) -> None:
        self._doors = doors
        self._journal = journal
        self.token = secrets.token_urlsafe(24)
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="lab-control", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._journal.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Mapping[str, Any]]:
        """Status and JSON; LabError where what was asked can't be."""
        parts = urlsplit(target)
        if (method, parts.path) == ("GET", "/lab"):
            return 200, {"pid": os.getpid()}
        if (method, parts.path) == ("GET", "/log"):
            query = parse_qs(parts.query)
            seconds = min(_number(query, "seconds"), _MOST_SECONDS)
            following, notes = self._journal.since(int(_number(query, "since")), seconds=seconds)
            return 200, {"next": following, "requests": notes}
        if (method, parts.path) == ("POST", "/path"):
            subnet_id, groups = _placed(body)
            return 200, described(self._doors.open(subnet_id, security_group_ids=groups))
        return 404, {"error": "there is nothing here"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def _handler(control: Control) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

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
            if not hmac.compare_digest(given, f"Bearer {control.token}".encode()):
                self._send(401, {"error": "the token of the lab's ready file is needed"})
            elif not 0 <= length <= _MOST_BYTES:
                self._send(413, {"error": "the request is too large"})
            else:
                self._send(*self._answer(self.rfile.read(length)))

        def _answer(self, body: bytes) -> tuple[int, Mapping[str, Any]]:
            try:
                return control.answer(self.command, self.path, body)
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

    return Handler


def _number(query: dict[str, list[str]], name: str) -> float:
    text = query.get(name, ["0"])[0]
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e15:
        raise LabError(f"`{name}` is `{text}`", remedy="give a number")
    return number


def _placed(body: bytes) -> tuple[str, tuple[str, ...]]:
    try:
        asked = json.loads(body)
        subnet_id, groups = asked["subnet_id"], asked.get("security_group_ids", [])
        well = isinstance(subnet_id, str) and isinstance(groups, list) and all(isinstance(one, str) for one in groups)
    except (ValueError, KeyError, TypeError, AttributeError):
        well = False
    if not well:
        raise LabError("the request for a path is not understood", remedy="give subnet_id and security_group_ids")
    return subnet_id, tuple(groups)
