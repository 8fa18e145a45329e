"""The embedded lab of a run: one process starts it in the background, and all find it by the run's folder."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.errors import LabError, S3VpceError
from pytest_s3vpce.run.environment import Environment, from_ready_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.lab.process import LabProcess
    from pytest_s3vpce.run.folder import RunFolder

_SECONDS: Final = 960.0
"""How long to wait for it."""
_FOUND: Final = "lab.json"


class BackgroundLab:
    """A run's."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._starting: threading.Thread | None = None
        self._lab: LabProcess | None = None
        self._ended = threading.Event()

    def start(self, inventory: Callable[[], Inventory]) -> None:
        self._starting = threading.Thread(target=self._start, args=(inventory,), daemon=True)
        self._starting.start()

    def _start(self, inventory: Callable[[], Inventory]) -> None:
        from pytest_s3vpce.run.laboratory import start

        try:
            self._lab = start(inventory(), self._folder, stop=self._ended)
            self._folder.write(_FOUND, {"ready_file": str(self._lab.ready_file)})
        except S3VpceError as error:
            self._folder.write(_FOUND, {"error": str(error)})

    def environment(self) -> Environment:
        """Once it is ready. Raises LabError where it did not come up."""
        deadline = time.monotonic() + _SECONDS
        while True:
            died = self._starting is not None and not self._starting.is_alive()
            if (found := self._folder.read(_FOUND)) is not None:
                break
            if died or time.monotonic() > deadline:
                how = "could not be started" if died else f"did not come up within {_SECONDS:.0f} s"
                raise LabError(f"the lab {how}")
            time.sleep(0.01)
        if "error" in found:
            raise LabError(found["error"])
        return from_ready_file(Path(found["ready_file"]))

    def stop(self) -> None:
        """Nobody waits for it any longer, and it ends."""
        self._ended.set()
        if self._starting is not None:
            self._starting.join(_SECONDS)
        if self._lab is not None:
            self._lab.stop()
