"""CloudFormation's API: stacks that are made, changed and removed before the call returns.

https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

import re
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from pytest_s3vpce.lab.cloudformation import answers, described, planning
from pytest_s3vpce.lab.cloudformation.changesets import ChangeSets
from pytest_s3vpce.lab.cloudformation.clients import Clients, Signer
from pytest_s3vpce.lab.cloudformation.deploying import Deployment
from pytest_s3vpce.lab.cloudformation.faults import invalid
from pytest_s3vpce.lab.cloudformation.making import Home
from pytest_s3vpce.lab.cloudformation.planning import Surroundings
from pytest_s3vpce.lab.cloudformation.sources import template_text
from pytest_s3vpce.lab.cloudformation.stacks import Stack
from pytest_s3vpce.lab.cloudformation.template import parse
from pytest_s3vpce.lab.queryprotocol import form_of
from pytest_s3vpce.lab.refused import Refused, not_served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_s3vpce.lab.cloudformation.planning import Plan
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
_UPDATABLE: Final = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"})
_UNSERVED: Final = (
    "RoleARN",
    "ResourceTypes",
    "StackPolicyBody",
    "StackPolicyURL",
    "NotificationARNs",
    "RetainResources",
)
"""Parameters that would change what is done, and are not served."""
_GONE: Final = "DELETE_COMPLETE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, in which account and Region."""

    account: str
    region: str
    partition: str
    signer: Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of the API's."""

    asker: Asker
    given: Mapping[str, str] = field(repr=False)
    client: Callable[[str], Any]

    @property
    def stack_name(self) -> str:
        if not self.given.get("StackName"):
            raise invalid("1 validation error detected: Value null at 'stackName' failed to satisfy constraint")
        return self.given["StackName"]


class CloudFormation:
    """The stacks of all accounts. Safe to use from several threads: one at a time changes stacks."""

    def __init__(self, handle: Callable[[HttpRequest], HttpResponse]) -> None:
        self._clients = Clients(handle)
        self.changing = threading.Lock()
        self.stacks: list[Stack] = []
        self.change_sets = ChangeSets(self)

    def handle(self, request: HttpRequest, asker: Asker) -> HttpResponse:
        """The answer; Refused where there is none."""
        given = form_of(request)
        operation = given.get("Action", "")
        serve = _OPERATIONS.get(operation)
        if serve is None:
            raise not_served("cloudformation", operation)
        for name in _UNSERVED:
            if any(key == name or key.startswith(f"{name}.member.") for key in given):
                raise invalid(f"the lab does not serve the parameter {name} of {operation}")
        call = Call(asker=asker, given=given, client=self._clients.of(asker.signer, region=asker.region))
        return answers.answer(operation, serve(self, call))

    # --- finding -----------------------------------------------------------------------------------------------------

    def _mine(self, asker: Asker) -> Iterator[Stack]:
        place = (asker.account, asker.region)
        return (row for row in list(self.stacks) if (row.home.account, row.home.region) == place)

    def known(self, asker: Asker, name: str) -> Stack | None:
        """By name one that is there, by id also one that was deleted."""
        return next(
            (
                row
                for row in self._mine(asker)
                if name == row.home.stack_id or (name == row.home.stack and row.status != _GONE)
            ),
            None,
        )

    def found(self, call: Call) -> Stack:
        found = self.known(call.asker, call.stack_name)
        if found is None:
            raise invalid(f"Stack with id {call.stack_name} does not exist")
        return found

    def _exports(self, asker: Asker) -> dict[str, tuple[Stack, str]]:
        return {
            row.export: (stack, row.value)
            for stack in self._mine(asker)
            if stack.status != _GONE
            for row in stack.outputs.values()
            if row.export is not None
        }

    # --- changing ----------------------------------------------------------------------------------------------------

    def create(self, call: Call) -> dict[str, Any]:
        with self.changing:
            if self.known(call.asker, call.stack_name) is not None:
                message = f"Stack [{call.stack_name}] already exists"
                raise Refused("AlreadyExistsException", status=400, message=message)
            stack = self.begin(call)
            on_failure = call.given.get("OnFailure", "ROLLBACK")
            if on_failure not in ("ROLLBACK", "DO_NOTHING", "DELETE"):
                raise invalid(f"1 validation error detected: Value '{on_failure}' at 'onFailure' is none of the API's")
            stack.disable_rollback = call.given.get("DisableRollback") == "true"
            stack.protected = call.given.get("EnableTerminationProtection") == "true"
            self.stacks.append(stack)
            self.deployment(stack, call).create(on_failure="DO_NOTHING" if stack.disable_rollback else on_failure)
            self.settle(stack)
        return {"StackId": stack.home.stack_id}

    def begin(self, call: Call) -> Stack:
        name, asker = call.stack_name, call.asker
        if not _NAME.fullmatch(name):
            raise invalid(
                f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must "
                "satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
            )
        place = f"arn:{asker.partition}:cloudformation:{asker.region}:{asker.account}"
        home = Home(
            stack=name,
            stack_id=f"{place}:stack/{name}/{uuid.uuid4()}",
            account=asker.account,
            region=asker.region,
            partition=asker.partition,
        )
        imports: set[str] = set()
        plan = self.plan(call, home=home, imports=imports)
        tags = {row["Key"]: row.get("Value", "") for row in answers.members(call.given, "Tags")}
        capabilities = tuple(answers.texts(call.given, "Capabilities"))
        return Stack(home=home, plan=plan, tags=tags, capabilities=capabilities, imports=imports)

    def plan(self, call: Call, *, home: Home, imports: set[str], before: Stack | None = None) -> Plan:
        text = template_text(call.given, client=call.client, before=None if before is None else before.plan.text)
        given: dict[str, str] = {}
        for row in answers.members(call.given, "Parameters"):
            name = row.get("ParameterKey", "")
            if row.get("UsePreviousValue") != "true":
                given[name] = row.get("ParameterValue", "")
            elif before is not None and name in before.plan.parameters:
                given[name] = before.plan.parameters[name]
        made = planning.plan(text, parse(text), given=given, home=home, around=self._around(call, imports))
        _check_capabilities(made, answers.texts(call.given, "Capabilities"))
        return made

    def _around(self, call: Call, imports: set[str]) -> Surroundings:
        def export_of(name: str) -> str:
            found = self._exports(call.asker).get(name)
            if found is None:
                raise invalid(f"No export named {name} found.")
            imports.add(name)
            return found[1]

        def zones(region: str) -> list[str]:
            here = self._clients.of(call.asker.signer, region=region)("ec2")
            return sorted(row["ZoneName"] for row in here.describe_availability_zones()["AvailabilityZones"])

        def stored(name: str) -> str:
            try:
                value: str = call.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
            except ClientError as error:
                raise invalid(f"Unable to fetch parameters [{name}] from parameter store for this account.") from error
            return value

        return Surroundings(export_of=export_of, zones=zones, stored=stored)

    def deployment(self, stack: Stack, call: Call) -> Deployment:
        def is_exported(name: str) -> bool:
            found = self._exports(call.asker).get(name)
            return found is not None and found[0] is not stack

        return Deployment(stack, client=call.client, is_exported=is_exported)

    def settle(self, stack: Stack) -> None:
        if stack.status == _GONE:
            stack.deleted = datetime.now(UTC)

    def update(self, call: Call) -> dict[str, Any]:
        with self.changing:
            stack = self.found(call)
            if stack.status not in _UPDATABLE:
                raise invalid(f"Stack:{stack.home.stack_id} is in {stack.status} state and can not be updated.")
            imports: set[str] = set()
            plan = self.plan(call, home=stack.home, imports=imports, before=stack)
            self.check_tags(stack, call)
            if plan.same_as(stack.plan):
                raise invalid("No updates are to be performed.")
            self.check_exports_stay(stack, plan, call)
            self.carry_out(stack, plan, imports, call)
        return {"StackId": stack.home.stack_id}

    def carry_out(self, stack: Stack, plan: Plan, imports: set[str], call: Call) -> None:
        """The stack changed to what the plan wants."""
        stack.updated = datetime.now(UTC)
        self.deployment(stack, call).update(plan)
        if stack.status == "UPDATE_COMPLETE":
            stack.imports = imports

    def delete(self, call: Call) -> dict[str, Any]:
        with self.changing:
            stack = self.known(call.asker, call.stack_name)
            if stack is None or stack.status == _GONE:
                return {}
            if stack.protected:
                raise invalid(f"Stack [{stack.home.stack}] cannot be deleted while TerminationProtection is enabled")
            self.check_exports_stay(stack, None, call)
            self.deployment(stack, call).delete()
            self.settle(stack)
        return {}

    def check_exports_stay(self, stack: Stack, plan: Plan | None, call: Call) -> None:
        """What another stack imports stays."""
        named = _export_names(plan) if plan is not None else set()
        for output in stack.outputs.values():
            user = next(
                (row for row in self._mine(call.asker) if output.export in row.imports and row.status != _GONE), None
            )
            if user is not None and output.export not in named:
                raise invalid(f"Export {output.export} cannot be deleted as it is in use by {user.home.stack}")

    def check_tags(self, stack: Stack, call: Call) -> None:
        """Tags that are given are those that the stack has."""
        rows = answers.members(call.given, "Tags")
        if rows and {row["Key"]: row.get("Value", "") for row in rows} != stack.tags:
            raise invalid("the lab does not change a stack's tags: delete it and create it anew")

    def protect(self, call: Call) -> dict[str, Any]:
        stack = self.found(call)
        stack.protected = call.given.get("EnableTerminationProtection") == "true"
        return {"StackId": stack.home.stack_id}

    # --- reading -----------------------------------------------------------------------------------------------------

    def describe(self, call: Call) -> dict[str, Any]:
        if call.given.get("StackName"):
            return {"Stacks": [described.stack(self.found(call))]}
        return {"Stacks": [described.stack(row) for row in self._mine(call.asker) if row.status != _GONE]}

    def list_stacks(self, call: Call) -> dict[str, Any]:
        wanted = set(answers.texts(call.given, "StackStatusFilter"))
        rows = [row for row in self._mine(call.asker) if not wanted or row.status in wanted]
        return {"StackSummaries": [described.summary(row) for row in reversed(rows)]}

    def events(self, call: Call) -> dict[str, Any]:
        stack = self.found(call)
        return {"StackEvents": [described.event(stack, row) for row in reversed(list(stack.events))]}

    def resources(self, call: Call) -> dict[str, Any]:
        stack, named = self.found(call), call.given.get("LogicalResourceId")
        rows = [row for row in list(stack.resources.values()) if named in (None, row.logical)]
        return {"StackResources": [described.resource(stack, row) for row in rows]}

    def resource(self, call: Call) -> dict[str, Any]:
        stack, named = self.found(call), call.given.get("LogicalResourceId", "")
        if named not in stack.resources:
            raise invalid(f"Resource {named} does not exist for stack {stack.home.stack}")
        one = stack.resources[named]
        return {"StackResourceDetail": {**described.resource(stack, one), **described.listed(one)}}

    def list_resources(self, call: Call) -> dict[str, Any]:
        rows = list(self.found(call).resources.values())
        return {"StackResourceSummaries": [described.listed(row) for row in rows]}

    def list_exports(self, call: Call) -> dict[str, Any]:
        rows = sorted(self._exports(call.asker).items())
        return {
            "Exports": [
                {"ExportingStackId": stack.home.stack_id, "Name": name, "Value": value} for name, (stack, value) in rows
            ]
        }

    def list_imports(self, call: Call) -> dict[str, Any]:
        name = call.given.get("ExportName", "")
        rows = [row.home.stack for row in self._mine(call.asker) if name in row.imports and row.status != _GONE]
        if not rows:
            raise invalid(f"Export '{name}' is not imported by any stack.")
        return {"Imports": rows}

    def template(self, call: Call) -> dict[str, Any]:
        return {"TemplateBody": self.found(call).plan.text, "StagesAvailable": ["Original", "Processed"]}

    def validate(self, call: Call) -> dict[str, Any]:
        found = parse(template_text(call.given, client=call.client, before=None))
        planning.check(found)
        return {
            "Description": found.get("Description"),
            "Parameters": described.template_parameters(found),
            "Capabilities": sorted(planning.capabilities(found)),
        }

    def summary(self, call: Call) -> dict[str, Any]:
        before = self.found(call).plan.text if call.given.get("StackName") else None
        found = parse(before or template_text(call.given, client=call.client, before=None))
        planning.check(found)
        rows = described.template_parameters(found)
        kinds = {row["ParameterKey"]: found["Parameters"][row["ParameterKey"]]["Type"] for row in rows}
        return {
            "Description": found.get("Description"),
            "Parameters": [{**row, "ParameterType": kinds[row["ParameterKey"]]} for row in rows],
            "Capabilities": sorted(planning.capabilities(found)),
            "ResourceTypes": sorted({row["Type"] for row in found["Resources"].values()}),
        }


_OPERATIONS: Final[Mapping[str, Callable[[CloudFormation, Call], dict[str, Any]]]] = {
    "CreateChangeSet": lambda service, call: service.change_sets.create(call),
    "DeleteChangeSet": lambda service, call: service.change_sets.delete(call),
    "DescribeChangeSet": lambda service, call: service.change_sets.describe(call),
    "ExecuteChangeSet": lambda service, call: service.change_sets.execute(call),
    "ListChangeSets": lambda service, call: service.change_sets.list_all(call),
    "CreateStack": CloudFormation.create,
    "UpdateStack": CloudFormation.update,
    "DeleteStack": CloudFormation.delete,
    "DescribeStacks": CloudFormation.describe,
    "DescribeStackEvents": CloudFormation.events,
    "DescribeStackResource": CloudFormation.resource,
    "DescribeStackResources": CloudFormation.resources,
    "GetTemplate": CloudFormation.template,
    "GetTemplateSummary": CloudFormation.summary,
    "ListExports": CloudFormation.list_exports,
    "ListImports": CloudFormation.list_imports,
    "ListStackResources": CloudFormation.list_resources,
    "ListStacks": CloudFormation.list_stacks,
    "UpdateTerminationProtection": CloudFormation.protect,
    "ValidateTemplate": CloudFormation.validate,
}


def _export_names(plan: Plan) -> set[str]:
    """Of its outputs, as far as they are known before it is carried out."""
    from pytest_s3vpce.lab.cloudformation.shapes import UNKNOWN

    rows = plan.outputs(plan.evaluator(lambda _logical, _attribute: UNKNOWN))
    return {export for _, _, export in rows.values() if export is not None}


def _check_capabilities(plan: Plan, given: list[str]) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-template.html"""
    enough = {*given, "CAPABILITY_IAM"} if "CAPABILITY_NAMED_IAM" in given else {*given}
    if missing := sorted(plan.capabilities - enough):
        most = "CAPABILITY_NAMED_IAM" if "CAPABILITY_NAMED_IAM" in missing else "CAPABILITY_IAM"
        message = f"Requires capabilities : [{most}]"
        raise Refused("InsufficientCapabilitiesException", status=400, message=message)
