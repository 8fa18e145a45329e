"""STS as the lab serves it: AssumeRole under the role's trust policy, and GetCallerIdentity."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.lab.denials import sts_denial
from pytest_s3vpce.lab.judge import Question
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.wire import HttpResponse
from pytest_s3vpce.policy import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from pytest_s3vpce.lab.judge import Judge
    from pytest_s3vpce.lab.keys import Caller, Keys, Minted
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"
_SESSION_NAME: Final = re.compile(r"[\w+=,.@-]{2,64}")
_POLICY_LIMIT: Final = 2048
_MOST_POLICIES: Final = 10
_POLICY_ARN: Final = re.compile(r"PolicyArns\.member\.\d+\.arn")
_UNSERVED: Final = ("Tags.", "TransitiveTagKeys.", "SourceIdentity", "SerialNumber", "ProvidedContexts.")
_SHORTEST, _DEFAULT, _CHAINED = 900, 3600, 3600


class Sts:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html"""

    def __init__(self, state: State, keys: Keys, judge: Judge) -> None:
        self._state = state
        self._keys = keys
        self._judge = judge
        self._actions: Mapping[str, Callable[..., str]] = {
            "AssumeRole": self._assume_role,
            "GetCallerIdentity": self._identity,
        }

    def handle(
        self, request: HttpRequest, caller: Caller, *, context: Mapping[str, Any], now: datetime
    ) -> HttpResponse:
        """The answer to a verified request; Refused where it is denied, wrong or not served."""
        query = request.body.decode("utf-8", errors="replace") or request.target.partition("?")[2]
        form = dict(parse_qsl(query, keep_blank_values=True))
        name = form.get("Action", "")
        action = self._actions.get(name)
        if action is None:
            raise Refused("NotImplemented", status=501, message=f"The lab has no such operation of sts: {name}.")
        result = action(form, caller, context=context, now=now)
        request_id = str(uuid.uuid4())
        text = (
            f'<{name}Response xmlns="{_NAMESPACE}"><{name}Result>{result}</{name}Result>'
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>"
        )
        headers = (("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id))
        return HttpResponse(status=200, headers=headers, body=text.encode())

    def _identity(self, _form: Mapping[str, str], caller: Caller, **_: Any) -> str:
        return _elements(Arn=caller.arn, UserId=caller.userid or "", Account=caller.account or "")

    def _assume_role(
        self, form: Mapping[str, str], caller: Caller, *, context: Mapping[str, Any], now: datetime
    ) -> str:
        arn, session_name = form.get("RoleArn", ""), form.get("RoleSessionName", "")
        seconds = _seconds(form, session_name)
        inline = _inline_policy(form)
        denied = sts_denial(caller, action="sts:AssumeRole", resource=arn)
        if caller.is_root:
            raise Refused("AccessDenied", status=403, message="Roles may not be assumed by root accounts.")
        role = self._state.role(arn)
        if role is None:
            raise denied
        keys = {"sts:RoleSessionName": session_name}
        if "ExternalId" in form:
            keys["sts:ExternalId"] = form["ExternalId"]
        question = Question(
            action="sts:AssumeRole",
            resource=arn,
            owner=role.account,
            resource_policy=role.trust_policy,
            context={**context, **keys},
        )
        if not self._judge.decide(caller, question).allowed:
            raise denied
        limit = _CHAINED if ":assumed-role/" in caller.arn else role.max_session_seconds
        if seconds > limit:
            raise _invalid(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role, or the 1 hour session "
                "limit for roles assumed by role chaining"
            )
        policies = self._session_policies(form, inline, account=role.account)
        minted = self._keys.mint(role, session_name=session_name, now=now, seconds=seconds, policies=policies)
        return _session(minted, role_id=role.id, session_name=session_name)

    def _session_policies(
        self, form: Mapping[str, str], inline: tuple[str, ...], *, account: str
    ) -> tuple[str, ...] | None:
        """The inline policy and the managed ones, of the role's account; None where the session is not limited."""
        arns = [value for name, value in form.items() if _POLICY_ARN.fullmatch(name)]
        if len(arns) > _MOST_POLICIES:
            raise _invalid(f"Value at 'policyArns' failed to satisfy constraint: at most {_MOST_POLICIES} policies")
        managed = []
        for arn in arns:
            text = self._state.managed_policy(arn, account=account)
            if text is None:
                raise _malformed(f"Policy {arn} does not exist or is not attachable.")
            managed.append(text)
        return (*inline, *managed) or None


def _seconds(form: Mapping[str, str], session_name: str) -> int:
    """The session's duration; STS checks it, and the session's name, before it looks at the role."""
    if not _SESSION_NAME.fullmatch(session_name):
        raise _invalid(f"Value '{session_name}' at 'roleSessionName' failed to satisfy constraint")
    text = form.get("DurationSeconds", str(_DEFAULT))
    if not text.isdigit() or int(text) < _SHORTEST:
        raise _invalid(f"Value '{text}' at 'durationSeconds' failed to satisfy constraint: at least {_SHORTEST}")
    unserved = sorted(name for name in form if name.startswith(_UNSERVED))
    if unserved:
        raise Refused("NotImplemented", status=501, message=f"The lab's AssumeRole does not take {unserved[0]}.")
    return int(text)


def _inline_policy(form: Mapping[str, str]) -> tuple[str, ...]:
    policy = form.get("Policy")
    if policy is None:
        return ()
    if len(policy) > _POLICY_LIMIT:
        raise _invalid(f"Value at 'policy' failed to satisfy constraint: at most {_POLICY_LIMIT} characters")
    try:
        parse(policy, name="session policy")
    except PolicyError as error:
        raise _malformed(f"This policy contains invalid Json or a wrong element: {error.what}") from error
    return (policy,)


def _malformed(message: str) -> Refused:
    return Refused("MalformedPolicyDocument", status=400, message=message)


def _invalid(message: str) -> Refused:
    return Refused("ValidationError", status=400, message=message)


def _session(minted: Minted, *, role_id: str, session_name: str) -> str:
    credentials = _elements(
        AccessKeyId=minted.access_key_id,
        SecretAccessKey=minted.secret_access_key,
        SessionToken=minted.session_token,
        Expiration=minted.expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    user = _elements(AssumedRoleId=f"{role_id}:{session_name}", Arn=minted.caller.arn)
    return f"<Credentials>{credentials}</Credentials><AssumedRoleUser>{user}</AssumedRoleUser>"


def _elements(**values: str) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())
