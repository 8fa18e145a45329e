"""Each claim's truth table: from an all-good world, one outcome (then two) is bent, and the verdict must follow."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.claims import (
    BreakGlass,
    BucketFacts,
    Claim,
    CrossAccount,
    EncryptedWrites,
    EndpointFacts,
    EndpointOnly,
    EndpointPolicyLimits,
    Finding,
    Kind,
    LeastPrivilege,
    NetworkOnly,
    NotPublic,
    PresignedBounded,
    PrincipalFacts,
    PublicFacts,
    Results,
    SeparateDuties,
    Setting,
    SourceIpOnly,
    TagScoped,
    TlsOnly,
    VpcOnly,
    make_probe,
    verdict_of,
)
from pytest_s3vpce.claims.not_public import BLOCKS
from pytest_s3vpce.claims.readings import ENDPOINT, IMPOSSIBLE
from pytest_s3vpce.claims.setting import allowances
from pytest_s3vpce.matrix import Status, Verdict
from pytest_s3vpce.model import Layer, Outcome, OutcomeKind, Transport
from pytest_s3vpce.policy import Policies, Request, decide, parse

if TYPE_CHECKING:
    from pytest_s3vpce.probe import Probe

MAIN, PARTNER, FOREIGN = "vpce-main", "vpce-partner", "vpce-other"
OPEN = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
OPEN_POLICY = json.dumps({"Statement": [OPEN]})
NAMED = [f"arn:aws:s3:::{name}{what}" for name in ("r", "cm", "cp") for what in ("", "/*")]
SHUT_ELSEWHERE = json.dumps({"Statement": [{**OPEN, "Resource": NAMED}]})
EVERYTHING = parse({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
VANTAGES = {"app-subnet": MAIN, "nat-subnet": "", "internet": "", "partner-vpc": PARTNER}

ALLOWED = Outcome(kind=OutcomeKind.ALLOWED)
UNREACHABLE = Outcome(kind=OutcomeKind.UNREACHABLE, reason="connect timeout")
INCONCLUSIVE = Outcome(kind=OutcomeKind.INCONCLUSIVE, code="ExpiredToken", reason="the token has expired")


def denied(layer: Layer | None = None) -> Outcome:
    return Outcome(kind=OutcomeKind.DENIED, layer=layer, code="AccessDenied", reason="AccessDenied")


BENDS = [
    ALLOWED,
    denied(),
    *(denied(layer) for layer in Layer),
    UNREACHABLE,
    INCONCLUSIVE,
]

SETTING = Setting(
    principals={
        "app": PrincipalFacts(name="app", account="main", arn="arn:aws:iam::111122223333:role/app", role=True),
        "partner": PrincipalFacts(
            name="partner", account="partner", arn="arn:aws:iam::444455556666:role/partner", role=True
        ),
        "user": PrincipalFacts(name="user", account="main", arn="arn:aws:iam::111122223333:user/user"),
        "link": PrincipalFacts(name="link", account="main", arn="arn:aws:iam::111122223333:role/app", presigned=True),
        "old-link": PrincipalFacts(
            name="old-link", account="main", arn="arn:aws:iam::111122223333:role/app", presigned=True
        ),
        "anonymous": PrincipalFacts(name="anonymous", account="main", anonymous=True),
    },
    buckets={
        "reports": BucketFacts(label="reports", name="r", account="main", account_id="111122223333", key="canary"),
        "open": BucketFacts(label="open", name="o", account="main", account_id="111122223333", key="canary"),
        "elsewhere": BucketFacts(
            label="elsewhere", name="x", account="partner", account_id="444455556666", key="canary"
        ),
        "control:main": BucketFacts(
            label="control:main", name="cm", account="main", account_id="111122223333", key="canary"
        ),
        "control:partner": BucketFacts(
            label="control:partner", name="cp", account="partner", account_id="444455556666", key="canary"
        ),
    },
    vantages=tuple(VANTAGES),
    endpoints={
        MAIN: EndpointFacts(id=MAIN, vpc="vpc-1", account_id="111122223333", type="gateway", policy=SHUT_ELSEWHERE),
        PARTNER: EndpointFacts(id=PARTNER, vpc="vpc-2", account_id="444455556666", type="gateway", policy=OPEN_POLICY),
    },
    vantage_endpoints={"app-subnet": (MAIN,), "nat-subnet": (MAIN,), "partner-vpc": (PARTNER,)},
    ways={"app-subnet": MAIN, "nat-subnet": "", "partner-vpc": PARTNER, "internet": ""},
    own_policies={"partner": Policies(identity=(EVERYTHING,))},
    public={"reports": PublicFacts(policy_is_public=False, blocks=frozenset(BLOCKS), requesters_pay=False, acls=False)},
)


SEEN: dict[str, dict[str, str]] = {
    "": {"aws:SourceIp": "203.0.113.7"},
    MAIN: {"aws:SourceVpce": MAIN, "aws:SourceVpc": "vpc-1"},
    PARTNER: {"aws:SourceVpce": PARTNER, "aws:SourceVpc": "vpc-2"},
}
"""What S3 sees of a request by each path: an endpoint, or none."""


@cache
def session_lets_in(policy: str, action: str, arn: str, path: str, transport: Transport) -> bool:
    """Whether a session with this inline policy may do it, as the engine decides."""
    seen = SEEN.get(path, {"aws:SourceVpce": path, "aws:SourceVpc": "vpc-3"})
    context = {**seen, "aws:SecureTransport": "false" if transport is Transport.HTTP else "true"}
    if transport is not Transport.HTTP:
        context["s3:TlsVersion"] = transport.tls or "1.3"
    request = Request(
        action=action,
        resource=arn,
        resource_account="111122223333",
        principal="arn:aws:sts::111122223333:assumed-role/app/s",
        context=context,
    )
    return decide(request, Policies(identity=(EVERYTHING,), session=(parse(policy),))).allowed


def reading_holds(probe: Probe, path: str) -> bool:
    """Whether the probe's session lets it through at a vantage point with that path."""
    cell = probe.cell
    if not probe.session_policy:
        return True
    pairs = allowances(probe, SETTING.buckets[cell.target.bucket])
    return all(session_lets_in(probe.session_policy, action, arn, path, cell.transport) for action, arn in pairs)


def reading(probe: Probe, path: str) -> Outcome:
    """What a reading gives at a vantage point whose path is that endpoint (empty: none)."""
    return ALLOWED if reading_holds(probe, path) else denied(Layer.SESSION)


def inside_paths(claim: NetworkOnly) -> set[str]:
    """The paths by which a bucket lets requests in that has the claim's property."""
    if isinstance(claim, SourceIpOnly):
        return {""}
    return {path for path, seen in SEEN.items() if seen.get(claim.key.name) in claim.named}


def good(claim: Any, probe: Probe) -> Outcome:
    """The outcome that each probe has in the world where the claim holds."""
    cell = probe.cell
    if cell.target.bucket.startswith("control:"):
        return reading(probe, VANTAGES[cell.vantage]) if probe.session_policy else ALLOWED
    if isinstance(claim, TlsOnly):
        refused = {Transport.HTTP, *([Transport.TLS12] if claim.minimum == "1.3" else [])}
        return denied(Layer.RESOURCE) if cell.transport in refused else ALLOWED
    if isinstance(claim, EncryptedWrites):
        demanded = [probe.cell.parameters for probe in claim.positives()]
        return ALLOWED if cell.parameters in demanded else denied(Layer.RESOURCE)
    if probe.session_policy and isinstance(claim, TagScoped):
        return denied(Layer.SESSION) if probe.session_policy == IMPOSSIBLE.policy else ALLOWED
    if isinstance(claim, TagScoped | LeastPrivilege) and cell.principal == "user":
        return ALLOWED
    if isinstance(claim, CrossAccount | NotPublic | EndpointPolicyLimits):
        return ALLOWED if cell.label == "open" or probe in claim.cells().allowed else denied()
    if not isinstance(claim, NetworkOnly):
        return ALLOWED if probe in claim.cells().allowed else denied(Layer.RESOURCE)
    if VANTAGES[cell.vantage] not in inside_paths(claim):
        return denied(Layer.RESOURCE)
    return reading(probe, VANTAGES[cell.vantage])


ENDPOINT_ONLY = EndpointOnly(
    id="endpoint-only/reports",
    bucket="reports",
    principals=("app",),
    endpoints=(MAIN,),
    inside=("app-subnet",),
    outside=("internet", "partner-vpc"),
    actions=("s3:GetObject", "s3:PutObject"),
)
TLS_ONLY = TlsOnly(id="tls-only/reports", bucket="reports", principal="app", at="app-subnet")
TLS_12 = replace(TLS_ONLY, id="tls-only/reports+1.2", minimum="1.2")
TLS_13 = replace(TLS_ONLY, id="tls-only/reports+1.3", minimum="1.3")
CROSS_ACCOUNT = CrossAccount(
    id="cross-account/reports",
    bucket="reports",
    granted=(("partner", "partner-vpc"),),
    refused=(("partner", "internet"),),
    actions=("s3:GetObject",),
)
EXACTLY = replace(
    CROSS_ACCOUNT,
    id="cross-account/reports+exactly",
    refused=(("partner", "internet"), ("anonymous", "partner-vpc")),
    operations=("s3:GetObject", "s3:PutObject", "s3:ListBucket", "HeadObject"),
)
VPC_ONLY = VpcOnly(
    id="vpc-only/reports",
    bucket="reports",
    principals=("app",),
    vpcs=("vpc-1",),
    inside=("app-subnet",),
    outside=("internet", "partner-vpc"),
    actions=("s3:GetObject", "s3:PutObject"),
)
SOURCE_IP_ONLY = SourceIpOnly(
    id="source-ip-only/reports",
    bucket="reports",
    principals=("app",),
    networks=("203.0.113.0/24",),
    inside=("internet",),
    outside=("app-subnet", "partner-vpc"),
    actions=("s3:GetObject", "s3:PutObject"),
)
ENCRYPTED_WRITES = EncryptedWrites(
    id="encrypted-writes/reports", bucket="reports", principal="app", at="app-subnet", sse="AES256"
)
KEY_WRITES = replace(
    ENCRYPTED_WRITES,
    id="encrypted-writes/reports+key",
    sse="aws:kms",
    key="arn:aws:kms:us-east-1:111122223333:key/0123456789ab",
)
NOT_PUBLIC = NotPublic(
    id="not-public/reports",
    bucket="reports",
    reader=("app", "app-subnet"),
    principals=("anonymous", "partner"),
    at=("internet", "partner-vpc"),
    actions=("s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:GetBucketPolicy"),
    public_control="open",
)
ENDPOINT_POLICY_LIMITS = EndpointPolicyLimits(
    id="endpoint-policy-limits/reports",
    bucket="reports",
    principals=("app",),
    endpoints=(MAIN,),
    inside=("app-subnet",),
    outside=("internet",),
    unreached=("elsewhere",),
)
SEPARATE_DUTIES = SeparateDuties(
    id="separate-duties/reports",
    bucket="reports",
    principals=("app",),
    read_through=(MAIN,),
    read_at=("app-subnet",),
    write_through=(PARTNER,),
    write_at=("partner-vpc",),
    outside=("internet",),
)
TAG_SCOPED = TagScoped(
    id="tag-scoped/reports",
    bucket="reports",
    tag="team",
    at="app-subnet",
    given=(("red", "app", ("ours", "k/ours")), ("blue", "partner", ("theirs", "k/theirs"))),
    untagged=("plain", "k/plain"),
    witness=("user", "internet"),
)
PRESIGNED_BOUNDED = PresignedBounded(
    id="presigned-bounded/reports",
    bucket="reports",
    fresh="link",
    old="old-link",
    inside=("app-subnet",),
    outside=("internet", "partner-vpc"),
    endpoints=(MAIN,),
    actions=("s3:GetObject", "s3:PutObject"),
)
BREAK_GLASS = BreakGlass(
    id="break-glass/reports",
    bucket="reports",
    administrators=(("app", "app-subnet"),),
    others=(("partner", "partner-vpc"), ("anonymous", "internet")),
    inferred=True,
)
GLASS_GONE = replace(BREAK_GLASS, id="break-glass/reports+gone", mutating=True)
LEAST_PRIVILEGE = LeastPrivilege(
    id="least-privilege/reports",
    bucket="reports",
    principal="app",
    at="app-subnet",
    actions=("s3:GetObject", "s3:ListBucket"),
    keys=(("mine", "k/mine"),),
    neighbours=(("next", "n/next"),),
    witness=("user", "internet"),
    operations=("HeadObject", "PutObject", "DeleteObject", "GetBucketAcl", "PutBucketPolicy", "ListBuckets"),
)
CLAIMS: list[Claim] = [
    ENDPOINT_ONLY,
    VPC_ONLY,
    SOURCE_IP_ONLY,
    TLS_ONLY,
    TLS_12,
    TLS_13,
    CROSS_ACCOUNT,
    EXACTLY,
    ENCRYPTED_WRITES,
    KEY_WRITES,
    NOT_PUBLIC,
    ENDPOINT_POLICY_LIMITS,
    SEPARATE_DUTIES,
    TAG_SCOPED,
    PRESIGNED_BOUNDED,
    BREAK_GLASS,
    GLASS_GONE,
    LEAST_PRIVILEGE,
]
PUT_BACK = {"reports": (True, "the policy of reports reads as it did, byte for byte")}
CANARIES = dict.fromkeys(("reports", "elsewhere"), (True, "the canary is as it was"))


def outcomes_of(claim: Claim, setting: Setting = SETTING) -> dict[Probe, Outcome]:
    return {probe: good(claim, probe) for probe in claim.probes(setting)}


def told(claim: Claim, setting: Setting = SETTING) -> list[str]:
    """What it says that it does not cover."""
    return [str(gap) for gap in claim.gaps(setting)]


def judged(
    claim: Claim,
    outcomes: dict[Probe, Outcome],
    *,
    setting: Setting = SETTING,
    canaries: dict[str, tuple[bool, str]] | None = None,
) -> tuple[Verdict, str, tuple[str, ...]]:
    results = Results(outcomes=outcomes, canaries=CANARIES if canaries is None else canaries, policies=PUT_BACK)
    return verdict_of(claim.judge(setting, results))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_claim_is_proven_in_the_world_where_it_holds(claim: Claim) -> None:
    verdict, sentence, cells = judged(claim, outcomes_of(claim))
    assert verdict is Verdict.PROVEN, sentence
    assert cells == ()
    assert "controls held" in sentence


def counted(claim: Claim) -> frozenset[Layer]:
    """The layers that a denial of the claim may come from."""
    by: frozenset[Layer] = getattr(claim, "by")  # noqa: B009 - every kind has it, and its own default
    return by


def essential(claim: Claim, probe: Probe) -> bool:
    """A cell of the claim itself: no other probe can stand in for it."""
    if isinstance(claim, TlsOnly):
        return probe.cell.target.bucket == "reports"
    if hasattr(claim, "cells"):
        return probe in (*claim.cells().allowed, *claim.cells().denied)
    return probe.cell.target.bucket == "reports" and not probe.session_policy


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_no_single_bent_cell_leaves_the_claim_proven(claim: Claim) -> None:
    base = outcomes_of(claim)
    cells = [probe for probe in base if essential(claim, probe)]
    assert len(cells) >= 2
    for probe, bend in itertools.product(cells, BENDS):
        still_holds = bend.kind is base[probe].kind and bend.layer in (base[probe].layer, *counted(claim))
        if bend.denied and base[probe].denied and bend.layer is None:
            continue  # an unnamed denial has a table of its own below
        verdict, sentence, cells_named = judged(claim, {**base, probe: bend})
        assert (verdict is Verdict.PROVEN) == still_holds, (probe.cell.id, bend, sentence)
        if not still_holds:
            assert probe.cell.id in cells_named, sentence


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_counterexample_refutes_and_anything_else_is_inconclusive(
    claim: Claim,
) -> None:
    base = outcomes_of(claim)
    for probe, bend in itertools.product([probe for probe in base if essential(claim, probe)], BENDS):
        expected = None
        foreign = base[probe].denied and bend.layer not in (None, *counted(claim))
        if {base[probe].kind, bend.kind} == {OutcomeKind.DENIED, OutcomeKind.ALLOWED}:
            expected = Verdict.REFUTED
        elif bend.unreachable or bend.inconclusive or foreign:
            expected = Verdict.INCONCLUSIVE
        if expected is not None:
            verdict, sentence, _ = judged(claim, {**base, probe: bend})
            assert verdict is expected, (probe.cell.id, bend, sentence)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_without_reach_nothing_is_proven_or_refuted_by_a_denial(
    claim: Claim,
) -> None:
    base = outcomes_of(claim)
    controls = [probe for probe in base if probe.cell.target.bucket.startswith("control:")]
    for bend in (denied(), denied(Layer.IDENTITY), UNREACHABLE, INCONCLUSIVE):
        verdict, sentence, _ = judged(claim, {**base, **dict.fromkeys(controls, bend)})
        assert verdict is Verdict.INCONCLUSIVE, sentence


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
@pytest.mark.parametrize("bend", BENDS, ids=str)
def test_a_vantage_point_cut_off_is_never_proof(claim: Claim, bend: Outcome) -> None:
    base = outcomes_of(claim)
    for vantage in {probe.cell.vantage for probe in base}:
        bent = {probe: bend if probe.cell.vantage == vantage else good for probe, good in base.items()}
        if bent == base:
            continue
        verdict, _, _ = judged(claim, bent)
        assert verdict is not Verdict.PROVEN, (vantage, bend)
        if not bend.allowed:
            assert verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_bucket_open_to_everybody_is_refuted(claim: Claim) -> None:
    base = outcomes_of(claim)
    bent = {probe: ALLOWED if essential(claim, probe) else outcome for probe, outcome in base.items()}
    verdict, sentence, _ = judged(claim, bent)
    assert verdict is Verdict.REFUTED
    assert "must be denied but was allowed" in sentence


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_without_a_control_bucket_nothing_is_proven(claim: Claim) -> None:
    buckets = {name: row for name, row in SETTING.buckets.items() if not name.startswith("control:")}
    setting = replace(SETTING, buckets=buckets)
    verdict, sentence, _ = judged(claim, outcomes_of(claim, setting), setting=setting)
    assert verdict is Verdict.INCONCLUSIVE
    assert "control bucket" in sentence or "path" in sentence


def test_an_unread_or_changed_canary_leaves_writes_unproven() -> None:
    for canaries in ({}, {"reports": (False, "the canary of reports changed during the run")}):
        verdict, sentence, _ = judged(ENDPOINT_ONLY, outcomes_of(ENDPOINT_ONLY), canaries=canaries)
        assert verdict is Verdict.INCONCLUSIVE
        assert "canary" in sentence


def test_an_outside_point_that_goes_through_a_named_endpoint_is_named_and_proves_nothing() -> None:
    """The path of `internet` is the main endpoint, whether the cells there were denied or allowed."""
    base = outcomes_of(ENDPOINT_ONLY)
    for outcome in (denied(Layer.RESOURCE), ALLOWED):
        bent = {}
        for probe, before in base.items():
            here = probe.cell.vantage == "internet"
            if here and probe.session_policy:
                bent[probe] = reading(probe, MAIN)
            elif here and probe.cell.target.bucket == "reports":
                bent[probe] = outcome
            else:
                bent[probe] = before
        verdict, sentence, _ = judged(ENDPOINT_ONLY, bent)
        assert verdict is Verdict.INCONCLUSIVE
        assert "internet is no outside vantage point" in sentence


@pytest.mark.parametrize(("path", "cause"), [("", "through no VPC endpoint"), (FOREIGN, FOREIGN)])
def test_an_inside_denial_on_the_wrong_path_names_the_path(path: str, cause: str) -> None:
    setting = replace(SETTING, vantage_endpoints={**SETTING.vantage_endpoints, "app-subnet": (MAIN, FOREIGN)})
    bent = {}
    for probe in ENDPOINT_ONLY.probes(setting):
        bent[probe] = good(ENDPOINT_ONLY, probe)
        if probe.cell.vantage == "app-subnet":
            on_target = probe.cell.target.bucket == "reports"
            outcome = reading(probe, path) if probe.session_policy else ALLOWED
            bent[probe] = denied(Layer.RESOURCE) if on_target else outcome
    verdict, sentence, _ = judged(ENDPOINT_ONLY, bent, setting=setting)
    assert verdict is Verdict.REFUTED
    assert cause in sentence


def test_an_inside_point_let_in_without_the_endpoint_refutes() -> None:
    """The bucket allows the NAT's address instead of the endpoint: the path is measured on the target itself."""
    base = outcomes_of(ENDPOINT_ONLY)
    bent = {
        probe: reading(probe, "") if probe.cell.vantage == "app-subnet" and probe.session_policy else before
        for probe, before in base.items()
    }
    verdict, sentence, _ = judged(ENDPOINT_ONLY, bent)
    assert verdict is Verdict.REFUTED
    assert "although S3 saw none of vpce-main" in sentence


def test_a_named_endpoint_that_nobody_went_through_leaves_the_claim_open() -> None:
    claim = replace(ENDPOINT_ONLY, endpoints=(MAIN, FOREIGN))
    outcomes = {}
    for probe in claim.probes(SETTING):
        outcomes[probe] = good(claim, probe)
        if probe.session_policy == ENDPOINT.none_of([MAIN, FOREIGN]).policy:
            outcomes[probe] = denied(Layer.SESSION) if probe.cell.vantage == "app-subnet" else ALLOWED
    verdict, sentence, _ = judged(claim, outcomes)
    assert verdict is Verdict.INCONCLUSIVE
    assert "no inside vantage point was shown to reach reports through vpce-other" in sentence


def test_a_principal_that_is_no_role_leaves_a_path_claim_source_limited() -> None:
    setting = replace(SETTING, principals={"user": SETTING.principals["user"]})
    claim = replace(ENDPOINT_ONLY, principals=("user",))
    verdict, sentence, _ = judged(claim, outcomes_of(claim, setting), setting=setting)
    assert verdict is Verdict.INCONCLUSIVE
    assert "could not be read" in sentence


# --- a denial that names no layer ------------------------------------------------------------------------------------


def unnamed(setting: Setting = SETTING, **bends: Outcome) -> tuple[Verdict, str]:
    claim = replace(CROSS_ACCOUNT, refused=(("partner", "app-subnet"),))
    outcomes = {probe: good(claim, probe) for probe in claim.probes(setting)}
    for probe in outcomes:
        if not probe.cell.target.bucket.startswith("control:") and probe.cell.vantage in bends:
            outcomes[probe] = bends[probe.cell.vantage]
    verdict, sentence, _ = judged(claim, outcomes, setting=setting)
    return verdict, sentence


def test_an_unnamed_denial_counts_where_the_endpoint_policy_was_read_and_allows() -> None:
    assert unnamed()[0] is Verdict.PROVEN


def endpoint_policy(text: str | None) -> Setting:
    endpoints = {**SETTING.endpoints, MAIN: replace(SETTING.endpoints[MAIN], policy=text)}
    return replace(SETTING, endpoints=endpoints)


@pytest.mark.parametrize(
    "policy",
    [
        None,
        "not json",
        json.dumps({"Statement": []}),
        json.dumps(
            {"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "arn:aws:s3:::cp/*"}}
        ),
        json.dumps(
            {
                "Statement": [
                    {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
                    {
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:GetObject",
                        "Resource": "*",
                        "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
                    },
                ]
            }
        ),
    ],
    ids=["unreadable", "garbage", "empty", "names only the control bucket", "reads a key we do not know"],
)
def test_an_unnamed_denial_counts_for_nothing_where_the_endpoint_may_be_its_cause(policy: str | None) -> None:
    verdict, sentence = unnamed(endpoint_policy(policy))
    assert verdict is Verdict.INCONCLUSIVE
    assert "endpoint" in sentence


def test_an_unnamed_denial_counts_for_nothing_where_the_principal_was_allowed_nowhere() -> None:
    claim = replace(CROSS_ACCOUNT, refused=(("partner", "internet"),))
    outcomes = outcomes_of(claim)
    granted = next(probe for probe in outcomes if probe.cell.vantage == "partner-vpc" and essential(claim, probe))
    results = Results(outcomes={**outcomes, granted: denied()}, canaries={})
    unread = replace(SETTING, own_policies={})
    layer = next(finding for finding in claim.judge(unread, results) if finding.kind is Kind.LAYER)
    assert layer.status is Status.MISSING
    assert "partner's own policies may be its cause" in layer.sentence


def test_anonymous_needs_only_the_endpoint_excluded_and_a_roles_reach() -> None:
    claim = replace(CROSS_ACCOUNT, refused=(("anonymous", "internet"),))
    assert judged(claim, outcomes_of(claim))[0] is Verdict.PROVEN
    cut = {
        probe: UNREACHABLE if probe.cell.vantage == "internet" else outcome
        for probe, outcome in outcomes_of(claim).items()
    }
    assert judged(claim, cut)[0] is Verdict.INCONCLUSIVE


def test_a_principal_of_the_owners_account_shows_nothing_about_others() -> None:
    claim = replace(CROSS_ACCOUNT, granted=(("app", "app-subnet"),))
    outcomes = {
        **outcomes_of(claim),
        make_probe("s3:GetObject", "reports", principal="app", vantage="app-subnet"): ALLOWED,
    }
    verdict, sentence, _ = judged(claim, outcomes)
    assert verdict is Verdict.INCONCLUSIVE
    assert "belongs to main, the bucket's own account" in sentence


# --- tls-only --------------------------------------------------------------------------------------------------------


def test_both_sides_of_tls_only_use_one_session_that_allows_just_the_operation() -> None:
    for https, http in TLS_ONLY.pairs(SETTING):
        assert https.session_policy == http.session_policy
        policy = json.loads(https.session_policy)
        assert {statement["Effect"] for statement in policy["Statement"]} == {"Allow"}
        assert "*" not in https.session_policy


def test_a_security_group_without_port_80_is_named_as_the_cause() -> None:
    sentence = "security group sg-1 (probe) lets no TCP port 80 out"
    setting = replace(SETTING, closed_ports={("app-subnet", 80): sentence})
    bent = {
        probe: UNREACHABLE if probe.cell.transport is Transport.HTTP else outcome
        for probe, outcome in outcomes_of(TLS_ONLY).items()
    }
    verdict, said, _ = judged(TLS_ONLY, bent, setting=setting)
    assert verdict is Verdict.INCONCLUSIVE
    assert sentence in said


def test_a_proxy_that_turns_http_into_https_proves_nothing() -> None:
    """S3 did not see plain http: the control's reading is refused."""
    bent = {
        probe: denied(Layer.SESSION)
        if probe.cell.label == "control:main" and probe.cell.transport is Transport.HTTP
        else o
        for probe, o in outcomes_of(TLS_ONLY).items()
    }
    assert judged(TLS_ONLY, bent)[0] is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("clear", "verdict"), [(False, Verdict.INCONCLUSIVE), (True, Verdict.PROVEN)])
def test_keys_of_a_user_cross_plain_http_only_where_the_inventory_says_so(clear: bool, verdict: Verdict) -> None:
    user = replace(SETTING.principals["user"], clear=clear)
    setting = replace(SETTING, principals={**SETTING.principals, "user": user})
    claim = replace(TLS_ONLY, principal="user")
    probes = list(claim.probes(setting))
    assert bool(probes) is clear
    found, sentence, _ = judged(claim, outcomes_of(claim, setting), setting=setting)
    assert found is verdict
    assert clear or "send_credentials_in_clear" in sentence


def test_a_tls_claim_on_writes_needs_the_canary() -> None:
    claim = replace(TLS_ONLY, actions=("s3:PutObject",))
    assert judged(claim, outcomes_of(claim))[0] is Verdict.PROVEN
    assert judged(claim, outcomes_of(claim), canaries={})[0] is Verdict.INCONCLUSIVE


# --- inferred forms --------------------------------------------------------------------------------------------------


def test_an_inferred_form_counts_only_where_it_told_allowed_from_denied() -> None:
    """UploadPart with an upload id that does not exist: `allowed` says something once a denial looked different."""
    claim = replace(CROSS_ACCOUNT, actions=("UploadPart",))
    base = outcomes_of(claim)
    assert judged(claim, base)[0] is Verdict.PROVEN
    all_allowed = {probe: ALLOWED if essential(claim, probe) else outcome for probe, outcome in base.items()}
    verdict, sentence, _ = judged(claim, all_allowed)
    assert verdict is Verdict.INCONCLUSIVE
    assert "was not calibrated" in sentence


# --- from findings to a verdict --------------------------------------------------------------------------------------


def finding(kind: Kind, status: Status) -> Finding:
    return Finding(kind=kind, name=kind.value, status=status, sentence=f"{kind} is {status}", cell=f"{kind}/cell")


def test_the_verdict_of_every_combination_of_statuses() -> None:
    kinds = [Kind.POSITIVE, Kind.NEGATIVE, Kind.REACH, Kind.LAYER, Kind.PATH]
    for statuses in itertools.product(Status, repeat=len(kinds)):
        findings = [finding(kind, status) for kind, status in zip(kinds, statuses, strict=True)]
        verdict, sentence, cells = verdict_of(findings)
        if Status.BAD in statuses:
            assert verdict is Verdict.REFUTED
        elif Status.MISSING in statuses:
            assert verdict is Verdict.INCONCLUSIVE
        else:
            assert verdict is Verdict.PROVEN
        assert sentence
        assert bool(cells) is (verdict is not Verdict.PROVEN)


@pytest.mark.parametrize("absent", [Kind.POSITIVE, Kind.NEGATIVE, Kind.REACH, Kind.LAYER])
def test_a_claim_that_lacks_a_kind_of_evidence_is_not_proven(absent: Kind) -> None:
    findings = [finding(kind, Status.GOOD) for kind in Kind if kind is not absent]
    verdict, sentence, _ = verdict_of(findings)
    assert verdict is Verdict.INCONCLUSIVE
    assert absent.value in sentence
    assert verdict_of([])[0] is Verdict.INCONCLUSIVE


# --- encrypted-writes ------------------------------------------------------------------------------------------------


def test_keys_that_differ_at_their_ends_are_cells_of_their_own() -> None:
    cells = [probe.cell for probe in (*KEY_WRITES.positives(), *KEY_WRITES.negatives())]
    assert len({cell.id for cell in cells}) == len(cells) == 9
    elsewhere = replace(KEY_WRITES, key=f"{KEY_WRITES.key}0")
    assert not {cell.id for cell in cells} & {probe.cell.id for probe in elsewhere.positives()}
    assert all(re.fullmatch(r"[A-Za-z0-9.-]*", cell.variant) for cell in cells)


@pytest.mark.parametrize("layer", [row for row in Layer if row not in (Layer.RESOURCE, Layer.RCP)])
def test_writes_refused_by_the_callers_side_alone_prove_nothing_of_an_open_bucket(layer: Layer) -> None:
    for claim in (ENCRYPTED_WRITES, KEY_WRITES):
        refused = dict.fromkeys(claim.negatives(), denied(layer))
        assert judged(claim, {**outcomes_of(claim), **refused})[0] is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("claim", [ENCRYPTED_WRITES, KEY_WRITES], ids=lambda claim: claim.id)
def test_encrypted_writes_need_the_canary_and_named_layers(claim: EncryptedWrites) -> None:
    base = outcomes_of(claim)
    assert judged(claim, base, canaries={})[0] is Verdict.INCONCLUSIVE
    assert judged(claim, {**base, **dict.fromkeys(claim.negatives(), denied())})[0] is Verdict.INCONCLUSIVE
