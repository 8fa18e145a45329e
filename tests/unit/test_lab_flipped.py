"""The lab does what a calibration found of AWS, in every way that a rule may be: the experiments see it, in-process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from pytest_s3vpce.calibration import NONE, Calibration, Finding
from pytest_s3vpce.lab.gateway import Gateway
from pytest_s3vpce.lab.onuse import OnUse
from pytest_s3vpce.lab.origin import OUTSIDE_OF_VPCS
from pytest_s3vpce.lab.s3context import as_found
from pytest_s3vpce.lab.wire import HttpRequest
from pytest_s3vpce.model import Answer
from pytest_s3vpce.network.path import Path as Way
from pytest_s3vpce.network.path import PathKind
from pytest_s3vpce.network.topology import Endpoint, EndpointKind
from pytest_s3vpce.probe import ProbeBuilder
from pytest_s3vpce.run.calibrating import measuring
from pytest_s3vpce.run.calibrating.asking import Asker
from pytest_s3vpce.run.calibrating.experiments import EXPERIMENTS
from pytest_s3vpce.run.calibrating.scratch import Scratch
from pytest_s3vpce.undocumented import POLICIES_FIRST, RULES
from pytest_s3vpce.vantage import Ledger
from tests.unit.flips import FLIPS, MEASURES, NOT_HERE, differences, flipped
from tests.unit.labstage import INTERNET, Stage, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_s3vpce.lab.origin import Origin
    from pytest_s3vpce.model import SignedRequest

ACCOUNT = "565600005656"
REGION = "eu-west-1"
DONE = [name for name, row in EXPERIMENTS.items() if row.run is not None and not row.takes]
BUILDER = ProbeBuilder(user_agent="t")


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(ACCOUNT)


def asked_of(sent: SignedRequest, origin: Origin = INTERNET) -> HttpRequest:
    parts = urlsplit(sent.url)
    return HttpRequest(
        method=sent.method,
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        headers=(("Host", parts.netloc), *sent.headers),
        body=sent.body,
        host=parts.netloc,
        scheme="https" if parts.scheme == "https" else "http",
        tls="TLSv1.3",
        origin=origin,
        peer="127.0.0.1:1",
    )


class Here:
    """This process: what is sent goes to the gateway as it is."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def send(self, batch: Sequence[SignedRequest]) -> list[Answer]:
        rows = [(sent.id, self.stage.gateway.handle(asked_of(sent))) for sent in batch]
        return [
            Answer(id=name, status=row.status, headers={key.lower(): text for key, text in row.headers}, body=row.body)
            for name, row in rows
        ]


class Plane:
    """The account's administrator; its clients are made once."""

    account = "scratch"
    region = REGION
    owner = f"arn:aws:iam::{ACCOUNT}:role/s3vpce-runner"

    def __init__(self, stage: Stage) -> None:
        self._person = stage.admin(ACCOUNT)
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, *, region: str | None = None) -> Any:
        key = (service, region or self.region)
        if key not in self._clients:
            self._clients[key] = self._person.client(service, region=key[1])
        return self._clients[key]


def found_by(stage: Stage, calibration: Calibration, folder: Path, names: Sequence[str]) -> dict[str, Finding]:
    """What these experiments find where the lab is so."""
    functions: Any = OnUse(lambda: stage.functions)
    stage.gateway = Gateway(stage.state, keys=stage.keys, functions=functions)
    plane: Any = Plane(stage)
    run_id = folder.name[-6:].replace("_", "x").lower()
    scratch = Scratch(
        plane,
        run_id=run_id,
        account_id=ACCOUNT,
        ledger=Ledger(folder / "ledger.jsonl"),
        notify=lambda _line: None,
    )
    scratch.make()
    stage.gateway = Gateway(stage.state, keys=stage.keys, functions=functions, calibration=calibration)
    here: Any = Here(stage)
    asker = Asker(scratch, here, BUILDER)
    try:
        runs = {name: EXPERIMENTS[name].run for name in names}
        return {row.rule: row for run in runs.values() if run for row in run(asker)}
    finally:
        stage.gateway = Gateway(stage.state, keys=stage.keys, functions=functions)
        assert scratch.remove(lambda _account: plane) == []


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_SAMPLES", 1)
    monkeypatch.setattr(measuring, "_SWITCHES", 1)
    monkeypatch.setattr(measuring, "_PAUSE", 0.02)


@pytest.mark.usefixtures("quick")
def test_the_lab_is_as_it_is_assumed(stage: Stage, tmp_path: Path) -> None:
    found = found_by(stage, NONE, tmp_path, DONE)
    assert {name: row for name, row in found.items() if not row.agrees} == {}
    assert found.keys() == {name for name, rule in RULES.items() if rule.experiment in DONE}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("number", range(len(FLIPS)))
def test_what_the_lab_does_otherwise_is_found(stage: Stage, tmp_path: Path, number: int) -> None:
    here = {name: value for name, value in FLIPS[number].items() if RULES[name].experiment in DONE}
    names = DONE if number < 2 else ["forms", "messages", "attributes"]
    found = found_by(stage, flipped(here), tmp_path, names)
    odd = {name: row for name, row in differences(number, found | _unasked(number)).items() if name in here}
    assert odd == {}
    for name, seconds in MEASURES.items() if number == 0 else ():
        assert seconds <= found[name].samples[0] <= seconds + 2


def _unasked(number: int) -> dict[str, Finding]:
    """Those of functions, as they are wanted: no function stands in this process."""
    return {name: row for name, row in flipped(FLIPS[number]).findings.items() if RULES[name].experiment not in DONE}


def test_every_rule_is_flipped_in_every_way() -> None:
    done = {(name, value) for row in FLIPS for name, value in row.items()}
    rules = {name: rule for name, rule in RULES.items() if rule.experiment not in NOT_HERE}
    assert {(name, value) for name, rule in rules.items() for value in rule.others} - done == set()
    assert MEASURES.keys() == {name for name, rule in rules.items() if not rule.assumed}


# --- what only a network shows ---------------------------------------------------------------------------------------

SEEN = {
    "aws:SourceIp": "203.0.113.20",
    "aws:SourceVpc": "vpc-1",
    "aws:SourceVpce": "vpce-1",
    "aws:VpceAccount": ACCOUNT,
    "aws:RequestedRegion": REGION,
    "aws:SecureTransport": "false",
}
FAR = "eu-central-1"


def keys(
    rule: str, value: str, *, kind: EndpointKind | None = None, region: str = REGION, origin: Origin = INTERNET
) -> dict[str, str]:
    """The keys of SEEN as they are where a calibration found that."""
    calibration = Calibration(findings={rule: Finding(rule=rule, value=value)})
    endpoint = None
    if kind is not None:
        endpoint = Endpoint(id="vpce-1", vpc_id="vpc-1", account=ACCOUNT, region=region, service="s3", kind=kind)
    way = Way(kind=PathKind.GATEWAY_ENDPOINT if kind else PathKind.INTERNET, endpoint=endpoint)
    request = HttpRequest(
        method="GET", target="/", headers=(), body=b"", host="b", scheme="http", tls=None, origin=origin, peer="1"
    )
    return as_found(SEEN, request, way, region=REGION, calibration=calibration)


def test_what_comes_by_another_region_carries_what_was_found() -> None:
    rule = "other-region/aws:RequestedRegion"
    there = keys(rule, "the endpoint's", kind=EndpointKind.INTERFACE, region=FAR)
    assert there == {**SEEN, "aws:RequestedRegion": FAR}
    for name in ("aws:SourceVpc", "aws:SourceVpce", "aws:VpceAccount"):
        there = keys(f"other-region/{name}", "absent", kind=EndpointKind.INTERFACE, region=FAR)
        assert SEEN.keys() - there.keys() == {name}
    assert keys(rule, "the endpoint's", kind=EndpointKind.INTERFACE) == SEEN


def test_a_body_that_is_not_as_it_was_signed_does_nothing_whatever_comes_first(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions: Any = None
    s3 = stage.root(ACCOUNT).client("s3")
    s3.create_bucket(Bucket="flipped-signed")
    s3.put_object(Bucket="flipped-signed", Key="k", Body=b"")
    rule = "order/payload-hash"
    calibration = Calibration(findings={rule: Finding(rule=rule, value=POLICIES_FIRST)})
    monkeypatch.setattr(
        stage, "gateway", Gateway(stage.state, keys=stage.keys, functions=functions, calibration=calibration)
    )
    with monkeypatch.context() as wrongly:
        wrongly.setattr("botocore.auth.SigV4Auth.payload", lambda _self, _request: "0" * 64)
        for call, said in (
            (s3.create_bucket, {"Bucket": "flipped-unsigned"}),
            (s3.delete_objects, {"Bucket": "flipped-signed", "Delete": {"Objects": [{"Key": "k"}]}}),
            (s3.delete_object, {"Bucket": "flipped-signed", "Key": "k"}),
        ):
            assert refusal(call, **said)[:2] == (400, "XAmzContentSHA256Mismatch")
    assert "flipped-unsigned" not in [row["Name"] for row in s3.list_buckets()["Buckets"]]
    assert s3.list_objects_v2(Bucket="flipped-signed")["KeyCount"] == 1


def test_plain_http_by_a_gateway_endpoint_carries_what_was_found() -> None:
    rule = "http/gateway-transport"
    assert keys(rule, "true", kind=EndpointKind.GATEWAY)["aws:SecureTransport"] == "true"
    assert "aws:SecureTransport" not in keys(rule, "absent", kind=EndpointKind.GATEWAY)
    assert keys(rule, "absent", kind=EndpointKind.INTERFACE) == SEEN


def test_a_function_outside_of_vpcs_carries_what_was_found() -> None:
    assert "aws:SourceIp" not in keys("function/aws:SourceIp", "absent", origin=OUTSIDE_OF_VPCS)
    assert keys("function/aws:SourceIp", "absent") == SEEN
    nowhere = keys("function/aws:SourceVpce", "present", origin=OUTSIDE_OF_VPCS)
    assert nowhere.keys() >= {"aws:SourceIp", "aws:SourceVpce"}
