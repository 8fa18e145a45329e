"""The README and docs/ say what is: their files are the example's, they run, and every option and command is told."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_s3vpce.cli import main
from pytest_s3vpce.vantage import agent

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROSE = README + "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))


def snippets(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL)


def test_the_readmes_first_test_runs_as_it_is_printed(tmp_path: Path) -> None:
    inventory, expectations = snippets("yaml")
    (python,) = snippets("python")
    (tmp_path / "s3vpce.yaml").write_text(inventory, encoding="utf-8")
    (tmp_path / "test_reports.access.yaml").write_text(expectations, encoding="utf-8")
    (tmp_path / "test_reports.py").write_text(python, encoding="utf-8")
    for name in ("provision.py", "pytest.ini"):
        shutil.copy(ROOT / "examples" / "first_test" / name, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--s3vpce-lab", "--s3vpce-predict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "predicted: 4 of 4 cells, 0 surprises" in done.stdout
    assert done.stdout.count("✔ proven") == 2
    # without a mode nothing is sent: one error for the file, and one for the test that asks for the fixture
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "2 errors" in done.stdout
    assert "--s3vpce-lab runs them against the embedded lab, --s3vpce-live against AWS" in done.stdout


def test_the_example_folder_holds_what_the_readme_prints() -> None:
    folder = ROOT / "examples" / "first_test"
    inventory, expectations = snippets("yaml")
    assert (folder / "s3vpce.yaml").read_text(encoding="utf-8") == inventory
    assert (folder / "test_reports.access.yaml").read_text(encoding="utf-8") == expectations
    assert (folder / "test_reports.py").read_text(encoding="utf-8") == snippets("python")[0]


def test_every_option_is_told(pytestconfig: pytest.Config) -> None:
    source = (ROOT / "pytest_s3vpce" / "options.py").read_text(encoding="utf-8")
    options = set(re.findall(r'"(--s3vpce-[a-z-]+)"', source))
    assert len(options) >= 7
    for option in options:
        assert option in PROSE, option


def test_every_command_is_told() -> None:
    for command in main.commands:
        assert f"s3vpce {command}" in PROSE, command


def test_the_readme_and_the_architecture_stay_short() -> None:
    assert README.count("\n") <= 150
    assert (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").count("\n") <= 60


def test_the_readme_leads_to_every_page_in_lines_of_one_width() -> None:
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert f"(docs/{page.name}" in README, page.name
    prose = re.sub(r"(?ms)^```.*?^```", "", README)
    assert [line for line in prose.splitlines() if len(line) > 120 and not line.startswith("| ")] == []


def test_every_commands_exit_statuses_are_told() -> None:
    told = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8").partition("## Exit statuses")[2]
    heads = " ".join(row.split("|")[1] for row in told.splitlines() if row.startswith("| `"))
    for command in main.commands:
        assert re.search(rf"`(s3vpce )?{command}[ `]", heads), command


def test_links_lead_somewhere() -> None:
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_agents_zip_is_made_as_the_docs_say(tmp_path: Path) -> None:
    (line,) = re.findall(r'python -c "(.*?)"\n', PROSE)
    done = subprocess.run([sys.executable, "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = zipfile.ZipFile(tmp_path / "agent.zip")
    assert made.read("agent.py") == Path(agent.__file__).read_bytes()
