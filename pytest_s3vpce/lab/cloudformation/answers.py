"""Requests and answers of CloudFormation's API: forms in, XML out.

https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from pytest_s3vpce.lab.wire import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.wire import HttpRequest

_NAMESPACE: Final = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
_UNPRINTABLE: Final = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def form(request: HttpRequest) -> dict[str, str]:
    text = request.body.decode("utf-8", "replace") or request.target.partition("?")[2]
    return dict(parse_qsl(text, keep_blank_values=True))


def members(given: Mapping[str, str], name: str) -> list[dict[str, str]]:
    """The rows of a list; a row that is text is under the empty name."""
    pattern = re.compile(rf"{re.escape(name)}\.member\.(\d+)(?:\.(.+))?")
    rows: dict[int, dict[str, str]] = {}
    for key, value in given.items():
        found = pattern.fullmatch(key)
        if found:
            rows.setdefault(int(found[1]), {})[found[2] or ""] = value
    return [rows[number] for number in sorted(rows)]


def texts(given: Mapping[str, str], name: str) -> list[str]:
    return [row[""] for row in members(given, name) if "" in row]


def answer(operation: str, result: Mapping[str, Any]) -> HttpResponse:
    request_id = str(uuid.uuid4())
    body = (
        f'<{operation}Response xmlns="{_NAMESPACE}"><{operation}Result>{_inner(result)}</{operation}Result>'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    )
    headers = (("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id))
    return HttpResponse(status=200, headers=headers, body=body.encode())


def _inner(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_inner(row)}</{name}>" for name, row in value.items() if row is not None)
    if isinstance(value, (list, tuple)):
        return "".join(f"<member>{_inner(row)}</member>" for row in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    return escape(_UNPRINTABLE.sub("?", str(value)))
