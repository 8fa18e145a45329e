"""The vantage points of a run: made ready once for all processes, found again by the others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from math import inf
from typing import TYPE_CHECKING, Any, Final
from urllib.request import getproxies

from pytest_s3vpce import kinds
from pytest_s3vpce.errors import S3VpceError, VantageError
from pytest_s3vpce.run.deployments import deployment_of, given, hosts_of, placed
from pytest_s3vpce.run.keeping import kept_point
from pytest_s3vpce.run.planes import Planes
from pytest_s3vpce.run.termination import undone
from pytest_s3vpce.vantage import (
    AgentConfig,
    CommandVantage,
    DeployedLambdaVantage,
    Ec2Vantage,
    LambdaVantage,
    Launch,
    LaunchedEc2Vantage,
    Ledger,
    LocalVantage,
    Vantage,
    instance_with,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_s3vpce.points import Ec2, Lambda, Local, Outside
    from pytest_s3vpce.run.environment import Environment
    from pytest_s3vpce.run.folder import RunFolder
    from pytest_s3vpce.run.world import World
    from pytest_s3vpce.vantage import ControlPlane


class VantagePoints:
    """By their names in the inventory. One that can't be made ready raises the same VantageError for every user."""

    def __init__(
        self, world: World, environment: Environment, folder: RunFolder, *, notify: Callable[[str], None]
    ) -> None:
        self._world = world
        self._environment = environment
        self._folder = folder
        self._notify = notify
        self._ready: dict[str, Vantage | S3VpceError] = {}
        self._planes = Planes(world, environment)
        self._ended = threading.Event()

    def prepare(self, names: Iterable[str]) -> None:
        """Makes these ready, all at once; failures are kept for `get` to raise."""
        todo = [name for name in dict.fromkeys(names) if name not in self._ready]
        with ThreadPoolExecutor(max(1, len(todo))) as pool:
            try:
                making = {name: pool.submit(self._prepared, name) for name in todo}
                undone(making.values(), seconds=inf)
                self._ready.update((name, made.result()) for name, made in making.items())
            except KeyboardInterrupt:
                self.end()
                raise

    def end(self) -> None:
        """The run was told to end: nobody waits for answers, nor until something is ready."""
        self._ended.set()
        self._planes.end()

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
        return self._planes.of(account)

    def _prepared(self, name: str) -> Vantage | S3VpceError:
        point = self._world.inventory.vantage_points[name]
        make, settings = (
            (self._outside, point.outside)
            if point.outside is not None
            else (getattr(self, _MAKERS[point.kind]), getattr(point, _FIELDS.get(point.kind, point.kind)))
        )
        try:
            made: Vantage = make(name, settings)
        except S3VpceError as error:
            return error
        return made

    def _here(self, **more: Any) -> AgentConfig:
        """What agents may do that stand where this machine does: in a lab they find it under S3's real names."""
        environment = self._environment
        return AgentConfig(
            hosts=hosts_of(self._world),
            connect_to=bool(environment.connect_to),
            loopback=environment.loopback,
            **{"ca_bundle": environment.ca_bundle, **given(**more)},
        )

    def _local(self, name: str, row: Local) -> Vantage:
        return LocalVantage(
            name,
            config=self._here(
                ca_bundle=self._bundle(row, name) if row.ca_bundle else None,
                proxy=_proxy(self._world.resolve(row.proxy, "vantage_points", name)),
            ),
            connect_to=self._environment.connect_to,
            place=self._world.inventory.place("vantage_points", name),
        )

    def _bundle(self, row: Local, name: str) -> str:
        path = ("vantage_points", name, "local", "ca_bundle")
        found = self._world.inventory.beside(self._world.resolve(row.ca_bundle or "", *path))
        if not found.exists():
            what = f"vantage point `{name}`: there is no CA bundle `{found}`"
            raise VantageError(what, place=self._world.inventory.place(*path), remedy="correct the path")
        return str(found)

    def _command(self, name: str, words: tuple[str, ...]) -> Vantage:
        made = CommandVantage(
            name,
            command=self._world.resolve_list(words, "vantage_points", name, "command"),
            folder=self._world.inventory.path.parent,
            ended=self._ended,
            config=self._here(),
            connect_to=self._environment.connect_to,
            place=self._world.inventory.place("vantage_points", name),
        )
        made.prepare(notify=self._notify)
        return made

    def _outside(self, name: str, row: Outside) -> Vantage:
        """A kind of another package: whatever goes wrong in its making is one error with the inventory's line."""
        place = self._world.inventory.place("vantage_points", name)
        try:
            made = kinds.outside()[row.kind].load()(
                name,
                settings=self._world.resolve_all(row.settings, "vantage_points", name),
                config=self._here(),
                connect_to=self._environment.connect_to,
                place=place,
            )
            if isinstance(made, Vantage):
                made.prepare(notify=self._notify)
                return made
        except S3VpceError:
            raise
        except Exception as error:
            raise VantageError(
                f"vantage point `{name}`: kind `{row.kind}` failed: {type(error).__name__}: {error}",
                place=place,
                remedy="see the package that brings it",
            ) from error
        raise VantageError(
            f"vantage point `{name}`: what kind `{row.kind}` makes is no vantage point",
            place=place,
            remedy="let its entry point name a subclass of `pytest_s3vpce.vantage.Vantage`",
        )

    def _ec2(self, name: str, row: Ec2) -> Vantage:
        """An instance that is there, chosen by the first process where only tags name it."""
        path = ("vantage_points", name, "ec2")
        control = self._planes.at(row.account, row.region, *path)
        place = self._world.inventory.place("vantage_points", name)

        def error(what: str, *, remedy: str | None = None) -> VantageError:
            return VantageError(f"vantage point `{name}`: {what}", place=place, remedy=remedy)

        with self._folder.locked(f"vantage-{name}"):
            known = self._folder.read(f"vantage-{name}.json")
            if known is None and row.subnet is not None:
                made = LaunchedEc2Vantage(
                    name,
                    control=control,
                    launch=self._launch(row, row.subnet, *path),
                    run_id=self._folder.run_id,
                    ledger=Ledger(self._folder.ledger),
                    config=placed(self._world, self._environment),
                    place=place,
                )
                made.prepare(notify=self._notify)
                self._folder.write(f"vantage-{name}.json", {"instance": made.instance})
                return made
            if known is not None:
                instance = known["instance"]
            elif row.instance is not None:
                instance = self._world.resolve(row.instance, *path, "instance")
            else:
                tags = {key: self._world.resolve(value, *path, "tags", key) for key, value in row.tags.items()}
                instance = instance_with(control, tags, error=error)["InstanceId"]
                self._notify(f"vantage point {name} is instance {instance}")
            there = Ec2Vantage(
                name, control=control, instance=instance, config=placed(self._world, self._environment), place=place
            )
            if known is None:
                there.prepare(notify=self._notify)
                self._folder.write(f"vantage-{name}.json", {"instance": instance})
            return there

    def _launch(self, row: Ec2, subnet: str, *path: str) -> Launch:
        return Launch(
            subnet=self._world.resolve(subnet, *path, "subnet"),
            security_groups=self._world.resolve_list(row.security_groups, *path, "security_groups"),
            profile=self._world.resolve(row.profile or "", *path, "profile"),
            tags={key: self._world.resolve(value, *path, "tags", key) for key, value in row.tags.items()},
            **given(image=row.image and self._world.resolve(row.image, *path, "image"), type=row.type),
        )

    def _function(self, name: str, row: Lambda) -> Vantage:
        """A function: deployed by the first process that needs it, found by name by the others."""
        control = self._planes.at(row.account, row.region, "vantage_points", name, "lambda")
        place = self._world.inventory.place("vantage_points", name)
        config = placed(self._world, self._environment)
        if row.function is not None:
            function = self._world.resolve(row.function, "vantage_points", name, "lambda", "function")
            named = LambdaVantage(name, control=control, function=function, config=config, place=place)
            named.prepare(notify=self._notify)
            return named
        if row.keep:
            kept = kept_point(self._world, self._environment, self._planes, name=name, row=row)
            kept.prepare(notify=self._notify)
            return kept
        with self._folder.locked(f"vantage-{name}"):
            deployed = self._folder.read(f"vantage-{name}.json")
            if deployed is not None:
                return LambdaVantage(name, control=control, function=deployed["function"], config=config, place=place)
            made = DeployedLambdaVantage(
                name,
                control=control,
                deployment=deployment_of(self._world, name, row),
                run_id=self._folder.run_id,
                ledger=Ledger(self._folder.ledger),
                config=config,
                place=place,
            )
            made.prepare(notify=self._notify)
            self._folder.write(f"vantage-{name}.json", {"function": made.function})
            return made


_MAKERS: Final = {"local": "_local", "lambda": "_function", "ec2": "_ec2", "command": "_command"}
_FIELDS: Final = {"lambda": "lambda_"}


def _proxy(text: str) -> str | None:
    """`none`, a URL, or `environment`: what HTTPS_PROXY and its kin say of https://s3.amazonaws.com."""
    if text == "environment":
        found = getproxies()
        return found.get("https") or found.get("http")
    return None if text == "none" else text
