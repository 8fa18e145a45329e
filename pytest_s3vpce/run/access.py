"""The access run: plan, one batch per vantage point, outcomes, verdicts; what comes out is a matrix."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.model import Answer, FailureKind, SignedRequest
from pytest_s3vpce.outcome import code_of
from pytest_s3vpce.run.deletions import Sender, is_deletion, shows_policy
from pytest_s3vpce.run.observed import Observed, counted_of, outcome_of
from pytest_s3vpce.run.plan import Reader, probes_of, readers_of, writes
from pytest_s3vpce.run.presence import Presence
from pytest_s3vpce.run.settling import RealClock, settle
from pytest_s3vpce.run.termination import undone
from pytest_s3vpce.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_s3vpce.claims import Claim, Setting
    from pytest_s3vpce.expectations import ExpectedCell
    from pytest_s3vpce.probe import Probe, ProbeBuilder
    from pytest_s3vpce.run.deletions import Deletions
    from pytest_s3vpce.run.mutations import Mutations
    from pytest_s3vpce.run.settling import Clock
    from pytest_s3vpce.run.vantages import VantagePoints
    from pytest_s3vpce.run.world import World

TRANSIENT: Final = frozenset(
    {"SlowDown", "ServiceUnavailable", "InternalError", "ConditionalRequestConflict", "OperationAborted"}
)
"""S3's codes that ask to try again; a probe is sent a second time, once, in a batch of its own.
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""

_PATIENCE: Final = 10.0
"""Seconds without an answer after which it is told who is waited for."""


class AccessRun:
    """Sends the probes of cells and claims, from every vantage point at once."""

    def __init__(
        self,
        world: World,
        vantages: VantagePoints,
        *,
        builder: ProbeBuilder,
        notify: Callable[[str], None],
        mutations: Mutations,
        deletions: Deletions | None = None,
        settle: float = 0.0,
        clock: Clock | None = None,
    ) -> None:
        self._settle = settle
        self._clock = clock or RealClock()
        self._world = world
        self._vantages = vantages
        self._builder = builder
        self._notify = notify
        self._mutations = mutations
        self._deletions = deletions
        self._signed: dict[tuple[object, ...], SignedRequest] = {}

    def observe(
        self,
        cells: Sequence[ExpectedCell],
        claims: Iterable[Claim],
        setting: Setting,
        *,
        now: Mapping[str, tuple[str, str]],
        known: Mapping[str, tuple[str, str]],
        unmade: Mapping[str, str],
    ) -> Observed:
        """Everything that the cells and claims ask for, sent and classified. Vantage points must be prepared.

        Who reads canaries: `now` before anything is sent, all that are `known` where S3 refuses without a reason.
        `unmade` are the buckets whose canary could not be made, and why: nothing of theirs is sent.
        """
        asked = list(claims)
        probes = probes_of(cells, asked, setting)
        readers = readers_of(cells, probes, now)
        if not asked and not any(map(writes, probes)):  # then nobody misses a reader
            readers = {bucket: reader for bucket, reader in readers.items() if reader is not None}
        others = {bucket: Reader(bucket, *who) for bucket, who in known.items() if bucket not in unmade}
        return self.send(probes, readers, unmade=unmade, others=others)

    def send(
        self,
        probes: Sequence[Probe],
        readers: Mapping[str, Reader | None],
        *,
        unmade: Mapping[str, str],
        others: Mapping[str, Reader] = MappingProxyType({}),
    ) -> Observed:
        """Reads the canaries, sends all probes, reads the canaries again, and classifies what came back.

        What deletes policies is sent last, while no process of this run measures anything. `others` read the canaries
        that nobody has read of buckets where S3 refused somebody without a reason.
        """
        last = [probe for probe in probes if is_deletion(probe.cell)]
        with nullcontext() if self._deletions is None else self._deletions.waiting():
            seen = self._sent([probe for probe in probes if probe not in last], readers, unmade=unmade, others=others)
        whys = {probe: unmade.get(probe.cell.target.bucket) for probe in last}
        seen.refusals.update((probe, why) for probe, why in whys.items() if why is not None)
        rest = [probe for probe in last if probe not in seen.refusals]
        if rest and self._deletions is not None:
            with self._deletions.alone():
                self._delete(rest, seen, deletions=self._deletions)
        self._classify(last, seen)
        return seen

    def _sent(
        self,
        probes: Sequence[Probe],
        readers: Mapping[str, Reader | None],
        *,
        unmade: Mapping[str, str],
        others: Mapping[str, Reader],
    ) -> Observed:
        """All of it but what deletes policies."""
        seen = Observed(calibration=self._world.calibration)
        for bucket, why in unmade.items():
            seen.canaries[bucket] = (False, why)
        seen.refusals.update(
            (probe, unmade[probe.cell.target.bucket]) for probe in probes if probe.cell.target.bucket in unmade
        )
        readers = {bucket: reader for bucket, reader in readers.items() if bucket not in unmade}
        self._world.accounts.prepare(
            self._world.session(probe)
            for probe in (*probes, *(reader.probe() for reader in readers.values() if reader))
        )
        there = Presence(self._world, readers, seen, exchange=self._exchange)
        there.read()
        there.refuse_absent_keys(probes)
        places = len({probe.cell.vantage for probe in probes})
        self._notify(f"sending {counted(len(probes), 'request')} from {counted(places, 'vantage point')}")
        wanted = [probe for probe in probes if self._may_send(probe, seen)]
        seen.refusals.update(self._mutations.begin(wanted))
        try:
            self._exchange([probe for probe in wanted if probe not in seen.refusals], seen)
            again = [probe for probe, answer in seen.answers.items() if _try_again(probe, answer)]
            self._exchange(again, seen)
            self._settled(seen)
        finally:
            self._mutations.undo(seen.answers, handed=seen.handed)
        self._classify(probes, seen)
        there.look_again(probes, others)
        seen.doubt()
        return seen

    def _delete(self, probes: Sequence[Probe], seen: Observed, *, deletions: Deletions) -> None:
        """Nobody else's answers tell anything while a policy is gone."""
        self._world.accounts.prepare(self._world.session(probe) for probe in probes)
        known = dict(seen.outcomes)

        def is_denied(probe: Probe) -> bool:
            found = Observed(calibration=seen.calibration)
            self._exchange([probe], found)
            return outcome_of(probe, found).denied

        deletions.send(
            probes,
            seen,
            Sender(
                send=lambda probe: self._exchange([probe], seen),
                is_denied=is_denied,
                watch=lambda bucket: next((row for row in known if shows_policy(row, known[row], bucket=bucket)), None),
            ),
        )

    def _settled(self, seen: Observed) -> None:
        """Where a window is asked for: sends again until answers agree; what changes something is sent once."""
        windows = {
            probe: self._settle if probe.cell.settle is None else probe.cell.settle
            for probe in seen.answers
            if not probe.cell.mutating
        }
        seen.flapping = settle(
            windows,
            send=lambda probes: self._exchange(probes, seen),
            kind=lambda probe: outcome_of(probe, seen).kind.value,
            clock=self._clock,
        )

    def _may_send(self, probe: Probe, seen: Observed) -> bool:
        bucket = probe.cell.target.bucket
        if probe in seen.refusals:
            return False
        # The world's canaries may be an earlier run's: what counts is that this one's reader was there.
        read, why = seen.canaries.get(bucket, (False, f"the canary of {bucket} was not read"))
        if read or not writes(probe):
            return True
        seen.refusals[probe] = f"not sent: {why}"
        return False

    # --- sending -----------------------------------------------------------------------------------------------------

    def _exchange(self, probes: Sequence[Probe], seen: Observed) -> None:
        """One batch per vantage point, all at once; stale signatures are made anew and sent once more."""
        if not probes:
            return
        self._batches(probes, seen)
        stale = [probe for probe in probes if _is_stale(seen.answers.get(probe))]
        if stale:
            self._signed.clear()
            self._batches(stale, seen)

    def _batches(self, probes: Sequence[Probe], seen: Observed) -> None:
        by_vantage: dict[str, list[Probe]] = {}
        for probe in probes:
            try:
                seen.requests[probe] = self._request(probe)
            except S3VpceError as error:
                seen.unheard(probe, str(error))
            else:
                by_vantage.setdefault(probe.cell.vantage, []).append(probe)
        with ThreadPoolExecutor(max(1, len(by_vantage))) as pool:
            todo = {pool.submit(self._batch, name, rows, seen): name for name, rows in by_vantage.items()}
            started = time.monotonic()
            try:
                while left := undone(todo, seconds=_PATIENCE):
                    names = ", ".join(sorted(todo[one] for one in left))
                    self._notify(f"still waiting for answers from {names} ({time.monotonic() - started:.0f} s)")
            except KeyboardInterrupt:
                self._vantages.end()
                raise
            for one in todo:
                one.result()

    def _batch(self, vantage: str, probes: Sequence[Probe], seen: Observed) -> None:
        try:
            point = self._vantages.get(vantage)
            seen.handed.update(probes)
            answers = point.send([seen.requests[probe] for probe in probes])
        except S3VpceError as error:
            for probe in probes:
                seen.unheard(probe, str(error))
            return
        for probe, answer in zip(probes, answers, strict=True):
            seen.heard(probe, answer)

    def _request(self, probe: Probe) -> SignedRequest:
        """The signed request of a probe: one signature serves every vantage point that uses the same host."""
        cell = probe.cell
        kind = self._world.session(probe)
        presign = self._world.presign(cell.principal)
        key = (
            cell.operation,
            cell.variant,
            cell.label,
            kind,
            presign,
            cell.transport,
            probe.canary_range,
            probe.any_owner,
            cell.target.key,
            cell.mutating,
        )
        if key not in self._signed:
            destination = self._world.destination(cell)
            principal = self._world.inventory.principals[cell.principal]
            self._signed[key] = self._builder.build(
                probe,
                request_id=f"r{len(self._signed)}",
                destination=destination,
                credentials=self._world.accounts.credentials(kind),
                ambient=destination.region if principal.ambient else None,
                presign=presign,
            )
        signed = self._signed[key]
        return signed if signed.read_timeout == cell.timeout else replace(signed, read_timeout=cell.timeout)

    # --- outcomes ----------------------------------------------------------------------------------------------------

    def _classify(self, probes: Sequence[Probe], seen: Observed) -> None:
        for probe in probes:
            seen.outcomes[probe] = outcome_of(probe, seen)
        for probe in probes:
            seen.counted[probe] = counted_of(probe, seen)


def _is_stale(answer: Answer | None) -> bool:
    return answer is not None and answer.failure is FailureKind.STALE


def _try_again(probe: Probe, answer: Answer) -> bool:
    """Never what really makes something: nobody would know what the first attempt made."""
    return not probe.cell.mutating and code_of(answer) in TRANSIENT
