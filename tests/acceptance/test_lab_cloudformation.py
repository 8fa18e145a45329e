"""Stacks in the lab, by the inventory: the example proves its perimeter, errors name lines, the docs' example works."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.labstage import Stage

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "cloudformation"
DOCS = ROOT / "docs" / "lab.md"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".s3vpce", "__pycache__"))
    return tmp_path


def run(folder: Path, *options: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--s3vpce-lab", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def test_the_inventory_has_a_stack_created_and_pytest_proves_it(example: Path) -> None:
    status, out = run(example, "--s3vpce-predict")
    assert status == 0, out
    assert out.count("✔ proven") == 2
    assert "predicted: 4 of 4 cells, 0 surprises" in out


def test_what_is_wrong_is_told_with_its_line(example: Path) -> None:
    template = example / "perimeter.yaml"
    text = template.read_text(encoding="utf-8")
    template.write_text(text.replace("EC2::RouteTable\n", "EC2::RouteTables\n"), encoding="utf-8")
    status, out = run(example)
    assert status != 0
    told = f"{template}:16: stack `perimeter` is refused: Template format error: Unrecognized resource types: [AWS::EC2"
    assert told in " ".join(out.split()), out


def test_the_docs_example_is_created_changed_and_deleted() -> None:
    """The template of docs/lab.md, by the calls that stand below it."""
    section = DOCS.read_text(encoding="utf-8").partition("## CloudFormation")[2].partition("\n## ")[0]
    template = re.findall(r"```yaml\n(Resources:.*?)```", section, re.DOTALL)[0]
    account = "360000000037"
    api = Stage(account).admin(account).client("cloudformation")
    api.create_stack(StackName="docs", TemplateBody=template)
    stack = api.describe_stacks(StackName="docs")["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert stack["Outputs"][0]["OutputKey"] in section
    api.delete_stack(StackName="docs")
    assert api.list_stacks(StackStatusFilter=["CREATE_COMPLETE"])["StackSummaries"] == []


def test_the_docs_name_every_type() -> None:
    from pytest_s3vpce.lab.cloudformation.catalogue import TYPES

    section = DOCS.read_text(encoding="utf-8").partition("## CloudFormation")[2].partition("\n## ")[0]
    words = set(re.findall(r"\w+", section))
    for name in TYPES:
        _, service, kind = name.split("::")
        assert {service, kind} <= words, name
