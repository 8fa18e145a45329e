from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.claims import Setting
from pytest_s3vpce.claims.setting import EndpointFacts
from pytest_s3vpce.expectations import ExpectedCell
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.model import Answer, Cell, Expect, FailureKind, Layer, Outcome, OutcomeKind, Place, Target
from pytest_s3vpce.outcome import classify
from pytest_s3vpce.run.hints import hint_of
from pytest_s3vpce.snapshot import exemptions_of

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_s3vpce.inventory import Inventory

INVENTORY = {
    "accounts": {"main": {"id": "111122223333", "region": "eu-west-1"}},
    "principals": {"app": {"role": "arn:aws:iam::111122223333:role/app"}, "own": {"ambient": True}},
    "vantage_points": {"inside": {"lambda": {"function": "probe"}}},
    "buckets": {"reports": {"name": "reports-1", "canary": {"key": "c"}}},
}

DENIED = Outcome(kind=OutcomeKind.DENIED, layer=Layer.RESOURCE, reason="")


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    path = tmp_path / "s3vpce.yaml"
    path.write_text(json.dumps(INVENTORY), encoding="utf-8")
    return load_inventory(path)


def policy(effect: str, **condition: Any) -> str:
    row = {"Sid": "Own", "Effect": effect, "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": condition}
    return json.dumps({"Version": "2012-10-17", "Statement": row})


def hint(
    inventory: Inventory,
    principal: str,
    *,
    bucket: str = "{}",
    endpoint: str | None = None,
    outcome: Outcome = DENIED,
) -> str:
    cell = Cell(
        operation="GetObject",
        action="s3:GetObject",
        target=Target(bucket="reports"),
        principal=principal,
        vantage="inside",
    )
    setting = Setting(
        principals={},
        buckets={},
        vantages=("inside",),
        endpoints={"vpce-1": EndpointFacts(id="vpce-1", vpc="v", account_id="1", type="Gateway", policy=endpoint)},
        vantage_endpoints={"inside": ("vpce-1",)},
        exemptions={"reports": exemptions_of(bucket)},
    )
    return hint_of(
        ExpectedCell(cell=cell, expect=Expect.ALLOW, place=Place("a.yaml", 1, 1)),
        outcome,
        setting,
        inventory=inventory,
        path=None,
        controlled=None,
    )


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
@pytest.mark.parametrize(
    "key",
    ["lambda:SourceFunctionArn", "ec2:SourceInstanceARN", "aws:Ec2InstanceSourceVpc", "aws:ec2instancesourcevpc"],
)
def test_keys_that_only_ambient_credentials_carry_are_pointed_out(inventory: Inventory, key: str, effect: str) -> None:
    text = policy(effect, StringNotEquals={key: "${aws:SourceVpc}"})
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"bucket": text}, "`Own` asks for"),
        ({"endpoint": text}, "vpce-1: `Own` asks for"),
    )
    for given, where in cases:
        found = hint(inventory, "app", **given)
        assert f"{where} {key}".lower() in found.lower()
        assert found.endswith("such cells need `ambient`")
        assert "ambient" not in hint(inventory, "own", **given)


def test_other_keys_are_not(inventory: Inventory) -> None:
    text = policy("Deny", StringNotEquals={"aws:SourceVpce": "vpce-1"})
    assert hint(inventory, "app", bucket=text, endpoint=text) == "the bucket policy of reports"


def test_a_certificate_that_is_not_trusted_tells_who_may_have_shown_it(inventory: Inventory) -> None:
    answer = Answer(id="a", failure=FailureKind.TLS_CERTIFICATE, detail="unable to get local issuer certificate")
    found = hint(inventory, "app", outcome=classify(answer, operation="GetObject"))
    assert found.startswith("what opens TLS on the way from inside")
    assert "`ca_bundle` of `local`, or AWS_CA_BUNDLE" in found
