"""Clients of the lab's own services: their requests go to the gateway in this process, as whoever asked for a stack.

CloudFormation acts with its caller's credentials, by forward access sessions:
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_forward_access_sessions.html
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import botocore.session
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.config import Config

from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.lab.origin import Origin

VIA: Final = "cloudformation.amazonaws.com"
_SETTINGS: Final[dict[str, Any]] = {
    "retries": {"total_max_attempts": 1},
    "ignore_configured_endpoint_urls": True,
    "s3": {"addressing_style": "path"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Whose keys sign, and where they stand."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    origin: Origin


class Clients:
    """Makes clients. Safe to use from several threads, each client by one of them."""

    def __init__(self, handle: Callable[[HttpRequest], HttpResponse]) -> None:
        self._handle = handle
        self._session: Any = None

    def of(self, signer: Signer, *, region: str) -> Callable[[str], Any]:
        """By service's name, each made once."""
        made: dict[str, Any] = {}

        def client(service: str) -> Any:
            if service not in made:
                made[service] = self._client(service, signer, region=region)
            return made[service]

        return client

    def _client(self, service: str, signer: Signer, *, region: str) -> Any:
        if self._session is None:
            self._session = botocore.session.Session(profile=None)
        client = self._session.create_client(
            service,
            region_name=region,
            aws_access_key_id=signer.access_key_id,
            aws_secret_access_key=signer.secret_access_key,
            aws_session_token=signer.session_token,
            config=Config(**_SETTINGS),
        )
        client.meta.events.register("before-send.*", lambda request, **_: self._answered(request, signer.origin))
        return client

    def _answered(self, request: Any, origin: Origin) -> Any:
        parts = urlsplit(request.url)
        body = request.body or b""
        body = body.read() if hasattr(body, "read") else body
        headers = {"Host": parts.netloc} | {
            name: value.decode() if isinstance(value, bytes) else str(value) for name, value in request.headers.items()
        }
        answer = self._handle(
            HttpRequest(
                method=request.method,
                target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
                headers=tuple(headers.items()),
                body=body.encode() if isinstance(body, str) else bytes(body),
                host=parts.netloc,
                scheme="https",
                tls="TLSv1.3",
                origin=origin,
                peer="",
                via=VIA,
            )
        )
        told: Any = HeadersDict(answer.headers)
        made: Any = AWSResponse(request.url, answer.status, told, io.BytesIO(answer.body))
        made._content = answer.body  # noqa: SLF001 - what reading `raw`, which is no connection here, would set
        return made
