"""docs/vantage.md: its inventories are read, its snippets run, and every kind is told."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_s3vpce import kinds
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.points import Ec2, Lambda

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "vantage.md").read_text(encoding="utf-8")


def snippets(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)


def test_the_inventories_that_are_shown_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = EntryPoint(name="pod", value="pod_vantage:PodVantage", group=kinds.GROUP)
    monkeypatch.setattr(kinds, "entry_points", lambda **_: [pod])
    rest = (ROOT / "examples" / "first_test" / "s3vpce.yaml").read_text(encoding="utf-8")
    rest = re.sub(r"(?ms)^vantage_points:\n.*?^buckets:", "buckets:", rest)
    found = set()
    for number, text in enumerate(snippets("yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(rest + text, encoding="utf-8")
        found |= {point.kind for point in load_inventory(path).vantage_points.values()}
    assert found == {*kinds.OWN, "pod"}


def test_every_kind_has_its_section_and_every_setting_of_instances_and_functions_is_told() -> None:
    for kind in kinds.OWN:
        assert f"\n## {kind}\n" in TEXT
    for name in (*Ec2.model_fields, *Lambda.model_fields):
        assert f"`{name}`" in TEXT or f"`{name}: " in TEXT, name


def test_the_stub_that_is_shown_runs() -> None:
    (code,) = [text for text in snippets("python") if "StubVantage" in text]
    subprocess.run([sys.executable, "-c", code], check=True)
