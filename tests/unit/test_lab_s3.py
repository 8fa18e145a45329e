"""S3 behind the gateway: what is answered to those who may, and in which order the others are refused."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3deletes import read
from pytest_s3vpce.lab.wire import HttpResponse
from pytest_s3vpce.operations import BOGUS_VERSION_ID
from tests.unit.labstage import INTERNET, REGION, Person, Stage, allow, answered, deny, make_role, policy, refusal

MAIN, PARTNER = "320000000001", "320000000002"
USER = f"arn:aws:iam::{MAIN}:user/s3vpce-runner"
ADMIN = f"arn:aws:iam::{MAIN}:role/s3vpce-runner"
PARTNER_ADMIN = f"arn:aws:iam::{PARTNER}:role/s3vpce-runner"
BUCKET = "lab-s3"
OBJECTS = f"arn:aws:s3:::{BUCKET}/*"
EVERYTHING = [f"arn:aws:s3:::{BUCKET}", OBJECTS]
GONE = "00000000-0000-4000-8000-000000000000"
"""A version id that may have been given out."""
WRONG_MD5 = base64.b64encode(b"0" * 16).decode()


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN, PARTNER)
    made.admin(MAIN).client("s3").create_bucket(Bucket=BUCKET)
    return made


@pytest.fixture(scope="module")
def reader(stage: Stage) -> Any:
    role = make_role(stage.admin(MAIN), "reader", allow("s3:GetObject"), trust={"AWS": USER})
    return stage.user(MAIN).assume(role).client("s3")


@pytest.fixture
def s3(stage: Stage) -> Any:
    """The administrator's client, and the bucket as it was."""
    client = stage.admin(MAIN).client("s3")
    client.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    stage.root(MAIN).client("s3").delete_bucket_policy(Bucket=BUCKET)
    return client


def names(s3: Any) -> set[str]:
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


# --- allowed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["a//b", "/lead", "x/../y", "a b+c%25", "ü/ñ", "q?x=1", "k#h", "dir/", "a\\b", "a&b=c", "%2F", "~!*'()"]
)
def test_keys_are_what_they_are(s3: Any, key: str) -> None:
    s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == key.encode()
    s3.copy_object(Bucket=BUCKET, Key="copied", CopySource={"Bucket": BUCKET, "Key": key})
    assert s3.get_object(Bucket=BUCKET, Key="copied")["Body"].read() == key.encode()
    deleted = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key}]})
    assert [entry["Key"] for entry in deleted["Deleted"]] == [key]
    assert key not in names(s3)


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:1"])
def test_a_write_arrives_over_https_and_over_http(stage: Stage, s3: Any, url: str | None) -> None:
    client = stage.admin(MAIN).client("s3", url=url)
    answer = client.put_object(Bucket=BUCKET, Key="k", Body=b"chunked or not", ContentEncoding="zip")
    stored = client.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
    assert (stored["ContentEncoding"], stored["ChecksumCRC32"]) == ("zip", answer["ChecksumCRC32"])
    assert client.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"chunked or not"
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-server-side-encryption"] == "AES256"
    assert {"x-amz-request-id", "x-amz-id-2"} <= headers.keys()
    assert not {"content-type", "x-amzn-requestid", "access-control-allow-origin"} & headers.keys()
    note = stage.notes[-3]
    assert (note["operation"], note["bucket"], note["key"], note["status"]) == ("PutObject", BUCKET, "k", 200)
    assert (note["path"], note["endpoint"], note["decision"]) == ("internet", None, "allow")
    assert note["caller"] == f"arn:aws:sts::{MAIN}:assumed-role/s3vpce-runner/test"


def test_an_upload_in_parts(s3: Any) -> None:
    target = {"Bucket": BUCKET, "Key": "parts"}
    upload = {**target, "UploadId": s3.create_multipart_upload(**target)["UploadId"]}
    one = s3.upload_part(**upload, PartNumber=1, Body=b"a" * 10)
    assert len(s3.list_parts(**upload)["Parts"]) == 1
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"ETag": one["ETag"], "PartNumber": 1}]})
    assert s3.head_object(**target)["ContentLength"] == 10


def test_a_bucket_is_made_in_the_callers_account_and_its_name_is_taken(stage: Stage) -> None:
    ours, theirs = stage.admin(MAIN).client("s3"), stage.admin(PARTNER).client("s3")
    ours.create_bucket(Bucket="lab-s3-taken", ObjectOwnership="ObjectWriter")
    owner = ours.get_bucket_ownership_controls(Bucket="lab-s3-taken")["OwnershipControls"]
    assert owner == {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    assert ours.get_public_access_block(Bucket="lab-s3-taken")["PublicAccessBlockConfiguration"]["BlockPublicPolicy"]
    assert refusal(theirs.create_bucket, Bucket="lab-s3-taken")[:2] == (409, "BucketAlreadyExists")
    assert "lab-s3-taken" in [bucket["Name"] for bucket in ours.list_buckets()["Buckets"]]
    assert "lab-s3-taken" not in [bucket["Name"] for bucket in theirs.list_buckets()["Buckets"]]
    ours.delete_bucket(Bucket="lab-s3-taken")
    assert refusal(ours.head_bucket, Bucket="lab-s3-taken")[0] == 404


# --- refused ---------------------------------------------------------------------------------------------------------


def test_a_denial_says_why_within_the_account(reader: Any, s3: Any) -> None:
    status, code, message = refusal(reader.put_object, Bucket=BUCKET, Key="k", Body=b"")
    assert (status, code) == (403, "AccessDenied")
    assert message == (
        f"User: arn:aws:sts::{MAIN}:assumed-role/reader/test is not authorized to perform: s3:PutObject on resource: "
        f'"arn:aws:s3:::{BUCKET}/k" because no identity-based policy allows the s3:PutObject action'
    )
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(deny("s3:GetObject", OBJECTS, Principal={"AWS": ADMIN})))
    _, _, message = refusal(s3.get_object, Bucket=BUCKET, Key="k")
    assert message.endswith(f'on resource: "arn:aws:s3:::{BUCKET}/k" with an explicit deny in a resource-based policy')


def test_a_denial_says_nothing_to_other_accounts_and_to_nobody(stage: Stage, s3: Any) -> None:
    from botocore import UNSIGNED

    partner = stage.admin(PARTNER).client("s3")
    assert refusal(partner.get_object, Bucket=BUCKET, Key="k") == (403, "AccessDenied", "Access Denied")
    nobody = stage.admin(MAIN).client("s3", signature_version=UNSIGNED)
    assert refusal(nobody.get_object, Bucket=BUCKET, Key="k") == (403, "AccessDenied", "Access Denied")
    assert refusal(nobody.list_buckets) == (403, "AccessDenied", "Access Denied")
    assert stage.notes[-1]["caller"] == "anonymous"


def test_an_errors_document_carries_the_ids_of_its_headers(stage: Stage, reader: Any, s3: Any) -> None:
    for call, parameters in ((reader.put_object, {"Body": b""}), (s3.get_object_tagging, {"VersionId": "none"})):
        with pytest.raises(reader.exceptions.ClientError) as caught:
            call(Bucket=BUCKET, Key="k", **parameters)
        found = caught.value.response["ResponseMetadata"]
        assert found["RequestId"] == found["HTTPHeaders"]["x-amz-request-id"]
        assert found["HostId"] == found["HTTPHeaders"]["x-amz-id-2"]


def test_head_gives_a_status_alone_and_the_buckets_region(reader: Any, s3: Any) -> None:
    for client, status in ((s3, 200), (reader, 403)):
        if status == 200:
            found = client.head_bucket(Bucket=BUCKET)
        else:
            with pytest.raises(client.exceptions.ClientError) as caught:
                client.head_bucket(Bucket=BUCKET)
            found = caught.value.response
        assert found["ResponseMetadata"]["HTTPStatusCode"] == status
        assert found["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == REGION
    assert refusal(reader.head_object, Bucket=BUCKET, Key="absent")[:2] == (403, "403")
    assert refusal(s3.head_object, Bucket=BUCKET, Key="absent")[:2] == (404, "404")


def test_that_a_key_is_absent_is_told_to_those_who_may_list(reader: Any, s3: Any) -> None:
    assert refusal(s3.get_object, Bucket=BUCKET, Key="absent")[:2] == (404, "NoSuchKey")
    status, _, message = refusal(reader.get_object, Bucket=BUCKET, Key="absent")
    assert status == 403
    assert f's3:ListBucket on resource: "arn:aws:s3:::{BUCKET}"' in message
    s3.put_bucket_policy(
        Bucket=BUCKET, Policy=policy(allow("s3:PutObject", OBJECTS, Principal={"AWS": f"arn:aws:iam::{MAIN}:root"}))
    )
    copy = {"Bucket": BUCKET, "Key": "to", "CopySource": f"{BUCKET}/absent"}
    assert refusal(s3.copy_object, **copy)[:2] == (404, "NoSuchKey")


def test_a_copy_of_what_is_absent_needs_the_right_to_list_too(stage: Stage, s3: Any) -> None:
    role = make_role(stage.admin(MAIN), "copier", allow(["s3:GetObject", "s3:PutObject"]), trust={"AWS": USER})
    copier = stage.user(MAIN).assume(role).client("s3")
    assert copier.copy_object(Bucket=BUCKET, Key="to", CopySource=f"{BUCKET}/k")
    assert refusal(copier.copy_object, Bucket=BUCKET, Key="to", CopySource=f"{BUCKET}/absent")[0] == 403
    assert refusal(copier.copy_object, Bucket=BUCKET, Key="to", CopySource="no-such-lab-bucket/k")[:2] == (
        404,
        "NoSuchBucket",
    )


def test_an_unknown_bucket_is_unknown_to_everybody(reader: Any) -> None:
    assert refusal(reader.get_object, Bucket="no-such-lab-bucket", Key="k")[:2] == (404, "NoSuchBucket")


FORMS: list[tuple[str, dict[str, Any], int, str]] = [
    ("put_object", {"Body": b"x", "IfNoneMatch": "*"}, 412, "PreconditionFailed"),
    ("put_object", {"Body": b"x", "IfMatch": '"bogus"'}, 412, "PreconditionFailed"),
    ("put_object", {"Body": b"x", "ContentMD5": WRONG_MD5}, 400, "BadDigest"),
    ("put_object", {"Body": b"x", "ContentMD5": "no base64!"}, 400, "InvalidDigest"),
    ("put_object", {"Body": b"x", "ChecksumCRC32": "AAAAAA=="}, 400, "BadDigest"),
    ("put_object", {"Body": b"x", "ChecksumSHA1": base64.b64encode(b"0" * 20).decode()}, 400, "BadDigest"),
    ("put_object", {"Body": b"x", "ChecksumSHA256": base64.b64encode(b"0" * 32).decode()}, 400, "BadDigest"),
    ("put_object", {"Body": b"x", "ACL": "public-read"}, 400, "AccessControlListNotSupported"),
    ("put_object_acl", {"ACL": "private"}, 400, "AccessControlListNotSupported"),
    (
        "put_object_acl",
        {"AccessControlPolicy": {"Grants": [], "Owner": {"ID": "0" * 64}}},
        400,
        "AccessControlListNotSupported",
    ),
    ("delete_object", {"IfMatch": '"bogus"'}, 412, "PreconditionFailed"),
    ("get_object", {"IfMatch": '"bogus"'}, 412, "PreconditionFailed"),
    ("upload_part", {"UploadId": "bogus", "PartNumber": 1, "Body": b""}, 404, "NoSuchUpload"),
    ("list_parts", {"UploadId": "bogus"}, 404, "NoSuchUpload"),
    ("abort_multipart_upload", {"UploadId": "bogus"}, 404, "NoSuchUpload"),
    (
        "complete_multipart_upload",
        {"UploadId": "bogus", "MultipartUpload": {"Parts": [{"ETag": "x", "PartNumber": 1}]}},
        404,
        "NoSuchUpload",
    ),
    ("copy_object", {"CopySource": f"{BUCKET}/k", "CopySourceIfMatch": '"bogus"'}, 412, "PreconditionFailed"),
    ("copy_object", {"CopySource": f"{BUCKET}/k", "IfNoneMatch": "*"}, 412, "PreconditionFailed"),
    ("copy_object", {"CopySource": f"{BUCKET}/k"}, 400, "InvalidRequest"),
]


@pytest.mark.parametrize(("operation", "parameters", "answer"), [(*form[:2], form[2:]) for form in FORMS])
def test_the_safe_forms_of_writes_change_nothing(
    s3: Any, reader: Any, operation: str, parameters: dict[str, Any], answer: tuple[int, str]
) -> None:
    before = s3.head_object(Bucket=BUCKET, Key="k")
    assert refusal(getattr(s3, operation), Bucket=BUCKET, Key="k", **parameters)[:2] == answer
    after = s3.head_object(Bucket=BUCKET, Key="k")
    assert (after["ETag"], after["LastModified"]) == (before["ETag"], before["LastModified"])
    if operation != "get_object":
        # Who may not write learns no more than that.
        assert refusal(getattr(reader, operation), Bucket=BUCKET, Key="k", **parameters)[:2] == (403, "AccessDenied")


def test_conditions_that_hold_and_changes_that_are_made(s3: Any) -> None:
    etag = s3.head_object(Bucket=BUCKET, Key="k")["ETag"]
    source = f"{BUCKET}/k"
    s3.copy_object(Bucket=BUCKET, Key="k", CopySource=source, MetadataDirective="REPLACE", Metadata={"a": "b"})
    s3.copy_object(Bucket=BUCKET, Key="k", CopySource=source, ServerSideEncryption="AES256")
    s3.copy_object(Bucket=BUCKET, Key="if", CopySource=source, CopySourceIfMatch=etag)
    none = refusal(s3.copy_object, Bucket=BUCKET, Key="if", CopySource=source, CopySourceIfNoneMatch=etag)
    assert none[:2] == (412, "PreconditionFailed")
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x", ACL="bucket-owner-full-control")
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"]
    part = {"Bucket": BUCKET, "Key": "k", "UploadId": upload, "PartNumber": 1, "CopySource": source}
    assert s3.upload_part_copy(**part)["CopyPartResult"]["ETag"] == etag
    assert refusal(s3.upload_part_copy, **part, CopySourceIfMatch='"no"')[:2] == (412, "PreconditionFailed")
    s3.abort_multipart_upload(Bucket=BUCKET, Key="k", UploadId=upload)


def test_acls_are_taken_where_they_are_on(stage: Stage) -> None:
    s3 = stage.admin(MAIN).client("s3")
    s3.create_bucket(Bucket="lab-s3-acls", ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket="lab-s3-acls")
    s3.put_object(Bucket="lab-s3-acls", Key="k", Body=b"", ACL="public-read")
    assert len(s3.get_object_acl(Bucket="lab-s3-acls", Key="k")["Grants"]) == 2


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("get_object", {"Key": "k"}),
        ("put_object", {"Key": "k", "Body": b""}),
        ("list_objects_v2", {}),
        ("delete_objects", {"Delete": {"Objects": [{"Key": "k"}]}}),
        ("head_bucket", {}),
    ],
)
def test_another_expected_owner_is_refused(s3: Any, operation: str, parameters: dict[str, Any]) -> None:
    wrong = refusal(getattr(s3, operation), Bucket=BUCKET, ExpectedBucketOwner=PARTNER, **parameters)
    assert wrong[0] == 403
    assert "k" in names(s3)
    getattr(s3, operation)(Bucket=BUCKET, ExpectedBucketOwner=MAIN, **parameters)


def test_a_lock_is_changed_on_a_bucket_that_holds_objects(stage: Stage) -> None:
    s3 = stage.admin(MAIN).client("s3")
    s3.create_bucket(Bucket="locked-bucket", ObjectLockEnabledForBucket=True)
    s3.put_object(Bucket="locked-bucket", Key="k")
    for rule in ({"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}}, None):
        wanted = {"ObjectLockEnabled": "Enabled", **({"Rule": rule} if rule else {})}
        s3.put_object_lock_configuration(Bucket="locked-bucket", ObjectLockConfiguration=wanted)
        found = s3.get_object_lock_configuration(Bucket="locked-bucket")["ObjectLockConfiguration"]
        assert found["ObjectLockEnabled"] == "Enabled"
        assert found.get("Rule", {}).get("DefaultRetention", {}).get("Days") == (2 if rule else None)


def test_another_expected_owner_of_a_copys_source_is_refused(s3: Any) -> None:
    copy = {"Bucket": BUCKET, "Key": "to", "CopySource": f"{BUCKET}/k"}
    assert refusal(s3.copy_object, **copy, ExpectedSourceBucketOwner=PARTNER)[:2] == (403, "AccessDenied")
    assert s3.copy_object(**copy, ExpectedSourceBucketOwner=MAIN)


# --- DeleteObjects ---------------------------------------------------------------------------------------------------


def test_each_key_is_deleted_or_refused_on_its_own(s3: Any, reader: Any) -> None:
    for key in ("mine", "yours", "other"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    grant = allow(
        "s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/mine", Principal={"AWS": f"arn:aws:iam::{MAIN}:role/reader"}
    )
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(grant))
    found = reader.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "mine"}, {"Key": "yours"}]})
    assert [entry["Key"] for entry in found["Deleted"]] == ["mine"]
    assert [(entry["Key"], entry["Code"]) for entry in found["Errors"]] == [("yours", "AccessDenied")]
    assert "is not authorized to perform: s3:DeleteObject" in found["Errors"][0]["Message"]
    assert {"yours", "other"} <= names(s3)
    none = reader.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "yours"}, {"Key": "other"}]})
    assert ("Deleted" in none, len(none["Errors"])) == (False, 2)
    quiet = s3.delete_objects(Bucket=BUCKET, Delete={"Quiet": True, "Objects": [{"Key": "yours"}, {"Key": "other"}]})
    assert not {"Deleted", "Errors"} & quiet.keys()
    assert not {"yours", "other"} & names(s3)


def test_a_key_is_deleted_only_if_its_condition_holds(s3: Any) -> None:
    etag = s3.head_object(Bucket=BUCKET, Key="k")["ETag"]
    for wanted in ('"bogus"', "bogus"):
        found = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "k", "ETag": wanted}]})
        assert [(entry["Key"], entry["Code"]) for entry in found["Errors"]] == [("k", "PreconditionFailed")]
    assert "k" in names(s3)
    absent = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "absent", "ETag": "*"}]})
    assert [entry["Code"] for entry in absent["Errors"]] == ["PreconditionFailed"]
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "k", "ETag": etag}]})
    assert "k" not in names(s3)


def test_a_version_that_is_not_there_is_deleted_without_the_object(stage: Stage) -> None:
    s3 = stage.admin(MAIN).client("s3")
    name = {"Bucket": "lab-s3-unversioned"}
    s3.create_bucket(**name)
    s3.put_object(**name, Key="k", Body=b"x")
    entry = {"Key": "k", "VersionId": GONE}
    s3.delete_object(**name, **entry)
    made_up = {"Key": "k", "VersionId": BOGUS_VERSION_ID}
    assert refusal(s3.delete_object, **name, **made_up)[:2] == (400, "InvalidArgument")
    told = s3.delete_objects(**name, Delete={"Objects": [made_up]})["Errors"]
    assert [row["Code"] for row in told] == ["NoSuchVersion"]
    assert s3.delete_objects(**name, Delete={"Objects": [entry]})["Deleted"] == [entry]
    assert "Deleted" not in s3.delete_objects(**name, Delete={"Objects": [entry], "Quiet": True})
    assert s3.get_object(**name, Key="k")["Body"].read() == b"x"
    s3.delete_object(**name, Key="k", VersionId="null")
    assert refusal(s3.get_object, **name, Key="k")[:2] == (404, "NoSuchKey")


def test_a_version_is_deleted_by_its_own_action(stage: Stage, s3: Any) -> None:
    s3.create_bucket(Bucket="lab-s3-versions")
    s3.put_bucket_versioning(Bucket="lab-s3-versions", VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket="lab-s3-versions", Key="k", Body=b"")["VersionId"]
    role = make_role(stage.admin(MAIN), "deleter", allow("s3:DeleteObject"), trust={"AWS": USER})
    deleter = stage.user(MAIN).assume(role).client("s3")
    one = {"Objects": [{"Key": "k", "VersionId": version}]}
    found = deleter.delete_objects(Bucket="lab-s3-versions", Delete=one)
    assert [(entry["VersionId"], entry["Code"]) for entry in found["Errors"]] == [(version, "AccessDenied")]
    assert "s3:DeleteObjectVersion" in found["Errors"][0]["Message"]
    assert s3.delete_objects(Bucket="lab-s3-versions", Delete=one)["Deleted"][0]["VersionId"] == version


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Delete>",
        b"<Delete></Delete>",
        b"<Delete><Object><Key></Key></Object></Delete>",
        b"<Other><Object><Key>k</Key></Object></Other>",
        b'<!DOCTYPE d [<!ENTITY e "k">]><Delete><Object><Key>&e;</Key></Object></Delete>',
        b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>",
    ],
)
def test_a_list_that_is_none_is_malformed(body: bytes) -> None:
    with pytest.raises(Refused, match="MalformedXML"):
        read(body)


# --- the bucket's policy ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "hello", "{}", '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]}'])
def test_a_policy_that_is_none_is_not_stored(s3: Any, text: str) -> None:
    assert refusal(s3.put_bucket_policy, Bucket=BUCKET, Policy=text)[:2] == (400, "MalformedPolicy")
    assert refusal(s3.get_bucket_policy, Bucket=BUCKET)[:2] == (404, "NoSuchBucketPolicy")


@pytest.mark.parametrize("kind", ["user", "role"])
def test_a_policy_names_only_who_is_there(stage: Stage, s3: Any, kind: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html"""
    for account, missing in ((MAIN, True), (PARTNER, True), ("999988887777", False)):
        for effect in (allow, deny):
            arn = f"arn:aws:iam::{account}:{kind}/nobody"
            text = policy(effect("s3:GetObjectTagging", OBJECTS, Principal={"AWS": arn}))
            if missing:
                found = refusal(s3.put_bucket_policy, Bucket=BUCKET, Policy=text)
                assert found == (400, "MalformedPolicy", "Invalid principal in policy")
            else:
                s3.put_bucket_policy(Bucket=BUCKET, Policy=text)
    s3.delete_bucket_policy(Bucket=BUCKET)


def test_the_owners_root_repairs_a_policy_that_locks_everybody_out(stage: Stage, s3: Any) -> None:
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(deny("s3:*", EVERYTHING, Principal="*")))
    assert refusal(s3.delete_bucket_policy, Bucket=BUCKET)[:2] == (403, "AccessDenied")
    root = stage.root(MAIN).client("s3")
    assert refusal(root.get_object, Bucket=BUCKET, Key="k")[:2] == (403, "AccessDenied")
    assert json.loads(root.get_bucket_policy(Bucket=BUCKET)["Policy"])
    assert refusal(stage.root(PARTNER).client("s3").get_bucket_policy, Bucket=BUCKET)[0] == 403
    root.delete_bucket_policy(Bucket=BUCKET)
    assert s3.get_object(Bucket=BUCKET, Key="k")


def test_another_accounts_principal_gets_what_it_is_granted_and_never_the_policy(stage: Stage, s3: Any) -> None:
    partner = stage.admin(PARTNER).client("s3")
    grant = allow(["s3:GetObject", "s3:PutBucketPolicy"], EVERYTHING, Principal={"AWS": PARTNER_ADMIN})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(grant))
    assert partner.get_object(Bucket=BUCKET, Key="k")
    assert refusal(partner.put_object, Bucket=BUCKET, Key="k", Body=b"") == (403, "AccessDenied", "Access Denied")
    assert refusal(partner.put_bucket_policy, Bucket=BUCKET, Policy="{}")[:2] == (405, "MethodNotAllowed")
    assert refusal(partner.get_bucket_policy, Bucket=BUCKET)[:2] == (403, "AccessDenied")


def test_a_public_policy_lets_nobody_in_while_public_buckets_are_restricted(stage: Stage, s3: Any) -> None:
    from botocore import UNSIGNED

    nobody = stage.admin(MAIN).client("s3", signature_version=UNSIGNED)
    block = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    s3.delete_public_access_block(Bucket=BUCKET)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(allow("s3:GetObject", OBJECTS, Principal="*")))
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=block)
    assert refusal(nobody.get_object, Bucket=BUCKET, Key="k")[:2] == (403, "AccessDenied")
    assert s3.get_object(Bucket=BUCKET, Key="k")
    s3.delete_public_access_block(Bucket=BUCKET)
    assert nobody.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"x"


def test_a_stored_policy_that_can_not_be_read_is_an_internal_error(stage: Stage, s3: Any) -> None:
    bucket = stage.state.backends("s3")[MAIN]["aws"].buckets[BUCKET]
    bucket.policy = b"{"
    try:
        assert refusal(s3.get_object, Bucket=BUCKET, Key="k")[:2] == (500, "InternalError")
    finally:
        bucket.policy = None


# --- Regions, and requests that are none of the catalogue's ----------------------------------------------------------


def test_another_region_is_pointed_out(stage: Stage, s3: Any) -> None:
    west = stage.admin(MAIN).client("s3", region="eu-west-1")
    where = {"LocationConstraint": "eu-west-1"}
    west.create_bucket(Bucket="lab-s3-west", CreateBucketConfiguration=where)
    assert west.put_object(Bucket="lab-s3-west", Key="k", Body=b"")
    assert s3.get_bucket_location(Bucket="lab-s3-west")["LocationConstraint"] == "eu-west-1"

    by_host = asked(stage.admin(MAIN), f"https://lab-s3-west.s3.{REGION}.amazonaws.com/k")
    assert (by_host.status_code, by_host.headers["x-amz-bucket-region"]) == (301, "eu-west-1")
    assert b"<Code>PermanentRedirect</Code>" in by_host.content
    assert b"<Endpoint>lab-s3-west.s3.eu-west-1.amazonaws.com</Endpoint>" in by_host.content
    by_scope = asked(stage.admin(MAIN), "http://127.0.0.1:1/lab-s3-west/k")
    assert (by_scope.status_code, by_scope.headers["x-amz-bucket-region"]) == (400, "eu-west-1")
    assert b"<Code>AuthorizationHeaderMalformed</Code>" in by_scope.content
    assert b"<Region>eu-west-1</Region>" in by_scope.content


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("delete_bucket_metadata_configuration", {}),
        ("get_bucket_metadata_configuration", {}),
        ("get_object_torrent", {"Key": "k"}),
        ("rename_object", {"Key": "k", "RenameSource": "other"}),
        ("get_bucket_abac", {}),
    ],
)
def test_what_the_catalogue_has_not_is_a_typed_501_and_does_nothing(
    s3: Any, operation: str, parameters: dict[str, Any]
) -> None:
    assert refusal(getattr(s3, operation), Bucket=BUCKET, **parameters)[:2] == (501, "NotImplemented")
    assert s3.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"x"


@pytest.mark.parametrize(
    "query",
    [
        "list-type=2&prefix=secret/&prefix=home/",
        "prefix=secret/&prefix=home/",
        "list-type=2&policy",
        "acl&tagging",
        "uploads&list-type=2&policy",
    ],
)
def test_a_query_that_says_two_things_does_nothing_that_was_not_decided(stage: Stage, s3: Any, query: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="secret/1", Body=b"")
    service = f"https://s3.{REGION}.amazonaws.com/{BUCKET}"
    home = {"StringEquals": {"s3:prefix": "home/"}}
    session = stage.user(MAIN).assume(ADMIN, Policy=policy(allow("s3:ListBucket", Condition=home)))
    assert b"secret/1" not in asked(session, f"{service}?{query}").content
    assert b"secret/1" in asked(stage.admin(MAIN), f"{service}?list-type=2&prefix=secret/").content


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (f"{BUCKET}.s3-{REGION}.amazonaws.com", 200),
        (f"{BUCKET}.s3-fips.dualstack.{REGION}.amazonaws.com", 200),
        (f"{BUCKET}.s3.amazonaws.com", 200),
        (f"{BUCKET}.s3.eusc-de-east-1.amazonaws.eu", 301),
        (f"{BUCKET}.s3.cn-north-1.amazonaws.com.cn", 301),
        (f"{BUCKET}.s3-accelerate.amazonaws.com", 501),
        (f"{BUCKET}.s3-website-{REGION}.amazonaws.com", 501),
        (f"point-{MAIN}.s3-accesspoint.{REGION}.amazonaws.com", 404),
        (f"{MAIN}.s3-control.{REGION}.amazonaws.com", 501),
        ("elsewhere.example", 404),
    ],
)
def test_a_host_of_s3s_is_read_or_refused_and_never_guessed(stage: Stage, s3: Any, host: str, status: int) -> None:
    answer = asked(stage.admin(MAIN), f"https://{host}/k")
    assert answer.status_code == status
    assert (b"<Code>NotImplemented</Code>" in answer.content) == (status == 501)


@pytest.mark.parametrize("name", ["UPPER", "ab", "a" * 64, "lab..s3", "10.0.0.1", "-lab", "lab%2Fs3", "lab%3Fpolicy"])
def test_a_bucket_has_a_name_that_s3_takes(stage: Stage, name: str) -> None:
    answer = asked(stage.admin(MAIN), f"https://s3.{REGION}.amazonaws.com/{name}", method="PUT")
    assert (answer.status_code, b"<Code>InvalidBucketName</Code>" in answer.content) == (400, True)


def test_a_continuation_of_nothing_is_refused(s3: Any) -> None:
    with_token = {"Bucket": BUCKET, "ContinuationToken": "none of ours"}
    assert refusal(s3.list_objects_v2, **with_token)[:2] == (400, "InvalidArgument")


@pytest.mark.parametrize(("method", "target"), [("PATCH", f"/{BUCKET}/k"), ("PUT", "/")])
def test_a_method_that_no_operation_has_is_a_typed_501(stage: Stage, method: str, target: str) -> None:
    answer = asked(stage.admin(MAIN), f"https://s3.{REGION}.amazonaws.com{target}", method=method)
    assert answer.status_code == 501
    assert b"<Code>NotImplemented</Code>" in answer.content


def asked(
    person: Person,
    url: str,
    *,
    method: str = "GET",
    data: bytes = b"",
    chunks: bytes | None = None,
    modified_since: str = "",
) -> Any:
    """The answer to a signed request, whatever its status."""
    request = AWSRequest(method, url, data=chunks or data)
    if modified_since:
        request.headers["If-Modified-Since"] = modified_since
    if chunks is not None:
        request.headers["Content-Encoding"] = "aws-chunked"
        request.headers["X-Amz-Decoded-Content-Length"] = "1"
        request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    S3SigV4Auth(Credentials(person.key, person.secret, person.token), "s3", REGION).add_auth(request)
    return answered(person.stage, request.prepare(), origin=INTERNET)


# --- what is meant to be stored --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"1\r\nx\r\n0\r\nx-amz-checksum-crc32:jNwWgw==\r\n\r\n", 200, b""),
        (b"1;chunk-signature=0\r\nx\r\n0;chunk-signature=0\r\n\r\n", 200, b""),
        (b"1\r\nx\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", 400, b"BadDigest"),
        (b"2\r\nx\r\n0\r\n\r\n", 400, b"IncompleteBody"),
        (b"1\r\nx\r\n", 400, b"IncompleteBody"),
    ],
)
def test_digests_behind_the_last_chunk_count(stage: Stage, s3: Any, body: bytes, status: int, code: bytes) -> None:
    url = f"https://s3.{REGION}.amazonaws.com/{BUCKET}/k"
    answer = asked(stage.admin(MAIN), url, method="PUT", chunks=body)
    assert answer.status_code == status
    assert code in answer.content
    assert s3.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"x"


def test_tags_of_a_write_are_seen_by_conditions(stage: Stage, s3: Any) -> None:
    tagged = {
        "StringEquals": {"s3:RequestObjectTag/team": "red"},
        "ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["team"]},
    }
    rights = allow(["s3:PutObject", "s3:PutObjectTagging"], Condition=tagged)
    tagger = stage.user(MAIN).assume(ADMIN, Policy=policy(rights)).client("s3")
    assert tagger.put_object(Bucket=BUCKET, Key="k", Body=b"x", Tagging="team=red")
    for wrong in ({}, {"Tagging": "team=blue"}, {"Tagging": "team=red&more=1"}):
        assert refusal(tagger.put_object, Bucket=BUCKET, Key="k", Body=b"x", **wrong)[:2] == (403, "AccessDenied")


# --- what can not be read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "query", "body", "code"),
    [
        ("PUT", "?tagging", b"", b"MissingRequestBodyError"),
        ("PUT", "?tagging", b"<Tagging>", b"MalformedXML"),
        ("PUT", "?tagging", b"<Other/>", b"MalformedXML"),
        ("PUT", "?tagging", b"<!DOCTYPE x><Tagging/>", b"MalformedXML"),
        ("PUT", "?versioning", b"\xff\xfe", b"MalformedXML"),
        ("PUT", "?ownershipControls", b"{}", b"MalformedXML"),
        ("GET", "?max-keys=many", b"", b"InvalidArgument"),
        ("GET", "?max-keys=-1", b"", b"InvalidArgument"),
        ("GET", "/k?partNumber=x", b"", b"InvalidArgument"),
        ("PUT", "-new", b"no document", b"MalformedXML"),
    ],
)
def test_what_can_not_be_read_is_refused_after_authorisation(
    stage: Stage, method: str, query: str, body: bytes, code: bytes
) -> None:
    url = f"https://s3.{REGION}.amazonaws.com/{BUCKET}{query}"
    answer = asked(stage.admin(MAIN), url, method=method, data=body)
    assert (answer.status_code, b"<Code>" + code + b"</Code>" in answer.content) == (400, True)
    nobody = stage.user(MAIN).assume(ADMIN, Policy=policy(allow("sts:*")))
    assert asked(nobody, url, method=method, data=body).status_code == 403


def test_a_document_that_only_the_state_could_not_read_is_malformed_too(
    stage: Stage, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.state, "call", lambda *_, **__: HttpResponse(status=500))
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    assert refusal(s3.put_bucket_tagging, Bucket=BUCKET, Tagging=tags)[:2] == (400, "MalformedXML")
    assert refusal(s3.list_objects_v2, Bucket=BUCKET)[0] == 500


def test_a_canned_acl_is_one_of_s3s(s3: Any) -> None:
    assert refusal(s3.put_object, Bucket=BUCKET, Key="k", Body=b"", ACL="everybody")[:2] == (400, "InvalidArgument")


@pytest.mark.parametrize(
    ("version", "answer"), [(GONE, (404, "NoSuchVersion")), (BOGUS_VERSION_ID, (400, "InvalidArgument"))]
)
def test_a_copy_of_a_version_that_is_not_there_is_none(s3: Any, version: str, answer: tuple[int, str]) -> None:
    source = {"Bucket": BUCKET, "Key": "k", "VersionId": version}
    assert refusal(s3.copy_object, Bucket=BUCKET, Key="copied", CopySource=source)[:2] == answer


@pytest.mark.parametrize("operation", ["get_object_tagging", "delete_object_tagging", "get_object_acl"])
def test_what_lies_below_an_absent_key_is_absent(s3: Any, operation: str) -> None:
    call = getattr(s3, operation)
    assert refusal(call, Bucket=BUCKET, Key="absent")[:2] == (404, "NoSuchKey")
    assert refusal(call, Bucket=BUCKET, Key="k", VersionId=GONE)[:2] == (404, "NoSuchVersion")
    for made_up in ("bogus", "0" * 32, BOGUS_VERSION_ID):
        wrong = (400, "InvalidArgument", "Invalid version id specified")
        assert refusal(call, Bucket=BUCKET, Key="k", VersionId=made_up) == wrong


def test_a_delete_marker_says_so(s3: Any) -> None:
    bucket = "lab-s3-markers"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"kept")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    for parameters, answer in (({}, (404, "NoSuchKey")), ({"VersionId": marker}, (405, "MethodNotAllowed"))):
        with pytest.raises(s3.exceptions.ClientError) as caught:
            s3.get_object(Bucket=bucket, Key="k", **parameters)
        found = caught.value.response
        assert (found["ResponseMetadata"]["HTTPStatusCode"], found["Error"]["Code"]) == answer
        assert found["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true"
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=version)["Body"].read() == b"kept"


def test_a_date_that_can_not_be_read_is_no_condition(stage: Stage, s3: Any) -> None:
    url = f"https://s3.{REGION}.amazonaws.com/{BUCKET}/k"
    later = "Wed, 01 Jan 2070 00:00:00 GMT"
    assert asked(stage.admin(MAIN), url, modified_since="yesterday").status_code == 200
    assert asked(stage.admin(MAIN), url, modified_since=later).status_code == 304


def test_buckets_are_listed_with_their_regions_where_a_parameter_is_given(s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html"""
    found = {row["Name"]: row.get("BucketRegion") for row in s3.list_buckets(Prefix=BUCKET)["Buckets"]}
    assert found[BUCKET] == REGION
    assert None not in found.values()
    assert not any("BucketRegion" in row for row in s3.list_buckets()["Buckets"])


def test_uploads_are_listed_with_when_they_were_begun(s3: Any) -> None:
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    begun = s3.create_multipart_upload(Bucket=BUCKET, Key="begun")["UploadId"]
    (found,) = s3.list_multipart_uploads(Bucket=BUCKET, Prefix="begun")["Uploads"]
    assert before <= found["Initiated"] <= dt.datetime.now(dt.UTC)
    s3.abort_multipart_upload(Bucket=BUCKET, Key="begun", UploadId=begun)


def test_uploads_are_listed_page_by_page(s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html"""
    bucket, keys = "lab-s3-uploads", ("b", "a", "d/1", "d/2", "b", "e & <f>")
    s3.create_bucket(Bucket=bucket)
    ids = [s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in keys]
    wanted = [("a", ids[1]), ("b", ids[0]), ("b", ids[4]), ("d/1", ids[2]), ("d/2", ids[3]), ("e & <f>", ids[5])]

    def of(found: Any) -> list[tuple[str, str]]:
        return [(row["Key"], row["UploadId"]) for row in found.get("Uploads", ())]

    for size in (1, 2, 4, 1000):
        pages = list(s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, MaxUploads=size))
        assert [row for page in pages for row in of(page)] == wanted
        assert [page["IsTruncated"] for page in pages] == [True] * (len(pages) - 1) + [False]
        assert len(pages) == -(-len(wanted) // size)
    assert of(s3.list_multipart_uploads(Bucket=bucket, KeyMarker="b")) == wanted[3:]
    assert of(s3.list_multipart_uploads(Bucket=bucket, UploadIdMarker=ids[5])) == wanted
    assert of(s3.list_multipart_uploads(Bucket=bucket, Prefix="d/")) == wanted[3:5]
    first = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", MaxUploads=4)
    assert of(first) == wanted[:3]
    assert (first["CommonPrefixes"], first["Delimiter"]) == ([{"Prefix": "d/"}], "/")
    rest = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", KeyMarker=first["NextKeyMarker"])
    assert (of(rest), "CommonPrefixes" in rest) == (wanted[5:], False)
    encoded = s3.list_multipart_uploads(Bucket=bucket, Prefix="e ", EncodingType="url")
    assert (encoded["Prefix"], encoded["EncodingType"]) == ("e%20", "url")
    assert of(encoded) == [("e%20%26%20%3Cf%3E", ids[5])]
    nothing = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=0)
    assert (of(nothing), nothing["IsTruncated"]) == ([], False)
