"""The vantage points of a run: made ready once for all processes, found again by the others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.vantage import (
    AgentConfig,
    ControlPlane,
    DeployedLambdaVantage,
    Deployment,
    LambdaVantage,
    Ledger,
    LocalVantage,
    RunRole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_s3vpce.inventory import Lambda, VantagePoint
    from pytest_s3vpce.run.environment import Environment
    from pytest_s3vpce.run.folder import RunFolder
    from pytest_s3vpce.run.world import World
    from pytest_s3vpce.vantage import Vantage


class VantagePoints:
    """By their names in the inventory. One that can't be made ready raises the same VantageError for every user."""

    def __init__(
        self, world: World, environment: Environment, folder: RunFolder, *, notify: Callable[[str], None]
    ) -> None:
        self._world = world
        self._environment = environment
        self._folder = folder
        self._notify = notify
        self._lock = threading.Lock()
        self._ready: dict[str, Vantage | S3VpceError] = {}
        self._planes: dict[str, ControlPlane] = {}

    def prepare(self, names: Iterable[str]) -> None:
        """Makes these ready, all at once; failures are kept for `get` to raise."""
        todo = [name for name in dict.fromkeys(names) if name not in self._ready]
        with ThreadPoolExecutor(max(1, len(todo))) as pool:
            self._ready.update(zip(todo, pool.map(self._prepared, todo), strict=True))

    def get(self, name: str) -> Vantage:
        """A vantage point, ready to send. Raises VantageError or CredentialError where it could not be made so."""
        if name not in self._ready:
            self.prepare([name])
        found = self._ready[name]
        if isinstance(found, S3VpceError):
            raise found
        return found

    def control(self, account: str) -> ControlPlane:
        """The control plane of an account, for creating and for sweeping."""
        session = self._world.accounts.session(account)
        with self._lock:
            if account not in self._planes:
                self._planes[account] = ControlPlane(
                    account,
                    session=session,
                    region=self._world.accounts.region(account),
                    endpoint_url=self._environment.connection.endpoint_url,
                    ca_bundle=self._environment.connection.ca_bundle,
                )
            return self._planes[account]

    def _prepared(self, name: str) -> Vantage | S3VpceError:
        try:
            row = self._world.inventory.vantage_points[name]
            return self._local(name, row) if row.lambda_ is None else self._function(name, row.lambda_)
        except S3VpceError as error:
            return error

    def _local(self, name: str, row: VantagePoint) -> Vantage:
        environment = self._environment
        local = row.local
        given = self._world.resolve(local.ca_bundle, "vantage_points", name) if local and local.ca_bundle else None
        if given is not None:
            given = str(self._world.inventory.beside(given))
        proxy = _proxy(self._world.resolve(local.proxy, "vantage_points", name)) if local else None
        return LocalVantage(
            name,
            config=AgentConfig(
                connect_to=bool(environment.connect_to),
                loopback=environment.loopback,
                ca_bundle=given or environment.ca_bundle,
                proxy=proxy,
            ),
            connect_to=environment.connect_to,
            place=self._world.inventory.place("vantage_points", name),
        )

    def _function(self, name: str, row: Lambda) -> Vantage:
        """A function: deployed by the first process that needs it, found by name by the others."""
        account = row.account or self._world.inventory.default_account
        control = self.control(account)
        if row.region is not None:
            control = control.at(self._world.resolve(row.region, "vantage_points", name, "lambda", "region"))
        place = self._world.inventory.place("vantage_points", name)
        config = AgentConfig(loopback=self._environment.loopback)
        if row.function is not None:
            function = self._world.resolve(row.function, "vantage_points", name, "lambda", "function")
            named = LambdaVantage(name, control=control, function=function, config=config, place=place)
            named.prepare(notify=self._notify)
            return named
        with self._folder.locked(f"vantage-{name}"):
            deployed = self._folder.read(f"vantage-{name}.json")
            if deployed is not None:
                return LambdaVantage(name, control=control, function=deployed["function"], config=config, place=place)
            made = DeployedLambdaVantage(
                name,
                control=control,
                deployment=self._deployment(name, row),
                run_id=self._folder.run_id,
                ledger=Ledger(self._folder.ledger),
                config=config,
                place=place,
            )
            made.prepare(notify=self._notify)
            self._folder.write(f"vantage-{name}.json", {"function": made.function})
            return made

    def _deployment(self, name: str, row: Lambda) -> Deployment:
        role: Any
        if row.role is not None:
            role = self._world.resolve(row.role, "vantage_points", name, "lambda", "role")
        else:
            boundary = row.permissions_boundary
            role = RunRole(
                path=row.role_path or "/",
                permissions_boundary=self._world.resolve(
                    boundary, "vantage_points", name, "lambda", "permissions_boundary"
                )
                if boundary
                else None,
                tags=row.tags,
            )
        return Deployment(
            subnets=self._world.resolve_list(row.subnets, "vantage_points", name, "lambda", "subnets"),
            security_groups=self._world.resolve_list(
                row.security_groups, "vantage_points", name, "lambda", "security_groups"
            ),
            role=role,
            tags=row.tags,
            **_given(memory=row.memory, architecture=row.architecture, runtime=row.runtime),
        )


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _proxy(text: str) -> str | None:
    """`none`, a URL, or `environment`: what HTTPS_PROXY and its kin say of https://s3.amazonaws.com."""
    if text == "environment":
        found = getproxies()
        return found.get("https") or found.get("http")
    return None if text == "none" else text
