"""Lines that other processes of a run write are told, each once and whole."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.progress import Following

if TYPE_CHECKING:
    from pathlib import Path


def test_each_line_is_told_once_while_the_run_goes_on(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path)
    told: list[str] = []
    following = Following(folder, told.append)
    folder.note("making functions")
    end = time.monotonic() + 5
    while not told:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert told == ["making functions"]
    folder.note("sending")
    with (folder.path / "progress.txt").open("a", encoding="utf-8") as stream:
        stream.write("half a li")
    following.end()
    assert told == ["making functions", "sending"]
    folder.tidy(keep=False)


def test_nothing_is_told_where_nothing_was_said(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path)
    told: list[str] = []
    Following(folder, told.append).end()
    assert told == []
    folder.tidy(keep=False)
