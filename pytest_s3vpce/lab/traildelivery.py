"""Records on their way: written in the background, a moment later, as objects of buckets and as log events."""

from __future__ import annotations

import gzip
import json
import logging
import secrets
import string
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pytest_s3vpce.lab.flowrecords import line
from pytest_s3vpce.lab.logwriters import of_access_log, of_flow_logs, of_trail
from pytest_s3vpce.lab.origin import Internet
from pytest_s3vpce.lab.wire import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_s3vpce.lab.flowrecords import Flow
    from pytest_s3vpce.lab.logwriters import LogWriters, Writer
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.trailrecords import Record

_LOG: Final = logging.getLogger(__name__)
_LETTERS: Final = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """A trail that logs, as its account set it up."""

    name: str
    account: str
    region: str
    bucket: str
    prefix: str
    log_group: str | None
    is_everywhere: bool
    """Whether it takes the events of all Regions."""
    organization: str | None
    """The organization whose accounts' events it takes; None where it takes its own account's."""
    basic: tuple[Mapping[str, Any], ...]
    advanced: tuple[Mapping[str, Any], ...]

    @property
    def label(self) -> str:
        return f"trail `{self.name}`"

    def key(self, *, account: str, region: str, category: str, now: datetime) -> str:
        """Of a new log file: network activity has a folder of its own.

        https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html
        """
        kind = "CloudTrail-NetworkActivity" if category == "NetworkActivity" else "CloudTrail"
        prefix = f"{self.prefix.rstrip('/')}/" if self.prefix else ""
        whose = f"{self.organization}/{account}" if self.organization else account
        name = f"{account}_CloudTrail_{region}_{now:%Y%m%dT%H%MZ}_{_random()}.json.gz"
        return f"{prefix}AWSLogs/{whose}/{kind}/{region}/{now:%Y/%m/%d}/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTarget:
    """Where the access log of the bucket `source` goes."""

    source: str
    bucket: str
    prefix: str
    is_partitioned: bool = False
    """Whether keys have folders by source and day.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html#server-log-keyname-format"""

    def key(self, home: BucketState, *, now: datetime) -> str:
        """Of a new object with lines of this bucket."""
        folders = f"{home.account}/{home.region}/{home.name}/{now:%Y/%m/%d}/" if self.is_partitioned else ""
        return f"{self.prefix}{folders}{now:%Y-%m-%d-%H-%M-%S}-{secrets.token_hex(8).upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowLog:
    """A flow log: which traffic it takes, as which fields, and where it writes."""

    id: str
    account: str
    region: str
    traffic: str
    fields: tuple[str, ...]
    bucket: str | None
    prefix: str
    log_group: str | None

    @property
    def label(self) -> str:
        return f"flow log `{self.id}`"

    def key(self, *, now: datetime) -> str:
        """https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html."""
        folder = f"{self.prefix.rstrip('/')}/" if self.prefix else ""
        name = f"{self.account}_vpcflowlogs_{self.region}_{self.id}_{now:%Y%m%dT%H%MZ}_{secrets.token_hex(4)}.log.gz"
        return f"{folder}AWSLogs/{self.account}/vpcflowlogs/{self.region}/{now:%Y/%m/%d}/{name}"


@dataclass(slots=True)
class _Pending:
    events: list[tuple[Trail, Record]] = field(default_factory=list)
    lines: dict[LogTarget, list[str]] = field(default_factory=dict)
    flows: dict[FlowLog, dict[tuple[object, ...], Flow]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.events or self.lines or self.flows)


class Delivery:
    """One thread that starts with the first record. What can't be delivered is lost, as it is at AWS."""

    def __init__(self, state: State, *, writers: LogWriters, delay: float) -> None:
        self._state = state
        self._writers = writers
        self._delay = delay
        self._pending = _Pending()
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None

    def event(self, trail: Trail, record: Record) -> None:
        with self._news:
            self._pending.events.append((trail, record))
            self._wake()

    def line(self, target: LogTarget, text: str) -> None:
        with self._news:
            self._pending.lines.setdefault(target, []).append(text)
            self._wake()

    def flow(self, log: FlowLog, flow: Flow) -> None:
        """What goes on until it is written is one record."""
        with self._news:
            rows = self._pending.flows.setdefault(log, {})
            known = rows.get(flow.key)
            rows[flow.key] = flow if known is None else known.with_more(flow)
            self._wake()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lab-trails", daemon=True)
            self._thread.start()
        self._news.notify()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: bool(self._pending))
            time.sleep(self._delay)
            with self._news:
                pending, self._pending = self._pending, _Pending()
            try:
                self._write(pending)
            except Exception:  # noqa: BLE001 - whatever it was, it is logged
                # The next records are none of this one's: a thread that ended would deliver nothing again.
                _LOG.exception("records could not be delivered")

    def _write(self, pending: _Pending) -> None:
        now = datetime.now(UTC)
        self._write_events(pending, now)
        for target, lines in pending.lines.items():
            source = self._state.bucket(target.source)
            if source is not None:
                body = "".join(f"{line}\n" for line in lines).encode()
                self._put(of_access_log(source), target.bucket, target.key(source, now=now), body, form=None)
        for log, flows in pending.flows.items():
            self._write_flows(log, list(flows.values()), now)

    def _write_flows(self, log: FlowLog, flows: Sequence[Flow], now: datetime) -> None:
        if log.bucket is not None:
            lines = [" ".join(log.fields), *(line(flow, log.fields) for flow in flows)]
            body = gzip.compress("".join(f"{row}\n" for row in lines).encode())
            writer = of_flow_logs(log.account, region=log.region)
            self._put(writer, log.bucket, log.key(now=now), body, form="gzip")
            return
        streams: dict[str, list[tuple[int, str]]] = {}
        for flow in sorted(flows, key=lambda flow: flow.start):  # or the group takes none of them
            name = f"{flow.place.interface}-{log.traffic.lower()}"
            streams.setdefault(name, []).append((int(flow.start * 1000), line(flow, log.fields)))
        for name, rows in streams.items():
            self._log(log.log_group or "", rows, stream=name, of=log)

    def _write_events(self, pending: _Pending, now: datetime) -> None:
        files: dict[tuple[str, ...], tuple[Trail, list[Record]]] = {}
        for trail, record in pending.events:
            at = (trail.account, trail.region, trail.name)
            of = (record["recipientAccountId"], record["awsRegion"], record["eventCategory"])
            files.setdefault((*at, *of), (trail, []))[1].append(record)
        for (*_, account, region, category), (trail, records) in files.items():
            body = gzip.compress(json.dumps({"Records": records}).encode())
            key = trail.key(account=account, region=region, category=category, now=now)
            writer = of_trail(trail.name, account=trail.account, region=trail.region)
            self._put(writer, trail.bucket, key, body, form="gzip")
            if trail.log_group is not None:
                written = int(now.timestamp() * 1000)
                rows = [(written, json.dumps(record)) for record in records]
                self._log(trail.log_group, rows, stream=f"{account}_CloudTrail_{region}", of=trail)

    def _put(self, writer: Writer, bucket: str, key: str, body: bytes, *, form: str | None) -> None:
        home = self._state.bucket(bucket)
        if home is None:
            _LOG.warning("the bucket `%s` for log files does not exist", bucket)
            return
        if not self._writers.may_put(writer, home, key):
            _LOG.warning("the policies of `%s` do not let %s write `%s`", bucket, writer.service, key)
            return
        kind = ("Content-Type", "application/json" if form else "text/plain")
        request = HttpRequest(
            method="PUT",
            target=f"/{bucket}/{quote(key, safe='/-_.~')}",
            headers=(kind, *((("Content-Encoding", form),) if form else ())),
            body=body,
            host=f"s3.{home.region}.amazonaws.com",
            scheme="https",
            tls="TLSv1.3",
            origin=Internet(),
            peer="",
        )
        answer = self._state.call("s3", request, account=home.account, region=home.region, target=request.target)
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            _LOG.warning("`%s` in `%s` was not written: %s", key, bucket, answer.status)

    def _log(self, name: str, rows: Sequence[tuple[int, str]], *, stream: str, of: Trail | FlowLog) -> None:
        """Times in milliseconds, and messages."""
        logs = self._state.backends("logs")[of.account][of.region]
        group = logs.groups.get(name)
        if group is None:
            _LOG.warning("the log group `%s` of %s does not exist", name, of.label)
            return
        if stream not in group.streams:
            logs.create_log_stream(name, stream)
        logs.put_log_events(name, stream, [{"timestamp": at, "message": message} for at, message in rows])


def _random() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(16))
