"""Resources that record: trails of CloudTrail, and log groups.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_CloudTrail.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.cloudformation.making import Made, ResourceType, gone, tagged
from pytest_s3vpce.lab.cloudformation.shapes import FLAG, NUMBER, TEXT, TEXTS, Fields, Listed, texts

if TYPE_CHECKING:
    from pytest_s3vpce.lab.cloudformation.making import Work

# --- log groups ------------------------------------------------------------------------------------------------------


def _make_group(work: Work) -> Made:
    name, home = work.name("LogGroupName", most=512), work.home
    work.client("logs").create_log_group(logGroupName=name, **({"tags": work.tags} if work.tags else {}))
    return Made(
        physical=name,
        attributes={"Arn": f"arn:{home.partition}:logs:{home.region}:{home.account}:log-group:{name}:*"},
    )


def _apply_group(work: Work, made: Made) -> None:
    logs = work.client("logs")
    if work.dropped("RetentionInDays"):
        logs.delete_retention_policy(logGroupName=made.physical)
    elif "RetentionInDays" in work.properties and work.changed("RetentionInDays"):
        logs.put_retention_policy(logGroupName=made.physical, retentionInDays=work.properties["RetentionInDays"])


def _remove_group(work: Work, made: Made) -> None:
    gone(work.client("logs").delete_log_group, "ResourceNotFoundException", logGroupName=made.physical)


# --- trails ----------------------------------------------------------------------------------------------------------

_SETTINGS: Final = {
    "S3BucketName": "S3BucketName",
    "S3KeyPrefix": "S3KeyPrefix",
    "CloudWatchLogsLogGroupArn": "CloudWatchLogsLogGroupArn",
    "CloudWatchLogsRoleArn": "CloudWatchLogsRoleArn",
    "KMSKeyId": "KmsKeyId",
    "IncludeGlobalServiceEvents": "IncludeGlobalServiceEvents",
    "IsMultiRegionTrail": "IsMultiRegionTrail",
    "IsOrganizationTrail": "IsOrganizationTrail",
    "EnableLogFileValidation": "EnableLogFileValidation",
}
"""As templates call them, and the API."""
_COMPARED: Final = ("Equals", "StartsWith", "EndsWith", "NotEquals", "NotStartsWith", "NotEndsWith")
_BASIC: Final = Fields(
    {
        "ReadWriteType": TEXT,
        "IncludeManagementEvents": FLAG,
        "ExcludeManagementEventSources": TEXTS,
        "DataResources": Listed(Fields({"Type": TEXT, "Values": TEXTS}, ("Type",))),
    }
)
_ADVANCED: Final = Fields(
    {
        "Name": TEXT,
        "FieldSelectors": Listed(Fields({"Field": TEXT, **dict.fromkeys(_COMPARED, TEXTS)}, ("Field",))),
    },
    ("FieldSelectors",),
)


def _make_trail(work: Work) -> Made:
    name, home = work.name("TrailName", most=128), work.home
    work.client("cloudtrail").create_trail(Name=name, **_settings(work), TagsList=work.tag_rows)
    arn = f"arn:{home.partition}:cloudtrail:{home.region}:{home.account}:trail/{name}"
    return Made(physical=name, attributes={"Arn": arn})


def _settings(work: Work) -> dict[str, Any]:
    return {_SETTINGS[name]: value for name, value in work.given(*_SETTINGS).items()}


def _apply_trail(work: Work, made: Made) -> None:
    trail = work.client("cloudtrail")
    if work.previous is not None and work.changed(*_SETTINGS):
        unset = {"S3KeyPrefix": ""} if work.dropped("S3KeyPrefix") else {}
        trail.update_trail(Name=made.physical, **unset, **_settings(work))
    for name in ("EventSelectors", "AdvancedEventSelectors"):
        if name in work.properties and work.changed(name):
            trail.put_event_selectors(TrailName=made.physical, **work.given(name))
    if work.changed("IsLogging"):
        (trail.start_logging if work.properties["IsLogging"] else trail.stop_logging)(Name=made.physical)


def _remove_trail(work: Work, made: Made) -> None:
    gone(work.client("cloudtrail").delete_trail, "TrailNotFoundException", Name=made.physical)


TYPES: Final = (
    ResourceType(
        name="AWS::Logs::LogGroup",
        properties=tagged({"LogGroupName": TEXT, "RetentionInDays": NUMBER}),
        attributes=frozenset({"Arn"}),
        make=_make_group,
        apply=_apply_group,
        remove=_remove_group,
        mutable=frozenset({"RetentionInDays"}),
        named_by="LogGroupName",
    ),
    ResourceType(
        name="AWS::CloudTrail::Trail",
        properties=tagged(
            {
                **texts(
                    (
                        "TrailName",
                        "S3BucketName",
                        "S3KeyPrefix",
                        "CloudWatchLogsLogGroupArn",
                        "CloudWatchLogsRoleArn",
                        "KMSKeyId",
                    )
                ),
                **dict.fromkeys(
                    (
                        "IsLogging",
                        "IncludeGlobalServiceEvents",
                        "IsMultiRegionTrail",
                        "IsOrganizationTrail",
                        "EnableLogFileValidation",
                    ),
                    FLAG,
                ),
                "EventSelectors": Listed(_BASIC),
                "AdvancedEventSelectors": Listed(_ADVANCED),
            }
        ),
        required=("IsLogging", "S3BucketName"),
        attributes=frozenset({"Arn"}),
        make=_make_trail,
        apply=_apply_trail,
        remove=_remove_trail,
        mutable=frozenset({*_SETTINGS, "IsLogging", "EventSelectors", "AdvancedEventSelectors"}),
        named_by="TrailName",
    ),
)
