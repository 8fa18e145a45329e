"""Server-side encryption by header, by the bucket's default and with the customer's own keys; who may use a KMS key.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.conftest import ACCOUNTS, DENIED, allow, deny, outcome

if TYPE_CHECKING:
    from tests.conformance.conftest import World

KEY, OTHER = b"k" * 32, b"o" * 32
INVALID = (400, "InvalidArgument")


def own(key: bytes = KEY, **changes: str | None) -> dict[str, str]:
    """A customer's key as a raw request brings it."""
    found: dict[str, str | None] = {
        "SSECustomerAlgorithm": "AES256",
        "SSECustomerKey": base64.b64encode(key).decode(),
        "SSECustomerKeyMD5": base64.b64encode(hashlib.md5(key).digest()).decode(),
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


@pytest.fixture(scope="module")
def s3(world: World) -> Any:
    """Customers' keys are taken over HTTPS alone."""
    return world.secure("s3", "main")


@pytest.fixture(scope="module")
def key_id(world: World) -> str:
    found: str = world.client("kms").create_key()["KeyMetadata"]["Arn"]
    return found


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"ServerSideEncryption": "AES256"}, (200, "")),
        ({"ServerSideEncryption": "aws:kms"}, (200, "")),
        ({"ServerSideEncryption": "aws:kms:dsse"}, (200, "")),
        ({"ServerSideEncryption": "aes:kms"}, INVALID),
        ({"ServerSideEncryption": "AES256", "SSEKMSKeyId": "some-key"}, INVALID),
        ({"SSEKMSKeyId": "some-key"}, INVALID),
        ({"ServerSideEncryption": "AES256", **own()}, INVALID),
        ({"ServerSideEncryption": "aws:kms", **own()}, INVALID),
        (own(SSECustomerKey=None), INVALID),
        (own(SSECustomerKeyMD5="AAAAAAAAAAAAAAAAAAAAAA=="), INVALID),
        (own(b"short"), INVALID),
        (own(SSECustomerAlgorithm=None), INVALID),
        (own(SSECustomerAlgorithm="AES"), (400, "InvalidEncryptionAlgorithmError")),
        (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "00000000-0000-0000-0000-000000000000"},
            (400, "KMS.NotFoundException"),
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_a_write_asks_for(world: World, s3: Any, parameters: dict[str, str], expected: tuple[int, str]) -> None:
    assert outcome(s3.put_object, Bucket=world.bucket(), Key="key", Body=b"x", **parameters) == expected


def test_what_was_asked_for_is_said(world: World, s3: Any, key_id: str) -> None:
    bucket = world.bucket()
    s3.put_object(Bucket=bucket, Key="kms", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key_id)
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/kms", ServerSideEncryption="AES256")
    for key, method, used in (("kms", "aws:kms", key_id), ("plain", "AES256", None), ("copy", "AES256", None)):
        for call in (s3.head_object, s3.get_object):
            found = call(Bucket=bucket, Key=key)
            assert (found["ServerSideEncryption"], found.get("SSEKMSKeyId")) == (method, used)
    headers = {"x-amz-server-side-encryption": "AES256"}  # it is for writes
    assert world.signed("GET", f"/{bucket}/plain", headers=headers).status == 400
    assert world.signed("HEAD", f"/{bucket}/plain", headers=headers).status == 400


def test_the_default_of_a_bucket(world: World, s3: Any, key_id: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-bucket-encryption.html"""
    bucket = world.bucket()

    def default() -> dict[str, Any]:
        (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        found: dict[str, Any] = rule["ApplyServerSideEncryptionByDefault"]
        return found

    assert default() == {"SSEAlgorithm": "AES256"}
    by_key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_id}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": by_key}]}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)
    assert default() == by_key
    stored = s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    assert (stored["ServerSideEncryption"], stored["SSEKMSKeyId"]) == ("aws:kms", key_id)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")
    assert upload["ServerSideEncryption"] == "aws:kms"
    assert outcome(s3.delete_bucket_encryption, Bucket=bucket) == (204, "")
    assert default() == {"SSEAlgorithm": "AES256"}
    assert s3.put_object(Bucket=bucket, Key="key", Body=b"x")["ServerSideEncryption"] == "AES256"
    wrong = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256", "KMSMasterKeyID": key_id}}]}
    call = s3.put_bucket_encryption
    assert outcome(call, Bucket=bucket, ServerSideEncryptionConfiguration=wrong) == INVALID
    assert outcome(call, Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": []}) == (400, "MalformedXML")


def test_an_object_under_a_customers_key(world: World, s3: Any) -> None:
    bucket = world.bucket("plain")
    at = {"Bucket": bucket, "Key": "key"}
    made = s3.put_object(**at, Body=b"content", **own())
    assert (made["SSECustomerAlgorithm"], made.get("ServerSideEncryption")) == ("AES256", None)
    assert s3.get_object(**at, **own())["Body"].read() == b"content"
    for call in (s3.get_object, s3.head_object, s3.get_object_attributes):
        more = {"ObjectAttributes": ["ETag"]} if call == s3.get_object_attributes else {}
        assert outcome(call, **at, **more)[0] == 400
        assert outcome(call, **at, **more, **own(OTHER))[0] == 403
        assert outcome(call, **at, **more, **own())[0] == 200
        assert outcome(call, Bucket=bucket, Key="plain", **more, **own())[0] == 400
    assert outcome(s3.get_object, **at) == (400, "InvalidRequest")
    assert outcome(s3.get_object, **at, **own(OTHER)) == DENIED
    assert outcome(s3.copy_object, Bucket=bucket, Key="copy", CopySource=f"{bucket}/key") == (400, "InvalidRequest")
    source = {f"CopySource{name}": value for name, value in own().items()}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/key", **source)
    assert copied["ServerSideEncryption"] == "AES256"
    assert outcome(s3.delete_object, **at) == (204, "")
    over_http = world.client("s3")
    assert outcome(over_http.put_object, **at, Body=b"x", **own())[0] == 400


def test_parts_under_a_customers_key(world: World, s3: Any) -> None:
    bucket = world.bucket()
    at: dict[str, Any] = {"Bucket": bucket, "Key": "key"}
    at["UploadId"] = s3.create_multipart_upload(**at, **own())["UploadId"]
    invalid = (400, "InvalidRequest")
    assert outcome(s3.upload_part, **at, PartNumber=1, Body=b"x") == invalid
    assert outcome(s3.upload_part, **at, PartNumber=1, Body=b"x", **own(OTHER)) == invalid
    etag = s3.upload_part(**at, PartNumber=1, Body=b"x", **own())["ETag"]
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert s3.get_object(Bucket=bucket, Key="key", **own())["Body"].read() == b"x"
    plain: dict[str, Any] = {"Bucket": bucket, "Key": "plain"}
    plain["UploadId"] = s3.create_multipart_upload(**plain)["UploadId"]
    assert outcome(s3.upload_part, **plain, PartNumber=1, Body=b"x", **own()) == invalid


def test_customers_keys_may_be_blocked_or_demanded(world: World, s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/blocking-unblocking-s3-c-encryption-gpb.html"""
    bucket = world.bucket()
    algorithm = "s3:x-amz-server-side-encryption-customer-algorithm"
    world.policy(bucket, deny("s3:PutObject", f"{bucket}/*", Condition={"Null": {algorithm: "true"}}))
    assert outcome(s3.put_object, Bucket=bucket, Key="key", Body=b"x") == DENIED
    assert outcome(s3.put_object, Bucket=bucket, Key="key", Body=b"x", **own()) == (200, "")
    s3.delete_bucket_policy(Bucket=bucket)
    for blocked, expected in ((["SSE-C"], DENIED), (["NONE"], (200, ""))):
        rules = {"Rules": [{"BlockedEncryptionTypes": {"EncryptionType": blocked}}]}
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)
        (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert rule["BlockedEncryptionTypes"] == {"EncryptionType": blocked}
        assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
        assert outcome(s3.put_object, Bucket=bucket, Key="key", Body=b"x", **own()) == expected
        assert outcome(s3.get_object, Bucket=bucket, Key="key", **own()) == (200, "")


def test_a_key_of_another_account_needs_both_sides(world: World, key_id: str) -> None:
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html"""
    bucket = world.bucket()
    alt = {"AWS": f"arn:aws:iam::{ACCOUNTS['alt']}:root"}
    world.policy(bucket, allow(["s3:PutObject", "s3:GetObject"], f"{bucket}/*", Principal=alt))
    kms, theirs = world.client("kms"), world.client("s3", "alt")
    wanted = {"Bucket": bucket, "Key": "key", "Body": b"x", "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_id}
    assert outcome(theirs.put_object, **wanted) == DENIED
    before = kms.get_key_policy(KeyId=key_id, PolicyName="default")["Policy"]
    policy = json.loads(before)
    policy["Statement"].append({"Effect": "Allow", "Principal": alt, "Action": "kms:*", "Resource": "*"})
    kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=json.dumps(policy))
    assert outcome(theirs.put_object, **wanted) == (200, "")
    kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=before)
    assert outcome(theirs.get_object, Bucket=bucket, Key="key") == DENIED
