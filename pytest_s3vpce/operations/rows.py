"""What a row of the catalogue says: the actions an operation needs, and the forms it is probed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

GUIDE: Final = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/"
API: Final = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_"
ERRORS: Final = "https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"

BOGUS_ETAG: Final = '"00000000000000000000000000000000"'
"""A well-formed ETag that no object has (the MD5 of nothing known)."""
NO_BYTES_DIGEST: Final = "1B2M2Y8AsgTpgAmY7PhCfg=="
"""The MD5 digest of nothing. Buckets with a default retention take no object or part without a digest:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-configure.html"""
BOGUS_UPLOAD_ID: Final = "s3vpce-no-such-upload"
"""An upload id that S3 never gave out."""
BOGUS_VERSION_ID: Final = "s3vpce.no.such.version.000000000"
"""A version id that S3 never gave out. It knows its own, and calls any other none, whatever it looks like:
https://github.com/versity/versitygw/pull/1638"""
BOGUS_CONFIGURATION: Final = "s3vpce-no-such-configuration"
"""The id of an analytics, inventory, metrics or tiering configuration that nobody has."""
BOGUS: Final = "s3vpce"
"""A word that is no value of S3's in any of its lists, so that a document that holds it is none of S3's."""


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
    CANARY_DIGEST = "<the MD5 digest of the canary's own bytes>"
    CANARY_KEY = "<the canary's key>"
    CANARY_VERSION = "<the version id of the canary that its reader got>"
    ABSENT_KEY = "<the canary's key with a run-unique suffix, where nothing is>"
    RUN_KEY = "<a key that only this run uses, and empties at its end>"
    COPY_SOURCE = "<the canary itself>"
    CUSTOMER_KEY = "<a random key of the caller's own, thrown away>"
    TOMORROW = "<a day from now>"


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
    besides, though that of a write means that its form did not hold. `helpers` are actions S3 also checks because of
    the form, so that a denial may be theirs. `documented`: AWS documents that an authorised caller gets that answer;
    otherwise the form is inferred and needs calibration. `document` takes the place of the body that botocore would
    write, for documents that it would not.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    documented: bool
    helpers: tuple[Requirement, ...] = ()
    authorised: tuple[str, ...] = ()
    document: bytes | None = None
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A row of the catalogue. Names are boto3's; `method` is the client method.

    `api` is boto3's name where the row is an operation on a version, which S3 checks by actions of its own.
    `writes`: the operation itself changes state, so it is probed through `safe` or, if asked for, `mutating`;
    `unsafe` says why there is no `safe`. `open` names the parameters of `safe` that may be given anew: the others
    are what keeps it from changing anything. `keys` maps parameters to the condition keys S3 sets from them.
    """

    name: str
    method: str
    requires: tuple[Requirement, ...]
    api: str = ""
    default_of: str | None = None
    writes: bool = False
    safe: Form | None = None
    unsafe: str = ""
    mutating: Form | None = None
    leaves: Trace | None = None
    """What `mutating` leaves."""
    open: frozenset[str] = frozenset()
    keys: Mapping[str, str] = field(default_factory=dict)
    source: str

    @property
    def api_name(self) -> str:
        """boto3's name of the operation."""
        return self.api or self.name

    @property
    def on_object(self) -> bool:
        """Whether the operation names a key."""
        return any(requirement.resource is Resource.OBJECT for requirement in self.requires)

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions always needed, without the conditional ones."""
        return tuple(requirement.action for requirement in self.requires if requirement.when is None)


class Trace(StrEnum):
    """What a mutating form leaves, which the run removes."""

    VERSION = "version"
    """A version or a delete marker of the run's own key."""
    UPLOAD = "upload"
    """An upload to the run's own key."""
    CANARY = "canary"
    """Something of the canary, which the run made and removes itself."""
    POLICY = "policy"
    """A scratch bucket without its policy, which the run puts back."""


def on_object(action: str, *, versioned: str | None = None, when: str | None = None) -> Requirement:
    """An action on the object."""
    return Requirement(action=action, resource=Resource.OBJECT, versioned=versioned, when=when)


def on_bucket(action: str, *, when: str | None = None) -> Requirement:
    """An action on the bucket."""
    return Requirement(action=action, resource=Resource.BUCKET, when=when)


LIST_HELPER: Final = on_bucket("s3:ListBucket")
"""Without it S3 does not tell that a key is absent: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"""

# --- condition keys that come from parameters ------------------------------------------------------------------------

ACL_KEYS: Final = {
    "ACL": "s3:x-amz-acl",
    "GrantFullControl": "s3:x-amz-grant-full-control",
    "GrantRead": "s3:x-amz-grant-read",
    "GrantReadACP": "s3:x-amz-grant-read-acp",
    "GrantWrite": "s3:x-amz-grant-write",
    "GrantWriteACP": "s3:x-amz-grant-write-acp",
}
WRITE_KEYS: Final = {
    **ACL_KEYS,
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
LIST_KEYS: Final = {"Prefix": "s3:prefix", "Delimiter": "s3:delimiter", "MaxKeys": "s3:max-keys"}
VERSION_KEYS: Final = {"VersionId": "s3:versionid"}
