"""Where a connection to the lab came from: the public internet, or a network placement inside a VPC."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Internet:
    """A host on the public internet; the address is from a block reserved for documentation (RFC 5737)."""

    address: str = "198.51.100.10"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A network interface in a subnet with its security groups, and what it connects to.

    `port` (80 or 443) and `destination` (the key of a class of hosts, see `network.names`) say which of the placement's
    listeners it was; where the placement as a whole is meant they keep their defaults.
    """

    account: str
    region: str
    subnet_id: str
    security_group_ids: tuple[str, ...]
    private_ip: str
    public_ip: str | None = None
    ipv6: str | None = None
    port: int = 443
    destination: str = "s3"

    def at(self, port: int, *, destination: str) -> Placement:
        return replace(self, port=port, destination=destination)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxied:
    """The proxy of a placement: what comes by it goes on to the host and port that it asks for."""

    placement: Placement


Origin = Internet | Placement
OUTSIDE_OF_VPCS: Final = Internet(address="203.0.113.20")
"""Where functions stand that have no VPC."""


def source_of(origin: Origin) -> str:
    """Where it is, in a few words."""
    if isinstance(origin, Internet):
        return origin.address
    return f"{origin.subnet_id} {origin.private_ip}"
