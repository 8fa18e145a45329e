"""Configurations of which a bucket has several, each under an id: inventory, metrics, analytics, tiering.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.cloudformation.shapes import FLAG, NUMBER, TAGS, TEXT, TEXTS, Fields, Listed, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.lab.cloudformation.shapes import Shape

_DESTINATION: Final = Fields(texts(("BucketArn", "BucketAccountId", "Format", "Prefix")), ("BucketArn", "Format"))
_FILTERED: Final[Mapping[str, Shape]] = {"Id": TEXT, "Prefix": TEXT, "TagFilters": TAGS}


def _filter(row: Mapping[str, Any], *more: str) -> dict[str, Any]:
    """What the API calls a filter: one condition by itself, several in an `And`."""
    given = {name: row[name] for name in ("Prefix", *more) if name in row}
    tags = row.get("TagFilters", [])
    if len(given) + len(tags) > 1:
        return {"Filter": {"And": {**given, **({"Tags": tags} if tags else {})}}}
    if tags:
        return {"Filter": {"Tag": tags[0]}}
    return {"Filter": given} if given else {}


def _exported(given: Mapping[str, Any]) -> dict[str, Any]:
    names = {"BucketArn": "Bucket", "BucketAccountId": "AccountId"}
    return {"S3BucketDestination": {names.get(name, name): value for name, value in given.items()}}


def _inventory(row: Mapping[str, Any]) -> dict[str, Any]:
    made = {
        "Destination": _exported(row["Destination"]),
        "IsEnabled": row["Enabled"],
        "IncludedObjectVersions": row["IncludedObjectVersions"],
        "Schedule": {"Frequency": row["ScheduleFrequency"]},
    }
    if "Prefix" in row:
        made["Filter"] = {"Prefix": row["Prefix"]}
    return made | ({"OptionalFields": row["OptionalFields"]} if "OptionalFields" in row else {})


def _metrics(row: Mapping[str, Any]) -> dict[str, Any]:
    return _filter(row, "AccessPointArn")


def _analytics(row: Mapping[str, Any]) -> dict[str, Any]:
    analysis = row["StorageClassAnalysis"]
    export = analysis.get("DataExport")
    made = {} if export is None else {"DataExport": {**export, "Destination": _exported(export["Destination"])}}
    return {**_filter(row), "StorageClassAnalysis": made}


def _tiering(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**_filter(row), "Status": row["Status"], "Tierings": row["Tierings"]}


_KINDS: Final[Mapping[str, tuple[str, Fields, Callable[[Mapping[str, Any]], dict[str, Any]]]]] = {
    "InventoryConfigurations": (
        "inventory",
        Fields(
            {
                **texts(("Id", "IncludedObjectVersions", "ScheduleFrequency", "Prefix")),
                "Enabled": FLAG,
                "OptionalFields": TEXTS,
                "Destination": _DESTINATION,
            },
            ("Id", "Enabled", "IncludedObjectVersions", "ScheduleFrequency", "Destination"),
        ),
        _inventory,
    ),
    "MetricsConfigurations": ("metrics", Fields({**_FILTERED, "AccessPointArn": TEXT}, ("Id",)), _metrics),
    "AnalyticsConfigurations": (
        "analytics",
        Fields(
            {
                **_FILTERED,
                "StorageClassAnalysis": Fields(
                    {"DataExport": Fields({"Destination": _DESTINATION, "OutputSchemaVersion": TEXT}, ("Destination",))}
                ),
            },
            ("Id", "StorageClassAnalysis"),
        ),
        _analytics,
    ),
    "IntelligentTieringConfigurations": (
        "intelligent_tiering",
        Fields(
            {
                **_FILTERED,
                "Status": TEXT,
                "Tierings": Listed(Fields({"AccessTier": TEXT, "Days": NUMBER}, ("AccessTier", "Days"))),
            },
            ("Id", "Status", "Tierings"),
        ),
        _tiering,
    ),
}
"""As templates call them: how S3's calls are named, the shape of one, and how the API wants it."""


def _put(name: str, s3: Any, bucket: str, given: Any) -> None:
    kind, _, wanted = _KINDS[name]
    _drop(name, s3, bucket)
    parameter = "".join(part.capitalize() for part in kind.split("_")) + "Configuration"
    for row in given:
        settings = {parameter: {"Id": row["Id"], **wanted(row)}}
        getattr(s3, f"put_bucket_{kind}_configuration")(Bucket=bucket, Id=row["Id"], **settings)


def _drop(name: str, s3: Any, bucket: str) -> None:
    kind = _KINDS[name][0]
    parameter = "".join(part.capitalize() for part in kind.split("_")) + "ConfigurationList"
    for row in getattr(s3, f"list_bucket_{kind}_configurations")(Bucket=bucket).get(parameter, ()):
        getattr(s3, f"delete_bucket_{kind}_configuration")(Bucket=bucket, Id=row["Id"])


LISTS: Final[Mapping[str, tuple[Any, Callable[[Any, str, Any], None], Callable[[Any, str], None]]]] = {
    name: (Listed(row[1]), partial(_put, name), partial(_drop, name)) for name, row in _KINDS.items()
}
"""As `buckets` has them: shape, call that sets it and call that takes it away."""
