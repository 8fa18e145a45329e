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
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_s3vpce.lab.wire import HttpRequest

    Lookup = Callable[[str], "Secret | None"]

ALGORITHM = "AWS4-HMAC-SHA256"
HEADER = "REST-HEADER"
QUERY = "REST-QUERY-STRING"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
MAX_SKEW = timedelta(minutes=15)
MAX_EXPIRES = 604_800
_UNCHECKED_PAYLOADS = frozenset(
    {
        UNSIGNED_PAYLOAD,
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        # The signatures inside the chunks are not verified: they guard against tampering on the way.
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    }
)
_S3_SERVICES = frozenset({"s3", "s3-outposts", "s3-object-lambda", "s3express"})
_HASH = re.compile(r"[0-9a-f]{64}")
_SCOPE_DATE = re.compile(r"[0-9]{8}")
_LONG_DATE = "%Y%m%dT%H%M%SZ"
_QUERY_NAMES = ("Algorithm", "Credential", "Signature", "Date", "SignedHeaders", "Expires")


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
    """The signing region of the credential scope; whether it is the bucket's is not decided here."""
    auth_type: str
    signature_version: str = ALGORITHM
    signature_age_ms: int
    payload_hash: str


@dataclass(frozen=True, slots=True)
class Anonymous:
    """A request that carries no signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What a request says about its own signature."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    auth_type: str
    token: str | None = field(repr=False)
    expires: int | None = None

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"

    @property
    def is_s3(self) -> bool:
        return self.service in _S3_SERVICES


def verify(request: HttpRequest, *, lookup: Lookup, now: datetime) -> Verified | Anonymous:
    """Who signed this request; raises `Refused` in S3's words when the signature is not good."""
    claim = _claim(request)
    if claim is None:
        return Anonymous()
    secret = _secret(claim, lookup=lookup, now=now)
    age = _age(claim, now=now)
    payload = _payload_hash(request, claim)
    _check_signed_headers(request, claim)
    _check_signature(request, claim=claim, secret=secret, payload=payload)
    _check_payload(request, payload=payload)
    return Verified(
        access_key_id=claim.access_key_id,
        session_token=claim.token,
        service=claim.service,
        region=claim.region,
        auth_type=claim.auth_type,
        signature_age_ms=age // timedelta(milliseconds=1),
        payload_hash=payload,
    )


def _claim(request: HttpRequest) -> _Claim | None:
    authorization = request.header("authorization")
    query = dict(_pairs(request.target))
    in_query = "X-Amz-Algorithm" in query or "X-Amz-Signature" in query
    version_two = "AWSAccessKeyId" in query and "Signature" in query
    if authorization is not None and (in_query or version_two):
        raise Refused(
            "InvalidArgument",
            status=400,
            message="Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            "parameter or the Authorization header should be specified",
        )
    if version_two or (authorization is not None and authorization.startswith("AWS ")):
        raise _unsupported()
    if authorization is not None:
        return _header_claim(request, authorization)
    return _query_claim(request, query) if in_query else None


def _header_claim(request: HttpRequest, authorization: str) -> _Claim:
    algorithm, _, rest = authorization.strip().partition(" ")
    if algorithm != ALGORITHM:
        if algorithm.startswith("AWS4-"):
            raise _unsupported()
        raise Refused("InvalidArgument", status=400, message="Unsupported Authorization Type")
    parts = dict(_assignment(part) for part in rest.split(","))
    if not all(parts.get(name) for name in ("Credential", "SignedHeaders", "Signature")):
        raise _malformed(
            "the authorization header requires three components: Credential, SignedHeaders, and Signature."
        )
    access_key_id, date, region, service = _credential(parts["Credential"], refuse=_malformed)
    timestamp = request.header("x-amz-date")
    if timestamp is None:
        raise Refused(
            "AccessDenied", status=403, message="AWS authentication requires a valid Date or x-amz-date header"
        )
    return _Claim(
        access_key_id=access_key_id,
        date=date,
        region=region,
        service=service,
        signed_headers=tuple(parts["SignedHeaders"].split(";")),
        signature=parts["Signature"],
        timestamp=timestamp,
        auth_type=HEADER,
        token=request.header("x-amz-security-token"),
    )


def _query_claim(request: HttpRequest, query: dict[str, str]) -> _Claim:
    values = {name: _text(query.get(f"X-Amz-{name}", "")) for name in _QUERY_NAMES}
    if not all(values.values()):
        raise _query_error(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    if values["Algorithm"] != ALGORITHM:
        if values["Algorithm"].startswith("AWS4-ECDSA"):
            raise _unsupported()
        raise _query_error('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"')
    access_key_id, date, region, service = _credential(values["Credential"], refuse=_query_error)
    token = query.get("X-Amz-Security-Token")
    return _Claim(
        access_key_id=access_key_id,
        date=date,
        region=region,
        service=service,
        signed_headers=tuple(values["SignedHeaders"].split(";")),
        signature=values["Signature"],
        timestamp=values["Date"],
        auth_type=QUERY,
        token=request.header("x-amz-security-token") if token is None else _text(token),
        expires=_expires(values["Expires"]),
    )


def _expires(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise _query_error("X-Amz-Expires should be a number")
    seconds = int(text)
    if seconds < 0:
        raise _query_error("X-Amz-Expires must be non-negative")
    if seconds > MAX_EXPIRES:
        raise _query_error(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            f"{MAX_EXPIRES} seconds"
        )
    return seconds


def _assignment(part: str) -> tuple[str, str]:
    name, _, value = part.strip().partition("=")
    return name, value


def _credential(text: str, *, refuse: Callable[[str], Refused]) -> tuple[str, str, str, str]:
    access_key_id, *scope = text.rsplit("/", 4)
    if not access_key_id or len(scope) != 4 or scope[3] != "aws4_request" or not all(scope):
        raise refuse('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
    date, region, service, _ = scope
    if not _SCOPE_DATE.fullmatch(date):
        raise refuse(f'incorrect date format "{date}". This date in the credential must be in the format "yyyyMMdd".')
    return access_key_id, date, region, service


def _secret(claim: _Claim, *, lookup: Lookup, now: datetime) -> Secret:
    secret = lookup(claim.access_key_id)
    if secret is None or (secret.session_token is not None and claim.token is None):
        raise Refused(
            "InvalidAccessKeyId",
            status=403,
            message="The AWS Access Key Id you provided does not exist in our records.",
            details=(("AWSAccessKeyId", claim.access_key_id),),
        )
    if claim.token is not None and not hmac.compare_digest((secret.session_token or "").encode(), claim.token.encode()):
        message = "The provided token is malformed or otherwise invalid."
        raise Refused("InvalidToken", status=400, message=message)
    if secret.expires is not None and now >= secret.expires:
        raise Refused("ExpiredToken", status=400, message="The provided token has expired.")
    return secret


def _age(claim: _Claim, *, now: datetime) -> timedelta:
    """How long ago it was signed; refuses what was signed too long ago, or ahead of time."""
    try:
        signed_at = datetime.strptime(claim.timestamp, _LONG_DATE).replace(tzinfo=UTC)
    except ValueError as error:
        if claim.auth_type == QUERY:
            message = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
            raise _query_error(message) from error
        message = "AWS authentication requires a valid Date or x-amz-date header"
        raise Refused("AccessDenied", status=403, message=message) from error
    if not claim.timestamp.startswith(claim.date):
        refuse = _query_error if claim.auth_type == QUERY else _malformed
        raise refuse(
            f'Invalid credential date "{claim.date}". This date is not the same as X-Amz-Date: "{claim.timestamp[:8]}".'
        )
    age = now - signed_at
    server_time = ("ServerTime", f"{now:%Y-%m-%dT%H:%M:%SZ}")
    if claim.expires is None and abs(age) > MAX_SKEW:
        raise Refused(
            "RequestTimeTooSkewed",
            status=403,
            message="The difference between the request time and the current time is too large.",
            details=(
                ("RequestTime", claim.timestamp),
                server_time,
                ("MaxAllowedSkewMilliseconds", str(MAX_SKEW // timedelta(milliseconds=1))),
            ),
        )
    if claim.expires is not None:
        end = signed_at + timedelta(seconds=claim.expires)
        details = (("X-Amz-Expires", str(claim.expires)), ("Expires", f"{end:%Y-%m-%dT%H:%M:%SZ}"), server_time)
        if age < -MAX_SKEW:
            raise Refused("AccessDenied", status=403, message="Request is not yet valid", details=details)
        if now > end:
            raise Refused("AccessDenied", status=403, message="Request has expired", details=details)
    return max(age, timedelta())


def _payload_hash(request: HttpRequest, claim: _Claim) -> str:
    stated = request.header("x-amz-content-sha256")
    if stated is not None:
        return stated
    if claim.is_s3 and claim.auth_type == QUERY:
        return _text(dict(_pairs(request.target)).get("X-Amz-Content-Sha256", UNSIGNED_PAYLOAD))
    if claim.is_s3:
        raise Refused(
            "InvalidRequest", status=400, message="Missing required header for this request: x-amz-content-sha256"
        )
    return hashlib.sha256(request.body).hexdigest()


def _check_payload(request: HttpRequest, *, payload: str) -> None:
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


def _check_signed_headers(request: HttpRequest, claim: _Claim) -> None:
    """Host and every x-amz- header must be signed: else whoever carries the request could change them."""
    present = {name.lower() for name, _ in request.headers}
    needed = {name for name in present if name.startswith("x-amz-")} | {"host"}
    missing = needed - set(claim.signed_headers)
    if missing and claim.is_s3:
        raise Refused(
            "AccessDenied",
            status=403,
            message="There were headers present in the request which were not signed",
            details=(("HeadersNotSigned", ", ".join(sorted(missing))),),
        )


def _check_signature(request: HttpRequest, *, claim: _Claim, secret: Secret, payload: str) -> None:
    key = _signing_key(secret.secret_access_key, claim.date, claim.region, claim.service)
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
    raise Refused(
        "SignatureDoesNotMatch",
        status=403,
        message="The request signature we calculated does not match the signature you provided. Check your key and "
        "signing method.",
        details=(
            ("AWSAccessKeyId", claim.access_key_id),
            ("StringToSign", first),
            ("SignatureProvided", claim.signature),
        ),
    )


@lru_cache(maxsize=512)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _canonical_headers(request: HttpRequest, claim: _Claim) -> str:
    values: dict[str, list[str]] = {name: [] for name in claim.signed_headers}
    for name, value in request.headers:
        if (lowered := name.lower()) in values:
            values[lowered].append(" ".join(value.split()))
    return "".join(f"{name}:{','.join(values[name])}\n" for name in claim.signed_headers)


def _canonical_targets(target: str, claim: _Claim) -> Iterator[tuple[str, str]]:
    """Path and query to sign over: as sent, then encoded anew, for clients whose encoding is not the canonical one.

    S3 takes the path as it is; other services normalise it and encode it twice.
    """
    path = target.partition("?")[0]
    pairs = [pair for pair in _pairs(target) if pair[0] != "X-Amz-Signature"]
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


def _pairs(target: str) -> list[tuple[str, str]]:
    """The query's parameters, undecoded."""
    query = target.partition("?")[2]
    split = (part.partition("=") for part in query.split("&") if part)
    return [(name, value) for name, _, value in split]


def _text(value: str) -> str:
    return unquote_to_bytes(value).decode("latin-1")


def _malformed(message: str) -> Refused:
    return Refused(
        "AuthorizationHeaderMalformed", status=400, message=f"The authorization header is malformed; {message}"
    )


def _query_error(message: str) -> Refused:
    return Refused("AuthorizationQueryParametersError", status=400, message=message)


def _unsupported() -> Refused:
    """Signature Version 2 and 4A: what S3 says where Version 2 is switched off."""
    return Refused(
        "InvalidRequest",
        status=400,
        message="The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )
