"""How a request may be signed besides Version 4 in header and query: Version 2, chunks, forms; what keys tell of it.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse
from tests.unit.labstage import INTERNET, REGION, Person, Stage, allow, deny, policy, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

MAIN = "310000000051"
BUCKET = "lab-auth"
HOST = f"{BUCKET}.s3.amazonaws.com"
URL = f"https://{HOST}/k"


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN)
    s3 = made.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    return made


@pytest.fixture(scope="module")
def owner(stage: Stage) -> Person:
    return stage.admin(MAIN)


@pytest.fixture(scope="module")
def user(stage: Stage) -> Person:
    """Somebody with keys of a user's, which have no token."""
    iam = stage.admin(MAIN).client("iam")
    iam.create_user(UserName="signer")
    iam.attach_user_policy(UserName="signer", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    key = iam.create_access_key(UserName="signer")["AccessKey"]
    return Person(stage, key["AccessKeyId"], key["SecretAccessKey"])


def send(
    stage: Stage, url: str, *, method: str = "GET", body: bytes = b"", headers: dict[str, str] | None = None
) -> HttpResponse:
    parts = urlsplit(url)
    return stage.gateway.handle(
        HttpRequest(
            method=method,
            target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            headers=tuple({"Host": parts.netloc, **(headers or {})}.items()),
            body=body,
            host=parts.netloc,
            scheme="https",
            tls="TLSv1.3",
            origin=INTERNET,
            peer="127.0.0.1:1",
        )
    )


def said(answer: HttpResponse) -> tuple[int, str, str]:
    text = answer.body.decode()
    code, message = re.search("<Code>(.*?)</Code>", text), re.search("<Message>(.*?)</Message>", text, re.DOTALL)
    return answer.status, code[1] if code else "", message[1] if message else ""


def presigned(person: Person, *, version: str = "s3", method: str = "get_object", **parameters: Any) -> str:
    expires = parameters.pop("ExpiresIn", 300)
    client = person.client("s3", signature_version=version)
    found: str = client.generate_presigned_url(
        method, Params={"Bucket": BUCKET, "Key": "k", **parameters}, ExpiresIn=expires
    )
    return found


# --- Version 2 -------------------------------------------------------------------------------------------------------


def test_a_url_presigned_by_version_2_is_good(stage: Stage, user: Person, owner: Person) -> None:
    for person in (user, owner):
        url = presigned(person)
        assert "AWSAccessKeyId=" in url
        assert send(stage, url).body == b"x"
    path_style = presigned(user).replace(f"https://{HOST}/", f"https://s3.amazonaws.com/{BUCKET}/")
    assert send(stage, path_style).body == b"x"
    assert send(stage, presigned(user, ResponseContentType="text/css")).status == 200


def test_a_presigned_write_carries_its_headers_in_the_query(stage: Stage, user: Person) -> None:
    url = presigned(user, method="put_object", Key="put", ContentType="text/css", StorageClass="GLACIER_IR")
    assert send(stage, url, method="PUT", body=b"body").status == 200
    found = user.client("s3").head_object(Bucket=BUCKET, Key="put")
    assert (found["ContentType"], found["StorageClass"], found["ContentLength"]) == ("text/css", "GLACIER_IR", 4)


def test_a_header_signed_by_version_2_is_good(user: Person) -> None:
    s3 = user.client("s3", signature_version="s3")
    s3.put_object(Bucket=BUCKET, Key="header", Body=b"y", Metadata={"colour": "red"})
    assert s3.get_object(Bucket=BUCKET, Key="header")["Metadata"] == {"colour": "red"}
    assert s3.list_object_versions(Bucket=BUCKET, Prefix="header")["Versions"]
    assert [row["Name"] for row in s3.list_buckets()["Buckets"]] == [BUCKET]


def test_version_2_is_seen_by_policies(stage: Stage, owner: Person) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html"""
    role = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"

    def refused(url_of: Callable[[Person], str], **condition: str) -> bool:
        test = {"StringEquals": {f"s3:{name}": value for name, value in condition.items()}}
        person = stage.user(MAIN).assume(role, Policy=policy(allow("*"), deny("*", Condition=test)))
        return send(stage, url_of(person)).status == 403

    def four(person: Person) -> str:
        return presigned(person, version="s3v4")

    assert refused(presigned, signatureversion="AWS")
    assert refused(four, signatureversion="AWS4-HMAC-SHA256")
    assert not refused(four, signatureversion="AWS")
    for make in (presigned, four):
        assert refused(make, authType="REST-QUERY-STRING")
        assert not refused(make, authType="REST-HEADER")
    assert refused(presigned, signatureAge="0")
    assert owner.client("s3").list_buckets()


BAD_VERSION_2: list[tuple[Callable[[str], str], int, str, str]] = [
    (
        lambda url: url.replace("/k?", "/other?"),
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated",
    ),
    (lambda url: re.sub("Expires=", "Expires=9", url), 403, "SignatureDoesNotMatch", "The request signature we"),
    (lambda url: re.sub(r"Expires=\d+", "Expires=1", url), 403, "AccessDenied", "Request has expired"),
    (lambda url: re.sub(r"Expires=\d+", "Expires=x", url), 403, "AccessDenied", "Invalid date (should be seconds"),
    (lambda url: re.sub(r"&?Expires=\d+", "", url), 403, "AccessDenied", "Query-string authentication requires"),
    (lambda url: re.sub("KeyId=.{4}", "KeyId=NONE", url), 403, "InvalidAccessKeyId", "The AWS Access Key Id you"),
    (lambda url: url + "&X-Amz-Algorithm=AWS4-HMAC-SHA256", 403, "SignatureDoesNotMatch", "The request"),
]


@pytest.mark.parametrize(("change", "expected"), [(row[0], row[1:]) for row in BAD_VERSION_2])
def test_a_bad_signature_of_version_2_is_refused(
    stage: Stage, user: Person, change: Callable[[str], str], expected: tuple[int, str, str]
) -> None:
    found = said(send(stage, change(presigned(user))))
    assert found[:2] == expected[:2]
    assert found[2].startswith(expected[2])


def test_a_bad_header_of_version_2_is_refused(stage: Stage, user: Person) -> None:
    now = f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} GMT"
    old = "Mon, 01 Jan 2024 00:00:00 GMT"
    for headers, expected in (
        ({"Authorization": "AWS broken", "Date": now}, (400, "InvalidArgument")),
        ({"Authorization": f"AWS {user.key}:bad="}, (403, "AccessDenied")),
        ({"Authorization": f"AWS {user.key}:bad=", "Date": old}, (403, "RequestTimeTooSkewed")),
        ({"Authorization": f"AWS {user.key}:bad=", "Date": now}, (403, "SignatureDoesNotMatch")),
        ({"Authorization": "AWS NOBODY:bad=", "x-amz-date": now}, (403, "InvalidAccessKeyId")),
        ({"Authorization": f"AWS {user.key}:bad=", "Date": old.replace("2024", "1950")}, (403, "AccessDenied")),
        ({"Authorization": ""}, (403, "AccessDenied")),
    ):
        assert said(send(stage, URL, headers=headers))[:2] == expected, headers


def test_regions_from_after_2013_take_version_4_alone(user: Person) -> None:
    user.client("s3", region="eu-central-1").create_bucket(
        Bucket="lab-auth-new", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    s3 = user.client("s3", region="eu-central-1", signature_version="s3")
    assert refusal(s3.list_objects_v2, Bucket="lab-auth-new") == (
        400,
        "InvalidRequest",
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )


# --- Version 4 -------------------------------------------------------------------------------------------------------


def test_a_presigned_url_lives_a_week_at_most(stage: Stage, user: Person) -> None:
    assert said(send(stage, presigned(user, version="s3v4", ExpiresIn=604801)))[:2] == (
        400,
        "AuthorizationQueryParametersError",
    )
    assert send(stage, presigned(user, version="s3v4", ExpiresIn=604800)).status == 200


def test_the_payload_of_a_request_is_seen_by_policies(stage: Stage, user: Person) -> None:
    unsigned = {"StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}
    role = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
    person = stage.user(MAIN).assume(role, Policy=policy(allow("*"), deny("s3:PutObject", Condition=unsigned)))
    signing = person.client("s3", s3={"payload_signing_enabled": True}, request_checksum_calculation="when_required")
    assert signing.put_object(Bucket=BUCKET, Key="paid", Body=b"x")
    lazy = person.client("s3", s3={"payload_signing_enabled": False}, request_checksum_calculation="when_required")
    assert refusal(lazy.put_object, Bucket=BUCKET, Key="paid", Body=b"x")[0] == 403
    assert user.client("s3").head_object(Bucket=BUCKET, Key="paid")


class Chunked:
    """A request whose body is signed chunk by chunk."""

    def __init__(self, person: Person, *chunks: bytes, trailer: str = "") -> None:
        total = sum(map(len, chunks))
        kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer else "")
        headers = {"x-amz-content-sha256": kind, "x-amz-decoded-content-length": str(total)}
        headers |= {"content-encoding": "aws-chunked"} | (
            {"x-amz-trailer": trailer.partition(":")[0]} if trailer else {}
        )
        request = AWSRequest(method="PUT", url=f"https://{HOST}/chunked", headers=headers)
        auth = Signer(Credentials(person.key, person.secret, person.token), "s3", REGION)
        auth.add_auth(request)
        self.headers = {name: str(value) for name, value in request.headers.items()}
        self.previous = self.headers["Authorization"].rpartition("Signature=")[2]
        self.scope = "/".join(auth.credential_scope(request).split("/"))
        self.at: str = request.context["timestamp"]
        self.key = signing_key(person.secret, *self.scope.split("/"))
        self.body = b"".join(self._chunk(chunk) for chunk in (*chunks, b""))
        if trailer:
            digest = hashlib.sha256(f"{trailer}\n".encode()).hexdigest()
            signature = self._sign("TRAILER", digest)
            self.body = self.body[:-2] + f"{trailer}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()

    def _chunk(self, data: bytes) -> bytes:
        digests = "\n".join(hashlib.sha256(part).hexdigest() for part in (b"", data))
        self.previous = self._sign("PAYLOAD", digests)
        return f"{len(data):x};chunk-signature={self.previous}\r\n".encode() + data + b"\r\n"

    def _sign(self, kind: str, rest: str) -> str:
        text = f"AWS4-HMAC-SHA256-{kind}\n{self.at}\n{self.scope}\n{self.previous}\n{rest}"
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()

    def send(self, stage: Stage, body: bytes | None = None) -> HttpResponse:
        sent = self.body if body is None else body
        return send(stage, f"https://{HOST}/chunked", method="PUT", body=sent, headers=self.headers)


class Signer(S3SigV4Auth):
    """As botocore signs, with the payload hash that was given."""

    def payload(self, request: Any) -> Any:
        return request.headers["x-amz-content-sha256"]

    def _modify_request_before_signing(self, request: Any) -> None:
        kind = request.headers["x-amz-content-sha256"]
        super()._modify_request_before_signing(request)  # type: ignore[misc, unused-ignore]
        request.headers.replace_header("X-Amz-Content-SHA256", kind)


def signing_key(secret: str, *scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def test_signed_chunks_are_verified_one_by_one(stage: Stage, user: Person) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html"""
    good = Chunked(user, b"a" * 8192, b"tail")
    assert good.send(stage).status == 200
    assert user.client("s3").get_object(Bucket=BUCKET, Key="chunked")["Body"].read() == b"a" * 8192 + b"tail"
    assert said(good.send(stage, good.body.replace(b"tail", b"talk")))[:2] == (403, "SignatureDoesNotMatch")
    assert said(good.send(stage, good.body.replace(b"4;", b"5;")))[:2] == (403, "SignatureDoesNotMatch")
    assert said(good.send(stage, good.body[:100]))[:2] == (403, "SignatureDoesNotMatch")
    assert said(good.send(stage, b"not chunks"))[:2] == (400, "IncompleteBody")
    fewer = Chunked(user, b"a" * 8192, b"tail")
    fewer.headers["x-amz-decoded-content-length"] = "1"
    assert said(fewer.send(stage))[:2] == (403, "SignatureDoesNotMatch")


def test_a_signed_trailer_is_verified_with_its_checksum(stage: Stage, user: Person) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html"""
    digest = base64.b64encode(hashlib.sha256(b"data").digest()).decode()
    good = Chunked(user, b"data", trailer=f"x-amz-checksum-sha256:{digest}")
    assert good.send(stage).status == 200
    changed = good.body.replace(digest.encode(), base64.b64encode(bytes(32)))
    assert said(good.send(stage, changed))[:2] == (403, "SignatureDoesNotMatch")
    wrong = Chunked(user, b"data", trailer=f"x-amz-checksum-sha256:{base64.b64encode(bytes(32)).decode()}")
    assert said(wrong.send(stage))[:2] == (400, "BadDigest")


def test_a_length_that_is_not_the_chunks_is_refused(stage: Stage, user: Person) -> None:
    request = AWSRequest(
        method="PUT",
        url=f"https://{HOST}/chunked",
        headers={"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length": "9"},
    )
    Signer(Credentials(user.key, user.secret), "s3", REGION).add_auth(request)
    headers = {name: str(value) for name, value in request.headers.items()}
    answer = send(stage, f"https://{HOST}/chunked", method="PUT", body=b"4\r\ndata\r\n0\r\n\r\n", headers=headers)
    assert said(answer)[:2] == (400, "IncompleteBody")


# --- forms -----------------------------------------------------------------------------------------------------------


def multipart(fields: dict[str, str], file: bytes | None = b"file", *, filename: str = "a.txt") -> tuple[bytes, str]:
    boundary = "----boundary"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in fields.items()
    ]
    if file is not None:
        head = f'Content-Disposition: form-data; name="file"; filename="{filename}"\r\nContent-Type: text/plain'
        parts.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + file + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def post(
    stage: Stage, fields: dict[str, str], file: bytes | None = b"file", *, url: str = f"https://{HOST}/", **more: Any
) -> HttpResponse:
    body, kind = multipart(fields, file, **more)
    return send(stage, url, method="POST", body=body, headers={"Content-Type": kind})


def signed_form(
    person: Person, key: str, *conditions: Any, fields: dict[str, str] | None = None, version: str = "s3v4"
) -> dict[str, str]:
    client = person.client("s3", signature_version=version)
    made = client.generate_presigned_post(BUCKET, key, Fields=dict(fields or {}), Conditions=list(conditions))
    found: dict[str, str] = made["fields"]
    return found


def test_a_form_uploads_what_its_policy_lets_through(stage: Stage, user: Person, owner: Person) -> None:
    for person, version in ((user, "s3v4"), (owner, "s3v4"), (user, "s3"), (owner, "s3")):
        fields = signed_form(person, f"form/{version}", version=version)
        answer = post(stage, fields)
        assert (answer.status, answer.body) == (204, b"")
        assert user.client("s3").get_object(Bucket=BUCKET, Key=f"form/{version}")["Body"].read() == b"file"
    fields = signed_form(user, "path-style")
    assert post(stage, fields, url=f"https://s3.amazonaws.com/{BUCKET}").status == 204


def test_a_forms_fields_are_the_writes_headers(stage: Stage, user: Person) -> None:
    tags = "<Tagging><TagSet><Tag><Key>team</Key><Value>red</Value></Tag></TagSet></Tagging>"
    given = {
        "Content-Type": "text/css",
        "x-amz-meta-colour": "red",
        "acl": "bucket-owner-full-control",
        "tagging": tags,
        "success_action_status": "201",
    }
    starting = [["starts-with", f"${name}", ""] for name in given]
    fields = signed_form(user, "up/${filename}", *starting, fields=given)
    answer = post(stage, {**fields, "x-ignore-this": "1"}, filename="C:\\dir\\b c.txt")
    assert answer.status == 201
    etag = f'"{hashlib.md5(b"file", usedforsecurity=False).hexdigest()}"'
    assert answer.body.decode().endswith(
        f"<PostResponse><Location>https://{HOST}/up%2Fb%20c.txt</Location><Bucket>{BUCKET}</Bucket>"
        f"<Key>up/b c.txt</Key><ETag>{etag}</ETag></PostResponse>"
    )
    s3 = user.client("s3")
    found = s3.head_object(Bucket=BUCKET, Key="up/b c.txt")
    assert (found["ContentType"], found["Metadata"]) == ("text/css", {"colour": "red"})
    assert s3.get_object_tagging(Bucket=BUCKET, Key="up/b c.txt")["TagSet"] == [{"Key": "team", "Value": "red"}]


@pytest.mark.parametrize(
    ("given", "status", "location"),
    [
        ({"success_action_status": "200"}, 200, f"https://{HOST}/answer"),
        ({"success_action_status": "404"}, 204, f"https://{HOST}/answer"),
        (
            {"success_action_redirect": "https://example.com/done"},
            303,
            "https://example.com/done?bucket=lab-auth&key=answer&etag=",
        ),
        (
            {"success_action_redirect": "https://example.com/?a=b"},
            303,
            "https://example.com/?a=b&bucket=lab-auth&key=answer&etag=",
        ),
    ],
)
def test_a_form_says_how_it_is_answered(
    stage: Stage, user: Person, given: dict[str, str], status: int, location: str
) -> None:
    conditions = [{name: value} for name, value in given.items()]
    answer = post(stage, signed_form(user, "answer", *conditions, fields=given))
    assert answer.status == status
    assert dict(answer.headers)["Location"].startswith(location)


def form_of(user: Person, document: Any, **fields: str) -> dict[str, str]:
    """A form with this policy, signed by Version 2."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    encoded = base64.b64encode(text).decode()
    signature = base64.b64encode(hmac.new(user.secret.encode(), encoded.encode(), hashlib.sha1).digest()).decode()
    return {"key": "form", "AWSAccessKeyId": user.key, "policy": encoded, "signature": signature, **fields}


SOON = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
BASE: list[Any] = [{"bucket": BUCKET}, ["eq", "$key", "form"]]


BAD_FORMS: list[tuple[Any, dict[str, str], int, str, str]] = [
    ({"expiration": "2020-01-01T00:00:00Z", "conditions": BASE}, {}, 403, "AccessDenied", "Policy expired."),
    (
        {"expiration": SOON, "conditions": [{"bucket": "b"}, BASE[1]]},
        {},
        403,
        "AccessDenied",
        'Policy Condition failed: ["eq", "$bucket", "b"]',
    ),
    (
        {"expiration": SOON, "conditions": [*BASE, ["starts-with", "$acl", "p"]]},
        {"acl": "x"},
        403,
        "AccessDenied",
        'Policy Condition failed: ["starts-with", "$acl", "p"]',
    ),
    ({"expiration": SOON, "conditions": [*BASE, {"acl": "x"}]}, {}, 403, "AccessDenied", "Policy Condition failed"),
    (
        {"expiration": SOON, "conditions": BASE},
        {"x-amz-meta-a": "b"},
        403,
        "AccessDenied",
        "Extra input fields: x-amz-meta-a",
    ),
    ({"expiration": SOON, "conditions": BASE[1:]}, {}, 403, "AccessDenied", "Extra input fields: bucket"),
    ({"expiration": SOON}, {}, 400, "InvalidPolicyDocument", "Policy missing conditions."),
    ({"conditions": BASE}, {}, 400, "InvalidPolicyDocument", "Policy missing expiration."),
    (
        {"expiration": "soon", "conditions": BASE},
        {},
        400,
        "InvalidPolicyDocument",
        "Invalid 'expiration' value: 'soon'",
    ),
    (
        {"expiration": "2026-99-01T00:00:00Z", "conditions": BASE},
        {},
        400,
        "InvalidPolicyDocument",
        "Invalid 'expiration'",
    ),
    ({"expiration": SOON, "conditions": [{}]}, {}, 400, "InvalidPolicyDocument", "Invalid Condition element."),
    (
        {"expiration": SOON, "conditions": [["like", "$key", "f"]]},
        {},
        400,
        "InvalidPolicyDocument",
        "Invalid Condition",
    ),
    (
        {"expiration": SOON, "conditions": [*BASE, ["content-length-range", 9, 99]]},
        {},
        400,
        "EntityTooSmall",
        "smaller than",
    ),
    (
        {"expiration": SOON, "conditions": [*BASE, ["content-length-range", 0, 3]]},
        {},
        400,
        "EntityTooLarge",
        "exceeds",
    ),
    (
        {"expiration": SOON, "conditions": [*BASE, ["content-length-range", 9, 3]]},
        {},
        400,
        "InvalidPolicyDocument",
        "range",
    ),
    (
        {"expiration": SOON, "conditions": [*BASE, ["content-length-range", "a", 3]]},
        {},
        400,
        "InvalidPolicyDocument",
        "range",
    ),
    (b"{", {}, 400, "InvalidPolicyDocument", "Invalid JSON."),
    ([], {}, 400, "InvalidPolicyDocument", "Invalid JSON."),
    ({"expiration": SOON, "conditions": BASE}, {"signature": "bad"}, 403, "SignatureDoesNotMatch", ""),
    ({"expiration": SOON, "conditions": BASE}, {"signature": ""}, 400, "InvalidArgument", "'signature'"),
    ({"expiration": SOON, "conditions": BASE}, {"AWSAccessKeyId": "NOBODY"}, 403, "InvalidAccessKeyId", ""),
    ({"expiration": SOON, "conditions": BASE}, {"key": ""}, 400, "InvalidArgument", "'key'"),
]


@pytest.mark.parametrize(("document", "fields", "expected"), [(*row[:2], row[2:]) for row in BAD_FORMS])
def test_a_form_that_its_policy_does_not_let_through(
    stage: Stage, user: Person, document: Any, fields: dict[str, str], expected: tuple[int, str, str]
) -> None:
    found = said(post(stage, form_of(user, document, **fields)))
    assert found[:2] == expected[:2]
    assert expected[2] in found[2]


def test_a_forms_conditions_may_hold(stage: Stage, user: Person) -> None:
    more = [
        ["content-length-range", 4, 4],
        ["starts-with", "$Content-Type", "text/"],
        ["starts-with", "$x-amz-meta-no", ""],
    ]
    form = form_of(user, {"expiration": SOON, "conditions": [*BASE, *more]}, **{"Content-Type": "text/a, text/b"})
    assert post(stage, form).status == 204
    mixed = [*BASE, *more[:1], ["starts-with", "$Content-Type", "text/"]]
    other = form_of(user, {"expiration": SOON, "conditions": mixed}, **{"Content-Type": "text/a, image/b"})
    assert said(post(stage, other))[:2] == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"x-amz-signature": "0" * 64}, 403, "SignatureDoesNotMatch"),
        ({"x-amz-signature": ""}, 400, "InvalidArgument"),
        ({"x-amz-algorithm": "AWS4-NONE"}, 400, "AuthorizationQueryParametersError"),
        ({"x-amz-credential": "NOBODY/20260101/us-east-1/s3/aws4_request"}, 403, "InvalidAccessKeyId"),
        ({"x-amz-credential": "broken"}, 400, "AuthorizationQueryParametersError"),
        ({"x-amz-date": "today"}, 400, "AuthorizationQueryParametersError"),
    ],
)
def test_a_bad_signature_of_a_form_is_refused(
    stage: Stage, user: Person, change: dict[str, str], status: int, code: str
) -> None:
    assert said(post(stage, {**signed_form(user, "bad"), **change}))[:2] == (status, code)


def test_a_form_is_decided_as_the_write_that_it_is(stage: Stage, user: Person) -> None:
    forms = {"StringEquals": {"s3:authType": "POST"}}
    role = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
    person = stage.user(MAIN).assume(role, Policy=policy(allow("*"), deny("s3:PutObject", Condition=forms)))
    found = said(post(stage, signed_form(person, "denied")))
    assert found[:2] == (403, "AccessDenied")
    assert found[2].endswith("with an explicit deny in a session policy")
    assert person.client("s3").put_object(Bucket=BUCKET, Key="denied", Body=b"")
    assert said(post(stage, {"key": "anonymous"})) == (403, "AccessDenied", "Access Denied")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data"),
        (b"", "multipart/form-data; boundary=b"),
        (b"text", "multipart/form-data; boundary=b"),
        (b"--b\r\nno disposition\r\n\r\nx\r\n--b--", "multipart/form-data; boundary=b"),
        (b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nx', "multipart/form-data; boundary=b"),
        (b'--b\r\nContent-Disposition: form-data; name="key"\r\n--b--', "multipart/form-data; boundary=b"),
    ],
)
def test_a_form_that_is_none_is_malformed(stage: Stage, body: bytes, kind: str) -> None:
    answer = send(stage, f"https://{HOST}/", method="POST", body=body, headers={"Content-Type": kind})
    assert said(answer)[:2] == (400, "MalformedPOSTRequest")


def test_a_form_of_another_kind_is_refused(stage: Stage) -> None:
    for url in (f"https://{HOST}/", f"https://s3.amazonaws.com/{BUCKET}"):
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        assert said(send(stage, url, method="POST", body=b"a=b", headers=kind))[:2] == (412, "PreconditionFailed")


def test_a_form_needs_its_file(stage: Stage, user: Person) -> None:
    assert said(post(stage, signed_form(user, "none"), None)) == (
        400,
        "InvalidArgument",
        "POST requires exactly one file upload per request.",
    )
