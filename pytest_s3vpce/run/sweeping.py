"""Sweeping after a run that was killed: its ledger, with the inventory's credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.operator import Operator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.vantage import Remaining


def sweep_folder(
    path: Path, inventory: Inventory, *, notify: Callable[[str], None], environment: Environment | None = None
) -> list[Remaining]:
    """Removes what the run folder's ledger lists; what can't go yet comes back. An empty folder is removed itself."""
    folder = RunFolder(path)
    if not folder.ledger.exists():
        raise RunError(f"`{path}` holds no ledger", remedy="name a run's folder: .s3vpce/run-ID")
    operator = Operator(inventory, environment or Environment(), folder, notify=notify, strict=False)
    left = operator.sweep()
    folder.tidy(keep=bool(left))
    return left
