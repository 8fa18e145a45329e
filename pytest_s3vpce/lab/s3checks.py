"""What S3 checks after authorisation and the state behind does not: digests, conditions, uploads, policies.

Each raises Refused in S3's words: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from pytest_s3vpce.lab import s3grants
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.resources import partition_of
from pytest_s3vpce.lab.s3encryption import check_source
from pytest_s3vpce.lab.s3forms import check_form, check_version
from pytest_s3vpce.lab.s3payload import check_digests
from pytest_s3vpce.lab.s3schema import check_document
from pytest_s3vpce.lab.s3words import invalid_argument, invalid_request, not_allowed
from pytest_s3vpce.policy import parse, validate_bucket_policy

if TYPE_CHECKING:
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

NEEDS_OBJECT: Final = frozenset(
    {
        "GetObject",
        "HeadObject",
        "GetObjectTagging",
        "PutObjectTagging",
        "DeleteObjectTagging",
        "GetObjectAcl",
        "PutObjectAcl",
        "GetObjectAttributes",
        "GetObjectLegalHold",
        "GetObjectRetention",
        "PutObjectLegalHold",
        "PutObjectRetention",
        "RestoreObject",
    }
)
"""Operations that answer 404 for a key where nothing is, to callers who may list; 403 to others.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"""
_UPLOAD_OPERATIONS: Final = frozenset(
    {"UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "AbortMultipartUpload", "ListParts"}
)
_CHANGES: Final = frozenset({"StorageClass", "ServerSideEncryption", "SSECustomerAlgorithm", "WebsiteRedirectLocation"})
_FAILED: Final = "At least one of the pre-conditions you specified did not hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySource:
    """The object that a copy reads."""

    bucket: str
    key: str
    version: str | None = None


def check(state: State, request: HttpRequest, asked: S3Request, bucket: BucketState) -> None:
    """Everything that applies to the operation, in S3's order: conditions of the wire before those of the state."""
    name = asked.name
    check_digests(request)
    check_form(asked, request.body)
    if name == "PutBucketPolicy":
        text, partition = request.body.decode("utf-8", errors="replace"), partition_of(bucket.region)
        problem = validate_bucket_policy(text, bucket=bucket.name, partition=partition)
        if problem is not None:
            raise Refused("MalformedPolicy", status=400, message=problem)
        check_principals(state, text)
        _check_statements(text)
    if name in _UPLOAD_OPERATIONS:
        _check_upload(state, asked)
    s3grants.check(state, asked, bucket, request.body)
    check_document(asked, request.body)
    if "CopySource" in asked.parameters:
        _check_copy(state, request, asked)


def check_principals(state: State, text: str) -> None:
    """Users and roles that a policy names must be there, in the accounts that the lab has.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    for statement in parse(text).statements:
        for element in (statement.principals, statement.not_principals):
            for arn in sorted(element.arns if element is not None else ()):
                if state.is_missing(arn):
                    details = (("Detail", arn),)
                    message = "Invalid principal in policy"
                    raise Refused("MalformedPolicy", status=400, message=message, details=details)


def _check_statements(text: str) -> None:
    """A key of S3's own must be one, and NotPrincipal only denies.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html and
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
    """
    from pytest_s3vpce.policy.lint.keys import known  # with all the rules of that room: not while the lab starts

    document = parse(text)
    if any(key.startswith("s3:") and known(key) is None for key in document.keys):
        raise Refused("MalformedPolicy", status=400, message="Policy has an invalid condition key")
    if any(row.not_principals is not None and not row.deny for row in document.statements):
        raise Refused("MalformedPolicy", status=400, message="Allow with NotPrincipal is not allowed.")


def absent(version: object) -> Refused:
    """The answer to a caller who may know that nothing is there."""
    if version is not None:
        return Refused("NoSuchVersion", status=404, message="The specified version does not exist.")
    return Refused("NoSuchKey", status=404, message="The specified key does not exist.")


def deleted(version: object) -> Refused:
    """The answer where a delete marker is. https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html"""
    headers = (("x-amz-delete-marker", "true"),)
    if version is not None:
        return not_allowed(headers=headers)
    return Refused("NoSuchKey", status=404, message="The specified key does not exist.", headers=headers)


def copy_source(asked: S3Request) -> CopySource:
    """A copy's source: only the path is encoded, so that a key may hold what separates the version.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    """
    path, _, version = str(asked.parameters["CopySource"]).partition("?versionId=")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    if not bucket or not key:
        message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        raise invalid_argument(message)
    return CopySource(bucket=bucket, key=key, version=version or None)


def _check_upload(state: State, asked: S3Request) -> None:
    upload = str(asked.parameters.get("UploadId", ""))
    if not state.upload_exists(asked.bucket or "", asked.key or "", upload):
        raise Refused(
            "NoSuchUpload",
            status=404,
            message="The specified multipart upload does not exist. The upload ID may be invalid, or the upload may "
            "have been aborted or completed.",
        )


def _check_copy(state: State, request: HttpRequest, asked: S3Request) -> None:
    source = copy_source(asked)
    if source.version is not None:
        check_version(source.version, name="x-amz-copy-source")
    owner = state.bucket(source.bucket)
    expected = asked.parameters.get("ExpectedSourceBucketOwner")
    if expected is not None and (owner is None or owner.account != expected):
        raise Refused("AccessDenied", status=403, message="Access Denied")
    etag = state.object_etag(source.bucket, source.key, source.version)
    if etag is None:
        raise absent(source.version)
    check_source(state, request, asked, source)
    wanted, unwanted = (asked.parameters.get(name) for name in ("CopySourceIfMatch", "CopySourceIfNoneMatch"))
    if wanted is not None and not same_etag(wanted, etag):
        raise precondition("x-amz-copy-source-If-Match")
    if unwanted is not None and same_etag(unwanted, etag):
        raise precondition("x-amz-copy-source-If-None-Match")
    if asked.name != "CopyObject":
        return
    if asked.parameters.get("IfNoneMatch") == "*" and state.object_exists(asked.bucket or "", asked.key or ""):
        raise precondition("If-None-Match")
    _check_changes(asked, source)


def _check_changes(asked: S3Request, source: CopySource) -> None:
    """An object is copied onto itself only to change something about it.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    """
    onto_itself = (source.bucket, source.key, source.version) == (asked.bucket, asked.key, None)
    replaced = any(asked.parameters.get(name) == "REPLACE" for name in ("MetadataDirective", "TaggingDirective"))
    if onto_itself and not replaced and not _CHANGES & asked.parameters.keys():
        message = (
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes."
        )
        raise invalid_request(message)


def check_etag(state: State, bucket: str, key: str, *, wanted: str | None) -> None:
    """The condition of one entry of DeleteObjects: `*` is any object, nothing is no condition."""
    if wanted is None:
        return
    etag = state.object_etag(bucket, key)
    if etag is None or (wanted != "*" and not same_etag(wanted, etag)):
        raise precondition("If-Match")


def same_etag(one: object, other: str) -> bool:
    return str(one).strip('"') == other.strip('"')


def precondition(condition: str) -> Refused:
    return Refused("PreconditionFailed", status=412, message=_FAILED, details=(("Condition", condition),))
