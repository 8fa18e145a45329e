"""Why a claim is not proven: the statements that decided, each once, in every report; and what mends it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.matrix import ClaimResult, Evidence, Expected, Matrix, Predicted, Status, Verdict
from pytest_s3vpce.model import Expect, OutcomeKind, Place, Target, Transport
from pytest_s3vpce.report import html, markdown
from pytest_s3vpce.report.terminal import Colour, render
from pytest_s3vpce.run.predicting import with_predictions
from pytest_s3vpce.run.verdicts import verdicts_of
from tests.unit.predictions import (
    BUCKET,
    BUILDER,
    ENDPOINT,
    GUARD,
    NOW,
    OWNER,
    cell,
    measured,
    snapshot,
    statement,
    topology,
)

if TYPE_CHECKING:
    from pytest_s3vpce.model import Cell
    from pytest_s3vpce.snapshot import Snapshot

ALLOWED, DENIED, LOST = OutcomeKind.ALLOWED, OutcomeKind.DENIED, OutcomeKind.UNREACHABLE
OBJECTS_ONLY = {**GUARD, "Resource": f"{BUCKET}/*"}
GRANT = statement("Allow", sid="Grant")
OUTSIDE, INSIDE = cell("ListObjectsV2", "app:known"), cell("ListObjectsV2", "app:inside")
MISSED = (
    "the deny that should have matched is `Guard` of the bucket policy of reports, but Resource "
    f"{BUCKET}/* does not match {BUCKET}"
)


def finding(kind: str, sent: Cell, status: Status = Status.BAD) -> Evidence:
    return Evidence(kind=kind, name=f"{kind} {sent.id}", status=status, sentence="it was found", cell=sent.id)


def claimed(
    found: Snapshot, *rows: tuple[str, Cell, OutcomeKind, Status], kind: str = "endpoint-only", **more: Any
) -> Matrix:
    """A claim that rests on these findings, explained from the snapshot."""
    claim = ClaimResult(
        id=f"{kind}/reports",
        kind=kind,
        bucket="reports",
        verdict=more.pop("verdict", Verdict.REFUTED),
        sentence="it does not hold",
        cells=tuple(sent.id for _, sent, _, _ in rows),
        evidence=tuple(finding(name, sent, status) for name, sent, _, status in rows),
        place=Place("test_a.access.yaml", 3),
    )
    matrix = Matrix(
        mode="lab",
        run_id="r",
        version="1",
        started=NOW,
        seconds=1.0,
        claims=(claim,),
        controls=tuple(measured(sent, outcome) for _, sent, outcome, _ in rows),
    )
    sent = more.pop("sent", {sent.id: sent for _, sent, _, _ in rows})
    return with_predictions(matrix, [], found, session_name="s1", builder=BUILDER, sent=sent)


def lines(matrix: Matrix) -> list[str]:
    return verdicts_of(matrix)[matrix.claims[0].id].text.splitlines()


LEAKS = claimed(
    snapshot(GRANT, OBJECTS_ONLY),
    ("positive", INSIDE, ALLOWED, Status.GOOD),
    ("negative", OUTSIDE, ALLOWED, Status.BAD),
)


def test_a_refuted_claim_names_the_statements_and_the_fix_before_anything_else() -> None:
    told = lines(LEAKS)
    assert told[:8] == [
        "refuted: it does not hold",
        f"why {OUTSIDE.id}:",
        "  allowed by `Grant` of the bucket policy of reports",
        "  allowed by `All` of the identity policy inline of app",
        f"  {MISSED}",
        "  path: the internet, from 198.51.100.7, by no endpoint",
        f"  fix: add {BUCKET} to Resource of `Guard`",
        "look at: `Guard`, which should have denied it, and `Grant` of the bucket policy of reports",
    ]


def test_every_report_says_it() -> None:
    wanted = ("the deny that should have matched is `Guard` of the bucket policy of reports", "to Resource of `Guard`")
    text = render(LEAKS, colour=Colour.PLAIN, width=400)
    assert all(part in text for part in wanted)
    for part in ("Guard", "should have matched"):
        assert part in html.render(LEAKS)
        assert part in markdown.render(LEAKS)
    page = html.render(LEAKS).partition('<script type="application/json"')[0]
    assert page.count(f"add {BUCKET} to Resource of `Guard`") == 1
    assert "<b>to fix</b> add " in page
    again = Matrix.from_json(LEAKS.to_json())
    assert again == LEAKS
    assert again.claims[0].explanations[0].predicted.missed == "Guard"
    verdict = verdicts_of(LEAKS)["endpoint-only/reports"]
    assert (verdict.data["missed"], verdict.data["statement"]) == ("Guard", "Grant")
    assert dict(verdict.properties())["s3vpce.fix"] == f"add {BUCKET} to Resource of `Guard`"
    assert json.loads(verdict.short())["policy"] == "bucket policy of reports"


def test_what_one_statement_decided_is_told_once_and_what_refutes_alone() -> None:
    many = [cell("ListObjectsV2", f"app:{place}") for place in ("known", "internet")]
    reach = ("reach", cell("GetObject", "app:known"), DENIED, Status.MISSING)
    bad = [("negative", sent, ALLOWED, Status.BAD) for sent in many]
    (one,) = claimed(snapshot(GRANT, OBJECTS_ONLY), reach, *bad).claims[0].explanations
    assert one.cells == tuple(sent.id for sent in many)
    assert one.of == f"{many[0].id} and 1 more"
    (other,) = claimed(snapshot(GRANT, OBJECTS_ONLY), reach, verdict=Verdict.INCONCLUSIVE).claims[0].explanations
    assert (other.wanted, other.predicted.statement) == (Expect.ALLOW, "Guard")
    assert other.predicted.explanation[0].startswith("denied by `Guard` of the bucket policy of reports")


def test_controls_have_their_predictions_and_cells_that_nobody_sent_none() -> None:
    controls = {row.id: row.predicted for row in LEAKS.controls}
    assert controls[INSIDE.id] is None
    explained = controls[OUTSIDE.id]
    assert explained is not None
    assert explained.fix
    unsent = claimed(snapshot(GRANT), ("negative", OUTSIDE, ALLOWED, Status.BAD), sent={})
    assert unsent.claims[0].explanations == ()
    said = (
        "`s3vpce why endpoint-only/reports` names the statement that decided, and so does a run with --s3vpce-predict"
    )
    assert lines(unsent)[1] == f"look at: {said}"
    assert said in render(unsent, colour=Colour.PLAIN, width=400)
    assert "names the statement that decided" in markdown.render(unsent)
    assert "names the statement that decided" in html.render(unsent)
    assert not any("s3vpce why" in line for line in lines(LEAKS))
    tested = replace(unsent.claims[0], place=Place("test_a.py", 3))  # of a Python test, which no file declares
    assert tested.look_at == said.replace("endpoint-only/reports", OUTSIDE.id)
    asks = replace(tested, cells=("PutObject+sse-1/reports/app:known/https",))
    assert asks.look_at == "a run with --s3vpce-predict names the statement that decided"
    nowhere = replace(unsent, claims=(replace(unsent.claims[0], cells=()),))
    assert not any("s3vpce why" in line for line in lines(nowhere))


def test_a_setting_that_refutes_alone_is_named_with_its_fix() -> None:
    setting = Evidence(
        kind="configuration", name="block public access", status=Status.BAD, sentence="it is off", fix="turn it on"
    )
    (claim,) = claimed(snapshot(GRANT)).claims
    bare = replace(claim, kind="not-public", verdict=Verdict.REFUTED, cells=(), explanations=(), evidence=(setting,))
    refuted = replace(LEAKS, claims=(bare,))
    told = ["look at: block public access of reports", "fix: turn it on"]
    assert lines(refuted)[1:3] == told
    shown = render(refuted, colour=Colour.PLAIN, width=400)
    assert all(line in shown for line in told)
    assert "fix: turn it on" in markdown.render(refuted)
    assert "<b>Fix</b> turn it on" in html.render(refuted)
    assert next(row.data["fix"] for row in verdicts_of(refuted).values() if "verdict" in row.data) == "turn it on"
    proven = replace(bare, verdict=Verdict.PROVEN, passed=True)
    good = replace(proven, evidence=(replace(setting, status=Status.GOOD, fix=""),))
    assert (good.look_at, good.fixes) == ("", ())


@pytest.mark.parametrize(
    ("predicted", "stands"),
    [
        (Predicted(expected=Expected.ALLOW, policy="policy of vpce-1", statement="A", place="p.json:1:2"),
         "`A` of the policy of vpce-1 (p.json:1:2)"),
        (Predicted(expected=Expected.UNREACHABLE, path="none: no route"), "the way it takes: none: no route"),
        (Predicted(expected=Expected.UNKNOWN, reason="it was not read"), "it was not read"),
    ],
)  # fmt: skip
def test_what_decided_stands_somewhere(predicted: Predicted, stands: str) -> None:
    assert predicted.stands == stands


@pytest.mark.parametrize(
    ("kind", "outcome", "status", "said"),
    [
        ("layer", DENIED, Status.MISSING, "denied by `Guard`"),
        ("reach", DENIED, Status.MISSING, "denied by `Guard`"),
        ("positive", LOST, Status.MISSING, "denied by `Guard`"),
        ("positive", OutcomeKind.INCONCLUSIVE, Status.MISSING, ""),
        ("negative", ALLOWED, Status.MISSING, ""),
        ("canary", DENIED, Status.MISSING, ""),
        ("negative", DENIED, Status.GOOD, ""),
    ],
)
def test_an_open_claim_is_explained_where_a_policy_or_the_network_left_it_open(
    kind: str, outcome: OutcomeKind, status: Status, said: str
) -> None:
    found = claimed(snapshot(GUARD), (kind, OUTSIDE, outcome, status), verdict=Verdict.INCONCLUSIVE).claims[0]
    told = [line for one in found.explanations for line in one.predicted.explanation]
    assert bool(told) is bool(said)
    assert not said or told[0].startswith(said)
    fixes = [line for line in told if line.startswith("fix: ")]
    assert len(fixes) == (1 if kind in ("reach", "positive") and said else 0)


def test_a_proven_claim_needs_no_explanation() -> None:
    found = claimed(snapshot(GUARD), ("layer", OUTSIDE, DENIED, Status.MISSING), verdict=Verdict.PROVEN)
    assert found.claims[0].explanations == ()


def test_what_the_policies_do_not_say_is_told_as_a_surprise() -> None:
    found = claimed(snapshot(GUARD), ("negative", OUTSIDE, ALLOWED, Status.BAD))
    (one,) = found.claims[0].explanations
    assert one.predicted.surprise
    assert "surprise: predicted explicit_deny, measured allowed" in one.predicted.explanation
    assert "fix" not in "".join(one.predicted.explanation)


def test_over_http_no_deny_about_the_way_should_have_matched() -> None:
    plain = cell(who="app:inside", transport=Transport.HTTP)
    found = claimed(
        snapshot(GUARD),
        ("positive", cell(who="app:inside"), ALLOWED, Status.GOOD),
        ("negative", plain, ALLOWED, Status.BAD),
        kind="tls-only",
    )
    told = lines(found)
    assert any(line.startswith("  no deny that was read is about plain http; the nearest is `Guard`") for line in told)
    assert not any("should have matched" in line for line in told)
    assert "  fix: add a deny of s3:* to the bucket policy of reports where Bool aws:SecureTransport is false" in told


def test_a_wide_endpoint_policy_is_what_its_claim_blames() -> None:
    wide = statement("Allow", sid="Everything", Resource="*")
    text = json.dumps({"Version": "2012-10-17", "Statement": [wide]})
    network = topology(endpoints=(replace(topology().endpoints[0], policy=text),))
    found = claimed(
        snapshot(GRANT, network=network),
        ("negative", cell(who="app:inside"), ALLOWED, Status.BAD),
        kind="endpoint-policy-limits",
    )
    (one,) = found.claims[0].explanations
    assert (one.predicted.layer, one.predicted.statement) == (None, "Everything")
    assert one.predicted.fix.startswith("narrow `Everything` of the policy of vpce-1")


def test_another_key_that_is_allowed_makes_a_grant_too_wide_and_no_way() -> None:
    own, other = (cell(who="app:inside", target=Target(bucket="reports", name=name, key=name)) for name in ("a", "b"))
    found = claimed(
        snapshot(GRANT),
        ("positive", own, ALLOWED, Status.GOOD),
        ("negative", other, ALLOWED, Status.BAD),
    )
    assert found.claims[0].explanations[0].predicted.fix.startswith("narrow `Grant` of the bucket policy of reports")


def test_a_path_that_was_let_in_lacks_a_deny_about_the_way() -> None:
    inside = cell(who="app:inside")
    found = claimed(snapshot(GRANT), ("positive", inside, ALLOWED, Status.GOOD), ("path", inside, ALLOWED, Status.BAD))
    (one,) = found.claims[0].explanations
    assert one.wanted is Expect.DENY
    assert one.predicted.fix.startswith("add a deny of s3:* on the bucket and its objects to the bucket policy")


NEAR = cell("GetObject", "app:inside")
OTHERS = cell("GetObject", "app:inside", target=Target(bucket="reports", name="b", key="b"))


@pytest.mark.parametrize(
    ("kind", "allowed", "wanted", "fix"),
    [
        ("tag-scoped", NEAR, OTHERS, "where the object's tag (s3:ExistingObjectTag/...) is another than the caller's"),
        ("break-glass", INSIDE, NEAR, f"who may: arn:aws:sts::{OWNER}:assumed-role/app/s1 is none of them"),
        ("presigned-bounded", INSIDE, NEAR, "where NumericGreaterThan s3:signatureAge"),
        (
            "presigned-bounded",
            NEAR,
            cell(who="app:known"),
            "StringNotEquals aws:SourceVpce: this request came by no end",
        ),
        ("tls-only", NEAR, cell(who="app:inside", transport=Transport.TLS12), "NumericLessThan s3:TlsVersion 1.3"),
        (
            "encrypted-writes",
            NEAR,
            cell("PutObject", "app:inside", variant="x", parameters={"ServerSideEncryption": "AES256"}),
            "for other values of s3:x-amz-server-side-encryption than are meant",
        ),
        ("least-privilege", NEAR, OTHERS, "narrow `All` of the identity policy inline of app"),
    ],
)
def test_the_deny_that_is_missing_is_about_what_the_claim_is_about(
    kind: str, allowed: Cell, wanted: Cell, fix: str
) -> None:
    found = claimed(
        snapshot(), ("positive", allowed, ALLOWED, Status.GOOD), ("negative", wanted, ALLOWED, Status.BAD), kind=kind
    )
    assert fix in found.claims[0].explanations[0].predicted.fix


def test_a_deny_that_spares_the_way_and_is_for_other_requests_is_no_near_miss() -> None:
    """Reads by one endpoint: the deny of writes by another is not what should have matched."""
    writes = statement(
        sid="Writes", Action="s3:PutObject", conditions={"StringNotEquals": {"aws:SourceVpce": ENDPOINT}}
    )
    reads = cell("GetObject", "app:inside")
    found = claimed(snapshot(writes), ("negative", reads, ALLOWED, Status.BAD), kind="separate-duties")
    (one,) = found.claims[0].explanations
    assert "no deny about the way that it came by is for such requests; the nearest is `Writes` of" in "".join(
        one.predicted.explanation
    )
    assert one.predicted.fix.startswith("add a deny of s3:GetObject on the bucket and its objects")


def test_a_deny_of_other_buckets_is_not_what_should_have_matched() -> None:
    """Nor is one without conditions, where something other than the way tells the request from allowed ones."""
    elsewhere = statement(sid="Elsewhere", Resource="arn:aws:s3:::another-bucket/*")
    reads = statement(sid="Reads", Action="s3:PutObject")
    plain = cell(who="app:inside", transport=Transport.HTTP)
    for row, sent, kind in ((elsewhere, NEAR, "endpoint-only"), (reads, plain, "tls-only")):
        (one,) = claimed(snapshot(row), ("negative", sent, ALLOWED, Status.BAD), kind=kind).claims[0].explanations
        assert one.predicted.missed is None
        assert "no deny that was read is about" in "".join(one.predicted.explanation)
        assert one.predicted.fix.startswith("add a deny of s3:*")
    variable = statement(
        sid="Own", Resource="arn:aws:s3:::reports-${aws:PrincipalTag/x}/*", conditions=GUARD["Condition"]
    )
    (one,) = claimed(snapshot(variable), ("negative", OUTSIDE, ALLOWED, Status.BAD)).claims[0].explanations
    assert one.predicted.missed == "Own"
