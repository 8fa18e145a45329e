"""Vantage points that are Lambda functions: one that exists, or one created for the run; one invoke per batch."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.vantage import agent, reasons, waking
from pytest_s3vpce.vantage.base import AgentVantage, silent
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of
from pytest_s3vpce.vantage.deployment import Deployer, timeout_of
from pytest_s3vpce.vantage.removal import strike

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_s3vpce.model import Place
    from pytest_s3vpce.vantage.base import AgentConfig, Limits
    from pytest_s3vpce.vantage.control import ControlPlane
    from pytest_s3vpce.vantage.deployment import Deployment
    from pytest_s3vpce.vantage.ledger import Ledger

_NOT_RUN: Final = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling"})
"""The function was not run: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""
_NOT_TOLD: Final = frozenset({"AccessDeniedException", "AccessDenied"})
_PAUSES: Final = (0.1, 0.3, 1.0, 3.0)
"""Seconds between invokes that met no free concurrency: clients of several threads need it all at once."""
_CONNECTIONS: Final = 32
"""Clients that transfer files send from several threads, each an invoke of its own."""


class LambdaVantage(AgentVantage):
    """A function that exists and runs the agent, by name or ARN. What it may reach was fixed when it was deployed."""

    # A synchronous invoke carries 6 MB each way: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    max_payload = 6_000_000
    max_answer = 6_000_000
    kind = "lambda"
    carries = 4 * 1024 * 1024  # as base64 in JSON it is under 6 MB

    def __init__(
        self,
        name: str,
        *,
        control: ControlPlane,
        function: str,
        limits: Limits | None = None,
        config: AgentConfig | None = None,
        connect_to: Sequence[str] = (),
        place: Place | None = None,
    ) -> None:
        super().__init__(name, config=config, limits=limits, connect_to=connect_to, place=place)
        self.function = function
        self._control = control
        self._client: Any = None
        self._lock = threading.Lock()

    @property
    def timeout(self) -> int:
        """Seconds that a function has for a batch."""
        return timeout_of(self.limits)

    def prepare(self, *, notify: Callable[[str], None] = silent) -> None:
        notify(f"asking function {self.function} who it is")
        reply = self._woken(notify)
        if not isinstance(reply, dict) or reply.get("version") != agent.VERSION or "agent" not in reply:
            raise self.error(
                f"function `{self.function}` does not run the agent of this version",
                remedy="deploy the agent's zip there, with handler `agent.handler`",
            )
        if reply["agent"] != agent.AGENT:
            notify(f"function {self.function} runs agent {reply['agent']}, not {agent.AGENT} of this version")

    def _woken(self, notify: Callable[[str], None]) -> Any:
        """The answer to a ping. The first invoke of a function that Lambda put to sleep fails, and wakes it."""
        left = waking.TRIES
        told = False
        while True:
            left -= 1
            try:
                return self._invoke({"ping": True})
            except FAULTS as error:
                if code_of(error) not in waking.WAKING or left <= 0:
                    raise self._refused(error) from error
            if not told:
                notify(f"waiting for function {self.function} to become active")
                told = True
            self._wait_for_state()
            self._control.pause(waking.PAUSE)

    def _wait_for_state(self) -> None:
        """VantageError where Lambda says that it failed; whoever may not ask for its state tries to invoke it again."""
        try:
            waking.settled(self._control, self.function, error=self.error)
        except VantageError as error:
            if not isinstance(error.__cause__, FAULTS) or code_of(error.__cause__) not in _NOT_TOLD:
                raise

    def _exchange(self, payload: dict[str, Any]) -> dict[str, Any]:
        reply: dict[str, Any] = self._carry(payload)
        return reply

    def _carry(self, payload: dict[str, Any]) -> Any:
        """A batch there and its answer back; where the function was not run, a little later."""
        for pause in _PAUSES:
            try:
                return self._invoke(payload)
            except FAULTS as error:
                if code_of(error) in waking.WAKING:  # it fell asleep meanwhile
                    self._woken(silent)
                elif code_of(error) not in _NOT_RUN:
                    raise self._refused(error) from error
                else:
                    self._control.pause(pause)
        try:
            return self._invoke(payload)
        except FAULTS as error:
            raise self._refused(error) from error

    def _invoke(self, payload: dict[str, Any]) -> Any:
        """One invoke, never repeated by botocore: a batch is sent once or not at all."""
        with self._lock:
            if self._client is None:
                config = Config(
                    retries={"mode": "standard", "total_max_attempts": 1},
                    read_timeout=self.timeout + 15,
                    connect_timeout=10,
                    max_pool_connections=_CONNECTIONS,
                )
                self._client = self._control.client("lambda", config=config)
        answer = self._client.invoke(
            FunctionName=self.function, InvocationType="RequestResponse", Payload=json.dumps(payload).encode()
        )
        content = answer["Payload"].read()
        try:
            reply = json.loads(content)
        except ValueError as error:
            raise self.error(f"function `{self.function}` answered with something that is not JSON") from error
        if answer.get("FunctionError"):
            said = f"{reply.get('errorType', '')} {reply.get('errorMessage', '')}" if isinstance(reply, dict) else ""
            raise self.error(
                f"function `{self.function}` failed ({answer['FunctionError']}): {' '.join(said.split())[:300]}",
                remedy="check that it runs the agent's zip with handler `agent.handler` and that its timeout "
                f"is at least {self.timeout} s",
            )
        return reply

    def _refused(self, error: Exception) -> Exception:
        code = code_of(error)
        return self.error(
            f"function `{self.function}` can't be invoked, {reasons.words(code)} ({words_of(error)})",
            remedy=reasons.remedy(code),
        )


class DeployedLambdaVantage(LambdaVantage):
    """A function created for the run in the given subnets and security groups, and removed with it."""

    def __init__(
        self,
        name: str,
        *,
        control: ControlPlane,
        deployment: Deployment,
        run_id: str,
        ledger: Ledger,
        config: AgentConfig | None = None,
        limits: Limits | None = None,
        connect_to: Sequence[str] = (),
        place: Place | None = None,
    ) -> None:
        self._ledger = ledger
        self._deployer = Deployer(control, deployment, run_id=run_id, vantage=name, ledger=ledger, error=self.error)
        super().__init__(
            name,
            control=control,
            function=self._deployer.function,
            config=config,
            limits=limits,
            connect_to=connect_to,
            place=place,
        )

    def prepare(self, *, notify: Callable[[str], None] = silent) -> None:
        environment = {"S3VPCE_AGENT": json.dumps(self.config.as_json())}
        self._deployer.deploy(environment=environment, timeout=self.timeout, notify=notify)

    def remove(self, *, notify: Callable[[str], None] = silent) -> None:
        """Delete the function, then the role made for it. Lambda may need the role for a while: it is kept then."""
        for entry in list(reversed(self._deployer.entries)):
            notify(f"removing {entry}")
            reason = strike(self._ledger, entry, self._control)
            if reason is None:
                self._deployer.entries.remove(entry)
            else:
                notify(f"kept {entry}: {reason}")
