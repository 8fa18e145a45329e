"""The lists in requests to CloudFormation, and its answers.

https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.queryprotocol import answered
from pytest_s3vpce.markup import in_xml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.wire import HttpResponse

_NAMESPACE: Final = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
_UNPRINTABLE: Final = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


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
    return answered(operation, _inner(result), namespace=_NAMESPACE)


def _inner(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_inner(row)}</{name}>" for name, row in value.items() if row is not None)
    if isinstance(value, (list, tuple)):
        return "".join(f"<member>{_inner(row)}</member>" for row in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    return in_xml(_UNPRINTABLE.sub("?", str(value)))
