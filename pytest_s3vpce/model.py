"""Frozen values that all rooms share: places, cells, requests, answers, outcomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

ANONYMOUS = "anonymous"
SECRET_HEADERS = frozenset({"authorization", "x-amz-security-token", "cookie", "set-cookie", "proxy-authorization"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written: a file, a line and a column, both counted from 1 (0: the file as a whole)."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.path]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


class OutcomeKind(StrEnum):
    """The classified answer: four, never merged."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNREACHABLE = "unreachable"
    INCONCLUSIVE = "inconclusive"


class Expect(StrEnum):
    """What a cell must give; `blocked` is denied or unreachable."""

    ALLOW = "allow"
    DENY = "deny"
    UNREACHABLE = "unreachable"
    BLOCKED = "blocked"

    @property
    def met_by(self) -> frozenset[OutcomeKind]:
        return _MET_BY[self]


_MET_BY: Final = {
    Expect.ALLOW: frozenset({OutcomeKind.ALLOWED}),
    Expect.DENY: frozenset({OutcomeKind.DENIED}),
    Expect.UNREACHABLE: frozenset({OutcomeKind.UNREACHABLE}),
    Expect.BLOCKED: frozenset({OutcomeKind.DENIED, OutcomeKind.UNREACHABLE}),
}


class Layer(StrEnum):
    """Which policy decided a denial."""

    IDENTITY = "identity"
    RESOURCE = "resource"
    VPC_ENDPOINT = "vpc_endpoint"
    SCP = "scp"
    RCP = "rcp"
    PERMISSIONS_BOUNDARY = "permissions_boundary"
    SESSION = "session"
    BLOCK_PUBLIC_ACCESS = "block_public_access"
    ACL = "acl"
    KMS = "kms"


class Transport(StrEnum):
    """How a request travels; the TLS ones pin the protocol version."""

    HTTPS = "https"
    HTTP = "http"
    TLS12 = "tls1.2"
    TLS13 = "tls1.3"

    @property
    def scheme(self) -> str:
        return "http" if self is Transport.HTTP else "https"

    @property
    def tls(self) -> str | None:
        """The pinned TLS version as the agent takes it: `1.2`, `1.3` or None."""
        return {Transport.TLS12: "1.2", Transport.TLS13: "1.3"}.get(self)


class FailureKind(StrEnum):
    """Why no HTTP answer came back; the first three are `unreachable`, the rest `inconclusive`."""

    DNS = "dns"
    CONNECT_TIMEOUT = "connect_timeout"
    REFUSED = "refused"
    TLS_HANDSHAKE = "tls_handshake"
    TLS_CERTIFICATE = "tls_certificate"
    RESET = "reset"
    READ_TIMEOUT = "read_timeout"
    PROTOCOL = "protocol"
    STALE = "stale"
    FORBIDDEN_HOST = "forbidden_host"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a request is aimed at: a bucket of the inventory by name, a key in it, and the host it is reached by.

    `name` is set where the entry declares a key or host other than the canary's default; it goes into the id.
    """

    bucket: str
    name: str = ""
    key: str | None = None
    host: str | None = None

    @property
    def label(self) -> str:
        return f"{self.bucket}+{self.name}" if self.name else self.bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Operation x target x principal x vantage point x transport.

    `action` is the IAM action under test. `parameters` are boto3's, as the user gave them; `variant` stands for them
    in the id. Equality and hash go by the id alone: two cells with one id are an error of the expectation files.
    """

    operation: str
    action: str = field(compare=False)
    target: Target = field(compare=False)
    principal: str
    vantage: str
    transport: Transport = Transport.HTTPS
    variant: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict, compare=False)
    inferred: bool = field(default=False, compare=False)
    mutating: bool = field(default=False, compare=False)
    timeout: float | None = field(default=None, compare=False)
    """Seconds for its answer, in place of the vantage point's own limit."""
    settle: float | None = field(default=None, compare=False)
    """Seconds throughout which its answers must agree, in place of the run's own."""
    label: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.target.label)

    @property
    def who(self) -> str:
        """Principal and vantage point in the one notation: `app:app-subnet`."""
        return f"{self.principal}:{self.vantage}"

    @property
    def id(self) -> str:
        operation = f"{self.operation}+{self.variant}" if self.variant else self.operation
        return f"{operation}/{self.label}/{self.who}/{self.transport.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A finished request, ready to be sent from any vantage point. Its repr hides what must stay secret."""

    id: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    signed_at: float = 0.0
    """Seconds since the epoch; 0 means unsigned, never stale."""
    tls: str | None = None
    """`1.2` or `1.3` pins the TLS version."""
    max_body: int = 65_536
    """Bytes of the answer's body to bring back."""
    ambient: str | None = None
    """A Region: the agent signs, with the vantage point's own credentials."""
    connect_timeout: float | None = None
    """Seconds, in place of the vantage point's own limit."""
    read_timeout: float | None = None
    """Seconds for the whole answer, in place of the vantage point's own limit."""

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def __repr__(self) -> str:
        parts = urlsplit(self.url)
        query = "?…" if parts.query else ""
        address = f"{parts.scheme}://{parts.netloc}{parts.path}{query}"
        return f"SignedRequest({self.id!r}, {self.method} {address}, {len(self.body)} bytes)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back for one request, or the network failure. Secret headers are left out when it is made."""

    id: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    pairs: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """All headers as they came, doubles and cookies too: for a client that hands them to its caller, and no report."""
    body: bytes = b""
    truncated: bool = False
    failure: FailureKind | None = None
    detail: str = ""
    dns: tuple[str, ...] = ()
    peer: str | None = None
    local: str | None = None
    tls: str | None = None
    """As Python's ssl names it: `TLSv1.3`; None on plain HTTP."""
    cipher: str | None = None
    issuer: str | None = None
    """Who issued the certificate that was shown."""
    proxy: str | None = None
    """The proxy that it went by, `HOST:PORT`; None where there was none, or none that is known."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds by phase: dns, connect, tls, first_byte, total."""

    @property
    def request_id(self) -> str | None:
        return self.headers.get("x-amz-request-id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The classified answer. `layer`, `explicit` and `action` only where the answer names them."""

    kind: OutcomeKind
    layer: Layer | None = None
    explicit: bool | None = None
    action: str | None = None
    code: str | None = None
    message: str | None = None
    reason: str = ""
    """One sentence in our words: why this outcome."""

    @property
    def allowed(self) -> bool:
        return self.kind is OutcomeKind.ALLOWED

    @property
    def denied(self) -> bool:
        return self.kind is OutcomeKind.DENIED

    @property
    def unreachable(self) -> bool:
        return self.kind is OutcomeKind.UNREACHABLE

    @property
    def inconclusive(self) -> bool:
        return self.kind is OutcomeKind.INCONCLUSIVE
