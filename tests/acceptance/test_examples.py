"""The examples, run as a user runs them: exactly the right cells fail, the right claims are refuted, and say why."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.report.json import read

if TYPE_CHECKING:
    from pytest_s3vpce.matrix import Matrix

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PLACES = ("app-subnet", "nat-subnet", "partner-vpc", "internet")


def run(example: str, report: Path, *options: str) -> tuple[int, str, Matrix]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "--s3vpce-lab",
            f"--s3vpce-report={report}",
            *options,
        ],
        cwd=EXAMPLES / example,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert report.exists(), done.stdout + done.stderr
    return done.returncode, done.stdout, read(report)


def test_endpoint_only_is_proven(tmp_path: Path) -> None:
    status, out, matrix = run("endpoint_only", tmp_path / "report.json", "--s3vpce-predict")
    assert status == 0, out
    assert len(matrix.cells) == 36
    assert "predicted: 36 of 36 cells, 0 surprises" in out
    assert {claim.id: claim.verdict.value for claim in matrix.claims} == {
        "endpoint-only/reports": "proven",
        "tls-only/reports": "proven",
        "cross-account/reports": "proven",
    }
    assert out.count("✔ proven") == 3
    assert "embedded lab: measured against this project's AWS look-alike, not against AWS" in out
    assert not (EXAMPLES / "endpoint_only" / ".s3vpce").exists() or not list(
        (EXAMPLES / "endpoint_only" / ".s3vpce").glob("run-*/ledger.jsonl")
    )


def test_endpoint_only_is_proven_by_two_workers_as_well(tmp_path: Path) -> None:
    status, out, matrix = run("endpoint_only", tmp_path / "report.json", "-n", "2")
    assert status == 0, out
    assert len(matrix.cells) == 36
    assert {claim.verdict.value for claim in matrix.claims} == {"proven"}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, Matrix]:
    return run("misconfigured", tmp_path_factory.mktemp("faulty") / "report.json", "--s3vpce-predict")


def every(operations: str, bucket: str, places: tuple[str, ...], who: str = "app") -> set[str]:
    return {f"{operation}/{bucket}/{who}:{place}/https" for operation in operations.split() for place in places}


def test_exactly_the_cells_with_a_fault_fail(faulty: tuple[int, str, Matrix]) -> None:
    status, _, matrix = faulty
    assert status == 1
    three = "GetObject PutObject ListObjectsV2"
    assert {cell.id for cell in matrix.cells if not cell.passed} == {
        *every(three, "swapped", PLACES),
        *every("ListObjectsV2", "objects-only", PLACES[1:]),
        *every(three, "nat-address", PLACES[:2]),
        *every("PutObject ListObjectsV2", "partner-star", ("partner-vpc",), "partner"),
        *every("GetObject", "unrouted", ("nat-subnet",)),
    }


def test_the_right_claims_are_refuted(faulty: tuple[int, str, Matrix]) -> None:
    _, _, matrix = faulty
    assert {claim.id: claim.verdict.value for claim in matrix.claims} == {
        "endpoint-only/swapped": "refuted",
        "endpoint-only/objects-only": "refuted",
        "endpoint-only/nat-address": "refuted",
        "endpoint-only/no-tls": "proven",
        "endpoint-only/unrouted": "refuted",
        "tls-only/no-tls": "refuted",
        "tls-only/objects-only": "refuted",
        "cross-account/partner-star": "refuted",
    }


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (
            "endpoint-only/swapped",
            "GetObject by app:app-subnet must be allowed but was denied by resource (AccessDenied)",
        ),
        ("endpoint-only/objects-only", "ListObjectsV2 by app:internet over https must be denied but was allowed"),
        (
            "endpoint-only/nat-address",
            "GetObject by app:app-subnet must be allowed but was denied by resource (AccessDenied)",
        ),
        (
            "endpoint-only/unrouted",
            (
                "GetObject by app:nat-subnet must be allowed but was denied by resource (AccessDenied); requests from "
                "nat-subnet reach S3 through no VPC endpoint: look at the endpoint's route table associations and the "
                "subnet's route table"
            ),
        ),
        ("tls-only/no-tls", "GetObject by app:app-subnet over http must be denied but was allowed"),
        ("tls-only/objects-only", "ListObjectsV2 by app:app-subnet over http must be denied but was allowed"),
    ],
)
def test_a_refuted_claim_says_why(faulty: tuple[int, str, Matrix], claim: str, reason: str) -> None:
    _, out, matrix = faulty
    found = next(row for row in matrix.claims if row.id == claim)
    assert found.sentence.startswith(reason)
    assert found.cells
    assert reason.split(";", maxsplit=1)[0] in " ".join(out.split())


@pytest.mark.parametrize(
    ("cell", "reason", "hint"),
    [
        (
            "GetObject/swapped/app:app-subnet/https",
            "a resource-based policy denies it explicitly",
            "the bucket policy of swapped (requests from app-subnet go through vpce-",
        ),
        (
            "ListObjectsV2/objects-only/app:internet/https",
            "the request succeeded",
            "what allows app there: the bucket policy of objects-only lacks a deny that matches requests from internet",
        ),
        (
            "PutObject/partner-star/partner:partner-vpc/https",
            "PreconditionFailed is the answer that an authorised caller gets",
            "what allows partner there: the bucket policy of partner-star lacks a deny",
        ),
        (
            "GetObject/unrouted/app:nat-subnet/https",
            "a resource-based policy denies it explicitly",
            "the bucket policy of unrouted (requests from nat-subnet go through no endpoint)",
        ),
    ],
)
def test_a_failed_cell_says_why_and_where_to_look(
    faulty: tuple[int, str, Matrix], cell: str, reason: str, hint: str
) -> None:
    _, _, matrix = faulty
    found = next(row for row in matrix.cells if row.id == cell)
    assert found.counted.reason == reason
    assert found.hint.startswith(hint)
    assert found.sent is not None
    assert ("Authorization", "[redacted]") in found.sent.headers
    assert found.received is not None
    assert found.received.request_id


def test_no_secret_is_in_the_report(faulty: tuple[int, str, Matrix]) -> None:
    _, out, matrix = faulty
    for text in (out, json.dumps(matrix.to_json())):
        assert "X-Amz-Signature" not in text
        assert "AWS4-HMAC" not in text
        assert "ASIA" not in text


# --- prediction beside measurement ---------------------------------------------------------------------------------


def test_every_cell_is_predicted_as_it_was_measured(faulty: tuple[int, str, Matrix]) -> None:
    _, out, matrix = faulty
    for cell in matrix.cells:
        assert cell.predicted is not None
        assert cell.predicted.expected.outcome is cell.measured.outcome, cell.id
        assert not cell.predicted.surprise
        if cell.measured.layer is not None:
            assert cell.predicted.layer == cell.measured.layer.value, cell.id
    assert f"predicted: {len(matrix.cells)} of {len(matrix.cells)} cells, 0 surprises" in out


@pytest.mark.parametrize(
    ("cell", "statement", "missed", "fix"),
    [
        (
            "GetObject/swapped/app:app-subnet/https",
            "OwnPrincipalsOnlyThroughTheEndpoint",
            None,
            "write StringNotEquals for StringEquals in `OwnPrincipalsOnlyThroughTheEndpoint`",
        ),
        (
            "GetObject/swapped/app:internet/https",
            "statement 0",
            "OwnPrincipalsOnlyThroughTheEndpoint",
            "write StringNotEquals for StringEquals in `OwnPrincipalsOnlyThroughTheEndpoint`",
        ),
        (
            "ListObjectsV2/objects-only/app:nat-subnet/https",
            "statement 1",
            "OwnPrincipalsOnlyThroughTheEndpoint",
            "add arn:aws:s3:::objects-only-111122223333 to Resource of `OwnPrincipalsOnlyThroughTheEndpoint`",
        ),
        (
            "GetObject/nat-address/app:app-subnet/https",
            "OwnPrincipalsOnlyThroughTheEndpoint",
            None,
            "requests by an endpoint carry no aws:SourceIp",
        ),
        (
            "PutObject/partner-star/partner:partner-vpc/https",
            "PartnerReads",
            None,
            "narrow `PartnerReads` of the bucket policy of partner-star",
        ),
        (
            "GetObject/unrouted/app:nat-subnet/https",
            "OwnPrincipalsOnlyThroughTheEndpoint",
            None,
            "associate the route table of nat-subnet with vpce-",
        ),
    ],
)
def test_a_failed_cell_names_the_statement_and_the_fix(
    faulty: tuple[int, str, Matrix], cell: str, statement: str, missed: str | None, fix: str
) -> None:
    _, out, matrix = faulty
    found = next(row for row in matrix.cells if row.id == cell).predicted
    assert found is not None
    assert (found.statement, found.missed) == (statement, missed)
    assert found.fix.startswith(fix)
    assert 4 <= len(found.explanation) <= 12
    for line in found.explanation:
        assert line in out


def test_the_docs_show_a_failure_as_it_is_printed(faulty: tuple[int, str, Matrix]) -> None:
    _, out, _ = faulty
    page = (EXAMPLES.parent / "docs" / "predict.md").read_text(encoding="utf-8")
    block = next(
        part for part in re.findall(r"```\n(.*?)```", page, re.DOTALL) if part.startswith("predicted: explicit")
    )
    for line in block.splitlines():
        pattern = re.escape(line).replace("0abc", "[0-9a-f]+").replace(r"\.\.\.", ".+")
        assert re.search(f"^{pattern}$", out, re.MULTILINE), line
