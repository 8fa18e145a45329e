"""A large matrix, made up, and strings that try to act: for the tests of reports."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any

from pytest_s3vpce.matrix import (
    AccountResult,
    BucketResult,
    CellResult,
    ClaimResult,
    EndpointResult,
    Evidence,
    Judged,
    Matrix,
    Received,
    Sent,
    Status,
    Timings,
    VantageResult,
    Verdict,
)
from pytest_s3vpce.model import Expect, Layer, OutcomeKind, Place, Transport

OPERATIONS = ("GetObject", "PutObject", "ListObjectsV2", "HeadObject", "DeleteObject")
_HEADERS = ("server", "date", "content-type", "x-amz-request-id", "x-amz-id-2", "etag", "content-length")


def large(*, operations: int = 5, buckets: int = 10, principals: int = 5, vantages: int = 20) -> Matrix:
    """5,000 cells where nothing else is asked for; each 50th is not as expected."""
    names = [f"subnet-{number}" for number in range(vantages)]
    cells = [
        _cell(number, *row)
        for number, row in enumerate(
            (operation, f"bucket-{bucket}", f"role-{principal}", vantage)
            for operation in OPERATIONS[:operations]
            for bucket in range(buckets)
            for principal in range(principals)
            for vantage in names
        )
    ]
    return Matrix(
        mode="live",
        run_id="abcd1234",
        version="0.1.0",
        started=1_790_000_000.0,
        seconds=61.5,
        inventory="/work/s3vpce.yaml",
        accounts=(AccountResult(name="main", id="111122223333", region="eu-west-1"),),
        buckets=tuple(
            BucketResult(label=f"bucket-{number}", name=f"bucket-{number}-111122223333", account="main")
            for number in range(buckets)
        ),
        endpoints=(EndpointResult(id="vpce-0", vpc="vpc-0", account="main", type="interface"),),
        cells=tuple(cells),
        claims=(
            ClaimResult(
                id="endpoint-only/bucket-0",
                kind="endpoint-only",
                bucket="bucket-0",
                verdict=Verdict.REFUTED,
                sentence="role-0 was let in from subnet-1",
                cells=(cells[0].id,),
                evidence=(Evidence(kind="negative", name="n", status=Status.BAD, sentence="let in", cell=cells[0].id),),
            ),
        ),
        vantages=tuple(
            VantageResult(
                name=name,
                kind="lambda",
                path="vpce-0" if number % 2 else "none",
                account="main",
                vpc=f"vpc-{number // 5}",
                subnets=(f"subnet-{number:017}",),
            )
            for number, name in enumerate(names)
        ),
    )


def _cell(number: int, operation: str, bucket: str, principal: str, vantage: str) -> CellResult:
    outcome = (OutcomeKind.DENIED, OutcomeKind.ALLOWED, OutcomeKind.UNREACHABLE)[number % 3]
    denied = outcome is OutcomeKind.DENIED
    missed = number % 50 == 0
    judged = Judged(
        outcome=outcome,
        layer=Layer.RESOURCE if denied else None,
        code="AccessDenied" if denied else None,
        message=f"User: {principal} is not authorized to perform: s3:{operation}" if denied else None,
        reason="the request succeeded",
    )
    request = f"{number * 2_654_435_761 % 2**64:016X}"
    values = (
        "AmazonS3",
        "Thu, 26 Nov 2026 02:13:40 GMT",
        "application/xml",
        request,
        f"{request * 4}+/abcdefgh=",
        "e",
        "1",
    )
    return CellResult(
        id=f"{operation}/{bucket}/{principal}:{vantage}/https",
        operation=operation,
        action=f"s3:{operation}",
        variant="",
        bucket=bucket,
        principal=principal,
        vantage=vantage,
        transport=Transport.HTTPS,
        expect=Expect.BLOCKED if missed == (outcome is OutcomeKind.ALLOWED) else Expect.ALLOW,
        measured=judged,
        counted=judged,
        passed=not missed,
        controlled=number % 7 != 0 if denied else None,
        sent=Sent(
            method="GET",
            url=f"https://{bucket}.s3.eu-west-1.amazonaws.com/.s3vpce/canary",
            signed_at=1_790_000_000.5,
            headers=(("Range", "bytes=0-0"), ("Authorization", "[redacted]")),
        ),
        received=Received(
            status=403 if denied else 206,
            request_id=request,
            peer=f"52.218.0.{number % 250}:443",
            local=f"10.0.0.{number % 250}:{20_000 + number}",
            tls="TLSv1.3",
            seconds=0.001 * (number % 997) + 0.00012,
            headers=tuple(zip(_HEADERS, values, strict=True)),
            dns=(f"52.218.0.{number % 250}",),
            cipher="TLS_AES_128_GCM_SHA256",
            timings=Timings(dns=0.00123, connect=0.0131 + number % 41 / 999, tls=0.0211, first_byte=0.01, total=0.05),
        ),
        place=Place("/work/test_a.access.yaml", 3 + number % 9, 5),
    )


def with_texts(value: Any, text: str) -> Any:
    """The value with `text` added to every text in it."""
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return f"{value}{text}"
    if isinstance(value, tuple):
        return tuple(with_texts(part, text) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{row.name: with_texts(getattr(value, row.name), text) for row in fields(value)})
    return value
