"""The command: filters that stream, errors in one line, nothing undocumented."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from pytest_s3vpce import __version__
from pytest_s3vpce.cli import main
from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.report.json import write
from tests.unit.matrices import MATRIX

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT / "tests" / "data" / "s3-answers.jsonl"


def run(*arguments: str, text: str = "") -> tuple[int, str, str]:
    done = CliRunner().invoke(main, arguments, input=text)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.exit_code, done.stdout, done.stderr


def test_classify_agrees_with_every_line_of_the_data() -> None:
    text = DATA.read_text(encoding="utf-8")
    status, out, _ = run("classify", text=text)
    assert status == 0
    expected = [json.loads(line) for line in text.splitlines()]
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == len(expected) == 51
    for line, row in zip(expected, found, strict=True):
        assert list(row) == ["id", "outcome", "layer", "explicit", "code", "reason"]
        assert row["id"] == line["id"]
        assert {key: row[key] for key in ("outcome", "layer", "explicit")} == line["expected"]


def test_classify_takes_failures_and_any_case_of_headers() -> None:
    lines = [
        {"id": "a", "failure": "connect_timeout"},
        {"id": "b", "status": 403, "headers": {"X-Amz-Request-Id": "1"}, "operation": "HeadObject", "extra": 1},
    ]
    status, out, _ = run("classify", text="\n\n".join(map(json.dumps, lines)))
    assert status == 0
    assert [json.loads(line)["outcome"] for line in out.splitlines()] == ["unreachable", "denied"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("nonsense", "it is not JSON: expecting value, at character 1"),
        ("[]", "it is not an object"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"id": "x"}', "neither `status` nor `failure` is given"),
        ('{"id": "x", "failure": "no-such"}', "there is no failure `no-such`; known are dns, connect_timeout, "),
        ('{"id": "x", "failure": ""}', "there is no failure ``"),
        ('{"id": "x", "failure": ["dns"]}', "`failure` is not a text"),
        ('{"id": "x", "status": "many"}', "`status` is not a whole number"),
        ('{"id": "x", "status": true}', "`status` is not a whole number"),
        ('{"id": "x", "status": 403.5}', "`status` is not a whole number"),
        ('{"id": "x", "status": Infinity}', "`Infinity` is not JSON"),
        ('{"id": "x", "status": 200, "headers": [["a", "b"]]}', "`headers` is not an object"),
        ('{"id": "x", "status": 200, "body": {}}', "`body` is not a text"),
        ('{"id": "x", "status": 200, "operation": ["GetObject"]}', "`operation` is not a text"),
    ],
)
def test_a_bad_line_is_answered_as_such_and_the_others_all_the_same(line: str, why: str) -> None:
    good = json.dumps({"id": "good", "status": 200, "headers": {}, "body": ""})
    status, out, _ = run("classify", text=f"{line}\n{good}\n")
    assert status == 1
    first, second = (json.loads(row) for row in out.splitlines())
    assert list(first) == ["id", "error"]
    assert first["error"].startswith(f"no answer can be read from this line: {why}")
    assert second["outcome"] == "allowed"


@pytest.mark.parametrize("command", ["classify", "decide"])
def test_a_line_that_is_not_utf8_is_answered_as_such(command: str) -> None:
    done = CliRunner().invoke(main, [command], input=b'\xff{}\n\n{"id": 1, "status": 200}\n')
    assert done.exit_code == 1
    first, second = (json.loads(row) for row in done.stdout.splitlines())
    assert first == {"id": None, "error": "the line is not UTF-8"}
    assert second["id"] == 1


def test_classify_takes_nulls_lone_surrogates_and_a_byte_order_mark() -> None:
    line = '{"id": null, "status": 403, "headers": null, "body": "\\ud800", "operation": null, "failure": null}'
    done = CliRunner().invoke(main, ["classify"], input=b"\xef\xbb\xbf" + line.encode() + b"\n")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["outcome"] == "inconclusive"


def test_each_line_is_answered_before_the_next_is_read() -> None:
    command = [sys.executable, "-m", "pytest_s3vpce.cli", "classify"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin
        assert process.stdout
        for number in range(2):
            process.stdin.write(json.dumps({"id": number, "failure": "dns"}) + "\n")
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait(10) == 0


def test_decide_answers_line_by_line() -> None:
    request = {
        "action": "s3:GetObject",
        "resource": "arn:aws:s3:::b/k",
        "resource_account": "111122223333",
        "principal": "arn:aws:iam::111122223333:role/app",
        "context": {},
    }
    status, out, _ = run("decide", text=json.dumps({"id": "1", "request": request, "policies": {}}) + "\n{}\n")
    assert status == 1
    first, second = (json.loads(row) for row in out.splitlines())
    assert (first["id"], first["decision"], first["layer"]) == ("1", "implicit_deny", "identity")
    assert "error" in second


def test_schema_prints_or_writes_what_docs_hold(tmp_path: Path) -> None:
    status, out, _ = run("schema")
    assert status == 0
    assert out.count('"$schema"') == 4
    status, out, _ = run("schema", "--output", str(tmp_path / "schema"))
    assert status == 0
    for path in (tmp_path / "schema").iterdir():
        assert json.loads(path.read_text()) == json.loads((ROOT / "docs" / "schema" / path.name).read_text())


def test_a_schema_that_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, _, err = run("schema", "--output", str(tmp_path / "file"))
    assert status == 2
    assert err.startswith(f"s3vpce: `{tmp_path / 'file'}")
    assert err.endswith("can't be written: File exists; name a folder\n")


def test_report_shows_a_stored_report(tmp_path: Path) -> None:
    write(MATRIX, tmp_path / "r.json")
    status, out, _ = run("report", str(tmp_path / "r.json"))
    assert status == 0
    assert "tls-only/reports" in out


def test_our_errors_are_one_line_and_status_2(tmp_path: Path) -> None:
    status, out, err = run("report", str(tmp_path / "none.json"))
    assert (status, out) == (2, "")
    why = "can't be read: No such file or directory; name what `--s3vpce-report=FILE.json` wrote"
    assert err == f"s3vpce: the report `{tmp_path / 'none.json'}` {why}\n"


def test_sweep_needs_a_ledger(tmp_path: Path) -> None:
    inventory = ROOT / "examples" / "endpoint_only" / "s3vpce.yaml"
    status, _, err = run("sweep", str(tmp_path), "--inventory", str(inventory))
    assert status == 2
    assert "holds no ledger; name a run's folder" in err


def test_sweep_of_an_empty_ledger_removes_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / ".s3vpce" / "run-1"
    folder.mkdir(parents=True)
    (folder / "ledger.jsonl").touch()
    (tmp_path / "s3vpce.yaml").write_text((ROOT / "examples" / "endpoint_only" / "s3vpce.yaml").read_text())
    status, out, _ = run("sweep", str(folder))
    assert (status, out) == (0, "nothing is left\n")
    assert not folder.exists()


def test_sweep_lists_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory = ROOT / "examples" / "endpoint_only" / "s3vpce.yaml"
    monkeypatch.setattr("pytest_s3vpce.run.sweeping.sweep_folder", lambda *_, **__: ["function f: throttled"])
    status, out, err = run("sweep", str(tmp_path), "--inventory", str(inventory))
    assert (status, out, err) == (1, "", "left: function f: throttled\n")


def commands_of(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    """The group, and every command below it, by its words."""
    yield path
    for name, command in group.commands.items():
        yield from commands_of(command, *path, name) if isinstance(command, click.Group) else ((*path, name),)


@pytest.mark.parametrize("path", list(commands_of(main)), ids=lambda path: " ".join(path) or "s3vpce")
def test_help_is_whole_on_a_terminal_of_80_columns(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, [*path, "--help"], terminal_width=80)
    assert done.exit_code == 0
    listed = done.stdout.partition("\nCommands:\n")[2].splitlines()
    assert [line for line in listed if line.endswith("...")] == []
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_the_version_is_the_packages() -> None:
    assert run("--version")[1] == f"pytest-s3vpce, version {__version__}\n"


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    line = json.dumps({"id": "a", "status": 200, "headers": {}, "body": ""})
    command = f"yes '{line}' | head -n 20000 | {sys.executable} -m pytest_s3vpce.cli classify | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["outcome"] == "allowed"
    assert done.stderr == ""


@pytest.mark.parametrize("option", [["--account", "main"], ["--older-than", "2h"], ["--dry-run"]])
def test_a_sweep_of_one_folder_takes_all_that_its_ledger_lists(tmp_path: Path, option: list[str]) -> None:
    status, _, err = run("sweep", str(tmp_path), *option)
    assert status == 2
    assert "are for a sweep without FOLDER" in err


def test_a_sweep_takes_spans_of_time_and_accounts_of_the_inventory() -> None:
    inventory = str(ROOT / "examples" / "endpoint_only" / "s3vpce.yaml")
    status, _, err = run("sweep", "--older-than", "soon", "--inventory", inventory)
    assert status == 2
    assert "`soon` is no span of time" in err
    status, _, err = run("sweep", "--account", "nobody", "--inventory", inventory)
    assert (status, err) == (2, "s3vpce: there is no account `nobody`; known are main, partner\n")


def test_a_sweep_that_waits_goes_on_until_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_s3vpce.run import sweeping
    from pytest_s3vpce.vantage import Entry, Kind, Remaining

    entry = Entry(token="", kind=Kind.IAM_ROLE, account="main", region="eu-west-1", identifier="s3vpce-1")
    answers = [[Remaining(entry, "Lambda needs it")], [Remaining(entry, "Lambda needs it")], []]
    pauses: list[float] = []
    monkeypatch.setattr(sweeping, "sweep_folder", lambda *_, **__: answers.pop(0))
    monkeypatch.setattr("time.sleep", pauses.append)
    inventory = ROOT / "examples" / "endpoint_only" / "s3vpce.yaml"
    status, out, err = run("sweep", str(tmp_path), "--inventory", str(inventory), "--wait")
    assert (status, err, len(pauses)) == (0, "", 2)
    assert out.count("waiting: iam_role s3vpce-1 in account main, eu-west-1: Lambda needs it\n") == 2
    assert out.endswith("nothing is left\n")


def test_a_sweep_that_waits_does_not_wait_for_what_time_does_not_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_s3vpce.run import sweeping

    row = sweeping.Unseen("roles of account main", "AccessDenied")
    monkeypatch.setattr(sweeping, "sweep_folder", lambda *_, **__: [row])
    inventory = ROOT / "examples" / "endpoint_only" / "s3vpce.yaml"
    status, _, err = run("sweep", str(tmp_path), "--inventory", str(inventory), "--wait")
    assert (status, err) == (1, "left: roles of account main could not be looked at: AccessDenied\n")


def test_only_kept_functions_are_deployed() -> None:
    inventory = ROOT / "examples" / "endpoint_only" / "s3vpce.yaml"
    for command in ("deploy", "undeploy"):
        status, _, err = run(command, "--inventory", str(inventory))
        assert status == 2
        assert err == (f"s3vpce: no vantage point of `{inventory}` is kept; write `keep: true` for a `lambda` one\n")


def test_what_can_not_go_yet_is_told_by_undeploy(monkeypatch: pytest.MonkeyPatch) -> None:
    class Keepers:
        def undeploy(self, **_: Any) -> dict[str, Any]:
            return {"a": [], "b": ["iam_role r: Lambda needs it"], "c": VantageError("refused")}

    monkeypatch.setattr("pytest_s3vpce.keepcommand._keepers", lambda *_: Keepers())
    status, out, err = run("undeploy")
    assert (status, out) == (1, "")
    assert err.splitlines() == [
        "left: iam_role r: Lambda needs it",
        "left: refused",
        "run `s3vpce undeploy` again, with --wait to wait for it",
    ]


def test_a_sweep_lists_what_it_would_remove_and_what_it_can_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_s3vpce.run import sweeping
    from pytest_s3vpce.vantage import Entry, Kind

    entry = Entry(token="", kind=Kind.IAM_ROLE, account="main", region="eu-west-1", identifier="s3vpce-1")
    answers: list[tuple[list[Any], list[Any]]] = [
        ([entry], [sweeping.Unseen("roles of account partner", "AccessDenied")]),
        ([entry], []),
        ([], []),
    ]

    class Sweeper:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def find(self, **_: Any) -> tuple[list[Any], list[Any]]:
            return answers.pop(0)

        def sweep(self, **_: Any) -> list[Any]:
            return []

    monkeypatch.setattr(sweeping, "Sweeper", Sweeper)
    inventory = ["--inventory", str(ROOT / "examples" / "endpoint_only" / "s3vpce.yaml")]
    listed = "would remove iam_role s3vpce-1 in account main, eu-west-1\n"
    unseen = "roles of account partner could not be looked at: AccessDenied\n"
    assert run("sweep", "--dry-run", *inventory) == (1, listed, unseen)
    assert run("sweep", "--dry-run", *inventory) == (0, listed, "")
    assert run("sweep", "--dry-run", *inventory) == (0, "nothing is left\n", "")
    assert run("sweep", "--older-than", "2h", *inventory) == (0, "nothing is left\n", "")


def test_what_is_of_an_account_that_the_inventory_does_not_know_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_s3vpce.run import sweeping
    from pytest_s3vpce.vantage import Kind, Ledger

    monkeypatch.setattr(sweeping, "_SETTLING", 0.0)
    folder = tmp_path / ".s3vpce" / "run-1"
    folder.mkdir(parents=True)
    ledger = Ledger(folder / "ledger.jsonl")
    ledger.creating(Kind.LAMBDA_FUNCTION, account="former", region="eu-west-1", identifier="s3vpce-1")
    inventory = ROOT / "examples" / "endpoint_only" / "s3vpce.yaml"
    status, _, err = run("sweep", str(folder), "--inventory", str(inventory))
    assert status == 1
    assert "left: lambda_function s3vpce-1 in account former, eu-west-1: the inventory has no account `former`" in err
    assert len(ledger.open_entries()) == 1
