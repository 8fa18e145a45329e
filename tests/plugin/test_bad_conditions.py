"""Bad conditions: one clear error with the inventory's line and a remedy, and the rest of the run completes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Example, SharedLab

FILE = "test_reports.access.yaml"


@pytest.fixture
def altered_lab(example: Example, shared_lab: SharedLab) -> Altered:
    return Altered(example, shared_lab)


class Altered:
    """The shared lab, whose provisioning returned something else."""

    def __init__(self, example: Example, lab: SharedLab) -> None:
        self.example = example
        self.lab = lab

    def run(self, outputs: dict[str, str], *options: str | Path) -> pytest.RunResult:
        ready = {**self.lab.ready, "outputs": {**self.lab.ready["outputs"], **outputs}}
        file = self.example.path / "altered.json"
        file.write_text(json.dumps(ready), encoding="utf-8")
        result = self.example.run(f"--s3vpce-lab-ready={file}", FILE, *options)
        assert self.lab.functions() == self.lab.roles() == set(), "left behind"
        assert not self.example.run_folders, "left behind"
        return result


def line_of(example: Example, text: str) -> int:
    """The line of the inventory on which a text stands."""
    inventory = (example.path / "s3vpce.yaml").read_text(encoding="utf-8")
    assert inventory.count(text) == 1
    return inventory[: inventory.index(text)].count("\n") + 1


def failed(result: pytest.RunResult) -> set[str]:
    """The names of the items that failed, by pytest's summary."""
    lines = [line for line in result.outlines if line.startswith("FAILED ")]
    return {line.partition("::")[2].partition(" - ")[0] for line in lines}


def test_a_subnet_that_does_not_exist_costs_only_its_own_cells(altered_lab: Altered) -> None:
    line = line_of(altered_lab.example, "nat-subnet:  {")
    result = altered_lab.run({"NatSubnet": "subnet-0123456789abcdef0"}, "-k", "GetObject and (nat or internet)")
    assert failed(result) == {f"GetObject/reports/{who}:nat-subnet/https" for who in ("app", "partner", "anonymous")}
    result.assert_outcomes(passed=3, failed=3, deselected=33)
    result.stdout.fnmatch_lines([f"expected deny, got inconclusive: *s3vpce.yaml:{line}:*subnet-0123456789abcdef0*"])


def test_a_bucket_that_does_not_exist_is_inconclusive_and_told(altered_lab: Altered) -> None:
    line = line_of(altered_lab.example, "reports: {name")
    result = altered_lab.run({"ReportsBucket": "reports-nowhere"}, "-k", "GetObject and app and internet or tls-only")
    result.assert_outcomes(failed=2, deselected=37)
    result.stdout.fnmatch_lines(
        [
            "expected deny, got inconclusive: the bucket does not exist",
            f"look at: *s3vpce.yaml:{line}:*: correct the name, or create the bucket",
            "inconclusive: *the bucket does not exist*",
        ]
    )


def test_a_bucket_in_another_region_is_inconclusive_and_told(altered_lab: Altered) -> None:
    example = altered_lab.example
    line = example.replace(
        "s3vpce.yaml",
        'reports: {name: "${out:ReportsBucket}",',
        'reports: {region: us-west-2, name: "${out:ReportsBucket}",',
    )
    result = altered_lab.run({}, "-k", "GetObject and app and internet")
    result.assert_outcomes(failed=1, deselected=38)
    result.stdout.fnmatch_lines(
        [
            "expected deny, got inconclusive: *Region*",
            f"look at: *s3vpce.yaml:{line}:*: write the Region that the bucket is in",
        ]
    )


def test_a_canary_that_is_gone_is_inconclusive_and_told(altered_lab: Altered) -> None:
    example = altered_lab.example
    line = example.replace("s3vpce.yaml", 'canary: {key: ".s3vpce/canary", reader', 'canary: {key: "nothing", reader')
    result = altered_lab.run({}, "-k", "(GetObject or PutObject) and app-subnet and app:")
    assert failed(result) == {f"{operation}/reports/app:app-subnet/https" for operation in ("GetObject", "PutObject")}
    result.stdout.fnmatch_lines([f"look at: *s3vpce.yaml:{line}:*: name an object that is there, *"])


def test_a_control_bucket_that_is_gone_proves_nothing(altered_lab: Altered) -> None:
    result = altered_lab.run(
        {"ControlBucket": "s3vpce-control-nowhere"}, "-k", "GetObject and app and internet or endpoint-only"
    )
    assert "endpoint-only/reports" in failed(result)
    result.stdout.fnmatch_lines(["inconclusive: *control*"])
    result.stdout.no_fnmatch_line("*proven  endpoint-only*")


def test_a_role_that_cannot_be_assumed_costs_only_its_own_cells(altered_lab: Altered) -> None:
    line = line_of(altered_lab.example, "app:       {role")
    result = altered_lab.run({"AppRoleArn": "arn:aws:iam::111122223333:role/nobody"}, "-k", "GetObject and internet")
    assert failed(result) == {"GetObject/reports/app:internet/https"}
    result.assert_outcomes(passed=2, failed=1, deselected=36)
    result.stdout.fnmatch_lines([f"expected deny, got inconclusive: *s3vpce.yaml:{line}:*role/nobody*sts:AssumeRole*"])


def test_a_wrong_account_costs_its_own_cells_before_anything_is_sent_in_its_name(altered_lab: Altered) -> None:
    example = altered_lab.example
    line = example.replace("s3vpce.yaml", '"111122223333"', '"999988887777"')
    before = altered_lab.lab.log.stat().st_size
    result = altered_lab.run({}, "-k", "GetObject and internet")
    assert failed(result) == {"GetObject/reports/app:internet/https"}
    result.stdout.fnmatch_lines([f"expected deny, got inconclusive: *s3vpce.yaml:{line}:*111122223333*"])
    with altered_lab.lab.log.open(encoding="utf-8") as log:
        log.seek(before)
        rows = [json.loads(row) for row in log]
    assert {row["service"] for row in rows if "111122223333:user/" in (row["caller"] or "")} == {"sts"}
    assert not [row for row in rows if "111122223333:assumed-role/app/" in (row["caller"] or "")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "def provision(accounts):\n    raise ValueError('no\\nsubnet')\n",
            "*provision.py:2: provisioning failed: ValueError: no subnet*",
        ),
        ("def provision(:\n", "*provision.py:1*: the script is not Python: *"),
    ],
    ids=["raises", "not Python"],
)
def test_provisioning_that_fails_is_told_at_its_own_line(example: Example, text: str, said: str) -> None:
    (example.path / "provision.py").write_text(text, encoding="utf-8")
    result = example.run("--s3vpce-lab", FILE, "-k", "GetObject and app and internet")
    result.assert_outcomes(errors=1, deselected=38)
    result.stdout.fnmatch_lines([said])
    assert not example.run_folders


def test_a_missing_provisioning_script_is_told_at_the_inventorys_line(example: Example) -> None:
    (example.path / "provision.py").unlink()
    line = line_of(example, "provision: provision.py")
    result = example.run("--s3vpce-lab", FILE, "-k", "GetObject and app and internet")
    result.assert_outcomes(errors=1, deselected=38)
    result.stdout.fnmatch_lines([f"*s3vpce.yaml:{line}:*no provisioning script*; write it"])


def test_live_without_credentials_says_what_to_do(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    outputs = dict.fromkeys(["AppRoleArn", "PartnerRoleArn"], "arn:aws:iam::111122223333:role/x")
    (example.path / "outputs.json").write_text(
        json.dumps({**outputs, "ReportsBucket": "r", "ControlBucket": "c", "PartnerControlBucket": "p"}),
        encoding="utf-8",
    )
    line = line_of(example, "main:    {id")
    result = example.run("--s3vpce-live", FILE, "-k", "GetObject and app and internet")
    result.assert_outcomes(failed=1, deselected=38)
    result.stdout.fnmatch_lines([f"*s3vpce.yaml:{line}:*profile `staging` does not exist; *list-profiles*"])
