"""Items from expectation files: one per cell and one per claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_s3vpce.errors import S3VpceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from os import PathLike

    from pytest_s3vpce.model import Place
    from pytest_s3vpce.run.session import RunSession
    from pytest_s3vpce.run.verdicts import ItemVerdict

SESSION: Final = "s3vpce-session"
"""The name of the plugin that has the session."""
NO_MODE = (
    "access tests need a mode: --s3vpce-lab runs them against the embedded lab, --s3vpce-live against AWS "
    "(or set `s3vpce_mode` in the ini file); nothing was sent"
)


def running(config: pytest.Config) -> RunSession | None:
    """The session of a run with a mode, None without one."""
    found = config.pluginmanager.get_plugin(SESSION)
    return None if found is None else found.session


def chosen(items: Iterable[pytest.Item]) -> list[str]:
    """The ids of the cells and claims among them."""
    return [item.name for item in items if isinstance(item, AccessItem)]


def keep_part(
    items: list[pytest.Item], number: int, count: int, *, deselected: Callable[..., object]
) -> tuple[list[str], int]:
    """Of the items that send, only this part's stay; those that don't send are nobody's part, and all stay.

    Comes back with the node ids of all that send, and how many of them stay.
    """
    ours = sorted((item for item in items if _sends(item)), key=lambda item: item.nodeid)
    others = {item for place, item in enumerate(ours) if place % count != number - 1}
    if others:
        deselected(items=[item for item in items if item in others])
        items[:] = [item for item in items if item not in others]
    return [item.nodeid for item in ours], len(ours) - len(others)


def _sends(item: pytest.Item) -> bool:
    return isinstance(item, AccessItem) or "s3vpce" in getattr(item, "fixturenames", ())


class AccessFile(pytest.File):
    """A `test_*.access.yaml`. Without a mode it is one item that errors; a wrong file is one collection error."""

    def collect(self) -> Iterable[pytest.Item]:
        session = running(self.config)
        if session is None:
            return [NoModeItem.from_parent(self, name="access")]
        try:
            return list(self._items(session))
        except S3VpceError as error:
            raise self.CollectError(str(error)) from error

    def _items(self, session: RunSession) -> Iterator[pytest.Item]:
        for row in session.items_of(self.path):
            yield AccessItem.from_parent(self, name=row.id, place=row.place)


class NoModeItem(pytest.Item):
    """Stands for a whole file while no mode is given: it errors, so that nothing is silently skipped."""

    def setup(self) -> None:
        pytest.fail(NO_MODE, pytrace=False)

    def runtest(self) -> None:
        """Never reached: setup fails."""

    def reportinfo(self) -> tuple[PathLike[str] | str, int | None, str]:
        return self.path, None, self.name


class AccessItem(pytest.Item):
    """A cell or a claim; its name is the id that reports and `-k` know."""

    def __init__(self, *, place: Place, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.place = place

    def setup(self) -> None:
        """The first item probes everything that was selected; a run that can't go on is every item's error."""
        if self.config.getoption("setupplan"):  # says what would be done, and does nothing
            return
        session = running(self.config)
        assert session is not None
        items = self.session.items
        try:
            if session.run(lambda: chosen(items)) and all(isinstance(item, AccessItem) for item in items):
                session.release()
        except S3VpceError as error:
            # Not `repr_failure`: pytest asks it about `runtest` only.
            raise pytest.fail.Exception(str(error), pytrace=False) from None

    def runtest(self) -> None:
        session = running(self.config)
        assert session is not None
        verdict = session.verdict(self.name)
        self.user_properties += verdict.properties()
        if not verdict.passed:
            raise AccessFailure(verdict)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, AccessFailure):
            return excinfo.value.verdict.text
        if isinstance(excinfo.value, S3VpceError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[PathLike[str] | str, int | None, str]:
        return self.path, self.place.line - 1 if self.place.line else None, self.name


class AccessFailure(Exception):  # noqa: N818 - a test's failure, not an error
    """A cell that did not give what was expected, or a claim that is not proven."""

    def __init__(self, verdict: ItemVerdict) -> None:
        super().__init__(verdict.text)
        self.verdict = verdict
