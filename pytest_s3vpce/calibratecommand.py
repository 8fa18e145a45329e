"""`s3vpce calibrate`: what AWS documents nowhere, tried out in a scratch account."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pytest_s3vpce.commandoptions import INVENTORY, LAB_READY, environment_of, inventory_at

if TYPE_CHECKING:
    from pytest_s3vpce.calibration import Calibration, Finding

_WIDEST: Final = 120
"""Characters of what was seen that the table shows; the file has all."""


@click.command()
@click.option("--account", required=True, help="the scratch account, by its name in the inventory")
@INVENTORY
@click.option("--output", type=click.Path(path_type=Path), help="the file to write what was found into")
@click.option(
    "--with-function",
    "function",
    flag_value="made",
    default="",
    help="make a Lambda function outside of VPCs, too, and look from there",
)
@click.option(
    "--inside",
    metavar="NAME",
    default="",
    help="make one in the place of this vantage point, too, and look from there",
)
@click.option(
    "--with-endpoint",
    "endpoint",
    flag_value="made",
    default="",
    help="make an interface endpoint there, too, with a security group",
)
@click.option(
    "--other-region",
    "far",
    metavar="REGION",
    default="",
    help="make another one for S3 in this Region, with a bucket there",
)
@click.option(
    "--organization",
    metavar="NAME",
    default="",
    help="attach policies to the account from this management account of the inventory",
)
@click.option(
    "--partner", metavar="NAME", default="", help="make a bucket in this other account of the organization, too"
)
@click.option("--only", multiple=True, metavar="EXPERIMENT", help="do this experiment and no other; may be repeated")
@LAB_READY
def calibrate(
    account: str,
    *,
    inventory: Path | None,
    output: Path | None,
    only: tuple[str, ...],
    lab_ready: Path | None,
    **given: str,
) -> None:
    """Tries out what AWS documents nowhere. It makes a bucket and roles of its own, and removes them."""
    from pytest_s3vpce.report.text import check_place, write_text
    from pytest_s3vpce.run.calibrating.calibrator import Calibrator
    from pytest_s3vpce.run.calibrating.experiments import Given, check, wanted
    from pytest_s3vpce.run.folder import RunFolder
    from pytest_s3vpce.vantage import Ledger

    asked = Given(only=wanted(only), **given)
    check(asked)
    if output is not None:
        check_place(output, what="calibration")
    found = inventory_at(inventory)
    folder = RunFolder.create(Path.cwd())
    try:
        calibrator = Calibrator(
            found,
            environment_of(lab_ready),
            folder,
            account=account,
            given=asked,
            notify=lambda line: click.echo(line, err=True),
        )
        made, left = calibrator.run()
    finally:
        folder.tidy(keep=Ledger(folder.ledger).is_needed)
    click.echo(_table(made))
    if output is not None:
        write_text(made.to_json(), output, what="calibration")
        click.echo(f"{output}: {len(made.findings)} findings")
    if left:
        sys.exit(1)


def _table(made: Calibration) -> str:
    from tabulate import tabulate

    from pytest_s3vpce.calibration import LEFT_OUT, NOT_RUN
    from pytest_s3vpce.escaping import escaped
    from pytest_s3vpce.undocumented import RULES

    rows = [
        [
            name,
            escaped(found.value) if found.ran else "",
            _differs(found, RULES[name].assumed),
            textwrap.shorten(escaped(found.detail if found.ran else found.value.removeprefix(f"{NOT_RUN}: ")), _WIDEST),
        ]
        for name, found in made.findings.items()
        if not found.value.endswith(LEFT_OUT)
    ]
    as_assumed = sum(found.agrees for found in made.findings.values())
    undecided = sum(found.ran and not found.decided for found in made.findings.values())
    left = sum(not found.ran for found in made.findings.values())
    others = len(made.findings) - as_assumed - undecided - left
    told = f"{as_assumed} of {len(made.findings)} rules are as assumed, {others} are not"
    told += f", {undecided} undecided" if undecided else ""
    told += f", {left} not run" if left else ""
    told += f", in account {made.account}"
    return f"{tabulate(rows, headers=['rule', 'found', 'differs', 'what was seen'])}\n\n{told}"


def _differs(found: Finding, assumed: str) -> str:
    if not found.ran:
        return "not run"
    if not found.decided:
        return "undecided"
    return "" if found.agrees else f"assumed is: {assumed}"
