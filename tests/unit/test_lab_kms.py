"""Objects under KMS keys: S3 asks KMS in its caller's name, under the key's own policy.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html and
https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.labstage import REGION, Person, Stage, allow, deny, make_role, policy, refusal

MAIN, PARTNER = "310000000091", "310000000092"
BUCKET = "lab-kms"
KMS: dict[str, Any] = {"ServerSideEncryption": "aws:kms"}
OF_ACCOUNT = allow("kms:*", Principal={"AWS": f"arn:aws:iam::{MAIN}:root"})


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN, PARTNER)
    made.admin(MAIN).client("s3").create_bucket(Bucket=BUCKET)
    return made


@pytest.fixture(scope="module")
def s3(stage: Stage) -> Any:
    return stage.admin(MAIN).client("s3")


def new_key(stage: Stage, *statements: dict[str, Any]) -> str:
    kms = stage.admin(MAIN).client("kms")
    arn: str = kms.create_key(Policy=policy(*(statements or (OF_ACCOUNT,))))["KeyMetadata"]["Arn"]
    return arn


def role_of(stage: Stage, name: str, *statements: dict[str, Any]) -> Person:
    return stage.user(MAIN).assume(make_role(stage.admin(MAIN), name, *statements, trust={"AWS": MAIN}))


def message_of(call: Any, **parameters: Any) -> str:
    status, code, message = refusal(call, **parameters)
    assert (status, code) == (403, "AccessDenied")
    return message


def test_writing_and_reading_need_the_key(stage: Stage, s3: Any) -> None:
    key = new_key(stage)
    person = role_of(stage, "without-kms", allow("s3:*"))
    without = person.client("s3")
    arn = f"arn:aws:sts::{MAIN}:assumed-role/without-kms/test"
    assert message_of(without.put_object, Bucket=BUCKET, Key="k", Body=b"", **KMS, SSEKMSKeyId=key) == (
        f"User: {arn} is not authorized to perform: kms:GenerateDataKey on resource: {key} because no identity-based "
        "policy allows the kms:GenerateDataKey action"
    )
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x", **KMS, SSEKMSKeyId=key)
    for call in (without.get_object, without.head_object):
        assert refusal(call, Bucket=BUCKET, Key="k")[0] == 403
    assert "kms:Decrypt" in message_of(without.get_object, Bucket=BUCKET, Key="k")
    copying = {"Bucket": BUCKET, "Key": "plain", "CopySource": {"Bucket": BUCKET, "Key": "k"}}
    assert "kms:Decrypt" in message_of(without.copy_object, **copying)
    assert without.get_object_tagging(Bucket=BUCKET, Key="k")
    assert without.delete_object(Bucket=BUCKET, Key="k")
    with_key = role_of(stage, "with-kms", allow("s3:*"), allow(["kms:Decrypt", "kms:GenerateDataKey"], key)).client(
        "s3"
    )
    assert with_key.put_object(Bucket=BUCKET, Key="k", Body=b"x", **KMS, SSEKMSKeyId=key)
    assert with_key.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"x"


def test_a_keys_policy_is_needed_even_in_one_account(stage: Stage, s3: Any) -> None:
    arn = f"arn:aws:iam::{MAIN}:role/named-by-key"
    key = new_key(stage, allow("kms:*", Principal={"AWS": arn}))
    words = (
        "on this resource because the resource does not exist in this Region, no resource-based policies allow access, "
        "or a resource-based policy explicitly denies access"
    )
    write = {"Bucket": BUCKET, "Key": "k", "Body": b"x", **KMS, "SSEKMSKeyId": key}
    assert message_of(s3.put_object, **write).endswith(words)
    named = role_of(stage, "named-by-key", allow("s3:*"))
    assert named.client("s3").put_object(**write)
    assert message_of(s3.get_object, Bucket=BUCKET, Key="k").endswith(words)
    assert named.client("s3").get_object(Bucket=BUCKET, Key="k")


def test_a_keys_deny_is_one(stage: Stage, s3: Any) -> None:
    outside = {"StringNotEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
    via = new_key(stage, OF_ACCOUNT, deny("kms:*", Principal="*", Condition=outside))
    assert s3.put_object(Bucket=BUCKET, Key="via", Body=b"", **KMS, SSEKMSKeyId=via)
    ours = {"StringLike": {"kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{BUCKET}/secret*"}}
    limited = new_key(stage, OF_ACCOUNT, deny("kms:*", Principal="*", Condition=ours))
    assert s3.put_object(Bucket=BUCKET, Key="open", Body=b"", **KMS, SSEKMSKeyId=limited)
    found = message_of(s3.put_object, Bucket=BUCKET, Key="secret", Body=b"", **KMS, SSEKMSKeyId=limited)
    assert found.endswith("with an explicit deny in a resource-based policy")
    service = {"Bool": {"aws:ViaAWSService": "true"}}
    direct = new_key(stage, OF_ACCOUNT, deny("kms:*", Principal="*", Condition=service))
    assert refusal(s3.put_object, Bucket=BUCKET, Key="k", Body=b"", **KMS, SSEKMSKeyId=direct)[0] == 403


def test_a_buckets_default_key_counts(stage: Stage) -> None:
    admin = stage.admin(MAIN).client("s3")
    admin.create_bucket(Bucket="lab-kms-default")
    key = new_key(stage)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    admin.put_bucket_encryption(Bucket="lab-kms-default", ServerSideEncryptionConfiguration={"Rules": [rule]})
    without = role_of(stage, "default-without", allow("s3:*")).client("s3")
    assert "kms:GenerateDataKey" in message_of(without.put_object, Bucket="lab-kms-default", Key="k", Body=b"")
    assert without.put_object(Bucket="lab-kms-default", Key="k", Body=b"", ServerSideEncryption="AES256")
    assert without.get_object(Bucket="lab-kms-default", Key="k")
    assert admin.put_object(Bucket="lab-kms-default", Key="k", Body=b"")
    assert refusal(without.get_object, Bucket="lab-kms-default", Key="k")[0] == 403


def test_the_key_of_awss_own_is_the_accounts_alone(stage: Stage, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="managed", Body=b"x", **KMS)
    person = role_of(stage, "managed-reader", allow("s3:*"))
    assert person.client("s3").get_object(Bucket=BUCKET, Key="managed")
    grant = allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*", Principal={"AWS": PARTNER})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(grant))
    s3.put_object(Bucket=BUCKET, Key="plain", Body=b"x")
    partner = stage.admin(PARTNER).client("s3")
    assert partner.get_object(Bucket=BUCKET, Key="plain")
    assert "no resource-based policies allow access" in message_of(partner.get_object, Bucket=BUCKET, Key="managed")
    s3.delete_bucket_policy(Bucket=BUCKET)


def test_another_account_needs_the_keys_policy_too(stage: Stage, s3: Any) -> None:
    partner = stage.admin(PARTNER).client("s3")
    key = new_key(stage, OF_ACCOUNT)
    s3.put_object(Bucket=BUCKET, Key="shared", Body=b"x", **KMS, SSEKMSKeyId=key)
    grant = allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*", Principal={"AWS": PARTNER})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(grant))
    assert "no resource-based policies allow access" in message_of(partner.get_object, Bucket=BUCKET, Key="shared")
    kms = stage.admin(MAIN).client("kms")
    both = [OF_ACCOUNT, allow("kms:Decrypt", Principal={"AWS": f"arn:aws:iam::{PARTNER}:root"})]
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps({"Version": "2012-10-17", "Statement": both}))
    assert partner.get_object(Bucket=BUCKET, Key="shared")
    s3.delete_bucket_policy(Bucket=BUCKET)


def test_a_key_by_alias_and_one_that_is_not_there(stage: Stage, s3: Any) -> None:
    kms = stage.admin(MAIN).client("kms")
    key = new_key(stage)
    kms.create_alias(AliasName="alias/lab", TargetKeyId=key)
    for name in ("alias/lab", f"arn:aws:kms:{REGION}:{MAIN}:alias/lab", key.rpartition("/")[2]):
        assert s3.put_object(Bucket=BUCKET, Key="named", Body=b"", **KMS, SSEKMSKeyId=name), name
    missing = f"arn:aws:kms:{REGION}:{MAIN}:key/00000000-0000-0000-0000-000000000000"
    for name in (missing, missing.rpartition("/")[2]):
        assert refusal(s3.put_object, Bucket=BUCKET, Key="k", Body=b"", **KMS, SSEKMSKeyId=name) == (
            400,
            "KMS.NotFoundException",
            f"Key '{missing}' does not exist",
        )
    kms.disable_key(KeyId=key.rpartition("/")[2])
    assert refusal(s3.get_object, Bucket=BUCKET, Key="named") == (400, "KMS.DisabledException", f"{key} is disabled.")
    kms.schedule_key_deletion(KeyId=key.rpartition("/")[2])
    assert refusal(s3.get_object, Bucket=BUCKET, Key="named")[1] == "KMS.KMSInvalidStateException"


def test_an_upload_in_parts_needs_the_key_all_along(stage: Stage, s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions"""
    key = new_key(stage)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts", **KMS, SSEKMSKeyId=key)["UploadId"]
    part: dict[str, Any] = {"Bucket": BUCKET, "Key": "parts", "UploadId": upload, "PartNumber": 1}
    whole = {"Bucket": BUCKET, "Key": "parts", "UploadId": upload}
    making = role_of(stage, "makes-keys", allow(["s3:*", "kms:GenerateDataKey"])).client("s3")
    without = role_of(stage, "no-keys", allow("s3:*")).client("s3")
    assert "kms:GenerateDataKey" in message_of(without.upload_part, **part, Body=b"")
    assert "kms:Decrypt" in message_of(making.upload_part, **part, Body=b"")
    etag = s3.upload_part(**part, Body=b"x")["ETag"]
    done = {"MultipartUpload": {"Parts": [{"ETag": etag, "PartNumber": 1}]}}
    assert "kms:Decrypt" in message_of(making.complete_multipart_upload, **whole, **done)
    assert "kms:Decrypt" in message_of(making.list_parts, **whole)
    assert [row["PartNumber"] for row in s3.list_parts(**whole)["Parts"]] == [1]
    assert s3.complete_multipart_upload(**whole, **done)
    plain = s3.create_multipart_upload(Bucket=BUCKET, Key="parts", ServerSideEncryption="AES256")["UploadId"]
    assert without.upload_part(Bucket=BUCKET, Key="parts", UploadId=plain, PartNumber=1, Body=b"")


def test_other_signatures_than_version_4_do_not_do(stage: Stage, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="signed", Body=b"x", **KMS)
    words = "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4."
    old = stage.admin(MAIN).client("s3", signature_version="s3")
    assert refusal(old.get_object, Bucket=BUCKET, Key="signed") == (400, "InvalidArgument", words)


def test_a_key_whose_policy_denies_somebody_is_described_to_others(stage: Stage) -> None:
    elsewhere = {"StringNotEquals": {"kms:CallerAccount": MAIN}}
    key = new_key(stage, OF_ACCOUNT, deny("kms:*", Principal="*", Condition=elsewhere))
    kms = stage.admin(MAIN).client("kms")
    kms.create_alias(AliasName="alias/described", TargetKeyId=key)
    assert kms.describe_key(KeyId="alias/described")["KeyMetadata"]["Arn"] == key


def by_default(s3: Any, bucket: str, key: str, *, algorithm: str = "aws:kms", bucket_key: str = "false") -> None:
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm, "KMSMasterKeyID": key},
        "BucketKeyEnabled": bucket_key == "true",
    }
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def put_in_parts(s3: Any, bucket: str, **more: Any) -> list[Any]:
    """What is said of the key when an upload begins, when it is complete and when its object is looked at."""
    at = {"Bucket": bucket, "Key": "parts"}
    begun = s3.create_multipart_upload(**at, **more)
    part = s3.upload_part(**at, UploadId=begun["UploadId"], PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    done = s3.complete_multipart_upload(**at, UploadId=begun["UploadId"], MultipartUpload=parts)
    return [row.get("SSEKMSKeyId") for row in (begun, done, s3.head_object(**at))]


def test_objects_keep_the_key_that_an_alias_or_an_id_stood_for(stage: Stage) -> None:
    bucket = "lab-kms-kept"
    s3, kms = stage.admin(MAIN).client("s3"), stage.admin(MAIN).client("kms")
    s3.create_bucket(Bucket=bucket)
    key, later = new_key(stage), new_key(stage)
    kms.create_alias(AliasName="alias/kept", TargetKeyId=key)
    by_default(s3, bucket, "alias/kept")
    for more in ({}, {**KMS, "SSEKMSKeyId": "alias/kept"}, {**KMS, "SSEKMSKeyId": key.rpartition("/")[2]}):
        assert s3.put_object(Bucket=bucket, Key="k", Body=b"", **more)["SSEKMSKeyId"] == key
        assert s3.head_object(Bucket=bucket, Key="k")["SSEKMSKeyId"] == key
        assert put_in_parts(s3, bucket, **more) == [key] * 3
    kms.update_alias(AliasName="alias/kept", TargetKeyId=later)
    assert s3.head_object(Bucket=bucket, Key="k")["SSEKMSKeyId"] == key
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    assert copied["SSEKMSKeyId"] == later


def test_awss_own_key_is_not_the_buckets_default(stage: Stage) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html: where no key is named"""
    bucket = "lab-kms-managed"
    s3 = stage.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=bucket)
    by_default(s3, bucket, new_key(stage))
    role = role_of(stage, "managed", allow("s3:*")).client("s3")
    assert role.put_object(Bucket=bucket, Key="k", Body=b"x", **KMS)["SSEKMSKeyId"].endswith(":alias/aws/s3")
    assert role.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert {name.rpartition(":")[2] for name in put_in_parts(role, bucket, **KMS)} == {"alias/aws/s3"}


def test_what_brings_a_key_of_its_own_asks_for_none_of_kms(stage: Stage) -> None:
    bucket, brought = "lab-kms-brought", {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    s3 = stage.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=bucket)
    by_default(s3, bucket, new_key(stage))
    role = role_of(stage, "brought", allow("s3:*")).client("s3")
    assert "SSEKMSKeyId" not in role.put_object(Bucket=bucket, Key="k", Body=b"x", **brought)
    assert role.get_object(Bucket=bucket, Key="k", **brought)["Body"].read() == b"x"


def test_an_alias_by_default_is_the_callers(stage: Stage) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ServerSideEncryptionByDefault.html"""
    bucket = "lab-kms-alias"
    s3, partner = stage.admin(MAIN).client("s3"), stage.admin(PARTNER)
    s3.create_bucket(Bucket=bucket)
    stage.admin(MAIN).client("kms").create_alias(AliasName="alias/ours", TargetKeyId=new_key(stage))
    by_default(s3, bucket, "alias/ours")
    s3.put_bucket_policy(
        Bucket=bucket, Policy=policy(allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": PARTNER}))
    )
    put = partner.client("s3").put_object
    assert refusal(put, Bucket=bucket, Key="k", Body=b"")[1] == "KMS.NotFoundException"
    theirs = partner.client("kms").create_key()["KeyMetadata"]["Arn"]
    partner.client("kms").create_alias(AliasName="alias/ours", TargetKeyId=theirs)
    assert put(Bucket=bucket, Key="k", Body=b"")["SSEKMSKeyId"] == theirs
    assert refusal(s3.get_object, Bucket=bucket, Key="k")[0] == 403


def only_for(stage: Stage, arn: str) -> str:
    """A key that serves where the encryption context names what the ARN does."""
    elsewhere = {"StringNotEquals": {"kms:EncryptionContext:aws:s3:arn": arn}}
    made = new_key(stage, OF_ACCOUNT)
    stage.admin(MAIN).client("kms").put_key_policy(
        KeyId=made, PolicyName="default", Policy=policy(OF_ACCOUNT, deny("kms:*", Principal="*", Condition=elsewhere))
    )
    return made


def test_under_a_bucket_key_the_encryption_context_is_the_bucket(stage: Stage) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html"""
    bucket = "lab-kms-bucket-keys"
    s3 = stage.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=bucket)
    at = {"Bucket": bucket, "Key": "k"}
    of_bucket, of_object = (only_for(stage, f"arn:aws:s3:::{bucket}{below}") for below in ("", "/k"))
    with_bucket, with_object = ({**KMS, "SSEKMSKeyId": key} for key in (of_bucket, of_object))
    on, off = ({"BucketKeyEnabled": value} for value in (True, False))
    assert s3.put_object(**at, **with_bucket, **on)["BucketKeyEnabled"]
    assert s3.get_object(**at)["BucketKeyEnabled"]
    assert refusal(s3.put_object, **at, **with_object, **on)[0] == 403
    assert refusal(s3.put_object, **at, **with_bucket)[0] == 403
    by_default(s3, bucket, of_bucket, bucket_key="true")
    for more in ({}, with_bucket):
        assert s3.put_object(**at, **more)["BucketKeyEnabled"]
        assert s3.get_object(**at)["BucketKeyEnabled"]
    assert refusal(s3.put_object, **at, **off)[0] == 403
    assert "BucketKeyEnabled" not in s3.put_object(**at, **with_object, **off)
    assert s3.get_object(**at)
    assert not s3.head_object(**at).get("BucketKeyEnabled")
    # What is there stays as it was made.
    s3.put_object(**at)
    by_default(s3, bucket, of_object)
    assert s3.head_object(**at)["BucketKeyEnabled"]
    assert s3.copy_object(**at, CopySource=at, MetadataDirective="REPLACE")["SSEKMSKeyId"] == of_object
    assert not s3.head_object(**at).get("BucketKeyEnabled")


def test_there_are_no_bucket_keys_for_two_layers(stage: Stage) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html"""
    bucket = "lab-kms-two-layers"
    s3 = stage.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=bucket)
    by_default(s3, bucket, only_for(stage, f"arn:aws:s3:::{bucket}/k"), algorithm="aws:kms:dsse", bucket_key="true")
    assert "BucketKeyEnabled" not in s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_an_upload_in_parts_keeps_its_bucket_key(stage: Stage) -> None:
    bucket = "lab-kms-parts-of-bucket"
    s3 = stage.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=bucket)
    at = {"Bucket": bucket, "Key": "parts"}
    of_bucket, of_object = (only_for(stage, f"arn:aws:s3:::{bucket}{below}") for below in ("", "/parts"))
    put_in_parts(s3, bucket, **KMS, SSEKMSKeyId=of_bucket, BucketKeyEnabled=True)
    assert s3.head_object(**at)["BucketKeyEnabled"]
    by_default(s3, bucket, of_bucket, bucket_key="true")
    put_in_parts(s3, bucket, **KMS, SSEKMSKeyId=of_object, BucketKeyEnabled=False)
    assert not s3.head_object(**at).get("BucketKeyEnabled")
    assert s3.get_object(**at)
