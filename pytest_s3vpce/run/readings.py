"""The key readings of a run as a report holds them: what each asks of S3, and the request that asked it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.claims.readings import limited
from pytest_s3vpce.claims.setting import allowances
from pytest_s3vpce.records import Asked, Asks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_s3vpce.claims import Setting
    from pytest_s3vpce.probe import Probe

_DENIED_UNLESS: Final[Mapping[str, Asks]] = {
    "StringNotEquals": Asks.IS,
    "NotIpAddress": Asks.IS,
    "NumericNotEquals": Asks.IS,
    "StringEquals": Asks.NONE_OF,
    "IpAddress": Asks.NONE_OF,
    "Bool": Asks.NONE_OF,
    "Null": Asks.ABSENT,
}
"""The operator of a deny, and what must be so for that not to match."""


def is_reading(probe: Probe, setting: Setting) -> bool:
    """Whether its session policy asks something; over plain http one only limits the session."""
    if not probe.session_policy:
        return False
    return probe.session_policy != limited(allowances(probe, setting.buckets[probe.cell.target.bucket]))


def asked_by(policy: str) -> tuple[Asked, ...]:
    """What a reading's session policy asks for: all that its denies leave open."""
    return tuple(row for statement in json.loads(policy)["Statement"] for row in _asked(statement))


def _asked(statement: Mapping[str, Any]) -> Iterator[Asked]:
    if statement["Effect"] != "Deny":
        return
    for operator, pairs in statement["Condition"].items():
        how = _DENIED_UNLESS[operator]
        for key, value in pairs.items():
            values = () if how is Asks.ABSENT else (value,) if isinstance(value, str) else tuple(value)
            yield Asked(key=key, how=how, values=values)
