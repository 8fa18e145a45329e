"""Cells that must be allowed and cells that must be denied, with the controls by which both mean something."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_s3vpce.claims.claim import OWNERS
from pytest_s3vpce.claims.exclusion import Exclusion
from pytest_s3vpce.claims.findings import (
    Finding,
    attribution,
    canary,
    head_probes,
    negative,
    objects,
    positive,
    reach,
    reach_probes,
)
from pytest_s3vpce.claims.formkeys import odd
from pytest_s3vpce.claims.paths import path_probes
from pytest_s3vpce.claims.setting import helper_probes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.model import Layer, Transport
    from pytest_s3vpce.probe import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """What a claim says of single requests; `by` are the layers that a denial may come from.

    What is known by vantage point: `causes` why requests from there may be denied that must be allowed, `closed` why
    none gets out that must be denied. Of single requests `strayed` says that they do not come the way that is meant:
    whatever they give refutes nothing.
    """

    allowed: tuple[Probe, ...]
    denied: tuple[Probe, ...]
    by: frozenset[Layer] = OWNERS
    reaches: Mapping[Transport, tuple[Probe, ...]] = field(default_factory=dict)
    """By transport, what shows reach in place of a read of the control bucket."""
    causes: Mapping[str, str] = field(default_factory=dict)
    closed: Mapping[str, str] = field(default_factory=dict)
    strayed: Mapping[Probe, str] = field(default_factory=dict)

    def probes(self, setting: Setting) -> Iterator[Probe]:
        """The cells, the helpers of their forms, who reaches the control bucket, and the paths of what is denied."""
        for probe in (*self.allowed, *self.denied):
            yield probe
            yield from helper_probes(probe.cell)
            yield from self._reach_probes(setting, probe)
            yield from head_probes(setting, probe)
        for vantage in dict.fromkeys(probe.cell.vantage for probe in self.denied):
            yield from path_probes(setting, vantage)

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        """Every cell, its reach, the layer of each denial, that there is an object, and that no write changed it."""
        reached = {probe: self._reach(setting, results, probe) for probe in (*self.allowed, *self.denied)}
        # Whoever is let in has reached S3: without a denial nothing rests on its control.
        needed = (*(probe for probe in self.allowed if not results.allowed(probe)), *self.denied)
        findings = list(dict.fromkeys(reached[probe] for probe in needed))
        for probe in self.allowed:
            cause = self.causes.get(probe.cell.vantage, "")
            doubt = self.strayed.get(probe) or odd(setting, probe.cell)
            findings.append(positive(results, probe, controls=reached[probe], cause=cause, doubt=doubt))
        excluded = Exclusion(setting, results)
        for probe in self.denied:
            strayed, cause = self.strayed.get(probe, ""), self.closed.get(probe.cell.vantage, "")
            doubt = odd(setting, probe.cell)
            findings.append(negative(results, probe, strayed=strayed, cause=cause, doubt=doubt))
            layer = attribution(results, probe, by=self.by, excluded=excluded)
            findings += [layer] if layer is not None else []
        findings += objects(results, self.denied)
        return [*findings, *self._canaries(results)]

    def _canaries(self, results: Results) -> Iterator[Finding]:
        written: dict[str, list[str]] = {}
        for probe in (*self.allowed, *self.denied):
            written.setdefault(probe.cell.target.bucket, []).append(probe.cell.operation)
        for bucket, operations in written.items():
            checked = canary(results, bucket, operations)
            if checked is not None:
                yield checked

    def _reach_probes(self, setting: Setting, probe: Probe) -> tuple[Probe, ...]:
        cell = probe.cell
        if cell.transport in self.reaches:
            return self.reaches[cell.transport]
        return reach_probes(setting, principal=cell.principal, vantage=cell.vantage, transport=cell.transport)

    def _reach(self, setting: Setting, results: Results, probe: Probe) -> Finding:
        cell = probe.cell
        found = self._reach_probes(setting, probe)
        return reach(setting, results, found, principal=cell.principal, vantage=cell.vantage)
