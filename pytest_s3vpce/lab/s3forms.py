"""Whether what a request says can be read at all: its document, its numbers, its canned ACL.

S3 looks at these after authorisation here; the order is documented nowhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree as ET

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3words import invalid_argument, invalid_value
from pytest_s3vpce.markup import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_s3vpce.lab.s3requests import S3Request

_LARGEST: Final = 2**31 - 1
NUMBER: Final = re.compile(r"[0-9]{1,19}")
"""What may be one of S3's: Python reads no number of thousands of digits."""
_LONGEST_KEY: Final = 1024
"""In bytes. https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_METADATA: Final = "x-amz-meta-"
_MOST_METADATA: Final = 2048
_VERSION: Final = re.compile(r"null|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Ids as the state behind gives them out. S3 knows its own too, and refuses what only looks like one:
https://github.com/versity/versitygw/pull/1638"""
_ADDRESS: Final = re.compile(r"\d+\.\d+\.\d+\.\d+")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl
_CANNED: Final = frozenset(
    {
        "private",
        "public-read",
        "public-read-write",
        "authenticated-read",
        "aws-exec-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
        "log-delivery-write",
    }
)


def check_form(asked: S3Request, body: bytes) -> None:
    """Refuse what S3 would not understand. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""
    for name in sorted(asked.integers):
        text = str(asked.parameters[name])
        if not (NUMBER.fullmatch(text) and int(text) <= _LARGEST):
            message = f"Provided {name} not an integer or within integer range"
            raise invalid_argument(message)
    if asked.key is not None and len(asked.key.encode("utf-8", "surrogatepass")) > _LONGEST_KEY:
        details = (
            ("Size", str(len(asked.key.encode("utf-8", "surrogatepass")))),
            ("MaxSizeAllowed", str(_LONGEST_KEY)),
        )
        raise Refused("KeyTooLongError", status=400, message="Your key is too long", details=details)
    if "VersionId" in asked.parameters:
        check_version(str(asked.parameters["VersionId"]), name="versionId")
    _check_marker(asked)
    if asked.parameters.get("ACL", "private") not in _CANNED:
        raise invalid_argument("The canned ACL is not one of S3's.")
    if asked.document is None or (not body and not asked.document_required):
        return
    if not body:
        raise Refused("MissingRequestBodyError", status=400, message="Request Body is empty")
    if name_of(element(body)) != asked.document:
        raise malformed()


def _check_marker(asked: S3Request) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html"""
    marker = asked.parameters.get("VersionIdMarker")
    if marker is None:
        return
    if not marker:
        raise invalid_value("A version-id marker cannot be empty.", name="version-id-marker", value="")
    if not asked.parameters.get("KeyMarker"):
        message = "A version-id marker cannot be specified without a key marker."
        raise invalid_value(message, name="version-id-marker", value=str(marker))
    check_version(str(marker), name="version-id-marker")


def check_version(text: str, *, name: str) -> None:
    """Refuses an id that was never given out; `name` is the argument's."""
    if not is_version(text):
        raise invalid_value("Invalid version id specified", name=name, value=text)


def is_version(text: str) -> bool:
    """Whether it may be an id that was given out; whether there is such a version is another question."""
    return _VERSION.fullmatch(text) is not None


def check_metadata(headers: Iterable[tuple[str, str]]) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html"""
    pairs = [(name[len(_METADATA) :], value) for name, value in headers if name.lower().startswith(_METADATA)]
    size = sum(len(name) + len(value) for name, value in pairs)
    if size > _MOST_METADATA:
        details = (("Size", str(size)), ("MaxSizeAllowed", str(_MOST_METADATA)))
        message = "Your metadata headers exceed the maximum allowed metadata size"
        raise Refused("MetadataTooLarge", status=400, message=message, details=details)


def check_uri(key: str | None, *, target: str) -> None:
    """A key is UTF-8. https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""
    if key is None or "\ufffd" not in key:
        return
    try:
        unquote_to_bytes(target.partition("?")[0]).decode()
    except UnicodeDecodeError as error:
        raise Refused("InvalidURI", status=400, message="Couldn't parse the specified URI.") from error


def check_name(bucket: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
    if not _NAME.fullmatch(bucket) or ".." in bucket or _ADDRESS.fullmatch(bucket):
        details = (("BucketName", bucket),)
        raise Refused("InvalidBucketName", status=400, message="The specified bucket is not valid.", details=details)


def element(body: bytes) -> ET.Element:
    """The document's root. None that S3 takes has a document type: refused, so that nothing in it expands."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise malformed()
    try:
        return ET.fromstring(body)  # noqa: S314 - see above
    except (ET.ParseError, ValueError, LookupError) as error:
        raise malformed() from error


def malformed() -> Refused:
    message = "The XML you provided was not well-formed or did not validate against our published schema"
    return Refused("MalformedXML", status=400, message=message)
