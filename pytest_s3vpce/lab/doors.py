"""Doors: addresses of the lab that stand for a network interface in a subnet, for clients that run outside of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab.listener import Verdict
from pytest_s3vpce.lab.origin import Placement, Proxied
from pytest_s3vpce.lab.placement import PORTS
from pytest_s3vpce.lab.resources import address_in, public_address
from pytest_s3vpce.lab.routing import ANY
from pytest_s3vpce.lab.wire import Unanswered
from pytest_s3vpce.network.names import AWS, OTHER, S3, Form, matches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_s3vpce.lab.listener import Listener
    from pytest_s3vpce.lab.origin import Origin
    from pytest_s3vpce.lab.routing import Routing
    from pytest_s3vpce.lab.server import Server
    from pytest_s3vpce.lab.state import State

_HTTP, _HTTPS = PORTS
_LOOPBACK: Final = ("127.0.0.1", "localhost")
_MOST_GROUPS: Final = 16
"""https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The three addresses of one interface: ports 80 and 443 as it reaches them, and a proxy that leaves from it."""

    placement: Placement
    http: Listener
    https: Listener
    proxy: Listener

    def urls(self) -> dict[str, str]:
        return {
            "endpoint_url": f"http://{self.http.host}:{self.http.port}",
            "https_endpoint_url": f"https://{self.https.host}:{self.https.port}",
            "proxy_url": f"http://{self.proxy.host}:{self.proxy.port}",
        }

    def close(self) -> None:
        for listener in (self.http, self.https, self.proxy):
            listener.close()


class Doors:
    """All doors that were asked for. Each keeps its addresses while the network behind it changes.

    An address stands for every service at once, and for S3 first: it lets connections in while requests to S3, or to a
    service that the VPC has an endpoint for, get through on its port. A request to one that the network drops gets no
    answer there.
    """

    def __init__(self, server: Server, *, state: State, routing: Routing) -> None:
        self._server = server
        self._state = state
        self._routing = routing
        self._lock = threading.Lock()
        self._doors: dict[Placement, Door] = {}

    def open(self, subnet_id: str, *, security_group_ids: Sequence[str] = ()) -> Door:
        """The door of an interface in this subnet; without groups it has its VPC's default one, as on AWS."""
        placement = self._placement(subnet_id, tuple(security_group_ids))
        with self._lock:
            door = self._doors.get(placement)
            if door is None:
                door = self._doors[placement] = self._make(placement)
            return door

    def proxy_of(self, placement: Placement) -> str:
        """The URL of the proxy that leaves from this interface."""
        home = placement.at(_HTTPS, destination=S3)
        with self._lock:
            door = self._doors.get(home) or self._doors.setdefault(home, self._make(home))
        return door.urls()["proxy_url"]

    def forget(self, placement: Placement) -> None:
        """End the door of a placement in which nothing stands any more."""
        with self._lock:
            door = self._doors.pop(placement.at(_HTTPS, destination=S3), None)
        if door is not None:
            door.close()

    def refresh(self) -> None:
        """Ask for every door's verdicts anew, after the network state changed."""
        with self._lock:
            for door in self._doors.values():
                self._apply(door)

    def close(self) -> None:
        with self._lock:
            for door in self._doors.values():
                door.close()

    def gate(self, stated: Origin | Proxied, host: str, port: int) -> Origin:
        """Where a request to this host and port stands that came by a placement's proxy; what others may ask for."""
        name = host.lower().rstrip(".")
        if not isinstance(stated, Proxied):
            if name not in _LOOPBACK and not matches(name, AWS):
                raise Unanswered(f"{name} is no host of AWS's, and no other is served by the lab")
            return stated
        home = stated.placement
        if port not in PORTS and name not in _LOOPBACK:
            raise Unanswered(f"port {port} of {name} is not served by the lab")
        port = port if port in PORTS else _HTTP
        if name in _LOOPBACK:
            return home.at(port, destination=ANY)
        found = self._routing.names(home).find(name)
        if found is None:
            raise Unanswered(f"{name} does not resolve; hosts other than AWS's are not served by the lab")
        placement = home.at(port, destination=found.key)
        if self._routing.verdict(placement, found.key) is not Verdict.OPEN:
            raise Unanswered(f"the network of {home.subnet_id} has no way to port {port} of {name}")
        return placement

    def _make(self, placement: Placement) -> Door:
        http, https = (self._server.listen(placement.at(port, destination=ANY)) for port in PORTS)
        proxy = self._server.listen(Proxied(placement=placement))
        door = Door(placement=placement, http=http, https=https, proxy=proxy)
        self._apply(door)
        return door

    def _apply(self, door: Door) -> None:
        for listener, port in ((door.http, _HTTP), (door.https, _HTTPS)):
            listener.apply(self._open_at(door.placement.at(port, destination=ANY)))

    def _open_at(self, placement: Placement) -> Verdict:
        found = self._routing.names(placement).classes()
        beside = [one.key for one in found if one.form is Form.REGIONAL and one.service not in (S3, OTHER)]
        if any(self._routing.verdict(placement, key) is Verdict.OPEN for key in (S3, *beside)):
            return Verdict.OPEN
        return Verdict.DROP

    def _placement(self, subnet_id: str, groups: tuple[str, ...]) -> Placement:
        home = self._state.subnet_home(subnet_id)
        if home is None:
            raise LabError(f"there is no subnet `{subnet_id}` in this lab", remedy="name one that was made in it")
        account, region = home
        topology = self._state.topology(account, region)
        subnet = topology.subnet(subnet_id)
        if subnet is None:  # deleted in this moment
            raise LabError(f"there is no subnet `{subnet_id}` in this lab")
        if len(groups) > _MOST_GROUPS:
            raise LabError(f"{len(groups)} security groups are too many", remedy=f"give at most {_MOST_GROUPS}")
        for group_id in groups:
            group = topology.security_group(group_id)
            if group is None or group.vpc_id != subnet.vpc_id:
                raise LabError(
                    f"there is no security group `{group_id}` in the VPC of `{subnet_id}`",
                    remedy=f"name one of `{subnet.vpc_id}`",
                )
        if not groups:
            default = self._state.default_group(account, region, subnet.vpc_id)
            groups = (default,) if default else ()
        seed = " ".join((subnet_id, *sorted(groups)))
        return Placement(
            account=account,
            region=region,
            subnet_id=subnet_id,
            security_group_ids=groups,
            private_ip=address_in(subnet.cidr, seed=seed),
            public_ip=public_address(seed) if subnet.maps_public_ip else None,
            ipv6=address_in(subnet.ipv6_cidr, seed=seed) if subnet.ipv6_cidr else None,
        )


def described(door: Door) -> Mapping[str, object]:
    """What the control API says of a door."""
    return {**door.urls(), "account_id": door.placement.account, "region": door.placement.region}
