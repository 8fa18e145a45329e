"""The one decision: how AWS answers an S3 request under all the policies that apply to it.

Pure: no I/O, no clock, no SDK. An explicit deny anywhere wins; else every gate must allow:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.policy.acl import ALL_USERS, Acl, AclGrant
from pytest_s3vpce.policy.asked import Asked
from pytest_s3vpce.policy.encryption import question_to_kms
from pytest_s3vpce.policy.layers import Layer, Policies, Unknown, grants_alone, layers_of
from pytest_s3vpce.policy.principals import LIMITABLE, CallerKind, Grant, caller_of
from pytest_s3vpce.policy.reasons import reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.policy.asked import Request
    from pytest_s3vpce.policy.documents import Document, Statement
    from pytest_s3vpce.policy.explanation import Explanation


class Effect(StrEnum):
    """Of a decision, and of each layer that took part. The names are those of AWS's own decision vocabulary."""

    ALLOW = "allow"
    NO_IMPACT = "no_impact"
    """Of a layer only: its allow was not needed."""
    IMPLICIT_DENY = "implicit_deny"
    EXPLICIT_DENY = "explicit_deny"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What AWS would answer. `layer`, `policy` and `statement` name what decided a denial; None for an allow."""

    effect: Effect
    layer: str | None = None
    policy: str | None = None
    statement: str | None = None
    layers: Mapping[str, Effect]
    case: Case = field(repr=False, compare=False)
    """What was decided on, for those who ask why."""

    @property
    def allowed(self) -> bool:
        return self.effect is Effect.ALLOW

    @property
    def reason(self) -> str:
        """The decision's cause in one sentence, with actual and wanted values."""
        return reason_of(self)

    def explain(self) -> Explanation:
        """Per layer the statements that matched, what kept the others, and near misses; `str()` is for people."""
        from pytest_s3vpce.policy.explanation import explain

        return explain(self)


@dataclass(slots=True)
class Case:
    """What a decision was made on: the question, the policies, the answer of KMS, the deny that decided."""

    asked: Asked
    policies: Policies
    kms: Decision | None = None
    deny: tuple[Document, Statement] | None = None

    def again(self, policies: Policies) -> Decision:
        """The decision on the same question under other policies, KMS apart."""
        return _decided(Case(self.asked, policies, self.kms))


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
    "kms",
)
_IMPLICIT_ORDER: Final = ("scp", "vpc_endpoint", "identity", "resource", "permissions_boundary", "session", "kms")
_NOTHING: Final = Layer()
_KMS: Final = "kms:"
# Where the resource's own policy must allow even in one account: role trust policies and KMS key policies.
_MANDATORY: Final = ("sts:assumerole", _KMS)
# KMS's own calls that are on no key, so that no key's policy is asked:
# https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html
_ON_NO_KEY: Final = frozenset(
    f"kms:{name}"
    for name in (
        "connectcustomkeystore",
        "createcustomkeystore",
        "createkey",
        "deletecustomkeystore",
        "describecustomkeystores",
        "disconnectcustomkeystore",
        "generaterandom",
        "listaliases",
        "listkeys",
        "updatecustomkeystore",
    )
)
# Asked of the trust policy too where a role is assumed with tags or a source identity:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
_MANDATORY_ON_ROLES: Final = frozenset({"sts:tagsession", "sts:setsourceidentity"})
# The root user of the bucket's account keeps these whatever the bucket policy says:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html
_OWNER_ROOT_KEEPS: Final = frozenset({"s3:getbucketpolicy", "s3:putbucketpolicy", "s3:deletebucketpolicy"})


def decide(request: Request, policies: Policies) -> Decision:
    """The decision on a request. Raises PolicyError where the principal is of no known form."""
    if isinstance(policies.acl, Unknown):
        return _with_any_acl(request, policies)
    # A boundary that could not be read may not be there: it leaves the request undecided by itself.
    bounded = isinstance(policies.permissions_boundary, tuple)
    asked = Asked(request, bounded=bounded, doubts=policies.doubts)
    question = question_to_kms(asked, policies)
    kms = None if question is None else decide(*question)
    if kms is not None and asked.action.startswith(_KMS):
        return _of_key(kms)
    return _decided(Case(asked, policies, kms))


def _decided(case: Case) -> Decision:
    layers = layers_of(case.asked, case.policies)
    effects = _effects(layers, case.asked, readable=False)
    if case.kms is not None:
        effects["kms"] = case.kms.effect
    found = effects.values()
    if Effect.EXPLICIT_DENY in found:
        name = next(name for name in _EXPLICIT_ORDER if effects.get(name) is Effect.EXPLICIT_DENY)
        return _explicit(name, case, effects, deny=None if name == "kms" else layers[name].deny)
    if Effect.IMPLICIT_DENY in found:
        name = next(name for name in _IMPLICIT_ORDER if effects.get(name) is Effect.IMPLICIT_DENY)
        return Decision(effect=Effect.IMPLICIT_DENY, layer=name, layers=effects, case=case)
    if Effect.UNKNOWN not in found:
        return Decision(effect=Effect.ALLOW, layers=effects, case=case)
    if effects.get("resource") is Effect.UNKNOWN:
        # What the others say without it: that it might grant is no reason to call their refusals unneeded.
        effects = {**effects, **_effects(layers, case.asked, readable=True)}
    return Decision(effect=Effect.UNKNOWN, layers=effects, case=case)


def _explicit(
    name: str, case: Case, effects: Mapping[str, Effect], *, deny: tuple[Document, Statement] | None
) -> Decision:
    if deny is None:
        assert case.kms is not None
        policy, statement = case.kms.policy, case.kms.statement
    else:
        policy, statement = deny[0].name or ("resource" if name == "block_public_access" else name), deny[1].name
        case.deny = deny
    return Decision(
        effect=Effect.EXPLICIT_DENY, layer=name, policy=policy, statement=statement, layers=effects, case=case
    )


def _of_key(found: Decision) -> Decision:
    """A decision on a request to KMS itself: the key's policy is the resource's."""
    layers = {"kms" if name == "resource" else name: effect for name, effect in found.layers.items()}
    return replace(found, layer="kms" if found.layer == "resource" else found.layer, layers=layers)


def _with_any_acl(request: Request, policies: Policies) -> Decision:
    """The decision where the ACL could not be read: it may grant all or nothing, and never denies."""
    account = caller_of(request.principal).account or ""
    grants = (AclGrant(ALL_USERS, "FULL_CONTROL"), AclGrant(account, "FULL_CONTROL"))
    least, most = (decide(request, replace(policies, acl=acl)) for acl in (None, Acl(grants=grants)))
    if least.effect is most.effect:
        # Of two denials that is named which holds whatever the list says.
        found = least if least.allowed else most
        return replace(found, layers={**found.layers, "acl": Effect.NO_IMPACT})
    found = least if least.effect is Effect.UNKNOWN else most
    return replace(found, effect=Effect.UNKNOWN, layers={**found.layers, "acl": Effect.UNKNOWN})


# --- the layers together ---------------------------------------------------------------------------------------------


def _effects(layers: Mapping[str, Layer], asked: Asked, *, readable: bool) -> dict[str, Effect]:
    """The effect of each layer, given the others: an allow that was not needed is `no_impact`.

    A resource policy that could not be read grants at its best; with `readable` it grants nothing.
    """
    effects = {name: _own(row) for name, row in layers.items()}
    resource, acl = layers.get("resource", _NOTHING), layers.get("acl", _NOTHING)
    own = Grant.NONE if readable and resource.unknown else resource.grant
    grant = max(own, acl.grant)
    limitable = asked.caller.kind in LIMITABLE
    needed = effects.get("identity") is not Effect.ALLOW and not grants_alone(own, asked)
    if asked.same and grants_alone(grant, asked):
        _waive(effects, "identity")
        for limit in ("permissions_boundary", "session"):
            if _bypasses(grant, asked, limit=limit, sessions="session" in layers):
                _waive(effects, limit)
    if not asked.same or _mandatory(asked):
        if resource.grant is Grant.NONE and resource.deny is None:
            effects["resource"] = Effect.IMPLICIT_DENY
        if "acl" in layers:
            needed = effects["resource"] is Effect.IMPLICIT_DENY
            _by_list(effects, needed=needed, without=Effect.UNKNOWN if resource.unknown else Effect.NO_IMPACT)
        return effects
    _waive(effects, "resource")
    if limitable and not grants_alone(own, asked) and effects.get("resource") is Effect.ALLOW:
        effects["resource"] = Effect.NO_IMPACT
    if asked.caller.kind is CallerKind.ROOT and "resource" in effects and asked.action in _OWNER_ROOT_KEEPS:
        # Its denies do not count; a grant that could not be read may still let in what the session does not allow.
        limited = "session" in layers and not layers["session"].allows
        effects["resource"] = Effect.UNKNOWN if resource.unknown and limited else Effect.NO_IMPACT
    if "acl" in layers and not (limitable and needed and grants_alone(acl.grant, asked)):
        effects["acl"] = Effect.NO_IMPACT
    return effects


def _by_list(effects: dict[str, Effect], *, needed: bool, without: Effect) -> None:
    """An ACL stands in for the resource's policy where that allows nothing; else it has no part.

    `without` is what the resource's policy then is: one that could not be read may still deny.
    """
    if not needed:
        effects["acl"] = Effect.NO_IMPACT
    elif effects["acl"] is Effect.ALLOW:
        effects["resource"] = without


def _mandatory(asked: Asked) -> bool:
    on_role = asked.action in _MANDATORY_ON_ROLES and ":role/" in asked.resource
    return on_role or (asked.action.startswith(_MANDATORY) and asked.action not in _ON_NO_KEY)


def _own(row: Layer) -> Effect:
    if row.deny is not None:
        return Effect.EXPLICIT_DENY
    if row.unknown:
        return Effect.UNKNOWN
    return Effect.ALLOW if row.allows else Effect.IMPLICIT_DENY


def _bypasses(grant: Grant, asked: Asked, *, limit: str, sessions: bool) -> bool:
    """Whether implicit denies of a boundary or session do not limit the resource's grant, in one account.

    A user with a session policy is a federated session of the user: a grant to the user is limited there.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    """
    if grant is Grant.EVERYBODY:
        return limit in asked.doubts.everybody_passes
    if grant is Grant.SESSION:
        return True
    return grant is Grant.USER and asked.caller.kind is CallerKind.USER and not sessions


def _waive(effects: dict[str, Effect], name: str) -> None:
    if effects.get(name) is Effect.IMPLICIT_DENY:
        effects[name] = Effect.NO_IMPACT
