"""The one decision: how AWS answers an S3 request under all the policies that apply to it.

Pure: no I/O, no clock, no SDK. An explicit deny anywhere wins; else every gate must allow:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from pytest_s3vpce.policy.asked import Asked
from pytest_s3vpce.policy.documents import Document
from pytest_s3vpce.policy.doubts import ROOT_GRANT_NEEDS_IDENTITY, UNNAMED_ENDPOINT_IS_GATEWAY
from pytest_s3vpce.policy.principals import LIMITABLE, Caller, CallerKind, Grant
from pytest_s3vpce.policy.public import public_statements
from pytest_s3vpce.policy.reasons import why_allowed, why_denied, why_not_allowed, why_unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.policy.asked import Request
    from pytest_s3vpce.policy.documents import Statement

_Row = TypeVar("_Row")


class Effect(StrEnum):
    """Of a decision, and of each layer that took part. The names are those of AWS's own decision vocabulary."""

    ALLOW = "allow"
    NO_IMPACT = "no_impact"
    """Of a layer only: its allow was not needed."""
    IMPLICIT_DENY = "implicit_deny"
    EXPLICIT_DENY = "explicit_deny"
    UNKNOWN = "unknown"


class Unknown(Enum):
    """Stands for a layer that exists, or may exist, but could not be read. Never taken for an allow."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


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
    vpc_endpoint: Document | Unknown | None = None
    scps: tuple[tuple[Document, ...], ...] | Unknown = ()
    rcps: tuple[tuple[Document, ...], ...] | Unknown = ()
    restrict_public_buckets: bool = False
    """Block Public Access: while the bucket policy is public, only its own account and AWS services get in."""
    endpoint_type: str | None = None
    """`gateway` or `interface`."""
    principal_in_management_account: bool = False
    resource_in_management_account: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What AWS would answer. `layer`, `policy` and `statement` name what decided a denial; None for an allow."""

    effect: Effect
    layer: str | None = None
    policy: str | None = None
    statement: str | None = None
    layers: Mapping[str, Effect]
    reason: str

    @property
    def allowed(self) -> bool:
        return self.effect is Effect.ALLOW


# Which layer is named, where several deny.
_EXPLICIT_ORDER: Final = (
    "scp",
    "rcp",
    "vpc_endpoint",
    "resource",
    "block_public_access",
    "identity",
    "permissions_boundary",
    "session",
)
_IMPLICIT_ORDER: Final = ("scp", "vpc_endpoint", "identity", "resource", "permissions_boundary", "session")
# Where the resource's own policy must allow even in one account: role trust policies and KMS key policies.
_MANDATORY: Final = ("sts:assumerole", "kms:")
# Asked of the trust policy too where a role is assumed with tags or a source identity:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
_MANDATORY_ON_ROLES: Final = frozenset({"sts:tagsession", "sts:setsourceidentity"})
# https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
_RCP_EXEMPT: Final = frozenset({"kms:retiregrant"})
_SCP_BOUND: Final = frozenset({CallerKind.ROOT, CallerKind.USER, CallerKind.ROLE, CallerKind.FEDERATED})
# The root user of the bucket's account keeps these whatever the bucket policy says:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html
_OWNER_ROOT_KEEPS: Final = frozenset({"s3:getbucketpolicy", "s3:putbucketpolicy", "s3:deletebucketpolicy"})


@dataclass(slots=True)
class _Layer:
    """What one layer says on its own: the first matching deny, and how it grants."""

    deny: tuple[Document, Statement] | None = None
    allows: bool = False
    grant: Grant = Grant.NONE
    unknown: bool = False


def decide(request: Request, policies: Policies) -> Decision:
    """The decision on a request. Raises PolicyError where the principal is of no known form."""
    # A boundary that could not be read may not be there: it leaves the request undecided by itself.
    asked = Asked(request, bounded=isinstance(policies.permissions_boundary, tuple))
    layers = dict(_layers(asked, policies))
    grant = layers["resource"].grant if "resource" in layers else Grant.NONE
    effects = _effects(layers, asked, grant=grant)
    explicit = next((name for name in _EXPLICIT_ORDER if effects.get(name) is Effect.EXPLICIT_DENY), None)
    if explicit is not None:
        return _explicit(explicit, layers[explicit], effects, asked)
    implicit = next((name for name in _IMPLICIT_ORDER if effects.get(name) is Effect.IMPLICIT_DENY), None)
    if implicit is not None:
        reason = why_not_allowed(implicit, _candidates(implicit, policies, asked), asked)
        return Decision(effect=Effect.IMPLICIT_DENY, layer=implicit, layers=effects, reason=reason)
    unread = [name for name, effect in effects.items() if effect is Effect.UNKNOWN]
    if unread:
        if "resource" in unread:
            # What the others say without it: that it might grant is no reason to call their refusals unneeded.
            effects = _effects(layers, asked, grant=Grant.NONE)
        return Decision(effect=Effect.UNKNOWN, layers=effects, reason=why_unknown(unread))
    return Decision(effect=Effect.ALLOW, layers=effects, reason=why_allowed(asked))


def _explicit(name: str, row: _Layer, effects: Mapping[str, Effect], asked: Asked) -> Decision:
    assert row.deny is not None
    document, statement = row.deny
    return Decision(
        effect=Effect.EXPLICIT_DENY,
        layer=name,
        policy=document.name or ("resource" if name == "block_public_access" else name),
        statement=statement.name,
        layers=effects,
        reason=why_denied(name, statement, asked),
    )


def _candidates(name: str, policies: Policies, asked: Asked) -> Iterator[tuple[Document, Statement]]:
    """The statements that would allow the request in a layer, or in its stead, if they matched."""
    plain = {
        "scp": (row for level in _known(policies.scps) if not _union(level, asked).allows for row in level),
        "identity": _known(policies.identity),
        "permissions_boundary": _known(policies.permissions_boundary),
        "session": _known(policies.session),
    }
    for document in plain.get(name, ()):
        for statement in document.allows:
            yield document, statement
    own = policies.vpc_endpoint if name == "vpc_endpoint" else policies.resource
    if isinstance(own, Document) and (name in ("vpc_endpoint", "resource") or (name == "identity" and asked.same)):
        for statement in own.allows:
            grant = statement.grant(asked.caller)
            if _grants_alone(grant) or (name != "identity" and grant is not Grant.NONE):
                yield own, statement


def _known(rows: tuple[_Row, ...] | Unknown | None) -> tuple[_Row, ...]:
    return rows if isinstance(rows, tuple) else ()


# --- each layer on its own -------------------------------------------------------------------------------------------


def _layers(asked: Asked, policies: Policies) -> Iterator[tuple[str, _Layer]]:
    """The layers that take part, in AWS's order."""
    kind = asked.caller.kind
    if policies.scps and kind in _SCP_BOUND and not policies.principal_in_management_account:
        yield "scp", _levels(policies.scps, asked, needs_allow=True)
    if policies.rcps and _rcps_apply(asked) and not policies.resource_in_management_account:
        yield "rcp", _levels(policies.rcps, asked, needs_allow=False)
    if policies.vpc_endpoint is not None:
        yield "vpc_endpoint", _endpoint(policies.vpc_endpoint, asked, endpoint_type=policies.endpoint_type)
    if kind in LIMITABLE:
        yield "identity", _union(policies.identity, asked)
    if policies.resource is not None:
        yield "resource", _resource(policies.resource, asked)
        if policies.restrict_public_buckets and kind is not CallerKind.SERVICE and not asked.same:
            yield "block_public_access", _restricted(policies.resource)
    if kind in LIMITABLE and policies.permissions_boundary is not None:
        yield "permissions_boundary", _union(policies.permissions_boundary, asked)
    if policies.session is not None and (kind in LIMITABLE or kind is CallerKind.ROOT):
        yield "session", _union(policies.session, asked)
    elif kind is CallerKind.FEDERATED:
        # Without a session policy such a session has no permissions but those that resources grant to it:
        # https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
        yield "session", _Layer()


def _rcps_apply(asked: Asked) -> bool:
    return asked.caller.kind is not CallerKind.SERVICE_LINKED and asked.action not in _RCP_EXEMPT


def _union(documents: tuple[Document, ...] | Unknown, asked: Asked) -> _Layer:
    """Policies without principals: one allow is enough, one deny is too."""
    if isinstance(documents, Unknown):
        return _Layer(unknown=True, allows=True)
    found = _Layer()
    for document in documents:
        for statement in document.denies:
            if found.deny is None and asked.met_by(statement):
                found.deny = (document, statement)
        found.allows = found.allows or any(asked.met_by(statement) for statement in document.allows)
    return found


def _levels(levels: tuple[tuple[Document, ...], ...] | Unknown, asked: Asked, *, needs_allow: bool) -> _Layer:
    """Organizations policies: a deny at any level, an allow at every one; for RCPs the allow is implied everywhere.

    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html
    """
    if isinstance(levels, Unknown):
        return _Layer(unknown=True, allows=True)
    rows = [_union(level, asked) for level in levels]
    deny = next((row.deny for row in rows if row.deny is not None), None)
    return _Layer(deny=deny, allows=not needs_allow or all(row.allows for row in rows))


def _resource(document: Document | Unknown, asked: Asked, *, ignored: Grant = Grant.NONE) -> _Layer:
    """The resource's own policy: whom its denies take in, and how its allows name the caller at their strongest.

    Statements that name the caller in the `ignored` form only do not name it.
    """
    if isinstance(document, Unknown):
        return _Layer(unknown=True, allows=True, grant=Grant.EVERYBODY)
    found = _Layer()
    for statement in document.denies:
        takes_in = statement.denies(asked.caller, bounded=asked.bounded, ignored=ignored)
        if takes_in and asked.met_by(statement):
            found.deny = (document, statement)
            break
    for statement in document.allows:
        grant = statement.grant(asked.caller)
        if grant > found.grant and grant is not ignored and asked.met_by(statement):
            found.grant = grant
    found.allows = found.grant is not Grant.NONE
    return found


def _endpoint(document: Document | Unknown, asked: Asked, *, endpoint_type: str | None) -> _Layer:
    """A VPC endpoint's policy. On a gateway endpoint, an account names only its root user.

    https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html
    """
    gateway = endpoint_type == "gateway" or (endpoint_type is None and UNNAMED_ENDPOINT_IS_GATEWAY)
    narrow = gateway and asked.caller.kind is not CallerKind.ROOT
    return _resource(document, asked, ignored=Grant.ACCOUNT if narrow else Grant.NONE)


def _restricted(document: Document | Unknown) -> _Layer:
    """RestrictPublicBuckets, for callers from outside of the bucket's account.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
    """
    if isinstance(document, Unknown):
        return _Layer(unknown=True, allows=True)
    public = next(iter(public_statements(document)), None)
    return _Layer(deny=None if public is None else (document, public), allows=True)


# --- the layers together ---------------------------------------------------------------------------------------------


def _effects(layers: Mapping[str, _Layer], asked: Asked, *, grant: Grant) -> dict[str, Effect]:
    """The effect of each layer, given the others: an allow that was not needed is `no_impact`.

    `grant` is how the resource's policy names the caller, at best where that policy could not be read.
    """
    effects = {name: _own(row) for name, row in layers.items()}
    kind = asked.caller.kind
    owner_needed = not asked.same or _mandatory(asked)
    if kind in LIMITABLE and asked.same and _grants_alone(grant):
        _waive(effects, "identity")
        if _bypasses(grant, asked.caller, sessions="session" in layers):
            _waive(effects, "permissions_boundary")
            _waive(effects, "session")
    if owner_needed:
        effects.setdefault("resource", Effect.IMPLICIT_DENY)
        return effects
    _waive(effects, "resource")
    if kind in LIMITABLE and not _grants_alone(grant) and effects.get("resource") is Effect.ALLOW:
        effects["resource"] = Effect.NO_IMPACT
    if kind is CallerKind.ROOT and "resource" in effects and asked.action in _OWNER_ROOT_KEEPS:
        effects["resource"] = Effect.NO_IMPACT
    return effects


def _mandatory(asked: Asked) -> bool:
    on_role = asked.action in _MANDATORY_ON_ROLES and ":role/" in asked.resource
    return on_role or asked.action.startswith(_MANDATORY)


def _own(row: _Layer) -> Effect:
    if row.unknown:
        return Effect.UNKNOWN
    if row.deny is not None:
        return Effect.EXPLICIT_DENY
    return Effect.ALLOW if row.allows else Effect.IMPLICIT_DENY


def _grants_alone(grant: Grant) -> bool:
    """Whether the resource's grant is enough without an identity policy's, in one account."""
    return grant > (Grant.ACCOUNT if ROOT_GRANT_NEEDS_IDENTITY else Grant.NONE)


def _bypasses(grant: Grant, caller: Caller, *, sessions: bool) -> bool:
    """Whether implicit denies of boundary and session do not limit the resource's grant, in one account.

    A user with a session policy is a federated session of the user: a grant to the user is limited there.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    """
    if grant in (Grant.SESSION, Grant.EVERYBODY):
        return True
    return grant is Grant.USER and caller.kind is CallerKind.USER and not sessions


def _waive(effects: dict[str, Effect], name: str) -> None:
    if effects.get(name) is Effect.IMPLICIT_DENY:
        effects[name] = Effect.NO_IMPACT
