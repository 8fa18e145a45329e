"""All types of resources that the lab's stacks are made of; any other is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.lab.cloudformation import buckets, groups, identity, logs, network, services

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.cloudformation.making import ResourceType

TYPES: Final[Mapping[str, ResourceType]] = {
    row.name: row
    for row in (*network.TYPES, *groups.TYPES, *buckets.TYPES, *identity.TYPES, *services.TYPES, *logs.TYPES)
}
