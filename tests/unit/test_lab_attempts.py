"""Workers tell of connections that did not come up; nobody else is listened to."""

from __future__ import annotations

import json
import queue
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.lab.attempts import Attempt, Attempts
from pytest_s3vpce.lab.origin import Placement

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = Placement(account="1" * 12, region="eu-west-1", subnet_id="s", security_group_ids=(), private_ip="10.0.0.4")
TOLD: dict[str, Any] = {"table": "t", "host": "h", "port": 443, "near": 40_000, "seconds": 1.5}


@pytest.fixture(name="heard")
def _heard() -> queue.Queue[Attempt]:
    return queue.Queue()


@pytest.fixture(name="attempts")
def _attempts(heard: queue.Queue[Attempt]) -> Iterator[Attempts]:
    def told(placement: Placement, attempt: Attempt) -> None:
        assert placement == PLACE
        if attempt.host == "odd":
            raise ValueError(attempt)
        heard.put(attempt)

    made = Attempts(lambda table: PLACE if table == "t" else None, told)
    yield made
    made.close()


def test_an_attempt_is_heard_and_nothing_odd_ends_it(
    attempts: Attempts, heard: queue.Queue[Attempt], caplog: pytest.LogCaptureFixture
) -> None:
    *address, word = attempts.told_at
    assert attempts.told_at == [*address, word]
    odd: list[Any] = [
        "none",
        [],
        {**TOLD, "word": "guessed"},
        {"word": word},
        {**TOLD, "word": word, "port": "x"},
        {**TOLD, "word": word, "table": "gone"},
        {**TOLD, "word": word, "host": "odd"},
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"\xff{", tuple(address))
        for told in [*odd, {**TOLD, "word": word}]:
            sock.sendto(json.dumps(told).encode(), tuple(address))
    assert heard.get(timeout=5) == Attempt(host="h", port=443, near_port=40_000, seconds=1.5)
    assert heard.empty()
    assert "an attempt to connect could not be told" in caplog.text


def test_who_listens_ends_with_it_and_nobody_does_before_it_was_told_of() -> None:
    others = threading.enumerate()
    made = Attempts(lambda _: None, lambda *_: None)
    made.close()
    assert [one for one in threading.enumerate() if one not in others] == []
    assert made.told_at[0] == "127.0.0.1"
    (listening,) = [one for one in threading.enumerate() if one not in others]
    made.close()
    listening.join(5)
    assert not listening.is_alive()
