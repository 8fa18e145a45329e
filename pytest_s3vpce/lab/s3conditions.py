"""Conditions and other headers of a request that the state behind reads otherwise than S3, or not at all.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3checks import copy_source, precondition, same_etag
from pytest_s3vpce.lab.s3forms import NUMBER, element
from pytest_s3vpce.lab.s3words import invalid_argument
from pytest_s3vpce.markup import below

if TYPE_CHECKING:
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

_RANGE: Final = re.compile(r"bytes=(?:[0-9]+-[0-9]*|-[0-9]+)")
_WRITES: Final = frozenset({"PutObject", "CopyObject", "CompleteMultipartUpload"})
_DIRECTIVES: Final = {"MetadataDirective": "metadata", "TaggingDirective": "tagging"}


def check(state: State, asked: S3Request, bucket: BucketState, body: bytes) -> None:
    """Refuse in S3's words what a write or copy may not be conditioned on, or what does not hold."""
    name, unwanted = asked.name, asked.parameters.get("IfNoneMatch")
    if name in _WRITES and unwanted not in (None, "*"):
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        details = (("Header", "If-None-Match"),)
        message = "A header you provided implies functionality that is not implemented"
        raise Refused("NotImplemented", status=501, message=message, details=details)
    for parameter, what in _DIRECTIVES.items():
        if name == "CopyObject" and asked.parameters.get(parameter, "COPY") not in {"COPY", "REPLACE"}:
            raise invalid_argument(f"Unknown {what} directive.")
    if "CopySource" in asked.parameters:
        _check_times(state, asked)
    if name == "CompleteMultipartUpload":
        _check_order(body)
        _check_completion(state, asked, bucket)


def unread(request: HttpRequest, asked: S3Request) -> dict[str, str | None]:
    """Headers that do not count beside others, or that S3 ignores as they are.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html and
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html
    """
    found: dict[str, str | None] = {}
    wanted = request.header("if-match")
    if wanted is not None and request.header("if-unmodified-since") is not None:
        found["if-unmodified-since"] = None
    if wanted == "*" and asked.name == "DeleteObject":
        found["if-match"] = None  # it is there: that was looked at before
    asked_for = request.header("range")
    if asked_for is not None and not _RANGE.fullmatch(asked_for.strip()):
        found["range"] = None
    return found


def _check_times(state: State, asked: S3Request) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""
    source = copy_source(asked)
    stored = state.stored(source.bucket, source.key, source.version)
    changed = stored.last_modified.replace(tzinfo=UTC, microsecond=0)
    since, until = (_time(asked.parameters.get(f"CopySourceIf{name}Since")) for name in ("Modified", "Unmodified"))
    if until is not None and changed > until and "CopySourceIfMatch" not in asked.parameters:
        raise precondition("x-amz-copy-source-If-Unmodified-Since")
    if since is not None and changed <= since and "CopySourceIfNoneMatch" not in asked.parameters:
        raise precondition("x-amz-copy-source-If-Modified-Since")


def _time(text: Any) -> datetime | None:
    """A date that can't be read is no condition."""
    try:
        found = parsedate_to_datetime(str(text))
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _check_order(body: bytes) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html"""
    texts = [row.text or "" for row in below(element(body), "PartNumber")]
    numbers = [int(text) for text in texts if NUMBER.fullmatch(text)]
    if numbers != sorted(set(numbers)):
        message = "The list of parts was not in ascending order. Parts must be ordered by part number."
        raise Refused("InvalidPartOrder", status=400, message=message)


def _check_completion(state: State, asked: S3Request, bucket: BucketState) -> None:
    wanted, unwanted = (asked.parameters.get(name) for name in ("IfMatch", "IfNoneMatch"))
    etag = state.object_etag(bucket.name, asked.key or "")
    if unwanted is not None and etag is not None:
        raise precondition("If-None-Match")
    if wanted is not None and etag is None:
        raise Refused("NoSuchKey", status=404, message="The specified key does not exist.")
    if wanted is not None and etag is not None and not same_etag(wanted, etag):
        raise precondition("If-Match")
