"""A decision's denial in the words of the service that was asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.calibration import NONE
from pytest_s3vpce.lab.judge import Relation
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.policy import Effect
from pytest_s3vpce.undocumented import RULES, UNNAMED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.calibration import Calibration
    from pytest_s3vpce.lab.keys import Caller
    from pytest_s3vpce.policy import Decision

_POLICY_TYPES: Final[Mapping[str, str]] = {
    "identity": "identity-based policy",
    "resource": "resource-based policy",
    "permissions_boundary": "permissions boundary",
    "session": "session policy",
    "scp": "service control policy",
    "rcp": "resource control policy",
    "vpc_endpoint": "VPC endpoint policy",
    "block_public_access": "resource-based policy",
}
_QUERY_SERVICES: Final = ("iam:", "cloudformation:", "sns:", "autoscaling:", "rds:", "elasticloadbalancing:")
"""Those whose requests are forms, and whose denials are called otherwise than those of services that speak JSON."""
PLAIN: Final = "Access Denied"
_SHORT: Final = {"permissions_boundary": "boundary", "vpc_endpoint": "endpoint"}
"""Layers in the names of rules."""


def s3_denial(
    decision: Decision,
    *,
    caller: Caller,
    action: str,
    resource: str,
    relation: Relation,
    calibration: Calibration = NONE,
) -> Refused:
    """S3's 403, with the reason for callers of the bucket's account or organization; plain for others.

    Across accounts, an endpoint's policy is not told even in one organization:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html
    """
    across = calibration.value("message/endpoint-across-accounts")
    hidden = relation is Relation.ORGANIZATION and decision.layer == "vpc_endpoint" and across == UNNAMED
    message = PLAIN
    if not caller.anonymous and relation is not Relation.STRANGERS and not hidden:
        told = _told(decision, calibration)
        message = _reason(told, caller=caller, action=action, shown=f'on resource: "{resource}"')
    return Refused("AccessDenied", status=403, message=message)


def _told(decision: Decision, calibration: Calibration) -> Decision:
    """The decision as S3 tells it, where a calibration found that it tells another one."""
    effect = "explicit" if decision.effect is Effect.EXPLICIT_DENY else "implicit"
    rule = f"message/{_SHORT.get(decision.layer or '', decision.layer)}-{effect}"
    if calibration.value("message/policy-arn") != "named":
        decision = replace(decision, policy=None)
    if rule not in RULES or calibration.value(rule) == RULES[rule].assumed:
        return decision
    if calibration.value(rule) == UNNAMED:
        return replace(decision, layer=None)
    layer, _, effect = calibration.value(rule).partition(" ")
    told = Effect.EXPLICIT_DENY if effect == "explicit" else Effect.IMPLICIT_DENY
    return replace(decision, layer=layer, effect=told)


def s3_blocked(reason: str, *, caller: Caller, action: str, resource: str, relation: Relation) -> Refused:
    """The 403 of Block Public Access at a write; `reason` is the end of its sentence."""
    told = relation is not Relation.STRANGERS
    message = f'User: {caller.arn} is not authorized to perform: {action} on resource: "{resource}" {reason}'
    return Refused("AccessDenied", status=403, message=message if told else PLAIN)


def sts_denial(caller: Caller, *, action: str, resource: str, decision: Decision | None = None) -> Refused:
    """STS names the policies of the caller and its organization; that a trust policy does not allow is not told.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    """
    shown = f"on resource: {resource}"
    told = decision is not None and (decision.layer != "resource" or decision.effect is Effect.EXPLICIT_DENY)
    if decision is not None and told:
        message = _reason(decision, caller=caller, action=action, shown=shown)
    else:
        message = f"User: {caller.arn} is not authorized to perform: {action} {shown}"
    return Refused("AccessDenied", status=403, message=message)


def service_denial(decision: Decision, *, caller: Caller, action: str, resource: str) -> Refused:
    """Of services that are no others' case. EC2 has its own words.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    """
    if action.startswith("ec2:"):
        message = _reason(decision, caller=caller, action=action, shown=f"on resource: {resource}")
        return Refused(
            "UnauthorizedOperation", status=403, message=f"You are not authorized to perform this operation. {message}"
        )
    code = "AccessDenied" if action.startswith(_QUERY_SERVICES) else "AccessDeniedException"
    message = _reason(decision, caller=caller, action=action, shown=f"on resource: {resource}")
    return Refused(code, status=403 if code == "AccessDenied" else 400, message=message)


def lambda_denial(decision: Decision, *, caller: Caller, action: str, resource: str) -> Refused:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors"""
    message = _reason(decision, caller=caller, action=action, shown=f"on resource: {resource}")
    return Refused("AccessDeniedException", status=403, message=message)


def kms_denial(decision: Decision | None, *, caller: Caller, action: str, resource: str) -> Refused:
    """S3's 403 where KMS does not let the caller use the key; of the key's own policy it tells no more than this.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html
    """
    if decision is None or (decision.layer == "resource" and decision.effect is not Effect.EXPLICIT_DENY):
        message = (
            f"User: {caller.arn} is not authorized to perform: {action} on this resource because the resource does not "
            "exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly "
            "denies access"
        )
    else:
        message = _reason(decision, caller=caller, action=action, shown=f"on resource: {resource}")
    return Refused("AccessDenied", status=403, message=PLAIN if caller.anonymous else message)


def _reason(decision: Decision, *, caller: Caller, action: str, shown: str) -> str:
    head = f"User: {caller.arn} is not authorized to perform: {action} {shown}"
    kind = _POLICY_TYPES.get(decision.layer or "")
    if kind is None:
        return head
    if decision.effect is Effect.EXPLICIT_DENY:
        article = "an" if kind[0] == "i" else "a"
        # https://aws.amazon.com/blogs/security/enhanced-access-denied-error-messages-with-policy-arns
        named = f": {decision.policy}" if (decision.policy or "").startswith("arn:") else ""
        return f"{head} with an explicit deny in {article} {kind}{named}"
    return f"{head} because no {kind} allows the {action} action"
