"""The commands around reports that are there already."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from pytest_s3vpce.cli import main
from pytest_s3vpce.joining import missing
from pytest_s3vpce.matrix import BucketResult, Evidence, Matrix, Status, Verdict
from pytest_s3vpce.model import OutcomeKind
from tests.unit.matrices import MATRIX

if TYPE_CHECKING:
    from pathlib import Path

GOOD = replace(MATRIX, cells=MATRIX.cells[:2], claims=MATRIX.claims[:1])


def put(folder: Path, name: str, matrix: Matrix) -> str:
    path = folder / name
    path.write_text(matrix.to_json(), encoding="utf-8")
    return str(path)


def run(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(main, words)
    return found.exit_code, found.output


@pytest.mark.parametrize(
    ("name", "begins"), [("a.html", "<!DOCTYPE html>"), ("a.md", "## "), ("a.csv", '"id"'), ("a.json", "{")]
)
def test_a_report_becomes_one_of_another_format(tmp_path: Path, name: str, begins: str) -> None:
    status, out = run("report", put(tmp_path, "r.json", MATRIX), "--output", str(tmp_path / name))
    assert (status, out) == (0, "")
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)


def test_a_report_is_shown_with_what_is_asked_for_left_out(tmp_path: Path) -> None:
    named = replace(MATRIX, buckets=(BucketResult(label="reports", name="reports.example", account="main"),))
    status, out = run("report", put(tmp_path, "r.json", named))
    assert status == 0
    assert "https://reports.example/key" in " ".join(out.split())
    status, out = run("report", put(tmp_path, "r.json", named), "--redact", "buckets")
    assert "reports.example" not in out
    assert "https://[bucket reports]/key" in " ".join(out.split())


def test_colour_is_for_terminals_that_want_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "r.json", MATRIX)
    assert "\x1b" not in run("report", path)[1]
    monkeypatch.setattr("pytest_s3vpce.reportcommands._is_watched", lambda: True)
    coloured = CliRunner().invoke(main, ["report", path], color=True)
    assert "\x1b[32m" in coloured.output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in CliRunner().invoke(main, ["report", path], color=True).output


def test_shards_are_joined_the_same_whatever_their_order(tmp_path: Path) -> None:
    one = put(tmp_path, "1.json", replace(GOOD, cells=GOOD.cells[:1]))
    other = put(tmp_path, "2.json", replace(GOOD, cells=GOOD.cells[1:], claims=()))
    status, out = run("merge", one, other)
    assert status == 0
    assert run("merge", other, one) == (status, out)
    assert len(json.loads(out)["cells"]) == 2
    status, out = run("merge", one, other, "--output", str(tmp_path / "all.html"))
    assert status == 0
    assert "2 cells and 1 claim of 2 reports" in out
    assert run("merge", put(tmp_path, "3.json", MATRIX))[0] == 1
    assert run("merge", put(tmp_path, "4.json", replace(GOOD, cells=(), claims=())))[0] == 1


def test_a_missing_shard_is_told_fails_and_stays_told_until_it_comes(tmp_path: Path) -> None:
    parts = {
        number: put(tmp_path, f"{number}.json", replace(GOOD, cells=GOOD.cells[:1], shards=(f"{number}/3",)))
        for number in (1, 2, 3)
    }
    done = CliRunner().invoke(main, ["merge", parts[3], parts[1]])
    assert done.exit_code == 1
    assert done.stderr == "no report of shard 2/3 was given: what it was to measure is missing\n"
    found = Matrix.from_json(done.stdout)
    assert found.shards == ("1/3", "3/3")
    assert found.unmeasured == ("no report of shard 2/3: nothing that it was to measure is in here",)
    whole = CliRunner().invoke(main, ["merge", put(tmp_path, "some.json", found), parts[2]])
    assert (whole.exit_code, whole.stderr) == (0, "")
    assert Matrix.from_json(whole.stdout).shards == ("1/3", "2/3", "3/3")
    assert Matrix.from_json(whole.stdout).unmeasured == ()


@pytest.mark.parametrize(
    ("shards", "absent"),
    [((), ()), (("2/2", "1/2"), ()), (("10/10", "2/10"), tuple(f"{n}/10" for n in (1, *range(3, 10)))), (("x",), ())],
)
def test_parts_are_numbers(shards: tuple[str, ...], absent: tuple[str, ...]) -> None:
    assert missing(shards) == absent


FINDING = Evidence(kind="negative", name="denied", status=Status.BAD, sentence="let in")


@pytest.mark.parametrize(
    "changed",
    [
        {"cells": (replace(GOOD.cells[1], counted=replace(GOOD.cells[1].counted, outcome=OutcomeKind.ALLOWED)),)},
        {"cells": (replace(GOOD.cells[1], passed=None),)},
        {"claims": (replace(GOOD.claims[0], verdict=Verdict.REFUTED),)},
        {"claims": (replace(GOOD.claims[0], evidence=(FINDING,)),)},
        {"claims": (replace(GOOD.claims[0], evidence=()),)},
    ],
    ids=[
        "what is open has passed",
        "nothing was expected",
        "what is refuted has passed",
        "against its own findings",
        "without any",
    ],
)
@pytest.mark.parametrize("command", ["report", "merge"])
def test_a_report_in_which_somebody_changed_a_mark_is_refused(
    tmp_path: Path, changed: dict[str, Any], command: str
) -> None:
    status, out = run(command, put(tmp_path, "r.json", replace(GOOD, **changed)))
    assert status == 2
    assert "the report contradicts itself: `" in " ".join(out.split())


def test_a_difference_is_told_and_an_opening_fails(tmp_path: Path) -> None:
    counted = replace(GOOD.cells[1].counted, outcome=OutcomeKind.ALLOWED)
    opened = replace(GOOD.cells[1], counted=counted, passed=False)
    old = put(tmp_path, "old.json", GOOD)
    new = put(tmp_path, "new.json", replace(GOOD, cells=(GOOD.cells[0], opened)))
    assert run("diff", old, old) == (0, "")
    status, out = run("diff", old, new)
    assert status == 1
    assert out == "opened (1)\n  GetObject/reports/app:outside/https  denied by bucket policy -> allowed\n"
    status, out = run("diff", new, old, "--format", "json")
    assert status == 0
    assert json.loads(out)["changes"][0]["kind"] == "closed"
    assert run("diff", old, new, "--format", "markdown")[1].startswith("### Opened (1)\n")
    status, out = run("diff", old, str(tmp_path / "missing.json"))
    assert status == 2
    assert "can't be read" in out


def test_a_history_has_a_line_for_each_claim_and_a_column_for_each_run(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    (folder / "later").mkdir(parents=True)
    put(folder, "1.json", GOOD)
    refuted = replace(GOOD.claims[0], verdict=Verdict.REFUTED, passed=False, sentence="<b>let in</b>")
    put(folder / "later", "2.json", replace(GOOD, started=90_000.0, run_id="second", claims=(refuted,), mode="live"))
    put(folder, "3.json", replace(GOOD, started=180_000.0, run_id="third", claims=()))
    put(folder, "latest.json", replace(GOOD, started=180_000.0, run_id="third", claims=()))
    status, out = run("history", str(folder), "--output", str(tmp_path / "h.html"))
    assert status == 0
    assert "1 claim in 3 runs" in out
    text = (tmp_path / "h.html").read_text(encoding="utf-8")
    assert text.index("third") < text.index("second") < text.index("abcd1234")
    assert text.index('class="point refuted turned"') < text.index('class="point proven "')
    assert "&lt;b&gt;let in&lt;/b&gt;" in text
    assert "Content-Security-Policy" in text


@pytest.mark.parametrize(
    ("older", "newest", "head"),
    [
        (Verdict.REFUTED, None, '<header class="fails">\n<h1>✘ 1 claim'),
        (Verdict.PROVEN, None, '<header class="holds">\n<h1>✔ 1 claim'),
        (Verdict.REFUTED, Verdict.PROVEN, '<header class="holds">\n<h1>✔ 1 claim'),
        (Verdict.PROVEN, Verdict.INCONCLUSIVE, '<header class="fails">\n<h1>✘ 1 claim'),
        (None, None, '<header class="fails">\n<h1>✘ 0 claims'),
    ],
)
def test_a_history_holds_where_each_claim_was_proven_last(
    tmp_path: Path, older: Verdict | None, newest: Verdict | None, head: str
) -> None:
    for number, verdict in enumerate((older, newest)):
        passed = verdict is Verdict.PROVEN
        claims = () if verdict is None else (replace(GOOD.claims[0], verdict=verdict, passed=passed),)
        put(tmp_path, f"{number}.json", replace(GOOD, started=number * 9.0, run_id=f"r{number}", claims=claims))
    assert run("history", str(tmp_path), "--output", str(tmp_path / "h.html"))[0] == 0
    assert head in (tmp_path / "h.html").read_text(encoding="utf-8")


def test_a_claim_that_failed_in_a_strict_run_is_not_told_as_proven(tmp_path: Path) -> None:
    """Proven, and something is not covered: no report's head holds, and no line of one says `proven` alone."""
    strict = replace(GOOD, claims=(replace(GOOD.claims[0], passed=False),))
    path = put(tmp_path, "strict.json", strict)
    assert run("history", str(tmp_path), "--output", str(tmp_path / "h.html"))[0] == 0
    page = (tmp_path / "h.html").read_text(encoding="utf-8")
    assert '<header class="fails">\n<h1>✘ 1 claim' in page
    assert '<td class="point inconclusive "><span class="verdict">? proven with gaps</span>' in page
    assert "0 of 1 claims proven" in page
    name = strict.claims[0].id
    text = run("report", path)[1]
    assert f"? proven with gaps  {name}" in text
    assert "look at: what is not covered: cover it, or accept it in the claim's `accepts`" in " ".join(text.split())
    for suffix, said in ((".md", f"- ? **proven with gaps** `{name}`"), (".html", "? proven with gaps</span>")):
        assert run("report", path, "--output", str(tmp_path / f"r{suffix}"))[0] == 0
        assert said in (tmp_path / f"r{suffix}").read_text(encoding="utf-8")
    status, out = run("diff", put(tmp_path, "lax.json", GOOD), path)
    assert (status, out) == (0, f"claims (1)\n  {name}  proven -> proven with gaps\n")


def test_a_folder_without_reports_is_an_error(tmp_path: Path) -> None:
    status, out = run("history", str(tmp_path))
    assert status == 2
    assert "no JSON report lies in" in out
