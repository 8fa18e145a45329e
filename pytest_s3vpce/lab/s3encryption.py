"""Server-side encryption as requests ask for it: headers that contradict each other, and keys that customers bring.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3answers import made, upload_of
from pytest_s3vpce.lab.s3words import invalid_argument, invalid_request
from pytest_s3vpce.operations.creations import CREATIONS, ENCRYPTIONS, WITH_KMS

if TYPE_CHECKING:
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3checks import CopySource
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse

_READS: Final = frozenset({"GetObject", "HeadObject", "GetObjectAttributes"})
_PARTS: Final = frozenset({"UploadPart", "UploadPartCopy"})
_KEY_BYTES: Final = 32
_HEADER: Final = "x-amz-server-side-encryption"
_WITH: Final = "Requests specifying Server Side Encryption with Customer provided keys must"
_NEEDED: Final = (
    "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve "
    "the object."
)


@dataclass(frozen=True, slots=True)
class _Given:
    """What a request brings of a customer's key: its algorithm, the key and the key's digest."""

    algorithm: str | None
    key: str | None
    md5: str | None

    def __bool__(self) -> bool:
        return any(part is not None for part in (self.algorithm, self.key, self.md5))


def _given(asked: S3Request, prefix: str = "") -> _Given:
    names = ("Algorithm", "Key", "KeyMD5")
    return _Given(*(asked.parameters.get(f"{prefix}SSECustomer{name}") for name in names))


def check(state: State, request: HttpRequest, asked: S3Request, bucket: BucketState) -> None:
    """Refuses in S3's words what contradicts itself, and keys that are not the object's."""
    own = _given(asked)
    if asked.name in _READS and request.header(_HEADER) is not None:
        raise invalid_argument(f"{_HEADER} header is not supported for this operation.")
    _check_headers(asked, own)
    if own:
        _check_key(request, own)
    name, key = asked.name, asked.key
    if name in _READS and key is not None:
        version = asked.parameters.get("VersionId")
        _match(state.stored(bucket.name, key, None if version is None else str(version)), own)
    elif name in _PARTS:
        _match_part(upload_of(state, asked, bucket), own)


def check_source(state: State, request: HttpRequest, asked: S3Request, source: CopySource) -> None:
    given = _given(asked, "CopySource")
    if given:
        _check_key(request, given)
    _match(state.stored(source.bucket, source.key, source.version), given)


def _check_headers(asked: S3Request, own: _Given) -> None:
    method, key_id = asked.parameters.get("ServerSideEncryption"), asked.parameters.get("SSEKMSKeyId")
    if method is not None and own:
        raise invalid_argument(
            "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"
        )
    if method is not None and method not in ENCRYPTIONS:
        raise invalid_argument("The encryption method specified is not supported")
    if key_id is not None and method not in WITH_KMS:
        raise invalid_argument(
            "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : "
            "aws:kms"
        )


def _check_key(request: HttpRequest, given: _Given) -> None:
    if request.scheme != "https":
        raise invalid_request(f"{_WITH} be made over a secure connection.")
    if given.algorithm is None:
        raise invalid_argument(f"{_WITH} provide a valid encryption algorithm.")
    if given.algorithm != "AES256":
        message = "The Encryption request you specified is not valid. Supported value: AES256."
        raise Refused("InvalidEncryptionAlgorithmError", status=400, message=message)
    if given.key is None:
        raise invalid_argument(f"{_WITH} provide an appropriate secret key.")
    key = _decoded(given.key)
    if len(key) != _KEY_BYTES:
        raise invalid_argument("The secret key was invalid for the specified algorithm.")
    if given.md5 is None:
        raise invalid_argument(f"{_WITH} provide the client calculated MD5 of the secret key.")
    if _decoded(given.md5) != hashlib.md5(key, usedforsecurity=False).digest():
        raise invalid_argument("The calculated MD5 hash of the key did not match the hash that was provided.")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _match(stored: Any, given: _Given) -> None:
    held = getattr(stored, "s3vpce_sse_c", None)
    if held is None and given and stored is not None:
        raise invalid_request("The encryption parameters are not applicable to this object.")
    if held is not None and not given:
        raise invalid_request(_NEEDED)
    if held is not None and held != given.md5:
        raise Refused("AccessDenied", status=403, message=f"{_WITH} provide the correct secret key.")


def _match_part(upload: Any, given: _Given) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html"""
    held = getattr(upload, "s3vpce_sse_c", None)
    if upload is not None and (held is None) == bool(given):
        raise invalid_request(
            "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate "
            "encryption parameters."
        )
    if held is not None and held != given.md5:
        raise invalid_request("The provided encryption parameters did not match the ones used originally.")


def settle(state: State, answer: HttpResponse, asked: S3Request, bucket: BucketState, *, upload: Any) -> HttpResponse:
    """Remember which key an object is under, and say so in the answer."""
    own, name = _given(asked), asked.name
    held = own.md5 if name in CREATIONS else None
    if name == "CompleteMultipartUpload":
        held = getattr(upload, "s3vpce_sse_c", None)
    found = None if held is None else made(state, asked, bucket, answer)
    if found is not None:
        found.s3vpce_sse_c, found.encryption = held, None  # the bucket's default is for what brings no key
    if not own and held is None:
        return _with_method(state, answer, asked, bucket) if name == "CreateMultipartUpload" else answer
    said = ((f"{_HEADER}-customer-algorithm", "AES256"), (f"{_HEADER}-customer-key-MD5", own.md5 or held or ""))
    left = tuple(pair for pair in answer.headers if not pair[0].lower().startswith(_HEADER))
    return replace(answer, headers=(*left, *said))


def _with_method(state: State, answer: HttpResponse, asked: S3Request, bucket: BucketState) -> HttpResponse:
    """An upload in parts says how its object will be encrypted, and that stays so.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
    """
    default = state.stored(bucket.name).encryption["Rule"]["ApplyServerSideEncryptionByDefault"]
    method = str(asked.parameters.get("ServerSideEncryption") or default["SSEAlgorithm"])
    upload = made(state, asked, bucket, answer)
    if upload is not None:
        upload.sse_encryption = method
    left = [pair for pair in answer.headers if pair[0].lower() != _HEADER]
    return replace(answer, headers=(*left, (_HEADER, method)))
