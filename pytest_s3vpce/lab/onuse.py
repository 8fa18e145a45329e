"""Parts of the lab that are loaded and made when they are first used: it answers sooner, and most labs need few."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Part = TypeVar("Part")


class OnUse(Generic[Part]):
    """A part that `make` makes at the first call, once for all threads."""

    def __init__(self, make: Callable[[], Part]) -> None:
        self._make = make
        self._lock = threading.RLock()
        self.made: Part | None = None
        """The part, once somebody has used it."""

    def __call__(self) -> Part:
        if self.made is None:
            with self._lock:
                if self.made is None:
                    self.made = self._make()
        return self.made
