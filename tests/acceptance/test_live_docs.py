"""docs/live.md: its inventory is read, and its commands are ones that the tool takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.cli import main
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.vantage import marks

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")


def commands() -> Iterator[str]:
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL):
        yield from re.findall(r"^\$ s3vpce (.*)$", block, re.MULTILINE)


@pytest.mark.parametrize("line", list(commands()))
def test_the_commands_that_are_shown_are_taken(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".s3vpce" / "run-1a2b3c4d").mkdir(parents=True)
    (tmp_path / "s3vpce.yaml").touch()
    name, *arguments = shlex.split(line)
    with main.commands[name].make_context(name, arguments) as context:
        assert context.params


def test_every_option_of_a_sweep_and_every_tag_is_told() -> None:
    for option in ("--account", "--older-than", "--dry-run", "--wait"):
        assert f"`{option}`" in TEXT or f"{option} " in TEXT
    for tag in (marks.RUN, marks.CREATED, marks.EXPIRES, marks.OWNER, marks.KEPT):
        assert f"`{tag}`" in TEXT, tag


def test_the_kept_function_that_is_shown_is_read(tmp_path: Path) -> None:
    rest = (ROOT / "examples" / "first_test" / "s3vpce.yaml").read_text(encoding="utf-8")
    rest = re.sub(r"(?ms)^vantage_points:\n.*?^buckets:", "buckets:", rest)
    shown = [row for row in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL) if "keep:" in row]
    (text,) = [row for row in shown if row.startswith("vantage_points:")]
    path = tmp_path / "s3vpce.yaml"
    path.write_text(rest + text, encoding="utf-8")
    (point,) = load_inventory(path).vantage_points.values()
    assert point.lambda_ is not None
    assert point.lambda_.keep
