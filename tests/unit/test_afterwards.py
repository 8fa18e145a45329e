"""A report that is there already is explained by a snapshot, as a run with predictions would have explained it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from click.testing import CliRunner

from pytest_s3vpce.cli import main
from pytest_s3vpce.matrix import CellResult, ClaimResult, Evidence, Judged, Matrix, Status, Verdict
from pytest_s3vpce.model import Expect, OutcomeKind, Place, Transport
from pytest_s3vpce.run.afterwards import explained_by
from tests.unit.predictions import BUCKET, GUARD, NOW, snapshot, statement

if TYPE_CHECKING:
    from pathlib import Path

SNAPSHOT = snapshot(statement("Allow", sid="Grant"), {**GUARD, "Resource": f"{BUCKET}/*"})
LEAK = "ListObjectsV2/reports/app:known/https"


def row(name: str, *, expect: Expect | None = None, variant: str = "", bucket: str = "reports") -> CellResult:
    judged = Judged(outcome=OutcomeKind.ALLOWED, reason="it was so")
    return CellResult(
        id=name,
        operation=name.partition("/")[0].partition("+")[0],
        action="s3:ListBucket",
        variant=variant,
        bucket=bucket,
        principal="app",
        vantage="known",
        transport=Transport.HTTPS,
        expect=expect,
        measured=judged,
        counted=judged,
        passed=None if expect is None else expect is Expect.ALLOW,
        place=Place("test_a.access.yaml", 3) if expect else None,
    )


def report(*cells: CellResult, controls: tuple[CellResult, ...] = ()) -> Matrix:
    bad = Evidence(kind="negative", name="denied", status=Status.BAD, sentence="it was let in", cell=LEAK)
    claim = ClaimResult(
        id="endpoint-only/reports",
        kind="endpoint-only",
        bucket="reports",
        verdict=Verdict.REFUTED,
        sentence="it leaks",
        cells=(LEAK,),
        evidence=(bad,),
    )
    return Matrix(
        mode="lab",
        run_id="r",
        version="1",
        started=NOW,
        seconds=1.0,
        cells=cells,
        claims=(claim,),
        controls=controls,
    )


def test_cells_and_claims_of_a_report_are_explained_and_what_had_parameters_is_not() -> None:
    sealed = row("ListObjectsV2+of-x/reports/app:known/https", expect=Expect.DENY, variant="of-x")
    found = explained_by(report(row(LEAK, expect=Expect.DENY), sealed), SNAPSHOT)
    first, second = found.cells
    assert first.predicted is not None
    assert (first.predicted.missed, first.predicted.fix) == ("Guard", f"add {BUCKET} to Resource of `Guard`")
    assert second.predicted is None
    assert found.claims[0].explanations[0].predicted.missed == "Guard"
    controls = explained_by(report(controls=(row(LEAK),)), SNAPSHOT)
    assert controls.claims[0].explanations[0].cells == (LEAK,)
    elsewhere = explained_by(
        report(row("ListObjectsV2/gone/app:known/https", expect=Expect.DENY, bucket="gone")), SNAPSHOT
    )
    assert elsewhere.cells[0].predicted is not None
    assert elsewhere.cells[0].predicted.reason == "bucket `gone` is not in the snapshot"


def test_the_command_takes_the_snapshot_and_leaves_out_what_is_to_be(tmp_path: Path) -> None:
    file, read = tmp_path / "r.json", tmp_path / "s.json"
    file.write_text(replace(report(), controls=(row(LEAK),)).to_json(), encoding="utf-8")
    read.write_text(SNAPSHOT.to_json(), encoding="utf-8")
    done = CliRunner().invoke(main, ["report", str(file), "--snapshot", str(read), "--redact", "accounts"])
    assert done.exit_code == 0, done.output
    assert "fix: add arn:aws:s3:::reports-bucket to Resource of `Guard`" in done.output
    assert "s3vpce why" not in done.output
    assert "s3vpce why" in CliRunner().invoke(main, ["report", str(file)]).output
    broken = CliRunner().invoke(main, ["report", str(file), "--snapshot", str(file)])
    assert broken.exit_code == 2
    assert f"the snapshot `{file}` has the format `s3vpce-report/2`" in broken.output
