"""Canaries that the run makes, through a named principal and vantage point; removed by version id."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.errors import S3VpceError, TargetError
from pytest_s3vpce.model import Answer, Cell, Target
from pytest_s3vpce.operations import Form
from pytest_s3vpce.outcome import classify, code_of
from pytest_s3vpce.probe import Probe
from pytest_s3vpce.vantage import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_s3vpce.probe import ProbeBuilder
    from pytest_s3vpce.run.vantages import VantagePoints
    from pytest_s3vpce.run.world import World
    from pytest_s3vpce.vantage import Entry, Ledger

BODY: Final = b"a canary of pytest-s3vpce, made for one run: read by probes, never changed, removed at the end\n"
_PLAIN: Final = Form(documented=True, source="https://docs.aws.amazon.com/AmazonS3/latest/API/")
"""The operation as it is: what a run makes, it really makes and removes."""
UNSURE: Final = 500
"""From this status on nobody knows whether something was made."""
_NO_LOCK: Final = "ObjectLockConfigurationNotFoundError"


class Canaries:
    """Makes and removes the canaries of buckets whose inventory entry says `create`."""

    def __init__(self, world: World, vantages: VantagePoints, ledger: Ledger, *, builder: ProbeBuilder) -> None:
        self._world = world
        self._vantages = vantages
        self._ledger = ledger
        self._builder = builder
        self._entries: dict[str, Entry] = {}

    def make(self, buckets: Iterable[str]) -> dict[str, str]:
        """Makes the canaries that are to be made; comes back with the buckets where that failed, and why."""
        failed = {}
        for bucket in buckets:
            who = self._world.inventory.buckets[bucket].canary.create
            if who and bucket not in self._entries:
                try:
                    self._make(bucket, who)
                except S3VpceError as error:
                    failed[bucket] = str(error)
        return failed

    def remove(self, buckets: Iterable[str]) -> None:
        """Removes them through whoever made them; what fails stays in the ledger for the sweep."""
        for bucket in buckets:
            entry = self._entries.pop(bucket, None)
            if entry is None:
                continue
            who = self._world.inventory.buckets[bucket].canary.create or ""
            parameters = {"VersionId": entry.given_id} if entry.given_id else {}
            try:
                answer = self.send(bucket, who, "DeleteObject", parameters)
            except S3VpceError as error:
                self._ledger.kept(entry, str(error))
                continue
            if answer.status in (200, 204):
                self._ledger.removed(entry)
            else:
                self._ledger.kept(entry, f"deleting it gave {_said(answer)}")

    def _make(self, bucket: str, who: str) -> None:
        place = self._world.inventory.place("buckets", bucket, "canary")
        self._check_lock(bucket, who)
        facts = self._world.bucket(bucket)
        key = f".s3vpce/canary-{self._world.run_id}"
        entry = self._ledger.creating(
            Kind.S3_OBJECT,
            account=facts.account,
            region=self._world.region(bucket),
            identifier=f"{facts.name}/{key}",
        )
        answer = self.send(bucket, who, "PutObject", {"Body": BODY})
        if answer.status != 200:
            if answer.status is not None and answer.status < UNSURE:
                self._ledger.removed(entry)
            raise TargetError(
                f"the canary of bucket `{bucket}` could not be made by {who}: {_said(answer)}",
                place=place,
                remedy="let `create` name who may s3:PutObject and from where, or name a key that exists",
            )
        version = answer.headers.get("x-amz-version-id")
        # Also `null`, where versioning is suspended: without it a marker would stay.
        self._entries[bucket] = self._ledger.given(entry, version) if version else entry

    def _check_lock(self, bucket: str, who: str) -> None:
        """No canary is made under a default retention: nobody could remove it.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
        """
        answer = self.send(bucket, who, "GetObjectLockConfiguration", {})
        if code_of(answer) == _NO_LOCK or (answer.status == 200 and b"<DefaultRetention>" not in answer.body):
            return
        why = (
            "the bucket has a default retention"
            if answer.status == 200
            else f"its object lock configuration can't be read ({_said(answer)})"
        )
        raise TargetError(
            f"no canary is made in bucket `{bucket}`: {why}",
            place=self._world.inventory.place("buckets", bucket, "canary"),
            remedy="name a key that exists, or let `create` name one who may s3:GetBucketObjectLockConfiguration",
        )

    def send(self, bucket: str, who: str, operation: str, parameters: Mapping[str, object]) -> Answer:
        """The answer to an operation as it is, by whoever makes and removes things in that bucket."""
        principal, _, vantage = who.partition(":")
        cell = Cell(
            operation=operation,
            action=f"s3:{operation}",
            target=Target(bucket=bucket),
            principal=principal,
            vantage=vantage,
            parameters=parameters,
        )
        probe = Probe(cell=cell)
        request = self._builder.build(
            probe,
            request_id=f"canary-{time.monotonic_ns()}",
            destination=self._world.destination(cell),
            credentials=self._world.accounts.credentials(self._world.session(probe)),
            form=_PLAIN,
        )
        return self._vantages.get(vantage).send([request])[0]


def _said(answer: Answer) -> str:
    outcome = classify(answer)
    return outcome.message or outcome.code or outcome.reason or f"status {answer.status}"
