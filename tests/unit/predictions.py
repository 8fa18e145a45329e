"""A snapshot made by hand for tests of predictions: one bucket, a role, a VPC with two subnets, and what is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.matrix import Judged
from pytest_s3vpce.model import Cell, Expect, OutcomeKind, Target, Transport
from pytest_s3vpce.network.topology import (
    Endpoint,
    RouteTable,
    SecurityGroup,
    SecurityRule,
    Subnet,
    Topology,
    Vpc,
)
from pytest_s3vpce.operations import operation
from pytest_s3vpce.predict import Prediction, Predictor
from pytest_s3vpce.probe import ProbeBuilder
from pytest_s3vpce.run.results import result_of
from pytest_s3vpce.snapshot.state import (
    AccountRow,
    BlockRow,
    BucketRow,
    EncryptionRow,
    NetworkRow,
    ObjectRow,
    PolicyRow,
    PrincipalRow,
    Snapshot,
    VantageRow,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_s3vpce.matrix import CellResult

OWNER, OTHER = "111122223333", "444455556666"
REGION = "eu-west-1"
VPC, ENDPOINT = "vpc-1", "vpce-1"
ROLE, FOREIGN = f"arn:aws:iam::{OWNER}:role/app", f"arn:aws:iam::{OTHER}:role/partner"
BUCKET = "arn:aws:s3:::reports-bucket"
BOTH = [BUCKET, f"{BUCKET}/*"]
NOW = 1_800_000_000.0
BUILDER = ProbeBuilder(user_agent="t")
"""botocore's model of S3 is read once."""


def statement(effect: str = "Deny", *, sid: str = "Guard", conditions: Any = None, **more: Any) -> dict[str, Any]:
    row = {"Sid": sid, "Effect": effect, "Principal": "*", "Action": "s3:*", "Resource": BOTH, **more}
    row = {name: value for name, value in row.items() if value is not None}
    return row if conditions is None else {**row, "Condition": conditions}


def measured(sent: Cell, outcome: OutcomeKind, *, expect: Expect | None = None) -> CellResult:
    """A cell's result; a control's where nothing is expected."""
    judged = Judged(outcome=outcome, code="AccessDenied" if outcome is OutcomeKind.DENIED else None, reason="it was so")
    met = {Expect.ALLOW: OutcomeKind.ALLOWED, Expect.DENY: OutcomeKind.DENIED, None: None}[expect]
    passed = None if met is None else met is outcome
    return result_of(sent, measured=judged, counted=judged, expect=expect, passed=passed)


def policy(*rows: dict[str, Any], name: str = "bucket policy", source: str | None = None) -> PolicyRow:
    return PolicyRow(name=name, document={"Version": "2012-10-17", "Statement": list(rows)}, source=source)


EVERYTHING = policy(statement("Allow", sid="All", Principal=None, Action="*", Resource="*"), name="inline")
GUARD = statement(conditions={"StringNotEquals": {"aws:SourceVpce": ENDPOINT}})
OUT = SecurityRule(cidrs=("0.0.0.0/0",))


def topology(**changes: Any) -> Topology:
    """Subnet `in` leads to the endpoint, subnet `out` nowhere."""
    found = Topology(
        account=OWNER,
        region=REGION,
        vpcs=(Vpc(id=VPC, cidr="10.0.0.0/16"),),
        subnets=(
            Subnet(id="subnet-in", vpc_id=VPC, cidr="10.0.1.0/24"),
            Subnet(id="subnet-out", vpc_id=VPC, cidr="10.0.2.0/24"),
        ),
        route_tables=(
            RouteTable(id="rtb-in", vpc_id=VPC, subnet_ids=("subnet-in",)),
            RouteTable(id="rtb-out", vpc_id=VPC, subnet_ids=("subnet-out",)),
        ),
        endpoints=(
            Endpoint(
                id=ENDPOINT,
                vpc_id=VPC,
                account=OWNER,
                region=REGION,
                service=f"com.amazonaws.{REGION}.s3",
                route_table_ids=("rtb-in",),
            ),
        ),
        security_groups=(SecurityGroup(id="sg-1", vpc_id=VPC, egress=(OUT,)),),
    )
    return replace(found, **changes)


def vantage(name: str, *subnets: str, **changes: Any) -> VantageRow:
    row = VantageRow(
        name=name, kind="lambda", account="main", region=REGION, subnets=subnets, security_groups=("sg-1",)
    )
    return replace(row, **changes)


def account(name: str = "main", account_id: str = OWNER, **changes: Any) -> AccountRow:
    row = AccountRow(name=name, id=account_id, region=REGION, organization=None, block=BlockRow())
    return replace(row, **changes)


def bucket(*rows: dict[str, Any], **changes: Any) -> BucketRow:
    row = BucketRow(
        label="reports",
        name="reports-bucket",
        account="main",
        account_id=OWNER,
        region=REGION,
        key="canary",
        policy=policy(*rows) if rows else None,
        block=BlockRow(),
        ownership="BucketOwnerEnforced",
        acl=None,
        encryption=EncryptionRow(algorithm="AES256"),
        objects={"canary": ObjectRow(encryption="AES256", tags={"class": "open"})},
    )
    return replace(row, **changes)


def role(name: str = "app", arn: str = ROLE, **changes: Any) -> PrincipalRow:
    row = PrincipalRow(
        name=name, kind="role", account=arn.split(":")[4], arn=arn, id="AROAEXAMPLE", identity=(EVERYTHING,)
    )
    return replace(row, **changes)


PLACES = (
    vantage("inside", "subnet-in"),
    vantage("cut", "subnet-out"),
    vantage("both", "subnet-in", "subnet-out"),
    VantageRow(name="known", kind="local", public_ip="198.51.100.7"),
    VantageRow(name="internet", kind="local"),
    VantageRow(name="bastion", kind="command", why="what network a command vantage point sends from is not known"),
)


def snapshot(
    *rows: dict[str, Any],
    network: Any = None,
    accounts: Sequence[AccountRow] = (account(), account("partner", OTHER)),
    places: Sequence[VantageRow] = PLACES,
    people: Sequence[PrincipalRow] | None = None,
    keys: Any = (),
    **changes: Any,
) -> Snapshot:
    """The bucket has these statements; `changes` are the bucket's."""
    everybody = (role(), role("partner", FOREIGN), PrincipalRow(name="anonymous", kind="anonymous"))
    return Snapshot(
        mode="lab",
        taken_at=NOW,
        accounts=tuple(accounts),
        principals=everybody if people is None else tuple(people),
        buckets=(bucket(*rows, **changes),),
        vantages=tuple(places),
        networks=(NetworkRow(account=OWNER, region=REGION, topology=network or topology()),),
        keys=tuple(keys),
    )


def cell(name: str = "GetObject", who: str = "app:inside", **more: Any) -> Cell:
    row = operation(name)
    principal, _, place = who.partition(":")
    target = more.pop("target", Target(bucket="reports"))
    return Cell(
        operation=name,
        action=row.default_of or row.actions[0],
        target=target,
        principal=principal,
        vantage=place,
        **{"transport": Transport.HTTPS, **more},
    )


def predict(found: Snapshot, wanted: Cell | None = None, **more: Any) -> Prediction:
    return Predictor(found, now=NOW, session_name="s1", builder=BUILDER).predict(wanted or cell(), **more)
