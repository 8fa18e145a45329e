"""What S3 says to bucket policies that it would not store."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_s3vpce.policy import validate_bucket_policy

_GOOD: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::b/*",
}
_JSON = "Policies must be valid JSON and the first byte must be '{'"
_SYNTAX = "Invalid policy syntax."
_PRINCIPAL = "Invalid principal in policy"
_ACTION = "Policy has invalid action"
_RESOURCE = "Policy has invalid resource"
_FIT = "Action does not apply to any resource(s) in statement"


def _said(statement: Any, **document: Any) -> str | None:
    text = json.dumps({"Version": "2012-10-17", "Statement": statement, **document})
    return validate_bucket_policy(text, bucket="b")


def _changed(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**_GOOD, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", _JSON),
        ("hello", _JSON),
        ("[]", _JSON),
        ('"x"', _JSON),
        ('{"Statement": NaN}', _JSON),
        ("[" * 10_000, _JSON),
        ("{}", "Missing required field Statement"),
        ('{"foo": 1}', "Unknown field foo"),
        ('{"Version": "2012-10-17", "Statement": []}', "Could not parse the policy: Statement is empty!"),
        ('{"Version": "2013-01-01", "Statement": []}', "The policy must contain a valid version string"),
        ('{"Statement": "x"}', _SYNTAX),
        ('{"Statement": [1]}', _SYNTAX),
        (" " * 20_481, "Policy exceeds the maximum allowed document size."),
        ('{"Id": "' + "é" * 10_240 + '"}', "Policy exceeds the maximum allowed document size."),
    ],
)
def test_document(text: str, message: str) -> None:
    assert validate_bucket_policy(text, bucket="b") == message


@pytest.mark.parametrize("field", ["Effect", "Principal", "Action", "Resource"])
def test_missing_field(field: str) -> None:
    assert _said(_changed(**{field: None})) == f"Missing required field {field}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Effect": "allow"}, "Invalid effect: allow"),
        ({"Effect": ["Allow"]}, _SYNTAX),
        ({"NotEffect": "Allow", "Effect": None}, "Unknown field NotEffect"),
        ({"Foo": 1}, "Unknown field Foo"),
        ({"Sid": 5}, _SYNTAX),
        ({"NotAction": "s3:PutObject"}, _SYNTAX),
        ({"Action": []}, _SYNTAX),
        ({"Action": [1]}, _SYNTAX),
        ({"Action": {}}, _SYNTAX),
        ({"Condition": []}, _SYNTAX),
        ({"Condition": {"StringEquals": "x"}}, _SYNTAX),
        ({"Condition": {"StringEqual": {"a:b": "c"}}}, "Invalid Condition type : StringEqual"),
        ({"Principal": "x"}, _PRINCIPAL),
        ({"Principal": {}}, _PRINCIPAL),
        ({"Principal": []}, _PRINCIPAL),
        ({"Principal": {"Aws": "*"}}, _PRINCIPAL),
        ({"Principal": {"AWS": 1}}, _SYNTAX),
        ({"Principal": {"AWS": "arn:aws:iam::111122223333:role/*"}}, _PRINCIPAL),
        ({"Principal": {"AWS": "arn:aws:iam::111122223333:group/g"}}, _PRINCIPAL),
        ({"Principal": {"AWS": "arn:aws-cn:iam::111122223333:root"}}, _PRINCIPAL),
        ({"Principal": {"AWS": "arn:aws-cn:sts::111122223333:assumed-role/r/s"}}, _PRINCIPAL),
        ({"Principal": {"AWS": "AROAEXAMPLEEXAMPLE"}}, _PRINCIPAL),
        ({"Principal": {"AWS": "11112222333"}}, _PRINCIPAL),
        ({"Principal": {"AWS": ["*", "x"]}}, _PRINCIPAL),
        ({"Principal": {"Service": "*"}}, _PRINCIPAL),
        ({"Principal": {"CanonicalUser": "abc"}}, _PRINCIPAL),
        ({"Principal": None, "NotPrincipal": "*"}, _PRINCIPAL),
        ({"Principal": None, "NotPrincipal": {"AWS": "*"}}, _PRINCIPAL),
        ({"Action": "ec2:RunInstances"}, _ACTION),
        ({"Action": "GetObject"}, _ACTION),
        ({"Action": "s3:GetObjekt"}, _ACTION),
        ({"Action": "s3:ListAllMyBuckets"}, _ACTION),
        ({"Action": ["s3:GetObject", "s3express:CreateSession"]}, _ACTION),
        ({"Resource": "*"}, _RESOURCE),
        ({"Resource": "arn:aws:s3:::*"}, _RESOURCE),
        ({"Resource": "arn:aws:s3:::b2/*"}, _RESOURCE),
        ({"Resource": "arn:aws:s3:::b*"}, _RESOURCE),
        ({"Resource": ["arn:aws:s3:::b/*", "arn:aws-cn:s3:::b/*"]}, _RESOURCE),
        ({"Resource": None, "NotResource": "arn:aws:s3:::c"}, _RESOURCE),
        ({"Resource": "arn:aws:s3:::b"}, _FIT),
        ({"Action": "s3:ListBucket"}, _FIT),
        ({"Action": ["s3:GetObject", "s3:ListBucket"]}, _FIT),
        ({"Action": "s3:GetBucket*"}, _FIT),
    ],
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    assert _said([_GOOD, _changed(**changes)]) == message


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Effect": "Deny"},
        {"Sid": "x"},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"AWS": ["111122223333", "arn:aws:iam::111122223333:root"]}},
        {"Principal": {"AWS": "arn:aws:iam::111122223333:user/a/b@c"}},
        {"Principal": {"AWS": "arn:aws:sts::111122223333:assumed-role/r/s"}},
        {"Principal": {"AWS": "arn:aws:sts::111122223333:federated-user/f"}},
        {"Principal": {"AWS": "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1ABC"}},
        {"Principal": {"Service": ["logging.s3.amazonaws.com", "cloudfront.amazonaws.com"]}},
        {"Principal": {"CanonicalUser": "0a" * 32}},
        {"Principal": None, "NotPrincipal": {"AWS": "111122223333"}},
        {"Action": "*"},
        {"Action": "s3:*"},
        {"Action": "S3:getobject"},
        {"Action": "s3:*Object"},
        {"Action": None, "NotAction": "s3:ListBucket"},
        {"Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]},
        {"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b"},
        {"Resource": "arn:aws:s3:::b/${aws:username}/*"},
        {"Resource": None, "NotResource": "arn:aws:s3:::b/public/*"},
        {"Condition": {"ForAnyValue:StringLikeIfExists": {"a:b": ["c"]}, "Null": {"a:b": True}}},
    ],
)
def test_stored(changes: dict[str, Any]) -> None:
    assert _said(_changed(**changes), Id="x") is None


def test_partition() -> None:
    statement = {
        **_GOOD,
        "Principal": {"AWS": "arn:aws-cn:iam::111122223333:root"},
        "Resource": "arn:aws-cn:s3:::b/*",
    }
    assert validate_bucket_policy(json.dumps({"Statement": statement}), bucket="b", partition="aws-cn") is None


def test_twenty_kilobytes_are_stored() -> None:
    text = json.dumps({"Statement": _GOOD})
    assert validate_bucket_policy(text + " " * (20_480 - len(text)), bucket="b") is None
