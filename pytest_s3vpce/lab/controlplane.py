"""What a request to a control plane asks for: its action, and the resource where that is plain to see.

Names are those of botocore's models: https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote

import botocore.session
from botocore.exceptions import UnknownServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_s3vpce.lab.wire import HttpRequest

_MODELS: Final = {
    "monitoring": "cloudwatch",
    "tagging": "resourcegroupstaggingapi",
    "states": "stepfunctions",
    "elasticloadbalancing": "elbv2",
}
_PREFIXES: Final = {"monitoring": "cloudwatch", "tagging": "tag"}
"""Where policies call a service otherwise than its signatures do."""
_RENAMED: Final = {("lambda", "Invoke"): "InvokeFunction"}
_NAMED: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "iam": (
        ("RoleName", "arn:{partition}:iam::{account}:role/{value}"),
        ("UserName", "arn:{partition}:iam::{account}:user/{value}"),
        ("GroupName", "arn:{partition}:iam::{account}:group/{value}"),
        ("InstanceProfileName", "arn:{partition}:iam::{account}:instance-profile/{value}"),
        ("PolicyArn", "{value}"),
        ("PolicyName", "arn:{partition}:iam::{account}:policy/{value}"),
    ),
    "kms": (
        ("KeyId", "arn:{partition}:kms:{region}:{account}:key/{value}"),
        ("TargetKeyId", "arn:{partition}:kms:{region}:{account}:key/{value}"),
    ),
    "lambda": (
        ("FunctionName", "arn:{partition}:lambda:{region}:{account}:function:{value}"),
        ("Resource", "{value}"),
    ),
    "ec2": (
        ("VpcEndpointId", "arn:{partition}:ec2:{region}:{account}:vpc-endpoint/{value}"),
        ("VpcEndpointId.1", "arn:{partition}:ec2:{region}:{account}:vpc-endpoint/{value}"),
        ("InstanceId", "arn:{partition}:ec2:{region}:{account}:instance/{value}"),
        ("SubnetId", "arn:{partition}:ec2:{region}:{account}:subnet/{value}"),
        ("VpcId", "arn:{partition}:ec2:{region}:{account}:vpc/{value}"),
        ("GroupId", "arn:{partition}:ec2:{region}:{account}:security-group/{value}"),
    ),
    "cloudformation": (("StackName", "arn:{partition}:cloudformation:{region}:{account}:stack/{value}/*"),),
    "logs": (("logGroupName", "arn:{partition}:logs:{region}:{account}:log-group:{value}"),),
    "ssm": (("Name", "arn:{partition}:ssm:{region}:{account}:parameter/{value}"),),
}
"""The first parameter that is there names the resource; an operation without any is asked for `*`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One action on one resource; what creates, and so has no resource yet, is asked for `*`."""

    action: str
    resource: str
    context: Mapping[str, str | Sequence[str]] = field(default_factory=dict)


def asked_of(service: str, request: HttpRequest, *, account: str, region: str, partition: str) -> Asked | None:
    """What the request asks for; None where no operation of the service's fits."""
    parameters = _parameters(request)
    operation = _operation(service, request, parameters)
    if operation is None:
        return None
    prefix = _PREFIXES.get(service, service)
    action = f"{prefix}:{_RENAMED.get((service, operation[0]), operation[0])}"
    named = {**parameters, **operation[1]}
    resource = next(
        (
            value
            if value.startswith("arn:")
            else form.format(partition=partition, region=region, account=account, value=value.lstrip("/"))
            for name, form in _NAMED.get(service, ())
            if (value := named.get(name))
        ),
        "*",
    )
    return Asked(action=action, resource=resource)


def _parameters(request: HttpRequest) -> dict[str, str]:
    """The parameters that are text, of a form or of a JSON body."""
    kind = request.header("content-type") or ""
    if "json" in kind:
        try:
            body = json.loads(request.body or b"{}")
        except ValueError:
            return {}
        return {name: value for name, value in body.items() if isinstance(value, str)} if isinstance(body, dict) else {}
    text = request.body.decode("utf-8", "replace") if "form-urlencoded" in kind else ""
    return dict(parse_qsl(text or request.target.partition("?")[2], keep_blank_values=True))


def _operation(service: str, request: HttpRequest, parameters: Mapping[str, str]) -> tuple[str, dict[str, str]] | None:
    target = request.header("x-amz-target")
    if target is not None:
        return target.rpartition(".")[2], {}
    if "Action" in parameters:
        return parameters["Action"], {}
    return rest_operation(service, request)


def rest_operation(service: str, request: HttpRequest) -> tuple[str, dict[str, str]] | None:
    """The operation of a service that speaks REST, by method and path, and what stands in the path."""
    path = request.target.partition("?")[0]
    for name, method, pattern, _ in _routes(service):
        found = pattern.fullmatch(path)
        if method == request.method and found is not None:
            return name, {part: unquote(value) for part, value in found.groupdict().items()}
    return None


@cache
def _routes(service: str) -> tuple[tuple[str, str, re.Pattern[str], int], ...]:
    """The operations of a service that speaks REST: those with the most fixed text first."""
    try:
        model = botocore.session.Session().get_service_model(_MODELS.get(service, service))
    except UnknownServiceError:
        return ()
    rows = [_route(model.operation_model(name)) for name in model.operation_names]
    return tuple(sorted(rows, key=lambda row: -row[3]))


def _route(operation: Any) -> tuple[str, str, re.Pattern[str], int]:
    uri = operation.http.get("requestUri", "/").partition("?")[0].rstrip("/") or "/"
    parts = re.split(r"\{(\w+\+?)\}", uri)
    pattern = "".join(_placeholder(part, operation) if at % 2 else re.escape(part) for at, part in enumerate(parts))
    return operation.name, operation.http["method"], re.compile(f"{pattern}/?"), sum(map(len, parts[::2]))


def _placeholder(part: str, operation: Any) -> str:
    """A part of a path, by the name of the parameter that it is."""
    members = operation.input_shape.members if operation.input_shape else {}
    bare = part.rstrip("+")
    name = next((name for name, shape in members.items() if shape.serialization.get("name", name) == bare), bare)
    return f"(?P<{re.sub(r'[^A-Za-z0-9_]', '_', name)}>{'.+' if part.endswith('+') else '[^/]+'})"
