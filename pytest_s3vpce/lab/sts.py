"""STS as the lab serves it: sessions of roles under their trust policies, tokens of users, and who one is."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.denials import sts_denial
from pytest_s3vpce.lab.judge import Question
from pytest_s3vpce.lab.keys import Caller, SessionKind, merged
from pytest_s3vpce.lab.mfa import Devices
from pytest_s3vpce.lab.queryprotocol import form_of
from pytest_s3vpce.lab.refused import Refused, not_served
from pytest_s3vpce.lab.stsanswers import answered, assumed, credentials, packed
from pytest_s3vpce.lab.stsforms import (
    SHORTEST,
    SessionForm,
    attached,
    check_name,
    check_role_arn,
    inherited_tag,
    invalid,
    packed_percent,
    seconds,
    session_form,
)
from pytest_s3vpce.markup import elements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from pytest_s3vpce.lab.judge import Judge
    from pytest_s3vpce.lab.keys import Keys, Tags
    from pytest_s3vpce.lab.resources import RoleState
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.visit import Visit
    from pytest_s3vpce.lab.wire import HttpResponse

_TARGET: Final = re.compile(r"(?:arn:aws[a-z-]*:iam::)?(?P<account>\d{12})(?::root)?", re.ASCII)
_TASK: Final = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/root-task/\w+")
_ANYTHING: Final = '{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
"""Task policies deny all but their task, and allow nothing: a session policy must."""
_UNSERVED: Final = ("ProvidedContexts.",)
_ROLE_DEFAULT, _ROLE_LONGEST, _CHAINED = 3600, 43_200, 3600
_USER_DEFAULT, _USER_LONGEST, _ROOT_LONGEST = 43_200, 129_600, 3600


class Sts:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html"""

    def __init__(self, state: State, keys: Keys, judge: Judge) -> None:
        self._state = state
        self._keys = keys
        self._judge = judge
        self._devices = Devices(lambda: state.backends("iam"))
        self._actions: Mapping[str, Callable[[Mapping[str, str], Visit], str]] = {
            "AssumeRole": self._assume_role,
            "AssumeRoot": self._assume_root,
            "GetCallerIdentity": self._identity,
            "GetFederationToken": self._federation_token,
            "GetSessionToken": self._session_token,
        }

    def handle(self, visit: Visit) -> HttpResponse:
        """The answer to a verified request; Refused where it is denied, wrong or not served."""
        form = form_of(visit.request)
        name = form.get("Action", "")
        action = self._actions.get(name)
        if action is None:
            raise not_served("sts", name)
        unserved = sorted(parameter for parameter in form if parameter.startswith(_UNSERVED))
        if unserved:
            raise Refused("NotImplemented", status=501, message=f"The lab's {name} does not take {unserved[0]}.")
        return answered(name, action(form, visit))

    def _identity(self, _form: Mapping[str, str], visit: Visit) -> str:
        """Whatever policies say. https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
        caller = visit.caller
        return elements(Arn=caller.arn, UserId=caller.userid or "", Account=caller.account or "")

    # roles

    def _assume_role(self, form: Mapping[str, str], visit: Visit) -> str:
        """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""
        arn = form.get("RoleArn", "")
        check_role_arn(arn)
        session_name = check_name(form, "RoleSessionName", longest=64)
        duration = seconds(form, default=_ROLE_DEFAULT, longest=_ROLE_LONGEST)
        given = check_name(form, "SourceIdentity", longest=64) if "SourceIdentity" in form else None
        asked = session_form(form)
        percent = packed_percent(asked)
        if visit.caller.is_root:
            raise Refused("AccessDenied", status=403, message="Roles may not be assumed by root accounts.")
        visit, mfa_at = self._with_device(form, visit)
        caller = visit.caller
        role = self._state.role(arn)
        if role is None or caller.session is SessionKind.FEDERATION:
            raise sts_denial(caller, action="sts:AssumeRole", resource=arn)
        tags, transitive = _session_tags(caller, asked)
        identity = caller.source_identity or given
        self._authorise_role(visit, role, _role_keys(form, role, asked, tags=tags, identity=identity))
        if given not in (None, identity):
            raise sts_denial(caller, action="sts:SetSourceIdentity", resource=role.arn)
        _check_limit(duration, caller, role)
        minted = self._keys.mint(
            role,
            session_name=session_name,
            now=visit.now,
            seconds=duration,
            policies=attached(self._state, asked, account=role.account) or None,
            tags=tags,
            transitive_tags=transitive,
            source_identity=identity,
            mfa_at=mfa_at,
        )
        extra = packed(percent) + (elements(SourceIdentity=identity) if identity else "")
        return f"{assumed(minted)}{extra}"

    def _with_device(self, form: Mapping[str, str], visit: Visit) -> tuple[Visit, datetime | None]:
        """The caller as one who showed a device just now, if that was so, and when."""
        if not self._devices.passed(form, visit.caller, now=visit.now):
            return visit, None
        return replace(visit, caller=replace(visit.caller, mfa_at=visit.now)), visit.now

    def _authorise_role(self, visit: Visit, role: RoleState, keys: Mapping[str, Any]) -> None:
        """Asks the trust policy for each thing that is done.

        A source identity stays through the chain, and so it needs its permission at each role:
        https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html
        """
        actions = {"sts:AssumeRole": True, "sts:TagSession": "aws:TagKeys" in keys}
        actions["sts:SetSourceIdentity"] = "sts:SourceIdentity" in keys
        for action in (name for name, is_done in actions.items() if is_done):
            question = Question(
                action=action,
                resource=role.arn,
                owner=role.account,
                resource_policy=role.trust_policy,
                endpoint=visit.path.endpoint,
                context={**visit.keys(), **keys},
            )
            self._require(visit.caller, question)

    def _require(self, caller: Caller, question: Question) -> None:
        decision = self._judge.decide(caller, question)
        if not decision.allowed:
            raise sts_denial(caller, action=question.action, resource=question.resource, decision=decision)

    def _assume_root(self, form: Mapping[str, str], visit: Visit) -> str:
        """A member account's root user, for one task; from the management account alone.

        https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoot.html
        """
        target, task = form.get("TargetPrincipal", ""), form.get("TaskPolicyArn.arn", "")
        duration = seconds({"DurationSeconds": form.get("DurationSeconds", str(SHORTEST))}, default=0, longest=SHORTEST)
        named = _TARGET.fullmatch(target)
        if named is None:
            raise invalid(f"{target} is invalid")
        caller, account = visit.caller, named["account"]
        arn = f"arn:{visit.partition}:iam::{account}:root"
        member = self._state.membership(account)
        text = self._state.managed_policy(task, account=account) if _TASK.fullmatch(task) else None
        managed = member is not None and not member.is_management and member.management_account == caller.account
        if not managed or text is None:
            raise sts_denial(caller, action="sts:AssumeRoot", resource=arn)
        question = Question(
            action="sts:AssumeRoot",
            resource=arn,
            owner=visit.account,
            resource_policy=None,
            endpoint=visit.path.endpoint,
            context={**visit.keys(), "sts:TaskPolicyArn": task},
        )
        self._require(caller, question)
        root = _root(arn, account=account, task=text, source_identity=caller.source_identity)
        extra = elements(SourceIdentity=root.source_identity) if root.source_identity else ""
        return credentials(self._keys.issue(root, now=visit.now, seconds=duration)) + extra

    # users

    def _session_token(self, form: Mapping[str, str], visit: Visit) -> str:
        """A user's or root's own session: no permission needed, nothing limited but what it may call.

        https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
        """
        _check_long_term(visit.caller, "GetSessionToken")
        duration = _user_seconds(form, visit.caller)
        visit, mfa_at = self._with_device(form, visit)
        session = replace(visit.caller, session=SessionKind.USER, mfa_at=mfa_at)
        return credentials(self._keys.issue(session, now=visit.now, seconds=duration))

    def _federation_token(self, form: Mapping[str, str], visit: Visit) -> str:
        """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html"""
        caller, account = visit.caller, visit.account
        name = check_name(form, "Name", longest=32)
        duration = _user_seconds(form, caller)
        asked = session_form(form)
        percent = packed_percent(asked)
        _check_long_term(caller, "GetFederationToken")
        arn = f"arn:{visit.partition}:sts::{account}:federated-user/{name}"
        keys, endpoint = {**visit.keys(), **_tag_keys(asked, asked.tags)}, visit.path.endpoint
        for action in ("sts:GetFederationToken", "sts:TagSession") if asked.tags else ("sts:GetFederationToken",):
            question = Question(
                action=action, resource=arn, owner=account, resource_policy=None, endpoint=endpoint, context=keys
            )
            self._require(caller, question)
        session = Caller(
            arn=arn,
            account=account,
            principal_arn=arn,
            userid=f"{account}:{name}",
            session_policies=attached(self._state, asked, account=account),
            tags=merged(caller.tags, asked.tags),
            user_arn=caller.arn,
            session=SessionKind.FEDERATION,
        )
        user = elements(FederatedUserId=f"{account}:{name}", Arn=arn)
        minted = self._keys.issue(session, now=visit.now, seconds=duration)
        return f"{credentials(minted)}<FederatedUser>{user}</FederatedUser>{packed(percent)}"


def _session_tags(caller: Caller, asked: SessionForm) -> tuple[Tags, Tags]:
    """All tags of a role's session, and those that go on to the next; what is inherited can't be given anew."""
    inherited = {name.lower() for name, _ in caller.transitive_tags}
    if any(name.lower() in inherited for name, _ in asked.tags):
        raise inherited_tag()
    tags = merged(caller.transitive_tags, asked.tags)
    return tags, tuple(tag for tag in tags if tag[0].lower() in asked.transitive | inherited)


def _role_keys(
    form: Mapping[str, str], role: RoleState, asked: SessionForm, *, tags: Tags, identity: str | None
) -> dict[str, Any]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-sts"""
    keys: dict[str, Any] = {
        **_tag_keys(asked, tags),
        **{f"{service}:ResourceTag/{name}": value for name, value in role.tags for service in ("aws", "iam")},
        "sts:RoleSessionName": form["RoleSessionName"],
        **{f"sts:{name}": form[name] for name in ("ExternalId", "DurationSeconds") if name in form},
    }
    return keys if identity is None else {**keys, "sts:SourceIdentity": identity}


def _root(arn: str, *, account: str, task: str, source_identity: str | None) -> Caller:
    return Caller(
        arn=arn,
        account=account,
        principal_arn=arn,
        userid=account,
        is_root=True,
        session_policies=(task, _ANYTHING),
        session=SessionKind.ROOT,
        source_identity=source_identity,
        brought=(("aws:AssumedRoot", "true"),),
    )


def _check_long_term(caller: Caller, call: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_sts-comparison.html"""
    if caller.session is not None:
        raise Refused("AccessDenied", status=403, message=f"Cannot call {call} with session credentials")


def _user_seconds(form: Mapping[str, str], caller: Caller) -> int:
    """Root's sessions end after an hour, whatever was asked for."""
    asked = seconds(form, default=_USER_DEFAULT, longest=_USER_LONGEST)
    return min(asked, _ROOT_LONGEST) if caller.is_root else asked


def _check_limit(duration: int, caller: Caller, role: RoleState) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use.html#id_roles_use_view-role-max-session"""
    if caller.session is SessionKind.ROLE and duration > _CHAINED:
        raise invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        )
    if duration > role.max_session_seconds:
        raise invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")


def _tag_keys(asked: SessionForm, tags: Tags) -> dict[str, Any]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-sts"""
    if not tags:
        return {}
    keys: dict[str, Any] = {f"aws:RequestTag/{name}": value for name, value in tags}
    keys["aws:TagKeys"] = tuple(name for name, _ in tags)
    if asked.transitive:
        keys["sts:TransitiveTagKeys"] = tuple(name for name, _ in asked.tags if name.lower() in asked.transitive)
    return keys
