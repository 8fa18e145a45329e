"""Access control lists, where ownership leaves them on: whom they let in, who owns an object, what they do not do.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.handlers import set_list_objects_encoding_type_url

from pytest_s3vpce.lab.acls import canonical_id
from tests.unit.labstage import Stage, allow, deny, policy, refusal

MAIN, PARTNER, THIRD = "310000000071", "310000000072", "310000000073"
OPEN, PREFERRED = "lab-acls-open", "lab-acls-preferred"
ALL_USERS = "uri=http://acs.amazonaws.com/groups/global/AllUsers"
ANY_USER = "uri=http://acs.amazonaws.com/groups/global/AuthenticatedUsers"


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN, PARTNER, THIRD)
    s3 = made.admin(MAIN).client("s3")
    for bucket, ownership in ((OPEN, "ObjectWriter"), (PREFERRED, "BucketOwnerPreferred")):
        s3.create_bucket(Bucket=bucket, ObjectOwnership=ownership)
        s3.delete_public_access_block(Bucket=bucket)
    return made


@pytest.fixture
def s3(stage: Stage) -> Any:
    client = stage.admin(MAIN).client("s3")
    client.put_object(Bucket=OPEN, Key="k", Body=b"x")
    yield client
    client.put_bucket_acl(Bucket=OPEN, ACL="private")
    client.delete_bucket_policy(Bucket=OPEN)
    client.delete_public_access_block(Bucket=OPEN)


@pytest.fixture
def partner(stage: Stage) -> Any:
    return stage.admin(PARTNER).client("s3")


def nobody(stage: Stage) -> Any:
    return stage.user(MAIN).client("s3", signature_version=UNSIGNED)


def forbidden(call: Any, **parameters: Any) -> bool:
    return refusal(call, **parameters)[:2] == (403, "AccessDenied")


def test_an_account_is_shown_by_its_canonical_id(s3: Any, partner: Any) -> None:
    assert s3.list_buckets()["Owner"]["ID"] == canonical_id(MAIN)
    assert partner.list_buckets()["Owner"]["ID"] == canonical_id(PARTNER)
    acl = s3.get_bucket_acl(Bucket=OPEN)
    assert acl["Owner"]["ID"] == acl["Grants"][0]["Grantee"]["ID"] == canonical_id(MAIN)


def test_a_private_object_is_its_owners_accounts(stage: Stage, s3: Any, partner: Any) -> None:
    assert s3.get_object(Bucket=OPEN, Key="k")
    assert forbidden(partner.get_object, Bucket=OPEN, Key="k")
    assert forbidden(nobody(stage).get_object, Bucket=OPEN, Key="k")


def test_an_object_is_opened_to_everybody_or_to_whoever_signs(stage: Stage, s3: Any, partner: Any) -> None:
    s3.put_object_acl(Bucket=OPEN, Key="k", ACL="public-read")
    assert nobody(stage).get_object(Bucket=OPEN, Key="k")
    assert partner.get_object(Bucket=OPEN, Key="k")
    assert forbidden(nobody(stage).get_object_acl, Bucket=OPEN, Key="k")
    assert forbidden(nobody(stage).list_objects_v2, Bucket=OPEN)
    s3.put_object_acl(Bucket=OPEN, Key="k", ACL="authenticated-read")
    assert forbidden(nobody(stage).get_object, Bucket=OPEN, Key="k")
    assert partner.get_object(Bucket=OPEN, Key="k")


@pytest.mark.parametrize(
    ("grant", "allowed"),
    [
        ("GrantRead", {"get_object"}),
        ("GrantReadACP", {"get_object_acl"}),
        ("GrantFullControl", {"get_object", "get_object_acl", "put_object_acl"}),
    ],
)
def test_a_grant_to_an_account_is_what_its_name_says(s3: Any, partner: Any, grant: str, allowed: set[str]) -> None:
    s3.put_object_acl(Bucket=OPEN, Key="k", **{grant: f"id={canonical_id(PARTNER)}"})
    for name, more in (("get_object", {}), ("get_object_acl", {}), ("put_object_acl", {"ACL": "private"})):
        call = getattr(partner, name)
        if name in allowed:
            assert call(Bucket=OPEN, Key="k", **more), name
        else:
            assert forbidden(call, Bucket=OPEN, Key="k", **more), name


@pytest.mark.parametrize(
    ("grant", "allowed"),
    [
        ("GrantRead", {"list_objects_v2", "list_object_versions"}),
        ("GrantWrite", {"put_object"}),
        ("GrantReadACP", {"get_bucket_acl"}),
        ("GrantWriteACP", {"put_bucket_acl"}),
    ],
)
def test_a_grant_on_a_bucket_is_what_its_name_says(s3: Any, partner: Any, grant: str, allowed: set[str]) -> None:
    calls: dict[str, dict[str, Any]] = {
        "list_objects_v2": {},
        "list_object_versions": {},
        "put_object": {"Key": "theirs", "Body": b""},
        "get_bucket_acl": {},
        "put_bucket_acl": {"ACL": "private"},
    }
    s3.put_bucket_acl(Bucket=OPEN, **{grant: f"id={canonical_id(PARTNER)}"})
    for name, more in calls.items():
        call = getattr(partner, name)
        if name in allowed:
            assert call(Bucket=OPEN, **more), name
        else:
            assert forbidden(call, Bucket=OPEN, **more), name
    assert forbidden(partner.get_object, Bucket=OPEN, Key="k")
    assert forbidden(partner.delete_object, Bucket=OPEN, Key="k")


def test_a_bucket_that_everybody_may_write_to(stage: Stage, s3: Any) -> None:
    s3.put_bucket_acl(Bucket=OPEN, ACL="public-read-write")
    assert nobody(stage).list_objects_v2(Bucket=OPEN)
    assert nobody(stage).put_object(Bucket=OPEN, Key="anybodys", Body=b"")


def test_an_acl_only_allows(stage: Stage, s3: Any, partner: Any) -> None:
    s3.put_object_acl(Bucket=OPEN, Key="k", ACL="public-read")
    s3.put_bucket_policy(Bucket=OPEN, Policy=policy(deny("s3:GetObject", f"arn:aws:s3:::{OPEN}/*", Principal="*")))
    assert forbidden(nobody(stage).get_object, Bucket=OPEN, Key="k")
    assert forbidden(partner.get_object, Bucket=OPEN, Key="k")


def test_public_grants_are_ignored_while_that_is_set(stage: Stage, s3: Any, partner: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html"""
    s3.put_object_acl(Bucket=OPEN, Key="k", ACL="public-read")
    s3.put_public_access_block(Bucket=OPEN, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    assert forbidden(nobody(stage).get_object, Bucket=OPEN, Key="k")
    assert forbidden(partner.get_object, Bucket=OPEN, Key="k")
    s3.put_object_acl(Bucket=OPEN, Key="k", GrantRead=f"id={canonical_id(PARTNER)}")
    assert partner.get_object(Bucket=OPEN, Key="k")


def test_who_writes_an_object_owns_it(stage: Stage, s3: Any, partner: Any) -> None:
    s3.put_bucket_acl(Bucket=OPEN, GrantWrite=f"id={canonical_id(PARTNER)}")
    partner.put_object(Bucket=OPEN, Key="own", Body=b"theirs")
    assert partner.get_object_acl(Bucket=OPEN, Key="own")["Owner"]["ID"] == canonical_id(PARTNER)
    assert partner.get_object(Bucket=OPEN, Key="own")
    # Neither the bucket's owner nor its policy reaches it.
    assert forbidden(s3.get_object, Bucket=OPEN, Key="own")
    third = stage.admin(THIRD).client("s3")
    grant = allow("s3:GetObject", f"arn:aws:s3:::{OPEN}/*", Principal={"AWS": THIRD})
    s3.put_bucket_policy(Bucket=OPEN, Policy=policy(grant))
    assert third.get_object(Bucket=OPEN, Key="k")
    assert forbidden(third.get_object, Bucket=OPEN, Key="own")
    partner.put_object_acl(Bucket=OPEN, Key="own", GrantRead=f"id={canonical_id(MAIN)}")
    assert s3.get_object(Bucket=OPEN, Key="own")
    # Its account may remove what it does not own.
    assert s3.delete_object(Bucket=OPEN, Key="own")


def test_lists_name_the_writers_of_objects(s3: Any, partner: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html: the owner of an object"""
    names, ours, theirs = ("w/their & <own>", "w/ours"), canonical_id(MAIN), canonical_id(PARTNER)
    s3.put_bucket_acl(Bucket=OPEN, GrantWrite=f"id={theirs}")
    partner.put_object(Bucket=OPEN, Key=names[0], Body=b"")
    s3.put_object(Bucket=OPEN, Key=names[1], Body=b"")
    wanted, asked = {names[0]: theirs, names[1]: ours}, {"Bucket": OPEN, "Prefix": "w/"}

    def owners(rows: Any) -> dict[str, str]:
        return {row["Key"]: row["Owner"]["ID"] for row in rows}

    assert owners(s3.list_objects(**asked)["Contents"]) == wanted
    assert owners(s3.list_objects_v2(**asked, FetchOwner=True)["Contents"]) == wanted
    assert owners(s3.list_object_versions(**asked)["Versions"]) == wanted
    assert all("Owner" not in row for row in s3.list_objects_v2(**asked)["Contents"])
    s3.meta.events.unregister("before-parameter-build.s3.ListObjects", set_list_objects_encoding_type_url)
    assert owners(s3.list_objects(**asked)["Contents"]) == wanted


@pytest.mark.parametrize(
    ("acl", "readable"), [("bucket-owner-full-control", True), ("bucket-owner-read", True), ("private", False)]
)
def test_a_canned_acl_lets_the_buckets_owner_in(stage: Stage, s3: Any, acl: str, readable: bool) -> None:
    write = allow(["s3:PutObject", "s3:PutObjectAcl"], f"arn:aws:s3:::{OPEN}/*", Principal={"AWS": PARTNER})
    s3.put_bucket_policy(Bucket=OPEN, Policy=policy(write))
    stage.admin(PARTNER).client("s3").put_object(Bucket=OPEN, Key=acl, Body=b"", ACL=acl)
    assert s3.list_objects_v2(Bucket=OPEN, Prefix=acl)["KeyCount"] == 1
    if readable:
        assert s3.get_object(Bucket=OPEN, Key=acl)
    else:
        assert forbidden(s3.get_object, Bucket=OPEN, Key=acl)


def test_the_preferred_owner_is_the_buckets(stage: Stage, s3: Any, partner: Any) -> None:
    write = allow(["s3:PutObject", "s3:PutObjectAcl"], f"arn:aws:s3:::{PREFERRED}/*", Principal={"AWS": PARTNER})
    s3.put_bucket_policy(Bucket=PREFERRED, Policy=policy(write))
    partner.put_object(Bucket=PREFERRED, Key="given", Body=b"", ACL="bucket-owner-full-control")
    assert s3.get_object_acl(Bucket=PREFERRED, Key="given")["Owner"]["ID"] == canonical_id(MAIN)
    assert forbidden(partner.get_object, Bucket=PREFERRED, Key="given")
    partner.put_object(Bucket=PREFERRED, Key="kept", Body=b"")
    assert forbidden(s3.get_object, Bucket=PREFERRED, Key="kept")
    # Once ACLs are off, everything is the bucket owner's.
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_ownership_controls(Bucket=PREFERRED, OwnershipControls=enforced)
    assert s3.get_object(Bucket=PREFERRED, Key="kept")
    assert forbidden(partner.get_object, Bucket=PREFERRED, Key="kept")


def test_addresses_name_nobody_any_more(s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html"""
    by_header = refusal(s3.put_bucket_acl, Bucket=OPEN, GrantRead='emailAddress="a@example.com"')
    assert by_header[:2] == (405, "MethodNotAllowed")
    acl = s3.get_bucket_acl(Bucket=OPEN)
    grantee = {"Type": "AmazonCustomerByEmail", "EmailAddress": "a@example.com"}
    whole = {"Owner": acl["Owner"], "Grants": [{"Grantee": grantee, "Permission": "READ"}]}
    assert refusal(s3.put_bucket_acl, Bucket=OPEN, AccessControlPolicy=whole)[:2] == (405, "MethodNotAllowed")


def test_a_copy_reads_its_source_by_the_sources_acl(s3: Any, partner: Any) -> None:
    partner.create_bucket(Bucket="lab-acls-target")
    source = {"Bucket": OPEN, "Key": "k"}
    assert forbidden(partner.copy_object, Bucket="lab-acls-target", Key="k", CopySource=source)
    s3.put_object_acl(Bucket=OPEN, Key="k", GrantRead=f"id={canonical_id(PARTNER)}")
    assert partner.copy_object(Bucket="lab-acls-target", Key="k", CopySource=source)


def test_a_policy_may_name_an_account_by_its_canonical_id(stage: Stage, s3: Any, partner: Any) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html"""
    objects = f"arn:aws:s3:::{OPEN}/*"
    third = stage.admin(THIRD).client("s3")
    both = allow("s3:GetObject", objects, Principal={"CanonicalUser": canonical_id(PARTNER), "AWS": THIRD})
    s3.put_bucket_policy(Bucket=OPEN, Policy=policy(both))
    assert partner.get_object(Bucket=OPEN, Key="k")
    assert third.get_object(Bucket=OPEN, Key="k")
    only = {"Version": "2012-10-17", "Statement": {**both, "Principal": {"CanonicalUser": [canonical_id(THIRD)]}}}
    s3.put_bucket_policy(Bucket=OPEN, Policy=json.dumps(only))
    assert third.get_object(Bucket=OPEN, Key="k")
    assert forbidden(partner.get_object, Bucket=OPEN, Key="k")


# --- lists as requests give them -------------------------------------------------------------------------------------

GROUP = "http://acs.amazonaws.com/groups/global/AllUsers"
EVERYBODY = {"Grantee": {"Type": "Group", "URI": GROUP}, "Permission": "READ"}
OWNER = {"ID": canonical_id(MAIN)}


def of(*grants: dict[str, Any], owner: dict[str, str] = OWNER) -> dict[str, Any]:
    return {"Owner": owner, "Grants": list(grants)}


def to(name: str, permission: str = "READ", kind: str = "CanonicalUser") -> dict[str, Any]:
    return {"Grantee": {"Type": kind, "ID": name}, "Permission": permission}


def test_a_document_is_the_list(stage: Stage, s3: Any, partner: Any) -> None:
    whole = of(EVERYBODY, to(canonical_id(PARTNER), "READ_ACP"))
    s3.put_object_acl(Bucket=OPEN, Key="k", AccessControlPolicy=whole)
    shown = partner.get_object_acl(Bucket=OPEN, Key="k")
    assert (shown["Owner"], shown["Grants"]) == (whole["Owner"], whole["Grants"])
    assert nobody(stage).get_object(Bucket=OPEN, Key="k")
    s3.put_bucket_acl(Bucket=OPEN, AccessControlPolicy=of(EVERYBODY))
    assert nobody(stage).list_objects_v2(Bucket=OPEN)
    s3.put_bucket_acl(Bucket=OPEN, AccessControlPolicy=of())
    assert s3.get_bucket_acl(Bucket=OPEN)["Grants"] == []
    assert forbidden(nobody(stage).list_objects_v2, Bucket=OPEN)


def test_a_new_object_has_a_list_of_its_own(stage: Stage, s3: Any, partner: Any) -> None:
    """Not the bucket's. https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html"""
    s3.put_bucket_acl(Bucket=OPEN, ACL="public-read-write")
    given = [row["Permission"] for row in s3.get_bucket_acl(Bucket=OPEN)["Grants"]]
    assert given == ["FULL_CONTROL", "READ", "WRITE"]
    s3.put_object(Bucket=OPEN, Key="new", Body=b"")
    s3.copy_object(Bucket=OPEN, Key="copy", CopySource={"Bucket": OPEN, "Key": "new"})
    for key in ("new", "copy"):
        assert forbidden(nobody(stage).get_object, Bucket=OPEN, Key=key)
    upload = {"Bucket": OPEN, "Key": "parts"}
    for acl, forbids in (({}, True), ({"ACL": "public-read"}, False)):
        made = {**upload, "UploadId": s3.create_multipart_upload(**upload, **acl)["UploadId"]}
        part = s3.upload_part(**made, PartNumber=1, Body=b"x")["ETag"]
        s3.complete_multipart_upload(**made, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
        if forbids:
            assert forbidden(nobody(stage).get_object, **upload)
        else:
            assert nobody(stage).get_object(**upload)
    partners = partner.create_multipart_upload(Bucket=OPEN, Key="theirs")["UploadId"]
    made = {"Bucket": OPEN, "Key": "theirs", "UploadId": partners}
    part = partner.upload_part(**made, PartNumber=1, Body=b"x")["ETag"]
    partner.complete_multipart_upload(**made, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
    assert forbidden(s3.get_object, Bucket=OPEN, Key="theirs")


def test_a_versions_list_is_its_own(stage: Stage) -> None:
    bucket = "lab-acls-versions"
    s3 = stage.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=bucket, ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old, new = (s3.put_object(Bucket=bucket, Key="k", Body=b"")["VersionId"] for _ in range(2))
    s3.put_object_acl(Bucket=bucket, Key="k", VersionId=old, ACL="public-read")
    assert nobody(stage).get_object(Bucket=bucket, Key="k", VersionId=old)
    assert forbidden(nobody(stage).get_object, Bucket=bucket, Key="k")
    counts = [len(s3.get_object_acl(Bucket=bucket, Key="k", VersionId=name)["Grants"]) for name in (old, new)]
    assert counts == [2, 1]


def test_a_new_buckets_list_is_what_its_request_says(stage: Stage, partner: Any) -> None:
    bucket = "lab-acls-granted"
    s3 = stage.admin(MAIN).client("s3")
    odd = {"Bucket": bucket, "ObjectOwnership": "ObjectWriter", "GrantRead": "somebody"}
    assert refusal(s3.create_bucket, **odd)[:2] == (400, "InvalidArgument")
    assert bucket not in [row["Name"] for row in s3.list_buckets()["Buckets"]]
    s3.create_bucket(**{**odd, "GrantRead": f"id={canonical_id(PARTNER)}"})
    assert partner.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_who_owns_an_object_gives_it_to_the_buckets_owner(stage: Stage, s3: Any, partner: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-walkthroughs-managing-access-example3.html"""
    s3.put_bucket_acl(Bucket=OPEN, GrantWrite=f"id={canonical_id(PARTNER)}")
    partner.put_object(Bucket=OPEN, Key="kept", Body=b"")
    assert forbidden(s3.get_object, Bucket=OPEN, Key="kept")
    partner.put_object_acl(Bucket=OPEN, Key="kept", ACL="bucket-owner-full-control")
    assert s3.get_object(Bucket=OPEN, Key="kept")
    assert s3.get_object_acl(Bucket=OPEN, Key="kept")["Owner"]["ID"] == canonical_id(PARTNER)


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({}, 400, "MissingSecurityHeader"),
        ({"AccessControlPolicy": {}}, 400, "MalformedACLError"),
        ({"AccessControlPolicy": {"Grants": [EVERYBODY]}}, 400, "MalformedACLError"),
        ({"AccessControlPolicy": {"Owner": OWNER}}, 400, "MalformedACLError"),
        ({"AccessControlPolicy": of({**EVERYBODY, "Permission": "LOOK"})}, 400, "MalformedACLError"),
        ({"AccessControlPolicy": of(to(OWNER["ID"], kind="Somebody"))}, 400, "MalformedACLError"),
        ({"AccessControlPolicy": of({"Permission": "READ"})}, 400, "MalformedACLError"),
        ({"AccessControlPolicy": of(owner={"ID": "me"})}, 400, "InvalidArgument"),
        ({"AccessControlPolicy": of(to("you"))}, 400, "InvalidArgument"),
        (
            {"AccessControlPolicy": of({"Grantee": {"Type": "Group", "URI": "us"}, "Permission": "READ"})},
            400,
            "Invalid",
        ),
        ({"AccessControlPolicy": of(owner={"ID": canonical_id(PARTNER)})}, 403, "AccessDenied"),
        ({"GrantRead": f'uri="{GROUP}s"'}, 400, "InvalidArgument"),
        ({"GrantRead": "id=you"}, 400, "InvalidArgument"),
        ({"GrantRead": "name=you"}, 400, "InvalidArgument"),
        ({"GrantRead": "you"}, 400, "InvalidArgument"),
        ({"GrantRead": ALL_USERS, "ACL": "private"}, 400, "InvalidRequest"),
        ({"AccessControlPolicy": of(), "ACL": "private"}, 400, "UnexpectedContent"),
    ],
)
def test_a_list_that_s3_does_not_take_changes_nothing(s3: Any, given: dict[str, Any], status: int, code: str) -> None:
    for call, what in ((s3.put_bucket_acl, {"Bucket": OPEN}), (s3.put_object_acl, {"Bucket": OPEN, "Key": "k"})):
        found = refusal(call, **what, **given)
        assert (found[0], found[1][: len(code)]) == (status, code)
    assert len(s3.get_object_acl(Bucket=OPEN, Key="k")["Grants"]) == 1


def test_where_lists_are_off_the_owners_own_is_taken_in_each_form(stage: Stage) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-ownership-error-responses.html"""
    bucket = "lab-acls-off"
    s3 = stage.admin(MAIN).client("s3")
    s3.create_bucket(Bucket=bucket)
    whole = of(to(OWNER["ID"], "FULL_CONTROL"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"", GrantFullControl=f"id={OWNER['ID']}")
    s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=whole)
    s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=whole)
    others = of(*whole["Grants"], to(canonical_id(PARTNER)))
    assert refusal(s3.put_bucket_acl, Bucket=bucket, AccessControlPolicy=others)[1] == "AccessControlListNotSupported"
    assert s3.get_object_acl(Bucket=bucket, Key="k")["Grants"] == whole["Grants"]
