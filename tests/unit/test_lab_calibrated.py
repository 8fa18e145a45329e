"""The lab as a calibration found AWS: how it gets one, and what the experiments of one account do not show."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from pytest_s3vpce.calibration import NONE, Calibration, Finding
from pytest_s3vpce.cli import main
from pytest_s3vpce.errors import LabError, RunError
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.lab import __main__ as lab_command
from pytest_s3vpce.lab import routing, serving
from pytest_s3vpce.lab.denials import s3_denial
from pytest_s3vpce.lab.judge import Relation
from pytest_s3vpce.lab.keys import Caller
from pytest_s3vpce.lab.lateness import Lateness
from pytest_s3vpce.lab.origin import Placement
from pytest_s3vpce.lab.routing import Routing
from pytest_s3vpce.network.path import Dropped, Path, PathKind
from pytest_s3vpce.network.topology import Endpoint
from pytest_s3vpce.policy import Policies, Request, decide, parse
from pytest_s3vpce.run import laboratory
from pytest_s3vpce.run.folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path as Files

INVENTORY = """\
accounts: {main: {id: "111122223333", region: eu-west-1}}
principals: {nobody: {anonymous: true}}
vantage_points: {here: local}
buckets: {reports: {name: reports, canary: {key: k}}}
lab: {provision: provision.py}
"""

ACROSS = "message/endpoint-across-accounts"
SLOW = "propagation/bucket-policy"


def found(rule: str, value: str) -> Calibration:
    return Calibration(findings={rule: Finding(rule=rule, value=value)})


def test_an_endpoint_policys_denial_across_accounts_is_told_where_it_was_found_to_be() -> None:
    arn = "arn:aws:sts::111122223333:assumed-role/app/me"
    everything = {"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*", "Principal": "*"}]}
    request = Request(action="s3:GetObject", resource="arn:aws:s3:::b/k", resource_account="4" * 12, principal=arn)
    decision = decide(request, Policies(vpc_endpoint=parse(everything, name="vpce-1")))
    caller = Caller(arn=arn, account="111122223333")

    def message(calibration: Calibration) -> str:
        refused = s3_denial(
            decision,
            caller=caller,
            action=request.action,
            resource=request.resource,
            relation=Relation.ORGANIZATION,
            calibration=calibration,
        )
        return refused.message

    assert message(NONE) == "Access Denied"
    assert message(found(ACROSS, "vpc_endpoint explicit")).endswith("with an explicit deny in a VPC endpoint policy")


def test_a_change_counts_after_a_while() -> None:
    now = [100.0]
    late = Lateness(found(SLOW, "2.0"), clock=lambda: now[0])

    def seen(value: str) -> str:
        return late.seen(SLOW, "bucket", value)

    assert seen("old") == "old"  # what is there at first counts at once
    assert seen("new") == "old"
    now[0] += 1.9
    assert seen("new") == "old"
    now[0] += 0.2
    assert seen("new") == "new"
    assert seen("newer") == "new"
    assert seen("newest") == "new"  # a change before the last one came to count
    now[0] += 2
    assert seen("newest") == "newest"
    assert late.seen(SLOW, "other", "new") == "new"
    assert Lateness(NONE).seen(SLOW, "bucket", "old") == "old"


# --- how a lab gets one ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "kind"), [("http/gateway", "gateway"), ("http/interface", "interface")])
def test_port_80_of_an_endpoint_is_closed_where_it_was_found_to_be(
    rule: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = Endpoint(
        id="vpce-1", vpc_id="vpc-1", account="1" * 12, region="eu-west-1", service="com.amazonaws.eu-west-1.s3"
    )
    monkeypatch.setattr(routing, "resolve", lambda *_, **__: Path(kind=PathKind(f"{kind}_endpoint"), endpoint=endpoint))
    state: Any = SimpleNamespace(topologies_beside=lambda *_: (), topology=lambda *_: None)
    place = Placement(account="1" * 12, region="eu-west-1", subnet_id="s", security_group_ids=(), private_ip="10.0.0.1")

    def way(calibration: Calibration, port: int) -> Path | Dropped:
        return Routing(state, calibration=calibration).path(place.at(port, destination="s3"), "s3")

    closed = found(rule, "no answer")
    assert way(closed, 80) == Dropped(reason=f"port 80 of S3 does not answer by a {kind} endpoint")
    assert isinstance(way(closed, 443), Path)
    assert isinstance(way(NONE, 80), Path)
    other = "http/interface" if kind == "gateway" else "http/gateway"
    assert isinstance(way(found(other, "no answer"), 80), Path)
    endpoint = replace(endpoint, service="com.amazonaws.eu-west-1.sts")
    assert isinstance(way(closed, 80), Path)


def test_the_commands_option_reaches_the_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Files) -> None:
    seen: list[serving.Settings] = []
    monkeypatch.setattr(serving, "serve", lambda settings, **_: seen.append(settings))
    given = ["--ready-file", str(tmp_path / "ready.json"), "--account", "main=111122223333"]
    more = ["--calibration", str(tmp_path / "calibration.json")]
    assert CliRunner().invoke(main, ["lab", *given, *more]).exit_code == 0
    assert lab_command._settings(lab_command.parser().parse_args([*given, *more])).calibration == seen[0].calibration
    assert seen[0].calibration == tmp_path / "calibration.json"


def test_a_lab_does_not_start_by_what_is_no_calibration(tmp_path: Files) -> None:
    (tmp_path / "calibration.json").write_text("[]", encoding="utf-8")
    settings = serving.Settings(
        ready_file=tmp_path / "ready.json",
        accounts={"main": ("111122223333", "eu-west-1")},
        calibration=tmp_path / "calibration.json",
    )
    with pytest.raises(LabError, match="is no calibration: it holds something else; `s3vpce calibrate --account NAME"):
        serving.serve(settings, stop=threading.Event())


def test_a_region_that_is_none_is_told_where_it_is_written(tmp_path: Files) -> None:
    written = INVENTORY.replace("eu-west-1", "eu-nowhere-9")
    (tmp_path / "s3vpce.yaml").write_text(written, encoding="utf-8")
    (tmp_path / "provision.py").touch()
    with pytest.raises(LabError) as raised:
        laboratory.start(load_inventory(tmp_path / "s3vpce.yaml"), RunFolder.create(tmp_path), stop=threading.Event())
    line = 1 + written[: written.index("eu-nowhere-9")].count("\n")
    assert str(raised.value).startswith(f"{tmp_path / 's3vpce.yaml'}:{line}:")
    assert str(raised.value).endswith(": `eu-nowhere-9` is no Region; name one of AWS's Regions")


@pytest.mark.parametrize("named", [True, False])
def test_a_runs_own_lab_takes_the_file_that_the_inventory_names(
    named: bool, tmp_path: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(laboratory, "start_lab", lambda *_, **more: seen.append(more["calibration"]))
    line = "calibration: made.json\n" if named else ""
    (tmp_path / "s3vpce.yaml").write_text(INVENTORY + line, encoding="utf-8")
    (tmp_path / "provision.py").touch()
    inventory = load_inventory(tmp_path / "s3vpce.yaml")
    folder = RunFolder.create(tmp_path)
    if named:
        with pytest.raises(RunError, match=r"s3vpce.yaml:\d+:\d+: the calibration `.*made.json` can't be read"):
            laboratory.start(inventory, folder, stop=threading.Event())
    (tmp_path / "made.json").write_text(found(SLOW, "2.0").to_json(), encoding="utf-8")
    laboratory.start(inventory, folder, stop=threading.Event())
    assert seen == [tmp_path / "made.json" if named else None]
