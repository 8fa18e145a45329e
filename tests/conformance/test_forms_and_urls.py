"""Browser uploads by POST with a policy document, and presigned URLs: what each field and each fault leads to.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest

from tests.conformance.conftest import REGION, allow, outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.conformance.conftest import Answer, World

TEXT = "text/plain"
TAGS = (
    "<Tagging><TagSet><Tag><Key>0</Key><Value>0</Value></Tag><Tag><Key>1</Key><Value>1</Value></Tag></TagSet></Tagging>"
)
LATER = "expiration"


@pytest.fixture(scope="module")
def bucket(world: World) -> str:
    """One that takes ACLs, whose policy lets everybody write."""
    name = world.open_bucket()
    world.policy(name, allow(["s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging"], f"{name}/*"))
    return name


def conditions(bucket: str) -> list[Any]:
    return [
        {"bucket": bucket},
        ["starts-with", "$key", "foo"],
        {"acl": "private"},
        ["starts-with", "$Content-Type", TEXT],
        ["content-length-range", 0, 1024],
    ]


def upload(
    world: World, bucket: str, fields: Mapping[str, str], *, filename: str = "foo.txt", body: bytes = b"bar"
) -> Answer:
    """What a browser sends."""
    mark = "----conformance"
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
    sent = "".join(parts).encode() + head.encode() + body + f"\r\n--{mark}--\r\n".encode()
    return world.raw("POST", f"/{bucket}", headers={"Content-Type": f"multipart/form-data; boundary={mark}"}, body=sent)


def signed(
    world: World,
    bucket: str,
    /,
    *,
    document: Mapping[str, Any] | None = None,
    rows: Sequence[Any] = (),
    changes: Mapping[str, str | None] | None = None,
) -> dict[str, str]:
    """The fields of a form signed by version 2; `changes` are made behind the signature's back, None takes away."""
    keys = world.root("main")
    later = (datetime.now(UTC) + timedelta(minutes=100)).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = document or {LATER: later, "conditions": [*conditions(bucket), *rows]}
    policy = base64.b64encode(
        json.dumps({k: later if v == "later" else v for k, v in document.items()}).encode()
    ).decode()
    signature = base64.b64encode(hmac.new(keys.secret.encode(), policy.encode(), hashlib.sha1).digest()).decode()
    fields: dict[str, str | None] = {
        "key": "foo.txt",
        "AWSAccessKeyId": keys.key,
        "acl": "private",
        "signature": signature,
        "policy": policy,
        "Content-Type": TEXT,
    }
    return {name: value for name, value in {**fields, **(changes or {})}.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (204, "")),
        ({"Content-Type": None}, (403, "AccessDenied")),
        ({"x-ignore-foo": "bar"}, (204, "")),
        ({"x-amz-meta-foo": "bar"}, (403, "AccessDenied")),
        ({"AWSAccessKeyId": "foo"}, (403, "InvalidAccessKeyId")),
        ({"AWSAccessKeyId": None}, (400, "InvalidArgument")),
        ({"signature": "AAAA"}, (403, "SignatureDoesNotMatch")),
        ({"signature": None}, (400, "InvalidArgument")),
        ({"policy": None}, (400, "InvalidArgument")),
        ({"key": None}, (400, "InvalidArgument")),
        ({"key": "bar.txt"}, (403, "AccessDenied")),
        ({"acl": "public-read"}, (403, "AccessDenied")),
    ],
    ids=str,
)
def test_a_form_is_held_to_its_policy(world: World, bucket: str, changes: Any, expected: tuple[int, str]) -> None:
    found = upload(world, bucket, signed(world, bucket, changes=changes))
    assert (found.status, found.code) == expected


BASE: dict[str, Any] = {LATER: "later"}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({LATER: "later"}, (400, "InvalidPolicyDocument")),
        ({LATER: "2010-01-01T00:00:00Z", "conditions": ...}, (403, "AccessDenied")),
        ({LATER: "2099-01-01 00:00:00", "conditions": ...}, (400, "InvalidPolicyDocument")),
        ({"EXPIRATION": "later", "conditions": ...}, (400, "InvalidPolicyDocument")),
        ({LATER: "later", "CONDITIONS": ...}, (400, "InvalidPolicyDocument")),
        ({"conditions": ...}, (400, "InvalidPolicyDocument")),
        (
            {LATER: "later", "conditions": ..., "rows": [["content-length-range", -1, 0]]},
            (400, "InvalidPolicyDocument"),
        ),
        ({LATER: "later", "conditions": ..., "rows": [["content-length-range", 512]]}, (400, "InvalidPolicyDocument")),
        ({LATER: "later", "conditions": ..., "rows": [["content-length-range", 512, 1000]]}, (400, "EntityTooSmall")),
        ({LATER: "later", "conditions": ..., "rows": [["content-length-range", 0, 2]]}, (400, "EntityTooLarge")),
        (
            {LATER: "later", "conditions": ..., "rows": [["starts-with", "$x-amz-meta-foo", "bar"]]},
            (403, "AccessDenied"),
        ),
        ({LATER: "later", "conditions": ..., "rows": [["eq", "$success_action_redirect", "x"]]}, (403, "AccessDenied")),
        ({LATER: "later", "conditions": ..., "rows": [["almost", "$key", "foo"]]}, (400, "InvalidPolicyDocument")),
        ({LATER: "later", "conditions": ..., "rows": ["key"]}, (400, "InvalidPolicyDocument")),
    ],
    ids=str,
)
def test_a_policy_document_must_be_one(
    world: World, bucket: str, document: dict[str, Any], expected: tuple[int, str]
) -> None:
    rows = document.pop("rows", []) if "rows" in document else []
    whole = {name: [*conditions(bucket), *rows] if value is ... else value for name, value in document.items()}
    found = upload(world, bucket, signed(world, bucket, document=whole))
    assert (found.status, found.code) == expected


@pytest.mark.parametrize("left_out", ["bucket", "$key", "acl", "$Content-Type"])
def test_every_field_needs_its_condition(world: World, bucket: str, left_out: str) -> None:
    rows = [row for row in conditions(bucket) if left_out not in row]
    found = upload(world, bucket, signed(world, bucket, document={LATER: "later", "conditions": rows}))
    assert (found.status, found.code) == (403, "AccessDenied")


def test_a_form_is_for_its_bucket(world: World, bucket: str) -> None:
    fields = signed(world, bucket, changes={"key": "foo-${filename}", "bucket": bucket})
    assert upload(world, world.open_bucket(), fields).code == "AccessDenied"
    assert upload(world, bucket, fields).status == 204


def test_names_of_fields_may_be_of_any_case(world: World, bucket: str) -> None:
    rows = [
        {"bUcKeT": bucket},
        ["StArTs-WiTh", "$KeY", "foo"],
        {"AcL": "private"},
        ["StArTs-WiTh", "$CoNtEnT-TyPe", TEXT],
        ["content-length-range", 0, 1024],
    ]
    fields = signed(world, bucket, document={LATER: "later", "conditions": rows})
    odd = {
        "kEy" if name == "key" else "aCl" if name == "acl" else "pOLICy" if name == "policy" else name: value
        for name, value in fields.items()
    }
    assert upload(world, bucket, odd).status == 204


def test_what_a_form_stores(world: World, bucket: str) -> None:
    s3 = world.client("s3")
    rows = [
        ["starts-with", "$x-amz-meta-foo", "bar"],
        ["starts-with", "$tagging", ""],
        ["starts-with", "$x-amz-server-side-encryption", ""],
    ]
    changes = {"x-amz-meta-foo": "barclamp", "tagging": TAGS, "key": "foo-${filename}"}
    fields = signed(world, bucket, rows=rows, changes=changes)
    assert upload(world, bucket, fields, filename="a.txt").status == 204
    found = s3.get_object(Bucket=bucket, Key="foo-a.txt")
    assert (found["Body"].read(), found["Metadata"], found["ContentType"]) == (b"bar", {"foo": "barclamp"}, TEXT)
    assert found["ServerSideEncryption"] == "AES256"
    assert [row["Key"] for row in s3.get_object_tagging(Bucket=bucket, Key="foo-a.txt")["TagSet"]] == ["0", "1"]
    rows = [["starts-with", "$key", "\\$foo"]]
    whole = [row for row in conditions(bucket) if "$key" not in row] + rows
    fields = signed(world, bucket, document={LATER: "later", "conditions": whole}, changes={"key": "\\$foo.txt"})
    assert upload(world, bucket, fields).status == 204
    assert outcome(s3.head_object, Bucket=bucket, Key="\\$foo.txt") == (200, "")


def test_how_a_form_is_answered(world: World, bucket: str) -> None:
    base = {"key": "foo.txt", "Content-Type": TEXT}
    found = upload(world, bucket, {**base, "success_action_status": "201"})
    assert found.status == 201
    assert b"<Key>foo.txt</Key>" in found.body
    found = upload(world, bucket, {**base, "success_action_status": "404"})
    assert (found.status, found.body) == (204, b"")
    assert upload(world, bucket, {**base, "success_action_status": "200"}).status == 200
    target = f"{world.url}/{bucket}"
    found = upload(world, bucket, {**base, "success_action_redirect": target})
    assert found.status == 303
    assert (
        found.headers["location"]
        == f"{target}?bucket={bucket}&key=foo.txt&etag=%22{hashlib.md5(b'bar').hexdigest()}%22"
    )


def test_anybody_uploads_where_the_bucket_lets_everybody_write(world: World) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#permissions"""
    name = world.open_bucket()
    world.client("s3").put_bucket_acl(Bucket=name, ACL="public-read-write")
    fields = {"key": "foo.txt", "acl": "public-read", "Content-Type": TEXT}
    assert upload(world, name, fields).status == 204
    assert world.raw("GET", f"/{name}/foo.txt").body == b"bar"


def test_nobody_uploads_where_nobody_may_write(world: World) -> None:
    closed = world.bucket()
    assert upload(world, closed, {"key": "foo.txt"}).code == "AccessDenied"
    assert upload(world, "no-such-bucket-at-all", {"key": "foo.txt"}).code == "NoSuchBucket"
    found = upload(world, closed, signed(world, closed))
    assert (found.status, found.code) == (400, "AccessControlListNotSupported")
    rows = [row for row in conditions(closed) if "acl" not in row]
    found = upload(
        world, closed, signed(world, closed, document={LATER: "later", "conditions": rows}, changes={"acl": None})
    )
    assert found.status == 204
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html: checksums of a form's file are verified
    good = base64.b64encode(hashlib.sha256(b"bar").digest()).decode()
    for digest, expected in ((good, (204, "")), (base64.b64encode(b"\0" * 32).decode(), (400, "BadDigest"))):
        fields = signed(
            world,
            closed,
            document={LATER: "later", "conditions": rows},
            changes={"acl": None, "x-amz-checksum-sha256": digest},
        )
        found = upload(world, closed, fields)
        assert (found.status, found.code) == expected


def test_a_form_may_be_signed_by_version_4(world: World) -> None:
    bucket = world.bucket()
    made = world.client("s3", "main", signature_version="s3v4").generate_presigned_post(bucket, "foo.txt")
    assert upload(world, bucket, made["fields"]).status == 204
    assert upload(world, bucket, {**made["fields"], "key": "bar.txt"}).code == "AccessDenied"
    assert upload(world, bucket, {**made["fields"], "x-amz-signature": "0" * 64}).code == "SignatureDoesNotMatch"


# --- presigned URLs ---------------------------------------------------------------------------------------------------


def url(world: World, version: str, method: str, *, who: str = "main", seconds: int = 100, **parameters: Any) -> str:
    made: str = world.client("s3", who, signature_version=version).generate_presigned_url(
        method, Params=parameters, ExpiresIn=seconds
    )
    parts = urlsplit(made)
    return f"{parts.path}?{parts.query}"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_url_is_good_for_what_it_says(world: World, version: str) -> None:
    bucket = world.bucket("foo")
    put = url(world, version, "put_object", Bucket=bucket, Key="new")
    assert world.raw("PUT", put, body=b"content").status == 200
    got = world.raw("GET", url(world, version, "get_object", Bucket=bucket, Key="new"))
    assert (got.status, got.body) == (200, b"content")
    assert world.raw("GET", url(world, version, "get_object", Bucket=bucket, Key="none")).code == "NoSuchKey"
    assert world.raw("GET", put).code == "SignatureDoesNotMatch"
    assert world.raw("DELETE", put).code == "SignatureDoesNotMatch"
    assert world.raw("GET", put.replace("/new", "/foo")).code == "SignatureDoesNotMatch"
    foreign = url(world, version, "get_object", who="alt", Bucket=bucket, Key="foo")
    assert world.raw("GET", foreign).code == "AccessDenied"
    assert world.raw("DELETE", url(world, version, "delete_object", Bucket=bucket, Key="new")).status == 204
    plain = url(
        world, version, "get_object", Bucket=bucket, Key="foo", ResponseContentType="foo/bar", ResponseExpires="123"
    )
    assert world.raw("GET", plain).headers["content-type"] == "foo/bar"
    gone = world.raw("GET", url(world, version, "get_object", Bucket="no-such-bucket-at-all", Key="x"))
    assert (gone.status, gone.code) == (404, "NoSuchBucket")


@pytest.mark.parametrize(
    ("version", "seconds", "expected"),
    [
        ("s3v4", 0, (403, "AccessDenied")),
        ("s3v4", 604800, (200, "")),
        ("s3v4", 609901, (400, "AuthorizationQueryParametersError")),
        ("s3v4", -7, (400, "AuthorizationQueryParametersError")),
        ("s3v4", 10**12, (400, "AuthorizationQueryParametersError")),
        ("s3", -7, (403, "AccessDenied")),
        ("s3", 609901, (200, "")),
    ],
)
def test_a_url_ends(world: World, version: str, seconds: int, expected: tuple[int, str]) -> None:
    bucket = world.bucket("foo")
    target = url(world, version, "get_object", seconds=seconds, Bucket=bucket, Key="foo")
    if not seconds:
        time.sleep(1.05)
    found = world.raw("GET", target)
    assert (found.status, found.code) == expected


def test_a_url_of_a_listing_and_of_anybody(world: World) -> None:
    bucket = world.bucket("foo")
    for version in ("s3", "s3v4"):
        assert world.raw("GET", url(world, version, "list_objects", Bucket=bucket)).status == 200
        assert world.raw("GET", url(world, version, "list_objects_v2", Bucket=bucket, Prefix="f")).status == 200
    assert world.raw("GET", f"/{bucket}/foo").code == "AccessDenied"
    assert world.raw("PUT", f"/{bucket}/foo", body=b"x").code == "AccessDenied"
    assert world.raw("GET", f"/{bucket}").code == "AccessDenied"
    assert world.raw("GET", "/").status in (307, 403)
    assert world.raw("GET", f"/{bucket}/{quote('none')}").code == "AccessDenied"
    assert REGION
