"""Cells asked about one at a time, without a run: found by their ids, predicted from a snapshot, explained."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.errors import RunError, S3VpceError
from pytest_s3vpce.model import Cell, Target, Transport
from pytest_s3vpce.operations import operation
from pytest_s3vpce.predict import Blame, Predictor, tell
from pytest_s3vpce.run.foreseen import blame_of, to_be_allowed
from pytest_s3vpce.run.planes import world_of
from pytest_s3vpce.run.predicting import kms_keys
from pytest_s3vpce.run.snapshotting import take
from pytest_s3vpce.snapshot.state import stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pytest_s3vpce.calibration import Calibration
    from pytest_s3vpce.expectations import Plan
    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.model import Expect
    from pytest_s3vpce.run.environment import Environment
    from pytest_s3vpce.snapshot import Snapshot

_ID: Final = re.compile(
    r"(?P<operation>[A-Za-z0-9]+)(?:\+(?P<variant>[^/]+))?/(?P<bucket>[^/+]+)(?:\+(?P<name>[^/]+))?"
    r"/(?P<principal>[^/:]+):(?P<vantage>[^/:]+)(?:/(?P<transport>[^/]+))?"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A cell, and what it is expected to give where a file says so."""

    cell: Cell
    expect: Expect | None


def cell_of(text: str, plan: Plan, inventory: Inventory) -> Wanted:
    """The declared cell with this id, else one that is made of the id. RunError says what of it is not declared."""
    for row in plan.cells:
        if row.id in (text, f"{text}/https"):
            return Wanted(row.cell, row.expect)
    match = _ID.fullmatch(text)
    if match is None:
        raise RunError(
            f"`{text}` is the id of no cell and no claim",
            remedy="give OPERATION/BUCKET/PRINCIPAL:VANTAGE_POINT/TRANSPORT: GetObject/reports/app:app-subnet/https"
            + _or_claims(plan),
        )
    declared: dict[str, Mapping[str, object]] = {
        "bucket": inventory.buckets,
        "principal": inventory.principals,
        "vantage": inventory.vantage_points,
    }
    for part, rows in declared.items():
        if match[part] not in rows:
            word = part.replace("vantage", "vantage point")
            raise RunError(f"`{text}`: there is no {word} `{match[part]}`", remedy=f"declared are {', '.join(rows)}")
    if match["variant"]:
        raise RunError(
            f"`{text}` has parameters that no expectation file says", remedy="give the id of a declared cell"
        )
    return Wanted(_made(text, match, inventory), None)


def _or_claims(plan: Plan) -> str:
    named = ", ".join(row.id for row in plan.claims)
    return f"; or one of the claims {named}" if named else ""


def _made(text: str, match: re.Match[str], inventory: Inventory) -> Cell:
    try:
        row = operation(match["operation"])
        transport = Transport(match["transport"] or "https")
    except S3VpceError as error:
        raise RunError(f"`{text}`: {error.what}", remedy=error.remedy) from error
    except ValueError as error:
        remedy = f"transports are {', '.join(Transport)}"
        raise RunError(f"`{text}`: there is no transport `{match['transport']}`", remedy=remedy) from error
    bucket = inventory.buckets[match["bucket"]]
    name = match["name"] or ""
    if name and name not in {**bucket.keys, **bucket.hosts}:
        known = ", ".join({**bucket.keys, **bucket.hosts}) or "none"
        raise RunError(f"`{text}`: bucket `{match['bucket']}` has no key or host `{name}`", remedy=f"it has {known}")
    return Cell(
        operation=row.name,
        action=row.default_of or row.actions[0],
        target=Target(bucket=match["bucket"], name=name, key=bucket.keys.get(name), host=bucket.hosts.get(name)),
        principal=match["principal"],
        vantage=match["vantage"],
        transport=transport,
        mutating=row.safe is None,
        inferred=True,
    )


def taken(inventory: Inventory, environment: Environment, *, cells: Iterable[Cell]) -> Snapshot:
    """A snapshot of now for these cells. Accounts are guarded first; of one that can't be used nothing is known."""
    world = world_of(inventory, environment, run_id="snapshot")
    errors = world.accounts.guard(inventory.accounts)
    if len(errors) == len(inventory.accounts):
        raise next(iter(errors.values()))
    return take(world, environment, kms_keys=kms_keys(cells))


def read(path: Path) -> Snapshot:
    """A snapshot from its file; RunError where it is none."""
    return stored().load(path)


def explained(wanted: Wanted, plan: Plan, snapshot: Snapshot, *, calibration: Calibration) -> str:
    """The prediction and why, in lines."""
    predictor = Predictor(snapshot, calibration=calibration)
    found = predictor.predict(wanted.cell)
    blame = Blame.NOTHING if wanted.expect is None else blame_of(wanted.cell, wanted.expect, to_be_allowed(plan.cells))
    expected = "" if wanted.expect is None else f", expected {wanted.expect.value}"
    head = f"{wanted.cell.id}: predicted {found.expected.value}{expected}"
    return "\n".join([head, *tell(found, snapshot, blame=blame).lines])
