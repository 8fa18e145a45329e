"""Explanations of predictions: the statement that decided or should have, what kept it, and the fix in one line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.model import Transport
from pytest_s3vpce.network.topology import (
    Endpoint,
    EndpointKind,
    InternetGateway,
    NatGateway,
    Route,
    RouteTable,
    SecurityGroup,
    Subnet,
    Vpc,
)
from pytest_s3vpce.predict import Blame, tell
from pytest_s3vpce.predict.fixes import of_drop
from pytest_s3vpce.predict.telling import LINES
from pytest_s3vpce.snapshot.state import BlockRow, KeyRow, ObjectRow, Unread
from tests.unit.predictions import (
    BUCKET,
    ENDPOINT,
    GUARD,
    OTHER,
    OWNER,
    PLACES,
    REGION,
    ROLE,
    VPC,
    cell,
    policy,
    predict,
    role,
    snapshot,
    statement,
    topology,
    vantage,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_s3vpce.model import Cell
    from pytest_s3vpce.predict import Telling
    from pytest_s3vpce.snapshot import Snapshot

OUTSIDE, INSIDE = cell(who="app:known"), cell()
OPEN = statement("Allow", sid="Open", Principal={"AWS": OTHER})


def told(found: Snapshot, wanted: Cell = INSIDE, *, blame: Blame | None = None, answered: str = "") -> Telling:
    return tell(predict(found, wanted), found, blame=blame, answered=answered)


def test_a_deny_that_matched() -> None:
    found = told(snapshot(GUARD), OUTSIDE, answered="denied (AccessDenied): a resource-based policy denies it")
    assert found.lines == (
        f"asked: s3:GetObject on {BUCKET}/canary by app (arn:aws:sts::{OWNER}:assumed-role/app/s1) from known, https",
        "path: the internet, from 198.51.100.7, by no endpoint",
        "S3 said: denied (AccessDenied): a resource-based policy denies it",
        "denied by `Guard` of the bucket policy of reports, a resource-based policy",
        f"because aws:SourceVpce is absent, so StringNotEquals [{ENDPOINT}] matches",
        f"fix: send it through {ENDPOINT}: known goes by no endpoint",
    )
    assert (found.layer, found.policy, found.statement) == ("resource", "bucket policy of reports", "Guard")
    assert str(found).count("\n") == 5


@pytest.mark.parametrize(("others", "told_of"), [(0, ""), (1, "and 1 more of its conditions is met"), (2, "are met")])
def test_how_many_more_conditions_are_met_is_counted(others: int, told_of: str) -> None:
    ways = {"StringNotEquals": {"aws:SourceVpce": ENDPOINT}}
    more = {"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {"aws:PrincipalAccount": OWNER}}
    guard = statement(conditions=ways | dict(list(more.items())[:others]))
    assert told(snapshot(guard), OUTSIDE).lines[3].endswith(told_of or "matches")


def test_an_allow_that_a_deny_should_have_stopped() -> None:
    wrong = statement(conditions={"StringEquals": {"aws:SourceVpce": ENDPOINT}})
    found = told(snapshot(wrong), OUTSIDE)
    assert found.lines[2:] == (
        "allowed by `All` of the identity policy inline of app",
        (
            "the deny that should have matched is `Guard` of the bucket policy of reports, but aws:SourceVpce is "
            f"absent, so StringEquals [{ENDPOINT}] does not match"
        ),
        "fix: write StringNotEquals for StringEquals in `Guard`",
    )
    assert (found.statement, found.missed) == ("All", "Guard")


def test_an_allow_that_is_right_or_too_wide() -> None:
    assert told(snapshot(), blame=Blame.NOTHING).fix == ""
    found = told(snapshot(), blame=Blame.GRANT)
    assert found.fix.startswith("narrow `All` of the identity policy inline of app: it lets arn:aws:sts::")
    assert found.missed is None


def test_what_is_as_it_should_be_needs_no_fix_and_what_should_reach_nothing_its_way_closed() -> None:
    assert told(snapshot(GUARD), OUTSIDE, blame=Blame.PLACE).fix == ""
    assert told(snapshot(GUARD), OUTSIDE, blame=Blame.NOTHING).fix.startswith("send it through")
    for wanted in (OUTSIDE, INSIDE):
        fix = told(snapshot(GUARD), wanted, blame=Blame.WAY).fix
        assert fix.startswith("close the way that it takes: ")
    assert told(snapshot(GUARD), cell(who="app:cut"), blame=Blame.WAY).fix == ""


def test_statements_are_named_with_their_lines(tmp_path: Path) -> None:
    source = tmp_path / "bucket.json"
    source.write_text(
        '{"Version": "2012-10-17",\n "Statement": [\n  {"Sid": "Other", "Effect": "Allow", "Principal": "*",'
        ' "Action": "s3:*", "Resource": "*"},\n  {"Sid": "Guard", "Effect": "Deny", "Principal": "*",'
        ' "Action": "s3:*", "Resource": "*"}\n]}',
        encoding="utf-8",
    )
    found = told(snapshot(GUARD, policy=policy(GUARD, source=str(source))), OUTSIDE)
    assert found.place == f"{source}:4:3"
    assert f"denied by `Guard` of the bucket policy of reports ({source}:4:3)" in found.lines[2]
    unnamed = {name: value for name, value in GUARD.items() if name != "Sid"}
    by_place = told(snapshot(policy=policy({**OPEN, "Sid": "First"}, unnamed, source=str(source))), OUTSIDE)
    assert by_place.place == f"{source}:4:3"
    source.write_text("no policy", encoding="utf-8")
    assert told(snapshot(GUARD, policy=policy(GUARD, source=str(source))), OUTSIDE).place is None
    source.write_text('{"Statement": []}', encoding="utf-8")
    assert told(snapshot(GUARD, policy=policy(GUARD, source=str(source))), OUTSIDE).place is None


def test_nothing_allows_it() -> None:
    near = policy(statement("Allow", sid="Near", Principal=None, Resource=f"{BUCKET}/other"), name="inline")
    found = told(snapshot(people=(role(identity=(near,)),)))
    assert found.lines[2:] == (
        "denied: no identity-based policy allows it",
        (
            f"near miss: `Near` of the identity policy inline of app would, but Resource {BUCKET}/other does not match "
            f"{BUCKET}/canary"
        ),
        f"fix: add {BUCKET}/canary to Resource of `Near`",
    )
    bare = told(snapshot(people=(role(identity=()),)))
    assert bare.fix == f"allow s3:GetObject on {BUCKET}/canary in an identity policy of app"
    theirs = told(snapshot(), cell(who="partner:known"))
    assert theirs.fix == f"allow s3:GetObject on {BUCKET}/canary in the bucket policy of reports"
    shut = '{"Statement": []}'
    closed = topology(endpoints=(replace(topology().endpoints[0], policy=shut),))
    assert told(snapshot(network=closed)).fix.endswith(f"in the policy of {ENDPOINT}")
    assert told(snapshot(people=(role(boundary=policy(name="b")),))).fix.endswith("permissions boundary of app")


def test_what_is_unknown_says_what_was_not_read() -> None:
    found = told(snapshot(policy=Unread(unread="AccessDenied: you may not")))
    assert found.lines[2:] == (
        "unknown: the resource-based policy could not be read",
        "not read: resource-based policy: AccessDenied: you may not",
    )
    nobody = told(snapshot(people=()))
    assert nobody.lines == (
        "asked: s3:GetObject by app from inside, https",
        "unknown: principal `app` is not in the snapshot",
    )


def test_lines_are_few_and_harmless() -> None:
    odd = policy(statement(sid="\x1b[31mred", conditions={"StringNotEquals": {"aws:SourceVpce": ENDPOINT}}))
    found = told(snapshot(policy=odd), OUTSIDE)
    assert "\x1b" not in str(found)
    assert len(found.lines) <= LINES


def test_block_public_access_and_kms_and_lists() -> None:
    public = statement("Allow", sid="Public")
    found = told(snapshot(public, block=BlockRow(restrict_public_buckets=True)), cell(who="partner:known"))
    assert found.statement == "Public"
    assert found.fix == "name accounts or roles in Principal of `Public`: `*` makes the policy public"
    assert "RestrictPublicBuckets is on" in found.lines[3]


def test_what_a_list_allows() -> None:
    grant = {"Grantee": {"URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "Permission": "READ"}
    lists = {"Owner": {"ID": "c"}, "Grants": [grant]}
    found = snapshot(ownership="ObjectWriter", acl=lists, objects={"canary": ObjectRow(acl=lists)})
    lines = told(found, cell(who="anonymous:known"), blame=Blame.NOTHING).lines
    assert lines[-1] == "allowed by the access control list"


def test_what_kms_refuses() -> None:
    arn = f"arn:aws:kms:{REGION}:{OWNER}:key/k"
    trusts = statement("Allow", sid="Trusts", Principal={"AWS": OWNER}, Action="kms:*", Resource="*")
    sealed = snapshot(objects={"canary": ObjectRow(encryption="aws:kms", key=arn)})

    def by(*rows: dict[str, Any]) -> Telling:
        held = KeyRow(named=arn, arn=arn, account=OWNER, policy=policy(*rows, name="key policy"))
        return told(replace(sealed, keys=(held,)))

    shut = by(trusts, statement(sid="Shut", Action="kms:Decrypt", Resource="*"))
    assert (shut.layer, shut.statement) == ("kms", "Shut")
    assert shut.lines[0].startswith(f"asked: kms:Decrypt on {arn} by app")
    assert shut.lines[2] == f"denied by `Shut` of the policy of {arn}, a KMS key policy"
    far = by(statement("Allow", sid="Far", Principal={"AWS": OTHER}, Action="kms:*", Resource="*"))
    assert far.statement == "Far"
    assert far.fix == f"add arn:aws:sts::{OWNER}:assumed-role/app/s1 to Principal of `Far`"
    assert by().fix == (
        f"allow kms:Decrypt on {arn} in the key policy, or in an identity policy of app where the key policy "
        "delegates to the account"
    )
    without = told(snapshot(objects={"canary": ObjectRow(encryption="aws:kms", key="gone")}))
    assert without.lines[2:] == (
        "unknown: the key that encrypts the object: key `gone` was not read",
        "not read: KMS key policy: key `gone` was not read",
    )


# --- fixes of denies -------------------------------------------------------------------------------------------------


def denied(condition: Any, wanted: Cell = OUTSIDE, **more: Any) -> str:
    return told(snapshot(statement(conditions=condition), **more), wanted).fix


OTHER_ENDPOINT = Endpoint(
    id="vpce-2",
    vpc_id=VPC,
    account=OWNER,
    region=REGION,
    service="com.amazonaws.eu-west-1.s3",
    kind=EndpointKind.INTERFACE,
)


@pytest.mark.parametrize(
    ("condition", "wanted", "fix"),
    [
        (None, INSIDE, f"take s3:GetObject on {BUCKET}/canary out of `Guard`, or spare app by a condition"),
        (
            {"StringEquals": {"aws:SourceVpce": ENDPOINT}},
            INSIDE,
            f"write StringNotEquals for StringEquals in `Guard`: as it is, it denies just {ENDPOINT}",
        ),
        (
            {"StringNotEquals": {"aws:SourceVpce": "vpce-9"}},
            INSIDE,
            f"write {ENDPOINT} into aws:SourceVpce of `Guard` in place of vpce-9, which the snapshot does not know",
        ),
        ({"StringNotEquals": {"aws:SourceVpc": "vpc-*"}}, OUTSIDE, "send it through vpc-*: known goes by no endpoint"),
        (
            {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
            INSIDE,
            "requests by an endpoint carry no aws:SourceIp: spare the endpoint in `Guard` by aws:SourceVpce as well",
        ),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, OUTSIDE, "add 198.51.100.7 to aws:SourceIp of `Guard`"),
        (
            {"Bool": {"aws:SecureTransport": "false"}},
            cell(transport=Transport.HTTP),
            "send it over https: `Guard` denies plain http",
        ),
        (
            {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
            cell("PutObject"),
            "write with s3:x-amz-server-side-encryption aws:kms, as `Guard` demands",
        ),
        (
            {"Null": {"aws:PrincipalTag/team": "true"}},
            INSIDE,
            "change Null aws:PrincipalTag/team of `Guard`, which its absence meets",
        ),
        (
            {"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::1:role/x"}},
            INSIDE,
            f"add {ROLE} to aws:PrincipalArn of `Guard`",
        ),
    ],
)
def test_fixes_of_denies(condition: Any, wanted: Cell, fix: str) -> None:
    assert denied(condition, wanted) == fix


def test_fixes_of_places_know_the_network() -> None:
    places = (*PLACES, vantage("nat", "subnet-out"))
    named = {"StringNotEquals": {"aws:SourceVpce": ENDPOINT}}
    wrong = {"StringNotEquals": {"aws:SourceVpce": "vpce-9"}}
    private = {"StringNotEquals": {"aws:SourceVpce": "vpce-2"}}
    open_ = _with_way_out()
    elsewhere = cell(who="app:nat")
    assert denied(named, elsewhere, network=open_, places=places) == (
        f"associate the route table of nat with {ENDPOINT}: now nat goes by no endpoint"
    )
    assert denied(wrong, elsewhere, network=open_, places=places) == (
        f"write {ENDPOINT} for vpce-9 in `Guard`, and associate the route table of nat with {ENDPOINT}"
    )
    both = replace(open_, endpoints=(*open_.endpoints, OTHER_ENDPOINT))
    assert denied(private, elsewhere, network=both, places=places) == (
        "turn private DNS of vpce-2 on, or use its own host name: now nat goes by no endpoint"
    )


def _with_way_out() -> Any:
    """Subnet `out` leads to a NAT gateway."""
    found = topology()
    tables = (
        found.route_tables[0],
        RouteTable(
            id="rtb-out",
            vpc_id=VPC,
            subnet_ids=("subnet-out",),
            routes=(Route(destination="0.0.0.0/0", target="nat-1"),),
        ),
        RouteTable(
            id="rtb-public",
            vpc_id=VPC,
            subnet_ids=("subnet-public",),
            routes=(Route(destination="0.0.0.0/0", target="igw-1"),),
        ),
    )
    return replace(
        found,
        subnets=(*found.subnets, Subnet(id="subnet-public", vpc_id=VPC, cidr="10.0.3.0/24")),
        route_tables=tables,
        nat_gateways=(NatGateway(id="nat-1", subnet_id="subnet-public", public_ips=("203.0.113.9",)),),
        internet_gateways=(InternetGateway(id="igw-1", vpc_id=VPC),),
    )


# --- fixes of allows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "wanted", "fix"),
    [
        (
            statement(Resource=f"{BUCKET}/*", conditions=GUARD["Condition"]),
            cell("ListObjectsV2", who="app:known"),
            f"add {BUCKET} to Resource of `Guard`",
        ),
        (statement(Action="s3:Put*", conditions=GUARD["Condition"]), OUTSIDE, "add s3:GetObject to Action of `Guard`"),
        (
            statement(Principal={"AWS": OTHER}, conditions=GUARD["Condition"]),
            OUTSIDE,
            f'write "Principal": "*" in `Guard`, so that it takes in arn:aws:sts::{OWNER}:assumed-role/app/s1',
        ),
        (
            statement(Resource=None, NotResource=f"{BUCKET}/*", conditions=GUARD["Condition"]),
            OUTSIDE,
            f"narrow NotResource of `Guard`: it takes {BUCKET}/canary in",
        ),
        (
            statement(conditions={"StringNotEquals": {"aws:SourceVpc": [VPC, "vpc-2"]}}),
            INSIDE,
            f"take {VPC} out of aws:SourceVpc of `Guard`, which spares it",
        ),
        (
            statement(conditions={"Null": {"aws:SourceVpce": "false"}}),
            OUTSIDE,
            "let `Guard` match requests without aws:SourceVpce: Null needs the key",
        ),
        (
            statement(conditions={"Null": {"aws:SourceVpce": "true"}}),
            INSIDE,
            f"let Null aws:SourceVpce of `Guard` match {ENDPOINT}",
        ),
        (statement(conditions={"Bool": {"aws:SecureTransport": "false"}}), cell(transport=Transport.HTTPS), None),
    ],
)
def test_fixes_of_allows(row: dict[str, Any], wanted: Cell, fix: str | None) -> None:
    found = told(snapshot(row), wanted)
    if fix is None:
        assert found.fix == (
            "add a deny of s3:* on the bucket and its objects to the bucket policy of reports, "
            f"StringNotEquals aws:SourceVpce: this request came by {ENDPOINT}"
        )
    else:
        assert (found.fix, found.missed) == (fix, "Guard")


def test_fixes_where_no_deny_is_near() -> None:
    assert told(snapshot(), OUTSIDE).fix.endswith("this request came by no endpoint")
    assert "no deny stands in any policy that was read" in told(snapshot(), OUTSIDE).lines
    clear = told(snapshot(), cell(transport=Transport.HTTP))
    assert clear.fix == "add a deny of s3:* to the bucket policy of reports where Bool aws:SecureTransport is false"
    theirs = told(snapshot(OPEN), cell(who="partner:known"))
    assert theirs.fix.startswith("narrow `Open` of the bucket policy of reports: it lets arn:aws:sts::4444")


def test_a_deny_with_two_misses_is_mended_in_two_places() -> None:
    row = statement(Resource=f"{BUCKET}/*", conditions={"StringEquals": {"aws:SourceVpce": ENDPOINT}})
    fix = told(snapshot(row), cell("ListObjectsV2", who="app:known")).fix
    assert fix == f"add {BUCKET} to Resource of `Guard`; and write StringNotEquals for StringEquals in `Guard`"


def test_a_deny_that_forgot_the_objects_is_to_take_in_all_of_them() -> None:
    """The one that was asked for is the canary: with it alone the bucket would stay open, and the cell would pass."""
    fix = told(
        snapshot(statement(Resource=BUCKET, conditions={"StringNotEquals": {"aws:SourceVpce": ENDPOINT}})), OUTSIDE
    ).fix
    assert fix == f"add {BUCKET}/* to Resource of `Guard`"


def test_a_deny_of_one_encryption_is_to_name_the_one_that_is_meant() -> None:
    row = statement(Action="s3:PutObject", conditions={"StringEquals": {"s3:x-amz-server-side-encryption": "AES256"}})
    fix = told(snapshot(row), cell("PutObject", who="app:known")).fix
    assert fix == "write StringNotEquals and what is meant in `Guard`: as it is, it denies just AES256"


@pytest.mark.parametrize("key", ["aws:SourceVpce", "aws:SecureTransport", "s3:prefix"])
def test_a_deny_is_looked_for_by_what_tells_the_cell(key: str) -> None:
    far = statement(sid="Far", conditions={"StringEquals": {key: "x"}})
    near = statement(sid="Near", Action="s3:Put*", conditions={"StringNotEquals": {"aws:SourceVpce": ENDPOINT}})
    assert told(snapshot(far, near), OUTSIDE).missed == ("Far" if key == "aws:SourceVpce" else "Near")


def test_over_http_the_deny_about_tls_is_meant() -> None:
    tls = statement(sid="Tls", Resource=f"{BUCKET}/*", conditions={"Bool": {"aws:SecureTransport": "false"}})
    path = statement(sid="Path", conditions={"StringNotEquals": {"aws:SourceVpce": ENDPOINT}})
    found = told(snapshot(path, tls), cell("ListObjectsV2", transport=Transport.HTTP))
    assert (found.missed, found.fix) == ("Tls", f"add {BUCKET} to Resource of `Tls`")


# --- fixes of drops --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "fix"),
    [
        (
            {"security_groups": (SecurityGroup(id="sg-1", vpc_id=VPC),)},
            "add an egress rule for port 443 to S3's prefix list",
        ),
        ({"vpcs": (Vpc(id=VPC, dns_support=False),)}, "turn DNS support of the VPC on"),
        ({"route_tables": ()}, "give the subnet a route table"),
        ({"endpoints": ()}, "associate the route table with an S3 gateway endpoint, or add a route to a NAT gateway"),
        ({"subnets": ()}, "open this way: subnet `subnet-in` does not exist"),
    ],
)
def test_fixes_of_drops(network: dict[str, Any], fix: str) -> None:
    found = snapshot(network=topology(**network))
    telling = told(found)
    assert telling.fix.startswith(fix)
    assert telling.lines[2].startswith("no answer: ")
    assert of_drop(predict(found)) == telling.fix
