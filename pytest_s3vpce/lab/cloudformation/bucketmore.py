"""More that is configured on buckets: acceleration, website, notifications and replication.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.cloudformation.shapes import NUMBER, TAGS, TEXT, Fields, Listed, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_STATUS: Final = Fields({"Status": TEXT}, ("Status",))


def _put_acceleration(s3: Any, bucket: str, given: Any) -> None:
    _accelerate(s3, bucket, given["AccelerationStatus"])


def _stop_acceleration(s3: Any, bucket: str) -> None:
    _accelerate(s3, bucket, "Suspended")


def _accelerate(s3: Any, bucket: str, status: str) -> None:
    s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": status})


# --- website ---------------------------------------------------------------------------------------------------------

_WEBSITE: Final = Fields(
    {
        **texts(("IndexDocument", "ErrorDocument")),
        "RedirectAllRequestsTo": Fields(texts(("HostName", "Protocol")), ("HostName",)),
        "RoutingRules": Listed(
            Fields(
                {
                    "RedirectRule": Fields(
                        texts(("HostName", "HttpRedirectCode", "Protocol", "ReplaceKeyPrefixWith", "ReplaceKeyWith"))
                    ),
                    "RoutingRuleCondition": Fields(texts(("HttpErrorCodeReturnedEquals", "KeyPrefixEquals"))),
                },
                ("RedirectRule",),
            )
        ),
    }
)


def _put_website(s3: Any, bucket: str, given: Any) -> None:
    parts = {"IndexDocument": "Suffix", "ErrorDocument": "Key"}
    made = {name: {parts[name]: value} if name in parts else value for name, value in given.items()}
    names = {"RedirectRule": "Redirect", "RoutingRuleCondition": "Condition"}
    if "RoutingRules" in given:
        made["RoutingRules"] = [{names[name]: value for name, value in row.items()} for row in given["RoutingRules"]]
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=made)


def _drop_website(s3: Any, bucket: str) -> None:
    s3.delete_bucket_website(Bucket=bucket)


# --- notifications ---------------------------------------------------------------------------------------------------

_NOTIFIED: Final = {
    "LambdaConfigurations": ("Function", "LambdaFunctionConfigurations", "LambdaFunctionArn"),
    "QueueConfigurations": ("Queue", "QueueConfigurations", "QueueArn"),
    "TopicConfigurations": ("Topic", "TopicConfigurations", "TopicArn"),
}
"""Of each list: what names the target in a template, and how list and target are called by S3."""
_FILTER: Final = Fields(
    {"S3Key": Fields({"Rules": Listed(Fields(texts(("Name", "Value")), ("Name", "Value")))}, ("Rules",))}, ("S3Key",)
)
_NOTIFICATION: Final = Fields(
    {
        name: Listed(Fields({"Event": TEXT, target: TEXT, "Filter": _FILTER}, ("Event", target)))
        for name, (target, _, _) in _NOTIFIED.items()
    }
)


def _put_notification(s3: Any, bucket: str, given: Any) -> None:
    made = {
        rows: [_notified(row, target=target, arn=arn) for row in given[name]]
        for name, (target, rows, arn) in _NOTIFIED.items()
        if name in given
    }
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=made)


def _notified(row: Mapping[str, Any], *, target: str, arn: str) -> dict[str, Any]:
    made: dict[str, Any] = {arn: row[target], "Events": [row["Event"]]}
    if "Filter" in row:
        made["Filter"] = {"Key": {"FilterRules": row["Filter"]["S3Key"]["Rules"]}}
    return made


def _drop_notification(s3: Any, bucket: str) -> None:
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})


# --- replication -----------------------------------------------------------------------------------------------------

_TIME: Final = Fields({"Minutes": NUMBER})
_DESTINATION: Final = Fields(
    {
        **texts(("Bucket", "Account", "StorageClass")),
        "AccessControlTranslation": Fields({"Owner": TEXT}, ("Owner",)),
        "EncryptionConfiguration": Fields({"ReplicaKmsKeyID": TEXT}, ("ReplicaKmsKeyID",)),
        "Metrics": Fields({"Status": TEXT, "EventThreshold": _TIME}, ("Status",)),
        "ReplicationTime": Fields({"Status": TEXT, "Time": _TIME}, ("Status", "Time")),
    },
    ("Bucket",),
)
_REPLICATION: Final = Fields(
    {
        "Role": TEXT,
        "Rules": Listed(
            Fields(
                {
                    **texts(("Id", "Prefix", "Status")),
                    "Priority": NUMBER,
                    "DeleteMarkerReplication": Fields({"Status": TEXT}),
                    "Destination": _DESTINATION,
                    "Filter": Fields(
                        {
                            "Prefix": TEXT,
                            "TagFilter": Fields(texts(("Key", "Value")), ("Key", "Value")),
                            "And": Fields({"Prefix": TEXT, "TagFilters": TAGS}),
                        }
                    ),
                    "SourceSelectionCriteria": Fields(
                        {"ReplicaModifications": _STATUS, "SseKmsEncryptedObjects": _STATUS}
                    ),
                },
                ("Status", "Destination"),
            )
        ),
    },
    ("Role", "Rules"),
)


def _put_replication(s3: Any, bucket: str, given: Any) -> None:
    rules = [_replicated(row) for row in given["Rules"]]
    s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration={"Role": given["Role"], "Rules": rules})


def _replicated(row: Mapping[str, Any]) -> dict[str, Any]:
    made = {{"Id": "ID"}.get(name, name): value for name, value in row.items()}
    if "Filter" in row:
        found = dict(row["Filter"])
        if "TagFilter" in found:
            found["Tag"] = found.pop("TagFilter")
        if "And" in found:
            found["And"] = {{"TagFilters": "Tags"}.get(name, name): value for name, value in found["And"].items()}
        made["Filter"] = found
    return made


def _drop_replication(s3: Any, bucket: str) -> None:
    s3.delete_bucket_replication(Bucket=bucket)


MORE: Final[Mapping[str, tuple[Any, Callable[[Any, str, Any], None], Callable[[Any, str], None]]]] = {
    "AccelerateConfiguration": (
        Fields({"AccelerationStatus": TEXT}, ("AccelerationStatus",)),
        _put_acceleration,
        _stop_acceleration,
    ),
    "WebsiteConfiguration": (_WEBSITE, _put_website, _drop_website),
    "NotificationConfiguration": (_NOTIFICATION, _put_notification, _drop_notification),
    "ReplicationConfiguration": (_REPLICATION, _put_replication, _drop_replication),
}
"""As `buckets` has them: shape, call that sets it and call that takes it away."""
