"""Which statements make a bucket policy public; the table of keys is in tests/cases/public.json."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_s3vpce.policy import Policies, Request, decide, parse
from pytest_s3vpce.policy.public import public_statements, public_verdicts


def _statement(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:*", "Resource": "*", **more}


@pytest.mark.parametrize(
    ("statement", "public"),
    [
        (_statement(Principal="*"), True),
        (_statement(Principal={"AWS": "111122223333"}), False),
        (_statement(Principal={"AWS": "arn:aws:iam::111122223333:role/*"}), True),
        (_statement(NotPrincipal={"AWS": "111122223333"}), True),
        (_statement(), False),
        (_statement(Principal="*", Effect="Deny"), False),
        (_statement(Principal="*", Condition={"StringEquals": {"aws:SourceVpce": []}}), True),
        (_statement(Principal="*", Condition={"IpAddress": {"aws:SourceIp": "203.0.113.7/24"}}), False),
    ],
)
def test_public(statement: dict[str, Any], public: bool) -> None:
    assert bool(public_statements(parse({"Statement": statement}))) is public


def test_public_statements_are_named() -> None:
    rows = [_statement(Sid=sid, Principal=who) for sid, who in (("a", "*"), ("b", {"Service": "s"}), ("c", "*"))]
    assert [row.name for row in public_statements(parse({"Statement": rows}))] == ["a", "c"]


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (_statement(Principal="*"), "it names everybody, and no condition of it leaves fixed callers only"),
        (_statement(Principal={"AWS": ["arn:aws:iam::111122223333:role/*"]}), "it names a wildcard, and no condition"),
        (_statement(NotPrincipal={"AWS": "111122223333"}), "it names everybody but some"),
        (_statement(Principal={"AWS": "111122223333"}), "its principals are fixed"),
        (_statement(), "it names no principal"),
        (
            _statement(Principal="*", Condition={"StringEquals": {"aws:SourceVpce": ["vpce-1", "vpce-2"]}}),
            "StringEquals aws:SourceVpce [vpce-1, vpce-2] leaves fixed callers only",
        ),
    ],
)
def test_each_verdict_has_its_reason(statement: dict[str, Any], says: str) -> None:
    (verdict,) = public_verdicts(parse({"Statement": statement}))
    assert verdict.says.startswith(says)


def test_a_policy_that_is_not_public_passes_and_the_setting_is_off_by_default() -> None:
    named = _statement(Principal={"AWS": "444455556666"})
    request = Request(
        action="s3:GetObject",
        resource="arn:aws:s3:::b/k",
        resource_account="111122223333",
        principal="arn:aws:iam::444455556666:root",
    )
    policy = parse({"Statement": named})
    found = decide(request, Policies(resource=policy, restrict_public_buckets=True))
    assert found.layers == {"resource": "allow", "block_public_access": "allow"}
    assert decide(request, Policies(resource=policy)).layers == {"resource": "allow"}


def test_the_refusal_names_the_statement() -> None:
    policy = parse({"Statement": [_statement(Sid="Open", Principal="*")]}, name="bucket")
    request = Request(
        action="s3:GetObject", resource="arn:aws:s3:::b/k", resource_account="111122223333", principal="anonymous"
    )
    found = decide(request, Policies(resource=policy, restrict_public_buckets=True))
    assert (found.layer, found.policy, found.statement) == ("block_public_access", "bucket", "Open")
    assert found.reason == "RestrictPublicBuckets is on, and `Open` makes the bucket policy public"
    assert found.layers == {"resource": "allow", "block_public_access": "explicit_deny"}
