"""S3 as the lab serves it: every request authorised by the one engine, then answered by the state behind."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab import (
    accesspoints,
    acls,
    s3checks,
    s3conditions,
    s3cors,
    s3default,
    s3deletes,
    s3documents,
    s3encryption,
    s3grants,
    s3lifecycle,
    s3listings,
    s3locks,
    s3places,
    s3public,
    s3tags,
    s3uploads,
    s3versions,
)
from pytest_s3vpce.lab.denials import PLAIN
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3answers import no_buckets, upload_of
from pytest_s3vpce.lab.s3context import s3_keys
from pytest_s3vpce.lab.s3early import Order
from pytest_s3vpce.lab.s3forms import check_form, check_metadata, check_name, check_uri, malformed
from pytest_s3vpce.lab.s3kms import Kms
from pytest_s3vpce.lab.s3payload import as_stored
from pytest_s3vpce.lab.s3requests import parse
from pytest_s3vpce.lab.s3schema import check_location
from pytest_s3vpce.lab.s3subject import NO_POINTS, NewBucket, Points
from pytest_s3vpce.lab.s3trial import POLICY_OPERATIONS, Trial
from pytest_s3vpce.lab.s3words import invalid_argument, not_allowed
from pytest_s3vpce.operations import OPERATIONS
from pytest_s3vpce.policy import Effect
from pytest_s3vpce.policy.layers import ENFORCED

if TYPE_CHECKING:
    from pytest_s3vpce.lab.judge import Judge
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.visit import Visit
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse

_OBJECT_READS: Final = frozenset({"GetObject", "HeadObject"})
_ROOMS: Final = (
    s3locks.answer,
    s3default.answer,
    s3documents.answer,
    s3lifecycle.answer,
    s3versions.answer,
    s3grants.answer,
    s3uploads.answer,
)
"""Who answers what the state behind does not know, or not rightly."""


class S3:
    """One instance serves all accounts."""

    def __init__(self, state: State, judge: Judge) -> None:
        self._state = state
        self._judge = judge
        self._kms = Kms(state, judge)
        self.order = Order(state, judge.calibration)

    def handle(self, visit: Visit) -> HttpResponse:
        """The answer; Refused where S3 refuses."""
        request, own = accesspoints.arrival(self._state, visit.request)
        request, source = accesspoints.copy_source(self._state, request)
        asked = parse(request)
        check_uri(asked.key, target=request.target)
        if request.method == "OPTIONS":
            return s3cors.preflight(self._state, request, asked.bucket)
        if asked.row is None:
            raise s3places.unserved(request)
        if own is not None:
            s3places.check_access_point(asked, visit.verified)
        visit.note.update(operation=asked.name, bucket=asked.bucket, key=asked.key)
        visit = visit if request is visit.request else replace(visit, request=request)
        if asked.bucket is None or asked.name == "CreateBucket":
            return self._unowned(visit, asked)
        bucket = s3places.bucket_of(self._state, asked, visit.verified)
        trial = self._trial(visit, asked, region=bucket.region, points=Points(own=own, source=source))
        return self._in_bucket(visit, asked, bucket, trial)

    def _trial(self, visit: Visit, asked: S3Request, *, region: str, points: Points = NO_POINTS) -> Trial:
        context = s3_keys(visit, asked, region=region, calibration=self._judge.calibration)
        return Trial(self._state, self._judge, visit, context=context, order=self.order, kms=self._kms, points=points)

    def _in_bucket(self, visit: Visit, asked: S3Request, bucket: BucketState, trial: Trial) -> HttpResponse:
        self._look_first(visit.request, asked, bucket, trial)
        if asked.name == "DeleteObjects":
            visit.check_body()  # it says what policies are to be asked about
            return self._delete_objects(visit.request, asked, bucket, trial)
        self._admit(visit, asked, bucket, trial)
        visit.check_body()
        self._check_state(visit.request, asked, bucket, trial)
        if trial.postponed:
            self.order.check_conditions(asked, bucket, visit.request.body)
            trial.finish()
        return self._done(visit, asked, bucket)

    def _look_first(self, request: HttpRequest, asked: S3Request, bucket: BucketState, trial: Trial) -> None:
        """What a calibration found to come before policies, refused as S3 does."""
        self.order.check_body(request, asked, bucket)
        if self.order.looks_first(asked) and asked.name != "DeleteObjects":
            self._check_state(request, asked, bucket, trial.waived())
            self.order.check_conditions(asked, bucket, request.body)

    def _admit(self, visit: Visit, asked: S3Request, bucket: BucketState, trial: Trial) -> None:
        """Refuses whom policies do not let in, or who means another bucket."""
        try:
            trial.authorise(asked, bucket)
            s3places.check_owner(asked, bucket)
        except Refused as denial:
            if asked.name == "HeadBucket":
                denial.headers = s3places.region_header(bucket)
            if visit.note.get("decision") == Effect.IMPLICIT_DENY.value:
                self._tell_absence(asked, bucket, trial)
            raise

    def _tell_absence(self, asked: S3Request, bucket: BucketState, trial: Trial) -> None:
        """An object that is not there has no ACL: where ACLs are on, who may list the bucket is told so.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        """
        told = self._judge.calibration.value("absent-key/list-without-get") == "404"
        unlisted = bucket.ownership == ENFORCED and not told
        if asked.name not in _OBJECT_READS or asked.key is None or unlisted:
            return
        version = asked.parameters.get("VersionId")
        if not self._state.object_exists(bucket.name, asked.key, version):
            trial.require_listing(asked, bucket, key=asked.key)
            raise s3checks.absent(version)

    def _check_state(self, request: HttpRequest, asked: S3Request, bucket: BucketState, trial: Trial) -> None:
        """What S3 looks at once the caller is authorised."""
        if trial.is_foreign(bucket) and asked.name in POLICY_OPERATIONS:
            raise not_allowed()
        self._check_presence(request, asked, bucket, trial)
        s3encryption.check(self._state, request, asked, bucket)
        s3checks.check(self._state, request, asked, bucket)
        check_metadata(request.headers)
        s3conditions.check(self._state, asked, bucket, request.body)
        s3tags.check(asked, request.body)
        s3locks.check(self._state, request, asked, bucket)
        trial.check_blocks(request, asked, bucket)
        enforced = asked.name == "PutBucketOwnershipControls" and s3public.enforces_ownership(request.body)
        if enforced and acls.grants_others(self._state, bucket):
            raise s3public.acl_against_ownership(bucket.name)

    def _check_presence(self, request: HttpRequest, asked: S3Request, bucket: BucketState, trial: Trial) -> None:
        """That an object is absent, its own or the source of its copy, is told to those who may list."""
        if asked.name in s3checks.NEEDS_OBJECT and asked.key is not None:
            version = asked.parameters.get("VersionId")
            if not self._state.object_exists(bucket.name, asked.key, version):
                trial.require_listing(asked, bucket, key=asked.key)
                check_form(asked, request.body)
                marker = self._state.is_delete_marker(bucket.name, asked.key, version)
                raise s3checks.deleted(version) if marker else s3checks.absent(version)
        if "CopySource" in asked.parameters:
            source = s3checks.copy_source(asked)
            owner = self._state.bucket(source.bucket)
            if owner is not None and not self._state.object_exists(source.bucket, source.key, source.version):
                trial.require_listing(asked, owner, key=source.key)

    def _done(self, visit: Visit, asked: S3Request, bucket: BucketState) -> HttpResponse:
        """The answer to what may be done."""
        if asked.name == "GetBucketPolicyStatus":
            return s3public.policy_status(bucket, fixed=self._judge.fixed_keys)
        for room in _ROOMS:
            kept = room(self._state, visit.request, asked, bucket)
            if kept is not None:
                return kept
        upload = upload_of(self._state, asked, bucket)  # once it is complete it is gone
        answer = self._call(visit.request, asked, bucket)
        _check_understood(visit.request, asked, answer)
        if answer.status < HTTPStatus.MULTIPLE_CHOICES:
            s3grants.settle(self._state, asked, bucket, visit.caller, answer=answer)
            answer = acls.with_writers(self._state, answer, asked, bucket)
            answer = acls.with_owners(answer, asked, account=bucket.account)
            s3locks.settle(self._state, asked, bucket, answer, upload=upload)
            answer = s3encryption.settle(self._state, answer, asked, bucket, upload=upload)
            answer = self._kms.settle(asked, bucket, visit.caller, answer, upload=upload)
        if asked.name == "PutBucketPolicy" and answer.status == HTTPStatus.OK:
            return replace(answer, status=HTTPStatus.NO_CONTENT)  # as its page's example, not as its syntax
        return s3places.with_region(answer, bucket) if asked.name == "HeadBucket" else answer

    def _unowned(self, visit: Visit, asked: S3Request) -> HttpResponse:
        """Requests without a bucket that exists: ListBuckets and CreateBucket, in the caller's own account."""
        request, account, region = visit.request, visit.caller.account, visit.region or "us-east-1"
        if account is None:
            raise Refused("AccessDenied", status=403, message=PLAIN)
        trial = self._trial(visit, asked, region=region)
        if self.order.looks_first(asked):
            check_form(asked, request.body)
            check_location(request.body)
        trial.authorise(asked, NewBucket(name=asked.bucket or "*", account=account, region=region))
        visit.check_body()
        check_form(asked, request.body)
        if asked.bucket:
            self._check_new(asked, request.body, account=account)
        if asked.name == "ListBuckets" and not self._state.is_loaded("s3"):
            return no_buckets(acls.canonical_id(account))  # the first answer need not wait for S3's objects
        answer = self._state.call("s3", request, account=account, region=region, target=asked.target)
        if asked.bucket and answer.status == HTTPStatus.OK:
            s3grants.settle_bucket(self._state, asked, account)
        return acls.with_owners(answer, asked, account=account)

    def _check_new(self, asked: S3Request, body: bytes, *, account: str) -> None:
        """What a bucket may be called and made like."""
        name = asked.bucket or ""
        check_name(name)
        check_location(body)
        s3public.check_new_bucket(asked)
        taken = self._state.bucket(name)
        if taken is not None and taken.account != account:
            message = "The requested bucket name is not available. The bucket namespace is shared by all users."
            raise Refused("BucketAlreadyExists", status=409, message=message)

    def _delete_objects(
        self, request: HttpRequest, asked: S3Request, bucket: BucketState, trial: Trial
    ) -> HttpResponse:
        """Each key is decided on its own, and refused on its own inside of a 200."""
        s3places.check_owner(asked, bucket)
        s3checks.check(self._state, request, asked, bucket)
        entries, quiet = s3deletes.read(request.body)
        refused: list[tuple[s3deletes.Deletion, Refused]] = []
        left: list[s3deletes.Deletion] = []
        idle: list[s3deletes.Deletion] = []
        home = self._state.stored(bucket.name)
        for entry in entries:
            try:
                self._check_deletion(entry, request, asked, bucket, trial)
            except Refused as denial:
                refused.append((entry, denial))
            else:
                (idle if s3versions.is_absent(home, entry.key, entry.version) else left).append(entry)
        answer = s3deletes.nothing_deleted()
        if left:
            plain = {"content-md5": None, "content-type": "application/xml", "x-amz-checksum-crc32": None}
            body = s3deletes.written(left)
            answer = self._call(request, asked, bucket, body=body, headers=plain)
        return s3deletes.with_others(answer, refused, idle=idle, quiet=quiet)

    def _check_deletion(
        self, entry: s3deletes.Deletion, request: HttpRequest, asked: S3Request, bucket: BucketState, trial: Trial
    ) -> None:
        parameters = {**asked.parameters, **entry.parameters()}
        one = replace(asked, row=OPERATIONS["DeleteObject"], key=entry.key, parameters=parameters)
        if self.order.looks_first(asked):
            s3checks.check_etag(self._state, bucket.name, entry.key, wanted=entry.etag)
        trial.authorise(one, bucket)
        entry.check()
        s3checks.check_etag(self._state, bucket.name, entry.key, wanted=entry.etag)
        s3locks.check(self._state, request, one, bucket)

    def _call(self, request: HttpRequest, asked: S3Request, bucket: BucketState, **overrides: Any) -> HttpResponse:
        stored = as_stored(request)
        stored["headers"] |= s3conditions.unread(request, asked) | s3locks.unread(asked)
        changed = {**stored, **overrides}
        home = self._state.stored(bucket.name)
        done = s3versions.as_done(asked, s3tags.as_done(asked, request), home)
        answer = self._state.call(
            "s3", done, account=bucket.account, region=bucket.region, target=s3listings.target(asked), **changed
        )
        return s3versions.settle(asked, s3listings.settle(asked, s3tags.settle(asked, answer)), home)


def _check_understood(request: HttpRequest, asked: S3Request, answer: HttpResponse) -> None:
    """Where the state behind fails it is for what it could not read."""
    if answer.status != HTTPStatus.INTERNAL_SERVER_ERROR:
        return
    if asked.document is not None or request.method == "POST":
        raise malformed()  # its root was right; what it holds could not be read
    if "ContinuationToken" in asked.parameters:
        raise invalid_argument("The continuation token provided is incorrect")
