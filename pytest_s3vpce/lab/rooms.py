"""The services that the lab answers itself, besides S3: each is loaded when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_s3vpce.lab.onuse import OnUse
from pytest_s3vpce.lab.signatures import Verified

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.lab.cloudformation.service import Asker, CloudFormation
    from pytest_s3vpce.lab.compute import Functions
    from pytest_s3vpce.lab.delays import Delays
    from pytest_s3vpce.lab.enforcement import Enforcement
    from pytest_s3vpce.lab.flowlogs import FlowLogs
    from pytest_s3vpce.lab.judge import Judge
    from pytest_s3vpce.lab.keys import Keys
    from pytest_s3vpce.lab.lambdas import Lambda
    from pytest_s3vpce.lab.logwriters import LogWriters
    from pytest_s3vpce.lab.rights import Rights
    from pytest_s3vpce.lab.routing import Routing
    from pytest_s3vpce.lab.s3control import S3Control
    from pytest_s3vpce.lab.signatures import Anonymous
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.sts import Sts
    from pytest_s3vpce.lab.traildelivery import Delivery
    from pytest_s3vpce.lab.trails import Trails
    from pytest_s3vpce.lab.visit import Visit
    from pytest_s3vpce.lab.websessions import WebSessions
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse


class Rooms:
    """Each attribute gives its room when it is called."""

    def __init__(
        self,
        state: State,
        *,
        keys: Keys,
        judge: Judge,
        routing: Routing,
        functions: OnUse[Functions],
        delays: Delays,
        enforce: Enforcement,
    ) -> None:
        self._state = state
        self._keys = keys
        self._judge = judge
        self._routing = routing
        self._functions = functions
        self._delays = delays
        self._enforce = enforce
        self.control = OnUse(self._make_control)
        self.sts = OnUse(self._make_sts)
        self.web_sessions = OnUse(self._make_web_sessions)
        self.lambdas = OnUse(self._make_lambdas)
        self.rights = OnUse(self._make_rights)
        self.trails = OnUse(self._make_trails)
        self.flow_logs = OnUse(self._make_flow_logs)
        self._delivery = OnUse(self._make_delivery)
        self.log_writers = OnUse(self._make_log_writers)
        self.deciding: Mapping[str, OnUse[Any]] = {"sts": self.sts, "s3control": self.control, "lambda": self.lambdas}
        """Those that ask the engine themselves; the calls that one leaves are decided as all others are."""

    def see(
        self, request: HttpRequest, verified: Verified | Anonymous, *, note: Mapping[str, Any], **answered: Any
    ) -> None:
        """Tell the trails of a request, as soon as there may be any, or an access log."""
        told = note["service"] == "cloudtrail" or note["operation"] == "PutBucketLogging"
        if told or self.trails.made is not None:
            self.trails().see(request, verified, note=note, **answered)
        if note["operation"] == "CreateFlowLogs":
            self.flow_logs()

    def cross(self, request: HttpRequest, service: str, *, answer: HttpResponse | None) -> None:
        """Tell the flow logs of a request, once there may be any; without an answer the network dropped it."""
        if self.flow_logs.made is not None:
            self.flow_logs().exchanged(request, service, answer=answer)

    def _make_control(self) -> S3Control:
        from pytest_s3vpce.lab.s3control import S3Control

        return S3Control(self._state, self._judge)

    def _make_sts(self) -> Sts:
        from pytest_s3vpce.lab.sts import Sts

        return Sts(self._state, self._keys, self._judge)

    def _make_web_sessions(self) -> WebSessions:
        from pytest_s3vpce.lab.websessions import WebSessions

        return WebSessions(self._state, self._keys, self._judge)

    def _make_lambdas(self) -> Lambda:
        from pytest_s3vpce.lab.lambdas import Lambda

        return Lambda(self._state, self._judge, self._functions(), delay=self._delays.functions, enforce=self._enforce)

    def _make_rights(self) -> Rights:
        from pytest_s3vpce.lab.rights import Rights

        return Rights(self._state)

    def _make_trails(self) -> Trails:
        from pytest_s3vpce.lab.trails import Trails

        return Trails(self._state, keys=self._keys, delivery=self._delivery())

    def _make_flow_logs(self) -> FlowLogs:
        from pytest_s3vpce.lab.flowlogs import FlowLogs

        return FlowLogs(self._state, routing=self._routing, delivery=self._delivery())

    def _make_delivery(self) -> Delivery:
        from pytest_s3vpce.lab.traildelivery import Delivery

        return Delivery(self._state, writers=self.log_writers(), delay=self._delays.records)

    def _make_log_writers(self) -> LogWriters:
        from pytest_s3vpce.lab.logwriters import LogWriters

        return LogWriters(self._state, self._judge)


class Stacks:
    """CloudFormation: its stacks' resources are made by requests of their own."""

    def __init__(self, handle: Callable[[HttpRequest], HttpResponse], *, keys: Keys) -> None:
        self._handle = handle
        self._keys = keys
        self._service = OnUse(self._make)

    def handle(self, visit: Visit) -> HttpResponse:
        return self._service().handle(visit.request, self._asker(visit))

    def _make(self) -> CloudFormation:
        from pytest_s3vpce.lab.cloudformation.service import CloudFormation

        return CloudFormation(self._handle)

    def _asker(self, visit: Visit) -> Asker:
        """Who wants stacks, with the keys that signed this: with them the stacks' resources are made."""
        from pytest_s3vpce.lab.cloudformation.clients import Signer
        from pytest_s3vpce.lab.cloudformation.service import Asker

        assert isinstance(visit.verified, Verified)
        keys = self._keys.lookup(visit.verified.access_key_id)
        assert keys is not None
        signer = Signer(
            access_key_id=visit.verified.access_key_id,
            secret_access_key=keys.secret_access_key,
            session_token=keys.session_token,
            origin=visit.request.origin,
        )
        return Asker(account=visit.account, region=visit.region, partition=visit.partition, signer=signer)
