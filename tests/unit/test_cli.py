"""The command: filters that stream, errors in one line, nothing undocumented."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pytest_s3vpce import __version__
from pytest_s3vpce.cli import main
from pytest_s3vpce.report.json import write
from tests.unit.matrices import MATRIX

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
    "line", ["nonsense", "[]", '{"id": "x"}', '{"id": "x", "failure": "no-such"}', '{"id": "x", "status": "many"}']
)
def test_a_bad_line_is_answered_as_such_and_the_others_all_the_same(line: str) -> None:
    good = json.dumps({"id": "good", "status": 200, "headers": {}, "body": ""})
    status, out, _ = run("classify", text=f"{line}\n{good}\n")
    assert status == 1
    first, second = (json.loads(row) for row in out.splitlines())
    assert "no answer can be read from this line" in first["error"]
    assert second["outcome"] == "allowed"


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


def test_operations_lists_the_catalogue() -> None:
    status, out, _ = run("operations")
    assert status == 0
    row = next(line for line in out.splitlines() if line.startswith("DeleteObject "))
    assert row.split() == ["DeleteObject", "s3:DeleteObject", "documented", "s3:GetObject", "none"]
    assert next(line for line in out.splitlines() if line.startswith("PutBucketAcl")).split()[2] == "none"
    assert "inferred" in next(line for line in out.splitlines() if line.startswith("UploadPart "))


def test_schema_prints_or_writes_what_docs_hold(tmp_path: Path) -> None:
    status, out, _ = run("schema")
    assert status == 0
    assert out.count('"$schema"') == 2
    status, out, _ = run("schema", "--output", str(tmp_path / "schema"))
    assert status == 0
    for path in (tmp_path / "schema").iterdir():
        assert json.loads(path.read_text()) == json.loads((ROOT / "docs" / "schema" / path.name).read_text())


def test_report_shows_a_stored_report(tmp_path: Path) -> None:
    write(MATRIX, tmp_path / "r.json")
    status, out, _ = run("report", str(tmp_path / "r.json"))
    assert status == 0
    assert "tls-only/reports" in out


def test_our_errors_are_one_line_and_status_2(tmp_path: Path) -> None:
    status, out, err = run("report", str(tmp_path / "none.json"))
    assert (status, out) == (2, "")
    assert err == f"s3vpce: the report `{tmp_path / 'none.json'}` can't be read: No such file or directory\n"


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


def test_the_version_is_the_packages() -> None:
    assert run("--version")[1] == f"pytest-s3vpce, version {__version__}\n"


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    line = json.dumps({"id": "a", "status": 200, "headers": {}, "body": ""})
    command = f"yes '{line}' | head -n 20000 | {sys.executable} -m pytest_s3vpce.cli classify | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["outcome"] == "allowed"
    assert done.stderr == ""
