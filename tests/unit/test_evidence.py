"""Records of logs, found by what they are asked for; waiting for them; what they say beside a measurement."""

from __future__ import annotations

import gzip
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from pytest_s3vpce.evidence import Clock, Source, with_evidence
from pytest_s3vpce.evidence.records import of_access_line, of_event
from pytest_s3vpce.evidenceforms import EvidenceSource
from pytest_s3vpce.faults import Fault
from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.matrix import CellResult, Judged, Matrix, Received, Sent, VantageResult
from pytest_s3vpce.model import Expect, Layer, OutcomeKind, Transport
from pytest_s3vpce.records import RecordKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 3, 1, 23, 59, tzinfo=UTC).timestamp()
EVENT = {
    "eventCategory": "Data",
    "eventTime": "2026-03-01T23:58:00Z",
    "eventID": "e-1",
    "eventName": "GetObject",
    "requestID": "R1",
    "userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/app/s"},
    "sourceIPAddress": "10.0.0.9",
    "vpcEndpointId": "vpce-1",
    "vpcEndpointAccountId": "1",
    "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256"},
}
LINE = (
    "own bkt [01/Mar/2026:23:58:00 +0000] 10.0.0.9 arn:aws:sts::1:assumed-role/app/s R1 REST.GET.OBJECT k "
    '"GET /k HTTP/1.1" 403 AccessDenied 243 - 7 - "-" "an agent" - hostid= SigV4 TLS_AES_128_GCM_SHA256 AuthHeader '
    "b.s3.amazonaws.com "
    "TLSv1.3 - - eu-west-1 and-more"
)
FLOW = "2 1 eni-1 10.0.0.9 52.1.1.1 40000 443 6 10 840 1772409480 1772409490 ACCEPT OK"


class Wall:
    """Time that goes only while somebody sleeps."""

    def __init__(self) -> None:
        self.at = NOW

    def clock(self, **more: Any) -> Clock:
        return Clock(now=lambda: self.at, sleep=self.sleep, **more)

    def sleep(self, seconds: float) -> None:
        self.at += seconds


class Pages:
    def __init__(self, pages: Any) -> None:
        self._pages = pages

    def paginate(self, **asked: Any) -> Iterator[Any]:
        yield from self._pages(asked)


class Logs:
    """An account's services: log events that appear with time, and objects."""

    def __init__(self, wall: Wall) -> None:
        self.wall = wall
        self.messages: list[tuple[float, str]] = []
        self.objects: dict[str, bytes] = {}
        self.asked: list[dict[str, Any]] = []
        self.got: list[str] = []
        self.refusal: ClientError | None = None

    def client(self, _service: str, **_more: Any) -> Logs:
        return self

    def get_paginator(self, name: str) -> Pages:
        return Pages(self._events if name == "filter_log_events" else self._keys)

    def _events(self, asked: dict[str, Any]) -> Iterator[Any]:
        self.asked.append(asked)
        if self.refusal is not None:
            raise self.refusal
        for at, message in self.messages:
            if at <= self.wall.at:
                yield {"events": [{"message": message}]}

    def _keys(self, asked: dict[str, Any]) -> Iterator[Any]:
        self.asked.append(asked)
        keys = sorted(key for key in self.objects if key.startswith(asked["Prefix"]))
        yield {"Contents": [{"Key": key} for key in keys if key > asked.get("StartAfter", "")]} if keys else {}

    def get_object(self, *, Bucket: str, Key: str) -> Any:  # noqa: N803 - boto3's names
        assert Bucket
        self.got.append(Key)
        return {"Body": io.BytesIO(self.objects[Key])}


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def logs(wall: Wall) -> Logs:
    return Logs(wall)


def source(logs: Logs, kind: str = "log_group", **more: Any) -> Source:
    plane: Any = logs
    return Source(kind=kind, name="here", account="main", plane=plane, **{"wait": 900.0, **more})


def cell(request_id: str | None = "R1", **more: Any) -> CellResult:
    measured = Judged(outcome=OutcomeKind.ALLOWED)
    received = Received(status=200, request_id=request_id, tls="TLSv1.3", local="10.0.0.9:40000", peer="52.1.1.1:443")
    made = CellResult(
        id="GetObject/b/app:inside/https",
        operation="GetObject",
        action="s3:GetObject",
        variant="",
        bucket="b",
        principal="app",
        vantage="inside",
        transport=Transport.HTTPS,
        expect=Expect.ALLOW,
        measured=measured,
        counted=measured,
        passed=True,
        received=received,
    )
    return replace(made, **more)


def matrix(*cells: CellResult, path: str | None = "vpce-1") -> Matrix:
    inside = VantageResult(name="inside", kind="lambda", path=path, vpc="vpc-1")
    return Matrix(mode="live", run_id="r", version="1", started=NOW - 60, seconds=30, cells=cells, vantages=(inside,))


REFUSED = Judged(outcome=OutcomeKind.DENIED, layer=Layer.VPC_ENDPOINT)


def sought(found: Matrix, number: int = 0) -> Any:
    evidence = found.cells[number].evidence
    assert evidence is not None
    return evidence


def test_an_event_says_endpoint_tls_and_error(logs: Logs, wall: Wall) -> None:
    denied = {**EVENT, "errorCode": "AccessDenied", "errorMessage": "User: ..."}
    logs.messages = [(0, json.dumps(denied)), (0, json.dumps({**EVENT, "requestID": "another"})), (0, "[]")]
    told: list[str] = []
    found = with_evidence(matrix(cell()), [source(logs)], notify=told.append, clock=wall.clock())
    (record,) = sought(found).records
    assert record.kind is RecordKind.DATA
    assert (record.vpc_endpoint, record.vpc_endpoint_account, record.address) == ("vpce-1", "1", "10.0.0.9")
    assert (record.tls, record.cipher) == ("TLSv1.3", "TLS_AES_128_GCM_SHA256")
    assert (record.error_code, record.error_message) == ("AccessDenied", "User: ...")
    assert record.principal == "arn:aws:sts::1:assumed-role/app/s"
    assert sought(found).sentence == "a data event: by vpce-1, TLSv1.3, AccessDenied"
    assert sought(found).sources == ("log group `here` of main",)
    assert logs.asked[0]["filterPattern"] == '{ ($.requestID = "R1") }'
    assert logs.asked[0]["startTime"] == (NOW - 120) * 1000
    assert found.notes[0] == "evidence by trail: 1 of 1 requests found"
    assert found.notes[1].endswith("it was allowed, but the data event says AccessDenied")
    assert told == []
    assert Matrix.from_json(found.to_json()) == found


@pytest.mark.parametrize("first", [0, 1])
def test_records_are_told_in_one_order_whichever_came_first(logs: Logs, wall: Wall, first: int) -> None:
    """A trail writes its data events and network activity when it likes."""
    network = {**EVENT, "eventCategory": "NetworkActivity", "errorCode": "VpceAccessDenied"}
    rows: list[tuple[float, str]] = [(0, json.dumps(EVENT)), (0, json.dumps(network))]
    logs.messages = rows if first == 0 else rows[::-1]
    found = sought(with_evidence(matrix(cell()), [source(logs)], notify=lambda _: None, clock=wall.clock()))
    assert [record.kind for record in found.records] == [RecordKind.DATA, RecordKind.NETWORK_ACTIVITY]
    assert found.sentence.startswith("a data event: ")


def test_records_are_waited_for_with_progress_and_no_longer_than_needed(logs: Logs, wall: Wall) -> None:
    logs.messages = [(NOW + 100, json.dumps(EVENT))]
    told: list[str] = []
    with_evidence(matrix(cell()), [source(logs)], notify=told.append, clock=wall.clock())
    assert told == ["evidence: 0 of 1 requests found by trail; waiting for more, up to 15 min"]
    assert NOW + 100 <= wall.at <= NOW + 115


def test_who_does_not_want_to_wait_interrupts_and_keeps_the_report(logs: Logs, wall: Wall) -> None:
    def impatient(seconds: float) -> None:
        wall.sleep(seconds)
        raise KeyboardInterrupt

    logs.messages = [(0, json.dumps(EVENT))]
    clock = Clock(now=lambda: wall.at, sleep=impatient)
    found = with_evidence(matrix(cell(), cell("R2")), [source(logs)], notify=lambda _: None, clock=clock)
    assert sought(found).sentence.startswith("a data event")
    assert sought(found, 1).sentence == "no record of it came within 15 s: that proves nothing"
    assert found.notes[1] == "evidence: the wait for records was interrupted after 15 s"


def test_absence_is_told_as_absence(logs: Logs, wall: Wall) -> None:
    cells = (cell(), cell("R2", measured=REFUSED), cell(None, received=None))
    found = with_evidence(matrix(*cells), [source(logs)], notify=lambda _: None, clock=wall.clock())
    assert wall.at == NOW + 900
    assert sought(found).sentence == "no record of it came within 15 min: that proves nothing"
    assert sought(found).records == ()
    assert sought(found, 1).sentence.startswith("no network activity event of it came within 15 min; ")
    assert sought(found, 1).sentence.endswith("that proves nothing")
    assert "no request id" in sought(found, 2).sentence
    assert found.notes == ("evidence by trail: 0 of 2 requests found; of 2 there is no record, which proves nothing",)
    assert [row.passed for row in found.cells] == [row.passed for row in cells]


def test_an_endpoint_policys_refusal_is_in_network_activity_and_not_awaited_in_access_logs(
    logs: Logs, wall: Wall
) -> None:
    network = {
        **{key: EVENT[key] for key in ("eventTime", "eventName", "requestID", "vpcEndpointId")},
        "eventCategory": "NetworkActivity",
        "errorCode": "VpceAccessDenied",
        "userIdentity": {"type": "AWSAccount", "accountId": "2"},
    }
    logs.messages = [(0, json.dumps(network)), (0, json.dumps({"eventCategory": "Insight", "requestID": "R1"}))]
    sources = [source(logs), source(logs, "access_logs")]
    found = with_evidence(matrix(cell(measured=REFUSED)), sources, notify=lambda _: None, clock=wall.clock())
    assert wall.at == NOW
    assert sought(found).sentence == "a network activity event: by vpce-1, VpceAccessDenied"
    assert sought(found).records[0].principal == "2"
    assert found.notes[1] == "evidence by access log: 0 of 0 requests found"


def test_files_of_a_trails_bucket_are_read_once_and_only_those_of_the_run(logs: Logs, wall: Wall) -> None:
    folder = "audit/AWSLogs/o-1/1/CloudTrail/eu-west-1/2026/03"
    first, next_day = f"{folder}/01/1_CloudTrail_eu-west-1_20260301T2359Z_a.json.gz", f"{folder}/02/"
    body = gzip.compress(json.dumps({"Records": [EVENT, {"eventCategory": "Insight"}]}).encode())
    logs.objects = {
        first: body,
        first.replace("2359Z", "1200Z"): b"older, and no JSON",
        f"{folder}/01/no-time.json.gz": b"no log file",
        first.replace("_a.", "_b."): b'["no mapping"]',
        first.replace("_a.", "_c."): b'{"Records": ["no event"]}',
    }
    found = source(
        logs, "trail_bucket", prefix="audit/", organization="o-1", account_ids=("1",), regions=("eu-west-1",)
    )
    result = with_evidence(matrix(cell()), [found], notify=lambda _: None, clock=wall.clock())
    assert sought(result).records[0].source == "trail bucket `here` of main"
    assert logs.got[0] == first
    assert len(logs.got) == 3
    logs.asked.clear()
    wall.at += 3600
    late = {**EVENT, "requestID": "R2", "eventCategory": "NetworkActivity", "vpcEndpointId": "vpce-2"}
    network = next_day.replace("/CloudTrail/", "/CloudTrail-NetworkActivity/")
    logs.objects[f"{network}1_CloudTrail_eu-west-1_20260302T0010Z_b.json.gz"] = json.dumps({"Records": [late]}).encode()
    result = with_evidence(matrix(cell("R2")), [found], notify=lambda _: None, clock=wall.clock())
    assert sought(result).records[0].vpc_endpoint == "vpce-2"
    assert len(logs.got) == 4
    assert [row["Prefix"] for row in logs.asked] == [
        f"audit/AWSLogs/o-1/1/{kind}/eu-west-1/2026/03/{day}/"
        for kind in ("CloudTrail", "CloudTrail-NetworkActivity")
        for day in ("01", "02")
    ]


def test_lines_of_access_logs(logs: Logs, wall: Wall) -> None:
    logs.objects = {
        "logs/2026-03-01-23-58-30-AB": f"{LINE}\nnot a line\n".encode(),
        "logs/2026-03-01-12-00-00-AB": b"older",
    }
    found = with_evidence(
        matrix(cell()), [source(logs, "access_logs", prefix="logs/")], notify=lambda _: None, clock=wall.clock()
    )
    (record,) = sought(found).records
    assert record.kind is RecordKind.ACCESS_LOG
    assert record.at == "01/Mar/2026:23:58:00 +0000"
    assert (record.name, record.address, record.error_code) == ("REST.GET.OBJECT", "10.0.0.9", "AccessDenied")
    assert (record.tls, record.cipher) == ("TLSv1.3", "TLS_AES_128_GCM_SHA256")
    assert sought(found).sentence == "an access log line: TLSv1.3, AccessDenied"
    assert logs.got == ["logs/2026-03-01-23-58-30-AB"]


def test_access_logs_in_folders_by_day(logs: Logs, wall: Wall) -> None:
    home = "logs/1/eu-west-1/b"
    logs.objects = {
        f"{home}/2026/03/01/2026-03-01-23-58-30-AB": f"{LINE}\n".encode(),
        f"{home}/2026/03/01/2026-03-01-12-00-00-AB": b"older",
        "logs/1/eu-west-1/other/2026/03/01/2026-03-01-23-58-30-AB": b"of another bucket",
    }
    found = source(logs, "access_logs", prefix="logs/", buckets=("1/eu-west-1/b",))
    result = with_evidence(matrix(cell()), [found], notify=lambda _: None, clock=wall.clock())
    assert sought(result).sentence == "an access log line: TLSv1.3, AccessDenied"
    assert logs.got == [f"{home}/2026/03/01/2026-03-01-23-58-30-AB"]


def test_flows_are_found_by_both_ends(logs: Logs, wall: Wall) -> None:
    refused = FLOW.replace("ACCEPT", "REJECT").replace("40000", "40001")
    logs.messages = [(0, FLOW), (0, refused), (0, FLOW.replace(" OK", " NODATA")), (0, "2 - -")]
    other = cell("R2", received=Received(local="10.0.0.9:40001", peer="52.1.1.1:443"))
    found = with_evidence(matrix(cell(), other), [source(logs, "flow_logs")], notify=lambda _: None, clock=wall.clock())
    assert sought(found).sentence == "a flow at eni-1: ACCEPT"
    assert sought(found, 1).sentence == "a flow at eni-1: REJECT"
    assert sought(found, 1).records[0].error_code == "REJECT"
    assert logs.asked[0]["filterPattern"] == '?"10.0.0.9"'


def function(status: int | None = 200, **more: Any) -> Received:
    """What came back to a function, whose own end is none of the network's."""
    return Received(**{"status": status, "request_id": "R1", "local": "169.254.76.1:40000", **more})


def test_a_functions_flows_are_told_by_their_other_end_and_their_time(logs: Logs, wall: Wall) -> None:
    sent = Sent(method="GET", url="https://b.s3.eu-west-1.amazonaws.com/k", signed_at=NOW - 50)
    answer = FLOW.replace("10.0.0.9 52.1.1.1 40000 443", "52.1.1.1 10.0.0.9 443 40000")
    odd = [FLOW.replace("1772409480 1772409490", "1772400000 1772400010"), FLOW.replace("52.1.1.1", "52.1.1.9")]
    logs.messages = [(0, line) for line in (FLOW, answer, FLOW.replace("ACCEPT", "REJECT"), *odd)]
    done = cell(received=function(peer="52.1.1.1:443", seconds=1.0), sent=sent)
    silent = cell(
        id="silent",
        received=function(None, request_id=None, local=None, dns=("52.1.1.2", "2600::1"), seconds=3.0),
        sent=sent,
    )
    rejected = FLOW.replace("52.1.1.1", "52.1.1.2").replace("ACCEPT", "REJECT")
    logs.messages += [(0, rejected), (0, rejected.replace("REJECT", "ACCEPT"))]
    found = with_evidence(matrix(done, silent), [source(logs, "flow_logs")], notify=lambda _: None, clock=wall.clock())
    by_time = " (found by address and time: others' connections may be among them)"
    assert sought(found).sentence == f"a flow at eni-1: ACCEPT; a flow at eni-1: ACCEPT of the answer{by_time}"
    assert {record.address for record in sought(found).records} == {"10.0.0.9"}
    assert sought(found, 1).sentence == f"a flow at eni-1: REJECT{by_time}"
    assert logs.asked[0]["filterPattern"] == '?"2600::1" ?"52.1.1.1" ?"52.1.1.2"'


def test_flows_are_of_the_address_that_a_trail_names(logs: Logs, wall: Wall) -> None:
    trail = Logs(wall)
    trail.messages = [(0, json.dumps(EVENT))]
    logs.messages = [
        (0, FLOW.replace("10.0.0.9", "10.0.0.8")),
        (0, FLOW.replace("eni-1", "eni-2")),
        (0, "x " * 13 + "OK"),
    ]
    both = [source(trail), source(logs, "flow_logs")]
    asked = matrix(cell(received=function(peer="52.1.1.1:443")))
    found = with_evidence(asked, both, notify=lambda _: None, clock=wall.clock())
    assert [record.id for record in sought(found).records if record.kind is RecordKind.FLOW_LOG] == ["eni-2"]


def test_flows_that_are_not_there_are_told_as_that(logs: Logs, wall: Wall) -> None:
    sent = Sent(method="GET", url="http://b.s3.eu-west-1.amazonaws.com/k", signed_at=NOW - 50)
    silent = cell(id="silent", received=function(None, request_id=None, local=None, dns=("52.1.1.2",)), sent=sent)
    nameless = cell(id="nameless", received=function(None, request_id=None, local=None), sent=sent)
    outside = cell("R3", id="outside", vantage="elsewhere")
    cells = matrix(cell(received=function(peer="52.1.1.1:443"), sent=sent), silent, nameless, outside)
    found = with_evidence(cells, [source(logs, "flow_logs")], notify=lambda _: None, clock=wall.clock())
    assert sought(found).sentence == "no record of it came within 15 min: that proves nothing"
    assert sought(found, 1).sentence.startswith("no answer of S3's came back, and no flow log told within 15 min")
    assert sought(found, 1).sources == ("flow log group `here` of main",)
    assert sought(found, 2).sentence.endswith("there is no request id to find records by")
    assert found.notes == (
        "evidence by flow log: 0 of 2 requests found; of 2 there is no record, which proves nothing",
    )  # no flow log of ours has what is sent from outside


def test_flow_logs_in_a_bucket_name_their_fields(logs: Logs, wall: Wall) -> None:
    names = "start end srcaddr dstaddr srcport dstport action"
    lines = "1772409480 1772409490 10.0.0.9 52.1.1.1 40000 443 ACCEPT"
    home = "net/AWSLogs/1/vpcflowlogs/eu-west-1/2026/03/01"
    logs.objects = {
        f"{home}/1_vpcflowlogs_eu-west-1_fl-1_20260301T2358Z_ab.log.gz": gzip.compress(f"{names}\n{lines}\n".encode()),
        f"{home}/1_vpcflowlogs_eu-west-1_fl-1_20260301T1200Z_ab.log.gz": b"older",
        f"{home}/1_vpcflowlogs_eu-west-1_fl-1_20260301T2359Z_cd.log.gz": b"",
    }
    found = source(logs, "flow_log_bucket", prefix="net/", account_ids=("1",), regions=("eu-west-1",))
    result = with_evidence(matrix(cell()), [found], notify=lambda _: None, clock=wall.clock())
    assert sought(result).sentence == "a flow: ACCEPT"
    assert sought(result).sources == ("flow log bucket `here` of main",)
    assert len(logs.got) == 2


def test_a_group_may_have_a_format_of_its_own(logs: Logs, wall: Wall) -> None:
    logs.messages = [(0, "1772409480 1772409490 10.0.0.9 52.1.1.1 40000 443 eni-7 ACCEPT")]
    found = source(logs, "flow_logs", format="start end srcaddr dstaddr srcport dstport interface-id action")
    result = with_evidence(matrix(cell()), [found], notify=lambda _: None, clock=wall.clock())
    assert sought(result).sentence == "a flow at eni-7: ACCEPT"


def test_contradictions_are_told(logs: Logs, wall: Wall) -> None:
    odd = {**EVENT, "tlsDetails": {"tlsVersion": "TLSv1.2"}}
    odd.pop("vpcEndpointId")
    logs.messages = [(0, json.dumps(odd))]
    found = with_evidence(matrix(cell()), [source(logs)], notify=lambda _: None, clock=wall.clock())
    assert sought(found).sentence == "a data event: by no endpoint, TLSv1.2, no error"
    assert found.notes[1:] == (
        "GetObject/b/app:inside/https: its path was read as vpce-1, but the data event says none",
        "GetObject/b/app:inside/https: TLSv1.3 was spoken here, but S3 saw TLSv1.2: something in between ended it",
    )
    unread = with_evidence(matrix(cell(), path=None), [source(logs)], notify=lambda _: None, clock=wall.clock())
    assert len(unread.notes) == 2


def test_a_source_that_cannot_be_read_is_told_once(logs: Logs, wall: Wall) -> None:
    logs.refusal = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "FilterLogEvents")
    found = with_evidence(matrix(cell()), [source(logs)], notify=lambda _: None, clock=wall.clock())
    assert wall.at == NOW
    assert found.notes[1] == ("evidence: log group `here` of main could not be read: AccessDeniedException: no")
    assert sought(found).sentence == "no source of evidence could be read"
    logs.refusal = None
    logs.messages = [(0, "{ no json")]
    found = with_evidence(matrix(cell()), [source(logs)], notify=lambda _: None, clock=wall.clock())
    assert "could not be read: Expecting property name" in found.notes[1]


def test_many_requests_take_several_patterns_and_what_comes_twice_counts_once(logs: Logs, wall: Wall) -> None:
    cells = [cell(f"R{number:02}", id=f"c{number}") for number in range(30)]
    events = [json.dumps({**EVENT, "requestID": f"R{number:02}", "eventID": f"e-{number}"}) for number in range(30)]
    logs.messages = [(0, text) for text in events]
    sources = [source(logs), source(logs)]
    found = with_evidence(matrix(*cells), sources, notify=lambda _: None, clock=wall.clock(longest=5))
    assert all(len(row["filterPattern"]) <= 1024 for row in logs.asked)
    assert len(logs.asked) == 2
    assert all(len(sought(found, number).records) == 1 for number in range(30))


def test_what_is_no_record() -> None:
    assert of_event({"eventCategory": "Data"}, source="s") is None
    assert of_event({**EVENT, "userIdentity": "x", "tlsDetails": None}, source="s") is not None
    assert of_access_line("", source="s") is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "exactly one of log_group, trail_bucket, access_logs, flow_logs, flow_log_bucket is wanted, found none"),
        ({"log_group": "a", "flow_logs": "b"}, "found `log_group` and `flow_logs`"),
        ({"log_group": "a", "prefix": "p"}, "`prefix` is for log files in a bucket"),
        ({"trail_bucket": "abc", "format": "start"}, "`format` is for a log group of flow logs"),
        ({"flow_logs": "a", "format": "start end"}, "the format has no `srcaddr`, `dstaddr`, "),
        ({"access_logs": "abc", "organization": "o-1"}, "`organization` is for log files in a bucket"),
    ],
)
def test_what_a_source_may_be(given: dict[str, Any], said: str) -> None:
    with pytest.raises((Fault, ValueError), match=re.escape(said)):
        EvidenceSource.model_validate(given)


INVENTORY = """\
accounts:
  main: {id: "111122223333", region: eu-west-1}
principals:
  app: {role: "arn:aws:iam::111122223333:role/app"}
vantage_points:
  here: local
buckets:
  b: {name: bucket, canary: k}
"""


def test_the_inventorys_evidence(tmp_path: Path) -> None:
    path = tmp_path / "s3vpce.yaml"
    path.write_text(f"{INVENTORY}evidence: {{log_group: /trail, wait: 20m}}\n", encoding="utf-8")
    (found,) = load_inventory(path).evidence
    assert (found.kind, found.name, found.wait) == ("log_group", "/trail", 1200)
    path.write_text(f"{INVENTORY}evidence:\n  - {{log_group: /trail, account: mian}}\n", encoding="utf-8")
    with pytest.raises(Exception, match=r"s3vpce.yaml:10:34: unknown account `mian`; accepted are main"):
        load_inventory(path)
