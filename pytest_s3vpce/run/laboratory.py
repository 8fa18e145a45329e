"""Starts the embedded lab for a run, as the inventory's `lab` section says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_s3vpce.errors import InventoryError, LabError
from pytest_s3vpce.lab.process import start_lab
from pytest_s3vpce.lab.readying import no_region, regions
from pytest_s3vpce.lab.stackfile import StackRow
from pytest_s3vpce.lab.terraform import check_module
from pytest_s3vpce.run.world import calibration_of

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.lab.process import LabProcess
    from pytest_s3vpce.model import Place
    from pytest_s3vpce.run.folder import RunFolder


def start(inventory: Inventory, folder: RunFolder, *, stop: threading.Event) -> LabProcess:
    """A lab with the inventory's accounts, provisioned. LabError or InventoryError where that can't be.

    Once `stop` is set, nobody waits for it any longer.
    """
    if inventory.lab is None:
        raise InventoryError(
            "the inventory has no `lab` section",
            place=inventory.place(),
            remedy="add `lab: {provision: provision.py}`, or run with --s3vpce-live",
        )
    provision, terraform, organization = (
        inventory.beside(named) if named is not None else None
        for named in (inventory.lab.provision, inventory.lab.terraform, inventory.lab.organization)
    )
    if provision is not None and not provision.is_file():
        raise LabError(
            f"there is no provisioning script `{provision}`",
            place=inventory.place("lab", "provision"),
            remedy="write it",
        )
    if terraform is not None:
        _check_module(terraform, place=inventory.place("lab", "terraform"))
    calibration_of(inventory)
    calibration = None if inventory.calibration is None else inventory.beside(inventory.calibration)
    stacks = [_stack(inventory, number) for number in range(len(inventory.lab.stacks))]
    accounts = {
        name: (_literal(inventory, name, "id"), _literal(inventory, name, "region")) for name in inventory.accounts
    }
    _check_regions(inventory)
    return start_lab(
        folder.path / "lab",
        accounts=accounts,
        organization=organization,
        terraform=terraform,
        stacks=stacks,
        provision=provision,
        calibration=calibration,
        stop=stop,
    )


def _stack(inventory: Inventory, number: int) -> StackRow:
    assert inventory.lab is not None
    row, path = inventory.lab.stacks[number], ("lab", "stacks", number)
    template = inventory.beside(row.template)
    if not template.is_file():
        place = inventory.place(*path, "template")
        raise LabError(f"there is no template `{template}`", place=place, remedy="write it, or correct the path")
    return StackRow(
        name=row.name,
        template=str(template),
        account=row.account or inventory.default_account,
        place=inventory.place(*path, "name"),
        parameters=row.parameters,
        places={name: inventory.place(*path, "parameters", name) for name in row.parameters},
    )


def _check_module(module: Path, *, place: Place) -> None:
    try:
        check_module(module)
    except LabError as error:
        raise LabError(error.what, place=place, remedy=error.remedy) from error


def _check_regions(inventory: Inventory) -> None:
    known = regions()
    for name, account in inventory.accounts.items():
        if account.region not in known:
            wrong = no_region(account.region)
            raise LabError(wrong.what, place=inventory.place("accounts", name, "region"), remedy=wrong.remedy)


def _literal(inventory: Inventory, account: str, field: str) -> str:
    text = str(getattr(inventory.accounts[account], field))
    if "${" in text:
        raise InventoryError(
            f"`{text}` is a reference, and the lab needs it before anything is provisioned",
            place=inventory.place("accounts", account, field),
            remedy="write the value itself",
        )
    return text
