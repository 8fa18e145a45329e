"""Run folders of runs that were killed before they made anything: a sweep removes them, and no others."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.sweeping import Sweeper
from pytest_s3vpce.vantage.base import silent

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def made(root: Path, *, ago: float) -> RunFolder:
    folder = RunFolder.create(root)
    then = time.time() - ago
    os.utime(folder.path / "alive.lock", (then, then))
    return folder


def killed(folder: RunFolder) -> RunFolder:
    """The same as its process's death leaves it."""
    folder.tidy(keep=True)
    return RunFolder(folder.path)


def test_a_sweep_removes_what_was_killed_before_it_made_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, fresh = killed(made(tmp_path, ago=120)), killed(made(tmp_path, ago=0))
    living, listed = made(tmp_path, ago=120), killed(made(tmp_path, ago=120))
    listed.ledger.touch()
    nowhere = RunFolder(tmp_path / ".s3vpce" / "run-0a0a0a0a")
    folders = [dead, fresh, living, listed, nowhere]
    assert [folder.is_abandoned for folder in folders] == [True, False, False, False, False]
    sweeper = object.__new__(Sweeper)
    sweeper._folders, sweeper._notify = folders, silent
    monkeypatch.setattr(Sweeper, "_ended", lambda _self: [])
    monkeypatch.setattr(Sweeper, "_tagged", lambda *_: ([], []))
    assert sweeper.sweep() == []
    assert [folder.path.exists() for folder in folders] == [False, True, True, True, False]
    living.tidy(keep=False)
