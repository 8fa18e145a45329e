"""What must be so before moto is imported: no settings of the machine's, and quick look-ups of Regions."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

_SETTINGS = {
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "MOTO_DISABLE_GLOBAL_CORS": "true",
}


def mended(changed: Any) -> bool:
    """Whether this class was mended before in this process; it counts as mended from now on."""
    before = getattr(changed, "_s3vpce_mended", False)
    changed._s3vpce_mended = True  # noqa: SLF001 - our own mark
    return bool(before)


def prepare() -> None:
    """Settings are read while moto is imported; those of the machine would change whose accounts it serves."""
    for name in [name for name in os.environ if name.startswith("MOTO_")]:
        del os.environ[name]
    os.environ.update(_SETTINGS)
    try:
        importlib.import_module("moto")
    except ImportError as missing:
        raise LabError("the lab needs moto", remedy="pip install 'pytest-s3vpce[lab]'") from missing
    import botocore.session

    session = botocore.session.Session
    if not mended(session):
        session.get_available_regions = _quick(session.get_available_regions)  # type: ignore[method-assign]


def _quick(original: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """As botocore's own, without loading a whole service model each time (0.1 s a call)."""

    def regions(session: Any, service_name: str, partition_name: str = "aws", **named: Any) -> list[str]:
        resolver = session._get_internal_component("endpoint_resolver")  # noqa: SLF001 - as the original does
        found: list[str] = resolver.get_available_endpoints(service_name, partition_name)
        return found or original(session, service_name, partition_name, **named)

    return regions
