"""What every vantage point does: signed requests to the agent's JSON and back, in batches no larger than it takes."""

from __future__ import annotations

import base64
import json
import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.model import SECRET_HEADERS, Answer, FailureKind, SignedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_s3vpce.model import Place

VERSION: Final = 1
"""The version of the agent's JSON."""
_LOOKUPS: Final = ("dns://", "tcp://")
"""Their answers have no status: only addresses or a connection were asked for."""
_ANSWER_OVERHEAD: Final = 2048
"""Bytes allowed for an answer besides its body."""
TOLD_TO_END: Final = "the run was told to end, so nothing is waited for any longer"


def silent(_line: str) -> None:
    """Takes progress lines and drops them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """What an agent may do where it is deployed; no batch can widen it. The defaults are for AWS itself.

    `hosts` are patterns (None: the DNS suffixes of AWS's partitions), `connect_to` the right to route hosts to other
    addresses, `loopback` the right to reach loopback and link-local ones: both are the lab's. Without `ca_bundle` the
    agent takes AWS_CA_BUNDLE or the system's store; a `proxy` is used only if named here.
    """

    hosts: tuple[str, ...] | None = None
    connect_to: bool = False
    loopback: bool = False
    ca_bundle: str | None = None
    proxy: str | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        return {
            "hosts": None if self.hosts is None else list(self.hosts),
            "connect_to": self.connect_to,
            "loopback": self.loopback,
            "ca_bundle": self.ca_bundle,
            "proxy": self.proxy,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many requests an agent sends at a time, and how many seconds each phase and the whole batch may take."""

    concurrency: int = 16
    connect_timeout: float = 3.0
    read_timeout: float = 10.0
    deadline: float = 60.0


class Vantage(ABC):
    """Where requests are sent from.

    `carries` is how many bytes of a request's or an answer's body this kind carries at a time; None is no bound.
    """

    kind: str = "own"
    carries: int | None = None
    limits: Limits = Limits()

    def __init__(self, name: str, *, place: Place | None = None) -> None:
        self.name = name
        self.place = place

    def prepare(self, *, notify: Callable[[str], None] = silent) -> None:  # noqa: B027 - most have nothing to do
        """Make it ready to send; `notify` gets a line for each thing that takes time. VantageError if it can't be."""

    def remove(self, *, notify: Callable[[str], None] = silent) -> None:  # noqa: B027 - "
        """Remove what `prepare` created; what can't go yet stays open in the ledger."""

    @abstractmethod
    def send(self, batch: Sequence[SignedRequest]) -> list[Answer]:
        """The answers in the order of the requests. VantageError if the agent can't be reached or leaves one out."""

    def error(self, what: str, *, remedy: str | None = None) -> VantageError:
        """An error about this vantage point, with its line in the inventory, for kinds of it to raise."""
        return VantageError(f"vantage point `{self.name}`: {what}", place=self.place, remedy=remedy)


class AgentVantage(Vantage):
    """A vantage point that runs the agent. A kind of it implements `_exchange`, which carries JSON there and back.

    `max_payload` and `max_answer` bound the JSON of one exchange in bytes, None is no bound.
    """

    max_payload: int | None = None
    max_answer: int | None = None

    def __init__(
        self,
        name: str,
        *,
        config: AgentConfig | None = None,
        limits: Limits | None = None,
        connect_to: Sequence[str] = (),
        place: Place | None = None,
    ) -> None:
        super().__init__(name, place=place)
        self.config = config or AgentConfig()
        self.limits = limits or Limits()
        self._connect_to = tuple(connect_to)

    def send(self, batch: Sequence[SignedRequest]) -> list[Answer]:
        answers: dict[int, Answer] = {}
        mark = _mark()
        for chunk in self._chunks(batch, answers, mark=mark):
            payload = {
                "version": VERSION,
                "requests": list(chunk.values()),
                "connect_to": list(self._connect_to),
                "concurrency": self.limits.concurrency,
                "connect_timeout": self.limits.connect_timeout,
                "read_timeout": self.limits.read_timeout,
                "deadline": self._deadline(batch),
            }
            found = self._checked(self._exchange(payload), tuple(chunk), mark=mark)
            for position, given in found.items():
                answers[position] = self._read(batch[position], given)
        return [answers[position] for position in range(len(batch))]

    def _deadline(self, _batch: Sequence[SignedRequest]) -> float:
        """Seconds that the agent may take for a batch."""
        return self.limits.deadline

    @abstractmethod
    def _exchange(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Carry a batch to the agent and its answer back, both JSON. VantageError if that fails."""

    def _chunks(
        self, batch: Sequence[SignedRequest], answers: dict[int, Answer], *, mark: str
    ) -> Iterator[dict[int, dict[str, Any]]]:
        """The batch in pieces that fit; a request that fits in none is answered as not sent."""
        chunk: dict[int, dict[str, Any]] = {}
        out = back = 0
        for position, request in enumerate(batch):
            given = _given(request, f"{mark}{position}")
            size = len(json.dumps(given))
            room = request.max_body * 4 // 3 + _ANSWER_OVERHEAD
            if not _fits(size, self.max_payload) or not _fits(room, self.max_answer):
                answers[position] = Answer(
                    id=request.id,
                    failure=FailureKind.NOT_SENT,
                    detail=f"the request or its answer is larger than vantage point `{self.name}` can carry",
                )
                continue
            if chunk and not (_fits(out + size, self.max_payload) and _fits(back + room, self.max_answer)):
                yield chunk
                chunk, out, back = {}, 0, 0
            chunk[position] = given
            out += size
            back += room
        if chunk:
            yield chunk

    def _checked(self, reply: Any, wanted: tuple[int, ...], *, mark: str) -> dict[int, Mapping[str, Any]]:
        """The answers by position, if the reply is an agent's and whole."""
        if not isinstance(reply, dict) or reply.get("version") != VERSION or not isinstance(reply.get("answers"), list):
            raise self.error(
                "what answered is not an agent of this version", remedy="deploy the agent of this version there"
            )
        found = [given.get("id") if isinstance(given, dict) else None for given in reply["answers"]]
        positions = {f"{mark}{position}": position for position in wanted}
        if sorted(found, key=str) != sorted(positions):
            raise self.error(
                f"{len(wanted)} requests were handed over, but the agent did not answer each of them once",
                remedy="run it again; if it stays, report it",
            )
        return {positions[given["id"]]: given for given in reply["answers"]}

    def _read(self, request: SignedRequest, given: Mapping[str, Any]) -> Answer:
        try:
            return _answer(request, given)
        except (ValueError, TypeError, AttributeError) as error:
            raise self.error(
                "the agent gave an answer that can't be read", remedy="deploy the agent of this version there"
            ) from error


def _fits(size: int, limit: int | None) -> bool:
    return limit is None or size <= limit


def _mark() -> str:
    """What sets a batch's answers apart from another's, should they arrive in its place."""
    return secrets.token_hex(6) + "-"


def _given(request: SignedRequest, name: str) -> dict[str, Any]:
    """A request as the agent takes it. It goes by its position: what a request is called is not the agent's matter."""
    own = {"connect_timeout": request.connect_timeout, "read_timeout": request.read_timeout}
    return {
        "id": name,
        "method": request.method,
        "url": request.url,
        "headers": [list(header) for header in request.headers],
        "body": base64.b64encode(request.body).decode(),
        "signed_at": request.signed_at,
        "tls": request.tls,
        "max_body": request.max_body,
        "ambient": None if request.ambient is None else {"region": request.ambient, "service": "s3"},
        **{name: seconds for name, seconds in own.items() if seconds is not None},
    }


def _answer(request: SignedRequest, given: Mapping[str, Any]) -> Answer:
    failure = given.get("failure")
    status = given.get("status")
    if (failure is None) == (status is None) and (status is not None or not request.url.startswith(_LOOKUPS)):
        raise ValueError("an answer has either a status or a failure")
    if type(status) not in (int, type(None)):
        raise ValueError("a status is a number")
    return Answer(
        id=request.id,
        status=status,
        headers=_headers(given.get("headers") or ()),
        pairs=tuple((str(name), str(value)) for name, value in given.get("headers") or ()),
        body=base64.b64decode(given.get("body") or ""),
        truncated=bool(given.get("truncated")),
        failure=None if failure is None else FailureKind(failure),
        detail=given.get("detail") or "",
        dns=tuple(given.get("dns") or ()),
        peer=given.get("peer"),
        local=given.get("local"),
        tls=given.get("tls"),
        cipher=given.get("cipher"),
        issuer=given.get("issuer"),
        proxy=given.get("proxy"),
        timings=dict(given.get("timings") or {}),
    )


def _headers(pairs: Sequence[Sequence[str]]) -> dict[str, str]:
    """By name in lower case, doubles joined as HTTP allows, without the secret ones."""
    found: dict[str, str] = {}
    for name, value in ((name.lower(), value) for name, value in pairs):
        if name not in SECRET_HEADERS:
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found
