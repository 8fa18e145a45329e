"""What an expectation asks about, before who asks: operation, parameters and the name they go by in an id."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.faults import Fault, accepted, shown
from pytest_s3vpce.model import Cell, Target
from pytest_s3vpce.operations import OPERATIONS, Operation, default_operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_WORD: Final = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+")
_LONGEST: Final = 40
"""Characters of a value that an id carries."""


def row_of_action(action: str) -> Operation:
    """The operation that stands for an IAM action; Fault with the accepted ones where there is none."""
    try:
        return default_operation(action)
    except S3VpceError:
        known = sorted(row.default_of for row in OPERATIONS.values() if row.default_of)
        raise Fault(f"unknown action {shown(action)}", remedy=accepted(known, instead_of=action)) from None


def row_of_operation(name: str) -> Operation:
    """The catalogue's row of an operation; Fault with the accepted ones where there is none."""
    if name not in OPERATIONS:
        raise Fault(f"unknown operation {shown(name)}", remedy=accepted(sorted(OPERATIONS), instead_of=name))
    return OPERATIONS[name]


def row_of(text: str) -> Operation:
    """The operation that an action (`s3:GetObject`) or an operation's name (`HeadObject`) stands for."""
    return row_of_action(text) if ":" in text else row_of_operation(text)


def action_of(row: Operation) -> str:
    """The IAM action under test where an operation is asked for."""
    return row.default_of or row.actions[0]


def canonical(text: str) -> str:
    """An action or operation as the catalogue spells it: IAM takes actions in any case."""
    row = row_of(text)
    return action_of(row) if ":" in text else row.name


def granted_cells(bucket: str, actions: Iterable[str], granted: Iterable[tuple[str, str]]) -> Iterator[Cell]:
    """The cells that a claim's `granted` names: on the bucket's canary, over https."""
    for row in map(row_of, actions):
        for principal, vantage in granted:
            yield Cell(
                operation=row.name,
                action=action_of(row),
                target=Target(bucket=bucket),
                principal=principal,
                vantage=vantage,
            )


def variant_of(parameters: Mapping[str, Any]) -> str:
    """A slug of the parameters in `[A-Za-z0-9.-]`, by name: two sets may share one, then the user names them."""
    return "-".join(f"{_short(name)}-{_slug(value)}" for name, value in sorted(parameters.items()))


def _short(name: str) -> str:
    """One word stays (`Tagging`: tagging), several give their initials (`ServerSideEncryption`: sse)."""
    words = _WORD.findall(name)
    if len(words) == 1:
        return str(words[0]).lower()
    return "".join(word if word.isupper() else word[0] for word in words).lower() or "x"


def _slug(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")[:_LONGEST].rstrip("-") or "x"
