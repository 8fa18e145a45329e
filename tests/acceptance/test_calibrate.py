"""`s3vpce calibrate` in the lab: what it finds, that it leaves nothing, and what its file changes."""

from __future__ import annotations

import fnmatch
import os
import re
import signal
import subprocess
import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from pytest_s3vpce.calibratecommand import calibrate
from pytest_s3vpce.calibration import Finding, read
from pytest_s3vpce.errors import RunError
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.lab.process import start_lab
from pytest_s3vpce.run.calibrating import measuring
from pytest_s3vpce.run.calibrating.experiments import EXPERIMENTS, Experiment
from pytest_s3vpce.undocumented import RULES
from tests.acceptance.calibrationrights import PAGE, RUNNER, client, restrict
from tests.unit.flips import FLIPS, MEASURES, NOT_HERE, differences, flipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

ACCOUNT = "111122223333"
INVENTORY = f"""\
accounts:
  scratch: {{id: "{ACCOUNT}", region: eu-west-1}}
principals:
  nobody: {{anonymous: true}}
vantage_points:
  here: local
buckets:
  reports: {{name: "reports-{ACCOUNT}", canary: {{key: canary}}}}
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder, accounts = tmp_path_factory.mktemp("lab"), {"scratch": (ACCOUNT, "eu-west-1")}
    lab = start_lab(folder, accounts=accounts, enforce=Enforcement.ALL)
    try:
        restrict(client(lab.ready_file, "iam"))
        yield lab.ready_file
    finally:
        lab.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("calibrate")
    (made / "s3vpce.yaml").write_text(INVENTORY, encoding="utf-8")
    return made


def run(folder: Path, *arguments: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return CliRunner().invoke(calibrate, arguments)


@pytest.fixture(scope="module")
def done(folder: Path, ready: Path) -> Result:
    return run(
        folder, "--account", "scratch", "--lab-ready", str(ready), "--output", "calibration.json", "--with-function"
    )


def test_every_rule_is_tried_and_the_lab_does_what_is_assumed(folder: Path, done: Result) -> None:
    assert done.exit_code == 0, done.output
    found = read(folder / "calibration.json")
    assert list(found.findings) == list(RULES)
    ran = {name: row for name, row in found.findings.items() if row.ran}
    assert {RULES[name].experiment for name in RULES.keys() - ran.keys()} == NOT_HERE
    assert {name: (row.value, row.detail) for name, row in ran.items() if not row.agrees} == {}
    assert all(row.request_ids for row in ran.values())
    assert (found.mode, found.account, found.region) == ("lab", ACCOUNT, "eu-west-1")
    left = len(RULES) - len(ran)
    told = f"{len(ran)} of {len(RULES)} rules are as assumed, 0 are not, {left} not run, in account {ACCOUNT}"
    assert told in done.stdout


def test_nothing_of_it_is_left(folder: Path, ready: Path, done: Result) -> None:
    assert done.exit_code == 0
    assert client(ready, "s3").list_buckets()["Buckets"] == []
    assert [row["RoleName"] for row in client(ready, "iam").list_roles()["Roles"]] == [RUNNER]
    assert list((folder / ".s3vpce").glob("run-*")) == []


def test_a_calibration_that_fails_takes_away_what_it_made(folder: Path, ready: Path) -> None:
    """The bucket's policy can't be put: an SCP would do that to an administrator."""

    def forbid(*_: object) -> Iterator[Finding]:
        raise RunError("no more of this")

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EXPERIMENTS, "order", Experiment(run=forbid))
        found = run(folder, "--account", "scratch", "--lab-ready", str(ready))
    assert isinstance(found.exception, RunError)
    assert client(ready, "s3").list_buckets()["Buckets"] == []
    assert [row["RoleName"] for row in client(ready, "iam").list_roles()["Roles"]] == [RUNNER]
    assert list((folder / ".s3vpce").glob("run-*")) == []


def test_one_that_is_terminated_takes_away_what_it_made(folder: Path, ready: Path) -> None:
    """By SIGTERM, by which CI systems cancel jobs."""
    command = [sys.executable, "-c", "from pytest_s3vpce.cli import main; main()", "calibrate"]
    command += ["--account", "scratch", "--lab-ready", str(ready)]
    # Not measured: coverage has a handler of SIGTERM of its own.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    with subprocess.Popen(
        command, cwd=folder, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("experiment: "):
                process.send_signal(signal.SIGTERM)
                break
        _, told = process.communicate(timeout=60)
    assert process.returncode == 1, told
    assert "removing s3_bucket s3vpce-calibration-" in told
    assert client(ready, "s3").list_buckets()["Buckets"] == []
    assert [row["RoleName"] for row in client(ready, "iam").list_roles()["Roles"]] == [RUNNER]
    assert list((folder / ".s3vpce").glob("run-*")) == []


def test_another_account_or_file_is_told(folder: Path, ready: Path) -> None:
    found = run(folder, "--account", "other", "--lab-ready", str(ready))
    assert str(found.exception) == "there is no account `other`; known are scratch"


def test_the_page_tells_every_experiment() -> None:
    assert re.findall(r"^\| ([a-zR ]+) \|", PAGE, re.MULTILINE) == ["experiment", *EXPERIMENTS, "question"]
    assert {rule.experiment for rule in RULES.values()} <= EXPERIMENTS.keys()


# --- labs in which all is otherwise ----------------------------------------------------------------------------------

ONLY: list[tuple[str, ...]] = [(), (), ("--only", "forms", "--only", "messages", "--only", "attributes")]
MOST = range(len(FLIPS)) if os.environ.get("S3VPCE_SOAK") else range(1)
"""The others are tried out without a lab's process, in tests/unit/test_lab_flipped.py."""


def _found_in(folder: Path, number: int) -> dict[str, Finding]:
    """What a calibration finds in a lab that is flipped."""
    (folder / "s3vpce.yaml").write_text(INVENTORY, encoding="utf-8")
    (folder / "flips.json").write_text(flipped(FLIPS[number]).to_json(), encoding="utf-8")
    accounts = {"scratch": (ACCOUNT, "eu-west-1")}
    lab = start_lab(folder / "lab", accounts=accounts, calibration=folder / "flips.json")
    more = (*ONLY[number], *([] if number else ["--with-function"]))
    try:
        done = run(folder, "--account", "scratch", "--lab-ready", str(lab.ready_file), "--output", "found.json", *more)
    finally:
        lab.stop()
    assert done.exit_code == 0, done.output
    return dict(read(folder / "found.json").findings)


@pytest.mark.parametrize("number", MOST)
def test_what_a_lab_does_otherwise_is_found(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the lab's answers hang on each rule, and each experiment measures what it says."""
    monkeypatch.setattr(measuring, "_SAMPLES", 2)
    monkeypatch.setattr(measuring, "_SWITCHES", 1)
    monkeypatch.setattr(measuring, "_PAUSE", 0.05)
    found = _found_in(tmp_path, number)
    assert differences(number, found) == {}
    for name, seconds in MEASURES.items() if number == 0 else ():
        assert seconds <= min(found[name].samples[:1]) <= seconds + 2


# --- the page --------------------------------------------------------------------------------------------------------

QUESTIONS = re.findall(r"^\| (.+\?) \| (.+?) \| ?(.*?) ?\|$", PAGE, re.MULTILINE)
OPTIONS = re.compile(r"--[a-z-]+")


def test_the_pages_questions_are_those_of_the_rules() -> None:
    assert len(QUESTIONS) == 17
    asked = {question: re.findall(r"`([^`]+)`", patterns) for question, patterns, _ in QUESTIONS}
    matched = {name for patterns in asked.values() for name in RULES if any(fnmatchcase(name, row) for row in patterns)}
    assert matched == RULES.keys()
    idle = [row for patterns in asked.values() for row in patterns if not fnmatch.filter(RULES, row)]
    assert idle == []


@pytest.mark.parametrize(("question", "patterns", "takes"), QUESTIONS)
def test_the_page_says_what_a_question_takes(question: str, patterns: str, takes: str) -> None:
    rows = [rule for row in re.findall(r"`([^`]+)`", patterns) for rule in RULES if fnmatchcase(rule, row)]
    needs = {name: EXPERIMENTS[RULES[name].experiment] for name in rows}
    wanted = {option for row in needs.values() for option in OPTIONS.findall(row.needs)}
    assert set(OPTIONS.findall(takes)) == wanted, question
    assert ("no experiment" in takes) == any(row.run is None for row in needs.values()), question
