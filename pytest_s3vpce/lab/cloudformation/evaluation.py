"""Template functions and conditions, evaluated.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
"""

from __future__ import annotations

import base64
import ipaddress
import re
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.cloudformation.faults import invalid
from pytest_s3vpce.lab.cloudformation.shapes import UNKNOWN, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_VARIABLE: Final = re.compile(r"\$\{(?P<literal>!)?(?P<name>[^{}]*)\}")
_NAMES_ONLY: Final = 2
NO_VALUE: Final = object()
"""What `AWS::NoValue` stands for: the property is left out."""


class Evaluator:
    """Evaluates parts of one template with its parameters; what resources are is asked of `resource_of`.

    `resource_of(logical, None)` is what `Ref` gives, `resource_of(logical, "Arn")` what `GetAtt` does.
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        *,
        names: Mapping[str, Any],
        resource_of: Callable[[str, str | None], Any],
        export_of: Callable[[str], str],
        zones: Callable[[str], list[str]],
    ) -> None:
        self._mappings: Mapping[str, Any] = template.get("Mappings") or {}
        self._stated: Mapping[str, Any] = template.get("Conditions") or {}
        self._names = names
        self._resource_of = resource_of
        self._export_of = export_of
        self._zones = zones
        self._conditions: dict[str, bool] = {}
        self._asked: list[str] = []

    def value(self, node: Any) -> Any:
        """The node without functions; what `AWS::NoValue` stands for is left out of mappings and lists."""
        if isinstance(node, dict):
            if len(node) == 1:
                name, given = next(iter(node.items()))
                if name in _FUNCTIONS:
                    return _FUNCTIONS[name](self, given)
                if str(name).startswith("Fn::"):
                    raise invalid(f"Template error: the lab does not serve the function {name}")
            rows = {str(name): self.value(row) for name, row in node.items()}
            return {name: row for name, row in rows.items() if row is not NO_VALUE}
        if isinstance(node, list):
            found = [self.value(row) for row in node]
            return [row for row in found if row is not NO_VALUE]
        if isinstance(node, str) and "{{resolve:" in node:
            raise invalid(f"Template error: the lab does not serve dynamic references: {node}")
        return node

    def condition(self, name: Any) -> bool:
        """Whether a condition of the template holds."""
        if not isinstance(name, str) or name not in self._stated:
            raise invalid(f"Template format error: Unresolved condition dependency {name} in the template")
        if name in self._asked:
            raise invalid(f"Template error: condition {name} depends on itself")
        if name not in self._conditions:
            self._asked.append(name)
            self._conditions[name] = self._holds(self._stated[name])
            self._asked.pop()
        return self._conditions[name]

    def check_conditions(self) -> None:
        for name in self._stated:
            self.condition(name)

    def _holds(self, node: Any) -> bool:
        if isinstance(node, dict) and len(node) == 1:
            name, given = next(iter(node.items()))
            if name == "Condition":
                return self.condition(given)
            rule = _CONDITIONS.get(name)
            if rule is not None and isinstance(given, list):
                return rule(self, given)
        raise invalid("Template format error: every condition is one of Fn::And, Fn::Equals, Fn::Not, Fn::Or")

    # --- functions ---------------------------------------------------------------------------------------------------

    def ref(self, name: Any) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self._names:
            return self._names[name]
        return self._resource_of(str(name), None)

    def get_att(self, given: Any) -> Any:
        parts = given.split(".", 1) if isinstance(given, str) else given
        if not isinstance(parts, list) or len(parts) != _NAMES_ONLY or not isinstance(parts[0], str):
            raise _wrong("Fn::GetAtt", "two strings, the resource and its attribute")
        return self._resource_of(parts[0], str(self.value(parts[1])))

    def sub(self, given: Any) -> Any:
        text, own = given if isinstance(given, list) and len(given) == _NAMES_ONLY else (given, {})
        if not isinstance(text, str) or not isinstance(own, dict):
            raise _wrong("Fn::Sub", "a string, or a string and a mapping of variables")
        found = {name: self.value(row) for name, row in own.items()}
        unknown: list[Any] = []

        def replaced(match: re.Match[str]) -> str:
            if match["literal"]:
                return f"${{{match['name']}}}"
            name = match["name"].strip()
            value = found[name] if name in found else self.get_att(name) if "." in name else self.ref(name)
            if isinstance(value, Unknown):
                unknown.append(value)
                return ""
            return _text(value, "Fn::Sub")

        made = _VARIABLE.sub(replaced, text)
        return UNKNOWN if unknown else made

    def join(self, given: Any) -> Any:
        delimiter, rows = self._pair(given, "Fn::Join", "a delimiter and a list")
        if isinstance(rows, Unknown) or (isinstance(rows, list) and any(isinstance(row, Unknown) for row in rows)):
            return UNKNOWN
        if not isinstance(rows, list):
            raise _wrong("Fn::Join", "a delimiter and a list")
        return str(delimiter).join(_text(row, "Fn::Join") for row in rows)

    def select(self, given: Any) -> Any:
        index, rows = self._pair(given, "Fn::Select", "an index and a list")
        if isinstance(rows, Unknown) or isinstance(index, Unknown):
            return UNKNOWN
        if not isinstance(rows, list) or not str(index).isdigit() or int(index) >= len(rows):
            raise invalid(f"Template error: Fn::Select cannot select nonexistent value at index {index}")
        return rows[int(index)]

    def split(self, given: Any) -> Any:
        delimiter, text = self._pair(given, "Fn::Split", "a delimiter and a string")
        if isinstance(text, Unknown):
            return UNKNOWN
        if not isinstance(text, str) or not isinstance(delimiter, str) or not delimiter:
            raise _wrong("Fn::Split", "a delimiter and a string")
        return text.split(delimiter)

    def get_azs(self, given: Any) -> Any:
        return self._zones(str(self.value(given) or self._names["AWS::Region"]))

    def find_in_map(self, given: Any) -> Any:
        keys = [self.value(row) for row in given] if isinstance(given, list) else []
        found: Any = self._mappings
        for key in keys:
            if not isinstance(found, dict) or str(key) not in (names := {str(name): name for name in found}):
                raise invalid(f"Template error: Unable to get mapping for {'::'.join(map(str, keys))}")
            found = found[names[str(key)]]
        if len(keys) != len(("map", "top", "second")):
            raise _wrong("Fn::FindInMap", "a mapping and two keys")
        return found

    def choose(self, given: Any) -> Any:
        name, yes, no = self._several(given, 3, "Fn::If", "a condition's name and two values")
        return self.value(yes if self.condition(name) else no)

    def import_value(self, given: Any) -> Any:
        name = self.value(given)
        return UNKNOWN if isinstance(name, Unknown) else self._export_of(str(name))

    def base64(self, given: Any) -> Any:
        text = self.value(given)
        return text if isinstance(text, Unknown) else base64.b64encode(_text(text, "Fn::Base64").encode()).decode()

    def cidr(self, given: Any) -> Any:
        block, count, bits = self._several(given, 3, "Fn::Cidr", "a block, a count and the bits of each")
        block, count, bits = self.value(block), self.value(count), self.value(bits)
        if isinstance(block, Unknown):
            return UNKNOWN
        try:
            network = ipaddress.ip_network(str(block), strict=False)
            blocks = network.subnets(new_prefix=network.max_prefixlen - int(bits))
            return [str(row) for row, _ in zip(blocks, range(int(count)), strict=False)]
        except ValueError as error:
            raise invalid(f"Template error: Fn::Cidr: {error}") from error

    def _pair(self, given: Any, name: str, wanted: str) -> tuple[Any, Any]:
        first, second = self._several(given, 2, name, wanted)
        return self.value(first), self.value(second)

    def _several(self, given: Any, count: int, name: str, wanted: str) -> list[Any]:
        if not isinstance(given, list) or len(given) != count:
            raise _wrong(name, wanted)
        return given

    # --- conditions --------------------------------------------------------------------------------------------------

    def equals(self, given: list[Any]) -> bool:
        first, second = self._pair(given, "Fn::Equals", "two values")
        return bool(_plain(first) == _plain(second))

    def all_hold(self, given: list[Any]) -> bool:
        return all([self._holds(row) for row in given])  # noqa: C419 - each is checked

    def any_holds(self, given: list[Any]) -> bool:
        return any([self._holds(row) for row in given])  # noqa: C419 - each is checked

    def holds_not(self, given: list[Any]) -> bool:
        (only,) = self._several(given, 1, "Fn::Not", "one condition")
        return not self._holds(only)


_FUNCTIONS: Final[Mapping[str, Callable[[Evaluator, Any], Any]]] = {
    "Ref": Evaluator.ref,
    "Fn::GetAtt": Evaluator.get_att,
    "Fn::Sub": Evaluator.sub,
    "Fn::Join": Evaluator.join,
    "Fn::Select": Evaluator.select,
    "Fn::Split": Evaluator.split,
    "Fn::GetAZs": Evaluator.get_azs,
    "Fn::FindInMap": Evaluator.find_in_map,
    "Fn::If": Evaluator.choose,
    "Fn::ImportValue": Evaluator.import_value,
    "Fn::Base64": Evaluator.base64,
    "Fn::Cidr": Evaluator.cidr,
}
_CONDITIONS: Final[Mapping[str, Callable[[Evaluator, list[Any]], bool]]] = {
    "Fn::Equals": Evaluator.equals,
    "Fn::And": Evaluator.all_hold,
    "Fn::Or": Evaluator.any_holds,
    "Fn::Not": Evaluator.holds_not,
}


def _text(value: Any, function: str) -> str:
    if isinstance(value, (dict, list)) or value is None or value is NO_VALUE:
        raise _wrong(function, "texts, and this is none")
    return str(_plain(value))


def _plain(value: Any) -> Any:
    """Booleans and numbers are text to functions."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


def _wrong(function: str, wanted: str) -> Exception:
    return invalid(f"Template error: {function} takes {wanted}")
