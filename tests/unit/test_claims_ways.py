"""Vantage points that are not where they were declared to be: what is let in from there speaks for nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.claims import Results, make_probe
from pytest_s3vpce.claims.paths import way_of
from pytest_s3vpce.matrix import Verdict
from pytest_s3vpce.model import Layer, Outcome
from tests.unit.test_claims import (
    ALLOWED,
    ENDPOINT_POLICY_LIMITS,
    MAIN,
    PARTNER,
    PRESIGNED_BOUNDED,
    SEPARATE_DUTIES,
    SETTING,
    denied,
    judged,
    outcomes_of,
    reading,
)

if TYPE_CHECKING:
    from pytest_s3vpce.probe import Probe

OTHERWISE: list[tuple[Any, str, str, str]] = [
    (PRESIGNED_BOUNDED, "internet", MAIN, "internet is no outside vantage point: its requests go through vpce-main"),
    (ENDPOINT_POLICY_LIMITS, "app-subnet", "", "through no VPC endpoint, and not through vpce-main"),
]


def moved(claim: Any, vantage: str, path: str) -> dict[Probe, Outcome]:
    """The outcomes where requests from there go by that path."""
    found = outcomes_of(claim)
    at = {probe: row for probe, row in found.items() if probe.session_policy and probe.cell.vantage == vantage}
    return found | {probe: reading(probe, path) for probe in at}


@pytest.mark.parametrize(
    ("claim", "vantage", "path", "words"), OTHERWISE, ids=[f"{r[0].id} {r[1]} {r[2]}" for r in OTHERWISE]
)
def test_what_is_let_in_from_elsewhere_than_declared_refutes_nothing(
    claim: Any, vantage: str, path: str, words: str
) -> None:
    outcomes = moved(claim, vantage, path)
    cells = [probe for probe in claim.cells().denied if probe.cell.vantage == vantage]
    for probe in cells:
        if probe.cell.principal != "old-link":
            outcomes[probe] = ALLOWED
    verdict, sentence, _ = judged(claim, outcomes)
    assert verdict is Verdict.INCONCLUSIVE, sentence
    assert words in sentence


def test_what_is_let_in_by_the_others_endpoint_is_what_that_is_for() -> None:
    outcomes = moved(SEPARATE_DUTIES, "app-subnet", PARTNER)
    for probe in SEPARATE_DUTIES.cells().denied:
        if probe.cell.vantage == "app-subnet":
            outcomes[probe] = ALLOWED
    verdict, sentence, _ = judged(SEPARATE_DUTIES, outcomes)
    assert verdict is Verdict.INCONCLUSIVE, sentence
    assert "through vpce-partner, and not through vpce-main" in sentence


@pytest.mark.parametrize(
    ("path", "action", "found"),
    [
        (MAIN, "s3:GetObject", Verdict.INCONCLUSIVE),
        (MAIN, "s3:PutObject", Verdict.REFUTED),
        (PARTNER, "s3:GetObject", Verdict.REFUTED),
        (PARTNER, "s3:PutObject", Verdict.INCONCLUSIVE),
    ],
)
def test_a_false_outside_refutes_by_what_the_others_endpoint_lets_in(path: str, action: str, found: Verdict) -> None:
    """By whichever of them requests go that were to come by neither: reads by the one for writes are reads by it."""
    outcomes = moved(SEPARATE_DUTIES, "internet", path)
    probe = make_probe(action, "reports", principal="app", vantage="internet")
    verdict, sentence, _ = judged(SEPARATE_DUTIES, {**outcomes, probe: ALLOWED})
    assert verdict is found, sentence
    assert "internet is no outside vantage point" in sentence or found is Verdict.REFUTED


@pytest.mark.parametrize(
    ("claim", "action", "bucket", "paths"),
    [
        (SEPARATE_DUTIES, "s3:PutObject", "reports", (MAIN, PARTNER)),
        (ENDPOINT_POLICY_LIMITS, "s3:GetObject", "elsewhere", (MAIN, "")),
    ],
    ids=["separate-duties", "endpoint-policy-limits"],
)
def test_what_may_have_come_by_another_way_refutes_nothing(
    claim: Any, action: str, bucket: str, paths: tuple[str, str]
) -> None:
    """Half of the requests go by the endpoint that is meant, and half by another: nobody knows which way this one."""
    outcomes = outcomes_of(claim)
    for probe in outcomes:
        if probe.session_policy and probe.cell.vantage == "app-subnet":
            outcomes[probe] = reading(probe, paths[probe.cell.principal == "app"])
    probe = make_probe(action, bucket, principal="app", vantage="app-subnet")
    assert outcomes[probe].denied
    verdict, sentence, _ = judged(claim, {**outcomes, probe: ALLOWED})
    assert verdict is Verdict.INCONCLUSIVE, sentence
    assert "and not through vpce-main alone" in sentence


@pytest.mark.parametrize("path", ["", "vpce-third"])
def test_what_is_let_in_by_no_endpoint_of_the_duties_refutes(path: str) -> None:
    outcomes = moved(SEPARATE_DUTIES, "app-subnet", path)
    writes = make_probe("s3:PutObject", "reports", principal="app", vantage="app-subnet")
    verdict, sentence, _ = judged(SEPARATE_DUTIES, outcomes | {writes: ALLOWED})
    assert verdict is Verdict.REFUTED, sentence


def test_an_old_url_refutes_from_wherever_it_is_let_in() -> None:
    outcomes = moved(PRESIGNED_BOUNDED, "internet", MAIN)
    probe = make_probe("s3:GetObject", "reports", principal="old-link", vantage="internet")
    verdict, sentence, _ = judged(PRESIGNED_BOUNDED, outcomes | {probe: ALLOWED})
    assert verdict is Verdict.REFUTED, sentence


def test_the_way_of_a_vantage_point_is_the_one_to_its_own_region() -> None:
    """The partner's control bucket lies in another one, and is reached past the gateway endpoint."""
    regions = {"control:partner": "us-east-1"}
    buckets = {label: replace(row, region=regions.get(label, "eu-west-1")) for label, row in SETTING.buckets.items()}
    setting = replace(SETTING, buckets=buckets)
    outcomes = outcomes_of(ENDPOINT_POLICY_LIMITS)
    for probe in outcomes:
        if probe.session_policy and probe.cell.label == "control:partner":
            outcomes[probe] = reading(probe, "")
    results = Results(outcomes=outcomes)
    for region, way in (("eu-west-1", MAIN), ("us-east-1", ""), ("eu-north-1", None), ("", None)):
        assert way_of(setting, results, "app-subnet", region=region, candidates=(MAIN,)) == way


INSIDE: list[tuple[Any, str]] = [
    (PRESIGNED_BOUNDED, "requests from app-subnet reach S3 through no VPC endpoint"),
    (SEPARATE_DUTIES, "requests from app-subnet reach S3 through no VPC endpoint"),
]


@pytest.mark.parametrize(("claim", "words"), INSIDE, ids=[row[0].id for row in INSIDE])
def test_the_way_is_named_as_the_cause_of_what_is_denied_inside(claim: Any, words: str) -> None:
    outcomes = moved(claim, "app-subnet", "")
    for probe in claim.cells().allowed:
        if probe.cell.vantage == "app-subnet":
            outcomes[probe] = denied(Layer.RESOURCE)
    verdict, sentence, _ = judged(claim, outcomes)
    assert verdict is Verdict.REFUTED, sentence
    assert words in sentence


def test_what_is_out_of_reach_through_the_endpoint_from_a_false_outside_refutes_nothing() -> None:
    """Then the endpoint's policy shuts it from there as well, as it should."""
    claim = ENDPOINT_POLICY_LIMITS
    outcomes = moved(claim, "internet", MAIN)
    for probe in claim.cells().allowed:
        if probe.cell.vantage == "internet":
            outcomes[probe] = denied(Layer.VPC_ENDPOINT)
    verdict, sentence, _ = judged(claim, outcomes)
    assert verdict is Verdict.INCONCLUSIVE, sentence
    assert "internet is no outside vantage point" in sentence
