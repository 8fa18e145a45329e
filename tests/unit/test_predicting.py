"""Predictions in a matrix: surprises apart, failures explained, and which grant or deny is to blame."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.errors import CredentialError
from pytest_s3vpce.expectations import ExpectedCell
from pytest_s3vpce.matrix import CellResult, Expected, Matrix
from pytest_s3vpce.model import Expect, Layer, OutcomeKind, Place, Transport
from pytest_s3vpce.predict import Blame
from pytest_s3vpce.report.terminal import Colour, render
from pytest_s3vpce.run.foreseen import blame_of, is_surprise, to_be_allowed
from pytest_s3vpce.run.predicting import kms_keys, predicted, with_predictions
from pytest_s3vpce.run.verdicts import verdicts_of
from pytest_s3vpce.snapshot.state import Unread
from tests.unit.predictions import BUILDER, GUARD, NOW, cell, measured, snapshot

if TYPE_CHECKING:
    from pytest_s3vpce.model import Cell

ALLOWED, DENIED = OutcomeKind.ALLOWED, OutcomeKind.DENIED


def expected(wanted: Cell, expect: Expect) -> ExpectedCell:
    return ExpectedCell(cell=wanted, expect=expect, place=Place("test_a.access.yaml", 3))


def matrix(*rows: CellResult) -> Matrix:
    return Matrix(mode="lab", run_id="r", version="1", started=NOW, seconds=1.0, cells=rows)


def predictions(found: Any, *pairs: tuple[Cell, OutcomeKind, Expect]) -> Matrix:
    cells = [expected(wanted, expect) for wanted, _, expect in pairs]
    rows = [measured(wanted, outcome, expect=expect) for wanted, outcome, expect in pairs]
    return with_predictions(matrix(*rows), cells, found, session_name="s1", builder=BUILDER)


OUTSIDE, INSIDE = cell(who="app:known"), cell(who="app:inside")


def test_what_fits_is_told_in_short() -> None:
    found = predictions(snapshot(GUARD), (OUTSIDE, DENIED, Expect.DENY), (INSIDE, ALLOWED, Expect.ALLOW))
    outside, inside = (row.predicted for row in found.cells)
    assert outside is not None
    assert inside is not None
    assert (outside.expected, outside.statement, outside.surprise) == (Expected.EXPLICIT_DENY, "Guard", False)
    assert (inside.expected, inside.explanation) == (Expected.ALLOW, ())
    assert inside.path == "gateway endpoint vpce-1 of vpc-1"
    text = render(found, colour=Colour.PLAIN, width=120)
    assert "predicted: 2 of 2 cells, 0 surprises" in text
    assert "surprise:" not in text


def test_a_failure_is_explained_in_the_items_text() -> None:
    found = predictions(snapshot(GUARD), (OUTSIDE, DENIED, Expect.ALLOW))
    verdict = verdicts_of(found)[OUTSIDE.id]
    lines = verdict.text.splitlines()
    assert "predicted: explicit_deny" in lines
    assert "S3 said: denied (AccessDenied): it was so" in lines
    assert "denied by `Guard` of the bucket policy of reports, a resource-based policy" in lines
    assert lines[-1].startswith("fix: send it through vpce-1")
    assert (verdict.data["predicted"], verdict.data["surprise"]) == ("explicit_deny", False)


def test_another_layer_than_predicted_is_told() -> None:
    wanted = expected(OUTSIDE, Expect.ALLOW)
    row = measured(OUTSIDE, DENIED, expect=Expect.ALLOW)
    for layer, said in ((Layer.IDENTITY, True), (Layer.RESOURCE, False), (None, False)):
        told = replace(row, measured=replace(row.measured, layer=layer))
        found = with_predictions(matrix(told), [wanted], snapshot(GUARD), session_name="s1", builder=BUILDER)
        assert found.cells[0].predicted is not None
        lines = found.cells[0].predicted.explanation
        assert (lines[-1] == "S3 names another layer: identity, not resource") is said


def test_a_surprise_stands_apart_whether_the_cell_passed_or_not() -> None:
    found = predictions(snapshot(GUARD), (OUTSIDE, ALLOWED, Expect.ALLOW))
    row = found.cells[0].predicted
    assert row is not None
    assert row.surprise
    assert row.explanation[-1] == "surprise: predicted explicit_deny, measured allowed"
    text = render(found, colour=Colour.PLAIN, width=200)
    assert "predicted: 1 of 1 cells, 1 surprise" in text
    assert f"surprise: {OUTSIDE.id}: predicted explicit_deny, measured allowed" in text
    assert "  denied by `Guard` of the bucket policy of reports" in text


def test_what_is_unknown_is_no_surprise_and_shown() -> None:
    found = predictions(snapshot(policy=Unread(unread="AccessDenied: no")), (OUTSIDE, ALLOWED, Expect.ALLOW))
    row = found.cells[0].predicted
    assert row is not None
    assert (row.expected, row.surprise) == (Expected.UNKNOWN, False)
    text = render(found, colour=Colour.PLAIN, width=200)
    assert "predicted: 0 of 1 cells, 0 surprises" in text
    assert f"unknown: {OUTSIDE.id}: the resource-based policy could not be read" in text


@pytest.mark.parametrize("guess", list(Expected))
@pytest.mark.parametrize("outcome", list(OutcomeKind))
def test_a_surprise_is_another_outcome_of_those_that_can_be_told(guess: Expected, outcome: OutcomeKind) -> None:
    fitting = {
        Expected.ALLOW: "allowed",
        Expected.EXPLICIT_DENY: "denied",
        Expected.IMPLICIT_DENY: "denied",
        Expected.UNREACHABLE: "unreachable",
        Expected.UNKNOWN: outcome.value,
    }
    told = outcome is not OutcomeKind.INCONCLUSIVE
    assert is_surprise(guess, outcome) is (told and fitting[guess] != outcome.value)
    assert guess.denied is (fitting[guess] == "denied" and guess is not Expected.UNKNOWN)


def test_cells_of_no_file_and_other_matrices_stay_as_they_are() -> None:
    row = measured(OUTSIDE, DENIED, expect=Expect.DENY)
    found = with_predictions(matrix(row), [], snapshot(), session_name=None)
    assert found.cells == (row,)


def test_what_cannot_be_predicted_keeps_what_was_measured() -> None:
    def lost(_: object) -> None:
        raise CredentialError("account `main` has no credentials")

    operator: Any = SimpleNamespace(
        world=SimpleNamespace(inventory=SimpleNamespace(accounts=())), accounts=SimpleNamespace(guard=lost)
    )
    before = matrix(measured(OUTSIDE, DENIED, expect=Expect.DENY))
    after = predicted(before, [], operator)
    assert after == replace(before, notes=("nothing was predicted: account `main` has no credentials",))


@pytest.mark.parametrize(
    ("others", "wanted", "blame"),
    [
        ([], OUTSIDE, Blame.PLACE),
        ([(INSIDE, Expect.ALLOW)], OUTSIDE, Blame.PLACE),
        ([(cell("PutObject", who="app:known"), Expect.ALLOW)], OUTSIDE, Blame.GRANT),
        ([(cell(who="partner:known"), Expect.ALLOW)], OUTSIDE, Blame.GRANT),
        ([(cell(who="partner:known"), Expect.DENY)], OUTSIDE, Blame.PLACE),
        ([(cell("PutObject", who="app:known"), Expect.ALLOW)], replace(OUTSIDE, transport=Transport.HTTP), Blame.PLACE),
    ],
)
def test_who_is_to_blame_for_an_allow(others: list[tuple[Cell, Expect]], wanted: Cell, blame: Blame) -> None:
    allowed = to_be_allowed(expected(*row) for row in others)
    assert blame_of(wanted, Expect.DENY, allowed) is blame
    assert blame_of(wanted, Expect.ALLOW, allowed) is Blame.NOTHING
    assert blame_of(wanted, Expect.UNREACHABLE, allowed) is Blame.WAY


def test_keys_that_cells_name() -> None:
    named = cell("PutObject", parameters={"SSEKMSKeyId": "alias/a"})
    assert kms_keys([named, OUTSIDE, named]) == ["alias/a"]
