"""What a network interface's security groups and its subnet's ACL do with a connection's packets, each way by itself.

Flow logs tell this and nothing more: https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-records-examples.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_s3vpce.network import filters
from pytest_s3vpce.network.path import Path, far_end, resolve
from pytest_s3vpce.network.topology import AclRule, Direction, Effect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_s3vpce.network.path import Destination, FarEnd, Source
    from pytest_s3vpce.network.topology import Subnet, Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Both ends of a connection as its interface sees them, and what becomes of its packets there."""

    near: str
    far: str
    out: Effect
    back: Effect | None
    """None where no answer comes: the request was dropped here, or further on."""
    path: Path | None


def crossing(
    topology: Topology, *, source: Source, destination: Destination, others: Iterable[Topology] = ()
) -> Crossing | None:
    """None where the name does not resolve: nothing is sent then."""
    others = tuple(others)
    end = far_end(topology, source=source, destination=destination, others=others)
    subnet = topology.subnet(source.subnet_id)
    if end is None or subnet is None:
        return None
    six = ":" in end.far.address
    made = Crossing(
        near=source.ipv6 if six and source.ipv6 else source.private_ip,
        far=end.far.address,
        out=Effect.DENY,
        back=None,
        path=None,
    )
    leaves = end.subnet_id != subnet.id  # an ACL sees only what does
    port, address = destination.port, end.far.address
    if not filters.group_lets_out(topology, group_ids=source.security_group_ids, far=end.far, port=port):
        return made
    if leaves and not filters.acl_lets_out(topology, subnet=subnet, far=address, port=port):
        return made
    made = replace(made, out=Effect.ALLOW)
    found = resolve(topology, source=source, destination=destination, others=others)
    if isinstance(found, Path):
        return replace(made, back=Effect.ALLOW, path=found)
    if not leaves or filters.acl_lets_back(topology, subnet=subnet, far=address):
        return made
    open_to_it = _answers_let_in(topology, subnet, end)
    found = resolve(open_to_it, source=source, destination=destination, others=others)
    return replace(made, back=Effect.DENY) if isinstance(found, Path) else made


def _answers_let_in(topology: Topology, subnet: Subnet, end: FarEnd) -> Topology:
    """The network as it is, but for the ACL of this subnet, which lets this end's answers in."""
    acl = topology.network_acl(subnet)
    assert acl is not None  # or there would be nothing that stops them
    rule = AclRule(
        number=0,
        direction=Direction.IN,
        effect=Effect.ALLOW,
        protocol="6",
        cidr=f"{end.far.address}/{128 if ':' in end.far.address else 32}",
        from_port=filters.EPHEMERAL,
        to_port=filters.EPHEMERAL,
    )
    acls = tuple(replace(row, rules=(rule, *row.rules)) if row is acl else row for row in topology.network_acls)
    return replace(topology, network_acls=acls)
