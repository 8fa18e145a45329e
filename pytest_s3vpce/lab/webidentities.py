"""Tokens of identity providers, as AssumeRoleWithWebIdentity takes them: what they say, and whether a role trusts it.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html. The lab reaches no provider, so
it can't check by whom a token is signed: it believes that, and checks everything else.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.wire import HttpRequest

OPERATION: Final = "AssumeRoleWithWebIdentity"
_TAGS: Final = "https://aws.amazon.com/tags"
_PARTS: Final = 3
_LOOKED_AT: Final = 4096
_HOST: Final = re.compile(r"sts\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a token is about, and who says so."""

    provider: str
    """The ARN of the provider in IAM."""
    subject: str
    audience: str
    keys: Mapping[str, Any]
    """The condition keys of the token's claims."""

    @property
    def brought(self) -> tuple[tuple[str, str], ...]:
        """The condition keys that the session goes on to carry."""
        texts = ((name, value) for name, value in self.keys.items() if isinstance(value, str))
        return (("aws:FederatedProvider", self.provider), *texts)


def is_asked(request: HttpRequest) -> bool:
    """Whether a request is one with a web identity: nobody signs those."""
    text = request.body[:_LOOKED_AT] if request.method == "POST" else request.target.partition("?")[2].encode()
    return f"Action={OPERATION}".encode() in text.split(b"&")


def region_of(request: HttpRequest) -> str:
    """Where STS is asked: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_enable-regions.html"""
    found = _HOST.fullmatch(request.host.partition(":")[0])
    return found["region"] if found else "us-east-1"


def identity_in(token: str, backends: Any, *, account: str, partition: str, now: datetime) -> Identity:
    """The identity of a token that the account knows the provider of; Refused in STS's words."""
    claims = _claims(token)
    issuer = str(claims["iss"]).partition("://")[2].rstrip("/")
    provider = f"arn:{partition}:iam::{account}:oidc-provider/{issuer}"
    found = backends[account][partition].open_id_providers.get(provider) if account in backends else None
    if found is None:
        raise _invalid(f"No OpenIDConnect provider found in your account for {claims['iss']}")
    _check_time(claims, now)
    given = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
    audience = str(claims.get("azp") or given[0])
    if not {audience, *map(str, given)} & set(found.client_id_list):
        raise _invalid("Incorrect token audience")
    if _TAGS in claims:
        raise Refused("NotImplemented", status=501, message="The lab takes no session tags of a web identity's token.")
    named = {name: claims[name] for name in ("sub", "amr", "email") if name in claims}
    keys = {f"{issuer}:{name}": _value(value) for name, value in (*named.items(), ("aud", audience))}
    return Identity(provider=provider, subject=str(claims["sub"]), audience=audience, keys=keys)


def trust_of(document: str, provider: str) -> str:
    """What a role's trust policy says of identities of this provider, as a policy that names everybody."""
    rows = json.loads(document)["Statement"]
    kept = []
    for row in [rows] if isinstance(rows, dict) else rows:
        named = row.get("Principal")
        if named == "*" or provider in _texts(named.get("Federated", ()) if isinstance(named, dict) else ()):
            kept.append({**row, "Principal": "*"})
    return json.dumps({"Version": "2012-10-17", "Statement": kept})


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _value(value: Any) -> str | tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else str(value)


def _claims(token: str) -> dict[str, Any]:
    parts = token.split(".")
    try:
        body = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(body)) if len(parts) == _PARTS else None
    except (ValueError, IndexError):
        claims = None
    if not isinstance(claims, dict):
        raise _invalid("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
    for name in ("iss", "sub", "aud", "exp"):
        if not claims.get(name):
            raise _invalid(f"Missing a required claim: {name}")
    return claims


def _check_time(claims: Mapping[str, Any], now: datetime) -> None:
    try:
        end = datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise _invalid("Missing a required claim: exp") from error
    if end <= now:
        times = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (now, end)]
        what = f"Token expired: current date/time {times[0]} must be before the expiration date/time {times[1]}"
        raise Refused("ExpiredTokenException", status=400, message=what)


def _invalid(message: str) -> Refused:
    return Refused("InvalidIdentityToken", status=400, message=message)
