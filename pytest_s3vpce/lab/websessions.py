"""Sessions of roles for whoever an identity provider vouches for.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.judge import Question
from pytest_s3vpce.lab.keys import ANONYMOUS
from pytest_s3vpce.lab.queryprotocol import form_of
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.stsanswers import answered, assumed, packed
from pytest_s3vpce.lab.stsforms import (
    attached,
    check_name,
    check_role_arn,
    invalid,
    packed_percent,
    seconds,
    session_form,
)
from pytest_s3vpce.lab.webidentities import OPERATION, identity_in, region_of, trust_of
from pytest_s3vpce.markup import elements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.judge import Judge
    from pytest_s3vpce.lab.keys import Keys
    from pytest_s3vpce.lab.resources import RoleState
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.visit import Visit
    from pytest_s3vpce.lab.webidentities import Identity
    from pytest_s3vpce.lab.wire import HttpResponse
    from pytest_s3vpce.network.topology import Endpoint

ACTION: Final = f"sts:{OPERATION}"
_DEFAULT, _LONGEST = 3600, 43_200


class WebSessions:
    """Gives them out: to whom the role's trust policy lets in."""

    def __init__(self, state: State, keys: Keys, judge: Judge) -> None:
        self._state = state
        self._keys = keys
        self._judge = judge

    def handle(self, visit: Visit) -> HttpResponse:
        """The answer to an unsigned request; Refused where it is denied or wrong."""
        form, now = form_of(visit.request), visit.now
        arn = form.get("RoleArn", "")
        check_role_arn(arn)
        name = check_name(form, "RoleSessionName", longest=64)
        duration = seconds(form, default=_DEFAULT, longest=_LONGEST)
        asked = session_form(form)
        percent = packed_percent(asked)
        _, partition, _, _, account, _ = arn.split(":", 5)
        backends = self._state.backends("iam")
        token = form.get("WebIdentityToken", "")
        identity = identity_in(token, backends, account=account, partition=partition, now=now)
        keys = {**visit.keys(region=region_of(visit.request)), "sts:RoleSessionName": name}
        role = self._trusting(arn, identity, endpoint=visit.path.endpoint, context=keys)
        if duration > role.max_session_seconds:
            raise invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
        minted = self._keys.mint(
            role,
            session_name=name,
            now=now,
            seconds=duration,
            policies=attached(self._state, asked, account=account) or None,
            brought=identity.brought,
        )
        said = elements(
            SubjectFromWebIdentityToken=identity.subject, Audience=identity.audience, Provider=identity.provider
        )
        return answered(OPERATION, f"{assumed(minted)}{said}{packed(percent)}")

    def _trusting(
        self, arn: str, identity: Identity, *, endpoint: Endpoint | None, context: Mapping[str, Any]
    ) -> RoleState:
        """The role, if its trust policy lets this identity in."""
        role = self._state.role(arn)
        if role is not None:
            question = Question(
                action=ACTION,
                resource=role.arn,
                owner=role.account,
                resource_policy=trust_of(role.trust_policy, identity.provider),
                endpoint=endpoint,
                context={**context, **identity.keys},
            )
            if self._judge.decide(ANONYMOUS, question).allowed:
                return role
        raise Refused("AccessDenied", status=403, message=f"Not authorized to perform {ACTION}")
