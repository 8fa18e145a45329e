"""A small matrix with one of everything, for the tests of reports."""

from __future__ import annotations

from pytest_s3vpce.matrix import (
    Call,
    CellResult,
    ClaimResult,
    Coverage,
    Evidence,
    Judged,
    Matrix,
    Received,
    Sent,
    Status,
    VantageResult,
    Verdict,
)
from pytest_s3vpce.model import Expect, Layer, OutcomeKind, Place, Transport
from pytest_s3vpce.records import Record, Recording, RecordKind

NASTY = "no\x1b[2Jthing\rhere"
"""What a hostile answer could steer a terminal with."""


RECORDED = Recording(
    sentence="a data event: by vpce-1, TLSv1.3, no error",
    sources=(f"log group `{NASTY}` of main",),
    records=(Record(kind=RecordKind.DATA, source=NASTY, at="2026-03-01T23:58:00Z", vpc_endpoint="vpce-1"),),
)


def cell(
    vantage: str,
    outcome: OutcomeKind,
    *,
    expect: Expect | None = Expect.DENY,
    operation: str = "GetObject",
    passed: bool | None = True,
    controlled: bool | None = None,
    layer: Layer | None = None,
    transport: Transport = Transport.HTTPS,
    variant: str = "",
    received: Received | None = None,
    principal: str = "app",
) -> CellResult:
    judged = Judged(outcome=outcome, layer=layer, code="Code", message=NASTY, reason=f"because {NASTY}")
    return CellResult(
        id=f"{operation}/reports/{principal}:{vantage}/{transport.value}",
        operation=operation,
        action=f"s3:{operation}",
        variant=variant,
        bucket="reports",
        principal=principal,
        vantage=vantage,
        transport=transport,
        expect=expect,
        measured=judged,
        counted=judged,
        passed=passed,
        controlled=controlled,
        sent=Sent(method="GET", url="https://reports.example/key", signed_at=1.5),
        received=received or Received(status=403, request_id="REQ1", peer="192.0.2.1:443", tls="TLSv1.3", seconds=0.1),
        hint="" if passed else "the bucket policy",
        place=Place("/x/test_a.access.yaml", 3, 5),
        evidence=None if passed else RECORDED,
    )


MATRIX = Matrix(
    mode="lab",
    run_id="abcd1234",
    version="0.1.0",
    started=1.0,
    seconds=2.5,
    cells=(
        cell("inside", OutcomeKind.ALLOWED, expect=Expect.ALLOW),
        cell("outside", OutcomeKind.DENIED, controlled=False, layer=Layer.RESOURCE),
        cell("outside", OutcomeKind.ALLOWED, operation="PutObject", passed=False),
        cell("inside", OutcomeKind.INCONCLUSIVE, operation="PutObject", passed=False, expect=Expect.ALLOW),
        cell(
            "inside",
            OutcomeKind.UNREACHABLE,
            operation="HeadObject",
            transport=Transport.HTTP,
            variant="v",
            expect=Expect.UNREACHABLE,
            received=Received(failure="connect_timeout", detail="3 s"),
        ),
        cell("outside", OutcomeKind.DENIED, operation="HeadObject", expect=None, passed=None, layer=Layer.RESOURCE),
        cell(
            "inside",
            OutcomeKind.DENIED,
            operation="CopyObject",
            expect=Expect.ALLOW,
            passed=False,
            layer=Layer.IDENTITY,
        ),
        cell(
            "outside",
            OutcomeKind.UNREACHABLE,
            operation="CopyObject",
            passed=False,
            received=Received(failure="dns", detail=NASTY),
        ),
    ),
    claims=(
        ClaimResult(
            id="endpoint-only/reports",
            kind="endpoint-only",
            bucket="reports",
            verdict=Verdict.PROVEN,
            sentence="3 cells allowed",
            evidence=(Evidence(kind="positive", name="inside", status=Status.GOOD, sentence="it was let in"),),
            coverage=Coverage(principals=("app",), operations=("GetObject",), keys=("k",), vantages=("inside",)),
            passed=True,
            place=Place("/x/test_a.access.yaml", 9),
        ),
        ClaimResult(
            id="tls-only/reports",
            kind="tls-only",
            bucket="reports",
            verdict=Verdict.REFUTED,
            sentence=f"http was allowed {NASTY}",
            cells=("GetObject/reports/app:inside/http",),
            evidence=(
                Evidence(kind="negative", name="n", status=Status.BAD, sentence="http was allowed"),
                Evidence(kind="reach", name="r", status=Status.GOOD, sentence="it reaches"),
                Evidence(kind="path", name="p", status=Status.MISSING, sentence="path not read"),
            ),
            coverage=Coverage(gaps=("an exemption",)),
        ),
        ClaimResult(
            id="cross-account/reports",
            kind="cross-account",
            bucket="reports",
            verdict=Verdict.INCONCLUSIVE,
            sentence="nothing was reached",
        ),
    ),
    vantages=(
        VantageResult(name="inside", kind="lambda", path="vpce-0123456789abcdef0"),
        VantageResult(name="outside", kind="local", path="none"),
        VantageResult(name="broken", kind="lambda", error=f"it can't be {NASTY}"),
    ),
    notes=("the canary of reports: it CHANGED during the run",),
    calls=(
        Call(
            client="boto3",
            method="GET",
            host=NASTY,
            path=NASTY,
            vantage="inside",
            principal=NASTY,
            at=1.5,
            seconds=0.1,
            failure=NASTY,
        ),
    ),
)
