"""What accounts' control planes say: paths and exemptions for claims, and all that decides for predictions."""

from __future__ import annotations

from pytest_s3vpce.snapshot.paths import (
    NEEDS_AMBIENT,
    ambient_needs,
    bucket_exemptions,
    closed_port,
    exemptions_of,
    function_network,
    instance_network,
    network,
    s3_endpoints,
    vpc_of,
)
from pytest_s3vpce.snapshot.state import Snapshot, Unread

__all__ = [
    "NEEDS_AMBIENT",
    "Snapshot",
    "Unread",
    "ambient_needs",
    "bucket_exemptions",
    "closed_port",
    "exemptions_of",
    "function_network",
    "instance_network",
    "network",
    "s3_endpoints",
    "vpc_of",
]
