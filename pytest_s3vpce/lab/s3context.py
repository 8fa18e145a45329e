"""The condition keys that S3 sets for a request: from its path, its transport, its signature and its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from pytest_s3vpce.lab.signatures import Verified
from pytest_s3vpce.operations import context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.signatures import Anonymous
    from pytest_s3vpce.lab.wire import HttpRequest
    from pytest_s3vpce.network.path import Path

_TAGGED: Final = frozenset({"PutObject", "CopyObject", "CreateMultipartUpload"})


def request_keys(request: HttpRequest, path: Path, *, region: str, now: datetime) -> dict[str, str]:
    """The keys of any service's request.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    keys = {
        **path.context(),
        "aws:SecureTransport": "true" if request.scheme == "https" else "false",
        "aws:ViaAWSService": "false",
        "aws:RequestedRegion": region,
        "aws:CurrentTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:EpochTime": str(int(now.timestamp())),
    }
    for key, header in (("aws:UserAgent", "user-agent"), ("aws:Referer", "referer")):
        value = request.header(header)
        if value is not None:
            keys[key] = value
    return keys


def s3_keys(request: HttpRequest, asked: S3Request, verified: Verified | Anonymous) -> dict[str, Any]:
    """S3's own keys.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html and
    https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html
    """
    assert asked.row is not None
    keys: dict[str, Any] = dict(context(asked.row, asked.parameters))
    if request.tls is not None:
        keys["s3:TlsVersion"] = request.tls.removeprefix("TLSv")
    if isinstance(verified, Verified):
        keys["s3:authType"] = verified.auth_type
        keys["s3:signatureversion"] = verified.signature_version
        keys["s3:signatureAge"] = str(verified.signature_age_ms)
    payload = request.header("x-amz-content-sha256")
    if payload is not None:
        keys["s3:x-amz-content-sha256"] = payload
    return keys | _tags(asked.row.name, asked.parameters)


def _tags(operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Tags that a write carries in its header."""
    if operation not in _TAGGED or "Tagging" not in parameters:
        return {}
    tags = dict(parse_qsl(parameters["Tagging"], keep_blank_values=True))
    keys: dict[str, Any] = {f"s3:RequestObjectTag/{name}": value for name, value in tags.items()}
    return keys | {"s3:RequestObjectTagKeys": tuple(tags)}
