"""Random lines by number: plain ones, and such with an access point, an ACL or a key."""

from __future__ import annotations

from typing import Any

from tests.randomly.plain import Maker
from tests.randomly.pools import (
    AT_KMS,
    EVE,
    FOREIGN,
    OBJECTS,
    OF_POINTS,
    OTHER,
    OWN,
    OWNER,
    PARTNER,
    PARTNER_ROLE,
    PLAIN,
    POINT,
    Json,
)

IAM_FOREIGN = tuple(name for name in FOREIGN if name.startswith("arn:"))


class ByAccessPoint(Maker):
    """A request that came by an access point; who signs nothing and services do not come that way."""

    keys = (*PLAIN, *OF_POINTS, *OF_POINTS, *OF_POINTS)
    callers = (OWN, IAM_FOREIGN)

    def ask(self) -> tuple[str, tuple[str, ...]]:
        return self.random.choice((("s3:GetObject", OBJECTS), ("s3:ListBucket", ("arn:aws:s3:::reports",))))

    def context(self) -> Json:
        return super().context() | {"s3:DataAccessPointArn": POINT, "s3:DataAccessPointAccount": OWNER}

    def finish(self, line: Json) -> None:
        policies = line["policies"]
        if isinstance(policies.get("resource"), dict) and self.chance(0.4):
            delegation = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
            condition = {"StringEquals": {"s3:DataAccessPointAccount": OWNER}}
            policies["resource"]["Statement"].append(delegation | {"Condition": condition})
        self.resources = (POINT, f"{POINT}/object/*", f"{POINT}/object/2026/*", f"{POINT}*", *self.resources[:3])
        policies["access_point"] = "unknown" if self.chance(0.05) else self.with_principals(0.8)


GROUPS = "http://acs.amazonaws.com/groups/global/"
GRANTEES: tuple[Any, ...] = (
    {"Type": "Group", "URI": GROUPS + "AllUsers"},
    {"Type": "Group", "URI": GROUPS + "AuthenticatedUsers"},
    {"Type": "CanonicalUser", "ID": OTHER},
    {"Type": "CanonicalUser", "ID": OWNER},
)
PERMISSIONS = ("READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL")
OF_OBJECTS = ("s3:GetObject", "s3:GetObjectAcl", "s3:GetObjectVersion", "s3:PutObjectAcl")
OF_BUCKETS = ("s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketAcl", "s3:PutBucketAcl", "s3:GetBucketPolicy")


class WithAcl(Maker):
    """A request for what an ACL may grant: mostly other accounts and anonymous callers.

    Left out: which layer is named where an ACL could not be read and a boundary or session policy denies too, what a
    grant means to the owner's own principals under a boundary or session policy, objects of another
    account asked for by the bucket's own principals, and whose object it is while the ACL could not be read.
    """

    keys = PLAIN
    callers = (("anonymous",), IAM_FOREIGN, IAM_FOREIGN, OWN)

    def ask(self) -> tuple[str, tuple[str, ...]]:
        pools = ((OF_OBJECTS, OBJECTS), (OF_BUCKETS, ("arn:aws:s3:::reports",)), (("s3:PutObject",), OBJECTS))
        actions, resources = self.random.choice(pools)
        return self.random.choice(actions), resources

    def finish(self, line: Json) -> None:
        policies, inside = line["policies"], self.caller in OWN
        if self.chance(0.4) and not inside:
            policies.pop("resource", None)
        if inside:
            policies.pop("permissions_boundary", None)
            policies.pop("session", None)
        if self.chance(0.3):
            block = {"ignore_public_acls": self.chance(0.7), "restrict_public_buckets": self.chance(0.3)}
            policies["block_public_access"] = block
        if self.chance(0.4):
            ownership = ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")
            policies["object_ownership"] = self.random.choice(ownership)
        policies["acl"] = self.acl(line["request"]["action"] in OF_OBJECTS and not inside)
        if self.chance(0.1) and policies.get("resource") is None:
            policies["acl"] = "unknown"

    def acl(self, foreign: bool) -> Any:
        grants = [
            {"Grantee": self.random.choice(GRANTEES), "Permission": self.random.choice(PERMISSIONS)}
            for _ in range(self.random.randint(1, 3))
        ]
        if self.chance(0.4):
            return {"Owner": {"ID": OTHER if foreign and self.chance(0.5) else OWNER}, "Grants": grants}
        if self.chance(0.5):
            return [
                {"grantee": grant["Grantee"].get("ID", OTHER), "permission": grant["Permission"]} for grant in grants
            ]
        return grants


REGION = "us-east-1"
HEADER = "s3:x-amz-server-side-encryption-aws-kms-key-id"


class WithKey(Maker):
    """A request for an object under a KMS key, or one to KMS itself."""

    keys = AT_KMS
    callers = (OWN, OWN, (PARTNER, PARTNER_ROLE, EVE))

    def ask(self) -> tuple[str, tuple[str, ...]]:
        self.key = f"arn:aws:kms:{REGION}:{self.random.choice((OWNER, OWNER, OWNER, OTHER))}:key/1234"
        if self.chance(0.15):
            self.key = f"arn:aws:kms:{REGION}:{OWNER}:key/1234"
            return self.random.choice(("kms:Decrypt", "kms:GenerateDataKey")), (self.key,)
        others = ("s3:GetObject", "s3:PutObject", "s3:GetObjectVersion", "s3:DeleteObject")
        return self.random.choice(others), OBJECTS

    def context(self) -> Json:
        carried = super().context() | {"aws:RequestedRegion": REGION}
        if f":{OTHER}:" in self.key or self.chance(0.5):
            carried[HEADER] = self.key
            self.resources = (*self.resources, self.key, self.key, "arn:aws:kms:*:*:key/*", "arn:aws:kms:*:*:key/9*")
        return carried

    def finish(self, line: Json) -> None:
        policies = line["policies"]
        if line["request"]["action"].startswith("kms:"):
            policies.pop("resource", None)
            policies.pop("block_public_access", None)
        if f":{OTHER}:" in self.key:
            policies.pop("rcps", None)
            policies.pop("resource_in_management_account", None)
        self.actions = ("kms:*", "kms:Decrypt", "kms:GenerateDataKey*", "kms:GenerateDataKey", "kms:Encrypt")
        self.wide_actions, self.resources = ("kms:*", "*"), ("*",)
        policies["key"] = "unknown" if self.chance(0.05) else self.with_principals(0.85)


KINDS = (ByAccessPoint, WithAcl, WithKey)


def random_line(number: int) -> Json:
    """Every line of a number is the same line."""
    kind = number % 8
    return KINDS[kind](number).line() if kind < len(KINDS) else Maker(number).line()
