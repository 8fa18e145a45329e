"""In a worker, names lead to the placement's listeners, other names do not exist, and no address leaves the lab."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.lab.worker.redirect import sitecustomize as redirect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

S3 = "b.s3.eu-west-1.amazonaws.com"


@pytest.fixture(name="ports")
def _ports() -> Iterator[dict[str, int]]:
    """Four listeners that greet with their own name."""
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in ("http", "https", "sts", "other")}

    def greet(name: str, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.sendall(name.encode())

    threads = [threading.Thread(target=greet, args=item, daemon=True) for item in sockets.items()]
    for thread in threads:
        thread.start()
    yield {name: listener.getsockname()[1] for name, listener in sockets.items()}
    for listener in sockets.values():
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.fixture(autouse=True)
def _installed(ports: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    table = tmp_path / "table.json"
    routes = [
        {"host": "*.s3.eu-west-1.amazonaws.com", "port": 80, "to": ["127.0.0.1", ports["http"]]},
        {"host": "*.s3.eu-west-1.amazonaws.com", "port": 443, "to": ["127.0.0.1", ports["https"]]},
        {"host": "*.amazonaws.com", "port": 443, "to": ["127.0.0.1", ports["sts"]]},
    ]
    table.write_text(json.dumps({"version": 1, "routes": routes, "other_ports": ["127.0.0.1", ports["other"]]}))
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        monkeypatch.setattr(socket, name, getattr(socket, name))
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, getattr(socket.socket, name))
    monkeypatch.setenv(redirect.VARIABLE, str(table))
    redirect._table.cache_clear()
    redirect.install()
    yield
    redirect._table.cache_clear()


def greeting(host: str, port: int) -> str:
    with socket.create_connection((host, port), timeout=5) as client:
        return client.recv(10).decode()


@pytest.mark.parametrize(
    ("host", "port", "name"),
    [
        (S3, 443, "https"),
        (S3.upper() + ".", 443, "https"),
        (S3, 80, "http"),
        (S3, 8443, "other"),
        ("sts.amazonaws.com", 443, "sts"),
        ("sts.amazonaws.com", 80, "other"),
    ],
)
def test_a_name_leads_to_its_listener(host: str, port: int, name: str) -> None:
    assert greeting(host, port) == name


@pytest.mark.parametrize("port", [443, "443", "https", b"443"])
def test_ports_may_be_written_in_every_form(ports: dict[str, int], port: int | str | bytes) -> None:
    [(family, *_, address)] = socket.getaddrinfo(S3.encode(), port, type=socket.SOCK_STREAM)
    assert (family, address) == (socket.AF_INET, ("127.0.0.1", ports["https"]))


@pytest.mark.parametrize("family", [socket.AF_UNSPEC, socket.AF_INET])
def test_an_unknown_name_does_not_exist(family: int) -> None:
    for port in (443, None):
        with pytest.raises(socket.gaierror) as caught:
            socket.getaddrinfo("example.com", port, family)
        assert caught.value.errno == socket.EAI_NONAME


def test_names_have_no_ipv6_address() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo(S3, 443, socket.AF_INET6)


def test_a_name_looked_up_without_its_port_leads_there_too() -> None:
    assert socket.gethostbyname(S3) == socket.gethostbyname(S3)
    assert socket.gethostbyname(S3) != socket.gethostbyname("sts.amazonaws.com")
    assert greeting(socket.gethostbyname(S3), 443) == "https"
    assert greeting(socket.gethostbyname_ex("sts.amazonaws.com")[2][0], 443) == "sts"


def test_a_socket_may_connect_by_name() -> None:
    with socket.socket() as client:
        client.connect((S3, 80))
        assert client.recv(10) == b"http"
    with socket.socket() as client:
        assert client.connect_ex((S3, 443)) == 0
        assert client.recv(10) == b"https"
        with pytest.raises(socket.gaierror):
            client.connect_ex(("example.com", 443))


@pytest.mark.parametrize("address", ["203.0.113.1", "198.18.0.99", "169.254.169.254"])
def test_no_address_leaves_the_lab(address: str) -> None:
    with socket.socket() as client:
        with pytest.raises(OSError, match="Network is unreachable"):
            client.connect((address, 443))
        assert client.connect_ex((address, 443)) == errno.ENETUNREACH
    with socket.socket(socket.AF_INET6) as client:
        assert client.connect_ex(("2001:db8::1", 443)) == errno.ENETUNREACH


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_workers_own_loopback_stays(ports: dict[str, int], host: str) -> None:
    assert greeting(host, ports["other"]) == "other"
    with socket.socket() as client:
        client.connect((host, ports["other"]))
    assert socket.getaddrinfo(None, 80, socket.AF_INET, socket.SOCK_STREAM)[0][4] == ("127.0.0.1", 80)


def test_the_loopback_of_ipv6_stays() -> None:
    with socket.socket(socket.AF_INET6) as client:
        assert client.connect_ex(("::1", 1)) != errno.ENETUNREACH


def test_sockets_of_files_are_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
        assert client.getpeername() == path


def test_asyncio_is_led_there_too() -> None:
    async def connect() -> bytes:
        reader, writer = await asyncio.open_connection(S3, 443)
        data = await reader.read(10)
        writer.close()
        await writer.wait_closed()
        return data

    assert asyncio.run(connect()) == b"https"


def test_a_table_that_changed_is_read_anew_and_a_name_without_an_address_does_not_exist(tmp_path: Path) -> None:
    """The lab replaces the file when its network changes."""
    assert greeting("sts.amazonaws.com", 443) == "sts"
    table = tmp_path / "table.json"
    content = json.loads(table.read_text())
    content["routes"].insert(0, {"host": "sts.amazonaws.com", "port": 443, "to": None})
    fresh = tmp_path / "fresh.json"
    fresh.write_text(json.dumps(content))
    fresh.replace(table)
    with pytest.raises(socket.gaierror) as caught:
        socket.getaddrinfo("sts.amazonaws.com", 443)
    assert caught.value.errno == socket.EAI_NONAME
    assert greeting("iam.amazonaws.com", 443) == "sts"


@pytest.fixture
def shown(ports: dict[str, int], tmp_path: Path) -> Iterator[socket.socket]:
    """A table that shows AWS's addresses, and the socket at which the lab hears of what came to nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind(("127.0.0.1", 0))
        heard.settimeout(5)
        route = {"host": "*.s3.eu-west-1.amazonaws.com", "to": ["127.0.0.1", ports["https"]], "address": "52.216.0.1"}
        closed = {"host": "*.amazonaws.com", "to": ["127.0.0.1", 1], "address": "54.240.0.1"}  # nobody listens there
        table = {
            "version": 1,
            "routes": [{**route, "port": 443}, {**closed, "port": 443}],
            "other_ports": ["127.0.0.1", 1],
            "lost": [*heard.getsockname(), "word"],
        }
        (tmp_path / "table.new").write_text(json.dumps(table))
        (tmp_path / "table.new").replace(tmp_path / "table.json")
        yield heard


@pytest.mark.usefixtures("shown")
def test_names_have_the_addresses_that_aws_has_for_them() -> None:
    assert socket.getaddrinfo(S3, 443, type=socket.SOCK_STREAM)[0][4] == ("52.216.0.1", 443)
    assert socket.gethostbyname(S3) == "52.216.0.1"
    assert greeting("52.216.0.1", 443) == "https"
    assert greeting(S3, 443) == "https"
    with socket.socket() as client:
        client.connect((S3, 443))
        assert client.recv(10) == b"https"
    with socket.socket() as client, pytest.raises(OSError, match="unreachable"):
        client.connect(("54.240.0.1", 443))  # nobody looked that up here
    with socket.socket(socket.AF_INET6) as client, pytest.raises(socket.gaierror):
        client.connect((S3, 443))


def test_the_lab_is_told_of_what_did_not_come_up(shown: socket.socket, tmp_path: Path) -> None:
    with socket.socket() as client:
        with pytest.raises(ConnectionRefusedError):
            client.connect(("sts.amazonaws.com", 443))
        near = client.getsockname()[1]
    told = json.loads(shown.recv(4096))
    assert told.pop("seconds") >= 0
    assert told == {
        "word": "word",
        "table": str(tmp_path / "table.json"),
        "host": "sts.amazonaws.com",
        "port": 443,
        "near": near,
    }
    address = socket.gethostbyname("sts.amazonaws.com")
    with socket.socket() as client:
        assert client.connect_ex((address, 443)) == errno.ECONNREFUSED
    assert json.loads(shown.recv(4096))["host"] == "sts.amazonaws.com"
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", 1)) == errno.ECONNREFUSED  # the worker's own affair
    shown.settimeout(0)
    with pytest.raises(BlockingIOError):
        shown.recv(1)
