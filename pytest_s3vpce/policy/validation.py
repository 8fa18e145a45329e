"""What S3 says to a bucket policy: nothing where it would store it, else the message of its MalformedPolicy error.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy.actions import BUCKET_ACTIONS, OBJECT_ACTIONS
from pytest_s3vpce.policy.conditions import parse_operator
from pytest_s3vpce.policy.documents import DOCUMENT_KEYS, STATEMENT_KEYS, VERSIONS, no_constant, parse
from pytest_s3vpce.policy.patterns import glob, tokens_of

if TYPE_CHECKING:
    from collections.abc import Mapping

MAXIMUM_SIZE: Final = 20 * 1024
"""In bytes. https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-iam-policies.html"""

_SYNTAX: Final = "Invalid policy syntax."
_PREFIX: Final = "s3:"
_KINDS: Final = frozenset({"AWS", "Service", "CanonicalUser", "Federated"})
# Names with wildcards, groups and unique ids of deleted principals are none of these:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
_PRINCIPAL: Final = re.compile(
    r"""\d{12}
    | arn:(?P<partition>aws[a-z-]*):iam::\d{12}:(?:root|(?:user|role)/[\w+=,.@/-]+)
    | arn:(?P<sts_partition>aws[a-z-]*):sts::\d{12}:(?:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+)
    | arn:aws:iam::cloudfront:user/CloudFront\ Origin\ Access\ Identity\ \w+""",
    re.VERBOSE | re.ASCII,
)
_SERVICE: Final = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?")
_CANONICAL: Final = re.compile(r"[0-9a-f]{64}")


class _Refused(Exception):  # noqa: N818 - not an error of this project: S3's answer on its way up
    """S3 would not store the policy; the text is its message."""


def validate_bucket_policy(text: str, *, bucket: str, partition: str = "aws") -> str | None:
    """None where S3 would store the text as the bucket's policy, else the message of its MalformedPolicy error."""
    try:
        _validate(text, bucket=bucket, partition=partition)
    except _Refused as refused:
        return str(refused)
    return None


def _validate(text: str, *, bucket: str, partition: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > MAXIMUM_SIZE:
        raise _Refused("Policy exceeds the maximum allowed document size.")
    document = _loaded(text)
    _no_unknown(document, DOCUMENT_KEYS)
    if document.get("Version", VERSIONS[0]) not in VERSIONS:
        raise _Refused("The policy must contain a valid version string")
    if "Statement" not in document:
        raise _Refused("Missing required field Statement")
    rows = document["Statement"]
    rows = rows if isinstance(rows, list) else [rows]
    if not rows:
        raise _Refused("Could not parse the policy: Statement is empty!")
    for row in rows:
        _statement(row, root=f"arn:{partition}:s3:::{bucket}", partition=partition)
    try:
        parse(document)
    except PolicyError as error:
        raise _Refused(_SYNTAX) from error


def _loaded(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_constant=no_constant)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _Refused("Policies must be valid JSON and the first byte must be '{'")
    return found


def _no_unknown(row: Mapping[str, Any], known: frozenset[str]) -> None:
    for key in row:
        if key not in known:
            raise _Refused(f"Unknown field {key}")


def _statement(row: Any, *, root: str, partition: str) -> None:
    if not isinstance(row, dict):
        raise _Refused(_SYNTAX)
    _no_unknown(row, STATEMENT_KEYS)
    for name in ("Effect", "Principal", "Action", "Resource"):
        if name not in row and f"Not{name}" not in row:
            raise _Refused(f"Missing required field {name}")
    effect = row.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise _Refused(f"Invalid effect: {effect}" if isinstance(effect, str) else _SYNTAX)
    _principal(row["Principal"] if "Principal" in row else row["NotPrincipal"], row, partition=partition)
    actions = [_actions(text) for text in _texts(row["Action"] if "Action" in row else row["NotAction"])]
    resources = _texts(row["Resource"] if "Resource" in row else row["NotResource"])
    for resource in resources:
        if resource != root and not resource.startswith(f"{root}/"):
            raise _Refused("Policy has invalid resource")
    _conditions(row.get("Condition", {}))
    if "Action" in row and "Resource" in row:
        _fit(actions, on_bucket=root in resources, on_objects=any(resource != root for resource in resources))


def _texts(value: Any) -> list[str]:
    """The texts of an element, at least one."""
    rows = value if isinstance(value, list) else [value]
    if not rows or not all(isinstance(row, str) for row in rows):
        raise _Refused(_SYNTAX)
    return rows


# --- principals ------------------------------------------------------------------------------------------------------


def _principal(element: Any, row: Mapping[str, Any], *, partition: str) -> None:
    # Names of no kind at all would be an empty Principal; `*` spares nobody and is no NotPrincipal.
    everybody = "Principal" in row
    if element == "*" and everybody:
        return
    if not isinstance(element, dict) or not element or not set(element) <= _KINDS:
        raise _Refused("Invalid principal in policy")
    for kind, value in element.items():
        for text in _texts(value):
            if not _names(kind, text, everybody=everybody, partition=partition):
                raise _Refused("Invalid principal in policy")


def _names(kind: str, text: str, *, everybody: bool, partition: str) -> bool:
    """Whether the text can name a principal of that kind."""
    if kind == "AWS":
        if text == "*":
            return everybody
        match = _PRINCIPAL.fullmatch(text)
        return match is not None and {match["partition"], match["sts_partition"]} <= {None, partition}
    if kind == "Service":
        return _SERVICE.fullmatch(text) is not None
    return kind == "Federated" or _CANONICAL.fullmatch(text) is not None


# --- actions, resources, conditions ----------------------------------------------------------------------------------


def _actions(text: str) -> tuple[bool, bool]:
    """Whether an entry of Action stands for actions on buckets, and for actions on objects."""
    pattern = text.lower()
    if pattern == "*":
        return True, True
    if not pattern.startswith(_PREFIX):
        raise _Refused("Policy has invalid action")
    match = glob(tokens_of(pattern.removeprefix(_PREFIX), variables=False, wildcards=True))
    on_bucket, on_objects = any(map(match, BUCKET_ACTIONS)), any(map(match, OBJECT_ACTIONS))
    if not on_bucket and not on_objects:
        raise _Refused("Policy has invalid action")
    return on_bucket, on_objects


def _fit(actions: list[tuple[bool, bool]], *, on_bucket: bool, on_objects: bool) -> None:
    """Each action must have a resource of its type; a resource may be there for no action."""
    for bucket_action, object_action in actions:
        if not (bucket_action and on_bucket) and not (object_action and on_objects):
            raise _Refused("Action does not apply to any resource(s) in statement")


def _conditions(element: Any) -> None:
    if not isinstance(element, dict):
        raise _Refused(_SYNTAX)
    for operator in element:
        if parse_operator(operator) is None:
            raise _Refused(f"Invalid Condition type : {operator}")
