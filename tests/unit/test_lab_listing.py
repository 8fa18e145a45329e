"""A bucket's objects are walked while other requests take them away."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest

from pytest_s3vpce.lab.listing import mend_stores
from pytest_s3vpce.lab.mending import mend_objects


class Store(dict[str, Any]):
    """As the state keeps a bucket's objects: a key is its newest version."""

    def __getitem__(self, key: str) -> Any:
        return super().__getitem__(key)[-1]


@pytest.mark.parametrize("way", ["items", "values", "lists"])
def test_what_is_deleted_on_the_way_was_there(way: str) -> None:
    mend_stores(Store)
    store = Store(a=[1, 2], b=[3], gone=[])
    walked = iter(getattr(store, way)())
    first = next(walked)
    store.clear()
    wanted = {"items": [("a", 2), ("b", 3)], "values": [2, 3], "lists": [("a", [1, 2]), ("b", [3])]}
    assert [first, *walked] == wanted[way]
    for prefix in ("iter", "_iter"):
        assert getattr(Store, f"{prefix}{way}") is getattr(Store, way)


class Key:
    """As the state keeps an object."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.buffer = io.BytesIO(b"abc")
        self.disposed = False

    @property
    def etag(self) -> str:
        return self.buffer.read().decode()

    def dispose(self, garbage: bool = False) -> None:
        self.buffer.close()
        self.disposed = garbage


def test_an_object_that_is_deleted_while_it_is_read_has_been_read() -> None:
    mend_objects(Key)
    key = Key()
    key.dispose()
    assert key.disposed
    assert key.etag == "abc"
    key.dispose(garbage=True)
    assert key.buffer.closed
