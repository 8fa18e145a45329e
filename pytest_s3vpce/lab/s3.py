"""S3 as the lab serves it: every request authorised by the one engine, then answered by the state behind."""

from __future__ import annotations

import re
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
    s3listings,
    s3locks,
    s3public,
    s3tags,
    s3versions,
)
from pytest_s3vpce.lab.authorization import unsupported
from pytest_s3vpce.lab.denials import PLAIN
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3answers import no_buckets
from pytest_s3vpce.lab.s3context import outside_of_vpcs, request_keys, s3_keys
from pytest_s3vpce.lab.s3early import Order
from pytest_s3vpce.lab.s3forms import check_form, check_metadata, check_name, check_uri, malformed
from pytest_s3vpce.lab.s3payload import as_stored
from pytest_s3vpce.lab.s3requests import parse
from pytest_s3vpce.lab.s3schema import check_location
from pytest_s3vpce.lab.s3trial import POLICY_OPERATIONS, BucketLike, Trial
from pytest_s3vpce.lab.signatures import Verified
from pytest_s3vpce.lab.signaturev2 import REGIONS as REGIONS_OF_VERSION_2
from pytest_s3vpce.lab.signaturev2 import VERSION as VERSION_2
from pytest_s3vpce.operations import OPERATIONS
from pytest_s3vpce.policy import Effect

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_s3vpce.lab.judge import Judge
    from pytest_s3vpce.lab.keys import Caller
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.signatures import Anonymous
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse
    from pytest_s3vpce.network.path import Path

_REGION_HEADER: Final = "x-amz-bucket-region"
_OBJECT_READS: Final = frozenset({"GetObject", "HeadObject"})
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_ANY_REGION: Final = frozenset({"CreateBucket", "ListBuckets", "GetBucketLocation", "HeadBucket"})


class S3:
    """One instance serves all accounts."""

    def __init__(self, state: State, judge: Judge) -> None:
        self._state = state
        self._judge = judge
        self.order = Order(state, judge.calibration)

    def handle(
        self,
        request: HttpRequest,
        caller: Caller,
        verified: Verified | Anonymous,
        *,
        path: Path,
        now: datetime,
        note: dict[str, Any],
        wrong: Refused | None = None,
    ) -> HttpResponse:
        """The answer; Refused where S3 refuses. `note` takes what the request log says of it.

        `wrong` is what is told of the body once policies were asked.
        """
        request, point = accesspoints.arrival(self._state, request)
        request, source = accesspoints.copy_source(self._state, request)
        asked = parse(request)
        check_uri(asked.key, target=request.target)
        if request.method == "OPTIONS":
            return s3cors.preflight(self._state, request, asked.bucket)
        if asked.row is None:
            raise _unserved(request)
        if point is not None:
            _check_access_point(asked, verified)
        note.update(operation=asked.name, bucket=asked.bucket, key=asked.key)
        region = (verified.region if isinstance(verified, Verified) else "") or "us-east-1"
        if asked.bucket is None or asked.name == "CreateBucket":
            return self._unowned(request, asked, caller, verified, path=path, region=region, now=now, note=note)
        bucket = self._state.bucket(asked.bucket)
        if bucket is None:
            raise Refused(
                "NoSuchBucket",
                status=404,
                message="The specified bucket does not exist",
                details=(("BucketName", asked.bucket),),
            )
        _check_region(asked, bucket, verified)
        trial = Trial(
            self._state,
            self._judge,
            caller,
            path=path,
            context=self._context(request, asked, verified, path, region=bucket.region, now=now),
            note=note,
            order=self.order,
            points=(point, source),
        )
        early = self._looked_at_first(request, asked, bucket, trial)
        if early is not None:
            return early
        if asked.name == "DeleteObjects":
            return self._delete_objects(request, asked, bucket, trial)
        try:
            trial.authorise(asked, bucket)
            _check_owner(asked, bucket)
        except Refused as denial:
            if asked.name == "HeadBucket":
                denial.headers = _region_header(bucket)
            if note.get("decision") == Effect.IMPLICIT_DENY.value:
                self._tell_absence(asked, bucket, trial)
            raise
        if wrong is not None:
            raise wrong
        self._check_state(request, asked, bucket, trial)
        self.order.check_nothing(asked, bucket)
        if trial.postponed:
            self.order.check_conditions(asked, bucket, request.body)
            trial.finish()
        return self._done(request, asked, bucket, caller)

    def _done(self, request: HttpRequest, asked: S3Request, bucket: BucketState, caller: Caller) -> HttpResponse:
        """The answer to what may be done."""
        if asked.name == "GetBucketPolicyStatus":
            return s3public.policy_status(bucket, fixed=self._judge.fixed_keys)
        for room in (s3locks.answer, s3default.answer, s3documents.answer, s3versions.answer):
            kept = room(self._state, request, asked, bucket)
            if kept is not None:
                return kept
        uploaded = s3encryption.upload_key(self._state, asked, bucket)
        answer = self._call(request, asked, bucket)
        documents = asked.document is not None or request.method == "POST"
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR and documents:
            raise malformed()  # its root was right; what it holds could not be read
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR and "ContinuationToken" in asked.parameters:
            message = "The continuation token provided is incorrect"
            raise Refused("InvalidArgument", status=400, message=message)
        if answer.status < HTTPStatus.MULTIPLE_CHOICES:
            acls.settle(self._state, asked, bucket, caller)
            answer = acls.with_owners(self._state, answer, asked, account=bucket.account)
            answer = s3encryption.settle(self._state, answer, asked, bucket, uploaded=uploaded)
        if asked.name == "PutBucketPolicy" and answer.status == HTTPStatus.OK:
            return replace(answer, status=HTTPStatus.NO_CONTENT)  # as its page's example, not as its syntax
        if asked.name == "HeadBucket":
            others = [(name, value) for name, value in answer.headers if name.lower() != _REGION_HEADER]
            answer = replace(answer, headers=(*others, *_region_header(bucket)))
        return answer

    def _context(
        self,
        request: HttpRequest,
        asked: S3Request,
        verified: Verified | Anonymous,
        path: Path,
        *,
        region: str,
        now: datetime,
    ) -> dict[str, Any]:
        calibration = self._judge.calibration
        network = request_keys(request, path, region=region, now=now)
        return {
            **outside_of_vpcs(network, request.origin, calibration=calibration),
            **s3_keys(request, asked, verified, now=now, calibration=calibration),
        }

    def _looked_at_first(
        self, request: HttpRequest, asked: S3Request, bucket: BucketState, trial: Trial
    ) -> HttpResponse | None:
        """What a calibration found to come before policies, refused as S3 does."""
        self.order.check_body(request, asked, bucket)
        if not self.order.looks_first(asked) or asked.name == "DeleteObjects":
            return None
        self._check_state(request, asked, bucket, trial.waived())
        return self.order.check_conditions(asked, bucket, request.body)

    def _check_state(self, request: HttpRequest, asked: S3Request, bucket: BucketState, trial: Trial) -> None:
        """What S3 looks at once the caller is authorised; that a key is absent is told to those who may list."""
        if trial.is_foreign(bucket) and asked.name in POLICY_OPERATIONS:
            message = "The specified method is not allowed against this resource."
            raise Refused("MethodNotAllowed", status=405, message=message)
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
        s3encryption.check(self._state, request, asked, bucket)
        s3checks.check(self._state, request, asked, bucket)
        check_metadata(request.headers)
        s3conditions.check(self._state, asked, bucket, request.body)
        s3tags.check(asked, request.body)
        s3locks.check(self._state, request, asked, bucket)
        acls.check_grantees(request, asked)
        trial.check_blocks(request, asked, bucket)
        enforced = asked.name == "PutBucketOwnershipControls" and s3public.enforces_ownership(request.body)
        if enforced and acls.grants_others(self._state, bucket):
            raise s3public.acl_against_ownership(bucket.name)

    def _tell_absence(self, asked: S3Request, bucket: BucketState, trial: Trial) -> None:
        """An object that is not there has no ACL: where ACLs are on, who may list the bucket is told so.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        """
        told = self._judge.calibration.value("absent-key/list-without-get") == "404"
        unlisted = bucket.ownership == s3public.ENFORCED and not told
        if asked.name not in _OBJECT_READS or asked.key is None or unlisted:
            return
        version = asked.parameters.get("VersionId")
        if not self._state.object_exists(bucket.name, asked.key, version):
            trial.require_listing(asked, bucket, key=asked.key)
            raise s3checks.absent(version)

    def _unowned(
        self,
        request: HttpRequest,
        asked: S3Request,
        caller: Caller,
        verified: Verified | Anonymous,
        *,
        path: Path,
        region: str,
        now: datetime,
        note: dict[str, Any],
    ) -> HttpResponse:
        """Requests without a bucket that exists: ListBuckets and CreateBucket, in the caller's own account."""
        if caller.account is None:
            raise Refused("AccessDenied", status=403, message=PLAIN)
        owner = BucketLike(asked.bucket or "*", caller.account, region=region)
        context = self._context(request, asked, verified, path, region=region, now=now)
        trial = Trial(self._state, self._judge, caller, path=path, context=context, note=note, order=self.order)
        if self.order.looks_first(asked):
            check_form(asked, request.body)
            check_location(request.body)
        trial.authorise(asked, owner)
        check_form(asked, request.body)
        if asked.bucket:
            check_name(asked.bucket)
            check_location(request.body)
            s3public.check_new_bucket(asked)
        taken = self._state.bucket(asked.bucket) if asked.bucket else None
        if taken is not None and taken.account != caller.account:
            message = "The requested bucket name is not available. The bucket namespace is shared by all users."
            raise Refused("BucketAlreadyExists", status=409, message=message)
        if asked.name == "ListBuckets" and not self._state.is_loaded("s3"):
            return no_buckets(acls.canonical_id(caller.account))  # the first answer need not wait for S3's objects
        answer = self._state.call("s3", request, account=caller.account, region=region, target=asked.target)
        return acls.with_owners(self._state, answer, asked, account=caller.account)

    def _delete_objects(
        self, request: HttpRequest, asked: S3Request, bucket: BucketState, trial: Trial
    ) -> HttpResponse:
        """Each key is decided on its own, and refused on its own inside of a 200."""
        _check_owner(asked, bucket)
        s3checks.check(self._state, request, asked, bucket)
        entries, quiet = s3deletes.read(request.body)
        refused: list[tuple[s3deletes.Deletion, Refused]] = []
        left: list[s3deletes.Deletion] = []
        idle: list[s3deletes.Deletion] = []
        home = self._state.stored(bucket.name)
        for entry in entries:
            parameters = {**asked.parameters, **entry.parameters()}
            one = replace(asked, row=OPERATIONS["DeleteObject"], key=entry.key, parameters=parameters)
            try:
                if self.order.looks_first(asked):
                    s3checks.check_etag(self._state, bucket.name, entry.key, wanted=entry.etag)
                trial.authorise(one, bucket)
                entry.check()
                s3checks.check_etag(self._state, bucket.name, entry.key, wanted=entry.etag)
                s3locks.check(self._state, request, one, bucket)
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

    def _call(self, request: HttpRequest, asked: S3Request, bucket: BucketState, **overrides: Any) -> HttpResponse:
        stored = as_stored(request)
        stored["headers"] |= s3conditions.unread(request, asked)
        changed = {**stored, **overrides}
        home = self._state.stored(bucket.name)
        done = s3versions.as_done(asked, s3tags.as_done(asked, request), home)
        answer = self._state.call(
            "s3", done, account=bucket.account, region=bucket.region, target=s3listings.target(asked), **changed
        )
        return s3versions.settle(asked, s3listings.settle(asked, s3tags.settle(asked, answer)), home)


def _unserved(request: HttpRequest) -> Refused:
    from pytest_s3vpce.lab import s3post

    if s3post.is_post_to_bucket(request):
        return s3post.other_form()
    return Refused("NotImplemented", status=501, message="The lab has no such operation of s3.")


def _check_access_point(asked: S3Request, verified: Verified | Anonymous) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-restrictions-limitations.html"""
    if not isinstance(verified, Verified):
        raise Refused("AccessDenied", status=403, message=PLAIN)
    if verified.signature_version == VERSION_2:
        raise unsupported()
    if asked.name not in accesspoints.SERVED:
        message = "The specified method is not allowed against this resource."
        raise Refused("MethodNotAllowed", status=405, message=message)


def _check_region(asked: S3Request, bucket: BucketState, verified: Verified | Anonymous) -> None:
    """A request that was sent to, or signed for, another Region than the bucket's."""
    if asked.name in _ANY_REGION:
        return
    if asked.host_region is not None and asked.host_region != bucket.region:
        raise Refused(
            "PermanentRedirect",
            status=301,
            message="The bucket you are attempting to access must be addressed using the specified endpoint. Please "
            "send all future requests to this endpoint.",
            details=(("Endpoint", f"{bucket.name}.s3.{bucket.region}.amazonaws.com"), ("Bucket", bucket.name)),
            headers=_region_header(bucket),
        )
    if isinstance(verified, Verified) and verified.signature_version == VERSION_2:
        if bucket.region not in REGIONS_OF_VERSION_2:
            raise unsupported()
        return
    if isinstance(verified, Verified) and verified.region != bucket.region:
        raise Refused(
            "AuthorizationHeaderMalformed",
            status=400,
            message=f"The authorization header is malformed; the region '{verified.region}' is wrong; expecting "
            f"'{bucket.region}'",
            details=(("Region", bucket.region),),
            headers=_region_header(bucket),
        )


def _region_header(bucket: BucketState) -> tuple[tuple[str, str], ...]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html"""
    return ((_REGION_HEADER, bucket.region),)


def _check_owner(asked: S3Request, bucket: BucketState) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html"""
    wanted = asked.parameters.get("ExpectedBucketOwner")
    if wanted is not None and not _ACCOUNT.fullmatch(wanted):
        message = f"The value of the expected bucket owner parameter must be an AWS Account ID... [{wanted}]"
        raise Refused("InvalidBucketOwnerAWSAccountID", status=400, message=message)
    if wanted is not None and wanted != bucket.account:
        raise Refused("AccessDenied", status=403, message=PLAIN)
