"""All rows together, found by an operation's name or an IAM action; what a request of one asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.operations.buckets import BUCKETS, READS
from pytest_s3vpce.operations.multipart import UPLOADS
from pytest_s3vpce.operations.objects import CONTENT, SUBRESOURCES
from pytest_s3vpce.operations.rows import Form, Operation, Resource
from pytest_s3vpce.operations.settings import SETTINGS
from pytest_s3vpce.operations.versions import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Check:
    """One action on one kind of resource that S3 checks for a request."""

    action: str
    resource: Resource


_TABLE: Final = (*CONTENT, *SUBRESOURCES, *VERSIONS, *UPLOADS, *BUCKETS, *READS, *SETTINGS)

OPERATIONS: Final[Mapping[str, Operation]] = {row.name: row for row in _TABLE}
_DEFAULTS: Final[Mapping[str, Operation]] = {row.default_of.lower(): row for row in _TABLE if row.default_of}


def operation(name: str) -> Operation:
    """The catalogue's row of that operation; S3VpceError names the known ones."""
    try:
        return OPERATIONS[name]
    except KeyError:
        raise S3VpceError(
            f"operation `{name}` is not in the catalogue", remedy=f"known are {', '.join(sorted(OPERATIONS))}"
        ) from None


def default_operation(action: str) -> Operation:
    """The one operation that stands for an IAM action; S3VpceError names the actions that have one."""
    try:
        return _DEFAULTS[action.lower()]
    except KeyError:
        known = ", ".join(sorted(row.default_of for row in _TABLE if row.default_of))
        raise S3VpceError(
            f"action `{action}` has no default operation in the catalogue", remedy=f"known are {known}"
        ) from None


def checks(row: Operation, parameters: Mapping[str, Any], *, form: Form | None = None) -> tuple[Check, ...]:
    """The (action, resource) checks that S3 makes for the operation with these parameters, each once, in order.

    With the form that it is sent in, those of the form's helpers come last.
    """
    versioned = "VersionId" in parameters
    source_version = "versionId=" in str(parameters.get("CopySource", ""))
    found: dict[Check, None] = {}
    for requirement in row.requires:
        if requirement.when is not None and parameters.get(requirement.when) in (None, False):
            continue
        by_version = source_version if requirement.resource is Resource.SOURCE else versioned
        action = requirement.versioned if by_version and requirement.versioned else requirement.action
        found[Check(action, requirement.resource)] = None
    for helper in () if form is None else form.helpers:
        found[Check(helper.action, helper.resource)] = None
    return tuple(found)


def context(row: Operation, parameters: Mapping[str, Any]) -> dict[str, str]:
    """The condition keys that S3 sets from an operation's parameters, values as text.

    s3:max-keys is always there on a listing, 1000 unless sent:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
    """
    found = {key: str(parameters[name]) for name, key in row.keys.items() if parameters.get(name) is not None}
    if "MaxKeys" in row.keys:
        found.setdefault("s3:max-keys", "1000")
    return found
