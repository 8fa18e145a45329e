"""Route tables: the most specific route to an address, and which addresses stand for AWS's services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.network.filters import covers, network
from pytest_s3vpce.network.topology import ACTIVE

if TYPE_CHECKING:
    from pytest_s3vpce.network.topology import Route, RouteTable, Subnet, Topology

# One address stands for all of a service's in the Region; for all that is not there, one in no service's list.
_S3: Final = "52.216.0.0/15"
_ELSEWHERE: Final = "54.240.0.1"
_S3_BY_SIX: Final = "2600:1fa0:8000::/36"
_ELSEWHERE_BY_SIX: Final = "2600:1f70::1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The route that counts, and how specific it is."""

    target: str
    length: int
    is_blackhole: bool


def address(topology: Topology, service: str) -> str:
    """An IPv4 address of the service in the Region, as AWS's prefix list has it."""
    block = _block(topology, service)
    if block is None:
        return _ELSEWHERE
    found = network(block)
    return str(found[min(1, found.num_addresses - 1)])


def address6(service: str) -> str:
    return str(network(_S3_BY_SIX)[1]) if service == "s3" else _ELSEWHERE_BY_SIX


def length_of(topology: Topology, service: str, *, address: str) -> int:
    """How specific the service's prefix list is about this address."""
    block = _S3_BY_SIX if ":" in address else _block(topology, service)
    return 0 if block is None else network(block).prefixlen


def _block(topology: Topology, service: str) -> str | None:
    listed = topology.prefix_list_of(service)
    blocks = (cidr for cidr in (listed.cidrs if listed else ()) if ":" not in cidr and _is_block(cidr))
    return next(blocks, _S3 if service == "s3" else None)


def _is_block(cidr: str) -> bool:
    return covers(cidr, cidr.partition("/")[0])


def target(topology: Topology, *, subnet: Subnet, address: str) -> str | None:
    """What the subnet's table leads this address to."""
    table = topology.route_table(subnet)
    route = best(topology, table=table, address=address) if table else None
    return None if route is None or route.is_blackhole else route.target


def best(topology: Topology, *, table: RouteTable, address: str) -> Best | None:
    """The most specific route; of equal ones, that to a block comes before that to a prefix list.

    https://docs.aws.amazon.com/vpc/latest/userguide/RouteTables.html#route-tables-priority
    """
    found = [
        (length, "/" in route.destination, route)
        for route in table.routes
        if (length := _length(topology, route, address)) is not None
    ]
    length, _, route = max(found, key=lambda entry: entry[:2], default=(0, False, None))
    return None if route is None else Best(target=route.target, length=length, is_blackhole=route.state != ACTIVE)


def _length(topology: Topology, route: Route, address: str) -> int | None:
    """How specific the route is about the address; None where it does not hold for it.

    What leads to an endpoint is left to the endpoint's own list of tables.
    """
    if "/" in route.destination:
        blocks: tuple[str, ...] = (route.destination,)
    else:
        listed = topology.prefix_list(route.destination)
        blocks = () if listed is None or route.target.startswith("vpce-") else listed.cidrs
    lengths = [network(block).prefixlen for block in blocks if covers(block, address)]
    return max(lengths, default=None)
