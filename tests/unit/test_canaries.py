"""What may be there of a canary stays in the ledger, and what is there goes without a trace."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.model import Answer, FailureKind
from pytest_s3vpce.run.canaries import Canaries
from pytest_s3vpce.vantage import Ledger

if TYPE_CHECKING:
    from pathlib import Path

NO_LOCK = b"<Error><Code>ObjectLockConfigurationNotFoundError</Code></Error>"


class Told(Canaries):
    """Whose requests to make something get one answer, or are interrupted."""

    answer: Answer | None
    removed: list[Any]

    def send(self, _bucket: str, _who: str, operation: str, parameters: Any) -> Answer:
        if operation == "GetObjectLockConfiguration":
            return Answer(id="lock", status=404, body=NO_LOCK)
        if operation == "DeleteObject":
            self.removed.append(parameters)
            return Answer(id="delete", status=204)
        if self.answer is None:
            raise KeyboardInterrupt
        return self.answer


def told(ledger: Ledger, answer: Answer | None) -> Told:
    row = SimpleNamespace(canary=SimpleNamespace(create="admin:here"))
    world: Any = SimpleNamespace(
        inventory=SimpleNamespace(buckets={"reports": row}, place=lambda *_: None),
        bucket=lambda _label: SimpleNamespace(account="main", name="b"),
        region=lambda _label: "eu-west-1",
        run_id="1a2b",
    )
    nothing: Any = None
    made = Told(world, nothing, ledger, builder=nothing)
    made.answer, made.removed = answer, []
    return made


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (Answer(id="put", status=403), 0),
        (Answer(id="put", status=500), 1),
        (Answer(id="put", status=503), 1),
        (Answer(id="put", failure=FailureKind.READ_TIMEOUT), 1),
    ],
    ids=["refused", "500", "503", "no answer"],
)
def test_a_canary_that_may_be_there_is_swept(ledger: Ledger, answer: Answer, kept: int) -> None:
    canaries = told(ledger, answer)
    assert "could not be made by admin:here" in canaries.make(["reports"])["reports"]
    canaries.remove(["reports"])
    assert canaries.removed == []
    assert [row.identifier for row in ledger.open_entries()] == ["b/.s3vpce/canary-1a2b"] * kept


def test_one_whose_making_was_interrupted_is_swept_with_all_its_versions(ledger: Ledger) -> None:
    """Deleting its key would only put a marker on a version that nobody was told of."""
    canaries = told(ledger, None)
    with pytest.raises(KeyboardInterrupt):
        canaries.make(["reports"])
    canaries.remove(["reports"])
    assert canaries.removed == []
    assert len(ledger.open_entries()) == 1


@pytest.mark.parametrize(
    ("headers", "removed"),
    [
        ({}, {}),
        ({"x-amz-version-id": "v1"}, {"VersionId": "v1"}),
        ({"x-amz-version-id": "null"}, {"VersionId": "null"}),
    ],
    ids=["no versions", "versions", "suspended"],
)
def test_what_was_made_goes_without_a_marker(ledger: Ledger, headers: dict[str, str], removed: dict[str, str]) -> None:
    canaries = told(ledger, Answer(id="put", status=200, headers=headers))
    assert canaries.make(["reports"]) == {}
    canaries.remove(["reports"])
    assert canaries.removed == [removed]
    assert ledger.open_entries() == []
