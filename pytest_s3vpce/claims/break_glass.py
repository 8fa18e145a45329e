"""`break-glass`: administrators keep reading and replacing the bucket policy from where they are, nobody else can."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.claims.cells import Cells
from pytest_s3vpce.claims.claim import POLICIES, Claim
from pytest_s3vpce.claims.setting import make_probe, row_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_s3vpce.claims.findings import Finding
    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.model import Layer
    from pytest_s3vpce.probe import Probe

    Pairs = tuple[tuple[str, str], ...]

ACTIONS: Final = ("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy")


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass(Claim):
    """`administrators` and `others` are (principal, vantage point) pairs; `untried` are left out by the file.

    With `inferred` the policy is offered for replacement in a form that S3 refuses once the caller is authorised.
    """

    administrators: Pairs
    others: Pairs
    untried: tuple[str, ...] = ()
    inferred: bool = False
    by: frozenset[Layer] = POLICIES

    def cells(self) -> Cells:
        return Cells(
            allowed=tuple(self._probes(self.administrators)), denied=tuple(self._probes(self.others)), by=self.by
        )

    def _probes(self, pairs: Iterable[tuple[str, str]]) -> Iterator[Probe]:
        for principal, vantage in pairs:
            for action in ACTIONS:
                if not self._why_not(action):
                    probe = make_probe(action, self.bucket, principal=principal, vantage=vantage)
                    yield replace(probe, cell=replace(probe.cell, inferred=self.inferred))

    def _why_not(self, action: str) -> str:
        """Why an action is not tried, or nothing."""
        row = row_of(action)
        if row.safe is None:
            return row.unsafe
        if row.writes and not row.safe.documented and not self.inferred:
            return "its form is inferred: set `inferred: true`"
        return ""

    def probes(self, setting: Setting) -> Iterator[Probe]:
        yield from self.cells().probes(setting)

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        return self.cells().judge(setting, results)

    def gaps(self, setting: Setting) -> Iterator[str]:
        for action in ACTIONS:
            why = self._why_not(action)
            if why:
                yield f"{action} was not tried: {why}"
        if self.untried:
            yield f"not tried: {', '.join(self.untried)}"
        del setting
