"""The policy of a bucket that a run deletes: read, shown to be one that can be put back, and put back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.errors import PolicyError
from pytest_s3vpce.model import Layer
from pytest_s3vpce.policy import UNKNOWN, Effect, Policies, Request, decide, parse
from pytest_s3vpce.vantage.control import FAULTS, code_of

if TYPE_CHECKING:
    from collections.abc import Callable

_NONE: Final = "NoSuchBucketPolicy"
_NEEDED: Final = ("s3:GetBucketPolicy", "s3:PutBucketPolicy")
_SILENT: Final = (Effect.IMPLICIT_DENY, Effect.NO_IMPACT, None)
_READINGS: Final = 15
_PAUSE: Final = 1.0
"""Seconds between them: a bucket's configuration is eventually consistent,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel"""


def read(s3: Any, bucket: str, **owner: str) -> str | None:
    """The text as S3 gives it; None where the bucket has no policy. Raises what boto3 does."""
    try:
        return str(s3.get_bucket_policy(Bucket=bucket, **owner)["Policy"])
    except FAULTS as error:
        if code_of(error) == _NONE:
            return None
        raise


def put_back(s3: Any, bucket: str, *, text: str, sleep: Callable[[float], None]) -> str | None:
    """Puts it back, whether or not it looks gone, and reads it until it is as it was, byte for byte.

    Why it is not; None where it is. Another policy that somebody put there since is left as it is. Raises what boto3
    does.
    """
    if read(s3, bucket) not in (None, text):
        return "it has another policy by now, which is left as it is"
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    for _ in range(_READINGS):
        if read(s3, bucket) == text:
            return None
        sleep(_PAUSE)
    return "its policy was put back, and does not read as it was"


def rests_on_itself(text: str, *, bucket_arn: str, account: str, who: str) -> bool:
    """Whether the policy itself may be what lets somebody read and put it: without it nobody could put it back.

    What its statements ask for besides is taken to be met. True as well where that can't be told.
    """
    try:
        rows = json.loads(text)["Statement"]
        statements = [rows] if isinstance(rows, dict) else rows
        allows = [
            {name: value for name, value in row.items() if name != "Condition"}
            for row in statements
            if row["Effect"] == "Allow"
        ]
        policies = Policies(identity=UNKNOWN, resource=parse({"Version": "2012-10-17", "Statement": allows}))
        for action in _NEEDED:
            asked = Request(action=action, resource=bucket_arn, resource_account=account, principal=who)
            if decide(asked, policies).layers.get(Layer.RESOURCE) not in _SILENT:
                return True
    except (ValueError, KeyError, TypeError, PolicyError):
        return True
    return False
