"""From expected cells and claims to the probes of a run: the cells' own, the claims', and the controls of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_s3vpce.claims.findings import outside_hypotheses, outside_readers, reach_probes, readings_of
from pytest_s3vpce.claims.setting import helper_probes
from pytest_s3vpce.model import Cell, Expect, Target, Transport
from pytest_s3vpce.operations import Operation, operation
from pytest_s3vpce.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_s3vpce.claimbase import ClaimSpec, Pair
    from pytest_s3vpce.claims import Claim, Setting
    from pytest_s3vpce.expectations import ExpectedCell, Plan

CANARY_RANGE = "bytes=0-1023"
"""A reader takes at most 1 KiB of a canary."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a bucket's canary before the first write and after the last."""

    bucket: str
    principal: str
    vantage: str

    def probe(self, key: str | None = None) -> Probe:
        """Reads the canary, or another key."""
        cell = Cell(
            operation="GetObject",
            action="s3:GetObject",
            target=Target(bucket=self.bucket, name=key or "", key=key),
            principal=self.principal,
            vantage=self.vantage,
        )
        return Probe(cell=cell, canary_range=CANARY_RANGE)


def probes_of(cells: Sequence[ExpectedCell], claims: Iterable[Claim], setting: Setting) -> tuple[Probe, ...]:
    """Every probe of the run, each once: declared cells first, then claims, then controls."""
    found: dict[Probe, None] = {}
    for expected in cells:
        found[Probe(cell=expected.cell)] = None
    for claim in claims:
        found.update(dict.fromkeys(claim.probes(setting)))
    for expected in cells:
        found.update(dict.fromkeys(_controls(expected, setting)))
    vantages = dict.fromkeys(probe.cell.vantage for probe in found)
    found.update(dict.fromkeys(_paths(vantages, setting)))
    return tuple(found)


def _controls(expected: ExpectedCell, setting: Setting) -> Iterator[Probe]:
    cell = expected.cell
    yield from helper_probes(cell)
    if expected.expect in (Expect.DENY, Expect.BLOCKED) and cell.transport is not Transport.HTTP:
        yield from reach_probes(setting, principal=cell.principal, vantage=cell.vantage, transport=cell.transport)


def _paths(vantages: Iterable[str], setting: Setting) -> Iterator[Probe]:
    """The path of every vantage point, read on the control buckets: the report's column heads say it."""
    for vantage in vantages:
        yield from readings_of(
            setting,
            "",
            principals=outside_readers(setting),
            vantage=vantage,
            hypotheses=outside_hypotheses(setting, vantage, ()),
        )


def writes(probe: Probe) -> bool:
    """Whether the probe could change an object if its form did not hold: it is sent only after the canary was read."""
    row: Operation = operation(probe.cell.operation)
    return row.writes and row.on_object


def substitutes(plan: Plan, cells: Sequence[ExpectedCell], specs: Sequence[ClaimSpec]) -> dict[str, Pair]:
    """Readers for a part of a plan (`-k`, a shard, a Python test), by bucket, where this part's cells allow nobody.

    Whom the rest of the plan allows, preferably from where this part sends anyway; else whom a claim says is let in.
    """
    allowed = {row.cell.target.bucket for row in cells if row.expect is Expect.ALLOW}
    here = {row.cell.vantage for row in cells} | {vantage for row in specs for _, vantage in row.pairs}
    rows = [(row.cell.target.bucket, row.cell.principal, row.cell.vantage) for row in plan.cells if _allows(row)]
    rows.sort(key=lambda row: row[2] not in here)
    rows += [(spec.bucket, *pair) for spec in specs for pair in spec.permitted]
    buckets = {row.cell.target.bucket for row in cells} | {name for row in specs for name in (row.bucket, *row.others)}
    found: dict[str, Pair] = {}
    for bucket, principal, vantage in rows:
        if bucket in buckets - allowed:
            found.setdefault(bucket, (principal, vantage))
    return found


def are_missed(cells: Sequence[ExpectedCell], claims: Sequence[object]) -> bool:
    """Whether nothing may be sent or judged without readers: else they are asked where S3 refuses without a reason."""
    return bool(claims) or any(operation(row.cell.operation).writes for row in cells)


def _allows(row: ExpectedCell) -> bool:
    return row.expect is Expect.ALLOW


def readers_of(
    cells: Sequence[ExpectedCell], probes: Iterable[Probe], declared: Mapping[str, tuple[str, str]]
) -> dict[str, Reader | None]:
    """The reader of each bucket whose objects are probed: the declared one, else the bucket's first `allow` cell.

    None where neither is there: then no write is sent to that bucket, and no claim takes a denial there for a
    counterexample. Control buckets need none: their canaries are read anyway.
    """
    known = dict(declared)
    for row in filter(_allows, cells):
        known.setdefault(row.cell.target.bucket, (row.cell.principal, row.cell.vantage))
    named = (probe.cell.target.bucket for probe in probes if operation(probe.cell.operation).on_object)
    return {
        bucket: Reader(bucket, *known[bucket]) if bucket in known else None
        for bucket in dict.fromkeys(named)
        if not bucket.startswith("control:")
    }
