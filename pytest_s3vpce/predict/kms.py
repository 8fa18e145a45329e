"""What S3 asks of KMS for a request, and what KMS will say.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.operations.creations import CREATIONS, DECRYPTING, MANAGED, WITH_KMS
from pytest_s3vpce.policy import Request
from pytest_s3vpce.predict.doubt import decide_in_doubt
from pytest_s3vpce.snapshot.state import EncryptionRow, KeyRow, Unread

if TYPE_CHECKING:
    from pytest_s3vpce.operations import Check
    from pytest_s3vpce.predict.asking import Asking
    from pytest_s3vpce.predict.case import Case
    from pytest_s3vpce.predict.doubt import Doubted
    from pytest_s3vpce.predict.ways import Way
    from pytest_s3vpce.snapshot.state import BucketRow

_OWN: Final = Unread(unread="AWS's own")
_UNSIGNED: Final = "S3 answers unsigned requests for what a KMS key encrypts with a 400, which is no denial"
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What KMS is asked. `doubted` is the engine's decision; without it `why` says it all."""

    action: str
    key: str
    doubted: Doubted | None = None
    why: str = ""
    expected: Expected = Expected.IMPLICIT_DENY
    unread: str = ""
    """Why it was not read, where that is so."""


def of_kms(check: Check, way: Way, case: Case, asking: Asking) -> Asked | None:
    """What stands in the way at KMS; None where S3 asks nothing there, or is let through."""
    bucket = case.owner(check, asking.snapshot)
    if check.action in DECRYPTING:
        action, held = "kms:Decrypt", _held(check, bucket, case, asking)
    elif check.action == "s3:PutObject" and case.row.name in CREATIONS:
        action, held = "kms:GenerateDataKey", _written(bucket, case, asking)
    else:
        return None
    if held is None:
        return None
    if isinstance(held, Unread):
        why = f"the key that encrypts the object: {held.unread}"
        return Asked(action=action, key="", why=why, expected=Expected.UNKNOWN, unread=held.unread)
    if case.caller.kind == "anonymous":
        return Asked(action=action, key=held.arn, why=_UNSIGNED, expected=Expected.UNKNOWN)
    if held.managed:
        if case.caller.account == held.account:
            return None
        return Asked(action=action, key=held.arn, why=f"AWS's own key of {held.account} serves that account alone")
    given, doubt = asking.keys_for_kms(check, bucket, held, way, case)
    request = Request(
        action=action,
        resource=held.arn,
        resource_account=held.account,
        principal=case.principal,
        context=given,
    )
    found = decide_in_doubt(request, asking.policies_of_key(held, case), doubt)
    return None if found.decision.allowed else Asked(action=action, key=held.arn, doubted=found)


def _held(check: Check, bucket: BucketRow, case: Case, asking: Asking) -> KeyRow | Unread | None:
    """The key of an object that is there; the bucket's of one that the run makes itself.

    Whoever may not use an object's key may not read its head either, so that one which was not read may have any.
    """
    found = asking.object_(check, bucket, case)
    if found is None:
        return None
    if isinstance(found, Unread):
        return found if case.key(check) in bucket.objects else _default(bucket, asking)
    return _key(found.key, bucket, asking) if found.encryption in WITH_KMS else None


def _written(bucket: BucketRow, case: Case, asking: Asking) -> KeyRow | Unread | None:
    sent, named = case.parameters.get("ServerSideEncryption"), case.parameters.get("SSEKMSKeyId")
    if sent is not None:
        return _key(named, bucket, asking) if sent in WITH_KMS else None
    if case.parameters.get("SSECustomerAlgorithm"):
        return None
    rule = bucket.encryption
    alias = rule.key if isinstance(rule, EncryptionRow) and (rule.key or "").startswith("alias/") else None
    if alias is not None and case.caller.account not in ("", bucket.account_id):
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_ServerSideEncryptionByDefault.html
        return Unread(unread=f"`{alias}` stands for a key of the caller's account, which was not read")
    return _default(bucket, asking)


def _default(bucket: BucketRow, asking: Asking) -> KeyRow | Unread | None:
    rule = bucket.encryption
    if isinstance(rule, EncryptionRow):
        return _key(rule.key, bucket, asking) if rule.algorithm in WITH_KMS else None
    return rule


def _key(named: str | None, bucket: BucketRow, asking: Asking) -> KeyRow | Unread:
    """The key by its name; AWS's own where none is named, of which there is nothing to read."""
    rows = asking.snapshot.keys
    if named is not None:
        return asking.snapshot.key(named) or Unread(unread=f"key `{named}` was not read")
    found = next((row for row in rows if row.managed and row.account == bucket.account_id), None)
    return found or KeyRow(named=MANAGED, arn=MANAGED, account=bucket.account_id, policy=_OWN, managed=True)
