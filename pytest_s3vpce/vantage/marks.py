"""The tags on what is made: whose it is, since when and until when, by which a sweep knows what it may take."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

RUN: Final = "s3vpce:run"
CREATED: Final = "s3vpce:created"
EXPIRES: Final = "s3vpce:expires"
OWNER: Final = "s3vpce:owner"
KEPT: Final = "s3vpce:kept"
"""The vantage point's name, on what `s3vpce deploy` made: no sweep takes it."""
CONTENT: Final = "s3vpce:content"
"""What a kept function is made of: agent, configuration and settings."""
REGION: Final = "s3vpce:region"
"""On roles, which are in no Region: where the function is whose role it is."""
LIFE: Final = dt.timedelta(hours=3)
"""No run takes longer; what it made may be swept from then on."""
_FORM: Final = "%Y-%m-%dT%H:%M:%SZ"
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
_NOT_A_VALUE: Final = re.compile(r"[^\w .:/=+\-@]")
_VALUE_LIMIT: Final = 256


def of_run(run_id: str, *, owner: str, now: dt.datetime | None = None) -> dict[str, str]:
    """The tags of what a run makes for itself."""
    made = now or dt.datetime.now(dt.UTC)
    return {RUN: run_id, CREATED: stamp(made), EXPIRES: stamp(made + LIFE), OWNER: value(owner)}


def of_kept(vantage: str, *, owner: str, content: str, now: dt.datetime | None = None) -> dict[str, str]:
    """The tags of what stays until it is undeployed."""
    made = now or dt.datetime.now(dt.UTC)
    return {KEPT: value(vantage), CREATED: stamp(made), CONTENT: content, OWNER: value(owner)}


def stamp(when: dt.datetime) -> str:
    return when.strftime(_FORM)


def value(text: str) -> str:
    """A text in the characters and the length that tags of all services may have."""
    return _NOT_A_VALUE.sub("_", text)[:_VALUE_LIMIT]


def is_over(tags: Mapping[str, str], *, now: dt.datetime, older_than: dt.timedelta | None = None) -> bool:
    """Whether these are a run's tags, and its time is over: it has expired, or was made that long ago."""
    if RUN not in tags or KEPT in tags:
        return False
    if older_than is not None:
        made = _read(tags.get(CREATED))
        return made is not None and made <= now - older_than
    until = _read(tags.get(EXPIRES))
    return until is not None and until <= now


def _read(text: str | None) -> dt.datetime | None:
    """A time as it stands in a tag; None where there is none that can be read."""
    try:
        return dt.datetime.strptime(text or "", _FORM).replace(tzinfo=dt.UTC)
    except ValueError:
        return None
