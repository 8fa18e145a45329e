"""Which way the lab's network leads: the names that an interface can resolve, and the path to each of them now."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.calibration import NONE
from pytest_s3vpce.lab.listener import Verdict
from pytest_s3vpce.lab.origin import Placement
from pytest_s3vpce.network.crossing import crossing
from pytest_s3vpce.network.names import AWS, OTHER, S3, HostClass, Names, matches, names, of_key
from pytest_s3vpce.network.path import Destination, Dropped, Loss, Path, PathKind, Source, far_end, resolve
from pytest_s3vpce.network.topology import EndpointKind

if TYPE_CHECKING:
    from pytest_s3vpce.calibration import Calibration
    from pytest_s3vpce.lab.origin import Origin, Proxied
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.network.crossing import Crossing
    from pytest_s3vpce.network.topology import Topology

ANY: Final = "any"
"""The destination of a listener that stands for every host at once: each request's own host counts."""
_S3_SERVICES: Final = frozenset({"s3", "s3control"})
_CLEAR: Final = 80
_BY_HTTP: Final = {PathKind.GATEWAY_ENDPOINT: "http/gateway", PathKind.INTERFACE_ENDPOINT: "http/interface"}
_VERDICTS: Final = {Loss.TIMEOUT: Verdict.DROP, Loss.NO_NAME: Verdict.NO_NAME}


class Routing:
    """Asks the one resolver about the state's networks."""

    def __init__(self, state: State, *, calibration: Calibration = NONE) -> None:
        self._state = state
        self._closed = frozenset(kind for kind, rule in _BY_HTTP.items() if calibration.value(rule) == "no answer")
        self._names: dict[tuple[str, str], tuple[Topology, tuple[Topology, ...], Names]] = {}

    def names(self, placement: Placement) -> Names:
        """What the hosts of AWS stand for, as an interface there sees them now."""
        where = (placement.account, placement.region)
        home, others = self._state.topology(*where), tuple(self._state.topologies_beside(*where))
        known = self._names.get(where)
        if known is None or known[0] is not home or not _same(known[1], others):
            known = self._names[where] = (home, others, names(placement.region, topology=home, others=others))
        return known[2]

    def path(self, placement: Placement, destination: str) -> Path | Dropped:
        home, aim = self._aim(placement, destination)
        way = resolve(home, **aim)
        return self._silent(way, placement) or way

    def crossing(self, placement: Placement, destination: str) -> Crossing | None:
        """What becomes of a connection's packets at this interface."""
        home, aim = self._aim(placement, destination)
        found = crossing(home, **aim)
        if found is None or found.path is None or self._silent(found.path, placement) is None:
            return found
        return replace(found, back=None, path=None)

    def address(self, placement: Placement, destination: str) -> str | None:
        """The IPv4 address that these hosts have there; None where they have none, or are reached by IPv6."""
        home, aim = self._aim(placement, destination)
        end = far_end(home, **aim)
        return None if end is None or ":" in end.far.address else end.far.address

    def _aim(self, placement: Placement, destination: str) -> tuple[Topology, dict[str, Any]]:
        """What the resolver of networks is asked."""
        found = of_key(destination)
        aim = Destination(
            service=found.service, region=placement.region, port=placement.port, form=found.form, label=found.label
        )
        source = Source(
            subnet_id=placement.subnet_id,
            security_group_ids=placement.security_group_ids,
            private_ip=placement.private_ip,
            public_ip=placement.public_ip,
            ipv6=placement.ipv6,
        )
        where = (placement.account, placement.region)
        others = self._state.topologies_beside(*where)
        return self._state.topology(*where), {"source": source, "destination": aim, "others": others}

    def _silent(self, way: Path | Dropped, placement: Placement) -> Dropped | None:
        """Where a calibration found that S3 does not answer by http."""
        if isinstance(way, Path) and way.kind in self._closed and placement.port == _CLEAR and _is_s3(way):
            return Dropped(reason=f"port {_CLEAR} of S3 does not answer by a {way.kind.value.replace('_', ' ')}")
        return None

    def verdict(self, placement: Placement, destination: str) -> Verdict:
        """Whether a connection from this interface comes through at all."""
        found = self.path(placement, destination)
        return _VERDICTS[found.how] if isinstance(found, Dropped) else Verdict.OPEN

    def newest_tls(self, origin: Origin | Proxied) -> ssl.TLSVersion:
        """Interface endpoints of S3 know no TLS 1.3.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html#privatelink-limitations
        """
        if not isinstance(origin, Placement):
            return ssl.TLSVersion.MAXIMUM_SUPPORTED
        found = self.path(origin, S3 if origin.destination == ANY else origin.destination)
        endpoint = found.endpoint if isinstance(found, Path) else None
        of_s3 = endpoint is not None and endpoint.kind is EndpointKind.INTERFACE and endpoint.service.endswith(".s3")
        return ssl.TLSVersion.TLSv1_2 if of_s3 else ssl.TLSVersion.MAXIMUM_SUPPORTED

    def of_request(self, placement: Placement, *, host: str, service: str) -> Path | Dropped:
        """The path of one request; the listener's own destination counts where it has one."""
        key = self.key_of(placement, host=host, service=service)
        if key is None:
            return Dropped(reason=f"`{host}` does not resolve", how=Loss.NO_NAME)
        return self.path(placement, key)

    def key_of(self, placement: Placement, *, host: str, service: str) -> str | None:
        """The class of hosts that a request goes to; None where the host does not resolve."""
        key = placement.destination
        if key == ANY and matches(host, AWS):
            found = self.names(placement).find(host)
            return None if found is None else found.key
        if key in (ANY, S3):
            return S3 if service in _S3_SERVICES else self._key_of(placement, service)
        return key

    def _key_of(self, placement: Placement, service: str) -> str:
        """Of a service that is asked for at an address which says nothing of it."""
        own = HostClass(service=service)
        return own.key if own in self.names(placement).classes() else OTHER


def _is_s3(way: Path) -> bool:
    return way.endpoint is not None and way.endpoint.service.endswith(".s3")


def _same(known: tuple[Topology, ...], now: tuple[Topology, ...]) -> bool:
    return len(known) == len(now) and all(one is other for one, other in zip(known, now, strict=True))
