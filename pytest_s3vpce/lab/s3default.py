"""The encryption that a bucket's objects get by default, and the one that it takes no more.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/blocking-unblocking-s3-c-encryption-gpb.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.s3answers import answered
from pytest_s3vpce.lab.s3forms import element, malformed
from pytest_s3vpce.lab.s3words import invalid_argument
from pytest_s3vpce.lab.wire import HttpResponse
from pytest_s3vpce.markup import children, elements, texts
from pytest_s3vpce.operations.creations import CREATIONS, WITH_KMS

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

_DEFAULT: Final = "ApplyServerSideEncryptionByDefault"
_SSE_C: Final = "SSE-C"
_WRITES: Final = CREATIONS | {"UploadPart", "UploadPartCopy"}


def answer(state: State, request: HttpRequest, asked: S3Request, bucket: BucketState) -> HttpResponse | None:
    """The answer of an operation on a bucket's encryption; None for all others."""
    home, name = state.stored(bucket.name), asked.name
    if name == "PutBucketEncryption":
        return _put(home, request.body)
    if name == "DeleteBucketEncryption":
        home.encryption = {"Rule": {_DEFAULT: {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": "false"}}
        return HttpResponse(status=204)
    return _shown(home) if name == "GetBucketEncryption" else None


def blocked(state: State, asked: S3Request, bucket: BucketState) -> str | None:
    """The end of S3's sentence where the bucket takes no object under a key of the customer's.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html
    """
    if asked.name not in _WRITES or "SSECustomerAlgorithm" not in asked.parameters:
        return None
    if _SSE_C not in getattr(state.stored(bucket.name), "s3vpce_blocked", ()):
        return None
    return (
        "because this bucket has blocked upload requests that specify Server Side Encryption with Customer provided "
        "keys (SSE-C). Please specify a different server-side encryption type"
    )


def _put(home: Any, body: bytes) -> HttpResponse:
    rules = list(element(body))
    if len(rules) != 1:
        raise malformed()
    parts = children(rules[0])
    if _DEFAULT in parts:
        enabled = (parts["BucketKeyEnabled"].text or "false") if "BucketKeyEnabled" in parts else "false"
        home.encryption = {"Rule": {_DEFAULT: _default(parts[_DEFAULT]), "BucketKeyEnabled": enabled.strip()}}
    if "BlockedEncryptionTypes" in parts:
        home.s3vpce_blocked = tuple((part.text or "").strip() for part in parts["BlockedEncryptionTypes"])
    return HttpResponse(status=200)


def _default(given: ET.Element) -> dict[str, str]:
    found = {name: text.strip() for name, text in texts(given).items()}
    if not found.get("SSEAlgorithm"):
        raise malformed()
    if "KMSMasterKeyID" in found and found["SSEAlgorithm"] not in WITH_KMS:
        message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse"
        raise invalid_argument(message, ("ArgumentName", _DEFAULT))
    return found


def _shown(home: Any) -> HttpResponse:
    rule = home.encryption["Rule"]
    blocked = "".join(elements(EncryptionType=name) for name in getattr(home, "s3vpce_blocked", ()))
    content = f"<{_DEFAULT}>{elements(**rule[_DEFAULT])}</{_DEFAULT}>"
    content += elements(BucketKeyEnabled=rule["BucketKeyEnabled"])
    content += f"<BlockedEncryptionTypes>{blocked}</BlockedEncryptionTypes>" if blocked else ""
    return answered("ServerSideEncryptionConfiguration", f"<Rule>{content}</Rule>")
