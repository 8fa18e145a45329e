"""Lifecycle rules: those that S3 does not take, though its schema has all that they say; kept as they were put.

What each element must be is documented in
https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html; words and codes are those that S3 was
seen to answer, where https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html has none.
"""

from __future__ import annotations

import base64
import uuid
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3answers import of_document
from pytest_s3vpce.lab.s3forms import element, malformed
from pytest_s3vpce.lab.s3words import invalid_argument, invalid_request
from pytest_s3vpce.lab.wire import HttpResponse
from pytest_s3vpce.markup import DECLARATION, S3, children, name_of, named, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from xml.etree.ElementTree import Element

    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

_MOST_RULES: Final = 1000
_LONGEST_ID: Final = 255
_ACTIONS: Final = (
    "Expiration",
    "Transition",
    "NoncurrentVersionExpiration",
    "NoncurrentVersionTransition",
    "AbortIncompleteMultipartUpload",
)
_COUNTS: Final = {
    "Expiration": "Days",
    "NoncurrentVersionExpiration": "NoncurrentDays",
    "AbortIncompleteMultipartUpload": "DaysAfterInitiation",
}
_INFREQUENT: Final = frozenset({"STANDARD_IA", "ONEZONE_IA"})
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html"""
_SOONEST: Final = 30
_SMALLEST: Final = "x-amz-transition-default-minimum-object-size"
_SIZES: Final = ("all_storage_classes_128K", "varies_by_storage_class")
_MARKER: Final = "ExpiredObjectDeleteMarker"
_LESS, _GREATER = "ObjectSizeLessThan", "ObjectSizeGreaterThan"


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule; what its filter says directly, or joins with `And`, is one list of parts."""

    element: Element

    def actions(self, *names: str) -> Iterator[Element]:
        return (part for part in self.element if name_of(part) in (names or _ACTIONS))

    @property
    def filter(self) -> Element | None:
        return children(self.element).get("Filter")

    @property
    def prefix(self) -> str | None:
        """The rule's own, as rules had it before they had filters."""
        return texts(self.element).get("Prefix")

    @property
    def parts(self) -> list[Element]:
        found = [] if self.filter is None else list(self.filter)
        return list(found[0]) if [name_of(part) for part in found] == ["And"] else found

    @property
    def has_tags(self) -> bool:
        return any(name_of(part) == "Tag" for part in self.parts)

    @property
    def has_sizes(self) -> bool:
        return any(name_of(part) in (_LESS, _GREATER) for part in self.parts)

    @property
    def shown(self) -> str:
        """As S3 names the rule where it has no id."""
        found = next((part.text or "" for part in self.parts if name_of(part) == "Prefix"), self.prefix or "")
        return f"(prefix={found})"


def check(found: Element) -> None:
    """Refuse in S3's words what a rule may not say, or rules say of each other."""
    rules = [_Rule(rule) for rule in named(found, "Rule")]
    if len(rules) > _MOST_RULES:
        raise invalid_request(
            f"The number of lifecycle rules must not exceed the allowed limit of {_MOST_RULES} rules."
        )
    for rule in rules:
        for look in _OF_A_RULE:
            look(rule)
    _check_ids(rules)
    _check_prefixes(rules)


def answer(state: State, request: HttpRequest, asked: S3Request, bucket: BucketState) -> HttpResponse | None:
    """The answer of an operation on a bucket's rules; None for all others.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html
    """
    home = state.stored(bucket.name)
    if asked.name == "PutBucketLifecycleConfiguration":
        smallest = request.header(_SMALLEST) or _SIZES[0]
        if smallest not in _SIZES:
            raise invalid_request(f"Invalid TransitionDefaultMinimumObjectSize found: {smallest}")
        home.s3vpce_lifecycle = (_with_ids(element(request.body)), smallest)
        return HttpResponse(status=200, headers=((_SMALLEST, smallest),))
    if asked.name == "DeleteBucketLifecycle":
        home.s3vpce_lifecycle = None
        return HttpResponse(status=204)
    return _given_back(home, bucket) if asked.name == "GetBucketLifecycleConfiguration" else None


def _given_back(home: Any, bucket: BucketState) -> HttpResponse:
    kept = getattr(home, "s3vpce_lifecycle", None)
    if kept is None:
        message, details = "The lifecycle configuration does not exist", (("BucketName", bucket.name),)
        raise Refused("NoSuchLifecycleConfiguration", status=404, message=message, details=details)
    body, smallest = kept
    found = of_document(body)
    return replace(found, headers=(*found.headers, (_SMALLEST, smallest)))


def _with_ids(found: Element) -> bytes:
    """The document in S3's namespace; rules that have no id are given one."""
    for rule in named(found, "Rule"):
        if not texts(rule).get("ID"):
            for empty in list(named(rule, "ID")):
                rule.remove(empty)
            made = ET.Element("ID")
            made.text = base64.b64encode(str(uuid.uuid4()).encode()).decode()
            rule.insert(0, made)
    for each in found.iter():
        each.tag = f"{{{S3}}}{name_of(each)}"
    ET.register_namespace("", S3)
    return DECLARATION.encode() + ET.tostring(found)


# --- one rule --------------------------------------------------------------------------------------------------------


def _check_filter(rule: _Rule) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRuleFilter.html"""
    if rule.filter is None:
        if rule.prefix is None:
            raise malformed()
        return
    direct = [name_of(part) for part in rule.filter]
    if len(direct) > 1 or (direct == ["And"] and len(rule.parts) < 2):
        raise malformed()
    keys = [texts(part).get("Key") for part in rule.parts if name_of(part) == "Tag"]
    if len(set(keys)) < len(keys):
        raise invalid_request("Duplicate Tag Keys are not allowed.")
    sizes = {name_of(part): int(part.text or 0) for part in rule.parts if name_of(part) in (_LESS, _GREATER)}
    if sizes.get(_LESS, sizes.get(_GREATER, 0) + 1) <= sizes.get(_GREATER, 0):
        raise invalid_request(f"'{_LESS}' has to be a value greater than '{_GREATER}'.")


def _check_actions(rule: _Rule) -> None:
    if next(rule.actions(), None) is None:
        raise invalid_request("At least one action needs to be specified in a rule")
    for action in rule.actions("Expiration"):
        if len(children(action)) != 1:
            raise malformed()
    for action in rule.actions("Transition"):
        if len({"Days", "Date"} & children(action).keys()) != 1:
            raise malformed()
    for action in rule.actions("NoncurrentVersionExpiration", "NoncurrentVersionTransition"):
        if "NoncurrentDays" not in children(action):
            raise malformed()


def _check_with_filter(rule: _Rule) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortIncompleteMultipartUpload.html"""
    limited = {name_of(action) for action in rule.actions("AbortIncompleteMultipartUpload")}
    limited |= {_MARKER for action in rule.actions("Expiration") if _MARKER in children(action)}
    for name in sorted(limited):
        if rule.has_tags:
            raise invalid_request(f"{name} cannot be specified with Tags.")
        if rule.has_sizes:
            raise invalid_request(f"{name} cannot be specified with Object Size.")


def _check_times(rule: _Rule) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleExpiration.html"""
    for action in rule.actions():
        said, name = texts(action), name_of(action)
        count = _COUNTS.get(name)
        if count is not None and count in said and int(said[count]) < 1:
            raise invalid_argument(f"'{count}' for {name} action must be a positive integer")
        if "Date" in said and not _is_midnight(said["Date"]):
            raise invalid_argument("'Date' must be at midnight GMT")


def _is_midnight(text: str) -> bool:
    try:
        found = datetime.fromisoformat(text.strip())
        return (found.astimezone(UTC) if found.tzinfo else found).time() == time()
    except (ValueError, OverflowError) as error:
        raise malformed() from error


def _check_transitions(rule: _Rule) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_Transition.html"""
    moves = [texts(action) for action in rule.actions("Transition")]
    ends = [texts(action) for action in rule.actions("Expiration")]
    for said in moves:
        if int(said.get("Days", _SOONEST)) < _SOONEST and said.get("StorageClass") in _INFREQUENT:
            to = said["StorageClass"]
            raise invalid_argument(
                f"'Days' in Transition action must be greater than or equal to {_SOONEST} for storageClass '{to}'"
            )
    if max(Counter(said.get("StorageClass") for said in moves).values(), default=0) > 1:
        what = f"for 'Transition' actions in same 'Rule' with filter '{rule.shown}'"
        raise invalid_argument(f"'StorageClass' must be different {what}")
    kinds = {name for said in (*moves, *ends) for name in ("Days", "Date") if name in said}
    if len(kinds) > 1:
        what = "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for filter"
        raise invalid_request(f"{what} '{rule.shown}'")
    if "Days" in kinds and any(
        int(end["Days"]) <= int(move["Days"]) for end in ends for move in moves if "Days" in end
    ):
        what = f"'Days' in the Expiration action for filter '{rule.shown}' must be greater than 'Days' in the"
        raise invalid_argument(f"{what} Transition action")


_OF_A_RULE: Final[Sequence[Callable[[_Rule], None]]] = (
    _check_filter,
    _check_actions,
    _check_with_filter,
    _check_times,
    _check_transitions,
)


# --- rules beside each other -----------------------------------------------------------------------------------------


def _check_ids(rules: Sequence[_Rule]) -> None:
    ids = [texts(rule.element).get("ID") for rule in rules]
    if any(len(each or "") > _LONGEST_ID for each in ids):
        raise invalid_argument(f"ID length should not exceed allowed limit of {_LONGEST_ID}")
    if any(count > 1 for each, count in Counter(ids).items() if each):
        raise invalid_argument("Rule ID must be unique. Found same ID for more than one rule")


def _check_prefixes(rules: Sequence[_Rule]) -> None:
    """Rules either have filters or are of the older kind, whose prefixes may not overlap for one action."""
    filtered = [rule.filter is not None for rule in rules]
    if any(filtered) and not all(filtered):
        raise invalid_request(
            "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter."
            if filtered[0]
            else "Filter element can only be used in Lifecycle V2."
        )
    for one, other in combinations([rule for rule in rules if rule.filter is None], 2):
        shared = {name_of(part) for part in one.actions()} & {name_of(part) for part in other.actions()}
        first, second = sorted((one.prefix or "", other.prefix or ""))
        if shared and second.startswith(first):
            what = f"Found overlapping prefixes '{first}' and '{second}' for same action type"
            raise invalid_request(f"{what} '{min(shared)}'")
