"""What S3 looks at before it asks policies, and under which codes it refuses it, as far as a calibration found that.

Each check refuses in S3's words what an operation's safe form is refused for, and changes nothing.
"""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.lab import s3checks, s3documents
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3forms import element
from pytest_s3vpce.lab.s3payload import check_digests
from pytest_s3vpce.lab.s3requests import parse
from pytest_s3vpce.markup import below
from pytest_s3vpce.operations import OPERATIONS
from pytest_s3vpce.undocumented import OTHER_ANSWER, SAME_ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_s3vpce.calibration import Calibration
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse

    Check = Callable[[State, S3Request, BucketState, bytes], None]

_READS: Final = frozenset({"GetObject", "HeadObject"})
_FAILED: Final = "PreconditionFailed"
_CODE: Final = re.compile(rb"<Code>([^<]{1,128})</Code>")
_ARN: Final = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+")
_TARGETS: Final = ("Topic", "Queue", "CloudFunction")


class Order:
    """In what order one lab's S3 looks at things."""

    def __init__(self, state: State, calibration: Calibration) -> None:
        self._state = state
        self._early = calibration.early
        self._value = calibration.value
        self._reads_early = frozenset(_READS if calibration.value("order/read-condition") == SAME_ANSWER else ())
        self.hash_first = calibration.value("order/payload-hash") == SAME_ANSWER
        """Whether a body is compared with its signed digest before policies are asked."""
        self.kms_first = calibration.value("order/kms") == "KMS first"
        """Whether KMS is asked before the conditions of a write are looked at."""
        digests = ("order/digest", "order/digest-form", "order/checksum")
        self._looks_at_digests = any(calibration.value(name) == SAME_ANSWER for name in digests)
        self._other = {
            name: row.answer
            for name, row in calibration.findings.items()
            if row.value == OTHER_ANSWER and row.answer.partition(" ")[0].isdecimal()
        }

    def looks_first(self, asked: S3Request) -> bool:
        """Whether what its safe form is refused for is looked at before policies are asked."""
        return bool(self._early) and _row_of(asked) in self._early

    def check_body(self, request: HttpRequest, asked: S3Request, bucket: BucketState) -> None:
        """Refuses a digest, or the condition of a read, if that comes before policies."""
        if self._looks_at_digests:
            self._check_digests(request)
        if asked.name in self._reads_early:
            s3checks.check_etag(self._state, bucket.name, asked.key or "", wanted=asked.parameters.get("IfMatch"))

    def _check_digests(self, request: HttpRequest) -> None:
        try:
            check_digests(request)
        except Refused as refused:
            if self._value(_of_digest(refused.code, request)) == SAME_ANSWER:
                raise

    def check_conditions(self, asked: S3Request, bucket: BucketState, body: bytes) -> None:
        """Refuses what the state behind would."""
        found = _CHECKS.get(_row_of(asked))
        if found is not None:
            found(self._state, asked, bucket, body)

    def renamed(self, request: HttpRequest, answer: HttpResponse) -> HttpResponse:
        """The answer as a calibration found it in its place."""
        asked = parse(request) if self._other else None
        if asked is None or asked.row is None or (answer.status < HTTPStatus.MULTIPLE_CHOICES and not answer.body):
            return answer
        found = _CODE.search(answer.body[:4096])
        code = found[1].decode("latin-1") if found else ""
        rules = _rules_of(request, _row_of(asked), status=answer.status, code=code)
        other = next((self._other[name] for name in rules if name in self._other), None)
        if other is None:
            return answer
        status, _, name = other.partition(" ")
        body = f"<Error><Code>{name}</Code><Message>{name}</Message></Error>"
        return replace(answer, status=int(status), body=body.encode())


def _row_of(asked: S3Request) -> str:
    """The row of the catalogue whose form it may be: on a version, or to bypass a retention, it is one of its own."""
    for (api, parameter), name in _ROWS.items():
        if api == asked.name and parameter in asked.parameters:
            return name
    return asked.name


_ROWS: Final[Mapping[tuple[str, str], str]] = {
    (row.api, parameter): row.name
    for row in OPERATIONS.values()
    if row.api and row.safe is not None
    for parameter in ("VersionId", "BypassGovernanceRetention")
    if parameter in row.safe.parameters
}


def _rules_of(request: HttpRequest, operation: str, *, status: int, code: str) -> Iterable[str]:
    """The rules that an answer is a matter of."""
    if code in _DIGESTS:
        yield _of_digest(code, request)
    if operation in _READS and code == _FAILED:
        yield "order/read-condition"
    row = OPERATIONS.get(operation)
    if row is not None and row.safe is not None and {str(status), f"{status} {code}"} & {*row.safe.authorised}:
        yield f"form/{operation}"


_DIGESTS: Final[Mapping[str, str]] = {
    "BadDigest": "order/checksum",
    "InvalidDigest": "order/digest-form",
    "XAmzContentSHA256Mismatch": "order/payload-hash",
}


def _of_digest(code: str, request: HttpRequest) -> str:
    if code == "BadDigest" and request.header("content-md5") is not None:
        return "order/digest"
    return _DIGESTS.get(code, "order/checksum")


def _existing(state: State, asked: S3Request, bucket: BucketState, _body: bytes) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html"""
    key = asked.key or ""
    if asked.parameters.get("IfNoneMatch") == "*" and state.object_exists(bucket.name, key):
        raise s3checks.precondition("If-None-Match")
    s3checks.check_etag(state, bucket.name, key, wanted=asked.parameters.get("IfMatch"))


def _configuration(state: State, asked: S3Request, bucket: BucketState, _body: bytes) -> None:
    s3documents.check_there(state, asked, bucket)


def _logging(state: State, _asked: S3Request, _bucket: BucketState, body: bytes) -> None:
    for target in below(element(body), "TargetBucket"):
        if state.bucket((target.text or "").strip()) is None:
            message = "The target bucket for logging does not exist."
            raise Refused("InvalidTargetBucketForLogging", status=400, message=message)


def _notification(_state: State, _asked: S3Request, _bucket: BucketState, body: bytes) -> None:
    for name in _TARGETS:
        for target in below(element(body), name):
            if not _ARN.fullmatch((target.text or "").strip()):
                raise Refused("InvalidArgument", status=400, message="The ARN is not well formed")


_CHECKS: Final[Mapping[str, Check]] = {
    "PutObject": _existing,
    "DeleteObject": _existing,
    "PutBucketLogging": _logging,
    "PutBucketNotificationConfiguration": _notification,
    **{f"{verb}Bucket{kind}Configuration": _configuration for verb in ("Get", "Delete") for kind in s3documents.KINDS},
}
"""What the state behind refuses by itself, too late to come before policies."""
