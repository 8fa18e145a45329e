"""Each placement has listeners of its own, that answer or drop as the network says."""

from __future__ import annotations

import json
import socket
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.lab.certificates import Certificates
from pytest_s3vpce.lab.origin import Internet, Placement
from pytest_s3vpce.lab.placement import PORTS, Placements, Verdict
from pytest_s3vpce.lab.server import HttpRequest, HttpResponse, Server
from pytest_s3vpce.network.names import names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REGION = "eu-west-1"
S3 = f"b.s3.{REGION}.amazonaws.com"
STS = f"sts.{REGION}.amazonaws.com"


class Network:
    """Says what the network does; everything is open until it is closed."""

    def __init__(self) -> None:
        self.dropped: set[tuple[str, int, str]] = set()
        self.nameless: set[str] = set()
        self.asked: list[Placement] = []

    def __call__(self, placement: Placement, destination: str) -> Verdict:
        self.asked.append(placement)
        assert placement.destination == destination
        if destination in self.nameless:
            return Verdict.NO_NAME
        return Verdict.DROP if (placement.subnet_id, placement.port, destination) in self.dropped else Verdict.OPEN


def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=200, body=repr(request.origin).encode())


def placed(subnet: str = "subnet-1", *, region: str = REGION) -> Placement:
    return Placement(
        account="1" * 12, region=region, subnet_id=subnet, security_group_ids=("sg-1",), private_ip="10.0.0.4"
    )


@pytest.fixture(name="network")
def _network() -> Network:
    return Network()


@pytest.fixture(name="placements")
def _placements(network: Network, tmp_path: Path, certificates: Certificates) -> Iterator[Placements]:
    server = Server(answer, certificates=certificates, latency=0)
    placements = Placements(server, folder=tmp_path, verdict=network)
    yield placements
    placements.close()
    server.close()


@pytest.fixture(scope="module", name="certificates")
def _certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("lab"))


def address(table: Path, host: str, port: int) -> tuple[str, int]:
    content: dict[str, Any] = json.loads(table.read_text())
    for route in content["routes"]:
        if route["port"] == port and fnmatchcase(host, route["host"]):
            if route["to"] is None:
                raise socket.gaierror(host)
            return route["to"][0], route["to"][1]
    return content["other_ports"][0], content["other_ports"][1]


def reached(table: Path, host: str, port: int) -> str:
    with socket.create_connection(address(table, host, port), timeout=0.5) as client:
        client.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return client.makefile().read()


def test_every_port_and_destination_is_told_apart(placements: Placements) -> None:
    table = placements.table(placed())
    for host, destination in ((S3, "s3"), (STS, "other")):
        for port in (80, 443):
            assert repr(placed().at(port, destination=destination)) in reached(table, host, port)


def test_a_table_is_made_once_for_a_placement(placements: Placements, network: Network) -> None:
    first = placements.table(placed())
    assert placements.table(placed().at(80, destination="other")) == first
    assert placements.table(placed("subnet-2")) != first
    assert len(network.asked) == 2 * len(PORTS) * len(names(REGION).classes())


def test_a_placement_that_is_forgotten_answers_no_more_and_others_do(placements: Placements) -> None:
    first, second = placements.table(placed()), placements.table(placed("subnet-2"))
    known = address(first, S3, 443)
    placements.forget(placed())
    placements.forget(placed())
    assert not first.exists()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(known, timeout=0.5):
        pass
    assert "subnet-2" in reached(second, S3, 443)
    again = placements.table(placed())
    assert again not in (first, second)
    assert "subnet-1" in reached(again, S3, 443)
    placements.refresh()


def test_what_the_network_drops_times_out_from_the_start(placements: Placements, network: Network) -> None:
    network.dropped = {("subnet-1", 443, "s3")}
    table = placements.table(placed())
    with pytest.raises(TimeoutError):
        reached(table, S3, 443)
    assert "subnet-1" in reached(table, S3, 80)


def test_a_refresh_follows_the_network_and_keeps_the_table(placements: Placements, network: Network) -> None:
    table = placements.table(placed())
    other = placements.table(placed("subnet-2"))
    before = table.read_text()
    network.dropped = {("subnet-1", 80, "s3"), ("subnet-1", 443, "other")}
    placements.refresh()
    for host, port in ((S3, 80), (STS, 443)):
        with pytest.raises(TimeoutError):
            reached(table, host, port)
        assert "subnet-2" in reached(other, host, port)
    assert "subnet-1" in reached(table, S3, 443)
    network.dropped = set()
    placements.refresh()
    assert "subnet-1" in reached(table, S3, 80)
    assert table.read_text() == before


def test_other_ports_lead_nowhere(placements: Placements) -> None:
    with pytest.raises(TimeoutError):
        reached(placements.table(placed()), S3, 8443)


def test_the_internet_reaches_everything_of_aws(placements: Placements, network: Network) -> None:
    table = placements.table(Internet(address="203.0.113.20"))
    for host in (S3, STS, "b.s3.cn-north-1.amazonaws.com.cn"):
        assert "203.0.113.20" in reached(table, host, 443)
    placements.refresh()
    assert network.asked == []
    assert "203.0.113.20" in reached(table, S3, 80)


def test_closing_refuses_all(placements: Placements) -> None:
    tables = [placements.table(origin) for origin in (placed(), Internet())]
    placements.close()
    for table in tables:
        with pytest.raises(ConnectionRefusedError):
            reached(table, S3, 443)


def test_closing_what_was_never_used_is_harmless(tmp_path: Path, certificates: Certificates, network: Network) -> None:
    server = Server(answer, certificates=certificates, latency=0)
    Placements(server, folder=tmp_path, verdict=network).close()
    server.close()
    assert list(tmp_path.iterdir()) == []


def test_what_is_opened_later_gets_its_listener_then(placements: Placements, network: Network) -> None:
    network.dropped = {("subnet-1", 443, "s3")}
    table = placements.table(placed())
    network.dropped = set()
    placements.refresh()
    assert "subnet-1" in reached(table, S3, 443)


def test_names_that_do_not_resolve_have_no_address(placements: Placements, network: Network) -> None:
    table = placements.table(placed())
    network.nameless = {"other"}
    placements.refresh()
    with pytest.raises(socket.gaierror):
        reached(table, STS, 443)
    assert "subnet-1" in reached(table, S3, 443)
    network.nameless = set()
    placements.refresh()
    assert "subnet-1" in reached(table, STS, 443)


def test_nobody_on_the_internet_reaches_an_endpoints_own_name(placements: Placements) -> None:
    """It resolves to private addresses: https://docs.aws.amazon.com/vpc/latest/privatelink/privatelink-access-aws-services.html."""
    table = placements.table(Internet())
    with pytest.raises(TimeoutError):
        reached(table, f"bucket.vpce-1-1.s3.{REGION}.vpce.amazonaws.com", 443)
