"""Templates as they are sent: JSON, or YAML with its short forms, read into plain data with functions in full.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

import yaml

from pytest_s3vpce.lab.cloudformation.faults import invalid

SECTIONS: Final = frozenset(
    {
        "AWSTemplateFormatVersion",
        "Description",
        "Metadata",
        "Parameters",
        "Mappings",
        "Conditions",
        "Resources",
        "Outputs",
    }
)
"""https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html; Rules and Transform are not."""
_MOST_BYTES: Final = 1_000_000
_BASE: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BARE: Final = frozenset({"Ref", "Condition"})
_MERGE: Final = "<<"


class _Loader(_BASE):  # type: ignore[misc]  # which of the two it is, the machine decides
    """YAML's own values but for dates, which stay text: `Version: 2012-10-17`."""


_Loader.yaml_implicit_resolvers = {
    first: [row for row in rows if row[0] != "tag:yaml.org,2002:timestamp"]
    for first, rows in _BASE.yaml_implicit_resolvers.items()
}


def _short(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    """`!GetAtt A.B` is `{"Fn::GetAtt": ["A", "B"]}`."""
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = _mapping(loader, node)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in _BARE else f"Fn::{suffix}": value}


def _mapping(loader: Any, node: yaml.Node) -> dict[Any, Any]:
    assert isinstance(node, yaml.MappingNode)
    names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != _MERGE]
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        line = node.start_mark.line + 1
        raise invalid(f"Template format error: YAML not well-formed. (`{twice}` is given twice, from line {line})")
    loader.flatten_mapping(node)
    found = {loader.construct_object(key, deep=True): value for key, value in node.value}
    return {
        str(name) if not isinstance(name, str) else name: loader.construct_object(value, deep=True)
        for name, value in found.items()
        if isinstance(name, Hashable)
    }


_Loader.add_multi_constructor("!", _short)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse(text: str) -> dict[str, Any]:
    """The template; ValidationError where it is none, or has a section that is not served."""
    if len(text) > _MOST_BYTES:
        raise invalid(f"1 validation error detected: the template is longer than {_MOST_BYTES} bytes")
    try:
        # JSON is YAML, but for tabs.
        found = yaml.load(text.replace("\t", " ") if text.lstrip()[:1] == "{" else text, Loader=_Loader)  # noqa: S506
    except (yaml.YAMLError, TypeError, RecursionError, ValueError) as error:
        raise invalid(f"Template format error: YAML not well-formed. ({_where(error)})") from error
    if not isinstance(found, dict):
        raise invalid("Template format error: unsupported structure.")
    for name in found:
        if name not in SECTIONS:
            raise invalid(f"Invalid template property or properties [{name}]: the lab does not serve this section")
    for name in SECTIONS - {"AWSTemplateFormatVersion", "Description"}:
        if not isinstance(found.get(name, {}), dict):
            raise invalid(f"Template format error: [/{name}] object must be a mapping")
    if not found.get("Resources"):
        raise invalid("Template format error: At least one Resources member must be defined.")
    return found


def _where(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return str(error).partition("\n")[0] or type(error).__name__
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', '')}"
