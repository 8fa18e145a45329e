"""Block Public Access, object ownership, what a new bucket is like, and what nobody in particular may do.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-ownership-error-responses.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.conftest import ACCOUNTS, DENIED, allow, deny, document, outcome

if TYPE_CHECKING:
    from tests.conformance.conftest import Answer, World

UNSUPPORTED = (400, "AccessControlListNotSupported")
SETTINGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
ALT = {"AWS": f"arn:aws:iam::{ACCOUNTS['alt']}:root"}
PUBLIC = ["public-read", "public-read-write", "authenticated-read"]


def block(*names: str) -> dict[str, bool]:
    return {name: name in names for name in SETTINGS}


def test_a_new_bucket(world: World) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html"""
    s3, bucket = world.client("s3"), world.bucket("key")
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == block(*SETTINGS)
    rules = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert outcome(s3.get_bucket_policy_status, Bucket=bucket) == (404, "NoSuchBucketPolicy")
    (grant,) = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    assert (grant["Permission"], grant["Grantee"]["ID"]) == ("FULL_CONTROL", s3.list_buckets()["Owner"]["ID"])
    assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"
    assert not s3.get_bucket_location(Bucket=bucket)["LocationConstraint"]
    for acl in (*PUBLIC, "private"):
        assert outcome(s3.put_bucket_acl, Bucket=bucket, ACL=acl) == UNSUPPORTED
        assert outcome(s3.put_object_acl, Bucket=bucket, Key="key", ACL=acl) == UNSUPPORTED
        assert outcome(s3.put_object, Bucket=bucket, Key="other", ACL=acl) == UNSUPPORTED
    assert outcome(s3.put_object, Bucket=bucket, Key="other", ACL="bucket-owner-full-control") == (200, "")
    assert outcome(s3.put_bucket_acl, Bucket=bucket, ACL="public-ready") == (400, "InvalidArgument")


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"ACL": "public-read"}, (400, "InvalidBucketAclWithObjectOwnership")),
        (
            {"ACL": "public-read", "ObjectOwnership": "BucketOwnerEnforced"},
            (400, "InvalidBucketAclWithObjectOwnership"),
        ),
        (
            {"ACL": "public-read", "ObjectOwnership": "ObjectWriter"},
            (400, "InvalidBucketAclWithBlockPublicAccessError"),
        ),
        ({"ACL": "private", "ObjectOwnership": "BucketOwnerPreferred"}, (200, "")),
        ({"ObjectOwnership": "Everybody"}, (400, "InvalidArgument")),
        ({"Bucket": "Upper-Case"}, (400, "InvalidBucketName")),
        ({"Bucket": "192.168.5.4"}, (400, "InvalidBucketName")),
        ({"Bucket": "ab"}, (400, "InvalidBucketName")),
        ({"Bucket": "a..b"}, (400, "InvalidBucketName")),
        ({"CreateBucketConfiguration": {"LocationConstraint": "mars-east-1"}}, (400, "InvalidLocationConstraint")),
    ],
    ids=str,
)
def test_a_bucket_to_be(world: World, parameters: dict[str, Any], expected: tuple[int, str]) -> None:
    found = outcome(world.client("s3").create_bucket, **{"Bucket": world.name(), **parameters})
    assert found == expected


def test_names_are_taken(world: World) -> None:
    bucket = world.bucket()
    assert outcome(world.client("s3", "alt").create_bucket, Bucket=bucket) == (409, "BucketAlreadyExists")
    # us-east-1 alone takes it as done: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    assert outcome(world.client("s3").create_bucket, Bucket=bucket) == (200, "")
    assert outcome(world.client("s3", None).create_bucket, Bucket=world.name()) == DENIED


@pytest.mark.parametrize("acl", PUBLIC)
def test_public_acls_are_blocked(world: World, acl: str) -> None:
    s3, bucket = world.client("s3"), world.open_bucket("key")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block("BlockPublicAcls"))
    assert outcome(s3.put_bucket_acl, Bucket=bucket, ACL=acl) == DENIED
    assert outcome(s3.put_object_acl, Bucket=bucket, Key="key", ACL=acl) == DENIED
    assert outcome(s3.put_object, Bucket=bucket, Key="other", ACL=acl) == DENIED
    assert outcome(s3.put_object_acl, Bucket=bucket, Key="key", ACL="private") == (200, "")


def test_public_acls_are_ignored(world: World) -> None:
    s3, alt, bucket = world.client("s3"), world.client("s3", "alt"), world.open_bucket()
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", ACL="public-read")
    for expected, names in (((200, ""), ()), (DENIED, ("IgnorePublicAcls",)), ((200, ""), ())):
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block(*names))
        for client in (alt, world.client("s3", None)):
            assert outcome(client.list_objects, Bucket=bucket) == expected
            assert outcome(client.get_object, Bucket=bucket, Key="key") == expected
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block("IgnorePublicAcls"))
    assert outcome(s3.put_bucket_acl, Bucket=bucket, ACL="public-read") == (200, "")


def test_public_policies_are_blocked(world: World) -> None:
    s3, bucket = world.client("s3"), world.open_bucket("key")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block("BlockPublicPolicy"))
    public, private = allow("s3:GetObject", f"{bucket}/*"), allow("s3:GetObject", f"{bucket}/*", Principal=ALT)
    assert outcome(s3.put_bucket_policy, Bucket=bucket, Policy=document(public)) == DENIED
    assert outcome(s3.put_bucket_policy, Bucket=bucket, Policy=document(private)) == (204, "")
    assert outcome(s3.delete_public_access_block, Bucket=bucket) == (204, "")
    assert outcome(s3.get_public_access_block, Bucket=bucket) == (404, "NoSuchPublicAccessBlockConfiguration")
    assert outcome(s3.put_bucket_policy, Bucket=bucket, Policy=document(public)) == (204, "")


def test_public_buckets_are_restricted(world: World) -> None:
    s3, bucket = world.client("s3"), world.open_bucket("key")
    world.policy(bucket, allow("s3:GetObject", f"{bucket}/*"))
    nobody, alt = world.client("s3", None), world.client("s3", "alt")
    for expected, names in (((200, ""), ()), (DENIED, ("RestrictPublicBuckets",))):
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block(*names))
        assert outcome(nobody.get_object, Bucket=bucket, Key="key") == expected
        assert outcome(alt.get_object, Bucket=bucket, Key="key") == expected
        assert outcome(s3.get_object, Bucket=bucket, Key="key") == (200, "")


@pytest.mark.parametrize(
    ("change", "public"),
    [
        ({}, True),
        ({"Principal": "*"}, True),
        ({"Principal": ALT}, False),
        ({"Effect": "Deny"}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/32"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}}, True),
        ({"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-91237329"}}}, False),
        ({"Condition": {"StringLike": {"aws:SourceVpc": "vpc-*"}}}, True),
        ({"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-0123456789abcdef0"}}}, False),
        ({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}}, False),
        ({"Condition": {"StringEquals": {"aws:UserAgent": "me"}}}, True),
    ],
    ids=str,
)
def test_what_public_means(world: World, change: dict[str, Any], public: bool) -> None:
    s3, bucket = world.client("s3"), world.open_bucket()
    world.policy(bucket, {**allow("s3:ListBucket", bucket), **change})
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is public


@pytest.mark.parametrize("setting", ["BlockPublicPolicy", "RestrictPublicBuckets"])
def test_the_account_blocks_for_all_its_buckets(world: World, setting: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/configuring-block-public-access-account.html"""
    s3, nobody = world.client("s3", "tenant"), world.client("s3", None)
    bucket = world.open_bucket("key", account="tenant")
    statement = allow("s3:GetObject", f"{bucket}/*")
    world.policy(bucket, statement, account="tenant")
    assert outcome(nobody.get_object, Bucket=bucket, Key="key") == (200, "")
    document_of = f"<PublicAccessBlockConfiguration><{setting}>true</{setting}></PublicAccessBlockConfiguration>"
    assert _account_block(world, "PUT", document_of.encode()).status in (200, 201)
    try:
        put = outcome(s3.put_bucket_policy, Bucket=bucket, Policy=document(statement))
        got = outcome(nobody.get_object, Bucket=bucket, Key="key")
    finally:
        assert _account_block(world, "DELETE").status in (200, 204)
    assert (put, got) == ((DENIED, (200, "")) if setting == "BlockPublicPolicy" else ((204, ""), DENIED))
    assert _account_block(world, "GET").code == "NoSuchPublicAccessBlockConfiguration"


def _account_block(world: World, method: str, body: bytes = b"") -> Answer:
    """S3 Control puts the account before the host's name, which addresses do not have."""
    headers = {"x-amz-account-id": ACCOUNTS["tenant"]}
    return world.signed(method, "/v20180820/configuration/publicAccessBlock", who="tenant", headers=headers, body=body)


def test_ownership_is_switched(world: World) -> None:
    s3, alt = world.client("s3"), world.client("s3", "alt")
    bucket = world.open_bucket()
    world.policy(bucket, allow("s3:PutObject", f"{bucket}/*", Principal=ALT))
    alt.put_object(Bucket=bucket, Key="theirs", Body=b"x")
    assert outcome(s3.get_object, Bucket=bucket, Key="theirs") == DENIED
    assert outcome(alt.get_object, Bucket=bucket, Key="theirs") == (200, "")
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=enforced)
    assert outcome(s3.get_object, Bucket=bucket, Key="theirs") == (200, "")
    assert outcome(alt.get_object, Bucket=bucket, Key="theirs") == DENIED
    assert outcome(alt.put_object, Bucket=bucket, Key="new", ACL="public-read") == DENIED
    assert outcome(s3.put_bucket_acl, Bucket=bucket, ACL="private") == UNSUPPORTED
    assert outcome(s3.delete_bucket_ownership_controls, Bucket=bucket) == (204, "")
    assert outcome(s3.get_bucket_ownership_controls, Bucket=bucket) == (404, "OwnershipControlsNotFoundError")
    assert outcome(s3.put_bucket_acl, Bucket=bucket, ACL="private") == (200, "")
    shared = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    refused = (400, "InvalidBucketAclWithObjectOwnership")
    assert outcome(s3.put_bucket_ownership_controls, Bucket=bucket, OwnershipControls=shared) == refused


def test_anybody_reads_and_writes_what_is_public(world: World) -> None:
    s3, nobody = world.client("s3"), world.client("s3", None)
    bucket = world.open_bucket("private")
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    s3.put_object(Bucket=bucket, Key="public", Body=b"x", ACL="public-read")
    assert outcome(nobody.get_object, Bucket=bucket, Key="public") == (200, "")
    assert outcome(nobody.get_object, Bucket=bucket, Key="private") == DENIED
    assert outcome(nobody.get_object, Bucket=bucket, Key="absent") == (404, "NoSuchKey")
    assert outcome(nobody.put_object, Bucket=bucket, Key="new", Body=b"x") == (200, "")
    assert outcome(nobody.head_object, Bucket=bucket, Key="absent") == (404, "404")
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    assert outcome(nobody.get_object, Bucket=bucket, Key="absent") == DENIED
    assert outcome(nobody.put_object, Bucket=bucket, Key="new", Body=b"x") == DENIED
    assert outcome(nobody.list_buckets) == DENIED
    assert outcome(nobody.get_object, Bucket="no-such-bucket-here", Key="x") == (404, "NoSuchBucket")
    assert outcome(nobody.delete_object, Bucket=bucket, Key="public") == DENIED


def test_404_is_for_those_who_may_list_there(world: World) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html"""
    bucket = world.bucket()
    alt = world.client("s3", "alt")
    world.policy(bucket, allow("s3:GetObject", f"{bucket}/*", Principal=ALT))
    assert outcome(alt.get_object, Bucket=bucket, Key="absent") == DENIED
    assert outcome(alt.head_object, Bucket=bucket, Key="absent") == (403, "403")
    world.policy(
        bucket, allow("s3:GetObject", f"{bucket}/*", Principal=ALT), allow("s3:ListBucket", bucket, Principal=ALT)
    )
    assert outcome(alt.get_object, Bucket=bucket, Key="absent") == (404, "NoSuchKey")
    assert outcome(alt.head_object, Bucket=bucket, Key="absent") == (404, "404")
    world.policy(bucket, allow("s3:ListBucket", bucket, Principal=ALT), deny("s3:GetObject", f"{bucket}/no"))
    assert outcome(alt.get_object, Bucket=bucket, Key="absent") == DENIED


def test_of_an_absent_key_the_prefix_is_the_key(world: World) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html and ceph/ceph#68577"""
    bucket = world.bucket()
    alt = world.client("s3", "alt")
    under = {"StringLike": {"s3:prefix": "public/*"}}
    world.policy(
        bucket,
        allow("s3:GetObject", f"{bucket}/*", Principal=ALT),
        allow("s3:ListBucket", bucket, Principal=ALT, Condition=under),
    )
    assert outcome(alt.head_object, Bucket=bucket, Key="public/absent") == (404, "404")
    assert outcome(alt.head_object, Bucket=bucket, Key="private/absent") == (403, "403")


def test_where_suites_expect_other_than_aws(world: World) -> None:
    """What docs/lab.md says of them."""
    s3, bucket = world.client("s3"), world.bucket("key")
    many = {"TagSet": [{"Key": str(number), "Value": ""} for number in range(11)]}
    assert outcome(s3.put_object_tagging, Bucket=bucket, Key="key", Tagging=many) == (400, "BadRequest")
    assert outcome(s3.get_bucket_policy_status, Bucket=bucket) == (404, "NoSuchBucketPolicy")
    signer = world.client("s3", "main", signature_version="s3v4")
    weeks = signer.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "key"}, ExpiresIn=604801)
    assert world.raw("GET", weeks.removeprefix(world.url)).status == 400
    entries = {"Objects": [{"Key": "key"}]}
    gone = s3.delete_objects(Bucket=bucket, Delete=entries, BypassGovernanceRetention=True)
    assert [row["Key"] for row in gone["Deleted"]] == ["key"]
