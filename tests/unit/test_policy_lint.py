"""Lint: each rule finds its mistake and lets the near miss be; good policies are left in peace; nothing is raised."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_s3vpce import policy as policies
from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.policy.lint import RULES, Kind, Rule, Severity, guess, lint

PAGE = (Path(__file__).parent.parent.parent / "docs" / "lint.md").read_text(encoding="utf-8")
SECTIONS = {
    match[1]: match[0] for match in re.finditer(r"^### (S3V\d{3}) .*?(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
BUCKET = ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]
VPCE = "vpce-0a1b2c3d4e5f60718"
ROLE = "arn:aws:iam::111122223333:role/app"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def deny(condition: dict[str, Any], **others: Any) -> dict[str, Any]:
    row = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": BUCKET, "Condition": condition}
    return {**row, **others}


def allow(condition: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {**deny(condition), "Effect": "Allow", "Action": "s3:GetObject", "Resource": BUCKET[1], **others}


def large(size: int) -> str:
    """A policy of that many characters in all."""
    text = json.dumps(policy(deny({"Bool": {"aws:SecureTransport": "false"}}, Sid="x")))
    return text.replace('"x"', f'"{"x" * (size - len(text) + 1)}"')


def examples(code: str) -> tuple[str, str]:
    """What a rule finds and what it does not, as whole documents: from its section of the page, but for sizes."""
    if code in SIZES:
        return SIZES[code]
    bad, good = re.findall(r"```json\n(.*?)```", SECTIONS[code], re.DOTALL)
    return whole(bad), whole(good)


def whole(block: str) -> str:
    if '"Statement"' in block:
        return block
    return f'{{"Version": "2012-10-17", "Statement": {block}}}'


SIZES = {"S3V004": (large(20_481), large(20_480)), "S3V005": (large(18_500), large(18_400))}


def kind_for(rule: Rule) -> Kind:
    return Kind.BUCKET if Kind.BUCKET in rule.kinds else min(rule.kinds)


def codes(document: Any, kind: Kind = Kind.BUCKET) -> set[str]:
    return {finding.code for finding in lint(document, kind=kind)}


def by_code(rule: Rule) -> str:
    return rule.code


@pytest.mark.parametrize("rule", RULES, ids=by_code)
def test_a_rule_finds_its_mistake_and_not_the_near_miss(rule: Rule) -> None:
    bad, good = examples(rule.code)
    found = [finding for finding in lint(bad, kind=kind_for(rule)) if finding.code == rule.code]
    assert found
    assert rule.code not in codes(good, kind_for(rule))
    for finding in found:
        assert (finding.slug, finding.severity, finding.doc) == (rule.slug, rule.severity, rule.doc)
        assert 1 <= finding.line <= bad.count("\n") + 1
        assert finding.consequence.startswith("because ")
        assert not finding.message.endswith(".")


@pytest.mark.parametrize("rule", RULES, ids=by_code)
def test_a_rule_has_a_section_on_the_page_that_says_what_the_table_says(rule: Rule) -> None:
    section = SECTIONS[rule.code]
    assert section.startswith(f"### {rule.code} {rule.slug}\n")
    assert f"({rule.severity}; kinds: " in section
    assert f"<{rule.doc}>" in section
    assert rule.title.lower() in section.lower()
    assert "Fix: " in section
    assert f"| {rule.slug} | {rule.severity} | {rule.title} |" in PAGE


def test_the_table_is_one_and_the_page_has_no_other_rules() -> None:
    assert len(RULES) >= 25
    assert len({rule.code for rule in RULES}) == len({rule.slug for rule in RULES}) == len(RULES)
    assert list(SECTIONS) == [rule.code for rule in RULES]
    assert all(rule.doc.startswith("https://docs.aws.amazon.com/") for rule in RULES)
    assert all(len(re.findall("```json", SECTIONS[rule.code])) == 2 for rule in RULES if rule.code not in SIZES)


# --- good policies: the idioms of https://github.com/aws-samples/data-perimeter-policy-examples in our words ----------

ORGANIZATION = "o-a1b2c3d4e5"
SPARED = {"BoolIfExists": {"aws:PrincipalIsAWSService": "false", "aws:ViaAWSService": "false"}}
INFRASTRUCTURE = {"ArnNotLikeIfExists": {"aws:PrincipalArn": "arn:aws:iam::*:role/aws:ec2-infrastructure"}}
NETWORK = {
    "NotIpAddressIfExists": {"aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"]},
    "StringNotEqualsIfExists": {
        "aws:SourceVpc": "vpc-0a1b2c3d4e5f60718",
        "aws:PrincipalTag/dp:exclude:network": "true",
        "aws:PrincipalAccount": ["444455556666", "777788889999"],
        "aws:ResourceTag/dp:exclude:network": "true",
    },
    **SPARED,
    **INFRASTRUCTURE,
    "StringEquals": {"aws:PrincipalTag/dp:include:network": "true"},
}
IDENTITY = {
    "StringNotEqualsIfExists": {"aws:PrincipalOrgID": ORGANIZATION, "aws:PrincipalAccount": "444455556666"},
    "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
}
DEPUTY = {
    "StringNotEqualsIfExists": {"aws:SourceOrgID": ORGANIZATION, "aws:SourceAccount": "444455556666"},
    "Null": {"aws:SourceAccount": "false"},
    "Bool": {"aws:PrincipalIsAWSService": "true"},
}
OTHER_REGION = {
    "StringEquals": {"aws:SourceVpc": "vpc-0a1b2c3d4e5f60718"},
    "StringNotEqualsIfExists": {"aws:RequestedRegion": "eu-west-1"},
}
OWN = {"StringEquals": {"aws:PrincipalOrgID": ORGANIZATION, "aws:ResourceOrgID": ORGANIZATION}}
SSE = "s3:x-amz-server-side-encryption"
UPLOADS = {"Action": "s3:PutObject", "Resource": BUCKET[1]}


def without_principal(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "Principal"}


def without_action(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "Action"}


GOOD: dict[str, tuple[Kind, dict[str, Any]]] = {
    "bucket perimeter": (Kind.BUCKET, policy(deny(IDENTITY), deny(NETWORK))),
    "organization's endpoints": (
        Kind.RCP,
        policy(
            deny(
                {
                    "NotIpAddressIfExists": {"aws:SourceIp": "203.0.113.0/24"},
                    "StringNotEqualsIfExists": {"aws:VpceOrgID": ORGANIZATION},
                    **SPARED,
                    **INFRASTRUCTURE,
                },
                Resource="*",
            )
        ),
    ),
    "resource control": (
        Kind.RCP,
        policy(*(deny(condition, Resource="*") for condition in (IDENTITY, NETWORK, DEPUTY, OTHER_REGION))),
    ),
    "service control": (
        Kind.SCP,
        policy(*(without_principal(deny(condition, Resource="*")) for condition in (NETWORK, OTHER_REGION))),
    ),
    "endpoint": (
        Kind.ENDPOINT,
        policy(
            allow(OWN, Action="*", Resource="*"),
            allow({"Bool": {"aws:PrincipalIsAWSService": "true"}}, Action="*", Resource="*"),
            allow(
                {},
                Action=["s3:GetObject"],
                Resource=["arn:aws:s3:::amazonlinux-2-repos-eu-west-1/*", "arn:aws:s3:::x/*"],
            ),
        ),
    ),
    "default endpoint": (
        Kind.ENDPOINT,
        {"Statement": [{"Action": "*", "Effect": "Allow", "Principal": "*", "Resource": "*"}]},
    ),
    "TLS only": (
        Kind.BUCKET,
        policy(deny({"Bool": {"aws:SecureTransport": "false"}}), deny({"NumericLessThan": {"s3:TlsVersion": "1.2"}})),
    ),
    "encryption demanded": (
        Kind.BUCKET,
        policy(deny({"StringNotEquals": {SSE: "aws:kms"}}, **UPLOADS), deny({"Null": {SSE: "true"}}, **UPLOADS)),
    ),
    "no customer keys": (
        Kind.BUCKET,
        policy(deny({"Null": {f"{SSE}-customer-algorithm": "false"}}, **UPLOADS)),
    ),
    "conditional writes": (Kind.BUCKET, policy(deny({"Null": {"s3:if-none-match": "true"}}, **UPLOADS))),
    "home folders": (
        Kind.IDENTITY,
        policy(
            {
                "Effect": "Allow",
                "Action": ["s3:ListAllMyBuckets", "s3:GetBucketLocation"],
                "Resource": "arn:aws:s3:::*",
            },
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": BUCKET[0],
                "Condition": {"StringLike": {"s3:prefix": ["", "home/", "home/${aws:username}/*"]}},
            },
            {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::b/home/${aws:username}/*"},
        ),
    ),
    "replication": (
        Kind.IDENTITY,
        policy(
            {
                "Effect": "Allow",
                "Action": [
                    "s3:ReplicateObject",
                    "s3:ReplicateDelete",
                    "s3:ReplicateTags",
                    "s3:GetObjectVersionTagging",
                ],
                "Resource": BUCKET[1],
                "Condition": {"StringLikeIfExists": {SSE: ["aws:kms", "AES256"]}},
            }
        ),
    ),
    "resource perimeter": (
        Kind.SCP,
        policy(
            {
                "Effect": "Deny",
                "Action": "*",
                "NotResource": [
                    "arn:aws:iam::aws:policy/*",
                    "arn:aws:s3:::aws-neptune-notebook",
                    "<third-party-resource>",
                ],
                "Condition": {
                    "StringNotEqualsIfExists": {"aws:ResourceOrgID": ORGANIZATION, "ec2:Owner": "amazon"},
                    "ForAllValues:StringNotEquals": {"aws:CalledVia": "dataexchange.amazonaws.com"},
                },
            },
            {
                "Effect": "Deny",
                "Action": "*",
                "Resource": "*",
                "Condition": {
                    "StringNotEqualsIfExists": {"aws:PrincipalTag/team": "admin"},
                    "ForAnyValue:StringLike": {"aws:TagKeys": ["dp:*", "team"]},
                },
            },
        ),
    ),
    "instances only from the network": (
        Kind.SCP,
        policy(
            without_principal(
                deny({**NETWORK, "Null": {"ec2:SourceInstanceARN": "false"}}, Action="*", Resource="*", Sid="Ec2")
            )
        ),
    ),
    "key behind the network": (Kind.KEY, policy(deny(NETWORK, Action="kms:*", Resource="*"))),
    "log delivery": (
        Kind.BUCKET,
        policy(
            {
                "Effect": "Allow",
                "Principal": {"Service": "logging.s3.amazonaws.com"},
                "Action": "s3:PutObject",
                "Resource": BUCKET[1],
                "Condition": {
                    "ArnLike": {"aws:SourceArn": "arn:aws:s3:::source"},
                    "StringEquals": {"aws:SourceAccount": "111122223333"},
                },
            }
        ),
    ),
    "CloudFront": (
        Kind.BUCKET,
        policy(
            allow(
                {"StringEquals": {"AWS:SourceArn": "arn:aws:cloudfront::111122223333:distribution/E1"}},
                Principal={"Service": "cloudfront.amazonaws.com"},
            )
        ),
    ),
    "access point": (
        Kind.BUCKET,
        policy(
            {
                "Effect": "Allow",
                "Principal": {"AWS": ROLE},
                "Action": ["s3:GetObject", "s3:ListBucket"],
                "Resource": [
                    "arn:aws:s3:eu-west-1:111122223333:accesspoint/app",
                    "arn:aws:s3:eu-west-1:111122223333:accesspoint/app/object/*",
                ],
            }
        ),
    ),
    "delegation to access points": (
        Kind.BUCKET,
        policy(allow({"StringEquals": {"s3:DataAccessPointAccount": "111122223333"}}, Resource=BUCKET, Action="*")),
    ),
    "key for S3": (
        Kind.KEY,
        policy(
            {
                "Effect": "Allow",
                "Principal": {"AWS": ROLE},
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": "*",
                "Condition": {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}},
            }
        ),
    ),
    "trust": (
        Kind.TRUST,
        policy(
            {
                "Effect": "Allow",
                "Principal": {
                    "Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
                },
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"},
                    "StringLike": {"token.actions.githubusercontent.com:sub": "repo:a/b:*"},
                },
            }
        ),
    ),
    "MFA": (
        Kind.BUCKET,
        policy(deny({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}, Action="s3:Delete*")),
    ),
    "untagged": (
        Kind.SESSION,
        policy(
            {
                "Effect": "Deny",
                "Action": ["s3:PutObject", "s3:PutObjectTagging"],
                "Resource": "*",
                "Condition": {"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": "secret"}},
            }
        ),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_policies_are_left_in_peace(name: str) -> None:
    kind, document = GOOD[name]
    assert [f for f in lint(document, kind=kind) if f.severity is not Severity.NOTE] == []


@pytest.mark.parametrize("name", GOOD)
def test_the_kind_is_guessed(name: str) -> None:
    kind, document = GOOD[name]
    guessed = {Kind.SCP: Kind.IDENTITY, Kind.SESSION: Kind.IDENTITY}.get(kind, kind)
    assert guess(document) is guessed


# --- where each rule begins and ends ----------------------------------------------------------------------------------

FENCE = {"StringNotEquals": {"aws:SourceVpce": VPCE}}
OTHER_FENCE = {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}
ADDRESSES = {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
PLAIN = {"Bool": {"aws:SecureTransport": "false"}}
ABSENT = {"Null": {"aws:SourceVpce": "true"}}
KMS = f"{SSE}-aws-kms-key-id"
PATHS = "aws:PrincipalOrgPaths"


def tls(operator: str, version: str = "1.3", others: dict[str, Any] | None = None) -> dict[str, Any]:
    return deny({operator: {"s3:TlsVersion": version}, **(others or {})})


FINDS: list[tuple[str, dict[str, Any]]] = [
    ("S3V002", {"Version": "2012-10-17"}),
    ("S3V002", policy({"Effect": "Allow"}, *[{}] * 2)),
    ("S3V003", policy()),
    ("S3V101", policy(deny({"StringEqualsIfExists": {"aws:SourceVpc": "vpc-1"}}))),
    ("S3V103", policy(deny({"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24", "172.20.0.0/16"]}}))),
    ("S3V103", policy(deny({"NotIpAddress": {"aws:SourceIp": "fd00::/8"}}))),
    ("S3V105", policy(deny(FENCE), deny(OTHER_FENCE))),
    ("S3V105", policy(deny(FENCE), deny({**ADDRESSES, **SPARED}, Action="s3:GetObject"))),
    ("S3V105", policy(deny(FENCE, Action="s3:GetObject"), deny(ADDRESSES))),
    ("S3V106", policy(deny({"StringNotEquals": {"aws:SourceVpc": VPCE}}))),
    ("S3V121", policy(deny({**FENCE, "StringNotEqualsIgnoreCase": {"aws:SecureTransport": "true"}}))),
    ("S3V123", policy(deny(FENCE), tls("NumericLessThanEquals", "1.2"))),
    ("S3V123", policy(deny(FENCE), tls("NumericNotEquals"))),
    ("S3V123", policy(deny(FENCE), allow({"NumericGreaterThanEquals": {"s3:TlsVersion": "1.3"}}))),
    ("S3V125", policy(deny(ADDRESSES))),
    ("S3V126", policy(deny({}))),
    ("S3V126", policy({**without_action(deny({})), "NotAction": "s3:GetObject"})),
    ("S3V201", policy(deny({"StringNotEquals": {"SourceVpce": VPCE}}))),
    ("S3V201", policy(deny({"StringNotEquals": {"aws.SourceVpce": VPCE}}))),
    ("S3V201", policy(deny({"StringNotEquals": {"aws:NoSuchKeyAtAll": "x"}}))),
    ("S3V201", policy(deny({"StringNotEquals": {"aws:PrincipalTag": "x"}}))),
    ("S3V201", policy(deny({"StringNotEquals": {"aws:SourceVpce/x": "x"}}))),
    ("S3V202", policy(deny({"StringNotEquals": {SSE: "AES256"}}, Action=["s3:PutObject", "s3:GetObject"]))),
    ("S3V202", policy(deny({"StringEquals": {"s3:x-amz-acl": "public-read"}}, Action="s3:GetObject"))),
    ("S3V206", policy(deny({"ForAnyValue:StringNotEquals": {"aws:TagKeys": "x"}}))),
    ("S3V207", policy(deny({"Null": {SSE: "true"}, "StringEquals": {SSE: "AES256"}}))),
    ("S3V221", policy(deny({"StringEquals": {"aws:PrincipalTag/a": "x?"}}))),
    ("S3V224", policy(deny({"Bool": {"s3:x-amz-acl": "private"}}))),
    ("S3V225", policy(deny({"ArnNotLike": {"aws:PrincipalArn": "role/app"}}))),
    ("S3V225", policy(deny({"DateLessThan": {"aws:CurrentTime": "tomorrow"}}))),
    ("S3V225", policy(deny({"NumericLessThan": {"s3:TlsVersion": "TLSv1.2"}}))),
    ("S3V225", policy(deny({"Bool": {"aws:SecureTransport": "no"}}))),
    ("S3V225", policy(deny({"Null": {"aws:SourceVpce": "yes"}}))),
    ("S3V226", policy(deny({"StringNotEquals": {"aws:PrincipalOrgID": "a1b2c3d4e5"}}))),
    ("S3V313", policy(allow({}, Action="s3:GetObjekt"))),
    ("S3V313", policy(allow({}, Action="s3:Xyzzy*"))),
    ("S3V321", policy(allow({}, Action="s3:GetObject", Resource=BUCKET[0]))),
    ("S3V322", policy(deny(PLAIN, Resource=BUCKET[0]))),
]
SPARES: list[tuple[str, dict[str, Any]]] = [
    ("S3V003", policy(allow({}, Resource="arn:aws:s3:eu-west-1:111122223333:accesspoint/a/object/*"))),
    ("S3V101", policy(deny({"StringEquals": {"aws:SourceVpce": VPCE, "aws:PrincipalTag/a": "x"}}))),
    ("S3V102", policy(allow({"IpAddressIfExists": {"aws:SourceIp": "203.0.113.0/24"}}, Resource="*"))),
    ("S3V103", policy(deny({"NotIpAddress": {"aws:SourceIp": ["0.0.0.0/0", "2001:db8::/32", "nonsense"]}}))),
    (
        "S3V104",
        policy(allow({"IpAddressIfExists": {"aws:SourceIp": "203.0.113.7"}, "StringEquals": {"aws:SourceVpce": VPCE}})),
    ),
    ("S3V105", policy(deny(FENCE), deny(FENCE))),
    ("S3V105", policy(deny(FENCE), deny({"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}))),
    ("S3V105", policy(deny(FENCE), deny({"StringNotLike": {"aws:SourceVpce": "vpce-*"}}))),
    ("S3V105", policy(deny(FENCE, Action="s3:GetObject"), deny(ADDRESSES, Action="s3:PutObject"))),
    ("S3V105", policy(deny(FENCE), deny({**OTHER_FENCE, "StringEquals": {"aws:PrincipalAccount": "111122223333"}}))),
    ("S3V105", policy(deny(FENCE), deny(OTHER_FENCE, Principal={"AWS": ROLE}))),
    ("S3V106", policy(deny({"Null": {"aws:SourceVpce": "vpc-1"}}))),
    ("S3V107", policy(allow({"StringEqualsIfExists": {"aws:SourceVpce": VPCE}, "Null": {"aws:SourceVpce": "false"}}))),
    ("S3V123", policy(tls("NumericLessThan"))),
    ("S3V123", policy(deny(FENCE), tls("NumericLessThan", others=ABSENT))),
    ("S3V123", policy(deny(FENCE), tls("NumericLessThan", "new"))),
    ("S3V124", policy(tls("NumericLessThanIfExists"))),
    ("S3V124", policy(tls("NumericNotEquals"))),
    ("S3V125", policy(deny({**FENCE, **PLAIN}))),
    ("S3V125", policy(deny(FENCE, Principal={"AWS": ROLE}))),
    ("S3V126", policy(deny({}, Resource=BUCKET[1]))),
    ("S3V126", policy(deny({}, Action="s3:GetObject"))),
    ("S3V126", policy(without_action(deny({})))),
    ("S3V127", policy(deny({**FENCE, **ADDRESSES}))),
    ("S3V127", policy(deny(FENCE, Action="s3:GetObject"))),
    ("S3V201", policy(deny({"StringNotEquals": {"saml:aud": "x", "oidc.example.com:sub": "x"}}))),
    ("S3V202", policy(deny({"StringEquals": {"s3:x-amz-acl": "private"}}, Action=["s3:PutObject", "s3:GetObject"]))),
    (
        "S3V202",
        policy(
            deny({"StringNotEquals": {SSE: "AES256"}, "Null": {SSE: "false"}}, Action=["s3:GetObject", "s3:PutObject"])
        ),
    ),
    ("S3V202", policy(deny({"StringNotEquals": {SSE: "AES256"}}, Action=["*", "kms:Decrypt", "s3:Nonsense"]))),
    ("S3V203", policy(deny({"ForAllValues:StringEquals": {"aws:TagKeys": "x"}}))),
    ("S3V205", policy(deny({"Null": {PATHS: "true"}}))),
    ("S3V206", policy(deny({"ForAnyValue:StringNotEqualsIfExists": {PATHS: "x"}}))),
    ("S3V207", policy(deny({"Null": {SSE: "true", KMS: "true"}}))),
    ("S3V208", policy(deny({"StringEquals": {SSE: "AES256"}}, Action="s3:PutObject"))),
    ("S3V208", policy(deny({"StringNotEquals": {SSE: "AES256"}}, Action="s3:GetObject"))),
    ("S3V209", policy(deny({"Null": {KMS: "true"}}))),
    ("S3V221", policy(deny({"StringEquals": {"aws:PrincipalTag/a": "x${*}"}}))),
    ("S3V224", policy(deny({"StringNotLike": {"aws:PrincipalArn": ROLE}, "Null": {"aws:SourceIp": "true"}}))),
    ("S3V224", policy(deny({"DateGreaterThan": {"aws:EpochTime": "2030-01-01"}}))),
    ("S3V225", policy(deny({"ArnLike": {"aws:PrincipalArn": ["*", ROLE, "${aws:PrincipalArn}", "<arn>"]}}))),
    ("S3V226", policy(deny({"StringNotEquals": {"aws:PrincipalAccount": ["anonymous", "<account>"]}}))),
    ("S3V226", policy(deny({"StringNotLike": {"aws:PrincipalOrgID": "o-*"}}))),
    ("S3V306", policy({"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "sts:AssumeRole"})),
    ("S3V313", policy(allow({}, Action=["s3:*", "s3:getobject", "S3:ListAllMyBuckets", "kms:Nonsense"]))),
    ("S3V321", policy(allow({}, Action=["s3:List*", "kms:Decrypt"], Resource="*"))),
    ("S3V321", policy(allow({}, Action=["s3:ListBucket", "s3:GetObject"], Resource="arn:aws:s3:::b*"))),
    ("S3V322", policy(deny({}, Resource=BUCKET[1]))),
    ("S3V322", policy(deny(PLAIN, Resource=BUCKET[1], Action="s3:GetObject"))),
    ("S3V324", policy(allow({}, Resource=["*", "arn:aws:s3:*:*:b", "arn:aws:s3:::b"]))),
    ("S3V325", policy(allow({}, Resource="a/"))),
    ("S3V326", policy(allow({}, Action="s3:ListAllMyBuckets", Resource=["*"]))),
]


def rule_of(code: str) -> Rule:
    return next(rule for rule in RULES if rule.code == code)


@pytest.mark.parametrize(("code", "document"), FINDS)
def test_more_that_is_found(code: str, document: dict[str, Any]) -> None:
    assert code in codes(document, kind_for(rule_of(code)))


@pytest.mark.parametrize(("code", "document"), SPARES)
def test_more_that_is_left_in_peace(code: str, document: dict[str, Any]) -> None:
    assert code not in codes(document, kind_for(rule_of(code)))


@pytest.mark.parametrize(
    ("condition", "fix"),
    [
        ({"StringNotEquals": {"aws:SourceVpcEndpoint": VPCE}}, "Did you mean `aws:SourceVpce`?"),
        ({"StringNotEquals": {"s3:SourceVpce": VPCE}}, "Did you mean `aws:SourceVpce`?"),
        ({"StringNotEquals": {"Prefix": "x"}}, "Did you mean `s3:prefix`?"),
        ({"StringNotEquals": {"asw:sourceip": "x"}}, "Did you mean `aws:SourceIp`?"),
        ({"StringNotEquals": {"s3:quite-another-thing": "x"}}, "See the keys that AWS documents"),
    ],
)
def test_a_misspelt_key_gets_a_suggestion(condition: dict[str, Any], fix: str) -> None:
    (found,) = [finding for finding in lint(policy(deny(condition)), kind=Kind.BUCKET) if finding.code == "S3V201"]
    assert found.fix == fix


@pytest.mark.parametrize(
    ("action", "fix"),
    [
        ("s3:HeadObject", "That is an operation; its action is s3:GetObject"),
        ("s3:GetObjects", "Did you mean `s3:getobject` (case does not matter)?"),
        ("s3:Xyzzy", "See the actions that AWS documents"),
    ],
)
def test_a_name_that_is_no_action_gets_a_suggestion(action: str, fix: str) -> None:
    (found,) = [finding for finding in lint(policy(allow({}, Action=action))) if finding.code == "S3V313"]
    assert found.fix == fix


# --- places, texts, anything ------------------------------------------------------------------------------------------


def test_findings_stand_in_the_order_of_the_lines_with_statement_and_place() -> None:
    text = json.dumps(policy(deny(PLAIN, Sid="Tls"), deny(FENCE, Resource=BUCKET[1])), indent=2)
    found = lint(text, kind=Kind.BUCKET)
    assert [(finding.code, finding.statement, finding.line) for finding in found] == [
        ("S3V322", "statement 1", 23),
        ("S3V125", "statement 1", 26),
    ]
    assert text.splitlines()[22].strip().startswith('"Resource"')
    assert text.splitlines()[25].strip().startswith('"aws:SourceVpce"')


def test_what_is_no_policy_stands_where_the_fault_is() -> None:
    text = '{"Version": "2012-10-17",\n "Statement": [{"Effect": "Allow", "Principal": "*",\n  "Effekt": 1}]}'
    (found, *_) = [finding for finding in lint(text, kind=Kind.BUCKET) if finding.code == "S3V002"]
    assert (found.line, found.what) == (3, "statement 0: element `Effekt` is unknown")


@pytest.mark.parametrize(
    ("kind", "size", "code"),
    [
        (Kind.IDENTITY, 6144, None),
        (Kind.IDENTITY, 6145, "S3V005"),
        (Kind.IDENTITY, 10_241, "S3V004"),
        (Kind.SCP, 4608, None),
        (Kind.SCP, 4609, "S3V005"),
        (Kind.SCP, 5120, "S3V005"),
        (Kind.RCP, 5121, "S3V004"),
        (Kind.SESSION, 2049, "S3V004"),
        (Kind.BOUNDARY, 6145, "S3V004"),
        (Kind.KEY, 20_481, None),
        (Kind.ENDPOINT, 20_481, "S3V004"),
    ],
)
def test_each_kind_has_its_limit(kind: Kind, size: int, code: str | None) -> None:
    text = large(size)
    spaces = text.count(": ") + text.count(", ")
    text = large(size + spaces) if kind in {Kind.IDENTITY, Kind.SCP, Kind.RCP, Kind.SESSION, Kind.BOUNDARY} else text
    assert codes(text, kind) & {"S3V004", "S3V005"} == ({code} if code else set())


def test_a_mapping_has_no_lines() -> None:
    found = lint(policy(deny(FENCE)), kind=Kind.BUCKET)
    assert {(finding.line, finding.column) for finding in found} == {(0, 0)}


def test_one_statement_needs_no_list() -> None:
    assert "S3V125" in codes({"Version": "2012-10-17", "Statement": deny(FENCE)})


def test_a_key_that_is_given_twice_does_not_hide_the_rest() -> None:
    text = json.dumps(policy(deny(FENCE))).replace('"Effect"', '"Effect": "Allow", "Effect"', 1)
    found = lint("\ufeff" + text, kind=Kind.BUCKET, name="b.json")
    assert {finding.code for finding in found} == {"S3V001", "S3V125", "S3V127"}
    assert found[0].what == "key `Effect` is given twice, first on line 1"


def test_what_is_not_json_is_an_error_with_its_place() -> None:
    with pytest.raises(PolicyError, match=r"^b\.json:1:2: a policy must be JSON: "):
        lint("{x", name="b.json")


def test_odd_parts_are_passed_over_and_the_rest_is_read() -> None:
    row = deny(FENCE, Resource=[*BUCKET, 7, None])
    row["Condition"] = {**row["Condition"], "NoSuchOperator": {"aws:SourceVpce": "x"}, "Bool": {"x:y": [None, {}]}}
    found = codes({"Version": "2012-10-17", "Statement": [7, "x", row]})
    assert {"S3V002", "S3V003", "S3V125", "S3V227"} <= found


def test_the_package_exports_it_and_takes_kinds_as_words() -> None:
    found = policies.lint(policy(deny(FENCE)), kind="bucket")
    assert all(isinstance(finding, policies.Finding) for finding in found)
    assert {finding.code for finding in found} == {"S3V125", "S3V127"}
    with pytest.raises(PolicyError, match="there is no policy kind `bukket`; kinds are bucket, endpoint, "):
        policies.lint(policy(), kind="bukket")


def test_one_rule_says_no_more_than_enough() -> None:
    document = policy(allow({}, Action=[f"s3:Nonsense{number}" for number in range(1000)]))
    assert sum(finding.code == "S3V313" for finding in lint(document)) == 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OPERATORS = st.sampled_from(
    ["StringEquals", "StringNotLike", "Bool", "Null", "IpAddress", "ArnLike", "Numeric", "ForAllValues:StringLike"]
)
CONDITION_KEYS = st.sampled_from(
    ["aws:SourceVpce", "aws:SourceIp", "aws:SecureTransport", "s3:TlsVersion", SSE, PATHS, "x"]
)
STATEMENT = st.fixed_dictionaries(
    {},
    optional={
        "Sid": JSON,
        "Effect": st.sampled_from(["Allow", "Deny"]) | JSON,
        "Principal": st.just("*") | st.dictionaries(st.sampled_from(["AWS", "Service"]), JSON, max_size=2) | JSON,
        "NotPrincipal": JSON,
        "Action": st.sampled_from(["s3:*", "s3:PutObject", ["s3:ListBucket", "s3:GetObject"]]) | JSON,
        "NotAction": JSON,
        "Resource": st.sampled_from([BUCKET, "*", "arn:aws:s3:::b/"]) | JSON,
        "Condition": st.dictionaries(OPERATORS, st.dictionaries(CONDITION_KEYS, JSON, max_size=2) | JSON, max_size=2)
        | JSON,
        "else": JSON,
    },
)
DOCUMENT = st.fixed_dictionaries(
    {"Statement": st.lists(STATEMENT, max_size=3) | STATEMENT | JSON}, optional={"Version": JSON}
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=DOCUMENT | JSON.filter(lambda value: not isinstance(value, str)), kind=st.sampled_from([None, *Kind]))
def test_anything_that_is_json_gets_findings_and_no_exception(document: Any, kind: Kind | None) -> None:
    text = json.dumps(document)
    found = lint(text, kind=kind)
    assert all(finding.line >= 1 and finding.message for finding in found)
    assert {finding.code for finding in lint(document, kind=kind)} == {finding.code for finding in found}


@pytest.mark.parametrize(
    "document",
    [
        policy(allow({}, Action=[f"s3:G{number}" for number in range(2000)])),
        policy(*[deny({"StringNotEquals": {"aws:SourceVpce": f"vpce-{number}"}}) for number in range(100)]),
        policy(deny({"StringNotEquals": {f"aws:K{number}": "x" for number in range(1200)}})),
        policy(allow({}, Resource=[f"b{number}" for number in range(2000)])),
        policy(allow({}, Action=["s3:" + "*a" * 100] * 50)),
    ],
)
def test_no_policy_of_20_kb_takes_long(document: dict[str, Any]) -> None:
    begin = time.perf_counter()
    lint(document, kind=Kind.BUCKET)
    assert time.perf_counter() - begin < 3


# --- what a finding says will happen, happens in the engine -----------------------------------------------------------

ENDPOINT = {"aws:sourcevpce": (VPCE,)}
ADDRESS = {"aws:sourceip": ("203.0.113.9",)}
VPC_ADDRESS = {"aws:vpcsourceip": ("10.0.3.4",), "aws:sourcevpc": ("vpc-0a1b2c3d4e5f60718",)}
CALLER = {"aws:viaawsservice": ("false",), "aws:principalisawsservice": ("false",)}
ADMINISTRATOR = {**ADDRESS, **CALLER, "aws:principalarn": ("arn:aws:iam::111122223333:role/admin",)}
HTTPS = {"aws:securetransport": ("true",), "s3:tlsversion": ("1.2",)}
HTTP = {"aws:securetransport": ("false",)}


@pytest.mark.parametrize(
    ("code", "action", "resource", "context", "bad", "good"),
    [
        ("S3V101", "s3:getobject", "reports/k", ENDPOINT, True, False),
        ("S3V101", "s3:getobject", "reports/k", ADDRESS, False, True),
        ("S3V102", "s3:getobject", "reports/k", {**ENDPOINT, **VPC_ADDRESS}, False, True),
        ("S3V104", "s3:getobject", "reports/k", ENDPOINT, False, True),
        ("S3V104", "s3:getobject", "reports/k", ADDRESS, False, True),
        ("S3V105", "s3:getobject", "reports/k", ENDPOINT, True, False),
        ("S3V105", "s3:getobject", "reports/k", ADDRESS, True, False),
        ("S3V107", "s3:getobject", "reports/k", ADDRESS, True, False),
        ("S3V108", "s3:getobject", "reports/k", ADDRESS, True, False),
        ("S3V121", "s3:getobject", "reports/k", {**ENDPOINT, **HTTP}, False, True),
        ("S3V121", "s3:getobject", "reports/k", {**ADDRESS, **HTTPS, **CALLER}, False, True),
        ("S3V122", "s3:getobject", "reports/k", HTTPS, True, False),
        ("S3V122", "s3:getobject", "reports/k", HTTP, False, False),
        ("S3V123", "s3:getobject", "reports/k", {**ENDPOINT, **HTTPS}, True, False),
        ("S3V124", "s3:getobject", "reports/k", HTTP, False, True),
        ("S3V125", "s3:getobject", "reports/k", {"aws:viaawsservice": ("true",)}, True, False),
        ("S3V127", "s3:putbucketpolicy", "reports", ADMINISTRATOR, True, False),
        ("S3V202", "s3:getobject", "reports/home/k", {}, False, False),
        ("S3V203", "s3:putobject", "reports/k", {}, True, False),
        ("S3V206", "s3:getobject", "reports/k", {}, False, True),
        ("S3V207", "s3:putobject", "reports/k", {SSE: ("AES256",)}, False, True),
        ("S3V208", "s3:putobject", "reports/k", {}, True, False),
        ("S3V223", "s3:getobject", "reports/eva/k", {"aws:username": ("eva",)}, False, True),
        ("S3V225", "s3:getobject", "reports/k", {"aws:sourceip": ("203.0.113.7",)}, True, False),
        ("S3V321", "s3:listbucket", "reports", {}, False, True),
        ("S3V322", "s3:listbucket", "reports", HTTP, False, True),
        ("S3V325", "s3:getobject", "reports/2026/k", {}, False, True),
    ],
)
def test_what_a_finding_says_will_happen_does(
    *, code: str, action: str, resource: str, context: dict[str, tuple[str, ...]], bad: bool, good: bool
) -> None:
    for text, matches in zip(examples(code), (bad, good), strict=True):
        statements = policies.parse(text).statements
        assert any(row.covers(action, f"arn:aws:s3:::{resource}", context) for row in statements) is matches
