"""Whether what guards the subnets of one client lets the same through to S3: network ACLs, and an endpoint's groups.

A subnet's DNS is its VPC's, and a client's own security groups go with it into each subnet: neither can differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, collapse_addresses, ip_network
from itertools import product
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.network.filters import covers, deciding, has_port
from pytest_s3vpce.network.topology import Direction, Effect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_s3vpce.network.topology import AclRule, NetworkAcl, SecurityRule

PORTS: Final = (443, 80)


@dataclass(frozen=True, slots=True)
class _Traffic:
    """Requests to S3, or its answers: from the first of these ports to the last."""

    direction: Direction
    first: int
    last: int
    says: str


# Functions and NAT gateways take any of these ports to be answered on:
# https://docs.aws.amazon.com/vpc/latest/userguide/custom-network-acl.html#nacl-ephemeral-ports
_TRAFFIC: Final = (
    *(_Traffic(Direction.OUT, port, port, "to") for port in PORTS),
    _Traffic(Direction.IN, 1024, 65535, "from"),
)
_FAMILIES: Final = {4: IPv4Address, 6: IPv6Address}
_PUBLIC_BY_SIX: Final = "2000::/3"
_NO_PUBLIC: Final = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
)
"""Where S3 is not: https://www.iana.org/assignments/iana-ipv4-special-registry/iana-ipv4-special-registry.xhtml"""


def acls_differ(acls: Mapping[str, NetworkAcl], *, near: Sequence[str] = ()) -> str:
    """How the first subnet's ACL and another one's treat S3 differently; or empty.

    All public addresses may be S3's, for its prefix list is known to few, and those of its endpoints, `near`.
    """
    (first, acl), *others = acls.items()
    for subnet, other in others:
        for traffic in _TRAFFIC if other.id != acl.id else ():
            found = _difference(acl, other, traffic, near)
            if found is not None:
                one, two = _said(first, acl, found[0]), _said(subnet, other, found[1])
                port = found[2] if traffic.first == traffic.last else f"{found[2]} (answers)"
                return f"TCP port {port} {traffic.direction}, {traffic.says} S3: {one}, {two}"
    return ""


def _difference(
    one: NetworkAcl, other: NetworkAcl, traffic: _Traffic, near: Sequence[str]
) -> tuple[AclRule | None, AclRule | None, int] | None:
    """The rules that decide differently, and a port; None where the two let the same through."""
    rules = [rule for acl in (one, other) for rule in acl.rules if rule.direction is traffic.direction]
    for far, port in product(_addresses([rule.cidr for rule in rules], near), _ports(rules, traffic)):
        first = deciding(one, direction=traffic.direction, far=far, port=port)
        second = deciding(other, direction=traffic.direction, far=far, port=port)
        if _passes(first) is not _passes(second):
            return first, second, port
    return None


def _passes(rule: AclRule | None) -> bool:
    return rule is not None and rule.effect is Effect.ALLOW


def _said(subnet: str, acl: NetworkAcl, rule: AclRule | None) -> str:
    if rule is None:
        return f"{subnet} denies it, for no rule of {acl.id} is about it"
    verb = {Effect.ALLOW: "allows", Effect.DENY: "denies"}[rule.effect]
    return f"{subnet} {verb} it by rule {rule.number} of {acl.id} ({rule.cidr})"


def _addresses(written: Iterable[str], near: Sequence[str]) -> Iterator[str]:
    """One of each range in which no block begins or ends, where S3 may be."""
    blocks = [ip_network(block, strict=False) for block in (*written, *near, *_NO_PUBLIC, _PUBLIC_BY_SIX)]
    for version, address in _FAMILIES.items():
        ours = [block for block in blocks if block.version == version]
        starts = {int(block.network_address) for block in ours} | {int(block.broadcast_address) + 1 for block in ours}
        for start in sorted(number for number in starts if number < 2 ** ours[0].max_prefixlen):
            far = str(address(start))
            if _may_be_s3(far) or any(covers(block, far) for block in near):
                yield far


def _may_be_s3(address: str) -> bool:
    if ":" in address:
        return covers(_PUBLIC_BY_SIX, address)
    return not any(covers(block, address) for block in _NO_PUBLIC)


def _ports(rules: Iterable[AclRule], traffic: _Traffic) -> list[int]:
    """One of each range in which no rule's ports begin or end."""
    starts = {port for rule in rules if rule.to_port is not None for port in (rule.from_port or 0, rule.to_port + 1)}
    return sorted({traffic.first} | {port for port in starts if traffic.first <= port <= traffic.last})


def groups_differ(rules: Sequence[SecurityRule], *, cidrs: Mapping[str, str], groups: Iterable[str]) -> str | None:
    """How an endpoint's security groups let in one of the subnets and not another; or empty.

    None where a prefix list decides, whose blocks are not known here.
    """
    for port in PORTS:
        open_ = [rule for rule in rules if has_port(rule, port)]
        if any(set(rule.group_ids) & set(groups) for rule in open_):
            continue
        let_in = {name: _extent([cidr for rule in open_ for cidr in rule.cidrs], cidr) for name, cidr in cidrs.items()}
        if len(set(let_in.values())) > 1:
            return f"TCP port {port} in: " + ", ".join(f"{name} is let in {how}" for name, how in let_in.items())
        if "wholly" not in let_in.values() and any(rule.prefix_list_ids for rule in open_):
            return None
    return ""


def _extent(blocks: Iterable[str], cidr: str) -> str:
    inside = ip_network(cidr)
    ours = [block for block in map(ip_network, blocks) if block.version == inside.version]
    joined = list(collapse_addresses(ours))  # type: ignore[type-var]
    if any(inside.subnet_of(block) for block in joined):  # type: ignore[arg-type]
        return "wholly"
    return "in part" if any(inside.overlaps(block) for block in joined) else "not at all"
