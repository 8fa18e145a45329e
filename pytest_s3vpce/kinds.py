"""Kinds of vantage points that other packages bring: entry points of the group `s3vpce.vantage`."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "s3vpce.vantage"
OWN: Final = ("local", "lambda", "ec2", "command")


def outside() -> dict[str, EntryPoint]:
    """By name; a name of ours stays ours."""
    return {found.name: found for found in entry_points(group=GROUP) if found.name not in OWN}


def known() -> list[str]:
    """Every kind that an inventory may name."""
    return [*OWN, *sorted(outside())]
