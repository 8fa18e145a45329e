"""What changed between two reports, and whether anything opened."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_s3vpce.matrix import Evidence, Matrix, Status, Verdict
from pytest_s3vpce.model import Expect, Layer, OutcomeKind
from pytest_s3vpce.report.compare import FORMATS, Kind, as_json, as_markdown, as_text, but_for, changes, has_opened
from tests.unit.manycells import with_texts
from tests.unit.matrices import MATRIX, cell

ALLOWED, DENIED = OutcomeKind.ALLOWED, OutcomeKind.DENIED
UNREACHABLE, INCONCLUSIVE = OutcomeKind.UNREACHABLE, OutcomeKind.INCONCLUSIVE


def matrix(outcome: OutcomeKind | None, layer: Layer | None = None) -> Matrix:
    cells = () if outcome is None else (cell("inside", outcome, layer=layer),)
    return replace(MATRIX, cells=cells, claims=())


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (DENIED, ALLOWED, Kind.OPENED),
        (UNREACHABLE, ALLOWED, Kind.OPENED),
        (INCONCLUSIVE, ALLOWED, Kind.OPENED),
        (ALLOWED, DENIED, Kind.CLOSED),
        (UNREACHABLE, DENIED, Kind.DENIED),
        (INCONCLUSIVE, DENIED, Kind.DENIED),
        (ALLOWED, UNREACHABLE, Kind.UNREACHABLE),
        (DENIED, UNREACHABLE, Kind.UNREACHABLE),
        (INCONCLUSIVE, UNREACHABLE, Kind.UNREACHABLE),
        (ALLOWED, INCONCLUSIVE, Kind.UNCLEAR),
        (DENIED, INCONCLUSIVE, Kind.UNCLEAR),
        (UNREACHABLE, INCONCLUSIVE, Kind.UNCLEAR),
        (None, ALLOWED, Kind.OPENED),
        (None, DENIED, Kind.NEW),
        (ALLOWED, None, Kind.GONE),
    ],
)
def test_every_change_has_its_kind(before: OutcomeKind | None, after: OutcomeKind | None, kind: Kind) -> None:
    (found,) = changes(matrix(before), matrix(after))
    assert found.kind is kind
    assert has_opened([found]) == (kind is Kind.OPENED)


def test_another_layer_is_a_change_and_the_same_is_none() -> None:
    (found,) = changes(matrix(DENIED, Layer.RESOURCE), matrix(DENIED, Layer.IDENTITY))
    assert found.kind is Kind.LAYER
    assert (found.before, found.after) == ("denied by bucket policy", "denied by identity policy")
    assert changes(MATRIX, replace(MATRIX, run_id="other", seconds=9.9)) == ()
    for form in FORMATS.values():
        assert form(()) == ""


def test_claims_whose_verdict_is_another_are_told() -> None:
    proven, refuted, _ = MATRIX.claims
    turned = replace(MATRIX, claims=(replace(proven, verdict=Verdict.REFUTED), replace(refuted, id="new/reports")))
    found = changes(MATRIX, turned)
    assert [(row.id, row.before, row.after) for row in found] == [
        ("endpoint-only/reports", "proven", "refuted"),
        ("new/reports", "", "refuted"),
        ("tls-only/reports", "refuted", ""),
        ("cross-account/reports", "inconclusive", ""),
    ]
    assert [row.kind for row in found] == [Kind.OPENED, Kind.OPENED, Kind.CLAIM, Kind.CLAIM]
    assert {row.kind for row in changes(turned, MATRIX) if row.id == proven.id} == {Kind.CLAIM}


@pytest.mark.parametrize("before", [Verdict.PROVEN, Verdict.INCONCLUSIVE])
@pytest.mark.parametrize("kind", ["negative", "path", "configuration"])
def test_a_claim_that_is_newly_refuted_has_opened_whatever_refutes_it(before: Verdict, kind: str) -> None:
    claim = replace(MATRIX.claims[0], verdict=before)
    bad = Evidence(kind=kind, name="n", status=Status.BAD, sentence="it is not so")
    refuted = replace(claim, verdict=Verdict.REFUTED, evidence=(bad,))
    old, new = replace(MATRIX, claims=(claim,)), replace(MATRIX, claims=(refuted,))
    found = changes(old, new)
    assert found[0].kind is Kind.OPENED
    assert (found[0].id, found[0].before, found[0].after) == (claim.id, before.value, "refuted")
    assert has_opened(found)
    assert not has_opened(changes(new, old))
    assert changes(new, new) == ()


@pytest.mark.parametrize(
    ("expect", "kind"),
    [
        (Expect.DENY, Kind.OPENED),
        (Expect.BLOCKED, Kind.OPENED),
        (Expect.UNREACHABLE, Kind.OPENED),
        (Expect.ALLOW, Kind.NEW),
        (None, Kind.NEW),
    ],
)
def test_a_new_cell_has_opened_where_it_must_not_be_let_in(expect: Expect | None, kind: Kind) -> None:
    new = replace(MATRIX, cells=(cell("inside", ALLOWED, expect=expect),), claims=())
    (found,) = changes(matrix(None), new)
    assert (found.kind, found.before, found.after) == (kind, "", "allowed")


@pytest.mark.parametrize(("expect", "kinds"), [(Expect.ALLOW, [Kind.OPENED, Kind.NEW]), (Expect.DENY, [Kind.OPENED])])
def test_a_request_of_a_claim_that_is_declared_since_has_opened(expect: Expect, kinds: list[Kind]) -> None:
    claim, now = MATRIX.claims[1], cell("away", ALLOWED, expect=expect)
    evidence = Evidence(kind="negative", name="n", status=Status.GOOD, sentence="kept out", cell=now.id)
    old = replace(MATRIX, cells=(), controls=(cell("away", DENIED),), claims=(replace(claim, evidence=(evidence,)),))
    let_in = replace(evidence, status=Status.BAD, sentence="let in")
    new = replace(MATRIX, cells=(now,), claims=(replace(claim, evidence=(let_in,)),))
    found = changes(old, new)
    assert [row.kind for row in found] == kinds
    assert found[0].id.startswith(now.id)


def test_what_only_a_claim_found_open_has_opened() -> None:
    proven = MATRIX.claims[0]
    open_cell = Evidence(kind="negative", name="n", status=Status.BAD, sentence="in", cell="GetObject/x/app:away/https")
    known = Evidence(kind="negative", name="n", status=Status.BAD, sentence="in", cell=MATRIX.cells[0].id)
    other = Evidence(kind="positive", name="n", status=Status.BAD, sentence="out", cell="GetObject/x/app:in/https")
    now = replace(MATRIX, claims=(replace(proven, evidence=(open_cell, known, other)), *MATRIX.claims[1:]))
    (found,) = changes(MATRIX, now)
    assert found.id == "GetObject/x/app:away/https (endpoint-only/reports)"
    assert has_opened([found])
    assert changes(now, now) == ()


def test_as_text_by_kind() -> None:
    found = changes(matrix(DENIED, Layer.RESOURCE), replace(matrix(ALLOWED), claims=MATRIX.claims[:1]))
    assert as_text(found) == (
        "opened (1)\n  GetObject/reports/app:inside/https  denied by bucket policy -> allowed\n"
        "claims (1)\n  endpoint-only/reports  proven\n"
    )
    assert "was allowed" in as_text(changes(matrix(ALLOWED), matrix(None)))


def test_as_markdown_and_json() -> None:
    found = changes(matrix(DENIED, Layer.RESOURCE), matrix(ALLOWED))
    assert as_markdown(found) == (
        "### Opened (1)\n\n- `GetObject/reports/app:inside/https`: denied by bucket policy -> allowed\n\n"
    )
    assert json.loads(as_json(found)) == {
        "format": "s3vpce-diff/1",
        "opened": True,
        "changes": [
            {
                "kind": "opened",
                "id": "GetObject/reports/app:inside/https",
                "before": "denied by bucket policy",
                "after": "allowed",
            }
        ],
    }


def test_what_was_only_not_chosen_is_not_gone() -> None:
    found = changes(MATRIX, replace(MATRIX, cells=MATRIX.cells[1:], claims=()))
    assert but_for({MATRIX.cells[0].id, *(claim.id for claim in MATRIX.claims)}, found) == ()
    assert len(but_for(set(), found)) == 4


@pytest.mark.parametrize("form", FORMATS.values())
def test_nothing_of_others_acts(form: object) -> None:
    text = with_texts(MATRIX, "\x1b[2J\u202e`<b>|\n")
    assert callable(form)
    shown = form(changes(replace(MATRIX, cells=()), text))
    assert not set(shown) & {"\x1b", "\u202e"}
