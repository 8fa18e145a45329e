"""What S3 checks after authorisation and the state behind does not: digests, conditions, uploads, policies.

Each raises Refused in S3's words: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.policy import validate_bucket_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    }
)
"""Operations that answer 404 for a key where nothing is, to callers who may list; 403 to others.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"""
_UPLOAD_OPERATIONS: Final = frozenset(
    {"UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "AbortMultipartUpload", "ListParts"}
)
_DIGESTS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "content-md5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "x-amz-checksum-crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "x-amz-checksum-sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
}
_FAILED: Final = "At least one of the pre-conditions you specified did not hold"


def check(state: State, request: HttpRequest, asked: S3Request, bucket: BucketState) -> None:
    """Everything that applies to the operation, in S3's order: conditions of the wire before those of the state."""
    assert asked.row is not None
    name = asked.row.name
    _check_digests(request)
    if name == "PutBucketPolicy":
        problem = validate_bucket_policy(request.body.decode("utf-8", errors="replace"), bucket=bucket.name)
        if problem is not None:
            raise Refused("MalformedPolicy", status=400, message=problem)
    if name in _UPLOAD_OPERATIONS:
        _check_upload(state, asked)
    if name == "CopyObject":
        _check_copy(state, asked)


def copy_source(asked: S3Request) -> tuple[str, str]:
    """Bucket and key of a copy's source."""
    text = unquote(str(asked.parameters["CopySource"])).partition("?versionId=")[0].lstrip("/")
    bucket, _, key = text.partition("/")
    return bucket, key


def _check_digests(request: HttpRequest) -> None:
    if "aws-chunked" in (request.header("content-encoding") or ""):
        return
    for name, digest in _DIGESTS.items():
        given = request.header(name)
        if given is None:
            continue
        what = "Content-MD5" if name == "content-md5" else name
        try:
            wanted = base64.b64decode(given, validate=True)
        except ValueError:
            wanted = b""
        found = digest(request.body)
        if len(wanted) != len(found):
            raise Refused("InvalidDigest", status=400, message=f"The {what} you specified was invalid.")
        if wanted != found:
            raise Refused("BadDigest", status=400, message=f"The {what} you specified did not match what we received.")


def _check_upload(state: State, asked: S3Request) -> None:
    upload = str(asked.parameters.get("UploadId", ""))
    if not state.upload_exists(asked.bucket or "", asked.key or "", upload):
        raise Refused(
            "NoSuchUpload",
            status=404,
            message="The specified multipart upload does not exist. The upload ID may be invalid, or the upload may "
            "have been aborted or completed.",
        )


def _check_copy(state: State, asked: S3Request) -> None:
    bucket, key = copy_source(asked)
    etag = state.object_etag(bucket, key)
    if etag is None:
        raise Refused("NoSuchKey", status=404, message="The specified key does not exist.")
    wanted = asked.parameters.get("CopySourceIfMatch")
    if wanted is not None and str(wanted).strip('"') != etag.strip('"'):
        raise _precondition("x-amz-copy-source-If-Match")
    if asked.parameters.get("IfNoneMatch") == "*" and state.object_exists(asked.bucket or "", asked.key or ""):
        raise _precondition("If-None-Match")


def _precondition(condition: str) -> Refused:
    return Refused("PreconditionFailed", status=412, message=_FAILED, details=(("Condition", condition),))
