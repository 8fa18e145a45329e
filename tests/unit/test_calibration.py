"""The rules that AWS documents nowhere, and the files that say what a calibration found of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.calibration import NONE, NOT_RUN, Calibration, Finding, read
from pytest_s3vpce.errors import RunError
from pytest_s3vpce.operations import OPERATIONS, checks
from pytest_s3vpce.policy.doubts import USUAL, Doubts
from pytest_s3vpce.undocumented import OTHER_ANSWER, POLICIES_FIRST, RULES, STREAMED

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
    unsought = Calibration(findings={"form/PutObject": Finding(rule="form/PutObject", value=f"{NOT_RUN}: left out")})
    assert unsought.settles("PutObject") is None
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
        ("key/star-in-variable", "letter", "503 SlowDown"),
        ("absent-key/list-by-prefix", "403", "503 SlowDown"),
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
    ("change", "why"),
    [
        ({"version": 2}, "its version is `2`, and this one reads 1"),
        ({"version": [1]}, "its version is `[1]`, and this one reads 1"),
        ({"findings": [{"rule": "form/PutObject"}]}, "`value` is missing"),
        ({"findings": 1}, "it holds something else"),
        ({"made": None, "version": None}, "its version is `None`, and this one reads 1"),
    ],
)
def test_what_is_no_calibration_is_told(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**json.loads(MADE.to_json()), **change}), encoding="utf-8")
    with pytest.raises(RunError) as raised:
        read(path)
    writes = "`s3vpce calibrate --account NAME --output FILE` writes one"
    assert str(raised.value) == f"`{path}` is no calibration: {why}; {writes}"


def test_a_calibration_without_findings_is_one(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**json.loads(MADE.to_json()), "findings": {}}), encoding="utf-8")
    assert read(path).findings == {}


def test_an_unreadable_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="can't be read: No such file"):
        read(tmp_path / "none.json")
    for content, why in ((b"[]", "it holds something else"), (b"{", "it is not JSON"), (b"\xff", "it is not UTF-8")):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(RunError, match=f"bad.json` is no calibration: {why}; "):
            read(tmp_path / "bad.json")


def found(**values: str) -> Calibration:
    """A calibration that found these; a rule's name has `__` for its slashes and `_` for its dashes here."""
    names = {name.replace("__", "/").replace("_", "-"): value for name, value in values.items()}
    return Calibration(findings={name: Finding(rule=name, value=value) for name, value in names.items()})


def test_condition_keys_that_nobody_sends_are_as_found() -> None:
    listing, part, put = (OPERATIONS[name] for name in ("ListObjectsV2", "UploadPart", "PutObject"))
    many = {"s3:max-keys": "1000"}
    assert (NONE.keys(listing, {}), MADE.keys(listing, {})) == (many, {"s3:prefix": "", **many})
    assert MADE.keys(listing, {"Prefix": "a"}) == {"s3:prefix": "a", **many}
    uncounted = found(key__max_keys_not_sent="absent")
    assert (uncounted.keys(listing, {}), uncounted.keys(listing, {"MaxKeys": "2"})) == ({}, {"s3:max-keys": "2"})
    creation = "s3:ObjectCreationOperation"
    assert (NONE.keys(part, {}), NONE.keys(put, {})) == ({creation: "false"}, {creation: "true"})
    assert found(key__creation__PutObject="absent").keys(put, {}) == {}
    assert NONE.keys(OPERATIONS["GetObject"], {}) == {}


def test_the_digest_that_policies_see_is_as_found() -> None:
    key = "s3:x-amz-content-sha256"
    assert (NONE.payload("0a"), NONE.payload(None), NONE.payload(None, presigned=True)) == ({key: "0a"}, {}, {})
    unsigned = {key: "UNSIGNED-PAYLOAD"}
    assert found(key__content_sha256_presigned="UNSIGNED-PAYLOAD").payload(None, presigned=True) == unsigned
    assert NONE.payload(STREAMED) == {key: STREAMED}
    assert found(key__content_sha256_trailer="UNSIGNED-PAYLOAD").payload(STREAMED) == unsigned
    assert found(key__content_sha256_trailer="absent").payload(STREAMED) == {}


def test_the_place_of_a_bucket_that_says_none_is_as_found() -> None:
    create, empty = OPERATIONS["CreateBucket"], found(key__location_not_sent="empty")
    assert (NONE.place(create, b""), empty.place(create, b"")) == ({}, {"s3:locationconstraint": ""})
    assert (empty.place(create, b"<a/>"), empty.place(OPERATIONS["PutObject"], b"")) == ({}, {})


def test_the_engine_takes_for_true_what_was_found() -> None:
    """By the names that `policy.doubts` has, which knows nothing of calibrations."""
    assert Doubts(**NONE.engine) == USUAL
    flipped = found(
        root_arn__alone="allowed",
        key__star_in_variable="letter",
        everybody__session="denied",
        key__resource_account__CreateBucket="absent",
    )
    rule = "public/aws:VpceOrgID"
    flipped = Calibration(findings={**flipped.findings, rule: Finding(rule=rule, value="not public")})
    assert Doubts(**flipped.engine) == Doubts(
        root_delegates=False,
        wildcards_in_variables=False,
        everybody_passes=frozenset({"permissions_boundary"}),
        fixed_keys=frozenset({"aws:vpceorgid"}),
        ownerless=frozenset({"s3:createbucket"}),
    )


def test_measures_are_numbers() -> None:
    rule = "propagation/role-policy"
    measured = Calibration(findings={rule: Finding(rule=rule, value="2.5", samples=(0.5, 2.5))})
    assert (measured.seconds(rule), NONE.seconds(rule)) == (2.5, 0.0)


def test_forms_that_tell_nothing_are_looked_at_early() -> None:
    assert (NONE.early, found(form__PutObject="the same answer to both").early) == (
        frozenset(),
        frozenset({"PutObject"}),
    )


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
