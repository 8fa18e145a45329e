"""The first example in other partitions: their ARNs, their hosts, their policies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

FIRST = Path(__file__).parent.parent.parent / "examples" / "first_test"


@pytest.mark.parametrize(("partition", "region"), [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")])
def test_the_first_example_holds_in_another_partition(pytester: pytest.Pytester, partition: str, region: str) -> None:
    shutil.copytree(FIRST, pytester.path, dirs_exist_ok=True)
    for name in ("s3vpce.yaml", "provision.py"):
        path = pytester.path / name
        text = path.read_text(encoding="utf-8").replace("eu-west-1", region).replace("arn:aws:", f"arn:{partition}:")
        path.write_text(text, encoding="utf-8")
    result = pytester.runpytest_subprocess("--s3vpce-lab", timeout=60)
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["*4 of 4 cells as expected, 2 of 2 claims proven*"])
