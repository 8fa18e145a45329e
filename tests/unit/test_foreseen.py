"""What a prediction leaves in a matrix."""

from __future__ import annotations

from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.model import Cell, Target
from pytest_s3vpce.predict import Prediction, Telling
from pytest_s3vpce.redaction import GONE
from pytest_s3vpce.run.foreseen import predicted_of

KEY = "AKIAIOSFODNN7EXAMPLE"  # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html


def test_secrets_that_policies_hold_stay_out() -> None:
    """Policies know callers by what they say, as by a shared secret in aws:UserAgent or aws:Referer."""
    cell = Cell(
        operation="GetObject",
        action="s3:GetObject",
        target=Target(bucket="reports"),
        principal="app",
        vantage="internet",
    )
    found = Prediction(expected=Expected.EXPLICIT_DENY, cell=cell, why=f"StringNotLike aws:UserAgent {KEY} matched")
    telling = Telling(lines=(), policy=f"policy {KEY}", statement=KEY, fix=f"add {KEY} to aws:UserAgent of `Guard`")
    made = predicted_of(found, telling, surprise=False, lines=(f"denied by `Guard`, because of {KEY}", "path: none"))
    assert KEY not in repr(made)
    assert made.explanation == (f"denied by `Guard`, because of {GONE}", "path: none")
    assert made.reason == f"StringNotLike aws:UserAgent {GONE} matched"
