"""What `s3vpce permissions` prints is what runs need: with exactly that they work, and without any one action not.

The lab enforces all: https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from conftest import EXAMPLES, Stage  # type: ignore[import-not-found]

from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.expectations import find_expectations, load_expectations, plan_cells
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.lab.process import start_lab
from pytest_s3vpce.run.doctor import examine
from pytest_s3vpce.run.environment import from_ready_file
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.operator import Operator
from pytest_s3vpce.run.permissions import permissions
from pytest_s3vpce.run.sweeping import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pytest_s3vpce.matrix import Matrix

EXAMPLE = EXAMPLES / "endpoint_only"
RUNNER = "s3vpce-runner"
SOAK = bool(os.environ.get("S3VPCE_SOAK"))


class Guarded:
    """An inventory in a lab that enforces all, whose runners have what is printed and nothing else."""

    def __init__(self, stage: Stage, inventory: Path) -> None:
        self.stage = stage
        self.inventory = load_inventory(inventory)
        self.root = inventory.parent
        self.plan = plan_cells(
            [load_expectations(path, self.inventory) for path in find_expectations(self.root)], self.inventory
        )
        self.printed = permissions(self.inventory, stage.environment)
        self.policies = {row.name: row.runner for row in self.printed.accounts}
        for row in self.printed.accounts:
            self.may(row.name, row.runner)
        for role, trust in self.printed.trust.items():
            iam = stage.client("iam", self.account_of(role))
            iam.update_assume_role_policy(RoleName=role.rpartition("/")[2], PolicyDocument=json.dumps(trust))

    def account_of(self, arn: str) -> str:
        return next(name for name, row in self.inventory.accounts.items() if row.id == arn.split(":")[4])

    def may(self, account: str, document: Mapping[str, Any]) -> None:
        iam = self.stage.client("iam", account)
        with suppress(iam.exceptions.NoSuchEntityException):
            iam.detach_role_policy(RoleName=RUNNER, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
        iam.put_role_policy(RoleName=RUNNER, PolicyName="printed", PolicyDocument=json.dumps(document))

    def run(self) -> Matrix:
        """All that is declared, and what is made removed; AssertionError where something is left."""
        environment = self.stage.environment
        folder = RunFolder.create(self.root)
        operator = Operator(self.inventory, environment, folder, notify=lambda _: None, strict=False)
        names = [*(row.id for row in self.plan.cells), *(row.id for row in self.plan.claims)]
        try:
            return operator.run(self.plan, set(names))
        finally:
            left = operator.sweep()
            folder.tidy(keep=False)
            assert left == []

    def ways(self) -> Iterator[tuple[str, Any]]:
        """All that can be told, quick things first: what a sweep can't see, the doctor's words, the matrix."""
        sweeper = Sweeper(self.inventory, self.stage.environment, roots=[self.root], notify=lambda _: None)
        yield "sweep", [str(row) for row in sweeper.sweep()]
        yield "doctor", [(check.subject, check.state) for check in examine(self.inventory, self.stage.environment)]
        yield "matrix", told(self.run())

    def breaks(self, wanted: Mapping[str, Any]) -> bool:
        """Whether anything is not as it was."""
        try:
            return any(found != wanted[name] for name, found in self.ways())
        except (S3VpceError, AssertionError):
            return True


def told(matrix: Matrix) -> dict[str, Any]:
    """What a matrix says, without what differs from run to run."""
    cells = {
        row.id: (row.measured.outcome, row.measured.layer, row.measured.code, row.passed, row.controlled, row.hint)
        for row in matrix.cells
    }
    claims = {
        row.id: (row.verdict, row.sentence, [item.status for item in row.evidence], asdict(row.coverage))
        for row in matrix.claims
    }
    return {"cells": cells, "claims": claims, "paths": {row.name: row.path for row in matrix.vantages}}


def without(document: Mapping[str, Any], action: str) -> dict[str, Any]:
    found = copy.deepcopy(dict(document))
    for row in found["Statement"]:
        row["Action"] = [name for name in row["Action"] if name != action]
    found["Statement"] = [row for row in found["Statement"] if row["Action"]]
    return found


def actions(document: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for row in document["Statement"] for name in row["Action"]))


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A lab that enforces all, with the example in it."""
    inventory = load_inventory(EXAMPLE / "s3vpce.yaml")
    folder = tmp_path_factory.mktemp("strict")
    lab = start_lab(
        folder / "lab",
        accounts={name: (row.id, row.region) for name, row in inventory.accounts.items()},
        provision=EXAMPLE / "provision.py",
        enforce=Enforcement.ALL,
    )
    files = [load_expectations(path, inventory) for path in find_expectations(inventory.path.parent)]
    try:
        yield Stage(
            inventory=inventory,
            plan=plan_cells(files, inventory),
            environment=from_ready_file(lab.ready_file),
            ready=json.loads(lab.ready_file.read_text(encoding="utf-8")),
            root=folder,
        )
    finally:
        lab.stop()


@pytest.fixture(scope="module")
def example(strict: Stage, tmp_path_factory: pytest.TempPathFactory) -> Guarded:
    folder = tmp_path_factory.mktemp("example")
    for path in EXAMPLE.glob("*.yaml"):
        shutil.copy(path, folder)
    return Guarded(strict, folder / "s3vpce.yaml")


def works(guarded: Guarded) -> dict[str, Any]:
    """What can be told with all rights, where that is what it should be."""
    found = dict(guarded.ways())
    assert {row[0] for row in found["matrix"]["claims"].values()} <= {"proven"}
    assert {row[3] for row in found["matrix"]["cells"].values()} == {True}
    assert {state for _, state in found["doctor"]} <= {"ok", "unknown"}
    assert found["sweep"] == []
    return found


def test_the_example_runs_with_exactly_what_is_printed(example: Guarded) -> None:
    works(example)


def surplus(guarded: Guarded, *, chosen: Callable[[str], bool] = lambda _: True) -> list[str]:
    """The actions that may go without anything breaking."""
    wanted = works(guarded)
    found = []
    for account, document in guarded.policies.items():
        for action in filter(chosen, actions(document)):
            guarded.may(account, without(document, action))
            if not guarded.breaks(wanted):
                found.append(f"{account}: {action}")
        guarded.may(account, document)
    return found


@pytest.mark.skipif(not SOAK, reason="each action takes a whole run: `make soak`")
def test_the_example_breaks_without_any_one_action(example: Guarded) -> None:
    assert surplus(example) == []
