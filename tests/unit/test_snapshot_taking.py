"""Snapshots taken in the lab without sockets: organizations, boundaries, places of every kind, what is not there."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from pydantic import ValidationError

from pytest_s3vpce.errors import CredentialError
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.model import Cell, Target
from pytest_s3vpce.points import Ec2, Lambda, Local
from pytest_s3vpce.predict import Predictor
from pytest_s3vpce.references import References
from pytest_s3vpce.run import describing
from pytest_s3vpce.run.describing import describe
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.snapshotrights import snapshot_permissions
from pytest_s3vpce.run.snapshotting import take
from pytest_s3vpce.run.standing import of_function, of_instance, session_of
from pytest_s3vpce.run.world import World
from pytest_s3vpce.snapshot import organization
from pytest_s3vpce.snapshot.asking import asked, joined, policy
from pytest_s3vpce.snapshot.buckets import access_point, key
from pytest_s3vpce.snapshot.paths import network_row
from pytest_s3vpce.snapshot.state import (
    AccessPointRow,
    KeyRow,
    OrganizationRow,
    PolicyRow,
    Snapshot,
    Unread,
    VantageRow,
    schema,
    unread,
)
from tests.unit import labnetwork
from tests.unit.labaccounts import Sessions
from tests.unit.labstage import REGION, Stage, allow, deny, make_role
from tests.unit.labstage import policy as text_of
from tests.unit.test_claims import ENDPOINT_ONLY

MANAGEMENT = "740000000001"
BUCKET = f"taken-{MANAGEMENT}"
MEMBERS = "taken-by-a-member"


@dataclass
class Taken:
    """A snapshot, and what it was taken of."""

    stage: Stage
    world: World
    snapshot: Snapshot
    member: str
    organization: str
    units: list[str]


class Limited(Sessions):
    """One principal can't sign, one has a session policy; the third account has no credentials."""

    def client(self, service: str, *, account: str, region: str | None = None) -> Any:
        if account == "lost":
            raise CredentialError("account `lost` has no credentials")
        return super().client(service, account=account, region=region)

    def signed_session(self, kind: Any, *, region: str) -> Any:
        if kind.principal == "keyless":
            raise CredentialError("the variable KEYLESS is not set")
        return super().signed_session(kind, region=region)

    def own_policy(self, principal: str) -> Any:
        return {"Statement": [allow("*")]} if principal == "narrowed" else None


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    stage = Stage(MANAGEMENT)
    admin = stage.admin(MANAGEMENT)
    organizations = admin.client("organizations")
    found = organizations.create_organization(FeatureSet="ALL")["Organization"]
    root = organizations.list_roots()["Roots"][0]["Id"]
    for kind in ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"):
        organizations.enable_policy_type(RootId=root, PolicyType=kind)
    unit = organizations.create_organizational_unit(ParentId=root, Name="u")["OrganizationalUnit"]["Id"]
    made = organizations.create_account(AccountName="member", Email="m@example.com")["CreateAccountStatus"]
    member = made["AccountId"]
    organizations.move_account(AccountId=member, SourceParentId=root, DestinationParentId=unit)
    content = text_of(deny("s3:ListBucket", Condition={"StringEquals": {"aws:PrincipalOrgID": found["Id"]}}))
    limits = organizations.create_policy(Content=content, Description="", Name="n", Type="SERVICE_CONTROL_POLICY")
    organizations.attach_policy(PolicyId=limits["Policy"]["PolicySummary"]["Id"], TargetId=unit)
    people = {
        "main": admin,
        "member": admin.assume(f"arn:aws:iam::{member}:role/OrganizationAccountAccessRole"),
    }
    net = labnetwork.make(admin, MANAGEMENT, "10.7")
    net.gateway()
    iam = admin.client("iam")
    boundary = iam.create_policy(PolicyName="limit", PolicyDocument=text_of(allow("s3:*")))["Policy"]["Arn"]
    trust = {"AWS": MANAGEMENT}
    make_role(admin, "app", allow("*"), trust=trust, PermissionsBoundary=boundary, Tags=[{"Key": "a", "Value": "b"}])
    make_role(people["member"], "theirs", allow("*"), trust=trust)
    make_role(admin, "machine", allow("*"), trust={"Service": "ec2.amazonaws.com"})
    iam.create_instance_profile(InstanceProfileName="machine")
    iam.add_role_to_instance_profile(InstanceProfileName="machine", RoleName="machine")
    instance = net.ec2.run_instances(
        ImageId="ami-12345678",
        MinCount=1,
        MaxCount=1,
        SubnetId=net.a,
        SecurityGroupIds=[net.group],
        IamInstanceProfile={"Name": "machine"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "bastion"}]}],
    )["Instances"][0]["InstanceId"]
    for who, bucket in ((admin, BUCKET), (people["member"], MEMBERS)):
        s3 = who.client("s3")
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="canary", Body=b"x")
    inventory = {
        "accounts": {
            "main": {"id": MANAGEMENT, "region": REGION},
            "member": {"id": member, "region": REGION},
            "lost": {"id": "749999999999", "region": REGION},
        },
        "principals": {
            "app": {
                "role": f"arn:aws:iam::{MANAGEMENT}:role/app",
                "session_tags": {"a": "c"},
                "session_name": "nightly",
            },
            "theirs": {"role": f"arn:aws:iam::{member}:role/theirs", "account": "member"},
            "narrowed": {"role": f"arn:aws:iam::{MANAGEMENT}:role/app", "session_policy": {"Statement": []}},
            "root": {"keys": {"access_key_id": "A", "secret_access_key": "B"}},
            "session": {"profile": "session"},
            "keyless": {"profile": "keyless"},
            "own": {"ambient": True},
            "url": {"presigned": {"by": "app", "age": "10m"}},
        },
        "vantage_points": {
            "machine": {"ec2": {"instance": instance}},
            "tagged": {"ec2": {"tags": {"Name": "bastion"}}},
            "stopped": {"ec2": {"tags": {"Name": "nobody"}}},
            "made": {"ec2": {"subnet": net.b, "security_groups": net.group, "profile": "machine"}},
            "function": {
                "lambda": {
                    "subnets": net.a,
                    "security_groups": net.group,
                    "role": f"arn:aws:iam::{MANAGEMENT}:role/app",
                }
            },
            "unnamed": {"lambda": {"function": "none"}},
            "elsewhere": {"lambda": {"account": "lost", "subnets": "subnet-0a", "security_groups": "sg-0a"}},
            "proxied": {"local": {"proxy": "http://proxy.example.com:3128"}},
            "here": {"local": {"address": "203.0.113.7"}},
            "bastion": {"command": ["ssh", "bastion"]},
        },
        "buckets": {
            "reports": {"name": BUCKET, "canary": "canary", "keys": {"gone": "2026/none"}},
            "theirs": {"name": MEMBERS, "account": "member", "canary": "canary"},
            "lost": {"name": "lost-bucket", "account": "lost", "canary": "canary"},
            "pointed": {
                "name": BUCKET,
                "canary": "canary",
                "hosts": {"far": f"arn:aws:s3:{REGION}:748888888888:accesspoint/far"},
            },
        },
        "controls": {"main": {"name": BUCKET, "canary": "canary"}},
    }
    folder = tmp_path_factory.mktemp("taken")
    (folder / "s3vpce.yaml").write_text(json.dumps(inventory), encoding="utf-8")
    keys = {"root": stage.root(MANAGEMENT), "session": admin}
    sessions: Any = Limited(people, keys)
    world = World(load_inventory(folder / "s3vpce.yaml"), References(None), sessions, run_id="taken")
    snapshot = take(world, Environment(mode="lab", address="198.51.100.10"), kms_keys=["alias/aws/s3"])
    return Taken(stage, world, snapshot, member, found["Id"], [root, unit])


def test_the_place_in_an_organization_with_the_policies_of_each_level(taken: Taken) -> None:
    main, member, lost = (taken.snapshot.account(name) for name in ("main", "member", "lost"))
    assert main is not None
    assert member is not None
    assert lost is not None
    assert isinstance(main.organization, OrganizationRow)
    place = member.organization
    assert isinstance(place, OrganizationRow)
    assert (place.id, place.management_account) == (taken.organization, MANAGEMENT)
    assert place.path == f"{taken.organization}/{taken.units[0]}/{taken.units[1]}/"
    assert isinstance(place.scps, tuple)
    assert [len(level) for level in place.scps] == [1, 2, 1]
    assert isinstance(place.rcps, tuple)
    assert [len(level) for level in place.rcps] == [1, 1, 1]
    assert lost.organization == lost.block == Unread(unread="account `lost` has no credentials")


def test_a_service_control_policy_is_predicted(taken: Taken) -> None:
    def ask(operation: str) -> Any:
        action = {"GetObject": "s3:GetObject", "ListObjectsV2": "s3:ListBucket"}[operation]
        target = Target(bucket="theirs")
        cell = Cell(operation=operation, action=action, target=target, principal="theirs", vantage="here")
        return Predictor(taken.snapshot).predict(cell)

    assert ask("GetObject").expected is Expected.ALLOW
    denied = ask("ListObjectsV2")
    assert (denied.expected, denied.layer) == (Expected.EXPLICIT_DENY, "scp")


def test_principals_of_every_kind(taken: Taken) -> None:
    rows = {row.name: row for row in taken.snapshot.principals}
    app = rows["app"]
    assert (app.kind, app.session_name, app.tags) == ("role", "nightly", {"a": "c"})
    assert isinstance(app.boundary, PolicyRow)
    assert app.boundary.name.endswith(":policy/limit")
    assert rows["narrowed"].session == PolicyRow(name="session policy", document={"Statement": [allow("*")]})
    assert (rows["root"].kind, rows["root"].id) == ("root", MANAGEMENT)
    assert (rows["session"].kind, rows["session"].arn.rpartition("/")[2]) == ("role", "s3vpce-runner")
    assert (rows["keyless"].kind, rows["keyless"].why) == ("unknown", "the variable KEYLESS is not set")
    assert (rows["own"].kind, rows["url"].kind, rows["url"].by, rows["url"].age) == ("ambient", "presigned", "app", 600)


def test_places_of_every_kind(taken: Taken) -> None:
    rows = {row.name: row for row in taken.snapshot.vantages}
    assert rows["machine"].role is not None
    assert rows["machine"].role.arn.endswith(":role/machine")
    assert rows["machine"].private_ip
    assert rows["tagged"].subnets == rows["machine"].subnets
    brought = rows["machine"].brought or {}
    arn = brought["ec2:SourceInstanceARN"]
    assert brought == {
        "ec2:SourceInstanceARN": arn,
        "ec2:RoleDelivery": "2.0",
        "aws:Ec2InstanceSourceVpc": brought["aws:Ec2InstanceSourceVpc"],
        "aws:Ec2InstanceSourcePrivateIPv4": rows["machine"].private_ip,
    }
    assert arn.startswith(f"arn:aws:ec2:{REGION}:{MANAGEMENT}:instance/i-")
    assert rows["machine"].role.session_name == arn.rpartition("/")[2]
    assert (rows["made"].brought, rows["function"].brought) == (None, None)
    assert rows["stopped"].why == "no such instance is running"
    assert rows["made"].subnets
    assert rows["made"].role is not None
    assert rows["function"].role is not None
    assert "none" in rows["unnamed"].why
    assert rows["elsewhere"].why == "account `lost` has no credentials"
    assert rows["proxied"].why == "what network a local vantage point sends from is not known"
    assert rows["here"].public_ip == "198.51.100.10"
    assert rows["bastion"].why == "what network a command vantage point sends from is not known"


def test_the_address_of_this_machine_may_be_written_down(taken: Taken) -> None:
    rows = {row.name: row for row in take(taken.world, Environment()).vantages}
    assert rows["here"].public_ip == "203.0.113.7"


@pytest.mark.parametrize(("given", "ok"), [("2001:db8::1", True), ("${env:ADDRESS}", True), ("somewhere", False)])
def test_an_address_is_one_or_a_reference(given: str, *, ok: bool) -> None:
    if ok:
        assert Local(address=given).address == given
    else:
        with pytest.raises(ValidationError, match="`somewhere` is no address"):
            Local(address=given)


def test_buckets_and_what_is_not_there(taken: Taken) -> None:
    rows = {row.label: row for row in taken.snapshot.buckets}
    assert rows["reports"].objects["2026/none"] is None
    assert rows["reports"].policy is None
    assert isinstance(rows["lost"].policy, Unread)
    assert isinstance(next(iter(rows["pointed"].points.values())), Unread)
    assert "control:main" in rows
    assert taken.snapshot.keys[0].managed
    assert "buckets[lost].policy" in {where for where, _ in unread(taken.snapshot)}
    assert any(where.startswith("networks[") for where, _ in unread(taken.snapshot))


def test_it_is_read_back_and_has_a_schema(taken: Taken) -> None:
    again = Snapshot.from_json(taken.snapshot.to_json())
    for one, other in zip(again.buckets, taken.snapshot.buckets, strict=True):
        assert one == other
    assert again == taken.snapshot
    made = schema()
    written = Path(__file__).parent.parent.parent / "docs" / "schema" / "snapshot.schema.json"
    assert json.loads(written.read_text(encoding="utf-8")) == made
    assert made["properties"]["format"] == {"const": "s3vpce-snapshot/1"}
    assert set(json.loads(taken.snapshot.to_json())) == set(made["properties"])


def test_every_call_is_among_the_rights_that_are_printed(taken: Taken) -> None:
    rights = {
        action
        for account in snapshot_permissions(taken.world.inventory, Environment()).accounts
        for row in account.runner["Statement"]
        for action in row["Action"]
    }
    renamed = {
        "s3:HeadObject": "s3:GetObject",
        "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
        "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
        "s3control:GetAccountPublicAccessBlock": "s3:GetAccountPublicAccessBlock",
    }
    taken.stage.notes.clear()
    take(taken.world, Environment(mode="lab"))
    asked_for = {f"{note['service']}:{note['operation']}" for note in taken.stage.notes if note.get("operation")}
    asked_for -= {"sts:GetCallerIdentity"}
    assert len(asked_for) > 20
    assert {renamed.get(name, name) for name in asked_for} <= rights


# --- parts, against answers that are made up -------------------------------------------------------------------------


def refused(code: str = "AccessDenied") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "you may not"}}, "Operation")


def test_one_question() -> None:
    def fails(error: Exception) -> Any:
        raise error

    assert asked(lambda: 7) == 7
    assert asked(lambda: fails(refused("Gone")), absent=("Gone",)) is None
    assert asked(lambda: fails(refused())) == Unread(unread="AccessDenied: you may not")
    assert asked(lambda: fails(CredentialError("no keys"))) == Unread(unread="no keys")


def test_policies_from_text() -> None:
    assert policy('{"Statement": []}', name="p") == PolicyRow(name="p", document={"Statement": []})
    assert policy("{", name="p") == Unread(unread="the policy `p` is not JSON")
    assert policy("[]", name="p") == Unread(unread="the policy `p` is no JSON object")
    row = PolicyRow(name="p", document={})
    assert joined([row, Unread(unread="no")]) == Unread(unread="no")
    assert joined([row]) == (row,)


def client(service: str) -> Any:
    return boto3.client(service, aws_access_key_id="a", aws_secret_access_key="s", region_name=REGION)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def organizations() -> Any:
    return client("organizations")


def test_a_member_account_may_not_read_its_organizations_levels(organizations: Any) -> None:
    about = {"Organization": {"Id": "o-abcdefghij", "MasterAccountId": "111122223333"}}
    with Stubber(organizations) as stub:
        stub.add_response("describe_organization", about)
        stub.add_client_error("list_parents", "AccessDeniedException", "you may not")
        found = organization.place_of(organizations, "444455556666", of_management={})
    why = Unread(unread="AccessDeniedException: you may not")
    assert found == OrganizationRow(id="o-abcdefghij", management_account="111122223333", path=why, scps=why, rcps=why)
    with Stubber(organizations) as stub:
        stub.add_client_error("describe_organization", "AWSOrganizationsNotInUseException")
        assert organization.place_of(organizations, "444455556666", of_management={}) is None


def test_levels_are_none_where_the_type_is_not_in_use_and_unread_where_one_is(organizations: Any) -> None:
    about = {"Organization": {"Id": "o-abcdefghij", "MasterAccountId": "111122223333"}}
    parents = {"Parents": [{"Id": "r-ab12", "Type": "ROOT"}]}
    with Stubber(organizations) as stub:
        stub.add_response("describe_organization", about)
        stub.add_response("list_parents", {"Parents": [], "NextToken": "more"})  # as Organizations says it may be
        stub.add_response("list_parents", parents, {"ChildId": "444455556666", "NextToken": "more"})
        stub.add_client_error("list_policies_for_target", "PolicyTypeNotEnabledException")
        stub.add_client_error("list_policies_for_target", "AccessDeniedException", "you may not")
        found = organization.place_of(organizations, "444455556666", of_management={})
    assert isinstance(found, OrganizationRow)
    assert (found.scps, found.rcps) == ((), Unread(unread="AccessDeniedException: you may not"))


def test_what_spares_somebody_from_the_policies_over_a_members_bucket_is_read_by_the_management(taken: Taken) -> None:
    client = taken.stage.admin(MANAGEMENT).client("organizations")
    spared = {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/admin"}, "Null": {"aws:SourceVpce": "true"}}
    text = text_of(deny("s3:*", Principal="*", Condition=spared))
    given = {"Description": "", "Name": "perimeter", "Type": "RESOURCE_CONTROL_POLICY"}
    made = client.create_policy(Content=text, **given)["Policy"]["PolicySummary"]["Id"]
    client.attach_policy(PolicyId=made, TargetId=taken.units[1])
    try:
        claims = [replace(ENDPOINT_ONLY, bucket=label) for label in ("theirs", "reports", "lost")]
        told = describe(taken.world, [], claims).controls
    finally:
        client.detach_policy(PolicyId=made, TargetId=taken.units[1])
        client.delete_policy(PolicyId=made)
    assert told["theirs"] is not None
    assert list(map(str, told["theirs"])) == [
        f"`statement 0 of {made}` holds only where ArnNotLike aws:PrincipalArn arn:aws:iam::*:role/admin",
        f"`statement 0 of {made}` holds only where Null aws:SourceVpce true",
    ]
    assert (told["reports"], told["lost"]) == ((), None)


def test_policies_over_buckets_are_read_once_for_an_account(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def controls_over(_client: Any, account_id: str, **_: Any) -> tuple[()]:
        asked.append(account_id)
        return ()

    monkeypatch.setattr(describing, "controls_over", controls_over)
    labels = list(taken.world.inventory.buckets)
    told = describe(taken.world, [], [replace(ENDPOINT_ONLY, bucket=label) for label in labels]).controls
    assert {*told} == {*labels}
    assert len(asked) == len({*asked}) < len(labels)


def test_policies_over_buckets_may_not_be_read(organizations: Any) -> None:
    about = {"Organization": {"Id": "o-abcdefghij", "MasterAccountId": "111122223333"}}
    with Stubber(organizations) as stub:
        stub.add_client_error("describe_organization", "AWSOrganizationsNotInUseException")
        stub.add_response("describe_organization", about)
        stub.add_client_error("describe_organization", "AccessDeniedException", "you may not")
        stub.add_response("describe_organization", about)
        stub.add_client_error("list_parents", "AccessDeniedException", "you may not")
        found = [
            organization.controls_over(organizations, account, of_management={})
            for account in ("444455556666", "111122223333", "444455556666", "444455556666")
        ]
    unread = Unread(unread="AccessDeniedException: you may not")
    assert found == [(), (), unread, unread]


def test_keys_by_alias_and_without_rights() -> None:
    kms = client("kms")
    arn = f"arn:aws:kms:{REGION}:111122223333:key/k"
    with Stubber(kms) as stub:
        stub.add_response("describe_key", {"KeyMetadata": {"KeyId": "k", "Arn": arn, "KeyManager": "CUSTOMER"}})
        stub.add_response("get_key_policy", {"Policy": '{"Statement": []}'})
        found = key(kms, "alias/mine", account="111122223333", region=REGION)
        assert (found.named, found.arn, found.account, found.managed) == ("alias/mine", arn, "111122223333", False)
        stub.add_client_error("describe_key", "AccessDeniedException", "you may not")
        stub.add_client_error("get_key_policy", "AccessDeniedException", "you may not")
        found = key(kms, "alias/mine", account="111122223333", region=REGION)
        assert found == KeyRow(
            named="alias/mine",
            arn="alias/mine",
            account="111122223333",
            policy=Unread(unread="AccessDeniedException: you may not"),
        )


def test_access_points() -> None:
    control = client("s3control")
    arn = f"arn:aws:s3:{REGION}:111122223333:accesspoint/way"
    with Stubber(control) as stub:
        stub.add_response("get_access_point", {"VpcConfiguration": {"VpcId": "vpc-1"}})
        stub.add_client_error("get_access_point_policy", "NoSuchAccessPointPolicy")
        found = access_point(control, arn)
        assert isinstance(found, AccessPointRow)
        assert (found.vpc, found.policy) == ("vpc-1", None)
        stub.add_response("get_access_point", {})
        stub.add_response("get_access_point_policy", {"Policy": '{"Statement": []}'})
        found = access_point(control, arn)
        assert isinstance(found, AccessPointRow)
        assert found.policy == PolicyRow(name="policy of access point way", document={"Statement": []})
        stub.add_client_error("get_access_point", "AccessDenied", "you may not")
        assert access_point(control, arn) == Unread(unread="AccessDenied: you may not")


class Plain:
    """A world whose names stand for themselves."""

    def resolve(self, text: str, *_path: str) -> str:
        return text

    def chosen(self, given: Any, *_path: str) -> Any:
        return given

    def account_id(self, _name: str) -> str:
        return "111122223333"


def test_two_snapshots_of_the_same_are_the_same(taken: Taken) -> None:
    again = take(taken.world, Environment(mode="lab", address="198.51.100.10"), kms_keys=["alias/aws/s3"])
    assert replace(again, taken_at=0).to_json() == replace(taken.snapshot, taken_at=0).to_json()


def test_networks_are_in_the_order_of_ids(taken: Taken) -> None:
    ec2 = taken.stage.admin(MANAGEMENT).client("ec2")
    found = network_row(ec2, region=REGION, account_id=MANAGEMENT).topology
    assert not isinstance(found, Unread)
    ids = [row.id for row in found.subnets]
    assert len(ids) > 2
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("network", "subnets", "why"),
    [
        ({"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"], "Ipv6AllowedForDualStack": True}, ("subnet-1",), ""),
        ({}, (), "the function stands in no VPC, so its public address is one of AWS's own"),
    ],
)
def test_functions_that_are_there(network: dict[str, Any], subnets: tuple[str, ...], why: str) -> None:
    arn = "arn:aws:lambda:us-east-1:111122223333:function:probe"
    about = {"VpcConfig": network, "Role": "arn:aws:iam::111122223333:role/f", "FunctionArn": arn}
    functions = SimpleNamespace(get_function_configuration=lambda FunctionName: about)  # noqa: N803 - boto3's
    world: Any = Plain()
    row = VantageRow(name="f", kind="lambda")
    found, role = of_function(row, None, functions, world, Lambda(function="probe"))
    assert (found.subnets, found.why, role) == (subnets, why, "arn:aws:iam::111122223333:role/f")
    assert found.dual_stack is bool(network)
    assert (found.brought, session_of(found)) == ({"lambda:SourceFunctionArn": arn}, "probe")
    about["FunctionArn"] = f"{arn}:live"
    found, _ = of_function(row, None, functions, world, Lambda(function="probe:live"))
    assert (found.brought, session_of(found)) == (None, None)


def test_places_that_may_not_be_described() -> None:
    world: Any = Plain()

    def fails(**_: Any) -> Any:
        raise refused()

    functions = SimpleNamespace(get_function_configuration=fails)
    row = VantageRow(name="f", kind="lambda")
    found, role = of_function(row, None, functions, world, Lambda(function="probe"))
    assert (found.why, role) == ("AccessDenied: you may not", None)
    ec2 = SimpleNamespace(describe_subnets=fails, get_paginator=lambda _: SimpleNamespace(paginate=fails))
    found, _ = of_function(row, ec2, None, world, Lambda(subnets={"tags": {"Tier": "app"}}, security_groups=["sg-0a"]))
    assert found.why == "its subnets could not be described"
    found, _ = of_instance(row, ec2, None, world, Ec2(instance="i-0123456789abcdef0"))
    assert found.why == "AccessDenied: you may not"
    bare = {
        "InstanceId": "i-0123456789abcdef0",
        "NetworkInterfaces": [{"Ipv6Addresses": [{"Ipv6Address": "2001:db8::1"}]}],
    }
    pages = SimpleNamespace(paginate=lambda **_: [{"Reservations": [{"Instances": [bare]}]}])
    ec2 = SimpleNamespace(get_paginator=lambda _: pages)
    row = VantageRow(name="i", kind="ec2", account="main", region="us-east-1")
    found, role = of_instance(row, ec2, None, world, Ec2(instance="i-0123456789abcdef0"))
    assert (found.subnets, found.ipv6, role) == ((), "2001:db8::1", None)
    arn = "arn:aws:ec2:us-east-1:111122223333:instance/i-0123456789abcdef0"
    assert found.brought == {"ec2:SourceInstanceARN": arn, "ec2:RoleDelivery": "2.0"}
    assert session_of(found) == "i-0123456789abcdef0"
