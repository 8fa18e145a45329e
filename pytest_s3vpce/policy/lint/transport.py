"""Rules on TLS, and on whom a network fence catches besides those it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.policy.lint.findings import ON_S3, Hit, Kind, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.policy.lint.subject import Row, Subject, Test

_KEYS: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"
_GUIDE: Final = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/"
_LOGIC: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "reference_policies_condition-logic-multiple-context-keys-or-values.html"
)
_FAS: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_forward_access_sessions.html"
_TLS_KEY: Final = "s3:tlsversion"
_SECURE: Final = "aws:securetransport"
_ADDRESS: Final = "aws:sourceip"
_POLICY_ACTIONS: Final = ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy")
_OWNER_KEYS: Final = ("aws:resourceaccount", "s3:resourceaccount", "aws:resourceorgid", "aws:resourceorgpaths")
# https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-s3.html
_AWS_BUCKETS: Final = (
    "amazonlinux",
    "al2023-",
    "repo.",
    "packages.",
    "aws-ssm-",
    "amazon-ssm-",
    "starport-layer-bucket",
    "patch-baseline-snapshot-",
    "amazoncloudwatch-agent",
    "aws-codedeploy-",
    "aws-windows-downloads-",
    "birdwatcher-prod",
)


def _plaintext(test: Test) -> bool:
    """Whether it is met by plain HTTP, and by nothing else."""
    values = {text.lower() for text in test.wanted}
    return test.key == _SECURE and test.name != "Null" and values == ({"true"} if test.negated else {"false"})


def _tls_with_endpoint(subject: Subject) -> Iterator[Hit]:
    for row in subject.denies:
        plain = [test for test in row.tests if _plaintext(test)]
        if plain and row.fences:
            yield Hit(
                row=row,
                path=plain[0].path,
                what=f"one Deny asks for plain HTTP and for another {row.fences[0].shown}",
                consequence="because conditions are ANDed, HTTPS from anywhere and HTTP through the endpoint get by",
                fix="Write two Deny statements, one for each",
            )


def _denies_https(subject: Subject) -> Iterator[Hit]:
    for row in subject.denies:
        for test in row.of(_SECURE):
            if test.positive and test.wanted == ("true",) and len(row.tests) == 1:
                yield Hit(
                    row=row,
                    path=test.path,
                    what="the statement denies where aws:SecureTransport is true",
                    consequence="because of it HTTPS is shut out, and plain HTTP is not",
                    fix='Deny where aws:SecureTransport is "false"',
                )


def _tls_13(subject: Subject) -> Iterator[Hit]:
    if subject.kind is not Kind.ENDPOINT and not subject.reads_endpoints:
        return
    for row in subject.rows:
        elsewhere = any(test.name == "Null" and "true" in test.wanted for test in row.endpoint_tests)
        for test in row.of(_TLS_KEY):
            if _shuts_out_tls_12(test, deny=row.deny) and not elsewhere:
                yield Hit(
                    row=row,
                    path=test.path,
                    what="TLS 1.3 is demanded of clients that come through VPC endpoints",
                    consequence="because S3's interface endpoints speak no TLS 1.3, all who use one are shut out",
                    fix="Demand 1.2, or demand 1.3 only where aws:SourceVpce is absent",
                )


def _shuts_out_tls_12(test: Test, *, deny: bool) -> bool:
    old, new = (test.condition.holds({_TLS_KEY: (version,)}) for version in ("1.2", "1.3"))
    return (old and not new) if deny else (new and not old)


def _tls_without_transport(subject: Subject) -> Iterator[Hit]:
    if any(_plaintext(test) for row in subject.denies for test in row.tests):
        return
    for row in subject.denies:
        for test in row.of(_TLS_KEY):
            if test.positive and not test.absent_meets:
                yield Hit(
                    row=row,
                    path=test.path,
                    what="the statement denies old TLS versions, and no statement denies plain HTTP",
                    consequence="because HTTP has no TLS version, its requests have no such key and are not denied",
                    fix='Add a Deny where aws:SecureTransport is "false"',
                )


def _catches_services(subject: Subject) -> Iterator[Hit]:
    for row in subject.denies:
        fences = [*row.fences, *(test for test in row.of(_ADDRESS) if test.negated)]
        if not fences or not row.for_everybody or row.spares_services:
            continue
        if any(_plaintext(test) for test in row.tests):
            continue  # it is about plain HTTP, which AWS's services do not use
        yield Hit(
            row=row,
            path=fences[0].path,
            what=f"the statement denies by {fences[0].shown} and spares no AWS service",
            consequence="because services that act for you, or as themselves, do not come through your network, "
            "Athena, CloudFormation, log delivery and the like are denied",
            fix='Add "BoolIfExists": {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false"}',
        )


def _locked_out(subject: Subject) -> Iterator[Hit]:
    for row in subject.denies:
        if row.for_everybody and "NotPrincipal" not in row.written and not row.tests and _on_policies(row):
            yield Hit(
                row=row,
                path=row.path,
                what="the statement denies changes of the bucket policy to everybody, always",
                consequence="because of it no administrator can change the policy, the account's root alone can",
                fix="Exempt a role that administers the bucket: ArnNotEquals on aws:PrincipalArn",
            )


def _locked_out_by_network(subject: Subject) -> Iterator[Hit]:
    for row in subject.denies:
        ways_in = row.about_principals or any(row.of(_ADDRESS)) or any(_plaintext(test) for test in row.tests)
        if row.fences and row.for_everybody and not ways_in and _on_policies(row):
            yield Hit(
                row=row,
                path=row.fences[0].path,
                what="the statement denies changes of the bucket policy to everybody outside the network",
                consequence="because no administrator is exempt, a wrong id in it can be mended by root alone",
                fix="Exempt a role that administers the bucket: ArnNotEquals on aws:PrincipalArn",
            )


def _on_policies(row: Row) -> bool:
    """Whether it takes in changes of the bucket policy, as far as its text tells."""
    return any(map(row.covers, _POLICY_ACTIONS)) and (row.places is None or row.places[0])


def _no_aws_buckets(subject: Subject) -> Iterator[Hit]:
    if not subject.allows or any(map(_admits_aws_buckets, subject.allows)):
        return
    yield Hit(
        path=("Statement",),
        what="the endpoint policy lets nobody to buckets that AWS owns",
        consequence="because package repositories, SSM, patches and image layers are in such buckets, hosts behind "
        "the endpoint can't reach them",
        fix="Allow s3:GetObject on those that the hosts need, such as `arn:aws:s3:::al2023-repos-*`",
    )


def _admits_aws_buckets(row: Row) -> bool:
    if any(test.positive for test in row.of(*_OWNER_KEYS)):
        return False
    texts = row.texts("Resource")
    widest = "NotResource" in row.written or any(text in ("*", "arn:aws:s3:::*") for text in texts)
    return widest or any(name in text for text in texts for name in _AWS_BUCKETS)


def _key_behind_endpoint(subject: Subject) -> Iterator[Hit]:
    for row in subject.rows:
        tests = row.fences if row.deny else tuple(test for test in row.endpoint_tests if test.positive)
        spared = row.spares_services or any(row.of("kms:viaservice"))
        if tests and not spared:
            yield Hit(
                row=row,
                path=tests[0].path,
                what=f"the key policy demands {tests[0].shown}",
                consequence="because S3 calls KMS itself for encrypted objects, those requests come through no "
                "endpoint and reading or writing the objects fails",
                fix='Spare them with "BoolIfExists": {"aws:ViaAWSService": "false"}',
            )


_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
_BUCKET: Final = frozenset({Kind.BUCKET})
RULES: Final = (
    Rule(
        "S3V121",
        "tls-with-endpoint",
        _ERROR,
        ON_S3,
        "aws:SecureTransport and an endpoint key in one Deny",
        _LOGIC,
        _tls_with_endpoint,
    ),
    Rule(
        "S3V122",
        "deny-of-https",
        _ERROR,
        ON_S3,
        "Deny where aws:SecureTransport is true",
        _KEYS,
        _denies_https,
    ),
    Rule(
        "S3V123",
        "tls-13-behind-endpoint",
        _WARNING,
        ON_S3,
        "TLS 1.3 demanded of those who come through endpoints",
        _GUIDE + "privatelink-interface-endpoints.html",
        _tls_13,
    ),
    Rule(
        "S3V124",
        "tls-version-without-https",
        _WARNING,
        ON_S3,
        "old TLS versions denied, plain HTTP not",
        _GUIDE + "amazon-s3-policy-keys.html",
        _tls_without_transport,
    ),
    Rule(
        "S3V125",
        "catches-aws-services",
        _WARNING,
        ON_S3 - {Kind.ENDPOINT},
        "a network fence that spares no AWS service",
        _FAS,
        _catches_services,
    ),
    Rule(
        "S3V126",
        "locks-out-all",
        _ERROR,
        _BUCKET,
        "nobody may change the bucket policy",
        _GUIDE + "example-bucket-policies-vpc-endpoint.html",
        _locked_out,
    ),
    Rule(
        "S3V127",
        "locks-out-administrators",
        _WARNING,
        _BUCKET,
        "nobody outside the network may change the bucket policy",
        _GUIDE + "example-bucket-policies-vpc-endpoint.html",
        _locked_out_by_network,
    ),
    Rule(
        "S3V128",
        "no-aws-buckets",
        _NOTE,
        frozenset({Kind.ENDPOINT}),
        "an endpoint policy without the buckets that AWS owns",
        "https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-s3.html",
        _no_aws_buckets,
    ),
    Rule(
        "S3V129",
        "key-behind-endpoint",
        _ERROR,
        frozenset({Kind.KEY}),
        "a key policy that demands an endpoint",
        _FAS,
        _key_behind_endpoint,
    ),
)
