"""Ctrl-C and SIGTERM during a run: everything that it created is removed before pytest ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.plugin.conftest import Example, SharedLab

SLOW = """
import time

def test_slow(s3vpce):
    s3vpce.probe("s3:GetObject", bucket="reports", principal="app", vantage="app-subnet")
    open("ready", "w").close()
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage has a handler of SIGTERM of its own in the processes that it measures."""
    for name in [name for name in os.environ if name.startswith("COVERAGE")]:
        monkeypatch.delenv(name)


@pytest.fixture
def run(example: Example) -> Iterator[Callable[..., Run]]:
    """Starts runs; whatever is left of them is killed after the test."""
    started: list[Run] = []

    def start(*options: str) -> Run:
        started.append(Run(example.path, *options))
        return started[-1]

    yield start
    for one in started:
        one.kill()


class Run:
    """A pytest run in a process group of its own, as a shell starts it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_until(self, seen: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not seen():
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def interrupt(self) -> str:
        """Ctrl-C; what the run said until it ended."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.ended()

    def ended(self) -> str:
        out, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == pytest.ExitCode.INTERRUPTED, out
        assert "left behind" not in out
        return out

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_what_was_created_is_removed(
    example: Example, shared_lab: SharedLab, in_lab: str, run: Callable[..., Run], options: tuple[str, ...]
) -> None:
    example.pytester.makepyfile(test_slow=SLOW)
    started = run(in_lab, "test_slow.py", *options)
    started.wait_until((example.path / "ready").exists)
    assert len(shared_lab.functions()) == len(shared_lab.roles()) == 1
    out = started.interrupt()
    assert "KeyboardInterrupt" in out
    assert shared_lab.functions() == shared_lab.roles() == set(), out
    assert not example.run_folders


def _to_the_group(pid: int) -> None:
    os.killpg(pid, signal.SIGTERM)


def _to_pytest(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)


@pytest.mark.parametrize(
    "started_with",
    [((), _to_the_group), (("-n", "2"), _to_pytest)],
    ids=["one process", "two workers"],
)
def test_what_was_created_is_removed_when_a_job_is_cancelled(
    example: Example,
    shared_lab: SharedLab,
    in_lab: str,
    run: Callable[..., Run],
    started_with: tuple[tuple[str, ...], Callable[[int], None]],
) -> None:
    options, end = started_with
    example.pytester.makepyfile(test_slow=SLOW)
    started = run(in_lab, "test_slow.py", *options)
    started.wait_until((example.path / "ready").exists)
    end(started.process.pid)
    out = started.ended()
    assert shared_lab.functions() == shared_lab.roles() == set(), out
    assert not example.run_folders


def test_what_was_created_is_removed_where_somebody_elses_ending_fails(
    example: Example, shared_lab: SharedLab, in_lab: str
) -> None:
    example.pytester.makeconftest("def pytest_sessionfinish():\n    raise RuntimeError('not ours')\n")
    example.pytester.makepyfile(test_quick=SLOW.replace("60", "0"))
    result = example.pytester.runpytest(in_lab, "test_quick.py")
    assert "not ours" in f"{result.outlines} {result.errlines}"
    assert shared_lab.functions() == shared_lab.roles() == set()
    assert not example.run_folders


def test_who_is_told_to_end_while_it_removes_goes_on_removing(
    example: Example, shared_lab: SharedLab, in_lab: str
) -> None:
    example.pytester.makeconftest(
        "import os, signal\n"
        "def pytest_sessionfinish():\n    os.kill(os.getpid(), signal.SIGTERM)\n"
        "def pytest_unconfigure():\n    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
    )
    example.pytester.makepyfile(test_quick=SLOW.replace("60", "0"))
    result = example.pytester.runpytest_subprocess(in_lab, "test_quick.py")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.OK
    assert shared_lab.functions() == shared_lab.roles() == set()
    assert not example.run_folders


def test_an_interrupt_while_functions_are_being_made_removes_them_too(
    example: Example, shared_lab: SharedLab, in_lab: str, run: Callable[..., Run]
) -> None:
    # The slow test comes last: the run does not end before it is interrupted, however long looking takes.
    example.pytester.makepyfile(test_slow=SLOW)
    before = len(shared_lab.log.read_text(encoding="utf-8"))
    started = run(in_lab, "test_reports.access.yaml", "test_slow.py")
    started.wait_until(lambda: '"service": "lambda"' in shared_lab.log.read_text(encoding="utf-8")[before:])
    out = started.interrupt()
    assert shared_lab.functions() == shared_lab.roles() == set(), out
    assert not example.run_folders


def test_an_interrupt_while_the_embedded_lab_starts_ends_it(example: Example, run: Callable[..., Run]) -> None:
    (example.path / "provision.py").write_text(
        "import os, time\nfrom pathlib import Path\n"
        "def provision(accounts):\n    Path(__file__).with_name('pid').write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n",
        encoding="utf-8",
    )
    pid = example.path / "pid"
    started = run("--s3vpce-lab", "test_reports.access.yaml")
    started.wait_until(lambda: pid.exists() and pid.read_text(encoding="utf-8"))
    started.interrupt()
    assert not _runs(int(pid.read_text(encoding="utf-8")))
    assert not example.run_folders


def _runs(pid: int) -> bool:
    """Whether a process goes on; one that has ended may wait for its parent to ask for its status."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip() != "" and not done.stdout.startswith("Z")
