"""What every format says of a matrix in the same words: the headline, names, places, and who was stopped by what."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.matrix import GAPS, Expected, Status, Verdict
from pytest_s3vpce.model import Layer, OutcomeKind, Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.matrix import CellResult, ClaimResult, Matrix, VantageResult

_LAB: Final = "embedded lab: measured against this project's AWS look-alike, not against AWS"
_LIVE: Final = "live: measured against AWS"
LAYERS: Final[Mapping[Layer | None, str]] = {
    Layer.IDENTITY: "identity policy",
    Layer.RESOURCE: "bucket policy",
    Layer.VPC_ENDPOINT: "VPC endpoint policy",
    Layer.SCP: "service control policy",
    Layer.RCP: "resource control policy",
    Layer.PERMISSIONS_BOUNDARY: "permissions boundary",
    Layer.SESSION: "session policy",
    Layer.BLOCK_PUBLIC_ACCESS: "Block Public Access",
    Layer.ACL: "ACL",
    Layer.KMS: "KMS key policy",
    None: "a policy not named",
}
VERDICTS: Final[Mapping[str, tuple[Verdict, str]]] = {
    "proven": (Verdict.PROVEN, "✔"),
    "refuted": (Verdict.REFUTED, "✘"),
    "inconclusive": (Verdict.INCONCLUSIVE, "?"),
    GAPS: (Verdict.INCONCLUSIVE, "?"),
}
"""How a claim ended, and what that looks like."""


@dataclass(frozen=True, slots=True)
class Counts:
    """A matrix in numbers. `cells` are those with an expectation."""

    cells: int
    met: int
    uncontrolled: int
    surprises: int
    claims: int
    proven: int
    refuted: int
    unmeasured: int

    @property
    def holds(self) -> bool:
        """All was measured, and is as expected and proven; where nothing was measured, nothing holds."""
        good = self.met == self.cells and self.proven == self.claims and not self.unmeasured
        return good and bool(self.cells or self.claims)


@dataclass(frozen=True, slots=True)
class Network:
    """Vantage points that stand in one network, in the order of the matrix."""

    account: str | None
    vpc: str | None
    vantages: tuple[VantageResult, ...]

    @property
    def name(self) -> str:
        if self.account is None:
            return "elsewhere"
        return f"{self.account}, {self.vpc}" if self.vpc else f"{self.account}, network not read"


@dataclass(frozen=True, slots=True)
class Table:
    """The cells by what is asked of what by whom, and from where: `rows` in the order of the cells."""

    vantages: tuple[str, ...]
    rows: Mapping[tuple[str, str, str], Mapping[str, CellResult]]


def table(matrix: Matrix) -> Table:
    """The access matrix as every format shows it."""
    rows: dict[tuple[str, str, str], dict[str, CellResult]] = {}
    for cell in matrix.cells:
        rows.setdefault((what(cell), cell.bucket, cell.principal), {})[cell.vantage] = cell
    return Table(tuple(vantage.name for network in networks(matrix) for vantage in network.vantages), rows)


def where(matrix: Matrix) -> str:
    """What was measured against, which every report says first."""
    return _LAB if matrix.mode == "lab" else _LIVE


def notes(matrix: Matrix) -> tuple[str, ...]:
    """What was not measured, vantage points that could not be used, and what a run has to say besides."""
    broken = (f"{row.name}: {row.error}" for row in matrix.vantages if row.error)
    return (*matrix.unmeasured, *broken, *matrix.notes)


def against(claim: ClaimResult) -> tuple[tuple[Status, str], ...]:
    """What speaks against a claim or is missing for it, each sentence once."""
    rows = ((row.status, row.sentence) for row in claim.evidence if row.status is not Status.GOOD)
    return tuple(dict.fromkeys(rows))


def drawn(matrix: Matrix) -> tuple[CellResult, ...]:
    """The cells; where none is declared, what claims sent to their own buckets."""
    return matrix.cells or tuple(cell for cell in matrix.controls if not cell.bucket.startswith("control:"))


def counts(matrix: Matrix) -> Counts:
    expected = [cell for cell in matrix.cells if cell.passed is not None]
    verdicts = [claim.verdict for claim in matrix.claims]
    return Counts(
        cells=len(expected),
        met=sum(bool(cell.passed) for cell in expected),
        uncontrolled=sum(is_uncontrolled(cell) for cell in matrix.cells),
        surprises=sum(is_surprise(cell) for cell in matrix.cells),
        claims=len(verdicts),
        proven=sum(claim.passed for claim in matrix.claims),
        refuted=verdicts.count(Verdict.REFUTED),
        unmeasured=len(matrix.unmeasured),
    )


def headline(found: Counts) -> str:
    """The verdict in one line."""
    cells = f"{found.met} of {found.cells} cells as expected"
    claims = f"{found.proven} of {found.claims} claims proven"
    parts = [cells if found.cells else "", claims if found.claims else ""]
    parts.append(f"{found.refuted} refuted" if found.refuted else "")
    parts.append(f"{found.surprises} other than predicted" if found.surprises else "")
    parts.append(f"{found.uncontrolled} uncontrolled" if found.uncontrolled else "")
    parts.append("not all was measured" if found.unmeasured and any(parts) else "")
    return ", ".join(part for part in parts if part) or "no cell and no claim was measured"


def is_uncontrolled(cell: CellResult) -> bool:
    return cell.controlled is False and cell.counted.outcome is OutcomeKind.DENIED


def is_surprise(cell: CellResult) -> bool:
    """Whether policies and network promised something else."""
    return cell.predicted is not None and cell.predicted.surprise


def decided_by(cell: CellResult) -> str:
    """What denied: the policy that S3 names, and the statement that a prediction names."""
    policy = LAYERS[cell.counted.layer]
    found = cell.predicted
    if found is None or found.surprise or not found.policy:
        return policy
    if found.expected is Expected.EXPLICIT_DENY and found.statement:
        if cell.counted.layer is None:
            return f"{found.statement} of the {found.policy}, as predicted"
        return f"{policy} ({found.statement})"
    if found.expected is Expected.IMPLICIT_DENY and cell.counted.layer is None:
        return f"no allow in the {found.policy}, as predicted"
    return policy


def what(cell: CellResult) -> str:
    """The operation with its variant, and the transport where it is not the default."""
    name = f"{cell.operation}+{cell.variant}" if cell.variant else cell.operation
    return name if cell.transport is Transport.HTTPS else f"{name} ({cell.transport.value})"


def through(vantage: VantageResult | None) -> str:
    """The path that was read at a vantage point."""
    if vantage is None or vantage.path is None:
        return "path unknown"
    return "no endpoint" if vantage.path == "none" else vantage.path


def networks(matrix: Matrix) -> tuple[Network, ...]:
    """The vantage points of the cells by the network they stand in; those that nothing is known of stand alone."""
    known = {row.name: row for row in matrix.vantages}
    named = dict.fromkeys(cell.vantage for cell in matrix.cells)
    groups: dict[tuple[str | None, str | None], list[VantageResult]] = {}
    for name in named:
        row = known.get(name) or _unknown(name)
        groups.setdefault((row.account, row.vpc), []).append(row)
    return tuple(Network(account, vpc, tuple(rows)) for (account, vpc), rows in groups.items())


def _unknown(name: str) -> VantageResult:
    from pytest_s3vpce.matrix import VantageResult

    return VantageResult(name=name, kind="")


def moment(seconds: float) -> str:
    """A time in UTC, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
