"""Starts the embedded lab for a run, as the inventory's `lab` section says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_s3vpce.errors import InventoryError, LabError
from pytest_s3vpce.lab.process import start_lab

if TYPE_CHECKING:
    import threading

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.lab.process import LabProcess
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
    provision = inventory.beside(inventory.lab.provision)
    if not provision.is_file():
        raise LabError(
            f"there is no provisioning script `{provision}`",
            place=inventory.place("lab", "provision"),
            remedy="write it",
        )
    accounts = {
        name: (_literal(inventory, name, "id"), _literal(inventory, name, "region")) for name in inventory.accounts
    }
    return start_lab(folder.path / "lab", accounts=accounts, provision=provision, stop=stop)


def _literal(inventory: Inventory, account: str, field: str) -> str:
    text = str(getattr(inventory.accounts[account], field))
    if "${" in text:
        raise InventoryError(
            f"`{text}` is a reference, and the lab needs it before anything is provisioned",
            place=inventory.place("accounts", account, field),
            remedy="write the value itself",
        )
    return text
