"""SIGTERM, by which CI systems cancel jobs, ends a run as Ctrl-C does: what it created is removed first."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from concurrent.futures import Future

    from pytest_s3vpce.run.folder import RunFolder

_WORKERS: Final = "workers.jsonl"
_GLANCE: Final = 0.5
"""Seconds until a signal is noticed that another thread than the main one got."""


class Termination:
    """Listens while a run has something to remove; a handler of somebody else's stays as it is."""

    def __init__(self) -> None:
        self._ending = False

    def listen(self) -> None:
        """From now on; only the main thread may, and only where SIGTERM would end the process outright."""
        ours = threading.current_thread() is threading.main_thread()
        if ours and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._told)

    def ending(self) -> None:
        """The run ends already: whoever asks for that again must not stop the removal."""
        self._ending = True

    @contextmanager
    def patience(self) -> Iterator[None]:
        """Of a run that has removed everything and waits for something else: it may be told to end meanwhile."""
        before, self._ending = self._ending, False
        try:
            yield
        finally:
            self._ending = before

    def restore(self) -> None:
        """As it was before; a handler that somebody set meanwhile is theirs to take back."""
        if signal.getsignal(signal.SIGTERM) == self._told:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _told(self, _number: int, _frame: Any) -> None:
        if not self._ending:
            self._ending = True
            raise KeyboardInterrupt("SIGTERM")


def undone(futures: Collection[Future[Any]], *, seconds: float) -> set[Future[Any]]:
    """Those that are not done after that long. A signal that the system gives to another thread wakes nobody by itself.

    https://docs.python.org/3/library/signal.html#execution-of-python-signal-handlers
    """
    end = time.monotonic() + seconds
    while left := wait(futures, timeout=min(_GLANCE, max(0.0, end - time.monotonic()))).not_done:
        if time.monotonic() >= end:
            break
    return left


def enlist(folder: RunFolder) -> None:
    """A worker says by which number it can be told to end."""
    folder.append(_WORKERS, os.getpid())


def end_workers(nodes: Iterable[Any], folder: RunFolder) -> None:
    """Has xdist's workers stop: those that wait for work by its own command, those in a test as if told themselves."""
    for node in nodes:
        node.shutdown()
    for pid in folder.lines(_WORKERS):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
