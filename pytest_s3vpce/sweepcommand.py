"""`s3vpce sweep`: what killed runs left behind, listed or removed."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_s3vpce.inventory import Inventory


def _span(_ctx: click.Context, _param: click.Parameter, given: str | None) -> dt.timedelta | None:
    """A span of time such as 90s, 15m or 2h."""
    from pytest_s3vpce.faults import Fault
    from pytest_s3vpce.forms import seconds

    try:
        return None if given is None else dt.timedelta(seconds=seconds(given))
    except Fault as fault:
        raise click.BadParameter(f"{fault.what}; {fault.remedy}") from fault


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False)
@click.option(
    "--inventory",
    type=click.Path(path_type=Path),
    help="the inventory (default: s3vpce.yaml here, with FOLDER the one beside its .s3vpce)",
)
@click.option("--account", "accounts", multiple=True, help="only this account of the inventory; may be repeated")
@click.option("--older-than", metavar="SPAN", callback=_span, help="take what was made this long ago, expired or not")
@click.option("--dry-run", is_flag=True, help="list what would be removed, and remove nothing")
@click.option("--wait", is_flag=True, help="until Lambda has released its network interfaces, up to 40 minutes")
@click.option("--lab-ready", type=click.Path(path_type=Path), help="the ready file of a running lab, instead of AWS")
def sweep(
    folder: Path | None,
    *,
    inventory: Path | None,
    accounts: tuple[str, ...],
    older_than: dt.timedelta | None,
    dry_run: bool,
    wait: bool,
    lab_ready: Path | None,
) -> None:
    """Removes what killed runs left. All that an inventory's accounts hold of it, or what one run's FOLDER lists."""
    from pytest_s3vpce.inventory import load_inventory
    from pytest_s3vpce.run import sweeping
    from pytest_s3vpce.run.environment import Environment, from_ready_file

    environment = from_ready_file(lab_ready) if lab_ready else Environment()
    if folder is not None:
        if accounts or older_than is not None or dry_run:
            raise click.UsageError("--account, --older-than and --dry-run are for a sweep without FOLDER")
        found = load_inventory(inventory or folder.resolve().parent.parent / "s3vpce.yaml")

        def once() -> Sequence[object]:
            return sweeping.sweep_folder(folder, found, notify=click.echo, environment=environment)
    else:
        found = _inventory(inventory)
        roots = dict.fromkeys((Path.cwd(), found.path.resolve().parent))
        sweeper = sweeping.Sweeper(found, environment, roots=roots, accounts=accounts, notify=click.echo)
        if dry_run:
            _list(*sweeper.find(older_than=older_than))
            return

        def once() -> Sequence[object]:
            return sweeper.sweep(older_than=older_than)

    _tell(sweeping.until_gone(once, notify=click.echo) if wait else once())


def _inventory(path: Path | None) -> Inventory:
    from pytest_s3vpce.inventory import find_inventory, load_inventory

    return load_inventory(find_inventory(Path.cwd(), str(path) if path else None))


def _list(found: Sequence[object], unseen: Sequence[object]) -> None:
    for row in found:
        click.echo(f"would remove {row}")
    for row in unseen:
        click.echo(f"{row}", err=True)
    if unseen:
        sys.exit(1)
    if not found:
        click.echo("nothing is left")


def _tell(left: Sequence[object]) -> None:
    for row in left:
        click.echo(f"left: {row}", err=True)
    if left:
        sys.exit(1)
    click.echo("nothing is left")
