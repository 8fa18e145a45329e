"""Lifecycle rules of buckets: templates name their parts otherwise than S3's API does.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-s3-bucket-rule.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.cloudformation.shapes import FLAG, NUMBER, TAGS, TEXT, Fields, Listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TRANSITION: Final = Fields({"StorageClass": TEXT, "TransitionInDays": NUMBER}, ("StorageClass", "TransitionInDays"))
LIFECYCLE: Final = Fields(
    {
        "Rules": Listed(
            Fields(
                {
                    "Id": TEXT,
                    "Status": TEXT,
                    "Prefix": TEXT,
                    "TagFilters": TAGS,
                    "ExpirationInDays": NUMBER,
                    "ExpiredObjectDeleteMarker": FLAG,
                    "NoncurrentVersionExpirationInDays": NUMBER,
                    "NoncurrentVersionExpiration": Fields(
                        {"NoncurrentDays": NUMBER, "NewerNoncurrentVersions": NUMBER}
                    ),
                    "AbortIncompleteMultipartUpload": Fields({"DaysAfterInitiation": NUMBER}),
                    "Transitions": Listed(_TRANSITION),
                    "NoncurrentVersionTransitions": Listed(_TRANSITION),
                },
                ("Status",),
            )
        )
    },
    ("Rules",),
)


def lifecycle_rules(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rules as PutBucketLifecycleConfiguration wants them."""
    return [_rule(row) for row in rows]


def _rule(row: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"Status": row["Status"], "Filter": _filter(row)}
    if "Id" in row:
        made["ID"] = row["Id"]
    expiration = {
        name: row[given]
        for given, name in (("ExpirationInDays", "Days"), ("ExpiredObjectDeleteMarker", "ExpiredObjectDeleteMarker"))
        if given in row
    }
    if expiration:
        made["Expiration"] = expiration
    if "NoncurrentVersionExpirationInDays" in row:
        made["NoncurrentVersionExpiration"] = {"NoncurrentDays": row["NoncurrentVersionExpirationInDays"]}
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        made |= {name: row[name]} if name in row else {}
    for name, days in (("Transitions", "Days"), ("NoncurrentVersionTransitions", "NoncurrentDays")):
        if name in row:
            made[name] = [{days: each["TransitionInDays"], "StorageClass": each["StorageClass"]} for each in row[name]]
    return made


def _filter(row: Mapping[str, Any]) -> dict[str, Any]:
    prefix, tags = row.get("Prefix"), row.get("TagFilters", [])
    if not tags:
        return {"Prefix": prefix or ""}
    if prefix is None and len(tags) == 1:
        return {"Tag": tags[0]}
    return {"And": {**({"Prefix": prefix} if prefix is not None else {}), "Tags": tags}}
