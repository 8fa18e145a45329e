"""What mutating forms make is removed by whoever makes the canary, or stays in the ledger."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.model import Answer, Cell, FailureKind, Target
from pytest_s3vpce.probe import Probe
from pytest_s3vpce.run.mutations import Mutations
from pytest_s3vpce.vantage import Kind, Ledger

if TYPE_CHECKING:
    from pathlib import Path

UPLOAD = b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"


class Canaries:
    """Removes, or does not."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str, dict[str, str]]] = []
        self.status: int | None = 204
        self.error: Exception | None = None

    def send(self, bucket: str, who: str, operation: str, parameters: dict[str, str]) -> Answer:
        self.sent.append((bucket, who, operation, parameters))
        if self.error is not None:
            raise self.error
        return Answer(id="x", status=self.status)


class World:
    """One bucket with a maker and one without."""

    def __init__(self) -> None:
        rows = {"made": "admin:host", "other": None}
        self.inventory = SimpleNamespace(
            buckets={name: SimpleNamespace(canary=SimpleNamespace(create=who)) for name, who in rows.items()}
        )

    def bucket(self, label: str) -> Any:
        return SimpleNamespace(account="main", name=f"{label}-1")

    def region(self, _label: str) -> str:
        return "eu-west-1"

    def destination(self, cell: Cell) -> Any:
        return SimpleNamespace(run_key=f"{cell.target.key or 'canary'}.made")


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


@pytest.fixture
def mutations(canaries: Canaries, ledger: Ledger) -> Mutations:
    world: Any = World()
    given: Any = canaries
    return Mutations(world, given, ledger)


def probe(operation: str, *, bucket: str = "made", key: str | None = None, mutating: bool = True) -> Probe:
    target = Target(bucket=bucket, name=key or "", key=key)
    cell = Cell(operation=operation, action="s3:x", target=target, principal="p", vantage="v", mutating=mutating)
    return Probe(cell=cell)


def answered(status: int | None, body: bytes = b"", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    failure = FailureKind.READ_TIMEOUT if status is None else None
    return Answer(id="a", status=status, headers=named, body=body, failure=failure)


def test_each_thing_is_recorded_once_and_taken_back_by_its_id(
    mutations: Mutations, canaries: Canaries, ledger: Ledger
) -> None:
    put, copy, upload = (probe(name) for name in ("PutObject", "CopyObject", "CreateMultipartUpload"))
    read, tags = probe("GetObject", mutating=False), probe("PutObjectTagging")
    assert mutations.begin([put, copy, upload, read, tags]) == {}
    found = [(row.kind, row.identifier) for row in ledger.open_entries()]
    assert found == [(Kind.S3_OBJECT, "made-1/canary.made"), (Kind.S3_UPLOAD, "made-1/canary.made")]
    mutations.undo(
        {
            put: answered(200, x_amz_version_id="v1"),
            copy: answered(200),
            upload: answered(200, UPLOAD),
            read: answered(206),
            tags: answered(200),
        },
        handed=(put, copy, upload, read, tags),
    )
    who = ("made", "admin:host")
    assert canaries.sent == [
        (*who, "DeleteObject", {"Key": "canary.made", "VersionId": "v1"}),
        (*who, "DeleteObject", {"Key": "canary.made"}),
        (*who, "AbortMultipartUpload", {"Key": "canary.made", "UploadId": "u1"}),
    ]
    assert ledger.open_entries() == []


def test_what_was_refused_left_nothing(mutations: Mutations, canaries: Canaries, ledger: Ledger) -> None:
    put = probe("PutObject")
    mutations.begin([put])
    mutations.undo({put: answered(403)}, handed=(put,))
    assert (canaries.sent, ledger.open_entries()) == ([], [])


@pytest.mark.parametrize(
    ("status", "why"), [(None, "nobody knows whether it was made: read_timeout"), (503, "was made: 503")]
)
def test_what_nobody_knows_of_stays_in_the_ledger(
    mutations: Mutations, ledger: Ledger, status: int | None, why: str
) -> None:
    put = probe("PutObject")
    mutations.begin([put])
    mutations.undo({put: answered(status)}, handed=(put,))
    (entry,) = ledger.open_entries()
    assert why in (entry.kept or "")


def test_what_was_sent_and_never_answered_stays_in_the_ledger(mutations: Mutations, ledger: Ledger) -> None:
    put, copy, upload = (probe(name) for name in ("PutObject", "CopyObject", "CreateMultipartUpload"))
    mutations.begin([put, copy, upload])
    mutations.undo({put: answered(403)}, handed=(put, copy))
    (entry,) = ledger.open_entries()
    assert (entry.kind, entry.kept) == (Kind.S3_OBJECT, "no answer came back")
    mutations.begin([put])
    mutations.undo({put: answered(403)}, handed=(put,))
    assert ledger.open_entries() == [entry], "the next run's own are told apart"


def test_what_can_not_be_removed_stays_in_the_ledger(mutations: Mutations, canaries: Canaries, ledger: Ledger) -> None:
    put = probe("PutObject")
    for status, error, why in (
        (403, None, "DeleteObject gave status 403"),
        (204, VantageError("vantage point `host`: gone"), "vantage point `host`: gone"),
    ):
        canaries.status, canaries.error = status, error
        mutations.begin([put])
        mutations.undo({put: answered(200)}, handed=(put,))
        assert ledger.open_entries()[-1].kept == why


def test_nothing_is_made_that_nobody_removes(mutations: Mutations, ledger: Ledger) -> None:
    other, control = probe("PutObject", bucket="other"), probe("PutObject", bucket="control:main")
    tags = probe("PutObjectTagging", key="declared")
    refused = mutations.begin([other, control, tags])
    assert "give bucket `other` `canary: {create: PRINCIPAL:VANTAGE_POINT}`" in refused[other]
    assert "give bucket `control:main`" in refused[control]
    assert "only the run's own canary may be changed" in refused[tags]
    assert ledger.open_entries() == []
