"""`tls-only`: https allowed, the same over http denied by the owner's policies, from the same vantage point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_s3vpce.claims.claim import OWNERS, Claim
from pytest_s3vpce.claims.exclusion import Exclusion
from pytest_s3vpce.claims.findings import (
    Finding,
    Kind,
    attribution,
    canary,
    describe,
    negative,
    outside_hypotheses,
    outside_readers,
    positive,
    reach,
    reach_probes,
    readings_of,
)
from pytest_s3vpce.claims.readings import limited, plain_http
from pytest_s3vpce.claims.setting import allowances, make_probe
from pytest_s3vpce.matrix import Status
from pytest_s3vpce.model import Layer, Transport
from pytest_s3vpce.operations import Check, Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.probe import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOnly(Claim):
    """The claim's own fields, names of the inventory."""

    principal: str
    at: str
    actions: tuple[str, ...] = ("s3:GetObject", "s3:ListBucket")
    by: frozenset[Layer] = OWNERS

    def pairs(self, setting: Setting) -> Iterator[tuple[Probe, Probe]]:
        """Per action the https and the http probe, signed with one session that is limited to that operation."""
        for action in self.actions:
            probe = make_probe(action, self.bucket, principal=self.principal, vantage=self.at)
            if setting.principals[self.principal].role:
                policy = limited(allowances(probe, setting.buckets[self.bucket]))
                probe = replace(probe, session_policy=policy)
            yield probe, replace(probe, cell=replace(probe.cell, transport=Transport.HTTP))

    def probes(self, setting: Setting) -> Iterator[Probe]:
        if self._refuses(setting):
            return
        for https, http in self.pairs(setting):
            yield https
            yield http
        yield from reach_probes(setting, principal=self.principal, vantage=self.at, transport=Transport.HTTPS)
        control = self._http_control(setting)
        if control is not None:
            yield control
        yield from readings_of(
            setting,
            "",
            principals=outside_readers(setting),
            vantage=self.at,
            hypotheses=outside_hypotheses(setting, self.at, ()),
        )

    def judge(self, setting: Setting, results: Results) -> list[Finding]:
        refused = self._refuses(setting)
        if refused:
            return [Finding(kind=Kind.NEGATIVE, name="denied http", status=Status.MISSING, sentence=refused)]
        findings = [self._http_reach(setting, results)]
        probes = reach_probes(setting, principal=self.principal, vantage=self.at, transport=Transport.HTTPS)
        good = reach(setting, results, probes, principal=self.principal, vantage=self.at)
        cause = setting.closed_ports.get((self.at, 80), "")
        for https, http in self.pairs(setting):
            findings.append(positive(results, https, controls=good))
            findings.append(negative(results, http, cause=cause))
            layer = attribution(results, http, by=self.by, excluded=Exclusion(setting, results))
            if layer is not None:
                findings.append(layer)
        checked = canary(results, self.bucket, [https.cell.operation for https, _ in self.pairs(setting)])
        return findings + ([checked] if checked else [])

    def _refuses(self, setting: Setting) -> str:
        facts = setting.principals[self.principal]
        if facts.role or facts.anonymous or facts.clear:
            return ""
        return (
            f"principal {self.principal} is no role, so its keys can't be limited before they cross plain http: "
            "use a role, or set `send_credentials_in_clear: true`"
        )

    def _http_control(self, setting: Setting) -> Probe | None:
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
            session_policy=plain_http("s3:GetObject", resource).policy,
        )

    def _http_reach(self, setting: Setting, results: Results) -> Finding:
        probe = self._http_control(setting)
        found = reach(setting, results, (probe,) if probe else (), principal=self.principal, vantage=self.at)
        if found.status is Status.GOOD or probe is None:
            return replace(found, name=f"http {found.name}")
        outcome = results.outcome(probe)
        cause = setting.closed_ports.get((self.at, 80), "") if outcome.unreachable else ""
        why = cause or f"the control bucket over http gave {describe(outcome)}"
        return replace(
            found,
            name=f"http {found.name}",
            sentence=f"{why}, so nothing shows that plain http gets from {self.at} to S3",
        )
