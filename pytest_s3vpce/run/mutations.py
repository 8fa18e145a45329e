"""What mutating forms really make: recorded before they are sent, and removed by whoever makes the bucket's canary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.operations import Trace, operation
from pytest_s3vpce.run.canaries import UNSURE
from pytest_s3vpce.vantage import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pytest_s3vpce.model import Answer
    from pytest_s3vpce.probe import Probe
    from pytest_s3vpce.run.canaries import Canaries
    from pytest_s3vpce.run.world import World
    from pytest_s3vpce.vantage import Entry, Ledger

_UPLOAD: Final = re.compile(rb"<UploadId>([^<]+)</UploadId>")
_KINDS: Final = {Trace.VERSION: Kind.S3_OBJECT, Trace.UPLOAD: Kind.S3_UPLOAD}
_GONE: Final = (200, 204, 404)
_SUCCESSES: Final = range(200, 300)


class Mutations:
    """One run's: each key and kind is one entry of the ledger."""

    def __init__(self, world: World, canaries: Canaries, ledger: Ledger) -> None:
        self._world = world
        self._canaries = canaries
        self._ledger = ledger
        self._entries: dict[tuple[str, str, Kind], Entry] = {}
        self._begun: dict[Probe, tuple[str, str, Kind]] = {}

    def begin(self, probes: Iterable[Probe]) -> dict[Probe, str]:
        """Writes down what these probes will make; comes back with those that may not be sent, and why."""
        refused = {}
        for probe in probes:
            if not probe.cell.mutating:
                continue
            bucket = probe.cell.target.bucket
            trace = operation(probe.cell.operation).leaves
            if not self._maker(bucket):
                refused[probe] = (
                    f"not sent: nobody is named who removes what it makes: give bucket `{bucket}` "
                    "`canary: {create: PRINCIPAL:VANTAGE_POINT}`"
                )
            elif trace in _KINDS:
                at = (bucket, self._world.destination(probe.cell).run_key, _KINDS[trace])
                self._record(*at)
                self._begun[probe] = at
            elif probe.cell.target.key is not None:
                refused[probe] = (
                    "not sent: it would change a declared key, and only the run's own canary may be changed"
                )
        return refused

    def undo(self, answers: Mapping[Probe, Answer], *, handed: Collection[Probe]) -> None:
        """Removes it; what can't be removed, or was never answered, stays in the ledger for the sweep.

        `handed` are those that a vantage point was given to send: of the others nothing was made.
        """
        unsure: dict[tuple[str, str, Kind], str] = {}
        for probe, at in self._begun.items():
            if probe in handed and (why := self._undone(at, answers.get(probe))):
                unsure[at] = why
        for at, entry in self._entries.items():
            if at in unsure:
                self._ledger.kept(entry, unsure[at])
            else:
                self._ledger.removed(entry)
        self._entries.clear()
        self._begun.clear()

    def _undone(self, at: tuple[str, str, Kind], answer: Answer | None) -> str | None:
        """Takes back what one answer says was made; why it may still be there."""
        if answer is None:
            return "no answer came back"
        if answer.status is None or answer.status >= UNSURE:
            return f"nobody knows whether it was made: {answer.detail or answer.failure or answer.status}"
        bucket, key, kind = at
        for name, parameters in _removals(kind, answer):
            try:
                found = self._canaries.send(bucket, self._maker(bucket), name, {"Key": key, **parameters})
            except S3VpceError as error:
                return str(error)
            if found.status not in _GONE:
                return f"{name} gave status {found.status}"
        return None

    def _record(self, bucket: str, key: str, kind: Kind) -> None:
        if (bucket, key, kind) not in self._entries:
            facts = self._world.bucket(bucket)
            self._entries[bucket, key, kind] = self._ledger.creating(
                kind, account=facts.account, region=self._world.region(bucket), identifier=f"{facts.name}/{key}"
            )

    def _maker(self, bucket: str) -> str:
        row = self._world.inventory.buckets.get(bucket)
        return (row.canary.create if row else None) or ""


def _removals(kind: Kind, answer: Answer) -> Iterator[tuple[str, dict[str, str]]]:
    """The operations that take back what a successful answer made."""
    if answer.status not in _SUCCESSES:
        return
    if kind is Kind.S3_UPLOAD:
        for found in _UPLOAD.findall(answer.body):
            yield "AbortMultipartUpload", {"UploadId": found.decode()}
        return
    version = answer.headers.get("x-amz-version-id")
    yield "DeleteObject", {"VersionId": version} if version else {}
