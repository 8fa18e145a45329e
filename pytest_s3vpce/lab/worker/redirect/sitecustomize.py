"""Sends a worker's connections to the lab: names resolve as its placement's table says, and no address leaves it.

Python loads this module by itself from PYTHONPATH, in the worker and in the Python programs that the worker starts.
It is no sandbox: it places code that means no harm. It stays quick to import: the table is read at the first name.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import suppress
from functools import lru_cache
from typing import Any

VARIABLE = "S3VPCE_LAB_REDIRECT"
_SERVICES = {"http": 80, "https": 443}
_SYNTHETIC = "198.18.{}.{}"  # a block for tests of network devices (RFC 2544): nobody's address

_getaddrinfo = socket.getaddrinfo
_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


class Table:
    """The routes of one placement: the first whose host pattern and port fit holds. The lab replaces the file when the
    network changes.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._version: tuple[int, int] | None = None
        self._routes: list[tuple[str, int, tuple[str, int] | None]] = []
        self._shown: dict[str, str] = {}
        self._other_ports: tuple[str, int] = ("127.0.0.1", 0)
        self._names: list[str] = []
        self._named: dict[str, str] = {}
        self._lost: tuple[str, int, str] | None = None

    def _read(self) -> None:
        found = os.stat(self._path)  # noqa: PTH116 - pathlib is slow to import
        version = (found.st_ino, found.st_mtime_ns)
        if version == self._version:
            return
        import json

        with open(self._path, encoding="utf-8") as file:  # noqa: PTH123 - as above
            table = json.load(file)
        self._routes = [(route["host"], route["port"], _address(route["to"])) for route in table["routes"]]
        self._shown = {route["host"]: route["address"] for route in table["routes"] if route.get("address")}
        self._other_ports = tuple(table["other_ports"])
        self._lost = table.get("lost")
        self._version = version

    def find(self, name: str, port: int) -> tuple[str, int]:
        """The address to connect to instead; a name that no pattern fits, or one without an address, does not exist."""
        from fnmatch import fnmatchcase

        self._read()
        routes = [(at, address) for pattern, at, address in self._routes if fnmatchcase(name, pattern)]
        if not routes or routes[0][1] is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return next((address for at, address in routes if at == port), None) or self._other_ports

    def lead(self, name: str, port: int) -> tuple[str, int]:
        """What a lookup of this name and port says: AWS's address, where there is one to show."""
        address = self.find(name, port)
        shown = self._address_shown(name)
        return address if shown is None else (shown, port)

    def _address_shown(self, name: str) -> str | None:
        """The address that the name has at AWS: several have one, and lead to one place then."""
        from fnmatch import fnmatchcase

        pattern = next((host for host, *_ in self._routes if fnmatchcase(name, host)), "")
        shown = self._shown.get(pattern)
        if shown is not None:
            self._named[shown] = name
        return shown

    def report(self, name: str, port: int, near_port: int, seconds: float) -> None:
        """Tell the lab of a connection that did not come up: it has not seen it."""
        if self._lost is None:
            return
        import json

        host, number, word = self._lost
        told = {"word": word, "table": self._path, "host": name, "port": port, "near": near_port, "seconds": seconds}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(json.dumps(told).encode(), (host, number))

    def address_of(self, name: str) -> str:
        """A stand-in address for a name that is looked up without a port, where it has none to show."""
        self.find(name, 443)
        shown = self._address_shown(name)
        if shown is not None:
            return shown
        if name not in self._names:
            self._names.append(name)
        return _SYNTHETIC.format(*divmod(self._names.index(name), 256))

    def name_of(self, address: str) -> str | None:
        if address in self._named:
            return self._named[address]
        numbers = address.split(".")
        if numbers[:2] != ["198", "18"]:
            return None
        index = int(numbers[2]) * 256 + int(numbers[3])
        return self._names[index] if index < len(self._names) else None


def _address(found: Any) -> tuple[str, int] | None:
    return None if found is None else (found[0], found[1])


@lru_cache(maxsize=1)
def _table() -> Table:
    return Table(os.environ[VARIABLE])


def _family_of(host: str) -> int | None:
    """The family of a numeric address; None for a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except OSError:
            continue
        return family
    return None


def _text(host: str | bytes) -> str:
    return (host.decode("ascii") if isinstance(host, bytes) else host).lower().rstrip(".")


def getaddrinfo(  # noqa: PLR0917 - the signature is socket's
    host: Any,
    port: Any,
    family: int = 0,
    type: int = 0,  # noqa: A002 - as above
    proto: int = 0,
    flags: int = 0,
) -> Any:
    name = _text(host) if host else ""
    if not name or name == "localhost" or _family_of(name) is not None:
        return _getaddrinfo(host, port, family, type, proto, flags)
    if family == socket.AF_INET6:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    text = port.decode("ascii") if isinstance(port, bytes) else port
    number = int(_SERVICES.get(text, text or 0))
    address = _table().lead(name, number) if number else (_table().address_of(name), number)
    return _getaddrinfo(*address, family, type, proto, flags & ~socket.AI_CANONNAME)


def gethostbyname(hostname: str) -> str:
    return str(getaddrinfo(hostname, None, socket.AF_INET)[0][4][0])


def gethostbyname_ex(hostname: str) -> tuple[str, list[str], list[str]]:
    return hostname, [], [gethostbyname(hostname)]


def _placed(sock: socket.socket, address: Any) -> tuple[Any, str | None]:
    """Where a connect really goes, and the name that was meant: listeners of the placement and the worker's own
    loopback, nowhere else.
    """
    if sock.family not in {socket.AF_INET, socket.AF_INET6} or not isinstance(address, tuple):
        return address, None
    host, port = _text(address[0]), address[1]
    if _family_of(host) is None:
        if host in {"", "localhost"}:
            return address, None
        if sock.family == socket.AF_INET6:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return _table().find(host, port), host
    if host == "::1" or host.startswith(("127.", "::ffff:127.")):
        return address, None
    name = _table().name_of(host)
    if name is None:
        raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
    return _table().find(name, port), name


def _lost(sock: socket.socket, name: str, address: Any, began: float) -> None:
    """Whatever becomes of the report, the client meets what it met."""
    with suppress(OSError):
        _table().report(name, address[1], sock.getsockname()[1], time.monotonic() - began)


def connect(self: socket.socket, address: Any) -> None:
    placed, name = _placed(self, address)
    began = time.monotonic()
    try:
        _connect(self, placed)
    except OSError:
        if name is not None:
            _lost(self, name, address, began)
        raise


def connect_ex(self: socket.socket, address: Any) -> int:
    try:
        placed, name = _placed(self, address)
    except socket.gaierror:
        raise
    except OSError as failure:
        return failure.errno or errno.ENETUNREACH
    began = time.monotonic()
    status = _connect_ex(self, placed)
    if status and name is not None:
        _lost(self, name, address, began)
    return status


def install() -> None:
    """Patch the socket module: every client of the standard library, and those built on it, resolve through it."""
    for name, function in {
        "getaddrinfo": getaddrinfo,
        "gethostbyname": gethostbyname,
        "gethostbyname_ex": gethostbyname_ex,
    }.items():
        setattr(socket, name, function)
    for name, function in {"connect": connect, "connect_ex": connect_ex}.items():
        setattr(socket.socket, name, function)


if VARIABLE in os.environ:
    install()
