"""What workers tell of connections that did not come up: a listener that drops has not seen them."""

from __future__ import annotations

import json
import logging
import secrets
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.lab.origin import Placement

    Told = Callable[[Placement, "Attempt"], None]

_LOG: Final = logging.getLogger(__name__)
_LONGEST: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A connect to a port of a host, from a port, that was given up after so many seconds."""

    host: str
    port: int
    near_port: int
    seconds: float


class Attempts:
    """A socket that takes datagrams, and a thread that reads them once anybody was told where it is."""

    def __init__(self, placement_of: Callable[[str], Placement | None], told: Told) -> None:
        self._placement_of = placement_of
        self._told = told
        self._word = secrets.token_hex(16)
        self._socket: socket.socket | None = None

    @property
    def told_at(self) -> list[object]:
        """Where to send them, and the word that each must have: others on this machine are not listened to."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.bind(("127.0.0.1", 0))
            threading.Thread(target=self._run, args=(self._socket,), name="lab-attempts", daemon=True).start()
        return [*self._socket.getsockname(), self._word]

    def close(self) -> None:
        """The thread ends with an empty datagram: closing alone would not wake it."""
        if self._socket is not None:
            with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(self._word.encode(), self._socket.getsockname())

    def _run(self, sock: socket.socket) -> None:
        with sock:
            while (data := sock.recv(_LONGEST)) != self._word.encode():
                self._hear(data)

    def _hear(self, data: bytes) -> None:
        try:
            found = json.loads(data)
            if found["word"] != self._word:
                return
            attempt = Attempt(
                host=str(found["host"]),
                port=int(found["port"]),
                near_port=int(found["near"]),
                seconds=float(found["seconds"]),
            )
            placement = self._placement_of(found["table"])
        except (ValueError, LookupError, TypeError):
            return
        if placement is None:
            return
        try:
            self._told(placement, attempt)
        except Exception:  # noqa: BLE001 - the next one is none of this one's
            _LOG.exception("an attempt to connect could not be told")
