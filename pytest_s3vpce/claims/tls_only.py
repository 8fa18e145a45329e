"""`tls-only`: https allowed, http denied by the owner, from the same place; with a minimum, older versions as well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.claims.admitted import undenied
from pytest_s3vpce.claims.cells import Cells
from pytest_s3vpce.claims.claim import OWNERS, Claim
from pytest_s3vpce.claims.findings import (
    Finding,
    Kind,
    outside_readers,
    path_read,
    reach_probes,
    readings_of,
    shown,
)
from pytest_s3vpce.claims.readings import ENDPOINT, NO_ENDPOINT, limited, plain_http, tls
from pytest_s3vpce.claims.setting import allowances, make_probe
from pytest_s3vpce.matrix import Status
from pytest_s3vpce.model import Layer, Transport
from pytest_s3vpce.network.keys import TRANSPORT_KEYS
from pytest_s3vpce.operations import Check, Resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.claims.gaps import Gap
    from pytest_s3vpce.claims.readings import Hypothesis
    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.probe import Probe


_PINNED: Final[Mapping[str, tuple[tuple[Transport, ...], tuple[Transport, ...]]]] = {
    "": ((), ()),
    "1.2": ((Transport.TLS12,), ()),
    "1.3": ((Transport.TLS13,), (Transport.TLS12,)),
}
"""By the least version: those that get in, and those that do not.

Interface endpoints have no 1.3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOnly(Claim):
    """`minimum` is the least TLS version that gets in, `1.2` or `1.3`; empty: any."""

    principal: str
    at: str
    minimum: str = ""
    actions: tuple[str, ...] = ("s3:GetObject", "s3:ListBucket")
    by: frozenset[Layer] = OWNERS

    def pinned(self, setting: Setting) -> Cells:
        """The same requests over single versions of TLS: S3 itself speaks none before 1.2."""
        transports = _PINNED[self.minimum]
        allowed, denied = (
            [self._over(pair[0], row) for pair in self.pairs(setting) for row in rows] for rows in transports
        )
        return Cells(allowed=tuple(allowed), denied=tuple(denied), by=self.by)

    def _over(self, probe: Probe, transport: Transport) -> Probe:
        return replace(probe, cell=replace(probe.cell, transport=transport))

    def pairs(self, setting: Setting) -> Iterator[tuple[Probe, Probe]]:
        """Per action the https and the http probe, signed with one session that is limited to that operation."""
        for action in self.actions:
            probe = make_probe(action, self.bucket, principal=self.principal, vantage=self.at)
            if setting.principals[self.principal].role:
                policy = limited(allowances(probe, setting.buckets[self.bucket]))
                probe = replace(probe, session_policy=policy)
            yield probe, self._over(probe, Transport.HTTP)

    def cells(self, setting: Setting) -> Cells:
        """Both of each pair; that S3 sees plain http shows that it gets there."""
        pairs = list(self.pairs(setting))
        control = self._http_control(setting)
        return Cells(
            allowed=tuple(https for https, _ in pairs),
            denied=tuple(http for _, http in pairs),
            by=self.by,
            reaches={Transport.HTTP: () if control is None else (control,)},
            closed={self.at: setting.closed_ports.get((self.at, 80), "")},
        )

    def probes(self, setting: Setting) -> Iterator[Probe]:
        if self._refuses(setting):
            return
        yield from self.cells(setting).probes(setting)
        yield from self._http_ways(setting).values()
        pinned = self.pinned(setting)
        yield from pinned.probes(setting)
        for transport in dict.fromkeys(probe.cell.transport for probe in pinned.denied):
            yield from readings_of(
                setting,
                "",
                principals=outside_readers(setting),
                vantage=self.at,
                hypotheses=(tls(str(transport.tls)),),
                transport=transport,
            )

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        setting = setting.toward(self.bucket)
        refused = self._refuses(setting)
        if refused:
            return [Finding(kind=Kind.NEGATIVE, name="denied http", status=Status.MISSING, sentence=refused)]
        findings = [*self._speaks(setting, results), *self._same_way(setting, results)]
        findings += self.cells(setting).judge(setting, results)
        pinned = self.pinned(setting)
        findings += pinned.judge(setting, results)
        for transport in dict.fromkeys(probe.cell.transport for probe in pinned.denied):
            findings.append(self._spoken(setting, results, transport))
        return list(dict.fromkeys(findings))

    def explained(self) -> tuple[str, ...]:
        return (self.principal,)

    def gaps(self, setting: Setting) -> Iterator[Gap]:
        yield from undenied(setting, self.bucket, TRANSPORT_KEYS, asks="TLS")

    def _speaks(self, setting: Setting, results: Results) -> Iterator[Finding]:
        """Says so where the way to S3 has no TLS 1.3: then nobody who comes by it gets in."""
        candidates = setting.vantage_endpoints.get(self.at, ())
        read = path_read(setting, results, self.at, candidates=candidates)
        facts = setting.endpoints.get(read or "")
        if self.minimum == "1.3" and facts is not None and facts.type == "interface":
            sentence = (
                f"requests from {self.at} reach S3 through {facts.id}, and interface endpoints do not speak TLS 1.3: "
                f"where it is demanded, nobody gets to {self.bucket} that way"
            )
            yield Finding(kind=Kind.PATH, name=f"tls {self.at}", status=Status.MISSING, sentence=sentence)

    def _spoken(self, setting: Setting, results: Results, transport: Transport) -> Finding:
        """That S3 itself saw the version: something in between may speak another one."""
        version = str(transport.tls)
        seen = shown(
            setting,
            results,
            tls(version),
            bucket="",
            principals=outside_readers(setting),
            vantage=self.at,
            transport=transport,
        )
        sentence = f"S3 saw TLS {version} from {self.at}"
        if not seen:
            sentence = f"nothing shows that S3 saw TLS {version} from {self.at}"
        status = Status.GOOD if seen else Status.MISSING
        return Finding(kind=Kind.REACH, name=f"{transport.value} {self.at}", status=status, sentence=sentence)

    def _refuses(self, setting: Setting) -> str:
        facts = setting.principals[self.principal]
        if facts.role or facts.anonymous or facts.clear:
            return ""
        return (
            f"principal {self.principal} is no role, so its keys can't be limited before they cross plain http: "
            "use a role, or set `send_credentials_in_clear: true`"
        )

    def _http_ways(self, setting: Setting) -> dict[str, Probe]:
        """The control bucket over http by each endpoint that may be on the way, and by none."""
        if self.principal not in setting.readers():
            return {}
        ways = {
            "": NO_ENDPOINT,
            **{name: ENDPOINT.exactly(name) for name in setting.vantage_endpoints.get(self.at, ())},
        }
        found = {name: self._http_control(setting, way=way) for name, way in ways.items()}
        return {name: probe for name, probe in found.items() if probe is not None}

    def _same_way(self, setting: Setting, results: Results) -> Iterator[Finding]:
        """Where https was seen to go one way, and http another, it may be that way which the bucket denies."""
        ways = self._http_ways(setting)
        read = path_read(setting, results, self.at, candidates=setting.vantage_endpoints.get(self.at, ()))
        control = self._http_control(setting)
        seen = [name for name, probe in ways.items() if results.allowed(probe)]
        if (read is None and not seen) or not ways or control is None or not results.allowed(control):
            return
        way = "by a way that could not be read" if read is None else f"through {read or 'no endpoint'}"
        if read in seen:
            status, sentence = Status.GOOD, f"https and plain http from {self.at} reach S3 {way}"
        else:
            other = ", ".join(f"through {name or 'no endpoint'}" for name in seen) or "by a way that could not be read"
            status = Status.MISSING
            sentence = f"https from {self.at} reaches S3 {way}, and plain http {other}"
        yield Finding(kind=Kind.PATH, name=f"http way {self.at}", status=status, sentence=sentence)

    def _http_control(self, setting: Setting, *, way: Hypothesis | None = None) -> Probe | None:
        """The control bucket over http, allowed only if S3 saw plain http: reach and transport in one request."""
        facts = setting.principals[self.principal]
        if not facts.role:
            found = reach_probes(setting, principal=self.principal, vantage=self.at, transport=Transport.HTTP)
            return found[0] if found else None
        control = setting.control(self.principal)
        if control is None:
            return None
        resource = control.arn(Check("s3:GetObject", Resource.OBJECT))
        return make_probe(
            "GetObject",
            control.label,
            principal=self.principal,
            vantage=self.at,
            transport=Transport.HTTP,
            session_policy=plain_http("s3:GetObject", resource, way=way).policy,
        )
