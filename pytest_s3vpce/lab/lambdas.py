"""Lambda as the lab serves it: who may invoke which function, and whether a function's role trusts Lambda."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote

from pytest_s3vpce.lab import functionchecks
from pytest_s3vpce.lab.denials import lambda_denial
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.lab.functionstates import FunctionStates
from pytest_s3vpce.lab.judge import Question
from pytest_s3vpce.lab.keys import Caller, SessionKind
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.wire import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.lab.compute import Functions
    from pytest_s3vpce.lab.judge import Judge
    from pytest_s3vpce.lab.resources import FunctionState, RoleState
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.visit import Visit
    from pytest_s3vpce.lab.wire import HttpRequest

_INVOKE: Final = re.compile(r"/2015-03-31/functions/(?P<name>[^/?]+)/invocations(?:\?.*)?")
_FUNCTION: Final = re.compile(r"/2015-03-31/functions/(?P<name>[^/?]+)(?:\?.*)?")
_ROLE_SETTERS: Final = re.compile(r"POST /2015-03-31/functions/?|PUT /2015-03-31/functions/[^/]+/configuration")
_FUNCTION_NAME: Final = re.compile(
    r"(?:(?:arn:aws[a-z-]*:lambda:(?P<region>[a-z0-9-]+):)?(?P<account>\d{12}):function:)?(?P<name>[\w-]+)"
    r"(?::(?P<qualifier>[$\w-]+))?"
)
"""https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_RequestParameters"""
_LAMBDA: Final = Caller(arn="service:lambda.amazonaws.com")
_INVOKE_ACTION: Final = "lambda:InvokeFunction"


class Lambda:
    """What of Lambda is not left to the state behind."""

    def __init__(
        self,
        state: State,
        judge: Judge,
        functions: Functions,
        *,
        delay: float = 0.0,
        enforce: Enforcement = Enforcement.DEFAULT,
    ) -> None:
        self._state = state
        self._judge = judge
        self._functions = functions
        self._states = FunctionStates(delay=delay)
        self._enforce = enforce

    def handle(self, visit: Visit) -> HttpResponse | None:
        """The answer to an invocation; None for all else, which is left to the state behind."""
        request, caller, region = visit.request, visit.caller, visit.region
        invoked = _INVOKE.fullmatch(request.target)
        if invoked is None or request.method != "POST":
            return None
        name = unquote(invoked["name"])
        named = _FUNCTION_NAME.fullmatch(name)
        if named is None:
            message = f"Value '{name}' at 'functionName' failed to satisfy constraint"
            raise Refused("ValidationException", status=400, message=message)
        account, place = named["account"] or visit.account, named["region"] or region
        arn = f"arn:{visit.partition}:lambda:{place}:{account}:function:{named['name']}"
        asked = parse_qs(request.target.partition("?")[2]).get("Qualifier", [None])[0]
        qualifier = named["qualifier"] or asked
        found = self._state.function(account, region, named["name"], qualifier=qualifier) if place == region else None
        if found is None and account == caller.account:
            shown = f"{arn}:{qualifier}" if qualifier else arn
            raise Refused("ResourceNotFoundException", status=404, message=f"Function not found: {shown}")
        self._authorise(visit, arn, found, account=account)
        assert found is not None  # nobody may invoke what is not there in another account
        return self._invoke(request, found)

    def check(self, visit: Visit) -> None:
        """Raises Lambda's refusal of settings that can't be, and of changes out of season: of whom may ask alone."""
        functionchecks.check(visit.request)
        self._check_role(visit.request)
        arn_of = f"arn:{visit.partition}:lambda:{visit.region}:{visit.account}:function:"
        self._states.check_change(visit.request, arn_of=arn_of)

    def _authorise(self, visit: Visit, arn: str, found: FunctionState | None, *, account: str) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html"""
        question = Question(
            action=_INVOKE_ACTION,
            resource=arn,
            owner=account,
            resource_policy=None if found is None else self._state.function_policy(found.spec),
            endpoint=visit.path.endpoint,
            context=visit.keys(),
        )
        decision = self._judge.decide(visit.caller, question)
        visit.note.update(operation="Invoke", function=arn)
        visit.decided(_INVOKE_ACTION, decision)
        if not decision.allowed:
            raise lambda_denial(decision, caller=visit.caller, action=_INVOKE_ACTION, resource=arn)

    def _invoke(self, request: HttpRequest, found: FunctionState) -> HttpResponse:
        """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""
        kind = request.header("x-amz-invocation-type") or "RequestResponse"
        if kind == "DryRun":
            return HttpResponse(status=204, headers=(), body=b"")
        if kind not in ("RequestResponse", "Event"):
            message = f"Value '{kind}' at 'invocationType' failed to satisfy constraint"
            raise Refused("InvalidParameterValueException", status=400, message=message)
        self._states.check_invoke(found.spec.arn)
        _check_runs(found)
        placement = found.placement(self._state.topology(found.spec.account, found.spec.region))
        call = partial(self._functions.invoke, found.spec, payload=request.body or b"{}", placement=placement)
        if kind == "Event":
            threading.Thread(target=_in_background, args=(call,), name="lab-event", daemon=True).start()
            return HttpResponse(status=202)
        result = call()
        headers = [("Content-Type", "application/json"), ("X-Amz-Executed-Version", found.version)]
        if result.function_error:
            headers.append(("X-Amz-Function-Error", result.function_error))
        if (request.header("x-amz-log-type") or "").lower() == "tail":
            headers.append(("X-Amz-Log-Result", base64.b64encode(result.log_tail).decode()))
        return HttpResponse(status=result.status, headers=tuple(headers), body=result.payload)

    def _check_role(self, request: HttpRequest) -> None:
        """A function's role must trust Lambda. https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html"""
        if not _ROLE_SETTERS.fullmatch(f"{request.method} {request.target.partition('?')[0]}"):
            return
        role = self._state.role(_role_in(request.body))
        if role is None:
            return
        question = Question(
            action="sts:AssumeRole", resource=role.arn, owner=role.account, resource_policy=role.trust_policy
        )
        if not self._judge.decide(_LAMBDA, question).allowed:
            message = "The role defined for the function cannot be assumed by Lambda."
            raise Refused("InvalidParameterValueException", status=400, message=message)
        if self._enforce is Enforcement.ALL and functionchecks.has_network(request):
            self._check_interfaces(role)

    def _check_interfaces(self, role: RoleState) -> None:
        """With its role Lambda makes the interfaces of a function in a VPC.

        https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
        """
        who = Caller(
            arn=f"arn:{role.arn.split(':', 2)[1]}:sts::{role.account}:assumed-role/{role.name}/lambda",
            account=role.account,
            principal_arn=role.arn,
            session=SessionKind.ROLE,
        )
        for call in ("CreateNetworkInterface", "DescribeNetworkInterfaces", "DeleteNetworkInterface"):
            question = Question(action=f"ec2:{call}", resource="*", owner=role.account, resource_policy=None)
            if not self._judge.decide(who, question).allowed:
                message = f"The provided execution role does not have permissions to call {call} on EC2"
                raise Refused("InvalidParameterValueException", status=400, message=message)

    def answered(self, visit: Visit, answer: HttpResponse) -> HttpResponse:
        """What the state behind answered, with what it does not know; a deleted function's workers are stopped."""
        request = visit.request
        if request.method != "DELETE":
            return self._states.answered(request, answer)
        deleted = _FUNCTION.fullmatch(request.target)
        if deleted is not None:
            name = unquote(deleted["name"])
            place = f"arn:{visit.partition}:lambda:{visit.region}:{visit.account}"
            arn = name if name.startswith("arn:") else f"{place}:function:{name}"
            self._functions.forget(arn)
            self._states.forget(arn)
        return answer


def _check_runs(found: FunctionState) -> None:
    """Raises what keeps a function from running: that it may not, or that the lab can't."""
    if found.concurrency == 0:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
        raise Refused("TooManyRequestsException", status=429, message="Rate Exceeded.")
    if not found.runtime.startswith("python"):
        shown = f"`{found.runtime}`" if found.runtime else "a container image"
        raise Refused("NotImplemented", status=501, message=f"The lab runs Python only, not {shown}.")


def _in_background(call: Callable[[], object]) -> None:
    """Once: AWS would try a failed one again, minutes later.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
    """
    with contextlib.suppress(Refused):
        call()


def _role_in(body: bytes) -> str:
    """The role that a function's settings name; empty where they name none or can't be read."""
    try:
        settings = json.loads(body)
    except ValueError:
        return ""
    named = settings.get("Role") if isinstance(settings, dict) else None
    return named if isinstance(named, str) else ""
