"""Worlds made to deceive a claim: the bucket is open where the claim says it is shut, and much looks well."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_s3vpce.claims import Claim, PrincipalFacts, Results, Setting, TlsOnly, make_probe, verdict_of
from pytest_s3vpce.claims.admitted import Admitted, Granted
from pytest_s3vpce.claims.exclusion import policy_allows, policy_denies
from pytest_s3vpce.claims.gaps import Gap
from pytest_s3vpce.claims.judging import findings_of, gaps_of, with_ways
from pytest_s3vpce.matrix import Verdict
from pytest_s3vpce.model import Layer, Transport
from pytest_s3vpce.operations import OPERATIONS
from pytest_s3vpce.policy import UNKNOWN, Policies, parse
from pytest_s3vpce.probe import Probe
from tests.unit.test_claims import (
    ALLOWED,
    CANARIES,
    CLAIMS,
    CROSS_ACCOUNT,
    ENCRYPTED_WRITES,
    ENDPOINT_ONLY,
    ENDPOINT_POLICY_LIMITS,
    EXACTLY,
    KEY_WRITES,
    LEAST_PRIVILEGE,
    MAIN,
    NOT_PUBLIC,
    OPEN,
    PARTNER,
    PRESIGNED_BOUNDED,
    PUT_BACK,
    SEPARATE_DUTIES,
    SETTING,
    SOURCE_IP_ONLY,
    TAG_SCOPED,
    TLS_ONLY,
    VPC_ONLY,
    denied,
    judged,
    outcomes_of,
    reading,
    told,
)

WRITES_REFUSED: list[tuple[Any, str]] = [
    (replace(CROSS_ACCOUNT, actions=("s3:PutObject",), refused=(("anonymous", "internet"),)), "anonymous"),
    (replace(CROSS_ACCOUNT, actions=("s3:PutObject",), refused=(("partner", "internet"),)), "partner"),
    (replace(LEAST_PRIVILEGE, actions=("s3:GetObject", "s3:PutObject")), "app"),
]


@pytest.mark.parametrize(("claim", "principal"), WRITES_REFUSED, ids=lambda row: getattr(row, "id", row))
def test_a_write_that_is_let_in_with_an_encryption_only_refutes(claim: Any, principal: str) -> None:
    """What others are granted, and where: one who has no rights there may have them in another form."""
    outcomes = outcomes_of(claim)
    assert judged(claim, outcomes)[0] is Verdict.PROVEN
    refused = [probe for probe in claim.cells().denied if probe.cell.operation == "PutObject"]
    encrypted = [probe for probe in refused if probe.cell.parameters.get("ServerSideEncryption") == "aws:kms"]
    assert {probe.cell.principal for probe in encrypted} == {principal}
    for probe in encrypted:
        assert judged(claim, {**outcomes, probe: ALLOWED})[0] is Verdict.REFUTED


def about_objects(claim: Claim) -> set[str]:
    """The labels on which something must be refused, as the good world has it."""
    return {
        probe.cell.label
        for probe, outcome in outcomes_of(claim).items()
        if outcome.denied and not probe.session_policy.count("vpce-") and OPERATIONS[probe.cell.operation].on_object
    }


@pytest.mark.parametrize("claim", [row for row in CLAIMS if about_objects(row)], ids=lambda claim: claim.id)
def test_an_object_that_went_while_requests_were_sent_shuts_nothing(claim: Claim) -> None:
    """Who may not list gets a 403 then, whatever the bucket's policy says."""
    for label in about_objects(claim) - {"control:main", "control:partner"}:
        results = Results(outcomes=outcomes_of(claim), canaries=CANARIES, gone=frozenset({label}))
        verdict, sentence, _ = verdict_of(claim.judge(SETTING, results))
        assert verdict is Verdict.INCONCLUSIVE
        assert f"no object was shown to be there on {label} all along" in sentence


WAYS: list[Claim] = [
    ENDPOINT_ONLY,
    VPC_ONLY,
    SOURCE_IP_ONLY,
    CROSS_ACCOUNT,
    NOT_PUBLIC,
    ENDPOINT_POLICY_LIMITS,
    SEPARATE_DUTIES,
    PRESIGNED_BOUNDED,
]


@pytest.mark.parametrize("claim", WAYS, ids=lambda claim: claim.id)
def test_the_way_to_another_region_is_not_the_way_to_the_bucket(claim: Claim) -> None:
    """A gateway endpoint serves one Region: the bucket may be behind one, and the control bucket behind none."""
    for control, verdict in (("eu-west-1", Verdict.PROVEN), ("us-east-1", Verdict.INCONCLUSIVE)):
        buckets = {
            label: replace(row, region=control if label.startswith("control:") else "eu-west-1")
            for label, row in SETTING.buckets.items()
        }
        found, sentence, _ = judged(claim, outcomes_of(claim), setting=replace(SETTING, buckets=buckets))
        assert found is verdict, sentence


def test_one_control_bucket_in_the_buckets_region_reads_the_ways_for_all() -> None:
    regions = {"control:partner": "us-east-1"}
    buckets = {label: replace(row, region=regions.get(label, "eu-west-1")) for label, row in SETTING.buckets.items()}
    assert judged(CROSS_ACCOUNT, outcomes_of(CROSS_ACCOUNT), setting=replace(SETTING, buckets=buckets))[0] is (
        Verdict.PROVEN
    )


def test_what_changes_something_calibrates_no_safe_form() -> None:
    """A form that everybody is refused would seem to tell, because its mutating sibling was let in."""
    cell = make_probe("UploadPart", "reports", principal="app", vantage="internet").cell
    for mutating in (True, False):
        sibling = replace(cell, vantage="app-subnet", mutating=mutating)
        results = Results(outcomes={Probe(cell=cell): denied(), Probe(cell=sibling): ALLOWED})
        assert results.calibrated(cell) is not mutating


@pytest.mark.parametrize("key", ["aws:SourceVpce", "aws:SecureTransport", "aws:VpceOrgID"])
def test_what_is_allowed_elsewhere_says_nothing_where_the_callers_own_policy_tells_ways_apart(key: str) -> None:
    """Across accounts S3 names no layer: the partner's own policy may deny this bucket outside of its VPC."""
    claim = replace(CROSS_ACCOUNT, refused=(("partner", "internet"),))
    shut = parse(
        {
            "Statement": [
                {"Effect": "Allow", "Action": "*", "Resource": "*"},
                {
                    "Effect": "Deny",
                    "Action": "*",
                    "Resource": "arn:aws:s3:::r*",
                    "Condition": {"StringNotEquals": {key: "own"}},
                },
            ]
        }
    )
    setting = replace(SETTING, own_policies={"partner": Policies(identity=(shut,))})
    assert judged(claim, outcomes_of(claim))[0] is Verdict.PROVEN
    verdict, sentence, _ = judged(claim, outcomes_of(claim), setting=setting)
    assert verdict is Verdict.INCONCLUSIVE
    assert "partner's own policies may be its cause" in sentence


@pytest.mark.parametrize(
    "claim", [ENDPOINT_ONLY, VPC_ONLY, SOURCE_IP_ONLY, TLS_ONLY, SEPARATE_DUTIES], ids=lambda claim: claim.id
)
def test_a_callers_own_denial_by_its_way_is_not_the_owners_in_another_account(claim: Any) -> None:
    """The bucket of another account is open; it is the caller's own policy that lets it there by one way only."""
    outcomes = {
        probe: denied() if row.denied and row.layer is Layer.RESOURCE else row
        for probe, row in outcomes_of(claim).items()
    }
    (name,) = claim.explained()
    for key, verdict in (("s3:prefix", Verdict.PROVEN), ("aws:SourceVpce", Verdict.INCONCLUSIVE)):
        condition = {"Null": {key: "true"}}
        own = parse({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}})
        setting = replace(SETTING, own_policies={name: Policies(identity=(own,))})
        found, sentence, _ = judged(claim, outcomes, setting=setting)
        assert found is verdict, sentence


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        (replace(ENDPOINT_ONLY, outside=("internet",)), Verdict.INCONCLUSIVE),
        (replace(TLS_ONLY, at="nat-subnet"), Verdict.PROVEN),
    ],
    ids=["apart", "one place"],
)
def test_what_ambient_credentials_may_at_one_place_says_nothing_of_anothers(claim: Any, verdict: Verdict) -> None:
    """The outside function's own role has no rights to the bucket, which S3 does not say of one in another account."""
    own = PrincipalFacts(name="app", account="main", ambient=True, clear=True)
    reader = replace(SETTING.principals["app"], name="reader")
    setting = replace(SETTING, principals={**SETTING.principals, "app": own, "reader": reader})
    bare = {
        probe: denied() if row.layer is Layer.RESOURCE else row for probe, row in outcomes_of(claim, setting).items()
    }
    found, sentence, _ = judged(claim, bare, setting=setting)
    assert found is verdict, sentence
    known = replace(setting, principals={**setting.principals, "app": replace(own, ambient=False)})
    found, sentence, _ = judged(claim, bare, setting=known)
    assert found is Verdict.PROVEN, sentence


@pytest.mark.parametrize(
    "facts",
    [
        PrincipalFacts(name="partner", account="partner", ambient=True),
        PrincipalFacts(name="partner", account="partner", arn="arn:aws:iam::111122223333:role/x", role=True),
    ],
    ids=["ambient", "a reference that leads to a role of the owner's"],
)
def test_who_may_be_of_the_buckets_own_account_is_no_stranger(facts: PrincipalFacts) -> None:
    setting = replace(SETTING, principals={**SETTING.principals, "partner": facts})
    verdict, sentence, _ = judged(CROSS_ACCOUNT, outcomes_of(CROSS_ACCOUNT), setting=setting)
    assert verdict is Verdict.INCONCLUSIVE
    assert "it shows nothing about other accounts" in sentence


def test_a_name_that_holds_the_tags_value_may_decide_in_its_place() -> None:
    assert not [gap for gap in told(TAG_SCOPED) if "its name" in gap]
    by_name = replace(TAG_SCOPED, given=(("red", "app", ("ours", "red/1")), *TAG_SCOPED.given[1:]))
    (gap,) = (gap for gap in told(by_name) if "its name" in gap)
    assert gap == "the key of ours holds `red`: it may be its name that decides, not its tag"


def test_the_granted_may_do_nothing_else_from_elsewhere_either() -> None:
    probe = make_probe("s3:PutObject", "reports", principal="partner", vantage="internet")
    outcomes = outcomes_of(EXACTLY)
    assert probe in outcomes
    assert judged(EXACTLY, {**outcomes, probe: ALLOWED})[0] is Verdict.REFUTED


@pytest.mark.parametrize(("way", "said"), [("", "plain http through no endpoint"), (None, "could not be read")])
def test_plain_http_that_goes_another_way_proves_nothing(way: str | None, said: str) -> None:
    """A proxy takes port 80 along, past the endpoint: the bucket that denies all else denies that way, not http."""
    outcomes = outcomes_of(TLS_ONLY)
    for probe in outcomes:
        if probe.cell.label == "control:main" and probe.cell.transport is Transport.HTTP:
            by_endpoint = "aws:SourceVpce" in probe.session_policy
            outcomes[probe] = reading(probe, way or "") if way is not None or not by_endpoint else denied()
    verdict, sentence, _ = judged(TLS_ONLY, outcomes)
    assert verdict is Verdict.INCONCLUSIVE
    assert "https from app-subnet reaches S3 through vpce-main, and plain http" in sentence
    assert said in sentence


HEADS: list[Claim] = [
    replace(ENDPOINT_ONLY, actions=("HeadObject",)),
    replace(TLS_ONLY, actions=("HeadObject",)),
    replace(CROSS_ACCOUNT, actions=("HeadObject",)),
]


@pytest.mark.parametrize("claim", HEADS, ids=lambda claim: claim.id)
def test_head_requests_that_do_not_get_through_as_they_were_signed_are_no_denials(claim: Claim) -> None:
    """A proxy may send a GET in their place: S3 refuses the signature, and a HEAD's refusal has no body to say so."""
    outcomes = outcomes_of(claim)
    bare = {
        probe: denied() if row.denied and probe.cell.operation == "HeadObject" else row
        for probe, row in outcomes.items()
    }
    assert judged(claim, bare)[0] is Verdict.PROVEN
    rewritten = {
        probe: denied() if probe.cell.label.startswith("control:") and probe.cell.operation == "HeadObject" else row
        for probe, row in bare.items()
    }
    verdict, sentence, _ = judged(claim, rewritten)
    assert verdict is Verdict.INCONCLUSIVE
    assert "no HEAD request to the control bucket was allowed" in sentence


def test_a_session_that_tells_ways_apart_says_nothing_by_what_it_may_elsewhere() -> None:
    claim = replace(CROSS_ACCOUNT, refused=(("partner", "internet"),))
    for keys, verdict in (({"aws:sourcevpce"}, Verdict.INCONCLUSIVE), ({"s3:prefix"}, Verdict.PROVEN)):
        limited = replace(SETTING.principals["partner"], limited=True, session_keys=frozenset(keys))
        setting = replace(SETTING, principals={**SETTING.principals, "partner": limited})
        assert judged(claim, outcomes_of(claim), setting=setting)[0] is verdict


BEYOND = [
    ("DeleteObject", "next", "", {}),
    ("PutObject", "next", "", {}),
    ("ListObjectsV2", "", "", {}),
    ("ListObjectsV2", "", "empty-prefix", {"Prefix": ""}),
    ("ListObjectsV2", "", "around-next", {"Prefix": "n/"}),
    ("ListObjectVersions", "", "", {}),
    ("ListObjectVersions", "", "of-mine", {"Prefix": "k/mine"}),
    ("ListObjectVersions", "", "of-next", {"Prefix": "n/next"}),
]


@pytest.mark.parametrize(("operation", "name", "variant", "parameters"), BEYOND)
def test_rights_to_the_neighbours_and_to_wider_listings_are_beyond_the_grant(
    operation: str, name: str, variant: str, parameters: dict[str, str]
) -> None:
    """A policy may let in beside the keys what it denies on them, and lists all where no prefix is asked for."""
    claim = replace(LEAST_PRIVILEGE, operations=(*LEAST_PRIVILEGE.operations, "ListObjectVersions"))
    outcomes = outcomes_of(claim)
    assert judged(claim, outcomes)[0] is Verdict.PROVEN
    (probe,) = (
        row
        for row in claim.cells().denied
        if (row.cell.operation, row.cell.target.name, row.cell.variant) == (operation, name, variant)
    )
    assert probe.cell.parameters == parameters
    verdict, sentence, _ = judged(claim, {**outcomes, probe: ALLOWED})
    assert verdict is Verdict.REFUTED
    assert all(f"of prefix `{text}`" in sentence for text in parameters.values())


def test_a_folder_that_the_keys_share_with_their_neighbours_is_no_neighbour() -> None:
    claim = replace(LEAST_PRIVILEGE, keys=(("mine", "k/mine"),), neighbours=(("next", "k/next"), ("top", "top")))
    variants = {row.cell.variant for row in claim.cells().denied if row.cell.operation == "ListObjectsV2"}
    assert variants == {"", "of-next", "of-top", "empty-prefix"}


def test_what_is_asked_for_beside_a_key_says_so() -> None:
    claim = replace(LEAST_PRIVILEGE, operations=("PutObject", "PutObjectTagging"))
    (gap,) = (gap for gap in told(claim) if "beside each key" in gap)
    assert gap.endswith("rights to that key alone don't show: PutObjectTagging")


def test_what_is_asked_for_beside_a_key_is_no_matter_of_rights_to_that_key() -> None:
    """The endpoint lets through to the key alone: it may be what denies the request beside it."""
    text = json.dumps({"Statement": {**OPEN, "Resource": "arn:aws:s3:::r/canary"}})
    endpoint = replace(SETTING.endpoints[MAIN], policy=text)
    for operation, allows in (("GetObject", True), ("PutObjectTagging", False)):
        probe = make_probe(operation, "reports", principal="app", vantage="app-subnet")
        assert policy_allows(SETTING, endpoint, probe) is allows
        assert policy_denies(SETTING, endpoint, probe) is not allows


ENDPOINT, VPC, ADDRESS = "aws:SourceVpce", "aws:SourceVpc", "AWS:SourceIp"
LET_IN: list[tuple[Any, Admitted, bool]] = [
    (ENDPOINT_ONLY, Admitted("Guard", ENDPOINT, "vpce-main"), False),
    (ENDPOINT_ONLY, Admitted("Guard", ENDPOINT, "vpce-partner"), False),  # partner-vpc stands behind it
    (ENDPOINT_ONLY, Admitted("Guard", ENDPOINT, "vpce-second"), True),
    (ENDPOINT_ONLY, Admitted("Guard", ENDPOINT, "vpce-*"), True),
    (ENDPOINT_ONLY, Admitted("Guard", VPC, "vpc-1"), True),
    (ENDPOINT_ONLY, Admitted("Guard", "aws:VpceOrgID", "o-1"), True),
    (VPC_ONLY, Admitted("Guard", VPC, "vpc-1"), False),
    (VPC_ONLY, Admitted("Guard", ENDPOINT, "vpce-main"), False),
    (VPC_ONLY, Admitted("Guard", ADDRESS, "198.51.100.0/24"), True),
    (SOURCE_IP_ONLY, Admitted("Guard", ADDRESS, "203.0.113.7"), False),
    (SOURCE_IP_ONLY, Admitted("Guard", ADDRESS, "203.0.112.0/23"), True),
    (SOURCE_IP_ONLY, Admitted("Guard", ADDRESS, "2001:db8::/32"), True),
    (SOURCE_IP_ONLY, Admitted("Guard", ADDRESS, "${aws:PrincipalTag/network}"), True),
]


@pytest.mark.parametrize(("claim", "row", "besides"), LET_IN)
def test_networks_that_the_policy_lets_in_besides_are_told(claim: Any, row: Admitted, besides: bool) -> None:
    """From the named one the bucket is reached, from outside it is not, and yet another way is open."""
    gaps = told(claim, replace(SETTING, admitted={"reports": (row,)}))
    assert bool(gaps) is besides
    assert all(gap.startswith("`Guard` lets in requests also with ") for gap in gaps)


@pytest.mark.parametrize("claim", [ENDPOINT_ONLY, VPC_ONLY, PRESIGNED_BOUNDED], ids=lambda claim: claim.id)
@pytest.mark.parametrize("path", [PARTNER, "", None])
def test_an_endpoint_beside_an_outside_point_was_tried_where_requests_went_through_it(
    claim: Any, path: str | None
) -> None:
    """A subnet that the endpoint's route table does not know goes past it, and the policy lets that endpoint in."""
    row = Admitted("Guard", ENDPOINT, PARTNER)
    outcomes = outcomes_of(claim)
    for probe in outcomes:
        if probe.session_policy and probe.cell.vantage == "partner-vpc":
            outcomes[probe] = denied() if path is None else reading(probe, path)
    results = Results(outcomes=outcomes, canaries=CANARIES)
    setting = with_ways(claim, replace(SETTING, admitted={"reports": (row,)}), results)
    found = [gap for gap in told(claim, setting) if "`Guard`" in gap]
    assert found == ([] if path else [f"`Guard` lets in requests also with aws:SourceVpce {PARTNER}"])


ENDPOINT_POLICIES: list[tuple[str, dict[str, Any], str]] = [
    ("by its name", {"Resource": ["arn:aws:s3:::reports", "arn:aws:s3:::reports/*"]}, ""),
    ("by its account", {"Condition": {"StringEquals": {"aws:ResourceAccount": "111122223333"}}}, ""),
    ("but those", {"NotResource": ["arn:aws:s3:::x", "arn:aws:s3:::x/*"]}, "of account partner"),
    ("by an unknown key", {"Condition": {"StringEquals": {"aws:ResourceOrgID": "o-1"}}}, ""),
]


@pytest.mark.parametrize(
    ("statement", "let"), [row[1:] for row in ENDPOINT_POLICIES], ids=[row[0] for row in ENDPOINT_POLICIES]
)
def test_an_endpoint_that_lets_through_to_whom_nobody_named_limits_nothing(statement: dict[str, Any], let: str) -> None:
    """Two buckets are denied by their names, and all the others are in reach."""
    bare = {"Effect": "Allow", "Principal": "*", "Action": "s3:*"}
    row = {**bare, **({} if "NotResource" in statement else {"Resource": "*"}), **statement}
    endpoints = {
        name: replace(facts, policy=json.dumps({"Statement": row})) for name, facts in SETTING.endpoints.items()
    }
    outcomes = outcomes_of(ENDPOINT_POLICY_LIMITS)
    outcomes = {probe: denied(Layer.VPC_ENDPOINT) if one.denied else one for probe, one in outcomes.items()}
    verdict, sentence, _ = judged(ENDPOINT_POLICY_LIMITS, outcomes, setting=replace(SETTING, endpoints=endpoints))
    assert verdict is (Verdict.INCONCLUSIVE if let else Verdict.PROVEN), sentence
    assert f"lets s3:GetObject through to buckets {let}" in sentence or not let


ADMIN = "arn:aws:iam::111122223333:role/admin"
BESIDES: list[tuple[list[dict[str, Any]], str]] = [
    ([{"Resource": "arn:aws:s3:::reports/*"}], ""),
    ([{"Resource": ["arn:aws:s3:::company-*", "arn:aws:s3:::logs?/a:*"]}], "that fit: company-*, logs?/a:*"),
    ([{"Resource": "arn:aws:s3:::*/public/*"}], "that fit: */public/*"),
    ([{"Resource": "arn:aws:s3:::a*", "Action": "s3:ListBucket"}], ""),
    ([{"Resource": "arn:aws:s3:::a*", "Condition": {"StringEquals": {"aws:ResourceAccount": "111122223333"}}}], ""),
    ([{"Resource": "arn:aws:s3:::a*"}, {"Effect": "Deny", "Resource": "arn:aws:s3:::a*"}], ""),
    ([{"Resource": "*", "Principal": {"AWS": ADMIN}}], f"that it does not name: {ADMIN}"),
    ([{"Resource": "*", "Condition": {"ArnEquals": {"aws:PrincipalArn": ADMIN}}}], f"that it does not name: {ADMIN}"),
    ([{"Resource": "arn:aws:s3:::reports/*", "Principal": {"AWS": ADMIN}}], ""),
    ([{"Resource": "*", "Principal": {"AWS": "999988887777"}}], "that it does not name: 999988887777"),
    (
        [{"Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalAccount": "999988887777"}}}],
        "that it does not name: 999988887777",
    ),
    (
        [{"Resource": "*", "Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/ci-*"}}}],
        "that it does not name: arn:aws:iam::*:role/ci-*",
    ),
    (
        [
            {"Resource": "*", "Principal": {"AWS": "arn:aws:iam::999988887777:root"}},
            {"Effect": "Deny", "Resource": "*", "Condition": {"StringNotEquals": {"aws:PrincipalAccount": "1"}}},
        ],
        "",
    ),
    ([{"Resource": "*", "Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:sts::*:assumed-role/ci/*"}}}], ""),
]


@pytest.mark.parametrize(("statements", "said"), BESIDES)
def test_what_an_endpoint_lets_through_besides_is_told(statements: list[dict[str, Any]], said: str) -> None:
    """Anybody may call a bucket so that its name fits; and another caller was not tried."""
    bare = {"Effect": "Allow", "Principal": "*", "Action": "s3:*"}
    text = json.dumps({"Statement": [{**bare, **row} for row in statements]})
    endpoints = {name: replace(facts, policy=text) for name, facts in SETTING.endpoints.items()}
    found = [
        gap for gap in told(ENDPOINT_POLICY_LIMITS, replace(SETTING, endpoints=endpoints)) if "lets through" in gap
    ]
    assert [gap.partition(" buckets ")[2].removeprefix("of anybody's ") for gap in found] == ([said] if said else [])


RESTS: list[tuple[list[dict[str, Any]], str]] = [
    ([{"Condition": {"StringEquals": {"aws:ResourceOrgID": "o-1"}}}], "aws:resourceorgid"),
    ([{}, {"Effect": "Deny", "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}}], "aws:principalorgid"),
    ([{"Resource": "arn:aws:s3:::r*", "Condition": {"StringEquals": {"aws:ResourceOrgID": "o-1"}}}], ""),
    ([{"Condition": {"StringEquals": {"aws:ResourceAccount": "111122223333"}}}], ""),
]


@pytest.mark.parametrize(("statements", "key"), RESTS)
def test_what_an_endpoint_lets_through_by_keys_that_nobody_knows_is_a_gap(
    statements: list[dict[str, Any]], key: str
) -> None:
    """It may let everything through to other accounts, where the caller or the bucket is of some organization."""
    bare = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    text = json.dumps({"Statement": [{**bare, **row} for row in statements]})
    setting = replace(SETTING, endpoints={MAIN: replace(SETTING.endpoints[MAIN], policy=text)})
    found = [gap for gap in ENDPOINT_POLICY_LIMITS.gaps(setting) if "not known here" in gap.says]
    assert [gap.names for gap in found] == ([(key,)] if key else [])


def test_an_endpoints_policy_that_nobody_understands_was_not_read() -> None:
    setting = replace(SETTING, endpoints={MAIN: replace(SETTING.endpoints[MAIN], policy="[]")})
    assert list(ENDPOINT_POLICY_LIMITS.gaps(setting)) == [Gap("the policy of vpce-main could not be read")]


def test_an_endpoint_that_is_open_to_foreign_accounts_limits_nothing() -> None:
    """Its policy keeps the buckets of the declared accounts apart, and forgets the others."""
    row = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    ours = {"StringEquals": {"aws:ResourceAccount": ["111122223333", "444455556666"]}}
    shut = {**row, "Effect": "Deny", "Condition": ours}
    del shut["Resource"]
    text = json.dumps({"Statement": [row, {**shut, "NotResource": ["arn:aws:s3:::reports", "arn:aws:s3:::reports/*"]}]})
    endpoints = {name: replace(facts, policy=text) for name, facts in SETTING.endpoints.items()}
    outcomes = outcomes_of(ENDPOINT_POLICY_LIMITS)
    outcomes = {probe: denied(Layer.VPC_ENDPOINT) if one.denied else one for probe, one in outcomes.items()}
    verdict, sentence, _ = judged(ENDPOINT_POLICY_LIMITS, outcomes, setting=replace(SETTING, endpoints=endpoints))
    assert verdict is Verdict.INCONCLUSIVE
    assert "to buckets of any other account that it does not name" in sentence


def test_plain_http_past_an_endpoint_that_nobody_described_proves_nothing() -> None:
    """Https goes by an endpoint that the account does not see, plain http by none: that may be what is denied."""
    setting = replace(SETTING, vantage_endpoints={})
    https = {
        probe: denied() if "aws:SourceVpce" in probe.session_policy else row
        for probe, row in outcomes_of(TLS_ONLY, setting).items()
    }
    assert judged(TLS_ONLY, https, setting=setting)[0] is Verdict.PROVEN  # neither way could be read
    other = {
        probe: reading(probe, "")
        if probe.cell.label == "control:main" and probe.cell.transport is Transport.HTTP
        else row
        for probe, row in https.items()
    }
    verdict, sentence, _ = judged(TLS_ONLY, other, setting=setting)
    assert verdict is Verdict.INCONCLUSIVE
    assert "reaches S3 by a way that could not be read, and plain http through no endpoint" in sentence


OURS = "arn:aws:iam::111122223333:role/app"
THEIRS = "arn:aws:iam::444455556666:role/partner"
GRANTS: list[tuple[str, tuple[str, ...], str]] = [
    (THEIRS, ("s3:GetObject", "s3:PutObject"), ""),
    (THEIRS, ("s3:getobject", "s3:DeleteObject"), f"`Grant` allows {THEIRS} also s3:DeleteObject"),
    (THEIRS, ("s3:Get*",), f"`Grant` allows {THEIRS} also s3:Get*"),
    ("arn:aws:iam::444455556666:root", ("s3:GetObject",), "`Grant` lets in also arn:aws:iam::444455556666:root"),
    ("777788889999", ("s3:GetObject",), "`Grant` lets in also 777788889999"),
    ("*", ("s3:GetObject",), "`Grant` lets in also *"),
    (OURS, ("s3:*",), ""),
    ("111122223333", ("s3:*",), ""),
    (
        f'everybody but {{"AWS": "{OURS}"}}',
        ("s3:GetObject",),
        f'`Grant` lets in also everybody but {{"AWS": "{OURS}"}}',
    ),
    (
        "logging.s3.amazonaws.com",
        ("s3:PutObject",),
        "`Grant` lets in, for whoever has it ask, the service logging.s3.amazonaws.com",
    ),
]


@pytest.mark.parametrize(("principal", "actions", "gap"), GRANTS)
@pytest.mark.parametrize("claim", [EXACTLY, NOT_PUBLIC], ids=lambda claim: claim.id)
def test_whom_a_policy_lets_in_besides_those_who_were_tried_is_told(
    claim: Any, principal: str, actions: tuple[str, ...], gap: str
) -> None:
    claim = replace(claim, actions=("s3:GetObject", "s3:PutObject"))
    setting = replace(SETTING, grants={"reports": (Granted("Grant", principal, actions),)})
    found = [row for row in told(claim, setting) if "`Grant`" in row]
    assert found == ([gap] if gap else [])


@pytest.mark.parametrize("claim", [EXACTLY, NOT_PUBLIC], ids=lambda claim: claim.id)
def test_a_service_that_asks_for_the_owner_alone_is_no_stranger(claim: Any) -> None:
    row = Granted("Grant", "cloudfront.amazonaws.com", ("s3:GetObject",), scoped=True)
    assert not [gap for gap in told(claim, replace(SETTING, grants={"reports": (row,)})) if "`Grant`" in gap]


def test_ways_by_which_strangers_that_were_tried_get_in_are_told() -> None:
    rows = (
        Granted("Far", "arn:aws:iam::444455556666:role/partner", ("s3:GetObject",), near=(PARTNER, "vpce-else")),
        Granted("Ours", OURS, ("s3:GetObject",), near=("vpce-else",)),
    )
    found = [gap for gap in told(NOT_PUBLIC, replace(SETTING, grants={"reports": rows})) if " from vpce" in gap]
    assert found == ["`Far` allows arn:aws:iam::444455556666:role/partner from vpce-else"]


@pytest.mark.parametrize("claim", [EXACTLY, NOT_PUBLIC], ids=lambda claim: claim.id)
def test_grants_on_other_keys_and_of_other_words_are_told(claim: Any) -> None:
    """Who is refused the canary, and writes without that header, may be let in beside."""
    claim = replace(claim, actions=("s3:GetObject", "s3:PutObject", "s3:ListBucket"))
    whole = ("arn:aws:s3:::r", "arn:aws:s3:::r/*")
    drop, acl = "arn:aws:s3:::r/drop/*", "StringEquals s3:x-amz-acl bucket-owner-full-control"
    rows = (
        Granted("Whole", THEIRS, ("s3:PutObject",), resources=whole),
        Granted("Drop", THEIRS, ("s3:PutObject",), resources=(*whole, drop)),
        Granted("Acl", THEIRS, ("s3:PutObject",), where=(acl,)),
    )
    found = [row for row in told(claim, replace(SETTING, grants={"reports": rows})) if THEIRS in row]
    assert found == [f"`Drop` allows {THEIRS} on {drop}", f"`Acl` allows {THEIRS} where {acl}"]


@pytest.mark.parametrize("claim", [ENDPOINT_ONLY, VPC_ONLY, SOURCE_IP_ONLY, SEPARATE_DUTIES], ids=lambda row: row.id)
def test_grants_that_ask_for_no_way_are_told_of_network_claims(claim: Any) -> None:
    """Where nothing is denied, one grant asks for the endpoint, and another for none."""
    rows = (
        Granted("Near", OURS, ("s3:GetObject",)),
        Granted("Any", OURS, ("s3:DeleteObject",), any_way=True),
        Granted("Logs", "logging.s3.amazonaws.com", ("s3:PutObject",), any_way=True),
    )
    found = [row for row in told(claim, replace(SETTING, grants={"reports": rows})) if "by any way" in row]
    assert found == [f"`Any` lets in {OURS} by any way: s3:DeleteObject"]


@pytest.mark.parametrize(
    ("claim", "key"),
    [
        *(
            (row, "aws:sourcevpce")
            for row in (ENDPOINT_ONLY, VPC_ONLY, SOURCE_IP_ONLY, SEPARATE_DUTIES, PRESIGNED_BOUNDED)
        ),
        (TLS_ONLY, "aws:securetransport"),
        (ENCRYPTED_WRITES, "s3:x-amz-server-side-encryption"),
    ],
    ids=lambda row: getattr(row, "id", row),
)
def test_where_no_deny_asks_for_it_the_buckets_own_account_is_not_stopped(claim: Any, key: str) -> None:
    """Strangers are let in by their grants alone, which may ask for it; the owner's roles have rights of their own."""
    for keys, gaps in (({key}, 0), ({"aws:principalarn"}, 1)):
        found = told(claim, replace(SETTING, denied_by={"reports": frozenset(keys)}))
        assert sum(row.startswith("no deny of the policy of reports asks for") for row in found) == gaps


@pytest.mark.parametrize("claim", [SEPARATE_DUTIES, PRESIGNED_BOUNDED], ids=lambda claim: claim.id)
def test_other_networks_let_in_are_told_of_duties_and_urls_too(claim: Any) -> None:
    rows = (Admitted("Guard", ENDPOINT, "vpce-main"), Admitted("Guard", "aws:VpcSourceIp", "10.0.0.0/8"))
    found = [row for row in told(claim, replace(SETTING, admitted={"reports": rows})) if "`Guard`" in row]
    assert found == ["`Guard` lets in requests also with aws:VpcSourceIp 10.0.0.0/8"]


def test_networks_from_which_the_granted_get_in_besides_are_told() -> None:
    """The grant names two endpoints: by the partner's it was tried, by the other one it was not."""
    rows = tuple(Admitted("Grant", ENDPOINT, name) for name in (PARTNER, "vpce-third"))
    claim = replace(CROSS_ACCOUNT, refused=(("partner", "internet"),))
    gaps = told(claim, replace(SETTING, admitted={"reports": rows}))
    assert gaps == ["`Grant` lets in requests also with aws:SourceVpce vpce-third"]
    assert "vpce-third" not in "".join(told(claim))


# --- two requests of one name, forms that policies know, places that are two, and rights that nobody may read --------


def test_what_another_request_of_the_same_name_gave_says_nothing() -> None:
    """A declared cell named as a claim names its own would be sent in its place."""
    outcomes = outcomes_of(LEAST_PRIVILEGE)
    (own,) = (row for row in LEAST_PRIVILEGE.cells().denied if row.cell.variant == "of-next")
    for other in (
        replace(own.cell, parameters={"Prefix": "nothing/of/it"}),
        replace(own.cell, action="s3:ListBucketVersions"),
        replace(own.cell, mutating=True),
    ):
        shared = {(Probe(cell=other) if probe == own else probe): row for probe, row in outcomes.items()}
        assert len(shared) == len(outcomes)
        found, sentence, cells = judged(LEAST_PRIVILEGE, shared)
        assert found is Verdict.INCONCLUSIVE
        assert "another request is called the same and was sent in its place" in sentence
        assert own.cell.id in cells
    same = replace(own.cell, action=own.cell.action.upper(), inferred=True, timeout=3.0)
    shared = {(Probe(cell=same) if probe == own else probe): row for probe, row in outcomes.items()}
    assert judged(LEAST_PRIVILEGE, shared)[0] is Verdict.PROVEN


def test_what_really_changed_something_is_not_the_same_allowed_elsewhere() -> None:
    """It writes to the run's own key, which a caller's own policy may let it."""
    cell = make_probe("PutObject", "reports", principal="partner", vantage="internet").cell
    inside = replace(cell, vantage="partner-vpc")
    for other, found in ((inside, True), (replace(inside, mutating=True), False)):
        results = Results(outcomes={Probe(cell=other): ALLOWED})
        assert (results.allowed_elsewhere(Probe(cell=cell)) is not None) is found


FORMS: list[tuple[Any, str, str]] = [
    (ENDPOINT_ONLY, "s3:if-none-match", "PutObject"),
    (SEPARATE_DUTIES, "s3:if-none-match", "PutObject"),
    (SEPARATE_DUTIES, "s3:max-keys", "ListObjectsV2"),
    (TLS_ONLY, "s3:max-keys", "ListObjectsV2"),
]


@pytest.mark.parametrize(("claim", "key", "operation"), FORMS, ids=[f"{row[0].id} {row[1]}" for row in FORMS])
def test_a_policy_that_knows_the_form_says_nothing_of_other_requests(claim: Any, key: str, operation: str) -> None:
    """It may deny writes without `If-None-Match`, or those with it: probes that change nothing carry it."""
    outcomes = outcomes_of(claim)
    setting = replace(SETTING, policy_keys={"reports": frozenset({key, "aws:sourcevpce"})})
    assert (
        judged(claim, outcomes, setting=replace(SETTING, policy_keys={"open": frozenset({key})}))[0] is Verdict.PROVEN
    )
    found, sentence, _ = judged(claim, outcomes, setting=setting)
    assert found is Verdict.INCONCLUSIVE
    assert f"the policy of reports reads {key}, which only the form of the probe sets" in sentence
    cells = claim.cells(SETTING) if isinstance(claim, TlsOnly) else claim.cells()
    first = next(probe for probe in cells.allowed if probe.cell.operation == operation)
    refused = {**outcomes, first: denied(Layer.RESOURCE)}
    assert judged(claim, refused)[0] is Verdict.REFUTED
    assert judged(claim, refused, setting=setting)[0] is Verdict.INCONCLUSIVE, "other writes may be let in"
    let = next(probe for probe in cells.denied if probe.cell.operation == operation)
    assert judged(claim, {**outcomes, let: ALLOWED}, setting=setting)[0] is Verdict.REFUTED, "that one was let in"


@pytest.mark.parametrize("of", ["the endpoint", "the caller"])
def test_policies_on_the_way_and_of_the_caller_may_know_the_form_too(of: str) -> None:
    condition = {"Null": {"s3:if-none-match": "true"}}
    row = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*", "Condition": condition}
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    text = json.dumps({"Statement": [{**one, "Principal": "*"} for one in (row, allow)]})
    changes: dict[str, dict[str, Any]] = {
        "the endpoint": {"endpoints": {**SETTING.endpoints, MAIN: replace(SETTING.endpoints[MAIN], policy=text)}},
        "the caller": {"own_policies": {"app": Policies(identity=(parse({"Statement": [row, allow]}),))}},
    }
    setting = replace(SETTING, **changes[of])
    for actions, verdict in ((("s3:GetObject",), Verdict.PROVEN), (("s3:PutObject",), Verdict.INCONCLUSIVE)):
        claim = replace(ENDPOINT_ONLY, actions=actions)
        found, sentence, _ = judged(claim, outcomes_of(claim, setting), setting=setting)
        assert found is verdict
        assert verdict is Verdict.PROVEN or "reads s3:if-none-match, which only the form" in sentence


def test_what_a_claim_asks_for_itself_is_no_key_of_the_form() -> None:
    setting = replace(SETTING, policy_keys={"reports": frozenset({"s3:prefix", "s3:x-amz-server-side-encryption"})})
    for claim in (LEAST_PRIVILEGE, CROSS_ACCOUNT, SEPARATE_DUTIES):
        assert judged(claim, outcomes_of(claim), setting=setting)[0] is Verdict.PROVEN


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_place_that_is_two_shows_what_is_so_in_one_of_them(claim: Claim) -> None:
    """A function in several subnets is asked in one of them; another one's route may lead past the endpoint."""
    outcomes, vantages = outcomes_of(claim), {probe.cell.vantage for probe in claim.probes(SETTING)}
    results = Results(outcomes=outcomes, canaries=CANARIES, policies=PUT_BACK)
    for vantage in vantages:
        for differs, verdict, uncovered in (
            ("subnet-1 by vpce-1; subnet-2 by nat-1", Verdict.INCONCLUSIVE, False),
            ("", Verdict.PROVEN, False),
            (None, Verdict.PROVEN, True),
        ):
            setting = replace(SETTING, astride={vantage: differs, "elsewhere": "x"})
            found, sentence, _ = verdict_of(findings_of(claim, setting, results))
            assert found is verdict
            assert verdict is Verdict.PROVEN or f"{vantage} stands in several subnets" in sentence
            gaps = [gap for gap in gaps_of(claim, setting) if "could not be compared" in gap.says]
            assert [gap.names for gap in gaps] == ([(vantage,)] if uncovered else [])


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_what_was_shown_of_a_policy_that_somebody_changed_meanwhile_is_of_two(claim: Claim) -> None:
    results = Results(outcomes=outcomes_of(claim), canaries=CANARIES, policies=PUT_BACK)
    for bucket, verdict in ((claim.bucket, Verdict.INCONCLUSIVE), ("another", Verdict.PROVEN)):
        setting = replace(SETTING, changed=frozenset({bucket}))
        found, sentence, _ = verdict_of(findings_of(claim, setting, results))
        assert found is verdict
        assert ("somebody changed the policy of reports while it was measured" in sentence) is (bucket == claim.bucket)


def side(**layers: Any) -> Setting:
    everything = parse({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    return replace(SETTING, own_policies={"partner": Policies(identity=(everything,), **layers)})


def test_scps_over_callers_of_other_accounts_are_known_or_told() -> None:
    """S3 names no layer there: an SCP that denies just this bucket from outside would look like the bucket's."""
    claim = replace(CROSS_ACCOUNT, refused=(("partner", "internet"),))
    shut = parse(
        {
            "Statement": [
                {"Effect": "Allow", "Action": "*", "Resource": "*"},
                {
                    "Effect": "Deny",
                    "Action": "s3:*",
                    "Resource": "arn:aws:s3:::r*",
                    "Condition": {"StringNotEqualsIfExists": {"aws:SourceVpc": "vpc-2"}},
                },
            ]
        }
    )
    rows = (
        (side(), Verdict.PROVEN, ()),
        (side(scps=((shut,),)), Verdict.INCONCLUSIVE, ()),
        (side(scps=UNKNOWN), Verdict.PROVEN, ("partner",)),
        (replace(SETTING, own_policies={}), Verdict.PROVEN, ("partner",)),
    )
    for setting, verdict, unknown in rows:
        assert judged(claim, outcomes_of(claim), setting=setting)[0] is verdict
        gaps = [gap.names for gap in gaps_of(claim, setting) if "service control policies" in gap.says]
        assert gaps == ([unknown] if unknown else [])
    own = replace(ENDPOINT_ONLY, principals=("app",))
    assert not [gap for gap in gaps_of(own, SETTING) if "service control policies" in gap.says]


CROSSING: list[tuple[Any, str]] = [
    (ENDPOINT_ONLY, "internet"),
    (VPC_ONLY, "internet"),
    (SEPARATE_DUTIES, "internet"),
    (SEPARATE_DUTIES, "app-subnet"),
    (PRESIGNED_BOUNDED, "internet"),
    (PRESIGNED_BOUNDED, "app-subnet"),
    (ENDPOINT_POLICY_LIMITS, "app-subnet"),
]


@pytest.mark.parametrize(("claim", "vantage"), CROSSING, ids=[f"{row[0].id} {row[1]}" for row in CROSSING])
def test_readings_that_contradict_each_other_show_no_path(claim: Any, vantage: str) -> None:
    """Half of the requests go by the endpoint and half past it, as they may from a function in two subnets."""
    outcomes = outcomes_of(claim)
    for probe in outcomes:
        if probe.session_policy and probe.cell.vantage == vantage and probe.cell.label.startswith("control:"):
            outcomes[probe] = reading(probe, MAIN if probe.cell.principal == "app" else "")
    verdict, sentence, _ = judged(claim, outcomes)
    assert verdict is Verdict.INCONCLUSIVE, sentence


def test_an_inside_point_from_which_one_got_in_past_the_endpoint_refutes() -> None:
    claim = replace(ENDPOINT_ONLY, principals=("app", "partner"))
    outcomes = outcomes_of(claim)
    assert judged(claim, outcomes)[0] is Verdict.PROVEN
    for probe in outcomes:
        inside = probe.cell.vantage == "app-subnet" and probe.cell.label == "reports"
        if inside and probe.session_policy and probe.cell.principal == "partner":
            outcomes[probe] = reading(probe, "")
    verdict, sentence, _ = judged(claim, outcomes)
    assert verdict is Verdict.REFUTED
    assert "let a request from app-subnet in although S3 saw none of vpce-main" in sentence


@pytest.mark.parametrize(
    ("pays", "offers", "verdict"), [(True, False, Verdict.INCONCLUSIVE), (True, True, Verdict.PROVEN)]
)
def test_who_is_refused_for_the_money_may_be_let_in(pays: bool, offers: bool, verdict: Verdict) -> None:
    """S3 refuses strangers who do not offer to pay, whatever the bucket's policy allows them."""
    facts = replace(SETTING.public["reports"], requesters_pay=pays)
    buckets = {**SETTING.buckets, "reports": replace(SETTING.buckets["reports"], offers_to_pay=offers)}
    setting = replace(SETTING, buckets=buckets, public={"reports": facts})
    found, sentence, _ = judged(NOT_PUBLIC, outcomes_of(NOT_PUBLIC, setting), setting=setting)
    assert found is verdict, sentence
    assert offers or "requesters pay for reports" in sentence


def test_whether_requesters_pay_is_a_gap_where_it_was_not_read() -> None:
    assert not [gap for gap in told(NOT_PUBLIC) if "requesters pay" in gap]
    unread = replace(SETTING, public={"reports": replace(SETTING.public["reports"], requesters_pay=None)})
    (gap,) = (gap for gap in told(NOT_PUBLIC, unread) if "requesters pay" in gap)
    assert "could not be read" in gap


@pytest.mark.parametrize(("acls", "said"), [(False, ""), (True, "ACLs are on in reports"), (None, "could not be read")])
def test_acls_of_objects_that_were_not_tried_are_a_gap(acls: bool | None, said: str) -> None:
    """One object's own list may let an account in, while all else is shut."""
    setting = replace(SETTING, public={"reports": replace(SETTING.public["reports"], acls=acls)})
    found = [gap for gap in told(NOT_PUBLIC, setting) if "ACLs" in gap]
    assert len(found) == bool(said)
    assert all(said in gap for gap in found)


def test_names_that_may_decide_in_their_tags_place_are_told() -> None:
    """A role's own policy may name the keys, for each tag of its session another, and never look at theirs."""
    assert "of each value one key was tried, whose name may decide in place of its tag: ours, theirs" in told(
        TAG_SCOPED
    )
    by_name = replace(TAG_SCOPED, given=(("red", "app", ("ours", "red/1")), *TAG_SCOPED.given[1:]))
    assert "of each value one key was tried, whose name may decide in place of its tag: theirs" in told(by_name)


def test_old_urls_that_are_let_in_from_outside_refute() -> None:
    """One deny shuts out what is young, the other shuts what is old in: old URLs work from anywhere else."""
    outcomes = outcomes_of(PRESIGNED_BOUNDED)
    probe = make_probe("s3:GetObject", "reports", principal="old-link", vantage="internet")
    assert outcomes[probe].denied
    verdict, sentence, _ = judged(PRESIGNED_BOUNDED, {**outcomes, probe: ALLOWED})
    assert verdict is Verdict.REFUTED
    assert "by old-link:internet" in sentence


def test_the_demanded_key_with_another_encryption_refutes() -> None:
    """A deny of every other key says nothing of how the demanded one is used."""
    outcomes = outcomes_of(KEY_WRITES)
    assert judged(KEY_WRITES, outcomes)[0] is Verdict.PROVEN
    parameters = {"ServerSideEncryption": "aws:kms:dsse", "SSEKMSKeyId": KEY_WRITES.key}
    (probe,) = (row for row in KEY_WRITES.cells().denied if row.cell.parameters == parameters)
    verdict, sentence, _ = judged(KEY_WRITES, {**outcomes, probe: ALLOWED})
    assert verdict is Verdict.REFUTED
    assert f"with aws:kms:dsse and the key {KEY_WRITES.key}" in sentence


@pytest.mark.parametrize("claim", [ENCRYPTED_WRITES, KEY_WRITES], ids=lambda claim: claim.id)
def test_another_encryption_that_names_a_key_refutes(claim: Any) -> None:
    """A deny of other encryptions may be bound to writes that name no key, or just that one."""
    named = [
        probe
        for probe in claim.cells().denied
        if probe.cell.parameters.get("ServerSideEncryption") == "aws:kms:dsse"
        and probe.cell.parameters.get("SSEKMSKeyId", claim.key) != claim.key
    ]
    assert named
    for probe in named:
        assert judged(claim, outcomes_of(claim) | {probe: ALLOWED})[0] is Verdict.REFUTED
