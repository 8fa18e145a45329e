"""The decision engine beside an echo of JSON lines and beside moto's evaluation, and a matrix of a million cells."""

from __future__ import annotations

import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.policy import Policies, Request, decide, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ACCOUNT = "111122223333"
OTHER = "444455556666"
ORG = "o-a1b2c3d4e5"
BUCKET = "reports"
RUNS = 5
REQUESTS = 20_000
LINES = 15_000
ECHO = """
import json, sys
for line in sys.stdin:
    sys.stdout.write(json.dumps(json.loads(line)) + "\\n")
"""


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _statement(sid: str, effect: str, action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Sid": sid, "Effect": effect, "Action": action, "Resource": resource, **more}


def identity_policy() -> dict[str, Any]:
    return _policy(
        _statement("Objects", "Allow", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], "arn:aws:s3:::*/*"),
        _statement(
            *("List", "Allow", ["s3:ListBucket", "s3:GetBucketLocation"], "arn:aws:s3:::*"),
            Condition={"StringLike": {"s3:prefix": ["2026/*", "${aws:PrincipalTag/team}/*"]}},
        ),
        _statement("NoAcls", "Deny", ["s3:PutObjectAcl", "s3:PutBucketAcl"], "*"),
    )


def bucket_policy(bucket: str = BUCKET, endpoints: tuple[str, ...] = ("vpce-0a1",)) -> dict[str, Any]:
    both = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    everybody = {"Principal": "*"}
    return _policy(
        _statement(
            *("OnlyTls", "Deny", "s3:*", both), **everybody, Condition={"Bool": {"aws:SecureTransport": "false"}}
        ),
        _statement(
            *("OnlyThroughTheEndpoint", "Deny", "s3:*", both),
            **everybody,
            Condition={
                "StringNotEqualsIfExists": {"aws:SourceVpce": list(endpoints)},
                "BoolIfExists": {"aws:ViaAWSService": "false"},
            },
        ),
        _statement(
            *("OnlyNewTls", "Deny", "s3:*", both), **everybody, Condition={"NumericLessThan": {"s3:TlsVersion": "1.2"}}
        ),
        _statement(
            *("OnlyOurs", "Deny", "s3:*", both),
            **everybody,
            Condition={"StringNotEquals": {"aws:PrincipalOrgID": ORG}, "Bool": {"aws:PrincipalIsAWSService": "false"}},
        ),
        _statement(
            *("Team", "Allow", ["s3:GetObject", "s3:ListBucket"], both),
            Principal={"AWS": [f"arn:aws:iam::{ACCOUNT}:role/app", f"arn:aws:iam::{OTHER}:root"]},
        ),
    )


def endpoint_policy() -> dict[str, Any]:
    return _policy(
        _statement(
            *("Ours", "Allow", "s3:*", "*"), Principal="*", Condition={"StringEquals": {"aws:PrincipalOrgID": ORG}}
        )
    )


def control_policies() -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        _policy(_statement("All", "Allow", "*", "*")),
        _policy(
            _statement("All", "Allow", "*", "*"),
            _statement(
                *("Regions", "Deny", "*", "*"),
                Condition={"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}},
            ),
        ),
    )


def requests(count: int) -> Iterator[dict[str, Any]]:
    """No two alike: sessions, keys, addresses and actions all change."""
    actions = itertools.cycle(["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:PutObjectAcl"])
    for number, action in zip(range(count), actions, strict=False):
        of_bucket = action == "s3:ListBucket"
        context = {
            "aws:SourceVpce": f"vpce-0a{1 + number % 7 // 6}",
            "aws:SourceVpc": "vpc-1",
            "aws:VpcSourceIp": f"10.0.{number % 200}.{number % 250}",
            "aws:SecureTransport": "true",
            "s3:TlsVersion": "1.3" if number % 3 else "1.2",
            "aws:PrincipalOrgID": ORG,
            "aws:PrincipalTag/team": f"team-{number % 11}",
            "aws:PrincipalIsAWSService": "false",
            "aws:ViaAWSService": "false",
            "aws:RequestedRegion": "eu-west-1",
        }
        yield {
            "action": action,
            "resource": f"arn:aws:s3:::{BUCKET}" + ("" if of_bucket else f"/2026/{number}.csv"),
            "resource_account": ACCOUNT,
            "principal": f"arn:aws:sts::{ACCOUNT}:assumed-role/app/session-{number}",
            "context": {**context, "s3:prefix": f"2026/{number}/"} if of_bucket else context,
        }


def _rate(count: int, work: Callable[[], object]) -> float:
    """Of CPU time, which other work on the machine changes least."""
    started = time.process_time()
    work()
    return count / (time.process_time() - started)


def _documents() -> list[dict[str, Any]]:
    return [identity_policy(), bucket_policy(), endpoint_policy(), *control_policies()]


def _without_conditions(document: dict[str, Any]) -> dict[str, Any]:
    """What moto evaluates to its end: it gives up at the first condition, and at the first deny."""
    rows = [{key: value for key, value in row.items() if key != "Condition"} for row in document["Statement"]]
    others = [{**row, "Action": "s3:PutBucketPolicy"} if row["Effect"] == "Deny" else row for row in rows]
    return {**document, "Statement": others}


def _rates(documents: list[dict[str, Any]]) -> tuple[float, float]:
    """Decisions a second over an identity, a bucket and an endpoint policy and two SCPs: by this engine, by moto's."""
    from moto.iam.access_control import IAMPolicy

    identity, bucket, endpoint, *scps = map(parse, documents)
    policies = Policies(
        identity=(identity,), resource=bucket, vpc_endpoint=endpoint, scps=tuple((document,) for document in scps)
    )
    theirs = [IAMPolicy(json.dumps(document)) for document in documents]
    given = [Request(**row) for row in requests(REQUESTS)]
    fewer = given[: REQUESTS // 10]

    def decide_all() -> None:
        for request in given:
            decide(request, policies)

    def permit_all() -> None:
        for request in fewer:
            for policy in theirs:
                policy.is_action_permitted(request.action, request.resource)

    pairs = [(_rate(len(given), decide_all), _rate(len(fewer), permit_all)) for _ in range(RUNS)]
    ours, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    return ours, other


def engine(_folder: Path) -> list[list[str]]:
    """Decisions a second on one core, by this engine and by moto's, in turn."""
    rows = []
    for words, documents, wanted in (
        ("five documents", _documents(), "at least 40,000"),
        ("the same without conditions", [_without_conditions(row) for row in _documents()], ""),
    ):
        ours, other = _rates(documents)
        rows += [
            [f"decisions a second, {words}", f"{ours:,.0f}", wanted],
            [f"moto's is_action_permitted, {words}", f"{other:,.0f}", ""],
            ["this engine / moto's", f"{ours / other:.1f}", ""],
        ]
    return rows


# --- the filter ------------------------------------------------------------------------------------------------------


def lines(count: int, *, different: bool) -> Iterator[str]:
    """Requests with their policies; `different`: no line has the policies of another."""
    for number, request in enumerate(requests(count)):
        own = f"{BUCKET}-{number}" if different else BUCKET
        endpoint = f"vpce-{number}" if different else "vpce-0a1"
        scps = control_policies()
        if different:
            request["resource"] = request["resource"].replace(f":::{BUCKET}", f":::{own}")
        policies = {
            "identity": [{"name": f"app-{number if different else 0}", "policy": identity_policy()}],
            "resource": bucket_policy(own, (endpoint,)),
            "vpc_endpoint": endpoint_policy(),
            "scps": [
                {"level": f"level {level}", "policies": [{"name": f"scp-{level}", "policy": policy}]}
                for level, policy in enumerate(scps)
            ],
        }
        yield json.dumps({"id": str(number), "request": request, "policies": policies})


def _seconds(command: list[str], given: Path) -> float:
    """CPU time of a whole process that must succeed."""
    out = given.with_suffix(".out")
    with given.open("rb") as stdin, out.open("wb") as stdout:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed\n{done.stderr.decode()[-3000:]}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def lines_filter(folder: Path) -> list[list[str]]:
    """`s3vpce decide` beside an echo of the same lines: whole processes, from a file into a file."""
    rows = []
    for words, different in (("the same policies on each line", False), ("other policies on each line", True)):
        given = folder / f"lines-{different}.jsonl"
        given.write_text("\n".join(lines(LINES, different=different)) + "\n", encoding="utf-8")
        ours = [sys.executable, "-m", "pytest_s3vpce.cli", "decide"]
        pairs = [(_seconds([sys.executable, "-c", ECHO], given), _seconds(ours, given)) for _ in range(RUNS)]
        echo, decided = (statistics.median(column) for column in zip(*pairs, strict=True))
        rows += [
            [f"s3vpce decide, {words}: lines a second", f"{LINES / decided:,.0f}", ""],
            ["an echo of them: lines a second", f"{LINES / echo:,.0f}", ""],
            ["s3vpce decide / echo", f"{echo / decided:.2f}", "" if different else "at least 0.4"],
        ]
    return rows
