"""One calibration: makes what it needs, does every experiment, takes it all away, and tells what was found."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Final, TypedDict

from pytest_s3vpce import __version__
from pytest_s3vpce.calibration import Calibration
from pytest_s3vpce.errors import RunError
from pytest_s3vpce.points import Lambda
from pytest_s3vpce.probe import ProbeBuilder
from pytest_s3vpce.run.calibrating.asking import Asker, Question
from pytest_s3vpce.run.calibrating.experiments import EXPERIMENTS, not_run
from pytest_s3vpce.run.calibrating.network import Network
from pytest_s3vpce.run.calibrating.organization import Management
from pytest_s3vpce.run.calibrating.partner import Partner
from pytest_s3vpce.run.calibrating.scratch import BOUND, FEW, Scratch
from pytest_s3vpce.run.deployments import deployment_of, hosts_of, placed
from pytest_s3vpce.run.planes import Planes, world_of
from pytest_s3vpce.run.termination import Termination
from pytest_s3vpce.undocumented import RULES
from pytest_s3vpce.vantage import AgentConfig, DeployedLambdaVantage, Deployment, Ledger, LocalVantage, marks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_s3vpce.calibration import Finding
    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.run.calibrating.experiments import Experiment, Given
    from pytest_s3vpce.run.environment import Environment
    from pytest_s3vpce.run.folder import RunFolder
    from pytest_s3vpce.run.world import World

_TRIES: Final = 60
_PAUSE: Final = 1.0
_BY_ALL: Final = Question(operation="GetObject")
_BY_BOUND: Final = Question(operation="GetObject", role=BOUND)
_BY_FEW: Final = Question(operation="GetBucketLocation", role=FEW)
_WAITED: Final = (_BY_ALL, _BY_BOUND, _BY_FEW)


class _Made(TypedDict):
    """What all need who make something for a calibration."""

    run_id: str
    tags: Mapping[str, str]
    ledger: Ledger
    notify: Callable[[str], None]


class Calibrator:
    """In one account of an inventory."""

    def __init__(
        self,
        inventory: Inventory,
        environment: Environment,
        folder: RunFolder,
        *,
        account: str,
        given: Given,
        notify: Callable[[str], None],
    ) -> None:
        if account not in inventory.accounts:
            raise RunError(f"there is no account `{account}`", remedy=f"known are {', '.join(inventory.accounts)}")
        self._environment = environment
        self._notify = notify
        self._given = given
        self._world = world_of(inventory, environment, run_id=folder.run_id)
        error = self._world.accounts.guard([account]).get(account)
        if error is not None:
            raise error
        self._planes = Planes(self._world, environment)
        self._run_id = folder.run_id
        self._ledger = Ledger(folder.ledger)
        self._scratch = Scratch(
            self._planes.of(account),
            run_id=folder.run_id,
            account_id=self._world.account_id(account),
            ledger=self._ledger,
            notify=notify,
        )
        self._outside = self._function("calibration", Deployment(subnets=(), security_groups=()))
        self._within = self._outside
        if given.inside:
            there = deployment_of(self._world, given.inside, _placed_by(inventory, given.inside, account=account))
            self._within = self._function("calibration-inside", there)
        self._ready: set[str] = set()
        self._make_askers()

    def _function(self, name: str, deployment: Deployment) -> DeployedLambdaVantage:
        return DeployedLambdaVantage(
            name,
            control=self._scratch.control,
            deployment=deployment,
            run_id=self._run_id,
            ledger=self._ledger,
            config=placed(self._world, self._environment),
        )

    def _make_askers(self) -> None:
        """From here, from a function outside of VPCs, and from one inside."""
        world, scratch, given = self._world, self._scratch, self._given
        user_agent = f"s3vpce/{__version__} run/{self._run_id}"
        builder = ProbeBuilder(user_agent=user_agent, loader=world.accounts.loader)
        made: _Made = {
            "run_id": self._run_id,
            "tags": scratch.tags,
            "ledger": self._ledger,
            "notify": self._notify,
        }
        management = Management(self._planes.of(given.organization), **made) if given.organization else None
        partner = None
        if given.partner:
            other = world.account_id(given.partner) if given.partner in world.inventory.accounts else ""
            partner = Partner(self._planes.of(given.partner), account_id=other)
        network = Network(scratch.control, function=self._within, **made)
        self._asker = Asker(scratch, _here(world, self._environment), builder, management=management)
        self._out = Asker(scratch, self._outside, builder)
        self._in = Asker(scratch, self._within, builder, network=network, partner=partner, far=given.far)

    def run(self) -> tuple[Calibration, list[str]]:
        """What was found; and what could not be removed, and why."""
        findings: dict[str, Finding] = {}
        left: list[str] = []
        termination = Termination()
        termination.listen()
        try:
            self._scratch.make()
            self._await_rights()
            for name, experiment in EXPERIMENTS.items():
                findings.update((found.rule, found) for found in self._done(name, experiment))
        finally:
            termination.ending()
            try:
                left += map(str, self._scratch.remove(self._planes.of))
            finally:
                termination.restore()
            for row in left:
                self._notify(f"left: {row}")
        findings = {rule: findings[rule] for rule in RULES if rule in findings}
        made = Calibration(
            made=marks.stamp(dt.datetime.now(dt.UTC)),
            mode=self._environment.mode,
            account=self._scratch.account_id,
            region=self._scratch.region,
            findings=findings,
        )
        return made, left

    def _done(self, name: str, row: Experiment) -> Iterable[Finding]:
        why = row.why_not(name, self._given)
        if why or row.run is None:
            return not_run(name, why)
        self._notify(f"experiment: {name}")
        return row.run(self._from(row))

    def _from(self, row: Experiment) -> Asker:
        if "function" in row.takes:
            self._prepare(self._outside)
            return self._out
        if "inside" in row.takes:
            self._prepare(self._within)
            return self._in
        return self._asker

    def _prepare(self, function: DeployedLambdaVantage) -> None:
        if function.name not in self._ready:
            function.prepare(notify=self._notify)
            self._ready.add(function.name)

    def _await_rights(self) -> None:
        """A role's policy takes a moment to count everywhere; nothing is measured before any of them does."""
        waited = list(_WAITED)
        for _ in range(_TRIES):
            replies = self._asker.ask(waited)
            waited = [row for row, reply in zip(waited, replies, strict=True) if not reply.outcome.allowed]
            if not waited:
                return
            time.sleep(_PAUSE)
        raise RunError(f"the calibration's role `{waited[0].role}` can't read the bucket that was made for it")


def _placed_by(inventory: Inventory, name: str, *, account: str) -> Lambda:
    """The vantage point whose subnets and security groups the function gets."""
    row = inventory.vantage_points.get(name)
    found = row.settled if row is not None else None
    if isinstance(found, Lambda) and found.subnets and (found.account or inventory.default_account) == account:
        return found
    raise RunError(
        f"there is no vantage point `{name}` of account `{account}` that is a function made in subnets",
        place=inventory.place("vantage_points", name) if row is not None else None,
        remedy="name one of the kind `lambda: {subnets: ..., security_groups: ...}`",
    )


def _here(world: World, environment: Environment) -> LocalVantage:
    """This machine."""
    config = AgentConfig(
        hosts=hosts_of(world),
        connect_to=bool(environment.connect_to),
        loopback=environment.loopback,
        ca_bundle=environment.ca_bundle,
    )
    return LocalVantage("calibration", config=config, connect_to=environment.connect_to)
