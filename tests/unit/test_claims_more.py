"""What would make single claims lie: openness unread, requests that do not get through, objects that are not there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_s3vpce.claims import (
    CrossAccount,
    Finding,
    Kind,
    LeastPrivilege,
    NotPublic,
    PublicFacts,
    Results,
    Setting,
    make_probe,
    verdict_of,
)
from pytest_s3vpce.claims.encryptions import words
from pytest_s3vpce.claims.gaps import Gap
from pytest_s3vpce.claims.not_public import BLOCKS
from pytest_s3vpce.claims.paths import Way, used
from pytest_s3vpce.claims.readings import BASELINE, IMPOSSIBLE, Hypothesis, tagged, tls
from pytest_s3vpce.claims.setting import helper_probes
from pytest_s3vpce.matrix import Status, Verdict
from pytest_s3vpce.model import Layer, Outcome, OutcomeKind, Transport
from pytest_s3vpce.operations import OPERATIONS, Resource
from pytest_s3vpce.policy import UNKNOWN, Policies, parse
from pytest_s3vpce.probe import Probe
from tests.unit.test_claims import (
    ALLOWED,
    BREAK_GLASS,
    ENDPOINT_ONLY,
    ENDPOINT_POLICY_LIMITS,
    EVERYTHING,
    EXACTLY,
    GLASS_GONE,
    LEAST_PRIVILEGE,
    MAIN,
    NOT_PUBLIC,
    OPEN_POLICY,
    PARTNER,
    PRESIGNED_BOUNDED,
    SEPARATE_DUTIES,
    SETTING,
    SOURCE_IP_ONLY,
    TAG_SCOPED,
    TLS_12,
    TLS_13,
    TLS_ONLY,
    UNREACHABLE,
    VPC_ONLY,
    denied,
    good,
    judged,
    outcomes_of,
    reading,
    told,
)

SHUT = '{"Statement": []}'
MISSING = Outcome(kind=OutcomeKind.INCONCLUSIVE, code="NoSuchKey", reason="the canary does not exist")

# --- not-public ------------------------------------------------------------------------------------------------------

SOME = frozenset(BLOCKS)


@pytest.mark.parametrize(
    ("facts", "verdict", "words"),
    [
        (PublicFacts(), Verdict.INCONCLUSIVE, "could not be read"),
        (PublicFacts(blocks=SOME), Verdict.INCONCLUSIVE, "the policy status of reports could not be read"),
        (PublicFacts(policy_is_public=False), Verdict.INCONCLUSIVE, "its account could not be read"),
        (PublicFacts(policy_is_public=True, blocks=SOME), Verdict.REFUTED, "calls the policy of reports public"),
        *(
            (PublicFacts(policy_is_public=False, blocks=SOME - {name}), Verdict.REFUTED, f"lacks {name} for reports")
            for name in BLOCKS
        ),
    ],
)
def test_openness_must_be_read_and_agree(facts: PublicFacts, verdict: Verdict, words: str) -> None:
    setting = replace(SETTING, public={"reports": facts})
    found, sentence, _ = judged(NOT_PUBLIC, outcomes_of(NOT_PUBLIC, setting), setting=setting)
    assert found is verdict
    assert words in sentence


def test_openness_that_nobody_read_proves_nothing() -> None:
    setting = replace(SETTING, public={})
    assert judged(NOT_PUBLIC, outcomes_of(NOT_PUBLIC, setting), setting=setting)[0] is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("outcome", [denied(), UNREACHABLE, MISSING])
def test_a_public_control_that_nobody_reads_shows_that_requests_do_not_get_through(outcome: Outcome) -> None:
    probe = make_probe("s3:GetObject", "open", principal="anonymous", vantage="internet")
    found, sentence, _ = judged(NOT_PUBLIC, {**outcomes_of(NOT_PUBLIC), probe: outcome})
    assert found is Verdict.INCONCLUSIVE
    assert "nothing shows that requests of anonymous:internet get through" in sentence


def test_without_a_public_control_reach_is_a_roles_and_coverage_says_so() -> None:
    claim = replace(NOT_PUBLIC, public_control="")
    assert judged(claim, outcomes_of(claim))[0] is Verdict.PROVEN
    (gap,) = told(claim)
    assert "no public control bucket is declared" in gap
    assert told(NOT_PUBLIC) == []


def test_denials_of_an_object_that_is_not_there_prove_nothing() -> None:
    reader = NOT_PUBLIC.cells().allowed[0]
    found, sentence, _ = judged(NOT_PUBLIC, {**outcomes_of(NOT_PUBLIC), reader: MISSING}, canaries={})
    assert found is Verdict.INCONCLUSIVE
    assert "canary" in sentence or "no object was shown to be there" in sentence


NOWHERE = parse({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::c*"}})
CONDITIONED = parse(
    {
        "Statement": {
            "Effect": "Allow",
            "Action": "*",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:PrincipalTag/team": "x"}},
        }
    }
)


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"partner": Policies(identity=(NOWHERE,))},
        {"partner": Policies(identity=UNKNOWN)},
        {"partner": Policies(identity=(CONDITIONED,))},
        {"partner": Policies(identity=(EVERYTHING,), permissions_boundary=(NOWHERE,))},
        {"partner": Policies(identity=(EVERYTHING,), permissions_boundary=UNKNOWN)},
        {"partner": Policies(identity=(EVERYTHING,), scps=UNKNOWN)},
        {"partner": Policies(identity=(EVERYTHING,), scps=((NOWHERE,),))},
    ],
)
def test_a_stranger_whose_own_side_may_refuse_shows_nothing_of_the_bucket(own: dict[str, Policies]) -> None:
    setting = replace(SETTING, own_policies=own)
    found, sentence, _ = judged(NOT_PUBLIC, outcomes_of(NOT_PUBLIC, setting), setting=setting)
    assert found is Verdict.INCONCLUSIVE
    assert "partner's own policies may be its cause" in sentence


def test_a_stranger_whose_session_is_limited_shows_nothing_of_the_bucket() -> None:
    limited = replace(SETTING.principals["partner"], limited=True)
    setting = replace(SETTING, principals={**SETTING.principals, "partner": limited})
    assert judged(NOT_PUBLIC, outcomes_of(NOT_PUBLIC, setting), setting=setting)[0] is Verdict.INCONCLUSIVE


def test_one_of_the_owners_principals_is_no_stranger() -> None:
    claim = replace(NOT_PUBLIC, principals=("anonymous", "user"))
    base = outcomes_of(claim)
    named = {probe: denied(Layer.RESOURCE) if row.denied else row for probe, row in base.items()}
    found, sentence, _ = judged(claim, named)
    assert found is Verdict.INCONCLUSIVE
    assert "belongs to main" in sentence


# --- cross-account ---------------------------------------------------------------------------------------------------


def test_more_than_is_granted_is_no_owners_denial_where_the_grantees_own_policies_are_not_known() -> None:
    setting = replace(SETTING, own_policies={})
    found, sentence, _ = judged(EXACTLY, outcomes_of(EXACTLY, setting), setting=setting)
    assert found is Verdict.INCONCLUSIVE
    assert "partner's own policies may be its cause" in sentence


def test_what_is_not_tried_of_other_accounts_is_no_secret() -> None:
    assert told(EXACTLY) == []
    assert told(replace(EXACTLY, refused=())) == [
        "nobody of another account was refused: whom the bucket shuts out was not tried"
    ]
    assert told(replace(EXACTLY, untried=("a:b", "c:d"))) == ["not tried of other accounts: a:b, c:d"]


# --- tls-only with a minimum -----------------------------------------------------------------------------------------


def by_interface() -> Setting:
    main = replace(SETTING.endpoints[MAIN], type="interface")
    return replace(SETTING, endpoints={**SETTING.endpoints, MAIN: main})


def test_interface_endpoints_have_no_tls_13_and_the_claim_says_so() -> None:
    handshake = Outcome(kind=OutcomeKind.INCONCLUSIVE, reason="the TLS handshake failed")
    base = outcomes_of(TLS_13, by_interface())
    bent = {probe: handshake if probe.cell.transport is Transport.TLS13 else row for probe, row in base.items()}
    found, sentence, _ = judged(TLS_13, bent, setting=by_interface())
    assert found is Verdict.INCONCLUSIVE
    assert "through vpce-main, and interface endpoints do not speak TLS 1.3" in sentence
    assert judged(TLS_12, outcomes_of(TLS_12, by_interface()), setting=by_interface())[0] is Verdict.PROVEN


def test_a_proxy_that_speaks_another_version_to_s3_proves_nothing() -> None:
    policy = tls("1.2").policy
    bent = {
        probe: denied(Layer.SESSION) if probe.session_policy == policy else row
        for probe, row in outcomes_of(TLS_13).items()
    }
    found, sentence, _ = judged(TLS_13, bent)
    assert found is Verdict.INCONCLUSIVE
    assert "nothing shows that S3 saw TLS 1.2" in sentence


def test_an_older_version_that_gets_in_refutes() -> None:
    bent = {
        probe: ALLOWED if probe.cell.transport is Transport.TLS12 else row for probe, row in outcomes_of(TLS_13).items()
    }
    assert judged(TLS_13, bent)[0] is Verdict.REFUTED


# --- endpoint-policy-limits ------------------------------------------------------------------------------------------


def limits(policy: str | None, **bends: Outcome) -> tuple[Verdict, str]:
    """The claim where the endpoint's policy reads so; `inside` and `outside` are outcomes on the other bucket."""
    main = replace(SETTING.endpoints[MAIN], policy=policy)
    setting = replace(SETTING, endpoints={**SETTING.endpoints, MAIN: main})
    places = {"app-subnet": "inside", "internet": "outside"}
    outcomes = {
        probe: bends.get(places[probe.cell.vantage], row) if probe.cell.label == "elsewhere" else row
        for probe, row in outcomes_of(ENDPOINT_POLICY_LIMITS, setting).items()
    }
    return judged(ENDPOINT_POLICY_LIMITS, outcomes, setting=setting)[:2]


@pytest.mark.parametrize("policy", [None, OPEN_POLICY, "not json"])
def test_a_denial_that_may_be_the_other_buckets_own_is_chance(policy: str | None) -> None:
    found, sentence = limits(policy)
    assert found is Verdict.INCONCLUSIVE
    assert "the policy of elsewhere may be its cause" in sentence


def test_a_control_bucket_has_no_restrictions_of_its_own() -> None:
    claim = replace(ENDPOINT_POLICY_LIMITS, unreached=("control:partner",))
    shut = make_probe("s3:GetObject", "control:partner", principal="app", vantage="app-subnet")
    outcomes = {**outcomes_of(claim), **dict.fromkeys(claim.cells().denied, denied())}
    layers = [
        row
        for row in claim.judge(SETTING, Results(outcomes=outcomes))
        if (row.kind, row.cell) == (Kind.LAYER, shut.cell.id)
    ]
    assert [row.status for row in layers] == [Status.GOOD]
    assert "control:partner is a control bucket, without restrictions" in layers[0].sentence


def test_a_named_endpoint_denial_needs_no_policy() -> None:
    assert limits(None, inside=denied(Layer.VPC_ENDPOINT))[0] is Verdict.PROVEN


def test_another_layer_is_not_the_endpoint() -> None:
    found, sentence = limits(OPEN_POLICY, inside=denied(Layer.RESOURCE))
    assert found is Verdict.INCONCLUSIVE
    assert "not by vpc_endpoint" in sentence


def test_what_is_in_reach_from_nowhere_is_not_closed_by_the_endpoint() -> None:
    assert limits(None, inside=denied(Layer.VPC_ENDPOINT), outside=UNREACHABLE)[0] is Verdict.INCONCLUSIVE
    assert limits(None, inside=denied(Layer.VPC_ENDPOINT), outside=denied())[0] is not Verdict.PROVEN


def test_an_inside_that_takes_another_way_proves_nothing_of_the_endpoint() -> None:
    bent = {}
    for probe, row in outcomes_of(ENDPOINT_POLICY_LIMITS).items():
        own = probe.cell.vantage == "app-subnet" and probe.session_policy
        bent[probe] = reading(probe, "") if own else row
    found, sentence, _ = judged(ENDPOINT_POLICY_LIMITS, bent)
    assert found is Verdict.INCONCLUSIVE
    assert "through no VPC endpoint, and not through vpce-main" in sentence


def test_an_outside_that_goes_through_the_endpoint_is_no_outside() -> None:
    claim = replace(ENDPOINT_POLICY_LIMITS, outside=("app-subnet",), inside=("internet",))
    outcomes = {
        probe: reading(probe, MAIN) if probe.session_policy else row for probe, row in outcomes_of(claim).items()
    }
    found, sentence, _ = judged(claim, outcomes)
    assert found is Verdict.INCONCLUSIVE
    assert "app-subnet is no outside vantage point" in sentence


def test_an_unread_policy_is_told() -> None:
    assert told(ENDPOINT_POLICY_LIMITS) == []
    unread = replace(SETTING, endpoints={})
    assert told(ENDPOINT_POLICY_LIMITS, unread) == ["the policy of vpce-main could not be read"]


# --- separate-duties -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vantage", "path", "words"),
    [
        ("app-subnet", "", "through no VPC endpoint, and not through vpce-main"),
        ("app-subnet", PARTNER, "through vpce-partner, and not through vpce-main"),
        ("partner-vpc", MAIN, "through vpce-main, and not through vpce-partner"),
        ("internet", MAIN, "internet is no outside vantage point"),
    ],
)
def test_duties_that_take_another_way_show_nothing(vantage: str, path: str, words: str) -> None:
    bent = {
        probe: reading(probe, path) if probe.session_policy and probe.cell.vantage == vantage else row
        for probe, row in outcomes_of(SEPARATE_DUTIES).items()
    }
    found, sentence, _ = judged(SEPARATE_DUTIES, bent)
    assert found is Verdict.INCONCLUSIVE
    assert words in sentence


def test_an_endpoint_of_duties_that_nobody_went_through_leaves_them_open() -> None:
    claim = replace(SEPARATE_DUTIES, read_through=(MAIN, "vpce-more"))
    outcomes = {probe: good(claim, probe) for probe in claim.probes(SETTING)}
    found, sentence, _ = judged(claim, outcomes)
    assert found is Verdict.INCONCLUSIVE
    assert "no vantage point was shown to reach S3 through vpce-more" in sentence


def test_duties_without_an_outside_say_so() -> None:
    claim = replace(SEPARATE_DUTIES, outside=())
    assert judged(claim, outcomes_of(claim))[0] is Verdict.PROVEN
    assert told(claim) == ["nothing was tried from outside of both endpoints"]
    assert told(SEPARATE_DUTIES) == []


# --- tag-scoped ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hypothesis", [BASELINE, IMPOSSIBLE, tagged("team", "red")], ids=lambda row: row.says)
def test_names_may_decide_where_the_tags_were_not_seen(hypothesis: Hypothesis) -> None:
    bend = ALLOWED if hypothesis is IMPOSSIBLE else denied(Layer.SESSION)
    bent = {
        probe: bend if probe.session_policy == hypothesis.policy and probe.cell.target.name == "ours" else row
        for probe, row in outcomes_of(TAG_SCOPED).items()
    }
    found, sentence, _ = judged(TAG_SCOPED, bent)
    assert found is Verdict.INCONCLUSIVE
    assert "nothing shows that S3 saw the tag team red of app and of reports+ours" in sentence


def test_an_object_without_the_tag_must_be_there() -> None:
    (witness,) = TAG_SCOPED._witnessed()
    found, sentence, _ = judged(TAG_SCOPED, {**outcomes_of(TAG_SCOPED), witness: MISSING})
    assert found is Verdict.INCONCLUSIVE
    assert "reports+plain" in sentence


def test_principals_told_apart_by_more_than_tags_are_told() -> None:
    names = "of each value one key was tried, whose name may decide in place of its tag: ours, theirs"
    roles = "the principals are of different roles, which may be told apart by more than their tags"
    assert told(TAG_SCOPED) == [roles, names]
    one = replace(TAG_SCOPED, given=tuple((value, "app", key) for value, _, key in TAG_SCOPED.given), untagged=None)
    assert told(one) == [names, "no object without the tag team was tried"]


# --- presigned-bounded -----------------------------------------------------------------------------------------------


def test_an_old_url_that_nobody_takes_anywhere_shows_nothing_of_the_bucket() -> None:
    expired = Outcome(kind=OutcomeKind.INCONCLUSIVE, code="AccessDenied", reason="the presigned request has expired")
    bent = {
        probe: expired if probe.cell.principal == "old-link" else row
        for probe, row in outcomes_of(PRESIGNED_BOUNDED).items()
    }
    found, sentence, _ = judged(PRESIGNED_BOUNDED, bent)
    assert found is Verdict.INCONCLUSIVE
    assert "by old-link:app-subnet over https was inconclusive" in sentence


def test_urls_without_named_endpoints_are_not_compared_by_their_ways() -> None:
    claim = replace(PRESIGNED_BOUNDED, endpoints=())
    assert judged(claim, outcomes_of(claim))[0] is Verdict.PROVEN
    assert "the ways from inside and outside were not compared" in "".join(told(claim))
    assert told(PRESIGNED_BOUNDED) == []


@pytest.mark.parametrize(("vantage", "path"), [("app-subnet", ""), ("internet", MAIN), ("app-subnet", PARTNER)])
def test_urls_that_take_another_way_show_nothing(vantage: str, path: str) -> None:
    bent = {
        probe: reading(probe, path) if probe.session_policy and probe.cell.vantage == vantage else row
        for probe, row in outcomes_of(PRESIGNED_BOUNDED).items()
    }
    assert judged(PRESIGNED_BOUNDED, bent)[0] is Verdict.INCONCLUSIVE


def test_outside_is_what_goes_through_none_of_the_named_endpoints_by_whichever_way() -> None:
    """An endpoint that nobody may describe is no candidate, and none of the named all the same."""
    setting = replace(SETTING, vantage_endpoints={"app-subnet": (MAIN,)}, endpoints={MAIN: SETTING.endpoints[MAIN]})
    for claim in (PRESIGNED_BOUNDED, replace(SEPARATE_DUTIES, outside=("partner-vpc",), write_at=("internet",))):
        outcomes = outcomes_of(claim, setting)
        for probe in outcomes:
            if probe.cell.vantage == "partner-vpc" and probe.session_policy:
                outcomes[probe] = reading(probe, "vpce-unheard-of")
        (found,) = {
            row.sentence: row
            for row in claim.judge(setting, Results(outcomes=outcomes))
            if row.kind is Kind.PATH and row.name == "path partner-vpc"
        }.values()
        assert found.status is Status.GOOD, found.sentence
        assert "from partner-vpc reach S3 through none of" in found.sentence
        shut = {probe: denied(Layer.SESSION) if probe.session_policy else row for probe, row in outcomes.items()}
        unread = [row for row in claim.judge(setting, Results(outcomes=shut)) if row.name == "path partner-vpc"]
        assert {row.status for row in unread} == {Status.MISSING}


def test_an_endpoint_is_used_where_it_was_read_whatever_the_sentence_says() -> None:
    finding = Finding(kind=Kind.PATH, name="path", status=Status.GOOD, sentence=f"it goes through {MAIN}")
    assert list(used([Way((MAIN,), finding)], [MAIN])) == []
    (missing,) = used([Way((), finding), Way((PARTNER,), finding)], [MAIN])
    assert missing.status is Status.MISSING


@pytest.mark.parametrize("claim", [ENDPOINT_ONLY, VPC_ONLY, SOURCE_IP_ONLY, TLS_ONLY], ids=lambda claim: claim.id)
def test_what_a_form_asks_for_besides_is_asked_for_by_itself(claim: Any) -> None:
    """Else nobody knows whether a denial is of the action under test, or of the one that its form needs as well."""
    claim = replace(claim, actions=("s3:DeleteObject",))
    probes = set(claim.probes(SETTING))
    deleting = [probe.cell for probe in probes if probe.cell.operation == "DeleteObject"]
    assert {cell.transport for cell in deleting} >= {Transport.HTTP if claim.id.startswith("tls") else Transport.HTTPS}
    for cell in deleting:
        helpers = list(helper_probes(cell))
        assert [row.cell.action for row in helpers] == ["s3:GetObject"]
        assert set(helpers) <= probes


def test_whoever_is_let_in_needs_no_control_and_whoever_is_not_does() -> None:
    """An endpoint that lets nothing but the bucket itself through, which is as narrow as endpoints should be."""
    outcomes = outcomes_of(ENDPOINT_ONLY)
    shut = {
        probe: denied(Layer.VPC_ENDPOINT)
        if probe.cell.vantage == "app-subnet" and probe.cell.label == "control:main"
        else row
        for probe, row in outcomes.items()
    }
    assert judged(ENDPOINT_ONLY, shut)[0] is Verdict.PROVEN
    first = ENDPOINT_ONLY.cells().allowed[0]
    found, sentence, _ = judged(ENDPOINT_ONLY, {**shut, first: denied(Layer.VPC_ENDPOINT)})
    assert found is Verdict.INCONCLUSIVE
    assert "app:app-subnet could not be shown to reach S3 over https with good credentials" in sentence


# --- break-glass -----------------------------------------------------------------------------------------------------


def test_what_is_not_tried_of_the_policy_is_told() -> None:
    careful = replace(BREAK_GLASS, inferred=False, untried=("user:internet",))
    assert {probe.cell.operation for probe in careful.cells().allowed} == {"GetBucketPolicy"}
    assert told(careful) == [
        "not tried, since its form is inferred: set `inferred: true`: s3:PutBucketPolicy",
        (
            "not tried, since the request takes nothing that S3 could refuse it for: "
            "set `mutating: true`, in a scratch bucket: s3:DeleteBucketPolicy"
        ),
        "not tried: user:internet",
    ]
    assert len(told(BREAK_GLASS)) == 1
    assert all(probe.cell.inferred for probe in BREAK_GLASS.cells().denied)


def test_a_policy_that_is_really_deleted_leaves_nothing_untried() -> None:
    assert told(GLASS_GONE) == []
    deleting = [probe.cell for probe in GLASS_GONE.probes(SETTING) if probe.cell.operation == "DeleteBucketPolicy"]
    assert [cell.mutating for cell in deleting] == [True] * 3
    assert [cell.who for cell in deleting] == ["partner:partner-vpc", "anonymous:internet", "app:app-subnet"]
    assert list(GLASS_GONE.probes(SETTING))[-3:] == [Probe(cell=cell) for cell in deleting], "last of all"
    assert not any(probe.cell.mutating for probe in BREAK_GLASS.probes(SETTING))


@pytest.mark.parametrize(
    ("policies", "words"),
    [
        ({}, "the policy of reports was not deleted"),
        ({"reports": (False, "the policy of reports may not be as it was: x")}, "may not be as it was: x"),
    ],
)
def test_a_policy_that_is_not_back_proves_nothing(policies: dict[str, tuple[bool, str]], words: str) -> None:
    results = Results(outcomes=outcomes_of(GLASS_GONE), policies=policies)
    found, sentence, _ = verdict_of(GLASS_GONE.judge(SETTING, results))
    assert found is Verdict.INCONCLUSIVE
    assert words in sentence
    others = next(probe for probe in GLASS_GONE.cells().denied if probe.cell.mutating)
    let = Results(outcomes={**outcomes_of(GLASS_GONE), others: ALLOWED}, policies=policies)
    assert verdict_of(GLASS_GONE.judge(SETTING, let))[0] is Verdict.REFUTED, "whoever could is told all the same"


APP, RUNNER = "arn:aws:iam::111122223333:role/app", "arn:aws:iam::111122223333:role/runner"
POLICY_ACTIONS = ("s3:deletebucketpolicy", "s3:GetBucketPolicy", "s3:PutBucketPolicy")


@pytest.mark.parametrize(
    ("bound", "names", "left"),
    [
        ("action", POLICY_ACTIONS, None),
        ("action", (*POLICY_ACTIONS, "s3:PutObject"), None),
        ("action", POLICY_ACTIONS[1:], POLICY_ACTIONS[1:]),
        ("notaction", POLICY_ACTIONS, POLICY_ACTIONS),
        ("aws:principalarn", (APP,), None),
        ("aws:principalarn", (RUNNER, APP), (RUNNER,)),
        ("aws:principalarn", ("arn:aws:iam::111122223333:role/a*",), ("arn:aws:iam::111122223333:role/a*",)),
        ("aws:principaltag", (APP,), (APP,)),
        ("resource", ("arn:aws:s3:::r",), ("arn:aws:s3:::r",)),
    ],
)
def test_a_deny_that_spares_the_administrators_is_what_break_glass_is_about(
    bound: str, names: tuple[str, ...], left: tuple[str, ...] | None
) -> None:
    """Whom else it spares was not tried."""
    gap = Gap("`Guard` holds only", names, bound)
    assert BREAK_GLASS.unmeant(gap, SETTING) == (None if left is None else replace(gap, names=left))
    assert EXACTLY.unmeant(gap, SETTING) == gap


def test_a_form_that_tells_nobody_apart_breaks_no_glass() -> None:
    bent = {
        probe: ALLOWED if probe.cell.operation == "PutBucketPolicy" else row
        for probe, row in outcomes_of(BREAK_GLASS).items()
    }
    found, sentence, _ = judged(BREAK_GLASS, bent)
    assert found is Verdict.INCONCLUSIVE
    assert "was not calibrated" in sentence
    shut = {
        probe: denied() if probe.cell.operation == "PutBucketPolicy" else row
        for probe, row in outcomes_of(BREAK_GLASS).items()
    }
    assert judged(BREAK_GLASS, shut)[0] is Verdict.REFUTED


def test_the_endpoint_does_not_keep_others_from_the_policy() -> None:
    shut = replace(SETTING.endpoints[PARTNER], policy=SHUT)
    setting = replace(SETTING, endpoints={**SETTING.endpoints, PARTNER: shut})
    unnamed = dict.fromkeys(BREAK_GLASS.cells().denied, denied())
    assert judged(BREAK_GLASS, {**outcomes_of(BREAK_GLASS), **unnamed})[0] is Verdict.PROVEN
    found, sentence, _ = judged(BREAK_GLASS, {**outcomes_of(BREAK_GLASS, setting), **unnamed}, setting=setting)
    assert found is Verdict.INCONCLUSIVE
    assert "the endpoint's policy could not be excluded" in sentence


# --- least-privilege -------------------------------------------------------------------------------------------------


def test_everything_beyond_the_grant_is_asked_for_or_told() -> None:
    claim = replace(LEAST_PRIVILEGE, operations=tuple(OPERATIONS), inferred=True)
    asked = {probe.cell.operation for probe in claim.cells().denied}
    said = "; ".join(told(claim))
    granted = {"s3:GetObject", "s3:ListBucket"}
    for name, row in OPERATIONS.items():
        beyond = set(row.actions) - granted
        about_buckets = any(requirement.resource is not Resource.NONE for requirement in row.requires)
        spoken_for = beyond <= {probe.cell.action for probe in claim.cells().denied}
        assert not (beyond and about_buckets) or name in asked or spoken_for or name in said, name
    assert len(asked) > 60
    assert "no form of theirs changes nothing: DeleteBucket" in said


def test_under_test_is_the_one_action_that_is_not_granted() -> None:
    claim = replace(LEAST_PRIVILEGE, operations=("CopyObject", "GetObjectAttributes", "HeadObject"))
    granted = {probe.cell.operation for probe in claim.cells().allowed}
    beside = {probe for probe in claim.cells().denied if probe.cell.operation not in granted}
    assert {probe.cell.operation: probe.cell.action for probe in beside} == {
        "CopyObject": "s3:PutObject",
        "GetObjectAttributes": "s3:GetObjectAttributes",
    }


def test_inferred_forms_and_those_with_helpers_beyond_the_grant_are_told() -> None:
    claim = replace(LEAST_PRIVILEGE, actions=("s3:PutObject",), neighbours=())
    said = told(claim)
    assert any("their forms are inferred: set `inferred: true`: " in row and "PutBucketPolicy" in row for row in said)
    assert any("ask for what is not granted besides: " in row and "PutObjectTagging" in row for row in said)
    assert "no neighbouring key was tried" in said
    assert "DeleteObject" not in {probe.cell.operation for probe in claim.cells().denied}


def test_a_neighbour_that_is_not_there_shows_nothing() -> None:
    bent = {
        probe: MISSING if probe.cell.principal == "user" and probe.cell.target.name == "next" else row
        for probe, row in outcomes_of(LEAST_PRIVILEGE).items()
    }
    found, sentence, _ = judged(LEAST_PRIVILEGE, bent)
    assert found is Verdict.INCONCLUSIVE
    assert "no object was shown to be there on reports+next" in sentence


def test_an_endpoint_that_lets_little_through_is_no_least_privilege() -> None:
    shut = dict.fromkeys(LEAST_PRIVILEGE.cells().denied, denied(Layer.VPC_ENDPOINT))
    found, sentence, _ = judged(LEAST_PRIVILEGE, {**outcomes_of(LEAST_PRIVILEGE), **shut})
    assert found is Verdict.INCONCLUSIVE
    assert "was denied by vpc_endpoint" in sentence


def test_without_named_keys_the_canary_is_meant_and_no_listing_is_scoped() -> None:
    claim = replace(LEAST_PRIVILEGE, keys=(), neighbours=(), witness=None)
    assert judged(claim, outcomes_of(claim))[0] is Verdict.PROVEN
    assert {probe.cell.id for probe in claim.cells().allowed} == {
        "GetObject/reports/app:app-subnet/https",
        "ListObjectsV2/reports/app:app-subnet/https",
    }
    absent = {
        probe: MISSING if probe.cell.operation == "GetObject" else row for probe, row in outcomes_of(claim).items()
    }
    assert judged(claim, absent, canaries={})[0] is Verdict.INCONCLUSIVE


def test_a_listing_that_is_granted_without_named_keys_takes_the_neighbours_in() -> None:
    """Of the whole bucket it is: nobody can be refused a part of that."""
    claim = replace(LEAST_PRIVILEGE, actions=("s3:GetObject", "s3:ListBucket"), keys=())
    assert claim.neighbours
    outcomes = outcomes_of(claim)
    listings = {probe: ALLOWED for probe in outcomes if probe.cell.operation == "ListObjectsV2"}
    verdict, sentence, _ = judged(claim, outcomes | listings)
    assert verdict is Verdict.PROVEN, sentence


# --- forms that a policy may deny -------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", [EXACTLY, NOT_PUBLIC, LEAST_PRIVILEGE], ids=lambda claim: claim.id)
def test_a_policy_that_denies_one_form_of_a_write_closes_nothing(
    claim: CrossAccount | NotPublic | LeastPrivilege,
) -> None:
    writes = [probe for probe in claim.cells().denied if probe.cell.operation == "PutObject"]
    assert {words(probe.cell) for probe in writes} == {
        "",
        "with AES256",
        "with aws:kms",
        "with aws:kms:dsse",
        "with SSE-C",
    }
    for probe in writes:
        found, sentence, _ = judged(claim, {**outcomes_of(claim), probe: ALLOWED})
        assert found is Verdict.REFUTED
        assert words(probe.cell) in sentence
