"""What the processes of a run measured, each in its turn, as one matrix: kept in the run's folder until the end."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.joining import joined, of_calls
from pytest_s3vpce.matrix import Call, Matrix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.errors import S3VpceError
    from pytest_s3vpce.run.folder import RunFolder

ANSWERS: Final = "answers.json"
FAILED: Final = "failed.json"
_CALLS: Final = "calls.jsonl"
"""What tests sent with clients of their own."""
_UNPROVEN: Final = "unproven.jsonl"
"""The claims of Python tests that came to no result, and why."""


def record(folder: RunFolder, call: Call) -> None:
    """Adds a request of a test's own code; from any thread."""
    folder.append(_CALLS, asdict(call))


def keep(folder: RunFolder, matrix: Matrix) -> None:
    """Adds what a Python test measured."""
    folder.write_text(f"more-{os.getpid()}-{time.monotonic_ns()}.json", matrix.to_json())


def unproven(folder: RunFolder, claim: str, error: S3VpceError) -> None:
    """Notes that a Python test's claim came to no result."""
    folder.append(_UNPROVEN, [claim, str(error)])


def gathered(folder: RunFolder, *, own: Matrix | None, mode: str, interrupted: str) -> Matrix | None:
    """Everything; None where nothing was measured. `own` is what this process need not read again.

    `interrupted` says that the run was, where nothing else is known to be missing.
    """
    names = [*([] if own else [ANSWERS]), *folder.names("more-*.json")]
    found = [own] if own else []
    found += [Matrix.from_json(text) for name in names if (text := folder.text(name)) is not None]
    calls = [Call(**row) for row in folder.lines(_CALLS)]
    if calls:
        found.append(of_calls(calls, mode=mode, run_id=folder.run_id))
    if not found:
        return None
    matrix = found[0] if len(found) < 2 else joined(found)
    missing = tuple(_unmeasured(folder, matrix)) or ((interrupted,) if interrupted else ())
    return replace(matrix, unmeasured=missing) if missing else matrix


def _unmeasured(folder: RunFolder, matrix: Matrix) -> Iterator[str]:
    """What was to be in the matrix: somebody may see the report alone, and not how the run's tests ended."""
    if folder.started.exists() and folder.text(ANSWERS) is None:
        failed = folder.read(FAILED) or {"error": "the run was ended"}
        yield f"what expectation files declare was not measured: {failed['error']}"
    known = {row.id for row in matrix.claims}
    yield from (f"{name} was not measured: {why}" for name, why in folder.lines(_UNPROVEN) if name not in known)
