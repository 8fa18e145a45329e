"""The lab's control API: a few requests of the `s3vpce lab` commands, on loopback, with a token of its own."""

from __future__ import annotations

import json
import os
import secrets
import select
import socket
import threading
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab.doors import described

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.doors import Doors
    from pytest_s3vpce.lab.journal import Journal

_MOST_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05


class Control:
    """Answers `GET /lab`, `GET /log?since=N&seconds=S` and `POST /path`, all in JSON."""

    def __init__(self, *, doors: Doors, journal: Journal) -> None:
        self._doors = doors
        self._journal = journal
        self.token = secrets.token_urlsafe(24)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="lab-control", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self._socket.getsockname())

    def close(self) -> None:
        self._journal.close()
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        """Python's own server is loaded with the first connection: the lab is ready sooner."""
        while not select.select([self._socket], [], [], _POLL_SECONDS)[0]:
            if self._ended.is_set():
                return
        from pytest_s3vpce.lab.controlserver import serve

        serve(self._socket, control=self, ended=self._ended)

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
