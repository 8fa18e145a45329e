"""One S3 request before the judge: every check that its operation needs, on the bucket or by its access point."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab import acls, s3checks, s3default, s3documents, s3public
from pytest_s3vpce.lab.denials import PLAIN, s3_blocked, s3_denial
from pytest_s3vpce.lab.judge import Question
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.resources import PublicAccessBlock, bucket_arn
from pytest_s3vpce.lab.s3context import existing_tags
from pytest_s3vpce.lab.s3subject import NO_POINTS, NewBucket, Owned, Subject
from pytest_s3vpce.lab.s3words import no_bucket
from pytest_s3vpce.operations import Check, Resource, checks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_s3vpce.lab.accesspoints import AccessPoint
    from pytest_s3vpce.lab.judge import Judge
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3early import Order
    from pytest_s3vpce.lab.s3kms import Kms
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.s3subject import Points
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.visit import Visit
    from pytest_s3vpce.lab.wire import HttpRequest
    from pytest_s3vpce.policy.acl import Acl

POLICY_OPERATIONS: Final = frozenset({"GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"})
"""What the owner's root user may always do, whatever the bucket's policy says.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html"""

_LISTS: Final = frozenset({"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"})


_LISTING: Final = Check("s3:ListBucket", Resource.BUCKET)


class Trial:
    """One request of one caller; the first denial ends it."""

    def __init__(
        self,
        state: State,
        judge: Judge,
        visit: Visit,
        *,
        context: Mapping[str, Any],
        order: Order,
        kms: Kms,
        points: Points = NO_POINTS,
    ) -> None:
        self._state = state
        self._judge = judge
        self._caller = visit.caller
        self._visit = visit
        self._context = context
        self._points = points
        self._kms = kms
        self._known: dict[tuple[str, AccessPoint | None], Owned] = {}
        self.order = order
        self.postponed: list[Callable[[], None]] = []
        """What KMS is asked once the conditions of the request were looked at."""

    def authorise(self, asked: S3Request, bucket: BucketState | NewBucket) -> None:
        for alternatives in self._judge.calibration.alternatives(
            asked.operation, checks(asked.operation, asked.parameters)
        ):
            self._require_one(alternatives, asked, bucket)

    def _require_one(self, alternatives: Sequence[Check], asked: S3Request, bucket: BucketState | NewBucket) -> None:
        for check in alternatives[:-1]:
            try:
                return self.require(check, asked, bucket)
            except Refused:
                continue
        return self.require(alternatives[-1], asked, bucket)

    def finish(self) -> None:
        """Asks KMS what was put off."""
        for ask in self.postponed:
            ask()
        self.postponed.clear()

    def waived(self) -> Trial:
        """The same for a caller who may do everything: what is looked at before policies are asked."""
        return _Waived(
            self._state,
            self._judge,
            self._visit,
            context=self._context,
            order=self.order,
            kms=self._kms,
            points=self._points,
        )

    def is_foreign(self, bucket: BucketState) -> bool:
        """Whether the caller is of another account than the bucket."""
        return self._caller.account != bucket.account

    def require_listing(self, asked: S3Request, bucket: BucketState, *, key: str) -> None:
        """Raises S3's 403 unless the caller may be told that nothing is there: the key counts as the prefix then.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html; that it does: ceph/ceph#68577.
        """
        calibration = self._judge.calibration
        seen = {"s3:prefix": key} if calibration.value("absent-key/list-by-prefix") == "404" else {}
        bare = "s3:prefix" if calibration.value("absent-key/list-elsewhere") == "404" else None
        self.require(_LISTING, asked, bucket, seen=seen, unconditioned=bare)

    def require(
        self,
        check: Check,
        asked: S3Request,
        bucket: BucketState | NewBucket,
        *,
        seen: Mapping[str, str] = MappingProxyType({}),
        unconditioned: str | None = None,
    ) -> None:
        """Raises S3's 403 unless the check is allowed."""
        subject = self._subject(check, asked, bucket)
        self._check_origin(subject.point)
        question = self._question(check, asked, subject, seen=seen, unconditioned=unconditioned)
        self._decide(question, subject)
        if subject.owned.bucket is not None:
            self._check_payer(check, asked, subject.owned.bucket)
            self._ask_kms(check, asked, subject)

    def _subject(self, check: Check, asked: S3Request, bucket: BucketState | NewBucket) -> Subject:
        """What the check is about: something of the request's own bucket, or the source of its copy."""
        if check.resource is Resource.SOURCE:
            source = s3checks.copy_source(asked)
            found = self._state.bucket(source.bucket)
            if found is None:
                raise no_bucket(source.bucket)
            return Subject(
                owned=self._owned(found, self._points.source),
                resource=f"{bucket_arn(found.name, region=found.region)}/{source.key}",
                key=source.key,
                version=source.version,
                point=self._points.source,
            )
        arn = bucket_arn(bucket.name, region=bucket.region)
        resources = {Resource.NONE: "*", Resource.OBJECT: f"{arn}/{asked.key}"}
        version = asked.parameters.get("VersionId")
        return Subject(
            owned=self._owned(bucket, self._points.own),
            resource=resources.get(check.resource, arn),
            key=asked.key,
            version=None if version is None else str(version),
            point=self._points.own,
        )

    def _owned(self, bucket: BucketState | NewBucket, point: AccessPoint | None) -> Owned:
        """The bucket and what goes with it, read once for each: a request has several checks on one."""
        at = (bucket.name, point)
        found = self._known.get(at)
        if found is None:
            found = self._known[at] = self._read(bucket, point)
        return found

    def _read(self, bucket: BucketState | NewBucket, point: AccessPoint | None) -> Owned:
        name, account = bucket.name, bucket.account
        if isinstance(bucket, NewBucket):
            return Owned(name=name, account=account, bucket=None, policy=None, block=PublicAccessBlock())
        late = self._judge.late
        block = s3public.effective(
            late.seen("propagation/public-access-block", name, bucket.public_access_block),
            self._state.account_public_access_block(account, bucket.region),
            None if point is None else point.block,
        )
        policy = acls.with_accounts(self._state, late.seen("propagation/bucket-policy", name, bucket.policy))
        return Owned(name=name, account=account, bucket=bucket, policy=policy, block=block)

    def _question(
        self, check: Check, asked: S3Request, subject: Subject, *, seen: Mapping[str, str], unconditioned: str | None
    ) -> Question:
        owned, action = subject.owned, check.action
        acl = self._acl(check, asked, subject)
        key, version = subject.key, subject.version
        return Question(
            action=action,
            resource=subject.resource,
            owner=owned.account if acl is None or acl.owner is None else acl.owner,
            bucket_owner=owned.account,
            resource_policy=None if self._is_above_policy(asked, owned) else owned.policy,
            restricts_public=owned.block.restrict_public_buckets,
            ignores_public_acls=owned.block.ignore_public_acls,
            acl=acl,
            endpoint=self._visit.path.endpoint,
            context={
                **self._context,
                **self._judge.calibration.keys(asked.operation, asked.parameters),
                **existing_tags(self._state, owned.name, action=action, key=key, version=version),
                **({} if subject.point is None else subject.point.keys()),
                **seen,
            },
            access_point=subject.point,
            unconditioned=unconditioned,
        )

    def _acl(self, check: Check, asked: S3Request, subject: Subject) -> Acl | None:
        """The list that says something on the action: of what is there, or of the object that is being written."""
        bucket, action = subject.owned.bucket, check.action
        if bucket is None:
            return None
        acl = acls.of_new(bucket, asked, self._caller, action=action)
        return acl or acls.acl_for(self._state, bucket, action=action, key=subject.key, version=subject.version)

    def _is_above_policy(self, asked: S3Request, owned: Owned) -> bool:
        return self._caller.is_root and self._caller.account == owned.account and asked.name in POLICY_OPERATIONS

    def _decide(self, question: Question, subject: Subject) -> None:
        decision = self._judge.decide(self._caller, question)
        self._visit.decided(question.action, decision)
        if decision.allowed:
            return
        calibration = self._judge.calibration
        by_point = calibration.value("message/access-point") == "the access point"
        raise s3_denial(
            decision,
            caller=self._caller,
            action=question.action,
            resource=question.by_access_point().resource if by_point else subject.resource,
            relation=self._judge.relation(self._caller, subject.owned.account),
            calibration=calibration,
        )

    def _ask_kms(self, check: Check, asked: S3Request, subject: Subject) -> None:
        ask = partial(self._kms.require, self._caller, asked, subject, action=check.action, context=self._context)
        if self.order.kms_first:
            ask()
        else:
            self.postponed.append(ask)

    def _check_payer(self, check: Check, asked: S3Request, owner: BucketState) -> None:
        """Other accounts have to say that they pay where the bucket asks it; nobody unknown can.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/RequesterPaysBuckets.html
        """
        costs = check.resource is Resource.OBJECT or check.action in _LISTS
        pays = asked.parameters.get("RequestPayer") == "requester" and not self._caller.anonymous
        if not costs or pays or not self.is_foreign(owner):
            return
        if s3documents.requester_pays(self._state, owner.name):
            self._visit.note.update(
                decision="implicit_deny", layer="requester_pays", reason="does not say that it pays"
            )
            raise Refused("AccessDenied", status=403, message=PLAIN)

    def _check_origin(self, point: AccessPoint | None) -> None:
        """An access point of a VPC takes what comes by that VPC's endpoints alone.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-vpc.html
        """
        if point is None or point.vpc is None:
            return
        endpoint = self._visit.path.endpoint
        if endpoint is None or endpoint.vpc_id != point.vpc:
            reason = f"not from `{point.vpc}`"
            self._visit.note.update(decision="implicit_deny", layer="access_point", reason=reason)
            raise Refused("AccessDenied", status=403, message=PLAIN)

    def check_blocks(self, request: HttpRequest, asked: S3Request, bucket: BucketState) -> None:
        """Raises S3's 403 where an authorised caller is blocked: by Block Public Access, or in how it encrypts."""
        fixed = self._judge.fixed_keys
        reason = s3public.blocked(asked, request.body, self._owned(bucket, self._points.own).block, fixed=fixed)
        layer = "block_public_access"
        if reason is None:
            reason, layer = s3default.blocked(self._state, asked, bucket), "blocked_encryption"
        if reason is None:
            return
        action, resource = asked.operation.requires[0].action, bucket_arn(bucket.name, region=bucket.region)
        if asked.key is not None:
            resource = f"{resource}/{asked.key}"
        self._visit.note.update(action=action, decision="explicit_deny", layer=layer, reason=reason)
        relation = self._judge.relation(self._caller, bucket.account)
        raise s3_blocked(reason, caller=self._caller, action=action, resource=resource, relation=relation)


class _Waived(Trial):
    """Of one who may do everything."""

    def require(self, *_: object, **__: object) -> None:
        """Nothing is asked."""

    def check_blocks(self, *_: object) -> None:
        """Nor is anything blocked."""
