"""Waiting for a function that is being made, changed or woken, and why one does not become active."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.vantage import reasons
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.errors import VantageError
    from pytest_s3vpce.vantage.control import ControlPlane

WAKING: Final = frozenset(
    {"ResourceNotReadyException", "ResourceConflictException", "CodeArtifactUserPendingException"}
)
"""What Invoke says of a function that Lambda put to sleep: https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html"""
PAUSE: Final = 2.0
TRIES: Final = 300
"""Network interfaces that Lambda has to make anew take minutes."""


def await_active(
    control: ControlPlane, function: str, *, notify: Callable[[str], None], error: Callable[..., VantageError]
) -> None:
    """Wait until a function can be invoked; VantageError with Lambda's reason if that fails."""
    notify(f"waiting for function {function} to become active")
    if settled(control, function, error=error)["State"] == "Inactive":
        raise _failure(function, "Idle", reasons.words("Idle"), error)


def settled(control: ControlPlane, function: str, *, error: Callable[..., VantageError]) -> dict[str, Any]:
    """A function's configuration when nothing goes on with it: it is active or asleep. VantageError if it failed."""
    left = TRIES
    while True:
        left -= 1
        found = configuration(control, function, error=error)
        state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
        if state not in ("Pending", "Active", "Inactive"):
            raise _failed(function, found, "State", error)
        if update == "Failed":
            raise _failed(function, found, "LastUpdateStatus", error)
        if state != "Pending" and update != "InProgress":
            return {**found, "State": state}
        if left <= 0:
            raise _failed(function, found, "State" if state == "Pending" else "LastUpdateStatus", error)
        control.pause(PAUSE)


def configuration(control: ControlPlane, function: str, *, error: Callable[..., VantageError]) -> dict[str, Any]:
    """What GetFunctionConfiguration says; VantageError where it does not."""
    try:
        found: dict[str, Any] = control.client("lambda").get_function_configuration(FunctionName=function)
    except FAULTS as failure:
        if code_of(failure) == "ResourceNotFoundException":
            raise _failure(function, code_of(failure), reasons.words(code_of(failure)), error) from failure
        raise error(
            f"function `{function}` can't be waited for: {words_of(failure)}",
            remedy=reasons.remedy_of(failure, otherwise="give the credentials lambda:GetFunctionConfiguration"),
        ) from failure
    return found


def _failed(function: str, found: dict[str, Any], of: str, error: Callable[..., VantageError]) -> VantageError:
    """Lambda's code for it, what it says and what that means."""
    code = str(found.get(f"{of}ReasonCode") or found.get(of, "no state"))
    words = reasons.words(code)
    said = found.get(f"{of}Reason")
    return _failure(function, code, f"{said} ({words})" if said else words, error)


def _failure(function: str, code: str, said: str, error: Callable[..., VantageError]) -> VantageError:
    return error(
        f"function `{function}` did not become active: {' '.join(f'{code}: {said}'.split())}",
        remedy=reasons.remedy(code),
    )
