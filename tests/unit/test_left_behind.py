"""What a run could not remove is named at its end, with the command that removes it later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.session import RunSession, Settings
from pytest_s3vpce.vantage import Entry, Kind, Remaining

INVENTORY = Path(__file__).parent.parent.parent / "examples" / "endpoint_only" / "s3vpce.yaml"
ROLE = Entry(token="a", kind=Kind.IAM_ROLE, account="main", region="eu-west-1", identifier="s3vpce-1")


class Operator:
    def __init__(self, left: list[Remaining]) -> None:
        self.left = left

    def sweep(self) -> list[Remaining]:
        return self.left


def ended(tmp_path: Path, left: list[Remaining], *, ready_file: str | None = None) -> RunSession:
    settings = Settings(mode="live", root=tmp_path, inventory=str(INVENTORY), ready_file=ready_file)
    session = RunSession(settings, handed=None, notify=lambda _line: None)
    session.folder.ledger.touch()
    operator: Any = Operator(left)
    session._operator = operator
    session.finish()
    return session


@pytest.mark.parametrize(("ready_file", "more"), [(None, ""), ("the lab.json", " --lab-ready 'the lab.json'")])
def test_what_is_left_is_named_with_the_command_that_removes_it(
    tmp_path: Path, ready_file: str | None, more: str
) -> None:
    session = ended(tmp_path, [Remaining(ROLE, "Lambda needs it")], ready_file=ready_file)
    assert session.left == [
        "iam_role s3vpce-1 in account main, eu-west-1: Lambda needs it",
        f"to remove it: s3vpce sweep {session.folder.path} --inventory {INVENTORY} --wait{more}",
    ]
    assert session.folder.path.exists()


def test_nothing_is_said_where_nothing_is_left(tmp_path: Path) -> None:
    session = ended(tmp_path, [])
    assert session.left == []
    assert not session.folder.path.exists()


def test_a_folder_is_held_until_its_run_ends(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path)
    other = RunFolder(folder.path)
    assert other.is_held
    folder.tidy(keep=True)
    assert not other.is_held
    assert not RunFolder(tmp_path / "none").is_held
