"""`vpc-only` and `source-ip-only` in the lab: proven under the policies they are about, refuted without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.expectations import declared
from pytest_s3vpce.model import Place
from pytest_s3vpce.run.predicting import predicted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.conftest import Stage


def _guard(stage: Stage, condition: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """The policy as one deny of what does not come from there, the administrators' role spared."""
    runner = {"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/s3vpce-runner"}}
    bucket = f"arn:aws:s3:::{stage.outputs['ReportsBucket']}"
    resource = [bucket, f"{bucket}/*"]

    def change(policy: dict[str, Any]) -> None:
        deny = {"Sid": "Guard", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": resource}
        policy["Statement"] = [{**deny, "Condition": {**condition, **runner}}]

    return change


def _open(policy: dict[str, Any]) -> None:
    policy["Statement"] = []


def _judged(stage: Stage, kind: str, **fields: Any) -> tuple[str, str]:
    body = {"bucket": "reports", "principals": ["app"], **fields}
    (spec,) = declared({"claims": [{kind: body}]}, stage.inventory, place=Place(__file__, 1)).claims
    operator = stage.fresh_operator()
    matrix = operator.observe([], [spec])
    (claim,) = matrix.claims
    if claim.verdict == "refuted":
        (explained,) = predicted(matrix, [], operator).claims
        assert explained.look_at
        assert explained.explanations
        assert [one.cells for one in explained.explanations if not one.predicted.fix] == []
    return claim.verdict.value, claim.sentence


def test_vpc_only(stage: Stage) -> None:
    subnet = stage.client("ec2").describe_subnets(SubnetIds=[stage.outputs["AppSubnet"]])["Subnets"][0]
    fields = {"vpcs": [subnet["VpcId"]], "inside": ["app-subnet"], "outside": ["internet", "nat-subnet", "partner-vpc"]}
    with stage.bucket_policy(_guard(stage, {"StringNotEquals": {"aws:SourceVpc": subnet["VpcId"]}})):
        assert _judged(stage, "vpc-only", **fields)[0] == "proven"
        # a vantage point in the VPC is none outside of it
        verdict, sentence = _judged(
            stage, "vpc-only", **{**fields, "inside": ["nat-subnet"], "outside": ["app-subnet"]}
        )
        assert verdict == "refuted", sentence
    with stage.bucket_policy(_open):
        verdict, sentence = _judged(stage, "vpc-only", **fields)
        assert verdict == "refuted"
        assert "was allowed" in sentence or "let" in sentence


def test_source_ip_only(stage: Stage) -> None:
    gateways = stage.client("ec2").describe_nat_gateways()["NatGateways"]
    address = next(row["PublicIp"] for gateway in gateways for row in gateway["NatGatewayAddresses"])
    fields = {
        "networks": [f"{address}/32"],
        "inside": ["nat-subnet"],
        "outside": ["internet", "app-subnet"],
        "actions": ["s3:GetObject", "s3:ListBucket"],  # the canary's reader stands outside, so nothing may be written
    }
    with stage.bucket_policy(_guard(stage, {"NotIpAddress": {"aws:SourceIp": f"{address}/32"}})):
        verdict, sentence = _judged(stage, "source-ip-only", **fields)
        assert verdict == "proven", sentence
        verdict, sentence = _judged(
            stage, "source-ip-only", **{**fields, "inside": ["app-subnet"], "outside": ["internet"]}
        )
        assert verdict != "proven"
        assert "endpoint traffic has no aws:SourceIp" in sentence
    with stage.bucket_policy(_open):
        assert _judged(stage, "source-ip-only", **fields)[0] == "refuted"


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (
            "vpc-only",
            {"vpcs": ["vpce-1"], "inside": ["app-subnet"], "outside": ["internet"]},
            "`vpce-1` is not a VPC's id",
        ),
        (
            "source-ip-only",
            {"networks": ["10.0.0.0/99"], "inside": ["nat-subnet"], "outside": ["internet"]},
            "`10.0.0.0/99` is no network; give a CIDR such as 203.0.113.0/24",
        ),
    ],
)
def test_bad_values_are_told(stage: Stage, kind: str, fields: dict[str, Any], words: str) -> None:
    from pytest_s3vpce.errors import ExpectationError

    with pytest.raises(ExpectationError) as caught:
        _judged(stage, kind, **fields)
    assert words in str(caught.value)
