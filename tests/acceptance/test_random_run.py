"""Random policies in a real lab: a run with predictions measures what was predicted, from functions and from here."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.lab.process import start_lab
from pytest_s3vpce.matrix import Expected, Matrix
from tests.randomly.cells import random_cell
from tests.randomly.realm import ACCOUNTS, BUCKETS, ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.model import Cell

ROOT = Path(__file__).parent.parent.parent
SOAK = bool(os.environ.get("S3VPCE_SOAK"))
SEEDS = range(1, 11) if SOAK else (1,)
CELLS = 400 if SOAK else 120
PROVISION = f"""\
import json
import os
import random
import sys

sys.path.insert(0, {str(ROOT)!r})

from tests.randomly import realm, throws


def provision(accounts):
    dice = random.Random(int(os.environ["S3VPCE_SEED"]))
    made = realm.furnish(dice, accounts, organization="o-none000000", path="o-none000000/")
    policies = throws.settle(made)
    found = throws.inventory_of(made, policies)
    found["principals"].pop("ann")
    return {{"Inventory": json.dumps(found), "Keys": json.dumps(made.named.keys)}}
"""


@pytest.fixture(scope="module", params=SEEDS)
def matrix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    folder = tmp_path_factory.mktemp("random")
    (folder / "provision.py").write_text(PROVISION, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S3VPCE_SEED", str(request.param))
        accounts = {name: (account, "us-east-1") for account, name in ACCOUNTS.items()}
        lab = start_lab(folder / "lab", accounts=accounts, provision=folder / "provision.py")
    try:
        outputs = json.loads(lab.ready_file.read_text(encoding="utf-8"))["outputs"]
        (folder / "s3vpce.yaml").write_text(outputs["Inventory"], encoding="utf-8")
        entries = list(_entries(folder, random.Random(request.param), json.loads(outputs["Keys"])))
        (folder / "test_random.access.yaml").write_text(json.dumps({"expect": entries}), encoding="utf-8")
        options = ["--s3vpce-lab-ready=lab/ready.json", "--s3vpce-predict", "--s3vpce-report=report.json"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (folder / "report.json").exists(), done.stdout[-3000:] + done.stderr[-3000:]
        yield Matrix.from_json((folder / "report.json").read_text(encoding="utf-8"))
    finally:
        lab.stop()


def _entries(folder: Path, dice: random.Random, keys: list[str]) -> Iterator[dict[str, Any]]:
    inventory = load_inventory(folder / "s3vpce.yaml")
    found: dict[str, Cell] = {}
    while len(found) < CELLS:
        bucket, principal = dice.choice(tuple(BUCKETS)), dice.choice((*ROLES, "anonymous", "url"))
        cell = random_cell(dice, inventory, bucket=bucket, principal=principal, keys=keys)
        found.setdefault(cell.id, cell)
    for cell in found.values():
        action: Any = cell.operation
        if cell.parameters:
            action = {"operation": cell.operation, "parameters": dict(cell.parameters)}
        yield {
            "bucket": cell.target.bucket,
            "actions": [action],
            "allow": f"{cell.principal}:{cell.vantage}",
            "transports": [cell.transport.value],
            **({"inferred": "true"} if cell.inferred else {}),
            **({"host": cell.target.name} if cell.target.name else {}),
        }


def test_what_is_predicted_is_what_is_measured(matrix: Matrix) -> None:
    assert len(matrix.cells) == CELLS
    odd = {}
    for row in matrix.cells:
        assert row.predicted is not None, matrix.notes
        unsure = row.predicted.expected is Expected.UNKNOWN
        if row.predicted.surprise or unsure is not (row.measured.outcome.value == "inconclusive"):
            odd[row.id] = (row.predicted.expected.value, row.measured.outcome.value, row.measured.reason)
    assert odd == {}
    seen = Counter(row.measured.outcome.value for row in matrix.cells)
    assert min(seen["allowed"], seen["denied"], seen["unreachable"]) > CELLS / 20, seen
