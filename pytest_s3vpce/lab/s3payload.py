"""The bytes that a request means to store, and the digests it sent of them, in headers or behind the last chunk."""

from __future__ import annotations

import base64
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.checksums import CONTENT_MD5, DIGESTS
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3words import invalid_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.wire import HttpRequest

_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[^\r\n]*)?\r\n")
_DATES: Final = ("if-modified-since", "if-unmodified-since")
_DIGEST_HEADERS: Final = frozenset(DIGESTS)


def check_digests(request: HttpRequest) -> None:
    """Refuse a body that is not what its digests say.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
    """
    body, trailers = unchunked(request)
    if _in_chunks(request) and request.header("x-amz-decoded-content-length") != str(len(body)):
        message = "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header"
        raise Refused("IncompleteBody", status=400, message=message)
    if trailers or _DIGEST_HEADERS & {name.lower() for name, _ in request.headers}:
        _check_digests(request, body, trailers)


def _check_digests(request: HttpRequest, body: bytes, trailers: Mapping[str, str]) -> None:
    given = {name: request.header(name) or trailers.get(name) for name in DIGESTS}
    sent = {name: value for name, value in given.items() if value is not None or request.header(name) is not None}
    if len(sent.keys() - {CONTENT_MD5}) > 1:
        message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        raise invalid_request(message)
    for name, text in sent.items():
        width, digest = DIGESTS[name]
        wanted = _decoded(text or "")
        if len(wanted) != width and name == CONTENT_MD5:
            raise Refused("InvalidDigest", status=400, message="The Content-MD5 you specified was invalid.")
        if len(wanted) != width:
            raise invalid_request(f"Value for {name} header is invalid.")
        found = digest(body)
        if found is not None and found != wanted:
            raise _bad_digest(name)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _bad_digest(name: str) -> Refused:
    kind = name.rpartition("-")[2].upper()
    message = f"The {kind} you specified did not match the calculated checksum."
    if name == CONTENT_MD5:
        message = "The Content-MD5 you specified did not match what we received."
    return Refused("BadDigest", status=400, message=message)


def unchunked(request: HttpRequest) -> tuple[bytes, Mapping[str, str]]:
    """The body without its aws-chunked framing, and the headers that came after it.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
    """
    if not _in_chunks(request):
        return request.body, {}
    parts, at = [], 0
    while True:
        chunk = _CHUNK.match(request.body, at)
        if chunk is None:
            raise _incomplete()
        start, size = chunk.end(), int(chunk[1], 16)
        if size == 0:
            break
        at = start + size + 2
        if request.body[start + size : at] != b"\r\n":
            raise _incomplete()
        parts.append(request.body[start : start + size])
    lines = request.body[start:].decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines if ":" in line)
    return b"".join(parts), {name.strip().lower(): value.strip() for name, _, value in fields}


def as_stored(request: HttpRequest) -> dict[str, Any]:
    """What takes the place of body and headers: a request that came in chunks is as if it came whole."""
    dates = {name: request.named[name] for name in _DATES if name in request.named}
    unread: dict[str, str | None] = {name: None for name, text in dates.items() if not _is_date(text)}
    if not _in_chunks(request):
        return {"headers": unread}
    body, trailers = unchunked(request)
    encodings = [name.strip() for name in (request.header("content-encoding") or "").split(",")]
    left = ",".join(name for name in encodings if name != "aws-chunked")
    framing = dict.fromkeys(("x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-trailer"))
    checksums = {name: value for name, value in trailers.items() if name.startswith("x-amz-checksum-")}
    return {"body": body, "headers": {**unread, **framing, "content-encoding": left or None, **checksums}}


def _is_date(text: str) -> bool:
    """A condition whose date can't be read is no condition: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.3"""
    try:
        datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT")  # noqa: DTZ007 - only whether it can be read
    except ValueError:
        return False
    return True


def _in_chunks(request: HttpRequest) -> bool:
    return (request.header("x-amz-content-sha256") or "").startswith("STREAMING-")


def _incomplete() -> Refused:
    message = "The request body terminated unexpectedly"
    return Refused("IncompleteBody", status=400, message=message)
