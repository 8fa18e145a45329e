"""Objects and listings as suites use them around access: conditions, copies, parts, pages, settings of a bucket.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.conftest import DENIED, allow, outcome

if TYPE_CHECKING:
    from tests.conformance.conftest import World

PAST, FUTURE = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
FAILED = (412, "PreconditionFailed")
OK = (200, "")
BOGUS = '"ABCORZ"'


@pytest.fixture(scope="module")
def s3(world: World) -> Any:
    return world.client("s3")


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"IfMatch": "ETAG"}, OK),
        ({"IfMatch": BOGUS}, FAILED),
        ({"IfNoneMatch": "ETAG"}, (304, "304")),
        ({"IfNoneMatch": BOGUS}, OK),
        ({"IfModifiedSince": PAST}, OK),
        ({"IfUnmodifiedSince": PAST}, FAILED),
        ({"IfUnmodifiedSince": FUTURE}, OK),
        ({"IfMatch": "ETAG", "IfUnmodifiedSince": PAST}, OK),
        ({"IfNoneMatch": "ETAG", "IfModifiedSince": PAST}, (304, "304")),
        ({"Range": "bytes=0-0"}, (206, "")),
        ({"Range": "bytes=2-"}, (206, "")),
        ({"Range": "bytes=-1"}, (206, "")),
        ({"Range": "bytes=40-50"}, (416, "InvalidRange")),
        ({"Range": "nonsense"}, OK),
        ({"PartNumber": 1}, (206, "")),
    ],
    ids=str,
)
def test_conditions_of_a_read(world: World, s3: Any, parameters: dict[str, Any], expected: tuple[int, str]) -> None:
    bucket = world.bucket("foo")
    etag = s3.head_object(Bucket=bucket, Key="foo")["ETag"]
    given = {name: etag if value == "ETAG" else value for name, value in parameters.items()}
    status, code = outcome(s3.get_object, Bucket=bucket, Key="foo", **given)
    assert (status, code) == expected
    assert outcome(s3.head_object, Bucket=bucket, Key="foo", **given)[0] == status


@pytest.mark.parametrize(
    ("key", "parameters", "expected"),
    [
        ("foo", {"IfMatch": "ETAG"}, OK),
        ("foo", {"IfMatch": BOGUS}, FAILED),
        ("new", {"IfMatch": BOGUS}, (404, "NoSuchKey")),
        ("foo", {"IfNoneMatch": "*"}, FAILED),
        ("new", {"IfNoneMatch": "*"}, OK),
        ("foo", {"IfNoneMatch": "ETAG"}, (501, "NotImplemented")),
    ],
    ids=str,
)
def test_conditions_of_a_write(
    world: World, s3: Any, key: str, *, parameters: dict[str, Any], expected: tuple[int, str]
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html"""
    bucket = world.bucket("foo")
    etag = s3.head_object(Bucket=bucket, Key="foo")["ETag"]
    given = {name: etag if value == "ETAG" else value for name, value in parameters.items()}
    assert outcome(s3.put_object, Bucket=bucket, Key=key, Body=b"zar", **given) == expected
    upload = {"Bucket": bucket, "Key": key}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"zar")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    if expected == OK:  # the write before it changed what it is held against
        return
    assert outcome(s3.complete_multipart_upload, **upload, MultipartUpload=parts, **given) == expected


def test_conditions_of_a_delete(world: World, s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html"""
    bucket = world.bucket("foo", "bar")
    etag = s3.head_object(Bucket=bucket, Key="foo")["ETag"]
    assert outcome(s3.delete_object, Bucket=bucket, Key="foo", IfMatch=BOGUS) == FAILED
    assert outcome(s3.delete_object, Bucket=bucket, Key="foo", IfMatch=etag) == (204, "")
    rows = [{"Key": "bar", "ETag": BOGUS}]
    (error,) = s3.delete_objects(Bucket=bucket, Delete={"Objects": rows})["Errors"]
    assert error["Code"] == "PreconditionFailed"
    assert outcome(s3.delete_object, Bucket=bucket, Key="bar", IfMatch="*") == (204, "")


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, OK),
        ({"CopySourceIfMatch": "ETAG"}, OK),
        ({"CopySourceIfMatch": BOGUS}, FAILED),
        ({"CopySourceIfNoneMatch": "ETAG"}, FAILED),
        ({"CopySourceIfNoneMatch": BOGUS}, OK),
        ({"CopySourceIfModifiedSince": PAST}, OK),
        ({"CopySourceIfUnmodifiedSince": PAST}, FAILED),
        ({"IfNoneMatch": "*"}, OK),
        ({"IfNoneMatch": "*", "Key": "foo"}, FAILED),
        ({"Key": "foo"}, (400, "InvalidRequest")),
        ({"Key": "foo", "MetadataDirective": "REPLACE"}, OK),
        ({"MetadataDirective": "DROP"}, (400, "InvalidArgument")),
        ({"CopySource": "SOURCE-none"}, (404, "NoSuchKey")),
        ({"CopySource": "no-such-bucket-at-all/foo"}, (404, "NoSuchBucket")),
        ({"CopySource": "nonsense"}, (400, "InvalidArgument")),
    ],
    ids=str,
)
def test_copies(world: World, s3: Any, parameters: dict[str, Any], expected: tuple[int, str]) -> None:
    bucket = world.bucket("foo")
    etag = s3.head_object(Bucket=bucket, Key="foo")["ETag"]
    given = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/foo", **parameters}
    given = {name: etag if value == "ETAG" else value for name, value in given.items()}
    given["CopySource"] = given["CopySource"].replace("SOURCE", f"{bucket}/foo")
    assert outcome(s3.copy_object, **given) == expected
    if expected == OK:
        assert s3.get_object(Bucket=bucket, Key=given["Key"])["Body"].read() == b"foo"


def test_what_a_copy_takes_along(world: World, s3: Any) -> None:
    bucket = world.bucket()
    s3.put_object(Bucket=bucket, Key="a", Body=b"x", Metadata={"k": "v"}, ContentType="text/x")
    for key in ("with space", "plus+sign", "ü", "a%20b"):
        source = {"Bucket": bucket, "Key": "a"}
        s3.copy_object(Bucket=bucket, Key=key, CopySource=source)
        s3.copy_object(Bucket=bucket, Key="again", CopySource={"Bucket": bucket, "Key": key})
        found = s3.head_object(Bucket=bucket, Key="again")
        assert (found["Metadata"], found["ContentType"]) == ({"k": "v"}, "text/x")
    s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a", MetadataDirective="REPLACE", Metadata={"n": "w"})
    assert s3.head_object(Bucket=bucket, Key="b")["Metadata"] == {"n": "w"}
    upload: dict[str, Any] = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    copied = s3.upload_part_copy(**upload, PartNumber=1, CopySource=f"{bucket}/a")["CopyPartResult"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": copied["ETag"]}]}
    assert s3.complete_multipart_upload(**upload, MultipartUpload=parts)["ETag"].strip('"').endswith("-1")
    bad = {**upload, "UploadId": "none", "PartNumber": 1, "CopySource": f"{bucket}/a"}
    assert outcome(s3.upload_part_copy, **bad) == (404, "NoSuchUpload")


def test_uploads_in_parts(world: World, s3: Any) -> None:
    bucket = world.bucket()
    upload: dict[str, Any] = {"Bucket": bucket, "Key": "key"}
    upload["UploadId"] = s3.create_multipart_upload(**upload, Metadata={"a": "b"})["UploadId"]
    body = b"x" * (5 * 1024 * 1024)
    tags = [s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"] for number in (1, 2)]
    listed = s3.list_parts(**upload)["Parts"]
    assert [(row["PartNumber"], row["Size"]) for row in listed] == [(1, len(body)), (2, len(body))]
    assert [row["Key"] for row in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["key"]
    complete = s3.complete_multipart_upload

    def parts(*rows: tuple[int, str]) -> dict[str, Any]:
        return {"Parts": [{"PartNumber": number, "ETag": tag} for number, tag in rows]}

    assert outcome(complete, **upload, MultipartUpload=parts((2, tags[1]), (1, tags[0]))) == (400, "InvalidPartOrder")
    assert outcome(complete, **upload, MultipartUpload=parts((1, '"bogus"'))) == (400, "InvalidPart")
    assert outcome(complete, **upload, MultipartUpload=parts((9, tags[0]))) == (400, "InvalidPart")
    assert outcome(complete, **upload, MultipartUpload={"Parts": []})[0] == 400
    assert complete(**upload, MultipartUpload=parts((1, tags[0]), (2, tags[1])))["ETag"].endswith('-2"')
    found = s3.head_object(Bucket=bucket, Key="key")
    assert (found["ContentLength"], found["Metadata"]) == (2 * len(body), {"a": "b"})
    small: dict[str, Any] = {"Bucket": bucket, "Key": "small"}
    small["UploadId"] = s3.create_multipart_upload(**small)["UploadId"]
    rows = [(n, s3.upload_part(**small, PartNumber=n, Body=b"x")["ETag"]) for n in (1, 2)]
    assert outcome(complete, **small, MultipartUpload=parts(*rows)) == (400, "EntityTooSmall")
    assert outcome(s3.abort_multipart_upload, **small) == (204, "")
    assert outcome(s3.abort_multipart_upload, **small) == (404, "NoSuchUpload")
    assert outcome(s3.list_parts, **small) == (404, "NoSuchUpload")
    assert outcome(s3.upload_part, **upload, PartNumber=10001, Body=b"x") == (404, "NoSuchUpload")


@pytest.fixture(scope="module")
def listed(world: World) -> str:
    return world.bucket("asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla", "ü", "a+b c")


@pytest.mark.parametrize(
    ("parameters", "keys", "prefixes"),
    [
        ({}, "a+b c|asdf|boo/bar|boo/baz/xyzzy|cquux/bla|cquux/thud|ü", ""),
        ({"Delimiter": "/"}, "a+b c|asdf|ü", "boo/|cquux/"),
        ({"Delimiter": "/", "Prefix": "boo/"}, "boo/bar", "boo/baz/"),
        ({"Prefix": "cquux/"}, "cquux/bla|cquux/thud", ""),
        ({"Prefix": "none"}, "", ""),
        ({"Delimiter": "b"}, "asdf|cquux/thud|ü", "a+b|b|cquux/b"),
        ({"MaxKeys": 0}, "", ""),
        ({"Prefix": "ü"}, "ü", ""),
        ({"EncodingType": "url", "Prefix": "a+"}, "a%2Bb%20c", ""),
    ],
    ids=str,
)
@pytest.mark.parametrize("call", ["list_objects", "list_objects_v2"])
def test_listings(s3: Any, listed: str, call: str, *, parameters: dict[str, Any], keys: str, prefixes: str) -> None:
    found = getattr(s3, call)(Bucket=listed, **parameters)
    assert [row["Key"] for row in found.get("Contents", [])] == (keys.split("|") if keys else [])
    assert [row["Prefix"] for row in found.get("CommonPrefixes", [])] == (prefixes.split("|") if prefixes else [])
    assert found["IsTruncated"] is False
    assert found["Name"] == listed


@pytest.mark.parametrize(
    ("call", "token", "after"),
    [
        ("list_objects", "Marker", "NextMarker"),
        ("list_objects_v2", "ContinuationToken", "NextContinuationToken"),
    ],
)
def test_pages(s3: Any, listed: str, call: str, *, token: str, after: str) -> None:
    seen: list[str] = []
    more: dict[str, Any] = {}
    for _ in range(10):
        page = getattr(s3, call)(Bucket=listed, MaxKeys=2, Delimiter="/", **more)
        seen += [row["Key"] for row in page.get("Contents", [])]
        seen += [row["Prefix"] for row in page.get("CommonPrefixes", [])]
        if not page["IsTruncated"]:
            break
        more = {token: page[after]}
    assert sorted(seen) == sorted(["asdf", "boo/", "cquux/", "ü", "a+b c"])
    assert len(seen) == 5


def test_listings_that_are_none(world: World, s3: Any, listed: str) -> None:
    found = s3.list_objects_v2(Bucket=listed, StartAfter="boo/bar", FetchOwner=True)
    assert found["Contents"][0]["Key"] == "boo/baz/xyzzy"
    assert found["Contents"][0]["Owner"]["ID"]
    assert outcome(s3.list_objects_v2, Bucket=listed, ContinuationToken="") == (400, "InvalidArgument")
    assert world.signed("GET", f"/{listed}?max-keys=blah").code == "InvalidArgument"
    assert world.signed("GET", f"/{listed}?max-keys=-1").code == "InvalidArgument"
    assert outcome(s3.list_objects_v2, Bucket="no-such-bucket-at-all") == (404, "NoSuchBucket")
    assert outcome(world.client("s3", "alt").list_objects_v2, Bucket=listed) == DENIED
    rows = [
        row
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=listed, PaginationConfig={"PageSize": 2})
        for row in page["Versions"]
    ]
    assert len(rows) == 7


def test_a_bucket_is_emptied_as_suites_do_it(world: World, s3: Any) -> None:
    bucket = world.bucket("a", "b")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="a", Body=b"2")
    s3.delete_object(Bucket=bucket, Key="b")
    s3.create_multipart_upload(Bucket=bucket, Key="left")
    assert outcome(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    found = s3.list_object_versions(Bucket=bucket)
    rows = [{"Key": row["Key"], "VersionId": row["VersionId"]} for row in found["Versions"] + found["DeleteMarkers"]]
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": rows, "Quiet": True}, BypassGovernanceRetention=True)
    assert not gone.get("Deleted")
    assert not gone.get("Errors")
    assert outcome(s3.delete_bucket, Bucket=bucket) == (204, "")
    assert outcome(s3.delete_bucket, Bucket=bucket) == (404, "NoSuchBucket")
    assert outcome(s3.head_bucket, Bucket=bucket) == (404, "404")


def test_shared_resources_across_origins(world: World, s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html"""
    bucket = world.open_bucket("key")
    world.policy(bucket, allow("s3:GetObject", f"{bucket}/*"))
    assert outcome(s3.get_bucket_cors, Bucket=bucket) == (404, "NoSuchCORSConfiguration")
    asked = {"Origin": "http://a.example", "Access-Control-Request-Method": "GET"}
    assert world.raw("OPTIONS", f"/{bucket}/key", headers=asked).status == 403
    rules = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["http://*.example"], "MaxAgeSeconds": 9}]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=rules)
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"][0]["AllowedOrigins"] == ["http://*.example"]
    found = world.raw("OPTIONS", f"/{bucket}/key", headers=asked)
    assert (found.status, found.headers["access-control-allow-origin"]) == (200, "http://a.example")
    assert world.raw("OPTIONS", f"/{bucket}/key", headers={**asked, "Origin": "http://b.test"}).status == 403
    put = {**asked, "Access-Control-Request-Method": "PUT"}
    assert world.raw("OPTIONS", f"/{bucket}/key", headers=put).status == 403
    got = world.raw("GET", f"/{bucket}/key", headers={"Origin": "http://a.example"})
    assert (got.status, got.headers["access-control-allow-origin"]) == (200, "http://a.example")
    other = world.raw("GET", f"/{bucket}/key", headers={"Origin": "http://b.test"})
    assert (other.status, other.headers.get("access-control-allow-origin")) == (200, None)
    assert outcome(s3.delete_bucket_cors, Bucket=bucket) == (204, "")


def test_settings_of_a_bucket(world: World, s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html"""
    bucket, logs = world.bucket(), world.bucket()
    assert outcome(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == (404, "NoSuchLifecycleConfiguration")
    rule = {"ID": "r", "Filter": {"Prefix": "a/"}, "Status": "Enabled", "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == [rule]
    call = s3.put_bucket_lifecycle_configuration
    wrong = {"Rules": [{**rule, "Status": "enabled"}]}
    assert outcome(call, Bucket=bucket, LifecycleConfiguration=wrong) == (400, "MalformedXML")
    assert outcome(s3.delete_bucket_lifecycle, Bucket=bucket) == (204, "")
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    enabled = {"LoggingEnabled": {"TargetBucket": "no-such-bucket-at-all", "TargetPrefix": "p"}}
    refused = outcome(s3.put_bucket_logging, Bucket=bucket, BucketLoggingStatus=enabled)
    assert refused == (400, "InvalidTargetBucketForLogging")
    for name, code in (
        ("website", "NoSuchWebsiteConfiguration"),
        ("replication", "ReplicationConfigurationNotFoundError"),
        ("policy", "NoSuchBucketPolicy"),
    ):
        assert outcome(getattr(s3, f"get_bucket_{name}"), Bucket=bucket) == (404, code)
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert s3.get_bucket_accelerate_configuration(Bucket=bucket).get("Status") is None
    assert logs


def test_keys_that_are_none(world: World, s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""
    bucket = world.bucket()
    assert outcome(s3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"") == (400, "KeyTooLongError")
    assert outcome(s3.put_object, Bucket=bucket, Key="k" * 1024, Body=b"") == OK
    assert outcome(s3.put_object, Bucket=bucket, Key="m", Body=b"", Metadata={"k": "v" * 3000}) == (
        400,
        "MetadataTooLarge",
    )
    assert world.signed("PUT", f"/{bucket}/bad%ff", body=b"x").code == "InvalidURI"
    assert world.signed("PUT", f"/{bucket}/good%EF%BF%BD", body=b"x").status == 200
    for key in ("/leading", "a//b", "dot/../dot", ".", "trailing/", "~tilde", "q?uery&and=", "#hash"):
        assert outcome(s3.put_object, Bucket=bucket, Key=key, Body=b"x") == OK
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x"
    assert outcome(s3.get_object_attributes, Bucket=bucket, Key="~tilde", ObjectAttributes=["ETag"]) == OK
