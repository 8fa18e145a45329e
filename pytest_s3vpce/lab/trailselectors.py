"""Which events a trail takes: its basic or advanced event selectors.

https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_EventSelector.html and
https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_AdvancedFieldSelector.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_s3vpce.lab.trailrecords import Record

_READ_WRITE: Final[Mapping[str, tuple[bool, ...]]] = {
    "All": (True, False),
    "ReadOnly": (True,),
    "WriteOnly": (False,),
}
_OPERATORS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "Equals": lambda value, wanted: value == wanted,
    "StartsWith": lambda value, wanted: value.startswith(wanted),
    "EndsWith": lambda value, wanted: value.endswith(wanted),
}


def check(given: Mapping[str, Any]) -> None:
    """Raises CloudTrail's refusal of selectors that can't be: what is stored is asked of every record.

    https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_PutEventSelectors.html
    """
    basic, advanced = given.get("EventSelectors") or [], given.get("AdvancedEventSelectors") or []
    try:
        good = all(_is_basic(row) for row in basic) and all(_is_advanced(row) for row in advanced)
    except (AttributeError, KeyError, TypeError):
        good = False
    if not good:
        message = "The event selectors are not valid."
        raise Refused("InvalidEventSelectorsException", status=400, message=message)


def _is_basic(row: Mapping[str, Any]) -> bool:
    resources = row.get("DataResources") or []
    return (row.get("ReadWriteType") or "All") in _READ_WRITE and all(
        isinstance(resource["Type"], str) and _is_texts(resource.get("Values") or []) for resource in resources
    )


def _is_advanced(row: Mapping[str, Any]) -> bool:
    names = [f"{negation}{name}" for negation in ("", "Not") for name in _OPERATORS]
    return bool(row["FieldSelectors"]) and all(
        isinstance(field["Field"], str) and all(_is_texts(field.get(name) or []) for name in names)
        for field in row["FieldSelectors"]
    )


def _is_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def takes(record: Record, *, basic: Sequence[Mapping[str, Any]], advanced: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a trail with these selectors has this event; without any it has the management events."""
    if basic:
        return any(_basic(selector, record) for selector in basic)
    if advanced:
        return any(_advanced(selector, record) for selector in advanced)
    return bool(record["eventCategory"] == "Management")


def _basic(selector: Mapping[str, Any], record: Record) -> bool:
    kind = record["eventCategory"]
    if kind == "NetworkActivity" or record["readOnly"] not in _READ_WRITE[selector.get("ReadWriteType") or "All"]:
        return False
    if kind == "Management":
        excluded = selector.get("ExcludeManagementEventSources") or ()
        return bool(selector.get("IncludeManagementEvents", True)) and record["eventSource"] not in excluded
    return any(
        row["type"] == wanted["Type"] and _arn(row).startswith(value)
        for row in record.get("resources", ())
        for wanted in selector.get("DataResources") or ()
        for value in wanted.get("Values") or ()
    )


def _advanced(selector: Mapping[str, Any], record: Record) -> bool:
    return all(_field(row, record) for row in selector["FieldSelectors"])


def _field(row: Mapping[str, Any], record: Record) -> bool:
    """All operators must hold; of an operator's values one must, and of a `Not` operator's none may."""
    values = list(_values(row["Field"], record))
    for name, compare in _OPERATORS.items():
        if row.get(name) and not _any(values, row[name], compare):
            return False
        if row.get(f"Not{name}") and _any(values, row[f"Not{name}"], compare):
            return False
    return True


def _any(values: Iterable[str], wanted: Sequence[str], compare: Callable[[str, str], bool]) -> bool:
    return any(compare(value, text) for value in values for text in wanted)


def _values(field: str, record: Record) -> Iterable[str]:
    """What an event has for a field; of its resources the first is what its type and ARN mean."""
    if field.startswith("resources."):
        for row in list(record.get("resources", ()))[:1]:
            yield row["type"] if field == "resources.type" else _arn(row)
        return
    found: Any = record
    for part in field.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, bool):
        yield "true" if found else "false"
    elif found is not None:
        yield str(found)


def _arn(row: Mapping[str, Any]) -> str:
    return str(row.get("ARN") or row["ARNPrefix"])
