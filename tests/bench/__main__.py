"""`make bench`: ratios of medians, side by side in one run; it prints and judges nothing.

python -m tests.bench [SECTION ...] runs some of its sections only.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from pytest_s3vpce.lab.process import start_lab
from tests.bench.engine import engine, lines_filter
from tests.bench.lab import lab as beside_moto
from tests.bench.million import million
from tests.bench.probes import probes
from tests.bench.setting import ACCOUNT, PAIRS, REGION, inside_paths, write_by_hand, write_declared

if TYPE_CHECKING:
    from collections.abc import Callable

MATRIX_RUNS = 5 if PAIRS == 1 else 3
PLAIN_RUNS = 25
LATENCY_MS = "20"
PYTEST = ("-m", "pytest", "-q", "-p", "no:hypothesispytest", "-p", "no:xdist")
"""Without our own development tools: hypothesis alone adds most of a second to each run."""


def timed(*command: str, cwd: Path) -> float:
    """Seconds of a whole process that must succeed."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return seconds


def matrix(folder: Path) -> tuple[list[float], list[float]]:
    """The cells with the plugin, and the same checks written by hand, in turn against one lab."""
    os.environ["S3VPCE_LAB_LATENCY_MS"] = LATENCY_MS
    provision = Path(__file__).parent / "setting.py"
    lab = start_lab(folder / "lab", accounts={"main": (ACCOUNT, REGION)}, provision=provision)
    try:
        ready = json.loads(lab.ready_file.read_text(encoding="utf-8"))
        declared, by_hand = folder / "declared", folder / "by_hand"
        write_declared(declared)
        write_by_hand(by_hand, ready, inside_paths(ready, folder / "lab"))
        ours, theirs = [], []
        for turn in range(MATRIX_RUNS + 1):
            first = timed(*PYTEST, f"--s3vpce-lab-ready={lab.ready_file}", cwd=declared)
            second = timed(*PYTEST, "-p", "no:s3vpce", cwd=by_hand)
            if turn:  # the first of each warms caches
                ours.append(first)
                theirs.append(second)
    finally:
        lab.stop()
        del os.environ["S3VPCE_LAB_LATENCY_MS"]
    return ours, theirs


def plain(folder: Path) -> list[float]:
    """What a plain pytest run pays for the plugin: paired differences in milliseconds."""
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "test_plain.py").write_text("def test_plain():\n    pass\n", encoding="utf-8")
    common = (*PYTEST, "-p", "no:cacheprovider")
    found = []
    for turn in range(PLAIN_RUNS + 1):
        with_it = timed(*common, cwd=folder)
        without = timed(*common, "-p", "no:s3vpce", cwd=folder)
        if turn:
            found.append((with_it - without) * 1000)
    return found


def cells(folder: Path) -> list[list[str]]:
    ours, theirs = matrix(folder)
    ratio = statistics.median(theirs) / statistics.median(ours)
    count = f"{256 * PAIRS:,}"
    return [
        [f"{count} cells at {LATENCY_MS} ms a request, deployment included", f"{statistics.median(ours):.2f} s", ""],
        [f"the same {count} checks by hand", f"{statistics.median(theirs):.2f} s", ""],
        ["by hand / with the plugin", f"{ratio:.1f}", f"at least {3 if PAIRS == 1 else 10}"],
    ]


def many(folder: Path) -> list[list[str]]:
    """The cells of eight times as many buckets, in a process of its own."""
    program = "import json, pathlib, sys; from tests.bench import __main__ as bench"
    program += "; print(json.dumps(bench.cells(pathlib.Path(sys.argv[1]))))"
    (folder / "many").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder / "many")],
        env={**os.environ, "S3VPCE_BENCH_PAIRS": "8"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: list[list[str]] = json.loads(done.stdout)
    return found


def loading(folder: Path) -> list[list[str]]:
    found = statistics.median(plain(folder / "plain"))
    return [["plain pytest run, with minus without", f"{found:.1f} ms", "under 15 ms"]]


SECTIONS: dict[str, Callable[[Path], list[list[str]]]] = {
    "cells": cells,
    "loading": loading,
    "engine": engine,
    "filter": lines_filter,
    "million": million,
    "probes": probes,
    "lab": beside_moto,
    "many": many,
}


def main() -> None:
    names = sys.argv[1:] or list(SECTIONS)
    for name in names:
        if name not in SECTIONS:
            sys.exit(f"there is no section `{name}`; sections are {', '.join(SECTIONS)}")
    with tempfile.TemporaryDirectory(prefix="s3vpce-bench-") as folder:
        rows = [row for name in names for row in SECTIONS[name](Path(folder))]
    print(tabulate(rows, headers=["", "median", "wanted"], disable_numparse=True))


if __name__ == "__main__":
    main()
