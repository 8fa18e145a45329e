"""Records beside claims: how many of a claim's requests they bear out, and that what they contradict is not proven."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.claims import readings
from pytest_s3vpce.evidence import Clock, Source, with_evidence
from pytest_s3vpce.evidence.seeking import _AT_ONCE
from pytest_s3vpce.joining import joined
from pytest_s3vpce.matrix import (
    BucketResult,
    CellResult,
    ClaimResult,
    EndpointResult,
    Judged,
    Matrix,
    Reading,
    Received,
    Sent,
    Status,
    VantageResult,
    Verdict,
)
from pytest_s3vpce.model import OutcomeKind, Transport
from pytest_s3vpce.records import Asked, Asks, Recorded, Recording
from pytest_s3vpce.report import html, markdown
from pytest_s3vpce.report.terminal import Colour, render
from pytest_s3vpce.run.readings import asked_by
from pytest_s3vpce.run.verdicts import verdicts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.claims.readings import Hypothesis

ALLOWED, DENIED = OutcomeKind.ALLOWED, OutcomeKind.DENIED
NOW = 1_772_323_200.0
URL = "https://b.s3.eu-west-1.amazonaws.com/k"


def sent(request_id: str, *, bucket: str = "b", outcome: OutcomeKind = ALLOWED, **more: Any) -> CellResult:
    judged = Judged(outcome=outcome)
    made = CellResult(
        id=f"GetObject/{bucket}/app:inside/https",
        operation="GetObject",
        action="s3:GetObject",
        variant="",
        bucket=bucket,
        principal="app",
        vantage="inside",
        transport=Transport.HTTPS,
        expect=None,
        measured=judged,
        counted=judged,
        passed=None,
        sent=Sent(method="GET", url=URL, signed_at=NOW),
        received=Received(status=200, request_id=request_id, tls="TLSv1.3"),
    )
    return replace(made, **more)


def reading(request_id: str, *asks: Asked, outcome: OutcomeKind = ALLOWED, bucket: str = "control:main") -> Reading:
    return Reading(
        cell=f"GetObject/{bucket}/app:inside/https",
        bucket=bucket,
        vantage="inside",
        outcome=outcome,
        asks=asks,
        request_id=request_id,
    )


def shows(key: str, *values: str, how: Asks = Asks.IS) -> Asked:
    return Asked(key=key, how=how, values=values)


def event(request_id: str, *, endpoint: str | None = "vpce-1", **more: Any) -> dict[str, Any]:
    made = {
        "eventCategory": "Data",
        "requestID": request_id,
        "eventID": f"event-{request_id}",
        "eventTime": "2026-03-01T00:00:00Z",
        "sourceIPAddress": "10.0.0.9",
        "tlsDetails": {"tlsVersion": "TLSv1.3"},
        **more,
    }
    return made if endpoint is None else {**made, "vpcEndpointId": endpoint}


def matrix(*rows: CellResult, asked: tuple[Reading, ...] = (), verdict: Verdict = Verdict.PROVEN) -> Matrix:
    """A claim that rests on all of these, none of them declared."""
    ids = [row.received.request_id for row in rows if row.received] + [row.request_id for row in asked]
    claim = ClaimResult(
        id="endpoint-only/b",
        kind="endpoint-only",
        bucket="b",
        verdict=verdict,
        sentence="all held",
        passed=verdict is Verdict.PROVEN,
        requests=tuple(name for name in ids if name),
    )
    return Matrix(
        mode="live",
        run_id="r",
        version="1",
        started=NOW - 60,
        seconds=30,
        claims=(claim,),
        vantages=(VantageResult(name="inside", kind="lambda", path="vpce-1"),),
        buckets=(
            BucketResult(label="b", name="b", account="main", region="eu-west-1"),
            BucketResult(label="far", name="far", account="main", region="us-east-1"),
            BucketResult(label="control:main", name="c", account="main", region="eu-west-1"),
        ),
        endpoints=(EndpointResult(id="vpce-1", vpc="vpc-1", account="main", type="gateway"),),
        controls=rows,
        readings=asked,
    )


class Logs:
    """A log group with these events; each call is kept."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events = events
        self.patterns: list[str] = []

    def client(self, _: str) -> Logs:
        return self

    def get_paginator(self, _: str) -> Logs:
        return self

    def paginate(self, *, filterPattern: str, **_: Any) -> Iterator[Any]:  # noqa: N803 - boto3's names
        self.patterns.append(filterPattern)
        yield {
            "events": [{"message": json.dumps(row)} for row in self.events if f'"{row["requestID"]}"' in filterPattern]
        }


def recorded(found: Matrix, *events: dict[str, Any]) -> Matrix:
    return searched(found, Logs(*events))


def searched(found: Matrix, logs: Logs, *, wait: float = 30.0, kind: str = "log_group") -> Matrix:
    wall = SimpleNamespace(at=NOW)
    clock = Clock(now=lambda: wall.at, sleep=lambda span: setattr(wall, "at", wall.at + span))
    plane: Any = logs
    sources = [Source(kind=kind, name="here", account="main", plane=plane, wait=wait)]
    return with_evidence(found, sources, notify=lambda _: None, clock=clock)


def evidence_of(found: Matrix) -> list[Recording]:
    rows = [*(row.evidence for row in found.controls), *(row.evidence for row in found.readings)]
    return [row for row in rows if row is not None]


PATH = shows("aws:SourceVpce", "vpce-1")


def test_records_come_to_controls_and_readings_and_are_counted_for_the_claim() -> None:
    found = recorded(
        matrix(sent("R1"), sent("R2", bucket="control:main"), asked=(reading("R3", PATH), reading("R4"))),
        *(event(name) for name in ("R1", "R2", "R3")),
    )
    (claim,) = found.claims
    assert claim.records == Recorded(requests=4, recorded=3, paths=3)
    assert (claim.verdict, claim.passed) == (Verdict.PROVEN, True)
    assert claim.records.sentence == (
        "AWS's own records hold 3 of its 4 requests, 3 by the path that was measured, "
        "of 1 there is no record, which proves nothing"
    )
    told = [row.sentence for row in evidence_of(found)]
    assert told == [
        *["a data event: by vpce-1, TLSv1.3, no error"] * 3,
        "no record of it came within 30 s: that proves nothing",
    ]
    for text in (render(found, colour=Colour.PLAIN, width=300), html.render(found), verdicts_of(found)[claim.id].text):
        assert "hold 3 of its 4 requests" in text
    assert "hold 3 of its 4 requests" in markdown.render(found)
    assert Matrix.from_json(found.to_json()) == found
    assert joined([found]).readings == found.readings


def test_a_claim_whose_path_a_record_contradicts_is_not_proven() -> None:
    before = matrix(sent("R1"), asked=(reading("R2", PATH),))
    found = recorded(before, event("R1", endpoint="vpce-9"), event("R2"))
    (claim,) = found.claims
    odd = "GetObject/b/app:inside/https: its path was read as vpce-1, but the data event says vpce-9"
    assert (claim.verdict, claim.passed) == (Verdict.INCONCLUSIVE, False)
    assert claim.sentence == f"AWS's own records say otherwise than was measured: {odd}"
    assert claim.records == Recorded(requests=2, recorded=2, paths=1, contradictions=(odd,))
    assert [(row.kind, row.status, row.sentence) for row in claim.evidence] == [("record", Status.MISSING, odd)]
    assert odd in found.notes
    refuted = replace(before, claims=(replace(before.claims[0], verdict=Verdict.REFUTED, passed=False),))
    (same,) = recorded(refuted, event("R1", endpoint="vpce-9")).claims
    assert (same.verdict, same.sentence) == (Verdict.REFUTED, "all held")
    assert same.evidence


@pytest.mark.parametrize(
    ("ask", "record", "says"),
    [
        (PATH, {}, None),
        (PATH, {"endpoint": None}, "none"),
        (PATH, {"endpoint": "vpce-2"}, "vpce-2"),
        (shows("aws:SourceVpce", how=Asks.ABSENT), {"endpoint": None}, None),
        (shows("aws:SourceVpce", how=Asks.ABSENT), {}, "vpce-1"),
        (shows("aws:SourceVpce", "vpce-1", "vpce-2", how=Asks.NONE_OF), {"endpoint": "vpce-3"}, None),
        (shows("aws:SourceVpce", "vpce-1", "vpce-2", how=Asks.NONE_OF), {}, "vpce-1"),
        (shows("aws:SourceVpc", "vpc-1"), {}, None),
        (shows("aws:SourceVpc", "vpc-2"), {}, "vpce-1, which stands in vpc-1"),
        (shows("aws:SourceVpc", "vpc-2"), {"endpoint": "vpce-unknown"}, None),
        (shows("aws:SourceVpc", "vpc-1"), {"endpoint": None}, "no endpoint"),
        (shows("aws:SourceVpc", "vpc-1", how=Asks.NONE_OF), {"endpoint": None}, None),
        (shows("aws:SourceVpc", "vpc-1", how=Asks.NONE_OF), {}, "vpce-1, which stands in vpc-1"),
        (shows("aws:SourceIp", "203.0.113.0/24"), {"endpoint": None, "sourceIPAddress": "203.0.113.7"}, None),
        (shows("aws:SourceIp", "203.0.113.0/24"), {"endpoint": None, "sourceIPAddress": "192.0.2.7"}, "192.0.2.7"),
        (shows("aws:SourceIp", "203.0.113.0/24"), {"endpoint": None, "sourceIPAddress": "AWS Internal"}, None),
        (shows("aws:SourceIp", "203.0.113.0/24"), {}, "vpce-1"),
        (shows("aws:SourceIp", "203.0.113.0/24", how=Asks.NONE_OF), {}, None),
        (
            shows("aws:SourceIp", "203.0.113.0/24", how=Asks.NONE_OF),
            {"endpoint": None, "sourceIPAddress": "203.0.113.7"},
            "203.0.113.7",
        ),
        (shows("s3:TlsVersion", "1.3"), {}, None),
        (shows("s3:TlsVersion", "1.2"), {}, "TLSv1.3"),
        (shows("s3:TlsVersion", "1.2"), {"tlsDetails": None}, None),
        (shows("aws:SecureTransport", "true", how=Asks.NONE_OF), {"tlsDetails": None}, None),
        (shows("aws:SecureTransport", "true", how=Asks.NONE_OF), {}, "TLSv1.3"),
        (shows("aws:SecureTransport", "false"), {}, "TLSv1.3"),
        (shows("aws:SecureTransport", "true"), {"tlsDetails": None}, None),
        (shows("aws:PrincipalTag/team", "a"), {"endpoint": None}, None),
    ],
)
def test_what_a_reading_showed_its_own_record_must_say(ask: Asked, record: dict[str, Any], says: str | None) -> None:
    found = recorded(matrix(asked=(reading("R1", ask),)), event("R1", **record)).claims[0]
    assert found.records is not None
    assert bool(found.records.contradictions) is (says is not None)
    assert found.passed is (says is None)
    if says is not None:
        assert found.records.contradictions[0].startswith("a reading from inside on control:main showed ")
        assert found.records.contradictions[0].endswith(f", but its data event says {says}")
    denied = recorded(matrix(asked=(reading("R1", ask, outcome=DENIED),)), event("R1", **record)).claims[0]
    assert denied.passed  # a refused reading says nothing


@pytest.mark.parametrize(
    ("cell", "record", "odd"),
    [
        (sent("R1"), {"errorCode": "AccessDenied"}, "it was allowed, but the data event says AccessDenied"),
        (sent("R1"), {"errorCode": "PreconditionFailed"}, None),
        (sent("R1", outcome=DENIED), {"errorCode": "AccessDenied"}, None),
        (sent("R1", outcome=DENIED), {}, "it was denied, but the data event says that it went through"),
        (sent("R1"), {"tlsDetails": {"tlsVersion": "TLSv1.2"}}, "TLSv1.3 was spoken here, but S3 saw TLSv1.2"),
        (sent("R1"), {"eventCategory": "NetworkActivity", "endpoint": "vpce-2"}, None),
    ],
)
def test_how_a_request_ended_must_be_what_its_record_says(
    cell: CellResult, record: dict[str, Any], odd: str | None
) -> None:
    (claim,) = recorded(matrix(cell, asked=(reading("R2", PATH),)), event("R1", **record)).claims
    assert claim.passed is (odd is None)
    assert odd is None or odd in claim.sentence


def test_a_path_is_compared_only_where_it_was_read_for_that_region_and_name() -> None:
    elsewhere = sent("R1", bucket="far")
    by_name = sent("R1", sent=Sent(method="GET", url="https://b.s3.dualstack.eu-west-1.amazonaws.com/k", signed_at=NOW))
    both = (reading("R2", PATH), reading("R3", shows("aws:SourceVpce", "vpce-2")))
    for cell, asked in ((elsewhere, both[:1]), (by_name, both[:1]), (sent("R1"), both)):
        (claim,) = recorded(matrix(cell, asked=asked), event("R1", endpoint="vpce-7")).claims
        assert claim.passed
        assert claim.records is not None
        assert (claim.records.recorded, claim.records.paths) == (1, 0)


def test_many_contradictions_are_counted_and_some_are_told() -> None:
    rows = tuple(reading(f"R{number}", PATH) for number in range(8))
    (claim,) = recorded(matrix(asked=rows), *(event(f"R{number}", endpoint="vpce-2") for number in range(8))).claims
    assert claim.records is not None
    assert len(claim.records.contradictions) == 8
    assert len(claim.evidence) == 5
    assert claim.sentence.endswith("says vpce-2 (and 7 more)")
    assert claim.records.sentence.endswith("0 by the path that was measured, 8 say otherwise than was measured")


def test_nothing_is_waited_for_that_no_claim_rests_on() -> None:
    found = matrix(sent("R1"), asked=(reading("R2", PATH),))
    bare = replace(found, claims=())
    logs = Logs(event("R1"), event("R2"))
    seen = searched(bare, logs)
    assert len(logs.patterns) == 1
    assert [len(row.records) for row in evidence_of(seen)] == [1, 1]
    assert seen.notes == ("evidence by trail: 0 of 0 requests found",)


def test_access_logs_are_not_waited_for_where_control_buckets_keep_none() -> None:
    found = matrix(sent("R1", bucket="control:main"), asked=(reading("R2", PATH),))

    class Empty(Logs):
        def paginate(self, **_: Any) -> Iterator[Any]:
            self.patterns.append("looked")
            yield {}

    logs = Empty()
    seen = searched(found, logs, kind="access_logs")
    assert logs.patterns == ["looked"]
    assert seen.notes == ("evidence by access log: 0 of 0 requests found",)


def test_one_look_asks_for_so_many_requests_and_the_next_for_others() -> None:
    rows = tuple(reading(f"R{number:04}") for number in range(_AT_ONCE + 30))
    logs = Logs(*(event(f"R{number:04}") for number in range(_AT_ONCE + 5, _AT_ONCE + 30)))
    (claim,) = searched(matrix(asked=rows), logs).claims
    assert claim.records is not None
    assert claim.records.recorded == 25  # all of them found, though the first look had no room
    assert len(logs.patterns) <= 3 * (_AT_ONCE // 25 + 1)


@pytest.mark.parametrize(
    ("hypothesis", "asked"),
    [
        (readings.BASELINE, ()),
        (readings.ENDPOINT.exactly("vpce-1"), (PATH,)),
        (
            readings.ENDPOINT.none_of(["vpce-2", "vpce-1"]),
            (shows("aws:SourceVpce", "vpce-1", "vpce-2", how=Asks.NONE_OF),),
        ),
        (readings.NO_ENDPOINT, (shows("aws:SourceVpce", how=Asks.ABSENT),)),
        (readings.ADDRESS.exactly("192.0.2.0/24"), (shows("aws:SourceIp", "192.0.2.0/24"),)),
        (readings.tls("1.2"), (shows("s3:TlsVersion", "1.2"),)),
        (
            readings.plain_http("s3:GetObject", "*", way=readings.NO_ENDPOINT),
            (shows("aws:SecureTransport", "true", how=Asks.NONE_OF), shows("aws:SourceVpce", how=Asks.ABSENT)),
        ),
        (
            readings.tagged("team", "a"),
            (shows("aws:PrincipalTag/team", "a"), shows("s3:ExistingObjectTag/team", "a")),
        ),
    ],
)
def test_what_a_session_policy_asks(hypothesis: Hypothesis, asked: tuple[Asked, ...]) -> None:
    assert asked_by(hypothesis.policy) == asked
