"""Who sends: the inventory resolved against AWS or a lab, and what comes out as a matrix."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_s3vpce import __version__
from pytest_s3vpce.calibration import LIVE
from pytest_s3vpce.errors import RunError, S3VpceError
from pytest_s3vpce.model import Expect, Transport
from pytest_s3vpce.probe import Probe, ProbeBuilder
from pytest_s3vpce.run.access import AccessRun
from pytest_s3vpce.run.canaries import Canaries
from pytest_s3vpce.run.deletions import Deletions
from pytest_s3vpce.run.describing import describe, with_changes, with_exemptions
from pytest_s3vpce.run.mutations import Mutations
from pytest_s3vpce.run.plan import are_missed, substitutes
from pytest_s3vpce.run.planes import world_of
from pytest_s3vpce.run.results import matrix_of
from pytest_s3vpce.run.settling import RealClock
from pytest_s3vpce.run.vantages import VantagePoints
from pytest_s3vpce.vantage import Ledger, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pytest_s3vpce.claimbase import ClaimSpec, Pair
    from pytest_s3vpce.claims import Claim, Setting
    from pytest_s3vpce.expectations import ExpectedCell, Plan
    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.matrix import Matrix
    from pytest_s3vpce.model import Cell
    from pytest_s3vpce.run.environment import Environment
    from pytest_s3vpce.run.folder import RunFolder
    from pytest_s3vpce.run.observed import Observed
    from pytest_s3vpce.run.world import Described, World
    from pytest_s3vpce.vantage import Remaining


class Operator:
    """One process's hands on the accounts: sessions, vantage points, probes."""

    def __init__(
        self,
        inventory: Inventory,
        environment: Environment,
        folder: RunFolder,
        *,
        notify: Callable[[str], None],
        strict: bool,
        settle: float | None = None,
    ) -> None:
        self._strict = strict
        self._settle = float(inventory.settle) if settle is None else settle
        self._folder = folder
        self._notify = notify
        self.environment = environment
        self.world = world_of(inventory, environment, run_id=folder.run_id)
        self.accounts = self.world.accounts
        self.vantages = VantagePoints(self.world, environment, folder, notify=notify)
        self._builder = ProbeBuilder(user_agent=self.user_agent, loader=self.accounts.loader)
        self.canaries = Canaries(self.world, self.vantages, Ledger(folder.ledger), builder=self._builder)
        self._mutations = Mutations(self.world, self.canaries, Ledger(folder.ledger))
        self._deletions = Deletions(self.world, folder, clock=RealClock())
        self._guarded: set[str] = set()
        self.sent: dict[str, Cell] = {}
        """By id, the cell of everything that was to be sent: declared ones, those of claims, and controls."""

    @property
    def user_agent(self) -> str:
        """Every request says whose it is, so that logs can be read afterwards."""
        return f"s3vpce/{__version__} run/{self._folder.run_id}"

    def run(self, plan: Plan, chosen: Collection[str]) -> Matrix:
        """Everything that the chosen cells and claims ask for, as a matrix."""
        cells = [row for row in plan.cells if row.id in chosen]
        specs = [row for row in plan.claims if row.id in chosen]
        return self.observe(cells, specs, readers=substitutes(plan, cells, specs))

    def observe(
        self, cells: Sequence[ExpectedCell], specs: Sequence[ClaimSpec], *, readers: Mapping[str, Pair] | None = None
    ) -> Matrix:
        """Guard, make ready, describe, send, judge. `readers` read buckets' canaries where nobody else is known to."""
        started = time.time()
        _check_calibration(self.world, self.environment)
        claims = [self.claim(spec) for spec in specs]
        buckets = _buckets(cells, specs)
        known = {**(readers or {}), **self._readers(buckets)}
        now = known if are_missed(cells, specs) else self._readers(buckets)
        vantages = list(dict.fromkeys([*_vantages(cells, specs), *(vantage for _, vantage in now.values())]))
        principals = [*_principals(cells, specs), *(principal for principal, _ in now.values())]
        self.guard(
            [*principals, *(principal for principal, _ in known.values())],
            [*vantages, *(vantage for _, vantage in known.values())],
        )
        try:
            found, setting, unmade = self._ready(
                cells, claims, vantages=vantages, principals=principals, buckets=buckets
            )
            seen = self._access_run().observe(cells, claims, setting, now=now, known=known, unmade=unmade)
        finally:
            self.canaries.remove(buckets)
        self.sent.update((probe.cell.id, probe.cell) for probe in seen.outcomes)
        contrary = (row.cell.target.bucket for row in cells if _is_contrary(row, seen))
        setting = with_exemptions(self.world, with_changes(self.world, setting, found.policy_texts), contrary)
        return matrix_of(
            seen,
            cells=cells,
            claims=list(zip(specs, claims, strict=True)),
            setting=setting,
            places=found.places,
            world=self.world,
            mode=self.environment.mode,
            started=started,
            strict=self._strict,
        )

    def _ready(
        self,
        cells: Sequence[ExpectedCell],
        claims: Sequence[Claim],
        *,
        vantages: Sequence[str],
        principals: Sequence[str],
        buckets: Sequence[str],
    ) -> tuple[Described, Setting, dict[str, str]]:
        """Vantage points, what can be read of everything, and canaries; with the buckets that got none, and why."""
        # Paths are read on control buckets and for claims, closed ports explain plain http: else nobody would ask.
        asked = self.world.inventory.controls or claims or any(row.cell.transport is Transport.HTTP for row in cells)
        with ThreadPoolExecutor(2) as pool:
            described = pool.submit(describe, self.world, vantages if asked else (), claims)
            warm = pool.submit(self._warm)
            try:
                self.vantages.prepare(vantages)
                warm.result()
                unmade = self.canaries.make(buckets)
                found = described.result()
            except KeyboardInterrupt:
                self.vantages.end()
                raise
            return found, self.world.setting(found, principals=principals), unmade

    def _warm(self) -> None:
        """Loads botocore's model of S3 while the vantage points are made; what is wrong is told by who needs it."""
        with suppress(S3VpceError):
            self._builder.warm(self.accounts.region(self.world.inventory.default_account))

    def claim(self, spec: ClaimSpec) -> Claim:
        """A claim with its references resolved."""
        return self.world.claim(spec)

    def sweep(self) -> list[Remaining]:
        """Removes what the ledger lists; what can't go yet comes back with its reason."""
        ledger = Ledger(self._folder.ledger)
        return sweep(ledger, self.vantages.control, notify=self._notify) if ledger.open_entries() else []

    def readings(self, probes: Sequence[Probe]) -> Observed:
        """Probes of a test's own, sent and classified; their principals and vantage points must be guarded."""
        _check_calibration(self.world, self.environment)
        return self._access_run().send(probes, {}, unmade={})

    def _access_run(self) -> AccessRun:
        return AccessRun(
            self.world,
            self.vantages,
            builder=self._builder,
            notify=self._notify,
            mutations=self._mutations,
            deletions=self._deletions,
            settle=self._settle,
        )

    def guard(self, principals: Iterable[str], vantages: Iterable[str]) -> None:
        """Every account that is going to be used, compared with GetCallerIdentity before anything else happens."""
        inventory = self.world.inventory
        first = inventory.default_account
        accounts = {inventory.principals[name].account or first for name in principals}
        accounts |= {
            inventory.vantage_points[name].account or first
            for name in vantages
            if inventory.vantage_points[name].settled is not None
        }
        todo = accounts - self._guarded
        self._guarded |= accounts
        self.accounts.guard(sorted(todo))

    def _readers(self, buckets: Iterable[str]) -> dict[str, Pair]:
        """Those that the inventory declares."""
        found = {}
        for bucket in buckets:
            canary = self.world.inventory.buckets[bucket].canary
            who = canary.reader or canary.create
            if who:
                principal, _, vantage = who.partition(":")
                found[bucket] = (principal, vantage)
        return found


def _check_calibration(world: World, environment: Environment) -> None:
    """What a lab does says nothing about AWS."""
    made = world.calibration
    if environment.mode == LIVE and made.mode not in ("", LIVE):
        raise RunError(
            f"the calibration `{world.inventory.calibration}` was made in a lab",
            place=world.inventory.place("calibration"),
            remedy="`s3vpce calibrate --account NAME` makes one on AWS",
        )


def _is_contrary(row: ExpectedCell, seen: Observed) -> bool:
    """Whether policies did what was not expected of them."""
    found = seen.counted[Probe(cell=row.cell)]
    return found.denied if row.expect is Expect.ALLOW else found.allowed


def _vantages(cells: Sequence[ExpectedCell], specs: Sequence[ClaimSpec]) -> list[str]:
    named = [row.cell.vantage for row in cells]
    return list(dict.fromkeys([*named, *(vantage for spec in specs for _, vantage in spec.pairs)]))


def _principals(cells: Sequence[ExpectedCell], specs: Sequence[ClaimSpec]) -> list[str]:
    named = [row.cell.principal for row in cells]
    return list(dict.fromkeys([*named, *(principal for spec in specs for principal, _ in spec.pairs)]))


def _buckets(cells: Sequence[ExpectedCell], specs: Sequence[ClaimSpec]) -> list[str]:
    named = [row.cell.target.bucket for row in cells]
    return list(dict.fromkeys([*named, *(name for spec in specs for name in (spec.bucket, *spec.others))]))
