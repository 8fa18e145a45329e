"""Shell scripts on an EC2 instance by SSM's RunCommand: sent, waited for, and every way to fail in plain words.

https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html (the statuses).
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.vantage import reasons
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of
from pytest_s3vpce.vantage.program import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.vantage.control import ControlPlane

DOCUMENT: Final = "AWS-RunShellScript"
SCRIPT_LIMIT: Final = 60_000
"""Characters of a script. A document with its parameters has 64 KB, and this one is below 2 KB without them.

https://docs.aws.amazon.com/general/latest/gr/ssm.html#limits_ssm
"""
OUTPUT_LIMIT: Final = 24_000
"""Characters of output that GetCommandInvocation shows.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
"""
_DELIVERY_SECONDS: Final = 60
"""How long a command may wait for the instance; SSM takes no less than 30."""
_UNKNOWN_SECONDS: Final = 30
"""How long SSM may not know a command that it has just taken."""
_UNDER_WAY: Final = frozenset({"Pending", "InProgress", "Delayed", "Cancelling"})
_ONCE: Final = Config(retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=10, read_timeout=70)
_THROTTLES: Final = frozenset({"ThrottlingException", "Throttling", "RequestLimitExceeded"})
_THROTTLED_PAUSES: Final = (0.5, 1.0, 2.0, 4.0)
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
ENDPOINTS: Final = (
    "its agent needs a way to ssm, ssmmessages and (before version 3.3.40.0) ec2messages of the Region, by interface "
    "endpoints or the internet, and an instance profile with the rights of AmazonSSMManagedInstanceCore"
)
_STATES: Final = {
    "DeliveryTimedOut": ("the command was not delivered to it in time", ENDPOINTS),
    "Undeliverable": ("the command can't be delivered to it, for it is gone or its agent does not answer", ENDPOINTS),
    "ExecutionTimedOut": ("the agent did not come to its end in time", "run it again, with fewer cells at a time"),
    "Cancelled": ("somebody cancelled the command", "run it again"),
    "Terminated": ("SSM ended the command, for too many others had failed", "run it again"),
    "AccessDenied": ("SSM may not send commands there", "check the rights for ssm:SendCommand on the instance"),
    "InvalidPlatform": ("it does not run Linux", "name a Linux instance with Python 3.8 or newer"),
    "NoInstancesInTag": ("it is not there any more", "check its id, the account and the Region"),
    "RateExceeded": ("SSM throttles the account's commands", "run it again in a minute"),
}
_REFUSALS: Final = {
    "InvalidInstanceId": ENDPOINTS,
    "UnsupportedPlatformType": "name a Linux instance with Python 3.8 or newer; Windows is not supported",
    "AccessDeniedException": "give the account's credentials ssm:SendCommand on the instance and on "
    f"document/{DOCUMENT}, and ssm:GetCommandInvocation",
    "ThrottlingException": "run it again in a minute",
}


class RunCommand:
    """Runs scripts on one instance, one after the other or side by side."""

    def __init__(
        self, control: ControlPlane, instance: str, *, seconds: float, error: Callable[..., VantageError]
    ) -> None:
        self._control = control
        self.instance = instance
        self._seconds = seconds
        self._error = error

    @property
    def _ssm(self) -> Any:
        return self._control.client("ssm")

    def online(self) -> bool:
        """Whether SSM is connected with the instance now; who may not ask finds out by sending."""
        found = self._information()
        return found is None or any(row.get("PingStatus", "Online") == "Online" for row in found)

    def check(self) -> None:
        """VantageError unless the instance is connected to SSM and runs Linux; who may not ask finds out by sending."""
        found = self._information()
        if found is None:
            return
        if not found:
            raise self._error(f"instance `{self.instance}` is not connected to SSM", remedy=ENDPOINTS)
        platform, ping = found[0].get("PlatformType", "Linux"), found[0].get("PingStatus", "Online")
        if platform != "Linux":
            raise self._error(
                f"instance `{self.instance}` runs {platform}, which is not supported",
                remedy="name a Linux instance with Python 3.8 or newer",
            )
        if ping != "Online":
            raise self._error(f"instance `{self.instance}` has lost its connection to SSM ({ping})", remedy=ENDPOINTS)

    def _information(self) -> list[dict[str, Any]] | None:
        """What SSM knows of the instance; None where the account's credentials may not ask."""
        wanted = [{"Key": "InstanceIds", "Values": [self.instance]}]
        try:
            found: list[dict[str, Any]] = self._ssm.describe_instance_information(Filters=wanted)[
                "InstanceInformationList"
            ]
        except FAULTS as error:
            if code_of(error) in ("AccessDeniedException", "AccessDenied"):
                return None
            raise self._refused("SSM can't be asked about", error) from error
        return found

    def run(self, script: str) -> str:
        """What the script printed, as far as SSM shows it. VantageError if it did not end well."""
        return self.collect(self.send(script))

    def send(self, script: str) -> str:
        """The id of the command that runs the script.

        It is sent again only where SSM said that it did not take it: there is no token against running it twice.
        """
        client = self._control.client("ssm", config=_ONCE)
        for pause in (*_THROTTLED_PAUSES, None):
            try:
                answer = client.send_command(
                    InstanceIds=[self.instance],
                    DocumentName=DOCUMENT,
                    Comment="pytest-s3vpce: the agent of a test run",
                    TimeoutSeconds=_DELIVERY_SECONDS,
                    Parameters={"commands": [script], "executionTimeout": [str(math.ceil(self._seconds))]},
                )
            except FAULTS as error:
                if pause is None or code_of(error) not in _THROTTLES:
                    raise self._refused("SSM can't send a command to", error) from error
                self._control.pause(pause)
            else:
                break
        return str(answer["Command"]["CommandId"])

    def collect(self, command: str) -> str:
        """What a command printed, after it has ended."""
        end = time.monotonic() + _DELIVERY_SECONDS + self._seconds + _UNKNOWN_SECONDS
        unknown = time.monotonic() + _UNKNOWN_SECONDS
        pause = _FIRST_PAUSE
        while True:
            found = self._ask(command, patient=time.monotonic() < unknown)
            if found is not None and found["Status"] not in _UNDER_WAY:
                return self._judged(found)
            if time.monotonic() > end:
                self._cancel(command)
                raise self._error(f"the command on instance `{self.instance}` did not end in time", remedy=ENDPOINTS)
            try:
                self._control.pause(pause)
            except VantageError:  # the run ends: what it sends later would be made when nobody removes it any more
                self._cancel(command)
                raise
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _ask(self, command: str, *, patient: bool) -> dict[str, Any] | None:
        """What SSM says of a command; None as long as it does not know it yet."""
        try:
            return dict(self._ssm.get_command_invocation(CommandId=command, InstanceId=self.instance))
        except FAULTS as error:
            if patient and code_of(error) == "InvocationDoesNotExist":
                return None
            raise self._refused("SSM can't say what became of a command on", error) from error

    def _judged(self, found: dict[str, Any]) -> str:
        output = str(found.get("StandardOutputContent", ""))
        if found["Status"] == "Success":
            return output
        details = str(found.get("StatusDetails") or found["Status"]).replace(" ", "")
        if details in _STATES:
            what, remedy = _STATES[details]
        elif details == "TimedOut":
            what, remedy = _STATES["DeliveryTimedOut" if found.get("ResponseCode", -1) < 0 else "ExecutionTimedOut"]
        else:
            said = one_line(str(found.get("StandardErrorContent", "")))
            what = f"the agent ended with status {found.get('ResponseCode')} there" + (f": {said}" if said else "")
            remedy = _REMEDIES.get(int(found.get("ResponseCode", -1)), "see what it said, then run it again")
        raise self._error(f"instance `{self.instance}`: {what} ({details})", remedy=remedy)

    def _cancel(self, command: str) -> None:
        with contextlib.suppress(*FAULTS):
            self._ssm.cancel_command(CommandId=command, InstanceIds=[self.instance])

    def _refused(self, what: str, error: Exception) -> Exception:
        code = code_of(error)
        remedy = _REFUSALS.get(code) or reasons.remedy(code, otherwise="check the instance, the account and the Region")
        return self._error(f"{what} instance `{self.instance}`: {words_of(error)}", remedy=remedy)


NO_PYTHON: Final = 127
_REMEDIES: Final = {
    NO_PYTHON: "install Python 3.8 or newer there, as `python3`; the agent needs nothing besides",
    1: "install Python 3.8 or newer there, as `python3`, if that is what it lacks",
}
