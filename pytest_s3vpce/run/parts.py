"""The part of the access tests that a run is, told in its report: whoever joins parts must see what is missing."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce import __version__
from pytest_s3vpce.matrix import Matrix

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pytest_s3vpce.run.folder import RunFolder

_FILE: Final = "part.json"


class Parting:
    """What is known of a run's `shard`, such as `1/3`; empty where the run is the whole."""

    def __init__(self, shard: str) -> None:
        self._shard = shard
        self._noted: dict[str, Any] = {}

    def note(self, tests: Iterable[str], files: Iterable[Path], *, ours: int, folder: RunFolder | None) -> None:
        """The ids of all tests that were parted and the files behind them, and how many of the tests are ours.

        With a `folder`, for the process that reports, which collects nothing itself.
        """
        found = hashlib.sha256("\n".join(tests).encode())
        for path in files:
            found.update(path.read_bytes())
        self._noted = {"whole": found.hexdigest()[:16], "ours": ours}
        if folder is not None:
            folder.write(_FILE, self._noted)

    def learn(self, folder: RunFolder) -> None:
        """What another process noted."""
        self._noted = self._noted or folder.read(_FILE) or {}

    def named(self, matrix: Matrix) -> Matrix:
        """The matrix as that part of the whole."""
        return replace(matrix, shards=(self._shard,), whole=self._noted.get("whole", "")) if self._shard else matrix

    def nothing(self, mode: str) -> Matrix:
        """What a part says that measured nothing: because no test fell to it, or although some did."""
        left = ("none of its tests was run",) if self._noted.get("ours") else ()
        started = time.time()
        return self.named(
            Matrix(mode=mode, run_id="none", version=__version__, started=started, seconds=0, unmeasured=left)
        )
