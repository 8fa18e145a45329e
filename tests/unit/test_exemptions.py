"""What is said of a bucket policy's denies: each bound by which they may let somebody in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from pytest_s3vpce.claims.admitted import Admitted, Granted
from pytest_s3vpce.snapshot import admitted_of, denied_by, exemptions_of, exemptions_under, grants_of, policy_text
from pytest_s3vpce.snapshot.state import PolicyRow, Unread

WHOLE = ["arn:aws:s3:::reports", "arn:aws:s3:::reports/*"]
ONLY_THERE = {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}


def policy(**row: Any) -> str:
    bare = {"Sid": "Guard", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": WHOLE}
    return json.dumps({"Statement": {key: value for key, value in {**bare, **row}.items() if value is not None}})


def spared(text: str) -> tuple[str, ...] | None:
    found = exemptions_of(text)
    return None if found is None else tuple(map(str, found))


CONDITIONS = {
    "a network": ONLY_THERE,
    "tls": {"Bool": {"aws:SecureTransport": "false"}},
    "a tag": {"StringNotEquals": {"s3:ExistingObjectTag/team": "red"}},
    "one key of another kind": {"NumericGreaterThan": {"s3:max-keys": "10"}},
    "two ways of one network": {"StringNotEquals": {"aws:SourceVpce": "vpce-1", "aws:SourceVpc": "vpc-1"}},
}


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS.keys())
def test_what_a_deny_is_about_spares_nobody(condition: Any) -> None:
    assert spared(policy(Condition=condition)) == ()


def test_a_network_may_be_compared_as_an_arn() -> None:
    """The key's value is one: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
    vpc = "arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-1"
    text = policy(Condition={"ArnNotLikeIfExists": {"aws:SourceVpcArn": vpc}})
    assert spared(text) == ()
    assert admitted_of(text) == (Admitted("Guard", "aws:SourceVpcArn", vpc),)


BOUNDS: list[tuple[dict[str, Any], str]] = [
    ({"Principal": {"AWS": "arn:aws:iam::111122223333:role/app"}}, 'holds only for Principal {"AWS": "arn:aws:iam:'),
    ({"Principal": {"Service": "*"}}, 'holds only for Principal {"Service": "*"}'),
    ({"Principal": None, "NotPrincipal": {"AWS": "1"}}, 'spares NotPrincipal {"AWS": "1"}'),
    ({"Action": ["s3:GetObject", "s3:PutObject"]}, "holds only for s3:GetObject, s3:PutObject"),
    ({"Action": None, "NotAction": "s3:GetObject"}, "spares NotAction s3:GetObject"),
    ({"Resource": ["arn:aws:s3:::reports", "arn:aws:s3:::reports/a/*"]}, "holds only on arn:aws:s3:::reports, arn:"),
    ({"Resource": "arn:aws:s3:::reports/*"}, "holds only on arn:aws:s3:::reports/*"),
    ({"Resource": ["arn:aws:s3:::reports", "arn:aws:s3:::reports/a:*"]}, "holds only on arn:aws:s3:::reports, arn:"),
    ({"Resource": None, "NotResource": "arn:aws:s3:::reports/public/*"}, "spares NotResource arn:aws:s3:::reports/pub"),
]


@pytest.mark.parametrize(("row", "told"), BOUNDS)
def test_whom_and_what_a_deny_is_bound_to_is_told(row: dict[str, Any], told: str) -> None:
    (sentence,) = spared(policy(Condition=ONLY_THERE, **row)) or ()
    assert sentence.startswith(f"`Guard` {told}")


@pytest.mark.parametrize(
    "row",
    [
        {"Principal": {"AWS": ["*"]}},
        {"Action": "*"},
        {"Resource": "*"},
        {"Resource": "arn:aws:s3:::reports*"},
    ],
)
def test_other_words_for_everything_bind_nothing(row: dict[str, Any]) -> None:
    assert spared(policy(Condition=ONLY_THERE, **row)) == ()


@pytest.mark.parametrize(
    ("action", "resource"), [("s3:GetObject*", "arn:aws:s3:::reports/*"), ("s3:ListBucket", "arn:aws:s3:::reports")]
)
def test_actions_that_are_about_one_of_both_ask_for_no_other_resource(action: str, resource: str) -> None:
    found = spared(policy(Condition=ONLY_THERE, Action=action, Resource=resource))
    assert found == (f"`Guard` holds only for {action}",)


@pytest.mark.parametrize(
    "condition",
    [
        {"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/admin"}},
        {"StringNotEqualsIfExists": {"s3:DataAccessPointAccount": "111122223333"}},
        {"StringEquals": {"s3:authType": "REST-HEADER"}},
        {"DateLessThan": {"aws:CurrentTime": "2027-01-01T00:00:00Z"}},
        {"StringNotLike": {"aws:UserAgent": "*letmein*"}},
        {"Null": {"s3:if-none-match": "false"}},
        {"Null": {"aws:SourceVpce": "true"}},
        {"NumericLessThan": {"s3:max-keys": "10"}},
        {"ForAnyValue:StringNotEquals": {"aws:SourceVpc": "vpc-1"}},
        {"NumericNotEquals": {"aws:SourceVpc": "vpc-1"}},
        {"NotIpAddress": {"aws:SourceVpc": "vpc-1"}},
    ],
)
def test_a_condition_besides_what_a_deny_is_about_is_told(condition: dict[str, dict[str, str]]) -> None:
    ((operator, ((key, value),)),) = ((name, tuple(keys.items())) for name, keys in condition.items())
    assert spared(policy(Condition={**ONLY_THERE, **condition})) == (
        f"`Guard` holds only where {operator} {key} {value}",
    )


def test_a_deny_about_two_things_spares_by_either() -> None:
    both = {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "Bool": {"aws:SecureTransport": "false"}}
    assert spared(policy(Condition=both)) == (
        "`Guard` holds only where NotIpAddress aws:SourceIp 10.0.0.0/8",
        "`Guard` holds only where Bool aws:SecureTransport false",
    )
    other = {"NumericLessThan": {"s3:max-keys": "10"}, "StringLike": {"s3:prefix": "a"}}
    assert len(spared(policy(Condition=other)) or ()) == 2


@pytest.mark.parametrize(
    ("condition", "bound"),
    [
        ({"Bool": {"aws:SecureTransport": False}}, False),
        ({"BoolIfExists": {"aws:SecureTransport": ["false"]}}, False),
        ({"StringNotEquals": {"aws:SecureTransport": "true"}}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"StringEquals": {"aws:SecureTransport": "false"}, "Bool": {"aws:SecureTransport": "True"}}, True),
    ],
)
def test_a_deny_that_does_not_hold_for_all_plain_http_is_told(condition: Any, bound: bool) -> None:
    assert bool(spared(policy(Condition=condition))) is bound


def test_a_deny_of_writes_by_their_encryption_is_about_writes() -> None:
    unless = {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}
    assert spared(policy(Condition=unless, Action="s3:PutObject", Resource="arn:aws:s3:::reports/*")) == ()


def test_allows_spare_nobody() -> None:
    assert spared(policy(Effect="Allow", Action="s3:GetObject")) == ()


@pytest.mark.parametrize(("text", "found"), [("", ()), ("{", None), ("[]", None)])
def test_no_policy_spares_nothing_and_no_json_is_not_known(text: str, found: Any) -> None:
    assert spared(text) == found
    assert admitted_of(text) == ()


def test_the_networks_that_a_deny_spares_are_let_in() -> None:
    values = {
        "StringNotEqualsIfExists": {"aws:SourceVpce": ["vpce-1", "vpce-2"]},
        "ForAllValues:StringNotLike": {"aws:SourceVpc": "vpc-*"},
        "Null": {"aws:SourceVpce": "true"},
        "StringEquals": {"aws:VpceAccount": "111122223333"},
    }
    assert admitted_of(policy(Condition=values)) == (
        Admitted("Guard", "aws:SourceVpce", "vpce-1"),
        Admitted("Guard", "aws:SourceVpce", "vpce-2"),
        Admitted("Guard", "aws:SourceVpc", "vpc-*"),
    )


def test_where_no_deny_is_about_networks_grants_let_in_what_they_ask_for() -> None:
    granted = {"StringEquals": {"aws:SourceVpce": "vpce-1"}}
    assert admitted_of(policy(Effect="Allow", Condition=granted)) == (Admitted("Guard", "aws:SourceVpce", "vpce-1"),)


GRANTS: list[tuple[dict[str, Any], list[tuple[str, tuple[str, ...]]]]] = [
    ({"Principal": "*", "Action": "s3:GetObject"}, [("*", ("s3:GetObject",))]),
    ({"Principal": {"AWS": ["1", "2"]}, "Action": ["a", "b"]}, [("1", ("a", "b")), ("2", ("a", "b"))]),
    (
        {"Principal": {"AWS": "1", "Service": "x.amazonaws.com"}, "Action": "a"},
        [("1", ("a",)), ("x.amazonaws.com", ("a",))],
    ),
    ({"NotPrincipal": {"AWS": "1"}, "Action": "a"}, [('everybody but {"AWS": "1"}', ("a",))]),
    ({"Principal": "*", "NotAction": ["a", "b"]}, [("*", ("everything but a, b",))]),
    ({"Effect": "Deny", "Principal": "*", "Action": "a"}, []),
]


@pytest.mark.parametrize(("row", "grants"), GRANTS)
def test_whom_a_policy_lets_in_is_listed_one_by_one(
    row: dict[str, Any], grants: list[tuple[str, tuple[str, ...]]]
) -> None:
    text = json.dumps({"Statement": {"Sid": "Grant", "Effect": "Allow", "Resource": "*", **row}})
    assert grants_of(text) == tuple(Granted("Grant", *grant, resources=("*",), any_way=True) for grant in grants)


def test_what_a_grant_asks_a_request_to_say_is_told() -> None:
    conditions = {
        "StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control", "aws:SourceVpce": "vpce-1"},
        "StringLike": {"s3:ExistingObjectTag/team": "red", "s3:x-amz-server-side-encryption": "*"},
    }
    (grant,) = grants_of(policy(Effect="Allow", Condition=conditions))
    assert grant.resources == tuple(WHOLE)
    assert grant.where == (
        "StringEquals s3:x-amz-acl bucket-owner-full-control",
        "StringLike s3:ExistingObjectTag/team red",
    )
    assert grant.near == ("vpce-1",)


@pytest.mark.parametrize(
    ("operator", "key", "value", "told"),
    [
        ("StringNotLike", "aws:UserAgent", "s3vpce/*", True),
        ("DateGreaterThan", "aws:CurrentTime", "2027-01-01T00:00:00Z", True),
        ("StringLike", "aws:Referer", "https://example.com/*", True),
        ("Bool", "aws:MultiFactorAuthPresent", "true", True),
        ("StringEquals", "aws:PrincipalTag/team", "red", True),
        ("StringEquals", "s3:ExistingObjectTag/team", "red", True),
        ("StringEquals", "aws:PrincipalAccount", "444455556666", False),
        ("Bool", "aws:SecureTransport", "true", False),
    ],
)
def test_a_grant_to_some_requests_of_a_callers_is_told(operator: str, key: str, value: str, told: bool) -> None:
    """A probe of the same caller's may not be one of them, nor be about such an object."""
    (grant,) = grants_of(policy(Effect="Allow", Condition={operator: {key: value}}))
    assert grant.where == ((f"{operator} {key} {value}",) if told else ())


@pytest.mark.parametrize("key", ["aws:SourceArn", "aws:SourceAccount"])
def test_a_service_is_asked_for_whom_it_acts(key: str) -> None:
    row = {"Effect": "Allow", "Principal": {"Service": "cloudfront.amazonaws.com"}}
    assert not grants_of(policy(**row))[0].scoped
    assert grants_of(policy(**row, Condition={"StringEquals": {key: "111122223333"}}))[0].scoped
    assert not grants_of(policy(**row, Condition={"StringEqualsIfExists": {key: "111122223333"}}))[0].scoped


@pytest.mark.parametrize(
    ("condition", "where"),
    [
        ({"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}, "StringNotEquals aws:SourceVpce vpce-1"),
        ({"StringEqualsIfExists": {"aws:SourceVpc": "vpc-1"}}, "StringEqualsIfExists aws:SourceVpc vpc-1"),
        ({"Null": {"aws:SourceVpce": "false"}}, "Null aws:SourceVpce false"),
        ({"StringEquals": {"aws:SourceVpce": "vpce-1"}}, ""),
        ({"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}, ""),
    ],
)
def test_a_grant_from_everywhere_but_some_network_is_told(condition: dict[str, Any], where: str) -> None:
    (grant,) = grants_of(policy(Effect="Allow", Condition=condition))
    assert grant.where == ((where,) if where else ())


NEAR = {"StringEquals": {"aws:SourceVpce": "vpce-1"}}


@pytest.mark.parametrize(
    ("granted", "denied", "any_way"),
    [
        (None, None, True),
        (NEAR, None, False),
        (None, ONLY_THERE, False),
        (None, CONDITIONS["tls"], True),
        ({"StringEqualsIfExists": {"aws:SourceVpce": "vpce-1"}}, None, True),
        ({"ForAllValues:StringEquals": {"aws:SourceVpce": "vpce-1"}}, None, True),
        (ONLY_THERE, None, True),
        ({"Null": {"aws:SourceVpce": "true"}}, None, True),
        ({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, None, False),
    ],
)
def test_a_grant_lets_in_by_any_way_where_nothing_asks_for_one(granted: Any, denied: Any, any_way: bool) -> None:
    rows = [json.loads(policy(Effect="Allow", Condition=granted))["Statement"]]
    rows += [json.loads(policy(Condition=denied))["Statement"]] if denied else []
    (grant,) = grants_of(json.dumps({"Statement": rows}))
    assert grant.any_way is any_way


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", set()),
        (policy(Condition=ONLY_THERE), {"aws:sourcevpce"}),
        (policy(Condition=CONDITIONS["a tag"]), {"s3:existingobjecttag"}),
        (policy(Effect="Allow", Condition=NEAR), set()),
        (policy(Condition={"NumericLessThan": {"s3:TlsVersion": "1.2"}}), set()),
        (policy(Condition={"NumericLessThanIfExists": {"s3:TlsVersion": "1.2"}}), {"s3:tlsversion"}),
        (policy(), set()),
    ],
)
def test_what_denies_ask_for_is_told(text: str, keys: set[str]) -> None:
    assert denied_by(text) == keys


class _Bucket:
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def get_bucket_policy(self, **_: str) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"Policy": "{}"}, "{}"),
        (ClientError({"Error": {"Code": "NoSuchBucketPolicy"}}, "GetBucketPolicy"), ""),
        (ClientError({"Error": {"Code": "AccessDenied"}}, "GetBucketPolicy"), None),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1"), None),
    ],
)
def test_a_policy_that_may_not_be_read_is_not_none(answer: Any, text: str | None) -> None:
    assert policy_text(_Bucket(answer), "reports") == text


P1 = "arn:aws:organizations::111122223333:policy/o-1/resource_control_policy/p-1"
PERIMETER = {
    "Sid": "Org",
    "Effect": "Deny",
    "Principal": "*",
    "Action": ["s3:*", "sqs:*"],
    "Resource": "*",
    "Condition": {
        "StringNotEqualsIfExists": {"aws:SourceVpc": "vpc-1"},
        "ArnNotLikeIfExists": {"aws:PrincipalArn": "arn:aws:iam::*:role/break-glass"},
        "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
    },
}
FULL = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}


def under(*statements: Any, bucket: str = "reports") -> list[str] | None:
    levels = ((PolicyRow(name=P1, document={"Statement": list(statements)}),), ())
    found = exemptions_under((*levels, levels[0]), bucket=bucket)
    return None if found is None else list(map(str, found))


def test_what_resource_control_policies_spare_is_told_once_with_their_ids() -> None:
    assert under(FULL, PERIMETER) == [
        "`Org of p-1` holds only where ArnNotLikeIfExists aws:PrincipalArn arn:aws:iam::*:role/break-glass",
        "`Org of p-1` holds only where BoolIfExists aws:PrincipalIsAWSService false",
    ]
    assert under(FULL) == []
    assert exemptions_under((), bucket="reports") == ()
    assert exemptions_under(Unread(unread="you may not"), bucket="reports") is None


@pytest.mark.parametrize(
    ("element", "is_told"),
    [
        ({"Action": "sts:*"}, False),
        ({"Action": "*"}, True),
        ({"Action": "S3:*"}, True),
        ({"Resource": "arn:aws:s3:::others/*"}, False),
        ({"Resource": ["arn:aws:s3:::rep*"]}, True),
        ({"Resource": "arn:aws:s3:::reports/*"}, True),
        ({"Resource": "arn:aws:s3:::reports/2026:*"}, True),
        ({"Resource": "arn:aws:s3:::others/a:reports/*"}, False),
        ({"Resource": "arn:aws:s3:::${aws:PrincipalTag/team}ports/*"}, True),
    ],
)
def test_denies_about_something_else_spare_nothing(element: Any, is_told: bool) -> None:
    assert bool(under({**PERIMETER, **element})) is is_told
