"""`endpoint-policy-limits`: through the endpoint only named buckets are in reach, others are shut by it alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_s3vpce.claims.cells import Cells
from pytest_s3vpce.claims.claim import Claim
from pytest_s3vpce.claims.paths import apart, path_probes, through, used
from pytest_s3vpce.claims.setting import make_probe
from pytest_s3vpce.model import Layer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_s3vpce.claims.findings import Finding
    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.probe import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPolicyLimits(Claim):
    """`bucket` is in reach from inside, `unreached` are not; from outside the same principals reach those as well."""

    principals: tuple[str, ...]
    endpoints: tuple[str, ...]
    inside: tuple[str, ...]
    outside: tuple[str, ...]
    unreached: tuple[str, ...]
    actions: tuple[str, ...] = ("s3:GetObject", "s3:PutObject")
    by: frozenset[Layer] = frozenset({Layer.VPC_ENDPOINT})

    def cells(self) -> Cells:
        return Cells(
            allowed=(*self._probes([self.bucket], self.inside), *self._probes(self.unreached, self.outside)),
            denied=tuple(self._probes(self.unreached, self.inside)),
            by=self.by,
        )

    def _probes(self, buckets: Iterable[str], vantages: tuple[str, ...]) -> Iterator[Probe]:
        for bucket in buckets:
            for principal in self.principals:
                for vantage in vantages:
                    for action in self.actions:
                        yield make_probe(action, bucket, principal=principal, vantage=vantage)

    def probes(self, setting: Setting) -> Iterator[Probe]:
        yield from self.cells().probes(setting)
        for vantage in (*self.inside, *self.outside):
            yield from path_probes(setting, vantage, self.endpoints)

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        setting = setting.toward(self.bucket)
        inside = [through(setting, results, vantage, self.endpoints) for vantage in self.inside]
        outside = [apart(setting, results, vantage, self.endpoints) for vantage in self.outside]
        return [*inside, *outside, *used(inside, self.endpoints), *self.cells().judge(setting, results)]

    def gaps(self, setting: Setting) -> Iterator[str]:
        for endpoint in self.endpoints:
            facts = setting.endpoints.get(endpoint)
            if facts is None or facts.policy is None:
                yield f"the policy of {endpoint} could not be read"
