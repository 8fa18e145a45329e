"""Items: their ids, how they are chosen, and what JUnit gets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Example, SharedLab

FILE = "test_reports.access.yaml"
CELL = "GetObject/reports/app:app-subnet/https"


def collected(example: Example, *options: str) -> list[str]:
    """The ids of the access items that pytest chose, in its order, without the file's name."""
    result = example.run("--collect-only", "-q", "--s3vpce-lab", *options)
    return [line.partition("::")[2] for line in result.outlines if line.startswith(FILE)]


def allow_the_internet(example: Example) -> int:
    """An expectation that the example does not keep; the line it is on."""
    before = 'allow: ["app:app-subnet", "partner:partner-vpc"]'
    return example.replace(FILE, before, 'allow: ["app:internet", "app:app-subnet", "partner:partner-vpc"]')


def test_ids_are_stable_and_say_operation_bucket_who_and_transport(example: Example) -> None:
    found = collected(example, FILE)
    places = ("app-subnet", "nat-subnet", "partner-vpc", "internet")
    assert set(found) == {
        *(
            f"{operation}/reports/{who}:{place}/https"
            for operation in ("GetObject", "PutObject", "ListObjectsV2")
            for who in ("app", "partner", "anonymous")
            for place in places
        ),
        "endpoint-only/reports",
        "tls-only/reports",
        "cross-account/reports",
    }
    assert len(found) == 39


def test_collecting_starts_no_lab_and_makes_no_folder(example: Example) -> None:
    (example.path / "provision.py").write_text(
        "from pathlib import Path\nPath(__file__).with_name('ran').touch()\ndef provision(accounts): return {}\n",
        encoding="utf-8",
    )
    result = example.run("--collect-only", "--s3vpce-lab")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*<AccessFile test_reports.access.yaml>", f"*<AccessItem {CELL}>"])
    assert not (example.path / "ran").exists()
    assert not example.run_folders


@pytest.mark.parametrize(
    ("expression", "count"),
    [("GetObject and partner-vpc", 3), ("tls-only or anonymous and not ListObjectsV2", 9)],
)
def test_k_chooses_by_the_parts_of_an_id(example: Example, expression: str, count: int) -> None:
    assert len(collected(example, FILE, "-k", expression)) == count


def test_node_ids_choose_items(example: Example) -> None:
    assert collected(example, f"{FILE}::{CELL}", f"{FILE}::tls-only/reports") == [CELL, "tls-only/reports"]


def test_a_node_id_that_does_not_exist_is_told(example: Example) -> None:
    result = example.run("--s3vpce-lab", f"{FILE}::GetObject/reports/app:moon/https")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: not found:*GetObject/reports/app:moon/https"])


def test_only_what_was_chosen_is_deployed_and_probed(example: Example, shared_lab: SharedLab, in_lab: str) -> None:
    before = shared_lab.log.stat().st_size
    example.run(in_lab, f"{FILE}::GetObject/reports/anonymous:internet/https").assert_outcomes(passed=1)
    with shared_lab.log.open(encoding="utf-8") as log:
        log.seek(before)
        assert "PUT" not in log.read()


def test_lf_runs_again_what_failed_and_x_stops_at_the_first(example: Example, in_lab: str) -> None:
    allow_the_internet(example)
    first = example.run(in_lab, FILE, "-x", "-k", "GetObject and internet")
    first.assert_outcomes(failed=1, deselected=36)
    first.stdout.fnmatch_lines(["*stopping after 1 failures*"])
    again = example.run(in_lab, FILE, "--lf", "-v")
    again.assert_outcomes(failed=1, deselected=38)
    again.stdout.fnmatch_lines([f"{FILE}::GetObject/reports/app:internet/https FAILED*"])
    assert not example.run_folders


def test_a_failure_says_what_was_expected_sent_and_got(example: Example, in_lab: str) -> None:
    line = allow_the_internet(example)
    result = example.run(in_lab, f"{FILE}::GetObject/reports/app:internet/https")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "expected allow, got denied: *",
            "cell: GetObject/reports/app:internet/https",
            f"declared: *{FILE}:{line}:*",
            "sent: GET https://reports-111122223333.s3.eu-west-1.amazonaws.com/.s3vpce/canary by app from internet",
            "came back: status 403, AccessDenied, *explicit deny in a resource-based policy*",
            "layer: resource",
            "look at: the bucket policy of reports*",
        ]
    )


def test_junit_gets_one_short_property_per_item(example: Example, in_lab: str) -> None:
    example.run(in_lab, "--junitxml=junit.xml", FILE, "-k", "internet and app or tls-only")
    properties = {
        case.attrib["name"]: [row.attrib["value"] for row in case.iter("property") if row.attrib["name"] == "s3vpce"]
        for case in ET.parse(example.path / "junit.xml").iter("testcase")
    }
    assert len(properties) == 4
    for name, values in properties.items():
        assert len(values) == 1
        assert len(values[0].encode()) < 2048
        assert json.loads(values[0])["id"] == name
    cell = json.loads(properties["GetObject/reports/app:internet/https"][0])
    assert (cell["outcome"], cell["layer"], cell["controlled"]) == ("denied", "resource", True)
    assert json.loads(properties["tls-only/reports"][0])["verdict"] == "proven"


def test_what_a_vantage_point_could_not_send_is_not_said_to_be_sent(example: Example, in_lab: str) -> None:
    example.replace("s3vpce.yaml", "  internet:    local", "  internet:    {command: [no-such-python-of-ours, '-']}")
    result = example.run(in_lab, "-k", "GetObject and anonymous and internet")
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*command `no-such-python-of-ours` can't be started*install it, or*"])
    for line in ("*sent: *", "*look at: *"):  # the reason says it all
        result.stdout.no_fnmatch_line(line)
