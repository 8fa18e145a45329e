"""`cross-account`: granted foreign principals do exactly what is named from where it is named, others nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_s3vpce.claims.admitted import grants_besides, networks_besides
from pytest_s3vpce.claims.cells import Cells
from pytest_s3vpce.claims.claim import OWNERS, Claim
from pytest_s3vpce.claims.encryptions import in_every_form
from pytest_s3vpce.claims.findings import Finding, foreign
from pytest_s3vpce.claims.gaps import Gap
from pytest_s3vpce.claims.setting import beyond, make_probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.model import Layer
    from pytest_s3vpce.probe import Probe

    Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossAccount(Claim):
    """`granted` and `refused` are (principal, vantage point) pairs; `operations` are asked for besides `actions`.

    `untried` are the foreign principals and places that the file leaves out.
    """

    granted: Pairs
    refused: Pairs
    actions: tuple[str, ...]
    operations: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()
    by: frozenset[Layer] = OWNERS

    def cells(self) -> Cells:
        """Granted ones are refused all else where they get in, and everything elsewhere."""
        others = beyond(self.operations, self.actions)
        denied = [
            *in_every_form(self._probes(self.refused, self.actions)),
            *in_every_form(self._probes(self.granted, others)),
            *in_every_form(self._probes(self.refused, others)),
        ]
        allowed = tuple(self._probes(self.granted, self.actions))
        return Cells(allowed=allowed, denied=tuple(dict.fromkeys(denied)), by=self.by)

    def _probes(self, pairs: Iterable[tuple[str, str]], actions: Iterable[str]) -> Iterator[Probe]:
        for principal, vantage in pairs:
            for action in actions:
                yield make_probe(action, self.bucket, principal=principal, vantage=vantage)

    def probes(self, setting: Setting) -> Iterator[Probe]:
        yield from self.cells().probes(setting)

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        named = [principal for principal, _ in (*self.granted, *self.refused)]
        return [*foreign(setting, self.bucket, named), *self.cells().judge(setting, results)]

    def explained(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(principal for principal, _ in (*self.granted, *self.refused)))

    def gaps(self, setting: Setting) -> Iterator[Gap]:
        if not self.refused:
            yield Gap("nobody of another account was refused: whom the bucket shuts out was not tried")
        if self.untried:
            yield Gap("not tried of other accounts:", self.untried)
        tried = [principal for principal, _ in (*self.granted, *self.refused)]
        ways = [setting.ways.get(vantage) for _, vantage in self.granted]
        places = [vantage for _, vantage in self.refused]
        yield from networks_besides(setting, self.bucket, named=[way for way in ways if way], outside=places)
        yield from grants_besides(setting, self.bucket, tried=tried, actions=(*self.actions, *self.operations))
