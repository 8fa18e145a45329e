"""Policy documents: what is a policy, and the error for what is not, with statement, Sid and element."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy import parse

_GOOD: dict[str, Any] = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


def _changed(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**_GOOD, **changes}.items() if value is not ...}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "a policy must be JSON"),
        ("{", "a policy must be JSON"),
        ('{"Statement": [Infinity]}', "a policy must be JSON"),
        ("[" * 100_000, "a policy must be JSON"),
        ("[]", "a policy must be a JSON object"),
        (5, "a policy must be a JSON object"),
        ({}, "element Statement is missing"),
        ({"Foo": 1}, "unknown element `Foo`; elements are Id, Statement, Version"),
        ({"Version": "2012"}, "Version `2012` is unknown; versions are 2012-10-17 and 2008-10-17"),
        ({"Version": []}, "Version must be text; versions are 2012-10-17 and 2008-10-17"),
        ({"Statement": "x"}, "Statement must be an object or a list of objects"),
        ({"Statement": [_GOOD, 5]}, "statement 1: it must be an object"),
        ({"Statement": _changed(Foo=1)}, "statement 0: element `Foo` is unknown; elements are Action"),
        ({"Statement": _changed(Sid=5)}, "statement 0: Sid must be text"),
        ({"Statement": _changed(Sid="S", Effect="allow")}, "statement 0 (`S`): Effect must be Allow or Deny"),
        ({"Statement": _changed(Effect=[])}, "statement 0: Effect must be Allow or Deny"),
        ({"Statement": _changed(Action=...)}, "statement 0: Action is missing"),
        ({"Statement": _changed(NotAction="x")}, "statement 0: Action and NotAction exclude each other; keep one"),
        ({"Statement": _changed(NotResource="x")}, "Resource and NotResource exclude each other"),
        ({"Statement": _changed(Principal="*", NotPrincipal="*")}, "Principal and NotPrincipal exclude each other"),
        ({"Statement": _changed(Action=[5])}, "statement 0: Action must be text or a list of texts"),
        ({"Statement": _changed(Action=["s3:*", 5])}, "statement 0: Action must be text or a list of texts"),
        ({"Statement": _changed(Action={})}, "statement 0: Action must be text or a list of texts"),
        ({"Statement": _changed(Action=..., NotAction=5)}, "NotAction must be text or a list of texts"),
        ({"Statement": _changed(Resource=None)}, "Resource must be text or a list of texts"),
        ({"Statement": _changed(Principal={"X": "y"})}, "statement 0: Principal has no kind `X`; kinds are AWS"),
        ({"Statement": _changed(NotPrincipal="x")}, "statement 0: NotPrincipal must be `*` or a mapping"),
        ({"Statement": _changed(Condition=[])}, "statement 0: Condition must be an object"),
        ({"Statement": _changed(Condition={"Foo": {}})}, "Condition `Foo` is no operator; see the IAM user guide"),
        ({"Statement": _changed(Condition={"Null": "x"})}, "Condition `Null` must map condition keys to values"),
        (
            {"Statement": _changed(Sid="S", Condition={"Null": {"a:b": [[]]}})},
            "statement 0 (`S`): Condition `Null` `a:b` must be text, a number or a boolean",
        ),
        ({"Statement": _changed(Condition={"Null": {"a:b": None}})}, "must be text, a number or a boolean"),
    ],
)
def test_no_policy(document: Any, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(document, name="p")
    assert message in str(caught.value)
    assert str(caught.value).startswith("policy `p`: ")


def test_an_unnamed_policy_needs_no_prefix() -> None:
    with pytest.raises(PolicyError, match=r"^element Statement is missing$"):
        parse({})


def test_parse() -> None:
    document = parse(
        {
            "Version": "2012-10-17",
            "Id": "x",
            "Statement": [
                _changed(Sid="S", Resource=["arn:aws:s3:::b/${aws:UserName}"]),
                _changed(Effect="Deny", Condition={"StringLike": {"S3:Prefix": ["${AWS:PrincipalTag/T}"]}}),
            ],
        },
        name="p",
    )
    assert document.name == "p"
    assert document.keys == {"aws:username", "s3:prefix", "aws:principaltag/t"}
    assert [statement.name for statement in document.statements] == ["S", "statement 1"]
    assert document.allows == document.statements[:1]
    assert document.denies == document.statements[1:]


def test_text_and_mapping_are_one() -> None:
    given = {"Statement": _GOOD}
    assert parse(json.dumps(given)).statements[0].name == parse(given).statements[0].name == "statement 0"


def test_no_statements() -> None:
    assert parse({"Statement": []}).keys == frozenset()


@pytest.mark.parametrize(
    ("resource", "arn", "expected"),
    [
        ("*", "anything", True),
        ("**", "anything", True),
        ("", "", True),
        ("", "x", False),
        ("arn:aws:s3*", "arn:aws:s3:::b", True),
        ("arn:aws:s3:::b", "b", False),
        ("*b", "arn:aws:s3:::b", True),
        ("x${aws:username}", "x${aws:username}", True),
        ("x${aws:username}", "xann", False),
    ],
)
def test_resources_that_are_no_arns(resource: str, arn: str, expected: bool) -> None:
    (statement,) = parse({"Version": "2012-10-17", "Statement": _changed(Resource=resource)}).statements
    assert statement.covers("s3:getobject", arn, {"aws:username": ("ann",)}) is expected


def test_actions_have_no_variables() -> None:
    document = {"Version": "2012-10-17", "Statement": _changed(Action="s3:${aws:username}")}
    (statement,) = parse(document).statements
    values = {"aws:username": ("getobject",)}
    assert statement.covers("s3:${aws:username}", "x", values)
    assert not statement.covers("s3:getobject", "x", values)


def test_no_resource_element_is_every_resource() -> None:
    (statement,) = parse({"Statement": _changed(Resource=...)}).statements
    assert statement.covers("s3:getobject", "anything", {})


def test_why_joins_conditions() -> None:
    condition = {"Bool": {"a:b": "true"}, "Null": {"c:d": "true"}}
    (statement,) = parse({"Statement": _changed(Condition=condition)}).statements
    values = {"a:b": ("true",)}
    assert statement.why(values) == "a:b is [true], so Bool [true] matches and c:d is absent, so Null [true] matches"


def test_a_pickled_document_is_compiled_again_where_it_arrives() -> None:
    document = parse({"Statement": {"Effect": "Deny", "Action": "s3:Get*", "Resource": "*"}}, name="guard")
    found = pickle.loads(pickle.dumps(document))
    assert (found.name, found.data) == ("guard", document.data)
    assert found.denies[0].covers("s3:getobject", "arn:aws:s3:::b/k", {})
