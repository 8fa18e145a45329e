"""The one classifier: what came back, by status, code and message, to one of four outcomes. Total; it never raises."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html import unescape
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.model import Answer, FailureKind, Layer, Outcome, OutcomeKind
from pytest_s3vpce.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Collection

# How S3 words a refusal: https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html and
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html. The tail varies (policy ARNs,
# authorization ids, an SDK's own words), so patterns are searched for, never matched to the end.
_POLICY_TYPES: Final = {
    "identity-based policy": Layer.IDENTITY,
    "resource-based policy": Layer.RESOURCE,
    "permissions boundary": Layer.PERMISSIONS_BOUNDARY,
    "session policy": Layer.SESSION,
    "service control policy": Layer.SCP,
    "resource control policy": Layer.RCP,
    "vpc endpoint policy": Layer.VPC_ENDPOINT,
}
_TYPES: Final = "|".join(re.escape(name).replace(r"\ ", r"\s+") for name in _POLICY_TYPES)
_EXPLICIT: Final = re.compile(rf"with an explicit deny in an?\s+({_TYPES})", re.IGNORECASE)
_IMPLICIT: Final = re.compile(rf"because no\s+({_TYPES})\s+allows", re.IGNORECASE)
_ACTION: Final = re.compile(r"not\s+authorized to perform:?\s+([A-Za-z0-9-]+:[A-Za-z0-9*]+)", re.IGNORECASE)
_ALLOWS_ACTION: Final = re.compile(r"allows the\s+([A-Za-z0-9-]+:[A-Za-z0-9*]+)\s+action", re.IGNORECASE)
_BLOCKED: Final = re.compile(r"block public access|BlockPublic(Acls|Policy)|RestrictPublicBuckets", re.IGNORECASE)
_CODE: Final = re.compile(r"<(?:\w+:)?Code>\s*([^<]*?)\s*</(?:\w+:)?Code>")
_MESSAGE: Final = re.compile(r"<(?:\w+:)?Message>(.*?)(?:</(?:\w+:)?Message>|$)", re.DOTALL)
_ERROR: Final = re.compile(r"<(?:\w+:)?Error[\s>]")
_S3_HEADERS: Final = ("x-amz-request-id", "x-amz-id-2", "x-amzn-requestid")

# Refused with AccessDenied, but not by a policy that grants or denies: the request itself was late or misdirected.
_NO_DENIAL: Final = (
    (re.compile(r"request has expired", re.IGNORECASE), "the presigned request has expired"),
    (
        re.compile(r"requires? (the )?requester.?pays|requester.?pay", re.IGNORECASE),
        "the requester pays, and did not say so",
    ),
    (
        re.compile(r"x-amz-expected-bucket-owner|expected bucket owner", re.IGNORECASE),
        "the bucket belongs to another account",
    ),
)
# 403s of callers who are not even looked at, or of authorised ones:
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_DENIAL_CODES: Final = frozenset({"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "Forbidden", "403"})
_ALLOWED_CODES: Final = frozenset(
    {
        "InvalidObjectState",
        "InvalidRange",
        "NoSuchUpload",
        "NoSuchVersion",
        "NoSuchBucketPolicy",
        "NoSuchTagSet",
        "NoSuchTagSetError",
        "NoSuchLifecycleConfiguration",
        "NoSuchCORSConfiguration",
        "NoSuchWebsiteConfiguration",
        "NoSuchPublicAccessBlockConfiguration",
        "NoSuchConfiguration",
        "NoSuchAccessPointPolicy",
        "OwnershipControlsNotFoundError",
        "ReplicationConfigurationNotFoundError",
        "ServerSideEncryptionConfigurationNotFoundError",
        "ObjectLockConfigurationNotFoundError",
        "NoSuchObjectLockConfiguration",
        "MetadataConfigurationNotFound",
    }
)
"""Answers that only an authorised caller gets, whatever the operation."""
_LATE_ERRORS: Final = frozenset({"CopyObject", "UploadPartCopy", "CompleteMultipartUpload", "DeleteObjects"})
"""Operations whose 200 may carry an error in its body: two answer late, one per key.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""
_ALLOWED_STATUSES: Final = frozenset({304, 412, 416})
_WHY: Final = {
    "InvalidAccessKeyId": "the access key does not exist",
    "SignatureDoesNotMatch": "the signature does not match: wrong keys, or something rewrote the request",
    "RequestTimeTooSkewed": "the clock is off by more than 15 minutes",
    "ExpiredToken": "the session token has expired",
    "InvalidToken": "the session token is not valid",
    "TokenRefreshRequired": "the session token must be renewed",
    "AuthorizationHeaderMalformed": "the request was signed for another Region",
    "PermanentRedirect": "the bucket is in another Region",
    "TemporaryRedirect": "the bucket's name does not lead to its Region yet",
    "IllegalLocationConstraintException": "the bucket is in another Region",
    "NoSuchBucket": "the bucket does not exist",
    "NoSuchKey": "the canary does not exist",
    "MethodNotAllowed": "the operation is not open to this account, or the object is a delete marker",
    "SlowDown": "S3 asked to slow down",
    "ServiceUnavailable": "S3 was not available",
    "InternalError": "S3 had an internal error",
    "AccountProblem": "the account has a problem with AWS",
    "NotSignedUp": "the account is not signed up for S3",
    "InvalidPayer": "the payer's account is closed",
    "InvalidSecurity": "the security credentials are not valid",
}
_UNREACHABLE: Final = {
    FailureKind.DNS: "the host's name did not resolve",
    FailureKind.CONNECT_TIMEOUT: "the connection timed out",
    FailureKind.REFUSED: "the connection was refused",
}
_FAILED: Final = {
    FailureKind.TLS_HANDSHAKE: "the TLS handshake failed",
    FailureKind.TLS_CERTIFICATE: "the server's certificate is not trusted",
    FailureKind.RESET: "the connection was reset",
    FailureKind.READ_TIMEOUT: "no answer came in time",
    FailureKind.PROTOCOL: "what answered does not speak HTTP properly",
    FailureKind.STALE: "the signature was too old to be sent",
    FailureKind.FORBIDDEN_HOST: "the agent may not talk to that host",
    FailureKind.NOT_SENT: "the request was not sent",
}


@dataclass(frozen=True, slots=True)
class _Error:
    """What an error body says; both None where it is none of S3's."""

    code: str | None
    message: str | None


def classify(answer: Answer, *, operation: str | None = None, authorised: Collection[str] | None = None) -> Outcome:
    """The outcome of an answer.

    `authorised` are the further answers of the probe's form that only an authorised caller gets, as `status` or
    `status Code`; without it those of the operation's safe form in the catalogue count.
    """
    if answer.failure is not None:
        return _of_failure(answer.failure, answer.detail)
    if answer.status is None:
        return Outcome(kind=OutcomeKind.INCONCLUSIVE, reason="there is no answer")
    if authorised is None:
        row = OPERATIONS.get(operation or "")
        form = row.safe if row else None
        authorised = form.authorised if form else ()
    error = _error_of(answer)
    if 200 <= answer.status < 300:
        late = error if operation in _LATE_ERRORS else _Error(None, None)
        return replace(_of_success(late, answer), code=late.code, message=late.message)
    found = _of_answer(answer.status, error, answer, authorised)
    return replace(found, code=error.code, message=error.message)


def for_action(outcome: Outcome, *, action: str, helpers: Collection[str], shown: Collection[str]) -> Outcome:
    """The outcome as it counts for the action under test.

    A denial counts only if S3 names that action, or names none and every helper action of the probe's form was shown
    to be allowed; otherwise it may be the helper's, and is inconclusive.
    """
    if not outcome.denied:
        return outcome
    if outcome.action is not None:
        if outcome.action.lower() == action.lower():
            return outcome
        return replace(
            outcome,
            kind=OutcomeKind.INCONCLUSIVE,
            reason=f"S3 denied {outcome.action}, not {action}, which is under test",
        )
    missing = sorted({helper.lower() for helper in helpers} - {name.lower() for name in shown} - {action.lower()})
    if missing:
        return replace(
            outcome,
            kind=OutcomeKind.INCONCLUSIVE,
            reason=f"the denial names no action, and the probe also needs {', '.join(missing)}, not shown allowed",
        )
    return outcome


def _of_failure(kind: FailureKind, detail: str) -> Outcome:
    tail = f": {detail}" if detail else ""
    if kind in _UNREACHABLE:
        return Outcome(kind=OutcomeKind.UNREACHABLE, reason=_UNREACHABLE[kind] + tail)
    return Outcome(kind=OutcomeKind.INCONCLUSIVE, reason=_FAILED[kind] + tail)


def _of_answer(status: int, error: _Error, answer: Answer, authorised: Collection[str]) -> Outcome:
    code = error.code
    if _listed(status, code, authorised):
        return _allowed(f"{code or status} is the answer that an authorised caller gets")
    if code in _ALLOWED_CODES:
        return _allowed(f"{code} comes after authorisation")
    if status in _ALLOWED_STATUSES and code in (None, "PreconditionFailed", "NotModified", "InvalidRange"):
        return _allowed(f"{code or status} comes after authorisation")
    if status == 403:
        return _of_403(error, answer)
    return _inconclusive(_WHY.get(code or "") or _words(status, error))


def _listed(status: int, code: str | None, authorised: Collection[str]) -> bool:
    return str(status) in authorised or (code is not None and f"{status} {code}" in authorised)


def _of_success(error: _Error, answer: Answer) -> Outcome:
    if error.code is None:
        if _is_page(answer):
            return _inconclusive("an HTML page that is not S3's: a proxy or portal answered")
        return _allowed("the request succeeded")
    if error.code in _DENIAL_CODES:
        return _denied(error)
    if error.code == "PreconditionFailed":
        return _allowed("PreconditionFailed comes after authorisation")
    return _inconclusive(f"it succeeded with {error.code} in its body")


def _is_page(answer: Answer) -> bool:
    """Whether something in between answered with a page of its own."""
    html = answer.headers.get("content-type", "").lower().startswith("text/html")
    return html and not any(name in answer.headers for name in _S3_HEADERS)


def _of_403(error: _Error, answer: Answer) -> Outcome:
    if error.code is None:
        if any(name in answer.headers for name in _S3_HEADERS) and not answer.body.strip():
            return Outcome(kind=OutcomeKind.DENIED, reason="S3 refused it without a body, so the layer is not named")
        return _inconclusive("a 403 that is not S3's: a proxy or gateway answered")
    if error.code not in _DENIAL_CODES:
        return _inconclusive(_WHY.get(error.code) or f"{error.code} is no denial by a policy")
    for pattern, why in _NO_DENIAL:
        if pattern.search(error.message or ""):
            return _inconclusive(why)
    return _denied(error)


def _denied(error: _Error) -> Outcome:
    message = error.message or ""
    action = _first(_ACTION, message) or _first(_ALLOWS_ACTION, message)
    if error.code == "AllAccessDisabled":
        return Outcome(kind=OutcomeKind.DENIED, explicit=True, reason="AWS has disabled all access to it")
    layer, explicit, reason = _layer(message)
    if action is not None and action.lower().startswith("kms:"):
        return Outcome(
            kind=OutcomeKind.DENIED, layer=Layer.KMS, explicit=explicit, action=action, reason=f"KMS refused {action}"
        )
    return Outcome(kind=OutcomeKind.DENIED, layer=layer, explicit=explicit, action=action, reason=reason)


def _layer(message: str) -> tuple[Layer | None, bool | None, str]:
    for pattern, explicit, verb in ((_EXPLICIT, True, "denies it explicitly"), (_IMPLICIT, False, "allows it")):
        name = _first(pattern, message)
        if name is not None:
            words = " ".join(name.lower().split())
            layer = _POLICY_TYPES[words]
            return layer, explicit, f"{'a' if explicit else 'no'} {words} {verb}"
    if _BLOCKED.search(message):
        return Layer.BLOCK_PUBLIC_ACCESS, True, "Block Public Access forbids it"
    return None, None, "S3 denied it without naming a policy"


def _error_of(answer: Answer) -> _Error:
    """Code and message of an error body, also a truncated one; read by pattern, so that no XML is ever expanded."""
    text = answer.body.decode("utf-8", errors="replace")
    if not _ERROR.search(text) and not text.lstrip().startswith("<Error"):
        return _Error(None, None)
    code = _first(_CODE, text)
    message = _first(_MESSAGE, text)
    return _Error(unescape(code) if code else None, " ".join(unescape(message).split()) if message else None)


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found.group(1) if found else None


def _words(status: int, error: _Error) -> str:
    if error.code:
        return f"{error.code} says nothing about authorisation"
    return f"status {status} without one of S3's codes says nothing about authorisation"


def _allowed(reason: str) -> Outcome:
    return Outcome(kind=OutcomeKind.ALLOWED, reason=reason)


def _inconclusive(reason: str) -> Outcome:
    return Outcome(kind=OutcomeKind.INCONCLUSIVE, reason=reason)
