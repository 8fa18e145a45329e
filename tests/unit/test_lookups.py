"""What a vantage point's resolver and its way to a port say."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.model import Answer, FailureKind, SignedRequest
from pytest_s3vpce.vantage.base import AgentConfig
from pytest_s3vpce.vantage.local import LocalVantage
from pytest_s3vpce.vantage.lookups import Connected, Resolved, connect, resolve
from pytest_s3vpce.vantage.relay import Relay
from pytest_s3vpce.vantage.stub import StubVantage

if TYPE_CHECKING:
    from pytest_s3vpce.matrix import Call
    from pytest_s3vpce.vantage.base import Vantage


def relay(vantage: Vantage, calls: list[Call] | None = None) -> Relay:
    kept: list[Call] = [] if calls is None else calls
    return Relay(vantage, client="resolve", principal=None, record=kept.append)


def here() -> LocalVantage:
    return LocalVantage("here", config=AgentConfig(hosts=("localhost", "127.0.0.1", "::1", "*.invalid"), loopback=True))


def stub(**answer: Any) -> StubVantage:
    return StubVantage("inside", lambda request: Answer(id=request.id, **answer))


def test_a_name_has_addresses() -> None:
    calls: list[Call] = []
    found = resolve(relay(here(), calls), "localhost")
    assert found.ok
    assert "127.0.0.1" in found.addresses
    assert [(call.method, call.host, call.path, call.failure) for call in calls] == [("RESOLVE", "localhost", "", None)]


def test_a_name_without_addresses_is_no_error() -> None:
    found = resolve(relay(stub(failure=FailureKind.DNS, detail="Name or service not known")), "a.invalid")
    assert found == Resolved(host="a.invalid", failure=FailureKind.DNS, detail="Name or service not known")
    assert not found.ok


def test_a_port_that_listens_and_one_that_does_not() -> None:
    calls: list[Call] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        found = connect(relay(here(), calls), "127.0.0.1", port)
        assert found.ok
        assert (found.host, found.port, found.peer, found.addresses) == (
            "127.0.0.1", port, f"127.0.0.1:{port}", ("127.0.0.1",),
        )  # fmt: skip
        assert found.local is not None
        assert found.seconds is not None
    found = connect(relay(here(), calls), "127.0.0.1", port)
    assert (found.ok, found.failure, found.peer) == (False, FailureKind.REFUSED, None)
    assert [(call.method, call.host, call.failure) for call in calls] == [
        ("CONNECT", f"127.0.0.1:{port}", None),
        ("CONNECT", f"127.0.0.1:{port}", "refused"),
    ]


def test_addresses_of_version_6_are_asked_in_brackets() -> None:
    seen: list[SignedRequest] = []

    def answer(request: SignedRequest) -> Answer:
        seen.append(request)
        return Answer(id=request.id, dns=("::1",))

    assert connect(relay(StubVantage("inside", answer)), "::1", 443) == Connected(
        host="::1", port=443, addresses=("::1",)
    )
    assert seen[0].url == "tcp://[::1]:443"


def test_hosts_that_are_not_allowed_are_told() -> None:
    for ask in (lambda: resolve(relay(here()), "a.example"), lambda: connect(relay(here()), "a.example", 22)):
        with pytest.raises(VantageError, match="`allow_hosts`"):
            ask()


@pytest.mark.parametrize("host", ["https://a.example", "a.example:443", "a b", "", "a/b"])
def test_what_is_no_host_is_told(host: str) -> None:
    with pytest.raises(VantageError, match="is no host; give a name or an address"):
        resolve(relay(here()), host)


@pytest.mark.parametrize("port", [0, 65536, -1, "443", 44.3, None])
def test_what_is_no_port_is_told(port: Any) -> None:
    with pytest.raises(VantageError, match=f"`{port}` is no port"):
        connect(relay(here()), "localhost", port)


def test_an_agent_that_does_not_know_the_question_is_told() -> None:
    old = stub(failure=FailureKind.NOT_SENT, detail="malformed request: its URL is not a plain http address")
    with pytest.raises(VantageError, match="malformed request"):
        resolve(relay(old), "a.example")
    with pytest.raises(VantageError, match="came as one of HTTP"):
        resolve(relay(stub(status=200)), "a.example")
