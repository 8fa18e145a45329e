"""`--s3vpce-shard I/N` splits the tests that send over jobs; `s3vpce merge` joins what they wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from pytest_s3vpce.cli import main

if TYPE_CHECKING:
    from tests.plugin.conftest import Example


def _names(result: pytest.RunResult) -> list[str]:
    return re.findall(r"^(\S+::\S+)$", result.stdout.str(), re.MULTILINE)


def test_the_parts_are_the_whole_and_overlap_nowhere(example: Example, in_lab: str) -> None:
    example.pytester.makepyfile(test_plain="def test_plain(): pass")
    whole = _names(example.run(in_lab, "--collect-only", "-q"))
    parts = [_names(example.run(in_lab, "--collect-only", "-q", f"--s3vpce-shard={one}/3")) for one in (1, 2, 3)]
    plain = "test_plain.py::test_plain"
    assert all(plain in part for part in parts)
    sending = [name for part in parts for name in part if name != plain]
    assert sorted(sending) == sorted(name for name in whole if name != plain)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_two_jobs_measure_what_one_does(example: Example, in_lab: str) -> None:
    selection = ["-k", "GetObject or tls-only"]
    files = []
    for one in (1, 2):
        files.append(str(example.path / f"part{one}.json"))
        result = example.run(in_lab, f"--s3vpce-shard={one}/2", f"--s3vpce-report={files[-1]}", "-q", *selection)
        assert result.ret == 0
    whole = str(example.path / "whole.json")
    assert example.run(in_lab, f"--s3vpce-report={whole}", "-q", *selection).ret == 0
    joined = str(example.path / "joined.json")
    done = CliRunner().invoke(main, ["merge", *files, "--output", joined])
    assert (done.exit_code, done.output.startswith(f"{joined}: ")) == (0, True), done.output
    expected, found = (json.loads(Path(name).read_text(encoding="utf-8")) for name in (whole, joined))
    for rows in ("cells", "claims"):
        measured, wanted = (
            {row["id"]: row["passed"] for row in report[rows] if row["passed"] is not None}
            for report in (found, expected)
        )
        assert measured == wanted
        assert measured
    printed = CliRunner().invoke(main, ["merge", *files])
    assert json.loads(printed.output)["cells"] == found["cells"]


def test_a_part_without_allowed_cells_reads_canaries_as_the_whole_does(example: Example, in_lab: str) -> None:
    example.replace("s3vpce.yaml", '{key: ".s3vpce/canary", reader: "app:app-subnet"}', '".s3vpce/canary"')
    result = example.run(in_lab, "-k", "endpoint-only or (PutObject and internet)")
    result.assert_outcomes(passed=4)
    for path in example.path.glob("test_*"):
        path.unlink()
    example.pytester.makepyfile(
        test_alone="""
        def test_nothing_but_a_claim(s3vpce):
            s3vpce.prove(
                "endpoint-only", bucket="reports", principals=["app"], endpoints=["${out:Endpoint}"],
                inside=["app-subnet"], outside=["internet"],
            )
        """
    )
    example.run(in_lab).assert_outcomes(passed=1)


def test_a_failure_in_a_part_is_the_wholes(example: Example, in_lab: str) -> None:
    path = example.path / "part.json"
    assert example.run(in_lab, f"--s3vpce-report={path}", "-q", "--s3vpce-shard=1/12").ret == 0
    report = json.loads(path.read_text(encoding="utf-8"))
    report["claims"], report["cells"] = [], [{**row, "passed": False} for row in report["cells"][:1]]
    path.write_text(json.dumps(report), encoding="utf-8")
    assert CliRunner().invoke(main, ["merge", str(path)]).exit_code == 1


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b", "1/", "-1/2"])
def test_what_is_no_part_is_a_usage_error(example: Example, in_lab: str, part: str) -> None:
    result = example.run(in_lab, f"--s3vpce-shard={part}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"`{part}` is no part of a whole" in result.stderr.str()


def test_a_part_says_which_it_is_and_one_without_tests_is_no_missing_one(example: Example, in_lab: str) -> None:
    only = ("-q", in_lab, "test_reports.access.yaml::GetObject/reports/app:internet/https")
    files = []
    for one in (1, 2):
        files.append(str(example.path / f"part{one}.json"))
        example.run(*only, f"--s3vpce-shard={one}/2", f"--s3vpce-report={files[-1]}")
    parts = [json.loads(Path(name).read_text(encoding="utf-8")) for name in files]
    assert [part["shards"] for part in parts] == [["1/2"], ["2/2"]]
    assert sorted(len(part["cells"]) for part in parts) == [0, 1]
    done = CliRunner().invoke(main, ["merge", *files])
    assert (done.exit_code, json.loads(done.stdout)["shards"]) == (0, ["1/2", "2/2"])
    (held,) = (name for name, part in zip(files, parts, strict=True) if part["cells"])
    assert CliRunner().invoke(main, ["merge", held]).exit_code == 1


def test_a_part_whose_tests_were_all_skipped_and_one_of_other_tests_are_not_the_whole(
    example: Example, in_lab: str
) -> None:
    """Neither pytest's exit status nor the number of reports says so."""
    example.pytester.makeconftest(
        """
        import os, pytest

        def pytest_collection_modifyitems(items):
            for item in items if "SKIPPED" in os.environ else ():
                item.add_marker(pytest.mark.skip)
        """
    )
    files = {name: str(example.path / f"{name}.json") for name in ("one", "two", "skipped", "other")}

    def part(name: str, shard: str, words: str) -> None:
        result = example.run(in_lab, "-q", "-k", words, f"--s3vpce-shard={shard}", f"--s3vpce-report={files[name]}")
        assert result.ret == 0

    chosen = "GetObject and internet and not partner"
    part("one", "1/2", chosen)
    part("two", "2/2", chosen)
    part("other", "2/2", "GetObject and internet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKIPPED", "1")
        part("skipped", "2/2", chosen)
    ends = {}
    for name in ("two", "skipped", "other"):
        done = CliRunner().invoke(main, ["merge", files["one"], files[name]])
        ends[name] = done.exit_code
        assert name != "skipped" or json.loads(done.stdout)["unmeasured"] == ["none of its tests was run"]
    assert ends == {"two": 0, "skipped": 1, "other": 2}
