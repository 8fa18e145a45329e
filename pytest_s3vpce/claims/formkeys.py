"""Condition keys that only the form of a probe sets: a policy that reads one may treat other requests otherwise.

As `s3:if-none-match` of a write: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pytest_s3vpce.claims.exclusion import documents
from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.operations import operation
from pytest_s3vpce.policy import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.claims.setting import Setting
    from pytest_s3vpce.model import Cell


def odd(setting: Setting, cell: Cell) -> str:
    """Why the form of a cell says nothing of what people send: whose policy tells them apart; empty where none does."""
    own = set_by_form(cell)
    for whose, keys in _read(setting, cell) if own else ():
        if own & keys:
            return f"{whose} reads {', '.join(sorted(own & keys))}, which only the form of the probe sets"
    return ""


def set_by_form(cell: Cell) -> frozenset[str]:
    """The condition keys, in lower case, that the form of a cell sets, and what is asked for does not."""
    row = operation(cell.operation)
    form = row.mutating if cell.mutating else row.safe
    given = {} if form is None else form.parameters
    return frozenset(key.lower() for name, key in row.keys.items() if name in given and name not in cell.parameters)


@cache
def keys_of(text: str) -> frozenset[str]:
    """The condition keys that a policy reads, in lower case; none of one that can't be read."""
    try:
        return frozenset(parse(text).keys) if text else frozenset()
    except PolicyError:
        return frozenset()


def _read(setting: Setting, cell: Cell) -> Iterator[tuple[str, frozenset[str]]]:
    """Whose policies may have to do with a cell, as far as they are known, and the keys that each reads."""
    bucket = cell.target.bucket
    yield f"the policy of {bucket}", setting.policy_keys.get(bucket, frozenset())
    for endpoint in setting.vantage_endpoints.get(cell.vantage, ()):
        facts = setting.endpoints.get(endpoint)
        yield f"the policy of {endpoint}", keys_of((facts and facts.policy) or "")
    own = setting.own_policies.get(cell.principal)
    for document in documents(own) if own is not None else ():
        yield f"a policy of {cell.principal}", frozenset(document.keys)
