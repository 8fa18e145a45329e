"""Settling: probes are sent until their answers agree throughout a window; time is a number here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.claims.setting import make_probe
from pytest_s3vpce.run.settling import RealClock, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_s3vpce.probe import Probe

CHANGING, STEADY = (make_probe("s3:GetObject", "reports", principal=name, vantage="inside") for name in ("a", "b"))


class Counted:
    """A clock that stands still but for its sleeps."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.time += seconds


class Lines:
    """What each probe gives at each time, and what was sent when."""

    def __init__(self, clock: Counted, given: dict[Probe, Callable[[float], str]]) -> None:
        self.clock = clock
        self.given = given
        self.sent: list[tuple[float, tuple[Probe, ...]]] = []

    def send(self, probes: Sequence[Probe]) -> None:
        self.sent.append((self.clock.time - 100, tuple(probes)))

    def kind(self, probe: Probe) -> str:
        return self.given[probe](self.clock.time - 100)


def always(kind: str) -> Callable[[float], str]:
    return lambda _: kind


def until(moment: float, before: str, after: str) -> Callable[[float], str]:
    return lambda now: before if now < moment else after


def run(windows: dict[Probe, float], given: dict[Probe, Callable[[float], str]]) -> tuple[Lines, dict[Probe, object]]:
    clock = Counted()
    lines = Lines(clock, given)
    return lines, dict(settle(windows, send=lines.send, kind=lines.kind, clock=clock))


def test_what_agrees_from_the_start_is_sent_throughout_one_window() -> None:
    lines, flapping = run({STEADY: 30}, {STEADY: always("denied")})
    assert flapping == {}
    assert [moment for moment, _ in lines.sent] == [6, 12, 18, 24, 30]


def test_what_changes_once_is_sent_for_a_window_after_the_change() -> None:
    given = {CHANGING: until(10, "allowed", "denied"), STEADY: always("allowed")}
    lines, flapping = run({CHANGING: 30, STEADY: 30}, given)
    assert flapping == {}
    assert lines.sent[-1] == (42, (CHANGING,))
    assert [probes for moment, probes in lines.sent if moment <= 30] == [(CHANGING, STEADY)] * 5
    assert lines.kind(CHANGING) == "denied"


def test_what_never_agrees_is_given_up_and_shows_its_sequence() -> None:
    lines, flapping = run(
        {CHANGING: 10, STEADY: 10},
        {CHANGING: lambda now: "allowed" if now % 8 < 4 else "denied", STEADY: always("denied")},
    )
    assert set(flapping) == {CHANGING}
    kinds = flapping[CHANGING]
    assert isinstance(kinds, tuple)
    assert kinds[:4] == ("allowed", "denied", "allowed", "denied")
    assert lines.sent[-1][0] == 40


@pytest.mark.parametrize("window", [0, 0.0])
def test_without_a_window_nothing_is_sent_again(window: float) -> None:
    lines, flapping = run({STEADY: window}, {STEADY: always("denied")})
    assert (lines.sent, flapping) == ([], {})


def test_each_probe_has_its_own_window() -> None:
    lines, _ = run({CHANGING: 10, STEADY: 30}, {CHANGING: always("denied"), STEADY: always("denied")})
    assert [probes for moment, probes in lines.sent if moment > 10] == [(STEADY,)] * len(
        [moment for moment, _ in lines.sent if moment > 10]
    )
    assert lines.sent[0] == (2, (CHANGING, STEADY))


def test_the_real_clock_passes_real_time() -> None:
    clock = RealClock()
    before = clock.now()
    clock.sleep(0.01)
    assert clock.now() - before >= 0.01
