"""Whether a run shows that a denial means something: its caller reaches S3, and what it asks for is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pytest_s3vpce.operations import OPERATIONS
from pytest_s3vpce.run.objects import is_bare, object_of

if TYPE_CHECKING:
    from pytest_s3vpce.claims import Results, Setting
    from pytest_s3vpce.probe import Probe


@dataclass(frozen=True, slots=True)
class Controlled:
    """What a run shows of callers and buckets."""

    setting: Setting
    results: Results
    callers: frozenset[tuple[str, str]]
    """Who was allowed anything, and from where."""
    buckets: frozenset[str]
    """Those that let somebody in, or whose policy S3 named: they are there, and owned by whom the inventory says."""

    @classmethod
    def of(cls, setting: Setting, results: Results) -> Self:
        """From all that was sent."""
        rows = results.outcomes
        allowed = [probe.cell for probe, told in rows.items() if told.allowed]
        named = [probe.cell for probe, told in rows.items() if told.denied and not is_bare(probe, rows)]
        return cls(
            setting,
            results,
            frozenset((cell.principal, cell.vantage) for cell in allowed),
            frozenset(cell.target.bucket for cell in (*allowed, *named)),
        )

    def holds(self, probe: Probe) -> bool:
        """Whether its caller was let in somewhere from there; without a reason from S3, also what it was refused."""
        if not self._reaches(probe.cell.principal, probe.cell.vantage):
            return False
        if not is_bare(probe, self.results.outcomes):
            return True
        if OPERATIONS[probe.cell.operation].on_object:
            return self.results.is_there(object_of(probe))
        return probe.cell.target.bucket in self.buckets

    def _reaches(self, principal: str, vantage: str) -> bool:
        """With good credentials; for `anonymous` any role shows it."""
        if (principal, vantage) in self.callers:
            return True
        roles = self.setting.roles() if self.setting.principals[principal].anonymous else ()
        return any((role, vantage) in self.callers for role in roles)
