"""An answered request as a line of S3's server access logs.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pytest_s3vpce.lab.acls import canonical_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.trailrecords import Seen

_RESOURCES: Final[Mapping[str, str]] = {
    "CopyObject": "OBJECT",
    "CreateMultipartUpload": "UPLOADS",
    "DeleteObjects": "MULTI_OBJECT_DELETE",
    "GetObjectAcl": "ACL",
    "PutObjectAcl": "ACL",
    "GetObjectTagging": "OBJECT_TAGGING",
    "PutObjectTagging": "OBJECT_TAGGING",
    "DeleteObjectTagging": "OBJECT_TAGGING",
    "GetBucketAcl": "ACL",
    "PutBucketAcl": "ACL",
    "GetBucketLocation": "LOCATION",
    "GetBucketLogging": "LOGGING_STATUS",
    "PutBucketLogging": "LOGGING_STATUS",
    "GetBucketPolicy": "BUCKETPOLICY",
    "PutBucketPolicy": "BUCKETPOLICY",
    "DeleteBucketPolicy": "BUCKETPOLICY",
    "GetBucketVersioning": "VERSIONING",
    "PutBucketVersioning": "VERSIONING",
    "ListMultipartUploads": "UPLOADS",
    "ListObjectVersions": "BUCKETVERSIONS",
    "UploadPart": "PART",
    "UploadPartCopy": "PART",
    "ListParts": "UPLOAD",
    "CompleteMultipartUpload": "UPLOAD",
    "AbortMultipartUpload": "UPLOAD",
}


def line(seen: Seen) -> str:
    """All fields in their order; what is not there is a dash."""
    request = seen.request
    target = request.target.partition("?")[0]
    fields = (
        canonical_id(seen.bucket_owner or ""),
        seen.bucket or "-",
        seen.at.strftime("[%d/%b/%Y:%H:%M:%S +0000]"),
        seen.address or "-",
        _requester(seen),
        seen.request_id,
        _operation(seen),
        "-" if seen.key is None else quote(seen.key),
        _quoted(f"{request.method} {target} HTTP/1.1"),
        str(seen.status),
        seen.code or "-",
        str(seen.sent or "-"),
        "-",  # the object's size
        "1",
        "1",
        _quoted(request.header("referer")),
        _quoted(request.header("user-agent")),
        "-",  # the version
        seen.host_id or "-",
        seen.signature or "-",
        seen.cipher or "-",
        seen.authentication or "-",
        request.host,
        request.tls or "-",
        "-",  # the access point
        "Yes" if seen.by_acl else "-",
        seen.region,
    )
    return " ".join(fields)


def _requester(seen: Seen) -> str:
    caller = seen.caller
    if caller.account is None:
        return "-"
    return canonical_id(caller.account) if caller.is_root else caller.arn


def _operation(seen: Seen) -> str:
    resource = _RESOURCES.get(seen.operation) or ("BUCKET" if seen.key is None else "OBJECT")
    verb = "COPY" if seen.operation in {"CopyObject", "UploadPartCopy"} else seen.request.method
    return f"REST.{verb}.{resource}"


def _quoted(text: str | None) -> str:
    cleaned = (text or "-").replace('"', "%22").replace("\n", " ")
    return f'"{cleaned}"'
