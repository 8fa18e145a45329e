"""Functions that stay: deployed once, found again by name, brought up to date when what makes them has changed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.vantage import agent, marks, reasons, waking
from pytest_s3vpce.vantage.base import silent
from pytest_s3vpce.vantage.bundle import agent_zip
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of
from pytest_s3vpce.vantage.deployment import (
    RunRole,
    function_arguments,
    interfaces_policy,
    resource_name,
    role_arguments,
)
from pytest_s3vpce.vantage.freshness import when_known
from pytest_s3vpce.vantage.lambda_ import LambdaVantage
from pytest_s3vpce.vantage.ledger import Entry, Kind, Remaining
from pytest_s3vpce.vantage.placing import Network, look_up, stands
from pytest_s3vpce.vantage.program import one_line
from pytest_s3vpce.vantage.removal import remove

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.model import Place
    from pytest_s3vpce.vantage.base import AgentConfig
    from pytest_s3vpce.vantage.control import ControlPlane
    from pytest_s3vpce.vantage.deployment import Deployment

DEPLOY: Final = "run `s3vpce deploy`"
_AWAKE: Final = "Active"
_MISSING: Final = "ResourceNotFoundException"
_EXISTS: Final = "EntityAlreadyExists"
_CONFLICT: Final = "ResourceConflictException"
_DESCRIPTION: Final = "the agent of pytest-s3vpce, kept by s3vpce deploy; content "


class Done(StrEnum):
    """What a deployment came to."""

    CREATED = "created"
    UPDATED = "updated"
    CURRENT = "up to date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a kept function is made of."""

    deployment: Deployment
    config: AgentConfig
    timeout: int

    @property
    def content(self) -> str:
        """A hash of the agent, its configuration and the function's settings as they are written.

        What tags choose among subnets and groups is not in it: a run may have no right to ask.
        """
        given = self.deployment
        whole = {
            "agent": agent.AGENT,
            "config": self.config.as_json(),
            "timeout": self.timeout,
            "memory": given.memory,
            "architecture": given.architecture,
            "runtime": given.runtime,
            "subnets": _plain(given.subnets),
            "security_groups": _plain(given.security_groups),
            "dual_stack": given.dual_stack,
            "kms_key": given.kms_key,
            "role": None if isinstance(given.role, RunRole) else given.role,
            "tags": dict(given.tags),
        }
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def description(self) -> str:
        """It holds the hash, for who may not read tags."""
        return f"{_DESCRIPTION}{self.content}"

    @property
    def environment(self) -> dict[str, str]:
        return {"S3VPCE_AGENT": json.dumps(self.config.as_json())}

    def fits(self, found: Mapping[str, Any]) -> bool:
        """Whether a function is what this makes: its description stays when somebody moves or reconfigures it.

        Lambda shows no variables to who may not use their key.
        """
        return (
            found.get("Description") == self.description
            and stands(found.get("VpcConfig") or {}, at=self.deployment.wanted)
            and found.get("Environment", {}).get("Variables", self.environment) == self.environment
        )


def _plain(chosen: Any) -> Any:
    return dict(chosen) if isinstance(chosen, Mapping) else sorted(chosen)


def kept_name(vantage: str) -> str:
    """Of the function, and of the role made for it."""
    return resource_name("kept", vantage)


class KeptLambdaVantage(LambdaVantage):
    """A function that `s3vpce deploy` made. Asks for its configuration, invokes it, and never changes anything.

    Its configuration tells what it runs and whether it is awake, so that a run's first invoke carries its requests.
    """

    def __init__(
        self, name: str, *, control: ControlPlane, recipe: Recipe, config: AgentConfig, place: Place | None = None
    ) -> None:
        super().__init__(name, control=control, function=kept_name(name), config=config, place=place)
        self._recipe = recipe

    def prepare(self, *, notify: Callable[[str], None] = silent) -> None:
        if self.check() != _AWAKE:
            super().prepare(notify=notify)

    def _exchange(self, payload: dict[str, Any]) -> dict[str, Any]:
        """What runs there says which agent it is: its description may say otherwise than its code."""
        reply: Any = super()._exchange(payload)
        if isinstance(reply, dict) and "answers" in reply and reply.get("agent") != agent.AGENT:
            runs = f"agent {one_line(str(reply['agent']), length=12)}" if "agent" in reply else "something else"
            raise self.error(
                f"its function `{self.function}` runs {runs}, not agent {agent.AGENT} of this version",
                remedy=f"{DEPLOY} to bring it up to date",
            )
        checked: dict[str, Any] = reply
        return checked

    def hear(self, *, notify: Callable[[str], None] = silent) -> None:
        """VantageError where it does not answer as the agent of this version."""
        self.check()
        super().prepare(notify=notify)

    def check(self) -> str:
        """Its state. VantageError where it is not there, is not what the inventory says, or has failed."""
        try:
            found = self._control.client("lambda").get_function_configuration(FunctionName=self.function)
        except FAULTS as failure:
            if code_of(failure) == _MISSING:
                raise self.error(
                    f"its function `{self.function}` is not deployed in account `{self._control.account}`, "
                    f"{self._control.region}",
                    remedy=f"{DEPLOY}; a run with `keep` creates nothing",
                ) from failure
            raise self.error(
                f"its function `{self.function}` can't be looked at: {words_of(failure)}",
                remedy=reasons.remedy_of(failure, otherwise="give the credentials lambda:GetFunctionConfiguration"),
            ) from failure
        if not self._recipe.fits(found):
            raise self.error(
                f"its function `{self.function}` is not what the inventory and this version say it is",
                remedy=f"{DEPLOY} to bring it up to date",
            )
        state = waking.settled(self._control, self.function, error=self.error) if _is_moving(found) else found
        if state.get("State") == "Failed" or state.get("LastUpdateStatus") == "Failed":
            code = state.get("StateReasonCode") or state.get("LastUpdateStatusReasonCode") or "Failed"
            raise self.error(
                f"its function `{self.function}` has failed, {reasons.words(code)} ({code})",
                remedy=f"{reasons.remedy(code)}; then {DEPLOY}",
            )
        return str(state.get("State", _AWAKE))


def _is_moving(found: Mapping[str, Any]) -> bool:
    return found.get("State") == "Pending" or found.get("LastUpdateStatus") == "InProgress"


class Keeper:
    """Makes one vantage point's kept function, changes it, and takes it away."""

    def __init__(self, vantage: str, *, control: ControlPlane, recipe: Recipe, place: Place | None = None) -> None:
        self.function = kept_name(vantage)
        self._point = KeptLambdaVantage(vantage, control=control, recipe=recipe, config=recipe.config, place=place)
        self._vantage = vantage
        self._control = control
        self._recipe = recipe
        self._client = control.client("lambda")
        self._error = self._point.error

    def deploy(self, *, notify: Callable[[str], None] = silent) -> Done:
        """Create it, or change what differs, and see that it answers. What is there and is not ours is left alone."""
        network = look_up(self._control, self._recipe.deployment.wanted, error=self._error)
        try:
            done = self._deployed(network, notify)
        except FAULTS as failure:
            raise self._error(
                f"function `{self.function}` can't be deployed: {words_of(failure)}", remedy=reasons.remedy_of(failure)
            ) from failure
        self._point.hear(notify=notify)
        return done

    def _deployed(self, network: Network, notify: Callable[[str], None]) -> Done:
        found = self._found()
        if found is not None and _is_moving(found):
            with contextlib.suppress(VantageError):  # why it failed does not matter any more
                waking.settled(self._control, self.function, error=self._error)
            found = self._found()
        if found is not None and found.get("State") == "Failed":
            notify(f"removing function {self.function}, which never became active")
            self._client.delete_function(FunctionName=self.function)
            found = None
        arguments = {
            **function_arguments(
                self._recipe.deployment, network, environment=self._recipe.environment, timeout=self._recipe.timeout
            ),
            "FunctionName": self.function,
            "Description": self._recipe.description,
        }
        if found is None:
            self._create(arguments, notify)
            return Done.CREATED
        if self._is_current(found, network):
            return Done.CURRENT
        self._update(found, arguments, network=network, notify=notify)
        return Done.UPDATED

    def _found(self) -> dict[str, Any] | None:
        """The function as it is; VantageError where one of that name is not ours."""
        try:
            found: dict[str, Any] = self._client.get_function_configuration(FunctionName=self.function)
            tags = self._client.list_tags(Resource=found["FunctionArn"])["Tags"]
        except FAULTS as failure:
            if code_of(failure) == _MISSING:
                return None
            raise
        self._check_ours("function", tags)
        return {**found, "Tags": tags}

    def _check_ours(self, what: str, tags: Mapping[str, str]) -> None:
        if marks.KEPT not in tags:
            raise self._error(
                f"{what} `{self.function}` is there, and `s3vpce deploy` did not make it",
                remedy=f"remove it, or its tags if `{marks.KEPT}` was lost; or rename the vantage point",
            )

    def _is_current(self, found: Mapping[str, Any], network: Network) -> bool:
        return (
            found["Tags"].get(marks.CONTENT) == self._recipe.content
            and self._recipe.fits(found)
            and found.get("CodeSha256", self._code) == self._code
            and found.get("LastUpdateStatus", "Successful") == "Successful"
            and stands(found.get("VpcConfig") or {}, at=network)
        )

    @property
    def _code(self) -> str:
        """As Lambda writes it, https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html."""
        return base64.b64encode(hashlib.sha256(agent_zip()).digest()).decode()

    def _create(self, arguments: dict[str, Any], notify: Callable[[str], None]) -> None:
        role = self._role(notify)
        notify(f"creating function {self.function}")
        tags = {**self._recipe.deployment.tags, **self._tags()}
        create = partial(self._client.create_function, **arguments, Role=role, Code={"ZipFile": agent_zip()}, Tags=tags)
        try:
            when_known(create, what=f"role {self.function}", notify=notify, pause=self._control.pause)
        except FAULTS as failure:
            if code_of(failure) != _CONFLICT or not self._is_made():
                raise
        waking.await_active(self._control, self.function, notify=notify, error=self._error)

    def _is_made(self) -> bool:
        """Whether AWS has made it as it is wanted, and the answer was lost."""
        found = self._found()
        return found is not None and found["Tags"].get(marks.CONTENT) == self._recipe.content

    def _update(
        self, found: Mapping[str, Any], arguments: dict[str, Any], *, network: Network, notify: Callable[[str], None]
    ) -> None:
        """Code, then configuration with the description: what dies between them is not taken for current."""
        role = self._role(notify, has=found["Role"])
        notify(f"updating function {self.function}")
        architectures = arguments.pop("Architectures")
        self._client.update_function_code(FunctionName=self.function, ZipFile=agent_zip(), Architectures=architectures)
        waking.settled(self._control, self.function, error=self._error)
        network_now = {"Ipv6AllowedForDualStack": network.dual_stack, **network.arguments()}
        given = {"KMSKeyArn": "", **arguments, "Role": role, "VpcConfig": network_now}
        update = partial(self._client.update_function_configuration, **given)
        when_known(update, what=f"role {self.function}", notify=notify, pause=self._control.pause)
        waking.settled(self._control, self.function, error=self._error)
        tags = {**self._recipe.deployment.tags, **self._tags()}
        self._client.tag_resource(Resource=found["FunctionArn"], Tags=tags)

    def _tags(self) -> dict[str, str]:
        return marks.of_kept(self._vantage, owner=self._control.owner, content=self._recipe.content)

    def _role(self, notify: Callable[[str], None], *, has: str = "") -> str:
        """The ARN of the role that is named, or of the one that is made here and stays; the function's own is there."""
        given = self._recipe.deployment.role
        if not isinstance(given, RunRole):
            return given
        if has.endswith(f"/{self.function}"):
            return has
        iam = self._control.client("iam")
        tags = {**self._tags(), marks.REGION: self._control.region}
        try:
            notify(f"creating role {self.function}")
            arn = iam.create_role(**role_arguments(given, name=self.function, tags=tags))["Role"]["Arn"]
        except FAULTS as failure:
            if code_of(failure) != _EXISTS:
                raise
            arn = self._own_role()["Arn"]
        iam.put_role_policy(**interfaces_policy(self.function))
        return str(arn)

    def undeploy(self, *, notify: Callable[[str], None] = silent) -> list[Remaining]:
        """Remove the function, then the role that was made for it; what can't go yet comes back with its reason."""
        try:
            return self._undeployed(notify)
        except FAULTS as failure:
            raise self._error(
                f"function `{self.function}` can't be removed: {words_of(failure)}", remedy=reasons.remedy_of(failure)
            ) from failure

    def _undeployed(self, notify: Callable[[str], None]) -> list[Remaining]:
        left = []
        if self._found() is not None:
            left += self._removed(Kind.LAMBDA_FUNCTION, notify)
        if not left and isinstance(self._recipe.deployment.role, RunRole) and self._has_role():
            left += self._removed(Kind.IAM_ROLE, notify)
        return left

    def _has_role(self) -> bool:
        try:
            self._own_role()
        except FAULTS as failure:
            if code_of(failure) in ("NoSuchEntity", "NoSuchEntityException"):
                return False
            raise
        return True

    def _own_role(self) -> dict[str, Any]:
        """The role of that name; VantageError where it is not ours."""
        found: dict[str, Any] = self._control.client("iam").get_role(RoleName=self.function)["Role"]
        self._check_ours("role", {row["Key"]: row["Value"] for row in found.get("Tags", ())})
        return found

    def _removed(self, kind: Kind, notify: Callable[[str], None]) -> list[Remaining]:
        account, region = self._control.account, self._control.region
        entry = Entry(token="", kind=kind, account=account, region=region, identifier=self.function)
        notify(f"removing {entry}")
        reason = remove(entry, self._control)
        return [] if reason is None else [Remaining(entry, reason)]
