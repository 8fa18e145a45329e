from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.vantage.ledger import Entry, Kind, Ledger

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


def creating(ledger: Ledger, kind: Kind = Kind.LAMBDA_FUNCTION, identifier: str = "s3vpce-r-inside") -> Entry:
    return ledger.creating(kind, account="main", region="eu-west-1", identifier=identifier)


def test_a_ledger_that_was_never_written_is_empty(ledger: Ledger) -> None:
    assert ledger.open_entries() == []


def test_a_creation_is_open_until_it_is_removed(ledger: Ledger) -> None:
    role = creating(ledger, Kind.IAM_ROLE)
    function = creating(ledger)
    assert Ledger(ledger.path).open_entries() == [role, function]
    ledger.removed(function)
    assert ledger.open_entries() == [role]
    ledger.removed(role)
    assert ledger.open_entries() == []


def test_a_thing_removed_twice_stays_removed(ledger: Ledger) -> None:
    entry = creating(ledger)
    ledger.removed(entry)
    ledger.removed(entry)
    ledger.given(entry, "v1")
    ledger.kept(entry, "late")
    assert ledger.open_entries() == []


def test_the_same_name_may_be_created_again(ledger: Ledger) -> None:
    ledger.removed(creating(ledger))
    again = creating(ledger)
    assert ledger.open_entries() == [again]


def test_what_is_to_be_put_back_is_remembered_and_not_printed(ledger: Ledger) -> None:
    entry = ledger.creating(Kind.BUCKET_POLICY, account="main", region="eu-west-1", identifier="b", content='{"a": 1}')
    assert [row.content for row in ledger.open_entries()] == ['{"a": 1}']
    assert "{" not in f"{entry} {entry!r}".replace("Entry(", "")
    assert creating(ledger).content is None


def test_an_objects_version_is_remembered(ledger: Ledger) -> None:
    entry = creating(ledger, Kind.S3_OBJECT, "bucket/.s3vpce/a/b")
    known = ledger.given(entry, "v1")
    assert ledger.open_entries() == [known]
    assert known.given_id == "v1"
    assert str(known) == "s3_object bucket/.s3vpce/a/b (v1) in account main, eu-west-1"


def test_why_it_could_not_be_removed_is_remembered(ledger: Ledger) -> None:
    ledger.kept(creating(ledger), "busy")
    (entry,) = ledger.open_entries()
    assert entry.kept == "busy"
    assert str(entry) == "lambda_function s3vpce-r-inside in account main, eu-west-1"


def test_only_its_user_may_read_it(ledger: Ledger) -> None:
    mask = os.umask(0)
    try:
        creating(ledger)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600


def test_a_record_is_on_disk_before_the_call_returns(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        written.append(ledger.path.read_text())

    monkeypatch.setattr(os, "fsync", fsync)
    creating(ledger)
    (line,) = [json.loads(line) for line in written[0].splitlines()]
    assert (line["event"], line["kind"], line["identifier"]) == ("creating", "lambda_function", "s3vpce-r-inside")
    assert line["at"] > 1.7e9


def test_several_processes_may_write_at_once(ledger: Ledger) -> None:
    code = (
        "import sys; from pathlib import Path; from pytest_s3vpce.vantage import Kind, Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "for number in range(100):\n"
        "    entry = ledger.creating(Kind.IAM_ROLE, account='main', region='r', identifier=f'{sys.argv[2]}-{number}')\n"
        "    if number % 2: ledger.removed(entry)\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(ledger.path), str(run)]) for run in range(4)]
    assert [run.wait(30) for run in runs] == [0] * 4
    assert len(ledger.open_entries()) == 200


def test_nothing_is_created_without_a_record(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="No such file or directory; nothing is created without a record of it"):
        creating(Ledger(tmp_path / "none" / "ledger.jsonl"))


def test_a_full_disk_is_noticed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:5]))
    with pytest.raises(RunError, match="the disk is full"):
        creating(ledger)


@pytest.mark.parametrize("line", ['{"half', "[]", '{"event": "creating", "token": "t", "kind": "vpc"}', "{}"])
def test_a_ledger_that_cannot_be_read_is_an_error(ledger: Ledger, line: str) -> None:
    creating(ledger)
    with ledger.path.open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(RunError, match="jsonl` can't be read"):
        ledger.open_entries()


def test_it_has_the_fields_it_needs_and_no_more(ledger: Ledger) -> None:
    creating(ledger)
    line: dict[str, Any] = json.loads(ledger.path.read_text())
    assert set(line) == {"event", "token", "kind", "account", "region", "identifier", "at"}
