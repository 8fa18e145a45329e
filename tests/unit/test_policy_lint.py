"""Lint: each rule finds its mistake and lets the near miss be; good policies are left in peace; nothing is raised."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

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
