"""One request through a WSGI application in this process: no socket, headers as the lab decides."""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from pytest_s3vpce.lab.wire import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from pytest_s3vpce.lab.wire import HttpRequest

    Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

ACCOUNT_HEADER = "x-moto-account-id"
# The lab speaks for the client: hop-by-hop fields, credentials and the account are its own affair.
_WITHHELD = frozenset(
    {
        "host",
        "transfer-encoding",
        "content-length",
        "connection",
        "expect",
        "authorization",
        "x-amz-security-token",
        "cookie",
        ACCOUNT_HEADER,
    }
)
_FORM = "application/x-www-form-urlencoded"
_CREDENTIAL = re.compile(r"Credential=([A-Za-z0-9]+)/")
# A presigned request is verified before; its query must not make the state behind judge it again.
_SIGNED_QUERY = re.compile(r"X-Amz-(?:Algorithm|Credential|Date|Expires|SignedHeaders|Signature|Security-Token)(?:=|$)")


_SAME: Final[Mapping[str, Any]] = {
    "SCRIPT_NAME": "",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "127.0.0.1",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}
"""Of every request."""


def environ_of(
    request: HttpRequest,
    *,
    service: str,
    account: str,
    region: str,
    target: str | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str | None] | None = None,
) -> dict[str, Any]:
    """The WSGI environment; `headers` overrides those sent (None removes one)."""
    sent = request.body if body is None else body
    path, _, query = (request.target if target is None else target).partition("?")
    query = "&".join(part for part in query.split("&") if not _SIGNED_QUERY.match(part))
    host = f"{service}.{region}.amazonaws.com"
    environ: dict[str, Any] = {
        **_SAME,
        "REQUEST_METHOD": request.method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": f"{path}?{query}" if query else path,
        "REQUEST_URI": f"{path}?{query}" if query else path,
        "SERVER_NAME": host,
        "HTTP_HOST": host,
        "HTTP_X_MOTO_ACCOUNT_ID": account,
        "HTTP_AUTHORIZATION": _authorization(request, service=service, region=region),
        "CONTENT_LENGTH": str(len(sent)),
        "wsgi.input": io.BytesIO(sent),
        "wsgi.errors": sys.stderr,
    }
    for name, value in _merged(request, headers or {}).items():
        environ["CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper().replace('-', '_')}"] = value
    return environ


def _merged(request: HttpRequest, overrides: Mapping[str, str | None]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for name, value in request.headers:
        lowered = name.lower()
        # A header with an underscore would pass for the one with a hyphen.
        if lowered not in _WITHHELD and "_" not in lowered:
            merged[lowered] = f"{merged[lowered]},{value}" if lowered in merged else value
    for name, override in overrides.items():
        merged.pop(name.lower(), None)
        if override is not None:
            merged[name.lower()] = override
    return merged


def _authorization(request: HttpRequest, *, service: str, region: str) -> str:
    match = _CREDENTIAL.search(request.header("authorization") or "")
    key = match[1] if match else "AKIAS3VPCELAB0000000"
    scope = f"{key}/20200101/{region}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"


def hide_form(environ: dict[str, Any]) -> str | None:
    """Take away the content type of a form: read as a form, an object's body would be lost. Returns what it was."""
    sent = environ.get("CONTENT_TYPE")
    if environ["REQUEST_METHOD"] != "PUT" or sent is None or not sent.lower().startswith(_FORM):
        return None
    environ["CONTENT_TYPE"] = "binary/octet-stream"
    return str(sent)


def run(application: Application, environ: dict[str, Any]) -> HttpResponse:
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> Callable[[bytes], None]:
        started.append((status, headers))
        return lambda _: None

    chunks = application(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    status, headers = started[-1]
    return HttpResponse(status=int(status.partition(" ")[0]), headers=tuple(headers), body=body)
