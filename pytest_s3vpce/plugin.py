"""The pytest plugin: options, hooks and the fixture; a thin shell, light enough for runs that don't use it."""

from __future__ import annotations

import argparse
import shutil
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_s3vpce.ending import Ending
    from pytest_s3vpce.matrix import Matrix
    from pytest_s3vpce.run.fixture import S3vpce
    from pytest_s3vpce.run.session import RunSession

_NAME = "s3vpce-session"
_MODES = ("lab", "live")
_HARMLESS = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
_UNITS = {"s": 1, "m": 60, "h": 3600}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("s3vpce", "access tests of Amazon S3 (pytest-s3vpce)")
    group.addoption("--s3vpce-lab", action="store_true", help="run access tests against the embedded lab")
    group.addoption("--s3vpce-lab-ready", metavar="FILE", help="run them against the running lab of this ready file")
    group.addoption("--s3vpce-live", action="store_true", help="run access tests against AWS, with real requests")
    group.addoption(
        "--s3vpce-inventory", metavar="FILE", help="the inventory (default: s3vpce.yaml in the root folder)"
    )
    group.addoption(
        "--s3vpce-plan", action="store_true", help="print the cells, what would be created, its cost; send nothing"
    )
    _add_report_options(group)
    group.addoption(
        "--s3vpce-strict", action="store_true", help="fail denials that nothing controls, and gaps in coverage"
    )
    group.addoption(
        "--s3vpce-evidence", action="store_true", help="wait for the trails' and logs' records of what was sent"
    )
    group.addoption(
        "--s3vpce-predict",
        action="store_true",
        help="read the accounts' policies and networks, and say what each cell should give and why",
    )
    group.addoption(
        "--s3vpce-settle",
        metavar="SPAN",
        type=_span,
        help="measure until the answers agree throughout this time, such as 30s or 2m",
    )
    group.addoption(
        "--s3vpce-shard", metavar="I/N", type=_shard, help="only the I-th of N parts of the access tests, for CI jobs"
    )
    parser.addini("s3vpce_mode", "the mode of access tests where no option names one: lab or live")
    parser.addini("s3vpce_inventory", "the inventory's path, relative to the root folder")


def _span(text: str) -> float:
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    if not number.isdecimal():
        raise argparse.ArgumentTypeError(f"`{text}` is no span of time; give one such as 30s or 2m")
    return float(int(number) * _UNITS[unit])


def _add_report_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--s3vpce-report",
        action="append",
        default=[],
        metavar="PATH",
        help="write the access matrix to a file; the suffix is its format (.json, .html, .md, .csv), `github` is the "
        "summary of the GitHub Actions job; repeatable",
    )
    group.addoption(
        "--s3vpce-baseline", metavar="FILE", help="an older JSON report: tell what changed, fail where anything opened"
    )
    group.addoption(
        "--s3vpce-redact",
        metavar="LEVEL",
        default="secrets",
        choices=["secrets", "accounts", "buckets", "addresses"],
        help="what reports leave out: secrets always; account ids; bucket names too; IP addresses too",
    )


def _shard(text: str) -> tuple[int, int]:
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"`{text}` is no part of a whole; give I/N with I from 1 to N, such as 2/3")
    return int(number), int(count)


def pytest_configure(config: pytest.Config) -> None:
    mode = _mode(config)
    if mode is not None:
        if not hasattr(config, "workerinput"):  # the controller has looked, and writes them
            _check_reports(config.getoption("--s3vpce-report"), config.getoption("--s3vpce-baseline"))
        if config.getoption("--s3vpce-plan"):
            config.option.dist, config.option.tx = "no", []  # a plan is one process's; xdist looks after us
        config.pluginmanager.register(_Access(config, mode), _NAME)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.name.startswith("test_") and file_path.name.endswith(".access.yaml"):
        from pytest_s3vpce.collector import AccessFile

        return AccessFile.from_parent(parent, path=file_path)
    return None


@pytest.fixture(scope="session")
def s3vpce(pytestconfig: pytest.Config) -> S3vpce:
    """Live access tests in Python: `probe`, `prove`, `client`, `http`. Needs a mode: --s3vpce-lab or --s3vpce-live."""
    from pytest_s3vpce.collector import NO_MODE, running

    session = running(pytestconfig)
    if session is None:
        pytest.fail(NO_MODE, pytrace=False)
    return session.fixture()


def _mode(config: pytest.Config) -> str | None:
    """`lab`, `lab-ready` or `live`; None where nothing names one. Two at once are a usage error."""
    options = {"--s3vpce-lab": "lab", "--s3vpce-lab-ready": "lab-ready", "--s3vpce-live": "live"}
    given = [name for name in options if config.getoption(name)]
    if len(given) > 1:
        raise pytest.UsageError(f"{' and '.join(given)} exclude each other; give one")
    if given:
        return options[given[0]]
    ini = str(config.getini("s3vpce_mode") or "")
    if ini and ini not in _MODES:
        raise pytest.UsageError(f"s3vpce_mode is `{ini}` in the ini file; it is one of {', '.join(_MODES)}")
    return ini or ("live" if config.getoption("--s3vpce-plan") else None)


def _check_reports(reports: list[str], baseline: str | None) -> None:
    if reports or baseline is not None:
        from pytest_s3vpce.ending import check_promised
        from pytest_s3vpce.errors import S3VpceError

        try:
            check_promised(reports, baseline)
        except S3VpceError as error:
            raise pytest.UsageError(str(error)) from error


class _Access:
    """The hooks of a run with a mode; what they do is the session's."""

    def __init__(self, config: pytest.Config, mode: str) -> None:
        from pytest_s3vpce.run.termination import Termination

        self.config = config
        self.mode = mode
        self._is_worker = hasattr(config, "workerinput")
        self._session: RunSession | None = None
        self._termination = Termination()
        self._nodes: list[Any] = []
        self._matrix: Matrix | None = None
        self._ending: Ending | None = None
        self._watched = sys.stdout.isatty()  # asked now: while a test runs, pytest captures

    @property
    def session(self) -> RunSession:
        """Made when the first access file or fixture asks for it, so that other runs stay light."""
        if self._session is None:
            from pytest_s3vpce.redaction import Level
            from pytest_s3vpce.run.session import RunSession, Settings
            from pytest_s3vpce.run.termination import enlist

            handed: str | None = getattr(self.config, "workerinput", {}).get("s3vpce")
            option = self.config.getoption
            settings = Settings(
                mode=self.mode,
                root=self.config.rootpath,
                inventory=option("--s3vpce-inventory") or str(self.config.getini("s3vpce_inventory")) or None,
                ready_file=option("--s3vpce-lab-ready"),
                redact=Level(option("--s3vpce-redact")),
                strict=option("--s3vpce-strict"),
                predict=option("--s3vpce-predict"),
                settle=option("--s3vpce-settle"),
                evidence=option("--s3vpce-evidence"),
                shard="/".join(map(str, option("--s3vpce-shard") or ())),
            )
            self._session = RunSession(settings, handed=handed, notify=self._notify)
            self._termination.listen()
            if handed is not None:
                enlist(self._session.folder)
        return self._session

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """xdist: every worker of this machine gets the one run folder; remote ones are refused."""
        if not node.gateway.spec.popen:
            raise pytest.UsageError("access tests run on workers of this machine only (`-n N`), not on remote ones")
        node.workerinput["s3vpce"] = self.session.hand_over()
        self._nodes.append(node)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Of the tests that send, only this part's stay; tests that don't are nobody's part and all stay."""
        shard = config.getoption("--s3vpce-shard")
        if shard is not None:
            from pytest_s3vpce.collector import others_of

            left_out = others_of(items, *shard)
            if left_out:
                config.hook.pytest_deselected(items=[item for item in items if item in left_out])
                items[:] = [item for item in items if item not in left_out]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The lab comes up while pytest still sets up; nothing starts where nothing was collected or sent."""
        if self._session is not None and session.items and not self._only_looking():
            self._session.start_lab()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> object:
        if not self.config.getoption("--s3vpce-plan"):
            return None
        if session.testsfailed:
            raise session.Interrupted("no plan: not everything could be collected")
        from pytest_s3vpce.collector import AccessItem

        chosen = [item.name for item in session.items if isinstance(item, AccessItem)]
        self._write(self.session.plan_text(chosen))
        return True

    def pytest_keyboard_interrupt(self) -> None:
        """Workers are told as well: xdist would wait ten seconds for them, and who cancels a job may not."""
        self._termination.ending()
        if self._session is not None:
            self._session.interrupted()
        if self._nodes:
            from pytest_s3vpce.run.termination import end_workers

            end_workers(self._nodes, self.session.folder)

    def pytest_unconfigure(self) -> None:
        self._termination.restore()

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """The controller, or the only process, reports and removes; workers leave that to it."""
        self._termination.ending()
        ours = None if self._is_worker else self._session
        try:
            if ours is not None:
                self._suite_properties(ours)
            yield
        finally:  # whatever others' endings come to
            if ours is not None:
                self._finish(ours, session)
        if not self._is_worker:
            self._tell(session)

    def _finish(self, ours: RunSession, session: pytest.Session) -> None:
        self._matrix = ours.finish(patience=self._termination.patience())
        if self._matrix is None and ours.settings.shard and session.exitstatus in _HARMLESS:
            self._matrix = ours.nothing()

    def _tell(self, session: pytest.Session) -> None:
        reports, baseline = self.config.getoption("--s3vpce-report"), self.config.getoption("--s3vpce-baseline")
        if self._session is None and not reports and baseline is None:
            return
        from pytest_s3vpce.ending import Ending

        self._ending = Ending(self._session, self._matrix)
        if not self._only_looking():
            self._ending.write(reports)
            if baseline is not None:
                self._ending.compare(baseline)
        if self._ending.failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _suite_properties(self, session: RunSession) -> None:
        """What JUnit says of the whole suite; its file is written while the session finishes."""
        writers = [row for row in self.config.pluginmanager.get_plugins() if hasattr(row, "add_global_property")]
        if writers:
            from pytest_s3vpce.report.junit import suite_properties

            for name, value in suite_properties(session.matrix()):
                for writer in writers:
                    writer.add_global_property(name, value)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._matrix is not None:
            from pytest_s3vpce.report.terminal import Colour, Detail, render

            colour = Colour.ANSI if terminalreporter.hasmarkup else Colour.PLAIN
            width = min(shutil.get_terminal_size().columns, 240)
            detail = Detail.of(self.config.getoption("verbose"))
            terminalreporter.section("access matrix")
            encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
            text = render(self._matrix, colour=colour, width=width, encoding=encoding, detail=detail)
            terminalreporter.write(text + "\n")
        if self._ending is not None:
            if self._ending.changes:
                terminalreporter.section("other than in the baseline")
                terminalreporter.write(self._ending.changes)
            for title, lines in self._ending.wrong():
                terminalreporter.section(title, red=True)
                terminalreporter.write(lines)

    def _only_looking(self) -> bool:
        return bool(self.config.getoption("--s3vpce-plan") or self.config.getoption("collectonly"))

    def _notify(self, line: str) -> None:
        """Progress, where somebody watches: quiet under -q, when not a terminal, and in workers."""
        if self.config.getoption("verbose") >= 0 and not self._is_worker and self._watched:
            self._write(f"s3vpce: {line}")

    def _write(self, text: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        capture = self.config.pluginmanager.get_plugin("capturemanager")
        if reporter is not None:
            with capture.global_and_fixture_disabled() if capture else nullcontext():
                reporter.ensure_newline()
                if self.config.get_terminal_writer().width_of_current_line:
                    reporter.write("\n")  # xdist's progress leaves its line open
                reporter.write_line(text)
