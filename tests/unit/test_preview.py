from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pytest_s3vpce.expectations import find_expectations, load_expectations, plan_cells
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.run.preview import preview

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "endpoint_only"


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ("subnets: [subnet-1, subnet-2]", "a Lambda function in account main, subnet-1, subnet-2 and a role for it"),
        (
            "subnets: {tags: {tier: app, stage: test}}",
            "a Lambda function in account main, subnets with tier=app and stage=test and a role for it",
        ),
        ("keep: true, subnets: subnet-1", "nothing; its function is kept in account main"),
    ],
)
def test_what_would_be_made_of_a_function(tmp_path: Path, settings: str, shown: str) -> None:
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".s3vpce"))
    path = folder / "s3vpce.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('{lambda: {subnets: ["${out:AppSubnet}"],', f"{{lambda: {{{settings},"))
    inventory = load_inventory(path)
    plan = plan_cells([load_expectations(row, inventory) for row in find_expectations(folder)], inventory)
    lines = preview(plan, inventory, [row.id for row in plan.cells]).splitlines()
    assert f"  vantage point app-subnet: {shown}" in lines


def test_whose_policy_would_be_deleted_is_told() -> None:
    folder = EXAMPLE.parent / "every_claim"
    inventory = load_inventory(folder / "s3vpce.yaml")
    plan = plan_cells([load_expectations(row, inventory) for row in find_expectations(folder)], inventory)
    lines = preview(plan, inventory, [row.id for row in plan.claims]).splitlines()
    at = lines.index("would be deleted and put back each time:")
    assert lines[at + 1] == "  bucket glass: its policy, for each of 4 who are asked to delete it and can"
    others = [row.id for row in plan.claims if row.kind != "break-glass"]
    assert "would be deleted" not in preview(plan, inventory, others)
