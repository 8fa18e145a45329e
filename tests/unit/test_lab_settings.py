"""Settings of buckets and locks of objects that tools read and write around a perimeter, each under its own action.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore import UNSIGNED

from tests.unit.labstage import Stage, allow, make_role, policy, refusal

MAIN, OTHER = "310000000111", "310000000112"
BUCKET, LOCKED, PAID = "lab-settings", "lab-settings-locked", "lab-settings-paid"
ANALYTICS = {"Id": "a", "StorageClassAnalysis": {}}
TIERING = {"Id": "t", "Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]}
TARGET = f"arn:aws:s3:::{BUCKET}"
INVENTORY = {
    "Id": "i",
    "IsEnabled": True,
    "IncludedObjectVersions": "All",
    "Schedule": {"Frequency": "Daily"},
    "Destination": {"S3BucketDestination": {"Bucket": TARGET, "Format": "CSV"}},
}
ROLE = f"arn:aws:iam::{MAIN}:role/replicates"
RULE = {"ID": "r", "Status": "Enabled", "Prefix": "", "Destination": {"Bucket": TARGET}}


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN, OTHER)
    s3 = made.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    s3.create_bucket(Bucket=LOCKED, ObjectLockEnabledForBucket=True)
    s3.put_object(Bucket=LOCKED, Key="k", Body=b"x")
    make_role(made.admin(MAIN), "replicates", trust={"Service": "s3.amazonaws.com"})
    return made


@pytest.fixture(scope="module")
def s3(stage: Stage) -> Any:
    return stage.admin(MAIN).client("s3")


@pytest.mark.parametrize(
    ("kind", "parameter", "document"),
    [
        ("analytics", "AnalyticsConfiguration", ANALYTICS),
        ("metrics", "MetricsConfiguration", {"Id": "m"}),
        ("intelligent_tiering", "IntelligentTieringConfiguration", TIERING),
        ("inventory", "InventoryConfiguration", INVENTORY),
    ],
)
def test_a_configuration_by_id_is_put_got_listed_and_deleted(
    s3: Any, kind: str, parameter: str, document: dict[str, Any]
) -> None:
    one = {"Bucket": BUCKET, "Id": document["Id"]}
    get, delete = (getattr(s3, f"{verb}_bucket_{kind}_configuration") for verb in ("get", "delete"))
    assert refusal(get, **one)[:2] == (404, "NoSuchConfiguration")
    getattr(s3, f"put_bucket_{kind}_configuration")(**one, **{parameter: document})
    assert get(**one)[parameter]["Id"] == document["Id"]
    listed = getattr(s3, f"list_bucket_{kind}_configurations")(Bucket=BUCKET)
    assert [row["Id"] for row in listed[f"{parameter}List"]] == [document["Id"]]
    delete(**one)
    assert refusal(get, **one)[:2] == (404, "NoSuchConfiguration")
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1


def test_who_pays_is_told_and_changed(s3: Any) -> None:
    assert s3.get_bucket_request_payment(Bucket=BUCKET)["Payer"] == "BucketOwner"
    s3.put_bucket_request_payment(Bucket=BUCKET, RequestPaymentConfiguration={"Payer": "Requester"})
    assert s3.get_bucket_request_payment(Bucket=BUCKET)["Payer"] == "Requester"


def test_other_accounts_say_that_they_pay(stage: Stage) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/ObjectsinRequesterPaysBuckets.html"""
    own, other = (stage.admin(account).client("s3") for account in (MAIN, OTHER))
    own.create_bucket(Bucket=PAID)
    own.put_object(Bucket=PAID, Key="k", Body=b"x")
    own.delete_public_access_block(Bucket=PAID)
    everybody = {**allow("s3:*"), "Principal": "*", "Resource": [f"arn:aws:s3:::{PAID}{end}" for end in ("", "/*")]}
    own.put_bucket_policy(Bucket=PAID, Policy=policy(everybody))
    assert other.head_object(Bucket=PAID, Key="k")["ContentLength"] == 1
    own.put_bucket_request_payment(Bucket=PAID, RequestPaymentConfiguration={"Payer": "Requester"})
    assert own.head_object(Bucket=PAID, Key="k")["ContentLength"] == 1
    for call, given in ((other.get_object, {"Key": "k"}), (other.list_objects_v2, {})):
        assert refusal(call, Bucket=PAID, **given) == (403, "AccessDenied", "Access Denied")
        assert call(Bucket=PAID, **given, RequestPayer="requester")
    assert other.get_bucket_location(Bucket=PAID)
    anyone = stage.admin(MAIN).client("s3", signature_version=UNSIGNED)
    assert refusal(anyone.get_object, Bucket=PAID, Key="k", RequestPayer="requester")[1] == "AccessDenied"


def test_a_website_and_acceleration_and_notifications(s3: Any) -> None:
    assert refusal(s3.get_bucket_website, Bucket=BUCKET)[:2] == (404, "NoSuchWebsiteConfiguration")
    s3.put_bucket_website(Bucket=BUCKET, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})
    assert s3.get_bucket_website(Bucket=BUCKET)["IndexDocument"]["Suffix"] == "index.html"
    s3.delete_bucket_website(Bucket=BUCKET)
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=BUCKET)
    s3.put_bucket_accelerate_configuration(Bucket=BUCKET, AccelerateConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_accelerate_configuration(Bucket=BUCKET)["Status"] == "Enabled"
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}})
    assert s3.get_bucket_notification_configuration(Bucket=BUCKET)


def test_replication_is_set_and_removed(s3: Any) -> None:
    assert refusal(s3.get_bucket_replication, Bucket=BUCKET)[:2] == (404, "ReplicationConfigurationNotFoundError")
    s3.put_bucket_replication(Bucket=BUCKET, ReplicationConfiguration={"Role": ROLE, "Rules": [RULE]})
    assert s3.get_bucket_replication(Bucket=BUCKET)["ReplicationConfiguration"]["Role"] == ROLE
    s3.delete_bucket_replication(Bucket=BUCKET)
    assert refusal(s3.get_bucket_replication, Bucket=BUCKET)[0] == 404


def test_a_lock_is_put_and_read(s3: Any) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    assert refusal(s3.get_object_retention, Bucket=LOCKED, Key="k")[:2] == (404, "NoSuchObjectLockConfiguration")
    s3.put_object_retention(Bucket=LOCKED, Key="k", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    found = s3.get_object_retention(Bucket=LOCKED, Key="k")["Retention"]
    assert (found["Mode"], found["RetainUntilDate"]) == ("GOVERNANCE", until)
    s3.put_object_legal_hold(Bucket=LOCKED, Key="k", LegalHold={"Status": "ON"})
    assert s3.get_object_legal_hold(Bucket=LOCKED, Key="k")["LegalHold"]["Status"] == "ON"
    assert refusal(s3.get_object_retention, Bucket=LOCKED, Key="none")[:2] == (404, "NoSuchKey")


def test_each_setting_has_an_action_of_its_own(stage: Stage) -> None:
    role = make_role(stage.admin(MAIN), "knows-little", allow("s3:ListBucket"), trust={"AWS": MAIN})
    client = stage.user(MAIN).assume(role).client("s3")
    lock = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC)}
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "s3:GetBucketWebsite": ("get_bucket_website", {}),
        "s3:DeleteBucketWebsite": ("delete_bucket_website", {}),
        "s3:PutReplicationConfiguration": ("delete_bucket_replication", {}),
        "s3:PutMetricsConfiguration": ("delete_bucket_metrics_configuration", {"Id": "m"}),
        "s3:GetAnalyticsConfiguration": ("list_bucket_analytics_configurations", {}),
        "s3:GetAccelerateConfiguration": ("get_bucket_accelerate_configuration", {}),
        "s3:PutBucketNotification": ("put_bucket_notification_configuration", {"NotificationConfiguration": {}}),
        "s3:GetObjectRetention": ("get_object_retention", {"Key": "k"}),
        "s3:PutObjectRetention": ("put_object_retention", {"Key": "k", "Retention": lock}),
        "s3:GetObjectLegalHold": ("get_object_legal_hold", {"Key": "k"}),
    }
    for action, (call, parameters) in calls.items():
        status, code, message = refusal(getattr(client, call), Bucket=BUCKET, **parameters)
        assert (status, code) == (403, "AccessDenied"), call
        assert message.endswith(f"because no identity-based policy allows the {action} action")
