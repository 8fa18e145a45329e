"""Versions named, or told of, where a bucket is not versioned: the state behind knows them only where it is.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.reading import newest
from pytest_s3vpce.lab.wire import HttpResponse

if TYPE_CHECKING:
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

_SUCCESS: Final = 300


def is_absent(home: Any, key: str, version: str | None) -> bool:
    """Whether a version is named that is not there: its deletion does nothing, in a bucket without versions either.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html
    """
    return version is not None and newest(home, key, version) is None


def answer(state: State, _request: HttpRequest, asked: S3Request, bucket: BucketState) -> HttpResponse | None:
    """The answer to a deletion that does nothing; None for all else."""
    version = asked.parameters.get("VersionId")
    if asked.name != "DeleteObject" or not is_absent(state.stored(bucket.name), asked.key or "", version):
        return None
    return HttpResponse(status=204, headers=(("x-amz-version-id", str(version)),))


def as_done(asked: S3Request, request: HttpRequest, home: Any) -> HttpRequest:
    """A HEAD that names a version is a GET there, whose body is not sent."""
    return replace(request, method="GET") if _is_head(asked, home) else request


def settle(asked: S3Request, answer: HttpResponse, home: Any) -> HttpResponse:
    """The answer as to the HEAD; where a bucket never had versions, an object's is not told."""
    if answer.status >= _SUCCESS:
        return answer
    headers, body = list(answer.headers), answer.body
    if _is_head(asked, home):
        headers = [pair for pair in headers if pair[0].lower() != "content-length"]
        headers, body = [*headers, ("Content-Length", str(len(body)))], b""
    if home.versioning_status is None:
        headers = [(name, value) for name, value in headers if (name.lower(), value) != ("x-amz-version-id", "null")]
    return replace(answer, headers=tuple(headers), body=body)


def _is_head(asked: S3Request, home: Any) -> bool:
    named = asked.name == "HeadObject" and "VersionId" in asked.parameters
    return named and home.versioning_status != "Enabled"
