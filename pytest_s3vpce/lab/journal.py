"""The lab's request log: a bounded memory that readers can wait at, and a file for those who want one."""

from __future__ import annotations

import json
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_KEPT = 10_000
_MOST_AT_ONCE = 1000


class Journal:
    """One note for each request: who, from where, by which path, which action, what was decided and why."""

    def __init__(self, path: Path | None = None, *, kept: int = _KEPT) -> None:
        self._news = threading.Condition()
        self._notes: deque[Mapping[str, Any]] = deque(maxlen=kept)
        self._count = 0
        self._closed = False
        try:
            self._file = None if path is None else path.open("a", encoding="utf-8", buffering=1)
        except OSError as failure:
            raise LabError(f"`{path}` can't be written: {failure.strerror}", remedy="make its folder") from failure

    def add(self, note: Mapping[str, Any]) -> None:
        with self._news:
            self._notes.append(note)
            self._count += 1
            if self._file is not None and not self._closed:
                self._file.write(json.dumps(note, default=str) + "\n")
            self._news.notify_all()

    def since(self, number: int, *, seconds: float = 0.0) -> tuple[int, list[Mapping[str, Any]]]:
        """The notes from this number on, and the number to go on with; waits up to `seconds` for the first one.

        What was forgotten meanwhile is left out: the caller sees it by the numbers.
        """
        with self._news:
            self._news.wait_for(lambda: self._closed or self._count > number, timeout=seconds)
            first = self._count - len(self._notes)
            start = min(max(number, first), self._count)
            found = list(self._notes)[start - first : start - first + _MOST_AT_ONCE]
            return start + len(found), found

    def close(self) -> None:
        """Readers who wait are let go."""
        with self._news:
            self._closed = True
            if self._file is not None:
                self._file.close()
            self._news.notify_all()
