"""Who reads the canaries of a part of a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.claimbase import ClaimSpec
from pytest_s3vpce.expectations import ExpectedCell, Plan
from pytest_s3vpce.model import Cell, Expect, Place, Target
from pytest_s3vpce.run.plan import substitutes

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Place("test_x.access.yaml", 1)


def cell(
    who: str, bucket: str = "reports", *, operation: str = "GetObject", expect: Expect = Expect.ALLOW
) -> ExpectedCell:
    principal, _, vantage = who.partition(":")
    made = Cell(
        operation=operation,
        action=f"s3:{operation}",
        target=Target(bucket=bucket),
        principal=principal,
        vantage=vantage,
    )
    return ExpectedCell(cell=made, expect=expect, place=HERE)


def spec(kind: str = "endpoint-only", **fields: object) -> ClaimSpec:
    pairs = (("app", "inside"), ("app", "outside"), ("bob", "inside"))
    return ClaimSpec(kind=kind, id=f"{kind}/reports", place=HERE, bucket="reports", fields=fields, pairs=pairs)  # type: ignore[arg-type]


CLAIM = spec(principals=("app",), inside=("inside",), outside=("outside",))
WRITE = cell("app:outside", operation="PutObject", expect=Expect.DENY)
PLAN = (cell("bob:far"), cell("app:outside", "other"), cell("bob:outside"), WRITE)


@pytest.mark.parametrize(
    ("cells", "specs", "wanted"),
    [
        ((), (CLAIM,), {"reports": ("bob", "outside")}),
        ((WRITE,), (), {"reports": ("bob", "outside")}),
        ((replace(WRITE, cell=cell("app:moon", operation="PutObject").cell),), (), {"reports": ("bob", "far")}),
        ((cell("ann:inside"),), (CLAIM,), {}),
        ((cell("ann:inside", expect=Expect.DENY),), (), {"reports": ("bob", "far")}),
        ((cell("app:outside", "other", operation="PutObject"),), (), {}),
    ],
    ids=["a claim", "a write", "sent from elsewhere", "its own cell", "reads only", "another bucket's own"],
)
def test_whom_the_rest_of_the_plan_allows_reads(
    cells: Sequence[ExpectedCell], specs: Sequence[ClaimSpec], wanted: dict[str, tuple[str, str]]
) -> None:
    assert substitutes(Plan(cells=PLAN, claims=(CLAIM,)), cells, specs) == wanted


@pytest.mark.parametrize(
    ("claim", "wanted"),
    [
        (CLAIM, {"reports": ("app", "inside")}),
        (spec("tls-only", principal="bob", at="inside"), {"reports": ("bob", "inside")}),
        (spec("cross-account", granted=(("eve", "far"),), refused=()), {"reports": ("eve", "far")}),
        (
            spec("separate-duties", principals=("bob",), read_at=("inside",), write_at=("outside",)),
            {"reports": ("bob", "inside")},
        ),
        (
            spec("not-public", reader=("eve", "far"), principals=("app", "bob"), at=("inside",)),
            {"reports": ("eve", "far")},
        ),
        (spec("break-glass"), {}),
        (spec("tls-only", principal="zoe", at="inside"), {}),
    ],
)
def test_where_no_plan_says_so_a_claim_does(claim: ClaimSpec, wanted: dict[str, tuple[str, str]]) -> None:
    assert substitutes(Plan(cells=(), claims=()), (), (claim,)) == wanted
