"""`--s3vpce-strict`: what is not covered fails a proven claim, unless its author accepts it by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.claims import LeastPrivilege
from pytest_s3vpce.run import deletions
from pytest_s3vpce.snapshot import ways_differ

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Example, SharedLab

GLASS, MAIN = "strict-glass", "111122223333"
INVENTORY = f"""\
accounts:
  main: {{id: "{MAIN}", region: eu-west-1}}
principals:
  admin: {{role: "arn:aws:iam::{MAIN}:role/strict-admin"}}
  other: {{role: "arn:aws:iam::{MAIN}:role/strict-other"}}
  anonymous: {{anonymous: true}}
vantage_points: {{internet: local}}
buckets:
  glass: {{name: {GLASS}, scratch: true, canary: {{key: c, reader: "admin:internet"}}}}
controls:
  main: {{name: "${{out:ControlBucket}}", canary: ".s3vpce/canary"}}
"""
RUNNER, ADMIN = (f"arn:aws:iam::{MAIN}:role/{name}" for name in ("s3vpce-runner", "strict-admin"))
BREAK_GLASS = {"bucket": "glass", "administrators": "admin:internet", "inferred": True, "mutating": True}
LEAST = {"bucket": "glass", "principal": "other", "at": "internet", "actions": "s3:GetObject", "inferred": True}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@pytest.fixture(scope="module")
def _glass(shared_lab: SharedLab) -> None:
    """A scratch bucket whose policy spares its administrator and the runner."""
    s3, iam = shared_lab.client("s3"), shared_lab.client("iam")
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{MAIN}:root"}}
    for name, actions in (("admin", "s3:*"), ("other", ["s3:GetObject"])):
        iam.create_role(RoleName=f"strict-{name}", AssumeRolePolicyDocument=document(trust))
        everything = document({"Effect": "Allow", "Action": actions, "Resource": "*"})
        iam.put_role_policy(RoleName=f"strict-{name}", PolicyName="p", PolicyDocument=everything)
    where = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket=GLASS, CreateBucketConfiguration=where)
    s3.put_object(Bucket=GLASS, Key="c", Body=b"canary")
    s3.put_bucket_policy(
        Bucket=GLASS,
        Policy=document(
            {
                "Sid": "Guard",
                "Effect": "Deny",
                "Principal": "*",
                "Action": ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"],
                "Resource": f"arn:aws:s3:::{GLASS}",
                "Condition": {"ArnNotEquals": {"aws:PrincipalArn": [RUNNER, ADMIN]}},
            }
        ),
    )


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's policies are in force at once."""
    monkeypatch.setattr(deletions, "CALM", 0.0)


def written(path: Path, kind: str, claim: dict[str, Any]) -> None:
    for file in path.glob("test_*"):
        file.unlink()
    (path / "s3vpce.yaml").write_text(INVENTORY, encoding="utf-8")
    (path / "test_strict.access.yaml").write_text(json.dumps({"claims": [{kind: claim}]}), encoding="utf-8")


@pytest.mark.usefixtures("_glass")
@pytest.mark.parametrize(
    ("accepts", "left"),
    [
        ([], f"not covered: `Guard` holds only where ArnNotEquals aws:PrincipalArn {RUNNER}"),
        ([RUNNER], ""),
        (
            [RUNNER, "s3:DeleteBucketPolicy"],
            "not covered: `s3:DeleteBucketPolicy` is accepted as not covered, and no gap",
        ),
    ],
)
def test_break_glass_passes_once_whom_else_the_policy_spares_is_accepted(
    example: Example, shared_lab: SharedLab, in_lab: str, accepts: list[str], left: str
) -> None:
    before = shared_lab.client("s3").get_bucket_policy(Bucket=GLASS)["Policy"]
    written(example.path, "break-glass", {**BREAK_GLASS, **({"accepts": accepts} if accepts else {})})
    result = example.run(in_lab, "--s3vpce-strict")
    result.assert_outcomes(failed=1 if left else 0, passed=0 if left else 1)
    shown = " ".join(result.stdout.str().split())
    assert left in shown
    assert ("not covered, accepted: `Guard` holds only where ArnNotEquals" in shown) is bool(accepts)
    assert shared_lab.client("s3").get_bucket_policy(Bucket=GLASS)["Policy"] == before


def uncovered() -> list[str]:
    """What the claim never asks for, as its report names it and its author copies it."""
    claim = LeastPrivilege(
        id="x", bucket="glass", principal="other", at="internet", actions=("s3:GetObject",), inferred=True
    )
    setting: Any = None
    return [name for gap in claim.gaps(setting) for name in (gap.names or (gap.says,))]


@pytest.mark.usefixtures("_glass")
@pytest.mark.parametrize("forgotten", ["", "DeleteBucket"])
def test_least_privilege_passes_once_what_can_not_be_tried_is_accepted(
    example: Example, in_lab: str, forgotten: str
) -> None:
    policy = ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", RUNNER, ADMIN]
    accepts = [name for name in (*uncovered(), *policy) if name != forgotten]
    written(example.path, "least-privilege", {**LEAST, "accepts": accepts})
    result = example.run(in_lab, "--s3vpce-strict")
    result.assert_outcomes(passed=0 if forgotten else 1, failed=1 if forgotten else 0)
    shown = " ".join(result.stdout.str().split())
    assert "not covered, accepted: not tried, since no form of theirs changes nothing: Delete" in shown
    assert ("not covered: not tried, since no form of theirs changes nothing: DeleteBucket " in shown) is bool(
        forgotten
    )


def test_the_examples_subnets_lead_to_s3_in_two_ways(shared_lab: SharedLab) -> None:
    """As the runner reads it: a vantage point in both would be two places."""
    outputs, ec2 = shared_lab.ready["outputs"], shared_lab.client("ec2")
    app, nat, endpoint = (outputs[name] for name in ("AppSubnet", "NatSubnet", "Endpoint"))
    differs = ways_differ(ec2, (app, nat))
    assert differs is not None
    assert differs.startswith(f"{app} by {endpoint}; {nat} by nat-")
