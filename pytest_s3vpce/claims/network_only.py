"""`endpoint-only`, `vpc-only`, `source-ip-only`: allowed by each named way, denied by the owner from outside."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from pytest_s3vpce.claims.admitted import besides
from pytest_s3vpce.claims.cells import Cells
from pytest_s3vpce.claims.claim import OWNERS, Claim
from pytest_s3vpce.claims.findings import (
    Finding,
    Kind,
    outside_hypotheses,
    outside_readers,
    path_read,
    readings_of,
    shown,
)
from pytest_s3vpce.claims.paths import path_finding
from pytest_s3vpce.claims.readings import ADDRESS, ENDPOINT, VPC, NetworkKey
from pytest_s3vpce.claims.setting import make_probe
from pytest_s3vpce.matrix import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.claims.gaps import Gap
    from pytest_s3vpce.claims.readings import Hypothesis
    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.model import Layer
    from pytest_s3vpce.probe import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOnly(Claim):
    """What the three have in common: their fields, names of the inventory, and what is named, references resolved."""

    key: ClassVar[NetworkKey]
    principals: tuple[str, ...]
    inside: tuple[str, ...]
    outside: tuple[str, ...]
    actions: tuple[str, ...] = ("s3:GetObject", "s3:PutObject", "s3:ListBucket")
    by: frozenset[Layer] = OWNERS

    @property
    @abstractmethod
    def named(self) -> tuple[str, ...]:
        """The values of the key that let a request in."""

    def cells(self) -> Cells:
        return Cells(allowed=tuple(self._probes(self.inside)), denied=tuple(self._probes(self.outside)), by=self.by)

    def _probes(self, vantages: tuple[str, ...]) -> Iterator[Probe]:
        for principal in self.principals:
            for vantage in vantages:
                for action in self.actions:
                    yield make_probe(action, self.bucket, principal=principal, vantage=vantage)

    def probes(self, setting: Setting) -> Iterator[Probe]:
        """The cells with their controls, and the key readings: inside on the target, outside on the control bucket."""
        yield from self.cells().probes(setting)
        hypotheses = (*map(self.key.exactly, self.named), self.key.none_of(self.named))
        for vantage in self.inside:
            yield from readings_of(
                setting,
                self.bucket,
                principals=setting.roles(self.principals),
                vantage=vantage,
                hypotheses=hypotheses,
            )
        for vantage in (*self.inside, *self.outside):
            yield from readings_of(
                setting,
                "",
                principals=outside_readers(setting),
                vantage=vantage,
                hypotheses=self._hypotheses(setting, vantage),
            )

    def _hypotheses(self, setting: Setting, vantage: str) -> tuple[Hypothesis, ...]:
        """What is read on the control bucket: the claim's own key, and the endpoint, which explains and excludes."""
        if self.key is ENDPOINT:
            return outside_hypotheses(setting, vantage, self.named)
        own = (self.key.none_of(self.named), *map(self.key.exactly, self.named))
        return (*own, *outside_hypotheses(setting, vantage, ()))

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        setting = setting.toward(self.bucket)
        inside = {vantage: self._inside_path(setting, results, vantage) for vantage in self.inside}
        named = {vantage: self._shows_named(setting, results, vantage) for vantage in self.outside}
        outside = [self._outside_path(setting, results, vantage, inside=named[vantage]) for vantage in self.outside]
        cells = self.cells()
        cells = replace(
            cells,
            causes={vantage: path.sentence for vantage, path in inside.items() if _explains(path)},
            strayed={probe: named[probe.cell.vantage] for probe in cells.denied},
        )
        ways = [*inside.values(), *self._exercised(setting, results), *outside]
        return [*ways, *cells.judge(setting, results)]

    def explained(self) -> tuple[str, ...]:
        return self.principals

    def gaps(self, setting: Setting) -> Iterator[Gap]:
        yield from besides(setting, self.bucket, named=self.named, outside=self.outside)

    def _inside_path(self, setting: Setting, results: Results, vantage: str) -> Finding:
        """Good where the target itself saw a named endpoint; bad where it let a request in that came by none."""
        readers = setting.roles(self.principals)
        none = self.key.none_of(self.named)
        for reader in readers:
            if shown(setting, results, none, bucket=self.bucket, principals=[reader], vantage=vantage):
                saw = f"although S3 saw none of {', '.join(self.named)}"
                found = path_finding(vantage, Status.BAD, f"{self.bucket} let a request from {vantage} in {saw}")
                cell = make_probe("GetObject", self.bucket, principal=reader, vantage=vantage).cell
                return replace(found, cell=cell.id)
        for endpoint in self.named:
            if shown(
                setting, results, self.key.exactly(endpoint), bucket=self.bucket, principals=readers, vantage=vantage
            ):
                sentence = f"requests from {vantage} reach {self.bucket} through {endpoint}"
                return path_finding(vantage, Status.GOOD, sentence)
        return self._inside_cause(setting, results, vantage)

    def _inside_cause(self, setting: Setting, results: Results, vantage: str) -> Finding:
        """Why the target showed no path: what the control bucket shows of it may name the cause."""
        own = self.named if self.key is ENDPOINT else ()
        candidates = (*own, *setting.vantage_endpoints.get(vantage, ()))
        named = ", ".join(self.named)
        read = path_read(setting, results, vantage, candidates=candidates)
        if read is None:
            sentence = f"the path from {vantage} could not be read, so nothing shows that it goes through {named}"
        elif self._matches(setting, results, vantage):
            sentence = (
                f"{self.bucket} let no reading in from {vantage}, whose path to the control bucket is {read or named}"
            )
            return replace(path_finding(vantage, Status.MISSING, sentence), name=f"unread path {vantage}")
        else:
            sentence = self._way(vantage, read, named)
        return path_finding(vantage, Status.MISSING, sentence)

    def _matches(self, setting: Setting, results: Results, vantage: str) -> bool:
        """Whether the control bucket saw one of the named values from there."""
        readers = outside_readers(setting)
        return any(
            shown(setting, results, self.key.exactly(value), bucket="", principals=readers, vantage=vantage)
            for value in self.named
        )

    def _way(self, vantage: str, read: str, named: str) -> str:
        """The way that requests from a vantage point take instead of a named one."""
        if self.key is ADDRESS:
            if read:
                return f"requests from {vantage} reach S3 through {read}, and endpoint traffic has no aws:SourceIp"
            return f"requests from {vantage} reach S3 by an address that is in none of {named}"
        if not read:
            return (
                f"requests from {vantage} reach S3 through no VPC endpoint: look at the endpoint's route table "
                f"associations and the subnet's route table"
            )
        what = "which is not" if self.key is ENDPOINT else "which stands not in"
        return f"requests from {vantage} reach S3 through {read}, {what} {named}"

    def _exercised(self, setting: Setting, results: Results) -> Iterator[Finding]:
        """Each named endpoint must have been gone through."""
        readers = setting.roles(self.principals)
        for endpoint in self.named:
            through = [
                vantage
                for vantage in self.inside
                if shown(
                    setting,
                    results,
                    self.key.exactly(endpoint),
                    bucket=self.bucket,
                    principals=readers,
                    vantage=vantage,
                )
            ]
            yield Finding(
                kind=Kind.PATH,
                name=f"through {endpoint}",
                status=Status.GOOD if through else Status.MISSING,
                sentence=f"{self.bucket} was reached through {endpoint} from {', '.join(through)}"
                if through
                else f"no inside vantage point was shown to reach {self.bucket} through {endpoint}",
            )

    def _outside_path(self, setting: Setting, results: Results, vantage: str, *, inside: str) -> Finding:
        """`inside` says that it is no outside vantage point."""
        if inside:
            return path_finding(vantage, Status.MISSING, inside)
        readers, named = outside_readers(setting), ", ".join(self.named)
        if shown(setting, results, self.key.none_of(self.named), bucket="", principals=readers, vantage=vantage):
            return path_finding(vantage, Status.GOOD, f"requests from {vantage} reach S3 through none of {named}")
        return path_finding(
            vantage,
            Status.MISSING,
            f"the path from {vantage} could not be read, so nothing shows that it is outside {named} "
            "(a role with a readable control bucket reads it)",
        )

    def _shows_named(self, setting: Setting, results: Results, vantage: str) -> str:
        for endpoint in self.named:
            for bucket, readers in (("", outside_readers(setting)), (self.bucket, setting.roles(self.principals))):
                if shown(
                    setting, results, self.key.exactly(endpoint), bucket=bucket, principals=readers, vantage=vantage
                ):
                    return f"{vantage} is no outside vantage point: its requests go through {endpoint}"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOnly(NetworkOnly):
    """Allowed through each named VPC endpoint."""

    key: ClassVar[NetworkKey] = ENDPOINT
    endpoints: tuple[str, ...]

    @property
    def named(self) -> tuple[str, ...]:
        return self.endpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class VpcOnly(NetworkOnly):
    """Allowed from each named VPC, by whichever endpoint of it."""

    key: ClassVar[NetworkKey] = VPC
    vpcs: tuple[str, ...]

    @property
    def named(self) -> tuple[str, ...]:
        return self.vpcs


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceIpOnly(NetworkOnly):
    """Allowed by public addresses in each named network; what comes by an endpoint has none and is outside."""

    key: ClassVar[NetworkKey] = ADDRESS
    networks: tuple[str, ...]

    @property
    def named(self) -> tuple[str, ...]:
        return self.networks


def _explains(path: Finding) -> bool:
    """Whether an inside path is why something was denied there."""
    return path.status is not Status.GOOD and not path.name.startswith("unread")
