"""What the engine takes for true where AWS says nothing, and what it decides where that is otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_s3vpce.policy import Effect, Policies, Request, decide, parse
from pytest_s3vpce.policy.doubts import USUAL, Doubts

ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
NOBODY = Doubts(everybody_passes=frozenset())


def document(effect: str, *, action: str = "s3:*", **more: Any) -> Any:
    statement = {"Effect": effect, "Action": action, "Resource": "*", **more}
    return parse(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def effect(doubts: Doubts, *, context: dict[str, str] | None = None, **policies: Any) -> Effect:
    request = Request(
        action="s3:GetObject",
        resource="arn:aws:s3:::reports/a",
        resource_account=ACCOUNT,
        principal=f"arn:aws:sts::{ACCOUNT}:assumed-role/app/me",
        context=context or {},
    )
    return decide(request, Policies(doubts=doubts, **policies)).effect


def test_a_grant_to_root_delegates_or_is_enough() -> None:
    to_root = document("Allow", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    assert effect(USUAL, resource=to_root) is Effect.IMPLICIT_DENY
    assert effect(Doubts(root_delegates=False), resource=to_root) is Effect.ALLOW


@pytest.mark.parametrize("limit", ["permissions_boundary", "session"])
def test_a_grant_to_everybody_passes_a_limit_or_is_limited(limit: str) -> None:
    rows = {"resource": document("Allow", Principal="*"), limit: (document("Allow", action="s3:ListBucket"),)}
    assert effect(USUAL, **rows) is Effect.ALLOW
    assert effect(Doubts(everybody_passes=USUAL.everybody_passes - {limit}), **rows) is Effect.IMPLICIT_DENY
    assert effect(Doubts(everybody_passes=frozenset({limit})), **rows) is Effect.ALLOW


def test_a_grant_to_a_session_passes_whatever_everybody_does() -> None:
    session = document("Allow", Principal={"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/app/me"})
    assert effect(NOBODY, resource=session, session=(document("Allow", action="s3:ListBucket"),)) is Effect.ALLOW


@pytest.mark.parametrize(
    ("operator", "key", "value", "sent"),
    [
        ("StringLike", "aws:Referer", "${aws:UserAgent}", "*"),
        ("ArnLike", "aws:SourceArn", "${aws:UserAgent}", "arn:aws:s3:::*"),
        ("ArnLike", "aws:SourceArn", "arn:aws:s3:::${aws:UserAgent}", "*"),
    ],
)
def test_a_star_in_a_variable_is_a_wildcard_or_a_letter(operator: str, key: str, value: str, sent: str) -> None:
    allowed = (document("Allow", Condition={operator: {key: value}}),)
    context = {key: "arn:aws:s3:::reports", "aws:UserAgent": sent}
    assert effect(USUAL, identity=allowed, context=context) is Effect.ALLOW
    assert effect(Doubts(wildcards_in_variables=False), identity=allowed, context=context) is Effect.IMPLICIT_DENY


def test_a_key_that_restricts_a_policy_makes_it_no_public_one() -> None:
    """Another account's caller, where public policies let in the own account alone."""
    restricted = document("Allow", Principal="*", Condition={"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*"}})
    fixed = document("Allow", Principal="*", Condition={"StringEquals": {"aws:PrincipalArn": ROLE}})
    known = Doubts(fixed_keys=frozenset({"aws:principalarn"}))

    def foreign(policy: Any, doubts: Doubts) -> Effect:
        request = Request(
            action="s3:GetObject", resource="arn:aws:s3:::reports/a", resource_account="444455556666", principal=ROLE
        )
        rows = Policies(resource=policy, identity=(document("Allow"),), restrict_public_buckets=True, doubts=doubts)
        return decide(request, rows).effect

    assert foreign(fixed, USUAL) is Effect.EXPLICIT_DENY
    assert foreign(fixed, known) is Effect.ALLOW
    assert foreign(restricted, known) is Effect.EXPLICIT_DENY


@pytest.mark.parametrize(
    ("sent", "usually"), [("arn:aws:s3:::reports", Effect.ALLOW), ("reports", Effect.IMPLICIT_DENY)]
)
def test_a_lone_star_is_every_arn_or_none(sent: str, usually: Effect) -> None:
    allowed = (document("Allow", Condition={"ArnLike": {"aws:SourceArn": "*"}}),)
    context = {"aws:SourceArn": sent}
    assert effect(USUAL, identity=allowed, context=context) is usually
    assert effect(Doubts(lone_star_is_every_arn=False), identity=allowed, context=context) is Effect.IMPLICIT_DENY
    tagged = (document("Allow", Condition={"ArnLike": {"aws:SourceArn": "${aws:UserAgent}"}}),)
    context["aws:UserAgent"] = "*"
    assert effect(USUAL, identity=tagged, context=context) is usually
    assert effect(Doubts(lone_star_is_every_arn=False), identity=tagged, context=context) is Effect.IMPLICIT_DENY
    negated = (document("Allow", Condition={"ArnNotLike": {"aws:SourceArn": "*"}}),)
    assert effect(Doubts(lone_star_is_every_arn=False), identity=negated, context=context) is Effect.ALLOW
