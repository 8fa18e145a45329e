"""A run that is told to end does not wait for what other threads wait for: it has things to remove."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
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
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.keeping import Keepers
from pytest_s3vpce.run.operator import Operator
from pytest_s3vpce.run.planes import world_of
from pytest_s3vpce.run.vantages import VantagePoints
from pytest_s3vpce.vantage import ControlPlane
from pytest_s3vpce.vantage.base import TOLD_TO_END
from tests.unit.test_access_answers import THERE, Nothing, get, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_s3vpce.probe import Probe

INVENTORY = """\
accounts: {main: {id: "111122223333", region: eu-west-1}}
principals: {nobody: {anonymous: true}}
vantage_points: {internet: local}
buckets: {reports: {name: reports-bucket, canary: c}}
"""
AT_ONCE = 1.3
"""Seconds from the beginning of a wait that is interrupted after 0.3."""


class Asleep:
    """Lambda, where a function that is asked for more than twice has failed."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def invoke(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "ResourceNotReadyException"}}, "Invoke")

    def get_function_configuration(self, *, FunctionName: str) -> dict[str, str]:  # noqa: N803 - boto3's name
        self.asked.update([FunctionName])
        return {"State": "Pending" if self.asked[FunctionName] <= 2 else "Failed"}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> VantagePoints:
    """One in each of two Regions, whose functions are asleep."""
    path = tmp_path / "s3vpce.yaml"
    rows = "near: {lambda: {function: near}}, far: {lambda: {function: far, region: eu-west-2}}"
    path.write_text(INVENTORY.replace("internet: local", rows), encoding="utf-8")
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s")
    monkeypatch.setattr(Accounts, "session", lambda *_: session)
    asleep = Asleep()
    monkeypatch.setattr(ControlPlane, "client", lambda *_, **__: asleep)
    world = world_of(load_inventory(path), Environment(), run_id="1a2b")
    return VantagePoints(world, Environment(), RunFolder.create(tmp_path), notify=said.append)


@contextmanager
def interrupted() -> Iterator[None]:
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    started = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        yield
    assert time.monotonic() - started < AT_ONCE


def test_what_is_being_made_is_waited_for_no_longer(points: VantagePoints, said: list[str]) -> None:
    with interrupted():
        points.prepare(["near", "far"])
    assert {f"waiting for function {name} to become active" for name in ("near", "far")} < {*said}
    with pytest.raises(VantageError, match=TOLD_TO_END):
        points.get("far")


def test_an_account_first_asked_for_then_is_not_waited_for_either(points: VantagePoints) -> None:
    points.end()
    with pytest.raises(VantageError, match=TOLD_TO_END):
        points.get("near")


def test_answers_are_waited_for_no_longer_and_what_was_handed_to_be_sent_is_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()
    told: list[set[Probe]] = []
    monkeypatch.setattr(Nothing, "undo", lambda _self, _answers, *, handed: told.append({*handed}))
    run = scripted({get(): [THERE]})
    monkeypatch.setattr(run.script, "next", lambda _probe: over.wait(30))
    monkeypatch.setattr(run.script, "end", over.set, raising=False)
    with interrupted():
        run.send([get()], {}, unmade={})
    assert told == [{get()}]


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
    with pytest.raises(VantageError, match=TOLD_TO_END):
        control.pause(0)  # nor does whoever waits from now on


def test_nothing_ends_by_itself() -> None:
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s")
    control, started = ControlPlane("main", session=session, region="eu-west-1"), time.monotonic()
    control.pause(0.05)
    assert time.monotonic() - started >= 0.05
    control.end()
    with pytest.raises(VantageError, match=TOLD_TO_END):
        control.at("eu-west-2").pause(0)
