"""What a request says about its own signature: the Authorization header or the X-Amz- query parameters.

The words of the refusals are S3's: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.lab.wire import HttpRequest

ALGORITHM = "AWS4-HMAC-SHA256"
HEADER = "REST-HEADER"
QUERY = "REST-QUERY-STRING"
MAX_EXPIRES = 604_800
_S3_SERVICES = frozenset({"s3", "s3-outposts", "s3-object-lambda", "s3express"})
_SCOPE_DATE = re.compile(r"[0-9]{8}")
_QUERY_NAMES = ("Algorithm", "Credential", "Signature", "Date", "SignedHeaders", "Expires")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
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
        """S3 signs the path as it is, and the payload's hash in a header."""
        return self.service in _S3_SERVICES


def claim_of(request: HttpRequest) -> Claim | None:
    authorization = request.header("authorization") or None  # an empty one says nothing
    query = dict(query_pairs(request.target))
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
        raise unsupported()
    if authorization is not None:
        return _headerclaim_of(request, authorization)
    return _queryclaim_of(request, query) if in_query else None


def _headerclaim_of(request: HttpRequest, authorization: str) -> Claim:
    algorithm, _, rest = authorization.strip().partition(" ")
    if algorithm != ALGORITHM:
        if algorithm.startswith("AWS4-"):
            raise unsupported()
        raise Refused("InvalidArgument", status=400, message="Unsupported Authorization Type")
    parts = dict(_assignment(part) for part in rest.split(","))
    if not all(parts.get(name) for name in ("Credential", "SignedHeaders", "Signature")):
        raise malformed("the authorization header requires three components: Credential, SignedHeaders, and Signature.")
    access_key_id, date, region, service = credential_of(parts["Credential"], refuse=malformed)
    return Claim(
        access_key_id=access_key_id,
        date=date,
        region=region,
        service=service,
        signed_headers=tuple(parts["SignedHeaders"].split(";")),
        signature=parts["Signature"],
        timestamp=_timestamp(request),
        auth_type=HEADER,
        token=request.header("x-amz-security-token"),
    )


def _queryclaim_of(request: HttpRequest, query: dict[str, str]) -> Claim:
    values = {name: decoded(query.get(f"X-Amz-{name}", "")) for name in _QUERY_NAMES}
    if not all(values.values()):
        raise query_error(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    if values["Algorithm"] != ALGORITHM:
        if values["Algorithm"].startswith("AWS4-ECDSA"):
            raise unsupported()
        raise query_error('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"')
    access_key_id, date, region, service = credential_of(values["Credential"], refuse=query_error)
    token = query.get("X-Amz-Security-Token")
    return Claim(
        access_key_id=access_key_id,
        date=date,
        region=region,
        service=service,
        signed_headers=tuple(values["SignedHeaders"].split(";")),
        signature=values["Signature"],
        timestamp=values["Date"],
        auth_type=QUERY,
        token=request.header("x-amz-security-token") if token is None else decoded(token),
        expires=_expires(values["Expires"]),
    )


def _timestamp(request: HttpRequest) -> str:
    """The long date of X-Amz-Date, or of a Date header in its place."""
    stated = request.header("x-amz-date")
    if stated is not None:
        return stated
    try:
        date = parsedate_to_datetime(request.header("date") or "")
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)  # -0000 is read as no zone
    except (ValueError, OverflowError) as error:
        raise undated() from error
    return f"{date:%Y%m%dT%H%M%SZ}"


def _expires(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise query_error("X-Amz-Expires should be a number")
    seconds = int(text)
    if seconds < 0:
        raise query_error("X-Amz-Expires must be non-negative")
    if seconds > MAX_EXPIRES:
        raise query_error(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            f"{MAX_EXPIRES} seconds"
        )
    return seconds


def _assignment(part: str) -> tuple[str, str]:
    name, _, value = part.strip().partition("=")
    return name, value


def credential_of(text: str, *, refuse: Callable[[str], Refused]) -> tuple[str, str, str, str]:
    """Access key, date, Region and service of a credential scope."""
    access_key_id, *scope = text.rsplit("/", 4)
    if not access_key_id or len(scope) != 4 or scope[3] != "aws4_request" or not all(scope):
        raise refuse('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
    date, region, service, _ = scope
    if not _SCOPE_DATE.fullmatch(date):
        raise refuse(f'incorrect date format "{date}". This date in the credential must be in the format "yyyyMMdd".')
    return access_key_id, date, region, service


@lru_cache(maxsize=64)
def query_pairs(target: str) -> tuple[tuple[str, str], ...]:
    """The query's parameters, undecoded. A request is asked for them several times."""
    query = target.partition("?")[2]
    split = (part.partition("=") for part in query.split("&") if part)
    return tuple((name, value) for name, _, value in split)


def decoded(value: str) -> str:
    return unquote_to_bytes(value).decode("latin-1")


def undated() -> Refused:
    message = "AWS authentication requires a valid Date or x-amz-date header"
    return Refused("AccessDenied", status=403, message=message)


def malformed(message: str) -> Refused:
    return Refused(
        "AuthorizationHeaderMalformed", status=400, message=f"The authorization header is malformed; {message}"
    )


def query_error(message: str) -> Refused:
    return Refused("AuthorizationQueryParametersError", status=400, message=message)


def unsupported() -> Refused:
    """Signature Version 4A, and Version 2 where it is switched off."""
    return Refused(
        "InvalidRequest",
        status=400,
        message="The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )
