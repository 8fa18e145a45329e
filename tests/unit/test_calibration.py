"""The rules that AWS documents nowhere, and the files that say what a calibration found of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.calibration import NONE, OTHER_ANSWER, POLICIES_FIRST, RULES, Calibration, Finding, read
from pytest_s3vpce.errors import RunError
from pytest_s3vpce.operations import OPERATIONS, checks

if TYPE_CHECKING:
    from pathlib import Path

FOUND = Finding(rule="form/PutObject", value=POLICIES_FIRST, request_ids=("A", "B"), detail="412, 403")
OTHER = Finding(rule="key/prefix-not-sent", value="empty")
MADE = Calibration(
    made="2026-11-26T02:00:00Z",
    mode="live",
    account="111122223333",
    region="eu-west-1",
    findings={row.rule: row for row in (FOUND, OTHER)},
)


def test_every_form_that_writes_or_is_inferred_is_a_rule() -> None:
    wanted = {f"form/{row.name}" for row in OPERATIONS.values() if row.safe and (row.writes or not row.safe.documented)}
    assert {name for name in RULES if name.startswith("form/")} == wanted
    assert all(name == rule.name and rule.says and rule.experiment for name, rule in RULES.items())


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(MADE.to_json(), encoding="utf-8")
    assert read(path) == MADE
    (first, second) = json.loads(path.read_text(encoding="utf-8"))["findings"]
    assert (first["experiment"], first["assumed"]) == ("forms", POLICIES_FIRST)
    assert (second["value"], second["assumed"]) == ("empty", "absent")


def test_what_was_found_takes_the_place_of_what_is_assumed() -> None:
    assert (NONE.value("key/prefix-not-sent"), MADE.value("key/prefix-not-sent")) == ("absent", "empty")
    assert MADE.value("key/delimiter-not-sent") == "absent"
    assert (MADE.settles("PutObject"), MADE.settles("DeleteObject"), NONE.settles("PutObject")) == (True, None, None)
    useless = Calibration(findings={"form/PutObject": Finding(rule="form/PutObject", value="the same answer to both")})
    assert useless.settles("PutObject") is False
    rule = "form/PutBucketCors"
    other = Calibration(findings={rule: Finding(rule=rule, value=OTHER_ANSWER, answer="400 Odd")})
    assert (other.settles("PutBucketCors"), other.answers("PutBucketCors")) == (True, ("400 Odd",))
    assert not other.findings[rule].agrees
    assert (MADE.answers("PutObject"), NONE.answers("PutObject")) == ((), ())
    assert (FOUND.agrees, OTHER.agrees) == (True, False)
    assert Finding(rule="propagation/bucket-policy", value="0.3").agrees


def test_reports_say_how_much_was_checked_and_when() -> None:
    rules = ["form/PutObject", "form/DeleteObject", "form/GetObject", "form/PutObject"]
    line = "of 2 undocumented rules that this leans on were checked on AWS"
    assert MADE.leaning(rules) == f"1 {line} (account 111122223333, 2026-11-26)"
    assert NONE.leaning(rules) == f"0 {line}"
    in_a_lab = Calibration(made=MADE.made, mode="lab", findings=MADE.findings)
    assert in_a_lab.leaning(rules) == f"0 {line}"
    assert MADE.leaning(["form/GetObject"]) == ""


@pytest.mark.parametrize(
    ("rule", "decided", "undecided"),
    [
        ("form/PutObject", "the same answer to both", "other answers"),
        ("order/digest", OTHER_ANSWER, "other answers"),
        ("message/session-implicit", "no policy is named", "not denied: 503 SlowDown"),
        ("key/prefix-not-sent", "empty", "not told"),
        ("key/star", "pattern", "503 SlowDown"),
        ("absent-key/list-by-prefix", "403", "503"),
        ("attributes/actions", "either", "connect_timeout"),
        ("root-arn/alone", "allowed", "policy did not count: 403 AccessDenied"),
        ("propagation/role-policy", "12.5", "more than 60"),
        ("function/aws:SourceVpc", "present", "not allowed: 503 SlowDown"),
        ("public/aws:VpceOrgID", "not public", "MalformedPolicy"),
    ],
)
def test_only_what_settles_a_rule_was_checked(rule: str, decided: str, undecided: str) -> None:
    found, open_ = (Finding(rule=rule, value=value) for value in (decided, undecided))
    assert (found.decided, open_.decided, open_.agrees) == (True, False, False)
    counted = [Calibration(mode="live", findings={rule: row}).leaning([rule])[0] for row in (found, open_)]
    assert counted == ["1", "0"]


def test_what_is_assumed_would_settle_its_rule() -> None:
    assert [
        row.name for row in RULES.values() if row.assumed and not Finding(rule=row.name, value=row.assumed).decided
    ] == []


def test_a_rule_that_is_gone_is_left_out(tmp_path: Path) -> None:
    data = json.loads(MADE.to_json())
    data["findings"].append({"rule": "form/Nothing", "value": "x"})
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    assert read(path) == MADE


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": [1]},
        {"findings": [{"rule": "form/PutObject"}]},
        {"findings": {}},
        {"findings": 1},
        {"made": None, "version": None},
    ],
)
def test_what_is_no_calibration_is_told(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**json.loads(MADE.to_json()), **change}), encoding="utf-8")
    if change == {"findings": {}}:
        assert read(path).findings == {}
        return
    with pytest.raises(RunError, match=r"calibration.json` is no calibration: \w+; `s3vpce calibrate --account"):
        read(path)


def test_an_unreadable_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="can't be read: No such file"):
        read(tmp_path / "none.json")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    with pytest.raises(RunError, match="is no calibration: TypeError"):
        read(tmp_path / "list.json")


def test_condition_keys_that_nobody_sends_are_as_found() -> None:
    listing, part, put = (OPERATIONS[name] for name in ("ListObjectsV2", "UploadPart", "PutObject"))
    assert (NONE.unsent(listing), MADE.unsent(listing)) == ({}, {"s3:prefix": ""})
    creation = "s3:ObjectCreationOperation"
    assert (NONE.unsent(part), NONE.unsent(put)) == ({creation: "false"}, {creation: "true"})
    rule = "key/creation/PutObject"
    other = Calibration(findings={rule: Finding(rule=rule, value="absent")})
    assert other.unsent(put) == {}
    assert NONE.unsent(OPERATIONS["GetObject"]) == {}


@pytest.mark.parametrize(
    ("value", "actions"),
    [
        ("both", ["s3:GetObjectAttributes", "s3:GetObject"]),
        ("either", ["s3:GetObjectAttributes", "s3:GetObject"]),
        ("s3:GetObject", ["s3:GetObject"]),
        ("s3:GetObjectAttributes", ["s3:GetObjectAttributes"]),
    ],
)
def test_attributes_ask_for_what_was_found(value: str, actions: list[str]) -> None:
    rule = "attributes/actions"
    made = Calibration(findings={rule: Finding(rule=rule, value=value)})
    row = OPERATIONS["GetObjectAttributes"]
    assert [check.action for check in made.asked(row, checks(row, {}))] == actions
    plain = OPERATIONS["GetObject"]
    assert made.asked(plain, checks(plain, {})) == checks(plain, {})
