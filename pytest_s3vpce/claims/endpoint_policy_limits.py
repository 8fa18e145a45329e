"""`endpoint-policy-limits`: through the endpoint only named buckets are in reach, others are shut by it alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.claims.cells import Cells
from pytest_s3vpce.claims.claim import Claim
from pytest_s3vpce.claims.exclusion import keys_in_doubt, policy_allows
from pytest_s3vpce.claims.findings import Finding, Kind
from pytest_s3vpce.claims.gaps import Gap
from pytest_s3vpce.claims.paths import apart, causes, path_probes, strayed, through, used
from pytest_s3vpce.claims.setting import make_probe
from pytest_s3vpce.forms import listed
from pytest_s3vpce.matrix import Status
from pytest_s3vpce.model import Layer
from pytest_s3vpce.policy import parse
from pytest_s3vpce.policy.patterns import arn_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_s3vpce.claims.setting import EndpointFacts, Results, Setting
    from pytest_s3vpce.policy import Statement
    from pytest_s3vpce.probe import Probe


_UNNAMED: Final = "s3vpce-a-bucket-that-no-policy-names"
_NOBODYS: Final = "000000000000"
_WHO: Final = frozenset({"aws:principalarn", "aws:principalaccount"})


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
        inside = {vantage: through(setting, results, vantage, self.endpoints) for vantage in self.inside}
        outside = [apart(setting, results, vantage, self.endpoints) for vantage in self.outside]
        past = causes(inside)
        other = {
            **{probe: past.get(probe.cell.vantage, "") for probe in self._probes(self.unreached, self.inside)},
            **strayed(setting, results, self._probes(self.unreached, self.outside), self.endpoints),
        }
        cells = replace(self.cells(), causes=past, strayed=other)
        return [
            *(way.finding for way in inside.values()),
            *outside,
            *used([*inside.values()], self.endpoints),
            *cells.judge(setting, results),
            *self._strangers(setting),
        ]

    def _strangers(self, setting: Setting) -> Iterator[Finding]:
        """What is let through to a bucket that nobody named: then those of `unreached` were just the forbidden ones."""
        rows = [setting.buckets[label] for label in self.unreached]
        owners = {row.account_id: f"account {row.account}" for row in rows}
        for endpoint in self.endpoints:
            for account, whose in {**owners, _NOBODYS: "any other account"}.items():
                action = self._let_through(setting, endpoint, account)
                if action:
                    what = f"the policy of {endpoint} lets {action} through to buckets"
                    sentence = f"{what} of {whose} that it does not name"
                    yield Finding(kind=Kind.LAYER, name=f"beside {endpoint}", status=Status.MISSING, sentence=sentence)

    def _let_through(self, setting: Setting, endpoint: str, account: str) -> str:
        """The first action that the policy, as it was read, allows on a bucket of an account; empty for none."""
        facts = setting.endpoints.get(endpoint)
        if facts is None or facts.policy is None:
            return ""
        setting = self._with_unnamed(setting, account)
        for probe in self._probes([_UNNAMED], self.inside):
            if policy_allows(setting, facts, probe):
                return probe.cell.action
        return ""

    def _with_unnamed(self, setting: Setting, account: str, *, name: str = _UNNAMED) -> Setting:
        """With a bucket of that name, and of the key that may follow."""
        name, _, key = name.partition("/")
        like = setting.buckets[self.bucket]
        bucket = replace(like, label=_UNNAMED, name=name, key=key or like.key, account_id=account)
        return replace(setting, buckets={**setting.buckets, _UNNAMED: bucket})

    def gaps(self, setting: Setting) -> Iterator[Gap]:
        unnamed = self._with_unnamed(setting, _NOBODYS)
        for endpoint in self.endpoints:
            facts = setting.endpoints.get(endpoint)
            keys = keys_in_doubt(unnamed, facts, self._probes([_UNNAMED], self.inside))
            if facts is None or keys is None:
                yield Gap(f"the policy of {endpoint} could not be read")
                continue
            if keys:
                what = f"what the policy of {endpoint} lets through to buckets that it does not name"
                yield Gap(f"{what} rests on keys that are not known here:", keys)
            yield from self._left_open(setting, facts)

    def _left_open(self, setting: Setting, facts: EndpointFacts) -> Iterator[Gap]:
        """What a policy lets through besides: to buckets that anybody may call so, and for callers of its own."""
        allows = parse(facts.policy or "").allows
        names = tuple(name for name in _patterns(allows) if self._is_open(setting, facts, name=name))
        if names:
            yield Gap(f"the policy of {facts.id} lets through to buckets of anybody's that fit:", names)
        people = tuple(
            text for text in _callers(allows) if any(self._is_open(setting, facts, arn=arn) for arn in _meant(text))
        )
        if people:
            yield Gap(f"the policy of {facts.id} lets through to buckets that it does not name:", people)

    def _is_open(self, setting: Setting, facts: EndpointFacts, *, name: str = _UNNAMED, arn: str = "") -> bool:
        """Whether a bucket of nobody's, of a name that fits, is in reach for those who were tried, or for that ARN."""
        fits = self._with_unnamed(setting, _NOBODYS, name=_filled(name))
        if arn:
            people = {who: replace(row, arn=arn, anonymous=False) for who, row in setting.principals.items()}
            fits = replace(fits, principals=people)
        return any(policy_allows(fits, facts, probe) for probe in self._probes([_UNNAMED], self.inside))


def _patterns(allows: Iterable[Statement]) -> Iterator[str]:
    """The names of buckets with wildcards in them, with such keys as are named; `*` alone is everybody's anyway."""
    found: dict[str, None] = {}
    for text in (text for row in allows for text in listed(row.row.get("Resource", ()))):
        name, _, key = (arn_parts(text) or [text])[-1].partition("/")
        if {"*", "?"} & {*name}:
            found[name if key in ("", "*") else f"{name}/{key}"] = None
    yield from (name for name in found if name != "*")


def _callers(allows: Iterable[Statement]) -> tuple[str, ...]:
    """The roles, users and accounts for whom there are statements, as they are written."""
    found: list[str] = []
    for row in allows:
        whom = row.row.get("Principal", ())
        found += listed(whom.get("AWS", ())) if isinstance(whom, dict) else ()
        found += [text for one in row.conditions if one.key in _WHO for text in one.wanted]
    return tuple(dict.fromkeys(found))


def _meant(text: str) -> tuple[str, ...]:
    """ARNs of some who are meant: of an account a role and its root, of a pattern one that fits."""
    partition, service, _, account, name = (arn_parts(text) or ("", "aws", "iam", "", text, "root"))[1:]
    if service != "iam" or "$" in text or not re.fullmatch(r"\d{12}|[*?]+", account):
        return ()
    begins = f"arn:{partition}:iam::{account if account.isdecimal() else _NOBODYS}"
    if name.startswith(("role/", "user/")):
        return (f"{begins}:{_filled(name)}",)
    return (f"{begins}:role/{_UNNAMED}", f"{begins}:root")


def _filled(pattern: str) -> str:
    return pattern.replace("*", _UNNAMED).replace("?", "x")
