"""Values, wildcards and variables, as the policies write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

ANY_RUN, ANY_ONE = "\ue000", "\ue001"
"""Stand for the wildcards of a pattern, so that a `*` that came from `${*}` can stay a star."""


def glob(pattern: str, text: str) -> bool:
    """Whether the whole text fits: tries every length for each wildcard."""
    if not pattern:
        return not text
    if pattern[0] == ANY_RUN:
        return glob(pattern[1:], text) or (bool(text) and glob(pattern, text[1:]))
    return bool(text) and pattern[0] in (ANY_ONE, text[0]) and glob(pattern[1:], text[1:])


def wild(text: str) -> str:
    return text.replace("*", ANY_RUN).replace("?", ANY_ONE)


def expand(text: str, version: str, context: Json, raw: Callable[[str], str]) -> str | None:
    """The text with its variables filled in and `raw` applied to the rest; None where a variable has no value."""
    if version != "2012-10-17":
        return raw(text)
    result = ""
    while found := re.search(r"\$\{([^}]*)\}", text):
        result += raw(text[: found.start()])
        value = variable(found[1], context)
        if value is None:
            return None
        result += value
        text = text[found.end() :]
    return result + raw(text)


def expand_resource(pattern: str, version: str, context: Json) -> str | None:
    """Variables may stand in the last part of an ARN only."""
    *parts, last = pattern.split(":", 5)
    expanded = expand(last, version, context, wild)
    return None if expanded is None else ":".join([wild(part) for part in parts] + [expanded])


def variable(inner: str, context: Json) -> str | None:
    if inner in ("*", "?", "$"):
        return inner
    name, comma, default = inner.partition(",")
    values = lookup(context, name.strip())
    if values is not None and len(values) == 1:
        return values[0]
    if values is None and comma:
        return default.strip().removeprefix("'").removesuffix("'")
    return None


def arn_fits(pattern: str, arn: str) -> bool:
    """Each of the six parts by itself: no wildcard runs over one of the first five colons."""
    wanted, actual = pattern.split(":", 5), arn.split(":", 5)
    return len(wanted) == len(actual) == 6 and all(glob(w, a) for w, a in zip(wanted, actual, strict=True))


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def lookup(context: Json, key: str) -> list[str] | None:
    """A key's values; names of keys have no case. None: absent."""
    for name, value in context.items():
        if name.lower() == key.lower():
            return [text_of(item) for item in listed(value)]
    return None
