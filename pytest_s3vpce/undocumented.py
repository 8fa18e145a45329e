"""The rules that this project takes for true of AWS although AWS documents them nowhere: the one table of them.

Each names the experiment of `s3vpce calibrate` that settles it, what is assumed until then, and what else may be found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

POLICIES_FIRST: Final = "policies first"
"""The denied caller was denied, the allowed one got an answer of the form's."""
OTHER_ANSWER: Final = "policies first, then another answer"
"""The denied caller was denied, the allowed one got an answer that the form does not list; from then on it counts."""
SAME_ANSWER: Final = "the same answer to both"
"""The form tells nothing: S3 looks at it first."""
UNNAMED: Final = "no policy is named"
_SECONDS: Final = re.compile(r"\d+\.\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Something that is taken for true. `assumed` is its value as long as nobody has looked, empty for a measure."""

    name: str
    experiment: str
    says: str
    assumed: str
    others: tuple[str, ...] = ()
    """What else settles it."""

    def settled_by(self, value: str) -> bool:
        """Whether a value is one that AWS may have; else the experiment met something else, as `503 SlowDown`."""
        return _SECONDS.fullmatch(value) is not None if not self.assumed else value in (self.assumed, *self.others)


def _forms() -> Iterable[Rule]:
    for row in OPERATIONS.values():
        if row.safe is not None and (row.writes or not row.safe.documented):
            yield Rule(
                name=f"form/{row.name}",
                experiment="forms",
                says=f"the safe form of {row.name} is looked at by policies first, then refused: {row.safe.note}",
                assumed=POLICIES_FIRST,
                others=(OTHER_ANSWER, SAME_ANSWER),
            )


def _rules(experiment: str, *rows: tuple[str, str, tuple[str, ...], str]) -> Iterable[Rule]:
    return (
        Rule(name=name, experiment=experiment, says=says, assumed=assumed, others=others)
        for name, assumed, others, says in rows
    )


_FIRST: Final = (OTHER_ANSWER, SAME_ANSWER)
_SENT: Final = ("empty",)
_HAS: Final = ("present",)
_LACKS: Final = ("absent",)
_CREATION: Final = "s3:ObjectCreationOperation of"
STREAMED: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
UNSIGNED: Final = "UNSIGNED-PAYLOAD"


def _creation(operation: str, assumed: str, other: str) -> tuple[str, str, tuple[str, ...], str]:
    return f"key/creation/{operation}", assumed, (other, "absent"), f"{_CREATION} {operation}"


def _message(name: str, value: str, says: str) -> tuple[str, str, tuple[str, ...], str]:
    layer, _, effect = value.partition(" ")
    turned = f"{layer} {'implicit' if effect == 'explicit' else 'explicit'}"
    return f"message/{name}", value, (UNNAMED, turned), says


def _public(key: str, says: str) -> tuple[str, str, tuple[str, ...], str]:
    return f"public/{key}", "public", ("not public",), f"Allow to everybody if {key} is {says}"


_ALL: Final = (
    *_forms(),
    *_rules(
        "order",
        ("order/digest", POLICIES_FIRST, _FIRST, "a body that is not what its Content-MD5 says is refused by policies"),
        ("order/digest-form", POLICIES_FIRST, _FIRST, "a Content-MD5 that is no digest is refused by policies first"),
        ("order/checksum", POLICIES_FIRST, _FIRST, "a body that is not what its x-amz-checksum-crc32 says"),
        (
            "order/payload-hash",
            SAME_ANSWER,
            (POLICIES_FIRST, OTHER_ANSWER),
            "a body that is not what its signed x-amz-content-sha256 says is refused before policies are asked",
        ),
        ("order/read-condition", POLICIES_FIRST, _FIRST, "GetObject under an If-Match that does not hold"),
        (
            "order/kms",
            "KMS first",
            ("conditions first",),
            "PutObject under a KMS key that the caller may not use, and under a condition that does not hold",
        ),
    ),
    *_rules(
        "messages",
        _message("session-explicit", "session explicit", "a denial by a session policy's Deny names it"),
        _message("session-implicit", "session implicit", "a denial by a session policy without an Allow names it"),
        _message("identity-explicit", "identity explicit", "a denial by an identity policy's Deny names it"),
        _message("identity-implicit", "identity implicit", "a denial for want of an identity policy names it"),
        _message("boundary-explicit", "permissions_boundary explicit", "a denial by a boundary's Deny names it"),
        _message(
            "boundary-implicit",
            "permissions_boundary implicit",
            "a denial by a permissions boundary without an Allow names it",
        ),
        _message("resource-explicit", "resource explicit", "a denial by a bucket policy's Deny names it"),
        ("message/policy-arn", "named", ("not named",), "a denial by a managed policy's Deny tells its ARN"),
    ),
    *_rules(
        "keys",
        ("key/prefix-not-sent", "absent", _SENT, "s3:prefix of a listing that sends none"),
        ("key/delimiter-not-sent", "absent", _SENT, "s3:delimiter of a listing that sends none"),
        ("key/max-keys-not-sent", "1000", ("absent",), "s3:max-keys of a listing that sends none"),
        _creation("PutObject", "true", "false"),
        _creation("CopyObject", "true", "false"),
        _creation("CreateMultipartUpload", "true", "false"),
        _creation("CompleteMultipartUpload", "true", "false"),
        _creation("UploadPart", "false", "true"),
        _creation("UploadPartCopy", "false", "true"),
        ("key/content-sha256-presigned", "absent", (UNSIGNED,), "s3:x-amz-content-sha256 of a presigned URL"),
        (
            "key/content-sha256-trailer",
            STREAMED,
            (UNSIGNED, "absent"),
            "s3:x-amz-content-sha256 of an upload whose checksum comes after its body",
        ),
        (
            "key/star-in-variable",
            "wildcard",
            ("letter",),
            "a `*` in the value of a policy variable, under StringLike",
        ),
        (
            "key/star-as-arn",
            "every ARN",
            ("none",),
            "what a lone `*` matches under ArnLike",
        ),
        ("key/location-not-sent", "absent", _SENT, "s3:locationconstraint of a CreateBucket in us-east-1"),
        ("key/resource-account/ListBuckets", "present", _LACKS, "aws:ResourceAccount of ListBuckets"),
        ("key/resource-account/CreateBucket", "present", _LACKS, "aws:ResourceAccount of CreateBucket"),
    ),
    *_rules(
        "asymmetric signatures",
        (
            "key/signature-version-4a",
            "AWS4-ECDSA-P256-SHA256",
            ("AWS4-HMAC-SHA256", "absent"),
            "s3:signatureversion of a request signed with SigV4A",
        ),
    ),
    *_rules(
        "absent keys",
        (
            "absent-key/list-without-get",
            "403",
            ("404",),
            "an absent key, to one who may s3:ListBucket and not s3:GetObject",
        ),
        (
            "absent-key/list-by-prefix",
            "404",
            ("403",),
            "an absent key, to one who may s3:ListBucket where the key is the prefix",
        ),
        ("absent-key/list-elsewhere", "403", ("404",), "an absent key, to one who may s3:ListBucket of another prefix"),
    ),
    *_rules(
        "attributes",
        (
            "attributes/actions",
            "both",
            ("either", "s3:GetObject", "s3:GetObjectAttributes"),
            "whether GetObjectAttributes asks for s3:GetObject, for its own action or both",
        ),
    ),
    *_rules(
        "bucket policies",
        (
            "root-arn/alone",
            "denied",
            ("allowed",),
            "a bucket policy's Allow to its own account's root, to a role without any policy",
        ),
        (
            "everybody/permissions_boundary",
            "allowed",
            ("denied",),
            "a bucket policy's Allow to everybody, to a role whose boundary allows nothing of it",
        ),
        (
            "everybody/session",
            "allowed",
            ("denied",),
            "a bucket policy's Allow to everybody, to a session whose policy allows nothing of it",
        ),
    ),
    *_rules(
        "propagation",
        ("propagation/bucket-policy", "", (), "seconds until a bucket policy was seen to count, at most"),
        ("propagation/role-policy", "", (), "seconds until a role's policy was seen to count, at most"),
        ("propagation/public-access-block", "", (), "seconds until Block Public Access was seen to count, at most"),
    ),
    *_rules(
        "public policies",
        _public("aws:PrincipalArn", "a role"),
        _public("aws:PrincipalAccount", "an account"),
        _public("aws:SourceVpcArn", "a VPC"),
        _public("aws:VpceAccount", "an account"),
        _public("aws:VpceOrgID", "an organization"),
    ),
    *_rules(
        "access points",
        (
            "message/access-point",
            "the access point",
            ("the bucket",),
            "what a denial by way of an access point names as the resource",
        ),
    ),
    *_rules(
        "functions",
        ("function/aws:SourceIp", "present", _LACKS, "aws:SourceIp of a function outside of VPCs"),
        ("function/aws:SourceVpc", "absent", _HAS, "aws:SourceVpc of a function outside of VPCs"),
        ("function/aws:SourceVpce", "absent", _HAS, "aws:SourceVpce of a function outside of VPCs"),
    ),
)
_INSIDE: Final = (
    *_rules(
        "gateways",
        ("http/gateway", "answered", ("no answer",), "port 80 of S3, by way of a gateway endpoint"),
        (
            "http/gateway-transport",
            "false",
            ("true", "absent"),
            "aws:SecureTransport of a request by plain http and a gateway endpoint",
        ),
    ),
    *_rules(
        "endpoints",
        ("http/interface", "answered", ("no answer",), "port 80 of an interface endpoint for S3"),
        _message("endpoint-explicit", "vpc_endpoint explicit", "a denial by an endpoint policy's Deny names it"),
        _message("endpoint-implicit", "vpc_endpoint implicit", "a denial for want of an endpoint policy's Allow"),
        ("propagation/endpoint-policy", "", (), "seconds until an endpoint's policy was seen to count, at most"),
    ),
    *_rules(
        "other Regions",
        (
            "other-region/aws:RequestedRegion",
            "the bucket's",
            ("the endpoint's",),
            "aws:RequestedRegion by an interface endpoint for another Region's S3",
        ),
        *(
            (f"other-region/{key}", "present", _LACKS, f"{key} by an interface endpoint for another Region's S3")
            for key in ("aws:SourceVpc", "aws:SourceVpce", "aws:VpceAccount")
        ),
    ),
)
_ABOVE: Final = (
    *_rules(
        "organizations",
        _message("scp-explicit", "scp explicit", "a denial by a service control policy's Deny names it"),
        _message("scp-implicit", "scp implicit", "a denial for want of a service control policy's Allow names it"),
        _message("rcp-explicit", "rcp explicit", "a denial by a resource control policy's Deny names it"),
        ("propagation/organization-policy", "", (), "seconds until a policy of the organization was seen to count"),
    ),
    *_rules(
        "other accounts",
        (
            "message/endpoint-across-accounts",
            UNNAMED,
            ("vpc_endpoint explicit",),
            "a denial by an endpoint policy's Deny, to another account of the bucket's organization",
        ),
        _message(
            "resource-implicit", "resource implicit", "a denial for want of a bucket policy's Allow, to such an account"
        ),
    ),
)
RULES: Final[Mapping[str, Rule]] = {rule.name: rule for rule in (*_ALL, *_INSIDE, *_ABOVE)}
