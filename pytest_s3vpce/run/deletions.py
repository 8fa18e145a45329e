"""Deletes scratch buckets' policies as probes ask for it: one at a time, last of all, and each time puts them back.

Nobody has sent a DeleteBucketPolicy before its policy was read, put as it is by whoever puts it back, and written into
the ledger: what a killed run leaves is put back by `s3vpce sweep`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import S3VpceError, TargetError
from pytest_s3vpce.model import Layer, Transport
from pytest_s3vpce.operations import Check, Resource, Trace, operation
from pytest_s3vpce.run.objects import is_s3s
from pytest_s3vpce.vantage import Kind, Ledger, policies
from pytest_s3vpce.vantage.control import FAULTS, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from pytest_s3vpce.model import Answer, Cell, Outcome
    from pytest_s3vpce.probe import Probe
    from pytest_s3vpce.run.folder import RunFolder
    from pytest_s3vpce.run.observed import Observed
    from pytest_s3vpce.run.settling import Clock
    from pytest_s3vpce.run.world import World
    from pytest_s3vpce.vantage import Entry

CALM: Final = 3.0
"""Seconds for which somebody must be denied again before the next one is let at a policy that was put back."""
_MEASURING: Final = "measuring"
"""The lock of the run's folder that all share who measure."""
_PATIENCE: Final = 60.0
_PAUSE: Final = 1.0
_REFUSALS: Final = range(400, 500)
_SUCCESSES: Final = range(200, 300)


def is_deletion(cell: Cell) -> bool:
    """Whether it takes a bucket's policy away."""
    return cell.mutating and operation(cell.operation).leaves is Trace.POLICY


def shows_policy(probe: Probe, outcome: Outcome, *, bucket: str) -> bool:
    """Whether it reads there, and is kept out by an explicit deny of the bucket's policy alone, as far as S3 says."""
    cell = probe.cell
    by_policy = outcome.denied and outcome.layer is Layer.RESOURCE and outcome.explicit is True
    reads = not operation(cell.operation).writes and not probe.session_policy
    return by_policy and reads and cell.target.bucket == bucket and cell.transport is not Transport.HTTP


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Sends a probe into what was seen, and one again that was denied: whether it still is."""

    send: Callable[[Probe], None]
    is_denied: Callable[[Probe], bool]
    watch: Callable[[str], Probe | None]
    """What reads in a bucket and was denied by its policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Policy:
    """A bucket's policy as it was, and the client that puts it back."""

    bucket: str
    name: str
    text: str
    s3: Any


class Deletions:
    """One run's."""

    def __init__(self, world: World, folder: RunFolder, *, clock: Clock) -> None:
        self._world = world
        self._folder = folder
        self._ledger = Ledger(folder.ledger)
        self._clock = clock

    def waiting(self) -> AbstractContextManager[None]:
        """For who measures: no process of this run deletes a policy meanwhile."""
        return self._folder.shared(_MEASURING)

    def alone(self) -> AbstractContextManager[None]:
        """For who deletes: no process of this run measures meanwhile."""
        return self._folder.locked(_MEASURING)

    def send(self, probes: Sequence[Probe], seen: Observed, sender: Sender) -> None:
        """Bucket by bucket; of what is not sent, `seen` has why, and of each bucket whether its policy is as it was."""
        for bucket in dict.fromkeys(probe.cell.target.bucket for probe in probes):
            rows = [probe for probe in probes if probe.cell.target.bucket == bucket]
            try:
                policy = self._shown(bucket)
            except (S3VpceError, *FAULTS) as error:
                words = str(error) if isinstance(error, S3VpceError) else words_of(error)
                seen.refusals.update(dict.fromkeys(rows, f"not sent: the policy of {bucket} stays: {words}"))
                continue
            entry = self._ledger.creating(
                Kind.BUCKET_POLICY,
                account=self._world.bucket(bucket).account,
                region=self._world.region(bucket),
                identifier=policy.name,
                content=policy.text,
            )
            doubts = list(self._each(rows, policy, seen, sender))
            self._close(entry, doubts, seen, bucket=bucket)

    def _close(self, entry: Entry, doubts: list[str], seen: Observed, *, bucket: str) -> None:
        if doubts:
            self._ledger.kept(entry, doubts[-1])
            seen.policies[bucket] = (False, f"the policy of {bucket} may not be as it was: {doubts[-1]}")
        else:
            self._ledger.removed(entry)
            seen.policies[bucket] = (True, f"the policy of {bucket} reads as it did, byte for byte")

    # --- before ------------------------------------------------------------------------------------------------------

    def _shown(self, bucket: str) -> _Policy:
        """The policy, once whoever puts it back has put it as it is. Raises TargetError, or what boto3 does."""
        row = self._world.inventory.buckets.get(bucket)
        if row is None or not row.scratch:
            raise TargetError(
                "the bucket is not declared a scratch bucket",
                remedy="set `scratch: true` on one whose policy may be gone for a moment",
            )
        facts = self._world.bucket(bucket)
        for error in self._world.accounts.guard([facts.account]).values():
            raise error
        s3 = self._world.accounts.client("s3", account=facts.account, region=self._world.region(bucket))
        text = policies.read(s3, facts.name, ExpectedBucketOwner=facts.account_id)
        if text is None:
            raise TargetError("there is none, so deleting it shows nothing")
        who = self._world.accounts.client("sts", account=facts.account).get_caller_identity()["Arn"]
        arn = facts.arn(Check("s3:PutBucketPolicy", Resource.BUCKET))
        if policies.rests_on_itself(text, bucket_arn=arn, account=facts.account_id, who=who):
            raise TargetError(
                f"without it {who} may not be allowed to put it back",
                remedy="let the runner's own policies allow it s3:GetBucketPolicy and s3:PutBucketPolicy",
            )
        policy = _Policy(bucket=bucket, name=facts.name, text=text, s3=s3)
        if (why := self._put_back(policy)) is not None:
            raise TargetError(f"{who} could not put it as it is: {why}")
        return policy

    # --- one after the other -----------------------------------------------------------------------------------------

    def _each(self, probes: Sequence[Probe], policy: _Policy, seen: Observed, sender: Sender) -> Iterator[str]:
        """Why the policy may not be as it was, or may yet go; nothing where each was refused, or put right again."""
        gone, watched = False, sender.watch(policy.bucket)
        for number, probe in enumerate(probes):
            if gone and (why := self._not_in_force(policy.bucket, watched, sender)):
                seen.refusals.update(dict.fromkeys(probes[number:], f"not sent: {why}"))
                yield from [why] if watched else []
                return
            if (found := self._gone(policy)) is not None:
                seen.refusals.update(dict.fromkeys(probes[number:], f"not sent: {found}"))
                yield found
                return
            wrong, unsure = None, False
            try:
                sender.send(probe)
            finally:  # whatever ends the run in between
                answer = seen.answers.get(probe)
                if probe in seen.handed and not _is_refusal(answer):
                    gone, unsure = True, answer is None or answer.status not in _SUCCESSES
                    wrong = self._put_back(policy)
            if wrong is not None:
                seen.refusals.update(dict.fromkeys(probes[number + 1 :], f"not sent: the policy is not back: {wrong}"))
                yield wrong
                return
            if unsure:
                yield f"{probe.cell.id} was not answered, and may still arrive"
        if gone and watched and (why := self._not_in_force(policy.bucket, watched, sender)):
            yield why

    def _gone(self, policy: _Policy) -> str | None:
        """Why the policy is not the one that was read: without it, who deletes it shows nothing."""
        try:
            same = policies.read(policy.s3, policy.name) == policy.text
        except FAULTS as error:
            return words_of(error)
        return None if same else f"somebody else changed the policy of {policy.bucket} meanwhile"

    def _put_back(self, policy: _Policy) -> str | None:
        try:
            return policies.put_back(policy.s3, policy.name, text=policy.text, sleep=self._clock.sleep)
        except FAULTS as error:
            return words_of(error)

    def _not_in_force(self, bucket: str, watched: Probe | None, sender: Sender) -> str:
        """Waits until who was denied by the policy is denied again for a while; why nothing shows that it is."""
        if watched is None:
            return f"nobody whom the policy of {bucket} denies something shows that it is in force again"
        end = self._clock.now() + _PATIENCE
        since: float | None = None
        while (now := self._clock.now()) < end:
            since = (now if since is None else since) if sender.is_denied(watched) else None
            if since is not None and now - since >= CALM:
                return ""
            self._clock.sleep(_PAUSE)
        return (
            f"{watched.cell.id} was not denied again within {_PATIENCE:.0f} s after the policy of {bucket} was put back"
        )


def _is_refusal(answer: Answer | None) -> bool:
    """Whether S3 itself said no, so that nothing was deleted."""
    return answer is not None and answer.status in _REFUSALS and is_s3s(answer)
