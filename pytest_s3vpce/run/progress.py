"""What a run's other processes say that they do, told while it goes on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.run.folder import RunFolder

_EVERY: Final = 0.2
"""Seconds between two looks."""


class Following:
    """Tells each new line of a run folder's progress, from a thread of its own, until it is ended."""

    def __init__(self, folder: RunFolder, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._told = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """What was said before is told before this comes back."""
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._ended.wait(_EVERY):
            self._look()
        self._look()

    def _look(self) -> None:
        text = self._folder.text("progress.txt") or ""
        lines = text[: text.rfind("\n") + 1].splitlines()
        for line in lines[self._told :]:
            self._tell(line)
        self._told = len(lines)
