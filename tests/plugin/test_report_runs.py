"""Reports of a run: every format, what is left out, JUnit's properties, and a baseline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from click.testing import CliRunner

from pytest_s3vpce.cli import main
from pytest_s3vpce.errors import RunError
from pytest_s3vpce.matrix import schema
from pytest_s3vpce.report import compare

if TYPE_CHECKING:
    from tests.plugin.conftest import Example, SharedLab

FILE = "test_reports.access.yaml"
BEFORE = Path(__file__).parent.parent / "data" / "report-2.json"
CELLS = tuple(f"{FILE}::{operation}/reports/app:internet/https" for operation in ("GetObject", "ListObjectsV2"))


def test_a_run_writes_every_format_and_tells_who_is_waited_for(
    example: Example, in_lab: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("pytest_s3vpce.run.session.RunSession.say", lambda _, line: told.append(line))
    monkeypatch.setattr("pytest_s3vpce.run.access._PATIENCE", 0.0)
    summary = example.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    names = ("r.json", "r.html", "r.md", "r.csv", "github")
    result = example.run(in_lab, *CELLS, "--junitxml=r.xml", *(f"--s3vpce-report={name}" for name in names))
    result.assert_outcomes(passed=2)
    assert any(line.startswith("still waiting for answers from internet (") for line in told)
    written = json.loads((example.path / "r.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema()).validate(written)
    cell = written["cells"][0]
    assert cell["sent"]["url"].startswith("https://reports-111122223333.s3.eu-west-1.amazonaws.com/")
    assert ["Authorization", "[redacted]"] in cell["sent"]["headers"]
    assert cell["received"]["timings"]["total"] > 0
    assert {row["name"] for row in written["accounts"]} == {"main", "partner"}
    for name in ("r.html", "r.md", "r.csv", "summary.md"):
        text = (example.path / name).read_text(encoding="utf-8")
        assert "GetObject" in text
        assert "embedded lab" in text or name == "r.csv"
    assert summary.read_text(encoding="utf-8") == (example.path / "r.md").read_text(encoding="utf-8")
    suite = ET.parse(example.path / "r.xml").getroot()
    found = {row.get("name"): row.get("value") for row in suite.findall(".//testsuite/properties/property")}
    assert (found["s3vpce.mode"], found["s3vpce.cells"], found["s3vpce.as_expected"]) == ("lab", "2", "2")
    of_cell = {row.get("name"): row.get("value") for row in suite.findall(".//testcase/properties/property")}
    assert (of_cell["s3vpce.outcome"], of_cell["s3vpce.layer"], of_cell["s3vpce.passed"]) == (
        "denied",
        "resource",
        "true",
    )


def test_what_is_asked_for_is_left_out_of_everything(example: Example, in_lab: str) -> None:
    names = ("r.json", "r.html", "r.md", "r.csv")
    options = [*(f"--s3vpce-report={name}" for name in names), "--s3vpce-redact=addresses", "--junitxml=r.xml"]
    result = example.run(in_lab, CELLS[0].replace("GetObject/reports/app", "GetObject/reports/partner"), *options)
    for name in (*names, "r.xml"):
        text = (example.path / name).read_text(encoding="utf-8")
        assert "111122223333" not in text, name
        assert "127.0.0.1" not in text, name
    assert "111122223333" not in result.stdout.str()
    assert "[bucket reports].s3.eu-west-1" in (example.path / "r.json").read_text(encoding="utf-8")


def test_a_statement_that_is_removed_opens_exactly_its_cells(
    example: Example, shared_lab: SharedLab, in_lab: str
) -> None:
    old, new = str(example.path / "old.json"), str(example.path / "new.json")
    assert example.run(in_lab, *CELLS, f"--s3vpce-report={old}").ret == 0
    s3, bucket = shared_lab.client("s3"), "reports-111122223333"
    policy: dict[str, Any] = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    without = {**policy, "Statement": [row for row in policy["Statement"] if not row["Sid"].startswith("OwnPrin")]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(without))
    try:
        failed = example.run(in_lab, *CELLS, f"--s3vpce-report={new}", f"--s3vpce-baseline={old}")
    finally:
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert failed.ret == 1
    told = [
        "opened (2)",
        *(f"  {name.partition('::')[2]}  denied by bucket policy -> allowed" for name in CELLS),
    ]
    failed.stdout.fnmatch_lines(["*other than in the baseline*", *told])
    found = CliRunner().invoke(main, ["diff", old, new])
    assert (found.exit_code, found.output.splitlines()) == (1, told)
    found = CliRunner().invoke(main, ["diff", old, old])
    assert (found.exit_code, found.output) == (0, "")


def test_only_what_opened_fails_a_run_in_which_all_is_as_expected(example: Example, in_lab: str) -> None:
    before = json.loads(BEFORE.read_text(encoding="utf-8"))
    (cell,) = (row for row in before["cells"] if row["id"] == CELLS[0].partition("::")[2])
    cell["counted"]["outcome"], cell["passed"] = "unreachable", False
    (example.path / "old.json").write_text(json.dumps(before), encoding="utf-8")
    changed = example.run(in_lab, CELLS[0], "--s3vpce-baseline=old.json")
    assert changed.ret == 0
    changed.stdout.fnmatch_lines(["now denied (1)", "*unreachable -> denied by bucket policy"])
    # The cells and claims that this run did not choose are not gone.
    changed.stdout.no_fnmatch_line("gone*")
    changed.stdout.no_fnmatch_line("claims*")


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--s3vpce-baseline=none.json", "--s3vpce-baseline: the report `none.json` can't be read"),
        ("--s3vpce-report=r.pdf", "--s3vpce-report: no report has the suffix of `r.pdf`"),
        ("--s3vpce-report=missing/r.json", "--s3vpce-report: the folder of the report `missing/r.json` is not there"),
        ("--s3vpce-report=folder.json", "the report `folder.json` can't be written: it is a folder; name a file"),
        ("--s3vpce-report=github", "--s3vpce-report: GITHUB_STEP_SUMMARY is not set"),
        ("--s3vpce-redact=everything", "invalid choice"),
    ],
)
def test_what_can_not_be_is_told_before_anything_is_sent(
    example: Example, in_lab: str, option: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    (example.path / "folder.json").mkdir()
    result = example.run(in_lab, option, *CELLS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert told in result.stderr.str()
    assert not example.run_folders
    assert not Path(example.path / "r.pdf").exists()


def test_what_goes_wrong_with_files_at_the_end_is_told(
    example: Example, in_lab: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Path(shutil.copy(BEFORE, example.path / "old.json"))

    def spoil(_: object) -> None:
        old.unlink(missing_ok=True)
        (example.path / "r.json").mkdir()

    monkeypatch.setattr("pytest_s3vpce.run.session.RunSession.release", spoil)
    options = ["--s3vpce-report=r.json", "--s3vpce-report=r.md", "--s3vpce-baseline=old.json"]
    result = example.run(in_lab, CELLS[0], *options)
    told = (
        "*failed at the end*",
        "the report `r.json` can't be written: Is a directory; name a file*",
        "not all was compared with the baseline: the report `old.json` can't be read: No such file*",
    )
    result.stdout.fnmatch_lines(told)
    assert (example.path / "r.md").exists()
    assert result.ret == pytest.ExitCode.TESTS_FAILED  # it can't tell whether anything opened
    (example.path / "r.json").rmdir()
    unwritten = example.run(in_lab, CELLS[0], *options[:1])
    assert unwritten.ret == pytest.ExitCode.TESTS_FAILED  # nobody would know that there is none
    unwritten.stdout.no_fnmatch_line("*left behind*")


def test_what_could_not_be_measured_keeps_a_report_from_holding(example: Example, in_lab: str) -> None:
    """The tests in Python pass, and what the files declare has errors: nobody may read `all proven` of such a run."""
    example.replace(FILE, "${out:Endpoint}", "${out:Nowhere}")
    proof = "test_reports.py::test_reports_refuses_plain_http"
    result = example.run(in_lab, f"{FILE}::endpoint-only/reports", proof, "--s3vpce-report=r.md")
    assert result.parseoutcomes() == {"passed": 1, "errors": 1}
    text = (example.path / "r.md").read_text(encoding="utf-8")
    assert text.startswith("## ❌ S3 access: 1 of 1 claims proven, not all was measured")
    assert "- what expectation files declare was not measured" in text
    assert "✘ 1 of 1 claims proven, not all was measured" in result.stdout.str()


def test_a_run_that_measured_nothing_does_not_pass_for_one_in_which_nothing_opened(
    example: Example, in_lab: str
) -> None:
    shutil.copy(BEFORE, example.path / "old.json")
    (example.path / "test_plain.py").write_text("def test_plain():\n    pass\n", encoding="utf-8")
    nothing = (in_lab, FILE, "test_plain.py", "-k", "test_plain")
    result = example.run(*nothing, "--s3vpce-baseline=old.json")
    assert result.parseoutcomes()["passed"] == 1
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["not all was compared with the baseline: nothing was measured"])
    assert example.run(*nothing).ret == 0
    assert example.run(*nothing, "--s3vpce-baseline=old.json", "--collect-only").ret == 0


def test_a_run_without_any_access_test_says_that_nothing_was_compared_or_written(example: Example, in_lab: str) -> None:
    shutil.copy(BEFORE, example.path / "old.json")
    (example.path / "test_plain.py").write_text("def test_plain():\n    pass\n", encoding="utf-8")
    result = example.run(in_lab, "test_plain.py", "--s3vpce-baseline=old.json", "--s3vpce-report=r.json")
    assert result.parseoutcomes() == {"passed": 1}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    told = ("*failed at the end*", "not all was compared with the baseline: nothing was measured", "r.json was not wr*")
    result.stdout.fnmatch_lines(told)
    assert example.run(in_lab, "test_plain.py", "--s3vpce-baseline=old.json", "--collect-only").ret == 0
    assert example.run(in_lab, "test_plain.py", "--s3vpce-report=r.json").ret == 0


def test_what_opened_is_told_and_fails_even_if_comparing_does_not_end(
    example: Example, in_lab: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RunError("it broke")

    before = json.loads(BEFORE.read_text(encoding="utf-8"))
    (cell,) = (row for row in before["cells"] if row["id"] == CELLS[0].partition("::")[2])
    cell["counted"]["outcome"], cell["passed"] = "unreachable", False
    (example.path / "old.json").write_text(json.dumps(before), encoding="utf-8")
    monkeypatch.setattr(compare, "but_for", broken)
    result = example.run(in_lab, CELLS[0], "--s3vpce-baseline=old.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["now denied (1)", "*not all was compared with the baseline: it broke"])
