"""SIGTERM ends a run once, and only where nobody else has a use for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from math import inf
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.termination import Termination, end_workers, enlist, undone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def termination() -> Iterator[Termination]:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    made = Termination()
    yield made
    made.restore()
    signal.signal(signal.SIGTERM, before)


def told() -> str:
    """What becomes of a process that is told to end."""
    assert callable(signal.getsignal(signal.SIGTERM)), "it would end outright, and remove nothing"
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt as why:
        return f"interrupted by {why}"
    return "goes on"


def test_it_interrupts_once(termination: Termination) -> None:
    termination.listen()
    assert [told(), told()] == ["interrupted by SIGTERM", "goes on"]


def test_a_run_that_ends_already_goes_on_with_it(termination: Termination) -> None:
    termination.listen()
    termination.ending()
    assert told() == "goes on"


def test_who_waits_with_nothing_left_to_remove_may_be_told(termination: Termination) -> None:
    termination.listen()
    termination.ending()
    with termination.patience():
        while_waiting = [told(), told()]
    assert (while_waiting, told()) == (["interrupted by SIGTERM", "goes on"], "goes on")


def test_afterwards_it_is_as_it_was(termination: Termination) -> None:
    termination.listen()
    termination.restore()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_of_somebody_else_stays(termination: Termination) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    termination.listen()
    termination.restore()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_a_handler_that_somebody_sets_later_stays(termination: Termination) -> None:
    termination.listen()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    termination.restore()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_only_the_main_thread_listens(termination: Termination) -> None:
    other = threading.Thread(target=termination.listen)
    other.start()
    other.join()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


class Node:
    """What xdist has of a worker."""

    told = False

    def shutdown(self) -> None:
        self.told = True


def test_workers_are_told_by_xdist_and_by_the_system(tmp_path: Path, termination: Termination) -> None:
    folder, node = RunFolder.create(tmp_path), Node()
    command = [sys.executable, "-c", "import time; time.sleep(30)"]
    gone, waiting = subprocess.Popen([sys.executable, "-c", ""]), subprocess.Popen(command)
    gone.wait()
    termination.listen()
    enlist(folder)
    for process in (gone, waiting):
        folder.append("workers.jsonl", process.pid)
    with pytest.raises(KeyboardInterrupt):
        end_workers([node], folder)
    end_workers([node], folder)
    assert node.told
    assert waiting.wait(10) == -signal.SIGTERM


def test_a_signal_that_another_thread_got_ends_the_waiting(termination: Termination) -> None:
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    ident = other.ident
    assert ident is not None
    began = time.monotonic()
    termination.listen()
    with ThreadPoolExecutor(1) as pool:
        todo = pool.submit(over.wait, 10)
        threading.Timer(0.2, signal.pthread_kill, (ident, signal.SIGTERM)).start()
        try:
            with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
                undone([todo], seconds=inf)
            took = time.monotonic() - began
        finally:
            over.set()
    assert took < 5


def test_what_is_not_done_is_told_after_a_while() -> None:
    over = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        quick, slow = pool.submit(int), pool.submit(over.wait, 10)
        assert undone([quick, slow], seconds=0.1) == {slow}
        over.set()
        assert undone([quick, slow], seconds=inf) == set()
