"""Taking any single protection of the example away makes at least one claim or cell fail."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.conftest import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.conftest import Stage

_spec = importlib.util.spec_from_file_location("example_provision", EXAMPLES / "endpoint_only" / "provision.py")
assert _spec is not None
assert _spec.loader is not None
example = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(example)

BUCKET_SIDS = [
    row["Sid"]
    for row in example.bucket_policy("b", main_id="1", endpoint="e", partner_endpoint="p", partner_role="r")[
        "Statement"
    ]
]
ENDPOINT_SIDS = [row["Sid"] for row in example.endpoint_policy("b", "c")["Statement"]]
PARTNER_SIDS = [
    row["Sid"] for row in example.partner_endpoint_policy("b", "c", "p", app_role="a", partner_id="1")["Statement"]
]


def without(sid: str) -> Callable[[dict[str, Any]], None]:
    def change(policy: dict[str, Any]) -> None:
        kept = [row for row in policy["Statement"] if row["Sid"] != sid]
        assert len(kept) == len(policy["Statement"]) - 1
        policy["Statement"] = kept

    return change


def failing(stage: Stage) -> list[str]:
    matrix = stage.run()
    cells = [row.id for row in matrix.cells if not row.passed]
    return [*cells, *(row.id for row in matrix.claims if not row.passed)]


def test_with_every_protection_in_place_everything_holds(stage: Stage) -> None:
    matrix = stage.run()
    assert [row.id for row in matrix.cells if not row.passed] == []
    assert {row.id: (row.verdict.value, row.sentence) for row in matrix.claims if row.verdict != "proven"} == {}
    assert {row.name: row.path for row in matrix.vantages} == {
        "app-subnet": stage.outputs["Endpoint"],
        "nat-subnet": "none",
        "partner-vpc": stage.outputs["PartnerEndpoint"],
        "internet": "none",
    }


@pytest.mark.parametrize("sid", BUCKET_SIDS)
def test_each_statement_of_the_bucket_policy_is_needed(stage: Stage, sid: str) -> None:
    with stage.bucket_policy(without(sid)):
        assert failing(stage)
    assert not failing(stage)


@pytest.mark.parametrize("sid", ENDPOINT_SIDS)
def test_each_statement_of_the_endpoint_policy_is_needed(stage: Stage, sid: str) -> None:
    with stage.endpoint_policy("main", without(sid)):
        assert failing(stage)


@pytest.mark.parametrize("sid", PARTNER_SIDS)
def test_each_statement_of_the_partners_endpoint_policy_is_needed(stage: Stage, sid: str) -> None:
    with stage.endpoint_policy("partner", without(sid)):
        assert failing(stage)


def test_the_route_to_the_endpoint_is_needed(stage: Stage) -> None:
    with stage.unrouted():
        found = failing(stage)
    assert "GetObject/reports/app:app-subnet/https" in found
