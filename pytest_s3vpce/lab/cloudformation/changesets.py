"""Change sets: what a template would change of a stack, looked at first and carried out later.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-changesets.html
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.cloudformation import answers
from pytest_s3vpce.lab.cloudformation.faults import invalid
from pytest_s3vpce.lab.cloudformation.shapes import UNKNOWN, Misfit
from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.lab.cloudformation.planning import Plan, Wanted
    from pytest_s3vpce.lab.cloudformation.service import Call, CloudFormation
    from pytest_s3vpce.lab.cloudformation.stacks import Resource, Stack

REVIEW: Final = "REVIEW_IN_PROGRESS"
"""Of a stack that a change set would create."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
_UPDATABLE: Final = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"})
_UNCHANGED: Final = (
    "The submitted information didn't contain changes. Submit different information to create a change set."
)
_UNSERVED: Final = ("ResourcesToImport", "IncludeNestedStacks", "ImportExistingResources", "OnStackFailure")


@dataclass(slots=True, kw_only=True)
class ChangeSet:
    """What would be changed, and whether it was."""

    name: str
    id: str
    stack: Stack
    plan: Plan
    imports: set[str]
    description: str | None
    capabilities: tuple[str, ...]
    changes: tuple[Mapping[str, Any], ...]
    status: str = "CREATE_COMPLETE"
    reason: str | None = None
    execution: str = "AVAILABLE"
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


class ChangeSets:
    """Those of all stacks of a service."""

    def __init__(self, service: CloudFormation) -> None:
        self._service = service
        self._all: list[ChangeSet] = []

    def create(self, call: Call) -> dict[str, Any]:
        kind = call.given.get("ChangeSetType") or "UPDATE"
        if kind not in ("CREATE", "UPDATE"):
            raise invalid(f"the lab does not serve change sets of type {kind}")
        for name in _UNSERVED:
            if any(key == name or key.startswith(f"{name}.") for key in call.given) and call.given.get(name) != "false":
                raise invalid(f"the lab does not serve the parameter {name} of CreateChangeSet")
        name = call.given.get("ChangeSetName", "")
        if not _NAME.fullmatch(name):
            raise invalid(
                f"1 validation error detected: Value '{name}' at 'changeSetName' failed to satisfy constraint: Member "
                "must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
            )
        with self._service.changing:
            made = self._new_stack(call, name) if kind == "CREATE" else self._of_stack(call, name)
            self._all.append(made)
        return {"Id": made.id, "StackId": made.stack.home.stack_id}

    def _new_stack(self, call: Call, name: str) -> ChangeSet:
        stack = self._service.known(call.asker, call.stack_name)
        if stack is not None and stack.status != REVIEW:
            raise invalid(f"Stack [{call.stack_name}] already exists and cannot be created again with the changeSet")
        if stack is None:
            stack = self._service.begin(call)
            stack.tell(REVIEW, "User Initiated")
            self._service.stacks.append(stack)
            return self._made(call, name, stack, stack.plan, stack.imports)
        imports: set[str] = set()
        return self._made(call, name, stack, self._service.plan(call, home=stack.home, imports=imports), imports)

    def _of_stack(self, call: Call, name: str) -> ChangeSet:
        stack = self._service.found(call)
        if stack.status not in _UPDATABLE:
            raise invalid(f"Stack:{stack.home.stack_id} is in {stack.status} state and can not be updated.")
        imports: set[str] = set()
        self._service.check_tags(stack, call)
        plan = self._service.plan(call, home=stack.home, imports=imports, before=stack)
        made = self._made(call, name, stack, plan, imports)
        if plan.same_as(stack.plan):
            made.status, made.reason, made.execution = "FAILED", _UNCHANGED, "UNAVAILABLE"
        return made

    def _made(self, call: Call, name: str, stack: Stack, plan: Plan, imports: set[str]) -> ChangeSet:
        for row in [row for row in self._of(stack) if row.name == name]:
            if row.execution == "AVAILABLE":
                raise Refused("AlreadyExistsException", status=400, message=f"ChangeSet {name} already exists")
            self._all.remove(row)  # AWS CLI names its sets by the second, and two deployments here take less
        place = stack.home.stack_id.partition(":stack/")[0]
        return ChangeSet(
            name=name,
            id=f"{place}:changeSet/{name}/{uuid.uuid4()}",
            stack=stack,
            plan=plan,
            imports=imports,
            description=call.given.get("Description"),
            capabilities=tuple(answers.texts(call.given, "Capabilities")),
            changes=tuple(_changes(stack, plan)),
        )

    def _of(self, stack: Stack) -> list[ChangeSet]:
        return [row for row in self._all if row.stack is stack]

    def _found(self, call: Call) -> ChangeSet:
        """By id, or by name and stack."""
        named = call.given.get("ChangeSetName", "")
        if named.startswith("arn:"):
            rows = [row for row in self._all if row.id == named and row.stack.home.account == call.asker.account]
        else:
            rows = [row for row in self._of(self._service.found(call)) if row.name == named]
        if not rows:
            raise Refused("ChangeSetNotFound", status=404, message=f"ChangeSet [{named}] does not exist")
        return rows[-1]

    # --- reading -----------------------------------------------------------------------------------------------------

    def describe(self, call: Call) -> dict[str, Any]:
        row = self._found(call)
        shown = [{"ParameterKey": key, "ParameterValue": value} for key, value in row.plan.shown.items()]
        return {
            **_summary(row),
            "Parameters": shown,
            "NotificationARNs": [],
            "RollbackConfiguration": {},
            "Capabilities": list(row.capabilities),
            "Tags": [{"Key": key, "Value": value} for key, value in row.stack.tags.items()],
            "Changes": list(row.changes),
        }

    def list_all(self, call: Call) -> dict[str, Any]:
        return {"Summaries": [_summary(row) for row in self._of(self._service.found(call))]}

    # --- changing ----------------------------------------------------------------------------------------------------

    def delete(self, call: Call) -> dict[str, Any]:
        with self._service.changing:
            self._all.remove(self._found(call))
        return {}

    def execute(self, call: Call) -> dict[str, Any]:
        with self._service.changing:
            row = self._found(call)
            if row.execution != "AVAILABLE":
                message = (
                    f"ChangeSet [{row.id}] cannot be executed in its current status of [{row.status}] "
                    f"and execution status of [{row.execution}]"
                )
                raise Refused("InvalidChangeSetStatus", status=400, message=message)
            self._carry_out(row, call)
            # What was looked at before the stack changed holds no more.
            self._all = [other for other in self._all if other.stack is not row.stack or other is row]
            row.execution = "EXECUTE_COMPLETE" if row.stack.status.endswith("E_COMPLETE") else "EXECUTE_FAILED"
        return {}

    def _carry_out(self, row: ChangeSet, call: Call) -> None:
        stack = row.stack
        if stack.status != REVIEW:
            self._service.check_exports_stay(stack, row.plan, call)
            self._service.carry_out(stack, row.plan, row.imports, call)
            return
        stack.plan, stack.imports, stack.capabilities = row.plan, row.imports, row.capabilities
        stack.disable_rollback = call.given.get("DisableRollback") == "true"
        on_failure = "DO_NOTHING" if stack.disable_rollback else "ROLLBACK"
        self._service.deployment(stack, call).create(on_failure=on_failure)


def _summary(row: ChangeSet) -> dict[str, Any]:
    return {
        "ChangeSetName": row.name,
        "ChangeSetId": row.id,
        "StackId": row.stack.home.stack_id,
        "StackName": row.stack.home.stack,
        "Description": row.description,
        "CreationTime": row.at,
        "ExecutionStatus": row.execution,
        "Status": row.status,
        "StatusReason": row.reason,
        "IncludeNestedStacks": False,
    }


# --- what would change -----------------------------------------------------------------------------------------------


def _changes(stack: Stack, plan: Plan) -> Iterator[Mapping[str, Any]]:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html"""

    def value_of(logical: str, attribute: str | None) -> Any:
        found = stack.resources.get(logical)
        if found is None or found.made is None:
            return UNKNOWN
        return found.made.physical if attribute is None else found.made.attributes.get(attribute, "")

    evaluator = plan.evaluator(value_of)
    for wanted in plan.wanted:
        old = stack.resources.get(wanted.logical)
        if old is None:
            yield _change("Add", wanted.logical, wanted.type.name)
            continue
        try:
            properties = wanted.shape.fit(evaluator.value(wanted.node))
        except (Misfit, Refused):
            properties = {}  # told when it is carried out
        changed = {name for name in {*properties, *old.properties} if properties.get(name) != old.properties.get(name)}
        if changed or old.type is not wanted.type:
            yield _modified(old, wanted, sorted(changed))
    names = {wanted.logical for wanted in plan.wanted}
    for resource in stack.resources.values():
        if resource.logical not in names:
            yield _change("Remove", resource.logical, resource.type.name, physical=resource.physical)


def _modified(old: Resource, wanted: Wanted, changed: list[str]) -> Mapping[str, Any]:
    fixed = [name for name in changed if name not in wanted.type.mutable]
    replaced = old.type is not wanted.type or bool(fixed)
    details = [
        {
            "Target": {
                "Attribute": "Properties",
                "Name": name,
                "RequiresRecreation": "Always" if name in fixed else "Never",
            },
            "Evaluation": "Static",
            "ChangeSource": "DirectModification",
        }
        for name in changed
    ]
    more = {"Replacement": "True" if replaced else "False", "Scope": ["Properties"], "Details": details}
    return _change("Modify", wanted.logical, wanted.type.name, physical=old.physical, **more)


def _change(action: str, logical: str, kind: str, *, physical: str | None = None, **more: Any) -> Mapping[str, Any]:
    change = {
        "Action": action,
        "LogicalResourceId": logical,
        "PhysicalResourceId": physical,
        "ResourceType": kind,
        **more,
    }
    return {"Type": "Resource", "ResourceChange": change}
