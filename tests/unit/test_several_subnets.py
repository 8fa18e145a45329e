"""Whether the subnets of one vantage point lead to S3 in one way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from pytest_s3vpce.claims.formkeys import keys_of
from pytest_s3vpce.snapshot import ways_differ

DENY = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "*"}
SECURE = {"aws:SecureTransport": "false"}
TO_S3 = {"DestinationPrefixListId": "pl-1", "GatewayId": "vpce-1"}
LOCAL = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local"}


def out(**target: str) -> dict[str, str]:
    return {"DestinationCidrBlock": "0.0.0.0/0", **target}


NAT, OTHER_NAT = out(NatGatewayId="nat-1"), out(NatGatewayId="nat-2")


LISTED = {"vpce-1": "com.amazonaws.eu-west-1.s3", "vpce-dynamodb": "com.amazonaws.eu-west-1.dynamodb"}


class Ec2:
    """A VPC's route tables: of single subnets, and the main one under ``."""

    def __init__(
        self, tables: dict[str, list[dict[str, str]]], *, listed: dict[str, str] = LISTED, errors: Any = ()
    ) -> None:
        self.tables = tables
        self.listed = listed
        self.errors = dict(errors)
        self.asked = ""

    def describe_subnets(self, *, SubnetIds: list[str]) -> dict[str, Any]:  # noqa: N803 - boto3's names
        return {"Subnets": [{"SubnetId": name, "VpcId": "vpc-1"} for name in SubnetIds]}

    def get_paginator(self, name: str) -> Ec2:
        self.asked = name
        return self

    def paginate(self, *, Filters: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: N803 - boto3's names
        if self.asked in self.errors:
            raise self.errors[self.asked]
        assert Filters == [{"Name": "vpc-id", "Values": ["vpc-1"]}]
        if self.asked == "describe_vpc_endpoints":
            return [{"VpcEndpoints": [{"VpcEndpointId": name, "ServiceName": of} for name, of in self.listed.items()]}]
        return [
            {"RouteTables": [{"Associations": [{"SubnetId": name} if name else {"Main": True}], "Routes": routes}]}
            for name, routes in self.tables.items()
        ]


CASES: list[tuple[str, dict[str, list[dict[str, str]]], str | None]] = [
    ("one table", {"": [LOCAL, TO_S3, NAT]}, ""),
    ("the same endpoint, other NATs", {"a": [LOCAL, TO_S3, NAT], "b": [LOCAL, OTHER_NAT, TO_S3]}, ""),
    ("one without the endpoint", {"a": [TO_S3, NAT], "b": [NAT]}, "a by vpce-1; b by nat-1"),
    ("another one's endpoint", {"a": [{**TO_S3, "GatewayId": "vpce-dynamodb"}, NAT], "b": [NAT]}, ""),
    ("two NATs", {"a": [NAT], "b": [OTHER_NAT]}, "a by nat-1; b by nat-2"),
    ("none at all", {"a": [LOCAL], "": [NAT]}, "a by no route; b by nat-1"),
    ("a route that leads nowhere", {"a": [{**TO_S3, "State": "blackhole"}], "b": [LOCAL]}, ""),
    (
        "a way out by IPv6",
        {"a": [], "b": [{"DestinationIpv6CidrBlock": "::/0", "GatewayId": "igw-1"}]},
        "a by no route; b by igw-1",
    ),
    ("something else", {"a": [out(CarrierGatewayId="c")], "b": [NAT]}, "a by another target; b by nat-1"),
    ("an inspecting endpoint", {"a": [out(GatewayId="vpce-gwlb")], "b": [NAT]}, "a by vpce-gwlb; b by nat-1"),
    ("no table that is known", {"a": [NAT]}, None),
]


@pytest.mark.parametrize(("tables", "differs"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_ways_are_compared_by_what_leads_to_s3(tables: dict[str, list[dict[str, str]]], differs: str | None) -> None:
    assert ways_differ(Ec2(tables), ("a", "b")) == differs


def test_an_endpoint_that_is_not_listed_may_be_one_for_s3() -> None:
    """As of a shared VPC, whose owner's endpoints nobody else is shown."""
    assert ways_differ(Ec2({"a": [TO_S3, NAT], "b": [NAT]}, listed={}), ("a", "b")) == "a by vpce-1; b by nat-1"


@pytest.mark.parametrize("call", ["describe_route_tables", "describe_vpc_endpoints"])
@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "UnauthorizedOperation"}}, "Describe"),
        EndpointConnectionError(endpoint_url="https://ec2"),
    ],
)
def test_what_nobody_may_ask_is_not_known(error: Exception, call: str) -> None:
    assert ways_differ(Ec2({"": [NAT]}, errors={call: error}), ("a", "b")) is None


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", frozenset()),
        ("{", frozenset()),
        (
            json.dumps({"Statement": {**DENY, "Condition": {"Null": {"S3:If-None-Match": "true"}, "Bool": SECURE}}}),
            frozenset({"s3:if-none-match", "aws:securetransport"}),
        ),
    ],
)
def test_the_keys_that_a_policy_reads(text: str, keys: frozenset[str]) -> None:
    assert keys_of(text) == keys
