"""Requests whose headers or signatures are wrong, one fault each: status and code as S3 answers them.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList and
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from tests.conformance.conftest import Keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conformance.conftest import Answer, World

OLD, FUTURE = "20100707T215304Z", "20990707T215304Z"
GARBAGE = "AWS4-HMAC-SHA256 HAHAHA"
STRANGE = (
    "AWS4-HMAC-SHA256 Credential=AKIAIGR7ZNNBHC5BKSUB/20150930/us-east-1/s3/aws4_request,"
    "SignedHeaders=host;user-agent,Signature=FWeDfwojDSdS2Ztmpfeubhd9isU="
)


@pytest.fixture(scope="module")
def bucket(world: World) -> str:
    return world.bucket()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Content-MD5": "YWJyYWNhZGFicmE="}, (400, "InvalidDigest")),
        ({"Content-MD5": "AWS4 HAHAHA"}, (400, "InvalidDigest")),
        ({"Content-MD5": ""}, (400, "InvalidDigest")),
        ({"Content-MD5": "rL0Y20xC+Fzt72VPzMSk2A=="}, (400, "BadDigest")),
        ({"Content-MD5": "N7UdGUp1E+RbVvZSTy1R8g=="}, (200, "")),
        ({"Content-Type": ""}, (200, "")),
        ({"Content-Type": "text/plain"}, (200, "")),
        ({"Expect": "200"}, (200, "")),
        ({"Expect": ""}, (200, "")),
        ({"User-Agent": ""}, (200, "")),
        ({"x-amz-acl": "public-ready"}, (400, "InvalidArgument")),
        ({"x-amz-storage-class": "COLD"}, (400, "InvalidStorageClass")),
        ({"x-amz-server-side-encryption": "aes:kms"}, (400, "InvalidArgument")),
        ({"x-amz-tagging": "a=1&a=2"}, (400, "InvalidArgument")),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, (400, "BadDigest")),
        ({"x-amz-checksum-crc32": "AAA"}, (400, "InvalidRequest")),
        ({"x-amz-expected-bucket-owner": "444455556666"}, (403, "AccessDenied")),
        ({"x-amz-expected-bucket-owner": "0000"}, (400, "InvalidBucketOwnerAWSAccountID")),
        ({"x-amz-request-payer": "requester"}, (200, "")),
    ],
)
def test_headers_of_a_write(world: World, bucket: str, headers: Mapping[str, str], expected: tuple[int, str]) -> None:
    found = world.signed("PUT", f"/{bucket}/foo", headers=headers, body=b"bar")
    assert (found.status, found.code) == expected


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({"Authorization": None}, (403, "AccessDenied")),
        ({"Authorization": ""}, (403, "AccessDenied")),
        ({"Authorization": STRANGE}, (403, "InvalidAccessKeyId")),
        ({"Authorization": GARBAGE}, (400, "AuthorizationHeaderMalformed")),
        ({"Authorization": "AWS HAHAHA"}, (400, "InvalidArgument")),
        ({"Authorization": "Bearer HAHAHA"}, (400, "InvalidArgument")),
        ({"X-Amz-Date": "Bad Date"}, (403, "AccessDenied")),
        ({"X-Amz-Date": ""}, (403, "AccessDenied")),
        ({"X-Amz-Date": None}, (403, "AccessDenied")),
        ({"X-Amz-Content-SHA256": None}, (400, "InvalidRequest")),
        ({"X-Amz-Content-SHA256": hashlib.sha256(b"other").hexdigest()}, (403, "SignatureDoesNotMatch")),
        ({"X-Amz-Security-Token": "token"}, (400, "InvalidToken")),
        ({"X-Amz-Meta-Late": "1"}, (403, "AccessDenied")),
        ({"User-Agent": ""}, (200, "")),
        ({"Expect": "200"}, (200, "")),
        ({"Content-Length": ""}, (400, "BadRequest")),
        ({"Content-Length": "-1"}, (400, "BadRequest")),
    ],
)
@pytest.mark.parametrize("target", ["{bucket}/foo", "{bucket}-new"])
def test_headers_changed_behind_the_signature(
    world: World, bucket: str, target: str, after: Mapping[str, str | None], expected: tuple[int, str]
) -> None:
    found = world.signed(
        "PUT", "/" + target.format(bucket=bucket), body=b"" if "new" in target else b"bar", after=after
    )
    assert (found.status, found.code) == expected
    if found.status == 200 and "new" in target:
        world.client("s3").delete_bucket(Bucket=f"{bucket}-new")


@pytest.mark.parametrize(
    ("date", "expected"),
    [(OLD, (403, "RequestTimeTooSkewed")), (FUTURE, (403, "RequestTimeTooSkewed"))],
)
def test_dates_that_are_signed_but_off(world: World, bucket: str, date: str, expected: tuple[int, str]) -> None:
    found = world.signed("PUT", f"/{bucket}/foo", body=b"bar", after={"X-Amz-Date": date, "Authorization": ""})
    assert found.status == 403
    keys = world.root("main")
    credential = f"Credential={keys.key}/{date[:8]}/us-east-1/s3/aws4_request"
    signed = "SignedHeaders=host;x-amz-content-sha256;x-amz-date"
    header = f"AWS4-HMAC-SHA256 {credential}, {signed}, Signature={'0' * 64}"
    found = world.signed("PUT", f"/{bucket}/foo", body=b"bar", after={"X-Amz-Date": date, "Authorization": header})
    assert (found.status, found.code) == expected


NOW = "the test's own time"
"""Stands for it in the table: each worker of pytest-xdist makes the table at another second."""


def _v2(world: World, method: str, target: str, headers: dict[str, str], *, date: str, body: bytes = b"") -> Answer:
    keys = world.root("main")
    amz = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()) if name.startswith("x-amz-"))
    lines = (method, headers.get("Content-MD5", ""), headers.get("Content-Type", ""), date)
    text = "\n".join(lines) + "\n" + amz + target
    signature = base64.b64encode(hmac.new(keys.secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
    sent = {**headers, "Authorization": f"AWS {keys.key}:{signature}"}
    if date:
        sent["Date"] = date
    return world.raw(method, target, headers=sent, body=body)


@pytest.mark.parametrize(
    ("headers", "date", "expected"),
    [
        ({}, NOW, (200, "")),
        ({"x-amz-date": NOW}, "", (200, "")),
        ({"Content-MD5": "AWS HAHAHA"}, NOW, (400, "InvalidDigest")),
        ({"x-amz-date": "Bad Date"}, "", (403, "AccessDenied")),
        ({"x-amz-date": ""}, "", (403, "AccessDenied")),
        ({}, "", (403, "AccessDenied")),
        ({"x-amz-date": "Wed, 07 Jul 2010 21:53:04 GMT"}, "", (403, "RequestTimeTooSkewed")),
        ({"x-amz-date": "Tue, 07 Jul 2010 21:53:04 GMT"}, "", (403, "RequestTimeTooSkewed")),
        ({"x-amz-date": "Tue, 07 Jul 2030 21:53:04 GMT"}, "", (403, "RequestTimeTooSkewed")),
        ({"x-amz-date": "Tue, 07 Jul 9999 21:53:04 GMT"}, "", (403, "RequestTimeTooSkewed")),
    ],
)
def test_version_2_in_the_header(
    world: World, bucket: str, headers: dict[str, str], date: str, expected: tuple[int, str]
) -> None:
    now = formatdate(usegmt=True)
    headers = {name: value.replace(NOW, now) for name, value in headers.items()}
    found = _v2(world, "PUT", f"/{bucket}/v2", headers, date=date.replace(NOW, now), body=b"bar")
    assert (found.status, found.code) == expected


def test_a_body_without_a_length_is_not_taken(world: World, bucket: str) -> None:
    headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    found = world.signed("PUT", f"/{bucket}/foo", headers=headers, after={"Content-Length": None})
    assert (found.status, found.code) == (200, "")


def test_unknown_and_foreign_keys(world: World, bucket: str) -> None:
    found = world.signed("GET", f"/{bucket}", who=Keys("AKIAAAAAAAAAAAAAAAAA", "roflmao"))
    assert (found.status, found.code) == (403, "InvalidAccessKeyId")
    found = world.signed("GET", f"/{bucket}", who=Keys(world.root("main").key, "roflmao"))
    assert (found.status, found.code) == (403, "SignatureDoesNotMatch")
    found = world.signed("GET", f"/{bucket}", who="alt")
    assert (found.status, found.code) == (403, "AccessDenied")
