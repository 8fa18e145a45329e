"""The inventory's sources of evidence, resolved, asked for what a run sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.errors import InventoryError, S3VpceError
from pytest_s3vpce.evidence import Clock, Source, with_evidence
from pytest_s3vpce.run.planes import Planes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.matrix import Matrix
    from pytest_s3vpce.run.environment import Environment
    from pytest_s3vpce.run.world import World

_IN_LAB: Final = Clock(every=0.2, longest=15.0)
"""The lab delivers within a second."""


def check(inventory: Inventory) -> None:
    """InventoryError where evidence is wanted and the inventory names none: before anything is sent."""
    if not inventory.evidence:
        raise InventoryError(
            "--s3vpce-evidence is given, and the inventory has no `evidence`",
            place=inventory.place(),
            remedy="add `evidence: {log_group: NAME}`, or leave the option out",
        )


def sources_of(world: World, environment: Environment) -> tuple[list[Source], list[str]]:
    """Every source with its account's control plane; and those that can't be used, with the reason."""
    planes = Planes(world, environment)
    found, unusable = [], []
    for number in range(len(world.inventory.evidence)):
        try:
            found.append(source_at(world, planes, number))
        except S3VpceError as error:
            unusable.append(f"evidence: {error}")
    return found, unusable


def source_at(world: World, planes: Planes, number: int) -> Source:
    """One source of the inventory, resolved. S3VpceError where that can't be."""
    row, path = world.inventory.evidence[number], ("evidence", number)
    account = row.account or world.inventory.default_account
    fields = (row.kind, "prefix", "organization", "region")
    named = {
        name: world.references.resolve(getattr(row, name) or "", world.inventory.place(*path, name)) for name in fields
    }
    plane = planes.of(account)
    return Source(
        kind=row.kind,
        name=named[row.kind],
        account=account,
        plane=plane.at(named["region"]) if named["region"] else plane,
        wait=row.wait,
        prefix=named["prefix"],
        organization=named["organization"] or None,
        format=row.format,
        account_ids=tuple(world.account_id(name) for name in world.inventory.accounts),  # one bucket may have them all
        buckets=tuple(_folders(world)),
        regions=tuple(dict.fromkeys(world.region(label) for label in world.labels)),
    )


def _folders(world: World) -> Iterator[str]:
    """Of each bucket, where dated keys of its access log stand."""
    for label in world.inventory.buckets:
        facts = world.bucket(label)
        yield f"{facts.account_id}/{world.region(label)}/{facts.name}"


def evidenced(matrix: Matrix, world: World, environment: Environment, *, notify: Callable[[str], None]) -> Matrix:
    """The matrix with what the sources say."""
    accounts = {row.account or world.inventory.default_account for row in world.inventory.evidence}
    world.accounts.guard(sorted(accounts))
    sources, unusable = sources_of(world, environment)
    clock = _IN_LAB if environment.mode == "lab" else Clock()
    matrix = replace(matrix, notes=(*matrix.notes, *unusable))
    return with_evidence(matrix, sources, notify=notify, clock=clock)


def turned(before: Matrix, after: Matrix) -> Iterator[str]:
    """The claims that passed, and that AWS's own records contradict."""
    passed = {row.id for row in before.claims if row.passed}
    for row in after.claims:
        if row.id in passed and not row.passed:
            yield f"{row.id} was reported as proven, and is {row.verdict.value}: {row.sentence}"
