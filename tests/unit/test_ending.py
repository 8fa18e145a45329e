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
from botocore.exceptions import ClientError

from pytest_s3vpce.accounts import Accounts
from pytest_s3vpce.connection import Connection
from pytest_s3vpce.errors import VantageError
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.references import References
from pytest_s3vpce.run.access import AccessRun
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.keeping import Keepers
from pytest_s3vpce.run.observed import Observed
from pytest_s3vpce.run.operator import Operator
from pytest_s3vpce.run.planes import Planes
from pytest_s3vpce.run.vantages import VantagePoints
from pytest_s3vpce.vantage import ControlPlane
from pytest_s3vpce.vantage.base import TOLD_TO_END
from tests.unit.test_access_answers import get

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_s3vpce.vantage import Vantage

INVENTORY = """\
accounts: {main: {id: "111122223333", region: eu-west-1}}
principals: {nobody: {anonymous: true}}
vantage_points: {internet: local}
buckets: {reports: {name: reports-bucket, canary: c}}
"""
AT_ONCE = 1.3
"""Seconds from the beginning of a wait that is interrupted after 0.3."""


@pytest.fixture
def points() -> VantagePoints:
    accounts = SimpleNamespace(end=lambda: None)
    nothing: Any = SimpleNamespace(connection=None, accounts=accounts)
    made = VantagePoints(nothing, nothing, nothing, notify=lambda _: None)
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s")
    made._planes._planes["main"] = ControlPlane("main", session=session, region="eu-west-1")
    return made


def wait_for_long(points: VantagePoints) -> None:
    """As what is `Pending` is waited for, in another Region of the account."""
    points._planes._planes["main"].at("eu-west-2").pause(30)


@contextmanager
def interrupted() -> Iterator[None]:
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    started = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        yield
    assert time.monotonic() - started < AT_ONCE


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
    assert said == [TOLD_TO_END] * 2


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
    assert seen.refusals == {get(): TOLD_TO_END}


def test_an_account_first_asked_for_then_is_not_waited_for_either(points: VantagePoints) -> None:
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s")
    ended: list[str] = []
    accounts: Any = SimpleNamespace(
        session=lambda _name: session, region=lambda _name: "eu-west-1", end=lambda: ended.append("accounts")
    )
    world: Any = SimpleNamespace(inventory=SimpleNamespace(accounts=["late"]), accounts=accounts)
    environment: Any = SimpleNamespace(connection=Connection())
    planes = Planes(world, environment)
    planes.end()
    with pytest.raises(VantageError, match="told to end"):
        planes.of("late").pause(0)
    assert ended == ["accounts"]


def test_a_role_that_may_be_new_is_waited_for_no_longer(tmp_path: Path) -> None:
    """Where it is assumed in another thread than the one that is interrupted, while vantage points are made."""
    path = tmp_path / "s3vpce.yaml"
    path.write_text(INVENTORY, encoding="utf-8")
    accounts = Accounts(
        load_inventory(path), References(None), connection=Connection(pauses=(30.0,)), session_name="s3vpce-run"
    )
    asked: list[str] = []

    def refuse() -> None:
        asked.append("assume")
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "AssumeRole")

    threading.Timer(0.1, accounts.end).start()
    began = time.monotonic()
    with pytest.raises(ClientError):
        accounts._tried(refuse)
    assert time.monotonic() - began < AT_ONCE
    assert asked == ["assume"]


def operator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Operator, list[str]]:
    """One whose description of networks waits, and who was told to end what."""
    path = tmp_path / "s3vpce.yaml"
    path.write_text(INVENTORY, encoding="utf-8")
    made = Operator(
        load_inventory(path), Environment(), RunFolder.create(tmp_path), notify=lambda _: None, strict=False
    )
    ended, over = [], threading.Event()

    def end() -> None:
        ended.append("vantages")
        over.set()

    monkeypatch.setattr("pytest_s3vpce.run.operator.describe", lambda *_: over.wait(30))
    monkeypatch.setattr(made, "_warm", lambda: None)
    monkeypatch.setattr(made.vantages, "end", end)
    return made, ended


def test_what_is_described_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made, ended = operator(monkeypatch, tmp_path)
    with interrupted():
        made._ready([], [], vantages=[], principals=[], buckets=[])
    assert ended == ["vantages"]


def test_a_deployment_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "s3vpce.yaml"
    kept = "app: {lambda: {keep: true, subnets: [subnet-1], security_groups: [sg-1]}}"
    path.write_text(INVENTORY.replace("internet: local", kept), encoding="utf-8")
    monkeypatch.setattr(Accounts, "guard", lambda *_: {})
    keepers = Keepers(load_inventory(path), Environment())
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s")
    control = ControlPlane("main", session=session, region="eu-west-1")
    keepers._planes._planes["main"] = control
    waiting: Any = SimpleNamespace(deploy=lambda **_: control.pause(30))
    monkeypatch.setattr(keepers, "_keeper", lambda *_: waiting)
    with interrupted():
        keepers.deploy(notify=lambda _: None)


def test_nothing_ends_by_itself(points: VantagePoints) -> None:
    control, started = points._planes._planes["main"], time.monotonic()
    control.pause(0.05)
    assert time.monotonic() - started >= 0.05
    points.end()
    with pytest.raises(VantageError, match="told to end"):
        control.pause(0)
