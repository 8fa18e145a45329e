"""What S3 looks at first: policies, or what a request says. Each asked by one who may and by one who may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.calibration import Finding
from pytest_s3vpce.model import Layer
from pytest_s3vpce.operations import BOGUS_ETAG, Fill, Form, operation
from pytest_s3vpce.outcome import INCONCLUSIVE_CODES
from pytest_s3vpce.run.access import TRANSIENT
from pytest_s3vpce.run.calibrating.asking import Question, allow, deny
from pytest_s3vpce.run.canaries import BODY
from pytest_s3vpce.run.objects import is_s3s
from pytest_s3vpce.undocumented import OTHER_ANSWER, POLICIES_FIRST, RULES, SAME_ANSWER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.run.calibrating.asking import Asker, Reply

ANY: Final = allow("s3:*")
_SOURCE: Final = "https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"
_KEPT: Final[Mapping[str, Any]] = {"Body": Fill.CANARY_BODY, "IfNoneMatch": "*"}
"""What keeps a write from writing anything, whatever else is said of it."""
_TELLING: Final = frozenset({400, 404, 405, 409, 412, 416, 501})
"""Statuses that say something about what was asked, not about who asked it or when."""
_UNTELLING: Final = INCONCLUSIVE_CODES | TRANSIENT
"""Codes that come with such a status, and say the opposite: a token is over, or S3 is busy."""


def _form(answer: str, **parameters: Any) -> Form:
    return Form(parameters=parameters, documented=False, authorised=(answer,), source=_SOURCE)


_BODIES: Final[Mapping[str, Question]] = {
    "order/digest": Question(
        operation="PutObject", form=_form("400 BadDigest", **_KEPT, ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
    ),
    "order/digest-form": Question(
        operation="PutObject", form=_form("400 InvalidDigest", **_KEPT, ContentMD5="bm9uZQ==")
    ),
    "order/checksum": Question(operation="PutObject", form=_form("400 BadDigest", **_KEPT, ChecksumCRC32="AAAAAA==")),
    "order/payload-hash": Question(
        operation="PutObject", form=_form("400 XAmzContentSHA256Mismatch", **_KEPT), body=bytes(len(BODY))
    ),
    "order/read-condition": Question(
        operation="GetObject", form=_form("412 PreconditionFailed", IfMatch=BOGUS_ETAG, Range="bytes=0-0")
    ),
}


def forms(asker: Asker) -> Iterator[Finding]:
    """Each safe form by one who may, and by one refused its action alone."""
    names = [name.removeprefix("form/") for name in RULES if name.startswith("form/")]
    yield from _ordered(asker, {f"form/{name}": Question(operation=name) for name in names})


def order(asker: Asker) -> Iterator[Finding]:
    """A body that is not what is said of it; a condition of a read; a KMS key beside a condition."""
    yield from _ordered(asker, _BODIES)
    yield _kms(asker)


def _ordered(asker: Asker, rows: Mapping[str, Question]) -> Iterator[Finding]:
    questions: list[Question] = []
    for row in rows.values():
        action = operation(row.operation).default_of or operation(row.operation).actions[0]
        may, may_not = (ANY,), (ANY, deny(action))
        questions += [row.by(*may), row.by(*may_not)]
    replies = asker.ask(questions)
    for (name, row), allowed, denied in zip(rows.items(), replies[::2], replies[1::2], strict=True):
        found = _compared(name, allowed, denied)
        if found.answer and row.form is None:
            asker.learn(row.operation, found.answer)
        yield found


def _compared(rule: str, allowed: Reply, denied: Reply) -> Finding:
    answer = ""
    if denied.outcome.denied and allowed.outcome.allowed:
        value = POLICIES_FIRST
    elif denied.outcome.denied and _tells(allowed):
        value, answer = OTHER_ANSWER, allowed.code
    elif allowed.code == denied.code and (_tells(allowed) or allowed.outcome.allowed):
        value = SAME_ANSWER
    else:
        value = "other answers"
    detail = f"who may: {allowed.code}; who may not: {denied.code}"
    ids = (*allowed.request_ids, *denied.request_ids)
    return Finding(rule=rule, value=value, request_ids=ids, detail=detail, answer=answer)


def _tells(reply: Reply) -> bool:
    """Whether S3 answered to what was asked. Without a code it can't be told from a token that is over."""
    code = reply.outcome.code
    return reply.answer.status in _TELLING and code is not None and code not in _UNTELLING and is_s3s(reply.answer)


def _kms(asker: Asker) -> Finding:
    """By a key that is not there: whoever may not use KMS is refused it as one that may not be used."""
    scratch = asker.scratch
    key = f"arn:{scratch.partition}:kms:{scratch.region}:{scratch.account_id}:key/00000000-0000-0000-0000-000000000000"
    under_key = _form("412 PreconditionFailed", **_KEPT, ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    plain = _form("412 PreconditionFailed", **_KEPT)
    free, encrypted = asker.ask(
        [Question(operation="PutObject", form=form, statements=(ANY,)) for form in (plain, under_key)]
    )
    code = encrypted.outcome.code or ""
    if not free.outcome.allowed:
        value = f"without a key: {free.code}"
    elif encrypted.outcome.allowed:
        value = "conditions first"
    elif encrypted.outcome.layer is Layer.KMS or code.startswith("KMS."):
        value = "KMS first"
    else:
        value = encrypted.code
    ids = (*free.request_ids, *encrypted.request_ids)
    return Finding(rule="order/kms", value=value, request_ids=ids, detail=f"under a key: {encrypted.code}")
