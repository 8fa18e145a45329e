"""Reports say how many undocumented rules a run leans on, and how many of these were checked on AWS, and when."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.calibration import Calibration, Finding
from pytest_s3vpce.undocumented import RULES

if TYPE_CHECKING:
    from tests.plugin.conftest import Example

ONE = ("-k", "GetObject and app and internet and not partner", "test_reports.access.yaml")
RULE = "message/resource-explicit"
"""All that this run leans on: a bucket policy's denial that S3 names."""
LINE = "1 undocumented rules that this leans on were checked on AWS"


def calibrated(example: Example, *, mode: str, value: str) -> None:
    """The inventory names a calibration that was made there, and found this."""
    made = Calibration(
        made="2026-11-20T10:00:00Z",
        mode=mode,
        account="444455556666",
        region="eu-west-1",
        findings={RULE: Finding(rule=RULE, value=value)},
    )
    (example.path / "calibration.json").write_text(made.to_json(), encoding="utf-8")
    example.replace("s3vpce.yaml", "infrastructure:", "calibration: calibration.json\ninfrastructure:")


@pytest.mark.parametrize(
    ("mode", "value", "line"),
    [
        ("live", RULES[RULE].assumed, f"1 of {LINE} (account 444455556666, 2026-11-20)"),
        ("live", "not denied: 503 SlowDown", f"0 of {LINE}"),
        ("lab", RULES[RULE].assumed, f"0 of {LINE}"),
    ],
    ids=["checked", "undecided", "made in a lab"],
)
def test_every_report_tells_how_far_it_was_checked(
    example: Example, in_lab: str, mode: str, value: str, line: str
) -> None:
    calibrated(example, mode=mode, value=value)
    reports = [f"--s3vpce-report=report.{kind}" for kind in ("html", "json", "md")]
    done = example.run(in_lab, *reports, *ONE)
    done.assert_outcomes(passed=1, deselected=38)
    texts = {kind: (example.path / f"report.{kind}").read_text(encoding="utf-8") for kind in ("html", "md")}
    texts["terminal"] = " ".join(done.stdout.str().split())
    texts["json"] = "\n".join(json.loads((example.path / "report.json").read_text(encoding="utf-8"))["notes"])
    assert {kind: line in text for kind, text in texts.items()} == dict.fromkeys(texts, True)
    closed = f"{line}</li>" if mode == "live" else line
    assert closed in texts["html"]
    assert texts["json"].splitlines().count(line) == 1
