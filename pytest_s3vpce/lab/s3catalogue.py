"""Operations that the lab serves besides those that are probed: settings of buckets, and locks of objects.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.operations import OPERATIONS, Operation, Requirement, Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

_API: Final = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_"
_BUCKET_READS: Final = {
    "GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "GetBucketAnalyticsConfiguration": "s3:GetAnalyticsConfiguration",
    "GetBucketIntelligentTieringConfiguration": "s3:GetIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration": "s3:GetInventoryConfiguration",
    "GetBucketMetricsConfiguration": "s3:GetMetricsConfiguration",
    "GetBucketReplication": "s3:GetReplicationConfiguration",
    "GetBucketRequestPayment": "s3:GetBucketRequestPayment",
    "GetBucketWebsite": "s3:GetBucketWebsite",
    "ListBucketAnalyticsConfigurations": "s3:GetAnalyticsConfiguration",
    "ListBucketIntelligentTieringConfigurations": "s3:GetIntelligentTieringConfiguration",
    "ListBucketInventoryConfigurations": "s3:GetInventoryConfiguration",
    "ListBucketMetricsConfigurations": "s3:GetMetricsConfiguration",
}
_BUCKET_WRITES: Final = {
    "DeleteBucketAnalyticsConfiguration": "s3:PutAnalyticsConfiguration",
    "DeleteBucketIntelligentTieringConfiguration": "s3:PutIntelligentTieringConfiguration",
    "DeleteBucketInventoryConfiguration": "s3:PutInventoryConfiguration",
    "DeleteBucketMetricsConfiguration": "s3:PutMetricsConfiguration",
    "DeleteBucketReplication": "s3:PutReplicationConfiguration",
    "DeleteBucketWebsite": "s3:DeleteBucketWebsite",
    "PutBucketAccelerateConfiguration": "s3:PutAccelerateConfiguration",
    "PutBucketAnalyticsConfiguration": "s3:PutAnalyticsConfiguration",
    "PutBucketIntelligentTieringConfiguration": "s3:PutIntelligentTieringConfiguration",
    "PutBucketInventoryConfiguration": "s3:PutInventoryConfiguration",
    "PutBucketMetricsConfiguration": "s3:PutMetricsConfiguration",
    "PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "PutBucketReplication": "s3:PutReplicationConfiguration",
    "PutBucketRequestPayment": "s3:PutBucketRequestPayment",
    "PutBucketWebsite": "s3:PutBucketWebsite",
}
_OBJECT: Final = {
    "GetObjectLegalHold": "s3:GetObjectLegalHold",
    "GetObjectRetention": "s3:GetObjectRetention",
    "PutObjectLegalHold": "s3:PutObjectLegalHold",
    "PutObjectRetention": "s3:PutObjectRetention",
}
_OLD_NAMES: Final = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}
"""Two names of one request: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotification.html"""


def _row(name: str, action: str, resource: Resource) -> Operation:
    requires = [Requirement(action=action, resource=resource)]
    if name == "PutObjectRetention":
        bypass = "s3:BypassGovernanceRetention"
        requires.append(Requirement(action=bypass, resource=resource, when="BypassGovernanceRetention"))
    return Operation(
        name=name,
        method="",
        requires=tuple(requires),
        writes=name.startswith(("Put", "Delete")),
        source=f"{_API}{name}.html",
    )


_MORE: Final[Mapping[str, Operation]] = {
    **{name: _row(name, action, Resource.BUCKET) for name, action in {**_BUCKET_READS, **_BUCKET_WRITES}.items()},
    **{name: _row(name, action, Resource.OBJECT) for name, action in _OBJECT.items()},
}


def served(name: str) -> Operation | None:
    """The row of an operation of S3's by its name; None where the lab does not serve it."""
    name = _OLD_NAMES.get(name, name)
    return OPERATIONS.get(name) or _MORE.get(name)
