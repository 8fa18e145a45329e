"""JSON lines: what is refused, by name, and the form of the answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy import UNKNOWN, answer, parse_request, validate_bucket_policy

_ALLOW = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
_REQUEST = {
    "action": "s3:GetObject",
    "resource": "arn:aws:s3:::reports/2026/q3.csv",
    "resource_account": "111122223333",
    "principal": "arn:aws:sts::111122223333:assumed-role/app/session-1",
}
_DENY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "OnlyThroughTheEndpoint",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}},
        }
    ],
}
_NAMED = [{"name": "inline", "policy": _ALLOW}]
_LEVELS = [{"level": "root", "policies": _NAMED}]


def _line(request: Any = None, policies: Any = None, **more: Any) -> str:
    body = {
        "id": "1",
        "request": {**_REQUEST, **(request or {})},
        "policies": {"identity": _NAMED, **(policies or {})},
    }
    return json.dumps({**body, **more})


def test_answer() -> None:
    text, answered = answer(_line(policies={"resource": _DENY, "scps": _LEVELS}))
    assert answered
    assert json.loads(text) == {
        "id": "1",
        "decision": "explicit_deny",
        "layer": "resource",
        "policy": "resource",
        "statement": "OnlyThroughTheEndpoint",
        "layers": {"scp": "allow", "identity": "allow", "resource": "explicit_deny"},
        "reason": "aws:SourceVpce is absent, so StringNotEquals [vpce-1] matches",
    }


def test_answer_on_allow() -> None:
    text, answered = answer(_line())
    assert answered
    found = json.loads(text)
    assert (found["decision"], found["layer"], found["policy"], found["statement"]) == ("allow", None, None, None)


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("", "the line is not JSON"),
        ("{", "the line is not JSON"),
        ("[" * 100_000, "the line is not JSON"),
        ('{"id": NaN}', "the line is not JSON"),
        ("[]", "the decision request must be an object"),
        ("{}", "`request` is missing"),
        ('{"request": {}}', "`policies` is missing"),
        ('{"request": [], "policies": {}}', "`request` must be an object"),
        ('{"request": {}, "policies": []}', "`policies` must be an object"),
        (_line(extra=1), "the decision request has an unknown key `extra`"),
        (_line({"extra": 1}), "`request` has an unknown key `extra`"),
        (_line(policies={"extra": 1}), "`policies` has an unknown key `extra`"),
        (_line({"action": None}), "`request.action` must be text"),
        (_line({"resource": 1}), "`request.resource` must be text"),
        (_line({"resource_account": 111122223333}), "`request.resource_account` must be text"),
        (_line({"principal": "me"}), "principal `me` is of no known form"),
        (_line({"context": []}), "`request.context` must be an object"),
        (_line({"context": {"a": None}}), "`request.context` `a` must be text, a number or a boolean"),
        (_line({"context": {"a": [{}]}}), "`request.context` `a` must be text, a number or a boolean"),
        (_line(policies={"identity": {}}), "`identity` must be a list or `unknown`"),
        (_line(policies={"identity": [1]}), "`identity[0]` must be an object"),
        (_line(policies={"identity": [{"name": "x", "policy": _ALLOW, "z": 1}]}), "unknown key `z`"),
        (_line(policies={"identity": [{"policy": _ALLOW}]}), "`identity[0].name` must be text"),
        (_line(policies={"session": [{"name": "x"}]}), "`session[0].policy` is missing"),
        (_line(policies={"identity": [{"name": "x", "policy": 7}]}), "policy `x`: a policy must be a JSON object"),
        (_line(policies={"resource": {"Statement": [{}]}}), "policy `resource`: statement 0: Effect must be"),
        (_line(policies={"vpc_endpoint": 5}), "policy `vpc_endpoint`: a policy must be a JSON object"),
        (_line(policies={"scps": {}}), "`scps` must be a list"),
        (_line(policies={"scps": [[]]}), "`scps[0]` must be an object"),
        (_line(policies={"scps": [{"level": 1, "policies": []}]}), "`scps[0].level` must be text"),
        (_line(policies={"rcps": [{"level": "r", "policies": {}}]}), "`rcps[0].policies` must be a list"),
        (_line(policies={"rcps": [{"level": "r", "policies": [{}]}]}), "`rcps[0].policies[0].name` must be text"),
        (_line(policies={"access_point": 5}), "policy `access_point`: a policy must be a JSON object"),
        (_line(policies={"key": []}), "policy `key`: a policy must be a JSON object"),
        (_line(acl=5), "`acl` must be a list of grants, or an object of Owner and Grants"),
        (_line(acl={"Grant": []}), "`acl` must be a list of grants, or an object of Owner and Grants"),
        (_line(acl={"Grants": 1}), "`acl` must hold a list of grants"),
        (_line(acl=[{"Grant": 1}]), "`acl` grant 0 must be an object of Grantee and Permission"),
        (_line(acl=[{}], object_ownership="ObjectWriter"), "`acl` grant 0 has no permission that S3 knows"),
        (_line(acl=[{"grantee": {}, "permission": "READ"}]), "`acl` grant 0 names nobody; give a group's URI"),
        (_line(acl={"Owner": 5}), "`acl` owner names nobody"),
        (_line(object_ownership="mine"), "`object_ownership` must be one of BucketOwnerEnforced"),
        (_line(block_public_access=[]), "`block_public_access` must be an object"),
        (_line(block_public_access={"all": True}), "`block_public_access` has an unknown key `all`"),
        (_line(block_public_access={"block_public_acls": 1}), "`block_public_acls` must be true or false"),
        (_line(endpoint_type="other"), "`endpoint_type` must be one of gateway, interface"),
        (_line(principal_in_management_account="yes"), "`principal_in_management_account` must be true or false"),
    ],
)
def test_refused(line: str, fragment: str) -> None:
    text, answered = answer(line)
    found = json.loads(text)
    assert not answered
    assert set(found) == {"id", "error"}
    assert fragment in found["error"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("x", "x"), (5, 5), (1.5, 1.5), (None, None), ([1], None), ({}, None), (True, True)],
)
def test_id_is_kept(given: object, kept: object) -> None:
    assert json.loads(answer(_line(id=given))[0])["id"] == kept
    assert json.loads(answer(_line(id=given, extra=1))[0])["id"] == kept


def test_an_id_beyond_all_numbers_is_not_kept() -> None:
    # JSON has no word for the infinity that Python reads there.
    assert answer('{"id": 1e999}')[0].startswith('{"id": null, ')


@pytest.mark.parametrize("place", ["policies", "line"])
def test_options_beside_or_among_policies(place: str) -> None:
    options = {"endpoint_type": "gateway", "principal_in_management_account": True}
    options["resource_in_management_account"] = False
    line = _line(policies=options) if place == "policies" else _line(**options)
    _, policies = parse_request(json.loads(line))
    assert policies.endpoint_type == "gateway"
    assert policies.principal_in_management_account
    assert not policies.resource_in_management_account


def test_block_public_access() -> None:
    for given, restricts in ((None, False), ({}, False), ({"restrict_public_buckets": True}, True)):
        _, policies = parse_request(json.loads(_line(block_public_access=given)))
        assert policies.restrict_public_buckets is restricts


def test_acls_are_off_where_ownership_is_enforced() -> None:
    assert answer(_line(acl=[{}], object_ownership="BucketOwnerEnforced"))[1]


def test_unknown_layers() -> None:
    names = ("identity", "permissions_boundary", "session", "resource", "vpc_endpoint", "scps", "rcps")
    _, policies = parse_request(json.loads(_line(policies=dict.fromkeys(names, "unknown"))))
    assert all(getattr(policies, name) is UNKNOWN for name in names)


def test_null_is_none_of_that_kind() -> None:
    names = ("identity", "permissions_boundary", "session", "resource", "vpc_endpoint", "scps", "rcps")
    given = json.loads(_line({"context": None}, dict.fromkeys(names)))
    request, policies = parse_request(given)
    assert request.context == {}
    assert (policies.identity, policies.scps, policies.rcps) == ((), (), ())
    assert (policies.permissions_boundary, policies.session) == (None, None)
    assert (policies.resource, policies.vpc_endpoint) == (None, None)


def test_level_names_are_optional() -> None:
    _, policies = parse_request(json.loads(_line(policies={"scps": [{"policies": _NAMED}, {}]})))
    assert isinstance(policies.scps, tuple)
    assert [[document.name for document in level] for level in policies.scps] == [["inline"], []]


def test_context_values_become_text() -> None:
    given = {"a:b": True, "c:d": 5, "e:f": ["x", False], "g:h": 1.3}
    request, _ = parse_request(json.loads(_line({"context": given})))
    assert request.context == {"a:b": "true", "c:d": "5", "e:f": ["x", "false"], "g:h": "1.3"}


@pytest.mark.parametrize("depth", [50, 500, 900, 960, 980, 100_000])
def test_deep_nesting_raises_nothing(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    for place in ("Version", "Statement", "Id"):
        line = _line(policies={"resource": {"Statement": [], place: "@"}}).replace('"@"', deep)
        validate_bucket_policy(f'{{"Statement": {deep}, "Version": {deep}}}', bucket="b")
        assert isinstance(json.loads(answer(line)[0]), dict)
    assert not answer(_line({"context": {"a:b": "@"}}).replace('"@"', deep))[1]


def test_policies_that_are_no_json() -> None:
    with pytest.raises(PolicyError, match="`policies` can't be read as JSON"):
        parse_request({"request": _REQUEST, "policies": {"resource": object()}})


def test_policies_that_come_again_are_compiled_once() -> None:
    one, other = (parse_request(json.loads(_line({"action": action})))[1] for action in ("s3:a", "s3:b"))
    assert one is other
    changed = parse_request(json.loads(_line(principal_in_management_account=True)))[1]
    assert changed is not one
    assert changed.identity == one.identity


def test_true_and_one_are_not_the_same_policy() -> None:
    assert answer(_line(principal_in_management_account=True))[1]
    assert not answer(_line(principal_in_management_account=1))[1]


def test_a_request_that_is_no_mapping_has_its_own_error() -> None:
    with pytest.raises(PolicyError, match="the decision request must be an object"):
        parse_request(5)
