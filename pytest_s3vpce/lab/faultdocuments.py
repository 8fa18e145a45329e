"""A refusal as the error document of the service that was asked."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from pytest_s3vpce.lab.wire import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.lab.refused import Refused
    from pytest_s3vpce.lab.wire import HttpRequest

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def document(refused: Refused, *, service: str, request: HttpRequest) -> HttpResponse:
    """Status, headers and body as this service words its errors.

    https://smithy.io/2.0/aws/protocols/index.html
    """
    write = _WRITERS.get(service)
    if write is None:
        # Services whose requests are forms answer in XML; nearly all others speak JSON.
        write = _query if "form-urlencoded" in (request.header("content-type") or "") else _json
    return write(refused, str(uuid.uuid4()))


def _json(refused: Refused, request_id: str) -> HttpResponse:
    body = {"__type": refused.code, "message": refused.message, "Type": "User"}
    headers = (
        ("Content-Type", "application/json"),
        ("x-amzn-RequestId", request_id),
        ("x-amzn-ErrorType", refused.code),
    )
    return HttpResponse(status=refused.status, headers=headers, body=json.dumps(body).encode())


def _query(refused: Refused, request_id: str) -> HttpResponse:
    text = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{escape(refused.code)}</Code>"
        f"<Message>{escape(refused.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return _xml(refused.status, text, request_id)


def _ec2(refused: Refused, request_id: str) -> HttpResponse:
    text = (
        f"<Response><Errors><Error><Code>{escape(refused.code)}</Code><Message>{escape(refused.message)}</Message>"
        f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    )
    return _xml(refused.status, text, request_id)


def _s3(refused: Refused, request_id: str) -> HttpResponse:
    details = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in refused.details)
    text = (
        f"<Error><Code>{escape(refused.code)}</Code><Message>{escape(refused.message)}</Message>{details}"
        f"<RequestId>{request_id}</RequestId></Error>"
    )
    return _xml(refused.status, text, request_id)


def _xml(status: int, text: str, request_id: str) -> HttpResponse:
    headers = (("Content-Type", "application/xml"), ("x-amz-request-id", request_id))
    return HttpResponse(status=status, headers=headers, body=(_DECLARATION + text).encode())


_WRITERS: dict[str, Callable[[Refused, str], HttpResponse]] = {
    "s3": _s3,
    "s3control": _query,
    "route53": _query,
    "cloudfront": _query,
    "ec2": _ec2,
    "lambda": _json,
    "iam": _query,
    "sts": _query,
}
