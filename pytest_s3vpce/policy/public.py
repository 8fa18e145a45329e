"""Whether a bucket policy is public in the sense of Block Public Access.

A policy is public unless each of its Allow statements grants to fixed values only, without wildcards and variables:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.policy.patterns import arn_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.policy.conditions import Condition
    from pytest_s3vpce.policy.documents import Document, Statement


class Owner(Enum):
    """Whose policy it is: a wildcard in an access point's name is harmless in a bucket's, and public in its own."""

    BUCKET = "bucket"
    ACCESS_POINT = "access point"


_WIDEST: Final = {4: 8, 6: 32}
"""The shortest prefix of an address range that is not public, by IP version."""
_NARROWING: Final = frozenset({"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"})


def _fixed(value: str) -> bool:
    return not any(sign in value for sign in ("*", "?", "${"))


def _narrow_range(value: str) -> bool:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return network.prefixlen >= _WIDEST[network.version]


def _access_point(value: str) -> bool:
    """The name of an access point may be a wildcard, its account not."""
    parts = arn_parts(value)
    return parts is not None and bool(parts[4]) and _fixed(parts[4]) and "${" not in value


# aws:PrincipalArn, aws:VpceAccount, aws:VpceOrgID and aws:SourceVpcArn are not among the documented keys.
_FIXED_BY_KEY: Final[Mapping[str, Callable[[str], bool]]] = {
    "aws:sourceip": _narrow_range,
    "s3:dataaccesspointarn": _access_point,
    **dict.fromkeys(
        (
            "aws:principalorgid",
            "aws:sourcearn",
            "aws:sourcevpc",
            "aws:sourcevpce",
            "aws:sourceowner",
            "aws:sourceaccount",
            "aws:userid",
            "s3:dataaccesspointaccount",
            "s3:x-amz-server-side-encryption-aws-kms-key-id",
        ),
        _fixed,
    ),
}


@dataclass(frozen=True, slots=True)
class PublicVerdict:
    """What the test says of one Allow statement; `says` is why, in a clause."""

    statement: Statement
    public: bool
    says: str


def public_statements(
    document: Document, *, owner: Owner = Owner.BUCKET, fixed: frozenset[str] = frozenset()
) -> tuple[Statement, ...]:
    """The statements that make the policy public: none where it is not. Denies count neither way."""
    return tuple(verdict.statement for verdict in public_verdicts(document, owner=owner, fixed=fixed) if verdict.public)


def public_verdicts(
    document: Document, *, owner: Owner = Owner.BUCKET, fixed: frozenset[str] = frozenset()
) -> tuple[PublicVerdict, ...]:
    """The test's verdict on each Allow statement, with its reason. `fixed` are further keys, as a calibration found."""
    return tuple(_verdict(statement, owner, fixed) for statement in document.allows)


def _verdict(statement: Statement, owner: Owner, fixed: frozenset[str]) -> PublicVerdict:
    principals = statement.principals
    if principals is None and statement.not_principals is None:
        return PublicVerdict(statement, public=False, says="it names no principal")
    if principals is not None and not principals.everybody and all(map(_fixed, principals.arns)):
        return PublicVerdict(statement, public=False, says="its principals are fixed")
    narrowing = next((condition for condition in statement.conditions if _narrows(condition, owner, fixed)), None)
    if narrowing is not None:
        values = ", ".join(narrowing.wanted)
        says = f"{narrowing.written} {narrowing.shown} [{values}] leaves fixed callers only"
        return PublicVerdict(statement, public=False, says=says)
    who = "everybody but some" if principals is None else "everybody" if principals.everybody else "a wildcard"
    says = f"it names {who}, and no condition of it leaves fixed callers only"
    return PublicVerdict(statement, public=True, says=says)


def _narrows(condition: Condition, owner: Owner, more: frozenset[str]) -> bool:
    """Whether a condition leaves only fixed callers: one that an absent key meets does not."""
    if condition.if_exists or condition.quantifier == "forallvalues":
        return False
    if condition.name not in _NARROWING and not (condition.name == "IpAddress" and condition.key == "aws:sourceip"):
        return False
    fixed = _FIXED_BY_KEY.get(condition.key, _fixed if condition.key in more else None)
    if fixed is _access_point and owner is Owner.ACCESS_POINT:
        fixed = _fixed
    return fixed is not None and bool(condition.wanted) and all(map(fixed, condition.wanted))
