"""What Lambda refuses of a new or changed function's settings, before anything is made.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
"""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.lab.wire import HttpRequest

_SETTERS: Final = re.compile(
    r"POST /2015-03-31/functions/?|PUT /2015-03-31/functions/[^/?]+/(?:configuration|code)(?:\?.*)?"
)
_NAME: Final = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?(?:[a-z]{2}(?:-[a-z]+)+-\d:)?(?:\d{12}:)?(?:function:)?[a-zA-Z0-9-_]{1,64}"
    r"(?::(?:\$LATEST|[a-zA-Z0-9-_]+))?"
)
_RANGES: Final[Mapping[str, tuple[str, int, int]]] = {
    "Timeout": ("timeout", 1, 900),
    "MemorySize": ("memorySize", 128, 10_240),
}
_RESERVED: Final = frozenset(
    {
        "_HANDLER",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime"""


def check(request: HttpRequest) -> None:
    """Raises Lambda's refusal; what is no function's settings passes."""
    if not _SETTERS.fullmatch(f"{request.method} {request.target}"):
        return
    try:
        given = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        return  # told by the state behind
    if isinstance(given, dict):
        faults = list(_faults(given))
        if faults:
            head = f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected: "
            raise Refused("ValidationException", status=400, message=head + "; ".join(faults))
        for refusal in (_environment, _network, _code):
            message = refusal(given)
            if message is not None:
                raise Refused("InvalidParameterValueException", status=400, message=message)


def has_network(request: HttpRequest) -> bool:
    """Whether a function's settings put it into subnets."""
    try:
        network = json.loads(request.body or b"{}").get("VpcConfig") or {}
        return bool(network.get("SubnetIds"))
    except (ValueError, AttributeError, RecursionError):
        return False


def _faults(given: Mapping[str, Any]) -> Iterator[str]:
    name = given.get("FunctionName")
    if isinstance(name, str) and not _NAME.fullmatch(name):
        yield (
            f"Value '{name}' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression "
            f"pattern: {_NAME.pattern}"
        )
    for field, (shown, least, most) in _RANGES.items():
        value = given.get(field)
        if isinstance(value, int) and not least <= value <= most:
            bound = f"greater than or equal to {least}" if value < least else f"less than or equal to {most}"
            yield f"Value '{value}' at '{shown}' failed to satisfy constraint: Member must have value {bound}"


def _environment(given: Mapping[str, Any]) -> str | None:
    found = given.get("Environment")
    variables = found.get("Variables") if isinstance(found, dict) else None
    reserved = sorted(_RESERVED & set(variables or ()))
    if not reserved:
        return None
    return (
        "Lambda was unable to configure your environment variables because the environment variables you have provided "
        "contains reserved keys that are currently not supported for modification. Reserved keys used in this request: "
        f"{', '.join(reserved)}"
    )


def _network(given: Mapping[str, Any]) -> str | None:
    found = given.get("VpcConfig")
    if not isinstance(found, dict) or bool(found.get("SubnetIds")) == bool(found.get("SecurityGroupIds")):
        return None
    return "SecurityGroupIds and SubnetIds must coexist or be both empty list."


def _code(given: Mapping[str, Any]) -> str | None:
    inner = given.get("Code")
    code = inner if isinstance(inner, dict) else given
    if "ZipFile" not in code:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(code["ZipFile"]))):
            return None
    except (zipfile.BadZipFile, ValueError, TypeError):
        return "Could not unzip uploaded file. Please check your file, then try to upload again."
