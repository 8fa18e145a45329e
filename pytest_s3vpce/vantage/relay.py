"""What the adapters share: one request to a vantage point and its answer back, within its limits, and on record."""

from __future__ import annotations

import itertools
import time
from email.message import Message
from http.client import responses
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from urllib3 import HTTPHeaderDict, HTTPResponse

from pytest_s3vpce.matrix import Call
from pytest_s3vpce.model import FailureKind, SignedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_s3vpce.errors import VantageError
    from pytest_s3vpce.model import Answer
    from pytest_s3vpce.vantage.base import Vantage

ANSWER_BYTES: Final = 1 << 40
"""What is brought back of an answer where the vantage point has no bound of its own."""
PROXY: Final = "proxy: "
"""How the agent's detail begins where the proxy was out of reach."""


class Relay:
    """Sends one request at a time, from any thread; `record` gets each, whatever came of it."""

    def __init__(self, vantage: Vantage, *, client: str, principal: str | None, record: Callable[[Call], None]) -> None:
        self.vantage = vantage
        self._client = client
        self._principal = principal
        self._record = record
        self._numbers = itertools.count()

    def send(self, method: str, url: str, **given: Any) -> Answer:
        """The answer, or a failure of the network on its way. VantageError where the vantage point is the reason."""
        request = SignedRequest(
            id=f"{self._client}-{next(self._numbers)}",
            method=method,
            url=url,
            max_body=self.vantage.carries or ANSWER_BYTES,
            **given,
        )
        started, answer = time.time(), None
        try:
            (answer,) = self.vantage.send([request])
        finally:
            self._record(
                call_of(
                    request,
                    answer,
                    client=self._client,
                    vantage=self.vantage.name,
                    principal=self._principal,
                    started=started,
                )
            )
        self._check(request, answer)
        return answer

    def body(self, method: str, url: str, content: Any) -> bytes:
        """A request's body read whole: bytes, text, a file or an iterable. VantageError past the limit."""
        limit = self.vantage.carries
        found = _read(content, None if limit is None else limit + _FRAMING + 1)
        if limit is not None and len(found) > limit + _FRAMING:
            raise self.error(
                f"the body of {method} {plain(url)} is larger than {_size(limit)}, all that kind "
                f"`{self.vantage.kind}` carries at a time",
                remedy=_LARGER,
            )
        return found

    def error(self, what: str, *, remedy: str | None = None) -> VantageError:
        return self.vantage.error(what, remedy=remedy)

    def _check(self, request: SignedRequest, answer: Answer) -> None:
        what = f"{request.method} {plain(request.url)}"
        if answer.truncated:
            limit = _size(self.vantage.carries or ANSWER_BYTES)
            raise self.error(
                f"the answer to {what} is larger than {limit}, all that kind `{self.vantage.kind}` carries at a time",
                remedy=_LARGER,
            )
        if answer.failure is FailureKind.FORBIDDEN_HOST:
            raise self.error(
                f"{what} is not sent: {answer.detail}",
                remedy="AWS's own hosts may be reached, and those that the inventory's `allow_hosts` names when the "
                "agent is deployed",
            )
        if answer.failure in _OURS and not answer.detail.startswith(PROXY):
            raise self.error(f"{what} is not sent: {answer.detail or answer.failure}")


def call_of(
    request: SignedRequest,
    answer: Answer | None,
    *,
    client: str,
    vantage: str,
    principal: str | None,
    started: float,
) -> Call:
    """What the evidence keeps of a request; without an answer the vantage point failed."""
    parts = urlsplit(request.url)
    failure = answer.failure.value if answer and answer.failure else None
    return Call(
        client=client,
        method=request.method,
        host=parts.netloc.rpartition("@")[2],
        path=parts.path,
        vantage=vantage,
        principal=principal,
        at=round(started, 3),
        seconds=round(time.time() - started, 3),
        status=answer.status if answer else None,
        failure=failure if answer else "vantage_point",
        peer=answer.peer if answer else None,
        request_id=answer.request_id if answer else None,
    )


_OURS: Final = frozenset({FailureKind.NOT_SENT, FailureKind.STALE})
_FRAMING: Final = 1024
"""What botocore may add to a body: the lengths of its chunks and a checksum behind the last one."""
_LARGER: Final = "send it in smaller parts (multipart, Range), or from a vantage point of kind `local` or `command`"


def plain(url: str) -> str:
    """An address without its query, where a signature might stand."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def response(answer: Answer, *, method: str) -> HTTPResponse:
    """The answer as urllib3 gives one, which both botocore and requests read, with its body waiting to be read."""
    headers = HTTPHeaderDict()
    message = Message()
    for name, value in answer.pairs or tuple(answer.headers.items()):
        headers.add(name, value)
        message[name] = value
    return HTTPResponse(
        body=BytesIO(answer.body),
        headers=headers,
        status=answer.status or 0,
        reason=responses.get(answer.status or 0),
        preload_content=False,
        decode_content=False,
        enforce_content_length=False,
        original_response=_Original(message),  # type: ignore[arg-type]  # only its cookies are read
        request_method=method,
    )


class _Original:
    """Where `requests` looks for cookies: http.client's response under urllib3's."""

    def __init__(self, msg: Message) -> None:
        self.msg = msg

    def isclosed(self) -> bool:
        return True

    def close(self) -> None:
        """There is no connection to close."""


def _read(content: Any, most: int | None) -> bytes:
    """At most `most` bytes of it."""
    if content is None:
        return b""
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content)
    found = bytearray()
    for piece in _pieces(content) if hasattr(content, "read") else content:
        found += piece.encode() if isinstance(piece, str) else piece
        if most is not None and len(found) >= most:
            break
    return bytes(found)


def _pieces(file: Any) -> Iterator[Any]:
    while piece := file.read(_PIECE):
        yield piece


_PIECE: Final = 1 << 20


def _size(count: int) -> str:
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:g} {unit}"
    return f"{count} bytes"
