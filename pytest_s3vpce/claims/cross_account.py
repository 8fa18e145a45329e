"""`cross-account`: granted foreign principals get in from the named places, refused ones do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_s3vpce.claims.claim import OWNERS, Claim
from pytest_s3vpce.claims.exclusion import Exclusion
from pytest_s3vpce.claims.findings import (
    Finding,
    attribution,
    canary,
    foreign,
    negative,
    outside_hypotheses,
    outside_readers,
    positive,
    reach,
    reach_probes,
    readings_of,
)
from pytest_s3vpce.claims.setting import make_probe
from pytest_s3vpce.model import Layer, Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.probe import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossAccount(Claim):
    """The claim's own fields; `granted` and `refused` are (principal, vantage point) pairs."""

    granted: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, str], ...]
    actions: tuple[str, ...]
    by: frozenset[Layer] = OWNERS

    def _cells(self, pairs: tuple[tuple[str, str], ...]) -> Iterator[Probe]:
        for principal, vantage in pairs:
            for action in self.actions:
                yield make_probe(action, self.bucket, principal=principal, vantage=vantage)

    def probes(self, setting: Setting) -> Iterator[Probe]:
        yield from self._cells(self.granted)
        yield from self._cells(self.refused)
        for principal, vantage in (*self.granted, *self.refused):
            yield from reach_probes(setting, principal=principal, vantage=vantage, transport=Transport.HTTPS)
        for vantage in dict.fromkeys(vantage for _, vantage in self.refused):
            yield from readings_of(
                setting,
                "",
                principals=outside_readers(setting),
                vantage=vantage,
                hypotheses=outside_hypotheses(setting, vantage, ()),
            )

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        findings = list(foreign(setting, self.bucket, (name for name, _ in (*self.granted, *self.refused))))
        findings += [
            positive(results, probe, controls=self._reach(setting, results, probe))
            for probe in self._cells(self.granted)
        ]
        for probe in self._cells(self.refused):
            findings.append(self._reach(setting, results, probe))
            findings.append(negative(results, probe))
            layer = attribution(results, probe, by=self.by, excluded=Exclusion(setting, results))
            if layer is not None:
                findings.append(layer)
        checked = canary(results, self.bucket, [probe.cell.operation for probe in self._cells(self.granted)])
        return findings + ([checked] if checked else [])

    def _reach(self, setting: Setting, results: Results, probe: Probe) -> Finding:
        principal, vantage = probe.cell.principal, probe.cell.vantage
        probes = reach_probes(setting, principal=principal, vantage=vantage, transport=Transport.HTTPS)
        return reach(setting, results, probes, principal=principal, vantage=vantage)
