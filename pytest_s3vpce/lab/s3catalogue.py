"""Which row of the catalogue an operation of S3's is, by the name that its request has in botocore's model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.operations import OPERATIONS

if TYPE_CHECKING:
    from pytest_s3vpce.operations import Operation

_OLD_NAMES: Final = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}
"""Two names of one request: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotification.html"""


def served(name: str) -> Operation | None:
    """The row of an operation of S3's by its name; None where the lab does not serve it."""
    return OPERATIONS.get(_OLD_NAMES.get(name, name))
