"""What most commands take: an inventory, and a running lab in place of AWS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.run.environment import Environment

INVENTORY = click.option(
    "--inventory", type=click.Path(path_type=Path), help="the inventory (default: s3vpce.yaml here)"
)
LAB_READY = click.option(
    "--lab-ready", type=click.Path(path_type=Path), help="the ready file of a running lab, instead of AWS"
)


def inventory_at(path: Path | None) -> Inventory:
    """The inventory that is named, else the one here."""
    from pytest_s3vpce.inventory import find_inventory, load_inventory

    return load_inventory(find_inventory(Path.cwd(), str(path) if path else None))


def environment_of(lab_ready: Path | None) -> Environment:
    """The lab's, else AWS."""
    from pytest_s3vpce.run.environment import Environment, from_ready_file

    return from_ready_file(lab_ready) if lab_ready else Environment()
