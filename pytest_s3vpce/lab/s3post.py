"""Uploads by a form: read, authenticated by the policy document that it carries, and made the write that it means.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from pytest_s3vpce.lab.authorization import ALGORITHM, credential_of, query_error
from pytest_s3vpce.lab.postpolicy import check_policy
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3requests import virtual_bucket
from pytest_s3vpce.lab.s3tags import in_document
from pytest_s3vpce.lab.s3words import invalid_value
from pytest_s3vpce.lab.signatures import Anonymous, Verified, instant, mismatch, secret_of, signing_key
from pytest_s3vpce.lab.signaturev2 import VERSION, sign
from pytest_s3vpce.lab.wire import HttpResponse
from pytest_s3vpce.markup import DECLARATION, elements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from pytest_s3vpce.lab.signatures import Lookup
    from pytest_s3vpce.lab.wire import HttpRequest

POST: Final = "POST"
"""The value of s3:authType."""
_BOUNDARY: Final = re.compile(r'multipart/form-data\s*;.*?boundary="?(?P<boundary>[^";,]{1,70})"?', re.IGNORECASE)
_NAME: Final = re.compile(r'(?:^|;)\s*name="(?P<name>[^"]*)"', re.IGNORECASE)
_FILENAME: Final = re.compile(r'(?:^|;)\s*filename="(?P<name>[^"]*)"', re.IGNORECASE)
_HEADERS: Final = frozenset(
    {"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"}
)
_AUTH_FIELDS: Final = frozenset(
    {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "x-amz-security-token"}
)
_STATUSES: Final = {"200": 200, "201": 201}
_NO_CONTENT: Final = 204


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form's fields, names in lower case, up to its file; what follows the file counts for nothing."""

    fields: Mapping[str, str] = field(repr=False)
    file: bytes = field(repr=False)
    bucket: str

    @property
    def key(self) -> str:
        return self.fields["key"]


def is_form(request: HttpRequest) -> bool:
    """Whether this is an upload by a form."""
    return is_post_to_bucket(request) and _kind(request).startswith("multipart/form-data")


def is_post_to_bucket(request: HttpRequest) -> bool:
    """Whether this is a POST to a bucket that is no operation of the API."""
    path, _, query = request.target.partition("?")
    below = path.strip("/")
    at_bucket = not below if virtual_bucket(request) else bool(below) and "/" not in below
    return request.method == "POST" and at_bucket and not query


def _kind(request: HttpRequest) -> str:
    return (request.header("content-type") or "").lower()


def other_form() -> Refused:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html"""
    return Refused(
        "PreconditionFailed",
        status=412,
        message="At least one of the pre-conditions you specified did not hold",
        details=(("Condition", "Bucket POST must be of the enclosure-type multipart/form-data"),),
    )


def take(
    request: HttpRequest, *, lookup: Lookup, now: datetime
) -> tuple[HttpRequest, Verified | Anonymous, Callable[[HttpResponse], HttpResponse]]:
    """The write that a form means, who signed it, and what makes its answer."""
    form = read(request)
    verified = _verified(form, lookup=lookup, now=now)
    if "policy" in form.fields:
        check_policy(form.fields["policy"], fields=form.fields, bucket=form.bucket, size=len(form.file), now=now)
    return _write(request, form), verified, lambda answer: _answered(answer, request, form)


def read(request: HttpRequest) -> Form:
    match = _BOUNDARY.match(request.header("content-type") or "")
    if match is None:
        raise _malformed()
    delimiter = b"\r\n--" + match["boundary"].encode("latin-1")
    first, *parts = (b"\r\n" + request.body).split(delimiter)
    if first.strip() or not parts or not any(part.startswith(b"--") for part in parts):
        raise _malformed()
    fields: dict[str, str] = {}
    for part in parts:
        if part.startswith(b"--"):
            break
        head, separator, content = part.partition(b"\r\n\r\n")
        disposition = _disposition(head)
        name = _NAME.search(disposition)
        if not separator or name is None:
            raise _malformed()
        if name["name"].lower() == "file":
            return _finished(request, fields, content, filename=_filename(disposition))
        fields[name["name"].lower()] = content.decode("utf-8", "replace")
    raise invalid_value("POST requires exactly one file upload per request.", name="file", value="0")


def _disposition(head: bytes) -> str:
    lines = (line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, _, value in lines}.get("content-disposition", "")


def _filename(disposition: str) -> str:
    """Browsers send the name, some with its path."""
    found = _FILENAME.search(disposition)
    return "" if found is None else re.split(r"[/\\]", found["name"])[-1]


def _finished(request: HttpRequest, fields: dict[str, str], file: bytes, *, filename: str) -> Form:
    if not fields.get("key"):
        message = (
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields."
        )
        raise invalid_value(message, name="key", value="")
    fields["key"] = fields["key"].replace("${filename}", filename)
    bucket = virtual_bucket(request) or request.target.strip("/")
    return Form(fields=fields, file=file, bucket=bucket)


def _verified(form: Form, *, lookup: Lookup, now: datetime) -> Verified | Anonymous:
    given = form.fields
    if "x-amz-signature" in given or "x-amz-credential" in given or "x-amz-algorithm" in given:
        return _verified_v4(given, lookup=lookup, now=now)
    if "signature" in given or "awsaccesskeyid" in given or "policy" in given:
        return _verified_v2(given, lookup=lookup, now=now)
    return Anonymous()


def _verified_v4(given: Mapping[str, str], *, lookup: Lookup, now: datetime) -> Verified:
    _need(
        given, {"policy": "policy", **{name: name.title() for name in sorted(_AUTH_FIELDS - {"x-amz-security-token"})}}
    )
    if given["x-amz-algorithm"] != ALGORITHM:
        raise query_error('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"')
    key_id, date, region, service = credential_of(given["x-amz-credential"], refuse=query_error)
    try:
        signed_at = instant(given["x-amz-date"])
    except ValueError as error:
        raise query_error("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"") from error
    token = given.get("x-amz-security-token")
    secret = secret_of(key_id, token, lookup=lookup, now=now)
    key = signing_key(secret.secret_access_key, date, region, service)
    signature = hmac.new(key, given["policy"].encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature.encode(), given["x-amz-signature"].encode()):
        raise mismatch(key_id, signed=given["policy"], signature=given["x-amz-signature"])
    return Verified(
        access_key_id=key_id,
        session_token=token,
        service="s3",
        region=region,
        auth_type=POST,
        signature_age_ms=max(now - signed_at, timedelta()) // timedelta(milliseconds=1),
        payload_hash="",
    )


def _verified_v2(given: Mapping[str, str], *, lookup: Lookup, now: datetime) -> Verified:
    _need(given, {"policy": "policy", "awsaccesskeyid": "AWSAccessKeyId", "signature": "signature"})
    token = given.get("x-amz-security-token")
    secret = secret_of(given["awsaccesskeyid"], token, lookup=lookup, now=now)
    signature = sign(secret.secret_access_key, given["policy"])
    if not hmac.compare_digest(signature.encode(), given["signature"].encode()):
        raise mismatch(given["awsaccesskeyid"], signed=given["policy"], signature=given["signature"])
    return Verified(
        access_key_id=given["awsaccesskeyid"],
        session_token=token,
        service="s3",
        region="",
        auth_type=POST,
        signature_version=VERSION,
        signature_age_ms=0,
        payload_hash="",
    )


def _need(given: Mapping[str, str], names: Mapping[str, str]) -> None:
    for name, shown in names.items():
        if not given.get(name):
            message = (
                f"Bucket POST must contain a field named '{shown}'.  If it is specified, please check the order of the "
                "fields."
            )
            raise invalid_value(message, name=shown, value="")


def _write(request: HttpRequest, form: Form) -> HttpRequest:
    headers = [("Host", request.host)]
    for name, value in form.fields.items():
        if name in _HEADERS or (name.startswith("x-amz-") and name not in _AUTH_FIELDS):
            headers.append((name, value))
    if "acl" in form.fields:
        headers.append(("x-amz-acl", form.fields["acl"]))
    if "tagging" in form.fields:
        headers.append(("x-amz-tagging", _tags(form.fields["tagging"])))
    headers += [(name, value) for name, value in request.headers if name.lower() in {"user-agent", "referer"}]
    path = "" if virtual_bucket(request) else f"/{form.bucket}"
    target = f"{path}/{quote(form.key, safe='/-_.~')}"
    latin = tuple((name, value.encode().decode("latin-1")) for name, value in headers)
    return replace(request, method="PUT", target=target, headers=latin, body=form.file)


def _tags(document: str) -> str:
    """A form's tags are a document, a write's header is a query."""
    return urlencode(in_document(document.encode()))


def _answered(answer: HttpResponse, request: HttpRequest, form: Form) -> HttpResponse:
    """204, or what the form asks for. https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html"""
    if answer.status >= 300:
        return answer
    given = form.fields
    etag = next((value for name, value in answer.headers if name.lower() == "etag"), "")
    path = request.target.partition("?")[0].rstrip("/")
    location = f"{request.scheme}://{request.host}{path}/{quote(form.key, safe='')}"
    headers = [(name, value) for name, value in answer.headers if name.lower() not in {"content-type", "location"}]
    redirect = given.get("success_action_redirect") or given.get("redirect")
    if redirect:
        query = urlencode({"bucket": form.bucket, "key": form.key, "etag": etag})
        mark = "&" if "?" in redirect else "?"
        return HttpResponse(status=303, headers=(*headers, ("Location", f"{redirect}{mark}{query}")))
    status = _STATUSES.get(given.get("success_action_status", ""), _NO_CONTENT)
    headers.append(("Location", location))
    if status != 201:
        return HttpResponse(status=status, headers=tuple(headers))
    text = elements(Location=location, Bucket=form.bucket, Key=form.key, ETag=etag)
    body = f"{DECLARATION}<PostResponse>{text}</PostResponse>"
    return HttpResponse(status=201, headers=(*headers, ("Content-Type", "application/xml")), body=body.encode())


def _malformed() -> Refused:
    message = "The body of your POST request is not well-formed multipart/form-data."
    return Refused("MalformedPOSTRequest", status=400, message=message)
