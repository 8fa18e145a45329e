"""The import rule: a module imports from rooms below its own, never from above."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import pytest_s3vpce

PACKAGE = Path(pytest_s3vpce.__file__).parent
ROOMS = [
    {
        "plugin",
        "collector",
        "calibratecommand",
        "cli",
        "commandoptions",
        "ending",
        "hooks",
        "keepcommand",
        "labcommand",
        "lintcommand",
        "operationscommand",
        "options",
        "permissionscommand",
        "reportcommands",
        "screen",
        "snapshotcommand",
        "sweepcommand",
    },
    {"report"},
    {"run"},
    {"lab"},
    {"claims", "evidence", "openness", "ownside", "predict", "snapshot"},
    {"vantage"},
    {"joining", "matrix", "records", "redaction", "storing"},
    {"accounts", "connection", "infrastructure", "signing_in", "credential_errors"},
    {"probe", "filling", "outcome", "presigning", "onename"},
    {
        "inventory",
        "kinds",
        "points",
        "schema",
        "expectations",
        "references",
        "yamlplaces",
        "faults",
        "forms",
        "jsonlines",
        "dangling",
        "closedworld",
        "accessforms",
        "claimbase",
        "claimforms",
        "perimeterforms",
        "questions",
        "signers",
        "evidenceforms",
    },
    {"network"},
    {"policy"},
    {"operations", "undocumented", "calibration"},
    {"model"},
    {"errors", "escaping", "markup", "wording"},
    {"rewriting"},
]
LEVEL = {name: number for number, names in enumerate(ROOMS) for name in names}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.name != "__init__.py")


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def imports_of(path: Path, *, typing_too: bool) -> set[str]:
    """The rooms that a module imports; without `typing_too` those under TYPE_CHECKING are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not typing_too:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pytest_s3vpce."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {name.name.split(".")[1] for name in node.names if name.name.startswith("pytest_s3vpce.")}
    return found


def foreign_imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_from_rooms_below(path: Path) -> None:
    room = room_of(path)
    assert room in LEVEL, f"{path} stands in no room"
    for other in imports_of(path, typing_too=room != "errors"):
        assert other == room or LEVEL[other] > LEVEL[room] or {room, other} <= ROOMS[LEVEL[room]], (
            f"{path.name} of {room} imports {other}, which stands above or beside it"
        )


def test_the_page_names_every_room() -> None:
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = [text.removesuffix(".py").rstrip("/") for text in re.findall(r"`([^`\s]+)`", page)]
    assert [room for room in LEVEL if not any(fnmatchcase(room, text) for text in named)] == []


def test_only_the_shells_import_pytest_and_only_the_adapter_moto() -> None:
    for path in MODULES:
        name = path.relative_to(PACKAGE).as_posix()
        foreign = foreign_imports_of(path)
        assert "pytest" not in foreign or name in {"plugin.py", "collector.py", "hooks.py", "options.py"}, name
        assert "moto" not in foreign or name in {"lab/state.py", "lab/services.py"}, name
        assert "_pytest" not in foreign, name


def test_the_engine_and_the_agent_depend_on_the_standard_library_alone() -> None:
    own = {"pytest_s3vpce", "__future__"}
    for path in MODULES:
        name = path.relative_to(PACKAGE).as_posix()
        if name == "vantage/agent.py":
            assert foreign_imports_of(path) <= sys.stdlib_module_names
        if name.startswith("policy/"):
            assert foreign_imports_of(path) - own <= sys.stdlib_module_names, name


def run_plain(folder: Path, test: str, *options: str) -> None:
    """Runs one test, which must pass."""
    (folder / "test_plain.py").write_text(f"import sys\n\n\ndef test_plain():\n{test}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *options, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout


def test_a_plain_pytest_run_imports_neither_boto3_nor_pydantic_nor_moto(tmp_path: Path) -> None:
    run_plain(
        tmp_path,
        "    assert 'pytest_s3vpce.plugin' in sys.modules\n"
        "    for name in ('boto3', 'botocore', 'pydantic', 'moto', 'yaml', 'requests'):\n"
        "        assert name not in sys.modules, name\n",
    )


def test_pytest_rewrites_no_asserts_of_ours_in_a_run_with_a_mode(tmp_path: Path) -> None:
    """It would compile every module anew, in each job of a CI."""
    run_plain(
        tmp_path,
        "    for name in ('collector', 'hooks', 'run.termination'):\n"
        "        loader = sys.modules[f'pytest_s3vpce.{name}'].__loader__\n"
        "        assert type(loader).__name__ == 'SourceFileLoader', name\n",
        "--override-ini=s3vpce_mode=live",
    )
