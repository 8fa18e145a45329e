"""Listings of versions, pages of any size, and deletions of versions that can't be.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.conftest import allow, of_identity, outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.conftest import World


@pytest.fixture(scope="module")
def s3(world: World) -> Any:
    return world.client("s3")


@pytest.fixture(scope="module")
def versioned(world: World, s3: Any) -> str:
    """Two versions of all but `c/1`, which has a marker on top, and one of the odd name."""
    bucket = world.bucket()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "a/1", "a/2", "b", "c/1"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    for key in ("a", "a/1", "a/2", "b", "odd\tü/<&>"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"2")
    s3.delete_object(Bucket=bucket, Key="c/1")
    return bucket


def pages(s3: Any, **asked: Any) -> Iterator[dict[str, Any]]:
    more: dict[str, str] = {}
    for _ in range(20):
        page = s3.list_object_versions(**asked, **more)
        yield page
        if not page["IsTruncated"]:
            return
        more = {"KeyMarker": page["NextKeyMarker"]}
        if page.get("NextVersionIdMarker"):
            more["VersionIdMarker"] = page["NextVersionIdMarker"]
    raise AssertionError("no end")


def rows(page: dict[str, Any]) -> list[tuple[str, bool]]:
    found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
    return [(row["Key"], row["IsLatest"]) for row in found]


ALL = [(key, latest) for key in ("a", "a/1", "a/2", "b") for latest in (True, False)]
ALL += [("c/1", True), ("c/1", False), ("odd\tü/<&>", True)]


@pytest.mark.parametrize("size", ["9" * 5000, "2147483648", "1.5", "x"], ids=["endless", "large", "broken", "none"])
def test_a_size_that_is_no_number_of_s3s_is_refused(world: World, versioned: str, size: str) -> None:
    found = world.signed("GET", f"/{versioned}?max-keys={size}")
    assert (found.status, found.code) == (400, "InvalidArgument")


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_every_version_is_on_one_page(s3: Any, versioned: str, size: int) -> None:
    found = [row for page in pages(s3, Bucket=versioned, MaxKeys=size) for row in rows(page)]
    assert sorted(found) == sorted(ALL)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_folder_is_one_row_of_one_page(s3: Any, versioned: str, size: int) -> None:
    seen = list(pages(s3, Bucket=versioned, MaxKeys=size, Delimiter="/"))
    assert sorted(row for page in seen for row in rows(page)) == [("a", False), ("a", True), ("b", False), ("b", True)]
    folders = [row["Prefix"] for page in seen for row in page.get("CommonPrefixes", ())]
    assert folders == ["a/", "c/", "odd\tü/"]
    assert all(len(rows(page)) + len(page.get("CommonPrefixes", ())) <= size for page in seen)
    assert all(page["Delimiter"] == "/" for page in seen)


def test_below_a_prefix(s3: Any, versioned: str) -> None:
    (page,) = pages(s3, Bucket=versioned, Prefix="a/", Delimiter="/")
    assert rows(page) == [("a/1", True), ("a/1", False), ("a/2", True), ("a/2", False)]
    (page,) = pages(s3, Bucket=versioned, Prefix="a", Delimiter="/")
    assert rows(page) == [("a", True), ("a", False)]
    assert page["CommonPrefixes"] == [{"Prefix": "a/"}]


def test_what_is_behind_a_marker(world: World, s3: Any, versioned: str) -> None:
    assert rows(s3.list_object_versions(Bucket=versioned, KeyMarker="a/1", MaxKeys=2)) == [
        ("a/2", True),
        ("a/2", False),
    ]
    assert rows(s3.list_object_versions(Bucket=versioned, KeyMarker="aa", MaxKeys=1)) == [("b", True)]
    assert s3.list_object_versions(Bucket=versioned, KeyMarker="zz")["IsTruncated"] is False
    none = s3.list_object_versions(Bucket=versioned, MaxKeys=0)
    assert (rows(none), none["IsTruncated"]) == ([], False)
    for query in ("version-id-marker=null", "key-marker=a&version-id-marker=", "key-marker=a&version-id-marker=none"):
        assert world.signed("GET", f"/{versioned}?versions&{query}").code == "InvalidArgument"


def test_a_bucket_is_emptied_page_by_page(world: World, s3: Any) -> None:
    bucket = world.bucket()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in range(5):
        s3.put_object(Bucket=bucket, Key="key", Body=str(number).encode())
    for page in pages(s3, Bucket=bucket, MaxKeys=2):
        gone = [{"Key": row["Key"], "VersionId": row["VersionId"]} for row in page["Versions"]]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": gone})
    assert outcome(s3.delete_bucket, Bucket=bucket) == (204, "")


def test_names_are_encoded_where_that_is_asked_for(world: World, versioned: str) -> None:
    asked = f"/{versioned}?versions&encoding-type=url&prefix=odd%09&delimiter=%26"
    body = world.signed("GET", asked).body.decode()
    assert "<EncodingType>url</EncodingType>" in body
    assert "<Prefix>odd%09</Prefix>" in body
    assert "<Delimiter>%26</Delimiter>" in body
    assert "<Prefix>odd%09%C3%BC/%3C%26</Prefix>" in body


@pytest.mark.parametrize("asked", ["list-type=2&", "", "versions&"])
def test_a_page_has_no_more_than_a_thousand_rows_and_says_so(world: World, versioned: str, asked: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html: up to 1,000 key names."""
    for size, told in ((2000, 1000), (1000, 1000), (2, 2)):
        assert f"<MaxKeys>{told}</MaxKeys>" in world.signed("GET", f"/{versioned}?{asked}max-keys={size}").body.decode()


def test_policies_see_the_page_size_that_was_asked_for(world: World, versioned: str) -> None:
    condition = {"NumericLessThanEquals": {"s3:max-keys": "1000"}}
    user = world.client("s3", world.user(of_identity(allow("s3:ListBucket", versioned, Condition=condition))))
    assert outcome(user.list_objects_v2, Bucket=versioned, MaxKeys=1000)[0] == 200
    assert outcome(user.list_objects_v2, Bucket=versioned, MaxKeys=2000)[0] == 403


def test_parts_are_paged_alike(world: World, s3: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html"""
    bucket = world.bucket()
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    assert s3.list_parts(Bucket=bucket, Key="key", UploadId=upload, MaxParts=5000)["MaxParts"] == 1000


def test_a_version_that_can_not_be_is_refused_on_its_own(world: World, s3: Any) -> None:
    bucket = world.bucket("kept", "gone")
    objects = [{"Key": "kept", "VersionId": "not a version"}, {"Key": "gone"}]
    found = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert [row["Key"] for row in found["Deleted"]] == ["gone"]
    (error,) = found["Errors"]
    assert (error["Key"], error["VersionId"], error["Code"]) == ("kept", "not a version", "NoSuchVersion")
    assert outcome(s3.head_object, Bucket=bucket, Key="kept") == (200, "")
    assert outcome(s3.delete_object, Bucket=bucket, Key="kept", VersionId="not a version") == (400, "InvalidArgument")
