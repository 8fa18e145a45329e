"""What a browser asks before it sends a request to another origin, answered by the bucket's rules; nobody signs it.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTOPTIONSobject.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3words import no_bucket
from pytest_s3vpce.lab.wire import HttpResponse

if TYPE_CHECKING:
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

_VARY: Final = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
_NOT_ALLOWED: Final = (
    "This CORS request is not allowed. This is usually because the evalution of Origin, request method / "
    "Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
)


def preflight(state: State, request: HttpRequest, bucket: str | None) -> HttpResponse:
    """The answer to OPTIONS by the first rule that fits; Refused where none does."""
    origin, method = request.header("origin"), request.header("access-control-request-method")
    if origin is None:
        raise Refused("BadRequest", status=400, message="Insufficient information. Origin request header needed.")
    if method is None:
        raise Refused("BadRequest", status=400, message="Invalid Access-Control-Request-Method: null")
    home = None if bucket is None else state.stored(bucket)
    if home is None:
        raise no_bucket(bucket or "")
    if not home.cors:
        raise _forbidden("CORS is not enabled for this bucket.")
    asked = [name.strip().lower() for name in (request.header("access-control-request-headers") or "").split(",")]
    headers = [name for name in asked if name]
    for rule in home.cors:
        if _fits(rule, origin=origin, method=method, headers=headers):
            return HttpResponse(status=200, headers=tuple(_said(rule, origin=origin, headers=headers).items()))
    raise _forbidden(_NOT_ALLOWED)


def _fits(rule: Any, *, origin: str, method: str, headers: list[str]) -> bool:
    allowed = [pattern.lower() for pattern in _texts(rule.allowed_headers)]
    return (
        method in _texts(rule.allowed_methods)
        and any(_matches(origin, pattern) for pattern in _texts(rule.allowed_origins))
        and all(any(_matches(name, pattern) for pattern in allowed) for name in headers)
    )


def _said(rule: Any, *, origin: str, headers: list[str]) -> dict[str, str]:
    everybody = "*" in _texts(rule.allowed_origins)
    found = {
        "Access-Control-Allow-Origin": "*" if everybody else origin,
        "Access-Control-Allow-Methods": ", ".join(_texts(rule.allowed_methods)),
        "Access-Control-Allow-Headers": ", ".join(headers),
        "Access-Control-Expose-Headers": ", ".join(_texts(rule.exposed_headers)),
        "Access-Control-Max-Age": str(rule.max_age_seconds or ""),
        "Access-Control-Allow-Credentials": "" if everybody else "true",
        "Vary": _VARY,
    }
    return {name: text for name, text in found.items() if text}


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(text) for text in value or ()]


def _matches(text: str, pattern: str) -> bool:
    """Only `*` is a wildcard."""
    return fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))


def _forbidden(message: str) -> Refused:
    return Refused("AccessForbidden", status=403, message=f"CORSResponse: {message}")
