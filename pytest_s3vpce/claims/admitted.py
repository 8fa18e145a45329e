"""What a bucket's policy lets in by its network conditions, and what of it a claim neither named nor tried."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.claims.gaps import Gap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pytest_s3vpce.claims.setting import Setting

ENDPOINT: Final = "aws:sourcevpce"
VPC: Final = "aws:sourcevpc"
ADDRESS: Final = "aws:sourceip"
_KEYS: Final = {ENDPOINT: "aws:SourceVpce", VPC: "aws:SourceVpc", ADDRESS: "aws:SourceIp"}


@dataclass(frozen=True, slots=True)
class Admitted:
    """A value of a network's condition key that a statement lets in; `key` in lower case."""

    statement: str
    key: str
    value: str


def besides(setting: Setting, bucket: str, *, named: Collection[str], outside: Collection[str]) -> Iterator[Gap]:
    """A gap for each value that the claim does not name, where no outside vantage point stands behind it."""
    behind = {endpoint for vantage in outside for endpoint in setting.vantage_endpoints.get(vantage, ())}
    vpcs = {name: facts.vpc for name, facts in setting.endpoints.items()}
    ours = {vpcs.get(name, name) for name in named}  # from there an endpoint is one way of several
    tried = {name for name in behind if vpcs.get(name) not in ours}
    tried |= {vpcs[name] for name in tried if name in vpcs}
    for row in setting.admitted.get(bucket, ()):
        if row.value not in tried and not _is_named(setting, row, named):
            yield Gap(f"`{row.statement}` lets in requests also with {_KEYS.get(row.key, row.key)}", (row.value,))


def _is_named(setting: Setting, row: Admitted, named: Collection[str]) -> bool:
    """An endpoint is named by its VPC as well, a network by one that it lies in."""
    if row.key == ENDPOINT and row.value in setting.endpoints and setting.endpoints[row.value].vpc in named:
        return True
    return row.value in named or (row.key == ADDRESS and any(_lies_in(row.value, one) for one in named))


def _lies_in(network: str, other: str) -> bool:
    try:
        inner, outer = ipaddress.ip_network(network, strict=False), ipaddress.ip_network(other, strict=False)
    except ValueError:
        return False
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)
