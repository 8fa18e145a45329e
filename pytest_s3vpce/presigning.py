"""Presigned URLs: a request whose signature stands in its query, signed some time ago."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Keys

if TYPE_CHECKING:
    from pytest_s3vpce.model import SignedRequest
    from pytest_s3vpce.probe import Credentials

_TIMESTAMP: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presign:
    """How old a URL is when it is sent, and how long it is valid from its signing; both in seconds."""

    age: int = 0
    expires: int = 3600


class _Backdated(S3SigV4QueryAuth):
    """botocore's own signer with another clock: it asks for the time in the one place that this replaces."""

    def __init__(self, keys: Keys, *, region: str, presign: Presign) -> None:
        super().__init__(keys, "s3", region, expires=presign.expires)
        self._age = timedelta(seconds=presign.age)

    def add_auth(self, request: Any) -> None:
        signer: Any = self
        request.context["timestamp"] = (datetime.now(UTC) - self._age).strftime(_TIMESTAMP)
        signer._modify_request_before_signing(request)  # noqa: SLF001 - a subclass's own, unknown to the stubs
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        signer._inject_signature_to_request(request, signature)  # noqa: SLF001


def presigned(request: SignedRequest, credentials: Credentials, *, region: str, presign: Presign) -> SignedRequest:
    """An unsigned request as a URL that `credentials` signed, `presign.age` seconds ago.

    All headers that it carries are signed; the payload is not:
    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    """
    keys = Keys(credentials.access_key_id, credentials.secret_access_key, credentials.session_token)
    carrier: Any = AWSRequest(method=request.method, url=request.url, headers=dict(request.headers))
    _Backdated(keys, region=region, presign=presign).add_auth(carrier)
    return replace(request, url=carrier.url)
