"""Probes a second through a Lambda vantage point, beside the same agent called in-process against the same server."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3

from pytest_s3vpce.connection import Connection
from pytest_s3vpce.lab.process import start_lab
from pytest_s3vpce.model import Cell, Target
from pytest_s3vpce.probe import Credentials, Destination, Probe, ProbeBuilder
from pytest_s3vpce.vantage import AgentConfig, ControlPlane, LambdaVantage, LocalVantage, agent_zip
from tests.bench.setting import ACCOUNT, BUCKETS, CANARY, REGION, inside_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_s3vpce.model import SignedRequest
    from pytest_s3vpce.vantage import Vantage

PROBES = 1024
TURNS = 7


def probes(folder: Path) -> list[list[str]]:
    provision = Path(__file__).parent / "setting.py"
    lab = start_lab(folder / "probes", accounts={"main": (ACCOUNT, REGION)}, provision=provision)
    try:
        ready = json.loads(lab.ready_file.read_text(encoding="utf-8"))
        way = urlsplit(inside_paths(ready, folder / "probes")["one"])
        session = _session(ready)
        there = _function(ready, session)
        here = LocalVantage(
            "here",
            config=AgentConfig(connect_to=True, loopback=True, ca_bundle=ready["ca_bundle"]),
            connect_to=(f"*:443:{way.netloc}",),
        )
        batch = _signed(ready)
        found: dict[str, list[float]] = {"there": [], "here": []}
        for turn in range(TURNS + 1):
            for name, vantage in (("there", there), ("here", here)):
                rate = _rate(vantage, batch)
                if turn:  # the first of each warms caches
                    found[name].append(rate)
    finally:
        lab.stop()
    through, direct = (statistics.median(found[name]) for name in ("there", "here"))
    return [
        [f"{PROBES} probes through a Lambda vantage point", f"{through:.0f} a second", ""],
        ["the same agent in-process, same server", f"{direct:.0f} a second", ""],
        ["through the vantage point / in-process", f"{100 * through / direct:.0f} %", "at least 70 %"],
    ]


def _rate(vantage: Vantage, batch: Sequence[SignedRequest]) -> float:
    started = time.perf_counter()
    answers = vantage.send(batch)
    seconds = time.perf_counter() - started
    assert {answer.status for answer in answers} == {206}
    return len(answers) / seconds


def _session(ready: dict[str, Any]) -> boto3.Session:
    row = ready["accounts"]["main"]
    return boto3.Session(
        aws_access_key_id=row["access_key_id"], aws_secret_access_key=row["secret_access_key"], region_name=REGION
    )


def _function(ready: dict[str, Any], session: boto3.Session) -> LambdaVantage:
    session.client("lambda", endpoint_url=ready["endpoint_url"]).create_function(
        FunctionName="probes",
        Runtime="python3.13",
        Role=ready["outputs"]["FunctionRole"],
        Handler="agent.handler",
        Code={"ZipFile": agent_zip()},
        Timeout=90,
        VpcConfig={"SubnetIds": [ready["outputs"]["Subnet-one"]], "SecurityGroupIds": [ready["outputs"]["Group-one"]]},
        Environment={"Variables": {"S3VPCE_AGENT": json.dumps(AgentConfig(loopback=True).as_json())}},
    )
    control = ControlPlane(
        "main", session=session, region=REGION, connection=Connection(endpoint_url=ready["endpoint_url"])
    )
    return LambdaVantage("there", control=control, function="probes")


def _signed(ready: dict[str, Any]) -> list[SignedRequest]:
    runner = ready["accounts"]["main"]["runner"]
    user = boto3.Session(
        aws_access_key_id=runner["access_key_id"],
        aws_secret_access_key=runner["secret_access_key"],
        region_name=REGION,
    )
    sts = user.client("sts", endpoint_url=ready["endpoint_url"])
    keys = sts.assume_role(RoleArn=runner["role"], RoleSessionName="bench")["Credentials"]
    role = boto3.client(
        "sts",
        endpoint_url=ready["endpoint_url"],
        region_name=REGION,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    keys = role.assume_role(RoleArn=ready["outputs"]["Role-all"], RoleSessionName="bench")["Credentials"]
    credentials = Credentials(
        access_key_id=keys["AccessKeyId"],
        secret_access_key=keys["SecretAccessKey"],
        session_token=keys["SessionToken"],
    )
    builder = ProbeBuilder(user_agent="bench")
    cell = Cell(
        operation="GetObject",
        action="s3:GetObject",
        target=Target(bucket="closed"),
        principal="all",
        vantage="one",
    )
    to = Destination(bucket=BUCKETS["closed"], owner=ACCOUNT, region=REGION, key=CANARY)
    return [
        builder.build(Probe(cell=cell), request_id=str(number), destination=to, credentials=credentials)
        for number in range(PROBES)
    ]
