"""What S3 asks of KMS for a request on an object that is encrypted with a key: another question, to the one engine.

S3 calls KMS with the caller's identity, not from the caller's network:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_forward_access_sessions.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.policy.asked import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.policy.asked import Asked
    from pytest_s3vpce.policy.layers import Policies

_ASKED_OF_KMS: Final[Mapping[str, str]] = {
    "s3:getobject": "kms:Decrypt",
    "s3:getobjectversion": "kms:Decrypt",
    "s3:getobjectattributes": "kms:Decrypt",
    "s3:getobjectversionattributes": "kms:Decrypt",
    "s3:listmultipartuploadparts": "kms:Decrypt",
    "s3:putobject": "kms:GenerateDataKey",
}
"""https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html and the pages of the others"""
_KEY: Final = "s3:x-amz-server-side-encryption-aws-kms-key-id"
_ARN: Final = re.compile(r"arn:[^:]+:kms:[^:]+:(\d{12}):.+", re.ASCII)
_NETWORK: Final = frozenset(
    {
        "aws:sourcevpc",
        "aws:sourcevpcarn",
        "aws:sourcevpce",
        "aws:vpcsourceip",
        "aws:vpceaccount",
        "aws:vpceorgid",
        "aws:vpceorgpaths",
    }
)
"""Not kept when S3 calls for somebody: the call does not come through the caller's endpoint."""
_OF_RESOURCE: Final = ("s3:", "aws:resource", "aws:calledvia", "aws:viaawsservice")
_S3: Final = "s3.amazonaws.com"


def question_to_kms(asked: Asked, policies: Policies) -> tuple[Request, Policies] | None:
    """The request to KMS that this one leads to, and what applies to it; None where it leads to none.

    The key's ARN is read from the request's own header key. Where that is missing, its unknown parts are `*`, which
    only wildcards match.
    """
    action = asked.written if asked.action.startswith("kms:") else _ASKED_OF_KMS.get(asked.action)
    if action is None or policies.key is None:
        return None
    own = replace(policies, resource=policies.key, key=None, access_point=None, acl=None, vpc_endpoint=None)
    own = replace(own, restrict_public_buckets=False)
    if asked.action.startswith("kms:"):
        given = Request(
            action=action,
            resource=asked.resource,
            resource_account=asked.resource_account,
            principal=asked.caller.text,
            context=asked.values,
        )
        return given, replace(own, vpc_endpoint=policies.vpc_endpoint)
    key = next(iter(asked.values.get(_KEY, ())), "")
    match = _ARN.fullmatch(key)
    account = match[1] if match else asked.resource_account
    region = next(iter(asked.values.get("aws:requestedregion", ())), "*")
    partition = asked.resource.split(":", 2)[1] if asked.resource.count(":") > 1 else "aws"
    request = Request(
        action=action,
        resource=key if match else f"arn:{partition}:kms:{region}:{account}:key/*",
        resource_account=account,
        principal=asked.caller.text,
        context=_context(asked, region=region),
    )
    return request, own


def _context(asked: Asked, *, region: str) -> dict[str, tuple[str, ...]]:
    """The condition keys that KMS sees; what the request itself says of KMS wins.

    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
    """
    kept = {
        key: value for key, value in asked.values.items() if key not in _NETWORK and not key.startswith(_OF_RESOURCE)
    }
    made: dict[str, tuple[str, ...]] = {
        "aws:viaawsservice": ("true",),
        "aws:calledvia": (_S3,),
        "aws:calledviafirst": (_S3,),
        "aws:calledvialast": (_S3,),
        "kms:encryptioncontext:aws:s3:arn": (asked.resource,),
        "kms:encryptioncontextkeys": ("aws:s3:arn",),
    }
    if region != "*":
        made["kms:viaservice"] = (f"s3.{region}.amazonaws.com",)
    if asked.caller.account is not None:
        made["kms:calleraccount"] = (asked.caller.account,)
    return {**made, **kept}
