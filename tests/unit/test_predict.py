"""Predictions from snapshots made by hand: what is known is decided, what is not known is unknown and says why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.model import Target, Transport
from pytest_s3vpce.network.topology import (
    EndpointKind,
    Interface,
    InternetGateway,
    NatGateway,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityRule,
    Subnet,
    Vpc,
)
from pytest_s3vpce.policy import UNKNOWN, Policies, Request, decide, parse
from pytest_s3vpce.policy.doubts import Doubts
from pytest_s3vpce.predict import Predictor
from pytest_s3vpce.predict.doubt import Doubt, decide_in_doubt
from pytest_s3vpce.snapshot.state import (
    AccessPointRow,
    BlockRow,
    EncryptionRow,
    KeyRow,
    ObjectRow,
    OrganizationRow,
    PrincipalRow,
    Unread,
)
from tests.unit.predictions import (
    BOTH,
    BUCKET,
    BUILDER,
    ENDPOINT,
    EVERYTHING,
    FOREIGN,
    GUARD,
    NOW,
    OTHER,
    OWNER,
    PLACES,
    REGION,
    VPC,
    account,
    cell,
    policy,
    predict,
    role,
    snapshot,
    statement,
    topology,
    vantage,
)

NO = Unread(unread="AccessDenied: you may not")
OPEN = statement("Allow", sid="Open", Principal={"AWS": OTHER})
KEY = f"arn:aws:kms:{REGION}:{OWNER}:key/k"


# --- paths -----------------------------------------------------------------------------------------------------------


def test_the_way_decides() -> None:
    found = snapshot(GUARD)
    inside = predict(found)
    assert (inside.expected, inside.action, inside.layer) == (Expected.ALLOW, "s3:GetObject", None)
    assert inside.way is not None
    assert inside.way.words == f"gateway endpoint {ENDPOINT} of {VPC}"
    outside = predict(found, cell(who="app:known"))
    assert (outside.expected, outside.layer) == (Expected.EXPLICIT_DENY, "resource")
    assert "aws:SourceVpce is absent" in outside.why
    cut = predict(found, cell(who="app:cut"))
    assert cut.expected is Expected.UNREACHABLE
    assert "`rtb-out` of subnet `subnet-out` has no route to it" in cut.why
    assert cut.way is not None
    assert cut.way.words.startswith("none: ")


def test_what_depends_on_the_subnet_that_sends_is_unknown() -> None:
    found = predict(snapshot(GUARD), cell(who="app:both"))
    assert found.expected is Expected.UNKNOWN
    assert found.why == "it depends on the subnet that sends (subnet-in: allow; subnet-out: unreachable)"


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("app:nowhere", "vantage point `nowhere` is not in the snapshot"),
        ("nobody:inside", "principal `nobody` is not in the snapshot"),
        ("app:unlisted", "`unlisted` stands in no subnet that is known"),
    ],
)
def test_who_or_where_is_not_in_the_snapshot(who: str, why: str) -> None:
    found = predict(snapshot(places=(*PLACES, vantage("unlisted"))), cell(who=who))
    assert (found.expected, found.why) == (Expected.UNKNOWN, why)


def test_a_bucket_or_form_that_is_not_there() -> None:
    assert "bucket `other` is not in the snapshot" in predict(snapshot(), cell(target=Target(bucket="other"))).why
    assert "has no mutating form" in predict(snapshot(), cell("HeadObject", mutating=True)).why


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((), Expected.UNKNOWN),
        ((statement(conditions={"StringEquals": {"aws:SourceVpce": "vpce-2"}}),), Expected.UNKNOWN),
        ((statement(),), Expected.EXPLICIT_DENY),
    ],
)
def test_an_unknown_path_is_unknown_unless_the_rest_decides(rows: tuple[Any, ...], expected: Expected) -> None:
    found = predict(snapshot(*rows), cell(who="app:bastion"))
    assert found.expected is expected
    if expected is Expected.UNKNOWN:
        assert "command vantage point" in (found.way.words if found.way else "")
        assert "bastion is not known" in found.why or "it depends on what is not known: aws:sourcevpce" in found.why


def test_the_address_of_this_machine_counts_where_it_is_known() -> None:
    guard = statement(conditions={"NotIpAddress": {"aws:SourceIp": "198.51.100.0/24"}})
    assert predict(snapshot(guard), cell(who="app:known")).expected is Expected.ALLOW
    found = predict(snapshot(guard), cell(who="app:internet"))
    assert (found.expected, found.why) == (Expected.UNKNOWN, "it depends on what is not known: aws:sourceip")
    other = statement(
        conditions={"NotIpAddress": {"aws:SourceIp": "198.51.100.0/24"}, "Bool": {"aws:SecureTransport": "false"}}
    )
    assert predict(snapshot(other), cell(who="app:internet")).expected is Expected.ALLOW


def test_networks_that_were_not_read_leave_the_path_unknown() -> None:
    found = replace(snapshot(), networks=())
    assert "the network was not read" in predict(found).way.words  # type: ignore[union-attr]
    found = snapshot(network=NO)
    assert "AccessDenied: you may not" in predict(found).way.words  # type: ignore[union-attr]


def test_names_of_endpoints_lead_to_them_and_are_not_known_from_outside() -> None:
    host = f"bucket.vpce-2-abc.s3.{REGION}.vpce.amazonaws.com"
    endpoint = replace(
        topology().endpoints[0],
        id="vpce-2",
        kind=EndpointKind.INTERFACE,
        interfaces=(Interface(subnet_id="subnet-in", address="10.0.1.9"),),
        dns_names=(f"vpce-2-abc.s3.{REGION}.vpce.amazonaws.com",),
        security_group_ids=("sg-2",),
    )
    open_in = SecurityGroup(id="sg-2", vpc_id=VPC, ingress=(SecurityRule(cidrs=("10.0.0.0/16",)),))
    network = topology(endpoints=(endpoint,), security_groups=(*topology().security_groups, open_in))
    found = snapshot(network=network)
    target = Target(bucket="reports", name="private", host=f"https://{host}")
    assert predict(found, cell(target=target)).expected is Expected.ALLOW
    assert "private addresses" in predict(found, cell(who="app:known", target=target)).way.words  # type: ignore[union-attr]
    pinned = predict(found, cell(target=target, transport=Transport.TLS13))
    assert (pinned.expected, pinned.why) == (Expected.UNKNOWN, "interface endpoints of S3 speak no TLS 1.3")
    nowhere = Target(bucket="reports", name="private", host="https://bucket.vpce-9.s3.eu-west-1.vpce.amazonaws.com")
    assert predict(found, cell(target=nowhere)).expected is Expected.UNREACHABLE


def test_dual_stack_functions_send_from_an_address_of_their_subnet() -> None:
    six = (Subnet(id="subnet-in", vpc_id=VPC, cidr="10.0.1.0/24", ipv6_cidr="2001:db8::/64"),)
    place = vantage("dual", "subnet-in", dual_stack=True)
    found = snapshot(network=topology(subnets=six), places=(place,))
    target = Target(bucket="reports", name="d", host="dualstack")
    assert predict(found, cell(who="app:dual", target=target)).expected is Expected.ALLOW


def test_without_dns_no_name_resolves() -> None:
    found = predict(snapshot(network=topology(vpcs=(Vpc(id=VPC, dns_support=False),))))
    assert (found.expected, found.way.words[:5]) == (Expected.UNREACHABLE, "none:")  # type: ignore[union-attr]


def test_addresses_that_are_not_known_yet_are_in_doubt() -> None:
    guard = statement(conditions={"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}})
    out = Route(destination="0.0.0.0/0", target="igw-1")
    network = topology(
        subnets=(Subnet(id="subnet-out", vpc_id=VPC, cidr="10.0.2.0/24", maps_public_ip=True),),
        route_tables=(RouteTable(id="rtb-out", vpc_id=VPC, subnet_ids=("subnet-out",), routes=(out,)),),
        internet_gateways=(InternetGateway(id="igw-1", vpc_id=VPC),),
    )
    made = vantage("made", "subnet-out", kind="ec2")
    found = predict(snapshot(guard, network=network, places=(made,)), cell(who="app:made"))
    assert (found.expected, found.why) == (Expected.UNKNOWN, "it depends on what is not known: aws:sourceip")
    there = vantage("there", "subnet-out", kind="ec2", private_ip="10.0.2.9", public_ip="203.0.113.7")
    found = predict(snapshot(guard, network=network, places=(there,)), cell(who="app:there"))
    assert found.expected is Expected.ALLOW


def test_a_nat_gateway_with_several_addresses_sends_from_any() -> None:
    guard = statement(conditions={"NotIpAddress": {"aws:SourceIp": "203.0.113.1/32"}})

    def sent(*addresses: str) -> Expected:
        ways = {"subnet-in": "nat-1", "subnet-out": "igw-1"}
        network = topology(
            endpoints=(),
            route_tables=tuple(
                RouteTable(id=name, vpc_id=VPC, subnet_ids=(name,), routes=(Route(destination="0.0.0.0/0", target=to),))
                for name, to in ways.items()
            ),
            nat_gateways=(NatGateway(id="nat-1", subnet_id="subnet-out", public_ips=addresses),),
            internet_gateways=(InternetGateway(id="igw-1", vpc_id=VPC),),
        )
        return predict(snapshot(guard, network=network)).expected

    assert sent("203.0.113.1") is Expected.ALLOW
    assert sent("203.0.113.1", "203.0.113.2") is Expected.UNKNOWN


# --- layers that could not be read -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "layer"),
    [
        ({"people": (role(identity=NO),)}, "identity"),
        ({"people": (role(boundary=NO),)}, "permissions_boundary"),
        ({"policy": NO}, "resource"),
        ({"accounts": (account(organization=NO),)}, "scp"),
        (
            {
                "accounts": (
                    account(
                        organization=OrganizationRow(id="o-1", management_account=OTHER, path=NO, scps=(), rcps=NO)
                    ),
                )
            },
            "rcp",
        ),
    ],
)
def test_a_layer_that_was_not_read_leaves_the_cell_unknown(changes: dict[str, Any], layer: str) -> None:
    found = predict(snapshot(**changes))
    assert found.expected is Expected.UNKNOWN
    assert found.unread[layer] == "AccessDenied: you may not"
    assert found.decision is not None
    assert found.decision.layers[layer].value == "unknown"
    if layer != "resource":
        denied = predict(snapshot(statement(), **changes))
        assert (denied.expected, denied.layer) == (Expected.EXPLICIT_DENY, "resource")


def test_block_public_access_that_was_not_read_matters_to_strangers_alone() -> None:
    public = statement("Allow", sid="Public")
    for changes in ({"block": NO}, {"accounts": (account(block=NO), account("partner", OTHER))}):
        assert predict(snapshot(public, **changes)).expected is Expected.ALLOW
        found = predict(snapshot(public, **changes), cell(who="partner:known"))
        assert found.expected is Expected.UNKNOWN
        assert found.unread == {"block_public_access": "AccessDenied: you may not"}
    blocked = predict(snapshot(public, block=BlockRow(restrict_public_buckets=True)), cell(who="partner:known"))
    assert (blocked.expected, blocked.layer) == (Expected.EXPLICIT_DENY, "block_public_access")


def test_an_organization_without_its_levels_says_its_id_only() -> None:
    guard = statement(conditions={"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}})
    place = OrganizationRow(id="o-1", management_account=OTHER, path=NO, scps=(), rcps=())
    assert predict(snapshot(guard, accounts=(account(organization=place),))).expected is Expected.ALLOW
    by_path = statement(conditions={"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-1/*"}})
    found = predict(snapshot(by_path, accounts=(account(organization=place),)))
    assert found.why == "it depends on what is not known: aws:principalorgpaths"
    found = predict(snapshot(guard, accounts=(account(organization=NO),)))
    assert found.expected is Expected.UNKNOWN


def test_service_control_policies_of_every_level_count_but_for_the_management_account() -> None:
    levels = ((EVERYTHING,), (policy(statement("Allow", Principal=None, Action="ec2:*", Resource="*"), name="scp"),))
    place = OrganizationRow(id="o-1", management_account=OTHER, path="o-1/r-1/", scps=levels, rcps=())
    found = predict(snapshot(accounts=(account(organization=place),)))
    assert (found.expected, found.layer) == (Expected.IMPLICIT_DENY, "scp")
    own = replace(place, management_account=OWNER)
    assert predict(snapshot(accounts=(account(organization=own),))).expected is Expected.ALLOW


def test_a_policy_that_is_none_is_unknown() -> None:
    found = predict(snapshot(statement(Action=None, NotAction=7)))
    assert found.expected is Expected.UNKNOWN
    assert "NotAction" in found.unread["resource"]


def test_an_endpoints_policy_and_a_list_that_are_none_are_unknown() -> None:
    odd = topology(endpoints=(replace(topology().endpoints[0], policy="{"),))
    found = predict(snapshot(network=odd))
    assert (found.expected, found.unread["vpc_endpoint"]) == (
        Expected.UNKNOWN,
        "the policy `policy of vpce-1` is not JSON",
    )
    listed = {"Owner": {"ID": "c"}, "Grants": [{"Grantee": {"ID": "c"}, "Permission": "FLY"}]}
    odd_list = predict(snapshot(ownership="ObjectWriter", acl=listed), cell("ListObjectsV2"))
    assert (odd_list.expected, odd_list.why) == (Expected.UNKNOWN, "`acl` grant 0 has no permission that S3 knows")


def test_only_what_leaves_a_cell_unknown_is_told_to_be_unread() -> None:
    lists: dict[str, Any] = {"ownership": "ObjectWriter", "acl": NO, "objects": {"canary": NO}}
    found = predict(snapshot(people=(role(boundary=NO),), **lists))
    assert set(found.unread) == {"permissions_boundary"}
    assert predict(snapshot(**lists), cell("ListObjectsV2")).expected is Expected.ALLOW


# --- who asks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (PrincipalRow(name="app", kind="unknown", why="its keys are not there"), "its keys are not there"),
        (PrincipalRow(name="app", kind="ambient"), "whose credentials inside has is not known"),
        (PrincipalRow(name="app", kind="presigned", by="gone"), "principal `app` is not in the snapshot"),
    ],
)
def test_who_asks_may_not_be_known(row: PrincipalRow, why: str) -> None:
    found = predict(snapshot(people=(row,)))
    assert (found.expected, found.why) == (Expected.UNKNOWN, why)


def test_ambient_credentials_are_the_places_own() -> None:
    own = role("", f"arn:aws:iam::{OWNER}:role/function")
    place = vantage("inside", "subnet-in", role=own)
    guard = statement(conditions={"ArnEquals": {"aws:PrincipalArn": own.arn}})
    people = (PrincipalRow(name="app", kind="ambient"),)
    assert predict(snapshot(guard, people=people, places=(place,))).expected is Expected.EXPLICIT_DENY
    for key in ("lambda:SourceFunctionArn", "aws:Ec2InstanceSourceVpc", "aws:userid"):
        brought = statement(conditions={"StringEquals": {key: "x"}})
        found = predict(snapshot(brought, people=people, places=(place,)))
        assert found.why == f"it depends on what is not known: {key.lower()}"
        assert predict(snapshot(brought)).expected is Expected.ALLOW


def test_of_a_place_that_is_there_ambient_credentials_carry_what_is_known() -> None:
    own = role("", f"arn:aws:iam::{OWNER}:role/function", session_name="probe")
    keys = {"lambda:SourceFunctionArn": f"arn:aws:lambda:us-east-1:{OWNER}:function:probe"}
    place = replace(vantage("inside", "subnet-in", role=own), brought=keys)
    people = (PrincipalRow(name="app", kind="ambient"),)
    for key, value, expected in (
        ("lambda:SourceFunctionArn", "arn:*:probe", Expected.EXPLICIT_DENY),
        ("lambda:SourceFunctionArn", "arn:*:other", Expected.ALLOW),
        ("ec2:SourceInstanceARN", "*", Expected.ALLOW),
        ("aws:userid", "*:probe", Expected.EXPLICIT_DENY),
    ):
        guard = statement(conditions={"StringLike": {key: value}})
        assert predict(snapshot(guard, people=people, places=(place,))).expected is expected, key


def test_presigned_urls_are_their_signers_with_an_age() -> None:
    by = (role(), PrincipalRow(name="url", kind="presigned", by="app", age=900))
    old = statement(conditions={"NumericGreaterThan": {"s3:signatureAge": "600000"}})
    kind = statement(sid="Kind", conditions={"StringEquals": {"s3:authType": "REST-QUERY-STRING"}})
    for guard in (old, kind):
        found = snapshot(guard, people=by)
        assert predict(found, cell(who="url:inside")).expected is Expected.EXPLICIT_DENY
        assert predict(found).expected is Expected.ALLOW


def test_users_roots_and_nobody() -> None:
    user = PrincipalRow(
        name="ann", kind="user", account=OWNER, arn=f"arn:aws:iam::{OWNER}:user/ann", id="AIDA", identity=()
    )
    root = PrincipalRow(name="root", kind="root", account=OWNER, arn=f"arn:aws:iam::{OWNER}:root", id=OWNER)
    named = statement("Allow", conditions={"StringEquals": {"aws:username": "ann"}})
    people = (user, root, PrincipalRow(name="anonymous", kind="anonymous"))
    found = snapshot(named, people=people)
    assert predict(found, cell(who="ann:inside")).expected is Expected.ALLOW
    assert predict(found, cell(who="root:inside")).expected is Expected.ALLOW
    assert predict(found, cell(who="anonymous:inside")).expected is Expected.IMPLICIT_DENY


def test_what_credentials_carry() -> None:
    app = role(tags={"team": "red"}, source_identity="ann", session_name="nightly")
    wanted = {
        "StringEquals": {
            "aws:PrincipalTag/team": "red",
            "aws:SourceIdentity": "ann",
            "aws:userid": "AROAEXAMPLE:nightly",
        }
    }
    assert predict(snapshot(statement(conditions=wanted), people=(app,))).expected is Expected.EXPLICIT_DENY
    in_doubt = (
        (role(tags=NO), "aws:PrincipalTag/team"),
        (role(id=NO), "aws:userid"),
        (role(mfa=True), "aws:MultiFactorAuthPresent"),
    )
    for row, key in in_doubt:
        guard = statement(conditions={"StringEquals": {key: "red"}})
        found = predict(snapshot(guard, people=(row,)))
        assert found.why == f"it depends on what is not known: {key.lower()}"
        by_name = statement(Resource=f"{BUCKET}/${{{key}}}/*", Action="s3:GetObject")
        assert predict(snapshot(by_name, people=(row,))).expected is Expected.UNKNOWN


def test_session_policies_limit_and_plain_http_has_its_own() -> None:
    narrow = policy(statement("Allow", Principal=None, Action="s3:ListBucket", Resource="*"), name="session policy")
    found = predict(snapshot(people=(role(session=narrow),)))
    assert (found.expected, found.layer) == (Expected.IMPLICIT_DENY, "session")
    clear = predict(snapshot(), cell(transport=Transport.HTTP))
    assert clear.expected is Expected.ALLOW
    assert clear.decision is not None
    assert clear.decision.layers["session"].value == "allow"
    guard = statement(conditions={"Bool": {"aws:SecureTransport": "false"}})
    assert predict(snapshot(guard), cell(transport=Transport.HTTP)).expected is Expected.EXPLICIT_DENY
    limited = predict(snapshot(), policy='{"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}')
    assert (limited.expected, limited.layer) == (Expected.EXPLICIT_DENY, "session")


# --- what is asked for -----------------------------------------------------------------------------------------------


def test_the_helper_that_is_refused_is_named() -> None:
    identity = (policy(statement("Allow", Principal=None, Action="s3:DeleteObject", Resource="*"), name="i"),)
    found = predict(snapshot(people=(role(identity=identity),)), cell("DeleteObject"))
    assert (found.expected, found.action) == (Expected.IMPLICIT_DENY, "s3:GetObject")


def test_tags_of_objects() -> None:
    guard = statement(conditions={"StringEquals": {"s3:ExistingObjectTag/class": "open"}})
    assert predict(snapshot(guard)).expected is Expected.EXPLICIT_DENY
    assert predict(snapshot(guard), cell("ListObjectsV2")).expected is Expected.ALLOW
    for objects in ({}, {"canary": NO}, {"canary": ObjectRow(tags=NO)}):
        found = predict(snapshot(guard, objects=objects))
        assert found.why == "it depends on what is not known: s3:existingobjecttag/class"
    assert predict(snapshot(guard, objects={"canary": None})).expected is Expected.ALLOW


def test_tags_that_a_write_sends() -> None:
    guard = statement(conditions={"StringEquals": {"s3:RequestObjectTag/class": "x"}})
    write = cell("PutObject", parameters={"Tagging": "class=x"}, variant="t")
    assert predict(snapshot(guard), write).expected is Expected.EXPLICIT_DENY
    several = {"TagSet": [{"Key": "class", "Value": "x"}]}
    tagging = cell("PutObjectTagging", parameters={"Tagging": several}, variant="t")
    assert predict(snapshot(guard), tagging).expected is Expected.EXPLICIT_DENY


def test_a_copy_reads_its_source() -> None:
    guard = statement(conditions={"StringLike": {"s3:x-amz-copy-source": "reports-bucket/*"}})
    assert predict(snapshot(guard), cell("CopyObject", mutating=False)).expected is Expected.EXPLICIT_DENY
    version = {"CopySource": {"Bucket": "reports-bucket", "Key": "canary", "VersionId": "v"}}
    other = cell("CopyObject", parameters=version, variant="v")
    assert predict(snapshot(statement(Action="s3:GetObjectVersion")), other).expected is Expected.EXPLICIT_DENY


def test_keys_and_hosts_by_name() -> None:
    found = snapshot(statement(Resource=f"{BUCKET}/2026/*"))
    found = replace(found, buckets=(replace(found.buckets[0], keys={"old": "2026/a"}, hosts={"dual": "dualstack"}),))
    named = Target(bucket="reports", name="old", key="${out:Old}")
    assert predict(found, cell(target=named)).expected is Expected.EXPLICIT_DENY
    assert predict(found, cell(target=Target(bucket="reports", key="2026/b"))).expected is Expected.EXPLICIT_DENY
    hosted = Target(bucket="reports", name="dual", host="${out:Host}")
    assert predict(found, cell(target=hosted)).expected is Expected.ALLOW


LIST = {"Owner": {"ID": "c1"}, "Grants": [{"Grantee": {"ID": "c1"}, "Permission": "FULL_CONTROL"}]}
ALL_USERS = {"Grantee": {"URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "Permission": "READ"}


def test_what_is_of_no_bucket_is_of_the_callers_account() -> None:
    shut = snapshot(statement(), statement("Allow", sid="Public"), block=BlockRow(restrict_public_buckets=True))
    for name in ("CreateBucket", "ListBuckets"):
        for who in ("app:known", "partner:known"):
            found = predict(shut, cell(name, who, inferred=True))
            assert found.expected is Expected.ALLOW, found.why
    mine = statement("Allow", sid="Mine", Action="s3:CreateBucket", Resource="*", Principal=None)
    own = {**mine, "Condition": {"StringEquals": {"aws:ResourceAccount": OTHER}}}
    people = [role("partner", arn=f"arn:aws:iam::{OTHER}:role/partner", identity=(policy(own),))]
    assert predict(snapshot(people=people), cell("CreateBucket", "partner:known", inferred=True)).expected is (
        Expected.ALLOW
    )


@pytest.mark.parametrize("name", ["GetBucketPolicy", "PutBucketPolicy"])
def test_policies_are_shown_to_the_bucket_owners_account_alone(name: str) -> None:
    open_to_all = snapshot(statement("Allow", sid="All"), people=[role(), role("partner", FOREIGN)])
    assert predict(open_to_all, cell(name, "app:known", inferred=True)).expected is Expected.ALLOW
    found = predict(open_to_all, cell(name, "partner:known", inferred=True))
    assert found.expected is Expected.UNKNOWN
    assert found.why == "S3 answers other accounts than the bucket's with a 405, which is no denial"
    closed = snapshot(people=[role("partner", FOREIGN)])
    assert predict(closed, cell(name, "partner:known", inferred=True)).expected is Expected.IMPLICIT_DENY


def test_access_control_lists() -> None:
    public = {**LIST, "Grants": [ALL_USERS]}
    objects = {"canary": ObjectRow(acl=public)}
    found = snapshot(ownership="ObjectWriter", acl=LIST, objects=objects)
    assert predict(found, cell(who="anonymous:known")).expected is Expected.ALLOW
    assert predict(found, cell("ListObjectsV2", who="anonymous:known")).expected is Expected.IMPLICIT_DENY
    ignoring = snapshot(ownership="ObjectWriter", acl=LIST, objects=objects, block=BlockRow(ignore_public_acls=True))
    assert predict(ignoring, cell(who="anonymous:known")).expected is Expected.IMPLICIT_DENY
    unreadable: tuple[dict[str, Any], ...] = (
        {"ownership": NO, "acl": LIST},
        {"ownership": "ObjectWriter", "acl": NO, "objects": {"canary": NO}},
    )
    for changes in unreadable:
        unread = predict(snapshot(**changes), cell(who="anonymous:known"))
        assert (unread.expected, unread.unread["acl"]) == (Expected.UNKNOWN, "AccessDenied: you may not")


def test_whose_object_a_write_makes_sets_its_list() -> None:
    mine = statement("Allow", sid="Writes", Action=["s3:PutObject"], Resource=f"{BUCKET}/*")
    wanted = cell("PutObject", "partner:known", parameters={"ACL": "bucket-owner-full-control"})
    people = [role("partner", FOREIGN)]
    given = {"Owner": {"ID": "c1"}, "Grants": []}
    shared: dict[str, Any] = {"people": people, "ownership": "ObjectWriter", "acl": given}
    assert predict(snapshot(mine, **shared), wanted).expected is Expected.ALLOW
    assert predict(snapshot(mine, people=people), wanted).expected is Expected.IMPLICIT_DENY
    closed = OrganizationRow(
        id="o-1", management_account="1", path="o-1/", scps=(), rcps=((policy(statement(Action="s3:PutObjectAcl")),),)
    )
    for theirs, expected in ((closed, Expected.EXPLICIT_DENY), (None, Expected.ALLOW)):
        accounts = (account(), account("partner", OTHER, organization=theirs))
        assert predict(snapshot(mine, accounts=accounts, **shared), wanted).expected is expected
    nobody = cell("PutObject", "anonymous:known", parameters={"ACL": "bucket-owner-full-control"})
    shared["people"] = [PrincipalRow(name="anonymous", kind="anonymous")]
    assert predict(snapshot(mine, **shared), nobody).expected is Expected.ALLOW


def test_anothers_object_is_not_the_bucket_policys_to_grant() -> None:
    theirs = {"Owner": {"ID": "c2"}, "Grants": []}
    found = snapshot(statement("Allow"), ownership="ObjectWriter", acl=LIST, objects={"canary": ObjectRow(acl=theirs)})
    assert predict(found, cell(who="partner:known")).expected is Expected.IMPLICIT_DENY


# --- access points ---------------------------------------------------------------------------------------------------

POINT = f"arn:aws:s3:{REGION}:{OWNER}:accesspoint/way"
BY_POINT = cell(target=Target(bucket="reports", name="way", host=POINT))


def point(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    found = AccessPointRow(arn=POINT, account=OWNER, vpc=None, policy=policy(*rows) if rows else None, block=BlockRow())
    return {"points": {POINT: replace(found, **changes)}}


def test_by_an_access_point_its_policy_counts_too() -> None:
    deny = statement(Resource=f"{POINT}/object/*")
    assert predict(snapshot(**point()), BY_POINT).expected is Expected.ALLOW
    assert predict(snapshot(**point(deny)), BY_POINT).expected is Expected.EXPLICIT_DENY
    assert predict(snapshot(statement(), **point()), BY_POINT).expected is Expected.EXPLICIT_DENY
    by_arn = statement(conditions={"StringEquals": {"s3:DataAccessPointArn": POINT}})
    assert predict(snapshot(by_arn, **point()), BY_POINT).expected is Expected.EXPLICIT_DENY
    only = (policy(statement("Allow", Principal=None, Resource=BOTH), name="i"),)
    refused = predict(snapshot(people=(role(identity=only, boundary=EVERYTHING),), **point()), BY_POINT)
    assert refused.expected is Expected.IMPLICIT_DENY


def test_anothers_access_point_is_under_that_accounts_organization() -> None:
    arn = f"arn:aws:s3:{REGION}:{OTHER}:accesspoint/way"
    row = AccessPointRow(
        arn=arn, account=OTHER, vpc=None, policy=policy(statement("Allow", Resource="*")), block=BlockRow()
    )
    mine = {"StringEquals": {"s3:DataAccessPointAccount": OTHER}}
    target = Target(bucket="reports", name="way", host=arn)

    def asked(theirs: Any) -> Any:
        found = snapshot(
            statement("Allow", conditions=mine),
            points={arn: row},
            accounts=(account(), account("partner", OTHER, organization=theirs)),
        )
        return predict(found, cell(who="app:known", target=target))

    denies = policy(statement(sid="Theirs", Resource="*", conditions={"StringEquals": {"aws:ResourceAccount": OTHER}}))
    closed = OrganizationRow(id="o-2", management_account="1", path="o-2/", scps=(), rcps=((denies,),))
    assert asked(None).expected is Expected.ALLOW
    found = asked(closed)
    assert (found.expected, found.layer, found.resource) == (Expected.EXPLICIT_DENY, "rcp", f"{BUCKET}/canary")
    named = {"StringEquals": {"aws:ResourceOrgID": "o-2"}}
    keyed = replace(closed, rcps=((policy(statement(Resource="*", conditions=named)),),))
    assert asked(keyed).expected is Expected.EXPLICIT_DENY
    assert asked(replace(keyed, management_account=OTHER)).expected is Expected.ALLOW
    assert asked(Unread(unread="you may not")).expected is Expected.UNKNOWN


def test_a_boundary_that_lets_the_access_point_in_is_not_asked_again() -> None:
    named = policy(statement("Allow", Principal=None, Resource=f"{POINT}/object/*"), name="b")
    found = snapshot(people=(role(identity=(named,), boundary=named),), **point())
    assert predict(found, BY_POINT).expected is Expected.ALLOW


def test_an_access_point_of_a_vpc_takes_what_comes_by_that_vpc() -> None:
    assert predict(snapshot(**point(vpc=VPC)), BY_POINT).expected is Expected.ALLOW
    found = predict(snapshot(**point(vpc="vpc-9")), BY_POINT)
    assert (found.expected, found.why) == (
        Expected.IMPLICIT_DENY,
        f"access point {POINT} takes only what comes by endpoints of vpc-9",
    )


def test_an_access_point_that_was_not_read() -> None:
    for points in ({}, {POINT: NO}, point(policy=NO)["points"]):
        found = predict(snapshot(points=points), BY_POINT)
        assert found.expected is Expected.UNKNOWN
        assert found.unread["resource"]


def test_the_strictest_block_of_point_bucket_and_account_counts() -> None:
    public = statement("Allow", Resource=f"{POINT}/object/*")
    stranger = replace(BY_POINT, principal="partner", vantage="known")
    trusts = statement("Allow", sid="Delegate", Principal={"AWS": OTHER})
    assert predict(snapshot(trusts, **point(public)), stranger).expected is Expected.ALLOW
    closed = BlockRow(restrict_public_buckets=True)
    found = predict(snapshot(trusts, **point(public, block=closed)), stranger)
    assert (found.expected, found.layer) == (Expected.EXPLICIT_DENY, "block_public_access")
    assert predict(snapshot(trusts, **point(public, block=closed)), BY_POINT).expected is Expected.ALLOW
    past = replace(stranger, target=Target(bucket="reports"))
    assert predict(snapshot(trusts, **point(public, block=closed)), past).expected is Expected.ALLOW


def test_an_access_points_block_is_unknown_where_the_point_is() -> None:
    stranger = replace(BY_POINT, principal="partner", vantage="known")
    found = predict(snapshot(statement("Allow"), points={POINT: NO}), stranger)
    assert (found.expected, found.unread["block_public_access"]) == (Expected.UNKNOWN, NO.unread)


def test_why_a_policy_does_not_parse_is_told_of_every_cell() -> None:
    predictor = Predictor(snapshot(statement("Perhaps")), now=NOW, builder=BUILDER)
    first, second = (predictor.predict(cell(name)) for name in ("GetObject", "PutObject"))
    assert "Effect must be Allow or Deny" in first.unread["resource"]
    assert second.unread == first.unread


# --- keys ------------------------------------------------------------------------------------------------------------


def key(*rows: dict[str, Any], **changes: Any) -> KeyRow:
    found = KeyRow(named=KEY, arn=KEY, account=OWNER, policy=policy(*rows, name="key policy"))
    return replace(found, **changes)


TRUSTS = statement("Allow", Principal={"AWS": OWNER}, Action="kms:*", Resource="*")
SEALED = {
    "objects": {"canary": ObjectRow(encryption="aws:kms", key=KEY)},
    "encryption": EncryptionRow(algorithm="aws:kms", key=KEY),
}


@pytest.mark.parametrize("name", ["GetObject", "PutObject"])
def test_kms_is_asked_too(name: str) -> None:
    assert predict(_with_key(key(TRUSTS)), cell(name)).expected is Expected.ALLOW
    refused = predict(_with_key(key()), cell(name))
    action = {"GetObject": "kms:Decrypt", "PutObject": "kms:GenerateDataKey"}[name]
    assert (refused.expected, refused.action, refused.layer) == (Expected.IMPLICIT_DENY, action, "kms")
    denied = predict(_with_key(key(TRUSTS, statement(Action="kms:*", Resource="*"))), cell(name))
    assert (denied.expected, denied.layer) == (Expected.EXPLICIT_DENY, "kms")
    assert predict(_with_key(key(policy=NO)), cell(name)).unread == {"kms": "AccessDenied: you may not"}


def _with_key(*rows: KeyRow, **changes: Any) -> Any:
    found = snapshot(**{**SEALED, **changes})
    return replace(found, keys=rows)


def test_which_key_it_is() -> None:
    assert predict(_with_key(), cell()).why == f"the key that encrypts the object: key `{KEY}` was not read"
    made = _with_key(key(), objects={})
    assert predict(made).action == "kms:Decrypt"
    neither = _with_key(key(), objects={}, encryption=NO)
    assert predict(neither).expected is Expected.UNKNOWN
    plain = _with_key(key(), objects={}, encryption=EncryptionRow(algorithm="AES256"))
    assert predict(plain).expected is Expected.ALLOW
    assert predict(_with_key(key(), objects={"canary": None})).expected is Expected.ALLOW
    own = cell("PutObject", parameters={"ServerSideEncryption": "AES256"}, variant="a")
    assert predict(_with_key(key()), own).expected is Expected.ALLOW
    named = cell("PutObject", parameters={"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY}, variant="k")
    assert predict(_with_key(key(), encryption=None), named).layer == "kms"
    customer = cell("PutObject", parameters={"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}, variant="c")
    assert predict(_with_key(key()), customer).expected is Expected.ALLOW


@pytest.mark.parametrize("algorithm", ["AES256", "aws:kms"])
def test_an_object_whose_head_was_not_read_may_have_any_key(algorithm: str) -> None:
    encryption = EncryptionRow(algorithm=algorithm, key=KEY)
    found = predict(_with_key(key(TRUSTS), objects={"canary": NO}, encryption=encryption))
    assert (found.expected, found.action, found.unread) == (Expected.UNKNOWN, "kms:Decrypt", {"kms": NO.unread})


THEIR_KEY = f"arn:aws:kms:{REGION}:{OTHER}:key/k"
SHARED = key(statement("Allow", Action="kms:*", Resource="*"), arn=THEIR_KEY, account=OTHER)
MANAGER = "999988887777"


def member(*rcps: dict[str, Any], **changes: Any) -> OrganizationRow:
    levels = ((policy(*rcps, name="rcp"),),) if rcps else ()
    found = OrganizationRow(id="o-1", management_account=MANAGER, path="o-1/r-1/", scps=((EVERYTHING,),), rcps=levels)
    return replace(found, **changes)


def _of_two(mine: Any, theirs: Any, **changes: Any) -> Any:
    accounts = (account(organization=mine), account("partner", OTHER, organization=theirs))
    return _with_key(SHARED, accounts=accounts, **changes)


def test_a_key_of_another_account_is_under_that_accounts_organization() -> None:
    sealed = statement(sid="Sealed", Action="kms:*", Resource="*")
    theirs = predict(_of_two(member(), member(sealed)))
    assert (theirs.expected, theirs.action, theirs.layer) == (Expected.EXPLICIT_DENY, "kms:Decrypt", "rcp")
    assert predict(_of_two(member(sealed), member())).expected is Expected.ALLOW
    assert predict(_of_two(member(), member(sealed, management_account=OTHER))).expected is Expected.ALLOW
    unread = predict(_of_two(member(), member(rcps=NO)))
    assert (unread.expected, unread.unread) == (Expected.UNKNOWN, {"rcp": NO.unread})


def _outside(**conditions: str) -> tuple[Any, ...]:
    """An identity that may not use KMS where the resource is not what the conditions say."""
    named = {"account": "aws:ResourceAccount", "org": "aws:ResourceOrgID", "tag": "aws:ResourceTag/class"}
    keys = {named[name]: value for name, value in conditions.items()}
    deny = statement(Principal=None, Action="kms:*", Resource="*", conditions={"StringNotEquals": keys})
    return (role(identity=(EVERYTHING, policy(deny, name="perimeter"))),)


def test_at_kms_the_resource_is_the_key() -> None:
    assert predict(_of_two(None, None, people=_outside(account=OTHER))).expected is Expected.ALLOW
    refused = predict(_of_two(None, None, people=_outside(account=OWNER)))
    assert (refused.expected, refused.action) == (Expected.EXPLICIT_DENY, "kms:Decrypt")
    other = member(id="o-2")
    assert predict(_of_two(member(), other, people=_outside(org="o-2"))).expected is Expected.ALLOW
    assert predict(_of_two(member(), other, people=_outside(org="o-1"))).expected is Expected.EXPLICIT_DENY


def test_what_is_not_known_of_a_key_is_in_doubt() -> None:
    unread = predict(_of_two(None, NO, people=_outside(org="o-1")))
    assert (unread.expected, unread.action) == (Expected.UNKNOWN, "kms:Decrypt")
    tagged = predict(_of_two(None, None, people=_outside(tag="open")))
    assert tagged.why == "it depends on what is not known: aws:resourcetag/class"
    alias = _with_key(key(named="alias/k", arn="alias/k", policy=NO), people=_outside(account=OTHER))
    sealed = {"canary": ObjectRow(encryption="aws:kms", key="alias/k")}
    found = predict(replace(alias, buckets=(replace(alias.buckets[0], objects=sealed),)))
    assert (found.expected, found.action) == (Expected.UNKNOWN, "kms:Decrypt")


def test_awss_own_key_serves_its_account_alone() -> None:
    managed = KeyRow(named="m", arn="m", account=OWNER, policy=NO, managed=True)
    sealed = {"objects": {"canary": ObjectRow(encryption="aws:kms")}}
    found = _with_key(managed, **sealed)
    assert predict(found).expected is Expected.ALLOW
    open_ = replace(found, buckets=(replace(found.buckets[0], policy=policy(OPEN)),))
    theirs = predict(open_, cell(who="partner:known"))
    assert (theirs.expected, theirs.why) == (
        Expected.IMPLICIT_DENY,
        f"AWS's own key of {OWNER} serves that account alone",
    )
    assert predict(_with_key(**sealed)).expected is Expected.ALLOW  # what nobody can change need not be read


def test_unsigned_requests_for_sealed_objects_are_answered_with_no_denial() -> None:
    found = _with_key(key(TRUSTS), policy=policy(statement("Allow")))
    for held in (found, replace(found, keys=(key(managed=True),))):
        asked_for = predict(held, cell(who="anonymous:known"))
        assert asked_for.expected is Expected.UNKNOWN
        assert "unsigned requests" in asked_for.why
    assert predict(_with_key(key(TRUSTS)), cell(who="anonymous:known")).expected is Expected.IMPLICIT_DENY


# --- doubt -----------------------------------------------------------------------------------------------------------


def asked(**context: str) -> Request:
    return Request(
        action="s3:GetObject",
        resource=f"{BUCKET}/k",
        resource_account=OWNER,
        principal=f"arn:aws:sts::{OWNER}:assumed-role/app/s",
        context=context,
    )


IP = Doubt(keys=frozenset({"aws:sourceip"}))
BY_IP = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}


def test_doubt_is_told_only_where_it_matters() -> None:
    identity = (parse(dict(EVERYTHING.document), name="i"),)
    guarded = parse({"Statement": [statement(conditions=BY_IP)]})
    found = decide_in_doubt(asked(), Policies(identity=identity, resource=guarded), IP)
    assert (found.decision.effect.value, found.missing) == ("unknown", ("aws:sourceip",))
    nothing = decide_in_doubt(asked(), Policies(identity=(), resource=guarded), IP)
    assert (nothing.decision.effect.value, nothing.missing) == ("implicit_deny", ())
    plain = decide_in_doubt(asked(), Policies(identity=identity), IP)
    assert plain.decision == decide(asked(), Policies(identity=identity))
    both = decide_in_doubt(asked(), Policies(identity=UNKNOWN, resource=guarded), IP)
    assert both.decision.effect.value == "unknown"


def test_an_allow_in_doubt_does_not_make_a_policy_public() -> None:
    allow = parse({"Statement": [statement("Allow", conditions={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}})]})
    foreign = replace(asked(), principal=f"arn:aws:sts::{OTHER}:assumed-role/p/s")
    identity = (parse(dict(EVERYTHING.document), name="i"),)
    found = decide_in_doubt(foreign, Policies(identity=identity, resource=allow, restrict_public_buckets=True), IP)
    assert (found.decision.effect.value, found.missing) == ("unknown", ("aws:sourceip",))
    public = parse({"Statement": [statement("Allow"), statement("Allow", conditions=BY_IP)]})
    found = decide_in_doubt(foreign, Policies(identity=identity, resource=public, restrict_public_buckets=True), IP)
    assert found.decision.layer == "block_public_access"
    by_org = parse({"Statement": [statement("Allow", conditions={"StringEquals": {"aws:VpceOrgID": "o-1"}})]})
    org = Doubt(keys=frozenset({"aws:vpceorgid"}))
    rows = Policies(identity=identity, resource=by_org, restrict_public_buckets=True)
    assert decide_in_doubt(foreign, rows, org).decision.layer == "block_public_access"
    calibrated = replace(rows, doubts=Doubts(fixed_keys=frozenset({"aws:vpceorgid"})))
    found = decide_in_doubt(foreign, calibrated, org)
    assert (found.decision.effect.value, found.missing) == ("unknown", ("aws:vpceorgid",))


def test_families_of_keys() -> None:
    doubt = IP.joined(Doubt(prefixes=("aws:principaltag/",)))
    assert doubt.about(frozenset({"aws:principaltag/team", "aws:sourceip", "aws:sourcevpc"})) == {
        "aws:principaltag/team",
        "aws:sourceip",
    }
