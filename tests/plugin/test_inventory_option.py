"""The inventory: where it is looked for, and errors with place and remedy instead of tracebacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Example, SharedLab

ONE = "test_reports.access.yaml::GetObject/reports/anonymous:internet/https"


def test_a_missing_inventory_is_one_collection_error_with_a_remedy(example: Example) -> None:
    (example.path / "s3vpce.yaml").unlink()
    result = example.run("--s3vpce-lab", "test_reports.access.yaml")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no inventory*s3vpce.yaml*--s3vpce-inventory*"])
    assert not example.run_folders


def test_the_option_names_an_inventory(example: Example, in_lab: str) -> None:
    (example.path / "s3vpce.yaml").rename(example.path / "staging.yaml")
    example.run(in_lab, "--s3vpce-inventory=staging.yaml", ONE).assert_outcomes(passed=1)


def test_the_ini_file_names_an_inventory_and_the_option_overrules_it(example: Example) -> None:
    (example.path / "s3vpce.yaml").rename(example.path / "staging.yaml")
    with (example.path / "pytest.ini").open("a", encoding="utf-8") as ini:
        ini.write("s3vpce_inventory = staging.yaml\n")
    assert example.run("--s3vpce-lab", "--collect-only", ONE).ret == pytest.ExitCode.OK
    result = example.run("--s3vpce-lab", "--collect-only", "--s3vpce-inventory=other.yaml", ONE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*other.yaml*"])


def test_an_options_value_that_stands_apart_does_not_lead_away(example: Example, shared_lab: SharedLab) -> None:
    """pytest then takes a folder above for its root."""
    ready = example.path.parent / f"{example.path.name}-ready.json"
    ready.write_text(shared_lab.ready_file.read_text(encoding="utf-8"), encoding="utf-8")
    result = example.run("--s3vpce-lab-ready", ready, "-k", "anonymous and internet and GetObject")
    assert result.parseoutcomes()["passed"] == 1
    assert f"rootdir: {example.path.parent}" in result.outlines


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("s3vpce.yaml", "partner:   {role", "partner:   {rolle", "*s3vpce.yaml:11:*`rolle`*accepted are *role*"),
        ("s3vpce.yaml", "internet:    local", "internet:    [local", "*s3vpce.yaml:*:*"),
        ("s3vpce.yaml", '"444455556666"', '"4444"', "*s3vpce.yaml:4:*`4444`*"),
        (
            "test_reports.access.yaml",
            'allow: ["app:app-subnet", "partner',
            'allow: ["app:moon", "partner',
            "*test_reports.access.yaml:5:13: *`moon`*",
        ),
        (
            "test_reports.access.yaml",
            "s3:PutObject",
            "s3:PutObjekt",
            "*test_reports.access.yaml:8:15: *`s3:PutObjekt`*",
        ),
    ],
)
def test_an_error_in_a_file_is_told_with_file_line_and_column(
    example: Example, file: str, old: str, new: str, said: str
) -> None:
    example.replace(file, old, new)
    result = example.run("--s3vpce-lab", "test_reports.access.yaml")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert result.parseoutcomes() == {"error": 1} or result.parseoutcomes() == {"errors": 1}
    result.stdout.fnmatch_lines([said])
    result.stdout.no_fnmatch_line("*.py:*")
    assert not example.run_folders


def test_an_unresolved_reference_is_told_at_its_line(example: Example, in_lab: str) -> None:
    line = example.replace("s3vpce.yaml", "${out:ReportsBucket}", "${out:NoSuchOutput}")
    result = example.run(in_lab, ONE)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*s3vpce.yaml:{line}:*NoSuchOutput*"])
    assert not example.run_folders


def test_a_file_of_another_inventory_is_told(example: Example) -> None:
    (example.path / "inner").mkdir()
    (example.path / "s3vpce.yaml").rename(example.path / "inner" / "s3vpce.yaml")
    result = example.run("--s3vpce-lab", "--s3vpce-inventory=inner/s3vpce.yaml", "test_reports.access.yaml")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*test_reports.access.yaml` does not belong to the inventory `*inner/s3vpce.yaml`*"])
