"""A proxy that is met, and TLS that is opened on the way, are told: once for each vantage point."""

from __future__ import annotations

from typing import Any

from pytest_s3vpce.model import Answer, Cell, SignedRequest, Target
from pytest_s3vpce.probe import Probe
from pytest_s3vpce.run.between import between
from pytest_s3vpce.run.observed import Observed

HOST = "reports.s3.eu-west-1.amazonaws.com"


def seen(**answers: dict[str, Any]) -> Observed:
    """Two probes from each vantage point, with the same answer."""
    found = Observed()
    for vantage, facts in answers.items():
        for operation in ("GetObject", "HeadObject"):
            cell = Cell(
                operation=operation,
                action="s3:GetObject",
                target=Target(bucket="reports"),
                principal="app",
                vantage=vantage,
            )
            probe = Probe(cell=cell)
            found.requests[probe] = SignedRequest(id="a", method="GET", url=f"https://{HOST}/k", headers=())
            found.answers[probe] = Answer(id="a", status=200, **facts)
    return found


def test_nothing_is_between() -> None:
    observed = seen(inside={"issuer": "Amazon"}, plain={}, older={"issuer": "DigiCert Inc"})
    assert list(between(observed, certified=True)) == []


def test_a_proxy_is_told_once() -> None:
    observed = seen(office={"proxy": "proxy.example.com:3128", "headers": {"via": "1.1 squid"}})
    assert list(between(observed, certified=True)) == [
        "office goes by the proxy proxy.example.com:3128: addresses and paths are the proxy's"
    ]


def test_a_proxy_that_nobody_named_is_told() -> None:
    observed = seen(office={"headers": {"via": "1.1\n squid" + "x" * 200}})
    (note,) = between(observed, certified=False)
    assert note.startswith("office: a proxy on the way says `Via: 1.1 squidxx")
    assert len(note) < 160


def test_tls_that_is_opened_is_told_where_certificates_are_aws() -> None:
    observed = seen(office={"issuer": "Example Corp Inspection"}, inside={"issuer": "Amazon"})
    (note,) = between(observed, certified=True)
    assert note.startswith(
        f"office: TLS to {HOST} is opened on the way, for its certificate is `Example Corp Inspection`'s"
    )
    assert list(between(observed, certified=False)) == []
