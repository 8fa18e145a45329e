"""`s3vpce snapshot` and `s3vpce why`: what docs/predict.md says, on the running lab of the first example."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from pytest_s3vpce.cli import main
from pytest_s3vpce.snapshot import Snapshot

if TYPE_CHECKING:
    from tests.plugin.conftest import Example, SharedLab

DOCS = Path(__file__).parent.parent.parent / "docs" / "predict.md"
CHANGES = ("Put", "Create", "Delete", "Update", "Attach", "Run", "Modify", "Add", "Remove")


def command(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.exit_code, done.stdout, done.stderr


def why(cell: str, example: Example, *more: str) -> str:
    code, out, err = command("why", cell, "--inventory", str(example.path / "s3vpce.yaml"), *more)
    assert code == 0, err
    return out


@pytest.fixture
def taken(example: Example, shared_lab: SharedLab, tmp_path: Path) -> Path:
    file = tmp_path / "snapshot.json"
    inventory = str(example.path / "s3vpce.yaml")
    code, out, err = command(
        "snapshot", "-o", str(file), "--inventory", inventory, "--lab-ready", str(shared_lab.ready_file)
    )
    assert (code, err) == (0, "")
    assert out == f"{file}: 3 buckets, 3 principals, 2 networks; 0 layers could not be read\n"
    return file


def test_a_snapshot_is_read_by_reading_calls_and_holds_no_secret(
    example: Example, shared_lab: SharedLab, tmp_path: Path
) -> None:
    before = shared_lab.log.stat().st_size
    file = tmp_path / "again.json"
    inventory = str(example.path / "s3vpce.yaml")
    command("snapshot", "-o", str(file), "--inventory", inventory, "--lab-ready", str(shared_lab.ready_file))
    with shared_lab.log.open(encoding="utf-8") as log:
        log.seek(before)
        asked = [json.loads(line)["operation"] for line in log]
    assert "GetBucketPolicy" in asked
    assert [name for name in asked if name and name.startswith(CHANGES)] == []
    text = file.read_text(encoding="utf-8")
    assert json.loads(text)["format"] == "s3vpce-snapshot/1"
    found = Snapshot.from_json(text)
    assert found.to_json() == text
    assert [row.name for row in found.principals] == ["app", "partner", "anonymous"]
    secrets = json.loads(shared_lab.ready_file.read_text(encoding="utf-8"))["accounts"]
    assert not [row for row in secrets.values() if row["runner"]["secret_access_key"] in text]


def test_why_explains_declared_cells_and_others_without_asking_anybody(
    example: Example, shared_lab: SharedLab, taken: Path
) -> None:
    before = shared_lab.log.stat().st_size
    given = ("--snapshot", str(taken))
    outside = why("GetObject/reports/app:internet/https", example, *given).splitlines()
    assert outside[0] == "GetObject/reports/app:internet/https: predicted explicit_deny, expected deny"
    assert "denied by `OwnPrincipalsOnlyThroughTheEndpoint` of the bucket policy of reports" in outside[3]
    assert outside[4].startswith("because aws:SourceVpce is absent, so StringNotEquals [vpce-")
    assert why("GetObject/reports/app:internet", example, *given).splitlines() == outside
    undeclared = why("GetBucketLocation/reports/app:app-subnet", example, *given)
    assert undeclared.startswith("GetBucketLocation/reports/app:app-subnet/https: predicted implicit_deny\n")
    assert "no VPC endpoint policy allows it" in undeclared
    assert "predicted explicit_deny" in why("GetObject/reports/app:app-subnet/http", example, *given)
    assert shared_lab.log.stat().st_size == before


def test_why_takes_a_snapshot_of_its_own(example: Example, shared_lab: SharedLab) -> None:
    text = why("GetObject/reports/app:app-subnet/https", example, "--lab-ready", str(shared_lab.ready_file))
    assert text.startswith("GetObject/reports/app:app-subnet/https: predicted allow, expected allow\n")


CLAIMS = ("endpoint-only/reports", "tls-only/reports", "cross-account/reports")


def test_why_tells_of_a_claim_what_its_requests_would_give(
    example: Example, shared_lab: SharedLab, taken: Path
) -> None:
    """Never that it is proven: nothing was sent."""
    lab = ("--lab-ready", str(shared_lab.ready_file))
    counts = dict(zip(CLAIMS, (12, 4, 21), strict=True))
    for claim in CLAIMS:
        told = why(claim, example, *lab, "--snapshot", str(taken))
        many = f"{counts[claim]} of {counts[claim]} requests predicted as they must be"
        assert told == f"{claim}: {many}; a run measures them\n"
    assert why(CLAIMS[1], example, *lab).startswith(f"{CLAIMS[1]}: 4 of 4 requests predicted")


def test_why_says_what_refutes_a_claim_as_a_run_would(example: Example, shared_lab: SharedLab, taken: Path) -> None:
    text = taken.read_text(encoding="utf-8")
    lab = ("--lab-ready", str(shared_lab.ready_file), "--snapshot", str(taken))
    taken.write_text(text.replace('"Bool": {\n', '"Bool": {\n "aws:ViaAWSService": "true",'), encoding="utf-8")
    told = why("tls-only/reports", example, *lab).splitlines()
    assert told[0].startswith(
        "tls-only/reports: predicted to be refuted: GetObject by app:app-subnet over http must be"
    )
    assert told[1] == "why GetObject/reports/app:app-subnet/http and 1 more:"
    assert any(
        "the deny that should have matched is `TlsOnly` of the bucket policy of reports" in line for line in told
    )
    assert told[-1].startswith("  fix: ")


def test_why_says_what_of_a_claim_is_not_known(example: Example, shared_lab: SharedLab, taken: Path) -> None:
    snapshot = json.loads(taken.read_text(encoding="utf-8"))
    for row in snapshot["networks"]:
        row["topology"] = {"unread": "nobody may"}
    taken.write_text(json.dumps(snapshot), encoding="utf-8")
    told = why("tls-only/reports", example, "--lab-ready", str(shared_lab.ready_file), "--snapshot", str(taken))
    assert told.startswith(
        "tls-only/reports: 2 of 4 requests predicted as they must be; a run measures them\nmissing: "
    )
    assert "ListObjectsV2 by app:app-subnet was inconclusive (it depends on what is not known: aws:sourcevpce)" in told


def test_explanations_point_into_the_files_that_policies_are_made_from(
    example: Example, shared_lab: SharedLab, tmp_path: Path
) -> None:
    section = DOCS.read_text(encoding="utf-8").partition("## Files and lines")[2].partition("```yaml\n")[2]
    documented = section.partition("```")[0]
    assert "policy_file: policies/reports.json" in documented
    assert "endpoint_policies: {" in documented
    assert "policy_files: {buckets: policies/app.json}" in documented
    bucket = "reports-111122223333"
    text = shared_lab.client("s3").get_bucket_policy(Bucket=bucket)["Policy"]
    (example.path / "policies").mkdir()
    source = example.path / "policies" / "reports.json"
    source.write_text(json.dumps(json.loads(text), indent=1), encoding="utf-8")
    role = shared_lab.client("iam").get_role_policy(RoleName="app", PolicyName="buckets")["PolicyDocument"]
    (example.path / "policies" / "app.json").write_text(json.dumps(role, indent=1), encoding="utf-8")
    endpoint = shared_lab.client("ec2").describe_vpc_endpoints()["VpcEndpoints"][0]["PolicyDocument"]
    (example.path / "policies" / "endpoint.json").write_text(endpoint, encoding="utf-8")
    inventory = example.path / "s3vpce.yaml"
    written = inventory.read_text(encoding="utf-8")
    written = written.replace("reports: {name:", "reports: {policy_file: policies/reports.json, name:")
    written = written.replace(
        '"${out:AppRoleArn}"}', '"${out:AppRoleArn}", policy_files: {buckets: policies/app.json}}'
    )
    written = written.replace(
        "\nbuckets:", '\nendpoint_policies: {"${out:Endpoint}": policies/endpoint.json}\n\nbuckets:'
    )
    inventory.write_text(written, encoding="utf-8")
    file = tmp_path / "snapshot.json"
    lab = ("--lab-ready", str(shared_lab.ready_file))
    assert command("snapshot", "-o", str(file), "--inventory", str(inventory), *lab)[0] == 0
    ready = ("--snapshot", str(file))
    denied = why("GetObject/reports/app:internet/https", example, *ready)
    assert f"of the bucket policy of reports ({source}:4:" in denied
    allowed = why("GetObject/reports/app:app-subnet/https", example, *ready)
    assert f"of app ({example.path / 'policies' / 'app.json'}:4:" in allowed
    near = why("GetBucketLocation/reports/app:app-subnet", example, *ready)
    assert "endpoint.json:1:" in near


@pytest.mark.parametrize(
    ("cell", "error"),
    [
        ("nothing", "is the id of no cell and no claim; give OPERATION/BUCKET/PRINCIPAL:VANTAGE_POINT/TRANSPORT: Get"),
        ("tls-only/none", "; or one of the claims endpoint-only/reports, tls-only/reports, cross-account/reports"),
        ("GetObject/none/app:internet", "there is no bucket `none`; declared are reports"),
        ("GetObject/reports/who:internet", "there is no principal `who`; declared are app, partner, anonymous"),
        ("GetObject/reports/app:where", "there is no vantage point `where`; declared are app-subnet, nat-subnet"),
        ("Nothing/reports/app:internet", "`Nothing/reports/app:internet`: "),
        ("GetObject/reports/app:internet/ftp", "there is no transport `ftp`; transports are https, http"),
        ("GetObject+x/reports/app:internet", "has parameters that no expectation file says"),
        ("GetObject/reports+x/app:internet", "bucket `reports` has no key or host `x`; it has none"),
    ],
)
def test_an_id_that_is_none_is_told(example: Example, cell: str, error: str) -> None:
    code, out, err = command("why", cell, "--inventory", str(example.path / "s3vpce.yaml"))
    assert (code, out) == (2, "")
    assert error in err


def test_files_that_are_no_snapshot_and_folders_that_are_not_there(
    example: Example, shared_lab: SharedLab, tmp_path: Path
) -> None:
    inventory = str(example.path / "s3vpce.yaml")
    for text, error in (
        ("{", "bad.json` is not JSON; name what `s3vpce snapshot` wrote"),
        ("[]", "bad.json` names no format; name what `s3vpce snapshot` wrote"),
        ('{"format": "s3vpce-snapshot/1"}', "bad.json` does not hold what s3vpce-snapshot/1 holds: mode: "),
    ):
        (tmp_path / "bad.json").write_text(text, encoding="utf-8")
        bad = ("--inventory", inventory, "--snapshot", str(tmp_path / "bad.json"))
        code, _, err = command("why", "GetObject/reports/app:internet/https", *bad)
        assert code == 2
        assert error in err
    gone = ("--inventory", inventory, "--snapshot", str(tmp_path / "none.json"))
    assert "can't be read" in command("why", "GetObject/reports/app:internet/https", *gone)[2]
    nowhere = ("-o", str(tmp_path / "none" / "s.json"), "--lab-ready", str(shared_lab.ready_file))
    code, _, err = command("snapshot", "--inventory", inventory, *nowhere)
    assert code == 2
    assert "the folder of the snapshot" in err
    assert "is not there; make it" in err


def test_what_may_not_be_read_is_told(example: Example, shared_lab: SharedLab, tmp_path: Path) -> None:
    inventory = example.path / "s3vpce.yaml"
    text = inventory.read_text(encoding="utf-8")
    inventory.write_text(
        text.replace("  anonymous:", '  gone: {role: "arn:aws:iam::111122223333:role/gone"}\n  anonymous:')
    )
    file = tmp_path / "partial.json"
    code, out, err = command(
        "snapshot", "-o", str(file), "--inventory", str(inventory), "--lab-ready", str(shared_lab.ready_file)
    )
    assert code == 0
    assert "unknown: principals[gone].identity: " in err
    assert "layers could not be read" in out
    assert "predicted unknown" in why("GetObject/reports/gone:app-subnet", example, "--snapshot", str(file))


def test_an_account_that_cannot_be_used_is_unknown_and_where_none_can_that_is_an_error(
    example: Example, shared_lab: SharedLab, tmp_path: Path
) -> None:
    inventory = example.path / "s3vpce.yaml"
    lab = ("--inventory", str(inventory), "--lab-ready", str(shared_lab.ready_file))
    example.replace("s3vpce.yaml", '"444455556666"', '"444455556667"')
    file = tmp_path / "half.json"
    code, _, err = command("snapshot", "-o", str(file), *lab)
    assert code == 0
    assert "unknown: buckets[control:partner].policy: account `partner` is `444455556667` in the inventory" in err
    example.replace("s3vpce.yaml", '"111122223333"', '"111122223334"')
    code, _, err = command("snapshot", "-o", str(file), *lab)
    assert code == 2
    assert "account `main` is `111122223334` in the inventory, but its credentials belong to `111122223333`" in err


def test_the_rights_that_it_takes_are_printed(example: Example, shared_lab: SharedLab) -> None:
    code, out, _ = command(
        "permissions",
        "--mode",
        "snapshot",
        "--inventory",
        str(example.path / "s3vpce.yaml"),
        "--lab-ready",
        str(shared_lab.ready_file),
    )
    assert code == 0
    rows = json.loads(out)["accounts"]["main"]["runner"]["Statement"]
    actions = [action for row in rows for action in row["Action"]]
    verbs = ("Describe", "Get", "List")
    assert [action for action in actions if not action.partition(":")[2].startswith(verbs)] == []
    buckets = next(row for row in rows if row["Sid"] == "ReadBuckets")["Resource"]
    assert buckets == ["arn:aws:s3:::reports-111122223333", "arn:aws:s3:::s3vpce-control-111122223333"]


def test_the_docs_say_what_a_run_prints(example: Example, in_lab: str) -> None:
    done = example.run(in_lab, "--s3vpce-predict", "-k", "GetObject")
    said = done.stdout.str()
    assert "predicted: 12 of 12 cells, 0 surprises" in said
    assert "predicted: 36 of 36 cells, 0 surprises" in DOCS.read_text(encoding="utf-8")
