"""Encryption that a request asks for: headers that contradict each other, and keys that customers bring.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from tests.unit.labstage import Stage, refusal

MAIN = "310000000101"
BUCKET = "lab-encryption"
KEY, OTHER = b"k" * 32, b"o" * 32


def digest(key: bytes) -> str:
    return base64.b64encode(hashlib.md5(key, usedforsecurity=False).digest()).decode()


def brought(key: bytes = KEY, prefix: str = "") -> dict[str, Any]:
    """A customer's key as boto3 takes it, which adds its digest."""
    return {f"{prefix}SSECustomerAlgorithm": "AES256", f"{prefix}SSECustomerKey": key}


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN)
    made.admin(MAIN).client("s3").create_bucket(Bucket=BUCKET)
    return made


@pytest.fixture
def s3(stage: Stage) -> Any:
    return stage.admin(MAIN).client("s3")


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"ServerSideEncryption": "aes:kms"}, "InvalidArgument"),
        ({"ServerSideEncryption": "AES256", "SSEKMSKeyId": "some-key"}, "InvalidArgument"),
        ({"SSEKMSKeyId": "some-key"}, "InvalidArgument"),
        ({"ServerSideEncryption": "AES256", **brought()}, "InvalidArgument"),
        ({"ServerSideEncryption": "aws:kms", **brought()}, "InvalidArgument"),
    ],
)
def test_headers_that_contradict_each_other_are_refused(s3: Any, parameters: dict[str, Any], code: str) -> None:
    assert refusal(s3.put_object, Bucket=BUCKET, Key="no", Body=b"", **parameters)[:2] == (400, code)
    assert refusal(s3.head_object, Bucket=BUCKET, Key="no")[0] == 404


def raw(stage: Stage, **headers: str) -> tuple[int, str, str]:
    """PutObject with just these headers of a customer's key: boto3 would add what is missing."""
    client = stage.admin(MAIN).client("s3")
    names = {"algorithm": "algorithm", "key": "key", "md5": "key-MD5"}

    def add(request: Any, **_: object) -> None:
        for name, value in headers.items():
            request.headers[f"x-amz-server-side-encryption-customer-{names[name]}"] = value

    client.meta.events.register("before-sign.s3.PutObject", add)
    return refusal(client.put_object, Bucket=BUCKET, Key="no", Body=b"")


@pytest.mark.parametrize(
    ("headers", "code", "message"),
    [
        ({"key": KEY, "md5": KEY}, "InvalidArgument", "provide a valid encryption algorithm."),
        (
            {"algorithm": "AES128", "key": KEY, "md5": KEY},
            "InvalidEncryptionAlgorithmError",
            "Supported value: AES256.",
        ),
        ({"algorithm": "AES256", "md5": KEY}, "InvalidArgument", "provide an appropriate secret key."),
        (
            {"algorithm": "AES256", "key": b"short", "md5": KEY},
            "InvalidArgument",
            "invalid for the specified algorithm.",
        ),
        ({"algorithm": "AES256", "key": KEY}, "InvalidArgument", "the client calculated MD5 of the secret key."),
        (
            {"algorithm": "AES256", "key": KEY, "md5": OTHER},
            "InvalidArgument",
            "did not match the hash that was provided.",
        ),
        ({"algorithm": "AES256", "key": "%", "md5": KEY}, "InvalidArgument", "invalid for the specified algorithm."),
    ],
)
def test_a_key_that_is_none_is_refused(stage: Stage, headers: dict[str, Any], code: str, message: str) -> None:
    sent = dict(headers)
    if isinstance(sent.get("key"), bytes):
        sent["key"] = base64.b64encode(sent["key"]).decode()
    if "md5" in sent:
        sent["md5"] = digest(sent["md5"])
    found = raw(stage, **sent)
    assert found[:2] == (400, code)
    assert found[2].endswith(message)


def test_an_object_is_read_with_the_key_it_was_written_with(s3: Any) -> None:
    made = s3.put_object(Bucket=BUCKET, Key="mine", Body=b"x", **brought())
    assert (made["SSECustomerAlgorithm"], made["SSECustomerKeyMD5"]) == ("AES256", digest(KEY))
    assert "ServerSideEncryption" not in made
    found = s3.get_object(Bucket=BUCKET, Key="mine", **brought())
    assert (found["Body"].read(), found["SSECustomerKeyMD5"]) == (b"x", digest(KEY))
    assert s3.head_object(Bucket=BUCKET, Key="mine", **brought())["ContentLength"] == 1
    for wrong, expected, words in (
        ({}, (400, "InvalidRequest"), "The object was stored using a form of Server Side Encryption."),
        (
            brought(OTHER),
            (403, "AccessDenied"),
            "Requests specifying Server Side Encryption with Customer provided keys",
        ),
    ):
        *found_instead, message = refusal(s3.get_object, Bucket=BUCKET, Key="mine", **wrong)
        assert (*found_instead,) == expected
        assert message.startswith(words)
        assert refusal(s3.head_object, Bucket=BUCKET, Key="mine", **wrong)[0] == expected[0]
    s3.put_object(Bucket=BUCKET, Key="mine", Body=b"y")
    assert s3.get_object(Bucket=BUCKET, Key="mine")["Body"].read() == b"y"
    assert refusal(s3.get_object, Bucket=BUCKET, Key="mine", **brought())[:2] == (400, "InvalidRequest")


def test_a_copy_reads_with_one_key_and_writes_with_another(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="from", Body=b"x", **brought())
    copy = {"Bucket": BUCKET, "Key": "to", "CopySource": {"Bucket": BUCKET, "Key": "from"}}
    assert refusal(s3.copy_object, **copy)[:2] == (400, "InvalidRequest")
    assert s3.copy_object(**copy, **brought(prefix="CopySource"), **brought(OTHER))
    assert s3.get_object(Bucket=BUCKET, Key="to", **brought(OTHER))["Body"].read() == b"x"
    assert refusal(s3.get_object, Bucket=BUCKET, Key="to")[0] == 400


def test_an_upload_in_parts_keeps_its_key(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts", **brought())["UploadId"]
    part = {"Bucket": BUCKET, "Key": "parts", "UploadId": upload, "PartNumber": 1, "Body": b"x"}
    for wrong in ({}, brought(OTHER)):
        assert refusal(s3.upload_part, **part, **wrong)[:2] == (400, "InvalidRequest")
    etag = s3.upload_part(**part, **brought())["ETag"]
    s3.complete_multipart_upload(
        Bucket=BUCKET, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"ETag": etag, "PartNumber": 1}]}
    )
    assert s3.get_object(Bucket=BUCKET, Key="parts", **brought())["Body"].read() == b"x"
    assert refusal(s3.get_object, Bucket=BUCKET, Key="parts")[0] == 400


def test_a_key_is_not_sent_in_the_clear(stage: Stage) -> None:
    plain = stage.admin(MAIN).client("s3", url="http://127.0.0.1:1")
    status, code, message = refusal(plain.put_object, Bucket=BUCKET, Key="no", Body=b"", **brought())
    assert (status, code) == (400, "InvalidRequest")
    assert message.endswith("must be made over a secure connection.")
