"""A run that is told to end does not wait for what other threads wait for: it has things to remove."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from pytest_s3vpce.connection import Connection
from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.run.access import AccessRun
from pytest_s3vpce.run.observed import Observed
from pytest_s3vpce.run.planes import Planes
from pytest_s3vpce.run.vantages import VantagePoints
from pytest_s3vpce.vantage import ControlPlane
from tests.unit.test_access_answers import get

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.vantage import Vantage

TOLD = "the run was told to end, so nothing is waited for any longer"


@pytest.fixture
def points() -> VantagePoints:
    nothing: Any = SimpleNamespace(connection=None)
    made = VantagePoints(nothing, nothing, nothing, notify=lambda _: None)
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s")
    made._planes._planes["main"] = ControlPlane("main", session=session, region="eu-west-1")
    return made


def wait_for_long(points: VantagePoints) -> None:
    """As what is `Pending` is waited for, in another Region of the account."""
    control = points._planes._planes["main"].at("eu-west-2")
    for _ in range(600):
        control.pause(0.05)


@contextmanager
def interrupted() -> Iterator[None]:
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    started = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        yield
    assert time.monotonic() - started < 15


def test_what_is_being_made_is_waited_for_no_longer(points: VantagePoints, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def prepared(_name: str) -> VantageError:
        with pytest.raises(VantageError) as caught:
            wait_for_long(points)
        said.append(str(caught.value))
        return caught.value

    monkeypatch.setattr(points, "_prepared", prepared)
    with interrupted():
        points.prepare(["one", "two"])
    assert said == [TOLD] * 2


def test_answers_are_waited_for_no_longer(points: VantagePoints, monkeypatch: pytest.MonkeyPatch) -> None:
    vantage: Any = SimpleNamespace(send=lambda _batch: wait_for_long(points))

    def there(_name: str) -> Vantage:
        found: Vantage = vantage
        return found

    monkeypatch.setattr(points, "get", there)
    nothing: Any = SimpleNamespace()
    run = AccessRun(nothing, points, builder=nothing, notify=lambda _: None, mutations=nothing)
    monkeypatch.setattr(run, "_request", lambda probe: probe)
    seen = Observed()
    with interrupted():
        run._exchange([get()], seen)
    assert seen.refusals == {get(): TOLD}


def test_an_account_first_asked_for_then_is_not_waited_for_either(points: VantagePoints) -> None:
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s")
    accounts: Any = SimpleNamespace(session=lambda _name: session, region=lambda _name: "eu-west-1")
    world: Any = SimpleNamespace(inventory=SimpleNamespace(accounts=["late"]), accounts=accounts)
    environment: Any = SimpleNamespace(connection=Connection())
    planes = Planes(world, environment)
    planes.end()
    with pytest.raises(VantageError, match="told to end"):
        planes.of("late").pause(0)


def test_nothing_ends_by_itself(points: VantagePoints) -> None:
    control, started = points._planes._planes["main"], time.monotonic()
    control.pause(0.05)
    assert time.monotonic() - started >= 0.05
    points.end()
    with pytest.raises(VantageError, match="told to end"):
        control.pause(0)
