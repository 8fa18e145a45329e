"""Worlds made to deceive a claim: the bucket is open where the claim says it is shut, and much looks well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_s3vpce.matrix import Verdict
from tests.unit.test_claims import (
    ALLOWED,
    CROSS_ACCOUNT,
    LEAST_PRIVILEGE,
    judged,
    outcomes_of,
)

WRITES_REFUSED: list[tuple[Any, str]] = [
    (replace(CROSS_ACCOUNT, actions=("s3:PutObject",), refused=(("anonymous", "internet"),)), "anonymous"),
    (replace(CROSS_ACCOUNT, actions=("s3:PutObject",), refused=(("partner", "internet"),)), "partner"),
    (replace(LEAST_PRIVILEGE, actions=("s3:GetObject", "s3:PutObject")), "app"),
]


@pytest.mark.parametrize(("claim", "principal"), WRITES_REFUSED, ids=lambda row: getattr(row, "id", row))
def test_a_write_that_is_let_in_with_an_encryption_only_refutes(claim: Any, principal: str) -> None:
    """What others are granted, and where: one who has no rights there may have them in another form."""
    outcomes = outcomes_of(claim)
    assert judged(claim, outcomes)[0] is Verdict.PROVEN
    denied = [probe for probe in claim.cells().denied if probe.cell.operation == "PutObject"]
    encrypted = [probe for probe in denied if probe.cell.parameters.get("ServerSideEncryption") == "aws:kms"]
    assert {probe.cell.principal for probe in encrypted} == {principal}
    for probe in encrypted:
        assert judged(claim, {**outcomes, probe: ALLOWED})[0] is Verdict.REFUTED
