"""`tag-scoped`: whoever carries a tag gets at what carries the same, and at nothing that carries another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytest_s3vpce.claims.cells import Cells
from pytest_s3vpce.claims.claim import POLICIES, Claim
from pytest_s3vpce.claims.findings import Finding, Kind, readings_of, shown
from pytest_s3vpce.claims.gaps import Gap
from pytest_s3vpce.claims.readings import tagged
from pytest_s3vpce.claims.setting import make_probe
from pytest_s3vpce.matrix import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.model import Layer
    from pytest_s3vpce.probe import Probe


class Scope(NamedTuple):
    """One value of the tag: who carries it, and the key (its name, itself) of an object that does."""

    value: str
    principal: str
    key: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagScoped(Claim):
    """`tag` is the key of a tag, of principals and objects alike.

    `untagged` is an object without it, which `witness` shows to be there.
    """

    tag: str
    at: str
    given: tuple[tuple[str, str, tuple[str, str]], ...]
    untagged: tuple[str, str] | None = None
    witness: tuple[str, str] | None = None
    actions: tuple[str, ...] = ("s3:GetObject",)
    by: frozenset[Layer] = POLICIES

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return tuple(Scope(*row) for row in self.given)

    def cells(self) -> Cells:
        own = [(scope.principal, scope.key) for scope in self.scopes]
        others = [
            (scope.principal, other.key) for scope in self.scopes for other in self.scopes if other.value != scope.value
        ]
        others += [(scope.principal, self.untagged) for scope in self.scopes if self.untagged is not None]
        return Cells(allowed=tuple(self._probes(own)), denied=tuple(self._probes(others)), by=self.by)

    def _witnessed(self) -> Iterator[Probe]:
        """That the object without the tag is there, read by one who is not scoped."""
        if self.untagged is not None and self.witness is not None:
            principal, vantage = self.witness
            yield make_probe("GetObject", self.bucket, principal=principal, vantage=vantage, key=self.untagged)

    def _probes(self, pairs: Iterable[tuple[str, tuple[str, str]]]) -> Iterator[Probe]:
        for principal, key in pairs:
            for action in self.actions:
                yield make_probe(action, self.bucket, principal=principal, vantage=self.at, key=key)

    def probes(self, setting: Setting) -> Iterator[Probe]:
        yield from self.cells().probes(setting)
        yield from self._witnessed()
        for scope in self.scopes:
            yield from readings_of(
                setting,
                self.bucket,
                principals=[scope.principal],
                vantage=self.at,
                hypotheses=[tagged(self.tag, scope.value)],
                key=scope.key,
            )

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        return [*(self._tags(setting, results, scope) for scope in self.scopes), *self.cells().judge(setting, results)]

    def _tags(self, setting: Setting, results: Results, scope: Scope) -> Finding:
        """That S3 saw the tag, of the session and of the object: names might decide in its place."""
        seen = shown(
            setting,
            results,
            tagged(self.tag, scope.value),
            bucket=self.bucket,
            principals=[scope.principal],
            vantage=self.at,
            key=scope.key,
        )
        what = f"{self.tag} {scope.value} of {scope.principal} and of {self.bucket}+{scope.key[0]}"
        return Finding(
            kind=Kind.TAG,
            name=f"tag {scope.value}",
            status=Status.GOOD if seen else Status.MISSING,
            sentence=f"S3 saw the tag {what}" if seen else f"nothing shows that S3 saw the tag {what}",
        )

    def gaps(self, setting: Setting) -> Iterator[Gap]:
        """Only sessions of one role differ by their tags alone."""
        roles = {setting.principals[scope.principal].arn for scope in self.scopes}
        if len(roles) > 1:
            yield Gap("the principals are of different roles, which may be told apart by more than their tags")
        for scope in self.scopes:
            if scope.value in scope.key[1]:
                what = f"the key of {scope.key[0]} holds `{scope.value}`"
                yield Gap(f"{what}: it may be its name that decides, not its tag")
        told = {scope.key[0] for scope in self.scopes if scope.value in scope.key[1]}
        others = tuple(scope.key[0] for scope in self.scopes if scope.key[0] not in told)
        if others:
            yield Gap("of each value one key was tried, whose name may decide in place of its tag:", others)
        if self.untagged is None:
            yield Gap(f"no object without the tag {self.tag} was tried")
