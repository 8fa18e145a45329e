"""The records of VPC flow logs: what an interface's packets of one connection and direction were, as one line.

https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.network.path import PathKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.network.path import Path

_FIELD: Final = re.compile(r"\$\{([^}]*)\}")
_GROUP: Final = ":log-group:"
_SYN, _SYN_ACK, _FIN = 2, 18, 1
_PATHS: Final = {
    PathKind.INTERFACE_ENDPOINT: "1",
    PathKind.NAT: "1",
    PathKind.GATEWAY_ENDPOINT: "7",
    PathKind.INTERNET: "8",
}
"""As of instances on Nitro, and of functions."""
_OPENING: Final = 60
"""Bytes of a packet that opens a connection."""
_HEAD: Final = 40
_SEGMENT: Final = 1_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The interface whose packets are told."""

    account: str
    region: str
    zone: str
    vpc: str
    subnet: str
    interface: str
    instance: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Packets of one direction; `near` is the interface's own end."""

    place: Place
    is_out: bool
    near: tuple[str, int]
    far: tuple[str, int]
    action: str
    start: float
    end: float
    packets: int
    bytes: int
    service: str = "-"
    """What AWS calls the service whose public address the far end is."""
    path: Path | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What stands in one record: https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html."""
        return (self.place.interface, self.is_out, self.near, self.far, self.action)

    def with_more(self, other: Flow) -> Flow:
        return replace(
            self,
            start=min(self.start, other.start),
            end=max(self.end, other.end),
            packets=self.packets + other.packets,
            bytes=self.bytes + other.bytes,
        )

    @property
    def source(self) -> tuple[str, int]:
        return self.near if self.is_out else self.far

    @property
    def target(self) -> tuple[str, int]:
        return self.far if self.is_out else self.near


def carried(size: int) -> tuple[int, int]:
    """Packets and bytes that so much of HTTP is, roughly: nobody counts packets on loopback."""
    packets = 3 + -(-size // _SEGMENT)
    return packets, size + packets * _HEAD


def opening(seconds: float) -> tuple[int, int]:
    """Packets and bytes of an attempt to connect that lasted so long: one at once, and after 1, 3, 7 ... seconds."""
    packets = max(1, int(seconds + 1).bit_length())
    return packets, packets * _OPENING


def _flags(flow: Flow) -> str:
    opens = _SYN if flow.is_out else _SYN_ACK
    return str(opens | _FIN if flow.action == "ACCEPT" and flow.bytes > _OPENING * flow.packets else opens)


def _service(flow: Flow, *, is_of_source: bool) -> str:
    return flow.service if is_of_source is not flow.is_out else "-"


_FIELDS: Final[Mapping[str, tuple[int, Callable[[Flow], str]]]] = {
    "version": (2, lambda _: ""),
    "account-id": (2, lambda flow: flow.place.account),
    "interface-id": (2, lambda flow: flow.place.interface),
    "srcaddr": (2, lambda flow: flow.source[0]),
    "dstaddr": (2, lambda flow: flow.target[0]),
    "srcport": (2, lambda flow: str(flow.source[1])),
    "dstport": (2, lambda flow: str(flow.target[1])),
    "protocol": (2, lambda _: "6"),
    "packets": (2, lambda flow: str(flow.packets)),
    "bytes": (2, lambda flow: str(flow.bytes)),
    "start": (2, lambda flow: str(int(flow.start))),
    "end": (2, lambda flow: str(int(flow.end))),
    "action": (2, lambda flow: flow.action),
    "log-status": (2, lambda _: "OK"),
    "vpc-id": (3, lambda flow: flow.place.vpc),
    "subnet-id": (3, lambda flow: flow.place.subnet),
    "instance-id": (3, lambda flow: flow.place.instance or "-"),
    "tcp-flags": (3, _flags),
    "type": (3, lambda flow: "IPv6" if ":" in flow.far[0] else "IPv4"),
    "pkt-srcaddr": (3, lambda flow: flow.source[0]),
    "pkt-dstaddr": (3, lambda flow: flow.target[0]),
    "region": (4, lambda flow: flow.place.region),
    "az-id": (4, lambda flow: flow.place.zone),
    "sublocation-type": (4, lambda _: "-"),
    "sublocation-id": (4, lambda _: "-"),
    "pkt-src-aws-service": (5, lambda flow: _service(flow, is_of_source=True)),
    "pkt-dst-aws-service": (5, lambda flow: _service(flow, is_of_source=False)),
    "flow-direction": (5, lambda flow: "egress" if flow.is_out else "ingress"),
    "traffic-path": (5, lambda flow: _PATHS[flow.path.kind] if flow.is_out and flow.path else "-"),
}
"""Each with the version it came with."""
DEFAULT: Final = tuple(name for name, (version, _) in _FIELDS.items() if version == 2)


def fields_of(log_format: str | None) -> tuple[str, ...]:
    """The names of a LogFormat's fields, in their order; Refused where it names one that the lab does not write."""
    if not log_format:
        return DEFAULT
    names = tuple(_FIELD.findall(log_format))
    wrong = [name for name in names if name not in _FIELDS]
    if wrong or not names:
        message = f"LogFormat: Unknown fields provided: {', '.join(wrong) or log_format}"
        raise Refused("InvalidParameter", status=400, message=message)
    return names


def line(flow: Flow, names: tuple[str, ...]) -> str:
    """A record: its version is that of the newest of its fields."""
    version = max(_FIELDS[name][0] for name in names)
    return " ".join(str(version) if name == "version" else _FIELDS[name][1](flow) for name in names)


def mend_flow_logs(backend_class: Any) -> None:
    """Formats are looked at, and destinations may be a log group's ARN or a folder of a bucket.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFlowLogs.html
    """
    original = backend_class.create_flow_logs

    def create(self: Any, **named: Any) -> Any:
        fields_of(named["log_format"])
        wanted = named["log_destination"] or ""
        if _GROUP in wanted and not named["log_group_name"]:
            named["log_group_name"] = wanted.partition(_GROUP)[2].removesuffix(":*")
        to_bucket = named["log_destination_type"] == "s3"
        bucket = wanted.partition("/")[0] if to_bucket else wanted
        made, failed = original(self, **{**named, "log_destination": bucket or None})
        for log in made:
            log.log_destination = wanted or None
        return made, failed

    backend_class.create_flow_logs = create
