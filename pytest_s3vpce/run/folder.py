"""The run folder: what one run writes down, private to its user; no token, secret or signed request among it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

_ALIVE: Final = "alive.lock"
_MOMENT: Final = 60.0
"""Seconds within which a folder may be one that a run is making just now."""


def new_run_id() -> str:
    """Eight hex digits: short enough for function names, long enough not to meet another run's."""
    return secrets.token_hex(4)


class RunFolder:
    """Files of one run: lock, progress, answers (a matrix), ledger. Readable by its user alone (mode 0700)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_id = path.name.removeprefix("run-")
        self._release: Callable[[], object] | None = None

    @classmethod
    def create(cls, root: Path) -> RunFolder:
        """A fresh folder under `root/.s3vpce`; raises RunError where it can't be made."""
        parent = root / ".s3vpce"
        try:
            parent.mkdir(mode=0o700, exist_ok=True)
            ignore = parent / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
            folder = cls(parent / f"run-{new_run_id()}")
            folder.path.mkdir(mode=0o700)
            folder.hold()
        except OSError as error:
            raise RunError(
                f"the run folder under `{parent}` can't be made: {error.strerror}", remedy="make the folder writable"
            ) from error
        return folder

    def hold(self) -> None:
        """Says to sweeps that this run goes on; the system takes it back when the process dies, whatever of."""
        descriptor = os.open(self.path / _ALIVE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._release = weakref.finalize(self, os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    @property
    def is_held(self) -> bool:
        """Whether the process of this run goes on."""
        try:
            descriptor = os.open(self.path / _ALIVE, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @property
    def is_abandoned(self) -> bool:
        """Whether its run died before it made anything, so that nothing in it is needed."""
        try:
            age = time.time() - (self.path / _ALIVE).stat().st_mtime
        except OSError:
            return False
        return age > _MOMENT and not self.ledger.exists() and not self.is_held

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.jsonl"

    @property
    def started(self) -> Path:
        return self.path / "started"

    def locked(self, name: str = "run") -> AbstractContextManager[None]:
        """Holds a lock of the folder; the system frees it when its holder dies."""
        return self._locked(name, fcntl.LOCK_EX)

    def shared(self, name: str) -> AbstractContextManager[None]:
        """Holds such a lock together with others that share it."""
        return self._locked(name, fcntl.LOCK_SH)

    @contextmanager
    def _locked(self, name: str, how: int) -> Iterator[None]:
        descriptor = os.open(self.path / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def write(self, name: str, value: Any) -> None:
        """Writes JSON so that a reader sees all of it or nothing."""
        self.write_text(name, json.dumps(value))

    def write_text(self, name: str, text: str) -> None:
        target = self.path / name
        draft = target.with_name(f"{target.name}.{os.getpid()}.draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        draft.replace(target)

    def append(self, name: str, value: Any) -> None:
        """Adds a line of JSON; lines of several threads and processes do not mix."""
        descriptor = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, json.dumps(value).encode() + b"\n")
        finally:
            os.close(descriptor)

    def lines(self, name: str) -> list[Any]:
        """The values that were appended under that name."""
        return [json.loads(line) for line in (self.text(name) or "").splitlines()]

    def text(self, name: str) -> str | None:
        """The text that was written under that name, None where nothing was."""
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def read(self, name: str) -> Any | None:
        """The JSON that was written under that name, None where nothing was."""
        text = self.text(name)
        return None if text is None else json.loads(text)

    def names(self, pattern: str) -> list[str]:
        return sorted(path.name for path in self.path.glob(pattern))

    def note(self, line: str) -> None:
        """Appends a line of progress, which the controller shows."""
        descriptor = os.open(self.path / "progress.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(line.replace("\n", " ") + "\n")

    def tidy(self, *, keep: bool) -> None:
        """Ends the run; removes the folder unless something in it is still needed: a ledger that is not empty."""
        if self._release is not None:
            self._release()
        if not keep:
            shutil.rmtree(self.path, ignore_errors=True)
