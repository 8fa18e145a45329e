"""The lab's one place of decision: collects what applies to a request and asks the engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.calibration import NONE
from pytest_s3vpce.lab.keys import SessionKind
from pytest_s3vpce.lab.lateness import Lateness
from pytest_s3vpce.policy import Decision, Document, Effect, Policies, Request, decide, parse
from pytest_s3vpce.policy.doubts import Doubts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_s3vpce.calibration import Calibration
    from pytest_s3vpce.lab.accesspoints import AccessPoint
    from pytest_s3vpce.lab.keys import Caller
    from pytest_s3vpce.lab.organizations import Level, Membership
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.network.topology import Endpoint
    from pytest_s3vpce.policy.acl import Acl

_OPEN = '{"Statement":[{"Action":"*","Effect":"Allow","Principal":"*","Resource":"*"}]}'
"""The policy of an endpoint that was given none: https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html"""


_NOTHING = '{"Statement":[]}'


@lru_cache(maxsize=4096)
def _document(text: str, name: str) -> Document:
    return parse(text, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An action on a resource: whose it is, its own policy, and what the request carries."""

    action: str
    resource: str
    owner: str
    bucket_owner: str | None = None
    """Where that is another account than the object's: its policy may deny access to the object then, not allow it.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html"""
    resource_policy: str | None
    restricts_public: bool = False
    """Whether RestrictPublicBuckets is on for it."""
    acl: Acl | None = None
    """The list of the bucket or object, where ACLs are on."""
    ignores_public_acls: bool = False
    endpoint: Endpoint | None = None
    context: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    access_point: AccessPoint | None = None
    """The one that the request came by."""
    unconditioned: str | None = None
    """A condition key, in lower case, that no condition asks for: as if what it says were always met."""

    def by_access_point(self) -> Question:
        """The same, on the access point itself: what identity and endpoint policies are asked, and its own.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-policies.html
        """
        point = self.access_point
        if point is None:
            return self
        key = self.resource.partition("/")[2]
        return replace(
            self,
            resource=f"{point.arn}/object/{key}" if key else point.arn,
            owner=point.account,
            bucket_owner=None,
            resource_policy=point.policy,
        )


class Relation(StrEnum):
    """Between a caller's account and the resource's: how much a denial tells depends on it."""

    ACCOUNT = "same account"
    ORGANIZATION = "same organization"
    STRANGERS = "strangers"


class Judge:
    """Decides. Policies are read at each decision and parsed once for each text."""

    def __init__(self, state: State, *, calibration: Calibration = NONE) -> None:
        self._state = state
        self.calibration = calibration
        """What is found of AWS where AWS says nothing."""
        self.late = Lateness(calibration)
        self._doubts = Doubts(**calibration.engine)
        self.fixed_keys = self._doubts.fixed_keys
        """By which Block Public Access takes a policy for a restricted one, besides the documented ones."""

    def decide(self, caller: Caller, question: Question) -> Decision:
        """The engine's decision under everything that applies to this caller and resource."""
        if question.access_point is None:
            decision = self._decide(caller, question, {})
            if caller.session is SessionKind.FEDERATION and decision.effect is Effect.IMPLICIT_DENY:
                return self._as_user(caller, question, decision)
            return decision
        # The caller's side and the access point's own policy, then what owns the bucket: both must let it in.
        by_point = self._decide(caller, question.by_access_point(), {})
        if by_point.effect is Effect.EXPLICIT_DENY:
            return by_point
        changes: dict[str, Any] = {"access_point": _document(question.access_point.policy or _NOTHING, "access point")}
        if by_point.layers.get("identity") is Effect.ALLOW:
            changes["identity"] = (_document(_OPEN, "identity"),)
        for limit in ("permissions_boundary", "session"):
            if by_point.layers.get(limit) is Effect.ALLOW:
                changes[limit] = None
        changes["scps"] = ()
        at_bucket = self._decide(caller, question, changes)
        return at_bucket if at_bucket.effect is Effect.EXPLICIT_DENY or by_point.allowed else by_point

    def _as_user(self, caller: Caller, question: Question, decision: Decision) -> Decision:
        """A grant to a user is one to its federated sessions too, as far as their session policies go.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session
        """
        assert caller.user_arn is not None
        user = replace(caller, arn=caller.user_arn, session_policies=caller.session_policies or ())
        again = self._decide(user, question, {}) if ":user/" in caller.user_arn else decision
        return again if again.allowed else decision

    def _decide(self, caller: Caller, question: Question, changes: Mapping[str, Any]) -> Decision:
        principal = None if caller.account is None else self._state.membership(caller.account)
        owner = principal if question.owner == caller.account else self._state.membership(question.owner)
        request = Request(
            action=question.action,
            resource=question.resource,
            resource_account=question.owner,
            principal=caller.arn,
            context={
                **question.context,
                **_principal_keys(caller, at=question.context.get("aws:EpochTime")),
                **_organization_keys("Principal", principal),
                **_organization_keys("Resource", owner),
                **self._endpoint_keys(question.endpoint),
                **({} if question.action.lower() in self._doubts.ownerless else _resource_keys(question)),
            },
        )
        policies = self._policies(caller, question, principal=principal, owner=owner)
        policies = replace(policies, **changes) if changes else policies
        if question.unconditioned is not None:
            policies = _without(policies, question.unconditioned)
        return decide(request, policies)

    def relation(self, caller: Caller, owner: str) -> Relation:
        """How a caller stands to the account that owns what was asked for."""
        if caller.account is None:
            return Relation.STRANGERS
        if caller.account == owner:
            return Relation.ACCOUNT
        ours, theirs = self._state.membership(caller.account), self._state.membership(owner)
        related = ours is not None and theirs is not None and ours.organization == theirs.organization
        return Relation.ORGANIZATION if related else Relation.STRANGERS

    def _endpoint_keys(self, endpoint: Endpoint | None) -> dict[str, str | Sequence[str]]:
        return {} if endpoint is None else _organization_keys("Vpce", self._state.membership(endpoint.account))

    def _policies(
        self, caller: Caller, question: Question, *, principal: Membership | None, owner: Membership | None
    ) -> Policies:
        endpoint = question.endpoint
        limited = caller.bearer is not None and not caller.bearer.endswith(":root")  # root has no boundary
        boundary = self._state.boundary(caller.bearer) if limited and caller.bearer else None
        return Policies(
            identity=self._identity(caller),
            permissions_boundary=None if boundary is None else (_document(boundary[1], boundary[0]),),
            session=None
            if caller.session_policies is None
            else tuple(_document(text, "session policy") for text in caller.session_policies),
            resource=_resource(question),
            acl=question.acl,
            restrict_public_buckets=question.restricts_public,
            ignore_public_acls=question.ignores_public_acls,
            vpc_endpoint=None if endpoint is None else _document(self._endpoint_policy(endpoint), endpoint.id),
            endpoint_type=None if endpoint is None else endpoint.kind.value,
            scps=() if principal is None else _levels(self._late("scp", principal, principal.scps)),
            rcps=() if owner is None else _levels(self._late("rcp", owner, owner.rcps)),
            principal_in_management_account=principal is not None and principal.is_management,
            resource_in_management_account=owner is not None and owner.is_management,
            doubts=self._doubts,
        )

    def _late(self, kind: str, member: Membership, levels: tuple[Level, ...]) -> tuple[Level, ...]:
        return self.late.seen("propagation/organization-policy", (kind, member.account), levels)

    def _endpoint_policy(self, endpoint: Endpoint) -> str:
        return self.late.seen("propagation/endpoint-policy", endpoint.id, endpoint.policy or _OPEN)

    def _identity(self, caller: Caller) -> tuple[Document, ...]:
        if caller.anonymous or caller.is_root or caller.bearer is None:
            return ()
        if caller.bearer.endswith(":root"):
            return (_document(_OPEN, "root"),)  # a federated session of the root user's
        found = self._state.identity_policies(caller.bearer) or ()
        found = self.late.seen("propagation/role-policy", caller.bearer, found)
        return tuple(_document(text, name) for name, text in found)


def _without(policies: Policies, key: str) -> Policies:
    """The caller's and the bucket's policies without conditions on a key."""

    def bare(document: Document) -> Document:
        statements = [
            replace(row, conditions=tuple(each for each in row.conditions if each.key != key))
            for row in document.statements
        ]
        return replace(
            document,
            allows=tuple(row for row in statements if not row.deny),
            denies=tuple(row for row in statements if row.deny),
        )

    def every(rows: Any) -> Any:
        return None if rows is None else tuple(map(bare, rows))

    return replace(
        policies,
        identity=every(policies.identity),
        session=every(policies.session),
        resource=bare(policies.resource) if isinstance(policies.resource, Document) else policies.resource,
    )


def _resource(question: Question) -> Document | None:
    if question.resource_policy is None:
        return None
    document = _document(question.resource_policy, "resource")
    return document if question.bucket_owner in (None, question.owner) else replace(document, allows=())


def _resource_keys(question: Question) -> dict[str, str]:
    account = question.bucket_owner or question.owner
    return {"aws:ResourceAccount": account, "s3:ResourceAccount": account}


def _principal_keys(caller: Caller, *, at: object) -> dict[str, str]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
    if caller.anonymous:
        return {}
    named = {
        "aws:PrincipalIsAWSService": "false",
        "aws:PrincipalArn": caller.principal_arn,
        "aws:userid": caller.userid,
        "aws:username": caller.username,
        "aws:SourceIdentity": caller.source_identity,
    }
    if caller.issued_at is not None:
        named["aws:TokenIssueTime"] = caller.issued_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        named["aws:MultiFactorAuthPresent"] = "false"
    if caller.mfa_at is not None:
        named["aws:MultiFactorAuthPresent"] = "true"
        if isinstance(at, str):
            named["aws:MultiFactorAuthAge"] = str(int(at) - int(caller.mfa_at.timestamp()))
    found = {key: value for key, value in named.items() if value is not None}
    return found | {f"aws:PrincipalTag/{name}": value for name, value in caller.tags} | dict(caller.brought)


def _organization_keys(whose: str, found: Membership | None) -> dict[str, str | Sequence[str]]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
    return {} if found is None else {f"aws:{whose}OrgID": found.organization, f"aws:{whose}OrgPaths": (found.path,)}


def _levels(levels: tuple[Level, ...]) -> tuple[tuple[Document, ...], ...]:
    return tuple(tuple(_document(text, arn) for arn, text in level) for level in levels)
