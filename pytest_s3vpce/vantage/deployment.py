"""Creating a Lambda function that runs the agent: checks of what is named, a role if none is given, the function."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError, WaiterError

from pytest_s3vpce.vantage import marks, reasons
from pytest_s3vpce.vantage.bundle import HANDLER, agent_zip
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of
from pytest_s3vpce.vantage.ledger import Kind
from pytest_s3vpce.vantage.removal import ROLE_POLICY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.errors import VantageError
    from pytest_s3vpce.vantage.control import ControlPlane
    from pytest_s3vpce.vantage.ledger import Entry, Ledger

TIMEOUT_MARGIN: Final = 30
"""Seconds that a function may take beyond a batch's deadline, for its start."""
_NAME_LIMIT: Final = 64
"""Of functions and of roles."""
TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}
# What Lambda needs to place a function in a subnet, and no more: no log rights, so that no request can be logged.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
INTERFACES: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "ec2:CreateNetworkInterface",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSubnets",
                "ec2:DeleteNetworkInterface",
                "ec2:AssignPrivateIpAddresses",
                "ec2:UnassignPrivateIpAddresses",
            ],
            "Resource": "*",
        }
    ],
}
_EXISTS: Final = frozenset({"ResourceConflictException", "EntityAlreadyExists"})
_ROLE_TRIES: Final = 30
_ROLE_PAUSE: Final = 2.0
# What CreateFunction says of a role that IAM has not made known everywhere yet.
_FRESH_ROLE: Final = re.compile(r"role.*(cannot be assumed|does not have permissions)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRole:
    """A role made for the run and removed with it, where the account asks for a path, a boundary or tags."""

    path: str = "/"
    permissions_boundary: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where the function is placed and with what role: an ARN, or one made for the run. No subnets: outside any VPC.

    Security groups are the user's: none is ever created.
    """

    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    role: str | RunRole = RunRole()
    tags: Mapping[str, str] = field(default_factory=dict)
    memory: int = 512
    """MB; https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""
    architecture: str = "x86_64"
    runtime: str = "python3.13"


def resource_name(run_id: str, vantage: str) -> str:
    """`s3vpce-<run>-<vantage>` in the characters and length that functions and roles may have."""
    wanted = f"s3vpce-{run_id}-{vantage}"
    plain = re.sub(r"[^A-Za-z0-9_-]", "-", wanted)
    if plain == wanted and len(plain) <= _NAME_LIMIT:
        return plain
    mark = hashlib.sha256(wanted.encode()).hexdigest()[:6]
    return f"{plain[: _NAME_LIMIT - 7]}-{mark}"


class Deployer:
    """Creates one vantage point's function; each thing is in the ledger before it is asked for."""

    def __init__(
        self,
        control: ControlPlane,
        deployment: Deployment,
        *,
        run_id: str,
        vantage: str,
        ledger: Ledger,
        error: Callable[..., VantageError],
    ) -> None:
        self.function = resource_name(run_id, vantage)
        self.entries: list[Entry] = []
        self._control = control
        self._deployment = deployment
        self._ledger = ledger
        self._error = error
        self._run_id = run_id
        self._tags: dict[str, str] = {}

    def deploy(self, *, environment: Mapping[str, str], timeout: int, notify: Callable[[str], None]) -> None:
        """Check, create, wait until the function is active. VantageError says what is wrong in plain words."""
        self._check_network()
        try:
            self._tags = marks.of_run(self._run_id, owner=self._control.owner)
        except FAULTS as error:
            raise self._failed("whose credentials these are can't be told", error) from error
        given = self._deployment.role
        role = self._make_role(given, notify) if isinstance(given, RunRole) else given
        self._make_function(role, environment=environment, timeout=timeout, notify=notify)
        await_active(self._control, self.function, notify=notify, error=self._error)

    def _check_network(self) -> None:
        subnets = self._described("subnet", "describe_subnets", "SubnetIds", self._deployment.subnets)
        groups = self._described(
            "security group", "describe_security_groups", "GroupIds", self._deployment.security_groups
        )
        if bool(subnets) != bool(groups):
            raise self._error("subnets and security groups go together", remedy="name at least one of each, or neither")
        vpcs = {found["VpcId"] for found in (*subnets, *groups)}
        if len(vpcs) > 1:
            raise self._error(
                f"its subnets and security groups are in different VPCs: {', '.join(sorted(vpcs))}",
                remedy="name subnets and security groups of one VPC",
            )

    def _described(self, what: str, call: str, argument: str, ids: tuple[str, ...]) -> list[dict[str, Any]]:
        if not ids:
            return []
        try:
            answer = getattr(self._control.client("ec2"), call)(**{argument: list(ids)})
        except FAULTS as error:
            theirs = f"name {what}s of account `{self._control.account}` in {self._control.region}"
            raise self._error(
                f"{what} {', '.join(f'`{name}`' for name in ids)}: {words_of(error)}",
                remedy=reasons.remedy(code_of(error), otherwise=theirs),
            ) from error
        found: list[dict[str, Any]] = answer["Subnets" if argument == "SubnetIds" else "SecurityGroups"]
        return found

    def _make_role(self, given: RunRole, notify: Callable[[str], None]) -> str:
        notify(f"creating role {self.function}")
        iam = self._control.client("iam")
        tags = {**given.tags, **self._tags, marks.REGION: self._control.region}
        arguments: dict[str, Any] = {
            "RoleName": self.function,
            "Path": given.path,
            "AssumeRolePolicyDocument": json.dumps(TRUST),
            "Description": "made by pytest-s3vpce for one run",
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
        if given.permissions_boundary:
            arguments["PermissionsBoundary"] = given.permissions_boundary
        answer = self._created(Kind.IAM_ROLE, lambda: iam.create_role(**arguments))
        if self._deployment.subnets:
            try:
                iam.put_role_policy(
                    RoleName=self.function, PolicyName=ROLE_POLICY, PolicyDocument=json.dumps(INTERFACES)
                )
            except FAULTS as error:
                raise self._failed("the role's policy can't be put", error) from error
        return str(answer["Role"]["Arn"])

    def _make_function(
        self, role: str, *, environment: Mapping[str, str], timeout: int, notify: Callable[[str], None]
    ) -> None:
        notify(f"creating function {self.function}")
        arguments: dict[str, Any] = {
            "FunctionName": self.function,
            "Runtime": self._deployment.runtime,
            "Architectures": [self._deployment.architecture],
            "Role": role,
            "Handler": HANDLER,
            "Code": {"ZipFile": agent_zip()},
            "Description": "the agent of pytest-s3vpce, made for one run",
            "Timeout": timeout,
            "MemorySize": self._deployment.memory,
            "Environment": {"Variables": dict(environment)},
            "Tags": {**self._deployment.tags, **self._tags},
        }
        if self._deployment.subnets:
            arguments["VpcConfig"] = {
                "SubnetIds": list(self._deployment.subnets),
                "SecurityGroupIds": list(self._deployment.security_groups),
            }
        client = self._control.client("lambda")
        self._created(Kind.LAMBDA_FUNCTION, lambda: self._with_role(client, arguments, notify))

    def _with_role(self, client: Any, arguments: dict[str, Any], notify: Callable[[str], None]) -> dict[str, Any]:
        """CreateFunction, again and again while a role made a moment ago is not known everywhere yet.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
        """
        left = _ROLE_TRIES if isinstance(self._deployment.role, RunRole) else 1
        while True:
            left -= 1
            try:
                return dict(client.create_function(**arguments))
            except FAULTS as error:
                fresh = code_of(error) == "InvalidParameterValueException" and _FRESH_ROLE.search(str(error))
                if not left or not fresh:
                    raise
            notify(f"waiting for role {self.function} to become usable")
            time.sleep(_ROLE_PAUSE)

    def _created(self, kind: Kind, create: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `create` answers, recorded before it is called; struck out again if AWS clearly refused."""
        entry = self._ledger.creating(
            kind, account=self._control.account, region=self._control.region, identifier=self.function
        )
        self.entries.append(entry)
        try:
            return create()
        except FAULTS as error:
            if _refused(error):
                self._ledger.removed(entry)
                self.entries.remove(entry)
            what = "function" if kind is Kind.LAMBDA_FUNCTION else "role"
            raise self._failed(f"{what} `{self.function}` can't be created", error) from error

    def _failed(self, what: str, error: Exception) -> VantageError:
        return self._error(f"{what}: {words_of(error)}", remedy=reasons.remedy(code_of(error)))


def _refused(error: Exception) -> bool:
    """Whether nothing was made; without an answer, after a 5xx, or if it exists by now, something may have been."""
    if not isinstance(error, ClientError) or code_of(error) in _EXISTS:
        return False
    return 400 <= error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) < 500


def await_active(
    control: ControlPlane, function: str, *, notify: Callable[[str], None], error: Callable[..., VantageError]
) -> None:
    """Wait until a function can be invoked; VantageError with Lambda's reason if that fails."""
    notify(f"waiting for function {function} to become active")
    try:
        control.client("lambda").get_waiter("function_active_v2").wait(FunctionName=function)
    except WaiterError as failure:
        last: Any = failure.last_response or {}
        state = last.get("Configuration", {})
        code = str(state.get("StateReasonCode") or last.get("Error", {}).get("Code", "no state"))
        said = state.get("StateReason") or reasons.words(code)
        raise error(
            f"function `{function}` did not become active: {' '.join(f'{code}: {said}'.split())}",
            remedy=reasons.remedy(code),
        ) from failure
    except FAULTS as failure:
        raise error(
            f"function `{function}` can't be waited for: {words_of(failure)}", remedy=reasons.remedy(code_of(failure))
        ) from failure
