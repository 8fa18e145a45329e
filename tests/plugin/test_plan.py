"""`--s3vpce-plan` prints the cells, what would be created and what it would cost, and sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Example, SharedLab


def test_a_plan_needs_no_mode_and_prints_cells_creations_and_cost(example: Example) -> None:
    result = example.run("--s3vpce-plan")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "36 cells and 3 claims would be probed; nothing was sent or created",
            "  GetObject/reports/app:app-subnet/https  allow",
            "  GetObject/reports/anonymous:internet/https  deny",
            "  tls-only/reports",
            "would be created and removed again:",
            "  vantage point app-subnet: a Lambda function in account main, ${out:AppSubnet} and a role for it",
            "  vantage point partner-vpc: a Lambda function in account partner, ${out:PartnerSubnet} and a role for it",
            "would cost about $0.* in requests and invocations, controls included",
        ]
    )
    assert not {"passed", "failed", "errors"} & set(result.parseoutcomes())
    assert not example.run_folders


def test_a_plan_is_of_what_was_chosen(example: Example) -> None:
    result = example.run("--s3vpce-plan", "-k", "GetObject and internet and access.yaml")
    result.stdout.fnmatch_lines(["3 cells and 0 claims would be probed; *", "would be created *:", "  nothing"])
    result.stdout.no_fnmatch_line("*nat-subnet*")


def test_a_plan_sends_nothing_in_the_lab_either(example: Example, shared_lab: SharedLab, in_lab: str) -> None:
    before = shared_lab.log.stat().st_size
    result = example.run("--s3vpce-plan", in_lab)
    result.stdout.fnmatch_lines(["36 cells and 3 claims would be probed; nothing was sent or created"])
    assert shared_lab.log.stat().st_size == before


def test_pytests_own_plan_sends_nothing_either(example: Example, shared_lab: SharedLab, in_lab: str) -> None:
    before = shared_lab.log.stat().st_size
    assert example.run("--setup-plan", in_lab, "--s3vpce-report=r.json", "-k", "GetObject").ret == 0
    assert shared_lab.log.stat().st_size == before
    assert not (example.path / "r.json").exists()


def test_a_plan_of_two_workers_is_printed_once_and_starts_no_lab(example: Example) -> None:
    (example.path / "provision.py").write_text(
        "from pathlib import Path\nPath(__file__).with_name('ran').touch()\ndef provision(accounts): return {}\n",
        encoding="utf-8",
    )
    result = example.run("--s3vpce-plan", "--s3vpce-lab", "-n", "2")
    assert sum(line.startswith("36 cells and 3 claims would") for line in result.outlines) == 1
    assert not (example.path / "ran").exists()
    assert not example.run_folders


def test_a_plan_where_there_is_nothing_of_ours_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_other(): pass")
    result = pytester.runpytest_subprocess("--s3vpce-plan", timeout=60)
    result.stdout.fnmatch_lines(["no cell and no claim was chosen: nothing would be sent or created"])
    assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize("options", [(), ("--continue-on-collection-errors",)])
def test_a_broken_file_is_a_collection_error_and_nothing_runs(example: Example, options: tuple[str, ...]) -> None:
    example.replace("s3vpce.yaml", "partner:   {role", "partner:   {rolle")
    result = example.run("--s3vpce-plan", *options)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert result.parseoutcomes() == {"errors": 1}
    result.stdout.fnmatch_lines(["*s3vpce.yaml:11:* `rolle`*"])
    result.stdout.no_fnmatch_line("*would be probed*")
