"""Which keys and common prefixes a listing has, page by page, where the library that holds the state differs.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-prefixes.html
"""

from __future__ import annotations

import datetime as dt
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


_NARROWING = {"prefix", "bucket-region", "max-buckets", "continuation-token"}


class Listed:
    """A version as a listing tells of it: the newest of its key, or an older one."""

    def __init__(self, version: Any, *, is_latest: bool) -> None:
        self.version = version
        self.is_latest = is_latest

    def __getattr__(self, name: str) -> Any:
        return getattr(self.version, name)


def mend_listings(backend_class: Any, *, marker_class: Any) -> None:
    """Pages count keys and prefixes alike, the next marker is a name, and what is deleted is in no listing."""

    def list_objects(
        _self: Any, bucket: Any, prefix: str | None, delimiter: str | None, marker: str | None, max_keys: int | None
    ) -> tuple[list[Any], list[str], bool, str | None]:
        living = {name: key for name, key in bucket.keys.items() if not isinstance(key, marker_class)}
        found = _entries(living, prefix or "", delimiter or "", marker or "")
        page = found if max_keys is None else found[:max_keys]
        truncated = bool(page) and len(page) < len(found)
        keys = [key for _, key in page if key is not None]
        folders = [name for name, key in page if key is None]
        return keys, folders, truncated, page[-1][0] if truncated and delimiter else None

    backend_class.list_objects = list_objects
    backend_class.list_object_versions = _listing_versions(marker_class)


def _listing_versions(marker_class: Any) -> Callable[..., Any]:
    def list_object_versions(
        self: Any,
        bucket_name: str,
        *,
        delimiter: str | None = None,
        key_marker: str | None = None,
        max_keys: int | None = None,
        prefix: str = "",
        version_id_marker: str | None = None,
    ) -> tuple[list[Any], list[str], list[Any], str | None, str | None]:
        every = _versions(self.get_bucket(bucket_name).keys.iterlists())
        left = behind(every, key_marker or "", version_id_marker, name_of=_version_of)
        found = grouped(left, prefix=prefix or "", delimiter=delimiter or "", marker=key_marker or "")
        page = found if max_keys is None else found[:max_keys]
        last, version = page[-1] if page and len(page) < len(found) else (None, None)
        told = [each for _, each in page if each is not None]
        return (
            [each for each in told if not isinstance(each.version, marker_class)],
            [name for name, each in page if each is None],
            [each for each in told if isinstance(each.version, marker_class)],
            last,
            None if version is None else _version_of(version),
        )

    return list_object_versions


def mend_stores(store_class: Any) -> None:
    """A bucket's objects are walked as they are at one moment: what is deleted on the way was there."""

    def lists(self: Any) -> Iterator[tuple[str, list[Any]]]:
        # A copy of the lists themselves: to look each up again fails where another request took it away.
        return ((name, versions) for name, versions in dict.items(dict(self)) if versions)

    def items(self: Any) -> Iterator[tuple[str, Any]]:
        return ((name, versions[-1]) for name, versions in lists(self))

    def values(self: Any) -> Iterator[Any]:
        return (version for _, version in items(self))

    for found in (lists, items, values):
        for prefix in ("", "iter", "_iter"):
            setattr(store_class, f"{prefix}{found.__name__}", found)


def mend_answers(response_class: Any, *, upload_class: Any) -> None:
    """Uploads know when they were begun, and buckets are told with their Regions to who asks with a parameter.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
    """
    begin, serialized = upload_class.__init__, response_class.serialized

    def begun(self: Any, *args: Any, **named: Any) -> None:
        begin(self, *args, **named)
        self.begun = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def told(self: Any, action_result: Any) -> Any:
        if self.data.get("Action") == "ListBuckets" and _NARROWING & set(self.querystring):
            for row in action_result.result["Buckets"]:
                if (bucket := self.backend.buckets.get(row["Name"])) is not None:
                    row["BucketRegion"] = bucket.region_name
        return serialized(self, action_result)

    upload_class.__init__, response_class.serialized = begun, told


def _versions(keys: Iterable[tuple[str, list[Any]]]) -> Iterator[tuple[str, Listed]]:
    """All versions, key by key in their order, the newest of each first."""
    for name, versions in sorted(keys, key=itemgetter(0)):
        newest = len(versions) - 1
        for place in range(newest, -1, -1):
            yield name, Listed(versions[place], is_latest=place == newest)


def behind(
    every: Iterable[tuple[str, Any]], key: str, marker: str | None, *, name_of: Callable[[Any], str]
) -> Iterator[tuple[str, Any]]:
    """Those behind the marker: behind all of its key, or behind the version or upload that it names.

    That one may be gone by now, with all that were listed before it: what is left of its key is behind it then.
    """
    same: list[tuple[str, Any]] = []
    for name, each in every:
        if name > key:
            yield from same
            same = []
            yield name, each
        elif name == key and marker:
            same = [] if name_of(each) == marker else [*same, (name, each)]
    yield from same


def _version_of(each: Listed) -> str:
    return str(each.version_id or "null")


def _entries(living: dict[str, Any], prefix: str, delimiter: str, marker: str) -> list[tuple[str, Any]]:
    """Names after the marker in their order, with their keys; None for a common prefix."""
    after = ((name, living[name]) for name in sorted(living) if name > marker)
    return grouped(after, prefix=prefix, delimiter=delimiter, marker=marker)


def grouped(rows: Iterable[tuple[str, Any]], *, prefix: str, delimiter: str, marker: str) -> list[tuple[str, Any]]:
    """The rows below the prefix, with one that says None for all that share a folder: it is told of once."""
    found: list[tuple[str, Any]] = []
    last = marker
    for name, row in rows:
        if not name.startswith(prefix):
            continue
        end = name.find(delimiter, len(prefix)) if delimiter else -1
        if end < 0:
            found.append((name, row))
        elif (folder := name[: end + len(delimiter)]) != last:
            found.append((folder, None))
            last = folder
    return found
