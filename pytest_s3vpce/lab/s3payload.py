"""The bytes that a request means to store, and the digests it sent of them, in headers or behind the last chunk."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.lab.wire import HttpRequest

_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[^\r\n]*)?\r\n")
_DATES: Final = ("if-modified-since", "if-unmodified-since")
_DIGESTS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "content-md5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "x-amz-checksum-crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "x-amz-checksum-sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
}


def check_digests(request: HttpRequest) -> None:
    """Refuse a body that is not what its digests say.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
    """
    body, trailers = unchunked(request)
    if _in_chunks(request) and request.header("x-amz-decoded-content-length") != str(len(body)):
        message = "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header"
        raise Refused("IncompleteBody", status=400, message=message)
    for name, digest in _DIGESTS.items():
        given = request.header(name)
        given = trailers.get(name) if given is None else given
        if given is None:
            continue
        what = "Content-MD5" if name == "content-md5" else name
        try:
            wanted = base64.b64decode(given, validate=True)
        except ValueError:
            wanted = b""
        found = digest(body)
        if len(wanted) != len(found):
            raise Refused("InvalidDigest", status=400, message=f"The {what} you specified was invalid.")
        if wanted != found:
            raise Refused("BadDigest", status=400, message=f"The {what} you specified did not match what we received.")


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
    unread: dict[str, str | None] = {name: None for name in _DATES if not _is_date(request.header(name))}
    if not _in_chunks(request):
        return {"headers": unread}
    body, trailers = unchunked(request)
    encodings = [name.strip() for name in (request.header("content-encoding") or "").split(",")]
    left = ",".join(name for name in encodings if name != "aws-chunked")
    framing = dict.fromkeys(("x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-trailer"))
    checksums = {name: value for name, value in trailers.items() if name.startswith("x-amz-checksum-")}
    return {"body": body, "headers": {**unread, **framing, "content-encoding": left or None, **checksums}}


def _is_date(text: str | None) -> bool:
    """A condition whose date can't be read is no condition: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.3"""
    try:
        datetime.strptime(text or "", "%a, %d %b %Y %H:%M:%S GMT")  # noqa: DTZ007 - only whether it can be read
    except ValueError:
        return False
    return True


def _in_chunks(request: HttpRequest) -> bool:
    return (request.header("x-amz-content-sha256") or "").startswith("STREAMING-")


def _incomplete() -> Refused:
    message = "The request body terminated unexpectedly"
    return Refused("IncompleteBody", status=400, message=message)
