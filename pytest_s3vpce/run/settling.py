"""Measures until answers agree: after a change they differ for a while, from one server of AWS's to the next.

https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_general.html#troubleshoot_general_eventual-consistency
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_s3vpce.probe import Probe

_LIMIT: Final = 4
"""So many windows does a probe get to settle."""
_ROUNDS: Final = 5
"""So often is a probe sent within a window."""


class Clock(Protocol):
    """Tells and passes time, in seconds."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class RealClock:
    """This machine's."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(slots=True)
class _Course:
    """What one probe gave so far: each change, and when the last one was seen."""

    started: float
    window: float
    kinds: list[str] = field(default_factory=list)
    changed: float = 0.0
    seen: float = 0.0

    def note(self, kind: str, *, now: float) -> None:
        self.seen = now
        if not self.kinds or self.kinds[-1] != kind:
            self.kinds.append(kind)
            self.changed = now

    @property
    def settled(self) -> bool:
        return self.seen - self.changed >= self.window

    @property
    def given_up(self) -> bool:
        return self.seen - self.started >= _LIMIT * self.window


def settle(
    windows: Mapping[Probe, float],
    *,
    send: Callable[[Sequence[Probe]], None],
    kind: Callable[[Probe], str],
    clock: Clock,
) -> dict[Probe, tuple[str, ...]]:
    """Sends each probe again until its answers are of one kind throughout its window; all have been sent once.

    Comes back with those that never were, and the sequence of what they gave.
    """
    now = clock.now()
    courses = {probe: _Course(now, window) for probe, window in windows.items() if window > 0}
    for probe, course in courses.items():
        course.note(kind(probe), now=now)
    while unsettled := [probe for probe, row in courses.items() if not (row.settled or row.given_up)]:
        clock.sleep(min(courses[probe].window for probe in unsettled) / _ROUNDS)
        send(unsettled)
        now = clock.now()
        for probe in unsettled:
            courses[probe].note(kind(probe), now=now)
    return {probe: tuple(row.kinds) for probe, row in courses.items() if not row.settled}
