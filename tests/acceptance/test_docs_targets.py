"""docs/targets.md prints an inventory and expectations that are read as it says."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_s3vpce.expectations import load_expectations, plan_cells
from pytest_s3vpce.inventory import load_inventory

PAGE = (Path(__file__).parent.parent.parent / "docs" / "targets.md").read_text(encoding="utf-8")


def test_the_page_is_an_inventory_and_expectations(tmp_path: Path) -> None:
    inventory, expectations = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "s3vpce.yaml").write_text(inventory, encoding="utf-8")
    (tmp_path / "test_targets.access.yaml").write_text(expectations, encoding="utf-8")
    found = load_inventory(tmp_path / "s3vpce.yaml")
    assert found.buckets["reports"].requester_pays
    cells = plan_cells([load_expectations(tmp_path / "test_targets.access.yaml", found)], found).cells
    assert [row.id for row in cells] == re.findall(r"`(GetObject/[^`]*)`", PAGE)
    (row,) = cells
    assert row.cell.timeout == 20
    assert (row.cell.target.key, row.cell.target.host) == ("2026/q3.csv", found.buckets["reports"].hosts["endpoint"])
