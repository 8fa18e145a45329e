"""`s3vpce deploy` and `s3vpce undeploy`: functions that stay between runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pytest_s3vpce.errors import S3VpceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.run.keeping import Keepers


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--lab-ready", type=click.Path(path_type=Path), help="the ready file of a running lab, instead of AWS"
        ),
        click.option("--inventory", type=click.Path(path_type=Path), help="the inventory (default: s3vpce.yaml here)"),
    ):
        command = option(command)
    return command


def _keepers(inventory: Path | None, lab_ready: Path | None) -> Keepers:
    from pytest_s3vpce.inventory import find_inventory, load_inventory
    from pytest_s3vpce.run.environment import Environment, from_ready_file
    from pytest_s3vpce.run.keeping import Keepers

    found = load_inventory(find_inventory(Path.cwd(), str(inventory) if inventory else None))
    return Keepers(found, from_ready_file(lab_ready) if lab_ready else Environment())


@click.command()
@_options
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
@_options
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
