"""Under S3 Bucket Keys the encryption context that KMS sees is the bucket, else the object.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.snapshot.state import EncryptionRow, KeyRow, ObjectRow, Unread
from tests.unit.predictions import OWNER, REGION, cell, policy, predict, snapshot, statement

KEY = f"arn:aws:kms:{REGION}:{OWNER}:key/k"
BUCKET, OBJECT = "arn:aws:s3:::reports-bucket", "arn:aws:s3:::reports-bucket/canary"
KMS = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY}
DEPENDS = "it depends on what is not known: kms:encryptioncontext:aws:s3:arn"


def serving(arn: str, **changes: Any) -> Any:
    """A key that serves where the encryption context is this ARN."""
    only = {"StringEquals": {"kms:EncryptionContext:aws:s3:arn": arn}}
    row = statement("Allow", Principal={"AWS": OWNER}, Action="kms:*", Resource="*", conditions=only)
    key = KeyRow(named=KEY, arn=KEY, account=OWNER, policy=policy(row, name="key policy"))
    return replace(snapshot(**changes), keys=(key,))


def contexts(asked: Any, **changes: Any) -> list[str]:
    """Which of both it is; both where nobody knows."""
    found = {arn: predict(serving(arn, **changes), asked) for arn in (BUCKET, OBJECT)}
    for one in found.values():
        assert one.expected is not Expected.UNKNOWN or one.why == DEPENDS
    return [arn for arn, one in found.items() if one.expected is not Expected.IMPLICIT_DENY]


def put(**parameters: Any) -> Any:
    return cell("PutObject", parameters=parameters, variant="v") if parameters else cell("PutObject")


def default(bucket_key: bool | None, algorithm: str = "aws:kms") -> dict[str, Any]:
    return {"encryption": EncryptionRow(algorithm=algorithm, key=KEY, bucket_key=bucket_key)}


@pytest.mark.parametrize(("bucket_key", "wanted"), [(True, [BUCKET]), (False, [OBJECT]), (None, [BUCKET, OBJECT])])
def test_it_is_as_the_object_or_else_the_bucket_says(bucket_key: bool | None, wanted: list[str]) -> None:
    there = {"canary": ObjectRow(encryption="aws:kms", key=KEY, bucket_key=bucket_key)}
    assert contexts(cell(), objects=there) == wanted
    made = default(bucket_key)
    assert contexts(cell(), objects={}, **made) == wanted
    assert contexts(put(), **made) == wanted
    assert contexts(put(**KMS), **default(bucket_key, "AES256")) == wanted


@pytest.mark.parametrize("given", [True, False, None])
def test_a_request_decides_before_the_bucket(given: bool | None) -> None:
    assert contexts(put(**KMS, BucketKeyEnabled=True), **default(given)) == [BUCKET]
    assert contexts(put(**KMS, BucketKeyEnabled=False), **default(given)) == [OBJECT]
    assert contexts(put(BucketKeyEnabled=True), **default(given)) == [BUCKET]


def test_two_layers_have_none() -> None:
    assert contexts(put(), **default(bucket_key=True, algorithm="aws:kms:dsse")) == [OBJECT]
    there = {"canary": ObjectRow(encryption="aws:kms:dsse", key=KEY)}
    assert contexts(cell(), objects=there) == [OBJECT]


def test_what_was_not_read_may_be_either() -> None:
    assert contexts(put(**KMS), encryption=Unread(unread="you may not")) == [BUCKET, OBJECT]
    assert contexts(put(**KMS), encryption=None) == [OBJECT]
