"""What a bucket's policy lets in, networks and strangers, and what of it a claim neither named nor tried."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.claims.gaps import Gap
from pytest_s3vpce.claims.setting import row_of
from pytest_s3vpce.network.keys import ENDPOINT, NETWORK_KEYS, SOURCE_IP
from pytest_s3vpce.operations import Check, Resource

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from pytest_s3vpce.claims.setting import Setting

_ON_BUCKET: Final = Check("s3:ListBucket", Resource.BUCKET)
_ON_OBJECT: Final = Check("s3:GetObject", Resource.OBJECT)
_SERVICES: Final = ".amazonaws.com"


@dataclass(frozen=True, slots=True)
class Admitted:
    """A value of a network's condition key that a statement lets in, both as they are written."""

    statement: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Granted:
    """What a statement allows one principal, as both are written.

    `where` are its conditions on what a request says, which no probe says, and on networks that it spares; `near` the
    networks that it names. By `any_way`: it asks for no network, and no deny of the policy does. `scoped` asks for
    whom a service acts.
    """

    statement: str
    principal: str
    actions: tuple[str, ...]
    resources: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    any_way: bool = False
    scoped: bool = False


def grants_besides(setting: Setting, bucket: str, *, tried: Collection[str], actions: Iterable[str]) -> Iterator[Gap]:
    """A gap for each stranger whom the policy lets in untried, and for what those who were tried may do besides."""
    facts = setting.buckets[bucket]
    owner, arns_tried = facts.account_id, (facts.arn(_ON_BUCKET), facts.arn(_ON_OBJECT))
    arns = {setting.principals[name].arn for name in tried}
    known = {action.lower() for text in actions for action in row_of(text).actions}
    for row in setting.grants.get(bucket, ()):
        more = tuple(action for action in row.actions if action.lower() not in known)
        if row.principal.endswith(_SERVICES) and not row.scoped:
            yield Gap(f"`{row.statement}` lets in, for whoever has it ask, the service", (row.principal,))
        if _is_of(row.principal, owner) or row.principal.endswith(_SERVICES):
            continue
        if row.principal not in arns:
            yield Gap(f"`{row.statement}` lets in also", (row.principal,))
            continue
        elsewhere = tuple(text for text in row.resources if not any(fnmatchcase(arn, text) for arn in arns_tried))
        for how, names in (("also", more), ("on", elsewhere), ("where", row.where)):
            if names:
                yield Gap(f"`{row.statement}` allows {row.principal} {how}", names)


def _is_of(principal: str, account: str) -> bool:
    """Whether a principal as it is written is an account or one of its own; all but one of its own are not."""
    return principal == account or (principal.startswith("arn:") and account in principal.split(":"))


def ways_of_grants(setting: Setting, bucket: str, *, tried: Collection[str], at: Iterable[str]) -> Iterator[Gap]:
    """A gap for the networks from which a policy lets in those who were tried, but not from there."""
    arns = {setting.principals[name].arn for name in tried}
    seen = {setting.ways.get(vantage) for vantage in at}
    for row in setting.grants.get(bucket, ()):
        left = tuple(value for value in row.near if value not in seen)
        if row.principal in arns and left:
            yield Gap(f"`{row.statement}` allows {row.principal} from", left)


def besides(setting: Setting, bucket: str, *, named: Collection[str], outside: Collection[str]) -> Iterator[Gap]:
    """A gap for each network besides the named ones, for each grant that asks for none, and where no deny does."""
    yield from networks_besides(setting, bucket, named=named, outside=outside)
    yield from undenied(setting, bucket, NETWORK_KEYS, asks="a network")
    for grant in setting.grants.get(bucket, ()):
        if grant.any_way and not grant.principal.endswith(_SERVICES):
            yield Gap(f"`{grant.statement}` lets in {grant.principal} by any way:", grant.actions)


def undenied(setting: Setting, bucket: str, keys: Collection[str], *, asks: str) -> Iterator[Gap]:
    """A gap where none of the policy's denies reads one of these keys: it shuts out who has no grant, and nobody else.

    Who has rights by policies of the owner's account needs none:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-single-account.html
    """
    read = setting.denied_by.get(bucket)
    if read is not None and read.isdisjoint(keys):
        yield Gap(
            f"no deny of the policy of {bucket} asks for {asks}, so it does not stop who was not tried: principals of "
            "its own account by their own policies, strangers by other grants"
        )


def networks_besides(
    setting: Setting, bucket: str, *, named: Collection[str], outside: Collection[str]
) -> Iterator[Gap]:
    """A gap for each value that the claim does not name, and that no outside vantage point was read to come by."""
    behind = {endpoint for vantage in outside if (endpoint := setting.ways.get(vantage))}
    vpcs = {name: facts.vpc for name, facts in setting.endpoints.items()}
    ours = {vpcs.get(name, name) for name in named}  # from there an endpoint is one way of several
    tried = {name for name in behind if vpcs.get(name) not in ours}
    tried |= {vpcs[name] for name in tried if name in vpcs}
    for row in setting.admitted.get(bucket, ()):
        if row.value not in tried and not _is_named(setting, row, named):
            yield Gap(f"`{row.statement}` lets in requests also with {row.key}", (row.value,))


def _is_named(setting: Setting, row: Admitted, named: Collection[str]) -> bool:
    """An endpoint is named by its VPC as well, a network by one that it lies in."""
    if row.key.lower() == ENDPOINT and row.value in setting.endpoints and setting.endpoints[row.value].vpc in named:
        return True
    return row.value in named or (row.key.lower() == SOURCE_IP and any(_lies_in(row.value, one) for one in named))


def _lies_in(network: str, other: str) -> bool:
    try:
        inner, outer = ipaddress.ip_network(network, strict=False), ipaddress.ip_network(other, strict=False)
    except ValueError:
        return False
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)
