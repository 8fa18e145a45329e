"""The decision's explanation, its layers, and the order they come in; which decision it is, is tests/cases/."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy import UNKNOWN, Decision, Document, Effect, Policies, Request, decide, parse, parse_acl

_A = "111122223333"
_ROLE = f"arn:aws:iam::{_A}:role/app"


def _document(*, effect: str = "Allow", name: str = "p", **more: Any) -> Document:
    return parse({"Statement": {"Effect": effect, "Action": "*", "Resource": "*", **more}}, name=name)


_ALLOW = _document()
_TO_ALL = _document(Principal="*")
_OTHER = _document(Action="ec2:*", Principal="*")
_ELSEWHERE = {"aws:SourceVpce": "vpce-2"}


def _decided(*, principal: str = _ROLE, owner: str = _A, context: Any = None, **policies: Any) -> Decision:
    request = Request(
        action="s3:GetObject",
        resource="arn:aws:s3:::b/k",
        resource_account=owner,
        principal=principal,
        context=context or {},
    )
    return decide(request, Policies(**policies))


def test_allow() -> None:
    found = _decided(identity=(_ALLOW,))
    assert found.allowed
    assert found.effect is Effect.ALLOW
    assert (found.layer, found.policy, found.statement) == (None, None, None)
    assert found.reason == "s3:GetObject on arn:aws:s3:::b/k is allowed by every layer that takes part"


def test_explicit_deny_names_policy_and_statement() -> None:
    deny = _document(effect="Deny", name="guard", Sid="No", Condition={"StringNotEquals": {"aws:SourceVpce": "vpce-1"}})
    found = _decided(identity=(_ALLOW, deny), context={"aws:sourcevpce": "vpce-2"})
    assert not found.allowed
    assert (found.layer, found.policy, found.statement) == ("identity", "guard", "No")
    assert found.reason == "aws:SourceVpce is [vpce-2], so StringNotEquals [vpce-1] matches"


def test_explicit_deny_without_conditions() -> None:
    found = _decided(identity=(_ALLOW,), resource=_document(effect="Deny", name="", Principal="*"))
    assert (found.policy, found.statement) == ("resource", "statement 0")
    assert found.reason == "`statement 0` denies s3:GetObject on arn:aws:s3:::b/k unconditionally"


def test_the_first_matching_deny_is_named() -> None:
    denies = [_document(effect="Deny", name=name) for name in ("one", "two")]
    assert _decided(identity=tuple(denies)).policy == "one"
    assert _decided(scps=((_ALLOW,), (_ALLOW, denies[1]), (denies[0],))).policy == "two"


def test_implicit_deny() -> None:
    found = _decided()
    assert (found.effect, found.layer, found.policy, found.statement) == (Effect.IMPLICIT_DENY, "identity", None, None)
    assert found.reason == "no identity-based policy allows s3:GetObject on arn:aws:s3:::b/k"


_INSIDE: dict[str, Any] = {"Sid": "Inside", "Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}}
_NEAR = "`Inside` of `p` would, but aws:SourceVpce is [vpce-2], so StringEquals [vpce-1] does not match"


@pytest.mark.parametrize(
    ("layer", "policies"),
    [
        ("identity", {"identity": (_document(**_INSIDE),)}),
        ("identity", {"resource": _document(**_INSIDE, Principal="*")}),
        ("identity", {"identity": (_OTHER,), "resource": _document(**_INSIDE, Principal={"AWS": [_ROLE]})}),
        ("permissions_boundary", {"permissions_boundary": (_OTHER, _document(**_INSIDE))}),
        ("session", {"session": (_document(**_INSIDE),)}),
        ("scp", {"scps": ((_ALLOW, _document(**{**_INSIDE, "Sid": "Other"})), (_OTHER, _document(**_INSIDE)))}),
        ("vpc_endpoint", {"vpc_endpoint": _document(**_INSIDE, Principal={"AWS": _A})}),
        ("resource", {"resource": _document(**_INSIDE, Principal={"AWS": _A}), "owner": "444455556666"}),
        ("resource", {"resource": _document(**_INSIDE, Principal="*"), "principal": "anonymous"}),
    ],
)
def test_implicit_deny_says_which_condition_kept_the_allow_away(layer: str, policies: dict[str, Any]) -> None:
    found = _decided(**{"identity": () if layer == "identity" else (_ALLOW,), **policies}, context=_ELSEWHERE)
    assert (found.effect, found.layer) == (Effect.IMPLICIT_DENY, layer)
    assert found.reason.endswith(f" allows s3:GetObject on arn:aws:s3:::b/k: {_NEAR}")


@pytest.mark.parametrize(
    "policies",
    [
        {"identity": (_document(**_INSIDE, Resource="arn:aws:s3:::c/*"),)},
        {"identity": (_document(**{**_INSIDE, "Effect": "Deny"}),)},
        {"resource": _document(**_INSIDE, Principal={"AWS": f"{_ROLE}2"})},
        {"resource": _document(**_INSIDE, Principal={"AWS": _A})},
        {"resource": _document(**_INSIDE, Principal="*"), "owner": "444455556666"},
        {"resource": _document(Principal="*"), "vpc_endpoint": _OTHER},
    ],
)
def test_what_would_not_allow_is_no_reason(policies: dict[str, Any]) -> None:
    found = _decided(**policies, context=_ELSEWHERE)
    assert found.effect is Effect.IMPLICIT_DENY
    assert found.reason.endswith(" allows s3:GetObject on arn:aws:s3:::b/k")


def test_all_failing_conditions_are_named() -> None:
    condition = {"Bool": {"aws:SecureTransport": "true"}, "StringLike": {"s3:prefix": "a*"}, "Null": {"a:b": "true"}}
    found = _decided(identity=(_document(name="", Condition=condition),), context={"s3:prefix": "b"})
    assert found.reason == (
        "no identity-based policy allows s3:GetObject on arn:aws:s3:::b/k: `statement 0` of `identity` would, but "
        "aws:SecureTransport is absent, so Bool [true] does not match and "
        "s3:prefix is [b], so StringLike [a*] does not match"
    )


def test_unknown_names_what_was_not_read() -> None:
    found = _decided(identity=UNKNOWN, scps=UNKNOWN)
    assert (found.effect, found.layer) == (Effect.UNKNOWN, None)
    assert found.reason == "the service control policy and identity-based policy could not be read"


@pytest.mark.parametrize(
    ("policies", "layers"),
    [
        ({"identity": (_ALLOW,)}, {"identity": "allow"}),
        ({"identity": (_ALLOW,), "resource": _TO_ALL}, {"identity": "allow", "resource": "allow"}),
        ({"resource": _TO_ALL}, {"identity": "no_impact", "resource": "allow"}),
        ({"identity": (_ALLOW,), "resource": _OTHER}, {"identity": "allow", "resource": "no_impact"}),
        ({"resource": _OTHER}, {"identity": "implicit_deny", "resource": "no_impact"}),
        (
            {"resource": _TO_ALL, "permissions_boundary": (), "session": ()},
            {
                "identity": "no_impact",
                "resource": "allow",
                "permissions_boundary": "no_impact",
                "session": "no_impact",
            },
        ),
        (
            {"identity": (_ALLOW,), "resource": _document(Principal={"AWS": _A})},
            {"identity": "allow", "resource": "no_impact"},
        ),
        ({"identity": (), "resource": UNKNOWN}, {"identity": "implicit_deny", "resource": "unknown"}),
        (
            {"identity": (_ALLOW,), "scps": ((_ALLOW,),), "rcps": ((),), "vpc_endpoint": _TO_ALL},
            {"scp": "allow", "rcp": "allow", "vpc_endpoint": "allow", "identity": "allow"},
        ),
        ({"identity": (_ALLOW,), "principal": "service:x"}, {"resource": "implicit_deny"}),
        ({"principal": f"arn:aws:iam::{_A}:root", "resource": _OTHER}, {"resource": "no_impact"}),
        ({"principal": f"arn:aws:iam::{_A}:root"}, {}),
    ],
)
def test_layers(policies: dict[str, Any], layers: dict[str, str]) -> None:
    found = _decided(**policies).layers
    assert dict(found) == layers
    assert all(isinstance(effect, Effect) for effect in found.values())


def test_one_allow_of_a_policy_is_enough_and_none_is_not() -> None:
    rows = [{"Effect": "Allow", "Action": action, "Resource": "*"} for action in ("ec2:*", "s3:*", "kms:*")]
    assert _decided(identity=(parse({"Statement": rows}),)).allowed
    assert not _decided(identity=(_document(effect="Deny", Action="ec2:*"),)).allowed
    assert not _decided(identity=(parse({"Statement": []}),)).allowed


def test_an_empty_list_is_an_absent_key() -> None:
    document = _document(Condition={"Null": {"aws:TagKeys": "true"}})
    assert _decided(identity=(document,), context={"aws:TagKeys": []}).allowed
    assert not _decided(identity=(document,), context={"aws:TagKeys": [""]}).allowed


def test_given_keys_win() -> None:
    document = _document(Condition={"StringEquals": {"aws:PrincipalAccount": "x", "aws:ResourceAccount": "y"}})
    assert _decided(identity=(document,), context={"AWS:principalACCOUNT": "x", "aws:ResourceAccount": "y"}).allowed


def test_unknown_principal_form() -> None:
    with pytest.raises(PolicyError, match="principal `x` is of no known form"):
        _decided(principal="x")


def test_a_limit_of_no_policies_allows_nothing() -> None:
    assert _decided(identity=(_ALLOW,), permissions_boundary=()).layer == "permissions_boundary"
    assert _decided(identity=(_ALLOW,), session=()).layer == "session"
    assert _decided(identity=(_ALLOW,), permissions_boundary=None, session=None).allowed


_PUBLIC_READ = parse_acl([{"grantee": "AllUsers", "permission": "READ"}])
_TO_ACCOUNT = parse_acl([{"grantee": _A, "permission": "READ"}])


@pytest.mark.parametrize(
    ("given", "layers"),
    [
        # one account: the list counts only where it alone lets the caller in
        ({"identity": (_ALLOW,), "acl": _PUBLIC_READ}, {"identity": "allow", "acl": "no_impact"}),
        ({"acl": _PUBLIC_READ}, {"identity": "no_impact", "acl": "allow"}),
        (
            {"resource": _TO_ALL, "acl": _PUBLIC_READ},
            {"identity": "no_impact", "resource": "allow", "acl": "no_impact"},
        ),
        ({"identity": (_ALLOW,), "acl": _TO_ACCOUNT}, {"identity": "allow", "acl": "no_impact"}),
        ({"acl": _TO_ACCOUNT}, {"identity": "implicit_deny", "acl": "no_impact"}),
        ({"principal": f"arn:aws:iam::{_A}:root", "acl": _PUBLIC_READ}, {"acl": "no_impact"}),
        # elsewhere it stands in for a policy that allows nothing
        ({"principal": "anonymous", "acl": _PUBLIC_READ}, {"acl": "allow", "resource": "no_impact"}),
        ({"principal": "anonymous", "acl": _TO_ACCOUNT}, {"acl": "implicit_deny", "resource": "implicit_deny"}),
        (
            {"principal": "anonymous", "resource": _TO_ALL, "acl": _PUBLIC_READ},
            {"resource": "allow", "acl": "no_impact"},
        ),
        # one that could not be read
        ({"principal": "anonymous", "acl": UNKNOWN}, {"acl": "unknown", "resource": "no_impact"}),
        ({"identity": (_ALLOW,), "acl": UNKNOWN}, {"identity": "allow", "acl": "no_impact"}),
        (
            {
                "identity": (_ALLOW,),
                "principal": "arn:aws:iam::444455556666:role/r",
                "acl": UNKNOWN,
                "ignore_public_acls": True,
            },
            {"identity": "allow", "acl": "unknown", "resource": "no_impact"},
        ),
    ],
)
def test_the_part_of_an_access_control_list(given: dict[str, Any], layers: dict[str, str]) -> None:
    assert _decided(**given).layers == layers


def test_an_access_point_that_could_not_be_read_may_refuse_what_a_list_grants() -> None:
    found = _decided(principal="anonymous", acl=_PUBLIC_READ, access_point=UNKNOWN)
    assert (found.effect, found.layers) == ("unknown", {"acl": "allow", "resource": "unknown"})
    assert _decided(principal="anonymous", acl=_TO_ACCOUNT, access_point=UNKNOWN).effect == "implicit_deny"


def test_a_request_to_kms_names_the_keys_policy_as_its_layer() -> None:
    request = Request(
        action="kms:Decrypt", resource=f"arn:aws:kms:eu-west-1:{_A}:key/1", resource_account=_A, principal=_ROLE
    )
    found = decide(request, Policies(identity=(_ALLOW,), key=_document(Principal={"AWS": _A})))
    assert found.layers == {"identity": "allow", "kms": "allow"}
    refused = decide(request, Policies(identity=(_ALLOW,), key=_document(effect="Deny", name="", Principal="*")))
    assert (refused.layer, refused.layers) == ("kms", {"identity": "allow", "kms": "explicit_deny"})


def test_a_policy_without_a_name_is_named_by_its_layer() -> None:
    unnamed = _document(name="", Principal="*")
    found = _decided(principal="anonymous", resource=unnamed, restrict_public_buckets=True)
    assert (found.layer, found.policy) == ("block_public_access", "resource")
    assert _decided(identity=(_document(effect="Deny", name=""),)).policy == "identity"


def test_a_decision_shows_and_compares_what_was_decided_alone() -> None:
    one, other = _decided(identity=(_ALLOW,)), _decided(identity=(_document(name="q"),))
    assert one == other
    assert "case" not in repr(one)


def test_the_first_deny_of_a_policy_is_named() -> None:
    rows = [{"Sid": sid, "Effect": "Deny", "Action": "*", "Resource": "*", "Principal": "*"} for sid in ("one", "two")]
    assert _decided(resource=parse({"Statement": rows})).statement == "one"
    plain = [{key: value for key, value in row.items() if key != "Principal"} for row in rows]
    assert _decided(identity=(parse({"Statement": plain}),)).statement == "one"


def test_an_unread_bucket_policy_may_let_a_limited_root_session_in() -> None:
    request = Request(
        action="s3:GetBucketPolicy", resource="arn:aws:s3:::b", resource_account=_A, principal=f"arn:aws:iam::{_A}:root"
    )
    limited: dict[str, Any] = {"resource": UNKNOWN, "session": ()}
    assert decide(request, Policies(**limited)).effect is Effect.UNKNOWN
    assert decide(request, Policies(resource=UNKNOWN, session=(_ALLOW,))).effect is Effect.ALLOW
    assert decide(request, Policies(resource=_TO_ALL, session=())).effect is Effect.ALLOW
    assert decide(request, Policies(resource=None, session=())).effect is Effect.IMPLICIT_DENY
