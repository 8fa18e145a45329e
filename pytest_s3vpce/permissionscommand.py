"""The command `s3vpce permissions`: the policies that an inventory's runs need."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_s3vpce.commandoptions import INVENTORY, environment_of, inventory_at


@click.command()
@INVENTORY
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "terraform", "cloudformation"]),
    default="json",
    show_default=True,
    help="what is printed",
)
@click.option(
    "--mode",
    type=click.Choice(["create", "keep", "deploy", "sweep", "assume", "snapshot"]),
    default="create",
    show_default=True,
    help="runs that make what they need, use what is kept, assume roles alone; commands of those names",
)
@click.option("--lab-ready", type=click.Path(path_type=Path), help="the ready file of a running lab, for its outputs")
def permissions(inventory: Path | None, *, form: str, mode: str, lab_ready: Path | None) -> None:
    """Prints the policies that runs need. Those of each account's runner, of probed roles' trust, and of functions."""
    from pytest_s3vpce.report.permissions import FORMS
    from pytest_s3vpce.run.needs import Mode
    from pytest_s3vpce.run.permissions import permissions as needed
    from pytest_s3vpce.run.snapshotrights import snapshot_permissions

    found, environment = inventory_at(inventory), environment_of(lab_ready)
    snapshot = mode == "snapshot"
    rights = snapshot_permissions(found, environment) if snapshot else needed(found, environment, mode=Mode(mode))
    click.echo(FORMS[form](rights), nl=False)
