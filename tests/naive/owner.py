"""What the owner's side says: bucket policy, access point policy, key policy, ACL, Block Public Access."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.naive.patterns import lookup
from tests.naive.public import is_public
from tests.naive.statements import ALLOW, DENY, SILENT, named_effect, names

if TYPE_CHECKING:
    from tests.naive.layers import Asked
    from tests.naive.patterns import Json

WORTH = (SILENT, "delegates", "grants", "passes")
"""What an Allow is worth in one account: nothing, it hands the question on to the account's identity policies, it
grants within boundary and session policy, it passes them."""

OWN_POLICY = ("s3:getbucketpolicy", "s3:putbucketpolicy", "s3:deletebucketpolicy")


def resource(asked: Asked) -> str:
    """DENY, or what the Allow of all the policies on the way is worth: the bucket's, the access point's, the key's."""
    if asked.action.lower().startswith("kms:") and asked.policies.get("key") is not None:
        return document(asked, asked.policies["key"])
    bucket, point = document(asked, asked.policies.get("resource")), SILENT
    by_point = asked.policies.get("access_point") is not None
    if by_point:
        point = document(asked.of(on_access_point(asked)), asked.policies["access_point"])
    if DENY in (bucket, point):
        return DENY
    if owned_by_another(asked):
        bucket = SILENT  # a bucket policy cannot allow what is on objects of other accounts
    granted = max(bucket, acl(asked), key=WORTH.index)
    return min(granted, point, key=WORTH.index) if by_point else granted


def document(asked: Asked, policy: Any) -> str:
    """One policy with principals."""
    owner_root = asked.caller.kind == "root" and asked.within_account
    keeps_policy = owner_root and asked.action.lower() in OWN_POLICY
    if policy is None:
        return SILENT
    if policy == "unknown":
        return "passes" if asked.kindest or keeps_policy else DENY
    said, by = named_effect(
        policy, *asked.what(), lambda statement: names(statement, asked.caller, bounded=bounded(asked))
    )
    if said == DENY:
        return SILENT if keeps_policy else DENY
    if asked.caller.kind == "user" and asked.policies.get("session") is not None:
        by = {"role" if how == "itself" else how for how in by}  # a user's temporary session is limited like a role's
    if by & {"everyone", "itself"}:
        return "passes"
    return "grants" if "role" in by else "delegates" if by else SILENT


def bounded(asked: Asked) -> bool:
    """Whether the caller carries a permissions boundary."""
    given = asked.policies.get("permissions_boundary")
    if given is None or asked.caller.account is None or asked.caller.kind == "root":
        return False
    return given != "unknown" or not asked.kindest


def on_access_point(asked: Asked) -> str:
    """The resource as an access point's policy names it."""
    points = lookup(asked.context, "s3:DataAccessPointArn")
    if points is None or ":accesspoint/" in asked.resource:
        return asked.resource
    _, slash, key = asked.resource.partition("/")
    return f"{points[0]}/object/{key}" if slash else points[0]


# https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
PERMISSIONS = {
    "READ": "ListBucket ListBucketVersions ListBucketMultipartUploads GetObject GetObjectVersion",
    "WRITE": "PutObject",
    "READ_ACP": "GetBucketAcl GetObjectAcl GetObjectVersionAcl",
    "WRITE_ACP": "PutBucketAcl PutObjectAcl PutObjectVersionAcl",
}
GROUPS = "http://acs.amazonaws.com/groups/global/"


def grants(asked: Asked) -> list[tuple[str, str]]:
    """(grantee, permission) pairs, from either form of an ACL."""
    given = asked.policies.get("acl") or []
    pairs = []
    for grant in given["Grants"] if isinstance(given, dict) else given:
        grantee = grant.get("Grantee") or {"ID": grant["grantee"]}
        pairs.append((grantee.get("ID") or grantee["URI"], grant.get("Permission") or grant.get("permission")))
    return pairs


def counted(asked: Asked) -> bool:
    return asked.policies.get("object_ownership") != "BucketOwnerEnforced"


def acl(asked: Asked) -> str:
    """What the grants of an ACL are worth."""
    if not counted(asked):
        return SILENT
    ignored = bool((asked.policies.get("block_public_access") or {}).get("ignore_public_acls"))
    public = [] if ignored else [GROUPS + "AllUsers"]
    if not ignored and asked.caller.kind != "anonymous":
        public.append(GROUPS + "AuthenticatedUsers")
    if asked.policies.get("acl") == "unknown":
        grantable = any(granted(asked, permission) for permission in PERMISSIONS) and asked.kindest
        return "passes" if grantable and public else "delegates" if grantable and asked.caller.account else SILENT
    by = {grantee for grantee, permission in grants(asked) if granted(asked, permission)}
    if by & set(public):
        return "passes"
    return "delegates" if asked.caller.account in by else SILENT


def granted(asked: Asked, permission: str) -> bool:
    permissions = PERMISSIONS if permission == "FULL_CONTROL" else (permission,)
    actions = [f"s3:{name}".lower() for each in permissions for name in PERMISSIONS[each].split()]
    return asked.action.lower() in actions


def owned_by_another(asked: Asked) -> bool:
    given = asked.policies.get("acl")
    if not isinstance(given, dict) or not counted(asked) or "/" not in asked.resource:
        return False
    return bool(given.get("Owner", {}).get("ID", asked.owner) != asked.owner)


def block_public_access(asked: Asked) -> str:
    """RestrictPublicBuckets: while a policy is public, nobody of another account gets in, services apart."""
    if not (asked.policies.get("block_public_access") or {}).get("restrict_public_buckets"):
        return ALLOW
    if asked.caller.kind == "service" or asked.within_account:
        return ALLOW
    looked_at = [(asked.policies.get("resource"), False)]
    if "VPC" not in (lookup(asked.context, "s3:AccessPointNetworkOrigin") or []):
        looked_at.append((asked.policies.get("access_point"), True))  # one that is open to a VPC only is never public
    return (
        DENY
        if any(is_public(policy, point=point) for policy, point in looked_at if policy not in (None, "unknown"))
        else ALLOW
    )


# ---------------------------------------------------------------------------------------------------- keys

KEY_USES = {"s3:getobject": "kms:Decrypt", "s3:getobjectversion": "kms:Decrypt", "s3:putobject": "kms:GenerateDataKey"}
KEY_HEADER = "s3:x-amz-server-side-encryption-aws-kms-key-id"
CONTEXT = "kms:EncryptionContext:aws:s3:arn"
"""What of an S3 Bucket Key only the request can say."""
NETWORK = ("aws:sourcevpce", "aws:sourcevpc", "aws:sourcevpcarn", "aws:vpcsourceip", "aws:vpceaccount")


def at_key(asked: Asked) -> Asked | None:
    """What S3 asks KMS in the caller's name, by a forward access session; None: it asks nothing."""
    action = KEY_USES.get(asked.action.lower())
    if action is None or asked.policies.get("key") is None:
        return None
    context: Json = {
        name: value
        for name, value in asked.context.items()
        if name.lower() not in NETWORK and not name.lower().startswith("s3:")
    }
    key = (lookup(asked.context, KEY_HEADER) or [f"arn:aws:kms:us-east-1:{asked.owner}:key/unnamed"])[0]
    owner = key.split(":")[4]
    region = (lookup(asked.context, "aws:RequestedRegion") or [""])[0]
    derived: Json = {
        "aws:ResourceAccount": owner,
        "aws:ViaAWSService": "true",
        "aws:CalledVia": ["s3.amazonaws.com"],
        "aws:CalledViaFirst": "s3.amazonaws.com",
        "aws:CalledViaLast": "s3.amazonaws.com",
        "kms:CallerAccount": asked.caller.account,
        CONTEXT: lookup(asked.context, CONTEXT) or asked.resource,
    }
    if region:
        derived["kms:ViaService"] = f"s3.{region}.amazonaws.com"
    replaced = {name.lower() for name in derived}
    context = {name: value for name, value in context.items() if name.lower() not in replaced} | derived
    # The call of S3 passes no endpoint of the caller's, and no other policy of the bucket's.
    kept = {
        name: value for name, value in asked.policies.items() if name not in ("vpc_endpoint", "block_public_access")
    }
    return replace(asked, action=action, resource=key, owner=owner, context=context, policies=kept)
