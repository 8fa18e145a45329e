"""A refusal as the error document of the service that was asked."""

from __future__ import annotations

import base64
import json
import random
import uuid
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.wire import HttpResponse
from pytest_s3vpce.markup import DECLARATION, elements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.lab.wire import HttpRequest

# No secret, and drawn without a call of the system's, at which a thread among many waits for its next turn.
_IDS = random.Random()  # noqa: S311


def document(refused: Refused, *, service: str, request: HttpRequest) -> HttpResponse:
    """Status, headers and body as this service words its errors.

    https://smithy.io/2.0/aws/protocols/index.html
    """
    write = _WRITERS.get(service)
    if write is None:
        # Services whose requests are forms answer in XML; nearly all others speak JSON.
        write = _query if "form-urlencoded" in (request.header("content-type") or "") else _json
    if write is _s3:
        return _s3(refused)
    return write(_reworded(refused, _FAILED_AUTHENTICATION.get(write, {})), str(uuid.uuid4()))


def _reworded(refused: Refused, words: Mapping[str, tuple[str, int, str]]) -> Refused:
    if refused.code not in words:
        return refused
    code, status, message = words[refused.code]
    return Refused(code, status=status, message=message or refused.message)


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
        f"<ErrorResponse><Error><Type>Sender</Type>{_said(refused)}</Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return _xml(refused.status, text, request_id)


def _ec2(refused: Refused, request_id: str) -> HttpResponse:
    text = f"<Response><Errors><Error>{_said(refused)}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    return _xml(refused.status, text, request_id)


def _s3(refused: Refused, _: str = "") -> HttpResponse:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""
    request_id, host_id = s3_ids()
    details = "".join(elements(**{name: value}) for name, value in refused.details)
    text = f"<Error>{_said(refused)}{details}{elements(RequestId=request_id, HostId=host_id)}</Error>"
    headers = (
        ("Content-Type", "application/xml"),
        ("x-amz-request-id", request_id),
        ("x-amz-id-2", host_id),
        *refused.headers,
    )
    return HttpResponse(status=refused.status, headers=headers, body=(DECLARATION + text).encode())


def _said(refused: Refused) -> str:
    return elements(Code=refused.code, Message=refused.message)


def s3_ids() -> tuple[str, str]:
    """The two ids of an answer of S3's, in the shape of its own."""
    drawn = _IDS.randbytes(56)
    return drawn[:8].hex().upper(), base64.b64encode(drawn[8:]).decode()


def _xml(status: int, text: str, request_id: str) -> HttpResponse:
    headers = (("Content-Type", "application/xml"), ("x-amz-request-id", request_id))
    return HttpResponse(status=status, headers=headers, body=(DECLARATION + text).encode())


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

# S3's names of failed authentication in the words of the other protocols.
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html and
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html#CommonErrors
_INVALID: Final = "The security token included in the request is invalid."
_EXPIRED: Final = "The security token included in the request is expired"
_NOT_VALIDATED: Final = "AWS was not able to validate the provided access credentials"
_FAILED_AUTHENTICATION: Final[Mapping[Callable[[Refused, str], HttpResponse], Mapping[str, tuple[str, int, str]]]] = {
    _query: {
        "InvalidAccessKeyId": ("InvalidClientTokenId", 403, _INVALID),
        "InvalidToken": ("InvalidClientTokenId", 403, _INVALID),
        "ExpiredToken": ("ExpiredToken", 403, _EXPIRED),
        "RequestTimeTooSkewed": ("SignatureDoesNotMatch", 403, ""),
    },
    _json: {
        "InvalidAccessKeyId": ("UnrecognizedClientException", 403, _INVALID),
        "InvalidToken": ("UnrecognizedClientException", 403, _INVALID),
        "ExpiredToken": ("ExpiredTokenException", 403, _EXPIRED),
        "SignatureDoesNotMatch": ("InvalidSignatureException", 403, ""),
        "RequestTimeTooSkewed": ("InvalidSignatureException", 403, ""),
    },
    _ec2: {
        "InvalidAccessKeyId": ("AuthFailure", 401, _NOT_VALIDATED),
        "InvalidToken": ("AuthFailure", 401, _NOT_VALIDATED),
        "SignatureDoesNotMatch": ("AuthFailure", 401, _NOT_VALIDATED),
        "ExpiredToken": ("RequestExpired", 400, "Request has expired."),
        "RequestTimeTooSkewed": ("RequestExpired", 400, "Request has expired."),
    },
}
