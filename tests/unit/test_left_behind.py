"""What a run could not remove is named at its end, with the command that removes it later."""

from __future__ import annotations

import gc
import weakref
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce import connection
from pytest_s3vpce.errors import LabError
from pytest_s3vpce.matrix import Matrix
from pytest_s3vpce.run import evidencing, laboratory, session
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.session import RunSession, Settings
from pytest_s3vpce.vantage import Entry, Kind, Ledger, Remaining

if TYPE_CHECKING:
    from collections.abc import Iterator

INVENTORY = Path(__file__).parent.parent.parent / "examples" / "endpoint_only" / "s3vpce.yaml"
ROLE = Entry(token="a", kind=Kind.IAM_ROLE, account="main", region="eu-west-1", identifier="s3vpce-1")


class Operator:
    def __init__(self, left: list[Remaining]) -> None:
        self.left = left

    def sweep(self) -> list[Remaining]:
        return self.left


def ended(tmp_path: Path, left: list[Remaining], *, ready_file: str | None = None) -> RunSession:
    settings = Settings(mode="live", root=tmp_path, inventory=str(INVENTORY), ready_file=ready_file)
    session = RunSession(settings, handed=None, notify=lambda _line: None)
    session.folder.ledger.touch()
    operator: Any = Operator(left)
    session._operator = operator
    session.finish()
    return session


@pytest.mark.parametrize(("ready_file", "more"), [(None, ""), ("the lab.json", " --lab-ready 'the lab.json'")])
def test_what_is_left_is_named_with_the_command_that_removes_it(
    tmp_path: Path, ready_file: str | None, more: str
) -> None:
    session = ended(tmp_path, [Remaining(ROLE, "Lambda needs it")], ready_file=ready_file)
    assert session.left == [
        "iam_role s3vpce-1 in account main, eu-west-1: Lambda needs it",
        f"to remove it: s3vpce sweep {session.folder.path} --inventory {INVENTORY} --wait{more}",
    ]
    assert session.folder.path.exists()


def test_nothing_is_said_where_nothing_is_left(tmp_path: Path) -> None:
    session = ended(tmp_path, [])
    assert session.left == []
    assert not session.folder.path.exists()


def test_who_sent_and_the_models_that_it_read_go_with_the_runs_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "forget_models", connection.forget_models)
    nobodys = str(tmp_path)  # another test's session may hold the one of all others
    loader = weakref.ref(connection.models(nobodys))
    assert loader() is connection.models(nobodys)
    assert ended(tmp_path, [])._operator is None
    gc.collect()
    assert loader() is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_lab_that_fails_unforeseen_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(laboratory, "start", broken)
    settings = Settings(mode="lab", root=tmp_path, inventory=str(INVENTORY))
    session = RunSession(settings, handed=None, notify=lambda _line: None)
    with pytest.raises(LabError, match="the lab could not be started"):
        session.environment  # noqa: B018 - asking for it starts the lab


def test_a_folder_is_held_until_its_run_ends(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path)
    other = RunFolder(folder.path)
    assert other.is_held
    folder.tidy(keep=True)
    assert not other.is_held
    assert not RunFolder(tmp_path / "none").is_held


def entered(session: RunSession) -> None:
    Ledger(session.folder.ledger).creating(Kind.IAM_ROLE, account="main", region="eu-west-1", identifier="s3vpce-1")


def test_a_removal_that_is_interrupted_leaves_the_ledger(tmp_path: Path) -> None:
    session = RunSession(
        Settings(mode="live", root=tmp_path, inventory=str(INVENTORY)), handed=None, notify=lambda _line: None
    )
    entered(session)

    def stop() -> None:
        raise KeyboardInterrupt

    operator: Any = SimpleNamespace(sweep=stop)
    session._operator = operator
    with pytest.raises(KeyboardInterrupt):
        session.finish()
    assert len(Ledger(session.folder.ledger).open_entries()) == 1


def test_a_ledger_that_can_not_be_read_stays(tmp_path: Path) -> None:
    session = RunSession(
        Settings(mode="live", root=tmp_path, inventory=str(INVENTORY)), handed=None, notify=lambda _line: None
    )
    session.folder.ledger.write_text("{")
    operator: Any = SimpleNamespace(sweep=list)
    session._operator = operator
    session.finish()
    assert session.folder.ledger.exists()


def measured(tmp_path: Path, events: list[str], monkeypatch: pytest.MonkeyPatch) -> RunSession:
    """A session that measured something and looks for evidence."""

    def evidenced(matrix: Matrix, *_: object, **__: object) -> Matrix:
        events.append("evidence")
        return matrix

    def swept() -> list[Remaining]:
        events.append("sweep")
        return []

    monkeypatch.setattr(evidencing, "evidenced", evidenced)
    settings = Settings(mode="live", root=tmp_path, inventory=str(INVENTORY), evidence=True)
    session = RunSession(settings, handed=None, notify=lambda _line: None)
    entered(session)
    operator: Any = SimpleNamespace(sweep=swept, world=None)
    session._operator = operator
    session._own = Matrix(mode="live", run_id="r", version="0", started=0.0, seconds=0.0)
    return session


def test_what_was_made_goes_before_logs_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    @contextmanager
    def patience() -> Iterator[None]:
        events.append("patience")
        yield
        events.append("no more")

    measured(tmp_path, events, monkeypatch).finish(patience=patience())
    assert events == ["sweep", "patience", "evidence", "no more"]


def test_a_run_that_was_interrupted_waits_for_no_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    session = measured(tmp_path, events, monkeypatch)
    session.interrupted()
    found = session.finish()
    assert events == ["sweep"]
    assert found is not None
    assert found.notes == ("evidence: not looked for, as the run was interrupted",)
