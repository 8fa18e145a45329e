"""Network placements: each has its own listeners, which answer or drop as the network state says."""

from __future__ import annotations

import itertools
import json
import threading
from typing import TYPE_CHECKING

from pytest_s3vpce.lab.attempts import Attempts
from pytest_s3vpce.lab.listener import Verdict
from pytest_s3vpce.lab.origin import Internet
from pytest_s3vpce.network.names import AWS, S3, VPCE, Names, names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_s3vpce.lab.attempts import Told
    from pytest_s3vpce.lab.listener import Listener
    from pytest_s3vpce.lab.origin import Origin, Placement
    from pytest_s3vpce.lab.server import Server

    Judge = Callable[[Placement, str], Verdict]
    Resolver = Callable[[Placement], Names]
    Shown = Callable[[Placement, str], str | None]

__all__ = ["PORTS", "Placements", "Verdict"]

PORTS = (80, 443)


def _none(_: Placement, __: str) -> None:
    """No address of AWS's is shown: lookups give the listener's own."""


def _plain(placement: Placement) -> Names:
    """The names of a Region in which nobody made an endpoint."""
    return names(placement.region)


class Placements:
    """The listeners of all placements. They keep their ports while the network changes, as the tables keep their files.

    `verdict(placement, destination)` says what the network does now with connections from `placement` (its `port` is
    80 or 443) to hosts of the class `destination`; `names(placement)` says which hosts those are, and
    `address(placement, destination)` which address of AWS's workers see them have. `lost` is told of attempts to
    connect that came to nothing.
    """

    def __init__(
        self,
        server: Server,
        *,
        folder: Path,
        verdict: Judge,
        resolver: Resolver = _plain,
        address: Shown = _none,
        lost: Told | None = None,
    ) -> None:
        self._server = server
        self._folder = folder
        self._verdict = verdict
        self._resolver = resolver
        self._address = address
        self._stood: dict[str, Placement] = {}
        """By table, those that are forgotten too: what a worker told last may be heard after it is gone."""
        self._attempts = None if lost is None else Attempts(self._stood.get, lost)
        self._lock = threading.Lock()
        self._listeners: dict[Origin, Listener] = {}
        self._tables: dict[Origin, Path] = {}
        self._numbers = itertools.count()
        self._nowhere: Listener | None = None

    def table(self, origin: Origin) -> Path:
        """The file that redirects a worker at this origin, made (with its listeners) at the first call."""
        key = _home(origin)
        with self._lock:
            table = self._tables.get(key)
            if table is None:
                table = self._tables[key] = self._folder / f"redirect-{next(self._numbers)}.json"
                self._write(key)
            return table

    def forget(self, placement: Placement) -> None:
        """End a placement in which nothing stands any more."""
        home = _home(placement)
        with self._lock:
            table = self._tables.pop(home, None)
            for origin in [row for row in self._listeners if _home(row) == home]:
                self._listeners.pop(origin).close()
        if table is not None:
            table.unlink(missing_ok=True)

    def refresh(self) -> None:
        """Ask for every placement's names and verdicts anew, after the network state changed."""
        with (
            self._lock
        ):  # held throughout: a verdict from before the change must not be applied after one from after it
            for origin in self._tables:
                if not isinstance(origin, Internet):
                    self._write(origin)
            self._drop_unnamed()

    def close(self) -> None:
        with self._lock:
            for listener in self._listeners.values():
                listener.close()
            if self._nowhere is not None:
                self._nowhere.close()
        if self._attempts is not None:
            self._attempts.close()

    def _write(self, origin: Origin) -> None:
        """The table as it is now; a worker reads it anew when it has changed."""
        nowhere = self._no_way()
        routes = self._internet(origin) if isinstance(origin, Internet) else self._inside(origin)
        table = {"version": 1, "routes": routes, "other_ports": [nowhere.host, nowhere.port]}
        if self._attempts is not None and not isinstance(origin, Internet):
            table["lost"] = self._attempts.told_at
            self._stood[str(self._tables[origin])] = origin
        path, text = self._tables[origin], json.dumps(table)
        if path.exists() and path.read_text() == text:
            return
        fresh = path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(path)

    def _internet(self, origin: Internet) -> list[dict[str, object]]:
        """All of AWS, but for the names of endpoints: those resolve to private addresses."""
        listener = self._listener(origin)
        ways = [*((pattern, self._no_way()) for pattern in VPCE), *((pattern, listener) for pattern in AWS)]
        return [_route(pattern, port=port, listener=way) for pattern, way in ways for port in PORTS]

    def _inside(self, placement: Placement) -> list[dict[str, object]]:
        known = self._resolver(placement)
        ways = {
            (found.key, port): self._way(placement.at(port, destination=found.key))
            for found in known.classes()
            for port in PORTS
        }
        shown = {found.key: self._address(placement, found.key) for found in known.classes()}
        return [
            _route(pattern, port=port, listener=None, address=None)
            if found is None
            else _route(pattern, port=port, listener=ways[found.key, port], address=shown[found.key])
            for pattern, found in known.rows
            for port in PORTS
        ]

    def _way(self, origin: Placement) -> Listener | None:
        """Where connections go that are for this class of hosts; None where their names do not resolve."""
        verdict = self._verdict(origin, origin.destination)
        if verdict is Verdict.OPEN or origin in self._listeners:
            self._listener(origin).apply(verdict)
        if verdict is Verdict.NO_NAME:
            return None
        return self._listeners.get(origin) or self._no_way()

    def _drop_unnamed(self) -> None:
        """What is connected to an endpoint that is no more loses its connection."""
        for origin, listener in self._listeners.items():
            if not isinstance(origin, Internet):
                listener.apply(self._verdict(origin, origin.destination))

    def _listener(self, origin: Origin) -> Listener:
        listener = self._listeners.get(origin)
        if listener is None:
            listener = self._listeners[origin] = self._server.listen(origin)
        return listener

    def _no_way(self) -> Listener:
        """One that drops whatever comes."""
        if self._nowhere is None:
            self._nowhere = self._server.listen(Internet())
            self._nowhere.apply(Verdict.DROP)
        return self._nowhere


def _home(origin: Origin) -> Origin:
    """The placement as a whole."""
    return origin if isinstance(origin, Internet) else origin.at(443, destination=S3)


def _route(pattern: str, *, port: int, listener: Listener | None, address: str | None = None) -> dict[str, object]:
    to = None if listener is None else [listener.host, listener.port]
    return {"host": pattern, "port": port, "to": to, **({"address": address} if address else {})}
