"""What a run read of objects: a canary's bytes, and who can show that one is still there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.claims.setting import reads
from pytest_s3vpce.model import Answer
from pytest_s3vpce.operations import OPERATIONS
from pytest_s3vpce.outcome import classify, code_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.model import Outcome
    from pytest_s3vpce.probe import Probe

_READ: Final = (200, 206)


def is_refusal(probe: Probe, outcomes: Mapping[Probe, Outcome]) -> bool:
    """Whether it says something of an object, in a declared bucket."""
    cell = probe.cell
    return outcomes[probe].denied and OPERATIONS[cell.operation].on_object and ":" not in cell.label


def is_bare(probe: Probe, outcomes: Mapping[Probe, Outcome]) -> bool:
    """Whether it is refused in words that S3 has for more than policies, in a declared bucket.

    For callers who may not list, of a key where nothing is, and for all, of a bucket that another account owns:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (Permissions) and
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html. Writes of objects are refused as
    they are: none is sent where the canary was not read.
    """
    row = OPERATIONS[probe.cell.operation]
    written = row.writes and row.on_object
    return is_unnamed(outcomes[probe]) and ":" not in probe.cell.label and not written


def is_unnamed(told: Outcome) -> bool:
    """Whether it is a denial by nobody knows whom."""
    return told.denied and told.layer is None and told.explicit is None and told.action is None


def object_of(probe: Probe) -> str:
    """The label of the object it is about: by whatever host, the bucket's canary goes by the bucket's name."""
    target = probe.cell.target
    return target.bucket if target.key is None else target.label


def readings_of(outcomes: Mapping[Probe, Outcome]) -> dict[str, Probe]:
    """By label, who read an object, and would read it again; preferably without a session policy."""
    found: dict[str, Probe] = {}
    for row, outcome in outcomes.items():
        label = row.cell.label
        if (
            outcome.allowed
            and reads(row)
            and (label not in found or (found[label].session_policy and not row.session_policy))
        ):
            found[label] = row
    return found


def canary_body(answer: Answer | str) -> tuple[bytes | None, str]:
    """The canary's bytes, or why they were not got."""
    if isinstance(answer, str):
        return None, answer
    if not is_read(answer) and answer.status in _READ:
        return None, "its answer carries no request id of S3's"
    if is_read(answer) and not answer.truncated:
        total = answer.headers.get("content-range", "").rpartition("/")[2]
        if total.isdigit() and int(total) > len(answer.body):
            return None, f"it is larger than 1 KiB ({total} bytes)"
        return answer.body, ""
    outcome = classify(answer, operation="GetObject")
    return None, f"{outcome.kind.value}, {outcome.code or outcome.reason}"


def canary_version(answer: Answer | str) -> str:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html"""
    return "null" if isinstance(answer, str) else answer.headers.get("x-amz-version-id", "null")


def is_read(answer: Answer) -> bool:
    """Whether S3 gave an object, and not something in between a page."""
    return answer.status in _READ and is_s3s(answer)


def is_absent(answer: Answer | str | None) -> bool:
    """Whether S3 says that nothing is at the key, as it does to callers who may list."""
    return isinstance(answer, Answer) and is_s3s(answer) and code_of(answer) == "NoSuchKey"


def denies(answer: Answer | str) -> bool:
    return isinstance(answer, Answer) and is_s3s(answer) and classify(answer).denied


def is_s3s(answer: Answer) -> bool:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/RESTCommonResponseHeaders.html"""
    return answer.request_id is not None or "x-amz-id-2" in answer.headers
