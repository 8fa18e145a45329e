"""`--s3vpce-lab-ready FILE`: a run in a lab that is already there, which it leaves as it was."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.run.environment import from_ready_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Example, SharedLab

CELLS = ("-k", "GetObject and app and (app-subnet or internet) and not partner")


def test_a_run_in_a_lab_that_is_there_leaves_it_running_and_as_it_was(
    example: Example, shared_lab: SharedLab, in_lab: str
) -> None:
    ready = shared_lab.ready
    (example.path / "provision.py").unlink()
    example.run(in_lab, *CELLS, "test_reports.access.yaml").assert_outcomes(passed=3, deselected=36)
    assert shared_lab.ready == ready
    assert shared_lab.functions() == shared_lab.roles() == set()
    assert not example.run_folders


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "*lab's ready file `broken.json` can't be read: No such file or directory*"),
        (b"[]", "*`broken.json` is no lab's ready file; `s3vpce lab --ready-file FILE` writes one*"),
    ],
    ids=["missing", "broken"],
)
def test_a_file_that_no_lab_wrote_is_each_items_one_error(example: Example, content: bytes | None, said: str) -> None:
    if content is not None:
        (example.path / "broken.json").write_bytes(content)
    result = example.run("--s3vpce-lab-ready=broken.json", *CELLS, "test_reports.access.yaml")
    result.assert_outcomes(errors=3, deselected=36)
    told = [line for line in result.outlines if fnmatch(line, said) and not line.startswith("ERROR")]
    assert len(told) == 3
    assert not example.run_folders


@pytest.mark.parametrize("content", [b"", b"{", b"null", b'{"endpoint_url": "http://127.0.0.1:1"}', b"\xff\xfe{}"])
def test_what_no_lab_wrote_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.json"
    file.write_bytes(content)
    with pytest.raises(LabError, match="is no lab's ready file"):
        from_ready_file(file)


def test_a_lab_that_is_gone_is_told(example: Example, shared_lab: SharedLab) -> None:
    gone = json.dumps(shared_lab.ready).replace(shared_lab.ready["https_endpoint_url"], "https://127.0.0.1:9")
    (example.path / "gone.json").write_text(gone, encoding="utf-8")
    result = example.run("--s3vpce-lab-ready=gone.json", *CELLS, "test_reports.access.yaml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes().get("passed", 0) == 0
    result.stdout.fnmatch_lines(["*127.0.0.1:9*"])
    assert not example.run_folders
