"""Requests and answers of the services that take forms and write XML, such as STS and CloudFormation.

https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from pytest_s3vpce.lab.wire import HttpResponse

if TYPE_CHECKING:
    from pytest_s3vpce.lab.wire import HttpRequest


def form_of(request: HttpRequest) -> dict[str, str]:
    """What the body says, or the query where there is none."""
    text = request.body.decode("utf-8", "replace") or request.target.partition("?")[2]
    return dict(parse_qsl(text, keep_blank_values=True))


def answered(operation: str, result: str, *, namespace: str) -> HttpResponse:
    """The answer to an operation; the result is markup."""
    request_id = str(uuid.uuid4())
    text = (
        f'<{operation}Response xmlns="{namespace}"><{operation}Result>{result}</{operation}Result>'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    )
    headers = (("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id))
    return HttpResponse(status=200, headers=headers, body=text.encode())
