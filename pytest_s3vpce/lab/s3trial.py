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
from pytest_s3vpce.lab.s3kms import Kms
from pytest_s3vpce.operations import Check, Resource, checks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_s3vpce.lab.accesspoints import AccessPoint
    from pytest_s3vpce.lab.judge import Judge
    from pytest_s3vpce.lab.keys import Caller
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3early import Order
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest
    from pytest_s3vpce.network.path import Path

POLICY_OPERATIONS: Final = frozenset({"GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"})
"""What the owner's root user may always do, whatever the bucket's policy says.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html"""

_LISTS: Final = frozenset({"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"})


_LISTING: Final = Check("s3:ListBucket", Resource.BUCKET)


class BucketLike:
    """What a check on a bucket that does not exist yet needs."""

    policy: str | None = None

    def __init__(self, name: str, account: str, *, region: str) -> None:
        self.name = name
        self.account = account
        self.region = region


class Trial:
    """One request of one caller; the first denial ends it."""

    def __init__(
        self,
        state: State,
        judge: Judge,
        caller: Caller,
        *,
        path: Path,
        context: Mapping[str, Any],
        note: dict[str, Any],
        order: Order,
        points: tuple[AccessPoint | None, AccessPoint | None] = (None, None),
    ) -> None:
        self._state = state
        self._judge = judge
        self._caller = caller
        self._path = path
        self._context = context
        self._note = note
        self._point, self._source_point = points
        self._kms = Kms(state, judge)
        self.order = order
        self.postponed: list[Callable[[], None]] = []
        """What KMS is asked once the conditions of the request were looked at."""

    def authorise(self, asked: S3Request, bucket: BucketState | BucketLike) -> None:
        for alternatives in self._judge.calibration.alternatives(
            asked.operation, checks(asked.operation, asked.parameters)
        ):
            self._require_one(alternatives, asked, bucket)

    def _require_one(self, alternatives: Sequence[Check], asked: S3Request, bucket: BucketState | BucketLike) -> None:
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
            self._caller,
            path=self._path,
            context=self._context,
            note=self._note,
            order=self.order,
            points=(self._point, self._source_point),
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
        bucket: BucketState | BucketLike,
        *,
        seen: Mapping[str, str] = MappingProxyType({}),
        unconditioned: str | None = None,
    ) -> None:
        """Raises S3's 403 unless the check is allowed."""
        owner, resource = bucket, bucket_arn(bucket.name, region=bucket.region)
        key, version = asked.key, asked.parameters.get("VersionId")
        if check.resource is Resource.NONE:
            resource = "*"
        elif check.resource is Resource.OBJECT:
            resource = f"{resource}/{asked.key}"
        elif check.resource is Resource.SOURCE:
            source = s3checks.copy_source(asked)
            found = self._state.bucket(source.bucket)
            if found is None:
                raise Refused("NoSuchBucket", status=404, message="The specified bucket does not exist")
            owner, resource = found, f"{bucket_arn(found.name, region=found.region)}/{source.key}"
            key, version = source.key, source.version
        policy = self._judge.late.seen("propagation/bucket-policy", owner.name, owner.policy)
        policy = acls.with_accounts(self._state, policy)
        if self._caller.is_root and self._caller.account == owner.account and asked.name in POLICY_OPERATIONS:
            policy = None
        point = self._source_point if check.resource is Resource.SOURCE else self._point
        if point is not None and point.vpc is not None:
            self._check_origin(point.vpc)
        block, acl = self._block(owner), None
        if not isinstance(owner, BucketLike):
            acl = acls.of_new(owner, asked, self._caller, action=check.action)
            acl = acl or acls.acl_for(self._state, owner, action=check.action, key=key, version=version)
        holder = owner.account if acl is None or acl.owner is None else acl.owner
        question = Question(
            action=check.action,
            resource=resource,
            owner=holder,
            bucket_owner=owner.account,
            resource_policy=policy,
            restricts_public=block.restrict_public_buckets,
            ignores_public_acls=block.ignore_public_acls,
            acl=acl,
            endpoint=self._path.endpoint,
            context={
                **self._context,
                **self._judge.calibration.keys(asked.operation, asked.parameters),
                **existing_tags(self._state, owner.name, action=check.action, key=key, version=version),
                **_point_keys(point),
                **seen,
            },
            access_point=point,
            unconditioned=unconditioned,
        )
        decision = self._judge.decide(self._caller, question)
        self._note.update(
            action=check.action, decision=decision.effect.value, layer=decision.layer, reason=decision.reason
        )
        if not decision.allowed:
            relation = self._judge.relation(self._caller, owner.account)
            calibration = self._judge.calibration
            by_point = calibration.value("message/access-point") == "the access point"
            raise s3_denial(
                decision,
                caller=self._caller,
                action=check.action,
                resource=question.by_access_point().resource if by_point else resource,
                relation=relation,
                calibration=calibration,
            )
        if not isinstance(owner, BucketLike):
            self._check_payer(check, asked, owner)
            ask_kms = partial(
                self._kms.require,
                self._caller,
                asked,
                owner,
                action=check.action,
                resource=resource,
                key=key,
                version=version,
                context=self._context,
            )
            if self.order.kms_first:
                ask_kms()
            else:
                self.postponed.append(ask_kms)

    def _check_payer(self, check: Check, asked: S3Request, owner: BucketState) -> None:
        """Other accounts have to say that they pay where the bucket asks it; nobody unknown can.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/RequesterPaysBuckets.html
        """
        costs = check.resource is Resource.OBJECT or check.action in _LISTS
        pays = asked.parameters.get("RequestPayer") == "requester" and not self._caller.anonymous
        if not costs or pays or not self.is_foreign(owner):
            return
        if s3documents.requester_pays(self._state, owner.name):
            self._note.update(decision="implicit_deny", layer="requester_pays", reason="does not say that it pays")
            raise Refused("AccessDenied", status=403, message=PLAIN)

    def _check_origin(self, vpc: str) -> None:
        """An access point of a VPC takes what comes by that VPC's endpoints alone.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-vpc.html
        """
        endpoint = self._path.endpoint
        if endpoint is None or endpoint.vpc_id != vpc:
            self._note.update(decision="implicit_deny", layer="access_point", reason=f"not from `{vpc}`")
            raise Refused("AccessDenied", status=403, message=PLAIN)

    def check_blocks(self, request: HttpRequest, asked: S3Request, bucket: BucketState) -> None:
        """Raises S3's 403 where an authorised caller is blocked: by Block Public Access, or in how it encrypts."""
        fixed = self._judge.fixed_keys
        reason = s3public.blocked(asked, request.body, self._block(bucket), fixed=fixed)
        layer = "block_public_access"
        if reason is None:
            reason, layer = s3default.blocked(self._state, asked, bucket), "blocked_encryption"
        if reason is None:
            return
        action, resource = asked.operation.requires[0].action, bucket_arn(bucket.name, region=bucket.region)
        if asked.key is not None:
            resource = f"{resource}/{asked.key}"
        self._note.update(action=action, decision="explicit_deny", layer=layer, reason=reason)
        relation = self._judge.relation(self._caller, bucket.account)
        raise s3_blocked(reason, caller=self._caller, action=action, resource=resource, relation=relation)

    def _block(self, owner: BucketState | BucketLike) -> PublicAccessBlock:
        """Block Public Access as it counts: the bucket's and its account's."""
        if isinstance(owner, BucketLike):
            return PublicAccessBlock()
        of_account = self._state.account_public_access_block(owner.account, owner.region)
        own = self._judge.late.seen("propagation/public-access-block", owner.name, owner.public_access_block)
        return s3public.effective(own, of_account, self._point.block if self._point else None)


class _Waived(Trial):
    """Of one who may do everything."""

    def require(self, *_: object, **__: object) -> None:
        """Nothing is asked."""

    def check_blocks(self, *_: object) -> None:
        """Nor is anything blocked."""


def _point_keys(point: AccessPoint | None) -> dict[str, str]:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-policies.html#access-points-condition-keys"""
    if point is None:
        return {}
    return {
        "s3:DataAccessPointArn": point.arn,
        "s3:DataAccessPointAccount": point.account,
        "s3:AccessPointNetworkOrigin": point.origin,
    }
