"""The CI recipes: they parse, and every option and command in them exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import pytest
import yaml

from pytest_s3vpce.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(__file__).parent.parent.parent / "docs" / "ci"
WORKFLOWS: Final = sorted(FOLDER.glob("*.yml"))
DECLARED: Final = (FOLDER.parent.parent / "pytest_s3vpce" / "options.py").read_text(encoding="utf-8")
OPTIONS: Final = set(re.findall(r'"(--s3vpce-[a-z-]+)"', DECLARED))
PYTESTS: Final = {"-n", "-q", "--junitxml"}


def lines_of(value: Any) -> Iterator[str]:
    """The shell lines of a workflow: what stands under `run`, `script` or `commands`."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key in ("run", "script", "commands"):
                for line in [part] if isinstance(part, str) else part:
                    yield from line.splitlines()
            else:
                yield from lines_of(part)
    elif isinstance(value, list):
        for part in value:
            yield from lines_of(part)


def commands_of(line: str) -> Iterator[list[str]]:
    """The `pytest` and `s3vpce` commands of a shell line."""
    words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "1", line), comments=True)
    found: list[str] = []
    for word in [*words, ";"]:
        if word in ("&&", "||", "|", ";", "then", "do", ">", "fi"):
            if found and found[0] in ("pytest", "s3vpce"):
                yield found
            found = []
        elif word.endswith(";"):
            found.append(word[:-1])
            if found[0] in ("pytest", "s3vpce"):
                yield found
            found = []
        else:
            found.append(word)


def check(words: list[str]) -> None:
    options = [word.partition("=")[0] for word in words[1:] if word.startswith("-")]
    if words[0] == "pytest":
        assert {"--s3vpce-lab", "--s3vpce-live"} & set(options)
        for option in options:
            assert option in OPTIONS | PYTESTS, option
        return
    command = main.commands[words[1]]
    known = {name for row in command.params if isinstance(row, click.Option) for name in row.opts}
    for option in options:
        assert option in known, f"{words[1]} {option}"


def cron_lines() -> list[str]:
    text = (FOLDER / "crontab").read_text(encoding="utf-8")
    return [line.split(None, 5)[5].replace("\\%", "%") for line in text.splitlines() if re.match(r"[\d*]", line)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_of_a_workflow_exists(path: Path) -> None:
    lines = list(lines_of(yaml.safe_load(path.read_text(encoding="utf-8"))))
    found = [words for line in lines for words in commands_of(line)]
    assert found
    for words in found:
        check(words)
    written = path.read_text(encoding="utf-8")
    used = len(re.findall(r"(?:^|[^-'\w])(?:pytest --|s3vpce [a-z])", written, re.MULTILINE))
    assert len(found) == used


def test_every_command_of_the_crontab_exists() -> None:
    found = [words for line in cron_lines() for words in commands_of(line)]
    assert [words[:2] for words in found] == [["pytest", "-q"], ["s3vpce", "diff"], ["s3vpce", "history"]]
    for words in found:
        check(words)


def test_a_wrong_option_would_be_found() -> None:
    for wrong in (["pytest", "--s3vpce-lab", "--s3vpce-nothing"], ["s3vpce", "diff", "--nothing"]):
        with pytest.raises(AssertionError):
            check(wrong)


def test_the_workflow_of_github_is_one() -> None:
    found = yaml.safe_load((FOLDER / "github-actions.yml").read_text(encoding="utf-8"))
    assert set(found[True]) == {"pull_request", "schedule", "workflow_dispatch"}  # YAML 1.1 reads `on` as true
    assert found["jobs"]["live"]["permissions"]["id-token"] == "write"
    for job in found["jobs"].values():
        assert {"runs-on", "steps"} <= set(job)
        for step in job["steps"]:
            assert len({"run", "uses"} & set(step)) == 1
            assert "uses" not in step or re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])


def test_every_recipe_is_listed() -> None:
    text = (FOLDER.parent / "ci.md").read_text(encoding="utf-8")
    for path in FOLDER.iterdir():
        assert f"(ci/{path.name})" in text
