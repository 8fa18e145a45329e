"""The condition keys that S3 sets from objects' tags: those that a request carries, and those that are there.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/tagging-and-policies.html and
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from pytest_s3vpce.operations.creations import CREATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

TAG_READERS: Final = frozenset(
    f"s3:{verb}Object{version}{part}"
    for version in ("", "Version")
    for verb, part in (
        ("Get", ""),
        ("Get", "Acl"),
        ("Get", "Attributes"),
        ("Get", "Tagging"),
        ("Put", "Acl"),
        ("Put", "Tagging"),
        ("Delete", "Tagging"),
    )
)
"""Actions that look at the tags of the object that is there."""


def header_tags(operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of the tags that a write carries in its header; none where it carries none."""
    if operation not in CREATIONS or not parameters.get("Tagging"):
        return {}
    return request_tags(dict(parse_qsl(str(parameters["Tagging"]), keep_blank_values=True)))


def request_tags(tags: Mapping[str, str]) -> dict[str, Any]:
    """The keys of tags that a request carries: one for each tag, and the list of their names."""
    keys: dict[str, Any] = {f"s3:RequestObjectTag/{name}": value for name, value in tags.items()}
    return keys | {"s3:RequestObjectTagKeys": tuple(tags)}
