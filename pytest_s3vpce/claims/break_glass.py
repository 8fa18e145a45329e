"""`break-glass`: administrators keep reading and replacing the bucket policy from where they are, nobody else can."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.claims.cells import Cells
from pytest_s3vpce.claims.claim import POLICIES, Claim
from pytest_s3vpce.claims.findings import Finding, Kind
from pytest_s3vpce.claims.gaps import Gap
from pytest_s3vpce.claims.setting import make_probe, row_of
from pytest_s3vpce.matrix import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.model import Layer
    from pytest_s3vpce.probe import Probe

    Pairs = tuple[tuple[str, str], ...]

ACTIONS: Final = ("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy")


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass(Claim):
    """`administrators` and `others` are (principal, vantage point) pairs; `untried` are left out by the file.

    With `inferred` the policy is offered for replacement in a form that S3 refuses once the caller is authorised. With
    `mutating` it is really deleted, by `others` first, and put back each time.
    """

    administrators: Pairs
    others: Pairs
    untried: tuple[str, ...] = ()
    inferred: bool = False
    mutating: bool = False
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
                    deletes = row_of(action).safe is None
                    yield replace(probe, cell=replace(probe.cell, inferred=self.inferred, mutating=deletes))

    def _why_not(self, action: str) -> str:
        """Why an action is not tried, or nothing."""
        row = row_of(action)
        if row.safe is None:
            return "" if self.mutating else f"{row.unsafe}: set `mutating: true`, in a scratch bucket"
        if row.writes and not row.safe.documented and not self.inferred:
            return "its form is inferred: set `inferred: true`"
        return ""

    def probes(self, setting: Setting) -> Iterator[Probe]:
        """What takes the policy away comes last, and the administrators' last of all."""
        cells = self.cells()
        own = [probe for probe in cells.allowed if probe.cell.mutating]
        yield from sorted(cells.probes(setting), key=lambda probe: (probe.cell.mutating, probe in own))

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        return [*self.cells().judge(setting, results), *self._put_back(results)]

    def _put_back(self, results: Results) -> Iterator[Finding]:
        if self.mutating:
            same, sentence = results.policies.get(self.bucket, (False, f"the policy of {self.bucket} was not deleted"))
            yield Finding(
                kind=Kind.CONFIGURATION,
                name=f"policy {self.bucket}",
                status=Status.GOOD if same else Status.MISSING,
                sentence=sentence,
            )

    def gaps(self, setting: Setting) -> Iterator[Gap]:
        for action in ACTIONS:
            why = self._why_not(action)
            if why:
                yield Gap(f"not tried, since {why}:", (action,))
        if self.untried:
            yield Gap("not tried:", self.untried)
        del setting

    def unmeant(self, gap: Gap, setting: Setting) -> Gap | None:
        """A deny of its actions alone is all that it is about, and so is one that spares its administrators."""
        if gap.bound == "action" and {name.lower() for name in gap.names} >= {name.lower() for name in ACTIONS}:
            return None
        if gap.bound != "aws:principalarn":
            return gap
        own = {setting.principals[principal].arn for principal, _ in self.administrators}
        left = tuple(name for name in gap.names if name not in own)
        return replace(gap, names=left) if left else None
