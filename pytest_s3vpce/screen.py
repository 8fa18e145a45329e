"""pytest's terminal: lines while a run goes on, and sections at its end."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any


class Screen:
    """Of one pytest process; `config` is pytest's."""

    def __init__(self, config: Any) -> None:
        self._config = config
        # Asked now: while a test runs, pytest captures.
        self._watched = sys.stdout.isatty() and not hasattr(config, "workerinput")

    def progress(self, line: str) -> None:
        """Where somebody watches: quiet under -q, when not a terminal, and in workers."""
        if self._config.getoption("verbose") >= 0 and self._watched:
            self.write(f"s3vpce: {line}")

    def write(self, text: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        if reporter is not None:
            with capture.global_and_fixture_disabled() if capture else nullcontext():
                reporter.ensure_newline()
                if self._config.get_terminal_writer().width_of_current_line:
                    reporter.write("\n")  # xdist's progress leaves its line open
                reporter.write_line(text)
