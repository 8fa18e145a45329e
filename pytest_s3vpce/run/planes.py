"""The accounts' control planes, each made once: for what is created, for what is swept."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pytest_s3vpce.accounts import Accounts
from pytest_s3vpce.errors import RunError
from pytest_s3vpce.references import References
from pytest_s3vpce.run.world import World
from pytest_s3vpce.vantage import ControlPlane

if TYPE_CHECKING:
    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.run.environment import Environment


class Planes:
    """By the accounts' names in the inventory."""

    def __init__(self, world: World, environment: Environment) -> None:
        self._world = world
        self._connection = environment.connection
        self._lock = threading.Lock()
        self._planes: dict[str, ControlPlane] = {}
        self._ended = False

    def end(self) -> None:
        """The run was told to end: what waits in other threads need not, nor what begins to wait there only now."""
        with self._lock:
            self._ended = True
            planes = list(self._planes.values())
        self._world.accounts.end()
        for plane in planes:
            plane.end()

    def of(self, account: str | None) -> ControlPlane:
        """An account's control plane, in the account's own Region; None is the inventory's first account."""
        name = account or self._world.inventory.default_account
        if name not in self._world.inventory.accounts:
            raise RunError(f"the inventory has no account `{name}`", remedy="sweep with the inventory of that run")
        session = self._world.accounts.session(name)
        with self._lock:
            if name not in self._planes:
                self._planes[name] = ControlPlane(
                    name,
                    session=session,
                    region=self._world.accounts.region(name),
                    connection=self._connection,
                )
                if self._ended:
                    self._planes[name].end()
            return self._planes[name]

    def at(self, account: str | None, region: str | None, *path: str) -> ControlPlane:
        """The same in the Region that stands at that place of the inventory, if one does."""
        plane = self.of(account)
        return plane if region is None else plane.at(self._world.resolve(region, *path, "region"))


def world_of(inventory: Inventory, environment: Environment, *, run_id: str) -> World:
    """The inventory resolved, for a run or a command: its sessions are named after it."""
    outputs = environment.outputs if environment.outputs is not None else inventory.outputs_file()
    accounts = Accounts(
        inventory, References(outputs), connection=environment.connection, session_name=f"s3vpce-{run_id}"
    )
    return World(inventory, References(outputs), accounts, run_id=run_id)
