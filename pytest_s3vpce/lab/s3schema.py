"""Whether a setting's document says what S3's schema has: its words, switches and numbers, and what must be there.

botocore's own model of S3 is the schema. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab import s3lifecycle
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3forms import element, malformed
from pytest_s3vpce.lab.s3words import invalid_argument, invalid_request
from pytest_s3vpce.markup import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from xml.etree import ElementTree as ET

    from pytest_s3vpce.lab.s3requests import S3Request

_LEFT: Final = frozenset({"PutBucketAcl", "PutBucketNotificationConfiguration", "PutObjectAcl"})
"""Whose documents have error codes of their own, and are looked at elsewhere."""
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_BITS: Final = {"integer": 31, "long": 63}
"""Of a number, besides its sign. https://smithy.io/2.0/spec/simple-types.html"""
_METHODS: Final = frozenset({"GET", "PUT", "POST", "DELETE", "HEAD"})


def check_document(asked: S3Request, body: bytes) -> None:
    """Refuse a setting that S3 could not take, before the state behind sees any of it."""
    name = asked.name
    storage = asked.parameters.get("StorageClass")
    if storage is not None and asked.key is not None and storage not in _storage_classes():
        message = "The storage class you specified is not valid"
        raise Refused("InvalidStorageClass", status=400, message=message)
    if not name.startswith("Put") or name in _LEFT or asked.document is None or not body:
        return
    found = element(body)
    if not _fits(found, _document(name)):
        raise malformed()
    further = _FURTHER.get(name)
    if further is not None:
        further(found)


def check_location(body: bytes) -> None:
    """A new bucket is to be in a Region that there is.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucketConfiguration.html
    """
    place = next(named(element(body), "LocationConstraint"), None) if body else None
    if place is not None and place.text and place.text not in _regions():
        message = "The specified location-constraint is not valid"
        details = (("LocationConstraint", place.text),)
        raise Refused("InvalidLocationConstraint", status=400, message=message, details=details)


# --- the schema ------------------------------------------------------------------------------------------------------


def _fits(found: ET.Element, shape: Any) -> bool:
    if shape.type_name == "structure":
        return all(_member_fits(found, member, name in shape.required_members) for name, member in _members(shape))
    if shape.type_name == "list":
        return all(_fits(child, shape.member) for child in found)
    text = (found.text or "").strip()
    if shape.type_name == "boolean":
        return text in ("true", "false")
    if shape.type_name in _BITS:
        whole = _WHOLE.fullmatch(text) is not None
        return whole and -(2 ** _BITS[shape.type_name]) <= int(text) < 2 ** _BITS[shape.type_name]
    return not getattr(shape, "enum", None) or text in shape.enum


def _member_fits(found: ET.Element, member: Any, required: bool) -> bool:  # noqa: FBT001 - what the schema says
    children = list(named(found, member.serialization["name"]))
    if not children:
        return not required
    one = member.member if member.serialization.get("flattened") else member
    return all(_fits(child, one) for child in children)


def _members(shape: Any) -> Iterator[tuple[str, Any]]:
    for name, member in shape.members.items():
        if not member.serialization.get("xmlAttribute"):
            member.serialization.setdefault("name", name)
            yield name, member


@cache
def _model() -> Any:
    import botocore.session  # with the first document: it takes longer to load than the lab

    return botocore.session.Session().get_service_model("s3")


@cache
def _document(name: str) -> Any:
    shape = _model().operation_model(name).input_shape
    return shape.members[shape.serialization["payload"]]


@cache
def _storage_classes() -> frozenset[str]:
    return frozenset(_model().shape_for("StorageClass").enum)


@cache
def _regions() -> frozenset[str]:
    import botocore.session

    session = botocore.session.Session()
    known = {*_model().shape_for("BucketLocationConstraint").enum}
    for partition in session.get_available_partitions():
        known |= {*session.get_available_regions("s3", partition_name=partition)}
    return frozenset(known)


# --- what the schema does not say ------------------------------------------------------------------------------------


def _check_methods(found: ET.Element) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CORSRule.html"""
    for rule in found:
        for method in named(rule, "AllowedMethod"):
            if method.text not in _METHODS:
                message = f"Found unsupported HTTP method in CORS config. Unsupported method is {method.text}"
                raise invalid_request(message)


def _check_index(found: ET.Element) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_IndexDocument.html"""
    for document in named(found, "IndexDocument"):
        for suffix in named(document, "Suffix"):
            if not suffix.text or "/" in suffix.text:
                message = "The IndexDocument Suffix is not well formed"
                raise invalid_argument(message)


_FURTHER: Final[Mapping[str, Callable[[ET.Element], None]]] = {
    "PutBucketCors": _check_methods,
    "PutBucketLifecycleConfiguration": s3lifecycle.check,
    "PutBucketWebsite": _check_index,
}
