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
# authorization ids, an SDK's own words), and copies are wrapped anywhere, so phrases are searched for in the letters
# alone; the last one found is S3's, whatever a name before it says.
_POLICY_TYPES: Final = {
    "identitybasedpolicy": (Layer.IDENTITY, "identity-based policy"),
    "resourcebasedpolicy": (Layer.RESOURCE, "resource-based policy"),
    "permissionsboundary": (Layer.PERMISSIONS_BOUNDARY, "permissions boundary"),
    "sessionpolicy": (Layer.SESSION, "session policy"),
    "servicecontrolpolicy": (Layer.SCP, "service control policy"),
    "resourcecontrolpolicy": (Layer.RCP, "resource control policy"),
    "vpcendpointpolicy": (Layer.VPC_ENDPOINT, "vpc endpoint policy"),
}
_TYPES: Final = "|".join(_POLICY_TYPES)
_DECIDED: Final = re.compile(rf"explicitdenyinan?(?P<denies>{_TYPES})|no(?P<allows>{_TYPES})allows")
_EXPLICIT: Final = "withanexplicitdeny"
_BLOCKED: Final = re.compile(r"blockpublic(access|acls|policy)|restrictpublicbuckets")
_NAMES: Final = re.compile(r"""User:\s\S+|"[^"]*"|'arn:[^']*'|arn:\S+""")
"""Who asked for what. Its words are the users', and may be those of any refusal: a bucket may be called anything."""
_NO_LETTERS: Final = re.compile("[^a-z]+")
_ACTION: Final = re.compile(r"not\s+authorized to perform:?\s+([A-Za-z0-9-]+:[A-Za-z0-9*]+)", re.IGNORECASE)
_ALLOWS_ACTION: Final = re.compile(r"allows the\s+([A-Za-z0-9-]+:[A-Za-z0-9*]+)\s+action", re.IGNORECASE)
# Each is linear in the body, whatever a hostile one holds; no code of S3's is longer than the bound.
_CODE: Final = re.compile(r"<(?:\w{1,16}:)?Code>([^<]{1,128})<")
_MESSAGE: Final = re.compile(r"<(?:\w{1,16}:)?Message>(.*?)(?:</(?:\w{1,16}:)?Message>|$)", re.DOTALL)
_ERROR: Final = re.compile(r"<(?:\w{1,16}:)?Error[\s>]")
_ERROR_ROOT: Final = re.compile(r"\s*(?:<\?[^>]*>\s*)?<(?:\w{1,16}:)?Error[\s>]")
_S3_HEADERS: Final = ("x-amz-request-id", "x-amz-id-2")

# Refused with AccessDenied, but not by a policy that grants or denies: the request was late, misdirected or not signed
# as a whole (a proxy that adds a header does that), or an authorised caller met a lock:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html and .../MultiFactorAuthenticationDelete.html
_NO_DENIAL: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), why)
    for pattern, why in (
        (r"request has expired|policy expired", "the presigned request has expired"),
        (r"request is not yet valid", "the presigned request is not valid yet: a clock is off"),
        (r"headers present in the request which were not signed", "headers were not signed: something added them"),
        (r"authentication requires (a valid|the signature)", "the request was not signed as S3 demands"),
        (r"invalid according to policy", "the upload form's own policy does not fit the request"),
        (r"requires? (the )?requester.?pays|requester.?pay", "the requester pays, and did not say so"),
        (r"x-amz-expected-bucket-owner|expected bucket owner", "the bucket belongs to another account"),
        (r"protected by object lock", "object lock protects the object, from authorised callers too"),
        (r"mfa authentication must be used", "the bucket asks for MFA, of authorised callers too"),
    )
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
UNAUTHENTIC_CODES: Final = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "RequestTimeTooSkewed",
        "ExpiredToken",
        "InvalidToken",
        "TokenRefreshRequired",
        "InvalidSecurity",
    }
)
"""The caller's credentials, signature or clock are not good, so its requests are refused before any policy is asked."""
INCONCLUSIVE_CODES: Final = frozenset(_WHY)
"""They say something about who asked, when or where, and nothing about authorisation."""
_UNREACHABLE: Final = {
    FailureKind.DNS: "the host's name did not resolve",
    FailureKind.CONNECT_TIMEOUT: "the connection timed out",
    FailureKind.REFUSED: "the connection was refused",
}
UNTRUSTED: Final = "the server's certificate is not trusted"
_FAILED: Final = {
    FailureKind.TLS_HANDSHAKE: "the TLS handshake failed",
    FailureKind.TLS_CERTIFICATE: UNTRUSTED,
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
    error = _error_in(answer, answer.status, operation)
    found = _of_answer(answer.status, error, answer, authorised)
    return replace(found, code=error.code, message=error.message)


def code_of(answer: Answer) -> str | None:
    """S3's code where it says that something went wrong; what that says of the caller, `classify` tells."""
    return None if answer.status is None else _error_in(answer, answer.status, None).code


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
    if _is_foreign(status, error, answer):
        return _inconclusive(f"a {status} that is not S3's: a proxy, portal or gateway answered")
    if 200 <= status < 300:
        return _of_success(error)
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


def _is_late(text: str, operation: str | None) -> bool:
    """Whether a success may be an error all the same; an object that looks like one is an object."""
    return operation in _LATE_ERRORS or (operation is None and _ERROR_ROOT.match(text) is not None)


def _of_success(error: _Error) -> Outcome:
    if error.code is None:
        return _allowed("the request succeeded")
    if error.code in _DENIAL_CODES:
        return _refused(error)
    if error.code == "PreconditionFailed":
        return _allowed("PreconditionFailed comes after authorisation")
    return _inconclusive(f"it succeeded with {error.code} in its body")


def _is_foreign(status: int, error: _Error, answer: Answer) -> bool:
    """Whether something in between answered with words of its own."""
    if any(name in answer.headers for name in _S3_HEADERS):
        return False
    if answer.headers.get("content-type", "").lower().startswith("text/html"):
        return True
    return status >= 300 and error.code is None and bool(answer.body.strip())


def _of_403(error: _Error, answer: Answer) -> Outcome:
    if error.code is None:
        if any(name in answer.headers for name in _S3_HEADERS) and not answer.body.strip():
            return Outcome(kind=OutcomeKind.DENIED, reason="S3 refused it without a body, so the layer is not named")
        return _inconclusive("a 403 without S3's code: a proxy or gateway may have answered")
    if error.code not in _DENIAL_CODES:
        return _inconclusive(_WHY.get(error.code) or f"{error.code} is no denial by a policy")
    return _refused(error)


def _refused(error: _Error) -> Outcome:
    if error.code == "AllAccessDisabled":
        return Outcome(kind=OutcomeKind.DENIED, explicit=True, reason="AWS has disabled all access to it")
    message = error.message or ""
    action = _first(_ACTION, message) or _first(_ALLOWS_ACTION, message)
    bare = _NAMES.sub(" ", message)
    layer, explicit, reason = _layer(bare)
    if action is not None and action.lower().startswith("kms:"):
        layer, reason = Layer.KMS, f"KMS refused {action}"
    if layer is None:
        for pattern, why in _NO_DENIAL:
            if pattern.search(bare):
                return _inconclusive(why)
    return Outcome(kind=OutcomeKind.DENIED, layer=layer, explicit=explicit, action=action, reason=reason)


def _layer(bare: str) -> tuple[Layer | None, bool | None, str]:
    """Which layer decided, whether explicitly, and that in words; from a message without names."""
    letters = _NO_LETTERS.sub("", bare.lower())
    decided = max(_DECIDED.finditer(letters), key=re.Match.start, default=None)
    if decided is not None:
        layer, words = _POLICY_TYPES[decided["denies"] or decided["allows"]]
        if decided["denies"]:
            return layer, True, f"{'an' if words.startswith('i') else 'a'} {words} denies it explicitly"
        return layer, False, f"no {words} allows it"
    if _BLOCKED.search(letters):
        return Layer.BLOCK_PUBLIC_ACCESS, True, "Block Public Access forbids it"
    if _EXPLICIT in letters:
        return None, True, "a policy that S3 does not name denies it explicitly"
    return None, None, "S3 denied it without naming a policy"


def _error_in(answer: Answer, status: int, operation: str | None) -> _Error:
    text = answer.body.decode("utf-8-sig", errors="replace")
    succeeded = 200 <= status < 300 and not _is_late(text, operation)
    return _Error(None, None) if succeeded else _error_of(text)


def _error_of(text: str) -> _Error:
    """Code and message of an error body, also a truncated one; read by pattern, so that no XML is ever expanded."""
    if not _ERROR.search(text):
        return _Error(None, None)
    code = (_first(_CODE, text) or "").strip()
    message = _first(_MESSAGE, text)
    return _Error(unescape(code) or None, " ".join(unescape(message).split()) if message else None)


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
