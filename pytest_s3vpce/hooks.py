"""The hooks of a run with a mode: each calls whose work it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_s3vpce import options
from pytest_s3vpce.collector import SESSION, chosen, keep_part
from pytest_s3vpce.run.termination import Termination, end_workers, enlist
from pytest_s3vpce.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.ending import Ending
    from pytest_s3vpce.matrix import Matrix
    from pytest_s3vpce.run.session import RunSession

_HARMLESS: Final = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


def register(config: pytest.Config, mode: str) -> None:
    """UsageError where what the options promise can't be kept: told before anything is sent."""
    reports, baseline = config.getoption("--s3vpce-report"), config.getoption("--s3vpce-baseline")
    # The controller has looked, and writes them.
    if (reports or baseline is not None) and not hasattr(config, "workerinput"):
        from pytest_s3vpce.ending import check_promised
        from pytest_s3vpce.errors import S3VpceError

        try:
            check_promised(reports, baseline)
        except S3VpceError as error:
            raise pytest.UsageError(str(error)) from error
    if config.getoption("--s3vpce-plan"):
        config.option.dist, config.option.tx = "no", []  # a plan is one process's; xdist looks after us
    config.pluginmanager.register(_Access(config, mode), SESSION)


class _Access:
    """What one process of the run keeps from one hook to the next."""

    def __init__(self, config: pytest.Config, mode: str) -> None:
        self._config = config
        self._mode = mode
        self._is_worker = hasattr(config, "workerinput")
        self._screen = Screen(config)
        self._session: RunSession | None = None
        self._termination = Termination()
        self._nodes: list[Any] = []
        self._ending: Ending | None = None

    @property
    def session(self) -> RunSession:
        """Made when the first access file or fixture asks for it, so that other runs stay light."""
        if self._session is None:
            from pytest_s3vpce.run.session import RunSession

            handed: str | None = getattr(self._config, "workerinput", {}).get("s3vpce")
            settings = options.settings_of(self._config, self._mode)
            self._session = RunSession(settings, handed=handed, notify=self._screen.progress)
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
        shard = config.getoption("--s3vpce-shard")
        if shard is not None:
            tests, ours = keep_part(items, *shard, deselected=config.hook.pytest_deselected)
            if tests:
                self.session.parted(tests, ours=ours)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The lab comes up while pytest still sets up; nothing starts where nothing was collected or sent."""
        if self._session is not None and session.items and not self._only_looking():
            self._session.start_lab()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> object:
        if not self._config.getoption("--s3vpce-plan"):
            return None
        if session.testsfailed:
            raise session.Interrupted("no plan: not everything could be collected")
        self._screen.write(self.session.plan_text(chosen(session.items)))
        return True

    def pytest_keyboard_interrupt(self) -> None:
        """Workers are told as well: xdist would wait ten seconds for them, and who cancels a job may not."""
        self._termination.ending()
        if self._session is not None:
            self._session.interrupted()
        if self._nodes:
            end_workers(self._nodes, self.session.folder)

    def pytest_unconfigure(self) -> None:
        self._termination.restore()

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """The controller, or the only process, reports and removes; workers leave that to it."""
        self._termination.ending()
        ours = None if self._is_worker else self._session
        matrix = None
        try:
            if ours is not None:
                self._tell_junit(ours)
            yield
        finally:  # whatever others' endings come to
            if ours is not None:
                matrix = ours.finish(patience=self._termination.patience())
        if matrix is None and ours is not None and ours.settings.shard and session.exitstatus in _HARMLESS:
            matrix = ours.nothing()
        if not self._is_worker:
            self._end(session, matrix)

    def _tell_junit(self, ours: RunSession) -> None:
        from pytest_s3vpce.report.junit import RECORDS, tell

        more = [RECORDS] if ours.settings.evidence else []
        tell(self._config.pluginmanager.get_plugins(), ours.matrix, more=more)

    def _end(self, session: pytest.Session, matrix: Matrix | None) -> None:
        reports, baseline = self._config.getoption("--s3vpce-report"), self._config.getoption("--s3vpce-baseline")
        if self._session is None and not reports and baseline is None:
            return
        from pytest_s3vpce.ending import Ending

        self._ending = Ending(self._session, matrix)
        if not self._only_looking():
            self._ending.write(reports)
            self._ending.compare(baseline)
        if self._ending.failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._ending is not None:
            self._ending.show(terminalreporter, verbosity=self._config.getoption("verbose"))

    def _only_looking(self) -> bool:
        return any(map(self._config.getoption, ("--s3vpce-plan", "collectonly", "setupplan")))
