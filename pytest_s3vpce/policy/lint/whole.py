"""Rules on a policy as a whole: what AWS refuses, sizes, the languages of policy kinds."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.policy.lint.findings import ALL, GRANTED, Hit, Kind, Rule, Severity
from pytest_s3vpce.policy.lint.subject import Fault
from pytest_s3vpce.policy.validation import MAXIMUM_SIZE, validate_bucket_policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.policy.lint.subject import Subject

_USER_GUIDE: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
_ORGANIZATIONS: Final = "https://docs.aws.amazon.com/organizations/latest/userguide/"
_GRAMMAR: Final = _USER_GUIDE + "reference_policies_grammar.html"
_QUOTAS: Final = _USER_GUIDE + "reference_iam-quotas.html"
_PUT: Final = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html"
_NEAR: Final = 0.9
_MANAGED: Final = 6144
_BUCKET_ARN: Final = re.compile(r"arn:(aws[a-z-]*):s3:::([^/*?]+)(?:/.*)?", re.DOTALL)

# IAM counts without white space, and Organizations' console saves so; S3, VPC endpoints and KMS count what is sent.
# Identity: a role's inline policy, the largest of them. https://docs.aws.amazon.com/vpc/latest/privatelink/
_COMPACT: Final[Mapping[Kind, int]] = {
    Kind.IDENTITY: 10_240,
    Kind.BOUNDARY: _MANAGED,
    Kind.SESSION: 2048,
    Kind.TRUST: 4096,
    Kind.SCP: 5120,
    Kind.RCP: 5120,
}
_AS_SENT: Final[Mapping[Kind, int]] = {Kind.BUCKET: MAXIMUM_SIZE, Kind.ENDPOINT: MAXIMUM_SIZE, Kind.KEY: 32 * 1024}


def _size(subject: Subject) -> tuple[int, int]:
    """(bytes that count, the most there may be)."""
    if subject.kind in _AS_SENT:
        return len(subject.text.encode("utf-8", "surrogatepass")), _AS_SENT[subject.kind]
    return len(json.dumps(subject.data, separators=(",", ":"), ensure_ascii=False)), _COMPACT[subject.kind]


def _malformed(subject: Subject) -> Iterator[Hit]:
    if isinstance(subject.parsed, Fault):
        error = subject.parsed.error
        yield Hit(
            path=subject.parsed.path,
            what=error.what,
            consequence="because of it AWS refuses the document",
            fix=_sentence(error.remedy or "see the grammar of policies"),
        )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _refused(subject: Subject) -> Iterator[Hit]:
    size, most = _size(subject)
    found = _bucket(subject)
    if found is None or size > most:
        return
    partition, bucket = found
    message = validate_bucket_policy(subject.text, bucket=bucket, partition=partition)
    if message is not None:
        yield Hit(
            path=(),
            what=f"S3 does not store this as the policy of `{bucket}`: {message}",
            consequence="because of it PutBucketPolicy fails with MalformedPolicy, and what was there stays",
            fix="Mend what the message says",
        )


def _bucket(subject: Subject) -> tuple[str, str] | None:
    """The bucket that most resources are in, with its partition; None where that can't be told."""
    texts = [text for row in subject.rows for element in ("Resource", "NotResource") for text in row.texts(element)]
    if any(":accesspoint/" in text for text in texts):
        return None
    named = Counter((match[1], match[2]) for text in texts if (match := _BUCKET_ARN.fullmatch(text)))
    return named.most_common(1)[0][0] if named else ("aws", "BUCKET")


def _too_large(subject: Subject) -> Iterator[Hit]:
    size, most = _size(subject)
    if size > most:
        yield Hit(
            path=(),
            what=f"the policy has {size} characters, and {most} are the limit of this kind",
            consequence="because of it AWS refuses the policy",
            fix="Merge statements that differ in one element, and use wildcards or tags for long lists",
        )


def _nearly_too_large(subject: Subject) -> Iterator[Hit]:
    size, most = _size(subject)
    managed = subject.kind is Kind.IDENTITY
    if most >= size > (_MANAGED if managed else most * _NEAR):
        fits = f"it fits inline into a role, but into no managed policy ({_MANAGED})" if managed else ""
        yield Hit(
            path=(),
            what=f"the policy has {size} of at most {most} characters",
            consequence=f"because of it {fits or 'the next statement may not fit'}",
            fix="Merge statements that differ in one element",
        )


def _repeated_sid(subject: Subject) -> Iterator[Hit]:
    seen: set[str] = set()
    for row in subject.rows:
        if row.sid is not None and row.sid in seen:
            yield Hit(
                row=row,
                path=(*row.path, "Sid"),
                what=f"the Sid `{row.sid}` is given twice",
                consequence="because Sids are unique in a policy, IAM refuses it, and tools that go by Sid reach one "
                "of the statements only",
                fix="Give each statement its own Sid",
            )
        if row.sid is not None:
            seen.add(row.sid)


def _repeated_statement(subject: Subject) -> Iterator[Hit]:
    seen: dict[str, str] = {}
    for row in subject.rows:
        text = json.dumps({key: value for key, value in row.written.items() if key != "Sid"}, sort_keys=True)
        if text in seen:
            yield Hit(
                row=row,
                path=row.path,
                what=f"the statement says the same as `{seen[text]}`",
                consequence="because one of them decides all, a change of the other has no effect",
                fix="Remove one",
            )
        seen.setdefault(text, row.name)


def _principal_in_granted(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        for element in ("Principal", "NotPrincipal"):
            if element in row.written:
                yield Hit(
                    row=row,
                    path=(*row.path, element),
                    what=f"the element {element} stands in a policy that is attached to principals",
                    consequence="because of it AWS refuses the policy",
                    fix="Remove it, and narrow by a condition on aws:PrincipalArn",
                )


def _no_principal(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        if "Principal" not in row.written and "NotPrincipal" not in row.written:
            yield Hit(
                row=row,
                path=row.path,
                what="the statement names no principal",
                consequence="because of it AWS refuses the policy",
                fix='Add "Principal": "*" or the principals it is about',
            )


def _rcp_language(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        named = [text for _, _, text in row.principals()]
        faults = {
            ("Effect",): not row.deny and "it allows",
            ("NotPrincipal",): "NotPrincipal" in row.written and "it has NotPrincipal",
            ("NotAction",): "NotAction" in row.written and "it has NotAction",
            ("Principal",): any(text != "*" for text in named) and "it names principals",
            ("Action",): "*" in row.texts("Action") and "its action is `*` alone",
        }
        for path, what in faults.items():
            if what:
                yield Hit(
                    row=row,
                    path=(*row.path, *path),
                    what=f"the statement is none for a resource control policy: {what}",
                    consequence="because such policies only deny, to everybody, actions of named services, "
                    "Organizations refuses it",
                    fix='Write "Effect": "Deny", "Principal": "*" and actions such as "s3:*"',
                )


_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
REPEATED_KEY: Final = Rule(
    "S3V001", "repeated-key", _ERROR, ALL, "a key twice in one JSON object", _GRAMMAR, lambda _subject: iter(())
)
"""The reader of JSON finds it: what it drops is no longer there for a check."""
RULES: Final = (
    REPEATED_KEY,
    Rule("S3V002", "malformed", _ERROR, ALL, "a document that is no policy", _GRAMMAR, _malformed),
    Rule("S3V003", "refused-by-s3", _ERROR, frozenset({Kind.BUCKET}), "S3 does not store it", _PUT, _refused),
    Rule("S3V004", "too-large", _ERROR, ALL, "larger than AWS stores", _QUOTAS, _too_large),
    Rule("S3V005", "nearly-too-large", _WARNING, ALL, "close to the limit", _QUOTAS, _nearly_too_large),
    Rule("S3V006", "repeated-sid", _WARNING, ALL, "the same Sid twice", _GRAMMAR, _repeated_sid),
    Rule("S3V007", "repeated-statement", _WARNING, ALL, "the same statement twice", _GRAMMAR, _repeated_statement),
    Rule(
        "S3V011",
        "principal-in-granted",
        _ERROR,
        GRANTED | {Kind.SCP},
        "Principal in a policy of principals",
        _USER_GUIDE + "reference_policies_elements_principal.html",
        _principal_in_granted,
    ),
    Rule(
        "S3V012",
        "no-principal",
        _ERROR,
        frozenset({Kind.ENDPOINT, Kind.RCP, Kind.TRUST, Kind.KEY}),
        "a statement without Principal",
        _USER_GUIDE + "reference_policies_elements_principal.html",
        _no_principal,
    ),
    Rule(
        "S3V013",
        "rcp-language",
        _ERROR,
        frozenset({Kind.RCP}),
        "what a resource control policy can't say",
        _ORGANIZATIONS + "orgs_manage_policies_rcps_syntax.html",
        _rcp_language,
    ),
)
