"""What a run would do, without doing it: the cells, what would be created, and what it would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.operations import OPERATIONS
from pytest_s3vpce.run.deletions import is_deletion
from pytest_s3vpce.wording import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pytest_s3vpce.claimbase import ClaimSpec
    from pytest_s3vpce.expectations import ExpectedCell, Plan
    from pytest_s3vpce.inventory import Inventory

# Per request in US dollars, eu-west-1 and us-east-1 alike within a tenth: https://aws.amazon.com/s3/pricing/. Refused
# requests of one's own account are charged like others; https://aws.amazon.com/lambda/pricing/ for functions.
_WRITE_OR_LIST: Final = 0.005 / 1000
_READ: Final = 0.0004 / 1000
_INVOKE: Final = 0.00002
_INSTANCE: Final = 0.005
"""A t4g.nano, with its disk: https://aws.amazon.com/ec2/pricing/on-demand/"""
_CONTROLS: Final = 4
"""Requests sent besides, per declared cell, for controls and path readings: a generous guess for the cost."""


def preview(plan: Plan, inventory: Inventory, chosen: Collection[str]) -> str:
    """A text for people; nothing is resolved, so names stand as the files have them."""
    return "\n".join(_lines(plan, inventory, frozenset(chosen)))


def _lines(plan: Plan, inventory: Inventory, chosen: frozenset[str]) -> Iterator[str]:
    cells = [row for row in plan.cells if row.id in chosen]
    claims = [row for row in plan.claims if row.id in chosen]
    many = f"{counted(len(cells), 'cell')} and {counted(len(claims), 'claim')}"
    yield f"{many} would be probed; nothing was sent or created"
    for row in cells:
        yield f"  {row.id}  {row.expect.value}"
    for claim in claims:
        yield f"  {claim.id}"
    named = Counter(row.cell.vantage for row in cells)
    for claim in claims:
        named.update({vantage for _, vantage in claim.pairs})
    yield "would be created and removed again:"
    created = [*_machines(inventory, named), *_canaries(inventory, {row.cell.target.bucket for row in cells})]
    yield from created or ["  nothing"]
    deleted = list(_policies(cells, claims))
    yield from ["would be deleted and put back each time:", *deleted] if deleted else []
    instances = [inventory.vantage_points[name].ec2 for name in named]
    started = sum(instance is not None and instance.subnet is not None for instance in instances)
    yield f"would cost about ${_cost(cells, len(named)):.4f} in requests and invocations, controls included"
    if started:
        yield f"  and about ${started * _INSTANCE:.4f} for each hour or part of it that the instances run"


def _machines(inventory: Inventory, named: Collection[str]) -> Iterator[str]:
    for name in named:
        point = inventory.vantage_points[name]
        account = point.account or inventory.default_account
        function, instance = point.lambda_, point.ec2
        if function is not None and function.keep:
            yield f"  vantage point {name}: nothing; its function is kept in account {account}"
        elif function is not None and function.function is None:
            with_role = "" if function.role else " and a role for it"
            subnets = _listed(function.subnets)
            yield f"  vantage point {name}: a Lambda function in account {account}, {subnets}{with_role}"
        if instance is not None and instance.subnet is not None:
            yield f"  vantage point {name}: an EC2 instance in account {account}, {instance.subnet}"


def _listed(chosen: Sequence[str] | Mapping[str, str]) -> str:
    if isinstance(chosen, Mapping):
        return f"subnets with {' and '.join(f'{key}={value}' for key, value in chosen.items())}"
    return ", ".join(chosen)


def _canaries(inventory: Inventory, buckets: Collection[str]) -> Iterator[str]:
    for name, bucket in inventory.buckets.items():
        if name in buckets and bucket.canary.create:
            yield f"  bucket {name}: a canary object, by {bucket.canary.create}"


def _policies(cells: Collection[ExpectedCell], claims: Collection[ClaimSpec]) -> Iterator[str]:
    """The buckets whose policy somebody is to delete, and how often that may be."""
    asked = Counter(row.cell.target.bucket for row in cells if is_deletion(row.cell))
    for claim in claims:
        who = (*claim.fields.get("administrators", ()), *claim.fields.get("others", ()))
        asked.update([claim.bucket] * len(who) if claim.fields.get("mutating") else [])
    for bucket, times in asked.items():
        yield f"  bucket {bucket}: its policy, for each of {times} who are asked to delete it and can"


def _cost(cells: Collection[ExpectedCell], vantages: int) -> float:
    prices = [_WRITE_OR_LIST if _is_dear(row.cell.operation) else _READ for row in cells]
    return sum(prices) * (1 + _CONTROLS) + vantages * _INVOKE


def _is_dear(operation: str) -> bool:
    return OPERATIONS[operation].writes or operation.startswith("List")
