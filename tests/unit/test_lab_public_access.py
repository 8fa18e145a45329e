"""Block Public Access of bucket and account, Object Ownership, and what S3 calls public.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
"""

from __future__ import annotations

from typing import Any

import pytest
from botocore import UNSIGNED

from tests.unit.labstage import Stage, allow, policy, refusal

MAIN, PARTNER = "310000000041", "310000000042"
ARN = f"arn:aws:sts::{MAIN}:assumed-role/s3vpce-runner/test"
OFF = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False)
OPEN = {"Principal": "*"}
ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
ANY_USER = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
ACLS_BLOCKED = (
    "because public access control lists (ACLs) are blocked by the BlockPublicAcls block public access setting."
)


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(MAIN, PARTNER)


@pytest.fixture(scope="module")
def s3(stage: Stage) -> Any:
    client = stage.admin(MAIN).client("s3")
    for bucket in ("bpa-default", "bpa-off"):
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key="k", Body=b"x")
    client.create_bucket(Bucket="bpa-acls", ObjectOwnership="ObjectWriter")
    client.put_object(Bucket="bpa-acls", Key="k", Body=b"x")
    client.delete_public_access_block(Bucket="bpa-off")
    return client


@pytest.fixture
def control(stage: Stage) -> Any:
    client = stage.admin(MAIN).client("s3control")
    yield client
    client.delete_public_access_block(AccountId=MAIN)


def reading(bucket: str, **more: Any) -> str:
    return policy(allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*", **{**OPEN, **more}))


def anonymous(stage: Stage) -> Any:
    return stage.user(MAIN).client("s3", signature_version=UNSIGNED)


def test_a_new_bucket_is_private_encrypted_and_without_acls(s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html"""
    block = s3.get_public_access_block(Bucket="bpa-default")["PublicAccessBlockConfiguration"]
    assert block == dict.fromkeys(OFF, True)
    rule = s3.get_bucket_encryption(Bucket="bpa-default")["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    rules = s3.get_bucket_ownership_controls(Bucket="bpa-default")["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert s3.head_object(Bucket="bpa-default", Key="k")["ServerSideEncryption"] == "AES256"


def test_a_public_policy_is_not_taken_while_it_is_blocked(stage: Stage, s3: Any) -> None:
    blocked = (
        f"User: {ARN} is not authorized to perform: s3:PutBucketPolicy on resource: "
        '"arn:aws:s3:::bpa-default" because public policies are blocked by the BlockPublicPolicy block public access '
        "setting."
    )
    call = s3.put_bucket_policy
    assert refusal(call, Bucket="bpa-default", Policy=reading("bpa-default")) == (403, "AccessDenied", blocked)
    assert refusal(s3.get_bucket_policy, Bucket="bpa-default")[1] == "NoSuchBucketPolicy"
    assert stage.notes[-2]["layer"] == "block_public_access"
    vpce = {"StringEquals": {"aws:SourceVpce": "vpce-0123456789abcdef0"}}
    s3.put_bucket_policy(Bucket="bpa-default", Policy=reading("bpa-default", Condition=vpce))
    s3.delete_bucket_policy(Bucket="bpa-default")


def test_whether_a_policy_is_public_is_told(s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicyStatus.html"""

    def status(**more: Any) -> bool:
        s3.put_bucket_policy(Bucket="bpa-off", Policy=reading("bpa-off", **more))
        found: bool = s3.get_bucket_policy_status(Bucket="bpa-off")["PolicyStatus"]["IsPublic"]
        return found

    assert status()
    assert status(Condition={"StringLike": {"aws:SourceVpc": "vpc-*"}})
    assert not status(Condition={"StringEquals": {"aws:SourceVpc": "vpc-0123456789abcdef0"}})
    assert not status(Principal={"AWS": PARTNER})
    s3.delete_bucket_policy(Bucket="bpa-off")
    missing = refusal(s3.get_bucket_policy_status, Bucket="bpa-off")
    assert missing == (404, "NoSuchBucketPolicy", "The bucket policy does not exist")


def test_the_account_forbids_what_the_bucket_does_not(stage: Stage, s3: Any, control: Any) -> None:
    s3.put_bucket_policy(Bucket="bpa-off", Policy=reading("bpa-off"))
    assert anonymous(stage).get_object(Bucket="bpa-off", Key="k")
    control.put_public_access_block(
        AccountId=MAIN, PublicAccessBlockConfiguration={**OFF, "RestrictPublicBuckets": True}
    )
    assert refusal(anonymous(stage).get_object, Bucket="bpa-off", Key="k") == (403, "AccessDenied", "Access Denied")
    partner = stage.admin(PARTNER).client("s3")
    assert refusal(partner.get_object, Bucket="bpa-off", Key="k")[:2] == (403, "AccessDenied")
    assert s3.get_object(Bucket="bpa-off", Key="k")
    control.put_public_access_block(AccountId=MAIN, PublicAccessBlockConfiguration={**OFF, "BlockPublicPolicy": True})
    assert anonymous(stage).get_object(Bucket="bpa-off", Key="k")
    again = refusal(s3.put_bucket_policy, Bucket="bpa-off", Policy=reading("bpa-off"))
    assert again[2].endswith("blocked by the BlockPublicPolicy block public access setting.")
    control.delete_public_access_block(AccountId=MAIN)
    s3.put_bucket_policy(Bucket="bpa-off", Policy=reading("bpa-off"))
    s3.delete_bucket_policy(Bucket="bpa-off")


@pytest.mark.parametrize("acl", ["public-read", "public-read-write", "authenticated-read"])
def test_public_canned_acls_are_blocked(s3: Any, acl: str) -> None:
    for call, parameters in (
        (s3.put_bucket_acl, {}),
        (s3.put_object_acl, {"Key": "k"}),
        (s3.put_object, {"Key": "new", "Body": b""}),
        (s3.create_multipart_upload, {"Key": "new"}),
        (s3.copy_object, {"Key": "new", "CopySource": {"Bucket": "bpa-acls", "Key": "k"}}),
    ):
        found = refusal(call, Bucket="bpa-acls", ACL=acl, **parameters)
        assert found[:2] == (403, "AccessDenied")
        assert found[2].endswith(ACLS_BLOCKED)
    assert refusal(s3.head_object, Bucket="bpa-acls", Key="new")[0] == 404


@pytest.mark.parametrize("group", [ALL_USERS, ANY_USER])
def test_grants_to_public_groups_are_blocked(s3: Any, group: str) -> None:
    assert refusal(s3.put_bucket_acl, Bucket="bpa-acls", GrantRead=f"uri={group}")[2].endswith(ACLS_BLOCKED)
    acl = s3.get_object_acl(Bucket="bpa-acls", Key="k")
    grant = {"Grantee": {"Type": "Group", "URI": group}, "Permission": "READ"}
    whole = {"Owner": acl["Owner"], "Grants": [*acl["Grants"], grant]}
    found = refusal(s3.put_object_acl, Bucket="bpa-acls", Key="k", AccessControlPolicy=whole)
    assert found[2] == (
        f"User: {ARN} is not authorized to perform: s3:PutObjectAcl on resource: "
        f'"arn:aws:s3:::bpa-acls/k" {ACLS_BLOCKED}'
    )
    private = {"Owner": acl["Owner"], "Grants": acl["Grants"]}
    assert s3.put_object_acl(Bucket="bpa-acls", Key="k", AccessControlPolicy=private)


def test_public_acls_are_taken_where_nothing_blocks_them(s3: Any, control: Any) -> None:
    s3.put_public_access_block(Bucket="bpa-acls", PublicAccessBlockConfiguration={**OFF, "RestrictPublicBuckets": True})
    assert s3.put_object_acl(Bucket="bpa-acls", Key="k", ACL="public-read")
    control.put_public_access_block(AccountId=MAIN, PublicAccessBlockConfiguration={**OFF, "BlockPublicAcls": True})
    assert refusal(s3.put_object_acl, Bucket="bpa-acls", Key="k", ACL="public-read")[0] == 403
    assert s3.put_object_acl(Bucket="bpa-acls", Key="k", ACL="private")
    s3.put_public_access_block(Bucket="bpa-acls", PublicAccessBlockConfiguration=dict.fromkeys(OFF, True))


def test_without_acls_only_the_one_that_changes_nothing_is_taken(s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-ownership-error-responses.html"""
    none = (400, "AccessControlListNotSupported", "The bucket does not allow ACLs")
    assert refusal(s3.put_object, Bucket="bpa-off", Key="k", Body=b"", ACL="public-read") == none
    assert refusal(s3.put_bucket_acl, Bucket="bpa-off", ACL="private") == none
    assert s3.put_object(Bucket="bpa-off", Key="k", Body=b"x", ACL="bucket-owner-full-control")


def test_acls_are_not_switched_off_while_they_grant_something(s3: Any) -> None:
    s3.create_bucket(Bucket="bpa-change", ObjectOwnership="BucketOwnerPreferred")
    s3.delete_public_access_block(Bucket="bpa-change")
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_acl(Bucket="bpa-change", ACL="public-read")
    against = (
        400,
        "InvalidBucketAclWithObjectOwnership",
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    )
    assert refusal(s3.put_bucket_ownership_controls, Bucket="bpa-change", OwnershipControls=enforced) == against
    s3.put_bucket_acl(Bucket="bpa-change", ACL="private")
    s3.put_bucket_ownership_controls(Bucket="bpa-change", OwnershipControls=enforced)
    assert refusal(s3.put_bucket_acl, Bucket="bpa-change", ACL="public-read")[1] == "AccessControlListNotSupported"
    s3.delete_bucket_ownership_controls(Bucket="bpa-change")
    assert s3.put_bucket_acl(Bucket="bpa-change", ACL="public-read")
    assert refusal(s3.get_bucket_ownership_controls, Bucket="bpa-change")[:2] == (
        404,
        "OwnershipControlsNotFoundError",
    )


def test_a_new_bucket_with_an_acl_is_refused(s3: Any) -> None:
    assert refusal(s3.create_bucket, Bucket="bpa-new", ACL="public-read")[:2] == (
        400,
        "InvalidBucketAclWithObjectOwnership",
    )
    assert refusal(s3.create_bucket, Bucket="bpa-new", ACL="public-read", ObjectOwnership="ObjectWriter") == (
        400,
        "InvalidBucketAclWithBlockPublicAccessError",
        "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
    )
    assert s3.create_bucket(Bucket="bpa-new", ACL="private")
    assert s3.create_bucket(Bucket="bpa-new-2", ACL="log-delivery-write", ObjectOwnership="BucketOwnerPreferred")
