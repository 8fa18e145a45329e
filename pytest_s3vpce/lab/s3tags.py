"""Tags as S3 takes them, in the header of a write and in a document of their own.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3forms import element
from pytest_s3vpce.lab.s3words import invalid_value
from pytest_s3vpce.markup import below, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse

_MOST: Final = {"PutObjectTagging": ("Object", 10), "PutBucketTagging": ("Bucket", 50)}
_LONGEST_KEY, _LONGEST_VALUE = 128, 256
_NO_CONTENT: Final = 204


def check(asked: S3Request, body: bytes) -> None:
    """Refuse in S3's words tags that are too many, too long, AWS's own, or there twice."""
    name = asked.name
    if name in _MOST:
        _check_tags(in_document(body), *_MOST[name])
    elif "Tagging" in asked.parameters:
        text = str(asked.parameters["Tagging"])
        tags = parse_qsl(text, keep_blank_values=True)
        if len({key for key, _ in tags}) < len(tags):
            message = (
                "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag "
                "name duplicates."
            )
            raise invalid_value(message, name="x-amz-tagging", value=text)
        _check_tags(tags, *_MOST["PutObjectTagging"])


def as_done(asked: S3Request, request: HttpRequest) -> HttpRequest:
    """An object's tags are none: the state behind knows that as their deletion."""
    empty = asked.name == "PutObjectTagging" and not in_document(request.body)
    return replace(request, method="DELETE", body=b"") if empty else request


def settle(asked: S3Request, answer: HttpResponse) -> HttpResponse:
    """The answer as if the document had been taken."""
    emptied = asked.name == "PutObjectTagging" and answer.status == _NO_CONTENT
    return replace(answer, status=200) if emptied else answer


def in_document(body: bytes) -> list[tuple[str, str]]:
    """The tags that a document holds, in its order and as often as they are there."""
    rows = (texts(row) for row in below(element(body), "Tag"))
    return [(row.get("Key", ""), row.get("Value", "")) for row in rows]


def _check_tags(tags: Sequence[tuple[str, str]], what: str, most: int) -> None:
    if len(tags) > most:
        between = "tags" if what == "Object" else "tag count"
        raise Refused("BadRequest", status=400, message=f"{what} {between} cannot be greater than {most}")
    if len({key for key, _ in tags}) < len(tags):
        raise _invalid("Cannot provide multiple Tags with the same key")
    for key, value in tags:
        if not 0 < len(key) <= _LONGEST_KEY:
            raise _invalid("The TagKey you have provided is invalid")
        if len(value) > _LONGEST_VALUE:
            raise _invalid("The TagValue you have provided is invalid")
        if key.startswith("aws:"):
            raise _invalid("System tags cannot be added/updated by requester")


def _invalid(message: str) -> Refused:
    return Refused("InvalidTag", status=400, message=message)
