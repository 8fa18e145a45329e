"""What stands in forms for facts of a bucket: its canary's key, body and version, and keys that are made up."""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import TargetError
from pytest_s3vpce.operations import Fill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.probe import Destination

_CUSTOMER_KEY_BYTES: Final = 32
"""AES-256: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html"""


def filled(value: Any, destination: Destination) -> Any:
    """A parameter of a form with what it stands for, however deep."""
    if isinstance(value, Fill):
        return _FILLS[value](destination)
    if isinstance(value, dict):
        return {name: filled(row, destination) for name, row in value.items()}
    if isinstance(value, list):
        return [filled(row, destination) for row in value]
    return value


def _canary_body(destination: Destination) -> bytes:
    if destination.canary_body is None:
        raise TargetError(f"the canary of bucket `{destination.bucket}` was not read, so nothing is written to it")
    return destination.canary_body


def _canary_digest(destination: Destination) -> str:
    digest = hashlib.md5(_canary_body(destination), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def _canary_version(destination: Destination) -> str:
    if destination.canary_version is None:
        raise TargetError(f"the canary of bucket `{destination.bucket}` was not read, so its version is not known")
    return destination.canary_version


_FILLS: Final[Mapping[Fill, Callable[[Destination], Any]]] = {
    Fill.CANARY_BODY: _canary_body,
    Fill.CANARY_DIGEST: _canary_digest,
    Fill.CANARY_KEY: lambda destination: destination.key,
    Fill.CANARY_VERSION: _canary_version,
    Fill.ABSENT_KEY: lambda destination: destination.absent_key,
    Fill.RUN_KEY: lambda destination: destination.run_key,
    Fill.COPY_SOURCE: lambda destination: {"Bucket": destination.bucket, "Key": destination.key},
    Fill.CUSTOMER_KEY: lambda _: secrets.token_bytes(_CUSTOMER_KEY_BYTES),
    Fill.TOMORROW: lambda _: datetime.now(UTC).replace(microsecond=0) + timedelta(days=1),
}
