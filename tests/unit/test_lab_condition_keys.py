"""The condition keys that S3 sets from a request and from the object that is there, as policies see them.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.labstage import Stage, allow, deny, policy, refusal

MAIN = "310000000081"
BUCKET = "lab-keys"
ROLE = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
SOURCE = {"Bucket": BUCKET, "Key": "k"}
TAG = {"TagSet": [{"Key": "Level", "Value": "secret"}]}


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN)
    s3 = made.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x", Tagging="level=public&owner=me")
    s3.put_object(Bucket=BUCKET, Key="bare", Body=b"x")
    return made


@pytest.fixture
def s3(stage: Stage) -> Any:
    return stage.admin(MAIN).client("s3")


def met(stage: Stage, condition: dict[str, Any], call: str, *, action: str = "s3:*", **parameters: Any) -> bool:
    """Whether a deny under this condition meets the call."""
    text = policy(allow("*"), deny(action, Condition=condition))
    client = stage.user(MAIN).assume(ROLE, Policy=text).client("s3")
    try:
        getattr(client, call)(Bucket=BUCKET, **parameters)
    except client.exceptions.ClientError as error:
        return "explicit deny" in error.response["Error"]["Message"]
    return False


def equals(key: str, value: str) -> dict[str, Any]:
    return {"StringEquals": {f"s3:{key}": value}}


def absent(key: str) -> dict[str, Any]:
    return {"Null": {f"s3:{key}": "true"}}


@pytest.mark.parametrize(
    ("call", "parameters"),
    [
        ("get_object", {}),
        ("get_object_tagging", {}),
        ("put_object_tagging", {"Tagging": TAG}),
        ("delete_object_tagging", {}),
        ("get_object_acl", {}),
        ("get_object_attributes", {"ObjectAttributes": ["ETag"]}),
    ],
)
def test_an_objects_own_tags_are_seen(stage: Stage, s3: Any, call: str, parameters: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/tagging-and-policies.html"""
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x", Tagging="level=public&owner=me")
    assert met(stage, equals("ExistingObjectTag/level", "public"), call, Key="k", **parameters)
    assert not met(stage, equals("ExistingObjectTag/level", "secret"), call, Key="k", **parameters)
    assert met(stage, absent("ExistingObjectTag/level"), call, Key="bare", **parameters)


def test_an_objects_tags_are_not_seen_by_what_does_not_look_at_them(stage: Stage) -> None:
    assert met(stage, absent("ExistingObjectTag/level"), "put_object", Key="k2", Body=b"")
    assert met(stage, absent("ExistingObjectTag/level"), "delete_object", Key="k2")


def test_the_tags_of_a_copys_source_are_seen(stage: Stage, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x", Tagging="level=public")
    condition = equals("ExistingObjectTag/level", "public")
    assert met(stage, condition, "copy_object", action="s3:GetObject", Key="copy", CopySource=SOURCE)
    other = {"Bucket": BUCKET, "Key": "bare"}
    assert not met(stage, condition, "copy_object", action="s3:GetObject", Key="copy", CopySource=other)


def test_the_tags_of_a_named_version_are_seen(stage: Stage, s3: Any) -> None:
    s3.create_bucket(Bucket="lab-keys-versions")
    s3.put_bucket_versioning(Bucket="lab-keys-versions", VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket="lab-keys-versions", Key="k", Body=b"", Tagging="level=old")["VersionId"]
    s3.put_object(Bucket="lab-keys-versions", Key="k", Body=b"", Tagging="level=new")
    text = policy(allow("*"), deny("s3:*", Condition=equals("ExistingObjectTag/level", "old")))
    limited = stage.user(MAIN).assume(ROLE, Policy=text).client("s3")
    assert limited.get_object(Bucket="lab-keys-versions", Key="k")
    assert refusal(limited.get_object, Bucket="lab-keys-versions", Key="k", VersionId=old)[0] == 403


def test_the_tags_that_are_being_set_are_seen(stage: Stage) -> None:
    set_tags: dict[str, Any] = {"Key": "k", "Tagging": TAG}
    assert met(stage, equals("RequestObjectTag/level", "secret"), "put_object_tagging", **set_tags)
    assert not met(stage, equals("RequestObjectTag/level", "public"), "put_object_tagging", **set_tags)
    others = {"ForAnyValue:StringNotEquals": {"s3:RequestObjectTagKeys": ["Level"]}}
    assert not met(stage, others, "put_object_tagging", **set_tags)
    assert met(stage, others, "put_object", Key="new", Body=b"", Tagging="Level=a&Other=b")


def test_whether_an_object_comes_to_be_is_seen(stage: Stage, s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html"""
    creates = {"Bool": {"s3:ObjectCreationOperation": "true"}}
    assert met(stage, creates, "put_object", Key="new", Body=b"")
    assert met(stage, creates, "copy_object", Key="new", CopySource=SOURCE)
    assert met(stage, creates, "create_multipart_upload", Key="new")
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="new")["UploadId"]
    part = {"Key": "new", "UploadId": upload, "PartNumber": 1}
    assert not met(stage, creates, "upload_part", **part, Body=b"")
    assert met(stage, {"Bool": {"s3:ObjectCreationOperation": "false"}}, "upload_part", **part, Body=b"")
    assert met(stage, absent("ObjectCreationOperation"), "get_object", Key="k")


@pytest.mark.parametrize(
    ("call", "parameters", "key", "value"),
    [
        (
            "put_object",
            {"Key": "n", "Body": b"", "ServerSideEncryption": "AES256"},
            "x-amz-server-side-encryption",
            "AES256",
        ),
        ("put_object", {"Key": "n", "Body": b"", "StorageClass": "GLACIER_IR"}, "x-amz-storage-class", "GLACIER_IR"),
        ("put_object", {"Key": "n", "Body": b"", "IfNoneMatch": "*"}, "if-none-match", "*"),
        (
            "put_object",
            {"Key": "n", "Body": b"", "ACL": "bucket-owner-full-control"},
            "x-amz-acl",
            "bucket-owner-full-control",
        ),
        (
            "put_object",
            {"Key": "n", "Body": b"", "WebsiteRedirectLocation": "/x"},
            "x-amz-website-redirect-location",
            "/x",
        ),
        ("copy_object", {"Key": "n", "CopySource": SOURCE}, "x-amz-copy-source", f"{BUCKET}/k"),
        (
            "copy_object",
            {"Key": "n", "CopySource": SOURCE, "MetadataDirective": "COPY"},
            "x-amz-metadata-directive",
            "COPY",
        ),
        ("put_object_acl", {"Key": "k", "GrantRead": f"id={'0' * 64}"}, "x-amz-grant-read", f"id={'0' * 64}"),
        ("list_objects_v2", {"Prefix": "a/"}, "prefix", "a/"),
        ("list_objects_v2", {"Delimiter": "/"}, "delimiter", "/"),
        ("list_objects_v2", {}, "max-keys", "1000"),
        ("list_object_versions", {"MaxKeys": 7}, "max-keys", "7"),
        ("get_object", {"Key": "k", "VersionId": "null"}, "versionid", "null"),
    ],
)
def test_a_parameter_is_a_key(stage: Stage, call: str, parameters: dict[str, Any], key: str, value: str) -> None:
    assert met(stage, equals(key, value), call, **parameters)
    assert not met(stage, equals(key, f"{value}x"), call, **parameters)


def test_what_was_not_sent_is_absent(stage: Stage) -> None:
    for key in ("x-amz-server-side-encryption", "x-amz-acl", "if-none-match", "x-amz-copy-source", "object-lock-mode"):
        assert met(stage, absent(key), "put_object", Key="n", Body=b""), key
    for key in ("prefix", "delimiter"):
        assert met(stage, absent(key), "list_objects_v2"), key


def test_where_a_bucket_is_to_be_is_a_key(stage: Stage) -> None:
    text = policy(allow("*"), deny("s3:CreateBucket", Condition=equals("locationconstraint", "eu-west-1")))
    person = stage.user(MAIN).assume(ROLE, Policy=text)
    west = person.client("s3", region="eu-west-1")
    where = {"LocationConstraint": "eu-west-1"}
    assert refusal(west.create_bucket, Bucket="lab-keys-new", CreateBucketConfiguration=where)[0] == 403
    assert person.client("s3").create_bucket(Bucket="lab-keys-new", ObjectOwnership="ObjectWriter")
    owned = policy(allow("*"), deny("s3:CreateBucket", Condition=equals("x-amz-object-ownership", "ObjectWriter")))
    s3 = stage.user(MAIN).assume(ROLE, Policy=owned).client("s3")
    assert refusal(s3.create_bucket, Bucket="lab-keys-new-2", ObjectOwnership="ObjectWriter")[0] == 403


def test_how_long_an_object_is_locked_is_a_key(stage: Stage, s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html"""
    long = {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}}
    lock: dict[str, Any] = {"Key": "n", "Body": b"", "ObjectLockMode": "GOVERNANCE"}
    now = datetime.now(UTC)
    assert met(stage, long, "put_object", **lock, ObjectLockRetainUntilDate=now + timedelta(days=12))
    assert not met(stage, long, "put_object", **lock, ObjectLockRetainUntilDate=now + timedelta(days=9))
    assert met(stage, equals("object-lock-mode", "GOVERNANCE"), "put_object", **lock, ObjectLockRetainUntilDate=now)
