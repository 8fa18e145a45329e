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
        seconds, policies = _checked(form, session_name)
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
        minted = self._keys.mint(role, session_name=session_name, now=now, seconds=seconds, policies=policies)
        return _session(minted, role_id=role.id, session_name=session_name)


def _checked(form: Mapping[str, str], session_name: str) -> tuple[int, tuple[str, ...] | None]:
    """Duration and session policies, as STS checks them before it looks at the role."""
    if not _SESSION_NAME.fullmatch(session_name):
        raise _invalid(f"Value '{session_name}' at 'roleSessionName' failed to satisfy constraint")
    text = form.get("DurationSeconds", str(_DEFAULT))
    if not text.isdigit() or int(text) < _SHORTEST:
        raise _invalid(f"Value '{text}' at 'durationSeconds' failed to satisfy constraint: at least {_SHORTEST}")
    unserved = sorted(name for name in form if name.startswith(("PolicyArns.", "Tags.", "TransitiveTagKeys.")))
    if unserved:
        raise Refused("NotImplemented", status=501, message=f"The lab's AssumeRole does not take {unserved[0]}.")
    policy = form.get("Policy")
    if policy is None:
        return int(text), None
    if len(policy) > _POLICY_LIMIT:
        raise _invalid(f"Value at 'policy' failed to satisfy constraint: at most {_POLICY_LIMIT} characters")
    try:
        parse(policy, name="session policy")
    except PolicyError as error:
        message = f"This policy contains invalid Json or a wrong element: {error.what}"
        raise Refused("MalformedPolicyDocument", status=400, message=message) from error
    return int(text), (policy,)


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
