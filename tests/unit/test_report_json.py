"""Reports by suffix, and JSON that is read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.report import WRITERS, writer_of
from pytest_s3vpce.report.json import read
from tests.unit.matrices import MATRIX

if TYPE_CHECKING:
    from pathlib import Path


def test_a_report_is_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "report.JSON"
    writer_of(str(path))(MATRIX, path)
    assert read(path) == MATRIX
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.JSON"]


def test_an_unknown_suffix_names_the_known_ones() -> None:
    with pytest.raises(RunError, match=r"no report has the suffix of `x.pdf`; suffixes are "):
        writer_of("x.pdf")
    assert ".json" in WRITERS


def test_a_place_that_can_not_be_written_or_read_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(RunError, match=r"can't be written: Is a directory; name a file"):
        writer_of("x.json")(MATRIX, tmp_path / "folder.json")
    with pytest.raises(RunError, match=r"can't be written: No such file or directory; make its folder"):
        writer_of("x.json")(MATRIX, tmp_path / "missing" / "x.json")
    with pytest.raises(RunError, match=r"can't be read: No such file"):
        read(tmp_path / "x.json")
    (tmp_path / "y.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match="it is not UTF-8"):
        read(tmp_path / "y.json")
