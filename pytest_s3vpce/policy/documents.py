"""Policy documents: parsed, checked and compiled once, decided many times.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy.conditions import Condition, compile_condition, parse_operator
from pytest_s3vpce.policy.patterns import (
    any_glob,
    arn_glob,
    as_whole,
    glob,
    has_variables,
    keys_of,
    split_arn,
    substituted,
    tokens_of,
)
from pytest_s3vpce.policy.principals import Grant, Principals, compile_principals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.model import Place
    from pytest_s3vpce.policy.patterns import Token
    from pytest_s3vpce.policy.principals import Caller

    Match = Callable[[str], bool]
    Values = Mapping[str, tuple[str, ...]]
    PlaceOf = Callable[..., Place]
    """From the keys and indexes that lead to a value in a document to where the value stands."""

CURRENT: Final = "2012-10-17"
VERSIONS: Final = (CURRENT, "2008-10-17")
DOCUMENT_KEYS: Final = frozenset({"Version", "Id", "Statement"})
STATEMENT_KEYS: Final = frozenset(
    {
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    }
)


_PLAIN_ARN: Final = re.compile(r"(?:[^:*?]*:){5}")


@dataclass(frozen=True, slots=True)
class ResourcePattern:
    """One entry of Resource or NotResource; `parts` only where variables must be bound for each request.

    `whole` are the tokens that the text as a whole is matched against, where that is all there is to it.
    """

    match: Match | None
    parts: tuple[tuple[Token, ...], ...] = ()
    whole: tuple[Token, ...] | None = None

    def matches(self, arn: str, values: Values) -> bool:
        if self.match is not None:
            return self.match(arn)
        bound = tuple(substituted(part, values, wildcards=False) for part in self.parts)
        known = tuple(part for part in bound if part is not None)
        return len(known) == len(bound) and arn_glob(known)(arn)


@dataclass(frozen=True, slots=True)
class Resources:
    """A Resource or NotResource element. `keys` are the condition keys that its variables read."""

    patterns: tuple[ResourcePattern, ...]
    keys: frozenset[str]
    _fixed: Match
    """All the patterns that are texts with wildcards, at once."""
    _others: tuple[ResourcePattern, ...]

    def name(self, resource: str, values: Values) -> bool:
        if self._fixed(resource):
            return True
        for pattern in self._others:  # noqa: SIM110 - a loop is faster
            if pattern.matches(resource, values):
                return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement, compiled. `name` is its Sid, or its index in words; `row` is what it was compiled from."""

    name: str
    sid: str | None
    index: int
    deny: bool
    principals: Principals | None
    not_principals: Principals | None
    action: Match
    """Whether the Action, or NotAction, element names an action (in lower case)."""
    not_action: bool
    resources: Resources | None
    not_resource: bool
    conditions: tuple[Condition, ...]
    keys: frozenset[str]
    row: Mapping[str, Any] = field(repr=False)
    place: Place | None = None
    """Where it starts, when it was read from a file."""

    def covers(self, action: str, resource: str, values: Values) -> bool:
        """Whether action (in lower case), resource and conditions match; principals are the layer's matter."""
        # Loops, not any() and all(): this is where the time of a decision goes.
        if self.action(action) is self.not_action:
            return False
        if self.resources is not None and self.resources.name(resource, values) is self.not_resource:
            return False
        for condition in self.conditions:  # noqa: SIM110
            if not condition.holds(values):
                return False
        return True

    def covers_action(self, action: str) -> bool:
        return self.action(action) is not self.not_action

    def covers_resource(self, resource: str, values: Values) -> bool:
        return self.resources is None or self.resources.name(resource, values) is not self.not_resource

    def grant(self, caller: Caller) -> Grant:
        """How the statement names the caller: Grant.NONE where it does not, or has no such element."""
        if self.principals is not None:
            return self.principals.grant(caller)
        if self.not_principals is not None:
            return Grant.NONE if self.not_principals.grant(caller) is not Grant.NONE else Grant.EVERYBODY
        return Grant.NONE

    def denies(self, caller: Caller, *, bounded: bool, ignored: Grant = Grant.NONE) -> bool:
        """Whether a Deny's principals take the caller in. With NotPrincipal one with a boundary is never spared.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
        """
        if self.not_principals is not None:
            return bounded or not self.not_principals.exempts(caller)
        return self.grant(caller) not in (Grant.NONE, ignored)

    def why(self, values: Values) -> str:
        """The conditions that made it match, in a clause."""
        return " and ".join(condition.why(values) for condition in self.conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A policy, compiled. `name` goes into decisions; `keys` are the condition keys it reads, in lower case.

    `data` is what it was compiled from: JSON in Python's terms, not to be changed.
    """

    name: str
    data: Mapping[str, Any] = field(repr=False)
    statements: tuple[Statement, ...]
    keys: frozenset[str]
    denies: tuple[Statement, ...]
    allows: tuple[Statement, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its JSON, without places, and compiled again where it arrives."""
        return _named, (self.data, self.name)


def _named(data: Mapping[str, Any], name: str) -> Document:
    return parse(data, name=name)


def parse(document: str | Mapping[str, Any], *, name: str = "", place_of: PlaceOf | None = None) -> Document:
    """A policy document from text or JSON. PolicyError says what is no policy: statement, Sid and element.

    `place_of` says where the document's values stand, when it was read from a file: see `policy.places`.
    """
    fault = _Faults(name, place_of)
    data = _loaded(document, fault)
    if not isinstance(data, dict):
        raise fault.of_document("a policy must be a JSON object")
    for key in data:
        if key not in DOCUMENT_KEYS:
            known = f"elements are {', '.join(sorted(DOCUMENT_KEYS))}"
            raise fault.of_document(f"unknown element `{key}`", known, path=(key,))
    version = data.get("Version", VERSIONS[1])
    if version not in VERSIONS:
        what = f"Version `{version}` is unknown" if isinstance(version, str) else "Version must be text"
        raise fault.of_document(what, f"versions are {' and '.join(VERSIONS)}", path=("Version",))
    if "Statement" not in data:
        raise fault.of_document("element Statement is missing")
    rows = data["Statement"]
    single = isinstance(rows, dict)
    rows = [rows] if single else rows
    if not isinstance(rows, list):
        raise fault.of_document("Statement must be an object or a list of objects", path=("Statement",))
    statements = tuple(
        _statement(
            row,
            fault.in_statement(index, row, path=("Statement",) if single else ("Statement", index)),
            variables=version == CURRENT,
        )
        for index, row in enumerate(rows)
    )
    return Document(
        name=name,
        data=data,
        statements=statements,
        keys=frozenset().union(*(statement.keys for statement in statements)),
        denies=tuple(statement for statement in statements if statement.deny),
        allows=tuple(statement for statement in statements if not statement.deny),
    )


def _loaded(document: str | Mapping[str, Any], fault: _Faults) -> Any:
    if not isinstance(document, str):
        return document
    try:
        return json.loads(document, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise fault.of_document("a policy must be JSON") from error


def no_constant(text: str) -> None:
    raise ValueError(text)


class _Faults:
    """Makes the errors of one document, each with its place."""

    def __init__(self, name: str, place_of: PlaceOf | None) -> None:
        self._name = name
        self._place_of = place_of

    def of_document(self, what: str, remedy: str | None = None, *, path: tuple[str | int, ...] = ()) -> PolicyError:
        named = f"policy `{self._name}`: {what}" if self._name else what
        return PolicyError(named, remedy=remedy, place=self.place(path))

    def place(self, path: tuple[str | int, ...]) -> Place | None:
        return self._place_of(*path) if self._place_of else None

    def in_statement(self, index: int, row: Any, *, path: tuple[str | int, ...]) -> _StatementFaults:
        return _StatementFaults(self, index, row.get("Sid") if isinstance(row, dict) else None, path=path)


class _StatementFaults:
    """Makes the errors of one statement, each with its index, Sid and element."""

    def __init__(self, document: _Faults, index: int, sid: Any, *, path: tuple[str | int, ...]) -> None:
        self.index = index
        self.place = document.place(path)
        self._document = document
        self._path = path
        self._where = f"statement {index}" + (f" (`{sid}`)" if isinstance(sid, str) else "")

    def of(self, element: str, *path: str) -> Callable[..., PolicyError]:
        """`element` as the error names it, and its path in the statement where that is another."""

        def fail(what: str, remedy: str | None = None) -> PolicyError:
            at = (*self._path, *(path or (element,)))
            return self._document.of_document(f"{self._where}: {element} {what}", remedy, path=at)

        return fail


def _statement(row: Any, faults: _StatementFaults, *, variables: bool) -> Statement:
    if not isinstance(row, dict):
        raise faults.of("it")("must be an object")
    for key in row:
        if key not in STATEMENT_KEYS:
            known = f"elements are {', '.join(sorted(STATEMENT_KEYS))}"
            raise faults.of(f"element `{key}`", key)("is unknown", known)
    sid = row.get("Sid")
    if sid is not None and not isinstance(sid, str):
        raise faults.of("Sid")("must be text")
    if row.get("Effect") not in ("Allow", "Deny"):
        raise faults.of("Effect")("must be Allow or Deny")
    for one in ("Principal", "Action", "Resource"):
        if one in row and f"Not{one}" in row:
            raise faults.of(one)(f"and Not{one} exclude each other", "keep one")
    actions, not_action = _either(row, "Action", faults)
    if actions is None:
        raise faults.of("Action")("is missing")
    resources, not_resource = _either(row, "Resource", faults)
    found = None if resources is None else _resources(tuple(resources), variables)
    conditions = _conditions(row.get("Condition", {}), faults, variables=variables)
    return Statement(
        name=sid or f"statement {faults.index}",
        sid=sid,
        index=faults.index,
        deny=row["Effect"] == "Deny",
        principals=compile_principals(row["Principal"], fail=faults.of("Principal")) if "Principal" in row else None,
        not_principals=compile_principals(row["NotPrincipal"], fail=faults.of("NotPrincipal"))
        if "NotPrincipal" in row
        else None,
        action=_actions(tuple(actions)),
        not_action=not_action,
        resources=found,
        not_resource=not_resource,
        conditions=conditions,
        keys=frozenset().union(*(condition.keys for condition in conditions), found.keys if found else ()),
        row=row,
        place=faults.place,
    )


def _either(row: Mapping[str, Any], element: str, faults: _StatementFaults) -> tuple[list[str] | None, bool]:
    """The texts of an element or of its negation; None where neither is there."""
    for name, negated in ((element, False), (f"Not{element}", True)):
        if name in row:
            value = row[name]
            texts = [value] if isinstance(value, str) else value
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise faults.of(name)("must be text or a list of texts")
            return texts, negated
    return None, False


# Policies differ, their pieces less so: the last ones are kept, by their texts.
_KEPT: Final = 2048


@lru_cache(maxsize=_KEPT)
def _actions(texts: tuple[str, ...]) -> Match:
    return any_glob([tokens_of(text.lower(), variables=False, wildcards=True) for text in texts])


@lru_cache(maxsize=_KEPT)
def _resources(texts: tuple[str, ...], variables: bool) -> Resources:  # noqa: FBT001 - caches are quickest by position
    patterns = tuple(_resource(text, variables=variables) for text in texts)
    with_keys = [tokens_of(text, variables=variables, wildcards=False) for text in texts if "${" in text]
    return Resources(
        patterns,
        frozenset().union(*map(keys_of, with_keys)),
        any_glob([row.whole for row in patterns if row.whole is not None]),
        tuple(row for row in patterns if row.whole is None),
    )


def _resource(text: str, *, variables: bool) -> ResourcePattern:
    if "${" not in text and _PLAIN_ARN.match(text):
        # Most are: without wildcards before the last part, matching the whole is matching each part.
        whole = tokens_of(text, variables=False, wildcards=True)
        return ResourcePattern(glob(whole), whole=whole)
    tokens = tokens_of(text, variables=variables, wildcards=True)
    parts = split_arn(tokens)
    if parts is None or (text.strip("*") == "" and text):
        whole = tokens_of(text, variables=False, wildcards=True)
        return ResourcePattern(glob(whole), whole=whole)
    # Variables may stand in an ARN's last part only, elsewhere they are text, which no ARN has there:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    if any(map(has_variables, parts[:-1])):
        return ResourcePattern(lambda _arn: False)
    if has_variables(tokens):
        return ResourcePattern(None, parts)
    return ResourcePattern(arn_glob(parts), whole=as_whole(parts))


def _conditions(element: Any, faults: _StatementFaults, *, variables: bool) -> tuple[Condition, ...]:
    if not isinstance(element, dict):
        raise faults.of("Condition")("must be an object")
    found = []
    for written, keys in element.items():
        fail = faults.of(f"Condition `{written}`", "Condition", written)
        if parse_operator(written) is None:
            raise fail("is no operator", "see the IAM user guide's list of condition operators")
        if not isinstance(keys, dict):
            raise fail("must map condition keys to values")
        for key, value in keys.items():
            wanted = _values(value, faults.of(f"Condition `{written}` `{key}`", "Condition", written, key))
            found.append(compile_condition(written, key, tuple(wanted), variables=variables))
    return tuple(found)


def _values(value: Any, fail: Callable[..., PolicyError]) -> list[str]:
    rows = value if isinstance(value, list) else [value]
    return [text_of(row, fail) for row in rows]


def text_of(value: Any, fail: Callable[..., PolicyError]) -> str:
    """A condition's or a context's value as its text: booleans and numbers may come unquoted."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return json.dumps(value)
    raise fail("must be text, a number or a boolean")
