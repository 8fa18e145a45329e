"""A matrix of a million cells and more, decided in a process of its own: it prints its seconds and its memory.

python -m tests.bench.million VANTAGES WORKERS alike|apart
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.policy import Bucket, Check, Operation, Principal, Vantage, decide_matrix, parse
from tests.bench.engine import ACCOUNT, ORG, OTHER, bucket_policy, control_policies, endpoint_policy, identity_policy

if TYPE_CHECKING:
    from pathlib import Path

BUCKETS, PRINCIPALS, VANTAGES, OPERATIONS = 100, 20, 25, 20
RUNS = 3
WORKERS = 2
_ON_OBJECTS = (
    *("GetObject", "PutObject", "DeleteObject", "GetObjectTagging", "PutObjectTagging", "GetObjectAcl", "PutObjectAcl"),
    *("GetObjectVersion", "DeleteObjectVersion", "AbortMultipartUpload", "RestoreObject"),
)
_ON_BUCKETS = (
    *("ListBucket", "GetBucketLocation", "GetBucketPolicy", "PutBucketPolicy", "GetBucketAcl", "GetBucketVersioning"),
    *("ListBucketVersions", "GetBucketTagging", "GetEncryptionConfiguration"),
)


def axes(vantages: int, likeness: str) -> dict[str, Any]:
    """Buckets with policies of their own, principals with policies of their own, vantage points at five endpoints.

    `apart`: every vantage point is at an endpoint with a policy of its own.
    """
    policy = endpoint_policy()
    apart = likeness == "apart"
    endpoints = [parse({**policy, "Id": f"{number if apart else 0}"}, name="endpoint") for number in range(vantages)]
    scps = tuple((parse(policy, name=f"scp-{level}"),) for level, policy in enumerate(control_policies()))
    return {
        "buckets": [
            Bucket(
                arn=f"arn:aws:s3:::bucket-{number}",
                account=ACCOUNT,
                resource=parse(bucket_policy(f"bucket-{number}", (f"vpce-{number % 5}",))),
            )
            for number in range(BUCKETS)
        ],
        "principals": [
            Principal(
                principal=f"arn:aws:sts::{(ACCOUNT, OTHER)[number % 4 == 3]}:assumed-role/app-{number}/session",
                identity=(parse({**identity_policy(), "Id": f"app-{number}"}, name=f"app-{number}"),),
                scps=scps,
                context={"aws:PrincipalOrgID": ORG, "aws:PrincipalTag/team": f"team-{number}"},
            )
            for number in range(PRINCIPALS)
        ],
        "vantages": [_vantage(number, endpoint) for number, endpoint in enumerate(endpoints)],
        "operations": [
            *(Operation((Check(action=f"s3:{name}", path="/2026/a.csv"),)) for name in _ON_OBJECTS),
            *(Operation((Check(action=f"s3:{name}", context={"s3:prefix": "2026/"}),)) for name in _ON_BUCKETS),
        ],
    }


def _vantage(number: int, endpoint: Any) -> Vantage:
    common = {
        "aws:SecureTransport": "true",
        "s3:TlsVersion": "1.3",
        "aws:RequestedRegion": "eu-west-1",
        "aws:ViaAWSService": "false",
        "aws:PrincipalIsAWSService": "false",
    }
    if number % 6 == 5:
        return Vantage(context={**common, "aws:SourceIp": f"192.0.2.{number}"})
    own = {"aws:SourceVpce": f"vpce-{number % 6}", "aws:VpcSourceIp": f"10.0.0.{number}"}
    return Vantage(vpc_endpoint=endpoint, context={**common, **own})


def measure(vantages: int, workers: int, likeness: str) -> dict[str, float]:
    given = axes(vantages, likeness)
    started = time.perf_counter()
    if workers:
        with ProcessPoolExecutor(workers) as executor:
            matrix = decide_matrix(**given, executor=executor)
    else:
        matrix = decide_matrix(**given)
    allowed = sum(times for ruling, times in matrix.counts().items() if ruling.allowed)
    seconds = time.perf_counter() - started
    own, other = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "cells": len(matrix),
        "allowed": allowed,
        "situations": matrix.situations,
        "rulings": len(matrix.rulings),
        "seconds": seconds,
        "mib": (own + workers * other) / 1024,
    }


def _measured(vantages: int, likeness: str = "alike") -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.million", str(vantages), str(WORKERS), likeness]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def million(_folder: Path) -> list[list[str]]:
    """Seconds, memory, and what twice as many vantage points that look alike to the policies add."""
    pairs = [(_measured(VANTAGES), _measured(2 * VANTAGES)) for _ in range(RUNS)]
    plain, doubled = (statistics.median(row["seconds"] for row in column) for column in zip(*pairs, strict=True))
    first = pairs[0][0]
    apart = _measured(VANTAGES, "apart")
    return [
        [f"{first['cells']:,.0f} cells on {WORKERS} processes", f"{plain:.1f} s", "under 15 s"],
        ["their memory, all processes", f"{max(row['mib'] for pair in pairs for row in pair):,.0f} MiB", "under 1,024"],
        ["twice the vantage points that look alike / once", f"{doubled / plain:.2f}", "under 1.20"],
        [
            f"{apart['cells']:,.0f} cells, {apart['situations'] * OPERATIONS:,.0f} alone",
            f"{apart['seconds']:.1f} s",
            "",
        ],
    ]


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])))
