"""The operation catalogue: which IAM actions an S3 operation needs, and how to probe it without changing anything.

One table, read two ways: `probe.py` turns a cell into a request by it, the lab's gateway turns a request into the
(action, resource, context) checks that AWS makes. Actions and resources follow
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html, condition keys follow
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import S3VpceError

if TYPE_CHECKING:
    from collections.abc import Mapping

_GUIDE = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/"
_API = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_"

BOGUS_ETAG: Final = '"00000000000000000000000000000000"'
"""A well-formed ETag that no object has (the MD5 of nothing known)."""
BOGUS_UPLOAD_ID: Final = "s3vpce-no-such-upload"
"""An upload id that S3 never gave out."""


class Resource(StrEnum):
    """What an action is checked on."""

    OBJECT = "object"
    BUCKET = "bucket"
    SOURCE = "source"
    """The source object of a copy."""
    NONE = "none"
    """Actions without a resource, `*` in policies."""


class Fill(StrEnum):
    """Stands in a form's parameters for what is known only when the probe is built."""

    CANARY_BODY = "<the canary's own bytes>"
    ABSENT_KEY = "<the canary's key with a run-unique suffix, where nothing is>"
    COPY_SOURCE = "<the canary itself>"
    CUSTOMER_KEY = "<a random key of the caller's own, thrown away>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """An action that S3 checks for an operation; with `when`, only if that parameter is given.

    `versioned` is the action that takes its place when a version id is given.
    """

    action: str
    resource: Resource
    when: str | None = None
    versioned: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One way to send an operation as a probe.

    `authorised` lists the answers that mean the caller was authorised, as `status` or `status Code`; any 2xx counts
    besides. `helpers` are actions S3 also checks because of the form, so that a denial may be theirs. `documented`:
    AWS documents that an authorised caller gets that answer; otherwise the form is inferred and needs calibration.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    documented: bool
    helpers: tuple[Requirement, ...] = ()
    authorised: tuple[str, ...] = ()
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A row of the catalogue. Names are boto3's; `method` is the client method.

    `writes`: the operation itself changes state, so it is probed through `safe` or, if asked for, `mutating`.
    `keys` maps parameters to the condition keys S3 sets from them.
    """

    name: str
    method: str
    requires: tuple[Requirement, ...]
    default_of: str | None = None
    writes: bool = False
    safe: Form | None = None
    mutating: Form | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    source: str

    @property
    def on_object(self) -> bool:
        """Whether the operation names a key."""
        return any(requirement.resource is Resource.OBJECT for requirement in self.requires)

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions always needed, without the conditional ones."""
        return tuple(requirement.action for requirement in self.requires if requirement.when is None)


@dataclass(frozen=True, slots=True)
class Check:
    """One action on one kind of resource that S3 checks for a request."""

    action: str
    resource: Resource


_ACL_KEYS = {
    "ACL": "s3:x-amz-acl",
    "GrantFullControl": "s3:x-amz-grant-full-control",
    "GrantRead": "s3:x-amz-grant-read",
    "GrantReadACP": "s3:x-amz-grant-read-acp",
    "GrantWrite": "s3:x-amz-grant-write",
    "GrantWriteACP": "s3:x-amz-grant-write-acp",
}
_WRITE_KEYS = {
    **_ACL_KEYS,
    "IfMatch": "s3:if-match",
    "IfNoneMatch": "s3:if-none-match",
    "ObjectLockMode": "s3:object-lock-mode",
    "ObjectLockRetainUntilDate": "s3:object-lock-retain-until-date",
    "ObjectLockLegalHoldStatus": "s3:object-lock-legal-hold",
    "CopySource": "s3:x-amz-copy-source",
    "MetadataDirective": "s3:x-amz-metadata-directive",
    "ServerSideEncryption": "s3:x-amz-server-side-encryption",
    "SSEKMSKeyId": "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "SSECustomerAlgorithm": "s3:x-amz-server-side-encryption-customer-algorithm",
    "StorageClass": "s3:x-amz-storage-class",
    "WebsiteRedirectLocation": "s3:x-amz-website-redirect-location",
}
_LIST_KEYS = {"Prefix": "s3:prefix", "Delimiter": "s3:delimiter", "MaxKeys": "s3:max-keys"}
_VERSION_KEYS = {"VersionId": "s3:versionid"}


def _object(action: str, *, versioned: str | None = None, when: str | None = None) -> Requirement:
    return Requirement(action=action, resource=Resource.OBJECT, versioned=versioned, when=when)


def _bucket(action: str, *, when: str | None = None) -> Requirement:
    return Requirement(action=action, resource=Resource.BUCKET, when=when)


# What a write's headers ask for besides s3:PutObject.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
_WRITE_EXTRAS = (
    *(_object("s3:PutObjectAcl", when=name) for name in _ACL_KEYS),
    _object("s3:PutObjectTagging", when="Tagging"),
    _object("s3:PutObjectRetention", when="ObjectLockMode"),
    _object("s3:PutObjectLegalHold", when="ObjectLockLegalHoldStatus"),
)
_GET = _object("s3:GetObject", versioned="s3:GetObjectVersion")
_LIST_HELPER = _bucket("s3:ListBucket")


def _read(name: str, method: str, action: str, *answers: str, default: bool = True) -> Operation:
    """A bucket-level read: changes nothing, takes only the bucket."""
    source = f"{_API}{name}.html"
    return Operation(
        name=name,
        method=method,
        requires=(_bucket(action),),
        default_of=action if default else None,
        safe=Form(documented=True, authorised=answers, source=source),
        source=source,
    )


def _configure(name: str, method: str, action: str) -> Operation:
    """A bucket-level configuration write, without a safe form so far."""
    return Operation(
        name=name,
        method=method,
        requires=(_bucket(action),),
        default_of=action,
        writes=True,
        source=f"{_API}{name}.html",
    )


def _unconfigure(name: str, method: str, action: str) -> Operation:
    """A bucket-level delete that S3 checks by the Put action (or its own, as given)."""
    return Operation(name=name, method=method, requires=(_bucket(action),), writes=True, source=f"{_API}{name}.html")


_TABLE: tuple[Operation, ...] = (
    Operation(
        name="GetObject",
        method="get_object",
        requires=(_GET,),
        default_of="s3:GetObject",
        safe=Form(
            parameters={"Range": "bytes=0-0"},
            documented=True,
            authorised=("416 InvalidRange", "403 InvalidObjectState"),
            source=f"{_API}GetObject.html",
            note="416 is the answer for an empty object, InvalidObjectState for an archived one: both authorised",
        ),
        keys=_VERSION_KEYS,
        source=f"{_API}GetObject.html",
    ),
    Operation(
        name="HeadObject",
        method="head_object",
        requires=(_GET,),
        safe=Form(
            documented=True,
            source=f"{_API}HeadObject.html",
            note="a refused HEAD has no body, so the layer is never named",
        ),
        keys=_VERSION_KEYS,
        source=f"{_API}HeadObject.html",
    ),
    Operation(
        name="PutObject",
        method="put_object",
        requires=(_object("s3:PutObject"), *_WRITE_EXTRAS, _object("s3:GetObject", when="IfMatch")),
        default_of="s3:PutObject",
        writes=True,
        safe=Form(
            parameters={"IfNoneMatch": "*", "Body": Fill.CANARY_BODY},
            documented=True,
            authorised=("412 PreconditionFailed",),
            source=f"{_GUIDE}conditional-writes.html",
            note="the canary exists, so an authorised write is refused with 412; s3:if-none-match is in the context",
        ),
        keys=_WRITE_KEYS,
        source=f"{_API}PutObject.html",
    ),
    Operation(
        name="DeleteObject",
        method="delete_object",
        requires=(
            _object("s3:DeleteObject", versioned="s3:DeleteObjectVersion"),
            _object("s3:BypassGovernanceRetention", when="BypassGovernanceRetention"),
            _object("s3:GetObject", when="IfMatch"),
        ),
        default_of="s3:DeleteObject",
        writes=True,
        safe=Form(
            parameters={"IfMatch": BOGUS_ETAG},
            documented=True,
            helpers=(_object("s3:GetObject"),),
            authorised=("412 PreconditionFailed",),
            source=f"{_GUIDE}conditional-deletes.html",
            note="an ETag condition needs s3:GetObject as well",
        ),
        keys={"IfMatch": "s3:if-match", **_VERSION_KEYS},
        source=f"{_API}DeleteObject.html",
    ),
    Operation(
        name="ListObjectsV2",
        method="list_objects_v2",
        requires=(_bucket("s3:ListBucket"),),
        default_of="s3:ListBucket",
        safe=Form(parameters={"MaxKeys": 1}, documented=True, source=f"{_API}ListObjectsV2.html"),
        keys=_LIST_KEYS,
        source=f"{_API}ListObjectsV2.html",
    ),
    Operation(
        name="ListObjects",
        method="list_objects",
        requires=(_bucket("s3:ListBucket"),),
        safe=Form(parameters={"MaxKeys": 1}, documented=True, source=f"{_API}ListObjects.html"),
        keys=_LIST_KEYS,
        source=f"{_API}ListObjects.html",
    ),
    _read("HeadBucket", "head_bucket", "s3:ListBucket", default=False),
    Operation(
        name="ListObjectVersions",
        method="list_object_versions",
        requires=(_bucket("s3:ListBucketVersions"),),
        default_of="s3:ListBucketVersions",
        safe=Form(parameters={"MaxKeys": 1}, documented=True, source=f"{_API}ListObjectVersions.html"),
        keys=_LIST_KEYS,
        source=f"{_API}ListObjectVersions.html",
    ),
    Operation(
        name="ListMultipartUploads",
        method="list_multipart_uploads",
        requires=(_bucket("s3:ListBucketMultipartUploads"),),
        default_of="s3:ListBucketMultipartUploads",
        safe=Form(parameters={"MaxUploads": 1}, documented=True, source=f"{_API}ListMultipartUploads.html"),
        source=f"{_API}ListMultipartUploads.html",
    ),
    _read("GetBucketLocation", "get_bucket_location", "s3:GetBucketLocation"),
    Operation(
        name="GetObjectTagging",
        method="get_object_tagging",
        requires=(_object("s3:GetObjectTagging", versioned="s3:GetObjectVersionTagging"),),
        default_of="s3:GetObjectTagging",
        safe=Form(documented=True, source=f"{_API}GetObjectTagging.html"),
        keys=_VERSION_KEYS,
        source=f"{_API}GetObjectTagging.html",
    ),
    Operation(
        name="PutObjectTagging",
        method="put_object_tagging",
        requires=(_object("s3:PutObjectTagging", versioned="s3:PutObjectVersionTagging"),),
        default_of="s3:PutObjectTagging",
        writes=True,
        safe=Form(
            parameters={"Key": Fill.ABSENT_KEY, "Tagging": {"TagSet": []}},
            documented=False,
            helpers=(_LIST_HELPER,),
            authorised=("404 NoSuchKey",),
            source=f"{_API}PutObjectTagging.html",
            note="tags a key where nothing is; without s3:ListBucket S3 answers 403 for an absent key",
        ),
        keys=_VERSION_KEYS,
        source=f"{_API}PutObjectTagging.html",
    ),
    Operation(
        name="DeleteObjectTagging",
        method="delete_object_tagging",
        requires=(_object("s3:DeleteObjectTagging", versioned="s3:DeleteObjectVersionTagging"),),
        default_of="s3:DeleteObjectTagging",
        writes=True,
        safe=Form(
            parameters={"Key": Fill.ABSENT_KEY},
            documented=False,
            helpers=(_LIST_HELPER,),
            authorised=("404 NoSuchKey",),
            source=f"{_API}DeleteObjectTagging.html",
            note="untags a key where nothing is; without s3:ListBucket S3 answers 403 for an absent key",
        ),
        keys=_VERSION_KEYS,
        source=f"{_API}DeleteObjectTagging.html",
    ),
    Operation(
        name="GetObjectAcl",
        method="get_object_acl",
        requires=(_object("s3:GetObjectAcl", versioned="s3:GetObjectVersionAcl"),),
        default_of="s3:GetObjectAcl",
        safe=Form(documented=True, source=f"{_API}GetObjectAcl.html"),
        keys=_VERSION_KEYS,
        source=f"{_API}GetObjectAcl.html",
    ),
    Operation(
        name="PutObjectAcl",
        method="put_object_acl",
        requires=(_object("s3:PutObjectAcl", versioned="s3:PutObjectVersionAcl"),),
        default_of="s3:PutObjectAcl",
        writes=True,
        keys={**_ACL_KEYS, **_VERSION_KEYS},
        source=f"{_API}PutObjectAcl.html",
    ),
    Operation(
        name="GetObjectAttributes",
        method="get_object_attributes",
        # The API reference asks for both actions, the user guide's table for GetObject alone: not settled, so both.
        requires=(
            _object("s3:GetObjectAttributes", versioned="s3:GetObjectVersionAttributes"),
            _GET,
        ),
        default_of="s3:GetObjectAttributes",
        safe=Form(
            parameters={"ObjectAttributes": ["ETag"]},
            documented=True,
            helpers=(_object("s3:GetObject"),),
            source=f"{_API}GetObjectAttributes.html",
        ),
        keys=_VERSION_KEYS,
        source=f"{_API}GetObjectAttributes.html",
    ),
    Operation(
        name="CopyObject",
        method="copy_object",
        requires=(
            _object("s3:PutObject"),
            Requirement(action="s3:GetObject", resource=Resource.SOURCE, versioned="s3:GetObjectVersion"),
            *_WRITE_EXTRAS,
        ),
        writes=True,
        safe=Form(
            parameters={"CopySource": Fill.COPY_SOURCE, "CopySourceIfMatch": BOGUS_ETAG},
            documented=False,
            helpers=(_object("s3:GetObject"),),
            authorised=("412 PreconditionFailed",),
            source=f"{_API}CopyObject.html",
            note="copies the canary onto itself under a condition that can't hold",
        ),
        keys=_WRITE_KEYS,
        source=f"{_API}CopyObject.html",
    ),
    Operation(
        name="CreateMultipartUpload",
        method="create_multipart_upload",
        requires=(_object("s3:PutObject"), *_WRITE_EXTRAS),
        writes=True,
        keys=_WRITE_KEYS,
        source=f"{_API}CreateMultipartUpload.html",
    ),
    Operation(
        name="UploadPart",
        method="upload_part",
        requires=(_object("s3:PutObject"),),
        writes=True,
        safe=Form(
            parameters={"UploadId": BOGUS_UPLOAD_ID, "PartNumber": 1, "Body": b""},
            documented=False,
            authorised=("404 NoSuchUpload",),
            source=f"{_API}UploadPart.html",
            note="a part of an upload that does not exist: needs no canary, writes nothing in any case",
        ),
        source=f"{_API}UploadPart.html",
    ),
    Operation(
        name="UploadPartCopy",
        method="upload_part_copy",
        requires=(
            _object("s3:PutObject"),
            Requirement(action="s3:GetObject", resource=Resource.SOURCE, versioned="s3:GetObjectVersion"),
        ),
        writes=True,
        source=f"{_API}UploadPartCopy.html",
    ),
    Operation(
        name="CompleteMultipartUpload",
        method="complete_multipart_upload",
        requires=(_object("s3:PutObject"), _object("s3:GetObject", when="IfMatch")),
        writes=True,
        keys={"IfMatch": "s3:if-match", "IfNoneMatch": "s3:if-none-match"},
        source=f"{_API}CompleteMultipartUpload.html",
    ),
    Operation(
        name="AbortMultipartUpload",
        method="abort_multipart_upload",
        requires=(_object("s3:AbortMultipartUpload"),),
        default_of="s3:AbortMultipartUpload",
        writes=True,
        safe=Form(
            parameters={"UploadId": BOGUS_UPLOAD_ID},
            documented=False,
            authorised=("404 NoSuchUpload",),
            source=f"{_API}AbortMultipartUpload.html",
            note="aborts an upload that does not exist",
        ),
        source=f"{_API}AbortMultipartUpload.html",
    ),
    Operation(
        name="ListParts",
        method="list_parts",
        requires=(_object("s3:ListMultipartUploadParts"),),
        default_of="s3:ListMultipartUploadParts",
        safe=Form(
            parameters={"UploadId": BOGUS_UPLOAD_ID},
            documented=False,
            authorised=("404 NoSuchUpload",),
            source=f"{_API}ListParts.html",
        ),
        source=f"{_API}ListParts.html",
    ),
    _read("GetBucketPolicy", "get_bucket_policy", "s3:GetBucketPolicy", "404 NoSuchBucketPolicy"),
    _read("GetBucketPolicyStatus", "get_bucket_policy_status", "s3:GetBucketPolicyStatus", "404 NoSuchBucketPolicy"),
    _read("GetBucketAcl", "get_bucket_acl", "s3:GetBucketAcl"),
    _read("GetBucketVersioning", "get_bucket_versioning", "s3:GetBucketVersioning"),
    _read("GetBucketTagging", "get_bucket_tagging", "s3:GetBucketTagging", "404 NoSuchTagSet"),
    _read("GetBucketLogging", "get_bucket_logging", "s3:GetBucketLogging"),
    _read(
        "GetBucketEncryption",
        "get_bucket_encryption",
        "s3:GetEncryptionConfiguration",
        "404 ServerSideEncryptionConfigurationNotFoundError",
    ),
    _read(
        "GetBucketOwnershipControls",
        "get_bucket_ownership_controls",
        "s3:GetBucketOwnershipControls",
        "404 OwnershipControlsNotFoundError",
    ),
    _read(
        "GetPublicAccessBlock",
        "get_public_access_block",
        "s3:GetBucketPublicAccessBlock",
        "404 NoSuchPublicAccessBlockConfiguration",
    ),
    _read(
        "GetObjectLockConfiguration",
        "get_object_lock_configuration",
        "s3:GetBucketObjectLockConfiguration",
        "404 ObjectLockConfigurationNotFoundError",
    ),
    _read(
        "GetBucketLifecycleConfiguration",
        "get_bucket_lifecycle_configuration",
        "s3:GetLifecycleConfiguration",
        "404 NoSuchLifecycleConfiguration",
    ),
    _read("GetBucketCors", "get_bucket_cors", "s3:GetBucketCORS", "404 NoSuchCORSConfiguration"),
    _read("GetBucketNotificationConfiguration", "get_bucket_notification_configuration", "s3:GetBucketNotification"),
    _configure("PutBucketPolicy", "put_bucket_policy", "s3:PutBucketPolicy"),
    _configure("DeleteBucketPolicy", "delete_bucket_policy", "s3:DeleteBucketPolicy"),
    _configure("PutBucketVersioning", "put_bucket_versioning", "s3:PutBucketVersioning"),
    _configure("PutBucketTagging", "put_bucket_tagging", "s3:PutBucketTagging"),
    _configure("PutBucketLogging", "put_bucket_logging", "s3:PutBucketLogging"),
    _configure("PutBucketEncryption", "put_bucket_encryption", "s3:PutEncryptionConfiguration"),
    _configure("PutBucketOwnershipControls", "put_bucket_ownership_controls", "s3:PutBucketOwnershipControls"),
    _configure("PutPublicAccessBlock", "put_public_access_block", "s3:PutBucketPublicAccessBlock"),
    _configure("PutObjectLockConfiguration", "put_object_lock_configuration", "s3:PutBucketObjectLockConfiguration"),
    _configure("PutBucketLifecycleConfiguration", "put_bucket_lifecycle_configuration", "s3:PutLifecycleConfiguration"),
    _configure("PutBucketCors", "put_bucket_cors", "s3:PutBucketCORS"),
    _configure(
        "PutBucketNotificationConfiguration", "put_bucket_notification_configuration", "s3:PutBucketNotification"
    ),
    Operation(
        name="PutBucketAcl",
        method="put_bucket_acl",
        requires=(_bucket("s3:PutBucketAcl"),),
        default_of="s3:PutBucketAcl",
        writes=True,
        keys=_ACL_KEYS,
        source=f"{_API}PutBucketAcl.html",
    ),
    _unconfigure("DeleteBucketTagging", "delete_bucket_tagging", "s3:PutBucketTagging"),
    _unconfigure("DeleteBucketEncryption", "delete_bucket_encryption", "s3:PutEncryptionConfiguration"),
    _unconfigure("DeleteBucketOwnershipControls", "delete_bucket_ownership_controls", "s3:PutBucketOwnershipControls"),
    _unconfigure("DeletePublicAccessBlock", "delete_public_access_block", "s3:PutBucketPublicAccessBlock"),
    _unconfigure("DeleteBucketLifecycle", "delete_bucket_lifecycle", "s3:PutLifecycleConfiguration"),
    _unconfigure("DeleteBucketCors", "delete_bucket_cors", "s3:PutBucketCORS"),
    Operation(
        name="CreateBucket",
        method="create_bucket",
        requires=(
            _bucket("s3:CreateBucket"),
            *(_bucket("s3:PutBucketAcl", when=name) for name in _ACL_KEYS),
            _bucket("s3:PutBucketObjectLockConfiguration", when="ObjectLockEnabledForBucket"),
            _bucket("s3:PutBucketVersioning", when="ObjectLockEnabledForBucket"),
            _bucket("s3:PutBucketOwnershipControls", when="ObjectOwnership"),
        ),
        default_of="s3:CreateBucket",
        writes=True,
        keys={**_ACL_KEYS, "ObjectOwnership": "s3:x-amz-object-ownership"},
        source=f"{_API}CreateBucket.html",
    ),
    Operation(
        name="DeleteBucket",
        method="delete_bucket",
        requires=(_bucket("s3:DeleteBucket"),),
        default_of="s3:DeleteBucket",
        writes=True,
        source=f"{_API}DeleteBucket.html",
    ),
    Operation(
        name="ListBuckets",
        method="list_buckets",
        requires=(Requirement(action="s3:ListAllMyBuckets", resource=Resource.NONE),),
        default_of="s3:ListAllMyBuckets",
        safe=Form(documented=True, source=f"{_API}ListBuckets.html"),
        source=f"{_API}ListBuckets.html",
    ),
    Operation(
        name="DeleteObjects",
        method="delete_objects",
        # Checked per key, and answered per key: the gateway asks once for each.
        requires=(_object("s3:DeleteObject", versioned="s3:DeleteObjectVersion"),),
        writes=True,
        source=f"{_API}DeleteObjects.html",
    ),
)

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


def checks(row: Operation, parameters: Mapping[str, Any]) -> tuple[Check, ...]:
    """The (action, resource) checks that S3 makes for the operation with these parameters, each once, in order."""
    versioned = "VersionId" in parameters
    source_version = "versionId=" in str(parameters.get("CopySource", ""))
    found: dict[Check, None] = {}
    for requirement in row.requires:
        if requirement.when is not None and parameters.get(requirement.when) in (None, False):
            continue
        by_version = source_version if requirement.resource is Resource.SOURCE else versioned
        action = requirement.versioned if by_version and requirement.versioned else requirement.action
        found[Check(action, requirement.resource)] = None
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
