"""Operations on a named version of an object, which S3 checks by actions of their own.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.operations.objects import ACL_REFUSED, NO_ACL
from pytest_s3vpce.operations.rows import (
    ACL_KEYS,
    API,
    BOGUS_VERSION_ID,
    ERRORS,
    LIST_HELPER,
    VERSION_KEYS,
    Fill,
    Form,
    Operation,
    on_object,
)

if TYPE_CHECKING:
    from pytest_s3vpce.operations.rows import Requirement

_NO_VERSION: Final = ("400 InvalidArgument", "404 NoSuchVersion")
_NOTE: Final = "S3 calls it no id of its own, maybe before it looks at policies: then both callers get InvalidArgument"
_BOGUS: Final = {"VersionId": BOGUS_VERSION_ID}


def _reading(
    name: str,
    api: str,
    method: str,
    *answers: str,
    parameters: dict[str, object] | None = None,
    also: tuple[Requirement, ...] = (),
) -> Operation:
    """A read of the canary's newest version by its id."""
    return Operation(
        name=name,
        method=method,
        api=api,
        requires=(on_object(f"s3:{name}"), *also),
        default_of=f"s3:{name}",
        safe=Form(
            parameters={"VersionId": Fill.CANARY_VERSION, **(parameters or {})},
            documented=True,
            helpers=also,
            authorised=answers,
            source=f"{API}{api}.html",
            note="reads the version that the canary's reader got; `null` where the bucket has no versions",
        ),
        keys=VERSION_KEYS,
        source=f"{API}{api}.html",
    )


def _changing(name: str, api: str, method: str, form: Form, *, keys: dict[str, str] | None = None) -> Operation:
    """A write to a version that does not exist."""
    return Operation(
        name=name,
        method=method,
        api=api,
        requires=(on_object(f"s3:{name}"),),
        default_of=f"s3:{name}",
        writes=True,
        safe=form,
        keys={**(keys or {}), **VERSION_KEYS},
        source=f"{API}{api}.html",
    )


VERSIONS: Final = (
    _reading(
        "GetObjectVersion",
        "GetObject",
        "get_object",
        "416 InvalidRange",
        "403 InvalidObjectState",
        parameters={"Range": "bytes=0-0"},
    ),
    _reading("GetObjectVersionTagging", "GetObjectTagging", "get_object_tagging"),
    _reading("GetObjectVersionAcl", "GetObjectAcl", "get_object_acl"),
    _reading(
        "GetObjectVersionAttributes",
        "GetObjectAttributes",
        "get_object_attributes",
        parameters={"ObjectAttributes": ["ETag"]},
        also=(on_object("s3:GetObjectVersion"),),
    ),
    _changing(
        "DeleteObjectVersion",
        "DeleteObject",
        "delete_object",
        Form(
            parameters=_BOGUS,
            documented=False,
            authorised=("204", *_NO_VERSION),
            source=f"{API}DeleteObject.html",
            note=f"deletes a version that does not exist; {_NOTE}",
        ),
    ),
    _changing(
        "PutObjectVersionTagging",
        "PutObjectTagging",
        "put_object_tagging",
        Form(
            parameters={**_BOGUS, "Key": Fill.ABSENT_KEY, "Tagging": {"TagSet": []}},
            documented=False,
            helpers=(LIST_HELPER,),
            authorised=("404 NoSuchKey", *_NO_VERSION),
            source=f"{API}PutObjectTagging.html",
            note=f"tags a version that does not exist, of a key where nothing is; {_NOTE}",
        ),
    ),
    _changing(
        "DeleteObjectVersionTagging",
        "DeleteObjectTagging",
        "delete_object_tagging",
        Form(
            parameters={**_BOGUS, "Key": Fill.ABSENT_KEY},
            documented=False,
            helpers=(LIST_HELPER,),
            authorised=("404 NoSuchKey", *_NO_VERSION),
            source=f"{API}DeleteObjectTagging.html",
            note=f"untags a version that does not exist, of a key where nothing is; {_NOTE}",
        ),
    ),
    _changing(
        "PutObjectVersionAcl",
        "PutObjectAcl",
        "put_object_acl",
        Form(
            parameters={**_BOGUS, "Key": Fill.ABSENT_KEY},
            document=NO_ACL,
            documented=False,
            helpers=(LIST_HELPER,),
            authorised=("404 NoSuchKey", *_NO_VERSION, *ACL_REFUSED),
            source=ERRORS,
            note=f"an access list without owner or grants, for a version that does not exist; {_NOTE}",
        ),
        keys=ACL_KEYS,
    ),
)
