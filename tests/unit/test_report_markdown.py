"""The Markdown report: short, failures first, the matrix folded; nothing of others is Markdown."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.report import GITHUB, writer_of
from pytest_s3vpce.report.markdown import MOST, code, render, words
from tests.unit.manycells import large
from tests.unit.matrices import MATRIX


def test_the_verdict_then_the_failures_then_the_rest() -> None:
    text = render(MATRIX)
    assert text.startswith(
        "## ❌ S3 access: 3 of 7 cells as expected, 1 of 3 claims proven, 1 refuted, 1 uncontrolled\n"
    )
    parts = [
        "embedded lab",
        "### Not as expected",
        "- ✘ **refuted** `tls-only/reports`: http was allowed",
        "  - missing: path not read",
        "- ✔ `PutObject/reports/app:outside/https`: expected **deny**, got **allowed**: because",
        "  look at: the bucket policy",
        "- ✘ `CopyObject/reports/app:inside/https`: expected **allow**, got **denied** by the identity policy",
        "### Proven",
        "- ✔ `endpoint-only/reports`",
        "<details><summary>Access matrix: 8 cells</summary>",
        "| operation | bucket | principal | `inside` vpce-0123456789abcdef0 | `outside` no endpoint |",
        "| `PutObject` | `reports` | `app` | **? inconclusive, want allow** | **✔ allowed, want deny** |",
        "| `GetObject` | `reports` | `app` | ✔ allowed | ✘ denied (uncontrolled) |",
        "</details>",
        "### Notes",
        "it CHANGED during the run",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "### Not as expected" not in render(replace(MATRIX, cells=MATRIX.cells[:1], claims=MATRIX.claims[:1]))


def test_a_live_run_that_holds_says_so() -> None:
    text = render(replace(MATRIX, mode="live", cells=MATRIX.cells[:1], claims=(), notes=(), vantages=()))
    assert text.startswith("## ✅ S3 access: 1 of 1 cells as expected\n")
    assert "live: measured against AWS" in text


def test_a_large_matrix_has_room_and_what_has_none_is_counted() -> None:
    text = render(large())
    assert len(text.encode()) < MOST
    assert text.count("</details>") == text.count("<details>") == 1
    assert "lines more: see the HTML or JSON report" in text
    assert text.count("expected **") == 100
    failing = replace(large(), cells=tuple(replace(cell, passed=False) for cell in large().cells))
    assert len(render(failing).encode()) < MOST


def test_an_empty_matrix_is_a_head() -> None:
    empty = replace(MATRIX, cells=(), claims=(), vantages=(), notes=())
    assert render(empty).startswith("## ❌ S3 access: no cell and no claim was measured\n")
    assert "<details>" not in render(empty)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a", "`a`"),
        ("a`b", "`` a`b ``"),
        ("``", "``` `` ```"),
        ("", "` `"),
        ("a|b", "`a¦b`"),
        ("x" * 400, f"`{'x' * 299}…`"),
    ],
)
def test_code_stays_code(text: str, shown: str) -> None:
    assert code(text) == shown


def test_words_are_no_markup() -> None:
    special = "<b> [x](y) @team #1 https://x :tada: www.x.y *a* _b_ `c` ~d~ $e$ & | ![i](j)"
    found = words(special)
    assert not set(re.sub(r"&#\d+;|: ", "", found)) & set("<>[]@*_`~$|:#&\\")
    assert "www." not in found
    assert html.unescape(found) == special
    assert words("expected: deny (not allow), s3-vpce!") == "expected: deny (not allow), s3-vpce!"


def test_it_is_written_by_its_suffix_and_to_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.md"
    writer_of(str(path))(MATRIX, path)
    assert path.read_text(encoding="utf-8") == render(MATRIX)
    summary = tmp_path / "summary"
    summary.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    writer_of(GITHUB)(MATRIX, Path(GITHUB))
    assert summary.read_text(encoding="utf-8") == f"before\n{render(MATRIX)}"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "folder"))
    with pytest.raises(RunError, match="can't be written: No such file"):
        writer_of(GITHUB)(MATRIX, Path(GITHUB))
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    with pytest.raises(RunError, match="GITHUB_STEP_SUMMARY is not set"):
        writer_of(GITHUB)(MATRIX, Path(GITHUB))
