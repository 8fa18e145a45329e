"""Predictions go by what a calibration found of AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.calibration import NONE, Calibration, Finding
from pytest_s3vpce.predict import Predictor
from tests.unit.predictions import BUILDER, NOW, OWNER, cell, policy, role, snapshot, statement

if TYPE_CHECKING:
    from pytest_s3vpce.matrix import Expected
    from pytest_s3vpce.snapshot.state import Snapshot

ROOT = statement("Allow", Principal={"AWS": f"arn:aws:iam::{OWNER}:root"}, Action="s3:GetObject")


EITHER = "attributes/actions: either"


def allowed(action: str, **more: Any) -> Snapshot:
    """The role may do this, and nothing else."""
    row = statement("Allow", Principal=None, Action=action, Resource="*", **more)
    return snapshot(people=(role(identity=(policy(row, name="inline"),)),))


def expected(found: Snapshot, operation: str, calibration: Calibration) -> Expected:
    predictor = Predictor(found, now=NOW, session_name="s1", builder=BUILDER, calibration=calibration)
    return predictor.predict(cell(operation)).expected


@pytest.mark.parametrize(
    ("found", "rule", "operation", "effects"),
    [
        (snapshot(ROOT, people=(role(identity=()),)), "root-arn/alone: allowed", "GetObject", "implicit_deny, allow"),
        (allowed("s3:GetObjectAttributes"), EITHER, "GetObjectAttributes", "implicit_deny, allow"),
        (allowed("s3:GetObject"), EITHER, "GetObjectAttributes", "implicit_deny, allow"),
        (allowed("s3:ListBucket"), EITHER, "GetObjectAttributes", "implicit_deny, implicit_deny"),
        (
            allowed("s3:ListAllMyBuckets", conditions={"Null": {"aws:ResourceAccount": "true"}}),
            "key/resource-account/ListBuckets: absent",
            "ListBuckets",
            "implicit_deny, allow",
        ),
    ],
)
def test_a_prediction_is_as_was_found(found: Snapshot, rule: str, operation: str, effects: str) -> None:
    name, _, value = rule.partition(": ")
    calibration = Calibration(findings={name: Finding(rule=name, value=value)})
    assert f"{expected(found, operation, NONE)}, {expected(found, operation, calibration)}" == effects
