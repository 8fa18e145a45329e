"""Rules on the values of conditions: wildcards, variables, types."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.policy.conditions import OPERATORS
from pytest_s3vpce.policy.documents import CURRENT
from pytest_s3vpce.policy.lint.findings import ALL, Hit, Rule, Severity
from pytest_s3vpce.policy.lint.keys import SENSITIVE, Type, known
from pytest_s3vpce.policy.patterns import arn_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_s3vpce.policy.lint.subject import Row, Subject, Test

_USER_GUIDE: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
_OPERATORS: Final = _USER_GUIDE + "reference_policies_elements_condition_operators.html"
_KEYS: Final = _USER_GUIDE + "reference_policies_condition-keys.html"
_VARIABLES: Final = _USER_GUIDE + "reference_policies_variables.html"
_VARIABLE: Final = re.compile(r"\$\{\s*[\w-]+:[^}]+\}")
_STAR: Final = re.compile(r"[*?]")
_ESCAPED: Final = re.compile(r"\$\{[*?]\}")
_PLACEHOLDER: Final = re.compile(r"<[^>]*>|\$\{")
_LITERAL: Final = frozenset({"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"})
_LIKE: Final = frozenset({"StringLike", "StringNotLike"})
_STARS_ARE_VALUES: Final = frozenset({"s3:if-match", "s3:if-none-match", "aws:useragent", "aws:referer"})
_FAMILY: Final = re.compile("String|Numeric|Date|Bool|Binary|IpAddress|NotIpAddress|Arn")
_FOR_TYPE: Final[Mapping[Type, frozenset[str]]] = {
    # String operators compare an ARN's text, which is what many policies mean.
    Type.TEXT: frozenset({"String", "Binary"}),
    Type.ARN: frozenset({"Arn", "String"}),
    Type.ADDRESS: frozenset({"IpAddress", "NotIpAddress"}),
    Type.BOOLEAN: frozenset({"Bool"}),
    Type.NUMBER: frozenset({"Numeric"}),
    Type.DATE: frozenset({"Date", "Numeric"}),
}
_ACCOUNTS: Final = frozenset(
    {"aws:principalaccount", "aws:resourceaccount", "aws:sourceaccount", "aws:vpceaccount", "s3:resourceaccount"}
)
_ORGANIZATIONS: Final = frozenset({"aws:principalorgid", "aws:resourceorgid", "aws:sourceorgid", "aws:vpceorgid"})
_FORMS: Final[Mapping[re.Pattern[str], tuple[frozenset[str], str]]] = {
    re.compile(r"\d{12}|anonymous", re.ASCII): (_ACCOUNTS, "an account's 12 digits"),
    re.compile(r"o-[a-z0-9]{10,32}"): (_ORGANIZATIONS, "an organization's id (`o-...`)"),
}


def _each(subject: Subject) -> Iterator[tuple[Row, Test]]:
    return ((row, test) for row in subject.rows for test in row.tests)


def _met(test: Test) -> str:
    return "met by every value" if test.negated else "met by none"


def _star_taken_literally(subject: Subject) -> Iterator[Hit]:
    for row, test in _each(subject):
        starred = [text for text in test.wanted if _STAR.search(_ESCAPED.sub("", text))]
        if starred and test.name in _LITERAL and test.key not in _STARS_ARE_VALUES:
            like = test.condition.written.replace("EqualsIgnoreCase", "Like").replace("Equals", "Like")
            yield Hit(
                row=row,
                path=test.path,
                what=f"{test.condition.written} compares {test.shown} with `{starred[0]}`",
                consequence=f"because it knows no wildcards, the star is a star and the condition is {_met(test)}",
                fix=f"Use {like}, or literal values",
            )


def _star_in_identifier(subject: Subject) -> Iterator[Hit]:
    for row, test in _each(subject):
        starred = [text for text in test.wanted if _STAR.search(text)]
        if starred and test.key in SENSITIVE and test.name in _LIKE:
            yield Hit(
                row=row,
                path=test.path,
                what=f"{test.shown} is compared with the pattern `{starred[0]}`",
                consequence="because such identifiers are given out by AWS to anybody, others' match it too",
                fix="Give whole identifiers with StringEquals",
            )


def _dead_variable(subject: Subject) -> Iterator[Hit]:
    if subject.variables:
        return
    for row in subject.rows:
        texts = [(test.path, text) for test in row.tests for text in test.wanted]
        texts += [*row.entries("Resource"), *row.entries("NotResource")]
        for path, text in texts:
            match = _VARIABLE.search(text)
            if match:
                yield Hit(
                    row=row,
                    path=path,
                    what=f"the variable `{match[0]}` stands in a policy of version 2008-10-17",
                    consequence="because that version knows no variables, it is plain text that nothing equals",
                    fix=f'Set "Version": "{CURRENT}"',
                )
                break


def _wrong_operator(subject: Subject) -> Iterator[Hit]:
    for row, test in _each(subject):
        key, family = known(test.key), _FAMILY.match(test.name)
        if key is not None and family is not None and family[0] not in _FOR_TYPE[key.type]:
            wanted = " or ".join(sorted(name for name in _FOR_TYPE[key.type] if name != "Binary"))
            yield Hit(
                row=row,
                path=test.path,
                what=f"{test.condition.written} on {key.shown}, whose type is {key.type}",
                consequence="because it compares otherwise than the type asks for, equal values may differ and "
                "ranges and patterns do not work",
                fix=f"Use the operators that begin with {wanted}",
            )


def _unreadable_value(subject: Subject) -> Iterator[Hit]:
    for row, test in _each(subject):
        reads, how = _READS.get(test.name, (_anything, ""))
        bad = [text for text in test.wanted if not _PLACEHOLDER.search(text) and not reads(text)]
        if bad:
            yield Hit(
                row=row,
                path=test.path,
                what=f"{test.condition.written} can't read `{bad[0]}`",
                consequence="because it is no such value, no request matches it",
                fix=how,
            )


def _is_range(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _is_truth(text: str) -> bool:
    return text.lower() in ("true", "false")


def _is_arn(text: str) -> bool:
    return text == "*" or arn_parts(text) is not None


def _parsed_by(parse: Callable[[str], object]) -> Callable[[str], bool]:
    return lambda text: parse(text) is not None


def _anything(_text: str) -> bool:
    return True


def _readers() -> Iterator[tuple[str, tuple[Callable[[str], bool], str]]]:
    for name, row in OPERATORS.items():
        if row.parse is not None:
            numbers = name.startswith("Numeric")
            yield (
                name,
                (_parsed_by(row.parse), "Give a number" if numbers else "Give a date: ISO 8601, or epoch seconds"),
            )
        elif name.startswith("Arn"):
            yield name, (_is_arn, "Give an ARN: six parts with colons between, each with its own wildcards")
    for name in ("IpAddress", "NotIpAddress"):
        yield name, (_is_range, "Give an address or a range in CIDR form, without wildcards")
    for name in ("Bool", "Null"):
        yield name, (_is_truth, 'Give "true" or "false"')


_READS: Final = dict(_readers())


def _wrong_form(subject: Subject) -> Iterator[Hit]:
    for row, test in _each(subject):
        for form, (keys, what) in _FORMS.items():
            plain = [text for text in test.wanted if not re.search(r"[*?<]|\$\{", text)]
            wrong = [text for text in plain if not form.fullmatch(text)]
            if test.key in keys and wrong and test.name != "Null":
                yield Hit(
                    row=row,
                    path=test.path,
                    what=f"{test.shown} is compared with `{wrong[0]}`",
                    consequence=f"because the key holds {what}, the condition is {_met(test)}",
                    fix="Write the identifier in full, as text in quotes",
                )


def _no_values(subject: Subject) -> Iterator[Hit]:
    for row, test in _each(subject):
        if not test.wanted:
            yield Hit(
                row=row,
                path=test.path,
                what=f"{test.condition.written} on {test.shown} lists no values",
                consequence=f"because there is nothing to compare with, the condition is {_met(test)}",
                fix="Give at least one value, or remove the condition",
            )


_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
RULES: Final = (
    Rule("S3V221", "literal-star", _ERROR, ALL, "a wildcard under StringEquals", _OPERATORS, _star_taken_literally),
    Rule("S3V222", "star-in-identifier", _WARNING, ALL, "a wildcard in an identifier", _KEYS, _star_in_identifier),
    Rule("S3V223", "dead-variable", _ERROR, ALL, "a variable in a 2008 policy", _VARIABLES, _dead_variable),
    Rule("S3V224", "wrong-operator", _ERROR, ALL, "an operator of another type", _OPERATORS, _wrong_operator),
    Rule("S3V225", "unreadable-value", _ERROR, ALL, "a value its operator can't read", _OPERATORS, _unreadable_value),
    Rule("S3V226", "wrong-identifier", _ERROR, ALL, "no account or organization id", _KEYS, _wrong_form),
    Rule("S3V227", "no-values", _ERROR, ALL, "a condition without values", _OPERATORS, _no_values),
)
