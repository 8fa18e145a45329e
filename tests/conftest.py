"""For all tests: pytest's own fixture for tests of plugins, and Ctrl-C for the processes that tests start."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.run import session

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["pytester"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background jobs ignore it, and so would every child that a test means to interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _models_are_read_once() -> Iterator[None]:
    """One process runs hundreds of runs here, which in life are a process each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "forget_models", lambda: None)
        yield
