"""Network placements: each has its own listeners, which answer or drop as the network state says."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from pytest_s3vpce.lab.listener import Verdict
from pytest_s3vpce.lab.origin import Internet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_s3vpce.lab.listener import Listener
    from pytest_s3vpce.lab.origin import Origin, Placement
    from pytest_s3vpce.lab.server import Server

    Judge = Callable[[Placement, str], Verdict]

__all__ = ["DESTINATIONS", "PORTS", "Placements", "Verdict"]

PORTS = (80, 443)
S3 = "s3"
OTHER = "other"
DESTINATIONS = (S3, OTHER)
_SUFFIXES = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}
# Host forms of S3's public addresses in a Region, those a gateway endpoint's prefix list covers.
# https://docs.aws.amazon.com/general/latest/gr/s3.html
_S3_HOSTS = (
    "s3.{region}",
    "s3-{region}",
    "s3.dualstack.{region}",
    "s3-fips.{region}",
    "s3-fips.dualstack.{region}",
    "s3-accesspoint.{region}",
    "s3-accesspoint.dualstack.{region}",
    "s3-accesspoint-fips.{region}",
    "s3-accesspoint-fips.dualstack.{region}",
    "s3-control.{region}",
    "s3-control.dualstack.{region}",
    "s3-website.{region}",
    "s3-website-{region}",
)
_AWS_HOSTS = ("*.amazonaws.com", "*.amazonaws.com.cn", "*.amazonaws.eu", "*.api.aws")
_GLOBAL_REGION = "us-east-1"


def s3_patterns(region: str) -> tuple[str, ...]:
    """Host patterns of S3 in this Region; the global names belong to us-east-1."""
    suffix = _suffix(region)
    names = [form.format(region=region) for form in _S3_HOSTS]
    if region == _GLOBAL_REGION:
        names.append("s3")
    hosts = [f"{name}.{suffix}" for name in names]
    return tuple(pattern for host in hosts for pattern in (host, f"*.{host}"))


def other_patterns(region: str) -> tuple[str, ...]:
    """Host patterns of every other AWS address."""
    return (f"*.{_suffix(region)}", "*.amazonaws.com", "*.api.aws")


def _suffix(region: str) -> str:
    return _SUFFIXES.get(region.partition("-")[0], "amazonaws.com")


class Placements:
    """The listeners of all placements. They keep their ports, so that a redirect table holds for good.

    `verdict(placement, destination)` says what the network does now with connections from `placement` (its `port` is
    80 or 443) to hosts of the class `destination`.
    """

    def __init__(self, server: Server, *, folder: Path, verdict: Judge) -> None:
        self._server = server
        self._folder = folder
        self._verdict = verdict
        self._lock = threading.Lock()
        self._listeners: dict[Origin, Listener] = {}
        self._tables: dict[Origin, Path] = {}
        self._nowhere: Listener | None = None

    def table(self, origin: Origin) -> Path:
        """The file that redirects a worker at this origin, made (with its listeners) at the first call."""
        key = origin if isinstance(origin, Internet) else origin.at(443, destination=S3)
        with self._lock:
            table = self._tables.get(key)
            if table is None:
                table = self._tables[key] = self._make(key)
            return table

    def refresh(self) -> None:
        """Ask for every listener's verdict anew, after the network state changed."""
        with (
            self._lock
        ):  # held throughout: a verdict from before the change must not be applied after one from after it
            for origin, listener in self._listeners.items():
                if not isinstance(origin, Internet):
                    listener.apply(self._verdict(origin, origin.destination))

    def close(self) -> None:
        with self._lock:
            for listener in self._listeners.values():
                listener.close()
            if self._nowhere is not None:
                self._nowhere.close()

    def _make(self, origin: Origin) -> Path:
        hosts = self._internet(origin) if isinstance(origin, Internet) else self._inside(origin)
        return self._write(hosts)

    def _internet(self, origin: Internet) -> list[dict[str, object]]:
        listener = self._listeners[origin] = self._server.listen(origin)
        return [_route(pattern, port=port, listener=listener) for pattern in _AWS_HOSTS for port in PORTS]

    def _inside(self, placement: Placement) -> list[dict[str, object]]:
        patterns: Mapping[str, tuple[str, ...]] = {
            S3: s3_patterns(placement.region),
            OTHER: other_patterns(placement.region),
        }
        routes = []
        for destination in DESTINATIONS:
            for port in PORTS:
                origin = placement.at(port, destination=destination)
                listener = self._listeners[origin] = self._server.listen(origin)
                listener.apply(self._verdict(origin, destination))
                routes += [_route(pattern, port=port, listener=listener) for pattern in patterns[destination]]
        return routes

    def _write(self, routes: list[dict[str, object]]) -> Path:
        if self._nowhere is None:
            self._nowhere = self._server.listen(Internet())
            self._nowhere.apply(Verdict.DROP)
        table = {"version": 1, "routes": routes, "other_ports": [self._nowhere.host, self._nowhere.port]}
        path = self._folder / f"redirect-{len(self._tables)}.json"
        path.write_text(json.dumps(table, indent=1))
        return path


def _route(pattern: str, *, port: int, listener: Listener) -> dict[str, object]:
    return {"host": pattern, "port": port, "to": [listener.host, listener.port]}
