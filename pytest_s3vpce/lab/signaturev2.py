"""Signature Version 2, in the query and the header: what many a client still presigns with.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from pytest_s3vpce.lab.authorization import HEADER, QUERY, decoded, query_pairs, undated
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3requests import virtual_bucket
from pytest_s3vpce.lab.signatures import MAX_SKEW, Verified, mismatch, secret_of, skewed

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from pytest_s3vpce.lab.signatures import Lookup
    from pytest_s3vpce.lab.wire import HttpRequest

VERSION: Final = "AWS"
"""The value of s3:signatureversion.
https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html"""
REGIONS: Final = frozenset(
    {
        "us-east-1",
        "us-west-1",
        "us-west-2",
        "eu-west-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-northeast-1",
        "sa-east-1",
        "us-gov-west-1",
    }
)
"""Regions from before 2014; all others take Version 4 alone.
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html"""
_HEADER: Final = re.compile(r"AWS (?P<key>[^:\s]+):(?P<signature>\S+)")
_PARAMETERS: Final = frozenset({"AWSAccessKeyId", "Signature", "Expires"})
_CARRIED: Final = re.compile(r"x-amz-[a-z0-9-]+|content-type|content-md5", re.IGNORECASE)
"""Headers that a presigned query may carry in their stead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    access_key_id: str
    signature: str
    date: str
    """What stands in the string to sign for the date; empty where an x-amz-date header does."""
    auth_type: str
    token: str | None = field(repr=False)


def is_v2(request: HttpRequest) -> bool:
    """Whether the request says that it is signed so. One that says two things is not for us to read."""
    names = {name for name, _ in query_pairs(request.target)}
    authorization = request.header("authorization") or None
    in_query = "Signature" in names and ("AWSAccessKeyId" in names or "Expires" in names)
    if authorization is not None:
        return authorization.startswith("AWS ") and not in_query and "X-Amz-Signature" not in names
    return in_query and "X-Amz-Signature" not in names


def verify_v2(request: HttpRequest, *, lookup: Lookup, now: datetime) -> tuple[HttpRequest, Verified]:
    """Who signed this request, and the request without its signature; raises `Refused` in S3's words."""
    request = _with_carried(request)
    claim = _in_header(request, now=now) if request.header("authorization") else _in_query(request, now=now)
    secret = secret_of(claim.access_key_id, claim.token, lookup=lookup, now=now)
    signed = _strings_to_sign(request, claim)
    good = (sign(secret.secret_access_key, text).encode() for text in signed)
    if not any(hmac.compare_digest(signature, claim.signature.encode()) for signature in good):
        raise mismatch(claim.access_key_id, signed=signed[0], signature=claim.signature)
    verified = Verified(
        access_key_id=claim.access_key_id,
        session_token=claim.token,
        service="s3",
        region="",
        auth_type=claim.auth_type,
        signature_version=VERSION,
        signature_age_ms=0,
        payload_hash="",
    )
    return replace(request, target=_without(request.target, _PARAMETERS)), verified


def _with_carried(request: HttpRequest) -> HttpRequest:
    """The request with the headers that its query carries; those that were sent win."""
    given = {name.lower() for name, _ in request.headers}
    pairs = [(name, decoded(value)) for name, value in query_pairs(request.target) if _CARRIED.fullmatch(name)]
    if not pairs:
        return request
    added = tuple((name.lower(), value) for name, value in pairs if name.lower() not in given)
    target = _without(request.target, {name for name, _ in pairs})
    return replace(request, target=target, headers=(*request.headers, *added))


def _without(target: str, names: AbstractSet[str]) -> str:
    path, _, query = target.partition("?")
    left = "&".join(part for part in query.split("&") if part.partition("=")[0] not in names)
    return f"{path}?{left}" if left else path


def sign(secret: str, text: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()


def _in_header(request: HttpRequest, *, now: datetime) -> _Claim:
    found = _HEADER.fullmatch((request.header("authorization") or "").strip())
    if found is None:
        message = "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature"
        raise Refused("InvalidArgument", status=400, message=message)
    stated = request.header("x-amz-date")
    date = request.header("date") if stated is None else stated
    try:
        sent = parsedate_to_datetime(date or "")
    except (ValueError, OverflowError) as error:
        raise undated() from error
    if sent.year < 1970:
        raise undated()
    if abs(now - (sent.replace(tzinfo=UTC) if sent.tzinfo is None else sent)) > MAX_SKEW:
        raise skewed(date or "", now=now)
    return _Claim(
        access_key_id=found["key"],
        signature=found["signature"],
        date="" if stated is not None else date or "",
        auth_type=HEADER,
        token=request.header("x-amz-security-token"),
    )


def _in_query(request: HttpRequest, *, now: datetime) -> _Claim:
    query = {name: decoded(value) for name, value in query_pairs(request.target)}
    if not all(query.get(name) for name in ("AWSAccessKeyId", "Signature", "Expires")):
        message = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
        raise Refused("AccessDenied", status=403, message=message)
    if not re.fullmatch(r"\d{1,11}", query["Expires"], re.ASCII):
        message = f"Invalid date (should be seconds since epoch): {query['Expires']}"
        raise Refused("AccessDenied", status=403, message=message)
    if now.timestamp() > int(query["Expires"]):
        end = datetime.fromtimestamp(int(query["Expires"]), UTC)
        details = (("Expires", f"{end:%Y-%m-%dT%H:%M:%SZ}"), ("ServerTime", f"{now:%Y-%m-%dT%H:%M:%SZ}"))
        raise Refused("AccessDenied", status=403, message="Request has expired", details=details)
    return _Claim(
        access_key_id=query["AWSAccessKeyId"],
        signature=query["Signature"],
        date=query["Expires"],
        auth_type=QUERY,
        token=request.header("x-amz-security-token"),
    )


def _strings_to_sign(request: HttpRequest, claim: _Claim) -> tuple[str, ...]:
    """What is signed; of a bucket in the path also with the slash that clients add there, as botocore does."""
    path, _, query = request.target.partition("?")
    bucket = virtual_bucket(request)
    resource = f"/{bucket}{path}" if bucket else path
    paths = (resource, f"{resource}/") if resource.count("/") == 1 and len(resource) > 1 else (resource,)
    parts = [part.partition("=") for part in query.split("&")]
    signed = _subresources()
    wanted = sorted((name, sign, unquote(value)) for name, sign, value in parts if name in signed)
    named = "&".join("".join(part) for part in wanted)
    lines = (
        request.method,
        request.header("content-md5") or "",
        request.header("content-type") or "",
        claim.date,
        _amazon_headers(request),
    )
    return tuple("\n".join(lines) + f"{path}{'?' if named else ''}{named}" for path in paths)


def _amazon_headers(request: HttpRequest) -> str:
    names = {name.lower() for name, _ in request.headers if name.lower().startswith("x-amz-")}
    return "".join(f"{name}:{request.header(name)}\n" for name in sorted(names))


@cache
def _subresources() -> frozenset[str]:
    """What is signed of a query. Few sign this way any more, and botocore takes long to load."""
    from botocore.auth import HmacV1Auth

    return frozenset(HmacV1Auth.QSAOfInterest)
