"""The logs themselves: each kind looks through what came since a run began for what it is asked for."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.evidence.flows import DEFAULT, Sought, of_line
from pytest_s3vpce.evidence.records import of_access_line, of_event

if TYPE_CHECKING:
    from pytest_s3vpce.records import Record
    from pytest_s3vpce.vantage import ControlPlane

Found = Iterator[tuple[str, "Record"]]

_IDS_AT_ONCE: Final = 25
"""A filter pattern has 1,024 characters at most.
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html"""
_DELIVERED: Final = re.compile(r"_(\d{8}T\d{4})Z_[^/]*$")
_FOLDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "trail_bucket": ("CloudTrail", "CloudTrail-NetworkActivity"),
    "flow_log_bucket": ("vpcflowlogs",),
}
"""https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html and
https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html"""
NOTHING: Final = "0.0.0.0:0>0.0.0.0:0@0-0/none/none"
"""What no log has, as a source may be asked for it."""
_GZIP: Final = b"\x1f\x8b"
_BEFORE: Final = timedelta(minutes=1)
"""Clocks differ, and file names tell minutes only."""
_LATELY: Final = timedelta(days=1)
"""Where the newest file is looked for first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One log of an account, with the clients that read it. Objects that were read once are not read again."""

    kind: str
    name: str
    account: str
    """As the inventory calls it."""
    plane: ControlPlane
    wait: float
    prefix: str = ""
    organization: str | None = None
    format: str | None = None
    """Of a group of flow logs whose format is not the default one: its fields."""
    account_ids: tuple[str, ...] = ()
    """Whose files are looked through in a trail's bucket, or one of flow logs."""
    regions: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()
    """Of access logs whose keys have folders by day: what stands before the day, for each bucket."""
    _read: set[str] = field(default_factory=set, compare=False, repr=False)

    @property
    def label(self) -> str:
        return f"{KINDS[self.kind].word} `{self.name}` of {self.account}"

    @property
    def group(self) -> str:
        """What must have a request once: a trail, in whichever place it writes; an access log; a flow log."""
        return KINDS[self.kind].group

    @property
    def is_asked(self) -> bool:
        """Whether it is asked for what is wanted, so many at a time; else all is read that came."""
        return KINDS[self.kind].files is None

    def look(self, wanted: Iterable[str], *, since: float, now: float) -> Found:
        """Everything of these that is there, each with what it was found by."""
        begin, end = (datetime.fromtimestamp(at, UTC) for at in (since, now))
        return KINDS[self.kind].look(self, tuple(wanted), begin - _BEFORE, end)

    def read_newest(self, now: float) -> bool:
        """Reads the newest log file there is; False where there is none. What has no files was read by `look`."""
        files = KINDS[self.kind].files
        if files is None:
            return True
        for rows in files(self, datetime.fromtimestamp(now, UTC)):
            newest = max(rows, key=lambda row: row["LastModified"], default=None)
            if newest is not None:
                self.plane.client("s3").get_object(Bucket=self.name, Key=newest["Key"])["Body"].read()
                return True
        return False


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of source is called, what it counts as, and how it is read."""

    word: str
    group: str
    look: Callable[[Source, tuple[str, ...], datetime, datetime], Found]
    files: Callable[[Source, datetime], Iterator[list[dict[str, Any]]]] | None = None
    """Of what has files: those of the last days, then any."""


def _log_group(source: Source, wanted: tuple[str, ...], since: datetime, _now: datetime) -> Found:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/logs/FilterAndPatternSyntaxForMetricFilters.html"""
    for some in _parts(wanted):
        pattern = " || ".join(f'($.requestID = "{one}")' for one in some)
        for message in _messages(source, f"{{ {pattern} }}", since):
            yield from _records({"Records": [json.loads(message)]}, source=source.label)


def _records(file: Any, *, source: str) -> Found:
    """The events of a log file; what has another form is none."""
    rows = file.get("Records") if isinstance(file, dict) else None
    for event in rows if isinstance(rows, list) else ():
        found = of_event(event, source=source) if isinstance(event, dict) else None
        if found is not None:
            yield found


def _flow_logs(source: Source, wanted: tuple[str, ...], since: datetime, _now: datetime) -> Found:
    sought = [Sought.parse(key) for key in wanted]
    for some in _parts(sorted({address for row in sought for address in row.addresses})):
        messages = _messages(source, " ".join(f'?"{one}"' for one in some), since)
        yield from _flows(source, messages, sought, names=source.format.split() if source.format else DEFAULT)


def _flows(source: Source, lines: Iterable[str], sought: Sequence[Sought], *, names: Sequence[str]) -> Found:
    by_end: dict[str, list[Sought]] = {}
    for row in sought:
        for end in row.far:
            by_end.setdefault(end, []).append(row)
    for line in lines:
        flow = of_line(line, names=names, source=source.label)
        if flow is None:
            continue
        for row in (*by_end.get(flow.target, ()), *by_end.get(flow.source, ())):
            record = row.record_of(flow)
            if record is not None:
                yield row.key, record


def _flow_log_bucket(source: Source, wanted: tuple[str, ...], since: datetime, now: datetime) -> Found:
    """Text files, whose first line names the fields."""
    sought = [Sought.parse(key) for key in wanted]
    for key in _delivered(source, since, now):
        header, *lines = _body(source, key).decode("utf-8", "replace").splitlines() or [""]
        yield from _flows(source, lines, sought, names=header.split())


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """So many at a time as a pattern has room for."""
    return (texts[start : start + _IDS_AT_ONCE] for start in range(0, len(texts), _IDS_AT_ONCE))


def _messages(source: Source, pattern: str, since: datetime) -> Iterator[str]:
    pages = source.plane.client("logs").get_paginator("filter_log_events")
    begin = int(since.timestamp() * 1000)
    for page in pages.paginate(logGroupName=source.name, filterPattern=pattern, startTime=begin):
        for event in page["events"]:
            yield event["message"]


def _trail_bucket(source: Source, _wanted: tuple[str, ...], since: datetime, now: datetime) -> Found:
    for key in _delivered(source, since, now):
        yield from _records(json.loads(_body(source, key)), source=source.label)


def _delivered(source: Source, since: datetime, now: datetime) -> Iterator[str]:
    """The files that came since then, and were not read yet."""
    for prefix in _prefixes(source, since, now):
        for key in _unread(source, _rows(source, prefix)):
            delivered = _DELIVERED.search(key)
            if delivered is not None and datetime.strptime(f"{delivered[1]}Z", "%Y%m%dT%H%M%z") >= since - _BEFORE:
                yield key


def _day_files(source: Source, now: datetime) -> Iterator[list[dict[str, Any]]]:
    yield [row for prefix in _prefixes(source, now - _LATELY, now) for row in _rows(source, prefix)]
    yield [row for folder in _region_folders(source) for row in _first_rows(source, folder)]


def _prefixes(source: Source, since: datetime, now: datetime) -> Iterator[str]:
    """The folders of all days since then."""
    for folder in _region_folders(source):
        for day in _days(since, now):
            yield f"{folder}{day:%Y/%m/%d}/"


def _region_folders(source: Source) -> Iterator[str]:
    start = f"{source.prefix.rstrip('/')}/" if source.prefix else ""
    start += f"AWSLogs/{source.organization}/" if source.organization else "AWSLogs/"
    for account in source.account_ids:
        for region in source.regions:
            for folder in _FOLDERS[source.kind]:
                yield f"{start}{account}/{folder}/{region}/"


def _access_logs(source: Source, _wanted: tuple[str, ...], since: datetime, now: datetime) -> Found:
    """Keys begin with the time of delivery, or with folders by bucket and day.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html#server-log-keyname-format
    """
    for key in _unread(source, _rows_since(source, since, now)):
        for line in _body(source, key).decode("utf-8", "replace").splitlines():
            found = of_access_line(line, source=source.label)
            if found is not None:
                yield found


def _access_files(source: Source, now: datetime) -> Iterator[list[dict[str, Any]]]:
    yield list(_rows_since(source, now - _LATELY, now))
    yield _first_rows(source, source.prefix)


def _rows_since(source: Source, since: datetime, now: datetime) -> Iterator[dict[str, Any]]:
    folders = [f"{source.prefix}{bucket}/{day:%Y/%m/%d}/" for bucket in source.buckets for day in _days(since, now)]
    for prefix in (source.prefix, *folders):
        yield from _rows(source, prefix, after=f"{prefix}{since:%Y-%m-%d-%H-%M-%S}")


def _days(since: datetime, now: datetime) -> list[date]:
    return [since.date() + timedelta(days=number) for number in range((now.date() - since.date()).days + 1)]


def _unread(source: Source, rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    return (row["Key"] for row in rows if row["Key"] not in source._read)  # noqa: SLF001 - as below


def _first_rows(source: Source, prefix: str) -> list[dict[str, Any]]:
    """At most a page: nobody waits for the listing of years."""
    return list(source.plane.client("s3").list_objects_v2(Bucket=source.name, Prefix=prefix).get("Contents", ()))


def _rows(source: Source, prefix: str, *, after: str = "") -> Iterator[dict[str, Any]]:
    pages = source.plane.client("s3").get_paginator("list_objects_v2")
    more = {"StartAfter": after} if after else {}
    for page in pages.paginate(Bucket=source.name, Prefix=prefix, **more):
        yield from page.get("Contents", ())


def _body(source: Source, key: str) -> bytes:
    body: Any = source.plane.client("s3").get_object(Bucket=source.name, Key=key)["Body"].read()
    source._read.add(key)  # noqa: SLF001 - the source's own function
    return gzip.decompress(body) if body[:2] == _GZIP else bytes(body)


KINDS: Final[Mapping[str, Kind]] = {
    "log_group": Kind("log group", "trail", _log_group),
    "trail_bucket": Kind("trail bucket", "trail", _trail_bucket, _day_files),
    "access_logs": Kind("access log bucket", "access log", _access_logs, _access_files),
    "flow_logs": Kind("flow log group", "flow log", _flow_logs),
    "flow_log_bucket": Kind("flow log bucket", "flow log", _flow_log_bucket, _day_files),
}
