"""Every action of the catalogue in one run, by one who may do all and one who may only read; what its page says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from pytest_s3vpce.calibration import Calibration, Finding
from pytest_s3vpce.cli import main
from pytest_s3vpce.errors import RunError
from pytest_s3vpce.expectations import load_expectations, plan_cells
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.lab.process import start_lab
from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.model import OutcomeKind
from pytest_s3vpce.operations import OPERATIONS, Trace
from pytest_s3vpce.run.environment import Environment, from_ready_file
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.operator import Operator
from pytest_s3vpce.run.predicting import predicted
from pytest_s3vpce.undocumented import OTHER_ANSWER, POLICIES_FIRST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.matrix import Matrix

PAGE = (Path(__file__).parent.parent.parent / "docs" / "operations.md").read_text(encoding="utf-8")
READS = ("s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket")
"""What the second role may do: the helpers of all forms."""
RULE = "form/PutBucketVersioning"
KEEPS = ("s3:PutObjectRetention", "s3:ListBucket")
"""What the third may do: it lacks the one action whose form needs another write as a helper."""
BYPASS = "s3:BypassGovernanceRetention"
ACTIONS = [row.default_of for row in OPERATIONS.values() if row.safe and row.default_of]
NAMES = [row.name for row in OPERATIONS.values() if row.safe and not row.default_of]
INVENTORY = """\
accounts:
  main: {id: "111122223333", region: eu-west-1}
principals:
  admin: {role: "arn:aws:iam::111122223333:role/admin"}
  app: {role: "arn:aws:iam::111122223333:role/app"}
  keeper: {role: "arn:aws:iam::111122223333:role/keeper"}
  lister: {role: "arn:aws:iam::111122223333:role/lister"}
vantage_points:
  admin-host: local
  app-subnet: local
buckets:
  reports:
    name: reports-111122223333
    canary: {key: ".s3vpce/canary", reader: "app:app-subnet"}
    keys: {there: "${out:There}", nothing: "nothing/here"}
  scratch:
    name: scratch-111122223333
    canary: {create: "admin:admin-host"}
controls:
  main: {name: reports-111122223333, canary: ".s3vpce/canary"}
"""
PROVISION = f"""\
import json


def provision(accounts):
    session = accounts["main"]
    iam, s3 = session.client("iam"), session.client("s3")
    trust = {{"Effect": "Allow", "Principal": {{"AWS": "111122223333"}}, "Action": "sts:AssumeRole"}}
    for name, actions in (("admin", "s3:*"), ("app", {list(READS)}), ("keeper", {list(KEEPS)})):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
        allowed = {{"Effect": "Allow", "Action": actions, "Resource": "*"}}
        iam.put_role_policy(RoleName=name, PolicyName="s3", PolicyDocument=document(allowed))
    here = {{"StringLike": {{"s3:prefix": ".s3vpce/*"}}}}
    lists = {{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*", "Condition": here}}
    tags = {{"Effect": "Allow", "Action": ["s3:PutObjectTagging", "s3:DeleteObjectTagging"], "Resource": "*"}}
    iam.create_role(RoleName="lister", AssumeRolePolicyDocument=document(trust))
    iam.put_role_policy(RoleName="lister", PolicyName="s3", PolicyDocument=document(lists, tags))
    bucket = {{"Bucket": "reports-111122223333"}}
    s3.create_bucket(
        **bucket,
        CreateBucketConfiguration={{"LocationConstraint": "eu-west-1"}},
        ObjectLockEnabledForBucket=True,
    )
    default = {{"Mode": "GOVERNANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        **bucket, ObjectLockConfiguration={{"ObjectLockEnabled": "Enabled", "Rule": {{"DefaultRetention": default}}}}
    )
    for key in (".s3vpce/canary", "there"):
        s3.put_object(**bucket, Key=key, Body=b"the canary")
    scratch = {{"Bucket": "scratch-111122223333"}}
    s3.create_bucket(**scratch, CreateBucketConfiguration={{"LocationConstraint": "eu-west-1"}})
    s3.put_bucket_versioning(**scratch, VersioningConfiguration={{"Status": "Enabled"}})
    return {{"There": "there"}}


def document(*statements):
    return json.dumps({{"Version": "2012-10-17", "Statement": statements}})
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("catalogue")
    entry = {"bucket": "reports", "actions": [*ACTIONS, *NAMES], "inferred": True}
    writes = {
        "bucket": "reports",
        "actions": ["s3:PutObject", "s3:DeleteObject", "s3:PutObjectTagging"],
        "allow": "admin:admin-host",
        "transports": ["https", "http"],
    }
    entries = [
        {**entry, "allow": "admin:admin-host", "transports": ["https", "http"]},
        {**entry, "actions": [*(name for name in ACTIONS if name != BYPASS), *NAMES], "deny": "app:app-subnet"},
        {**entry, "actions": BYPASS, "deny": "keeper:app-subnet"},
        {**entry, "actions": ["s3:PutObjectTagging", "s3:DeleteObjectTagging"], "allow": "lister:app-subnet"},
        {**writes, "key": "there"},
        {**writes, "key": "nothing"},
    ]
    example, _ = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for name, text in (
        ("s3vpce.yaml", INVENTORY),
        ("provision.py", PROVISION),
        ("test_all.access.yaml", json.dumps({"expect": entries})),
        ("test_page.access.yaml", example),
    ):
        (made / name).write_text(text, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def operator(folder: Path) -> Iterator[Operator]:
    lab = start_lab(folder / "lab", accounts={"main": ("111122223333", "eu-west-1")}, provision=folder / "provision.py")
    try:
        yield Operator(
            load_inventory(folder / "s3vpce.yaml"),
            from_ready_file(lab.ready_file),
            RunFolder.create(folder),
            notify=lambda _line: None,
            strict=False,
        )
    finally:
        lab.stop()


def measured(operator: Operator, path: Path) -> Matrix:
    inventory = load_inventory(path.parent / "s3vpce.yaml")
    plan = plan_cells([load_expectations(path, inventory)], inventory)
    return operator.run(plan, {row.id for row in plan.cells})


@pytest.fixture(scope="module")
def matrix(operator: Operator, folder: Path) -> Matrix:
    return measured(operator, folder / "test_all.access.yaml")


def test_who_may_do_all_is_allowed_all_and_inferred_forms_are_calibrated(matrix: Matrix) -> None:
    found = {
        row.id: (row.counted.outcome, row.counted.reason)
        for row in matrix.cells
        if row.principal == "admin" and row.bucket == "reports"
    }
    assert len(found) == 2 * (len(ACTIONS) + len(NAMES))
    assert {name: row for name, row in found.items() if row[0] != "allowed"} == {}


def test_who_may_list_where_the_key_is_learns_that_it_is_absent(matrix: Matrix) -> None:
    found = [row for row in matrix.cells if row.principal == "lister"]
    assert len(found) == 2
    assert {row.id: row.counted.reason for row in found if not row.passed} == {}


def test_nothing_is_written_to_a_key_where_nothing_was_read(matrix: Matrix) -> None:
    found = {row.id: row for row in matrix.cells if row.bucket != "reports"}
    assert len(found) == 12
    for name, row in found.items():
        if "+there" in name:
            assert row.passed, name
        else:
            assert row.counted.outcome == "inconclusive"
            assert "nothing was read at its key by app:app-subnet" in row.counted.reason
            assert row.sent is None


def test_who_may_only_read_is_denied_the_rest_by_the_action_under_test(matrix: Matrix) -> None:
    wrong = {
        row.id: (row.counted.outcome, row.counted.reason)
        for row in matrix.cells
        if row.principal in ("app", "keeper") and not row.passed and row.action not in READS
    }
    assert wrong == {}


def test_what_is_predicted_is_measured(operator: Operator, folder: Path, matrix: Matrix) -> None:
    inventory = load_inventory(folder / "s3vpce.yaml")
    plan = plan_cells([load_expectations(folder / "test_all.access.yaml", inventory)], inventory)
    found = predicted(matrix, plan.cells, operator)
    allowed = {OutcomeKind.ALLOWED: True, OutcomeKind.DENIED: False}
    told = {Expected.ALLOW: True, Expected.IMPLICIT_DENY: False, Expected.EXPLICIT_DENY: False}
    odd = {
        row.id: (row.predicted and row.predicted.expected, row.measured.outcome)
        for row in found.cells
        if row.sent is not None
        and (row.predicted is None or told.get(row.predicted.expected) is not allowed.get(row.measured.outcome))
    }
    assert odd == {}


# --- mutating forms --------------------------------------------------------------------------------------------------

MUTATING = [row.name for row in OPERATIONS.values() if row.mutating and row.leaves is not Trace.POLICY]


@pytest.fixture(scope="module")
def mutated(operator: Operator, folder: Path) -> Matrix:
    entry = {"actions": MUTATING, "mutating": True}
    entries = [
        {**entry, "bucket": "scratch", "allow": "admin:admin-host", "deny": "app:app-subnet"},
        {**entry, "bucket": "reports", "allow": "admin:admin-host"},
    ]
    (folder / "mutating.access.yaml").write_text(json.dumps({"expect": entries}), encoding="utf-8")
    found = measured(operator, folder / "mutating.access.yaml")
    (folder / "mutating.access.yaml").unlink()
    return found


def test_mutating_forms_tell_who_may(mutated: Matrix) -> None:
    found = {row.id: row for row in mutated.cells if row.bucket == "scratch"}
    assert len(found) == 2 * len(MUTATING) == 12
    assert {name: row.counted.reason for name, row in found.items() if not row.passed} == {}
    assert all(row.received is not None for row in found.values())


def test_they_leave_nothing(operator: Operator, mutated: Matrix) -> None:
    assert mutated.cells
    s3 = operator.accounts.client("s3", account="main")
    versions = s3.list_object_versions(Bucket="scratch-111122223333")
    assert (versions.get("Versions"), versions.get("DeleteMarkers")) == (None, None)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="scratch-111122223333")
    assert operator.sweep() == []


def test_nothing_is_made_where_nobody_is_named_who_removes_it(mutated: Matrix) -> None:
    found = [row for row in mutated.cells if row.bucket == "reports"]
    assert len(found) == len(MUTATING)
    for row in found:
        assert row.sent is None
        assert "nobody is named who removes what it makes: give bucket `reports`" in row.counted.reason


# --- calibrations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "outcome", "reason"),
    [
        (OTHER_ANSWER, "allowed", "is the answer that an authorised caller gets"),
        (None, "inconclusive", "its form is inferred and no denied caller got another answer in this run"),
        (POLICIES_FIRST, "allowed", "is the answer that an authorised caller gets"),
        ("other answers", "inconclusive", "the calibration of 2026-11-26T02:00:00Z says that its form does not tell"),
    ],
)
def test_a_calibration_settles_what_a_run_alone_does_not(
    operator: Operator, folder: Path, value: str | None, outcome: str, reason: str
) -> None:
    rows = {} if value is None else {RULE: Finding(rule=RULE, value=value, answer="404 NoSuchTagSet")}
    made = Calibration(made="2026-11-26T02:00:00Z", mode="lab", account="1", findings=rows)
    (folder / "made.json").write_text(made.to_json(), encoding="utf-8")
    (folder / "calibrated.yaml").write_text(INVENTORY + "calibration: made.json\n", encoding="utf-8")
    entry = {"bucket": "reports", "actions": "s3:PutBucketVersioning", "inferred": True, "allow": "admin:admin-host"}
    inventory = load_inventory(folder / "calibrated.yaml")
    path = folder / "test_one.access.yaml"
    path.write_text(json.dumps({"expect": [entry]}), encoding="utf-8")
    plan = plan_cells([load_expectations(path, inventory)], inventory)
    path.unlink()
    other = Operator(inventory, operator.environment, RunFolder.create(folder), notify=lambda _line: None, strict=False)
    found = other.run(plan, {row.id for row in plan.cells})
    assert found.cells[0].counted.outcome == outcome
    assert reason in found.cells[0].counted.reason
    assert "0 of 2 undocumented rules that this leans on were checked on AWS" in found.notes
    live = Operator(inventory, Environment(), RunFolder.create(folder), notify=lambda _line: None, strict=False)
    with pytest.raises(RunError, match=r"calibrated\.yaml:\d+:\d+: the calibration `made.json` was made in a lab"):
        live.readings([])
    (folder / "made.json").unlink()
    again = Operator(inventory, operator.environment, RunFolder.create(folder), notify=lambda _line: None, strict=False)
    assert again.sweep() == []
    with pytest.raises(
        RunError, match=r"calibrated\.yaml:\d+:\d+: the calibration `.*made.json` can't be read: No such"
    ):
        again.readings([])


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_holds_the_catalogue() -> None:
    printed = CliRunner().invoke(main, ["operations", "--format", "markdown"])
    assert printed.exit_code == 0
    assert printed.output in PAGE
    (told,) = re.findall(r"Forms that really change something: (.*?)\.", PAGE, re.DOTALL)
    assert re.findall(r"`(\w+)`", told) == MUTATING


def test_the_pages_example_passes(operator: Operator, folder: Path) -> None:
    found = measured(operator, folder / "test_page.access.yaml")
    assert len(found.cells) == 6
    assert {row.id: row.counted.reason for row in found.cells if not row.passed} == {}
