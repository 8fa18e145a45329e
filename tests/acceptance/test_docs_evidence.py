"""docs/evidence.md and examples/evidence: records of a run's requests are found with the rights that are printed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pytest_s3vpce.evidence import Clock, sources
from pytest_s3vpce.evidence.records import of_event
from pytest_s3vpce.evidenceforms import EvidenceSource
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.matrix import CellResult, Matrix, Verdict
from pytest_s3vpce.records import RecordKind
from pytest_s3vpce.run import doctor, evidencing
from pytest_s3vpce.run.doctor import State, examine
from pytest_s3vpce.run.evidencing import evidenced
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.needs import Mode
from pytest_s3vpce.run.operator import Operator
from pytest_s3vpce.run.permissions import permissions
from tests.acceptance.conftest import EXAMPLES, Stage, staged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pytest_s3vpce.records import Record

EXAMPLE = EXAMPLES / "evidence"
TEXT = (EXAMPLES.parent / "docs" / "evidence.md").read_text(encoding="utf-8")
RUNNER = "s3vpce-runner"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A lab that enforces all, whose runner has what is printed and nothing else."""
    with staged("evidence", tmp_path_factory.mktemp("recorded"), enforce=Enforcement.ALL) as made:
        may(made, policy_of(made))
        yield made


def policy_of(stage: Stage) -> dict[str, Any]:
    return dict(permissions(stage.inventory, stage.environment).accounts[0].runner)


def may(stage: Stage, document: Mapping[str, Any]) -> None:
    iam = stage.client("iam")
    with suppress(iam.exceptions.NoSuchEntityException):
        iam.detach_role_policy(RoleName=RUNNER, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.put_role_policy(RoleName=RUNNER, PolicyName="printed", PolicyDocument=json.dumps(document))


@pytest.fixture(scope="module")
def measured(recorded: Stage) -> Matrix:
    return recorded.operator.run(recorded.plan, {row.id for row in recorded.plan.cells})


def asked(stage: Stage, matrix: Matrix) -> Matrix:
    return evidenced(matrix, stage.operator.world, stage.environment, notify=lambda _: None)


def cell(matrix: Matrix, name: str) -> CellResult:
    return next(row for row in matrix.cells if row.id.startswith(name))


def test_every_request_is_found_with_what_s3_saw(recorded: Stage, measured: Matrix) -> None:
    found = asked(recorded, measured)
    endpoint = recorded.outputs["Endpoint"]
    inside = cell(found, "GetObject/reports/app:app-subnet").evidence
    assert inside is not None
    assert {record.kind for record in inside.records} == {RecordKind.DATA, RecordKind.ACCESS_LOG, RecordKind.FLOW_LOG}
    (data,) = [record for record in inside.records if record.kind is RecordKind.DATA]
    assert (data.vpc_endpoint, data.tls, data.error_code) == (endpoint, "TLSv1.3", None)
    outside = cell(found, "GetObject/reports/app:internet").evidence
    assert outside is not None
    assert outside.sentence.startswith("a data event: by no endpoint, TLSv1.3, AccessDenied")
    # no data event and no access log line: the endpoint's policy refused it
    refused = cell(found, "GetObject/elsewhere/app:app-subnet").evidence
    assert refused is not None
    assert refused.records[0].kind is RecordKind.NETWORK_ACTIVITY
    assert {record.kind for record in refused.records[1:]} == {RecordKind.FLOW_LOG}
    assert refused.sentence.startswith(f"a network activity event: by {endpoint}, VpceAccessDenied; a flow at eni-")
    for line in re.findall(r"^  (evidence by .*)$", TEXT, re.MULTILINE):
        assert line in found.notes
    assert [row.passed for row in found.cells] == [row.passed for row in measured.cells]


def flows(found: CellResult) -> list[Record]:
    assert found.evidence is not None
    return [record for record in found.evidence.records if record.kind is RecordKind.FLOW_LOG]


def test_flows_are_found_each_way_and_what_was_rejected_where_nothing_came_back(
    recorded: Stage, measured: Matrix
) -> None:
    """A function's connection is told by its other end, its time, and the address that the trail saw."""
    found = asked(recorded, measured)
    inside, silent = cell(found, "GetObject/reports/app:app-subnet"), cell(found, "GetObject/reports/app:cut-off")
    assert {record.name for record in flows(inside)} == {"ACCEPT", "ACCEPT of the answer"}
    assert inside.evidence is not None
    (data,) = [record for record in inside.evidence.records if record.kind is RecordKind.DATA]
    assert {record.address for record in flows(inside)} == {data.address}
    assert silent.measured.outcome == "unreachable"
    assert {(record.name, record.error_code) for record in flows(silent)} == {("REJECT", "REJECT")}
    assert silent.evidence is not None
    line = re.search(r"^    (a flow at eni-.*)$", TEXT, re.MULTILINE)
    assert line is not None
    assert re.sub(r"eni-\w+", "eni-N", line[1]) == re.sub(r"eni-\w+", "eni-N", silent.evidence.sentence)
    assert {record.address for record in flows(silent)}.isdisjoint({data.address})
    assert flows(cell(found, "GetObject/reports/app:internet")) == []  # it stands in no network of ours


def test_flows_that_no_log_has_are_told_as_absent(
    recorded: Stage, measured: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidencing, "_IN_LAB", Clock(every=0.1, longest=0.3))
    logs = recorded.client("logs")
    logs.create_log_group(logGroupName="other-flows")
    sources_of = evidencing.sources_of

    def elsewhere(*given: Any) -> Any:
        found, unusable = sources_of(*given)
        return [replace(row, name="other-flows") for row in found if row.kind == "flow_logs"], unusable

    monkeypatch.setattr(evidencing, "sources_of", elsewhere)
    may(recorded, {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]})
    found = asked(recorded, measured)
    may(recorded, policy_of(recorded))
    assert "evidence by flow log: 0 of 3 requests found; of 3 there is no record, which proves nothing" in found.notes
    silent = cell(found, "GetObject/reports/app:cut-off").evidence
    assert silent is not None
    assert silent.sentence.startswith("no answer of S3's came back, and no flow log told within ")


@pytest.fixture(scope="module")
def claimed(recorded: Stage) -> Matrix:
    return asked(recorded, recorded.operator.run(recorded.plan, {row.id for row in recorded.plan.claims}))


def test_records_bear_out_what_a_claim_rests_on(recorded: Stage, claimed: Matrix) -> None:
    """Its cells, their controls and the key readings, each by its request id; nothing says otherwise in the lab."""
    found = {row.id: row for row in claimed.claims}
    assert {row.verdict for row in found.values()} == {Verdict.PROVEN}
    for row in found.values():
        assert row.records is not None
        assert row.records.requests == row.records.recorded == len(row.requests)
        assert row.records.contradictions == ()
        assert row.records.paths > 0
    endpoint_only = found["endpoint-only/reports"]
    rows = {*(row.received.request_id for row in claimed.controls if row.received)}
    assert set(endpoint_only.requests) <= rows | {row.request_id for row in claimed.readings}
    line = re.search(r"^    (AWS's own records hold .*)$", TEXT, re.MULTILINE)
    assert line is not None
    assert endpoint_only.records is not None
    shown, said = (re.sub(r"[0-9]+", "N", text) for text in (line[1], endpoint_only.records.sentence))
    assert shown == said  # how many controls a claim has is not this page's business
    assert recorded.outputs["Endpoint"] in {
        asks.values[0] for row in claimed.readings for asks in row.asks if row.outcome == "allowed" and asks.values
    }


def test_a_trail_that_says_otherwise_takes_the_proof_away_and_fails_the_run(
    recorded: Stage, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(EXAMPLE, pytester.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    ready = pytester.path / "ready.json"
    ready.write_text(json.dumps(dict(recorded.ready)), encoding="utf-8")

    def bent(event: Any, *, source: str) -> tuple[str, Record] | None:
        found = of_event(event, source=source)
        return found if found is None else (found[0], replace(found[1], vpc_endpoint="vpce-0theirs"))

    monkeypatch.setattr(sources, "of_event", bent)
    result = pytester.runpytest_inprocess(
        f"--s3vpce-lab-ready={ready}",
        "--s3vpce-evidence",
        "--s3vpce-report=r.json",
        "--junitxml=j.xml",
        "-k",
        "endpoint-only",
    )
    assert result.parseoutcomes()["passed"] == 1
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*failed at the end*", "endpoint-only/reports was reported as proven, and is inconclusive: AWS's own records*"]
    )
    (claim,) = Matrix.from_json((pytester.path / "r.json").read_text(encoding="utf-8")).claims
    assert (claim.verdict, claim.passed) == (Verdict.INCONCLUSIVE, False)
    assert claim.records is not None
    assert any("vpce-0theirs" in row for row in claim.records.contradictions)
    junit = (pytester.path / "j.xml").read_text(encoding="utf-8")
    assert '<property name="s3vpce.records" value="not in this file, ' in junit
    assert 'failures="0"' in junit


def test_a_trails_bucket_has_the_same_as_its_log_group(recorded: Stage, measured: Matrix) -> None:
    document = policy_of(recorded)
    document["Statement"] = [row for row in document["Statement"] if row["Sid"] != "ReadRecords"]
    may(recorded, document)
    found = asked(recorded, measured)
    may(recorded, policy_of(recorded))
    assert "evidence by trail: 3 of 3 requests found" in found.notes
    broken, flow_log = [note for note in found.notes if "could not be read" in note]
    assert "flow log group `perimeter-flows` of main could not be read: AccessDeniedException: " in flow_log
    assert broken.startswith("evidence: log group `perimeter-trail` of main could not be read: AccessDeniedException: ")
    (refused,) = cell(found, "GetObject/elsewhere").evidence.records  # type: ignore[union-attr]
    assert refused.source == "trail bucket `trail-111122223333` of main"


@pytest.mark.parametrize("sid", ["FindRecordFiles", "ReadRecordFiles"])
def test_each_right_to_log_files_is_needed(recorded: Stage, measured: Matrix, sid: str) -> None:
    document = policy_of(recorded)
    document["Statement"] = [row for row in document["Statement"] if row["Sid"] != sid]
    may(recorded, document)
    found = asked(recorded, measured)
    may(recorded, policy_of(recorded))
    broken = [note for note in found.notes if "could not be read: AccessDenied" in note]
    assert [note.split("`")[1] for note in broken] == ["trail-111122223333", "access-logs-111122223333"]


def test_the_doctor_looks_at_each_source(recorded: Stage, measured: Matrix) -> None:
    asked(recorded, measured)  # until the files are there
    found = [check for check in examine(recorded.inventory, recorded.environment) if "evidence" in check.subject]
    assert [(check.subject, check.state, check.found) for check in found] == [
        ("evidence 1", State.OK, "log group `perimeter-trail` of main can be read"),
        ("evidence 2", State.OK, "trail bucket `trail-111122223333` of main can be read"),
        ("evidence 3", State.OK, "access log bucket `access-logs-111122223333` of main can be read"),
        ("evidence 4", State.OK, "flow log group `perimeter-flows` of main can be read"),
    ]
    document = policy_of(recorded)
    document["Statement"] = [row for row in document["Statement"] if row["Sid"] != "ReadRecords"]
    may(recorded, document)
    (first, *_) = [check for check in examine(recorded.inventory, recorded.environment) if "evidence" in check.subject]
    may(recorded, policy_of(recorded))
    assert first.state is State.PROBLEM
    assert "is not authorized to perform: logs:FilterLogEvents" in first.found


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("days", [1, 3])
def test_the_doctor_reads_a_file_of_each_bucket(recorded: Stage, days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest, be it days old: who may only list does not read."""
    monkeypatch.setattr(doctor, "time", SimpleNamespace(time=lambda: time.time() + days * 86_400 - 3_600))
    read = [check.found for check in examine(recorded.inventory, recorded.environment) if "evidence" in check.subject]
    assert all(found.endswith("can be read") for found in read)
    document = policy_of(recorded)
    document["Statement"] = [row for row in document["Statement"] if row["Sid"] != "ReadRecordFiles"]
    may(recorded, document)
    found = [check for check in examine(recorded.inventory, recorded.environment) if "evidence" in check.subject]
    may(recorded, policy_of(recorded))
    assert [check.state for check in found] == [State.OK, State.PROBLEM, State.PROBLEM, State.OK]
    assert all("AccessDenied" in check.found for check in found[1:3])


def test_the_doctor_says_where_no_file_is_there_yet(recorded: Stage) -> None:
    group, *buckets, flow_log = recorded.inventory.evidence
    empty = tuple(row.model_copy(update={"prefix": "none/"}) for row in buckets)
    inventory = recorded.inventory.model_copy(update={"evidence": (group, *empty, flow_log)})
    may(recorded, permissions(inventory, recorded.environment).accounts[0].runner)
    found = [check for check in examine(inventory, recorded.environment) if "evidence" in check.subject]
    may(recorded, policy_of(recorded))
    assert [check.found for check in found[1:3]] == [
        "trail bucket `trail-111122223333` of main can be listed, and holds nothing yet",
        "access log bucket `access-logs-111122223333` of main can be listed, and holds nothing yet",
    ]


def test_rights_to_logs_are_printed_only_where_evidence_is_declared(recorded: Stage) -> None:
    ours = {"ReadRecords", "FindRecordFiles", "ReadRecordFiles"}
    assert ours <= {row["Sid"] for row in policy_of(recorded)["Statement"]}
    without = recorded.inventory.model_copy(update={"evidence": ()})
    for inventory, mode in ((without, Mode.CREATE), (recorded.inventory, Mode.ASSUME)):
        (account,) = permissions(inventory, recorded.environment, mode=mode).accounts
        assert not ours & {row["Sid"] for row in account.runner["Statement"]}
    files = next(row for row in policy_of(recorded)["Statement"] if row["Sid"] == "ReadRecordFiles")
    assert files["Resource"] == [
        "arn:aws:s3:::trail-111122223333/AWSLogs/*",
        "arn:aws:s3:::access-logs-111122223333/reports/*",
    ]


def test_flow_logs_in_a_bucket_need_their_own_folder_only(recorded: Stage) -> None:
    flows = EvidenceSource(flow_log_bucket="flow-files", prefix="net/")
    inventory = recorded.inventory.model_copy(update={"evidence": (flows,)})
    rows = {row["Sid"]: row for row in permissions(inventory, recorded.environment).accounts[0].runner["Statement"]}
    assert "ReadRecords" not in rows
    assert rows["ReadRecordFiles"]["Resource"] == ["arn:aws:s3:::flow-files/net/AWSLogs/*"]


def test_the_option_writes_it_into_the_report_and_needs_sources(recorded: Stage, tmp_path: Path) -> None:
    for path in EXAMPLE.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    ready = tmp_path / "ready.json"
    ready.write_text(json.dumps(dict(recorded.ready)), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-k",
        "internet",
        f"--s3vpce-lab-ready={ready}",
    ]
    done = subprocess.run(
        [*command, "--s3vpce-evidence", "--s3vpce-redact=addresses", "--s3vpce-report=report.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "evidence by trail: 1 of 1 requests found" in done.stdout
    (row,) = Matrix.from_json((tmp_path / "report.json").read_text(encoding="utf-8")).cells
    assert row.evidence is not None
    assert row.evidence.records
    assert row.evidence.records[0].address == "[address]"  # as all that --s3vpce-redact takes out
    assert str(row.evidence.records[0].principal).startswith("arn:aws:sts::[account main]:assumed-role/app/")
    inventory = tmp_path / "s3vpce.yaml"
    text = re.sub(r"(?ms)^evidence:\n.*?^lab:", "lab:", inventory.read_text(encoding="utf-8"))
    inventory.write_text(text, encoding="utf-8")
    done = subprocess.run([*command, "--s3vpce-evidence"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "--s3vpce-evidence is given, and the inventory has no `evidence`; add `evidence:" in done.stdout


def test_a_source_that_cannot_be_resolved_is_told(recorded: Stage, measured: Matrix, tmp_path: Path) -> None:
    path = tmp_path / "s3vpce.yaml"
    text = (EXAMPLE / "s3vpce.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace('log_group: "${out:TrailGroup}"', 'log_group: "${out:NoSuch}"'), encoding="utf-8")
    folder = RunFolder.create(tmp_path)
    operator = Operator(load_inventory(path), recorded.environment, folder, notify=lambda _: None, strict=False)
    found = evidenced(measured, operator.world, recorded.environment, notify=lambda _: None)
    folder.tidy(keep=False)
    assert any(note.startswith("evidence: ") and "NoSuch" in note for note in found.notes)
    assert "evidence by trail: 3 of 3 requests found" in found.notes


def test_the_page_shows_the_examples_own_lines_and_all_keys() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    example = (EXAMPLE / "s3vpce.yaml").read_text(encoding="utf-8")
    assert shown in example
    assert yaml.safe_load(shown)["evidence"][2]["wait"] == "2h"
    for name in EvidenceSource.model_fields:
        assert f"`{name}`" in TEXT, name
