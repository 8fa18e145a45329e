"""Block Public Access and Object Ownership: which policies and ACLs S3 does not take, and which settings count.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-ownership-error-responses.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.resources import PublicAccessBlock
from pytest_s3vpce.lab.s3answers import answered
from pytest_s3vpce.lab.s3grants import TAKERS, read
from pytest_s3vpce.lab.s3words import invalid_value
from pytest_s3vpce.markup import elements
from pytest_s3vpce.policy import parse
from pytest_s3vpce.policy.acl import PUBLIC, group_of
from pytest_s3vpce.policy.layers import ENFORCED
from pytest_s3vpce.policy.public import public_statements

if TYPE_CHECKING:
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.wire import HttpResponse

_OWNERSHIPS: Final = frozenset({ENFORCED, "BucketOwnerPreferred", "ObjectWriter"})
_OWNERSHIP: Final = re.compile(rb"<ObjectOwnership>\s*(\w+)\s*</ObjectOwnership>")
POLICIES_BLOCKED: Final = "because public policies are blocked by the BlockPublicPolicy block public access setting."
_ACLS_BLOCKED: Final = (
    "because public access control lists (ACLs) are blocked by the BlockPublicAcls block public access setting."
)


def effective(*blocks: PublicAccessBlock | None) -> PublicAccessBlock:
    """The strictest of what access point, bucket and account say."""
    rows = [block for block in blocks if block is not None]
    return PublicAccessBlock(
        block_public_acls=any(row.block_public_acls for row in rows),
        ignore_public_acls=any(row.ignore_public_acls for row in rows),
        block_public_policy=any(row.block_public_policy for row in rows),
        restrict_public_buckets=any(row.restrict_public_buckets for row in rows),
    )


def is_public(policy: str, *, fixed: frozenset[str] = frozenset()) -> bool:
    """`fixed` are the keys, besides the documented ones, by which S3 takes a policy for a restricted one."""
    return bool(public_statements(parse(policy, name="resource"), fixed=fixed))


def blocked(asked: S3Request, body: bytes, block: PublicAccessBlock, *, fixed: frozenset[str]) -> str | None:
    """Why a caller who may do this does not, as the end of S3's sentence; None where nothing is in the way."""
    name = asked.name
    if name == "PutBucketPolicy" and block.block_public_policy:
        text = body.decode("utf-8", errors="replace")
        return POLICIES_BLOCKED if is_public(text, fixed=fixed) else None
    return _ACLS_BLOCKED if name in TAKERS and block.block_public_acls and _sets_public_acl(asked, body) else None


def _sets_public_acl(asked: S3Request, body: bytes) -> bool:
    rows = read(asked, body, owner="", home="")
    return any(group_of(row.grantee) in PUBLIC for row in rows)


def check_new_bucket(asked: S3Request) -> None:
    """New buckets have no ACLs, unless the request says so, and Block Public Access in any case.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html
    """
    ownership = asked.parameters.get("ObjectOwnership", ENFORCED)
    if ownership not in _OWNERSHIPS:
        message = f"Invalid x-amz-object-ownership header: {ownership}"
        raise invalid_value(message, name="x-amz-object-ownership", value=str(ownership))
    acl = asked.parameters.get("ACL", "private")
    grants = [name for name in asked.parameters if name.startswith("Grant")]
    if ownership == ENFORCED and (acl != "private" or grants):
        raise acl_against_ownership(asked.bucket or "")
    if _sets_public_acl(asked, b""):
        raise Refused(
            "InvalidBucketAclWithBlockPublicAccessError",
            status=400,
            message="Bucket cannot have public ACLs set with BlockPublicAccess enabled",
            details=(("BucketName", asked.bucket or ""),),
        )


def enforces_ownership(body: bytes) -> bool:
    """Whether PutBucketOwnershipControls switches ACLs off."""
    found = _OWNERSHIP.search(body)
    return found is not None and found[1].decode() == ENFORCED


def acl_against_ownership(bucket: str) -> Refused:
    return Refused(
        "InvalidBucketAclWithObjectOwnership",
        status=400,
        message="Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
        details=(("BucketName", bucket),),
    )


def policy_status(bucket: BucketState, *, fixed: frozenset[str] = frozenset()) -> HttpResponse:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicyStatus.html"""
    if bucket.policy is None:
        raise Refused(
            "NoSuchBucketPolicy",
            status=404,
            message="The bucket policy does not exist",
            details=(("BucketName", bucket.name),),
        )
    return answered("PolicyStatus", elements(IsPublic=str(is_public(bucket.policy, fixed=fixed)).lower()))
