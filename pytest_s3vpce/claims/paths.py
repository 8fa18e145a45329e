"""The ways that requests take, read on the control buckets: through a named endpoint, or through none of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_s3vpce.claims.findings import (
    Finding,
    Kind,
    outside_hypotheses,
    outside_readers,
    path_read,
    readings_of,
    shown,
    ways_read,
)
from pytest_s3vpce.claims.readings import ENDPOINT
from pytest_s3vpce.matrix import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_s3vpce.claims.setting import Results, Setting
    from pytest_s3vpce.probe import Probe


def path_probes(setting: Setting, vantage: str, endpoints: Sequence[str] = ()) -> Iterator[Probe]:
    """The readings that tell a vantage point's path: candidates are the named endpoints and those in its VPC."""
    yield from readings_of(
        setting,
        "",
        principals=outside_readers(setting),
        vantage=vantage,
        hypotheses=outside_hypotheses(setting, vantage, endpoints),
    )


@dataclass(frozen=True, slots=True)
class Way:
    """What was read of a vantage point: endpoints, `` for none, several where readings differ; and what that shows."""

    read: tuple[str, ...]
    finding: Finding


def through(
    setting: Setting, results: Results, vantage: str, endpoints: Sequence[str], *, others: Sequence[str] = ()
) -> Way:
    """Good where requests from there were read to go through one of the endpoints; `others` were asked for too."""
    read = _read(setting, results, vantage, (*endpoints, *others))
    way = " and ".join(f"through {name or 'no VPC endpoint'}" for name in read) or "by a path that could not be read"
    if len(read) == 1 and read[0] in endpoints:
        return Way(read, path_finding(vantage, Status.GOOD, f"requests from {vantage} reach S3 {way}"))
    named = f"{', '.join(endpoints)} alone" if len(read) > 1 else ", ".join(endpoints)
    sentence = f"requests from {vantage} reach S3 {way}, and not through {named}"
    return Way(read, path_finding(vantage, Status.MISSING, sentence))


def apart(setting: Setting, results: Results, vantage: str, endpoints: Sequence[str]) -> Finding:
    """Good where requests from there were read to go through none of the endpoints, whichever else they go through."""
    sentence = strays(setting, results, vantage, endpoints)
    if sentence:
        return path_finding(vantage, Status.MISSING, sentence)
    readers = outside_readers(setting)
    read, named, none = _read(setting, results, vantage, endpoints), ", ".join(endpoints), ENDPOINT.none_of(endpoints)
    if read or shown(setting, results, none, bucket="", principals=readers, vantage=vantage):
        return path_finding(vantage, Status.GOOD, f"requests from {vantage} reach S3 through none of {named}")
    sentence = f"the path from {vantage} could not be read, so nothing shows that it is outside {named}"
    return path_finding(vantage, Status.MISSING, sentence)


def way_of(setting: Setting, results: Results, vantage: str, *, region: str, candidates: Iterable[str]) -> str | None:
    """The endpoint that requests from there were read to go through, `` for none; None where nothing was read.

    To the Region that it stands in, where a control bucket lies there: another one's is reached past its endpoints.
    """
    there = replace(setting, region=region)
    return path_read(there if there.readers() else setting, results, vantage, candidates=candidates)


def strays(setting: Setting, results: Results, vantage: str, endpoints: Sequence[str]) -> str:
    """That an outside vantage point is none: requests from there were read to go through one of the endpoints."""
    readers = outside_readers(setting)
    for endpoint in endpoints:
        if shown(setting, results, ENDPOINT.exactly(endpoint), bucket="", principals=readers, vantage=vantage):
            return f"{vantage} is no outside vantage point: its requests go through {endpoint}"
    return ""


def strayed(setting: Setting, results: Results, probes: Iterable[Probe], endpoints: Sequence[str]) -> dict[Probe, str]:
    """What `strays` says of each one's vantage point."""
    rows = list(probes)
    places = dict.fromkeys(row.cell.vantage for row in rows)
    found = {vantage: strays(setting, results, vantage, endpoints) for vantage in places}
    return {row: found[row.cell.vantage] for row in rows}


def causes(ways: Mapping[str, Way]) -> dict[str, str]:
    """By vantage point, which other way was read than the one that is meant."""
    rows = ways.items()
    return {at: way.finding.sentence for at, way in rows if way.read and way.finding.status is not Status.GOOD}


def used(ways: Sequence[Way], endpoints: Sequence[str]) -> Iterator[Finding]:
    """Each named endpoint must have been gone through."""
    read = {name for way in ways for name in way.read}
    for endpoint in endpoints:
        if endpoint not in read:
            sentence = f"no vantage point was shown to reach S3 through {endpoint}"
            yield Finding(kind=Kind.PATH, name=f"through {endpoint}", status=Status.MISSING, sentence=sentence)


def _read(setting: Setting, results: Results, vantage: str, endpoints: Sequence[str]) -> tuple[str, ...]:
    candidates = dict.fromkeys((*endpoints, *setting.vantage_endpoints.get(vantage, ())))
    return ways_read(setting, results, vantage, candidates=candidates)


def path_finding(vantage: str, status: Status, sentence: str) -> Finding:
    """What is found of the way from a vantage point."""
    return Finding(kind=Kind.PATH, name=f"path {vantage}", status=status, sentence=sentence)
