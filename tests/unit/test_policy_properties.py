"""What holds for every request and every policy."""

from __future__ import annotations

import itertools
import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy import (
    UNKNOWN,
    Decision,
    Effect,
    Policies,
    Request,
    answer,
    decide,
    parse,
    parse_acl,
    validate_bucket_policy,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_QUICK = settings(max_examples=120, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
_A, _B = "111122223333", "444455556666"
_CALLERS = st.sampled_from(
    [
        f"arn:aws:iam::{_A}:user/u",
        f"arn:aws:iam::{_A}:role/r",
        f"arn:aws:sts::{_A}:assumed-role/r/s",
        f"arn:aws:sts::{_A}:federated-user/f",
        f"arn:aws:iam::{_A}:root",
        "service:x.amazonaws.com",
        "anonymous",
    ]
)
_ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:GetBucketPolicy"]
_KEYS = ["aws:SourceVpce", "aws:SourceIp", "aws:SecureTransport"]
_VALUES = ["vpce-1", "10.0.0.1", "true", "false"]
_PRINCIPALS = [
    "*",
    {"AWS": _A},
    {"AWS": f"arn:aws:iam::{_A}:role/r"},
    {"AWS": [f"arn:aws:sts::{_A}:assumed-role/r/s"]},
    {"AWS": f"arn:aws:iam::{_A}:user/u"},
    {"Service": "x.amazonaws.com"},
]
_OPERATORS = ["StringEquals", "StringNotEquals", "StringLikeIfExists", "Null", "Bool", "ForAllValues:StringNotEquals"]
_CONDITIONS = st.dictionaries(
    st.sampled_from(_OPERATORS),
    st.dictionaries(st.sampled_from(_KEYS), st.lists(st.sampled_from(_VALUES), min_size=1, max_size=2), max_size=2),
    max_size=2,
)


def _statements(*, principals: list[Any] | None, effects: tuple[str, ...] = ("Allow", "Deny")) -> Any:
    fixed = {
        "Effect": st.sampled_from(effects),
        "Action": st.lists(st.sampled_from([*_ACTIONS, "s3:*", "s3:Get*"]), min_size=1, max_size=2),
        "Resource": st.sampled_from(["*", "arn:aws:s3:::b/*", "arn:aws:s3:::c/*"]),
        "Condition": _CONDITIONS,
    }
    if principals is None:
        return st.fixed_dictionaries(fixed)
    named = [st.fixed_dictionaries({**fixed, "Principal": st.sampled_from(principals)})]
    named.append(st.fixed_dictionaries({**fixed, "NotPrincipal": st.sampled_from(principals[1:])}))
    return st.one_of(named)


_PLAIN = st.lists(_statements(principals=None), max_size=3)
_WITH = st.lists(_statements(principals=_PRINCIPALS), max_size=3)
_LAYERS = st.fixed_dictionaries(
    {
        "identity": st.lists(_PLAIN, max_size=2),
        "permissions_boundary": st.none() | st.lists(_PLAIN, min_size=1, max_size=1),
        "session": st.none() | st.lists(_PLAIN, max_size=2),
        "resource": st.none() | _WITH,
        "vpc_endpoint": st.none() | _WITH,
        "scps": st.lists(st.lists(_PLAIN, min_size=1, max_size=2), max_size=2),
        "rcps": st.lists(st.lists(_PLAIN, max_size=2), max_size=2),
    }
)
_REQUESTS = st.builds(
    Request,
    action=st.sampled_from(_ACTIONS),
    resource=st.sampled_from(["arn:aws:s3:::b/k", "arn:aws:s3:::b"]),
    resource_account=st.sampled_from([_A, _B]),
    principal=_CALLERS,
    context=st.dictionaries(st.sampled_from(_KEYS), st.sampled_from(_VALUES), max_size=3),
)


def _parsed(statements: Any) -> Any:
    return parse({"Version": "2012-10-17", "Statement": statements})


def _decide(request: Request, layers: dict[str, Any]) -> Decision:
    return decide(request, _policies(layers))


def _policies(layers: dict[str, Any]) -> Policies:
    found: dict[str, Any] = {}
    for name, value in layers.items():
        if value is None:
            found[name] = None
        elif name in ("resource", "vpc_endpoint", "access_point", "key"):
            found[name] = _parsed(value)
        elif name == "acl":
            found[name] = parse_acl(value)
        elif name in ("scps", "rcps"):
            found[name] = tuple(tuple(map(_parsed, level)) for level in value)
        else:
            found[name] = tuple(map(_parsed, value))
    return Policies(**found)


def _added(layers: dict[str, Any], statement: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The layers with the statement added to the one named, in its first policy; None where it has none."""
    value = layers[name]
    if not value and name not in ("resource", "vpc_endpoint"):
        return None
    if value is None:
        return None
    row = {key: part for key, part in statement.items() if key not in ("Principal", "NotPrincipal")}
    if name in ("resource", "vpc_endpoint"):
        return {**layers, name: [*value, statement]}
    if name in ("scps", "rcps"):
        return {**layers, name: [[[row, *(value[0][0] if value[0] else [])], *value[0][1:]], *value[1:]]}
    return {**layers, name: [[row, *value[0]], *value[1:]]}


_NAMES = st.sampled_from(["identity", "permissions_boundary", "session", "resource", "vpc_endpoint", "scps", "rcps"])


@given(_REQUESTS, _LAYERS, _statements(principals=_PRINCIPALS, effects=("Deny",)), _NAMES)
@_QUICK
def test_a_deny_never_opens(request: Request, layers: dict[str, Any], deny: dict[str, Any], name: str) -> None:
    more = _added(layers, deny, name)
    if more is not None and not _decide(request, layers).allowed:
        assert not _decide(request, more).allowed


@given(_REQUESTS, _LAYERS, _statements(principals=_PRINCIPALS, effects=("Allow",)), _NAMES)
@_QUICK
def test_an_allow_never_closes(request: Request, layers: dict[str, Any], grant: dict[str, Any], name: str) -> None:
    more = _added(layers, grant, name)
    if more is not None and _decide(request, layers).allowed:
        assert _decide(request, more).allowed


_ALL = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
_NOTHING = [{"Effect": "Deny", "Action": "*", "Resource": "*"}]
_GRANTS = [[{**_ALL[0], "Principal": principal}] for principal in _PRINCIPALS]
_CONTENTS: dict[str, list[Any]] = {
    "identity": [[[]], [_ALL], [_NOTHING]],
    "permissions_boundary": [None, [[]], [_ALL], [_NOTHING]],
    "session": [None, [[]], [_ALL], [_NOTHING]],
    "resource": [
        None,
        *_GRANTS,
        [{**_ALL[0], "Principal": {"AWS": f"arn:aws:sts::{_A}:federated-user/f"}}],
        [{**_NOTHING[0], "Principal": "*"}],
    ],
    "access_point": [None, [], *_GRANTS, [{**_NOTHING[0], "Principal": "*"}]],
    "key": [None, [], *_GRANTS, [{**_NOTHING[0], "Principal": "*"}]],
    "acl": [
        [],
        [{"grantee": "AllUsers", "permission": "FULL_CONTROL"}],
        [{"grantee": _A, "permission": "FULL_CONTROL"}],
    ],
    "vpc_endpoint": [None, [], _GRANTS[0], [{**_NOTHING[0], "Principal": "*"}]],
    "scps": [[], [[_ALL]], [[[]]], [[_NOTHING]]],
    "rcps": [[], [[_NOTHING]]],
}
"""What a layer that could not be read might hold: one of each that other layers tell apart."""
# Mostly layers that leave the answer open: of random statements, some layer nearly always denies.
_OPEN: dict[str, Any] = {
    **dict.fromkeys(("permissions_boundary", "session", "vpc_endpoint", "access_point", "key")),
    "scps": [],
    "rcps": [],
    "acl": [],
}
_UNREADABLE = st.sampled_from(list(_CONTENTS))
_MOSTLY_OPEN = st.builds(
    lambda layers, closing: {**layers, **_OPEN, **{name: layers[name] for name in closing if name in layers}},
    st.fixed_dictionaries({name: st.sampled_from(contents) for name, contents in _CONTENTS.items()}) | _LAYERS,
    st.sets(_UNREADABLE, max_size=2),
)


@given(_REQUESTS, _MOSTLY_OPEN, st.lists(_UNREADABLE, min_size=1, max_size=2, unique=True))
@settings(_QUICK, max_examples=400)
def test_unknown_where_an_unread_layer_could_change_the_answer(
    request: Request, layers: dict[str, Any], unread: list[str]
) -> None:
    holes: dict[str, Any] = dict.fromkeys(unread, UNKNOWN)
    policies = replace(_policies(layers), **holes)
    possible = {
        _decide(request, {**layers, **dict(zip(unread, contents, strict=True))}).allowed
        for contents in itertools.product(*(_CONTENTS[name] for name in unread))
    }
    found = decide(request, policies)
    if found.effect is Effect.UNKNOWN:
        assert possible == {True, False}
    else:
        assert possible == {found.allowed}


def _reversed(value: Any) -> Any:
    """Every list of statements and of policies the other way round; levels and texts stay."""
    if isinstance(value, list):
        return [_reversed(row) for row in reversed(value)]
    return value


@given(_REQUESTS, _LAYERS)
@_QUICK
def test_order_does_not_matter(request: Request, layers: dict[str, Any]) -> None:
    one, other = _decide(request, layers), _decide(request, {name: _reversed(row) for name, row in layers.items()})
    assert (one.effect, one.layer, one.layers) == (other.effect, other.layer, other.layers)


def _swapped(statement: dict[str, Any]) -> dict[str, Any]:
    """Other case for actions, operators and condition keys."""
    conditions = {
        operator.swapcase(): {key.swapcase(): row for key, row in keys.items()}
        for operator, keys in statement["Condition"].items()
    }
    return {**statement, "Action": [action.swapcase() for action in statement["Action"]], "Condition": conditions}


@given(_REQUESTS, st.lists(_statements(principals=_PRINCIPALS), max_size=4), st.lists(_statements(principals=None)))
@_QUICK
def test_case_does_not_matter(request: Request, resource: list[Any], identity: list[Any]) -> None:
    one = _decide(request, {"resource": resource, "identity": [identity]})
    swapped = {"resource": [_swapped(row) for row in resource], "identity": [[_swapped(row) for row in identity]]}
    upper = Request(
        action=request.action.upper(),
        resource=request.resource,
        resource_account=request.resource_account,
        principal=request.principal,
        context={key.upper(): value for key, value in request.context.items()},
    )
    assert _decide(upper, swapped).layers == one.layers


_WORDS = st.sampled_from(
    [
        *("Version", "Statement", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "AWS"),
        *("NotPrincipal", "Condition", "Sid", "Id", "StringEquals", "Null", "DateEquals", "x", "id", "request"),
        *("policies", "identity", "resource", "scps", "rcps", "name", "policy", "level", "context", "action"),
    ]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=20,
)


@given(_REQUESTS, _WITH)
@_QUICK
def test_a_policy_is_what_its_json_says(request: Request, statements: list[Any]) -> None:
    """Written down and parsed again it is the same: in its JSON, in what it reads, in what it decides."""
    document = _parsed(statements)
    again = parse(json.dumps(document.data))
    assert again.data == document.data
    assert again.keys == document.keys
    assert [(row.name, row.deny, row.keys) for row in again.statements] == [
        (row.name, row.deny, row.keys) for row in document.statements
    ]
    one, other = (decide(request, Policies(resource=policy)) for policy in (document, again))
    assert one == other
    assert one.reason == other.reason


@given(_JSON)
@_QUICK
def test_any_json_is_a_policy_or_a_policy_error(value: Any) -> None:
    """It is one that can be written down and read again, or is refused, and then by PutBucketPolicy as well."""
    whole = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::b/*", "Condition": value}
    for shape in (value, {"Statement": value}, {"Statement": [whole]}):
        refused = validate_bucket_policy(json.dumps(shape), bucket="b")
        try:
            document = parse(shape)
        except PolicyError:
            assert refused
        else:
            assert parse(json.dumps(document.data)).keys == document.keys


@given(_JSON, st.text(max_size=20))
@_QUICK
def test_any_line_is_answered(value: Any, text: str) -> None:
    request = {"action": "a", "resource": "r", "resource_account": _A, "principal": "anonymous", "context": value}
    for line in (text, json.dumps(value), json.dumps({"request": request, "policies": value})):
        assert isinstance(json.loads(answer(line)[0]), dict)


@given(
    st.sampled_from([*_OPERATORS, "DateLessThan", "NumericEquals", "IpAddress", "ArnLike", "BinaryEquals"]),
    st.text(),
    st.text(),
)
@_QUICK
def test_any_values_are_compared(operator: str, wanted: str, actual: str) -> None:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {operator: {"a:b": wanted}}}
    request = Request(
        action="s3:GetObject",
        resource="arn:aws:s3:::b/k",
        resource_account=_A,
        principal=f"arn:aws:iam::{_A}:user/u",
        context={"a:b": actual},
    )
    assert _decide(request, {"identity": [[statement]]}).effect in (Effect.ALLOW, Effect.IMPLICIT_DENY)


_SLOWER = 5 if sys.gettrace() else 1
"""Under a tracer (coverage) everything takes longer."""


def _least(work: Callable[[], object]) -> float:
    """The seconds that the work itself takes: the least of some runs, as others hold a collection of garbage."""
    found = []
    for _ in range(3):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


@pytest.mark.parametrize(
    ("pattern", "times"),
    [
        ("*a" * 40 + "${aws:username}", 60),
        ("*?" * 500 + "b", 17),
        ("*?a" * 300 + "b", 20),
        ("?a" * 450 + "*b", 20),
        ("*" + "?a" * 450 + "b*", 20),
        ("".join(f"*?{number:03}" for number in range(900)), 4),
        ("a?" * 8_000, 1),
        ("?", 800),
    ],
)
def test_a_large_policy_is_compiled_and_decided_in_time(pattern: str, times: int) -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "*",
        "Resource": [f"arn:aws:s3:::b/{pattern}"] * times,
        "Condition": {"StringLike": {"aws:username": "*a" * 40 + "b"}},
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    request = Request(
        action="s3:GetObject",
        resource="arn:aws:s3:::b/" + "a" * 1_023,
        resource_account=_A,
        principal="anonymous",
        context={"aws:username": "a" * 60 + "b"},
    )
    compiled = _least(lambda: parse(text))
    policies = Policies(resource=parse(text))
    decided = _least(lambda: decide(request, policies))
    assert (compiled < 0.05 * _SLOWER, decided < 0.005 * _SLOWER) == (True, True), (compiled, decided)
