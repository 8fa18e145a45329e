"""The operators of the Condition element."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from tests.naive.patterns import arn_fits, expand, glob, listed, lookup, text_of, wild

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.naive.patterns import Json


def number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def moment(text: str) -> Decimal | None:
    """Seconds since 1970, from ISO 8601 or from just these seconds."""
    if re.fullmatch(r"\d{5,}(\.\d+)?", text):
        return Decimal(text)
    found = re.fullmatch(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:\d\d))?)?)?", text)
    if not found:
        return None
    try:
        zone = (found[5] or "Z").replace("Z", "+00:00")
        day = f"{found[1]}-{found[2] or '01'}-{found[3] or '01'}"
        return Decimal(str(datetime.fromisoformat(f"{day}T{found[4] or '00:00'}{zone}").astimezone(UTC).timestamp()))
    except ValueError:
        return None


def decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def in_network(actual: str, wanted: str) -> bool:
    try:
        address, network = ipaddress.ip_address(actual), ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False
    return address.version == network.version and address in network


def plain(text: str) -> str:
    return text


@dataclass(frozen=True)
class Operator:
    """How one actual value is compared with one wanted value (after expansion)."""

    test: Callable[[str, str], bool]
    negated: bool = False
    variables: bool = False
    raw: Callable[[str], str] = plain
    readable: Callable[[str], Any] | None = None  # None from it: the comparison is false, negated or not


def compared(read: Callable[[str], Any], test: Callable[[Any, Any], bool]) -> Callable[[str, str], bool]:
    def by_value(actual: str, wanted: str) -> bool:
        left, right = read(actual), read(wanted)
        return left is not None and right is not None and test(left, right)

    return by_value


def same(left: Any, right: Any) -> bool:
    return bool(left == right)


def caseless(actual: str, wanted: str) -> bool:
    return actual.lower() == wanted.lower()


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": same,
    "LessThan": lambda left, right: left < right,
    "LessThanEquals": lambda left, right: left <= right,
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanEquals": lambda left, right: left >= right,
}


def like(actual: str, wanted: str) -> bool:
    return glob(wanted, actual)


def arn_like(actual: str, wanted: str) -> bool:
    return arn_fits(wanted, actual)


OPERATORS: dict[str, Operator] = {
    "StringEquals": Operator(same, variables=True),
    "StringNotEquals": Operator(same, negated=True, variables=True),
    "StringEqualsIgnoreCase": Operator(caseless, variables=True),
    "StringNotEqualsIgnoreCase": Operator(caseless, negated=True, variables=True),
    "StringLike": Operator(like, variables=True, raw=wild),
    "StringNotLike": Operator(like, negated=True, variables=True, raw=wild),
    "Bool": Operator(caseless, variables=True),
    "BinaryEquals": Operator(compared(decoded, same)),
    "IpAddress": Operator(in_network),
    "NotIpAddress": Operator(in_network, negated=True),
    "ArnEquals": Operator(arn_like, variables=True, raw=wild),
    "ArnLike": Operator(arn_like, variables=True, raw=wild),
    "ArnNotEquals": Operator(arn_like, negated=True, variables=True, raw=wild),
    "ArnNotLike": Operator(arn_like, negated=True, variables=True, raw=wild),
}
for _kind, _read in (("Numeric", number), ("Date", moment)):
    for _name, _test in COMPARISONS.items():
        OPERATORS[_kind + _name] = Operator(compared(_read, _test), readable=_read)
    OPERATORS[_kind + "NotEquals"] = Operator(compared(_read, same), negated=True, readable=_read)
BY_LOWER_NAME = {name.lower(): operator for name, operator in OPERATORS.items()}


def conditions_hold(conditions: Json, version: str, context: Json) -> bool:
    return all(
        condition_holds(name, key, [text_of(item) for item in listed(wanted)], version, context)
        for name, keys in conditions.items()
        for key, wanted in keys.items()
    )


def condition_holds(name: str, key: str, wanted: list[str], version: str, context: Json) -> bool:
    actual = lookup(context, key)
    quantifier, _, bare = name.lower().rpartition(":")
    if bare == "null":
        return any((actual is None) == (want.lower() == "true") for want in wanted)
    if actual is None and bare.endswith("ifexists"):
        return True
    operator = BY_LOWER_NAME[bare.removesuffix("ifexists")]

    unreadable_matters = wanted if operator.negated else []

    def fits(value: str) -> bool:
        """Whether one actual value satisfies the operator: a negated one asks that no wanted value is met."""
        if operator.readable and None in [operator.readable(text) for text in (value, *unreadable_matters)]:
            return False
        met = any(meets(operator, value, want, version, context) for want in wanted)
        return met != operator.negated

    if quantifier == "forallvalues":
        return all(fits(value) for value in actual or [])
    if quantifier == "foranyvalue":
        return any(fits(value) for value in actual or [])
    if actual is None:
        return operator.negated
    return all(fits(value) for value in actual) if operator.negated else any(fits(value) for value in actual)


def meets(operator: Operator, actual: str, wanted: str, version: str, context: Json) -> bool:
    if not operator.variables:
        return operator.test(actual, wanted)
    expanded = expand(wanted, version, context, operator.raw)
    return expanded is not None and operator.test(actual, expanded)
