"""Who asks, and how Principal elements name them."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy.principals import (
    CallerKind,
    Grant,
    Principals,
    caller_of,
    compile_principals,
    with_context,
)

_A = "111122223333"
_ROLE = f"arn:aws:iam::{_A}:role/app"
_SESSION = f"arn:aws:sts::{_A}:assumed-role/app/s"
_USER = f"arn:aws:iam::{_A}:user/ann"


def _fail(what: str, remedy: str | None = None) -> PolicyError:
    return PolicyError(what, remedy=remedy)


def _principals(element: Any) -> Principals:
    return compile_principals(element, fail=_fail)


@pytest.mark.parametrize(
    ("text", "kind", "type_", "account", "arn"),
    [
        (f"arn:aws:iam::{_A}:root", CallerKind.ROOT, "Account", _A, f"arn:aws:iam::{_A}:root"),
        (_USER, CallerKind.USER, "User", _A, _USER),
        (_ROLE, CallerKind.ROLE, "AssumedRole", _A, _ROLE),
        (_SESSION, CallerKind.ROLE, "AssumedRole", _A, _ROLE),
        (
            f"arn:aws-cn:sts::{_A}:assumed-role/app/s",
            CallerKind.ROLE,
            "AssumedRole",
            _A,
            f"arn:aws-cn:iam::{_A}:role/app",
        ),
        (
            f"arn:aws:sts::{_A}:federated-user/f",
            CallerKind.FEDERATED,
            "FederatedUser",
            _A,
            f"arn:aws:sts::{_A}:federated-user/f",
        ),
        (
            f"{_ROLE[:-3]}aws-service-role/x/Y",
            CallerKind.SERVICE_LINKED,
            "AssumedRole",
            _A,
            f"{_ROLE[:-3]}aws-service-role/x/Y",
        ),
        ("service:s3.amazonaws.com", CallerKind.SERVICE, "Service", None, None),
        ("anonymous", CallerKind.ANONYMOUS, "Anonymous", None, None),
    ],
)
def test_caller(text: str, kind: CallerKind, type_: str, account: str | None, arn: str | None) -> None:
    caller = caller_of(text)
    assert (caller.kind, caller.type, caller.account, caller.principal_arn) == (kind, type_, account, arn)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "me",
        "service:",
        f"arn:aws:iam::{_A}:user",
        f"arn:aws:iam::{_A}:user/",
        f"arn:aws:iam::{_A}:group/g",
        f"arn:aws:sts::{_A}:assumed-role/app",
        f"arn:aws:sts::{_A}:role/app",
        f"arn:aws:sts::{_A}:root",
        "arn:aws:iam::1:root",
        "arn:aws:s3:::b",
    ],
)
def test_no_caller(text: str) -> None:
    with pytest.raises(PolicyError, match="is of no known form; give the ARN of a user"):
        caller_of(text)


@pytest.mark.parametrize(
    ("given", "arn"),
    [
        (f"arn:aws:iam::{_A}:role/a/b/app", f"arn:aws:iam::{_A}:role/a/b/app"),
        (f"arn:aws:iam::{_A}:role/a/other", _ROLE),
        ("arn:aws:iam::444455556666:role/a/app", _ROLE),
        (f"arn:aws:iam::{_A}:user/app", _ROLE),
        ("x", _ROLE),
    ],
)
def test_the_path_of_a_role(given: str, arn: str) -> None:
    assert with_context(caller_of(_SESSION), {"aws:principalarn": (given,)}).principal_arn == arn


def test_no_path_for_users_or_from_several_values() -> None:
    user = caller_of(_USER)
    assert with_context(user, {"aws:principalarn": (f"arn:aws:iam::{_A}:user/p/ann",)}) is user
    role = caller_of(_SESSION)
    assert with_context(role, {"aws:principalarn": ("a", "b")}) is role
    assert with_context(role, {}) is role


@pytest.mark.parametrize(
    ("element", "who", "grant"),
    [
        ("*", "anonymous", Grant.EVERYBODY),
        ({"AWS": ["x", "*"]}, "service:s", Grant.EVERYBODY),
        ({"AWS": _A}, _SESSION, Grant.ACCOUNT),
        ({"AWS": f"arn:aws:iam::{_A}:root"}, _SESSION, Grant.ACCOUNT),
        ({"AWS": f"{_A}:root"}, _SESSION, Grant.NONE),
        ({"AWS": f"arn:aws:iam::{_A}"}, _SESSION, Grant.NONE),
        ({"AWS": [_A, _ROLE]}, _SESSION, Grant.ROLE),
        ({"AWS": [_A, _ROLE, _SESSION]}, _SESSION, Grant.SESSION),
        ({"AWS": _USER}, _USER, Grant.USER),
        ({"AWS": _A}, "anonymous", Grant.NONE),
        ({"Service": "s"}, "service:s", Grant.SERVICE),
        ({"Service": "s"}, "service:t", Grant.NONE),
        ({"Service": "s"}, "anonymous", Grant.NONE),
        ({"CanonicalUser": "s"}, _USER, Grant.NONE),
        ({}, _USER, Grant.NONE),
        ({}, "anonymous", Grant.NONE),
    ],
)
def test_grant(element: Any, who: str, grant: Grant) -> None:
    assert _principals(element).grant(caller_of(who)) is grant


@pytest.mark.parametrize(
    ("element", "who", "exempt"),
    [
        ("*", _SESSION, True),
        ({"AWS": [_A, _ROLE, _SESSION]}, _SESSION, True),
        ({"AWS": [_ROLE, _SESSION]}, _SESSION, False),
        ({"AWS": [_A, _ROLE, _SESSION]}, _ROLE, False),
        ({"AWS": [_A, _ROLE, f"{_ROLE[:-3]}aws-service-role/x/Y"]}, f"{_ROLE[:-3]}aws-service-role/x/Y", False),
        ({"AWS": [_A, _USER]}, _USER, True),
        ({"AWS": _A}, f"arn:aws:iam::{_A}:root", True),
        ({"AWS": _A}, "anonymous", False),
        ({"Service": "s"}, "service:s", True),
        ({"Service": "s"}, "service:t", False),
    ],
)
def test_exempts(element: Any, who: str, exempt: bool) -> None:
    assert _principals(element).exempts(caller_of(who)) is exempt


@pytest.mark.parametrize(
    ("element", "message"),
    [
        ("x", "must be `[*]` or a mapping"),
        (["*"], "must be `[*]` or a mapping"),
        (None, "must be `[*]` or a mapping"),
        ({"Aws": "*"}, "has no kind `Aws`; kinds are AWS"),
        ({"AWS": 5}, "must hold text"),
        ({"AWS": [5]}, "must hold text"),
        ({"Service": {}}, "must hold text"),
        ({"Federated": 5}, "must hold text"),
        ({"CanonicalUser": [None]}, "must hold text"),
    ],
)
def test_no_principal_element(element: Any, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        _principals(element)
