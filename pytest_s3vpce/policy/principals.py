"""Who asks, and which Principal elements name them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ANONYMOUS: Final = "anonymous"
_ARN: Final = re.compile(r"arn:[^:]+:(iam|sts)::(\d{12}):(.+)", re.DOTALL)
_KINDS: Final = ("AWS", "Service", "CanonicalUser", "Federated")


class CallerKind(StrEnum):
    """What kind of principal signs."""

    ROOT = "root"
    USER = "user"
    ROLE = "role"
    FEDERATED = "federated"
    SERVICE_LINKED = "service-linked"
    SERVICE = "service"
    ANONYMOUS = "anonymous"

    __hash__ = str.__hash__
    """Enum's own is slow, and every decision looks kinds up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A principal of a request. `principal_arn` is what aws:PrincipalArn holds, `session` its session's ARN."""

    kind: CallerKind
    text: str
    account: str | None = None
    principal_arn: str | None = None
    session: str | None = None
    service: str | None = None

    @property
    def type(self) -> str:
        """The value of aws:PrincipalType.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
        """
        return _TYPES[self.kind]


LIMITABLE: Final = frozenset({CallerKind.USER, CallerKind.ROLE, CallerKind.FEDERATED, CallerKind.SERVICE_LINKED})
"""Those that identity policies, boundaries and session policies are for."""

_ROLES: Final = (CallerKind.ROLE, CallerKind.SERVICE_LINKED)
_TYPES: Final[Mapping[CallerKind, str]] = {
    CallerKind.ROOT: "Account",
    CallerKind.USER: "User",
    CallerKind.ROLE: "AssumedRole",
    CallerKind.FEDERATED: "FederatedUser",
    CallerKind.SERVICE_LINKED: "AssumedRole",
    CallerKind.SERVICE: "Service",
    CallerKind.ANONYMOUS: "Anonymous",
}


@lru_cache(maxsize=4096)
def caller_of(text: str) -> Caller:
    """The principal of a request: an ARN, `service:NAME` or `anonymous`. PolicyError says which forms there are."""
    if text == ANONYMOUS:
        return Caller(kind=CallerKind.ANONYMOUS, text=text)
    if text.startswith("service:") and len(text) > len("service:"):
        return Caller(kind=CallerKind.SERVICE, text=text, service=text.removeprefix("service:"))
    match = _ARN.fullmatch(text)
    if match is not None:
        found = _of_arn(text, *match.groups())
        if found is not None:
            return found
    raise PolicyError(
        f"principal `{text}` is of no known form",
        remedy="give the ARN of a user, role, assumed-role session, federated user or account root, "
        "`service:NAME.amazonaws.com` or `anonymous`",
    )


def _of_arn(text: str, service: str, account: str, rest: str) -> Caller | None:
    partition = text.split(":", 2)[1]
    if service == "iam" and rest == "root":
        return Caller(kind=CallerKind.ROOT, text=text, account=account, principal_arn=text)
    kind, _, name = rest.partition("/")
    if not name:
        return None
    if service == "iam" and kind == "user":
        return Caller(kind=CallerKind.USER, text=text, account=account, principal_arn=text)
    if service == "iam" and kind == "role":
        linked = name.startswith("aws-service-role/")
        role_kind = CallerKind.SERVICE_LINKED if linked else CallerKind.ROLE
        return Caller(kind=role_kind, text=text, account=account, principal_arn=text)
    if service == "sts" and kind == "assumed-role" and "/" in name:
        role = f"arn:{partition}:iam::{account}:role/{name.split('/')[0]}"
        linked = name.startswith("AWSServiceRoleFor")
        role_kind = CallerKind.SERVICE_LINKED if linked else CallerKind.ROLE
        return Caller(kind=role_kind, text=text, account=account, principal_arn=role, session=text)
    if service == "sts" and kind == "federated-user":
        return Caller(kind=CallerKind.FEDERATED, text=text, account=account, principal_arn=text, session=text)
    return None


def with_context(caller: Caller, values: Mapping[str, tuple[str, ...]]) -> Caller:
    """The caller with what the request's own keys say: a session's ARN has no path, aws:PrincipalArn has it."""
    given = values.get("aws:principalarn", ())
    if len(given) != 1 or caller.kind not in _ROLES or caller.principal_arn is None:
        return caller
    role, name = given[0], caller.principal_arn.rpartition("/")[2]
    if not role.startswith(caller.principal_arn.removesuffix(name)) or role.rpartition("/")[2] != name:
        return caller
    linked = ":role/aws-service-role/" in role
    return replace(caller, principal_arn=role, kind=CallerKind.SERVICE_LINKED if linked else caller.kind)


class Grant(IntEnum):
    """How specifically a Principal element names a caller; it decides which other policies still limit the grant."""

    NONE = 0
    ACCOUNT = 1
    """The account's root: it delegates to the account's identity policies."""
    ROLE = 2
    USER = 3
    SERVICE = 4
    SESSION = 5
    EVERYBODY = 6


@dataclass(frozen=True, slots=True)
class Principals:
    """A Principal or NotPrincipal element, compiled."""

    everybody: bool
    arns: frozenset[str]
    accounts: frozenset[str]
    services: frozenset[str]

    def grant(self, caller: Caller) -> Grant:
        """The strongest form in which the element names the caller."""
        if self.everybody:
            return Grant.EVERYBODY
        if caller.kind is CallerKind.SERVICE:
            return Grant.SERVICE if caller.service in self.services else Grant.NONE
        if caller.session is not None and caller.session in self.arns:
            return Grant.SESSION
        if caller.principal_arn in self.arns:
            return Grant.USER if caller.kind is CallerKind.USER else Grant.ROLE
        return Grant.ACCOUNT if caller.account in self.accounts else Grant.NONE

    def exempts(self, caller: Caller) -> bool:
        """Whether a Deny with this NotPrincipal spares the caller: every ARN of its chain must be listed.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
        """
        if self.everybody:
            return True
        if caller.kind is CallerKind.SERVICE:
            return caller.service in self.services
        if caller.kind is CallerKind.ANONYMOUS or caller.account not in self.accounts:
            return False
        chain = [caller.principal_arn, caller.session] if caller.kind is not CallerKind.ROOT else []
        if caller.kind in _ROLES and caller.session is None:
            return False
        return all(arn in self.arns for arn in chain if arn is not None)


def compile_principals(element: Any, *, fail: Any) -> Principals:
    """A Principal element: `*`, or a mapping of kinds to one or more texts. `fail` makes the error."""
    if element == "*":
        return Principals(everybody=True, arns=frozenset(), accounts=frozenset(), services=frozenset())
    if not isinstance(element, dict):
        raise fail("must be `*` or a mapping")
    for kind in element:
        if kind not in _KINDS:
            raise fail(f"has no kind `{kind}`", f"kinds are {', '.join(_KINDS)}")
    named = {kind: _texts(value, fail) for kind, value in element.items()}
    aws = named.get("AWS", ())
    return Principals(
        everybody="*" in aws,
        arns=frozenset(text for text in aws if _account_of(text) is None),
        accounts=frozenset(account for text in aws if (account := _account_of(text)) is not None),
        services=frozenset(named.get("Service", ())),
    )


@lru_cache(maxsize=2048)
def _account_of(text: str) -> str | None:
    """A bare account id, or its root's ARN: both name the account."""
    match = re.fullmatch(r"(?:arn:[^:]+:iam::(\d{12}):root|(\d{12}))", text, re.ASCII)
    return match.group(1) or match.group(2) if match else None


def _texts(value: Any, fail: Any) -> Sequence[str]:
    rows = [value] if isinstance(value, str) else value
    if not isinstance(rows, list) or not all(isinstance(row, str) for row in rows):
        raise fail("must hold text or a list of texts")
    return rows
