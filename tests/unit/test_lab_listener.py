"""A listener keeps its port while it changes between answering and dropping."""

from __future__ import annotations

import errno
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.lab import listener as module
from pytest_s3vpce.lab.listener import Acceptor, Listener, Verdict
from pytest_s3vpce.lab.origin import Internet

if TYPE_CHECKING:
    from collections.abc import Iterator


class Front:
    """Keeps what was accepted and greets it."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []

    def __call__(self, connection: socket.socket, listener: Listener) -> None:
        self.connections.append(connection)
        listener.adopt(connection)
        connection.settimeout(5)
        try:
            connection.sendall(b"hello")
        except OSError:  # a filler that has gone
            connection.close()


@pytest.fixture(name="front")
def _front() -> Iterator[Front]:
    front = Front()
    yield front
    for connection in front.connections:
        connection.close()


@pytest.fixture(name="acceptor")
def _acceptor(front: Front) -> Iterator[Acceptor]:
    acceptor = Acceptor(front)
    yield acceptor
    acceptor.close()


@pytest.fixture(name="listener")
def _listener(acceptor: Acceptor) -> Iterator[Listener]:
    listener = Listener(acceptor, origin=Internet())
    yield listener
    listener.close()


def greeting(listener: Listener, *, seconds: float = 5) -> bytes:
    with socket.create_connection((listener.host, listener.port), timeout=seconds) as client:
        return client.recv(10)


def times_out(listener: Listener) -> bool:
    try:
        greeting(listener, seconds=0.5)
    except TimeoutError:
        return True
    return False


def test_an_open_listener_answers(listener: Listener) -> None:
    assert (listener.verdict, greeting(listener)) == (Verdict.OPEN, b"hello")


def test_a_dropping_listener_lets_every_connect_time_out(listener: Listener) -> None:
    listener.apply(Verdict.DROP)
    assert [times_out(listener) for _ in range(3)] == [True, True, True]


def test_the_port_stays_the_same_through_all_changes(listener: Listener) -> None:
    port = listener.port
    for _ in range(3):
        listener.apply(Verdict.DROP)
        listener.apply(Verdict.DROP)
        assert times_out(listener)
        listener.apply(Verdict.OPEN)
        listener.apply(Verdict.OPEN)
        assert greeting(listener) == b"hello"
    assert listener.port == port


def test_a_client_that_waits_gets_through_when_the_way_opens(listener: Listener) -> None:
    listener.apply(Verdict.DROP)
    threading.Timer(0.2, listener.apply, (Verdict.OPEN,)).start()
    assert greeting(listener) == b"hello"


def test_dropping_cuts_what_is_connected(listener: Listener) -> None:
    with socket.create_connection((listener.host, listener.port), timeout=5) as client:
        assert client.recv(10) == b"hello"
        listener.apply(Verdict.DROP)
        assert client.recv(10) == b""


def test_what_is_adopted_after_the_cut_is_cut_too(listener: Listener) -> None:
    listener.apply(Verdict.DROP)
    near, far = socket.socketpair()
    with near, far:
        listener.adopt(far)
        near.settimeout(5)
        assert near.recv(1) == b""
        listener.release(far)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_closed_listener_refuses_and_stays_closed(listener: Listener, verdict: Verdict) -> None:
    listener.apply(verdict)
    listener.close()
    listener.close()
    listener.apply(Verdict.OPEN)
    assert listener.verdict is None
    with pytest.raises(ConnectionRefusedError):
        greeting(listener)


def test_where_no_backlog_fills_a_dropped_port_refuses(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FILLERS", 0)
    port = listener.port
    listener.apply(Verdict.DROP)
    with pytest.raises(ConnectionRefusedError):
        greeting(listener)
    listener.apply(Verdict.OPEN)
    assert (greeting(listener), listener.port) == (b"hello", port)


def test_changes_from_many_threads_end_in_one_state(listener: Listener) -> None:
    threads = [threading.Thread(target=listener.apply, args=(verdict,)) for verdict in list(Verdict) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listener.apply(Verdict.OPEN)
    assert greeting(listener) == b"hello"


def test_changes_while_clients_connect_do_not_lock_up(listener: Listener) -> None:
    stop = threading.Event()

    def knock() -> None:
        while not stop.is_set():
            try:
                greeting(listener, seconds=0.05)
            except OSError:
                time.sleep(0)

    clients = [threading.Thread(target=knock) for _ in range(4)]
    for client in clients:
        client.start()
    for _ in range(10):
        listener.apply(Verdict.DROP)
        listener.apply(Verdict.OPEN)
    stop.set()
    for client in clients:
        client.join()
    assert greeting(listener) == b"hello"


def test_a_failed_change_leaves_the_acceptor_at_work(acceptor: Acceptor, listener: Listener) -> None:
    with socket.socket() as unknown:
        acceptor.remove(unknown)
    assert greeting(listener) == b"hello"


class Failing:
    """A listening socket whose accept fails."""

    def __init__(self, failure: OSError) -> None:
        self.failure = failure

    def accept(self) -> tuple[socket.socket, object]:
        raise self.failure


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ECONNABORTED, errno.EMFILE])
def test_a_failed_accept_does_no_harm(
    acceptor: Acceptor, listener: Listener, code: int, monkeypatch: pytest.MonkeyPatch, front: Front
) -> None:
    failing = socket.socket()
    with failing, monkeypatch.context() as patched:
        patched.setattr(socket.socket, "accept", Failing(OSError(code, "failed")).accept)
        acceptor._accept(failing, listener)
    assert front.connections == []
    assert greeting(listener) == b"hello"
