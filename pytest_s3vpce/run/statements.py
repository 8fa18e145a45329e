"""Policy documents: statements, their conditions from what an inventory names, and no right twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_s3vpce.run.touched import Facts

VERSION: Final = "2012-10-17"


def without_repetition(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The statements without the actions that another allows on all their resources, whatever the conditions."""
    for at, row in enumerate(rows):
        allowing = [
            other
            for place, other in enumerate(rows)
            if place != at and _covers(other, row) and (place < at or not _covers(row, other))
        ]
        left = [action for action in row["Action"] if not any(action in other["Action"] for other in allowing)]
        if left:
            yield {**row, "Action": left}


def _covers(wider: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    wide = wider["Resource"]
    return "Condition" not in wider and (wide == ["*"] or set(row["Resource"]) <= set(wide))


def conditions(where: Mapping[str, Mapping[str, str]], facts: Facts) -> dict[str, dict[str, Any]]:
    """A condition element; values in angle brackets are facts, and a key whose fact is empty is left out."""
    found: dict[str, dict[str, Any]] = {}
    for operator, keys in where.items():
        for key, value in keys.items():
            if not value.startswith("<"):
                found.setdefault(operator, {})[key] = value
                continue
            values = list(facts.get(value.strip("<>"), ()))
            pairs = _by_tag(key, values) if key.endswith("/*") else {key: values}
            for name, given in pairs.items():
                if given:
                    found.setdefault(operator, {})[name] = given
    return found


def _by_tag(key: str, pairs: Iterable[str]) -> dict[str, list[str]]:
    """`ssm:resourceTag/*` for each of some tags."""
    found: dict[str, list[str]] = {}
    for pair in pairs:
        tag, _, value = pair.partition("=")
        found.setdefault(f"{key[:-1]}{tag}", []).append(value)
    return found


def statement(
    sid: str, actions: Sequence[str], resources: Sequence[str], where: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {
        **({"Sid": sid} if sid else {}),
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
        **({"Condition": dict(where)} if where else {}),
    }


def document(statements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"Version": VERSION, "Statement": list(statements)}
