"""The picture names the endpoints of a network and how they are reached, from what a run describes anyway."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.matrix import EndpointResult, VantageResult
from pytest_s3vpce.model import OutcomeKind
from pytest_s3vpce.report import html
from pytest_s3vpce.report.picture import NARROW, WIDE, draw
from pytest_s3vpce.snapshot import s3_endpoints
from tests.unit.matrices import MATRIX, cell

if TYPE_CHECKING:
    from collections.abc import Iterator

GATEWAY = EndpointResult(
    id="vpce-1", vpc="vpc-1", account="main", type="gateway", name="prod-s3", route_tables=("rtb-1", "rtb-2")
)
INTERFACE = EndpointResult(
    id="vpce-2", vpc="vpc-1", account="main", type="interface", subnets=("subnet-9",), private_dns=True
)
LONELY = EndpointResult(id="vpce-3", vpc="vpc-3", account="main", type="gateway")
PLACES = (
    VantageResult(name="inside", kind="lambda", path="vpce-1", account="main", vpc="vpc-1"),
    VantageResult(name="past", kind="lambda", path="none", account="main", vpc="vpc-1"),
    VantageResult(name="lonely", kind="lambda", path="none", account="main", vpc="vpc-3"),
    VantageResult(name="bare", kind="lambda", path="none", account="main", vpc="vpc-4"),
    VantageResult(name="theirs", kind="lambda", path="vpce-foreign", account="main", vpc="vpc-5"),
    VantageResult(name="unread", kind="lambda", account="main", vpc="vpc-1"),
    VantageResult(name="out", kind="local", path="none"),
)
SHOWN = replace(
    MATRIX,
    cells=tuple(cell(row.name, OutcomeKind.ALLOWED) for row in PLACES),
    vantages=PLACES,
    endpoints=(GATEWAY, INTERFACE, LONELY),
)
PASSED_BY = (
    " (not by what is in vpc-1: gateway endpoint prod-s3 has routes in rtb-1, rtb-2; "
    "interface endpoint vpce-2 has interfaces in subnet-9, private DNS on)"
)


@pytest.mark.parametrize("geometry", [WIDE, NARROW])
def test_each_box_says_what_is_known_of_the_way(geometry: Any) -> None:
    made = draw(SHOWN, geometry)
    assert [box.title for box in made.boxes if box.kind not in ("vantage", "bucket")] == [
        "gateway endpoint prod-s3, vpce-1, routes in rtb-1, rtb-2",
        f"no endpoint, NAT or internet gateway{PASSED_BY}",
        f"path unknown, nothing read it{PASSED_BY.replace('not by what is', 'it may be one')}",
        "no endpoint, NAT or internet gateway (not by what is in vpc-3: gateway endpoint vpce-3 has no route table)",
        "no endpoint, NAT or internet gateway",
        "VPC endpoint, vpce-foreign",
        "internet, no endpoint",
    ]
    told = [sentence.partition(": reports")[0] for sentence in made.sentences]
    assert told[0] == "From inside through gateway endpoint prod-s3 vpce-1, routes in rtb-1, rtb-2"
    assert told[1] == f"From past through no endpoint NAT or internet gateway{PASSED_BY}"


def test_the_page_lists_the_endpoints_for_those_who_see_no_titles() -> None:
    page = html.render(SHOWN)
    assert "Endpoints for S3 that were described: 3" in page
    assert "<li>vpce-1 (prod-s3): gateway, vpc-1 of main, routes in rtb-1, rtb-2; read from inside</li>" in page
    assert "<li>vpce-3: gateway, vpc-3 of main, no route table; read from nowhere</li>" in page
    hostile = html.render(replace(SHOWN, endpoints=(replace(GATEWAY, name="<script>x</script>"),)))
    assert "<script>x" not in hostile
    assert "Endpoints for S3" not in html.render(replace(SHOWN, endpoints=()))


def test_what_an_account_describes_of_its_endpoints() -> None:
    class Ec2:
        def get_paginator(self, _: str) -> Ec2:
            return self

        def paginate(self, **_: Any) -> Iterator[Any]:
            tagged = {"Tags": [{"Key": "team", "Value": "x"}, {"Key": "Name", "Value": "prod-s3"}]}
            routes = {"RouteTableIds": ["rtb-2", "rtb-1"], "VpcEndpointType": "Gateway", "PolicyDocument": "{}"}
            faces = {"VpcEndpointType": "Interface", "SubnetIds": ["subnet-9"], "PrivateDnsEnabled": True}
            yield {
                "VpcEndpoints": [
                    {"VpcEndpointId": "vpce-1", "VpcId": "vpc-1", **tagged, **routes},
                    {"VpcEndpointId": "vpce-2", "VpcId": "vpc-1", **faces},
                ]
            }

    first, second = s3_endpoints(Ec2(), region="eu-west-1", account_id="1")
    assert (first.name, first.route_tables, first.private_dns) == ("prod-s3", ("rtb-1", "rtb-2"), False)
    assert (second.name, second.subnets, second.private_dns) == ("", ("subnet-9",), True)
