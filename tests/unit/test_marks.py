from __future__ import annotations

import datetime as dt

import pytest

from pytest_s3vpce.vantage import marks

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)


def hours(number: float) -> dt.timedelta:
    return dt.timedelta(hours=number)


def test_the_marks_of_a_run_say_whose_it_is_and_until_when() -> None:
    assert marks.of_run("1a2b", owner="arn:aws:sts::111122223333:assumed-role/ops/ana,1", now=NOW) == {
        "s3vpce:run": "1a2b",
        "s3vpce:created": "2026-01-02T03:04:05Z",
        "s3vpce:expires": "2026-01-02T06:04:05Z",
        "s3vpce:owner": "arn:aws:sts::111122223333:assumed-role/ops/ana_1",
    }


def test_the_marks_of_now_are_not_over() -> None:
    now = dt.datetime.now(dt.UTC)
    assert not marks.is_over(marks.of_run("1a2b", owner="a"), now=now)
    assert marks.is_over(marks.of_run("1a2b", owner="a"), now=now + hours(3.1))


@pytest.mark.parametrize(
    ("later", "older_than", "over"),
    [
        (2.9, None, False),
        (3.1, None, True),
        (2.9, 2, True),
        (1.9, 2, False),
        (4, 5, False),
        (0, 0, True),
    ],
)
def test_a_run_is_over_when_it_has_expired_or_is_that_old(later: float, older_than: float | None, over: bool) -> None:
    tags = marks.of_run("1a2b", owner="a", now=NOW)
    limit = None if older_than is None else hours(older_than)
    assert marks.is_over(tags, now=NOW + hours(later), older_than=limit) is over


def test_what_is_kept_or_not_ours_or_can_not_be_dated_is_never_over() -> None:
    late = NOW + hours(1000)
    ours = marks.of_run("1a2b", owner="a", now=NOW)
    kept = marks.of_kept("inside", owner="a", content="c", now=NOW)
    for tags in (
        kept,
        {**ours, **kept},
        {"Name": "x"},
        {**ours, "s3vpce:expires": "soon"},
        {"s3vpce:run": "1a2b"},
        {key: text for key, text in ours.items() if key != "s3vpce:run"},
    ):
        assert not marks.is_over(tags, now=late), tags
    assert not marks.is_over({**ours, "s3vpce:created": "once"}, now=late, older_than=hours(1))


def test_values_are_what_every_service_takes() -> None:
    assert marks.value("a,b;é*" + "x" * 300) == "a_b_é_" + "x" * 250
    assert marks.of_kept("büro, 2", owner="o", content="c")["s3vpce:kept"] == "büro_ 2"
