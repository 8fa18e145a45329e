"""What is not covered is left, or accepted by name; what is accepted for nothing is a gap itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.claims.gaps import Gap, sorted_out
from pytest_s3vpce.claims.judging import gaps_of, with_ways
from pytest_s3vpce.claims.setting import Results
from pytest_s3vpce.matrix import Coverage, Matrix
from pytest_s3vpce.model import Layer, Outcome, OutcomeKind
from pytest_s3vpce.report import html, markdown
from pytest_s3vpce.report import terminal as screen
from pytest_s3vpce.report.terminal import Colour, Detail
from pytest_s3vpce.run.verdicts import verdicts_of
from tests.unit.matrices import MATRIX
from tests.unit.test_claims import ENDPOINT_ONLY, GLASS_GONE, SETTING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.claims import Claim

UNSAFE = Gap("not tried, since they change something:", ("DeleteBucket", "DeleteBucketCors"))
NOBODY = Gap("nobody was refused")


def superfluous(name: str) -> str:
    return f"`{name}` is accepted as not covered, and no gap is of that name"


@pytest.mark.parametrize(
    ("accepts", "left", "accepted"),
    [
        ((), (str(UNSAFE), str(NOBODY)), ()),
        (
            ("DeleteBucket",),
            ("not tried, since they change something: DeleteBucketCors", "nobody was refused"),
            ("not tried, since they change something: DeleteBucket",),
        ),
        (("DeleteBucketCors", "nobody was refused", "DeleteBucket"), (), (str(UNSAFE), str(NOBODY))),
        (("DeleteBucke",), (str(UNSAFE), str(NOBODY), superfluous("DeleteBucke")), ()),
        (("nobody",), (str(UNSAFE), str(NOBODY), superfluous("nobody")), ()),
        ((str(UNSAFE),), (str(UNSAFE), str(NOBODY), superfluous(str(UNSAFE))), ()),
        (("nobody was refused", "nobody was refused"), (str(UNSAFE),), (str(NOBODY),)),
    ],
)
def test_names_are_accepted_one_by_one(
    accepts: tuple[str, ...], left: tuple[str, ...], accepted: tuple[str, ...]
) -> None:
    assert sorted_out([UNSAFE, NOBODY], accepts) == (left, accepted)


def test_a_name_is_accepted_wherever_it_stands() -> None:
    rows = (Gap("not tried here:", ("a", "b")), Gap("not tried there:", ("a",)))
    assert sorted_out(rows, ("a",)) == (("not tried here: b",), ("not tried here: a", "not tried there: a"))


def test_what_is_accepted_where_nothing_is_uncovered_is_told() -> None:
    assert sorted_out([], ("x",)) == ((superfluous("x"),), ())


ACCEPTING = replace(
    MATRIX,
    claims=tuple(replace(row, coverage=Coverage(gaps=("left",), accepted=("taken <b>",))) for row in MATRIX.claims),
)


def terminal(matrix: Matrix) -> str:
    return screen.render(matrix, colour=Colour.PLAIN, width=120, encoding="utf-8", detail=Detail.NORMAL)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (terminal, "not covered, accepted: taken <b>"),
        (markdown.render, "not covered, accepted: taken "),
        (html.render, "Not covered, accepted</b></p><ul><li>taken &lt;b&gt;</li>"),
        (
            lambda matrix: next(row.text for row in verdicts_of(matrix).values() if "verdict" in row.data),
            "accepted: taken",
        ),
        (Matrix.to_json, '"accepted": [ "taken <b>" ]'),
    ],
    ids=["terminal", "markdown", "html", "item", "json"],
)
def test_every_report_lists_what_is_accepted_apart(shown: Callable[[Matrix], str], words: str) -> None:
    text = shown(ACCEPTING)
    assert words in " ".join(text.split())
    assert words not in " ".join(shown(MATRIX).split())


def test_what_the_policy_spares_is_not_covered_but_for_what_the_claim_is_about() -> None:
    app = str(SETTING.principals["app"].arn)
    spared = (Gap("`Guard` holds only where", (app, "arn:x"), "aws:principalarn"), Gap("`Guard` spares it all"))
    rows: tuple[tuple[Claim, dict[str, tuple[Gap, ...]], list[str]], ...] = (
        (GLASS_GONE, {"reports": spared}, ["`Guard` holds only where arn:x", "`Guard` spares it all"]),
        (GLASS_GONE, {"reports": spared[:1]}, ["`Guard` holds only where arn:x"]),
        (GLASS_GONE, {"reports": (replace(spared[0], names=(app,)),)}, []),
        (GLASS_GONE, {"reports": ()}, []),
        (GLASS_GONE, {}, ["the policy of reports could not be read, so its exemptions are not known"]),
        (ENDPOINT_ONLY, {"reports": spared[:1]}, [str(spared[0])]),
    )
    for claim, exemptions, told in rows:
        assert [str(gap) for gap in gaps_of(claim, replace(SETTING, exemptions=exemptions))] == told


@pytest.mark.parametrize(
    ("controls", "denying", "told"),
    [
        ({}, {Layer.RCP}, []),
        ({"reports": ()}, {Layer.RCP}, []),
        ({"reports": (NOBODY,)}, {Layer.RCP, Layer.RESOURCE}, [str(NOBODY)]),
        ({"reports": (NOBODY,)}, {None}, [str(NOBODY)]),
        ({"reports": (NOBODY,)}, {Layer.RESOURCE, Layer.SESSION}, []),
        ({"reports": None}, {Layer.RESOURCE}, []),
        (
            {"reports": None},
            {Layer.RCP},
            ["the resource control policies over reports could not be read, so their exemptions are not known"],
        ),
    ],
)
def test_what_resource_control_policies_spare_counts_where_they_may_have_denied(
    controls: dict[str, tuple[Gap, ...] | None], denying: set[Layer | None], told: list[str]
) -> None:
    setting = replace(SETTING, exemptions={"reports": ()}, controls=controls, denying=frozenset(denying))
    assert [str(gap) for gap in gaps_of(ENDPOINT_ONLY, setting)] == told


def test_who_denied_is_what_the_claims_own_denials_named() -> None:
    probes = list(dict.fromkeys(ENDPOINT_ONLY.probes(SETTING)))
    by = [Layer.RCP, Layer.RESOURCE, None]
    outcomes = {
        probe: Outcome(kind=OutcomeKind.DENIED, layer=layer) for probe, layer in zip(probes, by, strict=False)
    } | {probes[3]: Outcome(kind=OutcomeKind.ALLOWED)}
    assert with_ways(ENDPOINT_ONLY, SETTING, Results(outcomes=outcomes)).denying == set(by)
