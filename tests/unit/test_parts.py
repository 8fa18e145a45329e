"""What a part of the access tests says of itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce import __version__
from pytest_s3vpce.joining import joined
from pytest_s3vpce.report.reading import counts
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.parts import Parting
from tests.unit.matrices import MATRIX

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "s3vpce.yaml"
    path.write_text("accounts: {}", encoding="utf-8")
    return path


def whole(parting: Parting) -> str:
    return parting.named(MATRIX).whole


def test_parts_of_the_same_tests_and_files_are_of_one_whole(inventory: Path) -> None:
    found = set()
    for number in (1, 2):
        parting = Parting(f"{number}/2")
        parting.note(["a", "b"], [inventory], ours=1, folder=None)
        assert parting.named(MATRIX).shards == (f"{number}/2",)
        found.add(whole(parting))
    (same,) = found
    assert same
    parting.note(["a"], [inventory], ours=1, folder=None)
    assert whole(parting) != same
    inventory.write_text("accounts: {main: {}}", encoding="utf-8")
    parting.note(["a", "b"], [inventory], ours=1, folder=None)
    assert whole(parting) != same


def test_who_reports_learns_what_a_worker_noted(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path)
    worker, controller = Parting("1/2"), Parting("1/2")
    controller.learn(folder)
    assert whole(controller) == ""
    worker.note(["a"], [], ours=1, folder=folder)
    controller.learn(folder)
    assert whole(controller) == whole(worker) != ""


@pytest.mark.parametrize(("ours", "holds"), [(0, True), (2, False)])
def test_a_part_that_measured_nothing_holds_only_where_nothing_fell_to_it(ours: int, holds: bool) -> None:
    """All its tests may have been skipped, which no exit status says."""
    parting = Parting("2/2")
    parting.note(["a", "b"], [], ours=ours, folder=None)
    matrix = parting.nothing("lab")
    assert bool(matrix.unmeasured) is not holds
    full = Parting("1/2")
    full.note(["a", "b"], [], ours=2 - ours, folder=None)
    good = full.named(replace(MATRIX, version=__version__, cells=MATRIX.cells[:2], claims=()))
    assert counts(joined([good, matrix])).holds is holds


def test_a_run_that_is_the_whole_says_nothing_of_parts() -> None:
    assert Parting("").named(MATRIX) is MATRIX
