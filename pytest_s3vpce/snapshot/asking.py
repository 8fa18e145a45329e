"""One question to a control plane: its answer, nothing where AWS says there is nothing, or why it was not read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.snapshot.state import PolicyRow, Unread
from pytest_s3vpce.vantage.control import FAULTS, code_of, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


def asked(question: Callable[[], _T], *, absent: tuple[str, ...] = ()) -> _T | Unread | None:
    """What `question` returns; None for the error codes that mean that there is nothing."""
    try:
        return question()
    except FAULTS as error:
        return None if code_of(error) in absent else Unread(unread=words_of(error))
    except S3VpceError as error:
        return Unread(unread=error.what)


def policy(document: Any, *, name: str, source: str | None = None) -> PolicyRow | Unread:
    """A policy from its text or its JSON; unread where it is none."""
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except ValueError:
            return Unread(unread=f"the policy `{name}` is not JSON")
    if not isinstance(document, dict):
        return Unread(unread=f"the policy `{name}` is no JSON object")
    return PolicyRow(name=name, document=document, source=source)


def joined(rows: list[PolicyRow | Unread]) -> tuple[PolicyRow, ...] | Unread:
    """A layer of several policies: unread as a whole where one of them is."""
    bad = next((row for row in rows if isinstance(row, Unread)), None)
    return bad if bad is not None else tuple(row for row in rows if isinstance(row, PolicyRow))
