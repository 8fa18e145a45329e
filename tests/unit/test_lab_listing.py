"""A bucket's objects are walked while other requests take them away."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_s3vpce.lab.listing import mend_stores


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
