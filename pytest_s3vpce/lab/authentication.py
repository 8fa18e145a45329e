"""Who sent a request, whichever way S3 lets it be signed: header, query, or a form's policy document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.lab.chunks import check_chunks
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.signatures import Verified, check_payload, signer_of
from pytest_s3vpce.lab.signaturev2 import is_v2, verify_v2

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pytest_s3vpce.lab.signatures import Anonymous, Lookup
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse

_MISMATCH: Final = "XAmzContentSHA256Mismatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentic:
    """A request as it counts, without what only its signature needed."""

    request: HttpRequest
    verified: Verified | Anonymous
    answered: Callable[[HttpResponse], HttpResponse] | None = None
    """Makes the answer that a form gets of the answer to what it asked for."""
    wrong: Refused | None = None
    """What is wrong with the body of a request to S3, by its signed digest: told before or after policies are asked."""


def authenticate(request: HttpRequest, *, lookup: Lookup, now: datetime) -> Authentic:
    """Raises `Refused` in S3's words where the signature is not good."""
    if request.method == "POST" and "multipart/form-data" in (request.header("content-type") or "").lower():
        from pytest_s3vpce.lab.s3post import is_form, take

        if is_form(request):
            write, signer, answered = take(request, lookup=lookup, now=now)
            return Authentic(request=write, verified=signer, answered=answered)
    if is_v2(request):
        plain, verified = verify_v2(request, lookup=lookup, now=now)
        return Authentic(request=plain, verified=verified)
    found = signer_of(request, lookup=lookup, now=now)
    check_chunks(request, found, lookup=lookup)
    return Authentic(request=request, verified=found, wrong=_wrong(request, found))


def _wrong(request: HttpRequest, found: Verified | Anonymous) -> Refused | None:
    if not isinstance(found, Verified):
        return None
    try:
        check_payload(request, payload=found.payload_hash)
    except Refused as refused:
        if found.service != "s3" or refused.code != _MISMATCH:
            raise
        return refused
    return None
