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

from pytest_s3vpce.lab.logwriters import of_access_log, of_trail
from pytest_s3vpce.lab.origin import Internet
from pytest_s3vpce.lab.wire import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


@dataclass(slots=True)
class _Pending:
    events: list[tuple[Trail, Record]] = field(default_factory=list)
    lines: dict[LogTarget, list[str]] = field(default_factory=dict)


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

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lab-trails", daemon=True)
            self._thread.start()
        self._news.notify()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: bool(self._pending.events or self._pending.lines))
            time.sleep(self._delay)
            with self._news:
                pending, self._pending = self._pending, _Pending()
            try:
                self._write(pending)
            except Exception:  # noqa: BLE001 - whatever it was, it is logged
                # The next records are none of this one's: a thread that ended would deliver nothing again.
                _LOG.exception("records could not be delivered")

    def _write(self, pending: _Pending) -> None:
        files: dict[tuple[str, ...], tuple[Trail, list[Record]]] = {}
        for trail, record in pending.events:
            at = (trail.account, trail.region, trail.name)
            of = (record["recipientAccountId"], record["awsRegion"], record["eventCategory"])
            files.setdefault((*at, *of), (trail, []))[1].append(record)
        now = datetime.now(UTC)
        for (*_, account, region, category), (trail, records) in files.items():
            body = gzip.compress(json.dumps({"Records": records}).encode())
            key = trail.key(account=account, region=region, category=category, now=now)
            writer = of_trail(trail.name, account=trail.account, region=trail.region)
            self._put(writer, trail.bucket, key, body, form="gzip")
            if trail.log_group is not None:
                self._log(trail, records, stream=f"{account}_CloudTrail_{region}", now=now)
        for target, lines in pending.lines.items():
            source = self._state.bucket(target.source)
            if source is not None:
                body = "".join(f"{line}\n" for line in lines).encode()
                self._put(of_access_log(source), target.bucket, target.key(source, now=now), body, form=None)

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

    def _log(self, trail: Trail, records: Sequence[Record], *, stream: str, now: datetime) -> None:
        logs = self._state.backends("logs")[trail.account][trail.region]
        group = logs.groups.get(trail.log_group)
        if group is None:
            _LOG.warning("the log group `%s` of trail `%s` does not exist", trail.log_group, trail.name)
            return
        if stream not in group.streams:
            logs.create_log_stream(trail.log_group, stream)
        at = int(now.timestamp() * 1000)
        logs.put_log_events(
            trail.log_group, stream, [{"timestamp": at, "message": json.dumps(record)} for record in records]
        )


def _random() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(16))
