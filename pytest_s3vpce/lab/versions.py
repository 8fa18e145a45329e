"""Versions as S3 keeps them, where the library that holds the account state does not: in suspended buckets.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/AddingObjectstoVersionSuspendedBuckets.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectsfromVersioningSuspendedBuckets.html
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_NULL: Final = "null"
_SUSPENDED: Final = "Suspended"


def mend_versions(backend_class: Any, *, marker_class: Any) -> None:
    """A suspended bucket keeps the versions that it has, and writes the null one; a marker needs no object below."""
    backend_class.put_object = _putting(backend_class.put_object)
    backend_class.delete_object = _deleting(backend_class.delete_object, marker_class=marker_class)


def _putting(put: Callable[..., Any]) -> Callable[..., Any]:
    def put_object(self: Any, bucket_name: str, key_name: str, *args: Any, **named: Any) -> Any:
        keys = self.get_bucket(bucket_name).keys
        kept = _others(self, bucket_name, key_name, _NULL) if _suspended(self, bucket_name) else []
        for entry in kept:
            entry.dispose = _stay  # as every version that is not in the new list
        made = put(self, bucket_name, key_name, *args, **named)
        if kept:
            keys.setlist(key_name, [*kept, made])
        for entry in kept:
            del entry.dispose
        return made

    return put_object


def _deleting(delete: Callable[..., Any], *, marker_class: Any) -> Callable[..., Any]:
    def delete_object(
        self: Any, bucket_name: str, key_name: str, version_id: str | None = None, **named: Any
    ) -> tuple[bool, dict[str, Any]]:
        bucket = self.get_bucket(bucket_name)
        marks = version_id is None and bucket.versioning_status is not None
        if marks and (_suspended(self, bucket_name) or key_name not in bucket.keys):
            marker = marker_class(key=SimpleNamespace(name=key_name))
            if _suspended(self, bucket_name):
                marker._version_id = _NULL  # noqa: SLF001 - it has no other way to be told
            bucket.keys.setlist(key_name, [*_others(self, bucket_name, key_name, marker.version_id), marker])
            return True, {"version-id": marker.version_id, "delete-marker": "true"}
        found = [entry for entry in bucket.keys.getlist(key_name, []) if str(entry.version_id) == version_id]
        if _suspended(self, bucket_name):
            _keep(bucket.keys, key_name, _others(self, bucket_name, key_name, str(version_id)))
            done, said = True, {"version-id": version_id}
        else:
            done, said = delete(self, bucket_name, key_name, version_id=version_id, **named)
        marked = any(isinstance(entry, marker_class) for entry in found)
        return done, {**said, "delete-marker": "true"} if marked else said

    return delete_object


def _keep(keys: Any, key_name: str, left: list[Any]) -> None:
    if left:
        keys.setlist(key_name, left)
    elif key_name in keys:
        keys.pop(key_name)


def _stay(*_args: object, **_named: object) -> None:
    """In place of what would throw a version's content away."""


def _suspended(backend: Any, bucket_name: str) -> bool:
    return bool(backend.get_bucket(bucket_name).versioning_status == _SUSPENDED)


def _others(backend: Any, bucket_name: str, key_name: str, version: str) -> list[Any]:
    entries = backend.get_bucket(bucket_name).keys.getlist(key_name, [])
    return [entry for entry in entries if str(entry.version_id) != version]
