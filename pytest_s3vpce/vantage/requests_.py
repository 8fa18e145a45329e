"""A `requests.Session` whose requests leave from a vantage point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as Disconnected
from requests.exceptions import ConnectTimeout, ProxyError, ReadTimeout, RequestException, SSLError
from requests.utils import urldefragauth
from urllib3.util import Timeout

from pytest_s3vpce.model import FailureKind
from pytest_s3vpce.vantage.relay import plain, response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.model import Answer
    from pytest_s3vpce.vantage.relay import Relay

READ_TIMEOUT: Final = 60.0
"""Seconds for an answer where the caller names none: a vantage point does not wait for ever."""


def session(*, relay: Relay, user_agent: str = "") -> requests.Session:
    """A session of its own. This machine's proxies, CA bundles and .netrc are not the vantage point's: none is read."""
    made = requests.Session()
    made.trust_env = False
    if user_agent:
        made.headers["User-Agent"] = f"python-requests/{requests.__version__} {user_agent}"
    adapter = _Adapter(relay)
    for scheme in ("https://", "http://"):
        made.mount(scheme, adapter)
    return made


class _Adapter(HTTPAdapter):
    """Sends through a relay what requests' own adapter sends through urllib3; responses are built by the same code."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay

    def send(  # noqa: PLR0917 - requests' own signature
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002, ARG002 - "
        timeout: Any = None,
        verify: bool | str = True,  # noqa: FBT001, FBT002 - "
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """VantageError for what can't cross; else as requests: a response, or one of its exceptions."""
        self._refuse(verify=verify, cert=cert, proxies=proxies)
        method, url = request.method or "GET", urldefragauth(request.url or "")
        body = self._relay.body(method, url, request.body)
        connect, read = _timeouts(timeout)
        answer = self._relay.send(
            method,
            url,
            headers=_headers(request, body),
            body=body,
            connect_timeout=connect,
            read_timeout=read or READ_TIMEOUT,
        )
        if answer.failure is not None:
            raise _failed(answer, request)
        return self.build_response(request, response(answer, method=method))

    def _refuse(self, *, verify: bool | str, cert: Any, proxies: Mapping[str, str] | None) -> None:
        given = {
            "cert": (cert, "a client certificate's key would have to travel"),
            "proxies": (proxies, "the vantage point's own `proxy` is used"),
            "verify": (verify is not True, "the vantage point verifies with its own certificates"),
        }
        for name, (value, why) in given.items():
            if value:
                raise self._relay.error(f"`{name}` can't cross: {why}", remedy=f"leave `{name}` out")


def _headers(request: requests.PreparedRequest, body: bytes) -> tuple[tuple[str, str], ...]:
    """As they are, with a length in place of chunks: the body was put together here."""
    rows = [(_text(name), _text(value)) for name, value in request.headers.items()]
    if any(name.lower() == "transfer-encoding" for name, _ in rows):
        rows = [(name, value) for name, value in rows if name.lower() != "transfer-encoding"]
        rows.append(("Content-Length", str(len(body))))
    return tuple(rows)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _timeouts(given: Any) -> tuple[float | None, float | None]:
    """Connect and read, from a number, a pair, or urllib3's Timeout, which says what is none."""
    if not isinstance(given, Timeout):
        try:
            connect, read = given if isinstance(given, tuple) else (given, given)
        except ValueError:
            raise ValueError(f"invalid timeout {given}: give a number, or a (connect, read) pair") from None
        given = Timeout(connect=connect, read=read)
    return _number(given.connect_timeout), _number(given.read_timeout)


def _number(given: Any) -> float | None:
    return given if isinstance(given, (int, float)) else None


def _failed(answer: Answer, request: requests.PreparedRequest) -> RequestException:
    """As requests.adapters tells them apart."""
    kind = ProxyError if answer.failure is FailureKind.NOT_SENT else _FAILURES[answer.failure or FailureKind.PROTOCOL]
    detail = answer.detail or str(answer.failure)
    return kind(f"{request.method} {plain(request.url or '')}: {detail}", request=request)


_FAILURES: Final[dict[FailureKind, type[RequestException]]] = {
    FailureKind.DNS: Disconnected,
    FailureKind.REFUSED: Disconnected,
    FailureKind.CONNECT_TIMEOUT: ConnectTimeout,
    FailureKind.TLS_HANDSHAKE: SSLError,
    FailureKind.TLS_CERTIFICATE: SSLError,
    FailureKind.READ_TIMEOUT: ReadTimeout,
    FailureKind.RESET: Disconnected,
    FailureKind.PROTOCOL: Disconnected,
}
