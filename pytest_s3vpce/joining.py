"""Parts of one matrix, which several processes or jobs measured, as one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from pytest_s3vpce import __version__
from pytest_s3vpce.calibration import LIVE
from pytest_s3vpce.errors import RunError
from pytest_s3vpce.matrix import CellResult, ClaimResult, Matrix, VantageResult
from pytest_s3vpce.model import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_s3vpce.matrix import AccountResult, BucketResult, Call

_ABSENT: Final = "no report of shard "


def joined(matrices: Sequence[Matrix]) -> Matrix:
    """The parts of one matrix that several jobs measured. RunError where they are not of one kind.

    What two parts hold both counts once: as the worse of the two.
    """
    first = matrices[0]
    for other in matrices[1:]:
        for what in ("mode", "version"):
            if getattr(other, what) != getattr(first, what):
                raise RunError(
                    f"reports of {what} `{getattr(first, what)}` and `{getattr(other, what)}` are not parts of one",
                    remedy="join what shards of one run wrote",
                )
    _check_whole(matrices)
    runs = list(dict.fromkeys(matrix.run_id for matrix in matrices))
    shards = tuple(sorted({name for matrix in matrices for name in matrix.shards}, key=_numbers))
    unmeasured = [line for matrix in matrices for line in matrix.unmeasured if not line.startswith(_ABSENT)]
    unmeasured += [f"{_ABSENT}{name}: nothing that it was to measure is in here" for name in missing(shards)]
    started = min(matrix.started for matrix in matrices)
    return Matrix(
        mode=first.mode,
        run_id="+".join(runs),
        version=first.version,
        started=started,
        seconds=max(matrix.started + matrix.seconds for matrix in matrices) - started,
        cells=_worst(row for matrix in matrices for row in matrix.cells),
        claims=_worst(row for matrix in matrices for row in matrix.claims),
        vantages=_vantages(row for matrix in matrices for row in matrix.vantages),
        notes=tuple(dict.fromkeys(note for matrix in matrices for note in matrix.notes)),
        calls=tuple(call for matrix in matrices for call in matrix.calls),
        inventory=next((matrix.inventory for matrix in matrices if matrix.inventory), ""),
        accounts=tuple(dict.fromkeys(row for matrix in matrices for row in matrix.accounts)),
        buckets=tuple(dict.fromkeys(row for matrix in matrices for row in matrix.buckets)),
        endpoints=tuple(dict.fromkeys(row for matrix in matrices for row in matrix.endpoints)),
        controls=_controls(matrices),
        readings=tuple(row for matrix in matrices for row in matrix.readings),
        shards=shards,
        whole=next((matrix.whole for matrix in matrices if matrix.whole), ""),
        unmeasured=tuple(dict.fromkeys(unmeasured)),
    )


def _check_whole(matrices: Sequence[Matrix]) -> None:
    """RunError where they were parted otherwise, so that a test may be in none, or measured something else."""
    if len({matrix.whole for matrix in matrices if matrix.whole}) > 1:
        raise RunError(
            "the reports are parts of different wholes: other tests were parted, or other files declare them",
            remedy="run all shards from the same files, with the same choice of tests (`-k`, `--lf`, paths)",
        )
    _check_same("account", ((row.name, row) for matrix in matrices for row in matrix.accounts))
    if matrices[0].mode == LIVE:  # each job has a lab of its own, in which a module may call its bucket anything
        _check_same("bucket", ((row.label, row) for matrix in matrices for row in matrix.buckets))


def _check_same(what: str, rows: Iterable[tuple[str, AccountResult | BucketResult]]) -> None:
    found: dict[str, AccountResult | BucketResult] = {}
    for name, row in rows:
        if found.setdefault(name, row) != row:
            raise RunError(
                f"{what} `{name}` is another one in two of the reports", remedy="join what shards of one run wrote"
            )


def missing(shards: Iterable[str]) -> tuple[str, ...]:
    """The parts that are not among these."""
    held = {_numbers(name) for name in shards}
    wholes = sorted({count for count, _ in held})
    return tuple(
        f"{number}/{count}" for count in wholes for number in range(1, count + 1) if (count, number) not in held
    )


def _numbers(shard: str) -> tuple[int, int]:
    """Of how many, and which; 0 of 0 where a file says what is none."""
    number, _, count = shard.partition("/")
    return (int(count), int(number)) if number.isdecimal() and count.isdecimal() else (0, 0)


def _controls(matrices: Sequence[Matrix]) -> tuple[CellResult, ...]:
    """Each once; what is a cell of one part is no control of another."""
    cells = {row.id for matrix in matrices for row in matrix.cells}
    return _worst(row for matrix in matrices for row in matrix.controls if row.id not in cells)


def ordered(matrix: Matrix) -> Matrix:
    """The matrix with its rows as they are declared, whoever measured first."""
    return replace(
        matrix,
        cells=tuple(sorted(matrix.cells, key=_declared)),
        claims=tuple(sorted(matrix.claims, key=_declared)),
        vantages=tuple(sorted(matrix.vantages, key=lambda row: row.name)),
        calls=tuple(sorted(matrix.calls, key=lambda row: row.at)),
        controls=tuple(sorted(matrix.controls, key=lambda row: row.id)),
    )


def _declared(row: CellResult | ClaimResult) -> tuple[str, int, int, str]:
    place = row.place or Place("")
    return place.path, place.line, place.column, row.id


_Row = TypeVar("_Row", CellResult, ClaimResult)


def _worst(rows: Iterable[_Row]) -> tuple[_Row, ...]:
    """Each id once, a failure before what passed, an expectation before a control; in order of first appearance."""
    found: dict[str, _Row] = {}
    for row in rows:
        known = found.get(row.id)
        if known is None or _badness(row) > _badness(known):
            found[row.id] = row
    return tuple(found.values())


def _badness(row: CellResult | ClaimResult) -> int:
    return {False: 2, True: 1, None: 0}[row.passed]


def _vantages(rows: Iterable[VantageResult]) -> tuple[VantageResult, ...]:
    """Each name once: the one with an error, else the one whose path was read."""
    found: dict[str, VantageResult] = {}
    for row in rows:
        known = found.get(row.name)
        if known is None or (row.error and not known.error) or (known.path is None and not known.error and row.path):
            found[row.name] = row
    return tuple(found.values())


def of_calls(calls: Sequence[Call], *, mode: str, run_id: str) -> Matrix:
    """What tests sent with clients of their own, as a matrix without cells."""
    started = min(call.at for call in calls)
    return Matrix(
        mode=mode,
        run_id=run_id,
        version=__version__,
        started=started,
        seconds=round(max(call.at + call.seconds for call in calls) - started, 3),
        calls=tuple(calls),
    )
