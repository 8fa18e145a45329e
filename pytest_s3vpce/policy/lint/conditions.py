"""Rules on conditions: keys, set operators, and what is never there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.policy.actions import BUCKET_ACTIONS, OBJECT_ACTIONS
from pytest_s3vpce.policy.lint.findings import ALL, ON_S3, Hit, Rule, Severity
from pytest_s3vpce.policy.lint.keys import known, suggestion
from pytest_s3vpce.policy.lint.subject import matcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.policy.lint.subject import Row, Subject, Test

_KEYS: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"
_S3: Final = "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"
_SETS: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html"
_OPERATORS: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html"
)
_ENCRYPTION: Final = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html"
_OURS: Final = ("aws:", "s3:")
_SSE: Final = "s3:x-amz-server-side-encryption"
_SSE_KEY: Final = f"{_SSE}-aws-kms-key-id"


def _each(subject: Subject) -> Iterator[tuple[Row, Test]]:
    return ((row, test) for row in subject.rows for test in row.tests)


def _unknown_key(subject: Subject) -> Iterator[Hit]:
    for row, test in _each(subject):
        near = suggestion(test.key)
        if known(test.key) is None and (test.key.startswith(_OURS) or ":" not in test.key or near):
            never = "met by every request" if test.absent_meets else "met by none"
            yield Hit(
                row=row,
                path=test.path,
                what=f"there is no condition key `{test.shown}` in requests to S3",
                consequence=f"because no request has it, the condition is {never}",
                fix=f"Did you mean `{near}`?" if near else "See the keys that AWS documents",
            )


def _never_set(subject: Subject) -> Iterator[Hit]:
    for row, test in _each(subject):
        key = known(test.key)
        meant = row.spares_absent(test) or (row.allow and test.condition.if_exists)
        if key is None or not key.actions or meant:
            continue
        actions = row.texts("Action")
        lost = [text for text in actions if _without(text, key.actions)]
        # A Deny that the key's absence does not meet does no harm beside actions that have the key.
        if lost and (row.allow or test.absent_meets or len(lost) == len(actions)):
            never = "met by every request" if test.absent_meets else "met by none"
            yield Hit(
                row=row,
                path=test.path,
                what=f"S3 never sets {test.shown} for `{lost[0]}`",
                consequence=f"because the key is not there, the condition is {never} of these",
                fix=f"Give {test.shown} a statement of its own, with the actions that have it",
            )


def _without(pattern: str, having: frozenset[str]) -> bool:
    """Whether a pattern stands for S3 actions, none of which has the key."""
    name = pattern.lower().removeprefix("s3:")
    if name == pattern.lower():
        return False
    match = matcher(name)
    return any(map(match, BUCKET_ACTIONS | OBJECT_ACTIONS)) and not any(map(match, having))


def _for_all_values(subject: Subject) -> Iterator[Hit]:
    for row in subject.allows:
        present = {test.key for test in row.tests if not test.absent_meets}
        for test in row.tests:
            if test.condition.quantifier == "forallvalues" and test.key not in present:
                yield Hit(
                    row=row,
                    path=test.path,
                    what=f"an Allow tests {test.shown} with ForAllValues alone",
                    consequence="because ForAllValues is met where the key is absent, requests without it are allowed",
                    fix=f'Add "Null": {{"{test.shown}": "false"}} to the statement',
                )


def _set_on_single(subject: Subject) -> Iterator[Hit]:
    for row, test in _each(subject):
        key = known(test.key)
        if key is not None and not key.many and test.condition.quantifier and test.name != "Null":
            yield Hit(
                row=row,
                path=test.path,
                what=f"{test.condition.written} on {test.shown}, which has one value",
                consequence="because of it an absent key is treated otherwise than it seems: "
                + ("it meets the condition" if test.absent_meets else "it does not meet the condition"),
                fix="Leave ForAllValues and ForAnyValue to keys of many values",
            )


def _many_without_set(subject: Subject) -> Iterator[Hit]:
    for row, test in _each(subject):
        key = known(test.key)
        if key is not None and key.many and not test.condition.quantifier and test.name != "Null":
            yield Hit(
                row=row,
                path=test.path,
                what=f"{test.shown} has many values, and {test.condition.written} has no set operator",
                consequence="because AWS does not say what such a test gives, it can't be relied on",
                fix=f"Use ForAnyValue:{test.name} or ForAllValues:{test.name}",
            )


def _any_of_nothing(subject: Subject) -> Iterator[Hit]:
    for row in subject.denies:
        for test in row.tests:
            if test.condition.quantifier == "foranyvalue" and test.negated and not test.condition.if_exists:
                yield Hit(
                    row=row,
                    path=test.path,
                    what=f"a Deny tests {test.shown} with {test.condition.written}",
                    consequence="because ForAnyValue is not met where the key is absent, requests without it get by",
                    fix=f"Use ForAllValues:{test.name}, which an absent key meets",
                )


def _null_with_value(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        absent = {test.key for test in row.tests if test.name == "Null" and test.wanted == ("true",)}
        for test in row.tests:
            if test.key in absent and test.name != "Null":
                never = "the other condition says nothing" if test.absent_meets else "the statement matches no request"
                yield Hit(
                    row=row,
                    path=test.path,
                    what=f"one statement wants {test.shown} absent and tests its value",
                    consequence=f"because conditions are ANDed, {never}",
                    fix="Write two statements, one for the absent key and one for wrong values",
                )


def _encryption_without_null(subject: Subject) -> Iterator[Hit]:
    demanded = {
        test.key for row in subject.denies for test in row.tests if test.name == "Null" and "true" in test.wanted
    }
    for row in subject.denies:
        for test in row.of(_SSE, _SSE_KEY):
            handled = test.key in demanded or row.spares_absent(test)
            if test.negated and test.absent_meets and not handled and row.covers("s3:PutObject"):
                yield Hit(
                    row=row,
                    path=test.path,
                    what=f"the statement denies by {test.shown} and does not say what an absent header means",
                    consequence="because the key holds the header as sent, uploads that rely on the bucket's default "
                    "encryption are denied too",
                    fix=f'Add "Null": {{"{test.shown}": "false"}} to spare them, '
                    "or a Deny with Null true to say that they must send it",
                )


def _short_kms_key(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        for test in row.of(_SSE_KEY):
            short = [text for text in test.wanted if not text.startswith(("arn:", "*", "<", "${"))]
            if short and test.name != "Null":
                yield Hit(
                    row=row,
                    path=test.path,
                    what=f"{test.shown} is compared with `{short[0]}`",
                    consequence="because the key holds the ARN of the KMS key, an id or alias is never equal to it",
                    fix="Give the key's ARN: `arn:aws:kms:REGION:ACCOUNT:key/ID`",
                )


_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
RULES: Final = (
    Rule("S3V201", "unknown-key", _ERROR, ON_S3, "a condition key that does not exist", _KEYS, _unknown_key),
    Rule("S3V202", "key-never-set", _ERROR, ON_S3, "a key that S3 never sets for the action", _S3, _never_set),
    Rule("S3V203", "for-all-values", _WARNING, ALL, "ForAllValues in an Allow without Null", _SETS, _for_all_values),
    Rule("S3V204", "set-on-single", _WARNING, ALL, "a set operator on a key of one value", _SETS, _set_on_single),
    Rule("S3V205", "many-without-set", _ERROR, ALL, "a key of many values, no set operator", _SETS, _many_without_set),
    Rule("S3V206", "any-of-nothing", _WARNING, ALL, "a Deny with a negated ForAnyValue", _SETS, _any_of_nothing),
    Rule("S3V207", "null-with-value", _ERROR, ALL, "Null and a value in one statement", _OPERATORS, _null_with_value),
    Rule(
        "S3V208",
        "encryption-without-null",
        _WARNING,
        ON_S3,
        "a Deny by encryption header that forgets absent headers",
        _ENCRYPTION,
        _encryption_without_null,
    ),
    Rule("S3V209", "short-kms-key", _ERROR, ON_S3, "a KMS key's id or alias for its ARN", _ENCRYPTION, _short_kms_key),
)
