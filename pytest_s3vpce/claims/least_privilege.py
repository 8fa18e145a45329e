"""`least-privilege`: a principal does exactly the listed actions on exactly the listed keys, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from pytest_s3vpce.claims.cells import Cells
from pytest_s3vpce.claims.claim import POLICIES, Claim
from pytest_s3vpce.claims.encryptions import in_every_form
from pytest_s3vpce.claims.gaps import Gap
from pytest_s3vpce.claims.setting import make_probe, row_of
from pytest_s3vpce.operations import OPERATIONS, Fill, Operation, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_s3vpce.claims.findings import Finding
    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.model import Layer
    from pytest_s3vpce.probe import Probe

    Key = tuple[str, str]
    """A key's name, and itself."""


class Reason(StrEnum):
    """Why an operation is not asked for."""

    UNSAFE = "no form of theirs changes nothing"
    INFERRED = "their forms are inferred: set `inferred: true`"
    HELPERS = "their forms ask for what is not granted besides"
    TOGETHER = "they ask for several actions at once"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastPrivilege(Claim):
    """`keys` are where `actions` are allowed (none: the canary), `neighbours` where they are not.

    `witness` shows that objects are there. Of `operations`, all that ask for more than `actions` must be denied.
    """

    principal: str
    at: str
    actions: tuple[str, ...]
    keys: tuple[Key, ...] = ()
    neighbours: tuple[Key, ...] = ()
    witness: tuple[str, str] | None = None
    inferred: bool = False
    operations: tuple[str, ...] = tuple(OPERATIONS)
    by: frozenset[Layer] = POLICIES

    def cells(self) -> Cells:
        return Cells(
            allowed=tuple(self._probes(map(row_of, self.actions), self.keys)),
            denied=tuple(in_every_form((*self._excess(), *self._beside()))),
            by=self.by,
        )

    def _probes(self, rows: Iterable[Operation], keys: Sequence[Key]) -> Iterator[Probe]:
        """Each operation on each key, or on the bucket; a listing is of a key where keys are named."""
        for row in rows:
            if row.on_object and keys:
                yield from (self._probe(row, key) for key in keys)
            elif _lists(row) and keys:
                yield from (self._listing(row, f"of-{name}", text) for name, text in keys)
            else:
                yield self._probe(row, None)

    def _probe(self, row: Operation, key: Key | None) -> Probe:
        """The probe of an operation; under test is what it asks for beyond the grant, if anything."""
        probe = make_probe(row.name, self.bucket, principal=self.principal, vantage=self.at, key=key)
        missing = self._missing(row)
        action = missing[0] if missing else probe.cell.action
        return replace(probe, cell=replace(probe.cell, action=action, inferred=self.inferred))

    def _listing(self, row: Operation, variant: str, prefix: str) -> Probe:
        probe = self._probe(row, None)
        return replace(probe, cell=replace(probe.cell, variant=variant, parameters={"Prefix": prefix}))

    def _excess(self) -> Iterator[Probe]:
        """What is not granted: neither on the keys nor on their neighbours, nor as a listing of either."""
        for row in self._asked():
            if row.on_object:
                yield from self._probes([row], self.keys)
                yield from self._probes([row], self.neighbours) if self.neighbours else ()
            else:
                yield self._probe(row, None)
                yield from self._listings(row, (*self.keys, *self.neighbours)) if _lists(row) else ()

    def _beside(self) -> Iterator[Probe]:
        """What is granted, on the neighbours: listings of all that lies there among it, and of the whole bucket."""
        if not self.neighbours:
            return
        for row in map(row_of, self.actions):
            if row.on_object:
                yield from self._probes([row], self.neighbours)
            elif _lists(row) and self.keys:  # else the listing of the whole bucket is granted
                yield self._probe(row, None)
                yield from self._listings(row, self.neighbours)

    def _listings(self, row: Operation, keys: Sequence[Key]) -> Iterator[Probe]:
        """Of each key, of the folder around it where none of the granted keys lies, and of all by an empty prefix."""
        for name, text in keys:
            yield self._listing(row, f"of-{name}", text)
            folder = text[: text.rfind("/") + 1]
            if folder and not any(own.startswith(folder) for _, own in self.keys):
                yield self._listing(row, f"around-{name}", folder)
        yield from [self._listing(row, "empty-prefix", "")] if self.keys else []

    def _granted(self) -> frozenset[str]:
        return frozenset(action for text in self.actions for action in row_of(text).actions)

    def _missing(self, row: Operation) -> list[str]:
        granted = self._granted()
        return [action for action in row.actions if action not in granted]

    def _is_asked(self, row: Operation) -> bool:
        """Whether one action of it is beyond the grant, and a denial can be told to be of that one."""
        about = any(requirement.resource is not Resource.NONE for requirement in row.requires)
        return about and len(self._missing(row)) == 1 and self._why_not(row) is None

    def _asked(self) -> list[Operation]:
        return [OPERATIONS[name] for name in self.operations if self._is_asked(OPERATIONS[name])]

    def _why_not(self, row: Operation) -> Reason | None:
        if row.safe is None:
            return Reason.UNSAFE
        if row.writes and not row.safe.documented and not row.on_object and not self.inferred:
            return Reason.INFERRED
        beyond = {helper.action for helper in row.safe.helpers} - self._granted() - set(self._missing(row))
        return Reason.HELPERS if beyond else None

    def probes(self, setting: Setting) -> Iterator[Probe]:
        yield from self.cells().probes(setting)
        yield from self._witnessed()

    def _witnessed(self) -> Iterator[Probe]:
        if self.witness is not None:
            principal, vantage = self.witness
            for key in (*self.keys, *self.neighbours):
                yield make_probe("GetObject", self.bucket, principal=principal, vantage=vantage, key=key)

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        return self.cells().judge(setting, results)

    def gaps(self, setting: Setting) -> Iterator[Gap]:
        """What is beyond the grant and was not asked for, by reason; what other operations spoke for is no gap."""
        asked = self._asked()
        spoken = {action for row in asked for action in self._missing(row)}
        found: dict[Reason, list[str]] = {}
        for row in OPERATIONS.values():
            about = any(requirement.resource is not Resource.NONE for requirement in row.requires)
            if about and not set(self._missing(row)) <= spoken:
                found.setdefault(self._why_not(row) or Reason.TOGETHER, []).append(row.name)
        for reason, names in found.items():
            yield Gap(f"not tried, since {reason.value}:", tuple(names))
        beside = tuple(row.name for row in asked if _asks_beside(row))
        if beside:
            what = "tried beside each key, where nothing is, so that rights to that key alone don't show"
            yield Gap(f"{what}:", beside)
        if not self.neighbours:
            yield Gap("no neighbouring key was tried")
        del setting


def _lists(row: Operation) -> bool:
    return "Prefix" in row.keys


def _asks_beside(row: Operation) -> bool:
    return row.safe is not None and row.safe.parameters.get("Key") is Fill.ABSENT_KEY
