"""Sweeping after runs that were killed: by their ledgers, and by the tags of what they made, in a whole inventory."""

from __future__ import annotations

import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.errors import RunError, S3VpceError
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.operator import Operator
from pytest_s3vpce.run.planes import Planes, world_of
from pytest_s3vpce.vantage import Ledger, Remaining, leftovers
from pytest_s3vpce.vantage.control import FAULTS, words_of
from pytest_s3vpce.vantage.removal import clear, remove, strike

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.vantage import ControlPlane, Entry

    _Spot = Callable[[], tuple[ControlPlane, dict[str, str]]]

_SETTLING: Final = 3.0
"""Seconds in which a request arrives that was under way when its run was killed."""
_PAUSE: Final = 20.0
_WAIT_SECONDS: Final = 2400.0
"""Lambda takes up to 20 minutes for a network interface; twice that is for good."""
_WORKERS: Final = 8


@dataclass(frozen=True, slots=True)
class Unseen:
    """A place that could not be looked at, and why: nobody knows what is left there."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where} could not be looked at: {self.reason}"


def sweep_folder(
    path: Path, inventory: Inventory, *, notify: Callable[[str], None], environment: Environment | None = None
) -> list[Remaining]:
    """Removes what the run folder's ledger lists; what can't go yet comes back. An empty folder is removed itself."""
    folder = RunFolder(path)
    if not folder.ledger.exists():
        raise RunError(f"`{path}` holds no ledger", remedy="name a run's folder: .s3vpce/run-ID")
    if folder.is_held:
        raise RunError(f"the run of `{path}` goes on", remedy="it removes what it made when it ends; sweep then")
    _settle([folder])
    operator = Operator(inventory, environment or Environment(), folder, notify=notify, strict=False)
    accounts = {entry.account for entry in Ledger(folder.ledger).open_entries()}
    operator.accounts.guard(accounts & set(inventory.accounts))
    left = operator.sweep()
    folder.tidy(keep=bool(left))
    return left


def until_gone(sweep: Callable[[], Sequence[object]], *, notify: Callable[[str], None]) -> Sequence[object]:
    """Sweeps again and again until nothing is left that only needs time."""
    end = time.monotonic() + _WAIT_SECONDS
    while True:
        left = sweep()
        waiting = [row for row in left if isinstance(row, Remaining)]
        if not waiting or time.monotonic() > end:
            return left
        for row in waiting:
            notify(f"waiting: {row}")
        time.sleep(_PAUSE)


class Sweeper:
    """An inventory's accounts and Regions, and the run folders beside it."""

    def __init__(
        self,
        inventory: Inventory,
        environment: Environment,
        *,
        roots: Iterable[Path],
        accounts: Collection[str] = (),
        notify: Callable[[str], None],
    ) -> None:
        self._inventory = inventory
        self._environment = environment
        self._notify = notify
        self._accounts = list(accounts) or list(inventory.accounts)
        for name in self._accounts:
            if name not in inventory.accounts:
                raise RunError(f"there is no account `{name}`", remedy=f"known are {', '.join(inventory.accounts)}")
        self._folders = [RunFolder(path) for root in roots for path in sorted((root / ".s3vpce").glob("run-*"))]
        self._world = world_of(inventory, environment, run_id="sweep")
        self._planes = Planes(self._world, environment)
        self._world.accounts.guard(self._accounts)

    def sweep(self, *, older_than: dt.timedelta | None = None) -> list[Remaining | Unseen]:
        """Removes what ended runs left, by their ledgers here, then whatever else carries a run's tags and is over."""
        for folder in self._folders:
            if folder.is_abandoned:
                folder.tidy(keep=False)
        ended = self._ended()
        _settle(ended)
        left: dict[tuple[str, ...], Remaining] = {}
        for folder in ended:
            ledger = Ledger(folder.ledger)
            for row in clear(self._listed(ledger), self._striking(ledger), notify=self._notify):
                left[_key(row.entry)] = row
            folder.tidy(keep=ledger.is_needed)
        found, unseen = self._tagged(older_than)
        fresh = [entry for entry in found if _key(entry) not in left]
        rows = clear(fresh, lambda entry: remove(entry, self._planes.of(entry.account)), notify=self._notify)
        return [*left.values(), *rows, *unseen]

    def find(self, *, older_than: dt.timedelta | None = None) -> tuple[list[Entry], list[Unseen]]:
        """What `sweep` would remove."""
        found, unseen = self._tagged(older_than)
        listed = [entry for folder in self._ended() for entry in self._listed(Ledger(folder.ledger))]
        return list({_key(entry): entry for entry in (*listed, *found)}.values()), unseen

    def _ended(self) -> list[RunFolder]:
        return [folder for folder in self._folders if folder.ledger.exists() and not folder.is_held]

    def _listed(self, ledger: Ledger) -> list[Entry]:
        """What is of the accounts asked for, or of one that the inventory does not know any more."""
        others = set(self._inventory.accounts) - set(self._accounts)
        return [entry for entry in ledger.open_entries() if entry.account not in others]

    def _striking(self, ledger: Ledger) -> Callable[[Entry], str | None]:
        return lambda entry: strike(ledger, entry, self._planes.of(entry.account))

    # --- by tags -----------------------------------------------------------------------------------------------------

    def _tagged(self, older_than: dt.timedelta | None) -> tuple[list[Entry], list[Unseen]]:
        living = frozenset(folder.run_id for folder in self._folders if folder.is_held)
        age = leftovers.Age(now=dt.datetime.now(dt.UTC), older_than=older_than, living=living)
        jobs = list(self._places(age))
        with ThreadPoolExecutor(_WORKERS) as pool:
            results = list(pool.map(_looked, jobs))
        entries = [entry for rows in results if isinstance(rows, list) for entry in rows]
        return entries, [row for row in results if isinstance(row, Unseen)]

    def _places(self, age: leftovers.Age) -> Iterator[tuple[str, Callable[[], Iterable[Entry]]]]:
        """Where to look for each kind."""
        for row in leftovers.TABLE.values():
            for where, at in self._spots(row.scope):
                yield f"{row.words} {where}", partial(_look, row, at, age)

    def _spots(self, scope: leftovers.Scope) -> Iterator[tuple[str, _Spot]]:
        """Each account, or each Region of it that the inventory names, or each bucket in which runs make canaries."""
        if scope is leftovers.Scope.BUCKET:
            for label, row in self._inventory.buckets.items():
                if row.canary.create and (row.account or self._inventory.default_account) in self._accounts:
                    yield f"in bucket {label}", partial(self._bucket, label)
        for account, regions in self._regions().items():
            if scope is leftovers.Scope.ACCOUNT:
                yield f"of account {account}", partial(self._plane, account, regions[0])
            if scope is leftovers.Scope.REGION:
                for region in regions:
                    yield f"of account {account}, {region}", partial(self._plane, account, region)

    def _plane(self, account: str, region: str) -> tuple[ControlPlane, dict[str, str]]:
        return self._planes.of(account).at(region), {}

    def _bucket(self, label: str) -> tuple[ControlPlane, dict[str, str]]:
        facts = self._world.bucket(label)
        return self._planes.of(facts.account).at(self._world.region(label)), {"bucket": facts.name}

    def _regions(self) -> dict[str, tuple[str, ...]]:
        """The Regions that the inventory names for each account: its own and those of its vantage points."""
        found = {name: [self._world.accounts.region(name)] for name in self._accounts}
        for name, point in self._inventory.vantage_points.items():
            row = point.settled
            account = point.account or self._inventory.default_account
            if row is not None and row.region is not None and account in found:
                found[account].append(self._world.resolve(row.region, "vantage_points", name, point.kind, "region"))
        return {name: tuple(dict.fromkeys(regions)) for name, regions in found.items()}


def _look(row: leftovers.Row, at: _Spot, age: leftovers.Age) -> Iterator[Entry]:
    control, more = at()
    return iter(()) if row.look is None else row.look(control, age, **more)


def _looked(job: tuple[str, Callable[[], Iterable[Entry]]]) -> list[Entry] | Unseen:
    where, look = job
    try:
        return list(look())
    except S3VpceError as error:
        return Unseen(where, str(error))
    except FAULTS as error:
        return Unseen(where, words_of(error))


def _settle(folders: Sequence[RunFolder]) -> None:
    """Waits until nothing can be under way any more that these runs asked for just before they were killed."""
    newest = max((folder.ledger.stat().st_mtime for folder in folders if _is_open(folder)), default=0.0)
    pause = newest + _SETTLING - time.time()
    if pause > 0:
        time.sleep(min(pause, _SETTLING))


def _is_open(folder: RunFolder) -> bool:
    return bool(Ledger(folder.ledger).open_entries())


def _key(entry: Entry) -> tuple[str, ...]:
    return entry.kind.value, entry.account, entry.region, entry.identifier
