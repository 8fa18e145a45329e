"""Services that write logs into buckets: as service principals, whom the bucket's policy must let in.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html and
https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-permissions.html
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab import trailselectors
from pytest_s3vpce.lab.acls import acl_for
from pytest_s3vpce.lab.judge import Question
from pytest_s3vpce.lab.keys import Caller
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.resources import partition_of
from pytest_s3vpce.policy import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.judge import Judge
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

_CLOUDTRAIL: Final = "cloudtrail.amazonaws.com"
_LOGGING: Final = "logging.s3.amazonaws.com"
_FLOWS: Final = "delivery.logs.amazonaws.com"
_GIVES_AWAY: Final = frozenset({_CLOUDTRAIL, _FLOWS})
"""Those that write with an ACL for the bucket's owner."""
_DELIVERY: Final = "s3/LogDelivery"
_SETTERS: Final = re.compile(r"(?:[\w.]+\.)?(?P<name>CreateTrail|UpdateTrail|PutEventSelectors)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """A service on behalf of a resource: of a trail, of a bucket whose requests are logged, or of flow logs."""

    service: str
    source_arn: str
    source_account: str


def of_trail(name: str, *, account: str, region: str) -> Writer:
    arn = f"arn:{partition_of(region)}:cloudtrail:{region}:{account}:trail/{name}"
    return Writer(service=_CLOUDTRAIL, source_arn=arn, source_account=account)


def of_access_log(bucket: BucketState) -> Writer:
    arn = f"arn:{partition_of(bucket.region)}:s3:::{bucket.name}"
    return Writer(service=_LOGGING, source_arn=arn, source_account=bucket.account)


def of_flow_logs(account: str, *, region: str) -> Writer:
    arn = f"arn:{partition_of(region)}:logs:{region}:{account}:*"
    return Writer(service=_FLOWS, source_arn=arn, source_account=account)


class LogWriters:
    """Asks the engine for services as for anybody."""

    def __init__(self, state: State, judge: Judge) -> None:
        self._state = state
        self._judge = judge

    def may_put(self, writer: Writer, bucket: BucketState, key: str) -> bool:
        acl = {"s3:x-amz-acl": "bucket-owner-full-control"} if writer.service in _GIVES_AWAY else {}
        effect = self._may(writer, "s3:PutObject", bucket, f"/{key}", acl)
        by_list = effect is Effect.IMPLICIT_DENY and writer.service == _LOGGING and self._grants_delivery(bucket)
        return effect is Effect.ALLOW or by_list

    def _grants_delivery(self, bucket: BucketState) -> bool:
        """Whether the bucket's ACL lets S3's group for log delivery write, where ACLs are on."""
        acl = acl_for(self._state, bucket, action="s3:PutObject", key=None, version=None)
        rows = () if acl is None else acl.grants
        return any(row.grantee == _DELIVERY and row.permission in {"WRITE", "FULL_CONTROL"} for row in rows)

    def check_trail(self, request: HttpRequest, *, account: str, region: str) -> None:
        """Raises CloudTrail's refusal of a bucket that does not let it write, and of selectors that can't be.

        https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_CreateTrail.html
        """
        setter = _SETTERS.fullmatch(request.header("x-amz-target") or "")
        if setter is None:
            return
        given = _document(request.body)
        if setter["name"] == "PutEventSelectors":
            trailselectors.check(given)
            return
        if not isinstance(given.get("Name"), str):
            raise Refused("InvalidTrailNameException", status=400, message="The trail name must be given.")
        named = given.get("S3BucketName")
        bucket = self._state.bucket(named) if isinstance(named, str) else None
        if bucket is None:
            return  # told by the state behind, where it is asked for one
        prefix = f"{given['S3KeyPrefix']}/" if given.get("S3KeyPrefix") else ""
        writer = of_trail(given["Name"].rpartition("/")[2], account=account, region=region)
        key = f"{prefix}AWSLogs/{account}/CloudTrail/{region}/"
        looks = self._may(writer, "s3:GetBucketAcl", bucket, "", {}) is Effect.ALLOW
        if not (looks and self.may_put(writer, bucket, key)):
            message = f"Incorrect S3 bucket policy is detected for bucket: {bucket.name}"
            raise Refused("InsufficientS3BucketPolicyException", status=400, message=message)

    def _may(self, writer: Writer, action: str, bucket: BucketState, below: str, more: dict[str, str]) -> Effect:
        question = Question(
            action=action,
            resource=f"arn:{partition_of(bucket.region)}:s3:::{bucket.name}{below}",
            owner=bucket.account,
            resource_policy=bucket.policy,
            context={
                "aws:SourceArn": writer.source_arn,
                "aws:SourceAccount": writer.source_account,
                "aws:PrincipalIsAWSService": "true",
                "aws:PrincipalServiceName": writer.service,
                "aws:SecureTransport": "true",
                **more,
            },
        )
        return self._judge.decide(Caller(arn=f"service:{writer.service}"), question).effect


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused("SerializationException", status=400, message="The request could not be read.")
    return found
