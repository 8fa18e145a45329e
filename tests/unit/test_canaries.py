"""A canary whose making was not clearly refused stays in the ledger: it may be there."""

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
    """Whose requests to make something get one answer."""

    answer: Answer

    def send(self, _bucket: str, _who: str, operation: str, _parameters: Any) -> Answer:
        if operation == "GetObjectLockConfiguration":
            return Answer(id="lock", status=404, body=NO_LOCK)
        return self.answer


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
def test_a_canary_that_may_be_there_is_swept(tmp_path: Path, answer: Answer, kept: int) -> None:
    row = SimpleNamespace(canary=SimpleNamespace(create="admin:here"))
    world: Any = SimpleNamespace(
        inventory=SimpleNamespace(buckets={"reports": row}, place=lambda *_: None),
        bucket=lambda _label: SimpleNamespace(account="main", name="b"),
        region=lambda _label: "eu-west-1",
        run_id="1a2b",
    )
    nothing: Any = None
    ledger = Ledger(tmp_path / "ledger.jsonl")
    told = Told(world, nothing, ledger, builder=nothing)
    told.answer = answer
    assert "could not be made by admin:here" in told.make(["reports"])["reports"]
    assert [row.identifier for row in ledger.open_entries()] == ["b/.s3vpce/canary-1a2b"] * kept
