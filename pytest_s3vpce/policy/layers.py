"""What each layer says on its own: the first deny that matches, and how it allows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.policy.acl import Acl
from pytest_s3vpce.policy.doubts import UNNAMED_ENDPOINT_IS_GATEWAY, USUAL, Doubts
from pytest_s3vpce.policy.principals import LIMITABLE, CallerKind, Grant
from pytest_s3vpce.policy.public import Owner, public_statements

if TYPE_CHECKING:
    from pytest_s3vpce.policy.asked import Asked
    from pytest_s3vpce.policy.documents import Document, Statement


class Unknown(Enum):
    """Stands for a layer that exists, or may exist, but could not be read. Never taken for an allow."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN
ENFORCED: Final = "BucketOwnerEnforced"
"""Where a bucket's ownership is this, no ACL counts.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html"""
DOCUMENTS: Final = (
    "scps",
    "rcps",
    "vpc_endpoint",
    "resource",
    "access_point",
    "identity",
    "permissions_boundary",
    "session",
    "key",
)
"""The fields of `Policies` that hold documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What applies to a request. None: there is none of that kind; UNKNOWN: it could not be read.

    A boundary or session of no policies is there, and allows nothing. `scps` and `rcps` are the levels from root to
    account, each with its policies; without levels there is no organization.
    """

    identity: tuple[Document, ...] | Unknown = ()
    permissions_boundary: tuple[Document, ...] | Unknown | None = None
    session: tuple[Document, ...] | Unknown | None = None
    resource: Document | Unknown | None = None
    access_point: Document | Unknown | None = None
    """Of the access point that the request came by: it and the bucket's policy must both let the caller in."""
    key: Document | Unknown | None = None
    """Of the KMS key that the object is, or will be, encrypted with."""
    acl: Acl | Unknown | None = None
    vpc_endpoint: Document | Unknown | None = None
    scps: tuple[tuple[Document, ...], ...] | Unknown = ()
    rcps: tuple[tuple[Document, ...], ...] | Unknown = ()
    restrict_public_buckets: bool = False
    """Block Public Access: while the bucket policy is public, only its own account and AWS services get in."""
    ignore_public_acls: bool = False
    """Block Public Access: what an ACL grants to everybody does not count."""
    object_ownership: str | None = None
    """With `BucketOwnerEnforced` no ACL counts."""
    endpoint_type: str | None = None
    """`gateway` or `interface`."""
    principal_in_management_account: bool = False
    resource_in_management_account: bool = False
    doubts: Doubts = USUAL
    """What is taken for true where AWS says nothing."""


@dataclass(slots=True)
class Layer:
    """What one layer says on its own: the first matching deny, and how it grants."""

    deny: tuple[Document, Statement] | None = None
    allows: bool = False
    grant: Grant = Grant.NONE
    unknown: bool = False


# https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
_RCP_EXEMPT: Final = frozenset({"kms:retiregrant"})
_SCP_BOUND: Final = frozenset({CallerKind.ROOT, CallerKind.USER, CallerKind.ROLE, CallerKind.FEDERATED})


def layers_of(asked: Asked, policies: Policies) -> dict[str, Layer]:
    """The layers that take part, in AWS's order; KMS, whose question is another one, is not among them."""
    found: dict[str, Layer] = {}
    kind = asked.caller.kind
    limitable = kind in LIMITABLE
    if policies.scps and kind in _SCP_BOUND and not policies.principal_in_management_account:
        found["scp"] = _levels(policies.scps, asked, needs_allow=True)
    if policies.rcps and _rcps_apply(asked) and not policies.resource_in_management_account:
        found["rcp"] = _levels(policies.rcps, asked, needs_allow=False)
    if policies.vpc_endpoint is not None:
        found["vpc_endpoint"] = _endpoint(policies.vpc_endpoint, asked, endpoint_type=policies.endpoint_type)
    if limitable:
        found["identity"] = union(policies.identity, asked)
    _owners(found, asked, policies)
    if limitable and policies.permissions_boundary is not None:
        found["permissions_boundary"] = union(policies.permissions_boundary, asked)
    if policies.session is not None and (limitable or kind is CallerKind.ROOT):
        found["session"] = union(policies.session, asked)
    elif kind is CallerKind.FEDERATED:
        # Without a session policy such a session has no permissions but those that resources grant to it:
        # https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
        found["session"] = Layer()
    return found


def _owners(found: dict[str, Layer], asked: Asked, policies: Policies) -> None:
    """Adds the layers of the bucket's side, RCPs apart."""
    point = None if policies.access_point is None else _resource(policies.access_point, asked.by_access_point())
    if policies.resource is not None or point is not None:
        found["resource"] = _resources(policies, asked, point=point)
        if policies.restrict_public_buckets and asked.caller.kind is not CallerKind.SERVICE and not asked.same:
            found["block_public_access"] = _restricted(policies, asked)
    if isinstance(policies.acl, Acl) and policies.object_ownership != ENFORCED:
        limit = Grant.EVERYBODY if point is None else point.grant
        found["acl"] = _listed(policies.acl, asked, ignore_public=policies.ignore_public_acls, limit=limit)


def _rcps_apply(asked: Asked) -> bool:
    return asked.caller.kind is not CallerKind.SERVICE_LINKED and asked.action not in _RCP_EXEMPT


def union(documents: tuple[Document, ...] | Unknown, asked: Asked) -> Layer:
    """Policies without principals: one allow is enough, one deny is too."""
    if isinstance(documents, Unknown):
        return Layer(unknown=True, allows=True)
    action, resource, values = asked.action, asked.resource, asked.values
    found = Layer()
    for document in documents:
        if found.deny is None:
            for statement in document.denies:
                if statement.covers(action, resource, values):
                    found.deny = (document, statement)
                    break
        if not found.allows:
            for statement in document.allows:
                if statement.covers(action, resource, values):
                    found.allows = True
                    break
    return found


def _levels(levels: tuple[tuple[Document, ...], ...] | Unknown, asked: Asked, *, needs_allow: bool) -> Layer:
    """Organizations policies: a deny at any level, an allow at every one; for RCPs the allow is implied everywhere.

    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html
    """
    if isinstance(levels, Unknown):
        return Layer(unknown=True, allows=True)
    found = Layer(allows=True)
    for level in levels:
        row = union(level, asked)
        found.deny = found.deny or row.deny
        found.allows = found.allows and (row.allows or not needs_allow)
    return found


def _resources(policies: Policies, asked: Asked, *, point: Layer | None) -> Layer:
    """The bucket's policy, and the access point's where the request came by one: each must let the caller in.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-policies.html
    """
    bucket = Layer() if policies.resource is None else _resource(policies.resource, asked)
    if isinstance(policies.acl, Acl) and policies.acl.foreign(asked) and policies.object_ownership != ENFORCED:
        bucket.grant = Grant.NONE
    if point is not None:
        bucket.deny = bucket.deny or point.deny
        bucket.grant = min(bucket.grant, point.grant)
        bucket.unknown = bucket.unknown or point.unknown
    bucket.allows = bucket.grant is not Grant.NONE
    return bucket


def _resource(document: Document | Unknown, asked: Asked, *, ignored: Grant = Grant.NONE) -> Layer:
    """A resource's own policy: whom its denies take in, and how its allows name the caller at their strongest.

    Statements that name the caller in the `ignored` form only do not name it.
    """
    if isinstance(document, Unknown):
        return Layer(unknown=True, allows=True, grant=Grant.EVERYBODY)
    action, resource, values, caller = asked.action, asked.resource, asked.values, asked.caller
    found = Layer()
    for statement in document.denies:
        # Principals last: most denies name everybody, and do not match.
        if statement.covers(action, resource, values) and statement.denies(
            caller, bounded=asked.bounded, ignored=ignored
        ):
            found.deny = (document, statement)
            break
    for statement in document.allows:
        grant = statement.grant(caller)
        if grant > found.grant and grant is not ignored and statement.covers(action, resource, values):
            found.grant = grant
    found.allows = found.grant is not Grant.NONE
    return found


def grants_alone(grant: Grant, asked: Asked) -> bool:
    """Whether the resource's grant is enough without an identity policy's, in one account."""
    return grant > (Grant.ACCOUNT if asked.doubts.root_delegates else Grant.NONE)


def ignored_by(endpoint_type: str | None, asked: Asked) -> Grant:
    """The form of Principal that an endpoint's policy can't name the caller by: on gateways, accounts are roots.

    https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html
    """
    gateway = endpoint_type == "gateway" or (endpoint_type is None and UNNAMED_ENDPOINT_IS_GATEWAY)
    return Grant.ACCOUNT if gateway and asked.caller.kind is not CallerKind.ROOT else Grant.NONE


def _endpoint(document: Document | Unknown, asked: Asked, *, endpoint_type: str | None) -> Layer:
    """A VPC endpoint's policy. By an access point, it must let in both its name and the bucket's.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-vpc.html
    """
    ignored = ignored_by(endpoint_type, asked)
    found = _resource(document, asked, ignored=ignored)
    by_point = asked.by_access_point()
    if by_point is not asked:
        other = _resource(document, by_point, ignored=ignored)
        found.deny = found.deny or other.deny
        found.allows = found.allows and other.allows
    return found


def _restricted(policies: Policies, asked: Asked) -> Layer:
    """RestrictPublicBuckets, for callers from outside of the bucket's account.

    An access point of a VPC's is never public:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
    """
    documents = [(policies.resource, Owner.BUCKET)]
    if asked.values.get("s3:accesspointnetworkorigin") != ("VPC",):
        documents.append((policies.access_point, Owner.ACCESS_POINT))
    for document, owner in documents:
        if document is not None and not isinstance(document, Unknown):
            for statement in public_statements(document, owner=owner, fixed=asked.doubts.fixed_keys):
                return Layer(deny=(document, statement), allows=True)
    return Layer(unknown=any(document is UNKNOWN for document, _ in documents), allows=True)


def _listed(acl: Acl, asked: Asked, *, ignore_public: bool, limit: Grant) -> Layer:
    """An access control list, which only ever allows: no more than an access point on the way does."""
    grant = min(acl.grant(asked, ignore_public=ignore_public), limit)
    return Layer(allows=grant is not Grant.NONE, grant=grant)
