"""What security groups and network ACLs let through."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.network.topology import Direction, Effect

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Network, IPv6Network

    from pytest_s3vpce.network.topology import AclRule, NetworkAcl, SecurityRule, Subnet, Topology

_TCP: Final = frozenset({"-1", "tcp", "6"})
# Answers come back to a port that the client's system chose: Linux takes 32768 to 60999.
EPHEMERAL: Final = 40_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Far:
    """The far end of a connection: its address, and the groups it has if it is an interface in a VPC of ours."""

    address: str
    group_ids: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def covers(cidr: str, address: str) -> bool:
    """Whether the address is in the block; what is no block, or no address, covers nothing."""
    try:
        return ip_address(address) in network(cidr)
    except ValueError:
        return False


@lru_cache(maxsize=4096)
def network(cidr: str) -> IPv4Network | IPv6Network:
    return ip_network(cidr, strict=False)


def lets(rules: Iterable[SecurityRule], *, topology: Topology, far: Far, port: int) -> bool:
    """Whether one of a security group's rules names this far end and port.

    https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
    """
    return any(_names(rule, topology=topology, far=far) for rule in rules if has_port(rule, port))


def has_port(rule: SecurityRule, port: int) -> bool:
    if rule.protocol not in _TCP:
        return False
    if rule.protocol == "-1" or rule.from_port is None or rule.to_port is None or rule.from_port == -1:
        return True
    return rule.from_port <= port <= rule.to_port


def _names(rule: SecurityRule, *, topology: Topology, far: Far) -> bool:
    lists = (topology.prefix_list(list_id) for list_id in rule.prefix_list_ids)
    blocks = (*rule.cidrs, *(cidr for found in lists if found for cidr in found.cidrs))
    return bool(set(rule.group_ids) & set(far.group_ids)) or any(covers(cidr, far.address) for cidr in blocks)


def group_lets_out(topology: Topology, *, group_ids: Iterable[str], far: Far, port: int) -> bool:
    """Whether a rule of any of these groups lets a connection out."""
    groups = [topology.security_group(group_id) for group_id in group_ids]
    rules = [rule for group in groups if group is not None for rule in group.egress]
    return lets(rules, topology=topology, far=far, port=port)


def acl_lets_out(topology: Topology, *, subnet: Subnet, far: str, port: int) -> bool:
    return _acl(topology, subnet, far, ((Direction.OUT, port),)) is None


def acl_lets_back(topology: Topology, *, subnet: Subnet, far: str) -> bool:
    """Whether answers get in, to a port that the client's system chose."""
    return _acl(topology, subnet, far, ((Direction.IN, EPHEMERAL),)) is None


def client_acl(topology: Topology, *, subnet: Subnet, far: str, port: int) -> str | None:
    """Why the ACL of a client's subnet stops it; None where request and answer pass.

    An ACL keeps no state: https://docs.aws.amazon.com/vpc/latest/userguide/nacl-basics.html
    """
    return _acl(topology, subnet, far, ((Direction.OUT, port), (Direction.IN, EPHEMERAL)))


def server_acl(topology: Topology, *, subnet: Subnet, far: str, port: int) -> str | None:
    """As `client_acl`, of the subnet at the other end."""
    return _acl(topology, subnet, far, ((Direction.IN, port), (Direction.OUT, EPHEMERAL)))


def _acl(topology: Topology, subnet: Subnet, far: str, both: Iterable[tuple[Direction, int]]) -> str | None:
    acl = topology.network_acl(subnet)
    if acl is None:
        return None
    for direction, port in both:
        first = deciding(acl, direction=direction, far=far, port=port)
        if first is None or first.effect is Effect.DENY:
            return f"network ACL `{acl.id}` of subnet `{subnet.id}` lets port {port} not {direction}"
    return None


def deciding(acl: NetworkAcl, *, direction: Direction, far: str, port: int) -> AclRule | None:
    """The rule with the lowest number of those that apply; without one the traffic is denied."""
    rules = (rule for rule in acl.rules if rule.direction is direction and _applies(rule, far=far, port=port))
    return min(rules, key=lambda rule: rule.number, default=None)


def _applies(rule: AclRule, *, far: str, port: int) -> bool:
    if rule.protocol not in _TCP or not covers(rule.cidr, far):
        return False
    if rule.protocol == "-1" or rule.from_port is None or rule.to_port is None:
        return True
    return rule.from_port <= port <= rule.to_port
