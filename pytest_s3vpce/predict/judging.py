"""A cell and a snapshot to the answer that S3 will give, through the one engine and the one path resolver."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.calibration import NONE
from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.model import Transport
from pytest_s3vpce.network.path import Dropped
from pytest_s3vpce.network.topology import EndpointKind
from pytest_s3vpce.operations import Resource
from pytest_s3vpce.policy import Document, Effect, Request, Unknown, parse
from pytest_s3vpce.predict.asking import Asking
from pytest_s3vpce.predict.case import Case, Cases
from pytest_s3vpce.predict.doubt import Doubt, Doubted, decide_in_doubt
from pytest_s3vpce.predict.kms import of_kms
from pytest_s3vpce.predict.layers import blocks_of
from pytest_s3vpce.predict.ways import ways
from pytest_s3vpce.snapshot.state import AccessPointRow, Unread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.calibration import Calibration
    from pytest_s3vpce.model import Cell, SignedRequest
    from pytest_s3vpce.operations import Check
    from pytest_s3vpce.policy import Decision, Policies
    from pytest_s3vpce.predict.ways import Way
    from pytest_s3vpce.probe import ProbeBuilder
    from pytest_s3vpce.snapshot.state import BucketRow, Snapshot

_EVERYTHING = parse(
    json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}),
    name="identity",
)


_OWNERS_ALONE: Final = frozenset({"GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"})
"""Operations that S3 answers other accounts than the bucket's with a 405, if it does not deny them.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicy.html
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What S3 will answer to a cell, and what led to that."""

    expected: Expected
    cell: Cell
    way: Way | None = None
    decision: Decision | None = None
    action: str = ""
    """The action that decided: the cell's own, a helper's or one of KMS."""
    resource: str = ""
    why: str = ""
    """One sentence."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Layers that could not be read, and why."""

    @property
    def layer(self) -> str | None:
        return None if self.decision is None else self.decision.layer


class Predictor:
    """Predicts cells from one snapshot; compiles each policy once. Not for several threads."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        now: float | None = None,
        session_name: str | None = None,
        builder: ProbeBuilder | None = None,
        calibration: Calibration = NONE,
    ) -> None:
        """`builder` makes the requests of cells that have none yet; by default one of its own."""
        self.snapshot = snapshot
        self._asking = Asking(snapshot, now=time.time() if now is None else now)
        self._cases = Cases(snapshot, session_name=session_name, builder=builder, calibration=calibration)

    def predict(self, cell: Cell, *, request: SignedRequest | None = None, policy: str = "") -> Prediction:
        """What S3 will answer. `request` is the cell's own where it was made; `policy` a further session policy."""
        self._unread.clear()
        unknown = Prediction(expected=Expected.UNKNOWN, cell=cell)
        try:
            case = self._cases.case(cell, request=request, policy=policy)
            return replace(unknown, why=case) if isinstance(case, str) else self._judged(cell, case, unknown)
        except S3VpceError as error:
            return replace(unknown, why=error.what)

    def _judged(self, cell: Cell, case: Case, unknown: Prediction) -> Prediction:
        vantage = self.snapshot.vantage(cell.vantage)
        if vantage is None:
            return replace(unknown, why=f"vantage point `{cell.vantage}` is not in the snapshot")
        port = 80 if cell.transport is Transport.HTTP else 443
        host = case.request.host.partition(":")[0]
        found = [self._by(way, case) for way in ways(self.snapshot, vantage, host=host, port=port)]
        if not found:
            return replace(unknown, why=f"`{cell.vantage}` stands in no subnet that is known")
        first = found[0]
        if any((row.expected, row.layer) != (first.expected, first.layer) for row in found):
            named = "; ".join(f"{row.way.subnet}: {row.expected}" for row in found if row.way is not None)
            return replace(first, expected=Expected.UNKNOWN, why=f"it depends on the subnet that sends ({named})")
        return first

    def _unread_in(self, decision: Decision) -> dict[str, str]:
        """What was not read of an unknown decision's layers, and why."""
        if decision.effect is not Effect.UNKNOWN:
            return {}
        return {
            layer: why for layer, why in self._unread.items() if decision.layers.get(layer) in (None, decision.effect)
        }

    @property
    def _unread(self) -> dict[str, str]:
        return self._asking.layers.unread

    def _by(self, way: Way, case: Case) -> Prediction:
        found = Prediction(expected=Expected.UNKNOWN, cell=case.cell, way=way)
        if isinstance(way.path, Dropped):
            return replace(found, expected=Expected.UNREACHABLE, why=way.path.reason)
        endpoint = None if way.path is None else way.path.endpoint
        if endpoint is not None and endpoint.kind is EndpointKind.INTERFACE and case.cell.transport is Transport.TLS13:
            return replace(found, why="interface endpoints of S3 speak no TLS 1.3")
        last = found
        for alternatives in case.checks:
            tried = [self._checked_with_kms(check, way, case) for check in alternatives]
            best = (row for wanted in (Expected.ALLOW, Expected.UNKNOWN) for row in tried if row.expected is wanted)
            seen = next(best, tried[-1])
            if seen.expected is not Expected.ALLOW:
                return seen
            if last is found or case.cell.action in [check.action for check in alternatives]:
                last = seen
        if case.row.api_name in _OWNERS_ALONE and case.caller.account != case.bucket.account_id:
            why = "S3 answers other accounts than the bucket's with a 405, which is no denial"
            return replace(last, expected=Expected.UNKNOWN, why=why)
        return last

    def _checked_with_kms(self, check: Check, way: Way, case: Case) -> Prediction:
        seen = self._checked(check, way, case)
        return (self._kms(check, way, case) or seen) if seen.expected is Expected.ALLOW else seen

    def _kms(self, check: Check, way: Way, case: Case) -> Prediction | None:
        found = of_kms(check, way, case, self._asking)
        if found is None:
            return None
        if found.doubted is not None:
            return self._told(found.doubted, found.action, found.key, way, case)
        return Prediction(
            expected=found.expected,
            cell=case.cell,
            way=way,
            action=found.action,
            resource=found.key,
            why=found.why,
            unread={"kms": found.unread} if found.unread else {},
        )

    def _checked(self, check: Check, way: Way, case: Case) -> Prediction:
        """One action on one resource."""
        bucket = case.owner(check, self.snapshot)
        resource = case.arn(check, bucket)
        point = None if check.resource is Resource.SOURCE else case.point
        if isinstance(point, AccessPointRow) and point.vpc is not None:
            endpoint = None if way.path is None or isinstance(way.path, Dropped) else way.path.endpoint
            if way.path is not None and (endpoint is None or endpoint.vpc_id != point.vpc):
                why = f"access point {point.arn} takes only what comes by endpoints of {point.vpc}"
                return Prediction(
                    expected=Expected.IMPLICIT_DENY,
                    cell=case.cell,
                    way=way,
                    action=check.action,
                    resource=resource,
                    why=why,
                )
        found = self._decided(check, resource, bucket, point, way, case)
        return self._told(found, check.action, resource, way, case)

    def _told(self, found: Doubted, action: str, resource: str, way: Way, case: Case) -> Prediction:
        decision = found.decision
        why = decision.reason
        if found.missing:
            why = f"it depends on what is not known: {', '.join(found.missing)}"
        elif decision.effect is Effect.UNKNOWN and way.path is None and not self._unread:
            why = f"the path from {case.cell.vantage} is not known"
        return Prediction(
            expected=Expected(decision.effect.value),
            cell=case.cell,
            way=way,
            decision=decision,
            action=action,
            resource=resource,
            why=why,
            unread=self._unread_in(decision),
        )

    def _decided(  # noqa: PLR0917 - who asks what of whom by which way
        self,
        check: Check,
        resource: str,
        bucket: BucketRow,
        point: AccessPointRow | Unread | None,
        way: Way,
        case: Case,
    ) -> Doubted:
        """As the engine decides; by an access point, on its name and then on the bucket's."""
        given, doubt = self._asking.keys(check, bucket, point, way, case)
        acl = self._asking.acl(check, bucket, case)
        holder = bucket.account_id
        if acl is not None and not isinstance(acl, Unknown) and acl.owner is not None:
            holder = acl.owner
        policies = self._asking.policies(bucket, point, acl, way, case)
        if holder != bucket.account_id:
            given, doubt = self._asking.owned_by(holder, given, doubt)
            policies = replace(policies, **self._asking.policies_of_owner(holder))
            if isinstance(policies.resource, Document):
                # Another account's object: the bucket's policy may deny access to it, not allow it.
                policies = replace(policies, resource=replace(policies.resource, allows=()))
        request = Request(
            action=check.action,
            resource=resource,
            resource_account=holder,
            principal=case.principal,
            context=given,
        )
        if point is None:
            return self._with_block(request, policies, doubt, bucket, None)
        return self._by_point(request, policies, doubt, bucket, point)

    def _with_block(
        self,
        request: Request,
        policies: Policies,
        doubt: Doubt,
        bucket: BucketRow,
        point: AccessPointRow | Unread | None,
    ) -> Doubted:
        """Where Block Public Access was not read: decided with and without it."""
        found = decide_in_doubt(request, policies, doubt)
        blocks = blocks_of(bucket, account=self.snapshot.account(bucket.account), point=point)
        bad = [row for row in blocks if isinstance(row, Unread)]
        if not bad:
            return found
        closed = replace(policies, restrict_public_buckets=True, ignore_public_acls=True)
        other = decide_in_doubt(request, closed, doubt)
        if other.decision.effect is found.decision.effect:
            return found
        self._unread["block_public_access"] = bad[0].unread
        return replace(found, decision=replace(found.decision, effect=Effect.UNKNOWN))

    def _by_point(
        self, request: Request, policies: Policies, doubt: Doubt, bucket: BucketRow, point: AccessPointRow | Unread
    ) -> Doubted:
        """https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-policies.html"""
        own = self._asking.layers.of_point(point)
        arn = str(request.context.get("s3:DataAccessPointArn", ""))
        key = request.resource.partition("/")[2]
        at_point, mine, unsure = replace(request, resource=f"{arn}/object/{key}" if key else arn), policies, doubt
        if isinstance(point, AccessPointRow):
            given, unsure = self._asking.owned_by(point.account, request.context, doubt)
            given |= {"aws:ResourceAccount": point.account, "s3:ResourceAccount": point.account}
            at_point = replace(at_point, resource_account=point.account, context=given)
            mine = replace(policies, **self._asking.policies_of_owner(point.account))
        by_point = self._with_block(at_point, replace(mine, resource=own), unsure, bucket, point)
        if by_point.decision.effect is Effect.EXPLICIT_DENY:
            return by_point
        changes: dict[str, Any] = {"access_point": own, "scps": ()}
        if by_point.decision.layers.get("identity") is Effect.ALLOW:
            changes["identity"] = (_EVERYTHING,)
        for limit in ("permissions_boundary", "session"):
            if by_point.decision.layers.get(limit) is Effect.ALLOW:
                changes[limit] = None
        at_bucket = self._with_block(request, replace(policies, **changes), doubt, bucket, point)
        passed = at_bucket.decision.effect is Effect.EXPLICIT_DENY or by_point.decision.allowed
        return at_bucket if passed else by_point
