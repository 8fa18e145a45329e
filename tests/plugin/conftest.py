"""The first example in a folder of its own, runs of it as a user starts them, and a lab for all that may share one."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

import pytest_s3vpce.run.session  # noqa: F401 - so that runs in this process find it imported
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.lab.process import start_lab

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOURCE = Path(__file__).parent.parent.parent / "examples" / "endpoint_only"


@dataclass(frozen=True)
class SharedLab:
    """A running lab with the example in it."""

    ready_file: Path
    log: Path

    @property
    def ready(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self.ready_file.read_text(encoding="utf-8"))
        return found

    def client(self, service: str, account: str = "main") -> Any:
        row = self.ready["accounts"][account]
        session: Any = boto3.Session(
            aws_access_key_id=row["access_key_id"],
            aws_secret_access_key=row["secret_access_key"],
            region_name=row["region"],
        )
        return session.client(service, endpoint_url=self.ready["endpoint_url"])

    def functions(self) -> set[str]:
        return {
            row["FunctionName"]
            for account in ("main", "partner")
            for row in self.client("lambda", account).list_functions()["Functions"]
        }

    def roles(self) -> set[str]:
        """The roles that runs made; `s3vpce-runner` is the lab's own."""
        return {
            row["RoleName"]
            for account in ("main", "partner")
            for row in self.client("iam", account).list_roles()["Roles"]
            if row["RoleName"].startswith("s3vpce-") and row["RoleName"] != "s3vpce-runner"
        }


@dataclass(frozen=True)
class Example:
    """A copy of the example that a test may change."""

    pytester: pytest.Pytester

    @property
    def path(self) -> Path:
        return self.pytester.path

    def run(self, *options: str | Path) -> pytest.RunResult:
        """Runs pytest in the copy; no traceback of ours is ever in what comes out."""
        if "-n" in options:
            result = self.pytester.runpytest_subprocess(*options, timeout=60)
        else:
            # A process of its own would import boto3 and pydantic once more for each test.
            result = self.pytester.runpytest_inprocess(*options)
        shown = result.stdout.str() + result.stderr.str()
        assert "Traceback" not in shown
        assert "INTERNALERROR" not in shown
        return result

    def replace(self, name: str, old: str, new: str) -> int:
        """Replaces text in a file of the copy, once; the number of the line where it stood."""
        file = self.path / name
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} in {name}"
        file.write_text(text.replace(old, new), encoding="utf-8")
        return text[: text.index(old)].count("\n") + 1

    @property
    def run_folders(self) -> list[Path]:
        return sorted((self.path / ".s3vpce").glob("run-*"))


@pytest.fixture
def example(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Example:
    shutil.copytree(SOURCE, pytester.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".s3vpce", "__pycache__"))
    monkeypatch.setenv("COLUMNS", "160")
    # Plugins of this project's own tests, which would take half of each run's start.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:pytest_cov")
    return Example(pytester)


@pytest.fixture(scope="session")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedLab]:
    inventory = load_inventory(SOURCE / "s3vpce.yaml")
    folder = tmp_path_factory.mktemp("shared-lab")
    lab = start_lab(
        folder / "lab",
        accounts={name: (row.id, row.region) for name, row in inventory.accounts.items()},
        provision=SOURCE / "provision.py",
        log=folder / "requests.log",
    )
    try:
        yield SharedLab(lab.ready_file, folder / "requests.log")
    finally:
        lab.stop()


@pytest.fixture
def in_lab(shared_lab: SharedLab) -> str:
    """The option that runs against the shared lab."""
    return f"--s3vpce-lab-ready={shared_lab.ready_file}"
