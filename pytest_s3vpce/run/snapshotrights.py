"""The rights that `s3vpce snapshot`, `s3vpce why` and --s3vpce-predict read with: no call of theirs changes anything.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html says what each is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.network import described
from pytest_s3vpce.run.permissions import AccountRights, Permissions
from pytest_s3vpce.run.planes import world_of
from pytest_s3vpce.run.statements import document, statement
from pytest_s3vpce.snapshot import buckets, organization, people

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.run.environment import Environment
    from pytest_s3vpce.run.world import World

NETWORK_ACTIONS: Final = (
    *(f"ec2:{''.join(part.title() for part in call.split('_'))}" for call in described.CALLS.values()),
    "ec2:DescribeVpcAttribute",
    "ec2:GetManagedPrefixListEntries",
    "ec2:DescribeInstances",
    "lambda:GetFunctionConfiguration",
)


def snapshot_permissions(inventory: Inventory, environment: Environment) -> Permissions:
    """The policy of each account's runner, as far as the snapshot goes."""
    world = world_of(inventory, environment, run_id="permissions")
    return Permissions(
        accounts=tuple(_account(name, world) for name in inventory.accounts),
        trust={},
        chains={},
        function_trust=None,
        function=None,
    )


def _account(name: str, world: World) -> AccountRights:
    role = world.inventory.accounts[name].role
    runner = None if role is None else world.resolve(role, "accounts", name, "role")
    entry = [statement("AssumeTheRunner", ("sts:AssumeRole",), [runner])] if runner else []
    return AccountRights(
        name=name,
        id=world.account_id(name),
        runner=document([*_statements(name, world)]),
        signs_in=document(entry) if entry else None,
    )


def _statements(account: str, world: World) -> Iterator[dict[str, Any]]:
    yield statement("ReadNetworks", NETWORK_ACTIONS, ["*"])
    yield statement("ReadPrincipals", people.ACTIONS, ["*"])
    yield statement("ReadOrganization", organization.ACTIONS, ["*"])
    yield statement("ReadAccountBlock", buckets.ACCOUNT_ACTIONS, ["*"])
    arns = list(_buckets(account, world))
    if arns:
        yield statement("ReadBuckets", buckets.BUCKET_ACTIONS, arns)
        yield statement("ReadCanaries", buckets.OBJECT_ACTIONS, [f"{arn}/*" for arn in arns])
    points = list(_points(account, world))
    if points:
        yield statement("ReadAccessPoints", buckets.POINT_ACTIONS, points)
    yield statement("ReadKeys", buckets.KEY_ACTIONS, ["*"])


def _buckets(account: str, world: World) -> Iterator[str]:
    for label in world.labels:
        facts = world.bucket(label)
        if facts.account == account:
            yield f"arn:{facts.partition}:s3:::{facts.name}"


def _points(account: str, world: World) -> Iterator[str]:
    number = world.account_id(account)
    for label, row in world.inventory.buckets.items():
        for name, host in row.hosts.items():
            arn = world.resolve(host, "buckets", label, "hosts", name)
            if arn.startswith("arn:") and arn.split(":")[4] == number:
                yield arn
