"""Signatures of a body that is sent in chunks: each one signs its own bytes and the signature before it.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.lab.authorization import ALGORITHM, claim_of
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.signatures import Verified, mismatch, secret_key, signing_key

if TYPE_CHECKING:
    from pytest_s3vpce.lab.authorization import Claim
    from pytest_s3vpce.lab.signatures import Anonymous, Lookup
    from pytest_s3vpce.lab.wire import HttpRequest

SIGNED: Final = frozenset({"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"})
_CHUNK: Final = re.compile(rb"(?P<size>[0-9A-Fa-f]{1,8});chunk-signature=(?P<signature>[0-9a-f]{64})\r\n")
_TRAILER_SIGNATURE: Final = "x-amz-trailer-signature"
_EMPTY: Final = hashlib.sha256(b"").hexdigest()


def check_chunks(request: HttpRequest, verified: Verified | Anonymous, *, lookup: Lookup) -> None:
    """Refuses a body whose chunks were not signed by the key that signed the request."""
    if not isinstance(verified, Verified) or verified.payload_hash not in SIGNED:
        return
    claim = claim_of(request)
    assert claim is not None
    key = signing_key(secret_key(lookup, claim.access_key_id), claim.date, claim.region, claim.service)
    previous, at = claim.signature, 0
    while True:
        chunk = _CHUNK.match(request.body, at)
        if chunk is None:
            raise _incomplete()
        start, size = chunk.end(), int(chunk["size"], 16)
        data = request.body[start : start + size]
        text = _text("PAYLOAD", claim, previous, f"{_EMPTY}\n{hashlib.sha256(data).hexdigest()}")
        previous = _checked(key, text, given=chunk["signature"].decode(), claim=claim)
        if size == 0:
            break
        at = start + size + 2
    if verified.payload_hash.endswith("-TRAILER"):
        _check_trailer(request.body[start:].decode("latin-1"), key=key, claim=claim, previous=previous)


def _check_trailer(text: str, *, key: bytes, claim: Claim, previous: str) -> None:
    lines = [line.partition(":") for line in text.split("\r\n") if ":" in line]
    fields = [(name.strip().lower(), value.strip()) for name, _, value in lines]
    given = dict(fields).get(_TRAILER_SIGNATURE, "")
    signed = "".join(f"{name}:{value}\n" for name, value in fields if name != _TRAILER_SIGNATURE)
    digest = hashlib.sha256(signed.encode("latin-1")).hexdigest()
    _checked(key, _text("TRAILER", claim, previous, digest), given=given, claim=claim)


def _text(kind: str, claim: Claim, previous: str, rest: str) -> str:
    return f"{ALGORITHM}-{kind}\n{claim.timestamp}\n{claim.scope}\n{previous}\n{rest}"


def _checked(key: bytes, text: str, *, given: str, claim: Claim) -> str:
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature.encode(), given.encode("latin-1")):
        raise mismatch(claim.access_key_id, signed=text, signature=given)
    return signature


def _incomplete() -> Refused:
    return Refused("IncompleteBody", status=400, message="The request body terminated unexpectedly")
