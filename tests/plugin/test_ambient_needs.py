"""Policies that ask for what only a function's or an instance's own credentials carry, where a cell fails by them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.plugin.conftest import Example, SharedLab

BUCKET = "asks-for-functions"
ARN = "arn:aws:lambda:eu-west-1:111122223333:function:s3vpce-*"
DENY = {
    "Sid": "OnlyTheFunction",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": f"arn:aws:s3:::{BUCKET}/*",
    "Condition": {"ArnNotLike": {"lambda:SourceFunctionArn": ARN}},
}


def test_a_cell_that_fails_by_one_is_told_that_it_needs_ambient(
    example: Example, shared_lab: SharedLab, in_lab: str
) -> None:
    s3 = shared_lab.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=BUCKET, Key="canary", Body=b"x")
    document = {"Version": "2012-10-17", "Statement": [DENY]}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(document))
    example.replace("s3vpce.yaml", "buckets:\n", f"buckets:\n  asks: {{name: {BUCKET}, canary: canary}}\n")
    for path in example.path.glob("test_*"):
        path.unlink()
    text = "expect:\n  - {bucket: asks, actions: [s3:GetObject], allow: ['app:internet']}\n"
    (example.path / "test_asks.access.yaml").write_text(text, encoding="utf-8")
    result = example.run(in_lab)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*look at: *`OnlyTheFunction` asks for lambda:SourceFunctionArn*need `ambient`"])
