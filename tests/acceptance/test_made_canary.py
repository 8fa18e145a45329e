"""A canary that the run makes: used by its probes, and gone afterwards; none is made under a default retention."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.operator import Operator
from pytest_s3vpce.vantage import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.acceptance.conftest import Stage


@pytest.fixture
def scratch(stage: Stage, tmp_path: Path) -> Iterator[tuple[Operator, str, RunFolder]]:
    """A versioned bucket without a canary, and an operator whose inventory says who makes one."""
    s3 = stage.client("s3")
    name = "scratch-of-the-tests"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    text = stage.inventory.path.read_text(encoding="utf-8")
    text = text.replace('"${out:ReportsBucket}"', f'"{name}"')
    text = text.replace('{key: ".s3vpce/canary", reader: "app:app-subnet"}', '{create: "app:internet"}')
    path = tmp_path / "s3vpce.yaml"
    path.write_text(text, encoding="utf-8")
    folder = RunFolder.create(tmp_path)
    inventory = load_inventory(path)
    operator = Operator(inventory, stage.environment, folder, notify=lambda _line: None, strict=False)
    rights = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]}
        ],
    }
    with stage.role_policy("main", "app", rights):
        yield operator, name, folder
    for entry in _versions(stage, name):
        s3.delete_object(Bucket=name, Key=entry["Key"], VersionId=entry["VersionId"], BypassGovernanceRetention=True)
    s3.delete_bucket(Bucket=name)


def _versions(stage: Stage, bucket: str) -> list[Any]:
    found = stage.client("s3").list_object_versions(Bucket=bucket)
    return [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]


def cells(stage: Stage) -> list[Any]:
    wanted = {"GetObject/reports/app:internet/https", "PutObject/reports/app:internet/https"}
    from pytest_s3vpce.model import Expect

    return [replace(row, expect=Expect.ALLOW) for row in stage.plan.cells if row.id in wanted]


def test_it_is_made_probed_and_removed_by_version(stage: Stage, scratch: tuple[Operator, str, RunFolder]) -> None:
    operator, name, folder = scratch
    matrix = operator.observe(cells(stage), [])
    assert {row.id: row.counted.outcome.value for row in matrix.cells} == {
        "GetObject/reports/app:internet/https": "allowed",
        "PutObject/reports/app:internet/https": "allowed",
    }
    assert _versions(stage, name) == []
    assert Ledger(folder.ledger).open_entries() == []
    assert f"{name}/.s3vpce/canary-{folder.run_id}" in folder.ledger.read_text()


def test_none_is_made_where_nobody_could_remove_it(stage: Stage, scratch: tuple[Operator, str, RunFolder]) -> None:
    operator, name, _ = scratch
    stage.client("s3").put_object_lock_configuration(
        Bucket=name,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        },
    )
    matrix = operator.observe(cells(stage), [])
    assert {row.counted.outcome.value for row in matrix.cells} == {"inconclusive"}
    assert "no canary is made in bucket `reports`: the bucket has a default retention" in matrix.cells[0].counted.reason
    assert "s3vpce.yaml" in matrix.cells[0].counted.reason
    assert _versions(stage, name) == []


def test_one_that_can_not_be_made_says_who_could_not(stage: Stage, scratch: tuple[Operator, str, RunFolder]) -> None:
    operator, name, folder = scratch
    only_read = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:Get*", "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]}
        ],
    }
    with stage.role_policy("main", "app", only_read):
        matrix = operator.observe(cells(stage), [])
    reason = matrix.cells[0].counted.reason
    assert "the canary of bucket `reports` could not be made by app:internet: User: " in reason
    assert "let `create` name who may s3:PutObject" in reason
    assert Ledger(folder.ledger).open_entries() == []
