"""What buckets and objects carry besides content: locks, tags, encryption, versions, rules for other origins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pytest_s3vpce.lab.checksums import DIGESTS
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3cors import preflight
from pytest_s3vpce.lab.wire import HttpRequest
from tests.unit.labstage import INTERNET, Stage, refusal

MAIN = "364000000001"
LOCKED, PLAIN, VERSIONED = "settings-locked", "settings-plain", "settings-versioned"
FAR, NEAR = datetime(2090, 1, 2, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)
PAST = datetime(2020, 1, 1, tzinfo=UTC)
DENIED = (403, "AccessDenied")
MALFORMED = (400, "MalformedXML")
INVALID = (400, "InvalidArgument")
MISSING = (400, "InvalidRequest")


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN)
    s3 = made.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=LOCKED, ObjectLockEnabledForBucket=True)
    for bucket in (PLAIN, VERSIONED):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="k", Body=b"k")
    return made


@pytest.fixture(scope="module")
def s3(stage: Stage) -> Any:
    return stage.admin(MAIN).client("s3")


def code(call: Any, **parameters: Any) -> tuple[int, str]:
    return refusal(call, **parameters)[:2]


# --- locks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ({"ObjectLockEnabled": "Enabled", "Rule": {}}, MALFORMED),
        ({"Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}, MALFORMED),
        ({"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE"}}}, MALFORMED),
        ({"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 0}}}, INVALID),
        ({"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 101}}}, INVALID),
    ],
)
def test_a_default_that_is_none(s3: Any, configuration: Any, expected: tuple[int, str]) -> None:
    found = code(s3.put_object_lock_configuration, Bucket=LOCKED, ObjectLockConfiguration=configuration)
    assert found == expected


def test_a_default_is_on_what_is_written_after_it(s3: Any) -> None:
    bucket = "settings-default"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    for default in ({"Mode": "GOVERNANCE", "Days": 1}, {"Mode": "GOVERNANCE", "Years": 1}):
        wanted = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": default}}
        s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=wanted)
        assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == wanted
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"]
    assert s3.get_object_retention(Bucket=bucket, Key="k")["Retention"]["Mode"] == "GOVERNANCE"
    assert code(s3.delete_object, Bucket=bucket, Key="k", VersionId=version) == DENIED
    suspended = {"Status": "Suspended"}
    found = code(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=suspended)
    assert found == (409, "InvalidBucketState")
    devices = {"Status": "Enabled", "MFADelete": "Enabled"}
    assert code(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=devices) == DENIED


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"ObjectLockMode": "GOVERNANCE"}, INVALID),
        ({"ObjectLockRetainUntilDate": FAR}, INVALID),
        ({"ObjectLockMode": "abc", "ObjectLockRetainUntilDate": FAR}, INVALID),
        ({"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": PAST}, INVALID),
        ({"ObjectLockLegalHoldStatus": "abc"}, INVALID),
    ],
)
def test_locks_that_a_write_can_not_have(s3: Any, parameters: Any, expected: tuple[int, str]) -> None:
    assert code(s3.put_object, Bucket=LOCKED, Key="k", Body=b"x", **parameters) == expected


def test_a_locked_write_says_what_it_holds(stage: Stage) -> None:
    s3 = stage.admin(MAIN).client("s3", request_checksum_calculation="when_required")

    until = {"date": ""}

    def bare(params: Any, **_: Any) -> None:
        params["headers"].pop("x-amz-sdk-checksum-algorithm", None)
        params["headers"]["x-amz-object-lock-retain-until-date"] = until["date"]

    s3.meta.events.register("before-call.s3.PutObject", bare)
    for date, expected in (("2090-01-01T00:00:00Z", MISSING), ("sometime", INVALID)):
        until["date"] = date
        found = code(
            s3.put_object, Bucket=LOCKED, Key="k", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=FAR
        )
        assert found == expected


def test_what_a_bucket_without_locks_refuses(s3: Any) -> None:
    at = {"Bucket": PLAIN, "Key": "k"}
    governed = {"Mode": "GOVERNANCE", "RetainUntilDate": FAR}
    assert code(s3.get_object_lock_configuration, Bucket=PLAIN) == (404, "ObjectLockConfigurationNotFoundError")
    assert code(s3.put_object_retention, **at, Retention=governed) == MISSING
    assert code(s3.put_object_legal_hold, **at, LegalHold={"Status": "ON"}) == MISSING
    assert code(s3.get_object_legal_hold, **at) == MISSING
    assert code(s3.put_object, **at, Body=b"", ObjectLockLegalHoldStatus="ON") == MISSING
    enabled = {"ObjectLockEnabled": "Enabled"}
    found = code(s3.put_object_lock_configuration, Bucket=PLAIN, ObjectLockConfiguration=enabled)
    assert found == (409, "InvalidBucketState")


def test_retention_and_hold_of_an_object(s3: Any) -> None:
    version = s3.put_object(Bucket=LOCKED, Key="held", Body=b"x")["VersionId"]
    at = {"Bucket": LOCKED, "Key": "held", "VersionId": version}
    put, bypass = s3.put_object_retention, {"BypassGovernanceRetention": True}
    for call in (s3.get_object_retention, s3.get_object_legal_hold):
        assert code(call, **at) == (404, "NoSuchObjectLockConfiguration")
    assert code(put, **at, Retention={"Mode": "GOVERNANCE"}) == MALFORMED
    assert code(put, **at, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": PAST}) == INVALID
    put(**at, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": FAR})
    assert s3.get_object_retention(**at)["Retention"] == {"Mode": "GOVERNANCE", "RetainUntilDate": FAR}
    for weaker in ({"Mode": "GOVERNANCE", "RetainUntilDate": NEAR}, {"Mode": "COMPLIANCE", "RetainUntilDate": FAR}, {}):
        assert code(put, **at, Retention=weaker) == DENIED
    assert code(s3.delete_object, **at) == DENIED
    put(**at, Retention={}, **bypass)
    assert code(s3.get_object_retention, **at) == (404, "NoSuchObjectLockConfiguration")
    s3.put_object_legal_hold(**at, LegalHold={"Status": "ON"})
    assert s3.get_object_legal_hold(**at)["LegalHold"] == {"Status": "ON"}
    assert code(s3.put_object_legal_hold, **at, LegalHold={"Status": "on"}) == MALFORMED
    assert code(s3.delete_object, **at, **bypass) == DENIED
    s3.put_object_legal_hold(**at, LegalHold={"Status": "OFF"})
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    put(**at, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": soon})
    assert code(put, **at, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": FAR}, **bypass) == DENIED
    entry = {"Objects": [{"Key": "held", "VersionId": version}]}
    (error,) = s3.delete_objects(Bucket=LOCKED, Delete=entry, **bypass)["Errors"]
    assert error["Code"] == "AccessDenied"
    assert s3.delete_object(Bucket=LOCKED, Key="held")["DeleteMarker"] is True


# --- tags and digests -------------------------------------------------------------------------------------------------


def tagging(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"TagSet": [{"Key": key, "Value": value} for key, value in pairs]}


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("a", "1"), ("a", "2")], "InvalidTag"),
        ([("k" * 129, "")], "InvalidTag"),
        ([("k", "v" * 257)], "InvalidTag"),
        ([("aws:k", "")], "InvalidTag"),
        ([(str(number), "") for number in range(11)], "BadRequest"),
    ],
)
def test_tags_that_are_none(s3: Any, pairs: list[tuple[str, str]], expected: str) -> None:
    at = {"Bucket": PLAIN, "Key": "k"}
    assert code(s3.put_object_tagging, **at, Tagging=tagging(*pairs)) == (400, expected)
    header = "&".join(f"{key}={value}" for key, value in pairs)
    twice = len(dict(pairs)) < len(pairs)
    assert code(s3.put_object, **at, Body=b"k", Tagging=header) == (400, "InvalidArgument" if twice else expected)


def test_an_empty_set_takes_the_tags_away(s3: Any) -> None:
    at = {"Bucket": PLAIN, "Key": "k"}
    s3.put_object_tagging(**at, Tagging=tagging(("a", "b")))
    assert s3.put_object_tagging(**at, Tagging=tagging())["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.get_object_tagging(**at)["TagSet"] == []
    many = tagging(*((str(number), "") for number in range(51)))
    assert code(s3.put_bucket_tagging, Bucket=PLAIN, Tagging=many) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("crc32", "cbf43926"), ("crc32c", "e3069283"), ("crc64nvme", "ae8b14860a799888")],
)
def test_checksums_are_those_of_their_catalogue(name: str, expected: str) -> None:
    """https://reveng.sourceforge.io/crc-catalogue/all.htm"""
    width, digest = DIGESTS[f"x-amz-checksum-{name}"]
    found = digest(b"123456789")
    assert found is not None
    assert (found.hex(), len(found)) == (expected, width)


def test_slow_checksums_are_for_short_bodies() -> None:
    assert DIGESTS["x-amz-checksum-crc32c"][1](bytes(1024 * 1024 + 1)) is None


def test_one_checksum_and_no_more(s3: Any) -> None:
    both = {"ChecksumSHA1": "A" * 27 + "=", "ChecksumCRC32": "AAAAAA=="}
    assert code(s3.put_object, Bucket=PLAIN, Key="k", Body=b"x", **both) == MISSING
    assert code(s3.put_object, Bucket=PLAIN, Key="k", Body=b"x", ChecksumCRC32C="AAA=") == MISSING


# --- encryption -------------------------------------------------------------------------------------------------------


def test_the_default_encryption_of_a_bucket(s3: Any) -> None:
    def put(*rules: dict[str, Any]) -> Any:
        return s3.put_bucket_encryption(Bucket=PLAIN, ServerSideEncryptionConfiguration={"Rules": list(rules)})

    default = "ApplyServerSideEncryptionByDefault"
    assert code(put_with(s3), rules=[]) == MALFORMED
    wrong = {default: {"SSEAlgorithm": "AES256", "KMSMasterKeyID": "key"}}
    assert code(put_with(s3), rules=[wrong]) == INVALID
    put({default: {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True})
    put({"BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}})
    (rule,) = s3.get_bucket_encryption(Bucket=PLAIN)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule == {
        default: {"SSEAlgorithm": "aws:kms"},
        "BucketKeyEnabled": True,
        "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
    }
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    status, name, message = refusal(s3.put_object, Bucket=PLAIN, Key="own", Body=b"x", **key)
    assert (status, name) == DENIED
    assert "because this bucket has blocked upload requests" in message
    assert s3.create_multipart_upload(Bucket=PLAIN, Key="parts")["ServerSideEncryption"] == "aws:kms"
    s3.delete_bucket_encryption(Bucket=PLAIN)
    assert s3.put_object(Bucket=PLAIN, Key="k", Body=b"k")["ServerSideEncryption"] == "AES256"


def put_with(s3: Any) -> Any:
    return lambda rules: s3.put_bucket_encryption(Bucket=PLAIN, ServerSideEncryptionConfiguration={"Rules": rules})


# --- versions ---------------------------------------------------------------------------------------------------------


def test_a_suspended_bucket_keeps_what_it_has(s3: Any) -> None:
    at = {"Bucket": VERSIONED, "Key": "k"}
    assert s3.head_object(**at, VersionId="null")["ContentLength"] == 1
    s3.put_bucket_versioning(Bucket=VERSIONED, VersioningConfiguration={"Status": "Enabled"})
    kept = s3.put_object(**at, Body=b"kept")["VersionId"]
    assert s3.delete_object(Bucket=VERSIONED, Key="never there")["DeleteMarker"] is True
    s3.put_bucket_versioning(Bucket=VERSIONED, VersioningConfiguration={"Status": "Suspended"})
    for body in (b"1", b"22"):
        s3.put_object(**at, Body=body)
    assert s3.get_object(**at, VersionId=kept)["Body"].read() == b"kept"
    assert s3.head_object(**at, VersionId="null")["ContentLength"] == 2
    assert s3.delete_object(**at)["VersionId"] == "null"
    assert s3.delete_object(**at, VersionId="null")["DeleteMarker"] is True
    assert s3.get_object(**at)["Body"].read() == b"kept"
    s3.delete_object(**at, VersionId=kept)
    assert code(s3.get_object, **at) == (404, "NoSuchKey")
    s3.put_object(Bucket=VERSIONED, Key="other", Body=b"x")
    s3.delete_object(Bucket=VERSIONED, Key="other", VersionId="null")
    left = s3.list_object_versions(Bucket=VERSIONED)
    assert "Versions" not in left
    assert [row["Key"] for row in left["DeleteMarkers"]] == ["never there"]


# --- other origins ----------------------------------------------------------------------------------------------------


def asked(stage: Stage, bucket: str | None, **headers: str) -> Any:
    request = HttpRequest(
        method="OPTIONS",
        target=f"/{bucket}/k",
        headers=tuple((name.replace("_", "-"), value) for name, value in headers.items()),
        body=b"",
        host="s3.amazonaws.com",
        scheme="https",
        tls=None,
        origin=INTERNET,
        peer="p",
    )
    try:
        answer = preflight(stage.state, request, bucket)
    except Refused as refused:
        return refused.status, refused.code
    return dict(answer.headers)


def test_what_a_browser_asks_first(stage: Stage, s3: Any) -> None:
    get = {"Access_Control_Request_Method": "GET"}
    assert asked(stage, PLAIN) == (400, "BadRequest")
    assert asked(stage, PLAIN, Origin="http://a") == (400, "BadRequest")
    assert asked(stage, "no-such-bucket", Origin="http://a", **get) == (404, "NoSuchBucket")
    assert asked(stage, None, Origin="http://a", **get) == (404, "NoSuchBucket")
    assert asked(stage, PLAIN, Origin="http://a", **get) == (403, "AccessForbidden")
    one = {"AllowedMethods": ["GET"], "AllowedOrigins": ["http://a"], "AllowedHeaders": ["x-*"], "MaxAgeSeconds": 9}
    every = {"AllowedMethods": ["PUT"], "AllowedOrigins": ["*"], "ExposeHeaders": ["etag"]}
    s3.put_bucket_cors(Bucket=PLAIN, CORSConfiguration={"CORSRules": [one, every]})
    found = asked(stage, PLAIN, Origin="http://a", Access_Control_Request_Headers="X-One, x-two", **get)
    assert found["Access-Control-Allow-Origin"] == "http://a"
    assert (found["Access-Control-Allow-Headers"], found["Access-Control-Max-Age"]) == ("x-one, x-two", "9")
    found = asked(stage, PLAIN, Origin="http://b", Access_Control_Request_Method="PUT")
    assert (found["Access-Control-Allow-Origin"], found["Access-Control-Expose-Headers"]) == ("*", "etag")
    assert asked(stage, PLAIN, Origin="http://b", **get) == (403, "AccessForbidden")
    strange = {"Access_Control_Request_Headers": "y"}
    assert asked(stage, PLAIN, Origin="http://a", **get, **strange) == (403, "AccessForbidden")


def in_parts(s3: Any, bucket: str, **more: Any) -> str:
    at = {"Bucket": bucket, "Key": "parts"}
    begun = {**at, "UploadId": s3.create_multipart_upload(**at, **more)["UploadId"]}
    part = s3.upload_part(**begun, PartNumber=1, Body=b"x")["ETag"]
    done = s3.complete_multipart_upload(**begun, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
    return str(done["VersionId"])


def test_every_way_of_making_an_object_locks_it(s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html#object-lock-bucket-config"""
    bucket = "lab-settings-made"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    source = {"Bucket": bucket, "Key": "source"}
    s3.put_object(**source, Body=b"x")
    own = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": FAR}

    def made(**more: Any) -> list[tuple[str, str]]:
        """Each way, by the version that it makes."""
        put = s3.put_object(Bucket=bucket, Key="put", Body=b"x", **more)["VersionId"]
        copy = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, **more)["VersionId"]
        return [("put", put), ("copy", copy), ("parts", in_parts(s3, bucket, **more))]

    for key, version in made(ObjectLockLegalHoldStatus="ON"):
        at = {"Bucket": bucket, "Key": key, "VersionId": version}
        assert s3.get_object_legal_hold(**at)["LegalHold"] == {"Status": "ON"}
        assert code(s3.get_object_retention, **at) == (404, "NoSuchObjectLockConfiguration")
        assert code(s3.delete_object, **at, BypassGovernanceRetention=True) == DENIED
    default = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Years": 1}}}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=default)
    for more, mode in (({}, "GOVERNANCE"), ({"ObjectLockLegalHoldStatus": "ON"}, "GOVERNANCE"), (own, "COMPLIANCE")):
        for key, version in made(**more):
            at = {"Bucket": bucket, "Key": key, "VersionId": version}
            found = s3.get_object_retention(**at)["Retention"]
            assert found["Mode"] == s3.head_object(**at)["ObjectLockMode"] == mode
            left = found["RetainUntilDate"] - datetime.now(UTC)
            assert found["RetainUntilDate"] == FAR if more == own else timedelta(364) < left <= timedelta(365)
            assert code(s3.delete_object, **at) == DENIED
