"""Operations on buckets themselves, and reads of their listings and settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pytest_s3vpce.operations.rows import (
    ACL_KEYS,
    API,
    BOGUS,
    BOGUS_CONFIGURATION,
    ERRORS,
    LIST_KEYS,
    Form,
    Operation,
    Requirement,
    Resource,
    on_bucket,
)


def _read(name: str, method: str, action: str, *answers: str, default: bool = True) -> Operation:
    """A bucket-level read: changes nothing, takes only the bucket."""
    source = f"{API}{name}.html"
    return Operation(
        name=name,
        method=method,
        requires=(on_bucket(action),),
        default_of=action if default else None,
        safe=Form(documented=True, authorised=answers, source=source),
        source=source,
    )


def _listing(name: str, method: str, action: str, *, default: bool = True) -> Operation:
    """One key of a bucket's listing."""
    read = _read(name, method, action, default=default)
    form = Form(parameters={"MaxKeys": 1}, documented=True, source=read.source)
    return replace(read, safe=form, keys=LIST_KEYS)


def _by_id(name: str, method: str, action: str) -> Operation:
    """A read of one configuration of many, by an id that nobody has; the list of all stands for the action."""
    return Operation(
        name=name,
        method=method,
        requires=(on_bucket(action),),
        safe=Form(
            parameters={"Id": BOGUS_CONFIGURATION},
            documented=False,
            authorised=("404 NoSuchConfiguration",),
            source=ERRORS,
            note="reads a configuration that does not exist",
        ),
        source=f"{API}{name}.html",
    )


BUCKETS: Final = (
    Operation(
        name="ListBuckets",
        method="list_buckets",
        requires=(Requirement(action="s3:ListAllMyBuckets", resource=Resource.NONE),),
        default_of="s3:ListAllMyBuckets",
        safe=Form(documented=True, source=f"{API}ListBuckets.html"),
        source=f"{API}ListBuckets.html",
    ),
    _read("HeadBucket", "head_bucket", "s3:ListBucket", default=False),
    _read("GetBucketLocation", "get_bucket_location", "s3:GetBucketLocation"),
    _listing("ListObjectsV2", "list_objects_v2", "s3:ListBucket"),
    _listing("ListObjects", "list_objects", "s3:ListBucket", default=False),
    _listing("ListObjectVersions", "list_object_versions", "s3:ListBucketVersions"),
    Operation(
        name="CreateBucket",
        method="create_bucket",
        requires=(
            on_bucket("s3:CreateBucket"),
            *(on_bucket("s3:PutBucketAcl", when=name) for name in ACL_KEYS),
            on_bucket("s3:PutBucketObjectLockConfiguration", when="ObjectLockEnabledForBucket"),
            on_bucket("s3:PutBucketVersioning", when="ObjectLockEnabledForBucket"),
            on_bucket("s3:PutBucketOwnershipControls", when="ObjectOwnership"),
        ),
        default_of="s3:CreateBucket",
        writes=True,
        safe=Form(
            parameters={"CreateBucketConfiguration": {"LocationConstraint": f"{BOGUS}-nowhere-1"}},
            documented=False,
            authorised=("400 InvalidLocationConstraint", "400 IllegalLocationConstraintException"),
            source=ERRORS,
            note="creates the bucket, which is there, in a Region that does not exist; without the Region S3 would "
            "answer 200 in us-east-1 and reset the bucket's access list",
        ),
        keys={**ACL_KEYS, "ObjectOwnership": "s3:x-amz-object-ownership"},
        source=f"{API}CreateBucket.html",
    ),
    Operation(
        name="DeleteBucket",
        method="delete_bucket",
        requires=(on_bucket("s3:DeleteBucket"),),
        default_of="s3:DeleteBucket",
        writes=True,
        unsafe="the request takes nothing that S3 could refuse it for, and an empty bucket would be gone",
        source=f"{API}DeleteBucket.html",
    ),
)

READS: Final = (
    _read("GetBucketPolicy", "get_bucket_policy", "s3:GetBucketPolicy", "404 NoSuchBucketPolicy"),
    _read("GetBucketPolicyStatus", "get_bucket_policy_status", "s3:GetBucketPolicyStatus", "404 NoSuchBucketPolicy"),
    _read("GetBucketAcl", "get_bucket_acl", "s3:GetBucketAcl"),
    _read("GetBucketVersioning", "get_bucket_versioning", "s3:GetBucketVersioning"),
    _read("GetBucketTagging", "get_bucket_tagging", "s3:GetBucketTagging", "404 NoSuchTagSet"),
    _read("GetBucketLogging", "get_bucket_logging", "s3:GetBucketLogging"),
    _read(
        "GetBucketEncryption",
        "get_bucket_encryption",
        "s3:GetEncryptionConfiguration",
        "404 ServerSideEncryptionConfigurationNotFoundError",
    ),
    _read(
        "GetBucketOwnershipControls",
        "get_bucket_ownership_controls",
        "s3:GetBucketOwnershipControls",
        "404 OwnershipControlsNotFoundError",
    ),
    _read(
        "GetPublicAccessBlock",
        "get_public_access_block",
        "s3:GetBucketPublicAccessBlock",
        "404 NoSuchPublicAccessBlockConfiguration",
    ),
    _read(
        "GetObjectLockConfiguration",
        "get_object_lock_configuration",
        "s3:GetBucketObjectLockConfiguration",
        "404 ObjectLockConfigurationNotFoundError",
    ),
    _read(
        "GetBucketLifecycleConfiguration",
        "get_bucket_lifecycle_configuration",
        "s3:GetLifecycleConfiguration",
        "404 NoSuchLifecycleConfiguration",
    ),
    _read(
        "GetBucketReplication",
        "get_bucket_replication",
        "s3:GetReplicationConfiguration",
        "404 ReplicationConfigurationNotFoundError",
    ),
    _read("GetBucketCors", "get_bucket_cors", "s3:GetBucketCORS", "404 NoSuchCORSConfiguration"),
    _read("GetBucketWebsite", "get_bucket_website", "s3:GetBucketWebsite", "404 NoSuchWebsiteConfiguration"),
    _read("GetBucketNotificationConfiguration", "get_bucket_notification_configuration", "s3:GetBucketNotification"),
    _read("GetBucketAccelerateConfiguration", "get_bucket_accelerate_configuration", "s3:GetAccelerateConfiguration"),
    _read("GetBucketRequestPayment", "get_bucket_request_payment", "s3:GetBucketRequestPayment"),
    _read("ListBucketAnalyticsConfigurations", "list_bucket_analytics_configurations", "s3:GetAnalyticsConfiguration"),
    _by_id("GetBucketAnalyticsConfiguration", "get_bucket_analytics_configuration", "s3:GetAnalyticsConfiguration"),
    _read("ListBucketInventoryConfigurations", "list_bucket_inventory_configurations", "s3:GetInventoryConfiguration"),
    _by_id("GetBucketInventoryConfiguration", "get_bucket_inventory_configuration", "s3:GetInventoryConfiguration"),
    _read("ListBucketMetricsConfigurations", "list_bucket_metrics_configurations", "s3:GetMetricsConfiguration"),
    _by_id("GetBucketMetricsConfiguration", "get_bucket_metrics_configuration", "s3:GetMetricsConfiguration"),
    _read(
        "ListBucketIntelligentTieringConfigurations",
        "list_bucket_intelligent_tiering_configurations",
        "s3:GetIntelligentTieringConfiguration",
    ),
    _by_id(
        "GetBucketIntelligentTieringConfiguration",
        "get_bucket_intelligent_tiering_configuration",
        "s3:GetIntelligentTieringConfiguration",
    ),
)
