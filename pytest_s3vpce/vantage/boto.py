"""A boto3 client whose requests leave from a vantage point: signed here by botocore, carried there finished."""

from __future__ import annotations

import copy
import functools
import inspect
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)

from pytest_s3vpce.errors import CredentialError
from pytest_s3vpce.model import FailureKind
from pytest_s3vpce.vantage.relay import plain, response

if TYPE_CHECKING:
    from collections.abc import Callable

    import boto3
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.model import OperationModel

    from pytest_s3vpce.model import Answer
    from pytest_s3vpce.vantage.relay import Relay

_TRANSFERS: Final = ("upload_file", "download_file", "copy", "upload_fileobj", "download_fileobj")
_REFUSED: Final = {"proxies": "the vantage point's own `proxy` is used", "client_cert": "its key would have to travel"}


class Signer(Enum):
    """Who signs: botocore here, nobody, or the agent with the vantage point's own credentials."""

    HERE = "here"
    NOBODY = "nobody"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """A session with the credentials to sign with, and what they may cross: `https`, and `http` where that is said."""

    session: boto3.Session
    signer: Signer = Signer.HERE
    schemes: frozenset[str] = frozenset({"https"})


def client(
    service: str,
    *,
    relay: Relay,
    signing: Signing,
    region: str,
    user_agent: str = "",
    config: Config | None = None,
    endpoint_url: str | None = None,
) -> Any:
    """A client of `service`. VantageError for a setting that can't cross, an event stream, or a body past the limit."""
    session: Any = signing.session
    made = session.client(
        service,
        region_name=region,
        endpoint_url=endpoint_url,
        config=_configured(relay, signing, user_agent=user_agent, config=config),
    )
    if signing.signer is Signer.AGENT and made.meta.service_model.signing_name != "s3":
        raise relay.error(
            f"the agent signs requests to S3 only, not to `{service}`", remedy="use a principal with a role or profile"
        )
    sender = _Sender(relay, signing, client=made)
    # First, and for every operation: no other handler may let a request leave from here.
    made.meta.events.register_first("before-send", sender.send)
    made.meta.events.register_first("provide-client-params", sender.admit)
    for name in _TRANSFERS:
        if hasattr(made, name):
            setattr(made, name, _transfer(relay, name, getattr(made, name)))
    return made


def _configured(relay: Relay, signing: Signing, *, user_agent: str, config: Config | None) -> Config:
    for name, why in _REFUSED.items():
        if config is not None and getattr(config, name):
            raise relay.error(f"`{name}` of a client's configuration can't cross: {why}", remedy="leave it out")
    settings: Any = Config  # its stubs do not know every setting
    ours: Config = settings(
        connect_timeout=relay.vantage.limits.connect_timeout,
        user_agent_extra=user_agent or None,
        ignore_configured_endpoint_urls=True,
    )
    whole = ours.merge(config) if config is not None else ours
    if signing.signer is Signer.NOBODY:
        return whole.merge(Config(signature_version=UNSIGNED))
    if signing.signer is Signer.AGENT:  # it signs what it is given, so nothing may be signed in trailers
        return whole.merge(Config(signature_version=UNSIGNED, request_checksum_calculation="when_required"))
    return whole


class _Sender:
    """Stands where botocore would send; from any thread."""

    def __init__(self, relay: Relay, signing: Signing, *, client: Any) -> None:
        self._relay = relay
        self._signing = signing
        self._meta: Any = client.meta

    def admit(self, model: OperationModel, **_: Any) -> None:
        """Event streams are conversations, and a vantage point gives one answer."""
        if model.has_event_stream_output or model.has_event_stream_input:
            raise self._relay.error(
                f"operation `{model.name}` of {self._meta.service_model.service_name} is an event stream, which no "
                "vantage point carries",
                remedy="use an operation that answers at once",
            )

    def send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        """One request, one answer; a failure of the network is botocore's own exception, so that it tries again."""
        signed = self._signed(request)
        headers, body = self._carried(request)
        answer = self._relay.send(
            request.method,
            request.url,
            headers=headers,
            body=body,
            signed_at=time.time() if signed else 0.0,
            ambient=self._meta.region_name if self._signing.signer is Signer.AGENT else None,
            connect_timeout=self._meta.config.connect_timeout,
            read_timeout=self._read_timeout(request),
        )
        if answer.failure is not None:
            raise _failed(answer, request)
        raw: Any = response(answer, method=request.method)
        made = AWSResponse(request.url, raw.status, raw.headers, raw)
        if not request.stream_output:
            made.content  # noqa: B018 - botocore reads it here as well, so that what is broken is told now
        return made

    def _read_timeout(self, request: Any) -> float:
        """The operation's own where botocore hands one along, else the client's."""
        found: float = (getattr(request, "context", None) or {}).get("read_timeout") or self._meta.config.read_timeout
        return found

    def _signed(self, request: AWSPreparedRequest) -> bool:
        """Whether it carries a signature, which must not cross in clear by an oversight."""
        signed = "Authorization" in request.headers or "X-Amz-Signature=" in request.url
        scheme = request.url.partition("://")[0]
        if (signed or self._signing.signer is Signer.AGENT) and scheme not in self._signing.schemes:
            raise CredentialError(
                f"a signed request would go to {plain(request.url)} in clear",
                remedy="use https, or give the principal `send_credentials_in_clear: true`",
            )
        return signed

    def _carried(self, request: AWSPreparedRequest) -> tuple[tuple[tuple[str, str], ...], bytes]:
        """Headers and body with a length that is known: chunks of the transfer are put together here."""
        headers: Any = request.headers
        rows = [(name, value.decode() if isinstance(value, bytes) else str(value)) for name, value in headers.items()]
        body = self._relay.body(request.method, request.url, request.body)
        if any(name.lower() == "transfer-encoding" for name, _ in rows):
            rows = [
                (name, value) for name, value in rows if name.lower() not in ("transfer-encoding", "content-length")
            ]
            rows.append(("Content-Length", str(len(body))))
        return tuple(rows), body


def _failed(answer: Answer, request: AWSPreparedRequest) -> Exception:
    """As botocore.httpsession tells them apart."""
    url, error = plain(request.url), answer.detail or str(answer.failure)
    if answer.failure is FailureKind.NOT_SENT:
        return ProxyConnectionError(proxy_url="the vantage point's proxy", error=error)
    make = _FAILURES[answer.failure or FailureKind.PROTOCOL]
    return make(endpoint_url=url, error=error)


_FAILURES: Final[dict[FailureKind, Callable[..., Exception]]] = {
    FailureKind.DNS: EndpointConnectionError,
    FailureKind.REFUSED: EndpointConnectionError,
    FailureKind.CONNECT_TIMEOUT: ConnectTimeoutError,
    FailureKind.TLS_HANDSHAKE: SSLError,
    FailureKind.TLS_CERTIFICATE: SSLError,
    FailureKind.READ_TIMEOUT: ReadTimeoutError,
    FailureKind.RESET: ConnectionClosedError,
    FailureKind.PROTOCOL: ConnectionClosedError,
}


def _transfer(relay: Relay, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """A transfer that keeps to this client: where awscrt is installed, boto3 may send with another from this machine.

    https://docs.aws.amazon.com/boto3/latest/guide/s3.html#configuration-settings (preferred_transfer_client)
    """
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(*args: Any, **named: Any) -> Any:
        bound = signature.bind(*args, **named)
        bound.arguments["Config"] = _classic(relay, name, bound.arguments.get("Config"))
        return method(*bound.args, **bound.kwargs)

    return call


def _classic(relay: Relay, name: str, given: Any) -> Any:
    if given is None:
        given = TransferConfig()
        room = relay.vantage.carries
        if room is not None and name.startswith("download"):
            given = TransferConfig(
                multipart_threshold=min(given.multipart_threshold, room),
                multipart_chunksize=min(given.multipart_chunksize, room),
            )
    if given.preferred_transfer_client.lower() == "crt":
        raise relay.error(
            "`preferred_transfer_client=crt` of a transfer would send from this machine", remedy="leave it out"
        )
    made = copy.copy(given)
    made.preferred_transfer_client = "classic"
    return made
