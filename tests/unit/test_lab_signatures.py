"""Signatures made by botocore are good, and every way of being bad is refused in S3's words."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import boto3
import pytest
import urllib3
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from pytest_s3vpce.lab.authorization import HEADER, QUERY
from pytest_s3vpce.lab.certificates import Certificates
from pytest_s3vpce.lab.origin import Internet
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.server import HttpResponse, Server
from pytest_s3vpce.lab.signatures import Anonymous, Secret, Verified, verify
from pytest_s3vpce.lab.wire import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SESSION_KEY = "ASIAIOSFODNN7EXAMPLE"
TOKEN = "FwoGZXIvYXdzEBYaD/token+with=signs"
HOST = "reports.s3.eu-west-1.amazonaws.com"
SECRETS = {KEY: Secret(secret_access_key=SECRET), SESSION_KEY: Secret(secret_access_key=SECRET, session_token=TOKEN)}
USER = Credentials(KEY, SECRET)
SESSION = Credentials(SESSION_KEY, SECRET, TOKEN)


def now() -> datetime:
    return datetime.now(UTC)


def raw(
    target: str = "/",
    *,
    method: str = "GET",
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
    host: str = HOST,
) -> HttpRequest:
    named = headers if any(name.lower() == "host" for name, _ in headers) else (("Host", host), *headers)
    return HttpRequest(
        method=method,
        target=target,
        headers=named,
        body=body,
        host=host,
        scheme="https",
        tls="TLSv1.3",
        origin=Internet(),
        peer="127.0.0.1:1",
    )


def sent(request: AWSRequest) -> HttpRequest:
    """The request as it would arrive."""
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = tuple((name, _on_the_wire(value)) for name, value in prepared.headers.items())
    body = prepared.body or b""
    assert isinstance(body, bytes)
    return raw(target, method=prepared.method, headers=headers, body=body, host=parts.netloc)


def _on_the_wire(value: str | bytes) -> str:
    return (value if isinstance(value, bytes) else value.encode()).decode("latin-1")


def signed(
    url: str = f"https://{HOST}/key",
    *,
    method: str = "GET",
    data: bytes = b"",
    headers: dict[str, str] | None = None,
    auth: type[SigV4Auth] = S3SigV4Auth,
    service: str = "s3",
    credentials: Credentials = USER,
    region: str = "eu-west-1",
) -> HttpRequest:
    request = AWSRequest(method=method, url=url, data=data, headers=headers or {})
    request.context["payload_signing_enabled"] = True
    auth(credentials, service, region).add_auth(request)
    return sent(request)


def presigned(*, expires: int = 300, credentials: Credentials = USER, url: str = f"https://{HOST}/key") -> HttpRequest:
    request = AWSRequest(method="GET", url=url)
    S3SigV4QueryAuth(credentials, "s3", "eu-west-1", expires=expires).add_auth(request)
    return sent(request)


def changed(request: HttpRequest, **changes: str | None) -> HttpRequest:
    """The request with headers replaced (None: removed); an underscore stands for a hyphen."""
    wanted = {name.replace("_", "-"): value for name, value in changes.items()}
    kept = tuple(pair for pair in request.headers if pair[0].lower() not in wanted)
    added = tuple((name, value) for name, value in wanted.items() if value is not None)
    return raw(request.target, method=request.method, headers=kept + added, body=request.body, host=request.host)


def check(request: HttpRequest, *, at: datetime | None = None) -> Verified | Anonymous:
    return verify(request, lookup=SECRETS.get, now=at or now())


def verified(request: HttpRequest, *, at: datetime | None = None) -> Verified:
    result = check(request, at=at)
    assert isinstance(result, Verified)
    return result


def refusal(request: HttpRequest, *, at: datetime | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        check(request, at=at)
    return caught.value


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/key",
        "/a%20b",
        "/a%2Bb%3D",
        "/gr%C3%BC%C3%9Fe/%E2%82%AC",
        "//double//slash",
        "/a/../b/./c",
        "/a+b",
        "/(x)!'*",
    ],
)
@pytest.mark.parametrize("query", ["", "?acl", "?list-type=2&prefix=a%2Fb%20c&delimiter=%2F", "?b=2&a=1&a=0&A=3"])
def test_s3_header_signatures_of_botocore_are_good(path: str, query: str) -> None:
    result = verified(signed(f"https://{HOST}{path}{query}"))
    assert (result.access_key_id, result.service, result.region) == (KEY, "s3", "eu-west-1")
    assert (result.auth_type, result.signature_version) == (HEADER, "AWS4-HMAC-SHA256")
    assert 0 <= result.signature_age_ms < 5000


def test_a_body_is_covered_by_its_hash() -> None:
    request = signed(method="PUT", data=b"content", headers={"x-amz-meta-note": "  two   words "})
    assert verified(request).payload_hash == hashlib.sha256(b"content").hexdigest()


def test_metadata_beyond_ascii_is_signed_as_utf8() -> None:
    assert verified(signed(method="PUT", data=b"", headers={"x-amz-meta-note": "grüße"})).access_key_id == KEY


def test_a_session_brings_its_token() -> None:
    result = verified(signed(credentials=SESSION))
    assert (result.access_key_id, result.session_token) == (SESSION_KEY, TOKEN)
    assert TOKEN not in repr(result)
    assert SECRET not in repr(SECRETS)


@pytest.mark.parametrize(
    ("service", "url", "data", "content_type"),
    [
        (
            "sts",
            "https://sts.eu-west-1.amazonaws.com/",
            b"Action=GetCallerIdentity&Version=2011-06-15",
            "x-www-form-urlencoded",
        ),
        ("ec2", "https://ec2.eu-west-1.amazonaws.com/", b"Action=DescribeVpcs&A.1=a+b%2Fc", "x-www-form-urlencoded"),
        ("iam", "https://iam.amazonaws.com", b"Action=GetRole&RoleName=x", "x-www-form-urlencoded"),
        ("ssm", "https://ssm.eu-west-1.amazonaws.com/", b'{"Name": "/x"}', "x-amz-json-1.1"),
        (
            "lambda",
            "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/arn%3Aaws%3Alambda%3Aa%3Ab/invocations",
            b"{}",
            "json",
        ),
        ("lambda", "https://lambda.eu-west-1.amazonaws.com/a//b/../c/", b"", "json"),
    ],
)
def test_other_services_sign_over_the_normal_path(service: str, url: str, data: bytes, content_type: str) -> None:
    headers = {"Content-Type": f"application/{content_type}"}
    request = signed(url, method="POST", data=data, headers=headers, auth=SigV4Auth, service=service)
    assert verified(request).service == service


def test_presigned_requests_of_s3_do_not_sign_the_payload() -> None:
    result = verified(presigned())
    assert (result.auth_type, result.payload_hash) == (QUERY, "UNSIGNED-PAYLOAD")


def test_presigned_requests_of_a_session_carry_the_token_in_the_query() -> None:
    assert verified(presigned(credentials=SESSION, url=f"https://{HOST}/a%20b?versionId=1")).session_token == TOKEN


def test_presigned_requests_of_other_services_sign_the_empty_body() -> None:
    request = AWSRequest(
        method="GET", url="https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
    )
    SigV4QueryAuth(USER, "sts", "eu-west-1", expires=60).add_auth(request)
    assert verified(sent(request)).payload_hash == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    "payload",
    [
        "UNSIGNED-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    ],
)
def test_payloads_that_are_not_hashed_as_a_whole_are_taken(payload: str) -> None:
    request = signed(method="PUT", data=b"x", auth=_stating(payload))
    assert verified(request).payload_hash == payload


def _stating(payload: str) -> type[S3SigV4Auth]:
    class Stating(S3SigV4Auth):
        def payload(self, request: AWSRequest) -> str:
            return payload

    return Stating


def test_a_path_that_the_client_encoded_otherwise_than_it_signed_is_good() -> None:
    request = signed(f"https://{HOST}/a%28b%29")
    assert verified(raw("/a(b)", headers=request.headers)).access_key_id == KEY


def test_a_date_header_stands_in_for_x_amz_date() -> None:
    request = signed(headers={"Date": "Wed, 25 Nov 2026 17:00:00 GMT"})
    assert request.header("x-amz-date") is None
    assert verified(request).access_key_id == KEY


def test_without_a_signature_the_caller_is_anonymous() -> None:
    assert isinstance(check(raw(headers=(("Authorization", ""),))), Anonymous)
    assert check(raw("/key?versionId=1")) == Anonymous()


def test_an_unknown_key_is_refused() -> None:
    refused = refusal(signed(credentials=Credentials("AKIAUNKNOWN", SECRET)))
    assert (refused.code, refused.status) == ("InvalidAccessKeyId", 403)
    assert refused.message == "The AWS Access Key Id you provided does not exist in our records."


def test_a_session_key_without_its_token_is_unknown() -> None:
    assert refusal(signed(credentials=Credentials(SESSION_KEY, SECRET))).code == "InvalidAccessKeyId"


@pytest.mark.parametrize(
    "credentials",
    [Credentials(SESSION_KEY, SECRET, "another"), Credentials(KEY, SECRET, TOKEN)],
    ids=["wrong", "not-due"],
)
def test_a_wrong_token_is_refused(credentials: Credentials) -> None:
    refused = refusal(signed(credentials=credentials))
    assert (refused.code, refused.status) == ("InvalidToken", 400)
    assert TOKEN not in str(refused)


def test_an_expired_session_is_refused() -> None:
    expired = Secret(secret_access_key=SECRET, session_token=TOKEN, expires=now() - timedelta(seconds=1))
    with pytest.raises(Refused, match="The provided token has expired") as caught:
        verify(signed(credentials=SESSION), lookup={SESSION_KEY: expired}.get, now=now())
    assert (caught.value.code, caught.value.status) == ("ExpiredToken", 400)


def test_a_session_is_good_until_it_expires() -> None:
    lasting = Secret(secret_access_key=SECRET, session_token=TOKEN, expires=now() + timedelta(minutes=1))
    assert isinstance(verify(signed(credentials=SESSION), lookup={SESSION_KEY: lasting}.get, now=now()), Verified)


def test_a_wrong_secret_does_not_match() -> None:
    refused = refusal(signed(credentials=Credentials(KEY, "wrong")))
    assert (refused.code, refused.status) == ("SignatureDoesNotMatch", 403)
    assert dict(refused.details)["StringToSign"].startswith("AWS4-HMAC-SHA256\n")
    assert SECRET not in str(refused.details)


@pytest.mark.parametrize("target", ["/other", "/key?acl", "/key/"])
def test_another_target_than_the_signed_one_does_not_match(target: str) -> None:
    request = signed()
    assert refusal(raw(target, headers=request.headers)).code == "SignatureDoesNotMatch"


def test_another_method_than_the_signed_one_does_not_match() -> None:
    request = signed()
    assert refusal(raw(request.target, method="DELETE", headers=request.headers)).code == "SignatureDoesNotMatch"


def test_a_tampered_presigned_url_does_not_match() -> None:
    request = presigned()
    assert refusal(raw(request.target.replace("/key", "/kez"), headers=request.headers)).code == "SignatureDoesNotMatch"


def test_a_longer_life_than_the_signed_one_does_not_match() -> None:
    request = presigned()
    target = request.target.replace("Expires=300", "Expires=3000")
    assert refusal(raw(target, headers=request.headers)).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_too_far_off_is_refused(minutes: int) -> None:
    refused = refusal(signed(), at=now() + timedelta(minutes=minutes))
    assert (refused.code, refused.status) == ("RequestTimeTooSkewed", 403)
    assert dict(refused.details)["MaxAllowedSkewMilliseconds"] == "900000"


def test_a_clock_a_little_off_is_good() -> None:
    assert verified(signed(), at=now() + timedelta(minutes=14)).signature_age_ms >= 14 * 60_000
    assert verified(signed(), at=now() - timedelta(minutes=14)).signature_age_ms == 0


@pytest.mark.parametrize(
    ("seconds", "message"), [(301, "Request has expired"), (-1000, "Request is not yet valid")], ids=["late", "early"]
)
def test_a_presigned_url_holds_for_its_time_only(seconds: int, message: str) -> None:
    refused = refusal(presigned(), at=now() + timedelta(seconds=seconds))
    assert (refused.code, refused.status, refused.message) == ("AccessDenied", 403, message)


def test_the_age_of_a_presigned_url_may_exceed_the_clock_skew() -> None:
    assert verified(presigned(expires=3600), at=now() + timedelta(minutes=30)).signature_age_ms >= 30 * 60_000


def test_a_changed_body_is_refused() -> None:
    request = signed(method="PUT", data=b"content")
    refused = refusal(raw(request.target, method="PUT", headers=request.headers, body=b"tampered"))
    assert (refused.code, refused.status) == ("XAmzContentSHA256Mismatch", 400)


def test_a_changed_body_of_another_service_does_not_match() -> None:
    url = "https://sts.eu-west-1.amazonaws.com/"
    request = signed(url, method="POST", data=b"Action=GetCallerIdentity", auth=SigV4Auth, service="sts")
    other = raw("/", method="POST", headers=request.headers, body=b"Action=AssumeRole")
    assert refusal(other).code == "SignatureDoesNotMatch"


def test_a_payload_hash_of_no_known_form_is_refused() -> None:
    refused = refusal(signed(method="PUT", auth=_stating("STREAMING-NONSENSE")))
    assert (refused.code, refused.status) == ("InvalidArgument", 400)


def test_the_payload_hash_is_needed_by_s3() -> None:
    refused = refusal(changed(signed(), x_amz_content_sha256=None))
    assert (refused.code, refused.status) == ("InvalidRequest", 400)
    assert refused.message == "Missing required header for this request: x-amz-content-sha256"


def test_a_header_of_amazon_that_is_not_signed_is_refused() -> None:
    refused = refusal(changed(signed(), x_amz_acl="public-read"))
    assert (refused.code, refused.status) == ("AccessDenied", 403)
    assert refused.details == (("HeadersNotSigned", "x-amz-acl"),)


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_a_date_is_needed(date: str | None) -> None:
    refused = refusal(changed(signed(), x_amz_date=date))
    assert (refused.code, refused.status) == ("AccessDenied", 403)
    assert refused.message == "AWS authentication requires a valid Date or x-amz-date header"


def test_the_date_of_the_scope_is_the_date_of_the_request() -> None:
    request = signed()
    authorization = request.header("authorization") or ""
    date = authorization.split("/")[1]
    refused = refusal(changed(request, authorization=authorization.replace(date, "20200101")))
    assert refused.code == "AuthorizationHeaderMalformed"
    assert f'"20200101". This date is not the same as X-Amz-Date: "{date}"' in refused.message


SCOPE = "20261125/eu-west-1/s3/aws4_request"


@pytest.mark.parametrize(
    ("authorization", "code", "words"),
    [
        ("AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed", "requires three components"),
        (f"AWS4-HMAC-SHA256 Credential={KEY}/{SCOPE}", "AuthorizationHeaderMalformed", "requires three components"),
        ("AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0", "AuthorizationHeaderMalformed", "expecting"),
        (
            "AWS4-HMAC-SHA256 Credential=x/2026/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=0",
            "AuthorizationHeaderMalformed",
            "incorrect date format",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=x/20261125/eu-west-1/s3/aws5, SignedHeaders=host, Signature=0",
            "AuthorizationHeaderMalformed",
            "expecting",
        ),
        ("AWS AKID:c2ln", "InvalidRequest", "Please use AWS4-HMAC-SHA256"),
        ("AWS4-ECDSA-P256-SHA256 Credential=x", "InvalidRequest", "Please use AWS4-HMAC-SHA256"),
        ("Basic dXNlcjpwYXNz", "InvalidArgument", "Unsupported Authorization Type"),
    ],
)
def test_a_malformed_header_is_refused(authorization: str, code: str, words: str) -> None:
    refused = refusal(raw("/", headers=(("Authorization", authorization),)))
    assert (refused.code, refused.status) == (code, 400)
    assert words in refused.message


@pytest.mark.parametrize(
    ("replaced", "by", "words"),
    [
        ("X-Amz-Expires=300", "", "requires the X-Amz-Algorithm"),
        ("X-Amz-Expires=300", "X-Amz-Expires=soon", "should be a number"),
        ("X-Amz-Expires=300", "X-Amz-Expires=-1", "must be non-negative"),
        ("X-Amz-Expires=300", "X-Amz-Expires=604801", "must be less than a week"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=MD5", "X-Amz-Algorithm only supports"),
        ("X-Amz-Date=2", "X-Amz-Date=x", "must be in the ISO8601 Long Format"),
        ("aws4_request", "other", "the Credential is mal-formed"),
    ],
)
def test_malformed_query_parameters_are_refused(replaced: str, by: str, words: str) -> None:
    request = presigned()
    target = request.target.replace(replaced, by)
    assert target != request.target
    refused = refusal(raw(target, headers=request.headers))
    assert (refused.code, refused.status) == ("AuthorizationQueryParametersError", 400)
    assert words in refused.message


def test_the_date_of_a_presigned_scope_is_the_date_of_the_request() -> None:
    request = presigned()
    target = request.target.replace("X-Amz-Date=20", "X-Amz-Date=19")
    refused = refusal(raw(target, headers=request.headers))
    assert refused.code == "AuthorizationQueryParametersError"
    assert "is not the same as X-Amz-Date" in refused.message


@pytest.mark.parametrize(
    "target",
    [
        "/?AWSAccessKeyId=a&Signature=b&Expires=1",
        "/?X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&"
        + "&".join(f"X-Amz-{name}=x" for name in ("Credential", "Signature", "Date", "SignedHeaders", "Expires")),
    ],
    ids=["version-2", "version-4a"],
)
def test_other_signature_versions_are_refused(target: str) -> None:
    refused = refusal(raw(target))
    assert (refused.code, refused.status) == ("InvalidRequest", 400)
    assert "Please use AWS4-HMAC-SHA256" in refused.message


@pytest.mark.parametrize("target", ["/?AWSAccessKeyId=a&Signature=b", "/?X-Amz-Signature=b"])
def test_two_mechanisms_at_once_are_refused(target: str) -> None:
    refused = refusal(raw(target, headers=(("Authorization", "AWS4-HMAC-SHA256 x"),)))
    assert (refused.code, refused.status) == ("InvalidArgument", 400)
    assert "Only one auth mechanism allowed" in refused.message


class Lab:
    """A lab that only verifies; it remembers who asked for what."""

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates
        self.seen: list[tuple[str, str]] = []
        self.server = Server(self.answer, certificates=certificates, latency=0)
        listener = self.server.listen(Internet())
        self.url = f"http://{listener.host}:{listener.port}"

    def answer(self, request: HttpRequest) -> HttpResponse:
        result = verified(request)
        self.seen.append((result.service, result.auth_type))
        text = b"" if request.method == "PUT" else b"<A><GetCallerIdentityResult/></A>"
        return HttpResponse(status=200, headers=(("Content-Type", "application/xml"),), body=text)

    def client(self, service: Literal["s3", "sts"]) -> Any:
        return boto3.client(
            service,
            region_name="eu-west-1",
            aws_access_key_id=SESSION_KEY,
            aws_secret_access_key=SECRET,
            aws_session_token=TOKEN,
            verify=str(self.certificates.ca_pem),
            config=Config(
                proxies={"https": self.url},
                signature_version="s3v4" if service == "s3" else None,
                retries={"total_max_attempts": 1},
            ),
        )


@pytest.fixture(name="lab")
def _lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(Certificates(tmp_path))
    yield lab
    lab.server.close()


def test_what_boto3_really_sends_is_good(lab: Lab) -> None:
    s3, sts = lab.client("s3"), lab.client("sts")
    for key in ("plain", "a b+c&d=e/ü€", "(x)!'*~-_.", "//x/../y", "%2F"):
        s3.put_object(Bucket="reports", Key=key, Body=b"content", Metadata={"note": "two  words"})
        s3.get_object(Bucket="reports", Key=key)
        s3.put_object(Bucket="dotted.reports", Key=key, Body=b"content")
    s3.list_objects_v2(Bucket="reports", Prefix="a b/+ü", Delimiter="/", StartAfter="=&")
    sts.get_caller_identity()
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "reports", "Key": "a b+ü"}, ExpiresIn=60)
    with urllib3.ProxyManager(lab.url, ca_certs=str(lab.certificates.ca_pem)) as proxy:
        assert proxy.request("GET", url, retries=False).status == 200
    for client in (s3, sts):
        client.close()
    assert lab.seen == [("s3", HEADER)] * 16 + [("sts", HEADER), ("s3", QUERY)]
