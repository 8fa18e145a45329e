"""Object Lock, tags and what versions do: which requests S3 takes, and with which code it refuses the others.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.conftest import DENIED, allow, outcome

if TYPE_CHECKING:
    from tests.conformance.conftest import World

FAR = datetime(2040, 1, 3, tzinfo=UTC)
NEARER = datetime(2040, 1, 1, tzinfo=UTC)
GOVERNED = {"Mode": "GOVERNANCE", "RetainUntilDate": FAR}


def rule(status: str = "Enabled", **retention: Any) -> dict[str, Any]:
    return {"ObjectLockEnabled": status, "Rule": {"DefaultRetention": retention}}


@pytest.fixture(scope="module")
def locked(world: World) -> str:
    return world.bucket(ObjectLockEnabledForBucket=True)


@pytest.fixture(scope="module")
def plain(world: World) -> str:
    return world.bucket("file1")


def test_a_bucket_made_for_locks_is_versioned_and_stays_so(world: World, locked: str) -> None:
    s3 = world.client("s3")
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    suspended = {"Status": "Suspended"}
    found = outcome(s3.put_bucket_versioning, Bucket=locked, VersioningConfiguration=suspended)
    assert found == (409, "InvalidBucketState")


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        (rule(Mode="GOVERNANCE", Days=1), (200, "")),
        (rule(Mode="COMPLIANCE", Years=1), (200, "")),
        ({"ObjectLockEnabled": "Enabled"}, (200, "")),
        (rule(Mode="GOVERNANCE", Days=1, Years=1), (400, "MalformedXML")),
        (rule(Mode="GOVERNANCE"), (400, "MalformedXML")),
        (rule(Days=1), (400, "MalformedXML")),
        (rule(Mode="GOVERNANCE", Days=0), (400, "InvalidArgument")),
        (rule(Mode="GOVERNANCE", Years=-1), (400, "InvalidArgument")),
        (rule(Mode="GOVERNANCE", Days=36501), (400, "InvalidArgument")),
        (rule(Mode="abc", Years=1), (400, "MalformedXML")),
        (rule(Mode="governance", Years=1), (400, "MalformedXML")),
        (rule("Disabled", Mode="GOVERNANCE", Years=1), (400, "MalformedXML")),
    ],
    ids=str,
)
def test_a_default_retention(world: World, configuration: dict[str, Any], expected: tuple[int, str]) -> None:
    s3, bucket = world.client("s3"), world.bucket(ObjectLockEnabledForBucket=True)
    found = outcome(s3.put_object_lock_configuration, Bucket=bucket, ObjectLockConfiguration=configuration)
    assert found == expected
    if found[0] == 200:
        assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == configuration


def test_a_bucket_without_locks_has_none(world: World, plain: str) -> None:
    s3 = world.client("s3")
    assert outcome(s3.get_object_lock_configuration, Bucket=plain) == (404, "ObjectLockConfigurationNotFoundError")
    at = {"Bucket": plain, "Key": "file1"}
    for call, more in (
        (s3.put_object_retention, {"Retention": GOVERNED}),
        (s3.get_object_retention, {}),
        (s3.put_object_legal_hold, {"LegalHold": {"Status": "ON"}}),
        (s3.get_object_legal_hold, {}),
        (s3.put_object, {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": FAR}),
        (s3.put_object, {"ObjectLockLegalHoldStatus": "ON"}),
    ):
        assert outcome(call, **at, **more) == (400, "InvalidRequest")
    found = outcome(
        s3.put_object_lock_configuration, Bucket=plain, ObjectLockConfiguration=rule(Mode="GOVERNANCE", Days=1)
    )
    assert found == (409, "InvalidBucketState")


@pytest.mark.parametrize("mode", ["governance", "abc"])
def test_modes_are_spelt_as_they_are(world: World, locked: str, mode: str) -> None:
    s3 = world.client("s3")
    s3.put_object(Bucket=locked, Key="mode", Body=b"x")
    retention = {"Mode": mode, "RetainUntilDate": FAR}
    assert outcome(s3.put_object_retention, Bucket=locked, Key="mode", Retention=retention) == (400, "MalformedXML")
    hold = {"Status": mode}
    assert outcome(s3.put_object_legal_hold, Bucket=locked, Key="mode", LegalHold=hold) == (400, "MalformedXML")
    past = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime(2020, 1, 1, tzinfo=UTC)}
    assert outcome(s3.put_object_retention, Bucket=locked, Key="mode", Retention=past) == (400, "InvalidArgument")


def test_governance_is_shortened_and_ended_by_those_who_may_bypass_it(world: World, locked: str) -> None:
    s3 = world.client("s3")
    version = s3.put_object(Bucket=locked, Key="governed", Body=b"abc")["VersionId"]
    at = {"Bucket": locked, "Key": "governed", "VersionId": version}
    s3.put_object_retention(Bucket=locked, Key="governed", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": NEARER})
    assert outcome(s3.put_object_retention, **at, Retention=GOVERNED) == (200, "")
    assert s3.get_object_retention(**at)["Retention"] == GOVERNED
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": NEARER}
    assert outcome(s3.put_object_retention, **at, Retention=shorter) == DENIED
    stricter = {"Mode": "COMPLIANCE", "RetainUntilDate": FAR}
    assert outcome(s3.put_object_retention, **at, Retention=stricter) == DENIED
    assert outcome(s3.put_object_retention, **at, Retention=shorter, BypassGovernanceRetention=True) == (200, "")
    assert outcome(s3.delete_object, **at) == DENIED
    entry = {"Key": "governed", "VersionId": version}
    refused = s3.delete_objects(Bucket=locked, Delete={"Objects": [entry]})["Errors"]
    assert [(row["Key"], row["VersionId"], row["Code"]) for row in refused] == [("governed", version, "AccessDenied")]
    marker = s3.delete_object(Bucket=locked, Key="governed")
    assert marker["DeleteMarker"] is True
    user = world.user(allow(["s3:DeleteObjectVersion", "s3:GetObject"], f"{locked}/*", Principal=None))
    theirs = world.client("s3", user)
    assert outcome(theirs.delete_object, **at, BypassGovernanceRetention=True) == DENIED
    gone = s3.delete_objects(Bucket=locked, Delete={"Objects": [entry]}, BypassGovernanceRetention=True)
    assert "Errors" not in gone


def test_compliance_is_ended_by_nobody(world: World, locked: str) -> None:
    s3 = world.client("s3")
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    stored = s3.put_object(
        Bucket=locked, Key="kept", Body=b"abc", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=soon
    )
    at = {"Bucket": locked, "Key": "kept", "VersionId": stored["VersionId"]}
    easier = {"Mode": "GOVERNANCE", "RetainUntilDate": soon}
    assert outcome(s3.put_object_retention, **at, Retention=easier) == DENIED
    assert outcome(s3.put_object_retention, **at, Retention=easier, BypassGovernanceRetention=True) == DENIED
    assert outcome(s3.delete_object, **at, BypassGovernanceRetention=True) == DENIED
    longer = {"Mode": "COMPLIANCE", "RetainUntilDate": soon + timedelta(hours=1)}
    assert outcome(s3.put_object_retention, **at, Retention=longer) == (200, "")


def test_a_legal_hold_holds_until_it_is_lifted(world: World, locked: str) -> None:
    s3 = world.client("s3")
    version = s3.put_object(Bucket=locked, Key="held", Body=b"abc", ObjectLockLegalHoldStatus="ON")["VersionId"]
    at = {"Bucket": locked, "Key": "held", "VersionId": version}
    assert s3.get_object_legal_hold(**at)["LegalHold"] == {"Status": "ON"}
    assert outcome(s3.delete_object, **at, BypassGovernanceRetention=True) == DENIED
    s3.put_object_retention(Bucket=locked, Key="held", Retention=GOVERNED)
    found = s3.head_object(Bucket=locked, Key="held")
    shown = (found["ObjectLockMode"], found["ObjectLockRetainUntilDate"], found["ObjectLockLegalHoldStatus"])
    assert shown == ("GOVERNANCE", FAR, "ON")
    s3.put_object_legal_hold(**at, LegalHold={"Status": "OFF"})
    assert outcome(s3.delete_object, **at) == DENIED
    assert outcome(s3.delete_object, **at, BypassGovernanceRetention=True) == (204, "")


def test_default_retention_is_on_new_objects(world: World) -> None:
    s3, bucket = world.client("s3"), world.bucket(ObjectLockEnabledForBucket=True)
    configuration = rule(Mode="GOVERNANCE", Days=1)
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)
    version = s3.put_object(Bucket=bucket, Key="a", Body=b"x")["VersionId"]
    assert s3.get_object_retention(Bucket=bucket, Key="a")["Retention"]["Mode"] == "GOVERNANCE"
    assert outcome(s3.delete_object, Bucket=bucket, Key="a", VersionId=version) == DENIED


# --- tags -------------------------------------------------------------------------------------------------------------


def tags(count: int, *, key: int = 1, value: int = 1) -> dict[str, Any]:
    return {"TagSet": [{"Key": f"{number:0{key}}", "Value": "v" * value} for number in range(count)]}


@pytest.mark.parametrize(
    ("tagging", "expected"),
    [
        (tags(10), (200, "")),
        (tags(11), (400, "BadRequest")),
        (tags(10, key=128, value=256), (200, "")),
        (tags(1, key=129), (400, "InvalidTag")),
        (tags(1, value=257), (400, "InvalidTag")),
        ({"TagSet": [{"Key": "aws:own", "Value": "x"}]}, (400, "InvalidTag")),
        ({"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, (400, "InvalidTag")),
        ({"TagSet": []}, (200, "")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_tags_of_an_object(world: World, tagging: dict[str, Any], expected: tuple[int, str]) -> None:
    s3, bucket = world.client("s3"), world.bucket("key")
    assert outcome(s3.put_object_tagging, Bucket=bucket, Key="key", Tagging=tagging) == expected
    stored = s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"]
    assert stored == (tagging["TagSet"] if expected[0] == 200 else [])
    if stored:
        assert s3.head_object(Bucket=bucket, Key="key")["TagCount"] == len(stored)
        assert outcome(s3.delete_object_tagging, Bucket=bucket, Key="key") == (204, "")
        assert s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"] == []


def test_tags_in_the_header_of_a_write(world: World) -> None:
    s3, bucket = world.client("s3"), world.bucket()
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", Tagging="foo=bar&bar")
    found = s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"]
    assert sorted(found, key=str) == [{"Key": "bar", "Value": ""}, {"Key": "foo", "Value": "bar"}]
    many = "&".join(f"{number}=x" for number in range(11))
    for text, code in (("a=1&a=2", "InvalidArgument"), (many, "BadRequest"), (f"{'k' * 129}=x", "InvalidTag")):
        assert outcome(s3.put_object, Bucket=bucket, Key="no", Tagging=text) == (400, code)
    assert outcome(s3.head_object, Bucket=bucket, Key="no") == (404, "404")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/key")
    assert len(s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"]) == 2
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/key", TaggingDirective="REPLACE", Tagging="a=b")
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_tags_of_a_bucket(world: World) -> None:
    s3, bucket = world.client("s3"), world.bucket()
    assert outcome(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")
    assert outcome(s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}) == (204, "")
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert outcome(s3.delete_bucket_tagging, Bucket=bucket) == (204, "")
    assert outcome(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")


# --- versions ---------------------------------------------------------------------------------------------------------


def test_versions_markers_and_null(world: World) -> None:
    s3, bucket = world.client("s3"), world.bucket("key")
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for status in ("Enabled", "Suspended"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="key", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="key", Body=b"2")["VersionId"]
    rows = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [(row["VersionId"], row["IsLatest"]) for row in rows] == [(second, True), (first, False), ("null", False)]
    marker = s3.delete_object(Bucket=bucket, Key="key")
    assert marker["DeleteMarker"] is True
    assert outcome(s3.get_object, Bucket=bucket, Key="key") == (404, "NoSuchKey")
    assert outcome(s3.get_object, Bucket=bucket, Key="key", VersionId=marker["VersionId"]) == (405, "MethodNotAllowed")
    assert outcome(s3.head_object, Bucket=bucket, Key="key", VersionId=marker["VersionId"]) == (405, "405")
    assert s3.get_object(Bucket=bucket, Key="key", VersionId="null")["Body"].read() == b"key"
    assert outcome(s3.get_object, Bucket=bucket, Key="key", VersionId="no such version") == (400, "InvalidArgument")
    assert s3.delete_object(Bucket=bucket, Key="key", VersionId=marker["VersionId"])["DeleteMarker"] is True
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"2"
    assert outcome(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "key", "VersionId": first})
    assert copied["CopySourceVersionId"] == first
    for row in s3.list_object_versions(Bucket=bucket)["Versions"]:
        s3.delete_object(Bucket=bucket, Key=row["Key"], VersionId=row["VersionId"])
    assert outcome(s3.delete_bucket, Bucket=bucket) == (204, "")


def test_a_suspended_bucket_writes_null_versions(world: World) -> None:
    s3, bucket = world.client("s3"), world.bucket()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    kept = s3.put_object(Bucket=bucket, Key="key", Body=b"1")["VersionId"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    for body in (b"2", b"3"):
        s3.put_object(Bucket=bucket, Key="key", Body=body)
    rows = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [row["VersionId"] for row in rows] == ["null", kept]
    assert s3.delete_object(Bucket=bucket, Key="key")["VersionId"] == "null"
    rows = s3.list_object_versions(Bucket=bucket)
    assert [row["VersionId"] for row in rows["Versions"]] == [kept]
    assert [row["VersionId"] for row in rows["DeleteMarkers"]] == ["null"]


def test_versions_are_named_where_there_are_none(world: World) -> None:
    s3, bucket = world.client("s3"), world.bucket("key")
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"parts")["ETag"]
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
    assert "VersionId" not in done
    for key in ("key", "parts"):
        for call in (s3.get_object, s3.head_object):
            found = call(Bucket=bucket, Key=key, VersionId="null")
            assert (found["ContentLength"], found.get("VersionId")) == (len(key), None)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    kept = s3.put_object(Bucket=bucket, Key="key", Body=b"longer")["VersionId"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    for version, size in ((kept, 6), ("null", 1)):
        for call in (s3.get_object, s3.head_object):
            found = call(Bucket=bucket, Key="key", VersionId=version)
            assert (found["ContentLength"], found.get("VersionId", "null")) == (size, version)
    s3.delete_object(Bucket=bucket, Key="key", VersionId=kept)
    assert outcome(s3.head_object, Bucket=bucket, Key="key", VersionId=kept) == (404, "404")
    assert outcome(s3.head_object, Bucket=bucket, Key="key", VersionId="0" * 32) == (400, "400")


def test_mfa_delete_needs_its_device(world: World) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/MultiFactorAuthenticationDelete.html"""
    s3, bucket = world.client("s3"), world.bucket()
    wanted = {"Status": "Enabled", "MFADelete": "Enabled"}
    status, code = outcome(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=wanted)
    assert (status, code) == DENIED
    assert "MFADelete" not in s3.get_bucket_versioning(Bucket=bucket)
    assert json.dumps(wanted)
