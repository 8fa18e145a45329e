"""Who is told of a connection: the flow logs of the interface that it leaves by, of its subnet, and of its VPC.

https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs.html
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.fleet import instances
from pytest_s3vpce.lab.flowrecords import Flow, Place, carried, fields_of, opening
from pytest_s3vpce.lab.origin import Placement
from pytest_s3vpce.lab.traildelivery import FlowLog
from pytest_s3vpce.network.names import of_key
from pytest_s3vpce.network.topology import Effect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.lab.attempts import Attempt
    from pytest_s3vpce.lab.routing import Routing
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.traildelivery import Delivery
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse
    from pytest_s3vpce.network.crossing import Crossing

_ACTIONS: Final = {Effect.ALLOW: "ACCEPT", Effect.DENY: "REJECT"}
_HEADERS: Final = 40
"""Bytes that a header has besides its name and value, and the first line for each, roughly."""


class FlowLogs:
    """Sees every request from inside of a network, and every attempt to connect that came to nothing."""

    def __init__(self, state: State, *, routing: Routing, delivery: Delivery) -> None:
        self._state = state
        self._routing = routing
        self._delivery = delivery

    def exchanged(self, request: HttpRequest, service: str, *, answer: HttpResponse | None) -> None:
        """A request and its answer; without one the network dropped it."""
        origin = request.origin
        if not isinstance(origin, Placement) or request.via is not None:
            return
        logs = self._logs(origin)
        key = self._routing.key_of(origin, host=request.host.partition(":")[0], service=service) if logs else None
        if key is None:
            return
        near_port = int(request.peer.rpartition(":")[2] or 0)
        sent = _size(request.headers, request.body)
        received = 0 if answer is None else _size(answer.headers, answer.body)
        crossed = self._routing.crossing(origin, key)
        if crossed is not None:
            placement = origin.at(origin.port, destination=key)
            sizes = (carried(sent), carried(received))
            self._tell(logs, placement, crossed, near_port, sizes=sizes, seconds=0.0)

    def attempted(self, origin: Placement, attempt: Attempt) -> None:
        """A connection that did not come up."""
        logs = self._logs(origin)
        found = self._routing.names(origin).find(attempt.host) if logs else None
        if found is None:
            return
        placement = origin.at(attempt.port, destination=found.key)
        crossed = self._routing.crossing(placement, found.key)
        if crossed is not None and crossed.path is None:  # else it is let through by now: it failed for another reason
            sizes = (opening(attempt.seconds),) * 2
            self._tell(logs, placement, crossed, attempt.near_port, sizes=sizes, seconds=attempt.seconds)

    def _tell(
        self,
        logs: list[FlowLog],
        origin: Placement,
        crossed: Crossing,
        near_port: int,
        *,
        sizes: tuple[tuple[int, int], tuple[int, int]],
        seconds: float,
    ) -> None:
        now = time.time()
        for flow in self._flows(origin, crossed, near_port, sizes=sizes, now=now):
            for log in logs:
                if log.traffic in ("ALL", flow.action):
                    self._delivery.flow(log, replace(flow, start=now - seconds))

    def _flows(
        self,
        origin: Placement,
        crossed: Crossing,
        near_port: int,
        *,
        sizes: tuple[tuple[int, int], tuple[int, int]],
        now: float,
    ) -> Iterator[Flow]:
        place = self._place(origin)
        for is_out, effect, (packets, size) in ((True, crossed.out, sizes[0]), (False, crossed.back, sizes[1])):
            if effect is None:
                continue
            yield Flow(
                place=place,
                is_out=is_out,
                near=(crossed.near, near_port),
                far=(crossed.far, origin.port),
                action=_ACTIONS[effect],
                start=now,
                end=now,
                packets=packets,
                bytes=size,
                service=self._service(origin, crossed),
                path=crossed.path,
            )

    def _service(self, origin: Placement, crossed: Crossing) -> str:
        """https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html, `pkt-dst-aws-service`."""
        endpoint = crossed.path.endpoint if crossed.path else None
        if endpoint is not None and endpoint.kind == "interface":
            return "-"
        return "S3" if of_key(origin.destination).service == "s3" else "AMAZON"

    def _place(self, origin: Placement) -> Place:
        topology = self._state.topology(origin.account, origin.region)
        subnet = topology.subnet(origin.subnet_id)
        assert subnet is not None  # a connection crosses it
        backend = self._state.backends("ec2")[origin.account][origin.region]
        interface = _interface(self._state, origin)
        standing = (row for row in instances(self._state, origin.account, origin.region) if _stands(row, origin))
        instance = next(standing, None)
        return Place(
            account=origin.account,
            region=origin.region,
            zone=str(backend.get_subnet(subnet.id).availability_zone_id),
            vpc=subnet.vpc_id,
            subnet=subnet.id,
            interface=interface,
            instance=instance.id if instance else None,
        )

    def _logs(self, origin: Placement) -> list[FlowLog]:
        """Those that take what this interface sends and receives."""
        backend = self._state.backends("ec2")[origin.account][origin.region]
        logs = list(backend.flow_logs.values())
        subnet = self._state.topology(origin.account, origin.region).subnet(origin.subnet_id) if logs else None
        if subnet is None:
            return []
        watched = {subnet.vpc_id, subnet.id, _interface(self._state, origin)}
        return [_log(found, origin) for found in logs if found.resource_id in watched]


def _log(found: Any, origin: Placement) -> FlowLog:
    to_bucket = found.log_destination_type == "s3"
    bucket, _, folder = (found.log_destination or "").partition(":::")[2].partition("/")
    return FlowLog(
        id=found.id,
        account=origin.account,
        region=origin.region,
        traffic=found.traffic_type or "ALL",
        fields=fields_of(found.log_format),
        bucket=bucket if to_bucket else None,
        prefix=folder if to_bucket else "",
        log_group=None if to_bucket else found.log_group_name,
    )


def _interface(state: State, origin: Placement) -> str:
    """The interface with this address. A function's is one that nobody made, so it is named after where it stands."""
    for found in list(state.backends("ec2")[origin.account][origin.region].enis.values()):
        if found.private_ip_address == origin.private_ip and found.subnet.id == origin.subnet_id:
            return str(found.id)
    return f"eni-{hashlib.sha256(f'{origin.subnet_id} {origin.private_ip}'.encode()).hexdigest()[:17]}"


def _stands(row: Any, origin: Placement) -> bool:
    return bool(row.subnet_id == origin.subnet_id and row.private_ip == origin.private_ip)


def _size(headers: tuple[tuple[str, str], ...], body: bytes) -> int:
    return sum(len(name) + len(value) + _HEADERS for name, value in headers) + len(body)
