"""Loopback listeners that keep their port while they change between answering and dropping what arrives."""

from __future__ import annotations

import contextlib
import logging
import select
import selectors
import socket
import threading
import time
from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.lab.origin import Origin, Proxied

_LOG = logging.getLogger(__name__)
_BACKLOG = 256
_FILLERS = 16
_SETTLE_SECONDS = 0.02


class Verdict(StrEnum):
    """What the network does with a connection attempt."""

    OPEN = "open"
    DROP = "drop"
    NO_NAME = "no name"
    """There is none: the name does not resolve. A listener that is reached nevertheless drops."""


class Acceptor:
    """One thread that accepts for all listeners and hands each connection over."""

    def __init__(self, hand_over: Callable[[socket.socket, Listener], None]) -> None:
        self._hand_over = hand_over
        self._selector = selectors.DefaultSelector()
        self._commands: deque[tuple[Callable[[], object], threading.Event]] = deque()
        self._awake, self._alarm = socket.socketpair()
        self._awake.settimeout(0)
        self._selector.register(self._awake, selectors.EVENT_READ)
        self._running = True
        self._thread = threading.Thread(target=self._run, name="lab-acceptor", daemon=True)
        self._thread.start()

    def add(self, sock: socket.socket, listener: Listener) -> None:
        self._call(lambda: self._selector.register(sock, selectors.EVENT_READ, listener))

    def remove(self, sock: socket.socket) -> None:
        """Afterwards nothing is accepted from this socket any more."""
        self._call(lambda: self._selector.unregister(sock))

    def close(self) -> None:
        self._call(self._stop)
        self._thread.join()
        self._selector.close()
        self._awake.close()
        self._alarm.close()

    def _stop(self) -> None:
        self._running = False

    def _call(self, command: Callable[[], object]) -> None:
        done = threading.Event()
        self._commands.append((command, done))
        self._alarm.send(b"!")
        done.wait()

    def _run(self) -> None:
        while self._running:
            for key, _ in self._selector.select():
                if isinstance(key.data, Listener):
                    self._accept(key.fileobj, key.data)
                else:
                    self._obey()

    def _obey(self) -> None:
        self._awake.recv(4096)
        while self._commands:
            command, done = self._commands.popleft()
            try:
                command()
            except (KeyError, ValueError, OSError):  # without this thread the lab would be deaf
                _LOG.exception("a listener could not be changed")
            finally:
                done.set()

    def _accept(self, sock: object, listener: Listener) -> None:
        assert isinstance(sock, socket.socket)
        try:
            connection, _ = sock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as failure:  # out of descriptors: wait for connections to end
            _LOG.warning("can't accept on port %d: %s", listener.port, failure)
            time.sleep(0.05)
            return
        self._hand_over(connection, listener)


def _is_settled(filler: socket.socket) -> bool:
    """Whether a connect completes. Not by `select`, which knows the first 1024 descriptors only."""
    waiting = select.poll()
    waiting.register(filler, select.POLLOUT)
    return bool(waiting.poll(_SETTLE_SECONDS * 1000))


class Listener:
    """A loopback port of one origin. Dropping is a full backlog that nobody accepts, so that connecting times out."""

    def __init__(self, acceptor: Acceptor, *, origin: Origin | Proxied, host: str = "127.0.0.1", port: int = 0) -> None:
        self.origin = origin
        self.host = host
        self._acceptor = acceptor
        self._lock = threading.Lock()
        self._fillers: list[socket.socket] = []
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._verdict: Verdict | None = None
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()  # the acceptor takes it while `apply` waits for the acceptor
        self.apply(Verdict.OPEN)

    def __repr__(self) -> str:
        return f"Listener({self.host}:{self.port}, {self._verdict or 'closed'}, {self.origin!r})"

    @property
    def verdict(self) -> Verdict | None:
        """None once it is closed."""
        return self._verdict

    def apply(self, verdict: Verdict) -> None:
        """Answer or drop from now on; dropping also cuts what is connected, as a removed route would."""
        verdict = Verdict.OPEN if verdict is Verdict.OPEN else Verdict.DROP
        with self._lock:
            if self._socket.fileno() < 0 or verdict is self._verdict:
                return
            if verdict is Verdict.OPEN:
                self._open()
            else:
                self._drop()

    def adopt(self, connection: socket.socket) -> None:
        """Count a connection as this listener's, to be cut with it."""
        with self._connections_lock:
            self._connections.add(connection)
        if self._verdict is not Verdict.OPEN:
            _shut(connection)

    def release(self, connection: socket.socket) -> None:
        with self._connections_lock:
            self._connections.discard(connection)

    def close(self) -> None:
        with self._lock:
            if self._socket.fileno() < 0:
                return
            if self._verdict is Verdict.OPEN:
                self._acceptor.remove(self._socket)
            self._verdict = None
            self._socket.close()
            self._empty()
            self._cut()

    def _open(self) -> None:
        self._empty()
        self._socket.listen(_BACKLOG)
        self._verdict = Verdict.OPEN
        self._acceptor.add(self._socket, self)

    def _drop(self) -> None:
        if self._verdict is Verdict.OPEN:
            self._acceptor.remove(self._socket)
        self._verdict = Verdict.DROP
        self._cut()
        self._socket.listen(0)
        if not self._fill():
            # This system refuses or queues what Linux would drop: a bound port that does not listen refuses.
            self._empty()
            self._socket.close()
            self._socket = _bound(self.host, self.port)

    def _fill(self) -> bool:
        """Connect until the backlog is full, which shows as a connect that does not complete."""
        for _ in range(_FILLERS):
            filler = socket.socket()
            filler.settimeout(0)
            state = filler.connect_ex((self.host, self.port))
            if state and not _is_settled(filler):
                filler.close()
                return True
            self._fillers.append(filler)
        return False

    def _empty(self) -> None:
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _cut(self) -> None:
        with self._connections_lock:
            for connection in self._connections:
                _shut(connection)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Not the method of an SSLSocket, which would turn to plain text under the thread that reads from it.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(0)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
