"""What must be so before moto is imported: no settings of the machine's, and quick look-ups of Regions."""

from __future__ import annotations

import importlib.util
import json
import os
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

_SETTINGS = {
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "MOTO_DISABLE_GLOBAL_CORS": "true",
}
_MARK = "_s3vpce_mended"
_MENDING = threading.RLock()


def mend_once(changed: Any, mend: Callable[[], None]) -> None:
    """Mend a class of the library, unless this was done before in this process.

    Whoever comes while it is being done waits, since a class that is half mended answers wrongly.
    """
    with _MENDING:
        if _MARK not in vars(changed):
            mend()
            setattr(changed, _MARK, True)


@cache
def regions() -> frozenset[str]:
    """All Regions that botocore knows, read from its file: loading it takes longer than the lab takes to start."""
    found = importlib.util.find_spec("botocore")
    assert found is not None
    assert found.origin is not None
    table = json.loads((Path(found.origin).parent / "data" / "partitions.json").read_text(encoding="utf-8"))
    names = {name for row in table["partitions"] for name in row["regions"]}
    return frozenset(name for name in names if not name.endswith("-global"))


def is_region(name: str) -> bool:
    return name in regions()


def no_region(name: str) -> LabError:
    return LabError(f"`{name}` is no Region", remedy="name one of AWS's Regions")


def prepare() -> None:
    """Settings are read while moto is imported; those of the machine would change whose accounts it serves."""
    for name in [name for name in os.environ if name.startswith("MOTO_")]:
        del os.environ[name]
    os.environ.update(_SETTINGS)
    try:
        importlib.import_module("moto")
    except ImportError as missing:
        raise LabError("the lab needs moto", remedy="pip install 'pytest-s3vpce[lab]'") from missing
    by_account: Any = importlib.import_module("moto.core.base_backend").BackendDict
    mend_once(by_account, lambda: _mend_look_ups(by_account))
    import botocore.session

    session: Any = botocore.session.Session
    mend_once(session, lambda: _mend_sessions(session))


def _mend_look_ups(by_account: Any) -> None:
    by_account.__getitem__ = _found(by_account.__getitem__)


def _mend_sessions(session: Any) -> None:
    session.get_available_regions = _quick(session.get_available_regions)
    session._get_internal_component = _shared(session._get_internal_component)  # noqa: SLF001 - as in `_quick`


def _found(original: Callable[..., Any]) -> Callable[..., Any]:
    """As the original, which takes a lock and lists all accounts even for one that is there."""

    def item(self: Any, account: str) -> Any:
        found = dict.get(self, account)
        return original(self, account) if found is None else found

    return item


def _quick(original: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """As botocore's own, without loading a whole service model each time (0.1 s a call)."""

    def regions(session: Any, service_name: str, partition_name: str = "aws", **named: Any) -> list[str]:
        resolver = session._get_internal_component("endpoint_resolver")  # noqa: SLF001 - as the original does
        found: list[str] = resolver.get_available_endpoints(service_name, partition_name)
        if found or resolver.get_available_endpoints(service_name, "aws"):  # else its endpoints have another name
            return found
        return original(session, service_name, partition_name, **named)

    return regions


def _shared(original: Callable[..., Any]) -> Callable[..., Any]:
    """As botocore's own, with one table of endpoints for all sessions: it is a megabyte of JSON."""
    known: dict[str, Any] = {}

    def component(session: Any, name: str) -> Any:
        if name != "endpoint_resolver":
            return original(session, name)
        if name not in known:
            known[name] = original(session, name)
        return known[name]

    return component
