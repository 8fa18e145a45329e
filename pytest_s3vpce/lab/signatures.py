"""Verify the signatures of requests as S3 does: Signature Version 4 in the header or the query.

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html; the words of the refusals:
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from pytest_s3vpce.lab.authorization import (
    ALGORITHM,
    QUERY,
    claim_of,
    decoded,
    malformed,
    query_error,
    query_pairs,
    undated,
)
from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_s3vpce.lab.authorization import Claim
    from pytest_s3vpce.lab.wire import HttpRequest

    Lookup = Callable[[str], "Secret | None"]

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
MAX_SKEW = timedelta(minutes=15)
_UNCHECKED_PAYLOADS = frozenset(
    {
        UNSIGNED_PAYLOAD,
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        # The chunks' own signatures are verified after the request's.
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    }
)
_LONG_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """What belongs to an access key; never shown."""

    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A request whose signature is good, and what its signature says."""

    access_key_id: str
    session_token: str | None = field(default=None, repr=False)
    service: str
    region: str
    """The signing region of the credential scope; not checked against the bucket's. Version 2 has none."""
    auth_type: str
    signature_version: str = ALGORITHM
    signature_age_ms: int
    payload_hash: str


@dataclass(frozen=True, slots=True)
class Anonymous:
    """A request that carries no signature."""


def verify(request: HttpRequest, *, lookup: Lookup, now: datetime) -> Verified | Anonymous:
    """Who signed this request; raises `Refused` in S3's words when the signature is not good, or not of this body."""
    found = signer_of(request, lookup=lookup, now=now)
    if isinstance(found, Verified):
        check_payload(request, payload=found.payload_hash)
    return found


def signer_of(request: HttpRequest, *, lookup: Lookup, now: datetime) -> Verified | Anonymous:
    """The same, whatever the body is."""
    claim = claim_of(request)
    if claim is None:
        return Anonymous()
    secret = secret_of(claim.access_key_id, claim.token, lookup=lookup, now=now)
    age = _age(claim, now=now)
    payload = _payload_hash(request, claim)
    _check_signed_headers(request, claim)
    _check_signature(request, claim=claim, secret=secret, payload=payload)
    return Verified(
        access_key_id=claim.access_key_id,
        session_token=claim.token,
        service=claim.service,
        region=claim.region,
        auth_type=claim.auth_type,
        signature_age_ms=age // timedelta(milliseconds=1),
        payload_hash=payload,
    )


def secret_of(access_key_id: str, token: str | None, *, lookup: Lookup, now: datetime) -> Secret:
    """The secret of a key that is known, came with its token and has not expired."""
    secret = lookup(access_key_id)
    if secret is None or (secret.session_token is not None and token is None):
        raise Refused(
            "InvalidAccessKeyId",
            status=403,
            message="The AWS Access Key Id you provided does not exist in our records.",
            details=(("AWSAccessKeyId", access_key_id),),
        )
    if token is not None and not hmac.compare_digest((secret.session_token or "").encode(), token.encode()):
        message = "The provided token is malformed or otherwise invalid."
        raise Refused("InvalidToken", status=400, message=message)
    if secret.expires is not None and now >= secret.expires:
        raise Refused("ExpiredToken", status=400, message="The provided token has expired.")
    return secret


def _age(claim: Claim, *, now: datetime) -> timedelta:
    """How long ago it was signed; refuses what was signed too long ago, or ahead of time."""
    try:
        signed_at = instant(claim.timestamp)
    except ValueError as error:
        if claim.auth_type == QUERY:
            message = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
            raise query_error(message) from error
        raise undated() from error
    if not claim.timestamp.startswith(claim.date):
        refuse = query_error if claim.auth_type == QUERY else malformed
        raise refuse(
            f'Invalid credential date "{claim.date}". This date is not the same as X-Amz-Date: "{claim.timestamp[:8]}".'
        )
    age = now - signed_at
    server_time = ("ServerTime", f"{now:%Y-%m-%dT%H:%M:%SZ}")
    if claim.expires is None and abs(age) > MAX_SKEW:
        raise skewed(claim.timestamp, now=now)
    if claim.expires is not None:
        end = signed_at + timedelta(seconds=claim.expires)
        details = (("X-Amz-Expires", str(claim.expires)), ("Expires", f"{end:%Y-%m-%dT%H:%M:%SZ}"), server_time)
        if age < -MAX_SKEW:
            raise Refused("AccessDenied", status=403, message="Request is not yet valid", details=details)
        if now > end:
            raise Refused("AccessDenied", status=403, message="Request has expired", details=details)
    return max(age, timedelta())


def secret_key(lookup: Lookup, access_key_id: str) -> str:
    """The secret of a key that signed a verified request."""
    found = lookup(access_key_id)
    return "" if found is None else found.secret_access_key


def skewed(sent: str, *, now: datetime) -> Refused:
    return Refused(
        "RequestTimeTooSkewed",
        status=403,
        message="The difference between the request time and the current time is too large.",
        details=(
            ("RequestTime", sent),
            ("ServerTime", f"{now:%Y-%m-%dT%H:%M:%SZ}"),
            ("MaxAllowedSkewMilliseconds", str(MAX_SKEW // timedelta(milliseconds=1))),
        ),
    )


def instant(timestamp: str) -> datetime:
    """A long date; ValueError where it is none."""
    if not _LONG_DATE.fullmatch(timestamp):
        raise ValueError(timestamp)
    return datetime.fromisoformat(timestamp)


def _payload_hash(request: HttpRequest, claim: Claim) -> str:
    stated = request.header("x-amz-content-sha256")
    if stated is not None:
        return stated
    if claim.is_s3 and claim.auth_type == QUERY:
        return decoded(dict(query_pairs(request.target)).get("X-Amz-Content-Sha256", UNSIGNED_PAYLOAD))
    if claim.is_s3:
        raise Refused(
            "InvalidRequest", status=400, message="Missing required header for this request: x-amz-content-sha256"
        )
    return hashlib.sha256(request.body).hexdigest()


def check_payload(request: HttpRequest, *, payload: str) -> None:
    """Refuses a body that is not what its signed digest says."""
    if payload in _UNCHECKED_PAYLOADS:
        return
    if not _HASH.fullmatch(payload):
        raise Refused(
            "InvalidArgument",
            status=400,
            message="x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid sha256 value.",
        )
    computed = hashlib.sha256(request.body).hexdigest()
    if computed != payload:
        raise Refused(
            "XAmzContentSHA256Mismatch",
            status=400,
            message="The provided 'x-amz-content-sha256' header does not match what was computed.",
            details=(("ClientComputedContentSHA256", payload), ("S3ComputedContentSHA256", computed)),
        )


def _check_signed_headers(request: HttpRequest, claim: Claim) -> None:
    """Host and every x-amz- header must be signed: else whoever carries the request could change them."""
    missing = {"host", *(name for name in request.named if name.startswith("x-amz-"))}
    missing.difference_update(claim.signed_headers)
    if missing and claim.is_s3:
        raise Refused(
            "AccessDenied",
            status=403,
            message="There were headers present in the request which were not signed",
            details=(("HeadersNotSigned", ", ".join(sorted(missing))),),
        )


def _check_signature(request: HttpRequest, *, claim: Claim, secret: Secret, payload: str) -> None:
    key = signing_key(secret.secret_access_key, claim.date, claim.region, claim.service)
    headers = _canonical_headers(request, claim)
    first = ""
    for path, query in _canonical_targets(request.target, claim):
        canonical = "\n".join((request.method, path, query, headers, ";".join(claim.signed_headers), payload))
        digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
        to_sign = f"{ALGORITHM}\n{claim.timestamp}\n{claim.scope}\n{digest}"
        first = first or to_sign
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        if hmac.compare_digest(signature.encode(), claim.signature.encode()):
            return
    raise mismatch(claim.access_key_id, signed=first, signature=claim.signature)


def mismatch(access_key_id: str, *, signed: str, signature: str) -> Refused:
    return Refused(
        "SignatureDoesNotMatch",
        status=403,
        message="The request signature we calculated does not match the signature you provided. Check your key and "
        "signing method.",
        details=(
            ("AWSAccessKeyId", access_key_id),
            ("StringToSign", signed),
            ("SignatureProvided", signature),
        ),
    )


@lru_cache(maxsize=512)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _canonical_headers(request: HttpRequest, claim: Claim) -> str:
    named = request.named
    return "".join(f"{name}:{' '.join(named.get(name, '').split())}\n" for name in claim.signed_headers)


def _canonical_targets(target: str, claim: Claim) -> Iterator[tuple[str, str]]:
    """Path and query to sign over: as sent, then encoded anew, for clients whose encoding is not the canonical one.

    S3 takes the path as it is; other services normalise it and encode it twice.
    """
    path = target.partition("?")[0]
    pairs = [pair for pair in query_pairs(target) if pair[0] != "X-Amz-Signature"]
    if not claim.is_s3:
        normal = posixpath.normpath(path)
        path = normal + "/" if path.endswith("/") and normal != "/" else normal
        path = quote(f"/{path.lstrip('/')}", safe="/~")
    yield path, _joined(pairs)
    again = [(_encoded(name, safe="-_.~"), _encoded(value, safe="-_.~")) for name, value in pairs]
    yield _encoded(path, safe="/-_.~") if claim.is_s3 else path, _joined(again)


def _joined(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: str, *, safe: str) -> str:
    return quote(unquote_to_bytes(text), safe=safe)
