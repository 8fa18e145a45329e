"""What the state behind answers, given the outside of an answer of S3's.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTCommonResponseHeaders.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.faultdocuments import s3_ids
from pytest_s3vpce.lab.wire import HttpResponse
from pytest_s3vpce.markup import S3, document, elements

if TYPE_CHECKING:
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

# Not S3's: a request's own header sent back, and the id that other services use.
_STRANGE: Final = frozenset({"x-amz-sdk-checksum-algorithm", "x-amzn-requestid"})
_ID: Final = re.compile(rb"<RequestI[Dd]>[^<]*</RequestI[Dd]>")
_UPLOAD: Final = re.compile(rb"<UploadId>([^<]+)</UploadId>")
_REDIRECTS: Final = 300


def finish(answer: HttpResponse, request: HttpRequest) -> HttpResponse:
    """Ids on every answer, in an error's document too; a HEAD's errors have no body."""
    given = {name.lower(): value for name, value in answer.headers}
    request_id, host_id = given.get("x-amz-request-id"), given.get("x-amz-id-2")
    if request_id is None or host_id is None:
        made = s3_ids()
        request_id, host_id = request_id or made[0], host_id or made[1]
    added = {"Server": "AmazonS3", "x-amz-request-id": request_id, "x-amz-id-2": host_id}
    headers = [(name, value) for name, value in answer.headers if _kept(name, answer, request)]
    headers += [(name, value) for name, value in added.items() if name.lower() not in given]
    body = answer.body
    if answer.status >= _REDIRECTS:
        ids = f"<RequestId>{request_id}</RequestId><HostId>{host_id}</HostId>"
        if b"<HostId>" not in body:
            body = _ID.sub(ids.encode(), body, count=1)
        if request.method == "HEAD":
            body = b""
    return HttpResponse(status=answer.status, headers=tuple(headers), body=body)


def answered(root: str, content: str, *, namespace: str = S3) -> HttpResponse:
    """The answer that is one document."""
    return of_document(document(root, content, namespace=namespace))


def of_document(body: bytes) -> HttpResponse:
    return HttpResponse(status=200, headers=(("Content-Type", "application/xml"),), body=body)


def made(state: State, asked: S3Request, bucket: BucketState, answer: HttpResponse) -> Any:
    """The object that was made, or the upload that is to become one; None where another request took it away."""
    if asked.name != "CreateMultipartUpload":
        return state.stored(bucket.name, asked.key)
    upload = _UPLOAD.search(answer.body)
    return None if upload is None else state.stored(bucket.name).multiparts.get(upload[1].decode())


def upload_of(state: State, asked: S3Request, bucket: BucketState) -> Any:
    """The upload that a request names; None where there is none."""
    upload = asked.parameters.get("UploadId")
    return None if upload is None else state.stored(bucket.name).multiparts.get(str(upload))


def no_buckets(owner: str) -> HttpResponse:
    """The list of an account that has none. https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html"""
    return answered("ListAllMyBucketsResult", f"<Buckets/><Owner>{elements(ID=owner)}</Owner>")


def _kept(name: str, answer: HttpResponse, request: HttpRequest) -> bool:
    lowered = name.lower()
    empty = lowered == "content-type" and not answer.body and request.method not in {"GET", "HEAD"}
    return lowered not in _STRANGE and not empty
