"""The ways that a request may take from a vantage point, by the one resolver; what is not known of them is said."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.network.keys import NETWORK_KEYS, PRIVATE_IP, SOURCE_IP
from pytest_s3vpce.network.names import VPCE, Form, matches, names
from pytest_s3vpce.network.path import Destination, Dropped, Path, PathKind, Source, internet, resolve
from pytest_s3vpce.snapshot.state import Unread

if TYPE_CHECKING:
    from pytest_s3vpce.network.topology import Topology
    from pytest_s3vpce.snapshot.state import Snapshot, VantageRow

_SOME: Final = "192.0.2.1"
"""Stands for an address that is not known yet: https://www.rfc-editor.org/rfc/rfc5737"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way. `path` is None where it is not known; `unknown` are condition keys whose values are not."""

    path: Path | Dropped | None
    unknown: frozenset[str] = field(default_factory=frozenset)
    subnet: str = ""
    vpc: str = ""
    why: str = ""
    """Of an unknown path: what is not known."""

    @property
    def words(self) -> str:
        """The way, for people."""
        if self.path is None:
            return f"unknown: {self.why}"
        if isinstance(self.path, Dropped):
            return f"none: {self.path.reason}"
        endpoint = self.path.endpoint
        if endpoint is not None:
            return f"{endpoint.kind.value} endpoint {endpoint.id} of {endpoint.vpc_id}"
        shown = self.path.public_ip or "an address that is not known"
        through = "a NAT gateway and " if self.path.kind is PathKind.NAT else ""
        return f"{through}the internet, from {shown}, by no endpoint"


def ways(snapshot: Snapshot, row: VantageRow, *, host: str, port: int) -> tuple[Way, ...]:
    """Every way that is possible: one for each subnet that the vantage point may send from."""
    if row.why:
        return (Way(path=None, unknown=NETWORK_KEYS, why=row.why),)
    if not row.account:
        return (_from_outside(row, host),)
    account = snapshot.account(row.account)
    found = None if account is None else snapshot.network(account.id, row.region)
    if found is None or isinstance(found.topology, Unread):
        why = "the network was not read" if found is None else f"the network: {found.topology.unread}"  # type: ignore[union-attr]
        return (Way(path=None, unknown=NETWORK_KEYS, why=why),)
    others = [
        other.topology for other in snapshot.networks if other is not found and not isinstance(other.topology, Unread)
    ]
    return tuple(
        _from_subnet(row, found.topology, others, subnet=subnet, host=host, port=port) for subnet in row.subnets
    )


def _from_outside(row: VantageRow, host: str) -> Way:
    if matches(host, VPCE):
        why = f"`{host}` has private addresses, and how this place reaches them is not known"
        return Way(path=None, unknown=NETWORK_KEYS, why=why)
    unknown = frozenset() if row.public_ip else frozenset({SOURCE_IP})
    return Way(path=internet(row.public_ip or ""), unknown=unknown)


def _from_subnet(
    row: VantageRow, topology: Topology, others: list[Topology], *, subnet: str, host: str, port: int
) -> Way:
    home = topology.subnet(subnet)
    vpc = "" if home is None else home.vpc_id
    aim = names(topology.region, topology=topology, others=others).find(host)
    if aim is None:
        dropped = Dropped(reason=f"`{host}` does not resolve in {vpc or subnet}")
        return Way(path=dropped, subnet=subnet, vpc=vpc)
    six = row.ipv6
    if six is None and row.dual_stack and home is not None and home.ipv6_cidr:
        six = _inside(home.ipv6_cidr)
    # An instance that a run makes gets an address that nobody knows yet.
    unborn = row.kind == "ec2" and row.private_ip is None and home is not None and home.maps_public_ip
    source = Source(
        subnet_id=subnet,
        security_group_ids=row.security_groups,
        private_ip=row.private_ip or (_inside(home.cidr) if home is not None and home.cidr else "10.0.0.4"),
        public_ip=row.public_ip or (_SOME if unborn else None),
        ipv6=six,
    )
    destination = Destination(service=aim.service, region=topology.region, port=port, form=aim.form, label=aim.label)
    path = resolve(topology, source=source, destination=destination, others=others)
    unknown = set()
    if isinstance(path, Path):
        if path.endpoint is not None and row.private_ip is None:
            unknown.add(PRIVATE_IP)
        several = any(path.public_ip in nat.public_ips and len(nat.public_ips) > 1 for nat in topology.nat_gateways)
        dual = path.kind is PathKind.INTERNET and aim.form is Form.DUALSTACK and row.dual_stack
        if several or dual or path.public_ip == _SOME:
            unknown.add(SOURCE_IP)
    return Way(path=path, unknown=frozenset(unknown), subnet=subnet, vpc=vpc)


def _inside(cidr: str) -> str:
    """An address that an interface in the block may have; the first four are AWS's.

    https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
    """
    return str(ipaddress.ip_network(cidr, strict=False)[4])
