"""What a request to STS asks for, read and checked before anybody is asked: names, durations, tags, policies.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.policy import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.keys import Tags
    from pytest_s3vpce.lab.state import State

POLICY_LIMIT: Final = 2048
MOST_POLICIES: Final = 10
_MOST_TAGS: Final = 50
_LONGEST_KEY, _LONGEST_VALUE = 128, 256
SHORTEST: Final = 900
_PACKED: Final = 2048
"""How much of policies and tags a token holds. AWS tells the packed size in percent, not the packing: it is inferred.
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html#API_AssumeRole_ResponseElements"""
_MEMBER: Final = re.compile(r"(?P<list>[A-Za-z]+)\.member\.(?P<number>[1-9]\d{0,3})(?:\.(?P<part>Key|Value|arn))?")
_NAME_PATTERN: Final = r"[\w+=,.@-]*"
_TAG: Final = re.compile(r"[^\W_]|[\s_.:/=+\-@]")
_ROLE_ARN: Final = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[!-~]{1,576}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionForm:
    """The parameters that limit or mark a session."""

    inline: tuple[str, ...] = ()
    policy_arns: tuple[str, ...] = ()
    tags: Tags = ()
    transitive: frozenset[str] = frozenset()
    """The keys, in lower case, of tags that stay through a chain of roles."""


def session_form(form: Mapping[str, str]) -> SessionForm:
    arns, keys = _members(form, "PolicyArns", "arn"), _members(form, "TransitiveTagKeys", None)
    if len(arns) > MOST_POLICIES:
        raise invalid(f"Value at 'policyArns' failed to satisfy constraint: at most {MOST_POLICIES} policies")
    tags = _tags(form)
    transitive = frozenset(key.lower() for key in keys.values())
    if not transitive <= {name.lower() for name, _ in tags}:
        raise _wrong_value("The specified transitive tag key must be included in the requested tags.")
    return SessionForm(
        inline=_inline(form.get("Policy")), policy_arns=tuple(arns.values()), tags=tags, transitive=transitive
    )


def _members(form: Mapping[str, str], name: str, part: str | None) -> dict[int, str]:
    found = ((_MEMBER.fullmatch(key), value) for key, value in form.items())
    rows = {int(at["number"]): value for at, value in found if at and (at["list"], at["part"]) == (name, part)}
    return dict(sorted(rows.items()))


def _tags(form: Mapping[str, str]) -> Tags:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_know"""
    names, values = _members(form, "Tags", "Key"), _members(form, "Tags", "Value")
    if len(names) > _MOST_TAGS:
        raise _violation("tags", "Member must have length less than or equal to 50", value=f"{len(names)} tags")
    for number, name in names.items():
        _check_tag(name, values.get(number, ""), at=f"tags.{number}.member")
    if len({name.lower() for name in names.values()}) < len(names):
        raise _wrong_value("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    return tuple((name, values.get(number, "")) for number, name in names.items())


def _check_tag(name: str, value: str, *, at: str) -> None:
    for text, part, longest in ((name, "key", _LONGEST_KEY), (value, "value", _LONGEST_VALUE)):
        if len(text) > longest:
            raise _violation(f"{at}.{part}", f"Member must have length less than or equal to {longest}", value=text)
        if not all(map(_TAG.match, text)):
            constraint = r"Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*"
            raise _violation(f"{at}.{part}", constraint, value=text)
    if not name:
        raise _violation(f"{at}.key", "Member must have length greater than or equal to 1", value=name)
    if name.lower().startswith("aws:"):
        raise _wrong_value("Tag keys may not begin with the prefix 'aws:'.")


def check_name(form: Mapping[str, str], parameter: str, *, longest: int) -> str:
    """A session's, user's or source identity's name."""
    text = form.get(parameter, "")
    at = parameter[0].lower() + parameter[1:]
    if len(text) < 2:
        raise _violation(at, "Member must have length greater than or equal to 2", value=text)
    if len(text) > longest:
        raise _violation(at, f"Member must have length less than or equal to {longest}", value=text)
    if not re.fullmatch(_NAME_PATTERN, text, re.ASCII):
        raise _violation(at, rf"Member must satisfy regular expression pattern: {_NAME_PATTERN}", value=text)
    return text


def check_role_arn(text: str) -> None:
    if len(text) < 20:
        raise _violation("roleArn", "Member must have length greater than or equal to 20", value=text)
    if not _ROLE_ARN.fullmatch(text):
        raise invalid(f"{text} is invalid")


def seconds(form: Mapping[str, str], *, default: int, longest: int) -> int:
    """How long the session is to last."""
    text = form.get("DurationSeconds", str(default))
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or int(text) < SHORTEST:
        constraint = f"Member must have value greater than or equal to {SHORTEST}"
        raise _violation("durationSeconds", constraint, value=text)
    if int(text) > longest:
        constraint = f"Member must have value less than or equal to {longest}"
        raise _violation("durationSeconds", constraint, value=text)
    return int(text)


def _inline(policy: str | None) -> tuple[str, ...]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session"""
    if policy is None:
        return ()
    if not 1 <= len(policy) <= POLICY_LIMIT:
        bound = "less" if policy else "greater"
        constraint = f"Member must have length {bound} than or equal to {POLICY_LIMIT if policy else 1}"
        raise _violation("policy", constraint, value=policy)
    try:
        statements = parse(policy, name="session policy").statements
    except PolicyError as error:
        broken = error.what.endswith("a policy must be JSON")
        raise malformed("This policy contains invalid Json" if broken else "Syntax errors in policy.") from error
    if any(row.principals is not None or row.not_principals is not None for row in statements):
        raise malformed("Policy document should not specify a principal.")
    if any(row.resources is None for row in statements):
        raise malformed("Policy statement must contain resources.")
    return (policy,)


def packed_percent(asked: SessionForm) -> int | None:
    """How full the token is; refuses what does not go into it. None where nothing was passed."""
    parts = [*asked.inline, *asked.policy_arns, *(f"{name}\0{value}" for name, value in asked.tags)]
    if not parts:
        return None
    percent = -(-100 * len(zlib.compress("\n".join(parts).encode(), 9)) // _PACKED)
    if percent > 100:
        message = f"Packed policy consumes {percent}% of allotted space, please use smaller policy."
        raise Refused("PackedPolicyTooLarge", status=400, message=message)
    return percent


def attached(state: State, asked: SessionForm, *, account: str) -> tuple[str, ...]:
    """The session's policies: the inline one, and the managed ones of its account."""
    managed = []
    for arn in asked.policy_arns:
        text = state.managed_policy(arn, account=account)
        if text is None:
            raise malformed(f"Policy {arn} does not exist or is not attachable.")
        managed.append(text)
    return (*asked.inline, *managed)


def malformed(message: str) -> Refused:
    return Refused("MalformedPolicyDocument", status=400, message=message)


def invalid(message: str) -> Refused:
    return Refused("ValidationError", status=400, message=message)


def inherited_tag() -> Refused:
    return _wrong_value(
        "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the "
        "calling session."
    )


def _wrong_value(message: str) -> Refused:
    return Refused("InvalidParameterValue", status=400, message=message)


def _violation(at: str, constraint: str, *, value: str) -> Refused:
    return invalid(f"1 validation error detected: Value '{value}' at '{at}' failed to satisfy constraint: {constraint}")
