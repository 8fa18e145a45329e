"""What AWS's host names stand for, as seen from a Region: S3's own, those of endpoints, and all others."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.network.topology import EndpointKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_s3vpce.network.topology import Topology

S3: Final = "s3"
OTHER: Final = "other"


class Form(StrEnum):
    """Of a host name, as far as the path depends on it."""

    REGIONAL = "regional"
    """One of those that private DNS of an interface endpoint takes over."""
    PUBLIC = "public"
    """A name that it does not: of old, FIPS or website hosts."""
    DUALSTACK = "dualstack"
    """A name with IPv6 addresses too."""
    ENDPOINT = "endpoint"
    """The name of an interface endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostClass:
    """Host names that one path leads to. `service` is `s3`, `other`, or one that the VPC has an endpoint for."""

    service: str = OTHER
    form: Form = Form.REGIONAL
    label: str = ""
    """The endpoint's own label: `vpce-0abc-1234`, or `vpce-0abc-1234-us-east-1a` for one zone's address."""

    @property
    def key(self) -> str:
        """`s3`, `s3:dualstack`, `sts`, or the label of an endpoint."""
        return self.label or (self.service if self.form is Form.REGIONAL else f"{self.service}:{self.form}")


def of_key(key: str) -> HostClass:
    if key.startswith("vpce-"):
        return HostClass(form=Form.ENDPOINT, label=key)
    service, _, form = key.partition(":")
    return HostClass(service=service, form=Form(form) if form else Form.REGIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Host patterns in the order in which they count; None is the class of names that do not resolve."""

    rows: tuple[tuple[str, HostClass | None], ...]

    def find(self, host: str) -> HostClass | None:
        name = host.lower().rstrip(".")
        return next((found for pattern, found in self.rows if fnmatchcase(name, pattern)), None)

    def classes(self) -> tuple[HostClass, ...]:
        return tuple(dict.fromkeys(found for _, found in self.rows if found is not None))


_SUFFIXES: Final = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}
# https://docs.aws.amazon.com/general/latest/gr/s3.html, and which of them private DNS covers:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html
_S3_HOSTS: Final = {
    Form.REGIONAL: ("s3.{region}", "s3-accesspoint.{region}", "s3-control.{region}"),
    Form.PUBLIC: (
        "s3-{region}",
        "s3-fips.{region}",
        "s3-accesspoint-fips.{region}",
        "s3-control-fips.{region}",
        "s3-website.{region}",
        "s3-website-{region}",
    ),
    Form.DUALSTACK: (
        "s3.dualstack.{region}",
        "s3-fips.dualstack.{region}",
        "s3-accesspoint.dualstack.{region}",
        "s3-accesspoint-fips.dualstack.{region}",
        "s3-control.dualstack.{region}",
        "s3-control-fips.dualstack.{region}",
    ),
}
_GLOBAL: Final = ("us-east-1", "s3")
"""The Region that the names without a Region belong to."""
VPCE: Final = ("*.vpce.amazonaws.com", "*.vpce.amazonaws.com.cn", "*.vpce.amazonaws.eu")
AWS: Final = ("*.amazonaws.com", "*.amazonaws.com.cn", "*.amazonaws.eu", "*.api.aws")
_DUALSTACK: Final = ("*.dualstack.*.amazonaws.com", "*.dualstack.*.amazonaws.com.cn", "*.api.aws")
REST: Final = HostClass()


def matches(host: str, patterns: Iterable[str]) -> bool:
    name = host.lower().rstrip(".")
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def suffix(region: str) -> str:
    """The domain of a Region's hosts."""
    return _SUFFIXES.get(region.partition("-")[0], "amazonaws.com")


def names(region: str, *, topology: Topology | None = None, others: Iterable[Topology] = ()) -> Names:
    """The names as seen from a network; those of interface endpoints resolve everywhere, to private addresses."""
    own = () if topology is None else (topology,)
    rows: list[tuple[str, HostClass | None]] = []
    for place in (*own, *others):
        rows += _endpoint_rows(place)
    rows += [(pattern, None) for pattern in VPCE]
    rows += _service_rows(region, topology)
    rows += [(pattern, HostClass(service=S3, form=form)) for form in _S3_HOSTS for pattern in _s3(region, form)]
    rows += [(pattern, HostClass(form=Form.DUALSTACK)) for pattern in _DUALSTACK]
    rows += [(pattern, REST) for pattern in (f"*.{suffix(region)}", "*.amazonaws.com")]
    return Names(rows=tuple(dict.fromkeys(rows)))


def _endpoint_rows(topology: Topology) -> list[tuple[str, HostClass | None]]:
    return [
        (pattern, HostClass(service=_service(endpoint.service), form=Form.ENDPOINT, label=name.partition(".")[0]))
        for endpoint in topology.endpoints
        if endpoint.is_available
        for name in endpoint.dns_names
        for pattern in _hosts(name)
    ]


def _service_rows(region: str, topology: Topology | None) -> list[tuple[str, HostClass | None]]:
    """Names of services that some VPC here has an endpoint for: their path may not be that of all others."""
    found = () if topology is None else topology.endpoints
    services = {
        _service(endpoint.service) for endpoint in found if _counts(endpoint.kind, private=endpoint.private_dns)
    }
    return [
        (pattern, HostClass(service=service))
        for service in sorted(services - {S3})
        for pattern in _hosts(f"{service}.{region}.{suffix(region)}")
    ]


def _counts(kind: EndpointKind, *, private: bool) -> bool:
    return kind is EndpointKind.GATEWAY or private


def _s3(region: str, form: Form) -> list[str]:
    hosts = [host.format(region=region) for host in _S3_HOSTS[form]]
    if region == _GLOBAL[0] and form is Form.PUBLIC:
        hosts.append(_GLOBAL[1])
    return [pattern for host in hosts for pattern in _hosts(f"{host}.{suffix(region)}")]


def _hosts(host: str) -> tuple[str, str]:
    return (host, f"*.{host}")


def _service(name: str) -> str:
    """`s3` of `com.amazonaws.us-east-1.s3`, `api.ecr` of `com.amazonaws.us-east-1.ecr.api`."""
    return ".".join(reversed(name.removeprefix("cn.").split(".")[3:]))
