"""Makes, changes and removes the resources of a stack, and takes back what it did where one fails."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from pytest_s3vpce.lab.cloudformation.faults import Failed
from pytest_s3vpce.lab.cloudformation.making import Work
from pytest_s3vpce.lab.cloudformation.shapes import Misfit
from pytest_s3vpce.lab.cloudformation.stacks import Output, Resource
from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.lab.cloudformation.evaluation import Evaluator
    from pytest_s3vpce.lab.cloudformation.making import Made
    from pytest_s3vpce.lab.cloudformation.planning import Plan, Wanted
    from pytest_s3vpce.lab.cloudformation.stacks import Stack

_FAILURES: Final = (ClientError, BotoCoreError, Failed, Misfit, Refused)
_KEPT: Final = frozenset({"Retain", "RetainExceptOnCreate"})
"""https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html"""


class Deployment:
    """One operation on one stack, with the clients of whoever asked for it."""

    def __init__(
        self, stack: Stack, *, client: Callable[[str], Any], is_exported: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._stack = stack
        self._client = client
        self._is_exported = is_exported
        self._undo: list[tuple[Resource, Callable[[], None]]] = []

    # --- operations --------------------------------------------------------------------------------------------------

    def create(self, *, on_failure: str) -> None:
        """Makes everything; `on_failure` is what the API calls so."""
        stack = self._stack
        stack.tell("CREATE_IN_PROGRESS", "User Initiated")
        try:
            evaluator = stack.plan.evaluator(self._value_of)
            for wanted in stack.plan.wanted:
                self._make(wanted, evaluator)
            self._settle_outputs(evaluator)
        except _FAILURES as failure:
            self._abandon(_reason(failure), on_failure=on_failure)
        else:
            stack.tell("CREATE_COMPLETE")

    def _abandon(self, reason: str, *, on_failure: str) -> None:
        stack = self._stack
        told = f"The following resource(s) failed to create: [{', '.join(self._failed())}]. " if self._failed() else ""
        if on_failure == "DO_NOTHING":
            stack.tell("CREATE_FAILED", told or reason)
            return
        if on_failure == "DELETE":
            self.delete()
            return
        stack.tell("ROLLBACK_IN_PROGRESS", f"{told or reason} Rollback requested by user.")
        lost = self._remove_all(kept=frozenset({"Retain"}))
        stack.tell("ROLLBACK_FAILED" if lost else "ROLLBACK_COMPLETE", lost or None)

    def _failed(self) -> list[str]:
        return [row.logical for row in self._stack.resources.values() if row.status.endswith("_FAILED")]

    def delete(self) -> None:
        stack = self._stack
        stack.tell("DELETE_IN_PROGRESS", "User Initiated")
        lost = self._remove_all(kept=_KEPT)
        if not lost:
            stack.outputs = {}
        stack.tell("DELETE_FAILED" if lost else "DELETE_COMPLETE", lost or None)

    def update(self, plan: Plan) -> None:
        """Makes the stack what this plan wants; what can't be changed in place is made anew, then the old removed."""
        stack, before = self._stack, self._stack.plan
        outputs = dict(stack.outputs)
        order = dict(stack.resources)
        stack.tell("UPDATE_IN_PROGRESS", "User Initiated")
        stack.plan = plan
        try:
            evaluator = plan.evaluator(self._value_of)
            for wanted in plan.wanted:
                self._bring(wanted, evaluator)
            self._settle_outputs(evaluator)
        except _FAILURES as failure:
            stack.tell("UPDATE_ROLLBACK_IN_PROGRESS", _reason(failure))
            lost = self._take_back()
            stack.plan, stack.outputs, stack.resources = before, outputs, order
            stack.tell("UPDATE_ROLLBACK_FAILED" if lost else "UPDATE_ROLLBACK_COMPLETE", lost or None)
            return
        stack.tell("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        names = [row.logical for row in plan.wanted]
        for resource in reversed(order.values()):
            if resource.logical not in names:
                self._remove(resource, kept=_KEPT, policy=resource.deletion_policy)
            elif resource.nonce != stack.resources[resource.logical].nonce:  # another stands in its place
                self._remove(resource, kept=_KEPT, policy=resource.replace_policy)
        stack.resources = {name: stack.resources[name] for name in names}
        stack.tell("UPDATE_COMPLETE")

    # --- one resource ------------------------------------------------------------------------------------------------

    def _value_of(self, logical: str, attribute: str | None) -> Any:
        made = self._stack.resources[logical].made
        assert made is not None
        return made.physical if attribute is None else made.attributes.get(attribute, "")

    def _properties(self, wanted: Wanted, evaluator: Evaluator) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = wanted.shape.fit(evaluator.value(wanted.node))
        except Misfit as misfit:
            raise Failed(f"property {'/'.join(misfit.path)}: {misfit.what}") from misfit
        return found

    def _make(self, wanted: Wanted, evaluator: Evaluator) -> Resource:
        resource = Resource(
            logical=wanted.logical,
            type=wanted.type,
            properties={},
            depends=wanted.depends,
            deletion_policy=wanted.deletion_policy,
            replace_policy=wanted.replace_policy,
            nonce=uuid.uuid4().hex,
        )
        self._stack.resources[wanted.logical] = resource
        self._stack.tell_of(resource, "CREATE_IN_PROGRESS")
        try:
            resource.properties = self._properties(wanted, evaluator)
            work = self._work(resource)
            resource.made = wanted.type.make(work)
            resource.made = wanted.type.apply(work, resource.made) or resource.made
        except _FAILURES as failure:
            self._stack.tell_of(resource, "CREATE_FAILED", _reason(failure))
            raise
        self._stack.tell_of(resource, "CREATE_COMPLETE")
        return resource

    def _work(self, resource: Resource, *, previous: Mapping[str, Any] | None = None) -> Work:
        return Work(
            home=self._stack.home,
            logical=resource.logical,
            properties=resource.properties,
            client=self._client,
            stack_tags=self._stack.tags,
            previous=previous,
            nonce=resource.nonce,
        )

    def _bring(self, wanted: Wanted, evaluator: Evaluator) -> None:
        """One resource to where the new plan wants it."""
        old = self._stack.resources.get(wanted.logical)
        if old is None:
            self._make_undoably(wanted, evaluator, old=None)
            return
        properties = self._properties(wanted, evaluator)
        changed = {name for name in {*properties, *old.properties} if properties.get(name) != old.properties.get(name)}
        if old.type is wanted.type and not changed:
            old.deletion_policy, old.replace_policy = wanted.deletion_policy, wanted.replace_policy
            old.depends = wanted.depends
            return
        if old.type is wanted.type and changed <= wanted.type.mutable:
            self._change(old, wanted, properties)
            return
        named = wanted.type.named_by
        if old.type is wanted.type and named is not None and named in properties and named not in changed:
            what = "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
            what += f"Rename {properties[named]} and update the stack again."
            self._stack.tell_of(replace(old), "UPDATE_FAILED", what)
            raise Failed(what)
        self._make_undoably(wanted, evaluator, old=old)

    def _make_undoably(self, wanted: Wanted, evaluator: Evaluator, *, old: Resource | None) -> None:
        try:
            self._make(wanted, evaluator)
        finally:
            fresh = self._stack.resources[wanted.logical]
            self._undo.append((fresh, lambda: self._forget(fresh, old)))

    def _forget(self, fresh: Resource, old: Resource | None) -> None:
        if fresh.made is not None:
            fresh.type.remove(self._work(fresh), fresh.made)
        if old is not None:
            self._stack.resources[old.logical] = old

    def _change(self, old: Resource, wanted: Wanted, properties: Mapping[str, Any]) -> None:
        assert old.made is not None
        fresh = replace(old, properties=properties, depends=wanted.depends, deletion_policy=wanted.deletion_policy)
        fresh.replace_policy = wanted.replace_policy
        self._stack.resources[wanted.logical] = fresh
        self._undo.append((fresh, lambda: self._change_back(fresh, old)))
        self._stack.tell_of(fresh, "UPDATE_IN_PROGRESS")
        try:
            fresh.made = wanted.type.apply(self._work(fresh, previous=old.properties), old.made) or old.made
        except _FAILURES as failure:
            self._stack.tell_of(fresh, "UPDATE_FAILED", _reason(failure))
            raise
        self._stack.tell_of(fresh, "UPDATE_COMPLETE")

    def _change_back(self, fresh: Resource, old: Resource) -> None:
        made: Made | None = fresh.made
        assert made is not None
        old.made = old.type.apply(self._work(old, previous=fresh.properties), made) or made
        self._stack.resources[old.logical] = old

    # --- backwards ---------------------------------------------------------------------------------------------------

    def _take_back(self) -> str:
        """Undo what was done, last first; what could not be."""
        lost = []
        for resource, undo in reversed(self._undo):
            try:
                undo()
            except _FAILURES as failure:
                self._stack.tell_of(resource, "UPDATE_FAILED", _reason(failure))
                lost.append(resource.logical)
        return f"The following resource(s) failed to update: [{', '.join(lost)}]. " if lost else ""

    def _remove_all(self, *, kept: frozenset[str]) -> str:
        """Remove every resource, each before what it depends on; what could not be."""
        rows = list(reversed(self._stack.resources.values()))
        lost = [row.logical for row in rows if not self._remove(row, kept=kept, policy=row.deletion_policy)]
        return f"The following resource(s) failed to delete: [{', '.join(lost)}]. " if lost else ""

    def _remove(self, resource: Resource, *, kept: frozenset[str], policy: str) -> bool:
        """Whether it is gone, or meant to stay."""
        if resource.status in {"DELETE_COMPLETE", "DELETE_SKIPPED"}:
            return True
        if policy in kept and resource.made is not None:
            self._stack.tell_of(resource, "DELETE_SKIPPED")
            return True
        self._stack.tell_of(resource, "DELETE_IN_PROGRESS")
        try:
            if resource.made is not None:
                resource.type.remove(self._work(resource), resource.made)
        except _FAILURES as failure:
            self._stack.tell_of(resource, "DELETE_FAILED", _reason(failure))
            return False
        self._stack.tell_of(resource, "DELETE_COMPLETE")
        return True

    def _settle_outputs(self, evaluator: Evaluator) -> None:
        found = {
            name: Output(value=value, description=description, export=export)
            for name, (value, description, export) in self._stack.plan.outputs(evaluator).items()
        }
        for row in found.values():
            if row.export is not None and self._is_exported(row.export):
                raise Failed(f"Export with name {row.export} is already exported by another stack")
        self._stack.outputs = found


def _reason(failure: Exception) -> str:
    """In one line, in the words of the service that refused."""
    if isinstance(failure, WaiterError):
        return f"Resource did not stabilize: {failure}"
    if isinstance(failure, ClientError):
        error = failure.response["Error"]
        status = failure.response["ResponseMetadata"].get("HTTPStatusCode", "")
        return (
            f"{error.get('Message') or error['Code']} (Operation: {failure.operation_name}, Status Code: {status}, "
            f"Error Code: {error['Code']})"
        )
    found = failure.message if isinstance(failure, Refused) else str(failure)
    return " ".join(found.split())
