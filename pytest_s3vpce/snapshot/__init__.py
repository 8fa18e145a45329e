"""What accounts' control planes say: paths and exemptions for claims, and all that decides for predictions."""

from __future__ import annotations

from pytest_s3vpce.snapshot.exemptions import (
    AMBIENT,
    admitted_of,
    ambient_needs,
    denied_by,
    exemptions_of,
    exemptions_under,
    grants_of,
    policy_text,
)
from pytest_s3vpce.snapshot.organization import Clients, controls_over
from pytest_s3vpce.snapshot.paths import (
    closed_port,
    function_network,
    instance_network,
    network,
    s3_endpoints,
    vpc_of,
    ways_differ,
)
from pytest_s3vpce.snapshot.state import Snapshot, Unread

__all__ = [
    "AMBIENT",
    "Clients",
    "Snapshot",
    "Unread",
    "admitted_of",
    "ambient_needs",
    "closed_port",
    "controls_over",
    "denied_by",
    "exemptions_of",
    "exemptions_under",
    "function_network",
    "grants_of",
    "instance_network",
    "network",
    "policy_text",
    "s3_endpoints",
    "vpc_of",
    "ways_differ",
]
