"""Whether objects are there: read before the first write, and again once all was sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_s3vpce.operations import operation
from pytest_s3vpce.run.objects import (
    canary_body,
    canary_version,
    denies,
    is_absent,
    is_bare,
    is_read,
    is_refusal,
    object_of,
    readings_of,
)
from pytest_s3vpce.run.observed import Observed, outcome_of
from pytest_s3vpce.run.plan import writes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_s3vpce.model import Answer
    from pytest_s3vpce.probe import Probe
    from pytest_s3vpce.run.plan import Reader
    from pytest_s3vpce.run.world import World


class Presence:
    """Of the objects of one run, as what was seen of them; `exchange` sends probes and notes their answers."""

    def __init__(
        self,
        world: World,
        readers: Mapping[str, Reader | None],
        seen: Observed,
        *,
        exchange: Callable[[Sequence[Probe], Observed], None],
    ) -> None:
        self._world = world
        self._readers = readers
        self._seen = seen
        self._exchange = exchange
        self._before: dict[str, bytes] = {}

    def read(self) -> None:
        """Each bucket's canary through its reader; without that reading no write is signed."""
        self._before = self._read(self._readers)

    def refuse_absent_keys(self, probes: Sequence[Probe]) -> None:
        """A write to a declared key where nothing is could make something there: such a key is read before, too."""
        targets = {probe: (probe.cell.target.bucket, probe.cell.target.key) for probe in probes if writes(probe)}
        readings: dict[tuple[str, str | None], Probe | None] = {}
        for bucket, key in dict.fromkeys(targets.values()):
            if key is not None and key != self._world.bucket(bucket).key:
                reader = self._readers.get(bucket)
                readings[bucket, key] = None if reader is None else reader.probe(key)
        found = Observed()
        self._exchange([reading for reading in readings.values() if reading is not None], found)
        for probe, target in targets.items():
            if target in readings and (why := _absent(readings[target], found)):
                self._seen.refusals.setdefault(probe, f"not sent: {why}, so a write could make something there")

    def look_again(self, probes: Sequence[Probe], others: Mapping[str, Reader]) -> None:
        """Once all was sent: of a key where nothing is, S3 refuses callers who may not list, too.

        `others` read the canaries that nobody has read of buckets where S3 refused somebody without a reason.
        """
        outcomes, before = self._seen.outcomes, self._before
        rows = [probe for probe in probes if is_refusal(probe, outcomes)]
        refused = {label for probe in rows for label in (probe.cell.label, object_of(probe))}
        if refused & before.keys() or any(map(writes, self._seen.handed)):
            self._compare()
        self._read_again(refused - before.keys())
        bare = [probe for probe in probes if is_bare(probe, outcomes)]
        named = dict.fromkeys(probe.cell.target.bucket for probe in bare)
        late = {bucket: others[bucket] for bucket in named if bucket in others and not self._readers.get(bucket)}
        self._read(late)
        self._read_unread(bare, {**self._readers, **late})
        entered = {probe.cell.target.bucket for probe, told in outcomes.items() if told.allowed}
        entered.update(bucket for bucket, (read, _) in self._seen.canaries.items() if read)
        settled = entered | self._seen.unshown  # where the reader was refused, too, all is in doubt
        self._ask_any_owner(probe for probe in bare if probe.cell.target.bucket not in settled)

    def _read(self, readers: Mapping[str, Reader | None]) -> dict[str, bytes]:
        seen, found = self._seen, dict[str, bytes]()
        for bucket, reader, answer in self._readings(readers):
            body, why = canary_body(answer)
            if body is None:
                seen.canaries[bucket] = (False, f"the canary of {bucket} was not read by {reader}: {why}")
                seen.gone.update([bucket] if is_absent(answer) else [])
                seen.unshown.update([bucket] if is_absent(answer) or denies(answer) else [])
            else:
                found[bucket] = body
                self._world.canary_versions[bucket] = canary_version(answer)
                seen.canaries[bucket] = (True, f"the canary of {bucket} was read by {reader}")
        self._world.canaries.update(found)
        return found

    def _compare(self) -> None:
        seen, before = self._seen, self._before
        for bucket, reader, answer in self._readings({bucket: self._readers[bucket] for bucket in before}):
            body, why = canary_body(answer)
            if body == before[bucket]:
                seen.canaries[bucket] = (True, f"the canary of {bucket} is as it was, says {reader}")
            else:
                changed = "it CHANGED during the run" if body is not None else f"it could not be read again: {why}"
                seen.canaries[bucket] = (False, f"the canary of {bucket}: {changed} (reader {reader})")
                seen.gone.add(bucket)

    def _read_again(self, labels: Iterable[str]) -> None:
        """Where something was refused: of a key where nothing is any more, S3 answers with a 403, too."""
        seen = self._seen
        readings = readings_of(seen.outcomes)
        probes = {label: readings[label] for label in labels if label in readings}
        found = Observed(calibration=seen.calibration)
        self._exchange(list(probes.values()), found)
        seen.gone.update(label for label, probe in probes.items() if not outcome_of(probe, found).allowed)

    def _read_unread(self, refused: Iterable[Probe], readers: Mapping[str, Reader | None]) -> None:
        """Declared keys that nobody read, by who reads the bucket's canary: whether nothing is there."""
        unread = {}
        readings = readings_of(self._seen.outcomes)
        for probe in refused:
            target, reader = probe.cell.target, readers.get(probe.cell.target.bucket)
            about = operation(probe.cell.operation).on_object and target.key is not None
            if reader is not None and about and target.label not in readings:
                unread[target.label] = reader.probe(target.key)
        found = Observed()
        self._exchange(list(unread.values()), found)
        self._seen.gone.update(label for label, probe in unread.items() if is_absent(found.answers.get(probe)))

    def _ask_any_owner(self, refused: Iterable[Probe]) -> None:
        """In buckets that let nobody in: whether S3 refused only since another account owns them than was said.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
        """
        again = {
            probe: replace(probe, any_owner=True) for probe in refused if not operation(probe.cell.operation).writes
        }
        found = Observed(calibration=self._seen.calibration)
        self._exchange(list(again.values()), found)
        self._seen.elsewhere.update(
            probe
            for probe, other in again.items()
            if outcome_of(other, found).allowed or is_absent(found.answers.get(other))
        )

    def _readings(self, readers: Mapping[str, Reader | None]) -> Iterable[tuple[str, str, Answer | str]]:
        probes = {}
        for bucket, reader in readers.items():
            if reader is None:
                why = "no reader is declared, and no cell of it is expected to be allowed"
                self._seen.canaries[bucket] = (False, f"the canary of {bucket} was not read: {why}")
            else:
                probes[bucket] = reader.probe()
        readings = Observed()
        self._exchange(list(probes.values()), readings)
        for bucket, probe in probes.items():
            answer = readings.answers.get(probe)
            yield bucket, probe.cell.who, answer or readings.refusals.get(probe, "no answer came back")


def _absent(reading: Probe | None, found: Observed) -> str:
    """Why nothing may be at a declared key; empty where its reading got something."""
    if reading is None:
        return "nobody is declared who reads its key"
    answer = found.answers.get(reading)
    return "" if answer is not None and is_read(answer) else f"nothing was read at its key by {reading.cell.who}"
