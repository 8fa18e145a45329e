"""Each right to read taken away in turn, in a lab that authorises everything: what is unread then, and unknown.

Nothing else of the snapshot may differ, and no prediction may become another one than unknown.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.lab.gateway import Gateway
from pytest_s3vpce.lab.onuse import OnUse
from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.model import Cell, Target
from pytest_s3vpce.operations import default_operation
from pytest_s3vpce.predict import Predictor
from pytest_s3vpce.probe import ProbeBuilder
from pytest_s3vpce.references import References
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.snapshotrights import snapshot_permissions
from pytest_s3vpce.run.snapshotting import take
from pytest_s3vpce.run.world import World
from pytest_s3vpce.snapshot.state import unread
from pytest_s3vpce.vantage import agent_zip
from tests.unit import labnetwork
from tests.unit.labaccounts import Sessions
from tests.unit.labstage import LOADER, REGION, Person, Stage, allow, deny, make_role, policy

if TYPE_CHECKING:
    from pytest_s3vpce.snapshot import Snapshot

MAIN, MANAGER = "741000000001", "741000000002"
ACCOUNTS = {"main": MAIN, "manager": MANAGER}
SEALED, LISTED = f"sealed-{MAIN}", f"listed-{MAIN}"
POINT = f"arn:aws:s3:{REGION}:{MAIN}:accesspoint/way"
ENVIRONMENT = Environment(mode="lab", address="198.51.100.10")
SOAK = bool(os.environ.get("S3VPCE_SOAK"))
QUICK = frozenset({
    "ec2:DescribeRouteTables", "ec2:DescribeInstances", "iam:GetUserPolicy", "iam:GetPolicyVersion",
    "organizations:ListPoliciesForTarget", "s3:GetBucketPolicy", "s3:GetBucketPublicAccessBlock", "s3:GetBucketAcl",
    "s3:GetAccessPointPolicy", "kms:GetKeyPolicy",
})  # fmt: skip
"""Those that `make check` takes away: each takes a snapshot of its own."""
BUILDER = ProbeBuilder(user_agent="t", loader=LOADER)


@dataclass
class Reading:
    """A world with one of everything that is read, and the roles that read it."""

    stage: Stage
    world: World
    rights: dict[str, dict[str, Any]]
    """Account to the policy that `s3vpce permissions --mode snapshot` prints for its runner."""
    whole: Snapshot

    def without(self, action: str) -> Snapshot:
        self.give({name: _without(text, action) for name, text in self.rights.items()})
        return take(self.world, ENVIRONMENT)

    def give(self, rights: dict[str, dict[str, Any]]) -> None:
        for name, text in rights.items():
            iam = self.stage.admin(ACCOUNTS[name]).client("iam")
            iam.put_role_policy(RoleName="reading", PolicyName="rights", PolicyDocument=json.dumps(text))


def _without(text: dict[str, Any], action: str) -> dict[str, Any]:
    rows = [{**row, "Action": [name for name in row["Action"] if name != action]} for row in text["Statement"]]
    return {**text, "Statement": [row for row in rows if row["Action"]]}


# --- one of everything -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    stage = Stage(*ACCOUNTS.values())
    admin = stage.admin(MAIN)
    _organization(stage)
    for account in ACCOUNTS.values():
        user = {"AWS": f"arn:aws:iam::{account}:user/s3vpce-runner"}
        make_role(stage.admin(account), "reading", allow("s3:ListAllMyBuckets"), trust=user)
    instance, function, net = _places(admin)
    _people(admin)
    _buckets(admin)
    inventory = {
        "accounts": {name: {"id": account, "region": REGION} for name, account in ACCOUNTS.items()},
        "principals": {
            "app": {"role": f"arn:aws:iam::{MAIN}:role/app"},
            "ann": {"keys": {"access_key_id": "A", "secret_access_key": "B"}},
            "own": {"ambient": True},
            "anonymous": {"anonymous": True},
        },
        "vantage_points": {
            "inside": {"lambda": {"subnets": net.a, "security_groups": net.group}},
            "machine": {"ec2": {"instance": instance}},
            "function": {"lambda": {"function": function}},
            "here": "local",
        },
        "buckets": {
            "sealed": {"name": SEALED, "canary": "canary", "hosts": {"way": POINT}, "keys": {"none": "nothing"}},
            "listed": {"name": LISTED, "canary": "canary"},
        },
    }
    folder = tmp_path_factory.mktemp("rights")
    (folder / "s3vpce.yaml").write_text(json.dumps(inventory), encoding="utf-8")
    loaded = load_inventory(folder / "s3vpce.yaml")
    functions: Any = OnUse(lambda: stage.functions)
    stage.gateway = Gateway(stage.state, keys=stage.keys, functions=functions, enforce=Enforcement.ALL)
    people = {
        name: stage.user(account).assume(f"arn:aws:iam::{account}:role/reading") for name, account in ACCOUNTS.items()
    }
    sessions: Any = Sessions(people, {"ann": _ann(stage, admin)})
    world = World(loaded, References(None), sessions, run_id="rights")
    rights = _rights(loaded)
    found = Reading(stage, world, rights, whole=None)  # type: ignore[arg-type]
    found.whole = found.without("")
    return found


def _rights(inventory: Any) -> dict[str, dict[str, Any]]:
    found = snapshot_permissions(inventory, ENVIRONMENT)
    return {row.name: dict(row.runner) for row in found.accounts}


def _ann(stage: Stage, admin: Person) -> Person:
    key = admin.client("iam").create_access_key(UserName="ann")["AccessKey"]
    return Person(stage, key["AccessKeyId"], key["SecretAccessKey"])


def _organization(stage: Stage) -> None:
    client = stage.admin(MANAGER).client("organizations")
    client.create_organization(FeatureSet="ALL")
    root = client.list_roots()["Roots"][0]["Id"]
    for kind in ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"):
        client.enable_policy_type(RootId=root, PolicyType=kind)
    stage.state.enroll(MAIN, management_account=MANAGER, name="main", parent=root)
    text = policy(deny("s3:ListBucketVersions"))
    made = client.create_policy(Content=text, Description="", Name="n", Type="SERVICE_CONTROL_POLICY")
    client.attach_policy(PolicyId=made["Policy"]["PolicySummary"]["Id"], TargetId=MAIN)


def _places(admin: Person) -> tuple[str, str, labnetwork.Net]:
    net = labnetwork.make(admin, MAIN, "10.8")
    net.gateway()
    iam = admin.client("iam")
    make_role(admin, "machine", allow("*"), trust={"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]})
    iam.create_instance_profile(InstanceProfileName="machine")
    iam.add_role_to_instance_profile(InstanceProfileName="machine", RoleName="machine")
    place = {"SubnetId": net.a, "SecurityGroupIds": [net.group]}
    profile = {"IamInstanceProfile": {"Name": "machine"}}
    made = net.ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1, **place, **profile)
    function = admin.client("lambda").create_function(
        FunctionName="probe",
        Runtime="python3.12",
        Handler="agent.handler",
        Role=f"arn:aws:iam::{MAIN}:role/machine",
        Code={"ZipFile": agent_zip()},
        VpcConfig={"SubnetIds": [net.a], "SecurityGroupIds": [net.group]},
    )
    return made["Instances"][0]["InstanceId"], function["FunctionArn"], net


def _people(admin: Person) -> None:
    iam = admin.client("iam")

    def managed(name: str, *statements: dict[str, Any]) -> str:
        return str(iam.create_policy(PolicyName=name, PolicyDocument=policy(*statements))["Policy"]["Arn"])

    limit = managed("limit", allow("*"))
    make_role(admin, "app", allow("s3:*"), trust={"AWS": MAIN}, PermissionsBoundary=limit)
    iam.attach_role_policy(RoleName="app", PolicyArn=managed("keys", allow("kms:*")))
    iam.create_user(UserName="ann", PermissionsBoundary=limit)
    iam.create_group(GroupName="team")
    iam.add_user_to_group(GroupName="team", UserName="ann")
    iam.put_user_policy(UserName="ann", PolicyName="own", PolicyDocument=policy(allow("s3:GetObject*")))
    iam.attach_user_policy(UserName="ann", PolicyArn=managed("lists", allow("s3:ListBucket")))
    iam.put_group_policy(GroupName="team", PolicyName="all", PolicyDocument=policy(allow("s3:PutObject")))
    iam.attach_group_policy(GroupName="team", PolicyArn=managed("unlocks", allow("kms:*")))


def _buckets(admin: Person) -> None:
    s3, control = admin.client("s3"), admin.client("s3control")
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False)
    control.put_public_access_block(AccountId=MAIN, PublicAccessBlockConfiguration=block)
    kms = admin.client("kms")
    # Of an object under a key S3 shows the head to those who may use the key.
    reader = allow("kms:Decrypt", Principal={"AWS": f"arn:aws:iam::{MAIN}:role/reading"})
    key, other = (
        kms.create_key(Policy=policy(allow("kms:*", Principal={"AWS": MAIN}), reader))["KeyMetadata"]["Arn"]
        for _ in range(2)
    )
    kms.create_alias(AliasName="alias/own", TargetKeyId=other)
    s3.create_bucket(Bucket=SEALED)
    rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]}
    s3.put_bucket_encryption(Bucket=SEALED, ServerSideEncryptionConfiguration=encryption)
    s3.put_object(Bucket=SEALED, Key="canary", Body=b"x", Tagging="class=open")
    tagged = {"StringEquals": {"s3:ExistingObjectTag/class": "shut"}}
    every = [f"arn:aws:s3:::{SEALED}", f"arn:aws:s3:::{SEALED}/*"]
    rows = [
        deny("s3:GetObject", every, Principal="*", Condition=tagged),
        allow("s3:GetObject", every, Principal="*", Condition={"StringEquals": {"aws:SourceVpce": "vpce-1"}}),
    ]
    s3.put_bucket_policy(Bucket=SEALED, Policy=policy(*rows))
    s3.create_bucket(Bucket=LISTED, ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket=LISTED)
    s3.put_bucket_acl(Bucket=LISTED, ACL="public-read")
    s3.put_object(Bucket=LISTED, Key="canary", Body=b"x", ACL="public-read")
    rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/own"}
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]}
    s3.put_bucket_encryption(Bucket=LISTED, ServerSideEncryptionConfiguration=encryption)
    control.create_access_point(AccountId=MAIN, Name="way", Bucket=SEALED)
    text = policy(allow("s3:GetObject", f"{POINT}/object/*", Principal={"AWS": MAIN}))
    control.put_access_point_policy(AccountId=MAIN, Name="way", Policy=text)


# --- cells that lean on it -------------------------------------------------------------------------------------------

READ, WRITE, LIST = "s3:GetObject", "s3:PutObject", "s3:ListBucket"
CELLS = {
    "read": (READ, "sealed", "app:inside"),
    "write": (WRITE, "sealed", "app:inside"),
    "write by alias": (WRITE, "listed", "app:here"),
    "scp": ("s3:ListBucketVersions", "listed", "app:here"),
    "outside": (READ, "sealed", "app:here"),
    "user": (READ, "sealed", "ann:here"),
    "user writes": (WRITE, "sealed", "ann:here"),
    "anybody reads": (READ, "listed", "anonymous:here"),
    "anybody lists": (LIST, "listed", "anonymous:here"),
    "own": (READ, "listed", "own:machine"),
    "functions": (READ, "listed", "own:function"),
    "point": (READ, "sealed", "app:here"),
    "absent": (READ, "sealed", "app:here"),
}
EVERY = frozenset(CELLS)
APPS = frozenset({"read", "write", "write by alias", "outside", "point", "absent"})
ANNS = frozenset({"user", "user writes"})
OWN = frozenset({"own", "functions"})
ANYBODY = frozenset({"anybody reads", "anybody lists"})
INSIDE = frozenset({"read", "write"}) | OWN
READS = frozenset({"read", "outside", "user", "point", "absent"})
SEALED_CELLS = EVERY - OWN - ANYBODY - {"scp", "write by alias"}
ROLES = ("principals[app]", "vantages[machine].role", "vantages[function].role")


@dataclass(frozen=True)
class Row:
    """Where the snapshot differs without the rights, and what is not to be said any more."""

    actions: tuple[str, ...]
    places: tuple[str, ...]
    cells: frozenset[str]
    besides: tuple[str, ...] = ()
    """What is read more, or not asked for, because of that."""


def _iam(actions: str, places: tuple[str, ...], cells: frozenset[str]) -> Row:
    return Row(tuple(f"iam:{name}" for name in actions.split()), places, cells)


NETWORK = (
    "RouteTables", "Vpcs", "Subnets", "VpcEndpoints", "SecurityGroups", "NetworkAcls", "NatGateways",
    "InternetGateways", "EgressOnlyInternetGateways", "VpcPeeringConnections", "ManagedPrefixLists",
    "NetworkInterfaces", "VpcAttribute",
)  # fmt: skip
SCPS = ("accounts[main].organization.scps", "accounts[main].organization.rcps", "accounts[manager].organization.scps",
        "accounts[manager].organization.rcps")  # fmt: skip
PATHS = ("accounts[main].organization.path", "accounts[manager].organization.path")
ROWS = (
    # networks: route tables, endpoints with their policies, security groups, NACLs, DNS attributes
    Row(
        (*(f"ec2:Describe{name}" for name in NETWORK), "ec2:GetManagedPrefixListEntries"),
        ("networks[0].topology", "networks[1].topology"),
        INSIDE,
    ),
    # places
    Row(("ec2:DescribeInstances",), ("vantages[machine]",), frozenset({"own"})),
    Row(("iam:GetInstanceProfile",), ("vantages[machine].role",), frozenset({"own"})),
    Row(("lambda:GetFunctionConfiguration",), ("vantages[function]",), frozenset({"functions"})),
    # identity policies of principals, and boundaries
    _iam(
        "GetUserPolicy ListUserPolicies ListAttachedUserPolicies ListGroupsForUser GetGroupPolicy ListGroupPolicies "
        "ListAttachedGroupPolicies",
        ("principals[ann].identity",),
        ANNS,
    ),
    _iam(
        "GetRolePolicy ListRolePolicies ListAttachedRolePolicies",
        tuple(f"{name}.identity" for name in ROLES),
        APPS | OWN,
    ),
    _iam(
        "GetPolicyVersion GetPolicy",
        tuple(f"principals[{name}].{layer}" for name in ("app", "ann") for layer in ("identity", "boundary")),
        APPS | ANNS,
    ),
    _iam("GetRole", tuple(f"{name}.{field}" for name in ROLES for field in ("id", "tags", "boundary")), APPS | OWN),
    _iam("GetUser", tuple(f"principals[ann].{field}" for field in ("id", "tags", "boundary")), ANNS),
    # SCPs and RCPs
    Row(("organizations:ListPoliciesForTarget", "organizations:DescribePolicy"), SCPS, EVERY),
    Row(("organizations:ListParents",), (*PATHS, *SCPS), EVERY),
    Row(
        ("organizations:DescribeOrganization",),
        ("accounts[main].organization", "accounts[manager].organization"),
        EVERY,
    ),
    # buckets
    Row(("s3:GetBucketPolicy",), ("buckets[sealed].policy", "buckets[listed].policy"), EVERY - {"scp"}),
    Row(("s3:GetBucketPublicAccessBlock",), ("buckets[sealed].block", "buckets[listed].block"), ANYBODY),
    Row(("s3:GetAccountPublicAccessBlock",), ("accounts[main].block", "accounts[manager].block"), ANYBODY),
    Row(
        ("s3:GetBucketOwnershipControls",),
        ("buckets[sealed].ownership", "buckets[listed].ownership"),
        ANYBODY,
        besides=("buckets[sealed].acl", "buckets[sealed].objects.canary.acl"),
    ),
    Row(("s3:GetBucketAcl",), ("buckets[listed].acl",), ANYBODY | OWN),
    Row(
        ("s3:GetEncryptionConfiguration",),
        ("buckets[sealed].encryption", "buckets[listed].encryption"),
        frozenset({"write", "user writes", "write by alias"}),
        besides=("keys[1]",),
    ),
    Row(("s3:GetObject",), ("buckets[sealed].objects.canary", "buckets[sealed].objects.nothing"), READS),
    Row(
        ("s3:GetObjectTagging",),
        ("buckets[sealed].objects.canary.tags", "buckets[listed].objects.canary.tags"),
        READS - {"absent"},
    ),
    Row(("s3:GetObjectAcl",), ("buckets[listed].objects.canary.acl",), frozenset({"anybody reads"})),
    Row(("s3:ListBucket",), ("buckets[sealed].objects.nothing",), frozenset({"absent"})),
    # access points
    Row(("s3:GetAccessPoint",), (f"buckets[sealed].points.{POINT}",), frozenset({"point"})),
    Row(("s3:GetAccessPointPolicy",), (f"buckets[sealed].points.{POINT}.policy",), frozenset({"point"})),
    # keys
    Row(("kms:GetKeyPolicy",), ("keys[0].policy", "keys[1].policy"), SEALED_CELLS - {"absent"} | {"write by alias"}),
    Row(("kms:DescribeKey",), ("keys[1]",), frozenset({"write by alias"})),
)


def predicted(snapshot: Snapshot) -> dict[str, Expected]:
    predictor = Predictor(snapshot, session_name="s", builder=BUILDER)
    return {name: predictor.predict(_cell(name)).expected for name in CELLS}


def _cell(name: str) -> Cell:
    action, bucket, who = CELLS[name]
    principal, _, vantage = who.partition(":")
    more: dict[str, Any] = {
        "point": {"name": "way", "host": POINT},
        "absent": {"name": "none", "key": "nothing"},
    }.get(name, {})
    target = Target(bucket=bucket, **more)
    row = default_operation(action)
    return Cell(operation=row.name, action=action, target=target, principal=principal, vantage=vantage)


def leaves(value: Any, at: str = "") -> dict[str, Any]:
    """A snapshot's values by their places, named as unread ones are."""
    if isinstance(value, dict) and value:
        parts = [(f"{at}.{name}" if at else name, row) for name, row in value.items()]
    elif isinstance(value, list) and value:
        names = [
            (row.get("label") or row.get("name") or row.get("id")) if isinstance(row, dict) else "" for row in value
        ]
        parts = [(f"{at}[{names[number] or number}]", row) for number, row in enumerate(value)]
    else:
        return {at: value}
    return {place: leaf for name, row in parts for place, leaf in leaves(row, name).items()}


def differing(one: Snapshot, other: Snapshot) -> set[str]:
    texts = (replace(row, taken_at=0.0).to_json() for row in (one, other))
    first, second = (leaves(json.loads(text)) for text in texts)
    return {place for place in first.keys() | second.keys() if first.get(place) != second.get(place)}


def test_with_all_rights_all_is_read_and_predicted(reading: Reading) -> None:
    assert unread(reading.whole) == []
    assert Expected.UNKNOWN not in predicted(reading.whole).values()


def test_every_right_that_is_printed_is_in_the_table(reading: Reading) -> None:
    printed = {action for text in reading.rights.values() for row in text["Statement"] for action in row["Action"]}
    assert printed == {action for row in ROWS for action in row.actions}


CASES = [
    pytest.param(action, row, id=action)
    for row in ROWS
    for action in (row.actions if SOAK else row.actions[:1])
    if SOAK or action in QUICK
]


@pytest.mark.parametrize(("action", "row"), CASES)
def test_without_a_right_its_layer_is_unknown_and_nothing_else(reading: Reading, action: str, row: Row) -> None:
    found = reading.without(action)
    places = differing(reading.whole, found)
    assert {place for place in places if not place.startswith((*row.places, *row.besides))} == set()
    assert [wanted for wanted in row.places if not any(place.startswith(wanted) for place in places)] == []
    known = dict(unread(found))
    for wanted in row.places:
        if not wanted.startswith("vantages") or "role." in wanted:
            assert any(place.startswith(wanted) for place in known), (wanted, known)
    before, after = predicted(reading.whole), predicted(found)
    assert {name for name, expected in after.items() if expected is Expected.UNKNOWN} == row.cells
    assert {name: after[name] for name in EVERY - row.cells} == {name: before[name] for name in EVERY - row.cells}


def test_with_no_right_at_all_nothing_is_taken_for_empty(reading: Reading) -> None:
    nothing = {"Version": "2012-10-17", "Statement": [deny("*")]}
    reading.give(dict.fromkeys(ACCOUNTS, nothing))
    found = take(reading.world, ENVIRONMENT)
    assert set(predicted(found).values()) == {Expected.UNKNOWN}
