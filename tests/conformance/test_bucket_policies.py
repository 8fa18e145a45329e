"""What a bucket's policy lets other accounts and nobody do, and which conditions it may put on requests.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/tagging-and-policies.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.conftest import ACCOUNTS, DENIED, allow, deny, document, outcome

if TYPE_CHECKING:
    from tests.conformance.conftest import World

ALT = {"AWS": f"arn:aws:iam::{ACCOUNTS['alt']}:root"}


def tags(**values: str) -> dict[str, Any]:
    return {"TagSet": [{"Key": name, "Value": value} for name, value in values.items()]}


@pytest.mark.parametrize("principal", [{"AWS": "*"}, "*", ALT, {"AWS": [ACCOUNTS["alt"]]}])
def test_another_account_lists_by_the_policy(world: World, principal: Any) -> None:
    bucket = world.open_bucket("asdf")
    alt = world.client("s3", "alt")
    assert outcome(alt.list_objects, Bucket=bucket) == DENIED
    assert outcome(alt.list_objects_v2, Bucket=bucket) == DENIED
    world.policy(bucket, allow("s3:ListBucket", bucket, f"{bucket}/*", Principal=principal))
    for listing in (alt.list_objects, alt.list_objects_v2):
        assert [row["Key"] for row in listing(Bucket=bucket)["Contents"]] == ["asdf"]
    assert outcome(alt.head_bucket, Bucket=bucket) == (200, "")
    assert outcome(alt.get_object, Bucket=bucket, Key="asdf") == DENIED
    assert outcome(alt.get_bucket_location, Bucket=bucket) == DENIED
    anyone = world.client("s3", None)
    public = principal in ("*", {"AWS": "*"})
    assert outcome(anyone.list_objects, Bucket=bucket) == ((200, "") if public else DENIED)


def test_new_buckets_take_no_public_policy(world: World) -> None:
    bucket = world.bucket()
    call = world.client("s3").put_bucket_policy
    assert outcome(call, Bucket=bucket, Policy=document(allow("s3:ListBucket", bucket))) == DENIED
    assert outcome(call, Bucket=bucket, Policy=document(allow("s3:ListBucket", bucket, Principal=ALT))) == (204, "")


def test_a_deny_is_over_the_owners_root_too(world: World) -> None:
    bucket = world.open_bucket("asdf")
    s3 = world.client("s3")
    world.policy(bucket, deny("s3:*", bucket, f"{bucket}/*"))
    for call, more in (
        (s3.list_objects, {}),
        (s3.get_object, {"Key": "asdf"}),
        (s3.put_object, {"Key": "asdf"}),
        (s3.delete_object, {"Key": "asdf"}),
        (s3.get_bucket_acl, {}),
        (s3.delete_bucket, {}),
    ):
        assert outcome(call, Bucket=bucket, **more) == DENIED
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketPolicy.html
    assert outcome(s3.get_bucket_policy, Bucket=bucket) == (200, "")
    assert outcome(s3.delete_bucket_policy, Bucket=bucket) == (204, "")
    assert outcome(s3.get_object, Bucket=bucket, Key="asdf") == (200, "")


def test_a_policy_is_given_back_and_replaced(world: World) -> None:
    bucket = world.open_bucket()
    s3 = world.client("s3")
    assert outcome(s3.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")
    for action in ("s3:ListBucket", "s3:ListBucketVersions"):
        text = document(allow(action, bucket))
        s3.put_bucket_policy(Bucket=bucket, Policy=text)
        assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == json.loads(text)
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True


@pytest.mark.parametrize(
    "principal", [{"AWS": f"arn:aws:iam::{ACCOUNTS['alt']}:user/nobody-here"}, {"AWS": "arn:aws:iam::1:root"}]
)
def test_principals_must_be(world: World, principal: Any) -> None:
    bucket = world.bucket()
    call = world.client("s3").put_bucket_policy
    statement = allow("s3:ListBucket", bucket, Principal=principal)
    assert outcome(call, Bucket=bucket, Policy=document(statement)) == (400, "MalformedPolicy")


@pytest.mark.parametrize(
    "change",
    [
        {"Action": "s3:NoSuchAction"},
        {"Action": "ec2:RunInstances"},
        {"Action": None},
        {"Resource": "arn:aws:s3:::another-bucket"},
        {"Resource": None},
        {"Principal": None},
        {"Effect": "Perhaps"},
        {"Condition": {"StringAlmost": {"aws:SourceVpce": "vpce-1"}}},
        {"Condition": {"StringEquals": {"s3:NoSuchKey": "x"}}},
        {"Principal": None, "NotPrincipal": {"AWS": ACCOUNTS["alt"]}},
        {"Resource": "*"},
        {"Resource": "arn:aws:s3:::*"},
        {"Condition": {"StringEquals": {"s3:prefix": "x"}}, "Action": "s3:GetObject"},
    ],
)
def test_what_is_no_policy_is_malformed(world: World, change: dict[str, Any]) -> None:
    bucket = world.bucket()
    call = world.client("s3").put_bucket_policy
    statement = {**allow("s3:ListBucket", bucket, Principal=ALT), **change}
    text = document({name: value for name, value in statement.items() if value is not None})
    assert outcome(call, Bucket=bucket, Policy=text) == (400, "MalformedPolicy")


@pytest.fixture(scope="module")
def tagged(world: World) -> str:
    bucket = world.open_bucket("publictag", "privatetag", "invalidtag", "untagged")
    s3 = world.client("s3")
    s3.put_object_tagging(Bucket=bucket, Key="publictag", Tagging=tags(security="public", foo="bar"))
    s3.put_object_tagging(Bucket=bucket, Key="privatetag", Tagging=tags(security="private"))
    s3.put_object_tagging(Bucket=bucket, Key="invalidtag", Tagging=tags(security1="public"))
    return bucket


@pytest.mark.parametrize(
    ("action", "call"),
    [
        ("s3:GetObject", "get_object"),
        ("s3:GetObject", "head_object"),
        ("s3:GetObjectTagging", "get_object_tagging"),
        ("s3:GetObjectAcl", "get_object_acl"),
    ],
)
def test_tags_of_the_object_that_is_there(world: World, tagged: str, action: str, call: str) -> None:
    condition = {"StringEquals": {"s3:ExistingObjectTag/security": "public"}}
    world.policy(tagged, allow(action, f"{tagged}/*", Condition=condition))
    alt = world.client("s3", "alt")
    code = "403" if call == "head_object" else "AccessDenied"
    assert outcome(getattr(alt, call), Bucket=tagged, Key="publictag") == (200, "")
    for key in ("privatetag", "invalidtag", "untagged", "nothing"):
        assert outcome(getattr(alt, call), Bucket=tagged, Key=key) == (403, code)
    if action != "s3:GetObject":
        assert outcome(alt.get_object, Bucket=tagged, Key="publictag") == DENIED


def test_tags_are_set_while_those_that_are_there_let_it(world: World) -> None:
    bucket = world.open_bucket("publictag", "privatetag")
    s3, alt = world.client("s3"), world.client("s3", "alt")
    s3.put_object_tagging(Bucket=bucket, Key="publictag", Tagging=tags(security="public"))
    condition = {"StringEquals": {"s3:ExistingObjectTag/security": "public"}}
    world.policy(bucket, allow("s3:PutObjectTagging", f"{bucket}/*", Condition=condition))
    assert outcome(alt.put_object_tagging, Bucket=bucket, Key="privatetag", Tagging=tags(security="public")) == DENIED
    for value, expected in (("public", (200, "")), ("private", (200, "")), ("public", DENIED)):
        found = outcome(alt.put_object_tagging, Bucket=bucket, Key="publictag", Tagging=tags(security=value))
        assert found == expected


@pytest.mark.parametrize(
    ("condition", "parameters", "expected"),
    [
        ({"StringEquals": {"s3:RequestObjectTag/security": "public"}}, {}, DENIED),
        ({"StringEquals": {"s3:RequestObjectTag/security": "public"}}, {"Tagging": "security=public"}, (200, "")),
        ({"StringEquals": {"s3:RequestObjectTag/security": "public"}}, {"Tagging": "security=private"}, DENIED),
        ({"ForAllValues:StringLike": {"s3:RequestObjectTagKeys": ["a", "b"]}}, {"Tagging": "a=1&b=2"}, (200, "")),
        ({"ForAllValues:StringLike": {"s3:RequestObjectTagKeys": ["a", "b"]}}, {"Tagging": "a=1&c=2"}, DENIED),
        ({"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}, {}, DENIED),
        (
            {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
            {"ACL": "bucket-owner-full-control"},
            (200, ""),
        ),
        ({"StringEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}}, {"StorageClass": "STANDARD_IA"}, (200, "")),
        ({"StringEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}}, {}, DENIED),
        (
            {"StringEquals": {"s3:x-amz-server-side-encryption": "AES256"}},
            {"ServerSideEncryption": "AES256"},
            (200, ""),
        ),
        ({"StringEquals": {"s3:x-amz-server-side-encryption": "AES256"}}, {}, DENIED),
        ({"Null": {"s3:x-amz-server-side-encryption": "false"}}, {"ServerSideEncryption": "AES256"}, (200, "")),
        ({"Null": {"s3:if-none-match": "false"}}, {"IfNoneMatch": "*"}, (200, "")),
        ({"Null": {"s3:if-none-match": "false"}}, {}, DENIED),
        ({"StringEquals": {"s3:x-amz-website-redirect-location": "/x"}}, {"WebsiteRedirectLocation": "/x"}, (200, "")),
        ({"StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}}, {}, (200, "")),
        ({"StringEquals": {"s3:authType": "REST-HEADER"}}, {}, (200, "")),
        ({"StringEquals": {"s3:authType": "REST-QUERY-STRING"}}, {}, DENIED),
        ({"NumericLessThan": {"s3:signatureAge": "600000"}}, {}, (200, "")),
        ({"Bool": {"aws:SecureTransport": "true"}}, {}, DENIED),
        ({"Bool": {"aws:SecureTransport": "false"}}, {}, (200, "")),
        ({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, {}, DENIED),
        ({"StringEquals": {"aws:PrincipalAccount": ACCOUNTS["alt"]}}, {}, (200, "")),
        ({"StringEquals": {"aws:PrincipalAccount": ACCOUNTS["tenant"]}}, {}, DENIED),
        ({"StringEquals": {"aws:PrincipalType": "Account"}}, {}, (200, "")),
        ({"StringLike": {"aws:UserAgent": "Boto3/*"}}, {}, (200, "")),
        ({"DateGreaterThan": {"aws:CurrentTime": "2100-01-01T00:00:00Z"}}, {}, DENIED),
    ],
)
def test_conditions_on_a_write(
    world: World, condition: dict[str, Any], parameters: dict[str, str], expected: tuple[int, str]
) -> None:
    bucket = world.open_bucket()
    world.policy(
        bucket, allow(["s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging"], f"{bucket}/*", Condition=condition)
    )
    found = outcome(world.client("s3", "alt").put_object, Bucket=bucket, Key="key", Body=b"x", **parameters)
    assert found == expected


@pytest.mark.parametrize(
    ("condition", "parameters", "expected"),
    [
        ({"StringEquals": {"s3:prefix": "home/"}}, {"Prefix": "home/"}, (200, "")),
        ({"StringEquals": {"s3:prefix": "home/"}}, {"Prefix": "other/"}, DENIED),
        ({"StringEquals": {"s3:prefix": "home/"}}, {}, DENIED),
        ({"StringLike": {"s3:prefix": ["home/*"]}}, {"Prefix": "home/a/b"}, (200, "")),
        ({"StringEquals": {"s3:delimiter": "/"}}, {"Delimiter": "/"}, (200, "")),
        ({"StringEquals": {"s3:delimiter": "/"}}, {}, DENIED),
        ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, {"MaxKeys": 10}, (200, "")),
        ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, {"MaxKeys": 11}, DENIED),
        ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, {}, DENIED),
    ],
)
@pytest.mark.parametrize("call", ["list_objects", "list_objects_v2", "list_object_versions"])
def test_conditions_on_a_listing(
    world: World, call: str, condition: dict[str, Any], parameters: dict[str, Any], expected: tuple[int, str]
) -> None:
    bucket = world.open_bucket()
    world.policy(bucket, allow(["s3:ListBucket", "s3:ListBucketVersions"], bucket, Condition=condition))
    assert outcome(getattr(world.client("s3", "alt"), call), Bucket=bucket, **parameters) == expected


def test_a_copy_needs_its_source_and_its_target(world: World) -> None:
    source = world.open_bucket("public/foo", "public/bar", "private/foo")
    target = world.open_bucket()
    alt = world.client("s3", "alt")
    world.policy(target, allow("s3:PutObject", f"{target}/*"))
    copy = {"Bucket": target, "Key": "new", "CopySource": f"{source}/public/foo"}
    assert outcome(alt.copy_object, **copy) == DENIED
    world.policy(source, allow("s3:GetObject", f"{source}/*"))
    assert outcome(alt.copy_object, **copy) == (200, "")
    only = {"StringLike": {"s3:x-amz-copy-source": f"{source}/public/*"}}
    world.policy(target, allow("s3:PutObject", f"{target}/*", Condition=only))
    assert outcome(alt.copy_object, **copy) == (200, "")
    assert outcome(alt.copy_object, **{**copy, "CopySource": f"{source}/private/foo"}) == DENIED
    assert outcome(alt.put_object, Bucket=target, Key="new", Body=b"x") == DENIED
    kept = {"StringEquals": {"s3:x-amz-metadata-directive": "COPY"}}
    world.policy(target, allow("s3:PutObject", f"{target}/*", Condition=kept))
    assert outcome(alt.copy_object, **copy, MetadataDirective="COPY") == (200, "")
    assert outcome(alt.copy_object, **copy) == DENIED
    assert outcome(alt.copy_object, **copy, MetadataDirective="REPLACE", Metadata={"a": "b"}) == DENIED


def test_a_public_acl_may_be_denied(world: World) -> None:
    bucket = world.open_bucket()
    alt = world.client("s3", "alt")
    public = {"StringLike": {"s3:x-amz-acl": "public*"}}
    world.policy(
        bucket,
        allow(["s3:PutObject", "s3:PutObjectAcl"], f"{bucket}/*"),
        deny("s3:PutObject", f"{bucket}/*", Condition=public),
    )
    assert outcome(alt.put_object, Bucket=bucket, Key="private-key") == (200, "")
    assert outcome(alt.put_object, Bucket=bucket, Key="private-key", ACL="private") == (200, "")
    assert outcome(alt.put_object, Bucket=bucket, Key="public-key", ACL="public-read") == DENIED
    assert outcome(alt.put_object_acl, Bucket=bucket, Key="private-key", ACL="private") == (200, "")


def test_a_grant_to_the_owner_may_be_demanded(world: World) -> None:
    demanding, easy = world.open_bucket(), world.open_bucket()
    s3, alt = world.client("s3"), world.client("s3", "alt")
    owner = s3.list_buckets()["Owner"]["ID"]
    condition = {"StringEquals": {"s3:x-amz-grant-full-control": f"id={owner}"}}
    world.policy(demanding, allow("s3:PutObject", f"{demanding}/*", Condition=condition))
    world.policy(easy, allow("s3:PutObject", f"{easy}/*"))
    assert outcome(alt.put_object, Bucket=demanding, Key="key", GrantFullControl=f"id={owner}") == (200, "")
    assert outcome(alt.put_object, Bucket=demanding, Key="key") == DENIED
    assert outcome(alt.put_object, Bucket=easy, Key="key") == (200, "")
    assert outcome(s3.get_object_acl, Bucket=demanding, Key="key") == (200, "")
    assert outcome(s3.get_object_acl, Bucket=easy, Key="key") == DENIED
    assert alt.get_object_acl(Bucket=easy, Key="key")["Grants"][0]["Grantee"]["ID"] != owner


@pytest.mark.parametrize(
    ("demanded", "sent", "expected"),
    [
        ("AES256", None, DENIED),
        ("AES256", "AES256", (200, "")),
        ("AES256", "aws:kms", DENIED),
        ("aws:kms", None, DENIED),
        ("aws:kms", "AES256", DENIED),
        ("aws:kms", "aws:kms", (200, "")),
    ],
)
def test_encryption_may_be_demanded_of_the_owner_too(
    world: World, demanded: str, sent: str | None, expected: tuple[int, str]
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html#require-sse-kms"""
    bucket = world.bucket()
    key = "s3:x-amz-server-side-encryption"
    world.policy(
        bucket,
        deny("s3:PutObject", f"{bucket}/*", Condition={"StringNotEquals": {key: demanded}}),
        deny("s3:PutObject", f"{bucket}/*", Condition={"Null": {key: "true"}}),
    )
    more = {} if sent is None else {"ServerSideEncryption": sent}
    assert outcome(world.client("s3").put_object, Bucket=bucket, Key="key", **more) == expected


def test_parts_need_the_right_to_write(world: World) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions"""
    bucket = world.open_bucket()
    alt, s3 = world.client("s3", "alt"), world.client("s3")
    assert outcome(alt.create_multipart_upload, Bucket=bucket, Key="key") == DENIED
    world.policy(bucket, allow("s3:PutObject", f"{bucket}/*"))
    upload = {
        "Bucket": bucket,
        "Key": "key",
        "UploadId": alt.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"],
    }
    etag = alt.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    assert outcome(alt.list_multipart_uploads, Bucket=bucket) == DENIED
    assert outcome(s3.list_multipart_uploads, Bucket=bucket) == (200, "")
    parts = {"Parts": [{"ETag": etag, "PartNumber": 1}]}
    assert outcome(alt.complete_multipart_upload, **upload, MultipartUpload=parts) == (200, "")
    assert outcome(alt.get_object, Bucket=bucket, Key="key") == (200, "")  # who wrote it owns it here
    assert outcome(world.client("s3", "tenant").get_object, Bucket=bucket, Key="key") == DENIED


def test_deletions_are_of_their_own(world: World) -> None:
    bucket = world.open_bucket("a", "b")
    s3, alt = world.client("s3"), world.client("s3", "alt")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    world.policy(bucket, allow("s3:DeleteObject", f"{bucket}/*"))
    version = s3.put_object(Bucket=bucket, Key="a", Body=b"2")["VersionId"]
    assert outcome(alt.delete_object, Bucket=bucket, Key="a", VersionId=version) == DENIED
    assert outcome(alt.delete_object, Bucket=bucket, Key="a") == (204, "")
    rows = [{"Key": "b"}, {"Key": "a", "VersionId": version}]
    answer = alt.delete_objects(Bucket=bucket, Delete={"Objects": rows})
    assert [row["Key"] for row in answer["Deleted"]] == ["b"]
    assert [(row["Key"], row["Code"]) for row in answer["Errors"]] == [("a", "AccessDenied")]
    world.policy(bucket, allow(["s3:DeleteObjectVersion", "s3:GetObjectVersion"], f"{bucket}/*"))
    assert outcome(alt.get_object, Bucket=bucket, Key="a", VersionId=version) == (200, "")
    assert outcome(alt.get_object, Bucket=bucket, Key="a") == DENIED
    assert outcome(alt.delete_object, Bucket=bucket, Key="a", VersionId=version) == (204, "")
    assert outcome(alt.delete_object, Bucket=bucket, Key="a") == DENIED


def test_a_tenants_bucket_is_its_own(world: World) -> None:
    bucket = world.open_bucket("asdf", account="tenant")
    world.policy(bucket, allow("s3:ListBucket", bucket, Principal=ALT), account="tenant")
    assert outcome(world.client("s3", "alt").list_objects, Bucket=bucket) == (200, "")
    assert outcome(world.client("s3").list_objects, Bucket=bucket) == DENIED
    assert (
        outcome(world.client("s3").put_bucket_policy, Bucket=bucket, Policy=document(allow("s3:*", bucket))) == DENIED
    )
    assert bucket not in {row["Name"] for row in world.client("s3", "alt").list_buckets()["Buckets"]}


@pytest.mark.parametrize("element", ["NotPrincipal", "NotAction", "NotResource"])
def test_what_is_left_out(world: World, element: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notaction.html"""
    bucket = world.open_bucket("a", "b")
    statement = allow("s3:GetObject", f"{bucket}/*", Principal=ALT)
    changes: dict[str, dict[str, Any]] = {
        "NotPrincipal": {"Effect": "Deny", "Principal": None, "NotPrincipal": {"AWS": [ALT["AWS"]]}},
        "NotAction": {
            "Action": None,
            "NotAction": "s3:PutObject",
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        },
        "NotResource": {"Resource": None, "NotResource": f"arn:aws:s3:::{bucket}/a"},
    }
    changed = {**statement, **changes[element]}
    statements = [{name: value for name, value in changed.items() if value is not None}]
    if element == "NotPrincipal":
        statements.append(statement)
    world.policy(bucket, *statements)
    alt = world.client("s3", "alt")
    found = [outcome(alt.get_object, Bucket=bucket, Key=key)[0] for key in "ab"]
    assert found == ([403, 200] if element == "NotResource" else [200, 200])
    assert outcome(alt.put_object, Bucket=bucket, Key="a") == DENIED
    expected = 403 if element == "NotPrincipal" else 200
    assert outcome(world.client("s3").get_object, Bucket=bucket, Key="a")[0] == expected
