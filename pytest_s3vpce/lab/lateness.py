"""Policies that take a while to count, as a calibration measured it: until then the one before them does."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_s3vpce.undocumented import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from pytest_s3vpce.calibration import Calibration

Value = TypeVar("Value")


class Lateness:
    """What one lab's S3 goes by. A change begins to age when a request first meets it."""

    def __init__(self, calibration: Calibration, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = {name: calibration.seconds(name) for name, rule in RULES.items() if not rule.assumed}
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[Hashable, tuple[Any, Any, float]] = {}

    def seen(self, rule: str, whose: Hashable, value: Value) -> Value:
        """What counts now, where `value` is what was set last."""
        seconds = self._seconds[rule]
        if not seconds:
            return value
        now = self._clock()
        with self._lock:
            older, newest, since = self._known.get((rule, whose), (value, value, now - seconds))
            if value != newest:
                older, newest, since = newest if now - since >= seconds else older, value, now
            self._known[rule, whose] = (older, newest, since)
            counted: Value = newest if now - since >= seconds else older
        return counted
