"""A throw: all policies, tags and settings of a realm anew, and what was read of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.references import References
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.snapshotting import take
from pytest_s3vpce.run.world import World
from tests.randomly.realm import (
    ACCOUNTS,
    BOUNDED,
    BUCKETS,
    KEY,
    LOCAL,
    MANAGER,
    OWNER,
    PARTNER,
    ROLES,
    TYPES,
    WATCHER,
    WITH_LISTS,
    Realm,
    bucket_name,
    role_arn,
)
from tests.unit.labaccounts import Sessions
from tests.unit.labstage import REGION, Person

if TYPE_CHECKING:
    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.snapshot import Snapshot

NARROWED: Final = ("app1", "app2", "ext1", "odd")
"""Roles whose sessions have a policy of the inventory's."""
CANNED: Final = ("private", "public-read", "authenticated-read")


class Narrowed(Sessions):
    """The inventory's sessions, some of which have a policy of their own."""

    policies: dict[str, Any]

    def own_policy(self, principal: str) -> Any:
        return self.policies.get(principal)


@dataclass
class Round:
    """One throw of all policies: what was read of it, and what it is measured with."""

    realm: Realm
    inventory: Inventory
    world: World
    snapshot: Snapshot
    sessions: Narrowed
    signed: dict[Any, Person | None] = field(default_factory=dict)


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
    whole = {"ApplyServerSideEncryptionByDefault": rule, "BucketKeyEnabled": dice.random() < 0.5}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [whole]})
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
    return {
        "accounts": {name: {"id": account, "region": REGION} for account, name in ACCOUNTS.items()},
        "principals": _principals(realm, policies),
        "vantage_points": {
            **{
                name: {
                    "lambda": {"account": ACCOUNTS[account], "subnets": [subnet], "security_groups": [group]},
                }
                for name, (account, subnet, group) in realm.stands.items()
            },
            **realm.places,
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


def _principals(realm: Realm, policies: dict[str, Any]) -> dict[str, Any]:
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
        **roles,
        "ann": {"keys": {"access_key_id": "ANN_ID", "secret_access_key": "ANN_SECRET"}},
        "anonymous": {"anonymous": True},
        "own": {"ambient": True},
        "url": {"presigned": {"by": dice.choice(("app0", "app3")), "age": "1m"}},
    }
