"""Events and log lines as records, each with what it is found by: a request's id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pytest_s3vpce.records import Record, RecordKind

_CATEGORIES: Final[Mapping[str, RecordKind]] = {
    "Data": RecordKind.DATA,
    "Management": RecordKind.MANAGEMENT,
    "NetworkActivity": RecordKind.NETWORK_ACTIVITY,
}
_LINE: Final = re.compile(r'\[[^\]]*\]|"[^"]*"|\S+')
_ACCESS: Final = (
    "owner",
    "bucket",
    "time",
    "address",
    "requester",
    "request_id",
    "operation",
    "key",
    "uri",
    "status",
    "error",
    "sent",
    "size",
    "total",
    "turn_around",
    "referer",
    "agent",
    "version",
    "host_id",
    "signature",
    "cipher",
    "authentication",
    "host",
    "tls",
)
"""The fields of a line in their order; newer ones may follow.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html"""


def of_event(event: Mapping[str, Any], *, source: str) -> tuple[str, Record] | None:
    """Request id and record of a CloudTrail event; None for what is no request of anybody's.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
    """
    kind = _CATEGORIES.get(str(event.get("eventCategory")))
    request_id = event.get("requestID")
    if kind is None or not isinstance(request_id, str):
        return None
    who, tls = _mapping(event.get("userIdentity")), _mapping(event.get("tlsDetails"))
    return request_id, Record(
        kind=kind,
        source=source,
        at=str(event.get("eventTime", "")),
        id=_text(event.get("eventID")),
        name=_text(event.get("eventName")),
        principal=_text(who.get("arn") or who.get("accountId")),
        address=_text(event.get("sourceIPAddress")),
        vpc_endpoint=_text(event.get("vpcEndpointId")),
        vpc_endpoint_account=_text(event.get("vpcEndpointAccountId")),
        tls=_text(tls.get("tlsVersion")),
        cipher=_text(tls.get("cipherSuite")),
        error_code=_text(event.get("errorCode")),
        error_message=_text(event.get("errorMessage")),
    )


def of_access_line(line: str, *, source: str) -> tuple[str, Record] | None:
    """Request id and record of a line of a server access log; None where it is none."""
    found = [field.strip('"') for field in _LINE.findall(line)]
    if len(found) < len(_ACCESS):
        return None
    row = {name: (None if value == "-" else value) for name, value in zip(_ACCESS, found, strict=False)}
    return str(row["request_id"]), Record(
        kind=RecordKind.ACCESS_LOG,
        source=source,
        at=str(row["time"]).strip("[]"),
        name=row["operation"],
        principal=row["requester"],
        address=row["address"],
        tls=row["tls"],
        cipher=row["cipher"],
        error_code=row["error"],
    )


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _text(found: object) -> str | None:
    return None if found is None else str(found)
