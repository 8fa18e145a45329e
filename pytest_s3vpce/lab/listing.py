"""Which keys and common prefixes a listing has, page by page, where the library that holds the state differs.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-prefixes.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


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


def _entries(living: dict[str, Any], prefix: str, delimiter: str, marker: str) -> list[tuple[str, Any]]:
    """Names after the marker in their order, with their keys; None for a common prefix."""
    found: dict[str, Any] = {}
    for name in sorted(name for name in living if name.startswith(prefix) and name > marker):
        end = name.find(delimiter, len(prefix)) if delimiter else -1
        if end < 0:
            found[name] = living[name]
        elif (folder := name[: end + len(delimiter)]) != marker:
            found[folder] = None
    return list(found.items())
