"""`s3vpce sweep`: what killed runs left behind, listed or removed."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_s3vpce.commandoptions import LAB_READY, environment_of, inventory_at

if TYPE_CHECKING:
    from collections.abc import Sequence


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
@LAB_READY
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

    environment = environment_of(lab_ready)
    if folder is not None:
        if accounts or older_than is not None or dry_run:
            raise click.UsageError("--account, --older-than and --dry-run are for a sweep without FOLDER")
        found = load_inventory(inventory or folder.resolve().parent.parent / "s3vpce.yaml")

        def once() -> Sequence[object]:
            return sweeping.sweep_folder(folder, found, notify=click.echo, environment=environment)
    else:
        found = inventory_at(inventory)
        roots = dict.fromkeys((Path.cwd(), found.path.resolve().parent))
        sweeper = sweeping.Sweeper(found, environment, roots=roots, accounts=accounts, notify=click.echo)
        if dry_run:
            _list(*sweeper.find(older_than=older_than))
            return

        def once() -> Sequence[object]:
            return sweeper.sweep(older_than=older_than)

    _tell(sweeping.until_gone(once, notify=click.echo) if wait else once())


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
