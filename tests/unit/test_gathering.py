"""What a run's processes measured is one matrix, and says of itself what is not in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.joining import joined
from pytest_s3vpce.report.reading import counts, headline, notes
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.gathering import ANSWERS, FAILED, gathered, keep, unproven
from tests.unit.matrices import MATRIX

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_s3vpce.matrix import Matrix

GOOD = replace(MATRIX, cells=MATRIX.cells[:2], claims=MATRIX.claims[:1])
CLAIM = GOOD.claims[0].id


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path)


def whole(folder: RunFolder, *, interrupted: str = "") -> Matrix:
    found = gathered(folder, own=None, mode="lab", interrupted=interrupted)
    assert found is not None
    return found


def test_nothing_is_nothing_whatever_is_missing(folder: RunFolder) -> None:
    folder.started.touch()
    assert gathered(folder, own=None, mode="lab", interrupted="it was") is None


def test_all_that_was_measured_holds(folder: RunFolder) -> None:
    folder.started.touch()
    folder.write_text(ANSWERS, GOOD.to_json())
    assert whole(folder).unmeasured == ()
    assert counts(whole(folder)).holds


def test_what_files_declare_and_nobody_measured_keeps_the_rest_from_holding(folder: RunFolder) -> None:
    keep(folder, GOOD)
    folder.started.touch()
    assert whole(folder).unmeasured == ("what expectation files declare was not measured: the run was ended",)
    folder.write(FAILED, {"error": "no such output"})
    found = whole(folder)
    assert notes(found)[0] == "what expectation files declare was not measured: no such output"
    assert not counts(found).holds
    assert headline(counts(found)).endswith("not all was measured")


def test_a_claim_without_a_result_keeps_the_rest_from_holding_until_it_has_one(folder: RunFolder) -> None:
    unproven(folder, CLAIM, VantageError("the function is gone"))
    keep(folder, replace(GOOD, claims=()))
    assert whole(folder).unmeasured == (f"{CLAIM} was not measured: the function is gone",)
    keep(folder, GOOD)
    assert whole(folder).unmeasured == ()


def test_an_interrupted_run_says_so_once(folder: RunFolder) -> None:
    keep(folder, GOOD)
    assert whole(folder, interrupted="it was").unmeasured == ("it was",)
    folder.started.touch()
    assert len(whole(folder, interrupted="it was").unmeasured) == 1


def test_parts_that_are_joined_keep_it(folder: RunFolder) -> None:
    keep(folder, GOOD)
    part = whole(folder, interrupted="it was")
    found = joined([part, GOOD, part])
    assert found.unmeasured == ("it was",)
    assert not counts(found).holds
