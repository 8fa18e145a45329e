"""A template's parameters: their values, checked, and as functions see them.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.cloudformation.faults import invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_KNOWN: Final = frozenset(
    {
        "Type",
        "Default",
        "Description",
        "AllowedValues",
        "AllowedPattern",
        "ConstraintDescription",
        "MinLength",
        "MaxLength",
        "MinValue",
        "MaxValue",
        "NoEcho",
    }
)
_PLAIN: Final = re.compile(r"String|Number|AWS::[A-Za-z0-9]+::[A-Za-z0-9]+(::[A-Za-z]+)?")
_LIST: Final = re.compile(r"CommaDelimitedList|List<(String|Number|AWS::[A-Za-z0-9:]+)>")
_STORED: Final = re.compile(r"AWS::SSM::Parameter::Value<(?P<type>.+)>")
_MASK: Final = "****"


def declared(template: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The declarations; ValidationError where one is not served."""
    rows: Mapping[str, Any] = template.get("Parameters") or {}
    for name, row in rows.items():
        if not isinstance(row, dict) or not isinstance(row.get("Type"), str):
            raise invalid(f"Template format error: Every Parameters object must contain a Type member. ({name})")
        for key in row:
            if key not in _KNOWN:
                raise invalid(f"Invalid template parameter property '{key}' of parameter {name}")
        kind = row["Type"]
        stored = _STORED.fullmatch(kind)
        if not any(form.fullmatch(stored["type"] if stored else kind) for form in (_PLAIN, _LIST)):
            raise invalid(f"Template format error: Unrecognized parameter type: {kind} ({name})")
    return rows


def chosen(rows: Mapping[str, Mapping[str, Any]], given: Mapping[str, str]) -> dict[str, str]:
    """The text of each parameter: as given, else its default."""
    if strange := [name for name in given if name not in rows]:
        raise invalid(f"Parameters: [{', '.join(strange)}] do not exist in the template")
    if missing := [name for name, row in rows.items() if name not in given and "Default" not in row]:
        raise invalid(f"Parameters: [{', '.join(missing)}] must have values")
    found = {name: given.get(name, _text(row.get("Default"))) for name, row in rows.items()}
    for name, text in found.items():
        _check(name, rows[name], text)
    return found


def shown(rows: Mapping[str, Mapping[str, Any]], texts: Mapping[str, str]) -> dict[str, str]:
    """The texts for those who ask: secrets are masked."""
    return {name: _MASK if _text(rows[name].get("NoEcho")).lower() == "true" else text for name, text in texts.items()}


def values(
    rows: Mapping[str, Mapping[str, Any]], texts: Mapping[str, str], *, stored: Callable[[str], str]
) -> dict[str, Any]:
    """What `Ref` gives; `stored` reads the parameter store."""
    found: dict[str, Any] = {}
    for name, text in texts.items():
        kind = rows[name]["Type"]
        match = _STORED.fullmatch(kind)
        if match:
            kind, text = match["type"], stored(text)  # noqa: PLW2901 - from here on that is the value
        found[name] = [part.strip() for part in text.split(",")] if _LIST.fullmatch(kind) else text
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _check(name: str, row: Mapping[str, Any], text: str) -> None:
    parts = [part.strip() for part in text.split(",")] if _LIST.fullmatch(row["Type"]) else [text]
    allowed = row.get("AllowedValues")
    if allowed is not None and not {*parts} <= {_text(one) for one in allowed}:
        values = ", ".join(map(_text, allowed))
        raise _unfit(name, row, f"Parameter '{name}' must be one of AllowedValues: [{values}]")
    pattern = row.get("AllowedPattern")
    if pattern is not None and not all(re.fullmatch(str(pattern), part) for part in parts):
        raise _unfit(name, row, f"Parameter {name} failed to satisfy constraint: it must match pattern {pattern}")
    if row["Type"] == "Number" and not re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)?", text):
        raise _unfit(name, row, f"Parameter '{name}' must be a number.")
    measures = (("Length", float(len(text))), ("Value", float(text) if row["Type"] == "Number" else None))
    for kind, size in measures:
        least, most = row.get(f"Min{kind}"), row.get(f"Max{kind}")
        if size is not None and (
            (least is not None and size < float(least)) or (most is not None and size > float(most))
        ):
            words = f"Parameter '{name}' must have a {kind.lower()} from {least or 0} to {most or 'any'}"
            raise _unfit(name, row, words)


def _unfit(name: str, row: Mapping[str, Any], message: str) -> Exception:
    told = row.get("ConstraintDescription")
    return invalid(f"Parameter '{name}' failed to satisfy constraint: {told}" if told else message)
