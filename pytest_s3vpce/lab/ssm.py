"""SSM's RunCommand: shell scripts that really run on the lab's instances, placed in their subnets with their roles.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html
"""

from __future__ import annotations

import json
import re
import tempfile
import threading
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab import leashed
from pytest_s3vpce.lab.fleet import instances
from pytest_s3vpce.lab.refused import Refused, not_served
from pytest_s3vpce.lab.wire import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.lab.fleet import Instance
    from pytest_s3vpce.lab.machines import Machines
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

_TARGET: Final = re.compile(r"AmazonSSM\.(?P<action>\w+)")
_DOCUMENT: Final = "AWS-RunShellScript"
_SENT: Final = (
    "InstanceIds",
    "Targets",
    "DocumentName",
    "DocumentVersion",
    "Parameters",
    "Comment",
    "TimeoutSeconds",
)
_PLUGIN: Final = "aws:runShellScript"
_UNSERVED: Final = re.compile(r"\w*(Command|Session|Automation|Maintenance|Association|Instance)\w*")
"""What belongs to running things on instances and is not served here: the state behind would only play it."""
_PARAMETERS: Final = frozenset({"commands", "executionTimeout", "workingDirectory"})
_MOST_PARAMETERS: Final = 64 * 1024
_OUTPUT: Final = 24_000
_ERRORS: Final = 8_000
_LISTED_OUTPUT: Final = 2_500
_KEPT_COMMANDS: Final = 1_000
_SECONDS: Final = re.compile(r"[1-9][0-9]{0,5}")


@dataclass(slots=True, kw_only=True)
class Invocation:
    """A command on one instance."""

    command: str
    instance: Instance
    comment: str
    seconds: int
    script: str = field(repr=False)
    parameters: Mapping[str, Any] = field(repr=False)
    delivery: int = 3600
    """Seconds within which it had to begin."""
    began: float = field(default_factory=time.time)
    ended: float | None = None
    status: str = "Pending"
    details: str = "Pending"
    code: int = -1
    stdout: str = field(default="", repr=False)
    stderr: str = field(default="", repr=False)
    stop: threading.Event = field(default_factory=threading.Event, repr=False)


def _parameters(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the document is to be run with; Refused where that can't be."""
    if given["DocumentName"].rpartition("/")[2] != _DOCUMENT:
        message = f"The lab runs {_DOCUMENT} only, not `{given['DocumentName']}`."
        raise Refused("NotImplemented", status=501, message=message)
    parameters: Mapping[str, Any] = given.get("Parameters") or {}
    if not set(parameters) <= _PARAMETERS or not _SECONDS.fullmatch(_seconds(parameters)):
        raise Refused("InvalidParameters", status=400, message=f"{', '.join(sorted(_PARAMETERS))} are taken here")
    if not parameters.get("commands"):
        raise Refused("InvalidParameters", status=400, message="Parameters must be provided: commands")
    if len(json.dumps(parameters)) > _MOST_PARAMETERS:
        raise Refused("MaxDocumentSizeExceeded", status=400, message="The size limit of a document is 64 KB.")
    return parameters


def _seconds(parameters: Mapping[str, Any]) -> str:
    found: str = (parameters.get("executionTimeout") or ["3600"])[0]
    return found


class Ssm:
    """The commands of all accounts. Safe to use from several threads."""

    def __init__(self, state: State, machines: Machines) -> None:
        self._state = state
        self._machines = machines
        self._lock = threading.Lock()
        self._commands: OrderedDict[str, list[Invocation]] = OrderedDict()

    def handle(self, request: HttpRequest, *, account: str, region: str) -> HttpResponse | None:
        """The answer; None for what is no matter of instances, such as parameters."""
        named = _TARGET.fullmatch(request.header("x-amz-target") or "")
        action = named["action"] if named else ""
        serve = _ACTIONS.get(action)
        if serve is None:
            if _UNSERVED.fullmatch(action):
                raise not_served("ssm", action)
            return None
        try:
            given = json.loads(request.body or b"{}")
            answer = serve(self, given, account, region)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise Refused("ValidationException", status=400, message="The request can't be read.") from error
        return HttpResponse(
            status=200,
            headers=(("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-RequestId", str(uuid.uuid4()))),
            body=json.dumps(answer).encode(),
        )

    def close(self) -> None:
        """End what still runs."""
        with self._lock:
            every = [row for rows in self._commands.values() for row in rows]
        for row in every:
            row.stop.set()

    # --- the operations ----------------------------------------------------------------------------------------------

    def send(self, given: Mapping[str, Any], account: str, region: str) -> dict[str, Any]:
        rows = self._invocations(given, account, region)
        with self._lock:
            self._commands[rows[0].command] = rows
            while len(self._commands) > _KEPT_COMMANDS:
                self._commands.popitem(last=False)
        for row in rows:
            threading.Thread(target=self._run, args=(row,), daemon=True).start()
        return {"Command": _command(rows)}

    def commands(self, given: Mapping[str, Any], account: str, region: str) -> dict[str, Any]:
        """All at once: there is no next page."""
        _only(given, "CommandId", "InstanceId", "MaxResults")
        with self._lock:
            named = [given["CommandId"]] if "CommandId" in given else list(reversed(self._commands))
        found = [rows for command in named if (rows := self._of(command, account, region))]
        wanted = given.get("InstanceId")
        kept = [rows for rows in found if wanted is None or any(row.instance.id == wanted for row in rows)]
        return {"Commands": [_command(rows) for rows in kept]}

    def get(self, given: Mapping[str, Any], account: str, region: str) -> dict[str, Any]:
        found = [row for row in self._of(given["CommandId"], account, region) if row.instance.id == given["InstanceId"]]
        if not found:
            raise Refused("InvocationDoesNotExist", status=400, message="")
        row = found[0]
        return {
            "CommandId": row.command,
            "InstanceId": row.instance.id,
            "Comment": row.comment,
            "DocumentName": _DOCUMENT,
            "DocumentVersion": "$DEFAULT",
            "PluginName": _PLUGIN,
            "ResponseCode": row.code,
            "ExecutionStartDateTime": _iso(row.began),
            "ExecutionElapsedTime": f"PT{(row.ended or time.time()) - row.began:.3f}S",
            "ExecutionEndDateTime": "" if row.ended is None else _iso(row.ended),
            "Status": row.status,
            "StatusDetails": row.details,
            "StandardOutputContent": row.stdout,
            "StandardOutputUrl": "",
            "StandardErrorContent": row.stderr,
            "StandardErrorUrl": "",
            "CloudWatchOutputConfig": {"CloudWatchLogGroupName": "", "CloudWatchOutputEnabled": False},
        }

    def listed(self, given: Mapping[str, Any], account: str, region: str) -> dict[str, Any]:
        """All at once: there is no next page."""
        _only(given, "CommandId", "InstanceId", "Details", "MaxResults")
        with self._lock:
            named = [given["CommandId"]] if "CommandId" in given else list(reversed(self._commands))
        rows = [row for command in named for row in self._of(command, account, region)]
        rows = [row for row in rows if given.get("InstanceId", row.instance.id) == row.instance.id]
        return {"CommandInvocations": [_listed(row, plugins=bool(given.get("Details"))) for row in rows]}

    def describe(self, given: Mapping[str, Any], account: str, region: str) -> dict[str, Any]:
        """All at once; filters by id, ping status and platform."""
        _only(given, "Filters", "InstanceInformationFilterList", "MaxResults")
        rows = [_information(row) for row in instances(self._state, account, region) if row.connected]
        for wanted in (*given.get("Filters", ()), *given.get("InstanceInformationFilterList", ())):
            key, values = wanted.get("Key", wanted.get("key")), wanted.get("Values", wanted.get("valueSet"))
            if key not in _FILTERS:
                raise Refused("NotImplemented", status=501, message=f"The lab has no filter `{key}` of instances.")
            rows = [row for row in rows if row[_FILTERS[key]] in values]
        return {"InstanceInformationList": rows}

    def cancel(self, given: Mapping[str, Any], account: str, region: str) -> dict[str, Any]:
        rows = self._of(given["CommandId"], account, region)
        if not rows:
            raise Refused("InvalidCommandId", status=400, message="")
        wanted = given.get("InstanceIds") or [row.instance.id for row in rows]
        for row in rows:
            if row.instance.id in wanted and row.ended is None:
                row.stop.set()
        return {}

    # --- how ---------------------------------------------------------------------------------------------------------

    def _of(self, command: str, account: str, region: str) -> list[Invocation]:
        with self._lock:
            rows = self._commands.get(command, [])
        return [row for row in rows if (row.instance.account, row.instance.region) == (account, region)]

    def _invocations(self, given: Mapping[str, Any], account: str, region: str) -> list[Invocation]:
        _only(given, *_SENT)
        named, parameters = _named(given), _parameters(given)
        found = {row.id: row for row in instances(self._state, account, region) if row.connected}
        missing = [name for name in named if name not in found]
        if missing or not named:
            message = f"Instances [[{', '.join(missing)}]] not in a valid state for account {account}"
            raise Refused("InvalidInstanceId", status=400, message=message)
        if any(found[name].platform != "Linux" for name in named):
            raise Refused("UnsupportedPlatformType", status=400, message=f"{_DOCUMENT} is for Linux and macOS.")
        command = str(uuid.uuid4())
        return [
            Invocation(
                command=command,
                instance=found[name],
                comment=given.get("Comment", ""),
                seconds=int(_seconds(parameters)),
                script="\n".join(parameters["commands"]) + "\n",
                parameters=parameters,
                delivery=given.get("TimeoutSeconds", 3600),
            )
            for name in dict.fromkeys(named)
        ]

    def _run(self, row: Invocation) -> None:
        row.status = row.details = "InProgress"
        try:
            row.code = self._ran(row)
            ending = ("Success", "Success") if row.code == 0 else ("Failed", "Failed")
        except TimeoutError:
            ending = ("TimedOut", "ExecutionTimedOut")
        except (OSError, Refused) as failure:
            row.stderr, ending = f"the lab can't run it: {failure}", ("Failed", "Failed")
        row.ended = time.time()
        row.status, row.details = ("Cancelled", "Cancelled") if row.stop.is_set() else ending

    def _ran(self, row: Invocation) -> int:
        """The script's status, with what it printed put down in the row."""
        home = self._machines.home(row.instance)
        environment = self._machines.environment(row.instance, home)
        with tempfile.TemporaryDirectory(dir=home, prefix="command-") as folder:
            script = Path(folder) / "script.sh"
            script.write_text(row.script, encoding="utf-8")
            output, errors = Path(folder) / "stdout", Path(folder) / "stderr"
            try:
                with output.open("wb") as stdout, errors.open("wb") as stderr:
                    return leashed.run(
                        ["/bin/sh", str(script)],
                        environment=environment,
                        output=stdout,
                        errors=stderr,
                        stop=row.stop,
                        seconds=row.seconds,
                        folder=Path((row.parameters.get("workingDirectory") or [""])[0] or home),
                    )
            finally:
                row.stdout, row.stderr = (_text(path, most) for path, most in ((output, _OUTPUT), (errors, _ERRORS)))


_ACTIONS: Final[Mapping[str, Callable[[Ssm, Mapping[str, Any], str, str], dict[str, Any]]]] = {
    "SendCommand": Ssm.send,
    "GetCommandInvocation": Ssm.get,
    "ListCommandInvocations": Ssm.listed,
    "ListCommands": Ssm.commands,
    "DescribeInstanceInformation": Ssm.describe,
    "CancelCommand": Ssm.cancel,
}
_FILTERS: Final = {
    "InstanceIds": "InstanceId",
    "PingStatus": "PingStatus",
    "PlatformTypes": "PlatformType",
}


def _named(given: Mapping[str, Any]) -> list[str]:
    """The instances that a command is for: by id, also where they are called targets."""
    named = list(given.get("InstanceIds") or ())
    for target in given.get("Targets") or ():
        if target["Key"].lower() != "instanceids":
            raise Refused("NotImplemented", status=501, message=f"The lab has no targets by `{target['Key']}`.")
        named += target["Values"]
    return named


def _only(given: Mapping[str, Any], *known: str) -> None:
    """What a request asks for besides is refused, not passed over."""
    for name in given:
        if name not in known:
            raise Refused("NotImplemented", status=501, message=f"The lab's SSM does not know `{name}`.")


def _text(path: Path, most: int) -> str:
    with path.open("rb") as file:
        return file.read(4 * most).decode("utf-8", "replace")[:most]


def _information(row: Instance) -> dict[str, Any]:
    return {
        "InstanceId": row.id,
        "PingStatus": "Online",
        "LastPingDateTime": time.time(),
        "AgentVersion": "3.3.0.0",
        "IsLatestVersion": True,
        "PlatformType": row.platform,
        "PlatformName": "the lab",
        "PlatformVersion": "1",
        "ResourceType": "EC2Instance",
        "IPAddress": row.private_ip,
        "ComputerName": f"ip-{row.private_ip.replace('.', '-')}",
        "SourceId": row.id,
        "SourceType": "AWS::EC2::Instance",
    }


def _command(rows: list[Invocation]) -> dict[str, Any]:
    """A command as a whole: it goes on as long as it does anywhere, and is a success if it is one everywhere."""
    first, ended = rows[0], [row for row in rows if row.ended is not None]
    bad = [row for row in ended if row.status != "Success"]
    states = rows if len(ended) < len(rows) else bad or rows
    shown = next((row for row in states if row.ended is None), states[0])
    return {
        "CommandId": first.command,
        "DocumentName": _DOCUMENT,
        "DocumentVersion": "$DEFAULT",
        "Comment": first.comment,
        "Parameters": first.parameters,
        "InstanceIds": [row.instance.id for row in rows],
        "Targets": [],
        "RequestedDateTime": first.began,
        "Status": shown.status,
        "StatusDetails": shown.details,
        "TargetCount": len(rows),
        "CompletedCount": len(ended),
        "ErrorCount": len(bad),
        "TimeoutSeconds": first.delivery,
    }


def _listed(row: Invocation, *, plugins: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "CommandId": row.command,
        "InstanceId": row.instance.id,
        "InstanceName": "",
        "Comment": row.comment,
        "DocumentName": _DOCUMENT,
        "RequestedDateTime": row.began,
        "Status": row.status,
        "StatusDetails": row.details,
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
        "CommandPlugins": [],
    }
    if plugins:
        made["CommandPlugins"] = [
            {
                "Name": _PLUGIN,
                "Status": row.status,
                "StatusDetails": row.details,
                "ResponseCode": row.code,
                "ResponseStartDateTime": row.began,
                "ResponseFinishDateTime": row.ended or row.began,
                "Output": row.stdout[:_LISTED_OUTPUT],
            }
        ]
    return made


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
