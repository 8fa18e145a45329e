"""Each claim with one control broken at a time: it is never proven."""

from __future__ import annotations

import copy
import json
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.acceptance.conftest import Stage

CANARY = ".s3vpce/canary"
ALL = ("endpoint-only", "tls-only", "cross-account")


def test_nothing_broken_everything_proven(stage: Stage) -> None:
    assert stage.claims() == dict.fromkeys(ALL, "proven")


def assert_never_proven(stage: Stage, broken: AbstractContextManager[Any], *claims: str) -> dict[str, str]:
    with broken:
        found = stage.claims()
    for claim in claims:
        assert found[claim] != "proven", found
    return found


# --- a vantage point cut off -----------------------------------------------------------------------------------------


def test_the_inside_vantage_point_reaches_nothing(stage: Stage) -> None:
    """Its canary's reader is there as well, and without that no write is sent from anywhere."""
    found = assert_never_proven(stage, stage.unrouted(), *ALL)
    assert found == dict.fromkeys(ALL, "inconclusive")


def test_an_outside_vantage_point_reaches_nothing(stage: Stage) -> None:
    ec2 = stage.client("ec2")
    table = stage.route_table("NatSubnet")
    nat = nat_gateway(stage)
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    try:
        found = stage.claims()
    finally:
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    assert found == {"endpoint-only": "inconclusive", "tls-only": "proven", "cross-account": "inconclusive"}


def test_the_partners_vantage_point_reaches_nothing(stage: Stage) -> None:
    ec2 = stage.client("ec2", "partner")
    table, endpoint = stage.route_table("PartnerSubnet", "partner"), stage.outputs["PartnerEndpoint"]
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, RemoveRouteTableIds=[table])
    try:
        found = stage.claims()
    finally:
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=[table])
    assert found == {"endpoint-only": "inconclusive", "tls-only": "proven", "cross-account": "inconclusive"}


def test_a_security_group_that_lets_no_port_80_out_is_named(stage: Stage) -> None:
    ec2 = stage.client("ec2")
    group = stage.outputs["ProbeGroup"]
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    only_https = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=only_https)
    try:
        matrix = stage.run(only=lambda name: name.startswith("tls-only/"))
    finally:
        ec2.revoke_security_group_egress(GroupId=group, IpPermissions=only_https)
        ec2.authorize_security_group_egress(GroupId=group, IpPermissions=everything)
    (claim,) = matrix.claims
    assert claim.verdict == "inconclusive"
    assert f"security group {group} (s3vpce-probe) lets no TCP port 80 out" in claim.sentence


# --- credentials and rights ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "role", "claims"), [("main", "app", ("endpoint-only", "tls-only")), ("partner", "partner", ALL[2:])]
)
def test_a_principal_without_rights(stage: Stage, account: str, role: str, claims: tuple[str, ...]) -> None:
    found = assert_never_proven(stage, stage.role_policy(account, role, None), *claims)
    assert {found[claim] for claim in claims} == {"inconclusive"}


@pytest.mark.parametrize(
    ("account", "role", "claims"), [("main", "app", ("endpoint-only", "tls-only")), ("partner", "partner", ALL[2:])]
)
def test_an_identity_policy_that_names_the_control_bucket_but_not_the_target(
    stage: Stage, account: str, role: str, claims: tuple[str, ...]
) -> None:
    control = stage.outputs["ControlBucket" if account == "main" else "PartnerControlBucket"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{control}", f"arn:aws:s3:::{control}/*"]}
        ],
    }
    assert_never_proven(stage, stage.role_policy(account, role, policy), *claims)


def test_a_role_that_can_not_be_assumed(stage: Stage) -> None:
    iam = stage.client("iam")
    before = iam.get_role(RoleName="app")["Role"]["AssumeRolePolicyDocument"]
    others = copy.deepcopy(before)
    others["Statement"][0]["Principal"] = {"AWS": "arn:aws:iam::444455556666:root"}
    iam.update_assume_role_policy(RoleName="app", PolicyDocument=json.dumps(others))
    try:
        matrix = stage.run()
    finally:
        iam.update_assume_role_policy(RoleName="app", PolicyDocument=json.dumps(before))
    by_kind = {row.kind: row.verdict.value for row in matrix.claims}
    assert by_kind["endpoint-only"] == "inconclusive"
    assert by_kind["tls-only"] == "inconclusive"
    cell = next(row for row in matrix.cells if row.id == "GetObject/reports/app:internet/https")
    assert cell.counted.outcome == "inconclusive"
    assert not cell.passed
    assert "can't be assumed" in cell.counted.reason
    assert "s3vpce.yaml:10" in cell.counted.reason


# --- buckets and canaries --------------------------------------------------------------------------------------------


class deleted(AbstractContextManager[None]):  # noqa: N801 - reads as a word
    """An object taken away for a while."""

    def __init__(self, stage: Stage, bucket: str, account: str = "main") -> None:
        self._s3 = stage.client("s3", account)
        self._bucket = bucket
        self._policy = stage

    def __enter__(self) -> None:
        self._body = self._s3.get_object(Bucket=self._bucket, Key=CANARY)["Body"].read()
        self._s3.delete_object(Bucket=self._bucket, Key=CANARY)

    def __exit__(self, *_: object) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=CANARY, Body=self._body)


def test_the_canary_is_gone(stage: Stage) -> None:
    bucket = stage.outputs["ReportsBucket"]
    with stage.bucket_policy(open_for_root):
        assert stage.claims() == dict.fromkeys(ALL, "proven")
        with deleted(stage, bucket):
            found = stage.claims()
    assert found == dict.fromkeys(ALL, "inconclusive")


def open_for_root(policy: dict[str, Any]) -> None:
    """The root user of the owner's account is spared, so that a test may delete and restore the canary."""
    for row in policy["Statement"]:
        if row["Effect"] == "Deny":
            row.setdefault("Condition", {}).setdefault("StringNotEquals", {})["aws:PrincipalType"] = "Account"


def test_a_denial_where_nothing_is_does_not_pass(stage: Stage) -> None:
    """The bucket lets the partner's reads in from everywhere, and S3 refuses who may not list where nothing is."""

    def opened(policy: dict[str, Any]) -> None:
        policy["Statement"] = [row for row in policy["Statement"] if row["Effect"] == "Allow"]

    names = ("GetObject/reports/partner:internet/https", "GetObject/reports/anonymous:internet/https")
    with stage.bucket_policy(opened), deleted(stage, stage.outputs["ReportsBucket"]):
        cells = stage.run(only=lambda name: name in names).cells
    assert [(row.counted.outcome, row.passed) for row in cells] == [("inconclusive", False)] * 2
    assert all("no object was shown to be there on reports" in row.counted.reason for row in cells)


def test_an_open_bucket_of_another_account_than_was_said_does_not_pass(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 refuses every request that expects another owner; nobody reads the bucket, so that nothing else shows it."""

    def opened(policy: dict[str, Any]) -> None:
        policy["Statement"] = [row for row in policy["Statement"] if row["Effect"] == "Allow"]

    reports = stage.inventory.buckets["reports"]
    unread = reports.model_copy(
        update={"account": "partner", "canary": reports.canary.model_copy(update={"reader": None})}
    )
    cells = [row for row in stage.plan.cells if row.id == "GetObject/reports/partner:internet/https"]
    with stage.bucket_policy(opened), monkeypatch.context() as patch:
        patch.setitem(stage.inventory.buckets, "reports", unread)
        (row,) = stage.fresh_operator().observe(cells, []).cells
    assert (row.measured.outcome, row.counted.outcome, row.passed) == ("denied", "inconclusive", False)
    assert "another account than the inventory's owns reports" in row.counted.reason


@pytest.mark.parametrize(
    ("account", "claims"), [("main", ("endpoint-only", "tls-only")), ("partner", ("cross-account",))]
)
def test_a_control_bucket_is_gone(stage: Stage, account: str, claims: tuple[str, ...]) -> None:
    bucket = stage.outputs["ControlBucket" if account == "main" else "PartnerControlBucket"]
    found = assert_never_proven(stage, deleted(stage, bucket, account), *claims)
    assert {found[claim] for claim in claims} == {"inconclusive"}


def test_a_bucket_open_to_everybody_is_refuted(stage: Stage) -> None:
    def opened(policy: dict[str, Any]) -> None:
        bucket = stage.outputs["ReportsBucket"]
        policy["Statement"] = [
            {
                "Sid": "Everybody",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            }
        ]

    with unblocked(stage), stage.bucket_policy(opened):
        found = stage.claims()
    assert found == dict.fromkeys(ALL, "refuted")


@contextmanager
def unblocked(stage: Stage) -> Iterator[None]:
    """Block Public Access off, as somebody must have switched it for a bucket to be open."""
    s3 = stage.client("s3")
    bucket = stage.outputs["ReportsBucket"]
    with stage.bucket_policy(open_for_root):
        before = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        s3.delete_public_access_block(Bucket=bucket)
    try:
        yield
    finally:
        with stage.bucket_policy(open_for_root):
            s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=before)


# --- paths and endpoint policies -------------------------------------------------------------------------------------


def nat_gateway(stage: Stage) -> str:
    gateways = stage.client("ec2").describe_nat_gateways()["NatGateways"]
    return str(next(row["NatGatewayId"] for row in gateways if row["State"] == "available"))


def test_the_inside_path_goes_through_nat_instead_of_the_endpoint(stage: Stage) -> None:
    with stage.unrouted(to=nat_gateway(stage)):
        matrix = stage.run(only=lambda name: name.startswith("endpoint-only/"))
    (claim,) = matrix.claims
    assert claim.verdict == "refuted"
    assert "through no VPC endpoint" in claim.sentence


def denying(bucket: str, *, sids: str = "Closed") -> Callable[[dict[str, Any]], None]:
    def change(policy: dict[str, Any]) -> None:
        policy["Statement"].append(
            {
                "Sid": sids,
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            }
        )

    return change


def test_the_outside_vpcs_own_endpoint_policy_denies(stage: Stage) -> None:
    """It names the control buckets and not the target: what is denied there is not the bucket's doing."""
    change = denying(stage.outputs["ReportsBucket"])
    assert_never_proven(stage, stage.endpoint_policy("partner", change), "endpoint-only", "cross-account")


def test_the_inside_endpoint_policy_denies_the_target(stage: Stage) -> None:
    change = denying(stage.outputs["ReportsBucket"])
    assert_never_proven(stage, stage.endpoint_policy("main", change), "endpoint-only", "tls-only")


def test_the_endpoint_denies_plain_http_and_the_bucket_does_not(stage: Stage) -> None:
    """The bucket's own deny is missing; that the endpoint refuses http must not pass for it."""

    def over_tls(policy: dict[str, Any]) -> None:
        bucket = stage.outputs["ReportsBucket"]
        policy["Statement"].append(
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        )

    def without_tls(policy: dict[str, Any]) -> None:
        policy["Statement"] = [row for row in policy["Statement"] if row["Sid"] != "TlsOnly"]

    with stage.bucket_policy(without_tls), stage.endpoint_policy("main", over_tls):
        assert stage.claims()["tls-only"] == "inconclusive"


@pytest.fixture(autouse=True)
def restored(stage: Stage) -> Iterator[None]:
    """After each sabotage the stage stands as before."""
    yield
    assert stage.claims() == dict.fromkeys(ALL, "proven")
