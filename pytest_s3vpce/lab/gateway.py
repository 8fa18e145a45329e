"""The gateway: who asks, from where, which service; each request goes through here and is noted."""

from __future__ import annotations

import logging
import re
from collections import deque
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from pytest_s3vpce.calibration import NONE
from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.lab import faultdocuments, webidentities
from pytest_s3vpce.lab.authentication import authenticate
from pytest_s3vpce.lab.delays import USUAL, Delays
from pytest_s3vpce.lab.denials import service_denial
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.lab.judge import Judge, Question
from pytest_s3vpce.lab.keys import SessionKind
from pytest_s3vpce.lab.origin import Internet, source_of
from pytest_s3vpce.lab.refused import Refused, not_served
from pytest_s3vpce.lab.rooms import Rooms, Stacks
from pytest_s3vpce.lab.routing import Routing
from pytest_s3vpce.lab.s3 import S3
from pytest_s3vpce.lab.s3answers import finish
from pytest_s3vpce.lab.s3kms import key_policy
from pytest_s3vpce.lab.s3requests import is_control
from pytest_s3vpce.lab.signatures import Anonymous, Verified
from pytest_s3vpce.lab.visit import Visit
from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse, Unanswered
from pytest_s3vpce.network.names import VPCE, matches
from pytest_s3vpce.network.path import Dropped, Path, PathKind, internet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.calibration import Calibration
    from pytest_s3vpce.lab.attempts import Attempt
    from pytest_s3vpce.lab.authentication import Authentic
    from pytest_s3vpce.lab.compute import Functions
    from pytest_s3vpce.lab.keys import Keys
    from pytest_s3vpce.lab.onuse import OnUse
    from pytest_s3vpce.lab.origin import Placement
    from pytest_s3vpce.lab.ssm import Ssm
    from pytest_s3vpce.lab.state import State

_LOG: Final = logging.getLogger(__name__)
_SCOPE: Final = re.compile(r"Credential=[^/,&\s]+/\d+/[^/,&\s]+/(?P<service>[a-z0-9-]+)/aws4_request")
_HOST: Final = re.compile(r"(?P<service>(?!s3)[a-z0-9-]+)(?:\.[a-z]{2}[a-z-]*-\d)?\.amazonaws\.com(?:\.cn)?")
_SERVICE: Final = re.compile(r"[a-z0-9-]+")
"""What AWS calls services by; the state behind has rooms of its own by other names, which are nobody's to enter."""
_TARGET: Final = re.compile(r"(?:[\w.]+\.)?(?P<name>\w+)")
_ACTION: Final = re.compile(r"(?:^|&)Action=(?P<name>\w+)")
_NOTES: Final = 10_000


class Gateway:
    """Takes every request of the lab, whatever listener it came by."""

    def __init__(
        self,
        state: State,
        *,
        keys: Keys,
        functions: OnUse[Functions],
        ssm: OnUse[Ssm] | None = None,
        enforce: Enforcement = Enforcement.DEFAULT,
        log: Callable[[Mapping[str, Any]], None] | None = None,
        delays: Delays = USUAL,
        calibration: Calibration = NONE,
    ) -> None:
        self._state = state
        self._keys = keys
        self._ssm = ssm
        self._enforce = enforce
        self._judge = judge = Judge(state, calibration=calibration)
        self._s3 = S3(state, judge)
        self._routing = Routing(state, calibration=calibration)
        self._rooms = Rooms(
            state,
            keys=keys,
            judge=judge,
            routing=self._routing,
            functions=functions,
            delays=delays,
            enforce=enforce,
        )
        self._stacks = Stacks(self.handle, keys=keys)
        self._log = log
        self.notes: deque[dict[str, Any]] = deque(maxlen=_NOTES)
        """The last requests: who, from where, by which path, which action, decision and reason."""

    def handle(self, request: HttpRequest) -> HttpResponse:
        """The answer, in the words of the service that was asked; Unanswered where the network drops the request."""
        now = datetime.now(UTC)
        note: dict[str, Any] = {"at": now.isoformat(timespec="milliseconds"), "method": request.method}
        service = _claimed_service(request)
        authentic: Authentic | None = None
        try:
            authentic = authenticate(request, lookup=self._keys.lookup, now=now)
            request, service = authentic.request, _service_of(authentic, claimed=service)
            answer = self._answer(authentic, service=service, now=now, note=note)
        except Unanswered as lost:
            named = {"service": service, "operation": _operation_of(request, service=service)}
            self._note({**note, **named, "status": None, "reason": str(lost)})
            self._rooms.cross(request, service, answer=None)
            raise
        except Refused as refused:
            note["code"] = refused.code
            answer = faultdocuments.document(refused, service=service, request=request)
        except PolicyError as error:
            _LOG.warning("a stored policy can't be read: %s", error)
            broken = Refused("InternalError", status=500, message="We encountered an internal error. Please try again.")
            answer = faultdocuments.document(broken, service=service, request=request)
        if "operation" not in note:
            note["operation"] = _operation_of(request, service="s3" if authentic is None else service)
        return self._told(answer, request, authentic, service=service, note=note)

    def _told(
        self,
        answer: HttpResponse,
        request: HttpRequest,
        authentic: Authentic | None,
        *,
        service: str,
        note: dict[str, Any],
    ) -> HttpResponse:
        """The answer as it is sent, once log and trails know of it."""
        if service == "s3":
            answer = self._s3.order.renamed(request, answer)
        note.update(service=service, status=answer.status)
        self._note(note)
        finished = finish(answer, request) if service == "s3" else answer
        self._rooms.cross(request, service, answer=finished)
        if authentic is not None:  # else it is in no trail
            self._rooms.see(request, authentic.verified, note=note, answer=finished, body=answer.body)
        return finished

    def _visit(self, authentic: Authentic, *, service: str, now: datetime, note: dict[str, Any]) -> Visit:
        """Who asks, and by which path: the first of what there is to note."""
        request, caller = authentic.request, self._keys.caller(authentic.verified)
        note.update(caller=caller.arn, source=source_of(request.origin))
        path = self._path(request, service=service)
        note.update(path=path.kind.value, endpoint=path.endpoint.id if path.endpoint else None, address=path.address)
        if path.endpoint is not None:
            note["endpoint_account"] = path.endpoint.account
        return Visit(
            request=request,
            caller=caller,
            verified=authentic.verified,
            path=path,
            now=now,
            note=note,
            wrong=authentic.wrong,
        )

    def _answer(self, authentic: Authentic, *, service: str, now: datetime, note: dict[str, Any]) -> HttpResponse:
        if authentic.wrong is not None and (service != "s3" or self._s3.order.hash_first):
            raise authentic.wrong
        answer = self._by_service(self._visit(authentic, service=service, now=now, note=note), service=service)
        return answer if authentic.answered is None else authentic.answered(answer)

    def _by_service(self, visit: Visit, *, service: str) -> HttpResponse:
        if service == "s3":
            return self._s3.handle(visit)
        if service == "sts" and webidentities.is_asked(visit.request):
            return self._rooms.web_sessions().handle(visit)
        _check_signed(visit, service=service)
        for step in (self._by_deciding, self._authorise, self._before_state):
            answer = step(visit, service)
            if answer is not None:
                return answer
        return self._by_state(visit, service)

    def _by_deciding(self, visit: Visit, service: str) -> HttpResponse | None:
        """The answer of a room that asks the engine itself, if it has one."""
        room = self._rooms.deciding.get(service)
        found: HttpResponse | None = None if room is None else room().handle(visit)
        return found

    def _authorise(self, visit: Visit, service: str) -> None:
        """Asks the engine for a call of a control plane; what is no operation is left to be refused behind."""
        if self._enforce is not Enforcement.ALL:
            return
        from pytest_s3vpce.lab.rights import Place

        place = Place(account=visit.account, region=visit.region, partition=visit.partition)
        keys = visit.keys()
        for asked in self._rooms.rights().of(service, visit.request, place=place):
            question = Question(
                action=asked.action,
                resource=asked.resource,
                owner=place.account,
                resource_policy=key_policy(self._state, asked.resource),
                endpoint=visit.path.endpoint,
                context={**keys, **asked.context},
            )
            found = self._judge.decide(visit.caller, question)
            visit.decided(asked.action, found)
            if not found.allowed:
                raise service_denial(found, caller=visit.caller, action=asked.action, resource=asked.resource)

    def _before_state(self, visit: Visit, service: str) -> HttpResponse | None:
        """What the lab itself refuses or answers of a caller who may ask."""
        at = {"account": visit.account, "region": visit.region}
        if service == "lambda":
            self._rooms.lambdas().check(visit)
        elif service == "cloudtrail":
            self._rooms.log_writers().check_trail(visit.request, **at)
        elif service == "cloudformation":
            return self._stacks.handle(visit)
        elif service == "ssm" and self._ssm is not None:
            return self._ssm().handle(visit.request, **at)
        return None

    def _by_state(self, visit: Visit, service: str) -> HttpResponse:
        answer = self._state.call(service, visit.request, account=visit.account, region=visit.region)
        if answer.status == HTTPStatus.NOT_FOUND and answer.body[:20].lower().startswith(b"<!doctype html"):
            raise not_served(service)  # no route of the service's leads there
        return self._rooms.lambdas().answered(visit, answer) if service == "lambda" else answer

    def _path(self, request: HttpRequest, *, service: str) -> Path:
        origin = request.origin
        if request.via is not None:
            # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-sourceip
            return Path(kind=PathKind.INTERNET, public_ip=origin.address if isinstance(origin, Internet) else None)
        if isinstance(origin, Internet):
            if matches(request.host.partition(":")[0], VPCE):
                raise Unanswered(f"{request.host} has private addresses only: no way leads there from the internet")
            return internet(origin.address)
        found = self._routing.of_request(origin, host=request.host.partition(":")[0], service=service)
        if isinstance(found, Dropped):
            # The listener closes a moment later; until then nothing may get through.
            raise Unanswered(found.reason)
        return found

    def attempted(self, origin: Placement, attempt: Attempt) -> None:
        """A connection from inside of a network did not come up."""
        if self._rooms.flow_logs.made is not None:
            self._rooms.flow_logs().attempted(origin, attempt)

    def _note(self, note: dict[str, Any]) -> None:
        self.notes.append(note)
        if self._log is not None:
            self._log(note)


def _service_of(authentic: Authentic, *, claimed: str) -> str:
    """The service that a request is signed for; S3 Control is signed for as S3."""
    if not isinstance(authentic.verified, Verified):
        return claimed
    service = authentic.verified.service
    return "s3control" if service == "s3" and is_control(authentic.request) else service


def _check_signed(visit: Visit, *, service: str) -> None:
    """Refuses whom no control plane would listen to, and services that are none."""
    if isinstance(visit.verified, Anonymous) or visit.caller.account is None:
        raise Refused("MissingAuthenticationToken", status=403, message="Missing Authentication Token")
    if service == "iam" and visit.caller.session in (SessionKind.USER, SessionKind.FEDERATION):
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_sts-comparison.html
        raise Refused("InvalidAccessKeyId", status=403, message="")
    if not _SERVICE.fullmatch(service):
        raise not_served(service)


def _operation_of(request: HttpRequest, *, service: str) -> str | None:
    """By the protocols that name it, else by method and path. S3's own are named elsewhere."""
    target = _TARGET.fullmatch(request.header("x-amz-target") or "")
    form = (request.header("content-type") or "").startswith("application/x-www-form-urlencoded")
    found = target or _ACTION.search(request.body[:4096].decode("latin-1") if form else "")
    if found is not None or service == "s3":
        return found["name"] if found else None
    from pytest_s3vpce.lab.controlplane import rest_operation

    routed = rest_operation(service, request)
    return routed[0] if routed else None


def _claimed_service(request: HttpRequest) -> str:
    """The service that a request says it is for: by its signature, else by its host."""
    scope = _SCOPE.search(request.header("authorization") or "") or _SCOPE.search(unquote(request.target))
    found = scope or _HOST.fullmatch(request.host.partition(":")[0])
    if found is None:
        return "sts" if webidentities.is_asked(request) else "s3"
    return str(found["service"])
