"""Creating a Lambda function that runs the agent: checks of what is named, a role if none is given, the function."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from pytest_s3vpce.vantage import marks, reasons
from pytest_s3vpce.vantage.bundle import HANDLER, agent_zip
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of
from pytest_s3vpce.vantage.freshness import TRIES, when_known
from pytest_s3vpce.vantage.ledger import Kind
from pytest_s3vpce.vantage.placing import Wanted, look_up
from pytest_s3vpce.vantage.removal import ROLE_POLICY
from pytest_s3vpce.vantage.waking import await_active

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.errors import VantageError
    from pytest_s3vpce.vantage.base import Limits
    from pytest_s3vpce.vantage.control import ControlPlane
    from pytest_s3vpce.vantage.ledger import Entry, Ledger
    from pytest_s3vpce.vantage.placing import Chosen, Network

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

    subnets: Chosen
    security_groups: Chosen
    role: str | RunRole = RunRole()
    tags: Mapping[str, str] = field(default_factory=dict)
    memory: int = 512
    """MB; https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""
    architecture: str = "x86_64"
    runtime: str = "python3.13"
    dual_stack: bool = False
    kms_key: str | None = None
    """The key of the function's environment variables, by ARN; None is Lambda's own."""

    @property
    def wanted(self) -> Wanted:
        """Where it is to stand."""
        return Wanted(subnets=self.subnets, security_groups=self.security_groups, dual_stack=self.dual_stack)


def timeout_of(limits: Limits) -> int:
    """Seconds that a function has for a batch."""
    return math.ceil(limits.deadline) + TIMEOUT_MARGIN


def resource_name(run_id: str, vantage: str) -> str:
    """`s3vpce-<run>-<vantage>` in the characters and length that functions and roles may have."""
    wanted = f"s3vpce-{run_id}-{vantage}"
    plain = re.sub(r"[^A-Za-z0-9_-]", "-", wanted)
    if plain == wanted and len(plain) <= _NAME_LIMIT:
        return plain
    mark = hashlib.sha256(wanted.encode()).hexdigest()[:6]
    return f"{plain[: _NAME_LIMIT - 7]}-{mark}"


def role_arguments(given: RunRole, *, name: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """What CreateRole takes for a role that Lambda may assume."""
    arguments: dict[str, Any] = {
        "RoleName": name,
        "Path": given.path,
        "AssumeRolePolicyDocument": json.dumps(TRUST),
        "Description": "made by pytest-s3vpce for the agent's function",
        "Tags": [{"Key": key, "Value": value} for key, value in {**given.tags, **tags}.items()],
    }
    if given.permissions_boundary:
        arguments["PermissionsBoundary"] = given.permissions_boundary
    return arguments


def interfaces_policy(role: str) -> dict[str, str]:
    """What PutRolePolicy takes for a role whose function stands in a VPC."""
    return {"RoleName": role, "PolicyName": ROLE_POLICY, "PolicyDocument": json.dumps(INTERFACES)}


def function_arguments(
    deployment: Deployment, network: Network, *, environment: Mapping[str, str], timeout: int
) -> dict[str, Any]:
    """What CreateFunction takes besides name, role, code, description and tags."""
    arguments: dict[str, Any] = {
        "Runtime": deployment.runtime,
        "Architectures": [deployment.architecture],
        "Handler": HANDLER,
        "Timeout": timeout,
        "MemorySize": deployment.memory,
        "Environment": {"Variables": dict(environment)},
    }
    if network.subnets:
        arguments["VpcConfig"] = network.arguments()
    if deployment.kms_key:
        arguments["KMSKeyArn"] = deployment.kms_key
    return arguments


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
        network = look_up(self._control, self._deployment.wanted, error=self._error)
        try:
            self._tags = marks.of_run(self._run_id, owner=self._control.owner)
        except FAULTS as error:
            raise self._failed("whose credentials these are can't be told", error) from error
        given = self._deployment.role
        role = self._make_role(given, notify) if isinstance(given, RunRole) else given
        arguments = function_arguments(self._deployment, network, environment=environment, timeout=timeout)
        self._make_function({**arguments, "Role": role}, notify=notify)
        await_active(self._control, self.function, notify=notify, error=self._error)

    def _make_role(self, given: RunRole, notify: Callable[[str], None]) -> str:
        notify(f"creating role {self.function}")
        iam = self._control.client("iam")
        tags = {**self._tags, marks.REGION: self._control.region}
        arguments = role_arguments(given, name=self.function, tags=tags)
        answer = self._created(
            Kind.IAM_ROLE, lambda: iam.create_role(**arguments), there=lambda: _role_there(iam, self.function)
        )
        if self._deployment.subnets:
            try:
                iam.put_role_policy(**interfaces_policy(self.function))
            except FAULTS as error:
                raise self._failed("the role's policy can't be put", error) from error
        return str(answer["Role"]["Arn"])

    def _make_function(self, arguments: Mapping[str, Any], *, notify: Callable[[str], None]) -> None:
        notify(f"creating function {self.function}")
        whole = {
            **arguments,
            "FunctionName": self.function,
            "Code": {"ZipFile": agent_zip()},
            "Description": "the agent of pytest-s3vpce, made for one run",
            "Tags": {**self._deployment.tags, **self._tags},
        }
        client = self._control.client("lambda")
        create = partial(client.create_function, **whole)
        tries = TRIES if isinstance(self._deployment.role, RunRole) else 1
        self._created(
            Kind.LAMBDA_FUNCTION,
            lambda: when_known(
                create, what=f"role {self.function}", tries=tries, notify=notify, pause=self._control.pause
            ),
            there=lambda: client.get_function(FunctionName=self.function),
        )

    def _created(
        self, kind: Kind, create: Callable[[], dict[str, Any]], *, there: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """What `create` answers, recorded before it is called; struck out again if AWS clearly refused.

        Where AWS made it, but its answer was lost, the second try finds it: `there` shows it with its tags.
        """
        entry = self._ledger.creating(
            kind, account=self._control.account, region=self._control.region, identifier=self.function
        )
        self.entries.append(entry)
        try:
            return create()
        except FAULTS as error:
            if code_of(error) in _EXISTS and (found := self._own(there)) is not None:
                return found
            if _refused(error):
                self._ledger.removed(entry)
                self.entries.remove(entry)
            what = "function" if kind is Kind.LAMBDA_FUNCTION else "role"
            raise self._failed(f"{what} `{self.function}` can't be created", error) from error

    def _own(self, there: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """What is there, if its tags say that this run made it."""
        try:
            found = there()
        except FAULTS:
            return None
        return found if found.get("Tags", {}).get(marks.RUN) == self._run_id else None

    def _failed(self, what: str, error: Exception) -> VantageError:
        return self._error(f"{what}: {words_of(error)}", remedy=reasons.remedy(code_of(error)))


def _role_there(iam: Any, name: str) -> dict[str, Any]:
    """A role and its tags, these as Lambda gives them."""
    role = iam.get_role(RoleName=name)["Role"]
    return {"Role": role, "Tags": {row["Key"]: row["Value"] for row in role.get("Tags", ())}}


def _refused(error: Exception) -> bool:
    """Whether nothing was made; without an answer, after a 5xx, or if it exists by now, something may have been."""
    if not isinstance(error, ClientError) or code_of(error) in _EXISTS:
        return False
    return 400 <= error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) < 500
