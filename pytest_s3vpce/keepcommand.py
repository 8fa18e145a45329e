"""`s3vpce deploy` and `s3vpce undeploy`: functions that stay between runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from pytest_s3vpce.commandoptions import INVENTORY, LAB_READY, environment_of, inventory_at
from pytest_s3vpce.errors import S3VpceError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_s3vpce.run.keeping import Keepers


def _keepers(inventory: Path | None, lab_ready: Path | None) -> Keepers:
    from pytest_s3vpce.run.keeping import Keepers

    return Keepers(inventory_at(inventory), environment_of(lab_ready))


@click.command()
@INVENTORY
@LAB_READY
def deploy(inventory: Path | None, lab_ready: Path | None) -> None:
    """Makes the functions that vantage points keep. Brings those that are there up to date; runs then create none."""
    done = _keepers(inventory, lab_ready).deploy(notify=click.echo)
    for name, found in done.items():
        if isinstance(found, S3VpceError):
            click.echo(f"s3vpce: {found}", err=True)
        else:
            click.echo(f"{name}: {found.value}")
    if any(isinstance(found, S3VpceError) for found in done.values()):
        sys.exit(1)


@click.command()
@INVENTORY
@LAB_READY
@click.option("--wait", is_flag=True, help="until Lambda has released its network interfaces, up to 40 minutes")
def undeploy(inventory: Path | None, lab_ready: Path | None, *, wait: bool) -> None:
    """Removes the functions that `s3vpce deploy` made. Those of this inventory, and their roles."""
    from pytest_s3vpce.run.sweeping import until_gone

    keepers = _keepers(inventory, lab_ready)

    def once() -> list[object]:
        left: list[object] = []
        for found in keepers.undeploy(notify=click.echo).values():
            left += [found] if isinstance(found, S3VpceError) else found
        return left

    left = until_gone(once, notify=click.echo) if wait else once()
    for row in left:
        click.echo(f"left: {row}", err=True)
    if left:
        click.echo("run `s3vpce undeploy` again, with --wait to wait for it", err=True)
        sys.exit(1)
    click.echo("nothing is left")
