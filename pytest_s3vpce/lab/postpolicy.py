"""The policy document of a form: what the signer lets whoever has the form upload.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNCONDITIONED: Final = frozenset({"policy", "x-amz-signature", "awsaccesskeyid", "signature", "file"})
_IGNORED: Final = ("x-ignore-", "x-amz-checksum-")
"""Also digests of the file: they let nobody do anything, and suites send them without a condition."""
_RANGE: Final = "content-length-range"
_EXPIRATION: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Condition:
    """One condition on one field; `shown` is it as the document words it."""

    operator: str
    name: str
    value: str
    shown: str

    def holds(self, given: str | None) -> bool:
        if given is None:
            return self.operator == "starts-with" and not self.value
        if self.operator == "eq":
            return given == self.value
        parts = given.split(",") if self.name == "content-type" else [given]
        return all(part.strip().startswith(self.value) for part in parts)


def check_policy(text: str, *, fields: Mapping[str, str], bucket: str, size: int, now: datetime) -> None:
    """Refuses in S3's words what the policy does not let through."""
    document = _document(text)
    if now > _expiration(document):
        raise _against("Policy expired.")
    values = {**fields, "bucket": bucket}
    rows = document.get("conditions")
    if not isinstance(rows, list):
        raise _invalid("Policy missing conditions.")
    named = set()
    for row in rows:
        if isinstance(row, list) and len(row) == 3 and str(row[0]).lower() == _RANGE:
            _check_size(row, size=size)
            continue
        condition = _condition(row)
        named.add(condition.name)
        if not condition.holds(values.get(condition.name)):
            raise _against(f"Policy Condition failed: {condition.shown}")
    free = {name for name in values if name in _UNCONDITIONED or name.startswith(_IGNORED)}
    if "bucket" not in named:
        raise _against("Extra input fields: bucket")
    extra = sorted(values.keys() - free - named - {"bucket"})
    if extra:
        raise _against(f"Extra input fields: {', '.join(extra)}")


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(base64.b64decode(text, validate=True))
    except (ValueError, RecursionError) as error:
        raise _invalid("Invalid JSON.") from error
    if not isinstance(document, dict):
        raise _invalid("Invalid JSON.")
    return document


def _expiration(document: Mapping[str, Any]) -> datetime:
    if "expiration" not in document:
        raise _invalid("Policy missing expiration.")
    given = document["expiration"]
    try:
        if not isinstance(given, str) or not _EXPIRATION.fullmatch(given):
            raise ValueError(given)  # noqa: TRY301 - as a date that does not exist
        return datetime.strptime(given[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise _invalid(f"Invalid 'expiration' value: '{given}'") from error


def _condition(row: Any) -> _Condition:
    if isinstance(row, dict) and len(row) == 1:
        name, value = next(iter(row.items()))
        operator = "eq"
    elif isinstance(row, list) and len(row) == 3 and isinstance(row[1], str) and row[1].startswith("$"):
        operator, name, value = str(row[0]).lower(), row[1][1:], row[2]
    else:
        raise _invalid("Invalid Condition element.")
    if operator not in {"eq", "starts-with"} or not isinstance(value, str):
        raise _invalid("Invalid Condition element.")
    shown = json.dumps([operator, f"${name}", value])
    return _Condition(operator=operator, name=name.lower(), value=value, shown=shown)


def _check_size(row: list[Any], *, size: int) -> None:
    try:
        least, most = int(row[1]), int(row[2])
    except (ValueError, TypeError) as error:
        raise _invalid("Invalid content-length-range.") from error
    if least < 0 or most < least:
        raise _invalid("Invalid content-length-range.")
    if size < least:
        details = (("ProposedSize", str(size)), ("MinSizeAllowed", str(least)))
        message = "Your proposed upload is smaller than the minimum allowed size"
        raise Refused("EntityTooSmall", status=400, message=message, details=details)
    if size > most:
        details = (("ProposedSize", str(size)), ("MaxSizeAllowed", str(most)))
        message = "Your proposed upload exceeds the maximum allowed size"
        raise Refused("EntityTooLarge", status=400, message=message, details=details)


def _invalid(message: str) -> Refused:
    return Refused("InvalidPolicyDocument", status=400, message=f"Invalid Policy: {message}")


def _against(message: str) -> Refused:
    return Refused("AccessDenied", status=403, message=f"Invalid according to Policy: {message}")
