"""Lifecycle rules that S3 takes, and those that it does not.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.conftest import outcome

if TYPE_CHECKING:
    from tests.conformance.conftest import World

TAG = {"Key": "k", "Value": "v"}
MIDNIGHT = datetime(2040, 1, 1, tzinfo=UTC)
NOON = datetime(2040, 1, 1, 12, tzinfo=UTC)
MALFORMED, REQUEST, ARGUMENT = (400, "MalformedXML"), (400, "InvalidRequest"), (400, "InvalidArgument")


def rule(**parts: Any) -> dict[str, Any]:
    """A good rule with other parts; None takes one away."""
    given = {"ID": "one", "Filter": {"Prefix": "a/"}, "Status": "Enabled", "Expiration": {"Days": 60}, **parts}
    return {name: value for name, value in given.items() if value is not None}


def move(days: int, to: str = "GLACIER") -> dict[str, Any]:
    return {"Days": days, "StorageClass": to}


def older(identity: str, prefix: str, **parts: Any) -> dict[str, Any]:
    return rule(ID=identity, Filter=None, Prefix=prefix, **parts)


@pytest.mark.parametrize(
    "rules",
    [
        [rule()],
        [rule(), rule(ID="two")],
        [rule(ID=None), rule(ID=None)],
        [rule(Filter={"And": {"Prefix": "a/", "Tags": [TAG]}})],
        [rule(Filter={"And": {"ObjectSizeGreaterThan": 1, "ObjectSizeLessThan": 2}})],
        [rule(Filter={"ObjectSizeLessThan": 1})],
        [rule(Filter={"Tag": TAG})],
        [rule(Expiration={"Date": MIDNIGHT})],
        [rule(Expiration={"ExpiredObjectDeleteMarker": True})],
        [rule(Transitions=[move(0), move(30, "STANDARD_IA")])],
        [rule(Transitions=[{"Date": MIDNIGHT, "StorageClass": "GLACIER"}], Expiration=None)],
        [rule(NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 2})],
        [rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})],
        [older("one", "a"), older("two", "b")],
        [older("one", "a"), older("two", "ab", Expiration=None, Transitions=[move(1)])],
    ],
    ids=str,
)
def test_rules_are_taken_and_given_back(world: World, rules: list[dict[str, Any]]) -> None:
    s3, bucket = world.client("s3"), world.bucket()
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    found = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    for row, given in zip(found["Rules"], rules, strict=True):
        assert row == {"ID": row["ID"], **given}
    assert len({row["ID"] for row in found["Rules"]}) == len(rules)
    assert found["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    assert outcome(s3.delete_bucket_lifecycle, Bucket=bucket) == (204, "")
    missing = outcome(s3.get_bucket_lifecycle_configuration, Bucket=bucket)
    assert missing == (404, "NoSuchLifecycleConfiguration")


@pytest.mark.parametrize("size", ["varies_by_storage_class", "all_storage_classes_128K", "none"])
def test_the_smallest_object_that_moves_by_default(world: World, size: str) -> None:
    s3, bucket = world.client("s3"), world.bucket()
    configuration = {"LifecycleConfiguration": {"Rules": [rule()]}, "TransitionDefaultMinimumObjectSize": size}
    found = outcome(s3.put_bucket_lifecycle_configuration, Bucket=bucket, **configuration)
    assert found == (REQUEST if size == "none" else (200, ""))
    if size != "none":
        kept = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
        assert kept["TransitionDefaultMinimumObjectSize"] == size


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], MALFORMED),
        ([rule(Filter=None)], MALFORMED),
        ([rule(Filter={"Prefix": "a", "Tag": TAG})], MALFORMED),
        ([rule(Filter={"And": {"Prefix": "a"}})], MALFORMED),
        ([rule(Filter={"And": {"Tags": [TAG, TAG]}})], REQUEST),
        ([rule(Filter={"And": {"ObjectSizeGreaterThan": 2, "ObjectSizeLessThan": 2}})], REQUEST),
        ([rule(Expiration=None)], REQUEST),
        ([rule(Expiration={"Days": 1, "Date": MIDNIGHT})], MALFORMED),
        ([rule(Expiration={"Days": 1, "ExpiredObjectDeleteMarker": True})], MALFORMED),
        ([rule(Expiration={"Days": 0})], ARGUMENT),
        ([rule(Expiration={"Days": -1})], ARGUMENT),
        ([rule(Expiration={"Date": NOON})], ARGUMENT),
        ([rule(Expiration={"ExpiredObjectDeleteMarker": True}, Filter={"Tag": TAG})], REQUEST),
        ([rule(Expiration={"ExpiredObjectDeleteMarker": True}, Filter={"ObjectSizeLessThan": 9})], REQUEST),
        ([rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}, Filter={"Tag": TAG})], REQUEST),
        ([rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 0})], ARGUMENT),
        ([rule(NoncurrentVersionExpiration={"NewerNoncurrentVersions": 1})], MALFORMED),
        ([rule(NoncurrentVersionExpiration={"NoncurrentDays": 0})], ARGUMENT),
        ([rule(Transitions=[{"StorageClass": "GLACIER"}])], MALFORMED),
        ([rule(Transitions=[move(29, "STANDARD_IA")])], ARGUMENT),
        ([rule(Transitions=[move(1), move(2)])], ARGUMENT),
        ([rule(Transitions=[move(60)])], ARGUMENT),
        ([rule(Transitions=[{"Date": MIDNIGHT, "StorageClass": "GLACIER"}])], REQUEST),
        ([rule(ID="x" * 256)], ARGUMENT),
        ([rule(), rule()], ARGUMENT),
        ([older("one", "a"), rule(ID="two")], REQUEST),
        ([rule(), older("two", "a")], REQUEST),
        ([older("one", "ab"), older("two", "a")], REQUEST),
        ([rule(ID=str(number)) for number in range(1001)], REQUEST),
    ],
    ids=lambda value: str(value)[:120],
)
def test_rules_that_s3_does_not_take(world: World, rules: list[dict[str, Any]], expected: tuple[int, str]) -> None:
    call = world.client("s3").put_bucket_lifecycle_configuration
    bucket = world.bucket()
    assert outcome(call, Bucket=bucket, LifecycleConfiguration={"Rules": rules}) == expected
    missing = outcome(world.client("s3").get_bucket_lifecycle_configuration, Bucket=bucket)
    assert missing == (404, "NoSuchLifecycleConfiguration")


@pytest.mark.parametrize(
    "action",
    [
        "<Expiration/>",
        "<Expiration><Days>--1</Days></Expiration>",
        "<Expiration><Days>2147483648</Days></Expiration>",
        f"<Expiration><Days>{'9' * 5000}</Days></Expiration>",
        "<Expiration><Date>0001-01-01T00:00:00+14:00</Date></Expiration>",
        "<Expiration><Date>Fri, 01 Jan 2016 00:00:00 GMT</Date></Expiration>",
        "<NoncurrentVersionExpiration/>",
    ],
    ids=lambda action: str(action)[:40],
)
def test_actions_that_are_none(world: World, action: str) -> None:
    text = f"<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status>{action}</Rule></LifecycleConfiguration>"
    digest = base64.b64encode(hashlib.md5(text.encode(), usedforsecurity=False).digest()).decode()
    found = world.signed("PUT", f"/{world.bucket()}?lifecycle", body=text.encode(), headers={"Content-MD5": digest})
    assert (found.status, found.code) == MALFORMED
