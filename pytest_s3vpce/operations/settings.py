"""Operations that write a bucket's settings: probed by settings that S3 can't take, so that none is ever changed.

That S3 looks at policies before it looks at what a document says is documented nowhere: each form is inferred, and
counts once an allowed and a denied caller got different answers. Codes are those of
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.markup import S3
from pytest_s3vpce.operations.objects import ACL_REFUSED, NO_ACL
from pytest_s3vpce.operations.rows import (
    ACL_KEYS,
    API,
    BOGUS,
    BOGUS_CONFIGURATION,
    ERRORS,
    Form,
    Operation,
    Trace,
    on_bucket,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_MALFORMED: Final = "400 MalformedXML"
_NOT_BUCKET: Final = "S3VPCE_no_bucket"
"""No bucket can get this name any more, and logs go to buckets of the same account only:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
_NAMESPACE: Final = f'xmlns="{S3}"'


def _put(
    name: str,
    method: str,
    action: str,
    parameters: Mapping[str, Any],
    *answers: str,
    note: str,
    document: bytes | None = None,
    keys: Mapping[str, str] | None = None,
) -> Operation:
    return Operation(
        name=name,
        method=method,
        requires=(on_bucket(action),),
        default_of=action,
        writes=True,
        safe=Form(
            parameters=parameters, document=document, documented=False, authorised=answers, source=ERRORS, note=note
        ),
        keys=keys or {},
        source=f"{API}{name}.html",
    )


def _delete(name: str, method: str, action: str, *, default: bool = False) -> Operation:
    """The removal of a setting, which takes nothing but the bucket; S3 checks most by the action that puts it."""
    beside = "" if default else f"; {action} is probed by the operation that puts it"
    return Operation(
        name=name,
        method=method,
        requires=(on_bucket(action),),
        default_of=action if default else None,
        writes=True,
        unsafe=f"the request takes nothing that S3 could refuse it for{beside}",
        source=f"{API}{name}.html",
    )


def _delete_by_id(name: str, method: str, action: str) -> Operation:
    """The removal of one configuration of many, by an id that nobody has."""
    return Operation(
        name=name,
        method=method,
        requires=(on_bucket(action),),
        writes=True,
        safe=Form(
            parameters={"Id": BOGUS_CONFIGURATION},
            documented=False,
            authorised=("404 NoSuchConfiguration",),
            source=ERRORS,
            note="removes a configuration that does not exist",
        ),
        source=f"{API}{name}.html",
    )


_SECURITY: Final = (
    _put(
        "PutBucketPolicy",
        "put_bucket_policy",
        "s3:PutBucketPolicy",
        {"Policy": "{}"},
        "400 MalformedPolicy",
        note="a policy without statements; a caller of another account gets MethodNotAllowed",
    ),
    replace(
        _delete("DeleteBucketPolicy", "delete_bucket_policy", "s3:DeleteBucketPolicy", default=True),
        mutating=Form(
            documented=True,
            source=f"{API}DeleteBucketPolicy.html",
            note="really deletes the policy of a scratch bucket, last of all in a run, and it is put back at once",
        ),
        leaves=Trace.POLICY,
    ),
    _put(
        "PutBucketAcl",
        "put_bucket_acl",
        "s3:PutBucketAcl",
        {},
        *ACL_REFUSED,
        document=NO_ACL,
        note="an access list without owner or grants",
        keys=ACL_KEYS,
    ),
    _put(
        "PutPublicAccessBlock",
        "put_public_access_block",
        "s3:PutBucketPublicAccessBlock",
        {"PublicAccessBlockConfiguration": {}},
        _MALFORMED,
        document=f"<PublicAccessBlockConfiguration {_NAMESPACE}><BlockPublicAcls>{BOGUS}</BlockPublicAcls>"
        "</PublicAccessBlockConfiguration>".encode(),
        note="a switch that is neither true nor false",
    ),
    _delete("DeletePublicAccessBlock", "delete_public_access_block", "s3:PutBucketPublicAccessBlock"),
    _put(
        "PutBucketOwnershipControls",
        "put_bucket_ownership_controls",
        "s3:PutBucketOwnershipControls",
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": BOGUS}]}},
        _MALFORMED,
        note="an ownership that does not exist",
    ),
    _delete("DeleteBucketOwnershipControls", "delete_bucket_ownership_controls", "s3:PutBucketOwnershipControls"),
    _put(
        "PutBucketEncryption",
        "put_bucket_encryption",
        "s3:PutEncryptionConfiguration",
        {
            "ServerSideEncryptionConfiguration": {
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": BOGUS}}]
            }
        },
        _MALFORMED,
        "400 InvalidEncryptionAlgorithmError",
        note="an algorithm that does not exist",
    ),
    _delete("DeleteBucketEncryption", "delete_bucket_encryption", "s3:PutEncryptionConfiguration"),
)
_CONTENT: Final = (
    _put(
        "PutBucketVersioning",
        "put_bucket_versioning",
        "s3:PutBucketVersioning",
        {"VersioningConfiguration": {"Status": BOGUS}},
        _MALFORMED,
        "400 IllegalVersioningConfigurationException",
        note="a status that does not exist",
    ),
    _put(
        "PutObjectLockConfiguration",
        "put_object_lock_configuration",
        "s3:PutBucketObjectLockConfiguration",
        {"ObjectLockConfiguration": {"ObjectLockEnabled": BOGUS}},
        _MALFORMED,
        "409 InvalidBucketState",
        note="a word in place of Enabled",
    ),
    _put(
        "PutBucketLifecycleConfiguration",
        "put_bucket_lifecycle_configuration",
        "s3:PutLifecycleConfiguration",
        {"LifecycleConfiguration": {"Rules": [{"ID": BOGUS, "Filter": {"Prefix": BOGUS}, "Status": BOGUS}]}},
        _MALFORMED,
        "400 InvalidRequest",
        note="a rule of no action, in a status that does not exist",
    ),
    _delete("DeleteBucketLifecycle", "delete_bucket_lifecycle", "s3:PutLifecycleConfiguration"),
    _put(
        "PutBucketReplication",
        "put_bucket_replication",
        "s3:PutReplicationConfiguration",
        {
            "ReplicationConfiguration": {
                "Role": BOGUS,
                "Rules": [{"Status": BOGUS, "Destination": {"Bucket": BOGUS}}],
            }
        },
        _MALFORMED,
        "400 InvalidRequest",
        "400 InvalidArgument",
        note="a role and a destination that are no ARNs, in a status that does not exist: no role is passed",
    ),
    _delete("DeleteBucketReplication", "delete_bucket_replication", "s3:PutReplicationConfiguration"),
    _put(
        "PutBucketTagging",
        "put_bucket_tagging",
        "s3:PutBucketTagging",
        {"Tagging": {"TagSet": [{"Key": BOGUS, "Value": "1"}, {"Key": BOGUS, "Value": "2"}]}},
        "400 InvalidTag",
        _MALFORMED,
        note="one tag twice",
    ),
    _delete("DeleteBucketTagging", "delete_bucket_tagging", "s3:PutBucketTagging"),
)
_SERVICE: Final = (
    _put(
        "PutBucketLogging",
        "put_bucket_logging",
        "s3:PutBucketLogging",
        {"BucketLoggingStatus": {"LoggingEnabled": {"TargetBucket": _NOT_BUCKET, "TargetPrefix": ""}}},
        "400 InvalidTargetBucketForLogging",
        "400 InvalidArgument",
        _MALFORMED,
        note="logs to a bucket that can't exist",
    ),
    _put(
        "PutBucketNotificationConfiguration",
        "put_bucket_notification_configuration",
        "s3:PutBucketNotification",
        {
            "NotificationConfiguration": {
                "TopicConfigurations": [{"TopicArn": BOGUS, "Events": [f"s3:{BOGUS}"]}],
            }
        },
        "400 InvalidArgument",
        _MALFORMED,
        note="an event that does not exist, to a topic that is no ARN",
    ),
    _put(
        "PutBucketCors",
        "put_bucket_cors",
        "s3:PutBucketCORS",
        {"CORSConfiguration": {"CORSRules": [{"AllowedMethods": [BOGUS.upper()], "AllowedOrigins": ["*"]}]}},
        "400 InvalidRequest",
        _MALFORMED,
        note="a method that does not exist",
    ),
    _delete("DeleteBucketCors", "delete_bucket_cors", "s3:PutBucketCORS"),
    _put(
        "PutBucketWebsite",
        "put_bucket_website",
        "s3:PutBucketWebsite",
        {"WebsiteConfiguration": {"IndexDocument": {"Suffix": f"{BOGUS}/"}}},
        "400 InvalidArgument",
        _MALFORMED,
        note="an index document with a slash, which may not be",
    ),
    _delete("DeleteBucketWebsite", "delete_bucket_website", "s3:DeleteBucketWebsite", default=True),
    _put(
        "PutBucketAccelerateConfiguration",
        "put_bucket_accelerate_configuration",
        "s3:PutAccelerateConfiguration",
        {"AccelerateConfiguration": {"Status": BOGUS}},
        _MALFORMED,
        "400 InvalidRequest",
        note="a status that does not exist; buckets with dots in their names answer InvalidRequest",
    ),
    _put(
        "PutBucketRequestPayment",
        "put_bucket_request_payment",
        "s3:PutBucketRequestPayment",
        {"RequestPaymentConfiguration": {"Payer": BOGUS}},
        _MALFORMED,
        note="a payer that does not exist",
    ),
)
_ANALYSES: Final = (
    _put(
        "PutBucketAnalyticsConfiguration",
        "put_bucket_analytics_configuration",
        "s3:PutAnalyticsConfiguration",
        {
            "Id": BOGUS_CONFIGURATION,
            "AnalyticsConfiguration": {
                "Id": BOGUS_CONFIGURATION,
                "StorageClassAnalysis": {
                    "DataExport": {
                        "OutputSchemaVersion": BOGUS,
                        "Destination": {"S3BucketDestination": {"Format": BOGUS, "Bucket": BOGUS}},
                    }
                },
            },
        },
        _MALFORMED,
        "400 InvalidArgument",
        note="an export in a format that does not exist",
    ),
    _delete_by_id(
        "DeleteBucketAnalyticsConfiguration", "delete_bucket_analytics_configuration", "s3:PutAnalyticsConfiguration"
    ),
    _put(
        "PutBucketInventoryConfiguration",
        "put_bucket_inventory_configuration",
        "s3:PutInventoryConfiguration",
        {
            "Id": BOGUS_CONFIGURATION,
            "InventoryConfiguration": {
                "Id": BOGUS_CONFIGURATION,
                "IsEnabled": False,
                "Destination": {"S3BucketDestination": {"Format": BOGUS, "Bucket": BOGUS}},
                "IncludedObjectVersions": BOGUS,
                "Schedule": {"Frequency": BOGUS},
            },
        },
        _MALFORMED,
        "400 InvalidArgument",
        note="a format, a frequency and a kind of versions that do not exist",
    ),
    _delete_by_id(
        "DeleteBucketInventoryConfiguration", "delete_bucket_inventory_configuration", "s3:PutInventoryConfiguration"
    ),
    _put(
        "PutBucketMetricsConfiguration",
        "put_bucket_metrics_configuration",
        "s3:PutMetricsConfiguration",
        {"Id": BOGUS_CONFIGURATION, "MetricsConfiguration": {"Id": BOGUS_CONFIGURATION}},
        _MALFORMED,
        "400 InvalidArgument",
        document=f"<MetricsConfiguration {_NAMESPACE}/>".encode(),
        note="a configuration without an id",
    ),
    _delete_by_id(
        "DeleteBucketMetricsConfiguration", "delete_bucket_metrics_configuration", "s3:PutMetricsConfiguration"
    ),
    _put(
        "PutBucketIntelligentTieringConfiguration",
        "put_bucket_intelligent_tiering_configuration",
        "s3:PutIntelligentTieringConfiguration",
        {
            "Id": BOGUS_CONFIGURATION,
            "IntelligentTieringConfiguration": {
                "Id": BOGUS_CONFIGURATION,
                "Status": BOGUS,
                "Tierings": [{"Days": 90, "AccessTier": BOGUS}],
            },
        },
        _MALFORMED,
        "400 InvalidArgument",
        note="a tier and a status that do not exist",
    ),
    _delete_by_id(
        "DeleteBucketIntelligentTieringConfiguration",
        "delete_bucket_intelligent_tiering_configuration",
        "s3:PutIntelligentTieringConfiguration",
    ),
)

SETTINGS: Final = (*_SECURITY, *_CONTENT, *_SERVICE, *_ANALYSES)
