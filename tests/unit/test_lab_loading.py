"""The lab answers before all of it is loaded: what is not there yet is waited for, and what is found wrong ends it."""

from __future__ import annotations

import gc
import importlib
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab import lightening
from pytest_s3vpce.lab.assembly import Lab
from pytest_s3vpce.lab.control import Control
from pytest_s3vpce.lab.gateway import Gateway
from pytest_s3vpce.lab.journal import Journal
from pytest_s3vpce.lab.keys import Keys
from pytest_s3vpce.lab.lightening import Offerings
from pytest_s3vpce.lab.onuse import OnUse
from pytest_s3vpce.lab.readying import mend_once, regions
from pytest_s3vpce.lab.serving import Settings, serve
from pytest_s3vpce.lab.state import State
from tests.unit.labstage import REGION, Person, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAIN, OTHER, LATE = "392000000001", "392000000002", "350000000003"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(MAIN, OTHER)


# --- parts -----------------------------------------------------------------------------------------------------------


def test_a_part_is_made_once_for_all_who_use_it() -> None:
    made: list[object] = []

    def make() -> object:
        time.sleep(0.01)
        made.append(object())
        return made[-1]

    part = OnUse(make)
    assert part.made is None
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: part(), range(8)))
    assert found == made * 8
    assert part.made is made[0]


def test_a_class_is_mended_once_and_whoever_comes_meanwhile_waits_until_it_is() -> None:
    class Library:
        answers: tuple[str, ...] = ("wrong",)

    begun, let = threading.Event(), threading.Event()

    def mend() -> None:
        begun.set()
        assert let.wait(10)
        Library.answers = ("right", *Library.answers)

    def use(_: int) -> tuple[str, ...]:
        mend_once(Library, mend)
        return Library.answers

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(use, 0)]
        assert begun.wait(10)
        found += [pool.submit(use, number) for number in range(3)]
        assert not wait(found, timeout=0.05).done
        let.set()
        assert [one.result(10) for one in found] == [("right", "wrong")] * 4


def test_a_class_that_could_not_be_mended_is_not_taken_for_mended() -> None:
    class Library:
        is_mended = False

    def fail() -> None:
        raise RuntimeError

    def mend() -> None:
        Library.is_mended = True

    with pytest.raises(RuntimeError):
        mend_once(Library, fail)
    mend_once(Library, mend)
    assert Library.is_mended


def test_a_class_is_not_mended_by_what_was_done_to_the_one_above_it() -> None:
    class Above:
        pass

    class Below(Above):
        pass

    done: list[type] = []
    for each in (Above, Below, Below):
        mend_once(each, lambda each=each: done.append(each))  # type: ignore[misc]
    assert done == [Above, Below]


def test_regions_are_all_partitions_and_no_pseudo_region_is_one() -> None:
    assert {"us-east-1", "cn-north-1", "us-gov-west-1"} <= regions()
    assert not any("global" in name for name in regions())


# --- what is put off -------------------------------------------------------------------------------------------------


def test_offerings_are_read_once_a_region_is_asked_for() -> None:
    read: list[str] = []

    def reading(file: str) -> list[dict[str, Any]]:
        read.append(file)
        return [{"InstanceType": "t3.micro"}]

    found = Offerings("region", files={"us-east-1": "one", "eu-west-1": "two"}, read=reading)
    assert "us-east-1" in found
    assert "us-none-1" not in found
    assert found.get("us-none-1", "none") == "none"
    assert read == []
    assert found.get("us-east-1") == found["us-east-1"] == [{"InstanceType": "t3.micro", "LocationType": "region"}]
    assert read == ["one"]


def test_instance_types_are_offered_as_ever(stage: Stage) -> None:
    ec2 = stage.admin(MAIN).client("ec2", region="eu-west-3")
    wanted = [{"Name": "instance-type", "Values": ["t3.micro"]}]
    for kind, place in (("region", "eu-west-3"), ("availability-zone", "eu-west-3a")):
        rows = ec2.describe_instance_type_offerings(LocationType=kind, Filters=wanted)["InstanceTypeOfferings"]
        assert place in {row["Location"] for row in rows}


def test_a_service_that_was_loaded_before_keeps_what_it_has() -> None:
    models = importlib.import_module("moto.ec2.models.instance_types")
    before = dict(models.INSTANCE_TYPE_OFFERINGS)
    with lightening.offerings_when_asked():
        pass
    assert list(before) == list(models.INSTANCE_TYPE_OFFERINGS) != []
    assert all(models.INSTANCE_TYPE_OFFERINGS[kind] is row for kind, row in before.items())


def test_policies_of_aws_are_each_accounts_own(stage: Stage) -> None:
    ours, theirs = (stage.admin(account).client("iam") for account in (MAIN, OTHER))
    before = theirs.get_policy(PolicyArn=ADMINISTRATOR)["Policy"]["AttachmentCount"]
    ours.create_user(UserName="attached")
    ours.attach_user_policy(UserName="attached", PolicyArn=ADMINISTRATOR)
    assert ours.get_policy(PolicyArn=ADMINISTRATOR)["Policy"]["AttachmentCount"] == before + 1
    assert theirs.get_policy(PolicyArn=ADMINISTRATOR)["Policy"]["AttachmentCount"] == before


def test_a_state_of_which_nothing_was_asked_holds_nothing_and_loads_nothing() -> None:
    state = State()
    assert state.bucket("anything") is None
    assert state.membership(MAIN) is None
    assert not any(state.is_loaded(service) for service in ("s3", "iam", "organizations"))


def test_a_runner_that_was_made_before_iam_was_loaded_is_there_when_it_is() -> None:
    state = State()
    runner = state.make_account(LATE, REGION)
    assert not state.is_loaded("iam")
    key = state.access_key(runner.access_key_id)
    assert key is not None
    assert (key.secret, key.account) == (runner.secret_access_key, LATE)
    role = state.role(runner.role)
    assert role is not None
    assert role.name == "s3vpce-runner"


def test_the_buckets_of_an_account_are_listed_before_s3_is_loaded(stage: Stage) -> None:
    state = State()
    keys = Keys(state)
    keys.add_root("AKIAROOTOFTHELABEARLY", "secret", account=LATE, partition="aws")
    functions: Any = OnUse(lambda: stage.functions)
    early = Gateway(state, keys=keys, functions=functions)
    usual, stage.gateway = stage.gateway, early
    try:
        s3 = Person(stage, "AKIAROOTOFTHELABEARLY", "secret").client("s3")
        first = s3.list_buckets()
        assert not state.is_loaded("s3")
        state.load()
        later = s3.list_buckets()
    finally:
        stage.gateway = usual
    assert first["Buckets"] == later["Buckets"] == []
    assert first["Owner"] == later["Owner"]


# --- what is found wrong ---------------------------------------------------------------------------------------------


@pytest.fixture
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A lab in this process takes the machine's settings away, and stops its garbage collection for a while."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    yield
    gc.unfreeze()
    gc.enable()


def settings_of(tmp_path: Path, **more: Any) -> Settings:
    accounts = {"main": ("350000000009", REGION)}
    return Settings(ready_file=tmp_path / "ready.json", accounts=accounts, folder=tmp_path / "lab", **more)


@pytest.mark.usefixtures("undisturbed")
def test_a_lab_whose_state_is_not_read_rightly_ends_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(State, "self_check", lambda _: ["network: subnets"])
    with pytest.raises(LabError, match="this version of moto is not read rightly: network: subnets; pip install"):
        serve(settings_of(tmp_path), stop=threading.Event())
    assert not (tmp_path / "ready.json").exists()
    assert gc.isenabled()


@pytest.mark.usefixtures("undisturbed")
def test_what_is_to_make_something_waits_for_the_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(_: Lab) -> None:
        time.sleep(0.1)
        raise LabError("it is broken")

    monkeypatch.setattr(Lab, "load", fails)
    script = tmp_path / "provision.py"
    script.write_text("def provision(accounts):\n    return {}\n")
    announced: list[Any] = []
    with pytest.raises(LabError, match="it is broken"):
        serve(settings_of(tmp_path, provision=script), stop=threading.Event(), announce=announced.append)
    assert announced == []


@pytest.mark.usefixtures("undisturbed")
def test_the_ready_file_is_there_before_all_is_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stop, seen = threading.Event(), []

    def load(_: Lab) -> None:
        stop.wait(10)

    def announce(ready: Any) -> None:
        seen.append(json.loads((tmp_path / "ready.json").read_text()))
        assert seen[0] == ready
        stop.set()

    monkeypatch.setattr(Lab, "load", load)
    serve(settings_of(tmp_path), stop=stop, announce=announce)
    assert seen[0]["accounts"]["main"]["runner"]["role"] == "arn:aws:iam::350000000009:role/s3vpce-runner"


def test_a_control_api_that_nobody_used_ends_at_once(stage: Stage) -> None:
    unused: Any = stage
    control = Control(doors=unused, journal=Journal(None))
    assert control.url.startswith("http://127.0.0.1:")
    began = time.monotonic()
    control.close()
    assert time.monotonic() - began < 2
