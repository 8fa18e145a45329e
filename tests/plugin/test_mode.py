"""The mode: without one access tests error and say how to give one; two exclude each other; ini files may name it."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Example

OPTIONS = ("--s3vpce-lab", "--s3vpce-lab-ready=ready.json", "--s3vpce-live")


def ini(folder: Path, *lines: str) -> None:
    (folder / "pytest.ini").write_text("\n".join(["[pytest]", *lines]) + "\n", encoding="utf-8")


def test_without_a_mode_each_access_file_is_one_error_that_names_both_options(example: Example) -> None:
    text = (example.path / "test_reports.access.yaml").read_text(encoding="utf-8")
    (example.path / "test_second.access.yaml").write_text(text, encoding="utf-8")
    result = example.run("-k", "access.yaml")
    result.assert_outcomes(errors=2, deselected=3)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    said = [line for line in result.outlines if line.startswith("access tests need a mode: ")]
    assert len(said) == 2
    assert all("--s3vpce-lab" in line and "--s3vpce-live" in line and "nothing was sent" in line for line in said)
    assert not example.run_folders


def test_without_a_mode_other_tests_run(example: Example) -> None:
    example.pytester.makepyfile(test_my_other="def test_other(): pass")
    example.run("test_my_other.py").assert_outcomes(passed=1)


def test_without_a_mode_a_broken_inventory_is_not_even_read(example: Example) -> None:
    (example.path / "s3vpce.yaml").write_text("accounts: [", encoding="utf-8")
    result = example.run("test_reports.access.yaml")
    result.assert_outcomes(errors=1)
    result.stdout.no_fnmatch_line("*s3vpce.yaml*")


@pytest.mark.parametrize("pair", [*combinations(OPTIONS, 2), OPTIONS])
def test_modes_exclude_each_other(example: Example, pair: tuple[str, ...]) -> None:
    result = example.run(*pair)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    names = " and ".join(option.partition("=")[0] for option in pair)
    result.stderr.fnmatch_lines([f"ERROR: {names} exclude each other; give one"])


def test_the_ini_file_may_name_the_mode(example: Example) -> None:
    ini(example.path, "s3vpce_mode = lab")
    result = example.run("--collect-only", "-q", "test_reports.access.yaml")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["test_reports.access.yaml::GetObject/reports/app:app-subnet/https", "39 tests *"])


def test_an_option_overrules_the_ini_file(example: Example) -> None:
    ini(example.path, "s3vpce_mode = live")
    result = example.run("--s3vpce-lab-ready=no-such.json", "-k", "GetObject and app-subnet")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*ready file `no-such.json` can't be read*"])


def test_a_mode_that_does_not_exist_is_a_usage_error(example: Example) -> None:
    ini(example.path, "s3vpce_mode = Lab")
    result = example.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: s3vpce_mode is `Lab` in the ini file; it is one of lab, live"])
