"""`presigned-bounded`: URLs that somebody signed work from inside while they are fresh, and never else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_s3vpce.claims.admitted import besides
from pytest_s3vpce.claims.cells import Cells
from pytest_s3vpce.claims.claim import OWNERS, Claim
from pytest_s3vpce.claims.gaps import Gap
from pytest_s3vpce.claims.paths import apart, causes, path_probes, strayed, through, used
from pytest_s3vpce.claims.setting import make_probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_s3vpce.claims.findings import Finding
    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.model import Layer
    from pytest_s3vpce.probe import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class PresignedBounded(Claim):
    """`fresh` and `old` send presigned URLs before they expire; `endpoints`, where given, tell inside from outside.

    That S3 takes no expired URL is S3's own doing and says nothing of a bucket.
    """

    fresh: str
    old: str
    inside: tuple[str, ...]
    outside: tuple[str, ...]
    endpoints: tuple[str, ...] = ()
    actions: tuple[str, ...] = ("s3:GetObject",)
    by: frozenset[Layer] = OWNERS

    def cells(self) -> Cells:
        return Cells(
            allowed=tuple(self._probes(self.fresh, self.inside)),
            denied=(
                *self._probes(self.fresh, self.outside),
                *self._probes(self.old, (*self.inside, *self.outside)),
            ),
            by=self.by,
        )

    def _probes(self, principal: str, vantages: Iterable[str]) -> Iterator[Probe]:
        for vantage in vantages:
            for action in self.actions:
                yield make_probe(action, self.bucket, principal=principal, vantage=vantage)

    def probes(self, setting: Setting) -> Iterator[Probe]:
        yield from self.cells().probes(setting)
        for vantage in (*self.inside, *self.outside):
            yield from path_probes(setting, vantage, self.endpoints)

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        setting = setting.toward(self.bucket)
        cells = self.cells()
        if not self.endpoints:
            return cells.judge(setting, results)
        inside = {vantage: through(setting, results, vantage, self.endpoints) for vantage in self.inside}
        outside = [apart(setting, results, vantage, self.endpoints) for vantage in self.outside]
        none = strayed(setting, results, self._probes(self.fresh, self.outside), self.endpoints)
        cells = replace(cells, causes=causes(inside), strayed=none)
        ways = [*(way.finding for way in inside.values()), *outside, *used([*inside.values()], self.endpoints)]
        return [*ways, *cells.judge(setting, results)]

    def explained(self) -> tuple[str, ...]:
        return (self.fresh, self.old)

    def gaps(self, setting: Setting) -> Iterator[Gap]:
        if not self.endpoints:
            yield Gap("no endpoint is named, so the ways from inside and outside were not compared")
        else:
            yield from besides(setting, self.bucket, named=self.endpoints, outside=self.outside)
