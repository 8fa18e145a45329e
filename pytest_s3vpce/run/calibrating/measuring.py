"""How long a change of policies takes to count: each change a few times, as AWS gives no bound."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.calibration import Finding
from pytest_s3vpce.run.calibrating.asking import Question, allow
from pytest_s3vpce.run.calibrating.scratch import FEW, document
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_s3vpce.model import Outcome
    from pytest_s3vpce.run.calibrating.asking import Asker, Reply
    from pytest_s3vpce.run.calibrating.scratch import Scratch

_SECONDS: Final = 60.0
_PAUSE: Final = 0.5
_BOUNDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""What samples are counted within."""
_BY_BUCKET: Final = {
    "s3:GetObjectAcl": "GetObjectAcl",
    "s3:GetBucketVersioning": "GetBucketVersioning",
    "s3:GetBucketRequestPayment": "GetBucketRequestPayment",
    "s3:GetBucketLogging": "GetBucketLogging",
    "s3:GetBucketNotification": "GetBucketNotificationConfiguration",
}
_BY_ROLE: Final = {
    "s3:GetBucketCORS": "GetBucketCors",
    "s3:GetLifecycleConfiguration": "GetBucketLifecycleConfiguration",
    "s3:GetReplicationConfiguration": "GetBucketReplication",
    "s3:GetEncryptionConfiguration": "GetBucketEncryption",
    "s3:GetBucketWebsite": "GetBucketWebsite",
}
"""What one sample after the other allows, and nothing did before: not the policy that is still going, either."""
_SAMPLES: Final = 5
BLOCKED: Final = "AccessDenied"
"""How Block Public Access refuses a policy."""
_SWITCHES: Final = 2
"""How many times Block Public Access is switched each way."""


def propagation(asker: Asker) -> Iterator[Finding]:
    """A bucket policy, a role's policy, and a switch of Block Public Access."""
    scratch = asker.scratch

    def by_bucket(action: str) -> None:
        statement = {**allow(action), "Principal": {"AWS": scratch.role_arn(FEW)}, "Resource": scratch.arns}
        scratch.s3.put_bucket_policy(Bucket=scratch.bucket, Policy=document(statement))

    changes: tuple[tuple[str, Callable[[str], None], dict[str, str]], ...] = (
        ("bucket-policy", by_bucket, _BY_BUCKET),
        ("role-policy", scratch.let_few, _BY_ROLE),
    )
    for rule, change, markers in changes:
        samples: list[float] = []
        ids: list[str] = []
        for action, name in list(markers.items())[:_SAMPLES]:
            change(action)
            passed, reply = seconds_until(asker, Question(operation=name, role=FEW))
            samples.append(passed)
            ids += reply.request_ids
        yield measured(f"propagation/{rule}", samples, ids)
        scratch.s3.delete_bucket_policy(Bucket=scratch.bucket)
    scratch.let_few()
    yield _switched(scratch)


def allowed(outcome: Outcome) -> bool:
    return outcome.allowed


def denied(outcome: Outcome) -> bool:
    return outcome.denied


def seconds_until(asker: Asker, question: Question, *, met: Callable[[Outcome], bool] = allowed) -> tuple[float, Reply]:
    """Asks until it is allowed, or what else is wanted, or for a minute; how long it took."""
    began = time.monotonic()
    while True:
        (reply,) = asker.ask([question])
        passed = time.monotonic() - began
        if met(reply.outcome) or passed >= _SECONDS:
            return passed, reply
        time.sleep(_PAUSE)


def measured(rule: str, samples: Sequence[float], ids: Sequence[str]) -> Finding:
    """The longest of all is what counts; the others show how they are spread."""
    longest = max(samples)
    value = f"more than {_SECONDS:.0f}" if longest >= _SECONDS else f"{longest:.1f}"
    rounded = tuple(round(sample, 2) for sample in samples)
    return Finding(rule=rule, value=value, request_ids=tuple(ids), detail=spread(rounded), samples=rounded)


def spread(samples: Sequence[float]) -> str:
    """How many samples came within which time, and their median."""
    rows, counted = sorted(samples), 0
    parts = []
    for bound in _BOUNDS:
        within = sum(sample <= bound for sample in rows)
        if within > counted:
            parts.append(f"{within} within {bound:.0f} s")
        counted = within
    if counted < len(rows):
        parts.append(f"{len(rows) - counted} later")
    median = rows[math.ceil(len(rows) / 2) - 1]
    return f"{len(rows)} samples: {', '.join(parts)}; median {median:.1f} s"


def _switched(scratch: Scratch) -> Finding:
    """By a policy that Block Public Access refuses."""
    nothing = to_everybody(scratch)
    samples: list[float] = []
    ids: list[str] = []
    try:
        for switch, code in (
            (scratch.take_public_policies, ""),
            (scratch.block_public_policies, BLOCKED),
        ) * _SWITCHES:
            switch()
            passed, put = _seconds_until_put(scratch, nothing, code=code)
            samples.append(passed)
            ids += put.request_ids
    finally:
        scratch.block_public_policies()
        scratch.s3.delete_bucket_policy(Bucket=scratch.bucket)
    return measured("propagation/public-access-block", samples, ids)


def _seconds_until_put(scratch: Scratch, statement: dict[str, Any], *, code: str) -> tuple[float, Put]:
    began = time.monotonic()
    while True:
        found = put_policy(scratch, statement)
        passed = time.monotonic() - began
        if found.code == code or passed >= _SECONDS:
            return passed, found
        time.sleep(_PAUSE)


def to_everybody(scratch: Scratch) -> dict[str, Any]:
    """A statement that is public by every rule; it names a key where nothing is, so that nothing is public by it."""
    return {**allow("s3:GetObject"), "Principal": "*", "Resource": f"{scratch.arns[0]}/s3vpce-nothing-is-here"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """What became of a bucket policy."""

    code: str = ""
    """Why it was refused; empty where it was taken."""
    request_ids: tuple[str, ...] = ()
    detail: str = ""


def put_policy(scratch: Scratch, statement: dict[str, Any]) -> Put:
    """Puts a policy of this one statement, if it is taken."""
    try:
        answer = scratch.s3.put_bucket_policy(Bucket=scratch.bucket, Policy=document(statement))
    except FAULTS as error:
        found: Any = getattr(error, "response", {})
        name = found.get("ResponseMetadata", {}).get("RequestId", "")
        return Put(code=code_of(error) or "refused", request_ids=(name,) if name else (), detail=words_of(error))
    return Put(request_ids=(answer["ResponseMetadata"]["RequestId"],))
