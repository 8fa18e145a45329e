"""`encrypted-writes` in the lab: proven under the policy it is about, refuted without any one statement of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.errors import ExpectationError
from pytest_s3vpce.expectations import declared
from pytest_s3vpce.model import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.conftest import Stage

SSE = "s3:x-amz-server-side-encryption"
CUSTOMER = "s3:x-amz-server-side-encryption-customer-algorithm"
CONDITIONS = {
    "NoHeader": {"Null": {SSE: "true", CUSTOMER: "true"}},
    "Kms": {"StringEquals": {SSE: "aws:kms"}},
    "Dsse": {"StringEquals": {SSE: "aws:kms:dsse"}},
    "Customer": {"Null": {CUSTOMER: "false"}},
}
FIELDS = {"bucket": "reports", "principal": "app", "at": "app-subnet"}


def _policy(stage: Stage, conditions: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    resource = f"arn:aws:s3:::{stage.outputs['ReportsBucket']}/*"

    def change(policy: dict[str, Any]) -> None:
        deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": resource}
        policy["Statement"] = [{**deny, "Sid": sid, "Condition": row} for sid, row in conditions.items()]

    return change


def _judged(stage: Stage, **fields: Any) -> tuple[str, str]:
    body = {**FIELDS, "sse": "AES256", **fields}
    (spec,) = declared({"claims": [{"encrypted-writes": body}]}, stage.inventory, place=Place(__file__, 1)).claims
    (claim,) = stage.fresh_operator().observe([], [spec]).claims
    return claim.verdict.value, claim.sentence


def test_it_is_proven_where_every_other_encryption_is_denied(stage: Stage) -> None:
    with stage.bucket_policy(_policy(stage, CONDITIONS)):
        verdict, sentence = _judged(stage)
    assert verdict == "proven", sentence


@pytest.mark.parametrize("sid", CONDITIONS)
def test_each_statement_is_needed(stage: Stage, sid: str) -> None:
    with stage.bucket_policy(_policy(stage, {name: row for name, row in CONDITIONS.items() if name != sid})):
        verdict, sentence = _judged(stage)
    assert verdict == "refuted", sentence


def test_an_open_bucket_is_refuted(stage: Stage) -> None:
    with stage.bucket_policy(_policy(stage, {})):
        verdict, sentence = _judged(stage)
    assert verdict == "refuted", sentence


def test_a_named_key_is_demanded(stage: Stage) -> None:
    use = {"Effect": "Allow", "Principal": "*", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "*"}
    root = {**use, "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [use, root]})
    metadata = stage.client("kms").create_key(Policy=policy)["KeyMetadata"]
    key = f"{SSE}-aws-kms-key-id"
    conditions = {
        "NotKms": {"StringNotEquals": {SSE: "aws:kms"}},
        "NotTheKey": {"StringNotEquals": {key: metadata["Arn"]}},
    }
    with stage.bucket_policy(_policy(stage, conditions)):
        verdict, sentence = _judged(stage, sse="aws:kms", key=metadata["Arn"])
    with stage.bucket_policy(_policy(stage, {"NotKms": conditions["NotKms"]})):
        other = _judged(stage, sse="aws:kms", key=metadata["Arn"])
    assert verdict == "proven", sentence
    assert other[0] == "refuted", other[1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"key": "0123-abc"}, "`AES256` has no key"),
        ({"sse": "aws:kms", "key": "alias/mine"}, "is not a KMS key"),
        ({"actions": ["s3:GetObject"]}, "carries no encryption header"),
    ],
)
def test_bad_values_are_told(stage: Stage, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ExpectationError, match=words):
        _judged(stage, **fields)
