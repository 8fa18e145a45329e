"""From findings to a verdict: refuted by one counterexample, proven when all held, inconclusive otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_s3vpce.claims.findings import Finding, Kind
from pytest_s3vpce.matrix import Status, Verdict
from pytest_s3vpce.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence


def verdict_of(findings: Sequence[Finding]) -> tuple[Verdict, str, tuple[str, ...]]:
    """The verdict, one sentence that says why, and the ids of the cells concerned.

    A claim without a positive or without a denied cell shows nothing, however good the rest is.
    """
    bad = [finding for finding in findings if finding.status is Status.BAD]
    if bad:
        return Verdict.REFUTED, _sentence(bad), _cells(bad)
    missing = [finding for finding in findings if finding.status is Status.MISSING]
    if missing:
        return Verdict.INCONCLUSIVE, _sentence(missing), _cells(missing)
    kinds = {finding.kind for finding in findings}
    for kind in (Kind.POSITIVE, Kind.NEGATIVE, Kind.REACH, Kind.LAYER):
        if kind not in kinds:
            return Verdict.INCONCLUSIVE, f"there is no {kind.value} among its cells and controls", ()
    return Verdict.PROVEN, _proof(findings), ()


def _sentence(findings: Sequence[Finding]) -> str:
    # A cell says more than the control that explains it; the explanation is in the cell's own sentence.
    first = min(findings, key=lambda finding: finding.kind not in (Kind.POSITIVE, Kind.NEGATIVE, Kind.PATH))
    others = len({finding.sentence for finding in findings}) - 1
    return f"{first.sentence} (and {others} more)" if others else first.sentence


def _cells(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(finding.cell for finding in findings if finding.cell))


def _proof(findings: Sequence[Finding]) -> str:
    count = {kind: sum(finding.kind is kind for finding in findings) for kind in Kind}
    controls = len(findings) - count[Kind.POSITIVE] - count[Kind.NEGATIVE]
    return (
        f"{counted(count[Kind.POSITIVE], 'cell')} allowed, {count[Kind.NEGATIVE]} denied as they must be, "
        f"{counted(controls, 'control')} held"
    )
