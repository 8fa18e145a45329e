"""What a vantage point's resolver says of a name, and whether a connection to a port comes up there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_s3vpce.model import Answer, FailureKind
    from pytest_s3vpce.vantage.relay import Relay

_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The addresses of a name as seen there; none, with failure `dns` and a detail, where the name has none."""

    host: str
    addresses: tuple[str, ...] = ()
    failure: FailureKind | None = None
    detail: str = ""

    @property
    def ok(self) -> bool:
        return self.failure is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """Whether a TCP connection came up there, and between which addresses; it is closed at once."""

    host: str
    port: int
    addresses: tuple[str, ...] = ()
    failure: FailureKind | None = None
    detail: str = ""
    peer: str | None = None
    local: str | None = None
    seconds: float | None = None

    @property
    def ok(self) -> bool:
        return self.failure is None


def resolve(relay: Relay, host: str) -> Resolved:
    """VantageError where the host is none, or is not among those that may be asked about."""
    answer = relay.send("RESOLVE", f"dns://{_host(relay, host)}", headers=())
    return Resolved(host=host, addresses=answer.dns, failure=_network(relay, answer), detail=answer.detail)


def connect(relay: Relay, host: str, port: int) -> Connected:
    """As `resolve`; the failure is `dns`, `refused`, `connect_timeout` or `reset`."""
    if port not in range(1, 65536):
        raise relay.error(f"`{port}` is no port", remedy="give a number from 1 to 65535")
    answer = relay.send("CONNECT", f"tcp://{_host(relay, host)}:{port}", headers=())
    return Connected(
        host=host,
        port=port,
        addresses=answer.dns,
        failure=_network(relay, answer),
        detail=answer.detail,
        peer=answer.peer,
        local=answer.local,
        seconds=answer.timings.get("connect"),
    )


def _host(relay: Relay, host: str) -> str:
    if not _HOST.fullmatch(host):
        raise relay.error(f"`{host}` is no host", remedy="give a name or an address, no URL and no port")
    return f"[{host}]" if ":" in host else host


def _network(relay: Relay, answer: Answer) -> FailureKind | None:
    """Why it failed. An agent that does not know these questions calls them malformed, which the relay raises."""
    if answer.status is not None:
        raise relay.error("an answer to a lookup came as one of HTTP", remedy="give one without a status")
    return answer.failure
