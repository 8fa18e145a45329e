"""How far the lab authorises what is asked of it."""

from __future__ import annotations

from enum import StrEnum


class Enforcement(StrEnum):
    """Which services' requests are authorised."""

    DEFAULT = "default"
    """S3, S3 Control, STS and invocations of functions."""
    ALL = "all"
    """Those of every control plane as well."""
