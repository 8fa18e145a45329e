"""The gallery of mistakes: exactly the cells and claims of its table fail, and each failure names what is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.report.json import read

if TYPE_CHECKING:
    from pytest_s3vpce.matrix import Matrix

GALLERY = Path(__file__).parent.parent.parent / "examples" / "gallery"
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
ROW = re.compile(r"^\| (?P<mistake>[a-z0-9-]*) ?\| .* \| (?P<cell>\S+/\S+) \| (?P<named>.*) \|$", re.MULTILINE)
TABLE = [(row["cell"], row["named"]) for row in ROW.finditer((GALLERY / "README.md").read_text(encoding="utf-8"))]
CLAIM = re.compile(r"^\| (?P<claim>[a-z-]+/[a-z-]+) \| (?P<named>\S+) \|$", re.MULTILINE)
CLAIMS = {row["claim"]: row["named"] for row in CLAIM.finditer((GALLERY / "README.md").read_text(encoding="utf-8"))}
SAYS = ("denied by", "allowed by", "the deny that should have matched", "no answer", "fix")


@dataclass(frozen=True)
class Run:
    """The gallery's one run."""

    status: int
    shown: str
    matrix: Matrix

    def failure(self, cell: str) -> str:
        """What pytest prints of a failed cell."""
        return re.split(r"^[_=]+ ", self.shown.partition(f" {cell} ___")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    report = tmp_path_factory.mktemp("gallery") / "report.json"
    done = subprocess.run(
        [*PYTEST, "--s3vpce-lab", "--s3vpce-predict", f"--s3vpce-report={report}"],
        cwd=GALLERY,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert "Captured log" not in done.stdout
    return Run(done.returncode, done.stdout, read(report))


def test_every_policy_and_every_bucket_is_in_the_table() -> None:
    mistakes = {cell.split("/")[1].partition("+")[0] for cell, _ in TABLE}
    policies = {path.stem for path in (GALLERY / "policies").glob("*.json")} - {"good"}
    assert policies <= mistakes
    assert len(mistakes) >= 24


def test_exactly_the_tables_cells_fail(run: Run) -> None:
    assert run.status == 1
    assert {row.id for row in run.matrix.cells if not row.passed} == {cell for cell, _ in TABLE}
    assert {row.counted.outcome for row in run.matrix.cells} == {"allowed", "denied", "unreachable"}


def test_the_claims_are_refuted(run: Run) -> None:
    assert {row.id: row.verdict.value for row in run.matrix.claims} == dict.fromkeys(CLAIMS, "refuted")
    assert len(CLAIMS) == 4


def test_nothing_is_a_surprise(run: Run) -> None:
    predicted = {row.id: row.predicted for row in run.matrix.cells}
    assert None not in predicted.values()
    assert [name for name, row in predicted.items() if row and (row.surprise or row.expected == "unknown")] == []


@pytest.mark.parametrize(("cell", "named"), TABLE, ids=[cell for cell, _ in TABLE])
def test_the_failure_names_what_is_wrong(run: Run, cell: str, named: str) -> None:
    shown = run.failure(cell)
    said = [line for line in shown.splitlines() if line.startswith(SAYS)]
    assert said, shown
    assert any(named in line for line in said), said
    fix = [line for line in said if line.startswith("fix: ")]
    assert len(fix) == 1


@pytest.mark.parametrize(("claim", "named"), CLAIMS.items(), ids=list(CLAIMS))
def test_a_refuted_claim_names_what_is_wrong_itself(run: Run, claim: str, named: str) -> None:
    shown = run.failure(claim).splitlines()
    assert shown[2].startswith("why "), shown
    said = [line.strip() for line in shown if line.strip().startswith(SAYS)]
    assert any(named in line for line in said), said
    assert sum(line.startswith("fix: ") for line in said) == len([line for line in shown if line.startswith("why ")])
    (where,) = [line for line in shown if line.startswith("look at: ")]
    assert "`" in where, where


def test_the_documentation_shows_what_is_printed(run: Run) -> None:
    page = (GALLERY.parent.parent / "docs" / "predict.md").read_text(encoding="utf-8")
    block = page.partition("```\nrefuted: ")[2].partition("```")[0].strip().splitlines()
    shown = run.failure("endpoint-only/objects-only").splitlines()[1:7]
    folder, bucket = f"{GALLERY}{os.sep}", "gallery-objects-only-111122223333"
    said = [line.replace(folder, "").replace(bucket, "BUCKET") for line in shown]
    assert [line.removeprefix("refuted: ") for line in said] == block


def test_counterexamples_of_one_statement_are_told_once(run: Run) -> None:
    (found,) = next(row for row in run.matrix.claims if row.id == "encrypted-writes/unencrypted").explanations
    assert len(found.cells) == 3
    assert (found.predicted.missed, found.predicted.fix[:29]) == ("OnlyEncryptedByKms", "write StringNotEquals and wha")
    assert (found.predicted.place or "").count(".json:") <= 1


@pytest.mark.parametrize(
    ("cell", "fix"),
    [
        ("GetObject/swapped-operators/app:app-subnet/https", "write StringNotEquals for StringEquals"),
        ("GetObject/any-endpoint/app:partner-vpc/https", "write the ids that are meant into aws:SourceVpce"),
        ("GetObject/two-keys-at-once/app:internet/https", "give aws:PrincipalAccount a deny of its own"),
        ("GetObject/tls-in-the-same-deny/app:internet/https", "give aws:SecureTransport a deny of its own"),
        ("GetObject/for-all-values/partner:internet/https", "take ForAllValues out of `PartnerThroughItsEndpoint`"),
        ("GetObject/not-principal/app:app-subnet/https", "write Principal `*` in `OnlyThroughTheEndpoint`"),
        ("GetObject/old-version/app:app-subnet/https", "Version 2012-10-17"),
        ("GetObject/dualstack+dual/app:six/https", "use a host name without dual-stack"),
        (
            "PutObject/unencrypted/app:app-subnet/https",
            "write StringNotEquals and what is meant in `OnlyEncryptedByKms`",
        ),
        ("GetObject/exempt-account/app:internet/https", "write the ARNs that are meant into aws:PrincipalArn"),
        ("GetObject/theirs/app:six/https", "s3:GetObject; or narrow `Everything` of the policy of vpce-"),
        ("GetObject/bucket-only/app:internet/https", "/* to Resource of `OnlyThroughTheEndpoint`"),
        ("GetObject/bool-without-if-exists/anonymous:app-subnet/https", "write BoolIfExists for Bool"),
    ],
)
def test_the_fix_mends_the_mistake(run: Run, cell: str, fix: str) -> None:
    assert f"fix: {fix}" in run.failure(cell) or fix in run.failure(cell).partition("\nfix: ")[2].partition("\n")[0]


@pytest.mark.parametrize(("cell", "named"), TABLE, ids=[cell for cell, _ in TABLE])
def test_the_statement_is_shown_where_it_is_written(run: Run, cell: str, named: str) -> None:
    row = next(row for row in run.matrix.cells if row.id == cell)
    if row.bucket.partition("+")[0] not in {path.stem for path in (GALLERY / "policies").glob("*.json")}:
        return
    if named == "aws:SecureTransport":  # what is missing stands nowhere
        return
    places = re.findall(r"`" + re.escape(named) + r"`[^(]*\((\S+\.json):(\d+):\d+\)", run.failure(cell))
    assert places, run.failure(cell)
    path, line = places[0]
    below = Path(path).read_text(encoding="utf-8").splitlines()[int(line) - 1 :]
    assert f'"Sid": "{named}"' in "\n".join(below[:2])
