"""A policy as lint sees it: as it is written, whatever is wrong with it, each part with its path."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.model import Place
from pytest_s3vpce.policy.conditions import Condition, compile_condition, parse_operator
from pytest_s3vpce.policy.documents import CURRENT, Document, parse
from pytest_s3vpce.policy.lint.keys import exists_through_endpoints
from pytest_s3vpce.policy.patterns import glob, tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pytest_s3vpce.policy.lint.findings import Kind

    Path = tuple[str | int, ...]

_SERVICES: Final = frozenset({"aws:principalisawsservice", "aws:viaawsservice"})
BUCKET_ARN: Final = re.compile(r"arn:(?:aws[a-z-]*|\*):s3:([^:]*):([^:]*):(.*)", re.DOTALL)
"""Region, account (both empty in those of buckets) and the rest."""
OTHER_RESOURCES: Final = (
    "accesspoint/",
    "job/",
    "storage-lens/",
    "storage-lens-group/",
    "access-grants/",
    "async-request/",
)
_PRINCIPAL_KEYS: Final = ("aws:principal", "aws:userid", "aws:username")


@dataclass(frozen=True, slots=True)
class Test:
    """One operator on one key, and where its value stands."""

    __test__ = False

    condition: Condition
    path: Path

    @property
    def key(self) -> str:
        return self.condition.key

    @property
    def shown(self) -> str:
        return self.condition.shown

    @property
    def name(self) -> str:
        """The operator without set operator and IfExists."""
        return self.condition.name

    @property
    def wanted(self) -> tuple[str, ...]:
        return self.condition.wanted

    @property
    def negated(self) -> bool:
        return "Not" in self.name

    @property
    def positive(self) -> bool:
        """Whether it wants the key to have a value, rather than not to have one."""
        return not self.negated and self.name != "Null"

    @property
    def absent_meets(self) -> bool:
        """Whether a request without the key meets it."""
        return self.condition.holds({})


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a document is no policy, and where."""

    error: PolicyError
    path: Path


class Row:
    """A statement."""

    def __init__(self, written: Mapping[str, Any], *, index: int, path: Path, variables: bool) -> None:
        self.written = written
        self.path = path
        sid = written.get("Sid")
        self.sid = sid if isinstance(sid, str) and sid else None
        self.name = self.sid or f"statement {index}"
        self.deny = written.get("Effect") == "Deny"
        self.allow = written.get("Effect") == "Allow"
        self.tests = tuple(_tests(written.get("Condition"), path=(*path, "Condition"), variables=variables))

    def texts(self, element: str) -> tuple[str, ...]:
        """The texts of Action, Resource or their negations."""
        return _texts(self.written.get(element))

    def entries(self, element: str) -> Iterator[tuple[Path, str]]:
        """The same, each with its path."""
        yield from _entries(self.written.get(element), (*self.path, element))

    def principals(self, element: str = "Principal") -> Iterator[tuple[Path, str, str]]:
        """The names in Principal or NotPrincipal: path, kind (`AWS`, `Service` ...), text."""
        value = self.written.get(element)
        if isinstance(value, str):
            yield (*self.path, element), "AWS", value
        for kind, names in value.items() if isinstance(value, dict) else ():
            for path, text in _entries(names, (*self.path, element, kind)):
                yield path, kind, text

    @cached_property
    def for_everybody(self) -> bool:
        """Whether it is about every principal; so are statements of policies that name none."""
        if "NotPrincipal" in self.written or "Principal" not in self.written:
            return True
        return any(kind == "AWS" and text == "*" for _, kind, text in self.principals())

    def covers(self, action: str) -> bool:
        """Whether Action or NotAction takes in an action."""
        for element, inside in (("Action", True), ("NotAction", False)):
            if element in self.written:
                hit = any(matcher(pattern)(action.lower()) for pattern in self.texts(element))
                return hit is inside
        return False

    def of(self, *keys: str) -> Iterator[Test]:
        """The tests of some keys, in lower case."""
        return (test for test in self.tests if test.key in keys)

    def spares_absent(self, test: Test) -> bool:
        """Whether another condition sees to it that the test's key is there."""
        return any(other is not test and not other.absent_meets for other in self.of(test.key))

    @cached_property
    def places(self) -> tuple[bool, bool] | None:
        """Whether Resource takes in buckets, and objects; None where it names other things, patterns of all or none."""
        on_bucket = on_objects = False
        for text in self.texts("Resource"):
            match = BUCKET_ARN.fullmatch(text)
            if match is None or match[3].startswith(OTHER_RESOURCES):
                return None
            has_key = "/" in match[3]
            on_objects = on_objects or has_key or "*" in match[3]
            on_bucket = on_bucket or not has_key
        return (on_bucket, on_objects) if on_bucket or on_objects else None

    @cached_property
    def spares_services(self) -> bool:
        return any(test.key in _SERVICES or test.key.startswith("aws:calledvia") for test in self.tests)

    @cached_property
    def about_principals(self) -> bool:
        return any(test.key.startswith(_PRINCIPAL_KEYS) and test.key not in _SERVICES for test in self.tests)

    @cached_property
    def endpoint_tests(self) -> tuple[Test, ...]:
        """The tests of keys that exist only through VPC endpoints."""
        return tuple(test for test in self.tests if exists_through_endpoints(test.key))

    @cached_property
    def fences(self) -> tuple[Test, ...]:
        """Of a Deny: the tests that are met by who comes through no endpoint, or the wrong one."""
        return tuple(test for test in self.endpoint_tests if test.negated)


class Subject:
    """A policy of some kind, to be checked."""

    def __init__(self, data: Any, *, text: str, kind: Kind) -> None:
        self.data = data
        self.text = text
        self.kind = kind
        self.variables = isinstance(data, dict) and data.get("Version") == CURRENT
        self.rows = rows_of(data)

    @property
    def denies(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.deny)

    @property
    def allows(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.allow)

    @cached_property
    def parsed(self) -> Document | Fault:
        """The policy as the engine reads it, or what keeps the engine from that."""
        asked: list[Path] = []

        def place_of(*path: str | int) -> Place:
            asked.append(path)
            return Place("")

        try:
            return parse(self.data, place_of=place_of)
        except PolicyError as error:
            return Fault(error, asked[-1])  # the last place that is asked for is the error's

    @cached_property
    def reads_endpoints(self) -> bool:
        """Whether it is meant for requests through VPC endpoints, as far as its text tells."""
        return any(row.endpoint_tests for row in self.rows)


@lru_cache(maxsize=1024)
def matcher(pattern: str) -> Callable[[str], bool]:
    """What an Action's pattern matches, in lower case."""
    return glob(tokens_of(pattern.lower(), variables=False, wildcards=True))


def rows_of(data: Any) -> tuple[Row, ...]:
    """The statements of a document, whatever else it is."""
    document = data if isinstance(data, dict) else {}
    return tuple(_rows(document.get("Statement"), variables=document.get("Version") == CURRENT))


def _rows(element: Any, *, variables: bool) -> Iterator[Row]:
    if isinstance(element, dict):
        yield Row(element, index=0, path=("Statement",), variables=variables)
    for index, row in enumerate(element if isinstance(element, list) else ()):
        if isinstance(row, dict):
            yield Row(row, index=index, path=("Statement", index), variables=variables)


def _tests(element: Any, *, path: Path, variables: bool) -> Iterator[Test]:
    for operator, keys in _items(element):
        if parse_operator(operator) is None:
            continue
        for key, value in _items(keys):
            rows = value if isinstance(value, list) else [value]
            wanted = tuple(text for row in rows if (text := _text(row)) is not None)
            yield Test(compile_condition(operator, key, wanted, variables=variables), (*path, operator, key))


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, dict) else ()


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, (bool, int, float)) else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(text for _, text in _entries(value, ()))


def _entries(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    for index, text in enumerate(value if isinstance(value, list) else ()):
        if isinstance(text, str):
            yield (*path, index), text
