"""An organization in the lab without sockets whose networks stay and whose policies are all thrown anew.

Four accounts: the management's, two members in units, and a stranger's outside of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.lab.origin import Internet, Placement
from pytest_s3vpce.references import References
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.snapshotting import take
from pytest_s3vpce.run.world import World
from tests.randomly.policysets import Named, Writer, document
from tests.unit import labnetwork
from tests.unit.labaccounts import Sessions
from tests.unit.labstage import REGION, Person, Stage

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.lab.origin import Origin
    from pytest_s3vpce.snapshot import Snapshot

MANAGER, OWNER, PARTNER, STRANGER = (f"73000000000{number}" for number in range(1, 5))
ACCOUNTS: Final = {OWNER: "main", PARTNER: "partner", STRANGER: "stranger", MANAGER: "manager"}
KEY: Final = "canary"
LOCAL: Final = Internet()
ROLES: Final = {
    "app0": OWNER,
    "app1": OWNER,
    "app2": OWNER,
    "app3": OWNER,
    "ext0": PARTNER,
    "ext1": PARTNER,
    "odd": STRANGER,
    "boss": MANAGER,
}
BUCKETS: Final = {"b0": OWNER, "b1": OWNER, "b2": OWNER, "b3": OWNER, "b4": OWNER, "b5": PARTNER, "b6": MANAGER}
WITH_LISTS: Final = ("b3", "b4", "b5")
"""Those whose ACLs count."""
POINTED: Final = {"b0": OWNER, "b1": OWNER, "b2": PARTNER}
"""Buckets with an access point, and whose that is."""
BOUND: Final = "b1"
"""The bucket whose access point takes only what comes from a VPC."""
LOCKED: Final = "b2"
BOUNDED: Final = ("app0", "app1", "ext0")
NARROWED: Final = ("app1", "app2", "ext1", "odd")
"""Roles whose sessions have a policy of the inventory's."""
TYPES: Final = ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY")
WATCHER: Final = "s3vpce-runner-watches"
CANNED: Final = ("private", "public-read", "authenticated-read")


def bucket_name(label: str) -> str:
    return f"random-{label[1:]}-{BUCKETS[label]}"


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{ROLES[name]}:role/{name}"


class Narrowed(Sessions):
    """The inventory's sessions, some of which have a policy of their own."""

    policies: dict[str, Any]

    def own_policy(self, principal: str) -> Any:
        return self.policies.get(principal)


@dataclass
class Realm:
    """What stays the same: accounts, networks, buckets and roles by their names."""

    admins: dict[str, Any]
    origins: dict[str, Origin]
    stands: dict[str, tuple[str, str, str]]
    named: Named
    writer: Writer
    endpoints: dict[str, tuple[str, str]]
    """By a word: the account's name and the endpoint's id."""
    interface_host: str
    points: dict[str, str]
    keys: dict[str, tuple[str, str]]
    """KMS keys by a word: the account's name and the key's ARN."""
    targets: dict[str, dict[str, str]] = field(default_factory=dict)
    """By the policies' type: the policies' ids by the target that they are attached to."""
    stage: Any = None
    folder: Any = None
    ann: Any = None
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    number: int = 0

    def client(self, service: str, account: str) -> Any:
        """A client takes longer to make than most that it is asked."""
        if (service, account) not in self.clients:
            self.clients[service, account] = self.admins[account].client(service)
        return self.clients[service, account]


@dataclass
class Round:
    """One throw of all policies: what was read of it, and what it is measured with."""

    realm: Realm
    inventory: Inventory
    world: World
    snapshot: Snapshot
    sessions: Narrowed
    signed: dict[Any, Person | None] = field(default_factory=dict)


# --- what stays ------------------------------------------------------------------------------------------------------


def make(folder: Path, dice: random.Random) -> Realm:
    """In the lab without sockets, with an organization."""
    stage = Stage(*ACCOUNTS)
    admins = {name: stage.admin(account) for account, name in ACCOUNTS.items()}
    organization, units, targets = _organization(stage, admins["manager"])
    path = f"{organization}/" + "".join(f"{unit}/" for unit in units)
    made = furnish(dice, admins, organization=organization, path=path)
    key = admins["main"].client("iam").create_access_key(UserName="ann")["AccessKey"]
    ann = Person(stage, key["AccessKeyId"], key["SecretAccessKey"])
    return replace(made, folder=folder, targets=targets, stage=stage, ann=ann)


def furnish(dice: random.Random, admins: Mapping[str, Any], *, organization: str, path: str) -> Realm:
    """Networks, keys, people and buckets; `admins` are sessions by the accounts' names."""
    origins, stands, endpoints, vpcs, address, host = _networks(admins)
    keys = _keys(admins)
    points = {label: f"arn:aws:s3:{REGION}:{account}:accesspoint/way-{label}" for label, account in POINTED.items()}
    named = Named(
        endpoints=tuple(found for _, found in endpoints.values()),
        vpcs=vpcs,
        addresses=(f"{address}/32", f"{LOCAL.address}/32"),
        accounts=(OWNER, PARTNER, STRANGER, MANAGER),
        organization=organization,
        path=path,
        people=(*(role_arn(name) for name in ROLES), f"arn:aws:iam::{OWNER}:user/ann"),
        keys=tuple(arn for _, arn in keys.values()),
        points=tuple(points.values()),
        region=REGION,
    )
    _people(admins)
    realm = Realm(
        admins=dict(admins),
        origins=origins,
        stands=stands,
        named=named,
        writer=Writer(dice, named),
        endpoints=endpoints,
        interface_host=host,
        points=points,
        keys=keys,
    )
    _buckets(realm, vpcs[0])
    return realm


def _organization(stage: Stage, manager: Person) -> tuple[str, tuple[str, ...], dict[str, dict[str, str]]]:
    """Its id, the root and units above the owner, and policies for each level, which say nothing yet."""
    client = manager.client("organizations")
    found = client.create_organization(FeatureSet="ALL")["Organization"]["Id"]
    root = client.list_roots()["Roots"][0]["Id"]
    for kind in TYPES:
        client.enable_policy_type(RootId=root, PolicyType=kind)
    outer = client.create_organizational_unit(ParentId=root, Name="outer")["OrganizationalUnit"]["Id"]
    inner = client.create_organizational_unit(ParentId=outer, Name="inner")["OrganizationalUnit"]["Id"]
    for account, unit in ((OWNER, inner), (PARTNER, outer)):
        stage.state.enroll(account, management_account=MANAGER, name=ACCOUNTS[account], parent=unit)
    nothing = document([{"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::nobodys"}])
    rcp = document([{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::nobodys"}])
    targets: dict[str, dict[str, str]] = {}
    for kind, text in zip(TYPES, (nothing, rcp), strict=True):
        for target in (root, outer, inner, OWNER, PARTNER):
            made = client.create_policy(Content=text, Description="", Name=f"{kind[0]}{target}", Type=kind)
            targets.setdefault(kind, {})[target] = made["Policy"]["PolicySummary"]["Id"]
            client.attach_policy(PolicyId=targets[kind][target], TargetId=target)
    return found, (root, outer, inner), targets


def _networks(admins: Mapping[str, Any]) -> Any:
    """Places of every kind: by gateway and interface endpoints, a NAT, cut off, closed to http, in other accounts."""
    main = labnetwork.make(admins["main"], OWNER, "10.1")
    side = labnetwork.make(admins["main"], OWNER, "10.2")
    other = labnetwork.make(admins["partner"], PARTNER, "10.3")
    far = labnetwork.make(admins["stranger"], STRANGER, "10.4")
    for port in (80, 443):
        side.let_in("10.2.0.0/16", port)
    ec2 = main.ec2
    gateway = main.gateway()["VpcEndpointId"]
    lone = _table(ec2, main.vpc, main.b)
    public = ec2.create_subnet(VpcId=main.vpc, CidrBlock="10.1.9.0/24")["Subnet"]["SubnetId"]
    way_out = _table(ec2, main.vpc, public)
    igw = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=igw, VpcId=main.vpc)
    ec2.create_route(RouteTableId=way_out, DestinationCidrBlock="0.0.0.0/0", GatewayId=igw)
    address = ec2.allocate_address(Domain="vpc")
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address["AllocationId"])["NatGateway"]["NatGatewayId"]
    ec2.create_route(RouteTableId=lone, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    narrow = ec2.create_security_group(GroupName="narrow", Description="n", VpcId=main.vpc)["GroupId"]
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.revoke_security_group_egress(GroupId=narrow, IpPermissions=[everything])
    secure = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_egress(GroupId=narrow, IpPermissions=[secure])
    interface = side.interface(PrivateDnsEnabled=True)
    stands = {
        "gateway": (OWNER, main.a, main.group),
        "https-only": (OWNER, main.a, narrow),
        "nat": (OWNER, main.b, main.group),
        "interface": (OWNER, side.a, side.group),
        "cut": (OWNER, public, main.group),
        "abroad": (PARTNER, other.a, other.group),
        "far": (STRANGER, far.a, far.group),
    }
    origins: dict[str, Origin] = {"internet": LOCAL}
    addresses = {main.a: "10.1.1.77", main.b: "10.1.2.77", side.a: "10.2.1.77", public: "10.1.9.77"}
    addresses |= {other.a: "10.3.1.77", far.a: "10.4.1.77"}
    for name, (account, subnet, group) in stands.items():
        origins[name] = Placement(
            account=account,
            region=REGION,
            subnet_id=subnet,
            security_group_ids=(group,),
            private_ip=addresses[subnet],
        )
    endpoints = {
        "gateway": ("main", gateway),
        "interface": ("main", interface["VpcEndpointId"]),
        "abroad": ("partner", other.gateway()["VpcEndpointId"]),
        "far": ("stranger", far.gateway()["VpcEndpointId"]),
    }
    host = labnetwork.base(interface)
    return origins, stands, endpoints, (main.vpc, side.vpc, other.vpc, far.vpc), address["PublicIp"], host


def _table(ec2: Any, vpc: str, subnet: str) -> str:
    table: str = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    return table


def _keys(admins: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    found = {}
    for word, account in (("own", "main"), ("second", "main"), ("theirs", "partner")):
        kms = admins[account].client("kms")
        found[word] = (account, kms.create_key()["KeyMetadata"]["Arn"])
        if word == "own":
            kms.create_alias(AliasName="alias/own", TargetKeyId=found[word][1])
    return found


def _people(admins: Mapping[str, Any]) -> None:
    """Roles, boundaries that allow nothing yet, a user in a group, and who reads the canaries whatever is thrown."""
    everybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:*"}
    trust = document([everybody | {"Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]}])
    for name, account in ROLES.items():
        iam = admins[ACCOUNTS[account]].client("iam")
        more = {}
        if name in BOUNDED:
            more["PermissionsBoundary"] = f"arn:aws:iam::{account}:policy/limit-{name}"
            text = document([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}])
            iam.create_policy(PolicyName=f"limit-{name}", PolicyDocument=text)
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **more)
    iam = admins["main"].client("iam")
    iam.create_user(UserName="ann")
    iam.create_group(GroupName="team")
    iam.add_user_to_group(GroupName="team", UserName="ann")
    may = document([{"Effect": "Allow", "Action": ["s3:GetObject*", "kms:Decrypt"], "Resource": "*"}])
    for account in ("main", "partner", "manager"):
        iam = admins[account].client("iam")
        iam.create_role(RoleName=WATCHER, AssumeRolePolicyDocument=trust)
        iam.put_role_policy(RoleName=WATCHER, PolicyName="inline", PolicyDocument=may)


def _buckets(realm: Realm, vpc: str) -> None:
    for label, account in BUCKETS.items():
        s3, name = realm.client("s3", ACCOUNTS[account]), bucket_name(label)
        s3.create_bucket(
            Bucket=name,
            ObjectOwnership="ObjectWriter" if label in WITH_LISTS else "BucketOwnerEnforced",
            ObjectLockEnabledForBucket=label == LOCKED,
        )
        s3.delete_public_access_block(Bucket=name)
    for label, arn in realm.points.items():
        account = POINTED[label]
        more: dict[str, Any] = {"VpcConfiguration": {"VpcId": vpc}} if label == BOUND else {}
        if account != BUCKETS[label]:
            more["BucketAccountId"] = BUCKETS[label]
        names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        block = dict.fromkeys(names, False) | {"RestrictPublicBuckets": label == BOUND}
        realm.client("s3control", ACCOUNTS[account]).create_access_point(
            AccountId=account,
            Name=arn.rpartition("/")[2],
            Bucket=bucket_name(label),
            PublicAccessBlockConfiguration=block,
            **more,
        )


# --- a throw ---------------------------------------------------------------------------------------------------------


def throw(realm: Realm) -> Round:
    """All policies, tags and settings anew, and a snapshot of that."""
    return _round(realm, settle(realm))


def settle(realm: Realm) -> dict[str, Any]:
    """All policies, tags and settings anew; the session policies of the inventory's."""
    realm.number += 1
    writer, dice = realm.writer, realm.writer.dice
    for kind, targets in realm.targets.items():
        # One level of them, in every second throw, lest nothing be left for other policies to decide.
        strict = dice.choice(tuple(targets.values())) if TYPES[realm.number % 2] == kind else ""
        for policy_id in targets.values():
            text = writer.of_organization(kind, denies=float(policy_id == strict))
            realm.client("organizations", "manager").update_policy(PolicyId=policy_id, Content=text)
    for account, endpoint in realm.endpoints.values():
        realm.client("ec2", account).modify_vpc_endpoint(VpcEndpointId=endpoint, PolicyDocument=writer.of_endpoint())
    for account, arn in realm.keys.values():
        text = writer.of_key(accounts=(OWNER, PARTNER, MANAGER), owner=arn.split(":")[4])
        realm.client("kms", account).put_key_policy(KeyId=arn, PolicyName="default", Policy=text)
    for name, account in ROLES.items():
        _throw_role(realm, name, ACCOUNTS[account])
    for call, whose in (("put_user_policy", {"UserName": "ann"}), ("put_group_policy", {"GroupName": "team"})):
        getattr(realm.client("iam", "main"), call)(
            **whose, PolicyName="inline", PolicyDocument=writer.identity(wide=0.5)
        )
    for label, account in BUCKETS.items():
        _throw_bucket(realm, label, ACCOUNTS[account])
    for account in ("main", "partner"):
        block = {"RestrictPublicBuckets": writer.chance(0.05), "IgnorePublicAcls": writer.chance(0.15)}
        realm.client("s3control", account).put_public_access_block(
            AccountId=next(key for key, name in ACCOUNTS.items() if name == account),
            PublicAccessBlockConfiguration=block,
        )
    for arn in realm.points.values():
        account_id = arn.split(":")[4]
        realm.client("s3control", ACCOUNTS[account_id]).put_access_point_policy(
            AccountId=account_id, Name=arn.rpartition("/")[2], Policy=writer.of_point(arn)
        )
    return {name: json.loads(writer.identity(wide=0.6, denies=0.5)) for name in NARROWED if dice.random() < 0.7}


def _throw_role(realm: Realm, name: str, account: str) -> None:
    writer, iam = realm.writer, realm.client("iam", account)
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=writer.identity())
    iam.tag_role(RoleName=name, Tags=[{"Key": "team", "Value": writer.dice.choice(("red", "blue"))}])
    if name in BOUNDED:
        arn = f"arn:aws:iam::{ROLES[name]}:policy/limit-{name}"
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=writer.identity(wide=0.3), SetAsDefault=True)
        for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])


def _throw_bucket(realm: Realm, label: str, account: str) -> None:
    writer, s3, name = realm.writer, realm.client("s3", account), bucket_name(label)
    dice = writer.dice
    s3.delete_public_access_block(Bucket=name)
    rule = dice.choice((
        {"SSEAlgorithm": "AES256"}, {"SSEAlgorithm": "AES256"}, {"SSEAlgorithm": "aws:kms"},
        {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": dice.choice(realm.named.keys)},
        {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/own" if account == "main" else realm.named.keys[0]},
    ))  # fmt: skip
    s3.put_bucket_encryption(
        Bucket=name, ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]}
    )
    lists = label in WITH_LISTS
    if lists:
        s3.put_bucket_acl(Bucket=name, ACL=dice.choice(CANNED))
    s3.put_object(
        Bucket=name,
        Key=KEY,
        Body=b"canary",
        Tagging=f"class={dice.choice(('open', 'closed', 'red'))}",
        **({"ACL": dice.choice(CANNED)} if lists else {}),
    )
    if writer.chance(0.6 if lists else 0.9):
        s3.put_bucket_policy(Bucket=name, Policy=writer.of_bucket(name, grants=0.75))
    else:
        s3.delete_bucket_policy(Bucket=name)
    if writer.chance(0.35):
        block = {"RestrictPublicBuckets": writer.chance(0.5), "IgnorePublicAcls": writer.chance(0.5)}
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)


def _round(realm: Realm, policies: dict[str, Any]) -> Round:
    path = realm.folder / "s3vpce.yaml"
    path.write_text(json.dumps(inventory_of(realm, policies)), encoding="utf-8")
    inventory = load_inventory(path)
    sessions = Narrowed(realm.admins, {"ann": realm.ann})
    sessions.policies = policies
    sessions._clients = {(service, account): found for (service, account), found in realm.clients.items()}
    given: Any = sessions
    world = World(inventory, References(None), given, run_id="random")
    snapshot = take(world, Environment(mode="lab", address=LOCAL.address), kms_keys=realm.named.keys)
    world.canaries.update(dict.fromkeys(BUCKETS, b"canary"))
    for row in BUCKETS:
        head = realm.client("s3", ACCOUNTS[BUCKETS[row]]).head_object(Bucket=bucket_name(row), Key=KEY)
        world.canary_versions[row] = head.get("VersionId", "null")
    realm.clients |= sessions._clients
    return Round(realm, inventory, world, snapshot, sessions)


def inventory_of(realm: Realm, policies: dict[str, Any]) -> dict[str, Any]:
    dice = realm.writer.dice
    roles: dict[str, Any] = {
        name: {"role": role_arn(name), "account": ACCOUNTS[account]} for name, account in ROLES.items()
    }
    for name, text in policies.items():
        roles[name]["session_policy"] = text
    roles["app2"] |= {"session_tags": {"team": dice.choice(("red", "blue"))}, "session_name": "nightly"}
    for account in ("main", "partner", "manager"):
        account_id = next(key for key, name in ACCOUNTS.items() if name == account)
        roles[f"watcher-{account}"] = {"role": f"arn:aws:iam::{account_id}:role/{WATCHER}", "account": account}
    roles["ext0"]["source_identity"] = dice.choice(("sam", "joe"))
    return {
        "accounts": {name: {"id": account, "region": REGION} for account, name in ACCOUNTS.items()},
        "principals": {
            **roles,
            "ann": {"keys": {"access_key_id": "ANN_ID", "secret_access_key": "ANN_SECRET"}},
            "anonymous": {"anonymous": True},
            "url": {"presigned": {"by": dice.choice(("app0", "app3")), "age": "1m"}},
        },
        "vantage_points": {
            **{
                name: {
                    "lambda": {"account": ACCOUNTS[account], "subnets": [subnet], "security_groups": [group]},
                }
                for name, (account, subnet, group) in realm.stands.items()
            },
            "internet": "local",
        },
        "buckets": {
            label: {
                "name": bucket_name(label),
                "account": ACCOUNTS[account],
                "canary": {"key": KEY, "reader": f"watcher-{ACCOUNTS[account]}:internet"},
                "hosts": {
                    "named": realm.interface_host,
                    "dual": "dualstack",
                    **({"point": realm.points[label]} if label in realm.points else {}),
                },
            }
            for label, account in BUCKETS.items()
        },
    }
