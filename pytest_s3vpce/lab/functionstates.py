"""Functions take a while until they are Active, and changes of them until they are through, where the lab is told so.

https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse

_CREATES: Final = re.compile(r"POST /2015-03-31/functions/?")
_CHANGES: Final = re.compile(r"PUT /2015-03-31/functions/(?P<name>[^/?]+)/(?:configuration|code)")
_DESCRIBES: Final = re.compile(
    r"GET /2015-03-31/functions/(?P<name>[^/?]+)(?:/configuration)?|GET /2015-03-31/functions/?"
)
_SHORTLY: Final = 300
"""The first status that is no success."""
_PENDING: Final[Mapping[str, str]] = {
    "State": "Pending",
    "StateReason": "The function is being created.",
    "StateReasonCode": "Creating",
}
_IN_PROGRESS: Final[Mapping[str, str]] = {
    "LastUpdateStatus": "InProgress",
    "LastUpdateStatusReason": "The function is being created.",
    "LastUpdateStatusReasonCode": "Creating",
}


@dataclass(frozen=True, slots=True)
class _Settling:
    """What a function shows until then."""

    shown: Mapping[str, str]
    until: float


class FunctionStates:
    """Of all functions, by ARN; with a delay of nothing there is nothing to know."""

    def __init__(self, *, delay: float) -> None:
        self._delay = delay
        self._settling: dict[str, _Settling] = {}

    def check_change(self, request: HttpRequest, *, arn_of: str) -> None:
        """Raises Lambda's conflict where a function that is not through yet is to be changed; `arn_of` begins ARNs."""
        changed = _CHANGES.fullmatch(_line(request))
        if changed is None:
            return
        arn = _arn(unquote(changed["name"]), arn_of)
        settling = self._now(arn)
        if settling is not None:
            raise _conflict(f"An update is in progress for resource: {arn}" if "State" not in settling else _state())

    def check_invoke(self, arn: str) -> None:
        """Raises Lambda's conflict where the function is not there yet; one that is changed can be invoked."""
        if "State" in (self._now(arn) or {}):
            raise _conflict(_state())

    def answered(self, request: HttpRequest, answer: HttpResponse) -> HttpResponse:
        """The state's answer with the states of the functions in it."""
        line = _line(request)
        begins = _PENDING if _CREATES.fullmatch(line) else _IN_PROGRESS if _CHANGES.fullmatch(line) else None
        if not self._delay or answer.status >= _SHORTLY or not (begins or _DESCRIBES.fullmatch(line)):
            return answer
        body = json.loads(answer.body)
        for row in (body, body.get("Configuration"), *body.get("Functions", ())):
            if isinstance(row, dict) and "FunctionArn" in row:
                arn = _bare(row["FunctionArn"])
                if begins is not None:
                    self._settling[arn] = _Settling(begins, time.monotonic() + self._delay)
                row.update(self._now(arn) or {})
        headers = tuple(pair for pair in answer.headers if pair[0].lower() != "content-length")
        return replace(answer, headers=headers, body=json.dumps(body).encode())

    def forget(self, arn: str) -> None:
        self._settling.pop(arn, None)

    def _now(self, arn: str) -> Mapping[str, Any] | None:
        settling = self._settling.get(arn)
        if settling is None or settling.until <= time.monotonic():
            self.forget(arn)
            return None
        return settling.shown


def _line(request: HttpRequest) -> str:
    return f"{request.method} {request.target.partition('?')[0]}"


def _arn(name: str, arn_of: str) -> str:
    return _bare(name) if name.startswith("arn:") else f"{arn_of}{name.rpartition('function:')[2]}"


def _bare(arn: str) -> str:
    """Without its qualifier."""
    return ":".join(arn.split(":")[:7])


def _state() -> str:
    return "The function is currently in the following state: Pending"


def _conflict(what: str) -> Refused:
    message = f"The operation cannot be performed at this time. {what}"
    return Refused("ResourceConflictException", status=409, message=message)
