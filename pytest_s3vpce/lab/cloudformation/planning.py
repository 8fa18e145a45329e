"""What a template with its parameters asks for, checked whole before anything is made, in the order of making."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.cloudformation import parameters, references
from pytest_s3vpce.lab.cloudformation.catalogue import TYPES
from pytest_s3vpce.lab.cloudformation.evaluation import Evaluator
from pytest_s3vpce.lab.cloudformation.faults import invalid
from pytest_s3vpce.lab.cloudformation.shapes import UNKNOWN, Fields, Misfit
from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_s3vpce.lab.cloudformation.making import Home, ResourceType

_MEMBERS: Final = frozenset(
    {"Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata"}
)
_POLICIES: Final = frozenset({"Delete", "Retain", "RetainExceptOnCreate"})
_OUTPUT: Final = frozenset({"Value", "Description", "Export", "Condition"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a template asks of the world around it."""

    export_of: Callable[[str], str]
    zones: Callable[[str], list[str]]
    stored: Callable[[str], str]
    """A parameter of the parameter store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A resource that the template asks for."""

    logical: str
    type: ResourceType
    node: Mapping[str, Any]
    """Its properties, not evaluated."""
    depends: frozenset[str]
    deletion_policy: str
    replace_policy: str

    @property
    def shape(self) -> Fields:
        return Fields(self.type.properties, self.type.required)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A template with its parameters; `wanted` stand in the order of making."""

    text: str
    template: Mapping[str, Any]
    parameters: Mapping[str, str] = field(repr=False)
    shown: Mapping[str, str]
    wanted: tuple[Wanted, ...]
    capabilities: frozenset[str]
    _names: Mapping[str, Any] = field(repr=False)
    _around: Surroundings

    @property
    def description(self) -> str:
        return str(self.template.get("Description") or "")

    def same_as(self, other: Plan) -> bool:
        """Whether both ask for the same."""
        return self.template == other.template and self.parameters == other.parameters

    def evaluator(self, resource_of: Callable[[str, str | None], Any]) -> Evaluator:
        return _evaluator(self.template, self._names, self._around, resource_of)

    def outputs(self, evaluator: Evaluator) -> dict[str, tuple[str, str, str | None]]:
        """Value, description and the name of the export, by name of the output."""
        return _outputs(self.template, evaluator)


def plan(text: str, template: Mapping[str, Any], *, given: Mapping[str, str], home: Home, around: Surroundings) -> Plan:
    """The plan; ValidationError, which names everything that is not served, where there can be none."""
    check(template)
    rows = parameters.declared(template)
    texts = parameters.chosen(rows, given)
    names = {**_pseudo(home), **parameters.values(rows, texts, stored=around.stored)}
    wanted = _Planner(template, names, around).wanted()
    return Plan(
        text=text,
        template=template,
        parameters=texts,
        shown=parameters.shown(rows, texts),
        wanted=wanted,
        capabilities=frozenset(capabilities(template)),
        _names=names,
        _around=around,
    )


def _evaluator(
    template: Mapping[str, Any],
    names: Mapping[str, Any],
    around: Surroundings,
    resource_of: Callable[[str, str | None], Any],
) -> Evaluator:
    return Evaluator(template, names=names, resource_of=resource_of, export_of=around.export_of, zones=around.zones)


def _pseudo(home: Home) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html"""
    return {
        "AWS::AccountId": home.account,
        "AWS::NotificationARNs": [],
        "AWS::Partition": home.partition,
        "AWS::Region": home.region,
        "AWS::StackId": home.stack_id,
        "AWS::StackName": home.stack,
        "AWS::URLSuffix": "amazonaws.com.cn" if home.partition == "aws-cn" else "amazonaws.com",
    }


# --- what needs no parameters ----------------------------------------------------------------------------------------


def check(template: Mapping[str, Any]) -> None:
    """ValidationError that names every type, property and reference which the template should not have."""
    resources: Mapping[str, Any] = template["Resources"]
    faults = [fault for logical, row in resources.items() for fault in _faults(logical, row)]
    if faults:
        raise invalid("Template format error: " + "; ".join(faults))
    parameters.declared(template)
    references.check(template)


def capabilities(template: Mapping[str, Any]) -> set[str]:
    """What a caller must acknowledge to have this made."""
    rows = [(TYPES[row["Type"]], row.get("Properties") or {}) for row in template["Resources"].values()]
    return {needed for kind, properties in rows if (needed := kind.capability(properties)) is not None}


def _faults(logical: str, row: Any) -> Iterable[str]:
    if not logical.isalnum():
        yield f"Resource name {logical} is non alphanumeric"
    if not isinstance(row, dict) or not isinstance(row.get("Type"), str):
        yield f"[/Resources/{logical}] Every Resources object must contain a Type member"
        return
    for member in row:
        if member not in _MEMBERS:
            yield f"[/Resources/{logical}/{member}] the lab does not serve this attribute of a resource"
    for member in ("DeletionPolicy", "UpdateReplacePolicy"):
        if row.get(member, "Delete") not in _POLICIES:
            yield f"[/Resources/{logical}/{member}] the lab does not serve {row[member]}"
    kind = row["Type"]
    if kind not in TYPES:
        yield f"Unrecognized resource types: [{kind}] of resource {logical}: the lab makes no {kind}"
        return
    properties = row.get("Properties") or {}
    if not isinstance(properties, dict):
        yield f"[/Resources/{logical}/Properties] must be a mapping"
        return
    for name in properties:
        if name not in TYPES[kind].properties and not str(name).startswith("Fn::"):
            yield f"resource {logical} ({kind}): the lab does not serve the property {name}"


# --- what does -------------------------------------------------------------------------------------------------------


class _Planner:
    """Looks at every resource once with its conditions decided and other resources unknown."""

    def __init__(self, template: Mapping[str, Any], names: Mapping[str, Any], around: Surroundings) -> None:
        self._template = template
        self._resources: Mapping[str, Any] = template["Resources"]
        self._evaluator = _evaluator(template, names, around, self._asked)
        self._found: set[str] = set()
        self._active: set[str] = set()

    def wanted(self) -> tuple[Wanted, ...]:
        self._evaluator.check_conditions()
        self._active = {
            logical
            for logical, row in self._resources.items()
            if "Condition" not in row or self._evaluator.condition(row["Condition"])
        }
        faults: list[str] = []
        rows = {logical: self._one(logical, faults) for logical in self._resources if logical in self._active}
        if faults:
            raise invalid("Properties validation failed: " + "; ".join(faults))
        _outputs(self._template, self._evaluator)
        return _ordered(rows)

    def _asked(self, logical: str, attribute: str | None) -> Any:
        if logical not in self._active:
            raise references.unresolved([logical])
        self._found.add(logical)
        known = TYPES[self._resources[logical]["Type"]].attributes
        if attribute is not None and attribute not in known:
            kind = self._resources[logical]["Type"]
            raise invalid(f"Template error: resource {logical} ({kind}) has no attribute {attribute} in the lab")
        return UNKNOWN

    def _one(self, logical: str, faults: list[str]) -> Wanted:
        row = self._resources[logical]
        self._found = set()
        made = Wanted(
            logical=logical,
            type=TYPES[row["Type"]],
            node=row.get("Properties") or {},
            depends=frozenset(),
            deletion_policy=row.get("DeletionPolicy", "Delete"),
            replace_policy=row.get("UpdateReplacePolicy", "Delete"),
        )
        named = row.get("DependsOn", [])
        stated = {named} if isinstance(named, str) else set(named)
        try:
            made.shape.fit(self._evaluator.value(made.node))
        except Misfit as misfit:
            at = "/".join(misfit.path) or "Properties"
            faults.append(f"resource {logical} ({made.type.name}), property {at}: {misfit.what}")
        except Refused as refused:
            faults.append(f"resource {logical} ({made.type.name}): {refused.message}")
        return Wanted(
            logical=logical,
            type=made.type,
            node=made.node,
            depends=frozenset((self._found | stated) & self._active),
            deletion_policy=made.deletion_policy,
            replace_policy=made.replace_policy,
        )


def _ordered(rows: Mapping[str, Wanted]) -> tuple[Wanted, ...]:
    """Each after what it depends on, otherwise as they were written."""
    left, found = dict(rows), []
    while left:
        ready = next((name for name, row in left.items() if not row.depends & left.keys()), None)
        if ready is None:
            raise invalid(f"Circular dependency between resources: [{', '.join(left)}]")
        found.append(left.pop(ready))
    return tuple(found)


def _outputs(template: Mapping[str, Any], evaluator: Evaluator) -> dict[str, tuple[str, str, str | None]]:
    found = {}
    rows: Mapping[str, Any] = template.get("Outputs") or {}
    for name, row in rows.items():
        if not isinstance(row, dict) or "Value" not in row or row.keys() - _OUTPUT:
            raise invalid(f"Template format error: Output {name} is malformed. (it takes {', '.join(sorted(_OUTPUT))})")
        if "Condition" in row and not evaluator.condition(row["Condition"]):
            continue
        value = evaluator.value(row["Value"])
        if isinstance(value, (list, dict)):
            raise invalid(f"Template format error: The Value field of every Outputs member must be a string. ({name})")
        export = (row.get("Export") or {}).get("Name")
        exported = None if export is None else str(evaluator.value(export))
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        found[name] = (text, str(row.get("Description") or ""), exported)
    return found
