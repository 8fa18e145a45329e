"""For all tests: pytest's own fixture for tests of plugins, and Ctrl-C for the processes that tests start."""

from __future__ import annotations

import os
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


_MEASURES = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
_NOT_MEASURED = ("acceptance", "plugin")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Coverage is not taken in the labs and runs that these start as processes: it would take a minute more."""
    if item.path.parent.name in _NOT_MEASURED:
        for name in _MEASURES:
            os.environ.pop(name, None)
    else:
        os.environ.update(_MEASURES)


@pytest.fixture(scope="session", autouse=True)
def _models_are_read_once() -> Iterator[None]:
    """One process runs hundreds of runs here, which in life are a process each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "forget_models", lambda: None)
        yield
