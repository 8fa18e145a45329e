"""Names that a template refers to, wherever that stands: each must be one that it declares."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.cloudformation.faults import invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_VARIABLE: Final = re.compile(r"\$\{(?!!)([^{}]*)\}")
_PSEUDO: Final = "AWS::"


def check(template: Mapping[str, Any]) -> None:
    """ValidationError, as AWS words it, where a name is not declared."""
    known = {*template["Resources"], *(template.get("Parameters") or {})}
    for section in ("Resources", "Outputs"):
        for name, row in (template.get(section) or {}).items():
            stated = row.get("DependsOn", []) if isinstance(row, dict) else []
            named = {*_names(row), *([stated] if isinstance(stated, str) else stated)}
            if lost := sorted(one for one in named if one not in known and not one.startswith(_PSEUDO)):
                raise unresolved(lost, section=section, at=name)


def unresolved(names: Iterable[str], *, section: str = "Resources", at: str = "") -> Exception:
    where = f" ({at})" if at else ""
    return invalid(
        f"Template format error: Unresolved resource dependencies [{', '.join(names)}] in the {section} block of the "
        f"template{where}"
    )


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for row in node:
            yield from _names(row)
    elif isinstance(node, dict):
        name, given = next(iter(node.items())) if len(node) == 1 else ("", None)
        if name == "Ref" and isinstance(given, str):
            yield given
        elif name == "Fn::GetAtt":
            parts: Any = given.split(".", 1) if isinstance(given, str) else given
            yield from (part for part in list(parts or ())[:1] if isinstance(part, str))
        elif name == "Fn::Sub":
            yield from _substituted(given)
        else:
            for row in node.values():
                yield from _names(row)


def _substituted(given: Any) -> Iterator[str]:
    text, own = (given[0], given[1]) if isinstance(given, list) and len(given) > 1 else (given, {})
    if isinstance(text, str):
        names = (name.strip().partition(".")[0] for name in _VARIABLE.findall(text))
        yield from (name for name in names if not isinstance(own, dict) or name not in own)
    yield from _names(list(own.values()) if isinstance(own, dict) else own)
