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


CIDRS = {"a": "10.0.1.0/24", "b": "10.0.2.0/24", "e": "10.0.9.0/24"}
INTERFACE: dict[str, Any] = {
    "VpcEndpointId": "vpce-9",
    "ServiceName": "com.amazonaws.eu-west-1.s3",
    "PrivateDnsEnabled": True,
    "SubnetIds": ["e"],
    "Groups": [{"GroupId": "sg-e"}],
}
LISTED = {"vpce-1": "com.amazonaws.eu-west-1.s3", "vpce-dynamodb": "com.amazonaws.eu-west-1.dynamodb"}


class Ec2:
    """A VPC's route tables: of single subnets, and the main one under ``."""

    def __init__(
        self,
        tables: dict[str, list[dict[str, str]]],
        *,
        listed: dict[str, str] = LISTED,
        acls: Any = (("acl-1", ("a", "b", "e"), ()),),
        interface: tuple[dict[str, Any], ...] = (),
        errors: Any = (),
    ) -> None:
        self.tables = tables
        self.listed = listed
        self.acls = acls
        self.interface = interface
        self.errors = dict(errors)
        self.asked = ""

    def describe_subnets(self, *, SubnetIds: list[str]) -> dict[str, Any]:  # noqa: N803 - boto3's names
        return {
            "Subnets": [
                {"SubnetId": name, "VpcId": "vpc-1", **({"CidrBlock": CIDRS[name]} if name in CIDRS else {})}
                for name in SubnetIds
            ]
        }

    def describe_security_groups(self, *, GroupIds: list[str]) -> dict[str, Any]:  # noqa: N803 - boto3's names
        return {"SecurityGroups": [{"GroupId": "sg-e", "IpPermissions": self.interface}]} if GroupIds else {}

    def get_paginator(self, name: str) -> Ec2:
        self.asked = name
        return self

    def paginate(self, *, Filters: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: N803 - boto3's names
        if self.asked in self.errors:
            raise self.errors[self.asked]
        assert Filters == [{"Name": "vpc-id", "Values": ["vpc-1"]}]
        if self.asked == "describe_vpc_endpoints":
            rows = [{"VpcEndpointId": name, "ServiceName": of} for name, of in self.listed.items()]
            return [{"VpcEndpoints": [*rows, *([INTERFACE] if self.interface else [])]}]
        if self.asked == "describe_network_acls":
            return [
                {
                    "NetworkAcls": [
                        {
                            "NetworkAclId": name,
                            "VpcId": "vpc-1",
                            "Associations": [{"SubnetId": one} for one in subnets],
                            "Entries": entries,
                        }
                        for name, subnets, entries in self.acls
                    ]
                }
            ]
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


@pytest.mark.parametrize("call", ["describe_route_tables", "describe_vpc_endpoints", "describe_network_acls"])
@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "UnauthorizedOperation"}}, "Describe"),
        EndpointConnectionError(endpoint_url="https://ec2"),
    ],
)
def test_what_nobody_may_ask_is_not_known(error: Exception, call: str) -> None:
    assert ways_differ(Ec2({"": [NAT]}, errors={call: error}), ("a", "b")) is None


ANY: dict[str, Any] = {"Protocol": "-1", "CidrBlock": "0.0.0.0/0"}


def entry(number: int, action: str, *, egress: bool = True, **more: Any) -> dict[str, Any]:
    return {"RuleNumber": number, "RuleAction": action, "Egress": egress, **ANY, **more}


def ports(first: int, last: int) -> dict[str, Any]:
    return {"Protocol": "6", "PortRange": {"From": first, "To": last}}


OUT, IN = entry(100, "allow"), entry(100, "allow", egress=False)
OPEN = (OUT, IN)
WIDE_IN = entry(100, "allow", egress=False, **ports(1024, 65535))
ACLS: list[tuple[str, Any, Any, str]] = [
    ("the same rules", OPEN, (OUT, entry(90, "allow", egress=False)), ""),
    (
        "no https out",
        OPEN,
        (entry(90, "deny", **ports(443, 443)), OUT, IN),
        (
            "TCP port 443 out, to S3: a allows it by rule 100 of acl-1 (0.0.0.0/0), "
            "b denies it by rule 90 of acl-2 (0.0.0.0/0)"
        ),
    ),
    (
        "only https out",
        (entry(100, "allow", **ports(443, 443)), IN),
        OPEN,
        (
            "TCP port 80 out, to S3: a denies it, for no rule of acl-1 is about it, "
            "b allows it by rule 100 of acl-2 (0.0.0.0/0)"
        ),
    ),
    (
        "only some of S3's addresses",
        OPEN,
        (entry(90, "deny", CidrBlock="52.217.0.0/16"), OUT, IN),
        (
            "TCP port 443 out, to S3: a allows it by rule 100 of acl-1 (0.0.0.0/0), "
            "b denies it by rule 90 of acl-2 (52.217.0.0/16)"
        ),
    ),
    (
        "answers to fewer ports",
        OPEN,
        (OUT, entry(100, "allow", egress=False, **ports(32768, 60999))),
        (
            "TCP port 1024 (answers) in, from S3: a allows it by rule 100 of acl-1 (0.0.0.0/0), "
            "b denies it, for no rule of acl-2 is about it"
        ),
    ),
    (
        "a hole in the answers' ports",
        OPEN,
        (OUT, entry(90, "deny", egress=False, **ports(3389, 3389)), IN),
        (
            "TCP port 3389 (answers) in, from S3: a allows it by rule 100 of acl-1 (0.0.0.0/0), "
            "b denies it by rule 90 of acl-2 (0.0.0.0/0)"
        ),
    ),
    ("only low ports closed", OPEN, (OUT, WIDE_IN), ""),
    ("another port", OPEN, (entry(90, "deny", **ports(5432, 5432)), OUT, IN), ""),
    ("another protocol", OPEN, (entry(90, "deny", Protocol="17"), OUT, IN), ""),
    ("private addresses", OPEN, (entry(90, "deny", CidrBlock="10.0.0.0/8"), OUT, IN), ""),
    (
        "every address, in two halves",
        OPEN,
        (entry(1, "allow", CidrBlock="0.0.0.0/1"), entry(2, "allow", CidrBlock="128.0.0.0/1"), IN),
        "",
    ),
    (
        "nothing by IPv6",
        (*OPEN, {**entry(101, "allow"), "CidrBlock": None, "Ipv6CidrBlock": "::/0"}),
        OPEN,
        (
            "TCP port 443 out, to S3: a allows it by rule 101 of acl-1 (::/0), "
            "b denies it, for no rule of acl-2 is about it"
        ),
    ),
]


@pytest.mark.parametrize(("one", "other", "differs"), [row[1:] for row in ACLS], ids=[row[0] for row in ACLS])
def test_network_acls_are_compared_by_what_they_let_through_to_s3(one: Any, other: Any, differs: str) -> None:
    acls = (("acl-1", ("a",), one), ("acl-2", ("b",), other))
    assert ways_differ(Ec2({"": [TO_S3]}, acls=acls), ("a", "b")) == differs


def test_of_three_subnets_the_two_that_differ_are_named() -> None:
    acls = (("acl-1", ("a", "e"), OPEN), ("acl-2", ("b",), (OUT,)))
    found = ways_differ(Ec2({"a": [TO_S3], "": [NAT]}, acls=acls), ("a", "e", "b"))
    assert found is not None
    assert found.startswith("a by vpce-1; e, b by nat-1; TCP port 1024 (answers) in, from S3: a allows it by rule 100")
    assert "b denies it, for no rule of acl-2" in found


def test_a_subnet_whose_network_acl_is_not_shown_is_not_compared() -> None:
    acls = (("acl-1", ("a",), OPEN),)
    assert ways_differ(Ec2({"": [NAT]}, acls=acls), ("a", "b")) is None
    assert ways_differ(Ec2({"a": [NAT], "b": [TO_S3]}, acls=acls), ("a", "b")) == "a by nat-1; b by vpce-1"


TO_ENDPOINT = (entry(90, "deny", CidrBlock=CIDRS["e"]), OUT, IN)


def test_with_an_interface_endpoint_its_subnet_is_where_s3_is() -> None:
    acls = (("acl-1", ("a",), OPEN), ("acl-2", ("b",), TO_ENDPOINT))
    found = ways_differ(Ec2({"": [NAT]}, acls=acls, interface=({"IpProtocol": "-1", **blocks("10.0.0.0/16")},)), AB)
    assert found is not None
    assert found.endswith("b denies it by rule 90 of acl-2 (10.0.9.0/24)")


AB = ("a", "b")


def blocks(*cidrs: str) -> dict[str, Any]:
    return {"IpRanges": [{"CidrIp": cidr} for cidr in cidrs]}


def https(**more: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, **more}


GROUPS: list[tuple[str, tuple[dict[str, Any], ...], str | None]] = [
    ("the whole VPC", (https(**blocks("10.0.0.0/16")),), ""),
    ("both of them", (https(**blocks(CIDRS["a"], "10.0.2.0/25")), https(**blocks("10.0.2.128/25"))), ""),
    (
        "one of them",
        (https(**blocks(CIDRS["a"])),),
        "security groups of vpce-9, TCP port 443 in: a is let in wholly, b is let in not at all",
    ),
    (
        "half of one",
        (https(**blocks(CIDRS["a"], "10.0.2.0/25"), Ipv6Ranges=[{"CidrIpv6": "::/0"}]),),
        "security groups of vpce-9, TCP port 443 in: a is let in wholly, b is let in in part",
    ),
    ("the client's group", (https(**blocks(CIDRS["a"]), UserIdGroupPairs=[{"GroupId": "sg-app"}]),), ""),
    (
        "another group",
        (https(**blocks(CIDRS["b"]), UserIdGroupPairs=[{"GroupId": "sg-x"}]),),
        "security groups of vpce-9, TCP port 443 in: a is let in not at all, b is let in wholly",
    ),
    ("a prefix list", (https(PrefixListIds=[{"PrefixListId": "pl-9"}]),), None),
]


@pytest.mark.parametrize(("rules", "differs"), [row[1:] for row in GROUPS], ids=[row[0] for row in GROUPS])
def test_an_interface_endpoint_lets_in_all_of_the_subnets_alike(rules: Any, differs: str | None) -> None:
    assert ways_differ(Ec2({"": [NAT]}, interface=rules), AB, groups=("sg-app",)) == differs


@pytest.mark.parametrize("only_inbound", [True, False])
def test_an_interface_endpoint_for_other_networks_is_nobodys_way_here(
    only_inbound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"PrivateDnsOnlyForInboundResolverEndpoint": only_inbound}
    monkeypatch.setitem(INTERFACE, "DnsOptions", options)
    found = ways_differ(Ec2({"": [TO_S3]}, interface=(https(**blocks(CIDRS["a"])),)), AB)
    assert (found == "") is only_inbound


def test_a_subnet_without_a_block_that_is_shown_is_not_compared_with_an_endpoints_groups() -> None:
    ec2 = Ec2({"": [NAT]}, acls=(("acl-1", ("a", "z"), ()),), interface=(https(**blocks("10.0.0.0/8")),))
    assert ways_differ(ec2, ("a", "z")) is None


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
