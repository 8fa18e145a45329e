"""The commands `s3vpce snapshot` and `s3vpce why`: what decides, read once; and what it decides, explained."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_s3vpce.commandoptions import INVENTORY, LAB_READY, environment_of, inventory_at
from pytest_s3vpce.wording import counted


@click.command()
@INVENTORY
@LAB_READY
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="the file to write, JSON")
def snapshot(inventory: Path | None, *, lab_ready: Path | None, output: Path) -> None:
    """Reads all that decides about requests into a file. It takes read-only rights in an inventory's accounts."""
    from pytest_s3vpce.expectations import plan_of
    from pytest_s3vpce.report.text import check_place, write_text
    from pytest_s3vpce.run import asking
    from pytest_s3vpce.snapshot.state import unread

    check_place(output, what="snapshot")
    declared = inventory_at(inventory)
    cells = [row.cell for row in plan_of(declared).cells]
    found = asking.taken(declared, environment_of(lab_ready), cells=cells)
    write_text(found.to_json(), output, what="snapshot")
    gaps = unread(found)
    for where, why in gaps:
        click.echo(f"unknown: {where}: {why}", err=True)
    rows = {"bucket": found.buckets, "principal": found.principals, "network": found.networks}
    counts = ", ".join(counted(len(row), word) for word, row in rows.items())
    click.echo(f"{output}: {counts}; {counted(len(gaps), 'layer')} could not be read")


@click.command()
@click.argument("asked", metavar="CELL_OR_CLAIM")
@INVENTORY
@LAB_READY
@click.option(
    "--snapshot",
    "file",
    type=click.Path(path_type=Path),
    help="what `s3vpce snapshot` wrote (default: the accounts are read now)",
)
def why(asked: str, *, inventory: Path | None, lab_ready: Path | None, file: Path | None) -> None:
    """Says why a cell or claim ends as it does. Nothing is sent; give its id, as GetObject/reports/app:subnet/https."""
    from pytest_s3vpce.expectations import plan_of
    from pytest_s3vpce.run import asking, foretelling
    from pytest_s3vpce.run.world import calibration_of

    declared = inventory_at(inventory)
    environment = environment_of(lab_ready)
    plan = plan_of(declared)
    found = asking.read(file) if file else None
    claim = next((row for row in plan.claims if row.id == asked), None)
    if claim is not None:
        click.echo(foretelling.why(claim, plan, declared, environment, snapshot=found))
        return
    wanted = asking.cell_of(asked, plan, declared)
    found = found or asking.taken(declared, environment, cells=[wanted.cell])
    click.echo(asking.explained(wanted, plan, found, calibration=calibration_of(declared)))
