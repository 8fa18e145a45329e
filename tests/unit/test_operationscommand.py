"""`s3vpce operations`: the catalogue as a table and as JSON."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pytest_s3vpce.cli import main
from pytest_s3vpce.operations import OPERATIONS, Fill
from pytest_s3vpce.operationscommand import described


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["operations", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_it_lists_the_catalogue() -> None:
    status, out, _ = run()
    assert status == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["DeleteObject"].split()[1:5] == ["s3:DeleteObject", "documented", "s3:GetObject", "documented"]
    assert lines["DeleteBucket"].split()[2:4] == ["none", "none"]
    assert "an empty bucket would be gone" in lines["DeleteBucket"]
    assert lines["UploadPart"].split()[2] == "inferred"
    assert "the request as it is" in lines["GetBucketAcl"]
    assert "with MaxKeys=1" in lines["ListObjectsV2"]
    assert len(lines) == len(OPERATIONS) + 2


def test_json_has_all_of_it() -> None:
    status, out, _ = run("--format", "json")
    rows = {row["operation"]: row for row in json.loads(out)}
    assert status == 0
    assert rows.keys() == OPERATIONS.keys()
    put = rows["PutObject"]
    assert put["safe"]["parameters"]["IfNoneMatch"] == "*"
    assert put["safe"]["parameters"]["Body"] == "<the canary's own bytes>"
    assert {"action": "s3:PutObjectAcl", "resource": "object", "when": "ACL"} in put["requires"]
    assert rows["GetObject"]["requires"] == [
        {"action": "s3:GetObject", "resource": "object", "versioned": "s3:GetObjectVersion"}
    ]
    assert rows["UploadPart"]["safe"]["parameters"]["Body"] == ""
    assert rows["PutPublicAccessBlock"]["safe"]["document"].startswith("<PublicAccessBlockConfiguration")
    assert (rows["DeleteBucket"]["safe"], rows["DeleteBucket"]["mutating"]) == (None, None)
    assert rows["DeleteBucket"]["unsafe"]


def test_operations_can_be_named() -> None:
    status, out, _ = run("HeadObject", "PutObject", "--format", "json")
    assert status == 0
    assert [row["operation"] for row in json.loads(out)] == ["HeadObject", "PutObject"]
    status, out, _ = run("s3:listbucket", "--format", "json")
    assert [row["operation"] for row in json.loads(out)] == ["ListObjectsV2"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("getobject", "unknown operation `getobject`; accepted are GetObject, "),
        ("s3:GetObjct", "unknown action `s3:GetObjct`; accepted are s3:GetObject, "),
        ("Nothing", "unknown operation `Nothing`; accepted are AbortMultipartUpload, "),
    ],
)
def test_an_unknown_operation_is_told_with_what_was_meant(name: str, told: str) -> None:
    status, out, err = run(name)
    assert (status, out) == (2, "")
    assert err.startswith(f"s3vpce: {told}")


def test_a_mutating_form_is_shown() -> None:
    found = described(OPERATIONS["CreateMultipartUpload"])["mutating"]
    assert (found["kind"], found["parameters"]) == ("documented", {"Key": Fill.RUN_KEY})


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_each_operation_has_a_line(form: str) -> None:
    _, out, _ = run("--format", form)
    for name in OPERATIONS:
        assert sum(f" {name} " in f" {line.removeprefix('|')} " for line in out.splitlines()) >= 1
