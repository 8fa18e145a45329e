"""Rules on where requests come from: endpoints, VPCs, addresses."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.policy.lint.findings import ON_S3, Hit, Kind, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.policy.lint.subject import Row, Subject, Test

_KEYS: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"
_VPCE: Final = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies-vpc-endpoint.html"
_LOGIC: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "reference_policies_condition-logic-multiple-context-keys-or-values.html"
)
_OPERATORS: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html"
)
_ADDRESS: Final = "aws:sourceip"
_FORMS: Final = {"aws:sourcevpc": ("vpc-", "a VPC"), "aws:sourcevpce": ("vpce-", "a VPC endpoint")}
_SPOOFABLE: Final = ("aws:referer", "aws:useragent")
_EXCLUSIVE: Final = frozenset({"aws:sourcevpc", "aws:sourcevpce", "aws:vpceaccount", "aws:vpceorgid"})
_PRIVATE: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    )
)


def _deny_of_the_endpoint(subject: Subject) -> Iterator[Hit]:
    for row in subject.denies:
        fences = row.endpoint_tests
        if fences and len(fences) == len(row.tests) and all(test.positive for test in fences):
            test = fences[0]
            yield Hit(
                row=row,
                path=test.path,
                what=f"the statement denies where {test.shown} is {_listed(test)}",
                consequence="because of it who comes through that endpoint is shut out, and everybody else is not",
                fix=f"Use StringNotEquals on {test.shown} to deny all that do not come through it",
            )


def _address_behind_endpoint(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        for test in row.of(_ADDRESS):
            if not test.condition.if_exists:
                effect = "always" if test.absent_meets else "never"
                yield Hit(
                    row=row,
                    path=test.path,
                    what="an endpoint policy reads aws:SourceIp",
                    consequence="because no request through an endpoint has that key, the condition is "
                    f"{effect} met there",
                    fix="Use aws:VpcSourceIp for addresses in the VPC",
                )


def _private_address(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        for test in row.of(_ADDRESS):
            private = [text for text in test.wanted if _is_private(text)]
            if private:
                yield Hit(
                    row=row,
                    path=test.path,
                    what=f"aws:SourceIp is compared with the private range `{private[0]}`",
                    consequence="because the key holds the public address that S3 sees, no request ever has such a one",
                    fix="Use aws:VpcSourceIp together with aws:SourceVpc, or the NAT gateway's public address",
                )


def _is_private(text: str) -> bool:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    first, last = network[0], network[-1]
    return any(first in private and last in private for private in _PRIVATE)


def _both_ways_at_once(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        address = [test for test in row.of(_ADDRESS) if test.positive and not test.absent_meets]
        endpoint = [test for test in row.endpoint_tests if test.positive and not test.absent_meets]
        if address and endpoint:
            yield Hit(
                row=row,
                path=address[0].path,
                what=f"aws:SourceIp and {endpoint[0].shown} must both match in one statement",
                consequence="because a request has the one or the other, never both, the statement matches none",
                fix="Write two statements, one for each: conditions of a statement are ANDed, statements are ORed",
            )


def _two_fences(subject: Subject) -> Iterator[Hit]:
    fenced = [(row, test) for row in subject.denies if row.for_everybody for test in _only_fence(row)]
    for index, (row, test) in enumerate(fenced):
        for other, before in fenced[:index]:
            if _apart(test, before) and _overlap(row, other):
                yield Hit(
                    row=row,
                    path=test.path,
                    what=f"`{other.name}` and `{row.name}` each deny all but one way "
                    f"({before.shown} {_listed(before)}; {test.shown} {_listed(test)})",
                    consequence="because a request comes one way only, it always meets one of the two denials",
                    fix="Put both conditions into one Deny statement: it then denies who comes neither way",
                )
                break


def _apart(test: Test, other: Test) -> bool:
    """Whether no request can come both ways."""
    if test.key == other.key:
        values = set(test.wanted) | set(other.wanted)
        literal = test.key in _EXCLUSIVE and not any(sign in text for text in values for sign in "*?$")
        return literal and not set(test.wanted) & set(other.wanted)
    return _ADDRESS in (test.key, other.key)


def _only_fence(row: Row) -> list[Test]:
    """The condition of a Deny whose one condition on the way is an allow-list of ways."""
    ways = [test for test in row.tests if test in row.fences or (test.key == _ADDRESS and test.negated)]
    rest = [test for test in row.tests if test not in ways]
    narrowing = [test for test in rest if not test.key.startswith(("aws:via", "aws:principalis", "aws:principalarn"))]
    return ways if len(ways) == 1 and not narrowing else []


def _overlap(row: Row, other: Row) -> bool:
    """Whether two statements are about the same actions, as far as their text tells."""
    return any(row.covers(text) for text in other.texts("Action")) or any(
        other.covers(text) for text in row.texts("Action")
    )


def _wrong_id(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        for test in row.of(*_FORMS):
            form, what = _FORMS[test.key]
            wrong = [text for text in test.wanted if _other_id(text, form)]
            if wrong and test.name != "Null":
                yield Hit(
                    row=row,
                    path=test.path,
                    what=f"{test.shown} is compared with `{wrong[0]}`",
                    consequence=f"because the key holds the id of {what} (`{form}...`), it is never that",
                    fix=f"Give ids that begin with `{form}`, or use the key that such an id is for",
                )


def _other_id(text: str, form: str) -> bool:
    return text.startswith(("vpc-", "vpce-", "arn:", "com.amazonaws", "subnet-")) and not text.startswith(form)


def _if_exists_on_allow(subject: Subject) -> Iterator[Hit]:
    for row in subject.allows:
        ways = [test for test in row.tests if test in row.endpoint_tests or test.key == _ADDRESS]
        if any(not test.absent_meets for test in ways):
            continue
        for test in ways:
            if test.condition.if_exists:
                yield Hit(
                    row=row,
                    path=test.path,
                    what=f"an Allow tests {test.shown} with {test.condition.written}",
                    consequence="because IfExists is met where the key is absent, who comes another way is let in",
                    fix="Leave IfExists away: in an Allow the key must be there",
                )


def _negation_on_allow(subject: Subject) -> Iterator[Hit]:
    for row in subject.allows:
        for test in row.fences:
            if not test.condition.if_exists and test.absent_meets and not row.spares_absent(test):
                yield Hit(
                    row=row,
                    path=test.path,
                    what=f"an Allow tests {test.shown} with {test.condition.written}",
                    consequence="because a negation is met where the key is absent, it lets the whole internet pass",
                    fix="Deny what must not be, and allow what may by a positive condition",
                )


def _address_without_network(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        others = [test for test in row.endpoint_tests if test.key != "aws:vpcsourceip"]
        for test in row.of("aws:vpcsourceip"):
            if not others:
                yield Hit(
                    row=row,
                    path=test.path,
                    what="aws:VpcSourceIp is tested without the VPC",
                    consequence="because private ranges are the same in many VPCs, any VPC with such addresses matches",
                    fix="Test aws:SourceVpc, aws:SourceVpce or aws:VpceAccount in the same statement",
                )


def _spoofable(subject: Subject) -> Iterator[Hit]:
    for row in subject.allows:
        for test in row.of(*_SPOOFABLE):
            yield Hit(
                row=row,
                path=test.path,
                what=f"an Allow relies on {test.shown}",
                consequence="because the caller writes that header, it keeps nobody out",
                fix="Use keys that the caller can't choose, or CloudFront with origin access control",
            )


def _listed(test: Test) -> str:
    return ", ".join(f"`{text}`" for text in test.wanted[:2]) + (" ..." if len(test.wanted) > 2 else "")


_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
RULES: Final = (
    Rule(
        "S3V101",
        "deny-of-the-endpoint",
        _ERROR,
        ON_S3,
        "Deny with StringEquals on an endpoint key",
        _VPCE,
        _deny_of_the_endpoint,
    ),
    Rule(
        "S3V102",
        "source-ip-behind-endpoint",
        _ERROR,
        frozenset({Kind.ENDPOINT}),
        "aws:SourceIp in an endpoint policy",
        _KEYS,
        _address_behind_endpoint,
    ),
    Rule(
        "S3V103",
        "private-source-ip",
        _ERROR,
        ON_S3,
        "aws:SourceIp compared with private addresses",
        _KEYS,
        _private_address,
    ),
    Rule(
        "S3V104",
        "both-ways-at-once",
        _ERROR,
        ON_S3,
        "an address and an endpoint in one statement, where either was meant",
        _LOGIC,
        _both_ways_at_once,
    ),
    Rule(
        "S3V105",
        "two-fences",
        _ERROR,
        ON_S3,
        "two Deny statements that each demand another way",
        _LOGIC,
        _two_fences,
    ),
    Rule(
        "S3V106",
        "wrong-network-id",
        _ERROR,
        ON_S3,
        "a VPC's id where an endpoint's belongs, or the reverse",
        _KEYS,
        _wrong_id,
    ),
    Rule(
        "S3V107",
        "if-exists-on-allow",
        _ERROR,
        ON_S3,
        "IfExists on the network key of an Allow",
        _OPERATORS,
        _if_exists_on_allow,
    ),
    Rule(
        "S3V108",
        "negation-on-allow",
        _WARNING,
        ON_S3,
        "a negated network key in an Allow",
        _OPERATORS,
        _negation_on_allow,
    ),
    Rule(
        "S3V109",
        "vpc-source-ip-alone",
        _WARNING,
        ON_S3,
        "aws:VpcSourceIp without the VPC",
        _KEYS,
        _address_without_network,
    ),
    Rule(
        "S3V110",
        "spoofable-key",
        _WARNING,
        ON_S3,
        "an Allow that relies on what the caller writes",
        _KEYS,
        _spoofable,
    ),
)
