"""`separate-duties`: reads get in by one endpoint, writes by another, and neither by the other's."""

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
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_s3vpce.claims.findings import Finding
    from pytest_s3vpce.claims.paths import Way
    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.model import Layer
    from pytest_s3vpce.probe import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparateDuties(Claim):
    """`reads` are allowed from `read_at`, by the endpoints `read_through`; `writes` likewise; `outside` has neither."""

    principals: tuple[str, ...]
    read_through: tuple[str, ...]
    read_at: tuple[str, ...]
    write_through: tuple[str, ...]
    write_at: tuple[str, ...]
    outside: tuple[str, ...] = ()
    reads: tuple[str, ...] = ("s3:GetObject", "s3:ListBucket")
    writes: tuple[str, ...] = ("s3:PutObject",)
    by: frozenset[Layer] = OWNERS

    def cells(self) -> Cells:
        return Cells(
            allowed=(*self._probes(self.reads, self.read_at), *self._probes(self.writes, self.write_at)),
            denied=(
                *self._probes(self.writes, self.read_at),
                *self._probes(self.reads, self.write_at),
                *self._probes((*self.reads, *self.writes), self.outside),
            ),
            by=self.by,
        )

    def _probes(self, actions: Iterable[str], vantages: Iterable[str]) -> Iterator[Probe]:
        places = tuple(vantages)
        for action in actions:
            for principal in self.principals:
                for vantage in places:
                    yield make_probe(action, self.bucket, principal=principal, vantage=vantage)

    def probes(self, setting: Setting) -> Iterator[Probe]:
        yield from self.cells().probes(setting)
        for vantage in (*self.read_at, *self.write_at, *self.outside):
            yield from path_probes(setting, vantage, (*self.read_through, *self.write_through))

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        setting = setting.toward(self.bucket)
        both = (*self.read_through, *self.write_through)
        reading = {place: through(setting, results, place, self.read_through, others=both) for place in self.read_at}
        writing = {place: through(setting, results, place, self.write_through, others=both) for place in self.write_at}
        meant = {
            **self._crossed(self.writes, reading, self.write_through),
            **self._crossed(self.reads, writing, self.read_through),
            **strayed(setting, results, self._probes(self.reads, self.outside), self.read_through),
            **strayed(setting, results, self._probes(self.writes, self.outside), self.write_through),
        }
        cells = replace(self.cells(), causes={**causes(reading), **causes(writing)}, strayed=meant)
        return [
            *(way.finding for way in (*reading.values(), *writing.values())),
            *used([*reading.values()], self.read_through),
            *used([*writing.values()], self.write_through),
            *(apart(setting, results, vantage, both) for vantage in self.outside),
            *cells.judge(setting, results),
        ]

    def _crossed(self, actions: Iterable[str], ways: Mapping[str, Way], endpoints: tuple[str, ...]) -> dict[Probe, str]:
        """What came by the very endpoints that it is to be let in by."""
        at = {vantage: way.finding.sentence for vantage, way in ways.items() if {*way.read} & {*endpoints}}
        return {probe: at[probe.cell.vantage] for probe in self._probes(actions, at)}

    def explained(self) -> tuple[str, ...]:
        return self.principals

    def gaps(self, setting: Setting) -> Iterator[Gap]:
        if not self.outside:
            yield Gap("nothing was tried from outside of both endpoints")
        both = (*self.read_through, *self.write_through)
        yield from besides(setting, self.bucket, named=both, outside=self.outside)
