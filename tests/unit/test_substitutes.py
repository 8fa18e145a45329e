"""Who reads the canaries of a part of a plan."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.claimbase import ClaimSpec
from pytest_s3vpce.expectations import ExpectedCell, Plan
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.model import Cell, Expect, Place, Target
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.operator import Operator
from pytest_s3vpce.run.plan import substitutes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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


INVENTORY = """\
accounts: {main: {id: "111122223333", region: eu-west-1}}
principals: {nobody: {anonymous: true}, bob: {role: "${env:S3VPCE_NOBODY_SETS_THIS}"}}
vantage_points: {internet: local}
buckets: {reports: {name: reports-bucket, canary: c}}
"""


class Stopped(Exception):  # noqa: N818 - what the test waits for
    """All is ready to be sent."""


def test_who_may_only_be_asked_later_need_not_be_known_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `-k` for one cell, where what the others need is not there."""
    path = tmp_path / "s3vpce.yaml"
    path.write_text(INVENTORY, encoding="utf-8")
    made = Operator(
        load_inventory(path), Environment(), RunFolder.create(tmp_path), notify=lambda _: None, strict=False
    )
    guarded: list[str] = []
    given: dict[str, Any] = {}

    def observe(*_: Any, **named: Any) -> None:
        given.update(named)
        raise Stopped

    monkeypatch.setattr(made, "guard", lambda principals, _: guarded.extend(principals))
    monkeypatch.setattr(made, "_access_run", lambda: SimpleNamespace(observe=observe))
    monkeypatch.setattr(made, "canaries", SimpleNamespace(make=lambda _: {}, remove=lambda _: None))
    with pytest.raises(Stopped):
        made.observe([cell("nobody:internet", expect=Expect.DENY)], [], readers={"reports": ("bob", "internet")})
    assert (given["now"], given["known"]) == ({}, {"reports": ("bob", "internet")})
    assert set(guarded) == {"nobody", "bob"}
